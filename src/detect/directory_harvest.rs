//! A client guesses addresses here: many recipients that do not exist, hardly one that does.

use std::net::IpAddr;

use serde_json::json;

use super::case::{CLIENTS, Pattern, count_between, patterns, percent, queue_ids};
use super::signs::{TRIED_BY_THE_DOZEN, TRIED_BY_THE_HUNDRED, TRIED_HARDLY_ONE, TRIED_UNKNOWN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, network_text};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::share;
use crate::mail::address::{ip, network, printable};
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "directory-harvest",
    question: "is a client guessing our addresses?",
    limits: &[
        Limit {
            key: "recipients",
            default: 10.0,
            unit: "distinct recipients refused as unknown",
            source: "baruwa seed: dictionary attack; old lists hit a few of one host's",
        },
        Limit {
            key: "share",
            default: 0.7,
            unit: "of all the recipients that it tried",
            source: "detectors.md: small hit share; a backup MX brings much good mail, too",
        },
        Limit {
            key: "hardly_one_share",
            default: 0.9,
            unit: "of all the recipients that it tried",
            source: "an old list has its good ones",
        },
        Limit {
            key: "dozens",
            default: 50.0,
            unit: "distinct recipients refused as unknown",
            source: "harm: a dictionary at work",
        },
        Limit {
            key: "hundreds",
            default: 500.0,
            unit: "distinct recipients refused as unknown",
            source: "harm: a dictionary at work for long",
        },
    ],
    signs: &[TRIED_UNKNOWN, TRIED_HARDLY_ONE, TRIED_BY_THE_DOZEN, TRIED_BY_THE_HUNDRED],
    check: Check::Many(check),
};

/// Longest gaps within a pattern: of days in a row, and of a slow run over weeks.
const GAPS_S: [i64; 2] = [SECONDS_PER_DAY, 7 * SECONDS_PER_DAY];

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let Some(visits) = case.profile.visits.as_deref() else { return Vec::new() };
    let reaches = |times: &FirstTimes, taken: u64| {
        let part = share(times.count(), times.count() + taken);
        times.count() as f64 >= limits.get("recipients") && part >= limits.get("share")
    };
    // With its neighbours, of whom the first is named; or alone.
    let found: Option<(&FirstTimes, u64, Vec<IpAddr>)> = match case.guessing() {
        Some((all, is_lead)) if all.is_of_several() && reaches(&all.unknown, all.taken) => {
            is_lead.then(|| (&all.unknown, all.taken, all.clients.iter().copied().collect()))
        }
        _ if reaches(&visits.unknown, visits.taken) => {
            Some((&visits.unknown, visits.taken, case.profile.client_ips.iter().copied().collect()))
        }
        _ => None,
    };
    let Some((unknown, taken, clients)) = found else { return Vec::new() };
    let times = unknown.times();
    let is_many = |piece: &[Timestamp]| piece.len() as f64 >= limits.get("recipients");
    let mut found = patterns(&times, &GAPS_S, is_many);
    if found.is_empty() && let (Some(first), Some(last)) = (times.first(), times.last()) {
        found.push(Pattern { first: *first, last: *last, pieces: vec![(*first, *last)] });
    }
    found.iter().map(|one| of_pattern(case, limits, one, &times, taken, &clients)).collect()
}

fn of_pattern(
    case: &Case<'_>,
    limits: &Limits<'_>,
    pattern: &Pattern,
    times: &[Timestamp],
    taken: u64,
    clients: &[IpAddr],
) -> Draft {
    let Pattern { first, last, .. } = *pattern;
    let unknown = count_between(times, first, last);
    let part = share(times.len() as u64, times.len() as u64 + taken);
    let signs = Signs::of(TRIED_UNKNOWN)
        .and(part >= limits.get("hardly_one_share"), TRIED_HARDLY_ONE)
        .and(unknown as f64 >= limits.get("dozens"), TRIED_BY_THE_DOZEN)
        .and(unknown as f64 >= limits.get("hundreds"), TRIED_BY_THE_HUNDRED);
    let visits = case.profile.visits.as_deref();
    let samples: Vec<_> = visits.into_iter().flat_map(|v| v.unknown_samples.things()).map(|a| printable(a)).collect();
    let ids = visits.into_iter().flat_map(|visits| visits.queue_ids.between(first, last.plus_seconds(1)));
    let name = printable(&case.profile.name);
    let of = ip(&case.profile.name).map_or_else(|| name.to_string(), |ip| network_text(network(ip)));
    let (who, what) = match clients.len() {
        0 | 1 => (format!("client {name}"), name.to_string()),
        count => (format!("client {name} and {} of its network {of}", count - 1), of),
    };
    Draft {
        signs,
        first,
        last,
        messages: 0,
        recipients: unknown,
        queue_ids: queue_ids(ids),
        explanation: format!(
            "{who} tried {unknown} recipients that do not exist here between {first} and {last}; {} of all that it tried.",
            percent(part),
        ),
        evidence: json!({ "unknown_recipients": unknown, "taken_recipients": taken, "clients": clients.len(), "share": part, "samples": samples }),
        client_ips: Some(clients.iter().take(CLIENTS).copied().collect()),
        next_step: format!("Block {what} for a day (fail2ban, postscreen, Exim's host list); look whether it also tried logins."),
    }
}
