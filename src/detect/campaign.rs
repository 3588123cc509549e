//! One campaign split over several logins: in one hour, or on one day, several logins of different domains send messages of
//! one size to people they never wrote to, closer in size than chance has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::aggregate::{SIZE_STEPS, SenderProfile};
use crate::mail::address::split;
use crate::mail::identity::IdentityKind;
use crate::mail::time::SECONDS_PER_HOUR;

/// What one login sent of one size in one window.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub profile: &'a SenderProfile,
    /// Its messages' size: binary logarithm of the bytes, on average.
    size: f64,
    pub messages: u64,
    /// First and last hour of these messages, since 1970.
    pub from: i64,
    pub to: i64,
}

/// Logins that sent alike messages in one window.
pub(super) struct Campaign<'a> {
    /// Width of the window.
    pub hours: i64,
    /// By name.
    pub runs: Vec<Run<'a>>,
    /// How many groups as close as this one chance makes in such a window.
    pub by_chance: f64,
}

/// Windows that are looked at, in hours, and the messages of one size from which on a login counts there.
const WINDOWS: [(i64, u64); 2] = [(1, 6), (24, 10)];
/// Messages are of one size within this part of a doubling.
const ONE_SIZE: f64 = 1.0 / 16.0;
/// Sizes cannot be told apart closer than this part of a doubling.
const LEAST_SPAN: f64 = 1.0 / 512.0;
/// Domains that make a campaign.
const DOMAINS: usize = 3;
/// Groups that chance makes more often than this are not kept.
const BY_CHANCE: f64 = 1.0;
/// Runs that are tried as one group from each on.
const TRIED: usize = 200;

/// Campaigns of all logins, window by window.
pub(super) fn campaigns<'a>(profiles: &'a [SenderProfile]) -> Vec<Campaign<'a>> {
    let mut windows: BTreeMap<(i64, i64), Vec<Run<'a>>> = BTreeMap::new();
    for profile in profiles.iter().filter(|profile| profile.kind == IdentityKind::Sasl) {
        let is_busy = profile.size_hours.values().map(|count| u64::from(*count)).sum::<u64>() >= WINDOWS[0].1;
        if !is_busy {
            continue;
        }
        let strangers = Strangers::of(profile);
        for (hours, least) in WINDOWS {
            for (window, sizes) in by_window(profile, hours) {
                if let Some(run) = run(profile, &sizes, least)
                    && strangers.are_most(&run)
                {
                    windows.entry((hours, window)).or_default().push(run);
                }
            }
        }
    }
    windows.into_iter().flat_map(|((hours, _), runs)| groups(runs, hours)).collect()
}

/// Messages of one size step, with their first and last hour.
type Sizes = BTreeMap<u16, (u64, i64, i64)>;

/// Messages of a login by size step, for each window of so many hours.
fn by_window(profile: &SenderProfile, hours: i64) -> BTreeMap<i64, Sizes> {
    let mut windows: BTreeMap<i64, Sizes> = BTreeMap::new();
    // In the order of hours.
    for ((hour, step), count) in &profile.size_hours {
        let sizes = windows.entry(hour.div_euclid(hours)).or_default();
        let known = sizes.entry(*step).or_insert((0, *hour, *hour));
        *known = (known.0 + u64::from(*count), known.1, *hour);
    }
    windows
}

/// The most messages of one size, where there are enough of them, and a good part of all.
fn run<'a>(profile: &'a SenderProfile, sizes: &Sizes, least: u64) -> Option<Run<'a>> {
    let width = (ONE_SIZE * SIZE_STEPS) as u16;
    let total: u64 = sizes.values().map(|(count, ..)| count).sum();
    if total < least {
        return None;
    }
    let alike = |from: u16| sizes.range(from..from.saturating_add(width));
    let (start, messages) = sizes
        .keys()
        .map(|from| (*from, alike(*from).map(|(_, (count, ..))| count).sum::<u64>()))
        .max_by_key(|(from, count)| (*count, std::cmp::Reverse(*from)))?;
    if messages < least || 4 * messages < total {
        return None;
    }
    let sum: f64 = alike(start).map(|(step, (count, ..))| f64::from(*step) * *count as f64).sum();
    let from = alike(start).map(|(_, (_, from, _))| *from).min()?;
    let to = alike(start).map(|(_, (_, _, to))| *to).max()?;
    Some(Run { profile, size: sum / messages as f64 / SIZE_STEPS, messages, from, to })
}

/// Whom a login mailed for the first time, by time.
struct Strangers {
    /// First time in seconds since 1970, and whether it was the only one.
    firsts: Vec<(i64, bool)>,
}

impl Strangers {
    fn of(profile: &SenderProfile) -> Self {
        Self { firsts: profile.distinct_recipients.in_order() }
    }

    /// True where the messages of a run went to people mailed then for the first time, most of them never again.
    fn are_most(&self, run: &Run<'_>) -> bool {
        let messages = run.messages;
        let from = self.firsts.partition_point(|(at, _)| *at < run.from * SECONDS_PER_HOUR);
        let to = self.firsts.partition_point(|(at, _)| *at < (run.to + 1) * SECONDS_PER_HOUR);
        let new = self.firsts.get(from..to).unwrap_or_default();
        let once = new.iter().filter(|(_, is_only)| *is_only).count();
        new.len() as u64 * 5 >= messages * 4 && once * 5 >= new.len() * 3
    }
}

/// The groups of runs that chance would not make, the closest first; no run is in two.
fn groups<'a>(mut runs: Vec<Run<'a>>, hours: i64) -> Vec<Campaign<'a>> {
    runs.sort_by(|a, b| a.size.total_cmp(&b.size).then_with(|| a.profile.name.cmp(&b.profile.name)));
    let mut candidates: Vec<(f64, usize, usize)> = Vec::new();
    for (start, one) in runs.iter().enumerate() {
        let mut domains = BTreeSet::new();
        for (end, other) in runs.iter().enumerate().skip(start).take(TRIED) {
            let span = other.size - one.size;
            if span > ONE_SIZE {
                break;
            }
            let is_new = domains.insert(domain(other.profile));
            if is_new && domains.len() >= DOMAINS {
                let by_chance = by_chance(&runs, start, end, domains.len());
                if by_chance < BY_CHANCE {
                    candidates.push((by_chance, start, end));
                }
            }
        }
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2)));
    let mut taken = vec![false; runs.len()];
    let mut found = Vec::new();
    for (by_chance, start, end) in candidates {
        let Some(group) = taken.get_mut(start..=end).filter(|group| group.iter().all(|is_taken| !is_taken)) else {
            continue;
        };
        group.fill(true);
        let mut members = runs.get(start..=end).unwrap_or_default().to_vec();
        members.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
        found.push(Campaign { hours, runs: members, by_chance });
    }
    found
}

/// Logins of one domain are one firm's. One without a domain stands for itself.
pub(super) fn domain(profile: &SenderProfile) -> &[u8] {
    match split(&profile.name) {
        (_, []) => &profile.name,
        (_, domain) => domain,
    }
}

impl<'a> Campaign<'a> {
    /// The run of one login.
    pub(super) fn run_of(&self, profile: &SenderProfile) -> Option<&Run<'a>> {
        self.runs.iter().find(|run| std::ptr::eq(run.profile, profile))
    }
}

/// How many groups of so many domains within so little chance makes in a window, as the other runs of sizes up to twice and
/// down to half are spread.
fn by_chance(runs: &[Run<'_>], start: usize, end: usize, domains: usize) -> f64 {
    let (Some(low), Some(high)) = (runs.get(start), runs.get(end)) else { return f64::INFINITY };
    let from = runs.partition_point(|run| run.size < low.size - 1.0);
    let to = runs.partition_point(|run| run.size <= high.size + 1.0);
    let others = (to - from - (end - start + 1)) as f64;
    // One more than there are, so that nothing stands for impossible.
    let expected = (others + 1.0) / 2.0 * (high.size - low.size).max(LEAST_SPAN);
    poisson_tail(domains - 1, expected) * runs.len() as f64
}

/// The probability of at least `least` events where `expected` are.
fn poisson_tail(least: usize, expected: f64) -> f64 {
    if expected >= least as f64 {
        return 1.0;
    }
    let mut term = (1..=least).fold((-expected).exp(), |term, n| term * expected / n as f64);
    let mut sum = 0.0;
    for n in least + 1.. {
        sum += term;
        term *= expected / n as f64;
        if term <= sum * 1e-9 {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_poisson_distribution() {
        assert!((poisson_tail(0, 2.0) - 1.0).abs() < 1e-6);
        assert!((poisson_tail(2, 1.0) - (1.0 - 2.0 * (-1.0_f64).exp())).abs() < 1e-6);
        assert!((poisson_tail(3, 0.01) - 1.654e-7).abs() < 1e-9);
    }
}
