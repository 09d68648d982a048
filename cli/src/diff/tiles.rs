//! Cuts a shape into tiles that fit in memory, so that few pages are read twice.

use std::ops::Range;

/// Elements of a tile.
const MAX_TILE_LEN: usize = 64 << 10;
/// Bytes of a tile, unless one element has more.
const MAX_TILE_NBYTES: usize = 1 << 20;

/// The largest number of elements of `size` bytes in a tile.
pub fn max_len(size: usize) -> usize {
    (MAX_TILE_NBYTES / size).clamp(1, MAX_TILE_LEN)
}

/// The tiles of `shape`, each with at most `max_len` elements and as a range of
/// each axis. If `in_order` is set, the tiles have the elements in C order.
pub fn tiles(
    shape: &[usize],
    in_order: bool,
    max_len: usize,
) -> impl Iterator<Item = Vec<Range<usize>>> + use<> {
    let (lengths, tile) = (shape.to_vec(), tile(shape, in_order, max_len));
    let mut next = (!shape.contains(&0)).then(|| vec![0; shape.len()]);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let range = |axis: usize| start[axis]..lengths[axis].min(start[axis] + tile[axis]);
        let ranges = (0..lengths.len()).map(range).collect();
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

/// The shape of a tile of at most `max_len` elements.
fn tile(shape: &[usize], in_order: bool, max_len: usize) -> Vec<usize> {
    let mut tile: Vec<usize> = shape.iter().map(|&length| length.max(1)).collect();
    // The shape of an array, so the product does not overflow.
    let mut size: usize = tile.iter().product();
    let mut axes = 0..shape.len();
    while size > max_len {
        // In C order the first axis varies slowest. If the order does not
        // matter, the longest axis is cut.
        let (axis, length) = if in_order {
            let axis = axes.next().expect("more than one element");
            (axis, max_len / (size / tile[axis]))
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
    fn diff_tiles_cover_every_element_once() {
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
                let parts: Vec<_> = tiles(shape, in_order, MAX_TILE_LEN).collect();
                let size =
                    |part: &Vec<Range<usize>>| part.iter().map(Range::len).product::<usize>();
                let total: usize = shape.iter().product();
                assert_eq!(parts.iter().map(size).sum::<usize>(), total, "{shape:?}");
                assert!(
                    parts.iter().all(|part| (1..=MAX_TILE_LEN).contains(&size(part))),
                    "{shape:?}"
                );
                let mut starts: Vec<Vec<_>> =
                    parts.iter().map(|part| part.iter().map(|of| of.start).collect()).collect();
                assert!(!in_order || starts.is_sorted(), "{shape:?}");
                starts.sort();
                starts.dedup();
                assert_eq!(starts.len(), parts.len(), "{shape:?}");
                assert!(
                    parts.len() <= 4 * total.div_ceil(MAX_TILE_LEN),
                    "{shape:?}: {} tiles",
                    parts.len()
                );
            }
        }
    }

    #[test]
    fn diff_tiles_are_rows_in_order_and_nearly_square_otherwise() {
        assert_eq!(tile(&[1000, 1000, 3], true, 6000), [2, 1000, 3]);
        assert_eq!(tile(&[10, 100_000], true, 1000), [1, 1000]);
        assert_eq!(tile(&[1000, 1000], false, 10_000), [125, 63]);
        assert_eq!(max_len(8), MAX_TILE_LEN);
        assert_eq!((max_len(1 << 19), max_len(1 << 30)), (2, 1));
    }
}
