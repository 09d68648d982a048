//! The life of a worker process: it waits for tasks, runs them one at a time, and ends with its parent.

use std::{
    any::Any,
    cell::RefCell,
    error::Error as StdError,
    ffi::OsString,
    fmt::Write as _,
    io::Write as _,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    rc::Rc,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    channel::{Channel, Frame, Head, Kind, Payload},
    message::{Incoming, Maps, Outgoing, Side, pack},
    remote,
};
use crate::{
    ByteOrder, Error, Result,
    error::Report,
    store::{Member, Store},
    sys,
};

/// The environment variable that makes a process a worker: the id of the parent it works for.
pub(super) const MARK: &str = "NDFERRY_WORKER";

/// Whether [`init`] was called.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// The session this worker is part of, to be left when it ends.
static SESSION: OnceLock<Store> = OnceLock::new();

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
/// Under `cargo test` there is no `main` to write it in: see [`PoolBuilder::test_entry`](crate::PoolBuilder::test_entry).
pub fn init() {
    INITIALISED.store(true, Ordering::Relaxed);
    let Some(parent) = called_by() else {
        return;
    };
    // With the channel but another parent: its own died before this line. There is nothing to work for.
    if sys::process::parent() != Some(parent) {
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

/// What a worker is told first.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) home: Vec<u8>,
    /// The worker's part in the session.
    pub(super) member: u64,
    pub(super) big_endian_store: bool,
    pub(super) threshold: Option<usize>,
    /// Device and inode of the executable.
    pub(super) executable: (u64, u64),
}

fn run(parent: u32, mut channel: Channel) -> ! {
    // Ends this process when the parent ends, also in the middle of a task.
    let process = sys::process::watch(parent);
    if let Ok(socket) = channel.socket().try_clone_to_owned() {
        let watch = std::thread::Builder::new().name("ndferry-watch".into());
        let watching = watch.spawn(move || {
            let _ = sys::socket::wait_for_end(socket.as_fd(), process.as_ref().map(OwnedFd::as_fd));
            leave()
        });
        if watching.is_ok() {
            note_panics();
            if let Err(error) = serve(&mut channel) {
                // The cause is told as far as the channel still carries it.
                if let Some(head) = channel.arriving() {
                    let report = Report::Argument { message: error.to_string() };
                    let _ = send_report(&mut channel, Head::new(Kind::Failed, head.call, head.index), &report);
                    let _ = channel.finish_sending();
                }
            }
        }
    }
    let _ = std::io::stdout().flush();
    leave()
}

/// Ends this process and what its tasks have started; the last worker of a session whose parent is gone cleans it up.
fn leave() -> ! {
    if let Some(store) = SESSION.get() {
        store.leave();
    }
    sys::process::end_with_group()
}

/// Serves until the parent is gone.
fn serve(channel: &mut Channel) -> std::io::Result<()> {
    let Some(frame) = channel.next()? else {
        return Ok(());
    };
    let mut worker = match Worker::new(&frame) {
        Ok(worker) => worker,
        Err(error) => {
            let report = Report::Start { message: error.to_string() };
            send_report(channel, Head::new(Kind::Failed, 0, 0), &report)?;
            return channel.finish_sending();
        }
    };
    channel.send(Head::new(Kind::Ready, 0, 0), &Payload::default())?;
    while let Some(frame) = channel.next()? {
        let head = frame.head;
        match head.kind {
            Kind::Context => worker.context = Some(worker.receive(frame).map(|message| (head.call, message))),
            Kind::Task => match worker.task(frame) {
                Ok(result) => {
                    channel.send(Head::new(Kind::Done, head.call, head.index), &result.payload)?;
                    channel.finish_sending()?;
                }
                Err(report) => {
                    send_report(channel, Head::new(Kind::Failed, head.call, head.index), &report)?;
                    channel.finish_sending()?;
                }
            },
            Kind::End => worker.end(),
            Kind::Hello | Kind::Ready | Kind::Done | Kind::Failed => {}
        }
    }
    Ok(())
}

fn send_report(channel: &mut Channel, head: Head, report: &Report) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(report).unwrap_or_default();
    channel.send(head, &Payload::of(bytes))
}

struct Worker {
    store: Store,
    threshold: Option<usize>,
    maps: Maps,
    /// The context of the call at hand, as it arrived, and once it was decoded.
    context: Option<Result<(u64, Incoming)>>,
    decoded: Option<Rc<dyn Any>>,
}

impl Worker {
    fn new(hello: &Frame) -> Result<Self> {
        let told: Hello = serde_json::from_slice(hello.payload.as_ref())
            .map_err(|error| Error::invalid(format!("the parent's first message: {error}")))?;
        let own = sys::process::executable_identity()
            .map_err(|error| Error::io("cannot open", error).at(sys::process::OWN_EXECUTABLE))?;
        if own != told.executable {
            return Err(Error::invalid("the worker runs another executable than its parent"));
        }
        let home = PathBuf::from(OsString::from_vec(told.home));
        let byte_order = if told.big_endian_store { ByteOrder::Big } else { ByteOrder::Little };
        let store = Store::join(&home, byte_order, Member(told.member))?;
        let _ = SESSION.set(store.clone());
        Ok(Self { store, threshold: told.threshold, maps: Maps::default(), context: None, decoded: None })
    }

    fn receive(&mut self, frame: Frame) -> Result<Incoming> {
        self.decoded = None;
        Incoming::new(frame, &self.store)
    }

    fn task(&mut self, frame: Frame) -> Result<Outgoing, Report> {
        let head = frame.head;
        let unreadable = |error: Error| Report::Argument { message: error.to_string() };
        let item = Incoming::new(frame, &self.store).map_err(unreadable)?;
        let Some(trampoline) = remote::trampoline(head.trampoline) else {
            return Err(Report::Argument { message: "the code that runs the task is not in this program".into() });
        };
        let mut job = Job { worker: self, item, call: head.call, function: head.function, result: None };
        // What an earlier panic, caught by a task, has left is not this task's.
        PANIC.take();
        // A task that unwinds leaves behind nothing that another one sees: its context is shared read-only, its item is its
        // own.
        match panic::catch_unwind(AssertUnwindSafe(|| trampoline(&mut job))) {
            Ok(done) => done?,
            Err(payload) => return Err(panic_report(payload.as_ref())),
        }
        job.result.take().ok_or_else(|| Report::Result { message: "the task gave none".into() })
    }

    fn end(&mut self) {
        // A context whose destructor panics must not take the worker with it.
        let (context, decoded) = (self.context.take(), self.decoded.take());
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop((decoded, context))));
        self.maps.clear();
    }
}

/// One task, from the trampoline's side.
pub(super) struct Job<'w> {
    worker: &'w mut Worker,
    item: Incoming,
    call: u64,
    function: u64,
    result: Option<Outgoing>,
}

impl Job<'_> {
    /// The user's function, as an offset in the program.
    pub(super) fn function(&self) -> u64 {
        self.function
    }

    /// The item.
    pub(super) fn item<I: DeserializeOwned>(&mut self) -> Result<I, Report> {
        self.item
            .unpack(&mut self.worker.maps, &[])
            .map_err(|error| Report::Argument { message: error.within("the item cannot be read").to_string() })
    }

    /// The context of the call, decoded when the first task asks for it.
    pub(super) fn context<C: DeserializeOwned + 'static>(&mut self) -> Result<Rc<C>, Report> {
        let unreadable = |message: String| Report::Argument { message };
        if self.worker.decoded.is_none() {
            let message = match &self.worker.context {
                Some(Ok((call, message))) if *call == self.call => message,
                Some(Err(error)) => return Err(unreadable(error.to_string())),
                _ => return Err(unreadable("the context of the call did not arrive".into())),
            };
            let context: C = message
                .unpack(&mut self.worker.maps, &[])
                .map_err(|error| unreadable(error.within("the context cannot be read").to_string()))?;
            self.worker.decoded = Some(Rc::new(context));
        }
        let decoded = self.worker.decoded.clone().expect("it was just decoded");
        decoded.downcast().map_err(|_| unreadable("the context is of another type than the task takes".into()))
    }

    /// Takes the result.
    pub(super) fn reply<R: Serialize>(&mut self, result: &R) -> Result<(), Report> {
        let packed = pack(result, &self.worker.store, self.worker.threshold, Side::Worker);
        self.result = Some(packed.map_err(|error| Report::Result { message: error.to_string() })?);
        Ok(())
    }
}

/// An error that a task returned, by its words. Words that cannot be had (a `Display` that panics) do not hide the error.
pub(super) fn describe<E: Into<Box<dyn StdError + Send + Sync>>>(error: E) -> Report {
    let type_name = std::any::type_name::<E>().to_owned();
    let Ok(error) = panic::catch_unwind(AssertUnwindSafe(|| error.into())) else {
        return Report::Error { message: format!("(an error of type {type_name})"), type_name, causes: Vec::new() };
    };
    let message = text(error.as_ref());
    let causes = panic::catch_unwind(AssertUnwindSafe(|| {
        let chain = std::iter::successors(error.source(), |&cause| cause.source());
        chain.take(MOST_CAUSES).map(text).collect()
    }));
    // Its words are safe by now, should it panic on its way out.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(error)));
    Report::Error { type_name, message, causes: causes.unwrap_or_default() }
}

/// Causes of an error that are told: more are a circle.
const MOST_CAUSES: usize = 64;

fn text(error: &dyn StdError) -> String {
    let words = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut text = String::new();
        write!(text, "{error}").map(|()| text)
    }));
    match words {
        Ok(Ok(text)) => text,
        _ => "(an error that cannot be printed)".into(),
    }
}

thread_local! {
    /// Location and backtrace of the latest panic of this thread.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// From here on a panic of this thread, which runs the tasks, is noted for its report. One of another thread, which a task
/// has started, goes the way it would in any program.
fn note_panics() {
    let (tasks, others) = (std::thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(
        move |info| {
            if std::thread::current().id() == tasks { note_panic(info) } else { others(info) }
        },
    ));
}

/// Keeps what the report of a panic needs and what is gone once it is caught.
fn note_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::force_capture().to_string();
    PANIC.with(|panic| {
        // In a panic while another is being noted, the first is the one to tell.
        if let Ok(mut panic) = panic.try_borrow_mut() {
            *panic = Some((location, backtrace));
        }
    });
}

fn panic_report(payload: &(dyn Any + Send)) -> Report {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a panic with something that is no text)".into()
    };
    let (location, backtrace) = PANIC.with(RefCell::take).unwrap_or_default();
    Report::Panic { message, location: Some(location).filter(|location| !location.is_empty()), backtrace }
}
