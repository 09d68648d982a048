//! Changes of byte order for elements of any dtype.

use super::reverse::{self, for_parts_copied, for_parts_in_place, reverse_in_place};
use crate::{
    DType,
    dtype::{ByteOrder, DTypeKind, Field},
};

/// How many bytes are copied before they are reversed in place. They stay in
/// the cache meanwhile.
const COPY_BLOCK_LEN: usize = 32 << 10;

/// The conversion of elements from one dtype to another that differs only in
/// byte order.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// The dtypes are equal.
    Nothing,
    /// All bytes belong to units of this width, which are reversed.
    Units(usize),
    /// Parts of elements of this size are reversed.
    Parts(usize, Vec<Part>),
}

/// A part of an element: `count` contiguous items, the first at `offset`.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    offset: usize,
    count: usize,
    action: Action,
}

#[derive(Debug, PartialEq)]
enum Action {
    /// Each item is a unit of this width, which is reversed.
    Reverse(usize),
    /// Parts of each item, which has this size, are reversed.
    Parts(usize, Vec<Part>),
}

impl Change {
    /// Returns the conversion of all parts of elements to `byte_order`.
    pub(crate) fn to_order(dtype: &DType, byte_order: ByteOrder) -> Self {
        Self::between(dtype, &dtype.with_byte_order(byte_order))
    }

    /// Returns the conversion from one dtype to another of the same elements.
    pub(crate) fn between(from: &DType, to: &DType) -> Self {
        debug_assert_eq!(
            from.with_byte_order(ByteOrder::NATIVE),
            to.with_byte_order(ByteOrder::NATIVE)
        );
        let size = from.item_size();
        let parts = changed_parts(from, to);
        match &*parts {
            [] => Self::Nothing,
            [Part { offset: 0, count, action: Action::Reverse(width) }]
                if count * width == size =>
            {
                Self::Units(*width)
            }
            _ => Self::Parts(size, parts),
        }
    }

    /// Returns the size of the smallest piece that can be converted by itself.
    fn unit(&self) -> usize {
        match self {
            Self::Nothing => 1,
            Self::Units(size) | Self::Parts(size, _) => *size,
        }
    }

    /// Returns the largest whole number of units in `max_len` bytes, or one
    /// unit if it is larger.
    pub(crate) fn block(&self, max_len: usize) -> usize {
        let unit = self.unit();
        (max_len / unit).max(1) * unit
    }

    /// Converts elements in place.
    ///
    /// # Panics
    ///
    /// Panics if the length is not a whole number of elements.
    pub(crate) fn in_place(&self, bytes: &mut [u8]) {
        self.check(bytes.len());
        match self {
            Self::Nothing => {}
            Self::Units(width) => reverse::in_place(bytes, *width),
            Self::Parts(size, parts) => {
                for_parts_in_place(bytes, *size, |part| change_each(part, *size, parts))
            }
        }
    }

    /// Copies elements from one buffer to another and converts them.
    ///
    /// # Panics
    ///
    /// Panics if the length is not a whole number of elements, or the lengths
    /// differ.
    pub(crate) fn copy(&self, from: &[u8], to: &mut [u8]) {
        self.check(from.len());
        match self {
            Self::Nothing => reverse::copy(from, to, 1),
            Self::Units(width) => reverse::copy(from, to, *width),
            Self::Parts(size, parts) => {
                assert_eq!(from.len(), to.len(), "source and destination differ in length");
                let piece = self.block(COPY_BLOCK_LEN);
                for_parts_copied(from, to, *size, |from, to| {
                    for (from, to) in from.chunks(piece).zip(to.chunks_mut(piece)) {
                        to.copy_from_slice(from);
                        change_each(to, *size, parts);
                    }
                });
            }
        }
    }

    fn check(&self, length: usize) {
        let unit = self.unit();
        assert_eq!(
            length % unit,
            0,
            "{length} bytes are not a whole number of {unit}-byte elements"
        );
    }
}

/// Converts each element in this thread.
fn change_each(bytes: &mut [u8], size: usize, parts: &[Part]) {
    for element in bytes.chunks_mut(size) {
        for Part { offset, count, action } in parts {
            match action {
                Action::Reverse(width) => {
                    reverse_in_place(&mut element[*offset..offset + count * width], *width)
                }
                Action::Parts(size, parts) => {
                    change_each(&mut element[*offset..offset + count * size], *size, parts)
                }
            }
        }
    }
}

/// Returns the parts of an element that must be reversed, by ascending offset.
fn changed_parts(from: &DType, to: &DType) -> Vec<Part> {
    if from == to || from.item_size() == 0 {
        return Vec::new();
    }
    let size = from.item_size();
    let units = |width: usize| {
        vec![Part { offset: 0, count: size / width, action: Action::Reverse(width) }]
    };
    match (from.kind(), to.kind()) {
        (DTypeKind::Scalar(scalar), _) => units(scalar.swap_width()),
        (DTypeKind::Text(_), _) => units(DTypeKind::CHARACTER_SIZE),
        (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), _) => units(size),
        (DTypeKind::Struct(_), _) => {
            let mut all = Vec::new();
            let fields = from.fields().into_iter().flatten();
            for (this, that) in fields.zip(to.fields().into_iter().flatten()) {
                for part in field_parts(this, changed_parts(this.dtype(), that.dtype())) {
                    push_merged(&mut all, part);
                }
            }
            all
        }
        _ => Vec::new(),
    }
}

/// Returns the parts of an element that are within `field`, from the parts of
/// each of its values.
fn field_parts(field: &Field, parts: Vec<Part>) -> Vec<Part> {
    let (count, size) = (field.count(), field.dtype().item_size());
    let moved = |part: Part| Part { offset: part.offset + field.offset(), ..part };
    match &*parts {
        [] => parts,
        _ if count == 0 => Vec::new(),
        [Part { offset: 0, count: units, action: Action::Reverse(width) }]
            if units * width == size =>
        {
            vec![Part {
                offset: field.offset(),
                count: count * units,
                action: Action::Reverse(*width),
            }]
        }
        _ if count == 1 => parts.into_iter().map(moved).collect(),
        _ => vec![Part { offset: field.offset(), count, action: Action::Parts(size, parts) }],
    }
}

/// Appends a part. Contiguous units of the same width become one part, so a
/// record of `f4` fields is reversed at once.
fn push_merged(parts: &mut Vec<Part>, part: Part) {
    if let (Some(Part { offset, count, action: Action::Reverse(width) }), Action::Reverse(other)) =
        (parts.last_mut(), &part.action)
    {
        if *width == *other && *offset + *count * *width == part.offset {
            *count += part.count;
            return;
        }
    }
    parts.push(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dtype(text: &str) -> DType {
        text.parse().unwrap()
    }

    /// Converts elements field by field.
    fn oracle(bytes: &mut [u8], from: &DType, to: &DType) {
        match (from.fields(), to.fields()) {
            (Some(these), Some(those)) => {
                for (this, that) in these.iter().zip(those.iter()) {
                    let size = this.dtype().item_size();
                    for at in (0..this.count()).map(|at| this.offset() + at * size) {
                        oracle(&mut bytes[at..at + size], this.dtype(), that.dtype());
                    }
                }
            }
            _ if from != to => {
                let width = match from.kind() {
                    DTypeKind::Scalar(scalar) => scalar.swap_width(),
                    DTypeKind::Text(_) => 4,
                    _ => bytes.len().max(1),
                };
                bytes.chunks_mut(width).for_each(<[u8]>::reverse);
            }
            _ => {}
        }
    }

    // B1
    #[test]
    fn swap_changes_every_dtype_between_all_orders() {
        for text in [
            "|u1",
            "<c8",
            "<U3",
            ">M8[s]",
            "|S3",
            "|V5",
            "|S0",
            "[]",
            "[('a', '<f4'), ('b', '<u4')]",
            "[('a', '|u1'), ('', '|V3'), ('b', '>f8', (2, 2)), ('c', '<U2'), ('', '|V1')]",
            "[('a', '<i2'), ('b', '>i2'), ('c', [('x', '<i2'), ('y', '>c16')], (3,)), ('d', '|S0')]",
            "[('a', [('b', [('c', '>f4', (0,)), ('d', '<f2', (3,))], (2, 2))], (2,)), ('e', '<m8')]",
        ] {
            let from = dtype(text);
            let length = 1000 * from.item_size();
            let noise: Vec<u8> = (0..length).map(|at| (at * 131 % 251) as u8).collect();
            for to in [
                from.clone(),
                from.swapped(),
                from.with_byte_order(ByteOrder::Little),
                from.with_byte_order(ByteOrder::Big),
            ] {
                let mut expected = noise.clone();
                expected
                    .chunks_mut(from.item_size().max(1))
                    .for_each(|element| oracle(element, &from, &to));
                let change = Change::between(&from, &to);
                let (mut copied, mut changed) = (vec![0; length], noise.clone());
                change.copy(&noise, &mut copied);
                change.in_place(&mut changed);
                assert!(copied == expected && changed == expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn swap_merges_units_of_one_width() {
        for (text, width) in [
            ("<f8", 8),
            ("<c8", 4),
            ("[('x', '<f4'), ('y', [('z', '<i4'), ('w', '<U7')], (3,))]", 4),
        ] {
            assert_eq!(
                Change::between(&dtype(text), &dtype(text).swapped()),
                Change::Units(width),
                "{text}"
            );
        }
        assert_eq!(
            Change::between(&dtype("[('a', '<f4')]"), &dtype("[('a', '<f4')]")),
            Change::Nothing
        );
    }

    #[test]
    fn swap_does_not_cut_records_between_threads() {
        let from = dtype("[('a', '|u1'), ('b', '<u2', (3,)), ('c', '|V4')]");
        let to = from.swapped();
        let length = (super::super::reverse::MIN_PARALLEL_LEN / 11 + 5) * 11;
        let mut bytes: Vec<u8> = (0..length).map(|at| (at * 131 % 251) as u8).collect();
        let mut expected = bytes.clone();
        expected.chunks_mut(11).for_each(|element| oracle(element, &from, &to));
        let mut copied = vec![0; length];
        Change::between(&from, &to).copy(&bytes, &mut copied);
        Change::between(&from, &to).in_place(&mut bytes);
        assert!(copied == expected && bytes == expected);
    }

    #[test]
    #[should_panic(expected = "not a whole number of 6-byte elements")]
    fn swap_refuses_incomplete_element() {
        super::super::to_order(&mut [0; 7], &dtype("[('a', '<u4'), ('b', '|S2')]"), ByteOrder::Big);
    }
}
