//! Two arrays of one shape, read in tiles, and the index of each element.

use std::{ops::Range, rc::Rc};

use ndferry::{AnyArray, array::Order};

use super::tiles::{self, tiles};
use crate::failure::reason;

/// Two arrays of one shape. If both are contiguous in the same memory order,
/// they are flattened, because arrays can have very many axes.
pub struct Pair {
    arrays: [AnyArray; 2],
    flattened: Option<Rc<Flattened>>,
}

/// The axes that the first axis of two flattened arrays replaces.
struct Flattened {
    shape: Vec<usize>,
    order: Order,
    /// The length and the stride in C order of each axis with more than one
    /// element.
    axes: Vec<(usize, usize)>,
}

impl Flattened {
    fn new(shape: &[usize], order: Order) -> Self {
        let mut axes = Vec::new();
        let mut stride = 1;
        for &length in shape.iter().rev().filter(|&&length| length > 1) {
            axes.push((length, stride));
            stride *= length;
        }
        axes.reverse();
        Self { shape: shape.to_vec(), order, axes }
    }

    /// The position in C order of the element at `position` in memory.
    fn in_c_order(&self, position: usize) -> usize {
        match self.order {
            Order::C => position,
            Order::F => {
                let mut rest = position;
                let step = |&(length, stride): &(usize, usize)| {
                    let at = rest % length;
                    rest /= length;
                    at * stride
                };
                self.axes.iter().map(step).sum()
            }
        }
    }

    /// The index of the element at `position` in C order.
    fn index(&self, position: usize) -> Vec<usize> {
        let mut rest = position;
        let mut index = vec![0; self.shape.len()];
        for (at, &length) in index.iter_mut().zip(&self.shape).rev() {
            *at = rest % length;
            rest /= length;
        }
        index
    }
}

impl Pair {
    /// Pairs two arrays of one shape.
    pub fn new(one: &AnyArray, other: &AnyArray) -> Result<Self, String> {
        let order = one.order().filter(|&order| other.order() == Some(order));
        let Some(order) = order else {
            return Ok(Self { arrays: [one.clone(), other.clone()], flattened: None });
        };
        let flat = |array: &AnyArray| array.flatten().map_err(|error| reason(&error));
        Ok(Self {
            arrays: [flat(one)?, flat(other)?],
            flattened: Some(Rc::new(Flattened::new(one.shape(), order))),
        })
    }

    /// A field of both arrays, which have records.
    pub fn field(&self, step: &str) -> Result<Self, String> {
        let field = |array: &AnyArray| array.field(step).map_err(|error| reason(&error));
        let [one, other] = &self.arrays;
        Ok(Self { arrays: [field(one)?, field(other)?], flattened: self.flattened.clone() })
    }

    pub fn one(&self) -> &AnyArray {
        &self.arrays[0]
    }

    pub fn other(&self) -> &AnyArray {
        &self.arrays[1]
    }

    pub fn shape(&self) -> Vec<usize> {
        let shape = self.one().shape();
        match &self.flattened {
            None => shape.to_vec(),
            Some(axes) => [&axes.shape, &shape[1..]].concat(),
        }
    }

    /// The tiles of the arrays. Elements of 0 bytes cannot differ, so their
    /// arrays have no tiles.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> + use<> {
        let one = self.one();
        let size = one.dtype().item_size();
        let in_order = self.flattened.is_some();
        let tiles = (size > 0).then(|| tiles(one.shape(), in_order, tiles::max_len(size)));
        tiles.into_iter().flatten().map(Tile)
    }

    /// Whether the tiles have the elements in C order.
    pub fn is_in_order(&self) -> bool {
        self.flattened.as_ref().is_some_and(|axes| axes.order == Order::C)
    }

    /// The position of the element at `index` of the arrays as they are read.
    /// Positions compare in C order.
    pub fn position(&self, mut index: Vec<usize>) -> Vec<usize> {
        if let Some(axes) = &self.flattened {
            index[0] = axes.in_c_order(index[0]);
        }
        index
    }

    /// The index of the element at a [`position`](Self::position).
    pub fn index(&self, position: &[usize]) -> Vec<usize> {
        match &self.flattened {
            None => position.to_vec(),
            Some(axes) => [axes.index(position[0]), position[1..].to_vec()].concat(),
        }
    }
}

/// A part of both arrays, with a range of each axis.
pub struct Tile(Vec<Range<usize>>);

impl Tile {
    /// The tile of `array`.
    pub fn of(&self, array: &AnyArray) -> ndferry::Result<AnyArray> {
        let mut cut =
            self.0.iter().enumerate().filter(|&(axis, range)| range.len() < array.shape()[axis]);
        cut.try_fold(array.clone(), |part, (axis, range)| part.slice_axis(axis, range.clone()))
    }

    /// Whether the elements number `at` of two tiles, in C order, have equal
    /// bytes.
    pub fn is_same(&self, at: usize, one: &AnyArray, other: &AnyArray) -> ndferry::Result<bool> {
        let index = self.index(at);
        let element = |part: &AnyArray| {
            let axes = index.iter().zip(&self.0).map(|(at, range)| at - range.start).enumerate();
            let mut axes = axes.filter(|&(axis, _)| part.shape()[axis] > 1);
            axes.try_fold(part.clone(), |part, (axis, at)| part.slice_axis(axis, at..at + 1))
        };
        Ok(element(one)? == element(other)?)
    }

    /// The index within the arrays of the element number `at` of the tile, in C
    /// order.
    pub fn index(&self, at: usize) -> Vec<usize> {
        let mut rest = at;
        let mut index: Vec<_> = self.0.iter().map(|range| range.start).collect();
        for (start, range) in index.iter_mut().zip(&self.0).rev() {
            *start += rest % range.len();
            rest /= range.len();
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ShapeBuilder};
    use ndferry::SharedArray;

    use super::*;

    #[test]
    fn diff_tiles_have_every_element_once_with_its_index() {
        let array = |fortran: bool| {
            let index = |(a, b, c): (usize, usize, usize)| (a * 100 + b * 10 + c) as u32;
            SharedArray::from(Array3::from_shape_fn((3, 1, 4).set_f(fortran), index)).to_any()
        };
        for (one, other) in [(false, false), (true, true), (true, false)] {
            let pair = Pair::new(&array(one), &array(other)).unwrap();
            assert_eq!(pair.shape(), [3, 1, 4]);
            let mut positions = Vec::new();
            for tile in pair.tiles() {
                let part = tile.of(pair.one()).unwrap().to_array::<u32, ndarray::IxDyn>().unwrap();
                for (at, &value) in part.iter().enumerate() {
                    let position = pair.position(tile.index(at));
                    let index = pair.index(&position);
                    assert_eq!(value as usize, index[0] * 100 + index[1] * 10 + index[2]);
                    positions.push((position, index));
                }
            }
            assert_eq!(positions.len(), 12);
            assert!(!pair.is_in_order() || positions.is_sorted());
            positions.sort();
            assert!(positions.iter().map(|(_, index)| index).is_sorted(), "{positions:?}");
        }
    }
}
