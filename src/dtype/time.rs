//! Units of `datetime64` and `timedelta64`.

use std::fmt;

/// What a datetime or a time span is counted in: a multiple of a base unit, NumPy's `25us`.
///
/// ```
/// use ndferry::{DType, dtype::{DTypeKind, TimeBase}};
///
/// let dtype: DType = "<M8[25us]".parse()?;
/// let DTypeKind::DateTime(unit) = dtype.kind() else { panic!("{dtype}") };
/// assert_eq!((unit.multiple(), unit.base()), (25, TimeBase::Microsecond));
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeUnit {
    multiple: u32,
    base: TimeBase,
}

/// The base units there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeBase {
    /// None was given: a count of nothing in particular.
    Generic,
    /// `Y`
    Year,
    /// `M`
    Month,
    /// `W`
    Week,
    /// `D`
    Day,
    /// `h`
    Hour,
    /// `m`
    Minute,
    /// `s`
    Second,
    /// `ms`
    Millisecond,
    /// `us`
    Microsecond,
    /// `ns`
    Nanosecond,
    /// `ps`
    Picosecond,
    /// `fs`
    Femtosecond,
    /// `as`
    Attosecond,
}

/// The base units by NumPy's codes.
const CODES: [(&str, TimeBase); 14] = [
    ("generic", TimeBase::Generic),
    ("Y", TimeBase::Year),
    ("M", TimeBase::Month),
    ("W", TimeBase::Week),
    ("D", TimeBase::Day),
    ("h", TimeBase::Hour),
    ("m", TimeBase::Minute),
    ("s", TimeBase::Second),
    ("ms", TimeBase::Millisecond),
    ("us", TimeBase::Microsecond),
    ("ns", TimeBase::Nanosecond),
    ("ps", TimeBase::Picosecond),
    ("fs", TimeBase::Femtosecond),
    ("as", TimeBase::Attosecond),
];

impl TimeUnit {
    /// Bytes of a count.
    pub(super) const SIZE: usize = size_of::<i64>();

    /// The count that means no time (NumPy's `NaT`).
    pub const NAT: i64 = i64::MIN;

    /// How many of the base unit a count of one is.
    #[must_use]
    pub const fn multiple(self) -> u32 {
        self.multiple
    }

    /// The base unit.
    #[must_use]
    pub const fn base(self) -> TimeBase {
        self.base
    }

    /// What follows `M8` or `m8` in a type string: nothing, or a unit in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { multiple: 1, base: TimeBase::Generic });
        }
        let unit = text.strip_prefix('[')?.strip_suffix(']')?;
        let code = unit.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let (_, base) = CODES.into_iter().find(|(known, _)| *known == code)?;
        let multiple = match &unit[..unit.len() - code.len()] {
            "" => 1,
            _ if base == TimeBase::Generic => return None,
            // NumPy counts with an int.
            digits => {
                digits.parse::<i32>().ok().and_then(|multiple| u32::try_from(multiple).ok())?
            }
        };
        (multiple > 0).then_some(Self { multiple, base })
    }
}

/// As it follows `M8` in a type string.
impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.base == TimeBase::Generic {
            return Ok(());
        }
        let (code, _) =
            CODES.into_iter().find(|(_, base)| *base == self.base).expect("every base has a code");
        match self.multiple {
            1 => write!(f, "[{code}]"),
            multiple => write!(f, "[{multiple}{code}]"),
        }
    }
}
