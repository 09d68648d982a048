//! Nodes as the graph has them: values and functions without their types.

use std::{any::TypeId, panic::Location, sync::Arc};

use super::handle::{Data, Packing, Shared, Value, owned};
use crate::{
    Result,
    pool::{MessageEntry, Reading, RemoteFunction},
};

/// A node.
pub(super) struct Node {
    pub(super) name: Arc<str>,
    pub(super) added: &'static Location<'static>,
    /// The expands whose elements it is per, outermost first; of an expand, itself the last.
    pub(super) path: Arc<[usize]>,
    pub(super) inputs: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) type_id: TypeId,
    pub(super) type_name: &'static str,
}

/// What gives a node its values.
pub(super) enum Kind {
    /// Whoever runs the flow, or this.
    Input(Option<Value>),
    Step(Step),
    /// The elements of a list, which this opens.
    Expand(fn(Value) -> Box<dyn Iterator<Item = Value>>),
    /// All elements of a fan-out, which this makes a list.
    Collect(Gather),
    /// All elements of a fan-out, one after another.
    Fold {
        start: Value,
        combine: Combine,
    },
    /// Other nodes, which this makes a list.
    Group(Gather),
}

/// Makes values of one type a list of that type.
pub(super) type Gather = fn(Vec<Value>) -> Value;

/// Adds a value to what has been folded.
pub(super) type Combine = Arc<dyn Fn(Value, &Value) -> Value + Send + Sync>;

/// A function that runs as a task.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// `None`: it cannot be named to a worker, which is one of the flow's problems.
    pub(super) remote: Option<RemoteFunction>,
    pub(super) pack: fn(&[Shared], u64, &mut Packing<'_>) -> Result<()>,
    /// Reads how long it took, in nanoseconds, and its value.
    pub(super) read: fn(Reading<'_>) -> MessageEntry<(u64, Value)>,
}

pub(super) fn read<R: Data>(reading: Reading<'_>) -> MessageEntry<(u64, Value)> {
    match reading.read::<(u64, R)>() {
        MessageEntry::Value(value) => {
            MessageEntry::Value(value.map(|(took, value)| (took, Arc::new(value) as Value)))
        }
        MessageEntry::Report(report, elapsed, said) => MessageEntry::Report(report, elapsed, said),
    }
}

pub(super) fn gather<T: Data + Clone>(values: Vec<Value>) -> Value {
    Arc::new(values.into_iter().filter_map(owned::<T>).collect::<Vec<T>>())
}
