//! Files: `.ferry`, `.npy`, `.npz`, `.safetensors` and raw binary are read and mapped; all but the last are written.
//!
//! A format is recognised by its content. Everything a header says is held against the file's real length before anything
//! is made of it, and what passed is kept as types that cannot say anything else ([`ArrayInfo`]).

mod atomic;
mod convert;
mod dump;
mod ferry;
mod file;
mod named;
mod npy;
mod npz;
mod open;
mod raw;
mod safetensors;
mod zip;

pub use convert::convert;
pub use dump::{DumpOptions, dump, load};
pub(crate) use ferry::{Container, Target};
pub use file::{ArrayFile, ArrayInfo, Format, open};
pub use open::OpenOptions;
pub use raw::RawLayout;
