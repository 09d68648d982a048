//! The units of datetimes and time spans.

use std::fmt;

/// The unit of a datetime or a time span.
///
/// It is a multiple of a base unit, such as NumPy's `25us`.
///
/// # Examples
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

/// The base unit of a [`TimeUnit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeBase {
    /// No unit: NumPy's `generic`
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

/// The base units with NumPy's codes.
const BASE_CODES: [(&str, TimeBase); 14] = [
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
    pub(super) const COUNT_SIZE: usize = size_of::<i64>();

    /// The count of "not a time", NumPy's `NaT`.
    pub const NAT: i64 = i64::MIN;

    /// Returns how many base units a count of one is.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::DTypeKind};
    ///
    /// let dtype: DType = "<m8[10s]".parse()?;
    /// let DTypeKind::TimeDelta(unit) = dtype.kind() else { panic!("{dtype}") };
    /// assert_eq!(unit.multiple(), 10);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub const fn multiple(self) -> u32 {
        self.multiple
    }

    /// Returns the base unit.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{DType, dtype::{DTypeKind, TimeBase}};
    ///
    /// let dtype: DType = "<m8[10s]".parse()?;
    /// let DTypeKind::TimeDelta(unit) = dtype.kind() else { panic!("{dtype}") };
    /// assert_eq!(unit.base(), TimeBase::Second);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub const fn base(self) -> TimeBase {
        self.base
    }

    /// Parses the text after `M8` or `m8` in a type string: nothing, or a unit
    /// in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self { multiple: 1, base: TimeBase::Generic });
        }
        let unit = text.strip_prefix('[')?.strip_suffix(']')?;
        let code = unit.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let (_, base) = BASE_CODES.into_iter().find(|(known, _)| *known == code)?;
        let multiple = match &unit[..unit.len() - code.len()] {
            "" => 1,
            _ if base == TimeBase::Generic => return None,
            // NumPy's multiple is a C `int`.
            digits => {
                digits.parse::<i32>().ok().and_then(|multiple| u32::try_from(multiple).ok())?
            }
        };
        (multiple > 0).then_some(Self { multiple, base })
    }
}

/// Writes the unit like in a type string, after `M8`.
impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.base == TimeBase::Generic {
            return Ok(());
        }
        let (code, _) = BASE_CODES
            .into_iter()
            .find(|(_, base)| *base == self.base)
            .expect("every base has a code");
        match self.multiple {
            1 => write!(f, "[{code}]"),
            multiple => write!(f, "[{multiple}{code}]"),
        }
    }
}
