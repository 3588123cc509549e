//! Where the time goes: each stage of a log line's way by itself, on one core, over the same text.
//!
//! `cargo bench --bench stages -- FILE...`. Files are read one after the other, each a host of its own. What is printed is
//! MB of decompressed text a second of processor time; making ready what a stage takes is not counted.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

mod clock;

use std::fs::File;
use std::time::Duration;

use jiff::tz::TimeZone;
use mailsleuth::aggregate::Profiles;
use mailsleuth::classify::{Classifier, Refusal, Scratch, Verdict};
use mailsleuth::correlate::{
    Attempt, AuthFailure, Context, Correlator, HostId, Instance, Message, Octets, Place, Rejection, Sink,
};
use mailsleuth::detect::{self, History, Settings};
use mailsleuth::framing::lines::{BLOCK_BYTES, Blocks};
use mailsleuth::framing::year::Clock;
use mailsleuth::framing::{Program, frame};
use mailsleuth::input::decompress::{BytesRead, Text};
use mailsleuth::mail::queue_id::QueueId;
use mailsleuth::mail::status::{Action, Mta};
use mailsleuth::parse::{self, Parsed};
use mailsleuth::places::Places;
use mailsleuth::report::schema::{FINDINGS, REASONS, SENDERS, Schema};
use mailsleuth::report::tables::{Format, LongTable};
use mailsleuth::report::{self, HostNames, Judged};

use clock::now;

#[derive(Clone, Copy)]
enum Stage {
    Inflate,
    Frame,
    ParsePostfix,
    ParseExim,
    Correlate,
    Classify,
    Aggregate,
    Detect,
    Report,
}

const STAGES: [&str; 9] =
    ["inflate", "frame", "parse Postfix", "parse Exim", "correlate", "classify", "aggregate", "detect", "report"];

/// Of each stage: the bytes of text that went through it, and its time.
#[derive(Default)]
struct Times([(u64, Duration); STAGES.len()]);

impl Times {
    fn take<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let before = now();
        let result = work();
        self.0[stage as usize].1 += now() - before;
        result
    }

    /// So much text goes through these stages.
    fn text(&mut self, stages: &[Stage], bytes: u64) {
        stages.iter().for_each(|stage| self.0[*stage as usize].0 += bytes);
    }
}

enum Given {
    Message(Message),
    Rejection(Rejection),
    AuthFailure(AuthFailure),
}

#[derive(Default)]
struct Taken(Vec<Given>);

impl Sink for Taken {
    fn message(&mut self, message: Message) {
        self.0.push(Given::Message(message));
    }

    fn rejection(&mut self, rejection: Rejection) {
        self.0.push(Given::Rejection(rejection));
    }

    fn auth_failure(&mut self, failure: AuthFailure) {
        self.0.push(Given::AuthFailure(failure));
    }

    fn probe(&mut self, _: HostId, _: QueueId) {}

    fn aborted(&mut self, _: HostId, _: QueueId) {}
}

/// The stages behind the correlator.
struct Judge<'c> {
    classifier: &'c Classifier,
    scratch: Scratch<'c>,
    profiles: Profiles,
}

impl<'c> Judge<'c> {
    fn verdicts(&mut self, given: &[Given]) -> Vec<Vec<Option<Verdict<'c>>>> {
        let Self { classifier, scratch, .. } = self;
        let mut told = |mta: Mta, attempt: &Attempt| {
            let is_permanent = match attempt.action {
                Action::Deferred => false,
                Action::Bounced | Action::Expired => true,
                _ => return None,
            };
            let refusal = Refusal {
                enhanced_code: attempt.enhanced_code,
                relay_host: &attempt.relay_host,
                ..Refusal::told(mta, &attempt.service, is_permanent, &attempt.response)
            };
            Some(classifier.classify(scratch, &refusal))
        };
        let messages = given.iter().map(|one| match one {
            Given::Message(message) => message.attempts.iter().map(|attempt| told(message.mta, attempt)).collect(),
            Given::Rejection(_) | Given::AuthFailure(_) => Vec::new(),
        });
        let mut verdicts: Vec<Vec<_>> = messages.collect();
        for (one, verdicts) in given.iter().zip(&mut verdicts) {
            let Given::Rejection(one) = one else { continue };
            let refusal = Refusal {
                stage: Some(one.stage),
                smtp_code: one.smtp_code,
                enhanced_code: one.enhanced_code,
                ..Refusal::said(one.mta, &one.service, one.action != Action::Tempfailed, &one.response)
            };
            verdicts.push(Some(classifier.classify(scratch, &refusal)));
        }
        verdicts
    }

    fn aggregate(&mut self, given: &[Given], verdicts: &[Vec<Option<Verdict<'_>>>]) {
        for (one, verdicts) in given.iter().zip(verdicts) {
            match one {
                Given::Message(message) => self.profiles.add_message(message, verdicts),
                Given::Rejection(rejection) => {
                    self.profiles.add_rejection(rejection, verdicts.first().and_then(Option::as_ref));
                }
                Given::AuthFailure(failure) => self.profiles.add_auth_failure(failure),
            }
        }
    }

    fn take(&mut self, times: &mut Times, given: &[Given]) {
        let verdicts = times.take(Stage::Classify, || self.verdicts(given));
        times.take(Stage::Aggregate, || self.aggregate(given, &verdicts));
    }
}

/// One file through all stages up to the profiles; its text's bytes.
fn read(path: &str, host: HostId, correlator: &mut Correlator, judge: &mut Judge<'_>, times: &mut Times) -> u64 {
    let text = Text::open(File::open(path).unwrap(), BytesRead::default()).unwrap();
    let mut blocks = Blocks::new(text, BLOCK_BYTES);
    let mut clock = Clock::new(TimeZone::UTC, None, jiff::Timestamp::now().as_second());
    let (mut all, mut line) = (0, 0);
    while let Some(block) = times.take(Stage::Inflate, || blocks.next_block()) {
        let block = block.unwrap();
        let bytes = block.bytes.len() as u64;
        all += bytes;
        let framed: Vec<_> = times.take(Stage::Frame, || block.lines().filter_map(|line| frame(line.bytes)).collect());
        let is_exim = framed.iter().any(|raw| raw.program == Program::Exim);
        let stage = if is_exim { Stage::ParseExim } else { Stage::ParsePostfix };
        let entries: Vec<_> = times.take(stage, || {
            let entry = |raw| match parse::line(raw) {
                Parsed::Entry(entry) => Some((*raw, entry)),
                Parsed::Ignored(_) | Parsed::Unknown => None,
            };
            framed.iter().filter_map(entry).collect()
        });
        let mut given = Taken::default();
        times.take(Stage::Correlate, || {
            for (raw, entry) in &entries {
                line += 1;
                let context = Context {
                    at: clock.moment(&raw.stamp),
                    host,
                    mta: raw.program.mta().unwrap_or(Mta::Postfix),
                    instance: Instance::NONE,
                    pid: raw.pid,
                    times: raw.times,
                    is_syslog: !raw.host.is_empty(),
                    is_of_session: true,
                    place: Place { source: host.0, line },
                };
                correlator.take(context, entry, &mut given);
            }
        });
        judge.take(times, &given.0);
        times.text(&[Stage::Inflate, Stage::Frame, stage, Stage::Correlate, Stage::Classify, Stage::Aggregate], bytes);
    }
    all
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if files.is_empty() {
        println!("give the logs to measure with: cargo bench --bench stages -- FILE...");
        return;
    }
    let classifier = Classifier::built_in().unwrap();
    let mut judge = Judge { classifier: &classifier, scratch: classifier.scratch(), profiles: Profiles::new(true) };
    let mut correlator = Correlator::new();
    let mut times = Times::default();
    let mut all = 0;
    let mut hosts = Vec::new();
    for path in &files {
        let name = Octets::from(path.as_bytes());
        let host = correlator.host(&name);
        hosts.push(name);
        all += read(path, host, &mut correlator, &mut judge, &mut times);
    }
    let mut rest = Taken::default();
    times.take(Stage::Correlate, || correlator.finish(&mut rest));
    judge.take(&mut times, &rest.0);
    let (profiles, around) = times.take(Stage::Aggregate, || judge.profiles.finish(&hosts));
    // On this thread alone, for the clock's sake.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    let settings = Settings::default();
    times.text(&[Stage::Detect, Stage::Report], all);
    let findings = times.take(Stage::Detect, || {
        one.install(|| detect::check(&profiles, &around, &History::default(), &settings, &Places::default()))
    });
    let judged: Vec<_> =
        profiles.into_iter().zip(findings).map(|(profile, findings)| Judged { findings, profile }).collect();
    let out = std::env::temp_dir().join(format!("mailsleuth-stages-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    times.take(Stage::Report, || {
        let hosts = HostNames(hosts);
        let write = |schema: &'static Schema, fill: &dyn Fn(&mut LongTable)| {
            let mut table = LongTable::create(schema, &out, &[Format::Csv, Format::Parquet]).unwrap();
            fill(&mut table);
            table.finish().unwrap();
        };
        one.install(|| {
            write(&FINDINGS, &|table| report::findings(&judged, &hosts, table));
            write(&SENDERS, &|table| report::senders(&judged, &hosts, table));
            write(&REASONS, &|table| report::reasons(&judged, &hosts, &classifier, table));
        });
    });
    std::fs::remove_dir_all(&out).unwrap();
    let total: Duration = times.0.iter().map(|(_, time)| *time).sum();
    println!("{} MB of text in {} files, {} identities, one thread", all / 1_000_000, files.len(), judged.len());
    for (name, (bytes, time)) in STAGES.iter().zip(times.0) {
        if bytes > 0 {
            let (s, share) = (time.as_secs_f64(), time.as_secs_f64() / total.as_secs_f64());
            println!("{name:<14} {:>6.0} MB/s {s:>8.2} s {:>4.0} %", bytes as f64 / 1e6 / s.max(1e-9), 100.0 * share);
        }
    }
    println!("{:<14} {:>6.0} MB/s {:>8.2} s", "all", all as f64 / 1e6 / total.as_secs_f64(), total.as_secs_f64());
}
