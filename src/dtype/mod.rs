//! Element types: their names, their byte order, and the Rust types they map to.
//!
//! A dtype is written as NumPy writes it: `<f8` is a little-endian `f64`, `>i2` a big-endian `i16`, `|u1` a `u8`; a structured
//! one is the list of its fields, NumPy's `descr`. This module only describes; reversing bytes is [`swap`](crate::swap)'s.

mod descr;
mod element;
mod fields;
mod kind;
mod literal;
mod scalar;
mod time;

use std::fmt;

pub(crate) use element::dispatch;
pub use element::{CastError, Element};
use fields::Orders;
pub(crate) use fields::step;
pub use fields::{Field, Fields};
pub use kind::DTypeKind;
pub(crate) use literal::Literals;
pub use scalar::Scalar;
pub use time::{TimeBase, TimeUnit};

use crate::Result;

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

/// The type of an array's elements, with its byte order.
///
/// Parsed from and printed as NumPy's type string or, where it is structured, as the list of its fields (NumPy's `descr`). An
/// element of one byte has no byte order (`|u1`), nor have bytes (`S`, `V`); for any other the string must say it, because a file
/// that leaves it open cannot be read the same everywhere. Each field of a structured dtype has its own.
///
/// ```
/// use ndferry::{dtype::{ByteOrder, Scalar}, DType};
///
/// let dtype: DType = ">i2".parse()?;
/// assert_eq!(dtype.scalar(), Some(Scalar::I16));
/// assert_eq!(dtype.byte_order(), Some(ByteOrder::Big));
/// assert_eq!(dtype.swapped().to_string(), "<i2");
/// assert_eq!("<u1".parse::<DType>()?.to_string(), "|u1");
///
/// let star: DType = "[('name', '<U8'), ('', '|V4'), ('position', '<f8', (3,))]".parse()?;
/// let position = star.fields().unwrap().get("position").unwrap();
/// assert_eq!((position.offset(), position.shape(), star.item_size()), (36, &[3][..], 60));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DType {
    kind: DTypeKind,
    /// This machine's where elements have none of their own.
    byte_order: ByteOrder,
}

impl DType {
    /// The dtype of `scalar` in `byte_order`, which an element of one byte does without.
    #[must_use]
    pub const fn new(scalar: Scalar, byte_order: ByteOrder) -> Self {
        let byte_order = if scalar.size() == 1 { ByteOrder::NATIVE } else { byte_order };
        Self { kind: DTypeKind::Scalar(scalar), byte_order }
    }

    /// The dtype of a Rust type in this machine's byte order.
    #[must_use]
    pub const fn of<A: Element>() -> Self {
        Self::new(A::SCALAR, ByteOrder::NATIVE)
    }

    /// A structured dtype: elements of `item_size` bytes with these fields, in the order in which they lie. Bytes between and
    /// behind the fields are padding.
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let fields = vec![Field::new("id", DType::of::<u8>(), 0), Field::new("weight", DType::of::<f64>(), 8)];
    /// let record = DType::structured(fields, 16)?;
    /// assert_eq!(record.fields().unwrap().get("weight").unwrap().offset(), 8);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where fields overlap, share a name or reach past the end, nest deeper than 32 levels, are larger than memory, or too many to be
    /// written (2¹⁸ names, dtypes, lengths and lists of them).
    pub fn structured(fields: Vec<Field>, item_size: usize) -> Result<Self> {
        Ok(Self::of_kind(DTypeKind::Struct(Fields::new(fields, item_size)?), ByteOrder::NATIVE))
    }

    fn of_kind(kind: DTypeKind, byte_order: ByteOrder) -> Self {
        let byte_order = if kind.has_byte_order() { byte_order } else { ByteOrder::NATIVE };
        Self { kind, byte_order }
    }

    /// What one element is, apart from its byte order.
    #[must_use]
    pub const fn kind(&self) -> &DTypeKind {
        &self.kind
    }

    /// The number that an element is; `None` where it is something else.
    #[must_use]
    pub const fn scalar(&self) -> Option<Scalar> {
        match self.kind {
            DTypeKind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The fields of a structured dtype.
    #[must_use]
    pub const fn fields(&self) -> Option<&Fields> {
        match &self.kind {
            DTypeKind::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    /// The byte order; `None` where there is none, and where fields have [different ones](DType::is_mixed).
    #[must_use]
    pub fn byte_order(&self) -> Option<ByteOrder> {
        match self.orders() {
            Orders::One(byte_order) => Some(byte_order),
            Orders::None | Orders::Mixed => None,
        }
    }

    /// Whether fields have different byte orders.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.orders() == Orders::Mixed
    }

    fn orders(&self) -> Orders {
        match &self.kind {
            DTypeKind::Struct(fields) => fields.orders(),
            kind if kind.has_byte_order() => Orders::One(self.byte_order),
            _ => Orders::None,
        }
    }

    /// Bytes of one element.
    #[must_use]
    pub fn item_size(&self) -> usize {
        self.kind.size()
    }

    /// How many elements lie in so many bytes. Of elements without bytes, any number does.
    pub(crate) fn fitting(&self, nbytes: usize) -> usize {
        nbytes.checked_div(self.item_size()).unwrap_or(isize::MAX as usize)
    }

    /// Alignment that the elements need to be used as they lie: that of the Rust type, or 1 where they have none.
    pub(crate) fn alignment(&self) -> usize {
        match &self.kind {
            DTypeKind::Scalar(scalar) => scalar.alignment(),
            DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_) => align_of::<i64>(),
            _ => 1,
        }
    }

    /// Whether elements can be used as they lie on this machine.
    #[must_use]
    pub fn is_native(&self) -> bool {
        match self.orders() {
            Orders::None => true,
            Orders::One(byte_order) => byte_order.is_native(),
            Orders::Mixed => false,
        }
    }

    /// The same elements in `byte_order`, all fields included.
    #[must_use]
    pub fn with_byte_order(&self, byte_order: ByteOrder) -> Self {
        self.map_orders(|_| byte_order)
    }

    /// The same elements in the other byte order, each field in the other than its own; itself where there is none.
    #[must_use]
    pub fn swapped(&self) -> Self {
        self.map_orders(ByteOrder::opposite)
    }

    fn map_orders(&self, order: impl Fn(ByteOrder) -> ByteOrder + Copy) -> Self {
        match &self.kind {
            DTypeKind::Struct(fields) => {
                Self { kind: DTypeKind::Struct(fields.map_orders(order)), ..*self }
            }
            kind => Self::of_kind(kind.clone(), order(self.byte_order)),
        }
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DType({self})")
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
mod tests;
