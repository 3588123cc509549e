//! An answer's words, made comparable: lower case, one blank between words, plain quotes, and nothing of what a sender
//! wrote in `<…>`.

use memchr::{memchr, memmem};

use crate::parse::fields::position_behind;

/// Bytes of one answer that are read; what stands behind is links and legal text.
pub(super) const MOST_BYTES: usize = 8 * 1024;

/// Writes the words of `text` into `out` in lower case: control bytes, line ends (`\n` written out, too) and runs of blanks become one
/// blank, typographic quotes and dashes the ASCII ones, and an address, host name or HELO name in `<…>` becomes `<>`.
/// Web links in `<…>` stay.
pub(super) fn normalize(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = text.get(..MOST_BYTES).unwrap_or(text).trim_ascii();
    if let Some(after) = leading_name(rest) {
        out.extend_from_slice(b"<>");
        rest = after;
    }
    let mut names = Ahead::default();
    while !rest.is_empty() {
        let (plain, special) = rest.split_at_checked(plain(rest)).unwrap_or((rest, &[]));
        let start = out.len();
        out.extend_from_slice(plain);
        out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        let Some((&byte, after)) = special.split_first() else { break };
        rest = match byte {
            b'<' => {
                out.push(b'<');
                masked(after, &mut names).unwrap_or(after)
            }
            b'\\' if matches!(after.first(), Some(b'n' | b'r' | b't')) => {
                blank(out);
                after.get(1..).unwrap_or_default()
            }
            0..=b' ' | 0x7f => {
                blank(out);
                after
            }
            0xc2 if after.first() == Some(&0xa0) => {
                blank(out);
                after.get(1..).unwrap_or_default()
            }
            0xc3 | 0xd0 => {
                let (first, second, after) = lower_pair(byte, after);
                out.push(first);
                out.extend(second);
                after
            }
            0xe2 => {
                let (plain, after) = punctuation(after);
                out.push(plain);
                after
            }
            _ => {
                out.push(byte);
                after
            }
        };
    }
    if out.last() == Some(&b' ') {
        out.pop();
    }
}

/// Bytes of `text` that only need lower case, with single blanks between them.
fn plain(text: &[u8]) -> usize {
    let is_special = |before: u8, byte: u8| {
        let is_control = (byte < b' ') | (byte == 0x7f);
        let is_marked = (byte == b'<') | (byte == b'\\');
        let is_long = (byte == 0xc2) | (byte == 0xc3) | (byte == 0xd0) | (byte == 0xe2);
        is_control | is_marked | is_long | ((byte == b' ') & (before == b' '))
    };
    position_behind(b' ', text, is_special).unwrap_or(text.len())
}

fn blank(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b' ')) {
        out.push(b' ');
    }
}

/// The lower-case form of a Latin (U+00C0 to U+00DE) or Cyrillic (U+0410 to U+042F) letter of two bytes.
fn lower_pair(first: u8, after: &[u8]) -> (u8, Option<u8>, &[u8]) {
    let (first, second) = match (first, after.first()) {
        (0xc3, Some(b @ 0x80..=0x9e)) if *b != 0x97 => (0xc3, b + 0x20),
        (0xd0, Some(b @ 0x90..=0x9f)) => (0xd0, b + 0x20),
        (0xd0, Some(b @ 0xa0..=0xaf)) => (0xd1, b - 0x20),
        (first, _) => return (first, None, after),
    };
    (first, Some(second), after.get(1..).unwrap_or_default())
}

/// The ASCII form of a typographic quote or dash (U+2010 to U+201F), given the bytes behind 0xE2.
fn punctuation(after: &[u8]) -> (u8, &[u8]) {
    let plain = match after {
        [0x80, 0x90..=0x95, ..] => b'-',
        [0x80, 0x98..=0x9b, ..] => b'\'',
        [0x80, 0x9c..=0x9f, ..] => b'"',
        _ => return (0xe2, after),
    };
    (plain, after.get(2..).unwrap_or_default())
}

/// Postfix starts its reasons with `<what the client gave>: `. The client may have put anything there, blanks included.
fn leading_name(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"<")?;
    let quoted = if inner.starts_with(b"\"") { memmem::find(inner, b"\"@").unwrap_or(0) } else { 0 };
    // A HELO name ends where the last words about it begin: it may hold anything.
    let end = match memmem::rfind(inner, b">: Helo command rejected: ") {
        Some(end) => end,
        None => quoted + memmem::find(inner.get(quoted..)?, b">: ")?,
    };
    inner.get(end + 1..)
}

/// Where the next bytes stand that end or make a name, as bytes before the end of the text. Each is looked for once, so
/// that many `<` without an end take no longer than one.
#[derive(Debug, Default)]
struct Ahead {
    close: Next,
    at: Next,
    quoted_at: Next,
    quoted_close: Next,
    blank: Next,
}

/// One kind of place. `None`: not looked for yet.
#[derive(Debug, Default)]
struct Next(Option<usize>);

impl Next {
    /// Offset of the place in `text`, which is the end of the whole text. `None` if there is none.
    fn find(&mut self, text: &[u8], find: impl FnOnce(&[u8]) -> Option<usize>) -> Option<usize> {
        // 0 bytes before the end stands for "nowhere".
        if self.0.is_none_or(|before_end| before_end > text.len()) {
            self.0 = Some(find(text).map_or(0, |at| text.len() - at));
        }
        self.0.filter(|before_end| *before_end > 0).and_then(|before_end| text.len().checked_sub(before_end))
    }
}

/// What follows the name in `<name>`, from its `>` on. `None` if no name stands there.
fn masked<'a>(after: &'a [u8], ahead: &mut Ahead) -> Option<&'a [u8]> {
    let close = |text: &[u8]| memchr(b'>', text);
    let end = if after.starts_with(b"\"") {
        let from = ahead.quoted_at.find(after, |text| memmem::find(text, b"\"@"))?;
        from + ahead.quoted_close.find(after.get(from..)?, close)?
    } else {
        ahead.close.find(after, close)?
    };
    let (name, rest) = after.split_at_checked(end)?;
    let link = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"http"));
    let holds = |place: Option<usize>| place.is_some_and(|at| at < end);
    let one_word = !holds(ahead.blank.find(after, |text| text.iter().position(u8::is_ascii_whitespace)));
    ((one_word || holds(ahead.at.find(after, |text| memchr(b'@', text)))) && !link).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_made_comparable() {
        for (text, expected) in [
            ("  a \t b\\n c\r\n", "a b c"),
            ("<al@b.example>: Relay access denied", "<>: relay access denied"),
            ("<User unknown@x.example>: Relay access denied", "<>: relay access denied"),
            ("<\"a> User unknown\"@x.example>: no", "<>: no"),
            ("<blocked using x>: Helo command rejected: Host not found", "<>: helo command rejected: host not found"),
            ("user <bo@a.example> gone, see <https://a.example/x>", "user <> gone, see <https://a.example/x>"),
            ("can\u{2019}t \u{2013} \u{201c}no\u{201d}\u{a0}x \u{2026}", "can't - \"no\" x \u{2026}"),
            ("< b > <", "< b > <"),
            ("Ящик УдалЁн ÄÖ×", "ящик удалЁн äö×"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            normalize(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
        }
    }

    #[test]
    fn hostile_bytes_take_no_long() {
        let mut out = Vec::new();
        for unit in [&b"<"[..], b"< ", b"<\"", b"\xe2\x80", b"\\", b"<@ "] {
            normalize(&unit.repeat(65_536 / unit.len()), &mut out);
            assert!(out.len() <= MOST_BYTES);
        }
    }
}
