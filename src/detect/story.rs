//! Incidents: findings about one identity that belong together, one story with several signs.

use xxhash_rust::xxh3::Xxh3;

use super::{Finding, Severity, score};
use crate::aggregate::SenderProfile;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// Findings whose patterns lie farther apart than this are two stories.
const APART_S: i64 = 7 * SECONDS_PER_DAY;

/// Some of the findings about one identity.
pub struct Story<'a> {
    /// In the order of their beginnings; never none.
    pub findings: Vec<&'a Finding>,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// The findings about one identity, parted where a week lies between them.
pub fn stories(findings: &[Finding]) -> Vec<Story<'_>> {
    let mut ordered: Vec<_> = findings.iter().collect();
    ordered.sort_by_key(|finding| finding.first_seen);
    let mut stories: Vec<Story<'_>> = Vec::new();
    for finding in ordered {
        match stories.last_mut().filter(|story| finding.first_seen.seconds_since(story.last) <= APART_S) {
            Some(story) => {
                story.last = story.last.max(finding.last_seen);
                story.findings.push(finding);
            }
            None => stories.push(Story {
                findings: vec![finding],
                first: finding.first_seen,
                last: finding.last_seen.max(finding.first_seen),
            }),
        }
    }
    stories
}

impl Story<'_> {
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Low)
    }

    pub fn score(&self) -> f64 {
        score(self.findings.iter().copied())
    }

    /// The same in every run whose logs show its first day: more findings, and more logs behind it, change nothing.
    pub fn id(&self, profile: &SenderProfile, host: &[u8]) -> String {
        let mut hash = Xxh3::new();
        for part in [b"incident", profile.kind.word().as_bytes(), &profile.name, host] {
            hash.update(part);
            hash.update(b"\0");
        }
        hash.update(&self.first.day().to_be_bytes());
        format!("{:016x}", hash.digest())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::detect::signs::{FAR_OVER, OVER_THE_LIMIT, UNCLEAN_LIST};
    use crate::detect::{Sign, Signs};

    fn finding(kind: &'static str, signs: &[&'static Sign], days: [i64; 2]) -> Finding {
        let signs = signs.iter().fold(Signs::default(), |all, sign| all.and(true, sign));
        Finding {
            kind,
            severity: Severity::of_score(signs.weight()),
            score: signs.weight().min(1.0),
            signs,
            first_seen: Timestamp::from_seconds(days[0] * SECONDS_PER_DAY),
            last_seen: Timestamp::from_seconds(days[1] * SECONDS_PER_DAY),
            messages: 0,
            recipients: 0,
            queue_ids: Vec::new(),
            queue_id_count: 0,
            explanation: String::new(),
            evidence: Value::Null,
            client_ips: Vec::new(),
            next_step: String::new(),
        }
    }

    #[test]
    fn findings_within_a_week_are_one_story() {
        let hourly = finding("hourly-limit", &[OVER_THE_LIMIT, UNCLEAN_LIST], [10, 11]);
        let bulk = finding("bulk-campaign", &[UNCLEAN_LIST, FAR_OVER], [18, 18]);
        let later = finding("hourly-limit", &[OVER_THE_LIMIT], [26, 27]);
        let all = [later, bulk, hourly];
        let stories = stories(&all);
        let told: Vec<Vec<_>> = stories.iter().map(|one| one.findings.iter().map(|f| f.kind).collect()).collect();
        assert_eq!(told, [vec!["hourly-limit", "bulk-campaign"], vec!["hourly-limit"]]);
        // Each sign once; as severe as the worst of it.
        let judged: Vec<_> = stories.iter().map(|one| (one.score(), one.severity())).collect();
        assert_eq!(judged, [(0.6, Severity::Medium), (0.2, Severity::Low)]);
        assert_eq!((stories[0].first.day(), stories[0].last.day()), (10, 18));
    }
}
