//! The tables beside the rules: DNS lists by zone and spelling, and providers by host name, signature and code.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::code::{CodeMeaning, CodePattern, meaning};
use super::taxonomy::Category;
use crate::error::{Error, Result};
use crate::mail::status::EnhancedCode;

const LISTS_FILE: &str = "lists.toml";
pub(super) const LISTS_TEXT: &str = include_str!("../rules/lists.toml");
const PROVIDERS_FILE: &str = "providers.toml";
pub(super) const PROVIDERS_TEXT: &str = include_str!("../rules/providers.toml");

/// What a list lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum ListKind {
    #[serde(rename = "ip")]
    Ip,
    #[serde(rename = "domain")]
    Domain,
    #[serde(rename = "url")]
    Url,
    #[serde(rename = "geo")]
    Geo,
    #[serde(rename = "grey")]
    Grey,
    #[serde(rename = "open-relay")]
    OpenRelay,
}

impl ListKind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Geo => "geo",
            Self::Grey => "grey",
            Self::OpenRelay => "open-relay",
        }
    }
}

/// One DNS list (`src/rules/lists.toml`).
#[derive(Debug)]
pub struct List {
    entry: ListEntry,
    category: Category,
    rule: String,
}

impl List {
    /// The stable id, such as `spamhaus-zen`.
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    pub fn kind(&self) -> ListKind {
        self.entry.kind
    }

    /// The category that a listing there implies.
    pub fn category(&self) -> Category {
        self.category
    }

    /// How to get off the list.
    pub fn removal(&self) -> &str {
        &self.entry.removal
    }

    /// Id of the list that this one is a part of, as the parts of Spamhaus ZEN are. `None` for most.
    pub fn part_of(&self) -> Option<&str> {
        self.entry.part_of.as_deref()
    }

    /// Id of the rule that says "this list is named".
    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    /// Names under which it is asked, or those of its site, lower case.
    pub fn zones(&self) -> &[String] {
        &self.entry.zones
    }

    /// Zones and other spellings, lower case.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &str> {
        self.entry.zones.iter().chain(&self.entry.names).map(String::as_str)
    }
}

/// All lists.
#[derive(Debug)]
pub struct Lists {
    all: Vec<List>,
    by_id: HashMap<String, usize>,
    by_zone: HashMap<String, usize>,
}

static LISTS: LazyLock<std::result::Result<Lists, String>> = LazyLock::new(|| Lists::read(LISTS_TEXT));

impl Lists {
    /// The lists that come with the program.
    pub fn built_in() -> Result<&'static Self> {
        LISTS.as_ref().map_err(|problem| Error::Rules { file: LISTS_FILE.into(), problem: problem.clone() })
    }

    /// Every list, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &List> {
        self.all.iter()
    }

    /// The list with this id. `None` for private zones.
    pub fn get(&self, id: &str) -> Option<&List> {
        self.by_id.get(id).and_then(|at| self.all.get(*at))
    }

    /// The list that answers for `zone` or one above it, so that keyed zones (`key.zen.dq.spamhaus.net`) are found too.
    pub fn of_zone(&self, zone: &str) -> Option<&List> {
        let mut rest = zone;
        loop {
            if let Some(at) = self.by_zone.get(rest) {
                return self.all.get(*at);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    pub(super) fn at(&self, position: usize) -> Option<&List> {
        self.all.get(position)
    }

    fn read(text: &str) -> std::result::Result<Self, String> {
        let file: ListFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let (mut by_id, mut by_zone, mut lists) = (HashMap::new(), HashMap::new(), Vec::new());
        for entry in file.list {
            let at = lists.len();
            let category = category(&entry.category, &entry.id)?;
            if by_id.insert(entry.id.clone(), at).is_some() {
                return Err(format!("list '{}' is there twice: remove one", entry.id));
            }
            for zone in &entry.zones {
                if by_zone.insert(zone.clone(), at).is_some() {
                    return Err(format!("zone '{zone}' of list '{}' is there twice: remove one", entry.id));
                }
            }
            if let Some(name) = entry.zones.iter().chain(&entry.names).find(|n| n.chars().any(char::is_uppercase)) {
                return Err(format!("'{name}' of list '{}': write it in lower case", entry.id));
            }
            let rule = format!("list-{}", entry.id);
            lists.push(List { entry, category, rule });
        }
        Ok(Self { all: lists, by_id, by_zone })
    }
}

/// One mail provider or filtering service (`src/rules/providers.toml`).
#[derive(Debug)]
pub struct Provider {
    id: String,
    hosts: Vec<String>,
    signatures: Vec<String>,
    codes: Vec<CodeMeaning>,
    weak_codes: Vec<CodeMeaning>,
}

impl Provider {
    /// The stable id, such as `google`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Suffixes of the names of its mail hosts.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Texts that only this provider's answers contain, lower case.
    pub(super) fn signatures(&self) -> &[String] {
        &self.signatures
    }

    /// The id under which each of its codes decides, with its category.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&str, Category)> {
        self.codes.iter().chain(&self.weak_codes).map(|code| (code.rule.as_str(), code.category))
    }

    /// The category and rule id of a code whose meaning the provider has published.
    pub(super) fn code(&self, code: EnhancedCode) -> Option<(Category, &str)> {
        meaning(&self.codes, code)
    }

    /// The same for codes that the provider gives for several causes: they decide only where no words do.
    pub(super) fn weak_code(&self, code: EnhancedCode) -> Option<(Category, &str)> {
        meaning(&self.weak_codes, code)
    }
}

/// All providers.
#[derive(Debug)]
pub struct Providers {
    all: Vec<Provider>,
    by_id: HashMap<String, usize>,
    by_host: hashbrown::HashMap<Vec<u8>, usize>,
    /// The last two labels of each host.
    ends: hashbrown::HashSet<Vec<u8>>,
}

/// The last two labels of a host's name.
fn last_labels(host: &[u8]) -> &[u8] {
    let dot = memchr::memrchr_iter(b'.', host).nth(1);
    dot.and_then(|dot| host.get(dot + 1..)).unwrap_or(host)
}

/// RFC 1035, section 2.3.4: no name is longer.
const MOST_HOST_BYTES: usize = 255;

impl Providers {
    /// The providers that come with the program.
    pub fn built_in() -> Result<Self> {
        Self::read(PROVIDERS_TEXT).map_err(|problem| Error::Rules { file: PROVIDERS_FILE.into(), problem })
    }

    /// Every provider, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.all.iter()
    }

    /// The provider with this id.
    pub fn get(&self, id: &str) -> Option<&Provider> {
        self.by_id.get(id).and_then(|at| self.all.get(*at))
    }

    /// Position of the provider that runs the mail host of this name.
    pub(super) fn of_host(&self, host: &[u8]) -> Option<usize> {
        let lower = (host.len() <= MOST_HOST_BYTES).then_some(host)?;
        let lower = match lower.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(lower.to_ascii_lowercase()),
            false => Cow::Borrowed(lower),
        };
        let mut rest = lower.strip_suffix(b".").unwrap_or(&lower);
        if !self.ends.contains(last_labels(rest)) {
            return None;
        }
        while !rest.is_empty() {
            if let Some(at) = self.by_host.get(rest) {
                return Some(*at);
            }
            rest = rest.get(memchr::memchr(b'.', rest)? + 1..)?;
        }
        None
    }

    /// The provider that runs the mail host of this name, or all those of this domain.
    pub fn running(&self, host: &[u8]) -> Option<&Provider> {
        self.at(self.of_host(host)?)
    }

    pub(super) fn at(&self, position: usize) -> Option<&Provider> {
        self.all.get(position)
    }

    fn read(text: &str) -> std::result::Result<Self, String> {
        let file: ProviderFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let (mut by_id, mut by_host, mut providers) = (HashMap::new(), hashbrown::HashMap::new(), Vec::new());
        for entry in file.provider {
            let at = providers.len();
            if by_id.insert(entry.id.clone(), at).is_some() {
                return Err(format!("provider '{}' is there twice: remove one", entry.id));
            }
            for host in &entry.hosts {
                if by_host.insert(host.clone().into_bytes(), at).is_some() {
                    return Err(format!("host '{host}' of provider '{}' is there twice: remove one", entry.id));
                }
            }
            let codes = |entries: &[CodeEntry]| {
                entries
                    .iter()
                    .map(|c| {
                        let pattern = CodePattern::read(&c.code)
                            .ok_or_else(|| format!("provider '{}': '{}' is no enhanced code", entry.id, c.code))?;
                        let rule = format!("{}-{}", entry.id, c.code);
                        Ok(CodeMeaning { pattern, category: category(&c.category, &entry.id)?, rule })
                    })
                    .collect::<std::result::Result<Vec<_>, String>>()
            };
            let (codes, weak_codes) = (codes(&entry.codes)?, codes(&entry.weak_codes)?);
            providers.push(Provider {
                id: entry.id,
                hosts: entry.hosts,
                signatures: entry.signatures,
                codes,
                weak_codes,
            });
        }
        let ends = by_host.keys().map(|host: &Vec<u8>| last_labels(host).to_vec()).collect();
        Ok(Self { all: providers, by_id, by_host, ends })
    }
}

fn category(id: &str, place: &str) -> std::result::Result<Category, String> {
    Category::from_id(id).ok_or_else(|| format!("'{place}': no category '{id}': see taxonomy.toml"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    list: Vec<ListEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListEntry {
    id: String,
    kind: ListKind,
    category: String,
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    part_of: Option<String>,
    removal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFile {
    provider: Vec<ProviderEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderEntry {
    id: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    signatures: Vec<String>,
    #[serde(default)]
    codes: Vec<CodeEntry>,
    #[serde(default)]
    weak_codes: Vec<CodeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeEntry {
    code: String,
    category: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_list_is_refused() {
        let list = |lines: &str| format!("[[list]]\nid = 'a'\nkind = 'ip'\nremoval = 'wait.'\n{lines}\n");
        let good = list("category = 'dnsbl-ip'\nzones = ['bl.example']");
        assert!(Lists::read(&good).is_ok());
        for (text, part) in [
            (list("category = 'dnsbl'"), "no category 'dnsbl'"),
            (list("category = 'dnsbl-ip'\nzone = ['bl.example']"), "zone"),
            (good.replace("'ip'", "'ips'"), "ips"),
            (good.replace("bl.example", "BL.example"), "lower case"),
            (good.clone() + &good, "'a' is there twice"),
            (good.clone() + &good.replace("'a'", "'b'"), "zone 'bl.example' of list 'b'"),
        ] {
            let error = Lists::read(&text).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_bad_provider_is_refused() {
        let provider = |lines: &str| format!("[[provider]]\nid = 'a'\n{lines}\n");
        let good = provider("hosts = ['a.example']\ncodes = [{ code = 'x.7.1', category = 'spam-content' }]");
        assert!(Providers::read(&good).is_ok());
        for (text, part) in [
            (good.replace("spam-content", "spam"), "no category 'spam'"),
            (good.replace("x.7.1", "7.1"), "'7.1' is no enhanced code"),
            (good.replace("hosts", "host"), "host"),
            (good.clone() + &good, "'a' is there twice"),
            (good.clone() + &good.replace("'a'", "'b'"), "host 'a.example' of provider 'b'"),
        ] {
            let error = Providers::read(&text).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn every_list_says_how_to_get_off_it() {
        for list in Lists::built_in().unwrap().iter() {
            assert!(list.removal().len() > 20 && list.removal().split('.').count() > 1, "{}", list.id());
            assert!(
                list.part_of().is_none_or(|whole| Lists::built_in().unwrap().get(whole).is_some()),
                "{}",
                list.id()
            );
        }
    }
}
