//! Whoever dies: nothing is left. Real signals, real processes.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ndferry::{SharedArray, ndarray::Ix1};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, test_kill_process, waitid};

use crate::{Watchdog, builder, eventually};

fn pid(process: u32) -> Pid {
    Pid::from_raw(process.try_into().unwrap()).unwrap()
}

fn lives(process: u32) -> bool {
    // A zombie has ended, if no other of its threads still holds its files and locks; whoever should have waited for it is dead.
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    test_kill_process(pid(process)).is_ok() && !(zombie && threads <= 1)
}

/// A program with a pool of two workers that sleep over a shared array, and a child of one of them.
struct Victim {
    process: Child,
    home: PathBuf,
    workers: Vec<u32>,
}

impl Victim {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["death::program_that_dies", "--exact", "--ignored", "--nocapture"])
            .env("NDFERRY_DIR", folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut told = |key: &str| loop {
            let line = lines.next().expect("the program says more").unwrap();
            if let Some((_, value)) = line.split_once(key) {
                return value.trim().to_owned();
            }
        };
        let home = PathBuf::from(told("home:"));
        let own = process.id();
        let mut workers = Vec::new();
        eventually("both workers and the child of one run", || {
            workers = children(own);
            workers.len() == 2 && workers.iter().any(|&worker| !children(worker).is_empty())
        });
        for worker in workers.clone() {
            workers.extend(children(worker));
        }
        // Both have mapped the array.
        eventually("the array is there", || files(folder) >= 3);
        Self { process, home, workers }
    }

    fn is_gone(&self, folder: &Path) -> bool {
        self.workers.iter().all(|&worker| !lives(worker)) && files(folder) == 0 && !self.home.exists()
    }
}

fn children(parent: u32) -> Vec<u32> {
    let listed = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    listed
        .filter(|process: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.nth(1) == Some(&parent.to_string())
        })
        .collect()
}

/// Files below `folder`, lock and journal among them.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries.filter_map(Result::ok).map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
#[ignore = "a part of the tests below"]
fn program_that_dies() {
    let pool = builder().build().unwrap();
    let shared = SharedArray::from(vec![1.0; 1_000_000]);
    println!("home: {}", pool.store().home().display());
    let _ = pool.with(&shared).map(
        |shared: &SharedArray<f64, Ix1>, i: u32| {
            if i == 0 {
                let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
                child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_secs(1000));
            shared.sum()
        },
        0..2,
    );
}

// S1
#[test]
fn a_parent_that_dies_leaves_no_process_and_no_file() {
    let _dog = Watchdog::new("parent");
    for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::KILL] {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Victim::start(folder.path());
        kill_process(pid(victim.process.id()), signal).unwrap();
        victim.process.wait().unwrap();
        eventually("everything is gone", || victim.is_gone(folder.path()));
    }
}

// S1
#[test]
fn a_worker_that_dies_is_an_error_of_its_program_which_then_leaves_nothing() {
    let _dog = Watchdog::new("worker");
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Victim::start(folder.path());
    kill_process(pid(victim.workers[0]), Signal::KILL).unwrap();
    victim.process.wait().unwrap();
    eventually("everything is gone", || victim.is_gone(folder.path()));
}

// S1
#[test]
fn a_group_that_dies_at_once_is_swept_by_the_next_store() {
    let _dog = Watchdog::new("group");
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Victim::start(folder.path());
    // The parent stands still before the first of its workers dies, and none of them is left when it does.
    let parent = pid(victim.process.id());
    kill_process(parent, Signal::STOP).unwrap();
    waitid(WaitId::Pid(parent), WaitIdOptions::STOPPED).unwrap();
    for &process in &victim.workers {
        kill_process(pid(process), Signal::KILL).unwrap();
    }
    kill_process(parent, Signal::KILL).unwrap();
    victim.process.wait().unwrap();
    eventually("all are dead", || victim.workers.iter().all(|&worker| !lives(worker)));
    assert!(files(folder.path()) > 0, "nobody was left to clean up");
    // The next program to open a store: one that dies as well, and leaves nothing itself.
    let mut next = Victim::start(folder.path());
    assert!(!victim.home.exists());
    next.process.kill().unwrap();
    next.process.wait().unwrap();
    eventually("everything is gone", || next.is_gone(folder.path()));
}
