//! `mailsleuth analyze`: logs in, per-sender reports out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::hints::LogHints;
use super::map::Cuts;
use super::memory::MemoryLimit;
use super::scan::{Consumer, Item, LastLines, ParsedBlock, counted, repeated_item, scan};
use super::seam::Seen;
use super::sources::{Ordered, Selection, select};
use super::{Outcome, WANTED_LOG, now_s, pool, said};
use crate::aggregate::{Around, Profiles};
use crate::archive::record::{RecordRef, Records};
use crate::archive::state::State;
use crate::classify::{Category, Classifier, Lists, Refusal, Scratch, Verdict};
use crate::cli::Plan;
use crate::correlate::{
    Attempt, AuthFailure, Context, Correlator, HostId, Instance, Message, Octets, Place, RecipientState, Rejection,
    Sink,
};
use crate::detect::{self, Allow, Finding, History, Severity};
use crate::error::{Error, Result};
use crate::framing::parts::Parts;
use crate::framing::year::{Clock, YearSource};
use crate::framing::{Program, RawLine, frame};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::input::source;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Mta, Stage};
use crate::mail::time::{Period, Timestamp};
use crate::places::Places;
use crate::report::events::Events;
use crate::report::history::Days;
use crate::report::privacy::Pseudonyms;
use crate::report::publish::Aside;
use crate::report::schema::Schema;
use crate::report::summary::{InputSummary, Summary};
use crate::report::tables::{Format, LongTable};
use crate::report::{self, HostNames, Judged, html, schema, text};
use crate::tally::{LineTally, MailTally, Shapes};

/// Runs the plan.
///
/// # Errors
/// [`Error::NothingReadable`], [`Error::NoMailLines`], [`Error::Memory`], [`Error::Output`], [`Error::Interrupted`].
pub fn run(plan: &Plan) -> Result<Outcome> {
    let signal = watch_signals(&plan.out)?;
    source::refuse_terminal(&plan.paths)?;
    let began = Instant::now();
    let memory = MemoryLimit::new(plan.memory_limit)?;
    let places = Places::open(&plan.mmdb)?;
    let aside = Aside::new(&plan.out)?;
    let read = BytesRead::default();
    let pool = pool(plan.threads)?;
    let (classifier, selection) = pool.join(
        || super::rules::classifier(&plan.rules),
        || select(source::find(&plan.paths), &plan.zone, plan.year, now_s(), &read),
    );
    let classifier = classifier?;
    let pseudonyms = Pseudonyms::new(plan.privacy, &plan.state, &classifier)?.map(Arc::new);
    let events = match plan.events {
        true => Some(begin_events(plan, &aside, &selection.inputs, pseudonyms.clone())?),
        false => None,
    };
    let progress = progress(plan.progress && !plan.quiet, &selection.inputs);
    let mut stages = Stages {
        front: Front::new(plan.mta, &selection, Begin::default(), signal, read.clone(), progress),
        judge: Judge { period: plan.period, ..Judge::new(&classifier, plan.merges_hosts, events) },
        spare: Vec::new(),
        memory: &memory,
    };
    let chosen = began.elapsed();
    scan(&selection.inputs, plan.mta, &pool, &read, &mut stages);
    stages.front.progress.finish_and_clear();
    if let Some(signal) = interrupted(&stages.front.signal) {
        return Err(Error::Interrupted { signal });
    }
    memory.check()?;
    stages.end();
    let read_through = began.elapsed();
    let text_bytes: u64 = stages.front.inputs.iter().map(|input| input.bytes).sum();
    let mut outcome = pool.install(|| stages.publish(plan, selection, aside, &places, pseudonyms.as_deref()))?;
    if plan.verbose {
        let s = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        outcome.warnings.push(format!(
            "{} to choose the files, {} to read them, {} to judge and write; {} bytes of text",
            s(chosen),
            s(read_through - chosen),
            s(began.elapsed() - read_through),
            text_bytes
        ));
    }
    Ok(outcome)
}

/// An input's number as records have it.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// How much of a line that is no log line an error shows.
const SAMPLE_BYTES: usize = 80;

/// How long a run may take to end by itself after a signal: a read from a silent pipe never does.
const END_BY_ITSELF: Duration = Duration::from_secs(1);

/// SIGINT and SIGTERM end the run at the next batch, with nothing published; where there is none in time, at once.
pub(super) fn watch_signals(out: &Path) -> Result<Arc<AtomicUsize>> {
    watch(Aside::path_in(out), (!out.exists()).then(|| out.to_path_buf()))
}

/// The same for a run that writes in `aside`, and made the directory `made_out` for it.
pub(super) fn watch(aside: PathBuf, made_out: Option<PathBuf>) -> Result<Arc<AtomicUsize>> {
    let signal = Arc::new(AtomicUsize::new(0));
    let mut signals =
        Signals::new([SIGINT, SIGTERM]).map_err(|error| Error::Usage(format!("cannot watch for signals: {error}")))?;
    let seen = Arc::clone(&signal);
    std::thread::spawn(move || {
        if let Some(number) = signals.forever().next() {
            seen.store(number.unsigned_abs() as usize, Ordering::Relaxed);
            std::thread::sleep(END_BY_ITSELF);
            // Nothing is left to do for what cannot be removed.
            _ = std::fs::remove_dir_all(aside);
            _ = made_out.map(std::fs::remove_dir);
            std::process::exit(128 + number);
        }
    });
    Ok(signal)
}

fn begin_events(plan: &Plan, aside: &Aside, inputs: &[Ordered], pseudonyms: Option<Arc<Pseudonyms>>) -> Result<Events> {
    let sources = inputs.iter().map(|input| input.source.name.clone()).collect();
    Events::create(aside.path(), &plan.formats, sources, pseudonyms).map_err(|e| aside.failed("events", &e))
}

pub(super) fn progress(is_shown: bool, inputs: &[Ordered]) -> ProgressBar {
    if !is_shown {
        return ProgressBar::hidden();
    }
    let total = inputs.iter().map(|input| input.source.bytes).sum();
    // indicatif draws nothing where stderr is no terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = "[{bar:30}] {percent:>3} %  {bytes} of {total_bytes} read, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        // Every terminal has these.
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What an earlier run left for this one.
#[derive(Default)]
pub(super) struct Begin {
    pub correlator: Correlator,
    pub parts: Parts,
    /// Of each input: the last lines before it, how many lines of its text stand before it, and the number under which
    /// records name it.
    pub inputs: Vec<(LastLines<Octets>, u64, u32)>,
}

/// Everything behind the parser, fed in the order of the text.
pub(super) struct Stages<'c> {
    pub front: Front,
    pub judge: Judge<'c>,
    /// Room for what is given out next, used again and again.
    pub spare: Vec<Given>,
    pub memory: &'c MemoryLimit,
}

/// What the correlator gives out, in its order, with each host's name before anything of it.
pub(super) enum Given {
    Host(Octets),
    Message(Message),
    Rejection(Rejection),
    AuthFailure(AuthFailure),
    Probe(HostId, QueueId),
    Aborted(HostId, QueueId),
}

impl Sink for Vec<Given> {
    fn message(&mut self, message: Message) {
        self.push(Given::Message(message));
    }

    fn rejection(&mut self, rejection: Rejection) {
        self.push(Given::Rejection(rejection));
    }

    fn auth_failure(&mut self, failure: AuthFailure) {
        self.push(Given::AuthFailure(failure));
    }

    fn probe(&mut self, host: HostId, queue_id: QueueId) {
        self.push(Given::Probe(host, queue_id));
    }

    fn aborted(&mut self, host: HostId, queue_id: QueueId) {
        self.push(Given::Aborted(host, queue_id));
    }
}

/// What is done line by line.
pub(super) struct Front {
    pub correlator: Correlator,
    /// For the judge, who is one batch behind.
    pub given: Vec<Given>,
    pub inputs: Vec<InputSummary>,
    /// Of each input: its clock, and the host of lines that name none.
    pub clocks: Vec<(Clock, Octets)>,
    /// Of each input: the last line of each host before the block that comes.
    pub last_lines: Vec<LastLines<Octets>>,
    /// Of each input: lines before it, and its number in records.
    begun: Vec<(u64, u32)>,
    only: Option<Mta>,
    /// Tells what is certain wherever the log was cut; for `map`.
    pub cuts: Option<Box<Cuts>>,
    /// Some stamp has no zone of its own.
    pub has_zoneless: bool,
    /// What the log could say and does not.
    pub hints: LogHints,
    /// Hosts so far, and that of the line before.
    hosts: usize,
    last_host: Option<(Octets, HostId)>,
    pub parts: Parts,
    pub lines: LineTally,
    pub problems: Vec<Problem>,
    pub signal: Arc<AtomicUsize>,
    read: BytesRead,
    pub progress: ProgressBar,
}

impl Front {
    pub(super) fn new(
        only: Option<Mta>,
        selection: &Selection,
        begin: Begin,
        signal: Arc<AtomicUsize>,
        read: BytesRead,
        progress: ProgressBar,
    ) -> Self {
        let clocks =
            selection.inputs.iter().map(|input| (input.clock(), Octets::from(input.host.as_bytes()))).collect();
        let Begin { correlator, parts, inputs: mut begun } = begin;
        begun.extend((begun.len()..selection.inputs.len()).map(|at| (LastLines::default(), 0, number(at))));
        let (last_lines, begun) = begun.into_iter().map(|(lines, before, number)| (lines, (before, number))).unzip();
        Self {
            hosts: correlator.host_names().len(),
            correlator,
            given: Vec::new(),
            inputs: selection.inputs.iter().map(|i| InputSummary::new(&i.source.name, &i.log, i.year_source)).collect(),
            last_lines,
            begun,
            only,
            cuts: None,
            has_zoneless: false,
            hints: LogHints::default(),
            clocks,
            last_host: None,
            parts,
            lines: LineTally::default(),
            problems: selection.problems.clone(),
            signal,
            read,
            progress,
        }
    }

    fn host(&mut self, name: &[u8]) -> HostId {
        if let Some((last, id)) = &self.last_host
            && **last == *name
        {
            return *id;
        }
        let id = self.correlator.host(name);
        if self.hosts <= id.0 as usize {
            self.hosts += 1;
            if self.cuts.is_some() {
                self.correlator.cut(id);
            }
            self.given.push(Given::Host(Octets::lowered(name)));
        }
        self.last_host = Some((name.into(), id));
        id
    }

    /// Counts what a line that only now could be read came to.
    fn count(&mut self, source: usize, tally: LineTally) {
        if let Some(input) = self.inputs.get_mut(source) {
            input.mail_lines += tally.mail_lines;
        }
        self.lines.merge(tally);
    }

    /// Where only pieces of logs are looked at: a host's lines in another input are another piece.
    fn enter(&mut self, source: usize, item: &Item<'_>) {
        let Some(cuts) = &mut self.cuts else { return };
        let named = match item {
            Item::Entry { raw, .. } | Item::Unknown { raw } | Item::Part { raw, .. } => raw.host,
            Item::Repeated(repeated) => repeated.host,
        };
        let own = self.clocks.get(source).map_or(&b""[..], |(_, own)| own);
        let host = if named.is_empty() { own } else { named };
        if let Some(id) = self.correlator.known_host(host) {
            cuts.enter(id, host, source, &mut self.correlator, &mut self.parts);
        }
    }

    fn item(&mut self, source: usize, line: u64, item: &Item<'_>) {
        self.enter(source, item);
        let (raw, entry) = match item {
            Item::Entry { raw, entry } => (raw, Some(entry)),
            Item::Unknown { raw } => (raw, None),
            Item::Repeated(repeated) => {
                let lines = self.last_lines.get(source);
                if let (Some(cuts), None) = (&mut self.cuts, lines.and_then(|lines| lines.of(repeated.host)))
                    && let Some((clock, _)) = self.clocks.get_mut(source)
                {
                    return cuts.repeated(source, line, clock.moment(&repeated.stamp), repeated);
                }
                let line_text = lines.and_then(|lines| lines.of(repeated.host)).cloned().unwrap_or_default();
                let mut tally = LineTally::default();
                let again = repeated_item(&line_text, *repeated, self.only, &mut tally);
                self.count(source, tally);
                if let Some(item) = again {
                    self.item(source, line, &item);
                }
                return;
            }
            Item::Part { raw, part } => {
                if let Some(cuts) = &mut self.cuts
                    && !self.parts.may_take(raw.host, raw.pid, *part)
                    && let Some((clock, _)) = self.clocks.get_mut(source)
                {
                    return cuts.part(source, line, clock.moment(&raw.stamp), raw, *part);
                }
                // Counted once, as the line it is a part of; what else stands on its lines belongs to it.
                let Some(line_text) = self.parts.take(raw.host, raw.pid, *part, raw.body) else {
                    *self.lines.ignored.entry("part of a line".into()).or_default() += 1;
                    return;
                };
                let mut tally = LineTally::default();
                let whole = counted(RawLine { body: &line_text, ..*raw }, &mut tally);
                self.count(source, tally);
                if let Some(item) = whole {
                    self.item(source, line, &item);
                }
                return;
            }
        };
        let Some((clock, own_host)) = self.clocks.get_mut(source) else { return };
        let at = clock.moment(&raw.stamp);
        self.has_zoneless |= raw.stamp.offset_s.is_none();
        let host = if raw.host.is_empty() { own_host.clone() } else { raw.host.into() };
        if let Some(input) = self.inputs.get_mut(source) {
            input.saw(at);
        }
        let Some(entry) = entry else {
            return self.lines.unknown_shapes.add(raw.body, 1);
        };
        // What other programs tell helps Postfix's lines.
        let mta = raw.program.mta().unwrap_or(Mta::Postfix);
        let context = Context {
            at,
            host: self.host(&host),
            mta,
            instance: match raw.program {
                Program::Postfix { instance, .. } => Instance::named(instance),
                Program::Exim | Program::Other(_) => Instance::NONE,
            },
            pid: raw.pid,
            times: raw.times,
            is_syslog: !raw.host.is_empty(),
            is_of_session: true,
            place: Place { source: self.begun.get(source).map_or(u32::MAX, |begun| begun.1), line },
        };
        self.hints.saw(&context, entry);
        match &mut self.cuts {
            None => self.correlator.take(context, entry, &mut self.given),
            Some(cuts) => {
                cuts.enter(context.host, &host, source, &mut self.correlator, &mut self.parts);
                let seen = Seen { context, entry, raw, key: cuts.key(source, at), input: number(source) };
                cuts.take(&seen, &mut self.correlator, &mut self.given);
            }
        }
    }

    pub fn block(&mut self, block: ParsedBlock<'_>) {
        // Pieces of logs go on from one another where nothing can be between them.
        let is_next = |before: &usize| self.cuts.as_ref().is_none_or(|cuts| cuts.is_next(*before, block.source));
        let continues = block.continues.filter(is_next);
        if let Some((before, _)) = continues.and_then(|before| self.clocks.get(before)).cloned()
            && let Some((clock, _)) = self.clocks.get_mut(block.source)
        {
            clock.follow(&before);
        }
        if let Some(before) = continues.and_then(|before| self.last_lines.get_mut(before)).map(std::mem::take)
            && let Some(last_lines) = self.last_lines.get_mut(block.source)
        {
            *last_lines = before;
        }
        let before = self.begun.get(block.source).map_or(0, |begun| begun.0)
            + self.inputs.get(block.source).map_or(0, |input| input.lines);
        for (number, item) in &block.items {
            self.item(block.source, before + number + 1, item);
        }
        if let Some(last_lines) = self.last_lines.get_mut(block.source) {
            for (host, line) in block.last_lines.iter() {
                last_lines.saw((*host).into(), (*line).into());
            }
        }
        for line in &block.unframed {
            self.lines.unframed_shapes.add(line, 1);
        }
        if let Some(input) = self.inputs.get_mut(block.source) {
            input.add(&block.tally, block.bytes);
            input.left_out += block.left_out;
            if let Some((clock, _)) = self.clocks.get(block.source)
                && !clock.has_chosen_year()
            {
                input.year_source = YearSource::Stamps;
            }
        }
        self.lines.merge(block.tally);
    }

    /// Lets the clocks see the beginnings of their inputs, of which not every line will come.
    pub fn begin_clocks(&mut self, inputs: &[Ordered]) {
        for ((clock, _), input) in self.clocks.iter_mut().zip(inputs) {
            if let Some(first) = frame(&input.first_line) {
                clock.moment(&first.stamp);
            }
        }
    }

    /// True when the run must stop.
    pub fn is_interrupted(&self) -> bool {
        interrupted(&self.signal).is_some()
    }

    /// Shows how far reading has come.
    pub fn show_progress(&self) {
        self.progress.set_position(self.read.load(Ordering::Relaxed));
    }

    /// Errors for a run that found no mail line: a wrong format must never look like a quiet day.
    pub fn refuse_nothing(&self, only: Option<Mta>, selection: &Selection) -> Result<()> {
        if self.lines.mail_lines > 0 {
            return Ok(());
        }
        let unreadable = self.problems.iter().filter(|p| p.is_unreadable).count();
        let said = said(&self.problems);
        if unreadable > 0 && unreadable == selection.asked {
            return Err(Error::NothingReadable { said, inputs: unreadable });
        }
        let read = match (self.inputs.len(), self.lines.lines) {
            (0, _) => "no log file was found there".to_string(),
            (_, 0) if self.problems.is_empty() => "the input is empty".to_string(),
            (_, 0) => "what could be read of it is empty".to_string(),
            (files, lines) => {
                let files = if files == 1 { "1 file".to_string() } else { format!("{files} files") };
                let sample = self.lines.unframed_shapes.by_count().first().map(|(_, _, sample)| {
                    let sample = sample.get(..SAMPLE_BYTES).unwrap_or(sample);
                    format!("; a line of an unknown form: {}", crate::mail::address::printable(sample))
                });
                format!("{files} with {lines} lines were read{}", sample.unwrap_or_default())
            }
        };
        let wanted = match only {
            Some(Mta::Postfix) => "Postfix (--mta postfix)",
            Some(Mta::Exim) => "Exim (--mta exim)",
            None => "Postfix or Exim",
        };
        Err(Error::NoMailLines(format!("{said}no line of {wanted} in the input: {read}. Give {WANTED_LOG}")))
    }
}

impl Stages<'_> {
    /// Judges what is still open, message by message: there may be many.
    pub(super) fn end(&mut self) {
        self.settle();
        self.front.correlator.finish(&mut self.judge);
    }

    /// Leaves what is still open to the pieces of the log that follow.
    pub(super) fn end_pieces(&mut self) {
        let Front { cuts, correlator, parts, .. } = &mut self.front;
        if let Some(cuts) = cuts {
            for at in 0..correlator.host_names().len() {
                cuts.end(HostId(number(at)), correlator, parts);
            }
        }
        self.settle();
    }

    /// Judges what was given out so far.
    pub(super) fn settle(&mut self) {
        self.judge.take(&mut self.front.given);
    }

    /// Judges, writes and sums up.
    fn publish(
        mut self,
        plan: &Plan,
        selection: Selection,
        aside: Aside,
        places: &Places,
        pseudonyms: Option<&Pseudonyms>,
    ) -> Result<Outcome> {
        self.front.refuse_nothing(plan.mta, &selection)?;
        let event_rows = match self.judge.events.take() {
            Some(events) => Some(events.finish().map_err(|error| aside.failed("events", &error))?),
            None => None,
        };
        let (mut judged, mut around) = self.judge.found(&plan.detection, &History::default(), places);
        self.memory.check()?;
        let allowed = silence(&plan.detection.allow, &mut judged);
        judged.retain(|one| !one.profile.is_mute || !one.findings.is_empty());
        let named = selection.inputs.iter().map(|input| input.source.is_named);
        self.front.problems.extend(in_wrong_form(self.front.inputs.iter().zip(named)));
        let mut summary = Summary {
            inputs: self.front.inputs,
            passed_over: selection.passed_over,
            problems: self.front.problems,
            period: plan.period,
            filter: Vec::new(),
            zone: plan.zone_name.clone(),
            has_zoneless: self.front.has_zoneless,
            lines: self.front.lines,
            mail: self.judge.tally,
            unclassified: self.judge.unclassified,
            allowed,
            places: places.to_json(),
            privacy: plan.privacy,
            rows: Vec::new(),
        };
        let report = Report {
            judged: &mut judged,
            hosts: &mut self.judge.hosts,
            around: &mut around,
            summary: &mut summary,
            classifier: self.judge.classifier,
            formats: &plan.formats,
            writes_page: plan.writes_page,
            pseudonyms,
        };
        let said = report.write(&aside, event_rows)?;
        if let Some(signal) = interrupted(&self.front.signal) {
            return Err(Error::Interrupted { signal });
        }
        let published = aside.publish(&our_files())?;
        let outcome = outcome(plan, &summary, &judged, &self.judge.hosts, said, &published);
        // The program ends: to give back every text by itself would take a twentieth of the time.
        std::mem::forget((judged, around));
        Ok(outcome)
    }
}

/// Files that the user named and that hold no line of any log: they must not pass for quiet ones.
pub(super) fn in_wrong_form<'a>(inputs: impl Iterator<Item = (&'a InputSummary, bool)>) -> Vec<Problem> {
    inputs
        .filter(|(input, is_named)| *is_named && input.lines > 0 && input.framed == 0)
        .map(|(input, _)| Problem {
            source: input.name.clone(),
            what: format!("none of its {} lines is a log line; is it a mail log?", input.lines),
            is_unreadable: false,
        })
        .collect()
}

impl Consumer for Stages<'_> {
    /// While these are correlated, what the batch before gave out is judged.
    fn blocks(&mut self, blocks: Vec<ParsedBlock<'_>>) {
        let Self { front, judge, spare, .. } = self;
        std::mem::swap(&mut front.given, spare);
        rayon::join(|| blocks.into_iter().for_each(|block| front.block(block)), || judge.take(spare));
        self.front.show_progress();
    }

    fn problem(&mut self, problem: Problem) {
        self.front.problems.push(problem);
    }

    fn is_interrupted(&self) -> bool {
        self.front.is_interrupted() || self.memory.is_exceeded()
    }
}

/// The number of the signal that came, if one did.
pub(super) fn interrupted(signal: &AtomicUsize) -> Option<u8> {
    u8::try_from(signal.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
}

/// Takes out the findings about known senders; each entry comes with how many it silenced.
pub(super) fn silence(allow: &[Allow], judged: &mut [Judged]) -> Vec<(Allow, u64)> {
    let mut allowed: Vec<(Allow, u64)> = allow.iter().map(|entry| (entry.clone(), 0)).collect();
    for one in judged {
        let profile = &one.profile;
        one.findings.retain(|finding| {
            let entry = allowed.iter_mut().find(|(entry, _)| entry.silences(profile, finding));
            entry.is_none_or(|(_, silenced)| {
                *silenced += 1;
                false
            })
        });
    }
    allowed
}

/// All that the tables and the page are made of.
pub(super) struct Report<'a> {
    pub judged: &'a mut Vec<Judged>,
    pub hosts: &'a mut HostNames,
    pub around: &'a mut Around,
    pub summary: &'a mut Summary,
    pub classifier: &'a Classifier,
    pub formats: &'a [Format],
    pub writes_page: bool,
    pub pseudonyms: Option<&'a Pseudonyms>,
}

impl Report<'_> {
    /// Hides whom it shall hide, and writes tables, summary and page; fills in the summary's numbers of rows.
    pub fn write(self, aside: &Aside, event_rows: Option<u64>) -> Result<Said> {
        let Self { judged, hosts, around, summary, .. } = self;
        // They are for who runs the program, not for whom the report is shown to.
        let warnings = summary.warnings();
        if let Some(pseudonyms) = self.pseudonyms {
            pseudonyms.hide(judged, hosts, around, summary);
        }
        judged.iter_mut().flat_map(|one| &mut one.findings).for_each(Finding::cut_names);
        let (judged, hosts) = (&*judged, &*hosts);
        let tables: [(&'static Schema, &Fill<'_>); 3] = [
            (&schema::FINDINGS, &|table| report::findings(judged, hosts, table)),
            (&schema::SENDERS, &|table| report::senders(judged, hosts, table)),
            (&schema::REASONS, &|table| report::reasons(judged, hosts, self.classifier, table)),
        ];
        let write_table = |(table, fill): &(&'static Schema, &Fill<'_>)| write_table(aside, table, fill, self.formats);
        let rows: Vec<_> = tables.par_iter().map(write_table).collect::<Result<_>>()?;
        let event_rows = event_rows.map(|rows| (schema::EVENTS.name, rows));
        summary.rows = rows.into_iter().chain(event_rows).collect();
        let write =
            |name: &str, text: &str| std::fs::write(aside.path().join(name), text).map_err(|e| aside.failed(name, &e));
        let json = summary.to_json();
        write("summary.json", &json)?;
        if self.writes_page {
            let page = html::page(&html::Page {
                summary,
                judged,
                hosts,
                around,
                classifier: self.classifier,
                tables: self.formats.first().map(|format| format.word()),
            });
            write(html::FILE, &page)?;
        }
        Ok(Said { json, warnings })
    }
}

/// Pushes a table's rows.
type Fill<'a> = dyn Fn(&mut LongTable) + Sync + 'a;

/// Writes a table in all formats, piece by piece; its name and number of rows.
fn write_table(
    aside: &Aside,
    table: &'static Schema,
    fill: &Fill<'_>,
    formats: &[Format],
) -> Result<(&'static str, u64)> {
    let failed = |error| aside.failed(table.name, &error);
    let mut rows = LongTable::create(table, aside.path(), formats).map_err(failed)?;
    fill(&mut rows);
    Ok((table.name, rows.finish().map_err(failed)?))
}

/// Every file name that a run may write.
pub(super) fn our_files() -> Vec<String> {
    let tables = [&schema::FINDINGS, &schema::SENDERS, &schema::REASONS, &schema::EVENTS];
    tables
        .iter()
        .flat_map(|table| Format::ALL.iter().map(|format| format!("{}.{}", table.name, format.word())))
        .chain([html::FILE.to_string()])
        .collect()
}

/// What the run has to say beside its text summary.
pub(super) struct Said {
    pub json: String,
    pub warnings: Vec<String>,
}

pub(super) fn outcome(
    plan: &Plan,
    summary: &Summary,
    judged: &[Judged],
    hosts: &HostNames,
    said: Said,
    published: &[PathBuf],
) -> Outcome {
    let worst = judged.iter().flat_map(|j| &j.findings).map(|f| f.severity).max();
    let is_alarm = |limit: Severity| worst.is_some_and(|worst| worst >= limit);
    let status = match (summary.problems.is_empty(), plan.fail_on.is_some_and(is_alarm)) {
        (_, true) => 4,
        (false, false) => 3,
        (true, false) => 0,
    };
    let Said { json, mut warnings } = said;
    if plan.quiet {
        warnings.truncate(summary.problems.len());
    }
    let text = match (plan.json, plan.quiet) {
        (true, _) => json,
        (false, true) => String::new(),
        (false, false) => text::summary(summary, judged, hosts, published, plan.look),
    };
    Outcome { status, warnings, text }
}

/// True where nothing that decides an answer's meaning differs.
fn is_same_answer(one: &Attempt, other: &Attempt) -> bool {
    one.action == other.action
        && one.enhanced_code == other.enhanced_code
        && one.response == other.response
        && one.relay_host == other.relay_host
        && one.service == other.service
}

/// What was counted of each UTC day since 1970 but the one that the judge is at.
#[derive(Default)]
pub(super) struct ByDay {
    at: Option<i64>,
    others: BTreeMap<i64, (Profiles, MailTally, Shapes)>,
}

/// Classifies what the correlator gives out, and hands it to the profiles and the events table.
pub(super) struct Judge<'c> {
    /// What came at another time is passed over.
    pub period: Period,
    classifier: &'c Classifier,
    scratch: Scratch<'c>,
    pub profiles: Profiles,
    pub events: Option<Events>,
    /// Takes everything down for the archive.
    pub records: Option<Records>,
    /// Counts what each identity does on each day, for the archive.
    pub days: Option<Days>,
    /// Counts the mail of each day by itself.
    pub by_day: Option<ByDay>,
    pub hosts: HostNames,
    pub tally: MailTally,
    pub unclassified: Shapes,
}

impl<'c> Judge<'c> {
    pub(super) fn new(classifier: &'c Classifier, merges_hosts: bool, events: Option<Events>) -> Self {
        Self {
            period: Period::default(),
            classifier,
            scratch: classifier.scratch(),
            profiles: Profiles::new(merges_hosts),
            events,
            records: None,
            days: None,
            by_day: None,
            hosts: HostNames(Vec::new()),
            tally: MailTally::default(),
            unclassified: Shapes::default(),
        }
    }

    /// The hash of the rules in force.
    pub(super) fn rules(&self) -> &'c str {
        self.classifier.fingerprint()
    }

    /// One that has counted nothing yet, for the same hosts.
    pub(super) fn alike(&self) -> Self {
        let hosts = HostNames(self.hosts.0.clone());
        let profiles = Profiles::new(self.profiles.merges_hosts());
        Self { hosts, profiles, period: self.period, ..Self::new(self.classifier, false, None) }
    }

    /// Takes out all of `given`.
    pub(super) fn take(&mut self, given: &mut Vec<Given>) {
        for one in given.drain(..) {
            match one {
                Given::Host(name) => self.hosts.0.push(name),
                Given::Message(message) => Sink::message(self, message),
                Given::Rejection(rejection) => Sink::rejection(self, rejection),
                Given::AuthFailure(failure) => Sink::auth_failure(self, failure),
                Given::Probe(host, queue_id) => self.probe(host, queue_id),
                Given::Aborted(host, queue_id) => self.aborted(host, queue_id),
            }
        }
    }

    /// Goes on with the counts of the day of this moment, where days are counted by themselves.
    fn turn_to(&mut self, at: Timestamp) {
        let day = at.day();
        let Some(by_day) = self.by_day.as_mut().filter(|by_day| by_day.at != Some(day)) else { return };
        // What was counted before the first is the first's.
        let Some(before) = by_day.at.replace(day) else { return };
        let of_day = by_day.others.remove(&day).unwrap_or_default();
        let counts = self.counts();
        if let Some(by_day) = &mut self.by_day {
            by_day.others.insert(before, counts);
        }
        (self.profiles, self.tally, self.unclassified) = of_day;
    }

    fn counts(&mut self) -> (Profiles, MailTally, Shapes) {
        let none = Profiles::new(self.profiles.merges_hosts());
        let profiles = std::mem::replace(&mut self.profiles, none);
        (profiles, std::mem::take(&mut self.tally), std::mem::take(&mut self.unclassified))
    }

    /// What was counted so far of mail; hosts are not merged in it.
    pub(super) fn take_state(&mut self) -> State {
        let (profiles, mut mail, unclassified) = self.counts();
        // Of no day.
        self.tally.probes += std::mem::take(&mut mail.probes);
        self.tally.aborted += std::mem::take(&mut mail.aborted);
        State::of(profiles, mail, unclassified)
    }

    /// The same of each day, where days were counted by themselves: from here on they are not.
    pub(super) fn take_days(&mut self) -> BTreeMap<i64, State> {
        let Some(ByDay { at: Some(at), mut others }) = self.by_day.take() else { return BTreeMap::new() };
        others.insert(at, self.counts());
        let mut days = BTreeMap::new();
        let mut tally = MailTally::default();
        for (day, counts) in others {
            (self.profiles, self.tally, self.unclassified) = counts;
            days.insert(day, self.take_state());
            tally.merge(&self.tally);
        }
        self.tally = tally;
        days
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, state: State) {
        let (profiles, mail, unclassified) = state.into_parts();
        if self.profiles.merges_hosts() {
            self.profiles.merge_of(profiles, &[], &[]);
        } else if self.profiles.is_empty() {
            // Into the larger one.
            let few = std::mem::replace(&mut self.profiles, profiles);
            self.profiles.merge(few);
        } else {
            self.profiles.merge(profiles);
        }
        self.tally.merge(&mail);
        self.unclassified.merge(unclassified);
    }

    /// Adds what another one has counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.profiles.merge(other.profiles);
        self.tally.merge(&other.tally);
        self.unclassified.merge(other.unclassified);
    }

    /// All identities with what was found about them, and what is known around them.
    pub(super) fn found(
        &mut self,
        settings: &detect::Settings,
        history: &History,
        places: &Places,
    ) -> (Vec<Judged>, Around) {
        let (profiles, mut around) = std::mem::take(&mut self.profiles).finish(&self.hosts.0);
        around.add_hosted(&settings.hosted);
        let findings = detect::check(&profiles, &around, history, settings, places);
        let judged =
            profiles.into_iter().zip(findings).map(|(profile, findings)| Judged { findings, profile }).collect();
        (judged, around)
    }

    fn verdict(&mut self, refusal: &Refusal<'_>, times: u64) -> Verdict<'c> {
        let verdict = self.classifier.classify(&mut self.scratch, refusal);
        self.explained(&verdict, refusal.response, times);
        verdict
    }

    /// Counts an answer that no rule knows.
    fn explained(&mut self, verdict: &Verdict<'_>, response: &[u8], times: u64) {
        if verdict.category.is_unclassified() {
            self.unclassified.add(response, times);
        }
    }

    /// What a destination's refusal means.
    fn answer(&mut self, mta: Mta, attempt: &Attempt) -> Verdict<'c> {
        let permanent = attempt.action != Action::Deferred;
        let refusal = Refusal {
            enhanced_code: attempt.enhanced_code,
            relay_host: &attempt.relay_host,
            ..Refusal::told(mta, &attempt.service, permanent, &attempt.response)
        };
        let verdict = self.verdict(&refusal, u64::from(attempt.times));
        if attempt.action == Action::Expired { self.expired(verdict) } else { verdict }
    }

    /// Of each attempt; `None` for what is no refusal.
    pub(super) fn verdicts(&mut self, message: &Message) -> Vec<Option<Verdict<'c>>> {
        let mut verdicts: Vec<Option<Verdict<'c>>> = Vec::with_capacity(message.attempts.len());
        let mut before: Option<&Attempt> = None;
        for attempt in &message.attempts {
            let is_refusal = matches!(attempt.action, Action::Deferred | Action::Bounced | Action::Expired);
            // A server mostly says the same when it is tried again.
            let is_same = before.is_some_and(|before| is_same_answer(before, attempt));
            let same = verdicts.last().filter(|_| is_same).cloned().flatten();
            let verdict = is_refusal.then(|| match same {
                Some(verdict) => {
                    self.explained(&verdict, &attempt.response, u64::from(attempt.times));
                    verdict
                }
                None => self.answer(message.mta, attempt),
            });
            verdicts.push(verdict);
            before = Some(attempt);
        }
        verdicts
    }

    /// A message given up for age: that is why it did not arrive, whatever the last answer said.
    fn expired(&self, verdict: Verdict<'c>) -> Verdict<'c> {
        match Category::from_id("delivery-expired") {
            Some(category) if category != verdict.category => {
                Verdict { category, rule: "queue-lifetime", dnsbl: None, ..verdict }
            }
            _ => verdict,
        }
    }

    pub(super) fn message(&mut self, message: &Message) {
        self.turn_to(message.first_seen);
        if let Some(records) = &mut self.records {
            records.push(&RecordRef::Message(message));
        }
        if let Some(days) = &mut self.days {
            days.message(message);
        }
        count(&mut self.tally, message);
        let verdicts = self.verdicts(message);
        if let Some(events) = &mut self.events {
            for hold in &message.holds {
                events.held(&self.hosts, message, hold);
            }
            for (attempt, verdict) in message.attempts.iter().zip(&verdicts) {
                if !attempt.is_handover && !attempt.is_secondary {
                    events.delivery(&self.hosts, message, attempt, verdict.as_ref());
                }
            }
        }
        self.profiles.add_message(message, &verdicts);
    }

    pub(super) fn rejection(&mut self, rejection: &Rejection) {
        self.turn_to(rejection.at);
        if let Some(records) = &mut self.records {
            records.push(&RecordRef::Rejection(rejection));
        }
        if let Some(days) = &mut self.days {
            days.rejection(rejection);
        }
        let times = u64::from(rejection.times);
        let verdict = match rejection.action {
            // Thrown away behind the client's back: there is no answer to explain.
            Action::Discarded => {
                self.tally.recipients += times;
                self.tally.discarded += times;
                None
            }
            action => {
                let is_permanent = action != Action::Tempfailed;
                *(if is_permanent { &mut self.tally.rejected } else { &mut self.tally.tempfailed }) += times;
                self.refused(rejection)
            }
        };
        if let Some(events) = &mut self.events {
            events.rejection(&self.hosts, rejection, verdict.as_ref());
        }
        self.profiles.add_rejection(rejection, verdict.as_ref());
    }

    /// What this host's own refusal means; `None` for what was thrown away.
    pub(super) fn refused(&mut self, rejection: &Rejection) -> Option<Verdict<'c>> {
        if rejection.action == Action::Discarded {
            return None;
        }
        let is_permanent = rejection.action != Action::Tempfailed;
        let verdict = self.verdict(
            &Refusal {
                stage: Some(rejection.stage),
                smtp_code: rejection.smtp_code,
                enhanced_code: rejection.enhanced_code,
                ..Refusal::said(rejection.mta, &rejection.service, is_permanent, &rejection.response)
            },
            u64::from(rejection.times),
        );
        Some(named_list(self.classifier.lists(), verdict, rejection))
    }

    pub(super) fn auth_failure(&mut self, failure: &AuthFailure) {
        self.turn_to(failure.at);
        if let Some(records) = &mut self.records {
            records.push(&RecordRef::AuthFailure(failure));
        }
        self.tally.auth_failures += u64::from(failure.times);
        if self.events.is_some() {
            let refusal = Refusal {
                stage: Some(Stage::Auth),
                smtp_code: failure.smtp_code,
                ..Refusal::said(failure.mta, &failure.service, failure.is_permanent, &failure.response)
            };
            let verdict = self.verdict(&refusal, u64::from(failure.times));
            if let Some(events) = &mut self.events {
                events.auth_failure(&self.hosts, failure, &verdict);
            }
        }
        self.profiles.add_auth_failure(failure);
    }
}

/// What came at another time than the judge's is passed over.
impl Sink for Judge<'_> {
    fn message(&mut self, message: Message) {
        if self.period.has(message.first_seen) {
            Judge::message(self, &message);
        }
    }

    fn rejection(&mut self, rejection: Rejection) {
        if self.period.has(rejection.at) {
            Judge::rejection(self, &rejection);
        }
    }

    fn auth_failure(&mut self, failure: AuthFailure) {
        if self.period.has(failure.at) {
            Judge::auth_failure(self, &failure);
        }
    }

    fn probe(&mut self, _: HostId, _: QueueId) {
        self.tally.probes += 1;
    }

    fn aborted(&mut self, _: HostId, _: QueueId) {
        self.tally.aborted += 1;
    }
}

/// The list that a refusal for being listed leaves out, as dnsblog told it.
fn named_list<'c>(lists: &'c Lists, verdict: Verdict<'c>, rejection: &Rejection) -> Verdict<'c> {
    match &rejection.listed_by {
        Some(zone) if verdict.dnsbl.is_none() && rejection.response.starts_with(b"Service unavailable; client ") => {
            let zone = String::from_utf8_lossy(zone).to_ascii_lowercase();
            let list = lists.of_zone(&zone).map(|list| list.id().into());
            Verdict { dnsbl: Some(list.unwrap_or_else(|| zone.into())), ..verdict }
        }
        _ => verdict,
    }
}

/// Adds one queue entry to the run's totals.
pub(super) fn count(tally: &mut MailTally, message: &Message) {
    tally.messages += u64::from(!message.is_continuation);
    tally.open_messages += u64::from(message.is_open);
    tally.orphans += u64::from(message.is_orphan);
    let mut add = |state: RecipientState, recipients: u64| {
        tally.recipients += recipients;
        *match state {
            RecipientState::Open => &mut tally.still_open,
            RecipientState::Delivered => &mut tally.delivered,
            RecipientState::Deferred => &mut tally.deferred,
            RecipientState::Bounced => &mut tally.bounced,
            RecipientState::Expired => &mut tally.expired,
            RecipientState::Discarded => &mut tally.discarded,
            RecipientState::HandedOn => &mut tally.handed_on,
        } += recipients;
    };
    for recipient in &message.recipients {
        add(recipient.state, 1);
    }
    add(message.unnamed_state, message.unnamed_recipients);
}
