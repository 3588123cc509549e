//! A client guesses addresses here: many recipients that do not exist, hardly one that does.

use serde_json::json;

use super::case::run_around;
use super::{Case, Check, Detector, Draft, Limit, Limits, Severity};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::share;
use crate::mail::address::printable;
use crate::mail::time::SECONDS_PER_DAY;

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
    ],
    check: Check::One(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let visits = profile.visits.as_deref()?;
    let reaches = |times: &FirstTimes, taken: u64| {
        let part = share(times.count(), times.count() + taken);
        times.count() as f64 >= limits.get("recipients") && part >= limits.get("share")
    };
    // Alone, or with its neighbours, of whom only the busiest is named.
    let (times, taken, clients) = match case.guessing() {
        _ if reaches(&visits.unknown, visits.taken) => (&visits.unknown, visits.taken, 1),
        Some(all) if reaches(&all.unknown, all.taken) => (&all.unknown, all.taken, all.clients),
        _ => return None,
    };
    let unknown = times.count();
    let part = share(unknown, unknown + taken);
    let (first, last, run) = run_around(&times.times(), SECONDS_PER_DAY, SECONDS_PER_DAY)?;
    let severity = match unknown {
        500.. => Severity::High,
        50.. => Severity::Medium,
        _ => Severity::Low,
    };
    let samples: Vec<_> = visits.unknown_samples.things().map(|address| printable(address)).collect();
    let name = printable(&profile.name);
    Some(Draft {
        severity,
        score: 0.4 + 0.3 * part,
        first,
        last,
        messages: 0,
        recipients: unknown,
        queue_ids: visits.queue_ids.clone(),
        explanation: format!(
            "client {name}{} tried {unknown} recipients that do not exist here ({run} of them between {first} and {last}); {:.0} % of all that it tried.",
            if clients > 1 { format!(" and {} of its network", clients - 1) } else { String::new() },
            part * 100.0,
        ),
        evidence: json!({ "unknown_recipients": unknown, "taken_recipients": taken, "clients": clients, "share": part, "samples": samples }),
        client_ips: None,
        next_step: format!("Block {name} for a day (fail2ban, postscreen, Exim's host list); look whether it also tried logins."),
    })
}
