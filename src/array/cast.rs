//! Casts the compiler cannot check: a view kept beside the memory it looks at, and a value whose type was found out.

use std::{any::TypeId, mem::ManuallyDrop, sync::Arc};

use ndarray::{ArrayRef, ArrayView, Dimension};

use crate::{Element, Result, array::Memory};

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
