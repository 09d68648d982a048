//! What holds over every transport: each case is a function over a pool, and
//! [`conformance_tests`] makes tests of them.
//!
//! This file is part of the tests of pools and of the unit tests of transports.

use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{atomic::Ordering, mpsc},
    time::Duration,
};

use ndferry::{
    Pool, SharedArray,
    ndarray::{Array2, ArrayRef, Axis, Ix1, Ix2},
    pool::{CancelToken, JobProgress, TaskError, TaskErrorKind, TaskEvent},
    store::SharedAtomics,
};

use super::ledger::{Ledger, note, raise, wait_for};

/// What the workers of a pool can do. Everything else must hold over every transport.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// They run in this process: errors name it, and a task that aborts ends the program.
    pub runs_in_process: bool,
    /// A running task can be killed alone: jobs can have timeouts.
    pub kills_single_tasks: bool,
    /// A worker that is lost costs only the task it ran. Otherwise it costs all that may have
    /// been running.
    pub loses_single_tasks: bool,
    /// Memory is shared: arrays can be filled in place, and counters be passed.
    pub shares_memory: bool,
}

/// Makes a test of each case, over the pools that `$pools` returns with their names and
/// capabilities.
macro_rules! conformance_tests {
    ($pools:path) => {
        conformance_tests! { $pools:
            verbs_decide_every_item_in_order
            options_never_change_results
            conformance_arrays_arrive_in_every_role
            errors_report_all_that_is_known
            retries_run_only_failed_tasks_again
            token_cancels_from_another_thread
            deadline_ends_a_job_and_keeps_results
            threads_get_their_own_results
            busy_pool_gives_another_job_a_worker
            progress_counts_every_event
            callers_panic_leaves_the_pool_usable
            panics_report_the_first_failure
            serializable_error_comes_back_as_itself
            result_arrives_before_the_next_task_ends
            invalid_requests_are_refused
            sharing_needs_shared_memory
            timeouts_need_tasks_that_can_be_killed
            lost_worker_costs_the_tasks_it_ran
        }
    };
    ($pools:path: $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let _dog = Watchdog::new(stringify!($case));
                for (name, pool, can) in $pools() {
                    conformance::$case(&name, &pool, can);
                }
            }
        )*
    };
}

pub(crate) use conformance_tests;

#[derive(Debug)]
struct Unlucky(u32);

impl fmt::Display for Unlucky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} brings no luck", self.0)
    }
}

impl std::error::Error for Unlucky {}

const UNLUCKY: u32 = 13;

fn thrice(x: u32) -> u32 {
    assert_ne!(x, UNLUCKY, "no luck");
    3 * x
}

fn try_thrice(x: u32) -> Result<u32, Unlucky> {
    if x == UNLUCKY { Err(Unlucky(x)) } else { Ok(3 * x) }
}

fn times(factor: &u32, x: u32) -> u32 {
    assert_ne!(x, UNLUCKY, "no luck");
    factor * x
}

fn try_times(factor: &u32, x: u32) -> Result<u32, Unlucky> {
    try_thrice(x).map(|thrice| thrice / 3 * factor)
}

fn cell(factor: &u32) -> Cell<u32> {
    Cell::new(*factor)
}

fn state_times(factor: &mut Cell<u32>, x: u32) -> u32 {
    times(&factor.get(), x)
}

fn try_state_times(factor: &mut Cell<u32>, x: u32) -> Result<u32, Unlucky> {
    try_times(&factor.get(), x)
}

/// A result or a failure, in a form that can be compared.
fn plain(outcome: Result<u32, TaskError>) -> Result<u32, (u64, TaskErrorKind)> {
    outcome.map_err(|error| (error.index(), error.kind()))
}

fn push<T>(mut list: Vec<T>, outcome: T) -> Vec<T> {
    list.push(outcome);
    list
}

/// What the verbs of `$call` give for `$items`, each as one outcome for each item, in the
/// items' order. `$fails`: how the tasks of the function fail.
macro_rules! check_verbs {
    ($what:expr, $call:expr, $function:expr, $try_function:expr, $items:expr) => {{
        let (what, items): (&str, Vec<u32>) = ($what, $items);
        let expected = |failure: TaskErrorKind| -> Vec<Result<u32, (u64, TaskErrorKind)>> {
            let outcome = |(at, x): (usize, &u32)| {
                if *x == UNLUCKY { Err((at as u64, failure)) } else { Ok(3 * x) }
            };
            items.iter().enumerate().map(outcome).collect()
        };
        // Each item has its outcome.
        let (panics, errors) = (expected(TaskErrorKind::Panic), expected(TaskErrorKind::Error));
        let all = |outcomes: Vec<Result<u32, TaskError>>| {
            outcomes.into_iter().map(plain).collect::<Vec<_>>()
        };
        let sorted = |outcomes: Vec<(u64, Result<u32, (u64, TaskErrorKind)>)>| {
            let mut outcomes = outcomes;
            outcomes.sort_by_key(|(index, _)| *index);
            assert!(
                outcomes.iter().enumerate().all(|(at, (index, _))| at as u64 == *index),
                "{what}"
            );
            outcomes.into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>()
        };
        let told = |outcome: ndferry::Result<u32>| {
            plain(outcome.map_err(|error| error.into_task_error().unwrap()))
        };
        let told_with = |outcome: ndferry::Result<(u64, u32)>| match outcome {
            Ok((index, result)) => (index, Ok(result)),
            Err(error) => {
                let error = error.into_task_error().unwrap();
                (error.index(), Err((error.index(), error.kind())))
            }
        };
        assert_eq!(
            all($call.keep_going().map($function, items.clone()).unwrap()),
            panics,
            "map, {what}"
        );
        assert_eq!(
            all($call.keep_going().try_map($try_function, items.clone()).unwrap()),
            errors,
            "try_map, {what}"
        );
        let folded = $call.keep_going().fold($function, items.clone(), Vec::new(), push).unwrap();
        assert_eq!(all(folded), panics, "fold, {what}");
        let folded =
            $call.keep_going().try_fold($try_function, items.clone(), Vec::new(), push).unwrap();
        assert_eq!(all(folded), errors, "try_fold, {what}");
        let stream = $call.keep_going().imap($function, items.clone()).unwrap();
        assert_eq!(stream.map(told).collect::<Vec<_>>(), panics, "stream, {what}");
        let stream = $call.keep_going().try_imap($try_function, items.clone()).unwrap();
        assert_eq!(stream.map(told).collect::<Vec<_>>(), errors, "try_imap, {what}");
        let stream = $call.keep_going().imap_unordered($function, items.clone()).unwrap();
        assert_eq!(sorted(stream.map(told_with).collect()), panics, "imap_unordered, {what}");
        let stream = $call.keep_going().try_imap_unordered($try_function, items.clone()).unwrap();
        assert_eq!(sorted(stream.map(told_with).collect()), errors, "try_imap_unordered, {what}");
        for (at, item) in items.iter().take(2).enumerate() {
            let one = told($call.submit($function, *item).unwrap().join());
            assert_eq!(
                one.map_err(|(_, failure)| (at as u64, failure)),
                panics[at],
                "submit, {what}"
            );
            let one = told($call.try_submit($try_function, *item).unwrap().join());
            assert_eq!(
                one.map_err(|(_, failure)| (at as u64, failure)),
                errors[at],
                "try_submit, {what}"
            );
        }
        // All results are present, or the one failure is reported.
        let whole = |outcomes: &[Result<u32, (u64, TaskErrorKind)>]| {
            outcomes.iter().copied().collect::<Result<Vec<_>, _>>()
        };
        let either = |outcome: ndferry::Result<Vec<u32>>| {
            outcome.map_err(|error| {
                error.into_task_error().map(|error| (error.index(), error.kind())).unwrap()
            })
        };
        assert_eq!(
            either($call.map($function, items.clone())),
            whole(&panics),
            "map, failing fast, {what}"
        );
        assert_eq!(
            either($call.try_map($try_function, items.clone())),
            whole(&errors),
            "try_map, failing fast, {what}"
        );
        let folded = $call.fold($function, items.clone(), Vec::new(), push);
        assert_eq!(either(folded), whole(&panics), "fold, failing fast, {what}");
        let folded = $call.try_fold($try_function, items.clone(), Vec::new(), push);
        assert_eq!(either(folded), whole(&errors), "try_fold, failing fast, {what}");
        let stream = $call.imap($function, items.clone()).unwrap();
        assert_eq!(either(stream.collect()), whole(&panics), "stream, failing fast, {what}");
        let stream = $call.try_imap($try_function, items.clone()).unwrap();
        assert_eq!(either(stream.collect()), whole(&errors), "try_imap, failing fast, {what}");
        let by_index = |outcome: ndferry::Result<Vec<(u64, u32)>>| {
            either(outcome.map(|mut results| {
                results.sort_unstable();
                results.into_iter().map(|(_, result)| result).collect()
            }))
        };
        let stream = $call.imap_unordered($function, items.clone()).unwrap();
        assert_eq!(
            by_index(stream.collect()),
            whole(&panics),
            "imap_unordered, failing fast, {what}"
        );
        let stream = $call.try_imap_unordered($try_function, items.clone()).unwrap();
        assert_eq!(
            by_index(stream.collect()),
            whole(&errors),
            "try_imap_unordered, failing fast, {what}"
        );
    }};
}

// E5 P1
pub fn verbs_decide_every_item_in_order(name: &str, pool: &Pool, _: Capabilities) {
    for items in [vec![], (0..12).collect::<Vec<_>>(), vec![4, UNLUCKY, 5, 6, 7, 8], vec![UNLUCKY]]
    {
        let what = format!("{name}, {} items", items.len());
        check_verbs!(&what, pool.job(), thrice, try_thrice, items.clone());
        check_verbs!(&what, pool.with(&3), times, try_times, items.clone());
        check_verbs!(&what, pool.with_init(&3, cell), state_times, try_state_times, items.clone());
    }
    assert!(pool.store().files().unwrap().is_empty(), "{name}");
}

// E5
pub fn options_never_change_results(name: &str, pool: &Pool, _: Capabilities) {
    let expected: Vec<_> = (0..100u32).map(|x| vec![f64::from(x); 40]).collect();
    {
        for batch in [None, Some(1), Some(7), Some(1000)] {
            for prefetch in [0, 1, 5] {
                for threshold in [None, Some(0), Some(1 << 20)] {
                    let call = || {
                        let call = pool
                            .job()
                            .prefetch_batches(prefetch)
                            .mmap_threshold(threshold)
                            .retries(2)
                            .label("rows");
                        if let Some(batch) = batch { call.batch_size(batch) } else { call }
                    };
                    let row = |x: u32| vec![f64::from(x); 40];
                    let what = format!(
                        "{name}, batch {batch:?}, prefetch {prefetch}, threshold {threshold:?}"
                    );
                    assert_eq!(call().map(row, 0..100).unwrap(), expected, "{what}");
                    let stream = call().imap(row, 0..100).unwrap();
                    assert_eq!(stream.collect::<Result<Vec<_>, _>>().unwrap(), expected, "{what}");
                }
            }
        }
        assert!(pool.store().files().unwrap().is_empty(), "{name}");
    }
}

fn add(left: &SharedArray<f64, Ix2>, right: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
    SharedArray::from(&**left + &*right)
}

fn copy_of(array: &SharedArray<f64, Ix2>) -> Array2<f64> {
    array.to_owned()
}

fn add_to(state: &mut Array2<f64>, right: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
    *state += &right.view();
    SharedArray::from(state.clone())
}

// B3
pub fn conformance_arrays_arrive_in_every_role(name: &str, pool: &Pool, _: Capabilities) {
    for rows in [3, 50_000] {
        let base = Array2::from_shape_fn((rows, 3), |(i, j)| (3 * i + j) as f64);
        let shared = SharedArray::from(base.clone());
        let sums =
            pool.with(&shared).map(add, [shared.clone(), SharedArray::from(&base * 2.0)]).unwrap();
        assert_eq!(
            (&*sums[0], &*sums[1]),
            (&*(&base * 2.0), &*(&base * 3.0)),
            "{name}, {rows} rows"
        );
        // Each sum continues from the state of its worker.
        let one = pool.with_init(&shared, copy_of).map(add_to, [shared.clone()]).unwrap();
        assert_eq!(*one[0], &base * 2.0, "{name}, {rows} rows");
        let chunk = rows.div_ceil(4);
        let blocks = pool
            .job()
            .map_axis_chunks(&shared, Axis(0), chunk, |block: SharedArray<f64, Ix2>| block)
            .unwrap();
        let mut at = 0;
        for block in blocks {
            assert_eq!(
                *block,
                base.slice(ndferry::ndarray::s![at..at + block.nrows(), ..]),
                "{name}"
            );
            at += block.nrows();
        }
        assert_eq!(at, rows, "{name}");
        let scaled = |factor: &f64, column: SharedArray<f64, Ix2>| -> Result<f64, Unlucky> {
            Ok(factor * column.sum())
        };
        let scaled =
            pool.with(&2.0).keep_going().try_map_axis_chunks(&shared, Axis(1), 1, scaled).unwrap();
        for (column, sum) in scaled.into_iter().enumerate() {
            assert_eq!(sum.unwrap(), 2.0 * base.column(column).sum(), "{name}, {rows} rows");
        }
        drop((sums, one, shared));
        assert!(pool.store().files().unwrap().is_empty(), "{name}, {rows} rows");
    }
}

// E1
pub fn errors_report_all_that_is_known(name: &str, pool: &Pool, can: Capabilities) {
    for label in [None, Some("the plates")] {
        let call = pool.job().retries(1).keep_going();
        let call = if let Some(label) = label { call.label(label) } else { call };
        let (outcomes, line) = (call.try_map(try_thrice, [1, UNLUCKY, 2]).unwrap(), line!());
        let error = outcomes.into_iter().nth(1).unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.index(), error.attempt()),
            (TaskErrorKind::Error, 1, 2),
            "{name}"
        );
        assert_eq!(error.message(), "13 brings no luck", "{name}");
        assert!(error.type_name().unwrap().ends_with("conformance::Unlucky"), "{name}");
        match label {
            Some(label) => assert_eq!(error.task(), label, "{name}"),
            None => assert!(
                error.task().ends_with("conformance::try_thrice"),
                "{name}: {}",
                error.task()
            ),
        }
        assert!(
            error.call_site().contains(&format!("conformance.rs:{line}:")),
            "{name}: {}",
            error.call_site()
        );
        assert_eq!(error.worker() == std::process::id(), can.runs_in_process, "{name}");
        assert_eq!(
            (error.signal(), error.exit_code(), error.location(), error.backtrace()),
            (None, None, None, None)
        );
        let first = error.to_string();
        assert!(
            first.contains(error.task()) && first.contains("item 1") && first.contains("no luck"),
            "{first}"
        );
        assert!(first.ends_with("(after 2 attempts)") && !first.contains('\n'), "{first}");
    }
    let error = pool.map(panic_slowly, [0]).unwrap_err().into_task_error().unwrap();
    assert!(error.elapsed() >= Duration::from_millis(30), "{name}: {:?}", error.elapsed());
    assert_eq!((error.kind(), error.message()), (TaskErrorKind::Panic, "too late"), "{name}");
    assert!(error.location().unwrap().contains("conformance.rs:"), "{name}");
    assert!(error.backtrace().unwrap().contains("conformance"), "{name}");
}

// Inlined code has no name in a backtrace without debug information.
#[inline(never)]
fn panic_slowly(_: u8) -> u8 {
    std::thread::sleep(Duration::from_millis(30));
    panic!("too late")
}

/// Fails until it has been tried `succeeds_at` times.
fn stubborn((ledger, index, succeeds_at): (PathBuf, u32, usize)) -> Result<u32, Unlucky> {
    note(&ledger, index);
    let text = std::fs::read_to_string(&ledger).unwrap();
    let tried = text.lines().filter(|line| *line == index.to_string()).count();
    match tried {
        _ if tried >= succeeds_at => Ok(index),
        _ if index % 2 == 0 => panic!("not yet"),
        _ => Err(Unlucky(index)),
    }
}

// P2
pub fn retries_run_only_failed_tasks_again(name: &str, pool: &Pool, _: Capabilities) {
    for batch in [1, 4] {
        let ledger = Ledger::new();
        let items = (0..12u32).map(|index| (ledger.path(), index, 1 + index as usize % 4));
        let outcomes =
            pool.job().retries(2).batch_size(batch).keep_going().try_map(stubborn, items).unwrap();
        for (index, outcome) in (0..12u32).zip(outcomes) {
            let needed = 1 + index as usize % 4;
            assert_eq!(ledger.count(index), needed.min(3), "{name}, task {index}");
            match outcome {
                Ok(result) => assert_eq!((result, needed < 4), (index, true), "{name}"),
                Err(error) => assert_eq!((error.attempt(), needed), (3, 4), "{name}"),
            }
        }
    }
    assert!(pool.metrics().tasks_retried > 0, "{name}");
}

pub fn token_cancels_from_another_thread(name: &str, pool: &Pool, _: Capabilities) {
    let (ledger, token) = (Ledger::new(), CancelToken::new());
    let brief = |ledger: &PathBuf, index: u32| {
        std::thread::sleep(Duration::from_millis(1));
        note(ledger, index);
        index
    };
    let cancel = |ledger: &Ledger| {
        while ledger.lines().len() <= 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        token.cancel();
    };
    let path = ledger.path();
    // The items never end, so only the token ends the job.
    let error = std::thread::scope(|scope| {
        scope.spawn(|| cancel(&ledger));
        pool.with(&path).cancel_token(&token).map(brief, 0..).unwrap_err()
    });
    let error = error.into_task_error().unwrap();
    assert_eq!(
        (error.kind(), error.message()),
        (TaskErrorKind::Cancelled, "the job was cancelled"),
        "{name}"
    );
    // A cancelled token stays cancelled, so no task starts.
    let before = ledger.lines().len();
    let outcomes = pool.with(&path).cancel_token(&token).keep_going().map(brief, 0..5).unwrap();
    assert_eq!(outcomes.len(), 5, "{name}");
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.index(), error.kind()),
            (index as u64, TaskErrorKind::Cancelled),
            "{name}"
        );
    }
    let folded = pool.with(&path).cancel_token(&token).keep_going().fold(
        brief,
        0..5,
        0,
        |count, outcome| {
            assert_eq!(outcome.unwrap_err().kind(), TaskErrorKind::Cancelled);
            count + 1
        },
    );
    assert_eq!(folded.unwrap(), 5, "{name}: each item is told of");
    assert_eq!(ledger.lines().len(), before, "{name}");
    assert_eq!(pool.map(thrice, [1, 2]).unwrap(), [3, 6], "{name}: the pool goes on");
    assert!(pool.store().files().unwrap().is_empty(), "{name}");
}

pub fn deadline_ends_a_job_and_keeps_results(name: &str, pool: &Pool, _: Capabilities) {
    let brief = |x: u32| {
        std::thread::sleep(Duration::from_millis(2));
        x
    };
    let limit = Duration::from_millis(200);
    let error = pool.job().deadline(limit).map(brief, 0..).unwrap_err().into_task_error().unwrap();
    assert_eq!(error.kind(), TaskErrorKind::Cancelled, "{name}");
    assert!(error.message().contains("200ms"), "{name}: {}", error.message());
    let count = 2_000;
    let outcomes = pool.job().deadline(limit).keep_going().map(brief, 0..count).unwrap();
    assert_eq!(outcomes.len(), count as usize, "{name}");
    let mut failed = 0;
    for (index, outcome) in (0..count).zip(outcomes) {
        match outcome {
            Ok(result) => assert_eq!(result, index, "{name}"),
            Err(error) => {
                assert_eq!(
                    (error.index(), error.kind()),
                    (u64::from(index), TaskErrorKind::Cancelled),
                    "{name}"
                );
                failed += 1;
            }
        }
    }
    assert!(failed > 0, "{name}: {count} tasks of 2 ms take longer");
    let generous = pool.job().deadline(Duration::from_secs(3600)).map(thrice, [1, 2]);
    assert_eq!(generous.unwrap(), [3, 6], "{name}");
}

pub fn threads_get_their_own_results(name: &str, pool: &Pool, _: Capabilities) {
    std::thread::scope(|scope| {
        for thread in 0..5u32 {
            let (pool, name) = (pool.clone(), &name);
            scope.spawn(move || {
                for round in 0..4 {
                    let base = 1000 * thread + round;
                    let expected: Vec<_> = (0..20).map(|x| base * x).collect();
                    assert_eq!(
                        pool.with(&base).map(times, (0..20).filter(|x| *x != UNLUCKY)).unwrap(),
                        {
                            let mut expected = expected.clone();
                            expected.remove(UNLUCKY as usize);
                            expected
                        }
                    );
                    assert!(pool.with(&base).map(times, 0..20).is_err(), "{name}");
                    let stream =
                        pool.with_init(&base, cell).keep_going().imap(state_times, 0..20).unwrap();
                    for (x, outcome) in stream.enumerate() {
                        assert_eq!(
                            outcome.ok(),
                            (x as u32 != UNLUCKY).then_some(expected[x]),
                            "{name}"
                        );
                    }
                }
            });
        }
    });
    assert!(pool.store().files().unwrap().is_empty(), "{name}");
}

/// A long job that uses the whole pool does not make another job wait for its end.
pub fn busy_pool_gives_another_job_a_worker(name: &str, pool: &Pool, _: Capabilities) {
    if pool.workers() > 1 {
        for prefetch in [1, 10] {
            let token = CancelToken::new();
            let (tell, told) = mpsc::channel();
            std::thread::scope(|scope| {
                let (long, cancel) = (pool.clone(), token.clone());
                scope.spawn(move || {
                    let brief = |x: u64| {
                        std::thread::sleep(Duration::from_millis(20));
                        x
                    };
                    let call = long.job().cancel_token(&cancel).prefetch_batches(prefetch);
                    let watched =
                        call.progress(|progress| tell.send(progress.done).unwrap_or_default());
                    assert!(watched.map(brief, 0..).is_err());
                });
                told.iter().find(|done| *done > 0).unwrap();
                assert_eq!(pool.map(thrice, [1, 2]).unwrap(), [3, 6], "{name}");
                token.cancel();
            });
        }
    }
}

/// The number of events of each kind.
fn events(seen: &[JobProgress]) -> [usize; 6] {
    let count =
        |kind: fn(&TaskEvent) -> bool| seen.iter().filter(|progress| kind(&progress.event)).count();
    [
        count(|event| matches!(event, TaskEvent::JobStarted)),
        count(|event| matches!(event, TaskEvent::Queued(_))),
        count(|event| matches!(event, TaskEvent::Started(_))),
        count(|event| matches!(event, TaskEvent::Done(_))),
        count(|event| matches!(event, TaskEvent::Retried(_))),
        count(|event| matches!(event, TaskEvent::Failed(_))),
    ]
}

/// Checks that every progress report of a job is consistent.
pub fn check_progress(seen: &[JobProgress], what: &str) {
    for progress in seen {
        let JobProgress { queued, started, done, failed, total, .. } = *progress;
        assert!(done + failed <= started && started <= queued, "{what}: {progress:?}");
        assert!(total.is_none_or(|total| queued <= total), "{what}: {progress:?}");
    }
    for pair in seen.windows(2) {
        let counts = |progress: &JobProgress| {
            [progress.queued, progress.started, progress.done, progress.failed]
        };
        assert!(
            counts(&pair[0]).iter().zip(counts(&pair[1])).all(|(before, after)| *before <= after),
            "{what}"
        );
    }
}

// P13
pub fn progress_counts_every_event(name: &str, pool: &Pool, _: Capabilities) {
    for (batch, prefetch) in [(1, 1), (5, 0), (5, 3)] {
        let what = format!("{name}, batch {batch}, prefetch {prefetch}");
        let mut seen = Vec::new();
        let call = pool.job().retries(1).batch_size(batch).prefetch_batches(prefetch).keep_going();
        let outcomes = call.progress(|progress| seen.push(*progress)).map(thrice, 0..20).unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 19, "{what}");
        check_progress(&seen, &what);
        assert_eq!(events(&seen), [1, 20, 20, 19, 1, 1], "{what}");
        assert!(seen.iter().all(|progress| progress.total == Some(20)), "{what}");
        let last = seen.last().unwrap();
        assert_eq!((last.queued, last.started, last.done, last.failed), (20, 20, 19, 1), "{what}");
        // An iterator of unknown length has no total.
        let mut seen = Vec::new();
        let stream = pool.job().progress(|progress| seen.push(*progress));
        let endless = stream.imap(|x: u32| x, (0..).filter(|x| x % 2 == 0)).unwrap();
        assert_eq!(endless.take(3).collect::<Result<Vec<_>, _>>().unwrap(), [0, 2, 4], "{what}");
        check_progress(&seen, &what);
        assert!(seen.iter().all(|progress| progress.total.is_none()), "{what}");
    }
}

// E3
pub fn callers_panic_leaves_the_pool_usable(name: &str, pool: &Pool, _: Capabilities) {
    let panics = |code: &dyn Fn()| catch_unwind(AssertUnwindSafe(code)).is_err();
    let items = || (0..10).inspect(|x| assert_ne!(*x, 6, "an item that panics"));
    assert!(panics(&|| drop(pool.map(thrice, items()))), "{name}: items");
    assert!(
        panics(&|| drop(pool.job().progress(|_| panic!("progress")).map(thrice, [1]))),
        "{name}: progress"
    );
    let combine = |_: u32, _: u32| panic!("combining");
    assert!(panics(&|| drop(pool.job().fold(thrice, [1], 0, combine))), "{name}: fold");
    assert_eq!(pool.map(thrice, 0..10).unwrap().len(), 10, "{name}");
    assert!(pool.store().files().unwrap().is_empty(), "{name}");
}

/// Panics when it is dropped, with a payload that also panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Bomb);
        }
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::panic_any(Bomb)
    }
}

impl std::error::Error for Bomb {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::panic::panic_any(Bomb)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Armed(u32);

impl Drop for Armed {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

fn armed(_: &u32) -> Armed {
    Armed(0)
}

// E3
pub fn panics_report_the_first_failure(name: &str, pool: &Pool, _: Capabilities) {
    for round in 0..3 {
        let what = format!("{name}, round {round}");
        let fails = |outcome: ndferry::Result<()>| outcome.unwrap_err().into_task_error().unwrap();
        let error = fails(pool.try_map(|_: u32| Err::<(), _>(Bomb), [1]).map(drop));
        assert_eq!(error.kind(), TaskErrorKind::Error, "{what}");
        assert!(error.type_name().unwrap().ends_with("Bomb"), "{what}");
        let error = fails(pool.map(|_: u32| -> u32 { std::panic::panic_any(Bomb) }, [1]).map(drop));
        assert_eq!(error.kind(), TaskErrorKind::Panic, "{what}");
        assert!(error.location().unwrap().contains("conformance.rs"), "{what}");
        // State that panics when it is dropped: after the job, and after a task's panic.
        let used = pool.with_init(&0, armed).map(|state, x: u32| state.0 + x, [1, 2]);
        assert_eq!(used.unwrap(), [1, 2], "{what}");
        let broken = |_: &mut Armed, x: u32| -> u32 { panic!("task {x}") };
        let error = fails(pool.with_init(&0, armed).map(broken, [7]).map(drop));
        assert_eq!((error.kind(), error.message()), (TaskErrorKind::Panic, "task 7"), "{what}");
        // If dropping an item panics, its task fails with this panic.
        let error = fails(pool.map(|text: (u32, Bombed)| text.0, [(1, Bombed(true))]).map(drop));
        assert_eq!((error.kind(), error.message()), (TaskErrorKind::Panic, "an item"), "{what}");
        assert_eq!(pool.map(thrice, [1, 2]).unwrap(), [3, 6], "{what}: the pool goes on");
    }
    assert!(pool.store().files().unwrap().is_empty(), "{name}");
}

/// Panics when it is dropped by its receiver.
#[derive(serde::Serialize)]
struct Bombed(bool);

impl<'de> serde::Deserialize<'de> for Bombed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Self(false))
    }
}

impl Drop for Bombed {
    fn drop(&mut self) {
        assert!(self.0 || std::thread::panicking(), "an item");
    }
}

// E2
pub fn serializable_error_comes_back_as_itself(name: &str, pool: &Pool, _: Capabilities) {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Why {
        Small { by: u32 },
        Empty,
    }
    let check = |x: u32| match x {
        0 => Err(Why::Empty),
        1..10 => Err(Why::Small { by: 10 - x }),
        _ => Ok(x),
    };
    {
        let outcomes = pool.map(check, [12, 0, 7]).unwrap();
        assert_eq!(outcomes, [Ok(12), Err(Why::Empty), Err(Why::Small { by: 3 })], "{name}");
    }
}

pub fn result_arrives_before_the_next_task_ends(name: &str, pool: &Pool, _: Capabilities) {
    for batch in [1, 3] {
        let ledger = Ledger::new();
        let flags = [None, Some(ledger.flag("go on")), None];
        let items = flags.clone().into_iter().zip(0u32..);
        let wait = |(flag, index): (Option<PathBuf>, u32)| {
            flag.iter().for_each(|flag| wait_for(flag));
            index
        };
        let what = format!("{name}, batch {batch}");
        let mut stream =
            pool.job().batch_size(batch).prefetch_batches(5).imap(wait, items).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0, "{what}");
        raise(flags[1].as_ref().unwrap());
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), [1, 2], "{what}");
    }
}

pub fn invalid_requests_are_refused(name: &str, pool: &Pool, _: Capabilities) {
    assert!(pool.job().batch_size(0).map(thrice, [1]).unwrap_err().is_invalid_input(), "{name}");
    let array = SharedArray::from(vec![1.0, 2.0]);
    let sum = |block: SharedArray<f64, Ix1>| block.sum();
    assert!(
        pool.job().map_axis_chunks(&array, Axis(1), 1, sum).unwrap_err().is_invalid_input(),
        "{name}: no such axis"
    );
    assert!(
        pool.job().map_axis_chunks(&array, Axis(0), 0, sum).unwrap_err().is_invalid_input(),
        "{name}: empty blocks"
    );
    let wrong = |block: SharedArray<f32, Ix1>| block.sum();
    assert!(
        pool.job().map_axis_chunks(&array, Axis(0), 1, wrong).is_err(),
        "{name}: other elements"
    );
}

/// Does nothing but fill a block.
fn fill(rows: &mut ArrayRef<f64, Ix1>, first: usize) {
    rows.fill(first as f64);
}

/// Counts one task.
fn count(counts: &SharedAtomics, _: u8) {
    counts[0].fetch_add(1, Ordering::Relaxed);
}

// B5
pub fn sharing_needs_shared_memory(name: &str, pool: &Pool, can: Capabilities) {
    let mut array = pool.store().zeros::<f64, _>(10).unwrap();
    let filled = pool.job().fill_axis_chunks(&mut array, Axis(0), 4, fill);
    let counts = pool.store().atomics(1).unwrap();
    let counted = pool.with(&counts).map(count, [1, 2, 3]);
    if can.shares_memory {
        filled.unwrap();
        assert_eq!((array[3], array[9]), (0.0, 8.0), "{name}");
        counted.unwrap();
        assert_eq!(counts[0].load(Ordering::Relaxed), 3, "{name}");
    } else {
        for error in [filled.map(drop).unwrap_err(), counted.map(drop).unwrap_err()] {
            assert!(error.is_invalid_input(), "{name}: {error}");
            assert!(error.to_string().contains("share"), "{name}: {error}");
        }
    }
    assert_eq!(pool.map(thrice, [1, 2]).unwrap(), [3, 6], "{name}: the pool goes on");
}

// P3
pub fn timeouts_need_tasks_that_can_be_killed(name: &str, pool: &Pool, can: Capabilities) {
    let sleepy = |x: u32| {
        if x == 1 {
            std::thread::sleep(Duration::from_secs(600));
        }
        x
    };
    let job = || pool.job().timeout(Duration::from_millis(300)).keep_going();
    let outcomes = job().map(sleepy, 0..3);
    if can.kills_single_tasks {
        let outcomes = outcomes.unwrap().into_iter().map(plain).collect::<Vec<_>>();
        assert_eq!(outcomes, [Ok(0), Err((1, TaskErrorKind::Timeout)), Ok(2)], "{name}");
    } else {
        for error in
            [outcomes.map(drop).unwrap_err(), job().submit(sleepy, 0).map(drop).unwrap_err()]
        {
            assert!(error.is_invalid_input(), "{name}: {error}");
            assert!(error.to_string().contains("cannot be killed"), "{name}: {error}");
        }
    }
}

// E5
pub fn lost_worker_costs_the_tasks_it_ran(name: &str, pool: &Pool, can: Capabilities) {
    if can.runs_in_process {
        return;
    }
    let fate = |x: u32| {
        if x == UNLUCKY {
            std::process::abort();
        }
        x
    };
    for batch in [1, 5] {
        let job = pool.job().batch_size(batch).keep_going();
        let mut lost = Vec::new();
        for (x, outcome) in (0..40).zip(job.map(fate, 0..40).unwrap()) {
            match plain(outcome) {
                Ok(result) => assert_eq!(result, x, "{name}"),
                Err((index, kind)) => {
                    assert_eq!((index, kind), (u64::from(x), TaskErrorKind::WorkerDied), "{name}");
                    lost.push(x);
                }
            }
        }
        assert!(lost.contains(&UNLUCKY), "{name}: {lost:?}");
        assert!(!can.loses_single_tasks || lost == [UNLUCKY], "{name}: {lost:?}");
    }
    assert_eq!(pool.map(thrice, [1, 2]).unwrap(), [3, 6], "{name}: the pool goes on");
}
