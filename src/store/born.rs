//! Arrays made where they are shared: filled in the store, then frozen, and never copied.

use std::{
    fmt,
    fs::File,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use ndarray::{Array, ArrayRef, ArrayViewMut, Dimension, IntoDimension, ShapeBuilder, indices};

use super::{
    Store,
    share::{Draft, Placed, Segment, Writing, note, open_again},
};
use crate::{
    AnyArray, DType, Element, Error, Order, Result, SharedArray,
    array::{KeptMut, Layout, Memory, Storage},
    map::{FileMap, WritableMap},
};

/// An array in a store that is still to be filled: made by [`Store::zeros`], filled in place, [frozen](Self::freeze) into a
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
    elements: KeptMut<A, D>,
    draft: Draft,
    segment: Segment,
    layout: Layout,
    store: u64,
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
    /// use ndferry::Store;
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
    pub fn zeros<A: Element, Sh: ShapeBuilder>(&self, shape: Sh) -> Result<SharedArrayMut<A, Sh::Dim>> {
        let shape = shape.into_shape_with_order();
        let size = size_of::<A>();
        Layout::contiguous(shape.raw_dim().slice(), Order::C, size)?;
        // Elements without a size: the strides of the shape, and nothing else.
        let plan = Array::<(), _>::uninit(shape);
        let order = Layout::strided(plan.shape(), plan.strides(), 0, plan.len(), 1)?.order().unwrap_or(Order::C);
        let layout = Layout::contiguous(plan.shape(), order, size)?;

        let (draft, segment) = Writing::blank(self, DType::of::<A>(), &layout, order)?;
        let cannot_map = |error| Error::io("cannot map for writing", error).at(draft.path());
        let map = WritableMap::of(draft.file(), segment.offset, layout.len() * size).map_err(cannot_map)?;
        let elements = KeptMut::new(map, |bytes| {
            let elements = match bytes {
                // No bytes lie at no particular address.
                [] => Ok(&mut [][..]),
                some => A::cast_mut(some),
            };
            let elements = elements.map_err(|error| Error::invalid(format!("new elements: {error:?}")))?;
            ArrayViewMut::from_shape(plan.raw_dim().set_f(order == Order::F), elements)
                .map_err(|error| Error::invalid(format!("a view of new elements: {error}")))
        })?;
        Ok(SharedArrayMut { elements, draft, segment, layout, store: self.id() })
    }

    /// An array in the store, each element made from its index by `f`.
    ///
    /// As [`zeros`](Store::zeros) and [`SharedArrayMut::freeze`]; `f` is called in any order.
    ///
    /// ```
    /// use ndferry::Store;
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

impl<A: Element, D: Dimension> SharedArrayMut<A, D> {
    /// The layout it was made with; `None` where it has another one by now.
    pub(super) fn layout(&self) -> Result<Option<&Layout>> {
        let made = &self.layout;
        let now = self.elements.layout()?;
        // Strides that are never stepped along are the same, whatever they are.
        let same = Layout::strided(made.shape(), made.strides(), made.start(), made.len(), size_of::<A>())? == now;
        Ok(same.then_some(made))
    }

    /// The file it is being filled in, and where it begins there.
    pub(super) fn place(&self) -> Result<(Arc<File>, u64)> {
        Ok((self.draft.open()?, self.segment.offset))
    }

    /// Ends the filling: from here on nobody can change the array, and it can be shared. Nothing is copied. Where its axes were
    /// turned or cut meanwhile, it is frozen as it stands.
    ///
    /// # Errors
    ///
    /// Where the file cannot be mapped anew, or, in a sealed store, not sealed because a process forked from this one has it
    /// mapped for writing. The array is then gone.
    pub fn freeze(self) -> Result<SharedArray<A, D>> {
        // As it stands: its axes may have been turned since it was made.
        let layout = self.layout()?.cloned().map_or_else(|| self.elements.layout(), Ok)?;
        let Self { elements, draft, segment, layout: _, store } = self;
        // The last map through which it could be changed.
        drop(elements);
        let path = draft.path().to_path_buf();
        let (map, placed) = match draft {
            // Whoever is sent it gets its memory file.
            Draft::Memory(file) => (FileMap::of(file.seal()?.1, path)?, None),
            Draft::Temp(file) => (FileMap::of(open_again(&file)?, path)?, Some(Placed::new(file, segment.clone()))),
        };
        let start = segment.offset as usize;
        let range = start..start + segment.nbytes as usize;
        let memory = Memory::new(Storage::Map { map, range, private: true }, None, None);
        if let Some(placed) = placed {
            note(&memory, store, Arc::new(placed));
        }
        AnyArray::new(memory, segment.dtype, layout)?.to_array()
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
