//! Fresh messages to recipients, or servers, that refuse the sender's mail, kept up for days.

use super::retries::{self, Least, Words};
use super::{Case, Detector, Draft, Limit, Limits};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "unwanted-recipient",
    question: "does it write on to someone who refuses it?",
    limits: &[
        Limit {
            key: "each",
            default: 4.0,
            unit: "messages to one of them after its first answer",
            source: "mxroute seed: kept sending anyway",
        },
        Limit {
            key: "messages",
            default: 8.0,
            unit: "messages to all of them after their first answers",
            source: "a handful is somebody who does not read bounces yet",
        },
        Limit {
            key: "hours",
            default: 24.0,
            unit: "hours from the first answer to the last such message",
            source: "time enough to have read the bounce",
        },
    ],
    check: |case, limits| check(case, limits).into_iter().collect(),
};

const WORDS: Words = Words {
    whom: "recipients that refuse it",
    next_step: "Stop writing to them: they, or their server, say that they do not want it; complaints and a block of this host come next.",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let least = Least { each: limits.get("each"), all: limits.get("messages"), hours: limits.get("hours") };
    retries::check(case, TroubleKind::Unwanted, &least, &WORDS)
}
