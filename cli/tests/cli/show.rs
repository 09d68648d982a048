//! `ndferry show`: values as NumPy prints them, CSV and JSON.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ndarray::{Array1, Array2, Array3, array};
use ndferry::{
    AnyArray, SharedArray,
    array::Order,
    dtype::ByteOrder,
    file::{Compression, DumpOptions},
};
use serde_json::json;

use crate::run::{Outcome, command_within, is_emulated, ndferry, run};

/// Runs `ndferry show FILE` with these options.
fn show(path: &Path, options: &[&str]) -> Outcome {
    ndferry(["show", path.to_str().unwrap()].iter().chain(options))
}

/// Writes an array to `name` in `folder`.
fn file(folder: &tempfile::TempDir, name: &str, array: impl Into<AnyArray>) -> PathBuf {
    let path = folder.path().join(name);
    ndferry::dump(&path, &array.into()).unwrap();
    path
}

/// An array of this dtype from little-endian bytes.
fn of_bytes(dtype: &str, shape: &[usize], bytes: &[u8]) -> AnyArray {
    AnyArray::from_bytes(dtype.parse().unwrap(), shape, Order::C, bytes).unwrap()
}

#[test]
fn show_output_equals_numpy() {
    let Some(python) = std::env::var_os("NDFERRY_PYTHON") else {
        return eprintln!("left out: NDFERRY_PYTHON is not set");
    };
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/show.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let expected = fs::read_to_string(folder.path().join("arrays.txt")).unwrap();
    let found = show(&folder.path().join("arrays.npz"), &[]).success();
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    for (at, (line, found)) in expected.iter().zip(&found).enumerate() {
        let context = expected[at.saturating_sub(3)..at].join("\n");
        assert_eq!(found, line, "after\n{context}");
    }
    assert_eq!(found.len(), expected.len());

    let slices = fs::read_to_string(folder.path().join("slices.json")).unwrap();
    let slices: Vec<[String; 2]> = serde_json::from_str(&slices).unwrap();
    for [slice, expected] in slices {
        let found = show(&folder.path().join("slices.npy"), &["--slice", &slice]).success();
        assert_eq!(found, expected + "\n", "{slice}");
    }
}

// The expected texts were printed by NumPy 2.4, except those of bf16.
#[test]
fn show_without_python_equals_recorded_output() {
    let folder = tempfile::tempdir().unwrap();
    let half = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect()
    };
    let brain = |values: &[f32]| -> Vec<u8> {
        values.iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect()
    };
    let counts = |values: &[i64]| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let any = |array: SharedArray<_, _>| AnyArray::from(array);
    let third: AnyArray = SharedArray::from(array![1.0 / 3.0, 10.0, -2.5]).into();
    for (array, expected) in [
        (third.clone(), "[ 0.33333333 10.         -2.5       ]"),
        (any(SharedArray::from(array![1e8, 1.0])), "[1.e+08 1.e+00]"),
        (any(SharedArray::from(array![1e-5, 0.25])), "[1.0e-05 2.5e-01]"),
        (any(SharedArray::from(array![1.0, 1001.0])), "[1.000e+00 1.001e+03]"),
        (any(SharedArray::from(array![1.0, 1000.0])), "[   1. 1000.]"),
        (any(SharedArray::from(array![f64::NAN, -f64::INFINITY, 0.5])), "[ nan -inf  0.5]"),
        (SharedArray::from(array![[true, false]]).into(), "[[ True False]]"),
        (SharedArray::from(array![[-1i8, 100], [0, 7]]).into(), "[[ -1 100]\n [  0   7]]"),
        (SharedArray::from(ndarray::arr0(1.0 / 3.0)).into(), "0.3333333333333333"),
        (SharedArray::from(Array2::<f64>::zeros((0, 3))).into(), "[]"),
        (of_bytes("<f2", &[3], &half(&[0.1, 1e-5, 3.0])), "[1.e-01 1.e-05 3.e+00]"),
        (of_bytes("<bf2", &[2], &brain(&[0.1, 3.0])), "[0.1 3. ]"),
        (
            of_bytes("<c16", &[2], &[0.5f64, -1.0, 2.0, f64::NAN].map(f64::to_le_bytes).concat()),
            "[0.5 -1.j 2. +nanj]",
        ),
        (of_bytes("|S3", &[2], b"abcit'"), "[b'abc' b\"it'\"]"),
        (of_bytes("|V2", &[1], b"z\0"), "[b'\\x7A\\x00']"),
        (of_bytes("<M8[D]", &[2], &counts(&[18262, i64::MIN])), "['2020-01-01'        'NaT']"),
        (of_bytes("<m8[25us]", &[2], &counts(&[-7, 12])), "[-7 12]"),
        (of_bytes("<m8[25us]", &[], &counts(&[2])), "50 microseconds"),
        (
            SharedArray::from(Array1::from_iter(0..1001i16)).into(),
            "[   0    1    2 ...  998  999 1000]",
        ),
        (
            SharedArray::from(Array3::from_shape_fn((2, 7, 100), |(i, j, k)| (i + j + k) as u8))
                .into(),
            "[[[  0   1   2 ...  97  98  99]\n  [  1   2   3 ...  98  99 100]\n  [  2   3   4 ...  99 100 101]\n  ...\n  \
              [  4   5   6 ... 101 102 103]\n  [  5   6   7 ... 102 103 104]\n  [  6   7   8 ... 103 104 105]]\n\n \
              [[  1   2   3 ...  98  99 100]\n  [  2   3   4 ...  99 100 101]\n  [  3   4   5 ... 100 101 102]\n  ...\n  \
              [  5   6   7 ... 102 103 104]\n  [  6   7   8 ... 103 104 105]\n  [  7   8   9 ... 104 105 106]]]",
        ),
        (
            SharedArray::from(Array1::from_iter(0..30u16)).into(),
            "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n 24 25 26 27 28 29]",
        ),
    ] {
        let name = format!("{:?}", array.dtype().to_string());
        let path = file(&folder, "a.ferry", array);
        assert_eq!(show(&path, &[]).success(), format!("{expected}\n"), "{name}");
    }
}

#[test]
fn show_reads_every_byte_order_and_compression() {
    let folder = tempfile::tempdir().unwrap();
    let array =
        SharedArray::from(Array2::from_shape_fn((40, 30), |(i, j)| i as f64 - j as f64 / 8.0));
    let expected = show(&file(&folder, "a.ferry", &array), &["--slice", "::9, -1:-9:-2"]).success();
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let options = DumpOptions::new().byte_order(order);
        let path = folder.path().join("b.ferry");
        let codecs = [
            cfg!(feature = "zstd").then_some(Compression::Zstd(3)),
            cfg!(feature = "lz4").then_some(Compression::Lz4),
        ];
        for codec in [None].into_iter().chain(codecs.into_iter().flatten().map(Some)) {
            let options = codec.into_iter().fold(options.clone(), DumpOptions::compress);
            options.dump(&path, &array.to_any()).unwrap();
            let found = show(&path, &["--slice", "::9, -1:-9:-2"]).success();
            assert_eq!(found, expected, "{order} {codec:?}");
        }
    }
    let raw = folder.path().join("raw");
    fs::write(&raw, [0, 1, 0, 2, 0, 3, 0, 4]).unwrap();
    let options = ["--raw", ">i2", "--shape", "2,2", "--order", "F"];
    assert_eq!(show(&raw, &options).success(), "[[1 3]\n [2 4]]\n");
}

#[test]
fn show_records_are_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let dtype = "[('id', '>u2'), ('at', [('x', '<f4'), ('y', '<i2', (2,))]), ('name', '|S2')]";
    let record = |id: u8, x: f32| [&[0, id][..], &x.to_le_bytes(), &[id, 0, 7, 0], b"ab"].concat();
    let bytes = [record(1, 0.5), record(20, -1.25)].concat();
    let path = file(&folder, "a.ferry", of_bytes(dtype, &[2], &bytes));
    let table =
        "id   at.x      at.y  name\n 1   0.5   [ 1,  7]  b'ab'\n20  -1.25  [20,  7]  b'ab'\n";
    assert_eq!(show(&path, &[]).success(), table);
    assert_eq!(show(&path, &["--array", "at.x"]).success(), "[ 0.5  -1.25]\n");
    assert_eq!(show(&path, &["--array", "at.y", "--slice", "1, 0"]).success(), "20\n");
    let csv = "id,at.x,at.y[0],at.y[1],name\n1,0.5,1,7,ab\n20,-1.25,20,7,ab\n";
    assert_eq!(show(&path, &["--csv"]).success(), csv);
    assert_eq!(
        show(&path, &["--json", "--slice", "::-1"]).json(),
        json!([
            {"id": 20, "at": {"x": -1.25, "y": [20, 7]}, "name": "ab"},
            {"id": 1, "at": {"x": 0.5, "y": [1, 7]}, "name": "ab"},
        ])
    );

    let many: Vec<u8> = (0..1200u16).flat_map(u16::to_le_bytes).collect();
    let path = file(&folder, "b.ferry", of_bytes("[('n', '<u2')]", &[2, 600], &many));
    let table = "index        n\n[0, 0]       0\n[0, 1]       1\n[0, 2]       2\n...        ...\n\
        [0, 597]   597\n[0, 598]   598\n[0, 599]   599\n[1, 0]     600\n[1, 1]     601\n\
        [1, 2]     602\n...        ...\n[1, 597]  1197\n[1, 598]  1198\n[1, 599]  1199\n";
    assert_eq!(show(&path, &[]).success(), table);
    show(&path, &["--csv"]).assert_failed(&path, "expected at most 1 axis, found 2; select a part");
}

#[test]
fn show_csv_and_json_have_all_digits() {
    let folder = tempfile::tempdir().unwrap();
    let counts =
        |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0 / 3.0, 1e300, -0.0];
    let special = AnyArray::from(SharedArray::from(special.to_vec()));
    for (array, csv, json) in [
        (
            special,
            "nan\ninf\n-inf\n0.3333333333333333\n1e+300\n-0.0\n",
            json!(["NaN", "Infinity", "-Infinity", 1.0 / 3.0, 1e300, -0.0]),
        ),
        (SharedArray::from(array![[1u8, 2], [3, 4]]).into(), "1,2\n3,4\n", json!([[1, 2], [3, 4]])),
        (SharedArray::from(array![true]).into(), "True\n", json!([true])),
        (SharedArray::from(ndarray::arr0(0.1f32)).into(), "0.1\n", json!(0.1)),
        (SharedArray::from(array![u64::MAX]).into(), "18446744073709551615\n", json!([u64::MAX])),
        (
            of_bytes("<c8", &[1], &[1.5f32, f32::NAN].map(f32::to_le_bytes).concat()),
            "(1.5+nanj)\n",
            json!([[1.5, "NaN"]]),
        ),
        (
            of_bytes("|S3", &[4], b"a,b\"q\0\0\0\0\xff\0\0"),
            "\"a,b\"\n\"\"\"q\"\n\"\"\n\\xff\n",
            json!(["a,b", "\"q", "", "\\xff"]),
        ),
        (of_bytes("|V2", &[1], b"z\0"), "7a00\n", json!(["7a00"])),
        (
            of_bytes("<M8[D]", &[2], &counts(&[18262, i64::MIN])),
            "2020-01-01\nNaT\n",
            json!(["2020-01-01", "NaT"]),
        ),
        (of_bytes("<m8[s]", &[2], &counts(&[-7, i64::MIN])), "-7\nNaT\n", json!([-7, "NaT"])),
        (SharedArray::from(Array2::<u8>::zeros((2, 0))).into(), "", json!([[], []])),
    ] {
        let name = array.dtype().to_string();
        let path = file(&folder, "a.ferry", array);
        assert_eq!(show(&path, &["--csv"]).success(), csv, "{name}");
        assert_eq!(show(&path, &["--json"]).json(), json, "{name}");
    }
    // More than one block, along one axis and along both.
    for shape in [(30_000, 2), (3, 40_000), (1, 1)] {
        let array = Array2::from_shape_fn(shape, |(i, j)| (i * 100_003 + j * 7) as u32);
        let path = file(&folder, "a.ferry", SharedArray::from(array.clone()));
        let rows: Vec<Vec<u32>> = array.rows().into_iter().map(|row| row.to_vec()).collect();
        assert_eq!(show(&path, &["--json"]).json(), json!(rows), "{shape:?}");
        let line = |row: &Vec<u32>| row.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let csv: Vec<_> = rows.iter().map(line).collect();
        assert_eq!(show(&path, &["--csv"]).success(), csv.join("\n") + "\n", "{shape:?}");
    }
}

#[test]
fn show_of_several_arrays_has_headings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    ndferry::dump(&path, &BTreeMap::from([("bias", array![0.5]), ("weight", array![1.5, -2.0])]))
        .unwrap();
    let text = show(&path, &[]).success();
    assert_eq!(text.replace(">f8", "<f8"), "bias: <f8 1\n[0.5]\n\nweight: <f8 2\n[ 1.5 -2. ]\n");
    assert_eq!(show(&path, &["--json"]).json(), json!({"bias": [0.5], "weight": [1.5, -2.0]}));
    let csv = show(&path, &["--csv"]);
    csv.assert_failed(
        &path,
        "expected one array, found 2; choose one with --array: `bias`, `weight`",
    );
    assert_eq!(show(&path, &["--csv", "--array", "weight"]).success(), "1.5\n-2.0\n");
    show(&path, &["--array", "wieght"]).assert_failed(&path, "did you mean `weight`?");
    // The other arrays are printed.
    let sliced = show(&path, &["--slice", "1"]);
    sliced.assert_failed(
        &path,
        "array `bias`: part 1 (`1`): found index 1, expected -1 to 0 on axis 0",
    );
    assert!(sliced.stdout.ends_with("scalar\n-2.0\n"), "{sliced:?}");
}

#[test]
fn show_reads_only_the_slice_of_a_mapped_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.raw");
    // Sparse, and larger than the memory limit. An emulator cannot map as much.
    let nbytes: u64 = if is_emulated() { 4 << 30 } else { 1 << 36 };
    fs::File::create(&path).unwrap().set_len(nbytes).unwrap();
    for dtype in ["<f8", ">f8", "|b1"] {
        let length = nbytes / if dtype == "|b1" { 1 } else { 8 };
        for options in [&[][..], &["--slice", "::-1000000000"], &["--slice", "-3:", "--csv"]] {
            let shape = length.to_string();
            let arguments = ["show", path.to_str().unwrap(), "--raw", dtype, "--shape", &shape];
            let outcome = run(command_within(48 << 10, arguments.iter().chain(options)));
            assert!(outcome.success().lines().count() < 100, "{dtype} {options:?}");
        }
    }
}
