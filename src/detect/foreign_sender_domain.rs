//! Mail under a domain that is not this host's: the sender's own elsewhere, or somebody else's.

use std::collections::BTreeMap;

use serde_json::json;

use super::case::{Senders, domain_of, few};
use super::sender_rotation::is_to_the_same;
use super::signs::{FOREIGN_DOMAIN, FOREIGN_DOMAINS, FOREIGN_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, named};
use crate::aggregate::{SenderUse, share};
use crate::correlate::Octets;
use crate::mail::address::{printable, split};
use crate::mail::identity::IdentityKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "foreign-sender-domain",
    question: "does it send as a domain that isn't this host's?",
    limits: &[
        Limit {
            key: "messages",
            default: 5.0,
            unit: "messages under domains without a mailbox or login here",
            source: "one or two are a slip in a mail program",
        },
        Limit {
            key: "main_share",
            default: 0.6,
            unit: "of all its messages under one such domain, over days: that one is its own, hosted elsewhere",
            source: "sites often send here for a domain whose mailboxes are with another provider",
        },
        Limit {
            key: "often",
            default: 20.0,
            unit: "messages under domains without a mailbox or login here",
            source: "harm: receivers check SPF for each",
        },
        Limit {
            key: "domains",
            default: 5.0,
            unit: "such domains",
            source: "nobody's second address is in five of them",
        },
    ],
    signs: &[FOREIGN_DOMAIN, FOREIGN_OFTEN, FOREIGN_DOMAINS],
    check: Check::One(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !matches!(profile.kind, IdentityKind::Sasl | IdentityKind::Uid) || case.around().hosted.is_empty() {
        return None;
    }
    let mut foreign: BTreeMap<Octets, Vec<&SenderUse>> = BTreeMap::new();
    for sender in profile.senders() {
        let domain = domain_of(&sender.address);
        let is_rewritten = sender.address.get(..5).is_some_and(|start| {
            start.eq_ignore_ascii_case(b"SRS0=") || start.eq_ignore_ascii_case(b"SRS1=") || start.eq_ignore_ascii_case(b"prvs=")
        });
        if domain.contains(&b'.') && !is_rewritten && !super::unreplyable_sender::is_unreplyable(&sender.address) && !case.around().is_hosted(&domain) {
            foreign.entry(domain).or_default().push(sender);
        }
    }
    // A script's own domain may have its mailboxes elsewhere.
    if profile.kind == IdentityKind::Uid || split(&profile.name).1.is_empty() {
        let total = profile.messages;
        foreign.retain(|_, uses| {
            let messages: u64 = uses.iter().map(|s| s.messages).sum();
            share(messages, total) < limits.get("main_share")
        });
    }
    let senders = Senders::of(foreign.values().flatten().copied().collect())?;
    let messages = senders.messages;
    if (messages as f64) < limits.get("messages") {
        return None;
    }
    // A mailbox that is moved elsewhere goes there with everybody who ever wrote to it.
    if foreign.len() as f64 >= limits.get("domains") && is_to_the_same(profile, &senders.uses) {
        return None;
    }
    let signs = Signs::of(FOREIGN_DOMAIN)
        .and(messages as f64 >= limits.get("often"), FOREIGN_OFTEN)
        .and(foreign.len() as f64 >= limits.get("domains"), FOREIGN_DOMAINS);
    let samples = senders.samples();
    Some(Draft {
        signs,
        first: senders.first,
        last: senders.last,
        messages,
        recipients: messages,
        queue_ids: senders.queue_ids(),
        explanation: format!(
            "{} sent {messages} of its {} messages under {} neither mailboxes nor logins here ({}).",
            named(profile),
            profile.messages,
            if foreign.len() == 1 { "a domain that has".to_string() } else { format!("{} domains that have", foreign.len()) },
            few(&samples),
        ),
        evidence: json!({ "domains": foreign.keys().take(20).map(|d| printable(d)).collect::<Vec<_>>(), "domain_count": foreign.len(), "messages": messages, "samples": samples }),
        client_ips: Some(clients::of(profile, &senders)),
        next_step: "Ask whether the domain is the user's: if so, add it to this host (and this host to its SPF record); if not, let it send under its own addresses only (Postfix: smtpd_sender_login_maps with reject_sender_login_mismatch; Exim: a deny by $sender_address in the MAIL ACL, local_from_check for scripts).".into(),
    })
}
