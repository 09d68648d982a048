//! The cost of sharing an array with a worker for the first time, by how the array was made and
//! the kind of store.
//!
//!     cargo bench --bench sharing
//!
//! The peers are a job without an array, and `write(2)` of the same bytes to a file in memory.

use std::{fs::File, io::Write, time::Duration};

use criterion::{BatchSize, Criterion, Throughput};
use ndferry::{
    Pool, SharedArray,
    ndarray::{Array1, Ix1},
    store::{SharedAtomics, Store},
};

/// The number of elements, 64 MiB.
const LENGTH: usize = 8 << 20;

fn main() {
    ndferry::init();
    let mut criterion =
        Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    first_use(&mut criterion);
    filling(&mut criterion);
    counting(&mut criterion);
    criterion.final_summary();
}

type Vector = SharedArray<f64, Ix1>;

fn pools() -> [(&'static str, Pool); 2] {
    [("files", Store::new().unwrap()), ("sealed memory", Store::memfd().unwrap())]
        .map(|(name, store)| (name, Pool::builder().workers(1).store(&store).build().unwrap()))
}

/// The first task that uses an array.
fn first_use(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("first use of 64 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(8 * LENGTH as u64));
    let heap = vec![1.0f64; LENGTH];
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    group.bench_function("write(2)", |bencher| {
        bencher.iter(|| {
            let path = folder.path().join("file");
            File::create(&path).unwrap().write_all(bytemuck::cast_slice(&heap)).unwrap();
            std::fs::remove_file(path).unwrap();
        });
    });
    for (name, pool) in pools() {
        let first = |array: Vector| {
            pool.with(&array).map(|array, i: usize| array[i], [LENGTH - 1]).unwrap()
        };
        group.bench_function(format!("{name}, no array"), |bencher| {
            bencher.iter(|| pool.with(&1.0).map(|x: &f64, _: usize| *x, [0]).unwrap());
        });
        group.bench_function(format!("{name}, from the heap"), |bencher| {
            bencher.iter_batched(
                || SharedArray::from(heap.clone()),
                first,
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name}, born there"), |bencher| {
            let born = || pool.store().from_shape_fn(LENGTH, |i| i as f64).unwrap();
            bencher.iter_batched(born, first, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Filling an array in the store, and on the heap.
fn filling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("filling 64 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(8 * LENGTH as u64));
    group.bench_function("the heap", |bencher| {
        bencher.iter(|| Array1::from_shape_fn(LENGTH, |i| i as f64))
    });
    for (name, pool) in pools() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| pool.store().from_shape_fn(LENGTH, |i| i as f64).unwrap());
        });
    }
    group.finish();
}

/// The cost of atomics in addition to a task.
fn counting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one task");
    let pool = Pool::builder().workers(1).build().unwrap();
    let atomics = pool.store().atomics(1).unwrap();
    group.bench_function("alone", |bencher| bencher.iter(|| pool.map(|x: u64| x, [1]).unwrap()));
    group.bench_function("with atomics", |bencher| {
        bencher
            .iter(|| pool.map(|atomics: SharedAtomics| atomics.len(), [atomics.clone()]).unwrap());
    });
    group.finish();
}
