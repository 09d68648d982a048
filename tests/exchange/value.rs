//! A value with everything in it that serde knows. `others.py` expects the same.

use std::{collections::BTreeMap, fmt};

use half::{bf16, f16};
use ndferry::{
    AnyArray, SharedArray,
    array::Order,
    ndarray::{Array1, Array2, Array3, Ix1, Ix2, ShapeBuilder, array},
};
use num_complex::Complex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    Newtype(u8),
    Tuple(i64, String),
    Struct { weight: Array2<f32>, scale: Option<f64> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newtype((i128, u128));

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    text: String,
    letter: char,
    truth: bool,
    least: (i8, i16, i32, i64),
    most: (u8, u16, u32, u64),
    wide: Newtype,
    floats: (f32, f64),
    nothing: (),
    options: [Option<Option<Option<()>>>; 4],
    kinds: Vec<Kind>,
    by_name: BTreeMap<String, Vec<f64>>,
    by_number: BTreeMap<i16, (u8, char)>,
    few_bytes: Bytes,
    many_bytes: Bytes,
    few: Vec<i32>,
    many: Vec<u16>,
    complex: Vec<Complex<f64>>,
    half: Vec<f16>,
    brain: Vec<bf16>,
    plain: Array3<i32>,
    shared: SharedArray<f64, Ix2>,
    flags: SharedArray<bool, Ix1>,
    none: Array1<f32>,
    records: AnyArray,
}

impl Value {
    pub fn sample() -> Self {
        let records = "[('a', '<u2'), ('b', '>i4'), ('', '|V1'), ('c', '|S2'), ('d', '>M8[s]')]"
            .parse()
            .unwrap();
        let record = b"\x01\x02\x03\x04\x05\x06\x00hi\xff\xff\xff\xff\xff\xff\xff\xfe";
        Self {
            text: "größe \u{10ffff}".into(),
            letter: 'ß',
            truth: true,
            least: (i8::MIN, i16::MIN, i32::MIN, i64::MIN),
            most: (u8::MAX, u16::MAX, u32::MAX, u64::MAX),
            wide: Newtype((-2, 1 << 100)),
            floats: (1.5e-45, -0.1),
            nothing: (),
            options: [None, Some(None), Some(Some(None)), Some(Some(Some(())))],
            kinds: vec![
                Kind::Unit,
                Kind::Newtype(255),
                Kind::Tuple(-1, "two".into()),
                Kind::Struct { weight: array![[1.5, -2.5], [3.5, 4.5]], scale: Some(0.5) },
            ],
            by_name: [("a.b".into(), vec![0.25; 200]), ("short".into(), vec![2.0])].into(),
            by_number: [(-300, (1, 'a')), (7, (2, 'b'))].into(),
            few_bytes: Bytes(vec![1, 2, 255]),
            many_bytes: Bytes((0..=255).cycle().take(2000).collect()),
            few: vec![-1, 2],
            many: (0..5000).collect(),
            complex: (0..100).map(|at| Complex::new(at.into(), -1.5)).collect(),
            half: (0..1000).map(|at| f16::from_f32(at as f32)).collect(),
            brain: (0..1000).map(|at| bf16::from_bits(at << 5)).collect(),
            plain: Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (100 * i + 10 * j + k) as i32),
            shared: SharedArray::from(Array2::from_shape_fn((5, 3).f(), |(i, j)| {
                (10 * i + j) as f64 / 8.0
            })),
            flags: SharedArray::from(vec![true, false, true]),
            none: Array1::zeros(0),
            records: AnyArray::from_bytes(records, &[3], Order::C, &record.repeat(3)).unwrap(),
        }
    }
}

/// Bytes that are bytes to serde, not numbers.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Visitor)
    }
}
