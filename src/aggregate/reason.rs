//! Why mail of an identity was refused, by reason: the rows of the `reasons` table.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::example::{Example, Names};
use super::few::FewMap;
use crate::classify::{Category, Verdict};
use crate::correlate::Octets;
use crate::mail::status::{Action, Direction, EnhancedCode, SmtpCode};
use crate::mail::time::Timestamp;

/// What a row of `reasons` is about (contract.md section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReasonKey {
    pub direction: Direction,
    pub action: Action,
    pub category: Category,
    /// Id of the provider; empty where it is not known.
    pub provider: Octets,
}

/// Reply code and enhanced code of an answer.
pub type Codes = (Option<SmtpCode>, Option<EnhancedCode>);

/// How often a reason came up, and for whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reason {
    /// True when this host said it.
    pub by_us: bool,
    /// Answers; 0 where a destination was put off without being tried again.
    pub attempts: u64,
    pub messages: u64,
    /// The turn of the message that was counted last.
    #[serde(skip)]
    turn: u64,
    pub recipients: Distinct,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The first answer, as written.
    pub example: Example,
    codes: FewMap<Codes, u64>,
    lists: FewMap<Box<str>, u64>,
}

impl Reason {
    pub(super) fn new(at: Timestamp, by_us: bool, example: Example) -> Self {
        Self {
            by_us,
            attempts: 0,
            messages: 0,
            turn: 0,
            recipients: Distinct::default(),
            first: at,
            last: at,
            example,
            codes: FewMap::new(),
            lists: FewMap::new(),
        }
    }

    pub(super) fn add(&mut self, at: Timestamp, times: u64, verdict: &Verdict<'_>, names: Names<'_>, response: &[u8]) {
        if self.is_later(at, response, names) {
            self.example = Example::new(response, names);
        }
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.attempts += times;
        *self.codes.get_or_default((verdict.smtp_code, verdict.enhanced_code)) += times;
        if let Some(list) = &verdict.dnsbl {
            *self.lists.get_or_default(list.as_ref().into()) += times;
        }
        let [recipient, _] = names.recipients;
        if !recipient.is_empty() {
            self.recipients.add(recipient);
        }
    }

    /// Counts the message whose attempts are looked at in this turn, once.
    pub(super) fn message(&mut self, turn: u64) {
        self.messages += u64::from(self.turn != turn);
        self.turn = turn;
    }

    /// True where another answer is the example: the earliest, of several at one moment the least.
    fn is_later(&self, at: Timestamp, example: &[u8], names: Names<'_>) -> bool {
        self.first.cmp(&at).then_with(|| self.example.order(example, names)) == Ordering::Greater
    }

    pub(super) fn merge(&mut self, other: Self) {
        if self.is_later(other.first, &other.example, other.example.names()) {
            self.example = other.example;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.attempts += other.attempts;
        self.messages += other.messages;
        self.recipients.merge(other.recipients);
        add_counts(&mut self.codes, other.codes);
        add_counts(&mut self.lists, other.lists);
    }

    /// The codes that came most often.
    pub fn codes(&self) -> Codes {
        most_frequent(self.codes.iter()).copied().unwrap_or((None, None))
    }

    /// The DNS list that was named most often.
    pub fn dnsbl(&self) -> Option<&str> {
        most_frequent(self.lists.iter()).map(AsRef::as_ref)
    }
}

pub(super) fn add_counts<K: Ord>(to: &mut FewMap<K, u64>, from: FewMap<K, u64>) {
    for (key, count) in from {
        *to.get_or_default(key) += count;
    }
}

/// The key with the highest count, the least of several.
pub(super) fn most_frequent<'a, K>(counts: impl DoubleEndedIterator<Item = (&'a K, &'a u64)>) -> Option<&'a K> {
    counts.rev().max_by_key(|(_, count)| **count).map(|(key, _)| key)
}

pub(super) fn reason_key(direction: Direction, action: Action, verdict: &Verdict<'_>) -> ReasonKey {
    let provider = verdict.provider.unwrap_or_default().as_bytes().into();
    ReasonKey { direction, action, category: verdict.category, provider }
}
