//! Which of the client networks that a login was used from are its owner's, and which are somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Case;
use super::case::{is_spray, together};
use crate::aggregate::distinct::Distinct;
use crate::aggregate::{NetworkUse, Tries, share};
use crate::mail::address::{is_own_network, split};
use crate::places::Place;

/// A network that is not the owner's.
pub(super) struct Foreign<'a> {
    pub network: IpAddr,
    pub used: &'a NetworkUse,
    pub place: Place,
}

/// The networks of one login.
pub(super) struct Networks<'a> {
    pub own: BTreeMap<IpAddr, &'a NetworkUse>,
    /// By address.
    pub foreign: Vec<Foreign<'a>>,
    /// Foreign ones beyond those that are kept one by one, with how many there are.
    pub others: Option<(&'a NetworkUse, u64)>,
    /// Networks that are the owner's for want of anything against them.
    stops: BTreeSet<IpAddr>,
    /// Something is known of how its owner uses it: a place that is his, or somebody whom he wrote to again.
    pub has_way: bool,
    /// No one person can have been in so many places as these are.
    pub is_crowd: bool,
}

impl<'a> Networks<'a> {
    /// Those of a login of which none is known to be its own.
    pub(super) fn all_foreign(case: &Case<'a>) -> Self {
        let all = || case.profile.networks.iter().filter(|(_, used)| used.total.recipients > 0);
        let is_crowd = is_crowd(&all().map(|(network, used)| (*network, used)).collect::<Vec<_>>());
        let foreign =
            |(network, used): (&IpAddr, &'a NetworkUse)| Foreign { network: *network, used, place: place(case, used) };
        let others = case.profile.other_networks.as_deref().map(|others| (&others.used, others.count()));
        let (own, stops) = (BTreeMap::new(), BTreeSet::new());
        Self { own, foreign: all().map(foreign).collect(), others, stops, has_way: false, is_crowd }
    }

    /// The uses of the foreign ones.
    pub(super) fn foreign_uses(&self) -> Vec<&'a NetworkUse> {
        self.foreign.iter().map(|one| one.used).chain(self.others.map(|(used, _)| used)).collect()
    }

    /// True for a network out of which vain tries at the login are its owner's: programs go on with an old password where he works,
    /// before and after he gives them the new one, and do not try other logins.
    pub(super) fn are_owners_tries(&self, case: &Case<'_>, network: IpAddr, tries: &Tries) -> bool {
        let is_place = |network: &IpAddr| self.own.contains_key(network) && !self.stops.contains(network);
        if is_place(&network) && self.own.get(&network).is_some_and(|used| used.first < tries.first) {
            return true;
        }
        if self.foreign.iter().any(|one| one.network == network) {
            return false;
        }
        // He writes to people of his own there.
        let is_his = |of: IpAddr| {
            let Some(used) = self.own.get(&of).filter(|_| is_place(&of)) else { return false };
            let elsewhere = || recipients_of(self.own.iter().filter(|(other, _)| **other != of).map(|(_, used)| *used));
            has_friends(used)
                || is_office(case, of)
                || (case.profile.networks.len() == 1 && sittings(used) >= 3)
                || share(used.recipients.in_common(&elsewhere()), used.recipients.count()) >= 0.3
        };
        if is_his(network) {
            return true;
        }
        // A carrier gives a phone ever other networks.
        let near = || self.own.iter().filter(|(other, _)| wide(**other) == wide(network) && is_place(other));
        let hours: BTreeSet<i64> = near().flat_map(|(_, used)| used.hours.keys().copied()).collect();
        !self.own.contains_key(&network)
            && !case.tries_others(network)
            && times(hours.iter()) >= 2
            && near().any(|(other, _)| is_his(*other))
    }
}

/// Fewer people tell nothing.
pub(super) const STRANGERS: u64 = 12;

/// What a phone or a short stop on a journey sends from one network.
const FEW_RECIPIENTS: u32 = 3;

/// The login's own networks, and those that are foreign to it.
pub(super) fn networks<'a>(case: &Case<'a>) -> Networks<'a> {
    let all = || case.profile.networks.iter().filter(|(_, used)| used.total.recipients > 0);
    let is_known = |network: IpAddr, used: &NetworkUse| {
        is_office(case, network)
            || case.past().is_some_and(|past| past.is_own(network, is_spray(used)))
            || case.is_of_this_site(network)
    };
    let profile = case.profile;
    let distinct = profile.distinct_recipients.count();
    let has_way = distinct < STRANGERS
        || profile.recipients * 5 >= distinct * 6
        || all().any(|(network, used)| is_known(*network, used) || has_friends(used));
    let anchors: BTreeSet<IpAddr> = all()
        .filter(|(network, used)| is_anchor(case, used) || is_known(**network, used) || is_own_network(**network))
        .map(|(network, _)| *network)
        .collect();
    let anchored = recipients_of(all().filter(|(network, _)| anchors.contains(*network)).map(|(_, used)| used));
    let loose: Vec<(IpAddr, &NetworkUse)> =
        all().filter(|(network, _)| !anchors.contains(*network)).map(|(network, used)| (*network, used)).collect();
    let is_crowd = is_crowd(&loose);
    let are_strange = is_crowd || are_all_over_among_strangers(&loose, &anchored);
    let is_own = |used: &NetworkUse| {
        let common = used.recipients.in_common(&anchored);
        let known = share(common, used.recipients.count());
        let is_steady = !is_spray(used) && (is_again(used) || sittings(used) >= 2);
        // Who has a mailing to send where he works writes to his own people there, too.
        let is_his = known >= 0.02 && (common >= 3 || (common >= 2 && sittings(used) >= 3));
        !is_crowd && (known >= 0.3 || (!are_strange && (is_steady || is_his)))
    };
    let mut own: BTreeMap<IpAddr, &NetworkUse> =
        all().filter(|(network, _)| anchors.contains(*network)).map(|(network, used)| (*network, used)).collect();
    let mut foreign = Vec::new();
    for (network, used) in loose {
        if is_own(used) {
            own.insert(network, used);
        } else {
            foreign.push(Foreign { network, used, place: place(case, used) });
        }
    }
    let mut stops = BTreeSet::new();
    if !are_strange {
        leave_out_stops(&mut own, &mut foreign, &mut stops);
    }
    // A few that stand apart from the rest in time say nothing.
    foreign.sort_by_key(|one| (one.used.first, one.network));
    let times: Vec<_> = foreign.iter().map(|one| (one.used.first, u64::from(one.used.total.recipients))).collect();
    let run = together(&times);
    for (_, one) in foreign.iter().enumerate().filter(|(at, _)| !run.contains(at)) {
        own.insert(one.network, one.used);
        stops.insert(one.network);
    }
    foreign.truncate(run.end);
    foreign.drain(..run.start.min(foreign.len()));
    foreign.sort_by_key(|one| one.network);
    // Of so many networks those that are not looked at are as the others.
    let others = case.profile.other_networks.as_deref().filter(|_| are_strange);
    Networks { own, foreign, others: others.map(|others| (&others.used, others.count())), stops, has_way, is_crowd }
}

/// Leaves out of what is foreign what the owner's phone sent, and short stops on a journey.
fn leave_out_stops<'a>(
    own: &mut BTreeMap<IpAddr, &'a NetworkUse>,
    foreign: &mut Vec<Foreign<'a>>,
    stops: &mut BTreeSet<IpAddr>,
) {
    // A carrier gives its phones addresses of many networks.
    let of_phones =
        own.iter().filter(|(_, used)| is_again(used) || sittings(used) >= 2 || used.total.recipients <= FEW_RECIPIENTS);
    let carriers: BTreeSet<IpAddr> = of_phones.map(|(network, _)| wide(*network)).collect();
    let is_phone =
        |one: &Foreign<'_>| one.used.total.recipients <= FEW_RECIPIENTS && carriers.contains(&wide(one.network));
    own.extend(foreign.iter().filter(|one| is_phone(one)).map(|one| (one.network, one.used)));
    foreign.retain(|one| !is_phone(one));
    // A trip or a phone that wrote a mail or two says nothing where a real stranger is there beside it.
    let most = foreign.iter().map(|one| one.used.total.recipients).max().unwrap_or(0);
    let is_few = |one: &Foreign<'_>| one.used.total.recipients <= FEW_RECIPIENTS.max(most / 50);
    if most >= 10 && foreign.iter().filter(|one| !is_few(one)).count() < 4 {
        own.extend(foreign.iter().filter(|one| is_few(one)).map(|one| (one.network, one.used)));
        stops.extend(foreign.iter().filter(|one| is_few(one)).map(|one| one.network));
        foreign.retain(|one| !is_few(one));
    }
}

/// True for a network that is the owner's by itself: the first one of the log; or one that was come back to, from which people are
/// written to again.
fn is_anchor(case: &Case<'_>, used: &NetworkUse) -> bool {
    let is_first = used.first == case.profile.first_seen;
    if is_spray(used) {
        // Of a login that only ever wrote so.
        return is_first && case.profile.networks.values().all(|other| other.total.messages == 0 || is_spray(other));
    }
    is_first || (is_again(used) && sittings(used) >= 2)
}

/// True where every sixth mail or more went to somebody who was written to before.
fn is_again(used: &NetworkUse) -> bool {
    u64::from(used.total.recipients) * 5 >= used.recipients.count() * 6 && used.recipients.count() >= 2
}

/// True where somebody was written to again, later where it was nobody else.
fn has_friends(used: &NetworkUse) -> bool {
    !is_spray(used)
        && (is_again(used) || (used.total.recipients > 1 && used.recipients.count() == 1 && sittings(used) >= 2))
}

/// Hours without mail after which somebody has been away.
const AWAY_H: i64 = 6;

/// How often somebody sat down to write there: a night is one time, on whichever day it ends.
pub(super) fn sittings(used: &NetworkUse) -> usize {
    times(used.hours.keys())
}

fn times<'b>(hours: impl Iterator<Item = &'b i64> + Clone) -> usize {
    let later = hours.clone().skip(1);
    hours.clone().zip(later).filter(|(before, after)| **after - **before > AWAY_H).count() + hours.take(1).count()
}

/// Providers' networks, /16 or /32, that no one person's places and phones come to.
const CROWD: usize = 8;
/// In an hour one person is in no more of them than one less.
pub(super) const AT_ONCE: usize = 3;
/// On a journey one sees no more of them than one less, or meets somebody again.
const ALL_OVER: usize = 5;

/// True for networks of many providers, for half of the mail or more in several at once.
fn is_crowd(loose: &[(IpAddr, &NetworkUse)]) -> bool {
    let mut hours: BTreeMap<i64, (BTreeSet<IpAddr>, u64)> = BTreeMap::new();
    for (network, used) in loose {
        for (hour, of_hour) in &used.hours {
            let (networks, recipients) = hours.entry(*hour).or_default();
            networks.insert(wide(*network));
            *recipients += u64::from(of_hour.recipients);
        }
    }
    let all: u64 = hours.values().map(|(_, recipients)| recipients).sum();
    let several: u64 =
        hours.values().filter(|(networks, _)| networks.len() >= AT_ONCE).map(|(_, recipients)| recipients).sum();
    places(loose.iter().map(|(network, _)| *network)) >= CROWD && 2 * several >= all
}

/// True for networks of several providers that together wrote to strangers, hardly anybody twice, each too little to be judged alone.
fn are_all_over_among_strangers(loose: &[(IpAddr, &NetworkUse)], anchored: &Distinct) -> bool {
    let recipients = recipients_of(loose.iter().map(|(_, used)| *used));
    let asked: u64 = loose.iter().map(|(_, used)| u64::from(used.total.recipients)).sum();
    places(loose.iter().map(|(network, _)| *network)) >= ALL_OVER
        && recipients.count() >= STRANGERS
        && asked * 5 < recipients.count() * 6
        && share(recipients.in_common(anchored), recipients.count()) < 0.1
}

/// How many providers' networks.
pub(super) fn places(networks: impl Iterator<Item = IpAddr>) -> usize {
    networks.map(wide).collect::<BTreeSet<_>>().len()
}

/// The recipients of several networks together.
pub(super) fn recipients_of<'a>(networks: impl Iterator<Item = &'a NetworkUse>) -> Distinct {
    networks.fold(Distinct::default(), |mut all, used| {
        all.merge(used.recipients.clone());
        all
    })
}

/// True for a network from which other logins of the same domain send ordinary mail: an office, a school.
pub(super) fn is_office(case: &Case<'_>, network: IpAddr) -> bool {
    !split(&case.profile.name).1.is_empty() && case.colleagues_in(network) >= 2
}

/// Where a network is: its address with the lowest number tells.
pub(super) fn place(case: &Case<'_>, used: &NetworkUse) -> Place {
    used.ips.keys().next().map(|ip| case.place(*ip)).unwrap_or_default()
}

/// The /16 or /32 that a network is in: what one provider gives out at a place.
pub(super) fn wide(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            IpAddr::from([a, b, 0, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            IpAddr::from([a, b, 0, 0, 0, 0, 0, 0])
        }
    }
}
