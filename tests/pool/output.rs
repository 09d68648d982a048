//! What workers write to standard output and standard error: inherited, kept for errors, thrown
//! away.

use std::{
    io::{Read, Write},
    process::Command,
};

use ndferry::{
    Pool,
    pool::{Backend, TaskErrorKind, WorkerStdio},
};

use crate::{Watchdog, builder};

/// Runs part of a test as a separate program. Returns its standard output and standard error.
fn program(part: &str) -> (String, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&format!("output::{part}"), "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{stdout}\n{stderr}");
    (stdout, stderr)
}

fn say(x: u32) -> u32 {
    println!("out {x}");
    eprintln!("err {x}");
    x
}

#[test]
fn output_of_a_failing_task_is_in_its_error() {
    if crate::common::emulated() {
        eprintln!("left out: an emulator says something of its own when a process dies");
        return;
    }
    let _dog = Watchdog::new("capture");
    let pool = builder().stdout(WorkerStdio::Capture).stderr(WorkerStdio::Capture).build().unwrap();
    let told = pool.job().keep_going().try_map(
        |x: u32| {
            say(x);
            match x % 5 {
                0 => Err(std::fmt::Error),
                1 => panic!("{x}"),
                2 => std::process::abort(),
                3 => std::process::exit(0),
                _ => Ok(x),
            }
        },
        0..50_u32,
    );
    for (x, result) in told.unwrap().into_iter().enumerate() {
        match result {
            Ok(value) => assert_eq!(value % 5, 4),
            Err(error) => {
                let (out, err) = (format!("out {x}\n"), format!("err {x}\n"));
                assert_eq!(
                    (error.stdout(), error.stderr()),
                    (Some(&*out), Some(&*err)),
                    "{error:?}"
                );
                assert!(format!("{error:?}").contains(&format!("\n  | err {x}")), "{error:?}");
            }
        }
    }
}

#[test]
fn output_keeps_only_the_end_of_long_text() {
    let _dog = Watchdog::new("much");
    let pool = builder().workers(1).stderr(WorkerStdio::Capture).build().unwrap();
    let before = pool.map(|_: ()| std::process::id(), [()]).unwrap()[0];
    let error = pool
        .map(
            |_: ()| -> u32 {
                let line = [b'.'; 65_536];
                let mut stderr = std::io::stderr();
                // Long enough for the captured text to be trimmed.
                loop {
                    (0..64).for_each(|_| stderr.write_all(&line).unwrap());
                    if kept() < 2048 {
                        break;
                    }
                }
                eprint!("the end");
                panic!("enough");
            },
            [()],
        )
        .unwrap_err();
    let error = error.task_error().unwrap();
    let said = error.stderr().unwrap();
    assert_eq!((said.len(), error.worker()), (8192, before));
    assert!(said.ends_with("....the end"), "{said}");
}

/// The memory in KiB that the captured standard error of this process occupies.
fn kept() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self/fd/2").unwrap().blocks() / 2
}

#[test]
fn output_of_a_failed_start_is_reported() {
    let _dog = Watchdog::new("start");
    let pool = Pool::builder()
        .workers(1)
        .test_entry("output::child_never_becomes_a_worker")
        .stderr(WorkerStdio::Capture)
        .build()
        .unwrap();
    let error = pool.map(|x: u8| x, [1]).unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!((error.kind(), error.stderr()), (TaskErrorKind::Start, Some("not me\n")));
}

#[test]
fn child_never_becomes_a_worker() {
    eprintln!("not me");
}

#[test]
fn output_is_inherited_unless_discarded() {
    let _dog = Watchdog::new("discard");
    let (stdout, stderr) = program("child_prints_with_each_setting");
    // The output of the workers' test harnesses is not shown.
    assert_eq!(stdout.matches("running 1 test").count(), 1, "{stdout}");
    assert!(!stdout.contains("out 1") && stdout.contains("out 3"), "{stdout}");
    assert!(
        stderr.contains("err 1") && !stderr.contains("err 2") && stderr.contains("err 3"),
        "{stderr}"
    );
}

#[test]
#[ignore = "run by output_is_inherited_unless_discarded"]
fn child_prints_with_each_setting() {
    builder().build().unwrap().map(say, [1]).unwrap();
    builder().stderr(WorkerStdio::Discard).build().unwrap().map(say, [2]).unwrap();
    builder().stdout(WorkerStdio::Inherit).build().unwrap().map(say, [3]).unwrap();
}

#[test]
fn output_held_by_a_grandchild_does_not_block() {
    let _dog = Watchdog::new("held output");
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (mut told, mut tell) = (std::fs::File::from(reader), std::fs::File::from(writer));
    let pool = builder().workers(1).stderr(WorkerStdio::Capture).build().unwrap();
    // In its own process group, it outlives its worker and keeps the worker's standard error.
    let left = pool
        .map(
            |_: ()| {
                use std::os::unix::process::CommandExt as _;
                Command::new("sleep").arg("1000").process_group(0).spawn().unwrap().id()
            },
            [()],
        )
        .unwrap()[0];
    let ended = std::thread::spawn(move || {
        drop(pool);
        tell.write_all(b"x").unwrap();
    });
    let mut byte = [0];
    told.read_exact(&mut byte).unwrap();
    ended.join().unwrap();
    let left = rustix::process::Pid::from_raw(left.try_into().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn output_options_without_processes_are_errors() {
    for backend in [Backend::Threads, Backend::Serial] {
        let pool = || Pool::builder().backend(backend);
        for builder in [
            pool().stderr(WorkerStdio::Capture),
            pool().stdout(WorkerStdio::Inherit),
            pool().env("A", "b"),
            pool().env_remove("A"),
            pool().current_dir("/"),
        ] {
            assert!(builder.build().unwrap_err().is_invalid_input());
        }
    }
}
