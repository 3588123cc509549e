//! Messages, refusals and failed logins as they lie in the archive: a file for each day and run, from which the tables are
//! made again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zstd::stream::{read::Decoder, write::Encoder};

use super::manifest::{FileEntry, Part};
use super::packer;
use crate::correlate::{AuthFailure, Message, Rejection};
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

const MAGIC: [u8; 4] = *b"MSRC";
/// Types that records hold change only with it.
const VERSION: u32 = 2;
/// Days whose files are open at one time.
const OPEN: usize = 24;
/// Bytes of a file's records from which on another file is begun: several are read at a time.
const FILE_BYTES: u64 = 32 << 20;
/// No record is longer.
const RECORD_BYTES: usize = 256 << 20;
/// Longest value that stands whole in a directory's name, and what of a longer one does: file systems allow 255 bytes.
const PARTITION_BYTES: usize = 80;
const LONG_PARTITION_BYTES: usize = 64;
/// Written once a night, read by every report.
const ZSTD_LEVEL: i32 = 1;

/// One thing that the correlator gave out.
#[derive(Debug, Clone, Deserialize)]
pub enum Record {
    Message(Message),
    Rejection(Rejection),
    AuthFailure(AuthFailure),
}

/// The same, to be written: of one form with [`Record`].
#[derive(Serialize)]
pub enum RecordRef<'a> {
    Message(&'a Message),
    Rejection(&'a Rejection),
    AuthFailure(&'a AuthFailure),
}

impl RecordRef<'_> {
    /// The moment that decides on which day it stands.
    fn at(&self) -> Timestamp {
        match self {
            Self::Message(message) => message.first_seen,
            Self::Rejection(rejection) => rejection.at,
            Self::AuthFailure(failure) => failure.at,
        }
    }
}

/// The files of one run, written aside.
pub struct Records {
    aside: PathBuf,
    generation: u64,
    open: BTreeMap<i64, OpenDay>,
    /// Files of each day that are finished.
    parts: BTreeMap<i64, u32>,
    finished: Vec<FileEntry>,
    written: u64,
    scratch: Vec<u8>,
    /// The first error; what comes later is dropped, the end reports it.
    failed: Option<io::Error>,
}

struct OpenDay {
    file: Encoder<'static, BufWriter<File>>,
    path: String,
    /// Number of the last record.
    used: u64,
    /// Of its records.
    bytes: u64,
}

impl Records {
    pub fn new(aside: &Path, generation: u64) -> Self {
        Self {
            aside: aside.to_path_buf(),
            generation,
            open: BTreeMap::new(),
            parts: BTreeMap::new(),
            finished: Vec::new(),
            written: 0,
            scratch: Vec::new(),
            failed: None,
        }
    }

    pub fn push(&mut self, record: &RecordRef<'_>) {
        if self.failed.is_none()
            && let Err(error) = self.write(record)
        {
            self.failed = Some(error);
        }
    }

    fn write(&mut self, record: &RecordRef<'_>) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        let mut bytes = postcard::to_extend(record, bytes).map_err(io::Error::other)?;
        let len = u32::try_from(bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
        if let Some(begin) = bytes.get_mut(..4) {
            begin.copy_from_slice(&len.to_le_bytes());
        }
        self.written += 1;
        let day = record.at().day();
        if !self.open.contains_key(&day) {
            let least = self.open.iter().min_by_key(|(_, open)| open.used).map(|(day, _)| *day);
            if let Some(least) = least.filter(|_| self.open.len() >= OPEN) {
                self.close(least)?;
            }
            let begun = self.begin(day)?;
            self.open.insert(day, begun);
        }
        if let Some(open) = self.open.get_mut(&day) {
            open.used = self.written;
            open.bytes += bytes.len() as u64;
            open.file.write_all(&bytes)?;
        }
        self.scratch = bytes;
        if self.open.get(&day).is_some_and(|open| open.bytes >= FILE_BYTES) {
            self.close(day)?;
        }
        Ok(())
    }

    fn begin(&mut self, day: i64) -> io::Result<OpenDay> {
        let part = self.parts.entry(day).or_default();
        let path = file_path("records", day, None, self.generation, *part, "records");
        *part += 1;
        let full = self.aside.join(&path);
        full.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = packer(BufWriter::new(File::create(full)?), ZSTD_LEVEL)?;
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        Ok(OpenDay { file, path, used: self.written, bytes: 0 })
    }

    fn close(&mut self, day: i64) -> io::Result<()> {
        let Some(open) = self.open.remove(&day) else { return Ok(()) };
        let file = open.file.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.finished.push(FileEntry {
            part: Part::Records,
            path: open.path,
            bytes: file.metadata()?.len(),
            day,
            since: None,
        });
        Ok(())
    }

    /// Ends all files; gives them.
    ///
    /// # Errors
    /// The first that any record met.
    pub fn finish(mut self) -> io::Result<Vec<FileEntry>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let days: Vec<i64> = self.open.keys().copied().collect();
        days.into_iter().try_for_each(|day| self.close(day))?;
        Ok(self.finished)
    }
}

/// A file's name in the archive: `events/date=2026-11-21/host=mx1/g000012-1.parquet`.
pub fn file_path(part: &str, day: i64, host: Option<&str>, generation: u64, number: u32, end: &str) -> String {
    let date = date_partition(day);
    let host = host.map_or(String::new(), |host| format!("/host={}", partition_value(host)));
    let number = if number > 0 { format!("-{number}") } else { String::new() };
    format!("{part}/{date}{host}/g{generation:06}{number}.{end}")
}

/// The directory of a UTC day since 1970: `date=2026-11-21`.
pub fn date_partition(day: i64) -> String {
    let start = Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY)).to_string();
    format!("date={}", start.split('T').next().unwrap_or_default())
}

/// A value as it stands in a directory's name, as Hive and Spark write it: what is no letter, digit, `.`, `_` or `-` as
/// `%XX`; nothing at all is null. Of a longer one than [`PARTITION_BYTES`] the beginning stands there with a hash of all of it.
fn partition_value(value: &str) -> String {
    if value.is_empty() {
        return "__HIVE_DEFAULT_PARTITION__".into();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_long = value.len() > PARTITION_BYTES;
    let bytes = value.bytes().take(if is_long { LONG_PARTITION_BYTES } else { PARTITION_BYTES });
    let mut escaped: String =
        bytes.map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect();
    if is_long {
        escaped.push('-');
        escaped.extend(Sha256::digest(value).iter().take(16).map(|byte| format!("{byte:02x}")));
    }
    if escaped.starts_with('.') { format!("%2E{}", escaped.get(1..).unwrap_or_default()) } else { escaped }
}

/// Gives every record of a file to `take`.
///
/// # Errors
/// What reading gives; `InvalidData` for a file of another form.
pub fn read(path: &Path, mut take: impl FnMut(Record)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(256 << 10, Decoder::new(File::open(path)?)?);
    let mut begin = [0; 8];
    file.read_exact(&mut begin)?;
    if !is_begin(&begin) {
        return Err(invalid("no records of this version"));
    }
    let mut bytes = Vec::new();
    loop {
        let mut len = [0; 4];
        match file.read_exact(&mut len) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let len = u32::from_le_bytes(len) as usize;
        if len > RECORD_BYTES {
            return Err(invalid("a record of impossible length"));
        }
        bytes.resize(len, 0);
        file.read_exact(&mut bytes)?;
        take(postcard::from_bytes(&bytes).map_err(|error| invalid(&error.to_string()))?);
    }
}

/// Gives to `take` the records in whose bytes `find` finds something: texts stand in them as they are. `find` gives where
/// the first of what it looks for begins.
///
/// # Errors
/// As [`read`].
pub fn read_where(path: &Path, find: impl Fn(&[u8]) -> Option<usize>, mut take: impl FnMut(Record)) -> io::Result<()> {
    /// What is unpacked at a time.
    const PIECE_BYTES: usize = 1 << 20;
    let mut file = Decoder::new(File::open(path)?)?;
    let mut begin = [0; 8];
    file.read_exact(&mut begin)?;
    if !is_begin(&begin) {
        return Err(invalid("no records of this version"));
    }
    let mut text = Vec::with_capacity(2 * PIECE_BYTES);
    loop {
        let read = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut text)?;
        let whole = whole_records(&text)?;
        pick(text.get(..whole).unwrap_or_default(), &find, &mut take)?;
        text.drain(..whole);
        match (read < PIECE_BYTES, text.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(invalid("a record that was cut short")),
            _ => {}
        }
    }
}

/// Bytes of the records that are whole.
fn whole_records(text: &[u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some((len, after)) = text.get(at..).and_then(|rest| rest.split_first_chunk()) {
        let len = u32::from_le_bytes(*len) as usize;
        if len > RECORD_BYTES {
            return Err(invalid("a record of impossible length"));
        }
        if after.len() < len {
            break;
        }
        at += len + 4;
    }
    Ok(at)
}

/// Takes those of some whole records in which something is found.
fn pick(mut records: &[u8], find: impl Fn(&[u8]) -> Option<usize>, take: &mut impl FnMut(Record)) -> io::Result<()> {
    while let Some(mut found) = find(records) {
        while let Some((len, after)) = records.split_first_chunk() {
            let len = u32::from_le_bytes(*len) as usize;
            let (record, after) = after.split_at_checked(len).unwrap_or((after, &[]));
            records = after;
            if found < len + 4 {
                take(postcard::from_bytes(record).map_err(|error| invalid(&error.to_string()))?);
                break;
            }
            found -= len + 4;
        }
    }
    Ok(())
}

fn is_begin(bytes: &[u8]) -> bool {
    bytes.get(..4) == Some(&MAGIC) && bytes.get(4..) == Some(&VERSION.to_le_bytes())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_a_directory_of_its_own() {
        assert_eq!(partition_value("mx1.b.example"), "mx1.b.example");
        assert_eq!(partition_value(".\u{e9}"), "%2E%C3%A9");
        let long = "\u{e9}".repeat(45);
        let (one, other) = (partition_value(&format!("{long}1")), partition_value(&format!("{long}2")));
        assert_ne!(one, other);
        assert!("host=".len() + one.len() <= 255, "{one}");
        let whole = "a".repeat(PARTITION_BYTES);
        assert_eq!(partition_value(&whole), whole);
    }
}
