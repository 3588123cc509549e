//! Keyed pseudonyms for reports that leave the house (`--privacy`): the same person gets the same one in every report made
//! with the same key, and without the key nobody can tell who it is, or whether it is somebody they think of.
//!
//! What is hidden is hidden in the data that all tables, texts and pages are made from, so that no form of a report can
//! forget it. A pseudonym is made from HMAC-SHA-256 (RFC 2104) over what it stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::names::{self, Found, Known, Name, Scope, host_before, is_host, is_nobody};
use super::summary::Summary;
use super::tables::Cell;
use super::text::Hide;
use super::{HostNames, Judged};
use crate::aggregate::{Around, Example, SenderProfile};
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

/// Names that providers and DNS lists give to hosts of their own: no customer is called so.
const OFFICES: &[&str] = &[
    "aspmx",
    "check",
    "help",
    "ipcheck",
    "lookup",
    "mail",
    "mx",
    "postmaster",
    "query",
    "sender",
    "senders",
    "smtp",
    "support",
    "www",
];

/// What stands for a text that may say anything about anybody.
const LEFT_OUT: &str = "(hidden)";

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
        let zones = classifier.lists().iter().flat_map(|list| list.zones().iter().cloned());
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
        let Some((local, domain)) = text.rsplit_once('@') else {
            return if text == "<>" { text.to_string() } else { self.name(text) };
        };
        if local.is_empty() {
            return text.to_string();
        }
        let domain = domain.to_lowercase();
        let plain = unquoted(local).map_or_else(|| local.to_lowercase(), |local| local.to_lowercase());
        let code = self.code("address", &format!("{plain}@{domain}"));
        if self.hides_all { format!("p-{code}@{}", self.domain(&domain)) } else { format!("p-{code}@{domain}") }
    }

    /// The part of a host's name that everybody knows: what stands before it may be the name of a customer.
    fn public_part<'a>(&self, lower: &'a str) -> Option<&'a str> {
        let parents = std::iter::successors(Some(lower), |name| name.split_once('.').map(|(_, parent)| parent));
        let mut whole = lower;
        for parent in parents {
            if self.public.contains(parent) {
                let label = whole.strip_suffix(parent).and_then(|label| label.strip_suffix('.'));
                return Some(if label.is_some_and(|label| OFFICES.contains(&label)) { whole } else { parent });
            }
            whole = parent;
        }
        None
    }

    /// A domain or host name; those of providers and DNS lists stay.
    fn domain(&self, text: &str) -> String {
        let lower = text.trim_end_matches('.').to_lowercase();
        match self.public_part(&lower) {
            Some(public) => public.to_string(),
            None if lower.is_empty() => lower,
            None => format!("d-{}.invalid", self.code("domain", &lower)),
        }
    }

    /// An address of fd00::/8 (RFC 4193): those of one /24 or /48 are in one /48, and a network stays one.
    fn ip(&self, ip: IpAddr) -> IpAddr {
        let ip = ip.to_canonical();
        let [a, b, c, d, e, ..] = self.digest("network", &network(ip).to_string());
        let [f, g, h, i, j, k, l, m, n, o, ..] =
            if network(ip) == ip { [0; 32] } else { self.digest("ip", &ip.to_string()) };
        IpAddr::V6(Ipv6Addr::from([0xFD, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]))
    }

    /// Any other name, in any letter case: a login or recipient without a domain, a host, a file.
    pub fn name(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { format!("n-{}", self.code("name", &text.to_lowercase())) }
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
        let scope = if self.hides_all { Scope::All } else { Scope::Addresses };
        self.without(text, known, scope)
    }

    /// A text without the names of this scope.
    fn without(&self, text: &str, known: &Known<'_>, scope: Scope) -> String {
        let mut out = String::with_capacity(text.len() + 32);
        let mut done = 0;
        for Found { at, name } in
            names::find(text, known, scope, |host| self.public_part(&host.to_lowercase()).is_some())
        {
            out.push_str(text.get(done..at.start).unwrap_or_default());
            done = at.end;
            match name {
                Name::Address(plain) if known.keeps(&plain) => out.push_str(&self.sender(&plain, known)),
                Name::Address(plain) => out.push_str(&self.address(&plain)),
                Name::Ip(ip) => {
                    out.push_str(&self.ip(ip).to_string());
                    // As large a network as it is one of.
                    if let Some(after) = text.get(done..).and_then(|rest| rest.strip_prefix("/24"))
                        && ip.to_canonical().is_ipv4()
                        && !after.starts_with(|c: char| c.is_ascii_digit())
                    {
                        out.push_str("/48");
                        done += 3;
                    }
                }
                Name::Host(host) => out.push_str(&self.domain(host)),
                Name::Quoted(name) => out.push_str(&self.host(name)),
                Name::Known(pseudonym) => out.push_str(pseudonym),
            }
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    /// An envelope sender or login whose name stays: but the recipient that a mailing list has written into it
    /// (VERP: `list+bob=b.example@lists.example`) is hidden, a known one in any form.
    fn sender(&self, text: &str, known: &Known<'_>) -> String {
        if self.hides_all {
            return self.address(text);
        }
        let Some((local, domain)) = text.rsplit_once('@') else { return text.to_string() };
        let mut local = local.to_string();
        if let Some((at, of)) = addressed(&local) {
            let who = local.get(at.clone()).unwrap_or_default();
            let code = self.address(&format!("{who}@{of}"));
            local.replace_range(at, code.split_once('@').map_or(code.as_str(), |(code, _)| code));
        }
        if let Some((at, code)) = known.mailed_in(&local) {
            local.replace_range(at, code);
        }
        format!("{local}@{domain}")
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
                "envelope_sender" => *text = self.sender(text, known),
                "identity" | "sasl_username" if !all => *text = self.sender(text, known),
                "identity" | "sasl_username" | "uid" | "client_ip" | "relay_ip" if all => *text = self.identity(text),
                "host" | "message_id" | "source" | "cwd" if all => *text = self.name(text),
                "message_id" => *text = self.without(text, known, Scope::Known),
                "client_name" | "helo" | "relay_host" if all && !is_nobody(text) => *text = self.host(text),
                _ => {}
            },
            Cell::List(texts) => texts.iter_mut().for_each(|text| *text = self.text(text, known)),
            Cell::None
            | Cell::Count(_)
            | Cell::Real(_)
            | Cell::Time(_)
            | Cell::Json(_)
            | Cell::Counts(_)
            | Cell::Bytes(_) => {}
        }
    }

    /// What a host calls itself: a name, or an address in brackets.
    fn host(&self, text: &str) -> String {
        let bare = text.trim_matches(['[', ']']);
        match bare.strip_prefix("IPv6:").unwrap_or(bare).parse::<IpAddr>() {
            Ok(ip) => self.ip(ip).to_string(),
            Err(_) if text.contains('@') => self.address(text),
            Err(_) if is_host(text.strip_suffix('.').unwrap_or(text)) => self.domain(text),
            Err(_) => self.name(text),
        }
    }

    /// Hides what a row of the events table says of people; its cells are named by `columns`.
    pub fn event(&self, columns: &[super::schema::Column], row: &mut [Cell]) {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        self.row(&names, row);
    }

    /// The same of cells that have the names of columns.
    fn row(&self, columns: &[&str], row: &mut [Cell]) {
        let texts = |names: &[&str]| -> Vec<String> {
            let cells = columns.iter().zip(row.iter()).filter(|(column, _)| names.contains(column));
            cells.filter_map(|(_, cell)| if let Cell::Text(text) = cell { Some(text.clone()) } else { None }).collect()
        };
        let recipients = texts(&["recipient", "orig_recipient"]);
        let mut known = Known::default();
        if self.hides_all {
            for host in texts(&["host"]) {
                known.hide(&host, self.name(&host));
            }
            texts(&["client_name", "helo", "relay_host"]).iter().for_each(|host| self.hide_host(host, &mut known));
            texts(&["dnsbl"]).iter().for_each(|list| known.keep(list));
        }
        self.hide_people(&recipients, &texts(&["identity", "sasl_username", "uid", "envelope_sender"]), &mut known);
        for (column, cell) in columns.iter().zip(row.iter_mut()) {
            self.event_cell(column, cell, &known);
        }
    }

    /// Hides people in sentences. `recipients` and `others` (logins, local users, envelope senders) are those that the
    /// sentences may name, `names` what else is hidden with `all`: hosts, files.
    pub fn sentences(&self, recipients: &[String], others: &[String], names: &[String]) -> Sentences<'_> {
        let mut known = Known::default();
        for recipient in recipients.iter().filter(|name| !name.is_empty()) {
            if !has_form(recipient) {
                self.hide_recipient(recipient, &mut known);
            } else if !self.hides_all {
                mailed(recipient, &self.address(recipient), &mut known);
            }
        }
        for other in others.iter().filter(|name| !name.is_empty()) {
            if !self.hides_all {
                known.keep(other);
            } else if !has_form(other) {
                self.hide_identity(other, &mut known);
            }
        }
        if self.hides_all {
            names.iter().filter(|name| !name.is_empty()).for_each(|name| known.hide(name, self.name(name)));
        }
        Sentences { pseudonyms: self, known }
    }

    /// True where everybody is hidden, not recipients alone.
    pub const fn hides_all(&self) -> bool {
        self.hides_all
    }

    /// A recipient's name, with and without its domain, is no word for others; nor is what stands before its tag
    /// (`kim+shop`, `kim-shop`).
    fn hide_recipient(&self, recipient: &str, known: &mut Known<'_>) {
        self.hide_base(recipient, &['+', '-'], known);
        let pseudonym = self.address(recipient);
        mailed(recipient, &pseudonym, known);
        self.hide_as(recipient, pseudonym, known);
    }

    fn hide_identity(&self, name: &str, known: &mut Known<'_>) {
        self.hide_base(name, &['+'], known);
        self.hide_as(name, self.identity(name), known);
    }

    /// The name of a mailbox that others reach by a name with a tag.
    fn hide_base(&self, name: &str, signs: &[char], known: &mut Known<'_>) {
        let (local, domain) = name.rsplit_once('@').map_or((name, None), |(local, domain)| (local, Some(domain)));
        let plain = unquoted(local);
        let local = plain.as_deref().unwrap_or(local);
        for sign in signs {
            // The first word of `e-mail` and `x-ray` is nobody's name.
            let shortest = if *sign == '-' { 3 } else { 1 };
            let base = local.split_once(*sign).map(|(base, _)| base);
            let Some(base) = base.filter(|base| base.chars().count() >= shortest) else { continue };
            let code = match domain.map(|domain| format!("{base}@{domain}")) {
                None => self.name(base),
                Some(address) => {
                    let pseudonym = self.address(&address);
                    mailed(&address, &pseudonym, known);
                    pseudonym.split_once('@').map_or(pseudonym.as_str(), |(code, _)| code).to_string()
                }
            };
            known.hide(base, code);
        }
    }

    /// Hides the people of a row from the words of its texts: `others` stay, unless all are hidden.
    fn hide_people(&self, recipients: &[String], others: &[String], known: &mut Known<'_>) {
        recipients.iter().for_each(|recipient| self.hide_recipient(recipient, known));
        for other in others {
            if self.hides_all {
                self.hide_identity(other, known);
            } else if !recipients.contains(other) {
                known.keep(other);
            }
        }
    }

    fn hide_host(&self, host: &str, known: &mut Known<'_>) {
        if !is_nobody(host) {
            known.hide(host, self.host(host));
        }
    }

    /// Hides all that the row of an answer names.
    fn hide_row(&self, example: &Example, known: &mut Known<'_>) {
        let row = example.names();
        let texts = |names: &[&[u8]]| -> Vec<String> {
            names.iter().filter(|name| !name.is_empty()).map(|name| printable(name).into_owned()).collect()
        };
        if self.hides_all {
            texts(&row.hosts).iter().for_each(|host| self.hide_host(host, known));
        }
        self.hide_people(&texts(&row.recipients), &texts(&row.others), known);
    }

    /// An answer as everybody may see it.
    fn answer(&self, example: &mut Example, known: &Known<'_>) {
        let mut known = Known::beside(known);
        self.hide_row(example, &mut known);
        *example = example.told(&self.text(&printable(example), &known));
    }

    fn hide_as(&self, name: &str, pseudonym: String, known: &mut Known<'_>) {
        if let (Some((local, domain)), Some((code, _))) = (name.rsplit_once('@'), pseudonym.rsplit_once('@')) {
            known.hide(local, code.to_string());
            if let Some(plain) = unquoted(local) {
                known.hide(&plain, code.to_string());
                known.hide(&format!("{plain}@{domain}"), pseudonym.clone());
            }
        }
        known.hide(name, pseudonym);
    }

    /// Hides people in all that reports are made from.
    pub fn hide(&self, judged: &mut [Judged], hosts: &mut HostNames, around: &mut Around, summary: &mut Summary) {
        let mut known = Known::default();
        if self.hides_all {
            for host in &hosts.0 {
                let host = printable(host);
                known.hide(&host, self.name(&host));
            }
        }
        let mut answers = Answers::new();
        for (_, receiver) in &around.receivers {
            for (_, example) in receiver.example.iter().chain(&receiver.listed_example) {
                answers.entry(printable(example).into_owned()).or_default().insert(example.clone());
            }
        }
        for Judged { profile, findings } in judged.iter_mut() {
            let known = self.known_of(profile, &known);
            let mut own = Answers::new();
            for example in profile.unauthorized.values().map(|one| &one.example) {
                own.entry(printable(example).into_owned()).or_default().insert(example.clone());
            }
            self.hide_findings(findings, &known, &[&answers, &own]);
            self.hide_profile(profile, &known);
        }
        around.receivers = std::mem::take(&mut around.receivers)
            .into_iter()
            .map(|((host, name), mut receiver)| {
                for (_, example) in receiver.example.iter_mut().chain(&mut receiver.listed_example) {
                    self.answer(example, &known);
                }
                (
                    (host, if self.hides_all { self.domain(&printable(&name)).into_bytes().into() } else { name }),
                    receiver,
                )
            })
            .collect();
        self.hide_summary(summary);
        // The order of their true names would tell of them.
        judged.sort_by(|a, b| (a.profile.kind, &a.profile.name).cmp(&(b.profile.kind, &b.profile.name)));
        if self.hides_all {
            for name in &mut hosts.0 {
                *name = self.name(&printable(name)).into_bytes().into();
            }
        }
    }

    /// What the texts about an identity name beside what all texts may.
    fn known_of<'a>(&self, profile: &SenderProfile, beside: &'a Known<'a>) -> Known<'a> {
        let own = printable(&profile.name);
        let mut known = Known::beside(beside);
        if self.hides_all {
            self.hide_identity(&own, &mut known);
        } else {
            profile.senders().iter().for_each(|one| known.keep(&printable(&one.address)));
            known.keep(&own);
        }
        known
    }

    fn hide_profile(&self, profile: &mut SenderProfile, known: &Known<'_>) {
        for reason in profile.reasons.values_mut() {
            let mut known = Known::beside(known);
            if let Some(list) = reason.dnsbl() {
                known.keep(list);
            }
            self.answer(&mut reason.example, &known);
        }
        let own = printable(&profile.name).into_owned();
        if self.hides_all {
            profile.name = self.identity(&own).into_bytes().into();
            profile.client_ips = profile.client_ips.iter().map(|ip| self.ip(*ip)).collect();
            profile.receivers.rename(|name| self.domain(&printable(name)).into_bytes().into());
        } else {
            profile.name = self.sender(&own, known).into_bytes().into();
        }
    }

    /// `answers` are what examples in their evidence may be.
    fn hide_findings(&self, findings: &mut [Finding], beside: &Known<'_>, answers: &[&Answers]) {
        for finding in findings {
            let mut names = Vec::new();
            named(finding.kind, "", &finding.evidence, &mut names);
            let mut known = Known::beside(beside);
            for (role, name) in &names {
                match role {
                    Role::Answer => {
                        let rows = answers.iter().filter_map(|answers| answers.get(name)).flatten();
                        rows.for_each(|example| self.hide_row(example, &mut known));
                    }
                    Role::Recipient => self.hide_recipient(name, &mut known),
                    Role::Sample if beside.keeps(name) => {}
                    Role::Sample => self.hide_recipient(name, &mut known),
                    Role::Identity if self.hides_all => self.hide_identity(name, &mut known),
                    Role::Path if self.hides_all => known.hide(name, self.name(name)),
                    Role::Identity | Role::Path => known.keep(name),
                }
            }
            if self.hides_all {
                finding.client_ips = finding.client_ips.iter().map(|ip| self.ip(*ip)).collect();
            }
            finding.explanation = self.text(&finding.explanation, &known);
            finding.next_step = self.text(&finding.next_step, &known);
            finding.evidence = self.value(&finding.evidence, &known);
        }
    }

    fn value(&self, value: &Value, known: &Known<'_>) -> Value {
        match value {
            Value::String(text) => match known.pseudonym(text) {
                Some(pseudonym) => pseudonym.into(),
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
        let nobody = Known::default();
        for (entry, _) in &mut summary.allowed {
            if self.hides_all {
                entry.why = LEFT_OUT.into();
                entry.identity = self.identity(&entry.identity);
            } else {
                entry.why = self.text(&entry.why, &nobody);
            }
        }
        for (option, value) in &mut summary.filter {
            *value = match *option {
                "recipient" | "sender" if self.hides_all && !value.contains('@') => self.domain(value),
                "recipient" => self.address(value),
                "identity" if self.hides_all => self.identity(value),
                "identity" | "sender" => self.sender(value, &nobody),
                "host" if self.hides_all => self.name(value),
                "client" => self.text(value, &nobody),
                _ => continue,
            };
        }
        if !self.hides_all {
            return;
        }
        let mut files = Known::default();
        for input in &mut summary.inputs {
            files.hide(&input.name, self.name(&input.name));
            input.name = self.name(&input.name);
            input.log = self.name(&input.log);
        }
        for problem in &mut summary.problems {
            problem.what = self.text(&problem.what, &files);
            problem.source = self.name(&problem.source);
        }
        for (name, why) in &mut summary.passed_over {
            *name = self.name(name);
            *why = self.text(why, &files);
        }
        for database in summary.places.as_array_mut().into_iter().flatten() {
            if let Some(file) = database.get_mut("file") {
                *file = self.name(file.as_str().unwrap_or_default()).into();
            }
        }
    }
}

/// Answers by how they are shown.
type Answers = BTreeMap<String, BTreeSet<Example>>;

/// Hides people in what tells of a search.
pub struct Sentences<'a> {
    pseudonyms: &'a Pseudonyms,
    known: Known<'a>,
}

impl Hide for Sentences<'_> {
    fn sentence(&self, text: &str) -> String {
        self.pseudonyms.text(text, &self.known)
    }

    fn row(&self, columns: &[&str], row: &mut [Cell]) {
        self.pseudonyms.row(columns, row);
    }
}

/// Hides a recipient in the envelope senders of mailing lists.
fn mailed(recipient: &str, pseudonym: &str, known: &mut Known<'_>) {
    if let (Some((local, domain)), Some((code, _))) = (recipient.rsplit_once('@'), pseudonym.rsplit_once('@')) {
        known.mail(local, domain, code);
    }
}

/// A local part without its quotes and the backslashes in them (RFC 5321 section 4.1.2); `None` where it has none.
fn unquoted(local: &str) -> Option<String> {
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or(character) } else { character });
    }
    Some(plain)
}

/// The name and the domain of the recipient that the local part of a mailing list's envelope sender ends with, but for the
/// number of a message: `list+bob=b.example`, `list+bob=b.example-17`, `owner-list*bob**b.example`. The name is what stands
/// behind the last `+` or `*`.
fn addressed(local: &str) -> Option<(Range<usize>, &str)> {
    // A forwarder's: the sender's domain, and behind it the name.
    if local.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("srs")) {
        return None;
    }
    local.rmatch_indices(['=', '*']).find_map(|(at, _)| {
        let rest = local.get(at + 1..)?;
        let of = host_before(rest)?;
        let is_part = |c: char| !matches!(c, '=' | '*' | '+' | '-' | '_' | '#');
        if rest.get(of.len()..)?.starts_with(is_part) {
            return None;
        }
        let who = local.get(..at)?.trim_end_matches(['=', '*']);
        let start = who.rfind(['+', '*']).map_or(0, |sign| sign + 1);
        (start < who.len()).then_some((start..who.len(), of))
    })
}

/// True for an address that is known by its form wherever it stands: no blank, quote or bracket parts it in a sentence.
fn has_form(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '=');
    name.rsplit_once('@')
        .is_some_and(|(local, _)| local.starts_with(char::is_alphanumeric) && local.chars().all(is_plain))
}

/// What a text in the evidence of a finding names.
#[derive(Clone, Copy)]
enum Role {
    Recipient,
    /// A recipient, unless it is one of the identity's own envelope senders.
    Sample,
    Identity,
    Path,
    /// A whole answer.
    Answer,
}

/// Names in the evidence, by the keys that they stand under.
fn named(kind: &str, key: &str, value: &Value, names: &mut Vec<(Role, String)>) {
    let role = match key {
        "samples" if kind == "password-guessing" => Some(Role::Identity),
        "recipient" | "to" | "phones" | "recipients" => Some(Role::Recipient),
        "samples" | "unknown_samples" => Some(Role::Sample),
        "identity" | "identities" | "login" | "logins" | "logins_in_the_same_networks" | "succeeded" => {
            Some(Role::Identity)
        }
        "directory" | "directories" => Some(Role::Path),
        "example" => Some(Role::Answer),
        _ => None,
    };
    match value {
        Value::String(text) => names.extend(role.map(|role| (role, text.clone()))),
        Value::Array(list) => list.iter().for_each(|one| named(kind, key, one, names)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| named(kind, key, field, names)),
        _ => {}
    }
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
    use crate::aggregate::Names;

    fn pseudonyms(hides_all: bool) -> Pseudonyms {
        let public = BTreeSet::from(["google.com".to_string(), "gmail.com".to_string()]);
        Pseudonyms::with_key(b"a key", hides_all, public).unwrap()
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
        assert_eq!(all.domain("bob-example.mx.google.com"), "mx.google.com");
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
        let hidden = some.text("unknown user: \"Dora\" (pandora)", &known);
        assert_eq!(hidden, format!("unknown user: \"{}\" (pandora)", some.address("dora")));
    }

    #[test]
    fn a_name_has_one_pseudonym() {
        let all = pseudonyms(true);
        assert_eq!(all.address("Alice"), all.identity("alice"));
        assert_eq!(all.host("mx.b.example."), all.host("mx.b.example"));
        let mut row = [Cell::text("local"), Cell::text("\"jan de boer\"@b.example"), Cell::text("")];
        let said = "<jan de boer@b.example>: \"jan de boer\"@b.example, Jan de Boer; <JAN DE BOER@c.example>";
        row[2] = Cell::text(said);
        all.row(&["relay_host", "recipient", "response"], &mut row);
        let texts: Vec<_> =
            row.iter().map(|cell| if let Cell::Text(text) = cell { text.as_str() } else { "" }).collect();
        let jan = all.address("jan de boer@b.example");
        let code = jan.split('@').next().unwrap();
        let other = all.address("jan de boer@c.example");
        assert_eq!(texts, ["local", jan.as_str(), &format!("<{jan}>: {jan}, {code}; <{other}>")]);
    }

    #[test]
    fn a_list_that_names_its_recipient_is_told_without() {
        let some = pseudonyms(false);
        let code = |address: &str| some.address(address).split_once('@').unwrap().0.to_string();
        let of = |sender: &str| some.sender(sender, &Known::default());
        let bob = code("bob@b.example");
        assert_eq!(of("news+bob=b.example@l.example"), format!("news+{bob}=b.example@l.example"));
        let joined = code("l-return-17-bob@b.example");
        assert_eq!(of("l-return-17-bob=b.example@l.example"), format!("{joined}=b.example@l.example"));
        assert_eq!(of("l-bob=b.example-99@l.example"), format!("{}=b.example-99@l.example", code("l-bob@b.example")));
        assert_eq!(of("l+bob=b.example=17@l.example"), format!("l+{bob}=b.example=17@l.example"));
        assert_eq!(of("owner-l*bob**b.example@l.example"), format!("owner-l*{bob}**b.example@l.example"));
        assert_eq!(of("SRS0=x=y=b.example=al@l.example"), "SRS0=x=y=b.example=al@l.example");
        assert_eq!((of("prvs=12ab=al@l.example"), of("al")), ("prvs=12ab=al@l.example".into(), "al".into()));
        let mut known = Known::default();
        known.keep("news+bob=b.example@l.example");
        some.hide_recipient("bob@b.example", &mut known);
        let said = some.text("MAIL FROM:<news+bob=b.example@l.example> TO:<BOB@b.example>", &known);
        assert_eq!(said, format!("MAIL FROM:<news+{bob}=b.example@l.example> TO:<{bob}@b.example>"));
    }

    /// Cells of one row after hiding.
    fn hidden_row<const N: usize>(by: &Pseudonyms, cells: [(&str, &str); N]) -> [String; N] {
        let mut row = cells.map(|(_, text)| Cell::text(text));
        by.row(&cells.map(|(column, _)| column), &mut row);
        row.map(|cell| if let Cell::Text(text) = cell { text } else { String::new() })
    }

    #[test]
    fn a_list_that_names_the_recipient_of_its_row_is_told_without() {
        let some = pseudonyms(false);
        let bob = some.address("bob@b.example");
        let code = bob.split('@').next().unwrap();
        for [list, after] in [
            ["news+", "=b.example=123@l.example"],
            ["owner-news*", "**b.example@l.example"],
            ["news-", ".at.b.example@l.example"],
            ["srs0=x=b.example=", "@l.example"],
        ] {
            let sender = format!("{list}bob{after}");
            let said = format!("550 sender was {sender}");
            let row = [("recipient", "bob@b.example"), ("envelope_sender", &sender), ("response", &said)];
            let hidden = format!("{list}{code}{after}");
            assert_eq!(hidden_row(&some, row), [bob.clone(), hidden.clone(), format!("550 sender was {hidden}")]);
        }
        let row = [("recipient", "bob@b.example"), ("envelope_sender", "bob@l.example")];
        assert_eq!(hidden_row(&some, row)[1], "bob@l.example");
    }

    #[test]
    fn a_name_before_its_tag_is_hidden() {
        let some = pseudonyms(false);
        let code = |address: &str| some.address(address).split('@').next().unwrap().to_string();
        for recipient in ["kim+shop@b.example", "kim-shop@b.example", "\"kim+shop\"@b.example"] {
            let row = [("recipient", recipient), ("response", "no mailbox by the name Kim; <kim@b.example>")];
            let kim = code("kim@b.example");
            let expected = format!("no mailbox by the name {kim}; <{kim}@b.example>");
            assert_eq!(hidden_row(&some, row)[1], expected, "{recipient}");
        }
        let row = [("recipient", "kim+shop"), ("response", "no kim")];
        assert_eq!(hidden_row(&some, row)[1], format!("no {}", some.address("kim")));
    }

    #[test]
    fn an_example_is_hidden_with_all_that_its_row_names() {
        let names = Names {
            recipients: [b"info@b.example", b"mary+x@mx.b.example"],
            others: [b"al@l.example", b"login", b"web7"],
            hosts: [b"laptop", b"hello", b"smart"],
        };
        let text = "550 smart: al from laptop (hello), login login of web7, for mary";
        let hidden = |hides_all| {
            let mut example = Example::new(text.as_bytes(), names);
            pseudonyms(hides_all).answer(&mut example, &Known::default());
            assert_eq!(example.names(), Names { recipients: [b"", b""], others: [b""; 3], hosts: [b""; 3] });
            printable(&example).into_owned()
        };
        assert_eq!(
            hidden(false),
            text.replace("mary", pseudonyms(false).address("mary@mx.b.example").split('@').next().unwrap())
        );
        let all = hidden(true);
        for name in ["smart", "al", "laptop", "hello", "login", "web7", "mary"] {
            assert!(!all.split(|c: char| !c.is_alphanumeric()).any(|word| word == name), "{name} in {all}");
        }
    }

    #[test]
    fn an_answer_in_evidence_is_hidden_with_all_that_its_row_names() {
        let names = Names { recipients: [b"info@b.example", b"mary@mx.b.example"], ..Names::default() };
        let example = Example::new(b"550 for mary", names);
        let answers = Answers::from([("550 for mary".to_string(), BTreeSet::from([example]))]);
        let mut found = Vec::new();
        named(
            "reputation-damage",
            "",
            &serde_json::json!({ "receivers": [{ "example": "550 for mary" }] }),
            &mut found,
        );
        assert!(matches!(found.as_slice(), [(Role::Answer, text)] if answers.contains_key(text)));
    }

    #[test]
    fn providers_and_networks_stay_what_they_are() {
        let all = pseudonyms(true);
        let said = |text: &str| all.text(text, &Known::default());
        let network = all.ip("192.0.2.0".parse().unwrap());
        assert!(network.to_string().ends_with("::"), "{network}");
        assert_eq!(said("of 192.0.2.0/24, 192.0.2.0/240"), format!("of {network}/48, {network}/240"));
        assert_eq!(
            said("https://support.google.com/a.html, x.y.google.com"),
            "https://support.google.com/a.html, google.com"
        );
        let mapped = all.ip("192.0.2.1".parse().unwrap());
        assert_eq!(said("[IPv6:::ffff:192.0.2.1]"), format!("[{mapped}]"));
        assert_eq!(said("<WIN-1>: Helo command rejected"), format!("<{}>: Helo command rejected", all.host("WIN-1")));
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
