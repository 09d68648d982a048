//! A worker process, from its parent's side: started, spoken to, ended.

use std::{
    io,
    os::unix::{
        ffi::OsStrExt,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{
    channel::{Channel, Frame, Head, Kind, Payload, Received},
    worker::{Hello, MARK},
};
use crate::{
    ByteOrder, Error, Result,
    error::Report,
    store::{Member, Store},
    sys,
};

/// How long a worker whose channel was closed may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How to start workers.
pub(super) struct Recipe {
    pub(super) threshold: Option<usize>,
    /// The `#[test]` that a worker of a test program runs instead of `main`.
    pub(super) test_entry: Option<String>,
    pub(super) store: Store,
}

/// A worker process. Dropping it ends the process.
pub(super) struct Process {
    child: Child,
    channel: Option<Channel>,
    /// Whether the worker has said that it runs.
    ready: bool,
    /// How it ended, once it was waited for.
    status: Option<ExitStatus>,
    store: Store,
    /// Its part in the session, by which what it leaves is known.
    member: Member,
}

impl Process {
    /// Starts a worker. It need not be waited for: what is sent meanwhile is read when it runs.
    pub(super) fn start(recipe: &Recipe) -> Result<Self> {
        let cannot = |error: io::Error| Error::io("cannot start a worker process", error);
        let (ours, theirs) = sys::socket::pair().map_err(cannot)?;
        let mut command = Command::new(sys::process::OWN_EXECUTABLE);
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        if let Some(test) = &recipe.test_entry {
            // The test harness prints to stdout, once for every worker.
            command.args([test, "--exact", "--nocapture", "--test-threads=1"]).stdout(Stdio::null());
        }
        let child = command
            .env(MARK, std::process::id().to_string())
            .stdin(Stdio::from(theirs))
            // A group of its own: the terminal's Ctrl-C does not reach it, and what its tasks start can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let (store, member) = (recipe.store.clone(), Member::new()?);
        let mut process = Self { child, channel: Some(Channel::new(ours)), ready: false, status: None, store, member };
        process.greet(recipe).map_err(cannot)?;
        Ok(process)
    }

    fn greet(&mut self, recipe: &Recipe) -> io::Result<()> {
        let hello = Hello {
            member: self.member.0,
            home: recipe.store.home().as_os_str().as_bytes().to_vec(),
            big_endian_store: recipe.store.byte_order() == ByteOrder::Big,
            threshold: recipe.threshold,
            executable: sys::process::executable_identity()?,
        };
        let bytes = serde_json::to_vec(&hello)?;
        self.send(Head::new(Kind::Hello, 0, 0), &Payload { bytes, files: Vec::new() })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The channel; it is there until the process is being ended.
    pub(super) fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a process in use has its channel")
    }

    pub(super) fn wait(&self) -> sys::socket::Wait<'_> {
        self.channel.as_ref().expect("a process in use has its channel").wait()
    }

    /// Sends a frame. That the peer is gone shows when its answer is awaited, with the reason.
    ///
    /// # Errors
    ///
    /// Where the frame cannot be made.
    pub(super) fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        gone_is_later(self.channel().send(head, payload))
    }

    /// The next frame about a task, or how the worker ended. `None`: nothing yet.
    pub(super) fn receive(&mut self) -> Option<Result<Frame, Report>> {
        if let Err(error) = gone_is_later(self.channel().flush()) {
            return Some(Err(Report::Argument { message: error.to_string() }));
        }
        loop {
            return match self.channel().receive() {
                Ok(Received::NotYet) => None,
                Ok(Received::Gone) => Some(Err(self.post_mortem())),
                Ok(Received::Frame(frame)) => match frame.head.kind {
                    Kind::Ready => {
                        self.ready = true;
                        continue;
                    }
                    Kind::Failed if !self.ready => Some(Err(report(&frame))),
                    _ => Some(Ok(frame)),
                },
                Err(error) => Some(Err(Report::Result { message: error.to_string() })),
            };
        }
    }

    /// Why the process is gone.
    fn post_mortem(&mut self) -> Report {
        let status = match self.end() {
            Ok(status) => status,
            Err(error) => return Report::Start { message: format!("cannot wait for the worker process: {error}") },
        };
        if self.ready {
            return Report::Died { signal: status.signal(), code: status.code() };
        }
        Report::Start {
            message: format!(
                "the worker process ended ({status}) before it had reached ndferry::init(), which belongs first in main \
                 (in a test program, in the #[test] that PoolBuilder::test_entry names)"
            ),
        }
    }

    /// Ends the process: its channel closed, it goes by itself, or is killed after some time.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.channel = None;
        let deadline = Instant::now() + GRACE;
        let mut pause = Duration::from_micros(50);
        while self.status.is_none() && !sys::process::has_ended(self.child.id()) && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        self.kill()
    }

    /// Kills the process, if it has not ended, and what its tasks had started; removes the files it had made and not given
    /// away.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // Until it is waited for, its id is its own and that of its group, dead or alive.
        sys::process::kill_group(self.child.id());
        let _ = self.child.kill();
        let status = self.child.wait()?;
        self.status = Some(status);
        // What cannot be removed now goes with the session.
        let _ = self.store.reap(self.member);
        Ok(status)
    }

    /// Lets the process know that it is to end, without waiting for it.
    pub(super) fn close(&mut self) {
        self.channel = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The report in a frame that says that a task failed.
pub(super) fn report(frame: &Frame) -> Report {
    serde_json::from_slice(frame.payload.as_ref())
        .unwrap_or_else(|error| Report::Result { message: format!("the worker's report cannot be read: {error}") })
}

fn gone_is_later(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
        other => other,
    }
}
