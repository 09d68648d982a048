//! Where an array came from, and why it is not a map where it is none.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::dtype::ByteOrder;

/// The file an array was read from: known for as long as the array or a copy of it lives, also after its bytes were
/// swapped into a buffer of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArraySource {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) byte_order: Option<ByteOrder>,
}

impl ArraySource {
    /// The file, as it was named when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes from the start of the file to the first of the array's bytes. A view keeps the offset of the array it was
    /// taken from.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The byte order in the file; `None` where elements have none, and where fields have different ones.
    #[must_use]
    pub fn byte_order(&self) -> Option<ByteOrder> {
        self.byte_order
    }
}

/// The rule by which an array is not a map of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopyReason {
    /// It was made in memory and has not come from a file.
    InMemory,
    /// It came inside a message or a value, too small to be worth a segment of its own.
    Inline,
    /// Its elements were in the other byte order and had to be swapped.
    ForeignByteOrder,
    /// It is `bool`, and a file that others can change cannot vouch for every byte being 0 or 1.
    Bool,
    /// In the file it does not lie at an address that elements of its type need.
    Misaligned,
    /// In the file it is compressed.
    Compressed,
    /// The file was read into memory: it was to be, or it came as bytes and was no file ([`OpenOptions`](crate::file::OpenOptions)).
    Read,
    /// It is a field of records whose size is no multiple of its elements': a view would have to step by parts of an element.
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
                "the field's elements lie at distances that are no multiple of their size"
            }
        })
    }
}
