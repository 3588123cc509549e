//! This host's own address comes to be listed or throttled by several receivers, and whose mail rose just before.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{bad_share, total_between};
use super::{Case, Check, Detector, Draft, Limit, Limits, Severity};
use crate::aggregate::{QueueIds, Receiver, SenderProfile, share};
use crate::correlate::{HostId, Octets};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};

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
    ],
    check: Check::Many(check),
};

/// Hours without such an answer after which it is over.
const GAP_HOURS: i64 = 12;
/// Hours within which receivers begin to distrust a host for one cause.
const ONSET_HOURS: i64 = 24;

/// One receiver's distrust from its beginning to its end, in hours since 1970.
struct Episode<'a> {
    from: i64,
    to: i64,
    answers: u64,
    delivered: u64,
    name: &'a Octets,
    receiver: &'a Receiver,
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let Some(host) = case.host() else { return Vec::new() };
    let here = case.around().receivers_of(host);
    let mut episodes: Vec<Episode<'_>> = here.flat_map(|(name, receiver)| episodes(name, receiver)).collect();
    episodes.retain(|one| {
        one.answers as f64 >= limits.get("answers")
            && share(one.answers, one.answers + one.delivered) >= limits.get("share")
    });
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

fn episodes<'a>(name: &'a Octets, receiver: &'a Receiver) -> Vec<Episode<'a>> {
    let bad: Vec<i64> = receiver.hours.iter().filter(|(_, used)| used.reputation > 0).map(|(hour, _)| *hour).collect();
    bad.chunk_by(|a, b| b - a <= GAP_HOURS)
        .filter_map(|run| {
            let (from, to) = (*run.first()?, *run.last()?);
            let (answers, delivered) = receiver
                .hours
                .range(from..=to)
                .fold((0, 0), |sum, (_, used)| (sum.0 + used.reputation, sum.1 + used.delivered));
            Some(Episode { from, to, answers, delivered, name, receiver })
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
    let last = group.iter().map(|one| hour(one.to + 1).plus_seconds(-1)).max()?;
    let answers: u64 = group.iter().map(|one| one.answers).sum();
    let mut queue_ids = QueueIds::default();
    for one in group {
        queue_ids.merge(one.receiver.queue_ids.clone());
    }
    let suspects = risen_before(case, host, first);
    let who: Vec<String> = suspects.iter().map(|(name, _)| name.clone()).collect();
    let lists: BTreeSet<&str> = group.iter().flat_map(|one| one.receiver.lists.keys()).map(AsRef::as_ref).collect();
    let receivers: Vec<_> = group.iter().map(|one| printable(one.name)).collect();
    Some(Draft {
        severity: if count >= 5 { Severity::Critical } else { Severity::High },
        score: 0.5 + 0.08 * count as f64,
        first,
        last,
        messages: queue_ids.count,
        recipients: answers,
        queue_ids,
        explanation: format!(
            "{count} receivers ({}) began to refuse or throttle this host from {first} on, {answers} answers so far{}; of the mail before it, most was refused of {}.",
            receivers.iter().take(4).map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
            if lists.is_empty() {
                String::new()
            } else {
                format!(", naming {}", lists.iter().copied().collect::<Vec<_>>().join(", "))
            },
            if who.is_empty() { "nobody who stands out".to_string() } else { who.join(", ") },
        ),
        evidence: json!({
            "receivers": group.iter().take(20).map(|one| json!({
                "receiver": printable(one.name),
                "since": hour(one.from).to_string(),
                "answers": one.answers,
                "delivered": one.delivered,
                "example": one.receiver.example.as_ref().map(|(_, text)| printable(text)),
            })).collect::<Vec<_>>(),
            "receiver_count": count,
            "lists": lists,
            "whose_mail_was_refused_before": suspects.iter().map(|(name, recipients)| json!({ "identity": name, "recipients": recipients })).collect::<Vec<_>>(),
        }),
        next_step: "Stop the senders named first, then ask for removal at the lists and receivers named; asking before the cause is gone makes it worse.".into(),
    })
}

/// Identities of a host by the mail of theirs that was refused in the days before, the most first.
fn risen_before(case: &Case<'_>, host: HostId, at: Timestamp) -> Vec<(String, u64)> {
    let ours = |profile: &&SenderProfile| profile.is_our_user() && profile.hosts.contains(&host);
    let mut found: Vec<(String, u64)> = case
        .surroundings
        .profiles
        .iter()
        .filter(ours)
        .filter_map(|profile| {
            let used = total_between(profile, at.plus_seconds(-2 * SECONDS_PER_DAY), at.plus_seconds(SECONDS_PER_HOUR));
            let bad = u64::from(used.invalid) + u64::from(used.distrusted);
            let word = if profile.kind == IdentityKind::Sasl { "login" } else { profile.kind.word() };
            (bad >= 10 && bad_share(used) >= 0.1).then(|| (format!("{word} {}", printable(&profile.name)), bad))
        })
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
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
        assert_eq!(of(&[(0, 5), (20, 22), (24, 30)]), [3]);
        // A second day's trouble is its own where the first is over, and the same while it lasts.
        assert_eq!(of(&[(0, 5), (1, 6), (40, 45), (41, 45)]), [2, 2]);
        assert_eq!(of(&[(0, 90), (1, 80), (40, 90), (70, 75)]), [4]);
        assert_eq!(of(&[(0, 90), (1, 6), (2, 6), (40, 45)]), [3, 1]);
        assert!(of(&[]).is_empty());
    }
}
