//! Handles of submitted tasks.

use std::{fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::cancel::CancelToken;
use crate::{
    Result,
    pool::engine::{submit::SubmittedTask, submit_queue::Promote as _},
};

/// A handle to a task that was started with [`Job::submit`](crate::pool::Job::submit).
///
/// It is like [`std::thread::JoinHandle`], except that dropping the handle cancels the task.
///
/// # Examples
///
/// ```
/// # fn main() -> ndferry::Result<()> {
/// # ndferry::init();
/// # let pool = ndferry::Pool::builder().workers(2).build()?;
/// let handles: Vec<_> =
///     (1..=3).map(|x| pool.submit(|x: u64| x * x, x)).collect::<ndferry::Result<_>>()?;
/// let squares: Vec<u64> =
///     handles.into_iter().map(|handle| handle.join()).collect::<ndferry::Result<_>>()?;
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok(())
/// # }
/// ```
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
    /// Waits for the task and returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if the task failed; see [`Pool::try_map`](crate::Pool::try_map).
    pub fn join(self) -> Result<R> {
        self.task.join()
    }

    /// Waits for the task for at most `limit`. Returns the handle if there is no result by then.
    ///
    /// The task continues to run.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> ndferry::Result<()> {
    /// # ndferry::init();
    /// # let pool = ndferry::Pool::builder().workers(2).build()?;
    /// use std::{thread, time::Duration};
    ///
    /// let slow = pool.submit(|x: u8| { thread::sleep(Duration::from_millis(300)); x }, 7)?;
    /// let slow = slow.join_timeout(Duration::from_millis(1))?.expect_err("it is not finished");
    /// assert_eq!(slow.join()?, 7);
    /// # Ok(())
    /// # }
    /// ```
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

    /// Returns whether the task has ended, so that [`join`](TaskHandle::join) does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        Arc::clone(&self.task).promote();
        self.task.is_done()
    }

    /// Cancels the task.
    ///
    /// A task without a result is killed, and [`join`](TaskHandle::join) returns an error of kind
    /// [`TaskErrorKind::Cancelled`](crate::pool::TaskErrorKind::Cancelled).
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
