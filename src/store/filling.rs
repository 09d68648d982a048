//! Arrays that are filled in the store.

use std::{fs::File, ops::Range, path::Path, sync::Arc};

use ndarray::{Dimension, IntoDimension, ShapeBuilder, indices};

use super::{
    Store,
    share::{Draft, Placed, Segment, Writing, note, open_again},
};
use crate::{
    DType, Result, SharedArray,
    array::{FillTarget, Memory, Order, SharedArrayMut, Storage},
    bytes::map::FileMap,
    dtype::Element,
};

/// A file of a store in which an array is filled.
struct StoreTarget {
    draft: Draft,
    segment: Segment,
    /// The id of the store.
    store: u64,
}

impl FillTarget for StoreTarget {
    fn path(&self) -> &Path {
        self.draft.path()
    }

    fn file(&self) -> &File {
        self.draft.file()
    }

    fn offset(&self) -> u64 {
        self.segment.offset
    }

    fn open(&self) -> Result<Arc<File>> {
        self.draft.open()
    }

    fn freeze(self: Box<Self>, range: Range<usize>) -> Result<Arc<Memory>> {
        let path = self.draft.path().to_path_buf();
        let memory = |map| Memory::new(Storage::Map { map, range, private: true }, None, None);
        Ok(match self.draft {
            // Other processes get the memory file itself, so the store needs no note of it.
            Draft::Memory(file) => memory(FileMap::of(file.seal()?.1, path)?),
            Draft::Temp(file) => {
                let memory = memory(FileMap::of(open_again(&file)?, path)?);
                note(&memory, self.store, Arc::new(Placed::new(file, self.segment)));
                memory
            }
        })
    }
}

impl Store {
    /// Creates an array of zeros in the store, to be filled and frozen.
    ///
    /// The array is in native byte order, and `false` for `bool`. For F order, use a shape
    /// such as `(rows, columns).f()`. Its space is reserved, so that filling it cannot
    /// fail. If each element depends only on its index, use
    /// [`from_shape_fn`](Self::from_shape_fn).
    ///
    /// # Examples
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
    /// Returns an error if the array is too large for the store or for the address space.
    pub fn zeros<A: Element, Sh: ShapeBuilder>(
        &self,
        shape: Sh,
    ) -> Result<SharedArrayMut<A, Sh::Dim>> {
        SharedArrayMut::new(shape, |layout, order| {
            let (draft, segment) = Writing::blank(self, DType::of::<A>(), layout, order)?;
            Ok(Box::new(StoreTarget { draft, segment, store: self.id() }))
        })
    }

    /// Creates an array in the store, with each element made from its index by `f`.
    ///
    /// `f` is called in any order.
    ///
    /// # Examples
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
    /// Returns an error if [`zeros`](Store::zeros) or [`SharedArrayMut::freeze`] does.
    ///
    /// # Panics
    ///
    /// Panics if `f` does. The file is then removed.
    pub fn from_shape_fn<A, Sh, F>(&self, shape: Sh, mut f: F) -> Result<SharedArray<A, Sh::Dim>>
    where
        A: Element,
        Sh: ShapeBuilder,
        F: FnMut(<Sh::Dim as Dimension>::Pattern) -> A,
    {
        let mut array = self.zeros(shape)?;
        // An array in F order has the elements of its transpose in C order.
        let is_transposed =
            array.original_layout()?.is_some_and(|layout| layout.order() == Some(Order::F));
        let mut shape = array.raw_dim();
        if is_transposed {
            shape.slice_mut().reverse();
        }
        let elements = array.as_slice_memory_order_mut().expect("a new array has no gaps");
        for (index, element) in indices(shape).into_iter().zip(elements) {
            let mut index = index.into_dimension();
            if is_transposed {
                index.slice_mut().reverse();
            }
            *element = f(index.into_pattern());
        }
        array.freeze()
    }
}
