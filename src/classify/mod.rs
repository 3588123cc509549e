//! Why a mail server deferred, bounced or rejected: one category for every refusal, and the rule that decided it.
//!
//! The order is always the same: the innermost reply ([`crate::parse::reply`]); a program's own words; the provider's
//! words and published codes; a named DNS list; words that many servers share, most specific cause first; precise
//! enhanced codes; words that say little, with the stage; vague enhanced codes; reply codes. Rules stand in
//! `src/rules/*.toml`, each with answers that prove it. Nothing here knows a wording.
//!
//! Rules see an answer's template ([`template`]): its words without ids, addresses and numbers. Each template is decided
//! once and remembered ([`memory`]); what differs from answer to answer, such as the zone of a DNS list, is taken out of
//! the answer itself when the rule is known. A new template costs one pass that finds which fixed texts occur
//! ([`literal`]); only rules whose fixed text is there are tried, in order of rank, and the first that matches decides.

mod attributes;
mod code;
mod decode;
mod explain;
mod literal;
mod load;
mod matcher;
mod memory;
mod rule;
mod tables;
mod taxonomy;
mod template;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use regex_automata::meta;
use regex_automata::util::syntax;

use self::attributes::{Attributes, Possible};
pub use self::explain::{Explanation, ListBy, Lost, ProviderBy};
use self::literal::{MOST_DEMANDS, Needles};
pub use self::load::FILES;
use self::matcher::Matcher;
use self::memory::Memory;
use self::rule::{Context, Sample};
pub use self::rule::{Rule, Step};
pub use self::tables::{List, ListKind, Lists, Provider, Providers};
pub use self::taxonomy::{Category, Party, Polarity, Taxonomy, family};
use self::template::Reducer;
use crate::error::{Error, Result};
use crate::mail::status::{EnhancedCode, Mta, SmtpCode, Stage};
use crate::parse::reply::{Reply, ReplyKind, reply};

/// One refusal as a log line gives it.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// The program that wrote the line.
    pub mta: Mta,
    /// Postfix daemon that logged it (`smtpd`, `smtp`, `local`, …); Exim transport or router, or empty.
    pub service: &'a [u8],
    /// True if this host said it to a client; false if it was said to this host, or is its own delivery trouble.
    pub by_us: bool,
    /// True for 5xx, bounced, expired; from the line's own action.
    pub permanent: bool,
    /// Stage as the line gives it beside the text.
    pub stage: Option<Stage>,
    /// Reply code as the line gives it beside the text.
    pub smtp_code: Option<SmtpCode>,
    /// Enhanced code as the line gives it beside the text, such as Postfix `dsn=`.
    pub enhanced_code: Option<EnhancedCode>,
    /// The remote server's name; empty if none.
    pub relay_host: &'a [u8],
    /// The text.
    pub response: &'a [u8],
}

impl<'a> Refusal<'a> {
    /// What was said to this host, with nothing else known of it.
    pub const fn told(mta: Mta, service: &'a [u8], permanent: bool, response: &'a [u8]) -> Self {
        Self {
            mta,
            service,
            by_us: false,
            permanent,
            stage: None,
            smtp_code: None,
            enhanced_code: None,
            relay_host: &[],
            response,
        }
    }

    /// What this host said to a client, with nothing else known of it.
    pub const fn said(mta: Mta, service: &'a [u8], permanent: bool, response: &'a [u8]) -> Self {
        Self { by_us: true, ..Self::told(mta, service, permanent, response) }
    }
}

/// What a refusal means. Borrowed from the classifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'c> {
    pub category: Category,
    /// Id of the rule that decided; `enhanced-x.1.1`, `reply-552`, `policy-5.7` or a provider's `google-x.7.27` where a code
    /// decided, `list-spamhaus-zen` where a list's name did, `none` where nothing did.
    pub rule: &'c str,
    /// Of the innermost reply, else the line's.
    pub smtp_code: Option<SmtpCode>,
    /// Of the innermost reply, else the line's.
    pub enhanced_code: Option<EnhancedCode>,
    /// Of the innermost reply, else the line's.
    pub stage: Option<Stage>,
    /// Id of the provider that answered. `None` if it is unknown, or if this host's own words were classified.
    pub provider: Option<&'c str>,
    /// Id of the DNS list that is named, or a private zone or list name as written, lower case.
    pub dnsbl: Option<Cow<'c, str>>,
    /// The provider's or product's own code as the innermost reply writes it: `S3140`, `OFR_102`, `RTR:BL`.
    pub provider_code: Option<Cow<'c, str>>,
    /// Seconds after which the answer says to try again.
    pub retry_after_s: Option<u32>,
}

/// All rules, ready to classify. Shared by all threads; each has a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Classifier {
    id: u64,
    fingerprint: String,
    taxonomy: &'static Taxonomy,
    lists: &'static Lists,
    providers: Providers,
    /// In order of rank.
    rules: Vec<Rule>,
    /// Number of the pattern in `matcher` that each rule must not match. `None` for most.
    unless: Vec<Option<usize>>,
    /// Position in `rules` of the first rule of each step and behind the last.
    steps: HashMap<Step, Range<usize>>,
    matcher: Matcher,
    reducer: Reducer,
    attributes: &'static Attributes,
    needles: Needles,
    /// What each needle stands for.
    meanings: Vec<Vec<Meaning>>,
    /// For each place among the demands of a rule, the rules that have none there, as bits.
    undemanding: [Vec<u64>; MOST_DEMANDS],
}

/// What it means that a fixed text occurs.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// The rule at this position may match, as far as its demand of this number goes.
    Rule(usize, usize),
    /// The list at this position is named, if the text stands free; with its length, and how much it tells outside links.
    List(usize, usize, Told),
    /// The provider at this position speaks, if its host is unknown; with the signature's length.
    Provider(usize, usize),
    /// A host of the provider at this position is named, with the length: in a link or as the server's own name it tells
    /// who speaks.
    Host(usize, usize),
    /// The text speaks of blocking, in so many bytes: a list named beside it is the cause.
    Blocking(usize),
}

/// Words beside which the name of a list is the cause of the refusal.
const BLOCKING: &[&str] = &[
    "block",
    "is on the ",
    "listed",
    "blacklist",
    "rbl",
    "dnsbl",
    "reject",
    "refus",
    "denied",
    "deny",
    "reputation",
    "spam",
    "policy",
    "poor",
    "not allowed",
    "not accept",
    "banned",
    "open relay",
    "/query/",
    "/lookup",
    // German, French, Spanish and Portuguese, Italian, Dutch, Polish, Russian, Turkish, Chinese, Japanese, Korean.
    "gesperrt",
    "gelistet",
    "sperrliste",
    "abgelehnt",
    "abgewiesen",
    "bloqu",
    "rejet",
    "liste noire",
    "rechaz",
    "lista negra",
    "recusad",
    "rejeitad",
    "bloccat",
    "rifiutat",
    "lista nera",
    "geblokkeerd",
    "geweigerd",
    "zwarte lijst",
    "zablokowan",
    "odrzucon",
    "заблокир",
    "отклон",
    "списк",
    "engellen",
    "kara liste",
    "黑名单",
    "黑名單",
    "拒",
    "拦截",
    "封",
    "ブロック",
    "リスト",
    "차단",
    "거부",
    "블랙리스트",
];

/// Memory that one thread reuses from answer to answer.
#[derive(Debug, Default)]
pub struct Scratch<'c> {
    /// The classifier that the rest belongs to.
    owner: u64,
    matcher: matcher::Cache,
    words: Vec<u8>,
    template: Vec<u8>,
    /// Rules of which each demand is met, as bits.
    met: [Vec<u64>; MOST_DEMANDS],
    /// Rules of which all demands are met, as bits.
    candidates: Vec<u64>,
    key: Vec<u8>,
    attributes: attributes::Cache,
    known: Memory<Decision<'c>>,
}

/// What a template and its circumstances decide.
#[derive(Debug, Clone, Copy)]
struct Decision<'c> {
    by: By<'c>,
    /// The list that is named, if that counts.
    list: Option<&'c List>,
    /// The list that the rule takes out of the template: one that is known is the same in every answer of the template.
    asked: Option<&'c List>,
    /// That list stands in a link only: a zone that the answer says was asked goes before it.
    is_hint: bool,
    provider: Option<&'c Provider>,
    /// Nothing tells the provider but the domain of the mailbox that the answer is about.
    is_of_mailbox: bool,
    /// What else answers of this template may say.
    possible: Possible,
}

#[derive(Debug, Clone, Copy)]
enum By<'c> {
    Rule(&'c Rule),
    /// A code, a list's name, or nothing: the category, and what stands for the rule's id.
    Other(Category, &'c str),
}

impl By<'_> {
    const fn category(&self) -> Category {
        match self {
            Self::Rule(rule) => rule.category,
            Self::Other(category, _) => *category,
        }
    }
}

/// How much the name of a list tells of the one that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// It stands in a link, which may lead to the page of another or of a part; or nothing but the word that all parts of
    /// a list share stands there.
    Hint,
    /// The list is named.
    Name,
    /// A part is named, and what was asked is the whole.
    Part,
    /// A part of another meaning than its whole: that is what a listing there implies, in a link, too.
    Cause,
}

/// One spelling of a list in a template.
#[derive(Debug, Clone, Copy)]
struct Named {
    told: Told,
    start: usize,
    end: usize,
    /// Position of the list.
    list: usize,
}

impl Named {
    fn is_better_than(&self, other: &Self) -> bool {
        let is_same_place = self.start < other.end && other.start < self.end;
        let is_longer = self.end - self.start > other.end - other.start;
        self.told > other.told || self.told == other.told && is_same_place && is_longer
    }
}

/// What one pass over the words found.
#[derive(Debug, Default)]
struct Found {
    /// The list that is named. What tells more wins, then the longer of two spellings of one place, then the first.
    list: Option<Named>,
    /// The provider of the longest signature, with its length.
    provider: Option<(usize, usize)>,
    /// The provider whose host is named first.
    host: Option<usize>,
    /// Where the first word that speaks of blocking starts, and where the last one ends.
    blocking: Option<(usize, usize)>,
}

impl Found {
    /// True if the text speaks of blocking, elsewhere than in the name of the list.
    fn speaks_of_blocking(&self) -> bool {
        let is_outside = |named: Named, start, end| start < named.start || named.end < end;
        self.blocking.is_some_and(|(start, end)| self.list.is_none_or(|named| is_outside(named, start, end)))
    }
}

/// What an enhanced code of security and policy means that nothing else explains (RFC 3463, section 3.8).
const POLICY_REFUSED: &str = "policy-refused";
const POLICY_RULE: &str = "policy-5.7";

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// How patterns are read: bytes, `.` takes any byte. Patterns and words are in lower case.
fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true)
}

/// Settings of the few regexes that take a list's name out of the text.
fn capture_limits() -> meta::Config {
    meta::Config::new().utf8_empty(false).hybrid_cache_capacity(256 * 1024)
}

impl Classifier {
    /// The classifier with the rules that come with the program.
    pub fn built_in() -> Result<Self> {
        Self::with_rules(&[])
    }

    /// The classifier with a user's rule files added (name and text). A user's rules come before all built-in ones, and
    /// replace those of the same id.
    pub fn with_rules(extra: &[(&str, &str)]) -> Result<Self> {
        let taxonomy = Taxonomy::built_in()?;
        let lists = Lists::built_in()?;
        let providers = Providers::built_in()?;
        let attributes = Attributes::built_in()?;
        let mut rules = load::rules(extra, &providers)?;
        rules.sort_by(|a, b| a.order(b, |category| taxonomy.class(category)));
        let mut steps: HashMap<Step, Range<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            steps.entry(rule.step).or_insert(at..at).end = at + 1;
        }
        let mut patterns: Vec<&str> = rules.iter().map(Rule::pattern).collect();
        let mut unless = Vec::with_capacity(rules.len());
        for rule in &rules {
            unless.push(rule.unless.as_ref().map(|_| patterns.len()));
            patterns.extend(rule.unless());
        }
        let lowered: Vec<String> = patterns.iter().map(|pattern| load::lower(pattern)).collect();
        let matcher = Matcher::new(&lowered);
        let zones = lists.iter().flat_map(List::spellings);
        let hosts = providers.iter().flat_map(|provider| provider.hosts().iter().chain(provider.signatures()));
        let tables = zones.chain(hosts.map(String::as_str));
        let reducer = Reducer::new(lowered.iter().map(String::as_str), tables);
        let (needles, meanings, undemanding) = prefilter(&rules, lists, &providers)?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let fingerprint = load::fingerprint(extra);
        Ok(Self {
            id,
            fingerprint,
            taxonomy,
            lists,
            providers,
            rules,
            unless,
            steps,
            matcher,
            reducer,
            attributes,
            needles,
            meanings,
            undemanding,
        })
    }

    /// What tells this set of rules from any other.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch<'_> {
        Scratch::default()
    }

    pub fn taxonomy(&self) -> &Taxonomy {
        self.taxonomy
    }

    pub fn lists(&self) -> &Lists {
        self.lists
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// The category that a code decides under this id: `enhanced-x.1.1`, `reply-552`, `policy-5.7`, `google-x.7.27`.
    pub fn of_code(&self, id: &str) -> Option<Category> {
        let of_providers = self.providers.iter().flat_map(Provider::codes);
        let policy = Category::from_id(POLICY_REFUSED).map(|category| (POLICY_RULE, category));
        let mut all = self.taxonomy.codes().chain(of_providers).chain(policy);
        all.find(|(rule, _)| *rule == id).map(|(_, category)| category)
    }

    /// Every rule, in order of rank.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Who acts on a refusal of this category; `by_us` if this host said it to a client.
    pub fn who_acts(&self, category: Category, by_us: bool) -> Party {
        self.taxonomy.who_acts(category, by_us)
    }

    /// What the one who acts should do: how to get off the list where one is known, else the category's resolution.
    pub fn resolution(&self, category: Category, dnsbl: Option<&str>) -> &str {
        let removal = dnsbl.and_then(|id| self.lists.get(id)).map(List::removal);
        removal
            .filter(|_| category.family() == "reputation" && category.id() != "dnsbl-misfire")
            .unwrap_or(category.resolution())
    }

    /// Decides one refusal.
    pub fn classify<'c>(&'c self, scratch: &mut Scratch<'c>, refusal: &Refusal<'_>) -> Verdict<'c> {
        scratch.lend_to(self.id);
        let reply = reply(refusal.response);
        self.read(scratch, &reply);
        let speaker = self.speaker(refusal, &reply);
        let context = context(refusal, &reply);
        key(&mut scratch.key, &context, speaker, &scratch.template);
        let hash = scratch.known.hash(&scratch.key);
        let decision = match scratch.known.get(hash, &scratch.key) {
            Some(decision) => *decision,
            None => {
                let decision = self.decide(scratch, context, speaker);
                scratch.known.insert(hash, &scratch.key, decision);
                decision
            }
        };
        self.verdict(scratch, &reply, &context, &decision)
    }

    /// Proves every rule: each sample is won by its rule, or by the one it must lose to. A rule that wins no sample of its
    /// own could never win; that is a problem, too. The error names all problems, one a line.
    pub fn check(&self) -> Result<()> {
        let problems = self.problems();
        let Some((file, _)) = problems.first() else { return Ok(()) };
        let file = file.clone();
        let mut lines = String::new();
        for (at, (file, problem)) in problems.into_iter().enumerate() {
            // The error itself says the first file.
            lines.push_str(&if at == 0 { problem } else { format!("\n{file}: {problem}") });
        }
        Err(Error::Rules { file, problem: lines })
    }

    /// Every sample that another rule wins: the rule file, and a sentence that names sample and both rules.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut scratch = self.scratch();
        let mut problems = Vec::new();
        for rule in &self.rules {
            let own = rule.wins.iter().map(|sample| (rule.id.as_str(), sample));
            let other = rule.loses.iter().map(|(to, sample)| (to.as_str(), sample));
            for (expected, sample) in own.chain(other) {
                if let Some(problem) = self.sample_problem(&mut scratch, rule, expected, sample) {
                    problems.push((rule.file.clone(), problem));
                }
            }
        }
        problems
    }

    /// How many samples of other rules each of the rules that `is_own` names wins, by id.
    pub fn taken(&self, is_own: impl Fn(&Rule) -> bool) -> BTreeMap<&str, usize> {
        let own: HashSet<&str> = self.rules.iter().filter(|rule| is_own(rule)).map(Rule::id).collect();
        let (mut scratch, mut taken) = (self.scratch(), BTreeMap::new());
        let others = self.rules.iter().filter(|rule| !own.is_empty() && !own.contains(rule.id()));
        for sample in others.flat_map(|rule| &rule.wins) {
            let winner = self.classify(&mut scratch, &sample.refusal()).rule;
            if own.contains(winner) {
                *taken.entry(winner).or_default() += 1;
            }
        }
        taken
    }

    fn sample_problem<'c>(
        &'c self,
        scratch: &mut Scratch<'c>,
        rule: &Rule,
        expected: &str,
        sample: &Sample,
    ) -> Option<String> {
        let verdict = self.classify(scratch, &sample.refusal());
        let text = &sample.reply;
        if verdict.rule != expected {
            let (winner, category) = (verdict.rule, verdict.category);
            let reason = self.why_not(expected, sample).unwrap_or_else(|| self.why_first(expected, winner, category));
            return Some(format!("rule '{}': '{text}' should be won by '{expected}', but {reason}", rule.id));
        }
        // A named list may turn an IP listing into what that list means (`ip-dynamic`, `geo-blocked`).
        if expected == rule.id && verdict.category != rule.category && verdict.dnsbl.is_none() {
            return Some(format!("rule '{}': '{text}' became '{}'", rule.id, verdict.category));
        }
        None
    }

    /// Why the rule `winner` goes before the rule `id` where both match, and what to do.
    fn why_first(&self, id: &str, winner: &str, category: Category) -> String {
        let of = |id: &str| self.rules.iter().find(|rule| rule.id == id);
        let wins = format!("'{winner}' ({category}) wins it");
        let Some((own, other)) = of(id).zip(of(winner)) else {
            return format!("{wins}: make one of them more specific");
        };
        let class = |rule: &Rule| self.taxonomy.class(rule.category);
        if own.pattern == other.pattern {
            format!("{wins}, with the same text: '{id}' can never win")
        } else if own.step == other.step && own.broad == other.broad && class(own) != class(other) {
            format!("{wins}: {category} is tried before {}: give '{winner}' an 'unless'", own.category)
        } else {
            format!("{wins}: make one of them more specific")
        }
    }

    /// Why the rule `id` cannot win this sample, whatever other rules there are. `None` if it could, or if a code or a list
    /// decides under this id.
    fn why_not(&self, id: &str, sample: &Sample) -> Option<String> {
        let Some(at) = self.rules.iter().position(|rule| rule.id == id) else {
            let is_list = || id.strip_prefix("list-").is_some_and(|list| self.lists.get(list).is_some());
            let is_known = id == "none" || self.of_code(id).is_some() || is_list();
            return (!is_known).then(|| format!("there is no rule '{id}'"));
        };
        let rule = self.rules.get(at)?;
        let refusal = sample.refusal();
        let explained = self.explain(&mut self.scratch(), &refusal);
        let reply = reply(refusal.response);
        let context = Context { provider: explained.verdict.provider, ..context(&refusal, &reply) };
        let mut cache = matcher::Cache::default();
        let mut matches = |number| self.matcher.matches(&mut cache, &explained.template, number);
        if let Some(unmet) = rule.when.unmet(&context) {
            Some(format!("{unmet}: change one of them"))
        } else if !matches(at) {
            let template = crate::mail::address::printable(&explained.template);
            Some(format!("its 'text' does not match what the rules see of it: '{template}'"))
        } else if self.unless.get(at)?.is_some_and(matches) {
            Some("its 'unless' matches, too".into())
        } else {
            None
        }
    }

    /// Puts words and template of a reply into `scratch`.
    fn read(&self, scratch: &mut Scratch<'_>, reply: &Reply<'_>) {
        text::normalize(&decode::decoded(&reply.text), &mut scratch.words);
        self.reducer.reduce(&scratch.words, &mut scratch.template);
    }

    /// Finds the rules that may match the template, and the names in it.
    fn scan(&self, scratch: &mut Scratch<'_>) -> Found {
        let Scratch { template, met, candidates, .. } = scratch;
        met.clone_from(&self.undemanding);
        let mut found = Found::default();
        self.needles.each(template, |needle, end| {
            for meaning in self.meanings.get(needle).into_iter().flatten() {
                match *meaning {
                    Meaning::Rule(at, demand) => {
                        if let Some(bits) = met.get_mut(demand).and_then(|met| met.get_mut(at / 64)) {
                            *bits |= 1 << (at % 64);
                        }
                    }
                    Meaning::List(at, len, told) => {
                        let is_hint = !matches!(told, Told::Part | Told::Cause) && in_link(template, end, len);
                        let told = if is_hint { Told::Hint } else { told };
                        let named = Named { told, start: end.saturating_sub(len), end, list: at };
                        let is_better = found.list.is_none_or(|best| named.is_better_than(&best));
                        if is_better && stands_free(template, end, len) {
                            found.list = Some(named);
                        }
                    }
                    Meaning::Provider(at, len) => {
                        if found.provider.is_none_or(|(longest, _)| len > longest) {
                            found.provider = Some((len, at));
                        }
                    }
                    Meaning::Host(at, len) => {
                        if found.host.is_none() && is_host_name(template, end, len) {
                            found.host = Some(at);
                        }
                    }
                    Meaning::Blocking(len) => {
                        let start = end.saturating_sub(len);
                        let (first, last) = found.blocking.unwrap_or((start, end));
                        found.blocking = Some((first.min(start), last.max(end)));
                    }
                }
            }
        });
        let [first, second, third] = met;
        candidates.clear();
        candidates.extend(first.iter().zip(second).zip(third).map(|((a, b), c)| *a & *b & *c));
        found
    }

    /// Who answered, by the host that said it, else by the relay.
    fn speaker(&self, refusal: &Refusal<'_>, reply: &Reply<'_>) -> Speaker {
        let said = reply.host.and_then(|host| self.providers.of_host(host));
        match said.or_else(|| self.providers.of_host(refusal.relay_host).filter(|_| !refusal.by_us)) {
            Some(at) => Speaker::Provider(at),
            None if refusal.by_us && reply.host.is_none() => Speaker::ThisHost,
            None if reply.host.is_some_and(is_name) || is_name(refusal.relay_host) => Speaker::Elsewhere,
            None => Speaker::Unknown,
        }
    }

    /// The provider that words of its own, or a host of its own, tell. The page of a list that is named is none of these:
    /// anybody points to it.
    fn told_by_words(&self, found: &Found) -> Option<&Provider> {
        if let Some((_, at)) = found.provider {
            return self.providers.at(at);
        }
        let provider = self.providers.at(found.host?)?;
        let list = found.list.and_then(|named| self.lists.at(named.list));
        let is_of_list = |list: &List| {
            list.spellings().any(|spelling| provider.hosts().iter().any(|host| spelling.contains(host.as_str())))
        };
        Some(provider).filter(|_| !list.is_some_and(is_of_list))
    }

    /// The steps of the order of precedence.
    fn decide<'c>(&'c self, scratch: &mut Scratch<'_>, context: Context<'_>, speaker: Speaker) -> Decision<'c> {
        let found = self.scan(scratch);
        let provider = match speaker {
            Speaker::Provider(at) => self.providers.at(at),
            Speaker::ThisHost => None,
            Speaker::Elsewhere | Speaker::Unknown => self.told_by_words(&found),
        };
        let context = Context { provider: provider.map(Provider::id), ..context };
        let list = found.list.and_then(|named| self.lists.at(named.list));
        let is_hint = found.list.is_some_and(|named| named.told == Told::Hint);
        let (by, list) = self.precedence(scratch, &context, provider, list, found.speaks_of_blocking());
        let asked = match by {
            By::Rule(rule) if names_lists(rule.category) => {
                rule.dnsbl(&scratch.template).and_then(zone).and_then(|zone| self.lists.of_zone(&zone))
            }
            _ => None,
        };
        let is_of_mailbox =
            provider.is_none() && matches!(speaker, Speaker::Unknown) && by.category().family() == "recipient";
        let possible = self.attributes.possible(&mut scratch.attributes, &scratch.template);
        Decision { by, list, asked, is_hint, provider, is_of_mailbox, possible }
    }

    fn precedence<'c>(
        &'c self,
        scratch: &mut Scratch<'_>,
        context: &Context<'_>,
        provider: Option<&'c Provider>,
        list: Option<&'c List>,
        blocking: bool,
    ) -> (By<'c>, Option<&'c List>) {
        for step in [Step::User, Step::Own, Step::Provider] {
            if let Some(rule) = self.first_of(scratch, context, step) {
                return (By::Rule(rule), list);
            }
        }
        if let Some((category, rule)) = provider.zip(context.enhanced_code).and_then(|(p, code)| p.code(code)) {
            return (By::Other(category, rule), list.filter(|_| category.family() == "reputation"));
        }
        if let Some(rule) = self.first_of(scratch, context, Step::List) {
            return (By::Rule(rule), list);
        }
        if let Some(list) = list.filter(|_| blocking) {
            return (By::Other(list.category(), list.rule()), Some(list));
        }
        if let Some(rule) = self.first_of(scratch, context, Step::Text) {
            return (By::Rule(rule), list);
        }
        let weak = provider.zip(context.enhanced_code).and_then(|(p, code)| p.weak_code(code));
        if let Some((category, rule)) = weak.or_else(|| self.taxonomy.precise(context.enhanced_code?)) {
            return (By::Other(category, rule), None);
        }
        if let Some(rule) = self.first_of(scratch, context, Step::Last) {
            return (By::Rule(rule), list);
        }
        let (category, rule) = self.by_code(context);
        (By::Other(category, rule), None)
    }

    /// The verdict of a decision on the answer whose words are in `scratch`.
    fn verdict<'c>(
        &'c self,
        scratch: &mut Scratch<'_>,
        reply: &Reply<'_>,
        context: &Context<'_>,
        decision: &Decision<'c>,
    ) -> Verdict<'c> {
        let Scratch { words, attributes: cache, .. } = scratch;
        let (category, rule, dnsbl) = match decision.by {
            By::Rule(rule) => self.by_rule(words, rule, decision),
            By::Other(category, rule) => (category, rule, decision.list.map(|list| Cow::Borrowed(list.id()))),
        };
        let of_mailbox = || self.providers.at(self.providers.of_host(mailbox_domain(&reply.text)?)?);
        let provider = decision.provider.or_else(|| if decision.is_of_mailbox { of_mailbox() } else { None });
        Verdict {
            category,
            rule,
            smtp_code: context.smtp_code,
            enhanced_code: context.enhanced_code,
            stage: context.stage,
            provider: provider.map(Provider::id),
            dnsbl,
            provider_code: self.attributes.code(cache, decision.possible, &reply.text).map(Cow::Owned),
            retry_after_s: self.attributes.retry_after_s(cache, decision.possible, words),
        }
    }

    fn by_code(&self, context: &Context<'_>) -> (Category, &str) {
        if let Some(decided) = context.enhanced_code.and_then(|code| self.taxonomy.vague(code)) {
            return decided;
        }
        if context.enhanced_code.is_some_and(|code| code.subject == 7)
            && let Some(policy) = Category::from_id(POLICY_REFUSED)
        {
            return (policy, POLICY_RULE);
        }
        let by_reply = context.smtp_code.and_then(|code| self.taxonomy.reply(code, context.stage));
        by_reply.unwrap_or((self.taxonomy.unclassified(), "none"))
    }

    fn by_rule<'c>(
        &'c self,
        words: &[u8],
        rule: &'c Rule,
        decision: &Decision<'c>,
    ) -> (Category, &'c str, Option<Cow<'c, str>>) {
        let mut category = rule.category;
        if !names_lists(category) {
            return (category, &rule.id, None);
        }
        let Decision { list: named, asked, is_hint, .. } = *decision;
        let zone = if asked.is_none() { rule.dnsbl(words).and_then(zone) } else { None };
        let asked = asked.or_else(|| self.lists.of_zone(zone.as_deref()?));
        let part = named.filter(|part| asked.is_some_and(|whole| part.part_of() == Some(whole.id())));
        // A greylisting product may be called like a list; nothing is listed.
        let named = named.filter(|list| category.id() != "greylisted" || list.category() == category);
        let is_zone = zone.as_deref().is_some_and(|zone| zone.contains('.'));
        let list = part.or(asked).or(named.filter(|_| !(is_zone && is_hint)));
        let zone = zone.or_else(|| match category.id() {
            "dnsbl-ip" | "dnsbl-domain" | "dnsbl-url" if list.is_none() => named_zone(words),
            _ => None,
        });
        let list = list.or_else(|| self.lists.of_zone(zone.as_deref()?));
        if let Some(list) = list.filter(|_| category.id() == "dnsbl-ip") {
            category = list.category();
        }
        let dnsbl = list.map(|list| Cow::Borrowed(list.id())).or_else(|| zone.map(Cow::Owned));
        (category, &rule.id, dnsbl)
    }

    fn first_of(&self, scratch: &mut Scratch<'_>, context: &Context<'_>, step: Step) -> Option<&Rule> {
        let range = self.steps.get(&step)?.clone();
        self.rules.get(self.first(scratch, context, range)?)
    }

    /// The rule of lowest rank in `range` that matches.
    fn first(&self, scratch: &mut Scratch<'_>, context: &Context<'_>, range: Range<usize>) -> Option<usize> {
        let Scratch { matcher, template, candidates, .. } = scratch;
        let mut matches = |number| self.matcher.matches(matcher, template, number);
        ones(candidates, range).find(|&at| {
            self.rules.get(at).is_some_and(|rule| rule.when.applies(context))
                && matches(at)
                && !self.unless.get(at).copied().flatten().is_some_and(&mut matches)
        })
    }
}

/// True for a category whose refusals may be a list's doing.
fn names_lists(category: Category) -> bool {
    category.family() == "reputation" || category.id() == "greylisted"
}

/// The positions in `range` whose bit is set.
fn ones(bits: &[u64], range: Range<usize>) -> impl Iterator<Item = usize> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        while at < range.end {
            let rest = bits.get(at / 64)? >> (at % 64);
            if rest == 0 {
                at = (at / 64 + 1) * 64;
                continue;
            }
            let found = at + rest.trailing_zeros() as usize;
            at = found + 1;
            return (found < range.end).then_some(found);
        }
        None
    })
}

impl Scratch<'_> {
    /// Forgets what another classifier has left.
    fn lend_to(&mut self, id: u64) {
        if self.owner != id {
            *self = Self { owner: id, ..Self::default() };
        }
    }
}

/// Who answered, as far as host names tell.
#[derive(Debug, Clone, Copy)]
enum Speaker {
    /// The provider at this position.
    Provider(usize),
    ThisHost,
    /// A host that belongs to no provider known here; the words may tell.
    Elsewhere,
    /// The words may tell.
    Unknown,
}

/// Writes all that decides into `key`. What is not in it cannot change a decision.
fn key(key: &mut Vec<u8>, context: &Context<'_>, speaker: Speaker, template: &[u8]) {
    let Context { mta, own, service, by_us, permanent, provider: _, stage, smtp_code, enhanced_code } = *context;
    let speaker = match speaker {
        Speaker::ThisHost => u16::MAX,
        Speaker::Unknown => u16::MAX - 1,
        Speaker::Elsewhere => u16::MAX - 2,
        Speaker::Provider(at) => u16::try_from(at).unwrap_or(u16::MAX - 3),
    };
    let (class, subject, detail) =
        enhanced_code.map_or((0, 0, 0), |code| (u16::from(code.class), code.subject, code.detail));
    let flags = u8::from(own) | u8::from(by_us) << 1 | u8::from(permanent) << 2;
    let [[a, b], [c, d], [e, f], [g, h], [i, j]] =
        [smtp_code.map_or(0, SmtpCode::get), speaker, class, subject, detail].map(u16::to_be_bytes);
    let [k, l, m, n, ..] = service.len().to_le_bytes();
    let stage = stage.map_or(u8::MAX, |stage| stage as u8);
    key.clear();
    key.extend_from_slice(&[mta as u8, flags, stage, a, b, c, d, e, f, g, h, i, j, k, l, m, n]);
    key.extend_from_slice(service);
    key.extend_from_slice(template);
}

/// What is known besides the words; the provider is not yet.
fn context<'a>(refusal: &Refusal<'a>, reply: &Reply<'_>) -> Context<'a> {
    Context {
        mta: refusal.mta,
        own: refusal.by_us || reply.kind == ReplyKind::Own,
        service: refusal.service,
        by_us: refusal.by_us,
        permanent: refusal.permanent,
        provider: None,
        stage: reply.stage.or(refusal.stage),
        smtp_code: reply.smtp_code.or(refusal.smtp_code),
        enhanced_code: reply.enhanced_code.or(refusal.enhanced_code),
    }
}

/// True if the `len` bytes before `end` are not part of a longer word, nor a short one of a host name: `sbl.b.example` is not
/// Spamhaus's. In front of a name with dots a hyphen joins, too: `sbl-xbl.spamhaus.org` is not `xbl.spamhaus.org`. A link
/// that follows without a blank does not.
fn stands_free(words: &[u8], end: usize, len: usize) -> bool {
    // Two letters or digits side by side belong to one word.
    let joined = |at: usize| {
        let pair = at.checked_sub(1).and_then(|before| words.get(before..=at));
        pair.is_some_and(|pair| pair.iter().all(u8::is_ascii_alphanumeric))
    };
    let start = end.saturating_sub(len);
    let is_hyphened = start.checked_sub(1).and_then(|before| words.get(before)) == Some(&b'-');
    let is_name = || words.get(start..end).is_some_and(|name| memchr::memchr(b'.', name).is_some());
    let before_link = || words.get(end..).is_some_and(|rest| rest.starts_with(b"http"));
    // A dot or hyphen beside a short word, with more of a name behind.
    let is_label = || {
        let rest = words.get(end..).unwrap_or_default();
        let behind = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let dotted = matches!(rest.get(behind..), Some([b'.', next, ..]) if next.is_ascii_alphanumeric());
        dotted || start.checked_sub(1).and_then(|before| words.get(before)) == Some(&b'.')
    };
    let is_short = len <= SHORT_NAME;
    if is_in_address(words, start, end) || is_name() && has_labels_behind(words, end) {
        return false;
    }
    !(joined(start) || joined(end) && !before_link() || is_hyphened && is_name() || is_short && is_label())
}

/// True if the bytes from `start` to `end` are part of an address: anybody may be called so. What holds an `@` of its own is
/// an address that tells.
fn is_in_address(words: &[u8], start: usize, end: usize) -> bool {
    let is_part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'=');
    let near = |text: &[u8]| text.len().min(LONGEST_LOCAL);
    let behind = words.get(end..).unwrap_or_default();
    let behind = behind.get(..near(behind)).unwrap_or_default();
    let before = words.get(start.saturating_sub(LONGEST_LOCAL)..start).unwrap_or_default();
    behind.iter().find(|b| !is_part(b)) == Some(&b'@') || before.iter().rev().find(|b| !is_part(b)) == Some(&b'@')
}

/// RFC 5321, section 4.5.3.1.1: the longest local part.
const LONGEST_LOCAL: usize = 64;

/// True if at least two labels follow: `zen.spamhaus.org.b.example` is somebody's own name. One may be the next sentence,
/// without a blank in front.
fn has_labels_behind(words: &[u8], end: usize) -> bool {
    let rest = words.get(end..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(LONGEST_LOCAL)).unwrap_or_default();
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    let mut labels = rest.get(..name).unwrap_or_default().split(|b| *b == b'.');
    labels.next() == Some(b"") && labels.take_while(|label| !label.is_empty()).count() >= 2
}

/// Names of lists of so many bytes are labels of other hosts, too.
const SHORT_NAME: usize = 4;

/// True if the `len` bytes before `end` stand in a web link, behind its `//`, or behind the `/` of a bare one.
fn in_link(template: &[u8], end: usize, len: usize) -> bool {
    let start = end.saturating_sub(len);
    let before = template.get(start.saturating_sub(LONGEST_LINK)..start).unwrap_or_default();
    let from = before.iter().rposition(|b| matches!(b, b' ' | b'<' | b'(' | b'"' | b'\'')).map_or(0, |at| at + 1);
    let link = before.get(from..).unwrap_or_default();
    memchr::memmem::find(link, b"//").is_some() || link.starts_with(b"www.")
}

/// A link is looked for in so many bytes in front of a name.
const LONGEST_LINK: usize = 128;

/// True if the host name in the `len` bytes before `end` stands in a link, has a label in front (`mx7.provider.example`) or a
/// mailbox of staff (`postmaster@provider.example`). A bare domain may be anybody's.
fn is_host_name(template: &[u8], end: usize, len: usize) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let before = end.checked_sub(len + 1).and_then(|at| template.get(at));
    let goes_on = match template.get(end) {
        Some(b'.') => template.get(end + 1).is_some_and(is_name),
        Some(byte) => is_name(byte),
        None => false,
    };
    let start = end.saturating_sub(len + 1);
    let is_staff = || {
        let front = template.get(start.saturating_sub(LONGEST_CONTACT)..start).unwrap_or_default();
        let word = front.iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |at| at + 1);
        let (said, role) = front.split_at_checked(word).unwrap_or_default();
        template::is_role(role) && CONTACT.iter().any(|words| memchr::memmem::find(said, words).is_some())
    };
    !goes_on && (matches!(before, Some(b'.' | b'/')) || before == Some(&b'@') && is_staff())
}

/// What asks the reader to write, in front of a mailbox of staff; any other address may be the sender's or the recipient's.
const CONTACT: &[&[u8]] = &[
    b"contact",
    b"write to",
    b"mail to",
    b"e-mail us",
    b"mailto:",
    b"report",
    b"forward",
    b"register",
    b"inform ",
    b"ask ",
];
/// Mailbox and asking words are looked for in so many bytes in front of an `@`.
const LONGEST_CONTACT: usize = 48;

/// True for a host's name; an address tells nothing of who speaks.
fn is_name(host: &[u8]) -> bool {
    host.iter().any(u8::is_ascii_alphabetic) && memchr::memchr(b':', host).is_none()
}

/// The domain of the first address in an answer. Dots behind it end a sentence, or come before the reason (Sendmail).
fn mailbox_domain(text: &[u8]) -> Option<&[u8]> {
    let rest = text.get(memchr::memchr(b'@', text)? + 1..)?;
    let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))).unwrap_or(rest.len());
    let domain = rest.get(..memchr::memmem::find(rest, b"..").unwrap_or(end).min(end))?;
    Some(domain.strip_suffix(b".").unwrap_or(domain)).filter(|domain| !domain.is_empty())
}

/// A zone out of what a pattern took for one: without quotes, link parts and final dots, lower case; or a list's name of a
/// few words, as written. `None` if it is neither, or only says that there is a list.
fn zone(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw.get(..raw.len().min(255))?).ok()?.to_ascii_lowercase();
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let text = text.strip_prefix("www.").unwrap_or(text);
    let text = text.split(['/', '?', ':', ',', ';', ')']).next()?.trim_end_matches('.');
    // A label without dots is the pattern's own doing: `in the DULS RBL`.
    let is_label = !raw.iter().any(|b| matches!(b, b'.' | b'/'));
    let name = (text.contains('.') || is_label && !text.is_empty())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b) || is_label && b == b' ');
    let is_top = |label: &str| label.len() > 1 && label.bytes().any(|b| b.is_ascii_alphabetic());
    let is_whole = !text.contains('.') || text.rsplit('.').next().is_some_and(is_top);
    let is_common = is_label && text.split(' ').all(|word| COMMON.contains(&word));
    (name && is_whole && !is_common).then(|| text.to_owned())
}

/// Words that name no list.
const COMMON: &[&str] = &[
    "a",
    "an",
    "any",
    "the",
    "our",
    "my",
    "your",
    "their",
    "this",
    "that",
    "its",
    "one",
    "some",
    "local",
    "internal",
    "private",
    "public",
    "global",
    "personal",
    "custom",
    "own",
    "system",
    "server",
    "mail",
    "email",
    "e-mail",
    "smtp",
    "ip",
    "ips",
    "address",
    "host",
    "sender",
    "spam",
    "anti-spam",
    "antispam",
    "dns",
    "dns-based",
    "real",
    "time",
    "real-time",
    "realtime",
    "list",
    "lists",
    "block",
    "black",
    "blocking",
    "blocked",
    "blacklist",
    "blacklists",
    "blocklist",
    "blocklists",
    "black-list",
    "block-list",
    "blackhole",
    "rbl",
    "rbls",
    "dnsbl",
    "dnsbls",
    "bl",
    "policy",
    "reputation",
    "filter",
    "of",
    "bad",
    "deny",
    "reject",
    "connection",
];

/// The first name in an answer that is called as the zones of lists are: `rbl.example.net`, `cbl-plus.dnsbl.example`.
fn named_zone(words: &[u8]) -> Option<String> {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"<>()[]{};,\"'=".contains(byte);
    words.split(is_end).filter(|word| word.contains(&b'.') && !word.contains(&b'@')).find_map(|word| {
        let zone = zone(word)?;
        template::is_list_zone(zone.as_bytes()).then_some(zone)
    })
}

/// The finder of all fixed texts, what each means, and the rules that demand none (as [`Classifier::undemanding`]).
type Prefilter = (Needles, Vec<Vec<Meaning>>, [Vec<u64>; MOST_DEMANDS]);

fn prefilter(rules: &[Rule], lists: &Lists, providers: &Providers) -> Result<Prefilter> {
    let mut known: BTreeMap<Vec<u8>, Vec<Meaning>> = BTreeMap::new();
    let mut add = |needle: &[u8], meaning: Meaning| known.entry(needle.to_vec()).or_default().push(meaning);
    let mut undemanding = std::array::from_fn(|_| vec![0u64; rules.len().div_ceil(64)]);
    for (at, rule) in rules.iter().enumerate() {
        for (number, without) in undemanding.iter_mut().enumerate() {
            match (rule.required.all_of.get(number), without.get_mut(at / 64)) {
                (Some(demand), _) => demand.iter().for_each(|needle| add(needle, Meaning::Rule(at, number))),
                (None, Some(bits)) => *bits |= 1 << (at % 64),
                (None, None) => {}
            }
        }
    }
    for (at, list) in lists.iter().enumerate() {
        let has_parts = lists.iter().any(|part| part.part_of() == Some(list.id()));
        let told = match list.part_of().map(|whole| lists.get(whole)) {
            None => Told::Name,
            Some(Some(whole)) if whole.category() == list.category() => Told::Part,
            Some(_) => Told::Cause,
        };
        for spelling in list.spellings() {
            let told = if has_parts && !spelling.contains('.') { Told::Hint } else { told };
            add(spelling.as_bytes(), Meaning::List(at, spelling.len(), told));
        }
    }
    for (at, provider) in providers.iter().enumerate() {
        for signature in provider.signatures() {
            add(signature.to_ascii_lowercase().as_bytes(), Meaning::Provider(at, signature.len()));
        }
        for host in provider.hosts() {
            add(host.to_ascii_lowercase().as_bytes(), Meaning::Host(at, host.len()));
        }
    }
    for word in BLOCKING {
        add(word.as_bytes(), Meaning::Blocking(word.len()));
    }
    let needles: Vec<&[u8]> = known.keys().map(Vec::as_slice).collect();
    let finder = Needles::new(&needles)
        .map_err(|error| Error::Rules { file: "rules".into(), problem: format!("too much fixed text: {error}") })?;
    Ok((finder, known.into_values().collect(), undemanding))
}

#[cfg(test)]
mod tests;
