//! The store: the cost of sharing an array, opening a store, and sweeping after dead programs,
//! each compared with the cost of the bare files.
//!
//!     cargo bench --bench store
//!     cargo bench --bench store -- --in-flight
//!
//! The large array has 1024 MiB, or `NDFERRY_BENCH_MIB`. Files are on tmpfs if there is one.
//! The second command sends 500 arrays of 50 MB, one after another, through two workers, and
//! prints the largest size of the store.

use std::{
    env,
    fs::{self, DirBuilder, File},
    hint::black_box,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use ndferry::{
    Pool, SharedArray,
    ndarray::{Array1, Ix1, s},
    store::Store,
};

type Numbers = SharedArray<f64, Ix1>;

fn main() -> ExitCode {
    ndferry::init();
    // Only the environment can choose the store's directory.
    if env::var_os("NDFERRY_DIR").is_none() {
        let folder = folder();
        let mut again = Command::new(env::current_exe().unwrap());
        let status =
            again.args(env::args_os().skip(1)).env("NDFERRY_DIR", folder.path()).status().unwrap();
        return if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if env::args().any(|argument| argument == "--in-flight") {
        in_flight();
        return ExitCode::SUCCESS;
    }
    let mut criterion = Criterion::default().configure_from_args();
    large(&mut criterion);
    small(&mut criterion);
    open(&mut criterion);
    sweep(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}

fn folder() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Returns the directory of the store.
fn place() -> PathBuf {
    fs::canonicalize(env::var_os("NDFERRY_DIR").unwrap()).unwrap()
}

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn first(array: &Numbers, _: u32) -> f64 {
    array[0]
}

/// Returns the wall-clock seconds of a piece of work, and the seconds that this thread had a
/// processor. Other programs change the first much more than the second.
fn timed<T>(work: impl FnOnce() -> T) -> (T, [f64; 2]) {
    let had = || {
        let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(f64::NAN)
            / 1e9
    };
    let (began, before) = (Instant::now(), had());
    let done = work();
    (done, [began.elapsed().as_secs_f64(), had() - before])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// X2: sending a large array to a worker, compared with `write(2)` of the same bytes. The first
/// turn does not count. Then the array is sent again, and a part of it.
fn large(criterion: &mut Criterion) {
    const TURNS: usize = 9;
    let mib = env::var("NDFERRY_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let plain = Array1::from_shape_fn((mib << 20) / size_of::<f64>(), |i| i as f64);
    let pool = pool(1);
    let path = place().join("bare");
    let turn = || {
        let array = Numbers::from(plain.clone());
        let bytes: &[u8] = bytemuck::cast_slice(array.as_slice().unwrap());
        let (file, bare) = timed(|| {
            let mut file = File::create(&path).unwrap();
            file.write_all(bytes).unwrap();
            file
        });
        fs::remove_file(&path).unwrap();
        drop(file);
        let (_, ours) = timed(|| pool.with(&array).map(first, [0]).unwrap());
        [bare, ours]
    };
    turn();
    let turns: Vec<_> = (0..TURNS).map(|_| turn()).collect();
    println!(
        "share a large array, {mib} MiB, {TURNS} turns: seconds of write(2), of the first call, and their ratio"
    );
    for (at, clock) in ["by the clock", "by the processor"].into_iter().enumerate() {
        let of = |value: &dyn Fn(&[[f64; 2]; 2]) -> f64| median(turns.iter().map(value).collect());
        let (bare, ours) = (of(&|turn| turn[0][at]), of(&|turn| turn[1][at]));
        println!(
            "    {clock:<18}{bare:8.3}{ours:8.3}{:8.2}",
            of(&|turn| turn[0][at] / turn[1][at])
        );
    }

    let array = Numbers::from(plain);
    let slice = array.subview(|array| array.slice_move(s![1000..2000]));
    let mut group = criterion.benchmark_group("share it again");
    group.bench_function("a call with nothing shared", |bencher| {
        bencher.iter(|| pool.map(|x: u32| x, [black_box(1)]).unwrap());
    });
    for (name, array) in [("second call", &array), ("a slice", &slice)] {
        pool.with(array).mmap_threshold(1).map(first, [0]).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| pool.with(array).mmap_threshold(1).map(first, [0]).unwrap());
        });
    }
    let files = pool.store().files().unwrap();
    assert_eq!(files.len(), 1, "one array, one file: {files:?}");
    group.finish();
}

/// Many small arrays in one job. Each has its own file, which is shared, mapped and removed.
/// Compared with files of the same size, and with the same arrays inside the message.
fn small(criterion: &mut Criterion) {
    const MANY: usize = 500;
    let pool = pool(1);
    let arrays =
        || -> Vec<Numbers> { (0..MANY).map(|i| Array1::from_elem(100, i as f64).into()).collect() };
    let mut group = criterion.benchmark_group("share small arrays");
    group.throughput(Throughput::Elements(MANY as u64)).sample_size(20);
    let folder = folder();
    group.bench_function("bare files, made, written, removed", |bencher| {
        let bytes = vec![1; 1300];
        bencher.iter(|| {
            for number in 0..MANY {
                let path = folder.path().join(number.to_string());
                File::create_new(&path).unwrap().write_all(&bytes).unwrap();
                fs::remove_file(&path).unwrap();
            }
        });
    });
    for (name, threshold) in [("in the message", None), ("in the store", Some(1))] {
        group.bench_function(name, |bencher| {
            let call = |arrays: Vec<Numbers>| {
                let sum = |arrays: &Vec<Numbers>, _: u32| {
                    arrays.iter().map(|array| array[0]).sum::<f64>()
                };
                pool.with(&arrays).mmap_threshold(threshold).map(sum, [0]).unwrap()
            };
            bencher.iter_batched(arrays, call, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Opening and closing a store, compared with the bare directories and files.
fn open(criterion: &mut Criterion) {
    let place = place();
    // The user's directory stays while a session exists.
    let _other = Store::new().unwrap();
    let mut group = criterion.benchmark_group("open and close a store");
    group.bench_function("bare directory, two files", |bencher| {
        let (home, names) = (place.join("bare"), ["lock", "journal"]);
        bencher.iter(|| {
            fs::create_dir(&home).unwrap();
            for name in names {
                File::create_new(home.join(name)).unwrap().write_all(b"ndferry journal 1").unwrap();
            }
            fs::remove_dir_all(&home).unwrap();
        });
    });
    group.bench_function("store", |bencher| bencher.iter(|| Store::new().unwrap()));
    group.finish();
}

/// Sweeping 10 000 dead sessions with one file each, compared with removing the same
/// directories and files by name.
fn sweep(criterion: &mut Criterion) {
    const DEAD: u64 = 10_000;
    let place = place();
    let user = place.join(format!("ndferry-{}", rustix::process::geteuid().as_raw()));
    let make = || {
        let private = |path: &Path| DirBuilder::new().mode(0o700).create(path).unwrap();
        private(&user);
        for id in 0..DEAD {
            let (home, data) =
                (user.join(format!("session-{id:016x}")), user.join(format!("data-{id:016x}")));
            private(&home);
            private(&data);
            fs::write(home.join("lock"), "").unwrap();
            fs::write(home.join("journal"), format!("ndferry journal 1\nroot {}", place.display()))
                .unwrap();
            fs::write(data.join("0123456789abcdef-0000000000.ferry"), [0; 1000]).unwrap();
        }
    };
    let mut group = criterion.benchmark_group("sweep of 10 000 dead sessions");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(10));
    let timed = |remove: &dyn Fn()| {
        make();
        let began = Instant::now();
        remove();
        let took = began.elapsed();
        assert!(!user.exists(), "everything has gone");
        took
    };
    group.bench_function("bare removal", |bencher| {
        bencher.iter_custom(|times| {
            (0..times).map(|_| timed(&|| fs::remove_dir_all(&user).unwrap())).sum()
        });
    });
    group.bench_function("sweep", |bencher| {
        let sweep = || {
            assert!(
                ndferry::store::cleanup(&ndferry::store::CleanupOptions::new()).unwrap().dead.len()
                    >= DEAD as usize
            )
        };
        bencher.iter_custom(|times| (0..times).map(|_| timed(&sweep)).sum());
    });
    group.finish();
}

/// S7: the largest size of the store while large arrays are streamed.
fn in_flight() {
    const ITEMS: usize = 500;
    const LENGTH: usize = 6_250_000;
    let pool = pool(2);
    let began = Instant::now();
    let items = (0..ITEMS).map(|i| Numbers::from(Array1::from_elem(LENGTH, i as f64)));
    for (i, sum) in pool.job().imap(|item: Numbers| item.sum(), items).unwrap().enumerate() {
        assert_eq!(sum.unwrap(), (i * LENGTH) as f64);
    }
    let usage = pool.store().usage().unwrap();
    let (took, megabytes) = (began.elapsed().as_secs_f64(), |bytes: u64| bytes as f64 / 1e6);
    println!("{ITEMS} arrays of 50 MB, two workers: {took:.0} s");
    println!(
        "in the store at most {:.1} MB, in the end {:.1} MB",
        megabytes(usage.peak),
        megabytes(usage.live)
    );
}
