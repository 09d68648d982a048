//! Running a flow: setting values, requesting outputs, and the outcome.

use std::{collections::HashMap, fmt, panic::Location, time::Instant};

use super::{
    axes::Axes,
    engine::{FailFast, NoContext, OnError},
    graph::Flow,
    handle::{Handle, NodeId},
    node::{NodeKind, Value, ValueTree},
    outputs::Outputs,
    plan::Plan,
    report::{FlowReport, NodeReport, NodeState},
    state::{NodeProgress, RunState},
};
use crate::{
    Error, Result,
    pool::{Job, TaskError, TaskErrorKind},
};

/// The name of a run in errors that concern no single node.
const FLOW_LABEL: &str = "(a flow)";

/// A builder for a run of a flow.
///
/// [`Flow::on`] creates it. [`set`](RunBuilder::set) the inputs, then call one of these:
///
/// - [`get`](RunBuilder::get) returns the values, or the first failure as an error.
/// - [`run`](RunBuilder::run) returns an [`Outcome`]: the values that were computed, all failures,
///   and a report. Use it after [`Job::keep_going`], or to draw the run.
///
/// `M` is the error mode of the job: [`FailFast`] by default, and another type after
/// [`Job::keep_going`].
///
/// # Examples
///
/// ```
/// # use ndferry::{Pool, flow::Flow, pool::Backend};
/// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
/// let mut flow = Flow::new();
/// let (x, y) = (flow.input::<f64>("x"), flow.input::<f64>("y"));
/// let product = flow.node("product", (x, y), |x, y| x * y);
/// assert_eq!(flow.on(&pool).set(x, 3.0).set(y, 0.5).get(product)?, 1.5);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[must_use = "a flow runs when `get` or `run` is called"]
pub struct RunBuilder<'r, M = FailFast> {
    flow: &'r Flow,
    job: Job<'r, NoContext, M>,
    set: HashMap<usize, ValueTree>,
    problem: Option<Error>,
}

/// The outcome of [`RunBuilder::run`], which may include failures.
///
/// # Examples
///
/// See [`RunBuilder::run`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<P> {
    /// The requested outputs that were computed.
    ///
    /// Each handle gives an `Option<T>` or, in a fan-out, an `Option` of a list of these. If the
    /// run ended before all elements were read, the list contains the elements read so far.
    pub outputs: P,
    /// The failures. Without [`Job::keep_going`], at most one.
    pub failures: Vec<TaskError>,
    /// The state and time of each node.
    pub report: FlowReport,
}

impl Flow {
    /// Starts building a run on a pool.
    ///
    /// To set options, pass a [job](crate::Pool::job) of the pool instead of the pool:
    /// `flow.on(pool.job().retries(1))`. Timeouts, retries and batches apply to each step, a
    /// deadline and a cancel token to the whole run. A [label](Job::label) precedes the names of
    /// nodes in errors.
    ///
    /// The pool can have any backend.
    /// [`Backend::Serial`](crate::pool::Backend::Serial) runs the steps one after another in the
    /// calling thread, which is useful for debugging.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let text = flow.input_or("text", "seven".to_string());
    /// let number = flow.try_node("number", text, |text: &String| text.parse::<i32>());
    /// let error = flow.on(pool.job().retries(1).label("parse")).get(number).unwrap_err();
    /// assert!(error.to_string().starts_with("node parse.number failed"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn on<'r, M: OnError>(
        &'r self,
        pool: impl Into<Job<'r, NoContext, M>>,
    ) -> RunBuilder<'r, M> {
        RunBuilder { flow: self, job: pool.into(), set: HashMap::new(), problem: None }
    }
}

impl<M: OnError> RunBuilder<'_, M> {
    /// Sets the value of a node.
    ///
    /// The node is usually an input. Any other node can be set as well. It is then not computed,
    /// and neither are the nodes that only it needs.
    ///
    /// For a node in a fan-out, pass a list with a value for each element, nested like the
    /// fan-outs. The elements themselves are still read. To replace the elements, set the
    /// [`fan_out`](Flow::fan_out) node.
    ///
    /// Mistakes are reported by [`get`](RunBuilder::get) and [`run`](RunBuilder::run). A wrong
    /// number of elements is found when the fan-out turns out to have another number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let list = flow.input_or("list", vec![1, 2]);
    /// let x = flow.fan_out("x", list);
    /// let square = flow.node("square", x, |x| x * x);
    /// let sum = flow.fold("sum", square, 0, |sum, x| sum + x);
    /// assert_eq!(flow.on(&pool).get(sum)?, 5);
    /// assert_eq!(flow.on(&pool).set(square, vec![10, 20]).get(sum)?, 30);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn set<T: Value, A: Axes>(mut self, node: Handle<T, A>, values: A::Values<T>) -> Self {
        if node.id.flow == self.flow.id {
            self.set.insert(node.id.index, A::tree::<T>(values));
        } else {
            self.problem =
                Some(Error::invalid_input("a value is set for a handle of another flow"));
        }
        self
    }

    /// Runs the nodes that `outputs` need, and returns the values of `outputs`.
    ///
    /// A handle in a fan-out gives a list in the order of the elements.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let list = flow.input::<Vec<u64>>("list");
    /// let x = flow.fan_out("x", list);
    /// let square = flow.node("square", x, |x| x * x);
    /// let count = flow.node("count", list, Vec::len);
    /// let (squares, count) = flow.on(&pool).set(list, vec![2, 3]).get((square, count))?;
    /// assert_eq!((squares, count), (vec![4, 9], 2));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the flow fails its [check](Flow::check), an input that is needed is not set, or set
    ///   values do not match (found before a step runs, if possible),
    /// - a step fails: the first failure. After [`Job::keep_going`], the remaining steps that do
    ///   not depend on it run first. The error names the node and the element
    ///   ([`TaskError::task`], [`TaskError::element`]), or
    /// - workers cannot be started.
    ///
    /// # Panics
    ///
    /// Panics if the function of a [`fold`](Flow::fold) or the iterator of a
    /// [`fan_out`](Flow::fan_out) panics, because these run in the calling thread.
    #[track_caller]
    pub fn get<O: Outputs>(self, outputs: O) -> Result<O::Values> {
        let (trees, failures, _) = self.drive(&outputs.nodes(), false, Location::caller())?;
        if let Some(first) = failures.into_iter().next() {
            return Err(Error::task(first));
        }
        let lost =
            || Error::invalid_data("internal error: an output is missing, but no step has failed");
        outputs.values(&mut trees.into_iter()).ok_or_else(lost)
    }

    /// Runs the nodes that `outputs` need, and returns values, failures and a report.
    ///
    /// Like [`get`](RunBuilder::get), but a failed step is not an error. Combine it with
    /// [`Job::keep_going`] to run everything that does not depend on the failed step.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndferry::{Pool, flow::Flow, pool::Backend};
    /// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
    /// let mut flow = Flow::new();
    /// let texts = flow.input("texts");
    /// let text = flow.fan_out("text", texts);
    /// let number = flow.try_node("number", text, |text: &String| text.parse::<i32>());
    ///
    /// let list = ["1", "two", "3"].map(String::from).to_vec();
    /// let outcome = flow.on(pool.job().keep_going()).set(texts, list).run(number)?;
    /// assert_eq!(outcome.outputs, Some(vec![Some(1), None, Some(3)]));
    /// assert_eq!(
    ///     outcome.failures[0].to_string(),
    ///     "node number failed on text[1]: invalid digit found in string"
    /// );
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error like [`get`](RunBuilder::get), except for failed steps.
    ///
    /// # Panics
    ///
    /// See [`get`](RunBuilder::get).
    #[track_caller]
    pub fn run<O: Outputs>(self, outputs: O) -> Result<Outcome<O::Partial>> {
        let (trees, failures, report) = self.drive(&outputs.nodes(), true, Location::caller())?;
        Ok(Outcome { outputs: outputs.partial(&mut trees.into_iter()), failures, report })
    }

    fn drive(
        self,
        outputs: &[NodeId],
        detailed: bool,
        call_site: &'static Location<'static>,
    ) -> Result<(Vec<ValueTree>, Vec<TaskError>, FlowReport)> {
        let began = Instant::now();
        let Self { flow, mut job, set, problem } = self;
        problem.map_or(Ok(()), Err)?;
        let plan = Plan::new(flow, outputs, &set)?;
        let keeps_going = job.keeps_going();
        let label = job.label_or(FLOW_LABEL);
        let mut state = RunState::new(flow, &plan, set, outputs.len(), detailed);
        let mut run = job.run_nodes(call_site)?;
        let mut failures = Vec::new();
        let mut decided = Vec::new();
        while !state.is_done() && (keeps_going || failures.is_empty()) {
            state.look_ahead(run.window());
            let more = run.step(&mut state, u64::MAX, &mut decided)?;
            let news = !decided.is_empty();
            // If several steps failed at the same time, the step that began first is reported.
            decided.sort_unstable_by_key(|(index, _)| *index);
            for (index, outcome) in decided.drain(..) {
                let failure = state.finish_task(index, outcome);
                failures.extend(failure.map(|failure| match &label {
                    Some(label) => failure.labelled(label),
                    None => failure,
                }));
            }
            state.take_problem().map_or(Ok(()), Err)?;
            if run.is_interrupted() {
                let is_cancelled = |failure: &TaskError| failure.kind() == TaskErrorKind::Cancelled;
                if !failures.iter().any(is_cancelled) {
                    let (_, error) = run.skip();
                    let call_site = call_site.to_string();
                    failures.push(error.of_node(FLOW_LABEL.into(), String::new(), call_site));
                }
                break;
            }
            if !more && !news && state.is_stalled() {
                return Err(Error::invalid_data(
                    "internal error: flow stalled with unfinished nodes",
                ));
            }
        }
        state.take_problem().map_or(Ok(()), Err)?;
        drop(run);
        if !keeps_going {
            failures.truncate(1);
        }
        let progress = std::mem::take(&mut state.progress);
        let nodes = flow.nodes.iter().zip(progress).enumerate();
        let nodes = nodes.map(|(at, (node, progress))| {
            let NodeProgress { done, failed, skipped, time, elements } = progress;
            let state = if !plan.is_needed(at) {
                NodeState::NotNeeded
            } else if failed + skipped > 0 {
                NodeState::Failed
            } else if state.is_set(at) || matches!(node.kind, NodeKind::Input(_)) {
                NodeState::Given
            } else if state.is_finished(at) {
                NodeState::Done
            } else {
                NodeState::Unfinished
            };
            NodeReport { name: node.name.to_string(), state, done, failed, skipped, time, elements }
        });
        let nodes = nodes.collect();
        let trees = state.into_outputs(outputs);
        Ok((trees, failures, FlowReport { nodes, elapsed: began.elapsed() }))
    }
}

impl<M> fmt::Debug for RunBuilder<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunBuilder").field("flow", self.flow).finish_non_exhaustive()
    }
}
