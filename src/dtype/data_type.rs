//! The type of an array's elements.
//!
//! A [`DType`] has [`Fields`], and each of these has a `DType`: this file and
//! `fields.rs` refer to each other.

use std::fmt;

use super::{
    byte_order::ByteOrder,
    element::Element,
    fields::{Field, Fields, PartOrders},
    kind::DTypeKind,
    scalar::Scalar,
    time::TimeUnit,
};
use crate::Result;

/// The type of an array's elements, with its byte order.
///
/// A dtype is parsed from, and printed as, NumPy's type string. A structured
/// dtype is the list of its fields (NumPy's `descr`). Elements of one byte
/// (`|u1`) and byte strings (`|S3`, `|V3`) have no byte order. For all other
/// elements the string must contain it, so that it means the same on every
/// machine. Each field of a structured dtype has its own.
///
/// # Examples
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
/// let position = star.field("position").unwrap();
/// assert_eq!((position.offset(), position.shape(), star.item_size()), (36, &[3][..], 60));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DType {
    kind: DTypeKind,
    /// The fields of a structured dtype.
    fields: Option<Fields>,
    /// The native byte order if the elements themselves have none.
    byte_order: ByteOrder,
}

impl DType {
    /// Returns the dtype of `scalar` in `byte_order`.
    ///
    /// The byte order is ignored if an element is a single byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::{ByteOrder, Scalar}};
    ///
    /// assert_eq!(DType::new(Scalar::F32, ByteOrder::Big).to_string(), ">f4");
    /// assert_eq!(DType::new(Scalar::U8, ByteOrder::Big).to_string(), "|u1");
    /// ```
    #[must_use]
    pub const fn new(scalar: Scalar, byte_order: ByteOrder) -> Self {
        let byte_order = if scalar.size() == 1 { ByteOrder::NATIVE } else { byte_order };
        Self { kind: DTypeKind::Scalar(scalar), fields: None, byte_order }
    }

    /// Returns the dtype of a Rust type in native byte order.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Scalar};
    ///
    /// assert_eq!(DType::of::<i64>().scalar(), Some(Scalar::I64));
    /// ```
    #[must_use]
    pub const fn of<A: Element>() -> Self {
        Self::new(A::SCALAR, ByteOrder::NATIVE)
    }

    /// Returns a structured dtype with elements of `item_size` bytes.
    ///
    /// List the fields by ascending offset. The bytes that no field covers are
    /// padding.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let id = Field::new("id", DType::of::<u8>(), 0);
    /// let weight = Field::new("weight", DType::of::<f64>(), 8);
    /// let record = DType::structured(vec![id, weight], 16)?;
    /// assert_eq!(record.field("weight").unwrap().offset(), 8);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - fields overlap, are not in order, or end beyond `item_size`,
    /// - two fields have the same name or title,
    /// - fields nest more than 32 levels deep,
    /// - the elements are larger than memory can address,
    /// - the dtype has more than 2¹⁸ names, dtypes, lengths and lists of them.
    pub fn structured(fields: Vec<Field>, item_size: usize) -> Result<Self> {
        Ok(Self::of_fields(Fields::new(fields, item_size)?))
    }

    fn of_fields(fields: Fields) -> Self {
        Self {
            kind: DTypeKind::Struct(fields.as_slice().len()),
            fields: Some(fields),
            byte_order: ByteOrder::NATIVE,
        }
    }

    /// Returns a dtype without fields.
    pub(super) fn of_kind(kind: DTypeKind, byte_order: ByteOrder) -> Self {
        let byte_order = if kind.has_byte_order() { byte_order } else { ByteOrder::NATIVE };
        Self { kind, fields: None, byte_order }
    }

    /// Returns the kind of the elements: the dtype without byte order.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::DTypeKind};
    ///
    /// let dtype: DType = "<U8".parse()?;
    /// assert_eq!(*dtype.kind(), DTypeKind::Text(8));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub const fn kind(&self) -> &DTypeKind {
        &self.kind
    }

    /// Returns the scalar if the elements are booleans or numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Scalar};
    ///
    /// assert_eq!("<c8".parse::<DType>()?.scalar(), Some(Scalar::C64));
    /// assert_eq!("|S4".parse::<DType>()?.scalar(), None);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub const fn scalar(&self) -> Option<Scalar> {
        match self.kind {
            DTypeKind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Returns the fields of a structured dtype, by ascending offset.
    ///
    /// To find a field by its name, use [`field`](DType::field).
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// let point: DType = "[('x', '<f4'), ('y', '<f4')]".parse()?;
    /// let names: Vec<_> = point.fields().unwrap().iter().map(|field| field.name()).collect();
    /// assert_eq!(names, ["x", "y"]);
    /// assert!(DType::of::<f64>().fields().is_none());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn fields(&self) -> Option<&[Field]> {
        self.fields.as_ref().map(Fields::as_slice)
    }

    /// Returns the field called `name` of a structured dtype.
    ///
    /// This is a binary search, so it is fast for dtypes with many fields too.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// let point: DType = "[('x', '<f4'), ('y', '<f4')]".parse()?;
    /// assert_eq!(point.field("y").unwrap().offset(), 4);
    /// assert!(point.field("z").is_none());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.as_ref()?.get(name)
    }

    /// The number of levels that fields nest: 0 without fields.
    pub(super) fn depth(&self) -> usize {
        self.fields.as_ref().map_or(0, Fields::depth)
    }

    /// The number of strings, numbers and brackets that the dtype is written
    /// with.
    pub(super) fn descr_parts(&self) -> usize {
        self.fields.as_ref().map_or(1, Fields::descr_parts)
    }

    /// Returns the byte order of the elements.
    ///
    /// Returns `None` if the elements have no byte order, or if their fields
    /// have [different ones](DType::is_mixed).
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::ByteOrder};
    ///
    /// assert_eq!(">f8".parse::<DType>()?.byte_order(), Some(ByteOrder::Big));
    /// assert_eq!("|u1".parse::<DType>()?.byte_order(), None);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn byte_order(&self) -> Option<ByteOrder> {
        match self.orders() {
            PartOrders::One(byte_order) => Some(byte_order),
            PartOrders::None | PartOrders::Mixed => None,
        }
    }

    /// Returns whether the fields have different byte orders.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// assert!("[('a', '<i2'), ('b', '>i2')]".parse::<DType>()?.is_mixed());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.orders() == PartOrders::Mixed
    }

    pub(super) fn orders(&self) -> PartOrders {
        match &self.fields {
            Some(fields) => fields.orders(),
            None if self.kind.has_byte_order() => PartOrders::One(self.byte_order),
            None => PartOrders::None,
        }
    }

    /// Returns the size of an element in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// assert_eq!("<U3".parse::<DType>()?.item_size(), 12);
    /// assert_eq!("[('a', '|u1'), ('b', '<f8')]".parse::<DType>()?.item_size(), 9);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn item_size(&self) -> usize {
        match (self.kind, &self.fields) {
            (_, Some(fields)) => fields.item_size(),
            (DTypeKind::Scalar(scalar), _) => scalar.size(),
            (DTypeKind::Text(length), _) => length * DTypeKind::CHARACTER_SIZE,
            (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), _) => TimeUnit::COUNT_SIZE,
            (DTypeKind::Bytes(length) | DTypeKind::Void(length) | DTypeKind::Struct(length), _) => {
                length
            }
        }
    }

    /// Returns how many elements fit in `nbytes`: any number if an element has
    /// no bytes.
    pub(crate) fn fitting(&self, nbytes: usize) -> usize {
        nbytes.checked_div(self.item_size()).unwrap_or(isize::MAX as usize)
    }

    /// Returns the alignment that a view of the elements needs: that of the
    /// Rust type, or 1 without one.
    pub(crate) fn alignment(&self) -> usize {
        match self.kind {
            DTypeKind::Scalar(scalar) => scalar.alignment(),
            DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_) => align_of::<i64>(),
            _ => 1,
        }
    }

    /// Returns whether the elements need no byte swap on this machine.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// assert!(DType::of::<f64>().is_native());
    /// assert!(!DType::of::<f64>().swapped().is_native());
    /// assert!("|S3".parse::<DType>()?.is_native());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn is_native(&self) -> bool {
        match self.orders() {
            PartOrders::None => true,
            PartOrders::One(byte_order) => byte_order.is_native(),
            PartOrders::Mixed => false,
        }
    }

    /// Returns the dtype in `byte_order`, including all fields.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::ByteOrder};
    ///
    /// let mixed: DType = "[('a', '<i2'), ('b', '>i2')]".parse()?;
    /// let big = mixed.with_byte_order(ByteOrder::Big);
    /// assert_eq!(big.to_string(), "[('a', '>i2'), ('b', '>i2')]");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn with_byte_order(&self, byte_order: ByteOrder) -> Self {
        self.map_orders(|_| byte_order)
    }

    /// Returns the dtype with all byte orders reversed.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// let mixed: DType = "[('a', '<i2'), ('b', '>i2')]".parse()?;
    /// assert_eq!(mixed.swapped().to_string(), "[('a', '>i2'), ('b', '<i2')]");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn swapped(&self) -> Self {
        self.map_orders(ByteOrder::opposite)
    }

    pub(super) fn map_orders(&self, order: impl Fn(ByteOrder) -> ByteOrder + Copy) -> Self {
        match &self.fields {
            Some(fields) => Self::of_fields(fields.map_orders(order)),
            None => Self::of_kind(self.kind, order(self.byte_order)),
        }
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DType({self})")
    }
}
