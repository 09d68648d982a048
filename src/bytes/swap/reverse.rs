//! Reversing the bytes of units of one width, in parallel.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::sys::vector;

/// The smallest number of bytes for which starting threads pays.
pub(super) const MIN_PARALLEL_LEN: usize = 4 << 20;

/// The smallest number of bytes for which the check for vector instructions
/// pays. Fields of records are mostly shorter.
const MIN_VECTOR_LEN: usize = 64;

/// Bytes of a memory page on most machines.
const PAGE_SIZE: usize = 4096;

/// Reverses the bytes of each `width`-byte unit of `bytes`, in place.
///
/// # Examples
///
/// ```
/// let mut bytes = [1, 2, 3, 4];
/// ndferry::swap::in_place(&mut bytes, 2);
/// assert_eq!(bytes, [2, 1, 4, 3]);
/// ```
///
/// # Panics
///
/// Panics if `width` is not 1, 2, 4 or 8, or the length is not a multiple of
/// it.
pub fn in_place(bytes: &mut [u8], width: usize) {
    check(bytes.len(), width);
    if width == 1 {
        return;
    }
    for_parts_in_place(bytes, width, |part| reverse_in_place(part, width));
}

/// Copies `from` to `to` and reverses the bytes of each `width`-byte unit.
///
/// # Examples
///
/// ```
/// let mut to = [0; 4];
/// ndferry::swap::copy(&[1, 2, 3, 4], &mut to, 4);
/// assert_eq!(to, [4, 3, 2, 1]);
/// ```
///
/// # Panics
///
/// Panics if `width` is not 1, 2, 4 or 8, the length is not a multiple of it,
/// or the two lengths differ.
pub fn copy(from: &[u8], to: &mut [u8], width: usize) {
    assert_eq!(from.len(), to.len(), "source and destination differ in length");
    check(from.len(), width);
    for_parts_copied(from, to, width, |from, to| reverse_copy(from, to, width));
}

/// Calls `work` with parts of `bytes`, in parallel if there are many bytes.
/// Units of `unit` bytes are not cut.
pub(super) fn for_parts_in_place(bytes: &mut [u8], unit: usize, work: impl Fn(&mut [u8]) + Sync) {
    let part = part_len(bytes.len(), unit);
    if part >= bytes.len() {
        return work(bytes);
    }
    run_in_threads(bytes.chunks_mut(part), work);
}

/// Like [`for_parts_in_place`], from one buffer to another.
pub(super) fn for_parts_copied(
    from: &[u8],
    to: &mut [u8],
    unit: usize,
    work: impl Fn(&[u8], &mut [u8]) + Sync,
) {
    let part = part_len(from.len(), unit);
    if part >= from.len() {
        return work(from, to);
    }
    run_in_threads(from.chunks(part).zip(to.chunks_mut(part)), |(from, to)| work(from, to));
}

fn check(length: usize, width: usize) {
    assert!(matches!(width, 1 | 2 | 4 | 8), "a unit of {width} bytes cannot be reversed");
    assert_eq!(length % width, 0, "{length} bytes are not a whole number of {width}-byte units");
}

/// Calls `work` with each part in its own thread. If a thread cannot be
/// started, this thread processes its part.
fn run_in_threads<T: Send>(parts: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
    // A part stays in its mutex until a thread takes it.
    let parts: Vec<_> = parts.map(|part| Mutex::new(Some(part))).collect();
    let work = |part: &Mutex<Option<T>>| {
        let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
        part.into_iter().for_each(&work);
    };
    thread::scope(|scope| {
        let (last, others) = parts.split_last().expect("a large buffer has parts");
        for part in others {
            let _ = thread::Builder::new().spawn_scoped(scope, || work(part));
        }
        work(last);
    });
    parts.iter().for_each(work);
}

/// Returns the number of bytes for each thread: a multiple of `unit`, and of a
/// page if possible, so that threads do not share pages.
fn part_len(length: usize, unit: usize) -> usize {
    if length < MIN_PARALLEL_LEN {
        return length;
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    length.div_ceil(threads).next_multiple_of(if PAGE_SIZE % unit == 0 { PAGE_SIZE } else { unit })
}

/// Reverses whole units in this thread.
#[inline]
pub(super) fn reverse_in_place(bytes: &mut [u8], width: usize) {
    if bytes.len() < MIN_VECTOR_LEN {
        return portable::in_place(bytes, width);
    }
    vector::widest(bytes, |bytes| portable::in_place(bytes, width));
}

fn reverse_copy(from: &[u8], to: &mut [u8], width: usize) {
    vector::widest(to, |to| portable::copy(from, to, width));
}

mod portable {
    //! Loops over units, which the compiler vectorizes for the instruction set of
    //! the caller.

    /// Reverses each unit of `width` bytes in place.
    #[inline(always)]
    pub(super) fn in_place(bytes: &mut [u8], width: usize) {
        match width {
            2 => each::<2>(bytes),
            4 => each::<4>(bytes),
            8 => each::<8>(bytes),
            _ => {}
        }
    }

    /// Like [`in_place`], from one buffer to another of the same length.
    #[inline(always)]
    pub(super) fn copy(from: &[u8], to: &mut [u8], width: usize) {
        match width {
            2 => each_copied::<2>(from, to),
            4 => each_copied::<4>(from, to),
            8 => each_copied::<8>(from, to),
            _ => to.copy_from_slice(from),
        }
    }

    #[inline(always)]
    fn each<const WIDTH: usize>(bytes: &mut [u8]) {
        for unit in bytes.chunks_exact_mut(WIDTH) {
            unit.copy_from_slice(&reversed::<WIDTH>(unit));
        }
    }

    #[inline(always)]
    fn each_copied<const WIDTH: usize>(from: &[u8], to: &mut [u8]) {
        for (from, to) in from.chunks_exact(WIDTH).zip(to.chunks_exact_mut(WIDTH)) {
            to.copy_from_slice(&reversed::<WIDTH>(from));
        }
    }

    #[inline(always)]
    fn reversed<const WIDTH: usize>(unit: &[u8]) -> [u8; WIDTH] {
        let mut unit: [u8; WIDTH] = unit.try_into().expect("the chunk has the width of a unit");
        unit.reverse();
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reverses units one byte at a time.
    fn oracle(bytes: &[u8], width: usize) -> Vec<u8> {
        bytes.chunks(width).flat_map(|unit| unit.iter().rev().copied()).collect()
    }

    #[test]
    fn swap_kernels_reverse_every_unit() {
        let noise: Vec<u8> =
            (0..(MIN_PARALLEL_LEN + 8 * 4099)).map(|i| (i * 131 % 251) as u8).collect();
        for width in [1, 2, 4, 8] {
            for length in [0, 1, 2, 3, 7, 8, 31, 32, 33, 64, 1000, MIN_PARALLEL_LEN / 8 + 8 * 511] {
                // The large length, which uses several threads, is tested at
                // one address only.
                for start in if length <= 1000 { 0..4 } else { 1..2 } {
                    let from = &noise[start..start + length * width];
                    let expected = oracle(from, width);
                    let mut copied = vec![0; from.len()];
                    copy(from, &mut copied, width);
                    assert!(copied == expected, "copy, width {width}, {length} units");
                    let mut swapped = from.to_vec();
                    in_place(&mut swapped, width);
                    assert!(swapped == expected, "in place, width {width}, {length} units");
                    // The code for processors without vector instructions
                    // beyond those of the target.
                    copied.fill(0);
                    portable::copy(from, &mut copied, width);
                    portable::in_place(&mut swapped, width);
                    assert!(
                        copied == expected && swapped == from,
                        "portable, width {width}, {length} units"
                    );
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "not a whole number")]
    fn swap_refuses_incomplete_unit() {
        in_place(&mut [0; 7], 4);
    }
}
