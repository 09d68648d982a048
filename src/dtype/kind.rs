//! The kinds of elements.

use std::fmt;

use super::{scalar::Scalar, time::TimeUnit};

/// The kind of an array's elements, without their byte order.
///
/// [`DType::kind`](crate::DType::kind) returns it.
///
/// # Examples
///
/// ```
/// use ndferry::{DType, dtype::DTypeKind};
///
/// let dtype: DType = "|S5".parse()?;
/// assert_eq!(*dtype.kind(), DTypeKind::Bytes(5));
/// assert_eq!(dtype.kind().to_string(), "strings of 5 bytes");
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DTypeKind {
    /// A boolean or a number, with a Rust type.
    Scalar(Scalar),
    /// A byte string of this length (`S`), padded with zeros.
    Bytes(usize),
    /// A text of this many characters of four bytes each (`U`), padded with
    /// zeros.
    Text(usize),
    /// A point in time, counted from 1970 (`M8`, NumPy's `datetime64`).
    DateTime(TimeUnit),
    /// A time span (`m8`, NumPy's `timedelta64`).
    TimeDelta(TimeUnit),
    /// This many bytes of unknown meaning (`V`).
    Void(usize),
    /// A record of this many named fields, which
    /// [`DType::fields`](crate::DType::fields) returns.
    Struct(usize),
}

impl DTypeKind {
    /// Bytes of a character of `U`.
    pub(crate) const CHARACTER_SIZE: usize = 4;

    /// Returns whether the elements themselves, apart from their fields, have a
    /// byte order.
    pub(super) fn has_byte_order(self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.size() > 1,
            Self::Text(_) | Self::DateTime(_) | Self::TimeDelta(_) => true,
            Self::Bytes(_) | Self::Void(_) | Self::Struct(_) => false,
        }
    }
}

/// Describes the elements in words, for messages.
impl fmt::Display for DTypeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.rust_name()),
            Self::Bytes(length) => write!(f, "strings of {length} bytes"),
            Self::Text(length) => write!(f, "texts of {length} characters"),
            Self::DateTime(_) => f.write_str("datetimes"),
            Self::TimeDelta(_) => f.write_str("lengths of time"),
            Self::Void(length) => write!(f, "{length} bytes of unknown type"),
            Self::Struct(fields) => write!(f, "structs of {fields} fields"),
        }
    }
}
