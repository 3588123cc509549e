//! `mailsleuth nightly`: what is new in this host's logs goes into the archive; what needs a person is told.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use indicatif::ProgressBar;
use rayon::ThreadPool;

use super::accept;
use super::analyze::{Begin, ByDay, Front, Judge, Report, Stages, interrupted, our_files, silence, watch};
use super::hints::LogHints;
use super::memory::MemoryLimit;
use super::replay::{Carry, CarryRef, LogEnd, add, carry, is_counted, ranges, replay, stored};
use super::scan::scan;
use super::sources::{Selection, select};
use super::told::{self, Change};
use super::{Outcome, WANTED_LOG, now_s, pool, said};
use crate::aggregate::{Around, Profiles};
use crate::archive::manifest::{FileEntry, Letter, Manifest, Part, Run, RunNote};
use crate::archive::record::{Records, date_partition, file_path};
use crate::archive::state::State;
use crate::archive::texts::{New, RUNS_KEPT, Texts};
use crate::archive::{Archive, replace, store};
use crate::classify::Classifier;
use crate::cli::{DeliverArg, Filter, NightlyPlan};
use crate::correlate::Correlator;
use crate::detect::{Allow, History};
use crate::error::{Error, Result};
use crate::framing::frame;
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::input::source::{Found, Source, find};
use crate::mail::address::printable;
use crate::mail::time::{Period, Timestamp};
use crate::places::Places;
use crate::report::events::Events;
use crate::report::history::{self, Days};
use crate::report::letter::{Facts, Standing, failure};
use crate::report::parted::{PartFile, Parted};
use crate::report::privacy::Privacy;
use crate::report::prom::{self, Metrics};
use crate::report::publish::Aside;
use crate::report::schema::{EVENTS, HISTORY};
use crate::report::summary::{InputSummary, Summary};
use crate::report::{self, Judged};
use crate::tally::LineTally;

/// Hosts' clocks, and daemons that write out of order, differ by this much: what is older than a log's end by more is late.
const LATE_S: i64 = 60;
/// How much of a file is looked at for the hosts in it.
const LOOKED_AT_BYTES: u64 = 64 << 10;
/// In the state directory: what a run said that failed and could not tell it.
const FAILED: &str = "failed.txt";
/// A log that brought mail lines the last time is silent if it brings none for so long.
const SILENT_S: i64 = 20 * 3_600;
/// Older days that are counted anew in one night, where the archive does not know what they come to by the rules in force.
const MADE_ANEW: usize = 7;
/// What is new of a day is written together with what is known of it up to so many times the identities.
const TAKEN_IN: u64 = 2;
/// Days of history that are compared with.
const HISTORY_DAYS: i64 = 60;

/// Runs the plan; what is to be told goes to `out`, or by mail.
///
/// # Errors
/// [`Error::Locked`], [`Error::Archive`], [`Error::NothingReadable`], [`Error::NoMailLines`], [`Error::Interrupted`],
/// [`Error::Output`].
pub fn run(plan: &NightlyPlan, out: &mut dyn Write) -> Result<Outcome> {
    if plan.deliver == DeliverArg::Only {
        tell_failure(plan, out)?;
    }
    let done = night(plan, out);
    if plan.deliver == DeliverArg::Later
        && let Err(error) = &done
        && !matches!(error, Error::Locked { .. } | Error::Interrupted { .. })
    {
        // The error itself is told on stderr.
        _ = replace(&plan.state.join(FAILED), error.to_string().as_bytes());
    }
    done
}

/// A night, and the letters before and after it.
fn night(plan: &NightlyPlan, out: &mut dyn Write) -> Result<Outcome> {
    let memory = MemoryLimit::new(plan.memory_limit)?;
    let classifier = super::rules::classifier(&plan.rules)?;
    let places = Places::open(&plan.mmdb)?;
    let archive = Archive::open(&plan.state)?;
    let pool = pool(plan.threads)?;
    let (now, started) = (now_s(), Instant::now());
    let mut night = Night {
        plan,
        archive,
        classifier: &classifier,
        places: &places,
        pool: &pool,
        memory: &memory,
        now,
        started,
        unwritten: None,
    };
    night.show_latest()?;
    let undelivered = if plan.deliver == DeliverArg::Later { None } else { night.deliver(out).err() };
    if plan.deliver == DeliverArg::Only {
        return undelivered.map_or(Ok(Outcome::default()), Err);
    }
    // What cannot be told is no reason to read nothing: logs are rotated away.
    let outcome = pool.install(|| night.work());
    if outcome.is_err() {
        night.archive.give_up();
    }
    let outcome = outcome?;
    if plan.deliver == DeliverArg::Now && undelivered.is_none() {
        night.deliver(out)?;
    }
    undelivered.or(night.unwritten).map_or(Ok(outcome), Err)
}

/// Tells that the last run with `--deliver later` failed: what it said, or what systemd says of it in the environment of
/// the unit that it starts then (systemd.exec(5), `MONITOR_SERVICE_RESULT`).
fn tell_failure(plan: &NightlyPlan, out: &mut dyn Write) -> Result<()> {
    let path = plan.state.join(FAILED);
    let by_systemd = || {
        let result = std::env::var("MONITOR_SERVICE_RESULT").ok().filter(|result| result != "success")?;
        Some(format!("systemd ended it: {result}. `journalctl -u mailsleuth` has more."))
    };
    let Some(said) = std::fs::read_to_string(&path).ok().or_else(by_systemd) else { return Ok(()) };
    let letter = Letter { subject: "mailsleuth: the night run failed".into(), text: failure(&said) };
    tell(plan, &letter, out)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Output { path, problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

struct Night<'a> {
    plan: &'a NightlyPlan,
    archive: Archive,
    classifier: &'a Classifier,
    places: &'a Places,
    pool: &'a ThreadPool,
    memory: &'a MemoryLimit,
    /// Seconds since 1970.
    now: i64,
    started: Instant,
    /// The metrics that could not be written: told when all else is done.
    unwritten: Option<Error>,
}

/// A file with something new in it.
struct Fresh {
    source: Source,
    /// Its text, where a part of it was read before.
    text: Option<usize>,
    /// Lines of the text that were read before.
    lines: u64,
}

/// What the files came to.
struct Looked {
    fresh: Vec<Fresh>,
    /// Texts that are there, with all that was read of them.
    there: Vec<usize>,
}

/// What reading came to.
struct Read<'c> {
    judge: Judge<'c>,
    note: RunNote,
    inputs: Vec<InputSummary>,
    carry: Carry,
    hints: LogHints,
    /// Each source that was read, with the lines of its text up to its end.
    reached: Vec<(Source, Option<usize>, u64)>,
}

impl<'a> Night<'a> {
    fn work(&mut self) -> Result<Outcome> {
        let aside = self.archive.aside()?;
        let signal = watch(aside.clone(), None)?;
        let found = find(&self.plan.paths);
        let mut problems = found.problems.clone();
        let mut manifest = self.archive.manifest.clone();
        let (mut notes, mut alarms) = (Vec::new(), Vec::new());
        let looked = self.look(&mut manifest.texts, &found.sources, &mut problems);
        let mut fresh = self.logs_among(looked.fresh);
        if fresh.is_empty() {
            return self.nothing_new(manifest, &found, problems);
        }
        let mut late = Vec::new();
        let mut before = carry(&self.archive, manifest.carry())?;
        let (of_late, last) = self.late(&fresh, &manifest, &before);
        if !of_late.is_empty() {
            match last.filter(|generation| is_all_there(&manifest.texts, *generation, &looked.there, &fresh)) {
                Some(generation) => {
                    manifest.go_back_to(generation);
                    before = carry(&self.archive, manifest.carry())?;
                    notes.push("A file came late: the days since then were read again.".into());
                    problems.clone_from(&found.problems);
                    fresh = self.logs_among(self.look(&mut manifest.texts, &found.sources, &mut problems).fresh);
                }
                None => {
                    let names: Vec<_> =
                        of_late.iter().filter_map(|at| fresh.get(*at)).map(|f| f.source.name.clone()).collect();
                    alarms.push(format!(
                        "{} came late, and what was read since is no longer there: read by itself; a message at its edges may count in two pieces.",
                        names.join(", ")
                    ));
                    let mut number = 0;
                    (late, fresh) = fresh.into_iter().partition(|_| {
                        number += 1;
                        of_late.contains(&(number - 1))
                    });
                }
            }
        }
        let since = manifest.now();
        manifest.generation += 1;
        let generation = manifest.generation;
        let mut judge = Judge::new(self.classifier, false, None);
        judge.by_day = Some(ByDay::default());
        judge.hosts.0 = before.correlator.host_names();
        judge.records = Some(Records::new(&aside, generation));
        judge.days = Some(Days::default());
        // Numbers of all inputs, before the table of events is begun.
        for fresh in late.iter().chain(&fresh) {
            manifest.source(&fresh.source.name);
        }
        let sources = manifest.sources.clone();
        let events = |end| Events::parted(Parted::new(&EVENTS, &aside, generation, end), sources.clone());
        judge.events = Some(events("parquet"));
        let mut read = Read {
            judge,
            note: RunNote::default(),
            inputs: Vec::new(),
            carry: before,
            hints: LogHints::default(),
            reached: Vec::new(),
        };
        if !late.is_empty() {
            // Beside what is open: its own time is another.
            let kept = std::mem::take(&mut read.carry);
            let names = kept.correlator.host_names();
            read.carry.correlator = Correlator::default();
            for name in &names {
                read.carry.correlator.host(name);
            }
            read = self.read(late, read, &mut manifest, &signal, true)?;
            let known = std::mem::replace(&mut read.carry, kept).correlator.host_names();
            for name in known.iter().skip(names.len()) {
                read.carry.correlator.host(name);
            }
        }
        let read = self.read(fresh, read, &mut manifest, &signal, false)?;
        let Read { mut judge, note, inputs, carry, hints, reached } = read;
        if note.lines.mail_lines == 0 && manifest.runs.is_empty() {
            return Err(nothing_of_mail(&note, &problems));
        }
        problems.extend(note.problems.iter().map(|(source, what, is_unreadable)| Problem {
            source: source.clone(),
            what: what.clone(),
            is_unreadable: *is_unreadable,
        }));

        // What is settled, then what is open, each in files of its own.
        let failed = |error: io::Error| Error::Archive {
            path: self.archive.directory().to_path_buf(),
            problem: error.to_string(),
        };
        let mut files = judge.records.take().map_or(Ok(Vec::new()), Records::finish).map_err(failed)?;
        let settled = judge.events.take().map_or(Ok(Vec::new()), Events::finish_parted).map_err(failed)?;
        files.extend(entries(Part::Events, settled));
        let mut days = Parted::new(&HISTORY, &aside, generation, "parquet");
        judge.days.take().unwrap_or_default().write(&mut days, &judge.hosts.0);
        files.extend(entries(Part::History, days.finish().map_err(failed)?));
        let end_day = carry_now(&carry).map_or(0, Timestamp::day);
        let stored = CarryRef { correlator: &carry.correlator, parts: &carry.parts, logs: &carry.logs };
        files.push(self.store(&aside, Part::Carry, "carry", generation, end_day, &stored)?);
        files.push(self.store(&aside, Part::Run, "run", generation, end_day, &note)?);
        let days = judge.take_days();
        judge.profiles = Profiles::new(self.plan.merges_hosts);
        let (probes, aborted) = (judge.tally.probes, judge.tally.aborted);
        judge.events = Some(events("open.parquet"));
        let now: BTreeMap<String, Timestamp> = host_times(&carry.correlator);
        let mut correlator = carry.correlator;
        correlator.finish(&mut judge);
        let open = judge.events.take().map_or(Ok(Vec::new()), Events::finish_parted).map_err(failed)?;
        files.extend(entries(Part::Open, open));
        manifest.runs.push(Run { generation, now, files, probes, aborted, mail_lines: note.lines.mail_lines });
        let mut texts = std::mem::take(&mut manifest.texts);
        for (source, text, lines) in &reached {
            let mark = source.portion.as_ref().map(crate::input::portion::Portion::reached).unwrap_or_default();
            texts
                .note(*text, source, &mark, *lines, generation)
                .map_err(|error| self.archive.failed(Path::new(&source.name), &error))?;
        }
        // Files that hold nothing else, copies among them, need not be opened the next time.
        self.look(&mut texts, &found.sources, &mut Vec::new());
        manifest.texts = texts;
        if let Some(signal) = interrupted(&signal) {
            return Err(Error::Interrupted { signal });
        }
        self.conclude(Concluded {
            manifest,
            judge,
            days,
            aside: &aside,
            note,
            inputs,
            hints,
            problems,
            notes,
            alarms,
            since,
            passed_over: &found.passed_over,
        })
    }

    /// Which files have something new.
    fn look(&self, texts: &mut Texts, sources: &[Source], problems: &mut Vec<Problem>) -> Looked {
        let mut looked = Looked { fresh: Vec::new(), there: Vec::new() };
        for source in sources.iter().filter(|source| !source.is_stream) {
            match texts.locate(source, self.now) {
                Ok(New::Nothing { text }) => looked.there.extend(text),
                Ok(New::Portion { text, portion, lines }) => {
                    looked.there.extend(text);
                    looked.fresh.push(Fresh { source: source.with_portion(portion), text, lines });
                }
                Err(error) => problems.push(Problem::unreadable(&source.name, &error)),
            }
        }
        looked
    }

    /// The files put in order, with hosts called as they were.
    fn chosen(&self, fresh: &[Fresh], manifest: &Manifest, read: &BytesRead) -> Selection {
        let sources = fresh.iter().map(|fresh| fresh.source.clone()).collect();
        let found = Found { sources, hosts: manifest.hosts.clone(), ..Found::default() };
        select(found, &self.plan.zone, None, self.now, read)
    }

    /// Those of the files that are logs, each once: other files of a searched directory would be news every night.
    fn logs_among(&self, mut fresh: Vec<Fresh>) -> Vec<Fresh> {
        let selection = self.chosen(&fresh, &self.archive.manifest, &BytesRead::default());
        fresh.retain(|fresh| selection.inputs.iter().any(|input| input.source.name == fresh.source.name));
        fresh
    }

    /// Which of the files are older than what was read of their hosts before, and the last run whose end is before all of
    /// them, where there is one: 0 is before all runs.
    fn late(&self, fresh: &[Fresh], manifest: &Manifest, before: &Carry) -> (Vec<usize>, Option<u64>) {
        let Some(last) = manifest.runs.last() else { return (Vec::new(), None) };
        let mut late = Vec::new();
        let mut begins: Vec<(String, Timestamp)> = Vec::new();
        for (at, file) in fresh.iter().enumerate() {
            let of_file = self.begins(file, manifest, before);
            if of_file.iter().any(|(host, first)| last.now.get(host).is_some_and(|now| is_before(*first, *now))) {
                late.push(at);
                begins.extend(of_file);
            }
        }
        if late.is_empty() {
            return (late, None);
        }
        let is_clear =
            |run: &Run| begins.iter().all(|(host, first)| run.now.get(host).is_none_or(|now| !is_before(*first, *now)));
        let has_state = |run: &Run| run.files.iter().any(|file| file.part == Part::Carry);
        let clear = manifest.runs.iter().rev().find(|run| is_clear(run));
        let generation = match clear {
            Some(run) => has_state(run).then_some(run.generation),
            None => manifest.kept_from.is_none().then_some(0),
        };
        (late, generation)
    }

    /// The first moment of each host at the beginning of what is new in a file. Where it goes on in the hour that a clock
    /// set back makes twice, the lines before it tell which of the two it is.
    fn begins(&self, file: &Fresh, manifest: &Manifest, before: &Carry) -> Vec<(String, Timestamp)> {
        let mut selection = self.chosen(std::slice::from_ref(file), manifest, &BytesRead::default());
        let Some(input) = selection.inputs.first_mut() else { return Vec::new() };
        if file.text.is_some() {
            let end = before.logs.iter().find(|(set_name, _)| *set_name == input.set_name);
            input.resumed = end.map(|(_, end)| end.pass);
        }
        let Ok(text) = input.open(&BytesRead::default()) else { return Vec::new() };
        let mut head = Vec::new();
        // What is damaged is told when it is read.
        _ = io::Read::read_to_end(&mut io::Read::take(text, LOOKED_AT_BYTES), &mut head);
        let mut clock = input.clock();
        let mut begins: BTreeMap<String, Timestamp> = BTreeMap::new();
        for raw in head.split(|byte| *byte == b'\n').filter_map(frame) {
            let at = clock.moment(&raw.stamp);
            let host = if raw.host.is_empty() { input.host.as_bytes() } else { raw.host };
            begins.entry(printable(&host.to_ascii_lowercase()).into_owned()).or_insert(at);
        }
        begins.into_iter().collect()
    }

    /// Reads what is new; `is_apart` for files that are given out whole, whatever is still open in them.
    fn read(
        &self,
        fresh: Vec<Fresh>,
        read: Read<'a>,
        manifest: &mut Manifest,
        signal: &Arc<AtomicUsize>,
        is_apart: bool,
    ) -> Result<Read<'a>> {
        let Read { judge, mut note, mut inputs, carry, hints: earlier_hints, mut reached } = read;
        let Carry { correlator, parts, logs } = carry;
        let counter = BytesRead::default();
        let mut selection = self.chosen(&fresh, manifest, &counter);
        manifest.hosts.clone_from(&selection.hosts);
        let mut logs: BTreeMap<String, LogEnd> = logs.into_iter().collect();
        let mut begun = Vec::new();
        let mut seen_sets = Vec::new();
        for input in &mut selection.inputs {
            let is_first = !seen_sets.contains(&input.set);
            seen_sets.push(input.set);
            let end = logs.remove(&input.set_name).filter(|_| is_first);
            input.resumed = end.as_ref().map(|end| end.pass);
            let lines =
                fresh.iter().find(|fresh| fresh.source.name == input.source.name).map_or(0, |fresh| fresh.lines);
            begun.push((end.map(|end| end.last_lines).unwrap_or_default(), lines, manifest.source(&input.source.name)));
        }
        let begin = Begin { correlator, parts, inputs: begun };
        let front =
            Front::new(self.plan.mta, &selection, begin, Arc::clone(signal), counter.clone(), ProgressBar::hidden());
        let mut stages = Stages { front, judge, spare: Vec::new(), memory: self.memory };
        scan(&selection.inputs, self.plan.mta, self.pool, &counter, &mut stages);
        if let Some(signal) = interrupted(signal) {
            return Err(Error::Interrupted { signal });
        }
        self.memory.check()?;
        if is_apart {
            stages.end();
        } else {
            stages.settle();
        }
        let Stages { mut front, judge, .. } = stages;
        for (at, input) in selection.inputs.iter().enumerate() {
            let known = fresh.iter().find(|fresh| fresh.source.name == input.source.name);
            let lines = known.map_or(0, |fresh| fresh.lines) + front.inputs.get(at).map_or(0, |input| input.lines);
            reached.push((input.source.clone(), known.and_then(|fresh| fresh.text), lines));
            if let (Some((clock, _)), Some(last_lines)) = (front.clocks.get(at), front.last_lines.get_mut(at)) {
                // The last file of a set decides.
                let last_lines = std::mem::take(last_lines);
                logs.insert(input.set_name.clone(), LogEnd { pass: clock.pass(), last_lines });
            }
        }
        note.lines.merge(front.lines);
        note.has_zoneless |= front.has_zoneless;
        note.inputs.extend(front.inputs.iter().map(InputSummary::note));
        note.problems.extend(front.problems.into_iter().map(|p| (p.source, p.what, p.is_unreadable)));
        inputs.extend(front.inputs);
        let hints = if is_apart { earlier_hints } else { front.hints };
        let carry = Carry { correlator: front.correlator, parts: front.parts, logs: logs.into_iter().collect() };
        Ok(Read { judge, note, inputs, carry, hints, reached })
    }

    fn store(
        &self,
        aside: &Path,
        part: Part,
        name: &str,
        generation: u64,
        day: i64,
        thing: &impl serde::Serialize,
    ) -> Result<FileEntry> {
        let directory = if part == Part::Run { "runs" } else { name };
        let path = format!("{directory}/g{generation:06}.{name}");
        let full = aside.join(&path);
        let bytes =
            store(&full, thing).map_err(|error| self.archive.failed(&self.archive.directory().join(&path), &error))?;
        Ok(FileEntry { part, path, bytes, day, since: None })
    }

    /// No file has a new line.
    fn nothing_new(&mut self, mut manifest: Manifest, found: &Found, problems: Vec<Problem>) -> Result<Outcome> {
        if manifest.runs.is_empty() {
            let note = RunNote::default();
            return Err(nothing_of_mail(&note, &problems));
        }
        let mut facts = self.facts(&manifest);
        facts.alarms.extend(self.silence(&mut manifest, 0, found.sources.is_empty()));
        facts.problems = problems.iter().map(|p| format!("{}: {}", p.source, p.what)).collect();
        if !facts.alarms.is_empty() || self.plan.always {
            manifest.leave(Letter { subject: facts.subject(), text: facts.text() });
        }
        self.archive.give_up();
        if manifest != self.archive.manifest {
            self.archive.commit_manifest(manifest)?;
        }
        self.metrics(&LineTally::default(), problems.len());
        Ok(outcome(&problems))
    }

    /// The alarm that no mail line comes any more, told once a day.
    fn silence(&self, manifest: &mut Manifest, mail_lines: u64, is_gone: bool) -> Option<String> {
        if mail_lines > 0 {
            (manifest.last_mail, manifest.silence_told) = (Some(self.now), None);
            return None;
        }
        let last = manifest.last_mail?;
        if !is_silent(self.now, last, manifest.silence_told) {
            return None;
        }
        manifest.silence_told = Some(self.now);
        let why = if is_gone {
            "There is no log file in the usual places any more."
        } else {
            "Does the mail server run, and does it log where it did?"
        };
        let hours = (self.now - last) / 3_600;
        Some(format!("No mail line came in {hours} hours; the last run before that found some. {why}"))
    }

    fn facts(&self, manifest: &Manifest) -> Facts {
        let reports = manifest
            .report
            .as_ref()
            .map_or(String::new(), |report| self.plan.state.join("reports").join(report).display().to_string());
        let options = if self.plan.has_own_state {
            format!(" --state {}", report::letter::quoted(&self.plan.state.display().to_string()))
        } else {
            String::new()
        };
        Facts { reports, options, ..Facts::default() }
    }

    /// Judges the days that are looked at, writes the night's reports and makes it all the archive.
    fn conclude(&mut self, night: Concluded<'_, 'a>) -> Result<Outcome> {
        let Concluded {
            mut manifest,
            mut judge,
            days,
            aside,
            note,
            inputs,
            hints,
            problems,
            notes,
            alarms,
            since,
            passed_over,
        } = night;
        let plan = self.plan;
        let now = manifest.now().unwrap_or(Timestamp(0));
        let first_day = now.day() - plan.window_days + 1;
        self.count(&mut manifest, days, first_day, aside, &mut judge)?;
        let history = self.history(&manifest, first_day)?;
        let (mut judged, mut around) = judge.found(&plan.detection, &history, self.places);
        self.memory.check()?;
        let allowed = self.allow(&mut manifest, &mut judged)?;
        judged.retain(|one| !one.profile.is_mute || !one.findings.is_empty());
        let date = date_partition(now.day());
        manifest.report = Some(date.clone());
        let mut facts = self.facts(&manifest);
        facts.alarms = alarms;
        facts.alarms.extend(self.silence(&mut manifest, note.lines.mail_lines, false));
        facts.alarms.extend(silent_hosts(&mut manifest));
        facts.told = told::standing(&mut manifest, &judged, &judge.hosts, since, now, plan.alert);
        if note.lines.mail_lines == 0 {
            // Nothing is over because nothing was logged.
            facts.told.retain(|told| told.standing != Standing::Resolved);
        }
        let changes = told::changes(&mut manifest, &judged, &around, &judge.hosts, since);
        facts.changes = changes.iter().map(Change::text).collect();
        facts.lines = note.lines.lines;
        facts.mail_lines = note.lines.mail_lines;
        (facts.unknown, facts.unframed) = (note.lines.unknown, note.lines.unframed);
        facts.unexplained = judge.unclassified.total();
        facts.problems = problems.iter().map(|p| format!("{}: {}", p.source, p.what)).collect();
        facts.notes = notes;
        facts.advice = hints.advice();
        facts.allowed = allowed
            .iter()
            .filter(|(_, silenced)| *silenced > 0)
            .map(|(entry, n)| format!("{} ({n} silenced): {}", entry.identity, entry.why))
            .collect();
        let summary = Summary {
            period: Period::default(),
            filter: Vec::new(),
            inputs,
            passed_over: passed_over.iter().map(|(name, why)| (name.clone(), why.to_string())).collect(),
            problems: problems.clone(),
            zone: plan.zone_name.clone(),
            has_zoneless: note.has_zoneless,
            lines: note.lines.clone(),
            mail: judge.tally,
            unclassified: std::mem::take(&mut judge.unclassified),
            allowed,
            places: self.places.to_json(),
            privacy: Privacy::Off,
            rows: Vec::new(),
        };
        facts.span = summary.span();
        facts.notes.extend(summary.gaps().iter().map(report::summary::Gap::text));
        let is_alarm = !facts.alarms.is_empty() || facts.told.iter().any(|told| told.is_news);
        let letter = Letter { subject: facts.subject(), text: facts.text() };
        self.report(&date, &mut judged, &mut judge, &mut around, summary, &letter)?;
        if is_alarm || plan.always {
            told::told(&mut manifest, &facts.told, now);
            manifest.leave(letter);
        }
        manifest.metrics = prom::found(&judged, &judge.tally);
        manifest.tidy(RUNS_KEPT, plan.keep_days, plan.max_bytes);
        self.archive.commit(manifest)?;
        self.show_latest()?;
        self.forget_reports();
        self.metrics(&note.lines, problems.len());
        // The program ends: to give back every text by itself would take a while.
        std::mem::forget((judged, around));
        Ok(outcome(&problems))
    }

    /// Gives the judge the days that are looked at, and what is new of others; writes down what they come to, that of older
    /// days of which that is not known, too.
    fn count(
        &self,
        manifest: &mut Manifest,
        mut days: BTreeMap<i64, State>,
        first_day: i64,
        aside: &Path,
        judge: &mut Judge<'a>,
    ) -> Result<()> {
        let (generation, rules) = (manifest.generation, judge.rules());
        let known = manifest.clone();
        let (mut all, mut all_stored, mut made_anew) = (State::default(), Vec::new(), 0);
        for (day, files) in known.days(|_| true) {
            let new = days.remove(&day);
            let (is_judged, is_new) = (day >= first_day, new.is_some());
            if !is_judged && !is_new {
                if made_anew >= MADE_ANEW || is_counted(&self.archive, &files, rules) {
                    continue;
                }
                made_anew += 1;
            }
            self.memory.check()?;
            let mut stored = stored(&self.archive, &files, rules);
            let mut ranges = ranges(&stored);
            ranges.extend(is_new.then_some((generation, generation)));
            let (mut state, mut since) = (new.unwrap_or_default(), generation);
            // What is not known of an older day is for a night that has nothing new of it.
            let bare = if is_judged || !is_new { files.bare(&ranges) } else { Vec::new() };
            if !bare.is_empty() {
                let mut part = Judge::new(self.classifier, false, None);
                part.hosts.0.clone_from(&judge.hosts.0);
                let bare: Vec<_> = bare.iter().map(|(_, file)| *file).collect();
                replay(&self.archive, &bare, &Filter::default(), self.memory, &mut part)?;
                state.merge(part.take_state());
                let stored: Vec<_> = stored.drain(..).map(|(_, stored)| stored).collect();
                add(&self.archive, &mut state, &stored)?;
                since = files.records.iter().map(|(run, _)| *run).min().unwrap_or(generation);
            } else if is_new && is_judged {
                // So that there are few of them, and each is written anew but a few times, however often the logs are read.
                while let Some((range, one)) = stored.pop_if(|(_, one)| one.identities <= TAKEN_IN * state.len()) {
                    add(&self.archive, &mut state, &[one])?;
                    since = range.0;
                }
            }
            if is_new || !bare.is_empty() {
                let path = file_path("states", day, None, generation, 0, "state");
                let failed = |error| self.archive.failed(&self.archive.directory().join(&path), &error);
                let bytes = state.write(&aside.join(&path), rules).map_err(failed)?;
                manifest.drop_states(day, since);
                let entry = FileEntry { part: Part::State, path, bytes, day, since: Some(since) };
                manifest.runs.last_mut().into_iter().for_each(|run| run.files.push(entry.clone()));
            }
            if is_judged || is_new {
                all.merge(state);
            }
            if is_judged {
                all_stored.extend(stored.into_iter().map(|(_, stored)| stored));
            }
        }
        add(&self.archive, &mut all, &all_stored)?;
        judge.add(all);
        Ok(())
    }

    /// What identities did before the days that are looked at.
    fn history(&self, manifest: &Manifest, first_day: i64) -> Result<History> {
        let mut history = History::default();
        let days = first_day - HISTORY_DAYS..first_day;
        // What this run read is judged itself, however old it is.
        let earlier =
            manifest.runs.iter().filter(|run| run.generation < manifest.generation).flat_map(|run| &run.files);
        for file in earlier.filter(|file| file.part == Part::History && days.contains(&file.day)) {
            let path = self.archive.path(file);
            history::read(&path, &mut history).map_err(|error| self.archive.damaged(&path, &error))?;
        }
        Ok(history)
    }

    /// Silences known senders, those of the config file and the accepted ones; but not one that is much worse than it was.
    fn allow(&self, manifest: &mut Manifest, judged: &mut [Judged]) -> Result<Vec<(Allow, u64)>> {
        let mut entries = self.plan.detection.allow.clone();
        entries.extend(accept::accepted(&self.plan.state)?);
        let mut awake = Vec::new();
        for (at, one) in judged.iter_mut().enumerate() {
            let name = printable(&one.profile.name).into_owned();
            let (sleeping, woken) = std::mem::take(&mut one.findings).into_iter().partition(|finding| {
                let is_allowed = entries.iter().any(|entry| entry.silences(&one.profile, finding));
                !is_allowed || !told::is_much_worse(manifest, &name, finding)
            });
            one.findings = sleeping;
            awake.push((at, woken));
        }
        let allowed = silence(&entries, judged);
        for (at, woken) in awake {
            if let Some(one) = judged.get_mut(at) {
                one.findings.extend(woken);
            }
        }
        Ok(allowed)
    }

    /// The night's reports in their directory.
    fn report(
        &self,
        date: &str,
        judged: &mut Vec<Judged>,
        judge: &mut Judge<'_>,
        around: &mut Around,
        mut summary: Summary,
        letter: &Letter,
    ) -> Result<()> {
        let directory = self.plan.state.join("reports").join(date);
        let aside = Aside::new(&directory)?;
        let report = Report {
            judged,
            hosts: &mut judge.hosts,
            around,
            summary: &mut summary,
            classifier: self.classifier,
            formats: &self.plan.formats,
            writes_page: self.plan.writes_page,
            pseudonyms: None,
        };
        report.write(&aside, None)?;
        std::fs::write(aside.path().join("letter.txt"), &letter.text).map_err(|e| aside.failed("letter.txt", &e))?;
        aside.publish(&our_files()).map(|_| ())
    }

    /// `latest` leads to the reports that belong to the archive as it is.
    fn show_latest(&self) -> Result<()> {
        let Some(report) = &self.archive.manifest.report else { return Ok(()) };
        let reports = self.plan.state.join("reports");
        let latest = reports.join("latest");
        if !reports.join(report).is_dir() {
            // Somebody took them away; the next ones come.
            return Ok(());
        }
        if std::fs::read_link(&latest).is_ok_and(|to| to == Path::new(report)) {
            return Ok(());
        }
        let aside = latest.with_file_name(".latest");
        // One that an interrupted run left.
        _ = std::fs::remove_file(&aside);
        let switched = std::os::unix::fs::symlink(report, &aside).and_then(|()| std::fs::rename(&aside, &latest));
        switched.map_err(|error| Error::Output { path: latest, problem: error.to_string() })
    }

    /// Takes away reports of days that the archive does not keep, and what killed runs left unfinished. What cannot be
    /// removed now is tried again the next night.
    fn forget_reports(&self) {
        let oldest = self.archive.manifest.kept_from.map(date_partition);
        let Ok(entries) = std::fs::read_dir(self.plan.state.join("reports")) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with("date=") {
                continue;
            }
            if oldest.as_ref().is_some_and(|oldest| name < *oldest) {
                _ = std::fs::remove_dir_all(entry.path());
                continue;
            }
            for unfinished in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                if unfinished.file_name().to_string_lossy().starts_with(".writing-") {
                    _ = std::fs::remove_dir_all(unfinished.path());
                }
            }
        }
    }

    fn metrics(&mut self, lines: &LineTally, problems: usize) {
        let Some(path) = &self.plan.prom else { return };
        let metrics = Metrics {
            at: self.now,
            seconds: self.started.elapsed().as_secs_f64(),
            last_mail: self.archive.manifest.last_mail,
            lines,
            problems,
            archive_bytes: self.archive.manifest.bytes(),
            found: &self.archive.manifest.metrics,
        };
        // The collector is another user; there is nothing but counts in it.
        let readable = std::fs::Permissions::from_mode(0o644);
        let written = replace(path, metrics.text().as_bytes()).and_then(|()| std::fs::set_permissions(path, readable));
        self.unwritten = written.err().map(|e| Error::Output { path: path.clone(), problem: e.to_string() });
    }

    /// Tells what is to be told, and notes that it was: it is told twice rather than never.
    fn deliver(&mut self, out: &mut dyn Write) -> Result<()> {
        let Some(letter) = self.archive.manifest.pending.clone() else { return Ok(()) };
        tell(self.plan, &letter, out)?;
        let manifest = Manifest { pending: None, ..self.archive.manifest.clone() };
        self.archive.commit_manifest(manifest)
    }
}

/// Prints or mails a letter.
fn tell(plan: &NightlyPlan, letter: &Letter, out: &mut dyn Write) -> Result<()> {
    if !plan.mail_to.is_empty() {
        return mail(plan, letter);
    }
    match out.write_all(letter.text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Output { path: PathBuf::from("-"), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

fn mail(plan: &NightlyPlan, letter: &Letter) -> Result<()> {
    let sendmail = plan.sendmail.display();
    let failed = |problem: String| Error::Undelivered(format!("{sendmail}: {problem}; the next run tries again"));
    let head = format!(
        "To: {}\nSubject: {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
        plan.mail_to.join(", "),
        letter.subject
    );
    let mut child = Command::new(&plan.sendmail)
        .args(["-i", "--"])
        .args(&plan.mail_to)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("the mail program cannot be started: {error}")))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| {
        stdin.write_all(head.as_bytes())?;
        stdin.write_all(letter.text.as_bytes())
    });
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match written {
        Ok(()) if status.success() => Ok(()),
        Ok(()) => Err(failed(format!("the mail program failed ({status})"))),
        Err(error) => Err(failed(format!("the mail program did not take the letter: {error}"))),
    }
}

/// All that reading came to, to be judged.
struct Concluded<'n, 'c> {
    manifest: Manifest,
    judge: Judge<'c>,
    /// What was new, by UTC day since 1970.
    days: BTreeMap<i64, State>,
    aside: &'n Path,
    note: RunNote,
    inputs: Vec<InputSummary>,
    hints: LogHints,
    problems: Vec<Problem>,
    notes: Vec<String>,
    alarms: Vec<String>,
    /// The end of the archive before this run.
    since: Option<Timestamp>,
    passed_over: &'n [(String, &'static str)],
}

/// Nothing for this long since the last mail, and not told of lately.
const fn is_silent(now: i64, last_mail: i64, told: Option<i64>) -> bool {
    let is_told = match told {
        Some(told) => now - told < SILENT_S,
        None => false,
    };
    now - last_mail >= SILENT_S && !is_told
}

/// The alarms that one host's log ends while others go on. Each is told once, and not of a host that was as silent before.
fn silent_hosts(manifest: &mut Manifest) -> Vec<String> {
    let fell_silent = fell_silent(&manifest.runs);
    manifest.silent_hosts.retain(|host, since| fell_silent.get(host) == Some(since));
    let mut alarms = Vec::new();
    for (host, since) in fell_silent {
        if manifest.silent_hosts.insert(host.clone(), since) == Some(since) {
            continue;
        }
        alarms.push(format!(
            "{host} has written no mail line since {since}, while other hosts have. Does its mail server run, and do its logs still come here?"
        ));
    }
    alarms
}

/// The hosts whose logs end [`SILENT_S`] before the last of all, with their ends.
fn fell_silent(runs: &[Run]) -> BTreeMap<String, Timestamp> {
    let is_silent =
        |run: &Run, last: Timestamp| run.now.values().max().is_some_and(|now| now.seconds_since(last) >= SILENT_S);
    let Some((latest, earlier)) = runs.split_last() else { return BTreeMap::new() };
    let silent = latest.now.iter().filter(|(_, last)| is_silent(latest, **last));
    let is_news = |host: &String, last: Timestamp| {
        let before = || earlier.iter().filter_map(|run| Some((run, *run.now.get(host)?)));
        let wrote_with_others = before().any(|(run, then)| !is_silent(run, then));
        wrote_with_others && !before().any(|(run, then)| then < last && is_silent(run, then))
    };
    silent.filter(|(host, last)| is_news(host, **last)).map(|(host, last)| (host.clone(), *last)).collect()
}

const fn is_before(first: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(first) > LATE_S
}

/// True when everything that was read after a run is still there to be read again.
fn is_all_there(texts: &Texts, generation: u64, there: &[usize], fresh: &[Fresh]) -> bool {
    let is_there = |at: usize| there.contains(&at) || fresh.iter().any(|fresh| fresh.text == Some(at));
    texts
        .iter()
        .enumerate()
        .all(|(at, text)| text.last().is_none_or(|last| last.generation <= generation) || is_there(at))
}

fn host_times(correlator: &Correlator) -> BTreeMap<String, Timestamp> {
    let names = correlator.host_names();
    names.iter().filter_map(|name| Some((printable(name).into_owned(), correlator.now(name)?))).collect()
}

fn carry_now(carry: &Carry) -> Option<Timestamp> {
    host_times(&carry.correlator).into_values().max()
}

fn entries(part: Part, files: Vec<PartFile>) -> impl Iterator<Item = FileEntry> {
    files.into_iter().map(move |file| FileEntry {
        part,
        path: file.path,
        bytes: file.bytes,
        day: file.day,
        since: None,
    })
}

fn nothing_of_mail(note: &RunNote, problems: &[Problem]) -> Error {
    let said = said(problems);
    if !problems.is_empty() && note.inputs.is_empty() {
        return Error::NothingReadable { said, inputs: problems.len() };
    }
    let files = note.inputs.len();
    Error::NoMailLines(format!(
        "{said}no line of Postfix or Exim in the input: {files} files with {} lines were read. Name {WANTED_LOG}",
        note.lines.lines
    ))
}

fn outcome(problems: &[Problem]) -> Outcome {
    let warnings = problems.iter().map(|p| format!("{}: {}", printable(p.source.as_bytes()), p.what)).collect();
    Outcome { status: if problems.is_empty() { 0 } else { 3 }, warnings, text: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_a_day() {
        let hours = |hours: i64| hours * 3_600;
        assert!(!is_silent(hours(1), 0, None), "the next run within the hour");
        assert!(is_silent(hours(24), 0, None));
        assert!(!is_silent(hours(25), 0, Some(hours(24))));
        assert!(is_silent(hours(48), 0, Some(hours(24))));
    }

    /// What is told after each of some runs; of each run the hours at which the logs of `a` and `b` end.
    fn told_of_hosts(ends: &[(i64, i64)]) -> Vec<usize> {
        let mut manifest = Manifest::default();
        let at = |hours: i64| Timestamp::from_seconds(hours * 3_600);
        let mut told = Vec::new();
        for (a, b) in ends {
            manifest.runs.push(Run {
                generation: 1,
                now: BTreeMap::from([("a".into(), at(*a)), ("b".into(), at(*b))]),
                files: Vec::new(),
                probes: 0,
                aborted: 0,
                mail_lines: 1,
            });
            let alarms = silent_hosts(&mut manifest);
            assert!(alarms.iter().all(|alarm| alarm.starts_with("b has written no mail line since 1970-01-")));
            told.push(alarms.len());
        }
        told
    }

    #[test]
    fn a_host_that_falls_silent_is_told_of_once() {
        assert_eq!(told_of_hosts(&[(24, 24), (48, 47), (72, 53)]), [0, 0, 0], "19 hours");
        assert_eq!(told_of_hosts(&[(24, 24), (48, 47), (72, 48), (96, 48)]), [0, 0, 1, 0]);
        assert_eq!(told_of_hosts(&[(24, 24), (48, 24), (72, 72), (96, 72)]), [0, 1, 0, 0], "it writes now and then");
        assert_eq!(told_of_hosts(&[(72, 24), (96, 24)]), [0, 0], "it was gone before the first night");
    }
}
