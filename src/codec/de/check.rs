//! Looking at a tree without a type to decode it to.

use super::{DATA, DIM, Decoder, Item, NoSegments};
use crate::{Error, Result, array::Short};

/// Whether `tree` is the tree of some value whose segments have these shapes: that it can be gone through to its end, refers to segments that
/// are there, to each once, and says of arrays the shapes they have.
pub(crate) fn check(tree: &[u8], shape: &dyn Fn(u64) -> Option<Vec<usize>>) -> Result<()> {
    let mut decoder = Decoder::new(tree, &NoSegments);
    decoder.check(shape)?;
    match tree.len() - decoder.at {
        0 => Ok(()),
        left => Err(Error::invalid(format!("the tree goes on for {left} bytes after its value"))),
    }
}

impl Decoder<'_, '_> {
    /// One value; the shape of the segment, if it is one, and the number itself, if it is a list of lengths.
    fn check(&mut self, shape: &dyn Fn(u64) -> Option<Vec<usize>>) -> Result<Found> {
        match self.next()? {
            Item::Array(count) => self.deeper(|decoder| {
                let mut lengths = Vec::new();
                for _ in 0..count {
                    match decoder.check(shape)? {
                        Found::Length(length) => lengths.push(length),
                        _ => lengths.clear(),
                    }
                }
                Ok(if lengths.len() == count { Found::Lengths(lengths) } else { Found::Other })
            }),
            Item::Map(count) => self.deeper(|decoder| {
                let (mut said, mut found) = (None, None);
                for _ in 0..count {
                    let key = decoder.at;
                    decoder.check(shape)?;
                    let key = &decoder.input[key..decoder.at];
                    match (key, decoder.check(shape)?) {
                        (DIM, Found::Lengths(lengths)) => said = Some(lengths),
                        (DATA, Found::Segment(shape)) => found = Some(shape),
                        _ => {}
                    }
                }
                match (said, found) {
                    (Some(said), Some(found)) if said != found => Err(Error::invalid(format!(
                        "the tree has an array of shape {} where the segment has {}",
                        Short(&said),
                        Short(&found)
                    ))),
                    _ => Ok(Found::Other),
                }
            }),
            Item::Segment(index) => {
                self.refer(index)?;
                let shape = shape(index);
                shape
                    .map(Found::Segment)
                    .ok_or_else(|| Error::invalid(format!("the tree refers to segment {index}, which is not there")))
            }
            Item::Unsigned(number) => Ok(usize::try_from(number).map_or(Found::Other, Found::Length)),
            _ => Ok(Found::Other),
        }
    }
}

/// What a value turned out to be, as far as it matters for arrays.
enum Found {
    Length(usize),
    Lengths(Vec<usize>),
    Segment(Vec<usize>),
    Other,
}
