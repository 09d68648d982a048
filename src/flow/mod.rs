//! Graphs of named steps that run on a pool.
//!
//! Use a [`Flow`] if several results are computed from shared intermediate values, and parts of
//! the computation run once for each element of a list. To apply one function to a list of items,
//! use [`Pool::map`](crate::Pool::map) instead.
//!
//! # Building
//!
//! You add nodes to a flow and get a [`Handle`] for each. A step is a function of other handles:
//!
//! ```
//! use ndferry::flow::{Flow, Handle};
//!
//! let mut flow = Flow::new();
//! let x = flow.input::<f64>("x"); // set for each run
//! let factor = flow.input_or("factor", 2.0); // has a default
//! let scaled: Handle<f64> = flow.node("scaled", (x, factor), |x, factor| x * factor);
//! let root = flow.try_node("root", scaled, |x| {
//!     if *x < 0.0 { Err("negative") } else { Ok(x.sqrt()) }
//! });
//! ```
//!
//! The function of a step gets references, because other steps may need the values as well. It is
//! a function, a method, or a closure that captures nothing. Arguments are limited to eight. Large
//! arrays should be [`SharedArray`](crate::SharedArray)s: they are written once, and every step
//! maps them.
//!
//! # Running
//!
//! [`Flow::on`] starts a run on a pool. Only the nodes that the requested outputs need are
//! computed, and independent steps run in parallel:
//!
//! ```
//! # use ndferry::{Pool, flow::Flow, pool::Backend};
//! # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
//! # let mut flow = Flow::new();
//! # let x = flow.input::<f64>("x");
//! # let root = flow.node("root", x, |x| x.sqrt());
//! let value = flow.on(&pool).set(x, 4.0).get(root)?; // the value, or the first failure
//! assert_eq!(value, 2.0);
//!
//! let outcome = flow.on(pool.job().keep_going()).set(x, 4.0).run(root)?; // and a report
//! assert_eq!(outcome.outputs, Some(2.0));
//! assert!(outcome.failures.is_empty());
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! # Fan-out
//!
//! [`Flow::fan_out`] runs the steps after it for each element of a list. The type of a handle
//! shows that: `Handle<T, PerElement>` has a value for each element. The compiler rejects a step
//! that needs one value and gets many. A step can use values from outside of the fan-out, which
//! are sent to each element. Fan-outs can be nested.
//!
//! # Several collects
//!
//! [`Flow::collect`] makes a list of a node's values for all elements. [`Flow::fold`] combines
//! them into one value. You can use both as often as you like, on any node of the fan-out. The
//! work for an element is done only once:
//!
//! ```
//! # use ndferry::{Pool, flow::{Flow, Handle, marker::PerElement}, pool::Backend};
//! # let pool = Pool::builder().workers(1).backend(Backend::Serial).build()?;
//! let mut flow = Flow::new();
//! let list = flow.input::<Vec<f64>>("list");
//! let x: Handle<f64, PerElement> = flow.fan_out("x", list);
//! let total = flow.fold("total", x, 0.0, |total, x| total + x);
//! let share = flow.node("share", (x, total), |x, total| x / total); // for each element
//! let shares = flow.collect("shares", share);
//! let largest = flow.fold("largest", share, 0.0, |largest: f64, share| largest.max(*share));
//!
//! let run = flow.on(&pool).set(list, vec![1.0, 3.0]);
//! assert_eq!(run.get((shares, largest))?, (vec![0.25, 0.75], 0.75));
//! # Ok::<(), ndferry::Error>(())
//! ```
//!
//! # Flows as data
//!
//! A flow contains functions, so it cannot be sent to a worker or stored in a file. A [`FlowSpec`]
//! can: it consists of a name, a [`FlowConfig`] and the names of the outputs. A [`FlowRegistry`]
//! builds the flow from it.
//!
//! # Flows inside workers
//!
//! A step of a flow, or any task of a pool, can build and run another flow. It gets a `FlowSpec`
//! as an argument and creates a pool, which has as many workers as there are free cores. See
//! [`FlowRegistry`] for an example.
//!
//! # Drawing
//!
//! [`Flow::dot`] draws the graph for Graphviz, [`Flow::dot_after`] the graph with the state and
//! time of each node after a run.
// A node is made from handles of earlier nodes, so a graph has no cycles. A task is sent the
// arguments of its step and nothing of the graph. A value is dropped after its last use.

mod axes;
mod dot;
mod graph;
mod handle;
mod inputs;
mod node;
mod outputs;
mod plan;
#[cfg(doctest)]
mod refused;
mod report;
mod run;
mod spec;
mod state;

pub use graph::Flow;
pub use handle::Handle;
pub use node::Value;
pub use report::{ElementReport, FlowReport, NodeReport, NodeState};
pub use run::{Outcome, RunBuilder};
pub use spec::{FlowConfig, FlowRegistry, FlowSpec};

/// Types and sealed traits in the signatures of [`Flow`] and [`Handle`].
///
/// You need them only to name the type of a handle, or to write functions that are generic over
/// handles.
pub mod marker {
    pub use super::{
        axes::{Axes, Broadcast, PerElement, Single},
        inputs::Inputs,
        outputs::Outputs,
    };
}

/// The parts of other modules that flows are built on.
mod engine {
    pub(super) use crate::{
        dtype::Quoted,
        pool::{
            Arguments, MessageEntry, Packer, Reading, RemoteFunction, Work,
            marker::{FailFast, NoContext, OnError, Returns, ReturnsResult, ReturnsValue},
        },
    };
}
