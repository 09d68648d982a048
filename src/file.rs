//! Files of arrays: opening, reading, writing and converting them.

pub use crate::format::{
    ArrayFile, ArrayInfo, Compression, DumpOptions, Format, MmapMode, OpenOptions, RawLayout,
    UnsupportedEntry, convert, dump, from_reader, from_slice, load, open, to_writer,
};
#[cfg(all(feature = "store", target_os = "linux"))]
pub use crate::store::create;
