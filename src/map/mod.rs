//! Memory maps, and the memory behind owned buffers. Every `unsafe` of mapping is here.

mod buffer;
mod file;

pub(crate) use buffer::Buffer;
pub(crate) use file::FileMap;
