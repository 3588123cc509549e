//! Where names stand in a text of a log: mail addresses, network addresses, host names, and words that are known to be
//! names, also inside of larger words (`ip192.0.2.1`, `/home/bob/Maildir`, `bob_b.example`). Takes time in proportion to
//! the text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;

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
    by_word: BTreeMap<String, Vec<(String, String)>>,
}

/// Words of ordinary answers: `user unknown` tells of nobody, whoever is called so.
const ORDINARY: &[&str] = &[
    "access",
    "account",
    "address",
    "blocked",
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

/// Longest network address as text, its zone left out (RFC 4291, RFC 6052).
const LONGEST_IP: usize = 45;
/// Longest local part, twice what RFC 5321 section 4.5.3.1.1 allows, its escapes counted.
const LONGEST_LOCAL: usize = 512;
/// Longest name in angle brackets, and longest address literal.
const LONGEST_QUOTED: usize = 256;

impl<'a> Known<'a> {
    /// Nothing more than `beside` yet.
    pub fn beside(beside: &'a Self) -> Self {
        Self { beside: Some(beside), ..Self::default() }
    }

    pub fn keep(&mut self, name: &str) {
        self.kept.insert(name.to_lowercase());
    }

    /// Hides a name behind `pseudonym`.
    pub fn hide(&mut self, name: &str, pseudonym: String) {
        let name = name.to_lowercase();
        self.kept.remove(&name);
        let plain = name.trim_start_matches(|c: char| !c.is_alphanumeric());
        let word = plain.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        if word.is_empty() {
            return;
        }
        if !ORDINARY.contains(&plain) {
            let names = self.by_word.entry(word.to_string()).or_default();
            let at = names.partition_point(|(other, _)| other.len() >= plain.len());
            if !names.iter().any(|(other, _)| other == plain) {
                names.insert(at, (plain.to_string(), pseudonym.clone()));
            }
        }
        self.hidden.insert(name, pseudonym);
    }

    pub fn keeps(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.all().find_map(|known| match (known.hidden.contains_key(&name), known.kept.contains(&name)) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }) == Some(true)
    }

    /// What a whole text that is a hidden name is replaced by.
    pub fn pseudonym(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.all().find_map(|known| known.hidden.get(&name)).map(String::as_str)
    }

    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |known| known.beside)
    }

    /// The longest hidden name that `rest` begins with; `before` is the character before it.
    fn begins(&'a self, before: Option<char>, rest: &str, is_public: bool) -> Option<(usize, &'a str)> {
        let word = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
        let fits = |(name, pseudonym): &'a (String, String)| {
            let length = prefix(rest, name)?;
            let after = rest.get(length..).and_then(|after| after.chars().next());
            let is_of_public = is_public && !name.contains('.');
            let is_inside = after.is_some_and(char::is_alphanumeric);
            // `1` and `550` are more than names.
            let is_slight = name.len() < 3 || name.bytes().all(|byte| byte.is_ascii_digit());
            let is_joined = before.is_some_and(is_joint) || after.is_some_and(is_joint);
            let is_more = is_of_public || is_inside || (is_slight && is_joined);
            (!is_more).then_some((length, pseudonym.as_str()))
        };
        self.all()
            .filter_map(|known| {
                let names = known.by_word.get(&word)?;
                names.iter().find_map(fits)
            })
            .max_by_key(|(length, _)| *length)
    }
}

/// How many bytes of `text` are `name`, which is in lower case; `None` where it does not begin so.
fn prefix(text: &str, name: &str) -> Option<usize> {
    let mut rest = text.chars();
    let mut wanted = name.chars();
    while let Some(first) = wanted.next() {
        let mut lower = rest.next()?.to_lowercase();
        if lower.next() != Some(first) || lower.any(|more| wanted.next() != Some(more)) {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

const fn is_joint(c: char) -> bool {
    matches!(c, '.' | '-' | '_' | '+' | ':' | '/' | '=')
}

/// All names of a text, in its order. `is_public` tells the names of hosts that are nobody's secret.
pub fn find<'a>(text: &'a str, known: &'a Known<'a>, scope: Scope, is_public: impl Fn(&str) -> bool) -> Vec<Found<'a>> {
    let has_colons = memchr::memchr_iter(b':', text.as_bytes()).nth(1).is_some();
    let mut search = Search { text, known, scope, is_public, has_colons, found: Vec::new() };
    let mut done = 0;
    if scope >= Scope::Addresses {
        let mut from = 0;
        while let Some((sign, length)) = next_sign(text, from) {
            from = sign + length;
            if let Some((at, plain)) = address(text, done, sign, length) {
                search.words(done, at.start);
                (done, from) = (at.end, at.end);
                search.found.push(Found { at, name: Name::Address(plain) });
            }
        }
    }
    search.words(done, text.len());
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
    let after = text.get(sign + length..)?;
    let is_domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\');
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
        Some(quoted) => quoted.rfind('"').unwrap_or(0),
        None => before.char_indices().rev().find(|(_, c)| ends_local(*c)).map_or(0, |(at, c)| at + c.len_utf8()),
    };
    let local = before.get(start..).filter(|local| !local.is_empty())?;
    Some((from + start..sign + length + domain.len(), format!("{local}@{domain}")))
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
            let found = self.name(before, rest, run, at < public_to);
            let length = found.as_ref().map_or(first.len_utf8(), |(skipped, length, _)| skipped + length);
            if let Some((skipped, length, name)) = found {
                self.found.push(Found { at: at + skipped..at + skipped + length, name });
            }
            at += length;
            before = self.text.get(..at).and_then(|text| text.chars().next_back());
        }
    }

    /// The name that `rest` begins with, how long it is, and how much of `rest` stands before it. `run` is the run of labels
    /// that begins there; `before`, the character before it.
    fn name(
        &self,
        before: Option<char>,
        rest: &'a str,
        run: &'a str,
        in_public: bool,
    ) -> Option<(usize, usize, Name<'a>)> {
        let first = rest.chars().next()?;
        let is_all = self.scope == Scope::All;
        let is_word = first.is_alphanumeric() && !before.is_some_and(char::is_alphanumeric);
        if is_all && matches!(first, '<' | '(') {
            return quoted(rest, first).map(|name| (1, name.len(), self.known_or(name)));
        }
        if is_all && let Some((name, is_host)) = self.host(run) {
            return Some((0, name.len(), if is_host { Name::Host(name) } else { self.known_or(name) }));
        }
        if is_word && let Some((length, pseudonym)) = self.known.begins(before, rest, in_public) {
            return Some((0, length, Name::Known(pseudonym)));
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

/// True for what reads as a host name: labels, the last one of letters.
pub fn is_host(text: &str) -> bool {
    host_of(text).is_some_and(|host| host.len() == text.len())
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
    let end = inner.find(|c: char| !is_dotted(c) && !matches!(c, '+' | '=' | ':' | '[' | ']'))?;
    let name = inner.get(..end).filter(|name| name.len() <= LONGEST_QUOTED)?;
    let after = inner.get(end..)?;
    let is_closed = if opens == '<' { after.starts_with('>') } else { after.starts_with(") [") };
    // Numbers are codes, or addresses that are found by themselves.
    (is_closed && name.chars().any(char::is_alphabetic) && !name.contains("::")).then_some(name)
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
        let expected = "User unknown: [K1] (pandora) 5.1.1 \"[K3]\" <1-[K2]> in /[K6], zen.spamhaus.org";
        assert_eq!(marked(text, &known, Scope::Known), expected);
        assert!(known.keeps("AL@b.example") && !known.keeps("dora"));
        assert_eq!((known.pseudonym("USER"), known.pseudonym("x")), (Some("K4"), None));
    }

    /// Texts that would take a quadratic search minutes.
    #[test]
    fn long_texts_take_no_more_than_their_length() {
        let mut known = Known::default();
        known.hide(&"a.".repeat(40), "K".into());
        let began = std::time::Instant::now();
        for piece in ["a@", "@", "\"@", "a@[", "%", "1:", "1.", "a.", "<a", "1::", "=40", "a_b.cd"] {
            find(&piece.repeat(200_000), &known, Scope::All, |_| false);
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
