//! What is kept of each identity: counts, distinct things, times. Profiles of parts merge into the profile of the
//! whole, in any order. Nobody is judged here.

pub mod distinct;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::classify::{Category, Verdict};
use crate::correlate::{AuthFailure, HostId, Identity, Message, Octets, RecipientState, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, EnhancedCode, SmtpCode, Stage};
use crate::mail::time::Timestamp;
use distinct::{Distinct, Earliest, FirstTimes};
use window::Minutes;

/// Queue ids that a finding shows (contract.md, `queue_ids`).
pub const QUEUE_IDS: usize = 50;
/// Envelope senders of one identity that are kept with their names; more are only counted.
const SENDERS: usize = 4_096;

/// Queue ids in the order of their messages.
pub type QueueIds = Earliest<QueueId, QUEUE_IDS>;

/// How one envelope sender was used.
#[derive(Debug, Clone)]
pub struct SenderUse {
    pub address: Octets,
    pub messages: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub queue_ids: QueueIds,
}

/// The mails of one envelope sender to one recipient.
#[derive(Debug, Clone)]
pub struct Pair {
    pub sender: Octets,
    pub recipient: Octets,
    /// Arrival of each mail, seconds since 1970.
    pub times: Vec<i64>,
    /// Mails of it that did not arrive.
    pub undelivered: u64,
    pub queue_ids: QueueIds,
}

/// What a row of `reasons` is about (contract.md section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReasonKey {
    pub direction: Direction,
    pub action: Action,
    pub category: Category,
    /// Empty where the provider is not known.
    pub provider: Box<str>,
}

/// Reply code and enhanced code of an answer.
pub type Codes = (Option<SmtpCode>, Option<EnhancedCode>);

/// How often a reason came up, and for whom.
#[derive(Debug, Clone)]
pub struct Reason {
    /// True when this host said it.
    pub by_us: bool,
    /// Answers; 0 where a destination was put off without being tried again.
    pub attempts: u64,
    pub messages: u64,
    pub recipients: Distinct,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The first answer, as written.
    pub example: Octets,
    codes: BTreeMap<Codes, u64>,
    lists: BTreeMap<Box<str>, u64>,
}

impl Reason {
    fn new(at: Timestamp, by_us: bool, example: &[u8]) -> Self {
        Self {
            by_us,
            attempts: 0,
            messages: 0,
            recipients: Distinct::default(),
            first: at,
            last: at,
            example: example.into(),
            codes: BTreeMap::new(),
            lists: BTreeMap::new(),
        }
    }

    fn add(&mut self, at: Timestamp, times: u64, verdict: &Verdict<'_>, recipient: &[u8], response: &[u8]) {
        self.see(at, response);
        self.last = self.last.max(at);
        self.attempts += times;
        *self.codes.entry((verdict.smtp_code, verdict.enhanced_code)).or_default() += times;
        if let Some(list) = &verdict.dnsbl {
            *self.lists.entry(list.as_ref().into()).or_default() += times;
        }
        if !recipient.is_empty() {
            self.recipients.add(recipient);
        }
    }

    /// The example is the earliest answer, of several at one moment the least.
    fn see(&mut self, at: Timestamp, example: &[u8]) {
        if (at, example) < (self.first, &self.example) {
            self.example = example.into();
        }
        self.first = self.first.min(at);
    }

    fn merge(&mut self, other: Self) {
        self.see(other.first, &other.example);
        self.last = self.last.max(other.last);
        self.attempts += other.attempts;
        self.messages += other.messages;
        self.recipients.merge(other.recipients);
        add_counts(&mut self.codes, other.codes);
        add_counts(&mut self.lists, other.lists);
    }

    /// The codes that came most often.
    pub fn codes(&self) -> Codes {
        most_frequent(&self.codes).copied().unwrap_or((None, None))
    }

    /// The DNS list that was named most often.
    pub fn dnsbl(&self) -> Option<&str> {
        most_frequent(&self.lists).map(AsRef::as_ref)
    }
}

fn add_counts<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key).or_default() += count;
    }
}

/// The key with the highest count, the least of several.
fn most_frequent<K>(counts: &BTreeMap<K, u64>) -> Option<&K> {
    counts.iter().rev().max_by_key(|(_, count)| **count).map(|(key, _)| key)
}

/// Everything that is kept of one identity.
#[derive(Debug, Clone)]
pub struct SenderProfile {
    pub kind: IdentityKind,
    pub name: Octets,
    pub hosts: BTreeSet<HostId>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Mails, each once however many queues of this host it went through.
    pub messages: u64,
    pub bytes: u64,
    /// Recipients asked for; those of a hop that handed the mail on are counted at the next one.
    pub recipients: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub deferral_attempts: u64,
    pub bounced: u64,
    pub expired: u64,
    pub discarded: u64,
    pub still_open: u64,
    pub rejected: u64,
    pub tempfailed: u64,
    pub auth_failures: u64,
    pub distinct_recipients: Distinct,
    pub distinct_recipient_domains: Distinct,
    /// Recipients that do not exist, with the arrival of the first mail to each.
    pub invalid_recipients: FirstTimes,
    pub invalid_queue_ids: QueueIds,
    /// Mails to such recipients, refused ones too.
    pub invalid_attempts: u64,
    pub last_invalid: Option<Timestamp>,
    invalid_samples: Earliest<Octets, 10>,
    pub envelope_senders: Distinct,
    pub envelope_sender_domains: Distinct,
    senders: BTreeMap<u64, SenderUse>,
    pub client_ips: BTreeSet<IpAddr>,
    /// Recipients asked for, by minute of arrival.
    pub asked: Minutes,
    /// The same with the recipients that this host refused.
    pub attempted: Minutes,
    pairs: HashMap<u64, Pair>,
    pub reasons: BTreeMap<ReasonKey, Reason>,
    pub queue_ids: QueueIds,
}

impl SenderProfile {
    fn new(identity: &Identity, at: Timestamp) -> Self {
        Self {
            kind: identity.kind,
            name: identity.name.clone(),
            hosts: BTreeSet::from([identity.host]),
            first_seen: at,
            last_seen: at,
            messages: 0,
            bytes: 0,
            recipients: 0,
            delivered: 0,
            deferred: 0,
            deferral_attempts: 0,
            bounced: 0,
            expired: 0,
            discarded: 0,
            still_open: 0,
            rejected: 0,
            tempfailed: 0,
            auth_failures: 0,
            distinct_recipients: Distinct::default(),
            distinct_recipient_domains: Distinct::default(),
            invalid_recipients: FirstTimes::default(),
            invalid_queue_ids: QueueIds::default(),
            invalid_attempts: 0,
            last_invalid: None,
            invalid_samples: Earliest::default(),
            envelope_senders: Distinct::default(),
            envelope_sender_domains: Distinct::default(),
            senders: BTreeMap::new(),
            client_ips: BTreeSet::new(),
            asked: Minutes::default(),
            attempted: Minutes::default(),
            pairs: HashMap::new(),
            reasons: BTreeMap::new(),
            queue_ids: QueueIds::default(),
        }
    }

    /// Distinct recipients that do not exist among all distinct recipients, 0 to 1.
    pub fn invalid_share(&self) -> f64 {
        share(self.invalid_recipients.count(), self.distinct_recipients.count())
    }

    /// A few of the recipients that do not exist, the first ones.
    pub fn invalid_samples(&self) -> impl Iterator<Item = &Octets> {
        self.invalid_samples.things()
    }

    /// Envelope senders by address.
    pub fn senders(&self) -> Vec<&SenderUse> {
        let mut senders: Vec<_> = self.senders.values().collect();
        senders.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        senders
    }

    /// Sender and recipient pairs, the busiest first.
    pub fn pairs(&self) -> Vec<&Pair> {
        let mut pairs: Vec<_> = self.pairs.values().filter(|p| p.times.len() > 1).collect();
        pairs.sort_unstable_by(|a, b| {
            b.times.len().cmp(&a.times.len()).then_with(|| (&a.sender, &a.recipient).cmp(&(&b.sender, &b.recipient)))
        });
        pairs
    }

    /// Client networks: /24 or /48.
    pub fn client_networks(&self) -> u64 {
        self.client_ips.iter().map(|ip| address::network(*ip)).collect::<BTreeSet<_>>().len() as u64
    }

    /// The category that came up most often in answers and refusals.
    pub fn top_category(&self) -> Option<Category> {
        let mut counts: BTreeMap<Category, u64> = BTreeMap::new();
        for (key, reason) in &self.reasons {
            *counts.entry(key.category).or_default() += reason.attempts;
        }
        counts.retain(|_, attempts| *attempts > 0);
        most_frequent(&counts).copied()
    }

    fn seen(&mut self, first: Timestamp, last: Timestamp) {
        self.first_seen = self.first_seen.min(first);
        self.last_seen = self.last_seen.max(last);
    }

    fn client(&mut self, ip: &[u8]) {
        self.client_ips.extend(address::ip(ip));
    }

    fn recipient(&mut self, recipient: &[u8]) {
        self.distinct_recipients.add(recipient);
        self.distinct_recipient_domains.add(address::split(recipient).1);
    }

    fn invalid(&mut self, recipient: &[u8], at: Timestamp, queue_id: Option<QueueId>) {
        self.invalid_recipients.add(recipient, at);
        self.invalid_samples.add(at, recipient.into());
        self.invalid_attempts += 1;
        self.last_invalid = self.last_invalid.max(Some(at));
        if let Some(id) = queue_id {
            self.invalid_queue_ids.add(at, id);
        }
    }

    fn sender(&mut self, sender: &[u8], at: Timestamp, queue_id: QueueId) {
        self.envelope_senders.add(sender);
        self.envelope_sender_domains.add(address::split(sender).1);
        let hash = xxhash_rust::xxh3::xxh3_64(sender);
        let mut queue_ids = QueueIds::default();
        queue_ids.add(at, queue_id);
        self.keep_sender(hash, SenderUse { address: sender.into(), messages: 1, first: at, last: at, queue_ids });
    }

    /// Keeps the senders with the lowest hashes: the same ones in whatever order they come.
    fn keep_sender(&mut self, hash: u64, more: SenderUse) {
        match self.senders.get_mut(&hash) {
            Some(known) => {
                known.messages += more.messages;
                known.first = known.first.min(more.first);
                known.last = known.last.max(more.last);
                known.queue_ids.merge(more.queue_ids);
            }
            None => {
                self.senders.insert(hash, more);
                if self.senders.len() > SENDERS {
                    self.senders.pop_last();
                }
            }
        }
    }

    fn message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        self.seen(message.first_seen, message.last_seen);
        if let Some(client) = &message.origin.client {
            self.client(&client.ip);
        }
        let sender = message.sender.as_deref().unwrap_or_default();
        if !message.is_continuation {
            self.messages += 1;
            self.bytes += message.size.unwrap_or(0);
            self.queue_ids.add(message.first_seen, message.queue_id);
            if message.sender.is_some() {
                self.sender(sender, message.first_seen, message.queue_id);
            }
        }
        let mut asked = match message.unnamed_state {
            RecipientState::HandedOn => 0,
            _ => message.unnamed_recipients,
        };
        match message.unnamed_state {
            RecipientState::Discarded => self.discarded += message.unnamed_recipients,
            RecipientState::Bounced => self.bounced += message.unnamed_recipients,
            RecipientState::HandedOn => {}
            _ => self.still_open += message.unnamed_recipients,
        }
        for recipient in &message.recipients {
            let count = match recipient.state {
                RecipientState::Delivered => &mut self.delivered,
                RecipientState::Deferred => &mut self.deferred,
                RecipientState::Bounced => &mut self.bounced,
                RecipientState::Expired => &mut self.expired,
                RecipientState::Discarded => &mut self.discarded,
                RecipientState::Open => &mut self.still_open,
                RecipientState::HandedOn => continue,
            };
            *count += 1;
            asked += 1;
            self.recipient(recipient.asked_for());
            let arrived = matches!(recipient.state, RecipientState::Delivered | RecipientState::Open);
            self.pair(message, sender, recipient.asked_for(), !arrived);
        }
        self.recipients += asked;
        self.asked.add(message.first_seen, asked);
        self.attempted.add(message.first_seen, asked);
        self.attempts(message, verdicts);
    }

    fn pair(&mut self, message: &Message, sender: &[u8], recipient: &[u8], is_undelivered: bool) {
        let mut hash = Xxh3::new();
        hash.update(sender);
        hash.update(b"\0");
        hash.update(recipient);
        let pair = self.pairs.entry(hash.digest()).or_insert_with(|| Pair {
            sender: sender.into(),
            recipient: recipient.into(),
            times: Vec::new(),
            undelivered: 0,
            queue_ids: QueueIds::default(),
        });
        pair.times.push(message.first_seen.seconds());
        pair.undelivered += u64::from(is_undelivered);
        pair.queue_ids.add(message.first_seen, message.queue_id);
    }

    fn attempts(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        let mut here = BTreeSet::new();
        let mut invalid = BTreeSet::new();
        for (attempt, verdict) in message.attempts.iter().zip(verdicts) {
            let times = if attempt.is_secondary { 0 } else { u64::from(attempt.times) };
            if attempt.action == Action::Deferred {
                self.deferral_attempts += times;
            }
            let (Some(verdict), Some(recipient)) = (verdict, message.recipients.get(attempt.recipient)) else {
                continue;
            };
            let key = reason_key(attempt.direction, attempt.action, verdict);
            let first_here = here.insert(key.clone());
            let reason = self.reasons.entry(key).or_insert_with(|| Reason::new(attempt.at, false, &attempt.response));
            reason.add(attempt.at, times, verdict, recipient.asked_for(), &attempt.response);
            reason.messages += u64::from(first_here);
            // What an alias stands for is no address that the sender wrote.
            let is_written = recipient.orig_address.is_empty();
            if is_written && is_invalid_recipient(verdict) && invalid.insert(attempt.recipient) {
                self.invalid(recipient.asked_for(), message.first_seen, Some(message.queue_id));
            }
        }
    }

    fn rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        self.seen(rejection.at, rejection.at);
        self.client(&rejection.client.ip);
        let times = u64::from(rejection.times);
        match rejection.action {
            Action::Tempfailed => self.tempfailed += times,
            Action::Discarded => self.discarded += times,
            _ => self.rejected += times,
        }
        let recipient = rejection.recipient.as_deref().unwrap_or_default();
        if rejection.stage == Stage::Rcpt && !recipient.is_empty() {
            self.recipient(recipient);
            self.attempted.add(rejection.at, times);
        }
        let Some(verdict) = verdict else { return };
        if rejection.stage == Stage::Rcpt && !recipient.is_empty() && is_invalid_recipient(verdict) {
            self.invalid(recipient, rejection.at, rejection.queue_id);
        }
        let key = reason_key(rejection.direction, rejection.action, verdict);
        let reason = self.reasons.entry(key).or_insert_with(|| Reason::new(rejection.at, true, &rejection.response));
        reason.add(rejection.at, times, verdict, recipient, &rejection.response);
        reason.messages += u64::from(rejection.queue_id.is_some());
    }

    fn merge(&mut self, other: Self) {
        self.hosts.extend(other.hosts);
        self.seen(other.first_seen, other.last_seen);
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.recipients += other.recipients;
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.deferral_attempts += other.deferral_attempts;
        self.bounced += other.bounced;
        self.expired += other.expired;
        self.discarded += other.discarded;
        self.still_open += other.still_open;
        self.rejected += other.rejected;
        self.tempfailed += other.tempfailed;
        self.auth_failures += other.auth_failures;
        self.distinct_recipients.merge(other.distinct_recipients);
        self.distinct_recipient_domains.merge(other.distinct_recipient_domains);
        self.invalid_recipients.merge(other.invalid_recipients);
        self.invalid_queue_ids.merge(other.invalid_queue_ids);
        self.invalid_attempts += other.invalid_attempts;
        self.last_invalid = self.last_invalid.max(other.last_invalid);
        self.invalid_samples.merge(other.invalid_samples);
        self.envelope_senders.merge(other.envelope_senders);
        self.envelope_sender_domains.merge(other.envelope_sender_domains);
        for (hash, sender) in other.senders {
            self.keep_sender(hash, sender);
        }
        self.client_ips.extend(other.client_ips);
        self.asked.merge(other.asked);
        self.attempted.merge(other.attempted);
        let mut pairs: Vec<_> = other.pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, pair) in pairs {
            match self.pairs.get_mut(&hash) {
                Some(known) => {
                    known.times.extend(pair.times);
                    known.undelivered += pair.undelivered;
                    known.queue_ids.merge(pair.queue_ids);
                }
                None => _ = self.pairs.insert(hash, pair),
            }
        }
        for (key, reason) in other.reasons {
            match self.reasons.get_mut(&key) {
                Some(known) => known.merge(reason),
                None => _ = self.reasons.insert(key, reason),
            }
        }
        self.queue_ids.merge(other.queue_ids);
    }
}

/// `part` of `whole`, 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn reason_key(direction: Direction, action: Action, verdict: &Verdict<'_>) -> ReasonKey {
    ReasonKey { direction, action, category: verdict.category, provider: verdict.provider.unwrap_or_default().into() }
}

/// Answers that say: there is no such recipient (detectors.md, `invalid-recipient-flood`).
fn is_invalid_recipient(verdict: &Verdict<'_>) -> bool {
    const INVALID: &[&str] =
        &["recipient-unknown", "recipient-address-invalid", "domain-not-found", "domain-no-mail", "harvest-blocked"];
    // Exim says "Unrouteable address" of a local user who does not exist and of a domain without a mail server alike.
    INVALID.contains(&verdict.category.id()) || verdict.rule == "exim-unrouteable"
}

/// How often logins failed, per client.
#[derive(Debug, Default, Clone)]
struct Failures(BTreeMap<Octets, FailureCount>);

#[derive(Debug, Clone, Copy)]
struct FailureCount {
    host: HostId,
    failures: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Profiles of all identities.
#[derive(Debug, Default)]
pub struct Profiles {
    by_identity: HashMap<(IdentityKind, Octets, Option<HostId>), SenderProfile>,
    failures: BTreeMap<(Option<HostId>, Octets), Failures>,
    /// One user on several hosts is one identity.
    merges_hosts: bool,
}

impl Profiles {
    pub fn new(merges_hosts: bool) -> Self {
        Self { merges_hosts, ..Self::default() }
    }

    fn host_key(&self, host: HostId) -> Option<HostId> {
        if self.merges_hosts { None } else { Some(host) }
    }

    fn profile(&mut self, identity: &Identity, at: Timestamp) -> &mut SenderProfile {
        let key = (identity.kind, identity.name.clone(), self.host_key(identity.host));
        let profile = self.by_identity.entry(key).or_insert_with(|| SenderProfile::new(identity, at));
        profile.hosts.insert(identity.host);
        profile
    }

    /// Adds a message; `verdicts` has one entry per attempt, `None` for what is no refusal.
    pub fn add_message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        self.profile(&message.identity, message.first_seen).message(message, verdicts);
    }

    /// Adds a refusal; `verdict` is `None` for what was thrown away without one.
    pub fn add_rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        self.profile(&rejection.identity, rejection.at).rejection(rejection, verdict);
    }

    pub fn add_auth_failure(&mut self, failure: &AuthFailure) {
        let login = failure.sasl_username.clone().unwrap_or_default();
        let clients = self.failures.entry((self.host_key(failure.host), login)).or_default();
        let count = clients.0.entry(failure.client.ip.clone()).or_insert(FailureCount {
            host: failure.host,
            failures: 0,
            first: failure.at,
            last: failure.at,
        });
        count.failures += u64::from(failure.times);
        count.first = count.first.min(failure.at);
        count.last = count.last.max(failure.at);
    }

    pub fn merge(&mut self, other: Self) {
        for (key, clients) in other.failures {
            let known = self.failures.entry(key).or_default();
            for (client, count) in clients.0 {
                let known = known.0.entry(client).or_insert(FailureCount { failures: 0, ..count });
                known.failures += count.failures;
                known.first = known.first.min(count.first);
                known.last = known.last.max(count.last);
            }
        }
        let mut theirs: Vec<_> = other.by_identity.into_iter().collect();
        theirs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (key, profile) in theirs {
            match self.by_identity.get_mut(&key) {
                Some(known) => known.merge(profile),
                None => _ = self.by_identity.insert(key, profile),
            }
        }
    }

    /// All profiles, by kind and name. Failed logins go to the login where it is one that is known here, else to the
    /// client that tried: a name that was only guessed is nobody.
    pub fn finish(mut self) -> Vec<SenderProfile> {
        for ((host, login), clients) in std::mem::take(&mut self.failures) {
            let login_key = (IdentityKind::Sasl, login, host);
            for (client, count) in clients.0 {
                let key = if self.by_identity.contains_key(&login_key) {
                    login_key.clone()
                } else {
                    (IdentityKind::Client, client.clone(), host)
                };
                let identity = Identity { kind: key.0, name: key.1.clone(), host: count.host };
                let profile = self.by_identity.entry(key).or_insert_with(|| SenderProfile::new(&identity, count.first));
                profile.auth_failures += count.failures;
                if profile.kind == IdentityKind::Client {
                    profile.seen(count.first, count.last);
                    profile.client(&client);
                }
            }
        }
        let mut profiles: Vec<_> = self.by_identity.into_iter().collect();
        profiles.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        profiles.into_iter().map(|(_, profile)| profile).collect()
    }
}
