//! One identity with what is known around it: its networks beside those of others, who lives here, who answers whom.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::campaign::{Campaign, campaigns};
use super::own::wide;
use super::peers::Peers;
use super::{History, Past};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::{
    Around, HourUse, NetworkUse, QueueIds, SenderProfile, SenderUse, Tries, Trouble, TroubleKind, share,
};
use crate::correlate::{HostId, Octets};
use crate::mail::address::{ip, network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};
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
}

/// A login as servers look it up: of one host, unless hosts are one, in lower case.
type Login<'a> = (Option<HostId>, Cow<'a, [u8]>);

fn folded(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().any(u8::is_ascii_uppercase) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// The host that a profile's names are of; `None` where hosts are one.
fn host_of(around: &Around, profile: &SenderProfile) -> Option<HostId> {
    profile.hosts.first().copied().filter(|_| !around.merges_hosts)
}

/// Vain tries at logins.
#[derive(Default)]
struct Tried<'a> {
    guesses: BTreeMap<Login<'a>, Guesses>,
    /// From each network.
    from: BTreeMap<(Login<'a>, IpAddr), Tries>,
}

impl<'a> Tried<'a> {
    fn of(profiles: &'a [SenderProfile], around: &'a Around) -> Self {
        let mut all = Self::default();
        let mut overflowing = Vec::new();
        for profile in profiles {
            let Some(visits) = profile.visits.as_deref() else { continue };
            let host = host_of(around, profile);
            for (login, tries) in &visits.logins {
                all.note((host, folded(login)), *tries, profile.client_ips.iter().copied());
            }
            let named = visits.logins.keys().filter(|login| !login.is_empty()).count() as u64;
            if visits.distinct_logins.count() > named {
                overflowing.push((host, profile, visits));
            }
        }
        // Who tried more logins than are kept by name may have tried this one.
        if !overflowing.is_empty() {
            for login in profiles.iter().filter(|profile| profile.kind == IdentityKind::Sasl) {
                let (host, name) = (host_of(around, login), folded(&login.name));
                for (_, client, visits) in overflowing.iter().filter(|(of, ..)| *of == host) {
                    let tried = visits.distinct_logins.get(&name).filter(|_| !visits.logins.contains_key(&*name));
                    if let (Some((failures, first)), Some(tries)) = (tried, visits.tries) {
                        let ips = client.client_ips.iter().copied();
                        all.note((host, name.clone()), Tries { failures, first, last: tries.last }, ips);
                    }
                }
            }
        }
        for few in &around.few_tries {
            all.note((few.host, folded(&few.login)), few.tries, std::iter::once(few.client));
        }
        all
    }

    /// Notes what some addresses, together, tried at one login.
    fn note(&mut self, login: Login<'a>, tries: Tries, ips: impl Iterator<Item = IpAddr>) {
        let known = self.guesses.entry(login.clone()).or_default();
        known.failures += tries.failures;
        for ip in ips {
            known.ips.insert(ip);
            let none = Tries { failures: 0, ..tries };
            self.from.entry((login.clone(), network(ip))).or_insert(none).merge(tries);
        }
    }
}

/// Vain tries of one client at one login, of a domain whose people never sent from the client's network.
pub(super) struct Guess<'a> {
    pub client: IpAddr,
    pub login: &'a [u8],
    pub failures: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Of the client, where it has one.
    profile: Option<&'a SenderProfile>,
}

/// What strangers tried at the logins of one domain.
pub(super) struct GuessedDomain<'a> {
    pub guesses: Vec<Guess<'a>>,
    /// Logins of it that sent mail.
    pub people: usize,
    /// The client that tried first.
    lead: &'a SenderProfile,
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
    /// Logins that wrote to many from a network, to nobody twice, a few of each.
    sprays: LoginsOf<'a>,
    /// The same by /16 or /32, without those in which logins send ordinary mail.
    sprays_near: LoginsOf<'a>,
    pub peers: Peers,
    tried: Tried<'a>,
    /// How many logins each network tried in vain: who tries many does not mean one of them.
    sprayers: Sprayers,
    /// Client addresses that tried one login, sprayers left out: no more than these for three of four logins.
    usual_guessers: usize,
    /// What the clients of each network failed to log in as.
    failing: BTreeMap<IpAddr, Failing<'a>>,
    /// By domain of the logins, with the client that tried first.
    guessed_domains: BTreeMap<&'a [u8], GuessedDomain<'a>>,
    /// What all clients of a network tried: recipients refused as unknown, recipients taken, and the client that was first.
    guessing: BTreeMap<IpAddr, Guessing<'a>>,
    full_mailboxes: BTreeMap<HostId, Vec<FullMailbox<'a>>>,
    campaigns: Vec<Campaign<'a>>,
    /// Numbers of the campaigns of each login, by [`key`].
    campaigns_of: BTreeMap<(&'a [u8], Option<HostId>), Vec<usize>>,
    pub profiles: &'a [SenderProfile],
    pub places: &'a Places,
    own_networks: &'a [IpNetwork],
}

/// A mailbox that is full, with those who write to it, one at least.
pub(super) struct FullMailbox<'a> {
    pub name: &'a [u8],
    pub troubles: Troubles<'a>,
}

/// Who has which trouble.
type Troubles<'a> = Vec<(&'a SenderProfile, &'a Trouble)>;

/// Mailboxes that are full by host, those that several of its users write to.
fn full_mailboxes(profiles: &[SenderProfile]) -> BTreeMap<HostId, Vec<FullMailbox<'_>>> {
    let mut all: BTreeMap<(HostId, &[u8]), Troubles<'_>> = BTreeMap::new();
    for profile in profiles.iter().filter(|profile| profile.is_our_user()) {
        let Some(host) = profile.hosts.first() else { continue };
        for trouble in profile.troubles(TroubleKind::Full) {
            all.entry((*host, &*trouble.name)).or_default().push((profile, trouble));
        }
    }
    let mut by_host: BTreeMap<HostId, Vec<FullMailbox<'_>>> = BTreeMap::new();
    for ((host, name), troubles) in all {
        if troubles.len() > 1 {
            by_host.entry(host).or_default().push(FullMailbox { name, troubles });
        }
    }
    by_host
}

/// Guesses at recipients out of one network.
pub(super) struct Guessing<'a> {
    pub unknown: FirstTimes,
    pub taken: u64,
    pub clients: BTreeSet<IpAddr>,
    /// The most that one of them tried.
    most: u64,
    /// The client that tried first: what it is called by stays when others come.
    lead: &'a SenderProfile,
    first: Timestamp,
}

impl Guessing<'_> {
    /// True where it takes several clients: nearly all of it is not one's.
    pub(super) fn is_of_several(&self) -> bool {
        is_of_several(self.most, self.unknown.count())
    }
}

/// Clients that are named of those that did something together; their network is named whole.
pub(super) const CLIENTS: usize = 256;
/// Where one client of a network did less than this share of something, the network did it.
const ALONE: f64 = 0.8;

fn is_of_several(most: u64, all: u64) -> bool {
    share(most, all) < ALONE
}

/// Vain logins out of one network.
pub(super) struct Failing<'a> {
    pub failures: u64,
    pub logins: BTreeSet<&'a [u8]>,
    pub clients: BTreeSet<IpAddr>,
    /// The most that one of the clients failed.
    most: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The client that failed first.
    lead: &'a SenderProfile,
}

impl<'a> Failing<'a> {
    /// True where it takes several clients: nearly all of it is not one's.
    pub(super) fn is_of_several(&self) -> bool {
        is_of_several(self.most, self.failures)
    }

    /// True where one of the clients alone failed so often.
    pub(super) fn has_one(&self, failures: f64) -> bool {
        self.most as f64 >= failures
    }

    fn tried(&mut self, client: IpAddr, login: &'a [u8], tries: &Tries) {
        self.failures += tries.failures;
        if !login.is_empty() {
            self.logins.insert(login);
        }
        self.clients.insert(client);
        self.first = self.first.min(tries.first);
        self.last = self.last.max(tries.last);
    }

    fn new(lead: &'a SenderProfile, at: Timestamp) -> Self {
        let (logins, clients) = (BTreeSet::new(), BTreeSet::new());
        Self { failures: 0, logins, clients, most: 0, first: at, last: at, lead }
    }
}

/// Vain logins by network. Of a client with more logins than are kept by name the rest counts, too.
fn failing<'a>(profiles: &'a [SenderProfile], around: &'a Around) -> BTreeMap<IpAddr, Failing<'a>> {
    let mut all: BTreeMap<IpAddr, Failing<'_>> = BTreeMap::new();
    for profile in profiles {
        let (Some(visits), Some(client)) = (&profile.visits, ip(&profile.name)) else { continue };
        let Some(tries) = &visits.tries else { continue };
        let known = all.entry(network(client)).or_insert_with(|| Failing::new(profile, tries.first));
        if tries.first < known.first {
            (known.lead, known.first) = (profile, tries.first);
        }
        let named: u64 = visits.logins.values().map(|tries| tries.failures).sum();
        visits.logins.iter().for_each(|(login, tries)| known.tried(client, login, tries));
        known.failures += tries.failures.saturating_sub(named);
        known.clients.insert(client);
        known.last = known.last.max(tries.last);
        known.most = known.most.max(tries.failures);
    }
    for few in &around.few_tries {
        if let Some(known) = all.get_mut(&network(few.client)) {
            known.tried(few.client, &few.login, &few.tries);
        }
    }
    all
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
        let mut sprays: LoginsOf<'_> = BTreeMap::new();
        let mut sprays_near: LoginsOf<'_> = BTreeMap::new();
        let mut ordinary_near: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let mut guessing: BTreeMap<IpAddr, Guessing<'_>> = BTreeMap::new();
        for profile in profiles {
            if profile.kind == IdentityKind::Sasl {
                for (network, used) in &profile.networks {
                    logins_of.entry(*network).or_default().push((profile, used));
                    if is_ordinary(used) {
                        *offices.entry((*network, split(&profile.name).1)).or_default() += 1;
                        *ordinary_near.entry(wide(*network)).or_default() += 1;
                    }
                    if is_spray(used) {
                        let near = sprays_near.entry(wide(*network)).or_default();
                        if near.len() < SUSPECTS_NEAR {
                            near.push((profile, used));
                        }
                        let known = sprays.entry(*network).or_default();
                        if known.len() < SUSPECTS {
                            known.push((profile, used));
                        }
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
            if let (Some(ip), Some(first)) = (ip(&profile.name), visits.unknown.first()) {
                let known = guessing.entry(network(ip)).or_insert_with(|| Guessing {
                    unknown: FirstTimes::default(),
                    taken: 0,
                    clients: BTreeSet::new(),
                    most: 0,
                    lead: profile,
                    first,
                });
                known.most = known.most.max(visits.unknown.count());
                known.unknown.merge(visits.unknown.clone());
                known.taken += visits.taken;
                known.clients.insert(ip);
                if first < known.first {
                    (known.lead, known.first) = (profile, first);
                }
            }
        }
        let tried = Tried::of(profiles, around);
        sprays_near.retain(|of, _| ordinary_near.get(of).is_none_or(|logins| *logins < ORDINARY_NEAR));
        let sprayers = Sprayers::of(&tried);
        let usual_guessers = usual_guessers(profiles, around, &tried, &sprayers);
        let guessed_domains = guessed_domains(profiles, around, &logins_of, &sprayers);
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
            sprays,
            sprays_near,
            peers: Peers::of(profiles),
            tried,
            sprayers,
            usual_guessers,
            failing: failing(profiles, around),
            guessed_domains,
            guessing,
            full_mailboxes: full_mailboxes(profiles),
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

/// A network that tried so many logins does not mean one of them.
const SPRAYED_LOGINS: usize = 10;

/// Logins that each network tried.
struct Sprayers(BTreeMap<IpAddr, usize>);

impl Sprayers {
    fn of(tried: &Tried<'_>) -> Self {
        let mut logins: BTreeMap<IpAddr, usize> = BTreeMap::new();
        tried.from.keys().for_each(|(_, network)| *logins.entry(*network).or_default() += 1);
        Self(logins)
    }

    fn logins(&self, network: IpAddr) -> usize {
        self.0.get(&network).copied().unwrap_or(0)
    }

    fn has(&self, network: IpAddr) -> bool {
        self.logins(network) >= SPRAYED_LOGINS
    }
}

/// How many addresses that are no sprayers' tried the login that three of four were tried by no more than.
fn usual_guessers(profiles: &[SenderProfile], around: &Around, tried: &Tried<'_>, sprayers: &Sprayers) -> usize {
    let logins = profiles.iter().filter(|profile| profile.kind == IdentityKind::Sasl);
    let aimed = |profile: &SenderProfile| {
        tried
            .guesses
            .get(&(host_of(around, profile), folded(&profile.name)))
            .map_or(0, |one| one.ips.iter().filter(|ip| !sprayers.has(network(**ip))).count())
    };
    let mut counts: Vec<usize> = logins.map(aimed).collect();
    counts.sort_unstable();
    counts.get(counts.len() * 3 / 4).copied().unwrap_or(0)
}

/// Tries of one client that are no slip.
const SEVERAL: u64 = 3;
/// From fewer networks somebody's own programs fail at one login.
const OWN_PROGRAMS: usize = 3;

/// Vain tries at logins by strangers, by domain. What networks that try many logins do is told of them.
fn guessed_domains<'a>(
    profiles: &'a [SenderProfile],
    around: &'a Around,
    logins_of: &LoginsOf<'a>,
    sprayers: &Sprayers,
) -> BTreeMap<&'a [u8], GuessedDomain<'a>> {
    let of_profiles = profiles.iter().filter_map(|profile| {
        let (visits, client) = (profile.visits.as_deref()?, ip(&profile.name)?);
        Some(visits.logins.iter().map(move |(login, tries)| (client, login, tries, Some(profile))))
    });
    let of_few = around.few_tries.iter().map(|few| (few.client, &few.login, &few.tries, None));
    let mut domains_in: BTreeMap<IpAddr, BTreeSet<&[u8]>> = BTreeMap::new();
    let mut all: BTreeMap<&[u8], Vec<Guess<'_>>> = BTreeMap::new();
    let mut networks: BTreeMap<&[u8], BTreeSet<IpAddr>> = BTreeMap::new();
    for (client, login, tries, profile) in of_profiles.flatten().chain(of_few) {
        let (of, domain) = (network(client), split(login).1);
        if domain.is_empty() || sprayers.has(of) {
            continue;
        }
        let own = domains_in.entry(of).or_insert_with(|| {
            let users = logins_of.get(&of).map(Vec::as_slice).unwrap_or_default();
            users.iter().take(CARRIER).map(|(user, _)| split(&user.name).1).collect()
        });
        if own.contains(domain) {
            continue;
        }
        let Tries { failures, first, last } = *tries;
        all.entry(domain).or_default().push(Guess { client, login, failures, first, last, profile });
        let known = networks.entry(login).or_default();
        if known.len() < OWN_PROGRAMS {
            known.insert(of);
        }
    }
    let mut people: BTreeMap<Cow<'_, [u8]>, BTreeSet<Cow<'_, [u8]>>> = BTreeMap::new();
    for profile in profiles.iter().filter(|profile| profile.kind == IdentityKind::Sasl) {
        let domain = folded(split(&profile.name).1);
        if all.contains_key(&*domain) {
            people.entry(domain).or_default().insert(folded(&profile.name));
        }
    }
    let found = |(domain, mut guesses): (&'a [u8], Vec<Guess<'a>>)| {
        let people = people.get(domain);
        // Who sends mail and fails from a place or two has forgotten a password.
        guesses.retain(|one| {
            people.is_none_or(|all| !all.contains(one.login))
                || networks.get(one.login).is_some_and(|known| known.len() >= OWN_PROGRAMS)
        });
        // Who tried several times goes before one that others' slips may be among.
        let is_few = |profile: &SenderProfile| profile.visits.as_ref().is_none_or(|visits| visits.failures() < SEVERAL);
        let leads = guesses.iter().filter_map(|one| one.profile.map(|of| (is_few(of), one.first, one.client, of)));
        let lead = leads.min_by_key(|(is_few, first, client, _)| (*is_few, *first, *client))?.3;
        Some((domain, GuessedDomain { guesses, people: people.map_or(0, BTreeSet::len), lead }))
    };
    all.into_iter().filter_map(found).collect()
}

/// Users of a network that are looked at.
const CARRIER: usize = 1_000;

/// What tells one login's profile from the others: its name, and its first host, as two hosts' users are not one.
fn key(profile: &SenderProfile) -> (&[u8], Option<HostId>) {
    (&profile.name, profile.hosts.first().copied())
}

/// Suspects of one network that are kept.
const SUSPECTS: usize = 20;
/// The same of a /16 or /32.
const SUSPECTS_NEAR: usize = 200;
/// So many uses of a /16 or /32 for ordinary mail make it a carrier's.
const ORDINARY_NEAR: usize = 3;

/// True for a network from which a login sends ordinary mail: in several hours, with little refused, to some of them again.
pub(super) fn is_ordinary(used: &NetworkUse) -> bool {
    bad_share(used.total) < 0.15 && used.hours.len() >= 2 && !is_spray(used)
}

/// True where many were written to, hardly anybody twice: a fifth of what people write goes to those they write to again.
pub(super) fn is_spray(used: &NetworkUse) -> bool {
    let distinct = used.recipients.count();
    distinct >= 12 && u64::from(used.total.recipients) * 5 < distinct * 6
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

    /// The full mailboxes that several users of this host write to, where the identity stands for one.
    pub(super) fn full_mailboxes(&self) -> &'a [FullMailbox<'a>] {
        self.host().and_then(|host| self.surroundings.full_mailboxes.get(&host)).map(Vec::as_slice).unwrap_or_default()
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
        (self.profile.kind == IdentityKind::Sasl).then(|| self.surroundings.tried.guesses.get(&self.login()))?
    }

    /// The login as servers look it up.
    fn login(&self) -> Login<'a> {
        (host_of(self.around(), self.profile), folded(&self.profile.name))
    }

    /// Another identity, with the same around it.
    pub(super) fn of(&self, profile: &'a SenderProfile) -> Self {
        Self { profile, surroundings: self.surroundings }
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

    /// A few other logins that wrote to many strangers from a network, with how.
    pub(super) fn others_spraying_in(
        &self,
        network: IpAddr,
    ) -> impl Iterator<Item = (&'a SenderProfile, &'a NetworkUse)> {
        let name = &self.profile.name;
        let all = self.surroundings.sprays.get(&network).map(Vec::as_slice).unwrap_or_default();
        all.iter().copied().filter(move |(other, _)| other.name != *name)
    }

    /// The same from all networks of one /16 or /32, unless logins send ordinary mail from there.
    pub(super) fn others_spraying_near(
        &self,
        wide: IpAddr,
    ) -> impl Iterator<Item = (&'a SenderProfile, &'a NetworkUse)> {
        self.surroundings.sprays_near.get(&wide).into_iter().flatten().copied()
    }

    /// What is ordinary among all logins.
    pub(super) fn peers(&self) -> &'a Peers {
        &self.surroundings.peers
    }

    /// Addresses that tried this login in vain and not many others with it, out of networks that it does not use; none where
    /// every other login is tried so, too.
    pub(super) fn aimed_guesses(&self) -> BTreeSet<IpAddr> {
        let is_aimed = |ip: &&IpAddr| {
            let of = network(**ip);
            !self.surroundings.sprayers.has(of) && !self.profile.networks.contains_key(&of)
        };
        let aimed: BTreeSet<IpAddr> =
            self.guesses().into_iter().flat_map(|one| &one.ips).filter(is_aimed).copied().collect();
        if aimed.len() >= 3 * self.surroundings.usual_guessers { aimed } else { BTreeSet::new() }
    }

    /// Other logins that use a network, with how.
    pub(super) fn others_in(&self, network: IpAddr) -> impl Iterator<Item = (&'a SenderProfile, &'a NetworkUse)> {
        let name = &self.profile.name;
        let all = self.surroundings.logins_of.get(&network).map(Vec::as_slice).unwrap_or_default();
        all.iter().copied().filter(move |(other, _)| other.name != *name)
    }

    /// What the network of this client guessed, and whether this client was the first.
    pub(super) fn guessing(&self) -> Option<(&'a Guessing<'a>, bool)> {
        let found = self.surroundings.guessing.get(&network(ip(&self.profile.name)?))?;
        Some((found, std::ptr::eq(found.lead, self.profile)))
    }

    /// What the network of this client failed to log in as, and whether this client was the first.
    pub(super) fn failing(&self) -> Option<(&'a Failing<'a>, bool)> {
        let found = self.surroundings.failing.get(&network(ip(&self.profile.name)?))?;
        Some((found, std::ptr::eq(found.lead, self.profile)))
    }

    /// True for a network that tries many logins.
    pub(super) fn is_sprayer(&self, network: IpAddr) -> bool {
        self.surroundings.sprayers.has(network)
    }

    /// True for a network that tried more logins than one.
    pub(super) fn tries_others(&self, network: IpAddr) -> bool {
        self.surroundings.sprayers.logins(network) > 1
    }

    /// The domain at whose logins this client, of all that tried, failed first, with what all of them tried; of several the one
    /// with most.
    pub(super) fn guessed_domain(&self) -> Option<(&'a [u8], &'a GuessedDomain<'a>)> {
        let logins = &self.profile.visits.as_ref()?.logins;
        let domains: BTreeSet<&[u8]> = logins.keys().map(|login| split(login).1).collect();
        let of = |domain| self.surroundings.guessed_domains.get_key_value(domain);
        let led = domains.into_iter().filter_map(of).filter(|(_, found)| std::ptr::eq(found.lead, self.profile));
        led.map(|(domain, found)| (*domain, found)).max_by_key(|(_, found)| found.guesses.len())
    }

    /// Vain tries at this login from a network.
    pub(super) fn tried_from(&self, network: IpAddr) -> Option<Tries> {
        self.surroundings.tried.from.get(&(self.login(), network)).copied()
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
    for (hour, used) in profile.network_uses().flat_map(|network| &network.hours) {
        hours.entry(*hour).or_default().add(*used);
    }
    hours
}

/// The sum over the hours that a span touches.
pub(super) fn total_between(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> HourUse {
    let range = first.hour()..=last.hour().max(first.hour());
    profile.network_uses().flat_map(|network| network.hours.range(range.clone())).map(|(_, used)| *used).sum()
}

/// What stands apart at an end of a run belongs to it from this share of the run on.
const APART: f64 = 0.05;
/// It stands apart behind a gap of so many times the middle one, and of so many seconds.
const APART_GAPS: i64 = 12;
const APART_S: i64 = 600;

/// Patterns with no more than this between them are one that goes on: a weekend.
const ONE_PATTERN_S: i64 = 3 * SECONDS_PER_DAY;

/// One pattern among moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub first: Timestamp,
    pub last: Timestamp,
    /// First and last moment of each piece that holds by itself, in order.
    pub pieces: Vec<(Timestamp, Timestamp)>,
}

/// Patterns among moments in order. The moments are cut where a gap is longer than the first of `gaps_s`, and where a few stand
/// apart at the ends of a piece; the pieces for which `holds` is true are found. What is left is tried with the next gap. What is found within
/// three days is one pattern: what comes later makes it longer, and does not move its beginning.
pub(super) fn patterns(times: &[Timestamp], gaps_s: &[i64], holds: impl Fn(&[Timestamp]) -> bool) -> Vec<Pattern> {
    let mut left = times.to_vec();
    let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
    for gap_s in gaps_s {
        let mut rest = Vec::new();
        for piece in pieces(&left, *gap_s) {
            match piece {
                [first, .., last] if holds(piece) => found.push((*first, *last)),
                [only] if holds(piece) => found.push((*only, *only)),
                _ => rest.extend_from_slice(piece),
            }
        }
        rest.sort_unstable();
        left = rest;
    }
    found.sort_unstable();
    let mut patterns: Vec<Pattern> = Vec::new();
    for (first, last) in found {
        match patterns.last_mut().filter(|known| first.seconds_since(known.last) <= ONE_PATTERN_S) {
            Some(known) => {
                known.last = known.last.max(last);
                known.pieces.push((first, last));
            }
            None => patterns.push(Pattern { first, last, pieces: vec![(first, last)] }),
        }
    }
    patterns
}

/// Moments in order, cut at gaps, and where a few stand apart at the ends of a piece.
pub(super) fn pieces(times: &[Timestamp], gap_s: i64) -> Vec<&[Timestamp]> {
    let mut found = Vec::new();
    let mut to_cut: Vec<&[Timestamp]> = times.chunk_by(|a, b| b.seconds_since(*a) <= gap_s).collect();
    while let Some(piece) = to_cut.pop() {
        let counts: Vec<_> = piece.iter().map(|at| (*at, 1)).collect();
        let run = together(&counts);
        let (ahead, behind) = (piece.get(..run.start), piece.get(run.end..));
        to_cut.extend([ahead, behind].into_iter().flatten().filter(|part| !part.is_empty()));
        found.extend(piece.get(run));
    }
    found
}

/// How many of some moments in order lie between two, these included.
pub(super) fn count_between(times: &[Timestamp], first: Timestamp, last: Timestamp) -> u64 {
    let (from, to) = (times.partition_point(|at| *at < first), times.partition_point(|at| *at <= last));
    to.saturating_sub(from) as u64
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
    let first = samples.iter().take(3).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if samples.len() > 3 { format!("{first}, ...") } else { first }
}

/// A share as a sentence has it: all is all, and none is none.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        part if part > 0.0 && part < 0.5 => "under 1 %".into(),
        part if part > 99.0 && part < 100.0 => "over 99 %".into(),
        part => format!("{part:.0} %"),
    }
}

/// Queue ids, each once, from its first moment on.
pub(super) fn queue_ids<'a>(ids: impl Iterator<Item = (Timestamp, &'a QueueId)>) -> QueueIds {
    let mut firsts: BTreeMap<QueueId, Timestamp> = BTreeMap::new();
    for (at, id) in ids {
        let first = firsts.entry(*id).or_insert(at);
        *first = at.min(*first);
    }
    let mut all = QueueIds::default();
    firsts.into_iter().for_each(|(id, at)| all.add(at, id));
    all
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
    fn a_pattern_keeps_its_beginning_when_more_comes() {
        let at = |seconds: &[i64]| seconds.iter().copied().map(Timestamp::from_seconds).collect::<Vec<_>>();
        let span = |first, last| (Timestamp::from_seconds(first), Timestamp::from_seconds(last));
        let of = |times: &[Timestamp], gaps: &[i64]| patterns(times, gaps, |piece| piece.len() >= 20);
        // One mail of the day before and one of the day after are no part of it.
        let mut times: Vec<i64> = (20_000..20_100).collect();
        times.insert(0, 0);
        times.push(50_000);
        let found = of(&at(&times), &[90_000]);
        assert_eq!(
            found,
            [Pattern { first: span(20_000, 0).0, last: span(20_099, 0).0, pieces: vec![span(20_000, 20_099)] }]
        );
        // Two days later ten times as much comes: it began when it began. Too few by themselves before it are no part of it.
        let first_days: Vec<i64> = (0..19).chain(200_000..200_020).collect();
        let longer: Vec<i64> = first_days.iter().copied().chain(370_000..370_200).collect();
        for times in [&first_days, &longer] {
            assert_eq!(of(&at(times), &[3_600]).first().map(|one| one.first), Some(span(200_000, 0).0));
        }
        assert_eq!(of(&at(&longer), &[3_600])[0].pieces.len(), 2);
        // After more than three days it is another.
        let again: Vec<i64> = (0..20).chain(270_000..270_020).collect();
        assert_eq!(of(&at(&again), &[3_600]).len(), 2);
        // Slow ones hold with their gaps, and a burst among them is not all.
        let slow: Vec<i64> = (0..20).map(|n| n * 20_000).collect();
        let burst: Vec<i64> = slow.iter().copied().chain(500_000..500_040).collect();
        assert!(of(&at(&slow), &[3_600]).is_empty());
        for times in [&slow, &burst] {
            assert_eq!(of(&at(times), &[3_600, 86_400])[0].first.seconds(), 0);
        }
        assert!(of(&[], &[60]).is_empty());
    }
}
