//! Pools within the tasks of pools: they share the process slots, wait for none, and live in one session.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use ndferry::{
    Pool, SharedArray,
    ndarray::{Array1, Ix1},
    pool::TaskErrorKind,
    store::Store,
};

use crate::{Watchdog, builder, eventually, marked, pools};

/// Programs that were run.
static PROGRAMS: AtomicU32 = AtomicU32::new(0);

/// Runs a part of a test as a program of its own, on a machine of so many slots; gives what it printed behind `told:`, and the most
/// processes it was seen to have at once beside itself.
fn program(part: &str, slots: usize) -> (Vec<String>, usize) {
    let number = PROGRAMS.fetch_add(1, Ordering::Relaxed);
    let mark = format!("NDFERRY_TEST_PROGRAM={}-{number}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([&format!("nesting::{part}"), "--exact", "--ignored", "--nocapture"])
        .env("NDFERRY_WORKERS", slots.to_string())
        .env(name, value)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let mut most = 0;
    while !reader.is_finished() {
        most = most.max(marked(&mark).saturating_sub(1));
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(process.wait().unwrap().success());
    let lines = reader.join().unwrap();
    let told = lines
        .iter()
        .filter_map(|line| Some(line.split_once("told:")?.1.trim().to_owned()))
        .collect();
    (told, most)
}

fn inner(workers: usize) -> ndferry::Result<Pool> {
    Pool::builder().workers(workers).test_entry("worker").build()
}

/// Does nothing for so many levels of pools, and gives how many tasks that took.
fn deep(levels: u32) -> ndferry::Result<u32> {
    std::thread::sleep(Duration::from_millis(5));
    if levels == 0 {
        return Ok(1);
    }
    let pool = inner(3)?;
    Ok(1 + pool.try_map(deep, [levels - 1; 3])?.iter().sum::<u32>())
}

// P11
#[test]
fn pools_within_pools_have_no_more_processes_than_there_are_slots() {
    let _dog = Watchdog::new("slots");
    for slots in [2, 5, 8] {
        let (told, most) = program("pools_in_three_levels", slots);
        assert_eq!(told, ["[13, 13, 13, 13, 13, 13]"; 3]);
        assert!((2..=slots).contains(&most), "{most} processes, {slots} slots");
    }
}

#[test]
#[ignore = "a part of pools_within_pools_have_no_more_processes_than_there_are_slots"]
fn pools_in_three_levels() {
    let pool = builder().build().unwrap();
    for _ in 0..3 {
        println!("told: {:?}", pool.try_map(deep, [2; 6]).unwrap());
    }
}

// P11
#[test]
fn an_inner_pool_gets_what_is_free_and_gives_it_back() {
    let _dog = Watchdog::new("granted");
    let (told, _) = program("granted", 4);
    assert_eq!(told, ["[3]", "[3]", "[1, 1, 1, 3]", "[1, 1]"]);
}

#[test]
#[ignore = "a part of an_inner_pool_gets_what_is_free_and_gives_it_back"]
fn granted() {
    let pool = builder().workers(1).build().unwrap();
    let size = |_: u32| inner(9).map(|pool| pool.workers());
    for _ in 0..2 {
        println!("told: {:?}", pool.try_map(size, [0]).unwrap());
    }
    // While the first of them is there, the next find nothing, and work all the same.
    let sizes = pool.try_map(
        |_: u32| {
            let first = inner(9)?;
            let mut sizes = Vec::new();
            for _ in 0..3 {
                let next = inner(2)?;
                assert_eq!(next.map(|x: u32| x + 1, 0..10)?, (1..11).collect::<Vec<_>>());
                sizes.push(next.workers());
            }
            sizes.push(first.workers());
            Ok::<_, ndferry::Error>(sizes)
        },
        [0],
    );
    println!("told: {:?}", sizes.unwrap()[0]);
    // A pool in a task of a pool of threads is one of many as well.
    drop(pool);
    let _all = builder().workers(4).build().unwrap();
    let threads =
        Pool::builder().backend(ndferry::pool::Backend::Threads).workers(2).build().unwrap();
    println!("told: {:?}", threads.try_map(size, [0, 0]).unwrap());
}

// P11
#[test]
fn slots_of_a_worker_that_was_killed_come_back() {
    let _dog = Watchdog::new("come back");
    let (told, most) = program("killed", 3);
    assert_eq!(told, ["2", "2", "2"]);
    assert!(most <= 3, "{most}");
}

#[test]
#[ignore = "a part of slots_of_a_worker_that_was_killed_come_back"]
fn killed() {
    let pool = builder().workers(1).build().unwrap();
    for _ in 0..3 {
        // The workers of the one before are gone very soon.
        let mut size = 0;
        eventually("both slots are free", || {
            size = pool.try_map(|_: ()| inner(2).map(|pool| pool.workers()), [()]).unwrap()[0];
            size == 2
        });
        println!("told: {size}");
        let error = pool.try_map(
            |_: ()| {
                let inner = inner(2)?;
                inner.map(|x: u32| x, 0..2)?;
                if inner.workers() == 2 {
                    std::process::abort();
                }
                Ok::<_, ndferry::Error>(())
            },
            [()],
        );
        let error = error.unwrap_err();
        assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::WorkerDied, "{error}");
    }
}

/// The sum of the squares of a part, made by a pool of its own.
fn squares(all: &SharedArray<f64, Ix1>, (from, to): (usize, usize)) -> ndferry::Result<f64> {
    let step = (to - from).div_ceil(4).max(1);
    let parts = (from..to).step_by(step).map(|start| (start, (start + step).min(to)));
    let mapped = inner(2)?.with(all).map(
        |all: &SharedArray<f64, Ix1>, (from, to): (usize, usize)| {
            Array1::from_iter(all.iter().take(to).skip(from).map(|x| x * x))
        },
        parts,
    )?;
    Ok(mapped.iter().map(|squares: &Array1<f64>| squares.sum()).sum())
}

// P11
#[test]
fn workers_map_and_reduce_with_workers_of_their_own() {
    let _dog = Watchdog::new("reduce");
    for (byte_order, pool) in pools() {
        let all = SharedArray::from((0..300_000).map(f64::from).collect::<Vec<_>>());
        let parts = (0..300_000).step_by(60_000).map(|start| (start, start + 60_000));
        let sums = pool.with(&all).try_map(squares, parts).unwrap();
        let expected: f64 = (0..300_000).map(|x| f64::from(x) * f64::from(x)).sum();
        assert!((sums.iter().sum::<f64>() - expected).abs() < 1e-6 * expected, "{byte_order:?}");
    }
    // With slots for workers within workers, these map what the outermost program has shared.
    let (told, _) = program("reduce", 4);
    assert_eq!(told, ["1 file"]);
}

#[test]
#[ignore = "a part of workers_map_and_reduce_with_workers_of_their_own"]
fn reduce() {
    let pool = builder().workers(1).build().unwrap();
    let all = SharedArray::from((0..300_000).map(f64::from).collect::<Vec<_>>());
    let files = pool.with(&all).try_map(
        |all: &SharedArray<f64, Ix1>, _: u32| {
            let inner = inner(3)?;
            assert_eq!(inner.workers(), 3);
            let sum = inner.with(all).map(
                |all: &SharedArray<f64, Ix1>, from: usize| all.iter().skip(from).sum::<f64>(),
                0..9,
            )?;
            assert_eq!(sum[0], 299_999.0 * 150_000.0);
            Ok::<_, ndferry::Error>(Store::new()?.files()?.len())
        },
        [0],
    );
    println!("told: {} file", files.unwrap()[0]);
}

// P11
#[test]
fn many_pools_at_once_wait_for_nothing() {
    let _dog = Watchdog::new("many");
    let (told, most) = program("crowd", 6);
    assert_eq!(told, ["1200"]);
    assert!(most <= 6, "{most}");
}

#[test]
#[ignore = "a part of many_pools_at_once_wait_for_nothing"]
fn crowd() {
    let pool = builder().workers(3).build().unwrap();
    let crowd = |_: u32| {
        let sums = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        inner(4)?.map(|x: u64| x, 0..5).map(|all| all.iter().sum::<u64>())
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<ndferry::Result<Vec<_>>>()
        })?;
        Ok::<_, ndferry::Error>(sums.iter().sum::<u64>())
    };
    println!("told: {}", pool.try_map(crowd, 0..30).unwrap().iter().sum::<u64>());
}

// P3 P11
#[test]
fn without_a_slot_a_task_can_still_be_timed_out() {
    let _dog = Watchdog::new("lodger");
    let (told, _) = program("lodger", 1);
    assert_eq!(told, ["1 Timeout true", "true"]);
}

#[test]
#[ignore = "a part of without_a_slot_a_task_can_still_be_timed_out"]
fn lodger() {
    let pool = builder().workers(1).build().unwrap();
    let outcome = pool.try_map(
        |_: ()| {
            let inner = inner(2)?;
            let call = inner.job().timeout(Duration::from_millis(100)).keep_going();
            let mut ended = call.map(
                |seconds: u64| std::thread::sleep(Duration::from_secs(seconds)),
                [0, 1000, 0],
            )?;
            let failure = ended.remove(1).unwrap_err().kind();
            Ok::<_, ndferry::Error>(format!(
                "{} {failure:?} {}",
                inner.workers(),
                ended.iter().all(Result::is_ok)
            ))
        },
        [()],
    );
    println!("told: {}", outcome.unwrap()[0]);
    // What only a process can do is done by one.
    let own = pool.try_map(
        |_: ()| {
            let inner = Pool::builder()
                .workers(1)
                .test_entry("worker")
                .env("NDFERRY_TEST_VALUE", "x")
                .build()?;
            let seen = inner
                .map(|_: u8| (std::process::id(), std::env::var("NDFERRY_TEST_VALUE").ok()), [0])?;
            Ok::<_, ndferry::Error>(
                seen[0].0 != std::process::id() && seen[0].1.as_deref() == Some("x"),
            )
        },
        [()],
    );
    println!("told: {}", own.unwrap()[0]);
}

// S1 P11
#[test]
fn what_a_killed_task_had_in_its_stores_goes_with_it() {
    let _dog = Watchdog::new("stores");
    let (told, _) = program("stores", 4);
    assert_eq!(told, ["true", "0 files"]);
}

#[test]
#[ignore = "a part of what_a_killed_task_had_in_its_stores_goes_with_it"]
fn stores() {
    let store = Store::new().unwrap();
    let pool = builder().workers(1).store(&store).build().unwrap();
    let home = pool
        .try_map(|_: ()| Store::new().map(|store| store.session_dir().to_path_buf()), [()])
        .unwrap();
    println!("told: {}", home[0] == store.session_dir());
    let error = pool.try_map(
        |_: ()| {
            let own = Store::new()?;
            let inner = inner(2)?;
            let array = SharedArray::from(vec![1.0; 300_000]);
            // A file for the array, those of the results, which are this worker's now, and one that an inner worker keeps.
            let results = inner.with(&array).map(
                |array: &SharedArray<f64, Ix1>, x: f64| {
                    let kept = SharedArray::from(vec![0.5; 300_000]);
                    let own = Store::new().unwrap();
                    std::mem::forget((own.zeros::<f64, _>(300_000), kept));
                    SharedArray::from(array.mapv(|y| x * y))
                },
                [1.0, 2.0],
            )?;
            assert!(own.files()?.len() >= 3, "{:?}", own.files());
            if results.len() == 2 {
                std::process::abort();
            }
            Ok::<_, ndferry::Error>(())
        },
        [()],
    );
    assert_eq!(error.unwrap_err().task_error().unwrap().signal(), Some(6));
    eventually("nothing is left", || store.files().unwrap().is_empty());
    println!("told: {} files", store.files().unwrap().len());
}
