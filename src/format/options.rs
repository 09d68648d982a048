//! Options for opening and writing files: plain data with setters.

use std::collections::BTreeMap;

use super::compress::Compression;
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    codec,
    dtype::{ByteOrder, Quoted},
};

/// The default limit of decompressed bytes.
const DEFAULT_MAX_DECOMPRESSED_BYTES: u64 = 4 << 30;
/// The smallest and default alignment of arrays in `.ferry` files.
pub(super) const MIN_ALIGNMENT: u64 = 64;
/// The largest alignment: a huge page.
const MAX_ALIGNMENT: u64 = 2 << 20;

/// Whether arrays are memory-mapped from their file.
///
/// A mapped array takes no memory of its own, and reading starts at once. It also shows
/// later changes of the file; see [`OpenOptions::mmap_mode`].
///
/// # Examples
///
/// ```
/// # use ndarray::{Ix1, array};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::file::{MmapMode, OpenOptions};
///
/// ndferry::dump(&path, &array![1.5, 2.5])?;
/// let file = OpenOptions::new().mmap_mode(MmapMode::Never).open(&path)?;
/// std::fs::write(&path, "something else").unwrap();
/// assert_eq!(file.read::<f64, Ix1>()?[1], 2.5);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MmapMode {
    /// Every array must be mapped. Reading an array that cannot be mapped is an error
    /// that contains the [reason](crate::array::CopyReason).
    Required,
    /// An array is mapped if it can be used directly from the file, and copied
    /// otherwise.
    #[default]
    Auto,
    /// Opening the file reads all of it into memory. Later changes of the file have no
    /// effect.
    Never,
}

/// The layout of a raw binary file, which has no header.
///
/// It contains the same parameters as NumPy's `memmap`. All other formats record them
/// in the file, and [`open`](crate::open) reads them from there.
///
/// # Examples
///
/// ```no_run
/// use ndferry::{array::Order, file::RawLayout, ndarray::Ix3};
///
/// // A NIfTI-1 volume: column-major, big-endian, after a header of 352 bytes.
/// let layout = RawLayout::new(">i2".parse()?, [33, 41, 25]).order(Order::F).offset(352);
/// let volume = layout.open("anatomical.nii")?.read::<i16, Ix3>()?;
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLayout {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) order: Order,
    pub(super) offset: u64,
}

impl RawLayout {
    /// Describes an array in C order that begins at the start of the file.
    #[must_use]
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into(), order: Order::C, offset: 0 }
    }

    /// Sets the memory order of the elements.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets the number of bytes before the first element.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }
}

/// Options for opening a file.
///
/// If the defaults are right, use [`open`](crate::open) or [`load`](crate::load).
///
/// # Examples
///
/// ```
/// # use ndarray::{Ix1, array};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::file::{MmapMode, OpenOptions};
///
/// ndferry::dump(&path, &array![1.5, 2.5])?;
/// let options = OpenOptions::new().verify(true).mmap_mode(MmapMode::Required);
/// let array = options.open(&path)?.read::<f64, Ix1>()?;
/// assert_eq!(array.sum(), 4.0);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(super) verify: bool,
    pub(super) mmap_mode: MmapMode,
    pub(super) max_decompressed_bytes: u64,
    pub(super) raw: Option<RawLayout>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            verify: false,
            mmap_mode: MmapMode::Auto,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED_BYTES,
            raw: None,
        }
    }
}

impl OpenOptions {
    /// Returns the default options: map if possible, do not verify arrays.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether reading an array compares its checksum. The default is `false`.
    ///
    /// If the file contains no checksum of the array, reading it is an error. The
    /// checksums of prelude, header and tree are always compared, when the file is
    /// opened.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::{Ix1, array};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::file::OpenOptions;
    ///
    /// ndferry::dump(&path, &array![1.5, 2.5])?;
    /// let mut bytes = std::fs::read(&path).unwrap();
    /// bytes[64] ^= 1; // in the array
    /// let file = OpenOptions::new().verify(true).open_slice(bytes)?;
    /// assert!(file.read::<f64, Ix1>().unwrap_err().is_invalid_data());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets whether arrays are memory-mapped. The default is [`MmapMode::Auto`].
    ///
    /// # Changing a mapped file
    ///
    /// Do not change a file in place while it is mapped. A map shows the file as it is
    /// now: if a program writes to the file, the values of your arrays change. If a
    /// program truncates the file, touching the missing part ends your program with
    /// `SIGBUS`.
    ///
    /// Opening is nevertheless safe in Rust's sense. ndferry maps only element types for
    /// which any bytes are valid values, and copies all others, such as `bool`. It
    /// checks files with the open descriptor, not with the path.
    ///
    /// ndferry itself never changes a file in place. [`dump`](crate::dump) and the other
    /// writing functions replace a file atomically, so that existing maps keep the old
    /// content. Before an array is sent to a worker, its file is checked: if it was
    /// replaced, truncated or changed since it was opened, this is an error.
    ///
    /// If you cannot rule out changes by other programs, set [`MmapMode::Never`].
    #[must_use]
    pub fn mmap_mode(mut self, mode: MmapMode) -> Self {
        self.mmap_mode = mode;
        self
    }

    /// Limits the size of decompressed arrays. The default is 4 GiB.
    ///
    /// The limit applies to each array that is read, and to the sum of the compressed
    /// arrays of a value. It guards against decompression bombs: small files that
    /// expand to all of your memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "lz4")] {
    /// use ndarray::{Array1, Ix1};
    /// use ndferry::file::{Compression, DumpOptions, OpenOptions};
    ///
    /// let mut bytes = Vec::new();
    /// let zeros = Array1::<f64>::zeros(1000);
    /// DumpOptions::new().compress(Compression::Lz4).to_writer(&mut bytes, &zeros)?;
    /// let file = OpenOptions::new().max_decompressed_bytes(1000).open_slice(bytes)?;
    /// assert!(file.read::<f64, Ix1>().unwrap_err().is_invalid_input());
    /// # }
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn max_decompressed_bytes(mut self, bytes: u64) -> Self {
        self.max_decompressed_bytes = bytes;
        self
    }

    /// Opens files as raw binary of this layout, whatever their content.
    ///
    /// [`RawLayout::open`] is shorter if you need no other options.
    #[must_use]
    pub fn raw(mut self, layout: RawLayout) -> Self {
        self.raw = Some(layout);
        self
    }
}

/// Options for writing a file.
///
/// If the defaults are right, use [`dump`](crate::dump), [`convert`](crate::convert) or
/// [`create`](crate::create).
///
/// # Examples
///
/// ```
/// # use ndarray::array;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::{dtype::ByteOrder, file::DumpOptions};
///
/// DumpOptions::new().byte_order(ByteOrder::Big).dump(&path, &array![1.0, 2.0])?;
/// assert_eq!(ndferry::open(&path)?.arrays()[0].dtype().to_string(), ">f8");
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DumpOptions {
    pub(super) byte_order: Option<ByteOrder>,
    pub(super) order: Option<Order>,
    pub(super) min_segment_bytes: usize,
    pub(super) checksums: bool,
    pub(super) alignment: u64,
    compression: Option<Compression>,
    /// The compression of single arrays, which overrides `compression`.
    compressions: Vec<(String, Option<Compression>)>,
    /// Whether `convert` leaves out what the format of the output cannot contain.
    pub(super) allows_loss: bool,
    /// The metadata of a converted file, if the format stores metadata.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            byte_order: None,
            order: None,
            min_segment_bytes: codec::DEFAULT_THRESHOLD,
            checksums: true,
            alignment: MIN_ALIGNMENT,
            compression: None,
            compressions: Vec::new(),
            allows_loss: false,
            metadata: BTreeMap::new(),
        }
    }
}

impl DumpOptions {
    /// Returns the default options: uncompressed, with checksums.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the byte order in the file.
    ///
    /// By default an [`AnyArray`] keeps its byte order. Everything else is written in
    /// native byte order.
    #[must_use]
    pub fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = Some(byte_order);
        self
    }

    /// Sets the memory order in the file.
    ///
    /// The option applies to every [`AnyArray`] and
    /// [`SharedArray`](crate::SharedArray). By default they keep their order. Arrays in
    /// neither C nor F order are written in C order. An ndarray `Array` within a value is
    /// always written in C order, because serde visits its elements in this order.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.npy");
    /// use ndferry::{SharedArray, array::Order, file::DumpOptions, ndarray::array};
    ///
    /// let array = SharedArray::from(array![[1, 2], [3, 4]]).to_any();
    /// DumpOptions::new().order(Order::F).write_npy(&path, &array)?;
    /// assert_eq!(ndferry::open(&path)?.arrays()[0].order(), Order::F);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the size from which a sequence of numbers is stored like an array.
    ///
    /// The default is 1024 bytes. Sequences such as `Vec<f64>` that are at least this long
    /// become segments of the file. Shorter ones are stored in the tree of the value.
    /// Arrays always become segments.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::file::DumpOptions;
    ///
    /// DumpOptions::new().min_segment_bytes(16).dump(&path, &(vec![1.5, 2.5], vec![3.5]))?;
    /// assert_eq!(ndferry::open(&path)?.arrays().len(), 1);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn min_segment_bytes(mut self, bytes: usize) -> Self {
        self.min_segment_bytes = bytes;
        self
    }

    /// Sets whether the header records a checksum of each array. The default is `true`.
    ///
    /// Checksums of the header and of the tree are always written.
    #[must_use]
    pub fn checksums(mut self, checksums: bool) -> Self {
        self.checksums = checksums;
        self
    }

    /// Sets whether [`convert`](crate::convert) leaves out what the format of the output cannot
    /// contain. The default is `false`: it is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (ferry, npy) = (folder.path().join("a.ferry"), folder.path().join("a.npy"));
    /// use ndferry::file::DumpOptions;
    ///
    /// ndferry::dump(&ferry, &("a title", array![0.5, 1.5]))?;
    /// let file = ndferry::open(&ferry)?;
    /// let error = ndferry::convert(&file, None, &npy, &DumpOptions::new()).unwrap_err();
    /// assert!(error.to_string().contains("`0` (a string)"), "{error}");
    /// ndferry::convert(&file, None, &npy, &DumpOptions::new().allow_loss(true))?;
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn allow_loss(mut self, allow_loss: bool) -> Self {
        self.allows_loss = allow_loss;
        self
    }

    /// Sets the minimum alignment of each array in the file, in bytes.
    ///
    /// The value must be a power of two from 64 to 2,097,152 (2 MiB, a huge page). By
    /// default arrays of at least 64 KiB are aligned to 4096 bytes, and smaller ones to
    /// 64 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::file::DumpOptions;
    ///
    /// DumpOptions::new().alignment(4096).dump(&path, &array![1.5])?;
    /// assert_eq!(ndferry::open(&path)?.arrays()[0].offset() % 4096, 0);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn alignment(mut self, bytes: u64) -> Self {
        self.alignment = bytes;
        self
    }

    /// Compresses all arrays.
    ///
    /// A compressed array takes less space, but it cannot be mapped. To compress only
    /// some arrays, use [`compress_array`](Self::compress_array).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "zstd")] {
    /// # use ndarray::{Array2, Ix2};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::{array::CopyReason, file::{Compression, DumpOptions}};
    ///
    /// let zeros = Array2::<f64>::zeros((1000, 1000));
    /// DumpOptions::new().compress(Compression::Zstd(3)).dump(&path, &zeros)?;
    /// let file = ndferry::open(&path)?;
    /// assert!(file.arrays()[0].compressed_nbytes() < 10_000);
    /// let array = file.read::<f64, Ix2>()?;
    /// assert_eq!(array.copy_reason(), Some(CopyReason::Compressed));
    /// # }
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the compression of the array named `name`, or `None` for no compression.
    ///
    /// This overrides [`compress`](Self::compress). Writing a value without such an array
    /// is an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "lz4")] {
    /// # use ndarray::Array1;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::file::{Compression, DumpOptions};
    ///
    /// let value = std::collections::BTreeMap::from([
    ///     ("big", Array1::<f64>::zeros(10_000)),
    ///     ("small", Array1::<f64>::zeros(10)),
    /// ]);
    /// DumpOptions::new().compress_array("big", Compression::Lz4).dump(&path, &value)?;
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.entry("big")?.codec(), Some("lz4"));
    /// assert_eq!(file.entry("small")?.codec(), None);
    /// # }
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn compress_array(
        mut self,
        name: impl Into<String>,
        compression: impl Into<Option<Compression>>,
    ) -> Self {
        self.compressions.push((name.into(), compression.into()));
        self
    }

    /// Returns the compression of the array named `name`.
    pub(super) fn compression_of(&self, name: &str) -> Option<Compression> {
        let named = self.compressions.iter().rev().find(|(other, _)| other == name);
        named.map_or(self.compression, |(_, compression)| *compression)
    }

    /// Reports whether any compression option was set.
    pub(super) fn sets_compression(&self) -> bool {
        self.compression.is_some() || !self.compressions.is_empty()
    }

    /// Checks that each array with its own compression was written.
    pub(super) fn check_named_arrays(&self, is_written: impl Fn(&str) -> bool) -> Result<()> {
        match self.compressions.iter().find(|(name, _)| !is_written(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_input(format!(
                "compression was set for array {}, but the value has no such array",
                Quoted(name)
            ))),
        }
    }

    /// Checks the values of the options.
    pub(super) fn check_values(&self) -> Result<()> {
        if !self.alignment.is_power_of_two()
            || !(MIN_ALIGNMENT..=MAX_ALIGNMENT).contains(&self.alignment)
        {
            return Err(Error::invalid_input(format!(
                "expected an alignment that is a power of two from {MIN_ALIGNMENT} to \
                 {MAX_ALIGNMENT} bytes, found {}",
                self.alignment
            )));
        }
        let named = self.compressions.iter().filter_map(|(_, compression)| *compression);
        self.compression.into_iter().chain(named).try_for_each(Compression::check)
    }

    /// Returns the dtype of `array` in the file.
    pub(super) fn dtype_of(&self, array: &AnyArray) -> DType {
        match self.byte_order {
            Some(byte_order) => array.dtype().with_byte_order(byte_order),
            None => array.dtype().clone(),
        }
    }

    /// Returns the memory order of `array` in the file.
    pub(super) fn order_of(&self, array: &AnyArray) -> Order {
        self.order.or(array.order()).unwrap_or(Order::C)
    }
}
