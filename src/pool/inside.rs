//! Workers within this process: threads, and the calling thread itself.
//!
//! Items and results are encoded as for a worker process, so that what works here works there; arrays are handed over as they are.

use std::{collections::VecDeque, io, sync::Arc, thread};

use super::{
    channel::{Channel, Frame, Head, Kind, Payload, Received},
    link::Link,
    message::{Side, report},
    notes::Notes,
    panics,
    process::Recipe,
    task::{Code, Runner, Tasks},
    worker,
};
use crate::{Error, Result, bytes::map::Page, error::Report, sys::socket::Wait};

/// The two ends of a page in this process.
pub(super) fn page() -> io::Result<(Arc<Page>, Notes)> {
    use std::os::fd::AsFd as _;

    let page = Page::new()?;
    let notes = Notes::new(Page::of(page.as_fd().try_clone_to_owned()?.into())?);
    Ok((Arc::new(page), notes))
}

/// A worker that is a thread.
pub(super) struct Thread {
    channel: Option<Channel>,
    page: Arc<Page>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(recipe: &Recipe) -> Result<Self> {
        let cannot = |error: io::Error| Error::io("cannot start a worker thread", error);
        panics::note();
        let (ours, mut theirs) = Channel::within().map_err(cannot)?;
        let (page, notes) = page().map_err(cannot)?;
        let store = recipe.store.clone();
        let work = move || {
            let runner = Runner::new(&store, None, Side::Both, notes);
            if let Err(error) = worker::serve(&mut theirs, runner, Code::Named) {
                worker::give_up(&mut theirs, &error);
            }
        };
        let thread =
            thread::Builder::new().name("ndferry-worker".into()).spawn(work).map_err(cannot)?;
        Ok(Self { channel: Some(ours), page, thread: Some(thread) })
    }

    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("a thread in use has its channel")
    }
}

impl Link for Thread {
    fn id(&self) -> u32 {
        std::process::id()
    }

    fn page(&self) -> &Page {
        &self.page
    }

    fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        self.channel().send(head, payload)
    }

    fn waits(&self) -> Option<(Wait<'_>, Option<Wait<'_>>)> {
        self.channel.as_ref().map(|channel| (channel.wait(), None))
    }

    fn receive(&mut self, _: bool) -> Option<Result<Frame, Report>> {
        if let Err(error) = self.channel().flush() {
            return Some(Err(Report::Argument { message: error.to_string() }));
        }
        match self.channel().receive() {
            Ok(Received::NotYet) => None,
            Ok(Received::Frame(frame)) if frame.head.kind == Kind::Failed => {
                Some(Err(report(frame.payload.as_ref())))
            }
            Ok(Received::Frame(frame)) => Some(Ok(frame)),
            Ok(Received::Gone) => {
                Some(Err(Report::Result { message: "the worker thread is gone".into() }))
            }
            Err(error) => Some(Err(Report::Result { message: error.to_string() })),
        }
    }

    fn lives(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn hold(&self, _: bool) {}

    fn kill(&self) {
        // A thread cannot be ended by another; it begins nothing further.
        super::notes::recall(&self.page, true);
    }

    fn finish(&mut self) {
        self.channel = None;
        if let Some(thread) = self.thread.take() {
            // What a task panics with was caught before; a worker thread has nothing of its own to say.
            let _ = thread.join();
        }
    }

    fn close(&mut self) {
        self.channel = None;
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The calling thread as the only worker of one call: a task runs when its result is asked for.
pub(super) struct Serial {
    runner: Runner,
    page: Arc<Page>,
    tasks: VecDeque<(Tasks, Head)>,
}

impl Serial {
    pub(super) fn start(recipe: &Recipe) -> Result<Self> {
        panics::note();
        let (page, notes) = page().map_err(|error| Error::io("cannot make a worker", error))?;
        Ok(Self {
            runner: Runner::new(&recipe.store, None, Side::Both, notes),
            page,
            tasks: VecDeque::new(),
        })
    }
}

impl Link for Serial {
    fn id(&self) -> u32 {
        std::process::id()
    }

    fn page(&self) -> &Page {
        &self.page
    }

    fn send(&mut self, head: Head, payload: &Payload) -> io::Result<()> {
        let frame = Frame::handed_over(head, payload).map_err(io::Error::other)?;
        match head.kind {
            Kind::Context => self.runner.set_context(frame),
            Kind::Tasks => self.tasks.push_back((self.runner.receive(frame), head)),
            Kind::End => self.runner.end(),
            _ => {}
        }
        Ok(())
    }

    fn waits(&self) -> Option<(Wait<'_>, Option<Wait<'_>>)> {
        None
    }

    fn receive(&mut self, _: bool) -> Option<Result<Frame, Report>> {
        let (tasks, head) = self.tasks.front_mut()?;
        self.runner.run(tasks, head.span.0, Code::Named);
        head.span.0 += 1;
        let (call, done) = (head.call, head.span.0 >= head.span.1);
        if done {
            self.tasks.pop_front();
        }
        let (head, payload) = self.runner.results(call)?;
        self.runner.sent();
        let frame = Frame::handed_over(head, &payload);
        Some(frame.map_err(|error| Report::Result { message: error.to_string() }))
    }

    fn lives(&self) -> bool {
        true
    }

    fn hold(&self, _: bool) {}

    fn kill(&self) {}

    fn finish(&mut self) {
        self.tasks.clear();
        self.runner.end();
    }

    fn close(&mut self) {}
}
