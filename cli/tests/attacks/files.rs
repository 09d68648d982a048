//! Hostile files. Each attack is tried on every format to which it applies.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use ndferry::{
    AnyArray, DType,
    file::{Format, OpenOptions},
    ndarray::Ix1,
};

use crate::{
    actor,
    forge::{
        Member, container, container_of, npy, npy_of, safetensors, tree_of_segment, zip, zip_end,
        zip_parts,
    },
};

/// The memory limit in KiB.
const MEMORY_LIMIT: u32 = 48 << 10;

/// The expected result of an attack.
#[derive(Clone, Copy)]
enum Expected {
    /// Opening the file fails with this message.
    Refused(&'static str),
    /// Opening the file succeeds, but reading everything fails with this message.
    Found(&'static str),
    /// The file is valid.
    Harmless,
}

use Expected::{Found, Harmless, Refused};

/// Opens a file, reads everything in it and checks the result. Then the command
/// does the same with little memory.
fn attempt(attack: &str, bytes: &[u8], expected: Expected) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged");
    fs::write(&path, bytes).unwrap();
    let began = Instant::now();
    let opened = ndferry::open(&path);
    let error = match (opened, expected) {
        (Err(error), Refused(reason)) => Some((error, reason)),
        (Ok(file), Found(reason)) => Some((read_all(&file).expect_err(attack), reason)),
        (Ok(file), Harmless) => {
            read_all(&file).unwrap_or_else(|error| panic!("{attack}: {error}"));
            None
        }
        (opened, _) => panic!("{attack}: {opened:?}"),
    };
    let wrong = error.is_some();
    if let Some((error, reason)) = error {
        let message = error.to_string();
        assert!(message.contains(reason) && message.len() < 10_000, "{attack}: {message}");
        assert!(error.is_invalid_data() || error.is_invalid_input(), "{attack}: {message}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes, "{attack}: the file is unchanged");

    // An emulator has no such limit.
    if !actor::emulated() {
        let output = within_little_memory(&["verify"], &path);
        assert!(
            output.status.code().is_some_and(|code| if wrong {
                code == 1 || code == 2
            } else {
                code == 0
            }),
            "{attack}: {output:?}"
        );
        for command in [&["info"][..], &["show"], &["show", "--json"], &["show", "--csv"]] {
            let output = within_little_memory(command, &path);
            assert!(output.status.code().is_some_and(|code| code < 2), "{attack}: {output:?}");
        }
    }
    assert!(
        began.elapsed() < actor::WATCHDOG.min(Duration::from_secs(60)),
        "{attack}: {:?}",
        began.elapsed()
    );
}

/// Reads every array and the value of a file.
fn read_all(file: &ndferry::file::ArrayFile) -> ndferry::Result<()> {
    for info in file.arrays() {
        let array = file.read_entry(info)?;
        assert_eq!(array.shape(), info.shape());
        if array.dtype() == &DType::of::<bool>() {
            array.to_array::<bool, ndferry::ndarray::IxDyn>()?;
        }
    }
    file.verify()?;
    match file.arrays() {
        _ if file.format() != Format::Ferry => Ok(()),
        [info] if info.name().is_empty() => file.value::<AnyArray>().map(drop),
        _ => file.value::<serde_json::Value>().map(drop),
    }
}

/// Runs the command with at most [`MEMORY_LIMIT`] of private memory.
fn within_little_memory(command: &[&str], path: &Path) -> Output {
    let mut shell = Command::new("timeout");
    shell.args([
        "60",
        "sh",
        "-c",
        &format!("ulimit -d {MEMORY_LIMIT} && exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_ndferry"),
    ]);
    shell.args(command).arg(path).output().unwrap()
}

/// The header entry of a segment of bytes at `offset` in a `.ferry` file.
fn segment(name: &str, shape: &str, offset: u64, nbytes: u64) -> String {
    format!(
        r#"{{"name":"{name}","dtype":"|u1","shape":{shape},"order":"C","offset":{offset},"nbytes":{nbytes}}}"#
    )
}

/// A `.ferry` file with one array of bytes.
fn one(shape: &str, offset: u64, nbytes: u64, data: usize) -> Vec<u8> {
    container(
        &tree_of_segment(0),
        &format!("[{}]", segment("", shape, offset, nbytes)),
        &vec![1; data],
    )
}

/// A `.ferry` file with a list of scalar arrays in segments of one byte.
fn list(segments: &[String], numbers: &[u8]) -> Vec<u8> {
    let tree: Vec<u8> = numbers.iter().flat_map(|&number| tree_of_segment(number)).collect();
    container(
        &[&[0x90 | numbers.len() as u8], &*tree].concat(),
        &format!("[{}]", segments.join(",")),
        &[1; 192],
    )
}

fn tensor(name: &str, dtype: &str, shape: &str, from: u64, to: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
}

fn tensors(all: &[String], data: &[u8]) -> Vec<u8> {
    safetensors(&format!("{{{}}}", all.join(",")), data)
}

// F1
#[test]
fn attack_nested_brackets_are_refused() {
    for depth in [33, 100_000] {
        let nested = |open: &str, close: &str| open.repeat(depth) + &close.repeat(depth);
        for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}"), ("[('a', ", ")]")] {
            attempt(
                "shape in .npy",
                &npy_of("'<f8'", &nested(open, close), &[0; 64]),
                Refused("npy header"),
            );
            attempt(
                "dtype in .npy",
                &npy_of(&nested(open, close), "(1,)", &[0; 64]),
                Refused("npy header"),
            );
        }
        let deep = nested("[[\"a\",", "]]");
        let dtype = segment("", "[]", 64, 1).replace(r#""|u1""#, &deep);
        attempt(
            "dtype in .ferry",
            &container(&tree_of_segment(0), &format!("[{dtype}]"), &[0; 16]),
            Refused("header"),
        );
        attempt("header of .ferry", &container(&[0xc0], &nested("[", "]"), &[]), Refused("header"));
        attempt(
            "header of .safetensors",
            &safetensors(&nested("{\"a\":", "}"), &[]),
            Refused("header"),
        );
    }
}

// F1
#[test]
fn attack_overflowing_shapes_are_refused() {
    for lengths in [
        "4294967296, 4294967296",
        "9223372036854775807, 2",
        "2305843009213693952, 8, 4",
        "0, 9223372036854775807, 3",
    ] {
        let shape = format!("[{lengths}]");
        attempt(
            ".npy",
            &npy_of("'|u1'", &format!("({lengths})"), &[0; 64]),
            Refused("larger than memory"),
        );
        attempt(".ferry", &one(&shape, 64, 0, 64), Refused("larger than memory"));
        attempt(
            ".safetensors",
            &tensors(&[tensor("a", "U8", &shape, 0, 0)], &[]),
            Refused("larger than memory"),
        );
        let member = Member::stored("a.npy", npy_of("'|u1'", &format!("({lengths})"), &[]));
        attempt(".npz", &zip(&[member]), Refused("larger than memory"));
    }
    // The number of bytes overflows, but not the number of elements.
    attempt(
        ".npy",
        &npy_of("'<f8'", "(2305843009213693952,)", &[0; 64]),
        Refused("larger than memory"),
    );
    attempt(
        "fields",
        &npy_of("[('a', '<f8', (4294967296, 4294967296))]", "(1,)", &[0; 64]),
        Refused("memory"),
    );
}

// F1
#[test]
fn attack_overlapping_arrays_are_refused() {
    let both = [segment("0", "[]", 64, 1), segment("1", "[]", 64, 1)];
    attempt(
        ".ferry",
        &list(&both, &[0, 1]),
        Refused(
            "segment 1: expected an offset of at least 65, the end of the previous segment, found 64",
        ),
    );
    let descending = [segment("0", "[]", 128, 1), segment("1", "[]", 64, 1)];
    attempt(
        ".ferry, descending",
        &list(&descending, &[0, 1]),
        Refused(
            "segment 1: expected an offset of at least 129, the end of the previous segment, found 64",
        ),
    );
    attempt(".ferry, over the tree", &one("[80]", 64, 80, 64), Refused("segment 0"));
    attempt(
        ".ferry, over the prelude",
        &one("[8]", 0, 8, 64),
        Refused("segment 0: expected an offset of at least 64"),
    );
    let both = [tensor("a", "U8", "[4]", 0, 4), tensor("b", "U8", "[4]", 2, 6)];
    attempt(".safetensors", &tensors(&both, &[0; 6]), Refused("found byte 2 (an overlap)"));
    let (file, _) = zip_parts(&[Member::new("a.npy", &[1])]);
    let directory =
        [Member::new("a.npy", &[1]).central(0), Member::new("b.npy", &[1]).central(0)].concat();
    let end = zip_end(2, directory.len(), file.len(), b"");
    attempt(".npz", &[file, directory, end].concat(), Refused("member"));
}

// F1
#[test]
fn attack_offsets_beyond_the_end_are_refused() {
    for offset in [128, 1 << 40, u64::MAX - 63] {
        attempt(".ferry, segment", &one("[1]", offset, 1, 64), Refused("segment 0"));
    }
    attempt(".ferry, length", &one("[1000]", 64, 1000, 64), Refused("segment 0"));
    for (from, to) in [(0, 100), (u64::MAX - 3, u64::MAX), (4, 0)] {
        attempt(
            ".safetensors",
            &tensors(&[tensor("a", "U8", "[4]", from, to)], &[0; 4]),
            Refused("array `a`"),
        );
    }
    for header in [100_u64, 1 << 40, u64::MAX] {
        let long = [&header.to_le_bytes()[..], b"{}"].concat();
        attempt(".safetensors, header", &long, Refused(""));
    }
    let (file, directory) = zip_parts(&[Member::new("a.npy", &[1])]);
    for offset in [file.len() + 1, 1 << 31] {
        let end = zip_end(1, directory.len(), offset, b"");
        attempt(".npz, directory", &[&*file, &*directory, &*end].concat(), Refused("directory"));
    }
    let whole = one("[1]", 64, 1, 64);
    for (at, what) in [(16, "found 331"), (24, "header: expected"), (32, "header: expected")] {
        for value in [1 << 40, u64::MAX] {
            let mut file = whole.clone();
            file[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
            let sum = xxhash_rust::xxh3::xxh3_64(&file[..56]);
            file[56..64].copy_from_slice(&sum.to_le_bytes());
            attempt(".ferry, prelude", &file, Refused(what));
        }
    }
    attempt(".npy", &npy_of("'<f8'", "(9,)", &[0; 64]), Refused("expected 72 bytes"));
}

// F1
#[test]
fn attack_many_empty_elements_cost_nothing() {
    for shape in ["1000000, 1000000", "0, 1000000", "1000000, 0"] {
        for dtype in ["'|S0'", "'<U0'", "'|V0'", "[]", "[('a', '<f8', (0,))]"] {
            attempt(".npy", &npy_of(dtype, &format!("({shape})"), &[]), Harmless);
        }
        let none = segment("", &format!("[{shape}]"), 64, 0).replace("|u1", "|S0");
        let tree = |dims: &[u8]| {
            [&[0x83, 0xa1, b'v', 1, 0xa3][..], b"dim", dims, &[0xa4], b"data", &[0xd4, 1, 0]]
                .concat()
        };
        let dims = match shape {
            "1000000, 1000000" => &[0x92, 0xce, 0, 0x0f, 0x42, 0x40, 0xce, 0, 0x0f, 0x42, 0x40][..],
            "0, 1000000" => &[0x92, 0, 0xce, 0, 0x0f, 0x42, 0x40],
            _ => &[0x92, 0xce, 0, 0x0f, 0x42, 0x40, 0],
        };
        attempt(".ferry", &container(&tree(dims), &format!("[{none}]"), &[]), Harmless);
    }
    attempt(
        ".npy",
        &npy_of("'|S0'", "(4294967296, 4294967296)", &[]),
        Refused("larger than memory"),
    );
    attempt(".safetensors", &tensors(&[tensor("a", "U8", "[0,1000000]", 0, 0)], &[]), Harmless);
    // Arrays without elements need only an entry in the header.
    let many: Vec<String> =
        (0..2000).map(|at| tensor(&format!("a{at}"), "F64", "[0]", 0, 0)).collect();
    attempt(".safetensors, many", &tensors(&many, &[]), Harmless);
}

// F1
#[test]
fn attack_ambiguous_names_and_keys_are_refused() {
    let same = |first: &str, second: &str| {
        list(&[segment(first, "[]", 64, 1), segment(second, "[]", 128, 1)], &[0, 1])
    };
    // A map can be written with the same key twice. Both values can be read, but
    // not by name.
    let file = OpenOptions::new().open_slice(same("a", "a")).unwrap();
    assert_eq!(file.value::<Vec<AnyArray>>().unwrap().len(), 2);
    let error = file.read_dyn("a").unwrap_err().to_string();
    assert!(error.contains("several arrays named `a`"), "{error}");
    attempt(".ferry, names", &same("a", "a"), Harmless);

    let twice = tree_of_segment(0);
    let header = |text: &str| {
        let tree = format!(
            r#""tree":{{"offset":80,"length":{},"xxh3":"{:016x}"}}"#,
            twice.len(),
            xxhash_rust::xxh3::xxh3_64(&twice)
        );
        let header = format!(r#"{{"created_by":"","path":"",{tree},{text}}}"#);
        container_of([&[0; 80], &*twice].concat(), header.as_bytes())
    };
    let entry = segment("", "[]", 64, 1);
    attempt(".ferry", &header(&format!(r#""segments":[{entry}]"#)), Harmless);
    for (text, reason) in [
        (format!(r#""segments":[{entry}],"segments":[{entry}]"#), "duplicate field `segments`"),
        (format!(r#""segments":[{entry}],"path":"elsewhere""#), "duplicate field `path`"),
        (
            format!(r#""segments":[{}]"#, entry.replace("{", r#"{"offset":64,"#)),
            "duplicate field `offset`",
        ),
        (format!(r#""segments":[{entry}],"more":1"#), "unknown field `more`"),
    ] {
        attempt(".ferry, keys", &header(&text), Refused(reason));
    }
    attempt(
        ".safetensors, names",
        &tensors(&[tensor("a", "U8", "[1]", 0, 1), tensor("a", "U8", "[1]", 1, 2)], &[0; 2]),
        Refused("duplicate key `a`"),
    );
    let keys = r#"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    attempt(".safetensors, keys", &safetensors(keys, &[0]), Refused("duplicate field `dtype`"));
    let pair = |first, second| zip(&[Member::new(first, &[1]), Member::new(second, &[2])]);
    attempt(".npz, names", &pair("a.npy", "a.npy"), Refused("two arrays are named `a`"));
    attempt(
        ".npz, names with and without suffix",
        &pair("a.npy", "a"),
        Refused("two arrays are named `a`"),
    );
    for key in ["descr", "shape", "fortran_order"] {
        let more = match key {
            "descr" => "'descr': '|u1'",
            "shape" => "'shape': (2,)",
            _ => "'fortran_order': True",
        };
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (1,), {more}}}\n");
        attempt(".npy, keys", &npy(1, header.as_bytes(), &[0; 8]), Refused("duplicate key"));
    }
    attempt(
        ".npy, fields",
        &npy_of("[('a', '<f4'), ('a', '<f4')]", "(1,)", &[0; 8]),
        Refused("`a` names two fields"),
    );
}

// F1
#[test]
fn attack_decompression_bombs_are_refused() {
    let zeros = || Member::new("a.npy", &vec![0; 8 << 20]).deflated();
    attempt(".npz", &zip(&[zeros()]), Harmless);
    attempt(
        ".npz with a wrong size",
        &zip(&[Member { size: 2_000_000_000, ..zeros() }]),
        Refused("which deflate cannot make"),
    );
    let many: Vec<Member> =
        (0..64).map(|at| Member { name: format!("{at}.npy").into(), ..zeros() }).collect();
    let file = zip(&many);
    let limited = OpenOptions::new().max_decompressed_bytes(16 << 20).open_slice(file).unwrap();
    assert!(
        limited
            .value::<std::collections::BTreeMap<String, AnyArray>>()
            .unwrap_err()
            .is_invalid_input()
    );
    let header =
        [b"\x93NUMPY\x02\x00".as_slice(), &(1_u32 << 30).to_le_bytes(), &vec![b' '; 1 << 21]]
            .concat();
    let long = Member { size: 2_000_000, ..Member::stored("a.npy", header).deflated() };
    attempt(
        ".npz, header",
        &zip(&[long]),
        Found("the deflated bytes continue after the recorded length"),
    );

    #[cfg(all(feature = "zstd", feature = "lz4"))]
    for compression in [ndferry::file::Compression::Zstd(19), ndferry::file::Compression::Lz4] {
        let mut small = Vec::new();
        let zeros = ndferry::SharedArray::from(vec![0_u8; 8 << 20]);
        ndferry::file::DumpOptions::new()
            .compress(compression)
            .to_writer(&mut small, &zeros)
            .unwrap();
        assert!(small.len() < 100_000);
        attempt(".ferry", &small, Harmless);
        // The header declares more than the segment has, and more than the limit.
        for (length, reason) in [
            (9_u64 << 20, "decompress"),
            (1 << 50, "expected at most 4294967296 decompressed bytes"),
        ] {
            let wrong = crate::forge::changed(&small, |header| {
                header["segments"][0]["shape"] = serde_json::json!([length]);
                header["segments"][0]["nbytes"] = serde_json::json!(length);
            });
            let file = OpenOptions::new().open_slice(&wrong).unwrap();
            let error = file.read::<u8, Ix1>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            attempt(".ferry with a wrong size", &wrong, Found(reason));
        }
    }
}

// F1
#[test]
fn attack_huge_headers_are_read_or_refused() {
    let spaces = " ".repeat(8 << 20);
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }}{spaces}\n");
    attempt(".npy", &npy(2, header.as_bytes(), &[1]), Harmless);
    for major in [1, 2, 3] {
        let long = [b"\x93NUMPY", &[major, 0][..], &[0xff; 4], b"{'descr': '|u1'"].concat();
        attempt(".npy, truncated", &long, Refused("truncated"));
    }
    let name = "n".repeat(4 << 20);
    attempt(".safetensors", &tensors(&[tensor(&name, "U8", "[1]", 0, 1)], &[1]), Harmless);
    attempt(".ferry", &container(&[0xc0], &format!("[]{spaces}"), &[]), Harmless);
    let unknown = npy_of(&format!("'{name}'"), "(1,)", &[1]);
    attempt(".npy, a dtype of 4 MiB", &unknown, Refused("unknown dtype"));
    attempt(
        ".npy, a field of 4 MiB",
        &npy_of(&format!("[('{name}', '|u1')]"), "(1,)", &[1]),
        Harmless,
    );
}

// F1
#[test]
fn attack_invalid_text_is_refused() {
    attempt(
        ".npy",
        &npy(3, b"{'descr': '\xff\xfe', 'fortran_order': False, 'shape': (1,), }\n", &[0; 8]),
        Refused("the npy header is not UTF-8"),
    );
    attempt(
        ".safetensors",
        &{
            let mut file = tensors(&[tensor("a", "U8", "[1]", 0, 1)], &[1]);
            file[10] = 0xff;
            file
        },
        Refused("header"),
    );
    let name = Member { name: b"\xff.npy".into(), flags: 1 << 11, ..Member::new("a", &[1]) };
    attempt(".npz", &zip(&[name]), Refused("UTF-8"));
    let mut header =
        br#"{"created_by":"?","path":"","tree":{"offset":64,"length":1,"xxh3":""},"segments":[]}"#
            .to_vec();
    header[15] = 0xff;
    attempt(".ferry, header", &container_of(vec![0; 65], &header), Refused("header"));
    attempt(".ferry, tree", &container(&[0xa2, 0xff, 0xfe], "[]", &[]), Found("UTF-8"));
    // Control characters in a name are escaped.
    attempt(
        "escapes",
        &tensors(&[tensor(r"\u001b[2J\n", "?", "[1]", 0, 1)], &[1]),
        Refused("unsupported dtype `?`"),
    );
}

// F1
#[test]
fn attack_deeply_nested_trees_are_refused() {
    for (title, open) in [("lists", &[0x91][..]), ("maps", &[0x81, 0xa1, b'a']), ("keys", &[0x81])]
    {
        for depth in [200, 1_000_000] {
            let tree = [&open.repeat(depth), &[0xc0][..]].concat();
            attempt(title, &container(&tree, "[]", &[]), Found(""));
        }
    }
    // Lengths without content.
    for tree in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xc1],
        &[],
        &[0xc0, 0xc0],
        &[0xd4, 99, 0],
    ] {
        attempt("lengths", &container(tree, "[]", &[]), Found(""));
    }
}

// F1
#[test]
fn attack_repeated_or_missing_segments_are_refused() {
    let both = || [segment("0", "[]", 64, 1), segment("1", "[]", 128, 1)];
    attempt("valid", &list(&both(), &[0, 1]), Harmless);
    attempt("in another order", &list(&both(), &[1, 0]), Harmless);
    attempt("twice", &list(&both(), &[0, 0]), Found("segment 0"));
    attempt("not there", &list(&both(), &[0, 2]), Found("segment 2"));
    attempt(
        "a tree that is its own segment",
        &container(&[0xd4, 1, 0], "[]", &[]),
        Found("segment 0"),
    );
    // If every reference made a copy, a few bytes would need gigabytes.
    let reference = [0xd4, 1, 0];
    let many = [&[0xdc, 0xff, 0xff][..], &reference.repeat(0xffff)].concat();
    let large = format!("[{}]", segment("0", "[65536]", 64, 65536));
    attempt("65535 times", &container(&many, &large, &[1; 65536]), Found("segment 0"));
    // The shapes in the tree and in the segment differ.
    let differs =
        container(&tree_of_segment(0), &format!("[{}]", segment("", "[2]", 64, 2)), &[1, 1]);
    attempt("of another shape", &differs, Found("shape"));
}

// F1
#[test]
fn attack_invalid_bools_are_refused() {
    for byte in [2, 0x80, 0xff] {
        let elements = [0, 1, byte];
        let (dtype, shape) = ("'|b1'", "(3,)");
        attempt(".npy", &npy_of(dtype, shape, &elements), Found("neither 0 nor 1"));
        attempt(
            ".npz",
            &zip(&[Member::stored("a.npy", npy_of(dtype, shape, &elements))]),
            Found("neither 0 nor 1"),
        );
        attempt(
            ".npz, deflated",
            &zip(&[Member::stored("a.npy", npy_of(dtype, shape, &elements)).deflated()]),
            Found("neither 0 nor 1"),
        );
        attempt(
            ".safetensors",
            &tensors(&[tensor("a", "BOOL", "[3]", 0, 3)], &elements),
            Found("neither 0 nor 1"),
        );
        let entry = segment("", "[]", 64, 1).replace("|u1", "|b1");
        attempt(
            ".ferry",
            &container(&tree_of_segment(0), &format!("[{entry}]"), &[byte]),
            Found("neither 0 nor 1"),
        );
        // In a record, a bool is checked when it is read.
        let record = OpenOptions::new()
            .open_slice(npy_of("[('a', '|u1'), ('b', '|b1')]", "(1,)", &[7, byte]))
            .unwrap();
        let field = record.read_dyn("").unwrap().field("b").unwrap();
        assert!(field.to_array::<bool, Ix1>().unwrap_err().to_string().contains("neither 0 nor 1"));
    }
}

// F1
#[test]
fn attack_dtypes_in_ferry_headers_are_checked() {
    let with = |dtype: &str| {
        let entry = segment("", "[]", 64, 16).replace(r#""|u1""#, dtype);
        container(&tree_of_segment(0), &format!("[{entry}]"), &[0; 16])
    };
    for dtype in [
        r#"[["a","|O"]]"#.to_owned(),
        r#"[["a","<f4"],["a","<f4"]]"#.to_owned(),
        r#"[["a","<f4",[9223372036854775807,2]]]"#.to_owned(),
        r#"[["a","<f4",[-1]]]"#.to_owned(),
        r#"[["a","<f4",[1.5]]]"#.to_owned(),
        r#"[["a"]]"#.to_owned(),
        r#"{"a":"<f4"}"#.to_owned(),
        "null".to_owned(),
        "7".to_owned(),
        r#"[["a","#.repeat(33) + r#""<f4""# + &"]]".repeat(33),
        "[".repeat(10_000),
        format!("[{}7]", "[],".repeat(300_000)),
    ] {
        attempt(&format!("{dtype:.80}"), &with(&dtype), Refused(""));
    }
    let file = OpenOptions::new().open_slice(with(r#"[["a","<f4",[2,2]]]"#)).unwrap();
    assert_eq!(file.arrays()[0].dtype(), &"[('a', '<f4', (2, 2))]".parse::<DType>().unwrap());
}
