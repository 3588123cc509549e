//! What each identity of this site did on each day: the baseline that later nights are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::parted::Parted;
use super::tables::{Cell, Rows};
use crate::aggregate::distinct::Distinct;
use crate::correlate::{HostId, Identity, Message, Octets, RecipientState, Rejection};
use crate::detect::{History, Past};
use crate::mail::address::{ip, network};
use crate::mail::identity::IdentityKind;
use crate::mail::status::Stage;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// Networks and senders of one identity and day that are kept.
const NETWORKS: usize = 256;
const SENDERS: usize = 32;

/// The days of one run.
#[derive(Default)]
pub struct Days {
    by_identity: BTreeMap<(i64, IdentityKind, Octets, HostId), Day>,
}

#[derive(Default)]
struct Day {
    messages: u64,
    recipients: u64,
    distinct_recipients: Distinct,
    delivered: u64,
    deferred: u64,
    bounced: u64,
    rejected: u64,
    networks: BTreeSet<IpAddr>,
    senders: BTreeSet<Octets>,
    hours: [u64; 24],
}

impl Days {
    fn day(&mut self, identity: &Identity, at: Timestamp) -> Option<&mut Day> {
        let key = (at.day(), identity.kind, identity.name.clone(), identity.host);
        identity.kind.is_our_user().then(|| self.by_identity.entry(key).or_default())
    }

    pub fn message(&mut self, message: &Message) {
        let at = message.first_seen;
        let Some(day) = self.day(&message.identity, at) else { return };
        day.messages += u64::from(!message.is_continuation);
        let mut asked = if message.unnamed_state == RecipientState::HandedOn { 0 } else { message.unnamed_recipients };
        for recipient in &message.recipients {
            match recipient.state {
                RecipientState::HandedOn => continue,
                RecipientState::Delivered => day.delivered += 1,
                RecipientState::Deferred => day.deferred += 1,
                RecipientState::Bounced | RecipientState::Expired => day.bounced += 1,
                RecipientState::Open | RecipientState::Discarded => {}
            }
            asked += 1;
            day.distinct_recipients.add(recipient.asked_for());
        }
        day.asked(at, asked);
        let client = message.origin.client.as_ref().and_then(|client| ip(&client.ip));
        day.came_from(client);
        if let Some(sender) = message.sender.as_ref().filter(|_| day.senders.len() < SENDERS) {
            day.senders.insert(sender.clone());
        }
    }

    pub fn rejection(&mut self, rejection: &Rejection) {
        let Some(day) = self.day(&rejection.identity, rejection.at) else { return };
        day.rejected += u64::from(rejection.times);
        if rejection.stage == Stage::Rcpt && rejection.recipient.is_some() {
            day.asked(rejection.at, u64::from(rejection.times));
        }
        day.came_from(ip(&rejection.client.ip));
    }

    /// Writes a row for each.
    pub fn write(self, parted: &mut Parted, hosts: &[Octets]) {
        for ((day, kind, name, host), one) in self.by_identity {
            let host = hosts.get(host.0 as usize).map(|name| &**name).unwrap_or_default();
            let row = [
                Cell::text(kind.word()),
                Cell::log(&name),
                Cell::log(host),
                Cell::Time(Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY))),
                Cell::Count(one.messages),
                Cell::Count(one.recipients),
                Cell::Count(one.distinct_recipients.count()),
                Cell::Count(one.delivered),
                Cell::Count(one.deferred),
                Cell::Count(one.bounced),
                Cell::Count(one.rejected),
                Cell::Count(one.hours.iter().copied().max().unwrap_or(0)),
                Cell::List(one.networks.iter().map(ToString::to_string).collect()),
                Cell::List(one.senders.iter().map(|s| crate::mail::address::printable(s).into_owned()).collect()),
                Cell::List(one.hours.iter().map(ToString::to_string).collect()),
            ];
            parted.push(day, None, row);
        }
    }
}

impl Day {
    fn asked(&mut self, at: Timestamp, recipients: u64) {
        self.recipients += recipients;
        if let Some(hour) = usize::try_from(at.hour().rem_euclid(24)).ok().and_then(|hour| self.hours.get_mut(hour)) {
            *hour += recipients;
        }
    }

    fn came_from(&mut self, client: Option<IpAddr>) {
        if let Some(ip) = client.filter(|_| self.networks.len() < NETWORKS) {
            self.networks.insert(network(ip));
        }
    }
}

/// Adds a file of days to the baseline.
///
/// # Errors
/// What reading gives.
pub fn read(path: &Path, history: &mut History) -> io::Result<()> {
    let rows = Rows::read(path)?;
    let (kinds, names) = (rows.texts("identity_kind"), rows.texts("identity"));
    let (peaks, networks) = (rows.counts("peak_hour_recipients"), rows.lists("networks"));
    let mut peaks = peaks.into_iter();
    let mut networks = networks.into_iter();
    for (kind, name) in kinds.iter().zip(names) {
        let (peak, networks) = (peaks.next().unwrap_or(0), networks.next().unwrap_or_default());
        let Some(kind) = IdentityKind::from_word(kind) else { continue };
        let past: &mut Past = history.entry(kind, name.as_bytes());
        past.day(peak, networks.iter().filter_map(|network| network.parse().ok()));
    }
    Ok(())
}
