//! A client guesses addresses here: many recipients that do not exist, hardly one that does.

use serde_json::json;

use super::case::run_around;
use super::signs::{TRIED_BY_THE_DOZEN, TRIED_BY_THE_HUNDRED, TRIED_HARDLY_ONE, TRIED_UNKNOWN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs};
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
    let signs = Signs::of(TRIED_UNKNOWN)
        .and(part >= limits.get("hardly_one_share"), TRIED_HARDLY_ONE)
        .and(unknown as f64 >= limits.get("dozens"), TRIED_BY_THE_DOZEN)
        .and(unknown as f64 >= limits.get("hundreds"), TRIED_BY_THE_HUNDRED);
    let samples: Vec<_> = visits.unknown_samples.things().map(|address| printable(address)).collect();
    let name = printable(&profile.name);
    Some(Draft {
        signs,
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
