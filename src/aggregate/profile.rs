//! Everything that is kept of one identity.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::around::{Visits, receiver};
use super::codec::{self, Hashed, moments, moments_of};
use super::distinct::{Distinct, Earliest, FirstTimes};
use super::example::{Example, Names};
use super::few::{FewHashed, FewMap, FewSet};
use super::hours::{Hours, Outcomes, Receivers};
use super::implied::LeftOut;
use super::network::{LOCAL, NETWORKS, NetworkUse, OtherNetworks};
use super::reason::{Reason, ReasonKey, most_frequent, reason_key};
use super::trouble::{Answer, Trouble, TroubleKind, is_unauthorized, trouble_hash};
use super::window::Minutes;
use super::{QUEUE_IDS, QueueIds, share};
use crate::classify::{Category, Verdict};
use crate::correlate::{Attempt, HostId, Identity, Message, Octets, Recipient, RecipientState, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Stage};
use crate::mail::time::Timestamp;

/// Envelope senders of one identity that are kept with their names; more are only counted.
const SENDERS: usize = 4_096;
/// Identities are parted by their names into so many shards, which are put together into fewer.
pub const SHARDS: u64 = 256;
/// Steps to a doubling in which [`SenderProfile::size_hours`] counts sizes: a quarter of a hundredth each.
pub const SIZE_STEPS: f64 = 256.0;
/// Steps to a doubling in which [`SenderProfile::sizes`] counts them.
pub(super) const SIZES_PER_DOUBLING: f64 = 8.0;
/// Receivers that are kept with their names in one [`Unauthorized`].
const RECEIVERS: usize = 256;

/// How one envelope sender was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SenderUse {
    pub address: Octets,
    pub messages: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub queue_ids: QueueIds,
}

/// Queue ids of one pair: a pattern may begin long after the pair did.
const PAIR_IDS: usize = 256;
type PairIds = Earliest<QueueId, PAIR_IDS>;

/// The mails of one envelope sender to one recipient.
#[derive(Debug, Clone)]
pub struct Pair {
    pub sender: Octets,
    pub recipient: Octets,
    /// Arrival of each mail, seconds since 1970.
    pub times: Vec<i64>,
    /// Mails of it that did not arrive.
    pub undelivered: u64,
    pub queue_ids: PairIds,
}

/// As it is written: the mails' times only where the ids' do not tell them.
#[derive(Serialize, Deserialize)]
struct WrittenPair<N, Q> {
    sender: N,
    recipient: N,
    undelivered: u64,
    queue_ids: Q,
    times: Option<Vec<i64>>,
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenPair {
            sender: &self.sender,
            recipient: &self.recipient,
            undelivered: self.undelivered,
            queue_ids: &self.queue_ids,
            times: moments(&self.times, &self.queue_ids.seconds()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = WrittenPair::<Octets, PairIds>::deserialize(deserializer)?;
        let WrittenPair { sender, recipient, undelivered, queue_ids, times } = written;
        let times = moments_of(times, || queue_ids.seconds());
        Ok(Self { sender, recipient, times, undelivered, queue_ids })
    }
}

impl Hashed for Pair {
    type Order = (i64, Octets, Octets);

    fn hash(&self) -> u64 {
        pair_hash(&self.sender, &self.recipient)
    }

    /// By time, so that moments and ids of one mail stand together.
    fn order(&self) -> Self::Order {
        (self.times.iter().copied().min().unwrap_or(0), self.sender.clone(), self.recipient.clone())
    }
}

fn pair_hash(sender: &[u8], recipient: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(sender);
    hash.update(b"\0");
    hash.update(recipient);
    hash.digest()
}

/// Envelope senders, found by the hashes of their addresses.
mod senders {
    use super::*;

    pub fn serialize<S: Serializer>(senders: &FewMap<u64, SenderUse>, serializer: S) -> Result<S::Ok, S::Error> {
        senders.values().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FewMap<u64, SenderUse>, D::Error> {
        Ok(Vec::<SenderUse>::deserialize(deserializer)?.into_iter().map(|one| (xxh3_64(&one.address), one)).collect())
    }
}

/// Refusals because a sender domain's SPF, DKIM or DMARC does not stand for this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unauthorized {
    /// Who refused: the receivers' organisations.
    pub receivers: BTreeSet<Octets>,
    pub answers: u64,
    pub recipients: Distinct,
    pub first: Timestamp,
    pub last: Timestamp,
    pub queue_ids: QueueIds,
    /// The earliest answer, as written.
    pub example: Example,
}

impl Unauthorized {
    fn merge(&mut self, other: Self) {
        if (other.first, &other.example) < (self.first, &self.example) {
            self.example = other.example;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.answers += other.answers;
        self.recipients.merge(other.recipients);
        self.queue_ids.merge(other.queue_ids);
        self.receivers.extend(other.receivers);
        while self.receivers.len() > RECEIVERS {
            self.receivers.pop_last();
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SenderProfile {
    pub kind: IdentityKind,
    pub name: Octets,
    /// Kept for our own users only. In front of all that names the same recipients again: it is written in this order.
    #[serde(with = "codec::hashed")]
    pub(super) pairs: FewHashed<u64, Pair>,
    pub hosts: FewSet<HostId>,
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
    /// Recipients, those that this host refused among them, with the first mail to each.
    pub distinct_recipients: FirstTimes,
    pub distinct_recipient_domains: Distinct,
    /// Recipients asked for, by domain. Kept for our own users only.
    pub recipient_domains: FewMap<Octets, u64>,
    /// Recipients that do not exist, with the arrival of the first mail to each.
    pub invalid_recipients: FirstTimes,
    pub invalid_queue_ids: QueueIds,
    /// Mails to such recipients, refused ones too.
    pub invalid_attempts: u64,
    pub last_invalid: Option<Timestamp>,
    pub(super) invalid_samples: Earliest<Octets, 10>,
    pub envelope_senders: Distinct,
    pub envelope_sender_domains: Distinct,
    #[serde(with = "senders")]
    pub(super) senders: FewMap<u64, SenderUse>,
    pub client_ips: FewSet<IpAddr>,
    /// Where the mail came from. Kept for our own users only.
    pub networks: FewMap<IpAddr, NetworkUse>,
    /// The same of those beyond [`NETWORKS`].
    pub other_networks: Option<Box<OtherNetworks>>,
    /// Sizes of messages, in steps of an eighth of a doubling.
    pub sizes: FewMap<u16, u64>,
    /// Messages of a login by hour since 1970 and size, in [`SIZE_STEPS`] of a doubling.
    pub size_hours: FewMap<(i64, u16), u32>,
    /// Messages by directory of the program that handed them in (Exim `cwd=`).
    pub directories: FewMap<Octets, u64>,
    /// Recipients asked for, by minute of arrival.
    pub asked: Minutes,
    /// The same with the recipients that this host refused.
    pub attempted: Minutes,
    /// What became of them, by hour of arrival, and by who received them. Kept for our own users only.
    pub hours: Hours,
    pub receivers: Receivers,
    #[serde(with = "codec::hashed")]
    pub(super) troubles: FewHashed<u64, Trouble>,
    /// By sender domain.
    pub unauthorized: FewMap<Octets, Unauthorized>,
    pub reasons: FewMap<ReasonKey, Reason>,
    /// Messages that were looked at so far; tells one from another.
    #[serde(skip)]
    turn: u64,
    /// What a client tried that no message of it shows; only at the end, for clients that did.
    #[serde(skip)]
    pub visits: Option<Box<Visits>>,
    /// It wrote no mail and was refused none: it is here because of what else is known of it.
    pub is_mute: bool,
    /// It stands for a host itself.
    pub is_host: bool,
    /// What is not written, as the rest implies it.
    pub(super) left_out: LeftOut,
}

impl SenderProfile {
    pub(super) fn new(identity: &Identity, at: Timestamp) -> Self {
        Self {
            kind: identity.kind,
            name: identity.name.clone(),
            hosts: FewSet::from_iter([identity.host]),
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
            distinct_recipients: FirstTimes::default(),
            distinct_recipient_domains: Distinct::default(),
            recipient_domains: FewMap::new(),
            invalid_recipients: FirstTimes::default(),
            invalid_queue_ids: QueueIds::default(),
            invalid_attempts: 0,
            last_invalid: None,
            invalid_samples: Earliest::default(),
            envelope_senders: Distinct::default(),
            envelope_sender_domains: Distinct::default(),
            senders: FewMap::new(),
            client_ips: FewSet::default(),
            networks: FewMap::new(),
            other_networks: None,
            sizes: FewMap::new(),
            size_hours: FewMap::new(),
            directories: FewMap::new(),
            asked: Minutes::default(),
            attempted: Minutes::default(),
            hours: Hours::default(),
            receivers: Receivers::default(),
            pairs: FewHashed::default(),
            troubles: FewHashed::default(),
            unauthorized: FewMap::new(),
            reasons: FewMap::new(),
            turn: 0,
            visits: None,
            is_mute: false,
            is_host: false,
            left_out: LeftOut::default(),
        }
    }

    pub(super) fn mute(identity: &Identity, at: Timestamp) -> Self {
        Self { is_mute: true, ..Self::new(identity, at) }
    }

    /// True for those whose mail this host sends for them: it can act on them.
    pub fn is_our_user(&self) -> bool {
        self.kind.is_our_user()
    }

    /// The same number for an identity on all days and hosts, below [`SHARDS`].
    pub fn shard(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(self.kind.word().as_bytes());
        hash.update(b"\0");
        hash.update(&self.name);
        hash.digest() % SHARDS
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

    /// False where there were more envelope senders than are kept.
    pub fn has_all_senders(&self) -> bool {
        self.senders.len() as u64 >= self.envelope_senders.count()
    }

    /// Hashes of the recipients of its mails, each with the moment of each mail, in no order.
    pub fn mails(&self) -> impl Iterator<Item = (u64, Timestamp)> {
        let of = |pair: &Pair| {
            let hash = xxh3_64(&pair.recipient);
            pair.times.iter().map(|at| (hash, Timestamp::from_seconds(*at))).collect::<Vec<_>>()
        };
        self.pairs.values().flat_map(of)
    }

    /// Sender and recipient pairs, the busiest first.
    pub fn pairs(&self) -> Vec<&Pair> {
        let mut pairs: Vec<_> = self.pairs.values().filter(|p| p.times.len() > 1).collect();
        pairs.sort_unstable_by(|a, b| {
            b.times.len().cmp(&a.times.len()).then_with(|| (&a.sender, &a.recipient).cmp(&(&b.sender, &b.recipient)))
        });
        pairs
    }

    /// Pairs whose recipient's domain is one of these, in no order.
    pub fn pairs_to(&self, is_one: impl Fn(&[u8]) -> bool) -> Vec<&Pair> {
        self.pairs.values().filter(|pair| is_one(address::split(&pair.recipient).1)).collect()
    }

    /// The messages of a span: their first queue ids, and how many there were, `at_most` so many. Of pairs with more mails than
    /// ids are kept of, the rest counts by its times.
    pub fn queue_ids_between(&self, first: Timestamp, last: Timestamp, at_most: u64) -> QueueIds {
        // Many moments are kept to the second.
        let last = last.plus_seconds(1);
        let mut ids: HashMap<QueueId, Timestamp> = HashMap::new();
        let mut nameless = 0;
        for pair in self.pairs.values() {
            let mut named = 0;
            for (at, id) in pair.queue_ids.between(first, last) {
                named += 1;
                let known = ids.entry(*id).or_insert(at);
                *known = at.min(*known);
            }
            if pair.times.len() > pair.queue_ids.things().count() {
                let span = first.seconds()..last.seconds();
                let times = pair.times.iter().filter(|at| span.contains(at)).count() as u64;
                nameless += times.saturating_sub(named);
            }
        }
        let count = (ids.len() as u64 + nameless).min(at_most.max(ids.len() as u64));
        let mut ids: Vec<_> = ids.into_iter().map(|(id, at)| (at, id)).collect();
        ids.sort_unstable();
        let mut queue_ids = QueueIds::default();
        ids.into_iter().take(QUEUE_IDS).for_each(|(at, id)| queue_ids.add(at, id));
        queue_ids.count = count;
        queue_ids
    }

    /// Recipients or domains with a kind of trouble, by name.
    pub fn troubles(&self, kind: TroubleKind) -> Vec<&Trouble> {
        let mut troubles: Vec<_> = self.troubles.values().filter(|t| t.kind == kind).collect();
        troubles.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        troubles
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
        most_frequent(counts.iter()).copied()
    }

    pub(super) fn seen(&mut self, first: Timestamp, last: Timestamp) {
        self.first_seen = self.first_seen.min(first);
        self.last_seen = self.last_seen.max(last);
    }

    pub(super) fn client(&mut self, ip: &[u8]) {
        self.client_ips.extend(address::ip(ip));
    }

    fn recipient(&mut self, recipient: &[u8], at: Timestamp) {
        let domain = address::split(recipient).1;
        self.distinct_recipients.add(recipient, at);
        self.distinct_recipient_domains.add(domain);
        if self.is_our_user() {
            match self.recipient_domains.get_mut(domain) {
                Some(count) => *count += 1,
                None => self.recipient_domains.insert(domain.into(), 1),
            }
        }
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
        if !self.is_our_user() {
            return;
        }
        let mut queue_ids = QueueIds::default();
        queue_ids.add(at, queue_id);
        self.keep_sender(
            xxh3_64(sender),
            SenderUse { address: sender.into(), messages: 1, first: at, last: at, queue_ids },
        );
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

    /// The uses of all networks: one by one, and those beyond [`NETWORKS`] as one.
    pub fn network_uses(&self) -> impl Iterator<Item = &NetworkUse> + Clone {
        self.networks.values().chain(self.other_networks.iter().map(|others| &others.used))
    }

    /// The use of the network that an address is in; beyond those that are kept one by one, that of all others.
    fn network(&mut self, ip: IpAddr, at: Timestamp) -> &mut NetworkUse {
        let network = address::network(ip);
        if self.networks.len() >= NETWORKS && !self.networks.contains_key(&network) {
            if self.networks.keys().next_back().is_some_and(|last| network > *last) {
                return self.other_networks(at).network(network);
            }
            self.networks.insert(network, NetworkUse::new(at));
            self.keep_networks();
        }
        self.networks.get_or_insert_with(network, || NetworkUse::new(at))
    }

    fn other_networks(&mut self, at: Timestamp) -> &mut OtherNetworks {
        self.other_networks.get_or_insert_with(|| Box::new(OtherNetworks::new(at)))
    }

    fn keep_networks(&mut self) {
        while self.networks.len() > NETWORKS {
            let Some((network, used)) = self.networks.pop_last() else { return };
            self.other_networks(used.first).network(network).merge(used);
        }
    }

    pub(super) fn message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        self.seen(message.first_seen, message.last_seen);
        let ip = message.origin.client.as_ref().and_then(|client| address::ip(&client.ip));
        self.client_ips.extend(ip);
        let sender = message.sender.as_deref().unwrap_or_default();
        let is_first_hop = !message.is_continuation;
        if is_first_hop {
            self.messages += 1;
            self.bytes += message.size.unwrap_or(0);
            if message.sender.is_some() {
                self.sender(sender, message.first_seen, message.queue_id);
            }
            if let Some(size) = message.size {
                *self.sizes.get_or_default(size_step(size, SIZES_PER_DOUBLING)) += 1;
                if self.kind == IdentityKind::Sasl {
                    let hour = message.first_seen.hour();
                    *self.size_hours.get_or_default((hour, size_step(size, SIZE_STEPS))) += 1;
                }
            }
            if let Some(directory) = &message.origin.directory {
                *self.directories.get_or_default(directory.clone()) += 1;
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
            self.recipient(recipient.asked_for(), message.first_seen);
            if self.is_our_user() {
                let arrived = matches!(recipient.state, RecipientState::Delivered | RecipientState::Open);
                self.pair(message, recipient.asked_for(), !arrived);
            }
        }
        self.recipients += asked;
        self.asked.add(message.first_seen, asked);
        self.attempted.add(message.first_seen, asked);
        if self.is_our_user() {
            self.came_from(message, ip.unwrap_or(LOCAL), asked, sender);
            self.hours.add(message.first_seen, Outcomes::of_message(message));
            self.receivers.message(message);
        }
        self.attempts(message, verdicts, ip.unwrap_or(LOCAL));
    }

    fn came_from(&mut self, message: &Message, ip: IpAddr, asked: u64, sender: &[u8]) {
        let at = message.first_seen;
        let network = self.network(ip, at);
        let asked = u32::try_from(asked).unwrap_or(u32::MAX);
        network.message(at, ip, asked, sender, (!message.is_continuation).then_some(message.queue_id));
        for recipient in &message.recipients {
            if recipient.state != RecipientState::HandedOn {
                network.recipients.add(recipient.asked_for());
            }
        }
    }

    fn pair(&mut self, message: &Message, recipient: &Octets, is_undelivered: bool) {
        let sender = message.sender.clone().unwrap_or_default();
        let pair = self.pairs.get_or_insert_with(pair_hash(&sender, recipient), || Pair {
            sender,
            recipient: recipient.clone(),
            times: Vec::with_capacity(1),
            undelivered: 0,
            queue_ids: PairIds::default(),
        });
        pair.times.push(message.first_seen.seconds());
        pair.undelivered += u64::from(is_undelivered);
        pair.queue_ids.add(message.first_seen, message.queue_id);
    }

    fn attempts(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>], ip: IpAddr) {
        self.turn += 1;
        // Each mail to each recipient counts once, however often the queue tried.
        let mut counted = HashSet::new();
        let mut troubled = HashSet::new();
        let mut unauthorized = HashSet::new();
        for (attempt, verdict) in message.attempts.iter().zip(verdicts) {
            let times = if attempt.is_secondary { 0 } else { u64::from(attempt.times) };
            if attempt.action == Action::Deferred {
                self.deferral_attempts += times;
            }
            let (Some(verdict), Some(recipient)) = (verdict, message.recipients.get(attempt.recipient)) else {
                continue;
            };
            let key = reason_key(attempt.direction, attempt.action, verdict);
            let names = Names::of_attempt(message, attempt, recipient);
            let example = || Example::new(&attempt.response, names);
            let reason = self.reasons.get_or_insert_with(key, || Reason::new(attempt.at, false, example()));
            reason.add(attempt.at, times, verdict, names, &attempt.response);
            reason.message(self.turn);
            // What an alias stands for is no address that the sender wrote.
            if !recipient.orig_address.is_empty() {
                continue;
            }
            // What arrived in the end was refused for a while only.
            let arrived = recipient.state == RecipientState::Delivered;
            let answer = if arrived { Answer::Other } else { Answer::of(verdict) };
            if answer != Answer::Other && counted.insert((attempt.recipient, answer == Answer::Invalid)) {
                if answer == Answer::Invalid {
                    self.invalid(recipient.asked_for(), message.first_seen, Some(message.queue_id));
                }
                if self.is_our_user() {
                    self.network(ip, message.first_seen).answer(message.first_seen, answer);
                }
            }
            if !self.is_our_user() {
                continue;
            }
            let kind = TroubleKind::of(verdict, attempt.action != Action::Deferred);
            if let Some(kind) = kind.filter(|kind| troubled.insert((attempt.recipient, *kind))) {
                self.trouble(kind, recipient.asked_for(), message.first_seen, attempt.at, Some(message.queue_id));
            }
            if is_unauthorized(verdict) && unauthorized.insert(attempt.recipient) {
                self.unauthorized(message, attempt, recipient);
            }
        }
    }

    fn trouble(
        &mut self,
        kind: TroubleKind,
        recipient: &[u8],
        arrived: Timestamp,
        answered: Timestamp,
        queue_id: Option<QueueId>,
    ) {
        let name = if kind == TroubleKind::NoDomain { address::split(recipient).1 } else { recipient };
        let trouble = self.troubles.get_or_insert_with(trouble_hash(kind, name), || Trouble::new(kind, name, answered));
        trouble.mail(arrived, answered, queue_id);
    }

    fn unauthorized(&mut self, message: &Message, attempt: &Attempt, recipient: &Recipient) {
        let domain = address::split(message.sender.as_deref().unwrap_or_default()).1;
        if domain.is_empty() {
            return;
        }
        let mut one = Unauthorized {
            receivers: BTreeSet::from([receiver(attempt, &recipient.address)]),
            answers: 1,
            recipients: Distinct::default(),
            first: attempt.at,
            last: attempt.at,
            queue_ids: QueueIds::default(),
            example: Example::new(&attempt.response, Names::of_attempt(message, attempt, recipient)),
        };
        one.recipients.add(recipient.asked_for());
        one.queue_ids.add(message.first_seen, message.queue_id);
        match self.unauthorized.get_mut(domain) {
            Some(known) => known.merge(one),
            None => self.unauthorized.insert(domain.into(), one),
        }
    }

    pub(super) fn rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        let at = rejection.at;
        self.seen(at, at);
        let ip = address::ip(&rejection.client.ip);
        self.client_ips.extend(ip);
        let times = u64::from(rejection.times);
        match rejection.action {
            Action::Tempfailed => self.tempfailed += times,
            Action::Discarded => self.discarded += times,
            _ => self.rejected += times,
        }
        if self.is_our_user() {
            self.hours.add(at, Outcomes::of_rejection(rejection));
        }
        let recipient = rejection.recipient.as_deref().unwrap_or_default();
        let is_recipient = rejection.stage == Stage::Rcpt && !recipient.is_empty();
        let ip = ip.unwrap_or(LOCAL);
        if is_recipient {
            self.recipient(recipient, at);
            self.attempted.add(at, times);
            if self.is_our_user() {
                let network = self.network(ip, at);
                let sender = rejection.sender.as_deref().unwrap_or_default();
                network.message(at, ip, rejection.times, sender, None);
                network.recipients.add(recipient);
            }
        }
        let Some(verdict) = verdict else { return };
        if is_recipient {
            let answer = Answer::of(verdict);
            if answer == Answer::Invalid {
                self.invalid(recipient, at, rejection.queue_id);
            }
            if self.is_our_user() {
                self.network(ip, at).answer(at, answer);
                if let Some(kind) = TroubleKind::of(verdict, rejection.action != Action::Tempfailed) {
                    self.trouble(kind, recipient, at, at, rejection.queue_id);
                }
            }
        }
        let key = reason_key(rejection.direction, rejection.action, verdict);
        let names = Names::of_rejection(rejection);
        let example = || Example::new(&rejection.response, names);
        let reason = self.reasons.get_or_insert_with(key, || Reason::new(at, true, example()));
        reason.add(at, times, verdict, names, &rejection.response);
        reason.messages += u64::from(rejection.queue_id.is_some());
    }

    pub(super) fn merge(&mut self, other: Self) {
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
        add_all(&mut self.recipient_domains, other.recipient_domains, |known, more| *known += more);
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
        add_all(&mut self.networks, other.networks, NetworkUse::merge);
        if let Some(others) = other.other_networks {
            self.other_networks(others.used.first).merge(*others);
        }
        self.keep_networks();
        add_all(&mut self.sizes, other.sizes, |known, more| *known += more);
        add_all(&mut self.size_hours, other.size_hours, |known, more| *known += more);
        add_all(&mut self.directories, other.directories, |known, more| *known += more);
        self.asked.merge(other.asked);
        self.attempted.merge(other.attempted);
        self.hours.merge(other.hours);
        self.receivers.merge(other.receivers);
        let mut pairs: Vec<_> = other.pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, pair) in pairs {
            match self.pairs.get_mut(&hash) {
                Some(known) => {
                    known.times.extend(pair.times);
                    known.undelivered += pair.undelivered;
                    known.queue_ids.merge(pair.queue_ids);
                }
                None => _ = self.pairs.get_or_insert_with(hash, || pair),
            }
        }
        let mut troubles: Vec<_> = other.troubles.into_iter().collect();
        troubles.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, trouble) in troubles {
            match self.troubles.get_mut(&hash) {
                Some(known) => known.merge(trouble),
                None => _ = self.troubles.get_or_insert_with(hash, || trouble),
            }
        }
        add_all(&mut self.unauthorized, other.unauthorized, Unauthorized::merge);
        add_all(&mut self.reasons, other.reasons, Reason::merge);
    }
}

/// Adds the entries of one map to another.
pub(super) fn add_all<K: Ord, V>(to: &mut FewMap<K, V>, from: FewMap<K, V>, add: impl Fn(&mut V, V)) {
    for (key, more) in from {
        match to.get_mut(&key) {
            Some(known) => add(known, more),
            None => to.insert(key, more),
        }
    }
}

/// The number of the step that a size falls into; `steps` of them make a doubling.
pub(super) fn size_step(bytes: u64, steps: f64) -> u16 {
    ((bytes.max(1) as f64).log2() * steps) as u16
}
