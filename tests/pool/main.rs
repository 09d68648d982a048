//! The pool: tasks in worker processes, their arguments, results and failures.

mod arrays;
mod atomics;
mod backends;
mod born;
mod chaos;
#[path = "../common/mod.rs"]
mod common;
mod conformance;
mod errors;
mod failures;
mod fill;
mod keep;
mod ledger;
mod memory;
mod nesting;
mod output;
#[path = "../common/processes.rs"]
mod processes;
mod release;
mod sealed;
mod signals;
mod start;
mod streams;
mod submit;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use common::Watchdog;
use ledger::{Ledger, note};
use ndferry::{
    Pool,
    dtype::ByteOrder,
    pool::{
        Job, JobProgress, PoolBuilder, TaskEvent,
        marker::{ReturnsValue, WithState},
    },
    store::Store,
};
use processes::eventually;

/// Workers of this test program run this test.
#[test]
fn worker() {
    ndferry::init();
}

fn builder() -> PoolBuilder {
    Pool::builder().workers(2).test_entry("worker")
}

fn pool() -> Pool {
    builder().build().unwrap()
}

/// A pool for each byte order of its store, with files and with memfds.
fn pools() -> Vec<(ByteOrder, Pool)> {
    let mut pools = Vec::new();
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let store = Store::builder().byte_order(byte_order);
        for store in [store.clone(), store.memfd()] {
            pools.push((byte_order, builder().store(&store.build().unwrap()).build().unwrap()));
        }
    }
    pools
}

/// Counts the processes with `mark` in their environment.
fn marked(mark: &str) -> usize {
    let environments = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("environ")).ok());
    environments
        .filter(|environment| {
            environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .count()
}

/// Waits until `count` processes have come here with this ledger. Without it, one worker may run
/// all tasks of a job before another has started.
fn meet(ledger: &Path, count: usize) {
    note(ledger, std::process::id());
    while std::fs::read_to_string(ledger).unwrap().lines().collect::<BTreeSet<_>>().len() < count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn double(x: i64) -> i64 {
    2 * x
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    slope: f64,
    start: f64,
}

impl Line {
    fn at(&self, x: f64) -> f64 {
        self.start + self.slope * x
    }
}

#[test]
fn pool_runs_functions_in_order() {
    let _dog = Watchdog::new("order");
    let pool = pool();
    assert_eq!(pool.map(double, 0..1000).unwrap(), (0..1000).map(double).collect::<Vec<_>>());
    let line = Line { slope: 2.0, start: 1.0 };
    assert_eq!(pool.with(&line).map(Line::at, [0.0, 1.0, 2.0]).unwrap(), [1.0, 3.0, 5.0]);
    let words = pool.map(|word: String| word.to_uppercase(), ["a".into(), "ß".into()]).unwrap();
    assert_eq!(words, ["A", "SS"]);
    assert!(pool.map(double, []).unwrap().is_empty());
    let parsed =
        pool.try_map(|text: String| text.parse::<i32>(), ["1".into(), "-7".into()]).unwrap();
    assert_eq!(parsed, [1, -7]);
}

#[test]
fn pool_uses_all_worker_processes() {
    let _dog = Watchdog::new("processes");
    let ledger = Ledger::new();
    // A task ends only when both workers have one.
    let meet = |ledger: PathBuf| {
        meet(&ledger, 2);
        std::process::id()
    };
    let pids = pool().map(meet, vec![ledger.path(); 10]).unwrap();
    assert!(!pids.contains(&std::process::id()));
}

#[test]
fn pool_shares_workers_between_threads() {
    let _dog = Watchdog::new("threads");
    let pool = pool();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let pool = pool.clone();
            scope.spawn(move || {
                let base = thread * 1000;
                let sums = pool.with(&base).map(|base: &i64, x: i64| base + x, 0..50).unwrap();
                assert_eq!(sums, (0..50).map(|x| base + x).collect::<Vec<_>>());
            });
        }
    });
}

#[test]
fn pool_lends_unneeded_workers_to_other_jobs() {
    let _dog = Watchdog::new("share");
    let pool = pool();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let long = pool.clone();
        scope.spawn(move || {
            // The last task of this job ends only after the other job.
            let folder = tempfile::tempdir().unwrap();
            let wait = |path: std::path::PathBuf| {
                while !path.as_os_str().is_empty() && !path.exists() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            let flag = folder.path().join("through");
            tell.send(flag.clone()).unwrap();
            long.map(wait, [flag, std::path::PathBuf::new()]).unwrap();
        });
        let flag = told.recv().unwrap();
        assert_eq!(pool.map(double, [1, 2, 3]).unwrap(), [2, 4, 6]);
        std::fs::write(flag, "").unwrap();
    });
}

#[test]
fn pool_rejects_a_job_within_its_own_job() {
    let _dog = Watchdog::new("within");
    let pool = pool();
    let mut refused = Vec::new();
    pool.job()
        .progress(|_| {
            refused.push(pool.map(double, [1]).is_err_and(|error| error.is_invalid_input()))
        })
        .map(double, [1])
        .unwrap();
    assert_eq!(refused, [true; 4], "begun, queued, started, done");
    let items = [1, 2].into_iter().map(|x| if pool.map(double, [x]).is_err() { x } else { 0 });
    assert_eq!(pool.map(double, items).unwrap(), [2, 4]);
    assert_eq!(pool.map(double, [3]).unwrap(), [6]);
}

#[test]
fn pool_works_within_a_task() {
    let _dog = Watchdog::new("nested");
    let sums = pool()
        .try_map(
            |x: u64| {
                let inner = Pool::builder().workers(1).test_entry("worker").build()?;
                inner.map(|y: u64| y + 1, [x, 10 * x]).map(|both| both.iter().sum::<u64>())
            },
            [1, 2],
        )
        .unwrap();
    assert_eq!(sums, [13, 24]);
}

// P13
#[test]
fn progress_counts_from_zero_to_total() {
    let _dog = Watchdog::new("progress");
    let mut seen = Vec::new();
    pool().job().progress(|progress| seen.push(*progress)).map(double, 0..5).unwrap();
    assert_eq!(seen[0].event, TaskEvent::JobStarted);
    for (kind, matches) in [
        ("queued", (|event| matches!(event, TaskEvent::Queued(_))) as fn(TaskEvent) -> bool),
        ("started", |event| matches!(event, TaskEvent::Started(_))),
        ("done", |event| matches!(event, TaskEvent::Done(_))),
    ] {
        assert_eq!(seen.iter().filter(|progress| matches(progress.event)).count(), 5, "{kind}");
    }
    for progress in &seen {
        let JobProgress { queued, started, done, failed, total, .. } = *progress;
        assert!(done + failed <= started && started <= queued && queued <= 5, "{progress:?}");
        assert_eq!(total, Some(5));
    }
    assert_eq!(seen.last().unwrap().done, 5);
}

#[test]
fn builder_rejects_invalid_options() {
    assert!(builder().workers(0).build().unwrap_err().is_invalid_input());
    let error = Pool::builder()
        .workers(1)
        .test_entry("no_such_test")
        .build()
        .unwrap()
        .map(double, [1])
        .unwrap_err();
    assert!(error.to_string().contains("before it had reached ndferry::init()"), "{error}");
}

// P12
#[test]
fn builder_reads_worker_count_from_environment() {
    let run = |value: &str| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["child_prints_default_workers", "--exact", "--ignored", "--nocapture"])
            .env("NDFERRY_WORKERS", value)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run("3").contains("workers: 3"));
    for bad in ["0", "-1", "many", ""] {
        assert!(run(bad).contains("NDFERRY_WORKERS must be a whole number of at least 1"), "{bad}");
    }
}

#[test]
#[ignore = "run by builder_reads_worker_count_from_environment"]
fn child_prints_default_workers() {
    match Pool::builder().test_entry("worker").build() {
        Ok(pool) => println!("workers: {}", pool.workers()),
        Err(error) => println!("{error}"),
    }
}

// P10
#[test]
fn init_forgotten_is_an_error() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child_makes_a_pool_without_init", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("ndferry::init() was not called"), "{printed}");
}

#[test]
#[ignore = "run by init_forgotten_is_an_error"]
fn child_makes_a_pool_without_init() {
    println!("{}", Pool::new().unwrap_err());
}

// P10
#[test]
fn init_ignores_programs_started_by_tasks() {
    let _dog = Watchdog::new("program of a task");
    let printed = pool()
        .try_map(
            |_: ()| {
                let program = std::env::current_exe()?;
                let mut command = std::process::Command::new(program);
                command.args(["child_prints_text", "--exact", "--ignored", "--nocapture"]);
                command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            },
            [()],
        )
        .unwrap();
    assert!(printed[0].contains("something"), "{printed:?}");
}

#[test]
#[ignore = "run by init_ignores_programs_started_by_tasks"]
fn child_prints_text() {
    ndferry::init();
    println!("something");
}

/// A job with state, kept for later.
struct Buffered<'p> {
    job: Job<'p, WithState<'p, u8, Vec<u8>, ReturnsValue>>,
}

#[test]
fn job_with_state_can_be_stored_in_a_struct() {
    let _dog = Watchdog::new("stored job");
    let pool = pool();
    let buffered = Buffered { job: pool.with_init(&7, |first: &u8| vec![*first]) };
    let first = buffered.job.map(|buffer, x: u8| buffer[0] + x, [1, 2]).unwrap();
    assert_eq!(first, [8, 9]);
}
