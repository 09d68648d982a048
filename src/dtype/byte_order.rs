//! The order of the bytes of a number.

use std::fmt;

/// The order of the bytes of a number in memory.
///
/// # Examples
///
/// ```
/// use ndferry::dtype::ByteOrder;
///
/// assert!(ByteOrder::NATIVE.is_native());
/// assert_eq!(ByteOrder::Little.opposite(), ByteOrder::Big);
/// assert_eq!(ByteOrder::Big.to_string(), "big");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first (`<`).
    Little,
    /// Most significant byte first (`>`).
    Big,
}

impl ByteOrder {
    /// The byte order of the machine that this program was compiled for.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// Returns the other byte order.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::ByteOrder;
    ///
    /// assert_eq!(ByteOrder::Little.opposite(), ByteOrder::Big);
    /// ```
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    /// Returns whether this is the byte order of the machine.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::dtype::ByteOrder;
    ///
    /// assert!(ByteOrder::NATIVE.is_native());
    /// assert!(!ByteOrder::NATIVE.opposite().is_native());
    /// ```
    #[must_use]
    pub fn is_native(self) -> bool {
        self == Self::NATIVE
    }
}

impl fmt::Display for ByteOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Little => "little",
            Self::Big => "big",
        })
    }
}
