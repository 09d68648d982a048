//! Runs the command with captured output, a store of its own and a time limit.

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

/// The directory of the store of all tests.
const STORE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cli");

/// Whether the command runs in an emulator, which is slow and needs memory of its
/// own.
pub fn is_emulated() -> bool {
    std::env::var_os("NDFERRY_TEST_EMULATED").is_some()
}

/// The time limit of a run.
pub fn time_limit() -> Duration {
    Duration::from_secs(if is_emulated() { 120 } else { 60 })
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, or `None` after a signal.
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
    /// Checks that the run succeeded, and returns its stdout.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// Like [`success`](Outcome::success), but parses stdout as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        parse(&self.success())
    }

    /// Checks that the run failed with exit code 1, and one line on stderr with the
    /// path of the file and `reason`.
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

/// The command with these arguments, isolated from other runs.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    isolated(Command::new(env!("CARGO_BIN_EXE_ndferry")), arguments)
}

/// The command with these arguments and a limit on its private memory: heap,
/// stacks and private maps. In an emulator there is no limit.
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

/// Runs the command with these arguments.
#[track_caller]
pub fn ndferry<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Outcome {
    run(command(arguments))
}

/// Runs a command until it exits.
#[track_caller]
pub fn run(mut command: Command) -> Outcome {
    let child = command.spawn().expect("the command starts");
    match wait(child) {
        Some(output) => output.into(),
        None => panic!("still running after {:?}: {command:?}", time_limit()),
    }
}

/// Waits for a child process, and kills it after the time limit.
fn wait(child: Child) -> Option<Output> {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(time_limit());
    if output.is_err() {
        // The child was not waited for, so the id is still in use.
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = waiter.join();
    output.ok().map(|output| output.expect("the child can be waited for"))
}
