//! Numbers, moments and texts of logs as the page shows them.

use maud::{Markup, html};

pub use crate::mail::address::harmless;
use crate::mail::address::printable;
use crate::mail::time::{MOMENT, SECONDS_PER_HOUR, Timestamp, is_moment};

/// A number with a comma before each three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word for so many things.
pub fn plural(number: u64, what: &str) -> String {
    if number == 1 { what.to_string() } else { format!("{what}s") }
}

/// A number with its word.
pub fn many(number: u64, what: &str) -> String {
    format!("{} {}", count(number), plural(number, what))
}

/// An hour since 1970, UTC, as `2026-11-19 02:00`.
pub fn hour(hour: i64) -> String {
    minutes(Timestamp::from_seconds(hour.saturating_mul(SECONDS_PER_HOUR)))
}

/// A moment to the minute, UTC.
fn minutes(at: Timestamp) -> String {
    let text = at.to_string();
    match text.rmatch_indices(':').next() {
        Some((end, _)) => text.get(..end).unwrap_or(&text).replacen('T', " ", 1),
        None => text,
    }
}

/// A moment to the minute, with all that is known of it for those who ask.
pub fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (minutes(at)) } }
}

/// A text of ours with its moments to the minute, as the rest of the page has them: `2026-11-19T02:10:04.25Z` becomes
/// `2026-11-19 02:10`.
pub fn dated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find(':') {
        let start = colon.checked_sub(13).filter(|at| rest.is_char_boundary(*at));
        let found = start.and_then(|at| Some((at, rest.get(at..at + MOMENT.len())?)));
        let found = found.filter(|(_, moment)| is_moment(moment));
        let tail = found.and_then(|(at, _)| rest.get(at + MOMENT.len()..));
        let after = tail.map(|tail| tail.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()));
        match (found, after.and_then(|after| after.strip_prefix('Z'))) {
            (Some((at, moment)), Some(after)) => {
                out.push_str(rest.get(..at).unwrap_or_default());
                out.push_str(&moment.get(..16).unwrap_or(moment).replacen('T', " ", 1));
                rest = after;
            }
            _ => {
                out.push_str(rest.get(..=colon).unwrap_or_default());
                rest = rest.get(colon + 1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// A text of ours whose numbers stay on one line with their signs of percent.
pub fn together(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// The first characters of a text, with a mark where there are more.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_string(),
    }
}

/// Bytes of a log, harmless and not too long.
pub fn log(bytes: &[u8], most: usize) -> String {
    // A character comes from at most four bytes.
    shortened(&printable(bytes.get(..most.saturating_mul(4)).unwrap_or(bytes)), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_moments() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(hour(495_672), "2026-07-19 00:00");
        assert_eq!((many(1, "line"), many(1_000, "line")), ("1 line".into(), "1,000 lines".into()));
    }

    #[test]
    fn moments_in_a_text_are_short() {
        for (text, expected) in [
            (
                "between 2026-11-19T02:10:04Z and 2026-11-20T01:57:07.454634Z, é: x",
                "between 2026-11-19 02:10 and 2026-11-20 01:57, é: x",
            ),
            ("ééééééé:2026-11-19T02:10:04 :::", "ééééééé:2026-11-19T02:10:04 :::"),
            ("x2026-11-19T02:10:04Z", "x2026-11-19 02:10"),
        ] {
            assert_eq!(dated(text), expected);
        }
    }

    #[test]
    fn texts_are_made_harmless_once() {
        assert_eq!(harmless("a\u{202e}b"), "a\\xE2\\x80\\xAEb");
        assert_eq!(harmless("a\\xE2\\x80\\xAEb é"), "a\\xE2\\x80\\xAEb é");
        assert_eq!((shortened("äöü", 2), shortened("äö", 2)), ("äö…".into(), "äö".into()));
        assert_eq!(log("\u{1b}[1m".repeat(100).as_bytes(), 5), "\\x1B[…");
    }
}
