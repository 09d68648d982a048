//! Headers made to break whoever reads them: each is an error that says what is wrong, at once and without memory.

use std::{path::Path, time::Instant};

use ndferry::{AnyArray, DType, DumpOptions, Order};

fn npy(major: u8, header: &[u8], data: usize) -> Vec<u8> {
    let length = header.len() as u32;
    let length = if major == 1 { (length as u16).to_le_bytes().to_vec() } else { length.to_le_bytes().to_vec() };
    [b"\x93NUMPY", &[major, 0][..], &length, header, &vec![1; data]].concat()
}

fn with_dtype(dtype: &str, shape: &str) -> Vec<u8> {
    npy(3, format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n").as_bytes(), 64)
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    let message = ndferry::open(path).unwrap_err().to_string();
    assert!(message.len() < 1000 && message.starts_with(&path.display().to_string()), "{message}");
    message
}

// F1
#[test]
fn dtypes_that_cannot_be_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let long = "x".repeat(100_000);
    let many: String = (0..50_000).map(|at| format!("('f{at}', '|S1'), ")).collect();
    for (dtype, reason) in [
        ("[('a', '|O')]", "npy header: field `a`: dtype `|O` holds Python objects"),
        ("'|O8'", "Python objects"),
        ("[('a', '<f4'), ('a', '<f8')]", "`a` names two fields"),
        ("[(('a', 'b'), '<f4'), ('a', '<f8')]", "`a` names two fields"),
        ("[('a', '<f4', (4294967296, 4294967296))]", "ends beyond what memory can address"),
        ("[('a', '<f4', (0, 9223372036854775807, 9223372036854775807))]", "ends beyond"),
        ("[('a', [('b', '<f8', (2147483648,))], (2147483648,))]", "ends beyond"),
        ("[('a', '|V9223372036854775807'), ('b', '|V9223372036854775807'), ('c', '|V9')]", "ends beyond"),
        ("[('a', '<f4', (99999999999999999999,))]", "expected a length"),
        ("[('a', '<f4', (-1,))]", "expected a string, a whole number"),
        ("[('a', '<f4', (1.5,))]", ""),
        ("'<U4611686018427387904'", "unknown dtype"),
        ("'|S'", "unknown dtype"),
        ("[('a', '<f9')]", "field `a`: unknown dtype `<f9`"),
        ("[('a', 'f8')]", "does not say its byte order"),
        ("[('a', '<f8'), ('b',)]", "expected field 1 as (name, dtype)"),
        ("[('a', '<f8'), None]", "expected a string"),
        ("('<f8', (2,))", "expected a type string or a list of fields"),
        ("[('a', '<f8', (2,)", "expected `)`"),
        ("[('a', '<f8)]", "expected `)`"),
        ("[('\\x', '<f8')]", "expected an escaped character"),
        ("[('\\U00110000', '<f8')]", "expected an escaped character"),
        ("{'names': ['a'], 'formats': ['<f8'], 'offsets': [100], 'itemsize': 8}", "expected a string, a whole number"),
        (&format!("[('{long}', '<f9')]"), "unknown dtype"),
        (&format!("[({many} 'x')]"), ""),
        (&format!("[{many} ('f0', '<f4')]"), "`f0` names two fields"),
        (&format!("[{}]", "(),".repeat(300_000)), "a dtype of more than 262144 parts"),
    ] {
        let message = refused(&path, &with_dtype(dtype, "(1,)"));
        assert!(message.contains(reason), "{dtype:.80}: {message}");
    }
}

// F1
#[test]
fn nested_brackets_cost_no_more_than_reading_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let began = Instant::now();
    for depth in [33, 100, 10_000, 500_000] {
        let nested = "[('a', ".repeat(depth) + "'<f4'" + &")]".repeat(depth);
        assert!(refused(&path, &with_dtype(&nested, "(1,)")).contains("deep"), "{depth}");
        for (open, close) in [("[", "]"), ("(", ")"), ("[(", ")]"), ("[('a', (", "))]")] {
            refused(&path, &with_dtype(&(open.repeat(depth) + &close.repeat(depth)), "(1,)"));
            refused(&path, &with_dtype(&open.repeat(depth), "(1,)"));
        }
        refused(&path, &with_dtype(&format!("'{}'", "\\\\".repeat(depth)), "(1,)"));
    }
    // Exponential or quadratic parsing would take hours here; this is a watchdog.
    assert!(began.elapsed().as_secs() < 60);
}

// F1
#[test]
fn elements_without_bytes_cost_nothing_however_many() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("a.npy"), folder.path().join("b.ferry"));
    for dtype in ["'|S0'", "'|V0'", "'<U0'", "[]", "[('a', '|S0'), ('b', '<f8', (0, 3)), ('c', [])]"] {
        std::fs::write(&path, with_dtype(dtype, "(1000000, 1000000)")).unwrap();
        let any = ndferry::open(&path).unwrap().any("").unwrap();
        assert_eq!(any.nbytes(), 0, "{dtype}");
        for order in [Order::C, Order::F] {
            DumpOptions::new().order(order).byte_order(ndferry::ByteOrder::Big).dump(&out, &any).unwrap();
            let back: AnyArray = ndferry::load(&out).unwrap();
            assert_eq!(back.shape(), any.shape(), "{dtype}");
            assert!(back == any, "{dtype}");
        }
        if let Some(fields) = any.dtype().fields() {
            for field in fields.iter() {
                assert_eq!(any.field(field.name()).unwrap().nbytes(), 0, "{dtype}");
            }
        }
        refused(&path, &with_dtype(dtype, "(4294967296, 4294967296)"));
    }
    std::fs::write(&path, with_dtype("[('a', '|S0', (9223372036854775807,)), ('b', '|u1')]", "(3,)")).unwrap();
    let any = ndferry::open(&path).unwrap().any("").unwrap();
    assert!(any.field("a").unwrap_err().to_string().contains("larger than memory"));
    assert_eq!(any.field("b").unwrap().len(), 3);
}

// F1
#[test]
fn elements_larger_than_the_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    for (dtype, shape) in [
        ("'|S65'", "(1,)"),
        ("'|S1000000000000'", "(1,)"),
        ("[('a', '<f8', (1000000, 1000000))]", "(1,)"),
        ("[('a', '|V60'), ('b', '<f8')]", "()"),
        ("[('a', '<f8')]", "(9,)"),
        ("[('a', '<f8', (4611686018427387,))]", "(1000,)"),
    ] {
        let message = refused(&path, &with_dtype(dtype, shape));
        assert!(message.contains("needs") || message.contains("larger than memory"), "{message}");
    }
}

// F1
#[test]
fn a_header_changed_anywhere_is_an_error_or_an_array_that_can_be_gone_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for fixture in crate::dtypes::fixtures() {
        let whole = std::fs::read(fixture.path()).unwrap();
        let end = whole.iter().position(|&byte| byte == b'\n').unwrap();
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..=draw(2) {
                let at = 10 + draw(end - 10);
                // A digit for a digit often makes another header that can be.
                let letters = if bytes[at].is_ascii_digit() { &b"0123456789"[..] } else { b"'\\()[],<>|bcfiuSUVMm" };
                bytes[at] = letters[draw(letters.len())];
            }
            // A file that replaces another may have to wait for the disk.
            let path = folder.path().join(format!("{}.npy", read + refused));
            std::fs::write(&path, &bytes).unwrap();
            let Ok(file) = ndferry::open(&path) else {
                refused += 1;
                continue;
            };
            read += 1;
            let any = file.any("").unwrap();
            let native = any.in_byte_order(ndferry::ByteOrder::NATIVE).unwrap();
            assert_eq!(native.nbytes(), any.nbytes());
            for field in any.dtype().fields().into_iter().flat_map(|fields| fields.iter()) {
                let _ =
                    any.field(&field.step()).map(|part| (part.texts().map(Iterator::count).ok(), part == part.clone()));
            }
            let again = path.with_extension("again.npy");
            DumpOptions::new().order(Order::F).write_npy(&again, &any).unwrap();
            assert_eq!(ndferry::open(&again).unwrap().arrays()[0].dtype(), any.dtype());
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn headers_are_read_in_the_encoding_of_their_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let header =
        |name: &[u8]| [b"{'descr': [('", name, b"', '<f8')], 'fortran_order': False, 'shape': (1,), }\n"].concat();
    for (major, name, read) in [
        (1, &b"gr\xf6\xdfe"[..], "größe"),
        (2, b"gr\xf6\xdfe", "größe"),
        (1, b"\xc3\xb6", "Ã¶"),
        (3, "größe 数".as_bytes(), "größe 数"),
        (1, b"a\\xe9\\u6570\\n", "aé数\n"),
    ] {
        std::fs::write(&path, npy(major, &header(name), 8)).unwrap();
        let file = ndferry::open(&path).unwrap();
        assert_eq!(file.arrays()[0].dtype().fields().unwrap()[0].name(), read);
    }
    assert!(refused(&path, &npy(3, &header(b"gr\xf6\xdfe"), 8)).contains("npy header is not text"));
    for (major, length) in [(1, &[0xff, 0xff][..]), (2, &[0xff; 4]), (3, &[0xff; 4])] {
        let bytes = [b"\x93NUMPY", &[major, 0][..], length, b"{'descr': '<f8'"].concat();
        assert!(refused(&path, &bytes).contains("truncated"));
    }
}

// F1
#[test]
fn dtypes_in_the_header_of_a_container_are_checked_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
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
        std::fs::write(&path, container(&dtype, &[0; 16])).unwrap();
        let message = ndferry::open(&path).unwrap_err().to_string();
        assert!(message.len() < 1000, "{message}");
    }
    std::fs::write(&path, container(r#"[["a","<f4",[2,2]]]"#, &[0; 16])).unwrap();
    assert_eq!(ndferry::open(&path).unwrap().arrays()[0].dtype(), &"[('a', '<f4', (2, 2))]".parse::<DType>().unwrap());
}

/// A container of one element, its header right in everything but perhaps the dtype.
fn container(dtype: &str, data: &[u8]) -> Vec<u8> {
    use xxhash_rust::xxh3::xxh3_64;
    let mut bytes = vec![0; 64];
    bytes.extend_from_slice(data);
    let tree = [0x83, 0xa1, b'v', 1, 0xa3, b'd', b'i', b'm', 0x90, 0xa4, b'd', b'a', b't', b'a', 0xd4, 1, 0];
    let header = format!(
        r#"{{"created_by":"a test","path":"a.ferry","tree":{{"offset":{},"length":{},"xxh3":"{:016x}"}},"segments":[{{"name":"","dtype":{dtype},"shape":[],"order":"C","offset":64,"nbytes":{}}}]}}"#,
        bytes.len(),
        tree.len(),
        xxh3_64(&tree),
        data.len(),
    );
    bytes.extend_from_slice(&tree);
    let at = bytes.len() as u64;
    bytes.extend_from_slice(header.as_bytes());
    let mut prelude = b"\x89NDFR\r\n\x1a\x01\0\0\0\0\0\0\0".to_vec();
    for field in [bytes.len() as u64, at, header.len() as u64, xxh3_64(header.as_bytes()), 0] {
        prelude.extend_from_slice(&field.to_le_bytes());
    }
    prelude.extend_from_slice(&xxh3_64(&prelude).to_le_bytes());
    bytes[..64].copy_from_slice(&prelude);
    bytes
}
