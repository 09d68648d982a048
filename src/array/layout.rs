//! Where an array's elements lie: shape, strides, start. A `Layout` is checked when it is made, so whoever holds one can
//! compute with it without overflow.

use crate::{Error, Result};

/// Memory order of an array's elements.
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

/// Shape, strides and start, these two in bytes: a field of a record lies at distances that are no multiple of its size. The
/// number of elements times their size, and the distance between any two of them, fit `isize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    shape: Vec<usize>,
    strides: Vec<isize>,
    start: usize,
    item_size: usize,
    length: usize,
}

impl Layout {
    /// Elements side by side in `order`.
    ///
    /// # Errors
    ///
    /// Where the size in bytes is beyond what memory can address.
    pub(crate) fn contiguous(shape: &[usize], order: Order, item_size: usize) -> Result<Self> {
        let length = checked_length(shape, item_size)?;
        let mut strides = vec![0; shape.len()];
        let mut stride = item_size as isize;
        let mut lay = |axis: usize| {
            strides[axis] = stride;
            // The product of the axes other than those of length zero fits, as `checked_length` saw.
            stride *= shape[axis].max(1) as isize;
        };
        match order {
            Order::C => (0..shape.len()).rev().for_each(&mut lay),
            Order::F => (0..shape.len()).for_each(&mut lay),
        }
        Ok(Self { shape: shape.to_vec(), strides, start: 0, item_size, length })
    }

    /// Elements at `start` plus multiples of `strides`, all within `0..available`: all of these in bytes.
    ///
    /// # Errors
    ///
    /// Where an element would lie outside, or the numbers do not fit.
    pub(crate) fn strided(
        shape: &[usize],
        strides: &[isize],
        start: usize,
        available: usize,
        item_size: usize,
    ) -> Result<Self> {
        let length = checked_length(shape, item_size)?;
        if length == 0 && shape.len() == strides.len() && start <= available {
            // No element, no distance: strides that mean nothing must not be held against anyone.
            return Ok(Self { start, ..Self::contiguous(shape, Order::C, item_size)? });
        }
        // An axis of one element is never stepped along, and its stride is nobody's to multiply.
        let stepped = |(&axis, &stride): (&usize, &isize)| if axis > 1 { stride } else { 0 };
        let kept = shape.iter().zip(strides).map(stepped).collect();
        let layout = Self { shape: shape.to_vec(), strides: kept, start, item_size, length };
        let outside = || {
            Error::invalid_data(format!(
                "shape {} with its strides from byte {start} on reaches outside the {available} bytes there are",
                Short(shape)
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

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// First byte touched and one past the last.
    pub(crate) fn extent(&self) -> (usize, usize) {
        self.checked_extent().expect("a layout was checked when it was made")
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

    /// The order in which the elements lie side by side without gaps: `C` where both do, `None` where neither does.
    pub(crate) fn order(&self) -> Option<Order> {
        let dense = |axes: &mut dyn Iterator<Item = usize>| {
            let mut expected = self.item_size as isize;
            axes.filter(|&axis| self.shape[axis] != 1).all(|axis| {
                let fits = self.strides[axis] == expected;
                expected *= self.shape[axis] as isize;
                fits
            })
        };
        if self.length == 0 || dense(&mut (0..self.shape.len()).rev()) {
            Some(Order::C)
        } else if dense(&mut (0..self.shape.len())) {
            Some(Order::F)
        } else {
            None
        }
    }

    /// The part of `axis` within `range`.
    ///
    /// # Errors
    ///
    /// Where there is no such axis, or the range leaves it.
    pub(crate) fn slice_axis(&self, axis: usize, range: std::ops::Range<usize>) -> Result<Self> {
        let Some(&length) = self.shape.get(axis) else {
            return Err(Error::invalid_input(format!(
                "axis {axis} of an array with {} axes",
                self.shape.len()
            )));
        };
        if range.start > range.end || range.end > length {
            return Err(Error::invalid_input(format!(
                "range {range:?} of axis {axis}, which has {length} elements"
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

    /// The axes in opposite order: the transpose.
    pub(crate) fn reversed(&self) -> Self {
        let mut turned = self.clone();
        turned.shape.reverse();
        turned.strides.reverse();
        turned
    }

    /// The elements in one row, as they lie in memory; `None` where they do not lie side by side.
    pub(crate) fn flattened(&self) -> Option<Self> {
        self.order()?;
        Some(Self {
            shape: vec![self.length],
            strides: vec![self.item_size as isize],
            ..self.clone()
        })
    }

    /// A part of each element: an array of `shape` in C order, of elements of `item_size` bytes, `offset` bytes from its start. The
    /// axes of the part come after those of the whole.
    ///
    /// # Errors
    ///
    /// Where elements without bytes are too many to count.
    pub(crate) fn within_elements(
        &self,
        offset: usize,
        shape: &[usize],
        item_size: usize,
    ) -> Result<Self> {
        let part = Self::contiguous(shape, Order::C, item_size)?;
        debug_assert!(
            offset + part.length * item_size <= self.item_size,
            "the part lies within an element"
        );
        let shape = [&*self.shape, shape].concat();
        let length = checked_length(&shape, item_size)?;
        let strides = [&*self.strides, &*part.strides].concat();
        // No element, no place in it.
        let start = if self.length == 0 { self.start } else { self.start + offset };
        Ok(Self { shape, strides, start, item_size, length })
    }

    /// Whether an array of elements of `size` bytes can step from each element to the next, wherever it begins.
    pub(crate) fn steps_by(&self, size: usize) -> bool {
        let stepped = self.shape.iter().zip(&self.strides).filter(|(axis, _)| **axis > 1);
        self.length == 0
            || stepped.map(|(_, stride)| stride.unsigned_abs()).all(|stride| stride % size == 0)
    }

    pub(crate) fn item_size(&self) -> usize {
        self.item_size
    }
}

/// Product of a shape, if that many elements of `item_size` bytes can exist. Axes of length zero do not excuse the others:
/// ndarray's own rule, and what keeps strides from overflowing.
fn checked_length(shape: &[usize], item_size: usize) -> Result<usize> {
    shape
        .iter()
        .filter(|&&axis| axis != 0)
        .try_fold(item_size.max(1), |bytes, &axis| bytes.checked_mul(axis))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            Error::invalid_data(format!(
                "shape {} of {item_size}-byte elements is larger than memory can address",
                Short(shape)
            ))
        })?;
    Ok(shape.iter().product())
}

/// A shape inside a message, cut where it grows long.
pub(crate) struct Short<'a>(pub &'a [usize]);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MOST: usize = 8;
        f.write_str("(")?;
        for (at, axis) in self.0.iter().take(MOST).enumerate() {
            write!(f, "{}{axis}", if at > 0 { ", " } else { "" })?;
        }
        match self.0.len() {
            1 => f.write_str(",)"),
            0..=MOST => f.write_str(")"),
            more => write!(f, ", … {} axes in all)", more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_layouts_know_their_order() {
        let c = Layout::contiguous(&[2, 3, 4], Order::C, 8).unwrap();
        let f = Layout::contiguous(&[2, 3, 4], Order::F, 8).unwrap();
        assert_eq!((c.strides(), c.order()), (&[96, 32, 8][..], Some(Order::C)));
        assert_eq!((f.strides(), f.order()), (&[8, 16, 48][..], Some(Order::F)));
        assert_eq!(c.slice_axis(1, 0..2).unwrap().order(), None);
        assert_eq!(c.slice_axis(0, 1..2).unwrap().order(), Some(Order::C));
        assert_eq!(Layout::contiguous(&[], Order::F, 8).unwrap().len(), 1);
    }

    #[test]
    fn what_reaches_outside_or_overflows_is_refused() {
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
    fn fields_lie_within_the_elements_of_their_array() {
        let records = Layout::contiguous(&[2, 5], Order::F, 12).unwrap();
        let field = records.within_elements(3, &[2], 4).unwrap();
        assert_eq!(
            (field.shape(), field.strides(), field.start()),
            (&[2, 5, 2][..], &[12, 24, 4][..], 3)
        );
        assert_eq!((field.extent(), field.order()), ((3, 119), None));
        assert!(field.steps_by(4) && !field.steps_by(8));
        assert!(field.slice_axis(0, 1..2).unwrap().slice_axis(2, 0..1).unwrap().steps_by(8));
        assert_eq!(
            Layout::contiguous(&[1], Order::C, 12)
                .unwrap()
                .within_elements(0, &[3], 4)
                .unwrap()
                .order(),
            Some(Order::C)
        );
        let nothing = Layout::contiguous(&[1 << 40], Order::C, 8).unwrap();
        assert!(nothing.within_elements(0, &[1 << 40], 0).is_err(), "without bytes, and too many");
    }
}
