//! Outputs of a run: handles whose values the caller gets.

use super::{
    axes::Axes,
    handle::{Handle, NodeId},
    node::{Value, ValueTree},
};

/// Keeps other crates from implementing [`Outputs`].
pub trait Sealed {}

/// Outputs of a run: a handle, a `Vec` of handles of one type, or a tuple of up to eight of these.
///
/// The trait is sealed.
pub trait Outputs: Sealed {
    /// The values, each with the shape that its handle's [`Axes`] give.
    type Values;
    /// The same after failures, with an `Option` for each value.
    type Partial;

    #[doc(hidden)]
    fn nodes(&self) -> Vec<NodeId>;
    #[doc(hidden)]
    fn values(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Option<Self::Values>;
    #[doc(hidden)]
    fn partial(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Self::Partial;
}

impl<T: Value + Clone, A: Axes> Sealed for Handle<T, A> {}

impl<T: Value + Clone, A: Axes> Outputs for Handle<T, A> {
    type Values = A::Values<T>;
    type Partial = A::Partial<T>;

    fn nodes(&self) -> Vec<NodeId> {
        vec![self.id]
    }

    fn values(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Option<Self::Values> {
        A::values::<T>(trees.next()?)
    }

    fn partial(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Self::Partial {
        A::partial::<T>(trees.next().unwrap_or(ValueTree::Lost))
    }
}

impl<T: Value + Clone, A: Axes> Sealed for Vec<Handle<T, A>> {}

impl<T: Value + Clone, A: Axes> Outputs for Vec<Handle<T, A>> {
    type Values = Vec<A::Values<T>>;
    type Partial = Vec<A::Partial<T>>;

    fn nodes(&self) -> Vec<NodeId> {
        self.iter().map(|handle| handle.id).collect()
    }

    fn values(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Option<Self::Values> {
        self.iter().map(|handle| handle.values(trees)).collect()
    }

    fn partial(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Self::Partial {
        self.iter().map(|handle| handle.partial(trees)).collect()
    }
}

macro_rules! outputs {
    ($($part:ident $at:tt),+) => {
        impl<$($part: Outputs),+> Sealed for ($($part,)+) {}

        impl<$($part: Outputs),+> Outputs for ($($part,)+) {
            type Values = ($($part::Values,)+);
            type Partial = ($($part::Partial,)+);

            fn nodes(&self) -> Vec<NodeId> {
                let mut nodes = Vec::new();
                $(nodes.extend(self.$at.nodes());)+
                nodes
            }

            fn values(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Option<Self::Values> {
                Some(($(self.$at.values(trees)?,)+))
            }

            fn partial(&self, trees: &mut dyn Iterator<Item = ValueTree>) -> Self::Partial {
                ($(self.$at.partial(trees),)+)
            }
        }
    };
}

outputs!(A 0);
outputs!(A 0, B 1);
outputs!(A 0, B 1, C 2);
outputs!(A 0, B 1, C 2, D 3);
outputs!(A 0, B 1, C 2, D 3, E 4);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
