//! Mail addresses and network addresses as logs write them.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memrchr;
use unicode_width::UnicodeWidthChar;

/// Local part and domain of an address, parted at its last `@`; the domain is empty for a bare local name.
pub fn split(address: &[u8]) -> (&[u8], &[u8]) {
    match memrchr(b'@', address) {
        Some(at) => (address.get(..at).unwrap_or_default(), address.get(at + 1..).unwrap_or_default()),
        None => (address, &[]),
    }
}

/// The address with its domain part in lower case (contract.md section 2); borrowed when it already is.
pub fn with_lower_domain(address: &[u8]) -> Cow<'_, [u8]> {
    let (local, domain) = split(address);
    if !domain.iter().any(u8::is_ascii_uppercase) {
        return Cow::Borrowed(address);
    }
    let mut owned = address.to_vec();
    if let Some(tail) = owned.get_mut(local.len()..) {
        tail.make_ascii_lowercase();
    }
    Cow::Owned(owned)
}

/// The address inside one pair of `<>`, or the text as it stands.
pub fn unbracketed(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"<").and_then(|t| t.strip_suffix(b">")).unwrap_or(text)
}

/// An IP address as logs write it: with `IPv6:` in front, in brackets, or plain. `None` for anything else.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    let text = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")).unwrap_or(text);
    let text = text.strip_prefix(b"IPv6:").unwrap_or(text);
    std::str::from_utf8(text).ok()?.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

/// True for loopback, link-local and private ranges (RFC 1918, RFC 4193, RFC 6598 is *not* among them): an address
/// that only this host or its own network can have.
pub fn is_own_network(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The network an address is counted under: its /24, or its /48 for IPv6 (contract.md, `client_networks`).
pub fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

/// Accents and the like that one letter may carry, as many as any language puts there: more are drawn over other lines.
const PILE: usize = 4;

/// Bytes of a log as text: what is no UTF-8, and what a terminal or a browser could take for an instruction (control
/// and format characters, bidirectional overrides among them), comes as `\xNN` per byte; a backslash that an `x` follows
/// as `\x5C`, so that the bytes can be told from the text. Any other backslash stays itself.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.iter().all(|b| matches!(b, 0x20..=0x5B | 0x5D..=0x7E)) {
        return String::from_utf8_lossy(bytes);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    // Marks that stand on one letter.
    let mut pile = 0;
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().chars();
        while let Some(character) = rest.next() {
            let is_mark = character == '\\' && rest.as_str().starts_with('x');
            pile = if character.width() == Some(0) { pile + 1 } else { 0 };
            if is_harmless(character) && !is_mark && pile <= PILE {
                text.push(character);
            } else {
                let mut buffer = [0; 4];
                escape(character.encode_utf8(&mut buffer).as_bytes(), &mut text);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    Cow::Owned(text)
}

/// A text of ours that may quote a log: without anything that a terminal or a browser could take for an instruction. What
/// [`printable`] made of it already stays.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_plain = text.chars().all(|c| c == '\\' || is_harmless(c));
    if is_plain { text.into() } else { printable(text.as_bytes()) }
}

fn escape(bytes: &[u8], into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        into.push_str("\\x");
        for nibble in [byte >> 4, byte & 15] {
            into.push(HEX.get(usize::from(nibble)).copied().map_or('?', char::from));
        }
    }
}

/// False for control characters, line and paragraph separators, the invisible characters that change what follows
/// (zero-width ones, bidirectional marks, tags, controls of shorthand and hieroglyphs), and what looks like nothing at all: spaces but the usual one, and fillers.
const fn is_harmless(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{A0}' | '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{1680}'
        | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2000}'..='\u{200F}' | '\u{2028}'..='\u{202F}'
        | '\u{205F}'..='\u{206F}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFC}'
        | '\u{13430}'..='\u{1345F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Labels under which countries register names (`co.uk`, `com.br`, `ne.jp`).
const REGISTRIES: &[&[u8]] = &[
    b"ac", b"co", b"com", b"ed", b"edu", b"go", b"gob", b"gouv", b"gov", b"gv", b"ltd", b"me", b"mil", b"ne", b"net",
    b"nhs", b"nom", b"or", b"org", b"plc", b"sch",
];

/// The last two labels of a host name, three where the second-last is one under which a country registers.
pub fn organisation(host: &[u8]) -> &[u8] {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let mut dots = memchr::memrchr_iter(b'.', host);
    let (Some(top), Some(second)) = (dots.next(), dots.next()) else { return host };
    let label = host.get(second + 1..top).unwrap_or_default();
    let is_registry = REGISTRIES.iter().any(|name| label.eq_ignore_ascii_case(name)) && host.len() - top - 1 == 2;
    let cut = if is_registry { dots.next() } else { Some(second) };
    cut.and_then(|at| host.get(at + 1..)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_domain_is_lowered() {
        assert_eq!(with_lower_domain(b"Al.B@Example.ORG").as_ref(), b"Al.B@example.org");
        assert_eq!(with_lower_domain(b"ROOT").as_ref(), b"ROOT");
        assert_eq!(split(b"\"a@b\"@c.example"), (&b"\"a@b\""[..], &b"c.example"[..]));
    }

    #[test]
    fn what_is_no_plain_text_is_escaped() {
        assert_eq!(printable(b"al@b.example"), "al@b.example");
        assert_eq!(printable("\u{e9}\u{202e}x\u{1b}[m".as_bytes()), "\u{e9}\\xE2\\x80\\xAEx\\x1B[m");
        assert_eq!(printable(b"\xff\n"), "\\xFF\\x0A");
        assert_eq!(printable("\u{3164}\u{a0}".as_bytes()), "\\xE3\\x85\\xA4\\xC2\\xA0");
        for invisible in ['\u{1BCA0}', '\u{13430}', '\u{FFF0}', '\u{FFFC}'] {
            let text = invisible.to_string();
            assert!(printable(text.as_bytes()).starts_with("\\x"), "{text:?}");
        }
        let pile = format!("z{}", "\u{301}".repeat(6));
        assert_eq!(printable(pile.as_bytes()), format!("z{}{}", "\u{301}".repeat(4), "\\xCC\\x81".repeat(2)));
        assert_eq!(printable(b"a\\n b\\xFF \\"), "a\\n b\\x5CxFF \\");
    }

    #[test]
    fn addresses_are_read_in_every_dress() {
        for text in ["[192.0.2.1]", "192.0.2.1", "::ffff:192.0.2.1", "[IPv6:::ffff:192.0.2.1]"] {
            assert_eq!(ip(text.as_bytes()), Some(IpAddr::from([192, 0, 2, 1])), "{text}");
        }
        assert_eq!(ip(b"unknown"), None);
        assert_eq!(network(IpAddr::from([192, 0, 2, 77])).to_string(), "192.0.2.0");
    }

    #[test]
    fn an_organisation_is_what_one_owner_has() {
        for (host, expected) in [
            ("gmail-smtp-in.l.google.com", "google.com"),
            ("mx1.post.a.co.uk", "a.co.uk"),
            ("a.co.uk", "a.co.uk"),
            ("mx.gmx.de.", "gmx.de"),
            ("mx01.t-online.de", "t-online.de"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(organisation(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
