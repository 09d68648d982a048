//! The cases of `tests/pool/conformance.rs` over a transport that shares nothing with its
//! workers: frames go through two pipes, without open files and without a page.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/pool/conformance.rs"]
mod conformance;
#[path = "../../../../tests/pool/ledger.rs"]
mod ledger;
mod pipe;

use common::Watchdog;
use conformance::{Capabilities, conformance_tests};
use pipe::PipeTransport;

use super::Transport as _;
use crate::{
    Error, Pool,
    pool::engine::pool_state::{PoolSettings, PoolState, RunsInCaller},
    store::Store,
};

/// What cannot be done over pipes.
const OVER_PIPES: Capabilities = Capabilities {
    runs_in_process: false,
    // Killing a worker in the middle of a task needs a page that says which task it runs.
    kills_single_tasks: false,
    loses_single_tasks: true,
    // Open files, and with them memory that several processes write, do not go through pipes.
    shares_memory: false,
};

/// A worker that runs several tasks at once loses all of them.
const SEVERAL_TASKS: Capabilities = Capabilities { loses_single_tasks: false, ..OVER_PIPES };

/// Whether these tests are left out. A process of the emulator that forks while its other
/// threads are busy sometimes hangs, and each of these workers keeps two threads busy.
fn hangs_here() -> bool {
    common::emulated()
}

fn settings(size: usize) -> PoolSettings {
    PoolSettings {
        store: Store::new().unwrap(),
        size,
        threshold: Some(1 << 20),
        runs_in_caller: RunsInCaller::Never,
        keeps_workers: true,
        max_tasks_per_worker: None,
        max_worker_memory: None,
    }
}

fn build(settings: PoolSettings, transport: PipeTransport) -> Result<Pool, Error> {
    let capabilities = transport.capabilities();
    let pool = PoolState::new(settings, Some(Box::new(transport)), capabilities)?;
    pool.workers.fill(|| pool.start())?;
    Ok(Pool(pool))
}

fn pools() -> Vec<(String, Pool, Capabilities)> {
    if hangs_here() {
        return Vec::new();
    }
    [(2, 1, OVER_PIPES), (2, 3, SEVERAL_TASKS)]
        .into_iter()
        .map(|(size, capacity, capabilities)| {
            let pool = build(settings(size), PipeTransport { capacity }).unwrap();
            (format!("pipes, {capacity} tasks at once"), pool, capabilities)
        })
        .collect()
}

conformance_tests!(pools);

/// What a worker of these tests runs. In the test run itself it does nothing.
#[test]
fn worker() {
    pipe::work();
}

#[test]
fn memory_limit_needs_measurable_workers() {
    let settings = PoolSettings { max_worker_memory: Some(1 << 30), ..settings(1) };
    let error = build(settings, PipeTransport { capacity: 1 }).unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("measured"), "{error}");
}

#[test]
fn workers_run_as_many_tasks_at_once_as_they_can() {
    if hangs_here() {
        return;
    }
    let _dog = Watchdog::new("several tasks at once");
    let pool = build(settings(1), PipeTransport { capacity: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Each task ends when all three have begun.
    let meet = |folder: &std::path::PathBuf, task: u8| {
        std::fs::write(folder.join(task.to_string()), "").unwrap();
        while std::fs::read_dir(folder).unwrap().count() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        task
    };
    let path = folder.path().to_path_buf();
    assert_eq!(pool.with(&path).map(meet, 0..3).unwrap(), [0, 1, 2]);
}

#[test]
fn max_tasks_per_worker_replaces_workers() {
    if hangs_here() {
        return;
    }
    let _dog = Watchdog::new("recycling");
    let settings = PoolSettings { max_tasks_per_worker: Some(2), ..settings(1) };
    let pool = build(settings, PipeTransport { capacity: 1 }).unwrap();
    let processes = pool.map(|_: u8| std::process::id(), 0..6).unwrap();
    assert_eq!(pool.metrics().workers_recycled, 2, "{processes:?}");
    assert!(processes[0] == processes[1] && processes[1] != processes[2], "{processes:?}");
}
