//! Fresh messages to recipients, or servers, that refuse the sender's mail, kept up for days.

use super::retries::{self, Words};
use super::{Check, Detector};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "unwanted-recipient",
    question: "does it write on to someone who refuses it?",
    limits: &retries::limits(4.0, 8.0, 24.0, "mxroute seed: kept sending anyway"),
    signs: retries::SIGNS,
    check: Check::One(|case, limits| retries::check(case, TroubleKind::Unwanted, limits, &WORDS)),
};

const WORDS: Words = Words {
    who: "recipient that refuses it",
    whom: "recipients that refuse it",
    next_step: "Stop writing to them: they, or their server, say that they do not want it; complaints and a block of this host come next.",
};
