//! Any serde value as a small tree and the segments it refers to.
//!
//! The tree is MessagePack with field names; `docs/format.md` describes it. What leaves it as a segment: every array (ndarray's
//! own, [`SharedArray`](crate::SharedArray), [`AnyArray`]), and every other sequence whose elements are exactly one known
//! scalar type and whose size reaches a threshold. Where segments go is up to a [`Sink`]; where they come from, to a
//! [`Segments`]. Files and messages are made of this, not known to it.

mod de;
mod place;
mod ser;

pub(crate) use de::{check, decode};
pub(crate) use ser::{encode, encode_into};

use std::sync::Arc;

use crate::{
    AnyArray, DType, Result,
    array::CopyReason,
    array::{Layout, Memory},
    bytes::map::Buffer,
    dtype::{ByteOrder, Scalar},
};

/// Extension type of a segment: the payload is the segment's number as a MessagePack unsigned integer.
const SEGMENT: i8 = 1;
/// Extension type of `Some`s around a nil, which on their own would read as `None`: the payload is their number.
const SOME: i8 = 2;
/// How deep values may nest, on the way out and on the way in.
const DEPTH: usize = 128;

/// Bytes from which a sequence of numbers that is not an array becomes a segment, unless told otherwise.
pub(crate) const THRESHOLD: usize = 1024;

/// Where segments go while a value is encoded.
pub(crate) trait Sink {
    /// Starts a segment of numbers that come one after another; `expected` is how many bytes there will be, as far as known.
    fn begin(&mut self, name: String, scalar: Scalar, expected: Option<usize>) -> Result<()>;

    /// More of the segment begun: whole elements in native byte order.
    fn write(&mut self, elements: &[u8]) -> Result<()>;

    /// Ends the segment begun and gives its number.
    fn end(&mut self, shape: &[usize]) -> Result<usize>;

    /// A whole array at once; gives its segment's number.
    fn array(&mut self, name: String, array: &AnyArray) -> Result<usize>;

    /// Forgets every segment so far: the value is encoded once more from the start.
    fn restart(&mut self) -> Result<()>;
}

/// Where segments come from while a value is decoded.
pub(crate) trait Segments {
    /// The array in segment number `index`.
    fn get(&self, index: u64) -> Result<AnyArray>;

    /// Whether an array that serde wants element by element is refused.
    fn maps_alone(&self) -> bool {
        false
    }
}

/// The tree of a value that is nothing but one array of `shape`, in segment 0.
pub(crate) fn tree_of(shape: &[usize]) -> Result<Vec<u8>> {
    encode(&Shapes::new()?.array(shape)?, usize::MAX, &mut Numbers(0))
}

/// The tree of a map from names to arrays, given by their shapes, in segments 0, 1, ….
pub(crate) fn tree_of_map<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a [usize])>,
) -> Result<Vec<u8>> {
    struct Map<'a>(Vec<(&'a str, AnyArray)>);

    impl serde::Serialize for Map<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(name, array)| (name, array)))
        }
    }

    let shapes = Shapes::new()?;
    let arrays = arrays
        .into_iter()
        .map(|(name, shape)| Ok((name, shapes.array(shape)?)))
        .collect::<Result<_>>()?;
    encode(&Map(arrays), usize::MAX, &mut Numbers(0))
}

/// Arrays of any shape over one byte, looked at from every index: a tree does not know the elements.
struct Shapes(Arc<Memory>);

impl Shapes {
    fn new() -> Result<Self> {
        Ok(Self(Memory::owned(Buffer::zeroed(1)?, None, CopyReason::InMemory)))
    }

    fn array(&self, shape: &[usize]) -> Result<AnyArray> {
        let layout = Layout::strided(shape, &vec![0; shape.len()], 0, 1, 1)?;
        AnyArray::new(Arc::clone(&self.0), DType::new(Scalar::U8, ByteOrder::NATIVE), layout)
    }
}

/// Gives arrays their numbers and keeps nothing of them.
struct Numbers(usize);

impl Sink for Numbers {
    fn begin(&mut self, _: String, _: Scalar, _: Option<usize>) -> Result<()> {
        unreachable!("an array goes as a whole")
    }

    fn write(&mut self, _: &[u8]) -> Result<()> {
        unreachable!("an array goes as a whole")
    }

    fn end(&mut self, _: &[usize]) -> Result<usize> {
        unreachable!("an array goes as a whole")
    }

    fn array(&mut self, _: String, _: &AnyArray) -> Result<usize> {
        self.0 += 1;
        Ok(self.0 - 1)
    }

    fn restart(&mut self) -> Result<()> {
        self.0 = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
