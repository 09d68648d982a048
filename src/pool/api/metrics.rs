//! What a pool has done so far.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a pool has done since it was built: see [`Pool::report`](crate::Pool::report).
///
/// Times are sums over all tasks. A long `queued` beside a short `running` says that tasks wait for workers: more workers or a smaller
/// [`prefetch`](crate::pool::Job::prefetch) help; a long `sending` says that what is sent is large or costly to encode; many bytes `copied` say that
/// arrays travel as something else than a [`SharedArray`](crate::SharedArray), or below the [threshold](crate::pool::PoolBuilder::threshold).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Calls made.
    pub jobs: u64,
    /// Tasks that have a result.
    pub tasks_completed: u64,
    /// Tasks that have failed for good.
    pub tasks_failed: u64,
    /// Times a task was tried again.
    pub tasks_retried: u64,
    /// Messages that tasks went to workers in.
    pub batches_sent: u64,
    /// Workers started, those that replaced others included.
    pub workers_started: u64,
    /// Workers that died, or were killed because of their task.
    pub workers_lost: u64,
    /// Workers that ended because their [time had come](crate::pool::PoolBuilder::max_tasks_per_worker).
    pub workers_recycled: u64,
    /// Bytes of arrays that went by reference.
    pub bytes_mapped: u64,
    /// Bytes that travelled inside messages.
    pub bytes_copied: u64,
    /// From when a message was sent until its results were back, without the time its tasks ran.
    pub time_queued: Duration,
    /// Time spent on encoding and sending items.
    pub time_sending: Duration,
    /// Time that tasks ran, with decoding their items and encoding their results.
    pub time_running: Duration,
}

/// The numbers of a [`PoolMetrics`], counted by many threads.
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
