//! Fresh messages to mailboxes after they answered that they are full.

use super::retries::{self, Least, Words};
use super::{Case, Detector, Draft, Limit, Limits};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "full-mailbox-hammering",
    question: "does it write on to mailboxes that are full?",
    limits: &[
        Limit {
            key: "each",
            default: 3.0,
            unit: "messages to one of them after its first answer",
            source: "mxroute seed: filling an inbox on purpose",
        },
        Limit {
            key: "messages",
            default: 8.0,
            unit: "messages to all of them after their first answers",
            source: "a handful is somebody who does not read bounces yet",
        },
        Limit {
            key: "hours",
            default: 12.0,
            unit: "hours from the first answer to the last such message",
            source: "time enough to have read the bounce",
        },
    ],
    check: |case, limits| check(case, limits).into_iter().collect(),
};

const WORDS: Words = Words {
    whom: "mailboxes that are full",
    next_step: "Stop the program that fills them, or ask the owner of the mailbox by another way; until then refuse them here.",
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let least = Least { each: limits.get("each"), all: limits.get("messages"), hours: limits.get("hours") };
    retries::check(case, TroubleKind::Full, &least, &WORDS)
}
