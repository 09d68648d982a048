//! The two inner loops over numbers: what they sum to and reach, and how far they lie from a mean.
//!
//! Both run several accumulators side by side, which the compiler turns into vector instructions and which keeps one addition
//! from waiting for the last. Each sum has few terms, so that rounding does not pile up.

/// Accumulators side by side.
const LANES: usize = 8;

/// Sum, smallest and largest of some numbers. Where one of them is NaN or infinite, or the sum is too large, the sum is not
/// finite; NaN is neither smallest nor largest.
pub struct Survey {
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl Survey {
    pub fn of(values: &[f64]) -> Self {
        let (mut sum, mut min, mut max) =
            ([0.0; LANES], [f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        in_lanes(values, |lane, value| {
            sum[lane] += value;
            // `f64::min` would look at both sides for NaN; this is one instruction.
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
        });
        Self {
            sum: sum.iter().sum(),
            min: min.into_iter().fold(f64::INFINITY, f64::min),
            max: max.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The largest size, signs left aside.
    pub fn largest(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }
}

/// How far some numbers lie from one that is roughly their mean.
pub struct Deviations {
    count: usize,
    pub sum: f64,
    squares: f64,
}

impl Deviations {
    pub fn of(values: &[f64], rough_mean: f64) -> Self {
        let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
        in_lanes(values, |lane, value| {
            let deviation = value - rough_mean;
            sum[lane] += deviation;
            squares[lane] += deviation * deviation;
        });
        Self { count: values.len(), sum: sum.iter().sum(), squares: squares.iter().sum() }
    }

    /// The sum of squared distances from the true mean.
    pub fn scatter(&self) -> f64 {
        (self.squares - self.sum * self.sum / self.count as f64).max(0.0)
    }
}

/// Hands every value to `step` with the number of its lane.
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
