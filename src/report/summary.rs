//! `summary.json`: what was read, what it came to, and what could not be read or understood. Its sums close.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::privacy::Privacy;
use super::tables::SCHEMA_VERSION;
use crate::archive::manifest::InputNote;
use crate::detect::Allow;
use crate::framing::year::YearSource;
use crate::input::Problem;
use crate::mail::address::printable;
use crate::mail::time::{Period, Timestamp};
use crate::tally::{LineTally, MailTally, Shapes};

/// How many shapes of each kind are listed; the rest is counted.
const LISTED: usize = 50;

/// Between two files of one log a silence shorter than this is nothing to speak of.
const GAP_S: i64 = 3_600;

/// What is said of one input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputSummary {
    pub name: String,
    /// Files of one log have the same: those that were rotated one after another, or lie loose in one directory.
    pub log: String,
    pub year_source: YearSource,
    pub lines: u64,
    /// Lines with a known frame.
    pub framed: u64,
    pub mail_lines: u64,
    pub bytes: u64,
    /// Lines that an input before it has too.
    pub left_out: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The moment of the line before, and the longest time between two lines.
    before: Option<Timestamp>,
    silence_s: i64,
}

/// A time of which two files of one log that follow one another hold no line, longer than any within them.
pub struct Gap {
    pub after: String,
    pub before: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl InputSummary {
    pub fn new(name: &str, log: &str, year_source: YearSource) -> Self {
        Self {
            name: name.to_string(),
            log: log.to_string(),
            year_source,
            lines: 0,
            framed: 0,
            mail_lines: 0,
            bytes: 0,
            left_out: 0,
            first: None,
            last: None,
            before: None,
            silence_s: 0,
        }
    }

    /// First and last moment of its mail lines.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.first.zip(self.last)
    }

    /// An input of an earlier run.
    pub fn of_note(note: &InputNote) -> Self {
        Self {
            lines: note.lines,
            framed: note.lines,
            mail_lines: note.mail_lines,
            bytes: note.bytes,
            left_out: note.left_out,
            first: note.first,
            last: note.last,
            ..Self::new(&note.name, &note.log, YearSource::Stamps)
        }
    }

    /// What the archive keeps of it.
    pub fn note(&self) -> InputNote {
        InputNote {
            name: self.name.clone(),
            log: self.log.clone(),
            lines: self.lines,
            mail_lines: self.mail_lines,
            bytes: self.bytes,
            left_out: self.left_out,
            first: self.first,
            last: self.last,
        }
    }

    pub fn saw(&mut self, at: Timestamp) {
        self.silence_s = self.silence_s.max(self.before.map_or(0, |before| at.seconds_since(before)));
        self.before = Some(at);
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// The same of an input of which only this is known: the moments of its first and last line, and the longest time
    /// between two lines that were looked at.
    pub fn over(self, first: Timestamp, last: Timestamp, silence_s: i64) -> Self {
        Self { first: Some(first), last: Some(last), silence_s, ..self }
    }

    pub fn add(&mut self, tally: &LineTally, bytes: u64) {
        self.lines += tally.lines;
        self.framed += tally.lines
            - tally.unframed
            - tally.ignored.get("blank").copied().unwrap_or(0)
            - tally.ignored.get("continuation").copied().unwrap_or(0);
        self.mail_lines += tally.mail_lines;
        self.bytes += bytes;
    }

    fn to_json(&self) -> Value {
        json!({
            "source": printable(self.name.as_bytes()),
            "text_bytes": self.bytes,
            "lines": self.lines,
            "mail_lines": self.mail_lines,
            "first": self.first.map(|at| at.to_string()),
            "last": self.last.map(|at| at.to_string()),
            "year_from": self.year_source.word(),
            "lines_in_another_input_too": self.left_out,
        })
    }
}

impl Gap {
    pub fn text(&self) -> String {
        format!(
            "no line between {} and {}: is a file missing between {} and {}?",
            self.from,
            self.to,
            printable(self.after.as_bytes()),
            printable(self.before.as_bytes())
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "after": printable(self.after.as_bytes()),
            "before": printable(self.before.as_bytes()),
            "from": self.from.to_string(),
            "to": self.to.to_string(),
        })
    }
}

/// All that `summary.json` and the text summary say of a run.
pub struct Summary {
    /// Only mail that came in this time is in the report.
    pub period: Period,
    /// What else was asked for (`report`): the options' names and values.
    pub filter: Vec<(&'static str, String)>,
    pub inputs: Vec<InputSummary>,
    pub passed_over: Vec<(String, String)>,
    pub problems: Vec<Problem>,
    pub zone: String,
    /// Some stamps have no zone of their own.
    pub has_zoneless: bool,
    pub lines: LineTally,
    pub mail: MailTally,
    pub unclassified: Shapes,
    /// Known senders of the config file, and how many findings each entry silenced.
    pub allowed: Vec<(Allow, u64)>,
    /// The databases of places in use.
    pub places: Value,
    /// Who is hidden in all that is said.
    pub privacy: Privacy,
    /// Rows per table.
    pub rows: Vec<(&'static str, u64)>,
}

/// Options that choose answers, and with them senders, but not the mail that is counted.
const OF_ANSWERS: [&str; 4] = ["category", "provider", "action", "direction"];

impl Summary {
    /// Which part of what was read the report is about; `None` for all.
    pub fn only(&self) -> Option<String> {
        let since = self.period.since.map(|since| format!("since {since}"));
        let until = self.period.until.map(|until| format!("until {until}"));
        let filter = self.filter.iter().map(|(option, value)| format!("{option} {}", printable(value.as_bytes())));
        let parts: Vec<_> = since.into_iter().chain(until).chain(filter).collect();
        let has_rest = self.filter.iter().any(|(option, _)| OF_ANSWERS.contains(option));
        let rest = if has_rest { " Mail and senders' counts are of all their answers." } else { "" };
        let told = || format!("Only {}; lines and inputs are of all that was read.{rest}", parts.join(", "));
        (!parts.is_empty()).then(told)
    }

    /// First and last moment of the mail lines.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.inputs.iter().filter_map(|i| i.first).min()?;
        Some((first, self.inputs.iter().filter_map(|i| i.last).max()?))
    }

    /// Times between files of one log that no file covers.
    pub fn gaps(&self) -> Vec<Gap> {
        gaps(&self.inputs)
    }

    /// Warnings for stderr: the problems first, one each, then what the reader should know of the input.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<_> =
            self.problems.iter().map(|p| format!("{}: {}", printable(p.source.as_bytes()), p.what)).collect();
        for input in self.inputs.iter().filter(|input| input.year_source == YearSource::Clock) {
            let first = input.first.map(|at| at.to_string()).unwrap_or_default();
            warnings.push(format!(
                "{}: its stamps have no year and nothing dates it; the newest past year was taken (first line: {first}); give --year",
                printable(input.name.as_bytes())
            ));
        }
        for input in self.inputs.iter().filter(|input| input.mail_lines == 0 && input.framed > input.left_out) {
            warnings.push(format!("{}: no line of Postfix or Exim in it", printable(input.name.as_bytes())));
        }
        for gap in self.gaps() {
            warnings.push(gap.text());
        }
        if self.lines.unknown > 0 {
            let samples = if self.privacy == Privacy::Off { " (samples in summary.json)" } else { "" };
            warnings.push(format!(
                "{} of {} lines are of a mail server but of no known kind{samples}",
                self.lines.unknown, self.lines.lines
            ));
        }
        warnings
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let lines = &self.lines;
        let mail = &self.mail;
        let span = self.span();
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|p| json!({ "source": printable(p.source.as_bytes()), "problem": p.what, "unreadable": p.is_unreadable }))
            .collect();
        let passed_over: Vec<_> = self
            .passed_over
            .iter()
            .map(|(name, why)| json!({ "source": printable(name.as_bytes()), "reason": printable(why.as_bytes()) }))
            .collect();
        let value = json!({
            "schema_version": SCHEMA_VERSION,
            "program": "mailsleuth",
            "version": env!("CARGO_PKG_VERSION"),
            "first": span.map(|(first, _)| first.to_string()),
            "last": span.map(|(_, last)| last.to_string()),
            "since": self.period.since.map(|since| since.to_string()),
            "until": self.period.until.map(|until| until.to_string()),
            "filter": self.filter.iter().map(|(option, value)| ((*option).to_string(), value.as_str().into())).collect::<serde_json::Map<_, _>>(),
            "timezone": self.zone,
            "privacy": self.privacy.word(),
            "inputs": self.inputs.iter().map(InputSummary::to_json).collect::<Vec<_>>(),
            "passed_over": passed_over,
            "problems": problems,
            "gaps": self.gaps().iter().map(Gap::to_json).collect::<Vec<_>>(),
            "lines": {
                "lines": lines.lines,
                "entries": lines.entries,
                "ignored": lines.ignored_total(),
                "unknown": lines.unknown,
                "unframed": lines.unframed,
                "overlong": lines.overlong,
                "ignored_by_reason": lines.ignored,
                "unknown_templates": templates(&lines.unknown_shapes),
                "unframed_templates": templates(&lines.unframed_shapes),
            },
            "mail": {
                "messages": mail.messages,
                "open_messages": mail.open_messages,
                "orphans": mail.orphans,
                "probes": mail.probes,
                "aborted": mail.aborted,
                "rejected": mail.rejected,
                "tempfailed": mail.tempfailed,
                "auth_failures": mail.auth_failures,
            },
            "recipients": {
                "asked_for": mail.recipients,
                "delivered": mail.delivered,
                "deferred": mail.deferred,
                "bounced": mail.bounced,
                "expired": mail.expired,
                "discarded": mail.discarded,
                "still_open": mail.still_open,
                "handed_on": mail.handed_on,
            },
            "unclassified": {
                "answers": self.unclassified.total(),
                "templates": templates(&self.unclassified),
            },
            "allowed": self.allowed.iter().map(|(entry, silenced)| json!({
                "identity": entry.identity,
                "kinds": entry.kinds,
                "until": entry.until,
                "why": entry.why,
                "silenced": silenced,
            })).collect::<Vec<_>>(),
            "mmdb": self.places,
            "rows": self.rows.iter().map(|(name, rows)| ((*name).to_string(), json!(rows))).collect::<serde_json::Map<_, _>>(),
        });
        let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Times between files of one log that no file covers.
pub fn gaps(inputs: &[InputSummary]) -> Vec<Gap> {
    let mut logs: BTreeMap<&str, Vec<&InputSummary>> = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.first.is_some()) {
        logs.entry(&input.log).or_default().push(input);
    }
    let mut gaps = Vec::new();
    for mut log in logs.into_values() {
        log.sort_by_key(|input| (input.first, input.last));
        // The input that reaches furthest so far.
        let mut reach: Option<&InputSummary> = None;
        for input in log {
            if let (Some(before), Some(first)) = (reach, input.first)
                && let Some(last) = before.last
                && first.seconds_since(last) > GAP_S.max(2 * before.silence_s.max(input.silence_s))
            {
                gaps.push(Gap { after: before.name.clone(), before: input.name.clone(), from: last, to: first });
            }
            reach = reach.filter(|before| before.last > input.last).or(Some(input));
        }
    }
    gaps
}

fn templates(shapes: &Shapes) -> Vec<Value> {
    shapes
        .by_count()
        .iter()
        .take(LISTED)
        .map(|(shape, count, sample)| {
            let shown = |text| if sample.is_empty() { "(no text)".into() } else { printable(text) };
            json!({ "template": shown(shape), "count": count, "sample": shown(sample) })
        })
        .collect()
}
