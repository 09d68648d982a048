//! Files of one array that is filled in place.

use std::{
    fs::File,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use ndarray::ShapeBuilder;

use super::{
    atomic::PendingFile,
    interface::{Blank, Finish, cannot_write},
    options::DumpOptions,
    registry::Format,
};
use crate::{
    DType, Error, Result,
    array::{ArraySource, FillTarget, Layout, Memory, Order, SharedArrayMut, Storage},
    bytes::map::FileMap,
    dtype::Element,
};

/// Creates an array of zeros in a file, to be filled in place.
///
/// The extension of `path` decides the format, `.npy` or `.ferry`. The array may be larger
/// than memory. Fill it by slices, or by the tasks of a pool. Then call
/// [`freeze`](SharedArrayMut::freeze), which puts the file at `path`. Until then an
/// existing file at `path` is unchanged. If you drop the array before, nothing remains.
///
/// The array is in native byte order, and `false` for `bool`. For F order, use a shape such
/// as `(rows, columns).f()`. On Linux the space of the file is reserved, so that filling it
/// cannot fail.
///
/// # Examples
///
/// ```
/// use ndferry::ndarray::Axis;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("table.npy");
/// let mut table = ndferry::create::<f64, _>(&path, (1000, 3))?;
/// for mut rows in table.axis_chunks_iter_mut(Axis(0), 100) {
///     rows.column_mut(1).fill(2.0);
/// }
/// assert!(!path.exists());
/// let table = table.freeze()?; // maps the file
/// assert_eq!((table.sum(), path.exists()), (2000.0, true));
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if:
///
/// - the extension is not that of a format that can be filled in place;
/// - the file cannot be created, or there is too little space for it;
/// - the array is too large for the address space.
pub fn create<A: Element, Sh: ShapeBuilder>(
    path: impl AsRef<Path>,
    shape: Sh,
) -> Result<SharedArrayMut<A, Sh::Dim>> {
    DumpOptions::new().create(path, shape)
}

impl DumpOptions {
    /// Creates an array of zeros in a file, like [`create`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("table.ferry");
    /// use ndferry::file::DumpOptions;
    ///
    /// let mut table = DumpOptions::new().checksums(false).create::<f64, _>(&path, (100, 3))?;
    /// table.column_mut(1).fill(2.0);
    /// assert_eq!(table.freeze()?.sum(), 200.0);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if [`create`] does, or if an option is set that filling in place
    /// does not support: compression, a memory order, or a foreign byte order.
    pub fn create<A: Element, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<SharedArrayMut<A, Sh::Dim>> {
        let path = path.as_ref();
        let made = SharedArrayMut::new(shape, |layout, order| {
            let file = UnfinishedFile::new(self, path, DType::of::<A>(), layout, order)?;
            Ok(Box::new(file))
        });
        made.map_err(|error| error.at(path))
    }
}

/// A file whose array is being filled. It has its final size, but not yet its name.
struct UnfinishedFile {
    pending: PendingFile,
    path: PathBuf,
    offset: u64,
    dtype: DType,
    finish: Option<Box<Finish>>,
}

impl UnfinishedFile {
    fn new(
        options: &DumpOptions,
        path: &Path,
        dtype: DType,
        layout: &Layout,
        order: Order,
    ) -> Result<Self> {
        let format = Format::for_filling(path)?;
        format.check_filling(options)?;
        let filler = format.filler().expect("the format was chosen for it");
        let nbytes = layout.len() * dtype.item_size();
        let blank = Blank { dtype: &dtype, shape: layout.shape(), order, nbytes };
        let frame = filler(&blank, path, options)?;

        let pending = PendingFile::new(path)?;
        reserve(pending.file(), frame.offset + nbytes as u64)?;
        pending.file().write_all(&frame.header).map_err(cannot_write)?;
        let (path, offset) = (path.to_path_buf(), frame.offset);
        Ok(Self { pending, path, offset, dtype, finish: frame.finish })
    }
}

impl FillTarget for UnfinishedFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self) -> &File {
        self.pending.file()
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn open(&self) -> Result<Arc<File>> {
        let file = self.file().try_clone().map(Arc::new);
        file.map_err(|error| Error::io("cannot duplicate the descriptor", error).at(&self.path))
    }

    /// Completes the file, and puts it at its path.
    fn freeze(self: Box<Self>, range: Range<usize>) -> Result<Arc<Memory>> {
        let file = self.open()?;
        let Self { pending, path, offset, dtype, finish } = *self;
        let complete = || {
            if let Some(finish) = finish {
                let map = FileMap::of(Arc::clone(&file), path.clone())?;
                let mut start = &*file;
                std::io::Seek::rewind(&mut start).map_err(cannot_write)?;
                finish(&file, &map.as_ref().as_ref()[range.clone()])?;
            }
            pending.publish()
        };
        complete().map_err(|error| error.at(&path))?;
        // Mapped only now, when the file has its final length.
        let map = FileMap::of(file, path.clone())?;
        let source = ArraySource { path, offset, byte_order: dtype.byte_order() };
        Ok(Memory::new(Storage::Map { map, range, private: false }, Some(source), None))
    }
}

/// Sets the length of an empty file, and reserves its space.
#[cfg(all(feature = "store", target_os = "linux"))]
fn reserve(file: &File, nbytes: u64) -> Result<()> {
    use crate::sys::space;

    space::reserve(file, nbytes).map_err(|error| {
        let free = space::free(file).map_or_else(|_| "unknown".to_owned(), |free| free.to_string());
        Error::io(format!("cannot reserve {nbytes} bytes (free: {free})"), error)
    })
}

/// Sets the length of an empty file.
#[cfg(not(all(feature = "store", target_os = "linux")))]
fn reserve(file: &File, nbytes: u64) -> Result<()> {
    file.set_len(nbytes)
        .map_err(|error| Error::io(format!("cannot extend to {nbytes} bytes"), error))
}
