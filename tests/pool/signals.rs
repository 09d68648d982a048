//! Signals in a real terminal end the program at once, with the signal's own status, and leave
//! nothing behind.

use std::{
    fs::File,
    io::Write as _,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use ndferry::{SharedArray, ndarray::Ix1};
use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Watchdog, builder, eventually, marked, pool, processes};

const PHASES: [&str; 7] =
    ["starting", "building", "running", "encoding", "collecting", "stopping", "after a death"];

/// Moments at which a short phase is interrupted.
const ROUNDS: u64 = 5;

/// A program with its own terminal.
struct Program {
    process: Child,
    terminal: File,
    folder: tempfile::TempDir,
    mark: String,
}

impl Program {
    fn start(part: &str, phase: &str) -> Self {
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal: OwnedFd = rustix::fs::open(&*name, flags, rustix::fs::Mode::empty()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let mark = format!("NDFERRY_TEST_PROGRAM={}", folder.path().display());
        // `setsid --ctty` makes its standard input the controlling terminal, like a login.
        let process = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().unwrap())
            .args([&format!("signals::{part}"), "--exact", "--ignored", "--nocapture"])
            .env("NDFERRY_DIR", folder.path().join("store"))
            .env("NDFERRY_TEST_PROGRAM", folder.path())
            .env("NDFERRY_TEST_PHASE", phase)
            .stdin(Stdio::from(terminal.try_clone().unwrap()))
            .stdout(Stdio::from(terminal.try_clone().unwrap()))
            .stderr(Stdio::from(terminal))
            .spawn()
            .unwrap();
        Self { process, terminal: controller.into(), folder, mark }
    }

    /// Waits until the program reports `what`.
    fn wait_for(&self, what: &str) {
        let path = self.folder.path().join(what);
        eventually(what, || path.exists());
    }

    fn press_ctrl_c(&mut self) {
        self.terminal.write_all(b"\x03").unwrap();
    }

    /// Waits until the program, its processes and its files are gone. Returns its status, and
    /// the time this took.
    fn end(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        let status = self.process.wait().unwrap();
        eventually("every process is gone", || marked(&self.mark) == 0);
        eventually("every file is gone", || is_empty(&self.folder.path().join("store")));
        (status, since.elapsed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

// E7 S1
#[test]
fn signals_in_every_phase_leave_nothing() {
    let _dog = Watchdog::new("signals");
    // Phases that last are interrupted once, short ones at several moments.
    let moments = |phase| if matches!(phase, "starting" | "stopping") { 0..ROUNDS } else { 0..1 };
    for (phase, moment) in
        PHASES.into_iter().flat_map(|phase| moments(phase).map(move |moment| (phase, moment)))
    {
        // A signal that is ignored, as in the background of a script, ends no process.
        for signal in
            [Signal::INT, Signal::TERM].into_iter().filter(|signal| !processes::ignores(*signal))
        {
            let mut program = Program::start("child_waits_in_a_phase", phase);
            program.wait_for("reached");
            // Before the first worker exists, the next program cleans up.
            let workers = format!("NDFERRY_WORKER={}", program.process.id());
            eventually("a worker", || phase != "starting" || marked(&workers) > 0);
            std::thread::sleep(Duration::from_micros(700 * moment));
            if signal == Signal::INT {
                program.press_ctrl_c();
            } else {
                kill_process(Pid::from_child(&program.process), signal).unwrap();
            }
            let (status, took) = program.end();
            println!("{phase}, {signal:?}: all gone after {took:.1?}");
            assert_eq!(status.signal(), Some(signal.as_raw()), "{phase}: {status}");
        }
    }
}

/// Reports that `what` was reached.
fn reached(what: &str) {
    let folder = PathBuf::from(std::env::var_os("NDFERRY_TEST_PROGRAM").unwrap());
    File::create(folder.join(what)).unwrap();
}

/// A result that takes long to encode.
struct Large;

impl Serialize for Large {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reached("reached");
        // The elements go into a file of the store one by one.
        serializer.collect_seq((0..1_u64 << 40).inspect(|x| {
            if x % 1_000_000 == 999_999 {
                std::thread::sleep(Duration::from_millis(50));
            }
        }))
    }
}

impl<'de> Deserialize<'de> for Large {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// A result that takes long to decode.
struct Slow;

impl Serialize for Slow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SharedArray::<f64, Ix1>::from(vec![0.5; 300_000]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _array = SharedArray::<f64, Ix1>::deserialize(deserializer)?;
        reached("reached");
        std::thread::sleep(Duration::from_secs(1000));
        Ok(Self)
    }
}

/// Starts a child process and runs forever.
fn work(array: &SharedArray<f64, Ix1>, _: u32) -> f64 {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    reached("reached");
    child.wait().unwrap();
    array.sum()
}

#[test]
#[ignore = "run by signals_in_every_phase_leave_nothing"]
fn child_waits_in_a_phase() {
    let phase = std::env::var("NDFERRY_TEST_PHASE").unwrap();
    let array = SharedArray::from(vec![1.0; 1_000_000]);
    if phase == "starting" {
        reached("reached");
        // Starting them takes longer than the test.
        let pools: Vec<_> = (0..100).map(|_| builder().build().unwrap()).collect();
        std::thread::sleep(Duration::from_secs(1000));
        drop(pools);
    }
    let pool = builder().build().unwrap();
    match &*phase {
        "building" => {
            let build = |_: &u8| {
                reached("reached");
                std::thread::sleep(Duration::from_secs(1000));
            };
            let _ = pool.with_init(&0_u8, build).map(|_: &mut (), x: u8| x, [0; 4]);
        }
        "running" => drop(pool.with(&array).map(work, 0..4)),
        "encoding" => drop(pool.map(|_: u8| Large, [0; 2])),
        "collecting" => drop(pool.map(|_: u8| Slow, [0; 2])),
        "stopping" => {
            pool.with(&array)
                .map(|array: &SharedArray<f64, Ix1>, i: usize| array[i], 0..4)
                .unwrap();
            // This worker exits only if it is killed.
            pool.map(
                |_: u8| {
                    std::mem::forget(std::thread::spawn(|| {
                        loop {
                            std::thread::yield_now()
                        }
                    }))
                },
                [0],
            )
            .unwrap();
            reached("reached");
            drop(pool);
            drop(array);
        }
        "after a death" => {
            assert!(
                pool.with(&array)
                    .map(|_: &SharedArray<f64, Ix1>, _: u8| -> u8 { std::process::abort() }, [0])
                    .is_err()
            );
            drop(pool.with(&array).map(work, 0..4));
        }
        other => panic!("there is no phase {other}"),
    }
    std::thread::sleep(Duration::from_secs(1000));
}

// S10. The parent dies while its only worker is not yet in the session. A signal that the parent's
// group got before the worker left it must not stop the worker from cleaning up.
#[test]
fn signal_before_init_leaves_no_file() {
    let _dog = Watchdog::new("before init");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut program = Program::start("starts_late", "");
        program.wait_for("waiting");
        let workers = processes::descendants(program.process.id());
        assert_eq!(workers.len(), 1);
        processes::send(workers[0], signal);
        kill_process(Pid::from_child(&program.process), Signal::KILL).unwrap();
        program.process.wait().unwrap();
        assert!(!is_empty(&program.folder.path().join("store")));
        File::create(program.folder.path().join("go")).unwrap();
        program.end();
    }
}

#[test]
#[ignore = "a part of signal_before_init_leaves_no_file"]
fn starts_late() {
    let _pool = builder().workers(1).test_entry("signals::late_worker").build().unwrap();
    std::thread::sleep(Duration::from_secs(1000));
}

/// A worker that waits before it calls `init`. In a run of all tests it does nothing.
#[test]
fn late_worker() {
    if std::env::var_os("NDFERRY_WORKER").is_some() {
        reached("waiting");
        let go = PathBuf::from(std::env::var_os("NDFERRY_TEST_PROGRAM").unwrap()).join("go");
        eventually("told to go on", || go.exists());
    }
    ndferry::init();
}

// S10 E7. Workers are in the program's group until they have their own.
#[test]
fn signal_to_group_while_starting_ends_no_worker() {
    let _dog = Watchdog::new("group");
    let mut program = Program::start("starts_many", "");
    program.wait_for("handles");
    while program.process.try_wait().unwrap().is_none() {
        let _ = kill_process_group(Pid::from_child(&program.process), Signal::INT);
        std::thread::sleep(Duration::from_micros(100));
    }
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "a part of signal_to_group_while_starting_ends_no_worker"]
fn starts_many() {
    let handler: extern "C" fn(libc::c_int) = catch;
    // SAFETY: the handler does one atomic addition, which may be done in a signal handler.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    reached("handles");
    for round in 0..30_u8 {
        assert_eq!(pool().map(|x: u8| x, [round]).unwrap(), [round]);
    }
}

static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn catch(_: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

// E7
#[test]
fn signals_keep_the_programs_own_handler() {
    let _dog = Watchdog::new("handler");
    let mut program = Program::start("child_installs_a_handler", "");
    program.wait_for("running");
    for caught in ["caught 1", "caught 2"] {
        program.press_ctrl_c();
        program.wait_for(caught);
    }
    File::create(program.folder.path().join("go")).unwrap();
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "run by signals_keep_the_programs_own_handler"]
fn child_installs_a_handler() {
    let handler: extern "C" fn(libc::c_int) = catch;
    // SAFETY: the handler performs one atomic addition, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    let watch = || {
        for caught in 1..3 {
            eventually("a signal", || CAUGHT.load(Ordering::Relaxed) >= caught);
            reached(&format!("caught {caught}"));
        }
    };
    std::thread::spawn(watch);
    let pool = builder().build().unwrap();
    let task = |x: u8| {
        reached("running");
        let go = PathBuf::from(std::env::var_os("NDFERRY_TEST_PROGRAM").unwrap()).join("go");
        eventually("told to go on", || go.exists());
        x
    };
    assert_eq!(pool.map(task, [1, 2]).unwrap(), [1, 2]);
}

// E7
#[test]
fn signals_sent_twice_end_the_program_once() {
    if processes::ignores(Signal::INT) {
        eprintln!("left out: interrupts are ignored here, as in the background of a script");
        return;
    }
    let _dog = Watchdog::new("impatient");
    let mut program = Program::start("child_waits_in_a_phase", "running");
    program.wait_for("reached");
    program.terminal.write_all(b"\x03\x03\x03").unwrap();
    let (status, _) = program.end();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
}

// E7
#[test]
fn signals_that_stop_the_parent_keep_workers_running() {
    let _dog = Watchdog::new("stopped");
    let mut program = Program::start("child_waits_in_a_phase", "running");
    program.wait_for("reached");
    // The signal of Ctrl-Z.
    program.terminal.write_all(b"\x1a").unwrap();
    kill_process(Pid::from_child(&program.process), Signal::KILL).unwrap();
    let (status, _) = program.end();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
}
