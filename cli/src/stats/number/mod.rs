//! Summaries of a run of elements, for each element type.
//!
//! A run fits in the first-level cache, so it is read from memory once even if a
//! loop reads it several times.

mod float;
mod integer;

use ndferry::dtype::Element;

use super::summary::Summary;

/// Elements of a run.
pub const MAX_RUN_LEN: usize = 2048;

/// An element type with ordered elements that have a mean.
pub trait Number: Element {
    /// Summarises a run that is not empty.
    fn summarise(run: &[Self]) -> Summary;

    /// Converts a run to `f64`, rounding if necessary. `to` must be as long as the
    /// run.
    fn widen(run: &[Self], to: &mut [f64]);
}

/// Visits elements, one run after another.
pub trait Visitor {
    fn visit<A: Number>(&mut self, run: &[A]);
}

impl Visitor for Summary {
    fn visit<A: Number>(&mut self, run: &[A]) {
        *self = self.merge(A::summarise(run));
    }
}
