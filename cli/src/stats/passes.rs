//! The two inner loops over a run of numbers: sum and extremes, then deviations
//! from the mean.
//!
//! Both use several accumulators, so that the compiler can emit vector
//! instructions and additions need not wait for each other. Each accumulator has
//! few terms, which keeps rounding errors small.

/// Accumulators of each loop.
const LANES: usize = 8;

/// The sum and the extremes of a run. The sum is not finite if a number is NaN or
/// infinite, or if it overflows. The extremes ignore NaN.
pub struct SumAndExtremes {
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl SumAndExtremes {
    pub fn of(values: &[f64]) -> Self {
        let (mut sum, mut min, mut max) =
            ([0.0; LANES], [f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        in_lanes(values, |lane, value| {
            sum[lane] += value;
            // One instruction. `f64::min` also checks both sides for NaN.
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
        });
        Self {
            sum: sum.iter().sum(),
            min: min.into_iter().fold(f64::INFINITY, f64::min),
            max: max.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The largest absolute value.
    pub fn max_abs(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }
}

/// The deviations of a run from a number close to its mean.
pub struct Deviations {
    count: usize,
    pub sum: f64,
    squares: f64,
}

impl Deviations {
    pub fn of(values: &[f64], near_mean: f64) -> Self {
        let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
        in_lanes(values, |lane, value| {
            let deviation = value - near_mean;
            sum[lane] += deviation;
            squares[lane] += deviation * deviation;
        });
        Self { count: values.len(), sum: sum.iter().sum(), squares: squares.iter().sum() }
    }

    /// The sum of squared deviations from the exact mean.
    pub fn sum_of_squares(&self) -> f64 {
        (self.squares - self.sum * self.sum / self.count as f64).max(0.0)
    }
}

/// Calls `step` for every value with the index of its accumulator.
#[inline(always)]
fn in_lanes(values: &[f64], mut step: impl FnMut(usize, f64)) {
    let rows = values.chunks_exact(LANES);
    let rest = rows.remainder();
    for row in rows {
        let row: &[f64; LANES] = row.try_into().expect("a row is as long as there are lanes");
        row.iter().enumerate().for_each(|(lane, &value)| step(lane, value));
    }
    rest.iter().enumerate().for_each(|(lane, &value)| step(lane, value));
}
