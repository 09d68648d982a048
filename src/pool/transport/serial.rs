//! The thread that runs a job as the only worker of that job: a task runs when its result is
//! received.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    LocalLink, WorkerLink,
    wait::{Ready, WaitSource},
};
use crate::{
    Error, Result,
    bytes::map::Page,
    pool::{
        wire::{
            frame::{Frame, FrameHead, FrameKind, Payload},
            message::Sender,
            remote,
            report::FailureReport,
            shared_page,
        },
        worker::{
            panics,
            runner::{ReceivedTasks, TaskRunner},
        },
    },
    store::Store,
};

/// The calling thread as a worker.
pub(crate) struct SerialWorker {
    runner: TaskRunner,
    page: Arc<Page>,
    tasks: VecDeque<(ReceivedTasks, FrameHead)>,
}

impl SerialWorker {
    pub(crate) fn start(store: &Store) -> Result<Self> {
        panics::install_hook();
        let (page, notes) =
            shared_page::in_process().map_err(|error| Error::io("cannot make a worker", error))?;
        let runner = TaskRunner::new(store, None, Sender::SameProcess).with_page(notes);
        Ok(Self { runner, page, tasks: VecDeque::new() })
    }
}

impl WorkerLink for SerialWorker {
    fn id(&self) -> u32 {
        std::process::id()
    }

    fn send(&mut self, head: FrameHead, payload: &Payload) -> io::Result<()> {
        let frame = Frame::handed_over(head, payload).map_err(io::Error::other)?;
        match head.kind {
            FrameKind::Context => self.runner.set_context(frame),
            FrameKind::Tasks => self.tasks.push_back((self.runner.receive(frame), head)),
            FrameKind::End => self.runner.end(),
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, _: Ready) -> Option<Result<Frame, FailureReport>> {
        let (tasks, head) = self.tasks.front_mut()?;
        self.runner.run(tasks, head.span.0, remote::NAMED);
        head.span.0 += 1;
        let (job, done) = (head.job, head.span.0 >= head.span.1);
        if done {
            self.tasks.pop_front();
        }
        let (head, payload) = self.runner.results(job)?;
        self.runner.sent();
        let frame = Frame::handed_over(head, &payload);
        Some(frame.map_err(|error| FailureReport::Result { message: error.to_string() }))
    }

    fn wait_source(&self) -> WaitSource<'_> {
        WaitSource::Immediate
    }

    fn is_alive(&self) -> bool {
        true
    }

    fn close(&mut self) {}

    fn finish(&mut self) {
        self.tasks.clear();
        self.runner.end();
    }

    fn local(&self) -> Option<&dyn LocalLink> {
        Some(self)
    }
}

impl LocalLink for SerialWorker {
    fn page(&self) -> &Page {
        &self.page
    }
}
