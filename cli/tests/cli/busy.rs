//! A run of `ndferry stats` caught at work: both of its workers are up and map the file.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use crate::run::{command, is_emulated, watchdog};

/// Bytes of the file: more than any machine goes through before it is looked at. An emulator keeps account of every page of
/// a map, and takes its time over each byte.
fn length() -> u64 {
    if is_emulated() { 4 << 30 } else { 1 << 40 }
}

/// The run; it ends with this value.
pub struct Busy {
    parent: Child,
    folder: TempDir,
}

impl Busy {
    /// Starts a run with its store in a folder of its own, and waits until it is at work.
    pub fn start(store: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Without a block on disk.
        File::create(data(&folder)).unwrap().set_len(length()).unwrap();
        let shape = (length() / 8).to_string();
        let options =
            ["stats", "--workers", "2", "--raw", ">f8", "--shape", &shape].map(OsStr::new);
        let mut command = command(options.into_iter().chain([data(&folder).as_os_str()]));
        let parent = command.env("NDFERRY_DIR", store).spawn().unwrap();
        let busy = Self { parent, folder };
        wait_until("both workers map the file", || {
            let workers = busy.workers();
            workers.len() == 2 && workers.iter().all(|&worker| busy.is_mapped_by(worker))
        });
        busy
    }

    /// The worker processes.
    pub fn workers(&self) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids =
            entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        let parent = self.parent.id().to_string();
        pids.filter(|&pid| stat(pid).is_some_and(|[_, parent_of_pid]| parent_of_pid == parent))
            .collect()
    }

    /// Kills every process of the run, so that none lives to clean up after the others.
    pub fn kill(mut self) {
        let (parent, workers) = (Pid::from_child(&self.parent), self.workers());
        // The parent stands still before the first of its workers dies, and none of them is left when it does.
        kill_process(parent, Signal::STOP).unwrap();
        waitid(WaitId::Pid(parent), WaitIdOptions::STOPPED).unwrap();
        workers.iter().for_each(|&worker| kill_process(worker, Signal::KILL).unwrap());
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
        // The first thread of a process can be dead while another still holds its files and locks.
        let threads = |worker: &Pid| {
            fs::read_dir(format!("/proc/{}/task", worker.as_raw_nonzero()))
                .map_or(0, Iterator::count)
        };
        let is_dead = |worker: &Pid| {
            stat(*worker).is_none_or(|[state, _]| state == "Z" || state == "X")
                && threads(worker) <= 1
        };
        wait_until("the workers are dead", || workers.iter().all(is_dead));
    }

    fn is_mapped_by(&self, process: Pid) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.as_raw_nonzero()))
            .unwrap_or_default();
        let path = data(&self.folder);
        maps.lines().any(|line| line.ends_with(path.to_str().unwrap()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("sparse.raw")
}

/// State and parent of a process; `None` where there is none.
fn stat(process: Pid) -> Option<[String; 2]> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // They stand after the name, which is in brackets and may hold anything.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
    Some([fields.next()?, fields.next()?])
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + watchdog();
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {:?}", watchdog());
        thread::yield_now();
    }
}
