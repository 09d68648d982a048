//! The numerics as a whole: figures of known numbers, against exact arithmetic.

use half::{bf16, f16};

use super::{
    kernel::{Number, STRETCH},
    summary::Summary,
};
use crate::value::Value;

/// What is known of any number of elements.
fn summarise<A: Number>(elements: &[A]) -> Summary {
    let stretches = elements.chunks(STRETCH).map(A::summarise);
    stretches.fold(Summary::default(), Summary::merge)
}

/// Numbers that look random and are the same each time (D. E. Knuth's generator for MMIX).
fn noise(length: usize) -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    (0..length).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 20
    })
}

/// Mean and standard deviation of integers, by exact arithmetic.
fn exactly(integers: impl Iterator<Item = i128>) -> (f64, f64) {
    let (count, sum, squares) = integers.fold((0, 0, 0), |(count, sum, squares), integer| {
        (count + 1, sum + integer, squares + integer * integer)
    });
    let n = count as f64;
    (sum as f64 / n, ((count * squares - sum * sum) as f64).sqrt() / n)
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 2e-15 * expected.abs(),
        "{found:e} instead of {expected:e}"
    );
}

#[track_caller]
fn assert_figures<A: Number>(elements: &[A], (mean, deviation): (f64, f64)) {
    let summary = summarise(elements);
    assert_eq!(summary.count(), elements.len() as u64);
    assert_close(summary.mean().unwrap(), mean);
    assert_close(summary.deviation().unwrap(), deviation);
}

#[test]
fn integers_of_every_width_are_summed_exactly() {
    macro_rules! check {
        ($($type:ty)*) => {$(
            for length in [1, 2, 7, STRETCH, 5 * STRETCH + 3] {
                let mut elements: Vec<$type> = noise(length).map(|noise| noise as $type).collect();
                elements[0] = <$type>::MIN;
                elements[length / 2] = <$type>::MAX;
                assert_figures(&elements, exactly(elements.iter().map(|&element| element.into())));
                let summary = summarise(&elements);
                assert_eq!(summary.max(), Some(Value::Integer(<$type>::MAX.into())));
                if length > 1 {
                    assert_eq!(summary.min(), Some(Value::Integer(<$type>::MIN.into())));
                }
            }
        )*};
    }
    check!(i8 u8 i16 u16 i32 u32);
}

#[test]
fn an_offset_costs_integers_no_precision() {
    // Nanoseconds since 1970, microseconds apart.
    let origin = 1_700_000_000_000_000_000_i64;
    let steps: Vec<i64> = noise(100_000).map(|noise| (noise % 4_000_000) as i64).collect();
    let (mean, deviation) = exactly(steps.iter().map(|&step| step.into()));
    let moments: Vec<i64> = steps.iter().map(|step| origin + step).collect();
    assert_figures(&moments, (origin as f64 + mean, deviation));
    let far: Vec<u64> = steps.iter().map(|&step| u64::MAX - step as u64).collect();
    assert_figures(&far, (u64::MAX as f64 - mean, deviation));
    assert_eq!(summarise(&[u64::MAX; 3]).max(), Some(Value::Integer(u64::MAX.into())));
}

#[test]
fn an_offset_a_billion_times_the_spread_costs_floats_no_precision() {
    // Multiples of 2⁻²² are exact beside a billion, so their figures can be known exactly.
    let unit = 2f64.powi(-22);
    let steps: Vec<i32> = noise(300_000).map(|noise| (noise as i32) >> 9).collect();
    let (mean, deviation) = exactly(steps.iter().map(|&step| step.into()));
    for offset in [0.0, 1e9, -1e9] {
        let elements: Vec<f64> =
            steps.iter().map(|&step| offset + f64::from(step) * unit).collect();
        assert_figures(&elements, (offset + mean * unit, deviation * unit));
    }
}

#[test]
fn a_billion_elements_have_the_figures_of_the_part_they_repeat() {
    let steps: Vec<i32> = noise(STRETCH).map(|noise| (noise as i32) >> 9).collect();
    let expected = exactly(steps.iter().map(|&step| step.into()));
    let elements: Vec<f64> = steps.iter().map(|&step| f64::from(step)).collect();
    let part = summarise(&elements);
    let times = 1_000_000_000 / STRETCH + 1;
    let whole = (0..times).fold(Summary::default(), |whole, _| whole.merge(part));
    assert!(whole.count() >= 1_000_000_000);
    assert_close(whole.mean().unwrap(), expected.0);
    assert_close(whole.deviation().unwrap(), expected.1);
}

#[test]
fn the_figures_do_not_depend_on_where_an_array_is_cut() {
    let elements: Vec<f64> =
        noise(9 * STRETCH + 5).map(|noise| (noise as f64).sqrt() - 1e6).collect();
    let whole = summarise(&elements);
    for at in [1, 100, STRETCH, STRETCH + 1, 5 * STRETCH + 77, elements.len() - 1] {
        let (left, right) = elements.split_at(at);
        let merged = summarise(left).merge(summarise(right));
        assert_eq!(
            (merged.count(), merged.min(), merged.max()),
            (whole.count(), whole.min(), whole.max())
        );
        assert_close(merged.mean().unwrap(), whole.mean().unwrap());
        assert_close(merged.deviation().unwrap(), whole.deviation().unwrap());
    }
}

#[test]
fn numbers_at_the_ends_of_the_range_neither_overflow_nor_vanish() {
    let steps: Vec<i32> = noise(3 * STRETCH).map(|noise| (noise as i32) >> 8).collect();
    let (mean, deviation) = exactly(steps.iter().map(|&step| step.into()));
    for exponent in [-1040, -800, -300, 300, 800, 1000] {
        // In two steps, for the power alone may be too small.
        let scale =
            |number: f64| number * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
        let elements: Vec<f64> = steps.iter().map(|&step| scale(f64::from(step))).collect();
        let summary = summarise(&elements);
        // Subnormal figures have fewer digits.
        let within =
            |found: f64, expected: f64| (found - expected).abs() <= 2e-15 * expected.abs() + 5e-324;
        assert!(within(summary.mean().unwrap(), scale(mean)), "2^{exponent}");
        assert!(within(summary.deviation().unwrap(), scale(deviation)), "2^{exponent}");
    }
    let mixed = summarise(&[0.0; STRETCH]).merge(summarise(&[5e-324; STRETCH]));
    assert_eq!(mixed.deviation(), Some(0.0), "half of the smallest number is rounded to even");
    let mixed = mixed.merge(summarise(&[f64::MAX; 2 * STRETCH]));
    assert_eq!((mixed.mean(), mixed.deviation()), (Some(f64::MAX / 2.0), Some(f64::MAX / 2.0)));
}

#[test]
fn equal_elements_do_not_deviate_at_all() {
    for value in [0.1, 1e-310, -3.3e300, f64::MAX] {
        let summary = summarise(&[value; 3 * STRETCH + 1]);
        assert_eq!((summary.mean(), summary.deviation()), (Some(value), Some(0.0)));
    }
}

#[test]
fn nan_and_infinities_count_as_numpy_has_them() {
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    type Case<'a> = (&'a [f64], u64, Option<[f64; 4]>);
    let cases: [Case; 9] = [
        (&[], 0, None),
        (&[NAN], 1, None),
        (&[1.0, NAN, 3.0], 1, Some([1.0, 3.0, 2.0, 1.0])),
        (&[1.0, INF], 0, Some([1.0, INF, INF, NAN])),
        (&[-INF, 1.0], 0, Some([-INF, 1.0, -INF, NAN])),
        (&[INF, NAN], 1, Some([INF, INF, INF, NAN])),
        (&[-INF, -INF], 0, Some([-INF, -INF, -INF, NAN])),
        (&[INF, 1.0, -INF], 0, Some([-INF, INF, NAN, NAN])),
        (&[-0.0], 0, Some([-0.0, -0.0, 0.0, 0.0])),
    ];
    for (elements, nan, figures) in cases {
        let summary = summarise(elements);
        assert_eq!((summary.count(), summary.nan), (elements.len() as u64, nan), "{elements:?}");
        let found = [summary.min(), summary.max()].map(|value| value.map(Value::to_f64));
        let found = [found[0], found[1], summary.mean(), summary.deviation()];
        for (at, found) in found.into_iter().enumerate() {
            let expected = figures.map(|figures| figures[at]);
            // By their text, in which NaN equals itself.
            assert_eq!(
                format!("{found:?}"),
                format!("{expected:?}"),
                "figure {at} of {elements:?}"
            );
        }
    }
}

#[test]
fn short_floats_are_widened_exactly() {
    let elements = [0.1f32, 1e30, f32::NAN];
    let summary = summarise(&elements);
    assert_eq!(summary.min(), Some(Value::Float(f64::from(0.1f32))));
    assert_eq!(summary.mean(), Some((f64::from(0.1f32) + f64::from(1e30f32)) / 2.0));
    let summary = summarise(&[f16::MAX, f16::MIN_POSITIVE_SUBNORMAL, f16::NAN]);
    assert_eq!(summary.min(), Some(Value::Float(2f64.powi(-24))));
    assert_eq!((summary.max(), summary.nan), (Some(Value::Float(65504.0)), 1));
    let summary = summarise(&[bf16::MAX, bf16::MIN_POSITIVE, bf16::NAN]);
    assert_eq!(summary.min(), Some(Value::Float(2f64.powi(-126))));
    assert_eq!((summary.max(), summary.nan), (Some(Value::Float(255.0 * 2f64.powi(120))), 1));
}

#[test]
fn bool_counts_as_zero_and_one() {
    let summary = summarise(&[true, false, true, true]);
    assert_eq!((summary.min(), summary.max()), (Some(Value::Integer(0)), Some(Value::Integer(1))));
    assert_eq!(summary.mean(), Some(0.75));
    assert_close(summary.deviation().unwrap(), 0.1875f64.sqrt());
}
