//! Thousands of tasks of random size, duration and outcome, with random options. Each is
//! accounted for once, and nothing is left.
//!
//! `NDFERRY_TEST_SECONDS` sets the duration (10 by default), and `NDFERRY_TEST_SEED` repeats
//! the round with that seed.
//! `scripts/soak` runs this test for hours.

mod chore;
mod dice;

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use chore::{Chore, Expected, Fate, Yield};
use dice::Dice;
use ndferry::{
    Error, Pool,
    dtype::ByteOrder,
    pool::{CancelToken, TaskError, TaskErrorKind},
    store::Store,
};
use rustix::process::{Pid, test_kill_process_group};

use crate::{Watchdog, builder, conformance::check_progress, ledger::Ledger};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

// E5 P1 P2 P3
#[test]
fn chaos_accounts_for_every_task() {
    if let Some(seed) = number("NDFERRY_TEST_SEED") {
        println!("{}", round(seed));
        return;
    }
    let until = Instant::now() + Duration::from_secs(number("NDFERRY_TEST_SECONDS").unwrap_or(10));
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let mut seeds = Dice::new(now.as_nanos() as u64);
    let (mut rounds, mut told) = (0, Told::default());
    while Instant::now() < until {
        let seed = seeds.below(1 << 32);
        println!("NDFERRY_TEST_SEED={seed}");
        told += round(seed);
        rounds += 1;
    }
    println!("{rounds} rounds, {told}");
    assert!(rounds > 0);
}

/// The settings of a run.
#[derive(Default)]
struct Told {
    calls: u64,
    tasks: u64,
    failures: u64,
    workers: u64,
}

impl std::ops::AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.tasks += other.tasks;
        self.failures += other.failures;
        self.workers += other.workers;
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { calls, tasks, failures, workers } = self;
        write!(f, "{calls} calls, {tasks} tasks begun, {failures} failures, {workers} workers")
    }
}

/// Runs some jobs on a pool, one after another or at once, and checks that nothing is left.
fn round(seed: u64) -> Told {
    let _dog = Watchdog::new(format!("chaos with NDFERRY_TEST_SEED={seed}"));
    let dice = &mut Dice::new(seed);
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::builder().byte_order(*dice.choose(&[ByteOrder::Little, ByteOrder::Big]));
    store = if dice.one_in(5) { store.memfd() } else { store.roots([root.path()]) };
    let store = store.build().unwrap();
    let mut builder = builder().workers(1 + dice.below(4) as usize).store(&store);
    builder = builder.mmap_threshold(*dice.choose(&[None, Some(0), Some(4096), Some(1 << 20)]));
    if dice.one_in(5) {
        builder = builder.max_tasks_per_worker(1 + dice.below(6));
    }
    let pool = builder.build().unwrap();
    // A random kill may hit any task, so only this many deaths are required.
    let dooms = dice.one_in(3);
    let callers = if dice.one_in(3) { 1 + dice.below(3) } else { 1 };
    let seeds: Vec<_> = (0..callers).map(|_| dice.next()).collect();
    let ledgers: Vec<_> = std::thread::scope(|scope| {
        let calls = seeds.into_iter().map(|seed| {
            let pool = &pool;
            scope.spawn(move || {
                let dice = &mut Dice::new(seed);
                (0..1 + dice.below(4)).map(|_| call(pool, dice, dooms)).collect::<Vec<_>>()
            })
        });
        let callers: Vec<_> = calls.collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("the oracle agrees")).collect()
    });
    // A worker marked for death may be killed a little later, when it is idle.
    let well = pool.job().retries(20).map(|x: u32| x + 1, 0..20).unwrap();
    assert_eq!(well, (1..21).collect::<Vec<_>>(), "the pool is as good as new");
    assert!(store.files().unwrap().is_empty(), "{:?}", store.files());
    let report = pool.metrics();
    let home = store.session_dir().to_path_buf();
    drop((pool, store));
    let tasks: Vec<_> = ledgers.iter().flat_map(Ledger::lines).collect();
    for line in tasks.iter().filter(|line| *line != "doom") {
        let process: i32 = line.split_once(' ').unwrap().1.parse().unwrap();
        assert!(
            test_kill_process_group(Pid::from_raw(process).unwrap()).is_err(),
            "worker {process} is left"
        );
    }
    crate::eventually("the session has ended", || !home.exists());
    assert_eq!(files(root.path()), 0);
    Told {
        calls: report.jobs,
        tasks: tasks.iter().filter(|line| *line != "doom").count() as u64,
        failures: report.tasks_failed,
        workers: report.workers_started,
    }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// The outcomes of a job by index, and the error that ended it, if any.
type Given = (Vec<(u64, Result<Yield, TaskError>)>, Option<Error>);

/// Runs a job with options and a verb, and collects its outcomes. `$outcome` turns one result
/// into an outcome.
macro_rules! run {
    ($call:expr, $task:expr, $chores:expr, $plan:expr, $outcome:expr) => {{
        let call = $plan.options($call);
        let mut given: Vec<(u64, Result<Yield, TaskError>)> = Vec::new();
        let mut ended = None;
        let all = |results: ndferry::Result<Vec<_>>, ended: &mut Option<Error>| match results {
            Ok(results) => (0u64..).zip(results.into_iter().map($outcome)).collect(),
            Err(error) => {
                *ended = Some(error);
                Vec::new()
            }
        };
        let told = |error: Error, ended: &mut Option<Error>| match (
            error.task_error(),
            $plan.keep_going,
        ) {
            (Some(task), true) if task.kind() != TaskErrorKind::Build => {
                let task = error.into_task_error().unwrap();
                Some((task.index(), Err(task)))
            }
            _ => {
                *ended = Some(error);
                None
            }
        };
        match $plan.verb {
            0 | 1 => given = all(call.try_map($task, $chores), &mut ended),
            2 => {
                let push = |mut list: Vec<_>, outcome| {
                    list.push(outcome);
                    list
                };
                given = all(call.try_fold($task, $chores, Vec::new(), push), &mut ended);
            }
            3 => {
                for outcome in call.try_imap($task, $chores).unwrap().take($plan.take) {
                    let next = given.len() as u64;
                    given.extend(match outcome {
                        Ok(result) => Some((next, Ok(result))),
                        Err(error) => told(error, &mut ended),
                    });
                }
            }
            _ => {
                for outcome in call.try_imap_unordered($task, $chores).unwrap().take($plan.take) {
                    given.extend(match outcome {
                        Ok((index, result)) => Some((index, Ok(result))),
                        Err(error) => told(error, &mut ended),
                    });
                }
            }
        }
        (given, ended)
    }};
}

/// The options of a job.
#[derive(Debug)]
struct Plan {
    kind: u64,
    verb: u64,
    keep_going: bool,
    retries: u32,
    batch: Option<usize>,
    prefetch: usize,
    threshold: Option<Option<usize>>,
    timeout: Option<Duration>,
    cancel_after: Option<Duration>,
    /// The number of results taken before the iterator is dropped.
    take: usize,
    token: CancelToken,
}

impl Plan {
    fn new(dice: &mut Dice) -> Self {
        Self {
            kind: dice.below(3),
            verb: dice.below(5),
            keep_going: !dice.one_in(3),
            retries: *dice.choose(&[0, 0, 1, 2]),
            batch: *dice.choose(&[None, None, Some(1), Some(2), Some(7), Some(50)]),
            prefetch: *dice.choose(&[0, 1, 1, 2, 5]),
            threshold: *dice.choose(&[None, None, Some(None), Some(Some(0)), Some(Some(1000))]),
            timeout: dice.one_in(2).then_some(Duration::from_secs(600)),
            cancel_after: dice.one_in(8).then(|| Duration::from_micros(dice.below(30_000))),
            take: if dice.one_in(6) { dice.below(20) as usize } else { usize::MAX },
            token: CancelToken::new(),
        }
    }

    fn options<'p, K: ndferry::pool::marker::TaskContext, M: ndferry::pool::marker::OnError>(
        &self,
        call: ndferry::pool::Job<'p, K, M>,
    ) -> ndferry::pool::Job<'p, K, M> {
        let mut call =
            call.retries(self.retries).prefetch_batches(self.prefetch).cancel_token(&self.token);
        if let Some(batch) = self.batch {
            call = call.batch_size(batch);
        }
        if let Some(threshold) = self.threshold {
            call = call.mmap_threshold(threshold);
        }
        if let Some(limit) = self.timeout {
            call = call.timeout(limit);
        }
        call
    }

    fn run(&self, pool: &Pool, dice: &mut Dice, chores: Vec<Chore>) -> Given {
        let context = chore::context(dice);
        let mut seen = Vec::new();
        let given = match (self.kind, self.keep_going) {
            (0, true) => {
                let call = pool.job().keep_going().progress(|progress| seen.push(*progress));
                run!(call, chore::run, chores, self, |outcome| outcome)
            }
            (0, false) => {
                let call = pool.job().progress(|progress| seen.push(*progress));
                run!(call, chore::run, chores, self, Ok)
            }
            (1, true) => {
                run!(pool.with(&context).keep_going(), chore::run_with, chores, self, |outcome| {
                    outcome
                })
            }
            (1, false) => run!(pool.with(&context), chore::run_with, chores, self, Ok),
            (_, true) => {
                let call = pool.with_init(&context, chore::build).keep_going();
                run!(
                    call.progress(|progress| seen.push(*progress)),
                    chore::run_on,
                    chores,
                    self,
                    |outcome| outcome
                )
            }
            (_, false) => {
                run!(pool.with_init(&context, chore::build), chore::run_on, chores, self, Ok)
            }
        };
        check_progress(&seen, "chaos");
        given
    }
}

/// Runs a random job on `pool` and checks its outcomes. Returns the lines that its tasks
/// logged.
fn call(pool: &Pool, dice: &mut Dice, dooms: bool) -> Ledger {
    let (ledger, mut plan) = (Ledger::new(), Plan::new(dice));
    let bad = *dice.choose(&[0, 2, 10, 40]);
    let count = 1 + dice.below(100) as u32;
    let mut fates: Vec<_> = (0..count).map(|_| Fate::any(dice, bad, dooms)).collect();
    if dice.one_in(16) {
        plan.timeout = Some(chore::limit());
        fates.iter_mut().filter(|fate| !fate.is_brief()).for_each(|fate| *fate = Fate::Error);
        fates[dice.below(count.into()) as usize] = Fate::Hang;
    }
    let chores: Vec<_> = (0..)
        .zip(&fates)
        .map(|(index, fate)| Chore::new(index, *fate, &ledger.path(), dice))
        .collect();
    let expected: Vec<_> = chores.iter().map(Chore::expected).collect();
    let given = std::thread::scope(|scope| {
        if let Some(pause) = plan.cancel_after {
            let token = plan.token.clone();
            scope.spawn(move || {
                std::thread::sleep(pause);
                token.cancel();
            });
        }
        plan.run(pool, dice, chores)
    });
    Oracle { plan, fates, expected, dooms, runs: runs(&ledger) }.check(given);
    ledger
}

/// The number of times that each task started.
fn runs(ledger: &Ledger) -> HashMap<u64, usize> {
    let mut runs = HashMap::new();
    for line in ledger.lines().iter().filter_map(|line| line.split_once(' ')) {
        *runs.entry(line.0.parse().unwrap()).or_default() += 1;
    }
    runs
}

struct Oracle {
    plan: Plan,
    fates: Vec<Fate>,
    expected: Vec<Expected>,
    dooms: bool,
    runs: HashMap<u64, usize>,
}

impl Oracle {
    fn check(&self, (given, ended): Given) {
        let Self { plan, fates, .. } = self;
        let is_cancelled = plan.token.is_cancelled();
        if let Some(error) = &ended {
            let task = error
                .task_error()
                .unwrap_or_else(|| panic!("not a task's error: {error:?}\n{plan:?}"));
            match task.kind() {
                // A job with `keep_going` ends only if a worker marked for death could not
                // build its state.
                TaskErrorKind::Build => {
                    assert!(self.dooms && task.signal() == Some(9), "{task:?}\n{plan:?}")
                }
                _ => {
                    assert!(!plan.keep_going, "{task:?}\n{plan:?}");
                    self.check_error(task);
                }
            }
        }
        let mut seen = vec![false; fates.len()];
        for (place, (index, outcome)) in given.iter().enumerate() {
            let at = *index as usize;
            assert!(
                !std::mem::replace(&mut seen[at], true),
                "task {index} has two outcomes\n{plan:?}"
            );
            assert!(
                plan.verb == 4 || place == at,
                "task {index} comes as number {place}\n{plan:?}"
            );
            match outcome {
                Ok(result) => {
                    assert!(
                        result.is(*index, &self.expected[at]),
                        "task {index} gave {result:?}\n{plan:?}"
                    );
                    let (_, failure) = fates[at].outcome(plan.retries);
                    assert_eq!(
                        failure, None,
                        "task {index} was {:?} and succeeded\n{plan:?}",
                        fates[at]
                    );
                    assert!(self.runs.contains_key(index), "task {index} was not begun\n{plan:?}");
                }
                Err(error) => {
                    assert_eq!(error.index(), *index, "{error:?}\n{plan:?}");
                    self.check_error(error);
                }
            }
        }
        // A cancelled iterator reports every item that was taken, and the first of the others.
        let is_cut =
            ended.is_some() || (plan.verb > 2 && (is_cancelled || given.len() == plan.take));
        assert!(
            is_cut || seen.iter().all(|seen| *seen),
            "tasks without an outcome: {seen:?}\n{plan:?}"
        );
        for (index, fate) in (0..).zip(fates) {
            let runs = self.runs.get(&index).copied().unwrap_or(0);
            let (expected, _) = fate.outcome(plan.retries);
            // A task whose worker was killed for another reason was retried, up to the limit.
            let most = if self.dooms { expected.max(1) + plan.retries as usize } else { expected };
            assert!(
                runs <= most,
                "task {index}, {fate:?}, was begun {runs} times, {most} at most\n{plan:?}"
            );
            let least = if is_cut || is_cancelled || self.dooms { 0 } else { expected };
            assert!(
                runs >= least,
                "task {index}, {fate:?}, was begun {runs} times, {least} at least\n{plan:?}"
            );
        }
    }

    /// Whether an error matches the expected failure.
    fn check_error(&self, error: &TaskError) {
        let (plan, fate) = (&self.plan, self.fates[error.index() as usize]);
        let (runs, failure) = fate.outcome(plan.retries);
        let is_doomed =
            self.dooms && (error.kind(), error.signal()) == (TaskErrorKind::WorkerDied, Some(9));
        match error.kind() {
            TaskErrorKind::Cancelled => assert!(plan.token.is_cancelled(), "{error:?}\n{plan:?}"),
            _ if is_doomed => {}
            // Its other attempts ended with the death of another task, before it could log its
            // start.
            TaskErrorKind::Panic
                if self.dooms && fate == Fate::PanicOnce && fate.explains(error) => {}
            found => {
                let context = format!(
                    "doomed {}, begun {:?}\n{plan:?}",
                    self.dooms,
                    self.runs.get(&error.index())
                );
                assert_eq!(Some(found), failure, "{fate:?}: {error:?}\n{context}");
                assert!(fate.explains(error), "{fate:?}: {error:?}\n{plan:?}");
                assert!(
                    self.dooms || error.attempt() as usize == runs.max(1),
                    "{fate:?}: {error:?}\n{plan:?}"
                );
            }
        }
    }
}
