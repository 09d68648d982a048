//! The tasks that workers run: going through one block of an array.

use std::{error::Error, ops::Range};

use half::{bf16, f16};
use ndarray::Ix1;
use ndferry::{AnyArray, DType, Scalar};

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

/// Cuts an array of `length` elements into blocks. How depends on nothing else, so that the figures do not depend on the
/// number of workers.
pub fn blocks(length: usize, dtype: &DType) -> Vec<Range<usize>> {
    let most = BLOCK / dtype.item_size();
    let block = (length / SHARES).next_multiple_of(STRETCH).clamp(STRETCH, most);
    let starts = (0..length).step_by(block);
    starts.map(|start| start..length.min(start + block)).collect()
}

/// Whether elements of this type have figures; the reason where they have none.
pub fn check(dtype: &DType) -> Result<(), String> {
    if dtype.scalar().is_complex() {
        return Err(format!("holds complex numbers ({dtype}), which have no order, and so no minimum or maximum"));
    }
    Ok(())
}

/// The task: what the elements of a block say. The array has one axis.
pub fn summarise(array: &AnyArray, block: Range<usize>) -> Outcome<Summary> {
    let mut summary = Summary::default();
    walk(array, block, &mut summary)?;
    Ok(summary)
}

/// The task: which bins the elements of a block fall into. The array has one axis.
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
    match array.dtype().scalar() {
        Scalar::Bool => walk_as::<bool>(array, block, visitor),
        Scalar::I8 => walk_as::<i8>(array, block, visitor),
        Scalar::I16 => walk_as::<i16>(array, block, visitor),
        Scalar::I32 => walk_as::<i32>(array, block, visitor),
        Scalar::I64 => walk_as::<i64>(array, block, visitor),
        Scalar::U8 => walk_as::<u8>(array, block, visitor),
        Scalar::U16 => walk_as::<u16>(array, block, visitor),
        Scalar::U32 => walk_as::<u32>(array, block, visitor),
        Scalar::U64 => walk_as::<u64>(array, block, visitor),
        Scalar::F16 => walk_as::<f16>(array, block, visitor),
        Scalar::BF16 => walk_as::<bf16>(array, block, visitor),
        Scalar::F32 => walk_as::<f32>(array, block, visitor),
        Scalar::F64 => walk_as::<f64>(array, block, visitor),
        _ => Err(format!("there are no figures for elements of dtype {}", array.dtype()).into()),
    }
}

/// Piece by piece, so that a swap of foreign byte order stays in the cache as well.
fn walk_as<A: Number>(array: &AnyArray, block: Range<usize>, visitor: &mut impl Visitor) -> Outcome<()> {
    let piece = PIECE / size_of::<A>();
    for start in block.clone().step_by(piece) {
        let elements = array.slice_axis(0, start..block.end.min(start + piece))?.to_array::<A, Ix1>()?;
        let elements = elements.as_slice().ok_or("the elements do not lie side by side")?;
        elements.chunks(STRETCH).for_each(|stretch| visitor.visit(stretch));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndferry::ByteOrder;

    use super::*;

    #[test]
    fn blocks_cover_an_array_once_and_share_out_small_ones() {
        let dtype = DType::new(Scalar::I16, ByteOrder::Big);
        for length in [0, 1, STRETCH, 33_825, 1 << 20, (1 << 28) + 7] {
            let blocks = blocks(length, &dtype);
            let end = blocks.iter().fold(0, |end, block| {
                assert_eq!(block.start, end, "{length}");
                assert!(block.end > end && block.len() * 2 <= BLOCK, "{length}");
                block.end
            });
            assert_eq!(end, length);
            assert!(blocks.len() > 8 || length < 9 * STRETCH, "{length}: {} blocks", blocks.len());
        }
    }

    #[test]
    fn complex_numbers_are_refused_with_a_reason() {
        let check = |scalar| check(&DType::new(scalar, ByteOrder::Little));
        assert!(check(Scalar::F64).is_ok());
        assert!(check(Scalar::C64).unwrap_err().contains("<c8"));
    }
}
