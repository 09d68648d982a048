//! Encoding values into messages.

use std::{fs::File, ops::Range, os::fd::AsFd, path::Path, sync::Arc};

use serde::Serialize;

use super::{
    ALIGNMENT, ArrayPlace, ArrayReference, BytesMoved, LentArray, MessageContents, OutgoingMessage,
    Payload, REPORT_FLAG, SourceRef, path_bytes,
};
use crate::pool::wire::report::{CapturedOutput, FailureReport};
use crate::{
    AnyArray, DType, Error, Result,
    array::{ArraySource, Layout, Order, Storage},
    bytes::map::FileMap,
    codec::{self, Sink},
    dtype::{ByteOrder, Scalar},
    store::{Attached, Lies, Placed, Segment, Store, Writing, outgoing},
};

/// The sender of a message, which determines what happens to files written for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Parent,
    Worker,
    /// Sender and receiver are one process, so arrays are passed on.
    SameProcess,
    /// Sender and receiver share no memory, so every array is inline and no files are attached.
    Remote,
}

/// A message that is being built.
pub struct Packer {
    store: Store,
    threshold: usize,
    side: Sender,
    /// Index and length of each entry, and the bytes of all entries.
    entries: Vec<(u64, u64)>,
    trees: Vec<u8>,
    /// Reused memory for the next tree.
    tree: Vec<u8>,
    references: Vec<ArrayReference>,
    inline: Vec<u8>,
    files: Vec<Arc<File>>,
    /// Files that parts of the values refer to.
    attached: Vec<Attached>,
    arrays: Vec<AnyArray>,
    kept: Vec<Arc<Placed>>,
    /// Files that the receiver takes over. They are removed if the message is not sent.
    given: Vec<Placed>,
    moved: BytesMoved,
    open: OpenSegment,
    /// The state to return to if the current value must be encoded again, or cannot be encoded.
    mark: Rollback,
}

#[derive(Clone, Copy, Default)]
struct Rollback {
    references: usize,
    inline: usize,
    files: usize,
    attached: usize,
    arrays: usize,
    kept: usize,
    given: usize,
    moved: BytesMoved,
}

impl Packer {
    /// Returns an empty message. Arrays of at least `threshold` bytes are sent by reference,
    /// and none without a threshold.
    pub(crate) fn new(store: &Store, threshold: Option<usize>, side: Sender) -> Self {
        let threshold = match side {
            Sender::SameProcess => 0,
            Sender::Remote => usize::MAX,
            Sender::Parent | Sender::Worker => threshold.unwrap_or(usize::MAX),
        };
        Self {
            store: store.clone(),
            threshold,
            side,
            entries: Vec::new(),
            trees: Vec::new(),
            tree: Vec::new(),
            references: Vec::new(),
            inline: Vec::new(),
            files: Vec::new(),
            attached: Vec::new(),
            arrays: Vec::new(),
            kept: Vec::new(),
            given: Vec::new(),
            moved: BytesMoved::default(),
            open: OpenSegment::No,
            mark: Rollback::default(),
        }
    }

    /// Adds a value for the task at `index`.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be encoded, or its arrays cannot be stored. The
    /// message is unchanged then.
    pub(crate) fn push<T: Serialize + ?Sized>(&mut self, index: u64, value: &T) -> Result<()> {
        self.set_mark();
        let memory = std::mem::take(&mut self.tree);
        let first = self.attached.len();
        let (encoded, attached) =
            outgoing(first, || codec::encode_into(memory, value, codec::DEFAULT_THRESHOLD, self));
        match encoded {
            Ok(_) if self.side == Sender::Remote && !attached.is_empty() => {
                self.restart()?;
                Err(Error::invalid_input(
                    "memory that processes share (SharedAtomics, SharedArrayMut) cannot be passed to workers that share no memory with \
                     this process",
                ))
            }
            Ok(tree) => {
                attached.iter().for_each(|attached| _ = self.slot(&attached.file));
                self.attached.extend(attached);
                self.tree = tree;
                self.moved.copied += self.tree.len() as u64;
                self.entries.push((index, self.tree.len() as u64));
                self.trees.extend_from_slice(&self.tree);
                Ok(())
            }
            Err(error) => {
                self.restart()?;
                Err(error)
            }
        }
    }

    fn set_mark(&mut self) {
        self.mark = Rollback {
            references: self.references.len(),
            inline: self.inline.len(),
            files: self.files.len(),
            attached: self.attached.len(),
            arrays: self.arrays.len(),
            kept: self.kept.len(),
            given: self.given.len(),
            moved: self.moved,
        };
    }

    /// Adds a report for the task at `index`, with its duration in nanoseconds and its output.
    pub(crate) fn push_report(
        &mut self,
        index: u64,
        decode_report: &FailureReport,
        elapsed: u64,
        said: &CapturedOutput,
    ) {
        self.set_mark();
        self.tree.clear();
        // Writing plain data to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.tree, &(decode_report, elapsed, said));
        self.entries.push((index, self.tree.len() as u64 | REPORT_FLAG));
        self.trees.extend_from_slice(&self.tree);
    }

    /// Adds an entry of another message: its index, its flagged length, its bytes.
    pub(crate) fn push_entry(&mut self, index: u64, length: u64, bytes: &[u8]) {
        self.entries.push((index, length));
        self.trees.extend_from_slice(bytes);
    }

    /// Removes the latest value.
    pub(crate) fn pop(&mut self) {
        if let Some((_, length)) = self.entries.pop() {
            self.trees.truncate(self.trees.len() - length as usize);
            let _ = self.restart();
        }
    }

    /// Returns the latest entry: its index, its flagged length, its bytes.
    pub(crate) fn last(&self) -> Option<(u64, u64, &[u8])> {
        let &(index, length) = self.entries.last()?;
        Some((index, length, &self.trees[self.trees.len() - (length & !REPORT_FLAG) as usize..]))
    }

    /// Returns whether the latest entry is complete in its bytes, without arrays or attached
    /// files.
    pub(crate) fn last_is_plain(&self) -> bool {
        self.references.len() == self.mark.references && self.attached.len() == self.mark.attached
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the approximate length of the message.
    pub(crate) fn nbytes(&self) -> usize {
        16 * self.entries.len() + self.trees.len() + 128 * self.references.len() + self.inline.len()
    }

    /// Returns whether a file was written or attached for the latest value.
    pub(crate) fn has_new_files(&self) -> bool {
        self.kept.len() + self.given.len() + self.files.len()
            > self.mark.kept + self.mark.given + self.mark.files
    }

    /// Returns the message, and leaves this one empty.
    pub(crate) fn finish(&mut self) -> OutgoingMessage {
        let attached = std::mem::take(&mut self.attached);
        let attached =
            attached.iter().map(|attached| (attached.role, self.slot(&attached.file))).collect();
        let contents = MessageContents { arrays: std::mem::take(&mut self.references), attached };
        let contents = match (&*contents.arrays, &*contents.attached) {
            ([], []) => Vec::new(),
            // Writing plain data to memory cannot fail.
            _ => serde_json::to_vec(&contents).unwrap_or_default(),
        };
        let head = 16 + 16 * self.entries.len();
        let mut bytes = Vec::with_capacity(
            head + self.trees.len() + contents.len() + ALIGNMENT + self.inline.len(),
        );
        let entries = self.entries.iter().flat_map(|&(index, length)| [index, length]);
        for word in [self.entries.len() as u64, contents.len() as u64].into_iter().chain(entries) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.trees);
        bytes.extend_from_slice(&contents);
        if !self.inline.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
            bytes.extend_from_slice(&self.inline);
        }
        self.given.drain(..).for_each(Placed::hand_over);
        let files = self.files.drain(..).map(|file| file as Arc<dyn AsFd + Send + Sync>).collect();
        let arrays = std::mem::take(&mut self.arrays);
        let (kept, moved) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.moved));
        self.entries.clear();
        self.trees.clear();
        self.inline.clear();
        self.mark = Rollback::default();
        OutgoingMessage { payload: Payload { files, arrays, ..Payload::of(bytes) }, kept, moved }
    }
}

/// An array whose elements are added one by one.
enum OpenSegment {
    No,
    Inline { scalar: Scalar, start: usize },
    Stored(Box<Writing>),
}

impl Packer {
    fn align(&mut self) -> usize {
        self.inline.resize(self.inline.len().next_multiple_of(ALIGNMENT), 0);
        self.inline.len()
    }

    fn refer(
        &mut self,
        layout: &Layout,
        segment: Segment,
        place: ArrayPlace,
        source: Option<&ArraySource>,
    ) -> usize {
        self.references.push(ArrayReference {
            shape: layout.shape().to_vec(),
            strides: layout.strides().to_vec(),
            start: layout.start(),
            segment,
            place,
            source: source.map(|source| SourceRef {
                path: path_bytes(source.path()),
                offset: source.offset(),
                big_endian: source.byte_order().map(|byte_order| byte_order == ByteOrder::Big),
            }),
        });
        self.references.len() - 1
    }

    /// Returns the position of a file among the attached files.
    fn slot(&mut self, file: &Arc<File>) -> usize {
        self.files.iter().position(|known| Arc::ptr_eq(known, file)).unwrap_or_else(|| {
            self.files.push(Arc::clone(file));
            self.files.len() - 1
        })
    }

    fn open(&mut self, file: &Arc<File>, path: &Path) -> ArrayPlace {
        ArrayPlace::File { slot: self.slot(file), path: path_bytes(path) }
    }

    /// Returns the location of a file in the store.
    fn stored(&mut self, placed: &Placed, given: bool) -> Result<ArrayPlace> {
        Ok(match placed.lies()? {
            Lies::At(path) => ArrayPlace::Stored { path: path_bytes(&path), given },
            Lies::In(file, path) => self.open(&file, &path),
        })
    }

    /// Gives a file that was written only for this message.
    fn give(&mut self, placed: Placed) -> Result<ArrayPlace> {
        let place = self.stored(&placed, self.side == Sender::Worker)?;
        match self.side {
            Sender::Parent | Sender::SameProcess | Sender::Remote => {
                self.kept.push(Arc::new(placed))
            }
            Sender::Worker => self.given.push(placed),
        }
        Ok(place)
    }
}

impl Sink for Packer {
    fn begin(&mut self, _: String, scalar: Scalar, expected: Option<usize>) -> Result<()> {
        self.open = match expected {
            Some(nbytes) if nbytes >= self.threshold && self.side != Sender::SameProcess => {
                OpenSegment::Stored(Box::new(self.store.begin(scalar, nbytes)?))
            }
            _ => OpenSegment::Inline { scalar, start: self.align() },
        };
        Ok(())
    }

    fn write(&mut self, elements: &[u8]) -> Result<()> {
        match &mut self.open {
            OpenSegment::Stored(writing) => writing.put(elements),
            OpenSegment::Inline { .. } | OpenSegment::No => {
                self.inline.extend_from_slice(elements);
                Ok(())
            }
        }
    }

    fn end(&mut self, shape: &[usize]) -> Result<usize> {
        match std::mem::replace(&mut self.open, OpenSegment::No) {
            OpenSegment::Stored(writing) => {
                let placed = writing.end(shape)?;
                self.moved.mapped += placed.segment().nbytes;
                let segment = placed.segment().clone();
                let layout = Layout::contiguous(shape, Order::C, segment.dtype.item_size())?;
                let place = self.give(placed)?;
                Ok(self.refer(&layout, segment, place, None))
            }
            OpenSegment::Inline { scalar, start } => {
                let dtype = DType::new(scalar, ByteOrder::NATIVE);
                let layout = Layout::contiguous(shape, Order::C, dtype.item_size())?;
                let nbytes = (self.inline.len() - start) as u64;
                self.moved.copied += nbytes;
                Ok(self.refer(
                    &layout,
                    Segment { dtype, offset: start as u64, nbytes },
                    ArrayPlace::Inline,
                    None,
                ))
            }
            OpenSegment::No => Err(Error::invalid_data("numbers ended that never began")),
        }
    }

    fn array(&mut self, _: String, array: &AnyArray) -> Result<usize> {
        let source = array.source();
        if self.side == Sender::SameProcess {
            self.moved.mapped += array.nbytes() as u64;
            self.arrays.push(array.clone());
            let segment = Segment {
                dtype: array.dtype.clone(),
                offset: 0,
                nbytes: array.memory.bytes().len() as u64,
            };
            let place = ArrayPlace::Here { slot: self.arrays.len() - 1 };
            return Ok(self.refer(&array.layout, segment, place, None));
        }
        if array.nbytes() < self.threshold {
            let start = self.align();
            let order = array.order().unwrap_or(Order::C);
            self.inline.extend_from_slice(&array.bytes_in(order));
            self.moved.copied += array.nbytes() as u64;
            let layout = Layout::contiguous(array.shape(), order, array.dtype.item_size())?;
            let segment = Segment {
                dtype: array.dtype.clone(),
                offset: start as u64,
                nbytes: array.nbytes() as u64,
            };
            return Ok(self.refer(&layout, segment, ArrayPlace::Inline, source));
        }
        self.moved.mapped += array.nbytes() as u64;
        if let Some((map, file, range)) = as_open_file(array.memory.storage()) {
            map.check_unchanged()?;
            let path = map.path();
            let place = self.open(file, path);
            let segment = Segment {
                dtype: array.dtype.clone(),
                offset: range.start as u64,
                nbytes: range.len() as u64,
            };
            return Ok(self.refer(&array.layout, segment, place, source));
        }
        // The bytes of a field are between those of other fields, which are not requested.
        let apart = if array.memory.is_field() { Some(array.to_contiguous()?) } else { None };
        let array = apart.as_ref().unwrap_or(array);
        // An array lent by the parent of this process stays as long as it is lent, also for
        // this process's own workers.
        let lent = array
            .memory
            .placement(self.store.id())
            .and_then(|note| note.downcast::<LentArray>().ok());
        if let Some(lent) = lent.filter(|lent| lent.until.strong_count() > 0) {
            let place = ArrayPlace::Stored { path: path_bytes(&lent.path), given: false };
            return Ok(self.refer(&array.layout, lent.segment.clone(), place, source));
        }
        match self.side {
            Sender::Parent | Sender::SameProcess | Sender::Remote => {
                let placed = self.store.place(array)?;
                let place = self.stored(&placed, false)?;
                let index = self.refer(&array.layout, placed.segment().clone(), place, source);
                self.kept.push(placed);
                Ok(index)
            }
            Sender::Worker => {
                let placed = self.store.write(array)?;
                let segment = placed.segment().clone();
                let order = array.order().unwrap_or(Order::C);
                let layout = Layout::contiguous(array.shape(), order, segment.dtype.item_size())?;
                let place = self.give(placed)?;
                Ok(self.refer(&layout, segment, place, source))
            }
        }
    }

    fn restart(&mut self) -> Result<()> {
        let Rollback { references, inline, files, attached, arrays, kept, given, moved } =
            self.mark;
        self.references.truncate(references);
        self.inline.truncate(inline);
        self.files.truncate(files);
        self.attached.truncate(attached);
        self.arrays.truncate(arrays);
        self.kept.truncate(kept);
        self.given.truncate(given);
        self.moved = moved;
        self.open = OpenSegment::No;
        Ok(())
    }
}

/// Returns the file that can be sent as an open descriptor: one of the user, or a memory file.
fn as_open_file(storage: &Storage) -> Option<(&FileMap, &Arc<File>, &Range<usize>)> {
    match storage {
        Storage::Map { map, range, private } if !private || map.is_sealed() => {
            Some((map, map.file()?, range))
        }
        _ => None,
    }
}
