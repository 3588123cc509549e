//! What is new, worse, ongoing or resolved beside what was told before.

use std::collections::{BTreeMap, HashMap};

use crate::aggregate::{Around, share};
use crate::archive::manifest::{Incident, Manifest, Silenced};
use crate::correlate::HostId;
use crate::detect::{Finding, Severity};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};
use crate::report::letter::{Standing, Told};
use crate::report::text::many;
use crate::report::{HostNames, Judged, worst_first};

/// A finding is worse with so many times the recipients.
const WORSE: u64 = 2;
/// What was accepted is much worse with so many times the recipients or messages, and so many more.
const MUCH_WORSE: u64 = 3;
const MORE: u64 = 50;
/// An incident of which nothing is heard is forgotten after so many days.
const FORGET_DAYS: i64 = 60;
/// Changes of which it is told whose mail rose before.
const CHANGES: usize = 5;
/// Identities that are named for a change.
const NAMED: usize = 3;
/// More recipients in the day before than in the day before that, from which on mail rose.
const ROSE: u64 = 20;

/// How each finding stands beside what was told. Takes down what is known now; what was told is noted by [`told`].
pub fn standing(
    manifest: &mut Manifest,
    judged: &[Judged],
    hosts: &HostNames,
    since: Option<Timestamp>,
    now: Timestamp,
    alert: Severity,
) -> Vec<Told> {
    let mut all = Vec::new();
    let mut known_at = by_pattern(&manifest.incidents);
    let mut is_found = vec![false; manifest.incidents.len()];
    for (one, finding) in worst_first(judged) {
        let told = described(one, finding, hosts);
        let at = *known_at.entry(told.pattern()).or_insert(manifest.incidents.len());
        match is_found.get_mut(at) {
            Some(is_found) => *is_found = true,
            None => is_found.push(true),
        }
        let is_active = since.is_none_or(|since| finding.last_seen >= since);
        let severity = finding.severity;
        let known = manifest.incidents.get_mut(at);
        let told_day = known.as_ref().map_or(i64::MIN, |known| known.told_day);
        let standing = match &known {
            // What comes again is new.
            Some(known) if known.is_resolved => is_active.then_some(Standing::New),
            Some(known) if known.is_told => {
                let is_worse = Severity::from_word(&known.severity).is_some_and(|before| severity > before)
                    || finding.recipients > WORSE * known.recipients.max(1);
                Some(match (is_active, is_worse) {
                    (true, true) => Standing::Worse,
                    (true, false) => Standing::Ongoing(now.day() - known.since_day + 1),
                    (false, _) => Standing::Resolved,
                })
            }
            _ => Some(Standing::New),
        };
        let kept = Incident {
            kind: finding.kind.to_string(),
            identity_kind: told.identity_kind.clone(),
            identity: told.identity.clone(),
            host: told.host.clone(),
            severity: severity.word().to_string(),
            first_seen: finding.first_seen,
            last_seen: finding.last_seen,
            recipients: finding.recipients,
            messages: finding.messages,
            since_day: now.day(),
            is_told: false,
            told_day: 0,
            is_resolved: false,
        };
        match known {
            // What it was when it was told is what it is compared with.
            Some(known) if known.is_told => known.last_seen = known.last_seen.max(finding.last_seen),
            Some(known) => *known = Incident { since_day: known.since_day, ..kept },
            None => manifest.incidents.push(kept),
        }
        if let Some(standing) = standing.filter(|_| severity >= alert) {
            let is_news = match standing {
                Standing::New | Standing::Worse => true,
                // Once a day, however often the logs are read.
                Standing::Ongoing(_) => told_day < now.day(),
                Standing::Resolved => false,
            };
            all.push(Told { standing, is_news, ..told });
        }
    }
    let mut is_found = is_found.into_iter();
    manifest.incidents.retain(|incident| {
        let is_found = is_found.next().unwrap_or(false);
        let is_old = now.day() - incident.last_seen.day() > FORGET_DAYS;
        let is_open = incident.is_told && !incident.is_resolved && !is_old;
        if !is_found && is_open {
            all.push(resolved(incident));
        }
        // One that was not told is nothing to come back to.
        is_found || is_open
    });
    // Those of one identity together, the worst identity first; what is over comes last.
    let mut order: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for told in all.iter().filter(|told| told.standing != Standing::Resolved) {
        let next = order.len();
        order.entry(key(told)).or_insert(next);
    }
    all.sort_by_key(|told| match told.standing {
        Standing::Resolved => usize::MAX,
        _ => order.get(&key(told)).copied().unwrap_or(usize::MAX),
    });
    all
}

fn key(told: &Told) -> (String, String, String) {
    (told.identity_kind.clone(), told.identity.clone(), told.host.clone())
}

fn described(one: &Judged, finding: &Finding, hosts: &HostNames) -> Told {
    Told {
        standing: Standing::New,
        is_news: true,
        severity: finding.severity.word(),
        kind: finding.kind.to_string(),
        identity_kind: one.profile.kind.word().to_string(),
        identity: printable(&one.profile.name).into_owned(),
        host: hosts.first_of(&one.profile),
        explanation: finding.explanation.clone(),
        signs: format!("{} ({})", finding.signs.text(), finding.severity),
        next_step: finding.next_step.clone(),
        first_seen: finding.first_seen,
        recipients: finding.recipients,
    }
}

fn resolved(incident: &Incident) -> Told {
    Told {
        standing: Standing::Resolved,
        is_news: false,
        severity: Severity::from_word(&incident.severity).map_or("", Severity::word),
        kind: incident.kind.clone(),
        identity_kind: incident.identity_kind.clone(),
        identity: incident.identity.clone(),
        host: incident.host.clone(),
        explanation: String::new(),
        signs: String::new(),
        next_step: String::new(),
        first_seen: incident.first_seen,
        recipients: incident.recipients,
    }
}

/// What is told of again and again: kind of finding, kind and name of the identity, host.
type Pattern = (String, String, String, String);

impl Told {
    fn pattern(&self) -> Pattern {
        (self.kind.clone(), self.identity_kind.clone(), self.identity.clone(), self.host.clone())
    }
}

impl Incident {
    fn pattern(&self) -> Pattern {
        (self.kind.clone(), self.identity_kind.clone(), self.identity.clone(), self.host.clone())
    }
}

/// Where each incident stands: there may be as many as somebody has addresses to try from.
fn by_pattern(incidents: &[Incident]) -> HashMap<Pattern, usize> {
    incidents.iter().enumerate().map(|(at, incident)| (incident.pattern(), at)).collect()
}

/// Notes that a letter was written on the day of `now`: what it told is known from then on.
pub fn told(manifest: &mut Manifest, letter: &[Told], now: Timestamp) {
    let known_at = by_pattern(&manifest.incidents);
    for told in letter {
        let at = known_at.get(&told.pattern());
        let Some(incident) = at.and_then(|at| manifest.incidents.get_mut(*at)) else { continue };
        match told.standing {
            Standing::Resolved => incident.is_resolved = true,
            Standing::New | Standing::Worse | Standing::Ongoing(_) => {
                (incident.is_told, incident.is_resolved, incident.told_day) = (true, false, now.day());
                incident.severity = told.severity.to_string();
                incident.recipients = told.recipients;
            }
        }
    }
}

/// True for a finding of a known sender that is much worse than when it was first silenced. Notes how it was then.
pub fn is_much_worse(manifest: &mut Manifest, identity: &str, finding: &Finding) -> bool {
    let is_this = |known: &&Silenced| known.identity.eq_ignore_ascii_case(identity) && known.kind == finding.kind;
    let known = manifest.silenced.iter().find(is_this);
    let Some(known) = known else {
        manifest.silenced.push(Silenced {
            identity: identity.to_string(),
            kind: finding.kind.to_string(),
            severity: finding.severity.word().to_string(),
            recipients: finding.recipients,
            messages: finding.messages,
        });
        return false;
    };
    let rose = |now: u64, then: u64| now >= MUCH_WORSE * then.max(1) && now >= then + MORE;
    Severity::from_word(&known.severity).is_some_and(|then| finding.severity > then)
        || rose(finding.recipients, known.recipients)
        || rose(finding.messages, known.messages)
}

/// A receiver that began to refuse a host's mail for its reputation.
pub struct Change {
    host: String,
    receiver: String,
    at: Timestamp,
    answers: u64,
    share: f64,
    lists: Vec<String>,
    /// Whose mail rose in the day before, from how many recipients to how many; `None` where that is not known.
    rose: Option<Vec<(String, u64, u64)>>,
}

impl Change {
    pub fn text(&self) -> String {
        let on = if self.host.is_empty() { "this host".to_string() } else { self.host.clone() };
        let lists = if self.lists.is_empty() { String::new() } else { format!(", naming {}", self.lists.join(", ")) };
        let one = |(name, before, after): &(String, u64, u64)| format!("{name} ({before} to {after} recipients a day)");
        let rose = match &self.rose {
            None => String::new(),
            Some(rose) if rose.is_empty() => " Nobody's mail rose before it.".to_string(),
            Some(rose) => {
                format!(" Before it rose the mail of {}.", rose.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        };
        let share = self.share * 100.0;
        let share = if share < 1.0 { "under 1".to_string() } else { format!("{share:.0}") };
        format!(
            "{} refuses mail of {on} for its reputation or rate since {}: {}, {share} % of what it said{lists}.{rose}",
            self.receiver,
            self.at,
            many(self.answers, "answer"),
        )
    }
}

/// What changed at other servers since `since`, and was not told before.
pub fn changes(
    manifest: &mut Manifest,
    judged: &[Judged],
    around: &Around,
    hosts: &HostNames,
    since: Option<Timestamp>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for ((host, receiver), seen) in &around.receivers {
        let first = [seen.first_reputation, seen.first_listed].into_iter().flatten().min();
        let Some(at) = first else { continue };
        let (host_name, receiver) = (printable(hosts.name(*host)).into_owned(), printable(receiver).into_owned());
        let known = manifest.refusals.entry(host_name.clone()).or_default();
        if known.insert(receiver.clone(), at).is_some() || since.is_some_and(|since| at < since) {
            continue;
        }
        let total = seen.total();
        let answers = total.reputation.max(total.listed);
        let change = Change {
            host: host_name,
            receiver,
            at,
            answers,
            share: share(answers, total.delivered + answers),
            lists: seen.lists.keys().map(|list| printable(list.as_bytes()).into_owned()).collect(),
            rose: None,
        };
        changes.push((change, *host));
    }
    changes.sort_by_key(|(change, _)| std::cmp::Reverse(change.answers));
    // Whose mail rose is looked up for those that are shown.
    let shown = changes.into_iter().enumerate();
    let begins = judged.iter().map(|one| one.profile.first_seen).min();
    // Nothing rose beside days of which nothing is known.
    let is_covered = |at: Timestamp| begins.is_some_and(|begins| begins <= at.plus_seconds(-2 * SECONDS_PER_DAY));
    shown
        .map(|(at, (change, host))| match at {
            ..CHANGES if is_covered(change.at) => Change { rose: Some(rose(judged, host, change.at)), ..change },
            _ => change,
        })
        .collect()
}

fn rose(judged: &[Judged], host: HostId, at: Timestamp) -> Vec<(String, u64, u64)> {
    let (day, two) = (at.plus_seconds(-SECONDS_PER_DAY), at.plus_seconds(-2 * SECONDS_PER_DAY));
    let mut rose: Vec<_> = judged
        .iter()
        .map(|one| &one.profile)
        .filter(|profile| profile.is_our_user() && profile.hosts.contains(&host))
        .map(|profile| {
            let name = format!("{} {}", profile.kind.word(), printable(&profile.name));
            (name, profile.asked.between(two, day), profile.asked.between(day, at.plus_seconds(60)))
        })
        .filter(|(_, before, after)| *after >= before + ROSE && *after >= 2 * before)
        .collect();
    rose.sort_by_key(|(_, before, after)| std::cmp::Reverse(after - before));
    rose.truncate(NAMED);
    rose
}
