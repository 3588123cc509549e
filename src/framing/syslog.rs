//! Syslog lines: BSD stamps (RFC 3164), RFC 3339 stamps, RFC 5424, with or without `<PRI>`.

use super::{Program, RawLine, mainlog, stamp};
use crate::mail::time::Stamp;

/// A repetition count beyond this is not believed: daemons say how often at the latest after some minutes.
const MOST_REPEATED: u32 = 100_000;

/// A syslog line taken apart; `None` when there is no stamp with a program's tag behind it.
pub fn frame(line: &[u8]) -> Option<RawLine<'_>> {
    let line = match priority(line) {
        Some(rest) => match rest.strip_prefix(b"1 ") {
            Some(rest) => return rfc5424(rest),
            None => rest,
        },
        None => line,
    };
    let (stamp, rest) = match line.first()? {
        b'0'..=b'9' => stamp::iso(line).or_else(|| stamp::bsd(line))?,
        _ => stamp::bsd(line)?,
    };
    let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
    let (host, mut rest) = match word(rest) {
        // Without a host the tag comes first.
        (first, _) if first.ends_with(b":") => (&b""[..], rest),
        (first, rest) => (first, rest),
    };
    // busybox and some templates put `facility.level` in front of the tag.
    if let (level, after) = word(rest)
        && !level.ends_with(b":")
        && is_facility_level(level)
    {
        rest = after;
    }
    tagged(stamp, host, rest)
}

/// What follows `<PRI>`.
fn priority(line: &[u8]) -> Option<&[u8]> {
    let inner = line.strip_prefix(b"<")?;
    let len = inner.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    inner.get(len..)?.strip_prefix(b">").filter(|_| (1..=3).contains(&len))
}

/// `TIMESTAMP HOST APP PROCID MSGID SD MSG` (RFC 5424 section 6), behind the version.
fn rfc5424(text: &[u8]) -> Option<RawLine<'_>> {
    let (stamp, rest) = stamp::iso(text)?;
    let (host, rest) = word(rest.strip_prefix(b" ")?);
    let (app, rest) = word(rest);
    let (procid, rest) = word(rest);
    let (_msgid, rest) = word(rest);
    let message = structured_data(rest)?;
    let pid = number(procid);
    let host = if host == b"-" { &[] } else { host };
    Some(finished(RawLine { stamp, host, program: program(app), pid, body: message, times: 1 }))
}

/// What follows the structured data: `-`, or any number of `[id key="value"]`.
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    let mut rest = match text.strip_prefix(b"-") {
        Some(rest) => rest,
        None => {
            let mut rest = text;
            while rest.starts_with(b"[") {
                let mut quoted = false;
                let mut escaped = false;
                let end = rest.iter().position(|&byte| {
                    let ends = byte == b']' && !quoted;
                    if byte == b'"' && !escaped {
                        quoted = !quoted;
                    }
                    escaped = byte == b'\\' && !escaped;
                    ends
                })?;
                rest = rest.get(end + 1..)?;
            }
            rest
        }
    };
    rest = rest.strip_prefix(b" ").unwrap_or(rest);
    // A byte order mark announces UTF-8 (RFC 5424 section 6.4).
    Some(rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest))
}

fn tagged<'a>(stamp: Stamp, host: &'a [u8], rest: &'a [u8]) -> Option<RawLine<'a>> {
    let (name, pid, body) = tag(rest)?;
    Some(finished(RawLine { stamp, host, program: program(name), pid, body, times: 1 }))
}

/// `tag[pid]: message`; the pid may be absent.
fn tag(text: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    let (tag, body) = word(text);
    let tag = tag.strip_suffix(b":")?;
    let (name, pid) = match memchr::memchr(b'[', tag) {
        Some(at) => {
            let (name, pid) = tag.split_at_checked(at)?;
            (name, number(pid.strip_prefix(b"[")?.strip_suffix(b"]")?))
        }
        None => (tag, None),
    };
    (!name.is_empty()).then_some((name, pid, body))
}

/// True for a message that has its tag, and no stamp.
pub fn has_tag(text: &[u8]) -> bool {
    tag(text).is_some()
}

/// Takes off what syslog daemons put around a message: Solaris's message id, repetition counts, Exim's second stamp.
fn finished(mut line: RawLine<'_>) -> RawLine<'_> {
    if let Some(tail) = line.body.strip_prefix(b"[ID ")
        && let Some(end) = memchr::memmem::find(tail, b"] ")
    {
        line.body = tail.get(end + 2..).unwrap_or_default();
    }
    if let Some(tail) = line.body.strip_prefix(b"message repeated ")
        && let Some(end) = memchr::memmem::find(tail, b" times: [ ")
        && let Some(times) = tail.get(..end).and_then(number)
        && let Some(inner) = tail.get(end + 10..)
    {
        line.times = times.clamp(1, MOST_REPEATED);
        line.body = inner.strip_suffix(b"]").unwrap_or(inner);
    }
    if line.program == Program::Exim {
        line.body = mainlog::without_stamp(line.body);
    }
    line
}

/// The program a tag names: `postfix/smtpd`, `postfix-out/submission/smtpd`, `amavis/smtp` (a Postfix service under
/// another syslog name), `exim4`.
pub fn program(tag: &[u8]) -> Program<'_> {
    let slash = memchr::memrchr(b'/', tag);
    if let Some(at) = slash {
        let (front, last) = (tag.get(..at).unwrap_or_default(), tag.get(at + 1..).unwrap_or_default());
        if front.starts_with(b"postfix") || POSTFIX_SERVICES.contains(&last) {
            return Program::Postfix { service: last, is_relay: front.ends_with(b"/relay") };
        }
    } else if tag == b"postfix" {
        return Program::Postfix { service: tag, is_relay: false };
    } else if tag.starts_with(b"exim") {
        return Program::Exim;
    }
    Program::Other(tag)
}

/// The daemons and commands of Postfix (master(5), "SEE ALSO"), as the last component of a tag.
const POSTFIX_SERVICES: &[&[u8]] = &[
    b"anvil",
    b"bounce",
    b"cleanup",
    b"discard",
    b"dnsblog",
    b"error",
    b"flush",
    b"lmtp",
    b"local",
    b"master",
    b"oqmgr",
    b"pickup",
    b"pipe",
    b"postdrop",
    b"postlogd",
    b"postscreen",
    b"postsuper",
    b"proxymap",
    b"qmgr",
    b"qmqpd",
    b"scache",
    b"sendmail",
    b"showq",
    b"smtp",
    b"smtpd",
    b"spawn",
    b"tlsmgr",
    b"tlsproxy",
    b"trivial-rewrite",
    b"verify",
    b"virtual",
];

/// `mail.info`: two lower-case words of letters and digits.
fn is_facility_level(text: &[u8]) -> bool {
    let Some(dot) = memchr::memchr(b'.', text) else { return false };
    let (facility, level) = (text.get(..dot).unwrap_or_default(), text.get(dot + 1..).unwrap_or_default());
    const LEVELS: &[&[u8]] =
        &[b"debug", b"info", b"notice", b"warn", b"warning", b"err", b"error", b"crit", b"alert", b"emerg", b"panic"];
    facility.len() >= 3 && facility.iter().all(u8::is_ascii_alphanumeric) && LEVELS.contains(&level)
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_envelope_gives_the_same_line() {
        for line in [
            "Mar  4 05:06:07 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "Mar 04 05:06:07 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "2026-03-04T05:06:07.123456+01:00 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "2026-03-04T05:06:07+0100 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "2026 Mar  4 05:06:07.123 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "<22>1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - - connect from a[192.0.2.1]",
            "<22>1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - [x a=\"]\\\"\"][y] connect from a[192.0.2.1]",
            "<22>Mar  4 05:06:07 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]",
            "Mar  4 05:06:07 mx1 mail.info postfix/smtpd[9]: connect from a[192.0.2.1]",
            "Mar  4 05:06:07 mx1 postfix/smtpd[9]: [ID 197553 mail.info] connect from a[192.0.2.1]",
        ] {
            let raw = frame(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((raw.host, raw.pid, raw.times), (&b"mx1"[..], Some(9), 1), "{line}");
            assert_eq!(raw.program, Program::Postfix { service: b"smtpd", is_relay: false }, "{line}");
            assert_eq!(raw.body, b"connect from a[192.0.2.1]", "{line}");
        }
    }

    #[test]
    fn a_repetition_stands_for_its_inner_line() {
        let raw =
            frame(b"Mar  4 05:06:07 mx1 postfix/smtpd[9]: message repeated 2 times: [ connect from a[192.0.2.1]]")
                .unwrap();
        assert_eq!((raw.times, raw.body), (2, &b"connect from a[192.0.2.1]"[..]));
    }

    #[test]
    fn the_tag_alone_tells_the_program() {
        let postfix = |service, is_relay| Program::Postfix { service, is_relay };
        for (tag, expected) in [
            (&b"postfix/submissions/smtpd"[..], postfix(&b"smtpd"[..], false)),
            (b"postfix-192.0.2.9/smtp", postfix(b"smtp", false)),
            (b"postfix/relay/smtp", postfix(b"smtp", true)),
            (b"postfix/smtp-25/smtpd", postfix(b"smtpd", false)),
            (b"amavis/smtp", postfix(b"smtp", false)),
            (b"exim4", Program::Exim),
            (b"dovecot", Program::Other(b"dovecot")),
            (b"systemd/postfix", Program::Other(b"systemd/postfix")),
        ] {
            assert_eq!(program(tag), expected, "{}", String::from_utf8_lossy(tag));
        }
    }
}
