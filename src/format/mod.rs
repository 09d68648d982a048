//! Files: `.ferry`, `.npy` and raw binary are read and mapped; `.ferry` and `.npy` are written.
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
mod names;
mod npy;
mod open;
mod raw;

pub use compress::Compression;
pub use convert::convert;
#[cfg(target_os = "linux")]
pub(crate) use create::Unfilled;
pub use dump::{DumpOptions, dump, to_writer};
pub(crate) use ferry::{Container, Target};
pub use file::{ArrayFile, ArrayInfo, Format};
pub use open::{Mapping, OpenOptions, from_reader, from_slice, load, open};
pub use raw::RawLayout;
