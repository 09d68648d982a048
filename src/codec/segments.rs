//! The interfaces to segments, and the constants of the encoding.

use crate::{AnyArray, Result, dtype::Scalar};

/// The extension type of a segment. Its payload is the index of the segment as
/// a MessagePack unsigned integer.
pub(super) const SEGMENT_EXTENSION: i8 = 1;
/// The extension type of `Some`s around a nil, which otherwise would be read as
/// `None`. Its payload is their number.
pub(super) const SOME_EXTENSION: i8 = 2;
/// How many levels deep encoded and decoded values may nest.
pub(super) const MAX_DEPTH: usize = 128;

/// The default size in bytes from which a sequence of numbers that is not an
/// array becomes a segment.
pub(crate) const DEFAULT_THRESHOLD: usize = 1024;

/// The destination of segments while a value is encoded.
pub(crate) trait Sink {
    /// Begins a segment of numbers. `expected` is its size in bytes, if it is
    /// known.
    fn begin(&mut self, name: String, scalar: Scalar, expected: Option<usize>) -> Result<()>;

    /// Appends whole elements in native byte order to the segment.
    fn write(&mut self, elements: &[u8]) -> Result<()>;

    /// Ends the segment and returns its index.
    fn end(&mut self, shape: &[usize]) -> Result<usize>;

    /// Writes a whole array as a segment and returns its index.
    fn array(&mut self, name: String, array: &AnyArray) -> Result<usize>;

    /// Discards all segments, because the value is encoded again from the
    /// start.
    fn restart(&mut self) -> Result<()>;
}

/// The source of segments while a value is decoded.
pub(crate) trait Segments {
    /// Returns the array of segment `index`.
    fn get(&self, index: u64) -> Result<AnyArray>;

    /// Returns whether arrays must not be passed to serde element by element,
    /// because they must be mapped.
    fn requires_maps(&self) -> bool {
        false
    }
}
