//! An array whose element type is known at run time.
//!
//! A [`SharedArray`] and an [`AnyArray`] are two forms of the same array. Each
//! converts into the other, so this file and `shared.rs` refer to each other.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use ndarray::{Array, ArrayView, Dimension, IxDyn, ShapeBuilder};

use super::{
    gather,
    layout::{Layout, Order, ShortShape},
    memory::{Memory, Storage},
    shared::SharedArray,
    source::{ArraySource, CopyReason},
};
use crate::{
    DType, Error, Result,
    bytes::{map::Buffer, swap::Change},
    dtype::{ByteOrder, CastError, Element, Escaped, Scalar},
};

/// An immutable array whose element type is known at run time.
///
/// The type may come from a file, a command line, or another language. The
/// elements keep their byte order: an array in a file with the other byte order
/// is a map of it, and [`to_array`](AnyArray::to_array) swaps only the part
/// that you convert. A clone takes constant time.
///
/// If you know the element type at compile time, use [`SharedArray`]. Elements
/// without a Rust type are read with [`field`](AnyArray::field),
/// [`strings`](AnyArray::strings), [`byte_strings`](AnyArray::byte_strings) and
/// [`timestamps_i64`](AnyArray::timestamps_i64).
///
/// # Examples
///
/// ```
/// use ndarray::{Ix1, array};
/// use ndferry::{AnyArray, SharedArray};
///
/// let any: AnyArray = SharedArray::from(array![[1i32, 2], [3, 4]]).into();
/// assert_eq!(any.shape(), [2, 2]);
/// let row = any.slice_axis(0, 1..2)?.flatten()?.to_array::<i32, Ix1>()?;
/// assert_eq!(row.to_vec(), [3, 4]);
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Safety
///
/// A file must not be changed in place while an array is a map of it. See
/// [the safety section of `SharedArray`](SharedArray#safety).
#[derive(Clone)]
pub struct AnyArray {
    pub(crate) memory: Arc<Memory>,
    pub(crate) dtype: DType,
    pub(crate) layout: Layout,
}

impl AnyArray {
    /// Makes an array of the elements of `dtype` at `layout` in `memory`.
    ///
    /// # Errors
    ///
    /// Returns an error if the memory is too short.
    pub(crate) fn new(memory: Arc<Memory>, dtype: DType, layout: Layout) -> Result<Self> {
        let (_, needed) = layout.extent();
        let found = memory.bytes().len();
        if needed > found {
            return Err(Error::invalid_data(format!(
                "shape {} of {} needs {needed} bytes, found {found}",
                ShortShape(layout.shape()),
                Escaped(&dtype.to_string())
            )));
        }
        Ok(Self { memory, dtype, layout })
    }

    /// Returns the type and byte order of the elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.dtype(), &ndferry::DType::of::<i32>());
    /// ```
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// Returns the length of each axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.shape(), [2, 3]);
    /// ```
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Returns the distance between neighbors along each axis, in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.strides(), [12, 4]);
    /// ```
    #[must_use]
    pub fn strides(&self) -> &[isize] {
        self.layout.strides()
    }

    /// Returns the number of elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.len(), 6);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Returns whether the array has no elements.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::SharedArray;
    ///
    /// assert!(SharedArray::from(Vec::<f64>::new()).to_any().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size of all elements in bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.nbytes(), 24);
    /// ```
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.len() * self.dtype.item_size()
    }

    /// Returns the memory order of the elements.
    ///
    /// Returns `C` if the elements are contiguous in both orders, and `None` if
    /// there are gaps between them.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.order(), Some(ndferry::array::Order::C));
    /// assert_eq!(any.slice_axis(1, 0..2)?.order(), None);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        self.layout.order()
    }

    /// Returns the file that the array was read from.
    ///
    /// # Examples
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("a.ferry");
    /// ndferry::dump(&path, &ndferry::ndarray::array![1.5, 2.5])?;
    /// let array = ndferry::open(&path)?.read_dyn("")?;
    /// assert_eq!(array.source().unwrap().path(), path);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn source(&self) -> Option<&ArraySource> {
        self.memory.source()
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
    /// let any = SharedArray::from(vec![1.0, 2.0]).to_any();
    /// assert_eq!(any.copy_reason(), Some(CopyReason::InMemory));
    /// ```
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        self.memory.copy_reason()
    }

    /// Returns the part of the array within `range` of `axis`, without a copy.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// let columns = any.slice_axis(1, 1..3)?;
    /// assert_eq!(columns, SharedArray::from(array![[2i32, 3], [5, 6]]).to_any());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the array has no such axis, or the axis is shorter
    /// than `range`.
    pub fn slice_axis(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        Ok(Self { layout: self.layout.slice_axis(axis, range)?, ..self.clone() })
    }

    /// Returns every `step`-th element along `axis`, without a copy.
    ///
    /// A negative `step` starts at the last element, so -1 reverses the axis.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, ndarray::array};
    ///
    /// let any = SharedArray::from(array![0u8, 1, 2, 3, 4, 5]).to_any();
    /// assert_eq!(any.step_axis(0, 2)?, SharedArray::from(array![0u8, 2, 4]).to_any());
    /// assert_eq!(any.step_axis(0, -4)?, SharedArray::from(array![5u8, 1]).to_any());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the array has no such axis, or `step` is 0.
    pub fn step_axis(&self, axis: usize, step: isize) -> Result<Self> {
        Ok(Self { layout: self.layout.step_axis(axis, step)?, ..self.clone() })
    }

    /// Returns the part of the array at `index` of `axis`, without that axis
    /// and without a copy.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{SharedArray, ndarray::array};
    ///
    /// let any = SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]).to_any();
    /// assert_eq!(any.index_axis(1, 2)?, SharedArray::from(array![3i32, 6]).to_any());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the array has no such axis, or the axis is not
    /// longer than `index`.
    pub fn index_axis(&self, axis: usize, index: usize) -> Result<Self> {
        Ok(Self { layout: self.layout.index_axis(axis, index)?, ..self.clone() })
    }

    /// Returns the transpose, with the axes in opposite order, without a copy.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// assert_eq!(any.reversed_axes().shape(), [3, 2]);
    /// ```
    #[must_use]
    pub fn reversed_axes(&self) -> Self {
        Self { layout: self.layout.reversed(), ..self.clone() }
    }

    /// Returns the elements as one axis in memory order, without a copy.
    ///
    /// Use it if the positions of the elements do not matter.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// let flat = any.reversed_axes().flatten()?;
    /// assert_eq!(flat, SharedArray::from(vec![1i32, 2, 3, 4, 5, 6]).to_any());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if there are gaps between the elements, such as in a
    /// slice of a larger array.
    pub fn flatten(&self) -> Result<Self> {
        let layout = self.layout.flattened().ok_or_else(|| {
            Error::invalid_input(
                "the array is not contiguous and cannot be flattened without a copy",
            )
        })?;
        Ok(Self { layout, ..self.clone() })
    }

    /// Converts to an array whose element type is known at compile time.
    ///
    /// An array in native byte order is not copied, unless one of the reasons
    /// of [`CopyReason`] applies. Otherwise its bytes are swapped into a
    /// buffer, on all cores.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, SharedArray, ndarray::array};
    ///
    /// let any = AnyArray::from(SharedArray::from(array![[1i32, 2, 3], [4, 5, 6]]));
    /// let typed = any.to_array::<i32, ndferry::ndarray::Ix2>()?;
    /// assert_eq!(typed.sum(), 21);
    /// assert!(any.to_array::<f64, ndferry::ndarray::Ix2>().is_err());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - the elements are not of type `A`,
    /// - the number of axes is not that of `D`,
    /// - the elements are `bool` and a byte is neither 0 nor 1,
    /// - there is not enough memory for a copy.
    pub fn to_array<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        if self.dtype.scalar() != Some(A::SCALAR) {
            return Err(Error::invalid_data(format!(
                "holds elements of dtype {} ({}), expected {}",
                Escaped(&self.dtype.to_string()),
                self.dtype.kind(),
                A::SCALAR.rust_name()
            )));
        }
        if let Some(axes) = D::NDIM.filter(|&axes| axes != self.shape().len()) {
            return Err(Error::invalid_data(format!(
                "has {} axes (shape {}), expected {axes}",
                self.shape().len(),
                ShortShape(self.shape())
            )));
        }
        if !self.dtype.is_native() {
            return self.copy_native(CopyReason::ForeignByteOrder)?.view_as();
        }
        if A::SCALAR == Scalar::Bool && (self.memory.is_exposed() || self.memory.is_field()) {
            return self.copy_native(CopyReason::Bool)?.view_as();
        }
        if !self.layout.has_strides_of(size_of::<A>()) {
            return self.copy_native(CopyReason::Distance)?.view_as();
        }
        match A::cast(self.extent_bytes()) {
            Err(CastError::Misaligned) => self.copy_native(CopyReason::Misaligned)?.view_as(),
            _ => self.view_as(),
        }
    }

    /// Returns the array itself if it has this shape.
    pub(crate) fn expect_shape(self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self);
        }
        Err(Error::invalid_data(format!(
            "the value has an array of shape {}, but its elements have shape {}",
            ShortShape(shape),
            ShortShape(self.shape())
        )))
    }

    /// Returns the bytes from the first to the last element.
    pub(crate) fn extent_bytes(&self) -> &[u8] {
        let (low, high) = self.layout.extent();
        &self.memory.bytes()[low..high]
    }

    /// Returns the bytes of all elements in `order`. They are copied only if
    /// they are stored in another order.
    pub(crate) fn bytes_in(&self, order: Order) -> Cow<'_, [u8]> {
        if self.layout.order() == Some(order)
            || (self.shape().len() <= 1 && self.layout.order().is_some())
        {
            return Cow::Borrowed(self.extent_bytes());
        }
        let mut bytes = Vec::with_capacity(self.nbytes());
        self.for_each_run(order, |run| bytes.extend_from_slice(run));
        Cow::Owned(bytes)
    }

    /// Calls `each` with the bytes of the elements in `order`, in contiguous
    /// runs.
    pub(crate) fn for_each_run(&self, order: Order, each: impl FnMut(&[u8])) {
        let layout = match order {
            Order::C => &self.layout,
            Order::F => &self.layout.reversed(),
        };
        gather::runs(self.memory.bytes(), layout, each);
    }

    /// Returns the array in `byte_order`, including all fields.
    ///
    /// An array that is in this byte order is not copied. A copy has the same
    /// [`source`](AnyArray::source).
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, dtype::ByteOrder, array::Order};
    ///
    /// let dtype = "[('a', '>u2'), ('b', '<u2')]".parse()?;
    /// let mixed = AnyArray::from_bytes(dtype, &[1], Order::C, &[0, 1, 2, 0])?;
    /// let big = mixed.in_byte_order(ByteOrder::Big)?;
    /// assert_eq!(big.dtype().to_string(), "[('a', '>u2'), ('b', '>u2')]");
    /// assert_eq!(big, mixed);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough memory for the copy.
    pub fn in_byte_order(&self, byte_order: ByteOrder) -> Result<Self> {
        let dtype = self.dtype.with_byte_order(byte_order);
        if dtype == self.dtype {
            Ok(self.clone())
        } else {
            self.copy_as(dtype, CopyReason::ForeignByteOrder)
        }
    }

    /// Copies the elements in native byte order into a buffer.
    fn copy_native(&self, why: CopyReason) -> Result<Self> {
        self.copy_as(self.dtype.with_byte_order(ByteOrder::NATIVE), why)
    }

    /// Copies the elements, without gaps, into memory of their own.
    #[cfg(target_os = "linux")]
    pub(crate) fn to_contiguous(&self) -> Result<Self> {
        self.copy_as(self.dtype.clone(), self.copy_reason().unwrap_or(CopyReason::InMemory))
    }

    /// Copies the elements into a buffer, as a dtype that differs only in byte
    /// order. The memory order is kept if the elements have one.
    fn copy_as(&self, dtype: DType, why: CopyReason) -> Result<Self> {
        let order = self.layout.order().unwrap_or(Order::C);
        let bytes = self.bytes_in(order);
        let mut buffer = Buffer::zeroed(bytes.len())?;
        Change::between(&self.dtype, &dtype).copy(&bytes, buffer.as_mut());
        Ok(Self {
            memory: Memory::owned(buffer, self.source().cloned(), why),
            layout: Layout::contiguous(self.shape(), order, dtype.item_size())?,
            dtype,
        })
    }

    /// Returns a view of the elements, which must be native, aligned, and of
    /// type `A`.
    fn view_as<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        let (low, high) = self.layout.extent();
        SharedArray::over(Arc::clone(&self.memory), |bytes| {
            let elements = A::cast(&bytes[low..high]).map_err(|error| match error {
                CastError::Value => Error::invalid_data("is bool, but a byte is neither 0 nor 1"),
                CastError::Misaligned | CastError::Length => {
                    Error::invalid_data("is not aligned for its elements")
                }
            })?;
            strided_view(elements, &self.layout)
        })
    }
}

/// Returns a view of `elements`, the first of which is the lowest element of
/// `layout`. Strides are whole elements.
fn strided_view<'a, A, D: Dimension>(
    elements: &'a [A],
    layout: &Layout,
) -> Result<ArrayView<'a, A, D>> {
    let dimension = |values: &[usize]| {
        D::from_dimension(&IxDyn(values)).expect("the number of axes was checked")
    };
    if layout.len() == 0 {
        return ArrayView::from_shape(dimension(layout.shape()), &[]).map_err(|error| {
            Error::invalid_data(format!("shape {}: {error}", ShortShape(layout.shape())))
        });
    }
    // ndarray does not accept negative strides here, so axes that run backwards
    // are inverted afterwards.
    let absolute: Vec<usize> =
        layout.strides().iter().map(|stride| stride.unsigned_abs() / size_of::<A>()).collect();
    let shape = dimension(layout.shape()).strides(dimension(&absolute));
    let mut view = ArrayView::from_shape(shape, elements).map_err(|error| {
        Error::invalid_data(format!("shape {}: {error}", ShortShape(layout.shape())))
    })?;
    for (axis, &stride) in layout.strides().iter().enumerate() {
        if stride < 0 {
            view.invert_axis(ndarray::Axis(axis));
        }
    }
    Ok(view)
}

impl<A: Element, D: Dimension> From<SharedArray<A, D>> for AnyArray {
    fn from(array: SharedArray<A, D>) -> Self {
        array.to_any()
    }
}

impl<A: Element, D: Dimension> From<&SharedArray<A, D>> for AnyArray {
    fn from(array: &SharedArray<A, D>) -> Self {
        array.clone().into()
    }
}

/// Takes the array over in constant time.
impl<A: Element, D: Dimension> From<Array<A, D>> for AnyArray {
    fn from(array: Array<A, D>) -> Self {
        SharedArray::from(array).into()
    }
}

impl From<&AnyArray> for AnyArray {
    fn from(array: &AnyArray) -> Self {
        array.clone()
    }
}

impl fmt::Debug for AnyArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.memory.storage() {
            Storage::Map { .. } => "mapped",
            Storage::Buffer { .. } | Storage::Vector(_) => "in memory",
        };
        write!(f, "AnyArray({} {}, {kind})", self.dtype, ShortShape(self.shape()))
    }
}
