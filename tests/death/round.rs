//! One death and its leftovers.

use std::{
    env, fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    actor::Actor,
    processes::{descendants, eventually, kill_tree, lives, send, stop},
    program::TERMINAL,
};

const ACTOR: &str = "program::actor_body";

/// The environment variable that marks the processes of a round.
const MARK: &str = "NDFERRY_TEST_MARK";

/// A round of a case.
pub struct Round {
    dir: tempfile::TempDir,
    actor: Actor,
    /// The program's terminal, if it has one.
    terminal: Option<fs::File>,
    random: u64,
    /// Processes that existed at the end. A killed process loses its environment before its
    /// locks.
    dying: Vec<u32>,
}

/// When nothing may be left.
#[derive(Clone, Copy, PartialEq)]
pub enum Clean {
    /// Soon, because another process cleans up.
    Soon,
    /// When the next store is opened.
    NextStore,
}

impl Round {
    /// Starts the program of a case in its own directory in `place`.
    pub fn new(place: &Path, role: &str, with_terminal: bool, random: u64) -> Self {
        let dir = tempfile::tempdir_in(place).unwrap();
        let mut command = command(dir.path());
        let terminal = with_terminal.then(|| {
            let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
            let terminal = rustix::pty::openpt(flags | rustix::pty::OpenptFlags::CLOEXEC).unwrap();
            rustix::pty::grantpt(&terminal).unwrap();
            rustix::pty::unlockpt(&terminal).unwrap();
            command.env(
                TERMINAL,
                rustix::pty::ptsname(&terminal, Vec::new()).unwrap().to_str().unwrap(),
            );
            fs::File::from(terminal)
        });
        let actor = Actor::start(&mut command, ACTOR, role);
        Self { dir, actor, terminal, random, dying: Vec::new() }
    }

    pub fn is_ready(&mut self) {
        assert_eq!(self.actor.says(), "ready");
    }

    /// Returns a number below `end` that depends on the seed.
    pub fn random(&mut self, end: u64) -> u64 {
        self.random = mix(self.random);
        self.random % end
    }

    /// Waits for less than `microseconds`.
    pub fn random_moment(&mut self, microseconds: u64) {
        let moment = self.random(microseconds);
        thread::sleep(Duration::from_micros(moment));
    }

    pub fn program(&self) -> u32 {
        self.actor.id()
    }

    /// Returns the program's workers, including those that are starting.
    pub fn workers(&self) -> Vec<u32> {
        let of_all = descendants(self.program());
        // Children of workers are not workers.
        let below: Vec<_> = of_all.iter().flat_map(|&process| descendants(process)).collect();
        of_all.into_iter().filter(|process| !below.contains(process)).collect()
    }

    /// Returns one of the workers.
    pub fn a_worker(&mut self) -> u32 {
        loop {
            let workers = self.workers();
            if let Some(below) = (workers.len() as u64).checked_sub(1) {
                return workers[self.random(below + 1) as usize];
            }
        }
    }

    /// Kills the program, and records the processes that it had started.
    pub fn kill_program(&mut self) {
        stop(self.program());
        self.dying = descendants(self.program());
        send(self.program(), Signal::KILL);
    }

    pub fn kill_everything(&mut self) {
        stop(self.program());
        for &process in &self.workers() {
            stop(process);
        }
        kill_tree(self.program());
    }

    pub fn tell(&mut self, what: &str) {
        self.actor.tell(what);
    }

    pub fn says(&mut self) -> String {
        self.actor.says()
    }

    pub fn type_into_terminal(&mut self, key: u8) {
        std::io::Write::write_all(self.terminal.as_mut().unwrap(), &[key]).unwrap();
    }

    /// Checks how the program ended.
    pub fn ends_with(&mut self, expected: impl Into<End>) {
        let status = self.actor.wait();
        assert_eq!(End::from(status), expected.into(), "{status}");
    }

    /// Waits until the program has ended.
    pub fn ends(&mut self) {
        self.actor.wait();
    }

    /// Kills the process group that the task of a killed worker had started.
    pub fn kill_children_of(&self, worker: u32) {
        let _ = rustix::process::kill_process_group(crate::processes::pid(worker), Signal::KILL);
    }

    /// Kills all remaining processes.
    pub fn kill_orphans(&self) {
        for process in self.processes() {
            send(process, Signal::KILL);
        }
    }

    /// Waits until nothing is left, and returns how long that took.
    pub fn leaves_nothing(mut self, clean: Clean) -> Duration {
        let begin = Instant::now();
        if clean == Clean::NextStore {
            let dying = || self.dying.iter().any(|&process| lives(process));
            eventually("every process is gone", || self.processes().is_empty() && !dying());
            let next = Actor::start(&mut command(self.dir.path()), ACTOR, "opens");
            assert_eq!(next.ends(), "");
            assert_eq!(self.files(), <[PathBuf; 0]>::default());
        }
        eventually("nothing is left", || self.files().is_empty() && self.processes().is_empty());
        let took = begin.elapsed();
        let complaints = self.actor.complaints();
        // An emulator prints its own text for an abort.
        let mut lines =
            complaints.lines().filter(|line| !line.is_empty() && !line.starts_with("qemu: "));
        assert!(lines.next().is_none() || complaints.contains("as it was told to"), "{complaints}");
        took
    }

    fn files(&self) -> Vec<PathBuf> {
        files(self.dir.path())
    }

    /// Returns the remaining processes that the program has started.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.dir.path().display());
        let listed = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_marked = |process: &u32| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        };
        listed.filter(|process| is_marked(process) && lives(*process)).collect()
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.kill_orphans();
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env("NDFERRY_DIR", dir).env("TMPDIR", dir).env(MARK, dir);
    command
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        found.extend(files(&path));
        found.push(path);
    }
    found
}

/// How a program ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Signal(i32),
    Code(i32),
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        status.signal().map_or_else(|| Self::Code(status.code().unwrap()), Self::Signal)
    }
}

impl From<Signal> for End {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal.as_raw())
    }
}

impl From<i32> for End {
    fn from(code: i32) -> Self {
        Self::Code(code)
    }
}

/// Returns the next number of the generator splitmix64.
pub fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
