//! All inputs from front to back: read, cut into blocks, framed and parsed by all threads, handed on in the order of the
//! text. While one batch of blocks is parsed and correlated, the next is read and inflated.

use rayon::ThreadPool;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::reader::{Piece, Reader};
use super::sift::Marks;
use super::sources::Ordered;
use crate::framing::lines::BLOCK_BYTES;
use crate::framing::parts::{self, Part};
use crate::framing::{MAX_LINE_BYTES, Program, RawLine, Repeated, frame, is_continuation, last_repeated};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::mail::status::Mta;
use crate::parse::{self, Entry, Parsed};
use crate::tally::LineTally;

/// Why a line is ignored that another input has too.
const TWICE: &str = "in another input too";

/// Few logs have shorter lines on average.
const LINE_BYTES: usize = 128;

/// Blocks of one batch, per thread.
const BLOCKS_PER_THREAD: usize = 4;

/// What one line came to, where it came to something.
#[expect(clippy::large_enum_variant, reason = "nearly all items are entries, and a box would cost each an allocation")]
pub enum Item<'a> {
    Entry {
        raw: RawLine<'a>,
        entry: Entry<'a>,
    },
    Unknown {
        raw: RawLine<'a>,
    },
    /// A part of a line that Exim cut for syslog; not counted yet.
    Part {
        raw: RawLine<'a>,
        part: Part,
    },
    /// The last line of a host, which stands before this block, came again; not counted yet.
    Repeated(Repeated<'a>),
}

/// The items of one block with their line numbers in it, from 0, and the counts of the rest.
pub struct ParsedBlock<'a> {
    /// Number of the input.
    pub source: usize,
    /// On the first block of an input: the input whose log it continues.
    pub continues: Option<usize>,
    pub items: Vec<(u64, Item<'a>)>,
    /// Lines without a frame. Apart, because a file that is no log has millions of them, each shorter than an item.
    pub unframed: Vec<&'a [u8]>,
    pub tally: LineTally,
    /// Text bytes.
    pub bytes: u64,
    /// Lines at the beginning that another input has too; among the tally's.
    pub left_out: u64,
    pub last_lines: LastLines<&'a [u8]>,
}

/// The last line of each host, the latest first: what `last message repeated` speaks of.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastLines<T>(Vec<(T, T)>);

impl<T> Default for LastLines<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: AsRef<[u8]>> LastLines<T> {
    /// Among lines of more hosts than this only the latest of them are known.
    const HOSTS: usize = 64;

    pub fn saw(&mut self, host: T, line: T) {
        match self.0.iter().position(|(known, _)| known.as_ref() == host.as_ref()) {
            Some(at) => {
                self.0.swap(0, at);
                if let Some(first) = self.0.first_mut() {
                    first.1 = line;
                }
            }
            None => {
                self.0.truncate(Self::HOSTS - 1);
                self.0.insert(0, (host, line));
            }
        }
    }

    /// The last line of the host, or of any where it is not named.
    pub fn of(&self, host: &[u8]) -> Option<&T> {
        self.0.iter().find(|(known, _)| host.is_empty() || known.as_ref() == host).map(|(_, line)| line)
    }

    /// Host and line of each, the latest last.
    pub fn iter(&self) -> impl Iterator<Item = &(T, T)> {
        self.0.iter().rev()
    }
}

/// Takes the blocks in the order of the text.
pub trait Consumer: Send {
    fn blocks(&mut self, blocks: Vec<ParsedBlock<'_>>);
    /// An input could not be read, or not to its end.
    fn problem(&mut self, problem: Problem);
    /// True when the run must stop.
    fn is_interrupted(&self) -> bool;
}

/// Reads all inputs and feeds `consumer`. Stops early only when it is interrupted.
pub fn scan(inputs: &[Ordered], only: Option<Mta>, pool: &ThreadPool, read: &BytesRead, consumer: &mut impl Consumer) {
    scan_marked(inputs, only, None, pool, read, consumer);
}

/// The same where only lines with a mark are taken apart.
pub fn scan_marked(
    inputs: &[Ordered],
    only: Option<Mta>,
    marks: Option<&Marks>,
    pool: &ThreadPool,
    read: &BytesRead,
    consumer: &mut impl Consumer,
) {
    let batch_bytes = pool.current_num_threads() * BLOCKS_PER_THREAD * BLOCK_BYTES;
    let mut reader = Reader::new(inputs, read);
    let mut batch = reader.batch(batch_bytes);
    while !batch.is_empty() && !consumer.is_interrupted() {
        for problem in reader.problems.drain(..) {
            consumer.problem(problem);
        }
        let mut next = Vec::new();
        let parse = |piece| match marks {
            Some(marks) => parse_marked(piece, only, marks),
            None => parse_piece(piece, only),
        };
        pool.scope(|scope| {
            // Inflating is serial: it goes on beside all the rest.
            scope.spawn(|_| next = reader.batch(batch_bytes));
            consumer.blocks(batch.par_iter().map(parse).collect());
        });
        batch = next;
    }
    for problem in reader.problems {
        consumer.problem(problem);
    }
}

fn parse_piece(piece: &Piece, only: Option<Mta>) -> ParsedBlock<'_> {
    let left_out = piece.left_out.lines;
    let mut tally = LineTally { lines: left_out, ..LineTally::default() };
    if left_out > 0 {
        tally.ignored.insert(TWICE.into(), left_out);
    }
    let mut items = Vec::with_capacity(piece.block.bytes.len() / LINE_BYTES);
    let mut unframed = Vec::new();
    let mut last_lines = LastLines::default();
    for line in piece.block.lines() {
        let number = tally.lines;
        tally.lines += 1;
        tally.overlong += u64::from(line.is_overlong);
        let before = tally.unframed;
        if let Some(item) = parse_line(line.bytes, only, &mut last_lines, &mut tally) {
            items.push((number, item));
        } else if tally.unframed > before {
            unframed.push(line.bytes);
        }
    }
    let bytes = piece.block.bytes.len() as u64 + piece.left_out.bytes;
    let Piece { source, continues, .. } = *piece;
    ParsedBlock { source, continues, items, unframed, tally, bytes, left_out, last_lines }
}

/// The same for the lines that hold a mark. What was written again stands without it: such a line is passed over.
fn parse_marked<'a>(piece: &'a Piece, only: Option<Mta>, marks: &Marks) -> ParsedBlock<'a> {
    let left_out = piece.left_out.lines;
    let mut tally = LineTally::default();
    let mut items = Vec::new();
    let mut last_lines = LastLines::default();
    let mut looked_at = 0;
    let lines = marks.lines(&piece.block.bytes, |number, line| {
        looked_at += 1;
        let line = line.get(..MAX_LINE_BYTES).unwrap_or(line);
        if let Some(item) = parse_line(line, only, &mut last_lines, &mut tally) {
            items.push((left_out + number, item));
        }
    });
    tally.lines = lines + left_out;
    for (reason, count) in [(TWICE, left_out), ("not looked at", lines - looked_at)] {
        if count > 0 {
            *tally.ignored.entry(reason.into()).or_default() += count;
        }
    }
    let bytes = piece.block.bytes.len() as u64 + piece.left_out.bytes;
    let Piece { source, continues, .. } = *piece;
    ParsedBlock { source, continues, items, unframed: Vec::new(), tally, bytes, left_out, last_lines }
}

fn parse_line<'a>(
    line: &'a [u8],
    only: Option<Mta>,
    last_lines: &mut LastLines<&'a [u8]>,
    tally: &mut LineTally,
) -> Option<Item<'a>> {
    let mut ignore = |reason: &'static str| *tally.ignored.entry(reason.into()).or_default() += 1;
    if line.trim_ascii().is_empty() {
        ignore("blank");
        return None;
    }
    let raw = frame(line);
    if raw.is_none_or(|raw| matches!(raw.program, Program::Other(_)))
        && let Some(repeated) = last_repeated(line)
    {
        return match last_lines.of(repeated.host) {
            Some(line) => repeated_item(line, repeated, only, tally),
            None => Some(Item::Repeated(repeated)),
        };
    }
    let Some(raw) = raw else {
        if is_continuation(line) {
            ignore("continuation");
            return None;
        }
        if parse::exim::is_header_dump(line) {
            ignore("rejectlog header");
            return None;
        }
        tally.unframed += 1;
        return None;
    };
    last_lines.saw(raw.host, line);
    if only.is_some_and(|only| raw.program.mta().is_some_and(|mta| mta != only)) {
        ignore("other mail server");
        return None;
    }
    if raw.program == Program::Exim
        && !raw.host.is_empty()
        && let Some((part, body)) = parts::part(raw.body)
    {
        return Some(Item::Part { raw: RawLine { body, ..raw }, part });
    }
    counted(raw, tally)
}

/// What it comes to that `line` was written again; counts that.
pub fn repeated_item<'a>(
    line: &'a [u8],
    repeated: Repeated<'_>,
    only: Option<Mta>,
    tally: &mut LineTally,
) -> Option<Item<'a>> {
    let raw = frame(line).filter(|raw| only.is_none() || raw.program.mta() == only);
    match raw {
        // What a line says of its own repetition is no part of it.
        Some(raw) => counted(RawLine { stamp: repeated.stamp, times: repeated.times, ..raw }, tally),
        None => {
            *tally.ignored.entry("repetition".into()).or_default() += 1;
            None
        }
    }
}

/// What a framed line comes to; counts it.
pub fn counted<'a>(raw: RawLine<'a>, tally: &mut LineTally) -> Option<Item<'a>> {
    match parse::line(&raw) {
        Parsed::Entry(entry) => {
            tally.entries += 1;
            tally.mail_lines += u64::from(raw.program.mta().is_some());
            Some(Item::Entry { raw, entry })
        }
        Parsed::Ignored(reason) => {
            *tally.ignored.entry(reason.into()).or_default() += 1;
            tally.mail_lines += u64::from(is_surely_mail(&raw, reason));
            None
        }
        Parsed::Unknown => {
            tally.unknown += 1;
            tally.mail_lines += u64::from(matches!(raw.program, Program::Postfix { .. }));
            Some(Item::Unknown { raw })
        }
    }
}

/// True when an ignored line shows that a mail server writes this log. Exim's own log has no tag, and other programs date
/// their lines in the same way: there only what no other program writes counts.
fn is_surely_mail(raw: &RawLine<'_>, reason: &str) -> bool {
    match raw.program {
        Program::Postfix { .. } => true,
        Program::Exim => !raw.host.is_empty() || matches!(reason, "queue run" | "arguments"),
        Program::Other(_) => false,
    }
}
