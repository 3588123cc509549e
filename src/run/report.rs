//! `mailsleuth report`: the tables of `analyze`, made from the archive.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Outcome;
use super::accept::accepted;
use super::analyze::{Judge, Report, our_files, outcome, silence};
use super::memory::MemoryLimit;
use super::pool;
use super::replay::{Sieve, carry, counted, days_and_files, files, replay};
use crate::archive::Archive;
use crate::archive::manifest::{Part, RunNote};
use crate::archive::restore;
use crate::classify::Classifier;
use crate::cli::{Filter, ReportPlan};
use crate::detect::History;
use crate::error::{Error, Result, did_you_mean};
use crate::input::Problem;
use crate::mail::address::printable;
use crate::mail::time::Period;
use crate::places::Places;
use crate::report::events::{Events, Only};
use crate::report::privacy::{Privacy, Pseudonyms};
use crate::report::publish::Aside;
use crate::report::summary::{InputSummary, Summary};
use crate::report::{HostNames, Judged};

/// How often the archive is read anew because a run has replaced files meanwhile.
const TRIES: usize = 3;

/// Runs the plan.
///
/// # Errors
/// [`Error::NoMailLines`] where there is no archive; [`Error::Archive`], [`Error::Output`].
pub fn run(plan: &ReportPlan) -> Result<Outcome> {
    let classifier = super::rules::classifier(&plan.output.rules)?;
    let places = Places::open(&plan.output.mmdb)?;
    let pool = pool(plan.output.threads)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let Some(archive) = Archive::read(&plan.state)?.filter(|archive| !archive.manifest.runs.is_empty()) else {
            let state = plan.state.display();
            return Err(Error::NoMailLines(format!(
                "{state}: no archive here yet; `mailsleuth nightly` makes it (--state)"
            )));
        };
        match pool.install(|| report(plan, &archive, &classifier, &places)) {
            Err(Error::Archive { .. }) if tries < TRIES && is_newer(plan, &archive) => {}
            done => return done,
        }
    }
}

/// True when a run has added something since the archive was opened.
fn is_newer(plan: &ReportPlan, archive: &Archive) -> bool {
    matches!(Archive::read(&plan.state), Ok(Some(now)) if now.manifest.generation != archive.manifest.generation)
}

fn report(plan: &ReportPlan, archive: &Archive, classifier: &Classifier, places: &Places) -> Result<Outcome> {
    let out = &plan.output;
    let memory = MemoryLimit::new(out.memory_limit)?;
    let aside = Aside::new(&out.out)?;
    let filter = &plan.filter;
    let whole = Filter { period: filter.period, ..Filter::default() };
    let narrows = filter.narrows();
    let through = |filter: &Filter, events: Option<Events>| -> Result<Judge<'_>> {
        let open = carry(archive, archive.manifest.carry())?;
        let mut judge = Judge::new(classifier, out.merges_hosts, events);
        judge.hosts.0 = open.correlator.host_names();
        if judge.events.is_some() {
            replay(archive, &files(archive, filter), filter, &memory, &mut judge)?;
        } else {
            let (days, files) = days_and_files(archive, filter);
            counted(archive, &days, &memory, &mut judge)?;
            replay(archive, &files, filter, &memory, &mut judge)?;
        }
        let mut correlator = open.correlator;
        correlator.finish(&mut Sieve { filter, judge: &mut judge });
        Ok(judge)
    };
    let pseudonyms = Pseudonyms::new(out.privacy, &out.state, classifier)?.map(Arc::new);
    let events = match out.events {
        true => Some(
            Events::create(aside.path(), &out.formats, archive.manifest.sources.clone(), pseudonyms.clone())
                .map_err(|e| aside.failed("events", &e))?,
        ),
        false => None,
    };
    let events = events.map(|events| events.only(rows_of(filter.clone())));
    let (whole_events, narrow_events) = if narrows { (None, events) } else { (events, None) };
    let mut judge = through(&whole, whole_events)?;
    let (mut judged, mut around) = judge.found(&out.detection, &History::default(), places);
    memory.check()?;
    let mut allow = out.detection.allow.clone();
    allow.extend(accepted(&plan.state)?);
    let allowed = silence(&allow, &mut judged);
    if narrows {
        let mut narrow = through(filter, narrow_events)?;
        let (narrowed, narrow_around) = narrow.found(&out.detection, &History::default(), places);
        refuse_nothing(filter, &narrow, &judged)?;
        // Of an identity all its mail is known already.
        if filter.recipient.is_some() || filter.sender.is_some() || filter.client.is_some() {
            judged = with_findings(narrowed, judged);
        }
        (judge, around) = (narrow, narrow_around);
    }
    refuse_unknown_provider(filter, classifier, &judged)?;
    judged.retain(|one| !one.profile.is_mute || !one.findings.is_empty());
    pick(&mut judged, filter, &judge.hosts);
    let event_rows = match judge.events.take() {
        Some(events) => Some(events.finish().map_err(|error| aside.failed("events", &error))?),
        None => None,
    };
    let noted = Noted { zone_name: &out.zone_name, privacy: out.privacy };
    let mut summary = read_notes(archive, &plan.filter, &noted)?;
    for run in &archive.manifest.runs {
        judge.tally.probes += run.probes;
        judge.tally.aborted += run.aborted;
    }
    summary.places = places.to_json();
    summary.mail = judge.tally;
    summary.unclassified = std::mem::take(&mut judge.unclassified);
    summary.allowed = allowed;
    let report = Report {
        judged: &mut judged,
        hosts: &mut judge.hosts,
        around: &mut around,
        summary: &mut summary,
        classifier,
        formats: &out.formats,
        writes_page: out.writes_page,
        pseudonyms: pseudonyms.as_deref(),
    };
    let said = report.write(&aside, event_rows)?;
    let published = aside.publish(&our_files())?;
    Ok(outcome(out, &summary, &judged, &judge.hosts, said, &published))
}

/// Errors where there is no mail such as the filter takes: a mistyped name must not look like a quiet day.
fn refuse_nothing(filter: &Filter, judge: &Judge<'_>, whole: &[Judged]) -> Result<()> {
    let tally = &judge.tally;
    let is_host = |one: &Judged| one.profile.is_host && filter.takes(one.profile.kind, &one.profile.name);
    let names = [&filter.identity, &filter.host, &filter.recipient, &filter.sender];
    let is_named = filter.client.is_some() || names.iter().any(|name| name.is_some());
    let is_nothing = tally.messages + tally.recipients + tally.rejected + tally.tempfailed + tally.auth_failures == 0;
    let is_told_of = filter.identity.is_some() && whole.iter().any(is_host);
    if !is_named || !is_nothing || is_told_of {
        return Ok(());
    }
    let hosts: Vec<_> = judge.hosts.0.iter().map(|host| printable(host)).collect();
    let identities: Vec<_> = whole.iter().map(|one| printable(&one.profile.name)).collect();
    let meant = |name: &Option<String>, known: &[Cow<'_, str>]| {
        let known = || known.iter().map(AsRef::as_ref);
        let is_there = |name: &String| known().any(|one| one.to_lowercase() == *name);
        name.as_ref().filter(|name| !is_there(name)).map_or_else(String::new, |name| did_you_mean(name, known()))
    };
    let what: Vec<_> = filter.told().iter().map(|(option, value)| format!("--{option} {value}")).collect();
    let is_timed = filter.period != Period::default();
    Err(Error::NoMailLines(format!(
        "{}: the archive has no such mail{}{}{}",
        what.join(" "),
        if is_timed { " in that time" } else { "" },
        meant(&filter.identity, &identities),
        meant(&filter.host, &hosts)
    )))
}

/// Errors for a provider that is neither known nor seen.
fn refuse_unknown_provider(filter: &Filter, classifier: &Classifier, judged: &[Judged]) -> Result<()> {
    let Some(wanted) = &filter.provider else { return Ok(()) };
    let seen = judged.iter().flat_map(|one| one.profile.reasons.keys()).map(|key| printable(&key.provider));
    let known = classifier.providers().iter().map(|provider| Cow::Borrowed(provider.id()));
    let known: BTreeSet<_> = seen.chain(known).filter(|name| !name.is_empty()).collect();
    if known.iter().any(|one| one.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let meant = did_you_mean(wanted, known.iter().map(AsRef::as_ref));
    Err(Error::Usage(format!("--provider {wanted}: no such provider{meant}")))
}

/// Which rows of the events table a filter takes.
fn rows_of(filter: Filter) -> Only {
    Box::new(move |row| {
        let is_one = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| value.eq_ignore_ascii_case(wanted))
        };
        filter.takes(row.identity.kind, &row.identity.name)
            && filter.takes_host(row.host)
            && is_one(&filter.category, row.category)
            && is_one(&filter.provider, row.provider)
            && filter.action.is_none_or(|action| row.action == action)
            && filter.direction.is_none_or(|direction| row.direction == direction)
    })
}

/// What a summary made from an archive's notes says of the run itself.
pub(super) struct Noted<'a> {
    pub zone_name: &'a str,
    pub privacy: Privacy,
}

/// What the runs read whose days the filter touches.
pub(super) fn read_notes(archive: &Archive, filter: &Filter, plan: &Noted<'_>) -> Result<Summary> {
    let mut all = RunNote::default();
    for file in archive.manifest.files_of(Part::Run) {
        let path = archive.path(file);
        let note: RunNote = restore(&path).map_err(|error| archive.damaged(&path, &error))?;
        let period = filter.period;
        let is_in = note.inputs.iter().any(|input| match (input.first, input.last) {
            (Some(first), Some(last)) => period.touches(first, last),
            _ => period == Period::default(),
        });
        if is_in {
            all.lines.merge(note.lines);
            all.inputs.extend(note.inputs);
            all.problems.extend(note.problems);
        }
    }
    let problem = |(source, what, is_unreadable): (String, String, bool)| Problem { source, what, is_unreadable };
    Ok(Summary {
        inputs: all.inputs.iter().map(InputSummary::of_note).collect(),
        passed_over: Vec::new(),
        problems: all.problems.into_iter().map(problem).collect(),
        period: filter.period,
        filter: filter.told(),
        zone: plan.zone_name.to_string(),
        has_zoneless: false,
        lines: all.lines,
        mail: crate::tally::MailTally::default(),
        unclassified: crate::tally::Shapes::default(),
        allowed: Vec::new(),
        places: Places::default().to_json(),
        privacy: plan.privacy,
        rows: Vec::new(),
    })
}

/// Profiles of some of the mail, with what was found in all of it.
fn with_findings(mut narrowed: Vec<Judged>, whole: Vec<Judged>) -> Vec<Judged> {
    let mut findings: std::collections::BTreeMap<_, _> =
        whole.into_iter().map(|one| ((one.profile.kind, one.profile.name, one.profile.hosts), one.findings)).collect();
    for one in &mut narrowed {
        let key = (one.profile.kind, one.profile.name.clone(), one.profile.hosts.clone());
        one.findings = findings.remove(&key).unwrap_or_default();
    }
    narrowed
}

/// Keeps the rows that the filter takes.
fn pick(judged: &mut Vec<Judged>, filter: &Filter, hosts: &HostNames) {
    judged.retain(|Judged { profile, .. }| {
        filter.takes(profile.kind, &profile.name)
            && profile.hosts.iter().any(|host| filter.takes_host(hosts.name(*host)))
    });
    if filter.category.is_none() && filter.provider.is_none() && filter.action.is_none() && filter.direction.is_none() {
        return;
    }
    for one in judged.iter_mut() {
        one.profile.reasons.retain(|key, _| {
            filter.category.as_ref().is_none_or(|wanted| key.category.id() == wanted)
                && filter.provider.as_ref().is_none_or(|wanted| key.provider.eq_ignore_ascii_case(wanted.as_bytes()))
                && filter.action.is_none_or(|wanted| key.action == wanted)
                && filter.direction.is_none_or(|wanted| key.direction == wanted)
        });
    }
    judged.retain(|one| !one.profile.reasons.is_empty());
}
