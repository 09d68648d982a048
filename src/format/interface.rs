//! The interface that each file format implements.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

use super::{entry::Index, named::Named, options::DumpOptions};
use crate::{AnyArray, DType, Error, Result, array::Order, codec::Sink, dtype::ByteOrder};

/// A file format: a row of the [table of formats](super::registry).
pub(super) trait FileFormat: Sync {
    /// Returns the name of the format in messages and help texts.
    fn name(&self) -> &'static str;

    /// Returns the extension of its files without the dot, if they have one.
    fn extension(&self) -> Option<&'static str> {
        Some(self.name())
    }

    /// Reports whether a file that begins with `start` is of this format.
    fn detect(&self, start: &[u8]) -> bool;

    /// Returns the length of the file, if its first bytes record it.
    fn length(&self, _start: &[u8]) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Parses the bytes of a whole file.
    fn index(&self, file: &[u8]) -> Result<Index>;

    /// Reports whether a key's own dots are escaped in the names of arrays.
    fn escapes_names(&self) -> bool {
        false
    }

    /// Returns the options that the format's writer supports.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Returns the function that writes files, if there is one.
    fn writer(&self) -> Option<Writer> {
        None
    }

    /// Returns the function that prepares a file to be filled in place.
    fn filler(&self) -> Option<Filler> {
        None
    }
}

/// The file that a writer writes to, from its start on.
pub(super) type Output<'a, 'f> = &'a mut BufWriter<&'f File>;

/// Encodes a value into arrays, and returns the tree of the rest.
pub(super) type Encode<'a> = &'a mut dyn FnMut(&mut dyn Sink) -> Result<Vec<u8>>;

/// A function that writes a file, by what a file of the format contains.
pub(super) enum Writer {
    /// One array.
    Array(fn(Output<'_, '_>, &AnyArray, &DumpOptions) -> Result<()>),
    /// Named arrays with metadata.
    Arrays(fn(Output<'_, '_>, &Named<'_>, &BTreeMap<String, String>, &DumpOptions) -> Result<()>),
    /// Any value.
    Value(fn(Output<'_, '_>, &Path, &DumpOptions, Encode<'_>) -> Result<()>),
}

/// A function that prepares a file to be filled in place.
pub(super) type Filler = fn(&Blank<'_>, &Path, &DumpOptions) -> Result<Frame>;

/// An array of zeros that will be filled in its file.
pub(super) struct Blank<'a> {
    pub(super) dtype: &'a DType,
    pub(super) shape: &'a [usize],
    pub(super) order: Order,
    pub(super) nbytes: usize,
}

/// The parts of a file around an array that is filled in place.
pub(super) struct Frame {
    /// The offset of the array.
    pub(super) offset: u64,
    /// The bytes at the start of the file.
    pub(super) header: Vec<u8>,
    /// Writes the rest of the file when the array is filled.
    pub(super) finish: Option<Box<Finish>>,
}

/// Completes a file. The bytes are those of the filled array.
pub(super) type Finish = dyn FnOnce(&File, &[u8]) -> Result<()> + Send + Sync;

/// The options that a writer supports.
#[derive(Clone, Copy)]
pub(super) struct Capabilities {
    pub(super) compression: bool,
    pub(super) alignment: bool,
    pub(super) min_segment_bytes: bool,
    /// Whether checksums can be left out.
    pub(super) no_checksums: bool,
    pub(super) byte_orders: &'static [ByteOrder],
    pub(super) orders: &'static [Order],
    /// Whether files have metadata: texts by their keys.
    pub(super) metadata: bool,
}

impl Default for Capabilities {
    /// Any byte order and memory order, and nothing else.
    fn default() -> Self {
        Self {
            compression: false,
            alignment: false,
            min_segment_bytes: false,
            no_checksums: true,
            byte_orders: &[ByteOrder::Little, ByteOrder::Big],
            orders: &[Order::C, Order::F],
            metadata: false,
        }
    }
}

/// An option that some formats do not support.
#[derive(Clone, Copy)]
pub(super) enum Feature {
    Compression,
    Alignment,
    MinSegmentBytes,
    NoChecksums,
    ByteOrder(ByteOrder),
    Order(Order),
}

impl Feature {
    /// Returns the features that `options` request.
    pub(super) fn requested(options: &DumpOptions) -> impl Iterator<Item = Self> {
        let defaults = DumpOptions::new();
        let differs = [
            (options.sets_compression(), Self::Compression),
            (options.alignment != defaults.alignment, Self::Alignment),
            (options.min_segment_bytes != defaults.min_segment_bytes, Self::MinSegmentBytes),
            (!options.checksums, Self::NoChecksums),
        ];
        differs
            .into_iter()
            .filter_map(|(set, feature)| set.then_some(feature))
            .chain(options.byte_order.map(Self::ByteOrder))
            .chain(options.order.map(Self::Order))
    }

    pub(super) fn is_in(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Compression => capabilities.compression,
            Self::Alignment => capabilities.alignment,
            Self::MinSegmentBytes => capabilities.min_segment_bytes,
            Self::NoChecksums => capabilities.no_checksums,
            Self::ByteOrder(byte_order) => capabilities.byte_orders.contains(&byte_order),
            Self::Order(order) => capabilities.orders.contains(&order),
        }
    }

    /// Returns the words for the feature in a refusal.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Compression => "compression",
            Self::Alignment => "an alignment",
            Self::MinSegmentBytes => "a minimum segment size",
            Self::NoChecksums => "omitting checksums",
            Self::ByteOrder(ByteOrder::Little) => "little-endian byte order",
            Self::ByteOrder(ByteOrder::Big) => "big-endian byte order",
            Self::Order(Order::C) => "C order",
            Self::Order(Order::F) => "F order",
        }
    }
}

/// Converts the error of a failed write.
pub(super) fn cannot_write(error: io::Error) -> Error {
    Error::io("cannot write", error)
}
