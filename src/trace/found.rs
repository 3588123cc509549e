//! What belongs to a story, kept whole, and what everybody else did, in a few numbers.

use std::collections::BTreeSet;

use super::reuse::OtherUse;
use super::target::{Roles, Target};
use crate::aggregate::uses::Uses;
use crate::classify::Verdict;
use crate::correlate::{AuthFailure, HostId, Message, Octets, Recipient, RecipientState, Rejection};
use crate::mail::queue_id::QueueId;
use crate::mail::status::Mta;
use crate::mail::time::Period;

/// Messages, refusals and failed logins that are kept, of each. A story with more is told by its first ones, and says so.
const KEPT: usize = 500_000;

/// One message of the story.
pub struct Sent<'c> {
    pub message: Message,
    pub roles: Roles,
    /// Of each attempt.
    pub verdicts: Vec<Option<Verdict<'c>>>,
}

impl Sent<'_> {
    /// True for what a story of this role is about: all that carries a mail on is the mail, a notice about it is another.
    pub fn is_own(&self, role: Roles) -> bool {
        self.roles.has(role) || (role == Roles::MESSAGE && self.message.parent_queue_id.is_none())
    }
}

/// One refusal of the story.
pub struct Refused<'c> {
    pub rejection: Rejection,
    pub roles: Roles,
    pub verdict: Option<Verdict<'c>>,
}

/// One failed login of the story.
pub struct Failed {
    pub failure: AuthFailure,
    pub roles: Roles,
}

/// True for a message that something is still to become of.
pub fn is_waiting(sent: &Sent<'_>) -> bool {
    let message = &sent.message;
    let is_open = |one: &Recipient| matches!(one.state, RecipientState::Open | RecipientState::Deferred);
    message.is_open
        && (message.recipients.iter().any(is_open)
            || (message.unnamed_recipients > 0 && message.unnamed_state == RecipientState::Open))
}

/// Takes what belongs to one target, in the time that is looked at.
pub struct Found<'c> {
    pub target: Target,
    pub period: Period,
    pub messages: Vec<Sent<'c>>,
    pub rejections: Vec<Refused<'c>>,
    pub failures: Vec<Failed>,
    /// Of the story, and not kept; what still waits in the queue is kept before others.
    pub beyond: u64,
    pub uses: Uses,
    /// Entries that lines of the message name, where it is looked for by its id.
    pub kin: BTreeSet<QueueId>,
    /// Other messages of the id that is looked for.
    pub other_uses: Vec<OtherUse>,
}

impl<'c> Found<'c> {
    pub fn new(target: Target, period: Period) -> Self {
        Self {
            target,
            period,
            messages: Vec::new(),
            rejections: Vec::new(),
            failures: Vec::new(),
            beyond: 0,
            uses: Uses::default(),
            kin: BTreeSet::new(),
            other_uses: Vec::new(),
        }
    }

    /// Counts what a message tells of its identity; gives what it has to do with the target.
    pub fn look_at(&mut self, message: &Message) -> Roles {
        self.uses.message(message);
        let roles = self.target.of_message(message);
        if roles.is_empty() && self.kin.contains(&message.queue_id) { Roles::RELATED } else { roles }
    }

    /// Lets go of entries that only looked as if they belonged to the message: an id may be used again, and a message id be
    /// anybody's.
    pub fn settle_kin(&mut self) {
        let mut ids: BTreeSet<QueueId> = BTreeSet::new();
        let mut message_ids: BTreeSet<Octets> = BTreeSet::new();
        for sent in self.messages.iter().filter(|sent| sent.roles.has(Roles::MESSAGE)) {
            let message = &sent.message;
            ids.extend([Some(message.queue_id), message.hop_of, message.parent_queue_id].into_iter().flatten());
            message_ids.extend(message.message_id.clone().filter(|id| !id.is_empty()));
        }
        // A hop behind a hop.
        let mut before = 0;
        while before < ids.len() {
            before = ids.len();
            for message in self.messages.iter().map(|sent| &sent.message) {
                let leads = [message.hop_of, message.parent_queue_id].into_iter().flatten();
                if ids.contains(&message.queue_id) {
                    ids.extend(leads);
                } else if leads.into_iter().any(|id| ids.contains(&id)) {
                    ids.insert(message.queue_id);
                }
            }
        }
        self.messages.retain(|sent| {
            let is_same = sent.message.message_id.as_ref().is_some_and(|id| message_ids.contains(id));
            !sent.roles.has(Roles::RELATED) || is_same || ids.contains(&sent.message.queue_id)
        });
    }

    /// The same for a refusal.
    pub fn look_at_rejection(&self, rejection: &Rejection) -> Roles {
        self.target.of_rejection(rejection)
    }

    /// Keeps a message of the story.
    pub fn keep(&mut self, message: Message, roles: Roles, verdicts: Vec<Option<Verdict<'c>>>) {
        self.keep_sent(Sent { message, roles, verdicts });
    }

    fn keep_sent(&mut self, sent: Sent<'c>) {
        if self.messages.len() < KEPT || (is_waiting(&sent) && self.messages.len() < 2 * KEPT) {
            self.messages.push(sent);
        } else {
            self.beyond += 1;
        }
    }

    /// Keeps a refusal of the story.
    pub fn keep_rejection(&mut self, rejection: Rejection, roles: Roles, verdict: Option<Verdict<'c>>) {
        self.keep_refused(Refused { rejection, roles, verdict });
    }

    fn keep_refused(&mut self, refused: Refused<'c>) {
        if self.rejections.len() < KEPT {
            self.rejections.push(refused);
        } else {
            self.beyond += 1;
        }
    }

    pub fn auth_failure(&mut self, failure: &AuthFailure) {
        self.uses.tried(failure);
        let roles = self.target.of_failure(failure);
        if !roles.is_empty() {
            self.keep_failed(Failed { failure: failure.clone(), roles });
        }
    }

    fn keep_failed(&mut self, failed: Failed) {
        if self.failures.len() < KEPT {
            self.failures.push(failed);
        } else {
            self.beyond += 1;
        }
    }

    /// Lets go of what other hosts logged.
    pub fn keep_hosts(&mut self, is_wanted: impl Fn(HostId) -> bool) {
        self.messages.retain(|sent| is_wanted(sent.message.host));
        self.rejections.retain(|one| is_wanted(one.rejection.host));
        self.failures.retain(|one| is_wanted(one.failure.host));
    }

    /// Adds what another part of the logs gave.
    pub fn merge(&mut self, other: Self) {
        other.messages.into_iter().for_each(|sent| self.keep_sent(sent));
        other.rejections.into_iter().for_each(|refused| self.keep_refused(refused));
        other.failures.into_iter().for_each(|failed| self.keep_failed(failed));
        self.beyond += other.beyond;
    }

    /// What most of what was found has to do with the target: the weightiest of its roles.
    pub fn main_role(&self) -> Roles {
        let has = |role: Roles| self.messages.iter().any(|sent| sent.roles.has(role));
        let of_rest = |role: Roles| {
            self.rejections.iter().any(|one| one.roles.has(role)) || self.failures.iter().any(|one| one.roles.has(role))
        };
        let by_messages = Roles::BY_WEIGHT.iter().copied().find(|role| has(*role));
        by_messages.or_else(|| Roles::BY_WEIGHT.iter().copied().find(|role| of_rest(*role))).unwrap_or(Roles::NONE)
    }

    /// The mail servers that wrote what was found.
    pub fn mtas(&self) -> impl Iterator<Item = Mta> {
        let messages = self.messages.iter().map(|sent| sent.message.mta);
        let refusals = self.rejections.iter().map(|one| one.rejection.mta);
        messages.chain(refusals).chain(self.failures.iter().map(|one| one.failure.mta))
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.rejections.is_empty() && self.failures.is_empty()
    }
}
