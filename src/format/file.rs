//! An open file of arrays in any format.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::Path, sync::Arc};

use ndarray::Dimension;
use serde::de::DeserializeOwned;

use super::{
    entry::{ArrayInfo, Index, Tree, UnsupportedEntry},
    names,
    options::{MmapMode, OpenOptions},
    registry::Format,
};
use crate::{
    AnyArray, Error, Result, SharedArray,
    array::{ArraySource, CopyReason, CowArray, Memory, Storage},
    bytes::map::{Buffer, FileMap, WritableMap},
    codec::{self, Segments},
    dtype::{Element, Quoted},
};

/// An open file of arrays.
///
/// Opening a file reads only its headers. The data of an array is read when you access it. The
/// arrays remain usable after the `ArrayFile` is dropped.
///
/// # Which method should I use?
///
/// | the file contains | use |
/// |---|---|
/// | one array | [`read`](Self::read) |
/// | several arrays, and you know the name and type of one | [`read_array`](Self::read_array) |
/// | arrays whose types are known only at run time | [`read_dyn`](Self::read_dyn) |
/// | several arrays with the same name | [`arrays`](Self::arrays), [`read_entry`](Self::read_entry) |
/// | a value, such as a struct with arrays in it | [`value`](Self::value), or [`load`](crate::load) |
/// | an array that you want to change in memory | [`copy_on_write`](Self::copy_on_write) |
///
/// # Changing a mapped file
///
/// Arrays are memory-mapped if possible. Do not change the file in place while it is mapped. If
/// a program writes to it, the values of your arrays change. If a program truncates it,
/// touching the missing part ends your program with `SIGBUS`. [`OpenOptions::mmap_mode`]
/// explains why opening is nevertheless a safe function, and how to read a file instead of
/// mapping it.
///
/// # Examples
///
/// ```
/// use ndarray::{Ix2, array};
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("survey.ferry");
/// ndferry::dump(&path, &array![[1.5, 2.5], [3.5, 4.5]])?;
///
/// let file = ndferry::open(&path)?;
/// assert_eq!(file.arrays()[0].shape(), [2, 2]);
/// let survey = file.read::<f64, Ix2>()?;
/// assert_eq!(survey[(1, 0)], 3.5);
/// assert_eq!(survey.source().unwrap().path(), path);
/// # Ok::<(), ndferry::Error>(())
/// ```
pub struct ArrayFile {
    map: Arc<FileMap>,
    format: Format,
    index: Index,
    options: OpenOptions,
}

impl ArrayFile {
    pub(super) fn new(
        map: Arc<FileMap>,
        format: Format,
        index: Index,
        options: OpenOptions,
    ) -> Self {
        Self { map, format, index, options }
    }

    /// Returns the path of the file. It is empty for a file in memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Returns the format of the file.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the version of the format, if it has versions.
    ///
    /// This is `1` for `.ferry` files, and `1.0` to `3.0` for `.npy` files.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.index.version.as_deref()
    }

    /// Returns the metadata of the file: texts by their keys.
    ///
    /// `.safetensors` files have it in `__metadata__`. `.ferry` files that were converted from them
    /// keep it. The other formats have none.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.index.metadata
    }

    /// Returns the descriptions of all arrays, in the order of the file.
    #[must_use]
    pub fn arrays(&self) -> &[ArrayInfo] {
        &self.index.arrays
    }

    /// Returns the named entries that are not supported arrays.
    ///
    /// Examples are Python objects in `.npz` files, and 8-bit floats in `.safetensors`
    /// files. The arrays of the file can still be read, but [`value`](Self::value) fails.
    #[must_use]
    pub fn unsupported_entries(&self) -> &[UnsupportedEntry] {
        &self.index.unsupported
    }

    /// Returns the number of bytes after the array of a `.npy` file.
    ///
    /// NumPy and ndferry ignore these bytes. They exist if a program saved several arrays in
    /// one file, or appended something else. For other formats this is 0, because they
    /// reject such bytes, or because a [`RawLayout`](super::RawLayout) may cover only a part
    /// of the file.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, file::{DumpOptions, Format}};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("two.npy");
    /// DumpOptions::new().write_npy(&path, SharedArray::from(vec![1.5, 2.5]))?;
    /// let one = std::fs::read(&path).unwrap();
    /// std::fs::write(&path, [&*one, &*one].concat()).unwrap();
    ///
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.trailing_nbytes(), one.len() as u64);
    /// assert_eq!(file.trailing_format(), Some(Format::Npy));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn trailing_nbytes(&self) -> u64 {
        self.trailing().len() as u64
    }

    /// Returns the format of the bytes after the array, if they begin like a file of
    /// arrays.
    ///
    /// See [`trailing_nbytes`](Self::trailing_nbytes).
    #[must_use]
    pub fn trailing_format(&self) -> Option<Format> {
        Format::detect(self.trailing()).ok()
    }

    fn trailing(&self) -> &[u8] {
        self.index.end.map_or(&[], |end| &self.bytes()[end..])
    }

    /// Returns the description of the array named `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &std::collections::BTreeMap::from([("weight", array![0.5, 1.5])]))?;
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.entry("weight")?.shape(), [2]);
    /// assert!(file.entry("wieght").unwrap_err().to_string().ends_with("did you mean `weight`?"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if no array, or more than one, has this name.
    pub fn entry(&self, name: &str) -> Result<&ArrayInfo> {
        let mut found = self.arrays().iter().filter(|info| info.name() == name);
        let error = match (found.next(), found.next()) {
            (Some(info), None) => return Ok(info),
            (Some(one), Some(other)) => Error::invalid_data(format!(
                "the file contains several arrays named {}, at bytes {} and {}",
                Quoted(name),
                one.offset(),
                other.offset()
            )),
            (None, _) => match self.index.unsupported.iter().find(|other| other.name() == name) {
                Some(unsupported) => unsupported.error(),
                None => names::unknown(name, self.arrays()),
            },
        };
        Err(error.at(self.path()))
    }

    /// Reads the only array of the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not contain exactly one array, or if the array is
    /// not of this type; see [`AnyArray::to_array`].
    pub fn read<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        self.check_supported()?;
        match self.arrays() {
            [only] => self.typed(only),
            [] => Err(Error::invalid_data("the file contains no arrays").at(self.path())),
            several => Err(names::missing(several).at(self.path())),
        }
    }

    /// Reads the array named `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::{Ix1, array};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &std::collections::BTreeMap::from([("weight", array![0.5, 1.5])]))?;
    /// let weight = ndferry::open(&path)?.read_array::<f64, Ix1>("weight")?;
    /// assert_eq!(weight.sum(), 2.0);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if [`entry`](Self::entry) does, or if the array is not of this
    /// type; see [`AnyArray::to_array`].
    pub fn read_array<A: Element, D: Dimension>(&self, name: &str) -> Result<SharedArray<A, D>> {
        self.typed(self.entry(name)?)
    }

    /// Reads the array named `name`, whatever its element type.
    ///
    /// If the type is known at compile time, use [`read_array`](Self::read_array).
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &array![1i16, 2])?;
    /// let array = ndferry::open(&path)?.read_dyn("")?;
    /// assert_eq!((array.shape(), array.nbytes()), (&[2][..], 4));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if [`entry`](Self::entry) or [`read_entry`](Self::read_entry)
    /// does.
    pub fn read_dyn(&self, name: &str) -> Result<AnyArray> {
        self.read_entry(self.entry(name)?)
    }

    /// Reads the array that `info` describes.
    ///
    /// Use this if several arrays have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &(array![1.5, 2.5], array![3u8]))?;
    /// let file = ndferry::open(&path)?;
    /// for info in file.arrays() {
    ///     assert_eq!(file.read_entry(info)?.dtype(), info.dtype());
    /// }
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - `info` belongs to another file.
    /// - the array is damaged, too large when decompressed, or cannot be mapped, and the
    ///   [options](OpenOptions) require otherwise.
    pub fn read_entry(&self, info: &ArrayInfo) -> Result<AnyArray> {
        // The range in another file's entry may be outside of this file.
        if !self.arrays().as_ptr_range().contains(&std::ptr::from_ref(info)) {
            let message = format!("{} is described by the entry of another file", info.title());
            return Err(Error::invalid_input(message).at(self.path()));
        }
        self.untyped(info).map_err(|error| error.at(self.path()))
    }

    /// Maps an array copy-on-write: you can change it, but the file stays the same.
    ///
    /// `info` must be one of [`arrays`](Self::arrays). A page of memory is copied when you
    /// first write to it. If the array cannot be mapped, use [`SharedArray::to_owned`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::{Ix2, array};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &array![[1.5, 2.5]])?;
    /// let file = ndferry::open(&path)?;
    /// let mut array = file.copy_on_write::<f64, Ix2>(&file.arrays()[0])?;
    /// array[(0, 1)] = 7.0;
    /// assert_eq!((array.sum(), file.read::<f64, Ix2>()?.sum()), (8.5, 4.0));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - the array [cannot be mapped](ArrayInfo::copy_reason), or the file was read
    ///   instead of mapped.
    /// - [`read_array`](Self::read_array) returns an error for this array.
    pub fn copy_on_write<A: Element, D: Dimension>(
        &self,
        info: &ArrayInfo,
    ) -> Result<CowArray<A, D>> {
        let made = match (info.copy_reason(), self.map.file()) {
            (None, Some(file)) => {
                // Checks the file, the options and the type.
                self.read_entry(info)?.to_array::<A, D>().and_then(|_| {
                    let map = WritableMap::copy_on_write(file, info.offset(), info.range().len());
                    let map = map.map_err(|error| Error::io("cannot map copy-on-write", error))?;
                    CowArray::new(map, info.layout(), info.order(), self.source(info))
                })
            }
            (reason, _) => {
                let reason = reason.unwrap_or(CopyReason::Read);
                Err(Error::invalid_input(format!("cannot be mapped copy-on-write: {reason}")))
            }
        };
        made.map_err(|error| error.within(info.title()).at(self.path()))
    }

    /// Deserializes the value of the file.
    ///
    /// The value of a `.npy` file is its array. The value of a `.npz` or `.safetensors`
    /// file is a map from names to arrays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::{Array1, array};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &("weights", array![0.5, 0.25]))?;
    /// let (name, weights): (String, Array1<f64>) = ndferry::open(&path)?.value()?;
    /// assert_eq!((name.as_str(), weights[1]), ("weights", 0.25));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - the value is not a `T`.
    /// - the file contains an [unsupported entry](Self::unsupported_entries).
    /// - the compressed arrays together exceed
    ///   [`max_decompressed_bytes`](OpenOptions::max_decompressed_bytes).
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let compressed = self.arrays().iter().filter(|info| info.codec().is_some());
        let nbytes = compressed.fold(0_u64, |nbytes, info| nbytes.saturating_add(info.nbytes()));
        let value = self
            .check_limit("the compressed arrays of the value", nbytes)
            .and_then(|()| self.check_supported())
            .and_then(|()| self.tree())
            .and_then(|tree| codec::decode(&tree, self))
            .map_err(|error| match self.index.tree {
                Tree::NamedArrays => error.within("read as a map from names to arrays"),
                Tree::InFile(_) | Tree::OneArray => error,
            });
        value.map_err(|error| error.at(self.path()))
    }

    /// Returns the name of an array without the escapes of `.ferry` files.
    ///
    /// In a `.ferry` file a backslash marks dots and backslashes that belong to a key. The
    /// other formats do not escape names. Two arrays of a `.ferry` file may have the same
    /// unescaped name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &std::collections::BTreeMap::from([("bias.0", array![0.5])]))?;
    /// let file = ndferry::open(&path)?;
    /// let bias = &file.arrays()[0];
    /// assert_eq!((bias.name(), &*file.unescaped_name(bias)), (r"bias\.0", "bias.0"));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn unescaped_name<'a>(&self, info: &'a ArrayInfo) -> Cow<'a, str> {
        if self.format.escapes_names() { unescaped(info.name()) } else { info.name().into() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.map.as_ref().as_ref()
    }

    /// Checks that the file contains no unsupported entry.
    pub(super) fn check_supported(&self) -> Result<()> {
        let first = self.index.unsupported.first();
        first.map_or(Ok(()), |first| Err(first.error().at(self.path())))
    }

    pub(super) fn index_tree(&self) -> &Tree {
        &self.index.tree
    }

    /// Returns the bytes of the value's tree.
    pub(super) fn tree(&self) -> Result<Cow<'_, [u8]>> {
        match &self.index.tree {
            Tree::InFile(range) => Ok(Cow::Borrowed(&self.bytes()[range.clone()])),
            Tree::OneArray => codec::tree_of(self.arrays()[0].shape()).map(Cow::Owned),
            Tree::NamedArrays => {
                codec::tree_of_map(self.arrays().iter().map(|info| (info.name(), info.shape())))
                    .map(Cow::Owned)
            }
        }
    }

    /// Decompresses an array. Returns `None` if it is not compressed.
    pub(super) fn decompressed(&self, info: &ArrayInfo) -> Result<Option<Buffer>> {
        if info.codec().is_some() {
            self.check_limit(&info.title(), info.nbytes())?;
        }
        info.decompressed(self.bytes())
    }

    fn check_limit(&self, subject: &str, nbytes: u64) -> Result<()> {
        let limit = self.options.max_decompressed_bytes;
        if nbytes <= limit {
            return Ok(());
        }
        Err(Error::invalid_input(format!(
            "{subject}: expected at most {limit} decompressed bytes, found {nbytes}; raise \
             `OpenOptions::max_decompressed_bytes` or `--max-decompressed`"
        )))
    }

    fn typed<A: Element, D: Dimension>(&self, info: &ArrayInfo) -> Result<SharedArray<A, D>> {
        let array = self.untyped(info).map_err(|error| error.at(self.path()))?;
        array.to_array().map_err(|error| error.within(info.title()).at(self.path()))
    }

    pub(super) fn untyped(&self, info: &ArrayInfo) -> Result<AnyArray> {
        let OpenOptions { verify, mmap_mode, .. } = self.options;
        if let (MmapMode::Required, Some(reason)) = (mmap_mode, info.copy_reason()) {
            return Err(Error::invalid_input(format!(
                "{} cannot be mapped, but `MmapMode::Required` is set: {reason}",
                info.title()
            )));
        }
        if verify && !info.is_verified_when_decompressed() {
            info.verify_checksum(self.bytes())?;
        }
        let source = (!self.path().as_os_str().is_empty()).then(|| self.source(info));
        let range = info.range();
        let memory = match (self.decompressed(info)?, self.map.buffer()) {
            (Some(buffer), _) => Memory::owned(buffer, source, CopyReason::Compressed),
            (None, Some(buffer)) => {
                let storage = Storage::Buffer { buffer: Arc::clone(buffer), range };
                Memory::new(storage, source, Some(CopyReason::Read))
            }
            (None, None) => {
                let map = Arc::clone(&self.map);
                Memory::new(Storage::Map { map, range, private: false }, source, None)
            }
        };
        AnyArray::new(memory, info.dtype().clone(), info.layout().clone())
    }

    fn source(&self, info: &ArrayInfo) -> ArraySource {
        ArraySource {
            path: self.path().to_path_buf(),
            offset: info.offset(),
            byte_order: info.dtype().byte_order(),
        }
    }
}

impl Segments for ArrayFile {
    fn get(&self, index: u64) -> Result<AnyArray> {
        let info = usize::try_from(index).ok().and_then(|index| self.arrays().get(index));
        match info {
            Some(info) => self.untyped(info),
            None => Err(Error::invalid_data(format!(
                "the value refers to segment {index}, but the file has {} segments",
                self.arrays().len()
            ))),
        }
    }

    fn requires_maps(&self) -> bool {
        self.options.mmap_mode == MmapMode::Required
    }
}

impl fmt::Debug for ArrayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, format, count) = (self.path().display(), self.format, self.arrays().len());
        write!(f, "ArrayFile({path}, {format}, {count} arrays)")
    }
}

/// Removes the backslashes that mark a key's own dots.
fn unescaped(name: &str) -> Cow<'_, str> {
    if !name.contains('\\') {
        return name.into();
    }
    let mut letters = name.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_unescaped_removes_backslashes() {
        assert_eq!(unescaped(r"layers\.0.a\\b"), r"layers.0.a\b");
    }
}
