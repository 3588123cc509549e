//! More recipients in an hour than a mailbox may have: what was asked for, not only what was delivered.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{bad_recipients, bad_share, hours, is_clearly_over, percent, together, total_between};
use super::signs::{FAR_OVER, OVER_THE_LIMIT, UNCLEAN_LIST, UNLIKE_ITS_OTHER_HOURS};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, many, named, stop_it};
use crate::aggregate::window::Minutes;
use crate::aggregate::{HourUse, SenderProfile};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "hourly-limit",
    question: "does it ask for more recipients in an hour than the limit?",
    limits: &[
        Limit {
            key: "recipients_per_hour",
            default: 300.0,
            unit: "recipients asked for in any 60 minutes",
            source: "mxroute seed: 300 per hour",
        },
        Limit {
            key: "way_over",
            default: 3.0,
            unit: "times the limit",
            source: "mxroute seed: \"way over the line\"",
        },
        Limit {
            key: "times_usual",
            default: 10.0,
            unit: "times the most in an hour of its other days, of which there are two with ten messages or more",
            source: "a mailbox that people write from; what only mails a list has no such days",
        },
        Limit {
            key: "bad_share",
            default: 0.04,
            unit: "of those recipients refused as unknown or unwanted: clearly over it (one standard deviation) the run is no clean list",
            source: "detectors.md: honest lists bounce little; newsletter tools and month-end invoices must stay quiet",
        },
    ],
    signs: &[OVER_THE_LIMIT, FAR_OVER, UNLIKE_ITS_OTHER_HOURS, UNCLEAN_LIST],
    check: Check::Many(check),
};

/// Mail goes on to be of a run over the limit while no gap is longer.
const GAP_S: i64 = 20 * 60;
/// Runs with no more than this between are one pattern: a weekend.
const ONE_PATTERN_S: i64 = 3 * SECONDS_PER_DAY;

/// One stretch over the limit: its minutes with what was asked for in them.
struct Run {
    minutes: Vec<(Timestamp, u64)>,
    /// Disjoint hours over the limit.
    hours: u64,
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let profile = case.profile;
    // A client relays for many: its limit is its own affair.
    if !matches!(profile.kind, IdentityKind::Sasl | IdentityKind::Uid) {
        return Vec::new();
    }
    let limit = limits.get("recipients_per_hour");
    if profile.attempted.peak(60).is_none_or(|peak| peak.count as f64 <= limit) {
        return Vec::new();
    }
    let runs = runs(profile, limit as u64);
    let is_near = |a: &Run, b: &Run| match (a.minutes.last(), b.minutes.first()) {
        (Some((last, _)), Some((first, _))) => first.seconds_since(*last) <= ONE_PATTERN_S,
        _ => true,
    };
    runs.chunk_by(is_near).filter_map(|runs| of_runs(case, limits, runs)).collect()
}

/// Every stretch over the limit, from its first minute to the last that belongs to it.
fn runs(profile: &SenderProfile, limit: u64) -> Vec<Run> {
    let over = profile.attempted.over(60, limit);
    let all = profile.attempted.within(Timestamp(i64::MIN), Timestamp(i64::MAX));
    let gap = |a: &(Timestamp, u64), b: &(Timestamp, u64)| b.0.seconds_since(a.0) <= GAP_S;
    let mut runs: Vec<(usize, usize, u64)> = Vec::new();
    for (from, until) in over {
        let start = all.partition_point(|(at, _)| *at < from);
        let mut end = all.partition_point(|(at, _)| *at <= until);
        while let (Some(last), Some(next)) = (all.get(end.wrapping_sub(1)), all.get(end)) && gap(last, next) {
            end += 1;
        }
        match runs.last_mut().filter(|(_, known, _)| start < *known) {
            Some(known) => *known = (known.0, end.max(known.1), known.2 + 1),
            None => runs.push((start, end, 1)),
        }
    }
    let run = |(start, end, hours): (usize, usize, u64)| {
        let minutes = all.get(start..end)?;
        Some(Run { minutes: minutes.get(together(minutes))?.to_vec(), hours })
    };
    runs.into_iter().filter_map(run).collect()
}

fn of_runs(case: &Case<'_>, limits: &Limits<'_>, runs: &[Run]) -> Option<Draft> {
    let profile = case.profile;
    let limit = limits.get("recipients_per_hour");
    let first = runs.first()?.minutes.first()?.0;
    let last = runs.last()?.minutes.last()?.0.plus_seconds(59);
    let mut asked = Minutes::default();
    runs.iter().flat_map(|run| &run.minutes).for_each(|(at, count)| asked.add(*at, *count));
    let peak = asked.peak(60)?;
    let minutes = profile.attempted.within(first, last.plus_seconds(1));
    let recipients: u64 = minutes.iter().map(|(_, count)| count).sum();
    let hours: u64 = runs.iter().map(|run| run.hours).sum();
    let used: HourUse = runs
        .iter()
        .filter_map(|run| Some(total_between(profile, run.minutes.first()?.0, run.minutes.last()?.0)))
        .sum();
    let bad = bad_share(used);
    let times = peak.count as f64 / limit;
    let is_way_over = times >= limits.get("way_over");
    let usual = usual_peak(profile, runs);
    // A mailing program writes to each by himself.
    let is_by_hand = used.recipients > 2 * used.messages;
    let is_unusual = is_by_hand && usual.is_some_and(|usual| peak.count as f64 >= limits.get("times_usual") * usual.max(1) as f64);
    let signs = Signs::of(OVER_THE_LIMIT)
        .and(is_way_over, FAR_OVER)
        .and(is_unusual, UNLIKE_ITS_OTHER_HOURS)
        .and(is_clearly_over(bad_recipients(used), u64::from(used.recipients), limits.get("bad_share")), UNCLEAN_LIST);
    let most = u64::from(total_between(profile, first, last).messages);
    let queue_ids = profile.queue_ids_between(first, last, most);
    Some(Draft {
        signs,
        first,
        last,
        messages: queue_ids.count,
        recipients,
        queue_ids,
        explanation: format!(
            "{} asked for {} in the hour from {}, {times:.1} times the limit of {limit:.0}; it was {} the limit {}, with {} refused as unknown or unwanted{}.",
            named(profile),
            many(peak.count, "recipient"),
            peak.start,
            if is_way_over { "far over" } else { "over" },
            if hours == 1 { "that once".into() } else { format!("{hours} times between {first} and {last}") },
            percent(bad),
            match usual.filter(|_| is_unusual) {
                Some(usual) => format!("; {usual} is the most in an hour of its other days"),
                None => String::new(),
            },
        ),
        evidence: json!({
            "limit_per_hour": limit,
            "peak_hour": peak.start.to_string(),
            "peak_hour_recipients": peak.count,
            "times_the_limit": times,
            "is_way_over": is_way_over,
            "hours_over": hours,
            "peak_hour_recipients_of_other_days": usual,
            "refused_share": bad,
        }),
        client_ips: Some(clients::to_all(profile, first, last)),
        next_step: format!(
            "Look at what it sent then: if it is the user's own mailing, agree on a pace or another service with them; if not, {}.",
            stop_it(profile)
        ),
    })
}

/// Days of other mail that tell what is usual, and its messages.
const OTHER_DAYS: usize = 2;
const OTHER_MESSAGES: u64 = 10;

/// The most recipients in an hour on the other days; `None` where there is too little other mail: a program that only ever
/// mails a list is not unlike itself.
fn usual_peak(profile: &SenderProfile, runs: &[Run]) -> Option<u64> {
    let days_of = |run: &Run| Some(run.minutes.first()?.0.day()..=run.minutes.last()?.0.day());
    let with_runs: Vec<_> = runs.iter().filter_map(days_of).collect();
    let (mut days, mut messages, mut peak) = (BTreeSet::new(), 0, 0);
    for (hour, used) in hours(profile) {
        let day = hour.div_euclid(24);
        if !with_runs.iter().any(|run| run.contains(&day)) {
            days.insert(day);
            messages += u64::from(used.messages);
            peak = peak.max(u64::from(used.recipients));
        }
    }
    (days.len() >= OTHER_DAYS && messages >= OTHER_MESSAGES).then_some(peak)
}
