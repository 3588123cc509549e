//! The few lines of large logs that have to do with one message, found at the speed of unpacking: a line that does not
//! hold one of a few texts is not taken apart. What such lines name (the entry before and behind a hop, a notice, the
//! message id) is looked for next, until nothing new is named.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use jiff::tz::TimeZone;
use memchr::{memchr, memchr_iter, memrchr};
use rayon::prelude::*;

use super::sources::{Ordered, ROTATION_SEAM_S};
use crate::framing::lines::{BLOCK_BYTES, Blocks};
use crate::framing::{RawLine, frame};
use crate::input::decompress::BytesRead;
use crate::mail::address;
use crate::mail::queue_id::QueueId;
use crate::mail::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use crate::parse::{self, Entry, Parent, Parsed};
use crate::trace::What;

/// How far from a message's known lines others of it may lie: the correlator forgets one after as long.
const REACH_S: i64 = 10 * SECONDS_PER_DAY;
/// Passes over the logs at the most, and names that are looked for at one time: what goes beyond is an id that many
/// messages share.
pub const PASSES: usize = 5;
const NAMES: usize = 1_000;
/// Up to so many names, ids in the logs of other servers are looked for too: those logs may be here.
const FEW: usize = 32;
/// A shorter message id says little.
const LEAST_MESSAGE_ID: usize = 8;
/// Lines that are looked at for the moment that a text ends with.
const LAST_LINES: usize = 64;
/// Lines of a piece of text whose moments are looked at.
const SAMPLES: usize = 32;
/// Exim names the directory of a local message in a line of its own, without an id.
const CALLED: &[u8] = b"cwd=";

/// Which lines are taken apart.
pub struct Marks(AhoCorasick);

impl Marks {
    /// Lines that hold one of these texts, as they are. `None` for too many of them.
    pub fn exact(texts: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        Self::new(texts, false)
    }

    /// The same in any letter case.
    pub fn in_any_case(texts: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        Self::new(texts, true)
    }

    fn new(texts: impl IntoIterator<Item = Vec<u8>>, in_any_case: bool) -> Option<Self> {
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        AhoCorasick::builder().ascii_case_insensitive(in_any_case).build(&texts).ok().map(Self)
    }

    /// Where the first mark begins.
    pub fn first_in(&self, text: &[u8]) -> Option<usize> {
        self.0.find(text).map(|found| found.start())
    }

    /// The lines of a text that hold a mark: number of the line from 0, and the line. Gives the number of all lines.
    pub fn lines<'a>(&self, text: &'a [u8], mut take: impl FnMut(u64, &'a [u8])) -> u64 {
        let mut number = 0;
        let mut counted = 0;
        let lines_in =
            |from: usize, to: usize| memchr_iter(b'\n', text.get(from..to).unwrap_or_default()).count() as u64;
        while let Some(found) = text.get(counted..).and_then(|rest| self.0.find(rest)) {
            let at = counted + found.start();
            let start = text.get(..at).and_then(|before| memrchr(b'\n', before)).map_or(0, |end| end + 1);
            let end = text.get(at..).and_then(|rest| memchr(b'\n', rest)).map_or(text.len(), |end| at + end);
            number += lines_in(counted, start);
            take(number, text.get(start..end).unwrap_or_default());
            // Behind its end.
            counted = (end + 1).min(text.len());
            number += 1;
        }
        let is_cut = text.last().is_some_and(|last| *last != b'\n') && counted < text.len();
        number + lines_in(counted, text.len()) + u64::from(is_cut)
    }
}

/// What is to be looked for in full, and where.
pub struct Sifted {
    pub marks: Marks,
    /// Of each input.
    pub inputs: Vec<SiftedInput>,
    /// Entries that lines of the message name.
    pub ids: BTreeSet<QueueId>,
}

/// What one input was found to hold.
#[derive(Debug, Default, Clone, Copy)]
pub struct SiftedInput {
    /// A line of the message.
    pub has_lines: bool,
    /// Lines of a mail server, among its first ones.
    pub is_mail: bool,
    /// It could not be read, or not to its end.
    pub is_damaged: bool,
    pub lines: u64,
    /// The moment of its last line.
    pub last: Option<Timestamp>,
    /// The longest time between two of its lines, of those that were looked at for that: [`SAMPLES`] of each piece.
    pub silence_s: i64,
}

/// What is looked for.
#[derive(Default, Clone, PartialEq)]
struct Names {
    ids: BTreeSet<QueueId>,
    message_ids: BTreeSet<Vec<u8>>,
}

impl Names {
    fn marks(&self) -> Option<Marks> {
        let ids = self.ids.iter().map(|id| id.as_bytes().to_vec());
        Marks::exact(ids.chain(self.message_ids.iter().cloned()))
    }

    fn len(&self) -> usize {
        self.ids.len() + self.message_ids.len()
    }

    fn add(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.message_ids.extend(other.message_ids);
    }
}

/// Finds where a message's lines stand. `None` where the logs have to be read in full: a stream can be read once only, and
/// not every search is for a message.
pub fn sift(inputs: &[Ordered], what: &What) -> Option<Sifted> {
    if inputs.iter().any(|input| input.source.is_stream || input.source.portion.is_some()) {
        return None;
    }
    let mut names = Names::default();
    match what {
        What::Queue(id) => _ = names.ids.insert(*id),
        What::MessageId(id) => _ = names.message_ids.insert(id.clone().into_bytes()),
        _ => return None,
    }
    let mut known = vec![SiftedInput::default(); inputs.len()];
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let mut has_new_ids = true;
    let ends = ends(inputs);
    for _ in 0..PASSES {
        let marks = names.marks()?;
        // A filter that no id leads through hands the mail back at once, on the same host.
        let near: Option<BTreeSet<usize>> = (!has_new_ids).then(|| {
            let with_lines = inputs.iter().zip(&known).filter(|(_, known)| known.has_lines);
            with_lines.map(|(input, _)| input.set).collect()
        });
        let looked: Vec<Option<Looked>> = inputs
            .par_iter()
            .zip(&ends)
            .map(|(input, end)| {
                let reach = if near.is_some() { SECONDS_PER_DAY } else { REACH_S };
                let is_near = near.as_ref().is_none_or(|sets| sets.contains(&input.set));
                (is_near && may_hold(input, *end, span, reach)).then(|| look(input, &marks, &names))
            })
            .collect();
        let before = names.clone();
        for (looked, known) in looked.into_iter().zip(&mut known) {
            let Some(looked) = looked else { continue };
            *known = SiftedInput { has_lines: known.has_lines || looked.input.has_lines, ..looked.input };
            names.add(looked.names);
            span = match (span, looked.span) {
                (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
                (known, new) => known.or(new),
            };
        }
        if names.len() > NAMES {
            // Ids that many messages share lead nowhere.
            names = before;
            break;
        }
        if names == before {
            break;
        }
        has_new_ids = names.ids != before.ids;
    }
    let texts = names.ids.iter().map(|id| id.as_bytes().to_vec()).chain(names.message_ids.iter().cloned());
    let marks = Marks::exact(texts.chain([CALLED.to_vec()]))?;
    Some(Sifted { marks, inputs: known, ids: names.ids })
}

/// Where each input ends at the latest: where the next of its rotation set begins.
pub fn ends(inputs: &[Ordered]) -> Vec<Option<Timestamp>> {
    let next =
        |at: usize, set: usize| inputs.iter().skip(at + 1).find(|next| next.set == set).and_then(|next| next.first);
    inputs.iter().enumerate().map(|(at, input)| next(at, input.set)).collect()
}

/// True for an input that may hold lines that lie at most so many seconds from a message's known ones.
fn may_hold(input: &Ordered, end: Option<Timestamp>, span: Option<(Timestamp, Timestamp)>, reach_s: i64) -> bool {
    let Some((first, last)) = span else { return true };
    let is_before = end.is_some_and(|end| first.seconds_since(end) > reach_s + ROTATION_SEAM_S);
    let is_behind = input.first.is_some_and(|begin| begin.seconds_since(last) > reach_s);
    !is_before && !is_behind
}

/// The same while it is looked through.
struct Looked {
    input: SiftedInput,
    names: Names,
    span: Option<(Timestamp, Timestamp)>,
}

fn look(input: &Ordered, marks: &Marks, names: &Names) -> Looked {
    let mut found = Looked { input: SiftedInput::default(), names: Names::default(), span: None };
    let mut clock = input.clock();
    // The moments of other lines would lead the first one astray.
    let mut pace = input.clock();
    if let Some(first) = frame(&input.first_line) {
        clock.moment(&first.stamp);
        pace.moment(&first.stamp);
    }
    let mut before: Option<Timestamp> = None;
    let mut is_begun = false;
    found.input.is_damaged = each_block(input, |text| {
        if !std::mem::replace(&mut is_begun, true) {
            found.input.is_mail = text.split(|byte| *byte == b'\n').any(is_mail);
        }
        found.input.lines += marks.lines(text, |_, line| {
            let Some(raw) = frame(line) else { return };
            let Parsed::Entry(entry) = parse::line(&raw) else { return };
            if !names_of(&entry, names, &mut found.names) {
                return;
            }
            found.input.has_lines = true;
            let at = clock.moment(&raw.stamp);
            found.span = Some(found.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        });
        for raw in spread(text).filter_map(frame) {
            let at = pace.moment(&raw.stamp);
            found.input.silence_s = found.input.silence_s.max(before.map_or(0, |before| at.seconds_since(before)));
            before = Some(at);
        }
        let last = text.rsplit(|byte| *byte == b'\n').take(LAST_LINES).find_map(frame);
        found.input.last = last.map(|raw| clock.moment(&raw.stamp)).or(found.input.last);
    });
    found
}

/// Lines of a text, [`SAMPLES`] at the most, from its beginning to its end.
fn spread(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = 0;
    (0..SAMPLES).filter_map(move |nth| {
        let from = (text.len() / SAMPLES * nth).max(next);
        // A line begins behind the end of another.
        let start = if from == 0 { 0 } else { from - 1 + memchr(b'\n', text.get(from - 1..)?)? + 1 };
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let line = rest.get(..memchr(b'\n', rest).unwrap_or(rest.len()))?;
        next = start + line.len() + 1;
        Some(line)
    })
}

/// True for a line of a mail server.
fn is_mail(line: &[u8]) -> bool {
    frame(line).is_some_and(|raw| raw.program.mta().is_some() && matches!(parse::line(&raw), Parsed::Entry(_)))
}

/// Gives the text of an input piece by piece; true for one that is damaged: what is wrong with it is told when it is read in
/// full.
fn each_block(input: &Ordered, mut take: impl FnMut(&[u8])) -> bool {
    let Ok(text) = input.source.open(BytesRead::default()) else { return true };
    let mut blocks = Blocks::new(crate::framing::unwrapped(text), BLOCK_BYTES);
    let mut is_damaged = false;
    while let Some(block) = blocks.next_block() {
        match block {
            Ok(block) => take(&block.bytes),
            Err(_) => {
                is_damaged = true;
                if let Some(rest) = blocks.rest() {
                    take(&rest.bytes);
                }
            }
        }
    }
    is_damaged
}

/// Adds what an entry of the message names; false for one that only mentions it.
fn names_of(entry: &Entry<'_>, names: &Names, found: &mut Names) -> bool {
    let id = entry.queue_id();
    let is_own = id.is_some_and(|id| names.ids.contains(&id));
    let mut add = |other: QueueId| _ = found.ids.insert(other);
    match entry {
        Entry::Arrival(arrival) => {
            let parent = match arrival.parent {
                Some(Parent::Hop(parent) | Parent::Bounced(parent)) => Some(parent),
                None => None,
            };
            let is_child = parent.is_some_and(|parent| names.ids.contains(&parent));
            let is_same = arrival.message_id.is_some_and(|id| is_one(id, &names.message_ids));
            if !(is_own || is_child || is_same) {
                return false;
            }
            add(arrival.queue_id);
            parent.into_iter().for_each(&mut add);
            note_message_id(arrival.message_id, found);
        }
        Entry::MessageId { queue_id, message_id } => {
            if !(is_own || is_one(message_id, &names.message_ids)) {
                return false;
            }
            add(*queue_id);
            note_message_id(Some(message_id), found);
        }
        Entry::Delivery(delivery) => {
            let is_next = delivery.next.is_some_and(|next| names.ids.contains(&next));
            if !(is_own || is_next) {
                return false;
            }
            add(delivery.queue_id);
            // Of a server elsewhere it is an id in that one's log.
            let is_near = address::ip(delivery.relay_ip).is_none_or(address::is_own_network);
            delivery.next.filter(|_| is_near || names.len() < FEW).into_iter().for_each(&mut add);
        }
        Entry::Notice { parent, child } => {
            if !(is_own || names.ids.contains(parent)) {
                return false;
            }
            add(*parent);
            add(*child);
        }
        _ => return is_own,
    }
    true
}

fn is_one(message_id: &[u8], known: &BTreeSet<Vec<u8>>) -> bool {
    known.contains(address::unbracketed(message_id))
}

fn note_message_id(message_id: Option<&[u8]>, found: &mut Names) {
    if let Some(id) = message_id.map(address::unbracketed).filter(|id| id.len() >= LEAST_MESSAGE_ID) {
        found.message_ids.insert(id.to_vec());
    }
}

/// True where an input's stamps may lie in an hour that its zone has twice: which of the two it is, only the lines around
/// tell.
pub fn has_double_hour(input: &Ordered, end: Option<Timestamp>, zone: &TimeZone) -> bool {
    let has_zone = frame(&input.first_line).is_some_and(|raw: RawLine<'_>| raw.stamp.offset_s.is_some());
    let Some(first) = input.first.filter(|_| !has_zone) else { return false };
    let last = end.unwrap_or(first.plus_seconds(400 * SECONDS_PER_DAY));
    let instant = |at: Timestamp| jiff::Timestamp::from_second(at.0.div_euclid(MICROS_PER_SECOND)).unwrap_or_default();
    let (first, last) = (instant(first.plus_seconds(-SECONDS_PER_DAY)), instant(last.plus_seconds(SECONDS_PER_DAY)));
    let mut offset = zone.to_offset(first);
    for transition in zone.following(first).take_while(|transition| transition.timestamp() <= last) {
        if transition.offset() < offset {
            return true;
        }
        offset = transition.offset();
    }
    false
}

/// What else one login did in some inputs, by its arrivals alone.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub messages: u64,
    pub ips: BTreeSet<IpAddr>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// Counts the messages that a login or local user handed in.
pub fn surroundings(inputs: &[Ordered], login: Option<&[u8]>, user: Option<&[u8]>) -> Surroundings {
    let Some(marks) = login.or(user).and_then(|name| Marks::in_any_case([name.to_vec()])) else {
        return Surroundings::default();
    };
    let same = |name: Option<&[u8]>, wanted: Option<&[u8]>| match (name, wanted) {
        (Some(name), Some(wanted)) => name.eq_ignore_ascii_case(wanted),
        _ => false,
    };
    let parts: Vec<Surroundings> = inputs
        .par_iter()
        .map(|input| {
            let mut found = Surroundings::default();
            let mut clock = input.clock();
            if let Some(first) = frame(&input.first_line) {
                clock.moment(&first.stamp);
            }
            // Damage is told by who reads it in full.
            _ = each_block(input, |text| {
                marks.lines(text, |_, line| {
                    let Some(raw) = frame(line) else { return };
                    let Parsed::Entry(Entry::Arrival(arrival)) = parse::line(&raw) else { return };
                    let is_user = arrival.client.is_none() && same(arrival.local_user, user);
                    if !(same(arrival.sasl_username, login) || is_user) {
                        return;
                    }
                    let at = clock.moment(&raw.stamp);
                    found.messages += 1;
                    found.ips.extend(arrival.client.and_then(|client| address::ip(client.ip)));
                    found.first = Some(found.first.map_or(at, |first| first.min(at)));
                    found.last = found.last.max(Some(at));
                });
            });
            found
        })
        .collect();
    parts.into_iter().fold(Surroundings::default(), |mut all, part| {
        all.messages += part.messages;
        all.ips.extend(part.ips);
        all.first = [all.first, part.first].into_iter().flatten().min();
        all.last = all.last.max(part.last);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_looked_at_from_end_to_end() {
        let text: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
        let lines: Vec<_> = spread(text.as_bytes()).collect();
        assert_eq!((lines.len(), lines[0], lines[1]), (SAMPLES, &b"line 0"[..], &b"line 36"[..]));
        assert_eq!(spread(b"a\nb\nc").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(spread(b"").count(), 0);
    }

    #[test]
    fn lines_with_a_mark_have_their_numbers() {
        let marks = Marks::in_any_case([b"AB12".to_vec(), b"x@y".to_vec()]).unwrap();
        let mut found = Vec::new();
        let text = b"none\nab12: a ab12\n\nnone\nq X@Y\nAB12";
        let lines = marks.lines(text, |number, line| found.push((number, String::from_utf8_lossy(line).into_owned())));
        assert_eq!(lines, 6);
        assert_eq!(found, [(1, "ab12: a ab12".into()), (4, "q X@Y".into()), (5, "AB12".into())]);
        for (text, lines) in [(&b""[..], 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"AB12\n", 1), (b"AB12\nz", 2)] {
            assert_eq!(marks.lines(text, |_, _| {}), lines, "{text:?}");
        }
    }
}
