//! The summary on stdout: as wide as the terminal, findings first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::summary::Summary;
use super::tables::Cell;
use super::{HostNames, Incident, Judged, incidents, is_unnamed_host, kind_word};
use crate::detect::{Finding, Severity};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;

/// The width where nothing says another, and the least and the most that are made use of.
const COLUMNS: usize = 80;
const LEAST_COLUMNS: usize = 60;
const MOST_COLUMNS: usize = 120;
/// The column of names in [`COLUMNS`]; it takes what more there is.
const NAME_COLUMNS: usize = 36;
/// How many findings, senders and reasons are shown; the files have all.
const SHOWN: usize = 10;
/// So many steps of one incident are told; the page has all.
const STEPS: usize = 3;
/// Widths of the columns of numbers of a sender.
const WIDTHS: [usize; 6] = [7, 7, 7, 7, 7, 9];
/// Widths of the columns of a reason in [`COLUMNS`]: category, action, direction, provider, and its number.
const REASON_WIDTHS: [usize; 5] = [25, 12, 11, 20, 12];
/// How many files that were not read are named.
const PASSED_OVER: usize = 5;

/// What the stream that the text goes to can show.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    columns: usize,
    has_colours: bool,
    is_ascii: bool,
}

impl Look {
    /// `columns` of the terminal; `None` where there is none.
    pub fn new(columns: Option<u16>, has_colours: bool, is_ascii: bool) -> Self {
        let columns = columns.map_or(COLUMNS, |columns| usize::from(columns).clamp(LEAST_COLUMNS, MOST_COLUMNS));
        Self { columns, has_colours, is_ascii }
    }

    /// The text in what the stream can show: where that is ASCII alone, other characters come as the bytes that they are.
    fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.is_ascii || text.is_ascii() {
            return text.into();
        }
        let mut shown = String::with_capacity(text.len() * 4);
        for character in text.chars() {
            if character.is_ascii() {
                shown.push(character);
            } else {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    // Writing into a String cannot fail.
                    _ = write!(shown, "\\x{byte:02X}");
                }
            }
        }
        shown.into()
    }

    fn styled(&self, text: &str, style: Style) -> String {
        if self.has_colours { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    fn heading(&self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    /// What there is less than [`COLUMNS`] is taken from the provider and its number, what there is more goes to the provider.
    fn reason_widths(&self) -> [usize; 5] {
        let [category, action, direction, provider, number] = REASON_WIDTHS;
        let narrower = COLUMNS.saturating_sub(self.columns);
        let wider = self.columns.saturating_sub(COLUMNS);
        [category, action, direction, provider + wider - (narrower * 3 / 4), number - (narrower - narrower * 3 / 4)]
    }

    fn name_columns(&self) -> usize {
        self.columns.saturating_sub(COLUMNS - NAME_COLUMNS)
    }
}

fn colour(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical => AnsiColor::BrightRed,
        Severity::High => AnsiColor::Red,
        Severity::Medium => AnsiColor::Yellow,
        Severity::Low => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

/// The text, ending with a line end.
pub fn summary(summary: &Summary, judged: &[Judged], hosts: &HostNames, published: &[PathBuf], look: Look) -> String {
    let mut out = Out::new(look);
    // Writing into a String cannot fail.
    _ = write(&mut out, summary, judged, hosts, published);
    out.text
}

/// Hides people.
pub trait Hide {
    /// A sentence without them.
    fn sentence(&self, text: &str) -> String;

    /// Hides them in cells of a row, named by `columns` as those of the events table are, of whom alone a text in it tells.
    fn row(&self, columns: &[&str], row: &mut [Cell]);
}

/// The text while it grows.
pub(super) struct Out<'a> {
    pub text: String,
    look: Look,
    /// What every sentence goes through.
    hide: Option<&'a dyn Hide>,
}

impl<'a> Out<'a> {
    pub const fn new(look: Look) -> Self {
        Self { text: String::new(), look, hide: None }
    }

    /// The same with people hidden.
    pub const fn hiding(look: Look, hide: Option<&'a dyn Hide>) -> Self {
        Self { text: String::new(), look, hide }
    }

    /// A sentence with people hidden where that is wanted.
    pub fn hidden<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hide.map_or(Cow::Borrowed(text), |hide| hide.sentence(text).into())
    }

    /// Texts of a row with people hidden where that is wanted, each under the name that its column has in the events table.
    /// Of `beside`, further cells, a text may tell, too.
    pub fn row<const N: usize>(&self, cells: [(&str, String); N], beside: Vec<(&str, String)>) -> [String; N] {
        let Some(hide) = self.hide else { return cells.map(|(_, text)| text) };
        let (columns, mut row): (Vec<&str>, Vec<Cell>) =
            cells.into_iter().chain(beside).map(|(column, text)| (column, Cell::text(text))).unzip();
        hide.row(&columns, &mut row);
        let mut texts = row.into_iter().map(|cell| if let Cell::Text(text) = cell { text } else { String::new() });
        std::array::from_fn(|_| texts.next().unwrap_or_default())
    }

    /// True where people are hidden.
    pub const fn is_hiding(&self) -> bool {
        self.hide.is_some()
    }

    pub fn heading(&self, text: &str) -> String {
        self.look.heading(&self.look.shown(&self.hidden(text)))
    }

    /// Of 80 columns, for a mail.
    pub fn plain() -> Self {
        Self::new(Look::new(None, false, false))
    }
}

impl std::fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.text.write_str(text)
    }
}

fn write(
    out: &mut Out,
    summary: &Summary,
    judged: &[Judged],
    hosts: &HostNames,
    published: &[PathBuf],
) -> std::fmt::Result {
    let files = summary.inputs.len();
    write!(out, "{} in {}", many(summary.lines.lines, "line"), many(files as u64, "input"))?;
    if let Some((first, last)) = summary.span() {
        write!(out, ", {} to {}", first.to_second(), last.to_second())?;
    }
    if summary.has_zoneless {
        let zone = if summary.zone.is_empty() { "this machine's zone" } else { &summary.zone };
        write!(out, "\nStamps without a zone are read as {zone} (--timezone).")?;
    }
    out.write_str("\n")?;
    if let Some(only) = summary.only() {
        wrapped(out, &only, 0, 0)?;
    }
    out.write_str("\n")?;
    findings(out, judged, hosts)?;
    allowed(out, summary)?;
    traffic(out, summary)?;
    senders(out, judged, hosts)?;
    reasons(out, judged)?;
    quality(out, summary)?;
    written(out, published)
}

/// Where the files lie. It is what the user said, and as it is.
pub(super) fn written(out: &mut Out, published: &[PathBuf]) -> std::fmt::Result {
    let Some(directory) = published.first().and_then(|path| path.parent()) else { return Ok(()) };
    let shown = |path: &OsStr| printable(path.as_encoded_bytes()).into_owned();
    let names: Vec<_> = published.iter().filter_map(|path| path.file_name()).map(shown).collect();
    wrapped_as_is(out, &format!("Written to {}: {}", shown(directory.as_os_str()), names.join(", ")), 0, 2)
}

/// One identity, one story: what was found about it, worst first, and what to do.
fn findings(out: &mut Out, judged: &[Judged], hosts: &HostNames) -> std::fmt::Result {
    let incidents = incidents(judged);
    if incidents.is_empty() {
        return out.write_str("No findings.\n\n");
    }
    let count = incidents.len();
    let all: usize = incidents.iter().map(|incident| incident.findings.len()).sum();
    let identities = if count == 1 { "1 identity".into() } else { format!("{count} identities") };
    let heading = format!("INCIDENTS ({} of {identities})", many(all as u64, "finding"));
    writeln!(out, "{}", out.look.heading(&heading))?;
    let groups = by_campaign(&incidents);
    for group in groups.iter().take(SHOWN) {
        match group.as_slice() {
            [] => {}
            [incident] => told(out, incident, hosts)?,
            [lead, others @ ..] => campaign(out, lead, others, hosts)?,
        }
    }
    let (critical, rest): (Vec<&Incident<'_>>, Vec<&Incident<'_>>) =
        groups.into_iter().skip(SHOWN).flatten().partition(|incident| incident.severity() == Severity::Critical);
    for incident in critical {
        let kinds: Vec<_> = incident.findings.iter().map(|finding| finding.kind).collect();
        severe(out, Severity::Critical, &format!("{}: {}", who(incident, hosts), kinds.join(", ")))?;
    }
    if !rest.is_empty() {
        let of = |severity: &Severity| {
            let count = rest.iter().filter(|incident| incident.severity() == *severity).count();
            (count > 0).then(|| format!("{count} {severity}"))
        };
        let counts: Vec<_> = Severity::ALL.iter().rev().filter_map(of).collect();
        let identities = if rest.len() == 1 { "identity" } else { "identities" };
        let text = format!("... {} more {identities} with findings in the tables: {}", rest.len(), counts.join(", "));
        wrapped(out, &text, 0, 4)?;
    }
    out.write_str("\n")
}

/// Incidents in their order, those of one campaign over several logins together.
fn by_campaign<'a, 'b>(incidents: &'b [Incident<'a>]) -> Vec<Vec<&'b Incident<'a>>> {
    let mut groups: Vec<Vec<&Incident<'_>>> = Vec::new();
    // By the day on which a login's part began, and the login: where the group of its campaign is.
    let mut of_login: BTreeMap<i64, BTreeMap<&str, usize>> = BTreeMap::new();
    for incident in incidents {
        let Some(finding) = campaign_of(incident) else {
            groups.push(vec![incident]);
            continue;
        };
        let (name, day) = (printable(&incident.one.profile.name), finding.first_seen.day());
        // Logins of one campaign begin within a day of each other.
        let known = (day - 1..=day + 1).find_map(|day| of_login.get(&day)?.get(&*name).copied());
        match known.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.push(incident),
            None => {
                let at = groups.len();
                let logins = of_login.entry(day).or_default();
                logins_of(finding).for_each(|login| _ = logins.entry(login).or_insert(at));
                groups.push(vec![incident]);
            }
        }
    }
    groups
}

/// True for a part of a campaign over several logins.
fn is_campaign(finding: &Finding) -> bool {
    finding.evidence.get("pattern").is_some_and(|pattern| pattern == "campaign")
}

/// The finding of an incident that is such a part.
fn campaign_of<'a>(incident: &Incident<'a>) -> Option<&'a Finding> {
    incident.findings.iter().copied().find(|finding| is_campaign(finding))
}

/// The logins of a campaign.
fn logins_of(campaign: &Finding) -> impl Iterator<Item = &str> {
    let logins = campaign.evidence.get("logins").and_then(|logins| logins.as_array());
    logins.into_iter().flatten().filter_map(|login| login.as_str())
}

/// `login anna@b.example on mx1 (incident 0123456789abcdef)`.
fn who(incident: &Incident<'_>, hosts: &HostNames) -> String {
    let profile = &incident.one.profile;
    let host = hosts.first_of(profile);
    let on = if host.is_empty() || profile.is_host { String::new() } else { format!(" on {host}") };
    let kind = if is_unnamed_host(profile) { String::new() } else { format!("{} ", kind_word(profile)) };
    format!("{kind}{}{on} (incident {})", printable(&profile.name), incident.ids(hosts).join(", "))
}

/// A line that begins with a severity.
fn severe(out: &mut Out, severity: Severity, text: &str) -> std::fmt::Result {
    let word = severity.word().to_uppercase();
    let start = out.text.len();
    wrapped(out, &format!("{word:<8} {text}"), 0, 9)?;
    let styled = out.look.styled(&word, colour(severity));
    out.text.replace_range(start..start + word.len(), &styled);
    Ok(())
}

fn told(out: &mut Out, incident: &Incident<'_>, hosts: &HostNames) -> std::fmt::Result {
    severe(out, incident.severity(), &who(incident, hosts))?;
    for finding in &incident.findings {
        explained(out, finding)?;
    }
    for step in incident.steps(STEPS) {
        wrapped(out, &format!("Do: {step}"), 9, 9)?;
    }
    Ok(())
}

fn explained(out: &mut Out, finding: &Finding) -> std::fmt::Result {
    wrapped(out, &format!("{}: {}", finding.kind, finding.explanation), 9, 11)?;
    wrapped(out, &format!("Signs: {} ({}).", finding.signs.text(), finding.severity), 11, 13)
}

/// One campaign: its logins in one line, it itself once, and what else was found about them.
fn campaign(out: &mut Out, lead: &Incident<'_>, others: &[&Incident<'_>], hosts: &HostNames) -> std::fmt::Result {
    let all = || std::iter::once(&lead).chain(others);
    let names: Vec<_> = all().map(|incident| who(incident, hosts)).collect();
    severe(out, lead.severity(), &format!("one campaign over {} logins: {}", names.len(), names.join(", ")))?;
    if let Some(finding) = campaign_of(lead) {
        explained(out, finding)?;
        wrapped(out, &format!("Do: {}", finding.next_step), 9, 9)?;
    }
    for incident in all() {
        let name = printable(&incident.one.profile.name);
        let besides = || incident.findings.iter().filter(|finding| !is_campaign(finding));
        for finding in besides().filter(|finding| finding.severity >= Severity::High) {
            explained(out, finding)?;
            wrapped(out, &format!("Do: {}", finding.next_step), 9, 9)?;
        }
        let lesser = besides().filter(|finding| finding.severity < Severity::High);
        let lesser: Vec<_> = lesser.map(|finding| format!("{} ({})", finding.kind, finding.severity)).collect();
        if !lesser.is_empty() {
            wrapped(out, &format!("Also of {name}: {}.", lesser.join(", ")), 9, 11)?;
        }
    }
    Ok(())
}

/// Known senders that were not told of.
fn allowed(out: &mut Out, summary: &Summary) -> std::fmt::Result {
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
    let idle = summary.allowed.iter().filter(|(_, silenced)| *silenced == 0).map(|(entry, _)| {
        let until = entry.until.as_ref().map_or(String::new(), |until| format!(" (until {until})"));
        format!("{}{until}", printable(entry.identity.as_bytes()))
    });
    let idle: Vec<String> = idle.collect();
    if !idle.is_empty() {
        wrapped(out, &format!("Allowed, with nothing to keep silent about: {}", idle.join(", ")), 0, 2)?;
    }
    if summary.allowed.is_empty() { Ok(()) } else { out.write_str("\n") }
}

fn traffic(out: &mut Out, summary: &Summary) -> std::fmt::Result {
    let mail = &summary.mail;
    writeln!(out, "{}", out.look.heading("MAIL"))?;
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

fn senders(out: &mut Out, judged: &[Judged], hosts: &HostNames) -> std::fmt::Result {
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
    let width = out.look.name_columns();
    let numbers: String = header.iter().skip(1).zip(WIDTHS).map(|(name, width)| format!("{name:>width$}")).collect();
    let heading = format!("{:<width$}{numbers}", "SENDERS");
    writeln!(out, "{}", out.look.heading(&heading))?;
    for Judged { profile, .. } in busiest.iter().take(SHOWN) {
        let host = hosts.first_of(profile);
        let on = if host.is_empty() { String::new() } else { format!(" @{host}") };
        let name = format!("{} {}{on}", profile.kind.word(), printable(&profile.name));
        let numbers = [
            profile.recipients,
            profile.delivered,
            profile.deferred,
            profile.bounced + profile.expired,
            profile.asked.peak(60).map_or(0, |p| p.count),
            profile.invalid_recipients.count(),
        ];
        let numbers: String = numbers.iter().zip(WIDTHS).map(|(n, width)| format!("{n:>width$}")).collect();
        writeln!(out, "{}{numbers}", padded(&shortened(&out.look.shown(&name), width - 1), width))?;
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

fn reasons(out: &mut Out, judged: &[Judged]) -> std::fmt::Result {
    let mut totals = BTreeMap::new();
    for (key, reason) in judged.iter().flat_map(|j| &j.profile.reasons) {
        *totals.entry((key.direction, key.action, key.category, &key.provider)).or_insert(0) += reason.attempts;
    }
    let mut totals: Vec<_> = totals.into_iter().filter(|(_, attempts)| *attempts > 0).collect();
    if totals.is_empty() {
        return Ok(());
    }
    totals.sort_by_key(|(_, attempts)| std::cmp::Reverse(*attempts));
    let [category_width, action_width, direction_width, provider_width, number_width] = out.look.reason_widths();
    let heading = format!(
        "{:<category_width$}{:<action_width$}{:<direction_width$}{:<provider_width$}{:>number_width$}",
        "REASONS", "action", "direction", "provider", "answers"
    );
    writeln!(out, "{}", out.look.heading(&heading))?;
    for ((direction, action, category, provider), attempts) in totals.iter().take(SHOWN) {
        let category = shortened(category.id(), category_width - 1);
        let provider = shortened(&String::from_utf8_lossy(provider), provider_width - 1);
        writeln!(
            out,
            "{category:<category_width$}{:<action_width$}{:<direction_width$}{}{attempts:>number_width$}",
            action.word(),
            direction.word(),
            padded(&provider, provider_width)
        )?;
    }
    more(out, totals.len(), "reasons")?;
    out.write_str("\n")
}

fn quality(out: &mut Out, summary: &Summary) -> std::fmt::Result {
    let lines = &summary.lines;
    writeln!(out, "{}", out.look.heading("INPUT"))?;
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

fn more(out: &mut Out, all: usize, what: &str) -> std::fmt::Result {
    if all > SHOWN { writeln!(out, "... {} more {what} in the tables", all - SHOWN) } else { Ok(()) }
}

pub fn many(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_string();
    }
    let mut short = String::new();
    let mut room = columns.saturating_sub(2);
    for character in text.chars() {
        match room.checked_sub(character.width().unwrap_or(0)) {
            Some(left) => room = left,
            None => break,
        }
        short.push(character);
    }
    short.push_str("..");
    short
}

/// With blanks up to so many columns.
fn padded(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(text.width()))
}

/// Words of `text` in lines as wide as there is room for, the first indented by `first` columns and the others by `rest`. A
/// word that is longer than a line is cut.
pub(super) fn wrapped(out: &mut Out, text: &str, first: usize, rest: usize) -> std::fmt::Result {
    let hidden = out.hidden(text).into_owned();
    wrapped_as_is(out, &hidden, first, rest)
}

/// The same of a text in which nobody is to be hidden any more.
pub(super) fn wrapped_as_is(out: &mut Out, text: &str, first: usize, rest: usize) -> std::fmt::Result {
    let columns = out.look.columns;
    let mut column = first;
    let mut is_start = true;
    write!(out, "{:first$}", "")?;
    // A number stays with its sign of percent.
    let shown = out.look.shown(text).replace(" %", "\u{a0}%");
    for word in shown.split(' ') {
        let word = word.replace('\u{a0}', " ");
        let word = shortened(&word, columns - rest);
        let width = word.width();
        if !is_start && column + 1 + width > columns {
            write!(out, "\n{:rest$}", "")?;
            column = rest;
            is_start = true;
        }
        if !is_start {
            out.write_str(" ")?;
            column += 1;
        }
        out.write_str(&word)?;
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
        for columns in [None, Some(10), Some(100), Some(500)] {
            let look = Look::new(columns, false, false);
            let mut out = Out::new(look);
            let text = format!("one {} three {} {}", "x".repeat(200), "word ".repeat(60), "\u{5b57}".repeat(90));
            wrapped(&mut out, &text, 9, 9).unwrap();
            assert!(out.text.lines().all(|line| line.width() <= look.columns), "{}", out.text);
            assert_eq!(look.name_columns() + WIDTHS.iter().sum::<usize>(), look.columns);
            assert_eq!(look.reason_widths().iter().sum::<usize>(), look.columns);
        }
    }

    #[test]
    fn nothing_but_ascii_where_the_locale_is_not_utf_8() {
        let shown = |is_ascii| Look::new(None, false, is_ascii).shown("j\u{e9}r\u{f4}me").into_owned();
        assert_eq!((shown(false), shown(true)), ("j\u{e9}r\u{f4}me".into(), "j\\xC3\\xA9r\\xC3\\xB4me".into()));
    }
}
