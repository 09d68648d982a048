//! `dump` and `load`: values to files and back, and how it is done.

use std::{io, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use super::{atomic, ferry, npy};
use crate::{AnyArray, ByteOrder, DType, Error, Order, Result, codec, swap};

/// Bytes handled at a time on the way to a file: what swapping and reordering need beside the array itself.
const BLOCK: usize = 1 << 20;

/// Writes `value` to a `.ferry` file: every array in it becomes an aligned segment that [`load`] and [`open`](crate::open)
/// map, the rest a small tree. The file appears whole or not at all.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use ndarray::{Array1, Ix1};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.ferry");
/// use ndferry::SharedArray;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize)]
/// struct Model {
///     title: String,
///     weight: Array1<f64>,
/// }
///
/// // What is read back may share what was written as a plain array.
/// #[derive(Deserialize)]
/// struct Mapped {
///     title: String,
///     weight: SharedArray<f64, Ix1>,
/// }
///
/// ndferry::dump(&path, &Model { title: "first".into(), weight: Array1::linspace(0., 1., 5) })?;
/// let model: Mapped = ndferry::load(&path)?;
/// assert_eq!((model.title.as_str(), model.weight[4]), ("first", 1.0));
/// assert!(model.weight.why_not_mapped().is_none());
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Where the file cannot be written, or the value's own `Serialize` refuses. What was at `path` then stays as it was.
pub fn dump<T: Serialize + ?Sized>(path: impl AsRef<Path>, value: &T) -> Result<()> {
    DumpOptions::new().dump(path, value)
}

/// Reads the value of a `.ferry` file, the array of a `.npy` file, or the map from names to arrays that a `.npz` or
/// `.safetensors` file is. A [`SharedArray`](crate::SharedArray) in it is a map of the file where its byte order is native;
/// everything else is a copy.
///
/// # Errors
///
/// As [`open`](crate::open), and where the value is not a `T`.
pub fn load<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    super::open(path)?.value()
}

/// How to write a file.
///
/// ```
/// # use ndarray::array;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.ferry");
/// use ndferry::{ByteOrder, DumpOptions};
///
/// DumpOptions::new().byte_order(ByteOrder::Big).dump(&path, &array![1.0, 2.0])?;
/// assert_eq!(ndferry::open(&path)?.arrays()[0].dtype().to_string(), ">f8");
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DumpOptions {
    pub(super) byte_order: Option<ByteOrder>,
    pub(super) order: Option<Order>,
    threshold: usize,
    pub(super) checksums: bool,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self { byte_order: None, order: None, threshold: codec::THRESHOLD, checksums: true }
    }
}

impl DumpOptions {
    /// Byte order and memory order as the arrays have them, a checksum for each array.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Byte order in the file. Unless set, an [`AnyArray`] keeps the one it was recorded in, and everything else is written
    /// in this machine's.
    #[must_use]
    pub fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = Some(byte_order);
        self
    }

    /// Memory order in the file, for every [`AnyArray`] and [`SharedArray`](crate::SharedArray). Unless set, they keep their
    /// own, and C where they have neither. An ndarray `Array` inside a value is always written in C order: serde shows its
    /// elements no other way.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// Bytes from which a sequence of numbers that is no array (`Vec<f64>`) becomes a segment, 1024 unless set. Arrays always
    /// become one.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Whether each array's bytes get a checksum in the header. Those of the header and the tree are always there.
    #[must_use]
    pub fn checksums(mut self, checksums: bool) -> Self {
        self.checksums = checksums;
        self
    }

    /// Writes `value` to a `.ferry` file, as [`dump`].
    ///
    /// # Errors
    ///
    /// As [`dump`]; also where `path` ends in `.npy`, `.npz` or `.safetensors`, which such a file is not.
    pub fn dump<T: Serialize + ?Sized>(&self, path: impl AsRef<Path>, value: &T) -> Result<()> {
        let path = path.as_ref();
        for other in ["npy", "npz", "safetensors"] {
            if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(other)) {
                let message =
                    format!("dump writes .ferry files; arrays go into .{other} by DumpOptions::write_{other}");
                return Err(Error::usage(message).at(path));
            }
        }
        self.write_ferry(path, |container| codec::encode(value, self.threshold, container))
    }

    /// Writes an array to a `.npy` file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written, or the elements are `bf16`, which NumPy does not have. What was at `path` then stays as it
    /// was.
    pub fn write_npy(&self, path: impl AsRef<Path>, array: &AnyArray) -> Result<()> {
        atomic::write(path.as_ref(), |file| npy::Outgoing::new(array, self)?.write(file).map_err(atomic::cannot_write))
    }

    /// Writes a container whose segments and tree `fill` provides.
    pub(super) fn write_ferry(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut dyn codec::Sink) -> Result<Vec<u8>>,
    ) -> Result<()> {
        atomic::write(path, |file| {
            let mut container = ferry::Container::new(file, ferry::Target::User(path), self.clone())?;
            let tree = fill(&mut container)?;
            container.finish(&tree).map(drop)
        })
    }
}

/// The memory order in which `array` is written.
pub(super) fn order_of(array: &AnyArray, asked: Option<Order>) -> Order {
    asked.or(array.order()).unwrap_or(Order::C)
}

/// Passes on the bytes of `array` in the byte order of `dtype` and in `order`, some at a time.
pub(super) fn for_each_block(
    array: &AnyArray,
    dtype: &DType,
    order: Order,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let swapped = array.dtype().byte_order() != dtype.byte_order();
    let width = if swapped { dtype.scalar().swap_width() } else { 1 };
    if array.order() == Some(order) || (array.shape().len() < 2 && array.order().is_some()) {
        return for_each_contiguous(array.occupied(), width, each);
    }
    let mut block = Vec::with_capacity(BLOCK.min(array.nbytes()));
    let mut done = Ok(());
    array.for_each_run(order, |run| {
        for part in run.chunks(BLOCK) {
            if done.is_err() {
                return;
            }
            block.extend_from_slice(part);
            if block.len() >= BLOCK {
                swap::in_place(&mut block, width);
                done = each(&block);
                block.clear();
            }
        }
    });
    done?;
    swap::in_place(&mut block, width);
    each(&block)
}

fn for_each_contiguous(bytes: &[u8], width: usize, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    if width == 1 {
        return bytes.chunks(BLOCK).try_for_each(each);
    }
    let mut swapped = vec![0; BLOCK.min(bytes.len())];
    bytes.chunks(BLOCK).try_for_each(|block| {
        let swapped = &mut swapped[..block.len()];
        swap::copy(block, swapped, width);
        each(swapped)
    })
}
