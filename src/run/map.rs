//! `mailsleuth map`: a piece of a log in, what it comes to out, for `mailsleuth merge`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::analyze::{Begin, Front, Given, Judge, Stages, interrupted, progress, watch_signals};
use super::memory::MemoryLimit;
use super::reader::Latest;
use super::scan::{LastLines, scan};
use super::seam::{Seams, Seen};
use super::sources::{Ordered, Selection, is_next, select};
use super::{Outcome, now_s, pool};
use crate::archive::partial::{self, HostIn, InputEntry, Line, Manifest, State, What, Written};
use crate::cli::MapPlan;
use crate::correlate::{Correlator, HostId, Octets};
use crate::error::{Error, Result};
use crate::framing::parts::{Part, Parts};
use crate::framing::{RawLine, Repeated};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::input::source;
use crate::mail::time::Timestamp;
use crate::report::HostNames;
use crate::report::partial::Tables;
use crate::report::publish::Aside;
use crate::report::summary::InputSummary;

/// What a partial keeps of an input.
#[derive(Debug, Serialize, Deserialize)]
pub struct InputIn {
    pub summary: InputSummary,
    /// Named by the user, not found by searching.
    pub is_named: bool,
    /// Some of its lines name no host, and its place may name it.
    pub is_hostless: bool,
    pub first: Option<Timestamp>,
    pub first_line: Vec<u8>,
    /// The latest moment of its lines.
    pub key: Timestamp,
    pub last_lines: LastLines<Octets>,
    /// It begins in an hour that its clock showed twice, and does not say which of the two that is.
    pub is_unsure: bool,
}

/// Runs the plan.
///
/// # Errors
/// As `analyze`.
pub fn run(plan: &MapPlan) -> Result<Outcome> {
    let signal = watch_signals(&plan.out)?;
    source::refuse_terminal(&plan.paths)?;
    let memory = MemoryLimit::new(plan.memory_limit)?;
    let aside = Aside::new(&plan.out)?;
    let read = BytesRead::default();
    let pool = pool(plan.threads)?;
    let (classifier, selection) = pool.join(
        || super::rules::classifier(&plan.rules),
        || select(source::find(&plan.paths), &plan.zone, plan.year, now_s(), &read),
    );
    let (classifier, mut selection) = (classifier?, selection);
    if let Some(host) = &plan.host {
        selection.inputs.iter_mut().for_each(|input| input.host.clone_from(host));
    }
    let bar = progress(plan.progress, &selection.inputs);
    let mut stages = Stages {
        front: Front::new(plan.mta, &selection, Begin::default(), signal, read.clone(), bar),
        judge: Judge::new(&classifier, false, None),
        spare: Vec::new(),
        memory: &memory,
    };
    stages.front.cuts = Some(Box::new(Cuts::new(&selection.inputs)));
    scan(&selection.inputs, plan.mta, &pool, &read, &mut stages);
    stages.front.progress.finish_and_clear();
    if let Some(signal) = interrupted(&stages.front.signal) {
        return Err(Error::Interrupted { signal });
    }
    memory.check()?;
    stages.front.refuse_nothing(plan.mta, &selection)?;
    stages.end_pieces();
    let (mut state, seam) = state_of(stages, &selection, plan);
    let manifest = manifest_of(&state, classifier.fingerprint(), plan);
    pool.install(|| put(aside, manifest, &mut state, &seam, plan.has_tables))?;
    let problems = state.problems.iter().map(|(source, what, _)| format!("{source}: {what}")).collect::<Vec<_>>();
    let status = if problems.is_empty() { 0 } else { 3 };
    // The program ends: to give back every text by itself would take a while.
    std::mem::forget(state);
    Ok(Outcome { status, warnings: problems, text: String::new() })
}

/// Writes a partial with its tables, and puts it in its place.
pub(super) fn put(
    aside: Aside,
    manifest: Manifest,
    state: &mut State<InputIn>,
    seam: &Written,
    has_tables: bool,
) -> Result<()> {
    let tables = if has_tables { tables(aside.path(), &manifest, state, seam) } else { Ok(Vec::new()) };
    tables
        .and_then(|tables| partial::write(aside.path(), manifest, state, seam, &tables))
        .map_err(|error| aside.failed("partial", &error))?;
    aside.publish(&[]).map(drop)
}

fn tables(directory: &Path, manifest: &Manifest, state: &State<InputIn>, seam: &Written) -> io::Result<Vec<String>> {
    let tables = Tables {
        profiles: state.profiles.in_order(),
        hosts: HostNames(state.hosts.iter().map(|host| host.name.clone()).collect()),
        cut: seam.messages(),
        inputs: state.inputs.iter().map(|input| &input.summary).collect(),
        problems: state.problems.iter().map(|(source, what, _)| (source.as_str(), what.as_str())).collect(),
        told: vec![
            ("partial_version", manifest.version.to_string()),
            ("program", manifest.program.clone()),
            ("rules", manifest.rules.clone()),
        ],
    };
    tables.write(directory)
}

/// All of a partial but the seam, and that.
fn state_of(stages: Stages<'_>, selection: &Selection, plan: &MapPlan) -> (State<InputIn>, Written) {
    let Stages { mut front, judge, .. } = stages;
    let cuts = front.cuts.take().unwrap_or_default();
    let own_of = |name: &Octets| {
        let inputs = selection.inputs.iter().enumerate();
        let mut inputs = inputs.filter(|(_, input)| plan.host.is_none() && input.has_hostless);
        let is_own = |input: &str| Octets::lowered(input.as_bytes()) == *name;
        inputs.find(|(_, input)| is_own(&input.host)).map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX))
    };
    let names = front.correlator.host_names();
    let hosts = names.into_iter().enumerate().map(|(at, name)| HostIn {
        own_of: own_of(&name),
        first: cuts.firsts.get(at).copied().flatten(),
        name,
    });
    let clocks = std::mem::take(&mut front.clocks);
    let inputs = selection.inputs.iter().zip(front.inputs).zip(front.last_lines).enumerate();
    let inputs = inputs.map(|(at, ((input, summary), last_lines))| InputIn {
        summary,
        is_named: input.source.is_named,
        is_hostless: plan.host.is_none() && input.has_hostless && !input.source.is_stream,
        first: input.first,
        first_line: input.first_line.clone(),
        key: cuts.keys.get(at).map_or(Timestamp(i64::MIN), |latest| latest.key),
        last_lines,
        is_unsure: clocks.get(at).is_some_and(|(clock, _)| clock.is_unsure()),
    });
    let state = State {
        hosts: hosts.collect(),
        inputs: inputs.collect(),
        lines: front.lines,
        mail: judge.tally,
        unclassified: judge.unclassified,
        has_zoneless: front.has_zoneless,
        problems: front
            .problems
            .into_iter()
            .map(|Problem { source, what, is_unreadable }| (source, what, is_unreadable))
            .collect(),
        passed_over: selection.passed_over.clone(),
        profiles: judge.profiles,
    };
    (state, cuts.seams.seam)
}

fn manifest_of(state: &State<InputIn>, rules: &str, plan: &MapPlan) -> Manifest {
    let spans = || state.inputs.iter().filter_map(|input| input.summary.span());
    let inputs = state.inputs.iter().map(|InputIn { summary, .. }| InputEntry {
        source: summary.name.clone(),
        lines: summary.lines,
        text_bytes: summary.bytes,
        first: summary.span().map(|(first, _)| first.to_string()),
        last: summary.span().map(|(_, last)| last.to_string()),
    });
    Manifest {
        version: partial::VERSION,
        program: env!("CARGO_PKG_VERSION").to_string(),
        rules: rules.to_string(),
        timezone: plan.zone_name.clone(),
        host: plan.host.clone(),
        first: spans().map(|(first, _)| first).min().map(|at| at.to_string()),
        last: spans().map(|(_, last)| last).max().map(|at| at.to_string()),
        lines: state.lines.lines,
        mail_lines: state.lines.mail_lines,
        inputs: inputs.collect(),
        identities: state.profiles.len() as u64,
        seam_lines: 0,
        shards: plan.shards,
        shard: None,
        of: None,
        files: Vec::new(),
    }
}

/// Tells what is certain wherever the log was cut.
#[derive(Default)]
pub(super) struct Cuts {
    seams: Seams,
    /// What came of the line that is looked at.
    given: Vec<Given>,
    /// Of each input: the one that it goes on from.
    before_it: Vec<Option<usize>>,
    /// Of each input: its latest moment.
    keys: Vec<Latest>,
    /// Of each host: the inputs that hold lines of it, and the last one.
    hosts: Vec<(BTreeSet<usize>, usize)>,
    /// Of each host: input, latest moment there and number of its first line.
    firsts: Vec<Option<(u32, Timestamp, u64)>>,
    /// Where the line before stood.
    before: Option<(usize, Octets)>,
}

impl Cuts {
    fn new(inputs: &[Ordered]) -> Self {
        let before = |newer: &Ordered| inputs.iter().position(|older| is_next(older, newer));
        Self { before_it: inputs.iter().map(before).collect(), ..Self::default() }
    }

    /// True where an input goes on with the lines of the other, and nothing can be between the two.
    pub fn is_next(&self, older: usize, newer: usize) -> bool {
        self.before_it.get(newer).copied().flatten() == Some(older)
    }

    /// The latest moment of an input, with this one.
    pub fn key(&mut self, input: usize, at: Timestamp) -> Timestamp {
        if self.keys.len() <= input {
            self.keys.resize(input + 1, Latest::NONE);
        }
        self.keys.get_mut(input).map_or(at, |latest| latest.saw(at))
    }

    /// A line of a host comes, known by this name, of this input.
    pub fn enter(&mut self, id: HostId, host: &[u8], input: usize, correlator: &mut Correlator, parts: &mut Parts) {
        if self.before.as_ref().is_some_and(|(before, name)| *before == input && **name == *host) {
            return;
        }
        self.before = Some((input, host.into()));
        let at = id.0 as usize;
        if self.hosts.len() <= at {
            self.hosts.resize(at + 1, (BTreeSet::new(), input));
        }
        let Some((inputs, last)) = self.hosts.get(at).map(|(inputs, last)| (inputs, *last)) else { return };
        if !inputs.is_empty() && !inputs.contains(&input) && !self.is_next(last, input) {
            self.end(id, correlator, parts);
        }
        if let Some((inputs, last)) = self.hosts.get_mut(at) {
            inputs.insert(input);
            *last = input;
        }
    }

    /// The piece of this host's log ends.
    pub fn end(&mut self, id: HostId, correlator: &mut Correlator, parts: &mut Parts) {
        let Some((_, last)) = self.hosts.get(id.0 as usize) else { return };
        let key = self.keys.get(*last).map_or(Timestamp(i64::MIN), |latest| latest.key);
        let line = Line {
            input: u32::try_from(*last).unwrap_or(u32::MAX),
            line: u64::MAX,
            key,
            at: key,
            now: correlator.now_of(id),
            flags: 0,
            evidence: correlator.evidence(id),
            host: id.0,
            times: 1,
            pid: None,
            what: What::End,
        };
        let name = correlator.host_names().get(id.0 as usize).cloned().unwrap_or_default();
        self.seams.end(&[id]);
        for (pid, (number, text)) in parts.take_host(&name) {
            let what = What::Part { host: &name, number, of: 0, ends_line: false, body: &text };
            self.seams.keep(&Line { pid, what, ..line });
        }
        self.seams.keep(&line);
        correlator.cut(id);
    }

    /// Takes a line; `out` gets what is certain.
    pub fn take(&mut self, seen: &Seen<'_, '_>, correlator: &mut Correlator, out: &mut Vec<Given>) {
        let at = seen.context.host.0 as usize;
        if self.firsts.len() <= at {
            self.firsts.resize(at + 1, None);
        }
        if let Some(first) = self.firsts.get_mut(at) {
            first.get_or_insert((seen.input, seen.key, seen.context.place.line));
        }
        correlator.take(seen.context, seen.entry, &mut self.given);
        self.seams.saw(seen, correlator, &mut self.given, out);
    }

    /// `last message repeated`, where the message stands before the piece.
    pub fn repeated(&mut self, input: usize, line: u64, at: Timestamp, repeated: &Repeated<'_>) {
        let what = What::Repeated { host: repeated.host };
        let kept = self.unread(input, line, at, None, what);
        self.seams.keep(&Line { times: repeated.times, ..kept });
    }

    /// A part of a line that was begun before the piece.
    pub fn part(&mut self, input: usize, line: u64, at: Timestamp, raw: &RawLine<'_>, part: Part) {
        let kept = self.unread(input, line, at, raw.pid, What::of_part(raw, part));
        self.seams.keep(&kept);
    }

    fn unread<'a>(&mut self, input: usize, line: u64, at: Timestamp, pid: Option<u32>, what: What<'a>) -> Line<'a> {
        Line {
            input: u32::try_from(input).unwrap_or(u32::MAX),
            line,
            key: self.key(input, at),
            at,
            now: at,
            flags: 0,
            evidence: None,
            host: u32::MAX,
            times: 1,
            pid,
            what,
        }
    }
}
