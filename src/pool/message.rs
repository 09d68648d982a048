//! Values between a parent and a worker: a tree, and references to where its arrays lie.
//!
//! An array below the threshold lies in the message itself. One from a user's file goes as that file, open. Any other lies
//! in the store: what a parent sends is written once and stays as long as the array lives; what a worker sends is given
//! away with the message, and the parent takes the file over.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::File,
    ops::Range,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use byteorder::{ByteOrder as _, LittleEndian};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::channel::Payload;
use crate::{
    AnyArray, ByteOrder, DType, Error, Order, Result, Scalar, Source, WhyNotMapped,
    array::{Layout, Memory, Storage},
    codec::{self, Segments, Sink},
    map::{Buffer, FileMap},
    store::{Placed, Segment, Store, Writing, note},
};

/// Inline arrays begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// An array of a message.
#[derive(Serialize, Deserialize)]
struct Reference {
    shape: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
    segment: Segment,
    place: Place,
    source: Option<Origin>,
}

/// Where the bytes of an array lie.
#[derive(Serialize, Deserialize)]
enum Place {
    /// In the message, from the first inline byte on.
    Inline,
    /// In a file of the store; `given` where the receiver is to take it over.
    Stored { path: Vec<u8>, given: bool },
    /// In the file that came along in this place of the list.
    File { slot: usize, path: Vec<u8> },
}

/// A [`Source`] on its way.
#[derive(Serialize, Deserialize)]
struct Origin {
    path: Vec<u8>,
    offset: u64,
    big_endian: Option<bool>,
}

fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().to_os_string().into_vec()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// A value ready to be sent.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) payload: Payload,
    /// What must stay in the store until the receiver is done.
    kept: Vec<Arc<Placed>>,
}

impl Outgoing {
    /// The files in the store that the message refers to.
    pub(super) fn kept(&self) -> &[Arc<Placed>] {
        &self.kept
    }
}

/// Who sends: what becomes of the files that are written for a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Parent,
    Worker,
}

/// Encodes `value`; arrays from `threshold` bytes on travel by reference, none does where there is no threshold.
pub(super) fn pack<T: Serialize + ?Sized>(
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
    let references =
        if references.is_empty() { Vec::new() } else { codec::encode(&references, usize::MAX, &mut Nowhere)? };
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
    Ok(Outgoing { payload: Payload { bytes, files }, kept })
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

/// A worker's note on an array of the parent's: valid until the task it came with, or the call, is over.
struct Lent {
    path: PathBuf,
    segment: Segment,
    until: Weak<()>,
}

/// For lists of references, which hold no arrays.
struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _: Scalar, _: Option<usize>) -> Result<()> {
        Err(Error::invalid("a list of references has no arrays"))
    }

    fn write(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::invalid("a list of references has no arrays"))
    }

    fn end(&mut self, _: String, _: &[usize]) -> Result<usize> {
        Err(Error::invalid("a list of references has no arrays"))
    }

    fn array(&mut self, _: String, _: &AnyArray) -> Result<usize> {
        Err(Error::invalid("a list of references has no arrays"))
    }

    fn restart(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Segments for Nowhere {
    fn get(&self, _: u64) -> Result<AnyArray> {
        Err(Error::invalid("a list of references has no arrays"))
    }
}

/// Maps a receiver keeps from one message to the next: the same file in many tasks is mapped once.
#[derive(Default)]
pub(super) struct Maps {
    known: HashMap<Key, Weak<FileMap>>,
    /// The maps of the message at hand, and those of the one before it until this one is decoded.
    recent: Vec<Arc<FileMap>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Stored(PathBuf),
    /// Device, inode, length, modification time in seconds and nanoseconds.
    File(u64, u64, u64, i64, i64),
}

impl Maps {
    fn get(&mut self, key: Key, make: impl FnOnce() -> Result<Arc<FileMap>>) -> Result<Arc<FileMap>> {
        let map = match self.known.get(&key).and_then(Weak::upgrade) {
            Some(map) => map,
            None => {
                let map = make()?;
                self.known.retain(|_, map| map.strong_count() > 0);
                self.known.insert(key, Arc::downgrade(&map));
                map
            }
        };
        if !self.recent.iter().any(|recent| Arc::ptr_eq(recent, &map)) {
            self.recent.push(Arc::clone(&map));
        }
        Ok(map)
    }

    /// Lets go of every map that nothing else holds.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
        self.known.clear();
    }
}

/// A message that arrived: files given with it are already the receiver's own, whatever becomes of the value.
pub(super) struct Incoming {
    bytes: Arc<Buffer>,
    tree: Range<usize>,
    inline: usize,
    references: Vec<Reference>,
    given: Mutex<HashMap<usize, Placed>>,
    files: Vec<File>,
    store: Store,
    /// While this lives, what the parent sent with the message stays in the store.
    lease: Arc<()>,
}

impl Incoming {
    /// Takes a message apart, without decoding its value.
    pub(super) fn new(payload: Buffer, descriptors: Vec<OwnedFd>, store: &Store) -> Result<Self> {
        let bytes: &[u8] = payload.as_ref();
        let cut = || Error::invalid(format!("a message of {} bytes is cut short", bytes.len()));
        let length = |at: usize| {
            let field = bytes.get(at..at + 8).ok_or_else(cut)?;
            usize::try_from(LittleEndian::read_u64(field)).map_err(|_| cut())
        };
        let tree_end = 16usize.checked_add(length(0)?).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        let end = tree_end.checked_add(length(8)?).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        let references: Vec<Reference> =
            if tree_end == end { Vec::new() } else { codec::decode(&bytes[tree_end..end], &Nowhere)? };
        let mut given = HashMap::new();
        for (index, reference) in references.iter().enumerate() {
            if let Place::Stored { path, given: true } = &reference.place {
                let file = store.adopt(&path_of(path))?;
                given.insert(index, Placed::new(file, reference.segment.clone()));
            }
        }
        Ok(Self {
            tree: 16..tree_end,
            inline: end.next_multiple_of(ALIGNMENT),
            references,
            given: Mutex::new(given),
            files: descriptors.into_iter().map(File::from).collect(),
            store: store.clone(),
            lease: Arc::new(()),
            bytes: Arc::new(payload),
        })
    }

    /// The value. `kept` are the files that the sender of the original message knows to be there.
    pub(super) fn unpack<T: DeserializeOwned>(&self, maps: &mut Maps, kept: &[&[Arc<Placed>]]) -> Result<T> {
        let before = std::mem::take(&mut maps.recent);
        let tree = &self.bytes.as_ref().as_ref()[self.tree.clone()];
        let value = codec::decode(tree, &Unpacking { message: self, maps: Mutex::new(maps), kept });
        drop(before);
        value
    }
}

struct Unpacking<'m> {
    message: &'m Incoming,
    maps: Mutex<&'m mut Maps>,
    kept: &'m [&'m [Arc<Placed>]],
}

impl Segments for Unpacking<'_> {
    fn get(&self, index: u64) -> Result<AnyArray> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(reference) = self.message.references.get(index) else {
            return Err(Error::invalid(format!("a message refers to array {index}, which did not come with it")));
        };
        let Reference { shape, strides, start, segment, place, source } = reference;
        let source = source.as_ref().map(|origin| Source {
            path: path_of(&origin.path),
            offset: origin.offset,
            byte_order: origin.big_endian.map(|big| if big { ByteOrder::Big } else { ByteOrder::Little }),
        });
        let size = segment.dtype.item_size();
        let available = usize::try_from(segment.nbytes).unwrap_or(0) / size;
        let layout = Layout::strided(shape, strides, *start, available, size)?;
        let memory = match place {
            Place::Inline => self.inline(segment, source)?,
            Place::Stored { path, given } => self.stored(index, path_of(path), *given, segment, source)?,
            Place::File { slot, path } => {
                let map = self.file(*slot, path_of(path))?;
                over(map, segment, source, false)?
            }
        };
        AnyArray::new(memory, segment.dtype.clone(), layout)
    }
}

impl Unpacking<'_> {
    fn inline(&self, segment: &Segment, source: Option<Source>) -> Result<Arc<Memory>> {
        let buffer = Arc::clone(&self.message.bytes);
        let range = range(segment, self.message.inline, buffer.as_ref().as_ref().len())?;
        Ok(Memory::new(Storage::Buffer { buffer, range }, source, Some(WhyNotMapped::Inline)))
    }

    fn stored(
        &self,
        index: usize,
        path: PathBuf,
        given: bool,
        segment: &Segment,
        source: Option<Source>,
    ) -> Result<Arc<Memory>> {
        let map = {
            let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps.get(Key::Stored(path.clone()), || FileMap::open(&path))?
        };
        let memory = over(map, segment, source, true)?;
        let message = self.message;
        let owned = message.given.lock().unwrap_or_else(PoisonError::into_inner).remove(&index).map(Arc::new);
        let kept = || self.kept.iter().flat_map(|kept| kept.iter()).find(|placed| placed.path() == path).cloned();
        match (owned.or_else(kept), given) {
            (Some(placed), _) => note(&memory, message.store.id(), placed),
            (None, false) => {
                let lent = Lent { path, segment: segment.clone(), until: Arc::downgrade(&message.lease) };
                note(&memory, message.store.id(), Arc::new(lent));
            }
            // A second array of the same message over a file that was given once.
            (None, true) => {}
        }
        Ok(memory)
    }

    fn file(&self, slot: usize, path: PathBuf) -> Result<Arc<FileMap>> {
        let Some(open) = self.message.files.get(slot) else {
            return Err(Error::invalid(format!("open file {slot} did not come with the message")).at(path));
        };
        let found = open.metadata().map_err(|error| Error::io("cannot inspect", error).at(&path))?;
        let key = Key::File(found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.get(key, || {
            let open = open.try_clone().map_err(|error| Error::io("cannot use", error).at(&path))?;
            FileMap::of(open, path)
        })
    }
}

fn over(map: Arc<FileMap>, segment: &Segment, source: Option<Source>, private: bool) -> Result<Arc<Memory>> {
    let range = range(segment, 0, map.as_ref().as_ref().len()).map_err(|error| error.at(map.path()))?;
    Ok(Memory::new(Storage::Map { map, range, private }, source, None))
}

fn range(segment: &Segment, base: usize, available: usize) -> Result<Range<usize>> {
    let bounds = usize::try_from(segment.offset)
        .ok()
        .and_then(|offset| offset.checked_add(base))
        .and_then(|start| Some((start, start.checked_add(usize::try_from(segment.nbytes).ok()?)?)));
    match bounds {
        // Without bytes, where they would lie does not matter: a message that holds no others ends before.
        _ if segment.nbytes == 0 => Ok(0..0),
        Some((start, end)) if end <= available => Ok(start..end),
        _ => Err(Error::invalid(format!(
            "an array is said to be {} bytes from byte {} on, there are {available}",
            segment.nbytes, segment.offset
        ))),
    }
}
