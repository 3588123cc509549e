//! Where names stand in a text of a log: mail addresses, network addresses, host names, and words that are known to be
//! names, also inside of larger words (`ip192.0.2.1`, `/home/bob/Maildir`, `bob_b.example`). Takes time in proportion to
//! the text.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

use crate::mail::address::ip;

/// A name and where it stands, in bytes.
#[derive(Debug)]
pub struct Found<'a> {
    pub at: Range<usize>,
    pub name: Name<'a>,
}

#[derive(Debug, PartialEq)]
pub enum Name<'a> {
    /// A mail address in its plain form.
    Address(String),
    /// A network address.
    Ip(IpAddr),
    Host(&'a str),
    /// What stands where a mail server quotes a name, whatever name it is: `<WIN-1>`.
    Quoted(&'a str),
    /// A known word: what it is replaced by.
    Known(&'a str),
}

/// Which names are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Known,
    /// Mail addresses, too.
    Addresses,
    /// Hosts and networks, too.
    All,
}

/// What is known of a text: words in it that are nobody's secret, and words that are, in any letter case.
#[derive(Default)]
pub struct Known<'a> {
    /// What is known beside it.
    beside: Option<&'a Known<'a>>,
    kept: BTreeSet<String>,
    hidden: BTreeMap<String, String>,
    /// The hidden ones by their first run of letters and digits, the longest first.
    by_word: BTreeMap<String, BTreeMap<(Reverse<usize>, String), Word>>,
    /// Names of recipients before their domain: their domains, and what hides the name at each.
    mailed: BTreeMap<String, BTreeMap<String, String>>,
    /// One of them is taken for more than one word, or for a part of another name, where it is not looked for first.
    has_odd: bool,
}

/// A hidden name, from its first letter or digit on.
struct Word {
    /// What stands before that.
    lead: String,
    pseudonym: String,
    is_odd: bool,
}

/// Words of ordinary answers: `user unknown` tells of nobody, whoever is called so.
const ORDINARY: &[&str] = &[
    "access",
    "account",
    "address",
    "blocked",
    "bounce",
    "bounces",
    "box",
    "client",
    "command",
    "domain",
    "email",
    "error",
    "gateway",
    "helo",
    "host",
    "hostname",
    "invalid",
    "list",
    "local",
    "localhost",
    "mail",
    "mailbox",
    "mailer",
    "mailserver",
    "message",
    "mx",
    "name",
    "network",
    "no",
    "not",
    "policy",
    "recipient",
    "rejected",
    "relay",
    "sender",
    "server",
    "service",
    "smtp",
    "spam",
    "system",
    "test",
    "the",
    "unknown",
    "user",
    "users",
];

/// Last labels of names that are pages, not hosts; none is a top-level domain.
const PAGES: &[&str] = &[
    "asp", "aspx", "cfm", "cgi", "css", "gif", "htm", "html", "jpg", "js", "json", "jsp", "pdf", "php", "png", "shtml",
    "txt", "xhtml", "xml",
];

/// Names that stand for this host, for no host, or for a program to which Postfix's master.cf, as it is shipped, gives mail.
const NOBODY: &[&str] = &[
    "bsmtp",
    "cyrus",
    "discard",
    "dovecot",
    "error",
    "ifmail",
    "lmtp",
    "local",
    "localhost",
    "maildrop",
    "mailman",
    "none",
    "pipe",
    "retry",
    "unknown",
    "uucp",
    "virtual",
];

/// Longest network address as text, its zone left out (RFC 4291, RFC 6052).
const LONGEST_IP: usize = 45;
/// Longest local part, twice what RFC 5321 section 4.5.3.1.1 allows, its escapes counted.
const LONGEST_LOCAL: usize = 512;
/// Longest name in angle brackets, and longest address literal.
const LONGEST_QUOTED: usize = 256;
/// Words of a mailing list's envelope sender that are looked at for a recipient.
const SENDER_WORDS: usize = 32;

impl<'a> Known<'a> {
    /// Nothing more than `beside` yet.
    pub fn beside(beside: &'a Self) -> Self {
        Self { beside: Some(beside), ..Self::default() }
    }

    pub fn keep(&mut self, name: &str) {
        self.kept.insert(lower(name));
    }

    /// Hides a name behind `pseudonym`.
    pub fn hide(&mut self, name: &str, pseudonym: String) {
        let name = lower(name);
        self.kept.remove(&name);
        let plain = name.trim_start_matches(|c: char| !c.is_alphanumeric());
        let lead = name.strip_suffix(plain).unwrap_or_default();
        let word = plain.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        if word.is_empty() {
            return;
        }
        // Addresses are known by their form.
        if !ORDINARY.contains(&plain) && ip(name.as_bytes()).is_none() {
            let names = self.by_word.entry(word.to_string()).or_default();
            names.entry((Reverse(plain.len()), plain.to_string())).or_insert_with(|| {
                let local = name.rsplit_once('@').map_or(name.as_str(), |(local, _)| local);
                let is_odd = local.contains(ends_local);
                self.has_odd |= is_odd;
                Word { lead: lead.to_string(), pseudonym: pseudonym.clone(), is_odd }
            });
        }
        self.hidden.insert(name, pseudonym);
    }

    /// What stands for a recipient's name in the envelope senders that mailing lists write it into.
    pub fn mail(&mut self, local: &str, domain: &str, code: &str) {
        if !local.is_empty() && !domain.is_empty() {
            self.mailed.entry(lower(local)).or_default().insert(lower(domain), code.to_string());
        }
    }

    /// The recipient that the local part of an envelope sender names beside the recipient's domain, however the two are
    /// joined, and what hides the name: of several the longest.
    pub fn mailed_in(&self, local: &str) -> Option<(Range<usize>, &str)> {
        if self.all().all(|known| known.mailed.is_empty()) {
            return None;
        }
        let (mut starts, mut ends, mut is_in_word) = (vec![0], Vec::new(), false);
        for (at, c) in local.char_indices() {
            match (is_in_word, c.is_alphanumeric()) {
                (false, true) => starts.push(at),
                (true, false) => ends.push(at),
                _ => {}
            }
            is_in_word = c.is_alphanumeric();
        }
        ends.push(local.len());
        // From the end: a recipient stands behind the list's name.
        let whole = lower(local);
        let named = |start: usize, end: usize| {
            let name = lower(local.get(start..end)?);
            let hidden = self.all().filter_map(|known| known.mailed.get(&name)).flatten();
            hidden
                .into_iter()
                .find(|(domain, _)| is_word_of(&whole, domain))
                .map(|(_, code)| (start..end, code.as_str()))
        };
        let starts = || starts.iter().rev().take(SENDER_WORDS);
        let ends = || ends.iter().rev().take(SENDER_WORDS);
        let found = starts().flat_map(|start| ends().filter_map(move |end| named(*start, *end)));
        found.max_by_key(|(at, _)| at.len())
    }

    pub fn keeps(&self, name: &str) -> bool {
        let name = lower(name);
        self.all().find_map(|known| match (known.hidden.contains_key(&name), known.kept.contains(&name)) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }) == Some(true)
    }

    /// What a whole text that is a hidden name is replaced by.
    pub fn pseudonym(&self, name: &str) -> Option<&str> {
        let name = lower(name);
        self.all().find_map(|known| known.hidden.get(&name)).map(String::as_str)
    }

    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |known| known.beside)
    }

    /// The longest hidden name that stands at `at`, where a word begins, and how long it is.
    fn begins(
        &'a self,
        text: &str,
        at: usize,
        to: usize,
        fits: impl Fn(&str, &Word) -> bool,
    ) -> Option<(usize, &'a Word)> {
        let (before, rest) = (text.get(..at)?, text.get(at..to)?);
        let word = lower(rest.split(|c: char| !c.is_alphanumeric() && c != DOT_ABOVE).next().unwrap_or_default());
        let is_here = |((_, name), one): (&(Reverse<usize>, String), &'a Word)| {
            let length = prefix(rest, name)?;
            let after = rest.get(length..)?;
            let is_inside = after.starts_with(char::is_alphanumeric);
            (fits(name, one) && !is_inside && !is_part(name, before, after)).then_some((length, one))
        };
        self.all()
            .filter_map(|known| {
                let names = known.by_word.get(&word)?;
                names.iter().find_map(is_here)
            })
            .max_by_key(|(length, _)| *length)
    }

    /// The odd ones among the hidden names of a text.
    fn odd_in(&'a self, text: &str) -> Vec<(Range<usize>, &'a str)> {
        let mut found: Vec<(Range<usize>, &str)> = Vec::new();
        if !self.all().any(|known| known.has_odd) {
            return found;
        }
        let (mut done, mut is_in_word) = (0, false);
        for (at, c) in text.char_indices() {
            let begins = c.is_alphanumeric() && !is_in_word;
            is_in_word = c.is_alphanumeric();
            if !begins || at < done {
                continue;
            }
            if let Some((length, word)) = self.begins(text, at, text.len(), |_, word| word.is_odd) {
                let end = at + length;
                // Somebody of that name elsewhere.
                if text.get(end..).is_some_and(|after| after.starts_with('@')) && bracketed(text, done, end).is_some() {
                    continue;
                }
                let before = text.get(done..at).unwrap_or_default();
                let lead = if before.ends_with(&word.lead) { word.lead.len() } else { 0 };
                done = end;
                found.push((at - lead..end, &word.pseudonym));
            }
        }
        found
    }
}

/// True where a short word or number is part of something larger: `1` of `5.1.1`, `550` of `550-5.1.1`, `jo` of `jo.example`.
fn is_part(name: &str, before: &str, after: &str) -> bool {
    /// Longer numbers than codes, ports and years are names: telephones, customers.
    const DIGITS: usize = 4;
    let is_number = name.len() <= DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && name.len() > 2 {
        return false;
    }
    let is_joint = |c: char| match c {
        '.' | '-' | '_' | '+' => true,
        ':' | '/' | '=' => is_number || name.len() == 1,
        _ => false,
    };
    let joins = |joint: Option<char>, next: Option<char>| {
        joint.is_some_and(is_joint) && next.is_some_and(char::is_alphanumeric)
    };
    let (mut back, mut on) = (before.chars().rev(), after.chars());
    joins(back.next(), back.next()) || joins(on.next(), on.next()) || after.starts_with('=')
}

/// The dot that the lower case of `İ` keeps in Unicode, and loses in Turkish.
const DOT_ABOVE: char = '\u{307}';

/// The lower case by which names are compared, letter by letter: that of `İ` is `i`, that of `Σ` the same at a word's end.
fn lower(text: &str) -> String {
    text.chars().flat_map(lower_char).collect()
}

fn lower_char(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().filter(|c| *c != DOT_ABOVE).map(|c| if c == 'ς' { 'σ' } else { c })
}

/// How many bytes of `text` are `name`, which is in [`lower`] case; `None` where it does not begin so.
fn prefix(text: &str, name: &str) -> Option<usize> {
    let mut rest = text.chars();
    let mut wanted = name.chars().peekable();
    while wanted.peek().is_some() {
        if lower_char(rest.next()?).any(|c| wanted.next() != Some(c)) {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

/// True where `word` stands in a text without a letter or digit beside it.
fn is_word_of(text: &str, word: &str) -> bool {
    let is_apart = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    };
    text.match_indices(word).any(|(at, _)| is_apart(at))
}

/// All names of a text, in its order. `is_public` tells the names of hosts that are nobody's secret.
pub fn find<'a>(text: &'a str, known: &'a Known<'a>, scope: Scope, is_public: impl Fn(&str) -> bool) -> Vec<Found<'a>> {
    let has_colons = memchr::memchr_iter(b':', text.as_bytes()).nth(1).is_some();
    let mut search = Search { text, known, scope, is_public, has_colons, found: Vec::new() };
    let mut done = 0;
    for (at, pseudonym) in known.odd_in(text) {
        search.part(done, at.start);
        done = at.end;
        search.found.push(Found { at, name: Name::Known(pseudonym) });
    }
    search.part(done, text.len());
    search.found
}

/// The next place from `from` on that may part the two halves of an address, and how long it is.
fn next_sign(text: &str, from: usize) -> Option<(usize, usize)> {
    const SIGNS: [&str; 5] = ["@", "%40", "=40", "&#64;", "\u{ff20}"];
    let rest = text.get(from..)?;
    rest.match_indices(['@', '%', '=', '&', '\u{ff20}']).find_map(|(at, _)| {
        let sign = SIGNS.iter().find(|sign| rest.get(at..).is_some_and(|rest| rest.starts_with(**sign)))?;
        Some((from + at, sign.len()))
    })
}

/// The address around a sign, from `from` on, and its plain form.
fn address(text: &str, from: usize, sign: usize, length: usize) -> Option<(Range<usize>, String)> {
    if let Some(whole) = bracketed(text, from, sign) {
        return Some(whole);
    }
    let after = text.get(sign + length..)?;
    let end = match after.strip_prefix('[') {
        Some(literal) => literal.bytes().take(LONGEST_QUOTED).position(|byte| byte == b']').map_or(0, |end| end + 2),
        None => after.find(|c| !is_domain(c)).unwrap_or(after.len()),
    };
    // A full stop behind it ends the sentence.
    let domain = after.get(..end)?.trim_end_matches(['.', '\\', '-']);
    if domain.is_empty() {
        return None;
    }
    let longest = from.max(sign.saturating_sub(LONGEST_LOCAL));
    let from = (longest..=sign).find(|at| text.is_char_boundary(*at))?;
    let before = text.get(from..sign)?;
    let before = before.strip_suffix('\\').unwrap_or(before);
    let start = match before.strip_suffix('"') {
        Some(quoted) => opening_quote(quoted),
        None if before.ends_with('/') => attributes(before)?,
        None => before.char_indices().rev().find(|(_, c)| ends_local(*c)).map_or(0, |(at, c)| at + c.len_utf8()),
    };
    let local = before.get(start..).filter(|local| !local.is_empty())?;
    Some((from + start..sign + length + domain.len(), format!("{local}@{domain}")))
}

/// The address that angle brackets hold, whatever stands in its local part, around a sign: `<jan de boer@b.example>`. Of a
/// link it is what [`address`] finds.
fn bracketed(text: &str, from: usize, sign: usize) -> Option<(Range<usize>, String)> {
    const SCHEMES: [&str; 3] = ["mailto:", "smtp:", "rfc822;"];
    const LINKS: [&str; 2] = ["http://", "https://"];
    let bytes = text.as_bytes();
    let longest = from.max(sign.saturating_sub(LONGEST_LOCAL));
    let before = bytes.get(longest..sign)?;
    let open = memchr::memrchr2(b'<', b'>', before).filter(|at| before.get(*at) == Some(&b'<'))?;
    let after = bytes.get(sign..)?;
    let after = after.get(..LONGEST_LOCAL).unwrap_or(after);
    let close = sign + memchr::memchr2(b'<', b'>', after).filter(|at| after.get(*at) == Some(&b'>'))?;
    let mut start = longest + open + 1;
    let begins =
        |word: &&str| text.get(start..start + word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    if LINKS.iter().any(begins) {
        return None;
    }
    start += SCHEMES.iter().find(|scheme| begins(scheme)).map_or(0, |scheme| scheme.len());
    let inner = text.get(start..close)?;
    // A route before it (RFC 5321 appendix C): `@a.example:bob@b.example`.
    let route = inner.find(':').filter(|_| inner.starts_with('@')).map_or(0, |colon| colon + 1);
    let inner = inner.get(route..)?.trim_end_matches('.');
    let (local, domain) = inner.rsplit_once('@')?;
    let local = local.strip_suffix('\\').unwrap_or(local);
    let literal = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']'));
    let is_whole = !domain.is_empty() && (literal.is_some() || domain.chars().all(is_domain));
    let at = start + route..start + route + inner.len();
    (is_whole && !local.is_empty() && at.start >= from).then(|| (at, format!("{local}@{domain}")))
}

fn is_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\')
}

/// Where the quotes open that close behind `quoted`; those with a backslash before them are part of the name.
fn opening_quote(quoted: &str) -> usize {
    let is_escaped = |at: usize| {
        let before = quoted.get(..at).unwrap_or_default();
        before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
    };
    quoted.rmatch_indices('"').map(|(at, _)| at).find(|at| !is_escaped(*at)).unwrap_or(0)
}

/// Where the attributes of a name of X.400 begin, as gateways write it for a local part (RFC 2156): `/C=DE/S=Lee/`.
fn attributes(before: &str) -> Option<usize> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"' | '@');
    let start = before.char_indices().rev().find(|(_, c)| is_end(*c)).map_or(0, |(at, c)| at + c.len_utf8());
    before.get(start..).filter(|name| name.starts_with('/') && name.contains('=')).map(|_| start)
}

/// What is no part of a local part that is not quoted, or of one in a link.
fn ends_local(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '@' | '/' | '?' | '&')
}

struct Search<'a, F> {
    text: &'a str,
    known: &'a Known<'a>,
    scope: Scope,
    is_public: F,
    /// Without two colons there is no IPv6 address.
    has_colons: bool,
    found: Vec<Found<'a>>,
}

impl<'a, F: Fn(&str) -> bool> Search<'a, F> {
    /// Names in a part of the text.
    fn part(&mut self, mut done: usize, to: usize) {
        let Some(text) = self.text.get(..to).filter(|_| self.scope >= Scope::Addresses) else {
            return self.words(done, to);
        };
        let mut from = done;
        while let Some((sign, length)) = next_sign(text, from) {
            from = sign + length;
            if let Some((at, plain)) = address(text, done, sign, length) {
                self.words(done, at.start);
                (done, from) = (at.end, at.end);
                self.found.push(Found { at, name: Name::Address(plain) });
            }
        }
        self.words(done, to);
    }

    /// Names in a part of the text without mail addresses.
    fn words(&mut self, from: usize, to: usize) {
        let mut at = from;
        let mut before = self.text.get(..from).and_then(|text| text.chars().next_back());
        // Up to here a run of labels stands, and a public host's name.
        let (mut run_to, mut public_to) = (from, from);
        while let Some(rest) = self.text.get(at..to).filter(|rest| !rest.is_empty()) {
            let Some(first) = rest.chars().next() else { return };
            let run = if first.is_alphanumeric() && at >= run_to { dotted(rest) } else { "" };
            run_to = run_to.max(at + run.len());
            if run.contains('.') && (self.is_public)(run) {
                public_to = run_to;
            }
            let found = self.name(before, (at, to), run, at < public_to);
            let length = found.as_ref().map_or(first.len_utf8(), |(skipped, length, _)| skipped + length);
            if let Some((skipped, length, name)) = found {
                self.found.push(Found { at: at + skipped..at + skipped + length, name });
            }
            at += length;
            before = self.text.get(..at).and_then(|text| text.chars().next_back());
        }
    }

    /// The name that the text begins with at `at`, how long it is, and how much stands before it; the text is looked at up to
    /// `to`. `run` is the run of labels that begins there; `before`, the character before it.
    fn name(
        &self,
        before: Option<char>,
        (at, to): (usize, usize),
        run: &'a str,
        in_public: bool,
    ) -> Option<(usize, usize, Name<'a>)> {
        let rest = self.text.get(at..to)?;
        let first = rest.chars().next()?;
        let is_all = self.scope == Scope::All;
        let is_word = first.is_alphanumeric() && !before.is_some_and(char::is_alphanumeric);
        if is_all && matches!(first, '<' | '(') {
            return quoted(rest, first).map(|name| (1, name.len(), self.known_or(name)));
        }
        if is_all && let Some((name, is_host)) = self.host(run) {
            return Some((0, name.len(), if is_host { Name::Host(name) } else { self.known_or(name) }));
        }
        if is_all && is_before_ip(run, rest) {
            return Some((0, run.len(), self.known_or(run)));
        }
        let fits = |name: &str, _: &Word| !in_public || name.contains('.');
        if is_word && let Some((length, word)) = self.known.begins(self.text, at, to, fits) {
            return Some((0, length, Name::Known(&word.pseudonym)));
        }
        if !is_all {
            return None;
        }
        let ip = self.has_colons.then(|| ipv6(before, rest)).flatten().or_else(|| ipv4(before, rest));
        ip.map(|(length, ip)| (0, length, Name::Ip(ip)))
    }

    fn known_or(&self, name: &'a str) -> Name<'a> {
        self.known.pseudonym(name).map_or(Name::Quoted(name), Name::Known)
    }

    /// The host's name at the beginning of a run of labels; false with it for a word that is known to be another name.
    fn host(&self, run: &'a str) -> Option<(&'a str, bool)> {
        if !run.contains('.') || self.known.keeps(run) {
            return None;
        }
        if self.known.pseudonym(run).is_some() {
            return Some((run, false));
        }
        host_of(run).map(|host| (host, self.known.pseudonym(host).is_none()))
    }
}

/// Letters, digits, dots, hyphens and underscores at the beginning of a text, but for those marks at its end.
fn dotted(text: &str) -> &str {
    let run = text.get(..text.find(|c: char| !is_dotted(c)).unwrap_or(text.len())).unwrap_or(text);
    run.trim_end_matches(['.', '-', '_'])
}

fn is_dotted(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// True for a name with its network address behind it: `WIN-1[192.0.2.1]`.
fn is_before_ip(run: &str, rest: &str) -> bool {
    let literal = rest.get(run.len()..).filter(|after| after.starts_with('[')).unwrap_or_default();
    let end = literal.bytes().take(LONGEST_IP + 8).position(|byte| byte == b']').map_or(0, |end| end + 1);
    let is_ip = literal.get(..end).is_some_and(|literal| ip(literal.as_bytes()).is_some());
    !run.is_empty() && !is_nobody(run) && is_ip
}

/// True for a name that tells of no host.
pub fn is_nobody(name: &str) -> bool {
    NOBODY.contains(&name)
}

/// True for what reads as a host name: labels, the last one of letters.
pub fn is_host(text: &str) -> bool {
    host_of(text).is_some_and(|host| host.len() == text.len())
}

/// The host's name that a text begins with.
pub fn host_before(text: &str) -> Option<&str> {
    host_of(dotted(text))
}

/// The host's name that a run of labels begins with: the last label begins with two letters, and what a hyphen or an
/// underscore parts from them is no part of it. Of the name of a page it is what stands before its ending, if that is one.
fn host_of(run: &str) -> Option<&str> {
    let is_page = |top: &str| PAGES.iter().any(|page| page.eq_ignore_ascii_case(top));
    let mut run = run;
    while let Some((labels, _)) = run.rsplit_once('.').filter(|(_, top)| is_page(top)) {
        run = labels;
    }
    let (labels, top) = run.rsplit_once('.')?;
    let letters = top.find(|c: char| !c.is_alphabetic()).unwrap_or(top.len());
    let is_top = top.chars().take(2).filter(|c| c.is_alphabetic()).count() == 2;
    if labels.split('.').any(str::is_empty) || !is_top {
        return None;
    }
    let is_glued = top.get(letters..).is_some_and(|more| more.starts_with(['-', '_']) && !top.starts_with("xn--"));
    if is_glued { run.get(..labels.len() + 1 + letters) } else { Some(run) }
}

/// What angle brackets hold, or round ones before an address: `<WIN-1>`, `(WIN-1) [192.0.2.1]`.
fn quoted(rest: &str, opens: char) -> Option<&str> {
    let inner = rest.get(1..)?;
    // Postfix quotes so what it was told, whatever that is: `<a name>: Helo command rejected`.
    let longest = inner.as_bytes().get(..LONGEST_QUOTED).unwrap_or(inner.as_bytes());
    let told = memchr::memchr2(b'<', b'>', longest).and_then(|end| inner.split_at_checked(end));
    if let Some((told, after)) = told
        && opens == '<'
        && after.starts_with(">:")
    {
        return is_told(told).then_some(told);
    }
    let end = inner.find(|c: char| !is_dotted(c) && !matches!(c, '+' | '=' | ':' | '[' | ']'))?;
    let name = inner.get(..end).filter(|name| name.len() <= LONGEST_QUOTED)?;
    let after = inner.get(end..)?;
    let is_closed = if opens == '<' { after.starts_with('>') } else { after.starts_with(") [") };
    // Numbers are codes, or addresses that are found by themselves.
    (is_closed && is_told(name) && !name.contains("::")).then_some(name)
}

/// True for a name that is no address and has none behind it.
fn is_told(told: &str) -> bool {
    let (bare, literal) = told.find('[').and_then(|at| told.split_at_checked(at)).unwrap_or((told, ""));
    !bare.is_empty()
        && told.chars().any(char::is_alphabetic)
        && ip(literal.as_bytes()).is_none()
        && ip(told.as_bytes()).is_none()
}

/// An IPv4 address, its parts joined by dots, hyphens or underscores.
fn ipv4(before: Option<char>, rest: &str) -> Option<(usize, IpAddr)> {
    if before.is_some_and(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut parts = [0u8; 4];
    let (mut tail, mut joint) = (rest, None);
    for (at, part) in parts.iter_mut().enumerate() {
        if at > 0 {
            let sign = tail.chars().next().filter(|c| matches!(c, '.' | '-' | '_'))?;
            if *joint.get_or_insert(sign) != sign {
                return None;
            }
            tail = tail.get(1..)?;
        }
        let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        *part = tail.get(..digits).filter(|digits| (1..=3).contains(&digits.len()))?.parse().ok()?;
        tail = tail.get(digits..)?;
    }
    Some((rest.len() - tail.len(), IpAddr::from(parts)))
}

/// An IPv6 address, with `IPv6:` before it or without.
fn ipv6(before: Option<char>, rest: &str) -> Option<(usize, IpAddr)> {
    let bare = match rest.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => rest.get(5..)?,
        _ => rest,
    };
    let tag = rest.len() - bare.len();
    let is_of_it = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let longest = bare.bytes().take(LONGEST_IP).take_while(|byte| is_of_it(byte)).count();
    let run = bare.get(..longest)?;
    let is_inside = tag == 0 && before.is_some_and(|c| c.is_ascii_hexdigit());
    if is_inside || memchr::memchr_iter(b':', run.as_bytes()).nth(1).is_none() {
        return None;
    }
    let ends = run.char_indices().filter(|(_, c)| matches!(c, ':' | '.')).map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.flat_map(|at| [at, at + 1]).chain([run.len()]).collect();
    ends.dedup();
    let (length, ip) =
        ends.iter().rev().find_map(|end| Some((*end, run.get(..*end)?.parse::<std::net::Ipv6Addr>().ok()?)))?;
    let after = bare.get(length..).and_then(|after| after.chars().next());
    let groups = run.get(..length)?.split(':').filter(|group| !group.is_empty()).count();
    // `std::string` and `Mail::Box` hold none.
    let is_apart = !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric);
    (tag > 0 || if is_apart { groups > 0 } else { groups >= 3 }).then_some((tag + length, ip.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with every name in brackets that say what it is.
    fn marked(text: &str, known: &Known<'_>, scope: Scope) -> String {
        let (mut out, mut done) = (String::new(), 0);
        for Found { at, name } in find(text, known, scope, |host| host.ends_with("spamhaus.org")) {
            out.push_str(&text[done..at.start]);
            done = at.end;
            out.push_str(&match name {
                Name::Address(plain) => format!("[A {plain}]"),
                Name::Ip(ip) => format!("[I {ip}]"),
                Name::Host(host) => format!("[H {host}]"),
                Name::Quoted(name) => format!("[Q {name}]"),
                Name::Known(pseudonym) => format!("[{pseudonym}]"),
            });
        }
        out + &text[done..]
    }

    #[test]
    fn names_are_found_inside_of_larger_words() {
        let mut known = Known::default();
        known.hide("bob.lee", "K".into());
        for (text, expected) in [
            ("550 <bob@b.example>: no", "550 <[A bob@b.example]>: no"),
            ("no bob@b.example. x \"bob b\"@b.example", "no [A bob@b.example]. x [A \"bob b\"@b.example]"),
            ("https://b.example/?a=bob%40b.example&c", "https://[H b.example]/?[A a=bob@b.example]&c"),
            ("mailto:bob@[192.0.2.1] \\\\bob\\@b.example", "mailto:[A bob@[192.0.2.1]] [A \\\\bob@b.example]"),
            ("@b.example a@ bob\u{ff20}b.example", "@[H b.example] a@ [A bob@b.example]"),
            ("Bob.Lee /home/bob.lee/x bob.lee_b smtp:bob.lee:b", "[K] /home/[K]/x [K]_b smtp:[K]:b"),
            ("bob.lee-at-b.example xbob.lee bob.leex", "[H bob.lee-at-b.example] [H xbob.lee] [H bob.leex]"),
            (
                "ip192.0.2.7 192.0.2.7-x 192.0.2.7_x x192-0-2-7",
                "ip[I 192.0.2.7] [I 192.0.2.7]-x [I 192.0.2.7]_x x[I 192.0.2.7]",
            ),
            (
                "http://192.0.2.7/p?192.0.2.8:25 192.0.2.0/24",
                "http://[I 192.0.2.7]/p?[I 192.0.2.8]:25 [I 192.0.2.0]/24",
            ),
            ("192.000.002.077 5.7.1 1.2.3 300.1.2.3", "[I 192.0.2.77] 5.7.1 1.2.3 300.1.2.3"),
            ("[IPv6:2001:db8::25] 2001:db8::25. 2001:DB8:1::", "[[I 2001:db8::25]] [I 2001:db8::25]. [I 2001:db8:1::]"),
            (
                "2001:db8:1::/48, [2001:db8::1]:25 ::ffff:192.0.2.1",
                "[I 2001:db8:1::]/48, [[I 2001:db8::1]]:25 [I ::ffff:192.0.2.1]",
            ),
            (
                "std::string Mail::Box 10:11:12 a::b ip2001:db8::1x",
                "std::string Mail::Box 10:11:12 [I a::b] ip[I 2001:db8::1]x",
            ),
            (
                "b.example_x b.example+y D=b.example;S b.example's",
                "[H b.example]_x [H b.example]+y D=[H b.example];S [H b.example]'s",
            ),
            (
                "//b.example/x.aspx#e _dmarc.b.example -b.example-",
                "//[H b.example]/x.aspx#e _[H dmarc.b.example] -[H b.example]-",
            ),
            ("http://b.example/help/c.example.html x.html", "http://[H b.example]/help/[H c.example].html x.html"),
            (
                "<WIN-1>: Helo (PC-2) [192.0.2.1] <5.1.1> (x)",
                "<[Q WIN-1]>: Helo ([Q PC-2]) [[I 192.0.2.1]] <5.1.1> (x)",
            ),
            ("7.2.0.192.zen.spamhaus.org s\u{e9}c.example", "[H 7.2.0.192.zen.spamhaus.org] [H s\u{e9}c.example]"),
        ] {
            assert_eq!(marked(text, &known, Scope::All), expected);
        }
    }

    #[test]
    fn known_words_are_found_in_any_letter_case() {
        let mut above = Known::default();
        above.keep("al@b.example");
        above.hide("dora", "K1".into());
        let mut known = Known::beside(&above);
        known.hide("Bob@b.example", "K2".into());
        known.hide("1", "K3".into());
        known.hide("user", "K4".into());
        known.hide("spamhaus", "K5".into());
        known.hide("/srv/Dora", "K6".into());
        let text = "User unknown: Dora (pandora) 5.1.1 \"1\" <1-BOB@B.example> in /srv/dora, zen.spamhaus.org";
        let expected = "User unknown: [K1] (pandora) 5.1.1 \"[K3]\" <1-[K2]> in [K6], zen.spamhaus.org";
        assert_eq!(marked(text, &known, Scope::Known), expected);
        assert!(known.keeps("AL@b.example") && !known.keeps("dora"));
        assert_eq!((known.pseudonym("USER"), known.pseudonym("x")), (Some("K4"), None));
    }

    #[test]
    fn letters_have_one_lower_case_of_whatever_length() {
        for (name, text) in [
            ("\u{130}bo", "550 \u{130}bo, i\u{307}bo, \u{130}BO ibo"),
            ("ibo", "550 \u{130}bo, i\u{307}bo, \u{130}BO ibo"),
            ("nikos", "550 ni\u{212a}os, niKos, NIKOS nikos"),
            ("\u{23a}nn", "550 \u{23a}nn, \u{2c65}nn, \u{2c65}NN \u{23a}NN"),
            ("ΝΊΚΟΣ", "550 νίκος, ΝΊΚΟΣ, νίκοσ Νίκος"),
            ("stra\u{1e9e}e", "550 straße, STRA\u{1e9e}E, Straße Stra\u{1e9e}e"),
        ] {
            let mut known = Known::default();
            known.hide(name, "K".into());
            assert_eq!(marked(text, &known, Scope::Known), "550 [K], [K], [K] [K]", "{name}");
            assert_eq!(known.pseudonym(name), Some("K"));
        }
    }

    #[test]
    fn recipients_stand_in_the_senders_of_their_lists() {
        let mut known = Known::default();
        known.mail("bob.lee", "b.example", "B");
        known.mail("eve", "c.example", "E");
        for (local, expected) in [
            ("bounce+bob.lee=b.example", Some(("bob.lee", "B"))),
            ("bounce+Bob.Lee=B.example=123", Some(("Bob.Lee", "B"))),
            ("owner-news*bob.lee**b.example", Some(("bob.lee", "B"))),
            ("l-eve=c.example-99", Some(("eve", "E"))),
            ("l-eve.at.c.example", Some(("eve", "E"))),
            ("srs0=hash=tt=c.example=eve", Some(("eve", "E"))),
            ("l-eve=b.example", None),
            ("l-steve=c.example", None),
            ("eve", None),
        ] {
            let found = known.mailed_in(local).map(|(at, code)| (&local[at], code));
            assert_eq!(found, expected, "{local}");
        }
    }

    #[test]
    fn an_address_in_angle_brackets_is_taken_whole() {
        for (text, expected) in [
            ("<ada&eve@b.example> <o'neil/x@b.example>", "<[A ada&eve@b.example]> <[A o'neil/x@b.example]>"),
            ("<jan de boer@b.example.>: no", "<[A jan de boer@b.example].>: no"),
            (
                "</C=DE/S=Lee/G=Al/@b.example> /S=Lee/@b.example",
                "<[A /C=DE/S=Lee/G=Al/@b.example]> [A /S=Lee/@b.example]",
            ),
            ("no \"a\\\"b\"@b.example x", "no [A \"a\\\"b\"@b.example] x"),
            (
                "<mailto:bob@b.example> <@c.example:bob@b.example>",
                "<mailto:[A bob@b.example]> <@c.example:[A bob@b.example]>",
            ),
            (
                "<https://c.example/?a=bob@b.example> http://c.example/@x",
                "<https://c.example/?[A a=bob@b.example]> http://c.example/@x",
            ),
            ("<b> bob@b.example <x", "<b> [A bob@b.example] <x"),
        ] {
            assert_eq!(marked(text, &Known::default(), Scope::Addresses), expected);
        }
    }

    #[test]
    fn known_names_go_first() {
        let mut known = Known::default();
        known.hide("ada&eve@b.example", "K1".into());
        known.hide("\"jan de boer\"@b.example", "K2".into());
        known.hide("jan de boer", "K3".into());
        for (text, expected) in [
            ("Bounced to ada&eve@B.example at x", "Bounced to [K1] at x"),
            ("Bounced to \"jan de boer\"@b.example (Jan de Boer: no)", "Bounced to [K2] ([K3]: no)"),
            ("jan de boers", "jan de boers"),
        ] {
            assert_eq!(marked(text, &known, Scope::Addresses), expected);
        }
    }

    #[test]
    fn short_words_are_names_where_they_stand_alone() {
        let mut known = Known::default();
        for (name, pseudonym) in [("jo", "J"), ("4915155501234", "N"), ("2026", "Y"), ("550", "C"), ("::1", "I")] {
            known.hide(name, pseudonym.into());
        }
        for (text, expected) in [
            ("550-5.1.1 jo: no such user. jo", "550-5.1.1 [J]: no such user. [J]"),
            ("4915155501234: no +4915155501234, sms/4915155501234", "[N]: no +[N], sms/[N]"),
            ("jo.example x-jo /home/jo/x rcpt=jo", "jo.example x-jo /home/[J]/x rcpt=[J]"),
            ("2026-11-19 5.1.2026 2026: no", "2026-11-19 5.1.2026 [Y]: no"),
            ("1 message", "1 message"),
        ] {
            assert_eq!(marked(text, &known, Scope::Known), expected);
        }
    }

    #[test]
    fn what_the_syntax_says_is_a_name_is_one() {
        for (text, expected) in [
            ("to mailboxofacme[203.0.113.9]:25: refused", "to [Q mailboxofacme][[I 203.0.113.9]]:25: refused"),
            ("unknown[203.0.113.9] pc_2[IPv6:2001:db8::1]", "unknown[[I 203.0.113.9]] [Q pc_2][[I 2001:db8::1]]"),
            ("<a name of it>: Helo rejected <a b> x[1]", "<[Q a name of it]>: Helo rejected <a b> x[1]"),
            ("<unknown[203.0.113.9]>: Client host", "<unknown[[I 203.0.113.9]]>: Client host"),
            ("<[203.0.113.9]>: Helo <203.0.113.9>: x", "<[[I 203.0.113.9]]>: Helo <[I 203.0.113.9]>: x"),
        ] {
            assert_eq!(marked(text, &Known::default(), Scope::All), expected);
        }
    }

    /// Texts that would take a quadratic search minutes.
    #[test]
    fn long_texts_take_no_more_than_their_length() {
        let mut known = Known::default();
        known.hide(&"a.".repeat(40), "K".into());
        let began = std::time::Instant::now();
        for piece in [
            "a@", "@", "\"@", "a@[", "%", "1:", "1.", "a.", "<a", "1::", "=40", "a_b.cd", "<a@", "< @", "/=@", "a[1",
            "a\\\"@",
        ] {
            find(&piece.repeat(200_000), &known, Scope::All, |_| false);
        }
        known.mail("x", &"b.".repeat(40), "X");
        assert_eq!(known.mailed_in(&"b.".repeat(200_000)), None);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
