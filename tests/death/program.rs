//! The programs that are killed.

use std::{
    env,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use ndferry::{Pool, SharedArray, ndarray::Ix1, store::Store};

use crate::{
    actor::{role, say, wait_to_be_told},
    processes::eventually,
};

/// The path of the program's terminal.
pub const TERMINAL: &str = "NDFERRY_TEST_TERMINAL";

/// The number of jobs that succeeded.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Not a test: the body of processes started by an [`Actor`](crate::actor::Actor).
#[test]
fn actor_body() {
    let Some(role) = role() else { return };
    if let Some(path) = env::var_os(TERMINAL) {
        rustix::process::setsid().unwrap();
        let terminal = std::fs::File::options().read(true).write(true).open(path).unwrap();
        rustix::process::ioctl_tiocsctty(&terminal).unwrap();
        std::mem::forget(terminal);
    }
    match role.as_str() {
        "calls" => run(calls),
        "writes" => run(writes),
        "holds" => {
            let pool = pool();
            let arrays: Vec<_> =
                (0..200).map(|number| SharedArray::from(vec![f64::from(number); 200])).collect();
            let first = |arrays: &Vec<SharedArray<f64, Ix1>>, i: usize| arrays[i][0];
            assert_eq!(pool.with(&arrays).map(first, [7]).unwrap(), [7.0]);
            say("ready");
            wait_to_be_told();
        }
        "opens" => drop(Store::new().unwrap()),
        other => panic!("no such part: {other}"),
    }
}

fn pool() -> Pool {
    Pool::builder().workers(2).mmap_threshold(1000).test_entry("worker").build().unwrap()
}

/// Repeats the work of a program until it is told how to end.
fn run(once: fn(&Pool) -> ndferry::Result<()>) {
    let pool = pool();
    let ends = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let calling = thread::spawn({
        let (pool, ends) = (pool.clone(), ends.clone());
        move || {
            while !ends.load(Ordering::Relaxed) {
                // A dead worker is an error of its job. The next job gets a new worker.
                if once(&pool).is_ok() {
                    CALLS.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let works = || {
        let before = CALLS.load(Ordering::Relaxed);
        eventually("a call succeeds", || CALLS.load(Ordering::Relaxed) > before + 1);
    };
    works();
    say("ready");
    loop {
        match wait_to_be_told().as_str() {
            "work" => {
                works();
                say("works");
            }
            "panic" => panic!("as it was told to"),
            "exit" => std::process::exit(3),
            "abort" => std::process::abort(),
            _ => break,
        }
    }
    ends.store(true, Ordering::Relaxed);
    calling.join().unwrap();
}

/// Sends an array, receives arrays, and runs a task with a child process.
fn calls(pool: &Pool) -> ndferry::Result<()> {
    let shared = SharedArray::from(vec![1.0; 20_000]);
    let task = |shared: &SharedArray<f64, Ix1>, i: u32| {
        if i == 1 {
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            thread::sleep(Duration::from_millis(2));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        SharedArray::from(vec![shared[0]; 10_000])
    };
    let results = pool.with(&shared).map(task, 0..4)?;
    assert!(results.iter().all(|result| result.len() == 10_000 && result[9_999] == 1.0));
    Ok(())
}

/// Writes an array that takes some time.
fn writes(pool: &Pool) -> ndferry::Result<()> {
    let shared = SharedArray::from(vec![1.0; 4 << 20]);
    let lengths =
        pool.with(&shared).map(|shared: &SharedArray<f64, Ix1>, _: u32| shared.len(), [0])?;
    assert_eq!(lengths, [4 << 20]);
    Ok(())
}
