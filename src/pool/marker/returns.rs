//! The return types of task functions.

use std::{error::Error as StdError, marker::PhantomData};

use super::sealed::Sealed;
use crate::{
    Result,
    pool::{wire::report::FailureReport, worker::panics::describe},
};

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
