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
