//! Senders that no one can answer: root@localhost and the like.

use serde_json::json;

use super::case::{Senders, few};
use super::signs::{UNREPLYABLE, UNREPLYABLE_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, many, named};
use crate::mail::address::split;

pub(super) const DETECTOR: Detector = Detector {
    kind: "unreplyable-sender",
    question: "does it use senders that no one can answer?",
    limits: &[
        Limit {
            key: "messages",
            default: 5.0,
            unit: "messages under such senders",
            source: "mxroute seed: root@localhost; one or two are a machine that was just set up",
        },
        Limit {
            key: "often",
            default: 100.0,
            unit: "messages under such senders",
            source: "harm: receivers refuse them, and count that",
        },
    ],
    signs: &[UNREPLYABLE, UNREPLYABLE_OFTEN],
    check: Check::One(check),
};

/// Top-level domains that no public name has (RFC 2606, RFC 6762, RFC 8375, and common habits).
const NOWHERE: &[&str] =
    &["localhost", "localdomain", "local", "invalid", "lan", "internal", "intranet", "home", "corp", "private", "test", "arpa"];

/// True for an address whose domain has no dot, is an IP address, or ends where no mail can go.
pub(super) fn is_unreplyable(address: &[u8]) -> bool {
    let (local, domain) = split(address);
    if local.is_empty() && domain.is_empty() {
        return false;
    }
    let domain = domain.to_ascii_lowercase();
    let top = domain.rsplit(|b| *b == b'.').next().unwrap_or_default();
    let is_literal = domain.starts_with(b"[") || (top.iter().all(u8::is_ascii_digit) && !top.is_empty());
    !domain.contains(&b'.') || is_literal || NOWHERE.iter().any(|name| top == name.as_bytes())
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let uses = profile.senders().into_iter().filter(|sender| is_unreplyable(&sender.address)).collect();
    let senders = Senders::of(uses)?;
    let messages = senders.messages;
    if (messages as f64) < limits.get("messages") {
        return None;
    }
    let samples = senders.samples();
    Some(Draft {
        signs: Signs::of(UNREPLYABLE).and(messages as f64 >= limits.get("often"), UNREPLYABLE_OFTEN),
        first: senders.first,
        last: senders.last,
        messages,
        recipients: messages,
        queue_ids: senders.queue_ids(),
        explanation: format!(
            "{} sent {}{} under {} that nobody can answer ({}).",
            named(profile),
            if profile.has_all_senders() { "" } else { "at least " },
            many(messages, "message"),
            many(senders.uses.len() as u64, "sender"),
            few(&samples),
        ),
        evidence: json!({ "senders": senders.uses.len(), "messages": messages, "samples": samples }),
        client_ips: Some(clients::of(profile, &senders)),
        next_step: "Have the machine's mail program write under a real address (Postfix: myorigin; Exim: qualify_domain; a panel: its sender setting): bounces to these go nowhere and receivers refuse them.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::is_unreplyable;

    #[test]
    fn addresses_that_nobody_can_answer() {
        for address in ["root@localhost", "root", "cron@web1.localdomain", "a@192.0.2.7", "a@[192.0.2.7]", "a@nas.lan", "a@x.invalid"] {
            assert!(is_unreplyable(address.as_bytes()), "{address}");
        }
        for address in ["al@b.example", "", "root@web1.b.example", "a@local.b.org"] {
            assert!(!is_unreplyable(address.as_bytes()), "{address}");
        }
    }
}
