//! Mean and standard deviation, from parts.
//!
//! Each part is summed about its own mean and merged with the next as T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating
//! formulae and a pairwise algorithm for computing sample variances" (1979), have it. Sums and means are kept to twice the
//! precision of `f64`, so that neither a billion elements nor an offset a billion times the spread costs a digit that is shown.

use serde::{Deserialize, Serialize};

use super::{
    double::Double,
    lanes::{Deviations, Survey},
};

/// Count, sum, and squared deviations from the mean of some finite numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    /// In units of `2^exponent`.
    sum: Double,
    /// In units of `2^(2·exponent)`.
    squares: Double,
    exponent: i32,
}

/// Numbers beyond `2^±WINDOW` are scaled, for their squares would leave the range of `f64`.
const WINDOW: i32 = 400;
/// By what: it takes any `f64` to where it and its square can be summed.
const SCALE: i32 = 600;

impl Moments {
    /// Those of numbers whose sum and squared deviations are known.
    pub fn known(count: usize, sum: Double, squares: Double) -> Self {
        Self { count: count as u64, sum, squares, exponent: 0 }
    }

    /// Those of `values` as they are; `None` where some are not finite, or the square of one may leave the range of `f64`.
    pub fn of_plain(values: &[f64], survey: &Survey) -> Option<Self> {
        let largest = survey.largest();
        match exponent_for(largest) {
            _ if !survey.sum.is_finite() => None,
            0 => Some(Self::about(values, survey.sum)),
            exponent => (largest == 0.0).then(|| Self {
                count: values.len() as u64,
                exponent,
                ..Self::default()
            }),
        }
    }

    /// Those of finite `values`, which are scaled in place.
    pub fn of_scaled(values: &mut [f64], survey: &Survey) -> Self {
        let exponent = exponent_for(survey.largest());
        let scale = power_of_two(-exponent);
        values.iter_mut().for_each(|value| *value *= scale);
        Self { exponent, ..Self::about(values, Survey::of(values).sum) }
    }

    fn about(values: &[f64], rough_sum: f64) -> Self {
        let count = values.len() as f64;
        let mean = rough_sum / count;
        let deviations = Deviations::of(values, mean);
        // By how much the rough mean is off is in the sum of deviations, and cancels.
        let sum = Double::product(mean, count) + deviations.sum.into();
        Self::known(values.len(), sum, deviations.scatter().into())
    }

    /// Those of all numbers of both.
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

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; NaN where there are none.
    pub fn mean(&self) -> f64 {
        (self.sum / self.count as f64).rounded() * power_of_two(self.exponent)
    }

    /// Their standard deviation, as of a whole population; NaN where there are none.
    pub fn deviation(&self) -> f64 {
        (self.squares.rounded() / self.count as f64).sqrt() * power_of_two(self.exponent)
    }

    /// The same in units of `2^exponent`, which is no smaller than its own.
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

/// The unit for numbers up to `largest` in size. Zero takes the smallest, which merges with any without loss.
fn exponent_for(largest: f64) -> i32 {
    if largest > power_of_two(WINDOW) {
        SCALE
    } else if largest < power_of_two(-WINDOW) {
        -SCALE
    } else {
        0
    }
}

fn power_of_two(exponent: i32) -> f64 {
    2f64.powi(exponent)
}
