//! `.safetensors`: the format's own rules, and files that break them.

use std::{collections::BTreeMap, path::Path};

use ndferry::{
    AnyArray, DType, SharedArray,
    array::Order,
    dtype::ByteOrder,
    file::DumpOptions,
    ndarray::{Array2, Ix1, Ix2, ShapeBuilder},
};

use crate::{
    broken::{flip, write},
    common::bits,
    forge,
};

/// A file of this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    forge::safetensors(header, &vec![0; data])
}

fn open(path: &Path, bytes: &[u8]) -> ndferry::Result<ndferry::file::ArrayFile> {
    write(path, bytes);
    ndferry::open(path)
}

fn sample() -> Vec<(&'static str, AnyArray)> {
    vec![
        ("bytes", SharedArray::from(vec![1u8, 2, 3]).into()),
        (
            "matrix",
            SharedArray::from(Array2::from_shape_fn((4, 3).f(), |(i, j)| (10 * i + j) as f64))
                .into(),
        ),
        ("flags", SharedArray::from(vec![true, false, true, true, false]).into()),
        ("half", SharedArray::from(vec![half::bf16::from_f32(1.5); 3]).into()),
        ("nothing", SharedArray::from(Array2::<i32>::zeros((0, 4))).into()),
    ]
}

// F5 F8
#[test]
fn what_is_written_is_little_endian_in_c_order_and_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let metadata = BTreeMap::from([("key".to_owned(), "größe\u{0}\"".to_owned())]);
    DumpOptions::new().write_safetensors(&path, sample(), &metadata).unwrap();
    let file = ndferry::open(&path).unwrap();
    assert_eq!(file.metadata(), &metadata);
    let names: Vec<_> = file.arrays().iter().map(|info| info.name()).collect();
    assert_eq!(
        names,
        ["matrix", "nothing", "half", "bytes", "flags"],
        "larger elements first, else as given"
    );
    assert_eq!(file.arrays()[0].offset() % 64, 0);
    for info in file.arrays() {
        assert_eq!(info.order(), Order::C);
        assert!(matches!(info.dtype().byte_order(), None | Some(ByteOrder::Little)), "{info:?}");
        assert_eq!(info.offset() % info.dtype().item_size() as u64, 0, "{info:?}");
    }
    for (name, array) in sample() {
        assert_eq!(bits(&file.read_dyn(name).unwrap()), bits(&array), "{name}");
    }
    let matrix = file.read_array::<f64, Ix2>("matrix").unwrap();
    assert_eq!(matrix.copy_reason().is_none(), ByteOrder::NATIVE == ByteOrder::Little);

    let again = folder.path().join("b.safetensors");
    DumpOptions::new().write_safetensors(&again, sample(), &metadata).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&again).unwrap(),
        "equal content, equal bytes"
    );
}

// F4 F8
#[test]
fn what_the_format_cannot_hold_is_refused_and_an_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, "old").unwrap();
    let bytes = || SharedArray::from(vec![1u8]).to_any();
    let complex: AnyArray = SharedArray::from(vec![num_complex::Complex::new(1.0f64, 2.0)]).into();
    let none = BTreeMap::new();
    let new = DumpOptions::new;
    for (written, reason) in [
        (new().write_safetensors(&path, [("z", complex)], &none), "no type for `"),
        (
            new().write_safetensors(&path, [("a", bytes()), ("a", bytes())], &none),
            "two arrays are called `a`",
        ),
        (new().write_safetensors(&path, [("__metadata__", bytes())], &none), "`__metadata__`"),
        (
            new().byte_order(ByteOrder::Big).write_safetensors(&path, [("a", bytes())], &none),
            "little-endian",
        ),
        (new().order(Order::F).write_safetensors(&path, [("a", bytes())], &none), "C order"),
        (new().dump(&path, &vec![1.0]), "write_safetensors"),
    ] {
        let error = written.unwrap_err();
        assert!(error.is_invalid_input() && error.path() == Some(&path), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old", "{reason}");
    }
}

// F1 F2
#[test]
fn a_header_that_breaks_a_rule_is_refused_with_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let u8s = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let (a, b) = (u8s("a", "[4]", 0, 4), u8s("b", "[4]", 4, 8));
    assert_eq!(
        open(&path, &file(&format!("{{{b},{a}}}   "), 8)).unwrap().arrays().len(),
        2,
        "in any order"
    );
    assert!(open(&path, &file("{}", 0)).unwrap().arrays().is_empty());

    for (header, data, reason) in [
        (
            format!("{{{a},{}}}", u8s("b", "[4]", 3, 7)),
            7,
            "array `b`: begins at byte 3 of the data and overlaps",
        ),
        (format!("{{{a},{}}}", u8s("b", "[4]", 0, 4)), 8, "overlaps what precedes it"),
        (format!("{{{a},{}}}", u8s("b", "[4]", 5, 9)), 9, "leaves a hole before it"),
        (format!("{{{}}}", u8s("a", "[4]", 1, 5)), 5, "leaves a hole before it"),
        (format!("{{{a}}}"), 5, "the arrays end at byte 4 of the data, which has 5 bytes"),
        (format!("{{{a}}}"), 3, "the file holds 3 there"),
        ("{}".into(), 1, "the arrays end at byte 0"),
        (
            format!("{{{}}}", u8s("a", "[5]", 0, 4)),
            5,
            "lies from byte 0 to 4 of the data, its shape and dtype make 5",
        ),
        (format!("{{{}}}", u8s("a", "[4]", 4, 0)), 4, "leaves a hole"),
        (format!("{{{}}}", u8s("a", "[0]", 0, u64::MAX)), 0, "its shape and dtype make 0"),
        (format!("{{{}}}", u8s("a", "[4294967296,4294967296]", 0, 0)), 0, "array `a`"),
        (format!("{{{}}}", u8s("a", "[18446744073709551615]", 0, 0)), 0, "array `a`"),
        (format!("{{{}}}", u8s("a", "[18446744073709551616]", 0, 0)), 0, "header"),
        (format!("{{{}}}", u8s("a", "[-1]", 0, 0)), 0, "header"),
        (format!("{{{}}}", u8s("a", "[1.0]", 0, 1)), 1, "header"),
        (format!("{{{a},{}}}", u8s("a", "[4]", 4, 8)), 8, "key `a` stands twice"),
        (
            format!(r#"{{"__metadata__":{{}},{a},"__metadata__":{{}}}}"#),
            4,
            "key `__metadata__` stands twice",
        ),
        (format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},{a}}}"#), 4, "key `k` stands twice"),
        (format!(r#"{{"__metadata__":{{"k":1}},{a}}}"#), 4, "expected a string"),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}"#.into(),
            1,
            "unknown field `more`",
        ),
        (
            r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.into(),
            1,
            "duplicate field",
        ),
        (r#"{"a":{"dtype":"U8","shape":[1]}}"#.into(), 1, "missing field `data_offsets`"),
        (
            r#"{"a":{"dtype":"F9_E4M3","shape":[1],"data_offsets":[0,1]}}"#.into(),
            1,
            "of dtype `F9_E4M3`; those that",
        ),
        (
            r#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,2]}}"#.into(),
            1,
            "which has 1 bytes",
        ),
        (
            r#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[1,2]}}"#.into(),
            2,
            "leaves a hole before it",
        ),
        (r#"{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}"#.into(), 4, "of dtype `f32`"),
        (format!("{{{a}}} x"), 4, "trailing characters"),
        (format!("{{{a}"), 4, "EOF"),
        (format!("{{\"a\":{}1{}}}", "[".repeat(60_000), "]".repeat(60_000)), 4, "header"),
    ] {
        let error = open(&path, &file(&header, data)).unwrap_err();
        assert!(error.is_invalid_data() && error.path() == Some(&path), "{error}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.len() < 600, "{reason}: {message}");
    }

    let mut foreign = file(&format!("{{{a}}}"), 4);
    foreign[10] = 0xFF;
    assert!(
        open(&path, &foreign).unwrap_err().to_string().contains("header"),
        "a name that is not UTF-8"
    );
    for (length, reason) in
        [(100_000_001_u64, "100000000 are allowed"), (1000, "the header ends at byte 1008")]
    {
        let mut long = file(&format!("{{{a}}}"), 4);
        long[..8].copy_from_slice(&length.to_le_bytes());
        let message = open(&path, &long).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    assert!(
        open(&path, &file(" {}", 0)).unwrap_err().to_string().contains("none of .ferry"),
        "the first byte is `{{`"
    );
}

// F8
#[test]
fn arrays_of_narrow_floats_do_not_keep_others_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let narrow = |dtype: &str, bytes: u64| {
        format!(r#""n":{{"dtype":"{dtype}","shape":[4],"data_offsets":[0,{bytes}]}}"#)
    };
    for (dtype, bytes) in [("F8_E4M3", 4), ("F8_E5M2FNUZ", 4), ("F6_E2M3", 3), ("F4", 2)] {
        let header = format!(
            r#"{{{},"a":{{"dtype":"U8","shape":[2],"data_offsets":[{bytes},{}]}}}}"#,
            narrow(dtype, bytes),
            bytes + 2
        );
        let opened = open(&path, &file(&header, bytes as usize + 2)).unwrap();
        assert_eq!(opened.read_array::<u8, Ix1>("a").unwrap().to_vec(), [0, 0], "{dtype}");
        let [unreadable] = opened.unsupported_entries() else { panic!("{dtype}") };
        assert_eq!((unreadable.name(), unreadable.compressed_nbytes()), ("n", bytes));
        assert_eq!(unreadable.offset() + bytes, opened.arrays()[0].offset());
        let error = opened.read_dyn("n").unwrap_err().to_string();
        assert!(error.contains(&format!("`n` cannot be read: is of dtype `{dtype}`")), "{error}");
    }
}

// F2
#[test]
fn a_file_cut_anywhere_or_longer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    DumpOptions::new().write_safetensors(&path, sample(), &BTreeMap::new()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        let error = open(&path, &whole[..length]).unwrap_err();
        assert!(error.is_invalid_data(), "cut to {length} bytes: {error}");
    }
    assert!(open(&path, &[&*whole, &[0]].concat()).unwrap_err().is_invalid_data());
}

// F2: the format has no checksums, so a changed letter is another name, and an axis beside an empty one may have any length.
#[test]
fn a_flipped_bit_of_the_header_is_an_error_or_changes_no_element() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    DumpOptions::new().write_safetensors(&path, sample(), &BTreeMap::new()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let arrays = |file: &ndferry::file::ArrayFile| {
        let arrays = file.arrays().iter().filter(|info| info.nbytes() > 0);
        Ok(arrays
            .map(|info| (info.dtype().clone(), info.shape().to_vec(), info.offset()))
            .collect::<Vec<_>>())
    };
    let header = ndferry::open(&path).unwrap().arrays()[0].offset() as usize;
    let (refused, renamed) = flip(&path, &whole, header, arrays);
    assert!(refused > 10 * renamed, "{refused} refused, {renamed} renamed");
}

#[test]
fn an_array_that_is_not_aligned_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let header = r#"{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#;
    let opened = open(&path, &file(&format!("{header}{}", " ".repeat(3)), 16)).unwrap();
    assert_ne!(opened.arrays()[0].alignment(), 8);
    let array = opened.read::<f64, Ix1>().unwrap();
    assert!(array.copy_reason().is_some());
    assert_eq!(array.to_vec(), [0.0; 2]);
    assert_eq!(opened.arrays()[0].dtype(), &"<f8".parse::<DType>().unwrap());
}

// F6
#[test]
fn a_file_of_many_arrays_is_one_map() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let one = SharedArray::from(vec![7u8]).to_any();
    let names = (0..20_000).map(|number| (format!("layer.{number}"), &one));
    DumpOptions::new().write_safetensors(&path, names, &BTreeMap::new()).unwrap();
    let file = ndferry::open(&path).unwrap();
    assert_eq!(file.arrays().len(), 20_000);
    assert_eq!(file.read_array::<u8, Ix1>("layer.19999").unwrap()[0], 7);
}
