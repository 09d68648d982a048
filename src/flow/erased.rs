//! Values without their types, as the graph and a run hold them.
//!
//! The items are `pub` because hidden methods of the sealed marker traits use them. The module is
//! private, so users cannot name them.

use std::{any::Any, sync::Arc};

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
