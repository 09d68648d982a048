//! The bytes an array stands on.

use std::{
    any::Any,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Result,
    array::{ArraySource, CopyReason},
    bytes::map::{Buffer, FileMap},
    dtype::{ByteOrder, Element},
};

/// Bytes shared by an array, its clones and its views. They stay where they are and as they are while it lives.
pub(crate) struct Memory {
    storage: Storage,
    source: Option<ArraySource>,
    copy_reason: Option<CopyReason>,
    /// Whether arrays on it are fields, which lie among others: its bytes as a whole are then not elements of theirs.
    of_records: bool,
    places: Mutex<Vec<Place>>,
}

/// What holds the bytes.
pub(crate) enum Storage {
    /// Part of a mapped file; `private` where nobody outside this program's session can write to it.
    Map { map: Arc<FileMap>, range: Range<usize>, private: bool },
    /// Part of an owned buffer.
    Buffer { buffer: Arc<Buffer>, range: Range<usize> },
    /// The vector of an ndarray `Array`.
    Vector(Box<dyn Vector>),
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

/// A `Vec` of elements of a type known to whoever made it.
pub(crate) trait Vector: Send + Sync {
    fn bytes(&self) -> &[u8];
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<A: Element> Vector for Vec<A> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A note on where a memory's bytes already lie, left by `owner` (a store) for itself.
struct Place {
    owner: u64,
    note: Note,
}

impl Memory {
    pub(crate) fn new(
        storage: Storage,
        source: Option<ArraySource>,
        copy_reason: Option<CopyReason>,
    ) -> Arc<Self> {
        Arc::new(Self { storage, source, copy_reason, of_records: false, places: Mutex::default() })
    }

    /// The same bytes for an array of a field, in this byte order. Where they lie in a store is not known of it: what is noted
    /// there is noted of the records.
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
            of_records: true,
            places: Mutex::default(),
        }))
    }

    pub(crate) fn is_of_records(&self) -> bool {
        self.of_records
    }

    /// A buffer of its own.
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

    /// Whether somebody outside this program's session may change the bytes at any time.
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self.storage, Storage::Map { private: false, .. })
    }

    /// What `owner` noted, if it is still `valid`, or else what `make` says, which is then noted. One thread makes; others
    /// wait for it.
    pub(crate) fn place<E>(
        &self,
        owner: u64,
        valid: impl FnOnce(&Note) -> bool,
        make: impl FnOnce() -> Result<Note, E>,
    ) -> Result<Note, E> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = places.iter().position(|place| place.owner == owner) {
            if valid(&places[at].note) {
                return Ok(Arc::clone(&places[at].note));
            }
            places.swap_remove(at);
        }
        let note = make()?;
        places.push(Place { owner, note: Arc::clone(&note) });
        Ok(note)
    }
}

impl Memory {
    /// What `owner` noted.
    pub(crate) fn noted(&self, owner: u64) -> Option<Note> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().find(|place| place.owner == owner).map(|place| Arc::clone(&place.note))
    }
}

/// What an owner remembers of a place, in a form of its own.
pub(crate) type Note = Arc<dyn Any + Send + Sync>;
