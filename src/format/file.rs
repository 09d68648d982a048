//! An open file of arrays, whatever its format.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use ndarray::Dimension;
use serde::de::DeserializeOwned;

use super::{OpenOptions, ferry, npy, npz, safetensors};
use crate::{
    AnyArray, DType, Element, Error, Order, Result, Scalar, SharedArray, Source, WhyNotMapped,
    array::{Layout, Memory, Storage},
    codec::{self, Segments},
    dtype::Quoted,
    map::{Buffer, FileMap},
};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// This crate's container: any number of arrays and a value that holds them.
    Ferry,
    /// NumPy's `.npy`: one array.
    Npy,
    /// NumPy's `.npz`: named arrays, each a `.npy` file, in a zip file.
    Npz,
    /// Named arrays behind a JSON header, as machine learning passes its models on.
    Safetensors,
    /// Bytes without a header, described by a [`RawLayout`](crate::RawLayout).
    Raw,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ferry => "ferry",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Safetensors => "safetensors",
            Self::Raw => "raw",
        })
    }
}

/// One array of a file: what it is and where it lies.
///
/// Made only from a description that was checked: `offset() + nbytes()` is within the file.
#[derive(Clone, Debug)]
pub struct ArrayInfo {
    name: String,
    dtype: DType,
    order: Order,
    layout: Layout,
    offset: usize,
    pub(super) checksum: Option<u64>,
    /// The member of the archive that the array is, in a format that is one.
    pub(super) member: Option<npz::Member>,
}

impl ArrayInfo {
    /// Checks a description against the file that is to hold it.
    pub(super) fn checked(
        name: String,
        dtype: DType,
        shape: &[usize],
        order: Order,
        offset: u64,
        file_length: usize,
    ) -> Result<Self> {
        let info = Self::unplaced(name, dtype, shape, order, offset)?;
        let nbytes = info.nbytes();
        let held = usize::try_from(offset).ok().and_then(|offset| file_length.checked_sub(offset));
        match held {
            Some(held) if nbytes <= held as u64 => Ok(info),
            _ => {
                let held = held.unwrap_or(0);
                let shape = crate::array::Short(shape);
                Err(Error::invalid(format!(
                    "{shape} of `{}` needs {nbytes} bytes from byte {offset} on, the file holds {held} there",
                    info.dtype
                )))
            }
        }
    }

    /// An array that does not lie at `offset` as it is: what is there is for its `member` to say.
    pub(super) fn unplaced(name: String, dtype: DType, shape: &[usize], order: Order, offset: u64) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        Ok(Self { name, dtype, order, layout, offset: offset as usize, checksum: None, member: None })
    }

    /// Where in the file's value the array stands (`model.layers.0.weight`); empty where the array is the whole value.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element type and byte order.
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// Length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Memory order, as the file says it.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Bytes from the start of the file to the first element; of a compressed array, to the compressed bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        (self.layout.len() * self.dtype.item_size()) as u64
    }

    /// The largest power of two that divides the offset, at most a page of 4096 bytes: how a map of the array is aligned.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        1 << self.offset.trailing_zeros().min(12)
    }

    /// Whether the array can be used as it lies in the file: not compressed, native byte order, aligned, and not `bool`.
    #[must_use]
    pub fn mappable(&self) -> bool {
        let scalar = self.dtype.scalar();
        self.deflated().is_none()
            && self.dtype.is_native()
            && scalar != Scalar::Bool
            && self.alignment() >= scalar.alignment() as u64
    }

    /// Bytes that the array takes in the file: [`nbytes`](Self::nbytes), unless it is compressed.
    #[must_use]
    pub fn stored_nbytes(&self) -> u64 {
        self.range().len() as u64
    }

    /// How the array is compressed in the file: `deflate`, or not at all. It is then decompressed each time it is asked for.
    #[must_use]
    pub fn codec(&self) -> Option<&'static str> {
        self.deflated().map(|_| "deflate")
    }

    /// The member that the array is, where it is deflated.
    fn deflated(&self) -> Option<&npz::Member> {
        self.member.as_ref().filter(|member| member.is_deflated())
    }

    /// Whether the file has a checksum of the array's bytes, which [`ArrayFile::verify`] compares.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum.is_some() || self.member.is_some()
    }

    pub(super) fn range(&self) -> Range<usize> {
        let length = self.deflated().map_or(self.layout.len() * self.dtype.item_size(), npz::Member::stored_nbytes);
        self.offset..self.offset + length
    }

    /// What to call the array in a message.
    pub(super) fn title(&self) -> String {
        match self.name.as_str() {
            "" => "the array".into(),
            name => format!("array {}", Quoted(name)),
        }
    }
}

/// A file of arrays, open and mapped. Nothing of an array is read before it is asked for; of one that is compressed, its
/// header is.
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
/// let survey = file.array::<f64, Ix2>()?;
/// assert_eq!(survey[(1, 0)], 3.5);
/// assert_eq!(survey.source().unwrap().path(), path);
/// # Ok::<(), ndferry::Error>(())
/// ```
pub struct ArrayFile {
    map: Arc<FileMap>,
    format: Format,
    version: Option<String>,
    arrays: Vec<ArrayInfo>,
    tree: Tree,
    metadata: BTreeMap<String, String>,
    /// How its arrays are given.
    options: OpenOptions,
    /// Whether the file belongs to this program's own session.
    private: bool,
}

/// The tree of the file's value.
pub(super) enum Tree {
    InFile(Range<usize>),
    /// The format knows none: the value is the one array.
    OfOne,
    /// The format knows none: the value is a map from names to arrays.
    OfNamed,
}

impl Tree {
    /// Why the file's value is not of the type asked for, where the format and not the file says what it is.
    fn explain(&self, error: Error) -> Error {
        match self {
            Self::OfNamed => error.within("read as a map from names to arrays"),
            Self::InFile(_) | Self::OfOne => error,
        }
    }
}

/// Opens a `.ferry`, `.npy`, `.npz` or `.safetensors` file, recognised by its content, and maps it.
///
/// A map shows the file as it is now: whoever changes the file, this program included, changes what is read, and whoever
/// truncates it ends this program with `SIGBUS` when the missing part is touched. Replace such files by renaming, as
/// [`dump`](crate::dump) does, and every reader is safe.
///
/// # Errors
///
/// Where the file cannot be opened, is no regular file, is of no known format, or contradicts itself: truncated, a wrong
/// checksum, an array that reaches past its end. Raw binary is opened by [`RawLayout`](crate::RawLayout).
pub fn open(path: impl AsRef<Path>) -> Result<ArrayFile> {
    OpenOptions::new().open(path)
}

impl ArrayFile {
    /// The arrays of a mapped file.
    pub(crate) fn of(map: Arc<FileMap>, private: bool) -> Result<Self> {
        let bytes: &[u8] = map.as_ref().as_ref();
        let start = &bytes[..bytes.len().min(9)];
        if start.starts_with(ferry::MAGIC) {
            return ferry::read(map, private);
        }
        if start.starts_with(npy::MAGIC) {
            return npy::read(map);
        }
        if npz::is_begun(start) {
            return npz::read(map);
        }
        if safetensors::is_begun(start) {
            return safetensors::read(map);
        }
        Err(Error::invalid(match start {
            [] => "is empty, and so of no known format".into(),
            _ => format!(
                "begins with bytes {start:02X?}: none of .ferry, .npy, .npz and .safetensors (raw binary is opened by giving its dtype and shape)"
            ),
        }))
    }

    pub(super) fn new(
        map: Arc<FileMap>,
        format: Format,
        version: Option<String>,
        arrays: Vec<ArrayInfo>,
        tree: Tree,
        private: bool,
    ) -> Self {
        Self { map, format, version, arrays, tree, metadata: BTreeMap::new(), options: OpenOptions::new(), private }
    }

    /// The same file, whose arrays are given as `options` say.
    pub(super) fn with_options(self, options: OpenOptions) -> Self {
        Self { options, ..self }
    }

    pub(super) fn with_metadata(self, metadata: BTreeMap<String, String>) -> Self {
        Self { metadata, ..self }
    }

    /// The path the file was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The file's format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The version of its format (`1` for `.ferry`, `1.0` to `3.0` for `.npy`); the others have none.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What the file says of itself in words: the `__metadata__` of `.safetensors`; empty for every other format.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Every array of the file, in the order in which they lie.
    #[must_use]
    pub fn arrays(&self) -> &[ArrayInfo] {
        &self.arrays
    }

    /// The file's only array.
    ///
    /// # Errors
    ///
    /// Where there are none or several, and as [`AnyArray::to_array`].
    pub fn array<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        match &*self.arrays {
            [only] => self.typed(only),
            [] => Err(Error::invalid("holds no array").at(self.path())),
            many => {
                let names: Vec<_> = many.iter().take(10).map(|info| Quoted(&info.name).to_string()).collect();
                let message = format!("holds {} arrays, name one of them: {}", many.len(), names.join(", "));
                Err(Error::usage(message).at(self.path()))
            }
        }
    }

    /// The array called `name`.
    ///
    /// # Errors
    ///
    /// Where there is none of that name or several, and as [`AnyArray::to_array`].
    pub fn array_named<A: Element, D: Dimension>(&self, name: &str) -> Result<SharedArray<A, D>> {
        self.typed(self.find(name)?)
    }

    /// The array called `name` as it lies in the file, whatever its element type: a map, unless it is
    /// compressed.
    ///
    /// # Errors
    ///
    /// Where there is none of that name or several; where it is compressed and damaged, or larger than
    /// [`OpenOptions::limit`].
    pub fn any(&self, name: &str) -> Result<AnyArray> {
        self.mapped(self.find(name)?).map_err(|error| error.at(self.path()))
    }

    /// Reads every array that has a checksum and compares. (Those of prelude, header and tree were compared when the file was
    /// opened.)
    ///
    /// # Errors
    ///
    /// Where some array's bytes are not those that were written.
    pub fn verify(&self) -> Result<()> {
        let whole: &[u8] = self.map.as_ref().as_ref();
        for info in &self.arrays {
            if let Some(member) = &info.member {
                member.check(whole).map_err(|error| error.within(info.title()).at(self.path()))?;
            }
            if let Some(expected) = info.checksum {
                ferry::check(&whole[info.range()], expected, &info.title()).map_err(|error| error.at(self.path()))?;
            }
        }
        Ok(())
    }

    /// All bytes of an array that is compressed.
    fn decompressed(&self, info: &ArrayInfo) -> Result<Option<Buffer>> {
        let Some(member) = info.deflated() else {
            return Ok(None);
        };
        self.within_limit(&info.title(), info.nbytes())?;
        let buffer = member.inflate(self.map.as_ref().as_ref(), info.nbytes());
        buffer.map(Some).map_err(|error| error.within(info.title()))
    }

    fn within_limit(&self, what: &str, nbytes: u64) -> Result<()> {
        let limit = self.options.limit;
        if nbytes <= limit {
            return Ok(());
        }
        let message = format!(
            "{what}: {nbytes} bytes when decompressed, beyond the limit of {limit}, which OpenOptions::limit raises"
        );
        Err(Error::usage(message))
    }

    /// The value the file was made from.
    ///
    /// # Errors
    ///
    /// Where the value is not a `T`, or its compressed arrays are together larger than [`OpenOptions::limit`].
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let compressed = self.arrays.iter().filter(|info| info.codec().is_some());
        let nbytes = compressed.fold(0_u64, |nbytes, info| nbytes.saturating_add(info.nbytes()));
        self.within_limit("the compressed arrays of the value", nbytes)
            .and_then(|()| self.tree())
            .and_then(|tree| codec::decode(&tree, self).map_err(|error| self.tree.explain(error)))
            .map_err(|error| error.at(self.path()))
    }

    pub(super) fn tree(&self) -> Result<Cow<'_, [u8]>> {
        match &self.tree {
            Tree::InFile(range) => Ok(Cow::Borrowed(&self.map.as_ref().as_ref()[range.clone()])),
            Tree::OfOne => codec::tree_of(self.arrays[0].shape()).map(Cow::Owned),
            Tree::OfNamed => {
                codec::tree_of_map(self.arrays.iter().map(|info| (info.name(), info.shape()))).map(Cow::Owned)
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Result<&ArrayInfo> {
        let mut found = self.arrays.iter().filter(|info| info.name == name);
        let error = match (found.next(), found.next()) {
            (Some(info), None) => return Ok(info),
            (Some(one), Some(other)) => Error::invalid(format!(
                "holds several arrays called {}, at bytes {} and {}",
                Quoted(name),
                one.offset,
                other.offset
            )),
            (None, _) => Error::usage(format!("holds no array called {}", Quoted(name))),
        };
        Err(error.at(self.path()))
    }

    fn typed<A: Element, D: Dimension>(&self, info: &ArrayInfo) -> Result<SharedArray<A, D>> {
        self.mapped(info).and_then(|array| array.to_array()).map_err(|error| error.within(info.title()).at(self.path()))
    }

    /// The array as it lies in the file, or inflated.
    pub(super) fn mapped(&self, info: &ArrayInfo) -> Result<AnyArray> {
        let source =
            Source { path: PathBuf::from(self.path()), offset: info.offset(), byte_order: info.dtype.byte_order() };
        let memory = match self.decompressed(info)? {
            Some(buffer) => Memory::owned(buffer, Some(source), WhyNotMapped::Compressed),
            None => {
                let storage = Storage::Map { map: Arc::clone(&self.map), range: info.range(), private: self.private };
                Memory::new(storage, Some(source), None)
            }
        };
        AnyArray::new(memory, info.dtype.clone(), info.layout.clone())
    }
}

impl Segments for ArrayFile {
    fn get(&self, index: u64) -> Result<AnyArray> {
        let info = usize::try_from(index).ok().and_then(|index| self.arrays.get(index));
        match info {
            Some(info) => self.mapped(info),
            None => Err(Error::invalid(format!("the value refers to segment {index} of {}", self.arrays.len()))),
        }
    }
}

impl fmt::Debug for ArrayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArrayFile({}, {}, {} arrays)", self.path().display(), self.format, self.arrays.len())
    }
}
