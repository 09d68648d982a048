//! How workers start: in what surroundings, from which programs, and when they do not.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use ndferry::Pool;

use crate::{Watchdog, builder};

#[test]
fn workers_have_the_environment_and_the_directory_they_were_given() {
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
fn surroundings_that_cannot_be_are_refused() {
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

/// What a worker finds in the variables that libraries with threads look at.
fn shares(pool: &Pool) -> Vec<Option<String>> {
    let names = ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"];
    pool.map(|name: String| std::env::var(name).ok(), names.map(String::from)).unwrap()
}

#[test]
fn libraries_with_threads_are_told_their_share_of_the_cores() {
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
fn a_program_that_was_renamed_or_removed_and_reads_its_input_has_workers() {
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
            .args(["start::reads", "--exact", "--ignored", "--nocapture"])
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

#[test]
#[ignore = "a part of a_program_that_was_renamed_or_removed_and_reads_its_input_has_workers"]
fn reads() {
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
    // A worker has none of that input.
    assert_eq!(pool.map(|_: u8| std::io::stdin().lines().count(), [0]).unwrap(), [0]);
}
