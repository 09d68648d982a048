//! Arrays in the store, which are written once and then sent by reference.

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

/// Upper bound of the bytes of a container besides its one segment: prelude, padding, tree and
/// header.
const AROUND: u64 = 16 << 10;

/// The location of an array in the store. The file is removed with the last handle.
pub(crate) struct Placed {
    file: Whole,
    segment: Segment,
}

/// The bytes of one array in a file.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Segment {
    pub(crate) dtype: DType,
    pub(crate) offset: u64,
    pub(crate) nbytes: u64,
}

/// How another process finds an array in the store.
pub(crate) enum Lies {
    /// By the path of a temporary file.
    At(PathBuf),
    /// By an open memory file. The path is for messages.
    In(Arc<File>, PathBuf),
}

/// A file of the store with a complete container.
enum Whole {
    Temp(TempFile),
    Sealed(SealedFile),
}

/// A file of the store whose container is not complete.
pub(super) enum Draft {
    Temp(TempFile),
    Memory(MemoryFile),
}

impl Placed {
    /// Returns the location of a temporary file of this session.
    pub(crate) fn new(file: TempFile, segment: Segment) -> Self {
        Self { file: Whole::Temp(file), segment }
    }

    pub(crate) fn path(&self) -> &Path {
        match &self.file {
            Whole::Temp(file) => file.path(),
            Whole::Sealed(file) => file.path(),
        }
    }

    /// Returns how another process finds the array.
    ///
    /// # Errors
    ///
    /// Returns an error if the store was dropped.
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

    /// Leaves the file to its next receiver. The receiver of a memory file owns it anyway.
    pub(crate) fn hand_over(self) {
        match self.file {
            Whole::Temp(file) => drop(file.hand_over()),
            Whole::Sealed(_) => {}
        }
    }
}

impl Draft {
    /// Creates a file with `nbytes` reserved bytes.
    fn new(store: &Store, nbytes: u64) -> Result<Self> {
        if store.is_memfd() {
            store.0.memory().create(nbytes).map(Self::Memory)
        } else {
            store.create(nbytes).map(Self::Temp)
        }
    }

    /// Creates a file of about `nbytes` bytes with `write`, without reserving space. If a root
    /// is full, `write` starts again in another one.
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

    /// Opens the file for writing.
    pub(super) fn open(&self) -> Result<Arc<File>> {
        match self {
            Self::Temp(file) => open_again(file).map(Arc::new),
            Self::Memory(file) => Ok(Arc::clone(file.file())),
        }
    }

    /// Completes the file.
    fn finish(self) -> Result<Whole> {
        Ok(match self {
            Self::Temp(file) => Whole::Temp(file),
            Self::Memory(file) => Whole::Sealed(file.seal()?.0),
        })
    }
}

impl Store {
    /// Returns where the memory of `array` is stored in this store. The first call writes it,
    /// and the location is known as long as the memory lives. Views of one memory share it.
    pub(crate) fn place(&self, array: &AnyArray) -> Result<Arc<Placed>> {
        let placed = array.memory.placement_or_make(
            self.id(),
            // A location lent by another process must not be relied on.
            |note| note.is::<Placed>(),
            || Ok::<_, Error>(Arc::new(self.write(&on_whole_memory(array)?)?)),
        )?;
        Ok(placed.downcast().expect("a store notes places of its own kind"))
    }

    /// Writes an array into its own file.
    pub(crate) fn write(&self, array: &AnyArray) -> Result<Placed> {
        let (draft, segment) =
            Draft::written(self, array.nbytes() as u64 + AROUND, |file, path| {
                let mut container = self.container(file, path)?;
                container.array(String::new(), array)?;
                finish(container, array.shape()).map(|(segment, _)| segment)
            })?;
        Ok(Placed { file: draft.finish()?, segment })
    }

    /// Creates a file for numbers that arrive one after another.
    pub(crate) fn begin(&self, scalar: Scalar, nbytes: usize) -> Result<Writing> {
        let mut writing = Writing::new(self, nbytes)?;
        writing.container.begin(String::new(), scalar, Some(nbytes))?;
        Ok(writing)
    }

    /// Starts a container for one array in an empty file.
    fn container<F: Write + Seek>(&self, file: F, path: &Path) -> Result<Container<BufWriter<F>>> {
        let options = DumpOptions::new().byte_order(self.byte_order()).checksums(false);
        Container::new(BufWriter::with_capacity(64 << 10, file), Target::Store(path), options)
    }
}

/// Completes a container. Returns the location of its array, and the length of the file.
fn finish<W: Write + Seek>(container: Container<W>, shape: &[usize]) -> Result<(Segment, u64)> {
    let (dtype, offset, nbytes) = container.only_segment();
    let segment = Segment { dtype: dtype.clone(), offset, nbytes };
    Ok((segment, container.finish(&codec::tree_of(shape)?)?))
}

/// A file of the store that is being written. Its space is reserved, because the numbers cannot
/// be written again to another root.
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

    /// Creates a container with an array of zeros, to be filled.
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

    /// Appends numbers in native byte order.
    pub(crate) fn put(&mut self, elements: &[u8]) -> Result<()> {
        self.container.write(elements).map_err(|error| error.at(self.draft.path()))
    }

    /// Completes the array.
    pub(crate) fn end(mut self, shape: &[usize]) -> Result<Placed> {
        self.container.end(shape)?;
        self.finish(shape)
    }

    fn finish(self, shape: &[usize]) -> Result<Placed> {
        let (draft, segment) = self.complete(shape)?;
        Ok(Placed { file: draft.finish()?, segment })
    }

    /// Writes the end of the container, and frees unused space.
    fn complete(self, shape: &[usize]) -> Result<(Draft, Segment)> {
        let Self { draft, container } = self;
        let ended = finish(container, shape).and_then(|(segment, length)| {
            // The reservation was an upper bound.
            let cut = draft.file().set_len(length);
            cut.map_err(|error| Error::io("cannot set the length", error)).map(|()| segment)
        });
        let segment = ended.map_err(|error| error.at(draft.path()))?;
        Ok((draft, segment))
    }
}

/// Returns a new descriptor of the file.
pub(super) fn open_again(file: &TempFile) -> Result<File> {
    file.file()
        .try_clone()
        .map_err(|error| Error::io("cannot open once more", error).at(file.path()))
}

/// Returns the array of all elements in the memory of `array`.
fn on_whole_memory(array: &AnyArray) -> Result<AnyArray> {
    let (size, found) = (array.dtype.item_size(), array.memory.bytes().len());
    if array.nbytes() == found && array.order().is_some() {
        return Ok(array.clone());
    }
    let layout = Layout::contiguous(&[array.dtype.fitting(found)], Order::C, size)?;
    AnyArray::new(Arc::clone(&array.memory), array.dtype.clone(), layout)
}

/// Records where a memory is stored for `owner`.
pub(crate) fn note(memory: &Memory, owner: u64, note: PlacementNote) {
    let noted: Result<_, std::convert::Infallible> =
        memory.placement_or_make(owner, |_| false, || Ok(note));
    drop(noted);
}
