//! Numbers that are read as another type keep their value, or are refused.

use std::{collections::BTreeMap, fmt::Debug};

use half::{bf16, f16};
use ndferry::ndarray::{Array1, Array2, array};
use num_complex::Complex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::forge;

/// Writes a value to a `.ferry` file and reads it as another type.
fn read_as<R: DeserializeOwned>(written: &impl Serialize) -> Result<R, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    ndferry::dump(&path, written).unwrap();
    let read = ndferry::load(&path);
    read.map_err(|error| error.to_string().replace(&format!("{}: ", path.display()), ""))
}

#[track_caller]
fn kept<R: DeserializeOwned + Debug + PartialEq>(written: impl Serialize, expected: R) {
    assert_eq!(read_as::<R>(&written), Ok(expected));
}

#[track_caller]
fn refused<R: DeserializeOwned + Debug>(written: impl Serialize, message: &str) {
    let error = read_as::<R>(&written).unwrap_err();
    assert_eq!(error, message);
}

/// Returns many copies of `element`, so that they are an array of the file.
fn many<T: Clone>(element: T) -> Vec<T> {
    vec![element; 1000]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Metres<T>(T);

#[derive(Debug, Serialize, Deserialize)]
struct Plate<T> {
    depths: T,
}

// F9
#[test]
fn numbers_that_fit_are_converted() {
    kept(array![0.5_f64, f64::INFINITY], array![0.5_f32, f32::INFINITY]);
    kept(array![[1_i64, -2]], array![[1.0_f64, -2.0]]);
    kept(many(250_u8), many(250.0_f32));
    kept(many(-7_i64), many(-7_i8));
    kept(many(0.1_f32), many(f64::from(0.1_f32)));
    kept(many(f16::from_f32(0.5)), many(0.5_f64));
    kept(many(bf16::from_f32(0.5)), many(f16::from_f32(0.5)));
    kept(many(0.5_f64), many(bf16::from_f32(0.5)));
    kept(many(Complex::new(0.5_f64, -1.0)), many(Complex::new(0.5_f32, -1.0)));
    kept(many(2.0_f64), many(Metres(2.0_f32)));
    kept(many(2.0_f64), many(Some(2.0_f32)));
    kept((1_u64, 0.25_f64), (1.0_f64, 0.25_f32));
    kept(1_u64 << 53, 2_f64.powi(53));
    kept(BTreeMap::from([(1_u64, -1_i64)]), BTreeMap::from([(1_u8, -1.0_f32)]));
    assert!(read_as::<Array1<f32>>(&array![f64::NAN]).unwrap()[0].is_nan());
}

// F9
#[test]
fn numbers_that_do_not_fit_are_refused() {
    let f32_of = |number: &str| {
        format!("{number} is not exact as f32: read it as f64, then cast it with `as f32`")
    };
    let f64_of = |number: &str, own: &str| {
        format!("{number} is not exact as f64: read it as {own}, then cast it with `as f64`")
    };
    refused::<Array1<f32>>(array![0.5, 0.1], &format!("element 1: {}", f32_of("0.1")));
    refused::<Array1<f32>>(array![1e300], &format!("element 0: {}", f32_of("1e300")));
    refused::<Array1<f32>>(array![-1e-300], &format!("element 0: {}", f32_of("-1e-300")));
    refused::<Vec<f64>>(
        many((1_i64 << 53) + 1),
        &format!("element 0: {}", f64_of("9007199254740993", "i64")),
    );
    refused::<Vec<f64>>(
        many(u64::MAX),
        &format!("element 0: {}", f64_of("18446744073709551615", "u64")),
    );
    refused::<Vec<Metres<f32>>>(many(0.1_f64), &format!("element 0: {}", f32_of("0.1")));
    refused::<Vec<Complex<f32>>>(
        many(Complex::new(0.5_f64, 0.1)),
        &format!("element 0: {}", f32_of("0.1")),
    );
    refused::<Vec<f16>>(
        many(0.1_f32),
        "element 0: 0.1 is not exact as f16: read it as f32, then cast it with `as f16`",
    );
    refused::<Vec<f16>>(
        many(bf16::from_f32(1e30)),
        &format!(
            "element 0: {:?} is not exact as f16: read it as f32, then cast it with `as f16`",
            bf16::from_f32(1e30).to_f32()
        ),
    );
    refused::<Vec<f16>>(
        many(1_u16),
        "element 0: invalid type: integer `1`, expected tuple struct f16",
    );
    refused::<Vec<u8>>(many(300_i32), "element 0: invalid value: integer `300`, expected u8");
    refused::<f32>(0.1_f64, &f32_of("0.1"));
    refused::<(u8, f64)>(
        (1, i64::MAX),
        &format!("element 1: {}", f64_of("9223372036854775807", "u64")),
    );
    refused::<BTreeMap<String, f32>>(
        BTreeMap::from([("depth", 0.1)]),
        &format!("depth: {}", f32_of("0.1")),
    );
    refused::<Plate<Array2<f32>>>(
        Plate { depths: array![[0.5, 0.1]] },
        &format!("depths: element 1: {}", f32_of("0.1")),
    );
}

// F9
#[test]
fn numbers_of_other_formats_follow_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    std::fs::write(
        &path,
        forge::npy_of("'<f8'", "(2,)", &[0.5_f64, 0.1].map(f64::to_le_bytes).concat()),
    )
    .unwrap();
    let error = ndferry::load::<Array1<f32>>(&path).unwrap_err().to_string();
    assert!(error.contains("element 1: 0.1 is not exact as f32"), "{error}");
    assert_eq!(ndferry::load::<Array1<f64>>(&path).unwrap(), array![0.5, 0.1]);
}
