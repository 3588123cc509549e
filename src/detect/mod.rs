//! The patterns worth waking someone for: one question per file, each a pure function of one identity's profile. No
//! logs, no clock, no other sender, no formatting beyond a finding's own sentence.
//!
//! A new detector is its file and one word in the list below.

use std::collections::BTreeMap;

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use crate::aggregate::SenderProfile;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::words;
use crate::mail::time::Timestamp;

words! {
    /// Harm and certainty together (detectors.md): act this week, today, now.
    Severity { Low = "low", Medium = "medium", High = "high", Critical = "critical" }
}

/// One question about one identity.
pub struct Detector {
    /// `findings.kind`.
    pub kind: &'static str,
    pub question: &'static str,
    pub limits: &'static [Limit],
    check: fn(&SenderProfile, &Limits<'_>) -> Option<Finding>,
}

/// A threshold, with what it counts and where its default comes from.
pub struct Limit {
    pub key: &'static str,
    pub default: f64,
    pub unit: &'static str,
    pub source: &'static str,
}

/// The limits in force for one detector.
pub struct Limits<'a> {
    detector: &'a Detector,
    set: &'a LimitSettings,
}

impl Limits<'_> {
    /// The limit of this key. A key that the detector does not declare is infinite: nothing reaches it.
    fn get(&self, key: &str) -> f64 {
        let set = self.set.0.get(&(self.detector.kind, key.to_string())).copied();
        let default = || self.detector.limits.iter().find(|l| l.key == key).map(|l| l.default);
        set.or_else(default).unwrap_or(f64::INFINITY)
    }
}

/// Limits that differ from the defaults, by detector and key.
#[derive(Debug, Default, Clone)]
pub struct LimitSettings(BTreeMap<(&'static str, String), f64>);

/// A pattern found, about one identity.
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: &'static str,
    pub severity: Severity,
    /// How sure, 0 to 1.
    pub score: f64,
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
    pub next_step: String,
}

impl Finding {
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

detectors![invalid_recipient_flood, sender_rotation, notification_noise];

/// The findings about one identity, in the detectors' order.
pub fn check(profile: &SenderProfile, settings: &LimitSettings) -> Vec<Finding> {
    DETECTORS.iter().filter_map(|detector| (detector.check)(profile, &Limits { detector, set: settings })).collect()
}

/// The identity's score: each further sign adds to what the others leave open.
pub fn score(findings: &[Finding]) -> f64 {
    1.0 - findings.iter().map(|f| 1.0 - f.score).product::<f64>()
}

/// True for those whose mail this host sends for them: it can act on them.
fn is_our_user(profile: &SenderProfile) -> bool {
    matches!(profile.kind, IdentityKind::Sasl | IdentityKind::Uid | IdentityKind::Client)
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
    fn kinds_and_limits_are_told_apart() {
        for (at, detector) in DETECTORS.iter().enumerate() {
            assert!(DETECTORS[..at].iter().all(|other| other.kind != detector.kind), "{}", detector.kind);
            assert!(detector.question.ends_with('?'), "{}", detector.kind);
            for (at, limit) in detector.limits.iter().enumerate() {
                assert!(detector.limits[..at].iter().all(|other| other.key != limit.key), "{}", limit.key);
                assert!(!limit.unit.is_empty() && !limit.source.is_empty(), "{}", limit.key);
            }
        }
    }
}
