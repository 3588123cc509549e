//! What belongs to a story, kept whole, and what everybody else did, in a few numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

use super::target::{Roles, Target};
use crate::classify::Verdict;
use crate::correlate::{AuthFailure, HostId, Identity, Message, Octets, Recipient, RecipientState, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::Mta;
use crate::mail::time::{Period, Timestamp};

/// Messages, refusals and failed logins that are kept, of each. A story with more is told by its first ones, and says so.
const KEPT: usize = 500_000;
/// Pairs of who and from where, and of who and to whom, that are counted.
const PAIRS: usize = 4_000_000;

/// One message of the story.
pub struct Sent<'c> {
    pub message: Message,
    pub roles: Roles,
    /// Of each attempt.
    pub verdicts: Vec<Option<Verdict<'c>>>,
}

/// One refusal of the story.
pub struct Refused<'c> {
    pub rejection: Rejection,
    pub roles: Roles,
    pub verdict: Option<Verdict<'c>>,
}

/// One failed login of the story.
pub struct Failed {
    pub failure: AuthFailure,
    pub roles: Roles,
}

/// How one identity used one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub messages: u64,
    pub recipients: u64,
    /// Recipients that were refused for good.
    pub bounced: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Use {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.recipients += other.recipients;
        self.bounced += other.bounced;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// Vain tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    pub failures: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// An identity, by kind and name in lower case; of several hosts together.
pub type Who = (IdentityKind, Octets);

/// Mail servers take a login in any letter case for the same.
pub fn who_of(identity: &Identity) -> Who {
    (identity.kind, Octets::lowered(&identity.name))
}

/// Who used which client addresses, who tried which logins from where, who wrote to whom.
#[derive(Default)]
pub struct Uses {
    numbers: HashMap<Who, u32>,
    who: Vec<Who>,
    by_ip: BTreeMap<(IpAddr, u32), Use>,
    tried: BTreeMap<(IpAddr, Octets), Tries>,
    /// Identity and hash of a recipient.
    wrote: HashSet<(u32, u64)>,
    /// Too many to count them all.
    pub is_cut: bool,
}

impl Uses {
    fn number(&mut self, who: &Who) -> u32 {
        if let Some(number) = self.numbers.get(who) {
            return *number;
        }
        let number = u32::try_from(self.who.len()).unwrap_or(u32::MAX);
        self.who.push(who.clone());
        self.numbers.insert(who.clone(), number);
        number
    }

    fn message(&mut self, message: &Message) {
        let identity = &message.identity;
        if !identity.kind.is_our_user() {
            return;
        }
        if self.by_ip.len() + self.wrote.len() >= PAIRS {
            self.is_cut = true;
            return;
        }
        let number = self.number(&who_of(identity));
        let is_lost = |one: &&Recipient| matches!(one.state, RecipientState::Bounced | RecipientState::Expired);
        let bounced = message.recipients.iter().filter(is_lost).count() as u64;
        let ip = message.origin.client.as_ref().and_then(|client| address::ip(&client.ip));
        for recipient in &message.recipients {
            self.wrote.insert((number, xxh3_64(&recipient.asked_for().to_ascii_lowercase())));
        }
        let Some(ip) = ip else { return };
        // A later hop is counted at its first one; what became of it is known here.
        let is_first = !message.is_continuation;
        let used = Use {
            messages: u64::from(is_first),
            recipients: if is_first { message.recipients.len() as u64 + message.unnamed_recipients } else { 0 },
            bounced,
            first: message.first_seen,
            last: message.first_seen,
        };
        self.by_ip.entry((ip, number)).and_modify(|known| known.add(used)).or_insert(used);
    }

    fn tried(&mut self, failure: &AuthFailure) {
        let Some(ip) = address::ip(&failure.client.ip) else { return };
        let login = failure.sasl_username.as_deref().map(Octets::lowered).unwrap_or_default();
        if self.tried.len() >= PAIRS {
            self.is_cut = true;
            return;
        }
        let known = self.tried.entry((ip, login)).or_insert(Tries { failures: 0, first: failure.at, last: failure.at });
        known.failures += u64::from(failure.times);
        known.first = known.first.min(failure.at);
        known.last = known.last.max(failure.at);
    }

    /// Identities that sent mail from an address.
    pub fn from_ip(&self, ip: IpAddr) -> impl Iterator<Item = (&Who, &Use)> {
        self.from_ips(ip, ip).map(|(_, who, used)| (who, used))
    }

    /// The same for all addresses between two, both among them.
    pub fn from_ips(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = (IpAddr, &Who, &Use)> {
        let range = self.by_ip.range((first, 0)..=(last, u32::MAX));
        range.filter_map(|((ip, number), used)| Some((*ip, self.who.get(*number as usize)?, used)))
    }

    /// Addresses that an identity sent from.
    pub fn ips_of(&self, who: &Who) -> Vec<(IpAddr, &Use)> {
        let Some(number) = self.numbers.get(who) else { return Vec::new() };
        self.by_ip.iter().filter(|((_, one), _)| one == number).map(|((ip, _), used)| (*ip, used)).collect()
    }

    /// Logins that were tried from an address in vain; an empty name where the log has none.
    pub fn tried_from(&self, ip: IpAddr) -> impl Iterator<Item = (&Octets, &Tries)> {
        self.tried
            .range((ip, Octets::new())..)
            .take_while(move |((one, _), _)| *one == ip)
            .map(|((_, login), tries)| (login, tries))
    }

    /// How many of these recipients each other identity wrote to, too; the most first.
    pub fn also_wrote_to(&self, recipients: &HashSet<u64>, but: impl Fn(&Who) -> bool) -> Vec<(&Who, u64)> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let shared = self.wrote.iter().filter(|(_, recipient)| recipients.contains(recipient));
        for number in shared.map(|(number, _)| *number) {
            *counts.entry(number).or_default() += 1;
        }
        let named = counts.into_iter().filter_map(|(number, count)| Some((self.who.get(number as usize)?, count)));
        let mut named: Vec<_> = named.filter(|(who, _)| !but(who)).collect();
        named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        named
    }

    /// Adds what another part of the logs tells.
    pub fn merge(&mut self, other: Self) {
        let numbers: Vec<u32> = other.who.iter().map(|who| self.number(who)).collect();
        let number = |at: u32| numbers.get(at as usize).copied().unwrap_or(u32::MAX);
        for ((ip, at), used) in other.by_ip {
            self.by_ip.entry((ip, number(at))).and_modify(|known| known.add(used)).or_insert(used);
        }
        for (key, tries) in other.tried {
            let known = self.tried.entry(key).or_insert(Tries { failures: 0, ..tries });
            known.failures += tries.failures;
            known.first = known.first.min(tries.first);
            known.last = known.last.max(tries.last);
        }
        self.wrote.extend(other.wrote.into_iter().map(|(at, recipient)| (number(at), recipient)));
        self.is_cut |= other.is_cut;
    }

    /// All names of identities, for a suggestion.
    pub fn names(&self) -> impl Iterator<Item = &Who> {
        self.who.iter()
    }
}

/// True for a message that something is still to become of.
pub fn is_waiting(sent: &Sent<'_>) -> bool {
    let message = &sent.message;
    let is_open = |one: &Recipient| matches!(one.state, RecipientState::Open | RecipientState::Deferred);
    message.is_open
        && (message.recipients.iter().any(is_open)
            || (message.unnamed_recipients > 0 && message.unnamed_state == RecipientState::Open))
}

/// The hash by which recipients are compared.
pub fn recipient_hash(recipient: &Recipient) -> u64 {
    xxh3_64(&recipient.asked_for().to_ascii_lowercase())
}

/// Takes what belongs to one target, in the time that is looked at.
pub struct Found<'c> {
    pub target: Target,
    pub period: Period,
    pub messages: Vec<Sent<'c>>,
    pub rejections: Vec<Refused<'c>>,
    pub failures: Vec<Failed>,
    /// Of the story, and not kept; what still waits in the queue is kept before others.
    pub beyond: u64,
    pub uses: Uses,
    /// Entries that lines of the message name, where it is looked for by its id.
    pub kin: BTreeSet<QueueId>,
}

impl<'c> Found<'c> {
    pub fn new(target: Target, period: Period) -> Self {
        Self {
            target,
            period,
            messages: Vec::new(),
            rejections: Vec::new(),
            failures: Vec::new(),
            beyond: 0,
            uses: Uses::default(),
            kin: BTreeSet::new(),
        }
    }

    /// Counts what a message tells of its identity; gives what it has to do with the target.
    pub fn look_at(&mut self, message: &Message) -> Roles {
        self.uses.message(message);
        let roles = self.target.of_message(message);
        if roles.is_empty() && self.kin.contains(&message.queue_id) { Roles::RELATED } else { roles }
    }

    /// Counts a message that is not of the story.
    pub fn count(&mut self, message: &Message) {
        self.uses.message(message);
    }

    /// Counts a failed login that is not of the story.
    pub fn count_failure(&mut self, failure: &AuthFailure) {
        self.uses.tried(failure);
    }

    /// Lets go of entries that only looked as if they belonged to the message: an id may be used again, and a message id be
    /// anybody's.
    pub fn settle_kin(&mut self) {
        let mut ids: BTreeSet<QueueId> = BTreeSet::new();
        let mut message_ids: BTreeSet<Octets> = BTreeSet::new();
        for sent in self.messages.iter().filter(|sent| sent.roles.has(Roles::MESSAGE)) {
            let message = &sent.message;
            ids.extend([Some(message.queue_id), message.hop_of, message.parent_queue_id].into_iter().flatten());
            message_ids.extend(message.message_id.clone().filter(|id| !id.is_empty()));
        }
        // A hop behind a hop.
        let mut before = 0;
        while before < ids.len() {
            before = ids.len();
            for message in self.messages.iter().map(|sent| &sent.message) {
                let leads = [message.hop_of, message.parent_queue_id].into_iter().flatten();
                if ids.contains(&message.queue_id) {
                    ids.extend(leads);
                } else if leads.into_iter().any(|id| ids.contains(&id)) {
                    ids.insert(message.queue_id);
                }
            }
        }
        self.messages.retain(|sent| {
            let is_same = sent.message.message_id.as_ref().is_some_and(|id| message_ids.contains(id));
            !sent.roles.has(Roles::RELATED) || is_same || ids.contains(&sent.message.queue_id)
        });
    }

    /// The same for a refusal.
    pub fn look_at_rejection(&self, rejection: &Rejection) -> Roles {
        self.target.of_rejection(rejection)
    }

    /// Keeps a message of the story.
    pub fn keep(&mut self, message: Message, roles: Roles, verdicts: Vec<Option<Verdict<'c>>>) {
        self.keep_sent(Sent { message, roles, verdicts });
    }

    fn keep_sent(&mut self, sent: Sent<'c>) {
        if self.messages.len() < KEPT || (is_waiting(&sent) && self.messages.len() < 2 * KEPT) {
            self.messages.push(sent);
        } else {
            self.beyond += 1;
        }
    }

    /// Keeps a refusal of the story.
    pub fn keep_rejection(&mut self, rejection: Rejection, roles: Roles, verdict: Option<Verdict<'c>>) {
        self.keep_refused(Refused { rejection, roles, verdict });
    }

    fn keep_refused(&mut self, refused: Refused<'c>) {
        if self.rejections.len() < KEPT {
            self.rejections.push(refused);
        } else {
            self.beyond += 1;
        }
    }

    pub fn auth_failure(&mut self, failure: &AuthFailure) {
        self.uses.tried(failure);
        let roles = self.target.of_failure(failure);
        if !roles.is_empty() {
            self.keep_failed(Failed { failure: failure.clone(), roles });
        }
    }

    fn keep_failed(&mut self, failed: Failed) {
        if self.failures.len() < KEPT {
            self.failures.push(failed);
        } else {
            self.beyond += 1;
        }
    }

    /// Lets go of what other hosts logged.
    pub fn keep_hosts(&mut self, is_wanted: impl Fn(HostId) -> bool) {
        self.messages.retain(|sent| is_wanted(sent.message.host));
        self.rejections.retain(|one| is_wanted(one.rejection.host));
        self.failures.retain(|one| is_wanted(one.failure.host));
    }

    /// Adds what another part of the logs gave.
    pub fn merge(&mut self, other: Self) {
        other.messages.into_iter().for_each(|sent| self.keep_sent(sent));
        other.rejections.into_iter().for_each(|refused| self.keep_refused(refused));
        other.failures.into_iter().for_each(|failed| self.keep_failed(failed));
        self.beyond += other.beyond;
    }

    /// The mail servers that wrote what was found.
    pub fn mtas(&self) -> impl Iterator<Item = Mta> {
        let messages = self.messages.iter().map(|sent| sent.message.mta);
        let refusals = self.rejections.iter().map(|one| one.rejection.mta);
        messages.chain(refusals).chain(self.failures.iter().map(|one| one.failure.mta))
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.rejections.is_empty() && self.failures.is_empty()
    }
}
