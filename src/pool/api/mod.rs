//! The types that users name: pools, jobs, handles, results, options and metrics.

pub(crate) mod builder;
pub(crate) mod cancel;
mod collect;
pub(crate) mod fork;
pub(crate) mod job;
pub(crate) mod metrics;
pub(crate) mod options;
pub(crate) mod pool;
pub(crate) mod progress;
#[cfg(feature = "progress")]
mod progress_bar;
#[cfg(doctest)]
mod refused;
pub(crate) mod results;
pub(crate) mod task_error;
pub(crate) mod task_handle;
mod verbs;
