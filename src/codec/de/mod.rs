//! Decoding: a serde deserializer that reads a tree and takes arrays from
//! segments.
//!
//! Trees come from untrusted files. Lengths are compared with the available
//! bytes before memory is allocated, and the nesting depth is limited.

mod check;
mod decoder;
mod reader;

pub(crate) use check::{check, others};
pub(crate) use decoder::decode;
pub(super) use decoder::decode_shape;
pub(super) use reader::key_text;
