//! The archive read back: records through the same judge that saw them first.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::analyze::Judge;
use super::memory::MemoryLimit;
use super::scan::LastLines;
use crate::archive::manifest::{DayFiles, FileEntry, Part};
use crate::archive::record::{self, Record};
use crate::archive::state::{self, State, Stored};
use crate::archive::{Archive, restore_with};
use crate::cli::Filter;
use crate::correlate::{AuthFailure, Correlator, HostId, Message, Octets, Recipient, Rejection, Sink};
use crate::error::Result;
use crate::framing::parts::Parts;
use crate::framing::year::Pass;
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// What was open when a run ended.
#[derive(Default, Deserialize)]
pub struct Carry {
    pub correlator: Correlator,
    pub parts: Parts,
    /// By rotation set.
    pub logs: Vec<(String, LogEnd)>,
}

/// The same, to be written: of one form with [`Carry`].
#[derive(Serialize)]
pub struct CarryRef<'a> {
    pub correlator: &'a Correlator,
    pub parts: &'a Parts,
    pub logs: &'a [(String, LogEnd)],
}

/// How a log ended.
#[derive(Serialize, Deserialize)]
pub struct LogEnd {
    pub pass: Pass,
    pub last_lines: LastLines<Octets>,
}

/// What was open at the end of the archive's last run.
///
/// # Errors
/// [`crate::error::Error::Archive`] where it cannot be read.
pub fn carry(archive: &Archive, file: Option<&FileEntry>) -> Result<Carry> {
    let Some(file) = file else { return Ok(Carry::default()) };
    let path = archive.path(file);
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    restore_with(&path, |bytes| postcard::from_bytes(bytes).map_err(invalid)).map_err(|e| archive.damaged(&path, &e))
}

/// Adds the records of some files to a judge, as far as the filter takes them.
///
/// # Errors
/// [`crate::error::Error::Archive`] for a file that cannot be read; [`crate::error::Error::Memory`].
pub fn replay<'c>(
    archive: &Archive,
    files: &[&FileEntry],
    filter: &Filter,
    memory: &MemoryLimit,
    judge: &mut Judge<'c>,
) -> Result<()> {
    let paths: Vec<PathBuf> = files.iter().map(|file| archive.path(file)).collect();
    if judge.events.is_some() {
        // Rows stand in the order of the archive.
        return paths.iter().try_for_each(|path| {
            memory.check()?;
            read(archive, path, filter, judge)
        });
    }
    let parts: Vec<_> = paths.iter().map(|path| (path, judge.alike())).collect();
    let parts: Vec<Result<Judge<'c>>> = parts
        .into_par_iter()
        .map(|(path, mut part)| {
            memory.check()?;
            read(archive, path, filter, &mut part).map(|()| part)
        })
        .collect();
    for part in parts {
        judge.merge(part?);
    }
    Ok(())
}

/// Adds all that some days come to: what stands for their records, and where nothing does, the records.
///
/// # Errors
/// As [`replay`].
pub fn counted(
    archive: &Archive,
    days: &BTreeMap<i64, DayFiles<'_>>,
    memory: &MemoryLimit,
    judge: &mut Judge<'_>,
) -> Result<()> {
    /// As many at a time: they are read whole.
    const DAYS: usize = 8;
    let days: Vec<_> = days.values().collect();
    let (mut state, mut bare) = (State::default(), Vec::new());
    for days in days.chunks(DAYS) {
        memory.check()?;
        let mut all = Vec::new();
        for day in days {
            let stored = stored(archive, day, judge.rules());
            bare.extend(day.bare(&ranges(&stored)).into_iter().map(|(_, file)| file));
            all.extend(stored.into_iter().map(|(_, stored)| stored));
        }
        add(archive, &mut state, &all)?;
    }
    judge.add(state);
    replay(archive, &bare, &Filter::default(), memory, judge)
}

/// The first and the last run for whose records a state stands.
pub type Range = (u64, u64);

/// The states of a day that are of the rules in force.
pub fn stored(archive: &Archive, day: &DayFiles<'_>, rules: &str) -> Vec<(Range, Stored)> {
    let open = |(since, until, file): &(u64, u64, &FileEntry)| {
        Some(((*since, *until), state::open(&archive.path(file), rules)?))
    };
    day.states.iter().filter_map(open).collect()
}

pub fn ranges(stored: &[(Range, Stored)]) -> Vec<Range> {
    stored.iter().map(|(range, _)| *range).collect()
}

/// True where states of the rules in force stand for all records of a day, as far as their heads tell.
pub fn is_counted(archive: &Archive, day: &DayFiles<'_>, rules: &str) -> bool {
    let current = day.states.iter().filter(|(_, _, file)| state::is_current(&archive.path(file), rules));
    day.bare(&current.map(|(since, until, _)| (*since, *until)).collect::<Vec<_>>()).is_empty()
}

/// Adds states.
///
/// # Errors
/// [`crate::error::Error::Archive`] for one that cannot be understood.
pub fn add(archive: &Archive, state: &mut State, stored: &[Stored]) -> Result<()> {
    state.add(stored).map_err(|(path, error)| archive.damaged(&path, &error))
}

fn read(archive: &Archive, path: &std::path::Path, filter: &Filter, judge: &mut Judge<'_>) -> Result<()> {
    let mut sieve = Sieve { filter, judge };
    let read = record::read(path, |record| match record {
        Record::Message(message) => sieve.message(message),
        Record::Rejection(rejection) => sieve.rejection(rejection),
        Record::AuthFailure(failure) => sieve.auth_failure(failure),
    });
    read.map_err(|error| archive.damaged(path, &error))
}

/// The files of records that a filter can take something of.
pub fn files<'a>(archive: &'a Archive, filter: &Filter) -> Vec<&'a FileEntry> {
    let files = archive.manifest.files_of(Part::Records);
    files.filter(|file| touches(filter, file.day)).collect()
}

/// The same in two: days of which it takes everything, and files of the others.
pub fn days_and_files<'a>(archive: &'a Archive, filter: &Filter) -> (BTreeMap<i64, DayFiles<'a>>, Vec<&'a FileEntry>) {
    let is_whole = |day: i64| {
        let (first, last) = ends(day);
        !filter.narrows() && filter.period.has(first) && filter.period.has(last)
    };
    let mut files = files(archive, filter);
    files.retain(|file| !is_whole(file.day));
    (archive.manifest.days(|day| touches(filter, day) && is_whole(day)), files)
}

fn touches(filter: &Filter, day: i64) -> bool {
    let (first, last) = ends(day);
    filter.period.touches(first, last)
}

/// The first and the last moment of a UTC day since 1970.
fn ends(day: i64) -> (Timestamp, Timestamp) {
    let midnight = |day: i64| Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY));
    (midnight(day), Timestamp(midnight(day + 1).0 - 1))
}

/// Lets through what a filter takes: mail in its time, to its recipients, from its senders and clients.
pub struct Sieve<'a, 'c> {
    pub filter: &'a Filter,
    pub judge: &'a mut Judge<'c>,
}

impl Sieve<'_, '_> {
    fn takes(&self, at: Timestamp, host: HostId, sender: Option<&Octets>, client: Option<&Octets>) -> bool {
        let filter = self.filter;
        filter.period.has(at)
            && filter.takes_host(self.judge.hosts.name(host))
            && filter.sender.as_ref().is_none_or(|wanted| sender.is_some_and(|sender| is_address(sender, wanted)))
            && filter.client.is_none_or(|wanted| {
                let ip = client.and_then(|client| address::ip(client));
                ip.is_some_and(|ip| wanted.contains(ip))
            })
    }

    fn wants(&self, recipient: &Recipient) -> bool {
        self.filter
            .recipient
            .as_ref()
            .is_none_or(|wanted| is_address(&recipient.address, wanted) || is_address(&recipient.orig_address, wanted))
    }
}

/// True for this address, or an address of this domain.
fn is_address(address: &[u8], wanted: &str) -> bool {
    let domain = wanted.strip_prefix('@').unwrap_or(wanted);
    address.eq_ignore_ascii_case(wanted.as_bytes())
        || (!domain.contains('@') && address::split(address).1.eq_ignore_ascii_case(domain.as_bytes()))
}

impl Sink for Sieve<'_, '_> {
    fn message(&mut self, mut message: Message) {
        let client = message.origin.client.as_ref().map(|client| &client.ip);
        let identity = &message.identity;
        if !self.takes(message.first_seen, identity.host, message.sender.as_ref(), client)
            || !self.filter.takes(identity.kind, &identity.name)
        {
            return;
        }
        if self.filter.recipient.is_some() {
            let kept: Vec<Option<usize>> = message
                .recipients
                .iter()
                .scan(0, |next, recipient| {
                    let at = self.wants(recipient).then_some(*next);
                    *next += usize::from(at.is_some());
                    Some(at)
                })
                .collect();
            let mut keeps = kept.iter();
            message.recipients.retain(|_| keeps.next().is_some_and(Option::is_some));
            message.attempts.retain_mut(|attempt| match kept.get(attempt.recipient) {
                Some(Some(at)) => {
                    attempt.recipient = *at;
                    true
                }
                _ => false,
            });
            message.unnamed_recipients = 0;
            if message.recipients.is_empty() {
                return;
            }
        }
        self.judge.message(&message);
    }

    fn rejection(&mut self, rejection: Rejection) {
        let is_wanted =
            self.filter.recipient.as_ref().is_none_or(|wanted| {
                rejection.recipient.as_ref().is_some_and(|recipient| is_address(recipient, wanted))
            });
        let identity = &rejection.identity;
        if is_wanted
            && self.takes(rejection.at, identity.host, rejection.sender.as_ref(), Some(&rejection.client.ip))
            && self.filter.takes(identity.kind, &identity.name)
        {
            self.judge.rejection(&rejection);
        }
    }

    fn auth_failure(&mut self, failure: AuthFailure) {
        let is_about_mail = self.filter.recipient.is_some() || self.filter.sender.is_some();
        // Whose failure it is shows when all are known: the login's where it is one that works, else the client's.
        let login = failure.sasl_username.as_deref().unwrap_or_default();
        let is_of_it =
            self.filter.takes(IdentityKind::Sasl, login) || self.filter.takes(IdentityKind::Client, &failure.client.ip);
        if !is_about_mail && is_of_it && self.takes(failure.at, failure.host, None, Some(&failure.client.ip)) {
            self.judge.auth_failure(&failure);
        }
    }

    fn probe(&mut self, host: HostId, queue_id: QueueId) {
        self.judge.probe(host, queue_id);
    }

    fn aborted(&mut self, host: HostId, queue_id: QueueId) {
        self.judge.aborted(host, queue_id);
    }
}
