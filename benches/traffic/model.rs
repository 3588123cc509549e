//! What happens on a host, in words that both Postfix and Exim can write down.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub const SECOND: u64 = 1_000_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// Seconds from 1970 to Monday 2026-11-16, when all logs begin. Times are microseconds after it.
pub const EPOCH: u64 = 1_794_787_200;

/// Who connects: reverse name where there is one, address, and the name given in HELO.
#[derive(Clone, Debug)]
pub struct Client {
    pub name: Option<String>,
    pub ip: String,
    pub helo: String,
}

#[derive(Clone, Debug)]
pub enum Who {
    /// Logged in on submission; `plain`: by AUTH PLAIN, else LOGIN.
    Login { login: String, plain: bool },
    /// A trusted client without AUTH.
    Relay,
    /// Anybody else, who brings mail for this host.
    Stranger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Connect,
    Mail,
    Rcpt,
    End,
}

/// One answer to one attempt at delivery.
#[derive(Clone, Debug)]
pub enum Answer {
    Sent(String),
    /// A refusal, 4xx or 5xx; lines joined by a newline.
    Said(Stage, String),
    ConnectionRefused,
    ConnectionTimeout,
    NoSuchDomain,
    NullMx,
    LookupFailed,
}

impl Answer {
    pub fn is_temporary(&self) -> bool {
        match self {
            Answer::Said(_, text) => text.starts_with('4'),
            Answer::ConnectionRefused | Answer::ConnectionTimeout | Answer::LookupFailed => true,
            Answer::Sent(_) | Answer::NoSuchDomain | Answer::NullMx => false,
        }
    }
}

/// Why this host itself refuses a recipient.
#[derive(Clone, Debug)]
pub enum Refusal {
    UnknownHere,
    Relay,
    Dnsbl(&'static str),
    Greylisted,
    SenderDomain,
    Helo,
    NoReverseName,
}

#[derive(Clone, Debug)]
pub enum Fate {
    /// To a mailbox of this host.
    Mailbox,
    /// Accepted for a mailbox that turns out not to exist: the mailbox server refuses it.
    NoMailbox,
    /// To a program (mailing list, tickets).
    Program,
    Refused(Refusal),
    /// To a remote host: the answers in turn; the last one again and again while it is temporary.
    Remote {
        host: String,
        ip: String,
        answers: Vec<Answer>,
    },
}

#[derive(Clone, Debug)]
pub struct Rcpt {
    pub to: String,
    pub orig: Option<String>,
    pub fate: Fate,
}

#[derive(Clone, Debug)]
pub struct Mail {
    /// Microseconds after the one before it in the same session.
    pub gap: u64,
    pub from: String,
    pub rcpts: Vec<Rcpt>,
    pub size: u64,
    pub subject: &'static str,
}

/// One SMTP connection.
#[derive(Clone, Debug)]
pub struct Session {
    pub client: Client,
    pub who: Who,
    /// Logins that were tried in vain, in this order, before anything else.
    pub failed: Vec<String>,
    pub mails: Vec<Mail>,
}

/// A submission on the host itself.
#[derive(Clone, Debug)]
pub struct Pickup {
    pub uid: u32,
    pub user: String,
    pub cwd: String,
    pub mail: Mail,
}

#[derive(Clone, Debug)]
pub enum Act {
    Session(Session),
    Pickup(Pickup),
}

#[derive(Clone, Debug)]
pub struct Job {
    pub at: u64,
    pub seed: u64,
    /// Number of the incident it belongs to.
    pub incident: Option<usize>,
    pub act: Act,
}

impl Job {
    /// Messages, refused recipients and failed logins in it: what `--stop-after` counts.
    pub fn units(&self) -> usize {
        match &self.act {
            Act::Pickup(_) => 1,
            Act::Session(session) => session.failed.len() + session.mails.iter().map(units_of).sum::<usize>(),
        }
    }

    /// Nobody gets the same message twice: doubled recipients go.
    pub fn unique(&mut self) {
        let mails = match &mut self.act {
            Act::Pickup(pickup) => std::slice::from_mut(&mut pickup.mail),
            Act::Session(session) => session.mails.as_mut_slice(),
        };
        for mail in mails.iter_mut().filter(|mail| mail.rcpts.len() > 1) {
            let mut seen = BTreeSet::new();
            mail.rcpts.retain(|rcpt| seen.insert(rcpt.to.clone()));
        }
    }

    /// Keeps only the first `units` of it.
    pub fn cut(&mut self, mut units: usize) {
        if let Act::Session(session) = &mut self.act {
            session.failed.truncate(units);
            units = units.saturating_sub(session.failed.len());
            session.mails.retain_mut(|mail| {
                let all_refused = all_refused(mail);
                if all_refused {
                    mail.rcpts.truncate(units);
                }
                let keep = units > 0;
                units = units.saturating_sub(units_of(mail));
                keep
            });
        }
    }
}

fn all_refused(mail: &Mail) -> bool {
    mail.rcpts.iter().all(|rcpt| matches!(rcpt.fate, Fate::Refused(_)))
}

fn units_of(mail: &Mail) -> usize {
    if all_refused(mail) { mail.rcpts.len() } else { 1 }
}

/// Responsible identity, as contract.md §3 has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub host: String,
    pub identity_kind: String,
    pub identity: String,
}

impl Identity {
    pub fn new(host: &str, kind: &str, identity: &str) -> Self {
        Identity { host: host.to_owned(), identity_kind: kind.to_owned(), identity: identity.to_owned() }
    }
}

/// What became of an identity's mail, as contract.md's `senders` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub messages: u64,
    pub recipients: u64,
    pub delivered: u64,
    pub bounced: u64,
    pub deferred: u64,
    pub expired: u64,
    pub rejected: u64,
    pub tempfailed: u64,
}

/// What an incident really did in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub first: Option<u64>,
    pub last: u64,
    pub messages: u64,
    pub recipients: u64,
    /// Refused recipients and failed logins.
    pub attempts: u64,
}

impl Done {
    pub fn at(&mut self, at: u64) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(at);
    }
}

/// What a writer of one host has counted.
#[derive(Default)]
pub struct Ledger {
    pub senders: BTreeMap<(&'static str, String), Counts>,
    pub incidents: BTreeMap<usize, Done>,
    pub bytes: u64,
    pub lines: u64,
}

impl Ledger {
    pub fn sender(&mut self, kind: &'static str, identity: &str) -> &mut Counts {
        self.senders.entry((kind, identity.to_owned())).or_default()
    }
}
