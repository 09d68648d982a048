//! Tasks as they run: decoded, called, and their result or failure noted. The same in a worker process and in a thread.

use std::{
    any::Any,
    io::{self, Write as _},
    panic::AssertUnwindSafe,
    rc::Rc,
};

use bytemuck::Pod;
use ndarray::Dimension;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    channel::{Frame, Head, Kind, Payload},
    message::{Incoming, Maps, Packer, Side},
    notes::Notes,
    panics, remote,
};
use crate::{
    Error, Result,
    array::KeptMut,
    dtype::Element,
    error::Report,
    store::{Output, Part, Store},
    sys::clock,
};

/// Bytes of results that are sent without waiting for more.
const FULL: usize = 48 << 10;
/// Nanoseconds after which results are sent, although more tasks are at hand.
const STALE: u64 = 1_000_000;

/// Some tasks that arrived together.
pub(super) struct Tasks {
    head: Head,
    items: Result<Incoming>,
}

/// What runs tasks.
pub(super) struct Runner {
    store: Store,
    maps: Maps,
    /// The context of the call at hand, as it arrived, and once it was decoded.
    context: Option<(u64, Result<Incoming>)>,
    decoded: Option<Rc<dyn Any>>,
    /// What was built for the tasks of the call, or why it could not be: that is not tried again.
    state: Option<Result<Box<dyn Any>, Report>>,
    notes: Notes,
    results: Packer,
    /// When the first of the results that are to be sent was begun.
    since: u64,
    /// Whether the results have to be sent before anything else: one of them is nowhere else.
    urgent: bool,
    /// Bytes that arrived with the tasks.
    mapped: u64,
    /// Whether a task may have left behind what another would see.
    spoiled: bool,
    /// Whether what is on its way to stdout is all from tasks, for this to send off.
    prints: bool,
}

/// Where the code of a task comes from.
#[derive(Clone, Copy)]
pub(super) enum Code<'f> {
    /// The task names its function.
    Named,
    /// It is the same for every task: what a forked worker has inherited.
    Own(&'f Own<'f>),
}

/// The code of every task of a forked worker.
pub(super) type Own<'f> = dyn Fn(&mut Invocation<'_>) -> Result<(), Report> + 'f;

impl Runner {
    pub(super) fn new(store: &Store, threshold: Option<usize>, side: Side, notes: Notes) -> Self {
        Self {
            store: store.clone(),
            maps: Maps::default(),
            context: None,
            decoded: None,
            state: None,
            notes,
            results: Packer::new(store, threshold, side),
            since: 0,
            urgent: false,
            mapped: 0,
            spoiled: false,
            prints: side == Side::Worker,
        }
    }

    /// Leaves what is on its way to stdout alone: it is another's.
    pub(super) fn without_printing(self) -> Self {
        Self { prints: false, ..self }
    }

    pub(super) fn set_context(&mut self, frame: Frame) {
        self.forget();
        let call = frame.head.call;
        self.context = Some((call, Incoming::new(frame, &self.store)));
    }

    pub(super) fn receive(&mut self, frame: Frame) -> Tasks {
        let head = frame.head;
        let items = Incoming::new(frame, &self.store);
        self.mapped += items.as_ref().map_or(0, Incoming::mapped);
        Tasks { head, items }
    }

    /// Whether what was not begun is to be given back.
    pub(super) fn is_recalled(&self) -> bool {
        self.notes.is_recalled()
    }

    /// Whether no further task is to be run here.
    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// Runs the task number `at` of those that arrived together.
    pub(super) fn run(&mut self, tasks: &Tasks, at: u32, code: Code<'_>) {
        let index = tasks.head.index + u64::from(at);
        let now = self.notes.begin(index);
        if self.results.is_empty() {
            self.since = now;
        }
        if let Err(report) = self.outcome(tasks, at as usize, index, code) {
            let elapsed = clock::now().saturating_sub(now);
            self.results.push_report(index, &report, elapsed, &self.notes.said());
        }
        let (index, length, bytes) = self.results.last().expect("every task leaves an entry");
        self.urgent |= !(self.results.last_is_plain() && self.notes.end_with(index, length, bytes));
    }

    fn outcome(
        &mut self,
        tasks: &Tasks,
        at: usize,
        index: u64,
        code: Code<'_>,
    ) -> Result<(), Report> {
        let items = tasks
            .items
            .as_ref()
            .map_err(|error| Report::Argument { message: error.to_string() })?;
        let before = self.results.len();
        let [trampoline, function, build] = tasks.head.facts;
        let named;
        let run: &Own<'_> = match code {
            Code::Named => {
                named = remote::trampoline(trampoline).ok_or_else(|| Report::Argument {
                    message: "the code that runs the task is not in this program".into(),
                })?;
                &named
            }
            Code::Own(own) => own,
        };
        let mut job =
            Invocation { runner: self, items, at, index, call: tasks.head.call, function, build };
        // A task that unwinds leaves behind nothing that another one sees: its context is shared read-only, its item is its own, and
        // its state is dropped. What code of a worker's own has captured, it may have left half changed: there is no other task.
        let ran = panics::catch(AssertUnwindSafe(|| run(&mut job)));
        self.spoiled |= ran.is_err() && matches!(code, Code::Own(_));
        let report = match ran {
            Ok(Ok(())) if self.results.len() > before => return Ok(()),
            Ok(Ok(())) => Report::Result { message: "the task gave none".into() },
            Ok(Err(report)) => report,
            Err(report) => {
                // It may be half changed. Not let go of while the task unwinds: a second panic then would be the end of the worker.
                panics::discard(self.state.take());
                report
            }
        };
        if self.results.len() > before {
            self.results.pop();
        }
        Err(report)
    }

    /// Whether results are to be sent before the next task is begun.
    pub(super) fn is_full(&self) -> bool {
        self.urgent
            || self.results.nbytes() >= FULL
            || (!self.results.is_empty() && clock::now().saturating_sub(self.since) >= STALE)
    }

    /// The results that were not sent yet, for call number `call`.
    pub(super) fn results(&mut self, call: u64) -> Option<(Head, Payload)> {
        if self.results.is_empty() {
            return None;
        }
        if self.prints {
            // Whoever has a task's result has what it printed; and this process may be ended at any moment from then on.
            let _ = io::stdout().flush();
        }
        let message = self.results.finish();
        let ran = clock::now().saturating_sub(self.since);
        let mapped = std::mem::take(&mut self.mapped) + message.moved.mapped;
        let head = Head {
            facts: [ran, mapped, message.moved.copied],
            ..Head::new(Kind::Results, call, 0)
        };
        Some((head, message.payload))
    }

    /// The results are on their way.
    pub(super) fn sent(&mut self) {
        self.urgent = false;
        self.notes.sent();
    }

    /// The call is over.
    pub(super) fn end(&mut self) {
        self.forget();
        self.maps.clear();
    }

    fn forget(&mut self) {
        panics::discard(self.state.take());
        panics::discard(self.decoded.take());
        self.context = None;
    }
}

/// One task, from the side of the code that runs it.
pub(super) struct Invocation<'r> {
    runner: &'r mut Runner,
    items: &'r Incoming,
    at: usize,
    index: u64,
    call: u64,
    function: u64,
    build: u64,
}

impl Invocation<'_> {
    /// The user's function, as an offset in the program.
    pub(super) fn function(&self) -> u64 {
        self.function
    }

    /// The function that builds the state, as an offset in the program.
    pub(super) fn build(&self) -> u64 {
        self.build
    }

    /// The item.
    pub(super) fn item<I: DeserializeOwned>(&mut self) -> Result<I, Report> {
        self.items.value(self.at, &mut self.runner.maps).map_err(|error| Report::Argument {
            message: error.within("the item cannot be read").to_string(),
        })
    }

    /// The part of an array that the item stands for: its first index on the axis, and its elements, which no other process has.
    pub(super) fn part<A: Element + Pod, D: Dimension>(
        &mut self,
    ) -> Result<(usize, KeptMut<A, D>), Report> {
        let (output, part): (Output, Part) = self.item()?;
        let opened = output.range(&part).and_then(|range| Ok((range.start, output.open(part)?)));
        opened.map_err(|error| Report::Argument { message: error.to_string() })
    }

    /// The context of the call, decoded when the first task asks for it.
    pub(super) fn context<C: DeserializeOwned + 'static>(&mut self) -> Result<Rc<C>, Report> {
        let unreadable = |message: String| Report::Argument { message };
        let runner = &mut *self.runner;
        if runner.decoded.is_none() {
            let message = match &runner.context {
                Some((call, Ok(message))) if *call == self.call => message,
                Some((call, Err(error))) if *call == self.call => {
                    return Err(unreadable(error.to_string()));
                }
                _ => return Err(unreadable("the context of the call did not arrive".into())),
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

    /// What `build` makes of the call's context; once for all tasks, unless one panics.
    pub(super) fn state<C, S>(
        &mut self,
        build: impl FnOnce(&C) -> Result<S, Report>,
    ) -> Result<&mut S, Report>
    where
        C: DeserializeOwned + 'static,
        S: 'static,
    {
        if self.runner.state.is_none() {
            let failed = |why| Report::Build { why: Box::new(why) };
            let spec = self.context::<C>().map_err(failed)?;
            self.runner.notes.build();
            let built = panics::catch(AssertUnwindSafe(|| build(&spec)))
                .and_then(|built| built)
                .map_err(failed);
            self.runner.state = Some(built.map(|state| Box::new(state) as Box<dyn Any>));
            self.runner.notes.go_on(self.index);
        }
        let state = match &mut self.runner.state {
            Some(Err(report)) => return Err(report.clone()),
            Some(Ok(state)) => state.downcast_mut(),
            None => None,
        };
        state.ok_or_else(|| Report::Argument {
            message: "the state is of another type than the task takes".into(),
        })
    }

    /// Takes the result.
    pub(super) fn reply<R: Serialize>(&mut self, result: &R) -> Result<(), Report> {
        let pushed = self.runner.results.push(self.index, result);
        pushed.map_err(|error| Report::Result { message: error.to_string() })
    }
}
