//! Handles of nodes.

use std::{fmt, marker::PhantomData};

use super::axes::Single;

/// A node and the flow that it belongs to.
#[derive(Clone, Copy)]
pub struct NodeId {
    pub(super) flow: u64,
    pub(super) index: usize,
}

/// A typed reference to a node of a [`Flow`](crate::flow::Flow).
///
/// `T` is the type of the node's values. `A` is their number: [`Single`] or, after a
/// [`fan_out`](crate::flow::Flow::fan_out),
/// [`PerElement`](crate::flow::marker::PerElement). A handle holds no value and is freely copied.
/// To get the values, pass it to [`RunBuilder::get`](crate::flow::RunBuilder::get).
///
/// # Examples
///
/// ```
/// use ndferry::flow::{Flow, Handle, marker::PerElement};
///
/// let mut flow = Flow::new();
/// let list: Handle<Vec<f64>> = flow.input("list");
/// let x: Handle<f64, PerElement> = flow.fan_out("x", list);
/// let squares: Handle<Vec<f64>> = {
///     let square = flow.node("square", x, |x| x * x);
///     flow.collect("squares", square)
/// };
/// ```
pub struct Handle<T, A = Single> {
    pub(super) id: NodeId,
    types: PhantomData<fn() -> (T, A)>,
}

impl<T, A> Handle<T, A> {
    pub(super) fn new(id: NodeId) -> Self {
        Self { id, types: PhantomData }
    }
}

impl<T, A> Clone for Handle<T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for Handle<T, A> {}

impl<T, A> fmt::Debug for Handle<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle(node {} of flow {})", self.id.index, self.id.flow)
    }
}
