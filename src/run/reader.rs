//! All inputs as one sequence of blocks in the order of time, whatever the files are called and wherever the log was cut.
//!
//! Mostly one input is read after the other. Where two hold the same hours they are merged line by line, and a line that
//! both hold counts once. An input that begins where another ends continues it: at such a seam nothing is compared or
//! reordered, so that the seam cannot be told from the middle of a file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;

use hashbrown::HashMap;
use memchr::memrchr;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::sources::{Begun, Ordered, ROTATION_SEAM_S};
use crate::framing::frame;
use crate::framing::lines::{BLOCK_BYTES, Block, Blocks};
use crate::framing::year::Clock;
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// How far an input may run past the beginning of the next one and still be its predecessor: daemons and hosts write
/// their lines that much out of order.
const SEAM_S: i64 = 5;
/// From how long before another input's beginning on the lines are looked at one by one: a block's end may be earlier than
/// its middle.
const NEAR_S: i64 = 2 * 3_600;
/// A line is compared with lines of other inputs as long as its twin can still come.
const COMPARED_S: i64 = 600;
/// Lines that are remembered at the most; beyond it the oldest minute is let go.
const COMPARED_LINES: usize = 1_000_000;
/// A stamp this much later than the line before is not believed without a second.
const FAR_S: i64 = 60 * SECONDS_PER_DAY;

/// The latest moment of an input so far. One far ahead counts only when a second line agrees: an absurd stamp must not put
/// what follows it behind all that other inputs have.
#[derive(Clone)]
pub(super) struct Latest {
    pub key: Timestamp,
    /// A moment days ahead that no second line has confirmed.
    ahead: Option<Timestamp>,
}

impl Latest {
    pub const NONE: Self = Self { key: Timestamp(i64::MIN), ahead: None };

    /// Moves it on; gives it.
    pub fn saw(&mut self, moment: Timestamp) -> Timestamp {
        let is_near = |other: Timestamp| moment.seconds_since(other).abs() <= FAR_S;
        if moment <= self.key || is_near(self.key) || self.key.0 == i64::MIN || self.ahead.is_some_and(is_near) {
            self.key = self.key.max(moment);
            self.ahead = None;
        } else {
            self.ahead = Some(moment);
        }
        self.key
    }
}
/// How many lines at a seam are looked at for an overlap within one second.
const SEAM_LINES: usize = 512;
/// How many lines of a block's end are looked at for the moment it ends with.
const LOOKED_BACK: usize = 64;

/// Decides between equal moments: by the set's number, so that how often a log was cut does not show.
type Rank = (usize, usize);
const LAST: Rank = (usize::MAX, usize::MAX);

/// Where an input stands.
type Head = (Timestamp, Rank);

/// Lines that stand together in one input.
#[derive(Debug, Default)]
pub struct Piece {
    /// Number of the input.
    pub source: usize,
    pub block: Block,
    /// What was left out directly before the piece, because another input has it too.
    pub left_out: LeftOut,
    /// On the first piece of an input: the input whose log it continues.
    pub continues: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct LeftOut {
    pub lines: u64,
    pub bytes: u64,
}

/// An input that is being read.
struct Active {
    source: usize,
    blocks: Blocks<Begun>,
    clock: Clock,
    /// Lines are merged by it, so that an input's own order stays.
    latest: Latest,
    /// The moment of the last line: earlier than the latest where a clock was set back.
    last: Timestamp,
    /// The last lines, by their hashes.
    tail: VecDeque<u64>,
    rank: Rank,
    /// Lines are compared with those of other chains only: inputs that continue one another are one chain.
    chain: usize,
    loaded: Loaded,
    left_out: LeftOut,
    continues: Option<usize>,
    is_at_end: bool,
}

/// A block whose lines are taken one by one.
#[derive(Default)]
struct Loaded {
    bytes: Vec<u8>,
    lines: VecDeque<LineAt>,
    /// Where the next line begins.
    start: usize,
}

struct LineAt {
    end: usize,
    key: Timestamp,
    /// `None` for a line without a frame: it stays with the one before.
    moment: Option<Timestamp>,
    /// Hash of the host that it names, or of none.
    host: u64,
}

/// What an input that came to its end leaves to the one that continues it.
struct Ended {
    source: usize,
    set: usize,
    clock: Clock,
    key: Timestamp,
    last: Timestamp,
    rank: Rank,
    chain: usize,
    tail: Vec<u64>,
}

/// Reads all inputs.
pub struct Reader<'a> {
    inputs: &'a [Ordered],
    /// Not begun yet, in the order of their first lines.
    pending: VecDeque<usize>,
    active: Vec<Active>,
    seen: Seen,
    /// For ranks and chains.
    begun: usize,
    read: &'a BytesRead,
    /// What could not be read, or not to its end, since this was emptied.
    pub problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// `inputs` in the order of their first lines.
    pub fn new(inputs: &'a [Ordered], read: &'a BytesRead) -> Self {
        let pending = (0..inputs.len()).collect();
        Self { inputs, pending, active: Vec::new(), seen: Seen::default(), begun: 0, read, problems: Vec::new() }
    }

    /// The next pieces, some `bytes` in all; none at the end.
    pub fn batch(&mut self, bytes: usize) -> Vec<Piece> {
        let mut batch = Vec::new();
        let mut filled = 0;
        while filled < bytes && self.step(&mut batch) {
            filled = batch.iter().map(|piece| piece.block.bytes.len()).sum();
        }
        batch
    }

    /// Reads on by about a block; false at the end of all inputs.
    fn step(&mut self, batch: &mut Vec<Piece>) -> bool {
        if self.active.is_empty() && !self.begin_next(None) {
            return false;
        }
        let next_first = self.pending.iter().filter_map(|next| self.inputs.get(*next)?.first).min();
        self.forget(next_first);
        if self.load(next_first, batch) {
            return true;
        }
        let bound = self.next_begin();
        // Lines from this moment on may have a twin in another input.
        let compared = if self.active.len() > 1 { Some(Timestamp(i64::MIN)) } else { next_first };
        let heads = self.active.iter().enumerate();
        let mut heads: BinaryHeap<_> = heads.filter_map(|(at, a)| Some(Reverse((a.head()?, at)))).collect();
        while let Some(Reverse(((key, _), at))) = heads.pop() {
            if let Some((bound, position)) = bound
                && key > bound
            {
                self.begin(position, None);
                break;
            }
            let limit = heads.peek().map_or((Timestamp(i64::MAX), LAST), |Reverse((head, _))| *head);
            let limit = bound.map_or(limit, |(bound, _)| limit.min((bound, LAST)));
            self.take(at, limit, compared, batch);
            // Without lines left, its next block comes first: it may hold earlier lines than the others.
            let Some(head) = self.active.get(at).and_then(Active::head) else { break };
            heads.push(Reverse((head, at)));
        }
        true
    }

    /// Sees to it that lines of every input are at hand. True where that changed what there is to do: a block went
    /// straight into the batch, or an input ended.
    fn load(&mut self, next_first: Option<Timestamp>, batch: &mut Vec<Piece>) -> bool {
        let is_alone = self.active.len() == 1 && self.seen.is_empty();
        for at in 0..self.active.len() {
            let Some(active) = self.active.get_mut(at).filter(|a| a.head().is_none()) else { continue };
            let Some(block) = active.next_block(self.inputs, &mut self.problems) else {
                self.end(at, batch);
                return true;
            };
            let clock = active.clock.clone();
            let last = active.moment_at_end(&block);
            if is_alone && next_first.is_none_or(|first| last.plus_seconds(NEAR_S) < first) {
                (active.latest.key, active.last) = (active.latest.key.max(last), last);
                batch.push(active.piece(block));
                return true;
            }
            active.clock = clock;
            active.index(block);
        }
        false
    }

    /// Moves the lines of one input up to `limit` into the batch. Those from the moment `compared` on are kept in mind.
    fn take(&mut self, at: usize, limit: Head, compared: Option<Timestamp>, batch: &mut Vec<Piece>) {
        let Some(active) = self.active.get_mut(at) else { return };
        let label = self.inputs.get(active.source).map_or("", |input| &input.host);
        let label_hash = xxh3_64(label.as_bytes());
        let mut kept = active.loaded.start;
        while let Some(line) = active.loaded.lines.front() {
            if (line.key, active.rank) > limit {
                break;
            }
            let Some(line) = active.loaded.lines.pop_front() else { break };
            let start = std::mem::replace(&mut active.loaded.start, line.end);
            let Some(moment) = line.moment else { continue };
            let is_compared = !self.seen.is_empty() || compared.is_some_and(|from| moment >= from);
            let text = active.loaded.bytes.get(start..line.end).unwrap_or_default().trim_ascii_end();
            // Where lines name no host, they are of the input's.
            let host = line.host ^ label_hash;
            if is_compared && self.seen.is_duplicate(label, text, host, moment, active.chain) {
                active.flush(kept, start, batch);
                kept = line.end;
                active.left_out.lines += 1;
                active.left_out.bytes += (line.end - start) as u64;
            }
        }
        let end = active.loaded.start;
        active.flush(kept, end, batch);
    }

    /// An input is read to its end; the one that continues it begins.
    fn end(&mut self, at: usize, batch: &mut Vec<Piece>) {
        let mut active = self.active.remove(at);
        if active.left_out.lines > 0 {
            batch.push(active.piece(Block::default()));
        }
        let set = self.inputs.get(active.source).map_or(usize::MAX, |input| input.set);
        let Active { source, clock, latest: Latest { key, .. }, last, rank, chain, tail, .. } = active;
        self.begin_next(Some(Ended { source, set, clock, key, last, rank, chain, tail: tail.into() }));
    }

    /// Up to which moment the active inputs may be read before another has to begin, and its position among the pending.
    fn next_begin(&self) -> Option<(Timestamp, usize)> {
        let bound = |input: &Ordered| {
            let seam = if self.is_active(input.set) { ROTATION_SEAM_S } else { SEAM_S };
            input.first.map(|first| first.plus_seconds(seam))
        };
        let bounds = self.pending.iter().enumerate();
        bounds.filter_map(|(position, next)| Some((bound(self.inputs.get(*next)?)?, position))).min()
    }

    fn is_active(&self, set: usize) -> bool {
        self.active.iter().any(|a| self.inputs.get(a.source).is_some_and(|input| input.set == set))
    }

    /// Begins the input that continues the ended one, or else the first that has no predecessor still being read. False
    /// where there is none.
    fn begin_next(&mut self, ended: Option<Ended>) -> bool {
        while !self.pending.is_empty() {
            let set_of = |next: &usize| self.inputs.get(*next).map_or(usize::MAX, |input| input.set);
            let continues = ended.as_ref().and_then(|e| self.pending.iter().position(|next| set_of(next) == e.set));
            let position = continues.or_else(|| self.pending.iter().position(|next| !self.is_active(set_of(next))));
            let Some(position) = position else { return false };
            if self.begin(position, ended.as_ref()) {
                return true;
            }
        }
        false
    }

    /// Opens a pending input; false where that fails, which is a problem to be reported.
    fn begin(&mut self, position: usize, ended: Option<&Ended>) -> bool {
        let Some((source, input)) = self.pending.remove(position).and_then(|n| Some((n, self.inputs.get(n)?))) else {
            return false;
        };
        let text = match input.open(self.read) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(Problem::unreadable(&input.source.name, &error));
                return false;
            }
        };
        self.begun += 1;
        let mut active = Active {
            source,
            blocks: Blocks::new(text, BLOCK_BYTES),
            clock: input.clock(),
            latest: input.first.map_or(Latest::NONE, |key| Latest { key, ahead: None }),
            last: Timestamp(i64::MIN),
            tail: VecDeque::new(),
            rank: (input.set, self.begun),
            chain: self.begun,
            loaded: Loaded::default(),
            left_out: LeftOut::default(),
            continues: None,
            is_at_end: false,
        };
        let is_known_log = |source: usize| self.inputs.get(source).is_some_and(|input| input.is_known_log);
        let may_continue =
            |ended: &&Ended| ended.set == input.set || !(input.is_known_log || is_known_log(ended.source));
        if let Some(ended) = ended.filter(may_continue) {
            self.follow(&mut active, input, ended);
        }
        self.active.push(active);
        true
    }

    /// Makes an input the continuation of the ended one, unless it repeats its end.
    fn follow(&mut self, active: &mut Active, input: &Ordered, ended: &Ended) {
        active.rank = ended.rank;
        // Within one second only the lines themselves tell an overlap from a seam.
        let is_same_second = input.first.is_some_and(|first| first.seconds() == ended.last.seconds());
        let block = if is_same_second { active.next_block(self.inputs, &mut self.problems) } else { None };
        let repeats_end = block.as_ref().is_some_and(|block| {
            let begin: Vec<_> = line_hashes(block.bytes.split(is_line_end)).collect();
            begins_with_end_of(&begin, &ended.tail)
        });
        // Else an overlap begins with a line that the ended input has, at a moment before its end.
        let overlaps = input.first.is_some_and(|first| {
            first < ended.last && self.seen.has(&input.host, input.first_line.trim_ascii_end(), first)
        });
        if !overlaps && !repeats_end {
            active.latest.key = active.latest.key.max(ended.key);
            active.chain = ended.chain;
            if ended.set == input.set {
                active.continues = Some(ended.source);
                active.clock.follow(&ended.clock);
            }
        }
        if let Some(block) = block {
            active.index(block);
        }
    }

    /// Lets go of lines that no twin can follow any more.
    fn forget(&mut self, next_first: Option<Timestamp>) {
        let heads = self.active.iter().map(|a| a.head().map_or(a.latest.key, |(key, _)| key).min(a.last));
        let Some(earliest) = heads.chain(next_first).min() else { return };
        self.seen.forget_before(earliest.plus_seconds(-COMPARED_S));
    }
}

impl Active {
    fn head(&self) -> Option<Head> {
        self.loaded.lines.front().map(|line| (line.key, self.rank))
    }

    /// The next block; `None` at the end, also behind damage, which is reported.
    fn next_block(&mut self, inputs: &[Ordered], problems: &mut Vec<Problem>) -> Option<Block> {
        if self.is_at_end {
            return None;
        }
        match self.blocks.next_block() {
            Some(Ok(block)) => Some(block),
            Some(Err(error)) => {
                self.is_at_end = true;
                let what = damage(&error, self.blocks.stream().offset());
                let source = inputs.get(self.source).map_or_else(String::new, |i| i.source.name.clone());
                problems.push(Problem { source, what, is_unreadable: false });
                self.blocks.rest()
            }
            None => {
                self.is_at_end = true;
                None
            }
        }
    }

    /// The moment that a block ends with, by its last two lines with a stamp: the later of one of them may be an absurd
    /// one. The latest moment so far where the end has none.
    fn moment_at_end(&mut self, block: &Block) -> Timestamp {
        // A block may begin in December and end in January.
        if let Some(raw) = block.lines().take(LOOKED_BACK).find_map(|line| frame(line.bytes)) {
            self.clock.moment(&raw.stamp);
        }
        let mut rest = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
        let mut last = None;
        for _ in 0..LOOKED_BACK {
            let start = memrchr(b'\n', rest).map_or(0, |at| at + 1);
            if let Some(raw) = rest.get(start..).and_then(frame) {
                match last {
                    None => last = Some(self.clock.moment(&raw.stamp)),
                    Some(last) => {
                        let before = self.clock.moment(&raw.stamp);
                        return if last.seconds_since(before).abs() <= FAR_S {
                            last.max(before)
                        } else {
                            last.min(before)
                        };
                    }
                }
            }
            let Some(before) = rest.get(..start.saturating_sub(1)).filter(|b| !b.is_empty()) else { break };
            rest = before;
        }
        last.unwrap_or(self.latest.key)
    }

    /// Makes a block's lines ready to be taken one by one.
    fn index(&mut self, block: Block) {
        let mut lines = VecDeque::new();
        let mut end = 0;
        for line in block.lines() {
            let rest = block.bytes.get(end..).unwrap_or_default();
            end += memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let raw = frame(line.bytes);
            let host = raw.map_or(0, |raw| xxh3_64(raw.host));
            let moment = raw.map(|raw| self.clock.moment(&raw.stamp));
            if let Some(moment) = moment {
                self.last = moment;
                self.latest.saw(moment);
            }
            lines.push_back(LineAt { end, key: self.latest.key, moment, host });
        }
        let text = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
        let last: Vec<_> = line_hashes(text.rsplit(is_line_end)).collect();
        self.tail.extend(last.into_iter().rev());
        self.tail.drain(..self.tail.len().saturating_sub(SEAM_LINES));
        self.loaded = Loaded { bytes: block.bytes, lines, start: 0 };
    }

    /// A piece with what was left out before it.
    fn piece(&mut self, block: Block) -> Piece {
        let (left_out, continues) = (std::mem::take(&mut self.left_out), self.continues.take());
        Piece { source: self.source, block, left_out, continues }
    }

    /// Puts the loaded bytes from `start` to `end` into the batch.
    fn flush(&mut self, start: usize, end: usize, batch: &mut Vec<Piece>) {
        if start >= end {
            return;
        }
        let bytes = match start == 0 && end == self.loaded.bytes.len() {
            true => std::mem::take(&mut self.loaded.bytes),
            false => self.loaded.bytes.get(start..end).unwrap_or_default().to_vec(),
        };
        batch.push(self.piece(Block { bytes }));
    }
}

/// Lines of the last minutes, to know those that a second input holds too. Mostly each host's lines are in one chain alone:
/// they are only noted, and counted when the host turns up in another chain.
#[derive(Default)]
struct Seen {
    minutes: BTreeMap<i64, Minute>,
    lines: usize,
    /// The chain of each host's lines; `None` where there are several.
    chains: HashMap<u64, Option<usize>>,
    /// Of lines' hashes: whoever writes lines does not know it.
    seed: Option<u64>,
}

/// Of one minute: how often a line was kept, and how often each chain had it.
#[derive(Default)]
struct Minute {
    kept: HashMap<u64, u32>,
    by_chain: HashMap<(u64, usize), u32>,
    /// Lines that are not counted yet, with their chains.
    noted: Vec<(u64, usize)>,
    /// How many lines it remembers.
    lines: usize,
}

impl Minute {
    /// Counts a line of `chain`. True when another chain had it as often before: it is a second writing.
    fn is_duplicate(&mut self, hash: u64, chain: usize) -> bool {
        let here = self.by_chain.entry((hash, chain)).or_insert(0);
        *here += 1;
        let kept = self.kept.entry(hash).or_insert(0);
        if *here <= *kept {
            return true;
        }
        *kept = *here;
        false
    }

    fn count_noted(&mut self) {
        for (hash, chain) in std::mem::take(&mut self.noted) {
            self.is_duplicate(hash, chain);
        }
    }
}

impl Seen {
    /// Hosts whose chains are known; lines of more are always counted.
    const HOSTS: usize = 65_536;

    fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }

    fn hash(&mut self, label: &str, line: &[u8]) -> u64 {
        let seed = *self.seed.get_or_insert_with(|| RandomState::new().hash_one(0));
        xxh3_64_with_seed(line, xxh3_64_with_seed(label.as_bytes(), seed))
    }

    /// True where the host's lines are in no other chain.
    fn is_only_chain(&mut self, host: u64, chain: usize) -> bool {
        if self.chains.len() >= Self::HOSTS && !self.chains.contains_key(&host) {
            return false;
        }
        let known = self.chains.entry(host).or_insert(Some(chain));
        if *known != Some(chain) {
            *known = None;
        }
        known.is_some()
    }

    /// Remembers a line of `host` in `chain`. True when another chain had it as often before: it is a second writing.
    fn is_duplicate(&mut self, label: &str, line: &[u8], host: u64, moment: Timestamp, chain: usize) -> bool {
        let hash = self.hash(label, line);
        let is_only_chain = self.is_only_chain(host, chain);
        let minute = self.minutes.entry(moment.minute()).or_default();
        if is_only_chain {
            minute.noted.push((hash, chain));
        } else {
            minute.count_noted();
            if minute.is_duplicate(hash, chain) {
                return true;
            }
        }
        minute.lines += 1;
        self.lines += 1;
        if self.lines > COMPARED_LINES
            && let Some((_, oldest)) = self.minutes.pop_first()
        {
            self.lines -= oldest.lines;
        }
        false
    }

    fn has(&mut self, label: &str, line: &[u8], moment: Timestamp) -> bool {
        let hash = self.hash(label, line);
        self.minutes.get_mut(&moment.minute()).is_some_and(|minute| {
            minute.count_noted();
            minute.kept.contains_key(&hash)
        })
    }

    fn forget_before(&mut self, moment: Timestamp) {
        while let Some(oldest) = self.minutes.first_entry().filter(|oldest| *oldest.key() < moment.minute()) {
            self.lines -= oldest.remove().lines;
        }
        if self.minutes.is_empty() {
            self.chains.clear();
        }
    }
}

fn is_line_end(byte: &u8) -> bool {
    *byte == b'\n'
}

/// The hashes of lines at a seam.
fn line_hashes<'l>(lines: impl Iterator<Item = &'l [u8]>) -> impl Iterator<Item = u64> {
    lines.take(SEAM_LINES).map(|line| xxh3_64(line.trim_ascii_end()))
}

/// True where a text begins with what another one ends with: several lines, and not the same few again and again, as a
/// client that comes back within a second may make them.
fn begins_with_end_of(begin: &[u64], end: &[u64]) -> bool {
    const LINES: usize = 4;
    const DISTINCT: usize = 3;
    (LINES..=begin.len().min(end.len())).any(|len| {
        let shared = begin.get(..len).filter(|lines| end.ends_with(lines));
        shared.is_some_and(|lines| lines.iter().collect::<BTreeSet<_>>().len() >= DISTINCT)
    })
}

/// What broke a stream, and where: in bytes of the file as it lies on the disk.
fn damage(error: &io::Error, offset: u64) -> String {
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data ends too early (truncated)".to_string(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => format!("the compressed data is damaged ({error})"),
        _ => error.to_string(),
    };
    format!("{what} at byte {offset}; the whole lines before it were read")
}
