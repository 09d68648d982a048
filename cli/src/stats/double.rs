//! Numbers of twice the precision of `f64`: the unevaluated sum of two.
//!
//! Sums of a billion terms keep every bit that matters, and so does the difference of two means that are almost the same.
//! The algorithms are those of T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math.
//! 18 (1971), and M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for basic building blocks of
//! double-word arithmetic", ACM Trans. Math. Softw. 44 (2017). All of them want finite numbers far from overflow.

use std::ops::{Add, Div, Neg, Sub};

use serde::{Deserialize, Serialize};

/// `high + low`, where `high` is the sum rounded to an `f64`: about 106 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Double {
    high: f64,
    low: f64,
}

impl Double {
    /// The product of two numbers, exactly.
    pub fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    /// Rounded to an `f64`.
    pub fn rounded(self) -> f64 {
        self.high
    }

    /// Times a power of two, which is exact unless it underflows.
    pub fn scaled(self, power_of_two: f64) -> Self {
        Self { high: self.high * power_of_two, low: self.low * power_of_two }
    }

    /// The sum of two numbers, exactly.
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let b_there = high - a;
        let a_there = high - b_there;
        Self { high, low: (a - a_there) + (b - b_there) }
    }

    /// As [`sum`](Double::sum), where `a` is the larger one.
    fn ordered_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: b - (high - a) }
    }
}

impl From<f64> for Double {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

/// Exact up to 106 bits: the sum of 2⁴² elements of 64 bits.
impl From<i128> for Double {
    fn from(integer: i128) -> Self {
        let high = integer as f64;
        Self::ordered_sum(high, (integer - high as i128) as f64)
    }
}

impl Add for Double {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let sum = Self::ordered_sum(high.high, high.low + low.high);
        Self::ordered_sum(sum.high, sum.low + low.low)
    }
}

impl Neg for Double {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Sub for Double {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Div<f64> for Double {
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
    fn a_sum_keeps_what_an_f64_would_lose() {
        let sum = Double::from(1e16) + Double::from(1.0) - Double::from(1e16);
        assert_eq!(sum.rounded(), 1.0);
        let mut tenths = Double::default();
        (0..1_000_000).for_each(|_| tenths = tenths + Double::from(0.1));
        // The product of the two factors, exactly; so is the sum.
        assert_eq!(tenths, Double::product(0.1, 1e6));
    }

    #[test]
    fn integers_are_exact() {
        let wide = (1_i128 << 104) + 1;
        let back = Double::from(wide) - Double::from(1_i128 << 104);
        assert_eq!(back.rounded(), 1.0);
        assert_eq!(Double::from(-i128::from(u64::MAX)).low, 1.0);
    }

    #[test]
    fn a_quotient_times_its_divisor_is_the_dividend() {
        let third = Double::from(1.0) / 3.0;
        let one = third + third + third;
        assert_eq!(one.rounded(), 1.0);
        assert!((one - Double::from(1.0)).rounded().abs() < 1e-31);
    }
}
