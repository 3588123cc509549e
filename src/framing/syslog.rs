//! Syslog lines: BSD stamps (RFC 3164), RFC 3339 stamps, RFC 5424, with or without `<PRI>`.

use super::{Program, RawLine, mainlog, stamp, without_nuls};
use crate::mail::time::Stamp;

/// A repetition count beyond this is not believed: daemons say how often at the latest after some minutes.
const MOST_REPEATED: u32 = 100_000;

/// A syslog line taken apart; `None` when there is no stamp with a program's tag behind it.
pub fn frame(line: &[u8]) -> Option<RawLine<'_>> {
    let line = match priority(line) {
        Some(rest) => match rest.strip_prefix(b"1 ") {
            Some(rest) => return rfc5424(rest),
            None => rest.trim_ascii_start(),
        },
        None => line,
    };
    if let Some(raw) = line.strip_prefix(b"1 ").and_then(rfc5424) {
        return Some(raw);
    }
    let (stamp, rest) = stamp(line)?;
    behind_stamp(stamp, rest)
}

fn stamp(line: &[u8]) -> Option<(Stamp, &[u8])> {
    match line.first()? {
        b'0'..=b'9' => stamp::iso(line).or_else(|| stamp::bsd(line)).or_else(|| stamp::unix(line)),
        _ => stamp::bsd(line).or_else(|| stamp::iso(stamp::without_weekday(line))),
    }
}

/// Host, tag and message behind a stamp; where the stamp is followed by a zone's name, behind that.
pub fn behind_stamp(stamp: Stamp, text: &[u8]) -> Option<RawLine<'_>> {
    let (host, rest) = host(text);
    match tagged(stamp, host, rest).or_else(|| untagged(stamp, host, rest)) {
        // Routers put a colon behind the zone.
        Some(raw) if host.is_empty() && raw.pid.is_none() && stamp.offset_s.is_none() => {
            behind_zone(stamp, text).filter(|behind| behind.stamp.offset_s.is_some()).or(Some(raw))
        }
        Some(raw) => Some(raw),
        None => behind_zone(stamp, text),
    }
}

fn behind_zone(stamp: Stamp, text: &[u8]) -> Option<RawLine<'_>> {
    let (zone, after) = word(text.trim_ascii_start());
    let offset_s = stamp::zone_name(zone.strip_suffix(b":").unwrap_or(zone))?;
    let (host, rest) = host(after);
    tagged(Stamp { offset_s: stamp.offset_s.or(offset_s), ..stamp }, host, rest)
}

fn tagged<'a>(stamp: Stamp, host: &'a [u8], rest: &'a [u8]) -> Option<RawLine<'a>> {
    let (name, pid, body) = tag(rest)?;
    Some(finished(RawLine { stamp, host, program: program(name), pid, body, times: 1 }))
}

/// The host behind a stamp, empty where there is none, and what begins with the tag. Facility and level may stand in
/// front of either: `mail.info` (busybox, templates), `<mail.info>` and `<2.6>` (FreeBSD's syslogd -v).
fn host(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.strip_prefix(b":").unwrap_or(text).trim_ascii_start();
    let text = without_level_in_angles(text);
    let (first, after) = word(text);
    let after = after.trim_ascii_start();
    // An IPv6 address may end with colons, as a tag does with one.
    if tag(text).is_some() && !(first.ends_with(b"::") && tag(after).is_some()) {
        return (&[], text);
    }
    if is_facility_level(first) && tag(after).is_some() {
        return (&[], after);
    }
    let rest = without_level_in_angles(after);
    // Only where no tag follows at once may it be a level.
    let (level, behind) = word(rest);
    let is_level = !level.ends_with(b":") && is_facility_level(level);
    (origin(first), if is_level { behind.trim_ascii_start() } else { rest })
}

/// The host that a line came from, out of syslog-ng's `source@host` and chains of hosts that passed it on,
/// `host/relay`.
fn origin(host: &[u8]) -> &[u8] {
    let first = host.split(|byte| *byte == b'/').next().filter(|first| !first.is_empty()).unwrap_or(host);
    match memchr::memrchr(b'@', first).and_then(|at| first.get(at + 1..)) {
        Some(name) if !name.is_empty() => name,
        _ => first,
    }
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
    let host = if host == b"-" { &[] } else { origin(host) };
    // rsyslog keeps the blank that stood behind the colon of the tag.
    let body = message.strip_prefix(b" ").unwrap_or(message);
    Some(finished(RawLine { stamp, host, program: program(app), pid, body, times: 1 }))
}

/// `APP PROCID MSGID SD MSG`: the same without the version, as some templates have it.
fn untagged<'a>(stamp: Stamp, host: &'a [u8], text: &'a [u8]) -> Option<RawLine<'a>> {
    let (app, rest) = word(text);
    let (procid, rest) = word(rest);
    let (_msgid, rest) = word(rest);
    let is_data = matches!(rest, [b'-'] | [b'-', b' ', ..] | [b'[', ..]);
    if app.is_empty() || !is_data || procid != b"-" && number(procid).is_none() {
        return None;
    }
    let body = structured_data(rest)?;
    Some(finished(RawLine { stamp, host, program: program(app), pid: number(procid), body, times: 1 }))
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

/// `tag[pid]: message` or `tag: message`, with a level behind the tag as macOS has it (`tag[pid] <Notice>: message`).
fn tag(text: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    let (word, after) = word(text);
    let (name, pid, body) = match memchr::memchr(b'[', word) {
        Some(at) => {
            let (name, tail) = word.split_at_checked(at)?;
            let end = memchr::memchr(b']', tail)?;
            let behind = text.get(at + end + 1..)?;
            let body = behind.strip_prefix(b":").or_else(|| behind_level(behind.strip_prefix(b" ")?))?;
            (name, number(tail.get(1..end)?), body)
        }
        None => match word.strip_suffix(b":") {
            Some(name) => (name, None, after),
            None => (word, None, behind_level(after)?),
        },
    };
    (!name.is_empty()).then(|| (name, pid, body.trim_ascii_start()))
}

/// What follows `<Notice>:`.
fn behind_level(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"<")?;
    let len = inner.iter().take(12).take_while(|byte| byte.is_ascii_alphabetic()).count();
    inner.get(len..)?.strip_prefix(b">:").filter(|_| len > 0)
}

/// True for a message that has its tag, and no stamp.
pub fn has_tag(text: &[u8]) -> bool {
    tag(text).is_some()
}

/// `last message repeated 2 times`: the line in front, of the same host, came so many times more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated<'a> {
    pub stamp: Stamp,
    /// Empty where the line has none.
    pub host: &'a [u8],
    pub times: u32,
}

/// A BSD syslogd's word on the line in front of it, with its own tag or without: `last message repeated 2 times`.
/// `None` for any other line.
pub fn last_repeated(line: &[u8]) -> Option<Repeated<'_>> {
    // Nearly every line ends in another way.
    let line = line.trim_ascii_end();
    let line = line.strip_suffix(b" ---").unwrap_or(line);
    let line = line.strip_suffix(b" times").or_else(|| line.strip_suffix(b" time"))?;
    let line = without_nuls(line);
    let (stamp, rest) = stamp(priority(line).unwrap_or(line))?;
    let said = |text: &'_ [u8]| {
        let count =
            text.strip_prefix(b"last message repeated ").or_else(|| text.strip_prefix(b"last message buffered "))?;
        Some(number(count)?.clamp(1, MOST_REPEATED))
    };
    let rest = without_level_in_angles(rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start());
    if let Some(times) = said(rest) {
        return Some(Repeated { stamp, host: &[], times });
    }
    let (first, after) = word(rest);
    if let Some(times) = said(after.trim_ascii_start()) {
        // macOS has dashes around it and no host.
        let host = if first == b"---" || is_syslogd(first) { &[] } else { origin(first) };
        return Some(Repeated { stamp, host, times });
    }
    let (tag, message) = word(after.trim_ascii_start());
    let times = said(message.trim_ascii_start()).filter(|_| is_syslogd(tag) || is_facility_level(tag))?;
    Some(Repeated { stamp, host: origin(first), times })
}

/// `syslogd:`, `syslogd[7]:`
fn is_syslogd(text: &[u8]) -> bool {
    tag(text).is_some_and(|(name, _, _)| name == b"syslogd")
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
/// another syslog name), `exim4`, `/usr/sbin/exim4`. The path of a program says as much as its name.
pub fn program(tag: &[u8]) -> Program<'_> {
    if let Some(at) = memchr::memrchr(b'/', tag) {
        let (front, last) = (tag.get(..at).unwrap_or_default(), tag.get(at + 1..).unwrap_or_default());
        // Cyrus has an lmtp and a master of its own.
        if front.starts_with(b"postfix") || !front.starts_with(b"cyrus") && POSTFIX_SERVICES.contains(&last) {
            let first = front.split(|byte| *byte == b'/').next().unwrap_or_default();
            let instance = if first == b"postfix" || first.starts_with(b"postfix-") { first } else { &[] };
            return Program::Postfix { instance, service: last, is_relay: front.ends_with(b"/relay") };
        }
        if is_exim(last) {
            return Program::Exim;
        }
    } else if tag.strip_prefix(b"postfix").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit)) {
        return Program::Postfix { instance: tag, service: tag, is_relay: false };
    } else if is_exim(tag) {
        return Program::Exim;
    }
    Program::Other(tag)
}

/// `exim`, `exim4`, `exim-4.97`, `exim-out`, `sm-exim`; not `eximstats` or `exim_exporter`.
fn is_exim(name: &[u8]) -> bool {
    if name.ends_with(b"exporter") {
        return false;
    }
    match name.strip_prefix(b"exim") {
        Some(rest) => !rest.first().is_some_and(u8::is_ascii_alphabetic),
        None => name.ends_with(b"-exim") || name.ends_with(b"_exim") || name.ends_with(b"-exim4"),
    }
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
    b"postalias",
    b"postdrop",
    b"postfix-script",
    b"postlog",
    b"postlogd",
    b"postmap",
    b"postqueue",
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

/// `mail.info`: the facility is one of syslog's (RFC 5424 section 6.2.1), as a host `relay.info` has none.
fn is_facility_level(text: &[u8]) -> bool {
    let Some(dot) = memchr::memchr(b'.', text) else { return false };
    let (facility, level) = (text.get(..dot).unwrap_or_default(), text.get(dot + 1..).unwrap_or_default());
    const FACILITIES: &[&[u8]] = &[
        b"auth",
        b"authpriv",
        b"console",
        b"cron",
        b"daemon",
        b"ftp",
        b"kern",
        b"lpr",
        b"mail",
        b"news",
        b"ntp",
        b"security",
        b"syslog",
        b"user",
        b"uucp",
    ];
    const LEVELS: &[&[u8]] =
        &[b"debug", b"info", b"notice", b"warn", b"warning", b"err", b"error", b"crit", b"alert", b"emerg", b"panic"];
    let is_local = matches!(facility, [b'l', b'o', b'c', b'a', b'l', b'0'..=b'7']);
    LEVELS.contains(&level) && (is_local || FACILITIES.contains(&facility))
}

/// What follows `<mail.info> ` or `<2.6> `.
fn without_level_in_angles(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"<") {
        return text;
    }
    let (level, rest) = word(text);
    let Some(inner) = level.strip_prefix(b"<").and_then(|inner| inner.strip_suffix(b">")) else { return text };
    let is_numbers = inner.contains(&b'.') && inner.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if is_numbers || is_facility_level(inner) { rest.trim_ascii_start() } else { text }
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
        for (name, line) in [
            ("RFC 3164", "Mar  4 05:06:07 mx1 postfix/smtpd[9]: "),
            ("zero-padded day", "Mar 04 05:06:07 mx1 postfix/smtpd[9]: "),
            ("day by one space only", "Mar 4 05:06:07 mx1 postfix/smtpd[9]: "),
            ("fraction", "Mar  4 05:06:07.123 mx1 postfix/smtpd[9]: "),
            ("fraction with a comma", "Mar  4 05:06:07,123456789 mx1 postfix/smtpd[9]: "),
            ("year in front", "2026 Mar  4 05:06:07.123 mx1 postfix/smtpd[9]: "),
            ("year behind the day", "Mar  4 2026 05:06:07 mx1 postfix/smtpd[9]: "),
            ("year behind the time", "Mar  4 05:06:07 2026 mx1 postfix/smtpd[9]: "),
            ("weekday", "Wed Mar  4 05:06:07 2026 mx1 postfix/smtpd[9]: "),
            ("zone word", "Mar  4 05:06:07 CET mx1 postfix/smtpd[9]: "),
            ("zone word and colon", "Mar  4 05:06:07.123 UTC: mx1 postfix/smtpd[9]: "),
            ("zone in figures", "Mar  4 05:06:07 +0100 mx1 postfix/smtpd[9]: "),
            ("colon", "Mar  4 05:06:07: mx1 postfix/smtpd[9]: "),
            ("RFC 3339 with microseconds", "2026-03-04T05:06:07.123456+01:00 mx1 postfix/smtpd[9]: "),
            ("RFC 3339 without a fraction", "2026-03-04T05:06:07+01:00 mx1 postfix/smtpd[9]: "),
            ("RFC 3339 with nine digits and a comma", "2026-03-04T05:06:07,123456789-00:00 mx1 postfix/smtpd[9]: "),
            ("RFC 3339 with one digit", "2026-03-04t05:06:07.1z mx1 postfix/smtpd[9]: "),
            ("ISO, Z", "2026-03-04T05:06:07Z mx1 postfix/smtpd[9]: "),
            ("ISO, zone without a colon", "2026-03-04T05:06:07+0100 mx1 postfix/smtpd[9]: "),
            ("ISO, hours only", "2026-03-04T05:06:07+01 mx1 postfix/smtpd[9]: "),
            ("ISO without a zone", "2026-03-04T05:06:07 mx1 postfix/smtpd[9]: "),
            ("ISO with a blank", "2026-03-04 05:06:07 mx1 postfix/smtpd[9]: "),
            ("ISO with blanks and a zone", "2026-03-04 05:06:07.123456+0100  mx1 postfix/smtpd[9]: "),
            ("Solaris message id", "Mar  4 05:06:07 mx1 postfix/smtpd[9]: [ID 197553 mail.info] "),
            ("leading NUL bytes", "\0\0\0Mar  4 05:06:07 mx1 postfix/smtpd[9]: "),
            ("RFC 5424", "<22>1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - - "),
            ("RFC 5424, structured data", "<22>1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - [x a=\"]\\\"\"][y] "),
            (
                "RFC 5424, message id and byte order mark",
                "<22>1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 ID47 - \u{FEFF}",
            ),
            ("RFC 5424 without PRI", "1 2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - - "),
            ("RFC 5424 without PRI and version", "2026-03-04T05:06:07Z mx1 postfix/smtpd 9 - - "),
            ("PRI", "<22>Mar  4 05:06:07 mx1 postfix/smtpd[9]: "),
            ("PRI and blank", "<22> 2026-03-04T05:06:07Z mx1 postfix/smtpd[9]: "),
            ("busybox", "Mar  4 05:06:07 mx1 mail.info postfix/smtpd[9]: "),
            ("FreeBSD -vv", "Mar  4 05:06:07 <mail.info> mx1 postfix/smtpd[9]: "),
            ("FreeBSD -v", "Mar  4 05:06:07 <2.6> mx1 postfix/smtpd[9]: "),
            ("level behind the host", "Mar  4 05:06:07 mx1 <mail.info> postfix/smtpd[9]: "),
            ("macOS", "Mar  4 05:06:07 mx1 postfix/smtpd[9] <Info>: "),
            ("spaces after the colon", "Mar  4 05:06:07 mx1 postfix/smtpd[9]:   "),
            ("no space after the colon", "Mar  4 05:06:07 mx1 postfix/smtpd[9]:"),
            ("syslog-ng source", "Mar  4 05:06:07 s_all@mx1 postfix/smtpd[9]: "),
            ("syslog-ng chain", "Mar  4 05:06:07 mx1/relay.b.example postfix/smtpd[9]: "),
            ("syslog-ng source and chain", "Mar  4 05:06:07 s_all@mx1/s_tcp@relay postfix/smtpd[9]: "),
            ("docker logs -t", "2026-03-04T05:06:08.5Z Mar  4 05:06:07 mx1 postfix/smtpd[9]: "),
        ] {
            let line = format!("{line}connect from a[192.0.2.1]");
            for line in [line.clone(), format!("{line}\r")] {
                let raw = crate::framing::frame(line.as_bytes()).unwrap_or_else(|| panic!("{name}"));
                assert_eq!((raw.host, raw.pid, raw.times), (&b"mx1"[..], Some(9), 1), "{name}");
                assert!(matches!(raw.program, Program::Postfix { service: b"smtpd", is_relay: false, .. }), "{name}");
                assert_eq!(raw.body, b"connect from a[192.0.2.1]", "{name}");
                let stamp = (raw.stamp.month, raw.stamp.day, raw.stamp.hour, raw.stamp.minute, raw.stamp.second);
                assert_eq!(stamp, (3, 4, 5, 6, 7), "{name}");
                assert!(raw.stamp.year.is_none_or(|year| year == 2026), "{name}");
            }
        }
    }

    #[test]
    fn a_host_is_taken_as_it_is_and_may_be_missing() {
        for (host, expected) in [
            ("mx1.b.example ", "mx1.b.example"),
            ("192.0.2.9 ", "192.0.2.9"),
            ("2001:db8::7 ", "2001:db8::7"),
            ("2001:db8:: ", "2001:db8::"),
            ("relay.info ", "relay.info"),
            ("UTC ", "UTC"),
            ("", ""),
            ("mail.info ", ""),
            ("<mail.info> ", ""),
        ] {
            for stamp in ["Mar  4 05:06:07", "2026-03-04T05:06:07Z"] {
                for (tag, pid) in [("postfix/smtpd[9]:", Some(9)), ("postfix/smtpd:", None)] {
                    let line = format!("{stamp} {host}{tag} connect");
                    let raw = frame(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
                    assert_eq!((raw.host, raw.pid, raw.body), (expected.as_bytes(), pid, &b"connect"[..]), "{line}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_syslog_line_is_none() {
        for line in [
            "",
            "Mar  4 05:06:07",
            "Mar  4 05:06:07 mx1",
            "Mar  4 05:06:07 mx1 no tag here",
            "Mar  4 05:06:07 mx1 last message repeated 2 times",
            "<22>1 - mx1 postfix/smtpd 9 - - connect",
            "2026-03-04T05:06:07Z mx1 a sentence with - a dash",
            "<999999>Mar  4 05:06:07 mx1 x: y",
        ] {
            assert_eq!(frame(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_zone_word_gives_the_offset_where_it_has_one_meaning() {
        for (zone, offset) in [("CET", Some(3600)), ("GMT", Some(0)), ("IST", None), ("-0330", Some(-12_600))] {
            let line = format!("Mar  4 05:06:07 {zone} mx1 x: y");
            assert_eq!(frame(line.as_bytes()).unwrap().stamp.offset_s, offset, "{zone}");
        }
    }

    #[test]
    fn a_syslogd_counts_the_line_in_front() {
        for (line, host, times) in [
            ("Mar  9 05:30:59 mx1 last message repeated 2 times", "mx1", 2),
            ("Mar  9 05:30:59 mx1 last message repeated 1 time", "mx1", 1),
            ("Mar  9 05:30:59 mx1 last message buffered 7 times\r", "mx1", 7),
            ("Mar  9 05:30:59 mx1 syslogd: last message repeated 2 times", "mx1", 2),
            ("Mar  9 05:30:59 mx1 syslogd[7]: last message repeated 2 times", "mx1", 2),
            ("Mar  9 05:30:59 <mail.info> mx1 last message repeated 2 times", "mx1", 2),
            ("2026-03-09T05:30:59Z s_all@mx1 last message repeated 2 times", "mx1", 2),
            ("<22>Mar  9 05:30:59 last message repeated 2 times", "", 2),
            ("Mar  9 05:30:59 --- last message repeated 2 times ---", "", 2),
            ("Mar  9 05:30:59 mx1 last message repeated 4000000000 times", "mx1", MOST_REPEATED),
        ] {
            let said = last_repeated(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((said.host, said.times, said.stamp.day), (host.as_bytes(), times, 9), "{line}");
        }
        for line in [
            "Mar  9 05:30:59 mx1 x[1]: last message repeated 2 times",
            "last message repeated 2 times",
            "Mar  9 05:30:59 mx1 last message repeated x times",
            "Mar  9 05:30:59 mx1 postfix/smtpd[1]: too many times",
        ] {
            assert_eq!(last_repeated(line.as_bytes()), None, "{line}");
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
        let postfix = |instance: &'static [u8], service: &'static [u8], is_relay| Program::Postfix {
            instance,
            service,
            is_relay,
        };
        for (tag, expected) in [
            (&b"postfix/submissions/smtpd"[..], postfix(b"postfix", b"smtpd", false)),
            (b"postfix-192.0.2.9/smtp", postfix(b"postfix-192.0.2.9", b"smtp", false)),
            (b"postfix-incoming/smtpd", postfix(b"postfix-incoming", b"smtpd", false)),
            (b"postfix1/smtpd", postfix(b"", b"smtpd", false)),
            (b"postfix/relay/smtp", postfix(b"postfix", b"smtp", true)),
            (b"postfix/smtp-25/smtpd", postfix(b"postfix", b"smtpd", false)),
            (b"postfix/10025/smtpd", postfix(b"postfix", b"smtpd", false)),
            (b"postfix", postfix(b"postfix", b"postfix", false)),
            (b"postfix1", postfix(b"postfix1", b"postfix1", false)),
            (b"amavis/smtp", postfix(b"", b"smtp", false)),
            (b"mta-out/smtp", postfix(b"", b"smtp", false)),
            (b"mta-out/postqueue", postfix(b"", b"postqueue", false)),
            (b"exim", Program::Exim),
            (b"exim4", Program::Exim),
            (b"exim-4.97", Program::Exim),
            (b"/usr/sbin/exim4", Program::Exim),
            (b"sm-exim", Program::Exim),
            (b"eximstats", Program::Other(b"eximstats")),
            (b"exim_exporter", Program::Other(b"exim_exporter")),
            (b"dovecot", Program::Other(b"dovecot")),
            (b"cyrus/lmtp", Program::Other(b"cyrus/lmtp")),
            (b"postfixadmin", Program::Other(b"postfixadmin")),
            (b"systemd/postfix", Program::Other(b"systemd/postfix")),
        ] {
            assert_eq!(program(tag), expected, "{}", String::from_utf8_lossy(tag));
        }
        for line in
            ["Mar  4 05:06:07 mx1 dpkg: postfix/smtpd[9]: x", "Mar  4 05:06:07 mx1 kernel: exim[7]: postfix[9]: x"]
        {
            assert!(matches!(frame(line.as_bytes()).unwrap().program, Program::Other(_)), "{line}");
        }
    }
}
