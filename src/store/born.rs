//! Arrays made where they are shared, or where they are kept: filled in the store or in a file, then frozen, and never copied.

use std::{
    fmt,
    fs::File,
    ops::{Deref, DerefMut},
    path::Path,
    sync::Arc,
};

use ndarray::{Array, ArrayRef, Dimension, IntoDimension, ShapeBuilder, indices};

use super::{
    Store,
    share::{Draft, Placed, Segment, Writing, note, open_again},
};
use crate::{
    AnyArray, DType, Error, Result, SharedArray,
    array::Order,
    array::{Layout, Memory, OwnedViewMut, Storage},
    bytes::map::{FileMap, WritableMap},
    dtype::Element,
    file::DumpOptions,
    format::Unfilled,
};

/// An array in a store, or in a file, that is still to be filled: made by [`Store::zeros`] or [`create`], filled in place, [frozen](Self::freeze) into a
/// [`SharedArray`] that lies where it was filled, so that sending it to workers copies nothing.
///
/// It dereferences to [`ndarray::ArrayRef`], mutably, so every method of ndarray that reads or writes elements works on it. It
/// cannot be cloned or sent to a task before it is frozen. Dropping it removes its file.
///
/// ```
/// use ndarray::Axis;
/// use ndferry::{Pool, SharedArray, ndarray::Ix2};
///
/// fn main() -> ndferry::Result<()> {
///     ndferry::init();
///     let pool = Pool::builder().workers(2).threshold(0).build()?;
///     let mut table = pool.store().zeros::<f64, _>((1000, 3))?;
///     table.column_mut(1).fill(2.0);
///     table[(7, 2)] = 1.0;
///     let table = table.freeze()?;
///     let sums = pool.with(&table).map(|table: &SharedArray<f64, Ix2>, j: usize| table.column(j).sum(), 0..3)?;
///     assert_eq!(sums, [0.0, 2000.0, 1.0]);
///     Ok(())
/// }
/// ```
pub struct SharedArrayMut<A: Element, D: Dimension> {
    /// Unmapped before the file goes.
    elements: OwnedViewMut<A, D>,
    place: Place,
    layout: Layout,
}

/// Where an array is filled.
enum Place {
    /// In the store of this id.
    Store { draft: Draft, segment: Segment, store: u64 },
    /// In what will be a file of the user's.
    File(Box<Unfilled>),
}

impl Place {
    fn file(&self) -> &File {
        match self {
            Self::Store { draft, .. } => draft.file(),
            Self::File(unfilled) => unfilled.file(),
        }
    }

    /// The file as one to write to.
    fn open(&self) -> Result<Arc<File>> {
        match self {
            Self::Store { draft, .. } => draft.open(),
            Self::File(unfilled) => {
                let file = unfilled.file().try_clone().map(Arc::new);
                file.map_err(|error| Error::io("cannot open once more", error).at(unfilled.path()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Store { draft, .. } => draft.path(),
            Self::File(unfilled) => unfilled.path(),
        }
    }

    /// Where in the file the array begins.
    fn offset(&self) -> u64 {
        match self {
            Self::Store { segment, .. } => segment.offset,
            Self::File(unfilled) => unfilled.offset(),
        }
    }
}

impl Store {
    /// An array of zeros (`false`, for `bool`) in the store, to be filled and frozen.
    ///
    /// In C order, or in F order where the shape says so: `store.zeros((rows, columns).f())`. Its byte order is the
    /// machine's, whatever that of the store: it is filled where it lies. Its space is reserved, so filling it cannot fail.
    /// Its file is a whole `.ferry` container from the start.
    ///
    /// ```
    /// use ndarray::ShapeBuilder;
    /// use ndferry::store::Store;
    ///
    /// let store = Store::new()?;
    /// let mut counts = store.zeros::<u32, _>((2, 3).f())?;
    /// counts[(1, 2)] += 5;
    /// let counts = counts.freeze()?;
    /// assert_eq!((counts.strides(), counts.sum()), (&[1, 2][..], 5));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where no root has room for it (in a sealed store, the memory), or the shape is beyond what memory can address.
    pub fn zeros<A: Element, Sh: ShapeBuilder>(
        &self,
        shape: Sh,
    ) -> Result<SharedArrayMut<A, Sh::Dim>> {
        SharedArrayMut::new(shape, |layout, order| {
            let (draft, segment) = Writing::blank(self, DType::of::<A>(), layout, order)?;
            Ok(Place::Store { draft, segment, store: self.id() })
        })
    }

    /// An array in the store, each element made from its index by `f`.
    ///
    /// As [`zeros`](Store::zeros) and [`SharedArrayMut::freeze`]; `f` is called in any order.
    ///
    /// ```
    /// use ndferry::store::Store;
    ///
    /// let store = Store::new()?;
    /// let table = store.from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f64)?;
    /// assert_eq!(table[(2, 1)], 21.0);
    /// assert_eq!(store.files()?.len(), 1);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`zeros`](Store::zeros).
    ///
    /// # Panics
    ///
    /// Where `f` does; the file then goes.
    pub fn from_shape_fn<A, Sh, F>(&self, shape: Sh, mut f: F) -> Result<SharedArray<A, Sh::Dim>>
    where
        A: Element,
        Sh: ShapeBuilder,
        F: FnMut(<Sh::Dim as Dimension>::Pattern) -> A,
    {
        let mut array = self.zeros(shape)?;
        // In F order the elements lie as those of the transpose do in C order.
        let turned = array.layout.order() == Some(Order::F);
        let mut shape = array.raw_dim();
        if turned {
            shape.slice_mut().reverse();
        }
        let elements = array.as_slice_memory_order_mut().expect("a new array has no gaps");
        for (index, element) in indices(shape).into_iter().zip(elements) {
            let mut index = index.into_dimension();
            if turned {
                index.slice_mut().reverse();
            }
            *element = f(index.into_pattern());
        }
        array.freeze()
    }
}

/// An array of zeros (`false`, for `bool`) in what will be the file at `path`, a `.npy` or `.ferry` file by its extension: to be filled, by slices or by
/// the tasks of a pool ([`Call::fill_axis_chunks`](crate::pool::Job::fill_axis_chunks)), larger than memory too, and put in place by
/// [`freeze`](SharedArrayMut::freeze). Until then what is at `path` stays as it is. Dropped before, it leaves nothing behind.
///
/// In C order, or in F order where the shape says so: `(rows, columns).f()`. Its byte order is the machine's. Its space is reserved, so
/// filling it cannot fail.
///
/// ```
/// use ndarray::Axis;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("table.npy");
/// let mut table = ndferry::create::<f64, _>(&path, (1000, 3))?;
/// for mut rows in table.axis_chunks_iter_mut(Axis(0), 100) {
///     rows.column_mut(1).fill(2.0);
/// }
/// assert!(!path.exists());
/// let table = table.freeze()?; // a map of the file
/// assert_eq!((table.sum(), path.exists()), (2000.0, true));
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Where the file cannot be made or its space not be reserved, the extension is neither, or the shape is beyond what memory can address.
pub fn create<A: Element, Sh: ShapeBuilder>(
    path: impl AsRef<Path>,
    shape: Sh,
) -> Result<SharedArrayMut<A, Sh::Dim>> {
    DumpOptions::new().create(path, shape)
}

impl DumpOptions {
    /// An array to be filled in what will be the file at `path`, as [`create`].
    ///
    /// # Errors
    ///
    /// As [`create`]; and where a byte order that is not the machine's, a memory order (which the shape says), or compression is asked for.
    pub fn create<A: Element, Sh: ShapeBuilder>(
        &self,
        path: impl AsRef<Path>,
        shape: Sh,
    ) -> Result<SharedArrayMut<A, Sh::Dim>> {
        let path = path.as_ref();
        let made = SharedArrayMut::new(shape, |layout, order| {
            Unfilled::new(self, path, DType::of::<A>(), layout.shape(), order)
                .map(|file| Place::File(Box::new(file)))
        });
        made.map_err(|error| error.at(path))
    }
}

impl<A: Element, D: Dimension> SharedArrayMut<A, D> {
    /// An array of zeros in the place that `make` makes for a layout in a memory order.
    fn new<Sh: ShapeBuilder<Dim = D>>(
        shape: Sh,
        make: impl FnOnce(&Layout, Order) -> Result<Place>,
    ) -> Result<Self> {
        let shape = shape.into_shape_with_order();
        let size = size_of::<A>();
        Layout::contiguous(shape.raw_dim().slice(), Order::C, size)?;
        // Elements without a size: the strides of the shape, and nothing else.
        let plan = Array::<(), _>::uninit(shape);
        let order = Layout::strided(plan.shape(), plan.strides(), 0, plan.len(), 1)?
            .order()
            .unwrap_or(Order::C);
        let layout = Layout::contiguous(plan.shape(), order, size)?;

        let place = make(&layout, order)?;
        let cannot_map = |error| Error::io("cannot map for writing", error).at(place.path());
        let map = WritableMap::of(place.file(), place.offset(), layout.len() * size)
            .map_err(cannot_map)?;
        let elements = OwnedViewMut::whole(map, plan.raw_dim().set_f(order == Order::F))?;
        Ok(Self { elements, place, layout })
    }

    /// The layout it was made with; `None` where it has another one by now.
    pub(super) fn layout(&self) -> Result<Option<&Layout>> {
        let made = &self.layout;
        let now = self.elements.layout()?;
        // Strides that are never stepped along are the same, whatever they are.
        let same = Layout::strided(
            made.shape(),
            made.strides(),
            made.start(),
            made.len() * size_of::<A>(),
            size_of::<A>(),
        )? == now;
        Ok(same.then_some(made))
    }

    /// The file it is being filled in, and where it begins there.
    pub(super) fn place(&self) -> Result<(Arc<File>, u64)> {
        Ok((self.place.open()?, self.place.offset()))
    }

    /// Ends the filling: from here on nobody can change the array, and it can be shared. Nothing is copied. Where its axes were
    /// turned or cut meanwhile, it is frozen as it stands.
    ///
    /// One that was made by [`create`] is completed, read once for its checksum where it is to have one, and put in place: the array given is a map of the
    /// file at its path.
    ///
    /// # Errors
    ///
    /// Where the file cannot be mapped anew or be put in place, or, in a sealed store, not sealed because a process forked from this one has it
    /// mapped for writing. The array is then gone.
    pub fn freeze(self) -> Result<SharedArray<A, D>> {
        // As it stands: its axes may have been turned since it was made.
        let layout = self.layout()?.cloned().map_or_else(|| self.elements.layout(), Ok)?;
        let Self { elements, place, layout: made } = self;
        // The last map through which it could be changed.
        drop(elements);
        let start = place.offset() as usize;
        let range = start..start + made.len() * size_of::<A>();
        let memory =
            |map, private, source| Memory::new(Storage::Map { map, range, private }, source, None);
        let memory = match place {
            Place::Store { draft, segment, store } => {
                let path = draft.path().to_path_buf();
                match draft {
                    // Whoever is sent it gets its memory file.
                    Draft::Memory(file) => memory(FileMap::of(file.seal()?.1, path)?, true, None),
                    Draft::Temp(file) => {
                        let memory = memory(FileMap::of(open_again(&file)?, path)?, true, None);
                        note(&memory, store, Arc::new(Placed::new(file, segment)));
                        memory
                    }
                }
            }
            Place::File(unfilled) => {
                let (map, source) = unfilled.publish()?;
                memory(map, false, Some(source))
            }
        };
        AnyArray::new(memory, DType::of::<A>(), layout)?.to_array()
    }
}

impl<A: Element, D: Dimension> Deref for SharedArrayMut<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        self.elements.array()
    }
}

impl<A: Element, D: Dimension> DerefMut for SharedArrayMut<A, D> {
    fn deref_mut(&mut self) -> &mut ArrayRef<A, D> {
        self.elements.array_mut()
    }
}

impl<A: Element, D: Dimension> fmt::Debug for SharedArrayMut<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
