//! What of a profile follows from the rest of it. It is left out of what is written, and put back when that was read: what
//! differs from what is expected stays, so that the profile is the same again, whatever it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::distinct::{Distinct, FirstTimes};
use super::few::{FewMap, FewSet};
use super::network::{HourUse, LOCAL};
use super::profile::{SIZE_STEPS, SIZES_PER_DOUBLING, SenderProfile, size_step};
use super::window::Minutes;
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::time::Timestamp;

/// What is left out of a profile, a bit for each thing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut(u16);

impl LeftOut {
    fn note(&mut self, thing: u16, is_left_out: bool) {
        self.0 |= u16::from(is_left_out) << thing;
    }

    const fn has(self, thing: u16) -> bool {
        self.0 & 1 << thing != 0
    }
}

/// Things that may be left out.
const RECIPIENTS: u16 = 0;
const DOMAIN_COUNTS: u16 = 1;
const DOMAINS: u16 = 2;
const ASKED: u16 = 3;
const ATTEMPTED: u16 = 4;
const SENDERS: u16 = 5;
const SENDER_DOMAINS: u16 = 6;
const SIZES: u16 = 7;
const CLIENTS: u16 = 8;
const NETWORK: u16 = 9;

/// Takes out of a map what is expected there; false, with nothing taken, where something expected is not there at all.
pub(super) fn leave_out<K: Ord, V: PartialEq>(map: &mut FewMap<K, V>, expected: &BTreeMap<K, V>) -> bool {
    let has_all = expected.keys().all(|key| map.contains_key(key));
    if has_all {
        map.retain(|key, value| expected.get(key) != Some(value));
    }
    has_all
}

/// Puts back what [`leave_out`] took.
pub(super) fn put_back<K: Ord, V>(map: &mut FewMap<K, V>, expected: BTreeMap<K, V>) {
    for (key, value) in expected {
        map.get_or_insert_with(key, || value);
    }
}

impl SenderProfile {
    /// Leaves out what the rest implies.
    pub(super) fn leave_out(&mut self) {
        let mut out = LeftOut::default();
        // What others are told by goes last.
        out.note(NETWORK, self.leave_out_network());
        out.note(CLIENTS, self.client_ips.leave_out(&self.expected_clients()));
        let sizes = self.expected_sizes();
        out.note(SIZES, leave_out(&mut self.sizes, &sizes));
        let (senders, domains) = self.expected_senders();
        out.note(SENDERS, self.envelope_senders.leave_out(&senders));
        out.note(SENDER_DOMAINS, self.envelope_sender_domains.leave_out(&domains));
        out.note(ATTEMPTED, self.attempted.leave_out(&self.expected_attempts()));
        out.note(ASKED, self.asked.leave_out(&self.expected_minutes()));
        out.note(DOMAINS, self.distinct_recipient_domains.leave_out(&self.expected_domains()));
        let counts = self.expected_domain_counts();
        out.note(DOMAIN_COUNTS, leave_out(&mut self.recipient_domains, &counts));
        out.note(RECIPIENTS, self.distinct_recipients.leave_out(&self.expected_recipients()));
        self.left_out = out;
    }

    /// Puts back what was left out.
    pub(super) fn put_back(&mut self) {
        let out = std::mem::take(&mut self.left_out);
        if out.has(RECIPIENTS) {
            self.distinct_recipients.put_back(&self.expected_recipients());
        }
        if out.has(DOMAIN_COUNTS) {
            let expected = self.expected_domain_counts();
            put_back(&mut self.recipient_domains, expected);
        }
        if out.has(DOMAINS) {
            self.distinct_recipient_domains.merge(self.expected_domains());
        }
        if out.has(ASKED) {
            self.asked.put_back(self.expected_minutes());
        }
        if out.has(ATTEMPTED) {
            self.attempted.put_back(self.expected_attempts());
        }
        let (senders, domains) = self.expected_senders();
        if out.has(SENDERS) {
            self.envelope_senders.merge(senders);
        }
        if out.has(SENDER_DOMAINS) {
            self.envelope_sender_domains.merge(domains);
        }
        if out.has(SIZES) {
            let expected = self.expected_sizes();
            put_back(&mut self.sizes, expected);
        }
        if out.has(CLIENTS) {
            self.client_ips.extend(self.expected_clients());
        }
        if out.has(NETWORK) {
            self.put_back_network();
        }
    }

    /// Whom its mails went to.
    fn expected_recipients(&self) -> FirstTimes {
        let mut expected = FirstTimes::default();
        for pair in self.pairs.values() {
            expected.add_all(&pair.recipient, &pair.times);
        }
        expected
    }

    fn expected_domain_counts(&self) -> BTreeMap<crate::correlate::Octets, u64> {
        let mut expected = BTreeMap::new();
        for pair in self.pairs.values() {
            let domain = address::split(&pair.recipient).1;
            match expected.get_mut(domain) {
                Some(count) => *count += pair.times.len() as u64,
                None => _ = expected.insert(domain.into(), pair.times.len() as u64),
            }
        }
        expected
    }

    fn expected_domains(&self) -> Distinct {
        self.recipient_domains.keys().map(|domain| xxh3_64(domain)).collect()
    }

    /// Recipients asked for by minute.
    fn expected_minutes(&self) -> Minutes {
        let mut expected = Minutes::default();
        for at in self.pairs.values().flat_map(|pair| &pair.times) {
            expected.add(Timestamp::from_seconds(*at), 1);
        }
        if !self.is_our_user() && self.messages == 1 {
            expected.add(self.first_seen, self.recipients);
        }
        expected
    }

    fn expected_attempts(&self) -> Minutes {
        if !self.asked.is_empty() {
            return self.asked.clone();
        }
        let mut expected = Minutes::default();
        expected.add(self.first_seen, self.rejected + self.tempfailed);
        expected
    }

    /// Envelope senders, and their domains.
    fn expected_senders(&self) -> (Distinct, Distinct) {
        let domain = |address: &[u8]| xxh3_64(address::split(address).1);
        if self.kind == IdentityKind::Sender {
            return (std::iter::once(xxh3_64(&self.name)).collect(), std::iter::once(domain(&self.name)).collect());
        }
        let domains = self.senders.values().map(|sender| domain(&sender.address));
        (self.senders.keys().copied().collect(), domains.collect())
    }

    fn expected_sizes(&self) -> BTreeMap<u16, u64> {
        let mut expected = BTreeMap::new();
        for ((_, step), count) in &self.size_hours {
            *expected.entry(step / (SIZE_STEPS / SIZES_PER_DOUBLING) as u16).or_default() += u64::from(*count);
        }
        if expected.is_empty() && self.messages == 1 && self.bytes > 0 {
            expected.insert(size_step(self.bytes, SIZES_PER_DOUBLING), 1);
        }
        expected
    }

    fn expected_clients(&self) -> FewSet<std::net::IpAddr> {
        let ips = self.networks.values().flat_map(|network| network.ips.keys());
        ips.copied().filter(|ip| *ip != LOCAL).collect()
    }

    /// Of an identity's only network; false, with nothing taken out, where it has another number of them.
    fn leave_out_network(&mut self) -> bool {
        let recipients = self.expected_recipients().things();
        let senders: Distinct = self.senders.keys().copied().collect();
        let mut networks = self.networks.values_mut();
        let (Some(network), None) = (networks.next(), networks.next()) else { return false };
        let has_all = recipients.is_within(&network.recipients) && senders.is_within(&network.senders);
        let is_sum = network.hours.values().copied().sum::<HourUse>() == network.total;
        if !has_all || !is_sum {
            return false;
        }
        network.recipients.leave_out(&recipients);
        network.senders.leave_out(&senders);
        network.total = HourUse::default();
        true
    }

    fn put_back_network(&mut self) {
        let recipients = self.expected_recipients().things();
        let senders: Distinct = self.senders.keys().copied().collect();
        for network in self.networks.values_mut() {
            network.recipients.merge(recipients.clone());
            network.senders.merge(senders.clone());
            network.total = network.hours.values().copied().sum();
        }
    }
}
