//! Arrays in the store: written once, referred to ever after.

use std::{
    fs::File,
    io::{BufWriter, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Store, TempFile,
    sealed::{MemoryFile, SealedFile},
};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    array::{Layout, Memory, PlacementNote},
    codec::{self, Sink},
    dtype::Scalar,
    file::DumpOptions,
    format::{Container, Target},
};

/// Bytes a container needs beside its one segment: prelude, padding, tree, header.
const AROUND: u64 = 16 << 10;

/// Where in the store an array lies. The file goes when the last handle to this does.
pub(crate) struct Placed {
    file: Whole,
    segment: Segment,
}

/// The bytes of one array inside a file.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Segment {
    pub(crate) dtype: DType,
    pub(crate) offset: u64,
    pub(crate) nbytes: u64,
}

/// How another process gets at an array in the store.
pub(crate) enum Lies {
    /// By the path of a temp file.
    At(PathBuf),
    /// By the open memory file, known to people as this path.
    In(Arc<File>, PathBuf),
}

/// A file of the store that holds a whole container.
enum Whole {
    Temp(TempFile),
    Sealed(SealedFile),
}

/// A file of the store that does not yet.
pub(super) enum Draft {
    Temp(TempFile),
    Memory(MemoryFile),
}

impl Placed {
    /// A temp file of this session that holds `segment`.
    pub(crate) fn new(file: TempFile, segment: Segment) -> Self {
        Self { file: Whole::Temp(file), segment }
    }

    pub(crate) fn path(&self) -> &Path {
        match &self.file {
            Whole::Temp(file) => file.path(),
            Whole::Sealed(file) => file.path(),
        }
    }

    /// How another process gets at it.
    ///
    /// # Errors
    ///
    /// Where the store has gone.
    pub(crate) fn lies(&self) -> Result<Lies> {
        let path = self.path().to_path_buf();
        Ok(match &self.file {
            Whole::Temp(_) => Lies::At(path),
            Whole::Sealed(file) => Lies::In(file.file()?, path),
        })
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Gives up the file to whoever is told of it next. One that is memory is its receiver's by itself.
    pub(crate) fn hand_over(self) {
        match self.file {
            Whole::Temp(file) => drop(file.hand_over()),
            Whole::Sealed(_) => {}
        }
    }
}

impl Draft {
    /// An empty place for `nbytes` bytes, all of them reserved.
    fn new(store: &Store, nbytes: u64) -> Result<Self> {
        if store.is_memfd() {
            store.0.memory().create(nbytes).map(Self::Memory)
        } else {
            store.create(nbytes).map(Self::Temp)
        }
    }

    /// A place for about `nbytes` bytes that `write` has written, nothing of it reserved. Where there is no room after all,
    /// `write` does it again in another place.
    fn written<T>(
        store: &Store,
        nbytes: u64,
        mut write: impl FnMut(&File, &Path) -> Result<T>,
    ) -> Result<(Self, T)> {
        if store.is_memfd() {
            let (file, written) =
                store.0.memory().fill(nbytes, |file| write(file.file(), file.path()))?;
            Ok((Self::Memory(file), written))
        } else {
            let (file, written) = store.0.fill(nbytes, |file| write(file.file(), file.path()))?;
            Ok((Self::Temp(file), written))
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temp(file) => file.path(),
            Self::Memory(file) => file.path(),
        }
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Temp(file) => file.file(),
            Self::Memory(file) => file.file(),
        }
    }

    /// The file as one to write to.
    pub(super) fn open(&self) -> Result<Arc<File>> {
        match self {
            Self::Temp(file) => open_again(file).map(Arc::new),
            Self::Memory(file) => Ok(Arc::clone(file.file())),
        }
    }

    /// The file is written.
    fn finish(self) -> Result<Whole> {
        Ok(match self {
            Self::Temp(file) => Whole::Temp(file),
            Self::Memory(file) => Whole::Sealed(file.seal()?.0),
        })
    }
}

impl Store {
    /// Where the memory that `array` stands on lies in this store: written at the first call, known ever after, for as long
    /// as the memory lives. Views of one memory share one place.
    pub(crate) fn place(&self, array: &AnyArray) -> Result<Arc<Placed>> {
        let placed = array.memory.placement_or_make(
            self.id(),
            // What somebody else had lent to this process is nothing to rely on.
            |note| note.is::<Placed>(),
            || Ok::<_, Error>(Arc::new(self.write(&on_whole_memory(array)?)?)),
        )?;
        Ok(placed.downcast().expect("a store notes places of its own kind"))
    }

    /// Writes an array into a file of its own.
    pub(crate) fn write(&self, array: &AnyArray) -> Result<Placed> {
        let (draft, segment) =
            Draft::written(self, array.nbytes() as u64 + AROUND, |file, path| {
                let mut container = self.container(file, path)?;
                container.array(String::new(), array)?;
                finish(container, array.shape()).map(|(segment, _)| segment)
            })?;
        Ok(Placed { file: draft.finish()?, segment })
    }

    /// Begins a file for numbers that come one after another.
    pub(crate) fn begin(&self, scalar: Scalar, nbytes: usize) -> Result<Writing> {
        let mut writing = Writing::new(self, nbytes)?;
        writing.container.begin(String::new(), scalar, Some(nbytes))?;
        Ok(writing)
    }

    /// A container in `file`, which is empty, for one array.
    fn container<F: Write + Seek>(&self, file: F, path: &Path) -> Result<Container<BufWriter<F>>> {
        let options = DumpOptions::new().byte_order(self.byte_order()).checksums(false);
        Container::new(BufWriter::with_capacity(64 << 10, file), Target::Store(path), options)
    }
}

/// Ends a container: where its one array lies, and how long the file is.
fn finish<W: Write + Seek>(container: Container<W>, shape: &[usize]) -> Result<(Segment, u64)> {
    let (dtype, offset, nbytes) = container.only_segment();
    let segment = Segment { dtype: dtype.clone(), offset, nbytes };
    Ok((segment, container.finish(&codec::tree_of(shape)?)?))
}

/// A file of the store that is being written, its space reserved: what comes one after another cannot come again for
/// another root.
pub(crate) struct Writing {
    draft: Draft,
    container: Container<BufWriter<Arc<File>>>,
}

impl Writing {
    fn new(store: &Store, nbytes: usize) -> Result<Self> {
        let draft = Draft::new(store, nbytes as u64 + AROUND)?;
        let container =
            store.container(draft.open()?, draft.path()).map_err(|error| error.at(draft.path()))?;
        Ok(Self { draft, container })
    }

    /// A whole container whose elements are still to be filled in: zeros.
    pub(super) fn blank(
        store: &Store,
        dtype: DType,
        layout: &Layout,
        order: Order,
    ) -> Result<(Draft, Segment)> {
        let nbytes = layout.len() * dtype.item_size();
        let mut writing = Self::new(store, nbytes)?;
        let container = &mut writing.container;
        let blank = container
            .begin_blank(dtype, nbytes)
            .and_then(|_| container.end_blank(&[], layout.shape(), order));
        blank.map_err(|error| error.at(writing.draft.path()))?;
        writing.complete(layout.shape())
    }

    /// More numbers, in native byte order.
    pub(crate) fn put(&mut self, elements: &[u8]) -> Result<()> {
        self.container.write(elements).map_err(|error| error.at(self.draft.path()))
    }

    /// Ends numbers that came one after another.
    pub(crate) fn end(mut self, shape: &[usize]) -> Result<Placed> {
        self.container.end(shape)?;
        self.finish(shape)
    }

    fn finish(self, shape: &[usize]) -> Result<Placed> {
        let (draft, segment) = self.complete(shape)?;
        Ok(Placed { file: draft.finish()?, segment })
    }

    /// Writes what comes after the segment, and lets go of what was reserved and not needed.
    fn complete(self, shape: &[usize]) -> Result<(Draft, Segment)> {
        let Self { draft, container } = self;
        let ended = finish(container, shape).and_then(|(segment, length)| {
            // More was reserved than was needed.
            let cut = draft.file().set_len(length);
            cut.map_err(|error| Error::io("cannot set the length", error)).map(|()| segment)
        });
        let segment = ended.map_err(|error| error.at(draft.path()))?;
        Ok((draft, segment))
    }
}

/// A descriptor of its own.
pub(super) fn open_again(file: &TempFile) -> Result<File> {
    file.file()
        .try_clone()
        .map_err(|error| Error::io("cannot open once more", error).at(file.path()))
}

/// The array whose elements are all that the memory of `array` holds.
fn on_whole_memory(array: &AnyArray) -> Result<AnyArray> {
    let (size, found) = (array.dtype.item_size(), array.memory.bytes().len());
    if array.nbytes() == found && array.order().is_some() {
        return Ok(array.clone());
    }
    let layout = Layout::contiguous(&[array.dtype.fitting(found)], Order::C, size)?;
    AnyArray::new(Arc::clone(&array.memory), array.dtype.clone(), layout)
}

/// Notes on a memory that `owner` knows it from elsewhere.
pub(crate) fn note(memory: &Memory, owner: u64, note: PlacementNote) {
    let noted: Result<_, std::convert::Infallible> =
        memory.placement_or_make(owner, |_| false, || Ok(note));
    drop(noted);
}
