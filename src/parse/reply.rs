//! What a server said, taken apart: the innermost reply of a log text, its codes, its words and the stage it belongs to.
//!
//! Mail servers quote each other: `delivery temporarily suspended: host mx[192.0.2.8] said: 550-5.1.1 a 550 5.1.1 b (in
//! reply to RCPT TO command)`. The reason is in the last reply quoted, so that one is taken. Not supported: replies that
//! were cut in front, and continuation lines whose reply code differs from the first line's.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::{memchr, memmem, memrchr, memrchr_iter};

use super::fields::{find, position_behind};
use crate::mail::status::{EnhancedCode, SmtpCode, Stage};

/// One reply, borrowed from the log text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Reply code of the last line. `None` in a mail server's own words.
    pub smtp_code: Option<SmtpCode>,
    /// Enhanced code of the last line that has one.
    pub enhanced_code: Option<EnhancedCode>,
    /// The words behind the codes; the lines of one reply are joined by a blank.
    pub text: Cow<'a, [u8]>,
    /// Where in the dialogue it was said. `None` where the text does not tell.
    pub stage: Option<Stage>,
    /// Name of the host that said it, or that could not be reached.
    pub host: Option<&'a [u8]>,
    /// Address of that host, without brackets and port.
    pub ip: Option<&'a [u8]>,
    /// Whose words these are.
    pub kind: ReplyKind,
}

/// Whose words a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// A server's answer: it is quoted, or starts with a reply code.
    Remote,
    /// The mail server that wrote the log: `Connection refused`, `Unrouteable address`.
    Own,
}

/// Finds the innermost reply of `response`: the text of a Postfix `status=… (TEXT)` without its parentheses, of an Exim
/// `**` or `==` line behind its colon, of a rejection, a bare answer, or one as qmail logs it, with `_` for blanks. Time is
/// linear in the length.
pub fn reply(response: &[u8]) -> Reply<'_> {
    let Some(words) = qmail(response.trim_ascii()) else { return innermost_of(response) };
    let blanks: Vec<u8> = words.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
    let found = innermost_of(&blanks);
    Reply { text: Cow::Owned(found.text.into_owned()), host: None, ip: None, ..found }
}

/// The report in `delivery 7: failure: mx_does_not_like_recipient./Remote_host_said:_550_no/Giving_up_on_mx./`, without
/// what follows the answer. `None` if qmail did not write it.
fn qmail(text: &[u8]) -> Option<&[u8]> {
    let report = strip(text, b"delivery ").and_then(|rest| rest.get(find(rest, b": ")? + 2..)).unwrap_or(text);
    let report = [&b"deferral: "[..], b"failure: "].iter().find_map(|word| strip(report, word)).unwrap_or(report);
    let is_report = report.ends_with(b"/") && memchr(b'_', report).is_some() && memchr(b' ', report).is_none();
    let report = if is_report { report } else { return None };
    let report = report.get(..find(report, b"/Giving_up_on_").unwrap_or(report.len()))?;
    Some(report.strip_suffix(b"/").unwrap_or(report))
}

fn innermost_of(response: &[u8]) -> Reply<'_> {
    let mut found = Reply {
        smtp_code: None,
        enhanced_code: None,
        text: Cow::Borrowed(b""),
        stage: None,
        host: None,
        ip: None,
        kind: ReplyKind::Own,
    };
    let mut text = wrapped(response.trim_ascii(), &mut found);
    if let Some((said, stage)) = in_reply_to(text) {
        text = said;
        found.stage = stage.or(found.stage);
    }
    let own = text;
    if let Some((start, wrapper)) = innermost(text) {
        found.kind = ReplyKind::Remote;
        let (host, ip) = last_host(wrapper);
        found.host = host.or(found.host);
        found.ip = ip.or(found.ip);
        found.stage = stage_of_wrapper(wrapper).or(found.stage);
        text = without_giving_up(unquoted(text, start));
    } else if let Some(at) = QMAIL_QUOTE.find(text) {
        // Nothing but the words of the answer is left.
        found.kind = ReplyKind::Remote;
        text = text.get(at + QMAIL_QUOTE.needle().len()..).unwrap_or_default();
        text = without_giving_up(text);
    }
    lines(text, &mut found);
    if found.smtp_code.is_some() {
        found.kind = ReplyKind::Remote;
    }
    if found.kind == ReplyKind::Own && found.host.is_none() {
        (found.host, found.ip) = own_host(own);
        found.stage = found.stage.or_else(|| stage_of_own(own));
    }
    found
}

/// Takes off what this host put in front of a reason: `delivery temporarily suspended: `, Exim's `(-44) `, `H=mx [ip]: `.
fn wrapped<'a>(mut text: &'a [u8], found: &mut Reply<'a>) -> &'a [u8] {
    for _ in 0..6 {
        text = if let Some(rest) = strip(text, b"delivery temporarily suspended: ") {
            rest
        } else if let Some(rest) = errno(text) {
            rest
        } else if let Some((head, rest)) = exim_host(text) {
            (found.host, found.ip) = last_host(head);
            rest
        } else if let Some(rest) = exim_driver(text) {
            rest
        } else {
            return text;
        }
        .trim_ascii();
    }
    text
}

/// `R=dnslookup T=remote_smtp rest`: the router and transport that Exim names in front of a reason.
fn exim_driver(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"R=").or_else(|| text.strip_prefix(b"T="))?;
    let (name, rest) = rest.split_at_checked(memchr(b' ', rest)?)?;
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (!name.is_empty() && name.iter().all(is_name)).then_some(rest)
}

fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `(-44) rest`, `defer (110): rest`: Exim's error number in front.
fn errno(text: &[u8]) -> Option<&[u8]> {
    let text = strip(text, b"defer ").unwrap_or(text).strip_prefix(b"(")?;
    let (number, rest) = text.split_at_checked(memchr(b')', text.get(..8).unwrap_or(text))?)?;
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let rest = rest.get(1..)?;
    Some(rest.strip_prefix(b":").unwrap_or(rest))
}

/// `H=mx.example [192.0.2.8] X=… CV=yes: rest`: the host and what follows the fields.
fn exim_host(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let close = text.starts_with(b"H=").then(|| memchr(b']', text))??;
    let rest = text.get(close + 1..)?;
    let colon = find(rest, b": ")?;
    // Only fields may stand between the host and the colon: `:25`, `X=…`, `CV=no`, `DN="…"`.
    let fields = rest.get(..colon)?;
    let plain = fields.iter().all(|b| !b.is_ascii_whitespace()) || memchr(b'=', fields).is_some();
    plain.then_some((text.get(..=close)?, rest.get(colon + 2..)?))
}

/// `TEXT (in reply to RCPT TO command)`: the text and the stage.
fn in_reply_to(text: &[u8]) -> Option<(&[u8], Option<Stage>)> {
    memrchr_iter(b'(', text).find_map(|at| {
        let (said, tail) = text.split_at_checked(at)?;
        Some((said.trim_ascii_end(), stage_of(tail.strip_prefix(b"(in reply to ")?)))
    })
}

/// Words that are sought in every answer, made ready once.
type Words = LazyLock<memmem::Finder<'static>>;

static SENDER: Words = LazyLock::new(|| memmem::Finder::new(b"ender "));
static EXIM_QUOTE: Words = LazyLock::new(|| memmem::Finder::new(b"SMTP error from remote"));

/// How qmail quotes an answer (qmail-remote.c).
static QMAIL_QUOTE: Words = LazyLock::new(|| memmem::Finder::new(b"Remote host said: "));
/// What qmail puts behind the last answer of a message that it gives up (qmail-send.c).
const QMAIL_GIVES_UP: &[u8] = b"I'm not going to try again; this message has been in the queue too long.";

fn without_giving_up(text: &[u8]) -> &[u8] {
    text.strip_suffix(QMAIL_GIVES_UP).map_or(text, <[u8]>::trim_ascii_end)
}

/// Those introductions that never are words of the reply itself.
const QUOTES: &[&[u8]] = &[b"said:", b"to me:", b"was:", b"->", b"=>", b"response:", b"replied:", b"<<", b">>>"];

/// What stands in front of a quoted reply code, lower case.
const INTRODUCTIONS: &[&[u8]] = &[
    b"said:",
    b"to me:",
    b"was:",
    b"->",
    b"=>",
    b"with:",
    b"returned",
    b"returned:",
    b"replied:",
    b"answered:",
    b"smtp;",
    b"smtp:",
    b"led=",
    b"<<",
    b">>>",
    b"error:",
    b"reason:",
    b"response:",
    b"answer:",
    b"reply:",
    b"giving up",
    b"failure:",
    b"failed:",
];

/// Start of the last quoted reply, and the text that introduces it. `None` if no reply is quoted.
fn innermost(text: &[u8]) -> Option<(usize, &[u8])> {
    if is_callout(text) {
        return None;
    }
    let probe = sender_probe(text).unwrap_or(text.len());
    let mut exim = None;
    let mut found = None;
    let (mut from, mut seen, mut open) = (0, 0, None);
    let mut expiry = Expiry::default();
    // The reply code of a line that another one follows: `550-`.
    let mut unfinished = line_before(text);
    for at in code_starts(text).take_while(|at| *at < probe) {
        let line = text.get(at..).and_then(|rest| rest.split_at_checked(3));
        let same_reply = unfinished.is_some_and(|code| line.is_some_and(|(digits, _)| digits == code));
        unfinished = line.and_then(|(digits, rest)| rest.starts_with(b"-").then_some(digits));
        open = open_angle(text, seen, at, open);
        seen = at;
        let head = text.get(from..at)?.trim_ascii_end();
        let bare = head.strip_suffix(b"\"").or_else(|| head.strip_suffix(b"'")).unwrap_or(head);
        let bare = bare.strip_suffix(b"<").or_else(|| bare.strip_suffix(b"(")).unwrap_or(bare).trim_ascii_end();
        // An address or HELO name in `<…>` is a sender's: nothing in it introduces a reply, unless the reply starts there
        // or Exchange put the whole text in brackets: `<mx.example #5.5.0 smtp;591 …>`.
        if open.is_some_and(|open| open + 1 < at) && !(bare.ends_with(b"smtp;") && text.ends_with(b">")) {
            continue;
        }
        let exim_colon =
            bare.ends_with(b":") && exim.get_or_insert_with(|| EXIM_QUOTE.find(text)).is_some_and(|start| start < at);
        let expired = head.ends_with(b"<") && expiry.stands_between(text, from, at);
        if same_reply && !ends_in(bare, QUOTES) {
            continue;
        }
        if exim_colon || expired || introduced(bare) {
            found = Some((at, from));
            from = at;
            if text.get(at..).is_some_and(is_callout) {
                break;
            }
        }
    }
    let (at, from) = found?;
    Some((at, text.get(from..at)?))
}

/// The reply code at the very start of `text` if another line of the same reply follows.
fn line_before(text: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = text.split_at_checked(3)?;
    (rest.starts_with(b"-") && starts_with_code(text)).then_some(digits)
}

/// Where the `<` stands that is still open at `to`, given the one open at `from`. A `<` before a blank opens nothing.
fn open_angle(text: &[u8], from: usize, to: usize, mut open: Option<usize>) -> Option<usize> {
    let part = text.get(from..to).unwrap_or_default();
    for at in memchr::memchr2_iter(b'<', b'>', part) {
        let opens = part.get(at) == Some(&b'<') && text.get(from + at + 1) != Some(&b' ');
        open = opens.then_some(from + at);
    }
    open
}

/// Where the words of a sender callout stand. It quotes the reply of the sender's server behind them: the cause is the callout,
/// so that is not unwrapped.
fn sender_probe(text: &[u8]) -> Option<usize> {
    let head = text.get(..text.len().min(600)).unwrap_or(text);
    SENDER.find_iter(head).find(|at| {
        let words = at.checked_sub(1).and_then(|start| strip(head.get(start..)?, b"sender "));
        let is = |start: &[u8]| words.is_some_and(|words| strip(words, start).is_some());
        is(b"address rejected: ") || is(b"verify fail") || is(b"verification failed")
    })
}

/// Under `550-Verification failed for <…>` and the like Exim quotes what the sender's server answered.
fn is_callout(reply: &[u8]) -> bool {
    let Some(words) = SmtpCode::take(reply).map(|(_, rest)| after_code(rest).1) else { return false };
    CALLOUTS.iter().any(|start| strip(words, start).is_some())
}

/// How Exim (verify.c) starts what it says of a callout.
const CALLOUTS: &[&[u8]] = &[
    b"verification failed for <",
    b"postmaster verification failed while checking <",
    b"callback setup failed while verifying <",
];

/// Where a text speaks of expiry, sought once however often it is asked.
#[derive(Default)]
struct Expiry {
    /// Up to here has been looked.
    looked: usize,
    /// Start of the last place before.
    last: Option<usize>,
}

impl Expiry {
    const WORD: &[u8] = b"expired";

    /// True if `expired`, in any case, stands between `from` and `to`; `to` may only grow from call to call.
    fn stands_between(&mut self, text: &[u8], from: usize, to: usize) -> bool {
        let part = text.get(self.looked..to).unwrap_or_default();
        let is_word =
            |at: &usize| part.get(*at..at + Self::WORD.len()).is_some_and(|w| w.eq_ignore_ascii_case(Self::WORD));
        self.last = memchr::memchr2_iter(b'x', b'X', part)
            .filter_map(|x| x.checked_sub(1))
            .rfind(is_word)
            .map(|at| self.looked + at)
            .or(self.last);
        // The word may be cut by the end.
        self.looked = to.saturating_sub(Self::WORD.len() - 1).max(self.looked);
        self.last.is_some_and(|at| at >= from)
    }
}

/// True if `words`, which are in lower case, stand in `text` in any case.
fn contains_lower(text: &[u8], words: &[u8]) -> bool {
    let Some(&first) = words.first() else { return true };
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text)
        .any(|at| text.get(at..at + words.len()).is_some_and(|found| found.eq_ignore_ascii_case(words)))
}

/// Places where a reply code of class 4 or 5 starts a word.
fn code_starts(text: &[u8]) -> impl Iterator<Item = usize> {
    let is_start = |before: u8, byte: u8| {
        let is_joined = before.is_ascii_digit() | (before | 0x20).is_ascii_lowercase() | (before == b'.');
        !is_joined & ((byte == b'4') | (byte == b'5'))
    };
    let mut from: usize = 0;
    // Nothing stands in front of the first byte: that one starts no word here.
    let starts = std::iter::from_fn(move || {
        let before = from.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b'.');
        let at = from + position_behind(before, text.get(from..)?, is_start)?;
        from = at + 1;
        Some(at)
    });
    starts.filter(|&at| text.get(at..).is_some_and(starts_with_code))
}

fn starts_with_code(text: &[u8]) -> bool {
    SmtpCode::take(text).is_some_and(|(code, rest)| code.get() >= 400 && !rest.starts_with(b":"))
}

/// True if `head` ends in words that introduce a quoted reply.
fn introduced(head: &[u8]) -> bool {
    // `host mx [192.0.2.8]:`, `MTA(smtp:[127.0.0.1]:10025):`
    ends_in(head, INTRODUCTIONS) || ends_in(head, &[b"]:", b"):"])
}

/// True if `head` ends in one of `words`, which are in lower case, in any case.
fn ends_in(head: &[u8], words: &[&[u8]]) -> bool {
    let Some(last) = head.last().map(u8::to_ascii_lowercase) else { return false };
    let is_end = |words: &[u8]| {
        head.len().checked_sub(words.len()).and_then(|i| head.get(i..)).is_some_and(|t| t.eq_ignore_ascii_case(words))
    };
    // Most differ in the last byte.
    words.iter().any(|words| words.last() == Some(&last) && is_end(words))
}

/// Cuts the reply that starts at `start` out of its quotation marks.
fn unquoted(text: &[u8], start: usize) -> &[u8] {
    let Some(reply) = text.get(start..) else { return text };
    let before = text.get(..start).unwrap_or_default().trim_ascii_end();
    let close = match before.last() {
        Some(b'"') => b'"',
        Some(b'\'') => b'\'',
        Some(b'<') => b'>',
        // Exchange puts the whole in angle brackets: `< #5.5.0 smtp;591 …>`.
        Some(b';') if reply.ends_with(b">") && closes_more(reply) => b'>',
        // `[{LED=550 …};{MSG=};{FQDN=mx.example}]`
        Some(b'=') => return find(reply, b"};{").and_then(|end| reply.get(..end)).unwrap_or(reply),
        _ => return reply,
    };
    memrchr(close, reply).and_then(|end| reply.get(..end)).unwrap_or(reply)
}

/// True if one angle bracket more is closed than opened.
fn closes_more(text: &[u8]) -> bool {
    memchr::memchr_iter(b'>', text).count() == memchr::memchr_iter(b'<', text).count() + 1
}

/// The host named last in `head`: `host mx.example[192.0.2.8] said:`, `from mx [192.0.2.8] was:`, `H=mx [192.0.2.8]`.
fn last_host(head: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let Some((open, close)) = memrchr(b']', head).and_then(|close| Some((memrchr(b'[', head.get(..close)?)?, close)))
    else {
        return (said_by(head), None);
    };
    let ip = head.get(open + 1..close).filter(|ip| !ip.is_empty() && !ip.contains(&b' '));
    let words = head.get(..open).unwrap_or_default().trim_ascii_end();
    let start = words.iter().rposition(|b| !is_of_host_name(*b)).map_or(0, |i| i + 1);
    let (before, name) = words.split_at_checked(start).unwrap_or_default();
    let is_apart = matches!(before.last(), None | Some(b' ' | b'=' | b'(' | b'"' | b'\'' | b'<'));
    let name = Some(name).filter(|name| is_apart && !name.is_empty());
    (name, ip)
}

fn is_of_host_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// The name in `host mx.example said:`. `None` if the words end otherwise.
fn said_by(head: &[u8]) -> Option<&[u8]> {
    let head = head.trim_ascii_end();
    let head = [&b" said:"[..], b" refused to talk to me:"].iter().find_map(|words| head.strip_suffix(*words))?;
    let (before, name) = head.split_at_checked(memrchr(b' ', head)?)?;
    let name = name.trim_ascii_start();
    let is_name = name.contains(&b'.') && name.iter().all(|b| is_of_host_name(*b));
    (is_name && (before == b"host" || before.ends_with(b" host"))).then_some(name)
}

/// The host in this mail server's own words: `connect to a.example[192.0.2.8]:25: …`, `lost connection with …`.
fn own_host(text: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    for words in [&b"connect to "[..], b"connection with ", b"conversation with ", b"timed out with "] {
        if let Some(at) = find(text, words) {
            let rest = text.get(at + words.len()..).unwrap_or_default();
            let end = memchr(b']', rest).map_or(0, |i| i + 1);
            return last_host(rest.get(..end).unwrap_or_default());
        }
    }
    (None, None)
}

/// Stage in Exim's `SMTP error from remote mail server after RCPT TO:<…>:`, in a greeting, or a callout.
fn stage_of_wrapper(wrapper: &[u8]) -> Option<Stage> {
    if contains_lower(tail(wrapper, 40), b"refused to talk to me") {
        return Some(Stage::Connect);
    }
    for words in [&b" after "[..], b"response to \"", b"in response to "] {
        if let Some(at) = find(wrapper, words) {
            return stage_of(wrapper.get(at + words.len()..)?);
        }
    }
    None
}

fn tail(text: &[u8], len: usize) -> &[u8] {
    text.get(text.len().saturating_sub(len)..).unwrap_or(text)
}

/// Stage in this mail server's own words about a connection.
fn stage_of_own(text: &[u8]) -> Option<Stage> {
    if text.starts_with(b"connect to ") {
        return Some(Stage::Connect);
    }
    for words in [&b" while "[..], b"timeout after ", b"closed connection in response to ", b"in response to "] {
        if let Some(at) = find(text, words) {
            return stage_of(text.get(at + words.len()..)?);
        }
    }
    None
}

/// Stage of a command or step, as Postfix and Exim name it, at the start of `words`.
fn stage_of(words: &[u8]) -> Option<Stage> {
    let words = strip(words, b"pipelined ").unwrap_or(words);
    let words = strip(words, b"sending ").unwrap_or(words);
    let words = strip(words, b"performing the ").unwrap_or(words);
    let starts: &[(&[u8], Stage)] = &[
        (b"initial", Stage::Connect),
        (b"receiving the initial", Stage::Connect),
        (b"HELO", Stage::Helo),
        (b"EHLO", Stage::Helo),
        (b"LHLO", Stage::Helo),
        (b"STARTTLS", Stage::Helo),
        (b"AUTH", Stage::Auth),
        (b"MAIL", Stage::Mail),
        (b"RCPT", Stage::Rcpt),
        (b"end of data", Stage::Eod),
        (b"end-of-data", Stage::Eod),
        (b"END-OF-MESSAGE", Stage::Eod),
        (b"message body", Stage::Eod),
        (b"data block", Stage::Eod),
        (b"BDAT", Stage::Eod),
        (b"DATA", Stage::Data),
    ];
    starts.iter().find(|(start, _)| strip(words, start).is_some()).map(|(_, stage)| *stage)
}

/// Reads the codes and joins the lines of one reply.
fn lines<'a>(text: &'a [u8], found: &mut Reply<'a>) {
    let Some((code, rest)) = SmtpCode::take(text).filter(|(code, _)| code.get() >= 400) else {
        let (enhanced, rest) = enhanced(text);
        found.enhanced_code = enhanced.or_else(|| enhanced_inside(rest));
        found.text = Cow::Borrowed(rest);
        return;
    };
    found.smtp_code = Some(code);
    let digits = text.get(..3).unwrap_or_default();
    let (mut more, mut rest) = after_code(rest);
    let mut joined: Option<Vec<u8>> = None;
    loop {
        let (enhanced, words) = enhanced(repeated(rest, digits));
        found.enhanced_code = enhanced.or(found.enhanced_code);
        let words = repeated(words, digits);
        let next = if more { next_line(words, digits) } else { None };
        let line = next.map_or(words, |(end, _)| words.get(..end).unwrap_or(words)).trim_ascii();
        match (&mut joined, next) {
            (None, None) => {
                found.text = Cow::Borrowed(line);
                break;
            }
            (None, Some(_)) => joined = Some(line.to_vec()),
            (Some(whole), _) => {
                whole.push(b' ');
                whole.extend_from_slice(line);
            }
        }
        let Some((_, start)) = next else { break };
        (more, rest) = after_code(words.get(start + 3..).unwrap_or_default());
    }
    if let Some(whole) = joined {
        found.text = Cow::Owned(whole);
    }
    if found.enhanced_code.is_none() {
        found.enhanced_code = enhanced_inside(&found.text);
    }
}

/// What follows the three digits: whether a further line comes, and the rest.
fn after_code(rest: &[u8]) -> (bool, &[u8]) {
    let more = rest.starts_with(b"-");
    let rest = rest.strip_prefix(b"-").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
    (more, rest.trim_ascii_start())
}

/// Takes off the same reply code said twice: `550 550 5.1.1 …`.
fn repeated<'a>(mut text: &'a [u8], digits: &[u8]) -> &'a [u8] {
    for _ in 0..3 {
        match text.strip_prefix(digits).map(|rest| rest.split_first()) {
            Some(Some((b' ' | b'-' | b':', rest))) => text = rest.trim_ascii_start(),
            _ => break,
        }
    }
    text
}

/// An enhanced code at the start, said once or more, with the `#` that some servers put in front.
fn enhanced(text: &[u8]) -> (Option<EnhancedCode>, &[u8]) {
    let mut found = None;
    let mut rest = text;
    for _ in 0..3 {
        let bare = rest.strip_prefix(b"#").unwrap_or(rest);
        let Some((code, after)) = EnhancedCode::take(bare) else { break };
        if found.is_some_and(|first| first != code) {
            break;
        }
        found = Some(code);
        rest = after.strip_prefix(b":").unwrap_or(after).trim_ascii_start();
    }
    (found, rest)
}

/// qmail writes the enhanced code behind the words: `sorry, no mailbox here (#5.1.1)`.
fn enhanced_inside(text: &[u8]) -> Option<EnhancedCode> {
    memchr::memchr_iter(b'#', text).find_map(|at| EnhancedCode::take(text.get(at + 1..)?)).map(|(code, _)| code)
}

/// Where the line ends and where the code of the next one starts. Postfix joins lines by a blank, Exim by a backslash
/// and an `n`.
fn next_line(words: &[u8], digits: &[u8]) -> Option<(usize, usize)> {
    memmem::find_iter(words, digits).find_map(|at| {
        let free = match words.get(at.checked_sub(1)?)? {
            b' ' | b'\n' | b'\r' => at - 1,
            b'n' if words.get(at.checked_sub(2)?) == Some(&b'\\') => at - 2,
            _ => return None,
        };
        match words.get(at + 3) {
            None | Some(b' ' | b'-') => Some((free, at)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes, text, stage, host, address and kind of a reply, in one line.
    fn shown(response: &str) -> String {
        let r = reply(response.as_bytes());
        let utf8 = |b: Option<&[u8]>| b.map_or_else(|| "-".into(), |b| String::from_utf8_lossy(b).into_owned());
        format!(
            "{} {} [{}] {} {} {} {:?}",
            r.smtp_code.map_or_else(|| "-".into(), |c| c.to_string()),
            r.enhanced_code.map_or_else(|| "-".into(), |c| c.to_string()),
            String::from_utf8_lossy(&r.text),
            r.stage.map_or("-", Stage::word),
            utf8(r.host),
            utf8(r.ip),
            r.kind
        )
    }

    #[test]
    fn a_sender_refused_is_read_like_any_other() {
        let expected =
            "450 4.1.8 [<a@b.example>: Sender address rejected: Domain not found] mail mx.example 192.0.2.8 Remote";
        let said = "450 4.1.8 <a@b.example>: Sender address rejected: Domain not found";
        for response in [
            format!("host mx.example[192.0.2.8] said: {said} (in reply to MAIL FROM command)"),
            format!(
                "SMTP error from remote mail server after MAIL FROM:<a@b.example>: host mx.example [192.0.2.8]: {said}"
            ),
        ] {
            assert_eq!(shown(&response), expected);
        }
        for (response, words) in [
            (
                format!(
                    "450 4.1.7 <a@b.example>: Sender address rejected: unverified address: host mx[192.0.2.8] said: {said}"
                ),
                "unverified address",
            ),
            ("[{LED=553 Envelope sender rejected};{MSG=};{FQDN=mx.example}]".into(), "[Envelope sender rejected]"),
            (
                "<mx.example #5.7.1 smtp;554 5.7.1 <bo@b.example>: Recipient address rejected: Blacklisted>".into(),
                ": Blacklisted]",
            ),
        ] {
            assert!(shown(&response).contains(words), "{}", shown(&response));
        }
    }

    #[test]
    fn postfix_quotes_a_server() {
        for (response, expected) in [
            (
                "host mx.a.example[192.0.2.8] said: 550-5.1.1 No such 550 5.1.1 user (in reply to RCPT TO command)",
                "550 5.1.1 [No such user] rcpt mx.a.example 192.0.2.8 Remote",
            ),
            (
                "host mx.a.example[2001:db8::8] refused to talk to me: 421 4.7.0 too many",
                "421 4.7.0 [too many] connect mx.a.example 2001:db8::8 Remote",
            ),
            (
                "delivery temporarily suspended: host mx[192.0.2.8] said: 451 4.7.1 later (in reply to end of DATA command)",
                "451 4.7.1 [later] eod mx 192.0.2.8 Remote",
            ),
            ("host mx.a.example said: 550 5.1.1 gone", "550 5.1.1 [gone] - mx.a.example - Remote"),
            (
                "delivery temporarily suspended: connect to a.example[192.0.2.8]:25: Connection timed out",
                "- - [connect to a.example[192.0.2.8]:25: Connection timed out] connect a.example 192.0.2.8 Own",
            ),
            (
                "lost connection with mx.a.example[192.0.2.8] while sending RCPT TO",
                "- - [lost connection with mx.a.example[192.0.2.8] while sending RCPT TO] rcpt mx.a.example 192.0.2.8 Own",
            ),
            (
                "conversation with mx[192.0.2.8] timed out while receiving the initial server greeting",
                "- - [conversation with mx[192.0.2.8] timed out while receiving the initial server greeting] connect mx \
                 192.0.2.8 Own",
            ),
            (
                "host x[private/dovecot-lmtp] said: 552 5.2.2 <bo@a.example> Quota exceeded (in reply to end of DATA command)",
                "552 5.2.2 [<bo@a.example> Quota exceeded] eod x private/dovecot-lmtp Remote",
            ),
            (
                "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 id=1 - Rejected by next-hop MTA on relaying, from \
                 MTA(smtp:[127.0.0.1]:10025): 550 5.1.1 gone (in reply to end of DATA command)",
                "550 5.1.1 [gone] eod - - Remote",
            ),
        ] {
            let shown = shown(response);
            let expected = expected.replace(" - - Remote", " 127.0.0.1 127.0.0.1 Remote");
            if response.contains("MTA(") {
                assert!(shown.starts_with("550 5.1.1 [gone] eod"), "{shown}");
            } else {
                assert_eq!(shown, expected);
            }
        }
    }

    #[test]
    fn exim_quotes_a_server() {
        for (response, expected) in [
            (
                "SMTP error from remote mail server after RCPT TO:<x@a.example>: 550 5.1.1 gone",
                "550 5.1.1 [gone] rcpt - - Remote",
            ),
            (
                "SMTP error from remote mail server after RCPT TO:<x@a.example>: host mx.a.example [192.0.2.8]: 550 gone",
                "550 - [gone] rcpt mx.a.example 192.0.2.8 Remote",
            ),
            (
                "H=mx.a.example [192.0.2.8]: SMTP error from remote mail server after MAIL FROM:<al@b.example> SIZE=1: 452 \
                 4.2.1 later",
                "452 4.2.1 [later] mail mx.a.example 192.0.2.8 Remote",
            ),
            (
                r"(-44) H=mx [192.0.2.8]: SMTP error from remote mail server after end of data: 550-5.7.1 a\n550-5.7.1 b\n550 5.7.26 c",
                "550 5.7.26 [a b c] eod mx 192.0.2.8 Remote",
            ),
            ("retry timeout exceeded", "- - [retry timeout exceeded] - - - Own"),
            ("H=mx [192.0.2.8]: Connection timed out", "- - [Connection timed out] - mx 192.0.2.8 Own"),
            ("Unrouteable address", "- - [Unrouteable address] - - - Own"),
            (
                "response to \"RCPT TO:<x@a.example>\" from mx.a.example [192.0.2.8] was: 550 5.1.1 unknown",
                "550 5.1.1 [unknown] rcpt mx.a.example 192.0.2.8 Remote",
            ),
        ] {
            assert_eq!(shown(response), expected);
        }
    }

    #[test]
    fn the_innermost_reply_is_taken_from_other_wrappings() {
        for (response, text) in [
            (
                "<x@a.example>: Recipient address rejected: undeliverable address: host mx[192.0.2.8] said: 550 5.1.1 gone (in reply to RCPT TO command)",
                "gone",
            ),
            ("Message expired, giving up <421 4.7.0 try later>", "try later"),
            ("x <4 EXPired <450 a <550 5.1.1 gone>", "a <550 5.1.1 gone"),
            ("R=dnslookup T=remote_smtp defer (110): Connection timed out", "Connection timed out"),
            (
                "Connected to 192.0.2.8 but sender was rejected. Remote host said: no list I'm not going to try again; \
                 this message has been in the queue too long.",
                "no list",
            ),
            ("RCPT TO:<x@a.example> -> 550 5.7.1 no", "no"),
            (
                "< #5.5.0 smtp;591  your host is blacklisted by Send your questions to>",
                "your host is blacklisted by Send your questions to",
            ),
            (
                "Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'",
                "RESOLVER.ADR.RecipNotFound; not found",
            ),
            ("Message expired <451 4.7.1 later>", "later"),
            (
                "host mx[192.0.2.8] said: 550-Verification failed for <al@b.example> 550-Response: 450 later 550 Sender verify failed",
                "Verification failed for <al@b.example> Response: 450 later Sender verify failed",
            ),
            ("550 550 5.1.1 5.1.1 twice", "twice"),
            (
                "550-5.7.1 Refused for this reason: 550-5.7.1 a link 550 5.7.1 of spam",
                "Refused for this reason: a link of spam",
            ),
            ("550-It was refused. host mx[192.0.2.8] said: 550 gone", "gone"),
            ("Failed command on session 7: \"RCPT TO:<x@a.example>\" => 451 Temporary failure", "Temporary failure"),
            ("delivery 7: failure: mx_does_not_like_recipient./Remote_host_said:_550_gone/Giving_up_on_mx./", "gone"),
            (
                "Connected_to_192.0.2.8_but_connection_died._(#4.4.2)/",
                "Connected to 192.0.2.8 but connection died. (#4.4.2)",
            ),
            ("550 #5.1.0 Address rejected.", "Address rejected."),
            ("4.7.1 Try later", "Try later"),
            ("550", ""),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&reply(response.as_bytes()).text), text, "{response}");
        }
        assert_eq!(reply(b"553 sorry, no (#5.7.1)").enhanced_code.map(|c| c.to_string()), Some("5.7.1".into()));
    }

    #[test]
    fn what_a_sender_wrote_introduces_no_reply() {
        for response in [
            "<said: 550 5.1.1 User unknown>: Helo command rejected: Host not found",
            "550 5.7.1 <\"x said: 550 5.1.1 gone\"@a.example>: Relay access denied",
            "<al@b.example>: Sender address rejected: undeliverable address: host mx[192.0.2.8] said: 550 5.1.1 gone",
        ] {
            assert_ne!(shown(response).split(['[', ']']).nth(1), Some("gone"), "{response}");
            assert!(!reply(response.as_bytes()).text.starts_with(b"User"), "{response}");
        }
    }

    #[test]
    fn hostile_bytes_neither_panic_nor_take_long() {
        let mut bytes = Vec::new();
        for part in [&b"said: 550-"[..], b"<", b"\\n550 ", b"host [", b"]: 5", b"\xff\xfe", b"(in reply to ", b"#5.1.1"]
        {
            bytes.extend_from_slice(part);
            let _ = reply(&bytes);
        }
        for unit in [&b"said: 550 "[..], b"<550-", b"H=[", b"]: 450 ", b"550-550 ", b"#5.", b"(-1"] {
            let _ = reply(&unit.repeat(65_536 / unit.len()));
        }
    }
}
