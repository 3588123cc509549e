//! More recipients in an hour than a mailbox may have: what was asked for, not only what was delivered.

use serde_json::json;

use super::case::{bad_recipients, bad_share, is_clearly_over, together, total_between};
use super::signs::{FAR_OVER, OVER_THE_LIMIT, UNCLEAN_LIST};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named, stop_it};
use crate::mail::identity::IdentityKind;

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
            key: "bad_share",
            default: 0.04,
            unit: "of those recipients refused as unknown or unwanted: clearly over it (one standard deviation) the run is no clean list",
            source: "detectors.md: honest lists bounce little; newsletter tools and month-end invoices must stay quiet",
        },
    ],
    signs: &[OVER_THE_LIMIT, FAR_OVER, UNCLEAN_LIST],
    check: Check::One(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    // A client relays for many: its limit is its own affair.
    if !matches!(profile.kind, IdentityKind::Sasl | IdentityKind::Uid) {
        return None;
    }
    let limit = limits.get("recipients_per_hour");
    let peak = profile.attempted.peak(60)?;
    if (peak.count as f64) <= limit {
        return None;
    }
    let over = profile.attempted.over(60, limit as u64);
    let minutes = profile.attempted.within(over.first()?.0, over.last()?.1.plus_seconds(1));
    let minutes = minutes.get(together(&minutes))?;
    let (first, last) = (minutes.first()?.0, minutes.last()?.0.plus_seconds(59));
    let recipients: u64 = minutes.iter().map(|(_, count)| count).sum();
    let used = total_between(profile, first, last);
    let bad = bad_share(used);
    let times = peak.count as f64 / limit;
    let is_way_over = times >= limits.get("way_over");
    let signs = Signs::of(OVER_THE_LIMIT)
        .and(is_way_over, FAR_OVER)
        .and(is_clearly_over(bad_recipients(used), u64::from(used.recipients), limits.get("bad_share")), UNCLEAN_LIST);
    Some(Draft {
        signs,
        first,
        last,
        messages: u64::from(used.messages),
        recipients,
        queue_ids: profile.queue_ids_between(first, last, u64::from(used.messages)),
        explanation: format!(
            "{} asked for {} in the hour from {}, {times:.1} times the limit of {limit:.0}; it was {} the limit {}, with {:.0} % refused as unknown or unwanted.",
            named(profile),
            many(peak.count, "recipient"),
            peak.start,
            if is_way_over { "far over" } else { "over" },
            if over.len() == 1 { "that once".into() } else { format!("{} times between {first} and {last}", over.len()) },
            bad * 100.0,
        ),
        evidence: json!({
            "limit_per_hour": limit,
            "peak_hour": peak.start.to_string(),
            "peak_hour_recipients": peak.count,
            "times_the_limit": times,
            "is_way_over": is_way_over,
            "hours_over": over.len(),
            "refused_share": bad,
        }),
        client_ips: None,
        next_step: format!(
            "Look at what it sent then: if it is the user's own mailing, agree on a pace or another service with them; if not, {}.",
            stop_it(profile)
        ),
    })
}
