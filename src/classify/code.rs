//! Patterns of enhanced codes as the tables write them: `5.7.1`, `x.7.26` (class 4 or 5), `x.7.606-649`.

use std::fmt;

use super::taxonomy::Category;
use crate::mail::status::EnhancedCode;

/// Which enhanced codes a table entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePattern {
    /// `None` for `x`: either class.
    class: Option<u8>,
    subject: u16,
    first: u16,
    last: u16,
}

impl CodePattern {
    /// Reads one pattern. `None` if it is not well-formed.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "x" => None,
            "4" => Some(4),
            "5" => Some(5),
            _ => return None,
        };
        let subject = parts.next()?.parse().ok()?;
        let details = parts.next()?;
        let (first, last) = match details.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => (details.parse().ok()?, details.parse().ok()?),
        };
        (parts.next().is_none() && first <= last).then_some(Self { class, subject, first, last })
    }

    pub(super) fn matches(&self, code: EnhancedCode) -> bool {
        self.class.is_none_or(|class| class == code.class)
            && self.subject == code.subject
            && (self.first..=self.last).contains(&code.detail)
    }

    /// The first code that the pattern means, for samples.
    pub(super) fn example(&self, permanent: bool) -> EnhancedCode {
        let class = self.class.unwrap_or(if permanent { 5 } else { 4 });
        EnhancedCode { class, subject: self.subject, detail: self.first }
    }
}

/// What a table says of the codes of one pattern.
#[derive(Debug)]
pub(super) struct CodeMeaning {
    pub(super) pattern: CodePattern,
    pub(super) category: Category,
    /// Id that stands for the rule where the code decides.
    pub(super) rule: String,
}

/// Category and rule id of the first of `meanings` that `code` has.
pub(super) fn meaning(meanings: &[CodeMeaning], code: EnhancedCode) -> Option<(Category, &str)> {
    meanings.iter().find(|m| m.pattern.matches(code)).map(|m| (m.category, m.rule.as_str()))
}

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            Some(class) => write!(f, "{class}.{}.{}", self.subject, self.first)?,
            None => write!(f, "x.{}.{}", self.subject, self.first)?,
        }
        if self.first < self.last { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_classes() {
        let code = |subject, detail| EnhancedCode { class: 5, subject, detail };
        let range = CodePattern::read("5.7.606-649").unwrap();
        assert!(range.matches(code(7, 606)) && range.matches(code(7, 649)) && !range.matches(code(7, 650)));
        assert!(CodePattern::read("x.1.1").unwrap().matches(code(1, 1)));
        assert!(!CodePattern::read("4.1.1").unwrap().matches(code(1, 1)));
        for text in ["5.7.1", "x.7.26", "x.7.606-649"] {
            assert_eq!(CodePattern::read(text).unwrap().to_string(), text);
        }
        for wrong in ["", "5.1", "2.0.0", "5.1.1.1", "5.7.9-1", "a.b.c"] {
            assert_eq!(CodePattern::read(wrong), None, "{wrong}");
        }
    }
}
