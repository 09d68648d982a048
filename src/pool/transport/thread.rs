//! Workers that are threads of this process.
//!
//! Items and results are encoded as for a worker process, so that a program that works with
//! threads works with processes. Arrays are handed over as they are.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{
    Capabilities, LocalLink, Transport, WorkerLink,
    wait::{Ready, WaitSource},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    pool::{
        wire::{
            channel::{Channel, Received},
            frame::{Frame, FrameHead, FrameKind, Payload},
            message::{Sender, decode_report},
            remote,
            report::FailureReport,
            shared_page,
        },
        worker::{panics, runner::TaskRunner, serve},
    },
    store::Store,
    sys::unshared::Origin,
};

thread_local! {
    /// The transport that this thread is a worker of.
    static OWN_TRANSPORT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Starts threads of this process.
pub(crate) struct ThreadTransport(u64);

impl ThreadTransport {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Transport for ThreadTransport {
    fn start(&self, store: &Store) -> Result<Box<dyn WorkerLink + Send>> {
        let cannot = |error: io::Error| Error::io("cannot start a worker thread", error);
        panics::install_hook();
        let (ours, mut theirs) = Channel::within().map_err(cannot)?;
        let (page, notes) = shared_page::in_process().map_err(cannot)?;
        let store = store.clone();
        let transport = self.0;
        let work = move || {
            OWN_TRANSPORT.set(Some(transport));
            let runner = TaskRunner::new(&store, None, Sender::SameProcess).with_page(notes);
            if let Err(error) = serve::serve(&mut theirs, runner, remote::NAMED) {
                serve::give_up(&mut theirs, &error);
            }
        };
        let thread =
            thread::Builder::new().name("ndferry-worker".into()).spawn(work).map_err(cannot)?;
        Ok(Box::new(ThreadWorker {
            channel: Some(ours),
            page,
            thread: Some(thread),
            origin: Origin::here(),
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::IN_PROCESS
    }

    fn is_this_thread(&self) -> bool {
        OWN_TRANSPORT.get() == Some(self.0)
    }
}

/// A worker that is a thread.
struct ThreadWorker {
    channel: Option<Channel>,
    page: Arc<Page>,
    thread: Option<thread::JoinHandle<()>>,
    /// The process that has the thread.
    origin: Origin,
}

impl ThreadWorker {
    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a thread in use has its channel")
    }
}

impl WorkerLink for ThreadWorker {
    fn id(&self) -> u32 {
        std::process::id()
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        self.channel().send(head, payload)
    }

    fn receive(&mut self, _: Ready) -> Option<Result<Frame, FailureReport>> {
        if let Err(error) = self.channel().flush() {
            return Some(Err(FailureReport::Argument { message: error.to_string() }));
        }
        match self.channel().receive() {
            Ok(Received::NotYet) => None,
            Ok(Received::Frame(frame)) if frame.head.kind == FrameKind::Failed => {
                Some(Err(decode_report(frame.payload.as_ref())))
            }
            Ok(Received::Frame(frame)) => Some(Ok(frame)),
            Ok(Received::Gone) => {
                Some(Err(FailureReport::Result { message: "the worker thread has ended".into() }))
            }
            Err(error) => Some(Err(FailureReport::Result { message: error.to_string() })),
        }
    }

    fn wait_source(&self) -> WaitSource<'_> {
        match &self.channel {
            Some(channel) => WaitSource::Descriptors { incoming: channel.wait(), end: None },
            // The channel is closed, so nothing arrives.
            None => WaitSource::Waker,
        }
    }

    fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn close(&mut self) {
        self.channel = None;
    }

    fn finish(&mut self) {
        self.channel = None;
        if let Some(thread) = self.thread.take().filter(|_| self.origin.is_here()) {
            // Panics of tasks are caught earlier, and no other code of a worker thread panics.
            let _ = thread.join();
        }
    }

    fn local(&self) -> Option<&dyn LocalLink> {
        Some(self)
    }
}

impl LocalLink for ThreadWorker {
    fn page(&self) -> &Page {
        &self.page
    }

    fn kill(&self) {
        // A thread cannot kill another thread, but this keeps it from starting more tasks.
        shared_page::recall(&self.page, 0);
    }
}

impl Drop for ThreadWorker {
    fn drop(&mut self) {
        self.finish();
    }
}
