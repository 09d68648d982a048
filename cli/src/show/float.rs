//! Floats in decimal digits as NumPy prints them, in arrays and alone.

use half::{bf16, f16};

/// Digits after the decimal point in arrays, NumPy's `precision`.
const MAX_FRACTION: usize = 8;
/// Smaller numbers are printed with an exponent.
const MIN_POSITIONAL: f64 = 1e-4;
/// Arrays are printed with exponents if the largest number is more than this
/// many times the smallest.
const MAX_RATIO: f64 = 1000.0;

/// The type of floats, which are converted to `f64` without loss.
#[derive(Clone, Copy)]
pub enum FloatType {
    F16,
    BF16,
    F32,
    F64,
}

impl FloatType {
    /// The nearest number of this type.
    fn round(self, value: f64) -> f64 {
        match self {
            Self::F16 => {
                let near = f16::from_f64(value).to_bits();
                nearest(value, near, |bits| f16::from_bits(bits).into())
            }
            Self::BF16 => {
                let near = bf16::from_f64(value).to_bits();
                nearest(value, near, |bits| bf16::from_bits(bits).into())
            }
            Self::F32 => f64::from(value as f32),
            Self::F64 => value,
        }
    }

    /// Arrays with numbers from this one on are printed with exponents.
    fn min_exponential_in_array(self) -> f64 {
        match self {
            Self::F64 => 1e8,
            _ => self.min_exponential(),
        }
    }

    /// Single numbers from this one on are printed with an exponent: ten to the
    /// number of decimal digits that the type always keeps.
    fn min_exponential(self) -> f64 {
        match self {
            Self::F16 => 1e3,
            Self::BF16 => 1e2,
            Self::F32 => 1e6,
            Self::F64 => 1e16,
        }
    }
}

/// The nearest number to a positive `value`, which is that of the bits `near` or one beside it.
/// `half` ignores the lower bits of an `f64`, so it rounds some values to the wrong side.
fn nearest(value: f64, near: u16, number: impl Fn(u16) -> f64) -> f64 {
    let found = number(near);
    if !found.is_finite() {
        return found;
    }
    let distance = |bits: &u16| (number(*bits) - value).abs();
    let candidates = near.saturating_sub(1)..=near + 1;
    // Of two at the same distance, the even one counts.
    let best =
        candidates.min_by(|a, b| distance(a).total_cmp(&distance(b)).then((a % 2).cmp(&(b % 2))));
    best.map_or(found, number)
}

/// The shortest digits that identify a float among those of its type. The first
/// digit is multiplied by ten to the `exponent`.
struct Digits {
    digits: String,
    exponent: i32,
}

impl Digits {
    /// The digits of a finite number without its sign.
    fn of(value: f64, float: FloatType) -> Self {
        let value = value.abs();
        let text = match float {
            FloatType::F64 => format!("{value:e}"),
            FloatType::F32 => format!("{:e}", value as f32),
            FloatType::F16 | FloatType::BF16 => (0..MAX_FRACTION)
                .find_map(|fraction| shortest_half(value, float, fraction))
                .unwrap_or_else(|| format!("{value:e}")),
        };
        let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
        let digits = digits.replace('.', "");
        Self { digits, exponent: exponent.parse().expect("an exponent is an integer") }
    }

    /// The digits before and after the decimal point.
    fn positional(&self) -> [String; 2] {
        let digits = &*self.digits;
        let Ok(exponent) = usize::try_from(self.exponent) else {
            let zeros = "0".repeat(self.exponent.unsigned_abs() as usize - 1);
            return ["0".to_owned(), zeros + digits];
        };
        match digits.split_at_checked(exponent + 1) {
            Some((whole, fraction)) => [whole.to_owned(), fraction.to_owned()],
            None => [format!("{digits:0<width$}", width = exponent + 1), String::new()],
        }
    }
}

/// A positive number with this many digits after the first, if it identifies the
/// number.
fn shortest_half(value: f64, float: FloatType, fraction: usize) -> Option<String> {
    let identifies =
        |text: &String| text.parse().is_ok_and(|value_of| float.round(value_of) == value);
    let nearest = format!("{value:.fraction$e}");
    if identifies(&nearest) {
        return Some(nearest);
    }
    // At a power of two, the numbers above are further apart than those below,
    // so the next text may identify the number instead.
    let exponent: i32 = nearest.split_once('e')?.1.parse().ok()?;
    let unit = 10_f64.powi(exponent - fraction as i32);
    Some(format!("{:.fraction$e}", nearest.parse::<f64>().ok()? + unit)).filter(identifies)
}

fn sign(value: f64, has_plus: bool) -> &'static str {
    match value.is_sign_negative() {
        true => "-",
        false if has_plus => "+",
        false => "",
    }
}

/// The digits before and after the decimal point, at most `max_fraction` of the
/// latter.
fn positional(value: f64, float: FloatType, max_fraction: usize) -> [String; 2] {
    let [whole, fraction] = Digits::of(value, float).positional();
    if fraction.len() <= max_fraction {
        return [whole, fraction.trim_end_matches('0').to_owned()];
    }
    let text = format!("{:.max_fraction$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    [whole.to_owned(), fraction.trim_end_matches('0').to_owned()]
}

/// The first digit, at most `max_fraction` digits after it, and the exponent.
fn scientific(value: f64, float: FloatType, max_fraction: usize) -> (String, String, i32) {
    let Digits { mut digits, exponent } = Digits::of(value, float);
    let fraction = digits.split_off(1);
    if fraction.len() <= max_fraction {
        return (digits, fraction.trim_end_matches('0').to_owned(), exponent);
    }
    let (digits, fraction, exponent) = rounded(value, max_fraction);
    (digits, fraction.trim_end_matches('0').to_owned(), exponent)
}

/// The first digit, exactly `fraction` digits after it, and the exponent.
fn rounded(value: f64, fraction: usize) -> (String, String, i32) {
    let text = format!("{:.fraction$e}", value.abs());
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent = exponent.parse().expect("an exponent is an integer");
    (whole.to_owned(), fraction.to_owned(), exponent)
}

fn exponent_text(exponent: i32, digits: usize) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:0digits$}", exponent.unsigned_abs())
}

fn not_finite(value: f64, has_plus: bool) -> String {
    match value.is_nan() {
        true => if has_plus { "+nan" } else { "nan" }.to_owned(),
        false => format!("{}inf", sign(value, has_plus)),
    }
}

/// A single number with all digits, such as `1.5`, `1e+16` or `nan`. Integers
/// end with `integer_end`.
fn alone(value: f64, float: FloatType, has_plus: bool, integer_end: &str) -> String {
    if !value.is_finite() {
        return not_finite(value, has_plus);
    }
    let sign = sign(value, has_plus);
    if value == 0.0 || (MIN_POSITIONAL..float.min_exponential()).contains(&value.abs()) {
        return match positional(value, float, usize::MAX) {
            [whole, fraction] if fraction.is_empty() => format!("{sign}{whole}{integer_end}"),
            [whole, fraction] => format!("{sign}{whole}.{fraction}"),
        };
    }
    let (whole, fraction, exponent) = scientific(value, float, usize::MAX);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}{}", exponent_text(exponent, 2))
}

/// A single float as NumPy prints it.
pub fn scalar(value: f64, float: FloatType) -> String {
    alone(value, float, false, ".0")
}

/// A single complex number as NumPy prints it.
pub fn complex_scalar([real, imaginary]: [f64; 2], float: FloatType) -> String {
    if real == 0.0 && real.is_sign_positive() {
        return format!("{}j", alone(imaginary, float, false, ""));
    }
    let (real, imaginary) = (alone(real, float, false, ""), alone(imaginary, float, true, ""));
    format!("({real}{imaginary}j)")
}

/// The common format of the floats of an array, which aligns their decimal
/// points.
pub struct FloatFormat {
    float: FloatType,
    has_plus: bool,
    /// Digits of the fraction and of the exponent, if numbers have exponents.
    exponential: Option<[usize; 2]>,
    /// Characters before and after the decimal point.
    left: usize,
    right: usize,
}

impl FloatFormat {
    /// The format of these floats. If `has_plus`, positive numbers have a sign.
    pub fn of(values: &[f64], float: FloatType, has_plus: bool) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let width = |value: f64, whole: &str| sign(value, has_plus).len() + whole.len();
        let (mut left, mut right, mut exponential) = (0, 0, None);
        if Self::needs_exponents(&finite, float) {
            let (mut fractions, mut exponents) = (0, 0);
            for &value in &finite {
                let (whole, fraction, exponent) = scientific(value, float, MAX_FRACTION);
                left = left.max(width(value, &whole));
                fractions = fractions.max(fraction.len());
                exponents = exponents.max(exponent_text(exponent, 2).len() - "e+".len());
            }
            right = fractions + "e+".len() + exponents;
            exponential = Some([fractions, exponents]);
        } else {
            for &value in &finite {
                let [whole, fraction] = positional(value, float, MAX_FRACTION);
                left = left.max(width(value, &whole));
                right = right.max(fraction.len());
            }
        }
        if finite.len() < values.len() {
            let has_sign = has_plus || values.contains(&f64::NEG_INFINITY);
            let widest = "inf".len() + usize::from(has_sign);
            left = left.max(widest.saturating_sub(right + ".".len()));
        }
        Self { float, has_plus, exponential, left, right }
    }

    /// Whether finite numbers are too large, too small or too different for
    /// numbers without exponents. NumPy computes this in the type of the array.
    fn needs_exponents(finite: &[f64], float: FloatType) -> bool {
        let sizes = || finite.iter().map(|value| value.abs()).filter(|&value| value > 0.0);
        let (min, max) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        max > 0.0
            && (max >= float.min_exponential_in_array()
                || min < float.round(MIN_POSITIONAL)
                || float.round(max / min) > MAX_RATIO)
    }

    /// A number in this format.
    pub fn text(&self, value: f64) -> String {
        let Self { has_plus, left, right, .. } = *self;
        if !value.is_finite() {
            return format!("{:>1$}", not_finite(value, has_plus), left + 1 + right);
        }
        let sign = sign(value, has_plus);
        if let Some([fraction, exponent]) = self.exponential {
            let (whole, fraction, power) = rounded(value, fraction);
            let whole = format!("{sign}{whole}");
            return format!("{whole:>left$}.{fraction}{}", exponent_text(power, exponent));
        }
        let [whole, fraction] = positional(value, self.float, MAX_FRACTION);
        let whole = format!("{sign}{whole}");
        format!("{whole:>left$}.{fraction:<right$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected texts were printed by NumPy 2.4.
    #[test]
    fn show_single_floats_equal_numpy() {
        use FloatType::{F16, F32, F64};
        for (value, float, text) in [
            (1.0, F64, "1.0"),
            (-0.0, F64, "-0.0"),
            (1.0 / 3.0, F64, "0.3333333333333333"),
            (9.9e15, F64, "9900000000000000.0"),
            (1e16, F64, "1e+16"),
            (1e-4, F64, "0.0001"),
            (1.5e-5, F64, "1.5e-05"),
            (5e-324, F64, "5e-324"),
            (f64::NEG_INFINITY, F64, "-inf"),
            (f64::NAN, F64, "nan"),
            (f64::from(0.1_f32), F32, "0.1"),
            (999_999.0, F32, "999999.0"),
            (1e6, F32, "1e+06"),
            (999.0, F16, "999.0"),
            (1001.0, F16, "1.001e+03"),
            (0.0999755859375, F16, "0.1"),
            (0.015625, F16, "0.01563"),
            (f64::from(bf16::from_f32(0.1)), FloatType::BF16, "0.1"),
        ] {
            assert_eq!(scalar(value, float), text);
        }
        for (parts, text) in [
            ([0.0, 1.0], "1j"),
            ([-0.0, 1.0], "(-0+1j)"),
            ([1.5, -2.0], "(1.5-2j)"),
            ([1e16, f64::NAN], "(1e+16+nanj)"),
        ] {
            assert_eq!(complex_scalar(parts, F64), text);
        }
    }

    #[test]
    fn show_half_digits_are_nearest_to_no_other_number() {
        let f16 = |bits| f64::from(f16::from_bits(bits));
        let bf16 = |bits| f64::from(bf16::from_bits(bits));
        let types: [(_, u16, &dyn Fn(u16) -> f64); 2] =
            [(FloatType::F16, 0x7C00, &f16), (FloatType::BF16, 0x7F80, &bf16)];
        for (float, infinity, number) in types {
            for bits in 1..infinity {
                let value = number(bits);
                let text = scalar(value, float);
                let shown: f64 = text.parse().unwrap();
                // The middles between the number and those beside it.
                let below = (number(bits - 1) + value) / 2.0;
                let above = match bits + 1 == infinity {
                    true => value + (value - below),
                    false => (value + number(bits + 1)) / 2.0,
                };
                let is_even = bits % 2 == 0;
                let is_nearest = (below < shown && shown < above)
                    || (is_even && (shown == below || shown == above));
                assert!(is_nearest, "{value} of bits {bits} as {text}");
            }
        }
    }
}
