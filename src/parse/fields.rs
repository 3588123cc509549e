//! The pieces that lines of both mail servers are made of, each taken from the left: a value and the rest.

use memchr::{memchr, memchr_iter, memrchr_iter};

use crate::mail::queue_id::{self, QueueId};

/// Where `words` first stand in `text`. Lines are short: a search that must be made ready first costs more.
pub fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    let (anchor, byte) = anchor(words)?;
    memchr_iter(byte, text.get(anchor..)?).find(|&at| text.get(at..).is_some_and(|rest| rest.starts_with(words)))
}

/// Where the first byte stands that `is` takes. Sixteen are tested at once: quick for a test without branches.
pub fn position(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<16>();
    for (number, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |any, byte| any | is(*byte)) {
            return chunk.iter().position(|byte| is(*byte)).map(|at| number * 16 + at);
        }
    }
    rest.iter().position(|byte| is(*byte)).map(|at| chunks.len() * 16 + at)
}

/// Where the first byte stands that `is` takes behind the one before it; `before` stands in front of the first. As quick as
/// [`position`].
pub fn position_behind(before: u8, bytes: &[u8], is: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let (&first, behind) = bytes.split_first()?;
    if is(before, first) {
        return Some(0);
    }
    let (firsts, first_rest) = bytes.get(..behind.len())?.as_chunks::<16>();
    let (seconds, second_rest) = behind.as_chunks::<16>();
    for (number, (firsts, seconds)) in firsts.iter().zip(seconds).enumerate() {
        let pairs = || firsts.iter().zip(seconds);
        if pairs().fold(false, |any, (before, byte)| any | is(*before, *byte)) {
            return pairs().position(|(before, byte)| is(*before, *byte)).map(|at| number * 16 + at + 1);
        }
    }
    let rest = first_rest.iter().zip(second_rest).position(|(before, byte)| is(*before, *byte));
    rest.map(|at| seconds.len() * 16 + at + 1)
}

/// Where `words` last stand in `text`.
pub fn rfind(text: &[u8], words: &[u8]) -> Option<usize> {
    let (anchor, byte) = anchor(words)?;
    memrchr_iter(byte, text.get(anchor..)?).find(|&at| text.get(at..).is_some_and(|rest| rest.starts_with(words)))
}

pub fn contains(text: &[u8], words: &[u8]) -> bool {
    find(text, words).is_some()
}

/// The first byte of `words` that is no blank, and where it stands: a line has many blanks.
fn anchor(words: &[u8]) -> Option<(usize, u8)> {
    let at = words.iter().position(|b| *b != b' ').unwrap_or(0);
    Some((at, *words.get(at)?))
}

/// Text up to the first `mark`, and what follows it.
pub fn until<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = match mark {
        [byte] => memchr(*byte, text)?,
        _ => find(text, mark)?,
    };
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// Text up to the last `mark`, and what follows it.
pub fn until_last<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = rfind(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// Text up to the first blank (not included), and the rest without that blank.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    until(text, b" ").unwrap_or((text, &[]))
}

/// A decimal number at the start of `text` and what follows it; saturates instead of overflowing.
pub fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let value = number.iter().fold(0u64, |sum, d| sum.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    (digits > 0).then_some((value, rest))
}

/// A decimal fraction of seconds such as `0.87` or `12736`.
pub fn seconds(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0)
}

/// Where `is_end` says yes for the first time outside quoted strings (RFC 5321 section 4.1.2, `Quoted-string`), which may
/// begin anywhere in an address. Where a quote has no end, quotes are no quotes.
pub fn unquoted_end(text: &[u8], is_end: impl Fn(usize, u8) -> bool) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut first = None;
    for (at, &byte) in text.iter().enumerate() {
        if first.is_none() || !is_quoted {
            let ends = is_end(at, byte);
            if ends && !is_quoted {
                return Some(at);
            }
            first = first.or(ends.then_some(at));
        }
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && is_quoted && !is_escaped;
    }
    if is_quoted { first } else { None }
}

/// An address as a value, with or without `<>`, that one of `ends` (or the end of the text) closes. Blanks, commas and
/// `>` may be part of it: an address ends only where an end mark follows. Gives the address without its `<>`, and the
/// rest from the end mark on.
pub fn address<'a>(text: &'a [u8], ends: &[&[u8]]) -> Option<(&'a [u8], &'a [u8])> {
    let (inner, close) = match text.strip_prefix(b"<") {
        Some(inner) => (inner, 1),
        None => (text, 0),
    };
    let is_end = |at: usize, byte: u8| {
        let Some(rest) = inner.get(at + close..) else { return false };
        (close == 0 || byte == b'>') && ((close == 1 && rest.is_empty()) || ends.iter().any(|e| rest.starts_with(e)))
    };
    match unquoted_end(inner, is_end) {
        Some(at) => Some((inner.get(..at)?, inner.get(at + close..)?)),
        // Without brackets to the end of the text; with them cut off in the middle: what is there is kept.
        None => Some((inner, &[])),
    }
}

/// `host[ip]` or `host[ip]:port` at the start of `text`: name, address, port, and what follows. `unknown` stands for
/// nothing, as name and as address.
pub fn host_ip_port(text: &[u8]) -> Option<(HostIp<'_>, &[u8])> {
    let (name, tail) = until(text, b"[")?;
    let (ip, mut rest) = until(tail, b"]")?;
    let mut port = None;
    if let Some(tail) = rest.strip_prefix(b":")
        && let Some((number, tail)) = number(tail)
    {
        port = u16::try_from(number).ok();
        rest = tail;
    } else if let Some(tail) = rest.strip_prefix(b":unknown") {
        rest = tail;
    }
    Some((HostIp { name: known(name), ip: known(ip), port }, rest))
}

/// A peer's name, address and port as Postfix writes them; empty or `None` where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostIp<'a> {
    pub name: &'a [u8],
    pub ip: &'a [u8],
    pub port: Option<u16>,
}

fn known(text: &[u8]) -> &[u8] {
    if text == b"unknown" { &[] } else { text }
}

/// The queue id that a response names as the next one for this copy: `queued as ID` (Postfix), `OK id=ID`
/// (Exim). The last one counts: a filter quotes the answer that it got itself.
pub fn next_queue_id(response: &[u8]) -> Option<QueueId> {
    [&b"queued as "[..], b" id="].iter().find_map(|mark| named_id(response, mark))
}

/// The id behind the last `mark`.
pub fn named_id(response: &[u8], mark: &[u8]) -> Option<QueueId> {
    let (_, tail) = until_last(response, mark)?;
    let end = tail.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-').unwrap_or(tail.len());
    let id = tail.get(..end)?;
    let is_id = queue_id::is_exim_id(id) || (mark != b" id=" && queue_id::is_postfix_id(id));
    is_id.then(|| QueueId::new(id)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for len in 0..50 {
            for at in 0..len {
                let mut text = vec![b'.'; len];
                *text.get_mut(at).unwrap() = b'x';
                assert_eq!(position(&text, |b| b == b'x'), Some(at), "{len}");
                assert_eq!(position_behind(b'.', &text, |before, b| (before == b'.') & (b == b'x')), Some(at), "{len}");
                assert_eq!(
                    position_behind(b'x', &text, |before, b| (before == b'x') & (b == b'x')),
                    (at == 0).then_some(0)
                );
            }
            let none = vec![b'.'; len];
            assert_eq!((position(&none, |b| b == b'x'), position_behind(b'x', &none, |_, b| b == b'x')), (None, None));
        }
    }

    #[test]
    fn an_address_ends_only_where_a_known_key_follows() {
        let ends: &[&[u8]] = &[b", relay=", b", orig_to="];
        for (text, address_of, rest) in [
            (&b"<bo@a.example>, relay=x"[..], &b"bo@a.example"[..], &b", relay=x"[..]),
            (b"<\"a b, (c)>\"@a.example>, relay=x", b"\"a b, (c)>\"@a.example", b", relay=x"),
            (b"<\"a>, relay=none, \"@a.example>, relay=x", b"\"a>, relay=none, \"@a.example", b", relay=x"),
            (b"bo@a.example, relay=x", b"bo@a.example", b", relay=x"),
            (b"<>, relay=x", b"", b", relay=x"),
            (b"<cut@off", b"cut@off", b""),
            (b"<a.\"b>, relay=x, \"@a.example>, relay=y", b"a.\"b>, relay=x, \"@a.example", b", relay=y"),
            (b"<a\"b@a.example>, relay=x", b"a\"b@a.example", b", relay=x"),
        ] {
            assert_eq!(address(text, ends), Some((address_of, rest)), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_peer_is_read_with_every_sort_of_port() {
        let (peer, rest) = host_ip_port(b"mx[2001:db8::8]:25, delay").unwrap();
        assert_eq!((peer.name, peer.ip, peer.port, rest), (&b"mx"[..], &b"2001:db8::8"[..], Some(25), &b", delay"[..]));
        let (peer, rest) = host_ip_port(b"unknown[unknown]:unknown;").unwrap();
        assert_eq!((peer, rest), (HostIp::default(), &b";"[..]));
    }

    #[test]
    fn the_next_id_is_the_last_one_named() {
        let from_filter = b"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 9D1EA3";
        assert_eq!(next_queue_id(from_filter).map(|id| id.to_string()).as_deref(), Some("9D1EA3"));
        assert_eq!(
            next_queue_id(b"250 OK id=1tXyZa-0001Ab-2c").map(|id| id.to_string()).as_deref(),
            Some("1tXyZa-0001Ab-2c")
        );
        assert_eq!(next_queue_id(b"250 ok id=ABCDEF12"), None);
    }
}
