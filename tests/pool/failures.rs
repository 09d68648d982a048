//! A task that kills its worker, hangs or cannot start costs only itself. Worker processes
//! only.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::Duration,
};

use ndferry::{
    Pool, SharedArray,
    ndarray::Ix1,
    pool::{CancelToken, TaskError, TaskErrorKind},
};
use rustix::process::{
    Pid, Signal, getpid, kill_process, test_kill_process, test_kill_process_group,
};

use crate::{
    Watchdog, builder,
    conformance::check_progress,
    ledger::{Ledger, note, raise, wait_for},
    meet, pool,
};

/// Ways for a worker to end, each with the signal or exit code that is reported.
const DEATHS: [(&str, Option<i32>, Option<i32>); 6] = [
    ("kill", Some(9), None),
    ("abort", Some(6), None),
    ("exit", None, Some(3)),
    ("exit 0", None, Some(0)),
    ("overflow", Some(6), None),
    ("panic twice", Some(6), None),
];

struct PanicsToo;

impl Drop for PanicsToo {
    fn drop(&mut self) {
        panic!("and again");
    }
}

#[allow(unconditional_recursion, reason = "what is tested is how it ends")]
fn deep(x: u32) -> u32 {
    std::hint::black_box(deep(std::hint::black_box(x)) + 1)
}

/// Ends this worker, if `how` names a way.
fn die(how: &str) {
    match how {
        "kill" => kill_process(getpid(), Signal::KILL).unwrap(),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "exit 0" => std::process::exit(0),
        "overflow" => drop(deep(1)),
        "panic twice" => {
            let _second = PanicsToo;
            panic!("once");
        }
        _ => {}
    }
}

/// Records that it started, and then ends its worker if requested.
fn work((ledger, index, how): (PathBuf, u32, String)) -> u32 {
    note(&ledger, index);
    die(&how);
    index
}

/// Twenty items, one of which kills its worker.
fn one_of_twenty<'l>(
    ledger: &'l Ledger,
    how: &'l str,
) -> impl Iterator<Item = (PathBuf, u32, String)> + 'l {
    (0..20).map(move |index| {
        (ledger.path(), index, if index == 7 { how.to_string() } else { String::new() })
    })
}

fn check_end(error: &TaskError, (how, signal, code): (&str, Option<i32>, Option<i32>)) {
    // A memory debugger, or another libc, may report a stack overflow with another signal.
    let signal = if how == "overflow" { error.signal() } else { signal };
    assert_eq!(
        (error.kind(), error.signal(), error.exit_code()),
        (TaskErrorKind::WorkerDied, signal, code),
        "{how}: {error}"
    );
    assert!(error.signal().is_some() || code.is_some(), "{how}: {error}");
}

// P1 E4
#[test]
fn death_costs_one_result_of_twenty() {
    let _dog = Watchdog::new("one death");
    let pool = pool();
    for death in DEATHS {
        for (batch, prefetch) in [(None, 1), (Some(1), 3), (Some(5), 1), (Some(20), 0)] {
            let call = || {
                let call = pool.job().prefetch_batches(prefetch);
                if let Some(batch) = batch { call.batch_size(batch) } else { call }
            };
            let what = format!("{}, batch {batch:?}, prefetch {prefetch}", death.0);
            let ledger = Ledger::new();
            let mut seen = Vec::new();
            let watched = call().keep_going().progress(|progress| seen.push(*progress));
            let outcomes = watched.map(work, one_of_twenty(&ledger, death.0)).unwrap();
            check_progress(&seen, &what);
            assert_eq!(outcomes.len(), 20, "{what}");
            for (index, outcome) in (0..20).zip(&outcomes) {
                assert_eq!(ledger.count(index), 1, "{what}: task {index}");
                match outcome {
                    Ok(result) => assert_eq!((*result, index == 7), (index, false), "{what}"),
                    Err(error) => {
                        assert_eq!(error.index(), 7, "{what}: {error}");
                        check_end(error, death);
                    }
                }
            }
            let failed = call()
                .map(work, one_of_twenty(&ledger, death.0))
                .unwrap_err()
                .into_task_error()
                .unwrap();
            assert_eq!(failed.index(), 7, "{what}");
            check_end(&failed, death);
            let well = call().map(work, one_of_twenty(&ledger, "")).unwrap();
            assert_eq!(well, (0..20).collect::<Vec<_>>(), "{what}: the pool goes on");
        }
    }
    assert!(pool.store().files().unwrap().is_empty());
}

// P2
#[test]
fn death_on_every_attempt_is_given_up() {
    let _dog = Watchdog::new("given up");
    let pool = pool();
    for (how, ..) in DEATHS {
        for batch in [1, 20] {
            let ledger = Ledger::new();
            let outcomes = pool
                .job()
                .retries(3)
                .batch_size(batch)
                .keep_going()
                .map(work, one_of_twenty(&ledger, how))
                .unwrap();
            for (index, outcome) in (0..20).zip(outcomes) {
                assert_eq!(
                    ledger.count(index),
                    if index == 7 { 4 } else { 1 },
                    "{how}, batch {batch}, task {index}"
                );
                match outcome {
                    Ok(result) => assert_eq!((result, index == 7), (index, false), "{how}"),
                    Err(error) => assert_eq!((error.index(), error.attempt()), (7, 4), "{how}"),
                }
            }
        }
    }
}

/// Records its worker, then sleeps; forever if the time is `None`.
fn linger((ledger, index, pause): (PathBuf, u32, Option<Duration>)) -> u32 {
    note(&ledger, format!("{index} {}", std::process::id()));
    std::thread::sleep(pause.unwrap_or(Duration::from_secs(1000)));
    index
}

/// The workers that started the task at `index`, in the order of the attempts.
fn begun(ledger: &Ledger, index: u32) -> Vec<u32> {
    let lines = ledger.lines();
    let fields = lines.iter().filter_map(|line| line.split_once(' '));
    fields
        .filter(|(at, _)| *at == index.to_string())
        .map(|(_, process)| process.parse().unwrap())
        .collect()
}

fn lives(process: u32) -> bool {
    test_kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap()).is_ok()
}

// P3
#[test]
fn timeout_fails_only_its_own_task() {
    let _dog = Watchdog::new("too long");
    let pool = pool();
    let limit = Duration::from_secs(1);
    for (batch, prefetch, retries) in [(1, 1, 0), (6, 1, 0), (6, 1, 1), (2, 3, 0)] {
        let what = format!("batch {batch}, prefetch {prefetch}, retries {retries}");
        let ledger = Ledger::new();
        // The other tasks also take time, in total longer than the timeout of one.
        let pause = |index| if index == 2 { None } else { Some(limit / 5) };
        let items = (0..12).map(|index| (ledger.path(), index, pause(index)));
        let call = pool
            .job()
            .timeout(limit)
            .retries(retries)
            .batch_size(batch)
            .prefetch_batches(prefetch)
            .keep_going();
        let mut seen = Vec::new();
        let outcomes = call.progress(|progress| seen.push(*progress)).map(linger, items).unwrap();
        check_progress(&seen, &what);
        let hung = begun(&ledger, 2);
        assert_eq!(hung.len(), 1 + retries as usize, "{what}");
        for (index, outcome) in (0..12).zip(outcomes) {
            if index == 2 {
                let error = outcome.unwrap_err();
                assert_eq!(
                    (error.kind(), error.index()),
                    (TaskErrorKind::Timeout, 2),
                    "{what}: {error}"
                );
                assert_eq!(
                    (error.attempt(), error.worker()),
                    (1 + retries, *hung.last().unwrap()),
                    "{what}"
                );
                assert!(error.elapsed() >= limit, "{what}: {:?}", error.elapsed());
                assert!(error.to_string().contains("longer than the 1s it may"), "{what}: {error}");
                continue;
            }
            assert_eq!(outcome.unwrap(), index, "{what}");
            let workers = begun(&ledger, index);
            assert_eq!(workers.len(), 1, "{what}: task {index}");
            assert_eq!(
                lives(workers[0]),
                !hung.contains(&workers[0]),
                "{what}: the worker of task {index}"
            );
        }
    }
    assert_eq!(pool.map(|x: u32| x, 0..4).unwrap(), [0, 1, 2, 3]);
}

// P3
#[test]
fn timeout_counts_from_the_start_of_its_task() {
    let _dog = Watchdog::new("its own time");
    // Earlier tasks in the worker, the start of the worker and the build of its state do not
    // count.
    fn slowly(pause: &Duration) -> Duration {
        std::thread::sleep(3 * *pause);
        *pause
    }
    fn rest(pause: &mut Duration, index: u32) -> u32 {
        std::thread::sleep(*pause / 4);
        index
    }
    let limit = Duration::from_millis(800);
    let cold = builder().workers(1).build().unwrap();
    let call = cold.with_init(&limit, slowly).timeout(limit).batch_size(8);
    assert_eq!(call.map(rest, 0..8).unwrap(), (0..8).collect::<Vec<_>>());
    let brief = limit / 10;
    let call = cold.with_init(&brief, slowly).timeout(limit).prefetch_batches(40);
    assert_eq!(call.map(rest, 0..40).unwrap(), (0..40).collect::<Vec<_>>());
}

#[test]
fn timeout_job_ends_hung_tasks() {
    let _dog = Watchdog::new("hung");
    let pool = pool();
    for batch in [1, 3] {
        let ledger = Ledger::new();
        let items = || (0..10).map(|index| (ledger.path(), index, None));
        let call = || pool.job().batch_size(batch).deadline(Duration::from_millis(500));
        let error = call().map(linger, items()).unwrap_err().into_task_error().unwrap();
        assert_eq!(error.kind(), TaskErrorKind::Cancelled, "{error}");
        let outcomes = call().keep_going().map(linger, items()).unwrap();
        let told: Vec<_> =
            outcomes.into_iter().map(|outcome| outcome.unwrap_err().index()).collect();
        assert_eq!(told, (0..10).collect::<Vec<_>>());
        for line in ledger.lines() {
            assert!(!lives(line.split_once(' ').unwrap().1.parse().unwrap()), "{line}");
        }
    }
    assert_eq!(pool.map(|x: u32| x, 0..4).unwrap(), [0, 1, 2, 3]);
}

#[test]
fn cancel_works_while_waiting_for_a_worker() {
    let _dog = Watchdog::new("waits");
    let pool = builder().workers(1).build().unwrap();
    let (ledger, token) = (Ledger::new(), CancelToken::new());
    std::thread::scope(|scope| {
        let other = pool.clone();
        let items = [(ledger.path(), 0, None)];
        let long = token.clone();
        let waiting = CancelToken::new();
        scope.spawn(move || other.job().cancel_token(&long).map(linger, items).unwrap_err());
        crate::eventually("the worker is taken", || !ledger.lines().is_empty());
        let (tell, told) = mpsc::channel();
        let (cancel, calls) = (waiting.clone(), pool.clone());
        scope.spawn(move || {
            let outcomes =
                calls.job().cancel_token(&cancel).keep_going().map(|x: u32| x, [1, 2, 3]).unwrap();
            tell.send(outcomes).unwrap();
        });
        waiting.cancel();
        let outcomes = told.recv().unwrap();
        assert_eq!(outcomes.len(), 3);
        assert!(
            outcomes.iter().all(|outcome| outcome
                .as_ref()
                .is_err_and(|e| e.kind() == TaskErrorKind::Cancelled))
        );
        let late =
            pool.job().deadline(Duration::from_millis(100)).map(|x: u32| x, [1]).unwrap_err();
        assert_eq!(late.task_error().unwrap().kind(), TaskErrorKind::Cancelled);
        token.cancel();
    });
    assert_eq!(pool.map(|x: u32| x, [5]).unwrap(), [5]);
}

/// The spec of the state: where to record its build, and how the build fails.
type Spec = (PathBuf, String);

fn build((ledger, how): &Spec) -> Result<(PathBuf, u32), String> {
    note(ledger, format!("built by {}", std::process::id()));
    die(how);
    match how.as_str() {
        "error" => Err("no state today".into()),
        "panic" => panic!("no state today"),
        _ => Ok((ledger.clone(), std::process::id())),
    }
}

fn use_state(state: &mut (PathBuf, u32), (index, how): (u32, String)) -> u32 {
    let (ledger, builder) = state;
    assert_eq!(*builder, std::process::id(), "state stays where it was built");
    note(ledger, index);
    die(&how);
    assert_ne!(how, "panic", "a task fails");
    index
}

fn builds(ledger: &Ledger) -> Vec<String> {
    ledger.lines().into_iter().filter(|line| line.starts_with("built by")).collect()
}

// P6
#[test]
fn state_is_built_once_for_each_worker() {
    let _dog = Watchdog::new("built once");
    let pool = builder().workers(3).build().unwrap();
    for batch in [1, 10] {
        for (fatal, most) in [("", 3), ("kill", 4), ("panic", 4)] {
            let ledger = Ledger::new();
            let spec = (ledger.path(), String::new());
            let fate = |index| if index == 30 { fatal.to_string() } else { String::new() };
            let items = (0..100u32).map(|index| (index, fate(index)));
            let call = pool.try_with_init(&spec, build).batch_size(batch).keep_going();
            let outcomes = call.map(use_state, items).unwrap();
            let lost = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            assert_eq!(lost, usize::from(!fatal.is_empty()), "{fatal}");
            let built = builds(&ledger);
            assert!((1..=most).contains(&built.len()), "{fatal}: {built:?}");
            let mut distinct = built.clone();
            distinct.sort();
            distinct.dedup();
            // A worker whose task panicked stays, and builds its state again.
            assert!(
                distinct.len() + usize::from(fatal == "panic") >= built.len(),
                "{fatal}: {built:?}"
            );
            assert!((0..100).all(|index| ledger.count(index) == 1), "{fatal}: each task once");
        }
    }
}

// P6 E4
#[test]
fn state_failed_build_is_one_error_without_retries() {
    let _dog = Watchdog::new("cannot be built");
    for how in ["error", "panic"].into_iter().chain(DEATHS.map(|(how, ..)| how)) {
        for (batch, retries) in [(1, 0), (10, 5)] {
            let (ledger, pool) = (Ledger::new(), pool());
            let spec = (ledger.path(), how.to_string());
            let call = || pool.try_with_init(&spec, build).batch_size(batch).retries(retries);
            let items = || (0..50u32).map(|index| (index, String::new()));
            let check = |error: ndferry::Error| {
                let error = error.into_task_error().unwrap();
                assert_eq!(error.kind(), TaskErrorKind::Build, "{how}: {error}");
                match how {
                    "error" | "panic" => assert_eq!(error.message(), "no state today"),
                    _ => assert!(error.signal().or(error.exit_code()).is_some(), "{how}: {error}"),
                }
                assert!(error.to_string().starts_with("the state for task "), "{how}: {error}");
            };
            check(call().map(use_state, items()).unwrap_err());
            assert!(builds(&ledger).len() <= pool.workers(), "{how}: {:?}", builds(&ledger));
            check(call().keep_going().map(use_state, items()).unwrap_err());
            assert!(builds(&ledger).len() <= 2 * pool.workers(), "{how}: {:?}", builds(&ledger));
            assert_eq!(ledger.lines().len(), builds(&ledger).len(), "{how}: no task has run");
            assert_eq!(pool.map(|x: u32| x, [1]).unwrap(), [1], "{how}: the pool goes on");
        }
    }
}

// E6
#[test]
fn fail_fast_returns_while_other_tasks_hang() {
    let _dog = Watchdog::new("first failure");
    fn fate((index, how): (u32, String)) -> Result<u32, String> {
        die(&how);
        match how.as_str() {
            "error" => Err("the first".into()),
            "panic" => panic!("the first"),
            "hang" => loop {
                std::thread::sleep(Duration::from_secs(1000));
            },
            _ => Ok(index),
        }
    }
    for how in ["error", "panic", "kill", "exit 0"] {
        for (workers, batch, prefetch) in [(2, 1, 1), (2, 3, 1), (1, 1, 5), (1, 4, 0), (3, 1, 0)] {
            let pool = builder().workers(workers).build().unwrap();
            let items = ["", how, "hang", "hang", "hang", "hang"].map(String::from);
            let what = format!("{how}, {workers} workers, batch {batch}, prefetch {prefetch}");
            let call = || pool.job().batch_size(batch).prefetch_batches(prefetch);
            let error = call()
                .try_map(fate, (0..).zip(items.clone()))
                .unwrap_err()
                .into_task_error()
                .unwrap();
            assert_eq!(error.index(), 1, "{what}: {error}");
            // With `keep_going`, the failure does not wait either.
            let mut stream = call().keep_going().try_imap(fate, (0..).zip(items)).unwrap();
            assert_eq!(stream.next().unwrap().unwrap(), 0, "{what}");
            assert_eq!(
                stream.next().unwrap().unwrap_err().task_error().unwrap().index(),
                1,
                "{what}"
            );
            drop(stream);
            assert_eq!(pool.map(|x: u32| x, [1]).unwrap(), [1], "{what}");
        }
    }
}

fn id(_: u32) -> u32 {
    std::process::id()
}

fn distinct(mut ids: Vec<u32>) -> usize {
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

#[test]
fn recycling_replaces_workers_after_max_tasks() {
    let _dog = Watchdog::new("recycled");
    for (after, batch, prefetch) in [(1, 1, 1), (3, 1, 3), (5, 100, 1)] {
        let pool = builder().max_tasks_per_worker(after).build().unwrap();
        for _ in 0..2 {
            let ids =
                pool.job().batch_size(batch).prefetch_batches(prefetch).map(id, 0..20).unwrap();
            for worker in &ids {
                let served = ids.iter().filter(|id| *id == worker).count();
                assert!(served as u64 <= after, "{served} tasks, {after} at most");
            }
            assert!(distinct(ids) >= 20 / after as usize);
        }
        let report = pool.metrics();
        assert_eq!(
            (report.tasks_completed, report.tasks_failed, report.workers_lost),
            (40, 0, 0),
            "{report:?}"
        );
        assert!(report.workers_recycled + 2 >= 40 / after, "{report:?}");
    }
}

#[test]
fn recycling_works_with_callers_and_retries() {
    let _dog = Watchdog::new("recycled and shared");
    let pool = builder().max_tasks_per_worker(2).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let pool = pool.clone();
            scope.spawn(move || {
                for round in 0..6 {
                    let ledger = Ledger::new();
                    let outcomes = pool
                        .job()
                        .retries(1)
                        .batch_size(3)
                        .keep_going()
                        .map(work, one_of_twenty(&ledger, "kill"))
                        .unwrap();
                    let lost: Vec<_> =
                        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
                    assert_eq!(lost.len(), 1, "thread {thread}, round {round}: {lost:?}");
                    assert_eq!(
                        (lost[0].index(), lost[0].attempt(), ledger.lines().len()),
                        (7, 2, 21)
                    );
                }
            });
        }
    });
}

#[test]
fn recycling_replaces_workers_that_grew() {
    let _dog = Watchdog::new("grown");
    fn leak(megabytes: usize) -> u32 {
        std::mem::forget(std::hint::black_box(vec![1u8; megabytes << 20]));
        std::process::id()
    }
    let pool = builder().workers(1).max_worker_memory(150 << 20).build().unwrap();
    let ids = pool.map(leak, [1, 1, 300, 1, 1, 300, 1]).unwrap();
    let changes = ids.windows(2).map(|pair| pair[0] != pair[1]).collect::<Vec<_>>();
    assert_eq!(changes, [false, false, true, false, false, true], "{ids:?}");
    // Mapped arrays do not count as the worker's memory.
    let large = SharedArray::from(vec![1.0; 40 << 20]);
    let sum = |large: &SharedArray<f64, Ix1>, _: u32| (large.sum(), std::process::id());
    let seen = pool.with(&large).map(sum, 0..3).unwrap();
    assert!(seen.iter().all(|(sum, _)| *sum == f64::from(40 << 20)));
    assert_eq!(distinct(seen.into_iter().map(|(_, id)| id).collect()), 1);
}

// X9
#[test]
fn batches_give_waiting_tasks_to_idle_workers() {
    let _dog = Watchdog::new("recall");
    let pool = pool();
    let ledger = Ledger::new();
    // Both workers have started when this ends.
    pool.map(|ledger: PathBuf| meet(&ledger, 2), vec![ledger.path(); 2]).unwrap();
    let work = |slow: bool| {
        if slow {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::process::id()
    };
    let mut seen = Vec::new();
    let job = pool.job().progress(|progress| seen.push(*progress));
    let ids = job.map(work, (0..1000).map(|_| false).chain((0..20).map(|_| true))).unwrap();
    check_progress(&seen, "recall");
    for worker in &ids[1000..] {
        let share = ids[1000..].iter().filter(|id| *id == worker).count();
        assert!((4..=16).contains(&share), "{share} of 20 slow tasks in one worker");
    }
    // The rest of a batch with a slow first task goes to other workers when that task has
    // ended.
    let (ledger, mut seen) = (Ledger::new(), Vec::new());
    let items = (0..30).map(|index| (ledger.path(), index, Some(Duration::from_millis(20))));
    let call =
        pool.job().batch_size(10).prefetch_batches(2).progress(|progress| seen.push(*progress));
    assert_eq!(call.map(linger, items).unwrap(), (0..30).collect::<Vec<_>>());
    check_progress(&seen, "recall of batches");
    assert_eq!(ledger.lines().len(), 30, "each once");
}

/// Starts a program that would outlive this worker, and ends the worker.
#[allow(clippy::zombie_processes, reason = "leaving it behind is what is tested")]
fn leave_behind(ledger: &Path, how: &str) {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    note(ledger, format!("{} {}", std::process::id(), child.id()));
    die(how);
}

// P3
#[test]
fn death_ends_processes_that_the_task_started() {
    let _dog = Watchdog::new("its children");
    let pool = pool();
    for how in ["kill", "abort", "exit", "hang"] {
        let ledger = Ledger::new();
        let fate = |(ledger, how): (PathBuf, String)| {
            leave_behind(&ledger, &how);
            std::thread::sleep(Duration::from_secs(1000));
        };
        let error = pool
            .job()
            .timeout(Duration::from_secs(1))
            .map(fate, [(ledger.path(), how.into())])
            .unwrap_err();
        let hung = error.task_error().unwrap().kind() == TaskErrorKind::Timeout;
        assert_eq!(hung, how == "hang", "{error}");
        let line = &ledger.lines()[0];
        let (worker, _) = line.split_once(' ').unwrap();
        let group = Pid::from_raw(worker.parse().unwrap()).unwrap();
        crate::eventually("the group is gone", || test_kill_process_group(group).is_err());
    }
}

#[test]
fn death_from_outside_costs_the_running_task() {
    let _dog = Watchdog::new("from outside");
    let pool = pool();
    for batch in [1, 5] {
        let ledger = Ledger::new();
        let flag = ledger.flag("go on");
        let hold = |(flag, ledger, index): (PathBuf, PathBuf, u32)| {
            note(&ledger, format!("{index} {}", std::process::id()));
            if index == 3 {
                wait_for(&flag);
            }
            index
        };
        let items = (0..10).map(|index| (flag.clone(), ledger.path(), index));
        let outcomes = std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::eventually("it runs", || !begun(&ledger, 3).is_empty());
                kill_process(Pid::from_raw(begun(&ledger, 3)[0] as i32).unwrap(), Signal::KILL)
                    .unwrap();
                raise(&flag);
            });
            pool.job().batch_size(batch).keep_going().map(hold, items).unwrap()
        });
        for (index, outcome) in (0..10).zip(outcomes) {
            assert_eq!(
                outcome.map_err(|error| error.signal()),
                if index == 3 { Err(Some(9)) } else { Ok(index) }
            );
            assert_eq!(begun(&ledger, index).len(), 1, "task {index}, batch {batch}");
        }
    }
}

#[test]
fn pool_works_after_many_jobs() {
    let _dog = Watchdog::new("many calls");
    let pool: Pool = pool();
    for round in 0..60u32 {
        let ledger = Ledger::new();
        let (how, ..) = DEATHS[round as usize % 4];
        assert!(pool.map(work, one_of_twenty(&ledger, how)).is_err(), "round {round}");
        assert_eq!(pool.map(|x: u32| x + 1, [round]).unwrap(), [round + 1]);
    }
    assert!(pool.store().files().unwrap().is_empty());
}
