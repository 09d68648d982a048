//! How many values a node has, as types: one, or one for each element of its fan-outs.

use std::{marker::PhantomData, sync::Arc};

use super::node::{ErasedValue, ValueTree, owned};

/// Keeps other crates from implementing [`Axes`] and [`Broadcast`].
pub trait Sealed {}

/// The node has one value.
///
/// This is the default of [`Handle`](crate::flow::Handle), so you rarely have to write it.
#[derive(Clone, Copy, Debug)]
pub struct Single;

/// The node has one value for each element of a fan-out.
///
/// `Outer` describes the list that was fanned out. `PerElement` comes from one list,
/// `PerElement<PerElement>` from a list for each element of another fan-out.
#[derive(Clone, Copy, Debug)]
pub struct PerElement<Outer = Single>(PhantomData<Outer>);

/// The number of values that a node has: [`Single`], [`PerElement`], `PerElement<PerElement>`, ….
///
/// Use it as a bound if your function takes handles of any depth. The trait is sealed.
///
/// # Examples
///
/// ```
/// use ndferry::flow::{Flow, Handle, marker::Axes};
///
/// /// Adds a step that doubles its input, whether that is one value or one per element.
/// fn double<A: Axes>(flow: &mut Flow, name: &str, x: Handle<f64, A>) -> Handle<f64, A> {
///     flow.node(name, x, |x| 2.0 * x)
/// }
///
/// let mut flow = Flow::new();
/// let x = flow.input::<f64>("x");
/// double(&mut flow, "doubled", x);
/// ```
pub trait Axes: Sealed + 'static {
    /// All values of a node: `T`, `Vec<T>`, `Vec<Vec<T>>`, ….
    type Values<T>;
    /// The same after failures: `Option<T>`, `Option<Vec<Option<T>>>`, ….
    type Partial<T>;

    #[doc(hidden)]
    const DEPTH: usize;
    #[doc(hidden)]
    fn values<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Option<Self::Values<T>>;
    #[doc(hidden)]
    fn partial<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Self::Partial<T>;
    #[doc(hidden)]
    fn tree<T: Send + Sync + 'static>(values: Self::Values<T>) -> ValueTree;
}

impl Sealed for Single {}

impl Axes for Single {
    type Values<T> = T;
    type Partial<T> = Option<T>;
    const DEPTH: usize = 0;

    fn values<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Option<T> {
        match tree {
            ValueTree::One(value) => owned(value),
            ValueTree::Many(_) | ValueTree::Lost => None,
        }
    }

    fn partial<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Option<T> {
        Self::values(tree)
    }

    fn tree<T: Send + Sync + 'static>(values: T) -> ValueTree {
        ValueTree::One(Arc::new(values) as ErasedValue)
    }
}

impl<Outer: Axes> Sealed for PerElement<Outer> {}

impl<Outer: Axes> Axes for PerElement<Outer> {
    type Values<T> = Vec<Outer::Values<T>>;
    type Partial<T> = Option<Vec<Outer::Partial<T>>>;
    const DEPTH: usize = Outer::DEPTH + 1;

    fn values<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Option<Self::Values<T>> {
        match tree {
            ValueTree::Many(trees) => trees.into_iter().map(Outer::values::<T>).collect(),
            ValueTree::One(_) | ValueTree::Lost => None,
        }
    }

    fn partial<T: Clone + Send + Sync + 'static>(tree: ValueTree) -> Self::Partial<T> {
        match tree {
            ValueTree::Many(trees) => Some(trees.into_iter().map(Outer::partial::<T>).collect()),
            ValueTree::One(_) | ValueTree::Lost => None,
        }
    }

    fn tree<T: Send + Sync + 'static>(values: Self::Values<T>) -> ValueTree {
        ValueTree::Many(values.into_iter().map(Outer::tree::<T>).collect())
    }
}

/// Axes that can be combined in one step.
///
/// A value outside of a fan-out is broadcast to each of its elements. The trait is sealed.
pub trait Broadcast<Other: Axes>: Axes {
    /// The deeper of the two.
    type Output: Axes;
}

impl Broadcast<Single> for Single {
    type Output = Single;
}

impl<Outer: Axes> Broadcast<PerElement<Outer>> for Single {
    type Output = PerElement<Outer>;
}

impl<Outer: Axes> Broadcast<Single> for PerElement<Outer> {
    type Output = PerElement<Outer>;
}

impl<A: Broadcast<B>, B: Axes> Broadcast<PerElement<B>> for PerElement<A> {
    type Output = PerElement<A::Output>;
}
