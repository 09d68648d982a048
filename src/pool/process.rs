//! A worker process, from its parent's side: started, spoken to, ended.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    process::{self, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Backend,
    budget::{Granted, Seat},
    channel::{Channel, Frame, Head, Kind, Payload, Received},
    launch::{Launch, Share},
    link::Link,
    message::report,
    notes,
    output::{Followed, Streams},
    worker::{self, Hello},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    dtype::ByteOrder,
    error::{Report, Said},
    store::{Member, Store},
    sys::{self, process::Life, socket::Wait},
};

/// How long a worker whose channel was closed may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How to start workers.
pub(super) struct Recipe {
    pub(super) backend: Backend,
    pub(super) threshold: Option<usize>,
    pub(super) launch: Launch,
    pub(super) share: Share,
    /// The slots of its workers, where these are processes.
    pub(super) granted: Option<Arc<Granted>>,
    /// Whether there was none for it: what it runs, it runs in the slot of the process that made it.
    pub(super) is_lodger: bool,
    /// Tasks after which, and bytes above which, a worker is replaced.
    pub(super) max_tasks_per_worker: Option<u64>,
    pub(super) most_memory: Option<u64>,
    pub(super) store: Store,
}

impl Recipe {
    /// Whether a choice was made that only a worker process can keep.
    pub(super) fn needs_processes(&self) -> bool {
        self.max_tasks_per_worker.is_some() || self.most_memory.is_some() || !self.launch.is_plain()
    }
}

/// A child of this process.
enum Child {
    /// The program, started once more.
    Started(process::Child),
    /// This very process, forked.
    Forked(sys::fork::Child),
}

impl Child {
    fn id(&self) -> u32 {
        match self {
            Self::Started(child) => child.id(),
            Self::Forked(child) => child.id(),
        }
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Started(child) => child.wait(),
            Self::Forked(child) => child.wait(),
        }
    }
}

/// A worker process. Dropping it ends the process.
pub(super) struct Process {
    child: Child,
    channel: Option<Channel>,
    page: Arc<Page>,
    /// Whether the worker has said that it runs.
    ready: bool,
    /// Becomes readable when the process ends. Its channel may stay open longer: a task may have forked.
    end: Option<OwnedFd>,
    /// That it has ended, and how, as far as that could be learned.
    ended: Option<Option<ExitStatus>>,
    output: Followed,
    /// Its place among all worker processes, while it lives.
    seat: Option<Seat>,
    store: Store,
    /// Its part in the session, by which what it leaves is known.
    member: Member,
}

impl Process {
    /// Starts a worker. It need not be waited for: what is sent meanwhile is read when it runs.
    pub(super) fn start(recipe: &Recipe) -> Result<Self> {
        let cannot = |error: io::Error| Error::io("cannot start a worker process", error);
        let (ours, theirs) = sys::socket::pair().map_err(cannot)?;
        let streams = Streams::new(recipe.launch.output(), recipe.launch.test_entry.is_some())?;
        let member = recipe.store.new_member()?;
        let page = Arc::new(Page::new().map_err(cannot)?);
        let mut command = recipe.launch.command(&recipe.share);
        streams.attach(&mut command).map_err(cannot)?;
        // The worker unblocks them when it has joined the session.
        let signals = sys::signal::Blocked::new();
        let child = command.stdin(Stdio::from(theirs)).spawn().map_err(cannot)?;
        let blocked = signals.before();
        drop(signals);
        let mut process =
            Self::new(Child::Started(child), Channel::new(ours), page, recipe, member);
        process.greet(recipe, &streams, blocked).map_err(cannot)?;
        // Their writing ends go with the command and the greeting, and the streams then end with the worker.
        drop(command);
        process.output = streams.follow(process.id()).map_err(cannot)?;
        Ok(process)
    }

    /// A worker that was forked, and runs.
    pub(super) fn forked(
        child: sys::fork::Child,
        channel: Channel,
        page: Arc<Page>,
        recipe: &Recipe,
        member: Member,
    ) -> Self {
        let mut process = Self::new(Child::Forked(child), channel, page, recipe, member);
        process.ready = true;
        process
    }

    fn new(
        child: Child,
        channel: Channel,
        page: Arc<Page>,
        recipe: &Recipe,
        member: Member,
    ) -> Self {
        Self {
            end: sys::process::watch(child.id()),
            child,
            channel: Some(channel),
            page,
            ready: false,
            ended: None,
            output: Followed::default(),
            seat: recipe.granted.as_ref().map(Granted::seat),
            store: recipe.store.clone(),
            member,
        }
    }

    fn greet(&mut self, recipe: &Recipe, streams: &Streams, blocked: u64) -> io::Result<()> {
        let (output, files) = streams.told()?;
        let hello = Hello {
            member: self.member.0,
            home: recipe.store.session_dir().as_os_str().as_bytes().to_vec(),
            first: worker::first_process(&recipe.store),
            big_endian_store: recipe.store.byte_order() == ByteOrder::Big,
            sealed_store: recipe.store.is_memfd(),
            threshold: recipe.threshold,
            executable: sys::process::executable_identity()?,
            output,
            share: recipe.share.clone(),
            blocked,
        };
        let bytes = serde_json::to_vec(&hello)?;
        let page: Arc<dyn AsFd + Send + Sync> = Arc::clone(&self.page) as _;
        let seat = self.seat.iter().flat_map(Seat::files);
        let files = std::iter::once(page).chain(seat).chain(files).collect();
        self.send(Head::new(Kind::Hello, 0, 0), &Payload { files, ..Payload::of(bytes) })
    }

    /// The channel; it is there until the process is being ended.
    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a process in use has its channel")
    }

    /// Why the process is gone.
    fn post_mortem(&mut self) -> Report {
        let status = self.end();
        if self.ready {
            let signal = status.and_then(|status| status.signal());
            // Where a panic ends the process, it has said so before.
            let word =
                if signal == Some(libc::SIGABRT) { notes::last_word(&self.page) } else { None };
            return word
                .unwrap_or(Report::Died { signal, code: status.and_then(|status| status.code()) });
        }
        Report::Start {
            message: format!(
                "the worker process ended ({}) before it had reached ndferry::init(), which belongs first in main \
                 (in a test program, in the #[test] that PoolBuilder::test_entry names)",
                status.map_or("nobody knows how".into(), |status| status.to_string())
            ),
        }
    }

    /// Ends the process: told that nothing more will come, it goes by itself, or is killed after some time.
    fn end(&mut self) -> Option<ExitStatus> {
        self.close();
        let deadline = Instant::now() + GRACE;
        let mut pause = Duration::from_micros(50);
        while self.lives() && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        self.bury()
    }

    /// Kills the process, if it has not ended, waits for it, and removes the files it had made and not given away.
    fn bury(&mut self) -> Option<ExitStatus> {
        if let Some(ended) = self.ended {
            return ended;
        }
        self.kill();
        let status = self.child.wait().ok();
        self.ended = Some(status);
        self.output.finish();
        self.seat = None;
        // What cannot be removed now goes with the session.
        let _ = self.store.reap(self.member);
        status
    }
}

impl Link for Process {
    fn id(&self) -> u32 {
        self.child.id()
    }

    fn page(&self) -> &Page {
        &self.page
    }

    fn said(&self) -> Said {
        self.output.said(&self.page)
    }

    fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        gone_is_later(self.channel().send(head, payload))
    }

    fn waits(&self) -> Option<(Wait<'_>, Option<Wait<'_>>)> {
        let end = self.end.as_ref().map(|end| Wait {
            descriptor: end.as_fd(),
            for_writing: false,
            ready: false,
        });
        self.channel.as_ref().map(|channel| (channel.wait(), end))
    }

    fn receive(&mut self, stirred: bool) -> Option<Result<Frame, Report>> {
        if let Err(error) = gone_is_later(self.channel().flush()) {
            return Some(Err(Report::Argument { message: error.to_string() }));
        }
        // Looked at before: what it sent while it lived is still to be received.
        let lives = if self.end.is_some() { !stirred } else { self.lives() };
        loop {
            return match self.channel().receive() {
                Ok(Received::NotYet) if lives => None,
                Ok(Received::NotYet | Received::Gone) => Some(Err(self.post_mortem())),
                Ok(Received::Frame(frame)) => match frame.head.kind {
                    Kind::Ready => {
                        self.ready = true;
                        continue;
                    }
                    Kind::Failed => Some(Err(report(frame.payload.as_ref()))),
                    _ => Some(Ok(frame)),
                },
                Err(error) => Some(Err(Report::Result { message: error.to_string() })),
            };
        }
    }

    fn lives(&self) -> bool {
        self.ended.is_none() && sys::process::life(self.child.id()) == Life::Runs
    }

    fn hold(&self, still: bool) {
        if self.lives() {
            sys::process::hold(self.child.id(), still);
        }
    }

    fn kill(&self) {
        // Until it is waited for, its id is its own and that of its group, dead or alive. In a program that lets somebody else
        // wait for its children it may be another's by now, and then it is left alone.
        if self.ended.is_none() && sys::process::life(self.child.id()) != Life::Unknown {
            sys::process::kill_group(self.child.id());
        }
    }

    fn finish(&mut self) {
        self.bury();
    }

    fn close(&mut self) {
        // Not closed until the process has ended: by that it knows that this one lives, and does its own cleaning up.
        if let Some(channel) = &self.channel {
            channel.say_no_more();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn gone_is_later(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
