//! Which texts were read, and how far: known by what they begin with and by what stands before the place where reading
//! ended, so that a file's name, its inode and its packing do not count.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::input::decompress::BytesRead;
use crate::input::portion::{Mark, Portion, TAIL_BYTES};
use crate::input::source::{Source, Stat};

/// How much of a text's beginning is remembered.
const HEAD_BYTES: usize = 4 << 10;
/// How many runs back a text's places are kept, to be able to go back to them.
pub const RUNS_KEPT: usize = 10;
/// Files that one text was seen in, the latest.
const FILES: usize = 8;
/// Texts that are known at one time, the latest.
const TEXTS: usize = 20_000;
/// A plain file that was not written to for so long is not in the middle of a line.
const AT_REST_S: i64 = 3_600;

/// A beginning or an end, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    hash: u64,
    bytes: u32,
}

impl Print {
    fn of(text: &[u8]) -> Self {
        Self { hash: xxh3_64(text), bytes: u32::try_from(text.len()).unwrap_or(u32::MAX) }
    }

    fn begins(self, text: &[u8]) -> bool {
        text.get(..self.bytes as usize).is_some_and(|head| xxh3_64(head) == self.hash)
    }

    fn ends(self, text: &[u8]) -> bool {
        let start = text.len().checked_sub(self.bytes as usize);
        start.and_then(|start| text.get(start..)).is_some_and(|tail| xxh3_64(tail) == self.hash)
    }
}

/// How far a text was read in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub generation: u64,
    /// Bytes and lines of the decompressed text.
    pub offset: u64,
    pub lines: u64,
    tail: Print,
}

/// One text, in whatever file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownText {
    head: Print,
    /// In the order of the runs.
    reached: Vec<Reached>,
    /// Files in which there is nothing of it beyond what was read.
    files: Vec<Stat>,
    /// Files that end before that.
    #[serde(default)]
    short: Vec<Stat>,
}

impl KnownText {
    pub fn last(&self) -> Option<&Reached> {
        self.reached.last()
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Texts(Vec<KnownText>);

/// What of a file is new.
#[derive(Debug)]
pub enum New {
    Nothing { text: Option<usize> },
    Portion { text: Option<usize>, portion: Portion, lines: u64 },
}

impl Texts {
    pub fn iter(&self) -> impl Iterator<Item = &KnownText> {
        self.0.iter()
    }

    /// What of this file was not read yet. Costs time in proportion to the file only where it is packed and was not seen
    /// in this state before.
    ///
    /// # Errors
    /// What opening or reading gives.
    pub fn locate(&mut self, source: &Source, now: i64) -> io::Result<New> {
        let stat = source.stat();
        if let Some(text) = stat.and_then(|stat| self.0.iter().position(|text| text.files.contains(&stat))) {
            return Ok(New::Nothing { text: Some(text) });
        }
        if stat.is_some_and(|stat| self.0.iter().any(|text| text.short.contains(&stat))) {
            return Ok(New::Nothing { text: None });
        }
        let is_plain = source.is_plain()?;
        let mut text = source.open(BytesRead::default())?;
        let mut head = Vec::new();
        text.by_ref()
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head)
            .or_else(|e| if head.is_empty() { Err(e) } else { Ok(0) })?;
        if head.is_empty() {
            return Ok(New::Nothing { text: None });
        }
        let mut candidates: Vec<(u64, usize)> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, known)| known.head.begins(&head))
            .filter_map(|(at, known)| Some((known.last()?.offset, at)))
            .collect();
        candidates.sort_unstable();
        let (found, is_short) = if is_plain {
            let len = stat.map_or(0, |stat| stat.bytes);
            let is_here = |(offset, at): &(u64, usize)| {
                let Some(tail) = self.0.get(*at).and_then(KnownText::last).map(|last| last.tail) else { return false };
                let start = offset.saturating_sub(u64::from(tail.bytes));
                source.read_at(start, tail.bytes as usize).is_ok_and(|read| tail.ends(&read))
            };
            let found =
                candidates.iter().rev().filter(|(offset, _)| *offset <= len).find(|one| is_here(one)).map(|c| c.1);
            (found, candidates.iter().find(|(offset, _)| *offset > len).map(|c| c.1))
        } else {
            self.walk(&candidates, head, text)
        };
        let last = found.and_then(|at| self.0.get(at)?.last().copied());
        let from = last.map_or(0, |last| last.offset);
        // A copy that ends before the place that was reached holds nothing new.
        if found.is_none() && is_short.is_some() {
            if let (Some(known), Some(stat)) = (is_short.and_then(|at| self.0.get_mut(at)), stat) {
                remember(&mut known.short, stat);
            }
            return Ok(New::Nothing { text: None });
        }
        let to = if is_plain { whole_lines(source, from, stat, now)? } else { u64::MAX };
        let is_read = if is_plain { to <= from } else { self.ends_at(source, from) };
        if is_read {
            // An unfinished line may be finished.
            let is_all = !is_plain || stat.is_none_or(|stat| stat.bytes == from);
            return Ok(self.nothing(found, stat.filter(|_| is_all)));
        }
        Ok(New::Portion { text: found, portion: Portion::new(from, to), lines: last.map_or(0, |last| last.lines) })
    }

    fn nothing(&mut self, text: Option<usize>, stat: Option<Stat>) -> New {
        if let (Some(known), Some(stat)) = (text.and_then(|at| self.0.get_mut(at)), stat) {
            remember(&mut known.files, stat);
        }
        New::Nothing { text }
    }

    /// Goes through a packed text for the places that its candidates reached: the furthest that is here, and one that lies
    /// behind the text's end.
    fn walk(&self, candidates: &[(u64, usize)], head: Vec<u8>, mut text: impl Read) -> (Option<usize>, Option<usize>) {
        let (mut offset, mut tail) = (head.len() as u64, head);
        let (mut found, mut short) = (None, None);
        for (wanted, at) in candidates {
            while offset < *wanted {
                let piece = (*wanted - offset).min(256 << 10);
                let before = tail.len();
                let is_over = text.by_ref().take(piece).read_to_end(&mut tail).is_err();
                let read = tail.len() - before;
                offset += read as u64;
                if is_over || read == 0 {
                    break;
                }
                let beyond = tail.len().saturating_sub(TAIL_BYTES + HEAD_BYTES);
                tail.drain(..beyond);
            }
            if offset < *wanted {
                short = short.or(Some(*at));
                break;
            }
            // What was read beyond a place is the head of a short text only.
            let end = usize::try_from(offset - *wanted).ok().and_then(|beyond| tail.len().checked_sub(beyond));
            let here = end.and_then(|end| tail.get(..end)).unwrap_or_default();
            if self.0.get(*at).and_then(KnownText::last).is_some_and(|last| last.tail.ends(here)) {
                found = Some(*at);
            }
        }
        (found, short)
    }

    /// True where a packed text has nothing behind a place.
    fn ends_at(&self, source: &Source, from: u64) -> bool {
        let rest = source.with_portion(Portion::new(from, from.saturating_add(1)));
        from > 0
            && rest.open(BytesRead::default()).is_ok_and(|mut text| text.read(&mut [0]).is_ok_and(|read| read == 0))
    }

    /// Notes how far a text was read: `text` is its number where it was known before.
    ///
    /// # Errors
    /// What reading the file's beginning gives.
    pub fn note(
        &mut self,
        text: Option<usize>,
        source: &Source,
        mark: &Mark,
        lines: u64,
        generation: u64,
    ) -> io::Result<()> {
        let reached = Reached { generation, offset: mark.offset, lines, tail: Print::of(&mark.tail) };
        let known =
            text.and_then(|at| self.0.get(at)).filter(|known| known.last().is_some_and(|l| l.generation < generation));
        let mut known = known.cloned();
        if known.as_ref().is_none_or(|known| (known.head.bytes as usize) < HEAD_BYTES) {
            let whole = source.with_portion(Portion::new(0, mark.offset.min(HEAD_BYTES as u64)));
            let mut head = Vec::new();
            whole.open(BytesRead::default())?.read_to_end(&mut head)?;
            let new = known.take().unwrap_or_else(|| KnownText {
                head: Print::of(&head),
                reached: Vec::new(),
                files: Vec::new(),
                short: Vec::new(),
            });
            known = Some(KnownText { head: Print::of(&head), ..new });
        }
        let Some(mut known) = known else { return Ok(()) };
        known.reached.push(reached);
        let beyond = known.reached.len().saturating_sub(RUNS_KEPT + 1);
        known.reached.drain(..beyond);
        known.files.clear();
        let stat = source.stat();
        let is_all = |stat: &Stat| !source.is_plain().unwrap_or(false) || stat.bytes == mark.offset;
        known.files.extend(stat.filter(is_all));
        let is_continued =
            text.and_then(|at| self.0.get(at)).is_some_and(|old| old.last().is_some_and(|l| l.generation < generation));
        match text.filter(|_| is_continued).and_then(|at| self.0.get_mut(at)) {
            Some(old) => *old = known,
            None => self.0.push(known),
        }
        Ok(())
    }

    /// Forgets the oldest of too many texts. Call it when no numbers of texts are in use.
    pub fn tidy(&mut self) {
        let beyond = self.0.len().saturating_sub(TEXTS);
        self.0.drain(..beyond);
    }

    /// Forgets what was read after a run: as it was at its end.
    pub fn go_back_to(&mut self, generation: u64) {
        for known in &mut self.0 {
            let before = known.reached.len();
            known.reached.retain(|reached| reached.generation <= generation);
            if known.reached.len() < before {
                known.files.clear();
            }
        }
        self.0.retain(|known| !known.reached.is_empty());
    }
}

/// Notes a file, in place of an earlier state of it; the oldest of too many go.
fn remember(files: &mut Vec<Stat>, stat: Stat) {
    files.retain(|file| (file.dev, file.ino) != (stat.dev, stat.ino));
    files.push(stat);
    let beyond = files.len().saturating_sub(FILES);
    files.drain(..beyond);
}

/// The end of the last whole line of a plain file behind `from`; its very end where nobody writes to it any more.
fn whole_lines(source: &Source, from: u64, stat: Option<Stat>, now: i64) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let Some(stat) = stat else { return Ok(u64::MAX) };
    if now.saturating_sub(stat.mtime_ns.div_euclid(1_000_000_000)) > AT_REST_S {
        return Ok(stat.bytes);
    }
    let mut end = stat.bytes;
    while end > from {
        let start = end.saturating_sub(STEP).max(from);
        let piece = source.read_at(start, usize::try_from(end - start).unwrap_or(usize::MAX))?;
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}
