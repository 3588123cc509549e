//! Fresh messages to domains that take no mail at all: no such domain, no mail server, a null MX.

use super::retries::{self, Least, Words};
use super::{Case, Detector, Draft, Limit, Limits};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "cannot-receive",
    question: "does it write to domains that can't receive?",
    limits: &[
        Limit {
            key: "each",
            default: 2.0,
            unit: "messages to one of them after its first answer",
            source: "mxroute seed: cannot receive e-mail",
        },
        Limit {
            key: "messages",
            default: 6.0,
            unit: "messages to all of them after their first answers",
            source: "a handful is somebody who does not read bounces yet",
        },
        Limit {
            key: "hours",
            default: 12.0,
            unit: "hours from the first answer to the last such message",
            source: "time enough to have read the bounce",
        },
        Limit {
            key: "domains",
            default: 5.0,
            unit: "distinct domains that cannot receive, mailed twice as often in all",
            source: "detectors.md: by distinct recipient domain, repeated",
        },
    ],
    check: |case, limits| check(case, limits).into_iter().collect(),
};

const WORDS: Words = Words {
    whom: "domains that cannot receive mail",
    next_step: "Correct the domains (most are typing mistakes) where the addresses are kept.",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let least = Least { each: limits.get("each"), all: limits.get("messages"), hours: limits.get("hours") };
    // Many such domains are a finding however seldom each is written to: then every mail counts.
    let troubles = case.profile.troubles(TroubleKind::NoDomain);
    let mails: usize = troubles.iter().map(|trouble| trouble.mails.len()).sum();
    let is_many = troubles.len() as f64 >= limits.get("domains") && mails as f64 >= 2.0 * limits.get("domains");
    let found = retries::check(case, TroubleKind::NoDomain, &least, &WORDS);
    found.or_else(|| retries::all(case, &troubles, &WORDS).filter(|_| is_many))
}
