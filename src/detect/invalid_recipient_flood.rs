//! Mail to addresses that do not exist: an old or bought list, a guessed one, or a stolen account that works one off.

use serde_json::json;

use super::case::run_around;
use super::signs::{UNKNOWN_HALF, UNKNOWN_HUNDRED, UNKNOWN_MANY, UNKNOWN_RECIPIENTS, UNKNOWN_THIRD};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, named, stop_it};
use crate::aggregate::share;
use crate::aggregate::window::busiest;
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
        Limit {
            key: "list_recipients",
            default: 12.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "a bought or very old list among other mail",
        },
        Limit {
            key: "list_share",
            default: 0.12,
            unit: "of the recipients asked for in the window",
            source: "detectors.md: an association's slightly stale list has a twelfth",
        },
        Limit { key: "few_share", default: 0.7, unit: "of the recipients asked for in the window", source: "as above" },
        Limit {
            key: "half_share",
            default: 0.5,
            unit: "of the recipients asked for in the window",
            source: "no list of anybody's own is half dead",
        },
        Limit {
            key: "dozens",
            default: 25.0,
            unit: "distinct recipients that do not exist",
            source: "harm: receivers count them",
        },
        Limit {
            key: "hundreds",
            default: 100.0,
            unit: "distinct recipients that do not exist",
            source: "harm: receivers block hosts for it",
        },
    ],
    signs: &[UNKNOWN_RECIPIENTS, UNKNOWN_THIRD, UNKNOWN_HALF, UNKNOWN_MANY, UNKNOWN_HUNDRED],
    check: Check::One(check),
};

/// Windows that are looked at: a burst, a working day, a slow run over a week.
const WINDOWS_S: [i64; 3] = [SECONDS_PER_HOUR, SECONDS_PER_DAY, 7 * SECONDS_PER_DAY];

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let times = profile.invalid_recipients.times();
    if !profile.is_our_user() || (times.len() as f64) < limits.get("few_recipients") {
        return None;
    }
    let (width_s, first, last, invalid, asked) = WINDOWS_S.into_iter().find_map(|width_s| {
        let (first, last, invalid) = busiest(&times, width_s)?;
        let asked = profile.attempted.between(first, last.plus_seconds(60)).max(invalid);
        let reaches = |count: &str, part: &str| {
            invalid as f64 >= limits.get(count) && share(invalid, asked) >= limits.get(part)
        };
        (reaches("recipients", "share")
            || reaches("few_recipients", "few_share")
            || reaches("list_recipients", "list_share"))
            .then_some((width_s, first, last, invalid, asked))
    })?;
    let total = profile.invalid_recipients.count();
    let window_share = share(invalid, asked);
    let signs = Signs::of(UNKNOWN_RECIPIENTS)
        .and(window_share >= limits.get("share"), UNKNOWN_THIRD)
        .and(window_share >= limits.get("half_share"), UNKNOWN_HALF)
        .and(total as f64 >= limits.get("dozens"), UNKNOWN_MANY)
        .and(total as f64 >= limits.get("hundreds"), UNKNOWN_HUNDRED);
    let samples: Vec<_> = profile.invalid_samples().map(|r| printable(r)).collect();
    let explanation = format!(
        "{} mailed {total} distinct recipients that do not exist ({:.0} % of its {} recipients): {invalid} of the {asked} asked for between {first} and {last}.",
        named(profile),
        profile.invalid_share() * 100.0,
        profile.distinct_recipients.count(),
    );
    // The run that the window is the heart of: two typing mistakes days before are none of it.
    let (run_first, run_last, _) = run_around(&times, width_s, width_s.max(6 * SECONDS_PER_HOUR))?;
    let last_seen = if times.last() == Some(&run_last) { profile.last_invalid? } else { run_last };
    Some(Draft {
        signs,
        first: run_first,
        last: last_seen,
        messages: profile.invalid_queue_ids.count,
        recipients: total,
        queue_ids: profile.invalid_queue_ids.clone(),
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
        client_ips: None,
        next_step: format!(
            "Look at the recipients: guessed names or a foreign list mean a stolen account, then {}; an own, stale list must be cleaned before the next mailing.",
            stop_it(profile)
        ),
    })
}
