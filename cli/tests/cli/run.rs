//! Running the binary: with its output caught, its store in a folder of its own, and never for ever.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// Where the workers of all tests keep what they share.
const STORE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cli");

/// Whether the program under test runs in an emulator, which is slow and takes memory of its own.
pub fn is_emulated() -> bool {
    std::env::var_os("NDFERRY_TEST_EMULATED").is_some()
}

/// How long any run may take before it counts as hanging.
pub fn watchdog() -> Duration {
    Duration::from_secs(if is_emulated() { 120 } else { 10 })
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }
}

impl Outcome {
    /// What was printed by a run that nothing was wrong with.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// As [`success`](Outcome::success), as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        parse(&self.success())
    }

    /// Holds a run that failed for the one file at `path` against what is promised: exit code 1, one line on stderr that
    /// names the file and holds `reason`.
    #[track_caller]
    pub fn assert_failed(&self, path: impl AsRef<Path>, reason: &str) {
        let start = format!("ndferry: {}: ", path.as_ref().display());
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(line.starts_with(&start) && !line.contains('\n'), "{start:?} in {self:?}");
        assert!(line[start.len()..].contains(reason), "{reason:?} in {self:?}");
    }
}

#[track_caller]
pub fn parse(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// The command with these arguments, which no run before or beside it can disturb.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    isolated(Command::new(env!("CARGO_BIN_EXE_ndferry")), arguments)
}

/// The command with these arguments and no more memory of its own than `kibibytes`: heap, stacks and private maps
/// together. In an emulator, which needs much itself, with no limit.
pub fn command_within<A: AsRef<OsStr>>(
    kibibytes: u32,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    if is_emulated() {
        return command(arguments);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -d {kibibytes} && exec \"$0\" \"$@\"")]);
    shell.arg(env!("CARGO_BIN_EXE_ndferry"));
    isolated(shell, arguments)
}

fn isolated<A: AsRef<OsStr>>(
    mut command: Command,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    fs::create_dir_all(STORE).expect("a folder for the store");
    command.args(arguments);
    command.env("NDFERRY_DIR", STORE).env_remove("NDFERRY_WORKERS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary with these arguments.
#[track_caller]
pub fn ndferry<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Outcome {
    run(command(arguments))
}

/// Runs a command to its end.
#[track_caller]
pub fn run(mut command: Command) -> Outcome {
    let child = command.spawn().expect("the binary starts");
    match wait(child) {
        Some(output) => output.into(),
        None => panic!("still running after {:?}: {command:?}", watchdog()),
    }
}

/// Waits for a child, and kills it where it takes too long.
fn wait(child: Child) -> Option<Output> {
    let pid = Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    let waiter = thread::spawn(move || ended.send(child.wait_with_output()));
    let output = end.recv_timeout(watchdog());
    if output.is_err() {
        // Not yet waited for, so the id is still the child's.
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = waiter.join();
    output.ok().map(|output| output.expect("the child can be waited for"))
}
