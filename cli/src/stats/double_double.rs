//! Double-double arithmetic: numbers with twice the precision of `f64`.
//!
//! It keeps the sum of a billion terms exact enough, and the difference of two
//! means that are almost equal. The algorithms are from:
//!
//! - T. J. Dekker, "A floating-point technique for extending the available
//!   precision", Numer. Math. 18 (1971)
//! - M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for
//!   basic building blocks of double-word arithmetic", ACM Trans. Math. Softw. 44
//!   (2017)
//!
//! They need finite numbers far from overflow.

use std::ops::{Add, Div, Neg, Sub};

use serde::{Deserialize, Serialize};

/// The number `high + low`, with about 106 bits. `high` is the number rounded to
/// an `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DoubleDouble {
    high: f64,
    low: f64,
}

impl DoubleDouble {
    /// The exact product of two numbers.
    pub fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    /// The number rounded to an `f64`.
    pub fn rounded(self) -> f64 {
        self.high
    }

    /// Multiplies by a power of two, which is exact unless it underflows.
    pub fn scaled(self, power_of_two: f64) -> Self {
        Self { high: self.high * power_of_two, low: self.low * power_of_two }
    }

    /// The exact sum of two numbers.
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let b_there = high - a;
        let a_there = high - b_there;
        Self { high, low: (a - a_there) + (b - b_there) }
    }

    /// Like [`sum`](Self::sum), but `a` must be the larger number.
    fn ordered_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: b - (high - a) }
    }
}

impl From<f64> for DoubleDouble {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

/// Exact up to 106 bits, which is the sum of 2⁴² elements of 64 bits.
impl From<i128> for DoubleDouble {
    fn from(integer: i128) -> Self {
        let high = integer as f64;
        Self::ordered_sum(high, (integer - high as i128) as f64)
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let sum = Self::ordered_sum(high.high, high.low + low.high);
        Self::ordered_sum(sum.high, sum.low + low.low)
    }
}

impl Neg for DoubleDouble {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Div<f64> for DoubleDouble {
    type Output = Self;

    fn div(self, divisor: f64) -> Self {
        let quotient = self.high / divisor;
        let rest = self - Self::product(quotient, divisor);
        Self::ordered_sum(quotient, rest.high / divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_double_double_sums_are_exact() {
        let sum = DoubleDouble::from(1e16) + DoubleDouble::from(1.0) - DoubleDouble::from(1e16);
        assert_eq!(sum.rounded(), 1.0);
        let mut tenths = DoubleDouble::default();
        (0..1_000_000).for_each(|_| tenths = tenths + DoubleDouble::from(0.1));
        // Both the product and the sum are exact.
        assert_eq!(tenths, DoubleDouble::product(0.1, 1e6));
    }

    #[test]
    fn stats_double_double_integers_are_exact() {
        let wide = (1_i128 << 104) + 1;
        let back = DoubleDouble::from(wide) - DoubleDouble::from(1_i128 << 104);
        assert_eq!(back.rounded(), 1.0);
        assert_eq!(DoubleDouble::from(-i128::from(u64::MAX)).low, 1.0);
    }

    #[test]
    fn stats_double_double_quotients_are_precise() {
        let third = DoubleDouble::from(1.0) / 3.0;
        let one = third + third + third;
        assert_eq!(one.rounded(), 1.0);
        assert!((one - DoubleDouble::from(1.0)).rounded().abs() < 1e-31);
    }
}
