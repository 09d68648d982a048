//! Compares two arrays of one type and shape.

use half::{bf16, f16};
use ndarray::{IxDyn, Zip};
use ndferry::{
    AnyArray, SharedArray,
    dtype::{DTypeKind, Element, Scalar},
};
use num_complex::Complex;

use super::{
    distance::{Compared, Distance},
    pair::{Pair, Tile},
};
use crate::{failure::reason, time::Time, value::Value};

/// The differences between two arrays.
#[derive(Default)]
pub struct Difference {
    /// The number of elements that differ.
    pub different: u64,
    /// How many of those are NaN in one array only.
    pub nan: u64,
    /// The [position](Pair::position) and the values of the first difference
    /// in C order.
    pub first: Option<(Vec<usize>, [String; 2])>,
    /// The largest distances without NaN.
    pub absolute: Option<Value>,
    pub relative: Option<Value>,
}

/// Compares two arrays. `Err` has the reason why they cannot be compared.
pub fn compare(pair: &Pair, nan_differs: bool) -> Result<Difference, String> {
    let by = |compare: fn(&Pair, bool) -> ndferry::Result<Difference>| {
        compare(pair, nan_differs).map_err(|error| reason(&error))
    };
    let dtype = pair.one().dtype();
    if let Some(time) = Time::of(dtype) {
        return compare_numbers(pair, nan_differs, AnyArray::timestamps_i64, time)
            .map_err(|error| reason(&error));
    }
    let scalar = match dtype.kind() {
        DTypeKind::Scalar(scalar) => *scalar,
        DTypeKind::Text(_) => return by(compare_texts),
        // Padding is not compared.
        DTypeKind::Struct(_) => return Ok(Difference::default()),
        _ => return by(compare_byte_strings),
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
        _ => Err(format!("elements of dtype {dtype} cannot be compared")),
    }
}

fn compare_as<A: Element + Compared>(
    pair: &Pair,
    nan_differs: bool,
) -> ndferry::Result<Difference> {
    compare_numbers(pair, nan_differs, AnyArray::to_array::<A, IxDyn>, |value| value)
}

fn compare_texts(pair: &Pair, _: bool) -> ndferry::Result<Difference> {
    // Invalid text is shown as its error, which has the bytes.
    let shown = |text: ndferry::Result<String>| {
        text.map_or_else(|error| error.to_string(), |text| format!("{text:?}"))
    };
    let mut found = Difference::default();
    for tile in pair.tiles() {
        let (one, other) = (tile.of(pair.one())?, tile.of(pair.other())?);
        for (at, (a, b)) in one.strings()?.zip(other.strings()?).enumerate() {
            let same = match (&a, &b) {
                (Ok(a), Ok(b)) => a == b,
                (Err(_), Err(_)) => tile.is_same(at, &one, &other)?,
                _ => false,
            };
            if !same {
                found.count(pair, &tile, at, || [shown(a), shown(b)]);
            }
        }
    }
    Ok(found)
}

fn compare_byte_strings(pair: &Pair, _: bool) -> ndferry::Result<Difference> {
    let shown = |bytes: &[u8]| format!("\"{}\"", bytes.escape_ascii());
    let mut found = Difference::default();
    for tile in pair.tiles() {
        let (one, other) = (tile.of(pair.one())?, tile.of(pair.other())?);
        for (at, (a, b)) in one.byte_strings()?.zip(other.byte_strings()?).enumerate() {
            if a != b {
                found.count(pair, &tile, at, || [shown(a), shown(b)]);
            }
        }
    }
    Ok(found)
}

/// Compares elements as the values that `value` makes of them.
fn compare_numbers<A: Element + Copy, C: Compared>(
    pair: &Pair,
    nan_differs: bool,
    read: fn(&AnyArray) -> ndferry::Result<SharedArray<A, IxDyn>>,
    value: impl Fn(A) -> C,
) -> ndferry::Result<Difference> {
    let mut found = Difference::default();
    let same = |a: C, b: C| a.same(b) && !(nan_differs && a.is_nan());
    for tile in pair.tiles() {
        let (a, b) = (read(&tile.of(pair.one())?)?, read(&tile.of(pair.other())?)?);
        if Zip::from(&*a).and(&*b).all(|&a, &b| same(value(a), value(b))) {
            continue;
        }
        for (at, (&a, &b)) in a.iter().zip(b.iter()).enumerate() {
            let (a, b) = (value(a), value(b));
            if !same(a, b) {
                found.count(pair, &tile, at, || [a.text(), b.text()]);
                found.measure(a.distance(b));
            }
        }
    }
    Ok(found)
}

impl Difference {
    /// Counts two different elements, the element `at` of a tile. `values` makes
    /// their text.
    fn count(&mut self, pair: &Pair, tile: &Tile, at: usize, values: impl FnOnce() -> [String; 2]) {
        self.different += 1;
        if self.first.is_some() && pair.is_in_order() {
            return;
        }
        let position = pair.position(tile.index(at));
        if self.first.as_ref().is_none_or(|(first, _)| position < *first) {
            self.first = Some((position, values()));
        }
    }

    /// Includes the distance of two elements.
    fn measure(&mut self, distance: Distance) {
        match distance {
            Distance::Nan => self.nan += 1,
            Distance::Number { absolute, relative } => {
                let larger = |before: Option<Value>, now: Value| {
                    before.filter(|&before| before >= now).or(Some(now))
                };
                self.absolute = larger(self.absolute, absolute);
                self.relative = larger(self.relative, Value::Float(relative));
            }
        }
    }
}
