//! What is asked of a flow, with what, and what came of it.

use std::{collections::HashMap, fmt, panic::Location, time::Instant};

use super::{
    Data, Flow, FlowReport, Handle, Kind, Level, NodeReport, NodeState, Outputs,
    handle::Found,
    plan::Plan,
    state::{State, Tally},
};
use crate::{
    Error, Result,
    pool::{
        Job,
        marker::{FailFast, NoContext, OnError},
    },
    pool::{TaskError, TaskErrorKind},
};

/// A run of a flow being made up: values are set, something is asked for.
#[must_use = "a flow runs when it is asked for something"]
pub struct Run<'r, M = FailFast> {
    flow: &'r Flow,
    call: Job<'r, NoContext, M>,
    set: HashMap<usize, Found>,
    problem: Option<Error>,
}

/// What came of a run: [`Run::run`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Ran<K> {
    /// What was asked for, as far as it came to be: for each handle an `Option<T>`, or one of a list of them for each fan-out that it is in. Of a
    /// fan-out whose elements were not all taken, because the run was ended before, those that were.
    pub outputs: K,
    /// What failed. Without [`keep_going`](Call::keep_going), the first failure.
    pub failures: Vec<TaskError>,
    /// What was done.
    pub report: FlowReport,
}

impl Flow {
    /// A run of the flow on a pool, or on a [call](crate::Pool::call) of it with options: `flow.on(pool.call().retries(1))`. A call's options are for each
    /// step, but for those that are about the call as a whole; its [label](Call::label) goes before the nodes' names in errors.
    ///
    /// Over which backend does not matter: [`Backend::Serial`](crate::pool::Backend::Serial) runs the steps one after another in this thread.
    pub fn on<'r, M: OnError>(&'r self, pool: impl Into<Job<'r, NoContext, M>>) -> Run<'r, M> {
        Run { flow: self, call: pool.into(), set: HashMap::new(), problem: None }
    }
}

impl<M: OnError> Run<'_, M> {
    /// Gives a node its value: an input, or any other, which then is not computed, nor what only that needs.
    ///
    /// Of a node that is per element, all values, as the elements are nested. As many as there are elements, which are taken all the same: anything
    /// else is an error, before the run where it can be told, and else when the fan-out turns out to have another number of them. (To replace
    /// the elements, set the [`expand`](Flow::expand) itself.)
    pub fn set<T: Data, L: Level>(mut self, node: Handle<T, L>, values: L::Shape<T>) -> Self {
        if node.flow == self.flow.id {
            self.set.insert(node.node, L::given::<T>(values));
        } else {
            self.problem =
                Some(Error::invalid_input("a value is set by the handle of another flow"));
        }
        self
    }

    /// Runs what is needed for `outputs`, and gives their values: of a handle that is per element all of them, in the elements' order.
    ///
    /// # Errors
    ///
    /// Where the flow has [problems](Flow::check), an input that is needed has no value, or values were set that do not fit: before
    /// anything runs. Where a step fails: the first failure, or after [`keep_going`](Call::keep_going) the first of all, once all that does not depend on it is done. It names the node and
    /// the element: [`TaskError::task`], [`TaskError::element`].
    ///
    /// # Panics
    ///
    /// Where the function of a [`fold`](Flow::fold), or an iterator of an [`expand`](Flow::expand), panics: they run in this thread.
    #[track_caller]
    pub fn get<O: Outputs>(self, outputs: O) -> Result<O::Values> {
        let (found, failures, _) = self.drive(&outputs.wanted(), false, Location::caller())?;
        if let Some(first) = failures.into_iter().next() {
            return Err(Error::task(first));
        }
        let lost =
            || Error::invalid_data("a run without failures has lost a value that was asked for");
        outputs.values(&mut found.into_iter()).ok_or_else(lost)
    }

    /// As [`get`](Run::get), and tells what was done. A failed step is part of what came of it: with
    /// [`keep_going`](Call::keep_going) all that does not depend on it is done as well.
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// let mut flow = ndferry::flow::Flow::new();
    /// let texts = flow.input("texts");
    /// let text = flow.expand("text", texts);
    /// let number = flow.try_node("number", text, |text: &String| text.parse::<i32>());
    ///
    /// let ran = flow.on(pool.call().keep_going()).set(texts, ["1", "two", "3"].map(String::from).to_vec()).run(number)?;
    /// assert_eq!(ran.outputs, Some(vec![Some(1), None, Some(3)]));
    /// assert_eq!(ran.failures[0].to_string(), "node number failed on text[1]: invalid digit found in string");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](Run::get), but for failed steps; where workers cannot be had.
    ///
    /// # Panics
    ///
    /// As [`get`](Run::get).
    #[track_caller]
    pub fn run<O: Outputs>(self, outputs: O) -> Result<Ran<O::Kept>> {
        let (found, failures, report) = self.drive(&outputs.wanted(), true, Location::caller())?;
        Ok(Ran { outputs: outputs.kept(&mut found.into_iter()), failures, report })
    }

    fn drive(
        self,
        wanted: &[(u64, usize)],
        detailed: bool,
        call_site: &'static Location<'static>,
    ) -> Result<(Vec<Found>, Vec<TaskError>, FlowReport)> {
        let began = Instant::now();
        let Self { flow, mut call, set, problem } = self;
        problem.map_or(Ok(()), Err)?;
        let plan = Plan::new(flow, wanted, &set)?;
        let keeps_going = call.keeps_going();
        let label = call.label_or("(a flow)");
        let mut state = State::new(flow, &plan, set, wanted.len(), detailed);
        let mut run = call.run_nodes(call_site)?;
        let mut failures = Vec::new();
        let mut decided = Vec::new();
        while !state.is_done() && (keeps_going || failures.is_empty()) {
            state.look_ahead(run.window());
            let more = run.step(&mut state, u64::MAX, &mut decided)?;
            let news = !decided.is_empty();
            // Of several failures at a time, the first to have been begun is the one to tell.
            decided.sort_unstable_by_key(|(index, _)| *index);
            for (index, outcome) in decided.drain(..) {
                let failure = state.decide(index, outcome);
                failures.extend(failure.map(|failure| match &label {
                    Some(label) => failure.labelled(label),
                    None => failure,
                }));
            }
            state.problem().map_or(Ok(()), Err)?;
            if run.is_interrupted() {
                if !failures
                    .iter()
                    .any(|failure: &TaskError| failure.kind() == TaskErrorKind::Cancelled)
                {
                    let (_, error) = run.skip();
                    failures.push(error.of_node(
                        "(a flow)".into(),
                        String::new(),
                        call_site.to_string(),
                    ));
                }
                break;
            }
            if !more && !news && state.is_stuck() {
                return Err(Error::invalid_data(
                    "a flow has come to no end, and nothing of it can run",
                ));
            }
        }
        state.problem().map_or(Ok(()), Err)?;
        drop(run);
        if !keeps_going {
            failures.truncate(1);
        }
        let tallies = std::mem::take(&mut state.tallies);
        let nodes = flow.nodes.iter().zip(tallies).enumerate();
        let nodes = nodes.map(|(at, (node, tally))| {
            let Tally { done, failed, skipped, time, elements } = tally;
            let state = match plan.places[at] {
                None => NodeState::NotNeeded,
                Some(_) if failed + skipped > 0 => NodeState::Failed,
                Some(_) if state.is_set(at) || matches!(node.kind, Kind::Input(_)) => {
                    NodeState::Given
                }
                Some(_) if state.is_finished(at) => NodeState::Done,
                Some(_) => NodeState::Unfinished,
            };
            NodeReport { name: node.name.to_string(), state, done, failed, skipped, time, elements }
        });
        let nodes = nodes.collect();
        let outputs = state.outputs(wanted);
        Ok((outputs, failures, FlowReport { nodes, elapsed: began.elapsed() }))
    }
}

impl<M> fmt::Debug for Run<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("flow", self.flow).finish_non_exhaustive()
    }
}
