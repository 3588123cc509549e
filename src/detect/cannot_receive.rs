//! Fresh messages to domains that take no mail at all: no such domain, no mail server, a null MX.

use super::retries::{self, Words};
use super::{Case, Check, Detector, Draft, Limit, Limits};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "cannot-receive",
    question: "does it write to domains that can't receive?",
    limits: &{
        let [each, messages, hours, hundreds] = retries::limits(2.0, 6.0, 12.0, "mxroute seed: cannot receive e-mail");
        let domains = Limit {
            key: "domains",
            default: 5.0,
            unit: "distinct domains that cannot receive, mailed twice as often in all",
            source: "detectors.md: by distinct recipient domain, repeated",
        };
        [each, messages, hours, domains, hundreds]
    },
    signs: retries::SIGNS,
    check: Check::One(check),
};

const WORDS: Words = Words {
    who: "domain that cannot receive mail",
    whom: "domains that cannot receive mail",
    next_step: "Correct the domains (most are typing mistakes) where the addresses are kept.",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    // Many such domains are a finding however seldom each is written to: then every mail counts.
    let troubles = case.profile.troubles(TroubleKind::NoDomain);
    let mails: usize = troubles.iter().map(|trouble| trouble.mails.len()).sum();
    let is_many = troubles.len() as f64 >= limits.get("domains") && mails as f64 >= 2.0 * limits.get("domains");
    let found = retries::check(case, TroubleKind::NoDomain, limits, &WORDS);
    found.or_else(|| retries::all(case, &troubles, limits, &WORDS).filter(|_| is_many))
}
