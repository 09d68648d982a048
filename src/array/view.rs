//! Views stored together with the memory that they borrow from.

use std::sync::Arc;

use ndarray::{ArrayRef, ArrayView, Dimension};

use super::memory::Memory;
use crate::{Result, dtype::Element};

#[cfg(target_os = "linux")]
use {
    super::layout::{Layout, Order, ShortShape},
    crate::{Error, bytes::map::WritableMap},
    ndarray::{ArrayViewMut, IxDyn, RawArrayViewMut, ShapeBuilder, StrideShape},
    std::ops::Range,
};

/// Converts ndarray's strides, which count elements, to bytes.
///
/// Strides of axes with a single element can be any number, so the product
/// wraps around instead of overflowing.
pub(super) fn byte_strides<A>(strides: &[isize]) -> Vec<isize> {
    strides.iter().map(|stride| stride.wrapping_mul(size_of::<A>() as isize)).collect()
}

/// A view together with the memory that it borrows from.
///
/// Invariant: every element of the view is in the bytes of `memory`, or in
/// memory that is never freed.
pub(super) struct OwnedView<A: Element, D> {
    view: ArrayView<'static, A, D>,
    memory: Arc<Memory>,
}

impl<A: Element, D: Dimension> OwnedView<A, D> {
    /// Keeps the view that `make` takes of the bytes of `memory`.
    pub(super) fn new(
        memory: Arc<Memory>,
        make: impl for<'a> FnOnce(&'a [u8]) -> Result<ArrayView<'a, A, D>>,
    ) -> Result<Self> {
        let view = make(memory.bytes())?;
        // SAFETY: `make` works for any lifetime, so its view borrows from the
        // bytes it was given, or from static memory. The bytes are neither
        // changed nor moved while `memory` exists: `Memory` has no method that
        // does so, and moving an `Arc` does not move its content. `memory`
        // exists as long as the view, because it is stored next to it, and no
        // method lends the view for longer than `self` is borrowed.
        let view = unsafe { view.raw_view().deref_into_view::<'static>() };
        Ok(Self { view, memory })
    }

    /// Returns another view of the same memory.
    pub(super) fn derive<E: Dimension>(
        &self,
        make: impl for<'a> FnOnce(ArrayView<'a, A, D>) -> ArrayView<'a, A, E>,
    ) -> OwnedView<A, E> {
        let view = make(self.view.view());
        // SAFETY: as in `new`: the view that `make` returns is part of the one
        // it was given, or of static memory.
        let view = unsafe { view.raw_view().deref_into_view::<'static>() };
        OwnedView { view, memory: Arc::clone(&self.memory) }
    }

    pub(super) fn array(&self) -> &ArrayRef<A, D> {
        &self.view
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Drops the view and returns the memory.
    pub(super) fn into_memory(self) -> Arc<Memory> {
        self.memory
    }
}

impl<A: Element, D: Dimension> Clone for OwnedView<A, D> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone(), memory: Arc::clone(&self.memory) }
    }
}

/// A mutable view together with the map that it borrows from.
///
/// Invariant: every element of the view is in the bytes of `map`, or in memory
/// that is never freed. No other reference to these elements exists.
#[cfg(target_os = "linux")]
pub(crate) struct OwnedViewMut<A: Element, D> {
    view: ArrayViewMut<'static, A, D>,
    map: WritableMap,
}

#[cfg(target_os = "linux")]
impl<A: Element, D: Dimension> OwnedViewMut<A, D> {
    /// Keeps the view that `make` takes of the bytes of `map`.
    pub(crate) fn new(
        mut map: WritableMap,
        make: impl for<'a> FnOnce(&'a mut [u8]) -> Result<ArrayViewMut<'a, A, D>>,
    ) -> Result<Self> {
        let mut view = make(map.bytes())?;
        // SAFETY: `make` works for any lifetime, so its view borrows from the
        // bytes it was given, or from static memory. The bytes are not moved
        // while `map` exists, which is as long as the view. No other reference
        // to them is made: `map` is stored here and its bytes are not borrowed
        // again, and the view is lent only through a borrow of `self`, shared
        // or exclusive like the borrow.
        let view = unsafe { view.raw_view_mut().deref_into_view_mut::<'static>() };
        Ok(Self { view, map })
    }

    /// Makes an array with this shape and memory order of all bytes of `map`.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of elements does not match, the map is
    /// misaligned, or (for `bool`) a byte is neither 0 nor 1.
    pub(crate) fn whole(map: WritableMap, shape: impl Into<StrideShape<D>>) -> Result<Self> {
        let shape = shape.into();
        Self::new(map, |bytes| {
            let elements = match bytes {
                // An empty map need not be aligned.
                [] => Ok(&mut [][..]),
                some => A::cast_mut(some),
            };
            let elements = elements.map_err(|error| {
                Error::invalid_data(format!("cannot view elements for writing: {error:?}"))
            })?;
            ArrayViewMut::from_shape(shape, elements).map_err(|error| {
                Error::invalid_data(format!("cannot view elements for writing: {error}"))
            })
        })
    }

    /// Makes a view of the part of a contiguous array within `range` of `axis`.
    ///
    /// `map` returns the bytes of the array in the range it is called with,
    /// from the first to the last element of the part. Other threads and
    /// processes may access the bytes between its elements. The caller must
    /// ensure that none accesses the elements themselves while the view exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the part is empty or out of bounds, `map` fails or
    /// returns too few bytes, or the array's number of axes is not that of `D`.
    pub(crate) fn of_part(
        shape: &[usize],
        order: Order,
        axis: usize,
        range: Range<usize>,
        map: impl FnOnce(Range<usize>) -> Result<WritableMap>,
    ) -> Result<Self>
    where
        A: bytemuck::Pod,
    {
        let size = size_of::<A>();
        let layout = Layout::contiguous(shape, order, size)?.slice_axis(axis, range)?;
        let unfit = |what: &str| {
            Error::invalid_data(format!("part of shape {}: {what}", ShortShape(layout.shape())))
        };
        if layout.len() == 0 {
            return Err(unfit("has no elements"));
        }
        let dimension = |values: &[usize]| {
            D::from_dimension(&IxDyn(values)).ok_or_else(|| unfit("has other axes than its type"))
        };
        let strides: Vec<_> =
            layout.strides().iter().map(|stride| stride.unsigned_abs() / size).collect();
        let strided = dimension(layout.shape())?.strides(dimension(&strides)?);
        let (low, high) = layout.extent();
        let map = map(low..high)?;
        let (length, at) = map.pointer();
        let at = at.cast::<A>();
        if length < high - low || !at.is_aligned() {
            return Err(unfit("the map is too short or misaligned"));
        }
        // SAFETY: The first element is at `at`, which is aligned. All others
        // are within the extent of the layout, which the map contains. No two
        // indices refer to the same element, because the layout is a slice of a
        // contiguous one and has no negative strides. The bytes exist as long
        // as `map`, which is stored next to the view and lends them to no other
        // code. Any bytes are a valid element (`Pod`). The caller ensures that
        // these elements are not accessed otherwise, and no reference to the
        // bytes between them is made.
        let view = unsafe {
            RawArrayViewMut::from_shape_ptr(strided, at).deref_into_view_mut::<'static>()
        };
        Ok(Self { view, map })
    }

    /// Returns the layout of the view within the bytes of the map.
    ///
    /// The view may be transposed or only a part of the map, because ndarray's
    /// methods can change a mutable view.
    ///
    /// # Errors
    ///
    /// Returns an error if the view was replaced by one of other memory.
    pub(crate) fn layout(&self) -> Result<Layout> {
        let (size, (length, at)) = (size_of::<A>(), self.map.pointer());
        let bytes = if self.view.is_empty() {
            Some(0)
        } else {
            self.view.as_ptr().addr().checked_sub(at.addr())
        };
        let bytes = bytes.ok_or_else(|| {
            Error::invalid_input("the array was replaced by a view of another array")
        })?;
        Layout::strided(
            self.view.shape(),
            &byte_strides::<A>(self.view.strides()),
            bytes,
            length,
            size,
        )
    }

    pub(crate) fn array(&self) -> &ArrayRef<A, D> {
        &self.view
    }

    pub(crate) fn array_mut(&mut self) -> &mut ArrayRef<A, D> {
        &mut self.view
    }
}
