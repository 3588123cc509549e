//! Moments in UTC, and the stamps that log lines carry.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

use super::dictionary;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const SECONDS_PER_HOUR: i64 = 3_600;
pub const SECONDS_PER_DAY: i64 = 86_400;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        dictionary::write_time(*self, serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        dictionary::read_time(deserializer)
    }
}

impl Timestamp {
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// Whole minutes since 1970, rounded down.
    pub const fn minute(self) -> i64 {
        self.seconds().div_euclid(60)
    }

    /// Whole hours since 1970, rounded down.
    pub const fn hour(self) -> i64 {
        self.seconds().div_euclid(SECONDS_PER_HOUR)
    }

    /// Whole days since 1970, rounded down.
    pub const fn day(self) -> i64 {
        self.seconds().div_euclid(SECONDS_PER_DAY)
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(MICROS_PER_SECOND)))
    }

    /// Seconds from `earlier` to here; negative when `earlier` is later.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(MICROS_PER_SECOND)
    }
}

/// A stretch of time, open where nothing bounds it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub since: Option<Timestamp>,
    /// The first moment that is no more in it.
    pub until: Option<Timestamp>,
}

impl Period {
    pub fn has(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// True where some moment from `first` to `last` is in it.
    pub fn touches(&self, first: Timestamp, last: Timestamp) -> bool {
        self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until)
    }
}

impl Timestamp {
    /// The same without its fraction of a second.
    pub const fn to_second(self) -> Self {
        Self::from_seconds(self.seconds())
    }
}

/// RFC 3339 in UTC with `Z`, with six digits of a fraction only where there is one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.day());
        let second_of_day = self.seconds().rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second_of_day / SECONDS_PER_HOUR, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.0.rem_euclid(MICROS_PER_SECOND) {
            0 => f.write_str("Z"),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

/// A sentence with the moments in it to the second: `2026-11-19T02:10:04.25Z` becomes `2026-11-19T02:10:04Z`.
pub fn without_fractions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dot) = rest.find('.') {
        let (before, after) = (rest.get(..dot).unwrap_or_default(), rest.get(dot + 1..).unwrap_or_default());
        out.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let is_fraction = digits > 0
            && after.get(digits..).is_some_and(|end| end.starts_with('Z'))
            && before.len().checked_sub(MOMENT.len()).and_then(|at| before.get(at..)).is_some_and(is_moment);
        if is_fraction {
            rest = after.get(digits..).unwrap_or_default();
        } else {
            out.push('.');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The form of a moment, its digits as 0.
pub const MOMENT: &str = "0000-00-00T00:00:00";

/// True for a text of this form.
pub fn is_moment(text: &str) -> bool {
    let is_form = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    text.len() == MOMENT.len() && text.bytes().zip(MOMENT.bytes()).all(is_form)
}

/// A line's own date and time, as far as it says: BSD stamps have no year, few have a zone.
/// Every field is in its range (a leap second is read as second 59); `day` is within its month in a leap year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub year: Option<i16>,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
    /// Seconds east of UTC, where the line says so.
    pub offset_s: Option<i32>,
}

impl Stamp {
    /// That of a line whose moment is known otherwise.
    pub const NONE: Self =
        Self { year: None, month: 1, day: 1, hour: 0, minute: 0, second: 0, micros: 0, offset_s: None };

    /// Seconds since 1970 as if the stamp were in UTC in `year`; 29 February in a common year counts as 1 March.
    pub fn naive_seconds(&self, year: i16) -> i64 {
        days_from_civil(year, self.month, self.day) * SECONDS_PER_DAY
            + i64::from(self.hour) * SECONDS_PER_HOUR
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }
}

pub const fn is_leap_year(year: i16) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days in a month of a leap year; 0 for a month that does not exist.
pub const fn days_in_month(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

/// Days from 1970-01-01 to the given date of the Gregorian calendar, negative before it.
pub const fn days_from_civil(year: i16, month: u8, day: u8) -> i64 {
    // The year is counted from March, so that a leap day is its last day.
    let shifted = year as i64 - (month <= 2) as i64;
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month as i64 + 9) % 12) + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The reverse of [`days_from_civil`]: year, month, day.
pub const fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * march_month + 2) / 5 + 1) as u8;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 } as u8;
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(i16::try_from(year).unwrap(), month, day), days);
        }
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
        assert_eq!(days_from_civil(1970, 1, 1), 0);
    }

    #[test]
    fn a_fraction_is_printed_only_where_there_is_one() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_772_600_767_120_000).to_string(), "2026-03-04T05:06:07.120000Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    }
}
