//! Memory maps and owned buffers. All `unsafe` code that maps files is in this
//! module.

mod buffer;
mod file;
#[cfg(all(feature = "pool", target_os = "linux"))]
mod identity;
#[cfg(all(feature = "store", target_os = "linux"))]
mod page;
#[cfg(all(feature = "store", target_os = "linux"))]
mod words;
mod writable;

pub(crate) use buffer::Buffer;
pub(crate) use file::FileMap;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use page::Page;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use words::Words;
pub(crate) use writable::WritableMap;
