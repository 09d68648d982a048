//! Streams of results: how many items they take ahead, their order, and their end.

use std::{cell::Cell, path::PathBuf, time::Duration};

use ndferry::{
    Pool, SharedArray,
    ndarray::{Array2, Ix2},
    pool::{Backend, CancelToken, TaskErrorKind},
};
use rustix::process::{Pid, test_kill_process};

use crate::{
    Watchdog,
    backends::backends,
    builder,
    ledger::{Ledger, note, raise, wait_for},
};

fn same(x: u32) -> u32 {
    x
}

// P5
#[test]
fn imap_takes_no_more_items_than_fit() {
    let _dog = Watchdog::new("lazy");
    let more = [1, 3].map(|workers| {
        (format!("{workers} processes"), builder().workers(workers).build().unwrap())
    });
    for (name, pool) in backends().into_iter().chain(more) {
        for prefetch in [0, 1, 3] {
            for batch in [None, Some(1), Some(4)] {
                let call = || {
                    let call = pool.job().prefetch_batches(prefetch);
                    if let Some(batch) = batch { call.batch_size(batch) } else { call }
                };
                let most = pool.workers() * (prefetch + 1) * batch.unwrap_or(1);
                let what = format!("{name}, prefetch {prefetch}, batch {batch:?}: {most} at most");
                let pulled = Cell::new(0);
                let items = || (0..).inspect(|_| pulled.set(pulled.get() + 1));
                let mut stream = call().imap(same, items()).unwrap();
                assert_eq!(pulled.get(), 0, "{what}");
                assert_eq!(stream.next().unwrap().unwrap(), 0, "{what}");
                assert!((1..=most).contains(&pulled.get()), "{what}, {} were taken", pulled.get());
                for expected in 1..20 {
                    assert_eq!(stream.next().unwrap().unwrap(), expected, "{what}");
                    let given = expected as usize;
                    assert!(
                        pulled.get() <= most + given,
                        "{what}, {} were taken for {given}",
                        pulled.get()
                    );
                }
                drop(stream);
                pulled.set(0);
                let mut stream = call().imap_unordered(same, items()).unwrap();
                stream.next().unwrap().unwrap();
                assert!(
                    (1..=most).contains(&pulled.get()),
                    "{what}, unordered, {} were taken",
                    pulled.get()
                );
            }
        }
    }
}

// P5
#[test]
fn imap_unordered_returns_results_as_they_finish() {
    let _dog = Watchdog::new("unordered");
    let hold = |(flag, index): (PathBuf, u32)| {
        if index == 0 {
            wait_for(&flag);
        }
        index
    };
    for (name, pool) in backends().into_iter().filter(|(_, pool)| pool.workers() > 1) {
        let ledger = Ledger::new();
        let items = || (0..6).map(|index| (ledger.flag("go on"), index));
        let mut stream = pool.job().prefetch_batches(0).imap_unordered(hold, items()).unwrap();
        for expected in 1..6 {
            assert_eq!(stream.next().unwrap().unwrap(), (expected.into(), expected), "{name}");
        }
        raise(&ledger.flag("go on"));
        assert_eq!(stream.next().unwrap().unwrap(), (0, 0), "{name}");
        assert!(stream.next().is_none(), "{name}");
        let stream = pool.job().imap(hold, items()).unwrap();
        assert_eq!(
            stream.map(Result::unwrap).collect::<Vec<_>>(),
            (0..6).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

fn lives(process: u32) -> bool {
    test_kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap()).is_ok()
}

// P5
#[test]
fn imap_dropped_ends_only_its_own_tasks() {
    let _dog = Watchdog::new("dropped");
    let pool = builder().workers(3).build().unwrap();
    for batch in [1, 4] {
        let ledger = Ledger::new();
        let work = |(ledger, index): (PathBuf, u32)| {
            note(&ledger, format!("{index} {}", std::process::id()));
            if index > 0 {
                std::thread::sleep(Duration::from_secs(1000));
            }
            index
        };
        let items = (0..).map(|index| (ledger.path(), index));
        let mut stream = pool.job().batch_size(batch).imap(work, items).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0);
        crate::eventually("all workers are at it", || ledger.lines().len() >= 4);
        drop(stream);
        let begun = ledger.lines();
        for line in &begun {
            let (index, process) = line.split_once(' ').unwrap();
            assert!(index == "0" || !lives(process.parse().unwrap()), "task {index} goes on");
        }
        assert_eq!(pool.map(same, 0..50).unwrap(), (0..50).collect::<Vec<_>>());
        assert_eq!(ledger.lines(), begun, "nothing was begun after it");
        assert!(pool.store().files().unwrap().is_empty());
    }
}

#[test]
fn imap_dropped_at_any_point_leaves_nothing() {
    let _dog = Watchdog::new("any point");
    let table = |rows: usize| SharedArray::from(Array2::from_elem((rows, 3), 1.5));
    for (name, pool) in backends() {
        for taken in 0..6 {
            let items = (0..).map(|_| SharedArray::from(Array2::from_elem((50_000, 3), 1.0)));
            let more = |table: SharedArray<f64, Ix2>| SharedArray::from(&*table * 2.0);
            let stream = pool.job().mmap_threshold(1 << 10).imap(more, items).unwrap();
            let sums: Vec<_> = stream.take(taken).map(|table| table.unwrap().sum()).collect();
            assert_eq!(sums, vec![300_000.0; taken], "{name}");
            assert!(pool.store().files().unwrap().is_empty(), "{name}, {taken} taken");
            let stream = pool.job().imap_unordered(table, [10, 200_000, 20]).unwrap();
            assert_eq!(stream.take(taken).filter(Result::is_ok).count(), taken.min(3), "{name}");
            assert!(pool.store().files().unwrap().is_empty(), "{name}, {taken} taken, unordered");
        }
    }
}

fn odd(x: u32) -> Result<u32, String> {
    if x % 2 == 1 { Ok(x) } else { Err(format!("{x} is even")) }
}

#[test]
fn imap_failure_ends_results_or_takes_its_place() {
    let _dog = Watchdog::new("failure");
    for (name, pool) in backends() {
        let mut stream = pool
            .job()
            .prefetch_batches(0)
            .try_imap(odd, (1..).step_by(2).take(3).chain([4, 7]))
            .unwrap();
        let mut given = Vec::new();
        let error = loop {
            match stream.next().unwrap() {
                Ok(result) => given.push(result),
                Err(error) => break error.into_task_error().unwrap(),
            }
        };
        assert!([1, 3, 5].starts_with(&given), "{name}: {given:?}");
        assert_eq!((error.index(), error.message()), (3, "4 is even"), "{name}");
        assert!(stream.next().is_none() && stream.next().is_none(), "{name}");
        let stream = pool.job().keep_going().try_imap(odd, 0..).unwrap();
        for (index, outcome) in stream.take(20).enumerate() {
            match outcome {
                Ok(result) => assert_eq!((result, index % 2), (index as u32, 1), "{name}"),
                Err(error) => {
                    assert_eq!(error.into_task_error().unwrap().index(), index as u64, "{name}")
                }
            }
        }
    }
}

#[test]
fn imap_cancelled_reports_it_once() {
    let _dog = Watchdog::new("cancelled");
    for (name, pool) in backends() {
        let token = CancelToken::new();
        let mut stream = pool.job().cancel_token(&token).imap(same, 0..).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0, "{name}");
        token.cancel();
        let error = stream.find_map(Result::err).unwrap().into_task_error().unwrap();
        assert_eq!(error.kind(), TaskErrorKind::Cancelled, "{name}");
        assert!(stream.next().is_none(), "{name}");
        // Every item that was taken is reported, and the first of the others.
        let token = CancelToken::new();
        let mut stream = pool.job().cancel_token(&token).keep_going().imap(same, 0..).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0, "{name}");
        token.cancel();
        let rest: Vec<_> = stream.by_ref().collect();
        assert!(rest.iter().any(Result::is_err) && rest.len() < 20, "{name}: {rest:?}");
        for (index, outcome) in (1..).zip(rest) {
            match outcome {
                Ok(result) => assert_eq!(result, index, "{name}"),
                Err(error) => {
                    assert_eq!(error.task_error().unwrap().index(), u64::from(index), "{name}")
                }
            }
        }
        assert!(stream.next().is_none(), "{name}");
    }
}

// P6
#[test]
fn imap_failed_build_is_reported_once() {
    let _dog = Watchdog::new("no state");
    fn build(_: &u8) -> Result<u32, String> {
        Err("no state today".into())
    }
    fn use_it(state: &mut u32, x: u32) -> u32 {
        *state + x
    }
    let check = |name: &str, pool: &Pool| {
        let call = || pool.try_with_init(&0, build).keep_going();
        let outcomes: Vec<_> = call().imap(use_it, 0..).unwrap().take(10).collect();
        assert_eq!(outcomes.len(), 1, "{name}: {outcomes:?}");
        let error = outcomes.into_iter().next().unwrap().unwrap_err().into_task_error().unwrap();
        assert_eq!(
            (error.kind(), error.message()),
            (TaskErrorKind::Build, "no state today"),
            "{name}"
        );
        assert_eq!(call().imap_unordered(use_it, 0..5).unwrap().count(), 1, "{name}");
        assert!(call().map(use_it, 0..5).is_err(), "{name}");
        assert!(call().fold(use_it, 0..5, (), |(), _| ()).is_err(), "{name}");
    };
    backends().iter().for_each(|(name, pool)| check(name, pool));
}

#[test]
fn fold_keeps_no_results() {
    let _dog = Watchdog::new("fold");
    for (name, pool) in backends() {
        let count = if crate::common::emulated() { 2_000 } else { 20_000 };
        let last = pool.job().fold(same, 0..count, 0, |next, x| {
            assert_eq!(next, x, "{name}: in order");
            next + 1
        });
        assert_eq!(last.unwrap(), count, "{name}");
    }
}

/// The first task waits for the third, which a worker may have got behind it.
fn wait_for_third((folder, task): (PathBuf, u32)) -> u32 {
    let third = folder.join("third");
    match task {
        0 => {
            while !third.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        2 => std::fs::write(third, "").unwrap(),
        _ => {}
    }
    task
}

// P5
#[test]
fn prefetched_task_moves_to_a_worker_that_is_free() {
    let threads = Pool::builder().workers(2).backend(Backend::Threads).build().unwrap();
    for pool in [builder().build().unwrap(), threads] {
        let _dog = Watchdog::new("a task behind a long one");
        let folder = tempfile::tempdir().unwrap();
        let items = |count| (0..count).map(|task| (folder.path().to_path_buf(), task));
        assert_eq!(pool.map(wait_for_third, items(4)).unwrap(), [0, 1, 2, 3]);
        std::fs::remove_file(folder.path().join("third")).unwrap();
        // The other worker always has tasks.
        let mut results = pool.job().imap_unordered(wait_for_third, items(u32::MAX)).unwrap();
        assert!(results.any(|result| result.unwrap().1 == 0));
    }
}

fn fails_at_five(x: u32) -> Result<u32, String> {
    match x {
        // The failure comes before the results of earlier tasks.
        5 => Err("five".into()),
        _ => {
            std::thread::sleep(Duration::from_millis(5));
            Ok(x)
        }
    }
}

// P5
#[test]
fn stream_gives_results_before_the_first_failure() {
    let _dog = Watchdog::new("results before a failure");
    for (name, pool) in backends() {
        let results: Vec<_> = pool.job().try_imap(fails_at_five, 0..100).unwrap().collect();
        let (error, before) = results.split_last().unwrap();
        let before: Vec<_> = before.iter().map(|result| *result.as_ref().unwrap()).collect();
        assert_eq!(before, [0, 1, 2, 3, 4], "{name}");
        let error = error.as_ref().unwrap_err().task_error().unwrap();
        assert_eq!((error.index(), error.message()), (5, "five"), "{name}");
        // Without order, all results that arrived go before the failure.
        let results: Vec<_> =
            pool.job().try_imap_unordered(fails_at_five, 0..100).unwrap().collect();
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert!(failed.iter().position(|failed| *failed) == Some(results.len() - 1), "{name}");
        assert_eq!(pool.map(same, [1]).unwrap(), [1], "{name}");
    }
}
