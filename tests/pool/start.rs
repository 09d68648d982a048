//! Starting workers: their environment, the programs that can start them, and failures.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ndferry::{Pool, pool::TaskErrorKind};
use rustix::process::Signal;

use crate::{Watchdog, builder, processes};

#[test]
fn start_sets_environment_and_directory() {
    let _dog = Watchdog::new("surroundings");
    let folder = tempfile::tempdir().unwrap();
    let pool =
        builder().env("NDFERRY_TEST_VALUE", "a").env("NDFERRY_TEST_VALUE", "b").env_remove("PATH");
    let pool = pool.current_dir(folder.path()).build().unwrap();
    let seen = pool.map(
        |name: String| std::env::var(name).ok(),
        ["NDFERRY_TEST_VALUE", "PATH"].map(String::from),
    );
    assert_eq!(seen.unwrap(), [Some("b".to_string()), None]);
    let place: Vec<PathBuf> = pool.map(|_: ()| std::env::current_dir().unwrap(), [()]).unwrap();
    assert_eq!(place[0], folder.path().canonicalize().unwrap());
    assert!(std::env::var("NDFERRY_TEST_VALUE").is_err() && std::env::var("PATH").is_ok());
}

#[test]
fn start_rejects_impossible_environments() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (builder, words) in [
        (builder().env("", "x"), "named \"\""),
        (builder().env("A=B", "x"), "named \"A=B\""),
        (builder().env("A\0", "x"), "named \"A\\0\""),
        (builder().env("A", "x\0"), "zero byte"),
        (builder().env("NDFERRY_WORKER", "1"), "makes a process a worker"),
        (builder().current_dir(&missing), "workers cannot work in"),
        (builder().current_dir("/dev/null"), "is no directory"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(Pool::builder().env("A", "x").current_dir("").build().is_err());
}

/// Returns the variables that libraries with threads read.
fn shares(pool: &Pool) -> Vec<Option<String>> {
    let names = ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"];
    pool.map(|name: String| std::env::var(name).ok(), names.map(String::from)).unwrap()
}

#[test]
fn start_divides_cores_for_thread_libraries() {
    let _dog = Watchdog::new("shares");
    let cores = std::thread::available_parallelism().unwrap().get();
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        for workers in [1, 2, 2 * cores] {
            let share = Some((cores / workers).max(1).to_string());
            let pool = builder()
                .workers(workers)
                .env("OMP_NUM_THREADS", "many")
                .env_remove("MKL_NUM_THREADS");
            assert_eq!(
                shares(&pool.build().unwrap()),
                [share, Some("many".into()), None],
                "{workers} of {cores}"
            );
        }
    }
}

// P10
#[test]
fn start_works_for_renamed_and_removed_programs() {
    if crate::common::emulated() {
        eprintln!("left out: an emulator cannot start a program again whose file has gone");
        return;
    }
    let _dog = Watchdog::new("removed");
    for removed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["program", "another"].map(|name| folder.path().join(name));
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let mut process = Command::new(&path)
            .arg0("called otherwise")
            .args(["start::child_reads_its_input", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if removed {
            std::fs::remove_file(&path).unwrap();
        } else {
            std::fs::rename(&path, &other).unwrap();
        }
        process.stdin.take().unwrap().write_all(b"1\n2\n3\n").unwrap();
        let output = process.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("told: [Ok(1), Ok(4), Ok(9)]"), "{printed}");
    }
}

// P1
#[test]
fn start_killed_before_init_costs_no_task() {
    let _dog = Watchdog::new("killed before init()");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["start::child_kills_starting_workers", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("told: 60 results, 0 other failures"), "{printed}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by start_killed_before_init_costs_no_task"]
fn child_kills_starting_workers() {
    let pool = builder().workers(3).build().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let killer = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < 12 && !is_done.load(Ordering::Relaxed) {
            for process in processes::descendants(std::process::id()) {
                if !seen.contains(&process) {
                    seen.push(process);
                    processes::send(process, Signal::KILL);
                }
            }
        }
        seen.len()
    });
    let slowly = |x: u8| {
        std::thread::sleep(Duration::from_millis(5));
        x
    };
    let results = pool.job().keep_going().map(slowly, 0..60).unwrap();
    // A worker may also have been killed in the middle of its first task.
    done.store(true, Ordering::Relaxed);
    let (done, died): (Vec<_>, Vec<_>) = results.iter().partition(|result| match result {
        Ok(_) => true,
        Err(error) => error.kind() != TaskErrorKind::WorkerDied,
    });
    let killed = killer.join().unwrap();
    let other = done.iter().filter(|result| result.is_err()).count();
    println!("told: {} results, {other} other failures", done.len() + died.len());
    assert!(died.len() <= killed, "{killed} killed, {died:?}");
    assert_eq!(pool.map(slowly, [1]).unwrap(), [1]);
}

#[test]
#[ignore = "run by start_works_for_renamed_and_removed_programs"]
fn child_reads_its_input() {
    let first = std::io::stdin().lines().next().unwrap().unwrap();
    let pool = builder().build().unwrap();
    let lines = std::iter::once(first).chain(std::io::stdin().lines().map_while(Result::ok));
    let squares = pool
        .job()
        .keep_going()
        .try_map(|line: String| line.parse::<u32>().map(|x| x * x), lines)
        .unwrap();
    let squares: Vec<_> =
        squares.into_iter().map(|square| square.map_err(|error| error.to_string())).collect();
    println!("told: {squares:?}");
    // A worker does not get that input.
    assert_eq!(pool.map(|_: u8| std::io::stdin().lines().count(), [0]).unwrap(), [0]);
}
