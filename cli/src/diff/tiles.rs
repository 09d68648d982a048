//! Tiles: parts of two arrays of one shape, small enough to be held, and cut so that little is read twice.

use std::ops::Range;

/// Elements of a tile, at most; and bytes, unless one element has more.
const MOST: usize = 64 << 10;
const BYTES: usize = 1 << 20;

/// How many elements of `size` bytes a tile has, at most.
pub fn most(size: usize) -> usize {
    (BYTES / size).clamp(1, MOST)
}

/// The tiles of `shape`, each as a range of every axis and with at most so many elements; `in_order`, the tiles
/// come as their elements do in C order.
pub fn tiles(
    shape: &[usize],
    in_order: bool,
    most: usize,
) -> impl Iterator<Item = Vec<Range<usize>>> + use<> {
    let (lengths, tile) = (shape.to_vec(), tile(shape, in_order, most));
    let mut next = (!shape.contains(&0)).then(|| vec![0; shape.len()]);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let range = |axis: usize| start[axis]..lengths[axis].min(start[axis] + tile[axis]);
        let ranges = (0..lengths.len()).map(range).collect();
        // Count up, like an odometer.
        let mut after = start.clone();
        for axis in (0..lengths.len()).rev() {
            after[axis] += tile[axis];
            if after[axis] < lengths[axis] {
                next = Some(after);
                break;
            }
            after[axis] = 0;
        }
        Some(ranges)
    })
}

/// The lengths of a tile of at most `most` elements.
fn tile(shape: &[usize], in_order: bool, most: usize) -> Vec<usize> {
    let mut tile: Vec<usize> = shape.iter().map(|&length| length.max(1)).collect();
    // Such a shape has a layout, so the product is within bounds.
    let mut size: usize = tile.iter().product();
    let mut axes = 0..shape.len();
    while size > most {
        // In C order the first axis is stepped along most slowly; where that does not count, the longest is cut.
        let (axis, length) = if in_order {
            let axis = axes.next().expect("more than one element");
            (axis, most / (size / tile[axis]))
        } else {
            let axis =
                (0..tile.len()).max_by_key(|&axis| tile[axis]).expect("more than one element");
            (axis, tile[axis].div_ceil(2))
        };
        size /= tile[axis];
        tile[axis] = length.max(1);
        size *= tile[axis];
    }
    tile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        for shape in [
            &[][..],
            &[1],
            &[0, 7],
            &[7, 0],
            &[200_000],
            &[3, 70_000],
            &[70_000, 3],
            &[60, 50, 40, 2],
        ] {
            for in_order in [false, true] {
                let parts: Vec<_> = tiles(shape, in_order, MOST).collect();
                let size =
                    |part: &Vec<Range<usize>>| part.iter().map(Range::len).product::<usize>();
                let total: usize = shape.iter().product();
                assert_eq!(parts.iter().map(size).sum::<usize>(), total, "{shape:?}");
                assert!(parts.iter().all(|part| (1..=MOST).contains(&size(part))), "{shape:?}");
                let mut starts: Vec<Vec<_>> =
                    parts.iter().map(|part| part.iter().map(|of| of.start).collect()).collect();
                assert!(!in_order || starts.is_sorted(), "{shape:?}");
                starts.sort();
                starts.dedup();
                assert_eq!(starts.len(), parts.len(), "{shape:?}");
                assert!(
                    parts.len() <= 4 * total.div_ceil(MOST),
                    "{shape:?}: {} tiles",
                    parts.len()
                );
            }
        }
    }

    #[test]
    fn tiles_are_rows_in_order_and_near_to_squares_else() {
        assert_eq!(tile(&[1000, 1000, 3], true, 6000), [2, 1000, 3]);
        assert_eq!(tile(&[10, 100_000], true, 1000), [1, 1000]);
        assert_eq!(tile(&[1000, 1000], false, 10_000), [125, 63]);
        assert_eq!(most(8), MOST);
        assert_eq!((most(1 << 19), most(1 << 30)), (2, 1));
    }
}
