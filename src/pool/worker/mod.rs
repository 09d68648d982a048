//! A worker process. It waits for tasks, runs them one at a time, and ends with its parent.

pub(crate) mod panics;
pub(crate) mod runner;
pub(crate) mod serve;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use runner::TaskRunner;

use crate::{
    Error, Result,
    bytes::map::Page,
    dtype::ByteOrder,
    pool::{
        transport::process::{
            launch::{Hello, WORKER_ENV},
            slots,
            stdio::{self, OwnStreams},
        },
        wire::{
            channel::Channel,
            frame::{Frame, FrameHead, FrameKind, Payload},
            message::Sender,
            remote,
            report::FailureReport,
            shared_page::PageWriter,
        },
    },
    store::{self, Member, Store},
    sys::{self, unshared::Unshared},
};

/// How often captured output is trimmed.
const OUTPUT_TRIM_INTERVAL: Duration = Duration::from_millis(100);

/// Whether [`init`] was called.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// The parent and the session of this worker.
static STATE: Mutex<Option<Arc<WorkerState>>> = Mutex::new(None);

/// The longest time that a worker stays after its parent's death to clean up.
const MAX_LINGER: Duration = Duration::from_secs(2);

/// Makes worker processes possible. Call it in the first line of `main`.
///
/// A [`Pool`](crate::Pool) starts its workers by starting the program again. In a worker, this function runs
/// tasks and does not return. In any other process it returns at once. Without this call, building a pool of
/// processes is an error.
///
/// # Examples
///
/// ```
/// fn main() -> ndferry::Result<()> {
///     ndferry::init();
///     let pool = ndferry::Pool::builder().workers(2).build()?;
///     let squares = pool.map(|x: u64| x * x, 1..=4)?;
///     assert_eq!(squares, [1, 4, 9, 16]);
///     Ok(())
/// }
/// ```
///
/// A test program has no `main`; see [`PoolBuilder::test_entry`](crate::pool::PoolBuilder::test_entry).
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    let Some(parent) = called_by() else {
        return;
    };
    // The channel exists but the parent is another process, so this worker's parent has died.
    if sys::process::parent() != Some(parent) {
        clean_up_after(parent);
        sys::process::exit_now();
    }
    match sys::process::take_stdin() {
        Ok(socket) => run(parent, Channel::new(socket)),
        Err(_) => sys::process::exit_now(),
    }
}

/// Returns the parent that started this process as a worker, until the worker has taken its
/// channel.
pub(crate) fn called_by() -> Option<u32> {
    let parent = std::env::var(WORKER_ENV).ok()?.parse().ok()?;
    // A program that a task starts inherits the variable, but not the channel: the worker has
    // moved it away from its standard input.
    sys::socket::is_made_by(std::io::stdin(), parent).then_some(parent)
}

/// Returns whether [`init`] was called.
pub(crate) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

fn run(parent: u32, mut channel: Channel) -> ! {
    let Ok(post) = WorkerState::take(parent, &channel) else { sys::process::exit_with_group() };
    panics::install_hook();
    let served = panic::catch_unwind(AssertUnwindSafe(|| greet_and_serve(&mut channel, &post)));
    // The panic hook has already reported a panic outside of tasks. It must not unwind into
    // `main`.
    if let Ok(Err(error)) = served {
        serve::give_up(&mut channel, &error);
    }
    post.leave()
}

/// The resources of a worker: its parent, its end of the channel, and its membership in a
/// session. When the worker ends, it releases them in order.
pub(crate) struct WorkerState {
    parent: u32,
    socket: Unshared<OwnedFd>,
    /// The first process of the session and its pidfd, if it is not the parent.
    first: OnceLock<Option<(u32, OwnedFd)>>,
    /// The session, which this worker leaves when it ends.
    session: OnceLock<Store>,
    /// Held while this worker joins the session.
    joining: Mutex<()>,
}

impl WorkerState {
    /// From here on, this process ends when its parent ends or closes the channel, also in the
    /// middle of a task.
    pub(crate) fn take(parent: u32, channel: &Channel) -> io::Result<Arc<Self>> {
        let process = sys::process::watch(parent);
        let post = Arc::new(Self {
            parent,
            socket: Unshared::new(channel.socket().try_clone_to_owned()?),
            first: OnceLock::new(),
            session: OnceLock::new(),
            joining: Mutex::default(),
        });
        serve::set_ending(false);
        // An inherited state belongs to the parent.
        std::mem::forget(
            STATE.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&post)),
        );
        let watched = Arc::clone(&post);
        sys::fork::spawn_watcher("ndferry-watch", move || {
            watched.watch(process.as_ref());
            watched.leave()
        })?;
        Ok(post)
    }

    /// Waits until the parent or the session's first process has ended, or the parent has
    /// closed the channel.
    fn watch(&self, parent: Option<&OwnedFd>) {
        // Wakes up regularly until the first process is known, and to trim captured output.
        let mut glance = Some(OUTPUT_TRIM_INTERVAL);
        loop {
            let first = self.first.get().and_then(Option::as_ref).map(|(_, watch)| watch);
            let watched: Vec<_> = parent.into_iter().chain(first).map(OwnedFd::as_fd).collect();
            match sys::socket::wait_for_hangup(self.socket.as_fd(), &watched, glance) {
                Ok(false) if stdio::trim() == Some(false) => glance = None,
                Ok(false) => {}
                Ok(true) | Err(_) => return,
            }
        }
    }

    /// Watches the process that began the session.
    pub(crate) fn look_after(&self, first: u32) {
        let watch = if first == self.parent { None } else { sys::process::watch(first) };
        let _ = self.first.set(watch.map(|watch| (first, watch)));
    }

    /// Joins the session at `home`, with all stores of this process.
    pub(crate) fn join(
        &self,
        home: &Path,
        byte_order: ByteOrder,
        sealed: bool,
        member: Member,
    ) -> Result<Store> {
        let _joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let store = Store::join(home, byte_order, sealed, member)?;
        store.be_outer();
        let _ = self.session.set(store.clone());
        Ok(store)
    }

    /// Ends this process and all processes that its tasks have started. The last worker of a
    /// session whose first process has died cleans it up.
    pub(crate) fn leave(&self) -> ! {
        serve::set_ending(true);
        // A thread that is joining the session must finish first, because other processes may
        // rely on this one.
        let _joined = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let died = match self.first.get() {
            Some(Some((_, first))) => sys::process::has_ended(first),
            _ => {
                sys::socket::is_closed_by_peer(&self.socket)
                    || sys::process::parent() != Some(self.parent)
            }
        };
        match self.session.get() {
            Some(store) if died => store.leave_with_the_dying(MAX_LINGER),
            Some(store) => store.leave(),
            None => {}
        }
        if died {
            clean_up_after(self.parent);
        }
        sys::process::exit_with_group()
    }
}

/// Sweeps sessions of a dead parent that no worker had joined.
fn clean_up_after(parent: u32) {
    // The lock may be the last thing that a dying process releases.
    if let Some(watch) = sys::process::watch(parent) {
        let mut waits =
            [sys::socket::Wait { descriptor: watch.as_fd(), for_writing: false, ready: false }];
        let _ = sys::socket::wait(&mut waits, Some(MAX_LINGER));
    }
    store::sweep_after(parent, MAX_LINGER);
}

/// Returns the process that began the session of `store`.
pub(crate) fn first_process(store: &Store) -> u32 {
    let post = STATE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let outer = post.filter(|post| {
        post.session.get().is_some_and(|session| session.session_dir() == store.session_dir())
    });
    outer.map_or_else(std::process::id, |post| {
        post.first.get().and_then(Option::as_ref).map_or(post.parent, |(first, _)| *first)
    })
}

fn greet_and_serve(channel: &mut Channel, post: &WorkerState) -> io::Result<()> {
    let Some(frame) = channel.next()? else {
        return Ok(());
    };
    match greeted(frame, post) {
        Ok(runner) => {
            channel.send(FrameHead::new(FrameKind::Ready, 0, 0), &Payload::default())?;
            serve::serve(channel, runner, remote::NAMED)
        }
        Err(error) => {
            serve::refuse(channel, 0, &FailureReport::Start { message: error.to_string() })
        }
    }
}

fn greeted(frame: Frame, state: &WorkerState) -> Result<TaskRunner> {
    let hello: Hello = serde_json::from_slice(frame.payload.as_ref())
        .map_err(|error| Error::invalid_data(format!("the parent's first message: {error}")))?;
    let own = sys::process::executable_identity()
        .map_err(|error| Error::io("cannot open", error).at(sys::process::OWN_EXECUTABLE))?;
    if own != hello.executable {
        return Err(Error::invalid_data("the worker runs another executable than its parent"));
    }
    let mut descriptors = frame.descriptors.into_iter();
    let page = descriptors
        .next()
        .ok_or_else(|| Error::invalid_data("the page shared with the parent did not come along"))?;
    let page = Page::of(page.into())
        .map_err(|error| Error::io("cannot map the page shared with the parent", error))?;
    let own = page.as_fd().try_clone_to_owned().and_then(|page| Page::of(page.into()));
    own.map(panics::set_last_report_page)
        .map_err(|error| Error::io("cannot map the page shared with the parent", error))?;
    match (descriptors.next(), descriptors.next()) {
        (Some(slots), Some(own)) => slots::join(slots, own),
        _ => return Err(Error::invalid_data("the process slots did not come along")),
    }
    state.look_after(hello.first_process);
    let streams = OwnStreams::new(&hello.stdio, &mut descriptors)
        .map_err(|error| Error::io("cannot take over the output", error))?;
    hello.share.keep();
    let session_dir = PathBuf::from(OsString::from_vec(hello.session_dir));
    let byte_order = if hello.big_endian_store { ByteOrder::Big } else { ByteOrder::Little };
    let store = state.join(&session_dir, byte_order, hello.is_memfd_store, Member(hello.member))?;
    // A signal for the parent's group may have arrived before this process had its own group.
    // From here on, a signal ends only this worker.
    sys::signal::discard_and_unblock(hello.blocked);
    let runner = TaskRunner::new(&store, hello.threshold, Sender::Worker);
    Ok(runner.with_page(PageWriter::new(page)).with_streams(streams))
}
