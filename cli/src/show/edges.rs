//! The part of a large array that is printed: the first and the last elements of
//! each axis.

use ndferry::AnyArray;

/// Elements at each end of an axis that are printed, NumPy's `edgeitems`.
pub const EDGE: usize = 3;
/// Arrays of more elements are summarised, NumPy's `threshold`.
const MAX_WHOLE: usize = 1000;

/// Whether an array of this many elements is summarised.
pub fn is_summarised(count: usize) -> bool {
    count > MAX_WHOLE
}

/// Whether elements in the middle of an axis are left out of a summary.
pub fn is_long(length: usize) -> bool {
    length > 2 * EDGE
}

/// The number of elements in the edges of an array of this shape.
pub fn count(shape: &[usize]) -> usize {
    let shown = shape.iter().map(|&length| if is_long(length) { 2 * EDGE } else { length });
    shown.fold(1, usize::saturating_mul)
}

/// The indices along an axis of this length that are in the edges.
pub fn indices(length: usize) -> impl Iterator<Item = usize> + Clone {
    let middle = if is_long(length) { EDGE..length - EDGE } else { 0..0 };
    (0..middle.start.min(length)).chain(middle.end..length)
}

/// The parts of `array` whose elements, one part after another, are those in the
/// edges of its first `axes` axes.
pub fn blocks(array: &AnyArray, axes: usize) -> ndferry::Result<Vec<AnyArray>> {
    let mut blocks = Vec::new();
    collect(array, 0, axes, &mut blocks)?;
    Ok(blocks)
}

fn collect(
    array: &AnyArray,
    axis: usize,
    axes: usize,
    blocks: &mut Vec<AnyArray>,
) -> ndferry::Result<()> {
    let shape = array.shape();
    if !shape[axis..axes].iter().any(|&length| is_long(length)) {
        blocks.push(array.clone());
        return Ok(());
    }
    let length = shape[axis];
    if shape[axis + 1..axes].iter().any(|&length| is_long(length)) {
        for at in indices(length) {
            collect(&array.slice_axis(axis, at..at + 1)?, axis + 1, axes, blocks)?;
        }
    } else {
        blocks.push(array.slice_axis(axis, 0..EDGE)?);
        blocks.push(array.slice_axis(axis, length - EDGE..length)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Axis, IxDyn, concatenate};
    use ndferry::SharedArray;

    use super::*;

    #[test]
    fn show_edges_are_both_ends_of_each_axis() {
        for shape in [&[7_usize][..], &[6], &[2, 9], &[9, 2], &[8, 2, 7], &[7, 8, 3, 9], &[1, 10]] {
            let count: usize = shape.iter().product();
            let all = Array::from_iter(0..count as u64).into_shape_with_order(shape).unwrap();
            let mut expected = all.clone().into_dyn();
            for (axis, &length) in shape.iter().enumerate().filter(|(_, length)| is_long(**length))
            {
                let (start, end) = expected.view().split_at(Axis(axis), EDGE);
                let (_, end) = end.split_at(Axis(axis), length - 2 * EDGE);
                expected = concatenate(Axis(axis), &[start, end]).unwrap();
            }
            let array = SharedArray::from(all.into_dyn()).to_any();
            let blocks = blocks(&array, shape.len()).unwrap();
            let found: Vec<u64> = blocks
                .iter()
                .flat_map(|block| {
                    block.to_array::<u64, IxDyn>().unwrap().iter().copied().collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "{shape:?}");
            assert_eq!(found.len(), super::count(shape), "{shape:?}");
        }
        assert_eq!(indices(8).collect::<Vec<_>>(), [0, 1, 2, 5, 6, 7]);
        assert_eq!(indices(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(indices(0).count(), 0);
    }
}
