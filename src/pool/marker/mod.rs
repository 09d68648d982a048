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

mod on_error;
mod result_order;
mod returns;
mod task_context;

pub use on_error::{FailFast, KeepGoing, OnError};
pub use result_order::{InOrder, ResultOrder, Unordered};
pub use returns::{Returns, ReturnsResult, ReturnsValue};
pub use task_context::{NoContext, TaskContext, WithContext, WithState};

pub use super::api::fork::Forked;

mod sealed {
    /// Only this crate implements the traits that require it.
    pub trait Sealed {}
}
