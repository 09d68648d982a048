//! Encoding: a serde serializer that writes the tree and passes arrays to a
//! sink.

mod compound;
mod encoder;
mod sequence;
mod serializer;

pub(crate) use serializer::{encode, encode_into};
