//! What one mail server answers another: reply codes, enhanced status codes, the stage of the dialogue they belong to,
//! and what became of a recipient.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A reply code, 200 to 599 (RFC 5321 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SmtpCode(u16);

impl SmtpCode {
    /// The code as a number. `None` outside 200 to 599.
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 200 && code <= 599 { Some(Self(code)) } else { None }
    }

    /// Reads three digits at the start of `text` that nothing but a blank, `-`, `:` or the end follows, so that
    /// neither `5500` nor `550.1` is a code. Gives the code and what follows the three digits.
    pub fn take(text: &[u8]) -> Option<(Self, &[u8])> {
        let (digits, rest) = text.split_at_checked(3)?;
        let code = digits.iter().try_fold(0u16, |sum, d| d.is_ascii_digit().then(|| sum * 10 + u16::from(d - b'0')))?;
        match rest.first() {
            None | Some(b' ' | b'-' | b':' | b'#') => Some((Self::new(code)?, rest)),
            _ => None,
        }
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    /// True for 5xx: the answer is final (RFC 5321 section 4.2.1).
    pub const fn is_permanent(self) -> bool {
        self.0 >= 500
    }
}

impl fmt::Display for SmtpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An enhanced status code such as 5.1.1 (RFC 3463); subject and detail have up to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnhancedCode {
    pub class: u8,
    pub subject: u16,
    pub detail: u16,
}

impl EnhancedCode {
    /// Reads `class.subject.detail` at the start of `text`, class 2, 4 or 5; gives the code and what follows.
    /// `None` when a fourth number or a further digit follows, as in an address or a version.
    pub fn take(text: &[u8]) -> Option<(Self, &[u8])> {
        let class = match text.first()? {
            digit @ (b'2' | b'4' | b'5') => digit - b'0',
            _ => return None,
        };
        let (subject, rest) = number(text.get(1..)?.strip_prefix(b".")?)?;
        let (detail, rest) = number(rest.strip_prefix(b".")?)?;
        match rest {
            [b'.', digit, ..] if digit.is_ascii_digit() => None,
            [byte, ..] if byte.is_ascii_alphanumeric() => None,
            _ => Some((Self { class, subject, detail }, rest)),
        }
    }

    /// True for class 5 (RFC 3463 section 3).
    pub const fn is_permanent(self) -> bool {
        self.class == 5
    }
}

fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let digits = text.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 3 {
        return None;
    }
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.iter().fold(0, |sum, d| sum * 10 + u16::from(d - b'0')), rest))
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Declares an enum whose variants have one fixed spelling each, as the tables of contract.md print them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The mail server program that wrote a line.
    Mta { Postfix = "postfix", Exim = "exim" }
}

words! {
    /// Where in the dialogue an answer was given (RFC 5321 section 3); `Eod` is the answer to the end of the data,
    /// `Queue` is after acceptance, without a dialogue.
    Stage {
        Connect = "connect", Helo = "helo", Auth = "auth", Mail = "mail", Rcpt = "rcpt", Data = "data", Eod = "eod",
        Queue = "queue",
    }
}

words! {
    /// Which way a recipient's copy went, seen from this host.
    Direction { Outbound = "outbound", Inbound = "inbound", Local = "local" }
}

words! {
    /// What became of one recipient, or of one attempt to send to it (contract.md, words table).
    Action {
        Delivered = "delivered",
        Deferred = "deferred",
        Bounced = "bounced",
        Expired = "expired",
        Rejected = "rejected",
        Tempfailed = "tempfailed",
        Discarded = "discarded",
        Held = "held",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_is_not_an_address_or_a_version() {
        assert_eq!(EnhancedCode::take(b"5.7.606 x").map(|(c, _)| c.to_string()), Some("5.7.606".into()));
        assert_eq!(EnhancedCode::take(b"5.1.1"), Some((EnhancedCode { class: 5, subject: 1, detail: 1 }, &b""[..])));
        for not_one in ["5.1.1.1", "3.1.1", "5.1", "5.1.1234", "5..1", "5.1.1a", ""] {
            assert_eq!(EnhancedCode::take(not_one.as_bytes()), None, "{not_one}");
        }
    }

    #[test]
    fn a_reply_code_ends_where_its_digits_end() {
        assert_eq!(SmtpCode::take(b"550-5.1.1").map(|(c, rest)| (c.get(), rest)), Some((550, &b"-5.1.1"[..])));
        for not_one in ["5500 x", "55", "099 x", "600 x", "55a"] {
            assert_eq!(SmtpCode::take(not_one.as_bytes()), None, "{not_one}");
        }
    }
}
