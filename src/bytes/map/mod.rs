//! Memory maps, and the memory behind owned buffers. Every `unsafe` of mapping is here.

mod buffer;
mod file;
#[cfg(all(feature = "pool", target_os = "linux"))]
mod page;
#[cfg(all(feature = "store", target_os = "linux"))]
mod words;
#[cfg(all(feature = "store", target_os = "linux"))]
mod writable;

pub(crate) use buffer::Buffer;
pub(crate) use file::FileMap;
#[cfg(all(feature = "pool", target_os = "linux"))]
pub(crate) use page::Page;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use words::Words;
#[cfg(all(feature = "store", target_os = "linux"))]
pub(crate) use writable::WritableMap;
