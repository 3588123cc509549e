//! Reading rule files: the built-in ones and a user's. A file with a mistake does not load; the error says file, rule and
//! what to do.
//!
//! A file may start with `step`, one of [`Step`]'s words, and with `broad = true` for rules that are tried after all other
//! rules of that step. Each `[[rule]]` has `id`, `category`, `text` (a regex over the template of the innermost reply, see
//! [`super::template`]: ids, addresses and numbers are not seen, but what a pattern names is; a group named `dnsbl` takes a
//! list's name out of the words) and `wins` (answers it must win), and may
//! have `when` (`mta`, `service`, `by_us`, `provider`, `stage`, `permanent`, `smtp_code`, `enhanced_code`, each one value
//! or several), `unless` (a regex that must not match), `source` and `loses` (answers that the rule named by `to` must
//! win). A pattern may be broken into lines: line ends and the blanks in front of each line do not count.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use super::rule::{Rule, Sample, SampleEntries, Step, When, WhenEntry, nearest};
use super::tables::Providers;
use super::taxonomy::{Category, Taxonomy};
use super::{attributes, literal, matcher, tables, taxonomy};
use crate::error::{Error, Result};

/// The built-in rule files. A new file is its name here.
pub const FILES: &[(&str, &str)] = &[
    ("postfix-smtpd.toml", include_str!("../rules/postfix-smtpd.toml")),
    ("postscreen.toml", include_str!("../rules/postscreen.toml")),
    ("postfix-delivery.toml", include_str!("../rules/postfix-delivery.toml")),
    ("exim-acl.toml", include_str!("../rules/exim-acl.toml")),
    ("exim-delivery.toml", include_str!("../rules/exim-delivery.toml")),
    ("baruwa.toml", include_str!("../rules/baruwa.toml")),
    ("google.toml", include_str!("../rules/google.toml")),
    ("microsoft.toml", include_str!("../rules/microsoft.toml")),
    ("yahoo.toml", include_str!("../rules/yahoo.toml")),
    ("access-providers.toml", include_str!("../rules/access-providers.toml")),
    ("provider-codes.toml", include_str!("../rules/provider-codes.toml")),
    ("products.toml", include_str!("../rules/products.toml")),
    ("policy-servers.toml", include_str!("../rules/policy-servers.toml")),
    ("asia.toml", include_str!("../rules/asia.toml")),
    ("filters.toml", include_str!("../rules/filters.toml")),
    ("filter-codes.toml", include_str!("../rules/filter-codes.toml")),
    ("listings.toml", include_str!("../rules/listings.toml")),
    ("listings-broad.toml", include_str!("../rules/listings-broad.toml")),
    ("generic.toml", include_str!("../rules/generic.toml")),
    ("languages.toml", include_str!("../rules/languages.toml")),
    ("cjk.toml", include_str!("../rules/cjk.toml")),
    ("broad.toml", include_str!("../rules/broad.toml")),
    ("last.toml", include_str!("../rules/last.toml")),
];

/// What tells the built-in rules with these of a user's from any others: a hash of every file that decides.
pub(super) fn fingerprint(extra: &[(&str, &str)]) -> String {
    let tables = [taxonomy::TEXT, tables::LISTS_TEXT, tables::PROVIDERS_TEXT, attributes::TEXT];
    let mut hash = Xxh3::new();
    for text in extra.iter().chain(FILES).map(|(_, text)| *text).chain(tables) {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    format!("{:032x}", hash.digest128())
}

/// All rules, in the files' order: first a user's (`extra`: file name and text), then the built-in ones that no rule of
/// the user replaces by having the same id.
pub(super) fn rules(extra: &[(&str, &str)], providers: &Providers) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for (file, text) in extra {
        rules.extend(read(file, text, Some(Step::User), providers)?);
    }
    let mut origin: HashMap<String, String> = HashMap::new();
    for rule in &rules {
        well_formed(rule)?;
        no_duplicate(&mut origin, rule)?;
    }
    let replaced = origin.clone();
    for (file, text) in FILES {
        for rule in read(file, text, None, providers)? {
            if !replaced.contains_key(&rule.id) {
                no_duplicate(&mut origin, &rule)?;
                rules.push(rule);
            }
        }
    }
    Ok(rules)
}

fn no_duplicate(origin: &mut HashMap<String, String>, rule: &Rule) -> Result<()> {
    match origin.insert(rule.id.clone(), rule.file.clone()) {
        Some(other) => {
            Err(problem(&rule.file, &rule.id, &format!("id is also in {other}: give one of them another id")))
        }
        None => Ok(()),
    }
}

fn problem(file: &str, id: &str, problem: &str) -> Error {
    Error::Rules { file: file.into(), problem: format!("rule '{id}': {problem}") }
}

/// A pattern written on several lines as one.
fn joined(pattern: &str) -> String {
    pattern.lines().map(str::trim_start).collect()
}

/// The pattern in lower case, as it meets words in lower case; escapes such as `\S` stay.
pub(super) fn lower(pattern: &str) -> String {
    let mut escaped = false;
    pattern
        .chars()
        .map(|c| {
            let kept = escaped;
            escaped = c == '\\' && !kept;
            match c {
                _ if kept => c,
                // As words are put into lower case.
                'À'..='Þ' | 'А'..='Я' => c.to_lowercase().next().unwrap_or(c),
                _ => c.to_ascii_lowercase(),
            }
        })
        .collect()
}

/// An error if a pattern of the rule cannot be read.
fn well_formed(rule: &Rule) -> Result<()> {
    for (key, pattern) in [("text", Some(&rule.pattern)), ("unless", rule.unless.as_ref())] {
        let Some((pattern, error)) = pattern.and_then(|p| Some((p, matcher::check(&lower(p)).err()?))) else {
            continue;
        };
        let reason = match in_class(pattern) {
            Some(letter) => format!(
                "bad pattern: [ ] takes ASCII letters only: write (?:a|{letter}) instead of [a{letter}] to correct '{key}'"
            ),
            None => format!("bad pattern: {error}: correct '{key}'"),
        };
        return Err(problem(&rule.file, &rule.id, &reason));
    }
    Ok(())
}

/// The first letter beyond ASCII inside `[ ]`.
fn in_class(pattern: &str) -> Option<char> {
    let (mut escaped, mut inside) = (false, false);
    pattern.chars().find(|&c| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        inside && !c.is_ascii()
    })
}

/// Lower-case words and numbers, joined by `-`; a number may be an enhanced code.
fn is_id(id: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.';
    id.split('-').all(|word| !word.is_empty() && word.bytes().all(is_letter))
}

/// The rules of one file. The error names all of them that cannot be read, one a line.
fn read(file: &str, text: &str, step: Option<Step>, providers: &Providers) -> Result<Vec<Rule>> {
    let parsed: File = toml::from_str(text).map_err(|error| Error::Rules {
        file: file.into(),
        problem: match failing_rule(text) {
            Some((id, reason)) => format!("rule '{id}': {reason}"),
            None => error.to_string(),
        },
    })?;
    if parsed.rule.is_empty() {
        let problem = "no [[rule]] in it; `mailsleuth rules check --help` shows a rule file";
        return Err(Error::Rules { file: file.into(), problem: problem.into() });
    }
    let step = parsed.step.or(step).unwrap_or(Step::Text);
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for entry in parsed.rule {
        match entry.read(file, step, parsed.broad, providers) {
            Ok(rule) => rules.push(rule),
            Err(Error::Rules { problem, .. }) => problems.push(problem),
            Err(error) => return Err(error),
        }
    }
    // The error itself says the first file.
    let problem = problems.join(&format!("\n{file}: "));
    if problem.is_empty() { Ok(rules) } else { Err(Error::Rules { file: file.into(), problem }) }
}

/// The first rule of a file that cannot be read, and why: the parser's own message names a line, not a rule.
fn failing_rule(text: &str) -> Option<(String, String)> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let rules = table.get("rule")?;
    if let Some(rule) = rules.as_table() {
        let id = rule.get("id").and_then(toml::Value::as_str).unwrap_or("(without id)");
        return Some((id.to_owned(), "write [[rule]] in two brackets: a file has many".into()));
    }
    rules.as_array()?.iter().find_map(|rule| {
        let id = rule.get("id").and_then(toml::Value::as_str).unwrap_or("(without id)");
        let is_no_text = |key: &&&str| rule.get(**key).is_some_and(|value| !value.is_str());
        if let Some(key) = ["id", "category", "text", "unless", "source"].iter().find(is_no_text) {
            return Some((id.to_owned(), format!("'{key}' takes one text in quotes: {key} = '...'")));
        }
        if let Some(problem) = rule.get("when").and_then(wrong_type) {
            return Some((id.to_owned(), problem));
        }
        let error = RuleEntry::deserialize(rule.clone()).err()?;
        Some((id.to_owned(), error.message().replace("missing field", "there is no")))
    })
}

/// What is wrong with the codes of a `when` as written: of another type than they must be.
fn wrong_type(when: &toml::Value) -> Option<String> {
    let differs = |key: &str, is: fn(&toml::Value) -> bool| {
        when.get(key).is_some_and(|value| value.as_array().map_or_else(|| !is(value), |all| !all.iter().all(is)))
    };
    if differs("smtp_code", toml::Value::is_integer) {
        return Some("'smtp_code' takes numbers: smtp_code = 450, or smtp_code = [450, 451]".into());
    }
    differs("enhanced_code", toml::Value::is_str)
        .then(|| "'enhanced_code' takes texts in quotes: enhanced_code = '5.7.1', or ['5.7.1', 'x.7.26']".into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    step: Option<Step>,
    #[serde(default)]
    broad: bool,
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    id: String,
    category: String,
    #[serde(default)]
    when: WhenEntry,
    text: String,
    unless: Option<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    wins: SampleEntries,
    #[serde(default)]
    loses: SampleEntries,
}

/// True if the pattern, in lower case, matches answers that have nothing in common.
fn matches_all(pattern: String) -> bool {
    const UNLIKE: &[&[u8]] = &[b"user unknown", b"greylisted, try again", b"mail box full", b"spam"];
    matcher::matches_each(pattern, UNLIKE)
}

impl RuleEntry {
    fn read(self, file: &str, step: Step, broad: bool, providers: &Providers) -> Result<Rule> {
        let id = self.id;
        let wrong = |reason: String| problem(file, &id, &reason);
        if !is_id(&id) {
            return Err(wrong("an id is lower-case words joined by '-', as in 'our-relay': give it another".into()));
        }
        let is_cause = |category: &Category| category.id() != "unclassified";
        let category = Category::from_id(&self.category).filter(is_cause).ok_or_else(|| {
            let near = Taxonomy::built_in().map_or_else(
                |_| String::new(),
                |taxonomy| nearest(&self.category, taxonomy.categories().filter(is_cause).map(Category::id)),
            );
            wrong(format!("no category '{}'{near}; `mailsleuth rules list` names them all", self.category))
        })?;
        let (own, other) = (self.wins.into_vec(), self.loses.into_vec());
        if own.is_empty() {
            return Err(wrong("no sample: add an answer that it must win under 'wins'".into()));
        }
        let when = When::read(&self.when, providers).map_err(wrong)?;
        let mut wins = Vec::new();
        for sample in own {
            let (to, sample) = Sample::read(sample, &when, providers).map_err(wrong)?;
            if to.is_some() {
                return Err(wrong("'to' stands under 'wins': move that sample to 'loses'".into()));
            }
            wins.push(sample);
        }
        let mut loses = Vec::new();
        for sample in other {
            let (to, sample) = Sample::read(sample, &when, providers).map_err(wrong)?;
            let to =
                to.ok_or_else(|| wrong("a sample under 'loses' has no 'to': name the rule that wins it".into()))?;
            loses.push((to, sample));
        }
        let pattern = joined(&self.text);
        let lowered = lower(&pattern);
        let required = literal::required(&lowered);
        if required.all_of.is_empty() && when.is_empty() && matches_all(lowered) {
            return Err(wrong(
                "its 'text' matches answers of every kind: name words, or say under which circumstances with 'when'"
                    .into(),
            ));
        }
        Ok(Rule {
            category,
            step,
            broad,
            when,
            names_list: pattern.contains("<dnsbl>"),
            pattern,
            unless: self.unless.as_deref().map(joined),
            source: self.source,
            file: file.into(),
            wins,
            loses,
            required,
            capture: OnceLock::new(),
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let providers = Providers::built_in().unwrap();
        read("my.toml", text, None, &providers).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_named_with_file_rule_and_remedy() {
        let rule = |lines: &str| format!("[[rule]]\nid = 'a'\n{lines}\n");
        for (text, parts) in [
            (rule("category = 'nope'\ntext = 'x'\nwins = ['550 x']"), ["my.toml", "rule 'a'", "no category 'nope'"]),
            (rule("category = 'spam-content'\ntext = 'x'"), ["my.toml", "rule 'a'", "add an answer"]),
            (rule("category = 'spam-content'\ntext = 'x'\nwin = ['550 x']"), ["my.toml", "rule 'a'", "win"]),
            (
                rule("category = 'spam-content'\nwhen = { provider = 'q' }\ntext = 'x'\nwins = ['x']"),
                ["my.toml", "rule 'a'", "no provider 'q'"],
            ),
            (rule("category = "), ["my.toml", "TOML", "line"]),
            (
                rule("category = 'spam-content'\ntext = 'x'\nwins = [{ repli = '550 x' }]"),
                ["my.toml", "rule 'a'", "wins = ['550 5.1.1 no such user']"],
            ),
            (
                rule("category = 'spam-content'\ntext = 'x'\nwhen = 'exim'\nwins = ['550 x']"),
                ["my.toml", "rule 'a'", "when = { mta = \"exim\" }"],
            ),
            (
                rule("category = 'spam-content'\ntext = 'x'\nwhen = { stage = 7 }\nwins = ['550 x']"),
                ["my.toml", "rule 'a'", "when = { stage = ['mail', 'rcpt']"],
            ),
            (rule("category = 'spam-content'\ntext = 7\nwins = ['550 x']"), ["my.toml", "rule 'a'", "text = '...'"]),
            (rule("category = 'spam-content'\nwins = ['550 x']"), ["my.toml", "rule 'a'", "there is no `text`"]),
            (
                rule("category = 'spam-content'\ntext = 'x?'\nwins = ['550 x']"),
                ["my.toml", "rule 'a'", "every kind: name words"],
            ),
            (
                rule("category = 'spam-contents'\ntext = 'x'\nwins = ['550 x']").replace("'a'", "'My'"),
                ["my.toml", "rule 'My'", "'our-relay'"],
            ),
            (
                rule("category = 'spam-contents'\ntext = 'x'\nwins = ['550 x']"),
                ["my.toml", "no category 'spam-contents': spam-content?", "rules list"],
            ),
            (
                rule("category = 'spam-content'\nwhen = { provider = 'googl' }\ntext = 'x'\nwins = ['x']"),
                ["my.toml", "no provider 'googl': google?", "rules list"],
            ),
            (String::new(), ["my.toml", "no [[rule]] in it", "rules check --help"]),
        ] {
            let message = error(&text);
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for (key, text) in [("text", "text = '(x'"), ("unless", "text = 'x'\nunless = '[z'")] {
            let rule = format!("[[rule]]\nid = 'a'\ncategory = 'spam-content'\n{text}\nwins = ['550 x']\n");
            let message = super::super::Classifier::with_rules(&[("my.toml", &rule)]).unwrap_err().to_string();
            for part in ["my.toml", "rule 'a'", &format!("correct '{key}'")] {
                assert!(message.contains(part), "{message}");
            }
        }
        let rule = "[[rule]]\nid = 'a'\ncategory = 'spam-content'\ntext = 'p[aá]ra'\nwins = ['550 para']\n";
        let message = super::super::Classifier::with_rules(&[("my.toml", rule)]).unwrap_err().to_string();
        assert!(message.contains("write (?:a|á) instead of [aá]"), "{message}");
        assert_eq!(joined("\n    a b\n    |c\n"), "a b|c");
        assert_eq!(lower(r"A\S\\B\W"), r"a\S\\b\W");
    }

    #[test]
    fn an_id_is_unique() {
        let providers = Providers::built_in().unwrap();
        let one = "[[rule]]\nid = 'a'\ncategory = 'spam-content'\ntext = 'x'\nwins = ['550 x']\n";
        let message = rules(&[("one.toml", one), ("two.toml", one)], &providers).unwrap_err().to_string();
        assert!(message.contains("two.toml") && message.contains("one.toml"), "{message}");
    }
}
