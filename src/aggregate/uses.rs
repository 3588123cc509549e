//! Who used which client addresses, who tried which logins from where, and who wrote to whom, in a few numbers; of parts of
//! the logs as the archive keeps them beside its records, too.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::correlate::{AuthFailure, Identity, Message, Octets, Recipient, RecipientState};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::time::Timestamp;

/// Pairs of who and from where, and of who and to whom, that are counted.
const PAIRS: usize = 4_000_000;
/// Bits of a recipient's hash that are kept: among the recipients of one story and all that a month of a large server wrote
/// to, two of one hash are not to be expected.
const KEPT_BITS: u64 = (1 << 48) - 1;

/// How one identity used one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Counts a message.
    pub fn message(&mut self, message: &Message) {
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
            self.wrote.insert((number, recipient_hash(recipient)));
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

    /// Counts a failed login.
    pub fn tried(&mut self, failure: &AuthFailure) {
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
            self.add_tries(key, tries);
        }
        self.wrote.extend(other.wrote.into_iter().map(|(at, recipient)| (number(at), recipient)));
        self.is_cut |= other.is_cut;
    }

    /// All names of identities, for a suggestion.
    pub fn names(&self) -> impl Iterator<Item = &Who> {
        self.who.iter()
    }

    /// Who used which addresses, and who tried what from where, to be kept.
    pub fn clients(&self) -> Clients {
        Clients {
            who: self.who.clone(),
            by_ip: self.by_ip.iter().map(|((ip, number), used)| (*ip, *number, *used)).collect(),
            tried: self.tried.iter().map(|((ip, login), tries)| (*ip, login.clone(), *tries)).collect(),
            is_cut: self.is_cut,
        }
    }

    /// Who wrote to whom, to be kept beside [`Uses::clients`].
    pub fn writers(&self) -> Writers {
        let mut writers: Vec<_> = self.wrote.iter().map(|(number, hash)| (hash & KEPT_BITS, *number)).collect();
        writers.sort_unstable();
        Writers(writers)
    }

    /// Adds what was kept of the addresses that are wanted.
    pub fn add_clients(&mut self, clients: &Clients, is_wanted: impl Fn(IpAddr) -> bool) {
        for (ip, number, used) in clients.by_ip.iter().filter(|(ip, ..)| is_wanted(*ip)) {
            if let Some(who) = clients.who.get(*number as usize) {
                let number = self.number(who);
                self.by_ip.entry((*ip, number)).and_modify(|known| known.add(*used)).or_insert(*used);
            }
        }
        for (ip, login, tries) in clients.tried.iter().filter(|(ip, ..)| is_wanted(*ip)) {
            self.add_tries((*ip, login.clone()), *tries);
        }
        self.is_cut |= clients.is_cut;
    }

    /// Adds who was kept to have written to the recipients that are wanted.
    pub fn add_writers(&mut self, clients: &Clients, writers: &Writers, wanted: &Wanted) {
        for (kept, number) in &writers.0 {
            if let (Some(hash), Some(who)) = (wanted.0.get(kept), clients.who.get(*number as usize)) {
                let number = self.number(who);
                self.wrote.insert((number, *hash));
            }
        }
    }

    /// Lets go of all but some addresses and recipients.
    pub fn only(self, is_wanted: impl Fn(IpAddr) -> bool, recipients: &Wanted) -> Self {
        let (clients, mut kept) = (self.clients(), Self::default());
        kept.add_clients(&clients, is_wanted);
        kept.add_writers(&clients, &self.writers(), recipients);
        kept
    }

    fn add_tries(&mut self, key: (IpAddr, Octets), tries: Tries) {
        let known = self.tried.entry(key).or_insert(Tries { failures: 0, ..tries });
        known.failures += tries.failures;
        known.first = known.first.min(tries.first);
        known.last = known.last.max(tries.last);
    }
}

/// The hash by which recipients are compared.
pub fn recipient_hash(recipient: &Recipient) -> u64 {
    let text = recipient.asked_for();
    if text.iter().any(u8::is_ascii_uppercase) { xxh3_64(&text.to_ascii_lowercase()) } else { xxh3_64(text) }
}

/// Who used which addresses, and who tried what from where, as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Clients {
    who: Vec<Who>,
    by_ip: Vec<(IpAddr, u32, Use)>,
    tried: Vec<(IpAddr, Octets, Tries)>,
    is_cut: bool,
}

/// Who wrote to whom, as it is kept: [`KEPT_BITS`] of the recipient's hash, and the number of who; in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Writers(Vec<(u64, u32)>);

/// Recipients that are asked for: their hashes by what is kept of them.
#[derive(Debug, Default)]
pub struct Wanted(HashMap<u64, u64>);

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'m> FromIterator<&'m Recipient> for Wanted {
    fn from_iter<I: IntoIterator<Item = &'m Recipient>>(recipients: I) -> Self {
        let hashes = recipients.into_iter().map(recipient_hash);
        Self(hashes.map(|hash| (hash & KEPT_BITS, hash)).collect())
    }
}
