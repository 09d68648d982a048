//! The pool: what a task costs, and what an array beside it costs.
//!
//!     cargo bench --bench pool
//!
//! The peer is a bare socket between two processes: this program started again, echoing bytes.

use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput};
use ndferry::{
    Pool, SharedArray,
    ndarray::{Array1, Ix1},
};

/// The argument that makes this program an echo.
const ECHO: &str = "--echo-on-stdin";
/// Bytes of a round trip on the bare socket.
const FRAME: usize = 64;

fn main() {
    ndferry::init();
    if std::env::args().nth(1).as_deref() == Some(ECHO) {
        return echo();
    }
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    start(&mut criterion);
    dispatch(&mut criterion);
    shared(&mut criterion);
    results(&mut criterion);
    crossover(&mut criterion);
    criterion.final_summary();
}

fn echo() {
    let mut frame = [0; FRAME];
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    while stdin.read_exact(&mut frame).is_ok() {
        if stdout.write_all(&frame).and_then(|()| stdout.flush()).is_err() {
            break;
        }
    }
}

/// A process at the other end of a socket.
fn peer() -> (std::process::Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let out = std::os::fd::OwnedFd::from(theirs.try_clone().unwrap());
    let child = Command::new(std::env::current_exe().unwrap())
        .arg(ECHO)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::from(out))
        .spawn()
        .unwrap();
    (child, ours)
}

fn round_trip(stream: &mut UnixStream) {
    let mut frame = [7; FRAME];
    stream.write_all(&frame).unwrap();
    stream.read_exact(&mut frame).unwrap();
}

fn nothing(x: u64) -> u64 {
    x
}

/// X7: the first result of a cold pool of two, against two bare processes.
fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cold start of two");
    group.sample_size(20);
    group.bench_function("two bare processes", |bencher| {
        bencher.iter(|| {
            for (mut child, mut stream) in [peer(), peer()] {
                round_trip(&mut stream);
                drop(stream);
                child.wait().unwrap();
            }
        });
    });
    group.bench_function("pool of two, first result", |bencher| {
        bencher.iter(|| Pool::builder().workers(2).build().unwrap().map(nothing, [1]).unwrap());
    });
    group.finish();
}

/// X4: a task that does nothing, against a round trip.
fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("no-op task");
    let (mut child, mut stream) = peer();
    group.bench_function("bare socket round trip", |bencher| bencher.iter(|| round_trip(&mut stream)));
    drop(stream);
    child.wait().unwrap();
    let one = Pool::builder().workers(1).build().unwrap();
    group.bench_function("one task", |bencher| bencher.iter(|| one.map(nothing, [black_box(1)]).unwrap()));
    let two = Pool::builder().workers(2).build().unwrap();
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 tasks on two workers", |bencher| bencher.iter(|| two.map(nothing, 0..1000).unwrap()));
    group.finish();
}

/// X5: a thousand tasks over one array of 16 MB, against the same without it.
fn shared(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let array: SharedArray<f64, Ix1> = Array1::from_elem(2_000_000, 1.0).into();
    let mut group = criterion.benchmark_group("1000 tasks over 16 MB");
    group.sample_size(20);
    group.bench_function("without the array", |bencher| bencher.iter(|| pool.map(nothing, 0..1000).unwrap()));
    group.bench_function("as context", |bencher| {
        bencher.iter(|| pool.with(&array).map(|array, i: usize| array[i], 0..1000).unwrap());
    });
    group.bench_function("as part of each item", |bencher| {
        let items = || (0..1000).map(|i| (array.clone(), i));
        bencher.iter(|| pool.map(|(array, i): (SharedArray<f64, Ix1>, usize)| array[i], items()).unwrap());
    });
    group.finish();
}

/// X6: two results of 32 MB, against writing two such files in parallel.
fn results(criterion: &mut Criterion) {
    const LENGTH: usize = 4_000_000;
    let mut group = criterion.benchmark_group("two results of 32 MB");
    group.sample_size(20);
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    group.bench_function("two files written in parallel", |bencher| {
        bencher.iter(|| {
            std::thread::scope(|scope| {
                for name in ["a", "b"] {
                    let path = folder.path().join(name);
                    scope.spawn(move || {
                        std::fs::write(&path, bytemuck::cast_slice(&vec![1.0; LENGTH])).unwrap();
                        std::fs::remove_file(path).unwrap();
                    });
                }
            });
        });
    });
    let pool = Pool::builder().workers(2).build().unwrap();
    group.bench_function("two results", |bencher| {
        bencher.iter(|| pool.map(|x: f64| SharedArray::from(vec![x; LENGTH]), [1.0, 2.0]).unwrap());
    });
    group.finish();
}

/// Where an array is better off in the store than in the message: the default threshold.
fn crossover(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crossover");
    group.sample_size(20);
    for kib in [4usize, 16, 64, 256, 1024, 4096] {
        for (name, threshold) in [("message", None), ("store", Some(0))] {
            let pool = Pool::builder().workers(1).threshold(threshold).build().unwrap();
            group.bench_with_input(BenchmarkId::new(name, format!("{kib} KiB")), &kib, |bencher, &kib| {
                bencher.iter_batched(
                    || SharedArray::from(vec![1.0f64; kib * 128]),
                    |array| pool.map(|array: SharedArray<f64, Ix1>| array[0], [array]).unwrap(),
                    criterion::BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}
