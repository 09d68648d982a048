//! Structured dtypes: named fields at fixed places of an element.

use std::{collections::HashSet, fmt, ops::Deref, sync::Arc};

use super::{ByteOrder, DType, DTypeKind, Quoted};
use crate::{Error, Result};

/// How deep structured dtypes may nest.
pub(super) const DEPTH: usize = 32;
/// How many strings, numbers and brackets a dtype may be written with: in memory each takes more than its few bytes of text.
pub(super) const PARTS: usize = 1 << 18;
/// Those of padding: a name and a dtype in brackets.
const PADDING_PARTS: usize = 3;

/// One field of a structured dtype.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    name: String,
    title: Option<String>,
    dtype: DType,
    shape: Vec<usize>,
    offset: usize,
}

impl Field {
    /// A field called `name`, `offset` bytes from the start of an element.
    pub fn new(name: impl Into<String>, dtype: DType, offset: usize) -> Self {
        Self { name: name.into(), title: None, dtype, shape: Vec::new(), offset }
    }

    /// Makes the field an array of its own, in C order: in each element it has `shape` times the dtype.
    #[must_use]
    pub fn with_shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
        self.shape = shape.into();
        self
    }

    /// Gives the field a second name, as NumPy knows them. It is kept, and good for nothing else.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field's second name.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The dtype of the field, or of one element of its array.
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// The lengths of the array that the field is; empty for a single value.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes from the start of an element.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The name as it stands in a path, as [`AnyArray::field`](crate::AnyArray::field) takes it: a dot or a backslash in it preceded
    /// by a backslash.
    #[must_use]
    pub fn step(&self) -> String {
        step(&self.name)
    }

    /// How many values the field has in each element.
    pub(crate) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many strings, numbers and brackets the field is written with.
    fn parts(&self) -> usize {
        let title = if self.title.is_some() { 2 } else { 0 };
        let shape = if self.shape.is_empty() { 0 } else { 1 + self.shape.len() };
        let dtype = self.dtype.fields().map_or(1, |fields| fields.0.parts);
        2 + title + dtype + shape
    }

    /// Bytes of the field; `None` where memory cannot address them. As with arrays, an axis of length zero does not excuse the
    /// others.
    pub(super) fn nbytes(&self) -> Option<usize> {
        let size = self.dtype.item_size();
        let axes = self.shape.iter().filter(|&&axis| axis != 0);
        let most = axes.clone().try_fold(size.max(1), |bytes, &axis| bytes.checked_mul(axis))?;
        isize::try_from(most).ok()?;
        Some(self.count() * size)
    }
}

/// A name in a path of names joined by dots. A dot or a backslash inside it is escaped by a backslash, so that different places
/// have different paths.
pub(crate) fn step(name: &str) -> String {
    let mut step = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '.' | '\\') {
            step.push('\\');
        }
        step.push(letter);
    }
    step
}

/// The fields of a structured dtype, in the order in which they lie. They do not overlap; bytes between and behind them belong to
/// none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fields(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    fields: Vec<Field>,
    /// The places of the fields in the order of their names.
    by_name: Vec<u32>,
    item_size: usize,
    orders: Orders,
    depth: usize,
    parts: usize,
}

/// The byte orders of the parts of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Orders {
    /// No part has one.
    None,
    One(ByteOrder),
    Mixed,
}

impl Orders {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, orders) | (orders, Self::None) => orders,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

impl Fields {
    /// Checks that there can be such elements.
    pub(super) fn new(fields: Vec<Field>, item_size: usize) -> Result<Self> {
        let mut names = HashSet::new();
        // The list itself, and what `descr` writes for each field.
        let mut parts = 1_usize;
        let mut before: Option<(&Field, usize)> = None;
        for field in &fields {
            let quoted = Quoted(&field.name);
            if field.name.is_empty() && matches!(field.dtype.kind, DTypeKind::Void(_)) {
                return Err(Error::invalid_data(
                    "a field of void has no name, by which it would be padding",
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
                        "field {quoted} is larger than memory can address: {:.60?}",
                        field.shape
                    ))
                })?;
            if let Some((other, other_end)) = before.filter(|&(_, end)| field.offset < end) {
                return Err(Error::invalid_data(format!(
                    "field {quoted} begins at byte {}, before field {} ends, byte {other_end}",
                    field.offset,
                    Quoted(&other.name)
                )));
            }
            if end > item_size {
                return Err(Error::invalid_data(format!(
                    "field {quoted} reaches to byte {end} of an element that has {item_size}"
                )));
            }
            let padding =
                if field.offset > before.map_or(0, |(_, end)| end) { PADDING_PARTS } else { 0 };
            parts = parts.saturating_add(field.parts() + padding);
            before = Some((field, end));
        }
        if isize::try_from(item_size).is_err() {
            return Err(Error::invalid_data(format!(
                "elements of {item_size} bytes are larger than memory can address"
            )));
        }
        parts += if item_size > before.map_or(0, |(_, end)| end) { PADDING_PARTS } else { 0 };
        if parts > PARTS {
            return Err(Error::invalid_data(format!(
                "a dtype of {parts} parts; {PARTS} are the most"
            )));
        }
        let nested = fields.iter().filter_map(|field| field.dtype.fields());
        let depth = nested.map(|fields| fields.0.depth + 1).max().unwrap_or(1);
        if depth > DEPTH {
            return Err(Error::invalid_data(format!(
                "fields nest {depth} deep; {DEPTH} is the most"
            )));
        }
        let orders =
            fields.iter().fold(Orders::None, |orders, field| orders.and(field.dtype.orders()));
        // Not more than the parts are.
        let mut by_name: Vec<_> = (0..fields.len() as u32).collect();
        by_name.sort_unstable_by_key(|&at| fields[at as usize].name.as_str());
        Ok(Self(Arc::new(Inner { fields, by_name, item_size, orders, depth, parts })))
    }

    /// The field called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        let Inner { fields, by_name, .. } = &*self.0;
        let at =
            by_name.binary_search_by_key(&name, |&at| fields[at as usize].name.as_str()).ok()?;
        Some(&fields[by_name[at] as usize])
    }

    pub(super) fn item_size(&self) -> usize {
        self.0.item_size
    }

    pub(super) fn orders(&self) -> Orders {
        self.0.orders
    }

    /// The same fields in other byte orders.
    pub(super) fn map_orders(&self, order: impl Fn(ByteOrder) -> ByteOrder + Copy) -> Self {
        let fields = self
            .iter()
            .map(|field| Field { dtype: field.dtype.map_orders(order), ..field.clone() });
        let fields: Vec<_> = fields.collect();
        let orders =
            fields.iter().fold(Orders::None, |orders, field| orders.and(field.dtype.orders()));
        Self(Arc::new(Inner { fields, orders, by_name: self.0.by_name.clone(), ..*self.0 }))
    }
}

impl Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.0.fields
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
