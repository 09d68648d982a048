//! What an element is.

use std::fmt;

use super::{Fields, Scalar, TimeUnit};

/// What one element is, apart from its byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DTypeKind {
    /// A number or `bool`, which has a Rust type.
    Scalar(Scalar),
    /// So many bytes (`S`); what is shorter is filled up with zeros.
    Bytes(usize),
    /// So many characters of four bytes each (`U`); what is shorter is filled up with zeros.
    Text(usize),
    /// A point in time, counted from 1970 on (`M8`, NumPy's `datetime64`).
    DateTime(TimeUnit),
    /// A length of time (`m8`, NumPy's `timedelta64`).
    TimeDelta(TimeUnit),
    /// So many bytes of unknown meaning (`V`).
    Void(usize),
    /// Named fields.
    Struct(Fields),
}

impl DTypeKind {
    /// Bytes of a character.
    pub(crate) const CHARACTER: usize = 4;

    /// Bytes of one element.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Scalar(scalar) => scalar.size(),
            Self::Bytes(length) | Self::Void(length) => *length,
            Self::Text(length) => *length * Self::CHARACTER,
            Self::DateTime(_) | Self::TimeDelta(_) => TimeUnit::SIZE,
            Self::Struct(fields) => fields.item_size(),
        }
    }

    /// Whether elements have a byte order themselves, their fields left aside.
    pub(super) fn has_byte_order(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.size() > 1,
            Self::Text(_) | Self::DateTime(_) | Self::TimeDelta(_) => true,
            Self::Bytes(_) | Self::Void(_) | Self::Struct(_) => false,
        }
    }
}

/// In words, for messages.
impl fmt::Display for DTypeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.rust_name()),
            Self::Bytes(length) => write!(f, "strings of {length} bytes"),
            Self::Text(length) => write!(f, "texts of {length} characters"),
            Self::DateTime(_) => f.write_str("datetimes"),
            Self::TimeDelta(_) => f.write_str("lengths of time"),
            Self::Void(length) => write!(f, "{length} bytes of no known type"),
            Self::Struct(fields) => write!(f, "structs of {} fields", fields.len()),
        }
    }
}
