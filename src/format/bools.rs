//! Finding bytes that are not valid `bool` values.

use crate::{
    DType,
    dtype::{DTypeKind, Field, Scalar},
};

/// The places of `bool` values in elements of `size` bytes.
pub(super) struct Bools {
    size: usize,
    parts: Vec<Part>,
}

/// Values side by side in an element, from `offset` on.
struct Part {
    offset: usize,
    count: usize,
    /// The places in each value; `None` if the values are `bool`.
    inner: Option<Bools>,
}

impl Bools {
    /// Returns `None` if elements of `dtype` contain no `bool`.
    pub(super) fn of(dtype: &DType) -> Option<Self> {
        let parts = match dtype.kind() {
            DTypeKind::Scalar(Scalar::Bool) => vec![Part { offset: 0, count: 1, inner: None }],
            DTypeKind::Struct(fields) => {
                let filled = fields.iter().filter(|field| field.count() > 0);
                let part = |field: &Field| {
                    let inner = Self::of(field.dtype())?;
                    let inner = (field.dtype().scalar() != Some(Scalar::Bool)).then_some(inner);
                    Some(Part { offset: field.offset(), count: field.count(), inner })
                };
                filled.filter_map(part).collect()
            }
            _ => Vec::new(),
        };
        (!parts.is_empty()).then_some(Self { size: dtype.item_size(), parts })
    }

    /// Returns the position of the first `bool` in `bytes`, which hold whole
    /// elements, that is neither 0 nor 1.
    pub(super) fn first_invalid(&self, bytes: &[u8]) -> Option<usize> {
        if let (1, [Part { offset: 0, count: 1, inner: None }]) = (self.size, &*self.parts) {
            return bytes.iter().position(|&byte| byte > 1);
        }
        let in_part = |start: usize, Part { offset, count, inner }: &Part| {
            let start = start + offset;
            let invalid = match inner {
                None => bytes[start..start + count].iter().position(|&byte| byte > 1),
                Some(inner) => inner.first_invalid(&bytes[start..start + count * inner.size]),
            };
            invalid.map(|at| start + at)
        };
        (0..bytes.len())
            .step_by(self.size)
            .find_map(|start| self.parts.iter().find_map(|part| in_part(start, part)))
    }
}
