//! Answers in UTF-8, which the rules are written in. Servers in China, Japan and Korea answer in EUC-KR, GBK, Big5, Shift
//! JIS, ISO-2022-JP; older ones elsewhere in ISO 8859. Exim logs every byte beyond ASCII as `\ooo` (string.c,
//! string_printing) unless `print_topbitchars` is set.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use memchr::memchr2;

use super::text::MOST_BYTES;

/// ISO-2022-JP switches character sets with it; no byte of it is beyond ASCII.
const ESCAPE: u8 = 0x1b;

/// `text` in UTF-8. What is neither that nor ASCII is taken for the encoding that it looks most like.
pub(super) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if text.is_ascii() && memchr2(b'\\', ESCAPE, text).is_none() {
        return Cow::Borrowed(text);
    }
    let bytes = unescaped(text.get(..MOST_BYTES).unwrap_or(text));
    // A letter may be cut at the end.
    let is_utf8 = std::str::from_utf8(&bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_utf8 && !bytes.contains(&ESCAPE) {
        return bytes;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes, true);
    let utf8 = if is_utf8 { Utf8Detection::Allow } else { Utf8Detection::Deny };
    let (text, _) = detector.guess(None, utf8).decode_without_bom_handling(&bytes);
    Cow::Owned(text.into_owned().into_bytes())
}

/// The bytes that `\ooo` stands for, where they are no printable ASCII.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = memchr::memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        match after {
            [_, a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..]
                if *a != b'1' && !(*a == b'0' && *b > b'3') =>
            {
                out.push((a & 7) << 6 | (b & 7) << 3 | (c & 7));
                rest = behind;
            }
            [first, behind @ ..] => {
                out.push(*first);
                rest = behind;
            }
            [] => break,
        }
    }
    if out.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

    use super::super::tests::classifier;
    use super::super::{Refusal, Scratch};
    use super::*;
    use crate::mail::status::Mta;

    /// As Exim writes it.
    fn escaped(bytes: &[u8]) -> Vec<u8> {
        let is_plain = |b: &u8| (b' '..0x7f).contains(b);
        bytes.iter().flat_map(|b| if is_plain(b) { vec![*b] } else { format!("\\{b:03o}").into_bytes() }).collect()
    }

    #[test]
    fn old_encodings_are_read_as_bytes_and_as_exim_logs_them() {
        let samples: &[(&'static Encoding, &str, &str)] = &[
            (EUC_KR, "550 존재하지 않는 사용자입니다", "recipient-unknown"),
            (GBK, "550 收件人不存在,请检查收件人地址", "recipient-unknown"),
            (BIG5, "550 使用者不存在,請確認收件人地址", "recipient-unknown"),
            (SHIFT_JIS, "550 宛先のメールアドレスが存在しません", "recipient-unknown"),
            (EUC_JP, "550 宛先のメールアドレスが存在しません", "recipient-unknown"),
            (ISO_2022_JP, "550 宛先のメールアドレスが存在しません", "recipient-unknown"),
            (WINDOWS_1251, "550 Пользователь не найден", "recipient-unknown"),
            (WINDOWS_1252, "552 Boîte aux lettres pleine, quota dépassé", "mailbox-full"),
        ];
        let classifier = classifier();
        for (encoding, text, category) in samples {
            let (bytes, _, lossy) = encoding.encode(text);
            assert!(!lossy, "{text}");
            for answer in [bytes.to_vec(), escaped(&bytes), escaped(text.as_bytes())] {
                let refusal = Refusal::told(Mta::Exim, b"remote_smtp", true, &answer);
                let verdict = classifier.classify(&mut Scratch::default(), &refusal);
                assert_eq!(verdict.category.id(), *category, "{} {text}: {}", encoding.name(), verdict.rule);
            }
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in [r"550 C:\new\101 is gone", r"550 no\", r"550 \9", r"550 \37", "550 plain", r"550 \\"] {
            assert_eq!(decoded(text.as_bytes()), text.as_bytes(), "{text}");
        }
        assert_eq!(decoded(br"550 bo\303\256te \\"), "550 boîte \\\\".as_bytes());
        // A letter of three bytes is cut at the end of what is read: the rest is UTF-8 all the same.
        let long = "不".repeat(MOST_BYTES);
        assert!(decoded(long.as_bytes()).starts_with("不不不".as_bytes()));
    }
}
