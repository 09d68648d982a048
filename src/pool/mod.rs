//! A pool of worker processes: what a job sends, where it runs, and what it returns.
//!
//! Large arrays are not sent: workers map them from the [`store`](crate::store::Store) or from
//! the user's file.
//!
//! Invariants: a worker of this machine runs one task at a time, so its death costs one task.
//! An unreadable payload concerns its own task only. Nothing is printed. A worker ends when its
//! parent does.
//!
//! | module | contains |
//! |---|---|
//! | `api` | what users name: pools, jobs, handles, results, options, metrics |
//! | `engine` | how a job runs: which worker gets which tasks, what a failure costs |
//! | `transport` | where workers run: processes, threads, forks |
//! | `wire` | frames, messages, functions by name, the page that local workers share |
//! | `worker` | the other end: a worker process, and how a task is run |

mod api;
mod engine;
pub mod marker;
mod transport;
mod wire;
mod worker;

pub use api::{
    builder::{Backend, PoolBuilder},
    cancel::CancelToken,
    fork::fork_map,
    job::Job,
    metrics::PoolMetrics,
    pool::Pool,
    progress::{JobProgress, TaskEvent},
    results::Results,
    task_error::{TaskError, TaskErrorKind},
    task_handle::TaskHandle,
};
pub(crate) use engine::run::{Reading, Work};
pub use transport::process::stdio::WorkerStdio;
pub use wire::remote::Arguments;
pub(crate) use wire::{
    message::{MessageEntry, Packer},
    remote::RemoteFunction,
};
pub use worker::init;
