//! Types and traits that only appear in the signatures of jobs.
//!
//! A job's type says what its tasks get besides their item ([`TaskContext`]), what a failure
//! does to the job ([`OnError`]), and in which order [`Results`](super::Results) come
//! ([`ResultOrder`]). You need these names to store a job in a struct, or to write a function
//! that is generic over jobs. All traits are sealed.
//!
//! # Examples
//!
//! ```
//! use ndferry::pool::{
//!     Job,
//!     marker::{FailFast, ReturnsValue, WithState},
//! };
//!
//! /// A job whose workers each keep a buffer.
//! struct Buffered<'p> {
//!     job: Job<'p, WithState<'p, u32, Vec<u8>, ReturnsValue>, FailFast>,
//! }
//! ```

mod task_context;

use std::{error::Error as StdError, marker::PhantomData};

use self::sealed::Sealed;
use super::{TaskError, wire::report::FailureReport, worker::panics::describe};
use crate::Result;

pub use super::api::fork::Forked;
pub use task_context::{NoContext, TaskContext, WithContext, WithState};

mod sealed {
    /// Only this crate implements the traits that require it.
    pub trait Sealed {}
}

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

/// Results have the order of their items.
#[derive(Clone, Copy, Debug)]
pub struct InOrder;

/// Results have the order in which tasks finish.
#[derive(Clone, Copy, Debug)]
pub struct Unordered;

/// The order of results.
pub trait ResultOrder: Sealed {
    /// The item that the iterator returns for a result.
    type Item<R>;

    #[doc(hidden)]
    fn is_next(index: u64, given: u64) -> bool;

    #[doc(hidden)]
    fn item<R>(index: u64, result: R) -> Self::Item<R>;
}

impl Sealed for InOrder {}

impl ResultOrder for InOrder {
    type Item<R> = R;

    fn is_next(index: u64, given: u64) -> bool {
        index == given
    }

    fn item<R>(_: u64, result: R) -> R {
        result
    }
}

impl Sealed for Unordered {}

impl ResultOrder for Unordered {
    type Item<R> = (u64, R);

    fn is_next(_: u64, _: u64) -> bool {
        true
    }

    fn item<R>(index: u64, result: R) -> (u64, R) {
        (index, result)
    }
}

/// The return type of a function: `R` itself ([`ReturnsValue`]) or a `Result` ([`ReturnsResult`]).
pub trait Returns<R>: Sealed {
    /// The function's return type.
    type Out;

    #[doc(hidden)]
    fn outcome(out: Self::Out) -> Result<R, FailureReport>;
}

/// The function returns its result itself.
pub struct ReturnsValue;

impl Sealed for ReturnsValue {}

impl<R> Returns<R> for ReturnsValue {
    type Out = R;

    fn outcome(out: R) -> Result<R, FailureReport> {
        Ok(out)
    }
}

/// The function returns a `Result`.
pub struct ReturnsResult<E>(PhantomData<E>);

impl<E> Sealed for ReturnsResult<E> {}

impl<R, E: Into<Box<dyn StdError + Send + Sync>>> Returns<R> for ReturnsResult<E> {
    type Out = Result<R, E>;

    fn outcome(out: Result<R, E>) -> Result<R, FailureReport> {
        out.map_err(describe)
    }
}
