//! The recipients of one queue entry, found by address in constant time however many there are.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

use super::{Octets, Recipient, RecipientState};
use crate::mail::address;
use crate::parse::Delivery;

/// Up to this many recipients a look through the list is cheaper than a table.
const LISTED: usize = 8;

#[derive(Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Recipients {
    list: Vec<Recipient>,
    /// Number of the last attempt, per recipient.
    last_attempts: Vec<Option<usize>>,
    #[serde(skip)]
    table: HashTable<usize>,
    #[serde(skip)]
    hasher: DefaultHashBuilder,
}

/// What of it the archive holds.
#[derive(Deserialize)]
struct Stored {
    list: Vec<Recipient>,
    last_attempts: Vec<Option<usize>>,
}

impl From<Stored> for Recipients {
    fn from(stored: Stored) -> Self {
        let Stored { list, last_attempts } = stored;
        let mut recipients = Self { list, last_attempts, ..Self::default() };
        for at in 0..recipients.list.len() {
            recipients.index(at);
        }
        recipients
    }
}

impl Recipients {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn get(&self, at: usize) -> Option<&Recipient> {
        self.list.get(at)
    }

    /// True where all addresses have the same domain.
    pub fn is_one_domain(&self) -> bool {
        let mut domains = self.list.iter().map(|recipient| address::split(&recipient.address).1);
        let first = domains.next();
        domains.all(|domain| Some(domain) == first)
    }

    pub fn into_inner(self) -> Vec<Recipient> {
        self.list
    }

    /// A recipient's state, and the number of its last attempt.
    pub fn state(&mut self, at: usize) -> Option<(&mut RecipientState, Option<usize>)> {
        Some((&mut self.list.get_mut(at)?.state, self.last_attempts.get(at).copied().flatten()))
    }

    pub fn states(&mut self) -> impl Iterator<Item = (&mut RecipientState, Option<usize>)> {
        self.list.iter_mut().map(|r| &mut r.state).zip(self.last_attempts.iter().copied())
    }

    pub fn last_attempt(&self, at: usize) -> Option<usize> {
        self.last_attempts.get(at).copied().flatten()
    }

    pub fn attempted(&mut self, at: usize, attempt: usize) {
        if let Some(last) = self.last_attempts.get_mut(at) {
            *last = Some(attempt);
        }
    }

    /// Gives the recipient of a delivery line its new state; its number. An alias that was put off under its own name
    /// before it was expanded becomes the first address that it stands for.
    pub fn settle(&mut self, delivery: &Delivery<'_>, state: RecipientState) -> usize {
        let address = address::with_lower_domain(delivery.recipient);
        let orig_address = address::with_lower_domain(delivery.orig_recipient);
        if let Some(at) = self.find(&address, &orig_address) {
            if let Some(known) = self.list.get_mut(at) {
                known.state = state;
            }
            return at;
        }
        let unexpanded = if orig_address.is_empty() { None } else { self.find(&orig_address, &[]) };
        let recipient = Recipient {
            address: Octets::from(address.as_ref()),
            orig_address: Octets::from(orig_address.as_ref()),
            state,
        };
        match unexpanded.and_then(|at| Some((at, self.list.get_mut(at)?))) {
            Some((at, known)) if known.state == RecipientState::Deferred => {
                *known = recipient;
                self.unindex(at, &orig_address);
                self.index(at);
                at
            }
            _ => {
                self.list.push(recipient);
                self.last_attempts.push(None);
                self.index_last();
                self.list.len() - 1
            }
        }
    }

    /// Gives recipients without an address before aliases the one that an earlier hop knew.
    pub fn fill_aliases(&mut self, aliases: Vec<(Octets, Octets)>) {
        for (address, orig_address) in aliases {
            if let Some(known) = self.find(&address, &[]).and_then(|at| self.list.get_mut(at)) {
                known.orig_address = orig_address;
            }
        }
    }

    /// Gives recipients without an address before aliases the one that all of them stand for.
    pub fn fill_forwarded(&mut self, orig_address: &Octets) {
        for known in self.list.iter_mut().filter(|r| r.orig_address.is_empty() && r.address != *orig_address) {
            known.orig_address = orig_address.clone();
        }
    }

    fn find(&self, address: &[u8], orig_address: &[u8]) -> Option<usize> {
        let is_same =
            |at: &usize| self.list.get(*at).is_some_and(|r| *r.address == *address && *r.orig_address == *orig_address);
        if self.list.len() <= LISTED {
            return (0..self.list.len()).find(is_same);
        }
        self.table.find(self.hasher.hash_one((address, orig_address)), is_same).copied()
    }

    fn index_last(&mut self) {
        // The table begins with the first recipient that is one too many for a look through the list.
        let first = if self.list.len() == LISTED + 1 { 0 } else { self.list.len() - 1 };
        for at in first..self.list.len() {
            self.index(at);
        }
    }

    fn unindex(&mut self, at: usize, address: &[u8]) {
        let hash = self.hasher.hash_one((address, &b""[..]));
        if let Ok(entry) = self.table.find_entry(hash, |known| *known == at) {
            entry.remove();
        }
    }

    fn index(&mut self, at: usize) {
        if self.list.len() <= LISTED {
            return;
        }
        let hash = |r: &Recipient| self.hasher.hash_one((&*r.address, &*r.orig_address));
        let Some(hash_here) = self.list.get(at).map(hash) else { return };
        let list = &self.list;
        self.table.insert_unique(hash_here, at, |at| list.get(*at).map_or(0, hash));
    }
}
