//! The error of a failing task reports kind, type, message, causes, location, index and worker.

use std::{
    error::Error, fmt, os::unix::process::CommandExt as _, process::Command, time::Duration,
};

use ndferry::pool::{TaskError, TaskErrorKind};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};

use crate::{Watchdog, pool};

#[derive(Debug)]
struct NoData {
    cause: std::num::ParseIntError,
}

impl fmt::Display for NoData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no data for the plate")
    }
}

impl Error for NoData {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

fn read_plate(plate: u32) -> Result<u32, NoData> {
    if plate == 3 { "x".parse().map_err(|cause| NoData { cause }) } else { Ok(plate) }
}

fn fate(what: String) -> u32 {
    match what.as_str() {
        "panic" => panic!("plate {} is broken", 7),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        "exit 0" => std::process::exit(0),
        "kill" => {
            // The kernel's out-of-memory killer does the same.
            kill_process(getpid(), Signal::KILL).unwrap();
            unreachable!("the signal comes first")
        }
        "overflow" => deep(1),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(1000));
            0
        }
        _ => std::process::id(),
    }
}

#[allow(unconditional_recursion, reason = "what is tested is how it ends")]
fn deep(x: u32) -> u32 {
    std::hint::black_box(deep(std::hint::black_box(x)) + 1)
}

fn fails(fates: &[&str]) -> TaskError {
    let items: Vec<String> = fates.iter().map(ToString::to_string).collect();
    pool().map(fate, items).unwrap_err().into_task_error().unwrap()
}

// E1
#[test]
fn error_has_type_message_and_causes() {
    let _dog = Watchdog::new("error");
    let pool = pool();
    let error = pool.try_map(read_plate, 0..10).unwrap_err();
    assert!(error.is_task());
    let text = error.to_string();
    assert!(
        text.contains("read_plate failed on item 3: no data for the plate: invalid digit"),
        "{text}"
    );
    let task = error.task_error().unwrap();
    assert_eq!(
        (task.kind(), task.index(), task.message()),
        (TaskErrorKind::Error, 3, "no data for the plate")
    );
    assert!(task.type_name().unwrap().ends_with("errors::NoData"));
    assert!(task.task().ends_with("errors::read_plate"), "{}", task.task());
    assert!(task.call_site().contains("tests/pool/errors.rs:"), "{}", task.call_site());
    assert_eq!(task.causes(), ["invalid digit found in string"]);
    assert!(error.source().is_none() && task.source().is_none(), "they are in the message");
    assert_ne!(task.worker(), std::process::id());
    assert_eq!(pool.try_map(read_plate, [1, 2]).unwrap(), [1, 2], "the pool goes on");
}

// E1
#[test]
fn error_of_panic_has_message_location_backtrace() {
    let _dog = Watchdog::new("panic");
    let task = fails(&["", "panic"]);
    assert_eq!(
        (task.kind(), task.index(), task.message()),
        (TaskErrorKind::Panic, 1, "plate 7 is broken")
    );
    assert!(task.location().unwrap().contains("tests/pool/errors.rs:"), "{:?}", task.location());
    assert!(task.backtrace().unwrap().contains("fate"), "{:?}", task.backtrace());
    assert!(format!("{task:?}").contains("called at"));
}

// E1 E4
#[test]
fn error_of_death_names_signal_or_code() {
    let _dog = Watchdog::new("death");
    for (what, signal, code, words) in [
        ("kill", Some(9), None, "SIGKILL"),
        ("abort", Some(6), None, "SIGABRT"),
        ("exit", None, Some(3), "exited with code 3"),
        ("exit 0", None, Some(0), "exited with code 0"),
        ("overflow", Some(6), None, "killed by"),
    ] {
        let task = fails(&["", "", what, ""]);
        assert_eq!((task.kind(), task.index()), (TaskErrorKind::WorkerDied, 2), "{what}");
        assert_eq!((task.signal(), task.exit_code()), (signal, code), "{what}");
        assert!(task.to_string().contains(words), "{task}");
    }
}

// E6
#[test]
fn error_of_first_failure_does_not_wait() {
    let _dog = Watchdog::new("fail fast");
    let pool = pool();
    let items = ["sleep", "panic"].map(String::from);
    let error = pool.map(fate, items).unwrap_err();
    assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Panic);
    let pids = pool.map(fate, vec![String::new(); 4]).unwrap();
    assert!(
        pids.iter().all(|&pid| pid != error.task_error().unwrap().worker() || pid > 0),
        "the pool goes on"
    );
}

#[test]
fn pool_survives_many_deaths() {
    let _dog = Watchdog::new("deaths");
    let pool = pool();
    for round in 0..10 {
        assert!(pool.map(fate, ["kill".to_string(), "exit".to_string()]).is_err(), "round {round}");
        assert_eq!(pool.map(fate, vec![String::new(); 3]).unwrap().len(), 3, "round {round}");
    }
}

#[test]
fn pool_replaces_idle_workers_that_died() {
    let _dog = Watchdog::new("idle death");
    let pool = pool();
    for _ in 0..5 {
        let pids = pool.map(fate, vec![String::new(); 2]).unwrap();
        let victim = Pid::from_raw(pids[0] as i32).unwrap();
        kill_process(victim, Signal::KILL).unwrap();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        crate::eventually("it is dead", || waitid(WaitId::Pid(victim), options).unwrap().is_some());
        assert_eq!(pool.map(fate, vec![String::new(); 3]).unwrap().len(), 3);
    }
}

/// Leaves a child process that keeps the channel open, as a library may, and ends the worker.
fn fork_and_die(_: u8) {
    // SAFETY: the child only calls `pause`, which is async-signal-safe, so it may follow a fork
    // in a program with threads.
    unsafe {
        if libc::fork() == 0 {
            loop {
                libc::pause();
            }
        }
    }
    std::process::abort();
}

// P1
#[test]
fn death_is_seen_when_a_fork_keeps_the_channel() {
    let _dog = Watchdog::new("left behind");
    let error = pool().map(fork_and_die, [0]).unwrap_err();
    assert_eq!(error.task_error().unwrap().signal(), Some(6));
}

struct Late;

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the original words")
    }
}

impl Error for Late {}

impl Drop for Late {
    fn drop(&mut self) {
        panic!("a second panic");
    }
}

// E3
#[test]
fn error_survives_a_panic_while_it_is_dropped() {
    let _dog = Watchdog::new("late");
    let error = pool().try_map(|_: u8| Err::<(), _>(Late), [0]).unwrap_err();
    assert_eq!(error.task_error().unwrap().message(), "the original words");
}

#[test]
fn error_of_panic_has_its_own_location() {
    let _dog = Watchdog::new("earlier");
    let pool = crate::builder().workers(1).build().unwrap();
    let caught = |_: u8| std::panic::catch_unwind(|| panic!("caught")).is_err();
    assert_eq!(pool.map(caught, [0]).unwrap(), [true]);
    let error = pool
        .map(|_: u8| -> () { std::panic::resume_unwind(Box::new("passed on")) }, [0])
        .unwrap_err();
    let task = error.task_error().unwrap();
    assert_eq!((task.message(), task.location()), ("passed on", None));
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Stubborn;

#[derive(Debug, serde::Deserialize)]
struct Unsayable;

impl serde::Serialize for Unsayable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this cannot be said"))
    }
}

#[derive(Debug, serde::Serialize)]
struct Unheard;

impl<'de> serde::Deserialize<'de> for Unheard {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this cannot be heard"))
    }
}

// E3
#[test]
fn error_of_encoding_fails_only_its_index() {
    let _dog = Watchdog::new("unsayable");
    let pool = pool();
    let task = |error: ndferry::Error| error.into_task_error().unwrap();
    let argument = task(pool.map(|_: Unsayable| (), [Unsayable]).unwrap_err());
    assert_eq!(
        (argument.kind(), argument.message()),
        (TaskErrorKind::EncodeArgument, "this cannot be said")
    );
    let argument = task(pool.map(|_: Unheard| (), [Unheard]).unwrap_err());
    assert_eq!(argument.kind(), TaskErrorKind::EncodeArgument);
    assert!(argument.message().ends_with("this cannot be heard"), "{argument}");
    let result = task(pool.map(|_: u8| Unsayable, [0]).unwrap_err());
    assert_eq!(
        (result.kind(), result.message()),
        (TaskErrorKind::EncodeResult, "this cannot be said")
    );
    let result = task(pool.map(|_: u8| Unheard, [0]).unwrap_err());
    assert_eq!(
        (result.kind(), result.message()),
        (TaskErrorKind::EncodeResult, "this cannot be heard")
    );
    let context = pool.with(&Unsayable).map(|_, _: u8| (), [0]).unwrap_err().to_string();
    assert!(context.contains("the context cannot be sent: this cannot be said"), "{context}");
    let context = task(pool.with(&Unheard).map(|_, _: u8| (), [0]).unwrap_err());
    assert!(
        context.message().contains("the context cannot be read: this cannot be heard"),
        "{context}"
    );
    assert_eq!(pool.map(|_: Stubborn| 1, [Stubborn]).unwrap(), [1], "the pool goes on");
}

#[derive(Debug)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl Error for Unprintable {}

// E3
#[test]
fn error_with_failing_display_is_reported() {
    let _dog = Watchdog::new("unprintable");
    let error = pool().try_map(|_: u8| Err::<(), _>(Unprintable), [0]).unwrap_err();
    let task = error.task_error().unwrap();
    assert_eq!(task.kind(), TaskErrorKind::Error);
    assert!(task.type_name().unwrap().ends_with("Unprintable"));
}

// E2
#[test]
fn error_inside_a_result_comes_back_as_itself() {
    let _dog = Watchdog::new("result");
    let check = |x: i32| {
        if x > 0 { Ok(x) } else { Err(format!("{x} is not positive")) }
    };
    assert_eq!(pool().map(check, [1, -1]).unwrap(), [Ok(1), Err("-1 is not positive".to_string())]);
}

/// A result that the parent cannot read.
#[derive(Debug, serde::Serialize)]
struct Unreadable(u8);

impl<'de> serde::Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        assert_ne!(number, 2, "two cannot be read");
        Ok(Self(number))
    }
}

// E2
#[test]
fn error_of_a_panic_while_a_result_is_read_costs_one_task() {
    let _dog = Watchdog::new("a result that panics");
    let pool = pool();
    let results = pool.job().keep_going().map(Unreadable, 0..5_u8).unwrap();
    for (at, result) in results.into_iter().enumerate() {
        match result {
            Ok(Unreadable(number)) => assert_eq!(usize::from(number), at),
            Err(error) => {
                assert_eq!((at, error.kind()), (2, TaskErrorKind::EncodeResult));
                assert!(error.message().contains("two cannot be read"), "{error}");
            }
        }
    }
    let error = pool.submit(Unreadable, 2).unwrap().join().unwrap_err();
    assert!(error.to_string().contains("two cannot be read"), "{error}");
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Chain(Option<Box<Chain>>);

#[test]
fn error_of_a_deep_item_names_the_limit() {
    let _dog = Watchdog::new("a deep item");
    let chain = (0..100_000).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
    let error = pool().with(&chain).map(|_: &Chain, _: u8| (), [1]).unwrap_err();
    assert!(error.to_string().contains("more than 512 options or newtypes"), "{error}");
    // Dropping it would overflow the stack.
    std::mem::forget(chain);
}

#[test]
fn error_of_a_replaced_program_says_so() {
    let _dog = Watchdog::new("exec");
    let error = pool()
        .map(|_: u8| panic!("{}", Command::new("sleep").arg("60").exec()), [1])
        .map(|_: Vec<()>| ())
        .unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!(error.kind(), TaskErrorKind::WorkerDied);
    assert!(error.to_string().contains("replaced the program (exec)"), "{error}");
}

/// An error that prints its cause itself.
#[derive(Debug)]
struct Tells(std::num::ParseIntError);

impl fmt::Display for Tells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no number: {}", self.0)
    }
}

impl Error for Tells {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

// E1
#[test]
fn error_prints_each_cause_once() {
    let _dog = Watchdog::new("causes");
    let pool = pool();
    let error = pool
        .try_map(|text: String| text.parse::<u8>().map_err(Tells), [String::from("x")])
        .unwrap_err();
    let cause = "invalid digit found in string";
    assert_eq!(error.to_string().matches(cause).count(), 1, "{error}");
    // The error of a job within a task, or of a file that a task reads.
    let nested = |text: String| {
        let inner = ndferry::Pool::builder().workers(1).test_entry("worker").build()?;
        inner.try_map(|text: String| text.parse::<u8>().map_err(Tells), [text])
    };
    let error = pool.try_map(nested, [String::from("x")]).unwrap_err();
    let chain = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
    let printed: Vec<_> = chain.map(ToString::to_string).collect();
    assert_eq!(printed.join("; ").matches(cause).count(), 1, "{printed:?}");
    let missing = |path: String| ndferry::load::<u8>(path);
    let error = pool.try_map(missing, [String::from("no-such.ferry")]).unwrap_err();
    assert_eq!(error.to_string().matches("No such file").count(), 1, "{error}");
}
