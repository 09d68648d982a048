//! The order in which a job returns its results.

use super::sealed::Sealed;

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
