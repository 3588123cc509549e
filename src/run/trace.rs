//! `mailsleuth trace`: one login's, message's, client's or address's whole story, out of logs or the archive.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hashbrown::HashSet;
use rayon::prelude::*;

use super::analyze::{Begin, Front, Given, Judge, count, interrupted, progress, watch};
use super::memory::MemoryLimit;
use super::replay::{carry, files};
use super::report::{Noted, read_notes};
use super::scan::{Consumer, ParsedBlock, scan_marked};
use super::sift::{Marks, PASSES, Sifted, ends, has_double_hour, sift, surroundings};
use super::sources::{Ordered, ROTATION_SEAM_S, Selection, select};
use super::{Outcome, now_s, pool};
use crate::aggregate::uses::{Uses, Wanted};
use crate::archive::Archive;
use crate::archive::index::{Index, Key};
use crate::archive::manifest::FileEntry;
use crate::archive::record::{self, Record};
use crate::classify::Classifier;
use crate::cli::{Filter, SearchPlan, TraceFormatArg, TraceFrom, TracePlan, usual_logs};
use crate::correlate::{AuthFailure, HostId, Message, Octets, Rejection, Sink};
use crate::error::{Error, Result, did_you_mean};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::input::source;
use crate::mail::address::{self, printable};
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::Mta;
use crate::mail::time::{Period, SECONDS_PER_DAY, Timestamp};
use crate::places::Places;
use crate::report::letter::quoted;
use crate::report::privacy::{Privacy, Pseudonyms};
use crate::report::publish::Aside;
use crate::report::summary::{InputSummary, Summary, gaps};
use crate::report::tables::{Format, SCHEMA_VERSION};
use crate::report::trace::manifest::{self, Input, Manifest, Output, check, hashed};
use crate::report::trace::rows::{Tables, write_lines};
use crate::report::trace::text::Hide;
use crate::report::trace::{ecs, json, lists, text};
use crate::tally::{MailTally, Shapes};
use crate::trace::owner::times;
use crate::trace::reuse;
use crate::trace::{Facts, Found, Roles, Story, What};

/// A message may stay in the queue for so long (`maximal_queue_lifetime`): files that end so much before the time that is
/// looked at, or begin so much behind it, hold nothing of it.
const QUEUE_LIFE_S: i64 = 5 * SECONDS_PER_DAY;
/// Days from a message's own on which other entries of the same mail may begin.
const REACH_DAYS: i64 = 10;
/// How long before the time that is looked at the archive is read, to know what is ordinary.
const USUAL_S: i64 = 31 * SECONDS_PER_DAY;
/// Files that the first line names.
const NAMED: usize = 2;

/// Runs the plan.
///
/// # Errors
/// [`Error::NothingReadable`], [`Error::NoMailLines`], [`Error::Archive`], [`Error::Output`], [`Error::Interrupted`],
/// [`Error::Memory`]; [`Error::Usage`] for a manifest that cannot be read.
pub fn run(plan: &TracePlan) -> Result<Outcome> {
    match plan {
        TracePlan::Verify(manifest) => verify(manifest),
        TracePlan::Search(plan) => search(plan),
    }
}

fn search(plan: &SearchPlan) -> Result<Outcome> {
    let made_out = plan.out.clone().filter(|out| !out.exists());
    let signal = watch(plan.out.as_deref().map(Aside::path_in).unwrap_or_default(), made_out)?;
    let aside = plan.out.as_deref().map(Aside::new).transpose()?;
    let memory = MemoryLimit::new(plan.memory_limit)?;
    let classifier = super::rules::classifier(&plan.rules)?;
    let pseudonyms = Pseudonyms::new(plan.privacy, &plan.state, &classifier)?.map(Arc::new);
    let pool = pool(plan.threads)?;
    let search = Search { plan, classifier: &classifier, signal: Arc::clone(&signal), pool: &pool, memory: &memory };
    let mut read = match &plan.from {
        TraceFrom::Logs(paths) => search.logs(paths)?,
        TraceFrom::Archive(state) => match opened(state)? {
            Some(archive) => search.archive(&archive)?,
            None => {
                let state = state.display();
                return Err(Error::NoMailLines(format!("{state}: no archive here yet; `mailsleuth nightly` makes it")));
            }
        },
        TraceFrom::ArchiveOrLogs(state) => match opened(state)? {
            Some(archive) => search.archive(&archive)?,
            None => search.logs(&usual_logs()?)?,
        },
    };
    if let Some(signal) = interrupted(&signal) {
        return Err(Error::Interrupted { signal });
    }
    memory.check()?;
    if let Some(pseudonyms) = pseudonyms.as_deref().filter(|pseudonyms| pseudonyms.hides_all()) {
        read.facts.hidden_sources = read.facts.sources.iter().map(|name| pseudonyms.name(name)).collect();
    }
    pool.install(|| tell(plan, read, aside, pseudonyms.as_ref(), &memory))
}

/// The archive of a directory, where a run has added something.
fn opened(state: &Path) -> Result<Option<Archive>> {
    Ok(Archive::read(state)?.filter(|archive| !archive.manifest.runs.is_empty()))
}

/// What reading came to.
struct Read<'c> {
    found: Found<'c>,
    facts: Facts,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    inputs: Vec<Input>,
}

impl Read<'_> {
    /// Lets go of what other hosts logged, and of other messages with the id that is looked for.
    fn narrow(&mut self, host: Option<&String>) {
        if let Some(wanted) = host {
            let hosts: Vec<String> = self.facts.hosts.iter().map(|name| printable(name).to_lowercase()).collect();
            if !hosts.contains(wanted) {
                let meant = did_you_mean(wanted, hosts.iter().map(String::as_str));
                self.warnings.push(format!("--host {wanted}: no such host in what was read{meant}"));
            }
            self.found.keep_hosts(|host| hosts.get(host.0 as usize) == Some(wanted));
        }
        reuse::keep_one(&mut self.found);
    }
}

/// By what records are found.
struct Look {
    /// Blocks with none of these are not unpacked.
    keys: Option<Vec<Key>>,
    /// Records with none of these are not looked at.
    marks: Option<Marks>,
}

struct Search<'a> {
    plan: &'a SearchPlan,
    classifier: &'a Classifier,
    signal: Arc<AtomicUsize>,
    pool: &'a rayon::ThreadPool,
    memory: &'a MemoryLimit,
}

impl<'a> Search<'a> {
    fn found(&self) -> Found<'a> {
        Found::new(self.plan.target.clone(), self.plan.period)
    }

    fn facts(&self) -> Facts {
        Facts { own_networks: self.plan.detection.own_networks.clone(), hops: self.plan.hops, ..Facts::default() }
    }

    fn logs(&self, paths: &[OsString]) -> Result<Read<'a>> {
        let plan = self.plan;
        source::refuse_terminal(paths)?;
        let read = BytesRead::default();
        let mut selection = select(source::find(paths), &plan.zone, plan.year, now_s(), &read);
        let mut files = names(&selection.inputs);
        files.extend(selection.passed_over.iter().map(|(name, _)| name.clone()));
        files.extend(selection.problems.iter().map(|problem| problem.source.clone()));
        let skipped = outside(&mut selection, plan.period);
        let mut unseen: Vec<String> = skipped
            .iter()
            .map(|(input, why)| format!("Not read: {}: {why}.", printable(input.source.name.as_bytes())))
            .collect();
        let sifted = self.pool.install(|| sift(&selection.inputs, &plan.target.what));
        if selection.inputs.is_empty() && !skipped.is_empty() {
            let searched = "no file: all lie outside --since and --until".into();
            let facts = Facts { searched, unseen, files, ..self.facts() };
            let inputs = self.inputs_of(&[], &skipped, |_| (None, None));
            return Ok(Read { found: self.found(), facts, problems: selection.problems, warnings: Vec::new(), inputs });
        }
        match sifted.filter(|sifted| sifted.inputs.iter().any(|input| input.is_mail)) {
            Some(sifted) => {
                let mut read = self.sifted(selection, skipped, unseen, sifted, &read)?;
                read.facts.files = files;
                Ok(read)
            }
            None => {
                let (found, marks) = (self.found(), None);
                let (front, tracer) = self.scanned(&selection, found, marks, &read)?;
                if !front.is_interrupted() {
                    front.refuse_nothing(plan.mta, &selection)?;
                }
                let inputs = self.inputs_of(&selection.inputs, &skipped, |at| {
                    let input = front.inputs.get(at);
                    (input.map(|input| input.lines), input.and_then(|input| input.span()))
                });
                let hints = hints(&front, &tracer.found);
                let summary = self.summary(front, tracer.judge.tally, selection.passed_over);
                coverage(plan, &summary, &mut unseen);
                unseen.extend(hints);
                let mut facts = Facts { files, ..self.facts() };
                facts.sources = names(&selection.inputs);
                facts.searched = searched(&facts.sources, summary.lines.lines);
                facts.span = summary.span();
                facts.hosts = tracer.hosts;
                facts.unseen = unseen;
                let warnings = if plan.quiet { Vec::new() } else { summary.warnings() };
                let mut read = Read { found: tracer.found, facts, problems: summary.problems, warnings, inputs };
                read.narrow(plan.host.as_ref());
                Ok(read)
            }
        }
    }

    /// Takes apart only what has to do with one message, in the inputs that hold something of it.
    fn sifted(
        &self,
        mut selection: Selection,
        skipped: Vec<(Ordered, String)>,
        mut unseen: Vec<String>,
        sifted: Sifted,
        read: &BytesRead,
    ) -> Result<Read<'a>> {
        let plan = self.plan;
        let lines = sifted.inputs.iter().map(|input| input.lines).sum();
        let all = names(&selection.inputs);
        let first = selection.inputs.iter().filter_map(|input| input.first).min();
        let span = first.zip(sifted.inputs.iter().filter_map(|input| input.last).max());
        let inputs = self.inputs_of(&selection.inputs, &skipped, |at| {
            let known = sifted.inputs.get(at);
            let first = selection.inputs.get(at).and_then(|input| input.first);
            (known.map(|input| input.lines), first.zip(known.and_then(|input| input.last)))
        });
        let covered: Vec<InputSummary> = selection
            .inputs
            .iter()
            .zip(&sifted.inputs)
            .filter(|(_, known)| known.is_mail)
            .filter_map(|(input, known)| {
                let summary = InputSummary::new(&input.source.name, &input.log, input.year_source);
                Some(summary.over(input.first?, known.last?, known.silence_s))
            })
            .collect();
        uncovered(plan.period, span, &mut unseen);
        unseen.extend(gaps(&covered).iter().map(|gap| format!("A gap: {}", gap.text())));
        // A damaged one is read again, so that what is wrong with it is told.
        let mut is_read = sifted.inputs.iter().map(|input| input.has_lines || input.is_damaged);
        selection.inputs.retain(|_| is_read.next().unwrap_or(false));
        let ends = ends(&selection.inputs);
        let has_double = selection.inputs.iter().zip(ends).any(|(input, end)| has_double_hour(input, end, &plan.zone));
        let mut found = self.found();
        found.kin = sifted.ids;
        let marks = (!has_double).then_some(&sifted.marks);
        let (front, mut tracer) = self.scanned(&selection, found, marks, read)?;
        tracer.found.settle_kin();
        if front.has_zoneless {
            unseen.push(zone_note(&plan.zone_name));
        }
        unseen.extend(hints(&front, &tracer.found));
        let summary = self.summary(front, tracer.judge.tally, selection.passed_over);
        for problem in &summary.problems {
            unseen.push(format!("Damaged or not read: {}: {}.", printable(problem.source.as_bytes()), problem.what));
        }
        let mut facts = self.facts();
        facts.sources = names(&selection.inputs);
        facts.searched = searched(&all, lines);
        facts.span = span;
        facts.hosts = tracer.hosts;
        facts.unseen = unseen;
        facts.is_sifted = true;
        let mut read = Read { found: tracer.found, facts, problems: summary.problems, warnings: Vec::new(), inputs };
        read.narrow(plan.host.as_ref());
        read.facts.around = self.pool.install(|| around(&read.found, &selection.inputs));
        Ok(read)
    }

    /// Reads inputs from front to back.
    fn scanned(
        &self,
        selection: &Selection,
        found: Found<'a>,
        marks: Option<&Marks>,
        read: &BytesRead,
    ) -> Result<(Front, Tracer<'a>)> {
        let plan = self.plan;
        let bar = progress(plan.progress && !plan.quiet, &selection.inputs);
        let mut stages = Tracing {
            front: Front::new(plan.mta, selection, Begin::default(), Arc::clone(&self.signal), read.clone(), bar),
            tracer: Tracer::new(self.classifier, found),
            memory: self.memory,
        };
        if marks.is_some() {
            stages.front.begin_clocks(&selection.inputs);
        }
        scan_marked(&selection.inputs, plan.mta, marks, self.pool, read, &mut stages);
        let Tracing { mut front, mut tracer, .. } = stages;
        front.progress.finish_and_clear();
        self.memory.check()?;
        front.correlator.finish(&mut front.given);
        tracer.take(std::mem::take(&mut front.given));
        Ok((front, tracer))
    }

    fn summary(&self, front: Front, mail: MailTally, passed_over: Vec<(String, String)>) -> Summary {
        Summary {
            filter: Vec::new(),
            inputs: front.inputs,
            passed_over,
            problems: front.problems,
            period: self.plan.period,
            zone: self.plan.zone_name.clone(),
            has_zoneless: front.has_zoneless,
            lines: front.lines,
            mail,
            unclassified: Shapes::default(),
            allowed: Vec::new(),
            places: Places::default().to_json(),
            privacy: self.plan.privacy,
            rows: Vec::new(),
        }
    }

    /// What the manifest says of the inputs; `known` gives lines and span of each by its number.
    fn inputs_of(
        &self,
        read: &[Ordered],
        skipped: &[(Ordered, String)],
        known: impl Fn(usize) -> (Option<u64>, Option<(Timestamp, Timestamp)>),
    ) -> Vec<Input> {
        if self.plan.out.is_none() {
            return Vec::new();
        }
        let absolute = |input: &Ordered| {
            let path = input.source.path().filter(|_| !input.source.is_stream)?;
            Some(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string())
        };
        let hash = |input: &Ordered| hashed(Path::new(&absolute(input)?), input.source.bytes).ok();
        let hashes: Vec<_> = self.pool.install(|| read.par_iter().map(hash).collect());
        let one = |at: usize, input: &Ordered, hash: Option<(String, u64)>| {
            let (lines, span) = known(at);
            Input {
                source: input.source.name.clone(),
                path: absolute(input),
                bytes: hash.as_ref().map(|(_, bytes)| *bytes),
                sha256: hash.map(|(sha256, _)| sha256),
                lines,
                first: span.map(|(first, _)| first.to_string()),
                last: span.map(|(_, last)| last.to_string()),
                skipped: None,
            }
        };
        let numbered = read.iter().zip(hashes).enumerate();
        let mut inputs: Vec<Input> = numbered.map(|(at, (input, hash))| one(at, input, hash)).collect();
        inputs.extend(skipped.iter().map(|(input, why)| Input {
            source: input.source.name.clone(),
            path: absolute(input),
            bytes: None,
            sha256: None,
            lines: None,
            first: input.first.map(|first| first.to_string()),
            last: None,
            skipped: Some(why.clone()),
        }));
        inputs
    }

    fn archive(&self, archive: &Archive) -> Result<Read<'a>> {
        let plan = self.plan;
        // What is ordinary shows in the days before.
        let since = plan.period.since.map(|since| since.plus_seconds(-USUAL_S));
        let until = plan.period.until.map(|until| until.plus_seconds(QUEUE_LIFE_S));
        let filter = Filter { period: Period { since, until }, ..Filter::default() };
        let open = carry(archive, archive.manifest.carry())?;
        let hosts = open.correlator.host_names();
        let files = files(archive, &filter);
        // Ids are what they are; addresses and logins are written in any letter case.
        let is_id = matches!(plan.target.what, What::Queue(_) | What::MessageId(_));
        let marks =
            plan.target.marks().and_then(|marks| if is_id { Marks::exact(marks) } else { Marks::in_any_case(marks) });
        let look = Look { keys: plan.target.keys(), marks };
        let found = self.pool.install(|| self.records(archive, &files, &look))?;
        let mut tracer = Tracer::new(self.classifier, found);
        let mut correlator = open.correlator;
        correlator.finish(&mut tracer);
        if is_id {
            self.pool.install(|| self.kin(archive, &files, &mut tracer.found))?;
        }
        let uses = self.pool.install(|| self.uses(archive, &files, &tracer.found))?;
        tracer.found.uses.merge(uses);
        let noted = Noted { zone_name: &plan.zone_name, privacy: plan.privacy };
        let summary = Summary { mail: MailTally::default(), ..read_notes(archive, &filter, &noted)? };
        let mut facts = self.facts();
        facts.searched = format!("the archive in {}", plan_state(archive));
        facts.files = vec![plan_state(archive)];
        facts.hosts = hosts;
        facts.sources.clone_from(&archive.manifest.sources);
        facts.span = summary.span();

        coverage(plan, &summary, &mut facts.unseen);
        if let Some(from) = archive.manifest.kept_from {
            let day = Timestamp::from_seconds(from * SECONDS_PER_DAY);
            facts.unseen.push(format!("The archive does not keep what is older than {day} (--keep, --max-size)."));
        }
        let inputs = if plan.out.is_none() {
            Vec::new()
        } else {
            self.pool.install(|| files.par_iter().map(|file| input_of_archive(archive, file)).collect())
        };
        let mut read = Read { found: tracer.found, facts, problems: Vec::new(), warnings: Vec::new(), inputs };
        read.narrow(plan.host.as_ref());
        Ok(read)
    }

    /// What the records of some files hold of the story.
    fn records(&self, archive: &Archive, files: &[&FileEntry], look: &Look) -> Result<Found<'a>> {
        let parts = self.each(archive, files, look, |found| Tracer::new(self.classifier, found));
        let mut found = self.found();
        for part in parts {
            found.merge(part?.found);
        }
        Ok(found)
    }

    /// Gives the records that are looked for to a tracer for each file.
    fn each(
        &self,
        archive: &Archive,
        files: &[&FileEntry],
        look: &Look,
        tracer: impl Fn(Found<'a>) -> Tracer<'a> + Sync,
    ) -> Vec<Result<Tracer<'a>>> {
        files
            .par_iter()
            .map(|file| {
                self.memory.check()?;
                let path = archive.path(file);
                let mut tracer = tracer(self.found());
                let mut take = |record| match record {
                    Record::Message(message) => tracer.message(message),
                    Record::Rejection(rejection) => tracer.rejection(rejection),
                    Record::AuthFailure(failure) => tracer.auth_failure(failure),
                };
                let read = match &look.marks {
                    Some(marks) => {
                        record::read_where(&path, look.keys.as_deref(), |bytes| marks.first_in(bytes), &mut take)
                    }
                    None => record::read(&path, &mut take),
                };
                read.map_err(|error| archive.damaged(&path, &error)).map(|()| tracer)
            })
            .collect()
    }

    /// Adds the other entries of a mail: those that its records name, and those that name one of these.
    fn kin(&self, archive: &Archive, files: &[&FileEntry], found: &mut Found<'a>) -> Result<()> {
        let mut looked_for: BTreeSet<QueueId> = match &self.plan.target.what {
            What::Queue(id) => BTreeSet::from([*id]),
            _ => BTreeSet::new(),
        };
        for _ in 0..PASSES {
            let messages = || found.messages.iter().map(|sent| &sent.message);
            let named =
                messages().flat_map(|message| [Some(message.queue_id), message.hop_of, message.parent_queue_id]);
            let new: BTreeSet<QueueId> = named.flatten().filter(|id| !looked_for.contains(id)).collect();
            let days = messages().map(|message| message.first_seen.day());
            let (Some(first), Some(last)) = (days.clone().min(), days.max()) else { return Ok(()) };
            let Some(marks) = Marks::exact(new.iter().map(|id| id.as_bytes().to_vec())).filter(|_| !new.is_empty())
            else {
                return Ok(());
            };
            let keys = new.iter().map(|id| Key::id(id.as_bytes())).collect();
            let look = Look { keys: Some(keys), marks: Some(marks) };
            let known: BTreeSet<_> = messages().map(|message| (message.host, message.place)).collect();
            let near: Vec<&FileEntry> = files
                .iter()
                .copied()
                .filter(|file| (first - REACH_DAYS..=last + REACH_DAYS).contains(&file.day))
                .collect();
            let kin = |found| Tracer { takes_kin: true, ..Tracer::new(self.classifier, found) };
            for part in self.each(archive, &near, &look, kin) {
                found.messages.extend(part?.found.messages.into_iter().filter(|sent| {
                    let message = &sent.message;
                    let ids = [Some(message.queue_id), message.hop_of, message.parent_queue_id];
                    let is_kin = ids.into_iter().flatten().any(|id| new.contains(&id));
                    is_kin && !known.contains(&(message.host, message.place))
                }));
            }
            looked_for.extend(new);
            found.settle_kin();
        }
        Ok(())
    }

    /// Who else used the addresses of what was found, and wrote to the same recipients.
    fn uses(&self, archive: &Archive, files: &[&FileEntry], found: &Found<'a>) -> Result<Uses> {
        let mut uses = Uses::default();
        let role = found.main_role();
        // Of a recipient's story they say nothing.
        if role.is_empty() || role == Roles::RECIPIENT || role == Roles::RELATED {
            return Ok(uses);
        }
        let messages = || found.messages.iter().filter(|sent| sent.is_own(role)).map(|sent| &sent.message);
        let clients = messages().filter_map(|message| message.origin.client.as_ref());
        let failures = found.failures.iter().map(|failed| &failed.failure.client);
        let refused = found.rejections.iter().map(|one| &one.rejection.client);
        let ips = clients.chain(failures).chain(refused).filter_map(|client| address::ip(&client.ip));
        // Colleagues may be at other addresses of the same network.
        let networks: HashSet<IpAddr> = ips.map(address::network).collect();
        // Whom a single message went to says nothing of who else wrote there.
        let takes_recipients = role == Roles::IDENTITY || role == Roles::CLIENT;
        let recipients: Wanted = messages().filter(|_| takes_recipients).flat_map(|one| &one.recipients).collect();
        let keys: Vec<Key> = networks.iter().map(|network| Key::network(*network)).collect();
        // Who stands behind those who shared an address may be anywhere.
        let takes_all = self.plan.hops > 1;
        let is_wanted = |ip: IpAddr| takes_all || networks.contains(&address::network(ip));
        let of_file = |file: &&FileEntry| {
            self.memory.check()?;
            let path = archive.path(file);
            let kept = match Index::open(&path) {
                Ok(Some(index)) => kept_uses(&index, &keys, takes_all, is_wanted, &recipients),
                Ok(None) => counted_uses(&path).map(|uses| uses.only(is_wanted, &recipients)),
                Err(error) => Err(error),
            };
            kept.map_err(|error| archive.damaged(&path, &error))
        };
        for part in files.par_iter().map(of_file).collect::<Vec<Result<Uses>>>() {
            uses.merge(part?);
        }
        Ok(uses)
    }
}

/// What the index of a file has of some addresses and recipients.
fn kept_uses(
    index: &Index,
    networks: &[Key],
    takes_all: bool,
    is_wanted: impl Fn(IpAddr) -> bool,
    recipients: &Wanted,
) -> io::Result<Uses> {
    let mut uses = Uses::default();
    if takes_all || !recipients.is_empty() || index.may_hold(networks) {
        let clients = index.clients()?;
        uses.add_clients(&clients, is_wanted);
        if !recipients.is_empty() {
            uses.add_writers(&clients, &index.writers()?, recipients);
        }
    }
    Ok(uses)
}

/// The same out of all records of a file that has no index.
fn counted_uses(path: &Path) -> io::Result<Uses> {
    let mut uses = Uses::default();
    record::read(path, |record| match record {
        Record::Message(message) => uses.message(&message),
        Record::Rejection(_) => {}
        Record::AuthFailure(failure) => uses.tried(&failure),
    })?;
    Ok(uses)
}

fn plan_state(archive: &Archive) -> String {
    printable(archive.directory().display().to_string().as_bytes()).into_owned()
}

/// Takes out the inputs that surely hold nothing of the time that is looked at, each with why.
fn outside(selection: &mut Selection, period: Period) -> Vec<(Ordered, String)> {
    let Period { since, until } = period;
    let ends = ends(&selection.inputs);
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for (input, end) in std::mem::take(&mut selection.inputs).into_iter().zip(ends) {
        let is_before =
            since.zip(end).is_some_and(|(since, end)| since.seconds_since(end) > QUEUE_LIFE_S + ROTATION_SEAM_S);
        let is_behind = until.zip(input.first).is_some_and(|(until, first)| first.seconds_since(until) > QUEUE_LIFE_S);
        let why = match (is_before, is_behind) {
            (true, _) => Some(format!("it ends by {}", end.map(|at| at.to_string()).unwrap_or_default())),
            (_, true) => Some(format!("it begins at {}", input.first.map(|at| at.to_string()).unwrap_or_default())),
            _ => None,
        };
        match why {
            Some(why) => skipped.push((input, why)),
            None => kept.push(input),
        }
    }
    selection.inputs = kept;
    skipped
}

/// `3 files: mail.log, mail.log.1, ... (5603 lines)`.
fn searched(sources: &[String], lines: u64) -> String {
    let names: Vec<_> = sources.iter().take(NAMED).map(|name| printable(name.as_bytes())).collect();
    let more = if sources.len() > NAMED { ", ..." } else { "" };
    let files = if sources.len() == 1 { "1 file".to_string() } else { format!("{} files", sources.len()) };
    format!("{lines} lines in {files} ({}{more})", names.join(", "))
}

fn zone_note(zone: &str) -> String {
    let zone = if zone.is_empty() { "this machine's zone" } else { zone };
    format!("Stamps without a zone are read as {zone} (--timezone).")
}

fn names(inputs: &[Ordered]) -> Vec<String> {
    inputs.iter().map(|input| input.source.name.clone()).collect()
}

/// Settings of the mail servers that wrote what was found, with which their logs would say more.
fn hints(front: &Front, found: &Found<'_>) -> Vec<String> {
    let mtas: BTreeSet<Mta> = found.mtas().collect();
    let is_of_these = |hint: &&&str| mtas.iter().any(|mta| hint.to_ascii_lowercase().starts_with(mta.word()));
    front.hints.advice().iter().filter(is_of_these).map(|hint| format!("Not logged. {hint}")).collect()
}

/// What else the login or local user that handed a message in did, in the files that hold it.
fn around(found: &Found<'_>, inputs: &[Ordered]) -> Option<String> {
    let message = &found.messages.iter().find(|sent| sent.roles.has(Roles::MESSAGE))?.message;
    let (login, user) = match message.identity.kind {
        IdentityKind::Sasl => (message.origin.sasl_username.as_deref(), None),
        IdentityKind::Uid => (None, message.origin.local_user.as_deref()),
        _ => return None,
    };
    let around = surroundings(inputs, login, user);
    let ips =
        if around.ips.is_empty() { String::new() } else { format!(" from {}", times(around.ips.len() as u64, "IP")) };
    Some(format!(
        "{} {} handed in {}{ips} in the same files, {} to {}; `mailsleuth trace {}:{}` tells of them",
        message.identity.kind.word(),
        printable(&message.identity.name),
        times(around.messages, "message"),
        around.first?,
        around.last?,
        message.identity.kind.word(),
        quoted(&printable(&message.identity.name)),
    ))
}

/// Days that are looked at and not covered, and silence between files.
fn coverage(plan: &SearchPlan, summary: &Summary, unseen: &mut Vec<String>) {
    if summary.has_zoneless {
        unseen.push(zone_note(&summary.zone));
    }
    uncovered(plan.period, summary.span(), unseen);
    unseen.extend(summary.gaps().iter().map(|gap| format!("A gap: {}", gap.text())));
    for problem in &summary.problems {
        unseen.push(format!("Damaged or not read: {}: {}.", printable(problem.source.as_bytes()), problem.what));
    }
    if summary.mail.orphans > 0 {
        unseen.push(format!(
            "{} messages in these logs have no line that tells where they came from: they began before the first line, or in a file that is missing.",
            summary.mail.orphans
        ));
    }
}

/// Days that are looked at and not covered by what was read.
fn uncovered(period: Period, span: Option<(Timestamp, Timestamp)>, unseen: &mut Vec<String>) {
    if let (Some(since), Some((first, _))) = (period.since, span)
        && first.seconds_since(since) > SECONDS_PER_DAY
    {
        unseen.push(format!("What was before {first}: no file that was read covers it."));
    }
    if let (Some(until), Some((_, last))) = (period.until, span)
        && until.seconds_since(last) > SECONDS_PER_DAY
    {
        unseen.push(format!("What was after {last}: no file that was read covers it."));
    }
}

/// What else the story itself cannot say.
fn limits(story: &Story<'_, '_>) -> Vec<String> {
    let mut unseen = Vec::new();
    let orphans = story.messages.iter().filter(|sent| sent.message.is_orphan).count();
    if orphans > 0 {
        unseen.push(format!("{orphans} of its messages have no line that tells where they came from."));
    }
    if story.all.messages > 0 && story.all.subjects.is_empty() {
        unseen.push("No subject is logged (Postfix: a header check with WARN; Exim: log_selector = +subject).".into());
    }
    if let Some(ip) = story.reach().ips.keys().find(|ip| story.facts.is_sifted && !address::is_own_network(**ip)) {
        unseen.push(format!(
            "Who else used {ip}: only lines of the message were looked at; `mailsleuth trace {ip}` tells."
        ));
    }
    if story.who.as_ref().is_some_and(|who| who.0 == IdentityKind::Sasl) {
        unseen.push("Logins that handed nothing in: mail servers log a login with its first message only.".into());
    }
    if story.found.beyond > 0 {
        unseen.push(format!(
            "{} more that have to do with it: too many to keep; narrow it with --since and --until.",
            story.found.beyond
        ));
    }
    if story.found.uses.is_cut {
        unseen.push("Some of who else used its addresses: there are too many pairs to count them all.".into());
    }
    unseen
}

fn input_of_archive(archive: &Archive, file: &FileEntry) -> Input {
    let path = archive.path(file);
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let hash = hashed(&path, u64::MAX).ok();
    let day = Timestamp::from_seconds(file.day.saturating_mul(SECONDS_PER_DAY)).to_string();
    Input {
        source: file.path.clone(),
        path: Some(absolute.display().to_string()),
        bytes: hash.as_ref().map(|(_, bytes)| *bytes),
        sha256: hash.map(|(sha256, _)| sha256),
        lines: None,
        first: Some(day),
        last: None,
        skipped: None,
    }
}

/// Takes what belongs to the story out of what the correlator gives.
struct Tracer<'c> {
    judge: Judge<'c>,
    found: Found<'c>,
    hosts: Vec<Octets>,
    /// Takes whatever has no part in the story itself as a relative of it.
    takes_kin: bool,
}

impl<'c> Tracer<'c> {
    fn new(classifier: &'c Classifier, found: Found<'c>) -> Self {
        Self { judge: Judge::new(classifier, false, None), found, hosts: Vec::new(), takes_kin: false }
    }

    fn take(&mut self, given: Vec<Given>) {
        for one in given {
            match one {
                Given::Host(name) => self.hosts.push(name),
                Given::Message(message) => self.message(message),
                Given::Rejection(rejection) => self.rejection(rejection),
                Given::AuthFailure(failure) => self.auth_failure(failure),
                Given::Probe(..) | Given::Aborted(..) => {}
            }
        }
    }
}

impl Sink for Tracer<'_> {
    fn message(&mut self, message: Message) {
        count(&mut self.judge.tally, &message);
        let roles = self.found.look_at(&message);
        let roles = if self.takes_kin && roles.is_empty() { Roles::RELATED } else { roles };
        if !roles.is_empty() {
            let verdicts = self.judge.verdicts(&message);
            self.found.keep(message, roles, verdicts);
        }
    }

    fn rejection(&mut self, rejection: Rejection) {
        if self.takes_kin {
            return;
        }
        let roles = self.found.look_at_rejection(&rejection);
        if !roles.is_empty() {
            let verdict = self.judge.refused(&rejection);
            self.found.keep_rejection(rejection, roles, verdict);
        }
    }

    fn auth_failure(&mut self, failure: AuthFailure) {
        if !self.takes_kin {
            self.found.auth_failure(&failure);
        }
    }

    fn probe(&mut self, _: HostId, _: QueueId) {}

    fn aborted(&mut self, _: HostId, _: QueueId) {}
}

/// All stages of a search in logs.
struct Tracing<'c> {
    front: Front,
    tracer: Tracer<'c>,
    memory: &'c MemoryLimit,
}

impl Consumer for Tracing<'_> {
    /// While these are correlated, what the batch before gave out is looked through.
    fn blocks(&mut self, blocks: Vec<ParsedBlock<'_>>) {
        let Self { front, tracer, .. } = self;
        let given = std::mem::take(&mut front.given);
        rayon::join(|| blocks.into_iter().for_each(|block| front.block(block)), || tracer.take(given));
        self.front.show_progress();
    }

    fn problem(&mut self, problem: Problem) {
        self.front.problems.push(problem);
    }

    fn is_interrupted(&self) -> bool {
        self.front.is_interrupted() || self.memory.is_exceeded()
    }
}

/// Writes, prints and sums up.
fn tell(
    plan: &SearchPlan,
    read: Read<'_>,
    aside: Option<Aside>,
    pseudonyms: Option<&Arc<Pseudonyms>>,
    memory: &MemoryLimit,
) -> Result<Outcome> {
    let Read { found, facts, problems, warnings, inputs } = read;
    let status = if problems.is_empty() { 0 } else { 3 };
    let mut story = Story::new(&found, facts);
    let limits = limits(&story);
    story.facts.unseen.extend(limits);
    memory.check()?;
    let names = pseudonyms.map(|pseudonyms| Names::of(&story, pseudonyms.hides_all()));
    let sentences =
        pseudonyms.zip(names.as_ref()).map(|(by, names)| by.sentences(&names.recipients, &names.others, &names.names));
    let hide = sentences.as_ref().map(|sentences| sentences as &dyn Hide);
    let json = json::story(&story, hide);
    let published = match aside {
        Some(aside) => write(plan, &story, inputs, &json, aside, pseudonyms)?,
        None => Vec::new(),
    };
    let mut said: Vec<String> =
        problems.iter().map(|p| format!("{}: {}", printable(p.source.as_bytes()), p.what)).collect();
    said.extend(warnings.into_iter().filter(|warning| !said.contains(warning)).collect::<Vec<_>>());
    let text = match (plan.list, plan.json, plan.quiet) {
        (Some(list), ..) => {
            let (text, words) = lists::list(&story, list);
            said.extend(words);
            match hide {
                Some(hide) => text.lines().map(|line| format!("{}\n", hide.sentence(line))).collect(),
                None => text,
            }
        }
        (None, true, _) => json,
        (None, false, true) => String::new(),
        (None, false, false) if found.is_empty() => nothing(plan, &story, hide),
        (None, false, false) => text::story(&story, &published, plan.look, hide),
    };
    Ok(Outcome { status, warnings: said, text })
}

/// That nothing was found, where it was looked for, and what may have been meant.
fn nothing(plan: &SearchPlan, story: &Story<'_, '_>, hide: Option<&dyn Hide>) -> String {
    let names: Vec<String> = story.found.uses.names().map(|(_, name)| printable(name).into_owned()).collect();
    let said = plan.target.said.rsplit(':').next().unwrap_or_default();
    let others = names.iter().map(String::as_str).filter(|name| !name.eq_ignore_ascii_case(said));
    let other_kind = || match &plan.target.what {
        What::Queue(_) if plan.target.said == said => format!("; if it is a login, say sasl:{said}"),
        What::Name(name) if name.bytes().any(|byte| byte.is_ascii_digit()) => {
            let id = QueueId::new(name.to_ascii_uppercase().as_bytes());
            id.map_or_else(|| did_you_mean(said, others), |id| format!("; a queue id is in capital letters: {id}"))
        }
        _ => did_you_mean(said, others),
    };
    let meant = if hide.is_some() { String::new() } else { other_kind() };
    text::nothing(story, &meant, plan.look, hide)
}

/// Names that sentences may hold, by which they are hidden.
struct Names {
    recipients: Vec<String>,
    others: Vec<String>,
    names: Vec<String>,
}

impl Names {
    fn of(story: &Story<'_, '_>, hides_all: bool) -> Self {
        let mut names = Self { recipients: Vec::new(), others: Vec::new(), names: Vec::new() };
        let text = |bytes: &Octets| printable(bytes).into_owned();
        for sent in &story.found.messages {
            let message = &sent.message;
            names.others.push(text(&message.identity.name));
            names.others.extend(message.origin.sasl_username.iter().chain(&message.origin.local_user).map(text));
            names.others.extend(message.sender.iter().map(text));
            names.names.extend(message.origin.directory.iter().map(text));
            for recipient in &message.recipients {
                names.recipients.extend([text(&recipient.address), text(&recipient.orig_address)]);
            }
        }
        for one in &story.found.rejections {
            names.others.extend(one.rejection.sasl_username.iter().chain(&one.rejection.sender).map(text));
            names.recipients.extend(one.rejection.recipient.iter().map(text));
        }
        for other in &story.found.other_uses {
            names.others.extend(other.sender.iter().map(text));
            names.recipients.extend(other.recipient.iter().map(text));
        }
        names.others.extend(story.found.failures.iter().filter_map(|one| one.failure.sasl_username.as_ref()).map(text));
        names.others.extend(story.found.uses.names().map(|(_, name)| text(name)));
        names.names.extend(story.facts.hosts.iter().map(text));
        names.names.extend(story.facts.sources.iter().chain(&story.facts.files).cloned());
        match &story.found.target.what {
            // A name with a dot is known by its form, and may be a domain's.
            What::Name(name) if name.contains('.') => {}
            What::Sasl(name) | What::Uid(name) | What::Name(name) if hides_all => names.others.push(name.clone()),
            What::Address(name) | What::From(name) | What::To(name) if hides_all => names.others.push(name.clone()),
            _ => {}
        }
        for list in [&mut names.recipients, &mut names.others, &mut names.names] {
            list.sort_unstable();
            list.dedup();
        }
        names
    }
}

/// Writes the exports and the manifest.
fn write(
    plan: &SearchPlan,
    story: &Story<'_, '_>,
    mut inputs: Vec<Input>,
    json: &str,
    aside: Aside,
    pseudonyms: Option<&Arc<Pseudonyms>>,
) -> Result<Vec<std::path::PathBuf>> {
    let tables = Tables::new(story, pseudonyms).map_err(|error| aside.failed("timeline", &error))?;
    let is_wanted = |format: TraceFormatArg| plan.formats.contains(&format);
    let path = |name: &str| aside.path().join(name);
    for (wanted, format) in [(TraceFormatArg::Csv, Format::Csv), (TraceFormatArg::Parquet, Format::Parquet)] {
        for table in [&tables.timeline, &tables.messages, &tables.recipients].iter().filter(|_| is_wanted(wanted)) {
            let name = format!("{}.{}", table.name(), format.word());
            table.write(&path(&name), format).map_err(|error| aside.failed(&name, &error))?;
        }
    }
    if is_wanted(TraceFormatArg::Jsonl) {
        write_lines(&tables.timeline, &path("timeline.jsonl")).map_err(|e| aside.failed("timeline.jsonl", &e))?;
    }
    if is_wanted(TraceFormatArg::Ecs) {
        ecs::write(story, pseudonyms, &path("ecs.jsonl")).map_err(|e| aside.failed("ecs.jsonl", &e))?;
    }
    std::fs::write(path("story.json"), json).map_err(|e| aside.failed("story.json", &e))?;
    if let Some(pseudonyms) = pseudonyms.filter(|pseudonyms| pseudonyms.hides_all()) {
        for input in &mut inputs {
            (input.source, input.path) = (pseudonyms.name(&input.source), None);
        }
    }
    let mut outputs = Vec::new();
    let mut names: Vec<_> =
        our_files().into_iter().filter(|name| name != manifest::FILE && path(name).is_file()).collect();
    names.sort();
    for file in names {
        let (sha256, bytes) = hashed(&path(&file), u64::MAX).map_err(|error| aside.failed(&file, &error))?;
        outputs.push(Output { file, bytes, sha256 });
    }
    let is_open = plan.privacy == Privacy::Off;
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let manifest = Manifest {
        program: "mailsleuth".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        schema_version: SCHEMA_VERSION,
        // They name whom everything else hides.
        arguments: if is_open { arguments.collect() } else { Vec::new() },
        target: if is_open { plan.target.name() } else { String::new() },
        timezone: plan.zone_name.clone(),
        privacy: plan.privacy.word().into(),
        rules_sha256: super::rules::hash(&plan.rules)?,
        inputs,
        outputs,
    };
    std::fs::write(path(manifest::FILE), manifest.to_json()).map_err(|e| aside.failed(manifest::FILE, &e))?;
    aside.publish(&our_files())
}

/// Every file name that a run may write.
fn our_files() -> Vec<String> {
    let tables = ["timeline", "messages", "recipients"];
    let tables = tables.iter().flat_map(|table| ["csv", "parquet"].map(|end| format!("{table}.{end}")));
    tables.chain(["timeline.jsonl", "ecs.jsonl", "story.json", manifest::FILE].map(str::to_string)).collect()
}

/// Checks what a manifest says.
fn verify(path: &Path) -> Result<Outcome> {
    let wrong = |problem: String| Error::Usage(format!("{}: {problem}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("no manifest of `mailsleuth trace`: {error}")))?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let checked = check(&manifest, directory);
    let shown = |line: &str| printable(line.as_bytes()).into_owned();
    let unknown = checked.unknown.iter().map(|line| format!("cannot be checked: {}\n", shown(line)));
    let status = u8::from(!checked.wrong.is_empty());
    let text: String = if checked.wrong.is_empty() {
        let files = times(checked.files as u64, "file");
        let manifest = shown(&path.display().to_string());
        std::iter::once(format!("{files} as {manifest} says.\n")).chain(unknown).collect()
    } else {
        checked.wrong.iter().map(|line| format!("differs: {}\n", shown(line))).chain(unknown).collect()
    };
    Ok(Outcome { status, warnings: Vec::new(), text })
}
