//! The tasks of the workers. Each visits the elements of one block of an array.

use std::{error::Error, ops::Range};

use half::{bf16, f16};
use ndarray::IxDyn;
use ndferry::{AnyArray, dtype::Scalar};

use super::{
    histogram::{Bins, Histogram},
    number::{MAX_RUN_LEN, Number, Visitor},
    summary::Summary,
};

/// Bytes of a block. The work on a block takes much longer than sending a task.
const MAX_BLOCK_NBYTES: usize = 4 << 20;
/// Blocks that a smaller array is cut into, so that many workers get some.
const MIN_BLOCKS: usize = 64;
/// Bytes that are swapped to the native byte order at once. They fit in the
/// cache of a core.
const MAX_PIECE_NBYTES: usize = 128 << 10;

/// The result of a task.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Cuts an array into blocks along its first axis. The blocks depend only on
/// the array, so the statistics do not depend on the number of workers.
pub fn blocks(array: &AnyArray) -> Vec<Range<usize>> {
    // The first axis of an empty array can have any length.
    if array.is_empty() {
        return Vec::new();
    }
    let length = array.shape()[0];
    let size = array.nbytes().checked_div(length).unwrap_or(0).max(1);
    let (min, max) =
        ((MAX_RUN_LEN * array.dtype().item_size() / size).max(1), (MAX_BLOCK_NBYTES / size).max(1));
    let block = (length / MIN_BLOCKS).next_multiple_of(min).clamp(min, max.max(min));
    let starts = (0..length).step_by(block);
    starts.map(|start| start..length.min(start + block)).collect()
}

/// The task that summarises a block of the first axis.
pub fn summarise(array: &AnyArray, block: Range<usize>) -> Outcome<Summary> {
    let mut summary = Summary::default();
    walk(array, block, &mut summary)?;
    Ok(summary)
}

/// The task that counts the elements of a block of the first axis in bins.
pub fn count((array, bins): &(AnyArray, Bins), block: Range<usize>) -> Outcome<Histogram> {
    let mut histogram = Histogram::new(*bins);
    walk(array, block, &mut histogram)?;
    Ok(histogram)
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
        _ => Err(format!("cannot compute statistics of dtype {}", array.dtype()).into()),
    }
}

/// Visits an array in pieces along the first axis with more than one element,
/// and along the next one if a piece is still too large. So a piece stays in the
/// cache after its bytes were swapped.
fn walk_as<A: Number>(array: &AnyArray, visitor: &mut impl Visitor) -> Outcome<()> {
    let axis = array.shape().iter().position(|&length| length > 1);
    let (Some(axis), true) = (axis, array.nbytes() > MAX_PIECE_NBYTES) else {
        let elements = array.to_array::<A, IxDyn>()?;
        match elements.as_slice() {
            Some(elements) => elements.chunks(MAX_RUN_LEN).for_each(|run| visitor.visit(run)),
            // The elements of a field are not contiguous.
            None => {
                let elements: Vec<A> = elements.iter().copied().collect();
                elements.chunks(MAX_RUN_LEN).for_each(|run| visitor.visit(run));
            }
        }
        return Ok(());
    };
    let length = array.shape()[axis];
    let piece = (MAX_PIECE_NBYTES / (array.nbytes() / length)).max(1);
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
    fn stats_blocks_cover_an_array_once() {
        let bytes = SharedArray::from(vec![0_u8; 64 << 20]).to_any();
        for length in [0, 1, MAX_RUN_LEN, 33_825, 1 << 20, (1 << 25) + 7] {
            let blocks = blocks(&bytes.slice_axis(0, 0..length).unwrap());
            let end = blocks.iter().fold(0, |end, block| {
                assert_eq!(block.start, end, "{length}");
                assert!(block.end > end && block.len() <= MAX_BLOCK_NBYTES, "{length}");
                block.end
            });
            assert_eq!(end, length);
            assert!(
                blocks.len() > 8 || length < 9 * MAX_RUN_LEN,
                "{length}: {} blocks",
                blocks.len()
            );
        }
    }

    #[test]
    fn stats_visits_every_element_once() {
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
