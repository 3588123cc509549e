//! This host's own address comes to be listed or throttled by several receivers, and whose mail rose just before.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{bad_share, queue_ids, total_between};
use super::false_listing;
use super::signs::{CAUSE_KNOWN, LIST_NAMED, MANY_RECEIVERS, RECEIVERS_TOGETHER};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::{Receiver, SenderProfile, share};
use crate::correlate::{HostId, Octets};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "reputation-damage",
    question: "is this host's own address being listed or throttled, and by whose mail?",
    limits: &[
        Limit {
            key: "receivers",
            default: 2.0,
            unit: "organisations that begin to distrust this host within a day",
            source: "detectors.md: onset across receivers; one alone is its own matter",
        },
        Limit {
            key: "answers",
            default: 3.0,
            unit: "such answers of each",
            source: "one throttled mail is the ordinary day of any host",
        },
        Limit {
            key: "share",
            default: 0.1,
            unit: "of what each answers from then on",
            source: "as above",
        },
        Limit {
            key: "many_receivers",
            default: 5.0,
            unit: "organisations that begin to distrust this host within a day",
            source: "harm: most mail of a host goes to a few large ones",
        },
    ],
    signs: &[RECEIVERS_TOGETHER, MANY_RECEIVERS, LIST_NAMED, CAUSE_KNOWN],
    check: Check::Many(check),
};

/// Hours without such an answer after which it is over.
const GAP_HOURS: i64 = 12;
/// A state has begun when within so many hours this part of the answers of its worst such hours came, and the limit: one
/// answer of the night before is none of it.
const ONSET_WINDOW_HOURS: i64 = 3;
const ONSET_SHARE: f64 = 0.1;
/// Hours within which receivers begin to distrust a host for one cause.
const ONSET_HOURS: i64 = 24;

/// One receiver's distrust from its beginning to its end, in hours since 1970.
#[derive(Clone, Copy)]
struct Episode<'a> {
    from: i64,
    to: i64,
    answers: u64,
    delivered: u64,
    name: &'a Octets,
    receiver: &'a Receiver,
}

impl Episode<'_> {
    /// Adds a later one of the same receiver.
    fn join(&mut self, later: &Self) {
        self.to = self.to.max(later.to);
        self.answers += later.answers;
        self.delivered += later.delivered;
    }
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let Some(host) = case.host() else { return Vec::new() };
    let here = case.around().receivers_of(host);
    let least = limits.get("answers");
    let mut episodes: Vec<Episode<'_>> = here.flat_map(|(name, receiver)| episodes(name, receiver, least)).collect();
    episodes.retain(|one| {
        one.answers as f64 >= limits.get("answers")
            && share(one.answers, one.answers + one.delivered) >= limits.get("share")
    });
    // Who says alone what nobody else finds is wrong about this host (`false-listing`), and no part of a damage.
    let alone = false_listing::all_alone(case, &limits.of(&false_listing::DETECTOR));
    let is_alone = |one: &Episode<'_>| {
        alone.iter().any(|(name, _, (from, to))| *name == one.name && one.from <= *to && *from <= one.to)
    };
    episodes.retain(|one| !is_alone(one));
    episodes.sort_by_key(|one| (one.from, one.name.clone()));
    let groups = grouped(&episodes);
    groups.into_iter().filter_map(|group| draft(case, host, group, limits)).collect()
}

/// Episodes, in the order of their beginnings, by state of the host: what begins within a day of the first has its cause, and
/// so has what begins while half of the receivers still say so.
fn grouped<'a, 'b>(episodes: &'b [Episode<'a>]) -> Vec<&'b [Episode<'a>]> {
    let mut groups = Vec::new();
    let mut rest = episodes;
    while let Some(first) = rest.first() {
        let mut until = first.from + ONSET_HOURS;
        let mut len = rest.partition_point(|one| one.from <= until);
        while let (Some(next), Some(group)) = (rest.get(len), rest.get(..len)) {
            if 2 * group.iter().filter(|one| one.to >= next.from).count() < len {
                break;
            }
            until = next.from + ONSET_HOURS;
            len = rest.partition_point(|one| one.from <= until);
        }
        let (group, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        groups.push(group);
        rest = after;
    }
    groups
}

/// The hour with which answers came in earnest; `least` of them at the least.
fn onset(run: &[(i64, u64)], least: f64) -> Option<i64> {
    let near = |from: i64| -> u64 {
        let start = run.partition_point(|(hour, _)| *hour < from);
        let hours = run.get(start..).unwrap_or_default();
        hours.iter().take_while(|(hour, _)| *hour < from + ONSET_WINDOW_HOURS).map(|(_, answers)| answers).sum()
    };
    let most = run.iter().map(|(hour, _)| near(*hour)).max()? as f64;
    let enough = (most * ONSET_SHARE).max(least).min(most);
    run.iter().map(|(hour, _)| *hour).find(|hour| near(*hour) as f64 >= enough)
}

fn episodes<'a>(name: &'a Octets, receiver: &'a Receiver, least: f64) -> Vec<Episode<'a>> {
    let bad: Vec<i64> = receiver.hours.iter().filter(|(_, used)| used.reputation > 0).map(|(hour, _)| *hour).collect();
    // What came before an onset is an episode, too, if it is one: that the worst is yet to come does not move its beginning.
    let mut spans = Vec::new();
    for run in bad.chunk_by(|a, b| b - a <= GAP_HOURS) {
        let counts: Vec<_> =
            run.iter().filter_map(|hour| Some((*hour, receiver.hours.get(hour)?.reputation))).collect();
        let mut until = counts.len();
        while let Some((part, to)) = counts.get(..until).and_then(|part| Some((part, part.last()?.0))) {
            let Some(from) = onset(part, least) else { break };
            spans.push((from, to));
            until = part.partition_point(|(hour, _)| *hour < from);
        }
    }
    spans
        .into_iter()
        .map(|(from, to)| {
            let (answers, delivered) = receiver
                .hours
                .range(from..=to)
                .fold((0, 0), |sum, (_, used)| (sum.0 + used.reputation, sum.1 + used.delivered));
            Episode { from, to, answers, delivered, name, receiver }
        })
        .collect()
}

fn draft(case: &Case<'_>, host: HostId, group: &[Episode<'_>], limits: &Limits<'_>) -> Option<Draft> {
    let count = group.iter().map(|one| one.name).collect::<BTreeSet<_>>().len();
    if (count as f64) < limits.get("receivers") {
        return None;
    }
    let hour = |hour: i64| Timestamp::from_seconds(hour * SECONDS_PER_HOUR);
    let start = group.first()?;
    // The exact moment where the log's first such answer is this one.
    let exact = start.receiver.first_reputation.filter(|at| at.hour() == start.from);
    let first = exact.unwrap_or(hour(start.from));
    let end = |one: &Episode<'_>| {
        let exact = one.receiver.last_reputation.filter(|at| at.hour() == one.to);
        exact.unwrap_or(hour(one.to + 1).plus_seconds(-1))
    };
    let last = group.iter().map(end).max()?;
    let answers: u64 = group.iter().map(|one| one.answers).sum();
    let ids = queue_ids(group.iter().flat_map(|one| one.receiver.queue_ids.between(first, last)));
    let distinct = |of: fn(&Receiver) -> &FirstTimes| {
        let things = group.iter().flat_map(|one| of(one.receiver).between(first, last)).map(|(thing, _)| thing);
        things.collect::<BTreeSet<_>>().len() as u64
    };
    let messages = distinct(|receiver| &receiver.refused);
    let recipients = distinct(|receiver| &receiver.refused_recipients);
    let suspects = risen_before(case, host, first);
    let who: Vec<String> = suspects.iter().map(|(name, _)| name.clone()).collect();
    let lists: BTreeSet<&str> = group.iter().flat_map(|one| one.receiver.lists.keys()).map(AsRef::as_ref).collect();
    // One receiver may have begun several times.
    let mut firsts: Vec<Episode<'_>> = Vec::new();
    for one in group {
        match firsts.iter_mut().find(|known| known.name == one.name) {
            Some(known) => known.join(one),
            None => firsts.push(*one),
        }
    }
    let receivers: Vec<_> = firsts.iter().map(|one| printable(one.name)).take(4).collect();
    Some(Draft {
        signs: Signs::of(RECEIVERS_TOGETHER)
            .and(count as f64 >= limits.get("many_receivers"), MANY_RECEIVERS)
            .and(!lists.is_empty(), LIST_NAMED)
            .and(!who.is_empty(), CAUSE_KNOWN),
        first,
        last,
        messages,
        recipients,
        queue_ids: ids.counted(messages),
        explanation: format!(
            "{count} receivers ({}) began to refuse or throttle this host from {first} on, {} so far{}; just before it, {}.",
            receivers.join(", "),
            many(answers, "answer"),
            if lists.is_empty() {
                String::new()
            } else {
                format!(", naming {}", lists.iter().copied().collect::<Vec<_>>().join(", "))
            },
            if who.is_empty() {
                "nobody's mail rose and was refused".to_string()
            } else {
                format!("the mail of {} rose, much of it refused", who.join(", "))
            },
        ),
        evidence: json!({
            "receivers": firsts.iter().take(20).map(|one| json!({
                "receiver": printable(one.name),
                "since": hour(one.from).to_string(),
                "answers": one.answers,
                "delivered": one.delivered,
                "example": one.receiver.example.as_ref().map(|(_, text)| printable(text)),
            })).collect::<Vec<_>>(),
            "receiver_count": count,
            "answers": answers,
            "lists": lists,
            "whose_mail_rose_before": suspects.iter().map(|(name, more)| json!({ "identity": name, "recipients_more_than_before": more })).collect::<Vec<_>>(),
        }),
        client_ips: None,
        next_step: "Stop the senders named first, then ask for removal at the lists and receivers named; asking before the cause is gone makes it worse.".into(),
    })
}

/// The time before an onset, and a little after it, in which a rise is its cause; and the time before that to compare with.
const RISE_HOURS: (i64, i64) = (6, 2);
const USUAL_HOURS: i64 = 48;
/// Who rose by less than this part of the most is named after none.
const BESIDE_THE_MOST: u64 = 10;

/// Identities of a host whose mail rose before a moment and was much refused, by how much it rose, the most first.
fn risen_before(case: &Case<'_>, host: HostId, at: Timestamp) -> Vec<(String, u64)> {
    let ours = |profile: &&SenderProfile| profile.is_our_user() && profile.hosts.contains(&host);
    let hours = |hours: i64| at.plus_seconds(hours * SECONDS_PER_HOUR);
    let (before, after) = RISE_HOURS;
    let mut found: Vec<(String, u64)> = case
        .surroundings
        .profiles
        .iter()
        .filter(ours)
        .filter_map(|profile| {
            let now = total_between(profile, hours(-before), hours(after));
            // Of a job that always has its refusals a day tells as much as an hour.
            let from = hours(-before - USUAL_HOURS).max(profile.first_seen);
            let usual_hours = (hours(-before).seconds_since(from) / SECONDS_PER_HOUR).max(0) as u64;
            let usual = u64::from(total_between(profile, from, hours(-before - 1)).recipients);
            let usual = (usual * (before + after).unsigned_abs()).checked_div(usual_hours).unwrap_or(0);
            let bad = u64::from(now.invalid) + u64::from(now.distrusted);
            let more = u64::from(now.recipients).saturating_sub(usual);
            (bad >= 10 && bad_share(now) >= 0.1 && 2 * more >= usual.max(20)).then(|| (named(profile), more))
        })
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = found.first().map_or(0, |(_, more)| *more);
    found.retain(|(_, more)| more * BESIDE_THE_MOST >= most);
    found.truncate(5);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_state_of_a_host_is_one_group() {
        let (name, receiver) = (Octets::from(&b"x.example"[..]), Receiver::default());
        let of = |spans: &[(i64, i64)]| -> Vec<usize> {
            let one = |(from, to): &(i64, i64)| Episode {
                from: *from,
                to: *to,
                answers: 9,
                delivered: 0,
                name: &name,
                receiver: &receiver,
            };
            let episodes: Vec<_> = spans.iter().map(one).collect();
            grouped(&episodes).iter().map(|group| group.len()).collect()
        };
        assert_eq!(onset(&[(0, 1), (7, 3), (8, 162), (9, 150)], 3.0), Some(7));
        assert_eq!((onset(&[(0, 1), (9, 1), (30, 1)], 3.0), onset(&[(4, 2), (5, 2)], 3.0)), (Some(0), Some(4)));
        assert_eq!(of(&[(0, 5), (20, 22), (24, 30)]), [3]);
        // A second day's trouble is its own where the first is over, and the same while it lasts.
        assert_eq!(of(&[(0, 5), (1, 6), (40, 45), (41, 45)]), [2, 2]);
        assert_eq!(of(&[(0, 90), (1, 80), (40, 90), (70, 75)]), [4]);
        assert_eq!(of(&[(0, 90), (1, 6), (2, 6), (40, 45)]), [3, 1]);
        assert!(of(&[]).is_empty());
    }
}
