//! The effect of a task's failure on its job.

use super::sealed::Sealed;
use crate::pool::TaskError;

/// Whether a job ends with the first failure of a task.
pub trait OnError: Sealed {
    /// The result for each item, if tasks return `R`.
    type Item<R>;

    #[doc(hidden)]
    fn item<R>(outcome: Result<R, TaskError>) -> Result<Self::Item<R>, TaskError>;
}

/// The first failure ends the job and is its error.
#[derive(Clone, Copy, Debug)]
pub struct FailFast;

/// Every item has a result or an error of its own:
/// [`Job::keep_going`](crate::pool::Job::keep_going).
#[derive(Clone, Copy, Debug)]
pub struct KeepGoing;

impl Sealed for FailFast {}

impl OnError for FailFast {
    type Item<R> = R;

    fn item<R>(outcome: Result<R, TaskError>) -> Result<R, TaskError> {
        outcome
    }
}

impl Sealed for KeepGoing {}

impl OnError for KeepGoing {
    type Item<R> = Result<R, TaskError>;

    fn item<R>(outcome: Result<R, TaskError>) -> Result<Self::Item<R>, TaskError> {
        Ok(outcome)
    }
}
