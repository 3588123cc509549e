//! The summary on stdout: 80 columns, findings first.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::summary::Summary;
use super::{HostNames, Judged, worst_first};
use crate::detect::Finding;
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;

pub(super) const COLUMNS: usize = 80;
/// How many findings, senders and reasons are shown; the files have all.
const SHOWN: usize = 10;
/// How many files that were not read are named.
const PASSED_OVER: usize = 5;

/// The text, ending with a line end.
pub fn summary(summary: &Summary, judged: &[Judged], hosts: &HostNames, published: &[PathBuf]) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    _ = write(&mut out, summary, judged, hosts, published);
    out
}

fn write(
    out: &mut String,
    summary: &Summary,
    judged: &[Judged],
    hosts: &HostNames,
    published: &[PathBuf],
) -> std::fmt::Result {
    let files = summary.inputs.len();
    write!(out, "{} in {}", many(summary.lines.lines, "line"), many(files as u64, "input"))?;
    if let Some((first, last)) = summary.span() {
        write!(out, ", {first} to {last}")?;
    }
    if summary.has_zoneless {
        let zone = if summary.zone.is_empty() { "this machine's zone" } else { &summary.zone };
        write!(out, "\nStamps without a zone are read as {zone} (--timezone).")?;
    }
    out.push_str("\n\n");
    findings(out, judged, hosts)?;
    allowed(out, summary)?;
    traffic(out, summary)?;
    senders(out, judged, hosts)?;
    reasons(out, judged)?;
    quality(out, summary)?;
    let Some(directory) = published.first().and_then(|p| p.parent()) else { return Ok(()) };
    let names: Vec<_> = published.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy()).collect();
    wrapped(out, &format!("Written to {}: {}", directory.display(), names.join(", ")), 0, 2)
}

/// One identity, one story: what was found about it, worst first, and what to do about the worst of it.
fn findings(out: &mut String, judged: &[Judged], hosts: &HostNames) -> std::fmt::Result {
    let all = worst_first(judged);
    if all.is_empty() {
        return out.write_str("No findings.\n\n");
    }
    let mut incidents: Vec<(&Judged, Vec<&Finding>)> = Vec::new();
    for (one, finding) in &all {
        let known = incidents.iter().position(|(known, _)| std::ptr::eq(*known, *one));
        let has_room = incidents.len() < SHOWN;
        match known.and_then(|at| incidents.get_mut(at)) {
            Some((_, findings)) => findings.push(finding),
            None if has_room => incidents.push((one, vec![finding])),
            None => {}
        }
    }
    let count = judged.iter().filter(|one| !one.findings.is_empty()).count();
    let identities = if count == 1 { "1 identity".into() } else { format!("{count} identities") };
    writeln!(out, "INCIDENTS ({} of {identities})", many(all.len() as u64, "finding"))?;
    for (one, findings) in &incidents {
        let Some(worst) = findings.first() else { continue };
        let host = hosts.first_of(&one.profile);
        let on = if host.is_empty() { String::new() } else { format!(" on {host}") };
        let (kind, name) = (one.profile.kind.word(), printable(&one.profile.name));
        wrapped(out, &format!("{:<8} {kind} {name}{on}", worst.severity.word().to_uppercase()), 0, 9)?;
        for finding in findings {
            wrapped(out, &format!("{}: {}", finding.kind, finding.explanation), 9, 11)?;
        }
        wrapped(out, &format!("Do: {}", worst.next_step), 9, 9)?;
    }
    more(out, count, "identities with findings")?;
    out.write_str("\n")
}

/// Known senders that were not told of.
fn allowed(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let silent: Vec<_> = summary.allowed.iter().filter(|(_, silenced)| *silenced > 0).collect();
    for (entry, silenced) in &silent {
        let until = entry.until.as_ref().map_or(String::new(), |until| format!(" until {until}"));
        let text = format!(
            "Allowed: {}{until}, {} not told: {}",
            printable(entry.identity.as_bytes()),
            many(*silenced, "finding"),
            printable(entry.why.as_bytes())
        );
        wrapped(out, &text, 0, 2)?;
    }
    if silent.is_empty() { Ok(()) } else { out.write_str("\n") }
}

fn traffic(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let mail = &summary.mail;
    out.push_str("MAIL\n");
    let text = format!(
        "{} for {}: {} delivered, {} deferred, {} bounced, {} expired, {} discarded, {} still open, {} handed on to the next hop.",
        many(mail.messages, "message"),
        many(mail.recipients, "recipient"),
        mail.delivered,
        mail.deferred,
        mail.bounced,
        mail.expired,
        mail.discarded,
        mail.still_open,
        mail.handed_on,
    );
    wrapped(out, &text, 0, 2)?;
    let text = format!(
        "This host refused {} for good and {} for now; {} failed.",
        mail.rejected,
        mail.tempfailed,
        many(mail.auth_failures, "login"),
    );
    wrapped(out, &text, 0, 2)?;
    out.write_str("\n")
}

fn senders(out: &mut String, judged: &[Judged], hosts: &HostNames) -> std::fmt::Result {
    let mut busiest: Vec<_> = judged
        .iter()
        .filter(|j| !matches!(j.profile.kind, IdentityKind::Sender | IdentityKind::Null | IdentityKind::Unknown))
        .filter(|j| j.profile.recipients > 0)
        .collect();
    if busiest.is_empty() {
        return Ok(());
    }
    busiest.sort_by_key(|j| std::cmp::Reverse(j.profile.recipients));
    let header = ["SENDERS", "rcpts", "sent", "defer", "lost", "peak/h", "invalid"];
    writeln!(
        out,
        "{:<36}{:>7}{:>7}{:>7}{:>7}{:>7}{:>9}",
        header[0], header[1], header[2], header[3], header[4], header[5], header[6]
    )?;
    for Judged { profile, .. } in busiest.iter().take(SHOWN) {
        let host = hosts.first_of(profile);
        let on = if host.is_empty() { String::new() } else { format!(" @{host}") };
        let name = format!("{} {}{on}", profile.kind.word(), printable(&profile.name));
        writeln!(
            out,
            "{:<36}{:>7}{:>7}{:>7}{:>7}{:>7}{:>9}",
            shortened(&name, 35),
            profile.recipients,
            profile.delivered,
            profile.deferred,
            profile.bounced + profile.expired,
            profile.asked.peak(60).map_or(0, |p| p.count),
            profile.invalid_recipients.count(),
        )?;
    }
    more(out, busiest.len(), "senders of this host")?;
    let others = judged.len() - busiest.len();
    if others > 0 {
        let text = format!(
            "These are logins, scripts and clients that relay; {} more in the tables: strangers that write to this host, bounces, \
             and who sent nothing.",
            if others == 1 { "1 row".to_string() } else { format!("{others} rows") }
        );
        wrapped(out, &text, 0, 2)?;
    }
    out.write_str("\n")
}

fn reasons(out: &mut String, judged: &[Judged]) -> std::fmt::Result {
    let mut totals = std::collections::BTreeMap::new();
    for (key, reason) in judged.iter().flat_map(|j| &j.profile.reasons) {
        *totals.entry((key.direction, key.action, key.category, &key.provider)).or_insert(0) += reason.attempts;
    }
    let mut totals: Vec<_> = totals.into_iter().filter(|(_, attempts)| *attempts > 0).collect();
    if totals.is_empty() {
        return Ok(());
    }
    totals.sort_by_key(|(_, attempts)| std::cmp::Reverse(*attempts));
    writeln!(out, "{:<25}{:<12}{:<11}{:<20}{:>12}", "REASONS", "action", "direction", "provider", "answers")?;
    for ((direction, action, category, provider), attempts) in totals.iter().take(SHOWN) {
        let (category, provider) = (shortened(category.id(), 24), shortened(&String::from_utf8_lossy(provider), 19));
        writeln!(out, "{category:<25}{:<12}{:<11}{provider:<20}{attempts:>12}", action.word(), direction.word())?;
    }
    more(out, totals.len(), "reasons")?;
    out.write_str("\n")
}

fn quality(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let lines = &summary.lines;
    out.push_str("INPUT\n");
    let text = format!(
        "{} = {} entries + {} ignored + {} unknown + {} without a frame; {} too long.",
        many(lines.lines, "line"),
        lines.entries,
        lines.ignored_total(),
        lines.unknown,
        lines.unframed,
        lines.overlong,
    );
    wrapped(out, &text, 0, 2)?;
    let mail = &summary.mail;
    let text = format!(
        "{} still in the queue at the end of the log, {} without a beginning; {} that no rule explains (unclassified in summary.json).",
        many(mail.open_messages, "message"),
        mail.orphans,
        many(summary.unclassified.total(), "answer"),
    );
    wrapped(out, &text, 0, 2)?;
    for problem in &summary.problems {
        wrapped(
            out,
            &format!("Damaged or not read: {}: {}.", printable(problem.source.as_bytes()), problem.what),
            0,
            2,
        )?;
    }
    for gap in summary.gaps() {
        wrapped(out, &format!("Gap: {}", gap.text()), 0, 2)?;
    }
    for input in summary.inputs.iter().filter(|input| input.left_out > 0) {
        let text = format!(
            "Overlap: {} of {} stand in another input too and count once.",
            many(input.left_out, "line"),
            printable(input.name.as_bytes())
        );
        wrapped(out, &text, 0, 2)?;
    }
    for (name, why) in summary.passed_over.iter().take(PASSED_OVER) {
        wrapped(out, &format!("Not read: {}: {}.", printable(name.as_bytes()), printable(why.as_bytes())), 0, 2)?;
    }
    let beyond = summary.passed_over.len().saturating_sub(PASSED_OVER);
    if beyond > 0 {
        writeln!(out, "Not read: {}; summary.json names them.", many(beyond as u64, "more file"))?;
    }
    out.write_str("\n")
}

fn more(out: &mut String, all: usize, what: &str) -> std::fmt::Result {
    if all > SHOWN { writeln!(out, "... {} more {what} in the tables", all - SHOWN) } else { Ok(()) }
}

pub(super) fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_string();
    }
    let mut short: String = text.chars().take(columns.saturating_sub(2)).collect();
    short.push_str("..");
    short
}

/// Words of `text` in lines of at most [`COLUMNS`], the first indented by `first` columns and the others by `rest`. A
/// word that is longer than a line is cut.
pub(super) fn wrapped(out: &mut String, text: &str, first: usize, rest: usize) -> std::fmt::Result {
    let mut column = first;
    let mut is_start = true;
    write!(out, "{:first$}", "")?;
    for word in text.split(' ') {
        let word = shortened(word, COLUMNS - rest);
        let width = word.chars().count();
        if !is_start && column + 1 + width > COLUMNS {
            write!(out, "\n{:rest$}", "")?;
            column = rest;
            is_start = true;
        }
        if !is_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += width;
        is_start = false;
    }
    out.write_str("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_page() {
        let mut out = String::new();
        let text = format!("one {} three {}", "x".repeat(200), "word ".repeat(60));
        wrapped(&mut out, &text, 9, 9).unwrap();
        assert!(out.lines().all(|line| line.chars().count() <= COLUMNS), "{out}");
    }
}
