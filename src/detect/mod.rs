//! The patterns worth waking someone for: one question per file, each a pure function of one identity's profile and of
//! what is known around it ([`Case`]). No logs, no clock, no formatting beyond a finding's own sentence.
//!
//! A new detector is its file and one word in the list below.

mod campaign;
mod case;
mod clients;
mod history;
mod own;
mod peers;
mod retries;
mod signs;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use rayon::prelude::*;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

pub use self::case::Case;
use self::case::Surroundings;
pub use self::history::{History, Past};
pub use self::signs::{SIGNS, Sign, Signs};
pub use self::story::{Story, stories};
use crate::aggregate::{Around, QUEUE_IDS, QueueIds, SenderProfile};
use crate::error::did_you_mean;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::words;
use crate::mail::time::{Timestamp, without_fractions};
use crate::places::Places;

words! {
    /// Harm and certainty together (detectors.md): act this week, today, now.
    Severity { Low = "low", Medium = "medium", High = "high", Critical = "critical" }
}

impl Severity {
    /// The least score of this severity, the same for every kind of finding.
    pub const fn least_score(self) -> f64 {
        match self {
            Self::Low => 0.0,
            Self::Medium => 0.4,
            Self::High => 0.6,
            Self::Critical => 0.9,
        }
    }

    /// What a score comes to.
    pub fn of_score(score: f64) -> Self {
        Self::ALL.iter().rev().copied().find(|one| score >= one.least_score()).unwrap_or(Self::Low)
    }
}

/// One question about one identity.
pub struct Detector {
    /// `findings.kind`.
    pub kind: &'static str,
    pub question: &'static str,
    pub limits: &'static [Limit],
    /// All that may speak for it.
    pub signs: &'static [&'static Sign],
    check: Check,
}

/// How a detector answers: about the identity as a whole, or run by run.
enum Check {
    One(fn(&Case<'_>, &Limits<'_>) -> Option<Draft>),
    Many(fn(&Case<'_>, &Limits<'_>) -> Vec<Draft>),
}

/// A threshold, with what it counts and where its default comes from.
pub struct Limit {
    pub key: &'static str,
    pub default: f64,
    pub unit: &'static str,
    pub source: &'static str,
}

impl Limit {
    /// True for a part of something, such as `of the recipients asked for in the window`.
    fn is_share(&self) -> bool {
        self.unit.starts_with("of ")
    }
}

/// The limits in force for one detector and one identity.
pub struct Limits<'a> {
    detector: &'a Detector,
    /// What is set for this identity, and for all.
    own: Option<&'a LimitSettings>,
    set: &'a LimitSettings,
}

impl<'a> Limits<'a> {
    /// Those of another detector, for the same identity.
    fn of(&self, detector: &'a Detector) -> Self {
        Self { detector, ..*self }
    }

    /// The limit of this key. A key that the detector does not declare is infinite: nothing reaches it.
    fn get(&self, key: &str) -> f64 {
        let set = |settings: &LimitSettings| settings.get(self.detector.kind, key);
        let default = || self.detector.limits.iter().find(|l| l.key == key).map(|l| l.default);
        self.own.and_then(set).or_else(|| set(self.set)).or_else(default).unwrap_or(f64::INFINITY)
    }
}

/// Limits that differ from the defaults, by detector and key.
#[derive(Debug, Default, Clone)]
pub struct LimitSettings(BTreeMap<(&'static str, String), f64>);

impl LimitSettings {
    /// What this limit is set to. `None` for its default.
    pub fn get(&self, kind: &'static str, key: &str) -> Option<f64> {
        self.0.get(&(kind, key.to_string())).copied()
    }

    /// Sets one limit.
    ///
    /// # Errors
    /// What is wrong with the detector's kind, the key or the value, and what would be right.
    pub fn set(&mut self, kind: &str, key: &str, value: f64) -> Result<(), String> {
        let kinds = || DETECTORS.iter().map(|d| d.kind).collect::<Vec<_>>().join(", ");
        let detector = detector(kind).ok_or_else(|| {
            let meant = did_you_mean(kind, DETECTORS.iter().map(|d| d.kind));
            format!("no detector '{kind}'; there are {}{meant}", kinds())
        })?;
        let keys = || detector.limits.iter().map(|limit| limit.key).collect::<Vec<_>>().join(", ");
        let limit = detector.limits.iter().find(|limit| limit.key == key);
        let limit = limit.ok_or_else(|| format!("{kind} has no limit '{key}'; it has {}", keys()))?;
        let (is_right, wanted) = if limit.is_share() {
            ((0.0..=1.0).contains(&value), "a share from 0 to 1")
        } else {
            (value.is_finite() && value > 0.0, "a number above 0")
        };
        if !is_right {
            return Err(format!("{kind}.{key} = {value}: {wanted} is wanted ({})", limit.unit));
        }
        self.0.insert((detector.kind, key.to_string()), value);
        Ok(())
    }
}

/// A sender that is known and may do what the kinds say, until a day.
#[derive(Debug, Clone)]
pub struct Allow {
    /// The identity's name, in any letter case, or its kind and name: `uid:33`.
    pub identity: String,
    /// Kinds of findings; all where it is empty.
    pub kinds: Vec<String>,
    /// Findings of what goes on on this UTC day or later are told again, in days since 1970; `None` for never.
    pub until_day: Option<i64>,
    /// The same as written.
    pub until: Option<String>,
    pub why: String,
}

impl Allow {
    /// True if this entry silences a finding about this identity.
    pub fn silences(&self, profile: &SenderProfile, finding: &Finding) -> bool {
        self.is_about(Some(profile.kind), &profile.name)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == finding.kind))
            && self.until_day.is_none_or(|day| finding.last_seen.max(finding.first_seen).day() < day)
    }

    /// True if this entry is about an identity of this name, of whatever kind where that is not known.
    pub fn is_about(&self, kind: Option<IdentityKind>, name: &[u8]) -> bool {
        let is_name = |said: &str| said.as_bytes().eq_ignore_ascii_case(name);
        is_name(&self.identity)
            || self.identity.split_once(':').is_some_and(|(prefix, rest)| {
                is_name(rest) && kinds_of(prefix).iter().any(|one| kind.is_none_or(|kind| kind == *one))
            })
    }
}

/// The kinds of identities that a word in front of a name stands for: the kind itself, or as `trace` takes it.
fn kinds_of(prefix: &str) -> &'static [IdentityKind] {
    match prefix.to_ascii_lowercase().as_str() {
        "ip" => &[IdentityKind::Client],
        "address" => &[IdentityKind::Sasl, IdentityKind::Sender],
        word => IdentityKind::ALL
            .iter()
            .position(|kind| kind.word() == word)
            .map_or(&[], |at| IdentityKind::ALL.get(at..=at).unwrap_or_default()),
    }
}

/// What an administrator has set for detection.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub limits: LimitSettings,
    /// Limits of single identities, by their names in lower case, or kinds and names (`uid:33`): they go before the others.
    pub identities: BTreeMap<Vec<u8>, LimitSettings>,
    pub allow: Vec<Allow>,
    /// Domains that are this site's, whatever the logs show.
    pub hosted: Vec<String>,
    /// Networks of this site: its webmail, its offices, its VPN.
    pub own_networks: Vec<IpNetwork>,
}

impl Settings {
    fn limits_of(&self, profile: &SenderProfile) -> Option<&LimitSettings> {
        if self.identities.is_empty() {
            return None;
        }
        let name = profile.name.to_ascii_lowercase();
        let with_kind = || [profile.kind.word().as_bytes(), b":", &name].concat();
        self.identities.get(&name).or_else(|| self.identities.get(&with_kind()))
    }
}

/// The detector of this kind of findings.
pub fn detector(kind: &str) -> Option<&'static Detector> {
    DETECTORS.iter().find(|detector| detector.kind == kind).copied()
}

/// True for the kind of a detector.
pub fn is_kind(kind: &str) -> bool {
    detector(kind).is_some()
}

/// A pattern found, about one identity.
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: &'static str,
    pub severity: Severity,
    /// The sum of the signs' weights, 1 where it is more.
    pub score: f64,
    pub signs: Signs,
    /// First and last moment of the pattern, not of the account.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub messages: u64,
    pub recipients: u64,
    pub queue_ids: Vec<QueueId>,
    pub queue_id_count: u64,
    /// One sentence with the numbers in it.
    pub explanation: String,
    pub evidence: Value,
    /// Addresses that the pattern came from; of those of one login that are used by two, the other's.
    pub client_ips: Vec<IpAddr>,
    pub next_step: String,
}

/// What a detector says; the rest of a [`Finding`] is the same for all.
struct Draft {
    signs: Signs,
    first: Timestamp,
    last: Timestamp,
    messages: u64,
    recipients: u64,
    queue_ids: QueueIds,
    explanation: String,
    evidence: Value,
    /// `None` where they are all of the identity's.
    client_ips: Option<Vec<IpAddr>>,
    next_step: String,
}

/// Longest word of a sentence: names of thousands of letters would leave no room for what is said of them.
const LONGEST_WORD: usize = 100;

/// A sentence with its long words cut.
fn cut(text: &str) -> String {
    let word = |word: &str| match word.char_indices().nth(LONGEST_WORD) {
        Some((end, _)) => format!("{}...", word.get(..end).unwrap_or_default()),
        None => word.to_string(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

impl Finding {
    /// Names of any length in [`Finding::explanation`] and [`Finding::next_step`] are cut, once whom they name is hidden.
    pub fn cut_names(&mut self) {
        self.explanation = cut(&self.explanation);
        self.next_step = cut(&self.next_step);
    }

    /// The same for the same pattern of the same identity, in every run over the same data.
    pub fn id(&self, profile: &SenderProfile, host: &[u8]) -> String {
        let mut hash = Xxh3::new();
        for part in [self.kind.as_bytes(), profile.kind.word().as_bytes(), &profile.name, host] {
            hash.update(part);
            hash.update(b"\0");
        }
        hash.update(&self.first_seen.0.to_be_bytes());
        format!("{:016x}", hash.digest())
    }
}

macro_rules! detectors {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+
        /// Every detector, in the order of the report.
        pub const DETECTORS: &[&Detector] = &[$(&$name::DETECTOR),+];
    };
}

detectors![
    account_takeover,
    invalid_recipient_flood,
    sender_rotation,
    form_abuse,
    bulk_campaign,
    hourly_limit,
    foreign_sender_domain,
    whole_server_relay,
    notification_noise,
    dead_recipient_retries,
    full_mailbox_hammering,
    cannot_receive,
    unwanted_recipient,
    sms_gateway,
    unreplyable_sender,
    spf_not_authorized,
    reputation_damage,
    false_listing,
    backscatter,
    directory_harvest,
    password_guessing,
];

/// The findings about each identity, in the order of `profiles` and of the detectors; `history` is what is known of days
/// before.
pub fn check(
    profiles: &[SenderProfile],
    around: &Around,
    history: &History,
    settings: &Settings,
    places: &Places,
) -> Vec<Vec<Finding>> {
    let surroundings = Surroundings::new(profiles, around, history, places, &settings.own_networks);
    profiles
        .par_iter()
        .map(|profile| {
            let case = Case { profile, surroundings: &surroundings };
            let own = settings.limits_of(profile);
            let limits = |detector| Limits { detector, own, set: &settings.limits };
            DETECTORS.iter().flat_map(|detector| found(&limits(detector), &case)).collect()
        })
        .collect()
}

fn found(limits: &Limits<'_>, case: &Case<'_>) -> Vec<Finding> {
    let detector = limits.detector;
    let profile_ips = || case.profile.client_ips.iter().copied().collect();
    let drafts = match detector.check {
        Check::One(check) => check(case, limits).into_iter().collect(),
        Check::Many(check) => check(case, limits),
    };
    let finding = |draft: Draft| Finding {
        kind: detector.kind,
        severity: Severity::of_score(draft.signs.weight()),
        score: draft.signs.weight().min(1.0),
        first_seen: draft.first,
        last_seen: draft.last,
        messages: draft.messages,
        recipients: draft.recipients,
        queue_id_count: queue_id_count(&draft.queue_ids),
        queue_ids: draft.queue_ids.things().copied().collect(),
        explanation: without_fractions(&draft.explanation),
        evidence: case::with(with_signs(&draft.signs, draft.evidence), "client_places", case.client_places()),
        signs: draft.signs,
        client_ips: draft.client_ips.unwrap_or_else(profile_ips),
        next_step: draft.next_step,
    };
    drafts.into_iter().map(finding).collect()
}

/// How many messages there are ids of: where fewer are kept than there is room for, that is all of them.
fn queue_id_count(ids: &QueueIds) -> u64 {
    let kept = ids.things().count();
    if kept < QUEUE_IDS { kept as u64 } else { ids.count }
}

/// Evidence behind the signs that it is of, and their sum.
fn with_signs(signs: &Signs, evidence: Value) -> Value {
    let mut all = Map::new();
    all.insert("signs".into(), signs.to_json());
    all.insert("weight".into(), signs.weight().into());
    if let Value::Object(evidence) = evidence {
        all.extend(evidence);
    }
    Value::Object(all)
}

/// The score of several findings about one identity: the sum of all their signs' weights, each sign once, 1 where it is more.
pub fn score<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> f64 {
    let mut names = BTreeSet::new();
    let all = findings.into_iter().flat_map(|finding| finding.signs.all().iter().copied());
    signs::sum(all.filter(|sign| names.insert(sign.name))).min(1.0)
}

/// A number with its word, for an explanation.
fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The first of some names, for a sentence, and how many more there are.
fn first_of(names: &[impl AsRef<str>], count: u64) -> String {
    /// Names in a sentence.
    const NAMES: usize = 3;
    let shown = names.iter().take(NAMES).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match count.saturating_sub(names.len().min(NAMES) as u64) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A network with the length of its prefix, as no address is written.
fn network_text(network: IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 24 } else { 48 })
}

/// How an explanation names the identity.
fn named(profile: &SenderProfile) -> String {
    let name = crate::mail::address::printable(&profile.name);
    match profile.kind {
        IdentityKind::Sasl => format!("login {name}"),
        IdentityKind::Uid => format!("local user {name}"),
        IdentityKind::Client => format!("client {name}"),
        IdentityKind::Sender => format!("sender {name}"),
        IdentityKind::Null => format!("bounces of {name}"),
        IdentityKind::Unknown => "an unknown sender".to_string(),
    }
}

/// What stops this identity from sending, in words that fit its kind.
fn stop_it(profile: &SenderProfile) -> &'static str {
    match profile.kind {
        IdentityKind::Sasl => "suspend the login and reset its password",
        IdentityKind::Uid => "stop the script that runs as this user and find how it got there",
        _ => "take the client out of the trusted networks until it is clean",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_of_one_severity() {
        let of = [0.0, 0.399, 0.4, 0.599, 0.6, 0.899, 0.9, 1.7].map(Severity::of_score);
        use Severity::*;
        assert_eq!(of, [Low, Low, Medium, Medium, High, High, Critical, Critical]);
    }

    #[test]
    fn kinds_and_limits_are_told_apart() {
        for (at, detector) in DETECTORS.iter().enumerate() {
            assert!(DETECTORS[..at].iter().all(|other| other.kind != detector.kind), "{}", detector.kind);
            assert!(detector.question.ends_with('?'), "{}", detector.kind);
            for (at, limit) in detector.limits.iter().enumerate() {
                assert!(detector.limits[..at].iter().all(|other| other.key != limit.key), "{}", limit.key);
                assert!(!limit.unit.is_empty() && !limit.source.is_empty(), "{}", limit.key);
            }
            assert!(!detector.signs.is_empty(), "{}", detector.kind);
        }
        let is_used = |sign: &&&Sign| DETECTORS.iter().any(|detector| detector.signs.contains(*sign));
        assert_eq!(SIGNS.iter().find(|sign| !is_used(sign)), None);
    }
}
