//! The life of a worker process: it waits for tasks, runs them one at a time, and ends with its parent.

use std::{
    collections::VecDeque,
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

use serde::{Deserialize, Serialize};

use super::{
    budget,
    channel::{Channel, Frame, Head, Kind, Payload, Received},
    launch::Share,
    message::Side,
    notes::Notes,
    output, panics,
    task::{Code, Runner},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    dtype::ByteOrder,
    error::Report,
    store::{self, Member, Store},
    sys::{self, unshared::Unshared},
};

/// The environment variable that makes a process a worker: the id of the parent it works for.
pub(super) const MARK: &str = "NDFERRY_WORKER";

/// How often kept output is trimmed.
const GLANCE: Duration = Duration::from_millis(100);

/// Whether [`init`] was called.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// What this process is bound to as a worker.
static POST: Mutex<Option<Arc<Post>>> = Mutex::new(None);

/// Whether this worker is about to end.
static ENDS: AtomicBool = AtomicBool::new(false);

/// How long a worker whose parent has died stays for the sake of its session, at most.
const LINGER: Duration = Duration::from_secs(2);

/// Makes worker processes possible: the first line of `main`.
///
/// A [`Pool`](crate::Pool) starts its workers by starting the program again. In such a process this call does the work and
/// never returns; in any other it returns at once. A pool in a program that has not called it is an error before any process
/// is started.
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
/// Under `cargo test` there is no `main` to write it in: see [`PoolBuilder::test_entry`](crate::pool::PoolBuilder::test_entry).
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    let Some(parent) = called_by() else {
        return;
    };
    // With the channel but another parent: its own died before this line. There is nothing to work for.
    if sys::process::parent() != Some(parent) {
        clean_up_after(parent);
        sys::process::end();
    }
    match sys::process::take_stdin() {
        Ok(socket) => run(parent, Channel::new(socket)),
        Err(_) => sys::process::end(),
    }
}

/// The parent that started this process as a worker, until the worker has taken its channel.
pub(super) fn called_by() -> Option<u32> {
    let parent = std::env::var(MARK).ok()?.parse().ok()?;
    // A program that a task starts inherits the mark but not the channel, which the worker has moved away from its stdin.
    sys::socket::is_made_by(std::io::stdin(), parent).then_some(parent)
}

/// Whether [`init`] was called in this process.
pub(super) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

/// What a worker is told first. The page it shares with its parent comes along, open, and behind it
/// the process slots, its own, and what the streams need.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) home: Vec<u8>,
    /// The process that began the session.
    pub(super) first: u32,
    /// The worker's part in the session.
    pub(super) member: u64,
    pub(super) big_endian_store: bool,
    pub(super) sealed_store: bool,
    pub(super) threshold: Option<usize>,
    /// Device and inode of the executable.
    pub(super) executable: (u64, u64),
    pub(super) output: output::Told,
    pub(super) share: Share,
    /// The signals that its parent has blocked, one bit each.
    pub(super) blocked: u64,
}

fn run(parent: u32, mut channel: Channel) -> ! {
    let Ok(post) = Post::take(parent, &channel) else { sys::process::end_with_group() };
    panics::note();
    let served = panic::catch_unwind(AssertUnwindSafe(|| greet_and_serve(&mut channel, &post)));
    // A panic that is no task's has been told of by the program's hook; it must not unwind into main.
    if let Ok(Err(error)) = served {
        give_up(&mut channel, &error);
    }
    post.leave()
}

/// What a worker is bound to: its parent, its end of the channel to it, its part in a session. When it ends, it lets go of them in order.
pub(super) struct Post {
    parent: u32,
    socket: Unshared<OwnedFd>,
    /// The first process of the session, where that is not the parent, and what shows its end.
    first: OnceLock<Option<(u32, OwnedFd)>>,
    /// The session, to be left when this worker ends.
    session: OnceLock<Store>,
    /// Held while this worker joins it.
    joining: Mutex<()>,
}

impl Post {
    /// From here on this process ends when its parent ends or has no more use for it, also in the middle of a task.
    pub(super) fn take(parent: u32, channel: &Channel) -> io::Result<Arc<Self>> {
        let process = sys::process::watch(parent);
        let post = Arc::new(Self {
            parent,
            socket: Unshared::new(channel.socket().try_clone_to_owned()?),
            first: OnceLock::new(),
            session: OnceLock::new(),
            joining: Mutex::default(),
        });
        ENDS.store(false, Ordering::Relaxed);
        // One that was inherited is the parent's.
        std::mem::forget(
            POST.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&post)),
        );
        let watched = Arc::clone(&post);
        sys::fork::watcher("ndferry-watch", move || {
            watched.watch(process.as_ref());
            watched.leave()
        })?;
        Ok(post)
    }

    /// Until the parent is gone, or has no more use for this worker; or the session's first process is gone, because then all end.
    fn watch(&self, parent: Option<&OwnedFd>) {
        // Before it is known whom to look after, and as long as output that is kept would else grow without end.
        let mut glance = Some(GLANCE);
        loop {
            let first = self.first.get().and_then(Option::as_ref).map(|(_, watch)| watch);
            let watched: Vec<_> = parent.into_iter().chain(first).map(OwnedFd::as_fd).collect();
            match sys::socket::wait_for_end(self.socket.as_fd(), &watched, glance) {
                Ok(false) if output::trim() == Some(false) => glance = None,
                Ok(false) => {}
                Ok(true) | Err(_) => return,
            }
        }
    }

    /// The process that began the session.
    pub(super) fn look_after(&self, first: u32) {
        let watch = if first == self.parent { None } else { sys::process::watch(first) };
        let _ = self.first.set(watch.map(|watch| (first, watch)));
    }

    /// Becomes part of the session at `home`, with all stores of this process.
    pub(super) fn join(
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

    /// Ends this process and what its tasks have started; the last worker of a session whose first process is gone cleans it up.
    pub(super) fn leave(&self) -> ! {
        ENDS.store(true, Ordering::Relaxed);
        // Who is about to join is waited for, and leaves: all the others may rely on it.
        let _joined = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let died = match self.first.get() {
            Some(Some((_, first))) => sys::process::has_ended(first),
            _ => {
                sys::socket::is_abandoned(&self.socket)
                    || sys::process::parent() != Some(self.parent)
            }
        };
        match self.session.get() {
            Some(store) if died => store.leave_with_the_dying(LINGER),
            Some(store) => store.leave(),
            None => {}
        }
        if died {
            clean_up_after(self.parent);
        }
        sys::process::end_with_group()
    }
}

/// Sweeps what a dead parent has left to nobody else: sessions that no worker had joined yet.
fn clean_up_after(parent: u32) {
    // Of what it had open, the lock may be the last to go; when it has ended, that is gone.
    if let Some(watch) = sys::process::watch(parent) {
        let mut waits =
            [sys::socket::Wait { descriptor: watch.as_fd(), for_writing: false, ready: false }];
        let _ = sys::socket::wait(&mut waits, Some(LINGER));
    }
    store::sweep_aside();
}

/// The process that began the session of `store`: this one, or where this is a worker, perhaps another.
pub(super) fn first_process(store: &Store) -> u32 {
    let post = POST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let outer = post.filter(|post| {
        post.session.get().is_some_and(|session| session.session_dir() == store.session_dir())
    });
    outer.map_or_else(std::process::id, |post| {
        post.first.get().and_then(Option::as_ref).map_or(post.parent, |(first, _)| *first)
    })
}

fn greet_and_serve(channel: &mut Channel, post: &Post) -> io::Result<()> {
    let Some(frame) = channel.next()? else {
        return Ok(());
    };
    match greeted(frame, post) {
        Ok(runner) => {
            channel.send(Head::new(Kind::Ready, 0, 0), &Payload::default())?;
            serve(channel, runner, Code::Named)
        }
        Err(error) => refuse(channel, 0, Report::Start { message: error.to_string() }),
    }
}

fn greeted(hello: Frame, post: &Post) -> Result<Runner> {
    let told: Hello = serde_json::from_slice(hello.payload.as_ref())
        .map_err(|error| Error::invalid_data(format!("the parent's first message: {error}")))?;
    let own = sys::process::executable_identity()
        .map_err(|error| Error::io("cannot open", error).at(sys::process::OWN_EXECUTABLE))?;
    if own != told.executable {
        return Err(Error::invalid_data("the worker runs another executable than its parent"));
    }
    let mut descriptors = hello.descriptors.into_iter();
    let page = descriptors
        .next()
        .ok_or_else(|| Error::invalid_data("the page shared with the parent did not come along"))?;
    let page = Page::of(page.into())
        .map_err(|error| Error::io("cannot map the page shared with the parent", error))?;
    let own = page.as_fd().try_clone_to_owned().and_then(|page| Page::of(page.into()));
    own.map(panics::leave_words_on)
        .map_err(|error| Error::io("cannot map the page shared with the parent", error))?;
    match (descriptors.next(), descriptors.next()) {
        (Some(slots), Some(own)) => budget::join(slots, own),
        _ => return Err(Error::invalid_data("the process slots did not come along")),
    }
    post.look_after(told.first);
    let output = output::Own::new(&told.output, &mut descriptors)
        .map_err(|error| Error::io("cannot take over the output", error))?;
    told.share.keep();
    let home = PathBuf::from(OsString::from_vec(told.home));
    let byte_order = if told.big_endian_store { ByteOrder::Big } else { ByteOrder::Little };
    let store = post.join(&home, byte_order, told.sealed_store, Member(told.member))?;
    // A signal for the parent's group may have come before this process had its own group. From here
    // on one that ends this process is a worker's death, which the session outlives.
    sys::signal::discard_and_unblock(told.blocked);
    Ok(Runner::new(&store, told.threshold, Side::Worker, Notes::new(page).with_output(output)))
}

/// Says why this worker does nothing more, as far as the channel still carries it.
pub(super) fn give_up(channel: &mut Channel, error: &io::Error) {
    let call = channel.arriving().map_or(0, |head| head.call);
    let _ = refuse(channel, call, Report::Argument { message: error.to_string() });
}

/// Says why this worker can do nothing.
pub(super) fn refuse(channel: &mut Channel, call: u64, report: Report) -> io::Result<()> {
    let bytes = serde_json::to_vec(&report).unwrap_or_default();
    channel.send(Head::new(Kind::Failed, call, 0), &Payload::of(bytes))?;
    channel.finish_sending()
}

/// Runs tasks until the parent is gone.
pub(super) fn serve(channel: &mut Channel, mut runner: Runner, code: Code<'_>) -> io::Result<()> {
    let mut arrived = 0;
    let mut waiting = VecDeque::new();
    loop {
        let frame = match waiting.pop_front() {
            Some(frame) => frame,
            None => match channel.next()? {
                Some(frame) => frame,
                None => return Ok(()),
            },
        };
        match frame.head.kind {
            Kind::Context => runner.set_context(frame),
            Kind::End => runner.end(),
            Kind::Tasks => {
                arrived += 1;
                let (call, (first, end)) = (frame.head.call, frame.head.span);
                let tasks = runner.receive(frame);
                for at in first..end {
                    if runner.is_recalled() || runner.is_spoiled() {
                        // What has arrived and was not begun goes back, as far as tasks go; nothing else can have come.
                        while let Received::Frame(_) = channel.receive()? {
                            arrived += 1;
                        }
                        arrived += waiting.drain(..).len() as u64;
                        send_results(channel, &mut runner, call)?;
                        channel
                            .send(Head::new(Kind::Returned, call, arrived), &Payload::default())?;
                        channel.finish_sending()?;
                        break;
                    }
                    if ENDS.load(Ordering::Relaxed) {
                        // Whoever would get the result is gone: nothing further is started.
                        return Ok(());
                    }
                    runner.run(&tasks, at, code);
                    if runner.is_full() {
                        send_results(channel, &mut runner, call)?;
                    }
                }
                if waiting.is_empty() {
                    match channel.at_hand()? {
                        Some(frame) => waiting.push_back(frame),
                        None => send_results(channel, &mut runner, call)?,
                    }
                }
            }
            Kind::Hello | Kind::Ready | Kind::Results | Kind::Returned | Kind::Failed => {}
        }
    }
}

fn send_results(channel: &mut Channel, runner: &mut Runner, call: u64) -> io::Result<()> {
    if let Some((head, payload)) = runner.results(call) {
        channel.send(head, &payload)?;
        channel.finish_sending()?;
        runner.sent();
    }
    Ok(())
}
