//! Single tasks that are submitted now and joined later.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ndferry::{
    Pool, SharedArray,
    ndarray::Ix1,
    pool::{Backend, CancelToken, TaskErrorKind},
};

use crate::{Watchdog, double, eventually, pool};

fn wait_for(path: PathBuf) {
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn touch(path: PathBuf) {
    std::fs::write(path, "").unwrap();
}

fn flag(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

fn shows(path: &Path) {
    eventually("the task has run", || path.exists());
}

#[test]
fn submit_starts_before_join() {
    let _dog = Watchdog::new("begun");
    let (pool, folder) = (pool(), tempfile::tempdir().unwrap());
    let pending = pool.submit(touch, flag(&folder, "a")).unwrap();
    shows(&flag(&folder, "a"));
    pending.join().unwrap();
    assert_eq!(pool.submit(double, 21).unwrap().join().unwrap(), 42);
}

#[test]
fn submit_runs_queued_tasks_in_order() {
    let _dog = Watchdog::new("queued");
    let (pool, folder) = (pool(), tempfile::tempdir().unwrap());
    let pending: Vec<_> =
        (0..20).map(|i| pool.submit(touch, flag(&folder, &i.to_string())).unwrap()).collect();
    shows(&flag(&folder, "19"));
    pending.into_iter().for_each(|pending| pending.join().unwrap());
    let doubled: Vec<_> = (0..50).map(|i| pool.submit(double, i).unwrap()).collect();
    let doubled: Vec<_> =
        doubled.into_iter().rev().map(|pending| pending.join().unwrap()).collect();
    assert_eq!(doubled, (0..50).rev().map(double).collect::<Vec<_>>());
}

#[test]
fn submit_many_small_tasks_all_end() {
    for (threads, tasks) in [(1, 5000), (16, 50)] {
        let _dog = Watchdog::new("many submitted tasks");
        let pool = pool();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let pending: Vec<_> =
                        (0..tasks).map(|i| pool.submit(double, i).unwrap()).collect();
                    for (i, pending) in (0..tasks).zip(pending) {
                        assert_eq!(pending.join().unwrap(), double(i));
                    }
                });
            }
        });
    }
}

#[test]
fn submit_frees_the_worker_before_join() {
    let _dog = Watchdog::new("unwatched");
    let pool = pool();
    let pending: Vec<_> = (0..2).map(|i| pool.submit(double, i).unwrap()).collect();
    assert_eq!(pool.map(double, 0..10).unwrap(), (0..10).map(double).collect::<Vec<_>>());
    assert_eq!(
        pending.into_iter().map(|pending| pending.join().unwrap()).collect::<Vec<_>>(),
        [0, 2]
    );
}

#[test]
fn submit_reports_failures_on_join() {
    let _dog = Watchdog::new("failures");
    let pool = pool();
    let panicked = pool.submit(|x: u8| assert_eq!(x, 0, "not zero"), 1).unwrap();
    let parsed = pool
        .job()
        .label("parse")
        .try_submit(|text: String| text.parse::<i32>(), "x".into())
        .unwrap();
    let died = pool.job().retries(1).submit(|()| std::process::abort(), ()).unwrap();
    let failures =
        [panicked.join(), parsed.join().map(drop), died.join()].map(|result| result.unwrap_err());
    let [panicked, parsed, died] = failures.each_ref().map(|error| error.task_error().unwrap());
    assert!(panicked.message().contains("not zero"), "{panicked}");
    assert_eq!((parsed.kind(), parsed.task()), (TaskErrorKind::Error, "parse"));
    assert_eq!((died.signal(), died.attempt()), (Some(6), 2));
    assert_eq!(pool.map(double, [1]).unwrap(), [2]);
}

#[test]
fn submit_join_timeout_can_be_repeated() {
    let _dog = Watchdog::new("timeout");
    let (pool, folder) = (pool(), tempfile::tempdir().unwrap());
    let pending = pool.submit(wait_for, flag(&folder, "go")).unwrap();
    let pending = pending.join_timeout(Duration::from_millis(10)).unwrap().unwrap_err();
    assert!(!pending.is_finished());
    touch(flag(&folder, "go"));
    eventually("it is finished", || pending.is_finished());
    pending.join_timeout(Duration::MAX).unwrap().unwrap();
}

// P3
#[test]
fn submit_timeout_needs_no_join() {
    let _dog = Watchdog::new("overdue");
    let (pool, folder) = (pool(), tempfile::tempdir().unwrap());
    let pending = pool
        .job()
        .timeout(Duration::from_millis(50))
        .submit(wait_for, flag(&folder, "never"))
        .unwrap();
    eventually("it is over", || pending.is_finished());
    let error = pending.join().unwrap_err();
    assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Timeout, "{error}");
}

#[test]
fn submit_cancelled_or_dropped_kills_the_task() {
    let _dog = Watchdog::new("cancel");
    let (pool, folder) = (pool(), tempfile::tempdir().unwrap());
    for retries in [0, 1] {
        let call = || pool.job().retries(retries);
        let pending = call().submit(wait_for, flag(&folder, "never")).unwrap();
        drop(call().submit(wait_for, flag(&folder, "never")).unwrap());
        let queued = call().submit(wait_for, flag(&folder, "never")).unwrap();
        pending.cancel();
        queued.cancel();
        for cancelled in [pending, queued] {
            let began = Instant::now();
            let error = cancelled.join().unwrap_err();
            assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Cancelled, "{error}");
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        assert_eq!(pool.map(double, 0..4).unwrap(), [0, 2, 4, 6]);
    }
    let token = CancelToken::new();
    let tasks: Vec<_> = (0..3)
        .map(|_| pool.job().cancel_token(&token).submit(wait_for, flag(&folder, "never")).unwrap())
        .collect();
    token.cancel();
    for task in tasks {
        assert_eq!(task.join().unwrap_err().task_error().unwrap().kind(), TaskErrorKind::Cancelled);
    }
}

#[test]
fn submit_passes_context_and_state_on_every_backend() {
    let _dog = Watchdog::new("kinds");
    let local = |backend| Pool::builder().backend(backend).build().unwrap();
    for pool in [pool(), local(Backend::Threads), local(Backend::Serial)] {
        let shared =
            SharedArray::<_, Ix1>::from(ndferry::ndarray::Array1::from_elem(1 << 18, 0.5f64));
        let sums: Vec<_> = (0..3)
            .map(|i| {
                pool.with(&shared)
                    .submit(|a: &SharedArray<f64, Ix1>, i: i32| a.sum() + f64::from(i), i)
                    .unwrap()
            })
            .collect();
        let sums: Vec<_> = sums.into_iter().map(|sum| sum.join().unwrap()).collect();
        assert_eq!(sums, [131_072.0, 131_073.0, 131_074.0], "{pool:?}");
        let counted = pool.with_init(&7u32, |start| *start).submit(
            |count, more: u32| {
                *count += more;
                *count
            },
            5,
        );
        assert_eq!(counted.unwrap().join().unwrap(), 12);
    }
}
