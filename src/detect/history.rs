//! What an identity did on days before those that are looked at.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::correlate::Octets;
use crate::mail::identity::IdentityKind;

/// On so many days a network was in use before it is the owner's.
const OWN_DAYS: u32 = 3;
/// The same of one that strangers are written to from: whoever prepares that tries it for a night or two.
const OWN_DAYS_OF_SPRAY: u32 = 10;

/// The past of all identities, by kind and name.
#[derive(Debug, Default)]
pub struct History(HashMap<(IdentityKind, Octets), Past>);

/// The past of one.
#[derive(Debug, Default)]
pub struct Past {
    /// The most recipients in one hour of any day.
    pub peak_hour_recipients: u64,
    /// On how many days each client network was used.
    networks: BTreeMap<IpAddr, u32>,
}

impl History {
    pub fn entry(&mut self, kind: IdentityKind, name: &[u8]) -> &mut Past {
        self.0.entry((kind, name.into())).or_default()
    }

    pub(super) fn of(&self, kind: IdentityKind, name: &Octets) -> Option<&Past> {
        self.0.get(&(kind, name.clone()))
    }
}

impl Past {
    /// Adds what one day shows.
    pub fn day(&mut self, peak_hour_recipients: u64, networks: impl Iterator<Item = IpAddr>) {
        self.peak_hour_recipients = self.peak_hour_recipients.max(peak_hour_recipients);
        for network in networks {
            *self.networks.entry(network).or_default() += 1;
        }
    }

    /// How many client networks were used.
    pub fn networks(&self) -> usize {
        self.networks.len()
    }

    /// True for a network that the owner has used on several days; on many, where it now writes to strangers.
    pub fn is_own(&self, network: IpAddr, is_spray: bool) -> bool {
        let least = if is_spray { OWN_DAYS_OF_SPRAY } else { OWN_DAYS };
        self.networks.get(&network).is_some_and(|days| *days >= least)
    }
}
