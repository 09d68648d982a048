//! The bytes of arrays: [`map`] maps files and owns buffers, [`swap`] reverses
//! bytes.

#[allow(unsafe_code)]
pub(crate) mod map;
pub mod swap;
