//! Other processes, observed and ended with real signals.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use ndferry::store::Store;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

pub fn pid(process: u32) -> Pid {
    Pid::from_raw(i32::try_from(process).unwrap()).unwrap()
}

/// Sends a signal, unless the process has ended.
pub fn send(process: u32, signal: Signal) {
    let _ = kill_process(pid(process), signal);
}

/// Returns whether this process and its children ignore a signal.
pub fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(ignored, 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

/// Returns the state and the parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub fn lives(process: u32) -> bool {
    // A zombie has ended, unless another of its threads still holds its files and locks. Its
    // parent is dead.
    let threads = fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    let zombie = stat(process).is_some_and(|(state, _)| state == 'Z');
    test_kill_process(pid(process)).is_ok() && !(zombie && threads <= 1)
}

/// Returns the children of a process, their children, and so on.
pub fn descendants(ancestor: u32) -> Vec<u32> {
    let listed = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> =
        listed.filter_map(|process| Some((process, stat(process)?.1))).collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| process));
        next += 1;
    }
    found.split_off(1)
}

/// Stops a process and waits until it is stopped, so that it does not notice other deaths.
pub fn stop(process: u32) {
    send(process, Signal::STOP);
    eventually("the process stands still", || {
        stat(process).is_none_or(|(state, _)| matches!(state, 'T' | 'Z'))
    });
}

/// Kills a process and all its descendants, so that no process can clean up. The caller must
/// wait for it.
pub fn kill_tree(root: u32) {
    stop(root);
    let mut all = descendants(root);
    all.push(root);
    all.iter().for_each(|&process| send(process, Signal::KILL));
    eventually("all are dead", || !all.iter().any(|&process| lives(process)));
}

/// Waits until `done` returns true, for at most a minute.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the part of the path that all files and memfds of the store's session have in common.
pub fn session_name(store: &Store) -> String {
    let home = store.session_dir().file_name().unwrap().to_str().unwrap();
    home.rsplit('-').next().unwrap().to_owned()
}
