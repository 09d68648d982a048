//! Reversing the bytes of numbers: in place, or on the way from one buffer to another.
//!
//! Only bits move, so NaN payloads and signalling bits survive. Large buffers are shared out over scoped threads: none is
//! left behind when a call returns. A complex number is two units of half its size, a structured element is reversed field by
//! field ([`to_order`]).

mod change;
mod portable;

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

pub(crate) use change::Change;

use crate::{DType, dtype::ByteOrder, sys::vector};

/// Bytes below which one thread is faster than starting a second.
const PARALLEL_FROM: usize = 4 << 20;

/// Bytes below which it takes longer to come to wide vectors than they save: fields of records are mostly shorter.
const WIDE_FROM: usize = 64;

/// Reverses the bytes of every `width`-byte unit of `bytes`, in place.
///
/// # Panics
///
/// Where `width` is not 1, 2, 4 or 8, or does not divide the length.
///
/// ```
/// let mut bytes = [1, 2, 3, 4];
/// ndferry::swap::in_place(&mut bytes, 2);
/// assert_eq!(bytes, [2, 1, 4, 3]);
/// ```
pub fn in_place(bytes: &mut [u8], width: usize) {
    check(bytes.len(), width);
    if width == 1 {
        return;
    }
    parts_in_place(bytes, width, |part| reverse_in_place(part, width));
}

/// Copies `from` to `to`, reversing the bytes of every `width`-byte unit.
///
/// # Panics
///
/// Where `width` is not 1, 2, 4 or 8, does not divide the length, or the two lengths differ.
///
/// ```
/// let mut to = [0; 4];
/// ndferry::swap::copy(&[1, 2, 3, 4], &mut to, 4);
/// assert_eq!(to, [4, 3, 2, 1]);
/// ```
pub fn copy(from: &[u8], to: &mut [u8], width: usize) {
    assert_eq!(from.len(), to.len(), "source and destination differ in length");
    check(from.len(), width);
    parts_copied(from, to, width, |from, to| reverse_copy(from, to, width));
}

/// Brings elements of `dtype` into `byte_order`, in place: each field of a structured dtype that is not in it yet. The elements are
/// then of `dtype.with_byte_order(byte_order)`.
///
/// # Panics
///
/// Where the length is no whole number of elements.
///
/// ```
/// use ndferry::{dtype::ByteOrder, DType, bytes::swap};
///
/// let mixed: DType = "[('a', '>u2'), ('b', '<u2'), ('c', '|S2')]".parse()?;
/// let mut bytes = [1, 2, 3, 4, 5, 6];
/// swap::to_order(&mut bytes, &mixed, ByteOrder::Big);
/// assert_eq!(bytes, [1, 2, 4, 3, 5, 6]);
/// # Ok::<(), ndferry::Error>(())
/// ```
pub fn to_order(bytes: &mut [u8], dtype: &DType, byte_order: ByteOrder) {
    Change::to_order(dtype, byte_order).in_place(bytes);
}

/// Works on parts of whole units of `unit` bytes, in parallel where that pays.
fn parts_in_place(bytes: &mut [u8], unit: usize, work: impl Fn(&mut [u8]) + Sync) {
    let part = part(bytes.len(), unit);
    if part >= bytes.len() {
        return work(bytes);
    }
    share_out(bytes.chunks_mut(part), work);
}

/// As [`parts_in_place`], from one buffer to another.
fn parts_copied(from: &[u8], to: &mut [u8], unit: usize, work: impl Fn(&[u8], &mut [u8]) + Sync) {
    let part = part(from.len(), unit);
    if part >= from.len() {
        return work(from, to);
    }
    share_out(from.chunks(part).zip(to.chunks_mut(part)), |(from, to)| work(from, to));
}

fn check(length: usize, width: usize) {
    assert!(matches!(width, 1 | 2 | 4 | 8), "a unit of {width} bytes cannot be reversed");
    assert_eq!(length % width, 0, "{length} bytes are no whole number of {width}-byte units");
}

/// Works on every part, each in a thread of its own as far as threads can be had.
fn share_out<T: Send>(parts: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
    // Where no thread can be had, its part is still here to be worked on.
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

/// Bytes for each thread: a whole number of units, so that none is cut, and of pages where it can be, so that none is shared.
fn part(length: usize, unit: usize) -> usize {
    if length < PARALLEL_FROM {
        return length;
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    length.div_ceil(threads).next_multiple_of(if 4096 % unit == 0 { 4096 } else { unit })
}

#[inline]
fn reverse_in_place(bytes: &mut [u8], width: usize) {
    if bytes.len() < WIDE_FROM {
        return portable::in_place(bytes, width);
    }
    vector::widest(bytes, |bytes| portable::in_place(bytes, width));
}

fn reverse_copy(from: &[u8], to: &mut [u8], width: usize) {
    vector::widest(to, |to| portable::copy(from, to, width));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernels must equal, one byte at a time.
    fn oracle(bytes: &[u8], width: usize) -> Vec<u8> {
        bytes.chunks(width).flat_map(|unit| unit.iter().rev().copied()).collect()
    }

    #[test]
    fn every_kernel_reverses_every_unit_at_every_length_and_address() {
        let noise: Vec<u8> =
            (0..(PARALLEL_FROM + 8 * 4099)).map(|i| (i * 131 % 251) as u8).collect();
        for width in [1, 2, 4, 8] {
            for length in [0, 1, 2, 3, 7, 8, 31, 32, 33, 64, 1000, PARALLEL_FROM / 8 + 8 * 511] {
                // Of the large one, which goes over several threads, one is enough.
                for start in if length <= 1000 { 0..4 } else { 1..2 } {
                    let from = &noise[start..start + length * width];
                    let expected = oracle(from, width);
                    let mut copied = vec![0; from.len()];
                    copy(from, &mut copied, width);
                    assert!(copied == expected, "copy, width {width}, {length} units");
                    let mut swapped = from.to_vec();
                    in_place(&mut swapped, width);
                    assert!(swapped == expected, "in place, width {width}, {length} units");
                    // What those come to on a processor without wider vectors than its target promises.
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
    #[should_panic(expected = "no whole number")]
    fn a_torn_unit_is_refused() {
        in_place(&mut [0; 7], 4);
    }
}
