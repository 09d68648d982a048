//! Passing an array's bytes on in blocks, in another byte order and memory order.

use std::io;

use crate::{AnyArray, DType, array::Order, bytes::swap::Change};

/// The size of a block: the memory that swapping and reordering take.
const BLOCK_LEN: usize = 1 << 20;

/// Calls `each` with the bytes of `array` in the byte order of `dtype` and in `order`.
pub(super) fn for_each_block(
    array: &AnyArray,
    dtype: &DType,
    order: Order,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let change = Change::between(array.dtype(), dtype);
    if array.order() == Some(order) || (array.shape().len() < 2 && array.order().is_some()) {
        return for_each_contiguous(array.occupied(), &change, each);
    }
    let block_len = change.block(BLOCK_LEN);
    let mut block = Vec::with_capacity(block_len.min(array.nbytes()));
    let mut result = Ok(());
    array.for_each_run(order, |run| {
        for part in run.chunks(block_len) {
            if result.is_err() {
                return;
            }
            block.extend_from_slice(part);
            if block.len() >= BLOCK_LEN {
                change.in_place(&mut block);
                result = each(&block);
                block.clear();
            }
        }
    });
    result?;
    change.in_place(&mut block);
    each(&block)
}

fn for_each_contiguous(
    bytes: &[u8],
    change: &Change,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    if *change == Change::Nothing {
        return bytes.chunks(BLOCK_LEN).try_for_each(each);
    }
    let block_len = change.block(BLOCK_LEN);
    let mut changed = vec![0; block_len.min(bytes.len())];
    bytes.chunks(block_len).try_for_each(|block| {
        let changed = &mut changed[..block.len()];
        change.copy(block, changed);
        each(changed)
    })
}
