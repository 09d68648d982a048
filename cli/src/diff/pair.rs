//! Two arrays of one shape as they are gone through, and where an element of them stands.

use std::{ops::Range, rc::Rc};

use ndferry::{AnyArray, array::Order};

use super::tiles::{self, tiles};
use crate::failure::reason;

/// Two arrays of one shape; in one row where both lie side by side in the same order, whatever their axes, which may be as many as
/// a header has room for.
pub struct Pair {
    arrays: [AnyArray; 2],
    row: Option<Rc<Row>>,
}

/// What the first axis of two arrays stands for.
struct Row {
    shape: Vec<usize>,
    order: Order,
    /// Of each axis with more than one element, length and distance in C order.
    axes: Vec<(usize, usize)>,
}

impl Row {
    fn new(shape: &[usize], order: Order) -> Self {
        let mut axes = Vec::new();
        let mut distance = 1;
        for &length in shape.iter().rev().filter(|&&length| length > 1) {
            axes.push((length, distance));
            distance *= length;
        }
        axes.reverse();
        Self { shape: shape.to_vec(), order, axes }
    }

    /// The place in C order of what lies at `place`.
    fn in_c_order(&self, place: usize) -> usize {
        match self.order {
            Order::C => place,
            Order::F => {
                let mut rest = place;
                let step = |&(length, distance): &(usize, usize)| {
                    let at = rest % length;
                    rest /= length;
                    at * distance
                };
                self.axes.iter().map(step).sum()
            }
        }
    }

    /// The index of what is at `place` in C order.
    fn index(&self, place: usize) -> Vec<usize> {
        let mut rest = place;
        let mut index = vec![0; self.shape.len()];
        for (at, &length) in index.iter_mut().zip(&self.shape).rev() {
            *at = rest % length;
            rest /= length;
        }
        index
    }
}

impl Pair {
    /// Two arrays of one shape.
    pub fn new(one: &AnyArray, other: &AnyArray) -> Result<Self, String> {
        let order = one.order().filter(|&order| other.order() == Some(order));
        let Some(order) = order else {
            return Ok(Self { arrays: [one.clone(), other.clone()], row: None });
        };
        let flat = |array: &AnyArray| array.flatten().map_err(|error| reason(&error));
        Ok(Self {
            arrays: [flat(one)?, flat(other)?],
            row: Some(Rc::new(Row::new(one.shape(), order))),
        })
    }

    /// The field at `step` of both, which hold records.
    pub fn field(&self, step: &str) -> Result<Self, String> {
        let field = |array: &AnyArray| array.field(step).map_err(|error| reason(&error));
        let [one, other] = &self.arrays;
        Ok(Self { arrays: [field(one)?, field(other)?], row: self.row.clone() })
    }

    pub fn one(&self) -> &AnyArray {
        &self.arrays[0]
    }

    pub fn other(&self) -> &AnyArray {
        &self.arrays[1]
    }

    pub fn shape(&self) -> Vec<usize> {
        let shape = self.one().shape();
        self.row.as_ref().map_or_else(|| shape.to_vec(), |row| [&row.shape, &shape[1..]].concat())
    }

    /// The tiles to go through them by; none where elements have no bytes, by which they could differ.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> + use<> {
        let one = self.one();
        let size = one.dtype().item_size();
        let some = (size > 0).then(|| tiles(one.shape(), self.row.is_some(), tiles::most(size)));
        some.into_iter().flatten().map(Tile)
    }

    /// Whether elements come in C order.
    pub fn is_in_order(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.order == Order::C)
    }

    /// Where an element stands, in a form whose order is C order.
    pub fn place(&self, mut at: Vec<usize>) -> Vec<usize> {
        if let Some(row) = &self.row {
            at[0] = row.in_c_order(at[0]);
        }
        at
    }

    /// The index of what stands at a [`place`](Self::place).
    pub fn index(&self, place: &[usize]) -> Vec<usize> {
        match &self.row {
            None => place.to_vec(),
            Some(row) => [row.index(place[0]), place[1..].to_vec()].concat(),
        }
    }
}

/// A part of both arrays: a range of every axis.
pub struct Tile(Vec<Range<usize>>);

impl Tile {
    /// The part of `array` that the tile is.
    pub fn of(&self, array: &AnyArray) -> ndferry::Result<AnyArray> {
        let mut cut =
            self.0.iter().enumerate().filter(|&(axis, range)| range.len() < array.shape()[axis]);
        cut.try_fold(array.clone(), |part, (axis, range)| part.slice_axis(axis, range.clone()))
    }

    /// Whether the elements that are number `at` of the tile, in C order, have equal bytes; of the parts that the tile is.
    pub fn is_same(&self, at: usize, one: &AnyArray, other: &AnyArray) -> ndferry::Result<bool> {
        let index = self.at(at);
        let element = |part: &AnyArray| {
            let axes = index.iter().zip(&self.0).map(|(at, range)| at - range.start).enumerate();
            let mut axes = axes.filter(|&(axis, _)| part.shape()[axis] > 1);
            axes.try_fold(part.clone(), |part, (axis, at)| part.slice_axis(axis, at..at + 1))
        };
        Ok(element(one)? == element(other)?)
    }

    /// Where the element that is number `at` of the tile, in C order, stands in the arrays.
    pub fn at(&self, at: usize) -> Vec<usize> {
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
    fn every_element_is_gone_through_once_and_known_by_its_index() {
        let array = |fortran: bool| {
            let index = |(a, b, c): (usize, usize, usize)| (a * 100 + b * 10 + c) as u32;
            SharedArray::from(Array3::from_shape_fn((3, 1, 4).set_f(fortran), index)).to_any()
        };
        for (one, other) in [(false, false), (true, true), (true, false)] {
            let pair = Pair::new(&array(one), &array(other)).unwrap();
            assert_eq!(pair.shape(), [3, 1, 4]);
            let mut places = Vec::new();
            for tile in pair.tiles() {
                let part = tile.of(pair.one()).unwrap().to_array::<u32, ndarray::IxDyn>().unwrap();
                for (at, &value) in part.iter().enumerate() {
                    let place = pair.place(tile.at(at));
                    let index = pair.index(&place);
                    assert_eq!(value as usize, index[0] * 100 + index[1] * 10 + index[2]);
                    places.push((place, index));
                }
            }
            assert_eq!(places.len(), 12);
            assert!(!pair.is_in_order() || places.is_sorted());
            places.sort();
            assert!(places.iter().map(|(_, index)| index).is_sorted(), "{places:?}");
        }
    }
}
