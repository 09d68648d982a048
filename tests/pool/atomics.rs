//! Shared counters and flags between a program and its workers.

use std::sync::atomic::Ordering::Relaxed;

use ndferry::{pool::Backend, store::SharedAtomics};

use crate::{
    Watchdog, pool, pools,
    sealed::{name, open_files},
};

/// A task that says whether it is still to go on, and leaves a trace of each step.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Job {
    #[serde(flatten)]
    shared: Shared,
    step: i64,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Shared {
    count: SharedAtomics,
    twice: Choice,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Choice {
    Atomics(SharedAtomics),
    Nothing(String),
}

#[test]
fn what_tasks_count_all_processes_see_wherever_the_counter_travels() {
    let _dog = Watchdog::new("counters");
    for (_, pool) in pools() {
        let shared = pool.store().atomics(3).unwrap();
        assert_eq!(shared.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>(), [0; 3]);
        // As context.
        let add = |shared: &SharedAtomics, x: i64| _ = shared[0].fetch_add(x, Relaxed);
        pool.with(&shared).map(add, 0..100).unwrap();
        assert_eq!(shared[0].load(Relaxed), (0..100).sum::<i64>());
        // As item, twice in one value, under attributes that make serde buffer it.
        let twice = Choice::Atomics(shared.clone());
        let job =
            |step| Job { shared: Shared { count: shared.clone(), twice: twice.clone() }, step };
        let run = |job: Job| {
            let Choice::Atomics(twice) = &job.shared.twice else { panic!("it is lost") };
            job.shared.count[1].fetch_add(job.step, Relaxed);
            twice[1].fetch_add(job.step, Relaxed);
        };
        pool.map(run, (0..100).map(job)).unwrap();
        assert_eq!(shared[1].load(Relaxed), 2 * (0..100).sum::<i64>());
        // As result, as given and as one of several.
        let back =
            pool.map(|shared: SharedAtomics| (shared.clone(), shared), [shared.clone()]).unwrap();
        back[0].1[2].store(7, Relaxed);
        assert_eq!((back[0].0[2].load(Relaxed), shared[2].load(Relaxed)), (7, 7));
        assert!(pool.store().files().unwrap().is_empty());
    }
}

#[test]
fn tasks_in_threads_or_in_turn_count_with_the_same_counters() {
    let _dog = Watchdog::new("counters in threads");
    for backend in [Backend::Threads, Backend::Serial] {
        let pool = ndferry::Pool::builder().backend(backend).build().unwrap();
        let count = pool.store().atomics(1).unwrap();
        pool.with(&count)
            .map(|count: &SharedAtomics, x: i64| _ = count[0].fetch_add(x, Relaxed), 0..100)
            .unwrap();
        let items = (0..100).map(|x| (count.clone(), x));
        pool.map(|(count, x): (SharedAtomics, i64)| _ = count[0].fetch_add(x, Relaxed), items)
            .unwrap();
        assert_eq!(count[0].load(Relaxed), 2 * (0..100).sum::<i64>(), "{backend:?}");
    }
}

#[test]
fn a_flag_stops_tasks_that_are_running() {
    let _dog = Watchdog::new("flag");
    let pool = pool();
    let flags = pool.store().atomics(2).unwrap();
    std::thread::scope(|scope| {
        let stop = flags.clone();
        scope.spawn(move || {
            while stop[0].load(Relaxed) < 2 {
                std::thread::yield_now();
            }
            stop[1].store(1, Relaxed);
        });
        let wait = |flags: &SharedAtomics, _: u8| {
            flags[0].fetch_add(1, Relaxed);
            while flags[1].load(Relaxed) == 0 {
                std::thread::yield_now();
            }
        };
        pool.with(&flags).map(wait, [0, 1]).unwrap();
    });
    assert_eq!(flags[0].load(Relaxed), 2);
}

#[test]
fn what_a_worker_counted_before_it_died_is_counted() {
    let _dog = Watchdog::new("dead counter");
    let pool = pool();
    let count = pool.store().atomics(1).unwrap();
    let count_and_die = |count: &SharedAtomics, _: u8| -> () {
        count[0].fetch_add(1, Relaxed);
        std::process::abort()
    };
    assert!(pool.with(&count).map(count_and_die, [0]).is_err());
    pool.with(&count)
        .map(|count: &SharedAtomics, _: u8| _ = count[0].fetch_add(1, Relaxed), [0])
        .unwrap();
    assert_eq!(count[0].load(Relaxed), 2);
}

#[test]
fn a_pool_within_a_task_passes_them_on() {
    let _dog = Watchdog::new("nested counters");
    let pool = pool();
    let count = pool.store().atomics(1).unwrap();
    let nested = |count: &SharedAtomics, x: i64| -> ndferry::Result<()> {
        let inner = ndferry::Pool::builder().workers(1).test_entry("worker").build()?;
        inner
            .with(count)
            .map(|count: &SharedAtomics, x: i64| _ = count[0].fetch_add(x, Relaxed), [x, 10 * x])
            .map(drop)
    };
    pool.with(&count).try_map(nested, [1, 2]).unwrap();
    assert_eq!(count[0].load(Relaxed), 33);
}

#[test]
fn atomics_go_with_the_last_handle_in_every_process() {
    let _dog = Watchdog::new("last handle");
    let pool = pool();
    let name = name(&pool);
    let seen = |shared: &(SharedAtomics, String), _: u8| open_files(&shared.1).len();
    let shared = (pool.store().atomics(1).unwrap(), name.clone());
    assert!(pool.with(&shared).map(seen, 0..4).unwrap().iter().all(|&files| files > 0));
    let again = shared.0.clone();
    drop(shared);
    assert_eq!((again.len(), open_files(&name).len()), (1, 1));
    drop(again);
    assert!(open_files(&name).is_empty());
    let left = pool.map(|name: String| open_files(&name).len(), vec![name; 4]).unwrap();
    assert_eq!(left, [0; 4]);
}
