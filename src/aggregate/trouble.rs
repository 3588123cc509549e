//! What answers mean for detection, and recipients to whom mail goes on and on without getting there.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::Xxh3;

use super::QueueIds;
use super::codec::{Hashed, moments, moments_of};
use crate::classify::Verdict;
use crate::correlate::Octets;
use crate::mail::queue_id::QueueId;
use crate::mail::time::Timestamp;

/// What an answer says of who wrote the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is no such recipient.
    Invalid,
    /// The mail or its sender is not trusted. What is said of this host's address is no fault of one sender.
    Distrust,
    Other,
}

impl Answer {
    pub fn of(verdict: &Verdict<'_>) -> Self {
        const DISTRUST: &[&str] = &[
            "spam-content",
            "sender-blocked",
            "dnsbl-domain",
            "dnsbl-url",
            "content-prohibited",
            "virus-detected",
            "policy-refused",
            "recipient-refused",
        ];
        if is_invalid_recipient(verdict) {
            Self::Invalid
        } else if DISTRUST.contains(&verdict.category.id()) {
            Self::Distrust
        } else {
            Self::Other
        }
    }
}

/// Answers that say: there is no such recipient (detectors.md, `invalid-recipient-flood`).
pub fn is_invalid_recipient(verdict: &Verdict<'_>) -> bool {
    const INVALID: &[&str] =
        &["recipient-unknown", "recipient-address-invalid", "domain-not-found", "domain-no-mail", "harvest-blocked"];
    // Exim says "Unrouteable address" of a local user who does not exist and of a domain without a mail server alike.
    INVALID.contains(&verdict.category.id()) || verdict.rule == "exim-unrouteable"
}

/// Answers of servers that have come to distrust this host, or one that sends through it.
pub fn is_reputation(verdict: &Verdict<'_>) -> bool {
    const REPUTATION: &[&str] = &["dnsbl-ip", "ip-blocked", "ip-dynamic", "reputation-low", "rate-limited"];
    REPUTATION.contains(&verdict.category.id())
}

/// Answers that name a list of bad senders.
pub fn is_listing(verdict: &Verdict<'_>) -> bool {
    matches!(verdict.category.id(), "dnsbl-ip" | "dnsbl-domain" | "dnsbl-misfire")
}

/// Answers that say: this sender domain's SPF, DKIM or DMARC does not stand for this host.
pub fn is_unauthorized(verdict: &Verdict<'_>) -> bool {
    matches!(verdict.category.id(), "spf-fail" | "dmarc-fail" | "sender-unauthenticated")
}

/// Why mail to somebody is mail for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TroubleKind {
    /// No such recipient.
    Dead,
    /// The mailbox is full.
    Full,
    /// The domain takes no mail at all. The thing is the domain.
    NoDomain,
    /// The recipient, or the server for it, does not want this mail.
    Unwanted,
}

impl TroubleKind {
    /// What a refusal of one recipient is a case of.
    pub fn of(verdict: &Verdict<'_>, is_permanent: bool) -> Option<Self> {
        match verdict.category.id() {
            "recipient-unknown" | "recipient-address-invalid" | "recipient-disabled" if is_permanent => {
                Some(Self::Dead)
            }
            "mailbox-full" => Some(Self::Full),
            "domain-not-found" | "domain-no-mail" | "route-unavailable" => Some(Self::NoDomain),
            "recipient-refused" | "policy-refused" | "spam-content" | "sender-blocked" | "content-prohibited"
                if is_permanent =>
            {
                Some(Self::Unwanted)
            }
            _ => None,
        }
    }
}

/// One recipient, or domain, of which the answers say so.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub kind: TroubleKind,
    /// The recipient, or the domain.
    pub name: Octets,
    /// When it was first said.
    pub first_answer: Timestamp,
    /// Arrival of each mail of which it was said, seconds since 1970: the queue's own retries are none.
    pub mails: Vec<i64>,
    pub queue_ids: QueueIds,
}

impl Trouble {
    pub fn new(kind: TroubleKind, name: &[u8], answered: Timestamp) -> Self {
        Self { kind, name: name.into(), first_answer: answered, mails: Vec::new(), queue_ids: QueueIds::default() }
    }

    pub fn mail(&mut self, arrived: Timestamp, answered: Timestamp, queue_id: Option<QueueId>) {
        self.first_answer = self.first_answer.min(answered);
        self.mails.push(arrived.seconds());
        if let Some(id) = queue_id {
            self.queue_ids.add(arrived, id);
        }
    }

    /// The arrivals of those mails that were written after the first answer, in order.
    pub fn after_the_answer(&self) -> Vec<Timestamp> {
        let first = self.first_answer.seconds();
        let mut later: Vec<_> =
            self.mails.iter().copied().filter(|at| *at > first).map(Timestamp::from_seconds).collect();
        later.sort_unstable();
        later
    }

    pub fn merge(&mut self, other: Self) {
        self.first_answer = self.first_answer.min(other.first_answer);
        self.mails.extend(other.mails);
        self.queue_ids.merge(other.queue_ids);
    }
}

/// As it is written: the mails' times only where the ids' do not tell them.
#[derive(Serialize, Deserialize)]
struct Written<N, Q> {
    kind: TroubleKind,
    name: N,
    first_answer: Timestamp,
    queue_ids: Q,
    mails: Option<Vec<i64>>,
}

impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            kind: self.kind,
            name: &self.name,
            first_answer: self.first_answer,
            queue_ids: &self.queue_ids,
            mails: moments(&self.mails, &self.queue_ids.seconds()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trouble {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::<Octets, QueueIds>::deserialize(deserializer)?;
        let Written { kind, name, first_answer, queue_ids, mails } = written;
        let mails = moments_of(mails, || queue_ids.seconds());
        Ok(Self { kind, name, first_answer, mails, queue_ids })
    }
}

impl Hashed for Trouble {
    type Order = (Octets, TroubleKind);

    fn hash(&self) -> u64 {
        trouble_hash(self.kind, &self.name)
    }

    fn order(&self) -> (Octets, TroubleKind) {
        (self.name.clone(), self.kind)
    }
}

/// What a kind of trouble with a recipient, or domain, is found by.
pub fn trouble_hash(kind: TroubleKind, name: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&[kind as u8]);
    hash.update(name);
    hash.digest()
}
