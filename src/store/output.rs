//! Arrays that several processes fill at once, each its own part.
//!
//! A [`SharedArrayMut`] is lent in parts along an axis. Each worker receives the array's file
//! once ([`Output`]), and each task receives the right to one part ([`Part`]). The task's
//! process maps that part only while the task runs.
//!
//! No process reads an element that another process writes, because of these rules:
//!
//! - The array is borrowed mutably while it is lent, so its process has no other reference to
//!   it.
//! - Each part is made once ([`Parts`]), and parts do not overlap. A `Part` cannot be copied,
//!   and opening it consumes it.
//! - A part is sent again only after the process that had it has ended. The sender ensures
//!   this, and that the borrow does not end while a process works on a part.
//! - Elements are plain data, so that a half-written element of a dead process is still a
//!   value.

use std::{fs::File, marker::PhantomData, ops::Range, sync::Arc};

use bytemuck::Pod;
use ndarray::Dimension;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::attached::{self, Role};
use crate::{
    DType, Error, Result,
    array::{Order, OwnedViewMut, SharedArrayMut},
    bytes::map::WritableMap,
    dtype::Element,
};

/// The parts of a lent array that were not given out yet, in the order of the axis.
pub(crate) struct Parts<'a> {
    output: Output,
    left: Range<usize>,
    /// Borrows the array while it is lent.
    _lent: PhantomData<&'a mut ()>,
}

/// The right to fill one part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part(usize);

/// A lent array, for the processes that fill it.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    file: Arc<File>,
    shape: Shape,
}

/// The shape of the array in the file, and its division into parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shape {
    dtype: DType,
    /// The offset of the array in the file.
    offset: u64,
    shape: Vec<usize>,
    order: Order,
    axis: usize,
    /// The length of each part along the axis. The last part may be shorter.
    chunk: usize,
}

impl<A: Element + Pod, D: Dimension> SharedArrayMut<A, D> {
    /// Lends the array in parts of `chunk` along `axis`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such axis, `chunk` is 0, the axes were permuted or
    /// sliced since the array was made, or this process cannot open more files.
    pub(crate) fn lend(&mut self, axis: usize, chunk: usize) -> Result<Parts<'_>> {
        let axes = self.shape();
        let Some(&length) = axes.get(axis) else {
            return Err(Error::invalid_input(format!(
                "axis {axis} of an array with {} axes",
                axes.len()
            )));
        };
        if chunk == 0 {
            return Err(Error::invalid_input("an array cannot be filled in parts of length 0"));
        }
        let (file, offset) = self.location()?;
        let Some(layout) = self.original_layout()? else {
            let message = "an array whose axes were turned or cut cannot be filled in parts: turn them back, or freeze it";
            return Err(Error::invalid_input(message));
        };
        let order = layout.order().unwrap_or(Order::C);
        let shape =
            Shape { dtype: DType::of::<A>(), offset, shape: axes.to_vec(), order, axis, chunk };
        // A part without elements needs no task.
        let parts = if self.is_empty() { 0 } else { length.div_ceil(chunk) };
        Ok(Parts { output: Output { file, shape }, left: 0..parts, _lent: PhantomData })
    }
}

impl Parts<'_> {
    /// Returns the description that the receivers of parts need.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        self.left.next().map(Part)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for Parts<'_> {}

impl Output {
    /// Returns the indices of a part along the axis.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such part.
    pub(crate) fn range(&self, part: &Part) -> Result<Range<usize>> {
        let Shape { shape, axis, chunk, .. } = &self.shape;
        let length = shape.get(*axis).copied().unwrap_or(0);
        match part.0.checked_mul(*chunk) {
            Some(start) if start < length => Ok(start..length.min(start.saturating_add(*chunk))),
            _ => Err(Error::invalid_data(format!(
                "part {} of an axis of {length} in parts of {chunk}",
                part.0
            ))),
        }
    }

    /// Maps the part for writing, as long as the returned value lives.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such part, its elements are not of type `A`, it has not
    /// the dimensions of `D`, or it cannot be mapped.
    pub(crate) fn open<A: Element + Pod, D: Dimension>(
        &self,
        part: Part,
    ) -> Result<OwnedViewMut<A, D>> {
        let Shape { dtype, offset, shape, order, axis, .. } = &self.shape;
        if *dtype != DType::of::<A>() {
            return Err(Error::invalid_data(format!(
                "an output of dtype {dtype}, {} was asked for",
                DType::of::<A>()
            )));
        }
        OwnedViewMut::of_part(shape, *order, *axis, self.range(&part)?, |bytes| {
            let offset = offset.checked_add(bytes.start as u64);
            let offset = offset.ok_or_else(|| {
                Error::invalid_data("an output that lies beyond what a file can hold")
            })?;
            let map = WritableMap::of(&self.file, offset, bytes.len());
            map.map_err(|error| Error::io("cannot map a part of the output", error))
        })
    }
}

/// Serializes as a reference in messages to a task.
impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = attached::attach(Role::Output, &self.file);
        let number =
            number.ok_or_else(|| ser::Error::custom("an output goes to tasks and nowhere else"))?;
        (number, &self.shape).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let (number, shape) = <(u64, Shape)>::deserialize(deserializer)?;
        let file = attached::attached(Role::Output, number);
        let file = file.ok_or_else(|| de::Error::custom("an output came without its file"))?;
        Ok(Self { file, shape })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis, Ix1, Ix3, ShapeBuilder};

    use super::*;
    use crate::store::Store;

    /// Returns a value as it arrives at a task.
    fn sent<T: Serialize + de::DeserializeOwned>(value: &T) -> T {
        let (text, attached) = attached::outgoing(0, || serde_json::to_string(value).unwrap());
        attached::incoming(&attached, || serde_json::from_str(&text).unwrap())
    }

    fn number((i, j, k): (usize, usize, usize)) -> f64 {
        (100 * i + 10 * j + k) as f64
    }

    #[test]
    fn output_parts_filled_at_once_make_the_array() {
        let (dim, stores) = ((5, 4, 7), [Store::new().unwrap(), Store::memfd().unwrap()]);
        let expected = Array3::from_shape_fn(dim, number);
        for (store, f_order, axis, chunk) in cases(&stores, [1, 2, 3, 7, 100]) {
            let mut array = store.zeros::<f64, _>(dim.set_f(f_order)).unwrap();
            let parts = array.lend(axis, chunk).unwrap();
            let output = parts.output().clone();
            let mut opened = Vec::new();
            let mut next = 0;
            for part in parts {
                let (output, part) = (sent(&output), sent(&part));
                let range = output.range(&part).unwrap();
                assert_eq!(
                    (range.start, range.len()),
                    (next, chunk.min(expected.len_of(Axis(axis)) - next))
                );
                next = range.end;
                opened.push((range, output.open::<f64, Ix3>(part).unwrap()));
            }
            assert_eq!(next, expected.len_of(Axis(axis)));
            // Every part is open, each in its own thread.
            std::thread::scope(|scope| {
                for (range, part) in &mut opened {
                    scope.spawn(|| {
                        for ((i, j, k), element) in part.array_mut().indexed_iter_mut() {
                            assert_eq!(*element, 0.0);
                            let mut at = [i, j, k];
                            at[axis] += range.start;
                            *element = number(at.into());
                        }
                    });
                }
            });
            drop(opened);
            assert_eq!(*array, expected, "axis {axis} in parts of {chunk}, F order {f_order}");
            assert_eq!(*array.freeze().unwrap(), expected);
        }
    }

    fn cases(
        stores: &[Store],
        chunks: [usize; 5],
    ) -> impl Iterator<Item = (&Store, bool, usize, usize)> {
        let orders = stores.iter().flat_map(|store| [false, true].map(|order| (store, order)));
        let axes = orders.flat_map(|(store, order)| (0..3).map(move |axis| (store, order, axis)));
        axes.flat_map(move |(store, order, axis)| chunks.map(|chunk| (store, order, axis, chunk)))
    }

    #[test]
    fn output_rejects_foreign_parts() {
        let store = Store::new().unwrap();
        let mut array = store.zeros::<f32, _>((4, 3)).unwrap();
        assert!(
            array.lend(2, 1).err().unwrap().to_string().contains("axis 2 of an array with 2 axes")
        );
        assert!(array.lend(0, 0).err().unwrap().to_string().contains("parts of length 0"));
        array.swap_axes(0, 1);
        assert!(array.lend(0, 3).err().unwrap().to_string().contains("axes were turned or cut"));
        array.swap_axes(0, 1);
        let output = array.lend(0, 3).unwrap().output().clone();
        assert!(output.range(&Part(2)).is_err() && output.range(&Part(usize::MAX)).is_err());
        let refused = |error: Option<Error>| error.unwrap().to_string();
        assert!(refused(output.open::<f32, Ix1>(Part(0)).err()).contains("other axes"));
        assert!(
            refused(output.open::<f64, Ix3>(Part(0)).err()).contains("an output of dtype <f4")
                || cfg!(target_endian = "big")
        );
        assert!(
            refused(output.open::<f32, ndarray::Ix2>(Part(2)).err())
                .contains("part 2 of an axis of 4")
        );
        assert_eq!(store.zeros::<f32, _>((4, 0)).unwrap().lend(0, 1).unwrap().len(), 0);
        assert!(serde_json::to_string(&output).is_err());
    }

    #[test]
    fn output_parts_outlive_the_path_of_their_file() {
        let store = Store::new().unwrap();
        let mut array = store.zeros::<u8, _>(100_000).unwrap();
        let mut parts = array.lend(0, 50_000).unwrap();
        let (output, part) = (sent(parts.output()), sent(&parts.next().unwrap()));
        drop(array);
        assert!(store.files().unwrap().is_empty());
        let mut part = output.open::<u8, Ix1>(part).unwrap();
        part.array_mut().fill(1);
        assert_eq!(part.array().len(), 50_000);
    }
}
