//! What container tools put in front of each line they show: the container's name, and the time they received it.

use memchr::memchr;

use super::stamp;

/// The line behind the container's name: `mail-1  | ...` (docker compose, docker service), `[pod/mail-0/postfix] ...`
/// (kubectl), in colour or not. `None` when there is no such name.
pub fn without_name(line: &[u8]) -> Option<&[u8]> {
    let line = without_colour(line);
    if let Some(name) = line.strip_prefix(b"[pod/") {
        let end = memchr(b']', name)?;
        let is_name = name.get(..end)?.iter().all(|byte| is_name_byte(*byte) || *byte == b'/');
        return name.get(end + 1..)?.strip_prefix(b" ").filter(|_| is_name);
    }
    let len = line.iter().take_while(|byte| is_name_byte(**byte)).count();
    let (name, rest) = line.split_at_checked(len)?;
    let bar = without_colour(rest).trim_ascii_start();
    let rest = without_colour(without_colour(bar).strip_prefix(b"|")?);
    if name.is_empty() {
        return None;
    }
    Some(without_colour(rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// What follows the time that `docker logs -t` and `kubectl logs --timestamps` put in front of a line, with that time.
pub fn without_time(line: &[u8]) -> Option<(crate::mail::time::Stamp, &[u8])> {
    if line.get(10)? != &b'T' {
        return None;
    }
    let (stamp, rest) = stamp::iso(line)?;
    stamp.offset_s?;
    Some((stamp, rest.strip_prefix(b" ")?))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@')
}

/// What follows `ESC [ ... m` (ECMA-48 section 8.3.117).
fn without_colour(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b"\x1B[") {
        let len = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';')).count();
        match rest.get(len..).and_then(|rest| rest.strip_prefix(b"m")) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
    text
}
