//! The memory that contains the bytes of arrays.

use std::{
    any::Any,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::source::{ArraySource, CopyReason};
use crate::{
    Result,
    bytes::map::{Buffer, FileMap},
    dtype::{ByteOrder, Element},
};

/// Bytes shared by an array, its clones and its views. They are neither moved
/// nor changed while the memory exists.
pub(crate) struct Memory {
    storage: Storage,
    source: Option<ArraySource>,
    copy_reason: Option<CopyReason>,
    /// Whether it belongs to arrays of a field, so that the bytes of other
    /// fields are between their elements.
    is_field: bool,
    placements: Mutex<Vec<Placement>>,
}

/// The owner of the bytes.
pub(crate) enum Storage {
    /// Part of a mapped file. It is `private` if only the processes of this
    /// program's session can write to it.
    Map { map: Arc<FileMap>, range: Range<usize>, private: bool },
    /// Part of a buffer.
    Buffer { buffer: Arc<Buffer>, range: Range<usize> },
    /// The vector of an ndarray `Array`.
    Vector(Box<dyn ElementVec>),
}

impl Storage {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Map { map, range, .. } => &map.as_ref().as_ref()[range.clone()],
            Self::Buffer { buffer, range } => &buffer.as_ref().as_ref()[range.clone()],
            Self::Vector(vector) => vector.bytes(),
        }
    }
}

/// A `Vec` of elements whose type is erased.
pub(crate) trait ElementVec: Send + Sync {
    fn bytes(&self) -> &[u8];
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<A: Element> ElementVec for Vec<A> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A note of a store that its files already contain a memory's bytes.
///
/// Only the store with this id knows the type of the note.
pub(crate) type PlacementNote = Arc<dyn Any + Send + Sync>;

struct Placement {
    store_id: u64,
    note: PlacementNote,
}

impl Memory {
    pub(crate) fn new(
        storage: Storage,
        source: Option<ArraySource>,
        copy_reason: Option<CopyReason>,
    ) -> Arc<Self> {
        Arc::new(Self {
            storage,
            source,
            copy_reason,
            is_field: false,
            placements: Mutex::default(),
        })
    }

    /// Returns the same bytes for arrays of a field with this byte order,
    /// without the notes of stores.
    pub(crate) fn for_field(&self, byte_order: Option<ByteOrder>) -> Result<Arc<Self>> {
        let storage = match &self.storage {
            Storage::Map { map, range, private } => {
                Storage::Map { map: Arc::clone(map), range: range.clone(), private: *private }
            }
            Storage::Buffer { buffer, range } => {
                Storage::Buffer { buffer: Arc::clone(buffer), range: range.clone() }
            }
            Storage::Vector(vector) => {
                let buffer = Arc::new(Buffer::copy_of(vector.bytes())?);
                Storage::Buffer { range: 0..vector.bytes().len(), buffer }
            }
        };
        let mut source = self.source.clone();
        if let (Some(source), None) = (&mut source, self.copy_reason) {
            source.byte_order = byte_order;
        }
        let copy_reason = self.copy_reason;
        Ok(Arc::new(Self {
            storage,
            source,
            copy_reason,
            is_field: true,
            placements: Mutex::default(),
        }))
    }

    /// Returns whether it belongs to arrays of a field, so that the bytes of
    /// other fields are between their elements.
    pub(crate) fn is_field(&self) -> bool {
        self.is_field
    }

    /// Makes a memory of all of `buffer`.
    pub(crate) fn owned(
        buffer: Buffer,
        source: Option<ArraySource>,
        copy_reason: CopyReason,
    ) -> Arc<Self> {
        let range = 0..buffer.as_ref().len();
        let buffer = Arc::new(buffer);
        Self::new(Storage::Buffer { buffer, range }, source, Some(copy_reason))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.storage.bytes()
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn into_storage(self) -> Storage {
        self.storage
    }

    pub(crate) fn source(&self) -> Option<&ArraySource> {
        self.source.as_ref()
    }

    pub(crate) fn copy_reason(&self) -> Option<CopyReason> {
        self.copy_reason
    }

    /// Returns whether programs outside of this program's session may change
    /// the bytes at any time.
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self.storage, Storage::Map { private: false, .. })
    }

    /// Returns the note of store `store_id` if it is `valid`. Otherwise the
    /// note that `make` returns replaces it.
    ///
    /// Other threads wait until `make` has returned.
    pub(crate) fn placement_or_make<E>(
        &self,
        store_id: u64,
        valid: impl FnOnce(&PlacementNote) -> bool,
        make: impl FnOnce() -> Result<PlacementNote, E>,
    ) -> Result<PlacementNote, E> {
        let mut placements = self.placements.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = placements.iter().position(|placement| placement.store_id == store_id) {
            if valid(&placements[at].note) {
                return Ok(Arc::clone(&placements[at].note));
            }
            placements.swap_remove(at);
        }
        let note = make()?;
        placements.push(Placement { store_id, note: Arc::clone(&note) });
        Ok(note)
    }

    /// Returns the note of store `store_id`.
    pub(crate) fn placement(&self, store_id: u64) -> Option<PlacementNote> {
        let placements = self.placements.lock().unwrap_or_else(PoisonError::into_inner);
        let placement = placements.iter().find(|placement| placement.store_id == store_id)?;
        Some(Arc::clone(&placement.note))
    }
}
