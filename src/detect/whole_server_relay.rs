//! A server that pushes all its system mail through this host: root, cron, www-data, bounces of its own, round the clock.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{Senders, few, hours};
use super::sender_rotation::SYSTEM_NAMES;
use super::signs::{ALL_DAY_AND_NIGHT, SYSTEM_MAIL_IN_BULK, SYSTEM_SENDERS};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, many, named};
use crate::aggregate::share;
use crate::mail::address::split;
use crate::mail::time::SECONDS_PER_DAY;

pub(super) const DETECTOR: Detector = Detector {
    kind: "whole-server-relay",
    question: "does a server push all its system mail through us?",
    limits: &[
        Limit {
            key: "messages_per_day",
            default: 25.0,
            unit: "messages of system senders in a day, on average",
            source: "detectors.md: cron on a handful of servers must stay quiet",
        },
        Limit {
            key: "senders",
            default: 3.0,
            unit: "distinct system senders",
            source: "mxroute seed: root, cron and the rest",
        },
        Limit {
            key: "hours",
            default: 14.0,
            unit: "different hours of the day with mail",
            source: "machines do not sleep",
        },
        Limit {
            key: "hundreds_per_day",
            default: 150.0,
            unit: "messages of system senders in a day, on average",
            source: "harm: nobody reads that many",
        },
    ],
    signs: &[SYSTEM_SENDERS, ALL_DAY_AND_NIGHT, SYSTEM_MAIL_IN_BULK],
    check: Check::One(check),
};

fn is_system(address: &[u8]) -> bool {
    let local = split(address).0.to_ascii_lowercase();
    let first = local.split(|b| matches!(b, b'+' | b'-' | b'.')).next().unwrap_or_default();
    address.is_empty() || SYSTEM_NAMES.iter().any(|name| local == *name || first == *name)
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let senders = Senders::of(profile.senders().into_iter().filter(|sender| is_system(&sender.address)).collect())?;
    let Senders { messages, first, last, .. } = senders;
    let days = (last.seconds_since(first) as f64 / SECONDS_PER_DAY as f64).max(1.0);
    let clock = hours(profile).keys().map(|hour| hour.rem_euclid(24)).collect::<BTreeSet<_>>().len();
    let is_found = messages as f64 / days >= limits.get("messages_per_day")
        && senders.uses.len() as f64 >= limits.get("senders")
        && clock as f64 >= limits.get("hours")
        && share(messages, profile.messages) >= 0.5;
    if !is_found {
        return None;
    }
    let samples = senders.samples();
    Some(Draft {
        signs: Signs::of(SYSTEM_SENDERS)
            .and(true, ALL_DAY_AND_NIGHT)
            .and(messages as f64 / days >= limits.get("hundreds_per_day"), SYSTEM_MAIL_IN_BULK),
        first,
        last,
        messages,
        recipients: messages,
        queue_ids: senders.queue_ids(),
        explanation: format!(
            "{} sent {} of {} ({}), {:.0} a day in {} of the day.",
            named(profile),
            many(messages, "message"),
            many(senders.uses.len() as u64, "system sender"),
            few(&samples),
            messages as f64 / days,
            many(clock as u64, "different hour"),
        ),
        evidence: json!({ "system_senders": senders.uses.len(), "messages": messages, "per_day": messages as f64 / days, "hours_of_the_day": clock, "samples": samples }),
        client_ips: Some(clients::of(profile, &senders)),
        next_step: "Ask the server's owner to keep its system mail to itself (a local mailbox for root and cron, mail on change only) and to send here only what people read.".into(),
    })
}
