//! Casts between serde's generic types and the crate's own, checked by type id.
//!
//! Serde passes values as generic parameters. The crate's codec recognizes
//! arrays and elements among them, so that it can move whole arrays instead of
//! single numbers.

use std::{any::TypeId, marker::PhantomData, mem::ManuallyDrop};

use super::any::AnyArray;
use crate::{Result, dtype::Element};

/// The elements of an array, which the codec writes as a segment. Other
/// serializers see a sequence of numbers.
pub(crate) struct ArrayElements(pub(crate) AnyArray);

/// A deserializer that contains a whole array.
///
/// The codec passes it to a visitor that has asked for
/// [`WHOLE_ARRAY_NEWTYPE`](super::WHOLE_ARRAY_NEWTYPE).
pub(crate) struct WholeArray(pub(crate) AnyArray);

/// A type without lifetime parameters. If two such types have equal ids, they
/// are the same type.
///
/// # Safety
///
/// The type must not have a lifetime parameter, not even one that is set to
/// `'static`.
pub(super) unsafe trait WithoutLifetime: 'static {}

// SAFETY: the type has no lifetime parameter.
unsafe impl WithoutLifetime for WholeArray {}
#[cfg(test)]
// SAFETY: the type has no lifetime parameter.
unsafe impl WithoutLifetime for String {}

/// Returns the type id that `T` has if its lifetimes are ignored.
///
/// `TypeId::of` needs `T: 'static`, which serde's generic methods do not promise. The crate
/// `typeid` by David Tolnay uses the same technique.
fn lifetime_free_id<T: ?Sized>() -> TypeId {
    struct Witness<T: ?Sized>(PhantomData<T>);

    trait Identify {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }

    impl<T: ?Sized> Identify for Witness<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }

    let witness = Witness::<T>(PhantomData);
    let short: &dyn Identify = &witness;
    // SAFETY: only the lifetime bound of the trait object changes, so the reference stays
    // valid. The call reads no data of type `T`, because `Witness` contains none, and the id
    // does not depend on lifetimes.
    let long = unsafe { std::mem::transmute::<&dyn Identify, &(dyn Identify + 'static)>(short) };
    long.id()
}

/// Returns `value` as a `U` if `T` is `U`, and `value` itself otherwise.
pub(super) fn downcast<T, U: WithoutLifetime>(value: T) -> Result<U, T> {
    if lifetime_free_id::<T>() == TypeId::of::<U>() {
        let value = ManuallyDrop::new(value);
        // SAFETY: `T` and `U` are the same type, because their ids are equal
        // and `U` has no lifetime parameter. The original is never dropped, so
        // the value is moved and not duplicated.
        Ok(unsafe { std::mem::transmute_copy::<ManuallyDrop<T>, U>(&value) })
    } else {
        Err(value)
    }
}

/// Returns `value` as an element of type `A` if `T` is `A` or a reference to
/// it, which serde's sequences pass.
#[inline]
pub(crate) fn as_element<T: ?Sized, A: Element>(value: &T) -> Option<&A> {
    let (found, at) = (lifetime_free_id::<T>(), std::ptr::from_ref(value));
    if found == TypeId::of::<A>() {
        // SAFETY: `T` and `A` are the same type: no element type has a lifetime
        // parameter.
        Some(unsafe { &*at.cast::<A>() })
    } else if found == TypeId::of::<&'static A>() {
        // SAFETY: `T` is `&'x A` for some `'x` that the id does not contain.
        // The result lives no longer than the borrow of `value`, which `'x`
        // outlives.
        Some(unsafe { *at.cast::<&A>() })
    } else {
        None
    }
}

/// Returns `value` as [`ArrayElements`] if `T` is that type.
pub(crate) fn as_array_elements<T: ?Sized>(value: &T) -> Option<&ArrayElements> {
    if lifetime_free_id::<T>() == TypeId::of::<ArrayElements>() {
        // SAFETY: `T` is `ArrayElements`, which has no lifetime parameter.
        Some(unsafe { &*std::ptr::from_ref(value).cast::<ArrayElements>() })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cast_succeeds_for_the_same_type_only() {
        assert_eq!(downcast::<_, String>(String::from("a")), Ok(String::from("a")));
        assert_eq!(downcast::<_, String>(1i64), Err(1));
        assert_eq!(as_element::<_, u64>(&1i64), None);
        assert_eq!(as_element::<_, u64>(&1u64), Some(&1));
        assert_eq!(as_element::<&u64, u64>(&&1), Some(&1));
        assert_eq!(as_element::<str, u8>("a"), None);
        fn borrowed<'a>(_: &'a str) -> [TypeId; 2] {
            [lifetime_free_id::<&'a str>(), lifetime_free_id::<Vec<&'a u8>>()]
        }
        let expected = [TypeId::of::<&'static str>(), TypeId::of::<Vec<&'static u8>>()];
        assert_eq!(borrowed(&String::from("a")), expected);
    }
}
