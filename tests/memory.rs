//! The memory that reading and writing needs.
//!
//! This test program has only one test, because all threads of a process share its peak.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use ndferry::{
    DType, SharedArray,
    array::Order,
    dtype::ByteOrder,
    file::{ArrayFile, Compression, DumpOptions, MmapMode, OpenOptions, RawLayout},
    ndarray::{Array2, Ix1, Ix2, s},
};

const MIB: u64 = 1 << 20;
/// The limit for mapping a file, beyond the array.
const MAX_MAP_OVERHEAD: u64 = 4 * MIB;
/// The limit for writing, beyond the array.
const MAX_WRITE_OVERHEAD: u64 = 16 * MIB;

/// Returns an entry of `/proc/self/status` in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// The resident bytes of mapped files.
fn resident_file_bytes() -> u64 {
    status("RssFile") + status("RssShmem")
}

/// The peak growth of the resident size during `run`, without the pages of files that its result
/// maps.
fn peak_of<T>(run: impl FnOnce() -> T) -> u64 {
    // Resets the peak (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, files) = (status("VmRSS"), resident_file_bytes());
    let kept = run();
    let mapped = resident_file_bytes().saturating_sub(files);
    drop(kept);
    status("VmHWM").saturating_sub(before + mapped)
}

/// The size of the written arrays, which is larger than any limit above.
const SIZE: u64 = 24 * MIB;

fn square() -> SharedArray<f64, Ix2> {
    SharedArray::from(Array2::<f64>::ones((2048, 1536)))
}

/// Writes an array to a file of each format.
fn write(folder: &Path, array: &SharedArray<f64, Ix2>, options: &DumpOptions) -> [PathBuf; 4] {
    let paths = ["a.ferry", "a.npy", "a.npz", "a.safetensors"].map(|name| folder.join(name));
    let any = array.to_any();
    options.dump(&paths[0], array).unwrap();
    options.write_npy(&paths[1], &any).unwrap();
    options.write_npz(&paths[2], [("a", any.clone())]).unwrap();
    // This format is always little-endian and in C order.
    DumpOptions::new().write_safetensors(&paths[3], [("a", any)], &BTreeMap::new()).unwrap();
    paths
}

/// Reads every page of an array.
fn touch(array: &SharedArray<f64, Ix2>) {
    assert!(
        array.as_slice_memory_order().unwrap().iter().step_by(512).all(|&element| element == 1.0)
    );
}

/// A sparse file of zeros.
fn zeros(folder: &Path, dtype: DType, nbytes: u64) -> ArrayFile {
    let path = folder.join("zeros.raw");
    File::create(&path).unwrap().set_len(nbytes).unwrap();
    RawLayout::new(dtype, [nbytes as usize / 8]).open(&path).unwrap()
}

// B2
fn check_reading(folder: &Path) {
    let peak = peak_of(|| {
        let array = zeros(folder, DType::of::<f64>(), 256 * MIB).read::<f64, Ix1>().unwrap();
        assert!(array.as_slice().unwrap().iter().step_by(512).all(|&element| element == 0.0));
        array
    });
    assert!(peak < MAX_MAP_OVERHEAD, "{peak} bytes of 256 MiB were copied");

    let array = square();
    for byte_order in [ByteOrder::NATIVE, ByteOrder::NATIVE.opposite()] {
        for path in write(folder, &array, &DumpOptions::new().byte_order(byte_order)) {
            let mappable = ndferry::open(&path).unwrap().arrays()[0].is_mappable();
            let forbidden = OpenOptions::new().mmap_mode(MmapMode::Never);
            for (how, options, whole_file) in
                [("mapped", OpenOptions::new(), 0), ("read", forbidden, SIZE)]
            {
                let expected = whole_file + if mappable { 0 } else { SIZE };
                let peak = peak_of(|| {
                    let file = options.open(&path).unwrap();
                    let array = file.read().unwrap();
                    touch(&array);
                    (file, array)
                });
                assert!(
                    peak.abs_diff(expected) < MAX_MAP_OVERHEAD,
                    "{}, {byte_order}, {how}: {peak} bytes",
                    path.display()
                );
            }
        }
        // Values. Without a path there is no file to map, so all bytes are in memory.
        let path = folder.join("a.ferry");
        let swapped = if byte_order.is_native() { 0 } else { SIZE };
        let peak = peak_of(|| {
            let file = ndferry::open(&path).unwrap();
            let array = file.value().unwrap();
            touch(&array);
            (file, array)
        });
        assert!(peak.abs_diff(swapped) < MAX_MAP_OVERHEAD, "value in {byte_order}: {peak} bytes");
        let peak = peak_of(|| {
            let array =
                ndferry::file::from_reader(File::open(&path).unwrap().chain(io::empty())).unwrap();
            touch(&array);
            array
        });
        assert!(
            peak.abs_diff(SIZE + swapped) < MAX_MAP_OVERHEAD,
            "from a reader, in {byte_order}: {peak} bytes"
        );
    }
}

// F7
fn check_writing(folder: &Path) {
    let square = square();
    let turned = square.subview(|view| view.reversed_axes());
    let strided = square.subview(|view| view.slice_move(s![..;-1, ..]));
    let plain = square.to_owned();
    let new = DumpOptions::new;
    let foreign = || new().byte_order(ByteOrder::NATIVE.opposite());
    // Each is written to all formats. The second is not contiguous.
    for (name, view, options) in
        [("swapped and turned", &turned, foreign().order(Order::C)), ("strided", &strided, new())]
    {
        let peak = peak_of(|| write(folder, view, &options));
        assert!(peak < MAX_WRITE_OVERHEAD, "{name}: {peak} bytes");
    }
    let path = folder.join("a.ferry");
    for (name, options) in [
        ("plain", new()),
        ("plain and swapped", foreign().checksums(false)),
        #[cfg(feature = "zstd")]
        ("zstd", new().compress(Compression::Zstd(3))),
        #[cfg(feature = "lz4")]
        ("lz4", new().compress(Compression::Lz4)),
    ] {
        let peak = peak_of(|| options.dump(&path, &("value", &plain)).unwrap());
        assert!(peak < MAX_WRITE_OVERHEAD, "in a value, {name}: {peak} bytes");
    }
    let peak = peak_of(|| {
        new().checksums(false).to_writer(io::sink(), &("value", &plain, &turned)).unwrap()
    });
    assert!(peak < MAX_WRITE_OVERHEAD, "to a writer: {peak} bytes");
}

// F7
fn check_converting(folder: &Path) {
    let raw = zeros(folder, "<f8".parse().unwrap(), 64 * MIB);
    let new = DumpOptions::new;
    for name in ["a.npy", "a.npz", "a.safetensors", "a.ferry"] {
        let peak = peak_of(|| ndferry::convert(&raw, None, folder.join(name), &new()).unwrap());
        assert!(peak < MAX_WRITE_OVERHEAD, "to {name}: {peak} bytes");
    }
    let (swapped, path) = (new().byte_order(ByteOrder::Big), folder.join("a.npy"));
    let file = ndferry::open(folder.join("a.npz")).unwrap();
    let peak = peak_of(|| ndferry::convert(&file, None, &path, &swapped).unwrap());
    assert!(peak < MAX_WRITE_OVERHEAD, "swapped: {peak} bytes");

    // Compressed arrays are decompressed one at a time.
    #[cfg(feature = "zstd")]
    {
        let array = raw.read_dyn("").unwrap();
        let packed = folder.join("packed.ferry");
        new().compress(Compression::Zstd(1)).dump(&packed, &[&array, &array]).unwrap();
        let file = ndferry::open(&packed).unwrap();
        for name in ["a.npz", "a.ferry"] {
            let peak =
                peak_of(|| ndferry::convert(&file, None, folder.join(name), &new()).unwrap());
            assert!(
                peak.abs_diff(64 * MIB) < MAX_WRITE_OVERHEAD,
                "two compressed arrays, to {name}: {peak} bytes"
            );
        }
    }
}

#[test]
fn memory_of_reading_writing_and_converting_is_limited() {
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        eprintln!("skipped: under emulation, the memory of the emulator would be measured");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    check_reading(folder.path());
    check_writing(folder.path());
    check_converting(folder.path());
}
