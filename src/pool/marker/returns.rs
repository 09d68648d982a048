//! What the functions of tasks return.

use std::{error::Error as StdError, marker::PhantomData};

use super::sealed::Sealed;
use crate::{
    Result,
    pool::{wire::report::FailureReport, worker::panics::describe},
};

/// What a function returns: `R` itself ([`Gives`]) or a `Result` ([`MayFail`]).
pub trait Returns<R>: Sealed {
    /// The function's return type.
    type Out;

    #[doc(hidden)]
    fn outcome(out: Self::Out) -> Result<R, FailureReport>;
}

/// The function returns its result as it is.
pub struct Gives;

impl Sealed for Gives {}

impl<R> Returns<R> for Gives {
    type Out = R;

    fn outcome(out: R) -> Result<R, FailureReport> {
        Ok(out)
    }
}

/// The function returns a `Result`.
pub struct MayFail<E>(PhantomData<E>);

impl<E> Sealed for MayFail<E> {}

impl<R, E: Into<Box<dyn StdError + Send + Sync>>> Returns<R> for MayFail<E> {
    type Out = Result<R, E>;

    fn outcome(out: Result<R, E>) -> Result<R, FailureReport> {
        out.map_err(describe)
    }
}
