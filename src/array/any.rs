//! An array whose element type is known at run time.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use ndarray::{ArrayView, Dimension, IxDyn, ShapeBuilder};

use super::{
    ArraySource, CopyReason, Layout, Memory, Order, SharedArray, Storage, gather, layout::Short,
};
use crate::{
    DType, Error, Result,
    bytes::{map::Buffer, swap::Change},
    dtype::{ByteOrder, Element, Scalar},
    dtype::{CastError, Escaped},
};

/// An immutable array whose element type is known at run time: from a file, the command line, another language.
///
/// It holds its elements as they were recorded, byte order included: an array of a foreign-order file is a map of it, and
/// only the part that [`to_array`](AnyArray::to_array) is asked of is swapped. Cloning is cheap. Elements that have no Rust type are
/// read by [`field`](AnyArray::field), [`texts`](AnyArray::texts), [`byte_strings`](AnyArray::byte_strings) and
/// [`counts`](AnyArray::counts).
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
#[derive(Clone)]
pub struct AnyArray {
    pub(crate) memory: Arc<Memory>,
    pub(crate) dtype: DType,
    pub(crate) layout: Layout,
}

impl AnyArray {
    /// Elements of `dtype` at `layout` in `memory`.
    ///
    /// # Errors
    ///
    /// Where the memory does not hold them all.
    pub(crate) fn new(memory: Arc<Memory>, dtype: DType, layout: Layout) -> Result<Self> {
        let (_, needed) = layout.extent();
        let found = memory.bytes().len();
        if needed > found {
            return Err(Error::invalid_data(format!(
                "shape {} of {} needs {needed} bytes, there are {found}",
                Short(layout.shape()),
                Escaped(&dtype.to_string())
            )));
        }
        Ok(Self { memory, dtype, layout })
    }

    /// Type and byte order of the elements, as recorded.
    #[must_use]
    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// Length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Distance between neighbours along each axis, in bytes.
    #[must_use]
    pub fn strides(&self) -> &[isize] {
        self.layout.strides()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all elements.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.len() * self.dtype.item_size()
    }

    /// The order in which the elements lie side by side without gaps; `C` where both are true, `None` where neither is.
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        self.layout.order()
    }

    /// The file the array came from.
    #[must_use]
    pub fn source(&self) -> Option<&ArraySource> {
        self.memory.source()
    }

    /// The rule by which the array is not a map; `None` where it is one.
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        self.memory.copy_reason()
    }

    /// The part of `axis` (counted from 0) within `range`, in elements. Nothing is read or copied.
    ///
    /// # Errors
    ///
    /// Where there is no such axis, or the range leaves it.
    pub fn slice_axis(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        Ok(Self { layout: self.layout.slice_axis(axis, range)?, ..self.clone() })
    }

    /// The axes in opposite order: the transpose. Nothing is read or copied.
    #[must_use]
    pub fn reversed_axes(&self) -> Self {
        Self { layout: self.layout.reversed(), ..self.clone() }
    }

    /// The elements in one row, as they lie in memory: for work that does not care where an element stands. Nothing is
    /// read or copied.
    ///
    /// # Errors
    ///
    /// Where the elements do not lie side by side (a slice of a larger array).
    pub fn flatten(&self) -> Result<Self> {
        let layout = self.layout.flattened().ok_or_else(|| {
            Error::invalid_input(
                "the elements do not lie side by side and cannot be flattened in place",
            )
        })?;
        Ok(Self { layout, ..self.clone() })
    }

    /// The array with its element type known. A native-order array is not copied, unless a rule forbids a map
    /// ([`CopyReason`]); a foreign-order one is swapped, by all cores, into a buffer of its own.
    ///
    /// # Errors
    ///
    /// Where the elements are not of type `A`, the number of axes is not that of `D`, or (for `bool`) a byte is neither 0
    /// nor 1.
    pub fn to_array<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        if self.dtype.scalar() != Some(A::SCALAR) {
            return Err(Error::invalid_data(format!(
                "holds elements of dtype {} ({}), {} was asked for",
                Escaped(&self.dtype.to_string()),
                self.dtype.kind(),
                A::SCALAR.rust_name()
            )));
        }
        if let Some(axes) = D::NDIM.filter(|&axes| axes != self.shape().len()) {
            return Err(Error::invalid_data(format!(
                "has {} axes, shape {}; {axes} were asked for",
                self.shape().len(),
                Short(self.shape())
            )));
        }
        if !self.dtype.is_native() {
            return self.copied(CopyReason::ForeignByteOrder)?.viewed();
        }
        if A::SCALAR == Scalar::Bool && (self.memory.is_exposed() || self.memory.is_of_records()) {
            return self.copied(CopyReason::Bool)?.viewed();
        }
        if !self.layout.steps_by(size_of::<A>()) {
            return self.copied(CopyReason::Distance)?.viewed();
        }
        match A::cast(self.occupied()) {
            Err(CastError::Misaligned) => self.copied(CopyReason::Misaligned)?.viewed(),
            _ => self.viewed(),
        }
    }

    /// Itself, if that is its shape.
    pub(crate) fn of_shape(self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self);
        }
        Err(Error::invalid_data(format!(
            "the value says shape {}, its elements have shape {}",
            Short(shape),
            Short(self.shape())
        )))
    }

    /// The bytes from the first to the last element touched.
    pub(crate) fn occupied(&self) -> &[u8] {
        let (low, high) = self.layout.extent();
        &self.memory.bytes()[low..high]
    }

    /// The bytes of all elements, in the order given: no copy where they already lie that way.
    pub(crate) fn bytes_in(&self, order: Order) -> Cow<'_, [u8]> {
        if self.layout.order() == Some(order)
            || (self.shape().len() <= 1 && self.layout.order().is_some())
        {
            return Cow::Borrowed(self.occupied());
        }
        let mut bytes = Vec::with_capacity(self.nbytes());
        self.for_each_run(order, |run| bytes.extend_from_slice(run));
        Cow::Owned(bytes)
    }

    /// Calls `each` with the bytes of the elements in the order given, in runs as long as they lie side by side.
    pub(crate) fn for_each_run(&self, order: Order, each: impl FnMut(&[u8])) {
        let layout = match order {
            Order::C => &self.layout,
            Order::F => &self.layout.reversed(),
        };
        gather::runs(self.memory.bytes(), layout, each);
    }

    /// The elements in `byte_order`, every field of them: itself where they are in it, else a copy in a buffer of its own that
    /// still knows its [`source`](AnyArray::source).
    ///
    /// ```
    /// use ndferry::{AnyArray, dtype::ByteOrder, array::Order};
    ///
    /// let mixed = AnyArray::from_bytes("[('a', '>u2'), ('b', '<u2')]".parse()?, &[1], Order::C, &[0, 1, 2, 0])?;
    /// let big = mixed.in_byte_order(ByteOrder::Big)?;
    /// assert_eq!(big.dtype().to_string(), "[('a', '>u2'), ('b', '>u2')]");
    /// assert_eq!(big, mixed);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is no memory for the copy.
    pub fn in_byte_order(&self, byte_order: ByteOrder) -> Result<Self> {
        let dtype = self.dtype.with_byte_order(byte_order);
        if dtype == self.dtype {
            Ok(self.clone())
        } else {
            self.copied_as(dtype, CopyReason::ForeignByteOrder)
        }
    }

    /// A native-order copy in a buffer of its own; memory order is kept where there is one.
    fn copied(&self, why: CopyReason) -> Result<Self> {
        self.copied_as(self.dtype.with_byte_order(ByteOrder::NATIVE), why)
    }

    /// The elements side by side on a memory of their own, as they are.
    #[cfg(target_os = "linux")]
    pub(crate) fn apart(&self) -> Result<Self> {
        self.copied_as(self.dtype.clone(), self.copy_reason().unwrap_or(CopyReason::InMemory))
    }

    /// A copy of elements that differ from these in byte order alone.
    fn copied_as(&self, dtype: DType, why: CopyReason) -> Result<Self> {
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

    /// The array as it lies: native, aligned, of the type asked for.
    fn viewed<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        let (low, high) = self.layout.extent();
        SharedArray::over(Arc::clone(&self.memory), |bytes| {
            let elements = A::cast(&bytes[low..high]).map_err(|error| match error {
                CastError::Value => {
                    Error::invalid_data("is bool, and some byte is neither 0 nor 1")
                }
                CastError::Misaligned | CastError::Length => {
                    Error::invalid_data("does not lie at an element's address")
                }
            })?;
            strided(elements, &self.layout)
        })
    }
}

/// A view of `elements`, which begin at the lowest element of `layout`, whose steps are whole elements.
fn strided<'a, A, D: Dimension>(elements: &'a [A], layout: &Layout) -> Result<ArrayView<'a, A, D>> {
    let dimension = |values: &[usize]| {
        D::from_dimension(&IxDyn(values)).expect("the number of axes was compared before")
    };
    if layout.len() == 0 {
        return ArrayView::from_shape(dimension(layout.shape()), &[]).map_err(|error| {
            Error::invalid_data(format!("shape {}: {error}", Short(layout.shape())))
        });
    }
    // ndarray takes strides that are not negative; the axes that run backwards are turned round after.
    let ahead: Vec<usize> =
        layout.strides().iter().map(|stride| stride.unsigned_abs() / size_of::<A>()).collect();
    let shape = dimension(layout.shape()).strides(dimension(&ahead));
    let mut view = ArrayView::from_shape(shape, elements).map_err(|error| {
        Error::invalid_data(format!("shape {}: {error}", Short(layout.shape())))
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
        write!(f, "AnyArray({} {}, {kind})", self.dtype, Short(self.shape()))
    }
}
