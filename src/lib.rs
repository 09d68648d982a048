//! ndferry ferries n-dimensional arrays between processes, byte orders and files without copying them.
//!
//! # Where to find what
//!
//! | to … | use |
//! |---|---|
//! | write any serde value with arrays in it, read it back | [`dump`], [`load`], [`DumpOptions`]; [`to_writer`], [`from_slice`], [`from_reader`] |
//! | look into a file of arrays, map one of them | [`open`], [`OpenOptions`], [`ArrayFile`], [`RawLayout`] for bytes without a header |
//! | write named arrays for NumPy, or as a model | [`DumpOptions::write_npz`], [`DumpOptions::write_safetensors`] |
//! | share an array instead of copying it | [`SharedArray`]; [`AnyArray`] where its type is known only at run time |
//! | make an array where it is shared | [`Store::zeros`], [`Store::from_shape_fn`], [`SharedArrayMut`] |
//! | make an array in its file, larger than memory too | [`create`], [`DumpOptions::create`], [`Job::fill_axis_chunks`] |
//! | write to an array of a file without changing it | [`ArrayFile::copy_on_write`] |
//! | run tasks in worker processes over shared arrays | [`init`], [`Pool`] |
//! | count, flag and stop across worker processes | [`SharedAtomics`], of [`Store::atomics`] |
//! | run closures over what can neither be sent nor built again | [`fork_map`], [`PoolBuilder::fork`] |
//! | run a graph of named steps, with fan-outs and collects | [`flow`] |
//! | know why a task failed | [`Error::task_error`], [`TaskError`] |
//! | choose where temp files lie, see them, sweep up after dead programs | [`Store`], [`Sweeper`] |
//! | describe elements | [`DType`], [`ByteOrder`], [`Element`], [`DTypeKind`] |
//! | reverse bytes | [`swap`] |
//!
//! # A first program
//!
//! ```no_run
//! use ndarray::Ix2;
//! use ndferry::Pool;
//!
//! fn main() -> ndferry::Result<()> {
//!     ndferry::init(); // in a worker this call never returns
//!     let survey = ndferry::open("survey.npy")?.array::<f64, Ix2>()?; // big-endian or not
//!     let pool = Pool::new()?; // one worker process per available core
//!     let norms = pool.with(&survey).map(|x, j: usize| x.column(j).dot(&x.column(j)).sqrt(), 0..survey.ncols())?;
//!     println!("{norms:?}");
//!     Ok(())
//! }
//! ```
//!
//! The workers do not get a copy of `survey`: they map the file itself where its byte order is the machine's own, and else a
//! temp file into which it was swapped once. When the program ends, however it does, its workers end, and the last of them removes
//! the temp files; what a machine that went down has left, the next program removes.
//!
//! # Byte order
//!
//! Every array in every file and message carries its byte order. An array in native order is mapped: opening it takes
//! microseconds and no memory. One in foreign order is swapped, by all cores, into a buffer of its own; where it came from
//! stays known ([`SharedArray::source`]), and why it is no map can be asked ([`SharedArray::copy_reason`]).
//!
//! # Platforms
//!
//! Worker processes and their store need Linux. Reading, writing and mapping files asks for nothing that other systems lack, but
//! is tested on Linux alone: on x86-64, and for the other byte order on s390x.
//!
//! # What it does not do
//!
//! It is not a scheduler for clusters, not a database, not a tensor library, not a reader of pickles. It never executes code
//! from a file, installs no signal handlers, and prints nothing.
//!
//! # Crate features
//!
//! * `cli` (default): the command-line tool `ndferry`. A library needs it not: `default-features = false`.
//! * `zstd`, `lz4` (default): compressed arrays in `.ferry` files, [`DumpOptions::compress`]. zstd is C, and needs a C compiler to be built.
//! * `progress`: a progress bar for calls, [`Job::progress_bar`].
//! * `tracing`: events of the store and the pool, for the `tracing` subscriber of the program. Off, they cost nothing. Their targets are this crate's
//!   modules, `ndferry::store::…`, `ndferry::pool::…`. At `INFO` they tell what a sweep has removed and which calls are made, at `WARN` what went wrong and was coped with, as a full
//!   `/dev/shm`; at `DEBUG` what begins and ends, at `TRACE` every file and every frame. A subscriber must not use the store it is told of.
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
pub mod flow;
mod format;
mod near;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub mod pool;
#[cfg(all(feature = "store", target_os = "linux"))]
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
