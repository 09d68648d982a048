//! Files: `.ferry`, `.npy`, `.npz`, `.safetensors` and raw binary are read and mapped; all but the last are written.
//!
//! A format is recognised by its content. Everything a header says is held against the file's real length before anything
//! is made of it, and what passed is kept as types that cannot say anything else ([`ArrayInfo`]).

mod atomic;
mod compress;
mod convert;
#[cfg(target_os = "linux")]
mod create;
mod dump;
mod ferry;
mod file;
mod named;
mod names;
mod npy;
mod npz;
mod open;
mod raw;
mod safetensors;
mod zip;

pub use compress::Compression;
pub use convert::convert;
#[cfg(target_os = "linux")]
pub(crate) use create::Unfilled;
pub use dump::{DumpOptions, dump, to_writer};
pub(crate) use ferry::{Container, Target};
pub use file::{ArrayFile, ArrayInfo, Format, UnsupportedEntry};
pub use open::{MmapMode, OpenOptions, from_reader, from_slice, load, open};
pub use raw::RawLayout;
