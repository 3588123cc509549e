//! Why a mail server deferred, bounced or rejected: one category for every refusal, and the rule that decided it.
//!
//! The order is always the same: the innermost reply ([`crate::parse::reply`]); a program's own words; the provider's
//! words and published codes; a named DNS list; words that many servers share, most specific cause first; precise
//! enhanced codes; words that say little, with the stage; vague enhanced codes; reply codes. Rules stand in
//! `src/rules/*.toml`, each with answers that prove it. Nothing here knows a wording.
//!
//! All rules are one multi-pattern automaton. A pass over the text finds which fixed texts occur ([`literal`]); only rules
//! whose fixed text is there are tried, in order of rank, and the first that matches decides.

mod code;
mod literal;
mod load;
mod rule;
mod tables;
mod taxonomy;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, PatternID, meta};

use self::literal::Needles;
use self::rule::{Context, Sample};
pub use self::rule::{Rule, Step};
pub use self::tables::{List, ListKind, Lists, Provider, Providers};
pub use self::taxonomy::{Category, Party, Polarity, Taxonomy};
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
    /// Id of the DNS list that is named, or a private zone as written, lower case.
    pub dnsbl: Option<Cow<'c, str>>,
}

/// How a verdict came about.
#[derive(Debug)]
pub struct Explanation<'c> {
    pub verdict: Verdict<'c>,
    /// The words that the rules saw: the innermost reply without codes, names in `<…>` taken out.
    pub words: Vec<u8>,
    /// Whose words they are.
    pub kind: ReplyKind,
    /// Rules that matched, too, but rank lower, in order of rank.
    pub lost: Vec<&'c Rule>,
}

/// All rules, ready to classify. Shared by all threads; each has a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Classifier {
    id: u64,
    taxonomy: &'static Taxonomy,
    lists: &'static Lists,
    providers: Providers,
    /// In order of rank.
    rules: Vec<Rule>,
    /// Number of the pattern in `dfa` that each rule must not match. `None` for most.
    unless: Vec<Option<usize>>,
    /// Position in `rules` of the first rule of each step and behind the last.
    steps: HashMap<Step, Range<usize>>,
    dfa: DFA,
    needles: Needles,
    /// What each needle stands for.
    meanings: Vec<Vec<Meaning>>,
    /// Rules that demand no fixed text, as bits.
    always: Vec<u64>,
}

/// What it means that a fixed text occurs.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// The rule at this position may match.
    Rule(usize),
    /// The list at this position is named, if the text stands free; with its length, and whether it is part of another.
    List(usize, usize, bool),
    /// The provider at this position speaks, if its host is unknown.
    Provider(usize),
    /// The text speaks of blocking: a list named beside it is the cause.
    Blocking,
}

/// Words beside which the name of a list is the cause of the refusal.
const BLOCKING: &[&str] = &[
    "block",
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
];

/// Memory that one thread reuses from answer to answer.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The classifier that `cache` belongs to.
    owner: u64,
    cache: Option<Cache>,
    words: Vec<u8>,
    candidates: Vec<u64>,
}

/// What one pass over the words found.
#[derive(Debug, Default)]
struct Found {
    /// The list that is named: whether it is part of another, the length of the spelling, its position. A part and the
    /// longer spelling win.
    list: Option<(bool, usize, usize)>,
    /// The provider whose signature stands first.
    provider: Option<usize>,
    blocking: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The lazy automaton's memory per thread: beyond it, states are dropped and built again.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// How patterns are read: bytes, `.` takes any byte. Patterns and words are in lower case.
fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true)
}

/// Settings of the few regexes that take a list's name out of the text.
fn capture_limits() -> meta::Config {
    meta::Config::new().utf8_empty(false).onepass(false).hybrid_cache_capacity(256 * 1024)
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
        let mut rules = load::rules(extra, &providers)?;
        rules.sort_by(|a, b| a.order(b, |category| taxonomy.class(category)));
        let mut steps: HashMap<Step, Range<usize>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            steps.entry(rule.step).or_insert(at..at).end = at + 1;
        }
        let mut patterns: Vec<String> = rules.iter().map(|rule| anywhere(&rule.pattern)).collect();
        let mut unless = Vec::with_capacity(rules.len());
        for rule in &rules {
            unless.push(rule.unless.as_ref().map(|_| patterns.len()));
            patterns.extend(rule.unless.as_deref().map(anywhere));
        }
        let dfa = automaton(&patterns).map_err(|error| load::culprit(&rules, &error))?;
        let (needles, meanings, always) = prefilter(&rules, lists, &providers)?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, taxonomy, lists, providers, rules, unless, steps, dfa, needles, meanings, always })
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
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
    pub fn classify<'c>(&'c self, scratch: &mut Scratch, refusal: &Refusal<'_>) -> Verdict<'c> {
        let reply = reply(refusal.response);
        let found = self.scan(scratch, &reply);
        let provider = self.provider(refusal, &reply, &found);
        let context = context(refusal, &reply, provider.map(Provider::id));
        let (category, rule, dnsbl) = self.decide(scratch, &context, provider, &found);
        Verdict {
            category,
            rule,
            smtp_code: context.smtp_code,
            enhanced_code: context.enhanced_code,
            stage: context.stage,
            provider: provider.map(Provider::id),
            dnsbl,
        }
    }

    /// Decides one refusal and tells which other rules matched.
    pub fn explain<'c>(&'c self, scratch: &mut Scratch, refusal: &Refusal<'_>) -> Explanation<'c> {
        let verdict = self.classify(scratch, refusal);
        let reply = reply(refusal.response);
        let found = self.scan(scratch, &reply);
        let provider = self.provider(refusal, &reply, &found).map(Provider::id);
        let context = context(refusal, &reply, provider);
        let mut lost = Vec::new();
        let mut from = 0;
        while let Some(at) = self.first(scratch, &context, from..self.rules.len()) {
            lost.extend(self.rules.get(at).filter(|rule| rule.id != verdict.rule));
            from = at + 1;
        }
        Explanation { verdict, words: scratch.words.clone(), kind: reply.kind, lost }
    }

    /// Proves every rule: each sample is won by its rule, or by the one it must lose to. A rule that wins no sample of its
    /// own could never win; that is a problem, too. The error names all problems, one a line.
    pub fn check(&self) -> Result<()> {
        let problems = self.problems();
        let Some((file, _)) = problems.first() else { return Ok(()) };
        let file = file.clone();
        let lines: Vec<String> = problems.into_iter().map(|(_, problem)| problem).collect();
        Err(Error::Rules { file, problem: lines.join("\n") })
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

    fn sample_problem(&self, scratch: &mut Scratch, rule: &Rule, expected: &str, sample: &Sample) -> Option<String> {
        let verdict = self.classify(scratch, &sample.refusal());
        let text = &sample.reply;
        if verdict.rule != expected {
            return Some(format!(
                "{}: rule '{}': '{text}' should be won by '{expected}', but '{}' ({}) wins it: make one of them more specific",
                rule.file, rule.id, verdict.rule, verdict.category
            ));
        }
        // A named list may turn an IP listing into what that list means (`ip-dynamic`, `geo-blocked`).
        if expected == rule.id && verdict.category != rule.category && verdict.dnsbl.is_none() {
            return Some(format!("{}: rule '{}': '{text}' became '{}'", rule.file, rule.id, verdict.category));
        }
        None
    }

    fn scan(&self, scratch: &mut Scratch, reply: &Reply<'_>) -> Found {
        if scratch.owner != self.id {
            *scratch = Scratch { owner: self.id, ..Scratch::default() };
        }
        text::normalize(&reply.text, &mut scratch.words);
        scratch.candidates.clear();
        scratch.candidates.extend_from_slice(&self.always);
        let (words, candidates) = (&scratch.words, &mut scratch.candidates);
        let mut found = Found::default();
        self.needles.each(words, |needle, end| {
            for meaning in self.meanings.get(needle).into_iter().flatten() {
                match *meaning {
                    Meaning::Rule(at) => {
                        if let Some(bits) = candidates.get_mut(at / 64) {
                            *bits |= 1 << (at % 64);
                        }
                    }
                    Meaning::List(at, len, part) => {
                        let better = found.list.is_none_or(|(best_part, best, _)| (part, len) > (best_part, best));
                        if better && stands_free(words, end, len) {
                            found.list = Some((part, len, at));
                        }
                    }
                    Meaning::Provider(at) => found.provider = found.provider.or(Some(at)),
                    Meaning::Blocking => found.blocking = true,
                }
            }
        });
        found
    }

    /// Who answered: by the host that said it, else the relay, else by what only that provider writes.
    fn provider(&self, refusal: &Refusal<'_>, reply: &Reply<'_>, found: &Found) -> Option<&Provider> {
        if refusal.by_us && reply.host.is_none() {
            return None;
        }
        let said = reply.host.and_then(|host| self.providers.of_host(host));
        let relay = || self.providers.of_host(refusal.relay_host).filter(|_| !refusal.by_us);
        said.or_else(relay).or_else(|| self.providers.at(found.provider?))
    }

    /// The steps of the order of precedence.
    fn decide<'c>(
        &'c self,
        scratch: &mut Scratch,
        context: &Context<'_>,
        provider: Option<&'c Provider>,
        found: &Found,
    ) -> (Category, &'c str, Option<Cow<'c, str>>) {
        let list = found.list.and_then(|(.., at)| self.lists.at(at));
        let named = list.map(|list| Cow::Borrowed(list.id()));
        for step in [Step::User, Step::Own, Step::Provider] {
            if let Some(rule) = self.first_of(scratch, context, step) {
                return self.by_rule(scratch, rule, list);
            }
        }
        if let Some((category, rule)) = provider.zip(context.enhanced_code).and_then(|(p, code)| p.code(code)) {
            return (category, rule, named.filter(|_| category.family() == "reputation"));
        }
        if let Some(rule) = self.first_of(scratch, context, Step::List) {
            return self.by_rule(scratch, rule, list);
        }
        if let Some(list) = list.filter(|_| found.blocking) {
            return (list.category(), list.rule(), named);
        }
        if let Some(rule) = self.first_of(scratch, context, Step::Text) {
            return self.by_rule(scratch, rule, list);
        }
        let weak = provider.zip(context.enhanced_code).and_then(|(p, code)| p.weak_code(code));
        if let Some((category, rule)) = weak.or_else(|| self.taxonomy.precise(context.enhanced_code?)) {
            return (category, rule, None);
        }
        if let Some(rule) = self.first_of(scratch, context, Step::Last) {
            return self.by_rule(scratch, rule, list);
        }
        let (category, rule) = self.by_code(context);
        (category, rule, None)
    }

    fn by_code(&self, context: &Context<'_>) -> (Category, &str) {
        if let Some(decided) = context.enhanced_code.and_then(|code| self.taxonomy.vague(code)) {
            return decided;
        }
        if context.enhanced_code.is_some_and(|code| code.subject == 7)
            && let Some(policy) = Category::from_id("policy-refused")
        {
            return (policy, "policy-5.7");
        }
        let by_reply = context.smtp_code.and_then(|code| self.taxonomy.reply(code, context.stage));
        by_reply.unwrap_or((self.taxonomy.unclassified(), "none"))
    }

    fn by_rule<'c>(
        &'c self,
        scratch: &Scratch,
        rule: &'c Rule,
        named: Option<&'c List>,
    ) -> (Category, &'c str, Option<Cow<'c, str>>) {
        let mut category = rule.category;
        if category.family() != "reputation" && category.id() != "greylisted" {
            return (category, &rule.id, None);
        }
        let zone = rule.dnsbl(&scratch.words).and_then(zone);
        let asked = zone.as_deref().and_then(|zone| self.lists.of_zone(zone));
        let part = named.filter(|part| asked.is_some_and(|whole| part.part_of() == Some(whole.id())));
        let list = part.or(asked).or(named);
        if let Some(list) = list.filter(|_| category.id() == "dnsbl-ip") {
            category = list.category();
        }
        let dnsbl = list.map(|list| Cow::Borrowed(list.id())).or_else(|| zone.map(Cow::Owned));
        (category, &rule.id, dnsbl)
    }

    fn first_of(&self, scratch: &mut Scratch, context: &Context<'_>, step: Step) -> Option<&Rule> {
        let range = self.steps.get(&step)?.clone();
        self.rules.get(self.first(scratch, context, range)?)
    }

    /// The rule of lowest rank in `range` that matches.
    fn first(&self, scratch: &mut Scratch, context: &Context<'_>, range: Range<usize>) -> Option<usize> {
        let Scratch { cache, words, candidates, .. } = scratch;
        let mut at = range.start;
        while at < range.end {
            let bits = candidates.get(at / 64)? >> (at % 64);
            if bits == 0 {
                at = (at / 64 + 1) * 64;
                continue;
            }
            at += bits.trailing_zeros() as usize;
            if at >= range.end {
                break;
            }
            if self.rules.get(at)?.when.applies(context)
                && self.matches(cache, words, at)
                && !self.unless.get(at)?.is_some_and(|unless| self.matches(cache, words, unless))
            {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// True if the pattern of this number matches.
    fn matches(&self, cache: &mut Option<Cache>, words: &[u8], number: usize) -> bool {
        let Ok(pattern) = PatternID::new(number) else { return false };
        let cache = cache.get_or_insert_with(|| self.dfa.create_cache());
        let input = Input::new(words).anchored(Anchored::Pattern(pattern)).earliest(true);
        // The search cannot fail: no byte makes it stop, and it never gives up but drops states and goes on.
        matches!(self.dfa.try_search_fwd(cache, &input), Ok(Some(_)))
    }
}

fn context<'a>(refusal: &Refusal<'a>, reply: &Reply<'_>, provider: Option<&'a str>) -> Context<'a> {
    Context {
        mta: refusal.mta,
        own: refusal.by_us || reply.kind == ReplyKind::Own,
        service: refusal.service,
        by_us: refusal.by_us,
        permanent: refusal.permanent,
        provider,
        stage: reply.stage.or(refusal.stage),
        smtp_code: reply.smtp_code.or(refusal.smtp_code),
        enhanced_code: reply.enhanced_code.or(refusal.enhanced_code),
    }
}

/// True if the `len` bytes before `end` are not part of a longer word.
fn stands_free(words: &[u8], end: usize, len: usize) -> bool {
    // Two letters or digits side by side belong to one word.
    let joined = |at: usize| {
        let pair = at.checked_sub(1).and_then(|before| words.get(before..=at));
        pair.is_some_and(|pair| pair.iter().all(u8::is_ascii_alphanumeric))
    };
    !joined(end.saturating_sub(len)) && !joined(end)
}

/// A zone name out of what a pattern took for one: without quotes, link parts and final dots, lower case. `None` if it is
/// no domain name.
fn zone(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw.get(..raw.len().min(255))?).ok()?.to_ascii_lowercase();
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let text = text.strip_prefix("www.").unwrap_or(text);
    let text = text.split(['/', '?', ':', ',', ';', ')']).next()?.trim_end_matches('.');
    let name = text.contains('.') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    let numbers = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (name && !numbers).then(|| text.to_owned())
}

/// A pattern that may match anywhere, for searches that start at the first byte.
fn anywhere(pattern: &str) -> String {
    let pattern = load::lower(pattern);
    let anchored = pattern.starts_with('^') && !pattern.contains('|');
    if anchored { pattern } else { format!("(?s:.)*?(?:{pattern})") }
}

/// One automaton for all patterns; a search names the pattern that it asks for.
fn automaton(patterns: &[String]) -> std::result::Result<DFA, String> {
    DFA::builder()
        .syntax(syntax())
        .thompson(thompson::Config::new().utf8(false).which_captures(WhichCaptures::None))
        .configure(
            DFA::config()
                .match_kind(MatchKind::All)
                .starts_for_each_pattern(true)
                .cache_capacity(CACHE_BYTES)
                .skip_cache_capacity_check(true),
        )
        .build_many(patterns)
        .map_err(|error| error.to_string())
}

/// The finder of all fixed texts, what each means, and the rules that demand none.
fn prefilter(rules: &[Rule], lists: &Lists, providers: &Providers) -> Result<(Needles, Vec<Vec<Meaning>>, Vec<u64>)> {
    let mut known: BTreeMap<Vec<u8>, Vec<Meaning>> = BTreeMap::new();
    let mut add = |needle: &[u8], meaning: Meaning| known.entry(needle.to_vec()).or_default().push(meaning);
    let mut always = vec![0u64; rules.len().div_ceil(64)];
    for (at, rule) in rules.iter().enumerate() {
        for needle in &rule.required.any_of {
            add(needle, Meaning::Rule(at));
        }
        if rule.required.any_of.is_empty()
            && let Some(bits) = always.get_mut(at / 64)
        {
            *bits |= 1 << (at % 64);
        }
    }
    for (at, list) in lists.iter().enumerate() {
        for spelling in list.spellings() {
            add(spelling.as_bytes(), Meaning::List(at, spelling.len(), list.part_of().is_some()));
        }
    }
    for (at, provider) in providers.iter().enumerate() {
        for signature in provider.signatures() {
            add(signature.to_ascii_lowercase().as_bytes(), Meaning::Provider(at));
        }
    }
    for word in BLOCKING {
        add(word.as_bytes(), Meaning::Blocking);
    }
    let needles: Vec<&[u8]> = known.keys().map(Vec::as_slice).collect();
    let finder = Needles::new(&needles)
        .map_err(|error| Error::Rules { file: "rules".into(), problem: format!("too much fixed text: {error}") })?;
    Ok((finder, known.into_values().collect(), always))
}

#[cfg(test)]
mod tests;
