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
    time::{Duration, Instant},
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
    let mut criterion =
        Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    start(&mut criterion);
    dispatch(&mut criterion);
    balance(&mut criterion);
    shared(&mut criterion);
    results(&mut criterion);
    crossover(&mut criterion);
    idle(
        &std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>(),
    );
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

/// Frames, or tasks, of one measurement.
const MANY: u64 = 10_000;
/// Frames or tasks under way at a time.
const AHEAD: usize = 64;

/// X4: a task that does nothing, against a round trip; many of them, against frames of which several are under way.
fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("no-op task");
    let (mut child, mut stream) = peer();
    let one = Pool::builder().workers(1).build().unwrap();
    group.bench_function("bare socket round trip", |bencher| {
        bencher.iter(|| round_trip(&mut stream))
    });
    group.bench_function("submitted and waited for", |bencher| {
        bencher.iter(|| one.submit(nothing, black_box(1)).unwrap().join().unwrap());
    });
    group.bench_function("a call of one task", |bencher| {
        bencher.iter(|| one.map(nothing, [black_box(1)]).unwrap())
    });
    group.finish();

    let mut group = criterion.benchmark_group("many no-op tasks");
    group.sample_size(20).throughput(Throughput::Elements(MANY));
    group.bench_function("bare frames, several under way", |bencher| {
        bencher.iter(|| pipelined(&mut stream))
    });
    group.bench_function("one worker, a frame each", |bencher| {
        bencher.iter(|| {
            one.job().batch_size(1).prefetch_batches(AHEAD).map(nothing, 0..MANY).unwrap()
        });
    });
    group.bench_function("one worker, batched automatically", |bencher| {
        bencher.iter(|| one.map(nothing, 0..MANY).unwrap());
    });
    let two = Pool::builder().workers(2).build().unwrap();
    group.bench_function("two workers, a frame each", |bencher| {
        bencher.iter(|| {
            two.job().batch_size(1).prefetch_batches(AHEAD).map(nothing, 0..MANY).unwrap()
        });
    });
    group.bench_function("two workers, batched automatically", |bencher| {
        bencher.iter(|| two.map(nothing, 0..MANY).unwrap());
    });
    group.finish();
    drop(stream);
    child.wait().unwrap();
}

/// Sends frames as long as not too many are without an answer.
fn pipelined(stream: &mut UnixStream) {
    let mut frame = [7; FRAME];
    for sent in 0..MANY {
        stream.write_all(&frame).unwrap();
        if sent >= AHEAD as u64 {
            stream.read_exact(&mut frame).unwrap();
        }
    }
    for _ in 0..AHEAD {
        stream.read_exact(&mut frame).unwrap();
    }
}

/// X8: tasks of a millisecond on all workers, against the time they take; X9: short tasks, and then long ones.
fn balance(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mut group = criterion.benchmark_group("balance");
    group.sample_size(10);
    group.bench_function("1000 tasks of 1 ms, two workers (ideal: 500 ms)", |bencher| {
        bencher.iter(|| pool.map(busy, (0..1000).map(|_| 1000)).unwrap());
    });
    group.bench_function(
        "1000 no-ops, then 20 tasks of 100 ms, two workers (ideal: 1 s)",
        |bencher| {
            let items = || (0..1020).map(|task| if task < 1000 { 0 } else { 100 });
            bencher.iter(|| {
                pool.map(|pause| std::thread::sleep(Duration::from_millis(pause)), items()).unwrap()
            });
        },
    );
    group.finish();
}

/// P14, X7: what the parent uses of a core while its workers are busy, and what a worker that waits has for itself.
fn idle(filter: &[String]) {
    if !(filter.is_empty() || filter.iter().any(|word| "idle".contains(&**word))) {
        return;
    }
    let pool = Pool::builder().workers(2).build().unwrap();
    for (name, microseconds, tasks) in [("1 ms", 1000, 4000), ("100 ms", 100_000, 40)] {
        let used = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let (began, before) = (Instant::now(), used());
        pool.map(busy, (0..tasks).map(|_| microseconds)).unwrap();
        let share = (used() - before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!(
            "idle/parent while two workers have tasks of {name}: {:.1} % of a core",
            100.0 * share
        );
    }
    let private = |()| {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let own = rollup.lines().filter(|line| line.starts_with("Private_"));
        own.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    println!("idle/private memory of a worker: {} KiB", pool.map(private, [()]).unwrap()[0]);
}

/// Keeps a core busy for so many microseconds of processor time.
fn busy(microseconds: u64) {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let until = now() + Duration::from_micros(microseconds);
    while now() < until {}
}

/// X5: a thousand tasks over one array of 16 MB, against the same without it.
fn shared(criterion: &mut Criterion) {
    let pool = Pool::builder().workers(2).build().unwrap();
    let array: SharedArray<f64, Ix1> = Array1::from_elem(2_000_000, 1.0).into();
    let mut group = criterion.benchmark_group("1000 tasks over 16 MB");
    group.sample_size(20);
    group.bench_function("without the array", |bencher| {
        bencher.iter(|| pool.job().batch_size(1).map(nothing, 0..1000).unwrap());
    });
    group.bench_function("as context", |bencher| {
        bencher.iter(|| {
            pool.with(&array).batch_size(1).map(|array, i: usize| array[i], 0..1000).unwrap()
        });
    });
    group.bench_function("as part of each item", |bencher| {
        let items = || (0..1000).map(|i| (array.clone(), i));
        bencher.iter(|| {
            pool.job()
                .batch_size(1)
                .map(|(array, i): (SharedArray<f64, Ix1>, usize)| array[i], items())
                .unwrap()
        });
    });
    group.finish();
}

/// X6: two results of 32 MB, against creating and writing two such files in parallel; and both again with the time it takes to
/// remove them, which for results is when they are dropped, in one thread.
fn results(criterion: &mut Criterion) {
    const LENGTH: usize = 4_000_000;
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    let files = || {
        let write = |name| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytemuck::cast_slice(&vec![1.0; LENGTH])).unwrap();
            tempfile::TempPath::try_from_path(path).unwrap()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| write("a"));
            [write("b"), other.join().unwrap()]
        })
    };
    let results = || pool.map(|x: f64| SharedArray::from(vec![x; LENGTH]), [1.0, 2.0]).unwrap();

    let mut group = criterion.benchmark_group("two results of 32 MB");
    group.sample_size(20);
    group.bench_function("two files written in parallel", |bencher| made(bencher, files));
    group.bench_function("two results", |bencher| made(bencher, results));
    group.bench_function("two files written in parallel, and removed", |bencher| {
        bencher.iter(files)
    });
    group.bench_function("two results, and dropped", |bencher| bencher.iter(results));
    group.finish();
}

/// Measures `make`, and not the end of what it makes.
fn made<T>(bencher: &mut criterion::Bencher<'_>, mut make: impl FnMut() -> T) {
    bencher.iter_custom(|times| {
        (0..times)
            .map(|_| {
                let began = Instant::now();
                let made = black_box(make());
                let took = began.elapsed();
                drop(made);
                took
            })
            .sum()
    });
}

/// Where an array is better off in the store than in the message: the default threshold.
fn crossover(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crossover");
    group.sample_size(20);
    for kib in [4usize, 16, 64, 256, 1024, 4096] {
        for (name, threshold) in [("message", None), ("store", Some(0))] {
            let pool = Pool::builder().workers(1).mmap_threshold(threshold).build().unwrap();
            group.bench_with_input(
                BenchmarkId::new(name, format!("{kib} KiB")),
                &kib,
                |bencher, &kib| {
                    bencher.iter_batched(
                        || SharedArray::from(vec![1.0f64; kib * 128]),
                        |array| pool.map(|array: SharedArray<f64, Ix1>| array[0], [array]).unwrap(),
                        criterion::BatchSize::LargeInput,
                    );
                },
            );
        }
    }
    group.finish();
}
