//! An array whose element type is known at run time.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use ndarray::{ArrayView, Dimension, IxDyn, ShapeBuilder};

use super::{Layout, Memory, Order, SharedArray, Source, Storage, WhyNotMapped, gather, layout::Short};
use crate::{
    DType, Element, Error, Result, Scalar,
    dtype::{CastError, dispatch},
    map::Buffer,
    swap,
};

/// An immutable array whose element type is known at run time: from a file, the command line, another language.
///
/// It holds its elements as they were recorded, byte order included: an array of a foreign-order file is a map of it, and
/// only the part that [`to_array`](AnyArray::to_array) is asked of is swapped. Cloning is cheap.
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
        let (_, end) = layout.extent();
        let needed = end.saturating_mul(dtype.item_size());
        let found = memory.bytes().len();
        if needed > found {
            return Err(Error::invalid(format!(
                "shape {} of {dtype} needs {needed} bytes, there are {found}",
                Short(layout.shape())
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

    /// Distance between neighbours along each axis, in elements.
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
    pub fn source(&self) -> Option<&Source> {
        self.memory.source()
    }

    /// The rule by which the array is not a map; `None` where it is one.
    #[must_use]
    pub fn why_not_mapped(&self) -> Option<WhyNotMapped> {
        self.memory.why_not_mapped()
    }

    /// The part of `axis` (counted from 0) within `range`, in elements. Nothing is read or copied.
    ///
    /// # Errors
    ///
    /// Where there is no such axis, or the range leaves it.
    pub fn slice_axis(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        Ok(Self { layout: self.layout.slice_axis(axis, range)?, ..self.clone() })
    }

    /// The elements in one row, as they lie in memory: for work that does not care where an element stands. Nothing is
    /// read or copied.
    ///
    /// # Errors
    ///
    /// Where the elements do not lie side by side (a slice of a larger array).
    pub fn flatten(&self) -> Result<Self> {
        let layout = self
            .layout
            .flattened()
            .ok_or_else(|| Error::usage("the elements do not lie side by side and cannot be flattened in place"))?;
        Ok(Self { layout, ..self.clone() })
    }

    /// The array with its element type known. A native-order array is not copied, unless a rule forbids a map
    /// ([`WhyNotMapped`]); a foreign-order one is swapped, by all cores, into a buffer of its own.
    ///
    /// # Errors
    ///
    /// Where the elements are not of type `A`, the number of axes is not that of `D`, or (for `bool`) a byte is neither 0
    /// nor 1.
    pub fn to_array<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        if self.dtype.scalar() != A::SCALAR {
            return Err(Error::invalid(format!(
                "holds elements of dtype {} ({}), {} was asked for",
                self.dtype,
                self.dtype.scalar().rust_name(),
                A::SCALAR.rust_name()
            )));
        }
        if let Some(axes) = D::NDIM.filter(|&axes| axes != self.shape().len()) {
            return Err(Error::invalid(format!(
                "has {} axes, shape {}; {axes} were asked for",
                self.shape().len(),
                Short(self.shape())
            )));
        }
        if !self.dtype.is_native() {
            return self.copied(WhyNotMapped::ForeignByteOrder)?.viewed();
        }
        if A::SCALAR == Scalar::Bool && self.memory.is_exposed() {
            return self.copied(WhyNotMapped::Bool)?.viewed();
        }
        match A::cast(self.occupied()) {
            Err(CastError::Misaligned) => self.copied(WhyNotMapped::Misaligned)?.viewed(),
            _ => self.viewed(),
        }
    }

    /// The same elements under `shape`: itself where that is its shape already; a row of elements is taken in C order.
    pub(crate) fn shaped(self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self);
        }
        let size = self.dtype.item_size();
        let layout = Layout::contiguous(shape, Order::C, size)?;
        if self.shape().len() != 1 || layout.len() != self.len() || self.layout.order().is_none() {
            return Err(Error::invalid(format!(
                "the value says shape {}, its elements have shape {}",
                Short(shape),
                Short(self.shape())
            )));
        }
        let layout = Layout::strided(shape, layout.strides(), self.layout.start(), usize::MAX / size / 2, size)?;
        Self::new(self.memory, self.dtype, layout)
    }

    /// The bytes from the first to the last element touched.
    pub(crate) fn occupied(&self) -> &[u8] {
        let (low, high) = self.layout.extent();
        let size = self.dtype.item_size();
        &self.memory.bytes()[low * size..high * size]
    }

    /// The bytes of all elements, in the order given: no copy where they already lie that way.
    pub(crate) fn bytes_in(&self, order: Order) -> Cow<'_, [u8]> {
        if self.layout.order() == Some(order) || (self.shape().len() <= 1 && self.layout.order().is_some()) {
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
        gather::runs(self.memory.bytes(), layout, self.dtype.item_size(), each);
    }

    /// A native-order copy in a buffer of its own; memory order is kept where there is one.
    fn copied(&self, why: WhyNotMapped) -> Result<Self> {
        let order = self.layout.order().unwrap_or(Order::C);
        let bytes = self.bytes_in(order);
        let mut buffer = Buffer::zeroed(bytes.len())?;
        let width = self.dtype.scalar().swap_width();
        swap::copy(&bytes, buffer.as_mut(), if self.dtype.is_native() { 1 } else { width });
        Ok(Self {
            memory: Memory::owned(buffer, self.source().cloned(), why),
            dtype: DType::new(self.dtype.scalar(), crate::ByteOrder::NATIVE),
            layout: Layout::contiguous(self.shape(), order, self.dtype.item_size())?,
        })
    }

    /// The array as it lies: native, aligned, of the type asked for.
    fn viewed<A: Element, D: Dimension>(&self) -> Result<SharedArray<A, D>> {
        let (low, high) = self.layout.extent();
        let size = self.dtype.item_size();
        SharedArray::over(Arc::clone(&self.memory), |bytes| {
            let elements = A::cast(&bytes[low * size..high * size]).map_err(|error| match error {
                CastError::Value => Error::invalid("is bool, and some byte is neither 0 nor 1"),
                CastError::Misaligned | CastError::Length => Error::invalid("does not lie at an element's address"),
            })?;
            strided(elements, &self.layout)
        })
    }
}

/// A view of `elements`, which begin at the lowest element of `layout`.
fn strided<'a, A, D: Dimension>(elements: &'a [A], layout: &Layout) -> Result<ArrayView<'a, A, D>> {
    let dimension =
        |values: &[usize]| D::from_dimension(&IxDyn(values)).expect("the number of axes was compared before");
    if layout.len() == 0 {
        return ArrayView::from_shape(dimension(layout.shape()), &[])
            .map_err(|error| Error::invalid(format!("shape {}: {error}", Short(layout.shape()))));
    }
    // ndarray takes strides that are not negative; the axes that run backwards are turned round after.
    let ahead: Vec<usize> = layout.strides().iter().map(|stride| stride.unsigned_abs()).collect();
    let shape = dimension(layout.shape()).strides(dimension(&ahead));
    let mut view = ArrayView::from_shape(shape, elements)
        .map_err(|error| Error::invalid(format!("shape {}: {error}", Short(layout.shape()))))?;
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

/// Two arrays are equal when they have the same shape, the same element type and equal elements; byte order, memory order
/// and origin do not matter. As with numbers, NaN equals nothing.
impl PartialEq for AnyArray {
    fn eq(&self, other: &Self) -> bool {
        self.dtype.scalar() == other.dtype.scalar()
            && self.shape() == other.shape()
            && dispatch!(self.dtype.scalar(), A => {
                match (self.to_array::<A, IxDyn>(), other.to_array::<A, IxDyn>()) {
                    (Ok(this), Ok(that)) => this == that,
                    _ => false,
                }
            })
    }
}
