//! The origin of an array, and the reason why it is not mapped.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::dtype::ByteOrder;

/// The file that an array was read from.
///
/// Copies of the array have the same source, also after a change of byte order.
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.npy");
/// use ndferry::{AnyArray, SharedArray, file::DumpOptions, ndarray::array};
///
/// let array = AnyArray::from(SharedArray::from(array![1.5, 2.5]));
/// DumpOptions::new().write_npy(&path, &array)?;
/// let array = ndferry::open(&path)?.read_dyn("")?;
/// let source = array.source().unwrap();
/// assert_eq!((source.path(), source.offset()), (&*path, 128));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) byte_order: Option<ByteOrder>,
}

impl ArraySource {
    /// Returns the path that the file was opened with.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the offset of the array's first byte in the file.
    ///
    /// A view has the offset of the whole array.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the byte order of the array in the file.
    ///
    /// Returns `None` if the elements have no byte order, or if their fields
    /// have different ones.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.npy");
    /// use ndferry::{SharedArray, dtype::ByteOrder, file::DumpOptions};
    ///
    /// let big = DumpOptions::new().byte_order(ByteOrder::Big);
    /// big.write_npy(&path, &SharedArray::from(vec![1.5, 2.5]))?;
    /// let array = ndferry::open(&path)?.read_dyn("")?;
    /// assert_eq!(array.source().unwrap().byte_order(), Some(ByteOrder::Big));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn byte_order(&self) -> Option<ByteOrder> {
        self.byte_order
    }
}

/// The reason why an array is a copy in memory and not a map of a file.
///
/// [`SharedArray::copy_reason`](crate::SharedArray::copy_reason) and
/// [`ArrayInfo::copy_reason`](crate::file::ArrayInfo::copy_reason) return it.
/// It is printed as a sentence.
///
/// # Examples
///
/// ```
/// use ndferry::{SharedArray, array::CopyReason};
///
/// let array = SharedArray::from(vec![1.0, 2.0]);
/// assert_eq!(array.copy_reason(), Some(CopyReason::InMemory));
/// assert_eq!(CopyReason::InMemory.to_string(), "the array was made in memory");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopyReason {
    /// The array was created in memory, not read from a file.
    InMemory,
    /// The array was part of a message or a value, and too small for a segment
    /// of its own.
    Inline,
    /// The elements were in the other byte order and had to be swapped.
    ForeignByteOrder,
    /// The elements are `bool`. A mapped file can change, so its bytes may
    /// become neither 0 nor 1.
    Bool,
    /// The offset in the file is not a multiple of the elements' alignment.
    Misaligned,
    /// The array is compressed in the file.
    Compressed,
    /// The file was read into memory, because
    /// [`OpenOptions`](crate::file::OpenOptions) required it or it was no file.
    Read,
    /// The size of the records is not a multiple of the field's size, so a view
    /// cannot step from one to the next.
    Distance,
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InMemory => "the array was made in memory",
            Self::Inline => "the array came inside a message, below the threshold for a segment",
            Self::ForeignByteOrder => {
                "the elements were in the other byte order and had to be swapped"
            }
            Self::Bool => {
                "the bytes of a bool from a file must be checked, and may be changed after"
            }
            Self::Compressed => "the array is compressed in the file",
            Self::Read => "the file was read into memory, and not mapped",
            Self::Misaligned => {
                "the array's offset in the file is not a multiple of its elements' alignment"
            }
            Self::Distance => {
                "the distance between the field's elements is not a multiple of their size"
            }
        })
    }
}
