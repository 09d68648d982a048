//! An open file of arrays, whatever its format.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Range, path::Path, sync::Arc};

use ndarray::Dimension;
use serde::de::DeserializeOwned;

use super::{MmapMode, OpenOptions, compress::Codec, ferry, names, npy, npz, safetensors};
use crate::{
    AnyArray, DType, Error, Result, SharedArray,
    array::{ArraySource, CopyReason, Order},
    array::{Layout, Memory, Storage},
    bytes::map::{Buffer, FileMap},
    codec::{self, Segments},
    dtype::{DTypeKind, Element, Field, Quoted, Scalar},
};
#[cfg(target_os = "linux")]
use crate::{array::CowArray, bytes::map::WritableMap};

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
    /// Bytes without a header, described by a [`RawLayout`](crate::file::RawLayout).
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
    /// Codec and length of what is in the file of a compressed array.
    stored: Option<(Codec, usize)>,
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
                let shape = crate::array::ShortShape(shape);
                Err(Error::invalid_data(format!(
                    "{shape} of {} needs {nbytes} bytes from byte {offset} on, the file holds {held} there",
                    Quoted(&info.dtype.to_string())
                )))
            }
        }
    }

    /// Checks a description of an array that is compressed in `range` of its file.
    pub(super) fn compressed(
        name: String,
        dtype: DType,
        shape: &[usize],
        order: Order,
        range: Range<usize>,
        codec: Codec,
    ) -> Result<Self> {
        let info = Self::unplaced(name, dtype, shape, order, range.start as u64)?;
        Ok(Self { stored: Some((codec, range.len())), ..info })
    }

    /// An array that may not lie at `offset` as it is: what is there is for others to say.
    pub(super) fn unplaced(
        name: String,
        dtype: DType,
        shape: &[usize],
        order: Order,
        offset: u64,
    ) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        Ok(Self {
            name,
            dtype,
            order,
            layout,
            offset: offset as usize,
            stored: None,
            checksum: None,
            member: None,
        })
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

    /// Bytes from the start of the file to the first of the array's bytes; of a compressed array, to the compressed ones.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        (self.layout.len() * self.dtype.item_size()) as u64
    }

    /// Bytes that the array takes in the file: [`nbytes`](Self::nbytes), unless it is compressed.
    #[must_use]
    pub fn compressed_nbytes(&self) -> u64 {
        self.range().len() as u64
    }

    /// How the array is compressed in the file: `zstd`, `lz4`, `deflate`, or not at all. It is decompressed each time it is asked for.
    #[must_use]
    pub fn codec(&self) -> Option<&'static str> {
        self.stored.map(|(codec, _)| codec.name()).or_else(|| self.deflated().map(|_| "deflate"))
    }

    /// The member that the array is, where it is deflated.
    fn deflated(&self) -> Option<&npz::Member> {
        self.member.as_ref().filter(|member| member.is_deflated())
    }

    /// The largest power of two that divides the offset, at most a page of 4096 bytes: how a map of the array is aligned.
    #[must_use]
    pub fn alignment(&self) -> u64 {
        1 << self.offset.trailing_zeros().min(12)
    }

    /// Whether the array can be used as it lies in the file: not compressed, native byte order, aligned, and not `bool`. Of records the
    /// byte order alone counts: how its fields are aligned is each field's matter.
    #[must_use]
    pub fn is_mappable(&self) -> bool {
        self.copy_reason().is_none()
    }

    /// The rule by which the array cannot be used as it lies in the file; `None` where it can.
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

    /// Whether the file has a checksum of the array's bytes, which [`ArrayFile::verify`] compares.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum.is_some() || self.member.is_some()
    }

    /// Whether the array's `bytes` are values of its type, which any are but those of `bool`.
    fn check_values(&self, bytes: &[u8]) -> Result<()> {
        let Some(at) = Bools::of(&self.dtype).and_then(|bools| bools.wrong(bytes)) else {
            return Ok(());
        };
        let what = if self.dtype.scalar().is_some() { "is bool" } else { "has a field of bool" };
        let found = bytes[at];
        let (at, of) = match self.codec() {
            Some(_) => (at, "of what is decompressed"),
            None => (self.offset + at, "of the file"),
        };
        Err(Error::invalid_data(format!(
            "{} {what}, and byte {at} {of} is {found}, neither 0 nor 1",
            self.title()
        )))
    }

    pub(super) fn range(&self) -> Range<usize> {
        let whole = self.layout.len() * self.dtype.item_size();
        let length = match (&self.stored, self.deflated()) {
            (Some((_, length)), _) => *length,
            (None, Some(member)) => member.compressed_nbytes(),
            (None, None) => whole,
        };
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

/// Something in a file of named arrays that cannot be given as an array, and why: [`ArrayFile::unreadable`].
#[derive(Clone, Debug)]
pub struct UnsupportedEntry {
    name: String,
    reason: String,
    range: Range<usize>,
    /// The member of the archive that it is, in a format that is one.
    member: Option<npz::Member>,
}

impl UnsupportedEntry {
    /// What is called `name` and lies in `range` of the file, and what is wrong with it.
    pub(super) fn new(
        name: String,
        range: Range<usize>,
        member: Option<npz::Member>,
        wrong: &Error,
    ) -> Self {
        Self { name, reason: wrong.message(), range, member }
    }

    /// What it is called, as an array would be.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it cannot be given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Bytes from the start of the file to where it begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.range.start as u64
    }

    /// Bytes that it takes in the file.
    #[must_use]
    pub fn compressed_nbytes(&self) -> u64 {
        self.range.len() as u64
    }

    fn error(&self) -> Error {
        Error::invalid_input(format!("{} cannot be read: {}", Quoted(&self.name), self.reason))
    }

    /// What is wrong with its bytes in `file`, or else that nobody can tell.
    fn check(&self, file: &[u8]) -> Error {
        match self.member.as_ref().map(|member| member.check(file)) {
            Some(Err(damage)) => damage.within(Quoted(&self.name)),
            _ => self.error(),
        }
    }
}

/// Where in elements of `size` bytes there is `bool`, which not every byte is.
struct Bools {
    size: usize,
    /// Places, how many lie there side by side, and what they are where they are no `bool` themselves.
    parts: Vec<(usize, usize, Option<Bools>)>,
}

impl Bools {
    /// `None` where there is none.
    fn of(dtype: &DType) -> Option<Self> {
        let parts = match dtype.kind() {
            DTypeKind::Scalar(Scalar::Bool) => vec![(0, 1, None)],
            DTypeKind::Struct(_) => {
                let some = dtype.fields().into_iter().flatten().filter(|field| field.count() > 0);
                let part = |field: &Field| {
                    let inner = Self::of(field.dtype())?;
                    let inner = (field.dtype().scalar() != Some(Scalar::Bool)).then_some(inner);
                    Some((field.offset(), field.count(), inner))
                };
                some.filter_map(part).collect()
            }
            _ => Vec::new(),
        };
        (!parts.is_empty()).then_some(Self { size: dtype.item_size(), parts })
    }

    /// The first byte of elements, one behind another, that should be a `bool` and is none.
    fn wrong(&self, bytes: &[u8]) -> Option<usize> {
        if let (1, [(0, 1, None)]) = (self.size, &*self.parts) {
            return bytes.iter().position(|&byte| byte > 1);
        }
        let in_part = |start: usize, (offset, count, inner): &(usize, usize, Option<Self>)| {
            let start = start + offset;
            let wrong = match inner {
                None => bytes[start..start + count].iter().position(|&byte| byte > 1),
                Some(inner) => inner.wrong(&bytes[start..start + count * inner.size]),
            };
            wrong.map(|at| start + at)
        };
        (0..bytes.len())
            .step_by(self.size)
            .find_map(|start| self.parts.iter().find_map(|part| in_part(start, part)))
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
    unreadable: Vec<UnsupportedEntry>,
    tree: Tree,
    metadata: BTreeMap<String, String>,
    /// Whether the file belongs to this program's own session.
    private: bool,
    /// How its arrays are given.
    options: OpenOptions,
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

impl ArrayFile {
    /// The arrays of a mapped file.
    pub(crate) fn of(map: Arc<FileMap>, private: bool) -> Result<Self> {
        let bytes: &[u8] = map.as_ref().as_ref();
        match Self::recognised(bytes)? {
            Format::Npy => npy::read(map),
            Format::Npz => npz::read(map),
            Format::Safetensors => safetensors::read(map),
            _ => ferry::read(map, private),
        }
    }

    /// The format of a file that begins with `bytes`.
    pub(super) fn recognised(bytes: &[u8]) -> Result<Format> {
        let start = &bytes[..bytes.len().min(9)];
        if start.starts_with(ferry::MAGIC) {
            return Ok(Format::Ferry);
        }
        if start.starts_with(npy::MAGIC) {
            return Ok(Format::Npy);
        }
        if npz::is_begun(start) {
            return Ok(Format::Npz);
        }
        if safetensors::is_begun(start) {
            return Ok(Format::Safetensors);
        }
        Err(Error::invalid_data(match start {
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
        Self {
            map,
            format,
            version,
            arrays,
            unreadable: Vec::new(),
            tree,
            metadata: BTreeMap::new(),
            private,
            options: OpenOptions::new(),
        }
    }

    /// The same file, whose arrays are given as `options` say.
    pub(super) fn with_options(self, options: OpenOptions) -> Self {
        Self { options, ..self }
    }

    pub(super) fn with_unreadable(self, unreadable: Vec<UnsupportedEntry>) -> Self {
        Self { unreadable, ..self }
    }

    pub(super) fn with_metadata(self, metadata: BTreeMap<String, String>) -> Self {
        Self { metadata, ..self }
    }

    /// The path the file was opened by; empty where it was bytes in memory.
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

    /// What else the file has under names, that is no array this crate can give: Python objects in a `.npz` file, or a text beside its arrays; elements
    /// of 8 bits and less in a `.safetensors` file. The rest of the file is not the worse for it, but its value as a whole cannot be had.
    #[must_use]
    pub fn unsupported_entries(&self) -> &[UnsupportedEntry] {
        &self.unreadable
    }

    /// Whether every array of the file can be given.
    pub(super) fn check_readable(&self) -> Result<()> {
        self.unreadable.first().map_or(Ok(()), |first| Err(first.error().at(self.path())))
    }

    /// The file's only array.
    ///
    /// # Errors
    ///
    /// Where there are none or several, and as [`AnyArray::to_array`].
    pub fn read<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        self.check_readable()?;
        match &*self.arrays {
            [only] => self.typed(only),
            [] => Err(Error::invalid_data("holds no array").at(self.path())),
            several => Err(names::unsaid(several).at(self.path())),
        }
    }

    /// What the file says of the array called `name`.
    ///
    /// # Errors
    ///
    /// Where there is none of that name or several.
    pub fn entry(&self, name: &str) -> Result<&ArrayInfo> {
        let mut found = self.arrays.iter().filter(|info| info.name == name);
        let error = match (found.next(), found.next()) {
            (Some(info), None) => return Ok(info),
            (Some(one), Some(other)) => Error::invalid_data(format!(
                "holds several arrays called {}, at bytes {} and {}",
                Quoted(name),
                one.offset,
                other.offset
            )),
            (None, _) => match self.unreadable.iter().find(|other| other.name == name) {
                Some(unreadable) => unreadable.error(),
                None => names::unknown(name, &self.arrays),
            },
        };
        Err(error.at(self.path()))
    }

    /// The array called `name`.
    ///
    /// # Errors
    ///
    /// Where there is none of that name or several, and as [`AnyArray::to_array`].
    pub fn read_array<A: Element, D: Dimension>(&self, name: &str) -> Result<SharedArray<A, D>> {
        self.typed(self.entry(name)?)
    }

    /// The array called `name` as it lies in the file, whatever its element type; decompressed, where it is compressed.
    ///
    /// # Errors
    ///
    /// Where there is none of that name or several, and as the file's [`OpenOptions`] have it.
    pub fn read_dyn(&self, name: &str) -> Result<AnyArray> {
        self.read_entry(self.entry(name)?)
    }

    /// The array that `info` describes, one of [`arrays`](Self::arrays), as [`any`](Self::any): also where several have its name.
    ///
    /// # Errors
    ///
    /// Where `info` is no borrow of this file's own.
    pub fn read_entry(&self, info: &ArrayInfo) -> Result<AnyArray> {
        // What is said of another file may lie outside of this one.
        if !self.arrays.as_ptr_range().contains(&std::ptr::from_ref(info)) {
            return Err(Error::invalid_input(format!(
                "{} is described by another file's entry",
                info.title()
            ))
            .at(self.path()));
        }
        self.mapped(info).map_err(|error| error.at(self.path()))
    }

    /// Reads every array, and compares with its checksum where it has one, and goes through the tree of the value. (Checksums of prelude,
    /// header and tree were compared when the file was opened.)
    ///
    /// # Errors
    ///
    /// The first [`damage`](Self::damage).
    pub fn verify(&self) -> Result<()> {
        self.check().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// What is wrong with the file: with its value (no array then), where that refers to arrays that are not there, to one twice or to one of another
    /// shape; and with arrays whose bytes are not those that were written, by their checksum, or are `bool` and neither 0 nor 1, in a field too. Arrays are read as
    /// the iterator gets on. What could not be looked at is told as well, by an error that [is no invalid data](Error::is_invalid_data): what is
    /// [`unreadable`](Self::unreadable) (no array either), and what is compressed and larger than [`OpenOptions::limit`].
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &(array![1.5, 2.5], array![3u8]))?;
    /// let mut bytes = std::fs::read(&path).unwrap();
    /// bytes[64] ^= 1; // of the first array
    /// std::fs::write(&path, bytes).unwrap();
    ///
    /// let file = ndferry::open(&path)?;
    /// let damaged: Vec<_> = file.damage().filter_map(|(array, _)| array.map(|array| array.name())).collect();
    /// assert_eq!(damaged, ["0"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    pub fn check(&self) -> impl Iterator<Item = (Option<&ArrayInfo>, Error)> {
        let value = std::iter::once_with(|| (None, self.check_tree()));
        let unreadable = self
            .unreadable
            .iter()
            .map(|other| (None, Err(other.check(self.map.as_ref().as_ref()))));
        let arrays = self.arrays.iter().map(|info| (Some(info), self.check_array(info)));
        value
            .chain(unreadable)
            .chain(arrays)
            .filter_map(|(info, checked)| Some((info, checked.err()?.at(self.path()))))
    }

    /// Goes through the value for what is wrong with it; that of other formats is made of the arrays themselves.
    pub(super) fn check_tree(&self) -> Result<()> {
        let Tree::InFile(range) = &self.tree else { return Ok(()) };
        let shape = |index| self.arrays.get(usize::try_from(index).ok()?).map(ArrayInfo::shape);
        codec::check(&self.map.as_ref().as_ref()[range.clone()], &shape)
    }

    /// The array that `info` describes, read for what is wrong with its bytes.
    pub(super) fn sound(&self, info: &ArrayInfo) -> Result<AnyArray> {
        let sound = || {
            // What is inflated is compared then.
            if info.has_checksum() && info.deflated().is_none() {
                self.check_sum(info)?;
            }
            let array = self.mapped(info)?;
            info.check_values(array.extent_bytes()).map(|()| array)
        };
        sound().map_err(|error| error.at(self.path()))
    }

    /// Reads an array for what is wrong with its bytes.
    fn check_array(&self, info: &ArrayInfo) -> Result<()> {
        if info.has_checksum() {
            self.check_sum(info)?;
        }
        if info.member.is_some() && Bools::of(&info.dtype).is_none() {
            // Its checksum is that of the elements, and was compared without holding them all.
            return Ok(());
        }
        match self.decompressed(info)? {
            Some(buffer) => info.check_values(buffer.as_ref()),
            None => info.check_values(&self.map.as_ref().as_ref()[info.range()]),
        }
    }

    /// Compares an array's checksum, which it has to have.
    fn check_sum(&self, info: &ArrayInfo) -> Result<()> {
        let title = info.title();
        let whole = self.map.as_ref().as_ref();
        match (info.checksum, &info.member) {
            (Some(expected), _) => ferry::check(whole, info.range(), expected, &title),
            (None, Some(member)) => member.check(whole).map_err(|error| error.within(title)),
            (None, None) => {
                let message = format!(
                    "{title} cannot be verified, as was asked: the file has no checksum of it"
                );
                Err(Error::invalid_input(message))
            }
        }
    }

    /// All bytes of an array that is compressed.
    fn decompressed(&self, info: &ArrayInfo) -> Result<Option<Buffer>> {
        if info.codec().is_some() {
            self.within_limit(&info.title(), info.nbytes())?;
        }
        let whole: &[u8] = self.map.as_ref().as_ref();
        let buffer = match (info.stored, info.deflated()) {
            (Some((codec, _)), _) => {
                let mut buffer = Buffer::zeroed(info.nbytes() as usize)?;
                codec.decode(&whole[info.range()], buffer.as_mut()).map(|()| buffer)
            }
            (None, Some(member)) => member.inflate(whole, info.nbytes()),
            (None, None) => return Ok(None),
        };
        buffer.map(Some).map_err(|error| error.within(info.title()))
    }

    fn within_limit(&self, what: &str, nbytes: u64) -> Result<()> {
        let limit = self.options.limit;
        if nbytes <= limit {
            return Ok(());
        }
        let message = format!(
            "{what}: {nbytes} bytes when decompressed, beyond the limit of {limit}, which `OpenOptions::limit` or `--limit` raises"
        );
        Err(Error::invalid_input(message))
    }

    /// The array that `info` describes, one of [`arrays`](Self::arrays), as one that can be written to without changing the file: a page of it is
    /// copied when it is first written to.
    ///
    /// ```
    /// # use ndarray::{Ix2, array};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.npy");
    /// # ndferry::file::DumpOptions::new().write_npy(&path, &ndferry::SharedArray::from(array![[1.5, 2.5]]).into())?;
    /// let file = ndferry::open(&path)?;
    /// let mut array = file.copy_on_write::<f64, Ix2>(&file.arrays()[0])?;
    /// array[(0, 1)] = 7.0;
    /// assert_eq!((array.sum(), file.array::<f64, Ix2>()?.sum()), (8.5, 4.0));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where the array cannot be used as it lies in the file ([`ArrayInfo::copy_reason`]) or the file was read and not mapped: a copy of it is then what
    /// [`SharedArray::to_owned`] gives. And as [`AnyArray::to_array`], and as the file's [`OpenOptions`] have it.
    #[cfg(target_os = "linux")]
    pub fn copy_on_write<A: Element, D: Dimension>(
        &self,
        info: &ArrayInfo,
    ) -> Result<CowArray<A, D>> {
        let made = match (info.copy_reason(), self.map.file()) {
            (None, Some(file)) => {
                // Of this file, as it is to be given, and of this type.
                self.read_entry(info)?.to_array::<A, D>().and_then(|_| {
                    let map = WritableMap::copy_on_write(file, info.offset(), info.range().len());
                    let map = map.map_err(|error| Error::io("cannot map copy-on-write", error))?;
                    CowArray::new(map, &info.layout, info.order, self.source(info))
                })
            }
            (why, _) => {
                let why = why.unwrap_or(CopyReason::Read);
                Err(Error::invalid_input(format!("cannot be mapped copy-on-write: {why}")))
            }
        };
        made.map_err(|error| error.within(info.title()).at(self.path()))
    }

    /// The value the file was made from.
    ///
    /// # Errors
    ///
    /// Where the value is not a `T`, or its compressed arrays are together larger than [`OpenOptions::limit`].
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let compressed = self.arrays.iter().filter(|info| info.codec().is_some());
        // No sum of what a file of that many segments can say, each below half of what memory can address, is silently small.
        let nbytes = compressed.fold(0_u64, |nbytes, info| nbytes.saturating_add(info.nbytes()));
        let value = self
            .within_limit("the compressed arrays of the value", nbytes)
            .and_then(|()| self.check_readable())
            .and_then(|()| self.tree())
            .and_then(|tree| codec::decode(&tree, self).map_err(|error| self.tree.explain(error)));
        value.map_err(|error| error.at(self.path()))
    }

    pub(super) fn tree(&self) -> Result<Cow<'_, [u8]>> {
        match &self.tree {
            Tree::InFile(range) => Ok(Cow::Borrowed(&self.map.as_ref().as_ref()[range.clone()])),
            Tree::OfOne => codec::tree_of(self.arrays[0].shape()).map(Cow::Owned),
            Tree::OfNamed => {
                codec::tree_of_map(self.arrays.iter().map(|info| (info.name(), info.shape())))
                    .map(Cow::Owned)
            }
        }
    }

    fn typed<A: Element, D: Dimension>(&self, info: &ArrayInfo) -> Result<SharedArray<A, D>> {
        let array = self.mapped(info).map_err(|error| error.at(self.path()))?;
        array.to_array().map_err(|error| error.within(info.title()).at(self.path()))
    }

    fn source(&self, info: &ArrayInfo) -> ArraySource {
        ArraySource {
            path: self.path().to_path_buf(),
            offset: info.offset(),
            byte_order: info.dtype.byte_order(),
        }
    }

    /// The array as it lies in the file.
    fn mapped(&self, info: &ArrayInfo) -> Result<AnyArray> {
        let OpenOptions { verify, mapping, .. } = self.options;
        if let (MmapMode::Required, Some(why)) = (mapping, info.copy_reason()) {
            return Err(Error::invalid_input(format!(
                "{} cannot be mapped, which was required: {why}",
                info.title()
            )));
        }
        // What is inflated is compared then.
        if verify && info.deflated().is_none() {
            self.check_sum(info)?;
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
                let storage =
                    Storage::Map { map: Arc::clone(&self.map), range, private: self.private };
                Memory::new(storage, source, None)
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
            None => Err(Error::invalid_data(format!(
                "the value refers to segment {index} of {}",
                self.arrays.len()
            ))),
        }
    }

    fn requires_maps(&self) -> bool {
        self.options.mapping == MmapMode::Required
    }
}

impl fmt::Debug for ArrayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ArrayFile({}, {}, {} arrays)",
            self.path().display(),
            self.format,
            self.arrays.len()
        )
    }
}
