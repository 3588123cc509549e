//! Keyed pseudonyms for reports that leave the house (`--privacy`): the same person gets the same one in every report made
//! with the same key, and without the key nobody can tell who it is, or whether it is somebody they think of.
//!
//! What is hidden is hidden in the data that all tables, texts and pages are made from, so that no form of a report can
//! forget it. A pseudonym is made from HMAC-SHA-256 (RFC 2104) over what it stands for.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::summary::Summary;
use super::tables::Cell;
use super::{HostNames, Judged};
use crate::aggregate::{Around, SenderProfile};
use crate::classify::Classifier;
use crate::detect::Finding;
use crate::error::{Error, Result};
use crate::mail::address::{network, printable};
use crate::mail::status::words;

words! {
    /// Who is hidden.
    Privacy {
        Off = "off",
        /// The local parts of recipients' addresses; their domains stay.
        Recipients = "recipients",
        /// Addresses, logins, clients, hosts and files, too; mail providers and DNS lists stay.
        All = "all",
    }
}

/// The key's file in the state directory.
const KEY_FILE: &str = "privacy.key";
const KEY_BYTES: usize = 32;
/// Letters of a pseudonym: five bits each (RFC 4648 base 32, lower case), sixty in all.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = 12;

/// Makes pseudonyms.
pub struct Pseudonyms {
    mac: Hmac<Sha256>,
    hides_all: bool,
    /// Domains that everybody's mail goes to, and those of DNS lists.
    public: BTreeSet<String>,
}

/// What is known of a text: words in it that are nobody's secret, and words that are.
#[derive(Default)]
struct Known<'a> {
    kept: BTreeSet<&'a str>,
    hidden: BTreeMap<&'a str, String>,
}

impl Pseudonyms {
    /// With the key of a state directory, which is made with its key where it is not there yet; `None` where nobody is
    /// hidden.
    ///
    /// # Errors
    /// [`Error::Usage`] for a directory or key that cannot be made or read, or that others may read.
    pub fn new(privacy: Privacy, state: &Path, classifier: &Classifier) -> Result<Option<Self>> {
        if privacy == Privacy::Off {
            return Ok(None);
        }
        let path = state.join(KEY_FILE);
        let key = key(state, &path).map_err(|error| {
            Error::Usage(format!("{}: cannot use the key of --privacy: {error}; give --state", path.display()))
        })?;
        let providers = classifier.providers().iter().flat_map(|provider| provider.hosts().iter().cloned());
        let zones = classifier.lists().iter().map(|list| list.id().to_string());
        Self::with_key(&key, privacy == Privacy::All, providers.chain(zones).collect()).map(Some)
    }

    fn with_key(key: &[u8], hides_all: bool, public: BTreeSet<String>) -> Result<Self> {
        let mac = Hmac::new_from_slice(key).map_err(|error| Error::Usage(format!("{KEY_FILE}: {error}")))?;
        Ok(Self { mac, hides_all, public })
    }

    fn digest(&self, role: &str, text: &str) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(role.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn code(&self, role: &str, text: &str) -> String {
        let digest = self.digest(role, text);
        let letter = |byte: &u8| LETTERS.get(usize::from(byte & 31)).copied().map_or('a', char::from);
        digest.iter().take(LENGTH).map(letter).collect()
    }

    /// A mail address, or a bare local name.
    fn address(&self, text: &str) -> String {
        let (local, domain) = match text.rsplit_once('@') {
            Some((local, domain)) => (local, domain.to_ascii_lowercase()),
            None => (text, String::new()),
        };
        if text.is_empty() || text == "<>" || local.is_empty() {
            return text.to_string();
        }
        let code = self.code("address", &format!("{local}@{domain}"));
        match (domain.is_empty(), self.hides_all) {
            (true, _) => format!("p-{code}"),
            (false, false) => format!("p-{code}@{domain}"),
            (false, true) => format!("p-{code}@{}", self.domain(&domain)),
        }
    }

    /// A domain or host name; those of providers and DNS lists stay.
    fn domain(&self, text: &str) -> String {
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        let mut rest = lower.as_str();
        while !rest.is_empty() {
            if self.public.contains(rest) {
                // What stands before it may be the name of a customer.
                return rest.to_string();
            }
            rest = rest.split_once('.').map_or("", |(_, parent)| parent);
        }
        if lower.is_empty() { lower } else { format!("d-{}.invalid", self.code("domain", &lower)) }
    }

    /// An address of fd00::/8 (RFC 4193): those of one /24 or /48 are in one /48.
    fn ip(&self, ip: IpAddr) -> IpAddr {
        let [a, b, c, d, e, ..] = self.digest("network", &network(ip).to_string());
        let [f, g, h, i, j, k, l, m, n, o, ..] = self.digest("ip", &ip.to_string());
        IpAddr::V6(Ipv6Addr::from([0xFD, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]))
    }

    /// Any other name: a login without a domain, a host, a file.
    fn name(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { format!("n-{}", self.code("name", text)) }
    }

    /// Who is responsible, whatever kind of name that is.
    fn identity(&self, text: &str) -> String {
        match text.parse::<IpAddr>() {
            Ok(ip) => self.ip(ip).to_string(),
            Err(_) if text.contains('@') => self.address(text),
            Err(_) => self.name(text),
        }
    }

    /// A text with the addresses in it hidden, but for those that are known not to be secret; with `all`, host names and
    /// network addresses, too.
    fn text(&self, text: &str, known: &Known<'_>) -> String {
        let mut out = String::with_capacity(text.len() + 32);
        let mut text = Cow::Borrowed(text);
        for (name, hidden) in known.hidden.iter().filter(|(name, _)| !name.contains('@') && !name.chars().all(is_word))
        {
            text = text.replace(name, hidden).into();
        }
        let mut rest = &*text;
        while let Some(address) = first_address(rest) {
            let (before, found, after) = address;
            self.words(before, known, &mut out);
            let plain = found.replace("%40", "@");
            if known.kept.contains(plain.as_str()) {
                out.push_str(found);
            } else {
                out.push_str(&self.address(&plain));
            }
            rest = after;
        }
        self.words(rest, known, &mut out);
        out
    }

    /// Single words of a text without addresses.
    fn words(&self, text: &str, known: &Known<'_>, out: &mut String) {
        let mut rest = text;
        while let Some(start) = rest.find(is_word) {
            let (before, tail) = rest.split_at(start);
            out.push_str(before);
            let (word, after) = tail.split_at(tail.find(|c| !is_word(c)).unwrap_or(tail.len()));
            out.push_str(&self.word(word, known));
            rest = after;
        }
        out.push_str(rest);
    }

    fn word<'a>(&self, word: &'a str, known: &Known<'_>) -> Cow<'a, str> {
        let bare = word.trim_end_matches(['.', ':', '/', '-']);
        let tail = word.get(bare.len()..).unwrap_or_default();
        if let Some(hidden) = known.hidden.get(bare) {
            return format!("{hidden}{tail}").into();
        }
        if !self.hides_all || known.kept.contains(bare) {
            return word.into();
        }
        // An address with the port or the length of its prefix behind it.
        let (host, port) = match bare.rsplit_once([':', '/']) {
            Some((host, port)) if bare.parse::<IpAddr>().is_err() => (host, bare.get(host.len()..).unwrap_or(port)),
            _ => (bare, ""),
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return format!("{}{port}{tail}", self.ip(ip)).into();
        }
        let parts = bare.split_inclusive([':', '/']);
        let hidden: String = parts
            .map(|part| {
                let name = part.trim_end_matches([':', '/']);
                let end = part.get(name.len()..).unwrap_or_default();
                if is_host(name) { format!("{}{end}", self.domain(name)) } else { part.to_string() }
            })
            .collect();
        format!("{hidden}{tail}").into()
    }

    /// A cell of the events table. `known` are the words of its row.
    fn event_cell(&self, column: &str, cell: &mut Cell, known: &Known<'_>) {
        let all = self.hides_all;
        match cell {
            Cell::Text(text) => match column {
                "recipient" | "orig_recipient" => *text = self.address(text),
                "response" | "message" | "why" => *text = self.text(text, known),
                // The sender's own words, which may name anybody.
                "subject" => *text = "(hidden)".to_string(),
                "envelope_sender" if all => *text = self.address(text),
                "identity" | "sasl_username" | "uid" | "client_ip" | "relay_ip" if all => *text = self.identity(text),
                "host" | "message_id" | "source" | "cwd" if all => *text = self.name(text),
                "client_name" | "helo" | "relay_host" if all => {
                    *text = if text == "unknown" { text.clone() } else { self.host(text) }
                }
                _ => {}
            },
            Cell::List(texts) => texts.iter_mut().for_each(|text| *text = self.text(text, known)),
            Cell::None | Cell::Count(_) | Cell::Real(_) | Cell::Time(_) | Cell::Json(_) => {}
        }
    }

    /// What a host calls itself: a name, or an address in brackets.
    fn host(&self, text: &str) -> String {
        let bare = text.trim_matches(['[', ']']);
        match bare.strip_prefix("IPv6:").unwrap_or(bare).parse::<IpAddr>() {
            Ok(ip) => self.ip(ip).to_string(),
            Err(_) if text.contains('@') => self.address(text),
            Err(_) if is_host(text) => self.domain(text),
            Err(_) => self.name(text),
        }
    }

    /// Hides what a row of the events table says of people; its cells are named by `columns`.
    pub fn event(&self, columns: &[super::schema::Column], row: &mut [Cell]) {
        let text_of = |name: &str| {
            let at = columns.iter().position(|column| column.name == name)?;
            match row.get(at) {
                Some(Cell::Text(text)) => Some(text.clone()),
                _ => None,
            }
        };
        let recipients: Vec<_> = ["recipient", "orig_recipient"].iter().filter_map(|name| text_of(name)).collect();
        let others: Vec<_> =
            ["identity", "sasl_username", "uid", "envelope_sender"].iter().filter_map(|name| text_of(name)).collect();
        let mut known = Known::default();
        for recipient in &recipients {
            self.hide_recipient(recipient, &mut known);
        }
        for other in &others {
            if self.hides_all {
                known.hidden.insert(other, self.identity(other));
            } else if !recipients.contains(other) {
                known.kept.insert(other);
            }
        }
        for (column, cell) in columns.iter().zip(row.iter_mut()) {
            self.event_cell(column.name, cell, &known);
        }
    }

    /// Hides people in sentences. `recipients` and `others` (logins, local users, envelope senders) are those that the
    /// sentences may name, `names` what else is hidden with `all`: hosts, files.
    pub fn sentences<'a>(
        &'a self,
        recipients: &'a [String],
        others: &'a [String],
        names: &'a [String],
    ) -> impl Fn(&str) -> String + 'a {
        let mut known = Known::default();
        // Addresses are known by their form.
        for recipient in recipients.iter().filter(|name| !name.contains('@') && !name.is_empty()) {
            self.hide_recipient(recipient, &mut known);
        }
        for other in others.iter().filter(|name| !name.is_empty()) {
            if !self.hides_all {
                known.kept.insert(other);
            } else if !other.contains('@') {
                known.hidden.insert(other, self.identity(other));
            }
        }
        if self.hides_all {
            known
                .hidden
                .extend(names.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), self.name(name))));
        }
        move |text| self.text(text, &known)
    }

    /// True where everybody is hidden, not recipients alone.
    pub const fn hides_all(&self) -> bool {
        self.hides_all
    }

    /// A recipient's name, with and without its domain, is no word for others.
    fn hide_recipient<'a>(&self, recipient: &'a str, known: &mut Known<'a>) {
        let hidden = self.address(recipient);
        if let Some((local, _)) = recipient.rsplit_once('@') {
            let bare = hidden.split('@').next().unwrap_or_default();
            known.hidden.insert(local, bare.to_string());
        }
        known.hidden.insert(recipient, hidden);
    }

    /// Hides people in all that reports are made from.
    pub fn hide(&self, judged: &mut [Judged], hosts: &mut HostNames, around: &mut Around, summary: &mut Summary) {
        for Judged { profile, findings } in judged.iter_mut() {
            self.hide_findings(profile, findings);
            self.hide_profile(profile);
        }
        around.receivers = std::mem::take(&mut around.receivers)
            .into_iter()
            .map(|((host, name), mut receiver)| {
                for (_, example) in receiver.example.iter_mut().chain(&mut receiver.listed_example) {
                    *example = self.text(&printable(example), &Known::default()).into_bytes().into();
                }
                (
                    (host, if self.hides_all { self.domain(&printable(&name)).into_bytes().into() } else { name }),
                    receiver,
                )
            })
            .collect();
        self.hide_summary(summary);
        if self.hides_all {
            for name in &mut hosts.0 {
                *name = self.name(&printable(name)).into_bytes().into();
            }
            // The order of their true names would tell of them.
            judged.sort_by(|a, b| (a.profile.kind, &a.profile.name).cmp(&(b.profile.kind, &b.profile.name)));
        }
    }

    fn hide_profile(&self, profile: &mut SenderProfile) {
        let own = printable(&profile.name).into_owned();
        let senders: Vec<String> = profile.senders().iter().map(|one| printable(&one.address).into_owned()).collect();
        for reason in profile.reasons.values_mut() {
            let recipient = printable(&reason.example_recipient).into_owned();
            let mut known = Known::default();
            if self.hides_all {
                known.hidden.insert(&own, self.identity(&own));
            } else {
                known.kept.extend(senders.iter().map(String::as_str).chain([own.as_str()]));
                known.kept.remove(recipient.as_str());
            }
            self.hide_recipient(&recipient, &mut known);
            known.hidden.remove("");
            reason.example = self.text(&printable(&reason.example), &known).into_bytes().into();
        }
        if self.hides_all {
            profile.name = self.identity(&own).into_bytes().into();
            profile.client_ips = profile.client_ips.iter().map(|ip| self.ip(*ip)).collect();
            profile.receivers.rename(|name| self.domain(&printable(name)).into_bytes().into());
        }
    }

    fn hide_findings(&self, profile: &SenderProfile, findings: &mut [Finding]) {
        let own = printable(&profile.name).into_owned();
        let senders: Vec<String> = profile.senders().iter().map(|one| printable(&one.address).into_owned()).collect();
        for finding in findings {
            let mut names = Vec::new();
            named(finding.kind, "", &finding.evidence, &mut names);
            let mut known = Known::default();
            if self.hides_all {
                known.hidden.insert(&own, self.identity(&own));
            } else {
                known.kept.extend(senders.iter().map(String::as_str).chain([own.as_str()]));
            }
            for (role, name) in &names {
                match role {
                    Role::Recipient => {
                        known.kept.remove(name.as_str());
                        self.hide_recipient(name, &mut known);
                    }
                    Role::Sample if known.kept.contains(name.as_str()) => {}
                    Role::Sample => self.hide_recipient(name, &mut known),
                    Role::Identity if self.hides_all => _ = known.hidden.insert(name, self.identity(name)),
                    Role::Path if self.hides_all => _ = known.hidden.insert(name, self.name(name)),
                    Role::Identity | Role::Path => _ = known.kept.insert(name),
                }
            }
            known.hidden.remove("");
            finding.explanation = self.text(&finding.explanation, &known);
            finding.next_step = self.text(&finding.next_step, &known);
            finding.evidence = self.value(&finding.evidence, &known);
        }
    }

    fn value(&self, value: &Value, known: &Known<'_>) -> Value {
        match value {
            Value::String(text) => match known.hidden.get(text.as_str()) {
                Some(hidden) => hidden.clone().into(),
                None => self.text(text, known).into(),
            },
            Value::Array(list) => list.iter().map(|one| self.value(one, known)).collect(),
            Value::Object(fields) => {
                let hidden = |(key, field): (&String, &Value)| (key.clone(), self.value(field, known));
                Value::Object(fields.iter().map(hidden).collect())
            }
            other => other.clone(),
        }
    }

    fn hide_summary(&self, summary: &mut Summary) {
        // Lines that nobody understood may say anything about anybody.
        for shapes in [&mut summary.lines.unknown_shapes, &mut summary.lines.unframed_shapes, &mut summary.unclassified]
        {
            shapes.forget_texts();
        }
        for (entry, _) in &mut summary.allowed {
            entry.why = self.text(&entry.why, &Known::default());
            if self.hides_all {
                entry.identity = self.identity(&entry.identity);
            }
        }
        if !self.hides_all {
            return;
        }
        let files = summary.inputs.iter_mut().flat_map(|input| [&mut input.name, &mut input.log]);
        let files = files.chain(summary.problems.iter_mut().map(|problem| &mut problem.source));
        for name in files.chain(summary.passed_over.iter_mut().map(|(name, _)| name)) {
            *name = self.name(name);
        }
    }
}

/// What a text in the evidence of a finding names.
#[derive(Clone, Copy)]
enum Role {
    Recipient,
    /// A recipient, unless it is one of the identity's own envelope senders.
    Sample,
    Identity,
    Path,
}

/// Names in the evidence, by the keys that they stand under.
fn named(kind: &str, key: &str, value: &Value, names: &mut Vec<(Role, String)>) {
    let role = match key {
        "samples" if kind == "password-guessing" => Some(Role::Identity),
        "recipient" | "to" | "phones" | "recipients" => Some(Role::Recipient),
        "samples" | "unknown_samples" => Some(Role::Sample),
        "identity" | "login" | "logins" | "logins_in_the_same_networks" | "succeeded" => Some(Role::Identity),
        "directory" | "directories" => Some(Role::Path),
        _ => None,
    };
    match value {
        Value::String(text) => names.extend(role.map(|role| (role, text.clone()))),
        Value::Array(list) => list.iter().for_each(|one| named(kind, key, one, names)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| named(kind, key, field, names)),
        _ => {}
    }
}

/// The first mail address in a text, with what stands before and after it; `@` may be written as `%40`.
fn first_address(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.find('@').into_iter().chain(text.find("%40")).min()?;
    let sign = if text.get(at..)?.starts_with('@') { 1 } else { 3 };
    let (before, after) = (text.get(..at)?, text.get(at + sign..)?);
    let start = match before.strip_suffix('"') {
        Some(quoted) => quoted.rfind('"').unwrap_or(0),
        None => {
            let is_local = |c: char| {
                !c.is_whitespace() && !matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '@')
            };
            before
                .rfind(|c| !is_local(c))
                .map_or(0, |end| end + before.get(end..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8))
        }
    };
    let is_domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\');
    let end = match after.strip_prefix('[') {
        Some(literal) => literal.find(']').map_or(after.len(), |end| end + 2),
        None => after.find(|c| !is_domain(c)).unwrap_or(after.len()),
    };
    // A full stop behind it ends the sentence.
    let end = after.get(..end)?.trim_end_matches('.').len();
    Some((text.get(..start)?, text.get(start..at + sign + end)?, after.get(end..)?))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | ':' | '/')
}

/// True for what reads as a host name: labels, the last one of letters.
fn is_host(text: &str) -> bool {
    let mut labels = text.rsplit('.');
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let is_top =
        |label: &str| label.chars().count() >= 2 && label.chars().all(char::is_alphabetic) || label.starts_with("xn--");
    text.contains('.') && labels.next().is_some_and(is_top) && labels.all(is_label)
}

/// The key of a state directory, made where there is none.
fn key(state: &Path, path: &Path) -> io::Result<Vec<u8>> {
    match read_key(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // Whole or not at all, and never over the key of a run beside this one.
    let aside = state.join(format!(".{KEY_FILE}-{}", std::process::id()));
    _ = fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked = writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&aside, path));
    _ = fs::remove_file(&aside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read_key(path),
    }
}

fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    let text = fs::read_to_string(path)?;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read it; make it the owner's alone (chmod 600)"));
    }
    let digits = text.trim();
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let key: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    key.filter(|key| key.len() >= KEY_BYTES).ok_or_else(|| io::Error::other("it holds no key of 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms(hides_all: bool) -> Pseudonyms {
        let public = BTreeSet::from(["google.com".to_string(), "gmail.com".to_string()]);
        Pseudonyms::with_key(b"a key", hides_all, public).unwrap()
    }

    #[test]
    fn addresses_in_texts_are_found() {
        for (text, expected) in [
            ("550 <bob@b.example>: no", Some("bob@b.example")),
            ("no bob@b.example.", Some("bob@b.example")),
            ("x \"bob b\"@b.example y", Some("\"bob b\"@b.example")),
            ("see https://b.example/?a=bob%40b.example&c", Some("//b.example/?a=bob%40b.example")),
            ("mailto:bob@[192.0.2.1] y", Some("bob@[192.0.2.1]")),
            ("nothing", None),
        ] {
            assert_eq!(first_address(text).map(|(_, found, _)| found), expected, "{text}");
        }
    }

    #[test]
    fn the_same_one_gets_the_same_pseudonym_everywhere() {
        let (some, all) = (pseudonyms(false), pseudonyms(true));
        let bob = some.address("bob@b.example");
        assert!(bob.starts_with("p-") && bob.ends_with("@b.example") && bob.len() == 2 + LENGTH + 10, "{bob}");
        assert_eq!(
            some.text("to <bob@b.example>, again bob@B.example.", &Known::default()),
            format!("to <{bob}>, again {bob}.")
        );
        let hidden = all.text("bob@b.example at 192.0.2.1:25 and mx.b.example. 5.7.1 v1.2", &Known::default());
        let ip = all.ip("192.0.2.1".parse().unwrap());
        let expected =
            format!("{} at {ip}:25 and {}. 5.7.1 v1.2", all.address("bob@b.example"), all.domain("mx.b.example"));
        assert_eq!(hidden, expected);
        assert!(!hidden.contains("bob") && !hidden.contains("example") && !hidden.contains("192.0"));
        assert_eq!(all.domain("bob-example.mx.google.com"), "google.com");
        assert_ne!(
            all.address("bob@b.example"),
            Pseudonyms::with_key(b"b", true, BTreeSet::new()).unwrap().address("bob@b.example")
        );
    }

    #[test]
    fn networks_stay_networks() {
        let all = pseudonyms(true);
        let of = |text: &str| network(all.ip(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("198.51.100.1"));
        assert_ne!(all.ip("192.0.2.1".parse().unwrap()), all.ip("192.0.2.9".parse().unwrap()));
    }

    #[test]
    fn a_bare_recipient_is_hidden_where_it_is_a_word() {
        let some = pseudonyms(false);
        let mut known = Known::default();
        some.hide_recipient("dora", &mut known);
        let hidden = some.text("unknown user: \"dora\" (pandora)", &known);
        assert_eq!(hidden, format!("unknown user: \"{}\" (pandora)", some.address("dora")));
    }

    #[test]
    fn the_key_is_made_once_and_nobody_elses() {
        let state = std::env::temp_dir().join(format!("mailsleuth-key-{}", std::process::id()));
        let path = state.join(KEY_FILE);
        let made = key(&state, &path).unwrap();
        assert_eq!((made.len(), key(&state, &path).unwrap()), (KEY_BYTES, made));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(key(&state, &path).unwrap_err().to_string().contains("chmod 600"));
        fs::remove_dir_all(&state).unwrap();
    }
}
