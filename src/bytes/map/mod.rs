//! Memory maps, and the memory behind owned buffers. Every `unsafe` of mapping is here.

mod buffer;
mod file;
mod identity;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod words;
mod writable;

pub(crate) use buffer::Buffer;
pub(crate) use file::FileMap;
#[cfg(target_os = "linux")]
pub(crate) use page::Page;
#[cfg(target_os = "linux")]
pub(crate) use words::Words;
pub(crate) use writable::WritableMap;
