//! Sessions as a whole, with other processes in them, some of them killed.
//!
//! A process here is this test program, started again. A variable tells it what to do.

#[path = "../../../tests/common/actor.rs"]
mod actor;
mod death;
mod files;
mod full;
mod keep;
mod usage;

use std::{
    env, fs,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{journal::Journal, place::Private, *};
use crate::sys::{self, dir::Dir};
use actor::{Actor, WATCHDOG, say, wait_to_be_told};

const MANNER: Manner = Manner { byte_order: ByteOrder::NATIVE, sealed: false };

/// The identity of a worker.
const WORKER: Member = Member(0x0123_4567_89ab_cdef);

const ACTOR: &str = "store::tests::actor";
const PLACE: &str = "NDFERRY_TEST_PLACE";

/// A test directory with two roots and a place for sessions, and a watchdog.
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
        Store(Session::begin(&self.places(), false).unwrap(), MANNER)
    }

    fn sweep(&self) -> CleanupReport {
        CleanupOptions::new().cleanup_in(&self.places().homes)
    }

    /// Returns everything below the places.
    fn left(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for place in ["home", "one", "two"] {
            walk(&self.path().join(place), &mut left);
        }
        left
    }

    /// Starts this program again with a role.
    fn actor(&self, role: &str) -> Actor {
        Actor::start(Command::new(env::current_exe().unwrap()).env(PLACE, self.path()), ACTOR, role)
    }
}

fn places(path: &Path) -> Places {
    let [home, one, two] =
        ["home", "one", "two"].map(|name| place::find_or_make(&path.join(name)).unwrap());
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

/// Not a test: the body of processes started by [`Scene::actor`].
#[test]
fn actor() {
    let (Some(role), Some(place)) = (actor::role(), env::var_os(PLACE)) else {
        return;
    };
    let path = PathBuf::from(place);
    let begin = || Store(Session::begin(&places(&path), false).unwrap(), MANNER);
    match role.as_str() {
        // Stays alive with a file. "kept" keeps it after its death.
        "live" | "kept" => {
            let store = if role == "live" {
                begin()
            } else {
                Store(Session::begin(&places(&path), true).unwrap(), MANNER)
            };
            let file = store.create(1000).unwrap();
            say(store.session_dir().display());
            say(file.path().display());
            wait_to_be_told();
        }
        // Creates and removes files until it is killed.
        "busy" => {
            let store = begin();
            let mut kept = Vec::new();
            say(store.session_dir().display());
            for round in 0.. {
                kept.push(store.create(round % 5000).unwrap());
                if round % 3 == 0 {
                    kept.swap_remove(kept.len() / 2);
                }
                kept.truncate(300);
            }
        }
        // Begins and ends sessions until it is killed.
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
        // Joins a session, creates a file, and leaves it behind in one way or another.
        "worker" => {
            let store =
                Store::join(Path::new(&wait_to_be_told()), ByteOrder::NATIVE, false, WORKER)
                    .unwrap();
            let mine = store.create(10).unwrap();
            mine.file().write_all_at(b"from afar", 0).unwrap();
            let kept = store.create(20).unwrap();
            say(mine.hand_over().display());
            wait_to_be_told();
            store.leave();
            say(store.create(1).is_err());
            drop(kept);
        }
        // Sweeps and begins a session without support for locks, and reports the errors.
        "lockless" => {
            sys::lock::fault::begin();
            let swept = CleanupOptions::new().cleanup_in(&places(&path).homes);
            say(format_args!(
                "{} {} {}",
                swept.dead.len(),
                swept.failures.len(),
                swept.failures[0]
            ));
            say(Session::begin(&places(&path), false).err().unwrap());
        }
        // Reports what happens if the first root has room for 64 KiB.
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
