//! Counts of all that was read, skipped and not understood. Everything here ends up in `summary.json`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

/// How many samples are kept of one shape, and of how many shapes.
const SAMPLE_BYTES: usize = 240;
const SHAPES: usize = 1_000;

/// What became of every line: `lines = entries + ignored + unknown + unframed`, always.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct LineTally {
    pub lines: u64,
    pub entries: u64,
    /// By the reason for ignoring: another program's line, a TLS note, ...
    pub ignored: BTreeMap<Cow<'static, str>, u64>,
    pub unknown: u64,
    pub unframed: u64,
    /// Among the lines: longer than 64 KiB, read by their head only.
    pub overlong: u64,
    /// Among the lines: written by Postfix or Exim.
    pub mail_lines: u64,
    pub unknown_shapes: Shapes,
    pub unframed_shapes: Shapes,
}

impl LineTally {
    pub fn ignored_total(&self) -> u64 {
        self.ignored.values().sum()
    }

    pub fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.entries += other.entries;
        for (reason, count) in other.ignored {
            *self.ignored.entry(reason).or_default() += count;
        }
        self.unknown += other.unknown;
        self.unframed += other.unframed;
        self.overlong += other.overlong;
        self.mail_lines += other.mail_lines;
        self.unknown_shapes.merge(other.unknown_shapes);
        self.unframed_shapes.merge(other.unframed_shapes);
    }
}

/// Texts reduced to their shape (digits, ids and addresses replaced), each with its count and the least of its samples, so
/// that what no rule or parser knows can be shown and mended. Holds a bounded number of shapes, those with the lowest hashes:
/// the same ones in whatever order they come. The rest is counted.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Shapes {
    /// By the shape's hash: the shape, its count and sample.
    shapes: BTreeMap<u64, Shape>,
    /// Texts of further shapes, once the table is full.
    beyond: u64,
}

#[derive(Debug, Clone)]
struct Shape {
    shape: Vec<u8>,
    count: u64,
    sample: Vec<u8>,
}

/// As files hold it: each shape with its count and sample.
#[derive(Serialize, Deserialize)]
struct Stored {
    shapes: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    beyond: u64,
}

impl From<Stored> for Shapes {
    fn from(stored: Stored) -> Self {
        let mut shapes = Self { shapes: BTreeMap::new(), beyond: stored.beyond };
        for (shape, (count, sample)) in stored.shapes {
            shapes.keep(xxh3_64(&shape), Shape { shape, count, sample });
        }
        shapes
    }
}

impl From<Shapes> for Stored {
    fn from(shapes: Shapes) -> Self {
        let entry = |one: Shape| (one.shape, (one.count, one.sample));
        Self { shapes: shapes.shapes.into_values().map(entry).collect(), beyond: shapes.beyond }
    }
}

impl Shapes {
    pub fn add(&mut self, text: &[u8], count: u64) {
        let text = text.get(..SAMPLE_BYTES).unwrap_or(text);
        let shape = shape(text);
        let hash = xxh3_64(&shape);
        let is_beyond = self.is_beyond(hash);
        match self.shapes.get_mut(&hash) {
            Some(known) => known.saw(count, text),
            None if is_beyond => self.beyond += count,
            None => self.keep(hash, Shape { shape, count, sample: text.to_vec() }),
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.beyond += other.beyond;
        for (hash, one) in other.shapes {
            match self.shapes.get_mut(&hash) {
                Some(known) => known.saw(one.count, &one.sample),
                None => self.keep(hash, one),
            }
        }
    }

    /// True for a shape that is not among the kept ones and cannot come among them any more.
    fn is_beyond(&self, hash: u64) -> bool {
        self.shapes.len() >= SHAPES && self.shapes.last_key_value().is_some_and(|(last, _)| hash > *last)
    }

    fn keep(&mut self, hash: u64, one: Shape) {
        self.shapes.insert(hash, one);
        if self.shapes.len() > SHAPES
            && let Some((_, last)) = self.shapes.pop_last()
        {
            self.beyond += last.count;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Leaves how many there were, and nothing of what they said.
    pub fn forget_texts(&mut self) {
        *self = Self { shapes: BTreeMap::new(), beyond: self.total() };
    }

    /// All texts, those beyond the table too.
    pub fn total(&self) -> u64 {
        self.shapes.values().map(|one| one.count).sum::<u64>() + self.beyond
    }

    /// Shape, count and sample, most frequent first.
    pub fn by_count(&self) -> Vec<(&[u8], u64, &[u8])> {
        let mut rows: Vec<_> = self.shapes.values().map(|one| (&one.shape[..], one.count, &one.sample[..])).collect();
        rows.sort_by_key(|&(shape, count, _)| (std::cmp::Reverse(count), shape));
        rows
    }
}

impl Shape {
    fn saw(&mut self, count: u64, sample: &[u8]) {
        self.count += count;
        if sample < &*self.sample {
            self.sample = sample.to_vec();
        }
    }
}

/// `text` with what varies replaced: words that hold a digit by `#`, what stands in `<>` by `<>`.
fn shape(text: &[u8]) -> Vec<u8> {
    let mut shape = Vec::with_capacity(text.len());
    let mut word_start = 0;
    let mut digit = false;
    let mut bracket = None;
    for &byte in text {
        if let Some(start) = bracket {
            if byte == b'>' {
                shape.truncate(start);
                shape.push(b'>');
                bracket = None;
                word_start = shape.len();
            } else {
                shape.push(byte);
            }
            continue;
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@') {
            digit |= byte.is_ascii_digit();
            shape.push(byte);
            continue;
        }
        close_word(&mut shape, word_start, digit);
        shape.push(byte);
        word_start = shape.len();
        digit = false;
        if byte == b'<' {
            bracket = Some(shape.len());
        }
    }
    if bracket.is_none() {
        close_word(&mut shape, word_start, digit);
    }
    shape
}

fn close_word(shape: &mut Vec<u8>, start: usize, digit: bool) {
    if digit {
        shape.truncate(start);
        shape.push(b'#');
    }
}

/// How many messages and recipients the logs held, and what became of them. Recipients close:
/// `recipients = delivered + deferred + bounced + expired + discarded + still_open + handed_on`.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct MailTally {
    /// Distinct mails; a mail that passes a content filter is one.
    pub messages: u64,
    /// Recipients asked for, of every queue entry, those of later hops among them.
    pub recipients: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub bounced: u64,
    pub expired: u64,
    /// Thrown away here on purpose: a blackhole, the discard transport, or removed by an administrator.
    pub discarded: u64,
    /// No outcome in the log yet.
    pub still_open: u64,
    /// Went into another queue entry of this host (content filter, forward), which has the outcome.
    pub handed_on: u64,
    pub rejected: u64,
    pub tempfailed: u64,
    pub auth_failures: u64,
    /// Queue entries still in the queue when the log ends.
    pub open_messages: u64,
    /// Queue entries whose beginning the log does not hold.
    pub orphans: u64,
    /// Address probes (`status=deliverable`), which are not mail.
    pub probes: u64,
    /// Begun but never queued: the client left, or was refused after the first recipient.
    pub aborted: u64,
}

impl MailTally {
    pub fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        self.recipients += other.recipients;
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.bounced += other.bounced;
        self.expired += other.expired;
        self.discarded += other.discarded;
        self.still_open += other.still_open;
        self.handed_on += other.handed_on;
        self.rejected += other.rejected;
        self.tempfailed += other.tempfailed;
        self.auth_failures += other.auth_failures;
        self.open_messages += other.open_messages;
        self.orphans += other.orphans;
        self.probes += other.probes;
        self.aborted += other.aborted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_kind_have_one_shape() {
        let mut shapes = Shapes::default();
        shapes.add(b"421 too much from 192.0.2.1 to <a@b.example>", 2);
        shapes.add(b"450 too much from 192.0.2.77 to <\"x y\"@c.example>", 1);
        shapes.add(b"nothing like it <unclosed", 1);
        assert_eq!(shapes.by_count().len(), 2);
        assert_eq!(shapes.by_count()[0].0, b"# too much from # to <>");
        assert_eq!(shapes.by_count()[0].1, 3);
        assert_eq!(shapes.total(), 4);
    }

    #[test]
    fn texts_of_further_shapes_are_counted() {
        let mut shapes = Shapes::default();
        let letters = || b'a'..=b'z';
        let texts = || {
            letters().flat_map(move |a| letters().flat_map(move |b| letters().map(move |c| [a, b, c]))).take(2 * SHAPES)
        };
        texts().for_each(|text| shapes.add(&text, 1));
        assert_eq!((shapes.by_count().len(), shapes.total()), (SHAPES, 2 * SHAPES as u64));
        let mut backward = Shapes::default();
        let all: Vec<_> = texts().collect();
        all.iter().rev().for_each(|text| backward.add(text, 1));
        assert_eq!(backward.by_count(), shapes.by_count());
    }
}
