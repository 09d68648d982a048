//! The distance of two elements, for each element type.

use half::{bf16, f16};
use num_complex::Complex;

use crate::{time::Time, value::Value};

/// The distance of two elements that are not the same.
pub enum Distance {
    /// One of the two is NaN.
    Nan,
    /// The relative distance is to the larger of the two.
    Number { absolute: Value, relative: f64 },
}

/// A type whose values can be compared.
pub trait Compared: Copy + PartialEq {
    /// Whether the elements are the same. NaN is the same as NaN.
    fn same(self, other: Self) -> bool {
        self == other
    }

    /// Whether the element or a part of it is NaN.
    fn is_nan(self) -> bool {
        false
    }

    /// The absolute and the relative distance of elements that are not NaN and
    /// not the same.
    fn apart(self, other: Self) -> (Value, f64);

    /// The element as text.
    fn text(self) -> String;

    /// The distance of elements that are not the same.
    fn distance(self, other: Self) -> Distance {
        if self.is_nan() || other.is_nan() {
            return Distance::Nan;
        }
        let (absolute, relative) = self.apart(other);
        Distance::Number { absolute, relative }
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Compared for $type {
            fn apart(self, other: Self) -> (Value, f64) {
                let absolute = i128::from(self).abs_diff(i128::from(other));
                let larger = i128::from(self).unsigned_abs().max(i128::from(other).unsigned_abs());
                (Value::Integer(absolute as i128), absolute as f64 / larger as f64)
            }

            fn text(self) -> String {
                self.to_string()
            }
        }
    )*};
}
integers!(bool i8 i16 i32 i64 u8 u16 u32 u64);

impl Compared for Time {
    fn is_nan(self) -> bool {
        self.is_nat()
    }

    fn apart(self, other: Self) -> (Value, f64) {
        self.count().apart(other.count())
    }

    fn text(self) -> String {
        self.to_string()
    }
}

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl Compared for $type {
            fn same(self, other: Self) -> bool {
                self == other || (self.is_nan() && other.is_nan())
            }

            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }

            fn apart(self, other: Self) -> (Value, f64) {
                apart(Complex::from(f64::from(self)), Complex::from(f64::from(other)))
            }

            fn text(self) -> String {
                format!("{self:?}")
            }
        }

        impl Compared for Complex<$type> {
            fn same(self, other: Self) -> bool {
                self.re.same(other.re) && self.im.same(other.im)
            }

            fn is_nan(self) -> bool {
                self.re.is_nan() || self.im.is_nan()
            }

            fn apart(self, other: Self) -> (Value, f64) {
                apart(Complex::new(self.re.into(), self.im.into()), Complex::new(other.re.into(), other.im.into()))
            }

            fn text(self) -> String {
                format!("{}{:+}i", self.re, self.im)
            }
        }
    )*};
}
floats!(f32 f64);

macro_rules! halves {
    ($($type:ty)*) => {$(
        impl Compared for $type {
            fn same(self, other: Self) -> bool {
                self.to_f32().same(other.to_f32())
            }

            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }

            fn apart(self, other: Self) -> (Value, f64) {
                self.to_f32().apart(other.to_f32())
            }

            fn text(self) -> String {
                self.to_f32().text()
            }
        }
    )*};
}
halves!(f16 bf16);

fn apart(one: Complex<f64>, other: Complex<f64>) -> (Value, f64) {
    let larger = one.norm().max(other.norm());
    let absolute = (one - other).norm();
    let relative = if absolute.is_finite() {
        absolute / larger
    } else {
        // Divided first, because the difference of finite numbers can be too
        // large for an `f64`.
        (one / larger - other / larger).norm()
    };
    let or_infinite = |distance: f64| if distance.is_nan() { f64::INFINITY } else { distance };
    (Value::Float(or_infinite(absolute)), or_infinite(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diff_distances_of_integers_are_exact() {
        for (one, other, absolute, relative) in [
            (i64::MIN, i64::MAX, u64::MAX.into(), 2.0),
            (0, 7, 7, 1.0),
            (-1, 1, 2, 2.0),
            (99, 100, 1, 0.01),
        ] {
            assert_eq!(one.apart(other), (Value::Integer(absolute), relative), "{one} {other}");
            assert_eq!(other.apart(one), one.apart(other));
        }
        assert_eq!(u64::MAX.apart(0), (Value::Integer(u64::MAX.into()), 1.0));
        assert_eq!(true.apart(false), (Value::Integer(1), 1.0));
    }

    #[test]
    fn diff_distances_of_floats_are_never_nan() {
        let infinite = f64::INFINITY;
        for (one, other, absolute, relative) in [
            (1.5, 1.0, 0.5, 1.0 / 3.0),
            (1e308, -1e308, infinite, 2.0),
            (infinite, 1.0, infinite, infinite),
            (infinite, -infinite, infinite, infinite),
            (5e-324, 0.0, 5e-324, 1.0),
        ] {
            assert_eq!(one.apart(other), (Value::Float(absolute), relative), "{one} {other}");
        }
        let (absolute, relative) = Complex::new(3.0, 4.0).apart(Complex::new(0.0, 0.0));
        assert_eq!((absolute, relative), (Value::Float(5.0), 1.0));
    }

    #[test]
    fn diff_nan_equals_nan_and_zero_equals_minus_zero() {
        let payload = f32::from_bits(0x7fc0_1234);
        assert!(payload.same(f32::NAN) && !payload.same(1.0) && 0.0_f32.same(-0.0));
        assert!(f16::NAN.same(-f16::NAN) && f16::ZERO.same(f16::NEG_ZERO));
        assert!(bf16::NAN.same(-bf16::NAN) && bf16::ZERO.same(bf16::NEG_ZERO));
        assert!(Complex::new(f64::NAN, 1.0).same(Complex::new(f64::NAN, 1.0)));
        assert!(!Complex::new(f64::NAN, 1.0).same(Complex::new(f64::NAN, 2.0)));
        assert!(matches!(
            Complex::new(f64::NAN, 1.0).distance(Complex::new(f64::NAN, 2.0)),
            Distance::Nan
        ));
    }
}
