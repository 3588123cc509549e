//! Exim's own log: `2026-03-04 05:06:07.123 +0100 [4321] message`, milliseconds, zone and pid as `log_selector` and
//! `log_timezone` have it.

use super::{Program, RawLine, stamp, syslog};
use crate::mail::queue_id::is_exim_id;
use crate::mail::time::Stamp;

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
    if pid.is_none() && is_syslog(stamp, body) {
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

/// True for `host tag[pid]: ...` or `host tag: ...` with a mail server's tag: a syslog line whose stamp has a blank.
fn is_syslog(stamp: Stamp, text: &[u8]) -> bool {
    // Most messages of Exim's begin so.
    if begins_with_exim_id(text) || text.starts_with(b"H=") {
        return false;
    }
    syslog::behind_stamp(stamp, text).is_some_and(|raw| {
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        let is_told = raw.pid.is_some() || !matches!(raw.program, Program::Other(_));
        is_told && !raw.host.is_empty() && raw.host.iter().all(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every mix of milliseconds, zone and pid.
    fn stamps() -> Vec<(String, Option<u32>)> {
        let mut stamps = Vec::new();
        for fraction in ["", ".123"] {
            for zone in ["", " +0100", " -0330"] {
                for (text, pid) in [("", None), (" [4321]", Some(4321))] {
                    stamps.push((format!("2026-03-04 05:06:07{fraction}{zone}{text}"), pid));
                }
            }
        }
        stamps
    }

    #[test]
    fn milliseconds_zone_and_pid_are_optional() {
        for (stamp, pid) in stamps() {
            for body in [
                "1tXyZa-0001Ab-2c Completed",
                "1tXyZa-00000001AbC-2cDe Completed",
                "H=pc7 [198.51.100.7]: x",
                "Start queue run: pid=77",
            ] {
                let line = format!("{stamp} {body}");
                let raw = frame(line.as_bytes()).unwrap();
                assert_eq!((raw.program, raw.pid, raw.body), (Program::Exim, pid, body.as_bytes()), "{line}");
                assert_eq!(
                    (raw.host, raw.stamp.offset_s.is_some()),
                    (&b""[..], stamp.contains(" +") || stamp.contains(" -0"))
                );
            }
        }
    }

    #[test]
    fn a_syslog_line_with_a_blank_in_its_stamp_is_left_to_syslog() {
        for line in [
            "2026-03-04 05:06:07 mx1 exim[4321]: dovecot_login authenticator failed",
            "2026-03-04 05:06:07 mx1 exim: Start queue run: pid=7",
            "2026-03-04 05:06:07.123456+0100 mx1 exim4[4321]: dovecot_login authenticator failed",
            "2026-03-04 05:06:07 mx1 postfix/qmgr[4321]: 3F2A11C0: removed",
            "2026-03-04 05:06:07 mx1 mail.info postfix/qmgr[4321]: 3F2A11C0: removed",
            "2026-03-04 05:06:07 mx1 dovecot[7]: imap-login: x",
        ] {
            assert_eq!(frame(line.as_bytes()), None, "{line}");
            assert_eq!(crate::framing::frame(line.as_bytes()).unwrap().host, b"mx1", "{line}");
        }
        for line in [
            "2026-03-04 05:06:07 H=pc7 [198.51.100.7]: x",
            "2026-03-04 05:06:07 1tXyZa-0001Ab-2c exim[7]: x",
            "2026-03-04 05:06:07 Warning: purging the environment.",
            "2026-03-04 05:06:07 SMTP error: x",
        ] {
            assert!(frame(line.as_bytes()).is_some(), "{line}");
        }
    }

    #[test]
    fn a_doubled_stamp_is_taken_off() {
        for front in [
            "Mar  4 05:06:07 mx1 exim[77]: ",
            "2026-03-04T05:06:07.5+01:00 mx1 /usr/sbin/exim4[77]: ",
            "<22>1 2026-03-04T05:06:07Z mx1 exim 77 - - ",
        ] {
            for inner in stamps().iter().map(|(stamp, _)| format!("{stamp} ")).chain([String::new()]) {
                let line = format!("{front}{inner}1tXyZa-0001Ab-2c Completed");
                let raw = crate::framing::frame(line.as_bytes()).unwrap();
                assert_eq!((raw.program, raw.host, raw.pid), (Program::Exim, &b"mx1"[..], Some(77)), "{line}");
                assert_eq!(raw.body, b"1tXyZa-0001Ab-2c Completed", "{line}");
            }
        }
    }
}
