//! What the archive consists of, and what it has told already.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::texts::Texts;
use crate::mail::time::Timestamp;
use crate::tally::LineTally;

/// Version of the archive. Types that its files hold change only with it.
pub const VERSION: u32 = 4;
/// The oldest that is read: it has no states yet. Records have an index since version 4.
pub const OLDEST: u32 = 2;

#[derive(Deserialize)]
pub(super) struct Version {
    pub version: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// Number of the last run that added something. Numbers are not used again.
    pub generation: u64,
    /// Names of inputs by the numbers that records have.
    pub sources: Vec<String>,
    /// In the order of the runs.
    pub runs: Vec<Run>,
    pub texts: Texts,
    /// What was told, by kind and identity.
    pub incidents: Vec<Incident>,
    /// By host: receivers that had refused it for its reputation, with the first moment.
    pub refusals: BTreeMap<String, BTreeMap<String, Timestamp>>,
    /// Findings of known senders: how much of each was silenced when it was first seen.
    pub silenced: Vec<Silenced>,
    /// What is to be told and was not yet.
    pub pending: Option<Letter>,
    /// Directory of the night's reports, below `reports`.
    pub report: Option<String>,
    /// When it was told that no mail line comes any more, seconds since 1970.
    pub silence_told: Option<i64>,
    /// Hosts of which it was told that others write and they do not, with the end of their logs then.
    #[serde(default)]
    pub silent_hosts: BTreeMap<String, Timestamp>,
    /// When the last run ended that found a mail line, seconds since 1970.
    pub last_mail: Option<i64>,
    /// Days before this one, since 1970, were taken away for their age or size.
    pub kept_from: Option<i64>,
    /// By directory: what the host of lines that name none is called.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// What the last run that found something new had to say to the monitoring.
    #[serde(default)]
    pub metrics: String,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            version: VERSION,
            generation: 0,
            sources: Vec::new(),
            runs: Vec::new(),
            texts: Texts::default(),
            incidents: Vec::new(),
            refusals: BTreeMap::new(),
            silenced: Vec::new(),
            pending: None,
            report: None,
            silence_told: None,
            silent_hosts: BTreeMap::new(),
            last_mail: None,
            kept_from: None,
            hosts: BTreeMap::new(),
            metrics: String::new(),
        }
    }
}

/// One run that added something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub generation: u64,
    /// The latest moment of each host's log at its end.
    pub now: BTreeMap<String, Timestamp>,
    pub files: Vec<FileEntry>,
    /// Address probes, and what was begun and never queued.
    pub probes: u64,
    pub aborted: u64,
    pub mail_lines: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Records,
    /// What records come to.
    State,
    Events,
    /// Events of what was open at the end of the run: the next run replaces it.
    Open,
    History,
    Carry,
    Run,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub part: Part,
    /// In the archive's directory.
    pub path: String,
    pub bytes: u64,
    /// UTC day since 1970 that it is about.
    pub day: i64,
    /// Of a state: the first run whose records of the day it stands for. The last is the one that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A finding that was told, or was not worth it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub kind: String,
    pub identity_kind: String,
    pub identity: String,
    pub host: String,
    pub severity: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub recipients: u64,
    pub messages: u64,
    /// UTC day since 1970 of the log's end when it was first told.
    pub since_day: i64,
    pub is_told: bool,
    /// UTC day since 1970 of the log's end when it was last told.
    #[serde(default)]
    pub told_day: i64,
    /// It was told that it is over.
    pub is_resolved: bool,
}

/// How much a known sender did when it was first silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silenced {
    pub identity: String,
    pub kind: String,
    pub severity: String,
    pub recipients: u64,
    pub messages: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub subject: String,
    pub text: String,
}

/// What one run read.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct RunNote {
    pub lines: LineTally,
    pub inputs: Vec<InputNote>,
    pub problems: Vec<(String, String, bool)>,
    pub has_zoneless: bool,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct InputNote {
    pub name: String,
    pub log: String,
    pub lines: u64,
    pub mail_lines: u64,
    pub bytes: u64,
    pub left_out: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

impl Manifest {
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.runs.iter().flat_map(|run| &run.files)
    }

    pub fn files_of(&self, part: Part) -> impl Iterator<Item = &FileEntry> {
        self.files().filter(move |file| file.part == part)
    }

    /// The records of some days and the states that stand for them, by day.
    pub fn days(&self, is_wanted: impl Fn(i64) -> bool) -> BTreeMap<i64, DayFiles<'_>> {
        let mut days: BTreeMap<i64, DayFiles<'_>> = BTreeMap::new();
        for run in &self.runs {
            for file in run.files.iter().filter(|file| is_wanted(file.day)) {
                match (file.part, file.since) {
                    (Part::Records, _) => days.entry(file.day).or_default().records.push((run.generation, file)),
                    (Part::State, Some(since)) => {
                        days.entry(file.day).or_default().states.push((since, run.generation, file));
                    }
                    _ => {}
                }
            }
        }
        days
    }

    /// Takes out the states of a day that another one, which begins with this run, stands for, too.
    pub fn drop_states(&mut self, day: i64, since: u64) {
        for run in self.runs.iter_mut().filter(|run| run.generation >= since) {
            run.files.retain(|file| file.part != Part::State || file.day != day);
        }
    }

    /// What was open at the end of the last run.
    pub fn carry(&self) -> Option<&FileEntry> {
        self.runs.last()?.files.iter().find(|file| file.part == Part::Carry)
    }

    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }

    /// The latest moment of any host's log.
    pub fn now(&self) -> Option<Timestamp> {
        self.runs.last()?.now.values().max().copied()
    }

    /// Leaves a letter to be told, behind one that was not yet.
    pub fn leave(&mut self, letter: Letter) {
        /// More is not read by anybody; the reports have it.
        const BYTES: usize = 256 << 10;
        self.pending = Some(match self.pending.take().filter(|before| before.text.len() < BYTES) {
            Some(before) => Letter {
                subject: and_before(letter.subject, &before.subject),
                text: format!("{}\n\n{}", before.text, letter.text),
            },
            None => letter,
        });
    }

    /// The number of an input's name.
    pub fn source(&mut self, name: &str) -> u32 {
        let at = self.sources.iter().position(|known| known == name).unwrap_or_else(|| {
            self.sources.push(name.to_string());
            self.sources.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Takes out all runs after one, and what they read.
    pub fn go_back_to(&mut self, generation: u64) {
        self.runs.retain(|run| run.generation <= generation);
        self.texts.go_back_to(generation);
    }

    /// Takes out what is no longer needed: open events and states of earlier runs, days beyond `days` before the archive's
    /// end, and the oldest days beyond `bytes`.
    pub fn tidy(&mut self, states: usize, days: Option<i64>, bytes: Option<u64>) {
        let newest = self.runs.len().saturating_sub(1);
        let first_state = self.runs.len().saturating_sub(states);
        for (at, run) in self.runs.iter_mut().enumerate() {
            run.files.retain(|file| match file.part {
                Part::Open => at == newest,
                Part::Carry => at >= first_state,
                _ => true,
            });
        }
        let end = self.now().map_or(0, Timestamp::day);
        let too_old = days.map_or(i64::MIN, |days| end - days + 1);
        let mut from = too_old;
        if let Some(bytes) = bytes {
            let mut by_day: BTreeMap<i64, u64> = BTreeMap::new();
            for file in self.files().filter(|file| is_of_a_day(file.part)) {
                *by_day.entry(file.day).or_default() += file.bytes;
            }
            let mut left: u64 = by_day.values().sum();
            for (day, of_day) in by_day {
                if left <= bytes || day >= end {
                    break;
                }
                left -= of_day;
                from = from.max(day + 1);
            }
        }
        if self.files().any(|file| is_of_a_day(file.part) && file.day < from) {
            self.kept_from = self.kept_from.max(Some(from));
            for run in &mut self.runs {
                run.files.retain(|file| !is_of_a_day(file.part) || file.day >= from);
            }
        }
        for run in &mut self.runs {
            run.files.retain(|file| file.part != Part::History || file.day >= too_old);
        }
        self.texts.tidy();
    }
}

/// Records and states of one day, in the order of the runs.
#[derive(Debug, Default)]
pub struct DayFiles<'a> {
    /// With the run that wrote each.
    pub records: Vec<(u64, &'a FileEntry)>,
    /// With the first and the last run for whose records each stands.
    pub states: Vec<(u64, u64, &'a FileEntry)>,
}

impl<'a> DayFiles<'a> {
    /// The records for which none of these states stands.
    pub fn bare(&self, states: &[(u64, u64)]) -> Vec<(u64, &'a FileEntry)> {
        let is_bare = |run: u64| !states.iter().any(|(since, until)| (*since..=*until).contains(&run));
        self.records.iter().copied().filter(|(run, _)| is_bare(*run)).collect()
    }
}

/// The subject of two letters in one.
fn and_before(subject: String, before: &str) -> String {
    const BYTES: usize = 150;
    let before = before.strip_prefix("mailsleuth: ").unwrap_or(before);
    if subject.len() + before.len() > BYTES { subject } else { format!("{subject}; before that {before}") }
}

/// True for files that age and size take away. History is small, and is what later days are compared with: only age does.
const fn is_of_a_day(part: Part) -> bool {
    matches!(part, Part::Records | Part::State | Part::Events | Part::Run)
}
