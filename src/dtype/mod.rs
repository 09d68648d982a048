//! Element types: their names, their byte order, and the Rust types they map to.
//!
//! A dtype is written as NumPy writes it: `<f8` is a little-endian `f64`, `>i2` a big-endian `i16`, `|u1` a `u8`.
//! This module only describes; reversing bytes is [`swap`](crate::swap)'s.

mod element;

use std::{fmt, str::FromStr};

pub(crate) use element::dispatch;
pub use element::{CastError, Element};

use crate::{Error, Result};

/// The order of the bytes of a number in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first (`<`).
    Little,
    /// Most significant byte first (`>`).
    Big,
}

impl ByteOrder {
    /// The byte order of the machine this program was compiled for.
    pub const NATIVE: Self = if cfg!(target_endian = "big") { Self::Big } else { Self::Little };

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    /// Whether numbers in this order can be used as they lie.
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

/// What one element is, apart from its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scalar {
    /// `bool`: one byte, 0 or 1.
    Bool,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// [`half::f16`]
    F16,
    /// [`half::bf16`], which NumPy has no type for
    BF16,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// [`num_complex::Complex<f32>`]
    C64,
    /// [`num_complex::Complex<f64>`]
    C128,
}

impl Scalar {
    /// Every scalar there is, in the order of the type codes' usual listing.
    pub const ALL: [Self; 15] = [
        Self::Bool,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
        Self::C64,
        Self::C128,
    ];

    /// NumPy's code without the byte order: kind and size in bytes (`f8`). That of `bf16`, `bf2`, NumPy does not know.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bool => "b1",
            Self::I8 => "i1",
            Self::I16 => "i2",
            Self::I32 => "i4",
            Self::I64 => "i8",
            Self::U8 => "u1",
            Self::U16 => "u2",
            Self::U32 => "u4",
            Self::U64 => "u8",
            Self::F16 => "f2",
            Self::BF16 => "bf2",
            Self::F32 => "f4",
            Self::F64 => "f8",
            Self::C64 => "c8",
            Self::C128 => "c16",
        }
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// Bytes of the unit whose bytes a change of byte order reverses: a complex number is two of them.
    #[must_use]
    pub const fn swap_width(self) -> usize {
        match self {
            Self::C64 | Self::C128 => self.size() / 2,
            _ => self.size(),
        }
    }

    /// Alignment of the Rust type, in bytes.
    #[must_use]
    pub fn alignment(self) -> usize {
        dispatch!(self, A => align_of::<A>())
    }

    /// Whether the scalar is `Complex<f32>` or `Complex<f64>`.
    #[must_use]
    pub const fn is_complex(self) -> bool {
        matches!(self, Self::C64 | Self::C128)
    }

    /// The name of the Rust type (`f64`, `Complex<f32>`).
    #[must_use]
    pub const fn rust_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::C64 => "Complex<f32>",
            Self::C128 => "Complex<f64>",
        }
    }
}

/// The type of an array's elements, with its byte order.
///
/// Parsed from and printed as NumPy's type string. An element of one byte has no byte order (`|u1`); for any other the
/// string must say it, because a file that leaves it open cannot be read the same everywhere.
///
/// ```
/// use ndferry::{ByteOrder, DType, Scalar};
///
/// let dtype: DType = ">i2".parse()?;
/// assert_eq!(dtype.scalar(), Scalar::I16);
/// assert_eq!(dtype.byte_order(), Some(ByteOrder::Big));
/// assert_eq!(dtype.swapped().to_string(), "<i2");
/// assert_eq!("<u1".parse::<DType>()?.to_string(), "|u1");
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DType {
    scalar: Scalar,
    byte_order: ByteOrder,
}

impl DType {
    /// The dtype of `scalar` in `byte_order`, which an element of one byte does without.
    #[must_use]
    pub const fn new(scalar: Scalar, byte_order: ByteOrder) -> Self {
        let byte_order = if scalar.size() == 1 { ByteOrder::NATIVE } else { byte_order };
        Self { scalar, byte_order }
    }

    /// The dtype of a Rust type in this machine's byte order.
    #[must_use]
    pub const fn of<A: Element>() -> Self {
        Self::new(A::SCALAR, ByteOrder::NATIVE)
    }

    /// What one element is, apart from its byte order.
    #[must_use]
    pub const fn scalar(&self) -> Scalar {
        self.scalar
    }

    /// The byte order; `None` where elements have one byte.
    #[must_use]
    pub const fn byte_order(&self) -> Option<ByteOrder> {
        if self.scalar.size() == 1 { None } else { Some(self.byte_order) }
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn item_size(&self) -> usize {
        self.scalar.size()
    }

    /// Whether elements can be used as they lie on this machine.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.byte_order.is_native()
    }

    /// The same elements in `byte_order`.
    #[must_use]
    pub const fn with_byte_order(&self, byte_order: ByteOrder) -> Self {
        Self::new(self.scalar, byte_order)
    }

    /// The same elements in the other byte order; itself where there is none.
    #[must_use]
    pub const fn swapped(&self) -> Self {
        self.with_byte_order(self.byte_order.opposite())
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (prefix, code) = match text.as_bytes().first() {
            Some(b'<' | b'>' | b'|' | b'=') => text.split_at(1),
            _ => ("", text),
        };
        let Some(scalar) = Scalar::ALL.into_iter().find(|scalar| scalar.code() == code) else {
            return Err(unknown(text, code));
        };
        let byte_order = match prefix {
            "<" => ByteOrder::Little,
            ">" => ByteOrder::Big,
            _ if scalar.size() == 1 => ByteOrder::NATIVE,
            _ => {
                return Err(Error::invalid(format!(
                    "dtype {} does not say its byte order: write `<{code}` (little-endian) or `>{code}` (big-endian)",
                    Quoted(text)
                )));
            }
        };
        Ok(Self::new(scalar, byte_order))
    }
}

fn unknown(text: &str, code: &str) -> Error {
    let quoted = Quoted(text);
    if matches!(code.as_bytes().first(), Some(b'O')) {
        return Error::invalid(format!(
            "dtype {quoted} holds Python objects, which only Python can read: save it with a numeric dtype"
        ));
    }
    let codes: Vec<_> = Scalar::ALL.iter().map(|scalar| scalar.code()).collect();
    Error::invalid(format!("unknown dtype {quoted}; known are {}, each after `<` or `>`", codes.join(" ")))
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.byte_order() {
            None => '|',
            Some(ByteOrder::Little) => '<',
            Some(ByteOrder::Big) => '>',
        };
        write!(f, "{prefix}{}", self.scalar.code())
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DType({self})")
    }
}

impl serde::Serialize for DType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text of unknown origin inside a message: quoted, escaped, cut where it grows long.
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Escaped(self.0))
    }
}

/// Text of unknown origin inside a message, where it needs no quotes.
pub(crate) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 60;
        for (count, letter) in self.0.chars().enumerate() {
            match letter {
                _ if count == MOST => return f.write_str("…"),
                // Quotes are no danger to a terminal.
                '\'' | '"' => write!(f, "{letter}")?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_prints_what_it_was_parsed_from() {
        for scalar in Scalar::ALL {
            for byte_order in [ByteOrder::Little, ByteOrder::Big] {
                let dtype = DType::new(scalar, byte_order);
                assert_eq!(dtype.to_string().parse::<DType>().unwrap(), dtype);
                assert_eq!(dtype.swapped().swapped(), dtype);
                assert_eq!(dtype.byte_order().is_none(), scalar.size() == 1);
            }
        }
    }

    #[test]
    fn the_native_dtype_of_a_type_is_native() {
        assert!(DType::of::<f64>().is_native());
        assert!(!DType::of::<f64>().swapped().is_native());
        assert!(DType::of::<u8>().swapped().is_native(), "one byte has no order");
    }

    #[test]
    fn what_is_not_a_dtype_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "unknown dtype ``"),
            ("<", "unknown dtype `<`"),
            ("f8", "does not say its byte order"),
            ("=f8", "does not say its byte order"),
            ("|f8", "does not say its byte order"),
            ("|O", "Python objects"),
            ("<f8 ", "unknown dtype"),
            ("<f16", "unknown dtype"),
            ("<ф8", "unknown dtype"),
            ("\u{1b}[2J", "unknown dtype `\\u{1b}[2J`"),
        ] {
            let message = text.parse::<DType>().unwrap_err().to_string();
            assert!(message.contains(reason), "{text:?}: {message}");
        }
        assert!("x".repeat(9999).parse::<DType>().unwrap_err().to_string().len() < 300);
    }
}
