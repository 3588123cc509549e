//! What happened when, and with whom: counts by hour and by receiver, for the pictures of a report. All of it merges by
//! adding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::codec;
use super::few::{FewHashed, FewMap};
use crate::classify::Verdict;
use crate::correlate::{Message, Octets, RecipientState, Rejection};
use crate::mail::address;
use crate::mail::status::{Action, words};
use crate::mail::time::Timestamp;

/// Receivers of one identity that are kept with their names; of the others the identity's totals tell.
const RECEIVERS: usize = 4_096;

words! {
    /// What became of a recipient that somebody asked for.
    Outcome {
        Delivered = "delivered",
        Deferred = "deferred",
        Bounced = "bounced",
        Expired = "expired",
        Discarded = "discarded",
        /// No answer in the log yet.
        Open = "still open",
        /// Refused by this host for good.
        Rejected = "rejected",
        /// Refused by this host for now.
        Tempfailed = "tempfailed",
    }
}

impl Outcome {
    /// `None` for what went into another queue entry of this host, which has the outcome.
    const fn of(state: RecipientState) -> Option<Self> {
        match state {
            RecipientState::Open => Some(Self::Open),
            RecipientState::Delivered => Some(Self::Delivered),
            RecipientState::Deferred => Some(Self::Deferred),
            RecipientState::Bounced => Some(Self::Bounced),
            RecipientState::Expired => Some(Self::Expired),
            RecipientState::Discarded => Some(Self::Discarded),
            RecipientState::HandedOn => None,
        }
    }
}

/// Recipients by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes([u32; Outcome::ALL.len()]);

impl Outcomes {
    /// Those of one message.
    pub(super) fn of_message(message: &Message) -> Self {
        let mut outcomes = Self::default();
        for outcome in message.recipients.iter().filter_map(|recipient| Outcome::of(recipient.state)) {
            outcomes.add(outcome, 1);
        }
        if let Some(outcome) = Outcome::of(message.unnamed_state) {
            outcomes.add(outcome, u32::try_from(message.unnamed_recipients).unwrap_or(u32::MAX));
        }
        outcomes
    }

    pub(super) fn of_rejection(rejection: &Rejection) -> Self {
        let mut outcomes = Self::default();
        let outcome = match rejection.action {
            Action::Tempfailed => Outcome::Tempfailed,
            Action::Discarded => Outcome::Discarded,
            _ => Outcome::Rejected,
        };
        outcomes.add(outcome, rejection.times);
        outcomes
    }

    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0.get(outcome as usize).copied().unwrap_or(0).into()
    }

    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    fn add(&mut self, outcome: Outcome, count: u32) {
        if let Some(known) = self.0.get_mut(outcome as usize) {
            *known = known.saturating_add(count);
        }
    }

    pub fn merge(&mut self, other: Self) {
        for (known, more) in self.0.iter_mut().zip(other.0) {
            *known = known.saturating_add(more);
        }
    }
}

/// Outcomes by the hour (since 1970, UTC) in which the recipients were asked for.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Hours(FewMap<i64, Outcomes>);

impl Hours {
    pub(super) fn add(&mut self, at: Timestamp, outcomes: Outcomes) {
        if outcomes.total() > 0 {
            self.0.get_or_default(at.hour()).merge(outcomes);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (hour, outcomes) in other.0 {
            self.0.get_or_default(hour).merge(outcomes);
        }
    }

    /// The hours that have any, in order.
    pub fn in_order(&self) -> Vec<(i64, Outcomes)> {
        self.0.iter().map(|(hour, outcomes)| (*hour, *outcomes)).collect()
    }
}

/// Outcomes by the organisation that the recipients' mail goes to.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Receivers(#[serde(with = "codec::hashed")] FewHashed<u64, (Octets, Outcomes)>);

impl codec::Hashed for (Octets, Outcomes) {
    type Order = Octets;

    fn hash(&self) -> u64 {
        xxh3_64(&self.0)
    }

    fn order(&self) -> Octets {
        self.0.clone()
    }
}

impl Receivers {
    /// Adds the recipients of a message: each to whoever runs the last server that it was tried at, its domain where there
    /// was none, or this host, which has no name here.
    pub(super) fn message(&mut self, message: &Message) {
        let mut tried: Vec<Option<&[u8]>> = vec![None; message.recipients.len()];
        for attempt in message.attempts.iter().filter(|attempt| !attempt.is_handover) {
            if let Some(last) = tried.get_mut(attempt.recipient) {
                match (attempt.is_remote, attempt.relay_host.is_empty()) {
                    (true, false) => *last = Some(&attempt.relay_host),
                    (true, true) => {}
                    (false, _) if attempt.action == Action::Delivered => *last = Some(b""),
                    (false, _) => {}
                }
            }
        }
        for (recipient, tried) in message.recipients.iter().zip(tried) {
            let Some(outcome) = Outcome::of(recipient.state) else { continue };
            let host = tried.unwrap_or_else(|| address::split(&recipient.address).1);
            let mut outcomes = Outcomes::default();
            outcomes.add(outcome, 1);
            self.add(&Octets::lowered(address::organisation(host)), outcomes);
        }
    }

    fn add(&mut self, name: &[u8], outcomes: Outcomes) {
        self.0.get_or_insert_with(xxh3_64(name), || (name.into(), Outcomes::default())).1.merge(outcomes);
        if self.0.len() > 2 * RECEIVERS {
            let last = self.kept().last().map_or(u64::MAX, |(hash, _)| **hash);
            self.0.retain(|hash| *hash <= last);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (_, (name, outcomes)) in other.kept() {
            self.add(name, *outcomes);
        }
    }

    /// Those with the lowest hashes: the same ones, with all their recipients, in whatever order they came.
    fn kept(&self) -> Vec<(&u64, &(Octets, Outcomes))> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_unstable_by_key(|(hash, _)| **hash);
        all.truncate(RECEIVERS);
        all
    }

    pub fn rename(&mut self, name: impl Fn(&[u8]) -> Octets) {
        self.0.values_mut().for_each(|(known, _)| *known = name(known));
    }

    /// The most frequent first; a name is empty for this host.
    pub fn by_count(&self) -> Vec<(&Octets, Outcomes)> {
        let mut all: Vec<_> = self.kept().into_iter().map(|(_, (name, outcomes))| (name, *outcomes)).collect();
        all.sort_by(|(a, x), (b, y)| y.total().cmp(&x.total()).then_with(|| a.cmp(b)));
        all
    }
}

/// All that happened, whoever it was.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Overview {
    pub hours: Hours,
    /// Answers by hour since 1970, whether this host gave them, and family of the reason.
    #[serde(with = "codec::families")]
    pub families: BTreeMap<(i64, bool, &'static str), u64>,
}

impl Overview {
    pub(super) fn message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        self.hours.add(message.first_seen, Outcomes::of_message(message));
        for (attempt, verdict) in message.attempts.iter().zip(verdicts) {
            if let (Some(verdict), false) = (verdict, attempt.is_secondary) {
                self.answer(attempt.at, false, verdict, attempt.times);
            }
        }
    }

    pub(super) fn rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        self.hours.add(rejection.at, Outcomes::of_rejection(rejection));
        if let Some(verdict) = verdict {
            self.answer(rejection.at, true, verdict, rejection.times);
        }
    }

    fn answer(&mut self, at: Timestamp, by_us: bool, verdict: &Verdict<'_>, times: u32) {
        *self.families.entry((at.hour(), by_us, verdict.category.family())).or_default() += u64::from(times);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.hours.merge(other.hours);
        for (key, answers) in other.families {
            *self.families.entry(key).or_default() += answers;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_receivers_are_kept_in_any_order() {
        let one = |count| {
            let mut outcomes = Outcomes::default();
            outcomes.add(Outcome::Bounced, count);
            outcomes
        };
        let names: Vec<_> = (0..3 * RECEIVERS).map(|n| format!("r{n}.example").into_bytes()).collect();
        let (mut forward, mut backward, mut merged) =
            (Receivers::default(), Receivers::default(), Receivers::default());
        for name in names.iter().chain(&names) {
            forward.add(name, one(1));
        }
        for name in names.iter().rev() {
            backward.add(name, one(2));
        }
        for half in names.chunks(RECEIVERS + 7) {
            let mut part = Receivers::default();
            half.iter().for_each(|name| part.add(name, one(2)));
            merged.merge(part);
        }
        assert_eq!(forward.by_count().len(), RECEIVERS);
        assert!(forward.by_count() == backward.by_count() && forward.by_count() == merged.by_count());
        assert!(forward.by_count().iter().all(|(_, outcomes)| outcomes.of(Outcome::Bounced) == 2));
    }

    #[test]
    fn hours_merge_and_come_in_order() {
        let mut hours = Hours::default();
        let mut outcomes = Outcomes::default();
        outcomes.add(Outcome::Open, 3);
        hours.add(Timestamp::from_seconds(7_200), outcomes);
        let mut other = hours.clone();
        other.add(Timestamp::from_seconds(10), outcomes);
        hours.merge(other);
        assert_eq!(hours.in_order().iter().map(|(hour, o)| (*hour, o.total())).collect::<Vec<_>>(), [(0, 3), (2, 6)]);
    }
}
