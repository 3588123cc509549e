//! What `map` makes of a piece of a log, for `merge`: counts that hold whatever stood before and behind it, and the lines
//! whose meaning depends on that.
//!
//! ```text
//! profiles.parquet   what each identity did: columns for people, and its exact state for `merge`
//! state.zst          what is counted beside identities
//! seam.zst           the lines that are left to be read with those of other pieces
//! manifest.json      of what, by which version and rules; written last
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::restore_with;
use crate::aggregate::Profiles;
use crate::correlate::Octets;
use crate::framing::parts::Part;
use crate::framing::{Program, RawLine};
use crate::mail::dictionary::with_dictionary;
use crate::mail::queue_id::{QueueId, take_exim_id, take_postfix_id};
use crate::mail::time::Timestamp;
use crate::tally::{LineTally, MailTally, Shapes};

/// Version of the partial's files.
pub const VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
const STATE: &str = "state.zst";
const SEAM: &str = "seam.zst";
/// Written once, read once: the smaller the better.
const ZSTD_LEVEL: i32 = 6;

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
    /// Name, size and XXH3-128 hash of each file.
    pub files: Vec<(String, u64, String)>,
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
#[derive(Debug, Serialize, Deserialize)]
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

/// Writes a partial into a directory; fills in the manifest's files.
///
/// # Errors
/// What writing gives.
pub fn write<I: Serialize>(
    directory: &Path,
    mut manifest: Manifest,
    state: &State<I>,
    seam: &Written,
) -> io::Result<()> {
    let bytes = with_dictionary(|| postcard::to_stdvec(state)).map_err(io::Error::other)?;
    fs::write(directory.join(STATE), zstd::encode_all(&*bytes, ZSTD_LEVEL)?)?;
    let seam = seam.packed()?;
    manifest.seam_lines = seam.0;
    fs::write(directory.join(SEAM), &seam.1)?;
    for name in [STATE, SEAM] {
        let bytes = fs::read(directory.join(name))?;
        let hash = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes));
        manifest.files.push((name.to_string(), bytes.len() as u64, hash));
    }
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    text.push(b'\n');
    fs::write(directory.join(MANIFEST), text)
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
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let text = fs::read(directory.join(MANIFEST))?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(VERSION.into()) {
        let version = version.map_or("unknown".to_string(), |version| version.to_string());
        return Err(invalid(format!("the partial is of version {version}, this program reads version {VERSION}")));
    }
    serde_json::from_value(value).map_err(|error| invalid(error.to_string()))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// What reading gives; `InvalidData` for a file that is not the one that was written.
pub fn read<I: serde::de::DeserializeOwned>(directory: &Path, manifest: Manifest) -> io::Result<Partial<I>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    for (name, bytes, hash) in &manifest.files {
        let found = fs::read(directory.join(name))?;
        if found.len() as u64 != *bytes || format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&found)) != *hash {
            return Err(invalid(format!("{name} is not the file that the manifest names")));
        }
    }
    let state = restore_with(&directory.join(STATE), |bytes| {
        with_dictionary(|| postcard::from_bytes(bytes)).map_err(|error| invalid(error.to_string()))
    })?;
    let seam = Written::unpacked(File::open(directory.join(SEAM))?)?;
    Ok(Partial { manifest, state, seam })
}

/// The host's time at a line is known.
pub const SETTLED: u8 = 1;
/// Nothing of an earlier session of this process is open.
pub const FRESH_SESSION: u8 = 2;
/// Nothing that this process was answered before is of use.
pub const FRESH_ANSWERS: u8 = 4;
/// It came by syslog.
pub const SYSLOG: u8 = 8;
/// What it says of a session stands in a line of its own.
pub const NO_SESSION: u8 = 16;

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
        #[serde(borrow)]
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

/// Lines written one after another, each with its place in the order of the run.
#[derive(Debug, Default)]
pub struct Written(Vec<u8>);

/// What is not text of the lines of a seam, in their order; moments and numbers as distances from the line before.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Columns {
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

impl Columns {
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
        let mut columns = Columns::default();
        let mut numbers: HashMap<QueueId, u32> = HashMap::new();
        let mut before = Line::NONE;
        for line in &lines {
            let next = u32::try_from(numbers.len() + 1).unwrap_or(u32::MAX);
            let message = line.what.queue_id().map_or(0, |id| *numbers.entry(id).or_insert(next));
            columns.push(line, &before, message);
            before = *line;
        }
        let texts: Vec<What<'_>> =
            columns.by_message().iter().filter_map(|at| lines.get(*at)).map(|l| l.what).collect();
        let bytes = postcard::to_stdvec(&(&columns, texts)).map_err(io::Error::other)?;
        Ok((lines.len() as u64, zstd::encode_all(&*bytes, ZSTD_LEVEL)?))
    }

    fn unpacked(file: impl Read) -> io::Result<Self> {
        let bytes = zstd::decode_all(file)?;
        let (columns, texts): (Columns, Vec<What<'_>>) =
            postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
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
