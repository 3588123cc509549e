//! What an answer says beside its cause (`src/rules/attributes.toml`): the provider's own code, and when to try again.
//!
//! Most answers have neither. Which answers are looked at is decided once for each template: by its words alone, so that
//! two answers of one template are treated alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex_automata::meta::{self, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::{Input, util::syntax};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::mail::status::{EnhancedCode, SmtpCode};

const FILE: &str = "attributes.toml";
pub(super) const TEXT: &str = include_str!("../rules/attributes.toml");

/// Bytes of an answer in which a code is sought.
const MOST_BYTES: usize = super::text::MOST_BYTES;
/// A code of so many hex digits is taken for an id.
const HEX_ID_BYTES: usize = 5;
/// Behind a word that never is a code, so much is no longer one of its numbers: `RFC5321`.
const NUMBER_BYTES: usize = 5;
/// What a template has where an answer has an id, and a code may look like one: `[AB12]`.
const MASKED_CODE: &str = r"[\[(]0a0a[\])]";
const GAP: &str = "[^ 0-9.;:,]{0,16}(?: [^ 0-9.;:,]{1,24}){0,4},?";

/// Which of the attributes an answer of some template may have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Possible {
    /// Position among the searches of the one that is likely to find the code.
    code: Option<usize>,
    retry: bool,
}

/// The shapes and phrases, ready to search.
#[derive(Debug)]
pub(super) struct Attributes {
    /// Over templates: may the answer have a code?
    hints: Regex,
    /// One for each shape, and one of all.
    codes: Vec<Regex>,
    retries: Regex,
    /// The time in what a phrase matches.
    time: Regex,
    never: Vec<String>,
    /// Seconds of each unit, by its spelling.
    units: HashMap<String, u64>,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Cache {
    hints: Option<meta::Cache>,
    codes: Vec<Option<(meta::Cache, Captures)>>,
    retries: Option<meta::Cache>,
    time: Option<meta::Cache>,
}

static BUILT_IN: LazyLock<std::result::Result<Attributes, String>> = LazyLock::new(|| Attributes::read(TEXT));

impl Attributes {
    /// Those that come with the program.
    pub(super) fn built_in() -> Result<&'static Self> {
        BUILT_IN.as_ref().map_err(|problem| Error::Rules { file: FILE.into(), problem: problem.clone() })
    }

    fn read(text: &str) -> std::result::Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut units = HashMap::new();
        for (seconds, spellings) in file.units {
            let seconds: u64 = seconds.parse().map_err(|_| format!("'{seconds}' is no number of seconds"))?;
            units.extend(spellings.into_iter().map(|spelling| (spelling, seconds)));
        }
        let time = time_pattern(&units);
        let phrases: Vec<String> =
            file.retry.iter().map(|entry| entry.phrase.replace("{gap}", GAP).replace("{time}", &time)).collect();
        let shapes: Vec<&str> = file.code.iter().map(|entry| entry.shape.as_str()).collect();
        let mut hints = shapes.clone();
        hints.push(MASKED_CODE);
        Ok(Self {
            hints: regex(&hints, true)?,
            codes: (shapes.iter().map(|shape| regex(&[shape], false)))
                .chain([regex(&shapes, false)])
                .collect::<std::result::Result<_, _>>()?,
            retries: regex(&phrases, false)?,
            // A phrase may take a number without a unit for one.
            time: regex(&[time.as_str(), "[0-9]{1,9}"], false)?,
            never: file.never.words,
            units,
        })
    }

    /// Which attributes answers of this template may have.
    pub(super) fn possible(&self, cache: &mut Cache, template: &[u8]) -> Possible {
        let hints = cache.hints.get_or_insert_with(|| self.hints.create_cache());
        // A code that the template masks may be of any shape: its hint stands where the search for all does.
        let code = self.hints.search_half_with(hints, &Input::new(template)).map(|found| found.pattern().as_usize());
        if !template.iter().any(u8::is_ascii_digit) {
            return Possible { code, retry: false };
        }
        let retries = cache.retries.get_or_insert_with(|| self.retries.create_cache());
        Possible { code, retry: self.retries.search_half_with(retries, &Input::new(template).earliest(true)).is_some() }
    }

    /// The provider's own code in `answer`, a reply as written behind its SMTP and enhanced codes.
    pub(super) fn code(&self, cache: &mut Cache, possible: Possible, answer: &[u8]) -> Option<String> {
        let likely = possible.code?;
        let answer = answer.get(..MOST_BYTES).unwrap_or(answer).trim_ascii_start();
        let all = self.codes.len().saturating_sub(1);
        self.code_of(cache, likely, answer).or_else(|| (likely < all).then(|| self.code_of(cache, all, answer))?)
    }

    /// The leftmost code that the search at `at` finds.
    fn code_of(&self, cache: &mut Cache, at: usize, answer: &[u8]) -> Option<String> {
        let regex = self.codes.get(at)?;
        cache.codes.resize_with(self.codes.len(), || None);
        let (cache, captures) = cache.codes.get_mut(at)?.get_or_insert_with(|| memory(regex));
        let mut input = Input::new(answer);
        loop {
            regex.search_captures_with(cache, &input, captures);
            let found = captures.get_group(1)?;
            let code = answer.get(found.range()).and_then(|code| std::str::from_utf8(code).ok())?;
            if self.is_code(code) {
                return Some(code.to_owned());
            }
            // Nothing but hostile text has many that are none; each step goes on behind the one before.
            input.set_start(found.end);
        }
    }

    fn is_code(&self, code: &str) -> bool {
        let letters = code.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(code.len());
        let (word, rest) = code.split_at_checked(letters).unwrap_or((code, ""));
        let is_short = rest.len() <= NUMBER_BYTES && !rest.starts_with('(');
        let is_number = SmtpCode::take(code.as_bytes()).is_some_and(|(_, rest)| rest.is_empty())
            || EnhancedCode::take(code.as_bytes()).is_some();
        let is_id = code.len() >= HEX_ID_BYTES
            && code.bytes().all(|b| b.is_ascii_hexdigit())
            && code.bytes().any(|b| b.is_ascii_digit())
            && code.bytes().any(|b| b.is_ascii_alphabetic());
        let is_never = (is_short || rest.starts_with(':')) && self.never.iter().any(|never| never == word);
        !is_number && !is_id && !is_never
    }

    /// Seconds until the next try should be made, as these words (lower case) say; the most there can be where they say
    /// more.
    pub(super) fn retry_after_s(&self, cache: &mut Cache, possible: Possible, words: &[u8]) -> Option<u32> {
        if !possible.retry {
            return None;
        }
        let Cache { retries, time, .. } = cache;
        let retries = retries.get_or_insert_with(|| self.retries.create_cache());
        let phrase = words.get(self.retries.search_with(retries, &Input::new(words))?.range())?;
        // A phrase has no other digits.
        let time = time.get_or_insert_with(|| self.time.create_cache());
        let found = self.time.search_with(time, &Input::new(phrase))?;
        let time = std::str::from_utf8(phrase.get(found.range())?).ok()?;
        Some(u32::try_from(self.seconds(time)?).unwrap_or(u32::MAX))
    }

    /// `00:04:32`, `1 hour and 30 minutes`, `300`.
    fn seconds(&self, time: &str) -> Option<u64> {
        if time.contains(':') {
            return time
                .split(':')
                .map(str::parse::<u64>)
                .try_fold(0_u64, |sum, part| Some(sum.saturating_mul(60).saturating_add(part.ok()?)));
        }
        let (mut rest, mut sum) = (time, 0_u64);
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            rest = rest.get(start..)?;
            let (number, after) =
                rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()))?;
            let unit = after.trim_start();
            let end = unit.find(|c: char| c == ' ' || c == ',' || c.is_ascii_digit()).unwrap_or(unit.len());
            let (unit, after) = unit.split_at_checked(end)?;
            let seconds = if unit.is_empty() { 1 } else { *self.units.get(unit)? };
            sum = sum.saturating_add(number.parse::<u64>().ok()?.saturating_mul(seconds));
            rest = after;
        }
        Some(sum)
    }
}

fn memory(regex: &Regex) -> (meta::Cache, Captures) {
    (regex.create_cache(), regex.create_captures())
}

fn regex<P: AsRef<str>>(patterns: &[P], any_case: bool) -> std::result::Result<Regex, String> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(any_case);
    Regex::builder()
        .syntax(syntax)
        .configure(super::capture_limits().hybrid_cache_capacity(4 * 1024 * 1024))
        .build_many(patterns)
        .map_err(|error| {
            let pattern = error.pattern().and_then(|id| patterns.get(id.as_usize())).map_or("", AsRef::as_ref);
            format!("bad pattern '{pattern}': {error}")
        })
}

/// A number and its unit, up to three of them, or a time with colons.
fn time_pattern(units: &HashMap<String, u64>) -> String {
    let mut spellings: Vec<&str> = units.keys().map(String::as_str).collect();
    spellings.sort_unstable_by_key(|spelling| (std::cmp::Reverse(spelling.len()), *spelling));
    let ends = |spelling: &&str| format!("{spelling}{}", if spelling.is_ascii() { r"\b" } else { "" });
    let unit = spellings.iter().map(ends).collect::<Vec<_>>().join("|");
    let one = format!("[0-9]{{1,9}} ?(?:{unit})");
    format!(r"(?:[0-9]{{1,3}}(?::[0-9]{{2}}){{1,2}}\b|{one}(?:,? (?:and )?{one}){{0,2}})")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: Vec<CodeEntry>,
    never: Never,
    retry: Vec<RetryEntry>,
    #[cfg_attr(not(test), expect(dead_code, reason = "proved by a test"))]
    not_retry: NotRetry,
    units: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeEntry {
    shape: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "proved by a test"))]
    samples: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Never {
    words: Vec<String>,
    #[cfg_attr(not(test), expect(dead_code, reason = "proved by a test"))]
    samples: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryEntry {
    phrase: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "proved by a test"))]
    samples: Vec<(String, u32)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotRetry {
    #[cfg_attr(not(test), expect(dead_code, reason = "proved by a test"))]
    samples: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::classifier;
    use super::super::{Refusal, Scratch, Verdict};
    use super::*;
    use crate::mail::status::Mta;

    fn verdict(response: &str) -> Verdict<'static> {
        let refusal = Refusal::told(Mta::Postfix, b"smtp", !response.starts_with('4'), response.as_bytes());
        classifier().classify(&mut Scratch::default(), &refusal)
    }

    #[test]
    fn every_shape_and_phrase_finds_what_its_samples_say() {
        let file: File = toml::from_str(TEXT).unwrap();
        let mut wrong = Vec::new();
        let mut expect = |sample: &str, code: Option<&str>, retry: Option<Option<u32>>| {
            let verdict = verdict(sample);
            let got = verdict.provider_code.as_deref();
            if got != code || retry.is_some_and(|retry| verdict.retry_after_s != retry) {
                wrong.push(format!("{sample}: {got:?} {:?}", verdict.retry_after_s));
            }
        };
        for (sample, code) in file.code.iter().flat_map(|entry| &entry.samples) {
            expect(sample, Some(code), Some(None));
        }
        for sample in file.never.samples.iter().chain(&file.not_retry.samples) {
            expect(sample, None, Some(None));
        }
        for (sample, seconds) in file.retry.iter().flat_map(|entry| &entry.samples) {
            expect(sample, None, Some(Some(*seconds)));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn each_shape_and_phrase_is_needed() {
        let file: File = toml::from_str(TEXT).unwrap();
        let all = Attributes::built_in().unwrap();
        let time = time_pattern(&all.units);
        for entry in &file.code {
            let own = regex(&[&entry.shape], false).unwrap();
            assert!(entry.samples.iter().any(|(sample, _)| own.is_match(sample.get(4..).unwrap())), "{}", entry.shape);
        }
        for entry in &file.retry {
            let own = regex(&[entry.phrase.replace("{gap}", GAP).replace("{time}", &time)], false).unwrap();
            let any = entry.samples.iter().any(|(sample, _)| own.is_match(&sample.to_lowercase()));
            assert!(any, "{}", entry.phrase);
        }
    }
}
