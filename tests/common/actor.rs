//! A test program that is started again in a role that a test itself cannot have, such as a
//! process that is killed.
//!
//! A variable sets the role. Messages go through pipes, so that the test harness's output does
//! not interfere.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    env,
    fmt::Display,
    io::{self, BufRead, BufReader, Lines, Read, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

const ROLE: &str = "NDFERRY_TEST_ROLE";

/// Longer than any test takes, also under emulation on a busy machine. Then hanging processes
/// are killed.
pub const WATCHDOG: Duration = Duration::from_secs(600);

/// Returns the role of this process, if it is an actor. It does not outlive the watchdog.
pub fn role() -> Option<String> {
    let role = env::var(ROLE).ok()?;
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        eprintln!("the actor hangs");
        std::process::abort();
    });
    Some(role)
}

/// Returns whether the tests run under user emulation, which is slow and uses memory.
pub fn emulated() -> bool {
    env::var_os("NDFERRY_TEST_EMULATED").is_some()
}

/// Sends a message to the test.
pub fn say(what: impl Display) {
    println!("actor: {what}");
    io::stdout().flush().unwrap();
}

/// Waits for a message from the test, or for its end.
pub fn wait_to_be_told() -> String {
    let mut told = String::new();
    io::stdin().read_line(&mut told).unwrap();
    told.trim_end().to_owned()
}

/// Reports a skipped test past the test harness, which would hide the message.
pub fn skipped(name: &str, why: impl Display) {
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {why}");
}

/// A process of this program. It is killed at the end of the test.
pub struct Actor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    /// Starts `role` in the `#[test]` with this full name.
    pub fn new(test: &str, role: &str) -> Self {
        Self::start(&mut Command::new(env::current_exe().unwrap()), test, role)
    }

    /// Starts a role with a command that runs this program, or runs the end of its arguments.
    pub fn start(command: &mut Command, test: &str, role: &str) -> Self {
        command.args(["--exact", test, "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next message.
    pub fn says(&mut self) -> String {
        self.may_say().unwrap_or_else(|| {
            let complaints = self.complaints();
            panic!(
                "the actor has nothing to say ({}) but: {complaints}",
                self.child.wait().unwrap()
            )
        })
    }

    /// Returns the next message, or `None` if the process has ended.
    pub fn may_say(&mut self) -> Option<String> {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find_map(|line| Some(line.split_once("actor: ")?.1.to_owned()))
    }

    /// Sends a message, if the process still runs.
    pub fn tell(&mut self, what: impl Display) {
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{what}");
    }

    /// Returns the standard error of the process and its children, when all have ended.
    pub fn complaints(&mut self) -> String {
        let mut complaints = Vec::new();
        self.child.stderr.take().unwrap().read_to_end(&mut complaints).unwrap();
        String::from_utf8_lossy(&complaints).into_owned()
    }

    /// Lets the process end, and returns its standard error.
    pub fn ends(mut self) -> String {
        drop(self.child.stdin.take());
        let complaints = self.complaints();
        self.lines.by_ref().for_each(drop);
        assert!(self.child.wait().unwrap().success(), "{complaints}");
        complaints
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        // `wait` closes this pipe, which would tell the process to end.
        let stdin = self.child.stdin.take();
        let status = self.child.wait().unwrap();
        self.child.stdin = stdin;
        status
    }

    /// Kills the process and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}
