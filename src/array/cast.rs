//! Casts the compiler cannot check: a view kept beside the memory it looks at, and a value whose type was found out.

use std::{any::TypeId, mem::ManuallyDrop, sync::Arc};

use ndarray::{ArrayRef, ArrayView, Dimension};

#[cfg(target_os = "linux")]
use {
    super::{Layout, Order, Short},
    crate::{Error, bytes::map::WritableMap},
    ndarray::{ArrayViewMut, IxDyn, RawArrayViewMut, ShapeBuilder, StrideShape},
    std::ops::Range,
};

use crate::{Result, array::Memory, dtype::Element};

/// A view together with the memory it looks at.
///
/// Invariant: every element the view reaches lies in the bytes of `memory`, or in memory that is never freed.
pub(super) struct Kept<A: Element, D> {
    view: ArrayView<'static, A, D>,
    memory: Arc<Memory>,
}

impl<A: Element, D: Dimension> Kept<A, D> {
    /// Keeps the view that `make` takes of the bytes of `memory`.
    pub(super) fn new(
        memory: Arc<Memory>,
        make: impl for<'a> FnOnce(&'a [u8]) -> Result<ArrayView<'a, A, D>>,
    ) -> Result<Self> {
        let view = make(memory.bytes())?;
        // SAFETY: `make` works for any lifetime, so what it returns borrows from the bytes it was given, or lives for
        // ever. The bytes stay put and unchanged while `memory` lives (`Memory` has no method that changes or moves them,
        // and an `Arc` moved around does not move what it points to), and `memory` lives as long as the view: it is
        // stored beside it, and no method hands the view out for longer than `self` is borrowed.
        let view = unsafe { view.raw_view().deref_into_view::<'static>() };
        Ok(Self { view, memory })
    }

    /// Another view of the same memory.
    pub(super) fn derive<E: Dimension>(
        &self,
        make: impl for<'a> FnOnce(ArrayView<'a, A, D>) -> ArrayView<'a, A, E>,
    ) -> Kept<A, E> {
        let view = make(self.view.view());
        // SAFETY: as in `new`: `make` can only return what lies in the view it was given, or lives for ever.
        let view = unsafe { view.raw_view().deref_into_view::<'static>() };
        Kept { view, memory: Arc::clone(&self.memory) }
    }

    pub(super) fn array(&self) -> &ArrayRef<A, D> {
        &self.view
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Gives up the view.
    pub(super) fn into_memory(self) -> Arc<Memory> {
        self.memory
    }
}

impl<A: Element, D: Dimension> Clone for Kept<A, D> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone(), memory: Arc::clone(&self.memory) }
    }
}

/// A view for writing together with the map it looks at.
///
/// Invariant: every element the view reaches lies in the bytes of `map`, or in memory that is never freed; nothing else
/// looks at those bytes while this lives.
#[cfg(target_os = "linux")]
pub(crate) struct KeptMut<A: Element, D> {
    view: ArrayViewMut<'static, A, D>,
    map: WritableMap,
}

#[cfg(target_os = "linux")]
impl<A: Element, D: Dimension> KeptMut<A, D> {
    /// Keeps the view that `make` takes of the bytes of `map`.
    pub(crate) fn new(
        mut map: WritableMap,
        make: impl for<'a> FnOnce(&'a mut [u8]) -> Result<ArrayViewMut<'a, A, D>>,
    ) -> Result<Self> {
        let mut view = make(map.bytes())?;
        // SAFETY: `make` works for any lifetime, so what it returns borrows from the bytes it was given, or lives for
        // ever. The bytes stay put while `map` lives, which is as long as the view, and nobody else gets at them: `map` is
        // stored here and never touched again, and the view is lent for no longer than `self` is borrowed, and in the same
        // way.
        let view = unsafe { view.raw_view_mut().deref_into_view_mut::<'static>() };
        Ok(Self { view, map })
    }

    /// All of `map` as an array of this shape and memory order.
    ///
    /// # Errors
    ///
    /// Where there are not as many elements, they lie at no element's address, or (for `bool`) some byte is no value.
    pub(crate) fn whole(map: WritableMap, shape: impl Into<StrideShape<D>>) -> Result<Self> {
        let shape = shape.into();
        Self::new(map, |bytes| {
            let elements = match bytes {
                // No bytes lie at no particular address.
                [] => Ok(&mut [][..]),
                some => A::cast_mut(some),
            };
            let elements = elements.map_err(|error| {
                Error::invalid_data(format!("elements to be written: {error:?}"))
            })?;
            ArrayViewMut::from_shape(shape, elements).map_err(|error| {
                Error::invalid_data(format!("a view of elements to be written: {error}"))
            })
        })
    }

    /// The part of a contiguous array within `range` of `axis`. `map` is asked for the bytes from its first to its last
    /// element, by where they are in the array.
    ///
    /// Others may look at, and write to, what lies between its elements; at the elements nobody may while this lives.
    ///
    /// # Errors
    ///
    /// Where there is no such part or it is empty, `map` fails or gives less, or the array has other axes than `D`.
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
            Error::invalid_data(format!("part of shape {}: {what}", Short(layout.shape())))
        };
        if layout.len() == 0 {
            return Err(unfit("it has no elements"));
        }
        let dimension = |values: &[usize]| {
            D::from_dimension(&IxDyn(values)).ok_or_else(|| unfit("of other axes"))
        };
        let strides: Vec<_> =
            layout.strides().iter().map(|stride| stride.unsigned_abs() / size).collect();
        let strided = dimension(layout.shape())?.strides(dimension(&strides)?);
        let (low, high) = layout.extent();
        let map = map(low..high)?;
        let (length, at) = map.pointer();
        let at = at.cast::<A>();
        if length < high - low || !at.is_aligned() {
            return Err(unfit("its bytes are too few, or do not lie at an element's address"));
        }
        // SAFETY: The first element is at `at`, which is aligned, and all others within the bytes from there to the end of
        // the layout's extent, which the map holds. No two indices are the same element, because the layout is a slice of a
        // contiguous one, with no stride below zero. The bytes stay while `map` lives, which is stored beside the view and
        // lends them to nobody else. Any bytes are an element (`Pod`). That nobody else reaches these elements is the
        // caller's promise; no reference is made to what lies between them.
        let view = unsafe {
            RawArrayViewMut::from_shape_ptr(strided, at).deref_into_view_mut::<'static>()
        };
        Ok(Self { view, map })
    }

    /// Where the elements of the view lie among those of the map, of which they need not be all: whoever has a view for
    /// writing can turn its axes, and cut them.
    ///
    /// # Errors
    ///
    /// Where the view has come to look elsewhere.
    pub(crate) fn layout(&self) -> Result<Layout> {
        let (size, (length, at)) = (size_of::<A>(), self.map.pointer());
        let bytes = if self.view.is_empty() {
            Some(0)
        } else {
            self.view.as_ptr().addr().checked_sub(at.addr())
        };
        let bytes =
            bytes.ok_or_else(|| Error::invalid_input("the array looks at elements of another"))?;
        Layout::strided(
            self.view.shape(),
            &super::in_bytes::<A>(self.view.strides()),
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

/// A type without lifetime parameters: for such a type alone, equal ids mean the same type.
///
/// # Safety
///
/// No lifetime, not even `'static`, may appear in the type as a choice of one among several.
pub(crate) unsafe trait WithoutLifetime: 'static {}

// SAFETY: neither has a lifetime parameter.
unsafe impl WithoutLifetime for super::Handover {}
#[cfg(test)]
// SAFETY: as above.
unsafe impl WithoutLifetime for String {}

/// `value` as a `U`, where `T` *is* `U`; itself otherwise.
pub(crate) fn identical<T, U: WithoutLifetime>(value: T) -> Result<U, T> {
    if typeid::of::<T>() == TypeId::of::<U>() {
        let value = ManuallyDrop::new(value);
        // SAFETY: `T` and `U` are the same type, as `WithoutLifetime` says of equal ids. The original is never dropped, so
        // the value is moved, not doubled.
        Ok(unsafe { std::mem::transmute_copy::<ManuallyDrop<T>, U>(&value) })
    } else {
        Err(value)
    }
}

/// `value` as an element of type `A`, where `T` *is* `A` or a reference to one (serde's own sequences pass references).
#[inline]
pub(crate) fn as_element<T: ?Sized, A: Element>(value: &T) -> Option<&A> {
    let (found, at) = (typeid::of::<T>(), std::ptr::from_ref(value));
    if found == TypeId::of::<A>() {
        // SAFETY: `T` and `A` are the same type: elements are numbers and `bool`, none has a lifetime parameter.
        Some(unsafe { &*at.cast::<A>() })
    } else if found == TypeId::of::<&'static A>() {
        // SAFETY: `T` is `&'x A` for some `'x` that the id does not tell. The reference is read as one that lives no longer
        // than `value` is borrowed, which `'x` outlives.
        Some(unsafe { *at.cast::<&A>() })
    } else {
        None
    }
}

/// `value` as the elements of an array lent to a serializer, where `T` *is* that.
pub(crate) fn as_lent<T: ?Sized>(value: &T) -> Option<&super::Elements> {
    if typeid::of::<T>() == TypeId::of::<super::Elements>() {
        // SAFETY: `T` is `Elements`, which has no lifetime parameter.
        Some(unsafe { &*std::ptr::from_ref(value).cast::<super::Elements>() })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_type_is_identical() {
        assert_eq!(identical::<_, String>(String::from("a")), Ok(String::from("a")));
        assert_eq!(identical::<_, String>(1i64), Err(1));
        assert_eq!(as_element::<_, u64>(&1i64), None);
        assert_eq!(as_element::<_, u64>(&1u64), Some(&1));
        assert_eq!(as_element::<&u64, u64>(&&1), Some(&1));
        assert_eq!(as_element::<str, u8>("a"), None);
    }
}
