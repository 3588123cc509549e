//! The story of a target: when it began, how it went on, how far it reached, who else was there, and what the logs cannot
//! say. Counts are of what was found; nothing is guessed beyond it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::HashSet;
use ipnetwork::IpNetwork;

use super::found::{Failed, Found, Refused, Sent, is_waiting};
use super::owner::{self, Fit, Judgement, times};
use super::reuse;
use super::target::{Roles, What};
use crate::aggregate::Answer;
use crate::aggregate::uses::{Use, Who, recipient_hash, who_of};
use crate::correlate::{HostId, Octets, Recipient, RecipientState};
use crate::mail::address::{self, is_own_network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};

/// Silence that parts one phase from the next.
const PHASE_S: i64 = 2 * SECONDS_PER_HOUR;
/// A phase of so few messages before the greatest one may be a test.
const PRECURSOR: u64 = 3;
/// An address that so many identities of so many domains use is nobody's own.
const SHARED_IDENTITIES: usize = 5;
const SHARED_DOMAINS: usize = 3;

/// What the reader of the logs knows, beside what was found.
#[derive(Debug, Default)]
pub struct Facts {
    /// What was searched: `3 files`, `the archive in /var/lib/mailsleuth`.
    pub searched: String,
    pub span: Option<(Timestamp, Timestamp)>,
    /// Names of files by the numbers that places have.
    pub sources: Vec<String>,
    /// The same as texts name them; empty where they are the same.
    pub hidden_sources: Vec<String>,
    /// Names of all files that were found, those that hold nothing of it or were not read among them.
    pub files: Vec<String>,
    pub hosts: Vec<Octets>,
    /// Only lines of the message were taken apart: who else used its address was not counted.
    pub is_sifted: bool,
    /// What else whoever handed a message in did, where it is looked for by its id.
    pub around: Option<String>,
    /// What cannot be seen, a sentence each.
    pub unseen: Vec<String>,
    pub own_networks: Vec<IpNetwork>,
    /// How far from the target others are looked at: 1 or 2.
    pub hops: u8,
}

impl Facts {
    /// Names of files as texts have them.
    pub fn shown_sources(&self) -> &[String] {
        if self.hidden_sources.is_empty() { &self.sources } else { &self.hidden_sources }
    }
}

/// Something that happened, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    /// Its end, where it went on.
    pub until: Option<Timestamp>,
    pub what: String,
}

/// How far some messages reached.
#[derive(Debug, Default)]
pub struct Reach {
    pub messages: u64,
    pub recipients: u64,
    pub addresses: u64,
    /// Recipients by what became of them.
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub expired: u64,
    pub discarded: u64,
    pub open: u64,
    /// Distinct addresses that something was delivered to.
    pub reached: BTreeSet<String>,
    /// By domain of the recipients, the most first: recipients, delivered.
    pub domains: Vec<(String, u64, u64)>,
    /// Who refused, for what, the first moment, and how often; the earliest first.
    pub refusals: Vec<Refusal>,
    pub senders: Vec<(String, u64)>,
    pub sizes: Option<(u64, u64)>,
    pub subjects: Vec<(String, u64)>,
    pub ips: BTreeMap<IpAddr, Use>,
}

/// One provider's answers of one meaning.
#[derive(Debug)]
pub struct Refusal {
    pub provider: String,
    pub category: &'static str,
    pub first: Timestamp,
    pub answers: u64,
}

/// An address, and who else used it.
#[derive(Debug)]
pub struct Pivot {
    pub ip: IpAddr,
    /// Why it says nothing of who used it.
    pub mark: Option<String>,
    pub used: Option<Use>,
    /// The most messages first.
    pub others: Vec<(Who, Use)>,
    /// Other logins that were tried from there in vain, and how often; the most first.
    pub tried: Vec<(Octets, u64)>,
}

/// All of it.
pub struct Story<'f, 'c> {
    pub found: &'f Found<'c>,
    pub facts: Facts,
    /// What the messages of the story have to do with the target.
    pub role: Roles,
    /// Whose mail it is, where it is one's.
    pub who: Option<Who>,
    pub hosts: Vec<String>,
    /// In the order of time.
    pub messages: Vec<&'f Sent<'c>>,
    /// What else was found.
    pub others: Vec<&'f Sent<'c>>,
    pub rejections: Vec<&'f Refused<'c>>,
    pub failures: Vec<&'f Failed>,
    pub judgement: Option<Judgement>,
    pub moments: Vec<Moment>,
    /// Of all its messages.
    pub all: Reach,
    /// Of those that do not fit; `None` where all fit, or where nobody can tell.
    pub run: Option<Reach>,
    /// Of those that nobody can tell of, beside a run.
    pub unclear: Option<Reach>,
    pub pivots: Vec<Pivot>,
    /// Others that wrote to the same recipients.
    pub shared: Vec<(Who, u64)>,
    /// One more hop: identities and addresses behind the pivots.
    pub further: Vec<String>,
    /// What else has to do with the target, a sentence each.
    pub also: Vec<String>,
}

impl<'f, 'c> Story<'f, 'c> {
    pub fn new(found: &'f Found<'c>, facts: Facts) -> Self {
        let role = found.main_role();
        let (mut all, mut others): (Vec<&Sent<'_>>, Vec<&Sent<'_>>) =
            found.messages.iter().partition(|sent| sent.is_own(role));
        for list in [&mut all, &mut others] {
            list.sort_by_key(|sent| (sent.message.first_seen, sent.message.place, sent.message.queue_id));
        }
        let mut rejections: Vec<&Refused<'_>> = found.rejections.iter().collect();
        rejections.sort_by_key(|one| (one.rejection.at, one.rejection.place));
        let mut failures: Vec<&Failed> = found.failures.iter().collect();
        failures.sort_by_key(|one| (one.failure.at, one.failure.place));
        let who = one_identity(role, &all, found);
        // Judged by everything that was read, told of the time that is asked for.
        let judgement = who
            .as_ref()
            .filter(|who| role == Roles::IDENTITY && who.0.is_our_user())
            .map(|who| owner::judge(&all, &failures, &found.uses, &facts.own_networks, who));
        let (messages, judgement) = in_period(all, judgement, found);
        others.retain(|sent| found.period.has(sent.message.first_seen));
        rejections.retain(|one| found.period.has(one.rejection.at));
        failures.retain(|one| found.period.has(one.failure.at));
        let of = |wanted: Fit| -> Vec<&'f Sent<'c>> {
            let fits = judgement.iter().flat_map(|judged| &judged.fits);
            messages.iter().zip(fits).filter(|(_, fit)| **fit == wanted).map(|(sent, _)| *sent).collect()
        };
        let (run, unclear) = (of(Fit::Not), of(Fit::Unclear));
        let all = Reach::of(&messages, found, role);
        let of_run = (!run.is_empty()).then(|| Reach::of(&run, found, role));
        let of_unclear = (!run.is_empty() && !unclear.is_empty()).then(|| Reach::of(&unclear, found, role));
        let mut story = Self {
            hosts: hosts(&messages, &rejections, &failures, &facts),
            also: also(&others, &rejections, role),
            found,
            role,
            who,
            others,
            rejections,
            failures,
            judgement,
            moments: Vec::new(),
            all,
            run: of_run,
            unclear: of_unclear,
            pivots: Vec::new(),
            shared: Vec::new(),
            further: Vec::new(),
            messages,
            facts,
        };
        let host =
            |id: HostId| story.facts.hosts.get(id.0 as usize).map_or(String::new(), |name| printable(name).into());
        story.also.extend(reuse::sentences(found, host));
        story.moments = story.tell(if run.is_empty() { &story.messages } else { &run }, &unclear);
        story.pivot();
        story
    }

    /// The messages whose reach is told: those that do not fit, else all.
    pub fn reach(&self) -> &Reach {
        self.run.as_ref().unwrap_or(&self.all)
    }

    /// How a message of the story sits, by its number.
    pub fn fit(&self, at: usize) -> Option<(Fit, &str)> {
        let judgement = self.judgement.as_ref()?;
        Some((*judgement.fits.get(at)?, judgement.whys.get(at)?))
    }

    /// Messages that are still in the queue, those that do not fit where some do not.
    pub fn in_queue(&self) -> Vec<&'f Sent<'c>> {
        let is_of_run = |at: usize| self.run.is_none() || self.fit(at).is_some_and(|(fit, _)| fit == Fit::Not);
        let waiting = self.messages.iter().enumerate().filter(|(at, sent)| is_of_run(*at) && is_waiting(sent));
        waiting.map(|(_, sent)| *sent).collect()
    }

    fn tell(&self, run: &[&Sent<'_>], unclear: &[&Sent<'_>]) -> Vec<Moment> {
        let mut moments = Vec::new();
        let first_run = run.first().map(|sent| sent.message.first_seen);
        let last_run = run.last().map(|sent| sent.message.first_seen);
        self.tell_failures(first_run, &mut moments);
        self.tell_refusals(&mut moments);
        if self.run.is_some() {
            self.tell_owner(first_run, last_run, &mut moments);
            moments.extend(unclear_moment(unclear));
        }
        let phases = phases(run);
        let greatest = phases.iter().enumerate().max_by_key(|(at, phase)| (phase.recipients, std::cmp::Reverse(*at)));
        let greatest = greatest.map(|(at, _)| at);
        for (at, phase) in phases.iter().enumerate() {
            let is_before = greatest.is_some_and(|greatest| at < greatest);
            moments.push(self.tell_phase(at, phase, is_before, greatest.and_then(|one| phases.get(one))));
        }
        if let Some(peak) = peak(run) {
            moments.push(peak);
        }
        if let Some(end) = last_sign(run) {
            moments.push(end);
        }
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    fn tell_failures(&self, first_run: Option<Timestamp>, moments: &mut Vec<Moment>) {
        let before = |failed: &&&Failed| self.run.is_none() || first_run.is_none_or(|first| failed.failure.at <= first);
        for (is_early, word) in [(true, "before it"), (false, "after it began")] {
            let some: Vec<_> = self.failures.iter().filter(|failed| before(failed) == is_early).collect();
            let (Some(first), Some(last)) = (some.first(), some.last()) else { continue };
            let count: u64 = some.iter().map(|failed| u64::from(failed.failure.times)).sum();
            let ips: BTreeSet<_> = some.iter().map(|failed| &failed.failure.client.ip).collect();
            let named: Vec<_> = ips.iter().take(3).map(|ip| printable(ip)).collect();
            let more = ips.len().saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let until = last.failure.at;
            let when = if self.run.is_none() { String::new() } else { format!(" {word}") };
            moments.push(Moment {
                at: first.failure.at,
                until: (until > first.failure.at).then_some(until),
                what: format!("{}{when}, from {}{more}", times(count, "failed login"), named.join(", ")),
            });
        }
    }

    /// What this host refused of it.
    fn tell_refusals(&self, moments: &mut Vec<Moment>) {
        let own: Vec<_> = self.rejections.iter().filter(|one| one.roles.has(self.role)).collect();
        let (Some(first), Some(last)) = (own.first(), own.last()) else { return };
        let count: u64 = own.iter().map(|one| u64::from(one.rejection.times)).sum();
        let mut categories: BTreeMap<&str, u64> = BTreeMap::new();
        for one in &own {
            let category = one.verdict.as_ref().map_or("discarded", |verdict| verdict.category.id());
            *categories.entry(category).or_default() += u64::from(one.rejection.times);
        }
        let mut categories: Vec<_> = categories.into_iter().collect();
        categories.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        let named: Vec<_> = categories.iter().take(3).map(|(name, count)| format!("{name} {count}")).collect();
        let until = last.rejection.at;
        moments.push(Moment {
            at: first.rejection.at,
            until: (until > first.rejection.at).then_some(until),
            what: format!("{} by this host: {}", times(count, "refusal"), named.join(", ")),
        });
    }

    /// The owner's own mail meanwhile.
    fn tell_owner(&self, first: Option<Timestamp>, last: Option<Timestamp>, moments: &mut Vec<Moment>) {
        let (Some(first), Some(last)) = (first, last) else { return };
        let fits: Vec<_> = self
            .messages
            .iter()
            .enumerate()
            .filter(|(at, sent)| {
                !sent.message.is_continuation
                    && self.fit(*at).is_some_and(|(fit, _)| fit == Fit::Fits)
                    && (first..=last).contains(&sent.message.first_seen)
            })
            .map(|(_, sent)| sent)
            .collect();
        let (Some(one), Some(end)) = (fits.first(), fits.last()) else { return };
        let until = end.message.first_seen;
        moments.push(Moment {
            at: one.message.first_seen,
            until: (until > one.message.first_seen).then_some(until),
            what: format!("{} between that fit the account's ordinary use", times(fits.len() as u64, "message")),
        });
    }

    fn tell_phase(&self, at: usize, phase: &Phase, is_before: bool, greatest: Option<&Phase>) -> Moment {
        let from = sources(&phase.networks);
        let by = match (&self.who, self.role) {
            (Some((kind, name)), Roles::IDENTITY) => match kind {
                IdentityKind::Sasl => format!("submitted by login {} from {from}", printable(name)),
                _ => format!("handed in by {} {}{}", kind.word(), printable(name), phase.directory()),
            },
            _ => format!("from {from}"),
        };
        let size = format!("{} for {}", times(phase.messages, "message"), times(phase.recipients, "recipient"));
        let is_small = phase.messages <= PRECURSOR && phase.recipients <= PRECURSOR;
        let what = if self.run.is_none() {
            format!("{size}, {by}")
        } else if is_before && is_small && greatest.is_some_and(|run| run.messages > 4 * phase.messages) {
            let is_same = greatest.is_some_and(|run| phase.networks.iter().any(|one| run.networks.contains(one)));
            let later = if is_same { "a network that later sent the run" } else { "a network of its own" };
            let to: Vec<_> = phase.samples.iter().map(|to| printable(to)).collect();
            format!("maybe a test: {size} ({}), {by}, {later}", to.join(", "))
        } else if at == 0 {
            format!("first mail that does not fit: {size}, {by}")
        } else {
            format!("{size}, {by}")
        };
        Moment { at: phase.first, until: (phase.last > phase.first).then_some(phase.last), what }
    }

    fn pivot(&mut self) {
        let uses = &self.found.uses;
        if self.role == Roles::RECIPIENT || self.role == Roles::RELATED || self.facts.is_sifted {
            return;
        }
        let reach = self.reach();
        let mut ips: Vec<IpAddr> = reach.ips.keys().copied().collect();
        if self.messages.is_empty() {
            ips.extend(self.failures.iter().filter_map(|failed| address::ip(&failed.failure.client.ip)));
            let refused = self.rejections.iter().filter(|one| one.roles.has(self.role));
            ips.extend(refused.filter_map(|one| address::ip(&one.rejection.client.ip)));
            ips.sort_unstable();
            ips.dedup();
        }
        let who = self.who.clone();
        let mut pivots: Vec<Pivot> = ips
            .into_iter()
            .map(|ip| {
                let mut others: Vec<(Who, Use)> = uses
                    .from_ip(ip)
                    .filter(|(other, _)| who.as_ref() != Some(*other))
                    .map(|(other, used)| (other.clone(), *used))
                    .collect();
                others.sort_by(|a, b| b.1.messages.cmp(&a.1.messages).then_with(|| a.0.cmp(&b.0)));
                let own_login = who.as_ref().map(|(_, name)| name);
                let mut tried: Vec<_> = uses.tried_from(ip).filter(|(login, _)| Some(*login) != own_login).collect();
                tried.sort_by_key(|(login, tries)| (std::cmp::Reverse(tries.failures), (*login).clone()));
                Pivot {
                    ip,
                    mark: self.mark(ip),
                    used: reach.ips.get(&ip).copied(),
                    others,
                    tried: tried.iter().map(|(login, tries)| ((*login).clone(), tries.failures)).collect(),
                }
            })
            .collect();
        pivots.sort_by_key(|pivot| (pivot.used.map_or(pivot.ip_last(), |used| used.first), pivot.ip));
        let recipients: HashSet<u64> = self
            .messages
            .iter()
            .enumerate()
            .filter(|(at, _)| self.run.is_none() || self.fit(*at).is_some_and(|(fit, _)| fit == Fit::Not))
            .flat_map(|(_, sent)| sent.message.recipients.iter().map(recipient_hash))
            .collect();
        let users: BTreeSet<&Who> =
            pivots.iter().flat_map(|pivot| pivot.others.iter().map(|(other, _)| other)).collect();
        let is_self =
            |other: &Who| who.as_ref() == Some(other) || (self.role == Roles::CLIENT && users.contains(other));
        let shared = if self.role.has(Roles::IDENTITY) || self.role.has(Roles::CLIENT) {
            uses.also_wrote_to(&recipients, is_self)
        } else {
            Vec::new()
        };
        self.shared = shared.into_iter().map(|(who, count)| (who.clone(), count)).collect();
        if self.facts.hops > 1 {
            self.further = further(&pivots, who.as_ref(), self);
        }
        self.pivots = pivots;
    }

    /// Why an address says nothing of who used it: it is this site's, or many people's.
    pub fn mark(&self, ip: IpAddr) -> Option<String> {
        if is_own_network(ip) {
            return Some("private or this host: a relay, a webmail, an office".into());
        }
        if self.facts.own_networks.iter().any(|own| own.contains(ip)) {
            return Some("a network of this site (own_networks)".into());
        }
        let users: BTreeSet<&Who> = self.found.uses.from_ip(ip).map(|(who, _)| who).collect();
        let domains: BTreeSet<_> = users.iter().map(|who| split(&who.1).1.to_ascii_lowercase()).collect();
        (users.len() >= SHARED_IDENTITIES && domains.len() >= SHARED_DOMAINS).then(|| {
            format!("shared by {} identities of {} domains: carrier NAT or a proxy?", users.len(), domains.len())
        })
    }
}

impl Pivot {
    const fn ip_last(&self) -> Timestamp {
        Timestamp(i64::MAX)
    }
}

/// The identity that a story is about, where it is about one.
fn one_identity(role: Roles, messages: &[&Sent<'_>], found: &Found<'_>) -> Option<Who> {
    if role == Roles::MESSAGE {
        let first = messages.first()?;
        return Some(who_of(&first.message.identity));
    }
    if role != Roles::IDENTITY {
        return None;
    }
    let mut all = messages.iter().map(|sent| who_of(&sent.message.identity));
    match all.next() {
        Some(first) => all.all(|other| other == first).then_some(first),
        // Only failed logins and refusals: the login itself.
        None => match &found.target.what {
            What::Sasl(name) | What::Address(name) | What::Name(name) => {
                Some((IdentityKind::Sasl, Octets::lowered(name.as_bytes())))
            }
            _ => None,
        },
    }
}

fn hosts(messages: &[&Sent<'_>], rejections: &[&Refused<'_>], failures: &[&Failed], facts: &Facts) -> Vec<String> {
    let ids = messages
        .iter()
        .map(|sent| sent.message.host)
        .chain(rejections.iter().map(|one| one.rejection.host))
        .chain(failures.iter().map(|one| one.failure.host));
    let numbers: BTreeSet<u32> = ids.map(|host| host.0).collect();
    let names = numbers.iter().filter_map(|number| facts.hosts.get(*number as usize));
    names.map(|name| printable(name).into_owned()).filter(|name| !name.is_empty()).collect()
}

/// What else was found, beside what the story is about.
fn also(others: &[&Sent<'_>], rejections: &[&Refused<'_>], role: Roles) -> Vec<String> {
    let mut also = Vec::new();
    for other in Roles::BY_WEIGHT.iter().copied().filter(|other| *other != role) {
        let messages = others.iter().filter(|sent| sent.roles.has(other) && !sent.message.is_continuation);
        let count = messages.count() as u64;
        let as_what = match other {
            Roles::SENDER => "with it as the envelope sender, by others",
            Roles::RECIPIENT => "to it",
            Roles::RELATED => "about it, or with its message id",
            Roles::CLIENT => "from it as a client",
            Roles::MESSAGE => "with it as the message id",
            _ => "by it as an identity",
        };
        if count > 0 {
            also.push(format!("{} {as_what}", times(count, "message")));
        }
        let refused = rejections.iter().filter(|one| one.roles.has(other) && !one.roles.has(role));
        let refused: u64 = refused.map(|one| u64::from(one.rejection.times)).sum();
        // Whose a refusal is shows by its login alone.
        let as_what =
            if other == Roles::SENDER { "with it as the envelope sender, not under its login" } else { as_what };
        if refused > 0 {
            also.push(format!("{} of mail {as_what}", times(refused, "refusal")));
        }
    }
    also
}

/// The messages of the time that is asked for, each with its judgement.
fn in_period<'f, 'c>(
    all: Vec<&'f Sent<'c>>,
    judgement: Option<Judgement>,
    found: &Found<'c>,
) -> (Vec<&'f Sent<'c>>, Option<Judgement>) {
    let is_in: Vec<bool> = all.iter().map(|sent| found.period.has(sent.message.first_seen)).collect();
    let judgement = judgement.map(|mut judged| {
        let (mut of_fits, mut of_whys) = (is_in.iter(), is_in.iter());
        judged.fits.retain(|_| of_fits.next().copied().unwrap_or(false));
        judged.whys.retain(|_| of_whys.next().copied().unwrap_or(false));
        judged
    });
    let mut of_messages = is_in.iter();
    let mut messages = all;
    messages.retain(|_| of_messages.next().copied().unwrap_or(false));
    (messages, judgement)
}

/// Messages beside a run that nobody can tell of.
fn unclear_moment(unclear: &[&Sent<'_>]) -> Option<Moment> {
    let own = || unclear.iter().filter(|sent| !sent.message.is_continuation);
    let (first, last) = (own().next()?.message.first_seen, own().next_back()?.message.first_seen);
    let recipients = own().map(|sent| recipients_of(sent)).sum();
    let what = format!(
        "{} for {} of which nobody can tell whether they fit",
        times(own().count() as u64, "message"),
        times(recipients, "recipient")
    );
    Some(Moment { at: first, until: (last > first).then_some(last), what })
}

/// Mail that went out without a long pause.
struct Phase {
    first: Timestamp,
    last: Timestamp,
    messages: u64,
    recipients: u64,
    networks: BTreeSet<owner::Source>,
    ips: BTreeSet<Octets>,
    samples: Vec<Octets>,
}

impl Phase {
    fn directory(&self) -> String {
        let directories: Vec<_> = self
            .networks
            .iter()
            .filter_map(|source| match source {
                owner::Source::Directory(directory) => Some(printable(directory).into_owned()),
                _ => None,
            })
            .collect();
        if directories.is_empty() { String::new() } else { format!(" in {}", directories.join(", ")) }
    }
}

fn phases(run: &[&Sent<'_>]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for sent in run.iter().filter(|sent| !sent.message.is_continuation) {
        let message = &sent.message;
        let at = message.first_seen;
        let is_new = phases.last().is_none_or(|phase| at.seconds_since(phase.last) > PHASE_S);
        if is_new {
            phases.push(Phase {
                first: at,
                last: at,
                messages: 0,
                recipients: 0,
                networks: BTreeSet::new(),
                ips: BTreeSet::new(),
                samples: Vec::new(),
            });
        }
        let Some(phase) = phases.last_mut() else { continue };
        phase.last = phase.last.max(at);
        phase.messages += 1;
        phase.recipients += message.recipients.len() as u64 + message.unnamed_recipients;
        phase.networks.insert(owner::Source::of(sent));
        phase.ips.extend(message.origin.client.as_ref().map(|client| client.ip.clone()));
        let room = 3usize.saturating_sub(phase.samples.len());
        phase.samples.extend(message.recipients.iter().take(room).map(|one| one.asked_for().clone()));
    }
    // A story on one screen has room for the first and the greatest few.
    const TOLD: usize = 6;
    let mut ranks: Vec<(usize, u64)> = phases.iter().map(|phase| phase.recipients).enumerate().collect();
    ranks.sort_by_key(|(at, recipients)| (*at > 0, std::cmp::Reverse(*recipients), *at));
    let told: BTreeSet<usize> = ranks.iter().take(TOLD).map(|(at, _)| *at).collect();
    let mut at = 0..;
    phases.retain(|_| at.next().is_some_and(|at| told.contains(&at)));
    phases
}

/// `192.0.2.0/24`, or `12 networks (192.0.2.0/24, ...)`.
fn sources(networks: &BTreeSet<owner::Source>) -> String {
    let names: Vec<String> = networks.iter().take(2).map(owner::Source::name).collect();
    match networks.len() {
        0 => "nowhere".to_string(),
        1 | 2 => names.join(" and "),
        more => format!("{more} networks ({}, ...)", names.join(", ")),
    }
}

fn recipients_of(sent: &Sent<'_>) -> u64 {
    sent.message.recipients.len() as u64 + sent.message.unnamed_recipients
}

/// The hour and the minute with the most recipients.
fn peak(run: &[&Sent<'_>]) -> Option<Moment> {
    let (mut hours, mut minutes) = (BTreeMap::new(), BTreeMap::new());
    let mut messages = 0;
    for sent in run.iter().filter(|sent| !sent.message.is_continuation) {
        messages += 1;
        *hours.entry(sent.message.first_seen.hour()).or_insert(0) += recipients_of(sent);
        *minutes.entry(sent.message.first_seen.minute()).or_insert(0) += recipients_of(sent);
    }
    let most = |counts: &BTreeMap<i64, u64>| {
        let greatest = counts.iter().max_by_key(|(at, count)| (**count, std::cmp::Reverse(**at)));
        greatest.map(|(at, count)| (*at, *count))
    };
    let ((hour, in_hour), (minute, in_minute)) = (most(&hours)?, most(&minutes)?);
    if messages < 3 {
        return None;
    }
    let start = Timestamp::from_seconds(hour * SECONDS_PER_HOUR);
    let at = Timestamp::from_seconds(minute * 60);
    let what = format!("peak: {in_minute} in this minute; {} in the hour from {start}", times(in_hour, "recipient"));
    Some(Moment { at, until: None, what })
}

/// The last that the log says of these messages.
fn last_sign(run: &[&Sent<'_>]) -> Option<Moment> {
    let last = run.iter().map(|sent| sent.message.last_seen).max()?;
    let handed_in = run.iter().map(|sent| sent.message.first_seen).max()?;
    let what = format!("last sign of it: {}", if last > handed_in { "an attempt to deliver it" } else { "handed in" });
    Some(Moment { at: last, until: None, what })
}

impl Reach {
    fn of(messages: &[&Sent<'_>], found: &Found<'_>, role: Roles) -> Self {
        let mut reach = Self::default();
        let mut addresses: BTreeSet<&[u8]> = BTreeSet::new();
        let mut domains: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let mut senders: BTreeMap<String, u64> = BTreeMap::new();
        let mut subjects: BTreeMap<String, u64> = BTreeMap::new();
        let mut refusals: BTreeMap<(String, &'static str), (Timestamp, u64)> = BTreeMap::new();
        let entries: HashSet<_> = messages.iter().map(|sent| (sent.message.host, sent.message.queue_id)).collect();
        for sent in messages {
            let message = &sent.message;
            let is_first = !message.is_continuation
                || !message.hop_of.is_some_and(|before| entries.contains(&(message.host, before)));
            let is_wanted = |one: &Recipient| role != Roles::RECIPIENT || found.target.wants(one);
            if is_first {
                reach.messages += 1;
                let sender = message
                    .sender
                    .as_ref()
                    .map(|sender| if sender.is_empty() { "<>".into() } else { printable(sender) });
                *senders.entry(sender.unwrap_or("(not logged)".into()).into_owned()).or_default() += 1;
                if let Some(subject) = &message.subject {
                    *subjects.entry(printable(subject).into_owned()).or_default() += 1;
                }
                if let Some(size) = message.size {
                    reach.sizes = Some(reach.sizes.map_or((size, size), |(low, high)| (low.min(size), high.max(size))));
                }
                if let Some(ip) = message.origin.client.as_ref().and_then(|client| address::ip(&client.ip)) {
                    let at = message.first_seen;
                    let used = reach.ips.entry(ip).or_insert(Use {
                        messages: 0,
                        recipients: 0,
                        bounced: 0,
                        first: at,
                        last: at,
                    });
                    used.messages += 1;
                    used.recipients += recipients_of(sent);
                    used.first = used.first.min(at);
                    used.last = used.last.max(at);
                }
            }
            for recipient in message.recipients.iter().filter(|one| is_wanted(one)) {
                if recipient.state == RecipientState::HandedOn {
                    continue;
                }
                reach.count(recipient.state, 1);
                addresses.insert(recipient.asked_for());
                let domain = domains.entry(split(&recipient.address).1.to_ascii_lowercase()).or_default();
                domain.0 += 1;
                if recipient.state == RecipientState::Delivered {
                    domain.1 += 1;
                    reach.reached.insert(printable(&recipient.address).into_owned());
                }
            }
            if role != Roles::RECIPIENT && message.unnamed_state != RecipientState::HandedOn {
                reach.count(message.unnamed_state, message.unnamed_recipients);
            }
            for (attempt, verdict) in message.attempts.iter().zip(&sent.verdicts) {
                let Some(verdict) = verdict else { continue };
                if attempt.is_secondary || Answer::of(verdict) == Answer::Invalid {
                    continue;
                }
                let Some(recipient) = message.recipients.get(attempt.recipient).filter(|one| is_wanted(one)) else {
                    continue;
                };
                let domain = || printable(split(&recipient.address).1).to_lowercase();
                let provider = verdict.provider.map_or_else(domain, str::to_string);
                let known = refusals.entry((provider, verdict.category.id())).or_insert((attempt.at, 0));
                known.0 = known.0.min(attempt.at);
                known.1 += u64::from(attempt.times);
            }
        }
        reach.addresses = addresses.len() as u64;
        reach.domains =
            domains.into_iter().map(|(name, (all, sent))| (printable(&name).into_owned(), all, sent)).collect();
        reach.domains.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        reach.senders = by_count(senders);
        reach.subjects = by_count(subjects);
        let refusal = |((provider, category), (first, answers))| Refusal { provider, category, first, answers };
        reach.refusals = refusals.into_iter().map(refusal).collect();
        reach.refusals.sort_by(|a, b| b.answers.cmp(&a.answers).then_with(|| a.first.cmp(&b.first)));
        reach
    }

    fn count(&mut self, state: RecipientState, recipients: u64) {
        self.recipients += recipients;
        *match state {
            RecipientState::Delivered => &mut self.delivered,
            RecipientState::Deferred => &mut self.deferred,
            RecipientState::Bounced => &mut self.bounced,
            RecipientState::Expired => &mut self.expired,
            RecipientState::Discarded => &mut self.discarded,
            RecipientState::Open | RecipientState::HandedOn => &mut self.open,
        } += recipients;
    }
}

fn by_count(counts: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// Other addresses of the identities that shared one, and who else used those.
fn further(pivots: &[Pivot], who: Option<&Who>, story: &Story<'_, '_>) -> Vec<String> {
    let uses = &story.found.uses;
    let first: BTreeSet<IpAddr> = pivots.iter().map(|pivot| pivot.ip).collect();
    let others: BTreeSet<&Who> = pivots
        .iter()
        .filter(|pivot| pivot.mark.is_none())
        .flat_map(|pivot| pivot.others.iter().map(|(who, _)| who))
        .collect();
    let mut told = Vec::new();
    for other in others {
        for (ip, used) in uses.ips_of(other).into_iter().filter(|(ip, _)| !first.contains(ip)) {
            let name = printable(&other.1);
            let mut beyond: Vec<String> = uses
                .from_ip(ip)
                .filter(|(third, _)| *third != other && Some(*third) != who)
                .map(|(third, _)| printable(&third.1).into_owned())
                .collect();
            beyond.sort_unstable();
            let mark = story.mark(ip).map_or(String::new(), |mark| format!(" ({mark})"));
            let with = if beyond.is_empty() || !mark.is_empty() {
                String::new()
            } else {
                format!(", where {} mailed from as well", beyond.join(", "))
            };
            told.push(format!("{name}: {} from {ip}{mark}{with}", times(used.messages, "message")));
        }
    }
    told
}
