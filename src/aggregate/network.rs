//! Where an identity's mail comes from: one entry for each client network, with when and how it was used.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::distinct::Distinct;
use super::few::FewMap;
use super::{Answer, QueueIds};
use crate::mail::queue_id::QueueId;
use crate::mail::time::Timestamp;

/// The network of mail that no client handed in: a script's, by the sendmail command.
pub const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Client networks that are kept one by one of one identity, those with the lowest addresses; the rest is one sum.
pub const NETWORKS: usize = 4_096;
/// Addresses of one network that are kept, the lowest.
const IPS: usize = 256;

/// How one address was used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct IpUse {
    pub first: Timestamp,
    pub last: Timestamp,
    pub messages: u64,
}

/// What came in one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourUse {
    pub messages: u32,
    pub recipients: u32,
    /// Recipients answered as not existing.
    pub invalid: u32,
    /// Recipients answered as spam, blocked or distrusted.
    pub distrusted: u32,
}

impl HourUse {
    pub fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.invalid = self.invalid.saturating_add(other.invalid);
        self.distrusted = self.distrusted.saturating_add(other.distrusted);
    }
}

impl std::iter::Sum for HourUse {
    fn sum<I: Iterator<Item = Self>>(hours: I) -> Self {
        hours.fold(Self::default(), |mut sum, hour| {
            sum.add(hour);
            sum
        })
    }
}

/// How an identity used one /24, /48, or the host itself ([`LOCAL`]).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkUse {
    pub first: Timestamp,
    pub last: Timestamp,
    pub total: HourUse,
    /// By hour since 1970, UTC.
    pub hours: FewMap<i64, HourUse>,
    pub ips: FewMap<IpAddr, IpUse>,
    pub recipients: Distinct,
    pub senders: Distinct,
    pub queue_ids: QueueIds,
}

impl NetworkUse {
    pub fn new(at: Timestamp) -> Self {
        Self {
            first: at,
            last: at,
            total: HourUse::default(),
            hours: FewMap::new(),
            ips: FewMap::new(),
            recipients: Distinct::default(),
            senders: Distinct::default(),
            queue_ids: QueueIds::default(),
        }
    }

    /// One message, or one refused attempt at one (`queue_id` is `None`).
    pub fn message(&mut self, at: Timestamp, ip: IpAddr, recipients: u32, sender: &[u8], queue_id: Option<QueueId>) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let messages = u32::from(queue_id.is_some());
        self.count(at, HourUse { messages, recipients, ..HourUse::default() });
        self.senders.add(sender);
        self.keep_ip(ip, IpUse { first: at, last: at, messages: u64::from(messages) });
        if let Some(id) = queue_id {
            self.queue_ids.add(at, id);
        }
    }

    /// What became of one recipient of a message that came at `at`.
    pub fn answer(&mut self, at: Timestamp, answer: Answer) {
        match answer {
            Answer::Invalid => self.count(at, HourUse { invalid: 1, ..HourUse::default() }),
            Answer::Distrust => self.count(at, HourUse { distrusted: 1, ..HourUse::default() }),
            Answer::Other => {}
        }
    }

    fn count(&mut self, at: Timestamp, more: HourUse) {
        self.total.add(more);
        self.hours.get_or_default(at.hour()).add(more);
    }

    fn keep_ip(&mut self, ip: IpAddr, more: IpUse) {
        let known = self.ips.get_or_insert_with(ip, || IpUse { messages: 0, ..more });
        known.first = known.first.min(more.first);
        known.last = known.last.max(more.last);
        known.messages += more.messages;
        if self.ips.len() > IPS {
            self.ips.pop_last();
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.total.add(other.total);
        for (hour, more) in other.hours {
            self.hours.get_or_default(hour).add(more);
        }
        for (ip, more) in other.ips {
            self.keep_ip(ip, more);
        }
        self.recipients.merge(other.recipients);
        self.senders.merge(other.senders);
        self.queue_ids.merge(other.queue_ids);
    }
}

/// All networks of one identity beyond [`NETWORKS`] together. Which these are does not depend on the order in which they came: each
/// has so many lower ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OtherNetworks {
    pub used: NetworkUse,
    networks: Distinct,
}

impl OtherNetworks {
    pub fn new(at: Timestamp) -> Self {
        Self { used: NetworkUse::new(at), networks: Distinct::default() }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.networks.count()
    }

    /// One more message comes from this network.
    pub fn network(&mut self, network: IpAddr) -> &mut NetworkUse {
        match network {
            IpAddr::V4(v4) => self.networks.add(&v4.octets()),
            IpAddr::V6(v6) => self.networks.add(&v6.octets()),
        }
        &mut self.used
    }

    pub fn merge(&mut self, other: Self) {
        self.used.merge(other.used);
        self.networks.merge(other.networks);
    }
}
