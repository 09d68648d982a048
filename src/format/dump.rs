//! `dump`: values to files, and how it is done.

use std::{io, path::Path};

use serde::Serialize;

use super::{Compression, Format, atomic, ferry, npy};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    bytes::swap::Change,
    codec,
    dtype::{ByteOrder, Quoted},
};

/// Bytes handled at a time on the way to a file: what swapping and reordering need beside the array itself.
const BLOCK: usize = 1 << 20;
/// A huge page.
const MOST_ALIGNED: u64 = 2 << 20;

/// Writes `value` to a `.ferry` file: every array in it becomes an aligned segment that [`load`](crate::load) and [`open`](crate::open)
/// map, the rest a small tree. The file appears whole or not at all. A program that is killed meanwhile leaves what was there, or the new file;
/// beside it there may be a `.ndferry-….tmp`, which the next write to `path` removes.
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
/// assert!(model.weight.copy_reason().is_none());
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Where the file cannot be written, or the value's own `Serialize` refuses. What was at `path` then stays as it was.
pub fn dump<T: Serialize + ?Sized>(path: impl AsRef<Path>, value: &T) -> Result<()> {
    DumpOptions::new().dump(path, value)
}

/// Writes `value` to `writer` as [`dump`] writes it to a file.
///
/// The value is serialised twice, because what a file begins with is known when the rest is; so nothing is held in memory, whatever
/// its size. Where it fails, part of it may have been written.
///
/// # Errors
///
/// Where the writer fails, or the value's own `Serialize` refuses, or does not give the same both times.
pub fn to_writer<T: Serialize + ?Sized>(writer: impl io::Write, value: &T) -> Result<()> {
    DumpOptions::new().to_writer(writer, value)
}

/// How to write a file.
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
    threshold: usize,
    pub(super) checksums: bool,
    /// The least there is to be.
    pub(super) alignment: u64,
    compression: Option<Compression>,
    /// Of arrays that are named.
    compressions: Vec<(String, Option<Compression>)>,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            byte_order: None,
            order: None,
            threshold: codec::DEFAULT_THRESHOLD,
            checksums: true,
            alignment: ferry::ALIGNMENT,
            compression: None,
            compressions: Vec::new(),
        }
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

    /// Bytes of which every array's offset in the file is a multiple at least: a power of two from 64 to 2 MiB (2097152), which is a huge page.
    /// Unless set, 64, and 4096 for arrays of 64 KiB and more.
    #[must_use]
    pub fn alignment(mut self, bytes: u64) -> Self {
        self.alignment = bytes;
        self
    }

    /// Compresses every array of which [`compress_array`](Self::compress_array) says nothing else. A compressed array takes less space, and cannot be mapped.
    ///
    /// ```
    /// # use ndarray::{Array2, Ix2};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// use ndferry::{file::{Compression, DumpOptions}, array::CopyReason};
    ///
    /// DumpOptions::new().compress(Compression::Zstd(3)).dump(&path, &Array2::<f64>::zeros((1000, 1000)))?;
    /// let file = ndferry::open(&path)?;
    /// assert!(file.arrays()[0].compressed_nbytes() < 10_000);
    /// let array = file.array::<f64, Ix2>()?;
    /// assert_eq!(array.copy_reason(), Some(CopyReason::Compressed));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Compresses the array called `name` (`model.layers.0.weight`), or, by `None`, leaves it as it is, whatever
    /// [`compress`](Self::compress) says. That there is no such array is an error when the file is written.
    #[must_use]
    pub fn compress_array(
        mut self,
        name: impl Into<String>,
        compression: impl Into<Option<Compression>>,
    ) -> Self {
        self.compressions.push((name.into(), compression.into()));
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
                let message = format!(
                    "dump writes .ferry files; arrays go into .{other} by DumpOptions::write_{other}"
                );
                return Err(Error::invalid_input(message).at(path));
            }
        }
        self.write_ferry(path, |container| codec::encode(value, self.threshold, container))
    }

    /// Writes `value` to `writer` as a `.ferry` file, as [`to_writer`].
    ///
    /// # Errors
    ///
    /// As [`to_writer`].
    pub fn to_writer<T: Serialize + ?Sized>(
        &self,
        writer: impl io::Write,
        value: &T,
    ) -> Result<()> {
        self.check()?;
        let mut rehearsal = ferry::Rehearsal::new();
        let written = |file: &mut dyn WriteSeek| {
            let mut container = ferry::Container::new(file, ferry::Target::Nameless, self.clone())?;
            let tree = codec::encode(value, self.threshold, &mut container)?;
            container.finish(&tree).map(drop)
        };
        written(&mut rehearsal)?;
        written(&mut rehearsal.recital(io::BufWriter::with_capacity(64 << 10, writer)))
    }

    /// Writes an array to a `.npy` file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written, or the elements are `bf16`, which NumPy does not have, or records that it takes for others (a field without
    /// a name, an array of strings without bytes). What was at `path` then stays as it was.
    pub fn write_npy(&self, path: impl AsRef<Path>, array: &AnyArray) -> Result<()> {
        let path = path.as_ref();
        self.check_plain(Format::Npy).map_err(|error| error.at(path))?;
        atomic::write(path, |file| {
            npy::Outgoing::new(array, self)?.write(file).map_err(atomic::cannot_write)
        })
    }

    /// How the array called `name` is to be compressed.
    pub(super) fn compression_of(&self, name: &str) -> Option<Compression> {
        let named = self.compressions.iter().rev().find(|(other, _)| other == name);
        named.map_or(self.compression, |(_, compression)| *compression)
    }

    /// Whether there was every array of which something is said.
    pub(super) fn met(&self, written: impl Fn(&str) -> bool) -> Result<()> {
        match self.compressions.iter().find(|(name, _)| !written(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_input(format!(
                "there is no array {} to be compressed or not",
                Quoted(name)
            ))),
        }
    }

    /// Whether what is asked for can be.
    fn check(&self) -> Result<()> {
        if !self.alignment.is_power_of_two()
            || !(ferry::ALIGNMENT..=MOST_ALIGNED).contains(&self.alignment)
        {
            return Err(Error::invalid_input(format!(
                "an alignment of {} bytes; a power of two from {} to {MOST_ALIGNED} was expected",
                self.alignment,
                ferry::ALIGNMENT
            )));
        }
        let named = self.compressions.iter().filter_map(|(_, compression)| *compression);
        self.compression.into_iter().chain(named).try_for_each(Compression::check)
    }

    /// Whether a file of another format than the container's can be as is asked for.
    pub(super) fn check_plain(&self, format: Format) -> Result<()> {
        if self.compression.is_some()
            || !self.compressions.is_empty()
            || self.alignment != ferry::ALIGNMENT
        {
            return Err(Error::invalid_input(format!(
                "a .{format} file is never compressed when it is written, and aligned to 64 bytes: for anything else, write a .ferry file"
            )));
        }
        if self.threshold != codec::DEFAULT_THRESHOLD {
            return Err(Error::invalid_input(format!(
                "a .{format} file holds arrays alone, for which there is no threshold"
            )));
        }
        if format == Format::Npz && !self.checksums {
            return Err(Error::invalid_input(
                "a .npz file has a checksum of every array, by its own rules",
            ));
        }
        Ok(())
    }

    /// Whether an array that is filled where it lies in a file can be as is asked for.
    #[cfg(target_os = "linux")]
    pub(super) fn check_filled_in_place(&self, format: Format) -> Result<()> {
        if self.compression.is_some() || !self.compressions.is_empty() {
            return Err(Error::invalid_input(
                "an array that is filled where it lies cannot be compressed: convert the file after",
            ));
        }
        if self.byte_order.is_some_and(|byte_order| !byte_order.is_native()) {
            let message = "an array that is filled where it lies is in this machine's byte order: convert the file after";
            return Err(Error::invalid_input(message));
        }
        if self.order.is_some() {
            let message = "the memory order of an array that is filled where it lies is said by its shape, as `(3, 4).f()`";
            return Err(Error::invalid_input(message));
        }
        if format == Format::Npy { self.check_plain(format) } else { self.check() }
    }

    /// Writes a container whose segments and tree `fill` provides.
    pub(super) fn write_ferry(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut dyn codec::Sink) -> Result<Vec<u8>>,
    ) -> Result<()> {
        self.check().map_err(|error| error.at(path))?;
        atomic::write(path, |file| {
            let mut container =
                ferry::Container::new(file, ferry::Target::User(path), self.clone())?;
            let tree = fill(&mut container)?;
            container.finish(&tree).map(drop)
        })
    }
}

/// What a container is written to.
trait WriteSeek: io::Write + io::Seek {}

impl<W: io::Write + io::Seek> WriteSeek for W {}

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
    let change = Change::between(array.dtype(), dtype);
    if array.order() == Some(order) || (array.shape().len() < 2 && array.order().is_some()) {
        return for_each_contiguous(array.extent_bytes(), &change, each);
    }
    let most = change.block(BLOCK);
    let mut block = Vec::with_capacity(most.min(array.nbytes()));
    let mut done = Ok(());
    array.for_each_run(order, |run| {
        for part in run.chunks(most) {
            if done.is_err() {
                return;
            }
            block.extend_from_slice(part);
            if block.len() >= BLOCK {
                change.in_place(&mut block);
                done = each(&block);
                block.clear();
            }
        }
    });
    done?;
    change.in_place(&mut block);
    each(&block)
}

fn for_each_contiguous(
    bytes: &[u8],
    change: &Change,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    if *change == Change::Nothing {
        return bytes.chunks(BLOCK).try_for_each(each);
    }
    let most = change.block(BLOCK);
    let mut changed = vec![0; most.min(bytes.len())];
    bytes.chunks(most).try_for_each(|block| {
        let changed = &mut changed[..block.len()];
        change.copy(block, changed);
        each(changed)
    })
}
