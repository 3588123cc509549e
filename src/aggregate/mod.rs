//! What is kept of each identity: counts, distinct things, times. Profiles of parts merge into the profile of the
//! whole, in any order. Nobody is judged here.

pub mod around;
mod codec;
pub mod distinct;
mod example;
mod few;
pub mod hours;
mod implied;
pub mod network;
mod profile;
mod reason;
mod trouble;
pub mod uses;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::HashMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use self::around::{Around, FewTries, Notice, Receiver, ReceiverHour, Tries, Visits};
pub use self::example::{Example, Names};
pub use self::hours::{Hours, Outcome, Outcomes, Overview, Receivers};
pub use self::network::{HourUse, NetworkUse};
pub use self::profile::{Pair, SHARDS, SIZE_STEPS, SenderProfile, SenderUse, Unauthorized};
pub use self::reason::{Codes, Reason, ReasonKey};
pub use self::trouble::{Answer, Trouble, TroubleKind};
use crate::classify::Verdict;
use crate::correlate::{AuthFailure, HostId, Identity, Message, Octets, Rejection};
use crate::mail::address::{network, split};
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};
use distinct::Earliest;
use few::FewMap;

/// A client that did less than this at the door is nobody to tell of.
const LEAST_TRIES: u64 = 3;
/// Clients of one network that each did less are somebody to tell of if they did this together: the first of them.
const LEAST_TOGETHER: u64 = 10;

/// Queue ids that a finding shows (contract.md, `queue_ids`).
pub const QUEUE_IDS: usize = 50;

/// Queue ids in the order of their messages.
pub type QueueIds = Earliest<QueueId, QUEUE_IDS>;

/// `part` of `whole`, 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How often logins failed, per client.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Failures(FewMap<Octets, FailureCount>);

impl Failures {
    fn merge(&mut self, other: Self) {
        for (client, count) in other.0 {
            let known = self.0.get_or_insert_with(client, || FailureCount { failures: 0, ..count });
            known.failures += count.failures;
            known.host = known.host.min(count.host);
            known.first = known.first.min(count.first);
            known.last = known.last.max(count.last);
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FailureCount {
    host: HostId,
    failures: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Kind, name and, where hosts are not merged, host of an identity.
type Key = (IdentityKind, Octets, Option<HostId>);

/// Profiles say themselves whose they are.
mod by_identity {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub fn serialize<S: Serializer>(
        profiles: &HashMap<Key, Box<SenderProfile>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut all: Vec<_> = profiles.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        if all.iter().any(|((.., host), profile)| *host != profile.hosts.first().copied()) {
            return Err(serde::ser::Error::custom("profiles of merged hosts are not written"));
        }
        serializer.collect_seq(all.into_iter().map(|(_, profile)| profile))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HashMap<Key, Box<SenderProfile>>, D::Error> {
        let all = Vec::<Box<SenderProfile>>::deserialize(deserializer)?;
        let keyed = |one: Box<SenderProfile>| ((one.kind, one.name.clone(), one.hosts.first().copied()), one);
        Ok(all.into_iter().map(keyed).collect())
    }
}

/// Profiles of all identities.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Profiles {
    #[serde(with = "by_identity")]
    by_identity: HashMap<Key, Box<SenderProfile>>,
    failures: BTreeMap<(Option<HostId>, Octets), Failures>,
    around: Around,
    /// One user on several hosts is one identity.
    merges_hosts: bool,
}

impl Profiles {
    pub fn new(merges_hosts: bool) -> Self {
        Self { merges_hosts, ..Self::default() }
    }

    pub const fn merges_hosts(&self) -> bool {
        self.merges_hosts
    }

    /// How many identities.
    pub fn len(&self) -> usize {
        self.by_identity.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    fn host_key(&self, host: HostId) -> Option<HostId> {
        if self.merges_hosts { None } else { Some(host) }
    }

    fn profile(&mut self, identity: &Identity, at: Timestamp) -> &mut SenderProfile {
        let key = (identity.kind, identity.name.clone(), self.host_key(identity.host));
        let profile = self.by_identity.entry(key).or_insert_with(|| Box::new(SenderProfile::new(identity, at)));
        profile.hosts.insert(identity.host);
        profile
    }

    /// Adds a message; `verdicts` has one entry per attempt, `None` for what is no refusal.
    pub fn add_message(&mut self, message: &Message, verdicts: &[Option<Verdict<'_>>]) {
        let host = self.host_key(message.identity.host);
        self.around.message(message, verdicts, host);
        self.profile(&message.identity, message.first_seen).message(message, verdicts);
    }

    /// Adds a refusal; `verdict` is `None` for what was thrown away without one.
    pub fn add_rejection(&mut self, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        let host = self.host_key(rejection.host);
        self.around.rejection(rejection, verdict, host);
        self.profile(&rejection.identity, rejection.at).rejection(rejection, verdict);
    }

    pub fn add_auth_failure(&mut self, failure: &AuthFailure) {
        self.around.auth_failure(failure, self.host_key(failure.host));
        let login = Octets::lowered(failure.sasl_username.as_deref().unwrap_or_default());
        let clients = self.failures.entry((self.host_key(failure.host), login)).or_default();
        let count = clients.0.get_or_insert_with(failure.client.ip.clone(), || FailureCount {
            host: failure.host,
            failures: 0,
            first: failure.at,
            last: failure.at,
        });
        count.failures += u64::from(failure.times);
        count.host = count.host.min(failure.host);
        count.first = count.first.min(failure.at);
        count.last = count.last.max(failure.at);
    }

    /// Adds those of another run, whose hosts are numbered in its own way: `hosts` has this run's number of each of them,
    /// `names` the old and new names under which hosts stand for themselves.
    pub fn merge_of(&mut self, other: Self, hosts: &[HostId], names: &[(HostId, Octets, Octets)]) {
        let number = |host: HostId| hosts.get(host.0 as usize).copied().unwrap_or(host);
        let is_one = self.merges_hosts;
        let key_of = |host: Option<HostId>| host.filter(|_| !is_one).map(number);
        self.around.merge(other.around.renumbered(number, key_of));
        let mut failures: Vec<_> = other.failures.into_iter().collect();
        failures.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for ((host, login), clients) in failures {
            let known = self.failures.entry((key_of(host), login)).or_default();
            known.merge(Failures(
                clients
                    .0
                    .into_iter()
                    .map(|(ip, count)| (ip, FailureCount { host: number(count.host), ..count }))
                    .collect(),
            ));
        }
        let mut theirs: Vec<_> = other.by_identity.into_iter().collect();
        theirs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for ((kind, mut name, host), mut profile) in theirs {
            let renamed =
                names.iter().find(|(of, old, _)| kind == IdentityKind::Null && Some(*of) == host && *old == name);
            if let Some((_, _, new)) = renamed {
                name.clone_from(new);
                profile.name.clone_from(new);
            }
            profile.hosts = profile.hosts.into_iter().map(number).collect();
            let key = (kind, name, key_of(host));
            match self.by_identity.get_mut(&key) {
                Some(known) => known.merge(*profile),
                None => _ = self.by_identity.insert(key, profile),
            }
        }
    }

    /// Leaves out what follows from the rest, before they are written.
    pub fn leave_out_implied(&mut self) {
        self.by_identity.par_values_mut().for_each(|profile| profile.leave_out());
    }

    /// Puts that back, after they were read.
    pub fn put_back_implied(&mut self) {
        self.by_identity.par_values_mut().for_each(|profile| profile.put_back());
    }

    /// All identities, by kind, name and host.
    pub fn in_order(&self) -> Vec<&SenderProfile> {
        let mut all: Vec<_> = self.by_identity.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter().map(|(_, profile)| &**profile).collect()
    }

    /// Takes out the identities, in so many pieces: each in that of its name, whatever others there are.
    pub fn take_pieces(&mut self, pieces: usize) -> Vec<Self> {
        self.take_by(pieces, |profile| xxh3_64(&profile.name))
    }

    /// The same by the identities' shards.
    pub fn take_shards(&mut self, shards: usize) -> Vec<Self> {
        self.take_by(shards, SenderProfile::shard)
    }

    fn take_by(&mut self, pieces: usize, of: impl Fn(&SenderProfile) -> u64) -> Vec<Self> {
        let mut taken: Vec<Self> = (0..pieces).map(|_| Self::new(self.merges_hosts)).collect();
        let all: Vec<_> = std::mem::take(&mut self.by_identity).into_iter().collect();
        for (key, profile) in all {
            let at = usize::try_from(of(&profile) % pieces.max(1) as u64).unwrap_or(0);
            if let Some(piece) = taken.get_mut(at) {
                piece.by_identity.insert(key, profile);
            }
        }
        taken
    }

    /// Puts back what [`Self::take_pieces`] took out.
    pub fn put_pieces(&mut self, pieces: Vec<Self>) {
        self.by_identity.reserve(pieces.iter().map(Self::len).sum());
        pieces.into_iter().for_each(|piece| self.by_identity.extend(piece.by_identity));
    }

    pub fn merge(&mut self, other: Self) {
        self.around.merge(other.around);
        for (key, clients) in other.failures {
            self.failures.entry(key).or_default().merge(clients);
        }
        let mut theirs: Vec<_> = other.by_identity.into_iter().collect();
        theirs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (key, profile) in theirs {
            match self.by_identity.get_mut(&key) {
                Some(known) => known.merge(*profile),
                None => _ = self.by_identity.insert(key, profile),
            }
        }
    }

    /// All profiles by kind and name, and what is known around them. Failed logins go to the login where it is one that is
    /// known here, else to the client that tried: a name that was only guessed is nobody. `hosts` are the hosts' names by
    /// their numbers.
    pub fn finish(mut self, hosts: &[Octets]) -> (Vec<SenderProfile>, Around) {
        for ((host, login), clients) in std::mem::take(&mut self.failures) {
            let login_key = (IdentityKind::Sasl, login, host);
            for (client, count) in clients.0 {
                let key = if self.by_identity.contains_key(&login_key) {
                    login_key.clone()
                } else {
                    (IdentityKind::Client, client.clone(), host)
                };
                let identity = Identity { kind: key.0, name: key.1.clone(), host: count.host };
                let profile =
                    self.by_identity.entry(key).or_insert_with(|| Box::new(SenderProfile::new(&identity, count.first)));
                profile.auth_failures += count.failures;
                if profile.kind == IdentityKind::Client {
                    profile.seen(count.first, count.last);
                    profile.client(&client);
                }
            }
        }
        self.bring_in_the_mute(hosts);
        let mut profiles: Vec<_> = self.by_identity.into_iter().collect();
        // By the hosts' names: their numbers depend on which was read first.
        let host_name = |host: Option<HostId>| host.and_then(|host| hosts.get(host.0 as usize));
        profiles.sort_unstable_by(|((kind, name, host), _), ((other_kind, other_name, other_host), _)| {
            let by_name = (kind, name).cmp(&(other_kind, other_name));
            by_name.then_with(|| host_name(*host).cmp(&host_name(*other_host)))
        });
        (profiles.into_iter().map(|(_, profile)| *profile).collect(), self.around)
    }

    /// Profiles for those of whom no message tells: clients that only tried, and the hosts themselves.
    fn bring_in_the_mute(&mut self, hosts: &[Octets]) {
        let mut visits: Vec<_> = std::mem::take(&mut self.around.visits).into_iter().collect();
        visits.sort_unstable_by_key(|(key, _)| *key);
        let leads = leads(&visits);
        let firsts = first_at_domains(&visits);
        self.around.merges_hosts = self.merges_hosts;
        for ((host_key, ip), (host, visits)) in visits {
            let is_lead = leads.get(&(host_key, network(ip))).is_some_and(|(_, lead)| *lead == ip)
                || firsts.contains(&(host_key, ip));
            if visits.unknown.count() + visits.failures() < LEAST_TRIES && !is_lead {
                let few = |(login, tries)| FewTries { host: host_key, client: ip, login, tries };
                self.around.few_tries.extend(visits.logins.into_iter().map(few));
                continue;
            }
            let Some(at) = visits.first() else { continue };
            let identity = Identity { kind: IdentityKind::Client, name: ip.to_string().into_bytes().into(), host };
            let key = (identity.kind, identity.name.clone(), host_key);
            let profile = self.by_identity.entry(key).or_insert_with(|| Box::new(SenderProfile::mute(&identity, at)));
            profile.client_ips.insert(ip);
            profile.visits = Some(visits);
        }
        let mut ids: Vec<_> = self.around.receivers.keys().map(|(host, _)| *host).collect();
        ids.extend(self.around.notices.keys());
        ids.sort_unstable();
        ids.dedup();
        for host in ids {
            let first = self.around.receivers_of(host).filter_map(|(_, one)| one.hours.keys().next().copied()).min();
            let name = hosts.get(host.0 as usize).filter(|name| !name.is_empty());
            let name = name.cloned().unwrap_or_else(|| Octets::from(&b"this host"[..]));
            let identity = Identity { kind: IdentityKind::Null, name, host };
            let at = Timestamp::from_seconds(first.unwrap_or(0) * SECONDS_PER_HOUR);
            let key = (identity.kind, identity.name.clone(), self.host_key(host));
            self.by_identity.entry(key).or_insert_with(|| Box::new(SenderProfile::mute(&identity, at))).is_host = true;
        }
    }
}

/// Networks that together tried one domain's logins so often that somebody is to be told of: the first of their clients.
const LEAST_NETWORKS: usize = 8;
/// Some of the first may be its own people's.
const FIRSTS: usize = 8;

/// Of each domain whose logins many networks tried in vain: the clients that were first, each of another network.
fn first_at_domains(visits: &[Visit]) -> BTreeSet<(Option<HostId>, IpAddr)> {
    type Firsts = BTreeMap<IpAddr, (Timestamp, IpAddr)>;
    let mut all: BTreeMap<(Option<HostId>, &[u8]), Firsts> = BTreeMap::new();
    for ((host, ip), (_, visits)) in visits {
        for (login, tries) in &visits.logins {
            let domain = split(login).1;
            if !domain.is_empty() {
                let first = all.entry((*host, domain)).or_default().entry(network(*ip)).or_insert((tries.first, *ip));
                *first = (*first).min((tries.first, *ip));
            }
        }
    }
    all.retain(|_, networks| networks.len() >= LEAST_NETWORKS);
    let mut firsts = BTreeSet::new();
    for ((host, _), networks) in all {
        let mut clients: Vec<_> = networks.into_values().collect();
        clients.sort_unstable();
        firsts.extend(clients.into_iter().take(FIRSTS).map(|(_, client)| (host, client)));
    }
    firsts
}

/// What one client of a host did.
type Visit = ((Option<HostId>, IpAddr), (HostId, Box<Visits>));

/// Of each network whose clients did something together, none of them much: the client that was first, with when.
fn leads(visits: &[Visit]) -> BTreeMap<(Option<HostId>, IpAddr), (Timestamp, IpAddr)> {
    let (mut tries, mut leads) = (BTreeMap::new(), BTreeMap::new());
    for ((host, ip), (_, visits)) in visits {
        let key = (*host, network(*ip));
        let of_one = visits.unknown.count() + visits.failures();
        let (all, most) = tries.entry(key).or_insert((0, 0));
        (*all, *most) = (*all + of_one, of_one.max(*most));
        if let Some(first) = visits.first() {
            let lead = leads.entry(key).or_insert((first, *ip));
            *lead = (*lead).min((first, *ip));
        }
    }
    leads.retain(|key, _| tries.get(key).is_some_and(|(all, most)| *all >= LEAST_TOGETHER && *most < LEAST_TRIES));
    leads
}
