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
    fn the_rest_begins_behind_the_separator() {
        assert_eq!(take_postfix_id(b"3F2A11C0: removed").map(|(_, rest)| rest), Some(&b"removed"[..]));
        assert_eq!(take_exim_id(b"1tXyZa-0001Ab-2c Completed").map(|(_, rest)| rest), Some(&b"Completed"[..]));
        assert_eq!(take_exim_id(b"1tXyZa-0001Ab-2cDe Completed"), None);
    }
}
