//! New mail, over days, to those of whom the answers say that it is for nothing: what the four detectors of it share.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case::queue_ids;
use super::signs::{WRITES_ON, WRITES_ON_AND_ON};
use super::{Case, Draft, Limit, Limits, Sign, Signs, clients, named};
use crate::aggregate::{QUEUE_IDS, Trouble, TroubleKind};
use crate::mail::address::printable;
use crate::mail::time::Timestamp;

/// How much of it is a finding: messages to one of them after its first answer, to all of them together, and hours from
/// the first answer to the last such message; and how much of it is grave.
pub(super) const fn limits(each: f64, messages: f64, hours: f64, seed: &'static str) -> [Limit; 4] {
    [
        Limit { key: "each", default: each, unit: "messages to one of them after its first answer", source: seed },
        Limit {
            key: "messages",
            default: messages,
            unit: "messages to all of them after their first answers",
            source: "a handful is somebody who does not read bounces yet",
        },
        Limit {
            key: "hours",
            default: hours,
            unit: "hours from the first answer to the last such message",
            source: "time enough to have read the bounce",
        },
        Limit {
            key: "hundreds",
            default: 100.0,
            unit: "messages to all of them after their first answers",
            source: "harm: receivers count mail for nothing",
        },
    ]
}

/// What speaks for it.
pub(super) const SIGNS: &[&Sign] = &[WRITES_ON, WRITES_ON_AND_ON];

/// Words of one detector about it.
pub(super) struct Words {
    /// `... to 1 recipient that does not exist`.
    pub who: &'static str,
    /// `... to 3 recipients that do not exist`.
    pub whom: &'static str,
    pub next_step: &'static str,
}

/// Everything that was written to those with a trouble, the first mail to each among it.
pub(super) fn all(case: &Case<'_>, troubles: &[&Trouble], limits: &Limits<'_>, words: &Words) -> Option<Draft> {
    let again = troubles.iter().map(|trouble| {
        let mut mails: Vec<_> = trouble.mails.iter().copied().map(Timestamp::from_seconds).collect();
        mails.sort_unstable();
        Again { trouble, later: mails }
    });
    let again: Vec<_> = again.collect();
    let first = again.iter().filter_map(|one| one.later.first()).min().copied()?;
    case.profile.is_our_user().then(|| draft(case, again, first, limits, words, "new messages to"))?
}

struct Again<'a> {
    trouble: &'a Trouble,
    later: Vec<Timestamp>,
}

/// Who goes on writing to recipients with this trouble after they were told of it.
pub(super) fn check(case: &Case<'_>, kind: TroubleKind, limits: &Limits<'_>, words: &Words) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let mut again: Vec<Again<'_>> = profile
        .troubles(kind)
        .into_iter()
        .map(|trouble| Again { trouble, later: trouble.after_the_answer() })
        .filter(|one| one.later.len() as f64 >= limits.get("each"))
        .collect();
    let messages: usize = again.iter().map(|one| one.later.len()).sum();
    let first = again.iter().map(|one| one.trouble.first_answer).min()?;
    let last = again.iter().filter_map(|one| one.later.last()).max().copied()?;
    if (messages as f64) < limits.get("messages") || (last.seconds_since(first) as f64) < limits.get("hours") * 3600.0 {
        return None;
    }
    again.retain(|one| !one.later.is_empty());
    draft(case, again, first, limits, words, "new messages after the answer to")
}

fn draft(
    case: &Case<'_>,
    mut again: Vec<Again<'_>>,
    first: Timestamp,
    limits: &Limits<'_>,
    words: &Words,
    which: &str,
) -> Option<Draft> {
    again.sort_by(|a, b| b.later.len().cmp(&a.later.len()).then_with(|| a.trouble.name.cmp(&b.trouble.name)));
    let messages: u64 = again.iter().map(|one| one.later.len() as u64).sum();
    let last = again.iter().filter_map(|one| one.later.last()).max().copied()?;
    // Of one with more mails than ids are kept of, all that are.
    let ids = again.iter().flat_map(|one| {
        let ids = &one.trouble.queue_ids;
        let is_whole = ids.count <= QUEUE_IDS as u64;
        let from = one.later.first().copied().filter(|_| is_whole).unwrap_or(Timestamp(i64::MIN));
        ids.between(from, last.plus_seconds(1))
    });
    let ids = queue_ids(ids);
    let count = if ids.count < QUEUE_IDS as u64 { ids.count } else { ids.count.max(messages) };
    let ids = ids.counted(count);
    let signs = Signs::of(WRITES_ON).and(messages as f64 >= limits.get("hundreds"), WRITES_ON_AND_ON);
    let samples: Vec<Value> = again
        .iter()
        .take(10)
        .map(|one| {
            json!({
                "to": printable(&one.trouble.name),
                "first_answer": one.trouble.first_answer.to_string(),
                "messages": one.later.len(),
                "last_message": one.later.last().map(ToString::to_string),
            })
        })
        .collect();
    let (domains, names): (Vec<_>, Vec<_>) =
        again.iter().map(|one| one.trouble).partition(|trouble| trouble.kind == TroubleKind::NoDomain);
    let domains: BTreeSet<&[u8]> = domains.into_iter().map(|trouble| &*trouble.name).collect();
    let under = case.profile.pairs_to(|domain| domains.contains(domain));
    let recipients =
        names.into_iter().map(|trouble| &*trouble.name).chain(under.into_iter().map(|pair| &*pair.recipient));
    let clients = clients::to_named(case.profile, recipients, first, last);
    let days = last.seconds_since(first) as f64 / 86_400.0;
    Some(Draft {
        signs,
        first,
        last,
        messages,
        recipients: messages,
        queue_ids: ids,
        explanation: format!(
            "{} wrote {messages} {which} {}{} (most to {}: {}).",
            named(case.profile),
            match again.len() {
                1 => format!("1 {}", words.who),
                count => format!("{count} {}", words.whom),
            },
            match days {
                ..1.0 => " within a day".to_string(),
                _ => format!(" over {days:.1} days"),
            },
            again.first().map(|one| printable(&one.trouble.name).into_owned()).unwrap_or_default(),
            again.first().map_or(0, |one| one.later.len()),
        ),
        evidence: json!({ "recipients": again.len(), "messages": messages, "days": days, "recipient_samples": samples }),
        client_ips: Some(clients),
        next_step: words.next_step.into(),
    })
}
