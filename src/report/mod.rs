//! From profiles and findings to files: contract.md's tables, `summary.json`, and the text summary. No number is made
//! here that is not there already.

pub mod events;
pub mod history;
pub mod html;
pub mod letter;
mod names;
pub mod parted;
pub mod partial;
pub mod privacy;
pub mod prom;
pub mod publish;
pub mod schema;
pub mod summary;
pub mod tables;
pub mod text;
pub mod trace;

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::aggregate::SenderProfile;
use crate::classify::Classifier;
use crate::correlate::{HostId, Octets};
use crate::detect::{Finding, Severity, Story, score, stories};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::status::Action;
use tables::{Cell, LongTable};

/// An identity with what was found about it.
pub struct Judged {
    pub profile: SenderProfile,
    pub findings: Vec<Finding>,
}

/// Names of hosts by their numbers.
pub struct HostNames(pub Vec<Octets>);

impl HostNames {
    pub fn name(&self, host: HostId) -> &[u8] {
        self.0.get(host.0 as usize).map(|n| &**n).unwrap_or_default()
    }

    /// The hosts of an identity, by name.
    pub(crate) fn of(&self, profile: &SenderProfile) -> Vec<String> {
        let mut names: Vec<_> =
            profile.hosts.iter().map(|h| printable(self.name(*h)).into_owned()).filter(|n| !n.is_empty()).collect();
        names.sort_unstable();
        names
    }

    /// The first of them, for what has room for one.
    pub fn first_of(&self, profile: &SenderProfile) -> String {
        self.of(profile).into_iter().next().unwrap_or_default()
    }
}

/// What an identity is called.
pub fn kind_word(profile: &SenderProfile) -> &'static str {
    match profile.kind {
        IdentityKind::Sasl => "login",
        IdentityKind::Uid => "local user",
        IdentityKind::Client => "client",
        IdentityKind::Sender => "sender",
        IdentityKind::Null if profile.is_host => "host",
        IdentityKind::Null => "bounces of",
        IdentityKind::Unknown => "unknown sender",
    }
}

/// True for the host of logs that name none: `this host` says all.
pub fn is_unnamed_host(profile: &SenderProfile) -> bool {
    profile.is_host && profile.name == b"this host"[..]
}

/// Findings, the worst first.
pub fn worst_first(judged: &[Judged]) -> Vec<(&Judged, &Finding)> {
    let mut all: Vec<_> = judged.iter().flat_map(|j| j.findings.iter().map(move |f| (j, f))).collect();
    // The order of identities and detectors decides what is left.
    all.sort_by(|(_, a), (_, b)| worse(a, b));
    all
}

/// By severity, then by the sum of the signs.
fn worse(a: &Finding, b: &Finding) -> Ordering {
    b.severity.cmp(&a.severity).then(b.signs.weight().total_cmp(&a.signs.weight()))
}

/// All that was found about one identity.
pub struct Incident<'a> {
    pub one: &'a Judged,
    /// The worst first; never none.
    pub findings: Vec<&'a Finding>,
}

impl Incident<'_> {
    pub fn severity(&self) -> Severity {
        self.findings.first().map_or(Severity::Low, |worst| worst.severity)
    }

    /// The ids of what it tells, that of the worst finding first: one, unless weeks lie between some of it.
    pub fn ids(&self, hosts: &HostNames) -> Vec<String> {
        let stories = stories(&self.one.findings);
        let mut ids = Vec::new();
        for finding in &self.findings {
            let id = stories.iter().find(|story| has(story, finding)).map(|story| id(story, self.one, hosts));
            ids.extend(id.filter(|id| !ids.contains(id)));
        }
        ids
    }

    /// What is to be done, the worst finding's first: each step once, at most so many.
    pub fn steps(&self, most: usize) -> Vec<&str> {
        let mut steps: Vec<&str> = Vec::new();
        for finding in &self.findings {
            if !steps.contains(&finding.next_step.as_str()) && steps.len() < most {
                steps.push(&finding.next_step);
            }
        }
        steps
    }
}

fn has(story: &Story<'_>, finding: &Finding) -> bool {
    story.findings.iter().any(|one| std::ptr::eq(*one, finding))
}

fn id(story: &Story<'_>, one: &Judged, hosts: &HostNames) -> String {
    story.id(&one.profile, hosts.first_of(&one.profile).as_bytes())
}

/// Evidence with the incident that a finding is of.
fn evidence(one: &Judged, finding: &Finding, hosts: &HostNames) -> Value {
    let mut evidence = finding.evidence.clone();
    let stories = stories(&one.findings);
    let story = stories.iter().find(|story| has(story, finding));
    if let (Value::Object(fields), Some(story)) = (&mut evidence, story) {
        let incident = json!({
            "id": id(story, one, hosts),
            "severity": story.severity().word(),
            "score": story.score(),
            "first_seen": story.first.to_second().to_string(),
            "last_seen": story.last.to_second().to_string(),
            "findings": kinds(story.findings.iter().copied()),
        });
        fields.insert("incident".into(), incident);
    }
    evidence
}

/// One identity, one incident; the worst first.
pub fn incidents(judged: &[Judged]) -> Vec<Incident<'_>> {
    let mut incidents: Vec<Incident<'_>> = judged
        .iter()
        .filter(|one| !one.findings.is_empty())
        .map(|one| {
            let mut findings: Vec<_> = one.findings.iter().collect();
            findings.sort_by(|a, b| worse(a, b));
            Incident { one, findings }
        })
        .collect();
    // The order of identities decides what is left.
    incidents.sort_by(|a, b| match (a.findings.first(), b.findings.first()) {
        (Some(a), Some(b)) => worse(a, b),
        _ => Ordering::Equal,
    });
    incidents
}

pub fn findings(judged: &[Judged], hosts: &HostNames, table: &mut LongTable) {
    for (one, finding) in worst_first(judged) {
        let profile = &one.profile;
        let host = hosts.first_of(profile);
        table.push([
            Cell::text(finding.id(profile, host.as_bytes())),
            Cell::text(finding.kind),
            Cell::text(finding.severity.word()),
            Cell::Real(finding.score),
            Cell::text(profile.kind.word()),
            Cell::log(&profile.name),
            Cell::text(host),
            Cell::Time(finding.first_seen),
            Cell::Time(finding.last_seen),
            Cell::Count(finding.messages),
            Cell::Count(finding.recipients),
            Cell::List(finding.client_ips.iter().map(ToString::to_string).collect()),
            Cell::List(finding.queue_ids.iter().map(ToString::to_string).collect()),
            Cell::Count(finding.queue_id_count),
            Cell::text(finding.explanation.clone()),
            Cell::Json(evidence(one, finding, hosts)),
            Cell::text(finding.next_step.clone()),
        ]);
    }
}

pub fn senders(judged: &[Judged], hosts: &HostNames, table: &mut LongTable) {
    for Judged { profile, findings } in judged {
        let peak = profile.asked.peak(60);
        table.push([
            Cell::text(profile.kind.word()),
            Cell::log(&profile.name),
            Cell::List(hosts.of(profile)),
            Cell::Time(profile.first_seen),
            Cell::Time(profile.last_seen),
            Cell::Count(profile.messages),
            Cell::Count(profile.bytes),
            Cell::Count(profile.recipients),
            Cell::Count(profile.distinct_recipients.count()),
            Cell::Count(profile.distinct_recipient_domains.count()),
            Cell::Count(profile.delivered),
            Cell::Count(profile.deferred),
            Cell::Count(profile.deferral_attempts),
            Cell::Count(profile.bounced),
            Cell::Count(profile.expired),
            Cell::Count(profile.rejected),
            Cell::Count(profile.tempfailed),
            Cell::Count(profile.invalid_recipients.count()),
            if profile.distinct_recipients.count() == 0 { Cell::None } else { Cell::Real(profile.invalid_share()) },
            Cell::Count(profile.envelope_senders.count()),
            Cell::Count(profile.envelope_sender_domains.count()),
            Cell::Count(profile.client_ips.len() as u64),
            Cell::Count(profile.client_networks()),
            Cell::Count(profile.auth_failures),
            peak.map_or(Cell::None, |peak| Cell::Time(peak.start)),
            Cell::Count(peak.map_or(0, |peak| peak.count)),
            profile.top_category().map_or(Cell::None, |category| Cell::text(category.id())),
            Cell::List(kinds(findings.iter())),
            Cell::Real(score(findings)),
        ]);
    }
}

/// Kinds of findings, each once, in their order.
fn kinds<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for finding in findings {
        if !kinds.iter().any(|kind| kind == finding.kind) {
            kinds.push(finding.kind.to_string());
        }
    }
    kinds
}

pub fn reasons(judged: &[Judged], hosts: &HostNames, classifier: &Classifier, table: &mut LongTable) {
    for Judged { profile, .. } in judged {
        for (key, reason) in &profile.reasons {
            let (smtp_code, enhanced_code) = reason.codes();
            table.push([
                Cell::text(profile.kind.word()),
                Cell::log(&profile.name),
                Cell::text(key.direction.word()),
                Cell::text(key.action.word()),
                Cell::text(key.category.id()),
                Cell::text(key.category.family()),
                Cell::text(polarity(key.action)),
                smtp_code.map_or(Cell::None, |code| Cell::count(code.get())),
                enhanced_code.map_or(Cell::None, |code| Cell::text(code.to_string())),
                Cell::text(String::from_utf8_lossy(&key.provider)),
                reason.dnsbl().map_or(Cell::None, |list| Cell::log(list.as_bytes())),
                Cell::Count(reason.attempts),
                Cell::Count(reason.messages),
                Cell::Count(reason.recipients.count()),
                Cell::Time(reason.first),
                Cell::Time(reason.last),
                Cell::log(&reason.example),
                Cell::text(classifier.who_acts(key.category, reason.by_us).word()),
                Cell::text(classifier.resolution(key.category, reason.dnsbl())),
                Cell::List(hosts.of(profile)),
            ]);
        }
    }
}

/// An event's own polarity, from what was done (taxonomy.md).
const fn polarity(action: Action) -> &'static str {
    match action {
        Action::Deferred | Action::Tempfailed | Action::Held => "temporary",
        _ => "permanent",
    }
}
