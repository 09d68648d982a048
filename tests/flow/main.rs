//! Flows: graphs of named steps, with fan-outs and collects, over every backend.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod graphs;
mod oracle;
mod seen;
mod specs;
mod values;

use common::Watchdog;
use ndferry::{
    Pool,
    pool::{Backend, PoolBuilder},
};

/// What a worker of this test program runs.
#[test]
fn worker() {
    ndferry::init();
}

fn builder() -> PoolBuilder {
    Pool::builder().workers(2).test_entry("worker")
}

fn pool() -> Pool {
    builder().build().unwrap()
}

/// A pool over each backend.
fn pools() -> [Pool; 3] {
    let within =
        |backend, workers| Pool::builder().workers(workers).backend(backend).build().unwrap();
    [pool(), within(Backend::Threads, 2), within(Backend::Serial, 1)]
}
