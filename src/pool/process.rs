//! A worker process, from its parent's side: started, spoken to, ended.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            process::{CommandExt, ExitStatusExt},
        },
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
    sys::{self, process::Life, socket::Wait},
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
    /// Becomes readable when the process ends. Its channel may stay open longer: a task may have forked.
    end: Option<OwnedFd>,
    /// That it has ended, and how, as far as that could be learned.
    ended: Option<Option<ExitStatus>>,
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
        let (store, member) = (recipe.store.clone(), Member::new()?);
        let child = command
            .env(MARK, std::process::id().to_string())
            .stdin(Stdio::from(theirs))
            // A group of its own: the terminal's Ctrl-C does not reach it, and what its tasks start can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let end = sys::process::watch(child.id());
        let mut process =
            Self { child, channel: Some(Channel::new(ours)), ready: false, end, ended: None, store, member };
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
        self.send(Head::new(Kind::Hello, 0, 0), &Payload::of(bytes))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The channel; it is there until the process is being ended.
    pub(super) fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a process in use has its channel")
    }

    /// What to wait for before something can be received, or more be sent.
    pub(super) fn waits(&self) -> impl Iterator<Item = Wait<'_>> {
        let end = self.end.as_ref().map(|end| Wait { descriptor: end.as_fd(), for_writing: false, ready: false });
        self.channel.as_ref().map(Channel::wait).into_iter().chain(end)
    }

    /// Whether the process is there, as far as can be told.
    pub(super) fn lives(&self) -> bool {
        self.ended.is_none() && sys::process::life(self.child.id()) == Life::Runs
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
        // Looked at before: what it sent while it lived is still to be received.
        let lives = self.lives();
        loop {
            return match self.channel().receive() {
                Ok(Received::NotYet) if lives => None,
                Ok(Received::NotYet | Received::Gone) => Some(Err(self.post_mortem())),
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
        let status = self.end();
        if self.ready {
            return Report::Died {
                signal: status.and_then(|status| status.signal()),
                code: status.and_then(|status| status.code()),
            };
        }
        Report::Start {
            message: format!(
                "the worker process ended ({}) before it had reached ndferry::init(), which belongs first in main \
                 (in a test program, in the #[test] that PoolBuilder::test_entry names)",
                status.map_or("nobody knows how".into(), |status| status.to_string())
            ),
        }
    }

    /// Ends the process: its channel closed, it goes by itself, or is killed after some time.
    fn end(&mut self) -> Option<ExitStatus> {
        self.channel = None;
        let deadline = Instant::now() + GRACE;
        let mut pause = Duration::from_micros(50);
        while self.lives() && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        self.finish()
    }

    /// Kills the process, if it has not ended, and what its tasks had started.
    pub(super) fn kill(&self) {
        // Until it is waited for, its id is its own and that of its group, dead or alive. In a program that lets somebody else
        // wait for its children it may be another's by now, and then it is left alone.
        if self.ended.is_none() && sys::process::life(self.child.id()) != Life::Unknown {
            sys::process::kill_group(self.child.id());
        }
    }

    /// Kills the process, if it has not ended, waits for it, and removes the files it had made and not given away.
    pub(super) fn finish(&mut self) -> Option<ExitStatus> {
        if let Some(ended) = self.ended {
            return ended;
        }
        self.kill();
        let status = self.child.wait().ok();
        self.ended = Some(status);
        // What cannot be removed now goes with the session.
        let _ = self.store.reap(self.member);
        status
    }

    /// Lets the process know that it is to end, without waiting for it.
    pub(super) fn close(&mut self) {
        self.channel = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
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
