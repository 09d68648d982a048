//! How a session behaves as a whole, with other processes in it: killed ones, too.
//!
//! A process here is this test program again, told by a variable which part to play.

mod death;
mod files;

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{place::Private, *};
use crate::sys;

/// Longer than anything here takes; then whatever hangs is killed.
const WATCHDOG: Duration = Duration::from_secs(60);

/// What a worker is known by.
const WORKER: Member = Member(0x0123_4567_89ab_cdef);

const ROLE: &str = "NDFERRY_TEST_ROLE";
const PLACE: &str = "NDFERRY_TEST_PLACE";

/// Two roots and a place for homes, in a directory of the test's own; and a watchdog for the test.
struct Scene {
    temp: tempfile::TempDir,
    _alive: mpsc::Sender<()>,
}

impl Scene {
    fn new() -> Self {
        let (alive, watched) = mpsc::channel();
        thread::spawn(move || {
            if watched.recv_timeout(WATCHDOG) == Err(mpsc::RecvTimeoutError::Timeout) {
                std::process::abort();
            }
        });
        let scene = Self { temp: tempfile::tempdir().unwrap(), _alive: alive };
        scene.places();
        scene
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    fn places(&self) -> Places {
        places(self.path())
    }

    fn open(&self) -> Store {
        Store(Session::begin(&self.places(), ByteOrder::NATIVE).unwrap())
    }

    fn sweep(&self) -> Sweep {
        Sweeper::new().sweep_in(&self.places().homes)
    }

    /// Everything below the places.
    fn left(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for place in ["home", "one", "two"] {
            walk(&self.path().join(place), &mut left);
        }
        left
    }

    /// This program again, in a part of its own.
    fn actor(&self, role: &str) -> Actor {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "store::tests::an_actor", "--nocapture"]);
        Actor::start(command.env(ROLE, role).env(PLACE, self.path()))
    }
}

fn places(path: &Path) -> Places {
    let [home, one, two] = ["home", "one", "two"].map(|name| place::find_or_make(&path.join(name)).unwrap());
    Places { homes: vec![home], roots: vec![one, two] }
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

/// A process of the test, killed when the test is done with it or when it hangs.
struct Actor {
    child: Child,
    lines: io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Actor {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next, the test harness's own words left out.
    fn says(&mut self) -> String {
        let mut said = self.lines.by_ref().map_while(Result::ok);
        said.find_map(|line| Some(line.strip_prefix("actor: ")?.to_owned())).expect("the actor has something to say")
    }

    fn tell(&mut self, what: impl std::fmt::Display) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(what: impl std::fmt::Display) {
    println!("actor: {what}");
    io::stdout().flush().unwrap();
}

fn wait_to_be_told() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Not a test: what [`Scene::actor`] runs.
#[test]
fn an_actor() {
    let (Ok(role), Some(place)) = (env::var(ROLE), env::var_os(PLACE)) else {
        return;
    };
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        std::process::abort();
    });
    let path = PathBuf::from(place);
    let begin = || Store(Session::begin(&places(&path), ByteOrder::NATIVE).unwrap());
    match role.as_str() {
        // Lives, with a file.
        "live" => {
            let store = begin();
            let file = store.create(1000).unwrap();
            say(store.home().display());
            say(file.path().display());
            wait_to_be_told();
        }
        // Makes and removes files for as long as it lives.
        "busy" => {
            let store = begin();
            let mut kept = Vec::new();
            say(store.home().display());
            for round in 0.. {
                kept.push(store.create(round % 5000).unwrap());
                if round % 3 == 0 {
                    kept.swap_remove(kept.len() / 2);
                }
                kept.truncate(300);
            }
        }
        // Begins and ends sessions for as long as it lives.
        "restless" => {
            say("");
            loop {
                let store = begin();
                let _files: Vec<_> = (0..3).map(|_| store.create(100).unwrap()).collect();
            }
        }
        // Dies with many sessions.
        "many" => {
            let stores: Vec<_> = (0..30).map(|_| begin()).collect();
            let files: Vec<_> = stores.iter().map(|store| store.create(10).unwrap()).collect();
            say(files.len());
            wait_to_be_told();
        }
        // Joins the session it is told of, makes a file and leaves it behind, in one way or another.
        "worker" => {
            let mut home = String::new();
            io::stdin().read_line(&mut home).unwrap();
            let store = Store::join(Path::new(home.trim_end()), ByteOrder::NATIVE, WORKER).unwrap();
            let mine = store.create(10).unwrap();
            mine.file().write_all_at(b"from afar", 0).unwrap();
            let kept = store.create(20).unwrap();
            say(mine.hand_over().display());
            wait_to_be_told();
            store.leave();
            say(store.create(1).is_err());
            drop(kept);
        }
        // Says what happens where the first root holds 64 KiB.
        "small" => {
            let store = begin();
            let one = store.create(16 << 10).unwrap();
            let two = store.create(1 << 20).unwrap();
            say(one.path().starts_with(path.join("one")));
            say(two.path().starts_with(path.join("two")));
            let mut many: Vec<_> = (0..20).map(|_| store.create(16 << 10).unwrap()).collect();
            say(many.pop().unwrap().path().starts_with(path.join("two")));
            say(store.create(1 << 50).unwrap_err());
        }
        other => panic!("no such part: {other}"),
    }
}
