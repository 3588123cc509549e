//! All inputs from front to back: read, cut into blocks, framed and parsed by all threads, handed on in the order of the
//! text. While one batch of blocks is correlated, the next is read and inflated.

use rayon::ThreadPool;
use rayon::prelude::*;

use super::merge::{Piece, Reader};
use super::sources::Ordered;
use crate::framing::lines::BLOCK_BYTES;
use crate::framing::parts::{self, Part};
use crate::framing::{Program, RawLine, frame, is_continuation};
use crate::input::Problem;
use crate::input::decompress::BytesRead;
use crate::mail::status::Mta;
use crate::parse::{self, Entry, Parsed};
use crate::tally::LineTally;

/// Why a line is ignored that another input has too.
const TWICE: &str = "in another input too";

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
}

/// Takes the blocks in the order of the text.
pub trait Consumer: Send {
    fn block(&mut self, block: ParsedBlock<'_>);
    /// An input could not be read, or not to its end.
    fn problem(&mut self, problem: Problem);
    /// True when the run must stop.
    fn is_interrupted(&self) -> bool;
}

/// Reads all inputs and feeds `consumer`. Stops early only when it is interrupted.
pub fn scan(inputs: &[Ordered], only: Option<Mta>, pool: &ThreadPool, read: &BytesRead, consumer: &mut impl Consumer) {
    let batch_bytes = pool.current_num_threads() * BLOCKS_PER_THREAD * BLOCK_BYTES;
    let mut reader = Reader::new(inputs, read);
    let mut batch = reader.batch(batch_bytes);
    while !batch.is_empty() && !consumer.is_interrupted() {
        let parsed: Vec<_> = pool.install(|| batch.par_iter().map(|piece| parse_piece(piece, only)).collect());
        for problem in reader.problems.drain(..) {
            consumer.problem(problem);
        }
        let (next, ()) = pool.join(
            || reader.batch(batch_bytes),
            || {
                for block in parsed {
                    consumer.block(block);
                }
            },
        );
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
        tally.ignored.insert(TWICE, left_out);
    }
    let mut items = Vec::new();
    let mut unframed = Vec::new();
    for line in piece.block.lines() {
        let number = tally.lines;
        tally.lines += 1;
        tally.overlong += u64::from(line.is_overlong);
        let before = tally.unframed;
        if let Some(item) = parse_line(line.bytes, only, &mut tally) {
            items.push((number, item));
        } else if tally.unframed > before {
            unframed.push(line.bytes);
        }
    }
    let bytes = piece.block.bytes.len() as u64 + piece.left_out.bytes;
    ParsedBlock { source: piece.source, continues: piece.continues, items, unframed, tally, bytes, left_out }
}

fn parse_line<'a>(line: &'a [u8], only: Option<Mta>, tally: &mut LineTally) -> Option<Item<'a>> {
    let mut ignore = |reason| *tally.ignored.entry(reason).or_default() += 1;
    if line.trim_ascii().is_empty() {
        ignore("blank");
        return None;
    }
    let Some(raw) = frame(line) else {
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

/// What a framed line comes to; counts it.
pub fn counted<'a>(raw: RawLine<'a>, tally: &mut LineTally) -> Option<Item<'a>> {
    match parse::line(&raw) {
        Parsed::Entry(entry) => {
            tally.entries += 1;
            tally.mail_lines += u64::from(raw.program.mta().is_some());
            Some(Item::Entry { raw, entry })
        }
        Parsed::Ignored(reason) => {
            *tally.ignored.entry(reason).or_default() += 1;
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
