//! Fresh messages to recipients after they answered that they do not exist: not the queue's own retries.

use super::retries::{self, Least, Words};
use super::{Case, Detector, Draft, Limit, Limits};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "dead-recipient-retries",
    question: "does it write on to addresses long known dead?",
    limits: &[
        Limit {
            key: "each",
            default: 2.0,
            unit: "messages to one of them after its first answer",
            source: "mxroute seed: does not exist, stop trying",
        },
        Limit {
            key: "messages",
            default: 6.0,
            unit: "messages to all of them after their first answers",
            source: "a handful is somebody who does not read bounces yet",
        },
        Limit {
            key: "hours",
            default: 20.0,
            unit: "hours from the first answer to the last such message",
            source: "time enough to have read the bounce",
        },
    ],
    check: |case, limits| check(case, limits).into_iter().collect(),
};

const WORDS: Words = Words {
    whom: "recipients that do not exist",
    next_step: "Have these addresses taken off the list or out of the program that writes to them, and bounces read; until then refuse them here.",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let least = Least { each: limits.get("each"), all: limits.get("messages"), hours: limits.get("hours") };
    retries::check(case, TroubleKind::Dead, &least, &WORDS)
}
