//! `mailsleuth classify`: what an answer means, and what a log line is.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read, Write};

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::describe::{Described, described};
use super::rules::classifier;
use crate::classify::{Classifier, Explanation, ListBy, ProviderBy, Refusal, Scratch};
use crate::cli::ClassifyPlan;
use crate::error::{Error, Result};
use crate::framing::lines::{BLOCK_BYTES, Blocks};
use crate::framing::{self, RawLine};
use crate::mail::address::printable;
use crate::mail::status::{Mta, SmtpCode, Stage};
use crate::parse::reply::{ReplyKind, reply};
use crate::parse::{self, Entry, Outcome, Parsed};
use crate::report::tables::SCHEMA_VERSION;

/// Explains every text of the plan, or every line of standard input where it has none; there the lines of one reply
/// (`550-…`, `550 …`) are one text, and so are a line and the indented ones under it. A reader that has seen enough and closes the pipe is no error.
///
/// # Errors
/// [`Error::Rules`] for the user's rules; [`Error::Usage`] when nothing is given and standard input is a terminal;
/// [`Error::NoMailLines`] when standard input is empty; [`Error::Output`] when standard output cannot be written.
pub fn run(plan: &ClassifyPlan, out: &mut impl Write) -> Result<()> {
    let classifier = classifier(&plan.rules)?;
    let mut explainer = Explainer { plan, classifier: &classifier, scratch: classifier.scratch(), is_first: true };
    let done = if plan.texts.is_empty() {
        explainer.standard_input(out)?
    } else {
        let mut texts: Vec<&[u8]> = plan.texts.iter().map(|text| text.as_encoded_bytes()).collect();
        // An answer whose quotes were forgotten: the shell has made a word of each.
        let joined = texts.join(&b' ');
        if texts.len() > 1 && texts.first().is_some_and(|first| is_code(first)) {
            texts = vec![&joined];
        }
        texts.into_iter().try_for_each(|text| explainer.explain(text, out))
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Output { path: "standard output".into(), problem: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// Lines that one reply may have before what follows is another.
const REPLY_LINES: usize = 100;

struct Explainer<'p> {
    plan: &'p ClassifyPlan,
    classifier: &'p Classifier,
    scratch: Scratch<'p>,
    is_first: bool,
}

/// `text` without the `>` that mail programs put in front of what they quote. A `>` before other things stays.
fn unquoted(text: &[u8]) -> &[u8] {
    let mut bare = text.trim_ascii();
    while let Some(rest) = bare.strip_prefix(b">") {
        bare = rest.trim_ascii_start();
    }
    if SmtpCode::take(bare).is_some() { bare } else { text.trim_ascii() }
}

/// True for a reply code and nothing else.
fn is_code(text: &[u8]) -> bool {
    SmtpCode::take(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// True for a line of a reply that another one follows: `550-…`, unless its last line stands in it already, as logs have it.
fn goes_on(line: &[u8]) -> bool {
    let Some((_, rest)) = SmtpCode::take(line).filter(|(_, rest)| rest.starts_with(b"-")) else { return false };
    let code = line.get(..3).unwrap_or_default();
    !memmem::find_iter(rest, code).any(|at| {
        let before = at.checked_sub(1).and_then(|before| rest.get(before));
        let after = rest.get(at + 3);
        before.is_some_and(|b| matches!(b, b' ' | b'n')) && after.is_none_or(|b| *b == b' ')
    })
}

/// What stands on a labelled line of the text form, and under a key of the JSON form.
struct Fact {
    label: &'static str,
    text: String,
    /// Shown only when asked for everything.
    is_detail: bool,
}

impl Explainer<'_> {
    /// The lines of standard input. The inner error is that of writing.
    fn standard_input(&mut self, out: &mut impl Write) -> Result<io::Result<()>> {
        if io::stdin().is_terminal() {
            return Err(Error::Usage(
                "nothing to classify: give answers or log lines as arguments, or pipe them in".into(),
            ));
        }
        let mut blocks = Blocks::new(framing::unwrapped(io::stdin().lock()), BLOCK_BYTES);
        let mut any = false;
        // The lines so far of a text that may go on, and whether it must.
        let (mut begun, mut is_open): (Vec<Vec<u8>>, bool) = (Vec::new(), false);
        while let Some(block) = blocks.next_block() {
            let block = block.map_err(|error| Error::Usage(format!("standard input cannot be read: {error}")))?;
            for line in block.lines() {
                let text = unquoted(line.bytes);
                let code = SmtpCode::take(text).map(|(code, _)| code);
                let is_folded = line.bytes.first().is_some_and(u8::is_ascii_whitespace)
                    && !text.is_empty()
                    && code.is_none()
                    && framing::frame(text).is_none();
                let same_reply =
                    is_open && code.is_some() && begun.last().and_then(|last| last.get(..3)) == text.get(..3);
                let belongs = !begun.is_empty() && begun.len() < REPLY_LINES && (is_folded || same_reply);
                if !belongs
                    && !begun.is_empty()
                    && let Err(error) = self.reply(&mut begun, out)
                {
                    return Ok(Err(error));
                }
                if text.is_empty() {
                    continue;
                }
                any = true;
                begun.push(text.to_vec());
                if !is_folded {
                    is_open = goes_on(text);
                }
            }
        }
        match (begun.is_empty(), any) {
            (false, _) => Ok(self.reply(&mut begun, out)),
            (true, true) => Ok(Ok(())),
            (true, false) => Err(Error::NoMailLines("nothing to classify: standard input is empty".into())),
        }
    }

    /// The lines of one text, explained together.
    fn reply(&mut self, lines: &mut Vec<Vec<u8>>, out: &mut impl Write) -> io::Result<()> {
        self.explain(&std::mem::take(lines).join(&b' '), out)
    }

    /// One text, explained. The error is that of writing.
    fn explain(&mut self, text: &[u8], out: &mut impl Write) -> io::Result<()> {
        let whole = unwrapped(unquoted(text));
        let text = whole.trim_ascii();
        let stamped = without_stamp(text);
        let raw = framing::frame(stamped.as_deref().unwrap_or(text));
        let parsed = raw.as_ref().map(parse::line);
        let is_accepted = SmtpCode::take(text).is_some_and(|(code, _)| code.get() < 400);
        let refusal = match (&raw, &parsed) {
            (None, _) if is_accepted || text.is_empty() => None,
            (None, _) => Some(bare(self.plan, text)),
            (Some(raw), Some(Parsed::Entry(entry))) => refusal_of(raw, entry),
            _ => None,
        };
        let explanation = refusal.map(|refusal| (refusal, self.classifier.explain(&mut self.scratch, &refusal)));
        let mut described = raw.as_ref().zip(parsed.as_ref()).map(|(raw, parsed)| described(raw, parsed));
        if let (Some(_), Some(described)) = (&stamped, &mut described) {
            // What was put in front of it is none of its own.
            described.frame.retain(|(name, _)| *name != "stamp" && *name != "host");
            described.frame.insert(0, ("stamp", "none".to_string()));
        }
        if self.plan.json {
            let object = self.object(text, described.as_ref(), explanation.as_ref());
            return writeln!(out, "{object}");
        }
        let mut facts = Vec::new();
        if explanation.is_none() && described.is_none() {
            let text = if is_accepted { "accepted: no refusal, nothing to do" } else { "no text, nothing to say" };
            facts.push(Fact { label: "category", text: text.to_string(), is_detail: false });
        }
        if let Some(described) = &described {
            line_facts(described, &mut facts);
        }
        if let Some((refusal, explanation)) = &explanation {
            self.answer_facts(refusal, explanation, &mut facts);
        }
        let mut shown = String::new();
        if !std::mem::take(&mut self.is_first) {
            shown.push('\n');
        }
        shown.push_str(&printable(text));
        shown.push('\n');
        for fact in facts.iter().filter(|fact| self.plan.verbose || !fact.is_detail) {
            // Writing into a String cannot fail.
            _ = writeln!(shown, "  {:<11} {}", fact.label, fact.text);
        }
        out.write_all(shown.as_bytes())
    }

    fn answer_facts(&self, refusal: &Refusal<'_>, explanation: &Explanation<'_>, facts: &mut Vec<Fact>) {
        let verdict = &explanation.verdict;
        let category = verdict.category;
        let mut say = |label, text: String, is_detail| facts.push(Fact { label, text, is_detail });
        say("category", format!("{category}: {}", category.description()), false);
        let when = if refusal.permanent { "permanent" } else { "temporary" };
        let family = if category.family().is_empty() { "none" } else { category.family() };
        say("family", format!("{family}; this answer is {when}"), true);
        if let Some(provider) = verdict.provider {
            let by = explanation.provider_by.map_or("", ProviderBy::word);
            say("provider", format!("{} ({by})", printable(provider.as_bytes())), false);
        }
        if let Some(zone) = &verdict.dnsbl {
            let kind = self.classifier.lists().get(zone).map_or("private zone", |list| list.kind().word());
            let by = explanation.list_by.map_or("", ListBy::word);
            say("list", format!("{} ({kind}, by {by})", printable(zone.as_bytes())), false);
        }
        if let Some(code) = &verdict.provider_code {
            say("code", printable(code.as_bytes()).into_owned(), false);
        }
        if let Some(seconds) = verdict.retry_after_s {
            say("retry", format!("after {seconds} s"), false);
        }
        say("rule", self.rule_text(verdict.rule), false);
        say("who acts", self.classifier.who_acts(category, refusal.by_us).word().to_string(), false);
        say("do", self.classifier.resolution(category, verdict.dnsbl.as_deref()).to_string(), false);
        let codes = [verdict.smtp_code.map(|c| c.to_string()), verdict.enhanced_code.map(|c| c.to_string())];
        let codes: Vec<_> = codes.into_iter().flatten().collect();
        let stage = verdict.stage.map(|stage| format!(", stage {stage}")).unwrap_or_default();
        say(
            "codes",
            if codes.is_empty() { format!("none{stage}") } else { format!("{}{stage}", codes.join(" ")) },
            true,
        );
        say("said by", speaker(refusal, explanation).to_string(), true);
        say("answer", printable(&explanation.reply).into_owned(), true);
        say("template", format!("{} (what the rules see)", printable(&explanation.template)), true);
        if explanation.lost.is_empty() {
            say("lost", "no other rule matches".to_string(), true);
        }
        for (rule, why) in &explanation.lost {
            let file = printable(rule.file().as_bytes());
            say("lost", format!("{} ({}, {file}): {}", rule.id(), rule.category(), why.word()), true);
        }
    }

    /// A rule's id and file; of a code or list that decided, what it is.
    fn rule_text(&self, id: &str) -> String {
        match self.classifier.rules().find(|rule| rule.id() == id) {
            Some(rule) => format!("{id} ({})", printable(rule.file().as_bytes())),
            None if id.starts_with("list-") => format!("{id} (the list's name)"),
            None if id == "none" => "none: no rule and no code explains it".to_string(),
            None => format!("{id} (the code alone)"),
        }
    }

    fn object(
        &self,
        text: &[u8],
        described: Option<&Described>,
        explanation: Option<&(Refusal<'_>, Explanation<'_>)>,
    ) -> Value {
        let mut object = Map::new();
        object.insert("schema_version".into(), json!(SCHEMA_VERSION));
        object.insert("text".into(), json!(printable(text)));
        if let Some(described) = described {
            object.insert("frame".into(), pairs(&described.frame));
            object.insert("entry".into(), json!(described.kind));
            object.insert("why".into(), json!(described.why));
            object.insert("fields".into(), pairs(&described.fields));
        }
        let Some((refusal, explanation)) = explanation else { return Value::Object(object) };
        let verdict = &explanation.verdict;
        let category = verdict.category;
        let answer = json!({
            "category": category.id(),
            "family": category.family(),
            "polarity": category.polarity().word(),
            "permanent": refusal.permanent,
            "description": category.description(),
            "smtp_code": verdict.smtp_code.map(SmtpCode::get),
            "enhanced_code": verdict.enhanced_code.map(|code| code.to_string()),
            "stage": verdict.stage.map(|stage| stage.word()),
            "provider": verdict.provider,
            "dnsbl": verdict.dnsbl,
            "provider_code": verdict.provider_code,
            "retry_after_s": verdict.retry_after_s,
            "rule": verdict.rule,
            "rule_file": explanation.rule.map(|rule| printable(rule.file().as_bytes())),
            "said_by": speaker(refusal, explanation),
            "provider_by": explanation.provider_by.map(ProviderBy::word),
            "dnsbl_by": explanation.list_by.map(ListBy::word),
            "answer": printable(&explanation.reply),
            "template": printable(&explanation.template),
            "lost": explanation.lost.iter().map(|(rule, why)| json!({ "rule": rule.id(), "why": why.word() })).collect::<Vec<_>>(),
            "who_acts": self.classifier.who_acts(category, refusal.by_us).word(),
            "resolution": self.classifier.resolution(category, verdict.dnsbl.as_deref()),
        });
        if let Value::Object(answer) = answer {
            object.extend(answer);
        }
        Value::Object(object)
    }
}

/// An answer without a line around it: who said it is told by options, or assumed to be a remote server.
fn bare<'a>(plan: &'a ClassifyPlan, text: &'a [u8]) -> Refusal<'a> {
    let reply = reply(text);
    let is_permanent = match (reply.smtp_code, reply.enhanced_code, reply.kind) {
        (Some(code), ..) => code.is_permanent(),
        (None, Some(code), _) => code.is_permanent(),
        // Of what a mail server says itself, most is tried again.
        (None, None, kind) => kind == ReplyKind::Remote,
    };
    let refusal = match (plan.by_us, plan.mta) {
        (true, Mta::Postfix) => Refusal::said(plan.mta, b"smtpd", is_permanent, text),
        (true, Mta::Exim) => Refusal::said(plan.mta, b"", is_permanent, text),
        (false, Mta::Postfix) => Refusal::told(plan.mta, b"smtp", is_permanent, text),
        (false, Mta::Exim) => Refusal::told(plan.mta, b"remote_smtp", is_permanent, text),
    };
    Refusal { stage: plan.stage, relay_host: plan.relay.as_bytes(), ..refusal }
}

/// The text inside what a container's log puts around it.
fn unwrapped(text: &[u8]) -> Vec<u8> {
    let mut inside = Vec::new();
    // Reading from memory does not fail.
    _ = framing::unwrapped(text).read_to_end(&mut inside);
    inside
}

/// A log line that was pasted without its stamp and host, without its tag, or without its queue id too, with others in
/// their place: one that then is an entry. `None` for anything else.
fn without_stamp(text: &[u8]) -> Option<Vec<u8>> {
    let is_line = |line: &Vec<u8>| {
        let raw = framing::frame(line).filter(|raw| raw.program.mta().is_some());
        raw.is_some_and(|raw| match parse::line(&raw) {
            // Words that Exim's refusals begin with begin other texts too.
            Parsed::Entry(Entry::Rejection(rejection)) => !rejection.response.is_empty(),
            Parsed::Entry(_) => true,
            Parsed::Ignored(_) | Parsed::Unknown => false,
        })
    };
    if framing::frame(text).is_some() || SmtpCode::take(text).is_some() {
        return None;
    }
    let tags =
        [&b"1970-01-01T00:00:00Z localhost "[..], b"1970-01-01T00:00:00Z localhost postfix: ", b"1970-01-01 00:00:00 "];
    let delivery = text.starts_with(b"to=<").then(|| {
        let is_local = memmem::find(text, b", relay=local, ").is_some();
        let tag: &[u8] = if is_local { b"postfix/local[1]: 000000: " } else { b"postfix/smtp[1]: 000000: " };
        [b"1970-01-01T00:00:00Z localhost ", tag, text].concat()
    });
    tags.iter().map(|tag| [tag, text].concat()).chain(delivery).find(is_line)
}

fn speaker(refusal: &Refusal<'_>, explanation: &Explanation<'_>) -> &'static str {
    match (refusal.by_us, explanation.kind) {
        (true, _) => "this host, to a client",
        (false, ReplyKind::Remote) => "the remote server",
        (false, ReplyKind::Own) => "this host's own mail server",
    }
}

fn line_facts(described: &Described, facts: &mut Vec<Fact>) {
    let joined = |pairs: &[(&str, String)]| -> String {
        pairs.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    facts.push(Fact { label: "frame", text: joined(&described.frame), is_detail: false });
    facts.push(Fact { label: "entry", text: described.kind.to_string(), is_detail: false });
    facts.push(Fact { label: "why", text: described.why.clone(), is_detail: true });
    for (name, value) in &described.fields {
        facts.push(Fact { label: "", text: format!("{name}: {value}"), is_detail: true });
    }
}

fn pairs(pairs: &[(&'static str, String)]) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| ((*name).to_string(), json!(value))).collect())
}

/// The refusal in a log line, as `analyze` classifies it; `None` for a line that is none.
fn refusal_of<'a>(raw: &RawLine<'a>, entry: &Entry<'a>) -> Option<Refusal<'a>> {
    let mta = raw.program.mta()?;
    match entry {
        Entry::Delivery(delivery) => {
            let permanent = match delivery.outcome {
                Outcome::Deferred => false,
                Outcome::Bounced | Outcome::Expired => true,
                Outcome::Delivered | Outcome::Discarded | Outcome::Probed => return None,
            };
            let told = Refusal::told(mta, delivery.service, permanent, delivery.response);
            Some(Refusal { enhanced_code: delivery.enhanced_code, relay_host: delivery.relay_host, ..told })
        }
        Entry::Interim(interim) => {
            let service: &[u8] = if mta == Mta::Postfix { b"smtp" } else { b"" };
            let told = Refusal::told(mta, service, false, interim.response);
            Some(Refusal { relay_host: interim.relay_host, ..told })
        }
        Entry::Rejection(rejection) if !rejection.is_discard => Some(Refusal {
            stage: Some(rejection.stage),
            smtp_code: rejection.smtp_code,
            enhanced_code: rejection.enhanced_code,
            ..Refusal::said(mta, rejection.service, rejection.is_permanent, rejection.response)
        }),
        Entry::AuthFailure(failure) => Some(Refusal {
            stage: Some(Stage::Auth),
            smtp_code: failure.smtp_code,
            ..Refusal::said(mta, failure.service, failure.is_permanent, failure.response)
        }),
        _ => None,
    }
}
