//! One rule: when it applies, the words it looks for, and the samples that prove it.

use std::cmp::Ordering;
use std::sync::OnceLock;

use regex_automata::meta;
use serde::Deserialize;

use super::Refusal;
use super::code::CodePattern;
use super::literal::Required;
use super::tables::Providers;
use super::taxonomy::Category;
use crate::mail::status::{EnhancedCode, Mta, SmtpCode, Stage};

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
#[serde(untagged)]
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
#[serde(deny_unknown_fields)]
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
        let mta = match &entry.mta {
            Some(word) => Some(Mta::from_word(word).ok_or_else(|| format!("no mta '{word}': write postfix or exim"))?),
            None => None,
        };
        if let Some(id) = entry.provider.as_slice().iter().find(|id| providers.get(id).is_none()) {
            return Err(format!("no provider '{id}': see providers.toml"));
        }
        let stage = |word: &String| Stage::from_word(word).ok_or_else(|| format!("no stage '{word}'"));
        let smtp = |code: &u16| SmtpCode::new(*code).ok_or_else(|| format!("{code} is no reply code"));
        let enhanced = |code: &String| CodePattern::read(code).ok_or_else(|| format!("'{code}' is no enhanced code"));
        Ok(Self {
            mta,
            service: entry.service.as_slice().to_vec(),
            by_us: entry.by_us,
            provider: entry.provider.as_slice().to_vec(),
            stage: entry.stage.as_slice().iter().map(stage).collect::<Result<_, _>>()?,
            permanent: entry.permanent,
            smtp_code: entry.smtp_code.as_slice().iter().map(smtp).collect::<Result<_, _>>()?,
            enhanced_code: entry.enhanced_code.as_slice().iter().map(enhanced).collect::<Result<_, _>>()?,
        })
    }

    /// A rule that names a program applies to that program's own words only: of a remote server the program is unknown.
    pub(super) fn applies(&self, to: &Context<'_>) -> bool {
        fn any<T>(list: &[T], fits: impl Fn(&T) -> bool) -> bool {
            list.is_empty() || list.iter().any(fits)
        }
        self.mta.is_none_or(|mta| to.own && mta == to.mta)
            && self.by_us.is_none_or(|by_us| by_us == to.by_us)
            && self.permanent.is_none_or(|permanent| permanent == to.permanent)
            && any(&self.service, |service| service.as_bytes() == to.service)
            && any(&self.provider, |provider| to.provider == Some(provider.as_str()))
            && any(&self.stage, |stage| to.stage == Some(*stage))
            && any(&self.smtp_code, |code| to.smtp_code == Some(*code))
            && any(&self.enhanced_code, |pattern| to.enhanced_code.is_some_and(|code| pattern.matches(code)))
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
        let mta = match &table.mta {
            Some(word) => Mta::from_word(word).ok_or_else(|| format!("no mta '{word}': write postfix or exim"))?,
            None => when.mta.unwrap_or(Mta::Postfix),
        };
        let stage = match &table.stage {
            Some(word) => Some(Stage::from_word(word).ok_or_else(|| format!("no stage '{word}'"))?),
            None => when.stage.first().copied(),
        };
        let first_code =
            crate::parse::reply::reply(table.reply.as_bytes()).smtp_code.or(when.smtp_code.first().copied());
        let permanent =
            table.permanent.or(when.permanent).unwrap_or_else(|| first_code.is_none_or(SmtpCode::is_permanent));
        let relay_host = table.relay_host.unwrap_or_else(|| {
            let host = when.provider.first().and_then(|id| providers.get(id)).and_then(|p| p.hosts().first());
            host.map_or_else(String::new, |host| format!("mx.{host}"))
        });
        let sample = Self {
            mta,
            service: table.service.or_else(|| when.service.first().cloned()).unwrap_or_default(),
            by_us: table.by_us.or(when.by_us).unwrap_or(false),
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
