//! Floating-point numbers, all converted to `f64`, which is exact.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{MAX_RUN_LEN, Number};
use crate::{
    stats::{
        moments::Moments,
        passes::SumAndExtremes,
        summary::{Finite, Summary},
    },
    value::Value,
};

impl Number for f64 {
    fn summarise(run: &[Self]) -> Summary {
        let sum = SumAndExtremes::of(run);
        match Moments::of_unscaled(run, &sum) {
            Some(moments) => finite(&sum, moments).into(),
            None => separated(run),
        }
    }

    fn widen(run: &[Self], to: &mut [f64]) {
        to.copy_from_slice(run);
    }
}

impl Number for f32 {
    fn summarise(run: &[Self]) -> Summary {
        widened(run)
    }

    fn widen(run: &[Self], to: &mut [f64]) {
        to.iter_mut().zip(run).for_each(|(to, &from)| *to = f64::from(from));
    }
}

macro_rules! halves {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn summarise(run: &[Self]) -> Summary {
                widened(run)
            }

            fn widen(run: &[Self], to: &mut [f64]) {
                run.convert_to_f64_slice(to);
            }
        }
    )*};
}
halves!(f16 bf16);

fn widened<A: Number>(run: &[A]) -> Summary {
    let mut buffer = [0.0; MAX_RUN_LEN];
    let values = &mut buffer[..run.len()];
    A::widen(run, values);
    f64::summarise(values)
}

/// Summarises a run with NaN, infinities or numbers near the ends of the range.
/// The finite numbers are separated from the others.
fn separated(run: &[f64]) -> Summary {
    let mut buffer = [0.0; MAX_RUN_LEN];
    let mut kept = 0;
    let mut summary = Summary::default();
    for &value in run {
        // Without a branch, because the positions of NaN cannot be predicted.
        buffer[kept] = value;
        kept += usize::from(value.is_finite());
        summary.nan += u64::from(value.is_nan());
        summary.negative_infinite += u64::from(value == f64::NEG_INFINITY);
        summary.positive_infinite += u64::from(value == f64::INFINITY);
    }
    let values = &mut buffer[..kept];
    if !values.is_empty() {
        let sum = SumAndExtremes::of(values);
        let moments =
            Moments::of_unscaled(values, &sum).unwrap_or_else(|| Moments::of_scaled(values, &sum));
        summary.finite = Some(finite(&sum, moments));
    }
    summary
}

fn finite(run: &SumAndExtremes, moments: Moments) -> Finite {
    Finite { min: Value::Float(run.min), max: Value::Float(run.max), moments }
}
