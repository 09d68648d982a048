//! Invalid files. Every subcommand that reads files exits with code 1 and one line,
//! quickly and with little memory.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::{
    fixture::fixtures,
    run::{Outcome, command_within, run},
};

/// The memory limit in KiB.
const MEMORY_LIMIT: u32 = 48 << 10;

/// Checks that every subcommand refuses a file.
#[track_caller]
fn assert_refused(path: &Path, raw: &[&str], reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.npy");
    let refused = |before: &[&str], after: &[&OsStr]| -> Outcome {
        let arguments =
            before.iter().map(OsStr::new).chain([path.as_os_str()]).chain(after.iter().copied());
        let outcome =
            run(command_within(MEMORY_LIMIT, arguments.chain(raw.iter().map(OsStr::new))));
        outcome.assert_failed(shown(path), reason);
        outcome
    };
    assert_eq!(refused(&["info"], &[]).stdout, "");
    assert_eq!(refused(&["info", "--json"], &[]).stdout, "");
    assert_eq!(refused(&["stats"], &[]).stdout, "");
    assert_eq!(refused(&["stats", "--json"], &[]).stdout.trim(), "[]");
    assert_eq!(refused(&["convert"], &[output.as_os_str()]).stdout, "");
    assert!(!output.exists());
}

/// A path on one line, as in messages.
fn shown(path: &Path) -> String {
    path.display().to_string().replace('\n', "\\n").replace('\u{1b}', "\\u{1b}")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// A `.npy` file of version 1.0, or of version 2.0 if the header is long.
fn npy(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    let header = header.as_ref();
    match u16::try_from(header.len()) {
        Ok(length) => [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header, data].concat(),
        Err(_) => versioned_npy(2, header, data),
    }
}

fn versioned_npy(major: u8, header: &[u8], data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u32).to_le_bytes();
    [b"\x93NUMPY", &[major, 0][..], &length, header, data].concat()
}

fn with_dtype(dtype: &str) -> Vec<u8> {
    npy(format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': (2,), }}\n"), &[0; 64])
}

fn with_shape(shape: &str) -> Vec<u8> {
    npy(format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n"), &[0; 64])
}

#[test]
fn input_that_is_not_a_regular_file_is_refused() {
    let folder = Folder::new();
    assert_refused(&folder.path("missing.npy"), &[], "No such file");
    assert_refused(&folder.path("no\nsuch\u{1b}[2Jfile.npy"), &[], "No such file");
    assert_refused(folder.0.path(), &[], "directory");
    assert_refused(&folder.file("file", "").join("below.npy"), &[], "Not a directory");
    let pipe = folder.path("pipe.npy");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    assert_refused(&pipe, &[], "pipe");
    assert_refused(&pipe, &["--raw", "<f8", "--shape", "3"], "pipe");
    let socket = folder.path("socket.npy");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_refused(&socket, &[], "");
    for device in ["/dev/null", "/dev/zero"] {
        assert_refused(Path::new(device), &[], "device");
    }
}

#[test]
fn input_of_unknown_format_is_refused() {
    let folder = Folder::new();
    for (name, bytes) in [
        ("empty.npy", &b""[..]),
        ("one.npy", b"\x93"),
        ("text.npy", b"hello, world"),
        ("png.npy", b"\x89PNG\r\n\x1a\n and more"),
        ("zip.npz", b"PK\x03\x04 and more"),
        ("random.ferry", &[0xA5; 4096]),
        ("version.npy", b"\x93NUMPY\x09\x00\x10\x00 and more, and more"),
    ] {
        assert_refused(&folder.file(name, bytes), &[], "");
    }
}

#[test]
fn npy_truncated_anywhere_is_refused() {
    let folder = Folder::new();
    let fixtures = fixtures("npy");
    let whole =
        fixtures.iter().find(|fixture| fixture.text("file") == "i2_big_3d_fortran.npy").unwrap();
    let bytes = fs::read(&whole.path).unwrap();
    for length in [4, 6, 8, 9, 10, 11, 64, 127, 128, 129, bytes.len() - 1] {
        assert_refused(&folder.file("cut.npy", &bytes[..length]), &[], "");
    }
}

// F2
#[test]
fn ferry_truncated_or_changed_is_refused() {
    let folder = Folder::new();
    let path = folder.path("whole.ferry");
    ndferry::dump(&path, &vec![1.5f64; 1000]).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in [8, 9, 63, 64, 65, 8000, bytes.len() - 1] {
        assert_refused(&folder.file("cut.ferry", &bytes[..length]), &[], "");
    }
    // Bytes of the prelude, and of the tree and the header at the end.
    for at in [8, 13, 16, 24, 39, 40, 48, 63, bytes.len() - 1, bytes.len() - 100] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert_refused(&folder.file("changed.ferry", changed), &[], "");
    }
}

#[test]
fn npy_invalid_headers_are_refused() {
    let folder = Folder::new();
    let header = |text: &str| npy(format!("{text}\n"), &[0; 64]);
    for (bytes, reason) in [
        ([&b"\x93NUMPY\x01\x00\xFF\xFF"[..], &[b' '; 100]].concat(), "truncated"),
        ([&b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF"[..], &[b' '; 100]].concat(), "truncated"),
        (header("{'descr': '<f8', 'shape': (2,), }"), "`fortran_order` is missing"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'more': 1, }"), "`more`"),
        (
            header("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"),
            "duplicate key `descr`",
        ),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'shape': (3,), }"),
            "duplicate key `shape`",
        ),
        (header(""), ""),
        (header("['<f8', False, (2,)]"), ""),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)"), ""),
        (header("__import__('os').system('true')"), ""),
        (header("{'descr': '<f8', 'fortran_order': 7, 'shape': (2,), }"), "`True` or `False`"),
        (
            versioned_npy(
                3,
                b"{'descr': '\xFF\xFE\x80', 'fortran_order': False, 'shape': (2,), }\n",
                &[],
            ),
            "not UTF-8",
        ),
        (npy(b"{'d\xE9scr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", &[]), ""),
    ] {
        assert_refused(&folder.file("header.npy", bytes), &[], reason);
    }
}

#[test]
fn npy_deeply_nested_brackets_are_refused() {
    let folder = Folder::new();
    for depth in [1000, 30_000, 1_000_000] {
        for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}")] {
            let nested = open.repeat(depth) + &close.repeat(depth);
            assert_refused(&folder.file("shape.npy", with_shape(&nested)), &[], "");
            assert_refused(&folder.file("dtype.npy", with_dtype(&nested)), &[], "");
            assert_refused(&folder.file("unclosed.npy", with_shape(&open.repeat(depth))), &[], "");
            assert_refused(&folder.file("header.npy", npy(nested, &[])), &[], "");
        }
    }
}

#[test]
fn npy_invalid_shapes_are_refused() {
    let folder = Folder::new();
    for shape in [
        "(9223372036854775807, 2)",
        "(4294967296, 4294967296)",
        "(2305843009213693952,)",
        "(0, 9223372036854775807, 9223372036854775807)",
        "(99999999999999999999999,)",
        "(-1,)",
        "(-2, -4)",
        "(9,)",
        "(1000000000000,)",
        "(2.0,)",
        "('2',)",
        "(2",
        "2",
        "None",
    ] {
        assert_refused(&folder.file("shape.npy", with_shape(shape)), &[], "");
    }
}

#[test]
fn npy_unsupported_dtypes_are_refused() {
    let folder = Folder::new();
    for (dtype, reason) in [
        ("'|O'", "Python objects"),
        ("'O'", "Python objects"),
        ("'<q9'", "unknown dtype"),
        ("'<f16'", "a long double of x86 or ARM, 16 bytes: ndferry cannot give it"),
        ("'f8'", "byte order"),
        ("'<\\xff'", ""),
        ("''", "unknown dtype"),
        ("'\u{1b}[2J'", ""),
        ("'<f8\n'", ""),
        ("[('x', '|O')]", "field `x`: dtype `|O` holds Python objects"),
        ("[('x', '<f8'), ('x', '<f4')]", "`x` names two fields"),
        ("8", ""),
    ] {
        assert_refused(&folder.file("dtype.npy", with_dtype(dtype)), &[], reason);
    }
}

// F1, F2
#[test]
fn named_formats_truncated_or_changed_are_refused() {
    let folder = Folder::new();
    for (format, file) in [
        ("npz", "streamed_deflated.npz"),
        ("npz", "stored.npz"),
        ("safetensors", "every.safetensors"),
    ] {
        let fixtures = fixtures(format);
        let whole = fixtures.iter().find(|fixture| fixture.text("file") == file).unwrap();
        let bytes = fs::read(&whole.path).unwrap();
        for length in [5, 9, 30, 100, bytes.len() / 2, bytes.len() - 22, bytes.len() - 1] {
            assert_refused(&folder.file("cut", &bytes[..length]), &[], "");
        }
        assert_refused(&folder.file("longer", [&*bytes, &[0]].concat()), &[], "");
    }
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    for (text, reason) in [
        (
            r#"{"a":{"dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000]}}"#,
            "expected 1000000000000 bytes from byte 85",
        ),
        (r#"{"a":{"dtype":"U8","shape":[0,9223372036854775807,3],"data_offsets":[0,0]}}"#, ""),
        (r#"{"\u001b[2J":{"dtype":"?","shape":[],"data_offsets":[0,0]}}"#, "unsupported dtype `?`"),
    ] {
        assert_refused(&folder.file("header.safetensors", header(text)), &[], reason);
    }
}

#[test]
fn raw_files_that_are_too_short_are_refused() {
    let folder = Folder::new();
    let path = folder.file("data.raw", [0; 100]);
    for arguments in [
        &["--shape", "13"][..],
        &["--shape", "12", "--offset", "5"],
        &["--shape", "1", "--offset", "101"],
        &["--shape", "1", "--offset", "18446744073709551615"],
        &["--shape", "0", "--offset", "101"],
        &["--shape", "4294967296,4294967296"],
        &["--shape", "18446744073709551615,2"],
    ] {
        assert_refused(&path, &[&["--raw", "<f8"], arguments].concat(), "");
    }
    assert_refused(&folder.path("missing.raw"), &["--raw", "<f8", "--shape", ""], "No such file");
}

#[cfg(target_os = "linux")]
#[test]
fn input_paths_that_are_not_utf8_are_reported() {
    use std::os::unix::ffi::OsStrExt;

    let path = Path::new(OsStr::from_bytes(b"no-such-\xFF\xFE.npy"));
    assert_refused(path, &[], "No such file");
}

/// A `.safetensors` file with this header.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Checks that the output of every subcommand is short, within the memory limit.
#[track_caller]
fn assert_brief(path: &Path) {
    for subcommand in ["info", "show", "stats"] {
        let outcome = run(command_within(MEMORY_LIMIT, [subcommand.as_ref(), path.as_os_str()]));
        if subcommand == "show" && outcome.code == Some(1) {
            assert!(outcome.stderr.contains("cannot print 33000 axes"), "{:.1000}", outcome.stderr);
            continue;
        }
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{:.1000}",
            outcome.stderr
        );
        let widest = outcome.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest.unwrap() < 500, "{subcommand} {}: {widest:?} characters", path.display());
    }
}

// F1
#[test]
fn input_with_long_names_and_shapes_has_short_output() {
    let folder = Folder::new();
    for length in [70_000, 4 << 20] {
        let name = "n".repeat(length);
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        assert_brief(&folder.file("name.safetensors", safetensors(&header, &[0; 4])));
    }
    assert_brief(&folder.file("axes.npy", with_shape(&format!("({})", "1,".repeat(33_000)))));
    let name = "n".repeat(4 << 20);
    let header = format!(r#"{{"{name}":{{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}}}"#);
    let path = folder.file("complex.safetensors", safetensors(&header, &[0; 8]));
    let outcome = run(command_within(MEMORY_LIMIT, ["stats".as_ref(), path.as_os_str()]));
    assert!(
        outcome.stderr.len() < 1000 && outcome.stderr.contains("complex numbers"),
        "{:.1000}",
        outcome.stderr
    );
    let field = format!("[('{}', '<f8')]", "f".repeat(70_000));
    assert_brief(&folder.file("field.npy", with_dtype(&field)));
}

// F1
#[test]
fn info_output_is_proportional_to_names() {
    let folder = Folder::new();
    let names = ["w".repeat(60_000)].into_iter().chain((0..20_000).map(|at| format!("a{at}")));
    let arrays =
        names.map(|name| format!(r#""{name}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#));
    let bytes = safetensors(&format!("{{{}}}", arrays.collect::<Vec<_>>().join(",")), &[]);
    let path = folder.file("names.safetensors", &bytes);
    let outcome = run(command_within(MEMORY_LIMIT, ["info".as_ref(), path.as_os_str()]));
    let output = outcome.success();
    assert!(
        output.lines().count() > 20_000 && output.len() < 2 * bytes.len(),
        "{} of {}",
        output.len(),
        bytes.len()
    );
}

#[test]
fn records_of_uncountable_elements_are_read() {
    let folder = Folder::new();
    for (dtype, shape) in [
        ("[('x', '|u1', (0,))]", "(1152921504606846976,)"),
        ("[('a', '|S0', (9223372036854775807,)), ('b', '|u1')]", "(3,)"),
    ] {
        let header = format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n");
        let path = folder.file("records.npy", npy(header, &[0; 3]));
        for command in [
            &["info"][..],
            &["show"],
            &["show", "--json"],
            &["show", "--csv"],
            &["stats"],
            &["verify"],
        ] {
            let arguments = command.iter().map(OsStr::new).chain([path.as_os_str()]);
            let outcome = run(command_within(MEMORY_LIMIT, arguments));
            assert!(
                matches!(outcome.code, Some(0 | 1)) && !outcome.stderr.contains("panicked"),
                "{command:?} {dtype}: {outcome:?}"
            );
        }
    }
}

#[test]
fn fields_below_one_long_name_are_refused() {
    let folder = Folder::new();
    let inner: String = (0..40_000).map(|at| format!("('f{at}', '|u1'), ")).collect();
    let dtype = format!("[('{}', [{inner}])]", "n".repeat(1 << 20));
    let header = format!("{{'descr': {dtype}, 'fortran_order': False, 'shape': (0,), }}\n");
    let path = folder.file("records.npy", npy(header, &[]));
    let arguments: [&[&OsStr]; 4] = [
        &["show".as_ref()],
        &["stats".as_ref()],
        &["diff".as_ref(), path.as_ref()],
        &["stats".as_ref(), "--array".as_ref(), "typo".as_ref()],
    ];
    for before in arguments {
        let outcome =
            run(command_within(2 * MEMORY_LIMIT, before.iter().copied().chain([path.as_os_str()])));
        assert!(outcome.code.is_some_and(|code| code > 0), "{outcome:?}");
        assert!(
            outcome.stderr.contains("the paths and shapes of its fields have 41944"),
            "{outcome:?}"
        );
    }
}
