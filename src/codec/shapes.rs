//! Trees of arrays of which only the shapes are known.

use std::sync::Arc;

use super::{segments::Sink, ser::encode};
use crate::{
    AnyArray, DType, Result,
    array::{CopyReason, Layout, Memory},
    bytes::map::Buffer,
    dtype::{ByteOrder, Scalar},
};

/// Returns the tree of an array of `shape` in segment 0.
pub(crate) fn tree_of(shape: &[usize]) -> Result<Vec<u8>> {
    encode(&Shapes::new()?.array(shape)?, usize::MAX, &mut SegmentCounter(0))
}

/// Returns the tree of a map from names to arrays of these shapes in segments
/// 0, 1, and so on.
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
    encode(&Map(arrays), usize::MAX, &mut SegmentCounter(0))
}

/// Makes arrays of any shape, all elements of which are the same byte. The tree
/// does not depend on the elements.
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

/// A sink that counts arrays and discards them.
struct SegmentCounter(usize);

impl Sink for SegmentCounter {
    fn begin(&mut self, _: String, _: Scalar, _: Option<usize>) -> Result<()> {
        unreachable!("the value contains only arrays")
    }

    fn write(&mut self, _: &[u8]) -> Result<()> {
        unreachable!("the value contains only arrays")
    }

    fn end(&mut self, _: &[usize]) -> Result<usize> {
        unreachable!("the value contains only arrays")
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
