//! `mailsleuth rules`: the taxonomy and the rules, with the answers that prove them.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::classify::{self, Category, Classifier, List, Provider, Rule};
use crate::cli::{RulesAction, RulesPlan};
use crate::detect::{self, Detector, Limit, LimitSettings, Severity};
use crate::error::{Error, Result, did_you_mean};
use crate::mail::address::printable;
use crate::report::tables::SCHEMA_VERSION;
use crate::report::trace::manifest::hashed_texts;

/// The built-in rules with the user's before them, each of which wins its own samples.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read; [`Error::Rules`] for one that does not load, or fails its own samples.
pub fn classifier(files: &[PathBuf]) -> Result<Classifier> {
    let (classifier, texts) = loaded(files)?;
    if let Some((file, problem)) = own_problems(&classifier, &texts).into_iter().next() {
        return Err(Error::Rules { file, problem });
    }
    Ok(classifier)
}

/// SHA-256 of the rules in force, the built-in ones and those of `files`.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read.
pub fn hash(files: &[PathBuf]) -> Result<String> {
    let texts = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let built_in = classify::FILES.iter().map(|(_, text)| *text);
    Ok(hashed_texts(texts.iter().map(|(_, text)| text.as_str()).chain(built_in)))
}

/// Name and text of a rule file.
type Text = (String, String);

/// The built-in rules with those of `files` before them, not proved yet.
fn loaded(files: &[PathBuf]) -> Result<(Classifier, Vec<Text>)> {
    let texts = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let extra: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Ok((Classifier::with_rules(&extra)?, texts))
}

fn read(file: &Path) -> Result<Text> {
    let name = file.display().to_string();
    // It may be called like a built-in one.
    let is_taken = classify::FILES.iter().any(|(built_in, _)| *built_in == name);
    let name = if is_taken { format!("./{name}") } else { name };
    match fs::read_to_string(file) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Error::Usage(format!("{name}: the rule file cannot be read: {error}"))),
    }
}

/// What is wrong with the user's own rules. That they win samples of built-in ones is what they are there for.
fn own_problems(classifier: &Classifier, texts: &[Text]) -> Vec<(String, String)> {
    if texts.is_empty() {
        return Vec::new();
    }
    classifier.problems().into_iter().filter(|(file, _)| is_among(texts, file)).collect()
}

/// True for the name of one of these files.
fn is_among(texts: &[Text], file: &str) -> bool {
    texts.iter().any(|(name, _)| name == file)
}

/// Lists, shows or checks rules. A reader that has seen enough and closes the pipe is no error.
///
/// # Errors
/// [`Error::Rules`] for the user's rules; [`Error::Usage`] for an id that is nothing, and a file that cannot be read.
pub fn run(plan: &RulesPlan, out: &mut impl Write) -> Result<()> {
    match &plan.action {
        RulesAction::List => {
            let classifier = classifier(&plan.rules)?;
            // Whoever closed the pipe has seen enough.
            _ = list(&classifier, plan.json, out);
        }
        RulesAction::Show(id) => {
            let classifier = classifier(&plan.rules)?;
            let Some(shown) = shown(&classifier, &plan.detection.limits, id) else {
                let categories = classifier.taxonomy().categories().map(|category| category.id());
                let rules = classifier.rules().map(|rule| rule.id());
                let others = classifier.providers().iter().map(|provider| provider.id());
                let lists = classifier.lists().iter().map(|list| list.id());
                let kinds = detect::DETECTORS.iter().map(|detector| detector.kind);
                let meant = did_you_mean(id, categories.chain(kinds).chain(rules).chain(others).chain(lists));
                return Err(Error::Usage(format!(
                    "{}: no rule, category, list, provider or kind of findings has this id; `mailsleuth rules list` names them{meant}",
                    printable(id.as_bytes())
                )));
            };
            _ = if plan.json { writeln!(out, "{}", versioned(shown.0)) } else { out.write_all(shown.1.as_bytes()) };
        }
        RulesAction::Check(files) => check(files, plan.json, out)?,
    }
    Ok(())
}

/// Checks files of the user's, or the built-in rules where none is given. Every problem is printed, the error counts them.
fn check(files: &[PathBuf], as_json: bool, out: &mut impl Write) -> Result<()> {
    let (classifier, texts) = loaded(files).map_err(|error| all_broken(files).unwrap_or(error))?;
    let problems = if files.is_empty() { classifier.problems() } else { own_problems(&classifier, &texts) };
    let is_own = |rule: &Rule| is_among(&texts, rule.file());
    let is_checked = |rule: &&Rule| files.is_empty() || is_own(rule);
    let (rules, samples) = classifier.rules().filter(is_checked).fold((0_usize, 0_usize), |(rules, samples), rule| {
        (rules + 1, samples + rule.wins().count() + rule.loses().count())
    });
    let file = texts.first().map_or_else(|| "built-in rules".to_string(), |(name, _)| name.clone());
    let built_in = if files.is_empty() { None } else { Some(Classifier::built_in()?) };
    let known: HashMap<&str, &str> =
        built_in.iter().flat_map(Classifier::rules).map(|rule| (rule.id(), rule.file())).collect();
    let replaced: Vec<(&str, &str)> = classifier
        .rules()
        .filter(|rule| is_own(rule))
        .filter_map(|rule| Some((rule.id(), *known.get(rule.id())?)))
        .collect();
    let taken = classifier.taken(is_own);
    if as_json {
        let problems: Vec<_> = problems.iter().map(|(file, text)| json!({ "file": file, "problem": text })).collect();
        _ = writeln!(
            out,
            "{}",
            versioned(json!({
                "rules": rules,
                "samples": samples,
                "problems": problems,
                "replaces": replaced.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
                "takes": taken,
            }))
        );
    } else {
        for (file, problem) in &problems {
            _ = writeln!(out, "{}: {}", printable(file.as_bytes()), shown_pattern(problem));
        }
        for (id, file) in &replaced {
            _ = writeln!(out, "'{id}' replaces the built-in rule of that id ({file})");
        }
        for (id, taken) in &taken {
            _ = writeln!(out, "'{id}' takes {} of built-in rules", counted(*taken, "sample"));
        }
    }
    let of = format!("{} of {}", counted(samples, "sample"), counted(rules, "rule"));
    match problems.len() {
        0 if as_json => Ok(()),
        0 => {
            _ = writeln!(out, "{of}: each is won by the rule it names");
            Ok(())
        }
        1 => Err(Error::Rules { file, problem: format!("1 of {of} is not won by the rule it names") }),
        n => Err(Error::Rules { file, problem: format!("{n} of {of} are not won by the rules they name") }),
    }
}

/// The same with the version of its shape in front.
fn versioned(value: Value) -> Value {
    let mut object = Map::from_iter([("schema_version".into(), json!(SCHEMA_VERSION))]);
    if let Value::Object(fields) = value {
        object.extend(fields);
    }
    Value::Object(object)
}

/// The files that do not load, all of them. `None` if at most one does not.
fn all_broken(files: &[PathBuf]) -> Option<Error> {
    let broken = files.iter().filter_map(|file| match loaded(std::slice::from_ref(file)).err()? {
        Error::Rules { file, problem } => Some((file, problem)),
        _ => None,
    });
    let broken: Vec<_> = broken.collect();
    let ((file, first), rest) = broken.split_first()?;
    let rest: String = rest.iter().map(|(file, problem)| format!("\n{file}: {problem}")).collect();
    (!rest.is_empty()).then(|| Error::Rules { file: file.clone(), problem: format!("{first}{rest}") })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn list(classifier: &Classifier, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    if as_json {
        for rule in classifier.rules() {
            writeln!(out, "{}", versioned(rule_json(rule)))?;
        }
        return Ok(());
    }
    for category in classifier.taxonomy().categories() {
        let rules: Vec<_> = classifier.rules().filter(|rule| rule.category() == category).collect();
        writeln!(out, "{} / {category}: {}", category.family(), category.description())?;
        for rule in rules {
            writeln!(out, "  {:<44} {}", printable(rule.id().as_bytes()), printable(rule.file().as_bytes()))?;
        }
    }
    let (lists, providers) = (classifier.lists().iter().count(), classifier.providers().iter().count());
    writeln!(out, "\nDNS lists:")?;
    columns(classifier.lists().iter().map(List::id), out)?;
    writeln!(out, "\nProviders:")?;
    columns(classifier.providers().iter().map(Provider::id), out)?;
    writeln!(out, "\nKinds of findings:")?;
    columns(detect::DETECTORS.iter().map(|detector| detector.kind), out)?;
    writeln!(
        out,
        "\n{} rules, {lists} lists, {providers} providers; `mailsleuth rules show ID` tells more",
        classifier.rules().count()
    )
}

/// Words in lines of at most 80 columns.
fn columns<'a>(words: impl Iterator<Item = &'a str>, out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for word in words {
        if line.len() + word.len() > 77 {
            writeln!(out, " {line}")?;
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, " {line}")
}

fn rule_json(rule: &Rule) -> Value {
    let text = |bytes: &[u8]| printable(bytes).into_owned();
    json!({
        "id": rule.id(),
        "category": rule.category().id(),
        "file": rule.file(),
        "step": rule.step().word(),
        "broad": rule.is_broad(),
        "when": rule.when().into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
        "text": rule.pattern(),
        "unless": rule.unless(),
        "source": Some(rule.source()).filter(|source| !source.is_empty()),
        "wins": rule.wins().map(text).collect::<Vec<_>>(),
        "loses": rule.loses().map(|(to, sample)| json!({ "to": to, "answer": text(sample) })).collect::<Vec<_>>(),
    })
}

/// What an id stands for, as JSON and as text.
fn shown(classifier: &Classifier, set: &LimitSettings, id: &str) -> Option<(Value, String)> {
    let id = &*id.to_ascii_lowercase();
    let rule = classifier.rules().find(|rule| rule.id() == id).map(|rule| (rule_json(rule), rule_text(rule)));
    if let Some(detector) = detect::detector(id) {
        let (mut value, mut text) = detector_shown(detector, set);
        // A kind of finding may have the name of a rule about answers.
        if let (Some((rule, rule_text)), Some(object)) = (rule, value.as_object_mut()) {
            object.insert("rule_of_this_name".into(), rule);
            text.push_str(&format!("\n{rule_text}"));
        }
        return Some((value, text));
    }
    if rule.is_some() {
        return rule;
    }
    if let Some(category) = Category::from_id(id) {
        return Some(category_shown(classifier, category));
    }
    if let Some(list) = classifier.lists().get(id).or_else(|| classifier.lists().of_zone(id)) {
        return Some(list_shown(list));
    }
    if let Some(list) = id.strip_prefix("list-").and_then(|list| classifier.lists().get(list)) {
        return Some(list_shown(list));
    }
    if let Some(category) = classifier.of_code(id) {
        let about = format!("{category}: {}", category.description());
        let value = json!({ "rule": id, "category": category.id(), "by": "the code alone" });
        return Some((
            value,
            lines(&[("rule", id), ("category", &about), ("by", "the code alone, where no words decide first")]),
        ));
    }
    let provider = classifier.providers().get(id)?;
    let hosts = provider.hosts().join(" ");
    let value = json!({ "provider": id, "hosts": provider.hosts() });
    Some((value, lines(&[("provider", id), ("hosts", &hosts)])))
}

fn lines(facts: &[(&str, &str)]) -> String {
    let known = facts.iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| format!("{name:<11} {}\n", printable(value.as_bytes()))).collect()
}

fn rule_text(rule: &Rule) -> String {
    let category = format!("{}: {}", rule.category(), rule.category().description());
    let step = format!("{}{}", rule.step().word(), if rule.is_broad() { ", broad" } else { "" });
    let mut text = lines(&[
        ("rule", rule.id()),
        ("category", &category),
        ("file", rule.file()),
        ("step", &step),
        ("source", rule.source()),
    ]);
    let when: Vec<_> = rule.when().into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if !when.is_empty() {
        text.push_str(&format!("{:<11} {{ {} }}\n", "when", when.join(", ")));
    }
    for (name, pattern) in [("text", Some(rule.pattern())), ("unless", rule.unless())] {
        if let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) {
            text.push_str(&format!("{name:<11} {}\n", shown_pattern(pattern)));
        }
    }
    for sample in rule.wins() {
        text.push_str(&format!("{:<11} {}\n", "wins", printable(sample)));
    }
    for (to, sample) in rule.loses() {
        text.push_str(&format!("{:<11} {} (to {})\n", "loses", printable(sample), printable(to.as_bytes())));
    }
    text
}

/// A pattern so that it can be copied: only control characters are escaped.
fn shown_pattern(pattern: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    pattern.chars().map(shown).collect()
}

fn category_shown(classifier: &Classifier, category: Category) -> (Value, String) {
    let rules: Vec<_> = classifier.rules().filter(|rule| rule.category() == category).map(Rule::id).collect();
    let value = json!({
        "category": category.id(),
        "family": category.family(),
        "polarity": category.polarity().word(),
        "description": category.description(),
        "resolution": category.resolution(),
        "who_acts_said_to_us": category.acts_to_us().word(),
        "who_acts_said_by_us": category.acts_by_us().word(),
        "rules": rules,
    });
    let text = lines(&[
        ("category", category.id()),
        ("family", category.family()),
        ("polarity", category.polarity().word()),
        ("meaning", category.description()),
        ("do", category.resolution()),
        ("who acts", &format!("{} when said to us, {} when said by us", category.acts_to_us(), category.acts_by_us())),
        ("rules", &rules.join(" ")),
    ]);
    (value, text)
}

/// A kind of findings with its limits, as the config file sets them.
fn detector_shown(detector: &Detector, set: &LimitSettings) -> (Value, String) {
    let set = |limit: &Limit| set.get(detector.kind, limit.key);
    let limits = detector.limits.iter().map(|limit| {
        json!({
            "key": limit.key,
            "default": limit.default,
            "set": set(limit),
            "unit": limit.unit,
            "source": limit.source,
        })
    });
    let signs =
        detector.signs.iter().map(|sign| json!({ "name": sign.name, "weight": sign.weight, "means": sign.means }));
    let value = json!({
        "finding": detector.kind,
        "question": detector.question,
        "limits": limits.collect::<Vec<_>>(),
        "signs": signs.collect::<Vec<_>>(),
    });
    let mut text = lines(&[("finding", detector.kind), ("question", detector.question)]);
    text.push_str(&format!("\n[limits.{}]\n", detector.kind));
    for limit in detector.limits {
        let value = set(limit).unwrap_or(limit.default);
        text.push_str(&format!("{} = {value}\n  # {}\n  # {}\n", limit.key, limit.unit, limit.source));
        if set(limit).is_some() {
            text.push_str(&format!("  # set in the config file; the default is {}\n", limit.default));
        }
    }
    text.push_str("\nsigns, whose sum is the score:\n");
    for sign in detector.signs {
        text.push_str(&format!("{} {}\n  # {}\n", sign.name, sign.weight, sign.means));
    }
    let severities = Severity::ALL.iter().rev().filter(|one| **one != Severity::Low);
    let severities: Vec<_> = severities.map(|one| format!("from {} on {one}", one.least_score())).collect();
    text.push_str(&format!("\nseverity: {}, else low\n", severities.join(", ")));
    (value, text)
}

fn list_shown(list: &List) -> (Value, String) {
    let value = json!({
        "list": list.id(),
        "kind": list.kind().word(),
        "category": list.category().id(),
        "removal": list.removal(),
        "part_of": list.part_of(),
    });
    let text = lines(&[
        ("list", list.id()),
        ("kind", list.kind().word()),
        ("category", list.category().id()),
        ("part of", list.part_of().unwrap_or_default()),
        ("removal", list.removal()),
    ]);
    (value, text)
}
