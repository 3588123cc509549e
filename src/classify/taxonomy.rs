//! The categories: what each means, who acts on it and what that one should do. Everything said about a category stands
//! in `src/rules/taxonomy.toml`.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::code::{CodeMeaning, CodePattern, meaning};
use crate::error::{Error, Result};
use crate::mail::status::{EnhancedCode, SmtpCode, Stage};

const FILE: &str = "taxonomy.toml";
pub(super) const TEXT: &str = include_str!("../rules/taxonomy.toml");

/// Id of the category for what neither text nor code explains.
const UNCLASSIFIED: &str = "unclassified";

/// One category: a small handle into the taxonomy. Its order is the taxonomy's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Category(u8);

impl Category {
    /// The category with this id. `None` if there is none.
    pub fn from_id(id: &str) -> Option<Self> {
        BUILT_IN.as_ref().ok()?.by_id.get(id).copied()
    }

    /// The stable id, such as `mailbox-full`.
    pub fn id(self) -> &'static str {
        self.entry().map_or(UNCLASSIFIED, |entry| &entry.id)
    }

    /// The family, such as `recipient`; empty for `unclassified`.
    pub fn family(self) -> &'static str {
        self.entry().map_or("", |entry| &entry.family)
    }

    /// Whether such refusals are temporary, permanent or either. What one event was is told by its own code.
    pub fn polarity(self) -> Polarity {
        self.entry().map_or(Polarity::Either, |entry| entry.polarity)
    }

    /// What it means, in one sentence.
    pub fn description(self) -> &'static str {
        self.entry().map_or("", |entry| &entry.description)
    }

    /// What the one who acts should do.
    pub fn resolution(self) -> &'static str {
        self.entry().map_or("", |entry| &entry.resolution)
    }

    /// Who acts when it was said to this host.
    pub fn acts_to_us(self) -> Party {
        self.entry().map_or(Party::ThisHost, |entry| entry.acts_to_us)
    }

    /// Who acts when this host said it to a client.
    pub fn acts_by_us(self) -> Party {
        self.entry().map_or(Party::ThisHost, |entry| entry.acts_by_us)
    }

    /// True for the category of what nothing explains.
    pub fn is_unclassified(self) -> bool {
        self.id() == UNCLASSIFIED
    }

    fn entry(self) -> Option<&'static Entry> {
        BUILT_IN.as_ref().ok()?.entries.get(usize::from(self.0))
    }
}

/// The family of this name, as categories have it. `None` if there is none.
pub fn family(name: &str) -> Option<&'static str> {
    let entries = BUILT_IN.as_ref().ok()?.entries.iter();
    if name.is_empty() { Some("") } else { entries.map(|entry| entry.family.as_str()).find(|family| *family == name) }
}

/// By its id: numbers change with the taxonomy.
impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::from_id(&id).ok_or_else(|| serde::de::Error::custom("no category of this taxonomy"))
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Whether the refusals of a category are temporary, permanent, or either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    Temporary,
    Permanent,
    Either,
}

impl Polarity {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
            Self::Either => "either",
        }
    }
}

/// Who must act on a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub enum Party {
    #[serde(rename = "sender")]
    Sender,
    #[serde(rename = "recipient")]
    Recipient,
    /// The administrator of the host that wrote the log.
    #[serde(rename = "this host")]
    ThisHost,
    /// The administrator of the other server.
    #[serde(rename = "other side")]
    OtherSide,
    /// Nobody: the queue tries again.
    #[serde(rename = "nobody")]
    Nobody,
}

impl Party {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::ThisHost => "this host",
            Self::OtherSide => "other side",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// All categories, and the codes that stand for them where no words decide.
#[derive(Debug)]
pub struct Taxonomy {
    entries: Vec<Entry>,
    by_id: HashMap<String, Category>,
    /// Precedence class of each category, lower first.
    classes: Vec<u8>,
    /// Enhanced codes that say a cause, and those that say next to nothing (`x.0.0`, `x.7.1`).
    precise: Vec<CodeMeaning>,
    vague: Vec<CodeMeaning>,
    replies: Vec<ReplyFallback>,
    unclassified: Category,
}

static BUILT_IN: LazyLock<std::result::Result<Taxonomy, String>> = LazyLock::new(|| Taxonomy::read(TEXT));

impl Taxonomy {
    /// The taxonomy that comes with the program.
    pub fn built_in() -> Result<&'static Self> {
        BUILT_IN.as_ref().map_err(|problem| Error::Rules { file: FILE.into(), problem: problem.clone() })
    }

    /// Every category, in the file's order.
    pub fn categories(&self) -> impl Iterator<Item = Category> + '_ {
        self.by_position()
    }

    /// Who acts on a refusal of this category; `by_us` if this host said it to a client.
    pub fn who_acts(&self, category: Category, by_us: bool) -> Party {
        if by_us { category.acts_by_us() } else { category.acts_to_us() }
    }

    /// The category of what nothing explains.
    pub fn unclassified(&self) -> Category {
        self.unclassified
    }

    pub(super) fn class(&self, category: Category) -> u8 {
        self.classes.get(usize::from(category.0)).copied().unwrap_or(u8::MAX)
    }

    /// The fallback of an enhanced code that names a cause.
    pub(super) fn precise(&self, code: EnhancedCode) -> Option<(Category, &str)> {
        meaning(&self.precise, code)
    }

    /// The fallback of an enhanced code that names no more than a subject.
    pub(super) fn vague(&self, code: EnhancedCode) -> Option<(Category, &str)> {
        meaning(&self.vague, code)
    }

    /// The fallback of a reply code, by stage where the file tells stages apart.
    pub(super) fn reply(&self, code: SmtpCode, stage: Option<Stage>) -> Option<(Category, &str)> {
        let fits = |f: &&ReplyFallback| {
            f.code.is_none_or(|c| c == code.get())
                && f.hundreds.is_none_or(|h| h == code.get() / 100)
                && (f.stages.is_empty() || stage.is_some_and(|s| f.stages.contains(&s)))
        };
        self.replies.iter().find(fits).map(|f| (f.category, f.rule.as_str()))
    }

    /// The id under which each code decides, with its category.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&str, Category)> {
        let enhanced = self.precise.iter().chain(&self.vague).map(|code| (code.rule.as_str(), code.category));
        enhanced.chain(self.replies.iter().map(|reply| (reply.rule.as_str(), reply.category)))
    }

    fn by_position(&self) -> impl Iterator<Item = Category> + use<> {
        (0..u8::try_from(self.entries.len()).unwrap_or(u8::MAX)).map(Category)
    }

    fn read(text: &str) -> std::result::Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut by_id = HashMap::new();
        for (position, entry) in file.category.iter().enumerate() {
            let category = Category(u8::try_from(position).map_err(|_| "more than 255 categories")?);
            if by_id.insert(entry.id.clone(), category).is_some() {
                return Err(format!("category '{}' is there twice: remove one", entry.id));
            }
        }
        let find = |id: &str| {
            by_id.get(id).copied().ok_or_else(|| format!("no category '{id}': add it under [[category]] or correct it"))
        };
        let mut classes = vec![u8::MAX; file.category.len()];
        for (class, ids) in (0u8..).zip(&file.precedence) {
            for id in ids {
                if let Some(slot) = classes.get_mut(usize::from(find(id)?.0)) {
                    *slot = class;
                }
            }
        }
        let mut precise = Vec::new();
        for (entry, class) in file.category.iter().zip(&classes) {
            if *class == u8::MAX && entry.id != UNCLASSIFIED {
                return Err(format!("category '{}' has no place in 'precedence': add it", entry.id));
            }
            for code in &entry.codes {
                precise.push(fallback(code, find(&entry.id)?)?);
            }
        }
        let vague =
            file.vague.iter().map(|v| fallback(&v.code, find(&v.category)?)).collect::<std::result::Result<_, _>>()?;
        let replies = file.reply.iter().map(|r| r.read(find(&r.category)?)).collect::<std::result::Result<_, _>>()?;
        let unclassified = find(UNCLASSIFIED)?;
        Ok(Self { entries: file.category, by_id, classes, precise, vague, replies, unclassified })
    }
}

fn fallback(code: &str, category: Category) -> std::result::Result<CodeMeaning, String> {
    let pattern = CodePattern::read(code).ok_or_else(|| format!("'{code}' is no enhanced code: write it as x.1.1"))?;
    Ok(CodeMeaning { pattern, category, rule: format!("enhanced-{code}") })
}

#[derive(Debug)]
struct ReplyFallback {
    code: Option<u16>,
    hundreds: Option<u16>,
    stages: Vec<Stage>,
    category: Category,
    rule: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    precedence: Vec<Vec<String>>,
    category: Vec<Entry>,
    vague: Vec<Vague>,
    reply: Vec<ReplyEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    family: String,
    polarity: Polarity,
    acts_to_us: Party,
    acts_by_us: Party,
    description: String,
    resolution: String,
    #[serde(default)]
    codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vague {
    code: String,
    category: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyEntry {
    /// `552`, or `5xx` for all that no line above names.
    code: String,
    #[serde(default)]
    stages: Vec<String>,
    category: String,
}

impl ReplyEntry {
    fn read(&self, category: Category) -> std::result::Result<ReplyFallback, String> {
        let wrong = || format!("'{}' is no reply code: write it as 552 or 5xx", self.code);
        let hundreds = self.code.strip_suffix("xx").map(|h| h.parse::<u16>().map_err(|_| wrong())).transpose()?;
        let code = if hundreds.is_none() { Some(self.code.parse::<u16>().map_err(|_| wrong())?) } else { None };
        let stage = |word: &String| Stage::from_word(word).ok_or_else(|| format!("no stage '{word}': correct it"));
        let stages = self.stages.iter().map(stage).collect::<std::result::Result<_, _>>()?;
        Ok(ReplyFallback { code, hundreds, stages, category, rule: format!("reply-{}", self.code) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_categories_and_unclassified() {
        let taxonomy = Taxonomy::built_in().unwrap();
        assert_eq!(taxonomy.categories().count(), 61);
        for category in taxonomy.categories() {
            assert_eq!(Category::from_id(category.id()), Some(category));
            assert!(category.description().ends_with('.'), "{category}: {}", category.description());
            assert!(category.resolution().ends_with('.'), "{category}: {}", category.resolution());
        }
        let families: std::collections::BTreeSet<_> = taxonomy.categories().map(Category::family).collect();
        assert_eq!(families.iter().filter(|f| !f.is_empty()).count(), 11);
    }

    #[test]
    fn a_bad_taxonomy_is_refused() {
        let text = |from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            TEXT.replacen(from, to, 1)
        };
        for (text, part) in [
            (text("precedence = [", "precedence = [\n    [\"nope\"],"), "no category 'nope'"),
            (
                text("\"dnsbl-misfire\", \"geo-blocked\", ", "\"dnsbl-misfire\", "),
                "'geo-blocked' has no place in 'precedence'",
            ),
            (text("id = \"geo-blocked\"", "id = \"ip-blocked\""), "'ip-blocked' is there twice"),
            (text("polarity = \"permanent\"", "polarity = \"never\""), "never"),
            (text("acts_to_us = \"sender\"", "acts_to_us = \"them\""), "them"),
            (text("x.1.1\"", "1.1\""), "'1.1' is no enhanced code"),
            (text("resolution = ", "resolutions = "), "resolution"),
        ] {
            let error = Taxonomy::read(&text).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
