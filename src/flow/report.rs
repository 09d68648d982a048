//! What a run did, node by node.

use std::time::Duration;

/// The report of a run: the [`report`](crate::flow::Outcome::report) of an outcome.
///
/// To draw it, pass it to [`Flow::dot_after`](crate::flow::Flow::dot_after).
///
/// # Examples
///
/// ```
/// # use ndferry::{Pool, flow::{Flow, NodeState}, pool::Backend};
/// # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
/// let mut flow = Flow::new();
/// let list = flow.input_or("list", vec![1, 2]);
/// let x = flow.fan_out("x", list);
/// let next = flow.node("next", x, |x| x + 1);
///
/// let report = flow.on(&pool).run(next)?.report;
/// let node = &report.nodes[2];
/// assert_eq!((&*node.name, node.state, node.done), ("next", NodeState::Done, 2));
/// println!("{:?} in {} elements, {:?} in all", node.time, node.elements.len(), report.elapsed);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowReport {
    /// All nodes, in the order in which they were added.
    pub nodes: Vec<NodeReport>,
    /// The duration of the run.
    pub elapsed: Duration,
}

/// The report on one node of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeReport {
    /// The node's name.
    pub name: String,
    /// The node's final state.
    pub state: NodeState,
    /// The number of values that the node has.
    pub done: u64,
    /// The number of values that are missing because the node's function failed.
    pub failed: u64,
    /// The number of values that are missing because an input failed.
    pub skipped: u64,
    /// The total time that the node's function ran.
    pub time: Duration,
    /// The elements of the node, in the order in which they finished.
    pub elements: Vec<ElementReport>,
}

/// The final state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// No requested output needs the node.
    NotNeeded,
    /// The node's value was set, or is its default.
    Given,
    /// The run ended before the node had all its values.
    Unfinished,
    /// The node has all its values.
    Done,
    /// Values are missing because of a failure.
    Failed,
}

/// The report on one execution of a node's function.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElementReport {
    /// The index in each fan-out that the node is in, outermost first.
    ///
    /// It is empty if the node is in no fan-out.
    pub path: Vec<u64>,
    /// Whether there is a value. If not, the function or one of its inputs failed.
    pub done: bool,
    /// The time that the function ran.
    pub time: Duration,
}
