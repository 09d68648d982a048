//! The Rust types that are elements, and the one place that turns a run-time dtype into one of them.

use bytemuck::PodCastError;
use half::{bf16, f16};
use num_complex::Complex;
use serde::{Serialize, de::DeserializeOwned};

use super::Scalar;

mod private {
    pub trait Sealed {}
}

/// A Rust type that can be an element of an array: `bool`, `i8` … `i64`, `u8` … `u64`, [`half::f16`], [`half::bf16`],
/// `f32`, `f64`, and [`num_complex::Complex`] of `f32` and `f64`.
///
/// The trait is sealed: the crate's soundness rests on knowing every one of them.
pub trait Element:
    bytemuck::NoUninit
    + Default
    + PartialEq
    + std::fmt::Debug
    + Send
    + Sync
    + Serialize
    + DeserializeOwned
    + private::Sealed
{
    /// The run-time name of the type.
    const SCALAR: Scalar;

    /// Native bytes as elements: no copy. `Err` where they are misaligned, of a wrong length, or (for `bool`) out of range.
    #[doc(hidden)]
    fn cast(bytes: &[u8]) -> Result<&[Self], CastError>;

    /// As [`cast`](Element::cast), for writing.
    #[doc(hidden)]
    fn cast_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError>;
}

/// Why bytes are not elements.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastError {
    /// The address is not a multiple of the type's alignment.
    Misaligned,
    /// The length is not a multiple of the type's size.
    Length,
    /// Some byte is not a value of the type.
    Value,
}

impl From<PodCastError> for CastError {
    fn from(error: PodCastError) -> Self {
        match error {
            PodCastError::TargetAlignmentGreaterAndInputNotAligned => Self::Misaligned,
            _ => Self::Length,
        }
    }
}

macro_rules! elements {
    ($($type:ty => $scalar:ident),* $(,)?) => {$(
        impl private::Sealed for $type {}
        impl Element for $type {
            const SCALAR: Scalar = Scalar::$scalar;

            fn cast(bytes: &[u8]) -> Result<&[Self], CastError> {
                Ok(bytemuck::try_cast_slice(bytes)?)
            }

            fn cast_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError> {
                Ok(bytemuck::try_cast_slice_mut(bytes)?)
            }
        }
    )*};
}

elements! {
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
    Complex<f32> => C64, Complex<f64> => C128,
}

impl private::Sealed for bool {}
impl Element for bool {
    const SCALAR: Scalar = Scalar::Bool;

    fn cast(bytes: &[u8]) -> Result<&[Self], CastError> {
        bytemuck::checked::try_cast_slice(bytes).map_err(|_| CastError::Value)
    }

    fn cast_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError> {
        bytemuck::checked::try_cast_slice_mut(bytes).map_err(|_| CastError::Value)
    }
}

/// Runs an expression with `$A` standing for the Rust type of a [`Scalar`] known only at run time.
macro_rules! dispatch {
    ($scalar:expr, $A:ident => $body:expr) => {
        match $scalar {
            $crate::dtype::Scalar::Bool => {
                type $A = bool;
                $body
            }
            $crate::dtype::Scalar::I8 => {
                type $A = i8;
                $body
            }
            $crate::dtype::Scalar::I16 => {
                type $A = i16;
                $body
            }
            $crate::dtype::Scalar::I32 => {
                type $A = i32;
                $body
            }
            $crate::dtype::Scalar::I64 => {
                type $A = i64;
                $body
            }
            $crate::dtype::Scalar::U8 => {
                type $A = u8;
                $body
            }
            $crate::dtype::Scalar::U16 => {
                type $A = u16;
                $body
            }
            $crate::dtype::Scalar::U32 => {
                type $A = u32;
                $body
            }
            $crate::dtype::Scalar::U64 => {
                type $A = u64;
                $body
            }
            $crate::dtype::Scalar::F16 => {
                type $A = half::f16;
                $body
            }
            $crate::dtype::Scalar::BF16 => {
                type $A = half::bf16;
                $body
            }
            $crate::dtype::Scalar::F32 => {
                type $A = f32;
                $body
            }
            $crate::dtype::Scalar::F64 => {
                type $A = f64;
                $body
            }
            $crate::dtype::Scalar::C64 => {
                type $A = num_complex::Complex<f32>;
                $body
            }
            $crate::dtype::Scalar::C128 => {
                type $A = num_complex::Complex<f64>;
                $body
            }
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_types_agree() {
        for scalar in Scalar::ALL {
            dispatch!(scalar, A => {
                assert_eq!(size_of::<A>(), scalar.size());
                assert_eq!(A::SCALAR, scalar);
            });
        }
    }

    #[test]
    fn bytes_that_are_no_bool_are_refused() {
        assert_eq!(bool::cast(&[0, 1]).unwrap(), [false, true]);
        assert_eq!(bool::cast(&[0, 2]), Err(CastError::Value));
        assert_eq!(f64::cast(&bytemuck::bytes_of(&[0.0; 2])[..15]).unwrap_err(), CastError::Length);
    }
}
