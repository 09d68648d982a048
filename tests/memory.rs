//! What reading and writing costs in memory. A test program of its own, with one test: the peak of a process is shared by all
//! its threads.
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
/// What a map may cost.
const NOTHING: u64 = 4 * MIB;
/// What writing may cost beside the array.
const BLOCKS: u64 = 16 * MIB;

/// A figure of `/proc/self/status`, in bytes.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// Resident pages that belong to files.
fn of_files() -> u64 {
    status("RssFile") + status("RssShmem")
}

/// How far the resident size goes up at the most while `run` runs, less the pages of files that are mapped when it has run: they are
/// there as long as what it gives is.
fn peak_of<T>(run: impl FnOnce() -> T) -> u64 {
    // From here on the peak is counted anew (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, files) = (status("VmRSS"), of_files());
    let kept = run();
    let mapped = of_files().saturating_sub(files);
    drop(kept);
    status("VmHWM").saturating_sub(before + mapped)
}

/// Bytes of the arrays that are written: so many that not even one copy could be meant by a few blocks.
const SIZE: u64 = 24 * MIB;

fn square() -> SharedArray<f64, Ix2> {
    SharedArray::from(Array2::<f64>::ones((2048, 1536)))
}

/// Files of one such array, in every format.
fn write(folder: &Path, array: &SharedArray<f64, Ix2>, options: &DumpOptions) -> [PathBuf; 4] {
    let paths = ["a.ferry", "a.npy", "a.npz", "a.safetensors"].map(|name| folder.join(name));
    let any = array.to_any();
    options.dump(&paths[0], array).unwrap();
    options.write_npy(&paths[1], &any).unwrap();
    options.write_npz(&paths[2], [("a", any.clone())]).unwrap();
    // Always little-endian and in C order.
    DumpOptions::new().write_safetensors(&paths[3], [("a", any)], &BTreeMap::new()).unwrap();
    paths
}

/// Looks at every page of an array.
fn look_at(array: &SharedArray<f64, Ix2>) {
    assert!(
        array.as_slice_memory_order().unwrap().iter().step_by(512).all(|&element| element == 1.0)
    );
}

/// A file of zeros that takes no room.
fn zeros(folder: &Path, dtype: DType, nbytes: u64) -> ArrayFile {
    let path = folder.join("zeros.raw");
    File::create(&path).unwrap().set_len(nbytes).unwrap();
    RawLayout::new(dtype, [nbytes as usize / 8]).open(&path).unwrap()
}

// B2
fn native_arrays_cost_nothing_and_others_themselves(folder: &Path) {
    let peak = peak_of(|| {
        let array = zeros(folder, DType::of::<f64>(), 256 * MIB).read::<f64, Ix1>().unwrap();
        assert!(array.as_slice().unwrap().iter().step_by(512).all(|&element| element == 0.0));
        array
    });
    assert!(peak < NOTHING, "256 MiB were read, {peak} bytes of them copied");

    let array = square();
    for byte_order in [ByteOrder::NATIVE, ByteOrder::NATIVE.opposite()] {
        for path in write(folder, &array, &DumpOptions::new().byte_order(byte_order)) {
            let mappable = ndferry::open(&path).unwrap().arrays()[0].is_mappable();
            let forbidden = OpenOptions::new().mmap_mode(MmapMode::Forbidden);
            for (how, options, whole_file) in
                [("mapped", OpenOptions::new(), 0), ("read", forbidden, SIZE)]
            {
                let expected = whole_file + if mappable { 0 } else { SIZE };
                let peak = peak_of(|| {
                    let file = options.open(&path).unwrap();
                    let array = file.read().unwrap();
                    look_at(&array);
                    (file, array)
                });
                assert!(
                    peak.abs_diff(expected) < NOTHING,
                    "{}, {byte_order}, {how}: {peak} more",
                    path.display()
                );
            }
        }
        // As values. What comes from elsewhere is in memory, for there is nothing to map.
        let path = folder.join("a.ferry");
        let swapped = if byte_order.is_native() { 0 } else { SIZE };
        let peak = peak_of(|| {
            let file = ndferry::open(&path).unwrap();
            let array = file.value().unwrap();
            look_at(&array);
            (file, array)
        });
        assert!(peak.abs_diff(swapped) < NOTHING, "value in {byte_order}: {peak} more");
        let peak = peak_of(|| {
            let array =
                ndferry::file::from_reader(File::open(&path).unwrap().chain(io::empty())).unwrap();
            look_at(&array);
            array
        });
        assert!(
            peak.abs_diff(SIZE + swapped) < NOTHING,
            "from a reader, in {byte_order}: {peak} more"
        );
    }
}

// F7
fn writing_costs_a_few_blocks(folder: &Path) {
    let square = square();
    let turned = square.subview(|view| view.reversed_axes());
    let strided = square.subview(|view| view.slice_move(s![..;-1, ..]));
    let plain = square.to_owned();
    let new = DumpOptions::new;
    let foreign = || new().byte_order(ByteOrder::NATIVE.opposite());
    // Each to all formats; the second is not in one piece.
    for (name, view, options) in
        [("swapped and turned", &turned, foreign().order(Order::C)), ("strided", &strided, new())]
    {
        let peak = peak_of(|| write(folder, view, &options));
        assert!(peak < BLOCKS, "{name}: {peak} bytes more");
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
        assert!(peak < BLOCKS, "in a value, {name}: {peak} bytes more");
    }
    let peak = peak_of(|| {
        new().checksums(false).to_writer(io::sink(), &("value", &plain, &turned)).unwrap()
    });
    assert!(peak < BLOCKS, "to a writer: {peak} bytes more");
}

// F7
fn converting_costs_a_few_blocks_and_what_is_decompressed(folder: &Path) {
    let raw = zeros(folder, "<f8".parse().unwrap(), 64 * MIB);
    let new = DumpOptions::new;
    for name in ["a.npy", "a.npz", "a.safetensors", "a.ferry"] {
        let peak = peak_of(|| ndferry::convert(&raw, None, folder.join(name), &new()).unwrap());
        assert!(peak < BLOCKS, "to {name}: {peak} bytes more");
    }
    let (swapped, path) = (new().byte_order(ByteOrder::Big), folder.join("a.npy"));
    let file = ndferry::open(folder.join("a.npz")).unwrap();
    let peak = peak_of(|| ndferry::convert(&file, None, &path, &swapped).unwrap());
    assert!(peak < BLOCKS, "swapped: {peak} bytes more");

    // One after the other: never two of them at once.
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
                peak.abs_diff(64 * MIB) < BLOCKS,
                "two that are compressed, to {name}: {peak} bytes more"
            );
        }
    }
}

#[test]
fn reading_and_writing_cost_what_is_promised() {
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        eprintln!("left out: under emulation the memory is the emulator's");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    native_arrays_cost_nothing_and_others_themselves(folder.path());
    writing_costs_a_few_blocks(folder.path());
    converting_costs_a_few_blocks_and_what_is_decompressed(folder.path());
}
