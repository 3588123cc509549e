//! Fresh messages to recipients after they answered that they do not exist: not the queue's own retries.

use super::retries::{self, Words};
use super::{Check, Detector};
use crate::aggregate::TroubleKind;

pub(super) const DETECTOR: Detector = Detector {
    kind: "dead-recipient-retries",
    question: "does it write on to addresses long known dead?",
    limits: &retries::limits(2.0, 6.0, 20.0, "mxroute seed: does not exist, stop trying"),
    signs: retries::SIGNS,
    check: Check::One(|case, limits| retries::check(case, TroubleKind::Dead, limits, &WORDS)),
};

const WORDS: Words = Words {
    who: "recipient that does not exist",
    whom: "recipients that do not exist",
    next_step: "Have these addresses taken off the list or out of the program that writes to them, and bounces read; until then refuse them here (Postfix: check_recipient_access; Exim: a deny in the RCPT ACL).",
};
