//! Does one pattern match? Each is an automaton of its own that threads build state by state, as texts need them: one for
//! all patterns would tell more bytes apart, and so have larger states. A short pattern that is asked for again and again is
//! built whole, and shared by all threads: that is quicker, but takes long to make.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::hybrid::dfa as lazy;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax::parse_with;
use regex_automata::{Anchored, Input, MatchKind};

use super::syntax;

/// Longer patterns are never built whole: their automata would be large, and slow to build.
const MOST_PATTERN_BYTES: usize = 200;
/// A pattern is built whole when it was asked for so many times; most never are.
const OFTEN: u32 = 256;
/// Memory of one whole automaton, and of making it: beyond it, it is not built whole.
const MOST_BYTES: usize = 64 * 1024;
const MOST_WORKING_BYTES: usize = 256 * 1024;
/// Memory of one thread's states of one pattern, and of all, taken as it is needed: beyond it, states are dropped and built
/// again.
const LAZY_BYTES: usize = 4 * 1024 * 1024;
const ALL_LAZY_BYTES: usize = 64 * 1024 * 1024;
/// Memory of what one pattern says: far more than any has.
const MOST_NFA_BYTES: usize = 16 * 1024 * 1024;

/// All patterns, by number.
#[derive(Debug)]
pub(super) struct Matcher(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    text: String,
    /// How many times it was asked for until it was built whole.
    asked: AtomicU32,
    /// `None` if it is too large.
    whole: OnceLock<Option<dense::DFA<Vec<u32>>>>,
    /// `None` if it is no pattern.
    lazy: OnceLock<Option<lazy::DFA>>,
}

/// States of one thread.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// By number of the pattern.
    states: Vec<Option<Box<lazy::Cache>>>,
    bytes: usize,
}

impl Matcher {
    /// A matcher for `patterns` in lower case. One that cannot be read matches nothing: see [`check`].
    pub(super) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| Pattern::new(pattern)).collect())
    }

    /// True if the pattern of this number matches anywhere in `text`, which is in lower case.
    pub(super) fn matches(&self, cache: &mut Cache, text: &[u8], number: usize) -> bool {
        let Some(pattern) = self.0.get(number) else { return false };
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        // Neither search can fail: no byte makes it stop, and the lazy one never gives up but drops states and goes on.
        if let Some(whole) = pattern.whole() {
            return matches!(whole.try_search_fwd(&input), Ok(Some(_)));
        }
        let Some(lazy) = pattern.lazy.get_or_init(|| pattern.build_lazy().ok()) else { return false };
        let Some(states) = cache.of(lazy, number, self.0.len()) else { return false };
        let before = states.memory_usage();
        let is_match = matches!(lazy.try_search_fwd(states, &input), Ok(Some(_)));
        let after = states.memory_usage();
        cache.bytes = (cache.bytes + after).saturating_sub(before);
        is_match
    }
}

impl Cache {
    /// The states of pattern `number` of `count`.
    fn of(&mut self, lazy: &lazy::DFA, number: usize, count: usize) -> Option<&mut lazy::Cache> {
        if self.bytes > ALL_LAZY_BYTES {
            *self = Self::default();
        }
        if self.states.is_empty() {
            self.states.resize_with(count, || None);
        }
        let states = self.states.get_mut(number)?;
        if states.is_none() {
            let made = lazy.create_cache();
            self.bytes += made.memory_usage();
            *states = Some(Box::new(made));
        }
        states.as_deref_mut()
    }
}

/// What is wrong with a pattern in lower case.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    parse_with(pattern, &syntax()).map_err(|error| error.to_string())?;
    Pattern::new(pattern).build_lazy().map(drop)
}

/// True if a pattern in lower case matches each of these texts.
pub(super) fn matches_each(pattern: String, texts: &[&[u8]]) -> bool {
    let (matcher, mut cache) = (Matcher::new(&[pattern]), Cache::default());
    texts.iter().all(|text| matcher.matches(&mut cache, text, 0))
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        Self { text: anywhere(pattern), asked: AtomicU32::new(0), whole: OnceLock::new(), lazy: OnceLock::new() }
    }

    /// The whole automaton, if it is worth its making.
    fn whole(&self) -> Option<&dense::DFA<Vec<u32>>> {
        if let Some(whole) = self.whole.get() {
            return whole.as_ref();
        }
        if self.text.len() > MOST_PATTERN_BYTES || self.asked.fetch_add(1, Ordering::Relaxed) < OFTEN {
            return None;
        }
        self.whole.get_or_init(|| self.build_whole()).as_ref()
    }

    fn build_whole(&self) -> Option<dense::DFA<Vec<u32>>> {
        dense::DFA::builder()
            .syntax(syntax())
            .thompson(thompson_config())
            .configure(
                dense::DFA::config()
                    .start_kind(StartKind::Anchored)
                    .match_kind(MatchKind::All)
                    .dfa_size_limit(Some(MOST_BYTES))
                    .determinize_size_limit(Some(MOST_WORKING_BYTES)),
            )
            .build(&self.text)
            .ok()
    }

    fn build_lazy(&self) -> Result<lazy::DFA, String> {
        lazy::DFA::builder()
            .syntax(syntax())
            .thompson(thompson_config())
            .configure(
                lazy::DFA::config()
                    .match_kind(MatchKind::All)
                    .cache_capacity(LAZY_BYTES)
                    .skip_cache_capacity_check(true),
            )
            .build(&self.text)
            .map_err(|error| error.to_string())
    }
}

fn thompson_config() -> thompson::Config {
    thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(MOST_NFA_BYTES))
}

/// A pattern that may match anywhere, for searches that start at the first byte.
fn anywhere(pattern: &str) -> String {
    let is_repeated = pattern.get(1..).is_some_and(|rest| rest.starts_with(['?', '*', '+', '{']));
    let anchored = pattern.starts_with('^') && !is_repeated && !pattern.contains('|');
    if anchored { pattern.to_owned() } else { format!("(?s:.)*?(?:{pattern})") }
}
