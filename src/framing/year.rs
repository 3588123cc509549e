//! From a line's own stamp to a moment in UTC: the year that BSD stamps lack, and the zone that most lack.

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Stamp, Timestamp, is_leap_year};

/// A clock may be set back by this much without a year having passed, and a log may be silent for as long over New Year
/// whatever its file is dated with.
const SLACK_S: i64 = 30 * SECONDS_PER_DAY;
/// How far a stamp may lie behind the moment its file is dated with: clocks and zones differ.
const REFERENCE_SLACK_S: i64 = 2 * SECONDS_PER_DAY;
/// In the hour that comes twice: how far a line may lie behind the one in front of it without the second pass having
/// begun, and how far behind one of the second pass a line of the first may come.
const DISORDER_S: i64 = 300;
const LATE_S: i64 = 30;

/// Where the year of a file's stamps came from; said in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
        .filter(|year| !leap_day || is_leap_year(*year))
        .find(|year| stamp.naive_seconds(*year) <= reference + REFERENCE_SLACK_S)
        .unwrap_or(year)
}

/// Where a log stands in an hour that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    last_moment: Option<Timestamp>,
    is_second: bool,
}

/// Turns the stamps of one file, in the file's order, into moments. Remembers the year, the last moment and the zone's
/// offset in the current hour.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
    /// Year of the last stamp; `None` before the first, where it was not given.
    year: Option<i16>,
    /// The moment the file is dated with, seconds.
    reference: i64,
    /// No stamp without a year is later than this (seconds, local time taken as UTC).
    latest: i64,
    /// The last stamp, in the same terms.
    last: Option<i64>,
    has_chosen_year: bool,
    /// The last moment given out.
    last_moment: Option<Timestamp>,
    /// In an hour that comes twice: its second pass has begun.
    is_second_pass: bool,
    /// It began in such an hour: which pass that was, lines before it would tell.
    is_unsure: bool,
    /// Local hour (hours since 1970, taken as UTC) and the zone's offset in all of it.
    hour: Option<(i64, i64)>,
}

impl Clock {
    /// `year` is that of the first stamp without one; where it is not given, it is the last that fits before
    /// `reference`, the moment (seconds) that the file is dated with.
    pub fn new(zone: TimeZone, year: Option<i16>, reference: i64) -> Self {
        let latest = reference.saturating_add(REFERENCE_SLACK_S);
        Self {
            zone,
            year,
            reference,
            latest,
            last: None,
            has_chosen_year: false,
            last_moment: None,
            is_second_pass: false,
            is_unsure: false,
            hour: None,
        }
    }

    /// The file's lines follow those of `before`: in an hour that comes twice they are not earlier.
    pub fn follow(&mut self, before: &Self) {
        (self.last_moment, self.is_second_pass) = (before.last_moment, before.is_second_pass);
    }

    /// What the next lines of this log need to know of the last ones, in another run.
    pub const fn pass(&self) -> Pass {
        Pass { last_moment: self.last_moment, is_second: self.is_second_pass }
    }

    /// The file's lines follow those of an earlier run.
    pub const fn resume(&mut self, pass: Pass) {
        (self.last_moment, self.is_second_pass) = (pass.last_moment, pass.is_second);
    }

    /// True once a stamp without a year was read, so that the year was a matter of choice.
    pub const fn has_chosen_year(&self) -> bool {
        self.has_chosen_year
    }

    /// True where the first lines are of an hour that comes twice, and none before them was known.
    pub const fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    pub fn moment(&mut self, stamp: &Stamp) -> Timestamp {
        let local = match stamp.year {
            Some(year) => {
                let local = stamp.naive_seconds(year);
                self.learn(year, local);
                local
            }
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

    /// Takes the year of a stamp that has one for those that have none, unless it is far from theirs.
    fn learn(&mut self, year: i16, local: i64) {
        let fits = match (self.last, self.year) {
            (Some(last), _) => (local - last).abs() <= 366 * SECONDS_PER_DAY,
            (None, Some(_)) => false,
            (None, None) => local <= self.latest && local > self.latest.saturating_sub(10 * 366 * SECONDS_PER_DAY),
        };
        if fits {
            self.year = Some(year);
            self.last = Some(local);
        }
    }

    /// Local seconds of a stamp without a year.
    fn with_year(&mut self, stamp: &Stamp) -> i64 {
        self.has_chosen_year = true;
        let year = *self.year.get_or_insert_with(|| year_before(stamp, self.reference));
        let local = stamp.naive_seconds(year);
        let is_leap_day = stamp.month == 2 && stamp.day == 29;
        let last = self.last.unwrap_or(local);
        let (year, local) = if (local - last).abs() <= SLACK_S && (!is_leap_day || is_leap_year(year)) {
            (year, local)
        } else {
            self.other_year(stamp, year, last).unwrap_or((year, local))
        };
        self.year = Some(year);
        self.last = Some(local);
        local
    }

    /// The year of a stamp that is not of the days around the last one: it goes on from there, into the next year too,
    /// or lies in the year before as a line of December among the first of January does; but never beyond the file's
    /// date, but for New Year itself. Where that cannot be, the clock was wrong, and the last year that can be is
    /// taken.
    fn other_year(&self, stamp: &Stamp, year: i16, last: i64) -> Option<(i16, i64)> {
        let at = |year: i16| (year, stamp.naive_seconds(year));
        let can_be = |local: i64| local <= self.latest || (local - last).abs() <= SLACK_S;
        if stamp.month == 2 && stamp.day == 29 && !is_leap_year(year) {
            // The year was wrong.
            let leap_years = (year - 8..=year + 8).filter(|year| is_leap_year(*year) && (1971..=9997).contains(year));
            let possible = leap_years.map(at).filter(|(_, local)| can_be(*local));
            return possible.min_by_key(|(_, local)| (local - last).abs());
        }
        let years = || (year - 1..=year + 1).filter(|year| (1971..=9997).contains(year)).map(at);
        years()
            .find(|(_, local)| *local >= last - SLACK_S && can_be(*local))
            .or_else(|| years().rev().find(|(_, local)| can_be(*local)))
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
                let holds = [start, start + SECONDS_PER_HOUR - 1].into_iter().all(|at| {
                    let AmbiguousOffset::Unambiguous { offset: there } = self.ambiguous_offset(at) else {
                        return false;
                    };
                    i64::from(there.seconds()) == offset
                });
                if holds {
                    self.hour = Some((hour, offset));
                }
                offset
            }
            AmbiguousOffset::Gap { before, .. } => i64::from(before.seconds()),
            AmbiguousOffset::Fold { before, after } => {
                let first = local - i64::from(before.seconds());
                self.is_unsure |= self.last_moment.is_none();
                let slack = if self.is_second_pass { LATE_S } else { DISORDER_S };
                let is_second = self.last_moment.is_some_and(|last| first < last.seconds() - slack);
                self.is_second_pass |= is_second;
                i64::from(if is_second { after.seconds() } else { before.seconds() })
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

    #[test]
    fn years_go_on_and_back_over_new_year() {
        // A file of three years, dated at its end.
        let stamps = ["Jun  1 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Oct  1 00:00:00", "Jan 15 00:00:00"];
        let found = moments("UTC", None, "2024-06-02T00:00:00Z", &stamps[..1]);
        assert_eq!(found, ["2024-06-01T10:00:00Z"]);
        let found = moments("UTC", Some(2024), "2026-01-15T12:00:00Z", &stamps);
        assert_eq!(
            found,
            [
                "2024-06-01T10:00:00Z",
                "2024-12-31T23:59:59Z",
                "2025-01-01T00:00:00Z",
                "2025-10-01T00:00:00Z",
                "2026-01-15T00:00:00Z",
            ]
        );
        // A file named by the day it began: what follows New Year is later than that.
        let stamps = ["Dec 29 00:00:00", "Jan  1 00:00:00", "Jan  4 00:00:00", "Dec 31 00:00:00", "Jan  4 00:00:01"];
        assert_eq!(
            moments("UTC", None, "2025-12-30T00:00:00Z", &stamps),
            [
                "2025-12-29T00:00:00Z",
                "2026-01-01T00:00:00Z",
                "2026-01-04T00:00:00Z",
                "2025-12-31T00:00:00Z",
                "2026-01-04T00:00:01Z",
            ]
        );
    }

    #[test]
    fn a_clock_that_is_set_does_not_change_the_year() {
        let hours = ["Mar  4 12:00:00", "Mar  4 05:00:00", "Mar  4 19:00:00", "Mar  1 00:00:00", "Mar  5 00:00:00"];
        let found = moments("UTC", None, "2026-03-06T00:00:00Z", &hours);
        assert!(found.iter().all(|moment| moment.starts_with("2026-03-0")), "{found:?}");
        // Hosts that boot at the epoch, east and west of Greenwich.
        for boot in ["Jan  1 01:00:07", "Dec 31 19:00:07"] {
            let found = moments("UTC", None, "2026-06-02T00:00:00Z", &["Jun  1 10:00:00", boot, "Jun  1 10:01:00"]);
            assert!(found[1].as_str() < "2026-01-02", "{found:?}");
            assert_eq!(found[2], "2026-06-01T10:01:00Z");
        }
        // Forty days ahead for some lines.
        let found =
            moments("UTC", None, "2026-06-02T00:00:00Z", &["May 31 10:00:00", "Jul 10 10:00:00", "Jun  1 10:00:00"]);
        assert_eq!((found[0].as_str(), found[2].as_str()), ("2026-05-31T10:00:00Z", "2026-06-01T10:00:00Z"));
    }

    #[test]
    fn the_leap_day_tells_the_year() {
        let stamps = ["Feb 28 23:59:59", "Feb 29 12:00:00", "Mar  1 00:00:00"];
        let known = ["2024-02-28T23:59:59Z", "2024-02-29T12:00:00Z", "2024-03-01T00:00:00Z"];
        assert_eq!(moments("UTC", None, "2024-03-02T00:00:00Z", &stamps), known);
        // A copy that lost its time: from the leap day on the year is right.
        assert_eq!(moments("UTC", None, "2026-03-02T00:00:00Z", &stamps)[1..], known[1..]);
        assert_eq!(moments("UTC", Some(2025), "2262-01-01T00:00:00Z", &stamps)[1..], known[1..]);
        assert_eq!(moments("UTC", None, "2026-03-02T00:00:00Z", &stamps[1..]), known[1..]);
    }

    #[test]
    fn a_line_out_of_order_keeps_its_pass_of_the_hour_that_comes_twice() {
        let found = moments(
            "Europe/Berlin",
            Some(2026),
            "2026-10-26T00:00:00Z",
            &[
                "Oct 25 02:59:58",
                "Oct 25 02:00:01",
                "Oct 25 02:59:59",
                "Oct 25 02:00:02",
                "Oct 25 02:30:00",
                "Oct 25 02:29:50",
                "Oct 25 03:00:01",
                "Oct 25 02:59:59",
            ],
        );
        assert_eq!(
            found,
            [
                "2026-10-25T00:59:58Z",
                "2026-10-25T01:00:01Z",
                "2026-10-25T00:59:59Z",
                "2026-10-25T01:00:02Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T01:29:50Z",
                "2026-10-25T02:00:01Z",
                "2026-10-25T01:59:59Z",
            ]
        );
    }

    #[test]
    fn zones_may_lie_and_change_by_half_hours() {
        let found =
            moments("Asia/Kolkata", Some(2026), "2026-12-01T00:00:00Z", &["Oct 25 05:15:00", "Oct 25 05:45:00"]);
        assert_eq!(found, ["2026-10-24T23:45:00Z", "2026-10-25T00:15:00Z"]);
        // Half an hour of summer time: from 02:00 back to 01:30 on 5 April, from 02:00 to 02:30 on 4 October.
        let found = moments(
            "Australia/Lord_Howe",
            Some(2026),
            "2026-12-01T00:00:00Z",
            &[
                "Apr  5 01:29:59",
                "Apr  5 01:31:00",
                "Apr  5 01:59:59",
                "Apr  5 01:30:01",
                "Apr  5 01:45:00",
                "Apr  5 01:59:59",
                "Apr  5 02:00:00",
                "Oct  4 01:59:59",
                "Oct  4 02:30:00",
            ],
        );
        assert_eq!(
            found,
            [
                "2026-04-04T14:29:59Z",
                "2026-04-04T14:31:00Z",
                "2026-04-04T14:59:59Z",
                "2026-04-04T15:00:01Z",
                "2026-04-04T15:15:00Z",
                "2026-04-04T15:29:59Z",
                "2026-04-04T15:30:00Z",
                "2026-10-03T15:29:59Z",
                "2026-10-03T15:30:00Z",
            ]
        );
    }

    #[test]
    fn stamps_with_a_year_tell_those_without() {
        // The file's time was lost.
        let found = moments(
            "UTC",
            None,
            "2026-06-01T00:00:00Z",
            &["2023-12-31T23:59:00Z", "Dec 31 23:59:59", "Jan  1 00:00:01", "2024-01-01T00:00:02Z", "Jan  1 00:00:03"],
        );
        assert_eq!(found[1..3], ["2023-12-31T23:59:59Z", "2024-01-01T00:00:01Z"]);
        assert_eq!(found[4], "2024-01-01T00:00:03Z");
        // One line that is far off does not.
        let found = moments(
            "UTC",
            None,
            "2026-06-01T00:00:00Z",
            &["May 30 00:00:00", "1999-05-30T00:00:00Z", "May 30 00:00:01"],
        );
        assert_eq!(found[2], "2026-05-30T00:00:01Z");
        // What the user says holds for the first.
        let found = moments("UTC", Some(2020), "2262-01-01T00:00:00Z", &["2023-05-30T00:00:00Z", "May 30 00:00:01"]);
        assert_eq!(found[1], "2020-05-30T00:00:01Z");
    }
}
