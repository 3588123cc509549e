//! Which of an identity's messages fit how it is ordinarily used, by its client networks (or by the directories that its
//! scripts run in) and hours, and which do not, each with the reason in words. Whoever wrote a message is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use ipnetwork::IpNetwork;

use super::found::{Failed, Sent};
use crate::aggregate::uses::{Use, Uses, Who, recipient_hash};
use crate::aggregate::{Answer, share};
use crate::correlate::Octets;
use crate::mail::address::{self, is_own_network, network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::time::Timestamp;

/// A network from which so many are written to, hardly anybody twice, is no ordinary one.
const SPRAY: u64 = 12;
/// The signs together from which on mail does not fit.
const ENOUGH: f64 = 0.9;
/// Vain tries from a network that are more than mistyped passwords.
const GUESSES: u64 = 3;
/// Guesses at a login from elsewhere count for so long.
const GUESSED_S: i64 = 14 * 86_400;
/// Hours of which one can be told to be unlike the others.
const LEAST_HOURS: usize = 3;
/// Recipients from which on an hour can be a burst, and how many times the usual hour it must be.
const BURST: u64 = 20;
const BURST_TIMES: u64 = 5;

/// How a message sits beside the rest of its identity's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    Fits,
    Unclear,
    Not,
}

impl Fit {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Unclear => "unclear",
            Self::Not => "does not fit",
        }
    }
}

/// Where messages came from: what they are judged by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A /24, or a /48 of IPv6.
    Network(IpAddr),
    /// The directory that a script ran in.
    Directory(Octets),
    /// Handed in on the host itself.
    Here,
    /// From a client whose address the log does not have.
    Unknown,
}

impl Source {
    pub fn of(sent: &Sent<'_>) -> Self {
        let origin = &sent.message.origin;
        match (&origin.client, &origin.directory) {
            (Some(client), _) => address::ip(&client.ip).map_or(Self::Unknown, |ip| Self::Network(network(ip))),
            (None, Some(directory)) => Self::Directory(directory.clone()),
            (None, None) => Self::Here,
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Network(network @ IpAddr::V4(_)) => format!("{network}/24"),
            Self::Network(network @ IpAddr::V6(_)) => format!("{network}/48"),
            Self::Directory(directory) => printable(directory).into_owned(),
            Self::Here => "this host (no client logged)".to_string(),
            Self::Unknown => "a client without an address in the log".to_string(),
        }
    }
}

/// All messages of one source.
pub struct Group {
    pub source: Source,
    pub fit: Fit,
    /// Why, a few words each.
    pub why: Vec<String>,
    pub messages: u64,
    pub recipients: u64,
    pub refused: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// UTC days on which it was used.
    pub days: usize,
    pub ips: BTreeMap<IpAddr, Use>,
    distinct: HashMap<u64, u64>,
    /// By hour since 1970: recipients, and those refused as unknown or unwanted.
    hours: BTreeMap<i64, (u64, u64)>,
}

/// Hours of an ordinary source in which there was something else.
pub struct Burst {
    pub source: Source,
    /// Since 1970, UTC.
    pub hour: i64,
    pub fit: Fit,
    pub why: String,
    pub recipients: u64,
}

/// What all of an identity's messages came to.
pub struct Judgement {
    /// In the order of their first messages.
    pub groups: Vec<Group>,
    pub bursts: Vec<Burst>,
    /// Of each message.
    pub fits: Vec<Fit>,
    /// Of each message, in words.
    pub whys: Vec<String>,
}

/// Recipients of a message that do not exist or do not want it, by their last answers.
fn refused(sent: &Sent<'_>) -> u64 {
    let answers = sent.message.attempts.iter().zip(&sent.verdicts);
    let bad =
        answers.filter(|(_, verdict)| verdict.as_ref().is_some_and(|verdict| Answer::of(verdict) != Answer::Other));
    bad.map(|(attempt, _)| attempt.recipient).collect::<HashSet<_>>().len() as u64
}

/// What an identity's sources are compared with.
struct Around<'a> {
    home: BTreeSet<Source>,
    first: Option<Source>,
    /// Recipients of the sources that are its own.
    known: HashSet<u64>,
    /// The most recipients of one hour from these.
    peak: u64,
    /// How many other sources were in use in each hour.
    foreign_hours: BTreeMap<i64, usize>,
    /// Vain tries at the login: moment and how many up to it, in order; all and by network.
    tries: Vec<(Timestamp, u64)>,
    tries_from: BTreeMap<IpAddr, Vec<(Timestamp, u64)>>,
    uses: &'a Uses,
    own_networks: &'a [IpNetwork],
    who: &'a Who,
}

impl<'a> Around<'a> {
    fn new(
        groups: &[Group],
        failures: &[&Failed],
        uses: &'a Uses,
        own_networks: &'a [IpNetwork],
        who: &'a Who,
    ) -> Self {
        let mut tries = Vec::new();
        let mut tries_from: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
        for failed in failures {
            let (at, times) = (failed.failure.at, u64::from(failed.failure.times));
            note(&mut tries, at, times);
            if let Some(ip) = address::ip(&failed.failure.client.ip) {
                note(tries_from.entry(network(ip)).or_default(), at, times);
            }
        }
        let home = home(groups, &tries_from);
        let of_home = || groups.iter().filter(|group| home.contains(&group.source));
        let known = of_home().flat_map(|group| group.distinct.keys().copied()).collect();
        let peak = of_home().flat_map(|group| group.hours.values()).map(|hour| hour.0).max().unwrap_or(0);
        let mut foreign_hours = BTreeMap::new();
        for hour in groups.iter().filter(|group| !home.contains(&group.source)).flat_map(|group| group.hours.keys()) {
            *foreign_hours.entry(*hour).or_default() += 1;
        }
        let first = groups.first().map(|group| group.source.clone());
        Self { home, first, known, peak, foreign_hours, tries, tries_from, uses, own_networks, who }
    }
}

/// How many of these lie between two moments. They are in order, each with how many there were up to it.
fn between(tries: &[(Timestamp, u64)], from: Timestamp, to: Timestamp) -> u64 {
    let up_to = |at: usize| at.checked_sub(1).and_then(|at| tries.get(at)).map_or(0, |(_, count)| *count);
    let (start, end) = (tries.partition_point(|(at, _)| *at < from), tries.partition_point(|(at, _)| *at <= to));
    up_to(end).saturating_sub(up_to(start))
}

/// Adds a moment's tries to those before it.
fn note(tries: &mut Vec<(Timestamp, u64)>, at: Timestamp, times: u64) {
    let before = tries.last().map_or(0, |(_, count)| *count);
    tries.push((at, before + times));
}

/// Judges the messages of one identity, in the order of time. `failures` are vain tries at its login, in order too.
pub fn judge(own: &[&Sent<'_>], failures: &[&Failed], uses: &Uses, own_networks: &[IpNetwork], who: &Who) -> Judgement {
    let mut groups = grouped(own);
    let around = Around::new(&groups, failures, uses, own_networks, who);
    let signs: Vec<(f64, Vec<String>)> = groups
        .iter()
        .map(|group| {
            let common = group.distinct.keys().filter(|one| around.known.contains(*one)).count() as u64;
            match ordinary(group, common, &around) {
                Some(why) => (0.0, vec![why]),
                None => foreign(group, common, &around),
            }
        })
        .collect();
    for (group, (weight, why)) in groups.iter_mut().zip(signs) {
        group.fit = match (weight, weight >= ENOUGH) {
            (_, true) => Fit::Not,
            (0.0, false) => Fit::Fits,
            _ => Fit::Unclear,
        };
        group.why = why;
    }
    kindred(&mut groups);
    let bursts = bursts(&groups);
    let of_source: BTreeMap<&Source, &Group> = groups.iter().map(|group| (&group.source, group)).collect();
    let of_hour: BTreeMap<(&Source, i64), &Burst> =
        bursts.iter().map(|burst| ((&burst.source, burst.hour), burst)).collect();
    let usual = written_to_outside(own, &of_hour);
    let (mut fits, mut whys) = (Vec::with_capacity(own.len()), Vec::with_capacity(own.len()));
    for sent in own {
        let source = Source::of(sent);
        let group = of_source.get(&source);
        // The owner's own mail may lie in the same hour.
        let to = &sent.message.recipients;
        let is_usual =
            !to.is_empty() && to.iter().all(|one| usual.contains(&recipient_hash(one))) && refused(sent) == 0;
        let burst = of_hour.get(&(&source, sent.message.first_seen.hour())).filter(|_| !is_usual);
        let of_group = group.map_or(Fit::Unclear, |group| group.fit);
        let of_burst = burst.map_or(Fit::Fits, |burst| burst.fit);
        fits.push(of_group.max(of_burst));
        whys.push(match burst {
            Some(burst) if of_burst > of_group => burst.why.clone(),
            _ => group.map(|group| group.why.join("; ")).unwrap_or_default(),
        });
    }
    Judgement { groups, bursts, fits, whys }
}

/// Recipients of mail that no burst holds.
fn written_to_outside(own: &[&Sent<'_>], of_hour: &BTreeMap<(&Source, i64), &Burst>) -> HashSet<u64> {
    if of_hour.is_empty() {
        return HashSet::new();
    }
    let outside = own.iter().filter(|sent| {
        let (source, hour) = (Source::of(sent), sent.message.first_seen.hour());
        !of_hour.contains_key(&(&source, hour))
    });
    outside.flat_map(|sent| &sent.message.recipients).map(recipient_hash).collect()
}

fn grouped(own: &[&Sent<'_>]) -> Vec<Group> {
    let mut groups: BTreeMap<Source, Group> = BTreeMap::new();
    for sent in own {
        let message = &sent.message;
        let source = Source::of(sent);
        let at = message.first_seen;
        if message.is_continuation {
            // Counted at its first hop; what servers said of it is known here.
            if let Some(group) = groups.get_mut(&source) {
                let refused = refused(sent);
                group.refused += refused;
                group.hours.entry(at.hour()).or_default().1 += refused;
            }
            continue;
        }
        let group = groups.entry(source.clone()).or_insert_with(|| Group {
            source,
            fit: Fit::Fits,
            why: Vec::new(),
            messages: 0,
            recipients: 0,
            refused: 0,
            first: at,
            last: at,
            days: 0,
            ips: BTreeMap::new(),
            distinct: HashMap::new(),
            hours: BTreeMap::new(),
        });
        let recipients = message.recipients.len() as u64 + message.unnamed_recipients;
        let refused = refused(sent);
        group.messages += 1;
        group.recipients += recipients;
        group.refused += refused;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
        for recipient in &message.recipients {
            *group.distinct.entry(recipient_hash(recipient)).or_default() += 1;
        }
        let hour = group.hours.entry(at.hour()).or_default();
        *hour = (hour.0 + recipients, hour.1 + refused);
        if let Some(ip) = message.origin.client.as_ref().and_then(|client| address::ip(&client.ip)) {
            let used =
                group.ips.entry(ip).or_insert(Use { messages: 0, recipients: 0, bounced: 0, first: at, last: at });
            used.messages += 1;
            used.recipients += recipients;
            used.bounced += refused;
            used.first = used.first.min(at);
            used.last = used.last.max(at);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.days = group.hours.keys().map(|hour| hour.div_euclid(24)).collect::<BTreeSet<_>>().len();
    }
    groups.sort_by(|a, b| a.first.cmp(&b.first).then_with(|| a.source.cmp(&b.source)));
    groups
}

impl Group {
    /// Many were written to, hardly anybody twice.
    fn is_spray(&self) -> bool {
        let distinct = self.distinct.len() as u64;
        distinct >= SPRAY && self.recipients * 20 <= distinct * 21
    }

    /// Somebody was written to again.
    fn writes_again(&self) -> bool {
        let distinct = self.distinct.len() as u64;
        distinct >= 2 && self.recipients * 5 >= distinct * 6
    }

    /// The first and last hour of a day, UTC, in which it was used.
    pub fn clock(&self) -> (i64, i64) {
        let hours = || self.hours.keys().map(|hour| hour.rem_euclid(24));
        (hours().min().unwrap_or(0), hours().max().unwrap_or(0))
    }
}

/// What is surely the identity's own: its first source, those of several days, and those of two from which people are
/// written to again; unless much of their mail is refused, they are spray beside calmer ones, or the login was guessed at
/// from there first. What a host's own scripts do is judged by their hours.
fn home(groups: &[Group], tries_from: &BTreeMap<IpAddr, Vec<(Timestamp, u64)>>) -> BTreeSet<Source> {
    let is_all_spray = groups.iter().all(Group::is_spray);
    let is_guessed = |group: &Group| match &group.source {
        Source::Network(network) => tries_before(tries_from, *network, group.first) >= GUESSES,
        Source::Directory(_) | Source::Here | Source::Unknown => false,
    };
    let first = groups.iter().find(|group| !is_guessed(group)).map(|group| group.source.clone());
    groups
        .iter()
        .filter(|group| {
            let is_first = first.as_ref() == Some(&group.source);
            let is_kept = group.days >= 3 || (group.days == 2 && group.writes_again());
            let is_calm = !group.is_spray() && share(group.refused, group.recipients) < 0.1 && !is_guessed(group);
            if is_all_spray { is_first } else { (is_first && !group.is_spray()) || (is_kept && is_calm) }
        })
        .map(|group| group.source.clone())
        .collect()
}

/// Vain tries from a network up to a moment.
fn tries_before(tries_from: &BTreeMap<IpAddr, Vec<(Timestamp, u64)>>, network: IpAddr, at: Timestamp) -> u64 {
    let tries = tries_from.get(&network).map(Vec::as_slice).unwrap_or_default();
    between(tries, Timestamp(i64::MIN), at)
}

/// Why a source is the identity's own; `None` for one that is not known to be.
fn ordinary(group: &Group, common: u64, around: &Around<'_>) -> Option<String> {
    let home = &around.home;
    let network = match &group.source {
        Source::Network(network) => network,
        Source::Unknown => return None,
        Source::Directory(_) | Source::Here => {
            // Of several days the hours tell what was ordinary; of one, or of a test and a run, there is nothing to go by but
            // what became of its mail, and what else is handed in.
            let is_beside = !home.is_empty() && !home.contains(&group.source);
            let is_short = group.days == 1 || group.hours.len() < LEAST_HOURS || (is_beside && group.days == 2);
            let least = if is_beside { 0.1 } else { 0.15 };
            let is_abused =
                group.is_spray() && is_short && group.refused >= 3 && share(group.refused, group.recipients) >= least;
            return (!is_abused).then(|| "handed in on this host".to_string());
        }
    };
    if around.own_networks.iter().any(|own| own.contains(*network)) {
        return Some("a network of this site (own_networks)".into());
    }
    if is_own_network(*network) {
        return Some("a private network".into());
    }
    let (from, to) = group.clock();
    let days = if group.days == 1 { "on 1 day".to_string() } else { format!("on {} days", group.days) };
    if home.contains(&group.source) {
        let again = if group.writes_again() { ", people are written to again" } else { "" };
        let first = if around.first.as_ref() == Some(&group.source) { "its first network, " } else { "" };
        return Some(format!("{first}used {days} between {from:02} and {:02} h UTC{again}", to + 1));
    }
    let known = share(common, group.distinct.len() as u64);
    if known >= 0.3 || (common >= 3 && known >= 0.02) {
        return Some(format!("{common} of its {} recipients are the account's usual ones", group.distinct.len()));
    }
    let colleagues = colleagues(*network, around.uses, around.who);
    (colleagues >= 2).then(|| format!("{colleagues} other logins of the same domain mail from there"))
}

/// Other logins of the same domain with ordinary mail from a network.
fn colleagues(network: IpAddr, uses: &Uses, who: &Who) -> usize {
    let domain = split(&who.1).1;
    if domain.is_empty() {
        return 0;
    }
    let others: BTreeSet<&Who> = in_network(network, uses)
        .filter(|(_, other, used)| {
            other.0 == IdentityKind::Sasl
                && *other != who
                && split(&other.1).1 == domain
                && used.messages >= 2
                && share(used.bounced, used.recipients) < 0.15
        })
        .map(|(_, other, _)| other)
        .collect();
    others.len()
}

/// Who else sent from a network, with each address.
fn in_network(network: IpAddr, uses: &Uses) -> impl Iterator<Item = (IpAddr, &Who, &Use)> {
    uses.from_ips(network, last_of(network))
}

/// The last address of a /24 or /48.
fn last_of(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 255])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF])
        }
    }
}

/// What speaks against a source, with the weight of all of it. Never nothing: that it is new is a sign, if a faint one.
fn foreign(group: &Group, common: u64, around: &Around<'_>) -> (f64, Vec<String>) {
    let mut why = vec![format!("not used before {}", group.first)];
    let mut weight = 0.05;
    let mut add = |is_so: bool, more: f64, words: String| {
        if is_so {
            weight += more;
            why.push(words);
        }
    };
    let distinct = group.distinct.len() as u64;
    let bad = share(group.refused, group.recipients);
    let peak = group.hours.values().map(|hour| hour.0).max().unwrap_or(0);
    let is_at_once = group.hours.keys().any(|hour| around.foreign_hours.get(hour).is_some_and(|count| *count >= 2));
    if let Source::Network(from) = &group.source {
        let tried = tries_before(&around.tries_from, *from, group.first);
        // Once or twice everybody mistypes a password.
        let tried_weight = if tried >= GUESSES { 0.9 } else { 0.4 };
        add(tried > 0, tried_weight, format!("{} from there before", times(tried, "failed login")));
        let guessed = between(&around.tries, group.first.plus_seconds(-GUESSED_S), group.first);
        add(tried == 0 && guessed >= 3, 0.4, format!("after {} from elsewhere", times(guessed, "failed login")));
        let victims = victims(*from, around.uses, around.who);
        add(
            !victims.is_empty(),
            0.6,
            format!("{} of other domains mailed from there, with much refused", times(victims.len() as u64, "login")),
        );
    }
    add(common == 0 && distinct >= 5, 0.6, format!("all {distinct} recipients are strangers to the account"));
    add(
        common == 0 && (1..5).contains(&distinct),
        0.3,
        format!(
            "{} is a stranger to the account",
            if distinct == 1 { "its recipient".to_string() } else { format!("each of its {distinct} recipients") }
        ),
    );
    add(bad >= 0.1 && group.refused >= 3, 0.6, format!("{:.0} % refused as unknown or unwanted", bad * 100.0));
    add(is_at_once, 0.5, "in the same hour as other new networks".into());
    let own_peak = around.peak;
    let usual = if matches!(group.source, Source::Directory(_)) { "directories" } else { "networks" };
    add(
        peak >= BURST && peak >= 4 * own_peak.max(2),
        0.6,
        format!("{peak} recipients in an hour, {own_peak} at most from its usual {usual}"),
    );
    (weight, why)
}

/// `1 failed login`, `2 failed logins`.
pub fn times(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Logins of other domains with much refused mail from a network.
fn victims<'a>(network: IpAddr, uses: &'a Uses, who: &Who) -> BTreeSet<&'a Who> {
    let domain = split(&who.1).1;
    in_network(network, uses)
        .filter(|(_, other, used)| {
            other.0 == IdentityKind::Sasl
                && split(&other.1).1 != domain
                && used.recipients >= 10
                && share(used.bounced, used.recipients) >= 0.1
        })
        .map(|(_, other, _)| other)
        .collect()
}

/// A source that says little for itself does not fit either where it wrote to whom the run wrote to, or lies beside it.
fn kindred(groups: &mut [Group]) {
    let of_run = || groups.iter().filter(|group| group.fit == Fit::Not);
    let recipients: HashSet<u64> = of_run().flat_map(|group| group.distinct.keys().copied()).collect();
    let areas: BTreeSet<IpAddr> = of_run().filter_map(|group| area(&group.source)).collect();
    for group in groups.iter_mut().filter(|group| group.fit == Fit::Unclear) {
        let is_shared = group.distinct.keys().any(|one| recipients.contains(one));
        let is_beside = area(&group.source).is_some_and(|area| areas.contains(&area));
        if is_shared {
            group.why.push("wrote to somebody whom the run wrote to as well".into());
        }
        if is_beside {
            group.why.push("lies beside a network of the run".into());
        }
        if is_shared || is_beside {
            group.fit = Fit::Not;
        }
    }
}

/// The /16 that a network lies in, or the /32 of IPv6.
fn area(source: &Source) -> Option<IpAddr> {
    match source {
        Source::Network(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            Some(IpAddr::from([a, b, 0, 0]))
        }
        Source::Network(IpAddr::V6(v6)) => {
            let [a, b, ..] = v6.segments();
            Some(IpAddr::from([a, b, 0, 0, 0, 0, 0, 0]))
        }
        Source::Directory(_) | Source::Here | Source::Unknown => None,
    }
}

/// Hours in which far more went out of an ordinary source than in its others.
fn bursts(groups: &[Group]) -> Vec<Burst> {
    let mut bursts = Vec::new();
    for group in groups.iter().filter(|group| group.fit != Fit::Not) {
        let mut counts: Vec<u64> = group.hours.values().map(|hour| hour.0).collect();
        counts.sort_unstable();
        let usual = counts.get(counts.len() / 2).copied().unwrap_or(0);
        if counts.len() < LEAST_HOURS {
            continue;
        }
        for (hour, (recipients, refused)) in &group.hours {
            if *recipients < BURST || *recipients < BURST_TIMES * usual.max(1) {
                continue;
            }
            let bad = share(*refused, *recipients);
            let fit = if bad >= 0.1 && *refused >= 3 { Fit::Not } else { Fit::Unclear };
            let lost = if *refused > 0 {
                format!(", {:.0} % refused as unknown or unwanted", bad * 100.0)
            } else {
                String::new()
            };
            let why = format!("{recipients} recipients in the hour, {usual} in its usual ones{lost}");
            bursts.push(Burst { source: group.source.clone(), hour: *hour, fit, why, recipients: *recipients });
        }
    }
    bursts
}
