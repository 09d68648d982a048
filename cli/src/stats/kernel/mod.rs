//! What one stretch of elements says, for each element type.
//!
//! A stretch is short enough to stay in the processor's first cache: it is read from memory once, however often a kernel goes
//! over it.

mod float;
mod integer;

use ndferry::dtype::Element;

use super::summary::Summary;

/// Elements in a stretch, at most.
pub const STRETCH: usize = 2048;

/// An element type whose elements can be ordered and averaged.
pub trait Number: Element {
    /// What is known of a stretch that is not empty.
    fn summarise(stretch: &[Self]) -> Summary;

    /// The elements of a stretch as `f64`, rounded where there is no such `f64`; `to` is as long as the stretch.
    fn widen(stretch: &[Self], to: &mut [f64]);
}
