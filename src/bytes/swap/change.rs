//! What a change of byte order takes, for elements of any dtype.

use super::{parts_copied, parts_in_place, reverse_in_place};
use crate::{
    DType,
    dtype::{ByteOrder, DTypeKind, Field},
};

/// Bytes that are copied and then reversed where they lie, so that they are still in the cache.
const PIECE: usize = 32 << 10;

/// What brings elements of one dtype to another that differs from it in byte order alone.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// They are the same.
    Nothing,
    /// All bytes are units of so many, each to be reversed.
    Units(usize),
    /// Elements of so many bytes, parts of which are to be reversed.
    Parts(usize, Vec<Part>),
}

/// Part of an element: `count` neighbours, the first at `offset`.
#[derive(Debug, PartialEq)]
pub(crate) struct Part {
    offset: usize,
    count: usize,
    work: Work,
}

#[derive(Debug, PartialEq)]
enum Work {
    /// Each is a unit of so many bytes to be reversed.
    Reverse(usize),
    /// Each has so many bytes, parts of which are to be reversed. Not deeper than dtypes nest.
    Parts(usize, Vec<Part>),
}

impl Change {
    /// From `dtype` to the same elements, all in `byte_order`.
    pub(crate) fn to_order(dtype: &DType, byte_order: ByteOrder) -> Self {
        Self::between(dtype, &dtype.with_byte_order(byte_order))
    }

    /// From one dtype to another with the same elements.
    pub(crate) fn between(from: &DType, to: &DType) -> Self {
        debug_assert_eq!(
            from.with_byte_order(ByteOrder::NATIVE),
            to.with_byte_order(ByteOrder::NATIVE)
        );
        let size = from.item_size();
        let parts = parts(from, to);
        match &*parts {
            [] => Self::Nothing,
            [Part { offset: 0, count, work: Work::Reverse(width) }] if count * width == size => {
                Self::Units(*width)
            }
            _ => Self::Parts(size, parts),
        }
    }

    /// Bytes that cannot be cut.
    fn unit(&self) -> usize {
        match self {
            Self::Nothing => 1,
            Self::Units(size) | Self::Parts(size, _) => *size,
        }
    }

    /// About `most` bytes, nothing cut: more only where a single element is larger.
    pub(crate) fn block(&self, most: usize) -> usize {
        let unit = self.unit();
        (most / unit).max(1) * unit
    }

    /// Changes elements where they lie.
    ///
    /// # Panics
    ///
    /// Where the length is no whole number of elements.
    pub(crate) fn in_place(&self, bytes: &mut [u8]) {
        self.check(bytes.len());
        match self {
            Self::Nothing => {}
            Self::Units(width) => super::in_place(bytes, *width),
            Self::Parts(size, parts) => {
                parts_in_place(bytes, *size, |part| change_each(part, *size, parts))
            }
        }
    }

    /// Changes elements on the way from one buffer to another.
    ///
    /// # Panics
    ///
    /// As [`in_place`](Change::in_place), and where the lengths differ.
    pub(crate) fn copy(&self, from: &[u8], to: &mut [u8]) {
        self.check(from.len());
        match self {
            Self::Nothing => super::copy(from, to, 1),
            Self::Units(width) => super::copy(from, to, *width),
            Self::Parts(size, parts) => {
                assert_eq!(from.len(), to.len(), "source and destination differ in length");
                let piece = self.block(PIECE);
                parts_copied(from, to, *size, |from, to| {
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
        assert_eq!(length % unit, 0, "{length} bytes are no whole number of {unit}-byte elements");
    }
}

fn change_each(bytes: &mut [u8], size: usize, parts: &[Part]) {
    for element in bytes.chunks_mut(size) {
        for Part { offset, count, work } in parts {
            match work {
                Work::Reverse(width) => {
                    reverse_in_place(&mut element[*offset..offset + count * width], *width)
                }
                Work::Parts(size, parts) => {
                    change_each(&mut element[*offset..offset + count * size], *size, parts)
                }
            }
        }
    }
}

/// What is to be changed of one element, in the order in which it lies.
fn parts(from: &DType, to: &DType) -> Vec<Part> {
    if from == to || from.item_size() == 0 {
        return Vec::new();
    }
    let size = from.item_size();
    let units =
        |width: usize| vec![Part { offset: 0, count: size / width, work: Work::Reverse(width) }];
    match (from.kind(), to.kind()) {
        (DTypeKind::Scalar(scalar), _) => units(scalar.swap_width()),
        (DTypeKind::Text(_), _) => units(DTypeKind::CHARACTER),
        (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), _) => units(size),
        (DTypeKind::Struct(these), DTypeKind::Struct(those)) => {
            let mut all = Vec::new();
            for (this, that) in these.iter().zip(those.iter()) {
                for part in of_field(this, parts(this.dtype(), that.dtype())) {
                    push(&mut all, part);
                }
            }
            all
        }
        _ => Vec::new(),
    }
}

/// The parts of a field in an element, by the parts of each of its values.
fn of_field(field: &Field, parts: Vec<Part>) -> Vec<Part> {
    let (count, size) = (field.count(), field.dtype().item_size());
    let moved = |part: Part| Part { offset: part.offset + field.offset(), ..part };
    match &*parts {
        [] => parts,
        _ if count == 0 => Vec::new(),
        [Part { offset: 0, count: units, work: Work::Reverse(width) }] if units * width == size => {
            vec![Part { offset: field.offset(), count: count * units, work: Work::Reverse(*width) }]
        }
        _ if count == 1 => parts.into_iter().map(moved).collect(),
        _ => vec![Part { offset: field.offset(), count, work: Work::Parts(size, parts) }],
    }
}

/// Neighbours of one width are one part: a record of nothing but `f4` is reversed like an array of them.
fn push(parts: &mut Vec<Part>, part: Part) {
    if let (Some(Part { offset, count, work: Work::Reverse(width) }), Work::Reverse(other)) =
        (parts.last_mut(), &part.work)
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

    /// What a change must come to, by the definition: field by field, element by element.
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
    fn every_dtype_changes_field_by_field_from_any_order_to_any() {
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
    fn what_is_all_of_one_width_is_reversed_as_one() {
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
    fn records_are_shared_out_over_threads_uncut() {
        let from = dtype("[('a', '|u1'), ('b', '<u2', (3,)), ('c', '|V4')]");
        let to = from.swapped();
        let length = (super::super::PARALLEL_FROM / 11 + 5) * 11;
        let mut bytes: Vec<u8> = (0..length).map(|at| (at * 131 % 251) as u8).collect();
        let mut expected = bytes.clone();
        expected.chunks_mut(11).for_each(|element| oracle(element, &from, &to));
        let mut copied = vec![0; length];
        Change::between(&from, &to).copy(&bytes, &mut copied);
        Change::between(&from, &to).in_place(&mut bytes);
        assert!(copied == expected && bytes == expected);
    }

    #[test]
    #[should_panic(expected = "no whole number of 6-byte elements")]
    fn a_torn_element_is_refused() {
        super::super::to_order(&mut [0; 7], &dtype("[('a', '<u4'), ('b', '|S2')]"), ByteOrder::Big);
    }
}
