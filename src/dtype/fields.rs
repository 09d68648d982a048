//! The fields of structured dtypes.
//!
//! A [`Field`] has a [`DType`], which may have [`Fields`]: this file and
//! `data_type.rs` refer to each other.

use std::{collections::HashSet, sync::Arc};

use super::{
    byte_order::ByteOrder,
    data_type::DType,
    escape::{Quoted, escape_name},
    kind::DTypeKind,
};
use crate::{Error, Result};

/// How many levels deep structured dtypes may nest.
pub(super) const MAX_NESTING_DEPTH: usize = 32;
/// How many strings, numbers and brackets a dtype may be written with. In
/// memory each needs more than its few bytes of text, so this limits what a
/// small file can allocate.
pub(super) const MAX_DESCR_PARTS: usize = 1 << 18;
/// How many of them padding needs: brackets around a name and a dtype.
const PADDING_DESCR_PARTS: usize = 3;

/// A field of a structured dtype.
///
/// # Examples
///
/// ```
/// use ndferry::{DType, dtype::Field};
///
/// let position = Field::new("position", DType::of::<f32>(), 4).with_shape([3]);
/// let record = DType::structured(vec![Field::new("id", DType::of::<u32>(), 0), position], 16)?;
/// let position = record.field("position").unwrap();
/// assert_eq!((position.name(), position.offset(), position.shape()), ("position", 4, &[3][..]));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    name: String,
    title: Option<String>,
    dtype: DType,
    shape: Vec<usize>,
    offset: usize,
}

impl Field {
    /// Returns a field at `offset` bytes from the start of an element.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let field = Field::new("weight", DType::of::<f64>(), 8);
    /// assert_eq!((field.name(), field.offset()), ("weight", 8));
    /// ```
    pub fn new(name: impl Into<String>, dtype: DType, offset: usize) -> Self {
        Self { name: name.into(), title: None, dtype, shape: Vec::new(), offset }
    }

    /// Makes the field an array of `shape`, in C order.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let field = Field::new("position", DType::of::<f64>(), 0).with_shape([3]);
    /// assert_eq!(field.shape(), [3]);
    /// ```
    #[must_use]
    pub fn with_shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
        self.shape = shape.into();
        self
    }

    /// Sets the title, which is NumPy's second name for a field.
    ///
    /// It is kept when the dtype is written, and not used otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let field = Field::new("t", DType::of::<f64>(), 0).with_title("temperature");
    /// assert_eq!(field.title(), Some("temperature"));
    /// ```
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Returns the name of the field.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// assert_eq!(Field::new("x", DType::of::<f64>(), 0).name(), "x");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the title, which is NumPy's second name for a field.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Returns the dtype of the field, or of an element of its array.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let field = Field::new("x", DType::of::<f64>(), 0);
    /// assert_eq!(field.dtype(), &DType::of::<f64>());
    /// ```
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// Returns the shape of the field's array. It is empty for a single value.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// let record: DType = "[('a', '<f4', (2, 3)), ('b', '<f4')]".parse()?;
    /// assert_eq!(record.field("a").unwrap().shape(), [2, 3]);
    /// assert!(record.field("b").unwrap().shape().is_empty());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the offset of the field in an element, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::DType;
    ///
    /// let point: DType = "[('x', '<f4'), ('y', '<f4')]".parse()?;
    /// let offsets: Vec<_> = point.fields().unwrap().iter().map(|field| field.offset()).collect();
    /// assert_eq!(offsets, [0, 4]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the name, escaped for a path of names.
    ///
    /// A backslash precedes each dot and each backslash, as
    /// [`AnyArray::field`](crate::AnyArray::field) expects it.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::Field};
    ///
    /// let field = Field::new("air.temperature", DType::of::<f32>(), 0);
    /// assert_eq!(field.escaped_name(), r"air\.temperature");
    /// ```
    #[must_use]
    pub fn escaped_name(&self) -> String {
        escape_name(&self.name)
    }

    /// Returns how many values the field has in each element.
    pub(crate) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of strings, numbers and brackets that the field is written
    /// with.
    fn descr_parts(&self) -> usize {
        let title = if self.title.is_some() { 2 } else { 0 };
        let shape = if self.shape.is_empty() { 0 } else { 1 + self.shape.len() };
        2 + title + self.dtype.descr_parts() + shape
    }

    /// Returns the size of the field in bytes, or `None` if memory cannot
    /// address it.
    ///
    /// As for arrays, an axis of length zero does not make the others count
    /// less.
    pub(super) fn nbytes(&self) -> Option<usize> {
        let size = self.dtype.item_size();
        let axes = self.shape.iter().filter(|&&axis| axis != 0);
        let largest = axes.clone().try_fold(size.max(1), |bytes, &axis| bytes.checked_mul(axis))?;
        isize::try_from(largest).ok()?;
        Some(self.count() * size)
    }
}

/// The checked fields of a structured dtype, by ascending offset.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Fields(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    fields: Vec<Field>,
    /// Indices of `fields`, sorted by name.
    by_name: Vec<u32>,
    item_size: usize,
    orders: PartOrders,
    depth: usize,
    descr_parts: usize,
}

/// The byte orders of the parts of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PartOrders {
    /// The parts have no byte order.
    None,
    /// All parts with a byte order have this one.
    One(ByteOrder),
    /// Parts have different byte orders.
    Mixed,
}

impl PartOrders {
    fn of(fields: &[Field]) -> Self {
        fields.iter().fold(Self::None, |orders, field| orders.and(field.dtype.orders()))
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, orders) | (orders, Self::None) => orders,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

impl Fields {
    /// Checks that an element of `item_size` bytes can have these fields.
    pub(super) fn new(fields: Vec<Field>, item_size: usize) -> Result<Self> {
        let mut names = HashSet::new();
        // One for the list itself.
        let mut descr_parts = 1_usize;
        let mut before: Option<(&Field, usize)> = None;
        for field in &fields {
            let quoted = Quoted(&field.name);
            if field.name.is_empty() && matches!(field.dtype.kind(), DTypeKind::Void(_)) {
                return Err(Error::invalid_data(
                    "a field of void needs a name: without one it is padding",
                ));
            }
            for name in [Some(&field.name), field.title.as_ref()].into_iter().flatten() {
                if !names.insert(name) {
                    return Err(Error::invalid_data(format!("{} names two fields", Quoted(name))));
                }
            }
            let end = field
                .nbytes()
                .and_then(|nbytes| nbytes.checked_add(field.offset))
                .ok_or_else(|| {
                    Error::invalid_data(format!(
                        "field {quoted} is larger than memory can address: shape {:.60?}",
                        field.shape
                    ))
                })?;
            if let Some((other, other_end)) = before.filter(|&(_, end)| field.offset < end) {
                return Err(Error::invalid_data(format!(
                    "field {quoted} begins at byte {}, before field {} ends at byte {other_end}",
                    field.offset,
                    Quoted(&other.name)
                )));
            }
            if end > item_size {
                return Err(Error::invalid_data(format!(
                    "field {quoted} ends at byte {end}, but an element has {item_size} bytes"
                )));
            }
            let follows_padding = field.offset > before.map_or(0, |(_, end)| end);
            let padding = if follows_padding { PADDING_DESCR_PARTS } else { 0 };
            descr_parts = descr_parts.saturating_add(field.descr_parts() + padding);
            before = Some((field, end));
        }
        if isize::try_from(item_size).is_err() {
            return Err(Error::invalid_data(format!(
                "elements of {item_size} bytes are larger than memory can address"
            )));
        }
        if item_size > before.map_or(0, |(_, end)| end) {
            descr_parts += PADDING_DESCR_PARTS;
        }
        if descr_parts > MAX_DESCR_PARTS {
            return Err(Error::invalid_data(format!(
                "the dtype has {descr_parts} parts, at most {MAX_DESCR_PARTS} are supported"
            )));
        }
        let depth = 1 + fields.iter().map(|field| field.dtype.depth()).max().unwrap_or(0);
        if depth > MAX_NESTING_DEPTH {
            return Err(Error::invalid_data(format!(
                "fields nest {depth} levels deep, at most {MAX_NESTING_DEPTH} are supported"
            )));
        }
        let orders = PartOrders::of(&fields);
        // There are fewer fields than `MAX_DESCR_PARTS`, so an index fits
        // `u32`.
        let mut by_name: Vec<_> = (0..fields.len() as u32).collect();
        by_name.sort_unstable_by_key(|&at| fields[at as usize].name.as_str());
        Ok(Self(Arc::new(Inner { fields, by_name, item_size, orders, depth, descr_parts })))
    }

    pub(super) fn as_slice(&self) -> &[Field] {
        &self.0.fields
    }

    /// Returns the field called `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        let Inner { fields, by_name, .. } = &*self.0;
        let at =
            by_name.binary_search_by_key(&name, |&at| fields[at as usize].name.as_str()).ok()?;
        Some(&fields[by_name[at] as usize])
    }

    pub(super) fn item_size(&self) -> usize {
        self.0.item_size
    }

    pub(super) fn orders(&self) -> PartOrders {
        self.0.orders
    }

    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }

    pub(super) fn descr_parts(&self) -> usize {
        self.0.descr_parts
    }

    /// Returns the same fields in other byte orders.
    pub(super) fn map_orders(&self, order: impl Fn(ByteOrder) -> ByteOrder + Copy) -> Self {
        let fields: Vec<_> = self
            .as_slice()
            .iter()
            .map(|field| Field { dtype: field.dtype.map_orders(order), ..field.clone() })
            .collect();
        let orders = PartOrders::of(&fields);
        Self(Arc::new(Inner { fields, orders, by_name: self.0.by_name.clone(), ..*self.0 }))
    }
}
