//! One receiver says that this host is listed, while the others, who ask the same lists, take its mail.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::case::queue_ids;
use super::signs::{ONE_ALONE, ONE_ALONE_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many};
use crate::aggregate::Receiver;
use crate::correlate::Octets;
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "false-listing",
    question: "does one receiver say \"listed\", and nobody else?",
    limits: &[
        Limit {
            key: "answers",
            default: 3.0,
            unit: "answers of one receiver that name a list",
            source: "once may be a moment's mistake",
        },
        Limit {
            key: "others",
            default: 5.0,
            unit: "other receivers that took mail in the same hours",
            source: "detectors.md: others use the same lists",
        },
        Limit {
            key: "often",
            default: 50.0,
            unit: "answers of one receiver that name a list",
            source: "harm: its users are many",
        },
    ],
    signs: &[ONE_ALONE, ONE_ALONE_OFTEN],
    check: Check::Many(check),
};

/// Receivers that say so most that are compared with the others.
const LOOKED_AT: usize = 50;
/// Hours of each that are.
const HOURS: usize = 24;
/// Hours that suffice, however many others there are.
const ALONE_HOURS: usize = 4;

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let found = all_alone(case, limits);
    found.into_iter().filter_map(|(name, receiver, hours)| draft(name, receiver, hours, limits)).collect()
}

/// The receivers that say so alone, with the first and the last hour of it.
pub(super) fn all_alone<'a>(case: &Case<'a>, limits: &Limits<'_>) -> Vec<(&'a Octets, &'a Receiver, (i64, i64))> {
    let Some(host) = case.host() else { return Vec::new() };
    let here: Vec<(&Octets, &Receiver)> = case.around().receivers_of(host).collect();
    let mut listing: Vec<_> =
        here.iter().copied().filter(|(_, receiver)| receiver.total().listed as f64 >= limits.get("answers")).collect();
    listing.sort_by_key(|(name, receiver)| (std::cmp::Reverse(receiver.total().listed), *name));
    listing.truncate(LOOKED_AT);
    let hours = listing.iter().flat_map(|(_, receiver)| listed_hours(receiver)).collect();
    let others = by_hour(&here, &hours);
    let of = |(name, receiver)| Some((name, receiver, alone(&others, name, receiver, limits)?));
    listing.into_iter().filter_map(of).collect()
}

fn listed_hours(receiver: &Receiver) -> impl Iterator<Item = i64> {
    receiver.hours.iter().filter(|(_, used)| used.listed > 0).map(|(hour, _)| *hour)
}

/// What all receivers say in one hour and those beside it.
#[derive(Default)]
struct Others<'a> {
    /// Receivers that take mail and name no list.
    taking: u64,
    /// Those that name one.
    saying: Vec<(&'a Octets, &'a Receiver)>,
}

/// That of each of some hours; every receiver is looked at once.
fn by_hour<'a>(here: &[(&'a Octets, &'a Receiver)], hours: &BTreeSet<i64>) -> BTreeMap<i64, Others<'a>> {
    let mut all: BTreeMap<i64, Others<'_>> = BTreeMap::new();
    if hours.is_empty() {
        return all;
    }
    for (name, receiver) in here {
        let near: BTreeSet<i64> = receiver.hours.keys().flat_map(|hour| hour - 1..=hour + 1).collect();
        for hour in near.into_iter().filter(|hour| hours.contains(hour)) {
            let near = receiver.hours.range(hour - 1..=hour + 1);
            let (delivered, listed) = near.fold((0, 0), |sum, (_, used)| (sum.0 + used.delivered, sum.1 + used.listed));
            let known = all.entry(hour).or_default();
            if listed > 0 {
                known.saying.push((name, receiver));
            } else {
                known.taking += u64::from(delivered > 0);
            }
        }
    }
    all
}

/// The first and the last hour in which this receiver says so while the others take this host's mail and do not; `None` where
/// that is in few of the hours in which it does. Where several say so, it is true.
fn alone(
    others: &BTreeMap<i64, Others<'_>>,
    name: &Octets,
    receiver: &Receiver,
    limits: &Limits<'_>,
) -> Option<(i64, i64)> {
    let hours: Vec<i64> = listed_hours(receiver).collect();
    let is_alone_at = |hour: i64| {
        let Some(others) = others.get(&hour) else { return false };
        // Who names another list speaks of something else.
        let is_same = |(other, said): &&(&Octets, &Receiver)| *other != name && names_the_same(receiver, said);
        let saying = others.saying.iter().filter(is_same).count() as u64;
        others.taking as f64 >= limits.get("others") && saying * 10 <= others.taking
    };
    // Of many hours a part tells as well.
    let looked: Vec<i64> = hours.iter().copied().step_by(hours.len() / HOURS + 1).collect();
    let alone: Vec<i64> = looked.iter().copied().filter(|hour| is_alone_at(*hour)).collect();
    // While the host is listed in truth, somewhere, it does not show.
    let is_most = alone.len() >= 2 && (2 * alone.len() >= looked.len() || alone.len() >= ALONE_HOURS);
    let first = hours.iter().copied().find(|hour| is_alone_at(*hour)).filter(|_| is_most)?;
    let last = hours.iter().rev().copied().find(|hour| is_alone_at(*hour))?;
    Some((first, last))
}

/// True where two receivers name one list, or one of them names none.
fn names_the_same(one: &Receiver, other: &Receiver) -> bool {
    one.lists.is_empty() || other.lists.is_empty() || one.lists.keys().any(|list| other.lists.contains_key(list))
}

fn draft(name: &[u8], worst: &Receiver, (from, to): (i64, i64), limits: &Limits<'_>) -> Option<Draft> {
    let hour = |hour: i64| Timestamp::from_seconds(hour * SECONDS_PER_HOUR);
    // The exact moments where the log's first and last such answers are these.
    let first = worst.first_listed.filter(|at| at.hour() == from).unwrap_or(hour(from));
    let last = worst.last_listed.filter(|at| at.hour() == to).unwrap_or(hour(to + 1).plus_seconds(-1));
    let (mut listed, mut delivered) = (0, 0);
    for used in worst.hours.range(from..=to).map(|(_, used)| used) {
        (listed, delivered) = (listed + used.listed, delivered + used.delivered);
    }
    if (listed as f64) < limits.get("answers") {
        return None;
    }
    let messages = worst.listed.between(first, last).count() as u64;
    let lists: Vec<&str> = worst.lists.keys().map(AsRef::as_ref).collect();
    let receiver = printable(name);
    Some(Draft {
        signs: Signs::of(ONE_ALONE).and(listed as f64 >= limits.get("often"), ONE_ALONE_OFTEN),
        first,
        last,
        messages,
        recipients: worst.listed_recipients.between(first, last).count() as u64,
        queue_ids: queue_ids(worst.listed_queue_ids.between(first, last)).counted(messages),
        explanation: format!(
            "{receiver} refused {} because this host is said to be listed{}, while other receivers took its mail in the same hours.",
            many(listed, "time"),
            if lists.is_empty() { String::new() } else { format!(" ({})", lists.join(", ")) },
        ),
        evidence: json!({
            "receiver": receiver,
            "answers": listed,
            "delivered_there": delivered,
            "lists": lists,
            "example": worst.listed_example.as_ref().map(|(_, text)| printable(text)),
        }),
        client_ips: None,
        next_step: format!("Look the address up at the list; if it is not there, write to the postmaster of {receiver}: their resolver is refused by the list, or the list is dead."),
    })
}
