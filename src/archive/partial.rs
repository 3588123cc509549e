//! What `map` makes of a piece of a log, for `merge`: counts that hold whatever stood before and behind it, and the lines
//! whose meaning depends on that.
//!
//! ```text
//! inputs.zst         hosts and inputs
//! common.zst         what is counted beside identities; it goes on with the dictionary of the first state
//! state-000.zst      what each identity did, exactly; several of them where identities are parted by shard
//! seam.zst           the lines that are left to be read with those of other pieces
//! *.parquet          the same for people and other programs, as far as it is certain (`report::partial`)
//! manifest.json      of what, by which version and rules; written last
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use hashbrown::HashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use xxhash_rust::xxh3::Xxh3;

use super::columns::{self, Columns};
use crate::aggregate::Profiles;
use crate::correlate::Octets;
use crate::framing::parts::Part;
use crate::framing::{Program, RawLine};
use crate::mail::dictionary::with_dictionary;
use crate::mail::queue_id::{QueueId, take_exim_id, take_postfix_id};
use crate::mail::time::{Stamp, Timestamp};
use crate::parse::{self, Delivery, Entry, Parsed};
use crate::tally::{LineTally, MailTally, Shapes};

/// Version of the partial's files.
pub const VERSION: u32 = 4;

const MANIFEST: &str = "manifest.json";
const INPUTS: &str = "inputs.zst";
const COMMON: &str = "common.zst";
const SEAM: &str = "seam.zst";

/// What a partial is of: shown to people, and compared before anything is merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    /// That wrote it.
    pub program: String,
    /// The hash of all rules.
    pub rules: String,
    /// Zone of stamps that have none.
    pub timezone: String,
    /// The host that `--host` named.
    pub host: Option<String>,
    pub first: Option<String>,
    pub last: Option<String>,
    pub lines: u64,
    pub mail_lines: u64,
    pub inputs: Vec<InputEntry>,
    /// Identities, and lines of the seam.
    pub identities: u64,
    pub seam_lines: u64,
    /// Files that identities are parted into, by shard.
    pub shards: u32,
    /// Where it holds the identities of one shard only: which one, of how many, and a hash of what all of them are of.
    pub shard: Option<Shard>,
    pub of: Option<String>,
    /// Name, size and XXH3-128 hash of each file.
    pub files: Vec<(String, u64, String)>,
}

impl Manifest {
    /// What tells one partial from another: the hashes of its files that `merge` reads.
    pub fn identity(&self) -> Vec<String> {
        let is_read = |name: &str| Path::new(name).extension().is_some_and(|end| end == "zst");
        self.files.iter().filter(|(name, ..)| is_read(name)).map(|(.., hash)| hash.clone()).collect()
    }

    /// That of all of some partials together, or of one shard of them; the hosts' zones one behind the other.
    pub fn of_all(all: &[&Self], shard: Option<Shard>) -> Self {
        let mut hash = Xxh3::new();
        all.iter().flat_map(|one| one.identity()).for_each(|file| hash.update(file.as_bytes()));
        let zones: BTreeSet<&str> = all.iter().flat_map(|one| one.timezone.split(", ")).collect();
        let hosts: BTreeSet<&str> = all.iter().filter_map(|one| one.host.as_deref()).collect();
        let first = all.first();
        Self {
            version: VERSION,
            program: first.map_or_else(String::new, |one| one.program.clone()),
            rules: first.map_or_else(String::new, |one| one.rules.clone()),
            timezone: zones.into_iter().collect::<Vec<_>>().join(", "),
            host: hosts
                .into_iter()
                .next()
                .filter(|host| all.iter().all(|one| one.host.as_deref() == Some(host)))
                .map(str::to_string),
            first: all.iter().filter_map(|one| one.first.clone()).min(),
            last: all.iter().filter_map(|one| one.last.clone()).max(),
            lines: all.iter().map(|one| one.lines).sum(),
            mail_lines: all.iter().map(|one| one.mail_lines).sum(),
            inputs: all.iter().flat_map(|one| one.inputs.iter().cloned()).collect(),
            identities: 0,
            seam_lines: 0,
            shards: 1,
            shard,
            of: shard.map(|_| format!("{:032x}", hash.digest128())),
            files: Vec::new(),
        }
    }
}

/// One part of all identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 0.
    pub number: u32,
    pub of: u32,
}

impl Shard {
    /// What is no identity's goes with the first.
    pub const fn is_first(self) -> bool {
        self.number == 0
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputEntry {
    pub source: String,
    pub lines: u64,
    pub text_bytes: u64,
    pub first: Option<String>,
    pub last: Option<String>,
}

/// A host of a partial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostIn {
    pub name: Octets,
    /// Its lines do not name it: an input whose place names it, where there are several.
    pub own_of: Option<u32>,
    /// Input, latest moment there and number of its first line that says anything.
    pub first: Option<(u32, Timestamp, u64)>,
}

/// What is counted beside the seam. `I` is what is kept of an input.
#[derive(Debug)]
pub struct State<I> {
    pub hosts: Vec<HostIn>,
    pub inputs: Vec<I>,
    pub lines: LineTally,
    pub mail: MailTally,
    pub unclassified: Shapes,
    pub has_zoneless: bool,
    /// Source, what is wrong, and whether nothing of it could be read.
    pub problems: Vec<(String, String, bool)>,
    pub passed_over: Vec<(String, String)>,
    pub profiles: Profiles,
}

impl<I> Default for State<I> {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            inputs: Vec::new(),
            lines: LineTally::default(),
            mail: MailTally::default(),
            unclassified: Shapes::default(),
            has_zoneless: false,
            problems: Vec::new(),
            passed_over: Vec::new(),
            profiles: Profiles::default(),
        }
    }
}

/// What is counted beside identities, with all of the profiles that is none.
#[derive(Serialize, Deserialize)]
struct Common<L, M, U, P, O, A> {
    lines: L,
    mail: M,
    unclassified: U,
    has_zoneless: bool,
    problems: P,
    passed_over: O,
    around: A,
}

type CommonIn = Common<LineTally, MailTally, Shapes, Vec<(String, String, bool)>, Vec<(String, String)>, Profiles>;

fn state_file(number: usize) -> String {
    format!("state-{number:03}.zst")
}

/// Writes a partial into a directory, its identities parted into so many files; fills in the manifest's files, with the tables
/// that are there already. Takes the identities out of the state.
///
/// # Errors
/// What writing gives.
pub fn write<I: Serialize>(
    directory: &Path,
    mut manifest: Manifest,
    state: &mut State<I>,
    seam: &Written,
    tables: &[String],
) -> io::Result<()> {
    state.profiles.leave_out_implied();
    let shards = state.profiles.take_shards(manifest.shards as usize);
    let common = Common {
        lines: &state.lines,
        mail: &state.mail,
        unclassified: &state.unclassified,
        has_zoneless: state.has_zoneless,
        problems: &state.problems,
        passed_over: &state.passed_over,
        around: &state.profiles,
    };
    let mut names = vec![INPUTS.to_string(), COMMON.to_string(), SEAM.to_string()];
    let put = |name: &str, bytes: io::Result<Vec<u8>>| fs::write(directory.join(name), bytes?);
    put(INPUTS, with_dictionary(|| columns::to_bytes(&(&state.hosts, &state.inputs))))?;
    // What is common names the same things as the first shard.
    let packed = with_dictionary(|| {
        let first = shards.iter().take(1).map(columns::to_bytes).collect::<Vec<_>>();
        (first, columns::to_bytes(&common))
    });
    put(COMMON, packed.1)?;
    let others = shards.iter().skip(1).map(|shard| with_dictionary(|| columns::to_bytes(shard)));
    for (number, bytes) in packed.0.into_iter().chain(others).enumerate() {
        names.push(state_file(number));
        put(&state_file(number), bytes)?;
    }
    let (lines, packed) = seam.packed()?;
    manifest.seam_lines = lines;
    put(SEAM, Ok(packed))?;
    for name in names.iter().chain(tables) {
        let bytes = fs::read(directory.join(name))?;
        manifest.files.push((name.clone(), bytes.len() as u64, hash_of(&bytes)));
    }
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    text.push(b'\n');
    fs::write(directory.join(MANIFEST), text)
}

fn hash_of(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

/// A partial as it was read.
pub struct Partial<I> {
    pub manifest: Manifest,
    pub state: State<I>,
    pub seam: Written,
}

/// What a partial says of itself.
///
/// # Errors
/// What reading gives; `InvalidData` for what is no manifest of this version.
pub fn manifest(directory: &Path) -> io::Result<Manifest> {
    let text = fs::read(directory.join(MANIFEST))?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(VERSION.into()) {
        let version = version.map_or("unknown".to_string(), |version| version.to_string());
        return Err(invalid(format!("the partial is of version {version}, this program reads version {VERSION}")));
    }
    serde_json::from_value(value).map_err(|error| invalid(error.to_string()))
}

/// Reads what [`write`] wrote: all of it, or one shard of the identities, and with the first what is no identity's.
///
/// # Errors
/// What reading gives; `InvalidData` for a file that is not the one that was written.
pub fn read<I: DeserializeOwned>(directory: &Path, manifest: Manifest, only: Option<Shard>) -> io::Result<Partial<I>> {
    let file = |name: &str| {
        let bytes = fs::read(directory.join(name))?;
        let known = manifest.files.iter().find(|(known, ..)| known == name);
        match known.filter(|(_, len, hash)| bytes.len() as u64 == *len && hash_of(&bytes) == *hash) {
            Some(_) => Columns::unpack(&bytes),
            None => Err(invalid(format!("{name} is not the file that the manifest names"))),
        }
    };
    let (hosts, inputs) = {
        let columns = file(INPUTS)?;
        with_dictionary(|| columns.read())?
    };
    let mut state = State { hosts, inputs, ..State::default() };
    let mut seam = Written::default();
    let mut shards: Vec<Profiles> = Vec::new();
    let mut from = 0;
    if only.is_none_or(Shard::is_first) {
        let (first, common) = (file(&state_file(0))?, file(COMMON)?);
        let (first, common) = with_dictionary(|| Ok::<_, io::Error>((first.read()?, common.read::<CommonIn>()?)))?;
        shards.push(first);
        from = 1;
        let CommonIn { lines, mail, unclassified, has_zoneless, problems, passed_over, around } = common;
        state = State { lines, mail, unclassified, has_zoneless, problems, passed_over, profiles: around, ..state };
        seam = Written::unpacked(&file(SEAM)?)?;
    }
    // Files of as many shards, or of a multiple of them, need not all be read.
    let is_of = |number: u32| {
        only.is_none_or(|only| !manifest.shards.is_multiple_of(only.of) || number % only.of == only.number)
    };
    for number in (from..manifest.shards).filter(|number| is_of(*number)) {
        let columns = file(&state_file(number as usize))?;
        shards.push(with_dictionary(|| columns.read())?);
    }
    let wanted = |mut shard: Profiles| {
        shard.put_back_implied();
        let Some(only) = only else { return shard };
        shard.take_shards(only.of as usize).into_iter().nth(only.number as usize).unwrap_or_default()
    };
    state.profiles.put_pieces(shards.into_iter().map(wanted).collect());
    Ok(Partial { manifest, state, seam })
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A message of the seam: it began before the piece, or goes on behind it.
pub struct CutMessage {
    /// Number of the host in the partial.
    pub host: u32,
    pub queue_id: QueueId,
    pub first: Timestamp,
    pub last: Timestamp,
    pub lines: u64,
    /// Its first line is in the piece.
    pub has_beginning: bool,
}

/// The host's time at a line is known.
pub const SETTLED: u8 = 1;
/// Nothing of an earlier session of this process is open.
pub const FRESH_SESSION: u8 = 2;
/// It came by syslog.
pub const SYSLOG: u8 = 4;
/// What it says of a session stands in a line of its own.
pub const NO_SESSION: u8 = 8;

/// One line of the seam.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Line<'a> {
    /// Number of its input, and its number there, from 1.
    pub input: u32,
    pub line: u64,
    /// The latest moment of its input so far.
    pub key: Timestamp,
    pub at: Timestamp,
    /// The host's latest moment, this line's included.
    pub now: Timestamp,
    pub flags: u8,
    /// That Exim writes refusals twice, as it was known at this line.
    pub evidence: Option<i8>,
    /// Number of the host in this partial.
    pub host: u32,
    pub times: u32,
    pub pid: Option<u32>,
    #[serde(borrow)]
    pub what: What<'a>,
}

/// What a line of the seam is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum What<'a> {
    Postfix {
        #[serde(with = "bytes")]
        instance: &'a [u8],
        #[serde(with = "bytes")]
        service: &'a [u8],
        is_relay: bool,
        #[serde(with = "bytes")]
        body: &'a [u8],
    },
    Exim {
        #[serde(with = "bytes")]
        body: &'a [u8],
    },
    Other {
        #[serde(with = "bytes")]
        tag: &'a [u8],
        #[serde(with = "bytes")]
        body: &'a [u8],
    },
    /// An arrival names its session's client and login.
    Login {
        #[serde(with = "bytes")]
        ip: &'a [u8],
        port: Option<u16>,
        #[serde(borrow, with = "some_bytes")]
        login: Option<&'a [u8]>,
    },
    /// The host's last line, which stands before the piece, came again.
    Repeated {
        #[serde(with = "bytes")]
        host: &'a [u8],
    },
    /// A part of a line that was begun before the piece.
    Part {
        #[serde(with = "bytes")]
        host: &'a [u8],
        number: u32,
        of: u32,
        ends_line: bool,
        #[serde(with = "bytes")]
        body: &'a [u8],
    },
    /// The piece of the host's log ends here.
    End,
}

impl Line<'_> {
    /// In front of the first.
    const NONE: Self = Self {
        input: 0,
        line: 0,
        key: Timestamp(0),
        at: Timestamp(0),
        now: Timestamp(0),
        flags: 0,
        evidence: None,
        host: 0,
        times: 1,
        pid: None,
        what: What::End,
    };
}

impl<'a> What<'a> {
    pub const fn of(raw: &RawLine<'a>) -> Self {
        match raw.program {
            Program::Postfix { instance, service, is_relay } => {
                Self::Postfix { instance, service, is_relay, body: raw.body }
            }
            Program::Exim => Self::Exim { body: raw.body },
            Program::Other(tag) => Self::Other { tag, body: raw.body },
        }
    }

    pub const fn of_part(raw: &RawLine<'a>, part: Part) -> Self {
        Self::Part { host: raw.host, number: part.number, of: part.of, ends_line: part.ends_line, body: raw.body }
    }

    /// The message that the line begins with.
    fn queue_id(self) -> Option<QueueId> {
        match self {
            Self::Postfix { body, .. } => take_postfix_id(body).map(|(id, _)| id),
            Self::Exim { body } => take_exim_id(body).map(|(id, _)| id),
            _ => None,
        }
    }

    /// True for a line with which a message enters the queue.
    fn begins(self) -> bool {
        let Some((program, body)) = self.program() else { return false };
        let raw = RawLine { stamp: Stamp::NONE, host: b"", program, pid: None, body, times: 1 };
        matches!(parse::line(&raw), Parsed::Entry(Entry::Arrival(_) | Entry::Notice { .. }))
    }

    /// The body of a Postfix outcome without the times that it took, which only single events tell; `None` where the line
    /// is no such one.
    fn without_delays(self) -> Option<Vec<u8>> {
        let Self::Postfix { instance, service, is_relay, body } = self else { return None };
        let start = memchr::memmem::find(body, b", delay=")?;
        let end = start + memchr::memmem::find(body.get(start..)?, b", dsn=")?;
        let shorter = [body.get(..start)?, body.get(end..)?].concat();
        let program = Program::Postfix { instance, service, is_relay };
        let raw = RawLine { stamp: Stamp::NONE, host: b"", program, pid: None, body, times: 1 };
        let is_same = outcome(&RawLine { body: &shorter, ..raw })? == outcome(&raw)?;
        is_same.then_some(shorter)
    }

    /// The program and body of a whole line.
    pub const fn program(self) -> Option<(Program<'a>, &'a [u8])> {
        match self {
            Self::Postfix { instance, service, is_relay, body } => {
                Some((Program::Postfix { instance, service, is_relay }, body))
            }
            Self::Exim { body } => Some((Program::Exim, body)),
            Self::Other { tag, body } => Some((Program::Other(tag), body)),
            Self::Login { .. } | Self::Repeated { .. } | Self::Part { .. } | Self::End => None,
        }
    }
}

/// What a line says of an outcome, but for how long it took.
fn outcome<'a>(raw: &RawLine<'a>) -> Option<Delivery<'a>> {
    match parse::line(raw) {
        Parsed::Entry(Entry::Delivery(found)) => Some(Delivery { delay_s: None, ..found }),
        _ => None,
    }
}

/// Borrowed bytes as bytes.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<&'a [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}

/// The same where there may be none.
mod some_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Bytes<'a>(#[serde(borrow, with = "super::bytes")] &'a [u8]);

    pub fn serialize<S: Serializer>(bytes: &Option<&[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.map(Bytes).serialize(serializer)
    }

    pub fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a [u8]>, D::Error> {
        Ok(Option::<Bytes<'de>>::deserialize(deserializer)?.map(|Bytes(bytes)| bytes))
    }
}

/// Lines written one after another, each with its place in the order of the run.
#[derive(Debug, Default)]
pub struct Written(Vec<u8>);

/// What is not text of the lines of a seam, in their order; moments and numbers as distances from the line before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Numbers {
    /// Number of the message that the line is about, 0 for none.
    messages: Vec<u32>,
    inputs: Vec<u32>,
    lines: Vec<u64>,
    keys: Vec<i64>,
    ats: Vec<i64>,
    nows: Vec<i64>,
    flags: Vec<u8>,
    evidence: Vec<Option<i8>>,
    hosts: Vec<u32>,
    times: Vec<u32>,
    pids: Vec<Option<u32>>,
}

impl Numbers {
    fn push(&mut self, line: &Line<'_>, before: &Line<'_>, message: u32) {
        self.messages.push(message);
        self.inputs.push(line.input);
        self.lines.push(line.line.wrapping_sub(before.line));
        self.keys.push(line.key.0.wrapping_sub(line.at.0));
        self.ats.push(line.at.0.wrapping_sub(before.at.0));
        self.nows.push(line.now.0.wrapping_sub(line.at.0));
        self.flags.push(line.flags);
        self.evidence.push(line.evidence);
        self.hosts.push(line.host);
        self.times.push(line.times);
        self.pids.push(line.pid);
    }

    fn line<'a>(&self, number: usize, before: &Line<'_>, what: What<'a>) -> Option<Line<'a>> {
        let at = Timestamp(self.ats.get(number)?.wrapping_add(before.at.0));
        Some(Line {
            input: *self.inputs.get(number)?,
            line: self.lines.get(number)?.wrapping_add(before.line),
            key: Timestamp(self.keys.get(number)?.wrapping_add(at.0)),
            at,
            now: Timestamp(self.nows.get(number)?.wrapping_add(at.0)),
            flags: *self.flags.get(number)?,
            evidence: *self.evidence.get(number)?,
            host: *self.hosts.get(number)?,
            times: *self.times.get(number)?,
            pid: *self.pids.get(number)?,
            what,
        })
    }

    /// The numbers of the lines, those of one message together.
    fn by_message(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.messages.len()).collect();
        numbers.sort_by_key(|at| self.messages.get(*at));
        numbers
    }
}

/// Bytes in front of a line: its length and its place.
const HEAD_BYTES: usize = 12;

impl Written {
    pub fn push(&mut self, place: u64, line: &Line<'_>) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        self.0.extend_from_slice(&place.to_le_bytes());
        // Writing into memory cannot fail.
        self.0 = postcard::to_extend(line, std::mem::take(&mut self.0)).unwrap_or_default();
        let len = u32::try_from(self.0.len().saturating_sub(start + HEAD_BYTES)).unwrap_or(u32::MAX);
        if let Some(head) = self.0.get_mut(start..start + 4) {
            head.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// Takes all lines out of the other.
    pub fn take_from(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// Empties it, and keeps its memory where that is not more than `kept` bytes.
    pub fn clear(&mut self, kept: usize) {
        self.0.clear();
        self.0.shrink_to(kept);
    }

    /// How many, and the lines packed: column by column, the texts message by message.
    fn packed(&self) -> io::Result<(u64, Vec<u8>)> {
        let lines = self.in_order();
        let mut columns = Numbers::default();
        let mut numbers: HashMap<QueueId, u32> = HashMap::new();
        let mut before = Line::NONE;
        for line in &lines {
            let next = u32::try_from(numbers.len() + 1).unwrap_or(u32::MAX);
            let message = line.what.queue_id().map_or(0, |id| *numbers.entry(id).or_insert(next));
            columns.push(line, &before, message);
            before = *line;
        }
        let by_message = columns.by_message();
        let whats = || by_message.iter().filter_map(|at| lines.get(*at)).map(|line| line.what);
        let shorter: Vec<Option<Vec<u8>>> = whats().map(What::without_delays).collect();
        let text = |(what, shorter)| match (what, shorter) {
            (What::Postfix { instance, service, is_relay, .. }, Some(body)) => {
                What::Postfix { instance, service, is_relay, body }
            }
            (what, _) => what,
        };
        let texts: Vec<What<'_>> = whats().zip(shorter.iter().map(Option::as_deref)).map(text).collect();
        Ok((lines.len() as u64, columns::to_bytes(&(&columns, texts))?))
    }

    fn unpacked(packed: &Columns) -> io::Result<Self> {
        let (columns, texts): (Numbers, Vec<What<'_>>) = packed.read()?;
        let mut whats: Vec<Option<What<'_>>> = vec![None; texts.len()];
        for (at, what) in columns.by_message().iter().zip(texts) {
            if let Some(slot) = whats.get_mut(*at) {
                *slot = Some(what);
            }
        }
        let mut written = Self::default();
        let (mut before, mut place) = (Line::NONE, 0);
        for (at, what) in whats.into_iter().enumerate() {
            let line = what.and_then(|what| columns.line(at, &before, what));
            let line =
                line.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line of the seam is cut short"))?;
            place += 1;
            written.push(place, &line);
            before = line;
        }
        Ok(written)
    }

    /// The messages that its lines are about, by host and id.
    pub fn messages(&self) -> Vec<CutMessage> {
        let mut messages: BTreeMap<(u32, QueueId), CutMessage> = BTreeMap::new();
        for line in self.in_order() {
            let Some(queue_id) = line.what.queue_id() else { continue };
            let new = || CutMessage {
                host: line.host,
                queue_id,
                first: line.at,
                last: line.at,
                lines: 0,
                has_beginning: line.what.begins(),
            };
            let known = messages.entry((line.host, queue_id)).or_insert_with(new);
            known.first = known.first.min(line.at);
            known.last = known.last.max(line.at);
            known.lines += 1;
        }
        messages.into_values().collect()
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines in their order.
    pub fn in_order(&self) -> Vec<Line<'_>> {
        let mut lines: Vec<(u64, Line<'_>)> = Vec::new();
        let mut rest = &self.0[..];
        while let Some((len, after)) = rest.split_first_chunk::<4>()
            && let Some((place, after)) = after.split_first_chunk::<8>()
            && let Some((line, after)) = after.split_at_checked(u32::from_le_bytes(*len) as usize)
        {
            lines.extend(postcard::from_bytes(line).ok().map(|line| (u64::from_le_bytes(*place), line)));
            rest = after;
        }
        lines.sort_unstable_by_key(|(place, _)| *place);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
