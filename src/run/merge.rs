//! `mailsleuth merge`: partials in, the tables of one `analyze` over all their logs out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::analyze::{Judge, Report, our_files, outcome, silence};
use super::map::{InputIn, put};
use super::memory::MemoryLimit;
use super::scan::{Item, LastLines, counted, repeated_item};
use super::seam::{Use, use_of};
use super::sources::{Arranged, Known, arrange};
use super::{Outcome, pool};
use crate::aggregate::Profiles;
use crate::archive::partial::{
    self, FRESH_SESSION, HostIn, Line, Manifest, NO_SESSION, Partial, SETTLED, SYSLOG, Shard, State, What, Written,
};
use crate::classify::Classifier;
use crate::cli::MergePlan;
use crate::correlate::{Context, Correlator, HostId, Instance, Octets, Place};
use crate::detect::History;
use crate::error::{Error, Result};
use crate::framing::parts::{Part, Parts};
use crate::framing::{Program, RawLine, Repeated};
use crate::input::Problem;
use crate::mail::status::Mta;
use crate::mail::time::{Stamp, Timestamp};
use crate::parse::{self, Client, Entry, Parsed};
use crate::places::Places;
use crate::report::privacy::Pseudonyms;
use crate::report::publish::Aside;
use crate::report::summary::{InputSummary, Summary};
use crate::tally::LineTally;

/// Runs the plan.
///
/// # Errors
/// [`Error::Partial`] for a partial that cannot be read; [`Error::Usage`] where they do not go together.
pub fn run(plan: &MergePlan) -> Result<Outcome> {
    let classifier = super::rules::classifier(&plan.output.rules)?;
    let places = Places::open(&plan.output.mmdb)?;
    let pool = pool(plan.output.threads)?;
    let memory = MemoryLimit::new(plan.output.memory_limit)?;
    let (partials, warnings) = pool.install(|| read(plan, &classifier))?;
    memory.check()?;
    if plan.is_partial {
        return pool.install(|| combine(plan, partials, &memory, warnings));
    }
    pool.install(|| merge(plan, partials, &classifier, &places, &memory, warnings))
}

/// Reads the partials, each once.
fn read(plan: &MergePlan, classifier: &Classifier) -> Result<(Vec<Partial<InputIn>>, Vec<String>)> {
    let mut seen = BTreeMap::new();
    let mut sources: BTreeMap<(String, u64, Option<String>), &Path> = BTreeMap::new();
    let (mut partials, mut warnings) = (Vec::new(), Vec::new());
    for path in &plan.partials {
        let failed = |error: std::io::Error| Error::Partial { path: path.clone(), problem: error.to_string() };
        let manifest = partial::manifest(path).map_err(failed)?;
        if manifest.rules != classifier.fingerprint() {
            return Err(Error::Usage(format!(
                "{}: made by version {} with other rules than these; use the same program and the same --rules for map and merge",
                path.display(),
                manifest.program
            )));
        }
        if plan.shard.is_some() && manifest.shard.is_some() {
            return Err(Error::Usage(format!(
                "{}: it holds one shard already; merge all of them first",
                path.display()
            )));
        }
        if let Some(first) = seen.insert((manifest.identity(), manifest.shard), path) {
            warnings.push(format!("{}: the same partial as {}; it counts once", path.display(), first.display()));
            continue;
        }
        let is_told = manifest.shard.is_some_and(|shard| !shard.is_first());
        for input in manifest.inputs.iter().filter(|_| !is_told) {
            let key = (input.source.clone(), input.lines, input.first.clone());
            if let Some(other) = sources.insert(key, path).filter(|_| input.lines > 0) {
                return Err(Error::Usage(format!(
                    "{} is in {} and in {}: give each log once",
                    input.source,
                    other.display(),
                    path.display()
                )));
            }
        }
        partials.push(partial::read(path, manifest, plan.shard).map_err(failed)?);
    }
    Ok((whole(partials)?, warnings))
}

/// Puts together the shards of what was one partial; in an order that does not depend on the order in which they came.
fn whole(partials: Vec<Partial<InputIn>>) -> Result<Vec<Partial<InputIn>>> {
    let (mut parted, mut all): (Vec<_>, Vec<_>) = partials.into_iter().partition(|one| one.manifest.shard.is_some());
    parted.sort_by(|a, b| (&a.manifest.of, a.manifest.shard).cmp(&(&b.manifest.of, b.manifest.shard)));
    let mut expected: Option<Shard> = None;
    let missing = |shard: Shard| {
        Error::Usage(format!("shard {}/{} is not among the partials: merge all of them", shard.number, shard.of))
    };
    for one in parted {
        let Some(shard) = one.manifest.shard else { continue };
        let wanted = expected.unwrap_or(Shard { number: 0, of: shard.of });
        if shard != wanted
            || (!shard.is_first() && all.last().is_none_or(|before| before.manifest.of != one.manifest.of))
        {
            return Err(missing(wanted));
        }
        match all.last_mut().filter(|_| !shard.is_first()) {
            Some(first) => first.state.profiles.put_pieces(vec![one.state.profiles]),
            None => all.push(one),
        }
        expected = Some(Shard { number: shard.number + 1, of: shard.of }).filter(|next| next.number < next.of);
    }
    if let Some(wanted) = expected {
        return Err(missing(wanted));
    }
    all.sort_by_cached_key(|one| one.manifest.identity());
    Ok(all)
}

/// Makes one partial of several: what is certain is added, what is not is put side by side.
fn combine(
    plan: &MergePlan,
    partials: Vec<Partial<InputIn>>,
    memory: &MemoryLimit,
    warnings: Vec<String>,
) -> Result<Outcome> {
    let aside = Aside::new(&plan.output.out)?;
    let manifests: Vec<&Manifest> = partials.iter().map(|partial| &partial.manifest).collect();
    let manifest = Manifest::of_all(&manifests, plan.shard);
    let mut all: State<InputIn> = State { profiles: Profiles::new(false), ..State::default() };
    let mut seam = Written::default();
    let mut place = 0;
    for partial in partials {
        memory.check()?;
        let state = partial.state;
        let input_of = |input: u32| input.saturating_add(u32::try_from(all.inputs.len()).unwrap_or(u32::MAX));
        let mut numbers = Vec::new();
        for host in state.hosts {
            let is_same = |known: &HostIn| known.own_of.is_none() && host.own_of.is_none() && known.name == host.name;
            let known = all.hosts.iter().position(is_same);
            numbers.push(HostId(u32::try_from(known.unwrap_or(all.hosts.len())).unwrap_or(u32::MAX)));
            all.hosts.push(HostIn {
                own_of: host.own_of.map(input_of),
                first: host.first.map(|(input, at, line)| (input_of(input), at, line)),
                name: host.name,
            });
        }
        for line in partial.seam.in_order() {
            place += 1;
            let host = numbers.get(line.host as usize).map_or(line.host, |host| host.0);
            seam.push(place, &Line { input: input_of(line.input), host, ..line });
        }
        all.profiles.merge_of(state.profiles, &numbers, &[]);
        all.inputs.extend(state.inputs);
        all.mail.merge(&state.mail);
        all.unclassified.merge(state.unclassified);
        all.lines.merge(state.lines);
        all.has_zoneless |= state.has_zoneless;
        all.problems.extend(state.problems);
        all.passed_over.extend(state.passed_over);
    }
    all.problems.sort();
    all.passed_over.sort();
    let problems = all.problems.iter().map(|(source, what, _)| format!("{source}: {what}"));
    let problems: Vec<String> = problems.chain(if plan.output.quiet { Vec::new() } else { warnings }).collect();
    let status = if all.problems.is_empty() { 0 } else { 3 };
    let manifest = Manifest { identities: all.profiles.len() as u64, ..manifest };
    put(aside, manifest, &mut all, &seam, plan.shard.is_none())?;
    Ok(Outcome { status, warnings: problems, text: String::new() })
}

/// The inputs of all partials in their order.
struct Inputs {
    arranged: Vec<Arranged>,
    /// Of each partial: the place of each of its inputs in that order.
    places: Vec<Vec<usize>>,
    summaries: Vec<InputSummary>,
    is_named: Vec<bool>,
    is_unsure: Vec<bool>,
    last_lines: Vec<LastLines<Octets>>,
    /// The latest moment of the inputs before, in the same set.
    before: Vec<Timestamp>,
}

impl Inputs {
    fn new(partials: &mut [Partial<InputIn>]) -> Self {
        let known: Vec<Known<'_>> = partials
            .iter()
            .flat_map(|partial| &partial.state.inputs)
            .map(|input| Known {
                name: &input.summary.name,
                first: input.first,
                last: input.summary.span().map(|(_, last)| last),
                is_hostless: input.is_hostless,
            })
            .collect();
        let arranged = arrange(&known);
        let mut place_of = vec![0; known.len()];
        for (place, one) in arranged.iter().enumerate() {
            if let Some(known) = place_of.get_mut(one.number) {
                *known = place;
            }
        }
        let mut place_of = place_of.into_iter();
        let places = partials.iter().map(|p| place_of.by_ref().take(p.state.inputs.len()).collect()).collect();
        let inputs = partials.iter_mut().flat_map(|partial| std::mem::take(&mut partial.state.inputs));
        let mut inputs: BTreeMap<usize, InputIn> = inputs.enumerate().collect();
        let mut latest: BTreeMap<usize, Timestamp> = BTreeMap::new();
        let mut all = Self {
            arranged,
            places,
            summaries: Vec::new(),
            is_named: Vec::new(),
            is_unsure: Vec::new(),
            last_lines: Vec::new(),
            before: Vec::new(),
        };
        for one in &all.arranged {
            let Some(mut input) = inputs.remove(&one.number) else { continue };
            let latest = latest.entry(one.set).or_insert(Timestamp(i64::MIN));
            all.before.push(*latest);
            *latest = input.key.max(*latest);
            input.summary.log.clone_from(&one.log);
            all.summaries.push(input.summary);
            all.is_named.push(input.is_named);
            all.is_unsure.push(input.is_unsure);
            all.last_lines.push(input.last_lines);
        }
        all
    }

    fn place(&self, partial: usize, input: u32) -> usize {
        self.places.get(partial).and_then(|places| places.get(input as usize)).copied().unwrap_or(usize::MAX)
    }

    /// What lines are put in order by: their moments, and of equal ones the log and the file.
    fn order(&self, partial: usize, input: u32, key: Timestamp) -> (Timestamp, usize, usize) {
        let place = self.place(partial, input);
        let before = self.before.get(place).copied().unwrap_or(Timestamp(i64::MIN));
        (key.max(before), self.arranged.get(place).map_or(usize::MAX, |one| one.set), place)
    }

    /// Files that begin in an hour that comes twice, behind others that would tell which of the two it is.
    fn unsure(&self) -> Vec<Problem> {
        let what = "it begins in an hour that came twice, and which of the two was told without the file before it; map both in one run";
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for ((one, is_unsure), summary) in self.arranged.iter().zip(&self.is_unsure).zip(&self.summaries) {
            if !seen.insert(one.set) && *is_unsure {
                problems.push(Problem { source: summary.name.clone(), what: what.into(), is_unreadable: false });
            }
        }
        problems
    }

    /// The last line of a host in the files before one.
    fn line_before(&self, place: usize, host: &[u8]) -> Option<&Octets> {
        let set = self.arranged.get(place)?.set;
        let earlier = (0..place).rev().filter(|at| self.arranged.get(*at).is_some_and(|one| one.set == set));
        earlier.filter_map(|at| self.last_lines.get(at)?.of(host)).next()
    }
}

fn merge(
    plan: &MergePlan,
    mut partials: Vec<Partial<InputIn>>,
    classifier: &Classifier,
    places: &Places,
    memory: &MemoryLimit,
    said: Vec<String>,
) -> Result<Outcome> {
    let out = &plan.output;
    let aside = Aside::new(&out.out)?;
    let pseudonyms = Pseudonyms::new(out.privacy, &out.state, classifier)?.map(Arc::new);
    let inputs = Inputs::new(&mut partials);
    let mut judge = Judge::new(classifier, out.merges_hosts, None);
    let mut seam = Seam::new(inputs, &partials);
    judge.hosts.0 = seam.correlator.host_names();
    seam.replay(&partials, &mut judge);
    let mut lines = std::mem::take(&mut seam.lines);
    let (mut problems, mut passed_over, mut zones) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut has_zoneless = false;
    for (at, partial) in partials.into_iter().enumerate() {
        memory.check()?;
        let state = partial.state;
        let numbers = seam.hosts.get(at).cloned().unwrap_or_default();
        let renamed = seam.renamed.get(at).cloned().unwrap_or_default();
        judge.profiles.merge_of(state.profiles, &numbers, &renamed);
        judge.tally.merge(&state.mail);
        judge.unclassified.merge(state.unclassified);
        lines.merge(state.lines);
        has_zoneless |= state.has_zoneless;
        problems.extend(state.problems.into_iter().map(|(source, what, is_unreadable)| Problem {
            source,
            what,
            is_unreadable,
        }));
        passed_over.extend(state.passed_over);
        zones.extend(partial.manifest.timezone.split(", ").map(str::to_string));
    }
    problems.sort_by(|a, b| a.source.cmp(&b.source));
    passed_over.sort();
    let (mut judged, mut around) = judge.found(&out.detection, &History::default(), places);
    let allowed = silence(&out.detection.allow, &mut judged);
    judged.retain(|one| !one.profile.is_mute || !one.findings.is_empty());
    problems.extend(seam.inputs.unsure());
    let Inputs { summaries, is_named, .. } = seam.inputs;
    problems.extend(super::analyze::in_wrong_form(summaries.iter().zip(is_named)));
    let mut summary = Summary {
        period: out.period,
        filter: Vec::new(),
        inputs: summaries,
        passed_over,
        problems,
        zone: zones.into_iter().collect::<Vec<_>>().join(", "),
        has_zoneless,
        lines,
        mail: judge.tally,
        unclassified: std::mem::take(&mut judge.unclassified),
        allowed,
        places: places.to_json(),
        privacy: out.privacy,
        rows: Vec::new(),
    };
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
    let mut written = report.write(&aside, None)?;
    let published = aside.publish(&our_files())?;
    // Behind the problems, which are told however quiet a run is.
    let at = summary.problems.len().min(written.warnings.len());
    written.warnings.splice(at..at, said);
    Ok(outcome(out, &summary, &judged, &judge.hosts, written, &published))
}

/// The lines of all partials that are left to be read, and what they are read with.
struct Seam {
    inputs: Inputs,
    correlator: Correlator,
    parts: Parts,
    lines: LineTally,
    /// Of each partial: this run's number of each of its hosts.
    hosts: Vec<Vec<HostId>>,
    /// Of each partial: its hosts that stand for themselves by another name now.
    renamed: Vec<Vec<(HostId, Octets, Octets)>>,
}

impl Seam {
    fn new(inputs: Inputs, partials: &[Partial<InputIn>]) -> Self {
        let mut firsts = Vec::new();
        for (at, partial) in partials.iter().enumerate() {
            for (number, host) in partial.state.hosts.iter().enumerate() {
                let label = host.own_of.and_then(|input| inputs.arranged.get(inputs.place(at, input)));
                let name = label.map_or_else(|| host.name.clone(), |one| Octets::lowered(one.label.as_bytes()));
                let first = host.first.map(|(input, key, line)| (inputs.order(at, input, key), line));
                firsts.push((first.is_none(), first, at, number, name));
            }
        }
        // As one run would meet them.
        firsts.sort();
        let mut correlator = Correlator::new();
        let mut hosts: Vec<Vec<HostId>> = partials.iter().map(|p| vec![HostId(0); p.state.hosts.len()]).collect();
        let mut renamed: Vec<Vec<_>> = partials.iter().map(|_| Vec::new()).collect();
        for (_, _, at, number, name) in firsts {
            let id = correlator.host(&name);
            if let Some(slot) = hosts.get_mut(at).and_then(|hosts| hosts.get_mut(number)) {
                *slot = id;
            }
            let old = partials.get(at).and_then(|partial| partial.state.hosts.get(number)).map(|host| &host.name);
            if let Some(old) = old.filter(|old| **old != name)
                && let (Some(renamed), Ok(number)) = (renamed.get_mut(at), u32::try_from(number))
            {
                renamed.push((HostId(number), own_name(old), own_name(&name)));
            }
        }
        Self { inputs, correlator, parts: Parts::default(), lines: LineTally::default(), hosts, renamed }
    }

    /// Reads all lines in their order.
    fn replay(&mut self, partials: &[Partial<InputIn>], judge: &mut Judge<'_>) {
        let mut lines = Vec::new();
        for (at, partial) in partials.iter().enumerate() {
            let of_partial = partial.seam.in_order().into_iter().enumerate();
            lines.extend(of_partial.map(|(n, line)| (self.inputs.order(at, line.input, line.key), n, at, line)));
        }
        lines.sort_by_key(|(order, number, at, _)| (*order, *at, *number));
        for (_, _, at, line) in lines {
            self.line(at, &line, judge);
        }
        self.correlator.finish(judge);
    }

    fn line(&mut self, partial: usize, line: &Line<'_>, judge: &mut Judge<'_>) {
        let host = self.hosts.get(partial).and_then(|hosts| hosts.get(line.host as usize)).copied();
        let place = self.inputs.place(partial, line.input);
        let raw = RawLine {
            stamp: Stamp::NONE,
            host: b"",
            program: Program::Exim,
            pid: line.pid,
            body: b"",
            times: line.times,
        };
        match line.what {
            What::End => {
                if let (Some(host), Some(evidence)) = (host, line.evidence) {
                    self.correlator.set_evidence(host, evidence);
                }
            }
            What::Login { ip, port, login } => {
                let Some(host) = host else { return };
                let client = Client { ip, port, ..Client::default() };
                let context = self.context(host, place, line, Mta::Exim, &raw);
                if line.flags & SETTLED != 0 {
                    self.correlator.advance(host, line.now, judge);
                }
                if line.flags & FRESH_SESSION != 0 {
                    self.correlator.forget_session(context, client, judge);
                }
                self.correlator.login(context, client, login, judge);
            }
            What::Part { host, number, of: 0, body, .. } => self.parts.put(host, line.pid, (number, body.to_vec())),
            What::Part { host, number, of, ends_line, body } => {
                let Some(text) = self.parts.take(host, line.pid, Part { number, of, ends_line }, body) else {
                    *self.lines.ignored.entry("part of a line".into()).or_default() += 1;
                    return;
                };
                let mut tally = LineTally::default();
                let item = counted(RawLine { host, body: &text, ..raw }, &mut tally);
                self.count(place, tally);
                self.item(place, line, item, judge);
            }
            What::Repeated { host } => {
                let text = self.inputs.line_before(place, host).cloned().unwrap_or_default();
                let mut tally = LineTally::default();
                let repeated = Repeated { stamp: Stamp::NONE, host, times: line.times };
                let item = repeated_item(&text, repeated, None, &mut tally);
                self.count(place, tally);
                self.item(place, line, item, judge);
            }
            What::Postfix { .. } | What::Exim { .. } | What::Other { .. } => {
                let (Some(host), Some((program, body))) = (host, line.what.program()) else { return };
                let raw = RawLine { program, body, ..raw };
                if let Parsed::Entry(entry) = parse::line(&raw) {
                    self.entry(self.context(host, place, line, mta_of(&raw), &raw), line, &entry, judge);
                }
            }
        }
    }

    fn count(&mut self, place: usize, tally: LineTally) {
        if let Some(input) = self.inputs.summaries.get_mut(place) {
            input.mail_lines += tally.mail_lines;
        }
        self.lines.merge(tally);
    }

    /// A line that only now could be read.
    fn item(&mut self, place: usize, line: &Line<'_>, item: Option<Item<'_>>, judge: &mut Judge<'_>) {
        let (raw, entry) = match item {
            Some(Item::Entry { raw, entry }) => (raw, Some(entry)),
            Some(Item::Unknown { raw }) => (raw, None),
            _ => return,
        };
        if let Some(input) = self.inputs.summaries.get_mut(place) {
            input.saw(line.at);
        }
        let Some(entry) = entry else { return self.lines.unknown_shapes.add(raw.body, 1) };
        let host = self.correlator.host(raw.host);
        if judge.hosts.0.len() <= host.0 as usize {
            judge.hosts.0.push(Octets::lowered(raw.host));
        }
        let context = self.context(host, place, line, mta_of(&raw), &raw);
        self.entry(Context { is_syslog: !raw.host.is_empty(), ..context }, line, &entry, judge);
    }

    /// What a line of the seam is about.
    fn context(&self, host: HostId, place: usize, line: &Line<'_>, mta: Mta, raw: &RawLine<'_>) -> Context {
        Context {
            at: line.at,
            host,
            mta,
            instance: match raw.program {
                Program::Postfix { instance, .. } => Instance::named(instance),
                Program::Exim | Program::Other(_) => Instance::NONE,
            },
            pid: line.pid.or(raw.pid),
            times: raw.times,
            is_syslog: line.flags & SYSLOG != 0,
            is_of_session: line.flags & NO_SESSION == 0,
            place: Place { source: u32::try_from(place).unwrap_or(u32::MAX), line: line.line },
        }
    }

    fn entry(&mut self, context: Context, line: &Line<'_>, entry: &Entry<'_>, judge: &mut Judge<'_>) {
        let (host, mta) = (context.host, context.mta);
        if line.flags & SETTLED != 0 {
            self.correlator.advance(host, line.now, judge);
        }
        if line.flags & FRESH_SESSION != 0
            && let Some(Use::Begins(client) | Use::Line(client) | Use::Ends(client)) = use_of(mta, entry)
        {
            self.correlator.forget_session(context, client, judge);
        }
        if let Some(evidence) = line.evidence {
            self.correlator.give_evidence(host, evidence);
        }
        self.correlator.take(context, entry, judge);
    }
}

fn mta_of(raw: &RawLine<'_>) -> Mta {
    raw.program.mta().unwrap_or(Mta::Postfix)
}

/// What a host's own mail is under (contract.md section 3).
fn own_name(host: &Octets) -> Octets {
    if host.is_empty() { Octets::from(&b"this host"[..]) } else { host.clone() }
}
