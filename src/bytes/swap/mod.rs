//! Reversing the bytes of numbers, in place or in a copy.
//!
//! [`in_place`] and [`copy`] reverse units of one width, such as the 8 bytes of
//! an `f64`. A complex number is two units. [`to_order`] converts elements of
//! any dtype, including records with fields of different byte orders. You need
//! these functions only for raw bytes: [`AnyArray`](crate::AnyArray) and
//! [`SharedArray`](crate::SharedArray) swap their elements when necessary.
//!
//! The functions only move bits, so the payload of a NaN is kept. They use
//! several threads for large buffers.
//!
//! # Examples
//!
//! ```
//! use ndferry::{DType, dtype::ByteOrder, swap};
//!
//! let mut bytes = 1.5f64.to_be_bytes();
//! swap::to_order(&mut bytes, &">f8".parse::<DType>()?, ByteOrder::Little);
//! assert_eq!(f64::from_le_bytes(bytes), 1.5);
//! # Ok::<(), ndferry::Error>(())
//! ```

mod change;
mod reverse;

pub(crate) use change::Change;
pub use reverse::{copy, in_place};

use crate::{DType, dtype::ByteOrder};

/// Converts elements of `dtype` to `byte_order`, in place.
///
/// In records, each field in the other byte order is swapped. Afterwards the
/// elements are of `dtype.with_byte_order(byte_order)`.
///
/// # Examples
///
/// ```
/// use ndferry::{DType, dtype::ByteOrder, swap};
///
/// let mixed: DType = "[('a', '>u2'), ('b', '<u2'), ('c', '|S2')]".parse()?;
/// let mut bytes = [1, 2, 3, 4, 5, 6];
/// swap::to_order(&mut bytes, &mixed, ByteOrder::Big);
/// assert_eq!(bytes, [1, 2, 4, 3, 5, 6]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Panics
///
/// Panics if the length is not a multiple of the element size.
pub fn to_order(bytes: &mut [u8], dtype: &DType, byte_order: ByteOrder) {
    Change::to_order(dtype, byte_order).in_place(bytes);
}
