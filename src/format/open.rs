//! Opening: from a path, from bytes, from a reader, and how it is done.

use std::{
    borrow::Cow,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{ArrayFile, Format, RawLayout, ferry};
use crate::{
    Error, Result,
    bytes::map::{Buffer, FileMap},
    sys,
};

/// Opens a `.ferry`, `.npy`, `.npz` or `.safetensors` file, recognised by its content, and maps it.
///
/// A map shows the file as it is now: whoever changes the file, this program included, changes what is read, and whoever
/// truncates it ends this program with `SIGBUS` when the missing part is touched. Replace such files by renaming, as
/// [`dump`](crate::dump) does, and every reader is safe; or have the file read ([`MmapMode::Forbidden`]).
///
/// # Errors
///
/// Where the file cannot be opened, is no regular file, is of no known format, or contradicts itself: truncated, a wrong
/// checksum, an array that reaches past its end. Raw binary is opened by [`RawLayout`](crate::file::RawLayout).
pub fn open(path: impl AsRef<Path>) -> Result<ArrayFile> {
    OpenOptions::new().open(path)
}

/// Reads the value of a `.ferry` file, the array of a `.npy` file, or the map from names to arrays that a `.npz` or
/// `.safetensors` file is. A [`SharedArray`](crate::SharedArray) in it is a map of the file where its byte order is native;
/// everything else is a copy.
///
/// # Errors
///
/// As [`open`](crate::open), and where the value is not a `T`.
pub fn load<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    open(path)?.value()
}

/// As [`load`], of a file that is in memory as `bytes`. Those of a `Vec` are taken over: a [`SharedArray`](crate::SharedArray) in
/// the value is a part of them. Of a slice a copy is made.
///
/// ```
/// use ndarray::{Array1, array};
///
/// let mut bytes = Vec::new();
/// ndferry::file::to_writer(&mut bytes, &("weights", array![0.5, 0.25]))?;
/// let (name, weights): (String, Array1<f64>) = ndferry::file::from_slice(&bytes)?;
/// assert_eq!((name.as_str(), weights[1]), ("weights", 0.25));
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// As [`load`].
pub fn from_slice<'a, T: DeserializeOwned>(bytes: impl Into<Cow<'a, [u8]>>) -> Result<T> {
    OpenOptions::new().open_slice(bytes)?.value()
}

/// As [`load`], of a file that comes from `reader`, which is read as [`OpenOptions::read`] says.
///
/// # Errors
///
/// As [`load`], and where reading fails.
pub fn from_reader<T: DeserializeOwned>(reader: impl Read) -> Result<T> {
    OpenOptions::new().open_reader(reader)?.value()
}

/// Whether the arrays of a file are maps of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MmapMode {
    /// An array that cannot be used as it lies in the file is an error that says why, when the array is asked for.
    Required,
    /// An array is mapped where no rule forbids it ([`CopyReason`](crate::array::CopyReason)), and copied else.
    #[default]
    Allowed,
    /// The whole file is read into memory when it is opened, and not mapped: what becomes of it later changes nothing.
    Forbidden,
}

/// How to open a file.
///
/// ```
/// # use ndarray::{Ix1, array};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::{file::{MmapMode, OpenOptions}, array::CopyReason};
///
/// ndferry::dump(&path, &array![1.5, 2.5])?;
/// let array = OpenOptions::new().verify(true).mapping(MmapMode::Forbidden).open(&path)?.array::<f64, Ix1>()?;
/// assert_eq!(array.copy_reason(), Some(CopyReason::Read));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(super) verify: bool,
    pub(super) mapping: MmapMode,
    pub(super) limit: u64,
    raw: Option<RawLayout>,
}

/// Bytes beyond which nothing is decompressed unless told otherwise.
const LIMIT: u64 = 4 << 30;

impl Default for OpenOptions {
    fn default() -> Self {
        Self { verify: false, mapping: MmapMode::Allowed, limit: LIMIT, raw: None }
    }
}

impl OpenOptions {
    /// Arrays mapped where they can be, none of them verified, formats recognised by content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an array is held against its checksum when it is asked for, alone or in a value. One that has none is then an
    /// error. (Checksums of prelude, header and tree are compared when a file is opened, whatever is said here.)
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Whether arrays are maps of the file; [`MmapMode::Allowed`] unless set.
    #[must_use]
    pub fn mmap_mode(mut self, mapping: MmapMode) -> Self {
        self.mapping = mapping;
        self
    }

    /// Bytes to which one array may be decompressed, or all those of a value; 4 GiB unless set. What an array needs its file says, and nothing beyond
    /// that is ever made of it; but a small file can say much.
    #[must_use]
    pub fn max_decompressed_bytes(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Takes files for raw binary of this layout, whatever they claim to be.
    #[must_use]
    pub fn raw(mut self, layout: RawLayout) -> Self {
        self.raw = Some(layout);
        self
    }

    /// Opens a file, as [`open`](crate::open).
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open); of raw binary, where the file is too short for the layout.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile> {
        let path = path.as_ref();
        let map = match self.mapping {
            MmapMode::Required | MmapMode::Allowed => FileMap::open(path)?,
            MmapMode::Forbidden => {
                FileMap::read(read(path).map_err(|error| error.at(path))?, path.to_path_buf())
            }
        };
        self.look(map)
    }

    /// A file that is in memory as `bytes`. Those of a `Vec` are taken over, of a slice a copy is made.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); and where maps are required, because there is nothing to map.
    pub fn open_slice<'a>(&self, bytes: impl Into<Cow<'a, [u8]>>) -> Result<ArrayFile> {
        let buffer = match bytes.into() {
            Cow::Borrowed(bytes) => Buffer::copy_of(bytes)?,
            Cow::Owned(bytes) => Buffer::from(bytes),
        };
        if self.mapping == MmapMode::Required {
            return Err(Error::invalid_input(
                "bytes in memory cannot be mapped, which was required",
            ));
        }
        self.look(FileMap::read(buffer, PathBuf::new()))
    }

    /// A file that comes from `reader`, which is read to its end; but no further than a `.ferry` file says it is long or raw binary has to be, and not beyond its
    /// start where that is of no known format.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and where reading fails.
    pub fn open_reader(&self, mut reader: impl Read) -> Result<ArrayFile> {
        let mut bytes = Vec::new();
        let mut up_to = |bytes: &mut Vec<u8>, length: u64| {
            let left = length.saturating_sub(bytes.len() as u64);
            reader
                .by_ref()
                .take(left)
                .read_to_end(bytes)
                .map_err(|error| Error::io("cannot read", error))
        };
        let length = match &self.raw {
            Some(layout) => layout.end()?,
            None => {
                up_to(&mut bytes, ferry::PRELUDE as u64)?;
                match ArrayFile::recognised(&bytes)? {
                    Format::Ferry => ferry::length(&bytes)?.saturating_add(1),
                    _ => u64::MAX,
                }
            }
        };
        up_to(&mut bytes, length)?;
        self.open_slice(bytes)
    }

    fn look(&self, map: Arc<FileMap>) -> Result<ArrayFile> {
        let path = map.path().to_path_buf();
        let file = match &self.raw {
            Some(layout) => layout.read(map),
            None => ArrayFile::of(map, false),
        };
        file.map(|file| file.with_options(self.clone())).map_err(|error| error.at(path))
    }
}

/// All bytes of the file at `path`.
fn read(path: &Path) -> Result<Buffer> {
    let cannot_read = |error| Error::io("cannot read", error);
    let mut file = sys::file::open_regular(path)?;
    let length = file.metadata().map_err(|error| Error::io("cannot inspect", error))?.len();
    let length =
        usize::try_from(length).map_err(|_| cannot_read(io::ErrorKind::FileTooLarge.into()))?;
    let mut buffer = Buffer::zeroed(length)?;
    file.read_exact(buffer.as_mut()).map_err(cannot_read)?;
    Ok(buffer)
}
