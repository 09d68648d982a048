//! Worker processes behind two pipes, as an agent on another machine would be behind its
//! network.
//!
//! A reader thread for each worker takes the part of the thread that drives the network: it
//! queues frames and wakes the job.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use crate::{
    Error, Result,
    bytes::map::Buffer,
    pool::{
        transport::{
            Capabilities, Transport, WorkerLink,
            wait::{Ready, WaitSource, Waker},
        },
        wire::{
            frame::{Frame, FrameHead, FrameKind, HEAD_LEN, ParsedHead, Payload},
            message::{Sender, decode_report},
            remote,
            report::FailureReport,
        },
        worker::{
            panics,
            runner::TaskRunner,
            serve::{self, ParentStream},
        },
    },
    store::Store,
};

/// Set for a worker: how many tasks it runs at once.
const CAPACITY_ENV: &str = "NDFERRY_TEST_PIPE";
/// What a worker sends before its first frame. The test harness prints in front of it.
const START: &[u8] = b"\n== frames ==\n";

pub(super) struct PipeTransport {
    pub(super) capacity: usize,
}

impl Transport for PipeTransport {
    fn start(&self, _: &Store) -> Result<Box<dyn WorkerLink + Send>> {
        let cannot = |error: io::Error| Error::io("cannot start a worker behind pipes", error);
        let mut child = Command::new(std::env::current_exe().map_err(cannot)?)
            .args(["pool::transport::tests::worker", "--exact", "--nocapture", "--test-threads=1"])
            .env(CAPACITY_ENV, self.capacity.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (outgoing, frames) = mpsc::channel::<(FrameHead, Arc<Vec<u8>>)>();
        // A job must not wait for a worker that is busy and does not read.
        thread::spawn(move || {
            // A worker that is lost is noticed by the reader.
            frames.iter().try_for_each(|(head, bytes)| write_frame(&mut stdin, head, &bytes))
        });
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        let inbox = Arc::<Mutex<Inbox>>::default();
        let reader = {
            let (child, inbox) = (Arc::clone(&child), Arc::clone(&inbox));
            thread::spawn(move || {
                let lost = read_frames(stdout, |frame| Inbox::push(&inbox, Ok(frame)));
                let status = lock(&child).wait().ok();
                let died = FailureReport::Died {
                    signal: status.and_then(|status| status.signal()),
                    code: status.and_then(|status| status.code()),
                };
                let report = match lost {
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        FailureReport::Result { message: error.to_string() }
                    }
                    _ => died,
                };
                Inbox::push(&inbox, Err(report));
            })
        };
        Ok(Box::new(PipeWorker {
            id,
            capacity: self.capacity,
            child,
            outgoing: Some(outgoing),
            inbox,
            reader: Some(reader),
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

struct PipeWorker {
    id: u32,
    capacity: usize,
    child: Arc<Mutex<Child>>,
    outgoing: Option<mpsc::Sender<(FrameHead, Arc<Vec<u8>>)>>,
    inbox: Arc<Mutex<Inbox>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// What has arrived from a worker.
#[derive(Default)]
struct Inbox {
    arrived: VecDeque<Result<Frame, FailureReport>>,
    is_lost: bool,
    waker: Option<Arc<Waker>>,
}

impl Inbox {
    fn push(inbox: &Mutex<Self>, arrived: Result<Frame, FailureReport>) {
        let mut inbox = lock(inbox);
        inbox.is_lost |= arrived.is_err();
        inbox.arrived.push_back(arrived);
        inbox.waker.iter().for_each(|waker| waker.wake());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WorkerLink for PipeWorker {
    fn id(&self) -> u32 {
        self.id
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        assert!(
            payload.files.is_empty() && payload.arrays.is_empty(),
            "only bytes go through pipes"
        );
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send((head, Arc::clone(&payload.bytes)));
        }
        Ok(())
    }

    fn receive(&mut self, _: Ready) -> Option<Result<Frame, FailureReport>> {
        match lock(&self.inbox).arrived.pop_front()? {
            Ok(frame) if frame.head.kind == FrameKind::Failed => {
                Some(Err(decode_report(frame.payload.as_ref())))
            }
            arrived => Some(arrived),
        }
    }

    fn wait_source(&self) -> WaitSource<'_> {
        WaitSource::Waker
    }

    fn set_waker(&mut self, waker: &Arc<Waker>) {
        let mut inbox = lock(&self.inbox);
        if !inbox.arrived.is_empty() {
            waker.wake();
        }
        inbox.waker = Some(Arc::clone(waker));
    }

    fn is_alive(&self) -> bool {
        !lock(&self.inbox).is_lost
    }

    fn close(&mut self) {
        self.outgoing = None;
    }

    fn finish(&mut self) {
        self.close();
        if let Some(reader) = self.reader.take() {
            let _ = lock(&self.child).kill();
            let _ = reader.join();
        }
    }
}

impl Drop for PipeWorker {
    fn drop(&mut self) {
        self.finish();
    }
}

fn write_frame(to: &mut impl Write, head: FrameHead, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&head.encode(0, bytes.len()))?;
    to.write_all(bytes)?;
    to.flush()
}

/// The next frame; `None` if there is none.
fn read_frame(from: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD_LEN];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let parsed = ParsedHead::decode(&head)?.expect("all of it was read");
    let mut payload = Buffer::zeroed(parsed.length).map_err(io::Error::other)?;
    from.read_exact(payload.as_mut())?;
    Ok(Some(frame(parsed.head, payload)))
}

fn frame(head: FrameHead, payload: Buffer) -> Frame {
    Frame { head, payload, descriptors: Vec::new(), missing: 0, arrays: Vec::new() }
}

/// Reads what a worker sends, from the mark on that its first frame follows.
fn read_frames(mut from: impl Read, mut take: impl FnMut(Frame)) -> io::Result<()> {
    let mut seen = VecDeque::new();
    while seen != START {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        seen.push_back(byte[0]);
        if seen.len() > START.len() {
            seen.pop_front();
        }
    }
    while let Some(frame) = read_frame(&mut from)? {
        take(frame);
    }
    Ok(())
}

/// The parent, as one of the threads that run tasks sees it.
struct Parent {
    frames: mpsc::Receiver<Frame>,
    /// Batches of tasks that the thread has not finished. Nothing else counts: a thread that
    /// reads its context later than the others would look busy and get no task.
    load: Arc<AtomicUsize>,
    runs_tasks: bool,
    results: Arc<Mutex<File>>,
}

impl ParentStream for Parent {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        if std::mem::take(&mut self.runs_tasks) {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
        let frame = self.frames.recv().ok();
        self.runs_tasks = frame.as_ref().is_some_and(|frame| frame.head.kind == FrameKind::Tasks);
        Ok(frame)
    }

    fn buffered(&mut self) -> io::Result<Option<Frame>> {
        Ok(None)
    }

    fn arrived(&mut self) -> io::Result<Option<Frame>> {
        Ok(None)
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        write_frame(&mut *lock(&self.results), head, &payload.bytes)
    }
}

/// In a worker: runs tasks, with a thread for each that may run at once, and never returns.
pub(super) fn work() {
    let Some(capacity) = std::env::var(CAPACITY_ENV).ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    panics::install_hook();
    // Tasks and the test harness print to nowhere.
    let mut results = File::from(rustix::stdio::stdout().try_clone_to_owned().unwrap());
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null").unwrap()).unwrap();
    results.write_all(START).unwrap();
    let results = Arc::new(Mutex::new(results));
    let cores: Vec<_> = (0..capacity)
        .map(|_| {
            let (send, frames) = mpsc::channel();
            let load = Arc::<AtomicUsize>::default();
            let mut parent = Parent {
                frames,
                load: Arc::clone(&load),
                runs_tasks: false,
                results: Arc::clone(&results),
            };
            thread::spawn(move || {
                let runner = TaskRunner::new(&Store::new().unwrap(), None, Sender::Remote);
                let _ = serve::serve(&mut parent, runner, remote::NAMED);
            });
            (send, load)
        })
        .collect();
    let mut stdin = io::stdin().lock();
    while let Ok(Some(arrived)) = read_frame(&mut stdin) {
        let idlest = cores.iter().min_by_key(|(_, load)| load.load(Ordering::Relaxed)).unwrap();
        let has_tasks = arrived.head.kind == FrameKind::Tasks;
        for (send, load) in if has_tasks { std::slice::from_ref(idlest) } else { &cores } {
            load.fetch_add(has_tasks.into(), Ordering::Relaxed);
            let payload = Buffer::copy_of(arrived.payload.as_ref()).unwrap();
            send.send(frame(arrived.head, payload)).unwrap();
        }
    }
    std::process::exit(0);
}
