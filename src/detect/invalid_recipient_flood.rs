//! Mail to addresses that do not exist: an old or bought list, a guessed one, or a stolen account that works one off.

use serde_json::json;

use super::{Detector, Finding, Limit, Limits, Severity, is_our_user, named, stop_it};
use crate::aggregate::window::busiest;
use crate::aggregate::{SenderProfile, share};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};

pub(super) const DETECTOR: Detector = Detector {
    kind: "invalid-recipient-flood",
    question: "does it mail addresses that don't exist?",
    limits: &[
        Limit {
            key: "recipients",
            default: 15.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "detectors.md: a flood fires within 50 messages; three in ten of those is what lists of honest senders do not reach",
        },
        Limit {
            key: "share",
            default: 0.3,
            unit: "of the recipients asked for in the window",
            source: "honest lists bounce below 0.1; fixtures/cases/first-look holds one at 0.08",
        },
        Limit {
            key: "few_recipients",
            default: 8.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "as recipients, where nearly all mail goes nowhere",
        },
        Limit { key: "few_share", default: 0.7, unit: "of the recipients asked for in the window", source: "as above" },
    ],
    check,
};

/// Windows that are looked at: a burst, a working day, a slow run over a week.
const WINDOWS_S: [i64; 3] = [SECONDS_PER_HOUR, SECONDS_PER_DAY, 7 * SECONDS_PER_DAY];

fn check(profile: &SenderProfile, limits: &Limits<'_>) -> Option<Finding> {
    let times = profile.invalid_recipients.times();
    if !is_our_user(profile) || (times.len() as f64) < limits.get("few_recipients") {
        return None;
    }
    let (width_s, first, last, invalid, asked) = WINDOWS_S.into_iter().find_map(|width_s| {
        let (first, last, invalid) = busiest(&times, width_s)?;
        let asked = profile.attempted.between(first, last.plus_seconds(60)).max(invalid);
        let reaches = |count: &str, part: &str| {
            invalid as f64 >= limits.get(count) && share(invalid, asked) >= limits.get(part)
        };
        (reaches("recipients", "share") || reaches("few_recipients", "few_share"))
            .then_some((width_s, first, last, invalid, asked))
    })?;
    let total = profile.invalid_recipients.count();
    let window_share = share(invalid, asked);
    let severity = match total {
        100.. if window_share >= 0.5 => Severity::Critical,
        25.. => Severity::High,
        _ => Severity::Medium,
    };
    let samples: Vec<_> = profile.invalid_samples().map(|r| printable(r)).collect();
    let explanation = format!(
        "{} mailed {total} distinct recipients that do not exist ({:.0} % of its {} recipients): {invalid} of the {asked} asked for between {first} and {last}.",
        named(profile),
        profile.invalid_share() * 100.0,
        profile.distinct_recipients.count(),
    );
    Some(Finding {
        kind: DETECTOR.kind,
        severity,
        score: (0.5 + window_share / 2.0).min(0.95),
        first_seen: times.first().copied()?,
        last_seen: profile.last_invalid?,
        messages: profile.invalid_queue_ids.count,
        recipients: total,
        queue_ids: profile.invalid_queue_ids.things().copied().collect(),
        queue_id_count: profile.invalid_queue_ids.count,
        explanation,
        evidence: json!({
            "invalid_recipients": total,
            "distinct_recipients": profile.distinct_recipients.count(),
            "share": profile.invalid_share(),
            "attempts": profile.invalid_attempts,
            "window_s": width_s,
            "window_first": first.to_string(),
            "window_last": last.to_string(),
            "window_invalid": invalid,
            "window_recipients": asked,
            "samples": samples,
        }),
        next_step: format!(
            "Look at the recipients: guessed names or a foreign list mean a stolen account, then {}; an own, stale list must be cleaned before the next mailing.",
            stop_it(profile)
        ),
    })
}
