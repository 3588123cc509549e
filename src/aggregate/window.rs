//! Counts over time: per UTC minute, and the busiest window that slides over them.

use serde::{Deserialize, Serialize};

use super::codec;
use super::few::FewMap;
use super::implied;
use crate::mail::time::Timestamp;

/// Counts by UTC minute. Merges by adding.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Minutes(#[serde(with = "codec::counts")] FewMap<i64, u64>);

/// The busiest window of a given width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// Its first minute.
    pub start: Timestamp,
    pub count: u64,
}

impl Minutes {
    pub fn add(&mut self, at: Timestamp, count: u64) {
        if count > 0 {
            *self.0.get_or_default(at.minute()) += count;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The minutes in order, since 1970, with their counts.
    pub fn in_order(&self) -> impl Iterator<Item = (i64, u64)> {
        self.0.iter().map(|(minute, count)| (*minute, *count))
    }

    /// Takes out the minutes whose counts are as expected; false, with nothing taken, where one of them is not there.
    pub(super) fn leave_out(&mut self, expected: &Self) -> bool {
        implied::leave_out(&mut self.0, &expected.in_order().collect())
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&mut self, expected: Self) {
        implied::put_back(&mut self.0, expected.in_order().collect());
    }

    pub fn merge(&mut self, other: Self) {
        for (minute, count) in other.0 {
            *self.0.get_or_default(minute) += count;
        }
    }

    /// The count from `from` to before `to`.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> u64 {
        self.0.range(from.minute()..to.minute()).map(|(_, count)| count).sum()
    }

    /// The minutes from `from` to before `to` that have a count, each by its first second.
    pub fn within(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, u64)> {
        let minutes = self.0.range(from.minute()..to.minute().max(from.minute()));
        minutes.map(|(minute, count)| (Timestamp::from_seconds(minute * 60), *count)).collect()
    }

    /// The earliest of the windows of `width_minutes` with the highest count; it begins with a minute that has one.
    pub fn peak(&self, width_minutes: i64) -> Option<Peak> {
        let mut best: Option<Peak> = None;
        let mut sum = 0;
        let mut ends = self.0.iter().peekable();
        for (&start, &count) in &self.0 {
            while let Some((_, more)) = ends.next_if(|(minute, _)| **minute < start + width_minutes) {
                sum += more;
            }
            if best.is_none_or(|b| sum > b.count) {
                best = Some(Peak { start: Timestamp::from_seconds(start * 60), count: sum });
            }
            sum -= count;
        }
        best
    }

    /// The windows of `width_minutes` with more than `limit`, none overlapping another: each from its first minute to the
    /// end of its last.
    pub fn over(&self, width_minutes: i64, limit: u64) -> Vec<(Timestamp, Timestamp)> {
        let mut found = Vec::new();
        let (mut sum, mut taken) = (0, i64::MIN);
        let mut ends = self.0.iter().peekable();
        let mut last = 0;
        for (&start, &count) in &self.0 {
            while let Some((minute, more)) = ends.next_if(|(minute, _)| **minute < start + width_minutes) {
                (sum, last) = (sum + more, *minute);
            }
            if sum > limit && start >= taken {
                found.push((Timestamp::from_seconds(start * 60), Timestamp::from_seconds(last * 60 + 59)));
                taken = start + width_minutes;
            }
            sum -= count;
        }
        found
    }
}

/// The busiest window of `width_s` seconds over moments in order: its first moment, its last, and how many there are.
pub fn busiest(times: &[Timestamp], width_s: i64) -> Option<(Timestamp, Timestamp, u64)> {
    let mut best: Option<(Timestamp, Timestamp, u64)> = None;
    let mut end = 0;
    for (start, first) in times.iter().enumerate() {
        while times.get(end).is_some_and(|at| at.seconds_since(*first) < width_s) {
            end += 1;
        }
        let count = (end - start) as u64;
        if best.is_none_or(|b| count > b.2)
            && let Some(last) = times.get(end.saturating_sub(1))
        {
            best = Some((*first, *last, count));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_slides_over_the_hour() {
        let mut minutes = Minutes::default();
        for (minute, count) in [(0, 5), (50, 10), (70, 10), (109, 4), (110, 3), (300, 24)] {
            minutes.add(Timestamp::from_seconds(minute * 60 + 59), count);
        }
        assert_eq!(minutes.peak(60), Some(Peak { start: Timestamp::from_seconds(50 * 60), count: 24 }));
        assert_eq!(Minutes::default().peak(60), None);
    }

    #[test]
    fn the_busiest_window_is_found_among_moments() {
        let times: Vec<_> = [0, 10, 100, 105, 109, 300].map(Timestamp::from_seconds).to_vec();
        assert_eq!(busiest(&times, 10), Some((times[2], times[4], 3)));
        assert_eq!(busiest(&[], 10), None);
    }
}
