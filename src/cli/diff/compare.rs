//! Comparing two arrays of one type and shape.

use std::ops::Range;

use half::{bf16, f16};
use ndarray::{Dimension, IxDyn, Zip};
use ndferry::{AnyArray, ElementKind, Scalar, SharedArray};
use num_complex::Complex;

use super::{
    distance::{Compared, Distance},
    tiles::tiles,
};
use crate::cli::{failure::reason, value::Value};

/// What is different between two arrays.
#[derive(Default)]
pub struct Difference {
    /// Elements that differ.
    pub different: u64,
    /// Those of them of which one is NaN.
    pub nan: u64,
    /// Index and values of the first that differ, in C order.
    pub first: Option<(Vec<usize>, [String; 2])>,
    /// The largest distances of those that are not NaN.
    pub absolute: Option<Value>,
    pub relative: Option<Value>,
}

/// Compares two arrays; an `Err` says why they cannot be.
pub fn compare(one: &AnyArray, other: &AnyArray, nan_differs: bool) -> Result<Difference, String> {
    let by = |compare: fn(&AnyArray, &AnyArray, bool) -> ndferry::Result<Difference>| {
        compare(one, other, nan_differs).map_err(|error| reason(&error))
    };
    let scalar = match one.dtype().kind() {
        ElementKind::Scalar(scalar) => *scalar,
        ElementKind::DateTime(_) | ElementKind::TimeDelta(_) => return by(compare_times),
        ElementKind::Text(_) => return by(|one, other, _| compare_words(one, other, texts)),
        _ => return by(|one, other, _| compare_words(one, other, byte_strings)),
    };
    match scalar {
        Scalar::Bool => by(compare_as::<bool>),
        Scalar::I8 => by(compare_as::<i8>),
        Scalar::I16 => by(compare_as::<i16>),
        Scalar::I32 => by(compare_as::<i32>),
        Scalar::I64 => by(compare_as::<i64>),
        Scalar::U8 => by(compare_as::<u8>),
        Scalar::U16 => by(compare_as::<u16>),
        Scalar::U32 => by(compare_as::<u32>),
        Scalar::U64 => by(compare_as::<u64>),
        Scalar::F16 => by(compare_as::<f16>),
        Scalar::BF16 => by(compare_as::<bf16>),
        Scalar::F32 => by(compare_as::<f32>),
        Scalar::F64 => by(compare_as::<f64>),
        Scalar::C64 => by(compare_as::<Complex<f32>>),
        Scalar::C128 => by(compare_as::<Complex<f64>>),
        _ => Err(format!("elements of dtype {} cannot be compared", one.dtype())),
    }
}

fn compare_as<A: Compared>(one: &AnyArray, other: &AnyArray, nan_differs: bool) -> ndferry::Result<Difference> {
    compare_numbers::<A>(one, other, nan_differs, AnyArray::to_array)
}

fn compare_times(one: &AnyArray, other: &AnyArray, _: bool) -> ndferry::Result<Difference> {
    compare_numbers::<i64>(one, other, false, AnyArray::counts)
}

/// The part of `array` that a tile is.
fn part(array: &AnyArray, tile: &[Range<usize>]) -> ndferry::Result<AnyArray> {
    tile.iter().cloned().enumerate().try_fold(array.clone(), |part, (axis, range)| part.slice_axis(axis, range))
}

/// The tiles of two arrays of one shape.
fn tiles_of(one: &AnyArray, other: &AnyArray) -> impl Iterator<Item = Vec<Range<usize>>> {
    tiles(one.shape(), one.order().filter(|&order| other.order() == Some(order)))
}

fn texts(array: &AnyArray) -> ndferry::Result<Vec<String>> {
    // What is no text is told as what is wrong with it, which names its bytes.
    Ok(array.texts()?.map(|text| text.map_or_else(|error| error.to_string(), |text| format!("{text:?}"))).collect())
}

fn byte_strings(array: &AnyArray) -> ndferry::Result<Vec<String>> {
    Ok(array.byte_strings()?.map(|bytes| format!("\"{}\"", bytes.escape_ascii())).collect())
}

/// Compares what has no distances.
fn compare_words(
    one: &AnyArray,
    other: &AnyArray,
    read: fn(&AnyArray) -> ndferry::Result<Vec<String>>,
) -> ndferry::Result<Difference> {
    let mut found = Difference::default();
    for tile in tiles_of(one, other) {
        let (a, b) = (read(&part(one, &tile)?)?, read(&part(other, &tile)?)?);
        let indices = ndarray::indices(tile.iter().map(Range::len).collect::<Vec<_>>());
        for ((index, a), b) in indices.into_iter().zip(a).zip(b) {
            if a != b {
                let index = index.slice().iter().zip(&tile).map(|(&at, range)| range.start + at);
                found.count(index, || [a, b]);
            }
        }
    }
    Ok(found)
}

fn compare_numbers<A: Compared>(
    one: &AnyArray,
    other: &AnyArray,
    nan_differs: bool,
    read: fn(&AnyArray) -> ndferry::Result<SharedArray<A, IxDyn>>,
) -> ndferry::Result<Difference> {
    let mut found = Difference::default();
    let same = |a: A, b: A| a.same(b) && !(nan_differs && a.is_nan());
    for tile in tiles_of(one, other) {
        let (a, b) = (read(&part(one, &tile)?)?, read(&part(other, &tile)?)?);
        if Zip::from(&*a).and(&*b).all(|&a, &b| same(a, b)) {
            continue;
        }
        for ((index, &a), &b) in a.indexed_iter().zip(b.iter()) {
            if !same(a, b) {
                let index = index.slice().iter().zip(&tile).map(|(&at, range)| range.start + at);
                found.take(index, a, b);
            }
        }
    }
    Ok(found)
}

impl Difference {
    /// Takes in two elements that are not the same, and how they are told.
    fn count(&mut self, index: impl Iterator<Item = usize> + Clone, told: impl FnOnce() -> [String; 2]) {
        self.different += 1;
        // Tiles come in an order of their own.
        if self.first.as_ref().is_none_or(|(first, _)| index.clone().lt(first.iter().copied())) {
            self.first = Some((index.collect(), told()));
        }
    }

    /// Takes in two elements that are not the same.
    fn take<A: Compared>(&mut self, index: impl Iterator<Item = usize> + Clone, one: A, other: A) {
        self.count(index, || [one.told(), other.told()]);
        match one.distance(other) {
            Distance::Nan => self.nan += 1,
            Distance::By { absolute, relative } => {
                let larger = |before: Option<Value>, now: Value| before.filter(|&before| before >= now).or(Some(now));
                self.absolute = larger(self.absolute, absolute);
                self.relative = larger(self.relative, Value::Float(relative));
            }
        }
    }
}
