//! Memory maps and owned buffers. All `unsafe` code that maps files is in this
//! module.

mod buffer;
mod file;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod words;
#[cfg(target_os = "linux")]
mod writable;

pub(crate) use buffer::Buffer;
pub(crate) use file::FileMap;
#[cfg(target_os = "linux")]
pub(crate) use page::Page;
#[cfg(target_os = "linux")]
pub(crate) use words::Words;
#[cfg(target_os = "linux")]
pub(crate) use writable::WritableMap;
