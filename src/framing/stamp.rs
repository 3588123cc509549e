//! The date and time in front of a line.

use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Stamp, civil_from_days, days_in_month, is_leap_year};

/// `Mar  4 05:06:07`, the day padded by a blank, a zero or not at all, with an optional fraction and weekday, and with
/// the year in front, behind the day, at the end, or absent (RFC 3164 section 4.1.2 and what templates make of it).
pub fn bsd(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (year_in_front, text) = match text.first()? {
        b'0'..=b'9' => {
            let (year, rest) = digits::<4>(text)?;
            (Some(year), blanks(rest)?)
        }
        _ => (None, without_weekday(text)),
    };
    let (name, rest) = text.split_at_checked(3)?;
    let month = month(name)?;
    let rest = blanks(rest)?;
    let (day, rest) = match digits::<2>(rest) {
        Some((day, rest)) => (day, rest),
        None => digits::<1>(rest)?,
    };
    let mut rest = blanks(rest)?;
    let mut year = year_in_front;
    if let Some((number, after)) = digits::<4>(rest)
        && after.first() == Some(&b' ')
    {
        year = Some(number);
        rest = blanks(after)?;
    }
    let (clock, mut rest) = clock(rest)?;
    if year.is_none()
        && let Some((number @ 1970..=2199, after)) = digits::<4>(rest.strip_prefix(b" ").unwrap_or_default())
        && after.first() == Some(&b' ')
    {
        year = Some(number);
        rest = after;
    }
    let stamp = Stamp {
        year: match year {
            Some(year) => Some(i16::try_from(year).ok()?),
            None => None,
        },
        month,
        day: u8::try_from(day).ok()?,
        ..clock
    };
    Some((valid(stamp)?, rest))
}

/// `2026-03-04T05:06:07.123456+01:00` or the same with a blank or `t` instead of `T`, without a fraction, with `Z`,
/// `z`, `+0100`, `+01` or without a zone (RFC 3339, ISO 8601, journald's short-iso, Exim's `log_timezone`). A zone
/// behind a blank is read too.
pub fn iso(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (year, rest) = digits::<4>(text)?;
    let (month, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let (day, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else { return None };
    let (clock, rest) = clock(rest)?;
    let (offset_s, rest) = match zone(rest).or_else(|| hours_of_zone(rest)).or_else(|| zone(rest.strip_prefix(b" ")?)) {
        Some((offset, rest)) => (Some(offset), rest),
        None => (None, rest),
    };
    let stamp = Stamp {
        year: Some(i16::try_from(year).ok()?),
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        offset_s,
        ..clock
    };
    Some((valid(stamp)?, rest))
}

/// `1772600767.123456`: seconds since 1970, as `journalctl -o short-unix` writes them.
pub fn unix(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (seconds, rest) = text.split_at_checked(10)?;
    if rest.first() != Some(&b'.') || !seconds.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds: i64 = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    let (micros, rest) = fraction(rest);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let part = |n: i64| u8::try_from(n).ok();
    let stamp = Stamp {
        year: Some(i16::try_from(year).ok()?),
        month,
        day,
        hour: part(seconds.rem_euclid(SECONDS_PER_DAY) / SECONDS_PER_HOUR)?,
        minute: part(seconds / 60 % 60)?,
        second: part(seconds % 60)?,
        micros,
        offset_s: Some(0),
    };
    Some((stamp, rest))
}

/// `05:06:07`, with a fraction behind a dot or comma; date fields are left empty.
fn clock(text: &[u8]) -> Option<(Stamp, &[u8])> {
    let (hour, rest) = digits::<2>(text)?;
    let (minute, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let (second, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let (micros, rest) = fraction(rest);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let stamp = Stamp {
        year: None,
        month: 0,
        day: 0,
        hour: u8::try_from(hour).ok()?,
        minute: u8::try_from(minute).ok()?,
        second: u8::try_from(second.min(59)).ok()?,
        micros,
        offset_s: None,
    };
    Some((stamp, rest))
}

/// Microseconds of a fraction of any length, none at all among them; further digits are dropped.
fn fraction(text: &[u8]) -> (u32, &[u8]) {
    let Some((b'.' | b',', digits)) = text.split_first() else { return (0, text) };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let micros = (0..6).fold(0, |sum, at| {
        let digit = if at < len { digits.get(at).map_or(0, |b| u32::from(b - b'0')) } else { 0 };
        sum * 10 + digit
    });
    (micros, digits.get(len..).unwrap_or_default())
}

/// `Z`, `z`, `+01:00` or `+0100`: seconds east of UTC.
fn zone(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text.split_first()? {
        (b'Z' | b'z', rest) => return Some((0, rest)),
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits::<2>(rest)?;
    let (minutes, rest) = digits::<2>(rest.strip_prefix(b":").unwrap_or(rest))?;
    if hours > 23 || minutes > 59 || rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some((sign * i32::try_from(hours * 3600 + minutes * 60).ok()?, rest))
}

/// `+01`, where no minutes follow.
fn hours_of_zone(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits::<2>(rest)?;
    let ends = !rest.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b':');
    (hours <= 23 && ends).then_some((sign * i32::try_from(hours * 3600).ok()?, rest))
}

/// The zone that a word names, `None` for no zone: seconds east of UTC where all the world means the same by it.
pub fn zone_name(word: &[u8]) -> Option<Option<i32>> {
    let hours = match word {
        b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"MEZ" | b"WEST" => 1,
        b"CEST" | b"MESZ" | b"EET" => 2,
        b"EEST" | b"MSK" => 3,
        b"JST" => 9,
        b"EDT" => -4,
        b"MDT" => -6,
        b"PDT" => -7,
        b"PST" => -8,
        _ => {
            if let Some((offset, [])) = zone(word) {
                return Some(Some(offset));
            }
            return ((2..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase)).then_some(None);
        }
    };
    Some(Some(hours * 3600))
}

/// What follows `Wed ` or `Wed, `.
pub fn without_weekday(text: &[u8]) -> &[u8] {
    const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    let Some((day, rest)) = text.split_at_checked(3) else { return text };
    if !DAYS.contains(&day) {
        return text;
    }
    blanks(rest.strip_prefix(b",").unwrap_or(rest)).unwrap_or(text)
}

/// Exactly `N` digits as a number.
fn digits<const N: usize>(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<N>()?;
    let number = digits.iter().try_fold(0u32, |sum, d| d.is_ascii_digit().then(|| sum * 10 + u32::from(d - b'0')))?;
    Some((number, rest))
}

/// What follows one or more blanks.
fn blanks(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|b| **b == b' ').count();
    if count == 0 { None } else { text.get(count..) }
}

fn month(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

fn valid(stamp: Stamp) -> Option<Stamp> {
    let leap_day = stamp.month == 2 && stamp.day == 29;
    let is_valid = (1..=days_in_month(stamp.month)).contains(&stamp.day)
        && stamp.year.is_none_or(|year| (1970..=9998).contains(&year) && (!leap_day || is_leap_year(year)));
    is_valid.then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_one_moment_is_the_same_moment() {
        for text in [
            "2026-03-04T05:06:07.120000+01:00 mx",
            "2026-03-04T05:06:07.12+0100 mx",
            "2026-03-04 05:06:07.120 +0100 mx",
            "2026-03-04T05:06:07.120000999+01:00 mx",
            "2026-03-04t05:06:07,12+01 mx",
        ] {
            let (stamp, rest) = iso(text.as_bytes()).unwrap();
            assert_eq!((stamp.micros, stamp.offset_s, rest), (120_000, Some(3600), &b" mx"[..]), "{text}");
        }
        for text in ["Mar  4 05:06:07 mx", "Mar 04 05:06:07 mx", "Mar 4 05:06:07 mx"] {
            let (stamp, rest) = bsd(text.as_bytes()).unwrap();
            assert_eq!((stamp.year, stamp.month, stamp.day, rest), (None, 3, 4, &b" mx"[..]), "{text}");
        }
        for text in ["2013 Mar  4 05:06:07.123 mx", "Mar  4 2013 05:06:07.123 mx"] {
            assert_eq!(bsd(text.as_bytes()).unwrap().0.year, Some(2013), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in
            ["2026-02-30T05:06:07Z", "2026-13-01T05:06:07Z", "2025-02-29 05:06:07", "2026-03-04T25:06:07Z", "2026-03"]
        {
            assert_eq!(iso(text.as_bytes()), None, "{text}");
        }
        for text in ["Mai  4 05:06:07", "Mar 32 05:06:07", "Feb 30 05:06:07", "Mar  4 5:06:07", ""] {
            assert_eq!(bsd(text.as_bytes()), None, "{text}");
        }
        assert!(bsd(b"Feb 29 05:06:07 mx").is_some());
    }
}
