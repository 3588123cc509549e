//! Exim's own log: `2026-03-04 05:06:07.123 +0100 [4321] message`, milliseconds, zone and pid as `log_selector` and
//! `log_timezone` have it.

use super::{Program, RawLine, stamp};
use crate::mail::queue_id::is_exim_id;

/// A line of Exim's main log; `None` when the line is something else, a syslog line with such a stamp among it.
pub fn frame(line: &[u8]) -> Option<RawLine<'_>> {
    // RFC 3339 has a T where Exim has a blank.
    if line.get(10) != Some(&b' ') {
        return None;
    }
    let (stamp, rest) = stamp::iso(line)?;
    let mut body = rest.strip_prefix(b" ")?;
    let mut pid = None;
    if let Some((number, rest)) = pid_in_brackets(body) {
        (pid, body) = (Some(number), rest);
    }
    if pid.is_none() && has_syslog_tag(body) {
        return None;
    }
    Some(RawLine { stamp, host: &[], program: Program::Exim, pid, body, times: 1 })
}

/// An Exim message by syslog without the stamp that `syslog_timestamp` puts in front of it, and without its pid.
pub fn without_stamp(body: &[u8]) -> &[u8] {
    if !body.first().is_some_and(u8::is_ascii_digit) || body.get(10) != Some(&b' ') {
        return body;
    }
    match stamp::iso(body).and_then(|(_, rest)| rest.strip_prefix(b" ")) {
        Some(rest) => pid_in_brackets(rest).map_or(rest, |(_, rest)| rest),
        None => body,
    }
}

/// True for a message of Exim about one message of the queue.
pub fn begins_with_exim_id(text: &[u8]) -> bool {
    is_exim_id(text.split(|byte| *byte == b' ').next().unwrap_or_default())
}

/// `[4321] `: the pid, and what follows.
fn pid_in_brackets(text: &[u8]) -> Option<(u32, &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let end = inner.iter().take(11).position(|b| *b == b']')?;
    let pid = std::str::from_utf8(inner.get(..end)?).ok()?.parse().ok()?;
    Some((pid, inner.get(end + 1..)?.strip_prefix(b" ")?))
}

/// True for `host tag[pid]: ...` or `host tag: ...` with a path-like tag: a syslog line whose stamp has a blank.
fn has_syslog_tag(text: &[u8]) -> bool {
    let mut words = text.splitn(3, |b| *b == b' ');
    let (Some(host), Some(tag)) = (words.next(), words.next()) else { return false };
    let Some(tag) = tag.strip_suffix(b":") else { return false };
    let is_host = host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    let has_pid = tag.ends_with(b"]") && memchr::memchr(b'[', tag).is_some_and(|at| at > 0);
    is_host && !host.ends_with(b":") && (has_pid || tag.starts_with(b"postfix/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_zone_and_pid_are_optional() {
        for line in [
            "2026-03-04 05:06:07 1tXyZa-0001Ab-2c Completed",
            "2026-03-04 05:06:07.123 1tXyZa-0001Ab-2c Completed",
            "2026-03-04 05:06:07 +0100 1tXyZa-0001Ab-2c Completed",
            "2026-03-04 05:06:07.123 +0100 [4321] 1tXyZa-0001Ab-2c Completed",
        ] {
            let raw = frame(line.as_bytes()).unwrap();
            assert_eq!((raw.program, raw.body), (Program::Exim, &b"1tXyZa-0001Ab-2c Completed"[..]), "{line}");
        }
        assert_eq!(frame(b"2026-03-04 05:06:07 [4321] x").unwrap().pid, Some(4321));
    }

    #[test]
    fn a_syslog_line_with_a_blank_in_its_stamp_is_left_to_syslog() {
        assert_eq!(frame(b"2026-03-04 05:06:07 mx1 exim[4321]: dovecot_login authenticator failed"), None);
        assert_eq!(frame(b"2026-03-04 05:06:07 mx1 postfix/qmgr[4321]: 3F2A11C0: removed"), None);
        assert!(frame(b"2026-03-04 05:06:07 H=pc7 [198.51.100.7]: x").is_some());
    }

    #[test]
    fn a_doubled_stamp_is_taken_off() {
        assert_eq!(
            without_stamp(b"2026-03-04 05:06:07 [77] 1tXyZa-0001Ab-2c Completed"),
            b"1tXyZa-0001Ab-2c Completed"
        );
        assert_eq!(without_stamp(b"1tXyZa-0001Ab-2c Completed"), b"1tXyZa-0001Ab-2c Completed");
    }
}
