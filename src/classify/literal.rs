//! The cheap test in front of the regexes: fixed text that a match must contain. It may pass too much, never too little.
//!
//! [`required`] reads a pattern far enough to name such text; what it does not understand demands nothing. [`Needles`]
//! finds all fixed texts of all rules in one pass.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};

/// What a pattern demands of its matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Required {
    /// Up to [`MOST_DEMANDS`] lists of lower-case texts; every match contains at least one text of each. Empty: nothing
    /// is known.
    pub(super) all_of: Vec<Demand>,
    /// Bytes of fixed text in the shortest match: how specific the pattern is.
    pub(super) weight: usize,
}

/// Texts of which a match contains one.
type Demand = Vec<Vec<u8>>;

/// So many demands of a pattern are kept, the most selective ones: `user .* is .* unknown` makes more.
pub(super) const MOST_DEMANDS: usize = 3;
/// At most so many texts are kept for one part of a pattern; beyond that it demands nothing.
const MOST_ALTERNATIVES: usize = 1_024;
/// At most so many texts may come of putting two parts together; beyond that they are looked for apart.
const MOST_PRODUCTS: usize = 24;
/// Behind the first demand, one with a shorter text tells little, and costs more to look for than it spares.
const LEAST_FURTHER_BYTES: usize = 4;
/// Only so many bytes of a text are looked for; more would find little less.
const MOST_BYTES: usize = 12;

/// The fixed text that every match of `pattern` (ASCII case ignored) contains.
pub(super) fn required(pattern: &str) -> Required {
    let mut parser = Parser { rest: pattern.as_bytes(), texts: Vec::new() };
    let node = parser.alternatives(0);
    if !parser.rest.is_empty() {
        return Required::default();
    }
    let weight = node.weight;
    let mut all_of = node.demands();
    let mut first = true;
    all_of.retain(|demand| std::mem::take(&mut first) || shortest(demand) >= LEAST_FURTHER_BYTES);
    for demand in &mut all_of {
        demand.iter_mut().for_each(|text| text.truncate(MOST_BYTES));
        demand.sort_unstable();
        demand.dedup();
    }
    all_of.dedup();
    Required { all_of, weight }
}

/// All fixed text in `pattern`, in lower case and as long as it goes: what may stand in a match, whether it must or not.
pub(super) fn texts(pattern: &str) -> Vec<Vec<u8>> {
    let mut parser = Parser { rest: pattern.as_bytes(), texts: Vec::new() };
    let whole = parser.alternatives(0);
    parser.texts.extend(whole.exact.into_iter().flatten());
    parser.texts.retain(|text| !text.is_empty());
    parser.texts.sort_unstable();
    parser.texts.dedup();
    parser.texts
}

/// What one part of a pattern demands.
#[derive(Debug, Clone)]
struct Node {
    /// All texts the part can match, if they are few.
    exact: Option<Vec<Vec<u8>>>,
    /// Every match contains one text of each.
    needs: Vec<Demand>,
    weight: usize,
}

impl Node {
    fn text(text: Vec<u8>) -> Self {
        let weight = text.len();
        Self { exact: Some(vec![text]), needs: Vec::new(), weight }
    }

    fn anything() -> Self {
        Self { exact: None, needs: Vec::new(), weight: 0 }
    }

    /// What every match contains, the most selective first.
    fn demands(self) -> Vec<Demand> {
        let usable = |texts: &Demand| texts.iter().all(|t| !t.is_empty());
        let mut demands = self.needs;
        demands.extend(self.exact.filter(usable));
        most_selective(demands)
    }
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

/// Those demands that are kept: with a longer shortest text, then with fewer texts. Of equal ones the first.
fn most_selective(mut demands: Vec<Demand>) -> Vec<Demand> {
    demands.sort_by_key(|texts| (std::cmp::Reverse(shortest(texts)), texts.len()));
    demands.truncate(MOST_DEMANDS);
    demands
}

/// What a match of one of two patterns contains. The shorter of the two lists goes on with its last demand.
fn either(a: &[Demand], b: &[Demand]) -> Vec<Demand> {
    let (Some(last_a), Some(last_b)) = (a.last(), b.last()) else { return Vec::new() };
    let pairs = (0..a.len().max(b.len())).map(|at| (a.get(at).unwrap_or(last_a), b.get(at).unwrap_or(last_b)));
    pairs.filter(|(a, b)| a.len() + b.len() <= MOST_ALTERNATIVES).map(|(a, b)| [&a[..], b].concat()).collect()
}

struct Parser<'p> {
    rest: &'p [u8],
    /// Fixed text met so far that does not go into the value of a node.
    texts: Vec<Vec<u8>>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        self.rest.strip_prefix(text).map(|rest| self.rest = rest).is_some()
    }

    fn alternatives(&mut self, depth: u8) -> Node {
        let mut whole = self.sequence(depth);
        while self.take(b"|") {
            let next = self.sequence(depth);
            let exact = match (whole.exact.clone(), next.exact.clone()) {
                (Some(mut a), Some(b)) if a.len() + b.len() <= MOST_ALTERNATIVES => {
                    a.extend(b);
                    Some(a)
                }
                (a, b) => {
                    self.texts.extend(a.into_iter().chain(b).flatten());
                    None
                }
            };
            let weight = whole.weight.min(next.weight);
            let needs = either(&whole.demands(), &next.demands());
            whole = Node { exact, needs, weight };
        }
        whole
    }

    fn sequence(&mut self, depth: u8) -> Node {
        let mut run: Option<Vec<Vec<u8>>> = Some(vec![Vec::new()]);
        let (mut all_exact, mut needs, mut weight) = (true, Vec::new(), 0);
        while !matches!(self.rest.first(), None | Some(b'|' | b')')) {
            let node = self.repeated(depth);
            weight += node.weight;
            let product = match (&run, &node.exact) {
                (Some(a), Some(b)) if a.len() * b.len() <= MOST_PRODUCTS => {
                    Some(a.iter().flat_map(|x| b.iter().map(move |y| [x.as_slice(), y].concat())).collect())
                }
                _ => None,
            };
            if product.is_some() {
                run = product;
                continue;
            }
            all_exact = false;
            self.texts.extend(run.iter().flatten().cloned());
            needs.extend(Node { exact: run.take(), needs: node.needs, weight: 0 }.demands());
            needs = most_selective(needs);
            run = Some(node.exact.unwrap_or_else(|| vec![Vec::new()]));
        }
        if all_exact {
            return Node { exact: run, needs: Vec::new(), weight };
        }
        self.texts.extend(run.iter().flatten().cloned());
        Node { exact: None, needs: Node { exact: run, needs, weight: 0 }.demands(), weight }
    }

    fn repeated(&mut self, depth: u8) -> Node {
        let mut node = self.atom(depth);
        loop {
            let at_least_one = match self.rest.first() {
                Some(b'?') => {
                    let exact = node.exact.take().filter(|e| e.len() < MOST_ALTERNATIVES);
                    node = Node {
                        exact: exact.map(|mut e| {
                            e.push(Vec::new());
                            e
                        }),
                        needs: Vec::new(),
                        weight: 0,
                    };
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    continue;
                }
                Some(b'*') => false,
                Some(b'+') => true,
                Some(b'{') => !self.rest.starts_with(b"{0") && !self.rest.starts_with(b"{,"),
                _ => return node,
            };
            while let Some(byte) = self.next() {
                if matches!(byte, b'*' | b'+' | b'}') {
                    break;
                }
            }
            self.texts.extend(node.exact.iter().flatten().cloned());
            node = if at_least_one {
                let weight = node.weight;
                Node { exact: None, needs: node.demands(), weight }
            } else {
                Node::anything()
            };
            // `*?` and `+?` only change which match is found.
            self.take(b"?");
        }
    }

    fn atom(&mut self, depth: u8) -> Node {
        match self.next() {
            Some(b'(') => self.group(depth),
            Some(b'[') => {
                let written = self.rest;
                self.class();
                let class = written.get(..written.len() - self.rest.len()).unwrap_or_default();
                // Which digits a class takes is fixed text too: `x[1-3]` means `x1`, `x2` and `x3`.
                Node { exact: few_digits(class), needs: Vec::new(), weight: 0 }
            }
            Some(b'^' | b'$') => Node::text(Vec::new()),
            Some(b'\\') => match self.next() {
                Some(b'b' | b'B' | b'A' | b'z' | b'<' | b'>') => {
                    // `\b{start}` is a boundary too.
                    if self.take(b"{") {
                        while !matches!(self.next(), None | Some(b'}')) {}
                    }
                    Node::text(Vec::new())
                }
                Some(byte) if byte.is_ascii_punctuation() || byte == b' ' => Node::text(vec![byte]),
                Some(kind @ (b'x' | b'u' | b'U' | b'p' | b'P')) => {
                    // Code points and classes by name: skipped, demanding nothing.
                    if self.take(b"{") {
                        while !matches!(self.next(), None | Some(b'}')) {}
                    } else {
                        let len = match kind {
                            b'x' => 2,
                            b'u' => 4,
                            b'U' => 8,
                            _ => 1,
                        };
                        self.rest = self.rest.get(len..).unwrap_or_default();
                    }
                    Node::anything()
                }
                _ => Node::anything(),
            },
            None | Some(b'.') => Node::anything(),
            Some(byte) => {
                // What follows, such as `?`, is about the whole letter.
                let mut letter = vec![byte.to_ascii_lowercase()];
                while let Some(more) = self.rest.first().copied().filter(|more| byte >= 0xc0 && more & 0xc0 == 0x80) {
                    letter.push(more);
                    self.next();
                }
                Node::text(letter)
            }
        }
    }

    fn group(&mut self, depth: u8) -> Node {
        if self.take(b"?") {
            let named = self.take(b"P<") || self.take(b"<");
            if named {
                while !matches!(self.next(), None | Some(b'>')) {}
            } else if !self.take(b":") {
                // Flags may change what letters mean: demand nothing of the whole group, or of all that follows.
                let (mut open, mut is_group) = (1, false);
                while open > 0 {
                    match self.next() {
                        Some(b'\\') => {
                            self.next();
                        }
                        Some(b':') => is_group = true,
                        Some(b'(') => open += 1,
                        Some(b')') => open -= 1,
                        Some(_) => {}
                        None => break,
                    }
                }
                if !is_group {
                    self.rest = &[];
                }
                return Node::anything();
            }
        }
        if depth > 20 {
            return Node::anything();
        }
        let node = self.alternatives(depth + 1);
        self.take(b")");
        node
    }

    fn class(&mut self) {
        self.take(b"^");
        self.take(b"]");
        let mut open = 1;
        while open > 0 {
            match self.next() {
                Some(b'\\') => {
                    self.next();
                }
                Some(b'[') => open += 1,
                Some(b']') => open -= 1,
                Some(_) => {}
                None => break,
            }
        }
    }
}

/// The digits that a class (`1-3]`, `12]`) takes, one a text. `None` if it takes all digits, or other bytes.
fn few_digits(class: &[u8]) -> Option<Vec<Vec<u8>>> {
    let digits = match class.strip_suffix(b"]")? {
        [first, b'-', last] if first.is_ascii_digit() && last.is_ascii_digit() => (*first..=*last).collect(),
        digits if digits.iter().all(u8::is_ascii_digit) => digits.to_vec(),
        _ => return None,
    };
    (!digits.is_empty() && digits.len() < 10).then(|| digits.into_iter().map(|digit| vec![digit]).collect())
}

/// Finds many lower-case texts at once.
#[derive(Debug)]
pub(super) struct Needles(AhoCorasick);

impl Needles {
    /// A finder for `needles`; each is reported by its position.
    ///
    /// # Errors
    /// When there are more or longer needles than an automaton can hold.
    pub(super) fn new(needles: &[&[u8]]) -> Result<Self, BuildError> {
        // A DFA would take many MB for the built-in rules, and the time of its cache misses.
        AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .build(needles)
            .map(Self)
    }

    /// Calls `found` with the position and the end offset of every needle in `text`, in order of their ends.
    pub(super) fn each(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        for needle in self.0.find_overlapping_iter(text) {
            found(needle.pattern().as_usize(), needle.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_demands_its_fixed_text() {
        for (pattern, expected) in [
            ("^Relay access denied", &[&["relay access"][..]][..]),
            ("mail ?box .*full", &[&["mail box ", "mailbox "], &["full"]]),
            (
                "(?:user|account) (?:unknown|not found)",
                &[&["account not ", "account unkn", "user not fou", "user unknown"]],
            ),
            ("user .*(?:is|was) .*unknown|no .*such", &[&["such", "unknown"]]),
            ("a.+bcde.+def.+ghijk.+long.+longest", &[&["longest"], &["ghijk"], &["bcde"]]),
            ("a.+bc|", &[]),
            (r"blocked using (?<dnsbl>[^; ]+)", &[&["blocked usin"]]),
            (r"a|", &[]),
            (r"[a-z]+", &[]),
            (r"x(?:abc)*yz", &[&["yz"]]),
            (r"x(?:abc)+y", &[&["abc"]]),
            (r"\bS3150\b", &[&["s3150"]]),
            (r"a\.b{2,3}c", &[&["a."]]),
            (r"(?-i:ABC)def", &[&["def"]]),
            (r"(?x) a b", &[]),
            ("法被?系统", &[&["法系统", "法被系统"]]),
            ("法被*系", &[&["法"]]),
            (r"\<abcd\>", &[&["abcd"]]),
            (r"\u0061bcd", &[&["bcd"]]),
            (r"\pLbcd", &[&["bcd"]]),
        ] {
            let all_of = required(pattern).all_of;
            let got: Vec<Vec<&str>> =
                all_of.iter().map(|texts| texts.iter().map(|t| std::str::from_utf8(t).unwrap()).collect()).collect();
            assert_eq!(got, expected, "{pattern}");
        }
    }

    #[test]
    fn needles_inside_needles_are_found() {
        let needles: Vec<&[u8]> = vec![b"he", b"she", b"his", b"hers", b"s\xc3\xa9"];
        let finder = Needles::new(&needles).unwrap();
        let mut found = Vec::new();
        finder.each(b"ushers \xff s\xc3\xa9", |number, end| found.push((number, end)));
        found.sort_unstable();
        assert_eq!(found, [(0, 4), (1, 4), (3, 6), (4, 12)]);
    }
}
