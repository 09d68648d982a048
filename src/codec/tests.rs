use std::{cell::RefCell, collections::BTreeMap};

use ndarray::{Array, Array2, ArrayD, IxDyn, ShapeBuilder, array, s};
use serde::{Deserialize, Serialize, de::DeserializeOwned, ser::SerializeSeq};

use super::*;
use crate::{
    AnyArray, DType, Error, Result, SharedArray,
    array::{Layout, Memory},
    bytes::map::Buffer,
    dtype::{ByteOrder, Scalar},
};

/// Segments in memory.
#[derive(Default)]
struct MemorySegments {
    arrays: RefCell<Vec<(String, AnyArray)>>,
    open: Option<(String, Scalar, Vec<u8>)>,
    restarts: usize,
}

impl Sink for MemorySegments {
    fn begin(&mut self, name: String, scalar: Scalar, _: Option<usize>) -> Result<()> {
        assert!(self.open.is_none());
        self.open = Some((name, scalar, Vec::new()));
        Ok(())
    }

    fn write(&mut self, elements: &[u8]) -> Result<()> {
        self.open.as_mut().unwrap().2.extend_from_slice(elements);
        Ok(())
    }

    fn end(&mut self, shape: &[usize]) -> Result<usize> {
        let (name, scalar, bytes) = self.open.take().unwrap();
        let memory =
            Memory::owned(Buffer::copy_of(&bytes)?, None, crate::array::CopyReason::Inline);
        let layout = Layout::contiguous(shape, crate::array::Order::C, scalar.size())?;
        self.array(name, &AnyArray::new(memory, DType::new(scalar, ByteOrder::NATIVE), layout)?)
    }

    fn array(&mut self, name: String, array: &AnyArray) -> Result<usize> {
        self.arrays.borrow_mut().push((name, array.clone()));
        Ok(self.arrays.borrow().len() - 1)
    }

    fn restart(&mut self) -> Result<()> {
        self.open = None;
        self.restarts += 1;
        self.arrays.borrow_mut().clear();
        Ok(())
    }
}

impl Segments for MemorySegments {
    fn get(&self, index: u64) -> Result<AnyArray> {
        let arrays = self.arrays.borrow();
        let found = usize::try_from(index).ok().and_then(|index| arrays.get(index));
        found.map(|(_, array)| array.clone()).ok_or_else(|| Error::invalid_data("no such segment"))
    }
}

fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> (T, MemorySegments) {
    let mut segments = MemorySegments::default();
    let tree = encode(value, DEFAULT_THRESHOLD, &mut segments).unwrap();
    (decode(&tree, &segments).unwrap(), segments)
}

fn names(segments: &MemorySegments) -> Vec<String> {
    segments.arrays.borrow().iter().map(|(name, _)| name.clone()).collect()
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Layer {
    Nothing,
    One(u8),
    Two(i64, String),
    Named { weight: Array2<f32>, scale: Option<f64> },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Model {
    title: String,
    layers: Vec<Layer>,
    table: BTreeMap<String, Vec<f64>>,
    by_number: BTreeMap<i16, (u8, char)>,
    raw: Vec<u8>,
    wide: (i128, u128),
    maybe: Vec<Option<Option<()>>>,
    unit: (),
    #[serde(rename = "other-name", default)]
    renamed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u8>,
}

fn model() -> Model {
    Model {
        title: "größe".into(),
        layers: vec![
            Layer::Nothing,
            Layer::One(255),
            Layer::Two(i64::MIN, "x".repeat(70_000)),
            Layer::Named {
                weight: array![[1.5, -0.0], [f32::MAX, 3.0]],
                scale: Some(f64::MIN_POSITIVE),
            },
        ],
        table: [("a.b".into(), vec![1.0; 2000]), ("short".into(), vec![2.0])].into(),
        by_number: [(-300, (1, 'ß')), (7, (2, '\u{10ffff}'))].into(),
        raw: (0..=255).cycle().take(5000).collect(),
        wide: (i128::MIN, u128::MAX),
        maybe: vec![None, Some(None), Some(Some(()))],
        unit: (),
        renamed: true,
        skipped: None,
    }
}

// F9
#[test]
fn codec_nested_values_round_trip() {
    let (back, segments) = round_trip(&model());
    assert_eq!(back, model());
    assert_eq!(names(&segments), ["layers.3.Named.weight", "table.a\\.b", "raw"]);
}

#[test]
fn codec_distinguishes_nested_options() {
    for value in [None, Some(None), Some(Some(None)), Some(Some(Some(())))] {
        assert_eq!(round_trip::<Option<Option<Option<()>>>>(&value).0, value);
    }
}

// F7
#[test]
fn codec_arrays_of_every_layout_round_trip() {
    let base = Array::from_shape_fn((4, 3, 5), |(i, j, k)| (i * 15 + j * 5 + k) as i32);
    for view in [
        base.view().into_dyn(),
        base.t().into_dyn(),
        base.slice(s![..;-1, 1.., ..;2]).into_dyn(),
        base.slice(s![0, 0, 0]).into_dyn(),
        base.slice(s![..0, .., ..]).into_dyn(),
        base.slice(s![1..2, 0..1, 2..3]).into_dyn(),
        base.slice(s![0, .., ..]).broadcast((2, 3, 5)).unwrap().into_dyn(),
    ] {
        let (plain, _) = round_trip(&view.to_owned());
        assert_eq!(plain, view);
        let whole = SharedArray::from(base.clone());
        assert_eq!(whole.strides(), base.strides());
        let (shared, segments) = round_trip(&SharedArray::from(view.to_owned()));
        assert_eq!(*shared, view);
        assert_eq!(names(&segments), [""]);
    }
    let (shared, _) = round_trip(&SharedArray::from(ArrayD::<u8>::zeros(IxDyn(&[2, 3]).f())));
    assert_eq!(shared.strides(), [1, 2]);
}

#[test]
fn codec_array_and_shared_array_are_interchangeable() {
    let plain = Array2::from_shape_fn((30, 50), |(i, j)| i as f64 - j as f64);
    let mut segments = MemorySegments::default();
    let tree = encode(&plain, DEFAULT_THRESHOLD, &mut segments).unwrap();
    let shared: SharedArray<f64, ndarray::Ix2> = decode(&tree, &segments).unwrap();
    assert_eq!(*shared, plain);
    assert_eq!(
        shared.as_ptr().addr(),
        segments.get(0).unwrap().extent_bytes().as_ptr().addr(),
        "the array is passed on, not copied"
    );

    let mut segments = MemorySegments::default();
    let tree = encode(&shared, DEFAULT_THRESHOLD, &mut segments).unwrap();
    assert_eq!(decode::<Array2<f64>>(&tree, &segments).unwrap(), plain);
}

#[test]
fn codec_distinguishes_types_that_serde_does_not() {
    use num_complex::Complex;
    let complex: Vec<_> = (0..500).map(|i| Complex::new(i as f64, -1.0)).collect();
    let (back, segments) = round_trip(&complex);
    assert_eq!(back, complex);
    assert_eq!(segments.get(0).unwrap().dtype(), &DType::of::<Complex<f64>>());
    let pairs: Vec<_> = (0..500).map(|i| (i as f64, -1.0)).collect();
    let (back, segments) = round_trip(&pairs);
    assert_eq!(back, pairs);
    assert!(names(&segments).is_empty());
    let half: Vec<_> = (0..1000).map(half::f16::from_bits).collect();
    assert_eq!(round_trip(&half).1.get(0).unwrap().dtype(), &DType::of::<half::f16>());
    let half: Vec<_> = (0..1000).map(half::bf16::from_bits).collect();
    assert_eq!(round_trip(&half).1.get(0).unwrap().dtype(), &DType::of::<half::bf16>());
}

// B6
#[test]
fn codec_keeps_the_bits_of_nan() {
    let f64s = [0x7ff0_0000_0000_0001_u64, 0x7ff8_dead_beef_0000, 0xfff4_0000_0000_0000]
        .map(f64::from_bits);
    let f32s = [0x7f80_0001_u32, 0x7fc0_1234, 0xffa0_0000].map(f32::from_bits);
    for times in [1, 1000] {
        let value = (f64s.repeat(times), f32s.repeat(times));
        let (back, _) = round_trip(&value);
        assert!(back.0.iter().zip(&value.0).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert!(back.1.iter().zip(&value.1).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

/// Numbers of one type, followed by one of another type.
struct Mixed(usize);

impl Serialize for Mixed {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for _ in 0..self.0 {
            seq.serialize_element(&1u64)?;
        }
        seq.serialize_element(&2i8)?;
        seq.end()
    }
}

#[test]
fn codec_mixed_sequence_stays_in_the_tree() {
    for (length, restarts) in [(0, 0), (5, 0), (100_000, 1)] {
        let mut segments = MemorySegments::default();
        let tree =
            encode(&(Mixed(length), vec![0u8; 2000]), DEFAULT_THRESHOLD, &mut segments).unwrap();
        let (back, _): (Vec<u64>, Vec<u8>) = decode(&tree, &segments).unwrap();
        assert_eq!((back.len(), back[length], segments.restarts), (length + 1, 2, restarts));
        assert_eq!(names(&segments), ["1"]);
    }
}

#[derive(Serialize, Deserialize, Debug)]
struct Chain(Vec<Chain>);

// F1
#[test]
fn codec_nesting_depth_is_limited() {
    let mut chain = Chain(vec![]);
    for _ in 0..200 {
        chain = Chain(vec![chain]);
    }
    let error = encode(&chain, DEFAULT_THRESHOLD, &mut MemorySegments::default()).unwrap_err();
    assert!(error.to_string().contains("deeper than 128"), "{error}");
    let bomb = vec![0x91; 1 << 20];
    assert!(
        decode::<Chain>(&bomb, &MemorySegments::default())
            .unwrap_err()
            .to_string()
            .contains("deeper than 128")
    );
    assert!(decode::<serde::de::IgnoredAny>(&bomb, &MemorySegments::default()).is_err());
}

#[derive(Serialize, Deserialize, Debug)]
struct Endless(Option<Box<Endless>>);

// F1
#[test]
fn codec_nested_options_are_limited() {
    assert!(
        decode::<Endless>(&[1], &MemorySegments::default())
            .unwrap_err()
            .to_string()
            .contains("options or newtypes")
    );
    let three = Endless(Some(Box::new(Endless(Some(Box::new(Endless(None)))))));
    let (Endless(Some(two)), _) = round_trip(&three) else { panic!("the value has three levels") };
    assert!(two.0.unwrap().0.is_none());
}

// F1
#[test]
fn codec_deepest_value_can_be_read() {
    for (levels, fits) in [(127, true), (128, true), (129, false)] {
        let value = (1..levels).fold(Chain(vec![]), |chain, _| Chain(vec![chain]));
        let mut segments = MemorySegments::default();
        match encode(&value, DEFAULT_THRESHOLD, &mut segments) {
            Ok(tree) => assert!(fits && decode::<Chain>(&tree, &segments).is_ok(), "{levels}"),
            Err(_) => assert!(!fits, "{levels}"),
        }
    }
}

// E5
#[test]
fn codec_partly_read_sequence_is_an_error() {
    for length in [3, 2000] {
        let mut segments = MemorySegments::default();
        let tree = encode(&vec![1.5; length], DEFAULT_THRESHOLD, &mut segments).unwrap();
        let error = decode::<(f64, f64)>(&tree, &segments).unwrap_err().to_string();
        assert!(error.contains(&format!("invalid length {length}")), "{error}");
    }
}

// F1
#[test]
fn codec_second_reference_to_segment_is_refused() {
    let mut segments = MemorySegments::default();
    let mut tree = encode(&vec![1.5; 2000], DEFAULT_THRESHOLD, &mut segments).unwrap();
    tree = [&[0x92], &*tree, &*tree].concat();
    let error = decode::<Vec<Vec<f64>>>(&tree, &segments).unwrap_err().to_string();
    assert!(error.contains("segment 0 more than once"), "{error}");
}

#[test]
fn codec_wide_integers_stay_in_the_tree() {
    let mut segments = MemorySegments::default();
    let tree = encode(&(i128::MIN, u128::MAX), 1, &mut segments).unwrap();
    assert_eq!(decode::<(i128, u128)>(&tree, &segments).unwrap(), (i128::MIN, u128::MAX));
}

// F1 F2
#[test]
fn codec_broken_trees_are_errors() {
    let mut segments = MemorySegments::default();
    let tree = encode(&model(), DEFAULT_THRESHOLD, &mut segments).unwrap();
    let tree = [&tree[..200], &tree[tree.len() - 900..]].concat();
    for end in 0..tree.len() {
        let _ = decode::<Model>(&tree[..end], &segments);
    }
    for bit in 0..tree.len() * 8 {
        let mut broken = tree.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let _ = decode::<Model>(&broken, &segments);
    }
    let small = encode(&(1u8, "two", 3.0), DEFAULT_THRESHOLD, &mut segments).unwrap();
    for end in 0..small.len() {
        assert!(decode::<(u8, String, f64)>(&small[..end], &segments).is_err());
    }
    assert!(
        decode::<Vec<u8>>(&[0xdd, 0xff, 0xff, 0xff, 0xff], &segments).is_err(),
        "declares 4 Gi elements"
    );
}

#[test]
fn codec_errors_contain_the_path() {
    let mut segments = MemorySegments::default();
    let tree = encode(&model(), DEFAULT_THRESHOLD, &mut segments).unwrap();
    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Other {
        by_number: BTreeMap<i16, (u8, u8)>,
    }
    let error = decode::<Other>(&tree, &segments).unwrap_err().to_string();
    assert!(error.starts_with("by_number: -300: element 1: invalid type: string \"ß\""), "{error}");
    let tree = encode(&vec![1.0; 3], DEFAULT_THRESHOLD, &mut segments).unwrap();
    let error = decode::<SharedArray<f64, ndarray::Ix1>>(&tree, &segments).unwrap_err().to_string();
    assert!(error.contains("expected an array, found a sequence"), "{error}");
}

#[test]
fn codec_shared_array_is_json_like_an_array() {
    let plain = array![[1.0, 2.0], [3.0, 4.5]];
    let shared = SharedArray::from(plain.clone());
    let json = serde_json::to_string(&plain).unwrap();
    assert_eq!(serde_json::to_string(&shared).unwrap(), json);
    assert_eq!(serde_json::from_str::<SharedArray<f64, ndarray::Ix2>>(&json).unwrap(), shared);
    assert!(serde_json::from_str::<SharedArray<f64, ndarray::Ix3>>(&json).is_err());
}
