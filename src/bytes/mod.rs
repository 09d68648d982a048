//! How the bytes of arrays are obtained and changed: [`map`] maps and reads files, [`swap`] reverses bytes.

#[allow(unsafe_code)]
pub(crate) mod map;
pub mod swap;
