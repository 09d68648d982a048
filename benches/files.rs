//! Opening, dumping and loading files, compared with the limits of the machine.
//!
//!     cargo bench --bench files
//!
//! Arrays have 256 MiB, or the size in `NDFERRY_BENCH_MIB`. Files are on tmpfs if there is one.
//! Each group contains its peer: times are noisy, ratios within a group less so.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hint::black_box,
    io::Write,
    path::{Path, PathBuf},
};

use criterion::{Criterion, Throughput};
use memmap2::{Advice, Mmap, MmapMut};
use ndferry::{
    AnyArray, SharedArray,
    dtype::ByteOrder,
    file::DumpOptions,
    ndarray::{Array1, Ix1},
    swap,
};

fn elements() -> usize {
    let mib =
        std::env::var("NDFERRY_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    mib * (1 << 20) / size_of::<f64>()
}

fn folder() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn array() -> SharedArray<f64, Ix1> {
    Array1::from_shape_fn(elements(), |i| i as f64).into()
}

/// X1: opens and maps a file, and touches the first element.
fn open(criterion: &mut Criterion) {
    let folder = folder();
    let (ferry, npy) = (folder.path().join("a.ferry"), folder.path().join("a.npy"));
    ndferry::dump(&ferry, &array()).unwrap();
    DumpOptions::new().write_npy(&npy, array()).unwrap();
    let mut group = criterion.benchmark_group("open and map");
    group.bench_function("bare open, mmap, first touch", |bencher| {
        bencher.iter(|| {
            let file = File::open(&ferry).unwrap();
            // SAFETY: the file is private to this benchmark, which does not change it.
            let map = unsafe { Mmap::map(&file) }.unwrap();
            black_box(map[4096])
        });
    });
    for (name, path) in [("ferry", &ferry), ("npy", &npy)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(ndferry::open(path).unwrap().read::<f64, Ix1>().unwrap()[0]));
        });
    }
    group.finish();
}

/// F6: opens a file of 100,000 arrays and reads the last one, compared with reading the file.
fn many(criterion: &mut Criterion) {
    let folder = folder();
    let arrays = || {
        (0..100_000)
            .map(|at| (format!("layers.{at}.weight"), SharedArray::from(vec![at as f32; 4])))
    };
    let paths = ["ferry", "npz", "safetensors"]
        .map(|extension| folder.path().join("many").with_extension(extension));
    ndferry::dump(&paths[0], &arrays().collect::<BTreeMap<_, _>>()).unwrap();
    DumpOptions::new().write_npz(&paths[1], arrays()).unwrap();
    DumpOptions::new().write_safetensors(&paths[2], arrays(), &BTreeMap::new()).unwrap();
    let mut group = criterion.benchmark_group("100 000 arrays");
    group.sample_size(10);
    for path in &paths {
        let format = path.extension().unwrap().to_str().unwrap();
        group.bench_function(format!("bare read, {format}"), |bencher| {
            bencher.iter(|| fs::read(path).unwrap())
        });
        group.bench_function(format!("open, {format}"), |bencher| {
            bencher.iter(|| {
                let file = ndferry::open(path).unwrap();
                file.read_entry(file.arrays().last().unwrap()).unwrap()
            });
        });
    }
    group.finish();
}

/// X2: dumps an array, compared with `write(2)` of the same bytes.
fn dump(criterion: &mut Criterion) {
    let folder = folder();
    let shared = array();
    let plain = shared.to_owned();
    let bytes: &[u8] = bytemuck::cast_slice(plain.as_slice().unwrap());
    let path = folder.path().join("a.ferry");
    let mut group = criterion.benchmark_group("dump");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(10);
    let each = |run: &mut dyn FnMut(&PathBuf)| {
        let _ = fs::remove_file(&path);
        run(&path);
    };
    group.bench_function("bare write", |bencher| {
        bencher.iter(|| each(&mut |path| File::create(path).unwrap().write_all(bytes).unwrap()));
    });
    group.bench_function("shared array without checksum", |bencher| {
        bencher.iter(|| {
            each(&mut |path| DumpOptions::new().checksums(false).dump(path, &shared).unwrap())
        });
    });
    group.bench_function("shared array", |bencher| {
        bencher.iter(|| each(&mut |path| ndferry::dump(path, &shared).unwrap()));
    });
    group.bench_function("plain array in a value", |bencher| {
        bencher.iter(|| each(&mut |path| ndferry::dump(path, &("value", &plain)).unwrap()));
    });
    group.bench_function("shared array, other byte order", |bencher| {
        let options = DumpOptions::new().byte_order(ByteOrder::NATIVE.opposite());
        bencher.iter(|| each(&mut |path| options.dump(path, &shared).unwrap()));
    });
    group.finish();
}

/// X3: loads an array of foreign order, compared with a swap by two threads onto huge pages.
fn load_foreign(criterion: &mut Criterion) {
    let folder = folder();
    let path = folder.path().join("a.npy");
    let any: AnyArray = array().into();
    DumpOptions::new().byte_order(ByteOrder::NATIVE.opposite()).write_npy(&path, &any).unwrap();
    let mut group = criterion.benchmark_group("load of foreign order");
    group.throughput(Throughput::Bytes(any.nbytes() as u64)).sample_size(10);
    group.bench_function("bare swap by two threads onto huge pages", |bencher| {
        let file = File::open(&path).unwrap();
        // SAFETY: the file is private to this benchmark, which does not change it.
        let map = unsafe { Mmap::map(&file) }.unwrap();
        let from: &[u64] = bytemuck::cast_slice(&map[128..]);
        bencher.iter(|| {
            let mut pages = MmapMut::map_anon(from.len() * 8).unwrap();
            #[cfg(target_os = "linux")]
            let _ = pages.advise(Advice::HugePage);
            let to: &mut [u64] = bytemuck::cast_slice_mut(&mut pages);
            let half = from.len() / 2;
            let (first, second) = to.split_at_mut(half);
            let swap = |from: &[u64], to: &mut [u64]| {
                from.iter().zip(to).for_each(|(from, to)| *to = from.swap_bytes());
            };
            std::thread::scope(|scope| {
                scope.spawn(|| swap(&from[..half], first));
                swap(&from[half..], second);
            });
            black_box(pages[0])
        });
    });
    group.bench_function("load", |bencher| {
        bencher.iter(|| black_box(ndferry::open(&path).unwrap().read::<f64, Ix1>().unwrap()[0]));
    });
    group.finish();
}

/// The swap kernels, in cache and out of it, compared with a copy.
fn kernels(criterion: &mut Criterion) {
    for (name, length) in [("64 KiB", 64 << 10), ("64 MiB", 64 << 20)] {
        let from = vec![1u8; length];
        let mut to = vec![0u8; length];
        let mut group = criterion.benchmark_group(format!("swap of {name}"));
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function("bare copy", |bencher| {
            bencher.iter(|| to.copy_from_slice(black_box(&from)))
        });
        for width in [2, 4, 8] {
            group.bench_function(format!("copy, {width} bytes"), |bencher| {
                bencher.iter(|| swap::copy(black_box(&from), &mut to, width));
            });
            group.bench_function(format!("in place, {width} bytes"), |bencher| {
                bencher.iter(|| swap::in_place(black_box(&mut to), width));
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    open(&mut criterion);
    many(&mut criterion);
    dump(&mut criterion);
    load_foreign(&mut criterion);
    kernels(&mut criterion);
    criterion.final_summary();
}
