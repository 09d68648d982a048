//! Forked workers. These tests are a program with its own `main`, because a process with
//! threads is not forked and the test harness starts threads. Each test runs in its own
//! process, which is killed if it hangs.
#![cfg(target_os = "linux")]

#[path = "common/processes.rs"]
mod processes;

use std::{
    cell::RefCell,
    fs,
    io::{self, BufRead, BufReader, Write as _},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

use ndferry::{
    Pool, SharedArray,
    dtype::ByteOrder,
    ndarray::{Ix1, Ix2},
    pool::{Backend, CancelToken, TaskErrorKind, TaskEvent, fork_map},
    store::Store,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The environment variable with the name of the one test that this process runs.
const ONE: &str = "NDFERRY_TEST_ONE";
/// The time limit of a test.
const LIMIT: Duration = Duration::from_secs(120);

macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), $name as fn())),*] };
}

fn main() -> ExitCode {
    ndferry::init();
    let tests = tests![
        a_closure_may_capture_anything_by_reference,
        a_large_value_with_a_lock_is_not_copied,
        other_threads_are_an_error_at_once,
        every_verb_and_option_works,
        a_stream_takes_what_it_needs_and_ends_when_dropped,
        a_dead_worker_costs_one_task_and_is_forked_anew,
        a_panic_tells_its_place_and_spoils_no_other_task,
        a_task_that_takes_too_long_is_killed,
        an_error_is_told_as_it_is,
        arrays_travel_through_the_store,
        memory_that_is_meant_to_be_shared_is,
        an_array_being_filled_is_a_tasks_own_copy,
        what_is_printed_is_printed_once,
        nothing_inherited_is_dropped_in_a_worker,
        a_worker_keeps_the_users_descriptors_and_no_others,
        what_belongs_to_the_parent_is_refused_in_a_task,
        a_task_can_have_workers_of_its_own,
        a_task_of_a_pool_can_fork,
        a_parent_that_dies_leaves_no_process_and_no_file,
        fork_by_the_user_owns_nothing,
        fork_in_a_task_does_not_keep_the_store,
    ];
    let parts = tests![program_that_prints, program_that_dies];
    if let Some(one) = std::env::var_os(ONE) {
        let (_, test) = tests
            .iter()
            .chain(&parts)
            .find(|(name, _)| one == *name)
            .expect("there is such a test");
        test();
        return ExitCode::SUCCESS;
    }
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        println!(
            "left out: under emulation the emulator's threads run in every process, which is therefore not forked"
        );
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(part)));
    let failed: Vec<_> = chosen.filter(|(name, _)| !passes(name)).collect();
    println!("\nfork tests: {} failed", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn part(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ONE, name);
    command
}

fn passes(name: &str) -> bool {
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = || log.reopen().unwrap();
    // Both append to the same file.
    let append = || fs::OpenOptions::new().append(true).open(log.path()).unwrap();
    let mut process =
        part(name).stdin(Stdio::null()).stdout(append()).stderr(append()).spawn().unwrap();
    let until = Instant::now() + LIMIT;
    let status = loop {
        match process.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() >= until => {
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let passed = status.is_some_and(|status| status.success());
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    if !passed {
        match status {
            Some(status) => println!("{status}"),
            None => println!("it hangs"),
        }
        println!("{}", io::read_to_string(output()).unwrap());
    }
    passed
}

/// Repeats until `done` returns true, for at most a minute.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn end_of_this_process() -> ! {
    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
    unreachable!("it is dead");
}

// P7
fn a_closure_may_capture_anything_by_reference() {
    let seen = RefCell::new(vec![10, 20, 30]);
    let name = String::from("x");
    let results = fork_map(2, 0..3, |i: usize| format!("{name}{}", seen.borrow()[i])).unwrap();
    assert_eq!(results, ["x10", "x20", "x30"]);
    assert!(fork_map(2, [], |x: u8| x).unwrap().is_empty());
    let many = fork_map(3, 0..10_000u64, |x| (x, std::process::id())).unwrap();
    assert!(
        many.iter()
            .enumerate()
            .all(|(at, (x, process))| *x == at as u64 && *process != std::process::id())
    );
    // A change by a task is visible in its own worker and not in this process.
    let lengths = fork_map(1, 0..3, |x| {
        seen.borrow_mut().push(x);
        seen.borrow().len()
    });
    assert_eq!((lengths.unwrap(), seen.borrow().len()), (vec![4, 5, 6], 3));
    // The next job sees the values of this moment.
    seen.borrow_mut().push(40);
    assert_eq!(fork_map(1, [3], |i: usize| seen.borrow()[i]).unwrap(), [40]);
    // Items that cannot be serialized are captured.
    let items = [Mutex::new(1), Mutex::new(2)];
    assert_eq!(fork_map(2, 0..items.len(), |i| *items[i].lock().unwrap()).unwrap(), [1, 2]);
    assert!(fork_map(0, [1], |x: u8| x).unwrap_err().is_invalid_input());
}

// P7
fn a_large_value_with_a_lock_is_not_copied() {
    struct Model {
        weights: Vec<u64>,
        asked: Mutex<u64>,
    }
    /// Returns the bytes that no other process has mapped.
    fn private() -> u64 {
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let figures =
            rollup.lines().filter_map(|line| line.strip_prefix("Private_")?.split_once(':'));
        let figures = figures.filter(|(kind, _)| *kind != "Hugetlb");
        figures
            .map(|(_, kib)| kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
            .sum()
    }
    let model = Model { weights: (0..150_000_000 / 8).collect(), asked: Mutex::new(0) };
    let expected: u64 = model.weights.iter().sum();
    let workers = fork_map(2, 0..6, |_: u8| {
        let before = private();
        *model.asked.lock().unwrap() += 1;
        let sum: u64 = model.weights.iter().sum();
        // So that both workers are used.
        thread::sleep(Duration::from_millis(20));
        (std::process::id(), sum, before, private())
    });
    let workers = workers.unwrap();
    assert!(workers.iter().any(|worker| worker.0 != workers[0].0), "{workers:?}");
    for (_, sum, before, after) in workers {
        assert_eq!(sum, expected);
        assert!(
            before.max(after) < 10 << 20,
            "a worker has {before}, then {after} bytes of its own"
        );
    }
    assert_eq!(*model.asked.lock().unwrap(), 0);
}

// P7
fn other_threads_are_an_error_at_once() {
    let (end, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv());
    let refused = Pool::builder().workers(2).fork().err();
    for refused in [fork_map(2, [1], |x: u8| x).err(), refused] {
        let error = refused.expect("it is refused");
        assert!(
            error.is_invalid_input()
                && error.to_string().contains("1 other thread runs in this process"),
            "{error}"
        );
    }
    drop(end);
    assert!(other.join().unwrap().is_err());
    // A worker that has just ended does not count.
    for _ in 0..50 {
        thread::scope(|scope| drop(scope.spawn(|| ())));
        assert_eq!(fork_map(1, [1], |x: u8| x).unwrap(), [1]);
    }
    // If the worker of a stream dies, the stream needs another fork.
    let state = RefCell::new(());
    let calls = Pool::builder().workers(1).fork().unwrap().retries(1);
    let mut stream = calls
        .imap(
            |x: u8| {
                let _state = state.borrow();
                if x == 1 {
                    end_of_this_process();
                }
                x
            },
            [0, 1],
        )
        .unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 0);
    let (end, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv());
    let error = stream.next().unwrap().unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("other thread runs"), "{error}");
    drop(end);
    assert!(other.join().unwrap().is_err());
}

fn every_verb_and_option_works() {
    let one = Mutex::new(1);
    let add = |x: u64| x + *one.lock().unwrap();
    let parse = |text: String| text.parse::<u64>().map(add);
    let texts = || ["1", "2", "3"].map(String::from);
    let fork = || Pool::builder().workers(2).fork().unwrap();
    assert_eq!(fork().map(add, [1, 2, 3]).unwrap(), [2, 3, 4]);
    assert_eq!(fork().try_map(parse, texts()).unwrap(), [2, 3, 4]);
    assert_eq!(fork().imap(add, 1..=3).unwrap().map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(
        fork().try_imap(parse, texts()).unwrap().map(Result::unwrap).collect::<Vec<_>>(),
        [2, 3, 4]
    );
    let table = SharedArray::from(vec![1.0f64; 10]);
    let sum = |block: SharedArray<f64, Ix1>| block.sum() * *one.lock().unwrap() as f64;
    assert_eq!(fork().map(sum, [table.clone(), table]).unwrap(), [10.0, 10.0]);

    let mut done = 0;
    let count = |progress: &ndferry::pool::JobProgress| {
        done += u32::from(matches!(progress.event, TaskEvent::Done(_)))
    };
    fork().progress(count).batch_size(2).prefetch_batches(0).map(add, 0..10).unwrap();
    assert_eq!(done, 10);
    let sleep = |_: u8| thread::sleep(Duration::from_secs(600));
    let error = fork().deadline(Duration::from_millis(50)).map(sleep, [1, 2]).unwrap_err();
    assert_eq!(error.task_error().unwrap().kind(), TaskErrorKind::Cancelled);
    let token = CancelToken::new();
    token.cancel();
    assert!(fork().cancel_token(&token).map(sleep, [1, 2]).is_err());
    // A worker's copy of a token cancels nothing here and wakes no thread.
    let token = CancelToken::new();
    fork().cancel_token(&token).map(|_: u8| token.cancel(), 0..10).unwrap();
    assert!(!token.is_cancelled());

    let recycled = Pool::builder().workers(1).max_tasks_per_worker(2).fork().unwrap();
    let processes = recycled.map(|_: u8| std::process::id(), 0..4).unwrap();
    assert!(processes[0] == processes[1] && processes[1] != processes[2], "{processes:?}");
    for builder in
        [Pool::builder().test_entry("x"), Pool::builder().backend(ndferry::pool::Backend::Threads)]
    {
        assert!(builder.fork().unwrap_err().is_invalid_input());
    }
}

// P5
fn a_stream_takes_what_it_needs_and_ends_when_dropped() {
    let taken = std::cell::Cell::new(0u64);
    let items = (0..).inspect(|_| taken.set(taken.get() + 1));
    let state = Mutex::new(100);
    let mut stream = Pool::builder()
        .workers(2)
        .fork()
        .unwrap()
        .imap(|x: u64| (x + *state.lock().unwrap(), std::process::id()), items)
        .unwrap();
    let (first, worker) = stream.next().unwrap().unwrap();
    assert_eq!(first, 100);
    // Two workers, one batch of one ahead, and the item that is looked at.
    assert!(taken.get() <= 5, "{} were taken", taken.get());
    assert_eq!(
        stream.by_ref().take(100).map(|pair| pair.unwrap().0).collect::<Vec<_>>(),
        (101..201).collect::<Vec<_>>()
    );
    drop(stream);
    let worker = Pid::from_raw(worker.try_into().unwrap()).unwrap();
    assert!(test_kill_process(worker).is_err(), "the worker has ended, and was waited for");
}

// P1 E5
fn a_dead_worker_costs_one_task_and_is_forked_anew() {
    let state = RefCell::new(5);
    let fate = |x: u64| {
        if x == 7 {
            end_of_this_process();
        }
        x + *state.borrow()
    };
    for batch in [1, 5] {
        let calls = Pool::builder().workers(2).fork().unwrap().batch_size(batch).keep_going();
        let results = calls.map(fate, 0..20).unwrap();
        for (at, result) in results.iter().enumerate() {
            match result {
                Ok(sum) => assert_eq!(*sum, at as u64 + 5),
                Err(error) => {
                    assert_eq!(
                        (at, error.kind(), error.signal()),
                        (7, TaskErrorKind::WorkerDied, Some(9)),
                        "{error}"
                    );
                }
            }
        }
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    }
    assert!(fork_map(2, 0..20, fate).unwrap_err().is_task());
    let calls = Pool::builder().workers(1).fork().unwrap().retries(2).keep_going();
    let results = calls.map(fate, 6..9).unwrap();
    assert_eq!(results[1].as_ref().unwrap_err().attempt(), 3);
    assert!(results[0].is_ok() && results[2].is_ok());
}

// E1
fn a_panic_tells_its_place_and_spoils_no_other_task() {
    let state = Mutex::new(0);
    let task = |x: u64| {
        let mut state = state.lock().expect("the lock is not poisoned");
        *state += 1;
        assert!(x % 4 != 0, "{x} can be divided");
        *state -= 1;
        *state + x
    };
    for batch in [1, 3, 40] {
        let calls = Pool::builder().workers(2).fork().unwrap().batch_size(batch).keep_going();
        let results = calls.map(task, 0..40).unwrap();
        for (at, result) in (0..).zip(&results) {
            match result {
                Ok(sum) => assert!(at % 4 != 0 && *sum == at),
                Err(error) => {
                    assert!(at % 4 == 0 && error.kind() == TaskErrorKind::Panic, "{at}: {error}");
                    let text = error.to_string();
                    let parts = [
                        format!("{at} can be divided"),
                        "tests/fork.rs:".into(),
                        "spoils_no_other_task".into(),
                    ];
                    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
                }
            }
        }
    }
    // A stream gives up a worker that it has no task for.
    let calls = Pool::builder().workers(1).fork().unwrap().prefetch_batches(0).keep_going();
    let failed = calls.imap(task, 0..10).unwrap().map(|result| result.is_err());
    assert!((0..).zip(failed).all(|(at, failed)| failed == (at % 4 == 0)));
    let mut left = RefCell::new(0);
    *left.get_mut() = 1;
    // A retry runs in another fork, with the state as it was.
    let calls = Pool::builder().workers(1).fork().unwrap().retries(1).keep_going();
    let results =
        calls.map(|x: u64| assert!(left.replace(0) == 1 && x == 0, "twice"), [0, 1, 0]).unwrap();
    let twice = |result: &Result<(), _>| {
        result.as_ref().is_err_and(|error: &ndferry::pool::TaskError| error.attempt() == 2)
    };
    assert!(results[0].is_ok() && twice(&results[1]), "{results:?}");
}

// P3
fn a_task_that_takes_too_long_is_killed() {
    let state = Mutex::new(());
    let calls =
        Pool::builder().workers(2).fork().unwrap().timeout(Duration::from_secs(1)).keep_going();
    let sleep = |x: u64| {
        let _state = state.lock().unwrap();
        if x == 1 {
            thread::sleep(Duration::from_secs(600));
        }
        x
    };
    let results = calls.map(sleep, 0..4).unwrap();
    assert_eq!(results[1].as_ref().unwrap_err().kind(), TaskErrorKind::Timeout);
    assert!([0, 2, 3].into_iter().all(|at| *results[at].as_ref().unwrap() == at as u64));
}

// E2 E4
fn an_error_is_told_as_it_is() {
    let call = || Pool::builder().workers(2).fork().unwrap();
    let error =
        call().try_map(|text: String| text.parse::<u8>(), ["1".into(), "x".into()]).unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!((error.kind(), error.index()), (TaskErrorKind::Error, 1));
    assert!(error.to_string().contains("invalid digit"), "{error}");
    let error = call()
        .label("a name")
        .map(
            |x: u8| {
                if x == 1 {
                    std::process::exit(0)
                }
            },
            [1],
        )
        .unwrap_err()
        .to_string();
    assert!(error.contains("a name"), "{error}");
    let error = call()
        .map(
            |x: u8| {
                if x == 1 {
                    std::process::abort()
                }
            },
            [1],
        )
        .unwrap_err();
    assert_eq!(error.task_error().unwrap().signal(), Some(6));
    let results = fork_map(2, ["1", "x"].map(String::from), |text: String| {
        text.parse::<u8>().map_err(|e| e.to_string())
    });
    assert!(results.unwrap()[1].is_err());
}

/// Files below `folder`, lock and journal among them.
fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 })
        .sum()
}

// S1 P4
fn arrays_travel_through_the_store() {
    for byte_order in [ByteOrder::Little, ByteOrder::Big] {
        let store = Store::builder().byte_order(byte_order).build().unwrap();
        let captured = SharedArray::from(vec![2.0; 300_000]);
        let sent = SharedArray::from(vec![3.0; 300_000]);
        let calls = Pool::builder().workers(2).store(&store).fork().unwrap().keep_going();
        let task = |(array, fate): (SharedArray<f64, Ix1>, u8)| {
            let results = (&*array * &*captured, captured.clone(), array.clone());
            let results = (SharedArray::from(results.0), results.1, results.2);
            if fate == 1 {
                end_of_this_process();
            }
            results
        };
        let results = calls.map(task, [0, 0, 1, 0].map(|fate| (sent.clone(), fate))).unwrap();
        assert!(results[2].is_err());
        for (products, again, back) in [0, 1, 3].map(|at| results[at].as_ref().unwrap()) {
            assert_eq!((products[0], products[299_999], products.len()), (6.0, 6.0, 300_000));
            assert_eq!((again.sum(), back.sum()), (600_000.0, 900_000.0));
            assert_eq!(
                products.copy_reason().is_none(),
                byte_order == ByteOrder::NATIVE,
                "{byte_order}"
            );
        }
        assert!(!store.files().unwrap().is_empty());
        drop((results, captured, sent));
        assert!(store.files().unwrap().is_empty());
        // The parent's membership in the session is unaffected by the forks.
        let home = store.session_dir().to_path_buf();
        assert!(home.join("lock").exists());
        drop(store);
        assert!(!home.exists());
    }
}

fn memory_that_is_meant_to_be_shared_is() {
    let store = Store::memfd().unwrap();
    let array = SharedArray::from(vec![2.0; 300_000]);
    let done = store.atomics(1).unwrap();
    let calls = Pool::builder().workers(2).store(&store).fork().unwrap();
    let task = |array: SharedArray<f64, Ix1>| {
        done[0].fetch_add(1, Ordering::Relaxed);
        SharedArray::from(&*array + 1.0)
    };
    for result in calls.map(task, vec![array; 4]).unwrap() {
        assert_eq!(result.sum(), 900_000.0);
    }
    assert_eq!(done[0].load(Ordering::Relaxed), 4);
}

fn an_array_being_filled_is_a_tasks_own_copy() {
    for store in [Store::new().unwrap(), Store::memfd().unwrap()] {
        let mut array = store.zeros::<f64, _>(100_000).unwrap();
        array.fill(1.0);
        let shared = RefCell::new(Some(array));
        let task = |x: u64| {
            let mut shared = shared.borrow_mut();
            let array = shared.as_mut().unwrap();
            let before = array.sum();
            array.fill(x as f64);
            (before, array.sum())
        };
        let job = Pool::builder().workers(1).fork().unwrap();
        let mut stream = job.imap(task, 5..).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), (100_000.0, 500_000.0));
        assert_eq!(shared.borrow().as_ref().unwrap().sum(), 100_000.0);
        assert_eq!(stream.next().unwrap().unwrap(), (500_000.0, 600_000.0));
        // No other process has it mapped for writing, so it can be sealed while the worker is
        // alive.
        let array = shared.take().unwrap().freeze().unwrap();
        assert_eq!(array.sum(), 100_000.0);
        assert_eq!(stream.next().unwrap().unwrap(), (600_000.0, 700_000.0));
    }
}

fn what_is_printed_is_printed_once() {
    let output = part("program_that_prints").output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    for word in ["before", "line", "task", "after"] {
        assert_eq!(printed.matches(word).count(), 1, "{printed:?}");
    }
}

fn program_that_prints() {
    print!("before ");
    fork_map(2, [0, 1, 2], |x: u8| match x {
        0 => println!("line"),
        1 => print!("task "),
        _ => (),
    })
    .unwrap();
    print!("after");
}

fn nothing_inherited_is_dropped_in_a_worker() {
    struct Tells(PathBuf);
    impl Drop for Tells {
        fn drop(&mut self) {
            let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
            writeln!(file, "{}", std::process::id()).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped");
    let tells = Tells(path.clone());
    thread_local! {
        static KEPT: RefCell<Option<Tells>> = const { RefCell::new(None) };
    }
    KEPT.set(Some(Tells(path.clone())));
    assert_eq!(
        fork_map(2, 0..10, |x: u8| x + u8::from(tells.0.exists())).unwrap(),
        (0..10).collect::<Vec<_>>()
    );
    assert!(!path.exists());
    drop((tells, KEPT.take()));
    let own = format!("{}\n", std::process::id());
    assert_eq!(fs::read_to_string(path).unwrap(), own.repeat(2));
}

fn a_worker_keeps_the_users_descriptors_and_no_others() {
    let (mine, theirs) = UnixStream::pair().unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    pool.map(|x: u8| x, [1]).unwrap();
    let home = pool.store().session_dir().to_path_buf();
    let workers = fork_map(2, 0..4, |_: u8| {
        thread::sleep(Duration::from_millis(20));
        let open: Vec<_> = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_owned()))
            .collect();
        let mut sockets: Vec<_> =
            open.iter().filter(|file| file.starts_with("socket:")).cloned().collect();
        sockets.sort();
        sockets.dedup();
        // The channel of the worker, and the files that the user has opened.
        let keeps = [mine.as_raw_fd(), theirs.as_raw_fd()]
            .map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")));
        let keeps = keeps.map(|link| sockets.contains(&link.unwrap().to_str().unwrap().to_owned()));
        let locks = ["lock", "journal"]
            .map(|name| open.contains(&home.join(name).to_str().unwrap().to_owned()));
        (sockets.len(), keeps, locks)
    });
    assert_eq!(workers.unwrap(), [(3, [true, true], [false, false]); 4]);
    assert_eq!(pool.map(|x: u8| x, [1]).unwrap(), [1]);
}

fn what_belongs_to_the_parent_is_refused_in_a_task() {
    let store = Store::new().unwrap();
    let pool = Pool::builder().workers(1).store(&store).build().unwrap();
    let array = SharedArray::from(vec![1.0; 300_000]);
    let again = pool.with(&array).map(|array: &SharedArray<f64, Ix1>, _: u8| array.sum(), [1]);
    assert_eq!(again.unwrap(), [300_000.0]);
    let files = store.files().unwrap();
    assert_eq!(files.len(), 1);
    let stream = pool.job().imap(|x: u8| x, [1, 2, 3]).unwrap();
    let kept = RefCell::new(Some((store.clone(), pool.clone(), array, stream)));
    let errors = fork_map(1, 0..3, |what: u8| match what {
        0 => {
            let mut kept = kept.borrow_mut();
            let (store, pool, _, stream) = kept.as_mut().unwrap();
            let errors = [
                pool.map(|x: u8| x, [1]).unwrap_err(),
                pool.submit(|x: u8| x, 1).err().unwrap(),
                stream.next().unwrap().unwrap_err(),
                store.zeros::<f64, _>(10).err().unwrap(),
            ];
            errors.iter().map(ToString::to_string).collect()
        }
        // Dropping the copies ends nothing that belongs to the parent.
        1 => {
            drop(kept.borrow_mut().take());
            Vec::new()
        }
        _ => vec![fs::read_dir("/proc/self/fd").unwrap().count().to_string()],
    });
    let errors = errors.unwrap();
    assert_eq!(errors[0].len(), 4);
    assert!(
        errors[0].iter().all(|error| error.contains("the process that this one was forked from")),
        "{errors:?}"
    );
    let (_, pool, array, stream) = kept.take().unwrap();
    assert_eq!(store.files().unwrap(), files);
    assert!(files[0].exists());
    assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    let again = pool.with(&array).map(|array: &SharedArray<f64, Ix1>, _: u8| array.sum(), [1]);
    assert_eq!(again.unwrap(), [300_000.0]);
}

// P11
fn a_task_can_have_workers_of_its_own() {
    let base = Mutex::new(10);
    let sums = fork_map(2, [1, 2], |x: u64| {
        let inner = Pool::builder().workers(1).build().map_err(|error| error.to_string())?;
        let base = *base.lock().unwrap();
        let sums = inner.with(&base).map(|base: &u64, x: u64| base + x, [x, 10 * x]);
        sums.map(|both| both.iter().sum::<u64>()).map_err(|error| error.to_string())
    });
    assert_eq!(sums.unwrap(), [Ok(31), Ok(42)]);
    let sums = fork_map(2, [1, 2], |x: u64| {
        let local = Mutex::new(x);
        let sums =
            fork_map(2, [1, 2, 3], |y: u64| *base.lock().unwrap() * *local.lock().unwrap() + y);
        sums.map(|sums| sums.iter().sum::<u64>()).map_err(|error| error.to_string())
    });
    assert_eq!(sums.unwrap(), [Ok(36), Ok(66)]);
}

// P11
fn a_task_of_a_pool_can_fork() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let sums = pool.try_map(
        |x: u64| {
            let local = Mutex::new(x);
            fork_map(2, 0..10, |y: u64| *local.lock().unwrap() + y)
                .map(|sums| sums.iter().sum::<u64>())
        },
        [1, 2, 3],
    );
    assert_eq!(sums.unwrap(), [55, 65, 75]);
}

/// Forks this process as other libraries do, which know nothing of ndferry.
fn fork_without_ndferry() -> Option<i32> {
    // SAFETY: the new process only uses what belongs to this thread, and the C library's memory,
    // which a fork keeps usable.
    match unsafe { libc::fork() } {
        0 => None,
        process => Some(process),
    }
}

fn wait_for_exit(process: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a number that the call may write to.
    assert_eq!(unsafe { libc::waitpid(process, &mut status, 0) }, process);
    assert!(libc::WIFEXITED(status), "{status:x}");
    libc::WEXITSTATUS(status)
}

// S1
fn fork_by_the_user_owns_nothing() {
    for backend in [Backend::Processes, Backend::Threads] {
        let store = Store::new().unwrap();
        let pool = Pool::builder().workers(2).store(&store).backend(backend).build().unwrap();
        let array = SharedArray::from(vec![1.0; 300_000]);
        let sum = |array: &SharedArray<f64, Ix1>, _: u8| array.sum();
        assert_eq!(pool.with(&array).map(sum, [1]).unwrap(), [300_000.0]);
        let made = store.from_shape_fn(1000, |_| 2.0);
        let mut filled = store.zeros::<f64, _>(1000).unwrap();
        filled.fill(3.0);
        let submitted = pool.submit(|x: u8| x, 5).unwrap();
        let files = store.files().unwrap();
        let owned = (store, pool, array, made, filled, submitted);
        let Some(child) = fork_without_ndferry() else {
            let (store, pool, ..) = &owned;
            let errors = [store.zeros::<f64, _>(10).err(), pool.map(|x: u8| x, [1]).err()];
            let refused = errors.iter().all(|error| {
                error.as_ref().is_some_and(|error| error.to_string().contains("was forked from"))
            });
            drop(owned);
            // Runs what the program has registered for its end.
            std::process::exit(if refused { 0 } else { 1 })
        };
        assert_eq!(wait_for_exit(child), 0);
        let (store, pool, array, made, filled, submitted) = owned;
        assert_eq!(store.files().unwrap(), files);
        assert!(files.iter().all(|file| file.exists()), "{files:?}");
        assert_eq!(submitted.join().unwrap(), 5);
        assert_eq!(pool.with(&array).map(sum, [1]).unwrap(), [300_000.0]);
        assert_eq!(made.unwrap().sum() + filled.freeze().unwrap().sum(), 5000.0);
        let home = store.session_dir().to_path_buf();
        drop((store, pool, array));
        assert!(!home.exists());
    }
}

// S1 S3
fn fork_in_a_task_does_not_keep_the_store() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let home = pool.store().session_dir().to_path_buf();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("process");
    let task = |told: &PathBuf, _: u8| -> u8 {
        match fork_without_ndferry() {
            Some(process) => {
                fs::write(told, process.to_string()).unwrap();
                // The worker dies without leaving the session.
                std::process::abort()
            }
            None => {
                // SAFETY: the call has no conditions.
                unsafe { libc::setsid() };
                thread::sleep(LIMIT);
                // SAFETY: the call has no conditions.
                unsafe { libc::_exit(0) }
            }
        }
    };
    pool.with(&told).map(task, [0]).unwrap_err();
    let left: i32 = fs::read_to_string(told).unwrap().parse().unwrap();
    let left = Pid::from_raw(left).unwrap();
    drop(pool);
    let gone = !home.exists();
    assert!(test_kill_process(left).is_ok(), "the process that the task started lives");
    kill_process(left, Signal::KILL).unwrap();
    assert!(gone, "the session of a dropped pool ends although {left:?} lives");
}

fn children(parent: u32) -> Vec<u32> {
    let listed = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    listed
        .filter(|process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.nth(1) == Some(&parent.to_string())
        })
        .collect()
}

fn lives(process: u32) -> bool {
    // A zombie has ended; the process that should have waited for it is dead.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

// S1 E7
fn a_parent_that_dies_leaves_no_process_and_no_file() {
    // Skip signals that are ignored, as in the background of a script.
    let deadly = [Signal::KILL, Signal::TERM, Signal::INT]
        .into_iter()
        .filter(|signal| !processes::ignores(*signal));
    for signal in deadly {
        let folder = tempfile::tempdir().unwrap();
        let mut program = part("program_that_dies")
            .env("NDFERRY_DIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let home = PathBuf::from(lines.next().unwrap().unwrap());
        let mut processes = Vec::new();
        eventually("both workers and the child of one run", || {
            processes = children(program.id());
            processes.len() == 2 && processes.iter().any(|&worker| !children(worker).is_empty())
        });
        for worker in processes.clone() {
            processes.extend(children(worker));
        }
        eventually("the arrays are there", || files(folder.path()) >= 3);
        kill_process(Pid::from_raw(program.id().try_into().unwrap()).unwrap(), signal).unwrap();
        program.wait().unwrap();
        eventually("everything is gone", || {
            !processes.iter().any(|&process| lives(process))
                && files(folder.path()) == 0
                && !home.exists()
        });
    }
}

fn program_that_dies() {
    let store = Store::new().unwrap();
    println!("{}", store.session_dir().display());
    let state = Mutex::new(());
    let calls = Pool::builder().workers(2).store(&store).fork().unwrap();
    let array = SharedArray::from(ndferry::ndarray::Array2::<f64>::ones((1000, 1000)));
    let items = [0, 1].map(|number| (array.clone(), number));
    let slept = calls.map(
        |(array, number): (SharedArray<f64, Ix2>, u8)| {
            let _state = state.lock().unwrap();
            if number == 0 {
                Command::new("sleep").arg("1000").spawn().unwrap().wait().unwrap();
            }
            thread::sleep(Duration::from_secs(1000));
            array.sum()
        },
        items,
    );
    drop(slept);
}
