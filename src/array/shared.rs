//! An array whose element type is known at compile time.
//!
//! A [`SharedArray`] and an [`AnyArray`] are two forms of the same array. Each
//! converts into the other, so this file and `any.rs` refer to each other.

use std::{fmt, ops::Deref, sync::Arc};

use ndarray::{Array, ArrayRef, ArrayView, Dimension, Ix1, IxDyn, Shape, ShapeBuilder};

use super::{
    any::AnyArray,
    layout::{Layout, Order},
    memory::{Memory, Storage},
    source::{ArraySource, CopyReason},
    view::{OwnedView, byte_strides},
};
use crate::{DType, Result, dtype::Element};

/// An immutable n-dimensional array that is shared instead of copied.
///
/// The elements are in a mapped file or in memory. A clone takes constant time
/// and refers to the same elements. If you pass an array to a worker process,
/// the worker maps the same bytes.
///
/// A `SharedArray` dereferences to [`ndarray::ArrayRef`], so you can call all
/// of ndarray's methods that read: indexing, iteration, slices, `dot`,
/// `sum_axis`, and arithmetic with references. If the element type is known
/// only at run time, use [`AnyArray`]. The documentation of the
/// [module](crate::array#which-type-to-use) compares all array types.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, s};
/// use ndferry::SharedArray;
///
/// let array = SharedArray::from(Array2::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f64));
/// assert_eq!(array[(2, 1)], 21.0);
/// assert_eq!(array.column(1).sum(), 33.0);
///
/// let corner = array.subview(|view| view.slice_move(s![1.., ..2]));
/// assert_eq!(corner.shape(), [2, 2]);
/// ```
///
/// # Safety
///
/// Opening a file maps it, and reading a mapped array is a safe function. This
/// is sound only if the file is not changed in place while it is mapped. You
/// must ensure this:
///
/// - If a program writes to the mapped file, the elements of the array change
///   while you read them.
/// - If a program truncates the mapped file, reading beyond the new end raises
///   `SIGBUS`, which kills the process.
///
/// Replacing a file does not affect its maps: a program that writes a new file
/// and renames it to the old name, like [`dump`](crate::dump) does, leaves the
/// mapped file unchanged.
///
/// Opening and reading are safe functions all the same. The operating system
/// has no means to prevent changes by other programs, so you could not prove
/// the condition of an `unsafe` function either, and every program that reads a
/// file would need an `unsafe` block. `ndferry` reduces the risk:
///
/// - Headers are checked against the length of the file when it is opened, so a
///   truncated file is an error and not a `SIGBUS`.
/// - A file that was changed (length or modification time) or replaced since it
///   was opened is not passed to worker processes. The call returns an error
///   instead.
/// - A `bool` is never read straight from a user's file, because bytes other
///   than 0 and 1 would be undefined behavior.
/// - Temporary files of a [`Store`](crate::store::Store) are complete before
///   they are mapped, and other users cannot open them. Sealed memory files
///   cannot be changed by any process.
///
/// If other programs may change a file, read it instead of mapping it:
/// [`OpenOptions::mmap_mode`](crate::file::OpenOptions::mmap_mode) with
/// [`MmapMode::Never`](crate::file::MmapMode::Never) copies the file
/// into memory when it is opened.
pub struct SharedArray<A: Element, D: Dimension> {
    view: OwnedView<A, D>,
}

impl<A: Element, D: Dimension> SharedArray<A, D> {
    /// Keeps the view that `make` takes of the bytes of `memory`.
    pub(super) fn over(
        memory: Arc<Memory>,
        make: impl for<'a> FnOnce(&'a [u8]) -> Result<ArrayView<'a, A, D>>,
    ) -> Result<Self> {
        Ok(Self { view: OwnedView::new(memory, make)? })
    }

    /// Returns the file that the array was read from.
    ///
    /// Returns `None` if it was created in memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::SharedArray;
    ///
    /// assert!(SharedArray::from(vec![1.0]).source().is_none());
    /// ```
    #[must_use]
    pub fn source(&self) -> Option<&ArraySource> {
        self.view.memory().source()
    }

    /// Returns the reason why the array is a copy in memory.
    ///
    /// Returns `None` if it is a map of a file.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, array::CopyReason};
    ///
    /// assert_eq!(SharedArray::from(vec![1.0]).copy_reason(), Some(CopyReason::InMemory));
    /// ```
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        self.view.memory().copy_reason()
    }

    /// Returns a slice, a transpose or another view of the same elements.
    ///
    /// `make` can call any of ndarray's methods that take a view by value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ndarray::array;
    /// # use ndferry::SharedArray;
    /// let array = SharedArray::from(array![[1, 2, 3], [4, 5, 6]]);
    /// let transposed = array.subview(|view| view.reversed_axes());
    /// assert_eq!(transposed, SharedArray::from(array![[1, 4], [2, 5], [3, 6]]));
    /// ```
    #[must_use]
    pub fn subview<E: Dimension>(
        &self,
        make: impl for<'a> FnOnce(ArrayView<'a, A, D>) -> ArrayView<'a, A, E>,
    ) -> SharedArray<A, E> {
        SharedArray { view: self.view.derive(make) }
    }

    /// Copies the elements into an ndarray `Array`.
    ///
    /// Use `clone` for a second handle to the same elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, ndarray::array};
    ///
    /// let mut copy = SharedArray::from(vec![1.0, 2.0]).to_owned();
    /// copy[0] = 5.0;
    /// assert_eq!(copy, array![5.0, 2.0]);
    /// ```
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "the name and the meaning are ndarray's")]
    pub fn to_owned(&self) -> Array<A, D> {
        (**self).to_owned()
    }

    /// Converts the array into an ndarray `Array`.
    ///
    /// This takes constant time if the array was created from an `Array` and
    /// has no other handle. Otherwise the elements are copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, ndarray::array};
    ///
    /// let shared = SharedArray::from(array![[1, 2], [3, 4]]);
    /// assert_eq!(shared.into_owned(), array![[1, 2], [3, 4]]);
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Array<A, D> {
        let any = self.to_any();
        let order = any.order();
        let whole = Arc::ptr_eq(&any.memory, self.view.memory())
            && any.nbytes() == any.memory.bytes().len();
        drop(any);
        let (Some(order), true) = (order, whole) else {
            return self.to_owned();
        };
        let shape = self.raw_dim().set_f(order == Order::F);
        let memory = match Arc::try_unwrap(self.view.into_memory()) {
            Ok(memory) => memory.into_storage(),
            Err(memory) => return Self::rebuilt(shape, elements_of(memory.bytes())),
        };
        let elements = match memory {
            Storage::Vector(vector) => {
                *vector.into_any().downcast().expect("the vector that the array was created from")
            }
            other => elements_of(other.bytes()),
        };
        Self::rebuilt(shape, elements)
    }

    fn rebuilt(shape: Shape<D>, elements: Vec<A>) -> Array<A, D> {
        Array::from_shape_vec(shape, elements).expect("the shape has as many elements")
    }

    /// Returns the same array with its element type known at run time.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, SharedArray};
    ///
    /// let any = SharedArray::from(vec![1u16, 2]).to_any();
    /// assert_eq!((any.dtype(), any.shape()), (&DType::of::<u16>(), &[2][..]));
    /// ```
    #[must_use]
    pub fn to_any(&self) -> AnyArray {
        let memory = self.view.memory();
        let base = memory.bytes().as_ptr().addr();
        let start = if self.is_empty() {
            0
        } else {
            // The closure of `subview` may return a view of a static array.
            // Such a view is copied.
            match self.as_ptr().addr().checked_sub(base) {
                Some(bytes) if bytes % size_of::<A>() == 0 => bytes,
                // Outside of these bytes, or between two of their elements.
                _ => return self.to_contiguous(),
            }
        };
        let (strides, size) = (byte_strides::<A>(self.strides()), counted_size::<A>(self.len()));
        match Layout::strided(self.shape(), &strides, start, memory.bytes().len(), size) {
            Ok(layout) => AnyArray { memory: Arc::clone(memory), dtype: DType::of::<A>(), layout },
            Err(_) => self.to_contiguous(),
        }
    }

    /// Copies the elements into memory of their own.
    fn to_contiguous(&self) -> AnyArray {
        let copy = Self::from(self.to_owned());
        copy.to_any()
    }
}

/// The element size for checks of a shape. An empty array may have axes that
/// are longer than memory, so its size is 1.
const fn counted_size<A>(length: usize) -> usize {
    if length == 0 { 1 } else { size_of::<A>() }
}

/// Copies the elements in `bytes`.
fn elements_of<A: Element>(bytes: &[u8]) -> Vec<A> {
    A::cast(bytes).expect("the array was a view of these bytes").to_vec()
}

impl<A: Element, D: Dimension> Clone for SharedArray<A, D> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone() }
    }
}

impl<A: Element, D: Dimension> Deref for SharedArray<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        self.view.array()
    }
}

/// Takes the array over in constant time.
impl<A: Element, D: Dimension> From<Array<A, D>> for SharedArray<A, D> {
    fn from(array: Array<A, D>) -> Self {
        let (shape, strides, length) =
            (array.shape().to_vec(), array.strides().to_vec(), array.len());
        let (elements, start) = array.into_raw_vec_and_offset();
        let start = start.unwrap_or(0);
        let (size, strides) = (size_of::<A>(), byte_strides::<A>(&strides));
        let layout = Layout::strided(
            &shape,
            &strides,
            start * size,
            elements.len() * size,
            counted_size::<A>(length),
        )
        .expect("an ndarray array is part of its vector");
        let memory =
            Memory::new(Storage::Vector(Box::new(elements)), None, Some(CopyReason::InMemory));
        AnyArray { memory, dtype: DType::of::<A>(), layout }
            .to_array()
            .expect("a vector's elements are native and aligned")
    }
}

/// Takes the vector over in constant time.
impl<A: Element> From<Vec<A>> for SharedArray<A, Ix1> {
    fn from(elements: Vec<A>) -> Self {
        Array::from_vec(elements).into()
    }
}

impl<A: Element, D: Dimension> fmt::Debug for SharedArray<A, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Arrays are equal if they have the same shape and equal elements. Memory
/// order and origin do not matter.
impl<A: Element, D: Dimension> PartialEq for SharedArray<A, D> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<A: Element, D: Dimension> TryFrom<AnyArray> for SharedArray<A, D> {
    type Error = crate::Error;

    fn try_from(any: AnyArray) -> Result<Self> {
        any.to_array()
    }
}

#[allow(dead_code)]
fn arrays_are_send_and_sync() {
    fn check<T: Send + Sync + Clone>() {}
    check::<SharedArray<f64, IxDyn>>();
    check::<AnyArray>();
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array, s};

    use super::*;

    #[test]
    fn shared_array_into_owned_returns_the_original() {
        for array in [
            Array2::from_shape_fn((3, 5), |(i, j)| (i * 5 + j) as u64),
            Array2::from_shape_fn((3, 5).f(), |(i, j)| (i * 5 + j) as u64),
        ] {
            let (at, strides) = (array.as_ptr(), array.strides().to_vec());
            let shared = SharedArray::from(array.clone());
            assert_eq!(*shared, array);
            let shared = SharedArray::from(array);
            assert_eq!(shared.as_ptr(), at);
            let clone = shared.clone();
            assert_ne!(shared.into_owned().as_ptr(), at, "the clone still uses the vector");
            let owned = clone.into_owned();
            assert_eq!((owned.as_ptr(), owned.strides()), (at, &strides[..]));
        }
    }

    #[test]
    fn shared_array_from_view_keeps_strides() {
        let whole = Array2::from_shape_fn((4, 6), |(i, j)| (i * 6 + j) as u64);
        let mut inverted = whole.clone();
        inverted.invert_axis(Axis(1));
        for array in [
            whole.clone().slice_move(s![1..3, ..;2]),
            whole.clone().slice_move(s![..0, ..]),
            whole.clone().reversed_axes(),
            inverted,
        ] {
            let shared = SharedArray::from(array.clone());
            assert_eq!(*shared, array);
            assert_eq!(shared.to_any().to_array::<u64, ndarray::Ix2>().unwrap(), shared);
            assert_eq!(shared.into_owned(), array);
        }
    }

    #[test]
    fn shared_array_subview_outlives_its_array() {
        let shared = SharedArray::from(array![[1u16, 2, 3], [4, 5, 6]]);
        let at = shared.as_ptr();
        let column = shared.subview(|view| view.index_axis_move(Axis(1), 1));
        drop(shared);
        assert_eq!(column.to_vec(), [2, 5]);
        assert_eq!(column.as_ptr().addr(), at.addr() + 2);
    }

    #[test]
    fn shared_array_empty_may_exceed_memory() {
        let wide = Array2::<f64>::zeros((0, usize::MAX / 4));
        let shared = SharedArray::from(wide.clone());
        assert_eq!(shared.to_any().shape(), wide.shape());
        assert_eq!(shared.into_owned(), wide);
    }

    #[test]
    fn shared_array_view_between_elements_is_copied() {
        use num_complex::Complex;
        let shared = SharedArray::from(Array::from_iter(
            (0..4).map(|i| Complex::new(f64::from(i), -f64::from(i))),
        ));
        let between = shared.subview(|view| {
            let halves: &[f64] = bytemuck::cast_slice(view.to_slice().unwrap());
            ArrayView::from(bytemuck::cast_slice::<f64, Complex<f64>>(&halves[1..7]))
        });
        let back = between.to_any().to_array::<Complex<f64>, Ix1>().unwrap();
        assert_eq!(back, between);
        assert_eq!(back[0], Complex::new(0.0, 1.0) - Complex::new(0.0, 0.0));
    }

    #[test]
    fn shared_array_view_of_static_is_copied() {
        static ELSEWHERE: [u16; 3] = [7, 8, 9];
        let shared = SharedArray::from(array![1u16, 2, 3]);
        let odd = shared.subview(|_| ArrayView::from(&ELSEWHERE));
        assert_eq!(odd.to_any().to_array::<u16, Ix1>().unwrap().to_vec(), [7, 8, 9]);
        assert_eq!(odd.into_owned().to_vec(), [7, 8, 9]);
    }
}
