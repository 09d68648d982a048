//! Arrays in the store: written once, referred to ever after.

use std::{io::BufWriter, path::Path, sync::Arc};

use super::{Store, TempFile};
use crate::{
    AnyArray, DType, DumpOptions, Error, Order, Result, Scalar,
    array::{Layout, Memory, Note},
    codec::{self, Sink},
    format::{Container, Target},
};

/// Bytes a container needs beside its one segment: prelude, padding, tree, header.
const AROUND: u64 = 16 << 10;

/// Where in the store an array lies. The file goes when the last handle to this does.
pub(crate) struct Placed {
    file: TempFile,
    segment: Segment,
}

/// The bytes of one array inside a file.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Segment {
    pub(crate) dtype: DType,
    pub(crate) offset: u64,
    pub(crate) nbytes: u64,
}

impl Placed {
    /// A file of this session that holds `segment`.
    pub(crate) fn new(file: TempFile, segment: Segment) -> Self {
        Self { file, segment }
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Gives up the file to whoever is told of it next.
    pub(crate) fn hand_over(self) {
        self.file.hand_over();
    }
}

impl Store {
    /// Where the memory that `array` stands on lies in this store: written at the first call, known ever after, for as long
    /// as the memory lives. Views of one memory share one place.
    pub(crate) fn place(&self, array: &AnyArray) -> Result<Arc<Placed>> {
        let placed = array.memory.place(
            self.id(),
            |_| true,
            || Ok::<_, Error>(Arc::new(self.write(&on_whole_memory(array)?)?)),
        )?;
        Ok(placed.downcast().expect("a store notes places of its own kind"))
    }

    /// Writes an array into a file of its own.
    pub(crate) fn write(&self, array: &AnyArray) -> Result<Placed> {
        let mut writing = Writing::new(self, array.nbytes())?;
        writing.container.array(String::new(), array)?;
        writing.finish(array.shape())
    }

    /// Begins a file for numbers that come one after another.
    pub(crate) fn begin(&self, scalar: Scalar, nbytes: usize) -> Result<Writing> {
        let mut writing = Writing::new(self, nbytes)?;
        writing.container.begin(scalar, Some(nbytes))?;
        Ok(writing)
    }
}

/// A file of the store that is being written.
pub(crate) struct Writing {
    file: TempFile,
    container: Container<BufWriter<std::fs::File>>,
}

impl Writing {
    fn new(store: &Store, nbytes: usize) -> Result<Self> {
        let file = store.create(nbytes as u64 + AROUND)?;
        let open = file.file().try_clone().map_err(|error| Error::io("cannot use", error).at(file.path()))?;
        let options = DumpOptions::new().byte_order(store.byte_order()).checksums(false);
        let container = Container::new(BufWriter::with_capacity(64 << 10, open), Target::Store(file.path()), options)
            .map_err(|error| error.at(file.path()))?;
        Ok(Self { file, container })
    }

    /// More numbers, in native byte order.
    pub(crate) fn put(&mut self, elements: &[u8]) -> Result<()> {
        self.container.write(elements).map_err(|error| error.at(self.file.path()))
    }

    /// Ends numbers that came one after another.
    pub(crate) fn end(mut self, shape: &[usize]) -> Result<Placed> {
        self.container.end(String::new(), shape)?;
        self.finish(shape)
    }

    fn finish(self, shape: &[usize]) -> Result<Placed> {
        let Self { file, container } = self;
        let (dtype, offset, nbytes) = container.only_segment();
        let segment = Segment { dtype: dtype.parse()?, offset, nbytes };
        let written = codec::tree_of(shape).and_then(|tree| container.finish(&tree));
        written.map_err(|error| error.at(file.path()))?;
        Ok(Placed { file, segment })
    }
}

/// The array whose elements are all that the memory of `array` holds.
fn on_whole_memory(array: &AnyArray) -> Result<AnyArray> {
    let size = array.dtype.item_size();
    let available = array.memory.bytes().len() / size;
    if array.len() == available && array.order().is_some() {
        return Ok(array.clone());
    }
    let layout = Layout::contiguous(&[available], Order::C, size)?;
    AnyArray::new(Arc::clone(&array.memory), array.dtype.clone(), layout)
}

/// Notes on a memory that `owner` knows it from elsewhere.
pub(crate) fn note(memory: &Memory, owner: u64, note: Note) {
    let noted: Result<_, std::convert::Infallible> = memory.place(owner, |_| false, || Ok(note));
    drop(noted);
}
