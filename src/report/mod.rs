//! From profiles and findings to files: contract.md's tables, `summary.json`, and the text summary. No number is made
//! here that is not there already.

pub mod events;
pub mod history;
pub mod html;
pub mod letter;
mod names;
pub mod parted;
pub mod privacy;
pub mod prom;
pub mod publish;
pub mod schema;
pub mod summary;
pub mod tables;
pub mod text;
pub mod trace;

use crate::aggregate::SenderProfile;
use crate::classify::Classifier;
use crate::correlate::{HostId, Octets};
use crate::detect::{Finding, Severity, score};
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

/// Findings, the worst first.
pub fn worst_first(judged: &[Judged]) -> Vec<(&Judged, &Finding)> {
    let mut all: Vec<_> = judged.iter().flat_map(|j| j.findings.iter().map(move |f| (j, f))).collect();
    // The order of identities and detectors decides what is left.
    all.sort_by(|(_, a), (_, b)| b.severity.cmp(&a.severity).then(b.score.total_cmp(&a.score)));
    all
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
}

/// One identity, one incident; the worst first.
pub fn incidents(judged: &[Judged]) -> Vec<Incident<'_>> {
    let worse = |a: &Finding, b: &Finding| b.severity.cmp(&a.severity).then(b.score.total_cmp(&a.score));
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
        _ => std::cmp::Ordering::Equal,
    });
    incidents
}

pub fn findings(judged: &[Judged], hosts: &HostNames, table: &mut LongTable) {
    for (Judged { profile, .. }, finding) in worst_first(judged) {
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
            Cell::Json(finding.evidence.clone()),
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
            Cell::List(kinds(findings)),
            Cell::Real(score(findings)),
        ]);
    }
}

/// Kinds of findings, each once, in their order.
fn kinds(findings: &[Finding]) -> Vec<String> {
    let mut kinds: Vec<String> = findings.iter().map(|finding| finding.kind.to_string()).collect();
    // Findings of one kind stand beside each other.
    kinds.dedup();
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
