//! From a line's own stamp to a moment in UTC: the year that BSD stamps lack, and the zone that most lack.

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Stamp, Timestamp};

/// A clock may be set back by this much without a year having passed, and a file's reference time may be early by it.
const SLACK_S: i64 = 30 * SECONDS_PER_DAY;
/// How far a stamp may lie behind the moment its file is dated with: clocks and zones differ.
const REFERENCE_SLACK_S: i64 = 2 * SECONDS_PER_DAY;

/// Where the year of a file's stamps came from; said in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YearSource {
    /// The stamps carry it.
    Stamps,
    /// `--year`.
    Option,
    /// The date in the file's name.
    FileName,
    /// The time in the gzip header.
    GzipHeader,
    /// The file's modification time.
    FileTime,
    /// Only the day of the run: nothing else was there to go by.
    Clock,
}

impl YearSource {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stamps => "stamps",
            Self::Option => "--year",
            Self::FileName => "file name",
            Self::GzipHeader => "gzip header",
            Self::FileTime => "file time",
            Self::Clock => "clock",
        }
    }
}

/// The latest year in which `stamp` is not later than `reference` (seconds since 1970), with some days of slack;
/// 29 February only in leap years.
pub fn year_before(stamp: &Stamp, reference: i64) -> i16 {
    let (year, _, _) = crate::mail::time::civil_from_days(reference.div_euclid(SECONDS_PER_DAY));
    let year = i16::try_from(year.clamp(1971, 9997)).unwrap_or(1971);
    let leap_day = stamp.month == 2 && stamp.day == 29;
    (1..=9)
        .map(|back| year + 2 - back)
        .filter(|year| !leap_day || crate::mail::time::is_leap_year(*year))
        .find(|year| stamp.naive_seconds(*year) <= reference + REFERENCE_SLACK_S)
        .unwrap_or(year)
}

/// Turns the stamps of one file, in the file's order, into moments. Remembers the year, the last moment and the zone's
/// offset in the current hour.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
    /// Year of the last stamp without one; `None` before the first.
    year: Option<i16>,
    /// The moment the file is dated with, seconds.
    reference: i64,
    /// No stamp without a year is later than this (seconds, local time taken as UTC).
    latest: i64,
    /// The last such stamp, in the same terms.
    last: Option<i64>,
    /// The last moment given out.
    last_moment: Option<Timestamp>,
    /// In an hour that comes twice: its second pass has begun.
    is_second_pass: bool,
    /// Local hour (hours since 1970, taken as UTC) and the zone's offset in all of it.
    hour: Option<(i64, i64)>,
}

impl Clock {
    /// `year` is that of the first stamp without one; where it is not given, it is the last that fits before
    /// `reference`, the moment (seconds) that the file is dated with.
    pub fn new(zone: TimeZone, year: Option<i16>, reference: i64) -> Self {
        let latest = reference.saturating_add(REFERENCE_SLACK_S);
        Self { zone, year, reference, latest, last: None, last_moment: None, is_second_pass: false, hour: None }
    }

    /// The file's lines follow those of `before`: in an hour that comes twice they are not earlier.
    pub fn follow(&mut self, before: &Self) {
        (self.last_moment, self.is_second_pass) = (before.last_moment, before.is_second_pass);
    }

    /// True once a stamp without a year was read, so that the year was a matter of choice.
    pub const fn has_chosen_year(&self) -> bool {
        self.last.is_some()
    }

    pub fn moment(&mut self, stamp: &Stamp) -> Timestamp {
        let local = match stamp.year {
            Some(year) => stamp.naive_seconds(year),
            None => self.with_year(stamp),
        };
        let seconds = match stamp.offset_s {
            Some(offset) => local - i64::from(offset),
            None => local - self.offset(local),
        };
        let moment = Timestamp(Timestamp::from_seconds(seconds).0 + i64::from(stamp.micros));
        self.last_moment = Some(moment);
        moment
    }

    /// Local seconds of a stamp without a year. December to January is a new year; a step back of up to a month is a
    /// clock set right or lines out of order.
    fn with_year(&mut self, stamp: &Stamp) -> i64 {
        let year = *self.year.get_or_insert_with(|| year_before(stamp, self.reference));
        let local = stamp.naive_seconds(year);
        let Some(last) = self.last else {
            self.last = Some(local);
            return local;
        };
        if local < last - SLACK_S {
            let next = stamp.naive_seconds(year + 1);
            if next <= self.latest && year < 9997 {
                self.year = Some(year + 1);
                self.last = Some(next);
                return next;
            }
        } else if local > last + SLACK_S {
            // A line of December among the first of January.
            let before = stamp.naive_seconds(year - 1);
            if last - before < SLACK_S && year > 1971 {
                return before;
            }
        }
        self.last = Some(local);
        local
    }

    /// The zone's offset at a local time. In the hour that a clock set back makes twice, the first pass is taken until
    /// time would run backwards.
    fn offset(&mut self, local: i64) -> i64 {
        let hour = local.div_euclid(SECONDS_PER_HOUR);
        if let Some((known, offset)) = self.hour
            && known == hour
        {
            return offset;
        }
        match self.ambiguous_offset(local) {
            AmbiguousOffset::Unambiguous { offset } => {
                self.is_second_pass = false;
                let offset = i64::from(offset.seconds());
                let start = hour * SECONDS_PER_HOUR;
                let holds = [start, start + SECONDS_PER_HOUR - 1].iter().all(|at| {
                    matches!(self.ambiguous_offset(*at), AmbiguousOffset::Unambiguous { offset: o } if i64::from(o.seconds()) == offset)
                });
                if holds {
                    self.hour = Some((hour, offset));
                }
                offset
            }
            AmbiguousOffset::Gap { before, .. } => i64::from(before.seconds()),
            AmbiguousOffset::Fold { before, after } => {
                let first = local - i64::from(before.seconds());
                self.is_second_pass |=
                    self.last_moment.is_some_and(|last| first < last.seconds() - SECONDS_PER_HOUR / 2);
                i64::from(if self.is_second_pass { after.seconds() } else { before.seconds() })
            }
        }
    }

    fn ambiguous_offset(&self, local: i64) -> AmbiguousOffset {
        let (year, month, day) = crate::mail::time::civil_from_days(local.div_euclid(SECONDS_PER_DAY));
        let second = local.rem_euclid(SECONDS_PER_DAY);
        let part = |n: i64| i8::try_from(n).unwrap_or(0);
        let at = civil::DateTime::new(
            i16::try_from(year).unwrap_or(1970),
            part(i64::from(month)),
            part(i64::from(day)),
            part(second / SECONDS_PER_HOUR),
            part(second / 60 % 60),
            part(second % 60),
            0,
        );
        match at {
            Ok(at) => self.zone.to_ambiguous_timestamp(at).offset(),
            Err(_) => AmbiguousOffset::Unambiguous { offset: jiff::tz::Offset::UTC },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::frame;

    fn moments(zone: &str, year: Option<i16>, reference: &str, stamps: &[&str]) -> Vec<String> {
        let reference: jiff::Timestamp = reference.parse().unwrap();
        let mut clock = Clock::new(TimeZone::get(zone).unwrap(), year, reference.as_second());
        stamps
            .iter()
            .map(|stamp| clock.moment(&frame(format!("{stamp} mx1 x[1]: y").as_bytes()).unwrap().stamp).to_string())
            .collect()
    }

    #[test]
    fn the_year_goes_on_over_new_year_and_not_over_a_clock_step() {
        let found = moments(
            "UTC",
            None,
            "2026-01-02T00:00:00Z",
            &["Dec 31 23:59:58", "Jan  1 00:00:02", "Dec 31 23:59:59", "Jan  1 00:00:03", "Jan  1 00:00:01"],
        );
        assert_eq!(
            found,
            [
                "2025-12-31T23:59:58Z",
                "2026-01-01T00:00:02Z",
                "2025-12-31T23:59:59Z",
                "2026-01-01T00:00:03Z",
                "2026-01-01T00:00:01Z",
            ]
        );
        // A host that boots without a clock does not begin a new year.
        let found =
            moments("UTC", None, "2026-06-02T00:00:00Z", &["Jun  1 10:00:00", "Jan  1 00:00:07", "Jun  1 10:01:00"]);
        assert_eq!(found[1..], ["2026-01-01T00:00:07Z", "2026-06-01T10:01:00Z"]);
    }

    #[test]
    fn the_first_year_is_the_last_that_fits_before_the_files_date() {
        let stamp = |text: &str| frame(format!("{text} mx1 x[1]: y").as_bytes()).unwrap().stamp;
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(year_before(&stamp("Dec 31 00:00:00"), at("2026-01-05T00:00:00Z")), 2025);
        assert_eq!(year_before(&stamp("Jan  6 00:00:00"), at("2026-01-05T00:00:00Z")), 2026);
        assert_eq!(year_before(&stamp("Jan  8 00:00:00"), at("2026-01-05T00:00:00Z")), 2025);
        assert_eq!(year_before(&stamp("Feb 29 00:00:00"), at("2026-01-05T00:00:00Z")), 2024);
    }

    #[test]
    fn the_hour_that_comes_twice_runs_forward() {
        let found = moments(
            "Europe/Berlin",
            Some(2026),
            "2026-10-26T00:00:00Z",
            &[
                "Oct 25 01:59:59",
                "Oct 25 02:10:00",
                "Oct 25 02:59:59",
                "Oct 25 02:00:01",
                "Oct 25 02:59:00",
                "Oct 25 03:00:00",
            ],
        );
        assert_eq!(
            found,
            [
                "2026-10-24T23:59:59Z",
                "2026-10-25T00:10:00Z",
                "2026-10-25T00:59:59Z",
                "2026-10-25T01:00:01Z",
                "2026-10-25T01:59:00Z",
                "2026-10-25T02:00:00Z",
            ]
        );
        assert_eq!(
            moments("Europe/Berlin", Some(2026), "2026-03-30T00:00:00Z", &["Mar 29 02:30:00"]),
            ["2026-03-29T01:30:00Z"]
        );
    }
}
