//! What `nightly` tells: 80 columns, what needs a person first. Nothing where nothing does.

use std::fmt::Write as _;

use super::text::{Out, many, wrapped};
use crate::mail::address::harmless;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// How many incidents, changes and problems are told; the reports have all.
const SHOWN: usize = 20;
const FEW: usize = 5;

/// How a finding stands beside what was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    New,
    Worse,
    /// On which day it goes on.
    Ongoing(i64),
    Resolved,
}

impl Standing {
    pub fn words(self) -> String {
        match self {
            Self::New => "new".into(),
            Self::Worse => "worse".into(),
            Self::Ongoing(day) => format!("ongoing (day {day})"),
            Self::Resolved => "resolved".into(),
        }
    }
}

/// A finding to tell of.
#[derive(Debug, Clone)]
pub struct Told {
    pub standing: Standing,
    /// Somebody should read it tonight; that something is over can wait for the next letter.
    pub is_news: bool,
    pub severity: &'static str,
    pub kind: String,
    pub identity_kind: String,
    /// As logged, made harmless.
    pub identity: String,
    pub host: String,
    pub explanation: String,
    /// The signs that it adds up; empty for what is resolved.
    pub signs: String,
    pub next_step: String,
    pub first_seen: Timestamp,
    pub recipients: u64,
}

/// All that a letter may tell.
#[derive(Debug, Default)]
pub struct Facts {
    /// Worst first; those of one identity together.
    pub told: Vec<Told>,
    /// What changed at remote servers, a sentence each.
    pub changes: Vec<String>,
    /// Alarms that are about no identity: no mail lines any more.
    pub alarms: Vec<String>,
    pub lines: u64,
    pub mail_lines: u64,
    pub unknown: u64,
    pub unframed: u64,
    pub unexplained: u64,
    pub span: Option<(Timestamp, Timestamp)>,
    /// Inputs that could not be read, and other things that the reader should know of them.
    pub problems: Vec<String>,
    pub notes: Vec<String>,
    /// Known senders that were silenced.
    pub allowed: Vec<String>,
    pub advice: Vec<&'static str>,
    /// Directory of the full reports.
    pub reports: String,
    /// Options that the commands shown need: `--state DIR` where it is not the usual one.
    pub options: String,
}

impl Facts {
    /// The mail's subject: counts only.
    pub fn subject(&self) -> String {
        let count = |is: fn(Standing) -> bool| self.told.iter().filter(|told| is(told.standing)).count();
        let counts = [
            (self.alarms.len(), "alarm"),
            (count(|s| s == Standing::New), "new"),
            (count(|s| s == Standing::Worse), "worse"),
            (count(|s| matches!(s, Standing::Ongoing(_))), "ongoing"),
            (count(|s| s == Standing::Resolved), "resolved"),
        ];
        let parts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if parts.is_empty() { "mailsleuth: nothing new".into() } else { format!("mailsleuth: {}", parts.join(", ")) }
    }

    pub fn text(&self) -> String {
        let mut out = Out::plain();
        // Writing into a String cannot fail.
        _ = self.write(&mut out);
        out.text
    }

    fn write(&self, out: &mut Out) -> std::fmt::Result {
        for alarm in &self.alarms {
            wrapped(out, &format!("ALARM    {alarm}"), 0, 9)?;
        }
        if !self.alarms.is_empty() {
            out.text.push('\n');
        }
        self.incidents(out)?;
        list(out, "CHANGED AT OTHER SERVERS", &self.changes)?;
        list(out, "COULD NOT BE READ", &self.problems)?;
        list(out, "KNOWN SENDERS, NOT TOLD", &self.allowed)?;
        let advice: Vec<String> = self.advice.iter().map(ToString::to_string).collect();
        list(out, "SETTINGS THAT WOULD SHOW MORE", &advice)?;
        self.input(out)
    }

    fn incidents(&self, out: &mut Out) -> std::fmt::Result {
        if self.told.is_empty() {
            return if self.alarms.is_empty() { out.write_str("No findings to tell of.\n\n") } else { Ok(()) };
        }
        // The first of an identity is its worst: what to do is about that.
        let mut worst: Option<&Told> = None;
        for (at, told) in self.told.iter().take(SHOWN).enumerate() {
            let is_same = worst.is_some_and(|before| {
                (&before.identity, &before.host, &before.identity_kind)
                    == (&told.identity, &told.host, &told.identity_kind)
            });
            if !is_same {
                worst = Some(told);
                if at > 0 {
                    out.text.push('\n');
                }
                let on = if told.host.is_empty() { String::new() } else { format!(" on {}", told.host) };
                let severity = told.severity.to_uppercase();
                wrapped(out, &format!("{severity:<8} {} {}{on}", told.identity_kind, told.identity), 0, 9)?;
            }
            let standing = told.standing.words();
            let text = match told.standing {
                Standing::Resolved => format!("{standing}: {}", told.kind),
                _ => format!("{standing}: {}: {}", told.kind, told.explanation),
            };
            wrapped(out, &text, 9, 11)?;
            if !told.signs.is_empty() {
                wrapped(out, &format!("Signs: {}.", told.signs), 11, 13)?;
            }
            let next = self.told.get(at + 1).filter(|_| at + 1 < SHOWN);
            let is_last = next.is_none_or(|next| {
                (&next.identity, &next.host, &next.identity_kind) != (&told.identity, &told.host, &told.identity_kind)
            });
            if is_last && told.standing != Standing::Resolved {
                let worst = worst.unwrap_or(told);
                wrapped(out, &format!("Do: {}", worst.next_step), 9, 9)?;
                self.command(out, worst)?;
            }
        }
        if self.told.len() > SHOWN {
            writeln!(out, "\n... and {} more in the reports", self.told.len() - SHOWN)?;
        }
        out.write_str("\n")
    }

    /// The command that shows more, whole and on lines of its own.
    fn command(&self, out: &mut Out, told: &Told) -> std::fmt::Result {
        // Whole days of UTC, in which zone ever it is typed.
        let since = Timestamp::from_seconds(told.first_seen.day() * SECONDS_PER_DAY);
        writeln!(out, "         More:")?;
        writeln!(out, "           mailsleuth report{} --since {since} --events \\", self.options)?;
        writeln!(out, "             --identity {}", quoted_in_lines(&told.identity))
    }

    fn input(&self, out: &mut Out) -> std::fmt::Result {
        let mut text = format!("Read: {}, {} of a mail server", many(self.lines, "new line"), self.mail_lines);
        if let Some((first, last)) = self.span {
            _ = write!(text, ", {first} to {last}");
        }
        if self.unknown + self.unframed > 0 {
            _ = write!(text, "; {} of no known kind, {} without a frame", self.unknown, self.unframed);
        }
        if self.unexplained > 0 {
            _ = write!(text, "; {} that no rule explains", many(self.unexplained, "answer"));
        }
        text.push('.');
        wrapped(out, &text, 0, 2)?;
        for note in self.notes.iter().take(FEW) {
            wrapped(out, &format!("Note: {note}"), 0, 2)?;
        }
        if self.reports.is_empty() { Ok(()) } else { wrapped(out, &format!("All of it: {}", self.reports), 0, 2) }
    }
}

/// The letter that tells of a night run that failed.
pub fn failure(said: &str) -> String {
    let mut out = Out::plain();
    // Writing into a String cannot fail.
    _ = wrapped(&mut out, &format!("The night run failed: {}", harmless(said)), 0, 2);
    _ = wrapped(
        &mut out,
        "The next run that succeeds reads what this one did not, while the logs are still there.",
        0,
        0,
    );
    out.text
}

fn list(out: &mut Out, heading: &str, texts: &[String]) -> std::fmt::Result {
    if texts.is_empty() {
        return Ok(());
    }
    writeln!(out, "{heading}")?;
    for text in texts.iter().take(FEW) {
        wrapped(out, &format!("- {}", harmless(text)), 0, 2)?;
    }
    if texts.len() > FEW {
        writeln!(out, "- and {} more", texts.len() - FEW)?;
    }
    out.write_str("\n")
}

/// A word for a shell: in quotes where it has a character that means something there.
pub fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '=' | ':' | '/' | ',');
    let is_safe = !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain);
    if is_safe { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The same, on more than one line where it is longer than a line of a mail may be (998 bytes, RFC 5322 section 2.1.1).
fn quoted_in_lines(word: &str) -> String {
    /// Each of four bytes at most, and in quotes.
    const LETTERS: usize = 200;
    let letters: Vec<char> = word.chars().collect();
    if letters.len() <= LETTERS {
        return quoted(word);
    }
    let pieces: Vec<_> = letters.chunks(LETTERS).map(|piece| quoted(&piece.iter().collect::<String>())).collect();
    pieces.join("\\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_safe_in_a_shell() {
        assert_eq!(quoted("a+b@c.example"), "a+b@c.example");
        assert_eq!(quoted("$(rm -r /)'x"), r"'$(rm -r /)'\''x'");
        assert_eq!((quoted(""), quoted("-x")), ("''".into(), "'-x'".into()));
    }

    #[test]
    fn a_long_name_takes_lines_of_a_mail() {
        let name = "'\u{10348}".repeat(1_500);
        let lines = quoted_in_lines(&name);
        assert!(lines.lines().count() == 15 && lines.lines().all(|line| line.len() < 990));
        let script = format!("printf %s {lines}");
        let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), name);
        assert_eq!(quoted_in_lines("a b"), "'a b'");
    }

    #[test]
    fn names_are_made_harmless_once() {
        let facts = Facts {
            changes: vec![r"\x1B[31mred.example refuses mail".into()],
            problems: vec!["a\u{1b}b: truncated".into()],
            ..Facts::default()
        };
        let text = facts.text();
        assert!(text.contains(r"- \x1B[31mred.example refuses") && text.contains(r"- a\x1Bb: truncated"), "{text}");
    }

    #[test]
    fn a_subject_has_counts_only() {
        let told = Told {
            standing: Standing::New,
            is_news: true,
            severity: "high",
            kind: "hourly-limit".into(),
            identity_kind: "sasl".into(),
            identity: "al@b.example".into(),
            host: String::new(),
            explanation: "much".into(),
            signs: "over-the-limit 0.2".into(),
            next_step: "ask".into(),
            first_seen: Timestamp(0),
            recipients: 9,
        };
        let ongoing = Told { standing: Standing::Ongoing(3), ..told.clone() };
        let facts = Facts { told: vec![told, ongoing], ..Facts::default() };
        assert_eq!(facts.subject(), "mailsleuth: 1 new, 1 ongoing");
        let text = facts.text();
        assert!(text.contains("new: hourly-limit: much") && text.contains("ongoing (day 3)"), "{text}");
        assert_eq!(text.matches("al@b.example").count(), 2, "named once, and in the command: {text}");
    }
}
