//! One identity with what is known around it: its networks beside those of others, who lives here, who answers whom.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::campaign::{Campaign, campaigns};
use super::{History, Past};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::window::busiest;
use crate::aggregate::{Around, HourUse, NetworkUse, QueueIds, SenderProfile, SenderUse, Tries, share};
use crate::correlate::{HostId, Octets};
use crate::mail::address::{ip, network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::time::Timestamp;
use crate::places::{Place, Places};

/// One identity that a detector looks at.
pub struct Case<'a> {
    pub profile: &'a SenderProfile,
    pub(super) surroundings: &'a Surroundings<'a>,
}

/// Who tried one login in vain, from wherever.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    pub failures: u64,
    pub ips: BTreeSet<IpAddr>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// Vain tries at each login from each network, with the moment of the first.
type TriedFrom<'a> = BTreeMap<(&'a [u8], IpAddr), (u64, Timestamp)>;

/// Notes what some addresses, together, tried at one login.
fn note<'a>(
    guesses: &mut BTreeMap<&'a [u8], Guesses>,
    tried_from: &mut TriedFrom<'a>,
    login: &'a [u8],
    tries: &Tries,
    ips: impl Iterator<Item = IpAddr>,
) {
    let known = guesses.entry(login).or_default();
    known.failures += tries.failures;
    known.first = Some(known.first.map_or(tries.first, |first| first.min(tries.first)));
    known.last = known.last.max(Some(tries.last));
    for ip in ips {
        known.ips.insert(ip);
        let from = tried_from.entry((login, network(ip))).or_insert((0, tries.first));
        *from = (from.0 + tries.failures, from.1.min(tries.first));
    }
}

/// Vain tries of one client at one login, of a domain whose people never sent from the client's network.
pub(super) struct Guess<'a> {
    pub client: IpAddr,
    pub login: &'a [u8],
    pub failures: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// What all identities together tell about each.
pub(super) struct Surroundings<'a> {
    pub around: &'a Around,
    pub history: &'a History,
    /// Logins that sent mail from each client network, with their recipients there.
    logins_of: LoginsOf<'a>,
    /// Of each network and login domain: how many logins of it send ordinary mail from there.
    offices: BTreeMap<(IpAddr, &'a [u8]), u64>,
    /// Logins with much refused mail from a network, a few of each.
    suspects: BTreeMap<IpAddr, Vec<&'a SenderProfile>>,
    /// By login, over all clients.
    guesses: BTreeMap<&'a [u8], Guesses>,
    tried_from: TriedFrom<'a>,
    /// By domain of the logins, with the client that tried most.
    guessed_domains: BTreeMap<&'a [u8], (Vec<Guess<'a>>, &'a SenderProfile)>,
    /// What all clients of a network tried: recipients refused as unknown, recipients taken, and the client with the most.
    guessing: BTreeMap<IpAddr, Guessing<'a>>,
    campaigns: Vec<Campaign<'a>>,
    /// Numbers of the campaigns of each login, by [`key`].
    campaigns_of: BTreeMap<(&'a [u8], Option<HostId>), Vec<usize>>,
    pub profiles: &'a [SenderProfile],
    pub places: &'a Places,
    own_networks: &'a [IpNetwork],
}

/// Guesses at recipients out of one network.
pub(super) struct Guessing<'a> {
    pub unknown: FirstTimes,
    pub taken: u64,
    pub clients: u64,
    pub most: &'a SenderProfile,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        profiles: &'a [SenderProfile],
        around: &'a Around,
        history: &'a History,
        places: &'a Places,
        own_networks: &'a [IpNetwork],
    ) -> Self {
        let mut logins_of: LoginsOf<'_> = BTreeMap::new();
        let mut offices: BTreeMap<(IpAddr, &[u8]), u64> = BTreeMap::new();
        let mut suspects: BTreeMap<IpAddr, Vec<&SenderProfile>> = BTreeMap::new();
        let mut guesses: BTreeMap<&[u8], Guesses> = BTreeMap::new();
        let mut guessing: BTreeMap<IpAddr, Guessing<'_>> = BTreeMap::new();
        let mut tried_from = TriedFrom::new();
        for profile in profiles {
            if profile.kind == IdentityKind::Sasl {
                for (network, used) in &profile.networks {
                    logins_of.entry(*network).or_default().push((profile, used));
                    if is_ordinary(used) {
                        *offices.entry((*network, split(&profile.name).1)).or_default() += 1;
                    }
                    if used.total.recipients >= 10 && bad_share(used.total) >= 0.1 {
                        let known = suspects.entry(*network).or_default();
                        if known.len() < SUSPECTS {
                            known.push(profile);
                        }
                    }
                }
            }
            let Some(visits) = &profile.visits else { continue };
            if let (Some(ip), true) = (ip(&profile.name), visits.unknown.count() > 0) {
                let known = guessing.entry(network(ip)).or_insert_with(|| Guessing {
                    unknown: FirstTimes::default(),
                    taken: 0,
                    clients: 0,
                    most: profile,
                });
                known.unknown.merge(visits.unknown.clone());
                known.taken += visits.taken;
                known.clients += 1;
                let count = |one: &SenderProfile| one.visits.as_ref().map_or(0, |v| v.unknown.count());
                if count(profile) > count(known.most) {
                    known.most = profile;
                }
            }
            for (login, tries) in &visits.logins {
                note(&mut guesses, &mut tried_from, login, tries, profile.client_ips.iter().copied());
            }
        }
        for (client, login, tries) in &around.few_tries {
            note(&mut guesses, &mut tried_from, login, tries, std::iter::once(*client));
        }
        let guessed_domains = guessed_domains(profiles, around, &logins_of);
        let campaigns = campaigns(profiles);
        let mut campaigns_of: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, campaign) in campaigns.iter().enumerate() {
            for run in &campaign.runs {
                campaigns_of.entry(key(run.profile)).or_default().push(at);
            }
        }
        Self {
            around,
            history,
            logins_of,
            offices,
            suspects,
            guesses,
            tried_from,
            guessed_domains,
            guessing,
            campaigns,
            campaigns_of,
            profiles,
            places,
            own_networks,
        }
    }
}

/// Logins that sent mail from each network.
type LoginsOf<'a> = BTreeMap<IpAddr, Vec<(&'a SenderProfile, &'a NetworkUse)>>;

/// Vain tries at logins by strangers, by domain.
fn guessed_domains<'a>(
    profiles: &'a [SenderProfile],
    around: &'a Around,
    logins_of: &LoginsOf<'a>,
) -> BTreeMap<&'a [u8], (Vec<Guess<'a>>, &'a SenderProfile)> {
    let mut found: BTreeMap<&[u8], (Vec<Guess<'_>>, &SenderProfile)> = BTreeMap::new();
    let mut most: BTreeMap<&[u8], u64> = BTreeMap::new();
    let domains_in = |client: IpAddr| -> BTreeSet<&[u8]> {
        let users = logins_of.get(&network(client)).map(Vec::as_slice).unwrap_or_default();
        users.iter().take(CARRIER).map(|(user, _)| split(&user.name).1).collect()
    };
    for profile in profiles {
        let (Some(visits), Some(client)) = (&profile.visits, ip(&profile.name)) else { continue };
        let domains = domains_in(client);
        let mut here: BTreeMap<&[u8], u64> = BTreeMap::new();
        for (login, tries) in &visits.logins {
            let domain = split(login).1;
            if domain.is_empty() || domains.contains(domain) {
                continue;
            }
            *here.entry(domain).or_default() += tries.failures;
            let Tries { failures, first, last } = *tries;
            let (guesses, _) = found.entry(domain).or_insert_with(|| (Vec::new(), profile));
            guesses.push(Guess { client, login, failures, first, last });
        }
        for (domain, failures) in here {
            let known = most.entry(domain).or_default();
            if failures > *known {
                *known = failures;
                found.entry(domain).and_modify(|(_, who)| *who = profile);
            }
        }
    }
    for (client, login, tries) in &around.few_tries {
        let domain = split(login).1;
        if let Some((guesses, _)) = found.get_mut(domain)
            && !domains_in(*client).contains(domain)
        {
            let Tries { failures, first, last } = *tries;
            guesses.push(Guess { client: *client, login, failures, first, last });
        }
    }
    found
}

/// Users of a network that are looked at.
const CARRIER: usize = 1_000;

/// What tells one login's profile from the others: its name, and its first host, as two hosts' users are not one.
fn key(profile: &SenderProfile) -> (&[u8], Option<HostId>) {
    (&profile.name, profile.hosts.first().copied())
}

/// Suspects of one network that are kept.
const SUSPECTS: usize = 20;

/// True for a network from which a login sends ordinary mail: in several hours, with little refused.
fn is_ordinary(used: &NetworkUse) -> bool {
    bad_share(used.total) < 0.15 && used.hours.len() >= 2
}

impl<'a> Case<'a> {
    /// The campaigns that this login's mail is a part of.
    pub(super) fn campaigns(&self) -> Vec<&'a Campaign<'a>> {
        let of = self.surroundings.campaigns_of.get(&key(self.profile)).map(Vec::as_slice).unwrap_or_default();
        of.iter().filter_map(|at| self.surroundings.campaigns.get(*at)).collect()
    }

    /// The host, where the identity stands for one.
    pub(super) fn host(&self) -> Option<HostId> {
        self.profile.hosts.first().copied().filter(|_| self.profile.is_host)
    }

    /// What this identity did before the days that are looked at.
    pub(super) fn past(&self) -> Option<&'a Past> {
        self.surroundings.history.of(self.profile.kind, &self.profile.name)
    }

    pub(super) fn around(&self) -> &'a Around {
        self.surroundings.around
    }

    /// True for an address of this site's networks, as the config file has them.
    pub(super) fn is_of_this_site(&self, ip: IpAddr) -> bool {
        self.surroundings.own_networks.iter().any(|own| own.contains(ip))
    }

    pub(super) fn place(&self, ip: IpAddr) -> Place {
        self.surroundings.places.of(ip)
    }

    /// How many addresses there are in each place, the most first; `None` without a database.
    pub(super) fn places<'b>(&self, ips: impl Iterator<Item = &'b IpAddr>) -> Option<Vec<(Place, u64)>> {
        if self.surroundings.places.is_empty() {
            return None;
        }
        let mut counts: BTreeMap<Place, u64> = BTreeMap::new();
        for ip in ips.take(PLACED) {
            *counts.entry(self.place(*ip)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().filter(|(place, _)| place.is_known()).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Some(counts)
    }

    /// Where the identity's clients are, for the evidence; `None` without a database or a client that it knows.
    pub(super) fn client_places(&self) -> Option<Value> {
        places_json(&self.places(self.profile.client_ips.iter())?)
    }

    /// Everybody's vain tries at this login.
    pub(super) fn guesses(&self) -> Option<&'a Guesses> {
        (self.profile.kind == IdentityKind::Sasl).then(|| self.surroundings.guesses.get(&*self.profile.name))?
    }

    /// How many other logins of this one's domain send ordinary mail from a network.
    pub(super) fn colleagues_in(&self, network: IpAddr) -> u64 {
        let domain = split(&self.profile.name).1;
        let all = self.surroundings.offices.get(&(network, domain)).copied().unwrap_or(0);
        all - u64::from(all > 0 && self.profile.networks.get(&network).is_some_and(is_ordinary))
    }

    /// A few logins of other domains with much refused mail from a network.
    pub(super) fn suspects_in(&self, network: IpAddr) -> impl Iterator<Item = &'a SenderProfile> {
        let domain = split(&self.profile.name).1;
        let all = self.surroundings.suspects.get(&network).map(Vec::as_slice).unwrap_or_default();
        all.iter().copied().filter(move |other| split(&other.name).1 != domain)
    }

    /// Other logins that use a network, with how.
    pub(super) fn others_in(&self, network: IpAddr) -> impl Iterator<Item = (&'a SenderProfile, &'a NetworkUse)> {
        let name = &self.profile.name;
        let all = self.surroundings.logins_of.get(&network).map(Vec::as_slice).unwrap_or_default();
        all.iter().copied().filter(move |(other, _)| other.name != *name)
    }

    /// What the network of this client guessed, if this client guessed the most of it.
    pub(super) fn guessing(&self) -> Option<&'a Guessing<'a>> {
        let found = self.surroundings.guessing.get(&network(ip(&self.profile.name)?))?;
        std::ptr::eq(found.most, self.profile).then_some(found)
    }

    /// The domain at whose logins this client, of all that tried, failed most, with what all of them tried; of several the one
    /// with most.
    pub(super) fn guessed_domain(&self) -> Option<(&'a [u8], &'a [Guess<'a>])> {
        let logins = &self.profile.visits.as_ref()?.logins;
        let domains: BTreeSet<&[u8]> = logins.keys().map(|login| split(login).1).collect();
        let of = |domain| self.surroundings.guessed_domains.get_key_value(domain);
        let led = domains.into_iter().filter_map(of).filter(|(_, (_, most))| std::ptr::eq(*most, self.profile));
        led.map(|(domain, (guesses, _))| (*domain, guesses.as_slice())).max_by_key(|(_, guesses)| guesses.len())
    }

    /// Vain tries at this login from a network, with the moment of the first.
    pub(super) fn tried_from(&self, network: IpAddr) -> Option<(u64, Timestamp)> {
        self.surroundings.tried_from.get(&(&*self.profile.name, network)).copied()
    }

    /// Of the recipients first mailed between two moments: which share was mailed once, and which ever wrote to one of the
    /// login's busiest senders from outside; each 0 to 1.
    pub(super) fn once_and_replied(&self, first: Timestamp, last: Timestamp) -> (f64, f64) {
        /// Senders that are looked at: an absence's replies come from many.
        const SENDERS: usize = 64;
        let mut senders = self.profile.senders();
        senders.sort_by_key(|sender| std::cmp::Reverse(sender.messages));
        senders.truncate(SENDERS);
        let senders: Vec<u64> = senders.iter().map(|sender| Around::replier(&sender.address)).collect();
        let (mut all, mut once, mut replied) = (0, 0, 0);
        for (recipient, times) in self.profile.distinct_recipients.between(first, last) {
            all += 1;
            once += u64::from(times == 1);
            replied += u64::from(self.around().has_replied(recipient, &senders));
        }
        (share(once, all), share(replied, all))
    }
}

/// Addresses of one identity that are looked up.
const PLACED: usize = 4_096;
/// Places that are told.
const PLACES: usize = 10;

/// Places with their addresses, for the evidence; `None` where there are none.
pub(super) fn places_json(places: &[(Place, u64)]) -> Option<Value> {
    let one = |(place, addresses): &(Place, u64)| with(place.to_json(), "addresses", Some((*addresses).into()));
    (!places.is_empty()).then(|| places.iter().take(PLACES).map(one).collect())
}

/// Evidence with what only a database of places tells, where it does.
pub(super) fn with(mut evidence: Value, key: &str, told: Option<Value>) -> Value {
    if let (Value::Object(evidence), Some(told)) = (&mut evidence, told) {
        evidence.insert(key.to_string(), told);
    }
    evidence
}

/// The countries of some places, each once, in the order of their codes.
pub(super) fn countries<'a>(places: impl Iterator<Item = &'a Place>) -> BTreeSet<&'a str> {
    places.filter_map(|place| place.country.as_deref()).collect()
}

/// Recipients answered as not existing or with distrust, among all recipients of a profile, 0 to 1.
pub(super) fn bad_share(total: HourUse) -> f64 {
    share(bad_recipients(total), u64::from(total.recipients))
}

/// True where `part` of `whole` is more than a share, chance (one standard deviation) allowed for.
pub(super) fn is_clearly_over(part: u64, whole: u64, limit: f64) -> bool {
    let whole = whole as f64;
    let by_chance = (whole * limit * (1.0 - limit)).max(0.0).sqrt();
    whole > 0.0 && part as f64 >= whole * limit + by_chance
}

/// Recipients answered as not existing or with distrust.
pub(super) fn bad_recipients(total: HourUse) -> u64 {
    u64::from(total.invalid) + u64::from(total.distrusted)
}

/// All hours of an identity, whatever network.
pub(super) fn hours(profile: &SenderProfile) -> BTreeMap<i64, HourUse> {
    let mut hours: BTreeMap<i64, HourUse> = BTreeMap::new();
    for (hour, used) in profile.networks.values().flat_map(|network| &network.hours) {
        hours.entry(*hour).or_default().add(*used);
    }
    hours
}

/// The sum over the hours that a span touches.
pub(super) fn total_between(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> HourUse {
    let range = first.hour()..=last.hour().max(first.hour());
    profile.networks.values().flat_map(|network| network.hours.range(range.clone())).map(|(_, used)| *used).sum()
}

/// What stands apart at an end of a run belongs to it from this share of the run on.
const APART: f64 = 0.05;
/// It stands apart behind a gap of so many times the middle one, and of so many seconds.
const APART_GAPS: i64 = 12;
const APART_S: i64 = 600;

/// The run of moments around the busiest window of `width_s`: as far as no gap is longer than `gap_s`, but for a few that
/// stand apart at its ends: those are ordinary mail of before and after. `times` are in order. Gives first, last and how many.
pub(super) fn run_around(times: &[Timestamp], width_s: i64, gap_s: i64) -> Option<(Timestamp, Timestamp, u64)> {
    let (first, last, _) = busiest(times, width_s)?;
    let (mut start, mut end) = (times.partition_point(|at| *at < first), times.partition_point(|at| *at <= last));
    let is_near =
        |a: Option<&Timestamp>, b: Option<&Timestamp>| a.zip(b).is_some_and(|(a, b)| b.seconds_since(*a) <= gap_s);
    while start > 0 && is_near(times.get(start - 1), times.get(start)) {
        start -= 1;
    }
    while is_near(times.get(end - 1), times.get(end)) {
        end += 1;
    }
    let run: Vec<_> = times.get(start..end)?.iter().map(|at| (*at, 1)).collect();
    let run = run.get(together(&run))?;
    Some((run.first()?.0, run.last()?.0, run.len() as u64))
}

/// Of moments in order, each with how much came then, those that belong together: without a few that stand apart at the ends.
pub(super) fn together(run: &[(Timestamp, u64)]) -> std::ops::Range<usize> {
    let gap = |pair: &[(Timestamp, u64)]| match pair {
        [a, b] => b.0.seconds_since(a.0),
        _ => 0,
    };
    let gaps: Vec<i64> = run.windows(2).map(gap).collect();
    let mut ordered = gaps.clone();
    ordered.sort_unstable();
    let middle = ordered.get(ordered.len() / 2).copied().unwrap_or(0);
    let apart = |gap: i64| gap > APART_S.max(APART_GAPS * middle);
    let few = ((run.iter().map(|(_, count)| count).sum::<u64>() as f64 * APART) as u64).max(2);
    let ends = |counts: &mut dyn Iterator<Item = u64>, gaps: &mut dyn Iterator<Item = i64>| {
        let (mut passed, mut kept_from) = (0, 0);
        for (at, (count, gap)) in counts.zip(gaps).enumerate() {
            passed += count;
            if passed > few {
                break;
            }
            if apart(gap) {
                kept_from = at + 1;
            }
        }
        kept_from
    };
    let ahead = ends(&mut run.iter().map(|(_, count)| *count), &mut gaps.iter().copied());
    let behind = ends(&mut run.iter().rev().map(|(_, count)| *count), &mut gaps.iter().rev().copied());
    if ahead + behind < run.len() { ahead..run.len() - behind } else { 0..run.len() }
}

/// Envelope senders of one identity taken together.
pub(super) struct Senders<'a> {
    pub uses: Vec<&'a SenderUse>,
    pub messages: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl<'a> Senders<'a> {
    /// `None` of no senders.
    pub(super) fn of(uses: Vec<&'a SenderUse>) -> Option<Self> {
        let messages = uses.iter().map(|sender| sender.messages).sum();
        let first = uses.iter().map(|sender| sender.first).min()?;
        let last = uses.iter().map(|sender| sender.last).max()?;
        Some(Self { uses, messages, first, last })
    }

    pub(super) fn queue_ids(&self) -> QueueIds {
        let mut queue_ids = QueueIds::default();
        for sender in &self.uses {
            queue_ids.merge(sender.queue_ids.clone());
        }
        queue_ids
    }

    /// A few of the addresses, for the evidence.
    pub(super) fn samples(&self) -> Vec<Cow<'a, str>> {
        self.uses.iter().take(10).map(|sender| printable(&sender.address)).collect()
    }
}

/// The first of some samples, for a sentence.
pub(super) fn few(samples: &[Cow<'_, str>]) -> String {
    samples.iter().take(3).map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The domain of an address, in lower case.
pub(super) fn domain_of(address: &[u8]) -> Octets {
    split(address).1.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_clearly_reached_beyond_chance() {
        assert!(!is_clearly_over(24, 200, 0.1) && is_clearly_over(25, 200, 0.1));
        assert!(!is_clearly_over(0, 0, 0.1) && is_clearly_over(220, 2_000, 0.1));
    }

    #[test]
    fn a_run_goes_as_far_as_no_gap_is_long() {
        let times: Vec<_> = [0, 5_000, 5_010, 5_020, 5_100, 9_000].map(Timestamp::from_seconds).to_vec();
        assert_eq!(run_around(&times, 60, 100), Some((times[1], times[4], 4)));
        assert_eq!(run_around(&times, 60, 4_000), Some((times[1], times[4], 4)), "the last stands apart");
        assert_eq!(run_around(&[], 60, 100), None);
        // One mail of the day before and one of the day after are no part of a campaign that fits into a day with them.
        let mut times: Vec<_> = (20_000..20_100).map(Timestamp::from_seconds).collect();
        times.insert(0, Timestamp::from_seconds(0));
        times.push(Timestamp::from_seconds(50_000));
        assert_eq!(run_around(&times, 86_400, 90_000), Some((times[1], times[100], 100)));
        // Many of them are.
        let mut times: Vec<_> = (0..30).chain(20_000..20_100).map(Timestamp::from_seconds).collect();
        assert_eq!(run_around(&times, 86_400, 90_000), Some((times[0], times[129], 130)));
        // A slow run has its gaps.
        times = (0..20).map(|n| Timestamp::from_seconds(n * n * 600)).collect();
        assert_eq!(run_around(&times, 86_400, 86_400), Some((times[0], times[19], 20)));
    }
}
