//! From the files that were found to the order they are read in: each looked at by its first lines, duplicates and
//! files of other things put aside, the year's reference found.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::framing::lines::{BLOCK_BYTES, Blocks};
use crate::framing::year::{Clock, Pass, YearSource, year_before};
use crate::framing::{MAX_LINE_BYTES, Program, Unwrapped, frame, unwrapped};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::input::portion::Reading;
use crate::input::source::{Found, Source};
use crate::mail::time::{SECONDS_PER_DAY, Stamp, Timestamp, days_from_civil};

/// How much of a file is looked at before it is read.
const HEAD_BYTES: u64 = 64 << 10;

/// How far a clock is set back between two files of a rotation set at the most: summer time, or a hardware clock that runs
/// in local time.
pub const ROTATION_SEAM_S: i64 = 12 * 3_600;

/// How much of the heads is kept to compare them.
const COMPARED_BYTES: usize = 4 << 10;

/// An input in its place, ready to be read.
pub struct Ordered {
    pub source: Source,
    /// Year of the first stamp, where it has none itself: the user's, or found by looking at the file.
    pub year: Option<i16>,
    pub year_source: YearSource,
    /// The moment the file is dated with, seconds.
    pub reference: i64,
    /// Which host a line without one belongs to; empty for the only one there is.
    pub host: String,
    /// The moment of the first line with a stamp; `None` where the beginning has none.
    pub first: Option<Timestamp>,
    /// That line, with what a file of the same log begins with too.
    pub first_line: Vec<u8>,
    /// Which files were rotated one after another: `mail.log.1` and `mail.log.2.gz` of one directory are of one set.
    pub set: usize,
    /// Its name says which log of a host it is: no log of another name goes on where it ends.
    pub is_known_log: bool,
    /// The log that it is a piece of: its rotation set, or for a loose file its directory.
    pub log: String,
    /// Its rotation set, by a name that stays from run to run.
    pub set_name: String,
    /// Some of its first lines name no host.
    pub has_hostless: bool,
    /// Where the log stood at the end of an earlier run.
    pub resumed: Option<Pass>,
    zone: TimeZone,
    /// A stream can be read once only: what was read to look at it is kept.
    begun: Mutex<Option<Begun>>,
}

/// An opened input, from its beginning.
pub struct Begun {
    head: Cursor<Vec<u8>>,
    text: Unwrapped<Reading>,
}

impl Begun {
    /// Bytes taken from the compressed stream and used so far.
    pub fn offset(&self) -> u64 {
        self.text.get_ref().offset()
    }
}

impl Read for Begun {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.head.read(into)? {
            0 => self.text.read(into),
            read => Ok(read),
        }
    }
}

impl Ordered {
    /// The text from its beginning.
    ///
    /// # Errors
    /// What opening or the first read gives.
    pub fn open(&self, read: &BytesRead) -> io::Result<Begun> {
        match self.begun.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(begun) => Ok(begun),
            None => Ok(Begun { head: Cursor::default(), text: unwrapped(self.source.open(read.clone())?) }),
        }
    }

    /// A clock for its stamps, from the first one on.
    pub fn clock(&self) -> Clock {
        let mut clock = Clock::new(self.zone.clone(), self.year, self.reference);
        if let Some(pass) = self.resumed {
            clock.resume(pass);
        }
        clock
    }

    /// The moment of the last line with a stamp: reads the whole text.
    fn last(&self) -> Option<Timestamp> {
        if self.source.is_stream {
            return None;
        }
        let text = unwrapped(self.source.open(BytesRead::default()).ok()?);
        let mut clock = self.clock();
        let mut blocks = Blocks::new(text, BLOCK_BYTES);
        let mut last = None;
        while let Some(Ok(block)) = blocks.next_block() {
            let mut lines = block.bytes.rsplit(|byte| *byte == b'\n');
            let end = lines.find_map(|line| frame(line.get(..MAX_LINE_BYTES).unwrap_or(line)));
            last = end.map(|raw| clock.moment(&raw.stamp)).or(last);
        }
        last
    }
}

/// All inputs in the order of their contents, and what was not taken.
pub struct Selection {
    pub inputs: Vec<Ordered>,
    pub problems: Vec<Problem>,
    pub passed_over: Vec<(String, String)>,
    /// Inputs that were asked for, readable or not.
    pub asked: usize,
    /// By directory: what the host of lines that name none is called.
    pub hosts: BTreeMap<String, String>,
}

struct Looked {
    source: Source,
    head: Vec<u8>,
    begun: Option<Begun>,
    gzip_time: Option<i64>,
    first_stamp: Option<Stamp>,
    first_line: Vec<u8>,
    has_frames: bool,
    has_hostless: bool,
}

/// Looks at every source and puts them in order.
pub fn select(found: Found, zone: &TimeZone, year: Option<i16>, now: i64, read: &BytesRead) -> Selection {
    let mut problems = found.problems;
    let mut passed_over: Vec<_> = found.passed_over.into_iter().map(|(name, why)| (name, why.to_string())).collect();
    let asked = found.sources.len() + problems.len();
    let mut looked = Vec::new();
    for source in found.sources {
        match look(source, read) {
            Ok(seen)
                if !seen.source.is_named
                    && !seen.head.is_empty()
                    && !seen.has_frames
                    && !is_named_like_a_log(&seen) =>
            {
                passed_over.push((seen.source.name, "no log in its first lines".to_string()));
            }
            Ok(seen) => looked.push(seen),
            Err(problem) => problems.push(problem),
        }
    }
    let looked = without_duplicates(looked, &mut passed_over);
    let mut hosts = found.hosts;
    let inputs = in_order(looked, &mut hosts, zone, year, now);
    Selection { inputs, problems, passed_over, asked, hosts }
}

/// True for a file whose name says that it is a mail log, whatever its first lines are.
fn is_named_like_a_log(seen: &Looked) -> bool {
    const NAMES: &[&str] = &["mail.log", "maillog", "mainlog", "main.log", "postfix", "exim"];
    NAMES.iter().any(|name| seen.source.file_name().contains(name))
}

/// Reads the head of an input. A head that is damaged is no problem yet: reading it all will tell.
fn look(source: Source, read: &BytesRead) -> Result<Looked, Problem> {
    let counter = if source.is_stream { read.clone() } else { BytesRead::default() };
    let text = source.open(counter).map_err(|error| Problem::unreadable(&source.name, &error))?;
    let gzip_time = text.gzip_time();
    let mut text = unwrapped(text);
    let mut head = Vec::new();
    // An error in the head is met again, and reported, when the file is read.
    _ = text.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
    let mut seen = Looked {
        source,
        head: Vec::new(),
        begun: None,
        gzip_time,
        first_stamp: None,
        first_line: Vec::new(),
        has_frames: false,
        has_hostless: false,
    };
    if head.get(257..262) == Some(b"ustar") {
        let what = "a tar archive, of which nothing was read; unpack it first".to_string();
        return Err(Problem { source: seen.source.name, what, is_unreadable: true });
    }
    let mut stamps: Vec<(Stamp, &[u8])> = Vec::new();
    for line in head.split(|b| *b == b'\n') {
        let Some(raw) = frame(line) else { continue };
        if stamps.len() < 3 {
            stamps.push((raw.stamp, line));
        }
        let is_native = raw.program == Program::Exim && raw.host.is_empty();
        // Many programs date their lines as Exim does.
        if is_native && matches!(crate::parse::line(&raw), crate::parse::Parsed::Unknown) {
            continue;
        }
        seen.has_hostless |= raw.host.is_empty();
        seen.has_frames = true;
    }
    if let Some((stamp, line)) = beginning(&stamps) {
        (seen.first_stamp, seen.first_line) = (Some(*stamp), line.to_vec());
    }
    if seen.source.is_stream {
        seen.begun = Some(Begun { head: Cursor::new(head), text });
    } else {
        head.truncate(COMPARED_BYTES);
        head.shrink_to_fit();
        seen.head = head;
    }
    Ok(seen)
}

/// The line that tells when a log begins: the first one, unless its stamp is far from the next two, which agree. A host
/// that boots writes its first line before it knows the time.
fn beginning<'a, 'l>(stamps: &'a [(Stamp, &'l [u8])]) -> Option<&'a (Stamp, &'l [u8])> {
    const FAR_S: i64 = 30 * SECONDS_PER_DAY;
    let apart = |a: &Stamp, b: &Stamp| {
        let seconds = |stamp: &Stamp| stamp.naive_seconds(stamp.year.or(a.year).or(b.year).unwrap_or(2000));
        let apart = (seconds(a) - seconds(b)).abs();
        let have_years = a.year.is_some() && b.year.is_some();
        // Without years the last of December is a day before the first of January.
        if have_years { apart } else { apart.min((366 * SECONDS_PER_DAY - apart).abs()) }
    };
    match stamps {
        [(first, _), (second, _), (third, _)]
            if apart(first, second) > FAR_S && apart(second, third) < SECONDS_PER_DAY =>
        {
            stamps.get(1)
        }
        _ => stamps.first(),
    }
}

/// Drops files whose text is another's, or the beginning of another's: a fresh copy beside its original. Only files that
/// begin alike are compared.
fn without_duplicates(looked: Vec<Looked>, passed_over: &mut Vec<(String, String)>) -> Vec<Looked> {
    let mut groups: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (at, file) in looked.iter().enumerate().filter(|(_, file)| !file.head.is_empty()) {
        let first_line = file.head.split(|b| *b == b'\n').next().unwrap_or_default();
        groups.entry(first_line.to_vec()).or_default().push(at);
    }
    let mut dropped = BTreeMap::new();
    for group in groups.values() {
        for (n, &a) in group.iter().enumerate() {
            for &b in group.iter().skip(n + 1) {
                if dropped.contains_key(&a) || dropped.contains_key(&b) {
                    continue;
                }
                let (Some(first), Some(second)) = (looked.get(a), looked.get(b)) else { continue };
                let shared = first.head.len().min(second.head.len());
                if first.head.get(..shared) != second.head.get(..shared) {
                    continue;
                }
                match compare(&first.source, &second.source) {
                    Some(Longer::Neither | Longer::First) => _ = dropped.insert(b, a),
                    Some(Longer::Second) => _ = dropped.insert(a, b),
                    None => {}
                }
            }
        }
    }
    for (at, of) in &dropped {
        if let (Some(file), Some(of)) = (looked.get(*at), looked.get(*of)) {
            let why = format!("its text stands in {} too", of.source.name);
            passed_over.push((file.source.name.clone(), why));
        }
    }
    looked.into_iter().enumerate().filter(|(at, _)| !dropped.contains_key(at)).map(|(_, file)| file).collect()
}

enum Longer {
    First,
    Second,
    Neither,
}

/// Which of two texts goes on where the other ends; `None` when they differ, or cannot be read to the end.
fn compare(first: &Source, second: &Source) -> Option<Longer> {
    let mut a = first.open(BytesRead::default()).ok()?;
    let mut b = second.open(BytesRead::default()).ok()?;
    let (mut piece_a, mut piece_b) = (Vec::new(), Vec::new());
    loop {
        piece_a.clear();
        piece_b.clear();
        a.by_ref().take(HEAD_BYTES).read_to_end(&mut piece_a).ok()?;
        b.by_ref().take(HEAD_BYTES).read_to_end(&mut piece_b).ok()?;
        let shared = piece_a.len().min(piece_b.len());
        if piece_a.get(..shared) != piece_b.get(..shared) {
            return None;
        }
        match piece_a.len().cmp(&piece_b.len()) {
            Ordering::Greater => return Some(Longer::First),
            Ordering::Less => return Some(Longer::Second),
            Ordering::Equal if piece_a.is_empty() => return Some(Longer::Neither),
            Ordering::Equal => {}
        }
    }
}

/// What syslog and Exim call the logs of a host that hold different lines, or some of the same.
const KNOWN_LOGS: &[&str] = &[
    "mail.log",
    "maillog",
    "mail.info",
    "mail.warn",
    "mail.err",
    "syslog",
    "messages",
    "mainlog",
    "rejectlog",
    "paniclog",
    "exim_mainlog",
    "exim_rejectlog",
    "exim_paniclog",
    "main.log",
    "reject.log",
    "panic.log",
];

type RotationSet = Vec<(Rotation, Looked, String)>;

/// Puts files in the order of their first stamps. For stamps without a year a rotation set is walked from its newest
/// file backwards: an older file begins no later than the next newer one.
fn in_order(
    looked: Vec<Looked>,
    hosts: &mut BTreeMap<String, String>,
    zone: &TimeZone,
    year: Option<i16>,
    now: i64,
) -> Vec<Ordered> {
    let places: Vec<_> = looked.iter().map(|file| (file.source.directory(), file.source.file_name())).collect();
    let homes = homes(&places);
    let is_hostless = looked.iter().map(|file| file.has_hostless && !file.source.is_stream);
    let labels = host_labels(&homes, is_hostless, hosts);
    // By directory and stem: each file with its place in the set and the host of its lines.
    let mut sets: BTreeMap<(String, String), RotationSet> = BTreeMap::new();
    for ((file, home), label) in looked.into_iter().zip(homes).zip(labels) {
        let (stem, rotation) = rotation(file.source.file_name());
        let key = (home, stem);
        sets.entry(key).or_default().push((rotation, file, label));
    }
    let lone = sets.values().filter(|set| set.len() == 1).flatten().filter_map(|(_, file, _)| file.first_stamp);
    let turn = year.and_then(|year| new_year_among(lone, year));
    let mut placed = Vec::new();
    for (set, ((directory, stem), mut files)) in sets.into_iter().enumerate() {
        let set_name = format!("{directory}/{stem}");
        let is_known_log = KNOWN_LOGS.contains(&stem.as_str());
        let log = if files.len() > 1 { format!("{directory}/{stem}") } else { directory };
        files.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.source.name.cmp(&b.1.source.name)));
        let dates: Vec<_> = files.iter().map(|(rotation, file, _)| reference(rotation, file, now)).collect();
        let firsts: Vec<_> = files.iter().map(|(_, file, _)| file.first_stamp).collect();
        let years = match year {
            Some(year) => {
                let is_after_turn =
                    |first: &Stamp| turn.is_some_and(|turn| firsts.len() == 1 && first.naive_seconds(year) < turn);
                let turned = firsts.iter().flatten().any(is_after_turn);
                years_forward(&firsts, if turned { year + 1 } else { year })
            }
            None => years_backward(&firsts, &dates),
        };
        let mut older = None;
        // The oldest first.
        for (((rotation, file, host), (reference, year_source)), start) in files.into_iter().zip(dates).zip(years).rev()
        {
            let mut clock = Clock::new(zone.clone(), start, reference);
            let first = file.first_stamp.map(|stamp| clock.moment(&stamp));
            let has_years = file.first_stamp.is_some_and(|stamp| stamp.year.is_some());
            let input = Ordered {
                source: file.source,
                year: start.or(year),
                year_source: match (has_years, year) {
                    (true, _) => YearSource::Stamps,
                    (false, Some(_)) => YearSource::Option,
                    (false, None) => year_source,
                },
                reference: if year.is_some() { i64::MAX } else { reference },
                host,
                first,
                first_line: file.first_line,
                set,
                is_known_log,
                log: log.clone(),
                set_name: set_name.clone(),
                has_hostless: file.has_hostless,
                resumed: None,
                zone: zone.clone(),
                begun: Mutex::new(file.begun),
            };
            let place = in_seam(older, first);
            older = place;
            placed.push(Placed {
                first: place.unwrap_or(Timestamp(i64::MAX)),
                last: None,
                rotation,
                name: input.source.name.clone(),
                set,
                input,
            });
        }
    }
    placed.sort_by(Placed::by_content_and_name);
    settle_ties(&mut placed, Ordered::last);
    placed.into_iter().map(|placed| placed.input).collect()
}

struct Placed<T> {
    first: Timestamp,
    /// Known only where files begin alike.
    last: Option<Timestamp>,
    rotation: Rotation,
    name: String,
    set: usize,
    input: T,
}

impl<T> Placed<T> {
    /// By the first moment; then the one that ends first; older by its name first.
    fn by_content_and_name(&self, other: &Self) -> Ordering {
        let by_content = self.first.cmp(&other.first).then_with(|| self.last.cmp(&other.last));
        let by_name = || natural(&self.name, &other.name);
        by_content.then_with(|| other.rotation.cmp(&self.rotation)).then_with(by_name)
    }
}

/// Files that begin with the same moment, cut within a second or within an hour without a line: their ends tell, where
/// their names do not.
fn settle_ties<T>(placed: &mut [Placed<T>], last: impl Fn(&T) -> Option<Timestamp>) {
    for group in placed.chunk_by_mut(|a, b| a.first == b.first) {
        let is_named = group.windows(2).all(|w| match w {
            [a, b] => a.set == b.set && a.rotation != b.rotation,
            _ => true,
        });
        if group.len() < 2 || is_named || group.iter().any(|file| file.first.0 == i64::MAX) {
            continue;
        }
        for file in group.iter_mut() {
            file.last = last(&file.input);
        }
        group.sort_by(Placed::by_content_and_name);
    }
}

/// Names in the order that people number them in: `part-9` before `part-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let runs = |name: &'_ str| -> Vec<(Option<u128>, String)> {
        name.as_bytes()
            .chunk_by(|x, y| x.is_ascii_digit() == y.is_ascii_digit())
            .map(|run| String::from_utf8_lossy(run).into_owned())
            .map(|run| (run.parse().ok(), run))
            .collect()
    };
    runs(a).cmp(&runs(b)).then_with(|| a.cmp(b))
}

/// Years of the first stamps of a rotation set, newest file first: each is the last that fits before its file's date and
/// not after the next newer file's beginning. `None` where a stamp has its own year, or there is none.
fn years_backward(firsts: &[Option<Stamp>], dates: &[(i64, YearSource)]) -> Vec<Option<i16>> {
    let mut newer = i64::MAX;
    let year_of = |(stamp, (dated, _)): (&Option<Stamp>, &(i64, YearSource))| {
        let stamp = stamp.filter(|stamp| stamp.year.is_none())?;
        let year = year_before(&stamp, newer.min(*dated));
        newer = stamp.naive_seconds(year);
        Some(year)
    };
    firsts.iter().zip(dates).map(year_of).collect()
}

/// Where files that no name puts in order begin before and after a New Year, and nowhere in the nine months that follow
/// it: the first moment before it, taken in `year`. Files that begin before that moment are of the next year.
fn new_year_among(firsts: impl Iterator<Item = Stamp>, year: i16) -> Option<i64> {
    const APART_S: i64 = 270 * SECONDS_PER_DAY;
    let mut firsts: Vec<_> = firsts.filter(|s| s.year.is_none()).map(|stamp| stamp.naive_seconds(year)).collect();
    firsts.sort_unstable();
    firsts.windows(2).find_map(|w| match w {
        [before, after] => (after - before > APART_S).then_some(*after),
        _ => None,
    })
}

/// The same where the year of the oldest file's first stamp is given.
fn years_forward(firsts: &[Option<Stamp>], year: i16) -> Vec<Option<i16>> {
    let mut year = year;
    let mut older: Option<i64> = None;
    let mut years: Vec<_> = firsts
        .iter()
        .rev()
        .map(|stamp| {
            let stamp = stamp.filter(|stamp| stamp.year.is_none())?;
            if older.is_some_and(|older| stamp.naive_seconds(year) < older - 30 * SECONDS_PER_DAY) {
                year += 1;
            }
            older = Some(stamp.naive_seconds(year));
            Some(year)
        })
        .collect();
    years.reverse();
    years
}

/// Where a file stands in its rotation set, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rotation {
    Current,
    /// `mail.log.3.gz`
    Number(u64),
    /// `mail.log-20261121.gz`: the day, later ones first.
    Date(std::cmp::Reverse<i64>),
}

/// Stem and place of a file in its rotation set, from its name.
fn rotation(name: &str) -> (String, Rotation) {
    let base = ["gz", "xz", "bz2", "zst"].iter().find_map(|end| name.strip_suffix(&format!(".{end}"))).unwrap_or(name);
    if let Some((stem, number)) = base.rsplit_once('.')
        && !stem.is_empty()
        && number.len() <= 6
        && let Ok(number) = number.parse::<u64>()
    {
        return (stem.to_string(), Rotation::Number(number));
    }
    if let Some((at, day)) = date_in(base) {
        let stem = base.get(..at).unwrap_or(base).trim_end_matches(['-', '.', '_']);
        return (stem.to_string(), Rotation::Date(std::cmp::Reverse(day)));
    }
    (base.to_string(), Rotation::Current)
}

/// A date `20261121` or `2026-11-21` in a file's name: where it stands, and its day since 1970.
fn date_in(name: &str) -> Option<(usize, i64)> {
    let bytes = name.as_bytes();
    let number =
        |digits: &[u8]| digits.iter().try_fold(0i16, |n, d| d.is_ascii_digit().then(|| n * 10 + i16::from(d - b'0')));
    (0..bytes.len()).find_map(|at| {
        if at > 0 && bytes.get(at - 1)?.is_ascii_digit() {
            return None;
        }
        let rest = bytes.get(at..)?;
        let (year, month, day, after) = match rest {
            y if y.get(4) == Some(&b'-') && y.get(7) == Some(&b'-') => {
                (y.get(..4)?, y.get(5..7)?, y.get(8..10)?, y.get(10))
            }
            y => (y.get(..4)?, y.get(4..6)?, y.get(6..8)?, y.get(8)),
        };
        let (year, month, day) = (number(year)?, u8::try_from(number(month)?).ok()?, u8::try_from(number(day)?).ok()?);
        let is_date = (1971..=9997).contains(&year) && (1..=crate::mail::time::days_in_month(month)).contains(&day);
        (is_date && !after.is_some_and(u8::is_ascii_digit)).then(|| (at, days_from_civil(year, month, day)))
    })
}

/// The moment a file is dated with: the surest of file name, gzip header and file time.
fn reference(rotation: &Rotation, file: &Looked, now: i64) -> (i64, YearSource) {
    match (rotation, file.gzip_time, file.source.modified) {
        (Rotation::Date(day), _, _) => ((day.0 + 1) * SECONDS_PER_DAY, YearSource::FileName),
        (_, Some(time), _) => (time, YearSource::GzipHeader),
        (_, None, Some(time)) if !file.source.is_stream => (time, YearSource::FileTime),
        _ => (now, YearSource::Clock),
    }
}

/// What to call the host of lines that name none, for the files of these homes; adds the homes of such lines to `known`,
/// where they are called what they are called there. Nothing when such lines come from one directory, else the part of
/// the path that tells the directories apart.
fn host_labels(
    homes: &[String],
    is_hostless: impl Iterator<Item = bool>,
    known: &mut BTreeMap<String, String>,
) -> Vec<String> {
    let hostless: BTreeSet<&str> =
        homes.iter().zip(is_hostless).filter(|(_, is_hostless)| *is_hostless).map(|(home, _)| home.as_str()).collect();
    if !hostless.iter().all(|home| known.contains_key(*home)) {
        let all: BTreeSet<&str> = hostless.iter().copied().chain(known.keys().map(String::as_str)).collect();
        let told_apart = told_apart(&all);
        let new: Vec<(String, String)> = (hostless.iter().filter(|home| !known.contains_key(**home)))
            .map(|home| {
                let label = told_apart.get(home).cloned().unwrap_or_default();
                let is_taken = known.values().any(|taken| *taken == label);
                (home.to_string(), if is_taken { home.to_string() } else { label })
            })
            .collect();
        known.extend(new);
    }
    homes.iter().map(|home| known.get(home).cloned().unwrap_or_default()).collect()
}

/// The part of each path that tells it from the others; nothing for one alone.
fn told_apart<'a>(paths: &BTreeSet<&'a str>) -> BTreeMap<&'a str, String> {
    let split: Vec<(&str, Vec<&str>)> = paths.iter().map(|path| (*path, path.split('/').collect())).collect();
    let Some((_, first)) = split.first().filter(|_| split.len() > 1) else { return BTreeMap::new() };
    let shared = |at: fn(&[&'a str], usize) -> Option<&'a str>| -> usize {
        let is_shared =
            |n: &usize| at(first, *n).is_some() && split.iter().all(|(_, other)| at(other, *n) == at(first, *n));
        (0..first.len()).take_while(is_shared).count()
    };
    let front = shared(|parts, n| parts.get(n).copied());
    let back = shared(|parts, n| parts.iter().rev().nth(n).copied());
    split
        .iter()
        .map(|(path, parts)| {
            let end = parts.len().saturating_sub(back).max(front);
            (*path, parts.get(front..end).map(|part| part.join("/")).unwrap_or_default())
        })
        .collect()
}

/// The directory of the host of each file, given as its directory and name: that of the log for a directory below it that
/// only has what was rotated out of it (logrotate(8), `olddir`).
fn homes(places: &[(&str, &str)]) -> Vec<String> {
    let mut current: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut rotated: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (directory, name) in places {
        let (stem, rotation) = rotation(name);
        match rotation {
            Rotation::Current => _ = current.insert((directory, stem)),
            _ => _ = rotated.entry(directory).or_default().insert(stem),
        }
    }
    let home = |directory: &str| {
        let parent = directory.rsplit_once('/').map(|(parent, _)| parent)?;
        let stems = rotated.get(directory)?;
        let has_current = current.iter().any(|(of, _)| *of == directory);
        let is_of_parent = stems.iter().any(|stem| current.contains(&(parent, stem.clone())));
        (!has_current && is_of_parent).then(|| parent.to_string())
    };
    places.iter().map(|(directory, _)| home(directory).unwrap_or_else(|| (*directory).to_string())).collect()
}

/// True where the files of one set follow one another and no other can stand between them: `mail.log.2` and `mail.log.1`,
/// or those of two days.
pub fn is_next(older: &Ordered, newer: &Ordered) -> bool {
    let (older_rotation, newer_rotation) = (rotation(older.source.file_name()).1, rotation(newer.source.file_name()).1);
    let is_next = match (older_rotation, newer_rotation) {
        (Rotation::Number(older), Rotation::Number(newer)) => older == newer + 1,
        (Rotation::Number(older), Rotation::Current) => older <= 1,
        (Rotation::Date(older), Rotation::Date(newer)) => older.0 + 1 == newer.0,
        _ => false,
    };
    older.set == newer.set && is_next
}

/// An input that was read before, for its place among others.
pub struct Known<'a> {
    pub name: &'a str,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// Lines of it have no host, and it lies in a directory that may stand for one.
    pub is_hostless: bool,
}

/// Where an input belongs.
pub struct Arranged {
    /// Its number among those that were given.
    pub number: usize,
    pub set: usize,
    pub log: String,
    /// The host of lines that name none.
    pub label: String,
}

/// Inputs that were read before, in the order in which they would be read.
pub fn arrange(known: &[Known<'_>]) -> Vec<Arranged> {
    let places: Vec<_> = known.iter().map(|one| one.name.rsplit_once('/').unwrap_or(("", one.name))).collect();
    let homes = homes(&places);
    let labels = host_labels(&homes, known.iter().map(|one| one.is_hostless), &mut BTreeMap::new());
    let mut sets: BTreeMap<(String, String), Vec<(Rotation, usize)>> = BTreeMap::new();
    for (number, ((_, file), home)) in places.iter().zip(homes).enumerate() {
        let (stem, rotation) = rotation(file);
        sets.entry((home, stem)).or_default().push((rotation, number));
    }
    let mut placed = Vec::new();
    for (set, ((directory, stem), mut files)) in sets.into_iter().enumerate() {
        let log = if files.len() > 1 { format!("{directory}/{stem}") } else { directory };
        let name_of = |number: usize| known.get(number).map_or("", |one| one.name);
        files.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| name_of(a.1).cmp(name_of(b.1))));
        let mut older = None;
        for (rotation, number) in files.into_iter().rev() {
            let Some(one) = known.get(number) else { continue };
            let place = in_seam(older, one.first);
            older = place;
            placed.push(Placed {
                first: place.unwrap_or(Timestamp(i64::MAX)),
                last: None,
                rotation,
                name: one.name.to_string(),
                set,
                input: Arranged {
                    number,
                    set,
                    log: log.clone(),
                    label: labels.get(number).cloned().unwrap_or_default(),
                },
            });
        }
    }
    placed.sort_by(Placed::by_content_and_name);
    settle_ties(&mut placed, |input| known.get(input.number).and_then(|one| one.last));
    placed.into_iter().map(|placed| placed.input).collect()
}

/// A clock that was set back does not undo a rotation: a file that begins a little before the older one begins with it.
fn in_seam(older: Option<Timestamp>, first: Option<Timestamp>) -> Option<Timestamp> {
    let is_seam = |older: &Timestamp| (0..ROTATION_SEAM_S).contains(&older.seconds_since(first.unwrap_or(*older)));
    older.filter(is_seam).or(first)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    fn stamp(text: &str) -> Option<Stamp> {
        Some(frame(format!("{text} 00:00:00 mx1 x[1]: y").as_bytes()).unwrap().stamp)
    }

    #[test]
    fn a_rotation_set_is_walked_over_new_year() {
        let at = |year, month, day| (days_from_civil(year, month, day) * SECONDS_PER_DAY, YearSource::FileTime);
        // Copies that lost their times: all dated with the day of the copy.
        let copied = at(2026, 3, 5);
        let firsts = [stamp("Mar  1"), stamp("Jan 20"), stamp("Dec 10"), stamp("Nov  1"), stamp("Mar 20")];
        assert_eq!(years_backward(&firsts, &[copied; 5]), [2026, 2026, 2025, 2025, 2025].map(Some));
        assert_eq!(years_forward(&firsts, 2019), [2020, 2020, 2019, 2019, 2019].map(Some));
        assert_eq!(years_backward(&[stamp("Mar  1"), None], &[at(2024, 2, 1), copied]), [Some(2023), None]);
    }

    #[test]
    fn a_first_line_without_the_time_does_not_date_a_file() {
        let begins = |texts: [&str; 3]| {
            let stamps = texts.map(|text| (stamp(text).unwrap(), text.as_bytes()));
            String::from_utf8_lossy(beginning(&stamps).unwrap().1).into_owned()
        };
        assert_eq!(begins(["Jan  1", "Nov 20", "Nov 20"]), "Nov 20");
        assert_eq!(begins(["Nov 19", "Nov 20", "Nov 20"]), "Nov 19");
        assert_eq!(begins(["Dec 31", "Jan  1", "Jan  1"]), "Dec 31");
        assert_eq!(begins(["Jan  1", "Apr  2", "Jul  3"]), "Jan  1");
    }

    #[test]
    fn a_new_year_is_seen_among_files_without_an_order() {
        let firsts = |texts: &[&str]| new_year_among(texts.iter().filter_map(|text| stamp(text)), 2026);
        let december = days_from_civil(2026, 12, 30) * SECONDS_PER_DAY;
        assert_eq!(firsts(&["Jan  2", "Dec 31", "Dec 30", "Jan  1"]), Some(december));
        assert_eq!(firsts(&["Jan  2", "Mar 31", "Oct 30", "Dec  1"]), None);
        assert_eq!(firsts(&["Dec 31"]), None);
    }

    #[test]
    fn names_are_ordered_as_people_number_them() {
        let mut names = ["part-10", "part-9", "a2b10", "a2b9", "part-009", "part"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a2b9", "a2b10", "part", "part-009", "part-9", "part-10"]);
    }

    #[test]
    fn rotation_is_read_from_the_name() {
        let day = days_from_civil(2026, 11, 21);
        for (name, stem, expected) in [
            ("mail.log", "mail.log", Rotation::Current),
            ("mail.log.1", "mail.log", Rotation::Number(1)),
            ("mail.log.12.gz", "mail.log", Rotation::Number(12)),
            ("mail.log-20261121.gz", "mail.log", Rotation::Date(Reverse(day))),
            ("maillog-2026-11-21", "maillog", Rotation::Date(Reverse(day))),
            ("mainlog.02.gz", "mainlog", Rotation::Number(2)),
            ("log-99999999", "log-99999999", Rotation::Current),
        ] {
            assert_eq!(rotation(name), (stem.to_string(), expected), "{name}");
        }
        assert!(Rotation::Current < Rotation::Number(1) && Rotation::Date(Reverse(2)) < Rotation::Date(Reverse(1)));
    }
}
