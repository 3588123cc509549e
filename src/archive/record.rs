//! Messages, refusals and failed logins as they lie in the archive: a file for each day and run, from which the tables are
//! made again. Records are packed in blocks, and an index of these stands behind them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zstd::bulk::{Compressor, Decompressor};
use zstd::stream::read::Decoder;

use super::index::{self, Index, Key};
use super::invalid;
use super::manifest::{FileEntry, Part};
use crate::correlate::{AuthFailure, Message, Rejection};
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// How a file of version 2 begins, unpacked: it is one frame, without an index.
const WHOLE_HEAD: [u8; 8] = *b"MSRC\x02\0\0\0";
/// Days whose files are open at one time.
const OPEN: usize = 24;
/// Bytes of a file's records from which on another file is begun: several are read at a time.
const FILE_BYTES: u64 = 32 << 20;
/// No record is longer.
pub(super) const RECORD_BYTES: usize = 256 << 20;
/// Bytes of a block of records from which on another is begun: what a search unpacks at the least.
const BLOCK_BYTES: usize = 256 << 10;
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
    packer: Option<Compressor<'static>>,
    /// The first error; what comes later is dropped, the end reports it.
    failed: Option<io::Error>,
}

struct OpenDay {
    file: File,
    path: String,
    index: index::Builder,
    /// Records that are not written yet.
    block: Vec<u8>,
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
            packer: None,
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
            open.block.extend_from_slice(&bytes);
            open.index.note(record);
            if open.block.len() >= BLOCK_BYTES {
                open.write_block(packer_of(&mut self.packer)?)?;
            }
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
        let mut file = File::create(full)?;
        file.write_all(&index::head())?;
        Ok(OpenDay { file, path, index: index::Builder::default(), block: Vec::new(), used: self.written, bytes: 0 })
    }

    fn close(&mut self, day: i64) -> io::Result<()> {
        let Some(mut open) = self.open.remove(&day) else { return Ok(()) };
        open.write_block(packer_of(&mut self.packer)?)?;
        let OpenDay { mut file, index, .. } = open;
        file.write_all(&index.finish()?)?;
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

impl OpenDay {
    fn write_block(&mut self, packer: &mut Compressor<'_>) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed = packer.compress(&self.block)?;
        self.file.write_all(&packed)?;
        self.index.end_block(packed.len(), self.block.len())?;
        self.block.clear();
        Ok(())
    }
}

/// What packs blocks, each with a checksum.
fn packer_of<'p>(packer: &'p mut Option<Compressor<'static>>) -> io::Result<&'p mut Compressor<'static>> {
    let made = match packer.take() {
        Some(made) => made,
        None => {
            let mut made = Compressor::new(ZSTD_LEVEL)?;
            made.include_checksum(true)?;
            made
        }
    };
    Ok(packer.insert(made))
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
    let Some(index) = Index::open(path)? else { return read_whole(path, take) };
    index.check()?;
    let mut unpacker = Decompressor::new()?;
    for block in &index.blocks {
        let records = index.unpack(block, &mut unpacker)?;
        let mut rest = &records[..];
        while let Some((record, after)) = split_record(rest)? {
            take(understood(record)?);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(invalid("a record that was cut short"));
        }
    }
    Ok(())
}

/// The same of a file without an index.
fn read_whole(path: &Path, mut take: impl FnMut(Record)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(256 << 10, unpacked_whole(path)?);
    let mut bytes = Vec::new();
    loop {
        let mut len = [0; 4];
        match file.read_exact(&mut len) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        bytes.resize(record_len(len)?, 0);
        file.read_exact(&mut bytes)?;
        take(understood(&bytes)?);
    }
}

/// The records of a file without an index, behind its head.
fn unpacked_whole(path: &Path) -> io::Result<Decoder<'static, BufReader<File>>> {
    let mut file = Decoder::new(File::open(path)?)?;
    let mut begin = [0; 8];
    file.read_exact(&mut begin)?;
    if begin == WHOLE_HEAD { Ok(file) } else { Err(invalid("no records of this version")) }
}

/// Gives to `take` the records in whose bytes `find` finds something: texts stand in them as they are. `find` gives where
/// the first of what it looks for begins. Blocks that surely hold none of `keys` are passed over.
///
/// # Errors
/// As [`read`].
pub fn read_where(
    path: &Path,
    keys: Option<&[Key]>,
    find: impl Fn(&[u8]) -> Option<usize>,
    mut take: impl FnMut(Record),
) -> io::Result<()> {
    let Some(index) = Index::open(path)? else { return read_whole_where(path, find, take) };
    let mut unpacker = Decompressor::new()?;
    for block in index.blocks.iter().filter(|block| keys.is_none_or(|keys| block.may_hold(keys))) {
        pick(&index.unpack(block, &mut unpacker)?, &find, &mut take)?;
    }
    Ok(())
}

/// The same of a file without an index.
fn read_whole_where(
    path: &Path,
    find: impl Fn(&[u8]) -> Option<usize>,
    mut take: impl FnMut(Record),
) -> io::Result<()> {
    /// What is unpacked at a time.
    const PIECE_BYTES: usize = 1 << 20;
    let mut file = unpacked_whole(path)?;
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

/// The first record of some, and what comes behind it; `None` where it is not there to its end.
fn split_record(records: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let Some((len, rest)) = records.split_first_chunk() else { return Ok(None) };
    Ok(rest.split_at_checked(record_len(*len)?))
}

fn record_len(len: [u8; 4]) -> io::Result<usize> {
    let len = u32::from_le_bytes(len) as usize;
    if len > RECORD_BYTES { Err(invalid("a record of impossible length")) } else { Ok(len) }
}

fn understood(record: &[u8]) -> io::Result<Record> {
    postcard::from_bytes(record).map_err(|error| invalid(&error.to_string()))
}

/// Bytes of the records that are whole.
fn whole_records(text: &[u8]) -> io::Result<usize> {
    let mut rest = text;
    while let Some((_, after)) = split_record(rest)? {
        rest = after;
    }
    Ok(text.len() - rest.len())
}

/// Takes those of some whole records in which something is found.
fn pick(mut records: &[u8], find: impl Fn(&[u8]) -> Option<usize>, take: &mut impl FnMut(Record)) -> io::Result<()> {
    while let Some(mut found) = find(records) {
        while let Some((record, after)) = split_record(records)? {
            records = after;
            if found < record.len() + 4 {
                take(understood(record)?);
                break;
            }
            found -= record.len() + 4;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::uses::Uses;
    use crate::correlate::{ClientFacts, HostId, Octets};
    use crate::mail::address;

    fn failure(number: i64) -> AuthFailure {
        let ip = format!("192.0.{}.{}", number / 200 % 200, number % 200);
        AuthFailure {
            at: Timestamp::from_seconds(number),
            mta: crate::mail::status::Mta::Postfix,
            host: HostId(0),
            client: ClientFacts { ip: ip.as_bytes().into(), ..ClientFacts::default() },
            sasl_username: Some(format!("user{number}@b.example").as_bytes().into()),
            is_permanent: true,
            service: Octets::default(),
            smtp_code: None,
            response: b"authentication failed: wrong, as it was the time before".as_slice().into(),
            place: crate::correlate::Place { source: 0, line: number.unsigned_abs() },
            times: 1,
        }
    }

    /// A file of some thousand records, and the same as an archive of version 3 has it.
    fn files(directory: &Path) -> [PathBuf; 2] {
        const RECORDS: i64 = 8_000;
        let mut records = Records::new(directory, 1);
        let mut whole = super::super::packer(Vec::new(), ZSTD_LEVEL).unwrap();
        whole.write_all(&WHOLE_HEAD).unwrap();
        for number in 0..RECORDS {
            let failure = failure(number);
            records.push(&RecordRef::AuthFailure(&failure));
            let bytes = postcard::to_stdvec(&RecordRef::AuthFailure(&failure)).unwrap();
            whole.write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes()).unwrap();
            whole.write_all(&bytes).unwrap();
        }
        let entries = records.finish().unwrap();
        let before = directory.join("before.records");
        fs::write(&before, whole.finish().unwrap()).unwrap();
        assert_eq!(entries.len(), 1);
        [directory.join(&entries[0].path), before]
    }

    fn lines(read: impl FnOnce(&mut dyn FnMut(Record)) -> io::Result<()>) -> Vec<u64> {
        let mut lines = Vec::new();
        read(&mut |record| match record {
            Record::AuthFailure(failure) => lines.push(failure.place.line),
            other => panic!("{other:?}"),
        })
        .unwrap();
        lines
    }

    #[test]
    fn records_are_found_by_the_index_and_without_one() {
        let place = std::env::temp_dir().join(format!("mailsleuth-records-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let paths = files(&place);
        let index = Index::open(&paths[0]).unwrap().unwrap();
        assert!(index.blocks.len() > 2 && Index::open(&paths[1]).unwrap().is_none());
        for path in &paths {
            assert_eq!(lines(|take| read(path, take)), (0..8_000).collect::<Vec<_>>());
            for number in [0_u64, 1, 3_999, 7_999] {
                let login = format!("user{number}@b.example");
                let find = |bytes: &[u8]| bytes.windows(login.len()).position(|window| window == login.as_bytes());
                let keys = [Key::name(login.to_uppercase().as_bytes())];
                assert_eq!(lines(|take| read_where(path, Some(&keys), find, take)), [number]);
            }
        }
        let holding = |key: Key| index.blocks.iter().filter(|block| block.may_hold(&[key])).count();
        assert_eq!(holding(Key::name(b"b.example")), index.blocks.len());
        let strangers =
            (0..1_000).map(|n| holding(Key::name(format!("nobody{n}@b.example").as_bytes()))).sum::<usize>();
        assert!(strangers < 40 * index.blocks.len(), "{strangers} of {} seem to be there", 1_000 * index.blocks.len());
        let known = address::ip(b"192.0.3.7").unwrap();
        assert!(holding(Key::ip(known)) > 0 && holding(Key::network(known)) > 0);
        let mut uses = Uses::default();
        uses.add_clients(&index.clients().unwrap(), |ip| ip == known);
        let tried: Vec<_> = uses.tried_from(known).map(|(login, tries)| (login.to_vec(), tries.failures)).collect();
        assert_eq!(tried, [(b"user607@b.example".to_vec(), 1)]);
        // What was cut off at the end of a block is missed.
        let whole = fs::read(&paths[0]).unwrap();
        for at in [whole.len() - 1, whole.len() / 2, 20] {
            fs::write(&paths[0], &whole[..at]).unwrap();
            assert!(read(&paths[0], |_| {}).is_err(), "cut at {at} of {}", whole.len());
        }
        fs::remove_dir_all(&place).unwrap();
    }

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
