//! Encoding of serde values as a tree and segments.
//!
//! The tree is MessagePack with field names, as described in `docs/format.md`.
//! It refers to segments for
//!
//! - all arrays: ndarray's, [`SharedArray`](crate::SharedArray) and
//!   [`AnyArray`](crate::AnyArray),
//! - all other sequences of a single scalar type whose size reaches a
//!   threshold.
//!
//! The encoder passes segments to a [`Sink`], and the decoder takes them from
//! [`Segments`]. Files and messages implement these traits.

mod de;
mod segments;
mod ser;
mod shapes;

pub(crate) use de::{check, decode, others};
pub(crate) use segments::{DEFAULT_THRESHOLD, Segments, Sink};
pub(crate) use ser::{encode, encode_into};
pub(crate) use shapes::{tree_of, tree_of_map};

#[cfg(test)]
mod tests;
