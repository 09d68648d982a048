//! Hostile `.npy` headers. Each is refused with a reason, quickly and with little
//! memory.

use std::{path::Path, time::Instant};

use ndferry::{AnyArray, array::Order, file::DumpOptions};

use crate::forge::{npy, npy_of};

fn with_dtype(dtype: &str, shape: &str) -> Vec<u8> {
    npy_of(dtype, shape, &[1; 64])
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    let message = ndferry::open(path).unwrap_err().to_string();
    assert!(message.len() < 1000 && message.starts_with(&path.display().to_string()), "{message}");
    message
}

// F1
#[test]
fn npy_attack_dtypes_are_refused_with_a_reason() {
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
        (
            "[('a', '|V9223372036854775807'), ('b', '|V9223372036854775807'), ('c', '|V9')]",
            "ends beyond",
        ),
        ("[('a', '<f4', (99999999999999999999,))]", "expected a length"),
        ("[('a', '<f4', (-1,))]", "expected a string, a whole number"),
        ("[('a', '<f4', (1.5,))]", ""),
        ("'<U4611686018427387904'", "unknown dtype"),
        ("'|S'", "unknown dtype"),
        ("[('a', '<f9')]", "field `a`: unknown dtype `<f9`"),
        ("[('a', 'f8')]", "has no byte order"),
        ("[('a', '<f8'), ('b',)]", "expected field 1 as (name, dtype)"),
        ("[('a', '<f8'), None]", "expected a string"),
        ("('<f8', (2,))", "expected a type string or a list of fields"),
        ("[('a', '<f8', (2,)", "expected `)`"),
        ("[('a', '<f8)]", "expected `)`"),
        ("[('\\x', '<f8')]", "expected an escaped character"),
        ("[('\\U00110000', '<f8')]", "expected an escaped character"),
        (
            "{'names': ['a'], 'formats': ['<f8'], 'offsets': [100], 'itemsize': 8}",
            "expected a string, a whole number",
        ),
        (&format!("[('{long}', '<f9')]"), "unknown dtype"),
        (&format!("[({many} 'x')]"), ""),
        (&format!("[{many} ('f0', '<f4')]"), "`f0` names two fields"),
        (&format!("[{}]", "(),".repeat(300_000)), "the dtype has more than 262144 parts"),
    ] {
        let message = refused(&path, &with_dtype(dtype, "(1,)"));
        assert!(message.contains(reason), "{dtype:.80}: {message}");
    }
}

// F1
#[test]
fn npy_attack_nested_brackets_are_refused_quickly() {
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
    // Exponential or quadratic parsing would take hours.
    assert!(began.elapsed().as_secs() < 60);
}

// F1
#[test]
fn npy_attack_many_empty_elements_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("a.npy"), folder.path().join("b.ferry"));
    for dtype in
        ["'|S0'", "'|V0'", "'<U0'", "[]", "[('a', '|S0'), ('b', '<f8', (0, 3)), ('c', [])]"]
    {
        std::fs::write(&path, with_dtype(dtype, "(1000000, 1000000)")).unwrap();
        let any = ndferry::open(&path).unwrap().read_dyn("").unwrap();
        assert_eq!(any.nbytes(), 0, "{dtype}");
        for order in [Order::C, Order::F] {
            DumpOptions::new()
                .order(order)
                .byte_order(ndferry::dtype::ByteOrder::Big)
                .dump(&out, &any)
                .unwrap();
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
    std::fs::write(
        &path,
        with_dtype("[('a', '|S0', (9223372036854775807,)), ('b', '|u1')]", "(3,)"),
    )
    .unwrap();
    let any = ndferry::open(&path).unwrap().read_dyn("").unwrap();
    assert!(any.field("a").unwrap_err().to_string().contains("larger than memory"));
    assert_eq!(any.field("b").unwrap().len(), 3);
}

// F1
#[test]
fn npy_attack_elements_larger_than_the_file_are_refused() {
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
        assert!(
            message.contains("(truncated?)") || message.contains("larger than memory"),
            "{message}"
        );
    }
}

#[test]
fn npy_headers_have_the_encoding_of_their_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let header = |name: &[u8]| {
        [b"{'descr': [('", name, b"', '<f8')], 'fortran_order': False, 'shape': (1,), }\n"].concat()
    };
    for (major, name, read) in [
        (1, &b"gr\xf6\xdfe"[..], "größe"),
        (2, b"gr\xf6\xdfe", "größe"),
        (1, b"\xc3\xb6", "Ã¶"),
        (3, "größe 数".as_bytes(), "größe 数"),
        (1, b"a\\xe9\\u6570\\n", "aé数\n"),
    ] {
        std::fs::write(&path, npy(major, &header(name), &[1; 8])).unwrap();
        let file = ndferry::open(&path).unwrap();
        assert_eq!(file.arrays()[0].dtype().fields().unwrap()[0].name(), read);
    }
    assert!(
        refused(&path, &npy(3, &header(b"gr\xf6\xdfe"), &[1; 8]))
            .contains("npy header is not UTF-8")
    );
    for (major, length) in [(1, &[0xff, 0xff][..]), (2, &[0xff; 4]), (3, &[0xff; 4])] {
        let bytes = [b"\x93NUMPY", &[major, 0][..], length, b"{'descr': '<f8'"].concat();
        assert!(refused(&path, &bytes).contains("truncated"));
    }
}
