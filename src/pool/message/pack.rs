//! Values on their way out.

use std::sync::Arc;

use byteorder::{ByteOrder as _, LittleEndian};
use serde::Serialize;

use super::{ALIGNMENT, Lent, Origin, Outgoing, Payload, Place, Reference, path_bytes};
use crate::{
    AnyArray, ByteOrder, DType, Error, Order, Result, Scalar, Source,
    array::{Layout, Storage},
    codec::{self, Sink},
    map::FileMap,
    store::{Placed, Segment, Store, Writing},
};

/// Who sends: what becomes of the files that are written for a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Side {
    Parent,
    Worker,
}

/// Encodes `value`; arrays from `threshold` bytes on travel by reference, none does where there is no threshold.
pub(in crate::pool) fn pack<T: Serialize + ?Sized>(
    value: &T,
    store: &Store,
    threshold: Option<usize>,
    side: Side,
) -> Result<Outgoing> {
    let mut packing = Packing {
        store,
        threshold: threshold.unwrap_or(usize::MAX),
        side,
        references: Vec::new(),
        inline: Vec::new(),
        files: Vec::new(),
        kept: Vec::new(),
        given: Vec::new(),
        open: Open::No,
    };
    let tree = codec::encode(value, codec::THRESHOLD, &mut packing)?;
    let Packing { references, inline, files, kept, given, .. } = packing;
    let references = match &*references {
        [] => Vec::new(),
        some => serde_json::to_vec(some)
            .map_err(|error| Error::invalid(format!("the list of arrays cannot be written: {error}")))?,
    };
    let mut bytes = vec![0; 16];
    LittleEndian::write_u64(&mut bytes, tree.len() as u64);
    LittleEndian::write_u64(&mut bytes[8..], references.len() as u64);
    bytes.extend_from_slice(&tree);
    bytes.extend_from_slice(&references);
    if !inline.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend_from_slice(&inline);
    }
    given.into_iter().for_each(Placed::hand_over);
    Ok(Outgoing { payload: Payload { files, ..Payload::of(bytes) }, kept })
}

struct Packing<'s> {
    store: &'s Store,
    threshold: usize,
    side: Side,
    references: Vec<Reference>,
    inline: Vec<u8>,
    files: Vec<Arc<FileMap>>,
    kept: Vec<Arc<Placed>>,
    /// Files that are given away when the message goes, and go with it when it does not.
    given: Vec<Placed>,
    open: Open,
}

/// Numbers that come one after another.
enum Open {
    No,
    Inline { scalar: Scalar, start: usize },
    Stored(Box<Writing>),
}

impl Packing<'_> {
    fn align(&mut self) -> usize {
        self.inline.resize(self.inline.len().next_multiple_of(ALIGNMENT), 0);
        self.inline.len()
    }

    fn refer(&mut self, layout: &Layout, segment: Segment, place: Place, source: Option<&Source>) -> usize {
        self.references.push(Reference {
            shape: layout.shape().to_vec(),
            strides: layout.strides().to_vec(),
            start: layout.start(),
            segment,
            place,
            source: source.map(|source| Origin {
                path: path_bytes(source.path()),
                offset: source.offset(),
                big_endian: source.byte_order().map(|byte_order| byte_order == ByteOrder::Big),
            }),
        });
        self.references.len() - 1
    }

    /// A file written for this message alone.
    fn give(&mut self, placed: Placed) -> Place {
        let path = path_bytes(placed.path());
        match self.side {
            Side::Parent => {
                self.kept.push(Arc::new(placed));
                Place::Stored { path, given: false }
            }
            Side::Worker => {
                self.given.push(placed);
                Place::Stored { path, given: true }
            }
        }
    }
}

impl Sink for Packing<'_> {
    fn begin(&mut self, scalar: Scalar, expected: Option<usize>) -> Result<()> {
        self.open = match expected {
            Some(nbytes) if nbytes >= self.threshold => Open::Stored(Box::new(self.store.begin(scalar, nbytes)?)),
            _ => Open::Inline { scalar, start: self.align() },
        };
        Ok(())
    }

    fn write(&mut self, elements: &[u8]) -> Result<()> {
        match &mut self.open {
            Open::Stored(writing) => writing.put(elements),
            Open::Inline { .. } | Open::No => {
                self.inline.extend_from_slice(elements);
                Ok(())
            }
        }
    }

    fn end(&mut self, _: String, shape: &[usize]) -> Result<usize> {
        match std::mem::replace(&mut self.open, Open::No) {
            Open::Stored(writing) => {
                let placed = writing.end(shape)?;
                let segment = placed.segment().clone();
                let layout = Layout::contiguous(shape, Order::C, segment.dtype.item_size())?;
                let place = self.give(placed);
                Ok(self.refer(&layout, segment, place, None))
            }
            Open::Inline { scalar, start } => {
                let dtype = DType::new(scalar, ByteOrder::NATIVE);
                let layout = Layout::contiguous(shape, Order::C, dtype.item_size())?;
                let nbytes = (self.inline.len() - start) as u64;
                Ok(self.refer(&layout, Segment { dtype, offset: start as u64, nbytes }, Place::Inline, None))
            }
            Open::No => Err(Error::invalid("numbers ended that never began")),
        }
    }

    fn array(&mut self, _: String, array: &AnyArray) -> Result<usize> {
        let source = array.source();
        if array.nbytes() < self.threshold {
            let start = self.align();
            let order = array.order().unwrap_or(Order::C);
            self.inline.extend_from_slice(&array.bytes_in(order));
            let layout = Layout::contiguous(array.shape(), order, array.dtype.item_size())?;
            let segment = Segment { dtype: array.dtype.clone(), offset: start as u64, nbytes: array.nbytes() as u64 };
            return Ok(self.refer(&layout, segment, Place::Inline, source));
        }
        if let Storage::Map { map, range, private: false } = array.memory.storage() {
            let slot = self.files.iter().position(|file| Arc::ptr_eq(file, map)).unwrap_or_else(|| {
                self.files.push(Arc::clone(map));
                self.files.len() - 1
            });
            let place = Place::File { slot, path: path_bytes(map.path()) };
            let segment =
                Segment { dtype: array.dtype.clone(), offset: range.start as u64, nbytes: range.len() as u64 };
            return Ok(self.refer(&array.layout, segment, place, source));
        }
        match self.side {
            Side::Parent => {
                let placed = self.store.place(array)?;
                let place = Place::Stored { path: path_bytes(placed.path()), given: false };
                let index = self.refer(&array.layout, placed.segment().clone(), place, source);
                self.kept.push(placed);
                Ok(index)
            }
            Side::Worker => {
                // What came from the parent is still there as long as it is lent.
                let lent = array.memory.noted(self.store.id()).and_then(|note| note.downcast::<Lent>().ok());
                if let Some(lent) = lent.filter(|lent| lent.until.strong_count() > 0) {
                    let place = Place::Stored { path: path_bytes(&lent.path), given: false };
                    return Ok(self.refer(&array.layout, lent.segment.clone(), place, source));
                }
                let placed = self.store.write(array)?;
                let segment = placed.segment().clone();
                let order = array.order().unwrap_or(Order::C);
                let layout = Layout::contiguous(array.shape(), order, segment.dtype.item_size())?;
                let place = self.give(placed);
                Ok(self.refer(&layout, segment, place, source))
            }
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.references.clear();
        self.inline.clear();
        self.files.clear();
        self.kept.clear();
        self.given.clear();
        self.open = Open::No;
        Ok(())
    }
}
