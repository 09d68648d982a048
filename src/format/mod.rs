//! File formats: `.ferry`, `.npy`, `.npz`, `.safetensors` and raw binary.
//!
//! [`registry`] contains the table of formats. Reading goes one way: [`open`] maps the
//! file, the registry detects the format, its parser makes an [`entry::Index`] from the
//! bytes, and [`ArrayFile`] reads arrays by this index. The parser checks every number of
//! a header against the file's length. Writing goes through [`interface::Writer`] and
//! [`atomic`].

mod atomic;
mod blocks;
mod bools;
mod compress;
mod convert;
mod create;
mod encoding;
mod entry;
mod ferry;
mod file;
mod foreign;
mod inflate;
mod interface;
mod named;
mod names;
mod npy;
mod npz;
mod open;
mod options;
mod raw;
mod registry;
mod safetensors;
#[cfg(test)]
mod sample;
mod verify;
mod write;
mod zip;

pub use compress::Compression;
pub use convert::convert;
pub use create::create;
pub use entry::{ArrayInfo, UnsupportedEntry};
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use ferry::{Container, Target};
pub use file::ArrayFile;
pub use open::{from_reader, from_slice, load, open};
pub use options::{DumpOptions, MmapMode, OpenOptions, RawLayout};
pub use registry::Format;
pub use write::{dump, to_writer};
