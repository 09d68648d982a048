//! Integers and `bool`, with exact extremes and sums.

use super::{MAX_RUN_LEN, Number};
use crate::{
    stats::{
        double_double::DoubleDouble,
        moments::Moments,
        passes::Deviations,
        summary::{Finite, Summary},
    },
    value::Value,
};

/// Integers with exact sums of squares, because those of a run fit 64 bits.
macro_rules! narrow {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn summarise(run: &[Self]) -> Summary {
                let sum: i32 = run.iter().map(|&element| i32::from(element)).sum();
                let squares: u64 = run.iter().map(|&element| {
                    // Squares of 16 bits fit 32 bits without a sign.
                    u64::from(i32::from(element).wrapping_mul(i32::from(element)) as u32)
                }).sum();
                let (count, sum) = (run.len() as i128, i128::from(sum));
                let squares = DoubleDouble::from(count * i128::from(squares) - sum * sum) / count as f64;
                finite(extremes(run), Moments::new(run.len(), sum.into(), squares))
            }

            fn widen(run: &[Self], to: &mut [f64]) {
                to.iter_mut().zip(run).for_each(|(to, &from)| *to = f64::from(i32::from(from)));
            }
        }
    )*};
}
narrow!(bool i8 u8 i16 u16);

/// Integers whose squared deviations are summed as `f64`. The smallest integer is
/// subtracted first, so that an offset costs no precision.
macro_rules! wide {
    ($($type:ty, $unsigned:ty;)*) => {$(
        impl Number for $type {
            fn summarise(run: &[Self]) -> Summary {
                let (min, max) = extremes(run);
                let mut buffer = [0.0; MAX_RUN_LEN];
                let distances = &mut buffer[..run.len()];
                // The sum of the distances in two halves, which cannot overflow.
                let (mut low, mut high) = (0_u64, 0_u64);
                for (to, element) in distances.iter_mut().zip(run) {
                    let distance = element.wrapping_sub(min) as $unsigned as u64;
                    low += distance & 0xFFFF_FFFF;
                    high += distance >> 32;
                    *to = distance as f64;
                }
                let sum = (i128::from(high) << 32) + i128::from(low);
                let squares = Deviations::of(distances, sum as f64 / run.len() as f64).sum_of_squares();
                let sum = sum + i128::from(min) * run.len() as i128;
                finite((min, max), Moments::new(run.len(), sum.into(), squares.into()))
            }

            fn widen(run: &[Self], to: &mut [f64]) {
                to.iter_mut().zip(run).for_each(|(to, &from)| *to = from as f64);
            }
        }
    )*};
}
wide! {
    i32, u32;
    u32, u32;
    i64, u64;
    u64, u64;
}

/// The smallest and the largest element.
fn extremes<A: Copy + Ord>(run: &[A]) -> (A, A) {
    let first = run[0];
    let min = run.iter().fold(first, |min, &element| min.min(element));
    let max = run.iter().fold(first, |max, &element| max.max(element));
    (min, max)
}

fn finite<A: Into<i128>>((min, max): (A, A), moments: Moments) -> Summary {
    let (min, max) = (Value::Integer(min.into()), Value::Integer(max.into()));
    Finite { min, max, moments }.into()
}
