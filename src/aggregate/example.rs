//! An answer that is shown for many, with the names that its row had: whoever is hidden must be hidden in it, too.

use std::cmp::Ordering;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::correlate::{Attempt, ClientFacts, Message, Octets, Recipient, Rejection};

/// The names of a row, empty where it has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// Whom it was for, as asked for and as delivered.
    pub recipients: [&'a [u8]; 2],
    /// Envelope sender, login, local user.
    pub others: [&'a [u8]; 3],
    /// What the client and the relay are called, and what the client calls itself.
    pub hosts: [&'a [u8]; 3],
}

impl<'a> Names<'a> {
    pub(super) fn of_attempt(message: &'a Message, attempt: &'a Attempt, recipient: &'a Recipient) -> Self {
        let (client, helo) = called(message.origin.client.as_ref());
        let delivered: &[u8] = if recipient.orig_address.is_empty() { &[] } else { &recipient.address };
        Self {
            recipients: [recipient.asked_for(), delivered],
            others: [
                message.sender.as_deref().unwrap_or_default(),
                message.origin.sasl_username.as_deref().unwrap_or_default(),
                message.origin.local_user.as_deref().unwrap_or_default(),
            ],
            hosts: [client, helo, &attempt.relay_host],
        }
    }

    pub(super) fn of_rejection(rejection: &'a Rejection) -> Self {
        let (client, helo) = called(Some(&rejection.client));
        Self {
            recipients: [rejection.recipient.as_deref().unwrap_or_default(), &[]],
            others: [
                rejection.sender.as_deref().unwrap_or_default(),
                rejection.sasl_username.as_deref().unwrap_or_default(),
                rejection.local_user.as_deref().unwrap_or_default(),
            ],
            hosts: [client, helo, &[]],
        }
    }

    fn all(self) -> impl Iterator<Item = &'a [u8]> {
        self.recipients.into_iter().chain(self.others).chain(self.hosts)
    }
}

/// Name of a client, and what it calls itself.
fn called(client: Option<&ClientFacts>) -> (&[u8], &[u8]) {
    client.map_or((&[], &[]), |client| (&client.name, &client.helo))
}

/// The text, and the names of its row. Of two the lesser text goes first, then the one that is about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    text: Octets,
    /// A line for each name; empty where no row is known.
    names: Octets,
}

impl Example {
    pub fn new(text: &[u8], names: Names<'_>) -> Self {
        let names: Vec<&[u8]> = names.all().collect();
        Self { text: text.into(), names: names.join(&b'\n').into() }
    }

    pub fn names(&self) -> Names<'_> {
        let mut lines = self.lines();
        let mut next = || lines.next().unwrap_or_default();
        let recipients = [next(), next()];
        let others = [next(), next(), next()];
        Names { recipients, others, hosts: [next(), next(), next()] }
    }

    /// With another text, and without names.
    pub fn told(&self, text: &str) -> Self {
        Self { text: text.as_bytes().into(), names: Octets::default() }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split(|byte| *byte == b'\n')
    }

    /// How it compares with what would be the example of another row.
    pub(super) fn order(&self, text: &[u8], names: Names<'_>) -> Ordering {
        let rank = |recipient: Option<&[u8]>| recipient.is_none_or(<[u8]>::is_empty);
        (*self.text)
            .cmp(text)
            .then_with(|| rank(self.lines().next()).cmp(&rank(Some(names.recipients[0]))))
            .then_with(|| self.lines().cmp(names.all()))
    }
}

impl Ord for Example {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(&other.text, other.names())
    }
}

impl PartialOrd for Example {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Deref for Example {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(recipient: &'static str) -> Names<'static> {
        Names { recipients: [recipient.as_bytes(), b""], others: [b"al", b"", b""], hosts: [b"", b"pc", b"mx"] }
    }

    #[test]
    fn names_come_back_as_they_were() {
        for row in [names("bob"), names(""), Names::default()] {
            assert_eq!(Example::new(b"no", row).names(), row);
        }
    }

    #[test]
    fn the_least_is_of_somebody() {
        let of = |text: &str, name: &'static str| Example::new(text.as_bytes(), names(name));
        let mut all = vec![of("b", "a"), of("a", ""), of("a", "c"), of("a", "b")];
        all.sort();
        assert_eq!(all, [of("a", "b"), of("a", "c"), of("a", ""), of("b", "a")]);
    }
}
