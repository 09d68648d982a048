//! The engine: it hands tasks to workers, waits for results, and decides what a failure costs.
//!
//! The engine knows workers through [`WorkerLink`](super::transport::WorkerLink) only. It
//! contains no descriptors, no shared memory and no process ids; `tests/architecture.rs` checks
//! that.

pub(crate) mod assigned;
pub(crate) mod batch;
pub(crate) mod pool_state;
pub(crate) mod run;
pub(crate) mod submit;
pub(crate) mod submit_queue;
mod worker_set;
