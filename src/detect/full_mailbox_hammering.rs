//! Fresh messages to mailboxes after they answered that they are full: one sender's, or many senders' to one mailbox.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{FullMailbox, queue_ids};
use super::retries::{self, Words};
use super::signs::{WRITES_ON, WRITES_ON_AND_ON};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many};
use crate::aggregate::TroubleKind;
use crate::mail::address::printable;
use crate::mail::time::Timestamp;

pub(super) const DETECTOR: Detector = Detector {
    kind: "full-mailbox-hammering",
    question: "does it write on to mailboxes that are full?",
    limits: &{
        let [each, messages, hours, hundreds] = retries::limits(3.0, 8.0, 12.0, "mxroute seed: filling an inbox on purpose");
        let senders = Limit {
            key: "senders",
            default: 5.0,
            unit: "senders of one host that write on to one full mailbox",
            source: "detectors.md: also many senders filling one mailbox",
        };
        let together = Limit {
            key: "together",
            default: 20.0,
            unit: "messages of all of them after the first answer",
            source: "a mailbox that was full for a weekend gets a few",
        };
        [each, messages, hours, hundreds, senders, together]
    },
    signs: retries::SIGNS,
    check: Check::Many(check),
};

const WORDS: Words = Words {
    who: "mailbox that is full",
    whom: "mailboxes that are full",
    next_step: "Stop the program that fills them, or ask the owner of the mailbox by another way; until then refuse them here (Postfix: check_recipient_access; Exim: a deny in the RCPT ACL).",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    if case.host().is_some() {
        return case.full_mailboxes().iter().filter_map(|one| by_many(one, limits)).collect();
    }
    retries::check(case, TroubleKind::Full, limits, &WORDS).into_iter().collect()
}

/// One full mailbox that several write on to, none of them much: told of the host.
fn by_many(mailbox: &FullMailbox<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let first = mailbox.troubles.iter().map(|(_, trouble)| trouble.first_answer).min()?;
    let later = |at: &&i64| **at > first.seconds();
    let mut mails: Vec<i64> = mailbox.troubles.iter().flat_map(|(_, trouble)| trouble.mails.iter().filter(later)).copied().collect();
    mails.sort_unstable();
    let last = Timestamp::from_seconds(*mails.last()?);
    let senders: BTreeSet<&[u8]> = mailbox
        .troubles
        .iter()
        .filter(|(_, trouble)| trouble.mails.iter().any(|at| *at > first.seconds()))
        .map(|(who, _)| &*who.name)
        .collect();
    let messages = mails.len() as u64;
    let is_found = senders.len() as f64 >= limits.get("senders")
        && messages as f64 >= limits.get("together")
        && last.seconds_since(first) as f64 >= limits.get("hours") * 3600.0;
    if !is_found {
        return None;
    }
    let ids = mailbox.troubles.iter().flat_map(|(_, trouble)| trouble.queue_ids.between(first, last.plus_seconds(1)));
    let name = printable(mailbox.name);
    Some(Draft {
        signs: Signs::of(WRITES_ON).and(messages as f64 >= limits.get("hundreds"), WRITES_ON_AND_ON),
        first,
        last,
        messages,
        recipients: messages,
        queue_ids: queue_ids(ids),
        explanation: format!(
            "{} of this host wrote {} to <{name}> after it answered that it is full, between {first} and {last}.",
            many(senders.len() as u64, "sender"),
            many(messages, "new message"),
        ),
        evidence: json!({
            "recipient": name,
            "messages": messages,
            "sender_count": senders.len(),
            "identities": senders.iter().take(20).map(|sender| printable(sender)).collect::<Vec<_>>(),
        }),
        client_ips: Some(Vec::new()),
        next_step: format!("Tell the owner of <{name}> by another way; until it is emptied, refuse mail to it here (Postfix: check_recipient_access; Exim: a deny in the RCPT ACL)."),
    })
}
