//! Whole lines, and what stands in front of a line's message: stamp, host, program, pid. What a message means is not
//! known here.

mod journal;
pub mod lines;
mod mainlog;
pub mod parts;
mod prefix;
mod stamp;
mod syslog;
mod wrapped;
pub mod year;

pub use syslog::{Repeated, last_repeated};
pub use wrapped::{Unwrapped, unwrapped};

use crate::mail::time::Stamp;

/// Longest line that is read whole; of a longer one the head is.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// One line with its frame taken apart. Borrowed from the block it stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawLine<'a> {
    pub stamp: Stamp,
    /// The host as syslog names it; empty where the line has none (Exim's own log).
    pub host: &'a [u8],
    pub program: Program<'a>,
    pub pid: Option<u32>,
    pub body: &'a [u8],
    /// How many equal lines this one stands for: more than 1 for `message repeated N times: [ ... ]`.
    pub times: u32,
}

/// Which program wrote a line, told by its tag alone: words from other programs do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program<'a> {
    /// `service` is the last component of the tag, whatever the syslog name in front; `is_relay` says that the
    /// component before it is `relay`. `instance` is the first component where it names one (`postfix`, `postfix-out`;
    /// postmulti(1) demands such names), else empty: a syslog name of an administrator's choice tells nothing.
    Postfix {
        instance: &'a [u8],
        service: &'a [u8],
        is_relay: bool,
    },
    Exim,
    Other(&'a [u8]),
}

/// The frame of `line`, which is without its line end. `None` when it has none that is known.
pub fn frame(line: &[u8]) -> Option<RawLine<'_>> {
    let line = without_nuls(line);
    // An editor's byte order mark.
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    bare(line).or_else(|| contained(line))
}

/// A file that was growing during a crash holds NUL bytes in front of the next line.
fn without_nuls(line: &[u8]) -> &[u8] {
    let nuls = line.iter().take_while(|b| **b == 0).count();
    line.get(nuls..).unwrap_or_default()
}

fn bare(line: &[u8]) -> Option<RawLine<'_>> {
    match line.first()? {
        b'0'..=b'9' => mainlog::frame(line).or_else(|| syslog::frame(line)),
        _ => syslog::frame(line),
    }
}

/// A line behind what container tools put in front of it: the container's name, the time of arrival. The time serves
/// where the line has none.
fn contained(line: &[u8]) -> Option<RawLine<'_>> {
    let inner = prefix::without_name(line);
    if let Some(raw) = inner.and_then(bare) {
        return Some(raw);
    }
    let (stamp, inner) = prefix::without_time(inner.unwrap_or(line))?;
    bare(inner).or_else(|| {
        let is_message = mainlog::begins_with_exim_id(inner);
        is_message.then_some(RawLine { stamp, host: &[], program: Program::Exim, pid: None, body: inner, times: 1 })
    })
}

/// True for a line that belongs to the one above it: it begins with a blank and has no stamp (rejectlog headers,
/// multi-line answers of a peer).
pub fn is_continuation(line: &[u8]) -> bool {
    let begins_blank = |line: &[u8]| matches!(line.first(), Some(b' ' | b'\t'));
    let inner = prefix::without_name(line).unwrap_or(line);
    begins_blank(line)
        || begins_blank(inner)
        || prefix::without_time(inner).is_some_and(|(_, inner)| begins_blank(inner))
}
