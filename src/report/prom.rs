//! Metrics for node-exporter's textfile collector (Prometheus text format 0.0.4): counts, never an address.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Judged;
use crate::tally::{LineTally, MailTally};

/// What one run of `nightly` came to.
pub struct Metrics<'a> {
    /// Seconds since 1970 of the run's end, and how long it took.
    pub at: i64,
    pub seconds: f64,
    /// Seconds since 1970 of the last run that found a mail line.
    pub last_mail: Option<i64>,
    pub lines: &'a LineTally,
    pub problems: usize,
    pub archive_bytes: u64,
    /// What [`found`] made of the days that are looked at, when something was last new.
    pub found: &'a str,
}

/// Adds a metric with its values, each behind its labels.
fn gauge(out: &mut String, name: &str, help: &str, values: &[(String, String)]) {
    // Writing into a String cannot fail.
    _ = writeln!(out, "# HELP mailsleuth_{name} {help}\n# TYPE mailsleuth_{name} gauge");
    for (labels, value) in values {
        _ = writeln!(out, "mailsleuth_{name}{labels} {value}");
    }
}

fn one(value: String) -> [(String, String); 1] {
    [(String::new(), value)]
}

impl Metrics<'_> {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut gauge = |name: &str, help: &str, values: &[(String, String)]| gauge(&mut out, name, help, values);
        gauge("last_run_timestamp_seconds", "End of the last run.", &one(self.at.to_string()));
        gauge("last_run_seconds", "How long it took.", &one(format!("{:.3}", self.seconds)));
        if let Some(at) = self.last_mail {
            gauge("last_mail_timestamp_seconds", "End of the last run that found a mail line.", &one(at.to_string()));
        }
        gauge("new_lines", "Lines that the last run read.", &one(self.lines.lines.to_string()));
        gauge(
            "unknown_lines",
            "Of those, lines of a mail server of no known kind.",
            &one(self.lines.unknown.to_string()),
        );
        gauge(
            "unreadable_inputs",
            "Inputs that could not be read, or not to their end.",
            &one(self.problems.to_string()),
        );
        gauge("archive_bytes", "Size of the archive.", &one(self.archive_bytes.to_string()));
        out.push_str(self.found);
        out
    }
}

/// What was found in the days that are looked at.
pub fn found(judged: &[Judged], mail: &MailTally) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, values: &[(String, String)]| gauge(&mut out, name, help, values);
    let mut findings: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for finding in judged.iter().flat_map(|one| &one.findings) {
        *findings.entry((finding.kind, finding.severity.word())).or_default() += 1;
    }
    let findings: Vec<_> = findings
        .iter()
        .map(|((kind, severity), n)| (format!("{{kind=\"{kind}\",severity=\"{severity}\"}}"), n.to_string()))
        .collect();
    gauge("findings", "Findings in the days that are looked at.", &findings);
    let outcomes = [
        ("delivered", mail.delivered),
        ("deferred", mail.deferred),
        ("bounced", mail.bounced),
        ("expired", mail.expired),
        ("discarded", mail.discarded),
        ("still_open", mail.still_open),
    ];
    let outcomes: Vec<_> =
        outcomes.iter().map(|(name, n)| (format!("{{outcome=\"{name}\"}}"), n.to_string())).collect();
    gauge("recipients", "Recipients in the days that are looked at, by outcome.", &outcomes);
    let refused = [("permanent", mail.rejected), ("temporary", mail.tempfailed)];
    let refused: Vec<_> = refused.iter().map(|(name, n)| (format!("{{answer=\"{name}\"}}"), n.to_string())).collect();
    gauge("refusals", "Refusals by this host in the days that are looked at.", &refused);
    gauge("failed_logins", "Failed logins in the days that are looked at.", &one(mail.auth_failures.to_string()));
    out
}
