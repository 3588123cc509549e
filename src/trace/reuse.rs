//! Postfix gives a short queue id to another message once the first is gone. A story is of one of them; the others are named.

use std::collections::BTreeSet;

use super::found::{Found, Refused, Sent};
use super::target::{Roles, What};
use crate::correlate::{HostId, Message, Octets, Place};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};

/// A refusal so long before or behind a message of its id is of another mail.
const REFUSED_S: i64 = SECONDS_PER_HOUR;
/// Other messages that are named.
const NAMED: usize = 5;

/// Another message, or refused mail, of the id that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherUse {
    pub at: Timestamp,
    pub host: HostId,
    pub sender: Option<Octets>,
    pub recipient: Option<Octets>,
    /// Recipients beside that one.
    pub more: usize,
    pub is_refused: bool,
}

/// One message of the id: all entries that are of the same mail.
struct Use {
    host: HostId,
    first: Timestamp,
    last: Timestamp,
    entries: BTreeSet<(HostId, Place)>,
    message_ids: BTreeSet<Octets>,
    is_open: bool,
    other: OtherUse,
}

impl Use {
    fn of(message: &Message) -> Self {
        let other = OtherUse {
            at: message.first_seen,
            host: message.host,
            sender: message.sender.clone(),
            recipient: message.recipients.first().map(|one| one.asked_for().clone()),
            more: message.recipients.len().saturating_sub(1),
            is_refused: false,
        };
        let mut made = Self {
            host: message.host,
            first: message.first_seen,
            last: message.last_seen,
            entries: BTreeSet::new(),
            message_ids: BTreeSet::new(),
            is_open: message.is_open,
            other,
        };
        made.add(message);
        made
    }

    fn add(&mut self, message: &Message) {
        self.last = self.last.max(message.last_seen);
        self.is_open = message.is_open;
        self.entries.insert((message.host, message.place));
        self.message_ids.extend(message.message_id.clone().filter(|id| !id.is_empty()));
    }

    fn has_id_of(&self, message: &Message) -> bool {
        message.message_id.as_ref().is_some_and(|id| self.message_ids.contains(id))
    }

    /// True for another piece of the same mail: what began before the log, or in a file of its own.
    fn continues_in(&self, message: &Message) -> bool {
        self.host == message.host
            && (self.has_id_of(message) || (message.message_id.is_none() && message.is_orphan && self.is_open))
    }

    /// Seconds from a moment to the time that the log tells of it.
    fn apart_s(&self, at: Timestamp) -> i64 {
        self.first.seconds_since(at).max(at.seconds_since(self.last)).max(0)
    }
}

/// Keeps one message of those that had the queue id that is looked for: the last that began in the time that is looked at.
pub fn keep_one(found: &mut Found<'_>) {
    if !matches!(found.target.what, What::Queue(_)) {
        return;
    }
    let mut own: Vec<&Message> =
        found.messages.iter().filter(|sent| sent.roles.has(Roles::MESSAGE)).map(|sent| &sent.message).collect();
    own.sort_by_key(|message| (message.first_seen, message.host, message.place));
    let mut uses: Vec<Use> = Vec::new();
    for message in own {
        match uses.iter_mut().rev().find(|known| known.continues_in(message)) {
            Some(known) => known.add(message),
            None => uses.push(Use::of(message)),
        }
    }
    let period = found.period;
    let Some(kept) = uses.iter().rposition(|one| period.has(one.first)).or(uses.len().checked_sub(1)) else { return };
    // By its message id, else by the time.
    let of = |sent: &Sent<'_>| {
        let message = &sent.message;
        let is_entry = |one: &Use| one.entries.contains(&(message.host, message.place));
        let nearest =
            || uses.iter().enumerate().min_by_key(|(_, one)| one.apart_s(message.first_seen)).map(|(at, _)| at);
        uses.iter().position(is_entry).or_else(|| uses.iter().position(|one| one.has_id_of(message))).or_else(nearest)
    };
    let is_kept: Vec<bool> = found.messages.iter().map(|sent| of(sent) == Some(kept)).collect();
    let (mut other, mut are_kept) = (BTreeSet::new(), is_kept.iter());
    found.messages.retain(|_| are_kept.next().copied().unwrap_or(false));
    other.extend(uses.iter().enumerate().filter(|(at, _)| *at != kept).map(|(_, one)| one.other.clone()));
    found.rejections.retain(|one| {
        let nearest = uses.iter().enumerate().min_by_key(|(_, known)| apart_s(known, one));
        let is_near = |(at, known): (usize, &Use)| at == kept && apart_s(known, one) <= REFUSED_S;
        let is_its = !one.roles.has(Roles::MESSAGE) || nearest.is_some_and(is_near);
        let is_of_other = nearest.is_some_and(|(_, known)| apart_s(known, one) <= REFUSED_S);
        if !is_its && !is_of_other {
            other.insert(refused(one));
        }
        is_its
    });
    found.other_uses = other.into_iter().collect();
}

fn apart_s(known: &Use, refused: &Refused<'_>) -> i64 {
    if known.host == refused.rejection.host { known.apart_s(refused.rejection.at) } else { i64::MAX }
}

fn refused(one: &Refused<'_>) -> OtherUse {
    let rejection = &one.rejection;
    OtherUse {
        at: rejection.at,
        host: rejection.host,
        sender: rejection.sender.clone(),
        recipient: rejection.recipient.clone(),
        more: 0,
        is_refused: true,
    }
}

/// A sentence for each other message of the id, and how to see it. `host` gives a host's name.
pub fn sentences(found: &Found<'_>, host: impl Fn(HostId) -> String) -> Vec<String> {
    let What::Queue(id) = &found.target.what else { return Vec::new() };
    let one = |other: &OtherUse| {
        let name = host(other.host);
        let on = if name.is_empty() { name } else { format!(" on {name}") };
        let sender = match other.sender.as_deref() {
            Some([]) => " from <>".to_string(),
            Some(sender) => format!(" from {}", printable(sender)),
            None => String::new(),
        };
        let to = other.recipient.as_ref().map_or(String::new(), |to| format!(" to {}", printable(to)));
        let more = if other.more > 0 { format!(" and {} more", other.more) } else { String::new() };
        let envelope = [sender, to, more].concat();
        let comma = if envelope.is_empty() { "" } else { "," };
        let what = if other.is_refused { "a mail that was refused" } else { "another message" };
        let since = Timestamp::from_seconds(other.at.seconds());
        let until = since.plus_seconds(1);
        format!(
            "{what} had this id at {since}{on}{comma}{envelope}: `mailsleuth trace {id} --since {since} --until {until}`"
        )
    };
    let mut told: Vec<String> = found.other_uses.iter().rev().take(NAMED).map(one).collect();
    let more = found.other_uses.len().saturating_sub(told.len());
    if more > 0 {
        told.push(format!("{more} more with this id, earlier (--since and --until choose)"));
    }
    if !told.is_empty() {
        told.push(
            "Postfix gives a short id to another message once the first is gone; this is the story of one".into(),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_apart_from_the_time_of_a_message() {
        let at = Timestamp::from_seconds;
        let other = OtherUse { at: at(10), host: HostId(0), sender: None, recipient: None, more: 0, is_refused: false };
        let (entries, message_ids) = (BTreeSet::new(), BTreeSet::new());
        let one = Use { host: HostId(0), first: at(10), last: at(20), entries, message_ids, is_open: false, other };
        assert_eq!([5, 10, 15, 20, 26].map(|s| one.apart_s(at(s))), [5, 0, 0, 0, 6]);
    }
}
