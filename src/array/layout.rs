//! The layout of an array's elements in memory: shape, strides, and start.
//!
//! A `Layout` is checked when it is created. Arithmetic with its numbers does
//! not overflow.

use crate::{Error, Result};

/// The memory order of an array's elements.
///
/// # Examples
///
/// ```
/// use ndferry::{SharedArray, array::Order, ndarray::array};
///
/// let any = SharedArray::from(array![[1, 2], [3, 4]]).to_any();
/// assert_eq!(any.order(), Some(Order::C));
/// assert_eq!(any.reversed_axes().order(), Some(Order::F));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Order {
    /// Row-major: the last axis runs fastest.
    C,
    /// Column-major: the first axis runs fastest.
    F,
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::C => "C",
            Self::F => "F",
        })
    }
}

/// Shape, strides and start of an array.
///
/// Strides and start are in bytes, because the distance between fields of
/// records need not be a multiple of their size. The size of all elements and
/// the distance between any two of them fit `isize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    shape: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
    item_size: usize,
    length: usize,
}

impl Layout {
    /// Returns the layout of contiguous elements in `order`.
    ///
    /// # Errors
    ///
    /// Returns an error if memory cannot address as many bytes.
    pub(crate) fn contiguous(shape: &[usize], order: Order, item_size: usize) -> Result<Self> {
        let length = checked_length(shape, item_size)?;
        let mut strides = vec![0; shape.len()];
        let mut stride = item_size as isize;
        let mut set_stride = |axis: usize| {
            strides[axis] = stride;
            // `checked_length` has checked the product of all axes that are not
            // zero.
            stride *= shape[axis].max(1) as isize;
        };
        match order {
            Order::C => (0..shape.len()).rev().for_each(&mut set_stride),
            Order::F => (0..shape.len()).for_each(&mut set_stride),
        }
        Ok(Self { shape: shape.to_vec(), strides, start: 0, item_size, length })
    }

    /// Returns the layout of elements at `start` plus multiples of `strides`.
    ///
    /// `strides`, `start` and `available` are in bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if an element is outside of `0..available`, or the
    /// numbers overflow.
    pub(crate) fn strided(
        shape: &[usize],
        strides: &[isize],
        start: usize,
        available: usize,
        item_size: usize,
    ) -> Result<Self> {
        let length = checked_length(shape, item_size)?;
        if length == 0 && shape.len() == strides.len() && start <= available {
            // The strides of an empty array have no meaning, so any are
            // accepted.
            return Ok(Self { start, ..Self::contiguous(shape, Order::C, item_size)? });
        }
        // The stride of an axis with one element has no meaning and may be too
        // large to multiply.
        let effective = |(&axis, &stride): (&usize, &isize)| if axis > 1 { stride } else { 0 };
        let strides_in_use = shape.iter().zip(strides).map(effective).collect();
        let layout =
            Self { shape: shape.to_vec(), strides: strides_in_use, start, item_size, length };
        let outside = || {
            Error::invalid_data(format!(
                "shape {} with its strides, from byte {start} on, exceeds the {available} \
                 available bytes",
                ShortShape(shape)
            ))
        };
        if shape.len() != strides.len() || start > available {
            return Err(outside());
        }
        match layout.checked_extent() {
            Some((low, high)) if low <= high && high <= available => Ok(layout),
            _ => Err(outside()),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn strides(&self) -> &[isize] {
        &self.strides
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Returns the number of elements.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Returns the offsets of the first byte of all elements, and of the byte
    /// after the last.
    pub(crate) fn extent(&self) -> (usize, usize) {
        self.checked_extent().expect("the layout was checked when it was created")
    }

    fn checked_extent(&self) -> Option<(usize, usize)> {
        if self.length == 0 {
            return Some((self.start, self.start));
        }
        let (mut low, mut high) = (self.start as isize, self.start as isize);
        for (&length, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = ((length - 1) as isize).checked_mul(stride)?;
            if reach < 0 {
                low = low.checked_add(reach)?;
            } else {
                high = high.checked_add(reach)?;
            }
        }
        let low = usize::try_from(low).ok()?;
        Some((low, usize::try_from(high).ok()?.checked_add(self.item_size)?))
    }

    /// Returns the order in which the elements are contiguous: `C` if they are
    /// in both, and `None` if they have gaps.
    pub(crate) fn order(&self) -> Option<Order> {
        let is_contiguous = |axes: &mut dyn Iterator<Item = usize>| {
            let mut expected = self.item_size as isize;
            axes.filter(|&axis| self.shape[axis] != 1).all(|axis| {
                let fits = self.strides[axis] == expected;
                expected *= self.shape[axis] as isize;
                fits
            })
        };
        if self.length == 0 || is_contiguous(&mut (0..self.shape.len()).rev()) {
            Some(Order::C)
        } else if is_contiguous(&mut (0..self.shape.len())) {
            Some(Order::F)
        } else {
            None
        }
    }

    /// Returns the layout of the part within `range` of `axis`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such axis, or it is shorter than
    /// `range`.
    pub(crate) fn slice_axis(&self, axis: usize, range: std::ops::Range<usize>) -> Result<Self> {
        let Some(&length) = self.shape.get(axis) else {
            return Err(Error::invalid_input(format!(
                "cannot slice axis {axis}: the array has {} axes",
                self.shape.len()
            )));
        };
        if range.start > range.end || range.end > length {
            return Err(Error::invalid_input(format!(
                "cannot slice range {range:?}: axis {axis} has {length} elements"
            )));
        }
        let mut part = self.clone();
        part.shape[axis] = range.len();
        part.length = part.shape.iter().product();
        if part.length == 0 {
            return Self::strided(
                &part.shape,
                &part.strides,
                self.start,
                self.start,
                self.item_size,
            );
        }
        part.start = (self.start as isize + range.start as isize * self.strides[axis]) as usize;
        Ok(part)
    }

    /// Returns the layout of every `step`-th element along `axis`, from the
    /// first, or from the last if `step` is negative.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such axis, or `step` is 0.
    pub(crate) fn step_axis(&self, axis: usize, step: isize) -> Result<Self> {
        let Some(&length) = self.shape.get(axis) else {
            return Err(Error::invalid_input(format!(
                "cannot step along axis {axis}: the array has {} axes",
                self.shape.len()
            )));
        };
        if step == 0 {
            return Err(Error::invalid_input(format!(
                "cannot step along axis {axis}: expected a step other than 0"
            )));
        }
        let mut part = self.clone();
        part.shape[axis] = length.div_ceil(step.unsigned_abs());
        part.length = part.shape.iter().product();
        if part.length == 0 {
            return Ok(part);
        }
        if step < 0 {
            part.start =
                (self.start as isize + (length - 1) as isize * self.strides[axis]) as usize;
        }
        // The stride of a single element has no meaning, and may overflow.
        part.strides[axis] = if part.shape[axis] > 1 { self.strides[axis] * step } else { 0 };
        Ok(part)
    }

    /// Returns the layout of the part at `index` of `axis`, without that axis.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such axis, or `index` is outside of it.
    pub(crate) fn index_axis(&self, axis: usize, index: usize) -> Result<Self> {
        let mut part = self.slice_axis(axis, index..index.saturating_add(1))?;
        part.shape.remove(axis);
        part.strides.remove(axis);
        part.length = part.shape.iter().product();
        Ok(part)
    }

    /// Returns the layout of the transpose.
    pub(crate) fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        reversed.shape.reverse();
        reversed.strides.reverse();
        reversed
    }

    /// Returns the layout of the elements as one axis in memory order, if they
    /// are contiguous.
    pub(crate) fn flattened(&self) -> Option<Self> {
        self.order()?;
        Some(Self {
            shape: vec![self.length],
            strides: vec![self.item_size as isize],
            ..self.clone()
        })
    }

    /// Returns the layout of a field: a part of each element, `offset` bytes
    /// from its start.
    ///
    /// The part is an array of `shape` in C order, of elements of `item_size`
    /// bytes. Its axes follow those of the whole.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of elements overflows, which only
    /// elements of zero bytes can cause.
    pub(crate) fn within_elements(
        &self,
        offset: usize,
        shape: &[usize],
        item_size: usize,
    ) -> Result<Self> {
        let part = Self::contiguous(shape, Order::C, item_size)?;
        debug_assert!(
            offset + part.length * item_size <= self.item_size,
            "the part is within an element"
        );
        let shape = [&*self.shape, shape].concat();
        let length = checked_length(&shape, item_size)?;
        let strides = [&*self.strides, &*part.strides].concat();
        // In an empty array, the offset may be out of bounds.
        let start = if self.length == 0 { self.start } else { self.start + offset };
        Ok(Self { shape, strides, start, item_size, length })
    }

    /// Returns whether all strides are multiples of `size`.
    pub(crate) fn has_strides_of(&self, size: usize) -> bool {
        let stepped = self.shape.iter().zip(&self.strides).filter(|(axis, _)| **axis > 1);
        self.length == 0
            || stepped.map(|(_, stride)| stride.unsigned_abs()).all(|stride| stride % size == 0)
    }

    pub(crate) fn item_size(&self) -> usize {
        self.item_size
    }
}

/// Returns the number of elements, if memory can address that many of
/// `item_size` bytes.
///
/// Axes of length zero are left out of the product, like ndarray does, so that
/// strides cannot overflow.
fn checked_length(shape: &[usize], item_size: usize) -> Result<usize> {
    shape
        .iter()
        .filter(|&&axis| axis != 0)
        .try_fold(item_size.max(1), |bytes, &axis| bytes.checked_mul(axis))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            Error::invalid_data(format!(
                "shape {} of {item_size}-byte elements is larger than memory can address",
                ShortShape(shape)
            ))
        })?;
    Ok(shape.iter().product())
}

/// How many axes of a shape a message shows.
const MAX_SHOWN_AXES: usize = 8;

/// A shape in a message, shortened.
pub(crate) struct ShortShape<'a>(pub &'a [usize]);

impl std::fmt::Display for ShortShape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(")?;
        for (at, axis) in self.0.iter().take(MAX_SHOWN_AXES).enumerate() {
            write!(f, "{}{axis}", if at > 0 { ", " } else { "" })?;
        }
        match self.0.len() {
            1 => f.write_str(",)"),
            0..=MAX_SHOWN_AXES => f.write_str(")"),
            count => write!(f, ", … {count} axes in all)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_contiguous_has_its_order() {
        let c = Layout::contiguous(&[2, 3, 4], Order::C, 8).unwrap();
        let f = Layout::contiguous(&[2, 3, 4], Order::F, 8).unwrap();
        assert_eq!((c.strides(), c.order()), (&[96, 32, 8][..], Some(Order::C)));
        assert_eq!((f.strides(), f.order()), (&[8, 16, 48][..], Some(Order::F)));
        assert_eq!(c.slice_axis(1, 0..2).unwrap().order(), None);
        assert_eq!(c.slice_axis(0, 1..2).unwrap().order(), Some(Order::C));
        assert_eq!(Layout::contiguous(&[], Order::F, 8).unwrap().len(), 1);
    }

    #[test]
    fn layout_out_of_bounds_is_refused() {
        assert!(Layout::contiguous(&[usize::MAX, 2], Order::C, 1).is_err());
        assert!(Layout::contiguous(&[0, usize::MAX, 2], Order::C, 1).is_err());
        assert!(Layout::contiguous(&[isize::MAX as usize], Order::C, 2).is_err());
        assert!(Layout::strided(&[3], &[-1], 2, 3, 1).is_ok());
        assert!(Layout::strided(&[3], &[-1], 1, 3, 1).is_err());
        assert!(Layout::strided(&[3], &[2], 0, 4, 1).is_err());
        assert!(Layout::strided(&[3], &[isize::MAX], 0, 4, 1).is_err());
        assert!(Layout::strided(&[1000], &[0], 3, 4, 1).is_ok(), "broadcast");
        assert!(Layout::strided(&[0], &[5], 4, 4, 1).is_ok(), "empty");
        assert!(Layout::strided(&[3], &[5], 2, 16, 4).is_ok());
        assert!(Layout::strided(&[3], &[5], 3, 16, 4).is_err());
    }

    #[test]
    fn layout_of_field_is_within_elements() {
        let records = Layout::contiguous(&[2, 5], Order::F, 12).unwrap();
        let field = records.within_elements(3, &[2], 4).unwrap();
        assert_eq!(
            (field.shape(), field.strides(), field.start()),
            (&[2, 5, 2][..], &[12, 24, 4][..], 3)
        );
        assert_eq!((field.extent(), field.order()), ((3, 119), None));
        assert!(field.has_strides_of(4) && !field.has_strides_of(8));
        assert!(field.slice_axis(0, 1..2).unwrap().slice_axis(2, 0..1).unwrap().has_strides_of(8));
        assert_eq!(
            Layout::contiguous(&[1], Order::C, 12)
                .unwrap()
                .within_elements(0, &[3], 4)
                .unwrap()
                .order(),
            Some(Order::C)
        );
        let nothing = Layout::contiguous(&[1 << 40], Order::C, 8).unwrap();
        assert!(
            nothing.within_elements(0, &[1 << 40], 0).is_err(),
            "too many elements without bytes"
        );
    }
}
