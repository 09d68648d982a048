//! Integers and `bool`. Extremes and sums are exact.

use super::{Number, STRETCH};
use crate::{
    stats::{
        double::Double,
        lanes::Deviations,
        moments::Moments,
        summary::{Finite, Summary},
    },
    value::Value,
};

/// Integers of which the squares are exact too: those of a stretch fit 64 bits.
macro_rules! narrow {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn summarise(stretch: &[Self]) -> Summary {
                let sum: i32 = stretch.iter().map(|&element| i32::from(element)).sum();
                let squares: u64 = stretch.iter().map(|&element| {
                    // 16 bits squared fit 32, though not with a sign.
                    u64::from(i32::from(element).wrapping_mul(i32::from(element)) as u32)
                }).sum();
                let (count, sum) = (stretch.len() as i128, i128::from(sum));
                let squares = Double::from(count * i128::from(squares) - sum * sum) / count as f64;
                finite(extremes(stretch), Moments::known(stretch.len(), sum.into(), squares))
            }

            fn widen(stretch: &[Self], to: &mut [f64]) {
                to.iter_mut().zip(stretch).for_each(|(to, &from)| *to = f64::from(i32::from(from)));
            }
        }
    )*};
}
narrow!(bool i8 u8 i16 u16);

/// Integers of which the squares of their distances from the mean are summed as `f64`. Distances from the smallest are taken
/// before anything is rounded, so that an offset costs no precision.
macro_rules! wide {
    ($($type:ty, $unsigned:ty;)*) => {$(
        impl Number for $type {
            fn summarise(stretch: &[Self]) -> Summary {
                let (min, max) = extremes(stretch);
                let mut buffer = [0.0; STRETCH];
                let distances = &mut buffer[..stretch.len()];
                // The sum of the distances, in halves that cannot overflow.
                let (mut low, mut high) = (0_u64, 0_u64);
                for (to, element) in distances.iter_mut().zip(stretch) {
                    let distance = element.wrapping_sub(min) as $unsigned as u64;
                    low += distance & 0xFFFF_FFFF;
                    high += distance >> 32;
                    *to = distance as f64;
                }
                let sum = (i128::from(high) << 32) + i128::from(low);
                let squares = Deviations::of(distances, sum as f64 / stretch.len() as f64).scatter();
                let sum = sum + i128::from(min) * stretch.len() as i128;
                finite((min, max), Moments::known(stretch.len(), sum.into(), squares.into()))
            }

            fn widen(stretch: &[Self], to: &mut [f64]) {
                to.iter_mut().zip(stretch).for_each(|(to, &from)| *to = from as f64);
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

/// The smallest and the largest.
fn extremes<A: Copy + Ord>(stretch: &[A]) -> (A, A) {
    let first = stretch[0];
    let min = stretch.iter().fold(first, |min, &element| min.min(element));
    let max = stretch.iter().fold(first, |max, &element| max.max(element));
    (min, max)
}

fn finite<A: Into<i128>>((min, max): (A, A), moments: Moments) -> Summary {
    let (min, max) = (Value::Integer(min.into()), Value::Integer(max.into()));
    Finite { min, max, moments }.into()
}
