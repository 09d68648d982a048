//! Writing files: choosing the format, and replacing files atomically.

use std::{collections::BTreeMap, io, path::Path};

use serde::Serialize;

use super::{
    atomic, ferry, interface::Writer, named::Named, options::DumpOptions, registry::Format,
};
use crate::{AnyArray, Error, Result, codec};

/// Writes a value to a `.ferry` file.
///
/// Each array in the value becomes an aligned segment of the file, which
/// [`load`](crate::load) and [`open`](crate::open) can map. The rest becomes a small tree.
///
/// The file is replaced atomically: readers see the old file or the new one, never a part.
/// If the program is killed, the old file remains. A temporary file
/// `.ndferry-….tmp` may remain next to it. The next write to `path` removes it.
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.ferry");
/// use ndferry::{SharedArray, ndarray::{Array1, Ix1}};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize)]
/// struct Model {
///     title: String,
///     weight: Array1<f64>,
/// }
///
/// // A plain array can be read back as a shared one, which is mapped.
/// #[derive(Deserialize)]
/// struct MappedModel {
///     title: String,
///     weight: SharedArray<f64, Ix1>,
/// }
///
/// ndferry::dump(&path, &Model { title: "first".into(), weight: Array1::linspace(0., 1., 5) })?;
/// let model: MappedModel = ndferry::load(&path)?;
/// assert_eq!((model.title.as_str(), model.weight[4]), ("first", 1.0));
/// assert!(model.weight.copy_reason().is_none());
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if the file cannot be written, or if serialization fails. An existing
/// file is left unchanged.
pub fn dump<T: Serialize + ?Sized>(path: impl AsRef<Path>, value: &T) -> Result<()> {
    DumpOptions::new().dump(path, value)
}

/// Writes a value to a writer, in the format of [`dump`].
///
/// The value is serialized twice, because the start of the file depends on the rest.
/// Nothing is buffered in memory. After an error, a part may have been written.
///
/// # Examples
///
/// ```
/// let mut bytes = Vec::new();
/// ndferry::file::to_writer(&mut bytes, &vec![0.5; 1000])?;
/// let value: Vec<f64> = ndferry::file::from_slice(&bytes)?;
/// assert_eq!(value.len(), 1000);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if:
///
/// - the writer fails.
/// - serialization fails, or returns different data the second time.
pub fn to_writer<T: Serialize + ?Sized>(writer: impl io::Write, value: &T) -> Result<()> {
    DumpOptions::new().to_writer(writer, value)
}

/// A target for a container that is written in two passes.
trait WriteSeek: io::Write + io::Seek {}

impl<W: io::Write + io::Seek> WriteSeek for W {}

impl DumpOptions {
    /// Writes a value to a `.ferry` file, like [`dump`].
    ///
    /// # Errors
    ///
    /// Returns an error if [`dump`] does, or if `path` has the extension of another
    /// format.
    pub fn dump<T: Serialize + ?Sized>(&self, path: impl AsRef<Path>, value: &T) -> Result<()> {
        let path = path.as_ref();
        if let Ok(format) = Format::from_path(path) {
            if !matches!(format.writer(), Some(Writer::Value(_))) {
                let message = format!(
                    "`dump` does not write `.{format}` files; use `DumpOptions::write_{format}`"
                );
                return Err(Error::invalid_input(message).at(path));
            }
        }
        self.write_value(Format::Ferry, path, &mut |sink| {
            codec::encode(value, self.min_segment_bytes, sink)
        })
    }

    /// Writes a value to a writer, like [`to_writer`].
    ///
    /// # Errors
    ///
    /// Returns an error if [`to_writer`] does.
    pub fn to_writer<T: Serialize + ?Sized>(
        &self,
        writer: impl io::Write,
        value: &T,
    ) -> Result<()> {
        Format::Ferry.check_options(self)?;
        let write = |file: &mut dyn WriteSeek| {
            let mut container = ferry::Container::new(file, ferry::Target::Nameless, self.clone())?;
            let tree = codec::encode(value, self.min_segment_bytes, &mut container)?;
            container.finish(&tree).map(drop)
        };
        let mut dry_run = ferry::DryRun::new();
        write(&mut dry_run)?;
        write(&mut dry_run.second_pass(io::BufWriter::with_capacity(64 << 10, writer)))
    }

    /// Writes an array to a `.npy` file.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("depth.npy");
    /// use ndferry::{file::DumpOptions, ndarray::{Ix1, array}};
    ///
    /// DumpOptions::new().write_npy(&path, array![1.5, 2.5])?;
    /// assert_eq!(ndferry::open(&path)?.read::<f64, Ix1>()?[1], 2.5);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - the file cannot be written; an existing file is left unchanged.
    /// - NumPy has no such dtype (`bf16`), or cannot read it back (fields without names,
    ///   arrays of empty strings).
    /// - an option is set that `.npy` files do not support.
    pub fn write_npy(&self, path: impl AsRef<Path>, array: impl Into<AnyArray>) -> Result<()> {
        self.write_array(Format::Npy, path.as_ref(), &array.into())
    }

    /// Writes named arrays to a `.npz` file.
    ///
    /// The arrays are not compressed, and aligned to 64 bytes, so that
    /// [`open`](crate::open) can map them. An array without a name is named `arr_` and its
    /// number, like NumPy does.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("survey.npz");
    /// use ndferry::{SharedArray, file::DumpOptions, ndarray::{Ix1, array}};
    ///
    /// let depth = SharedArray::from(array![1.5, 2.5]).to_any();
    /// let flags = SharedArray::from(array![1u8]).to_any();
    /// DumpOptions::new().write_npz(&path, [("depth", depth), ("flags", flags)])?;
    /// let depth = ndferry::open(&path)?.read_array::<f64, Ix1>("depth")?;
    /// assert_eq!((depth[1], depth.copy_reason()), (2.5, None));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - two arrays have the same name.
    /// - a name contains a zero byte, or has more than 65,531 bytes.
    /// - [`write_npy`](Self::write_npy) returns an error for one of the arrays.
    pub fn write_npz<N: Into<String>, A: Into<AnyArray>>(
        &self,
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (N, A)>,
    ) -> Result<()> {
        let path = path.as_ref();
        let arrays = Named::of(arrays).map_err(|error| error.at(path))?;
        self.write_arrays(Format::Npz, path, &arrays, &BTreeMap::new())
    }

    /// Writes named arrays to a `.safetensors` file, with `metadata`.
    ///
    /// The arrays are written little-endian and in C order, as the format requires. The arrays
    /// with the largest elements come first, so that all arrays are aligned. An array without a
    /// name is named `arr_` and its number.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.safetensors");
    /// use ndferry::{SharedArray, file::DumpOptions, ndarray::{Ix1, array}};
    ///
    /// let weight = SharedArray::from(array![[1f32, 2.], [3., 4.]]).to_any();
    /// let bias = SharedArray::from(array![0.5f32]).to_any();
    /// let metadata = [("trained on".to_owned(), "the survey".to_owned())].into();
    /// DumpOptions::new().write_safetensors(&path, [("weight", weight), ("bias", bias)], &metadata)?;
    ///
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.read_array::<f32, Ix1>("bias")?.to_vec(), [0.5]);
    /// assert_eq!(file.metadata()["trained on"], "the survey");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - two arrays have the same name, or one is named `__metadata__`.
    /// - the format has no such dtype, for example `Complex<f64>`.
    /// - an option is set that `.safetensors` files do not support, such as big-endian byte
    ///   order or F order.
    /// - the file cannot be written; an existing file is left unchanged.
    pub fn write_safetensors<N: Into<String>, A: Into<AnyArray>>(
        &self,
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (N, A)>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let path = path.as_ref();
        let arrays = Named::of(arrays).map_err(|error| error.at(path))?;
        self.write_arrays(Format::Safetensors, path, &arrays, metadata)
    }

    pub(super) fn write_array(&self, format: Format, path: &Path, array: &AnyArray) -> Result<()> {
        let Some(Writer::Array(write)) = format.writer() else {
            return Err(wrong_content(format, "one array").at(path));
        };
        format.check_options(self).map_err(|error| error.at(path))?;
        atomic::write(path, |file| write(file, array, self))
    }

    pub(super) fn write_arrays(
        &self,
        format: Format,
        path: &Path,
        arrays: &Named<'_>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let Some(Writer::Arrays(write)) = format.writer() else {
            return Err(wrong_content(format, "named arrays").at(path));
        };
        format.check_options(self).map_err(|error| error.at(path))?;
        atomic::write(path, |file| write(file, arrays, metadata, self))
    }

    pub(super) fn write_value(
        &self,
        format: Format,
        path: &Path,
        encode: &mut dyn FnMut(&mut dyn codec::Sink) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let Some(Writer::Value(write)) = format.writer() else {
            return Err(wrong_content(format, "a value").at(path));
        };
        format.check_options(self).map_err(|error| error.at(path))?;
        atomic::write(path, |file| write(file, path, self, encode))
    }
}

/// Returns the error for a format whose files do not contain `content`.
fn wrong_content(format: Format, content: &str) -> Error {
    Error::invalid_input(format!("a `.{format}` file does not contain {content}"))
}
