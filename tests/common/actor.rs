//! A test program started again, to play a part that a test cannot: one that is killed, one in other surroundings.
//!
//! Which part is told by a variable; what is said goes through pipes, past what the test harness prints.
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

/// Longer than anything takes, under emulation on a busy machine too; then whatever hangs is killed.
pub const WATCHDOG: Duration = Duration::from_secs(600);

/// The part that this process has to play, if it is an actor; it does not outlive the watchdog.
pub fn role() -> Option<String> {
    let role = env::var(ROLE).ok()?;
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        eprintln!("the actor hangs");
        std::process::abort();
    });
    Some(role)
}

/// Whether the tests run under user emulation, where everything takes its time, and memory.
pub fn emulated() -> bool {
    env::var_os("NDFERRY_TEST_EMULATED").is_some()
}

/// Says something to the test.
pub fn say(what: impl Display) {
    println!("actor: {what}");
    io::stdout().flush().unwrap();
}

/// Waits for what the test says, or for its end.
pub fn wait_to_be_told() -> String {
    let mut told = String::new();
    io::stdin().read_line(&mut told).unwrap();
    told.trim_end().to_owned()
}

/// Says, past the harness that would hide it, that a test could not be done here.
pub fn skipped(name: &str, why: impl Display) {
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {why}");
}

/// This program again, killed when the test is done with it.
pub struct Actor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    /// Plays `role` in the `#[test]` of this full name.
    pub fn new(test: &str, role: &str) -> Self {
        Self::start(&mut Command::new(env::current_exe().unwrap()), test, role)
    }

    /// The same by a command that runs this program, or runs what its arguments end with.
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

    /// What it says next, the test harness's own words left out.
    pub fn says(&mut self) -> String {
        self.may_say().unwrap_or_else(|| {
            let complaints = self.complaints();
            panic!(
                "the actor has nothing to say ({}) but: {complaints}",
                self.child.wait().unwrap()
            )
        })
    }

    /// The same; `None` where it has ended.
    pub fn may_say(&mut self) -> Option<String> {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find_map(|line| Some(line.split_once("actor: ")?.1.to_owned()))
    }

    /// Tells it something, should it still be there to hear it.
    pub fn tell(&mut self, what: impl Display) {
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{what}");
    }

    /// What it, and whatever it has started, have written to stderr by the end of them all.
    pub fn complaints(&mut self) -> String {
        let mut complaints = Vec::new();
        self.child.stderr.take().unwrap().read_to_end(&mut complaints).unwrap();
        String::from_utf8_lossy(&complaints).into_owned()
    }

    /// Lets it end in its own way; what it has written to stderr.
    pub fn ends(mut self) -> String {
        drop(self.child.stdin.take());
        let complaints = self.complaints();
        self.lines.by_ref().for_each(drop);
        assert!(self.child.wait().unwrap().success(), "{complaints}");
        complaints
    }

    /// Waits until it has ended, of itself or by somebody else.
    pub fn wait(&mut self) -> ExitStatus {
        // Waiting would close the pipe, which tells it to end.
        let stdin = self.child.stdin.take();
        let status = self.child.wait().unwrap();
        self.child.stdin = stdin;
        status
    }

    /// Kills it and waits for its end.
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
