//! What a run of a flow has done.

use std::time::Duration;

/// What a run of a flow has done, node by node: [`Ran::report`](super::Ran::report).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowReport {
    /// All nodes, in the order in which they were added.
    pub nodes: Vec<NodeReport>,
    /// How long the run took.
    pub elapsed: Duration,
}

/// What has become of a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeReport {
    /// The node's name.
    pub name: String,
    /// In one word.
    pub state: NodeState,
    /// Values it has.
    pub done: u64,
    /// Values it does not have, because its function failed.
    pub failed: u64,
    /// Values it does not have, because what they are made from failed.
    pub skipped: u64,
    /// How long its function ran, all times together.
    pub time: Duration,
    /// Each of the times that its function ran, or should have, in the order in which they ended.
    pub elements: Vec<ElementReport>,
}

/// In what state a node was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// Nothing that was asked for needs it.
    NotNeeded,
    /// Its value was set, or is its default.
    Given,
    /// It was needed, and the run ended before all of it was done.
    Unfinished,
    /// It has all its values.
    Done,
    /// It lacks values, because of a failure.
    Failed,
}

/// One of the times that the function of a node ran.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElementReport {
    /// The place among the elements of each fan-out that the node is in, outermost first; of a node outside of all, nothing.
    pub path: Vec<u64>,
    /// Whether there is a value. `false`: it failed, or what it is made from did.
    pub done: bool,
    /// How long the function ran.
    pub time: Duration,
}
