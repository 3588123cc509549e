//! One rule: when it applies, the words it looks for, and the samples that prove it.

use std::cmp::Ordering;
use std::sync::OnceLock;

use regex_automata::meta;
use serde::Deserialize;
use serde_json::Value;

use super::Refusal;
use super::code::CodePattern;
use super::literal::Required;
use super::tables::{Provider, Providers};
use super::taxonomy::Category;
use crate::mail::status::{EnhancedCode, Mta, SmtpCode, Stage};
use crate::parse::reply::ReplyKind;

/// Which step of the one order of precedence a rule belongs to; a file's `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A user's own rules.
    User,
    /// A mail server program's own words.
    Own,
    /// One provider's words.
    Provider,
    /// A DNS list is named.
    List,
    /// Wordings that many servers share.
    Text,
    /// Words that say little: they decide only where no code says more.
    Last,
}

impl Step {
    /// The word of a file's `step`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Own => "own",
            Self::Provider => "provider",
            Self::List => "list",
            Self::Text => "text",
            Self::Last => "last",
        }
    }
}

/// A rule of `src/rules/*.toml` or of a user's file.
#[derive(Debug)]
pub struct Rule {
    pub(super) id: String,
    pub(super) category: Category,
    pub(super) step: Step,
    /// Looser than the other rules of its step, and tried after them all.
    pub(super) broad: bool,
    pub(super) when: When,
    pub(super) pattern: String,
    pub(super) unless: Option<String>,
    pub(super) source: String,
    pub(super) file: String,
    pub(super) wins: Vec<Sample>,
    pub(super) loses: Vec<(String, Sample)>,
    pub(super) required: Required,
    /// The pattern has a group `dnsbl`.
    pub(super) names_list: bool,
    /// The pattern with its named group, compiled when first needed.
    pub(super) capture: OnceLock<Option<meta::Regex>>,
}

impl Rule {
    /// The stable id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn category(&self) -> Category {
        self.category
    }

    /// The step of the order of precedence it belongs to.
    pub fn step(&self) -> Step {
        self.step
    }

    /// True if it is looser than the other rules of its step, and tried after them all.
    pub fn is_broad(&self) -> bool {
        self.broad
    }

    /// Its `when` as a rule file writes it; empty if it applies under any circumstances.
    pub fn when(&self) -> Vec<(&'static str, Value)> {
        self.when.shown()
    }

    /// The regex over the template of the innermost reply; ASCII case does not matter.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// A regex over the same template; the rule does not apply where it matches, too.
    pub fn unless(&self) -> Option<&str> {
        self.unless.as_deref()
    }

    /// Where the wording is from; empty if not known.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The rule file it stands in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The answers it must win.
    pub fn wins(&self) -> impl Iterator<Item = &[u8]> {
        self.wins.iter().map(|sample| sample.reply.as_bytes())
    }

    /// The answers it must win, in the circumstances under which it must.
    pub fn samples(&self) -> impl Iterator<Item = Refusal<'_>> {
        self.wins.iter().map(Sample::refusal)
    }

    /// The rule ids and answers to which it must lose.
    pub fn loses(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.loses.iter().map(|(to, sample)| (to.as_str(), sample.reply.as_bytes()))
    }

    /// The name of a list that the pattern's group `dnsbl` takes out of `text`.
    pub(super) fn dnsbl<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        if !self.names_list {
            return None;
        }
        let regex = self
            .capture
            .get_or_init(|| {
                let pattern = super::load::lower(&self.pattern);
                meta::Regex::builder().syntax(super::syntax()).configure(super::capture_limits()).build(&pattern).ok()
            })
            .as_ref()?;
        let mut captures = regex.create_captures();
        regex.captures(text, &mut captures);
        text.get(captures.get_group_by_name("dnsbl")?.range())
    }

    /// The order in which rules are tried: step, broad ones last, class of the category, then the more fixed text; equal
    /// ones keep the order of their files.
    pub(super) fn order(&self, other: &Self, class: impl Fn(Category) -> u8) -> Ordering {
        (self.step, self.broad, class(self.category))
            .cmp(&(other.step, other.broad, class(other.category)))
            .then(other.required.weight.cmp(&self.required.weight))
    }
}

/// One value or several in a rule file.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "under 'when' each key takes one value or a list of them: when = { stage = ['mail', 'rcpt'], smtp_code = 550 }"
)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The `when` table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "'when' as a table: when = { mta = \"exim\" }")]
pub(super) struct WhenEntry {
    mta: Option<String>,
    #[serde(default)]
    service: OneOrMany<String>,
    by_us: Option<bool>,
    #[serde(default)]
    provider: OneOrMany<String>,
    #[serde(default)]
    stage: OneOrMany<String>,
    permanent: Option<bool>,
    #[serde(default)]
    smtp_code: OneOrMany<u16>,
    #[serde(default)]
    enhanced_code: OneOrMany<String>,
}

/// Under which circumstances a rule applies; empty means any.
#[derive(Debug)]
pub(super) struct When {
    mta: Option<Mta>,
    service: Vec<String>,
    by_us: Option<bool>,
    provider: Vec<String>,
    stage: Vec<Stage>,
    permanent: Option<bool>,
    smtp_code: Vec<SmtpCode>,
    enhanced_code: Vec<CodePattern>,
}

/// What is known of one refusal besides its words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) mta: Mta,
    /// The words are those of the program that wrote the log.
    pub(super) own: bool,
    pub(super) service: &'a [u8],
    pub(super) by_us: bool,
    pub(super) permanent: bool,
    pub(super) provider: Option<&'a str>,
    pub(super) stage: Option<Stage>,
    pub(super) smtp_code: Option<SmtpCode>,
    pub(super) enhanced_code: Option<EnhancedCode>,
}

impl When {
    pub(super) fn read(entry: &WhenEntry, providers: &Providers) -> Result<Self, String> {
        let mta = entry.mta.as_deref().map(mta).transpose()?;
        if let Some(id) = entry.provider.as_slice().iter().find(|id| providers.get(id).is_none()) {
            let near = nearest(id, providers.iter().map(Provider::id));
            return Err(format!("no provider '{id}'{near}; `mailsleuth rules list` names them all"));
        }
        let smtp = |code: &u16| SmtpCode::new(*code).ok_or_else(|| format!("{code} is no reply code"));
        let enhanced = |code: &String| {
            CodePattern::read(code).ok_or_else(|| {
                format!("'{code}' is no enhanced code: write 5.7.1, x.7.1 for 4.7.1 and 5.7.1, or 5.7.606-649")
            })
        };
        Ok(Self {
            mta,
            service: entry.service.as_slice().to_vec(),
            by_us: entry.by_us,
            provider: entry.provider.as_slice().to_vec(),
            stage: entry.stage.as_slice().iter().map(|word| stage(word)).collect::<Result<_, _>>()?,
            permanent: entry.permanent,
            smtp_code: entry.smtp_code.as_slice().iter().map(smtp).collect::<Result<_, _>>()?,
            enhanced_code: entry.enhanced_code.as_slice().iter().map(enhanced).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shown().is_empty()
    }

    /// The keys that are given, with their values, as a file writes them.
    fn shown(&self) -> Vec<(&'static str, Value)> {
        fn many<T>(list: &[T], value: impl Fn(&T) -> Value) -> Option<Value> {
            match list {
                [] => None,
                [one] => Some(value(one)),
                many => Some(Value::Array(many.iter().map(value).collect())),
            }
        }
        let keys = [
            ("mta", self.mta.map(|mta| Value::from(mta.word()))),
            ("service", many(&self.service, |service| Value::from(service.as_str()))),
            ("by_us", self.by_us.map(Value::Bool)),
            ("provider", many(&self.provider, |provider| Value::from(provider.as_str()))),
            ("stage", many(&self.stage, |stage| Value::from(stage.word()))),
            ("permanent", self.permanent.map(Value::Bool)),
            ("smtp_code", many(&self.smtp_code, |code| Value::from(code.get()))),
            ("enhanced_code", many(&self.enhanced_code, |code| Value::from(code.to_string()))),
        ];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The first of its keys that `to` does not meet, and what is there instead. `None` if it applies.
    pub(super) fn unmet(&self, to: &Context<'_>) -> Option<String> {
        let none = || "none".to_owned();
        let mta = if to.own { to.mta.word() } else { "unknown, as a remote server said it" };
        let is = [
            ("mta", mta.to_owned()),
            ("by_us", to.by_us.to_string()),
            ("permanent", to.permanent.to_string()),
            ("service", String::from_utf8_lossy(to.service).into_owned()),
            ("provider", to.provider.map_or_else(none, str::to_owned)),
            ("stage", to.stage.map_or_else(none, |stage| stage.word().to_owned())),
            ("smtp_code", to.smtp_code.map_or_else(none, |code| code.to_string())),
            ("enhanced_code", to.enhanced_code.map_or_else(none, |code| code.to_string())),
        ];
        let (key, is) = is.get(self.met(to).into_iter().position(|met| !met)?)?;
        let (_, asked) = self.shown().into_iter().find(|(shown, _)| shown == key)?;
        Some(format!("its `when` asks for {key} = {asked}, which there is {is}"))
    }

    /// A rule that names a program applies to that program's own words only: of a remote server the program is unknown.
    pub(super) fn applies(&self, to: &Context<'_>) -> bool {
        self.met(to).into_iter().all(|met| met)
    }

    /// Which keys are met, in the order of [`Self::unmet`].
    fn met(&self, to: &Context<'_>) -> [bool; 8] {
        fn any<T>(list: &[T], fits: impl Fn(&T) -> bool) -> bool {
            list.is_empty() || list.iter().any(fits)
        }
        [
            self.mta.is_none_or(|mta| to.own && mta == to.mta),
            self.by_us.is_none_or(|by_us| by_us == to.by_us),
            self.permanent.is_none_or(|permanent| permanent == to.permanent),
            any(&self.service, |service| service.as_bytes() == to.service),
            any(&self.provider, |provider| to.provider == Some(provider.as_str())),
            any(&self.stage, |stage| to.stage == Some(*stage)),
            any(&self.smtp_code, |code| to.smtp_code == Some(*code)),
            any(&self.enhanced_code, |pattern| to.enhanced_code.is_some_and(|code| pattern.matches(code))),
        ]
    }
}

fn mta(word: &str) -> Result<Mta, String> {
    Mta::from_word(word).ok_or_else(|| format!("no mta '{word}': write postfix or exim"))
}

fn stage(word: &str) -> Result<Stage, String> {
    let words = || Stage::ALL.iter().map(|stage| stage.word()).collect::<Vec<_>>().join(", ");
    Stage::from_word(word).ok_or_else(|| format!("no stage '{word}': one of {}", words()))
}

/// The words of `known` that `word` may be a slip of, as `: google?`; empty if there are none.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let mut near: Vec<(usize, &str)> = known.map(|known| (edits(word, known), known)).collect();
    near.retain(|(edits, known)| *edits <= 2 || (word.len() > 2 && known.contains(word)));
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, known)| known).collect();
    if near.is_empty() { String::new() } else { format!(": {}?", near.join(" or ")) }
}

/// How many letters must be put in, left out or changed to make `b` of `a` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut left = at + 1;
        let mut next = vec![left];
        for (to, pair) in b.chars().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Samples as written: one or a list.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "'wins' and 'loses' take lists of answers: wins = ['550 5.1.1 no such user'], loses = [{ to = \"other-rule\", \
    line = '550 5.1.1 no such user' }]; such a table has line (or reply), and may have to, mta, service, by_us, stage, \
    relay_host, permanent"
)]
pub(super) enum SampleEntries {
    One(SampleEntry),
    Many(Vec<SampleEntry>),
}

impl Default for SampleEntries {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl SampleEntries {
    pub(super) fn into_vec(self) -> Vec<SampleEntry> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// A sample as written: an answer alone, or with what the rule's `when` does not say.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SampleEntry {
    Reply(String),
    Table(SampleTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleTable {
    #[serde(alias = "line")]
    reply: String,
    to: Option<String>,
    mta: Option<String>,
    service: Option<String>,
    by_us: Option<bool>,
    stage: Option<String>,
    relay_host: Option<String>,
    permanent: Option<bool>,
}

/// An answer with all that a refusal needs.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) reply: String,
    mta: Mta,
    service: String,
    by_us: bool,
    permanent: bool,
    stage: Option<Stage>,
    smtp_code: Option<SmtpCode>,
    enhanced_code: Option<EnhancedCode>,
    relay_host: String,
}

impl Sample {
    /// The sample in the circumstances of its rule's `when`.
    pub(super) fn read(
        entry: SampleEntry,
        when: &When,
        providers: &Providers,
    ) -> Result<(Option<String>, Self), String> {
        let table = match entry {
            SampleEntry::Table(table) => table,
            SampleEntry::Reply(reply) => SampleTable {
                reply,
                to: None,
                mta: None,
                service: None,
                by_us: None,
                stage: None,
                relay_host: None,
                permanent: None,
            },
        };
        let mta = table.mta.as_deref().map(mta).transpose()?.or(when.mta).unwrap_or(Mta::Postfix);
        let stage = table.stage.as_deref().map(stage).transpose()?.or(when.stage.first().copied());
        let reply = crate::parse::reply::reply(table.reply.as_bytes());
        let first_code = reply.smtp_code.or(when.smtp_code.first().copied());
        // What a program says itself and starts with a code, it says to a client.
        let is_by_us = when.mta.is_some() && reply.kind == ReplyKind::Remote && reply.host.is_none();
        let permanent =
            table.permanent.or(when.permanent).unwrap_or_else(|| first_code.is_none_or(SmtpCode::is_permanent));
        let relay_host = table.relay_host.unwrap_or_else(|| {
            let host = when.provider.first().and_then(|id| providers.get(id)).and_then(|p| p.hosts().first());
            host.map_or_else(String::new, |host| format!("mx.{host}"))
        });
        let sample = Self {
            mta,
            service: table.service.or_else(|| when.service.first().cloned()).unwrap_or_default(),
            by_us: table.by_us.or(when.by_us).unwrap_or(is_by_us),
            permanent,
            stage,
            smtp_code: when.smtp_code.first().copied(),
            enhanced_code: when.enhanced_code.first().map(|pattern| pattern.example(permanent)),
            relay_host,
            reply: table.reply,
        };
        Ok((table.to, sample))
    }

    pub(super) fn refusal(&self) -> Refusal<'_> {
        Refusal {
            mta: self.mta,
            service: self.service.as_bytes(),
            by_us: self.by_us,
            permanent: self.permanent,
            stage: self.stage,
            smtp_code: self.smtp_code,
            enhanced_code: self.enhanced_code,
            relay_host: self.relay_host.as_bytes(),
            response: self.reply.as_bytes(),
        }
    }
}
