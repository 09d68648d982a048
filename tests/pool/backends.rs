//! The cases of [`conformance`] over every backend, and what only some backends can do.

use std::{sync::OnceLock, time::Duration};

use ndferry::{Pool, dtype::ByteOrder, pool::Backend, store::Store};

use crate::{
    Watchdog, builder,
    conformance::{self, Capabilities, conformance_tests},
};

const PROCESSES: Capabilities = Capabilities {
    runs_in_process: false,
    kills_single_tasks: true,
    loses_single_tasks: true,
    shares_memory: true,
};
const IN_PROCESS: Capabilities = Capabilities {
    runs_in_process: true,
    kills_single_tasks: false,
    loses_single_tasks: false,
    shares_memory: true,
};

/// A pool for each backend. Worker processes get a store of each byte order.
pub fn backends() -> Vec<(String, Pool)> {
    with_capabilities().into_iter().map(|(name, pool, _)| (name, pool)).collect()
}

fn with_capabilities() -> Vec<(String, Pool, Capabilities)> {
    let mut pools: Vec<_> = crate::pools()
        .into_iter()
        .map(|(order, pool)| (format!("processes, store {order}"), pool, PROCESSES))
        .collect();
    for backend in [Backend::Threads, Backend::Serial] {
        let workers = if backend == Backend::Threads { 2 } else { 1 };
        let store = Store::builder().byte_order(ByteOrder::NATIVE.opposite()).build().unwrap();
        let pool = Pool::builder().backend(backend).workers(workers).store(&store).build().unwrap();
        pools.push((format!("{backend:?}"), pool, IN_PROCESS));
    }
    pools
}

conformance_tests!(with_capabilities);

// P13
#[test]
fn progress_of_one_worker_counts_every_event() {
    let _dog = Watchdog::new("progress of one worker");
    let one = builder().workers(1).build().unwrap();
    conformance::progress_counts_every_event("one process", &one, PROCESSES);
}

#[test]
fn backend_refuses_what_it_cannot_do() {
    for backend in [Backend::Threads, Backend::Serial] {
        let plain = || Pool::builder().backend(backend).workers(1);
        for refused in [
            plain().max_tasks_per_worker(3),
            plain().max_worker_memory(1 << 30),
            plain().test_entry("worker"),
        ] {
            let error = refused.build().unwrap_err();
            assert!(
                error.is_invalid_input() && error.to_string().contains("need `Backend::Processes`"),
                "{error}"
            );
        }
        let pool = plain().build().unwrap();
        let error = pool.job().timeout(Duration::from_secs(1)).map(double, [1]).unwrap_err();
        assert!(
            error.is_invalid_input() && error.to_string().contains("cannot be killed"),
            "{error}"
        );
        let error = pool.job().timeout(Duration::from_secs(1)).submit(double, 1).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert!(
            pool.job()
                .timeout(Duration::from_secs(1))
                .imap(double, [1])
                .is_err_and(|error| error.is_invalid_input())
        );
    }
    assert!(Pool::builder().backend(Backend::Serial).workers(2).build().is_ok());
    assert!(builder().max_tasks_per_worker(0).build().unwrap_err().is_invalid_input());
}

fn double(x: u32) -> u32 {
    2 * x
}

// A static pool that its own tasks use.
static SHARED: OnceLock<Pool> = OnceLock::new();

#[test]
fn threads_may_use_their_own_pool() {
    let _dog = Watchdog::new("a pool within its own tasks");
    let pool = Pool::builder().workers(2).backend(Backend::Threads).build().unwrap();
    let pool = SHARED.get_or_init(|| pool);
    let outer = |x: u32| SHARED.get().unwrap().map(double, 0..x).unwrap().iter().sum::<u32>();
    assert_eq!(pool.map(outer, [1, 2, 3, 4]).unwrap(), [0, 2, 6, 12]);
    let submitted = |x: u32| SHARED.get().unwrap().submit(double, x).unwrap().join().unwrap();
    assert_eq!(pool.map(submitted, [1, 2, 3, 4]).unwrap(), [2, 4, 6, 8]);
}
