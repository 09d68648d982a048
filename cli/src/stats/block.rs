//! The tasks that workers run: going through one block of an array.

use std::{error::Error, ops::Range};

use half::{bf16, f16};
use ndarray::IxDyn;
use ndferry::{AnyArray, dtype::Scalar};

use super::{
    histogram::{Bins, Histogram},
    kernel::{Number, STRETCH},
    summary::Summary,
};

/// Bytes of a block: enough to be worth sending a task for.
const BLOCK: usize = 4 << 20;
/// Blocks that a smaller array is cut into, so that there is work for many.
const SHARES: usize = 64;
/// Bytes that are made native at once: few enough to stay in the processor's cache.
const PIECE: usize = 128 << 10;

/// What a task comes to.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Cuts an array along its first axis into blocks. How depends on nothing else, so that the figures do not depend on the
/// number of workers.
pub fn blocks(array: &AnyArray) -> Vec<Range<usize>> {
    // Nothing can be of a length beyond counting.
    if array.is_empty() {
        return Vec::new();
    }
    let length = array.shape()[0];
    let size = array.nbytes().checked_div(length).unwrap_or(0).max(1);
    let (least, most) =
        ((STRETCH * array.dtype().item_size() / size).max(1), (BLOCK / size).max(1));
    let block = (length / SHARES).next_multiple_of(least).clamp(least, most.max(least));
    let starts = (0..length).step_by(block);
    starts.map(|start| start..length.min(start + block)).collect()
}

/// The task: what the elements of a block of the first axis say.
pub fn summarise(array: &AnyArray, block: Range<usize>) -> Outcome<Summary> {
    let mut summary = Summary::default();
    walk(array, block, &mut summary)?;
    Ok(summary)
}

/// The task: which bins the elements of a block of the first axis fall into.
pub fn count((array, bins): &(AnyArray, Bins), block: Range<usize>) -> Outcome<Histogram> {
    let mut histogram = Histogram::new(*bins);
    walk(array, block, &mut histogram)?;
    Ok(histogram)
}

/// Takes in elements, stretch by stretch.
pub trait Visitor {
    fn visit<A: Number>(&mut self, stretch: &[A]);
}

impl Visitor for Summary {
    fn visit<A: Number>(&mut self, stretch: &[A]) {
        *self = self.merge(A::summarise(stretch));
    }
}

fn walk(array: &AnyArray, block: Range<usize>, visitor: &mut impl Visitor) -> Outcome<()> {
    let block = array.slice_axis(0, block)?;
    match array.dtype().scalar() {
        Some(Scalar::Bool) => walk_as::<bool>(&block, visitor),
        Some(Scalar::I8) => walk_as::<i8>(&block, visitor),
        Some(Scalar::I16) => walk_as::<i16>(&block, visitor),
        Some(Scalar::I32) => walk_as::<i32>(&block, visitor),
        Some(Scalar::I64) => walk_as::<i64>(&block, visitor),
        Some(Scalar::U8) => walk_as::<u8>(&block, visitor),
        Some(Scalar::U16) => walk_as::<u16>(&block, visitor),
        Some(Scalar::U32) => walk_as::<u32>(&block, visitor),
        Some(Scalar::U64) => walk_as::<u64>(&block, visitor),
        Some(Scalar::F16) => walk_as::<f16>(&block, visitor),
        Some(Scalar::BF16) => walk_as::<bf16>(&block, visitor),
        Some(Scalar::F32) => walk_as::<f32>(&block, visitor),
        Some(Scalar::F64) => walk_as::<f64>(&block, visitor),
        _ => Err(format!("there are no figures for elements of dtype {}", array.dtype()).into()),
    }
}

/// Piece by piece, so that a swap of foreign byte order stays in the cache as well: along the first axis that has more than one
/// element, and along the next where one of those is too large.
fn walk_as<A: Number>(array: &AnyArray, visitor: &mut impl Visitor) -> Outcome<()> {
    let axis = array.shape().iter().position(|&length| length > 1);
    let (Some(axis), true) = (axis, array.nbytes() > PIECE) else {
        let elements = array.to_array::<A, IxDyn>()?;
        match elements.as_slice() {
            Some(elements) => elements.chunks(STRETCH).for_each(|stretch| visitor.visit(stretch)),
            // A field lies among others.
            None => {
                let elements: Vec<A> = elements.iter().copied().collect();
                elements.chunks(STRETCH).for_each(|stretch| visitor.visit(stretch));
            }
        }
        return Ok(());
    };
    let length = array.shape()[axis];
    let piece = (PIECE / (array.nbytes() / length)).max(1);
    for start in (0..length).step_by(piece) {
        walk_as::<A>(&array.slice_axis(axis, start..length.min(start + piece))?, visitor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array;
    use ndferry::SharedArray;

    use super::*;
    use crate::value::Value;

    #[test]
    fn blocks_cover_an_array_once_and_share_out_small_ones() {
        let bytes = SharedArray::from(vec![0_u8; 64 << 20]).to_any();
        for length in [0, 1, STRETCH, 33_825, 1 << 20, (1 << 25) + 7] {
            let blocks = blocks(&bytes.slice_axis(0, 0..length).unwrap());
            let end = blocks.iter().fold(0, |end, block| {
                assert_eq!(block.start, end, "{length}");
                assert!(block.end > end && block.len() <= BLOCK, "{length}");
                block.end
            });
            assert_eq!(end, length);
            assert!(blocks.len() > 8 || length < 9 * STRETCH, "{length}: {} blocks", blocks.len());
        }
    }

    #[test]
    fn elements_are_visited_once_whatever_the_axes() {
        for shape in [&[3_usize, 70_000][..], &[1, 1, 300_000], &[100_000, 3], &[2, 3, 4], &[5, 0]]
        {
            let length: usize = shape.iter().product();
            let whole = SharedArray::from(
                Array::from_iter(0..length as u64).into_shape_with_order(shape).unwrap(),
            );
            for array in [whole.to_any(), whole.to_any().reversed_axes()] {
                let all = blocks(&array).into_iter().map(|block| summarise(&array, block).unwrap());
                let summary = all.fold(Summary::default(), Summary::merge);
                assert_eq!(summary.count(), length as u64, "{shape:?}");
                let last = (length > 0).then(|| Value::Integer(length as i128 - 1));
                assert_eq!(summary.max(), last, "{shape:?}");
            }
        }
    }
}
