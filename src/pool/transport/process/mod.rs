//! Worker processes, seen from their parent.

pub(crate) mod launch;
pub(crate) mod slots;
pub(crate) mod stdio;

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    process::{self, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use launch::{CoreShare, Hello, LaunchOptions};
use slots::{ProcessSlot, SlotGrant};
use stdio::{CapturedStreams, ChildStreams};

use super::{
    Capabilities, LocalLink, Transport, WorkerLink,
    wait::{Ready, WaitSource},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    dtype::ByteOrder,
    pool::{
        wire::{
            channel::{Channel, Received},
            frame::{Frame, FrameHead, FrameKind, Payload},
            message::decode_report,
            report::{CapturedOutput, FailureReport},
            shared_page,
        },
        worker,
    },
    store::{Member, Store},
    sys::{self, process::ChildState},
};

/// How long a worker whose channel was closed may take to end before it is killed.
const CLOSE_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Starts worker processes.
pub(crate) struct ProcessTransport {
    pub(crate) launch: LaunchOptions,
    pub(crate) share: CoreShare,
    pub(crate) slots: Arc<SlotGrant>,
    pub(crate) threshold: Option<usize>,
    /// Whether a worker has ever reported that it runs.
    pub(crate) proven: Arc<AtomicBool>,
}

impl Transport for ProcessTransport {
    fn start(&self, store: &Store) -> Result<Box<dyn WorkerLink + Send>> {
        Ok(Box::new(ProcessWorker::start(self, store)?))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::LOCAL_PROCESS
    }
}

/// A child of this process.
enum Child {
    /// This program, started again.
    Started(process::Child),
    /// A fork of this process.
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
pub(crate) struct ProcessWorker {
    child: Child,
    channel: Option<Channel>,
    page: Arc<Page>,
    /// Whether the worker has reported that it runs.
    ready: bool,
    /// Whether any worker of its transport has.
    proven: Arc<AtomicBool>,
    /// Becomes readable when the process ends. The channel may stay open longer, because a task
    /// may have forked.
    end: Option<OwnedFd>,
    /// Whether the process had to be killed after its connection was closed.
    outlived: bool,
    /// Set when the process has ended, with its exit status if that is known.
    ended: Option<Option<ExitStatus>>,
    output: CapturedStreams,
    /// Its slot in the limit on worker processes, while it is alive.
    slot: Option<ProcessSlot>,
    store: Store,
    /// Its membership in the session, which identifies the files it leaves behind.
    member: Member,
}

impl ProcessWorker {
    /// Starts a worker without waiting for it. Frames that are sent meanwhile are read when it
    /// runs.
    fn start(transport: &ProcessTransport, store: &Store) -> Result<Self> {
        let cannot = |error: io::Error| Error::io("cannot start a worker process", error);
        let (ours, theirs) = sys::socket::pair().map_err(cannot)?;
        let ProcessTransport { launch, share, slots, .. } = transport;
        let streams = ChildStreams::new(launch.stdio(), launch.test_entry.is_some())?;
        let member = store.new_member()?;
        let page = Arc::new(Page::new().map_err(cannot)?);
        let mut command = launch.command(share);
        streams.attach(&mut command).map_err(cannot)?;
        // The worker unblocks these signals when it has joined the session.
        let signals = sys::signal::Blocked::new();
        let child = command.stdin(Stdio::from(theirs)).spawn().map_err(cannot)?;
        let blocked = signals.before();
        drop(signals);
        let mut process =
            Self::new(Child::Started(child), Channel::new(ours), page, slots, store, member);
        process.proven = Arc::clone(&transport.proven);
        process.greet(transport, &streams, blocked).map_err(cannot)?;
        process.output = streams.captured();
        Ok(process)
    }

    /// Returns the link to a worker that was forked and is running.
    pub(crate) fn forked(
        child: sys::fork::Child,
        channel: Channel,
        page: Arc<Page>,
        slots: &Arc<SlotGrant>,
        store: &Store,
        member: Member,
    ) -> Self {
        let mut process = Self::new(Child::Forked(child), channel, page, slots, store, member);
        process.ready = true;
        process
    }

    fn new(
        child: Child,
        channel: Channel,
        page: Arc<Page>,
        slots: &Arc<SlotGrant>,
        store: &Store,
        member: Member,
    ) -> Self {
        Self {
            end: sys::process::watch(child.id()),
            child,
            channel: Some(channel),
            page,
            ready: false,
            proven: Arc::default(),
            outlived: false,
            ended: None,
            output: CapturedStreams::default(),
            slot: Some(SlotGrant::slot(slots)),
            store: store.clone(),
            member,
        }
    }

    fn greet(
        &mut self,
        transport: &ProcessTransport,
        streams: &ChildStreams,
        blocked: u64,
    ) -> io::Result<()> {
        let ProcessTransport { share, threshold, .. } = transport;
        let store = &self.store;
        let (stdio, files) = streams.setup()?;
        let hello = Hello {
            member: self.member.0,
            session_dir: store.session_dir().as_os_str().as_bytes().to_vec(),
            first_process: worker::first_process(store),
            big_endian_store: store.byte_order() == ByteOrder::Big,
            is_memfd_store: store.is_memfd(),
            threshold: *threshold,
            executable: sys::process::executable_identity()?,
            stdio,
            share: share.clone(),
            blocked,
        };
        let bytes = serde_json::to_vec(&hello)?;
        let page: Arc<dyn AsFd + Send + Sync> = Arc::clone(&self.page) as _;
        let slot = self.slot.iter().flat_map(ProcessSlot::files);
        let files = std::iter::once(page).chain(slot).chain(files).collect();
        self.send(FrameHead::new(FrameKind::Hello, 0, 0), &Payload { files, ..Payload::of(bytes) })
    }

    /// Returns the channel, which exists until the process is being ended.
    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a process in use has its channel")
    }

    /// Returns the reason why the process has ended.
    fn post_mortem(&mut self) -> FailureReport {
        let status = self.end();
        if self.ready && self.outlived {
            return FailureReport::Disconnected;
        }
        let signal = status.and_then(|status| status.signal());
        // A program without init() exits, or aborts if it panics.
        let was_killed = signal.is_some_and(|signal| signal != libc::SIGABRT);
        if self.ready || was_killed || self.proven.load(Ordering::Relaxed) {
            // If a panic aborts the process, the worker reports the panic first.
            let word = if signal == Some(libc::SIGABRT) {
                shared_page::last_report(&self.page)
            } else {
                None
            };
            return word.unwrap_or(FailureReport::Died {
                signal,
                code: status.and_then(|status| status.code()),
            });
        }
        FailureReport::Start {
            message: format!(
                "the worker process ended ({}) before it had reached ndferry::init(), which belongs first in main \
                 (in a test program, in the #[test] that PoolBuilder::test_entry names)",
                status.map_or("exit status unknown".into(), |status| status.to_string())
            ),
        }
    }

    /// Closes the channel, waits for the process to exit, and kills it after a grace period.
    fn end(&mut self) -> Option<ExitStatus> {
        self.close();
        let deadline = Instant::now() + CLOSE_GRACE_PERIOD;
        let mut pause = Duration::from_micros(50);
        while self.is_alive() && Instant::now() < deadline {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        self.outlived = self.is_alive();
        self.reap()
    }

    /// Kills the process if it is still running, waits for it, and removes the files that it
    /// made and did not hand over.
    fn reap(&mut self) -> Option<ExitStatus> {
        if let Some(ended) = self.ended {
            return ended;
        }
        self.kill();
        let status = self.child.wait().ok();
        self.ended = Some(status);
        self.slot = None;
        // Files that cannot be removed now are removed with the session.
        let _ = self.store.reap(self.member);
        status
    }
}

impl WorkerLink for ProcessWorker {
    fn id(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        gone_is_later(self.channel().send(head, payload))
    }

    fn wait_source(&self) -> WaitSource<'_> {
        match &self.channel {
            Some(channel) => WaitSource::Descriptors {
                incoming: channel.wait(),
                end: self.end.as_ref().map(OwnedFd::as_fd),
            },
            // The channel is closed, so nothing arrives.
            None => WaitSource::Waker,
        }
    }

    fn receive(&mut self, ready: Ready) -> Option<Result<Frame, FailureReport>> {
        if let Err(error) = gone_is_later(self.channel().flush()) {
            return Some(Err(FailureReport::Argument { message: error.to_string() }));
        }
        // Check this before receiving: frames that were sent before the end must still be
        // received.
        let lives = if self.end.is_some() { !ready.ended } else { self.is_alive() };
        loop {
            return match self.channel().receive() {
                Ok(Received::NotYet) if lives => None,
                Ok(Received::NotYet | Received::Gone) => Some(Err(self.post_mortem())),
                Ok(Received::Frame(frame)) => match frame.head.kind {
                    FrameKind::Ready => {
                        self.ready = true;
                        self.proven.store(true, Ordering::Relaxed);
                        continue;
                    }
                    FrameKind::Failed => Some(Err(decode_report(frame.payload.as_ref()))),
                    _ => Some(Ok(frame)),
                },
                Err(error) => Some(Err(FailureReport::Result { message: error.to_string() })),
            };
        }
    }

    fn is_alive(&self) -> bool {
        self.ended.is_none() && sys::process::child_state(self.child.id()) == ChildState::Running
    }

    fn close(&mut self) {
        // Keep the channel open until the process has ended: an open channel tells the worker
        // that its parent is alive and will clean up.
        if let Some(channel) = &self.channel {
            channel.say_no_more();
        }
    }

    fn finish(&mut self) {
        self.reap();
    }

    fn local(&self) -> Option<&dyn LocalLink> {
        Some(self)
    }
}

impl LocalLink for ProcessWorker {
    fn page(&self) -> &Page {
        &self.page
    }

    fn has_started(&self) -> bool {
        self.ready
    }

    fn kill(&self) {
        // Until this process waits for it, an ended child keeps its process id and process
        // group id. If other code of this program has already waited for the child, another
        // process may have the id now, so it is not killed.
        if self.ended.is_none() && sys::process::child_state(self.child.id()) != ChildState::Unknown
        {
            sys::process::kill_group(self.child.id());
        }
    }

    fn hold(&self, stopped: bool) {
        if self.is_alive() {
            sys::process::set_stopped(self.child.id(), stopped);
        }
    }

    fn captured_output(&self) -> CapturedOutput {
        self.output.since_task_began(&self.page)
    }

    fn resident_memory(&self) -> Option<u64> {
        sys::process::resident(self.child.id())
    }
}

impl Drop for ProcessWorker {
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
