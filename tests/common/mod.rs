//! Fixtures as data, and a watchdog for tests that hang.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use ndferry::{AnyArray, array::Order, dtype::ByteOrder, ndarray::IxDyn};

/// A file of `fixtures/npy`, and its description by NumPy.
#[derive(serde::Deserialize)]
pub struct Fixture {
    pub file: String,
    pub npy_version: [u8; 2],
    pub dtype: String,
    pub shape: Vec<usize>,
    pub order: Order,
    pub byte_order: String,
    pub elements: Vec<String>,
}

impl Fixture {
    pub fn path(&self) -> PathBuf {
        folder().join("npy").join(&self.file)
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Returns every fixture of `fixtures/npy`. Adding a file adds a test case.
pub fn fixtures() -> Vec<Fixture> {
    let mut descriptions: Vec<_> = std::fs::read_dir(folder().join("npy"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    descriptions.sort();
    assert!(descriptions.len() > 100, "the fixtures are there");
    descriptions
        .iter()
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

/// Returns every element in logical order as its bytes, most significant first.
pub fn bits(array: &AnyArray) -> Vec<String> {
    let code = array.dtype().to_string();
    let width =
        if code.contains('c') { array.dtype().item_size() / 2 } else { array.dtype().item_size() };
    macro_rules! of {
        ($type:ty) => {
            array
                .to_array::<$type, IxDyn>()
                .unwrap()
                .iter()
                .map(|element| hex(bytemuck::bytes_of(element), width))
                .collect()
        };
    }
    match &code[1..] {
        "b1" => of!(bool),
        "i1" => of!(i8),
        "i2" => of!(i16),
        "i4" => of!(i32),
        "i8" => of!(i64),
        "u1" => of!(u8),
        "u2" => of!(u16),
        "u4" => of!(u32),
        "u8" => of!(u64),
        "f2" => of!(half::f16),
        "bf2" => of!(half::bf16),
        "f4" => of!(f32),
        "f8" => of!(f64),
        "c8" => of!(num_complex::Complex<f32>),
        "c16" => of!(num_complex::Complex<f64>),
        other => panic!("a fixture of dtype {other}"),
    }
}

fn hex(native: &[u8], width: usize) -> String {
    let mut text = String::new();
    for unit in native.chunks(width) {
        let mut unit = unit.to_vec();
        if ByteOrder::NATIVE == ByteOrder::Little {
            unit.reverse();
        }
        text.extend(unit.iter().map(|byte| format!("{byte:02x}")));
    }
    text
}

/// Returns whether the tests run under user emulation, which cannot show some properties of the
/// real machine.
pub fn emulated() -> bool {
    std::env::var_os("NDFERRY_TEST_EMULATED").is_some()
}

/// Ends the test run if a test hangs.
pub struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    pub fn new(test: impl Into<String>) -> Self {
        let test = test.into();
        let (alive, watched) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            // An emulator takes ten times as long.
            let patience = Duration::from_secs(if emulated() { 900 } else { 120 });
            if watched.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Written past the test harness, which keeps printed text and does not survive
                // this.
                let _ = writeln!(io::stderr(), "{test} hangs");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}
