//! Which of an identity's networks and addresses sent the messages of a pattern: whoever blocks them must not block the
//! owner.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::case::Senders;
use crate::aggregate::distinct::Distinct;
use crate::aggregate::network::LOCAL;
use crate::aggregate::{NetworkUse, SenderProfile};
use crate::mail::time::Timestamp;

/// A network that sent this part of a pattern is of it, whatever else came from there.
const PART: u64 = 10;
/// Days on which a network is used otherwise that make it somebody's own, where no few networks sent most of the pattern.
const OWN_DAYS: usize = 2;

/// The networks that wrote to these recipients in a span, without those that are used for other mail in the main.
pub(super) fn networks_to<'a>(
    profile: &'a SenderProfile,
    recipients: &Distinct,
    first: Timestamp,
    last: Timestamp,
) -> Vec<&'a NetworkUse> {
    let whole = recipients.count();
    let most = profile.networks.values().map(|used| recipients.in_common(&used.recipients)).max().unwrap_or(0);
    let own_days = if 2 * most >= whole { 1 } else { OWN_DAYS };
    let is_of_pattern = |used: &&NetworkUse| {
        let common = recipients.in_common(&used.recipients);
        let (mut inside, mut outside, mut days) = (0, 0, BTreeSet::new());
        for (hour, of_hour) in &used.hours {
            if (first.hour()..=last.hour()).contains(hour) {
                inside += u64::from(of_hour.recipients);
            } else {
                outside += u64::from(of_hour.recipients);
                days.insert(hour.div_euclid(24));
            }
        }
        let is_others = days.len() >= own_days && outside > inside;
        common > 0 && inside > 0 && (PART * common >= whole || (2 * common >= inside && !is_others))
    };
    profile.networks.values().filter(is_of_pattern).collect()
}

/// The addresses that wrote to these recipients in a span.
pub(super) fn to(profile: &SenderProfile, recipients: &Distinct, first: Timestamp, last: Timestamp) -> Vec<IpAddr> {
    addresses(networks_to(profile, recipients, first, last).into_iter(), first, last)
}

/// The addresses that wrote to those whom the identity wrote to for the first time in a span.
pub(super) fn to_new(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> Vec<IpAddr> {
    let recipients = profile.distinct_recipients.between(first, last).map(|(hash, _)| hash).collect();
    to(profile, &recipients, first, last)
}

/// The addresses that wrote to anybody in a span, in the main.
pub(super) fn to_all(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> Vec<IpAddr> {
    let end = last.plus_seconds(1);
    let mails = profile.mails().filter(|(_, at)| (first..=end).contains(at)).map(|(hash, _)| hash);
    let refused = profile.distinct_recipients.between(first, last).map(|(hash, _)| hash);
    to(profile, &mails.chain(refused).collect(), first, last)
}

/// The same of recipients by name.
pub(super) fn to_named<'a>(
    profile: &SenderProfile,
    recipients: impl IntoIterator<Item = &'a [u8]>,
    first: Timestamp,
    last: Timestamp,
) -> Vec<IpAddr> {
    to(profile, &distinct(recipients), first, last)
}

/// The addresses that wrote under envelope senders while these were used.
pub(super) fn of(profile: &SenderProfile, senders: &Senders<'_>) -> Vec<IpAddr> {
    under(profile, senders.uses.iter().map(|sender| &*sender.address), senders.first, senders.last)
}

/// The addresses that wrote under these envelope senders in a span.
pub(super) fn under<'a>(
    profile: &SenderProfile,
    senders: impl IntoIterator<Item = &'a [u8]>,
    first: Timestamp,
    last: Timestamp,
) -> Vec<IpAddr> {
    let senders = distinct(senders);
    addresses(profile.networks.values().filter(|used| senders.in_common(&used.senders) > 0), first, last)
}

fn distinct<'a>(things: impl IntoIterator<Item = &'a [u8]>) -> Distinct {
    let mut all = Distinct::default();
    things.into_iter().for_each(|thing| all.add(thing));
    all
}

/// The addresses of some networks that were used in a span, in their order.
fn addresses<'a>(networks: impl Iterator<Item = &'a NetworkUse>, first: Timestamp, last: Timestamp) -> Vec<IpAddr> {
    // Some spans are known to the second only.
    let end = last.plus_seconds(1);
    let ips = networks.flat_map(|used| used.ips.iter());
    let ips = ips.filter(|(ip, used)| **ip != LOCAL && used.first <= end && used.last >= first);
    ips.map(|(ip, _)| *ip).collect::<BTreeSet<_>>().into_iter().collect()
}
