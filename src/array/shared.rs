//! An array whose element type is known at compile time.

use std::{fmt, ops::Deref, sync::Arc};

use ndarray::{Array, ArrayRef, ArrayView, Dimension, Ix1, IxDyn, Shape, ShapeBuilder};

use super::{AnyArray, ArraySource, CopyReason, Layout, Memory, Order, Storage, cast::Kept};
use crate::{DType, Result, dtype::Element};

/// An immutable n-dimensional array that is shared, not copied: cloning is cheap, and between processes it travels as a
/// reference to where its bytes lie.
///
/// It is owned (made from an ndarray [`Array`] in O(1)) or mapped from a file, and dereferences to [`ndarray::ArrayRef`], so
/// every read method of ndarray works on it: indexing, iteration, slices, `dot`, `sum_axis`, arithmetic with references.
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
pub struct SharedArray<A: Element, D: Dimension> {
    kept: Kept<A, D>,
}

impl<A: Element, D: Dimension> SharedArray<A, D> {
    /// The view that `make` takes of the bytes of `memory`, kept together with it.
    pub(super) fn over(
        memory: Arc<Memory>,
        make: impl for<'a> FnOnce(&'a [u8]) -> Result<ArrayView<'a, A, D>>,
    ) -> Result<Self> {
        Ok(Self { kept: Kept::new(memory, make)? })
    }

    /// The file the array was read from; `None` for one made in memory.
    #[must_use]
    pub fn source(&self) -> Option<&ArraySource> {
        self.kept.memory().source()
    }

    /// The rule by which the array is not a map; `None` where it is one.
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        self.kept.memory().copy_reason()
    }

    /// A part or a turn of the array that shares its bytes: slices, transposes, new axes, in any combination of ndarray's view
    /// methods that take the view by value.
    ///
    /// ```
    /// # use ndarray::array;
    /// # use ndferry::SharedArray;
    /// let array = SharedArray::from(array![[1, 2, 3], [4, 5, 6]]);
    /// let turned = array.subview(|view| view.reversed_axes());
    /// assert_eq!(turned, SharedArray::from(array![[1, 4], [2, 5], [3, 6]]));
    /// ```
    #[must_use]
    pub fn subview<E: Dimension>(
        &self,
        make: impl for<'a> FnOnce(ArrayView<'a, A, D>) -> ArrayView<'a, A, E>,
    ) -> SharedArray<A, E> {
        SharedArray { kept: self.kept.derive(make) }
    }

    /// A copy as an ndarray `Array`, as `to_owned` is of any array of ndarray. (A second handle to the same elements is what
    /// `clone` gives.)
    #[must_use]
    #[allow(
        clippy::should_implement_trait,
        reason = "ndarray's own name, with ndarray's own meaning"
    )]
    pub fn to_owned(&self) -> Array<A, D> {
        (**self).to_owned()
    }

    /// An ndarray `Array` of the same elements: the original one, in O(1), where the array was made from one and this is
    /// the only handle to it; a copy otherwise.
    #[must_use]
    pub fn into_owned(self) -> Array<A, D> {
        let any = self.to_any();
        let order = any.order();
        let whole = Arc::ptr_eq(&any.memory, self.kept.memory())
            && any.nbytes() == any.memory.bytes().len();
        drop(any);
        let (Some(order), true) = (order, whole) else {
            return self.to_owned();
        };
        let shape = self.raw_dim().set_f(order == Order::F);
        let memory = match Arc::try_unwrap(self.kept.into_memory()) {
            Ok(memory) => memory.into_storage(),
            Err(memory) => return Self::rebuilt(shape, elements_of(memory.bytes())),
        };
        let elements = match memory {
            Storage::Vector(vector) => {
                *vector.into_any().downcast().expect("the array's own vector")
            }
            other => elements_of(other.bytes()),
        };
        Self::rebuilt(shape, elements)
    }

    fn rebuilt(shape: Shape<D>, elements: Vec<A>) -> Array<A, D> {
        Array::from_shape_vec(shape, elements).expect("as many elements as the shape says")
    }

    /// The same array with its element type known at run time.
    #[must_use]
    pub fn to_any(&self) -> AnyArray {
        let memory = self.kept.memory();
        let base = memory.bytes().as_ptr().addr();
        let start = if self.is_empty() {
            0
        } else {
            // Where a view came from is not always told by its first element alone: a view may also look at memory that
            // lives for ever, which `subview` cannot tell apart. That is no part of these bytes and is copied.
            match self.as_ptr().addr().checked_sub(base) {
                Some(bytes) if bytes % size_of::<A>() == 0 => bytes,
                // Elsewhere, or between the elements that these bytes were made as.
                _ => return self.apart(),
            }
        };
        let (strides, size) = (in_bytes::<A>(self.strides()), size_in::<A>(self.len()));
        match Layout::strided(self.shape(), &strides, start, memory.bytes().len(), size) {
            Ok(layout) => AnyArray { memory: Arc::clone(memory), dtype: DType::of::<A>(), layout },
            Err(_) => self.apart(),
        }
    }

    /// A copy on a memory of its own.
    fn apart(&self) -> AnyArray {
        let copy = Self::from(self.to_owned());
        copy.to_any()
    }
}

/// Bytes that each element of an array of `length` counts with: an array of none may be wider than memory.
const fn size_in<A>(length: usize) -> usize {
    if length == 0 { 1 } else { size_of::<A>() }
}

/// ndarray's strides, which count elements. Those that are never stepped along may be any, and are not held against anyone.
pub(crate) fn in_bytes<A>(strides: &[isize]) -> Vec<isize> {
    strides.iter().map(|stride| stride.wrapping_mul(size_of::<A>() as isize)).collect()
}

/// A copy of the elements in `bytes`.
fn elements_of<A: Element>(bytes: &[u8]) -> Vec<A> {
    A::cast(bytes).expect("the bytes held such elements before").to_vec()
}

impl<A: Element, D: Dimension> Clone for SharedArray<A, D> {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone() }
    }
}

impl<A: Element, D: Dimension> Deref for SharedArray<A, D> {
    type Target = ArrayRef<A, D>;

    fn deref(&self) -> &ArrayRef<A, D> {
        self.kept.array()
    }
}

/// Takes the array over, in O(1).
impl<A: Element, D: Dimension> From<Array<A, D>> for SharedArray<A, D> {
    fn from(array: Array<A, D>) -> Self {
        let (shape, strides, length) =
            (array.shape().to_vec(), array.strides().to_vec(), array.len());
        let (elements, start) = array.into_raw_vec_and_offset();
        let start = start.unwrap_or(0);
        let (size, strides) = (size_of::<A>(), in_bytes::<A>(&strides));
        let layout = Layout::strided(
            &shape,
            &strides,
            start * size,
            elements.len() * size,
            size_in::<A>(length),
        )
        .expect("an ndarray array lies within its vector");
        let memory =
            Memory::new(Storage::Vector(Box::new(elements)), None, Some(CopyReason::InMemory));
        AnyArray { memory, dtype: DType::of::<A>(), layout }
            .to_array()
            .expect("a vector of elements is native and aligned")
    }
}

/// Takes the vector over, in O(1).
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

/// Two arrays are equal when they have the same shape and equal elements, wherever those lie.
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
fn a_shared_array_is_send_and_sync() {
    fn check<T: Send + Sync + Clone>() {}
    check::<SharedArray<f64, IxDyn>>();
    check::<AnyArray>();
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array, s};

    use super::*;

    #[test]
    fn an_array_comes_back_as_it_went_without_a_copy() {
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
            assert_ne!(shared.into_owned().as_ptr(), at, "a clone still needs it");
            let owned = clone.into_owned();
            assert_eq!((owned.as_ptr(), owned.strides()), (at, &strides[..]));
        }
    }

    #[test]
    fn an_array_cut_or_turned_before_is_taken_over_as_it_lies() {
        let whole = Array2::from_shape_fn((4, 6), |(i, j)| (i * 6 + j) as u64);
        let mut turned = whole.clone();
        turned.invert_axis(Axis(1));
        for array in [
            whole.clone().slice_move(s![1..3, ..;2]),
            whole.clone().slice_move(s![..0, ..]),
            whole.clone().reversed_axes(),
            turned,
        ] {
            let shared = SharedArray::from(array.clone());
            assert_eq!(*shared, array);
            assert_eq!(shared.to_any().to_array::<u64, ndarray::Ix2>().unwrap(), shared);
            assert_eq!(shared.into_owned(), array);
        }
    }

    #[test]
    fn views_share_bytes_and_outlive_what_they_were_taken_from() {
        let shared = SharedArray::from(array![[1u16, 2, 3], [4, 5, 6]]);
        let at = shared.as_ptr();
        let column = shared.subview(|view| view.index_axis_move(Axis(1), 1));
        drop(shared);
        assert_eq!(column.to_vec(), [2, 5]);
        assert_eq!(column.as_ptr().addr(), at.addr() + 2);
    }

    #[test]
    fn an_array_of_nothing_may_be_wider_than_memory() {
        let wide = Array2::<f64>::zeros((0, usize::MAX / 4));
        let shared = SharedArray::from(wide.clone());
        assert_eq!(shared.to_any().shape(), wide.shape());
        assert_eq!(shared.into_owned(), wide);
    }

    #[test]
    fn a_view_between_elements_is_still_right() {
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
    fn a_view_that_looks_elsewhere_is_still_right() {
        static ELSEWHERE: [u16; 3] = [7, 8, 9];
        let shared = SharedArray::from(array![1u16, 2, 3]);
        let odd = shared.subview(|_| ArrayView::from(&ELSEWHERE));
        assert_eq!(odd.to_any().to_array::<u16, Ix1>().unwrap().to_vec(), [7, 8, 9]);
        assert_eq!(odd.into_owned().to_vec(), [7, 8, 9]);
    }
}
