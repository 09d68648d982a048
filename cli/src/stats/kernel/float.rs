//! Floating-point numbers. All are widened to `f64`, which is exact.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{Number, STRETCH};
use crate::{
    stats::{
        lanes::Survey,
        moments::Moments,
        summary::{Finite, Summary},
    },
    value::Value,
};

impl Number for f64 {
    fn summarise(stretch: &[Self]) -> Summary {
        let survey = Survey::of(stretch);
        match Moments::of_plain(stretch, &survey) {
            Some(moments) => finite(&survey, moments).into(),
            None => sorted_out(stretch),
        }
    }

    fn widen(stretch: &[Self], to: &mut [f64]) {
        to.copy_from_slice(stretch);
    }
}

impl Number for f32 {
    fn summarise(stretch: &[Self]) -> Summary {
        widened(stretch)
    }

    fn widen(stretch: &[Self], to: &mut [f64]) {
        to.iter_mut().zip(stretch).for_each(|(to, &from)| *to = f64::from(from));
    }
}

macro_rules! halves {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn summarise(stretch: &[Self]) -> Summary {
                widened(stretch)
            }

            fn widen(stretch: &[Self], to: &mut [f64]) {
                stretch.convert_to_f64_slice(to);
            }
        }
    )*};
}
halves!(f16 bf16);

fn widened<A: Number>(stretch: &[A]) -> Summary {
    let mut buffer = [0.0; STRETCH];
    let values = &mut buffer[..stretch.len()];
    A::widen(stretch, values);
    f64::summarise(values)
}

/// A stretch with NaN, infinities, or numbers near the ends of the range: the finite ones are taken apart from the others.
fn sorted_out(stretch: &[f64]) -> Summary {
    let mut buffer = [0.0; STRETCH];
    let mut kept = 0;
    let mut summary = Summary::default();
    for &value in stretch {
        // Without a branch: where NaN lies cannot be foretold.
        buffer[kept] = value;
        kept += usize::from(value.is_finite());
        summary.nan += u64::from(value.is_nan());
        summary.negative_infinite += u64::from(value == f64::NEG_INFINITY);
        summary.positive_infinite += u64::from(value == f64::INFINITY);
    }
    let values = &mut buffer[..kept];
    if !values.is_empty() {
        let survey = Survey::of(values);
        let moments = Moments::of_plain(values, &survey)
            .unwrap_or_else(|| Moments::of_scaled(values, &survey));
        summary.finite = Some(finite(&survey, moments));
    }
    summary
}

fn finite(survey: &Survey, moments: Moments) -> Finite {
    Finite { min: Value::Float(survey.min), max: Value::Float(survey.max), moments }
}
