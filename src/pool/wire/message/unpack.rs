//! Decoding values from messages.

use std::{
    collections::HashMap,
    fs::File,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use byteorder::{ByteOrder as _, LittleEndian};
use serde::de::DeserializeOwned;

use super::{
    ALIGNMENT, ArrayPlace, ArrayReference, LentArray, MessageContents, REPORT_FLAG, path_of,
};
use crate::pool::wire::report::{CapturedOutput, FailureReport};
use crate::{
    AnyArray, Error, Result,
    array::{ArraySource, CopyReason, Layout, Memory, Storage},
    bytes::map::{Buffer, FileMap},
    codec::{self, Segments},
    dtype::ByteOrder,
    pool::wire::frame::Frame,
    store::{Attached, Placed, Segment, Store, incoming, note},
};

/// Maps that a receiver keeps between messages, so that a file used by many tasks is mapped
/// once.
#[derive(Default)]
pub(crate) struct FileMaps {
    known: HashMap<MapKey, Weak<FileMap>>,
    /// The maps of the current message, and of the previous one until the current one is
    /// decoded.
    recent: Vec<Arc<FileMap>>,
}

#[derive(PartialEq, Eq, Hash)]
enum MapKey {
    Stored(PathBuf),
    /// Device, inode, length, and modification time in seconds and nanoseconds.
    File(u64, u64, u64, i64, i64),
}

impl FileMaps {
    fn get(
        &mut self,
        key: MapKey,
        make: impl FnOnce() -> Result<Arc<FileMap>>,
    ) -> Result<Arc<FileMap>> {
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

    /// Releases all maps that are not in use.
    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.known.clear();
    }
}

/// A received message. Files given with it already belong to the receiver.
pub(crate) struct IncomingMessage {
    bytes: Arc<Buffer>,
    entries: Vec<(u64, EntryRange)>,
    inline: usize,
    references: Vec<ArrayReference>,
    given: Mutex<HashMap<usize, Placed>>,
    files: Vec<Mutex<ReceivedFile>>,
    /// Attached files that parts of the values refer to.
    attached: Vec<Attached>,
    arrays: Vec<AnyArray>,
    store: Store,
    /// While this lives, arrays that the parent sent with the message stay in the store.
    lease: Arc<()>,
}

/// The location of an entry's bytes.
#[derive(Clone)]
enum EntryRange {
    Value(Range<usize>),
    Report(Range<usize>),
}

/// An entry of a message.
pub(crate) enum MessageEntry<T> {
    Value(Result<T>),
    /// The reason why there is no value, the nanoseconds that the task ran, and its output.
    Report(FailureReport, u64, CapturedOutput),
}

impl IncomingMessage {
    /// Parses a message without decoding its values.
    pub(crate) fn new(frame: Frame, store: &Store) -> Result<Self> {
        let Frame { payload, descriptors, missing, arrays, .. } = frame;
        let bytes: &[u8] = payload.as_ref();
        let cut =
            || Error::invalid_data(format!("a message of {} bytes is cut short", bytes.len()));
        let word = |at: usize| bytes.get(at..at + 8).map(LittleEndian::read_u64).ok_or_else(cut);
        let length = |word: u64| usize::try_from(word).map_err(|_| cut());
        let behind = |start: usize, length: usize| {
            start.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(cut)
        };
        let count = length(word(0)?)?;
        let mut end = behind(16, count.checked_mul(16).ok_or_else(cut)?)?;
        let mut entries = Vec::with_capacity(count);
        for at in (0..count).map(|entry| 16 + 16 * entry) {
            let (index, marked) = (word(at)?, word(at + 8)?);
            let start = end;
            end = behind(start, length(marked & !REPORT_FLAG)?)?;
            entries.push((
                index,
                if marked & REPORT_FLAG == 0 {
                    EntryRange::Value(start..end)
                } else {
                    EntryRange::Report(start..end)
                },
            ));
        }
        let start = end;
        end = behind(start, length(word(8)?)?)?;
        let MessageContents { arrays: references, attached } = match &bytes[start..end] {
            [] => MessageContents::default(),
            some => serde_json::from_slice(some).map_err(|error| {
                Error::invalid_data(format!("the list of arrays in a message: {error}"))
            })?,
        };
        let mut given = HashMap::new();
        for (index, reference) in references.iter().enumerate() {
            if let ArrayPlace::Stored { path, given: true } = &reference.place {
                let file = store.adopt(&path_of(path))?;
                given.insert(index, Placed::new(file, reference.segment.clone()));
            }
        }
        if missing > 0 {
            return Err(Error::invalid_data(format!(
                "{missing} of the open files that came with the message were lost: this process may open no more"
            )));
        }
        let files: Vec<_> =
            descriptors.into_iter().map(|file| Arc::new(File::from(file))).collect();
        let attached = attached.into_iter().map(|(role, slot)| {
            let file = files.get(slot).ok_or_else(|| {
                Error::invalid_data(format!("open file {slot} did not come along"))
            })?;
            Ok(Attached { role, file: Arc::clone(file) })
        });
        Ok(Self {
            attached: attached.collect::<Result<_>>()?,
            entries,
            inline: end.next_multiple_of(ALIGNMENT),
            references,
            given: Mutex::new(given),
            files: files
                .into_iter()
                .map(|file| Mutex::new(ReceivedFile::OpenSegment(file)))
                .collect(),
            arrays,
            store: store.clone(),
            lease: Arc::new(()),
            bytes: Arc::new(payload),
        })
    }

    /// Returns the task indices of the entries.
    pub(crate) fn indices(&self) -> impl ExactSizeIterator<Item = u64> {
        self.entries.iter().map(|(index, _)| *index)
    }

    /// Decodes entry number `at`. `kept` are files that the sender keeps in the store.
    pub(crate) fn entry<T: DeserializeOwned>(
        &self,
        at: usize,
        maps: &mut FileMaps,
        kept: &[&[Arc<Placed>]],
    ) -> MessageEntry<T> {
        let bytes: &[u8] = (*self.bytes).as_ref();
        match self.entries.get(at) {
            Some((_, EntryRange::Value(range))) => {
                let before = std::mem::take(&mut maps.recent);
                let unpacking = Unpacking { message: self, maps: Mutex::new(maps), kept };
                let value =
                    incoming(&self.attached, || codec::decode(&bytes[range.clone()], &unpacking));
                drop(before);
                MessageEntry::Value(value)
            }
            Some((_, EntryRange::Report(range))) => {
                let told = serde_json::from_slice(&bytes[range.clone()]);
                let (report, elapsed, said) =
                    told.unwrap_or_else(|error| (unreadable(&error), 0, CapturedOutput::default()));
                MessageEntry::Report(report, elapsed, said)
            }
            None => MessageEntry::Value(Err(Error::invalid_data(format!(
                "a message has {} entries, number {at} was asked for",
                self.entries.len()
            )))),
        }
    }

    /// Decodes the value of entry number `at`, which cannot be a report.
    pub(crate) fn value<T: DeserializeOwned>(&self, at: usize, maps: &mut FileMaps) -> Result<T> {
        match self.entry(at, maps, &[]) {
            MessageEntry::Value(value) => value,
            MessageEntry::Report(..) => {
                Err(Error::invalid_data("a message has a report where a value was expected"))
            }
        }
    }

    /// Returns the bytes of arrays that were sent by reference.
    pub(crate) fn mapped(&self) -> u64 {
        let by_reference = self
            .references
            .iter()
            .filter(|reference| !matches!(reference.place, ArrayPlace::Inline));
        by_reference
            .map(|reference| {
                let elements = reference
                    .shape
                    .iter()
                    .fold(1, |product: usize, &length| product.saturating_mul(length));
                elements.saturating_mul(reference.segment.dtype.item_size()) as u64
            })
            .fold(0, u64::saturating_add)
    }
}

/// Decodes the report of a worker that cannot work.
pub(crate) fn decode_report(bytes: &[u8]) -> FailureReport {
    serde_json::from_slice(bytes).unwrap_or_else(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> FailureReport {
    FailureReport::Result { message: format!("the worker's report cannot be read: {error}") }
}

struct Unpacking<'m> {
    message: &'m IncomingMessage,
    maps: Mutex<&'m mut FileMaps>,
    kept: &'m [&'m [Arc<Placed>]],
}

impl Segments for Unpacking<'_> {
    fn get(&self, index: u64) -> Result<AnyArray> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(reference) = self.message.references.get(index) else {
            return Err(Error::invalid_data(format!(
                "a message refers to array {index}, which did not come with it"
            )));
        };
        let ArrayReference { shape, strides, start, segment, place, source } = reference;
        let source = source.as_ref().map(|origin| ArraySource {
            path: path_of(&origin.path),
            offset: origin.offset,
            byte_order: origin
                .big_endian
                .map(|big| if big { ByteOrder::Big } else { ByteOrder::Little }),
        });
        let available = usize::try_from(segment.nbytes).unwrap_or(0);
        let layout = Layout::strided(shape, strides, *start, available, segment.dtype.item_size())?;
        let memory = match place {
            ArrayPlace::Here { slot } => match self.message.arrays.get(*slot) {
                Some(array) => return Ok(array.clone()),
                None => {
                    return Err(Error::invalid_data(format!(
                        "array {slot} did not come with the message"
                    )));
                }
            },
            ArrayPlace::Inline => self.inline(segment, source)?,
            ArrayPlace::Stored { path, given } => {
                self.stored(index, path_of(path), *given, segment, source)?
            }
            ArrayPlace::File { slot, path } => {
                let map = self.file(*slot, path_of(path))?;
                // A file with seals cannot change, like the session's own files.
                let private = map.is_sealed();
                over(map, segment, source, private)?
            }
        };
        AnyArray::new(memory, segment.dtype.clone(), layout)
    }
}

impl Unpacking<'_> {
    fn inline(&self, segment: &Segment, source: Option<ArraySource>) -> Result<Arc<Memory>> {
        let buffer = Arc::clone(&self.message.bytes);
        let range = range(segment, self.message.inline, buffer.as_ref().as_ref().len())?;
        Ok(Memory::new(Storage::Buffer { buffer, range }, source, Some(CopyReason::Inline)))
    }

    fn stored(
        &self,
        index: usize,
        path: PathBuf,
        given: bool,
        segment: &Segment,
        source: Option<ArraySource>,
    ) -> Result<Arc<Memory>> {
        let map = {
            let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps.get(MapKey::Stored(path.clone()), || FileMap::open(&path))?
        };
        let memory = over(map, segment, source, true)?;
        let message = self.message;
        let owned = message
            .given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&index)
            .map(Arc::new);
        let kept = || {
            self.kept
                .iter()
                .flat_map(|kept| kept.iter())
                .find(|placed| placed.path() == path)
                .cloned()
        };
        match (owned.or_else(kept), given) {
            (Some(placed), _) => note(&memory, message.store.id(), placed),
            (None, false) => {
                let lent = LentArray {
                    path,
                    segment: segment.clone(),
                    until: Arc::downgrade(&message.lease),
                };
                note(&memory, message.store.id(), Arc::new(lent));
            }
            // Another array of this message uses the same given file.
            (None, true) => {}
        }
        Ok(memory)
    }

    fn file(&self, slot: usize, path: PathBuf) -> Result<Arc<FileMap>> {
        let Some(arrived) = self.message.files.get(slot) else {
            return Err(Error::invalid_data(format!(
                "open file {slot} did not come with the message"
            ))
            .at(path));
        };
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match std::mem::replace(&mut *arrived, ReceivedFile::Lost) {
            ReceivedFile::OpenSegment(open) => open,
            ReceivedFile::Mapped(map) => {
                *arrived = ReceivedFile::Mapped(Arc::clone(&map));
                return Ok(map);
            }
            ReceivedFile::Lost => {
                return Err(
                    Error::invalid_data("its open file could not be mapped before").at(path)
                );
            }
        };
        let found =
            open.metadata().map_err(|error| Error::io("cannot inspect", error).at(&path))?;
        let key =
            MapKey::File(found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let map = maps.get(key, || FileMap::of(open, path))?;
        *arrived = ReceivedFile::Mapped(Arc::clone(&map));
        Ok(map)
    }
}

/// A received file.
enum ReceivedFile {
    OpenSegment(Arc<File>),
    Mapped(Arc<FileMap>),
    Lost,
}

fn over(
    map: Arc<FileMap>,
    segment: &Segment,
    source: Option<ArraySource>,
    private: bool,
) -> Result<Arc<Memory>> {
    let range =
        range(segment, 0, map.as_ref().as_ref().len()).map_err(|error| error.at(map.path()))?;
    Ok(Memory::new(Storage::Map { map, range, private }, source, None))
}

fn range(segment: &Segment, base: usize, available: usize) -> Result<Range<usize>> {
    let bounds = usize::try_from(segment.offset)
        .ok()
        .and_then(|offset| offset.checked_add(base))
        .and_then(|start| Some((start, start.checked_add(usize::try_from(segment.nbytes).ok()?)?)));
    match bounds {
        // An array without bytes may be located anywhere, even after the end of the message.
        _ if segment.nbytes == 0 => Ok(0..0),
        Some((start, end)) if end <= available => Ok(start..end),
        _ => Err(Error::invalid_data(format!(
            "an array is said to be {} bytes from byte {} on, there are {available}",
            segment.nbytes, segment.offset
        ))),
    }
}
