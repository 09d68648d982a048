//! Descriptions of the entries of a file, as its parser makes them.

use std::{collections::BTreeMap, ops::Range};

use super::{
    bools::Bools,
    encoding::{Checksum, Encoding},
};
use crate::{
    DType, Error, Result,
    array::{CopyReason, Layout, Order, ShortShape},
    bytes::map::Buffer,
    dtype::{Quoted, Scalar},
    error::Cause,
};

/// Everything that a parser finds in the bytes of a file.
pub(super) struct Index {
    pub(super) version: Option<String>,
    pub(super) arrays: Vec<ArrayInfo>,
    pub(super) unsupported: Vec<UnsupportedEntry>,
    pub(super) tree: Tree,
    pub(super) metadata: BTreeMap<String, String>,
    /// The end of the content, if the format allows other bytes after it.
    pub(super) end: Option<usize>,
}

/// The tree of a file's value.
pub(super) enum Tree {
    /// The file stores it in this range.
    InFile(Range<usize>),
    /// The value is the only array.
    OneArray,
    /// The value is a map from names to arrays.
    NamedArrays,
}

impl Index {
    /// Returns the index of a file that contains `arrays` and nothing else.
    pub(super) fn new(arrays: Vec<ArrayInfo>, tree: Tree) -> Self {
        Self {
            version: None,
            arrays,
            unsupported: Vec::new(),
            tree,
            metadata: BTreeMap::new(),
            end: None,
        }
    }
}

/// One array of a file: its name, type, shape and place.
///
/// Opening a file makes these descriptions without reading the arrays. All of them
/// are checked: `offset() + compressed_nbytes()` is within the file.
///
/// # Examples
///
/// ```
/// # use ndarray::array;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// ndferry::dump(&path, &array![[1.5, 2.5]])?;
/// let file = ndferry::open(&path)?;
/// let info = &file.arrays()[0];
/// assert_eq!((info.shape(), info.nbytes()), (&[1, 2][..], 16));
/// assert!(info.is_mappable());
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArrayInfo {
    name: String,
    dtype: DType,
    order: Order,
    layout: Layout,
    /// The range of the file that stores the array.
    range: Range<usize>,
    encoding: Encoding,
    checksum: Option<Checksum>,
}

impl ArrayInfo {
    /// Describes an array that is stored from `offset` on, and checks that the
    /// array ends before byte `end` of the file.
    pub(super) fn plain(
        name: String,
        dtype: DType,
        shape: &[usize],
        order: Order,
        offset: u64,
        end: usize,
    ) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        let nbytes = layout.len() * dtype.item_size();
        let start = usize::try_from(offset).ok().filter(|&start| start <= end);
        match start.and_then(|start| Some(start..start.checked_add(nbytes)?)) {
            Some(range) if range.end <= end => {
                let encoding = Encoding::Plain;
                Ok(Self { name, dtype, order, layout, range, encoding, checksum: None })
            }
            _ => Err(Error::invalid_data(format!(
                "expected {nbytes} bytes from byte {offset} for {} of {}, found {} (truncated?)",
                ShortShape(shape),
                Quoted(&dtype.to_string()),
                start.map_or(0, |start| end - start)
            ))),
        }
    }

    /// Describes an array that is stored compressed in `range` of the file.
    pub(super) fn compressed(
        name: String,
        dtype: DType,
        shape: &[usize],
        order: Order,
        range: Range<usize>,
        encoding: Encoding,
    ) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        Ok(Self { name, dtype, order, layout, range, encoding, checksum: None })
    }

    pub(super) fn with_checksum(self, checksum: Option<Checksum>) -> Self {
        Self { checksum, ..self }
    }

    /// Returns the array's name: its path in the file's value.
    ///
    /// In `model.layers.0.weight` each part is a key or an index. The name is empty
    /// if the array is the whole value.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the element type, with its byte order in the file.
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// Returns the length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Returns the memory order that the file records.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the offset of the array's first byte in the file.
    ///
    /// If the array is compressed, this is the first compressed byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.range.start as u64
    }

    /// Returns the number of bytes of all elements.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        (self.layout.len() * self.dtype.item_size()) as u64
    }

    /// Returns the number of bytes that the array takes in the file.
    ///
    /// This differs from [`nbytes`](Self::nbytes) only if the array is compressed.
    #[must_use]
    pub fn compressed_nbytes(&self) -> u64 {
        self.range.len() as u64
    }

    /// Returns the name of the compression: `zstd`, `lz4` or `deflate`.
    ///
    /// A compressed array is decompressed each time it is read.
    #[must_use]
    pub fn codec(&self) -> Option<&'static str> {
        self.encoding.codec()
    }

    /// Returns the alignment of a memory map of the array, at most 4096 bytes.
    ///
    /// This is the largest power of two that divides the offset.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        1 << self.range.start.trailing_zeros().min(12)
    }

    /// Reports whether the array can be used directly from the file.
    ///
    /// The array must be uncompressed, aligned, in native byte order, and not `bool`.
    /// For structured dtypes only the byte order is checked. Alignment is checked for
    /// each field.
    #[must_use]
    pub fn is_mappable(&self) -> bool {
        self.copy_reason().is_none()
    }

    /// Returns the reason why reading the array copies it, or `None` if it is mapped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::array::CopyReason;
    ///
    /// ndferry::dump(&path, &array![true, false])?;
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.arrays()[0].copy_reason(), Some(CopyReason::Bool));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        if self.codec().is_some() {
            Some(CopyReason::Compressed)
        } else if self.dtype.scalar() == Some(Scalar::Bool) {
            Some(CopyReason::Bool)
        } else if !self.dtype.is_native() {
            Some(CopyReason::ForeignByteOrder)
        } else if self.alignment() < self.dtype.alignment() as u64 {
            Some(CopyReason::Misaligned)
        } else {
            None
        }
    }

    /// Reports whether the file contains a checksum of the array.
    ///
    /// [`ArrayFile::verify`](crate::file::ArrayFile::verify) compares it.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum.is_some()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Returns what to call the array in a message.
    pub(super) fn title(&self) -> String {
        match self.name.as_str() {
            "" => "the array".into(),
            name => format!("array {}", Quoted(name)),
        }
    }

    /// Decompresses the array from the bytes of its file. Returns `None` if it is
    /// not compressed.
    pub(super) fn decompressed(&self, file: &[u8]) -> Result<Option<Buffer>> {
        let stored = &file[self.range()];
        self.encoding
            .decode(stored, self.nbytes() as usize, self.checksum.as_ref())
            .map_err(|error| error.within(self.title()))
    }

    /// Reports whether decompressing the array compares its checksum.
    pub(super) fn is_verified_when_decompressed(&self) -> bool {
        self.checksum.is_some() && self.encoding.is_verified_when_decoded()
    }

    /// Compares the checksum. Without one, this is an error.
    pub(super) fn verify_checksum(&self, file: &[u8]) -> Result<()> {
        match &self.checksum {
            Some(checksum) => checksum
                .verify(file, self.range(), &self.encoding)
                .map_err(|error| error.within(self.title())),
            None => Err(Error::invalid_input(format!(
                "{} cannot be verified: the file contains no checksum of it",
                self.title()
            ))),
        }
    }

    /// Compares the checksum, if there is one, and looks for invalid `bool` values.
    pub(super) fn verify(
        &self,
        file: &[u8],
        decompressed: impl FnOnce() -> Result<Option<Buffer>>,
    ) -> Result<()> {
        if self.checksum.is_some() {
            self.verify_checksum(file)?;
        }
        if Bools::of(&self.dtype).is_none() && matches!(self.checksum, Some(Checksum::Crc32 { .. }))
        {
            // This checksum covers the decompressed elements.
            return Ok(());
        }
        match decompressed()? {
            Some(buffer) => self.verify_values(buffer.as_ref()),
            None => self.verify_values(&file[self.range()]),
        }
    }

    /// Checks that all `bool` values in the array's `bytes` are 0 or 1. All other
    /// element types take any bytes.
    pub(super) fn verify_values(&self, bytes: &[u8]) -> Result<()> {
        let Some(at) = Bools::of(&self.dtype).and_then(|bools| bools.first_invalid(bytes)) else {
            return Ok(());
        };
        let (position, place) = match self.codec() {
            Some(_) => (at, "of the decompressed array"),
            None => (self.range.start + at, "of the file"),
        };
        Err(Error::invalid_data(format!(
            "{}: invalid bool: expected 0 or 1, found {} at byte {position} {place}",
            self.title(),
            bytes[at]
        )))
    }
}

/// A named entry of a file that cannot be read as an array.
///
/// See [`ArrayFile::unsupported_entries`](crate::file::ArrayFile::unsupported_entries).
#[derive(Clone, Debug)]
pub struct UnsupportedEntry {
    name: String,
    reason: String,
    cause: Cause,
    range: Range<usize>,
    encoding: Encoding,
    checksum: Option<Checksum>,
}

impl UnsupportedEntry {
    /// Describes the entry `name` in `range` of the file, which `reason` keeps
    /// from being read.
    pub(super) fn new(name: String, range: Range<usize>, reason: &Error) -> Self {
        let encoding = Encoding::Plain;
        let (cause, reason) = (reason.cause(), reason.message());
        Self { name, reason, cause, range, encoding, checksum: None }
    }

    pub(super) fn with_checksum(self, encoding: Encoding, checksum: Checksum) -> Self {
        Self { encoding, checksum: Some(checksum), ..self }
    }

    /// Returns the entry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the reason why the entry cannot be read.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the offset of the entry's first byte in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.range.start as u64
    }

    /// Returns the number of bytes that the entry takes in the file.
    #[must_use]
    pub fn compressed_nbytes(&self) -> u64 {
        self.range.len() as u64
    }

    /// Returns the error of reading this entry.
    pub(super) fn error(&self) -> Error {
        let message = format!("cannot read {}: {}", Quoted(&self.name), self.reason);
        match self.cause {
            Cause::Unspecified => Error::invalid_data(message),
            cause => Error::invalid_input(message).with_cause(cause),
        }
    }

    /// Returns the damage of the entry's bytes, or otherwise the error of reading it.
    pub(super) fn check(&self, file: &[u8]) -> Error {
        let verified = self
            .checksum
            .as_ref()
            .map_or(Ok(()), |sum| sum.verify(file, self.range.clone(), &self.encoding));
        match verified {
            Err(damage) => damage.within(Quoted(&self.name)),
            Ok(()) => self.error(),
        }
    }
}
