//! Tiles: parts of two arrays of one shape, small enough to be held, and cut so that little is read twice.

use std::ops::Range;

use ndferry::Order;

/// Elements of a tile, at most.
const MOST: usize = 64 << 10;

/// The tiles of `shape`, each as a range of every axis; `order` is that of both arrays, where they have the same.
pub fn tiles(shape: &[usize], order: Option<Order>) -> impl Iterator<Item = Vec<Range<usize>>> + use<> {
    let (lengths, tile) = (shape.to_vec(), tile(shape, order, MOST));
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
fn tile(shape: &[usize], order: Option<Order>, most: usize) -> Vec<usize> {
    let mut tile: Vec<usize> = shape.iter().map(|&length| length.max(1)).collect();
    let size = |tile: &[usize]| tile.iter().fold(1_usize, |size, &length| size.saturating_mul(length));
    // The axis that is stepped along most slowly is cut first; where the arrays disagree which that is, the longest.
    let slowest: Vec<usize> = match order {
        Some(Order::C) => (0..shape.len()).collect(),
        Some(Order::F) => (0..shape.len()).rev().collect(),
        None => Vec::new(),
    };
    for axis in slowest {
        let others = size(&tile) / tile[axis];
        if size(&tile) > most {
            tile[axis] = (most / others).clamp(1, tile[axis]);
        }
    }
    while size(&tile) > most {
        let longest = (0..tile.len()).max_by_key(|&axis| tile[axis]).expect("more than one element");
        tile[longest] = tile[longest].div_ceil(2);
    }
    tile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        for shape in [&[][..], &[1], &[0, 7], &[7, 0], &[200_000], &[3, 70_000], &[70_000, 3], &[60, 50, 40, 2]] {
            for order in [None, Some(Order::C), Some(Order::F)] {
                let parts: Vec<_> = tiles(shape, order).collect();
                let size = |part: &Vec<Range<usize>>| part.iter().map(Range::len).product::<usize>();
                let total: usize = shape.iter().product();
                assert_eq!(parts.iter().map(size).sum::<usize>(), total, "{shape:?}");
                assert!(parts.iter().all(|part| (1..=MOST).contains(&size(part))), "{shape:?}");
                let mut starts: Vec<Vec<_>> =
                    parts.iter().map(|part| part.iter().map(|of| of.start).collect()).collect();
                starts.sort();
                starts.dedup();
                assert_eq!(starts.len(), parts.len(), "{shape:?}");
                assert!(parts.len() <= 4 * total.div_ceil(MOST), "{shape:?}: {} tiles", parts.len());
            }
        }
    }

    #[test]
    fn tiles_follow_the_order_that_both_arrays_have() {
        assert_eq!(tile(&[1000, 1000, 3], Some(Order::C), 6000), [2, 1000, 3]);
        assert_eq!(tile(&[1000, 1000, 3], Some(Order::F), 6000), [1000, 6, 1]);
        assert_eq!(tile(&[1000, 1000], None, 10_000), [125, 63]);
        assert_eq!(tile(&[10, 100_000], Some(Order::C), 1000), [1, 1000]);
    }
}
