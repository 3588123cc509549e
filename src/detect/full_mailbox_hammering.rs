//! Fresh messages to mailboxes after they answered that they are full.

use super::retries::{self, Words};
use super::{Check, Detector};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "full-mailbox-hammering",
    question: "does it write on to mailboxes that are full?",
    limits: &retries::limits(3.0, 8.0, 12.0, "mxroute seed: filling an inbox on purpose"),
    signs: retries::SIGNS,
    check: Check::One(|case, limits| retries::check(case, TroubleKind::Full, limits, &WORDS)),
};

const WORDS: Words = Words {
    who: "mailbox that is full",
    whom: "mailboxes that are full",
    next_step: "Stop the program that fills them, or ask the owner of the mailbox by another way; until then refuse them here.",
};
