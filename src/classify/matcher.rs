//! Does one pattern match? A short pattern is an automaton of its own, built when it is first asked for and shared by all
//! threads; long ones, which would be large, are built state by state in each thread.

use std::sync::OnceLock;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::hybrid::dfa as lazy;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind, PatternID};

use super::{load, syntax};

/// Longer patterns are built lazily at once: their automata would be large, and slow to build.
const MOST_PATTERN_BYTES: usize = 200;
/// Memory of one whole automaton, and of making it: beyond it, it is built lazily.
const MOST_BYTES: usize = 64 * 1024;
const MOST_WORKING_BYTES: usize = 256 * 1024;
/// Memory per thread of what is built lazily, taken as it is needed: beyond it, states are dropped and built again. With
/// 16 MB a flood of new words took four times as long.
const LAZY_BYTES: usize = 64 * 1024 * 1024;

/// All patterns, by number.
#[derive(Debug)]
pub(super) struct Matcher {
    patterns: Vec<Pattern>,
    lazy: lazy::DFA,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    /// `None` if it is too large.
    whole: OnceLock<Option<dense::DFA<Vec<u32>>>>,
}

/// States of one thread.
#[derive(Debug, Default)]
pub(super) struct Cache(Option<lazy::Cache>);

impl Matcher {
    /// A matcher for `patterns`, as rules write them.
    ///
    /// # Errors
    /// What is wrong with the first pattern that cannot be read.
    pub(super) fn new(patterns: &[&str]) -> Result<Self, String> {
        let texts: Vec<String> = patterns.iter().map(|pattern| anywhere(pattern)).collect();
        let lazy = lazy::DFA::builder()
            .syntax(syntax())
            .thompson(thompson_config())
            .configure(
                lazy::DFA::config()
                    .match_kind(MatchKind::All)
                    .starts_for_each_pattern(true)
                    .cache_capacity(LAZY_BYTES)
                    .skip_cache_capacity_check(true),
            )
            .build_many(&texts)
            .map_err(|error| error.to_string())?;
        let patterns = texts.into_iter().map(|text| Pattern { text, whole: OnceLock::new() }).collect();
        Ok(Self { patterns, lazy })
    }

    /// True if the pattern of this number matches anywhere in `text`, which is in lower case.
    pub(super) fn matches(&self, cache: &mut Cache, text: &[u8], number: usize) -> bool {
        let Some(pattern) = self.patterns.get(number) else { return false };
        // Neither search can fail: no byte makes it stop, and the lazy one never gives up but drops states and goes on.
        if let Some(whole) = pattern.whole.get_or_init(|| pattern.build()) {
            let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
            return matches!(whole.try_search_fwd(&input), Ok(Some(_)));
        }
        let Ok(id) = PatternID::new(number) else { return false };
        let cache = cache.0.get_or_insert_with(|| self.lazy.create_cache());
        let input = Input::new(text).anchored(Anchored::Pattern(id)).earliest(true);
        matches!(self.lazy.try_search_fwd(cache, &input), Ok(Some(_)))
    }
}

impl Pattern {
    fn build(&self) -> Option<dense::DFA<Vec<u32>>> {
        if self.text.len() > MOST_PATTERN_BYTES {
            return None;
        }
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
}

fn thompson_config() -> thompson::Config {
    thompson::Config::new().utf8(false).which_captures(WhichCaptures::None)
}

/// A pattern that may match anywhere, for searches that start at the first byte.
fn anywhere(pattern: &str) -> String {
    let pattern = load::lower(pattern);
    let anchored = pattern.starts_with('^') && !pattern.contains('|');
    if anchored { pattern } else { format!("(?s:.)*?(?:{pattern})") }
}
