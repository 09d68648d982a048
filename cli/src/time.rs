//! Datetimes and timedeltas as NumPy prints them: datetimes in ISO 8601 up to
//! their unit, timedeltas as a number of units.

use std::fmt;

use ndferry::{
    DType,
    dtype::{DTypeKind, TimeBase, TimeUnit},
};

/// A number of units. A datetime counts from 1970.
#[derive(Clone, Copy, PartialEq)]
pub struct Time {
    count: i64,
    unit: TimeUnit,
    is_datetime: bool,
}

impl Time {
    /// Returns a function from the numbers of this dtype to times, or `None` if
    /// the dtype is not a time.
    pub fn of(dtype: &DType) -> Option<impl Fn(i64) -> Self + Copy + use<>> {
        let (unit, is_datetime) = match dtype.kind() {
            DTypeKind::DateTime(unit) => (*unit, true),
            DTypeKind::TimeDelta(unit) => (*unit, false),
            _ => return None,
        };
        Some(move |count| Self { count, unit, is_datetime })
    }

    /// The number of units.
    pub fn count(self) -> i64 {
        self.count
    }

    /// Whether the time is "not a time", NumPy's `NaT`.
    pub fn is_nat(self) -> bool {
        self.count == TimeUnit::NAT
    }

    /// Whether the time is a point in time, instead of a time span.
    pub fn is_datetime(self) -> bool {
        self.is_datetime
    }

    fn datetime(self) -> String {
        let count = i128::from(self.count) * i128::from(self.unit.multiple());
        // Units in a day, and digits after the second.
        let (in_a_day, digits) = match self.unit.base() {
            TimeBase::Year => return format!("{:04}", 1970 + count),
            TimeBase::Month => {
                return format!(
                    "{:04}-{:02}",
                    1970 + count.div_euclid(12),
                    count.rem_euclid(12) + 1
                );
            }
            TimeBase::Week => return date(count * 7),
            TimeBase::Day => return date(count),
            TimeBase::Hour => (24, 0),
            TimeBase::Minute => (24 * 60, 0),
            TimeBase::Second => (SECONDS_PER_DAY, 0),
            TimeBase::Millisecond => (SECONDS_PER_DAY * 10_i128.pow(3), 3),
            TimeBase::Microsecond => (SECONDS_PER_DAY * 10_i128.pow(6), 6),
            TimeBase::Nanosecond => (SECONDS_PER_DAY * 10_i128.pow(9), 9),
            TimeBase::Picosecond => (SECONDS_PER_DAY * 10_i128.pow(12), 12),
            TimeBase::Femtosecond => (SECONDS_PER_DAY * 10_i128.pow(15), 15),
            TimeBase::Attosecond => (SECONDS_PER_DAY * 10_i128.pow(18), 18),
            // Generic units have no known length.
            _ => return count.to_string(),
        };
        let (day, at) = (date(count.div_euclid(in_a_day)), count.rem_euclid(in_a_day));
        let hour = at * 24 / in_a_day;
        let (minute, second) = (at * 24 * 60 / in_a_day % 60, at * SECONDS_PER_DAY / in_a_day % 60);
        let text = format!("{day}T{hour:02}");
        match (in_a_day, digits) {
            (..=24, _) => text,
            (..SECONDS_PER_DAY, _) => format!("{text}:{minute:02}"),
            (_, 0) => format!("{text}:{minute:02}:{second:02}"),
            _ => format!(
                "{text}:{minute:02}:{second:02}.{:0digits$}",
                at % 10_i128.pow(digits as u32)
            ),
        }
    }
}

/// A difference of two times of this dtype, or `None` if it is not a time.
pub fn difference(dtype: &DType, count: i128) -> Option<String> {
    Time::of(dtype).map(|of| timedelta(count, of(0).unit))
}

fn timedelta(count: i128, unit: TimeUnit) -> String {
    let name = match unit.base() {
        TimeBase::Year => "years",
        TimeBase::Month => "months",
        TimeBase::Week => "weeks",
        TimeBase::Day => "days",
        TimeBase::Hour => "hours",
        TimeBase::Minute => "minutes",
        TimeBase::Second => "seconds",
        TimeBase::Millisecond => "milliseconds",
        TimeBase::Microsecond => "microseconds",
        TimeBase::Nanosecond => "nanoseconds",
        TimeBase::Picosecond => "picoseconds",
        TimeBase::Femtosecond => "femtoseconds",
        TimeBase::Attosecond => "attoseconds",
        _ => "generic time units",
    };
    format!("{} {name}", count * i128::from(unit.multiple()))
}

const SECONDS_PER_DAY: i128 = 24 * 60 * 60;

/// The date `day` days after 1 January 1970 in the Gregorian calendar.
fn date(day: i128) -> String {
    // Counted from 1 March 2000, so that a leap day is the last day of its year,
    // of its 4 years and of its 400 years.
    const START: i128 = 11_017;
    const MONTHS: [i128; 12] = [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29];

    let rest = day - START;
    let (cycles, rest) = (rest.div_euclid(146_097), rest.rem_euclid(146_097));
    let centuries = (rest / 36_524).min(3);
    let rest = rest - centuries * 36_524;
    let (fours, rest) = (rest / 1461, rest % 1461);
    let years = (rest / 365).min(3);
    let mut rest = rest - years * 365;
    let mut month = 0;
    while rest >= MONTHS[month] {
        rest -= MONTHS[month];
        month += 1;
    }
    let (year, month) = (2000 + 400 * cycles + 100 * centuries + 4 * fours + years, month + 3);
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    format!("{year:04}-{month:02}-{:02}", rest + 1)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match *self {
            Self { count: TimeUnit::NAT, .. } => "NaT".to_owned(),
            Self { is_datetime: true, .. } => self.datetime(),
            Self { count, unit, .. } => timedelta(count.into(), unit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dtype: &str, count: i64) -> String {
        let of = Time::of(&dtype.parse().unwrap()).unwrap();
        of(count).to_string()
    }

    // The expected texts were printed by NumPy 2.
    #[test]
    fn time_text_equals_numpy() {
        for (dtype, count, text) in [
            ("<M8[Y]", 50, "2020"),
            ("<M8[Y]", -1971, "-001"),
            ("<M8[Y]", 10000, "11970"),
            ("<M8[M]", -1, "1969-12"),
            ("<M8[M]", 602, "2020-03"),
            ("<M8[W]", 1, "1970-01-08"),
            ("<M8[D]", 18262, "2020-01-01"),
            ("<M8[D]", -1, "1969-12-31"),
            ("<M8[D]", 11016, "2000-02-29"),
            ("<M8[D]", 11017, "2000-03-01"),
            ("<M8[D]", -719529, "-001-12-31"),
            ("<M8[D]", 2932897, "10000-01-01"),
            ("<M8[7D]", 3, "1970-01-22"),
            ("<M8[h]", -1, "1969-12-31T23"),
            ("<M8[m]", 59, "1970-01-01T00:59"),
            ("<M8[s]", -1, "1969-12-31T23:59:59"),
            ("<M8[s]", 951782400, "2000-02-29T00:00:00"),
            ("<M8[ms]", -1, "1969-12-31T23:59:59.999"),
            ("<M8[us]", 1, "1970-01-01T00:00:00.000001"),
            ("<M8[25us]", -1, "1969-12-31T23:59:59.999975"),
            ("<M8[ns]", 1577836800123456789, "2020-01-01T00:00:00.123456789"),
            ("<M8[ps]", -1, "1969-12-31T23:59:59.999999999999"),
            ("<M8[fs]", 5, "1970-01-01T00:00:00.000000000000005"),
            ("<M8[as]", -1, "1969-12-31T23:59:59.999999999999999999"),
            ("<M8[s]", TimeUnit::NAT, "NaT"),
            ("<m8[D]", 1, "1 days"),
            ("<m8[25us]", -2, "-50 microseconds"),
            ("<m8", 5, "5 generic time units"),
            ("<m8[as]", 7, "7 attoseconds"),
            ("<m8[D]", TimeUnit::NAT, "NaT"),
            ("<M8[D]", -400000, "0874-11-02"),
        ] {
            assert_eq!(self::text(dtype, count), text, "{dtype} {count}");
        }
    }
}
