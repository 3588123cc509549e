//! Whole lines, and what stands in front of a line's message: stamp, host, program, pid. What a message means is not
//! known here.

pub mod lines;
mod mainlog;
pub mod parts;
mod stamp;
mod syslog;
pub mod year;

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
    /// component before it is `relay`.
    Postfix {
        service: &'a [u8],
        is_relay: bool,
    },
    Exim,
    Other(&'a [u8]),
}

/// The frame of `line`, which is without its line end. `None` when it has none that is known.
pub fn frame(line: &[u8]) -> Option<RawLine<'_>> {
    // A file that was growing during a crash holds NUL bytes in front of the next line.
    let nuls = line.iter().take_while(|b| **b == 0).count();
    let line = line.get(nuls..)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.first()? {
        b'0'..=b'9' => mainlog::frame(line).or_else(|| syslog::frame(line)),
        _ => syslog::frame(line),
    }
}

/// True for a line that belongs to the one above it: it begins with a blank and has no stamp (rejectlog headers,
/// multi-line answers of a peer).
pub fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}
