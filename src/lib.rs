//! ndferry moves n-dimensional arrays between files, processes and machines without copying them.
//!
//! # What to use
//!
//! | to ... | use |
//! |---|---|
//! | write any serde value with arrays in it, and read it back | [`dump`], [`load`] |
//! | do the same with readers, writers and bytes | [`file::to_writer`], [`file::from_reader`], [`file::from_slice`] |
//! | open a file of arrays, and map one of them | [`open`], [`file::OpenOptions`], [`file::RawLayout`] |
//! | write arrays for NumPy, or a model | [`file::DumpOptions::write_npz`], [`file::DumpOptions::write_safetensors`] |
//! | share an array instead of copying it | [`SharedArray`], or [`AnyArray`] if its type is known only at run time |
//! | make an array where it is shared | [`store::Store::zeros`], [`array::SharedArrayMut`] |
//! | make a file larger than memory | [`create`], [`pool::Job::fill_axis_chunks`] |
//! | change an array of a file without changing the file | [`file::ArrayFile::copy_on_write`] |
//! | run tasks in worker processes | [`init`], [`Pool`] |
//! | share counters and flags with workers | [`store::SharedAtomics`] |
//! | use state that can neither be sent nor built again | [`pool::fork_map`] |
//! | run a graph of named steps | [`flow`] |
//! | find out why a task failed | [`Error::task_error`], [`pool::TaskError`] |
//! | choose where temporary files go, or remove those of dead programs | [`store::Store`], [`store::cleanup`] |
//! | describe elements | [`DType`], [`dtype`] |
//! | reverse bytes | [`swap`] |
//!
//! # A first program
//!
//! ```no_run
//! use ndferry::{Pool, SharedArray, ndarray::Ix2};
//!
//! fn main() -> ndferry::Result<()> {
//!     ndferry::init(); // in a worker, this call does not return
//!     let survey: SharedArray<f64, Ix2> = ndferry::open("survey.npy")?.read()?; // any byte order
//!     let pool = Pool::new()?; // one worker process for each core
//!     let norm = |x: &SharedArray<f64, Ix2>, j: usize| x.column(j).dot(&x.column(j)).sqrt();
//!     let norms = pool.with(&survey).map(norm, 0..survey.ncols())?;
//!     println!("{norms:?}");
//!     Ok(())
//! }
//! ```
//!
//! The workers do not copy `survey`. They map the file itself if it is in native byte order, and otherwise a
//! temporary file that contains the swapped array. When the program ends, its workers end too, and the last
//! one removes the temporary files. This also works if the program is killed. After a power failure, the next
//! program that opens a store removes them.
//!
//! # Byte order
//!
//! Every array in a file or message has a byte order. An array in native order is mapped, which takes
//! microseconds and no memory. An array in foreign order is swapped on all cores into its own buffer. It still
//! knows its file ([`SharedArray::source`]), and the reason why it was copied ([`SharedArray::copy_reason`]).
//!
//! # Safety
//!
//! [`open`] maps files. While a file is mapped, nothing may change it in place:
//!
//! - If a program writes to it, the values that you read change. If it truncates the file, reading past the
//!   new end ends your program with `SIGBUS`.
//! - `open` is a safe function all the same: no program can prevent others from writing to a file, your own
//!   code has to write to the file to cause this, and Rust programs rely on the same for files of the system.
//!   Types with invalid bit patterns (`bool`) are never read from such a map.
//! - ndferry replaces files atomically and never changes them in place. If a file was replaced, truncated or
//!   changed (device, inode, length, modification time) since you opened it, handing its arrays to a worker is
//!   an error. Temporary files are private to the user, and those of [`store::Store::memfd`] cannot be changed
//!   by any process.
//! - If you do not control a file, read it instead of mapping it, with [`file::OpenOptions::mmap_mode`].
//!
//! A file can never execute code. Headers are checked against the real length of the file before anything is
//! allocated.
//!
//! # Platforms
//!
//! The pool, the store and flows need Linux. They are tested on x86-64 and, for the other byte order, on s390x.
//! Without default features, the library needs only the standard library of the target.
//!
//! # What it does not do
//!
//! ndferry is not a cluster scheduler, a database or a tensor library, and it does not read pickles. The
//! library prints nothing and installs no signal handlers.
//!
//! # Crate features
//!
//! - `store`: temporary files that processes share ([`store`]). Linux only.
//! - `pool`: worker processes ([`pool`]). Includes `store`.
//! - `flow` (default): graphs of steps ([`flow`]). Includes `pool`.
//! - `zstd`, `lz4` (default): compressed arrays in `.ferry` files. zstd needs a C compiler.
//! - `progress`: a progress bar for jobs.
//! - `tracing`: events of the store and the pool for a `tracing` subscriber. The targets are the modules of
//!   this crate. Levels: `INFO` for sweeps and jobs, `WARN` for recovered failures such as a full `/dev/shm`,
//!   `DEBUG` for beginnings and ends, `TRACE` for each file and frame. A subscriber must not use the store.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The lower modules also serve the flows, the pool and the store.
#![cfg_attr(
    not(all(feature = "flow", target_os = "linux")),
    allow(dead_code, unused_imports, reason = "used by modules that are not compiled")
)]

#[cfg(test)]
extern crate self as ndferry;

pub mod array;
mod bytes;
mod codec;
pub mod dtype;
mod error;
pub mod file;
#[cfg(all(feature = "flow", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "flow")))]
pub mod flow;
mod format;
mod near;
#[cfg(all(feature = "pool", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "pool")))]
pub mod pool;
#[cfg(all(feature = "store", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
pub mod store;
#[allow(unsafe_code)]
mod sys;
#[cfg(all(feature = "store", target_os = "linux"))]
mod trace;

pub use array::{AnyArray, SharedArray};
pub use bytes::swap;
pub use dtype::DType;
pub use error::{Error, Result};
pub use file::{convert, create, dump, load, open};
pub use ndarray;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub use pool::{Pool, init};

/// The programs in the README and the documents, compiled.
#[cfg(all(doctest, feature = "flow", target_os = "linux"))]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/flow.md")]
struct Readme;
