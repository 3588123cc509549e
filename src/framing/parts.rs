//! Lines that Exim cuts for syslog: `[1/3] ...`, `[2/3] ...`. A part with a backslash ends with the line it stands in;
//! what follows it are further lines of the same entry, such as the headers of a refused mail.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{MAX_LINE_BYTES, mainlog};

/// Most processes whose lines are being put together at one time; beyond it the oldest make room all at once.
const JOINING: usize = 10_000;

/// One part of a cut line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub of: u32,
    /// The line ends with this part.
    pub ends_line: bool,
}

/// The mark in front of a part, and the part's text (Exim `src/log.c`, `write_syslog`).
pub fn part(body: &[u8]) -> Option<(Part, &[u8])> {
    let inner = body.strip_prefix(b"[")?;
    let (number, rest) = digits(inner)?;
    let (mark, rest) = rest.split_first()?;
    let (of, rest) = digits(rest)?;
    let text = rest.strip_prefix(b"] ")?;
    let is_part = matches!(mark, b'/' | b'\\') && number >= 1 && number <= of && of > 1;
    is_part.then_some((Part { number, of, ends_line: *mark == b'\\' || number == of }, text))
}

fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let len = text.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// Lines that wait for their next part, by host and process.
#[derive(Default, Serialize, Deserialize)]
pub struct Parts {
    joining: HashMap<(Box<[u8]>, Option<u32>), Joining>,
}

/// The number of the last part, and the line so far.
pub type Joining = (u32, Vec<u8>);

impl Parts {
    /// False for a part whose line was not begun here.
    pub fn may_take(&self, host: &[u8], pid: Option<u32>, part: Part) -> bool {
        part.number == 1 || self.joining.contains_key(&(Box::from(host), pid))
    }

    /// The begun lines of one host, in the order of their processes; they are taken out.
    pub fn take_host(&mut self, host: &[u8]) -> Vec<(Option<u32>, Joining)> {
        let is_of = |key: &(Box<[u8]>, Option<u32>)| key.0.eq_ignore_ascii_case(host);
        let mut begun: Vec<_> =
            self.joining.extract_if(|key, _| is_of(key)).map(|((_, pid), joining)| (pid, joining)).collect();
        begun.sort_unstable();
        begun
    }

    /// Goes on with a line that was begun elsewhere.
    pub fn put(&mut self, host: &[u8], pid: Option<u32>, joining: Joining) {
        self.joining.insert((Box::from(host), pid), joining);
    }

    /// Takes a part; gives the whole line when it ends here. A part whose predecessor is missing, or that belongs to a
    /// further line of its entry, gives nothing.
    pub fn take(&mut self, host: &[u8], pid: Option<u32>, part: Part, text: &[u8]) -> Option<Vec<u8>> {
        let key = (Box::from(host), pid);
        let line = match part.number {
            1 => mainlog::without_stamp(text).to_vec(),
            number => {
                let (before, mut line) = self.joining.remove(&key)?;
                if before + 1 != number || line.len() + text.len() > MAX_LINE_BYTES {
                    return None;
                }
                line.extend_from_slice(text);
                line
            }
        };
        if part.ends_line {
            return Some(line);
        }
        if self.joining.len() >= JOINING {
            self.joining.clear();
        }
        self.joining.insert(key, (part.number, line));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_the_line_that_was_cut() {
        let mut parts = Parts::default();
        let mut take = |body: &[u8]| {
            let (part, text) = part(body).unwrap();
            parts.take(b"mx1", Some(7), part, text)
        };
        assert_eq!(take(b"[1/3] 2026-03-04 05:06:07 1tXyZa-0001Ab-2c <= al@b.exa"), None);
        assert_eq!(take(b"[2/3] mple U=al"), None);
        assert_eq!(take(b"[3/3]  P=local"), Some(b"1tXyZa-0001Ab-2c <= al@b.example U=al P=local".to_vec()));
        assert_eq!(
            take(b"[1\\3] H=[192.0.2.1] rejected RCPT <x>: no"),
            Some(b"H=[192.0.2.1] rejected RCPT <x>: no".to_vec())
        );
        assert_eq!(take(b"[2\\3] Envelope-from: <al@b.example>"), None);
        assert_eq!(take(b"[3/3] I Message-ID: <x>"), None);
        for not_one in [&b"[1/1] x"[..], b"[4321] x", b"[2/x] x", b"[3/2] x"] {
            assert_eq!(super::part(not_one), None);
        }
    }
}
