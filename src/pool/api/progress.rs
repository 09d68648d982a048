//! Events of a running job.

/// An event of a job; see [`Job::progress`](crate::pool::Job::progress).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// The job starts.
    JobStarted,
    /// The item at this index was taken from the iterator.
    Queued(u64),
    /// The task at this index runs, or is the next one of a worker.
    Started(u64),
    /// The task at this index has a result.
    Done(u64),
    /// The task at this index failed and will be retried.
    Retried(u64),
    /// The task at this index failed after all retries.
    Failed(u64),
}

/// The progress of a job, passed to the callback of [`Job::progress`](crate::pool::Job::progress).
///
/// At any time, `done + failed ≤ started ≤ queued`, and `queued ≤ total` if the total is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobProgress {
    /// The latest event.
    pub event: TaskEvent,
    /// Items taken from the iterator.
    pub queued: u64,
    /// Tasks that have started, each counted once.
    pub started: u64,
    /// Tasks that have a result.
    pub done: u64,
    /// Tasks that failed after all retries.
    pub failed: u64,
    /// The number of items, if the iterator knows it.
    pub total: Option<u64>,
    /// Bytes of arrays in items, results and context that were sent by reference.
    pub bytes_mapped: u64,
    /// Bytes that were copied into messages.
    pub bytes_copied: u64,
}

impl JobProgress {
    pub(crate) fn begun(total: Option<u64>) -> Self {
        Self {
            event: TaskEvent::JobStarted,
            queued: 0,
            started: 0,
            done: 0,
            failed: 0,
            total,
            bytes_mapped: 0,
            bytes_copied: 0,
        }
    }
}
