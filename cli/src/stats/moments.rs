//! Mean and standard deviation, merged from those of runs.
//!
//! Each run is summed about its own mean. Runs are merged as in T. F. Chan,
//! G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
//! computing sample variances" (1979). Sums and means are double-double numbers,
//! because the difference of two means loses all digits of an `f64` if the offset
//! of the elements is a billion times their spread.

use serde::{Deserialize, Serialize};

use super::{
    double_double::DoubleDouble,
    passes::{Deviations, SumAndExtremes},
};

/// Count, sum, and squared deviations from the mean of some finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    /// In units of `2^exponent`.
    sum: DoubleDouble,
    /// In units of `2^(2·exponent)`.
    squares: DoubleDouble,
    exponent: i32,
}

/// Numbers outside `2^±UNSCALED_EXPONENT` are scaled, because their squares would
/// leave the range of `f64`.
const UNSCALED_EXPONENT: i32 = 400;
/// The exponent of the scale. It moves every `f64` to where it and its square can
/// be summed.
const SCALE_EXPONENT: i32 = 600;

impl Moments {
    /// Moments with a known sum and sum of squared deviations.
    pub fn new(count: usize, sum: DoubleDouble, squares: DoubleDouble) -> Self {
        Self { count: count as u64, sum, squares, exponent: 0 }
    }

    /// The moments of `values`, or `None` if one is not finite or its square may
    /// leave the range of `f64`.
    pub fn of_unscaled(values: &[f64], run: &SumAndExtremes) -> Option<Self> {
        let max_abs = run.max_abs();
        match exponent_for(max_abs) {
            _ if !run.sum.is_finite() => None,
            0 => Some(Self::about(values, run.sum)),
            exponent => (max_abs == 0.0).then(|| Self {
                count: values.len() as u64,
                exponent,
                ..Self::default()
            }),
        }
    }

    /// The moments of finite `values`, which are scaled in place.
    pub fn of_scaled(values: &mut [f64], run: &SumAndExtremes) -> Self {
        let exponent = exponent_for(run.max_abs());
        let scale = power_of_two(-exponent);
        values.iter_mut().for_each(|value| *value *= scale);
        Self { exponent, ..Self::about(values, SumAndExtremes::of(values).sum) }
    }

    fn about(values: &[f64], near_sum: f64) -> Self {
        let count = values.len() as f64;
        let mean = near_sum / count;
        let deviations = Deviations::of(values, mean);
        // The sum of deviations corrects the rounding of the mean.
        let sum = DoubleDouble::product(mean, count) + deviations.sum.into();
        Self::new(values.len(), sum, deviations.sum_of_squares().into())
    }

    /// The moments of the numbers of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let exponent = self.exponent.max(other.exponent);
        let (this, that) = (self.in_units_of(exponent), other.in_units_of(exponent));
        let (n, m) = (this.count as f64, that.count as f64);
        let apart = (that.sum / m - this.sum / n).rounded();
        Self {
            count: this.count + that.count,
            sum: this.sum + that.sum,
            squares: this.squares + that.squares + (apart * apart * (n / (n + m)) * m).into(),
            exponent,
        }
    }

    /// How many numbers were summarised.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean, or NaN without numbers.
    pub fn mean(&self) -> f64 {
        (self.sum / self.count as f64).rounded() * power_of_two(self.exponent)
    }

    /// The population standard deviation, or NaN without numbers.
    pub fn deviation(&self) -> f64 {
        (self.squares.rounded() / self.count as f64).sqrt() * power_of_two(self.exponent)
    }

    /// The same moments in units of `2^exponent`, which must not be smaller than
    /// the current exponent.
    fn in_units_of(self, exponent: i32) -> Self {
        let scale = power_of_two(self.exponent - exponent);
        Self {
            sum: self.sum.scaled(scale),
            squares: self.squares.scaled(scale).scaled(scale),
            exponent,
            ..self
        }
    }
}

/// The exponent of the unit for numbers up to `max_abs`. Zeros get the smallest
/// unit, which merges with any other without loss.
fn exponent_for(max_abs: f64) -> i32 {
    if max_abs > power_of_two(UNSCALED_EXPONENT) {
        SCALE_EXPONENT
    } else if max_abs < power_of_two(-UNSCALED_EXPONENT) {
        -SCALE_EXPONENT
    } else {
        0
    }
}

fn power_of_two(exponent: i32) -> f64 {
    2f64.powi(exponent)
}
