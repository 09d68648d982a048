//! Inputs of a step: handles whose values its function gets.

use serde::Serialize;

use super::{
    axes::{Axes, Broadcast, Single},
    engine::{Arguments, Packer},
    handle::{Handle, NodeId},
    node::{ErasedValue, Value},
};
use crate::{Error, Result};

/// Keeps other crates from implementing [`Inputs`].
pub trait Sealed {}

/// Inputs of a step: `()`, a handle, or a tuple of up to eight handles.
///
/// If a handle is per element, the step is per element too, and gets the values of the other
/// handles for each element. The trait is sealed.
pub trait Inputs: Sealed {
    /// The values that the step's function gets references to.
    type Arguments: Arguments + Serialize;
    /// The number of values that the step has.
    type Axes: Axes;

    #[doc(hidden)]
    fn nodes(&self) -> Vec<NodeId>;
    #[doc(hidden)]
    fn pack(values: &[ErasedValue], index: u64, packer: &mut Packer) -> Result<()>;
}

fn argument<T: 'static>(values: &[ErasedValue], at: usize) -> Result<&T> {
    let value = values.get(at).and_then(|value| value.downcast_ref());
    value.ok_or_else(|| {
        Error::invalid_data("internal error: an input of a step has another type than its handle")
    })
}

impl Sealed for () {}

impl Inputs for () {
    type Arguments = ();
    type Axes = Single;

    fn nodes(&self) -> Vec<NodeId> {
        Vec::new()
    }

    fn pack(_: &[ErasedValue], index: u64, packer: &mut Packer) -> Result<()> {
        packer.push(index, &())
    }
}

impl<T: Value, A: Axes> Sealed for Handle<T, A> {}

impl<T: Value, A: Axes> Inputs for Handle<T, A> {
    type Arguments = (T,);
    type Axes = A;

    fn nodes(&self) -> Vec<NodeId> {
        vec![self.id]
    }

    fn pack(values: &[ErasedValue], index: u64, packer: &mut Packer) -> Result<()> {
        packer.push(index, &(argument::<T>(values, 0)?,))
    }
}

impl<T: Value, A: Axes> Sealed for (Handle<T, A>,) {}

impl<T: Value, A: Axes> Inputs for (Handle<T, A>,) {
    type Arguments = (T,);
    type Axes = A;

    fn nodes(&self) -> Vec<NodeId> {
        self.0.nodes()
    }

    fn pack(values: &[ErasedValue], index: u64, packer: &mut Packer) -> Result<()> {
        <Handle<T, A> as Inputs>::pack(values, index, packer)
    }
}

/// Implements [`Inputs`] for a tuple, given that it is implemented without the last handle.
macro_rules! inputs {
    ($($type:ident $axes:ident $at:tt),+; $last:ident $last_axes:ident $last_at:tt) => {
        impl<$($type: Value, $axes: Axes,)+ $last: Value, $last_axes: Axes> Sealed
            for ($(Handle<$type, $axes>,)+ Handle<$last, $last_axes>)
        {
        }

        impl<$($type: Value, $axes: Axes,)+ $last: Value, $last_axes: Axes> Inputs
            for ($(Handle<$type, $axes>,)+ Handle<$last, $last_axes>)
        where
            ($(Handle<$type, $axes>,)+): Inputs<Axes: Broadcast<$last_axes>>,
        {
            type Arguments = ($($type,)+ $last);
            type Axes =
                <<($(Handle<$type, $axes>,)+) as Inputs>::Axes as Broadcast<$last_axes>>::Output;

            fn nodes(&self) -> Vec<NodeId> {
                vec![$(self.$at.id,)+ self.$last_at.id]
            }

            fn pack(values: &[ErasedValue], index: u64, packer: &mut Packer) -> Result<()> {
                packer.push(
                    index,
                    &($(argument::<$type>(values, $at)?,)+ argument::<$last>(values, $last_at)?),
                )
            }
        }
    };
}

inputs!(A LA 0; B LB 1);
inputs!(A LA 0, B LB 1; C LC 2);
inputs!(A LA 0, B LB 1, C LC 2; D LD 3);
inputs!(A LA 0, B LB 1, C LC 2, D LD 3; E LE 4);
inputs!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4; F LF 5);
inputs!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4, F LF 5; G LG 6);
inputs!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4, F LF 5, G LG 6; H LH 7);
