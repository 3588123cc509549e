//! The id under which a mail server keeps a message in its queue.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dictionary;

/// A queue id: Postfix's short form (upper-case hex: microseconds and inode, `mail_queue.h`), its long form
/// (base 52 seconds, microseconds, `z`, inode), or Exim's message id (6-6-2 before 4.97, 6-11-4 since).
/// Held inline, at most 31 octets; case matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId {
    octets: [u8; Self::MAX],
    len: u8,
}

impl QueueId {
    /// Longest seen: 23 (Exim), 21 (Postfix, long).
    const MAX: usize = 31;

    /// The whole of `text` as a Postfix or Exim id. `None` when it has neither form.
    pub fn new(text: &[u8]) -> Option<Self> {
        if !is_postfix_id(text) && !is_exim_id(text) {
            return None;
        }
        let mut octets = [0; Self::MAX];
        octets.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { octets, len: u8::try_from(text.len()).ok()? })
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// An id taken apart: what it says of its moment, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parts<'a> {
    /// Postfix's short form.
    Short { micros: u32, inode: u64, digits: u8 },
    /// Postfix's long form; the seconds as their distance from those that the reader knows.
    Long { apart_s: i64, micros: u32, inode: u64 },
    /// Exim's; `is_short` before 4.97.
    Exim { apart_s: i64, pid: u64, fraction: u32, is_short: bool },
    /// What is written otherwise than a server writes it.
    Other(#[serde(with = "serde_bytes_of")] &'a [u8]),
}

/// Digits of Exim's numbers, and of Postfix's (`src/util/safe_ultostr.c`): its inodes go without the last.
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE52: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
const BASE51: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy";

fn number(text: &[u8], digits: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = digits.iter().position(|digit| digit == byte)?;
        number.checked_mul(digits.len() as u64)?.checked_add(digit as u64)
    })
}

/// A number with at least so many digits.
fn push(text: &mut Vec<u8>, mut number: u64, least: usize, digits: &[u8]) {
    let start = text.len();
    let base = digits.len().max(1) as u64;
    while number > 0 || text.len() < start + least {
        text.extend(digits.get((number % base) as usize));
        number /= base;
    }
    if let Some(written) = text.get_mut(start..) {
        written.reverse();
    }
}

impl<'a> Parts<'a> {
    /// The parts of an id, near a moment in seconds since 1970.
    pub fn of(id: &'a QueueId, near_s: i64) -> Self {
        let parts = Self::told(id.as_bytes(), near_s);
        parts.filter(|parts| parts.id(near_s).as_ref() == Some(id)).unwrap_or(Self::Other(id.as_bytes()))
    }

    fn told(text: &[u8], near_s: i64) -> Option<Self> {
        const HEX: &[u8] = b"0123456789ABCDEF";
        let apart = |seconds: u64| i64::try_from(seconds).ok()?.checked_sub(near_s);
        if is_exim_id(text) {
            let is_short = text.len() == 16;
            let (pid, fraction) =
                if is_short { (text.get(7..13)?, text.get(14..)?) } else { (text.get(7..18)?, text.get(19..)?) };
            return Some(Self::Exim {
                apart_s: apart(number(text.get(..6)?, BASE62)?)?,
                pid: number(pid, BASE62)?,
                fraction: u32::try_from(number(fraction, BASE62)?).ok()?,
                is_short,
            });
        }
        if let Some(micros) = text.get(..5).and_then(|micros| number(micros, HEX)) {
            let inode = text.get(5..)?;
            return Some(Self::Short {
                micros: u32::try_from(micros).ok()?,
                inode: number(inode, HEX)?,
                digits: u8::try_from(inode.len()).ok()?,
            });
        }
        let (seconds, rest) = text.split_at_checked(6)?;
        let (micros, inode) = rest.split_at_checked(4)?;
        Some(Self::Long {
            apart_s: apart(number(seconds, BASE52)?)?,
            micros: u32::try_from(number(micros, BASE52)?).ok()?,
            inode: number(inode.strip_prefix(b"z")?, BASE51)?,
        })
    }

    /// The id of these parts.
    pub fn id(&self, near_s: i64) -> Option<QueueId> {
        let seconds = |apart_s: i64| u64::try_from(near_s.checked_add(apart_s)?).ok();
        let mut text = Vec::with_capacity(QueueId::MAX);
        match *self {
            Self::Other(text) => return QueueId::new(text),
            Self::Short { micros, inode, digits } => {
                text = format!("{micros:05X}").into_bytes();
                if digits > 0 {
                    text.extend(format!("{inode:0digits$X}", digits = usize::from(digits)).bytes());
                }
            }
            Self::Long { apart_s, micros, inode } => {
                push(&mut text, seconds(apart_s)?, 6, BASE52);
                push(&mut text, micros.into(), 4, BASE52);
                text.push(b'z');
                push(&mut text, inode, 1, BASE51);
            }
            Self::Exim { apart_s, pid, fraction, is_short } => {
                let (pid_digits, fraction_digits) = if is_short { (6, 2) } else { (11, 4) };
                push(&mut text, seconds(apart_s)?, 6, BASE62);
                text.push(b'-');
                push(&mut text, pid, pid_digits, BASE62);
                text.push(b'-');
                push(&mut text, fraction.into(), fraction_digits, BASE62);
            }
        }
        QueueId::new(&text)
    }

    /// When the id was made, by itself: whole seconds since 1970, and microseconds of the second.
    pub fn made(&self, near_s: i64) -> (Option<i64>, Option<u32>) {
        match *self {
            Self::Short { micros, .. } => (None, Some(micros)),
            Self::Long { apart_s, micros, .. } => (near_s.checked_add(apart_s), Some(micros)),
            Self::Exim { apart_s, .. } => (near_s.checked_add(apart_s), None),
            Self::Other(_) => (None, None),
        }
    }
}

/// Borrowed bytes as bytes.
mod serde_bytes_of {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<&'a [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An id is ASCII by construction.
        f.write_str(std::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As its text: the archive holds ids by the million.
impl Serialize for QueueId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        dictionary::write_id(self, serializer)
    }
}

impl<'de> Deserialize<'de> for QueueId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        dictionary::read_id(deserializer)
    }
}

/// True for a Postfix queue id: 5 to 20 upper-case hex digits, or 10 to 30 of the base-52 alphabet with the `z` that
/// parts time from inode (Postfix `src/global/mail_queue.h`).
pub fn is_postfix_id(text: &[u8]) -> bool {
    match text.len() {
        5..=20 if text.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) => true,
        10..=30 => text.iter().all(|&b| is_base52(b)) && text.iter().skip(6).any(|&b| b == b'z'),
        _ => false,
    }
}

/// Digits and consonants (`src/util/safe_ultostr.c`), and `z`.
const fn is_base52(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte, b'A' | b'E' | b'I' | b'O' | b'U' | b'a' | b'e' | b'i' | b'o' | b'u')
}

/// True for an Exim message id: base-62 groups of 6-6-2 (to 4.96) or 6-11-4 (from 4.97), see the Exim
/// specification, "Message identification".
pub fn is_exim_id(text: &[u8]) -> bool {
    let grouped = |dashes: [usize; 2]| {
        text.iter().enumerate().all(|(i, b)| if dashes.contains(&i) { *b == b'-' } else { b.is_ascii_alphanumeric() })
    };
    match text.len() {
        16 => grouped([6, 13]),
        23 => grouped([6, 18]),
        _ => false,
    }
}

/// The Postfix id and what follows its colon and blank: `3F2A11C0: removed`.
pub fn take_postfix_id(body: &[u8]) -> Option<(QueueId, &[u8])> {
    let colon = memchr::memchr(b':', body.get(..32.min(body.len()))?)?;
    let (id, rest) = body.split_at_checked(colon)?;
    if !is_postfix_id(id) {
        return None;
    }
    Some((QueueId::new(id)?, rest.strip_prefix(b": ")?))
}

/// The Exim id at the start of a line and what follows its blank.
pub fn take_exim_id(body: &[u8]) -> Option<(QueueId, &[u8])> {
    [16, 23].into_iter().find_map(|len| {
        let (id, rest) = body.split_at_checked(len)?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
        is_exim_id(id).then(|| QueueId::new(id)).flatten().map(|id| (id, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_forms_are_ids_and_words_are_not() {
        for id in ["3F2A11C0", "4gXh2K0T1dz9sWq", "1tXyZa-0001Ab-2c", "1tXyZa-00000001AbC-2cDe", "ABCDEF012345"] {
            assert_eq!(QueueId::new(id.as_bytes()).map(|i| i.to_string()).as_deref(), Some(id));
        }
        for word in ["NOQUEUE", "warning", "connect", "statistics", "", "3F2A", "1tXyZa-0001Ab-2", "1tXyZa_0001Ab-2c"] {
            assert_eq!(QueueId::new(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn an_id_is_taken_apart_and_put_together() {
        const NEAR_S: i64 = 1_795_000_000;
        for (id, is_known) in [
            ("ED5A29C6D6A", true),
            ("0C44600000A", true),
            ("ABCDE", true),
            ("FFFFFFFFFFFFFFFFFFFF", true),
            ("4jTlVL0hyrz1Wgmv", true),
            ("4jTlVL0hyrz0Wgmv", false),
            ("1xTeE5-00000009qa5-3IWm", true),
            ("1xTeNJ-002BFU-Dn", true),
            ("zzzzzz-zzzzzz-zz", true),
            ("zzzzzz-zzzzzzzzzzz-zzzz", false),
        ] {
            let id = QueueId::new(id.as_bytes()).unwrap();
            let parts = Parts::of(&id, NEAR_S);
            assert_eq!(parts.id(NEAR_S), Some(id));
            assert_eq!(!matches!(parts, Parts::Other(_)), is_known, "{id}");
        }
        let exim = QueueId::new(b"1xTeNJ-002BFU-Dn").unwrap();
        let made = Parts::of(&exim, NEAR_S).made(NEAR_S);
        assert!(made.0.is_some_and(|at| (at - 1_795_003_373).abs() < 86_400), "{made:?}");
    }

    #[test]
    fn the_rest_begins_behind_the_separator() {
        assert_eq!(take_postfix_id(b"3F2A11C0: removed").map(|(_, rest)| rest), Some(&b"removed"[..]));
        assert_eq!(take_exim_id(b"1tXyZa-0001Ab-2c Completed").map(|(_, rest)| rest), Some(&b"Completed"[..]));
        assert_eq!(take_exim_id(b"1tXyZa-0001Ab-2cDe Completed"), None);
    }
}
