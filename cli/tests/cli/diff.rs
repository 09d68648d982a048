//! `ndferry diff`.

use std::{fs, path::Path};

use half::f16;
use ndarray::{Array1, Array2, ArrayD, Axis, array};
use ndferry::{
    AnyArray, SharedArray,
    array::Order,
    dtype::{ByteOrder, Element},
    file::DumpOptions,
};
use num_complex::Complex;
use serde_json::json;

use crate::{
    fixture::{fixtures, raw_arguments, volume},
    run::{Outcome, command_within, is_emulated, ndferry, parse, run},
};

#[track_caller]
fn diff(a: &Path, b: &Path, options: &[&str]) -> Outcome {
    ndferry(["diff", a.to_str().unwrap(), b.to_str().unwrap()].iter().chain(options))
}

#[track_caller]
fn assert_same(a: &Path, b: &Path, options: &[&str]) {
    assert_eq!(diff(a, b, options).success(), "", "{} and {}", a.display(), b.display());
}

/// Checks that two files differ, and returns the output.
#[track_caller]
fn differing(a: &Path, b: &Path, options: &[&str]) -> String {
    let outcome = diff(a, b, options);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{outcome:?}");
    outcome.stdout
}

// B1
#[test]
fn diff_finds_fixtures_same_in_all_formats_and_orders() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written.ferry");
    for fixture in fixtures("npy") {
        let file = ndferry::open(&fixture.path).unwrap();
        for (byte_order, order) in [(ByteOrder::Big, Order::F), (ByteOrder::Little, Order::C)] {
            let options = DumpOptions::new().byte_order(byte_order).order(order);
            ndferry::convert(&file, None, &written, &options).unwrap();
            assert_same(&fixture.path, &written, &[]);
        }
    }
}

/// Two arrays of four elements that differ in the last two.
fn table<A: Element>(zero: A, [two, three]: [A; 2], [two_too, three_too]: [A; 2]) -> [AnyArray; 2] {
    let of = |two, three| {
        SharedArray::from(Array2::from_shape_vec((2, 2), vec![zero, zero, two, three]).unwrap())
    };
    [of(two, three).to_any(), of(two_too, three_too).to_any()]
}

#[test]
fn diff_reports_first_and_largest_difference_of_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
    let nan = f64::NAN;
    for ([one, other], first, absolute, relative, nans) in [
        (table(0.5, [1.0, 2.0], [1.5, 0.0]), ["1.0", "1.5"], json!(2.0), json!(1.0), 0),
        (table(0.5, [nan, 2.0], [1.0, 1.0]), ["NaN", "1.0"], json!(1.0), json!(0.5), 1),
        (
            table(0.0, [1.0, f64::INFINITY], [2.0, 1.0]),
            ["1.0", "2.0"],
            json!("inf"),
            json!("inf"),
            0,
        ),
        (table(0.5_f32, [1.0, 2.0], [1.5, 2.5]), ["1.0", "1.5"], json!(0.5), json!(1.0 / 3.0), 0),
        (
            table(f16::ONE, [f16::from_f32(1.0), f16::ONE], [f16::from_f32(1.5), f16::ZERO]),
            ["1.0", "1.5"],
            json!(1.0),
            json!(1.0),
            0,
        ),
        (
            table(0_i64, [i64::MIN, 1], [i64::MAX, 2]),
            ["-9223372036854775808", "9223372036854775807"],
            json!(u64::MAX),
            json!(2.0),
            0,
        ),
        (table(7_u8, [0, 1], [255, 2]), ["0", "255"], json!(255), json!(1.0), 0),
        (table(false, [true, true], [false, false]), ["true", "false"], json!(1), json!(1.0), 0),
        (
            table(
                Complex::new(0.0, 0.0),
                [Complex::new(3.0, -4.0), Complex::new(1.0, 0.0)],
                [Complex::new(0.0, 0.0); 2],
            ),
            ["3-4i", "0+0i"],
            json!(5.0),
            json!(1.0),
            0,
        ),
    ] {
        DumpOptions::new().byte_order(ByteOrder::Big).order(Order::F).write_npy(&a, &one).unwrap();
        DumpOptions::new().byte_order(ByteOrder::Little).write_npy(&b, &other).unwrap();
        let row = &parse(&differing(&a, &b, &["--json"]))[0];
        assert_eq!(row["verdict"], "values", "{row}");
        assert_eq!((&row["different"], &row["nan"]), (&json!(2), &json!(nans)), "{row}");
        assert_eq!((&row["first"], &row["values"]), (&json!([1, 0]), &json!(first)), "{row}");
        assert_eq!((&row["absolute"], &row["relative"]), (&absolute, &relative), "{row}");
        let line = differing(&a, &b, &[]);
        let start =
            format!("2 of 4 elements differ, first at [1, 0]: {} and {}; ", first[0], first[1]);
        assert!(line.starts_with(&start), "{line}");
    }
}

#[test]
fn diff_nan_equals_nan_without_nan_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.ferry"), folder.path().join("b.ferry"));
    ndferry::dump(&a, &array![f64::NAN, 0.0, 1.0]).unwrap();
    ndferry::dump(&b, &array![f64::from_bits(f64::NAN.to_bits() ^ 7), -0.0, 1.0]).unwrap();
    assert_same(&a, &b, &[]);
    assert_eq!(
        differing(&a, &b, &["--nan-differs"]),
        "1 of 3 elements differ, first at [0]: NaN and NaN; with NaN: 1\n"
    );
}

#[test]
fn diff_compares_arrays_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.ferry"), folder.path().join("b.ferry"));
    #[derive(serde::Serialize)]
    struct One {
        same: Array1<i32>,
        gone: Array1<i32>,
        kind: Array1<f32>,
        turned: Array2<u8>,
        odd: Array1<f64>,
    }
    #[derive(serde::Serialize)]
    struct Other {
        odd: Array1<f64>,
        turned: Array2<u8>,
        kind: Array1<f64>,
        new: Array1<i32>,
        same: Array1<i32>,
    }
    let (same, turned, kind) = (array![1, 2], Array2::zeros((2, 3)), array![0.5_f32]);
    let wide = kind.mapv(f64::from);
    let one = One {
        same: same.clone(),
        gone: array![1],
        kind,
        turned: turned.clone(),
        odd: array![1.0, 2.0],
    };
    let other = Other {
        odd: array![1.0, 2.5],
        turned: turned.reversed_axes(),
        kind: wide,
        new: array![1],
        same,
    };
    ndferry::dump(&a, &one).unwrap();
    DumpOptions::new().byte_order(ByteOrder::Big).dump(&b, &other).unwrap();
    let dtype = |file: &Path, name: &str| {
        ndferry::open(file).unwrap().entry(name).unwrap().dtype().to_string()
    };
    let expected = format!(
        "array `gone`: only in {}\n\
         array `kind`: different dtypes, {} and {}\n\
         array `turned`: different shapes, 2×3 and 3×2\n\
         array `odd`: 1 of 2 elements differ, first at [1]: 2.0 and 2.5; at most by 0.5, relative 0.2\n\
         array `new`: only in {}\n",
        a.display(),
        dtype(&a, "kind"),
        dtype(&b, "kind"),
        b.display()
    );
    assert_eq!(differing(&a, &b, &[]), expected);
    let rows = parse(&differing(&a, &b, &["--json"]));
    let verdicts: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["same", "missing", "dtype", "shape", "values", "missing"]);
    assert_same(&a, &b, &["--array", "same"]);
    assert!(differing(&a, &b, &["--array", "odd"]).starts_with("array `odd`: 1 of 2"));
}

// F9
#[test]
fn diff_pairs_single_arrays_and_repeated_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    ndferry::dump(file("named.ferry"), &std::collections::BTreeMap::from([("x", array![1, 2])]))
        .unwrap();
    ndferry::dump(file("plain.ferry"), &array![1, 2]).unwrap();
    assert_same(&file("named.ferry"), &file("plain.ferry"), &[]);

    struct Twice(i32);
    impl serde::Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeMap;
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("x", &array![1])?;
            map.serialize_entry("x", &array![self.0])?;
            map.end()
        }
    }
    ndferry::dump(file("two.ferry"), &Twice(2)).unwrap();
    ndferry::dump(file("three.ferry"), &Twice(3)).unwrap();
    assert_same(&file("two.ferry"), &file("two.ferry"), &[]);
    assert!(
        differing(&file("two.ferry"), &file("three.ferry"), &[])
            .starts_with("array `x`: 1 of 1 elements differ")
    );
}

#[test]
fn diff_compares_raw_binary_with_its_conversion() {
    let folder = tempfile::tempdir().unwrap();
    let (volume, npy) = (volume(), folder.path().join("volume.npy"));
    let raw = raw_arguments(&volume);
    let raw: Vec<_> = raw.iter().map(String::as_str).collect();
    let arguments =
        ["convert", volume.path.to_str().unwrap(), npy.to_str().unwrap(), "--byte-order", "little"];
    ndferry(arguments.iter().chain(&raw)).success();
    assert_same(&volume.path, &npy, &raw);
    let mut bytes = fs::read(&npy).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&npy, bytes).unwrap();
    assert!(
        differing(&volume.path, &npy, &raw)
            .contains("1 of 33825 elements differ, first at [32, 40, 24]: ")
    );
}

#[test]
fn diff_compares_arrays_larger_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.npy"), folder.path().join("b.ferry"));
    // 16 MiB, compared with 12 MiB of private memory. An emulator has no limit, so
    // the array is smaller there.
    let length = if is_emulated() { 32 } else { 128 };
    let mut big = ArrayD::<u16>::from_shape_fn(vec![length, 256, 256], |index| {
        (index[0] * 7 + index[2]) as u16
    });
    let write = |path: &Path, order, byte_order, array: &ArrayD<u16>| {
        let array = SharedArray::from(array.clone()).to_any();
        let options = DumpOptions::new().order(order).byte_order(byte_order);
        if path == a {
            options.write_npy(path, &array).unwrap()
        } else {
            options.dump(path, &array).unwrap()
        }
    };
    write(&a, Order::F, ByteOrder::Big, &big);
    big.index_axis_mut(Axis(0), length - 12)[[3, 4]] += 2;
    write(&b, Order::C, ByteOrder::Little, &big);
    let outcome = run(command_within(12 << 10, ["diff", a.to_str().unwrap(), b.to_str().unwrap()]));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{outcome:?}");
    let start = format!("1 of {} elements differ, first at [{}, 3, 4]: ", big.len(), length - 12);
    assert!(outcome.stdout.starts_with(&start), "{outcome:?}");
}

#[test]
fn diff_of_unreadable_files_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    ndferry::dump(file("a.ferry"), &(array![1], array![2])).unwrap();
    fs::write(file("b.ferry"), "text").unwrap();
    for (b, options, named, reason) in [
        ("missing.ferry", &[][..], "missing.ferry", "No such file"),
        ("b.ferry", &[], "b.ferry", "not an array file"),
        ("a.ferry", &["--array", "7"], "a.ferry", "no array is named `7`"),
    ] {
        let outcome = diff(&file("a.ferry"), &file(b), options);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        let start = format!("ndferry: {}: ", file(named).display());
        assert!(
            outcome.stderr.starts_with(&start) && outcome.stderr.contains(reason),
            "{outcome:?}"
        );
    }
}

#[test]
fn diff_compares_records_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npy", "b.ferry"].map(|name| folder.path().join(name));
    let dtype = "[('name', '<U2'), ('at', [('x', '<i2'), ('day', '<M8[D]')]), ('tag', '|S1')]";
    let row = |name: char, x: i16, day: i64, tag: u8| {
        [&u32::from(name).to_le_bytes()[..], &[0; 4], &x.to_le_bytes(), &day.to_le_bytes(), &[tag]]
            .concat()
    };
    let records = |rows: [Vec<u8>; 2]| {
        AnyArray::from_bytes(dtype.parse().unwrap(), &[2], Order::C, &rows.concat()).unwrap()
    };
    let written = records([row('a', 1, 10, b'x'), row('b', 2, 20, b'y')]);
    DumpOptions::new().byte_order(ByteOrder::Big).write_npy(&a, &written).unwrap();
    DumpOptions::new().byte_order(ByteOrder::Little).dump(&b, &written).unwrap();
    assert_same(&a, &b, &[]);
    let other = records([row('a', 1, 10, b'x'), row('c', 5, 24, b'z')]);
    ndferry::dump(&b, &other).unwrap();
    assert_eq!(
        differing(&a, &b, &[]),
        "array `name`: 1 of 2 elements differ, first at [1]: \"b\" and \"c\"\n\
         array `at.x`: 1 of 2 elements differ, first at [1]: 2 and 5; at most by 3, relative 0.6\n\
         array `at.day`: 1 of 2 elements differ, first at [1]: 1970-01-21 and 1970-01-25; at most by 4 days\n\
         array `tag`: 1 of 2 elements differ, first at [1]: \"y\" and \"z\"\n"
    );
}

/// Writes a `.npy` file of version 2.0.
fn npy(path: &Path, dtype: &str, shape: &str, data: &[u8]) {
    let header = format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u32).to_le_bytes();
    fs::write(path, [b"\x93NUMPY\x02\x00", &length[..], header.as_bytes(), data].concat()).unwrap();
}

// F1
#[test]
fn diff_of_empty_elements_and_many_axes_is_fast() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npy", "b.npy"].map(|name| folder.path().join(name));
    let fields: Vec<_> = (0..300).map(|at| format!("('f{at}', '|V0', (100000,))")).collect();
    let fields = format!("[{}]", fields.join(", "));
    for (dtype, shape) in [
        ("'|V0'", "(1000000000000,)"),
        ("'|S0'", "(1000000000000,)"),
        ("'<U0'", "(1000000, 1000000)"),
        (&fields, "(100000,)"),
    ] {
        npy(&a, dtype, shape, &[]);
        assert_same(&a, &a, &[]);
    }
    let axes = format!("({})", "1,".repeat(60_000));
    npy(&a, "'<f8'", &axes, &1.5f64.to_le_bytes());
    assert_same(&a, &a, &[]);
    npy(&b, "'<f8'", &axes, &2.5f64.to_le_bytes());
    let row = &parse(&differing(&a, &b, &["--json"]))[0];
    assert_eq!(row["first"].as_array().unwrap().len(), 60_000);
    assert!(differing(&a, &b, &[]).len() < 1000);
    // Records in an array of many axes, and fields of many axes.
    for (dtype, shape) in [
        ("[('x', '<u2'), ('y', '<u2')]".to_owned(), format!("(10000, {})", "1,".repeat(20_000))),
        (format!("[('x', '<u2'), ('y', '<u2', ({}))]", "1,".repeat(20_000)), "(10,)".to_owned()),
    ] {
        let count = if dtype.len() < 100 { 10_000 } else { 10 };
        npy(&a, &dtype, &shape, &vec![0; count * 4]);
        assert_same(&a, &a, &[]);
        npy(&b, &dtype, &shape, &[&vec![0; (count - 1) * 4][..], &[1, 0, 2, 0]].concat());
        let rows = parse(&differing(&a, &b, &["--json"]));
        assert_eq!((&rows[0]["first"][0], &rows[1]["different"]), (&json!(count - 1), &json!(1)));
    }
}

#[test]
fn diff_of_records_in_f_order_reports_first_in_c_order() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.ferry", "b.npy"].map(|name| folder.path().join(name));
    let dtype = "[('x', '<u2', (2,)), ('y', '|u1')]";
    // In F order element 1 is [1, 0] and element 2 is [0, 1], which is first in C
    // order.
    let mut bytes = [0; 30];
    let of = |bytes: &[u8]| {
        AnyArray::from_bytes(dtype.parse().unwrap(), &[2, 3], Order::F, bytes).unwrap()
    };
    ndferry::dump(&a, &of(&bytes)).unwrap();
    (bytes[5 + 2], bytes[2 * 5 + 2], bytes[2 * 5 + 4]) = (1, 2, 3);
    for order in [Order::F, Order::C] {
        DumpOptions::new().order(order).write_npy(&b, of(&bytes)).unwrap();
        let rows = parse(&differing(&a, &b, &["--json"]));
        assert_eq!(
            (&rows[0]["first"], &rows[0]["values"]),
            (&json!([0, 1, 1]), &json!(["0", "2"])),
            "{rows}"
        );
        assert_eq!(
            (&rows[0]["different"], &rows[1]["first"]),
            (&json!(2), &json!([0, 1])),
            "{rows}"
        );
        assert_eq!(rows[0]["shape"], json!([[2, 3, 2], [2, 3, 2]]));
    }
}

// B1
#[test]
fn diff_ignores_byte_orders_and_padding_of_records() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a.npy", "b.ferry", "c.npy"].map(|name| folder.path().join(name));
    let mixed =
        "[('a', '>i4'), ('b', '<f8'), ('in', [('c', '>u2', (2,)), ('d', '<M8[s]'), ('e', '>U1')])]";
    let holes = "[('', '|V3'), ('a', '<i4'), ('b', '>f8'), ('', '|V1'), ('in', [('c', '<u2', (2,)), ('', '|V5'), ('d', '>M8[s]'), ('e', '<U1')]), ('', '|V2')]";
    let (int, float, time, letter) = (1_i32, 2.5_f64, 77_i64, u32::from('é'));
    let packed = [
        &int.to_be_bytes()[..],
        &float.to_le_bytes(),
        &[0, 3, 0, 4],
        &time.to_le_bytes(),
        &letter.to_be_bytes(),
    ];
    let padded = [
        &[9; 3][..],
        &int.to_le_bytes(),
        &float.to_be_bytes(),
        &[9],
        &[3, 0, 4, 0],
        &[9; 5],
        &time.to_be_bytes(),
        &letter.to_le_bytes(),
        &[9; 2],
    ];
    npy(&a, mixed, "(1,)", &packed.concat());
    npy(&c, holes, "(1,)", &padded.concat());
    assert_same(&a, &c, &[]);
    for byte_order in ["little", "big"] {
        let arguments =
            ["convert", a.to_str().unwrap(), b.to_str().unwrap(), "--byte-order", byte_order];
        ndferry(arguments).success();
        assert_same(&a, &b, &[]);
        assert_same(&b, &c, &[]);
    }
    // Each of these dtypes differs in one respect.
    for other in [
        mixed.replace("'a'", "'A'"),
        mixed.replace(">i4", ">u4"),
        mixed.replace("(2,)", "(1, 2)"),
        mixed.replace("M8[s]", "M8[m]"),
        mixed.replace("'e'", "'f'"),
    ] {
        npy(&c, &other, "(1,)", &packed.concat());
        assert!(differing(&a, &c, &[]).starts_with("different dtypes, [('a', '>i4'), "), "{other}");
    }
    let other = packed.concat();
    npy(&c, mixed, "(1,)", &[&other[..15], &[5], &other[16..]].concat());
    assert!(
        differing(&b, &c, &[])
            .starts_with("array `in.c`: 1 of 2 elements differ, first at [0, 1]: 4 and 5")
    );
}

#[test]
fn diff_selects_fields_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npy", "b.ferry"].map(|name| folder.path().join(name));
    let dtype = "[('id', '|u1'), ('at', [('x.y', '|u1', (2,)), ('z', '|u1')])]";
    let stars =
        |bytes: &[u8]| AnyArray::from_bytes(dtype.parse().unwrap(), &[2], Order::C, bytes).unwrap();
    DumpOptions::new().write_npy(&a, stars(&[1, 2, 3, 4, 5, 6, 7, 8])).unwrap();
    ndferry::dump(&b, &stars(&[0, 2, 9, 4, 5, 6, 7, 8])).unwrap();
    assert_same(&a, &b, &["--array", "at.z"]);
    let expected = "array `at.x\\.y`: 1 of 4 elements differ, first at [0, 1]: 3 and 9; at most by 6, relative 0.6666666666666666\n";
    assert_eq!(differing(&a, &b, &["--array", "at.x\\.y"]), expected);
    assert_eq!(differing(&a, &b, &["--array", "at"]), expected);
    let outcome = diff(&a, &b, &["--array", "at.x"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("has no field `x`") && outcome.stderr.contains("`x.y`"),
        "{outcome:?}"
    );
    let named = std::collections::BTreeMap::from([("stars", stars(&[1, 2, 3, 4, 5, 6, 7, 8]))]);
    ndferry::dump(&b, &named).unwrap();
    assert_same(&b, &b, &["--array", "stars.at.z"]);
}

#[test]
fn diff_prints_times_and_counts_nat_as_nan() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npy", "b.npy"].map(|name| folder.path().join(name));
    let write = |path: &Path, dtype: &str, counts: [i64; 3]| {
        let bytes: Vec<_> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        let array = AnyArray::from_bytes(dtype.parse().unwrap(), &[3], Order::C, &bytes).unwrap();
        let byte_order = if path == a { ByteOrder::Little } else { ByteOrder::Big };
        DumpOptions::new().byte_order(byte_order).write_npy(path, &array).unwrap();
    };
    let nat = ndferry::dtype::TimeUnit::NAT;
    for (dtype, ones, others, line) in [
        (
            ">M8[D]",
            [18262, 5, nat],
            [18264, 5, nat],
            "1 of 3 elements differ, first at [0]: 2020-01-01 and 2020-01-03; at most by 2 days",
        ),
        (
            ">m8[25us]",
            [4, 5, nat],
            [3, 5, nat],
            "1 of 3 elements differ, first at [0]: 100 microseconds and 75 microseconds; at most by 25 microseconds, relative 0.25",
        ),
        (
            ">M8[s]",
            [-1, 5, nat],
            [nat, 5, nat],
            "1 of 3 elements differ, first at [0]: 1969-12-31T23:59:59 and NaT; with NaT: 1",
        ),
    ] {
        write(&a, dtype, ones);
        write(&b, dtype, others);
        assert_eq!(differing(&a, &b, &[]), format!("{line}\n"));
        assert!(differing(&a, &b, &["--nan-differs"]).starts_with("2 of 3 "));
        let row = &parse(&differing(&a, &b, &["--json", "--nan-differs"]))[0];
        assert_eq!(row["relative"].is_null(), dtype.contains('M'), "{row}");
        assert_eq!(row["nan"], if line.ends_with("NaT: 1") { 2 } else { 1 }, "{row}");
        write(&b, dtype, ones);
        assert_same(&a, &b, &[]);
        assert_eq!(
            differing(&a, &b, &["--nan-differs"]),
            "1 of 3 elements differ, first at [2]: NaT and NaT; with NaT: 1\n"
        );
    }
}

#[test]
fn diff_compares_invalid_text_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npy", "b.npy"].map(|name| folder.path().join(name));
    let write = |path: &Path, characters: [u32; 4], swap: bool| {
        let bytes = characters
            .map(|number| if swap { number.to_be_bytes() } else { number.to_le_bytes() })
            .concat();
        npy(path, if swap { "'>U2'" } else { "'<U2'" }, "(2,)", &bytes);
    };
    write(&a, [0x61, 0x62, 0xD800, 0x63], false);
    write(&b, [0x61, 0x62, 0xD800, 0x63], true);
    assert_same(&a, &b, &[]);
    // The invalid character is the same, but the next one differs.
    write(&b, [0x61, 0x62, 0xD800, 0x64], true);
    assert!(
        differing(&a, &b, &[])
            .starts_with("1 of 2 elements differ, first at [1]: element 1 is not text")
    );
}
