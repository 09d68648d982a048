//! Opening files: from a path, from bytes, or from a reader.

use std::{
    borrow::Cow,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::de::DeserializeOwned;

use super::{
    file::ArrayFile,
    foreign,
    options::{MmapMode, OpenOptions, RawLayout},
    registry::{Format, START_LEN},
};
use crate::{
    Error, Result,
    bytes::map::{Buffer, FileMap},
    sys,
};

/// Opens a file of arrays.
///
/// The format is detected by the content of the file: `.ferry`, `.npy`, `.npz` or
/// `.safetensors`. For raw binary, use [`RawLayout`]. To read a value
/// instead of single arrays, use [`load`].
///
/// # Changing a mapped file
///
/// Arrays are memory-mapped if possible. Do not change the file in place while it is
/// mapped. If a program writes to it, the values of your arrays change. If a program
/// truncates it, touching the missing part ends your program with `SIGBUS`.
///
/// The function is nevertheless safe: ndferry maps only element types for which any bytes
/// are valid values. It never changes files in place itself. Before an array is sent to a
/// worker, ndferry checks that the file was not replaced, truncated or changed since it
/// was opened. To read a file instead of mapping it, use [`MmapMode::Never`].
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("survey.ferry");
/// use ndferry::ndarray::{Ix2, array};
///
/// ndferry::dump(&path, &array![[1.5, 2.5], [3.5, 4.5]])?;
/// let survey = ndferry::open(&path)?.read::<f64, Ix2>()?;
/// assert_eq!(survey.sum(), 12.0);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if:
///
/// - the path cannot be opened, or is not a regular file.
/// - the file is of another format. If ndferry recognizes it, the error names the format and
///   what to do; see [`Error::is_foreign_format`].
/// - the file is of a known format, but ndferry does not support a part of it; see
///   [`Error::is_unsupported`].
/// - the file is damaged: truncated, with a wrong checksum, or with an array that reaches
///   beyond its end.
pub fn open(path: impl AsRef<Path>) -> Result<ArrayFile> {
    OpenOptions::new().open(path)
}

/// Reads the value of a file.
///
/// This is the value that [`dump`](crate::dump) wrote, the array of a `.npy` file, or the
/// map from names to arrays of a `.npz` or `.safetensors` file. A
/// [`SharedArray`](crate::SharedArray) in the value is mapped if possible; see [`open`].
/// Other types are copies.
///
/// A number can be read as another type that represents it exactly: an `i64` as an `f64`, or
/// 0.5 as an `f32`. Any other number is an error, because rounding would change your data
/// silently. Serde itself rounds numbers that it buffers, in untagged and internally tagged
/// enums and in flattened fields.
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::{SharedArray, ndarray::{Ix1, array}};
///
/// ndferry::dump(&path, &("weights", array![0.5, 0.25]))?;
/// let (name, weights): (String, SharedArray<f64, Ix1>) = ndferry::load(&path)?;
/// assert_eq!((name.as_str(), weights[1]), ("weights", 0.25));
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if [`open`] does, or if the value is not a `T`. The error names the place
/// in the value.
pub fn load<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    open(path)?.value()
}

/// Reads the value of a file in memory, like [`load`].
///
/// A `Vec` is used without copying: a [`SharedArray`](crate::SharedArray) in the value
/// shares its bytes. A slice is copied.
///
/// # Examples
///
/// ```
/// use ndferry::ndarray::{Array1, array};
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
/// Returns an error if the bytes are not a valid file, or if the value is not a `T`.
pub fn from_slice<'a, T: DeserializeOwned>(bytes: impl Into<Cow<'a, [u8]>>) -> Result<T> {
    OpenOptions::new().open_slice(bytes)?.value()
}

/// Reads the value of a file from a reader, like [`load`].
///
/// The reader may continue after a `.ferry` file; see [`OpenOptions::open_reader`].
///
/// # Examples
///
/// ```
/// let mut bytes = Vec::new();
/// ndferry::file::to_writer(&mut bytes, &vec![0.5; 1000])?;
/// let value: Vec<f64> = ndferry::file::from_reader(&*bytes)?;
/// assert_eq!(value.len(), 1000);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if reading fails, if the bytes are not a valid file, or if the value
/// is not a `T`.
pub fn from_reader<T: DeserializeOwned>(reader: impl Read) -> Result<T> {
    OpenOptions::new().open_reader(reader)?.value()
}

impl OpenOptions {
    /// Opens a file, like [`open`](crate::open).
    ///
    /// # Errors
    ///
    /// Returns an error if [`open`](crate::open) does, or if a raw binary file is too
    /// short for its layout.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile> {
        let path = path.as_ref();
        let map = match self.mmap_mode {
            MmapMode::Required | MmapMode::Auto => FileMap::open(path),
            MmapMode::Never => read(path).map(|bytes| FileMap::read(bytes, path.to_path_buf())),
        };
        let named = |error| foreign::in_folder(path).unwrap_or(error).at(path);
        self.open_map(map.map_err(named)?)
    }

    /// Opens a file in memory.
    ///
    /// A `Vec` is used without copying. A slice is copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{file::OpenOptions, ndarray::{Ix1, array}};
    ///
    /// let mut bytes = Vec::new();
    /// ndferry::file::to_writer(&mut bytes, &array![0.5, 0.25])?;
    /// let file = OpenOptions::new().verify(true).open_slice(bytes)?;
    /// assert_eq!(file.read::<f64, Ix1>()?[1], 0.25);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a valid file, or if
    /// [`MmapMode::Required`] is set.
    pub fn open_slice<'a>(&self, bytes: impl Into<Cow<'a, [u8]>>) -> Result<ArrayFile> {
        let buffer = match bytes.into() {
            Cow::Borrowed(bytes) => Buffer::copy_of(bytes)?,
            Cow::Owned(bytes) => Buffer::from(bytes),
        };
        if self.mmap_mode == MmapMode::Required {
            return Err(Error::invalid_input(
                "bytes in memory cannot be mapped, but `MmapMode::Required` is set",
            ));
        }
        self.open_map(FileMap::read(buffer, PathBuf::new()))
    }

    /// Opens a file that is read from `reader`.
    ///
    /// A `.ferry` file records its length, and a raw layout defines one. Of these at most
    /// one byte more is read. Other files are read to the end of the reader. If the first
    /// bytes are not those of a known format, nothing else is read.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{file::OpenOptions, ndarray::{Ix1, array}};
    ///
    /// let mut bytes = Vec::new();
    /// ndferry::file::to_writer(&mut bytes, &array![0.5, 0.25])?;
    /// let file = OpenOptions::new().open_reader(&*bytes)?;
    /// assert_eq!(file.read::<f64, Ix1>()?[1], 0.25);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if reading fails, or if [`open_slice`](Self::open_slice) returns
    /// one.
    pub fn open_reader(&self, mut reader: impl Read) -> Result<ArrayFile> {
        let mut bytes = Vec::new();
        let mut read_up_to = |bytes: &mut Vec<u8>, length: u64| {
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
                read_up_to(&mut bytes, START_LEN as u64)?;
                // One more byte shows whether the file continues.
                Format::detect(&bytes)?
                    .length(&bytes)?
                    .map_or(u64::MAX, |length| length.saturating_add(1))
            }
        };
        read_up_to(&mut bytes, length)?;
        self.open_slice(bytes)
    }

    fn open_map(&self, map: Arc<FileMap>) -> Result<ArrayFile> {
        let bytes: &[u8] = map.as_ref().as_ref();
        let parsed = match &self.raw {
            Some(layout) => layout.index(bytes).map(|index| (Format::Raw, index)),
            None => Format::detect_file(bytes, map.path())
                .and_then(|format| Ok((format, format.index(bytes)?))),
        };
        match parsed {
            Ok((format, index)) => Ok(ArrayFile::new(map, format, index, self.clone())),
            Err(error) => Err(error.at(map.path())),
        }
    }
}

impl RawLayout {
    /// Opens a raw binary file of this layout.
    ///
    /// The file may be longer than the layout. To set other options, use
    /// [`OpenOptions::raw`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.bin");
    /// use ndferry::{file::RawLayout, ndarray::Ix1};
    ///
    /// std::fs::write(&path, [0, 0, 1, 0, 2]).unwrap();
    /// let layout = RawLayout::new(">u2".parse()?, [2]).offset(1);
    /// let array = layout.open(&path)?.read::<u16, Ix1>()?;
    /// assert_eq!(array.to_vec(), [1, 2]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the path cannot be opened, is not a regular file, or is too
    /// short for the layout.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ArrayFile> {
        OpenOptions::new().raw(self.clone()).open(path)
    }
}

/// Reads the file at `path`.
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
