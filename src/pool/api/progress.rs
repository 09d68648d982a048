//! What a call tells while it runs.

/// Something that happened in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// The call begins.
    JobStarted,
    /// The item at this index was taken for a worker.
    Queued(u64),
    /// The task at this index is next in a worker, or runs.
    Started(u64),
    /// The task at this index has a result.
    Done(u64),
    /// The task at this index has failed and is to be tried again.
    Retried(u64),
    /// The task at this index has failed for good.
    Failed(u64),
}

/// How far a call is, and what has just happened.
///
/// At every moment `done + failed ≤ started ≤ queued`, and `queued ≤ total` where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobProgress {
    /// What has just happened.
    pub event: TaskEvent,
    /// Tasks taken from the items.
    pub queued: u64,
    /// Tasks that were next in a worker, each counted once.
    pub started: u64,
    /// Tasks that have a result.
    pub done: u64,
    /// Tasks that have failed for good.
    pub failed: u64,
    /// Tasks there will be, where the items tell.
    pub total: Option<u64>,
    /// Bytes of arrays in items, results and context that went by reference, each time they did.
    pub bytes_mapped: u64,
    /// Bytes that travelled inside messages.
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
