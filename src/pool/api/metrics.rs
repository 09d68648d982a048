//! Counters and times of a pool.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counters and times of a pool since it was built; see
/// [`Pool::metrics`](crate::Pool::metrics).
///
/// Times are sums over all tasks. If `time_queued` is long compared with `time_running`, tasks
/// wait for workers: add workers, or reduce
/// [`prefetch_batches`](crate::pool::Job::prefetch_batches). A long `time_sending` means that
/// items are large or expensive to encode. If `bytes_copied` is large, arrays are smaller than
/// the [threshold](crate::pool::PoolBuilder::mmap_threshold), or are not
/// [`SharedArray`](crate::SharedArray)s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Jobs that were started.
    pub jobs: u64,
    /// Tasks that have a result.
    pub tasks_completed: u64,
    /// Tasks that failed after all retries.
    pub tasks_failed: u64,
    /// Number of retries.
    pub tasks_retried: u64,
    /// Messages with tasks that were sent to workers.
    pub batches_sent: u64,
    /// Workers that were started, including replacements.
    pub workers_started: u64,
    /// Workers that died, or were killed because of their task.
    pub workers_lost: u64,
    /// Workers replaced because of
    /// [`max_tasks_per_worker`](crate::pool::PoolBuilder::max_tasks_per_worker) or
    /// [`max_worker_memory`](crate::pool::PoolBuilder::max_worker_memory).
    pub workers_recycled: u64,
    /// Bytes of arrays that were sent by reference.
    pub bytes_mapped: u64,
    /// Bytes that were copied into messages.
    pub bytes_copied: u64,
    /// Time between sending messages and receiving their results, without the time that tasks ran.
    pub time_queued: Duration,
    /// Time for encoding and sending items.
    pub time_sending: Duration,
    /// Time that tasks ran, including decoding of items and encoding of results.
    pub time_running: Duration,
}

/// The counters behind [`PoolMetrics`], shared by threads.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) jobs: Counter,
    pub(crate) tasks_completed: Counter,
    pub(crate) tasks_failed: Counter,
    pub(crate) tasks_retried: Counter,
    pub(crate) batches_sent: Counter,
    pub(crate) workers_started: Counter,
    pub(crate) workers_lost: Counter,
    pub(crate) workers_recycled: Counter,
    pub(crate) bytes_mapped: Counter,
    pub(crate) bytes_copied: Counter,
    pub(crate) time_queued: Counter,
    pub(crate) time_sending: Counter,
    pub(crate) time_running: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.get())
    }
}

impl Metrics {
    pub(crate) fn snapshot(&self) -> PoolMetrics {
        PoolMetrics {
            jobs: self.jobs.get(),
            tasks_completed: self.tasks_completed.get(),
            tasks_failed: self.tasks_failed.get(),
            tasks_retried: self.tasks_retried.get(),
            batches_sent: self.batches_sent.get(),
            workers_started: self.workers_started.get(),
            workers_lost: self.workers_lost.get(),
            workers_recycled: self.workers_recycled.get(),
            bytes_mapped: self.bytes_mapped.get(),
            bytes_copied: self.bytes_copied.get(),
            time_queued: self.time_queued.time(),
            time_sending: self.time_sending.time(),
            time_running: self.time_running.time(),
        }
    }
}
