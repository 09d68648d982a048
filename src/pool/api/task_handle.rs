//! Handles of submitted tasks.

use std::{fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::cancel::CancelToken;
use crate::{
    Result,
    pool::engine::{submit::SubmittedTask, submit_queue::Promote as _},
};

/// A task that was [submitted](crate::pool::Job::submit): it runs, and its result can be waited for.
///
/// Dropping the handle cancels the task.
#[must_use = "dropping it cancels the task"]
pub struct TaskHandle<R> {
    task: Arc<SubmittedTask<R>>,
    cancel: CancelToken,
}

impl<R> TaskHandle<R> {
    pub(crate) fn new((task, cancel): (Arc<SubmittedTask<R>>, CancelToken)) -> Self {
        Self { task, cancel }
    }
}

impl<R: DeserializeOwned + Send + 'static> TaskHandle<R> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// Returns an error if the task failed; see [`Pool::try_map`](crate::Pool::try_map).
    pub fn join(self) -> Result<R> {
        self.task.join()
    }

    /// Waits for the result, at most for `limit`. If there is none by then, the task continues, and its handle is returned.
    ///
    /// # Errors
    ///
    /// Returns an error if the task failed; see [`join`](TaskHandle::join).
    pub fn join_timeout(self, limit: Duration) -> Result<std::result::Result<R, Self>> {
        match self.task.join_timeout(limit) {
            Some(result) => result.map(Ok),
            None => Ok(Err(self)),
        }
    }

    /// Returns whether there is a result, so that [`join`](TaskHandle::join) returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        Arc::clone(&self.task).promote();
        self.task.is_done()
    }

    /// Cancels the task: if it has no result yet, it is killed, and [`join`](TaskHandle::join) returns an error
    /// ([`TaskErrorKind::Cancelled`](crate::pool::TaskErrorKind::Cancelled)).
    pub fn cancel(&self) {
        self.cancel.cancel();
        Arc::clone(&self.task).promote();
    }
}

impl<R> Drop for TaskHandle<R> {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.task.abandon();
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("done", &self.task.is_done()).finish_non_exhaustive()
    }
}
