//! Running tasks: decoding, calling the function, and recording the result or the failure. All
//! kinds of workers use it.

use std::{
    any::Any,
    io::{self, Write as _},
    panic::AssertUnwindSafe,
    rc::Rc,
};

use bytemuck::Pod;
use ndarray::Dimension;
use serde::{Serialize, de::DeserializeOwned};

use super::panics;
use crate::{
    Error, Result,
    array::OwnedViewMut,
    dtype::Element,
    pool::{
        transport::process::stdio::OwnStreams,
        wire::{
            frame::{Frame, FrameHead, FrameKind, Payload},
            message::{FileMaps, IncomingMessage, Packer, Sender},
            report::{CapturedOutput, FailureReport},
            shared_page::PageWriter,
        },
    },
    store::{Output, Part, Store},
    sys::monotonic_nanos,
};

/// The number of bytes from which results are sent without waiting for more.
const MAX_UNSENT_LEN: usize = 48 << 10;
/// The time in nanoseconds after which results are sent, even if more tasks are available.
const MAX_UNSENT_NANOS: u64 = 1_000_000;

/// Tasks that arrived together.
pub(crate) struct ReceivedTasks {
    head: FrameHead,
    items: Result<IncomingMessage>,
}

/// Runs tasks.
pub(crate) struct TaskRunner {
    store: Store,
    maps: FileMaps,
    /// The context of the current job, encoded and, after the first use, decoded.
    context: Option<(u64, Result<IncomingMessage>)>,
    decoded: Option<Rc<dyn Any>>,
    /// The state for the tasks of the job, or the reason why it could not be built. It is built
    /// only once.
    state: Option<Result<Box<dyn Any>, FailureReport>>,
    /// The page shared with the parent, if any.
    page: Option<PageWriter>,
    streams: OwnStreams,
    results: Packer,
    /// The start of the first task whose result was not sent.
    since: u64,
    /// Whether the results must be sent before anything else, because one of them exists
    /// nowhere else.
    urgent: bool,
    /// The bytes that arrived with the tasks.
    mapped: u64,
    /// Whether a task may have left changed state that others would see.
    spoiled: bool,
    /// Whether buffered text of stdout belongs to tasks, so that it must be flushed here.
    prints: bool,
}

/// The source of a task's code.
#[derive(Clone, Copy)]
pub(crate) enum TaskCode<'f> {
    /// The task names its function, which this resolves.
    Named(fn(u64) -> Option<Trampoline>),
    /// The same code for every task, inherited by a forked worker.
    Inherited(&'f InheritedCode<'f>),
}

/// Code that decodes the arguments of the user's function and calls it.
pub(crate) type Trampoline = fn(&mut Invocation<'_>) -> Result<(), FailureReport>;

/// The code of all tasks of a forked worker.
pub(crate) type InheritedCode<'f> = dyn Fn(&mut Invocation<'_>) -> Result<(), FailureReport> + 'f;

impl TaskRunner {
    pub(crate) fn new(store: &Store, threshold: Option<usize>, side: Sender) -> Self {
        Self {
            store: store.clone(),
            maps: FileMaps::default(),
            context: None,
            decoded: None,
            state: None,
            page: None,
            streams: OwnStreams::default(),
            results: Packer::new(store, threshold, side),
            since: 0,
            urgent: false,
            mapped: 0,
            spoiled: false,
            prints: matches!(side, Sender::Worker | Sender::Remote),
        }
    }

    /// Records the current task on a page that the parent reads.
    pub(crate) fn with_page(self, page: PageWriter) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Reports the output of failing tasks from `streams`.
    pub(crate) fn with_streams(self, streams: OwnStreams) -> Self {
        Self { streams, ..self }
    }

    /// Never flushes stdout, because its buffer belongs to other code.
    pub(crate) fn without_printing(self) -> Self {
        Self { prints: false, ..self }
    }

    pub(crate) fn set_context(&mut self, frame: Frame) {
        self.forget();
        let job = frame.head.job;
        self.context = Some((job, IncomingMessage::new(frame, &self.store)));
    }

    pub(crate) fn receive(&mut self, frame: Frame) -> ReceivedTasks {
        let head = frame.head;
        let items = IncomingMessage::new(frame, &self.store);
        self.mapped += items.as_ref().map_or(0, IncomingMessage::mapped);
        ReceivedTasks { head, items }
    }

    /// Returns whether the next task may begin here. If not, the tasks that were not begun must
    /// be returned.
    pub(crate) fn claim(&self) -> bool {
        !self.spoiled && self.page.as_ref().is_none_or(PageWriter::claim)
    }

    /// Returns how many messages with tasks, from the first on, contain recalled tasks.
    pub(crate) fn recalled_messages(&self) -> u64 {
        self.page.as_ref().map_or(0, PageWriter::recalled_messages)
    }

    /// Lets tasks begin again, after those that were recalled are gone.
    pub(crate) fn end_recall(&self) {
        self.page.iter().for_each(PageWriter::end_recall);
    }

    /// Runs task number `at` of those that arrived together.
    pub(crate) fn run(&mut self, tasks: &ReceivedTasks, at: u32, code: TaskCode<'_>) {
        let index = tasks.head.index + u64::from(at);
        let now = match &self.page {
            Some(page) => page.begin(index, self.streams.positions()),
            None => monotonic_nanos(),
        };
        if self.results.is_empty() {
            self.since = now;
        }
        if let Err(report) = self.outcome(tasks, at as usize, index, code) {
            let elapsed = monotonic_nanos().saturating_sub(now);
            self.results.push_report(index, &report, elapsed, &self.captured_output());
        }
        let (index, length, bytes) = self.results.last().expect("every task leaves an entry");
        // Without a page, an unsent result would be lost with this worker.
        let is_noted = self.results.last_is_plain()
            && self.page.as_mut().is_some_and(|page| page.end_with(index, length, bytes));
        self.urgent |= !is_noted;
    }

    /// Returns the output of the current task, if it is captured.
    fn captured_output(&self) -> CapturedOutput {
        let since = self.page.as_ref().map_or([0, 0], PageWriter::output_before_task);
        self.streams.since(since)
    }

    fn outcome(
        &mut self,
        tasks: &ReceivedTasks,
        at: usize,
        index: u64,
        code: TaskCode<'_>,
    ) -> Result<(), FailureReport> {
        let items = tasks
            .items
            .as_ref()
            .map_err(|error| FailureReport::Argument { message: error.to_string() })?;
        let before = self.results.len();
        let [trampoline, function, build] = tasks.head.facts;
        let named;
        let run: &InheritedCode<'_> = match code {
            TaskCode::Named(resolve) => {
                named = resolve(trampoline).ok_or_else(|| FailureReport::Argument {
                    message: "the code that runs the task is not in this program".into(),
                })?;
                &named
            }
            TaskCode::Inherited(own) => own,
        };
        let mut job =
            Invocation { runner: self, items, at, index, job: tasks.head.job, function, build };
        // Other tasks see nothing of a task that unwinds: its context is shared read-only, its
        // item is its own, and its state is dropped. If inherited code may be half changed, no
        // other task runs here.
        let ran = panics::catch(AssertUnwindSafe(|| run(&mut job)));
        self.spoiled |= ran.is_err() && matches!(code, TaskCode::Inherited(_));
        let report = match ran {
            Ok(Ok(())) if self.results.len() > before => return Ok(()),
            Ok(Ok(())) => FailureReport::Result { message: "the task gave none".into() },
            Ok(Err(report)) => report,
            Err(report) => {
                // The state may be half changed. It is dropped after the unwinding, because a
                // second panic would abort the worker.
                panics::discard(self.state.take());
                report
            }
        };
        if self.results.len() > before {
            self.results.pop();
        }
        Err(report)
    }

    /// Returns whether results must be sent before the next task starts.
    pub(crate) fn is_full(&self) -> bool {
        self.urgent
            || self.results.nbytes() >= MAX_UNSENT_LEN
            || (!self.results.is_empty()
                && monotonic_nanos().saturating_sub(self.since) >= MAX_UNSENT_NANOS)
    }

    /// Returns the unsent results of job number `job`.
    pub(crate) fn results(&mut self, job: u64) -> Option<(FrameHead, Payload)> {
        if self.results.is_empty() {
            return None;
        }
        if self.prints {
            // The receiver of a result also expects the task's output, and may kill this
            // process at any time.
            let _ = io::stdout().flush();
        }
        let message = self.results.finish();
        let ran = monotonic_nanos().saturating_sub(self.since);
        let mapped = std::mem::take(&mut self.mapped) + message.moved.mapped;
        let head = FrameHead {
            facts: [ran, mapped, message.moved.copied],
            ..FrameHead::new(FrameKind::Results, job, 0)
        };
        Some((head, message.payload))
    }

    /// Records that the results were sent.
    pub(crate) fn sent(&mut self) {
        self.urgent = false;
        if let Some(page) = &mut self.page {
            page.sent();
        }
    }

    /// Releases everything of the job.
    pub(crate) fn end(&mut self) {
        self.forget();
        self.maps.clear();
    }

    fn forget(&mut self) {
        panics::discard(self.state.take());
        panics::discard(self.decoded.take());
        self.context = None;
    }
}

/// A task, for the code that runs it.
pub(crate) struct Invocation<'r> {
    runner: &'r mut TaskRunner,
    items: &'r IncomingMessage,
    at: usize,
    index: u64,
    job: u64,
    function: u64,
    build: u64,
}

impl Invocation<'_> {
    /// Returns the user's function as an offset in the program.
    pub(crate) fn function(&self) -> u64 {
        self.function
    }

    /// Returns the function that builds the state as an offset in the program.
    pub(crate) fn build(&self) -> u64 {
        self.build
    }

    /// Decodes the item.
    pub(crate) fn item<I: DeserializeOwned>(&mut self) -> Result<I, FailureReport> {
        self.items.value(self.at, &mut self.runner.maps).map_err(|error| FailureReport::Argument {
            message: error.within("the item cannot be read").to_string(),
        })
    }

    /// Returns the chunk of an array to fill: its first index on the axis, and its elements,
    /// which no other process accesses.
    pub(crate) fn part<A: Element + Pod, D: Dimension>(
        &mut self,
    ) -> Result<(usize, OwnedViewMut<A, D>), FailureReport> {
        let (output, part): (Output, Part) = self.item()?;
        let opened = output.range(&part).and_then(|range| Ok((range.start, output.open(part)?)));
        opened.map_err(|error| FailureReport::Argument { message: error.to_string() })
    }

    /// Returns the context of the job, which the first task decodes.
    pub(crate) fn context<C: DeserializeOwned + 'static>(
        &mut self,
    ) -> Result<Rc<C>, FailureReport> {
        let unreadable = |message: String| FailureReport::Argument { message };
        let runner = &mut *self.runner;
        if runner.decoded.is_none() {
            let message = match &runner.context {
                Some((job, Ok(message))) if *job == self.job => message,
                Some((job, Err(error))) if *job == self.job => {
                    return Err(unreadable(error.to_string()));
                }
                _ => return Err(unreadable("the context of the job did not arrive".into())),
            };
            let context: C = message.value(0, &mut runner.maps).map_err(|error: Error| {
                unreadable(error.within("the context cannot be read").to_string())
            })?;
            runner.decoded = Some(Rc::new(context));
        }
        let decoded = runner.decoded.clone().expect("it was just decoded");
        decoded
            .downcast()
            .map_err(|_| unreadable("the context is of another type than the task takes".into()))
    }

    /// Returns the state that `build` makes from the context. It is built once, and again after
    /// a panic.
    pub(crate) fn state<C, S>(
        &mut self,
        build: impl FnOnce(&C) -> Result<S, FailureReport>,
    ) -> Result<&mut S, FailureReport>
    where
        C: DeserializeOwned + 'static,
        S: 'static,
    {
        if self.runner.state.is_none() {
            let failed = |why| FailureReport::Build { why: Box::new(why) };
            let spec = self.context::<C>().map_err(failed)?;
            if let Some(page) = &self.runner.page {
                page.build();
            }
            let built = panics::catch(AssertUnwindSafe(|| build(&spec)))
                .and_then(|built| built)
                .map_err(failed);
            self.runner.state = Some(built.map(|state| Box::new(state) as Box<dyn Any>));
            if let Some(page) = &self.runner.page {
                page.go_on(self.index);
            }
        }
        let state = match &mut self.runner.state {
            Some(Err(report)) => return Err(report.clone()),
            Some(Ok(state)) => state.downcast_mut(),
            None => None,
        };
        state.ok_or_else(|| FailureReport::Argument {
            message: "the state is of another type than the task takes".into(),
        })
    }

    /// Encodes the result.
    pub(crate) fn reply<R: Serialize>(&mut self, result: &R) -> Result<(), FailureReport> {
        let pushed = self.runner.results.push(self.index, result);
        pushed.map_err(|error| FailureReport::Result { message: error.to_string() })
    }
}
