//! Nodes and values as the graph and a run hold them, without their types.
//!
//! Some items are `pub` because hidden methods of the sealed marker traits use them. The module is
//! private, so users cannot name them.

use std::{
    any::{Any, TypeId},
    panic::Location,
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::engine::{MessageEntry, Packer, Reading, RemoteFunction};
use crate::Result;

/// A value that nodes can have: any owned serde value that threads can share.
///
/// It is implemented for every such type. Use it as a bound in functions that add nodes.
///
/// # Examples
///
/// ```
/// use ndferry::flow::{Flow, Handle, Value};
///
/// fn list_of<T: Value + Clone>(flow: &mut Flow, name: &str) -> Handle<Vec<T>> {
///     flow.input(name)
/// }
///
/// let numbers: Handle<Vec<f64>> = list_of(&mut Flow::new(), "numbers");
/// ```
pub trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// A value, shared by every node that needs it.
pub type ErasedValue = Arc<dyn Any + Send + Sync>;

/// All values of a node, nested like the fan-outs that the node is in.
#[derive(Clone)]
pub enum ValueTree {
    One(ErasedValue),
    Many(Vec<ValueTree>),
    /// The node failed, or one of its inputs did.
    Lost,
}

/// The value with its type. It is cloned only if it is still shared.
pub(super) fn owned<T: Clone + Send + Sync + 'static>(value: ErasedValue) -> Option<T> {
    value.downcast::<T>().ok().map(Arc::unwrap_or_clone)
}

pub(super) struct Node {
    pub(super) name: Arc<str>,
    /// The call in the user's code that added the node.
    pub(super) added: &'static Location<'static>,
    /// The fan-outs that the node is in, outermost first. A fan-out itself is the last of its own.
    pub(super) path: Arc<[usize]>,
    pub(super) inputs: Vec<usize>,
    pub(super) kind: NodeKind,
    pub(super) type_id: TypeId,
    pub(super) type_name: &'static str,
}

/// How a node gets its values.
pub(super) enum NodeKind {
    /// Set for each run, or this default.
    Input(Option<ErasedValue>),
    Step(StepFunction),
    /// Turns a list into an iterator over its elements.
    FanOut(fn(ErasedValue) -> Box<dyn Iterator<Item = ErasedValue>>),
    /// Turns all elements of a fan-out into a list.
    Collect(Gather),
    /// Combines the elements of a fan-out, one after another.
    Fold {
        start: ErasedValue,
        combine: Combine,
    },
    /// Turns the values of several nodes into a list.
    Group(Gather),
}

/// Makes a list of values of one type.
pub(super) type Gather = fn(Vec<ErasedValue>) -> ErasedValue;

/// Adds a value to a fold.
pub(super) type Combine = Arc<dyn Fn(ErasedValue, &ErasedValue) -> ErasedValue + Send + Sync>;

/// A function that runs as a task.
#[derive(Clone, Copy)]
pub(super) struct StepFunction {
    /// `None` if workers cannot find the function. The flow has then recorded a problem.
    pub(super) remote: Option<RemoteFunction>,
    pub(super) pack: fn(&[ErasedValue], u64, &mut Packer) -> Result<()>,
    /// Reads the time that the function took, in nanoseconds, and its result.
    pub(super) read: fn(Reading<'_>) -> MessageEntry<(u64, ErasedValue)>,
}

pub(super) fn read<R: Value>(reading: Reading<'_>) -> MessageEntry<(u64, ErasedValue)> {
    match reading.read::<(u64, R)>() {
        MessageEntry::Value(value) => {
            MessageEntry::Value(value.map(|(nanos, value)| (nanos, Arc::new(value) as ErasedValue)))
        }
        MessageEntry::Report(report, elapsed, stderr) => {
            MessageEntry::Report(report, elapsed, stderr)
        }
    }
}

pub(super) fn gather<T: Value + Clone>(values: Vec<ErasedValue>) -> ErasedValue {
    Arc::new(values.into_iter().filter_map(owned::<T>).collect::<Vec<T>>())
}
