//! The Rust types of elements.

use bytemuck::{PodCastError, checked::CheckedCastError};
use serde::{Serialize, de::DeserializeOwned};

use super::scalar::{Scalar, scalars};

mod private {
    pub trait Sealed {}
}

/// A Rust type that can be an element of an array.
///
/// These are `bool`, `i8` to `i64`, `u8` to `u64`, [`half::f16`],
/// [`half::bf16`], `f32`, `f64`, and [`num_complex::Complex`] of `f32` and
/// `f64`.
///
/// You cannot implement this trait: ndferry reads elements straight from files,
/// which is sound only for types that it knows.
///
/// # Examples
///
/// ```
/// use ndferry::{DType, dtype::Element};
///
/// fn describe<A: Element>() -> String {
///     format!("{} bytes of {}", A::SCALAR.size(), DType::of::<A>().kind())
/// }
/// assert_eq!(describe::<u16>(), "2 bytes of u16");
/// ```
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

    /// Borrows bytes in native byte order as elements.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are misaligned, of the wrong length, or
    /// (for `bool`) neither 0 nor 1.
    #[doc(hidden)]
    fn cast(bytes: &[u8]) -> Result<&[Self], CastError>;

    /// Like [`cast`](Element::cast), but mutable.
    ///
    /// # Errors
    ///
    /// See [`cast`](Element::cast).
    #[doc(hidden)]
    fn cast_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError>;
}

/// The reason why bytes cannot be borrowed as elements.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastError {
    /// The address is not a multiple of the type's alignment.
    Misaligned,
    /// The length is not a multiple of the type's size.
    Length,
    /// A byte is not a value of the type.
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

impl From<CheckedCastError> for CastError {
    fn from(error: CheckedCastError) -> Self {
        match error {
            CheckedCastError::PodCastError(error) => error.into(),
            CheckedCastError::InvalidBitPattern => Self::Value,
        }
    }
}

macro_rules! implement_element {
    (() $($scalar:ident: $type:ty, $class:ident, $names:tt;)*) => {$(
        impl private::Sealed for $type {}
        impl Element for $type {
            const SCALAR: Scalar = Scalar::$scalar;

            fn cast(bytes: &[u8]) -> Result<&[Self], CastError> {
                Ok(checked_cast!($class, try_cast_slice(bytes))?)
            }

            fn cast_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError> {
                Ok(checked_cast!($class, try_cast_slice_mut(bytes))?)
            }
        }
    )*};
}

/// Calls bytemuck's function for types with or without invalid bytes.
macro_rules! checked_cast {
    (boolean, $function:ident($bytes:ident)) => {
        bytemuck::checked::$function($bytes)
    };
    ($class:ident, $function:ident($bytes:ident)) => {
        bytemuck::$function($bytes)
    };
}

scalars!(implement_element!());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::dispatch;

    #[test]
    fn dtype_scalars_match_their_rust_types() {
        for scalar in Scalar::ALL {
            dispatch!(scalar, A => {
                assert_eq!(size_of::<A>(), scalar.size());
                assert_eq!(A::SCALAR, scalar);
            });
        }
    }

    #[test]
    fn dtype_invalid_bool_bytes_are_refused() {
        assert_eq!(bool::cast(&[0, 1]).unwrap(), [false, true]);
        assert_eq!(bool::cast(&[0, 2]), Err(CastError::Value));
        assert_eq!(f64::cast(&bytemuck::bytes_of(&[0.0; 2])[..15]).unwrap_err(), CastError::Length);
    }
}
