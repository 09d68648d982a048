//! Arrays that are filled in the file in which they remain.

use std::{
    fmt,
    fs::File,
    ops::{Deref, DerefMut, Range},
    path::Path,
    sync::Arc,
};

use ndarray::{Array, ArrayRef, Dimension, ShapeBuilder};

use super::{AnyArray, Layout, Memory, Order, SharedArray, cast::KeptMut};
use crate::{DType, Error, Result, bytes::map::WritableMap, dtype::Element};

/// The file in which an array is filled. Dropping it removes the file.
pub(crate) trait FillTarget: Send + Sync {
    /// Returns the path of the file, for messages.
    fn path(&self) -> &Path;

    fn file(&self) -> &File;

    /// Returns the offset of the array in the file.
    fn offset(&self) -> u64;

    /// Returns a descriptor through which other processes can fill the array.
    fn open(&self) -> Result<Arc<File>>;

    /// Completes the file. The array is stored in `range` of it.
    fn freeze(self: Box<Self>, range: Range<usize>) -> Result<Arc<Memory>>;
}

/// An array that you can fill before it is shared.
///
/// [`create`](crate::create) makes one in a new file, and `Store::zeros` in a store. Fill
/// it in place, then [`freeze`](Self::freeze) it into a [`SharedArray`], which uses the
/// same file. Nothing is copied, not even when the array is sent to workers.
///
/// It dereferences to [`ndarray::ArrayRef`], mutably, so that all methods of ndarray that
/// read or write elements work. It cannot be cloned or sent to a task. Dropping it removes
/// its file.
///
/// If the elements are already in memory, use [`SharedArray::from`].
///
/// # Examples
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("table.npy");
/// let mut table = ndferry::create::<f64, _>(&path, (1000, 3))?;
/// table.column_mut(1).fill(2.0);
/// table[(7, 2)] = 1.0;
/// let table = table.freeze()?;
/// assert_eq!(table.sum(), 2001.0);
/// # Ok::<(), ndferry::Error>(())
/// ```
pub struct SharedArrayMut<A: Element, D: Dimension> {
    /// Declared before the target, because it must be unmapped first.
    elements: KeptMut<A, D>,
    target: Box<dyn FillTarget>,
    layout: Layout,
}

impl<A: Element, D: Dimension> SharedArrayMut<A, D> {
    /// Creates an array of zeros in the file that `make` creates for its layout.
    pub(crate) fn new<Sh: ShapeBuilder<Dim = D>>(
        shape: Sh,
        make: impl FnOnce(&Layout, Order) -> Result<Box<dyn FillTarget>>,
    ) -> Result<Self> {
        let shape = shape.into_shape_with_order();
        let size = size_of::<A>();
        Layout::contiguous(shape.raw_dim().slice(), Order::C, size)?;
        // Elements without a size take no memory, but have the strides of the shape.
        let plan = Array::<(), _>::uninit(shape);
        let order = Layout::strided(plan.shape(), plan.strides(), 0, plan.len(), 1)?
            .order()
            .unwrap_or(Order::C);
        let layout = Layout::contiguous(plan.shape(), order, size)?;

        let target = make(&layout, order)?;
        let map = WritableMap::of(target.file(), target.offset(), layout.len() * size)
            .map_err(|error| Error::io("cannot map for writing", error).at(target.path()))?;
        let elements = KeptMut::whole(map, plan.raw_dim().set_f(order == Order::F))?;
        Ok(Self { elements, target, layout })
    }

    /// Returns the layout with which the array was made, or `None` if its axes were
    /// permuted or sliced since.
    pub(crate) fn original_layout(&self) -> Result<Option<&Layout>> {
        let made = &self.layout;
        let current = self.elements.layout()?;
        // This makes the strides of axes without steps comparable.
        let nbytes = made.len() * size_of::<A>();
        let normalized =
            Layout::strided(made.shape(), made.strides(), made.start(), nbytes, size_of::<A>())?;
        Ok((normalized == current).then_some(made))
    }

    /// Returns the file in which the array is filled, and its offset there.
    pub(crate) fn location(&self) -> Result<(Arc<File>, u64)> {
        Ok((self.target.open()?, self.target.offset()))
    }

    /// Returns the array as a shared one, which cannot be changed any more.
    ///
    /// Nothing is copied. If its axes were permuted or sliced, they remain so. For an array
    /// made by [`create`](crate::create), this completes the file and puts it at its path.
    /// If the file records a checksum, the array is read once.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.npy");
    /// let mut array = ndferry::create::<u32, _>(&path, 3)?;
    /// array[1] = 7;
    /// assert_eq!(array.freeze()?.to_vec(), [0, 7, 0]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error, and removes the array, if:
    ///
    /// - the file cannot be completed or mapped;
    /// - a memory file of a store cannot be sealed, because a forked process has it
    ///   mapped for writing.
    pub fn freeze(self) -> Result<SharedArray<A, D>> {
        let layout = self.original_layout()?.cloned().map_or_else(|| self.elements.layout(), Ok)?;
        let Self { elements, target, layout: made } = self;
        // This is the last map through which the array could be changed.
        drop(elements);
        let start = target.offset() as usize;
        let memory = target.freeze(start..start + made.len() * size_of::<A>())?;
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
