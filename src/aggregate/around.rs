//! What is known beyond one identity's mail: the domains that live here, who else answers whom, what the receivers think
//! of a host, and what clients tried that never became a message.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::codec;
use super::distinct::{Earliest, FirstTimes};
use super::example::{Example, Names};
use super::few::FewMap;
use super::hours::Overview;
use super::profile::add_all;
use super::reason::add_counts;
use super::trouble::{is_invalid_recipient, is_listing, is_reputation};
use super::{QUEUE_IDS, QueueIds};
use crate::classify::{Category, Verdict};
use crate::correlate::{Attempt, AuthFailure, HostId, Message, Octets, Recipient, RecipientState, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, Stage};
use crate::mail::time::Timestamp;

/// Logins that one client tried that are kept with their names.
const LOGINS: usize = 1_024;

/// How often one login was tried in vain.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tries {
    pub failures: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Tries {
    pub fn merge(&mut self, other: Self) {
        self.failures += other.failures;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// How often a client of whom nothing else is known tried one login in vain.
#[derive(Debug, Clone)]
pub struct FewTries {
    pub host: Option<HostId>,
    pub client: IpAddr,
    pub login: Octets,
    pub tries: Tries,
}

/// What one client did at the door of one host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Visits {
    /// Recipients refused as unknown, with the first time of each.
    pub unknown: FirstTimes,
    pub unknown_samples: Earliest<Octets, 10>,
    pub queue_ids: Earliest<QueueId, QUEUE_IDS>,
    /// Recipients of messages that were taken from it without a login.
    pub taken: u64,
    /// All logins tried in vain together, and how many different ones.
    pub tries: Option<Tries>,
    /// The first time of each, and how often it was tried.
    pub distinct_logins: FirstTimes,
    /// Some of them, by name in lower case; empty where the log does not say which.
    pub logins: FewMap<Octets, Tries>,
    /// The vain tries by hour since 1970, UTC.
    pub failure_hours: FewMap<i64, u64>,
}

impl Visits {
    fn tried(&mut self, login: Octets, tries: Tries) {
        if !login.is_empty() {
            let times = u32::try_from(tries.failures).unwrap_or(u32::MAX);
            self.distinct_logins.add_times(&login, tries.first, times);
        }
        *self.failure_hours.get_or_default(tries.first.hour()) += tries.failures;
        self.count(tries);
        self.keep_login(login, tries);
    }

    fn count(&mut self, tries: Tries) {
        match &mut self.tries {
            Some(known) => known.merge(tries),
            None => self.tries = Some(tries),
        }
    }

    fn keep_login(&mut self, login: Octets, tries: Tries) {
        match self.logins.get_mut(&login) {
            Some(known) => known.merge(tries),
            None => self.logins.insert(login, tries),
        }
        if self.logins.len() > LOGINS {
            self.logins.pop_last();
        }
    }

    fn merge(&mut self, other: Self) {
        self.unknown.merge(other.unknown);
        self.unknown_samples.merge(other.unknown_samples);
        self.queue_ids.merge(other.queue_ids);
        self.taken += other.taken;
        if let Some(tries) = other.tries {
            self.count(tries);
        }
        self.distinct_logins.merge(other.distinct_logins);
        for (login, tries) in other.logins {
            self.keep_login(login, tries);
        }
        add_counts(&mut self.failure_hours, other.failure_hours);
    }

    /// The first moment of any of it.
    pub fn first(&self) -> Option<Timestamp> {
        let unknown = self.unknown.times().into_iter().next();
        earlier(unknown, self.tries.map(|tries| tries.first))
    }

    pub fn failures(&self) -> u64 {
        self.tries.map_or(0, |tries| tries.failures)
    }
}

/// What one receiving organisation did with the mail of one host in one hour.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct ReceiverHour {
    pub delivered: u64,
    /// Answers that put a recipient off.
    pub deferred: u64,
    /// Recipients given up.
    pub bounced: u64,
    /// Answers of distrust in this host's address or rate.
    pub reputation: u64,
    /// Those that name a list.
    pub listed: u64,
}

impl ReceiverHour {
    pub fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.bounced += other.bounced;
        self.reputation += other.reputation;
        self.listed += other.listed;
    }
}

/// One receiving organisation, as one host sees it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Receiver {
    /// By hour since 1970, UTC.
    pub hours: FewMap<i64, ReceiverHour>,
    /// Its answers by reason.
    pub reasons: FewMap<Category, u64>,
    pub first_reputation: Option<Timestamp>,
    pub last_reputation: Option<Timestamp>,
    pub first_listed: Option<Timestamp>,
    pub last_listed: Option<Timestamp>,
    /// Lists that it named.
    pub lists: FewMap<Box<str>, u64>,
    /// Messages so refused, and their recipients.
    pub refused: FirstTimes,
    pub refused_recipients: FirstTimes,
    pub queue_ids: QueueIds,
    pub listed: FirstTimes,
    pub listed_recipients: FirstTimes,
    pub listed_queue_ids: QueueIds,
    pub example: Option<(Timestamp, Example)>,
    pub listed_example: Option<(Timestamp, Example)>,
}

impl Receiver {
    pub fn total(&self) -> ReceiverHour {
        self.hours.values().fold(ReceiverHour::default(), |mut sum, hour| {
            sum.add(*hour);
            sum
        })
    }

    fn merge(&mut self, other: Self) {
        add_all(&mut self.hours, other.hours, ReceiverHour::add);
        add_counts(&mut self.reasons, other.reasons);
        self.first_reputation = earlier(self.first_reputation, other.first_reputation);
        self.last_reputation = self.last_reputation.max(other.last_reputation);
        self.first_listed = earlier(self.first_listed, other.first_listed);
        self.last_listed = self.last_listed.max(other.last_listed);
        add_counts(&mut self.lists, other.lists);
        self.refused.merge(other.refused);
        self.refused_recipients.merge(other.refused_recipients);
        self.queue_ids.merge(other.queue_ids);
        self.listed.merge(other.listed);
        self.listed_recipients.merge(other.listed_recipients);
        self.listed_queue_ids.merge(other.listed_queue_ids);
        self.example = earlier(self.example.take(), other.example);
        self.listed_example = earlier(self.listed_example.take(), other.listed_example);
    }
}

/// The lesser of two that may be missing.
fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A bounce that this host wrote to somebody elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Notice {
    pub at: Timestamp,
    pub queue_id: QueueId,
    pub parent: Option<QueueId>,
    pub recipient: Octets,
    /// It came back, or nobody took it.
    pub is_undeliverable: bool,
}

/// Everything of it, of all hosts. Parts merge in any order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Around {
    /// Domains with mailboxes or logins here, in lower case.
    pub hosted: BTreeSet<Octets>,
    #[serde(with = "codec::by_key")]
    pub(super) visits: HashMap<(Option<HostId>, IpAddr), (HostId, Box<Visits>)>,
    pub receivers: FewMap<(HostId, Octets), Receiver>,
    /// Who wrote to whom from outside, as [`reply_key`].
    #[serde(with = "codec::hashes")]
    replies: HashSet<u64>,
    /// Messages from outside that did not get to all recipients: what a notice about one of them says, a stranger reads.
    #[serde(with = "codec::keys")]
    pub bounced_inbound: HashSet<(HostId, QueueId)>,
    pub notices: BTreeMap<HostId, Vec<Notice>>,
    /// Logins tried in vain by clients that did too little to be told of; only at the end.
    #[serde(skip)]
    pub few_tries: Vec<FewTries>,
    /// Who is known by one name on several hosts is one; only at the end.
    #[serde(skip)]
    pub merges_hosts: bool,
    pub overview: Overview,
}

/// One number for "`from` has written to `to`", by the hashes of the addresses. It is as short as it may be: of a million
/// pairs that wrote, one other in a million is taken for one of them, and there are as many of these numbers as mails.
const fn reply_key(from: u64, to: u64) -> u64 {
    (from.rotate_left(17) ^ to.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 24
}

impl Around {
    /// What stands for a sender address in [`Self::has_replied`].
    pub fn replier(address: &[u8]) -> u64 {
        xxh3_64(&address.to_ascii_lowercase())
    }

    /// True if a recipient, by the hash of its address, has written to one of these senders from outside.
    pub fn has_replied(&self, recipient: u64, senders: &[u64]) -> bool {
        senders.iter().any(|sender| self.replies.contains(&reply_key(recipient, *sender)))
    }

    /// True for a domain, or one under it, that has mailboxes or logins here.
    pub fn is_hosted(&self, domain: &[u8]) -> bool {
        let mut rest = domain;
        loop {
            if self.hosted.contains(rest) {
                return true;
            }
            match memchr::memchr(b'.', rest).and_then(|dot| rest.get(dot + 1..)) {
                Some(parent) if memchr::memchr(b'.', parent).is_some() => rest = parent,
                _ => return false,
            }
        }
    }

    /// The receivers of one host, by name.
    pub fn receivers_of(&self, host: HostId) -> impl Iterator<Item = (&Octets, &Receiver)> {
        let all = self.receivers.range((host, Octets::default())..);
        all.take_while(move |((of, _), _)| *of == host).map(|((_, name), receiver)| (name, receiver))
    }

    /// Adds domains that are known to be this site's.
    pub fn add_hosted(&mut self, domains: &[String]) {
        self.hosted.extend(domains.iter().map(|domain| Octets::from(domain.to_ascii_lowercase().as_bytes())));
    }

    fn hosts(&mut self, domain: &[u8]) {
        if domain.contains(&b'.') && !self.hosted.contains(domain) {
            self.hosted.insert(domain.to_ascii_lowercase().into());
        }
    }

    pub(super) fn message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>], host: Option<HostId>) {
        self.overview.message(message, verdicts);
        let identity = &message.identity;
        if let (IdentityKind::Sasl, (_, domain)) = (identity.kind, address::split(&identity.name)) {
            self.hosts(domain);
        }
        let is_stranger = matches!(identity.kind, IdentityKind::Sender | IdentityKind::Null)
            && message.origin.client.as_ref().is_some_and(|client| !client.ip.is_empty());
        for (attempt, verdict) in message.attempts.iter().zip(verdicts) {
            let Some(recipient) = message.recipients.get(attempt.recipient) else { continue };
            let stays = matches!(attempt.direction, Direction::Local | Direction::Inbound);
            if attempt.action == Action::Delivered && !attempt.is_remote && !attempt.is_handover && stays {
                self.hosts(address::split(&recipient.address).1);
            }
            if attempt.is_remote && attempt.direction == Direction::Outbound && !attempt.is_secondary {
                self.receiver(message, attempt, verdict.as_ref(), recipient);
            }
        }
        if is_stranger {
            let sender = message.sender.as_deref().unwrap_or_default();
            for recipient in &message.recipients {
                if recipient.state == RecipientState::Delivered && !sender.is_empty() {
                    self.replies.insert(reply_key(xxh3_64(sender), Self::replier(recipient.asked_for())));
                }
            }
            if let Some(ip) = message.origin.client.as_ref().and_then(|client| address::ip(&client.ip)) {
                self.visits_of(host, identity.host, ip).taken += message.recipients.len() as u64;
            }
            let is_lost = |state| matches!(state, RecipientState::Bounced | RecipientState::Expired);
            if message.recipients.iter().any(|r| is_lost(r.state)) {
                self.bounced_inbound.insert((message.host, message.queue_id));
            }
        }
        if identity.kind == IdentityKind::Null && message.origin.client.is_none() {
            self.notice(message);
        }
    }

    fn notice(&mut self, message: &Message) {
        let goes_out = message.attempts.iter().any(|attempt| attempt.is_remote);
        let Some(recipient) = message.recipients.first().filter(|_| goes_out) else { return };
        self.notices.entry(message.host).or_default().push(Notice {
            at: message.first_seen,
            queue_id: message.queue_id,
            parent: message.parent_queue_id,
            recipient: recipient.address.clone(),
            is_undeliverable: matches!(
                recipient.state,
                RecipientState::Bounced | RecipientState::Expired | RecipientState::Deferred
            ),
        });
    }

    fn receiver(&mut self, message: &Message, attempt: &Attempt, verdict: Option<&Verdict<'_>>, to: &Recipient) {
        let recipient: &[u8] = &to.address;
        let key = (message.host, receiver(attempt, recipient));
        let known = self.receivers.get_or_default(key);
        let hour = known.hours.get_or_default(attempt.at.hour());
        let times = u64::from(attempt.times);
        let Some(verdict) = verdict else {
            hour.delivered += u64::from(attempt.action == Action::Delivered) * times;
            return;
        };
        *(if attempt.action == Action::Deferred { &mut hour.deferred } else { &mut hour.bounced }) += times;
        *known.reasons.get_or_default(verdict.category) += times;
        let names = Names::of_attempt(message, attempt, to);
        let earliest = |known: Option<(Timestamp, Example)>| {
            let is_earlier = |(at, example): &(Timestamp, Example)| {
                (*at).cmp(&attempt.at).then_with(|| example.order(&attempt.response, names)).is_le()
            };
            known.filter(is_earlier).or_else(|| Some((attempt.at, Example::new(&attempt.response, names))))
        };
        if is_reputation(verdict) {
            hour.reputation += times;
            known.first_reputation = earlier(known.first_reputation, Some(attempt.at));
            known.last_reputation = known.last_reputation.max(Some(attempt.at));
            known.queue_ids.add(attempt.at, message.queue_id);
            known.refused.add(message.queue_id.to_string().as_bytes(), attempt.at);
            known.refused_recipients.add(recipient, attempt.at);
            known.example = earliest(known.example.take());
        }
        if is_listing(verdict) {
            hour.listed += times;
            known.first_listed = earlier(known.first_listed, Some(attempt.at));
            known.last_listed = known.last_listed.max(Some(attempt.at));
            known.listed_queue_ids.add(attempt.at, message.queue_id);
            known.listed.add(message.queue_id.to_string().as_bytes(), attempt.at);
            known.listed_recipients.add(recipient, attempt.at);
            known.listed_example = earliest(known.listed_example.take());
            if let Some(list) = &verdict.dnsbl {
                *known.lists.get_or_default(list.as_ref().into()) += times;
            }
        }
    }

    fn visits_of(&mut self, key: Option<HostId>, host: HostId, ip: IpAddr) -> &mut Visits {
        let (first, visits) = self.visits.entry((key, ip)).or_insert_with(|| (host, Box::default()));
        *first = (*first).min(host);
        visits
    }

    pub(super) fn rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>, host: Option<HostId>) {
        self.overview.rejection(rejection, verdict);
        let is_stranger = rejection.sasl_username.is_none() && rejection.local_user.is_none();
        let recipient = rejection.recipient.as_deref().unwrap_or_default();
        let (Some(verdict), Some(ip)) = (verdict, address::ip(&rejection.client.ip)) else { return };
        if !is_stranger || rejection.stage != Stage::Rcpt || recipient.is_empty() {
            return;
        }
        if verdict.category.id() == "recipient-unknown" {
            self.hosts(address::split(recipient).1);
        }
        if is_invalid_recipient(verdict) {
            let visits = self.visits_of(host, rejection.host, ip);
            visits.unknown.add(recipient, rejection.at);
            visits.unknown_samples.add(rejection.at, recipient.into());
            if let Some(id) = rejection.queue_id {
                visits.queue_ids.add(rejection.at, id);
            }
        }
    }

    pub(super) fn auth_failure(&mut self, failure: &AuthFailure, host: Option<HostId>) {
        let Some(ip) = address::ip(&failure.client.ip) else { return };
        // Servers look logins up in any letter case.
        let login = Octets::lowered(failure.sasl_username.as_deref().unwrap_or_default());
        let tries = Tries { failures: u64::from(failure.times), first: failure.at, last: failure.at };
        self.visits_of(host, failure.host, ip).tried(login, tries);
    }

    /// The same with other numbers for hosts.
    pub(super) fn renumbered(
        self,
        number: impl Fn(HostId) -> HostId,
        key_of: impl Fn(Option<HostId>) -> Option<HostId>,
    ) -> Self {
        let mut renumbered = Self {
            hosted: self.hosted,
            replies: self.replies,
            overview: self.overview,
            few_tries: self.few_tries,
            merges_hosts: self.merges_hosts,
            bounced_inbound: self.bounced_inbound.into_iter().map(|(host, id)| (number(host), id)).collect(),
            ..Self::default()
        };
        let mut visits: Vec<_> = self.visits.into_iter().collect();
        visits.sort_unstable_by_key(|(key, _)| *key);
        for ((host, ip), (of, visits)) in visits {
            renumbered.visits_of(key_of(host), number(of), ip).merge(*visits);
        }
        for ((host, name), receiver) in self.receivers {
            renumbered.receivers.get_or_default((number(host), name)).merge(receiver);
        }
        for (host, notices) in self.notices {
            renumbered.notices.entry(number(host)).or_default().extend(notices);
        }
        renumbered
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.overview.merge(other.overview);
        self.hosted.extend(other.hosted);
        for (key, (host, visits)) in other.visits {
            let known = self.visits.entry(key).or_insert_with(|| (host, Box::default()));
            known.0 = known.0.min(host);
            known.1.merge(*visits);
        }
        add_all(&mut self.receivers, other.receivers, Receiver::merge);
        self.replies.extend(other.replies);
        self.bounced_inbound.extend(other.bounced_inbound);
        for (host, notices) in other.notices {
            self.notices.entry(host).or_default().extend(notices);
        }
    }
}

/// One organisation's mail for everybody and its mail for firms, which judge senders each for itself: the first stands for
/// itself (Microsoft: Outlook.com beside Exchange Online).
const FOR_EVERYBODY: &[u8] = b"olc.protection.outlook.com";

/// The organisation that an attempt went to: the end of the relay's name that one owner has, else the recipient's domain.
pub(super) fn receiver(attempt: &Attempt, recipient: &[u8]) -> Octets {
    let name = if attempt.relay_host.is_empty() { address::split(recipient).1 } else { &attempt.relay_host };
    let start = name.len().saturating_sub(FOR_EVERYBODY.len());
    match name.get(start..) {
        Some(end) if end.eq_ignore_ascii_case(FOR_EVERYBODY) => Octets::from(FOR_EVERYBODY),
        _ => Octets::lowered(address::organisation(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_under_a_hosted_one_is_hosted() {
        let mut around = Around::default();
        around.hosts(b"A.example");
        assert!(around.is_hosted(b"a.example") && around.is_hosted(b"www.a.example"));
        assert!(!around.is_hosted(b"b.example") && !around.is_hosted(b"example"));
    }
}
