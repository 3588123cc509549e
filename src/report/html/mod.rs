//! `report.html`: the whole report as one page that fetches nothing, works without scripting, and holds at most 2 MiB.
//!
//! Texts of logs reach it through [`words`] and through maud, which escapes all it is given; the page's own policy
//! (Content-Security-Policy) lets nothing run or load but the one script and the one style sheet whose hashes it names.

mod chart;
mod glossary;
mod incident;
mod quality;
mod tables;
mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::privacy::Privacy;
use super::summary::Summary;
use super::{HostNames, Incident, Judged, incidents};
use crate::aggregate::Around;
use crate::classify::{Classifier, Provider};
use crate::detect::Severity;
use chart::Axis;
use words::{count, dated, many, moment, plural};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What a reader of a report with pseudonyms should know.
const HIDDEN: &str = "People have pseudonyms here (--privacy): the same one in every report made with the same key.";

/// The file's name.
pub const FILE: &str = "report.html";

/// What each part of the page may hold, in bytes: together less than 2 MiB, the rest of the page included.
mod room {
    pub const STORIES: usize = 200_000;
    pub const INCIDENTS: usize = 900_000;
    pub const SENDERS: usize = 350_000;
    pub const REASONS: usize = 150_000;
    pub const RECEIVERS: usize = 120_000;
    pub const INPUT: usize = 40_000;
}

/// The first parts, as many as fit into `room` bytes, and how many these are.
fn fitting(parts: impl Iterator<Item = Markup>, room: usize) -> (Markup, usize) {
    let mut text = String::new();
    let mut shown = 0;
    for part in parts {
        if text.len() + part.0.len() > room {
            break;
        }
        text.push_str(&part.0);
        shown += 1;
    }
    (PreEscaped(text), shown)
}

/// All that the page tells of.
pub struct Page<'a> {
    pub summary: &'a Summary,
    pub judged: &'a [Judged],
    pub hosts: &'a HostNames,
    pub around: &'a Around,
    pub classifier: &'a Classifier,
    /// How the names of the tables' files end; `None` where only this page is written.
    pub tables: Option<&'static str>,
}

/// The file's text.
pub fn page(page: &Page<'_>) -> String {
    let incidents = incidents(page.judged);
    let axis = page.axis();
    let (told, told_count) = incident::details(page, &incidents, axis);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let title = headline(&incidents);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("mailsleuth ", env!("CARGO_PKG_VERSION")));
                title { (title) " - mailsleuth" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                header.page {
                    p.brand { "mailsleuth" }
                    nav aria-label="Parts of the report" {
                        ul {
                            @for (id, name) in PARTS { li { a href=(format!("#{id}")) { (name) } } }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    (first_screen(page, &incidents, told_count, &title))
                    (traffic(page, axis))
                    @if !incidents.is_empty() {
                        section #details aria-labelledby="h-details" {
                            h2 #h-details { "Incident by incident" }
                            (told)
                        }
                    }
                    (tables::senders(page, incidents.get(..told_count).unwrap_or_default()))
                    (tables::reasons(page, axis))
                    (tables::receivers(page))
                    (quality::section(page))
                    (glossary::section(&incidents))
                }
                footer {
                    p { "Written by mailsleuth " (env!("CARGO_PKG_VERSION")) ". All times are UTC." }
                }
                p.unseen #said role="status" aria-live="polite" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// Anchors and names of the parts that one can jump to.
const PARTS: &[(&str, &str)] = &[
    ("incidents", "Incidents"),
    ("mail", "Mail"),
    ("senders", "Senders"),
    ("reasons", "Reasons"),
    ("receivers", "Providers"),
    ("input", "Input"),
    ("glossary", "Glossary"),
];

/// As a Content-Security-Policy names a script or a style sheet (CSP level 3, section 2.3.1).
fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

impl Page<'_> {
    /// The domain of who runs mail servers, with the id of the provider where it is a known one: other tables have that.
    fn organisation(&self, name: &[u8], most: usize) -> Markup {
        let provider = self.classifier.providers().running(name).map(Provider::id);
        html! { (words::log(name, most)) @if let Some(provider) = provider { span.on { " (" (provider) ")" } } }
    }

    /// The time that all pictures show: that of the logs.
    fn axis(&self) -> Axis {
        let span = self.summary.span();
        let (first, last) = span.map_or((0, 0), |(first, last)| (first.hour(), last.hour()));
        Axis::new(first, last)
    }

    /// Says how much of a table is shown, and where the rest is.
    fn rest(&self, shown: usize, all: usize, what: &str, table: &str) -> Markup {
        html! {
            @if shown < all {
                p.rest {
                    (count(shown as u64)) " of " (many(all as u64, what)) " shown"
                    @match self.tables {
                        Some(end) => { ", the rest in " code { (table) "." (end) } "." },
                        None => { "; the tables have all: " code { "--format csv" } "." },
                    }
                }
            }
        }
    }
}

/// What the reader came for, in a few words.
fn headline(incidents: &[Incident<'_>]) -> String {
    if incidents.is_empty() {
        return "No incidents".into();
    }
    let of = |severity: Severity| incidents.iter().filter(|i| i.severity() == severity).count();
    let parts: Vec<_> = Severity::ALL
        .iter()
        .rev()
        .map(|severity| (of(*severity), severity.word()))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number as u64)))
        .collect();
    format!("{}: {}", many(incidents.len() as u64, "incident"), parts.join(", "))
}

/// What was read, how sure that is, and what needs a person.
fn first_screen(page: &Page<'_>, incidents: &[Incident<'_>], told: usize, title: &str) -> Markup {
    let lines = &page.summary.lines;
    html! {
        section.first #incidents aria-labelledby="h-first" {
            div.lead {
                h1 #h-first { (title) }
                p.read {
                    (many(lines.lines, "line")) " in " (many(page.summary.inputs.len() as u64, "input"))
                    @if let Some((first, last)) = page.summary.span() { ", " (moment(first)) " to " (moment(last)) " UTC" }
                    "."
                    @if let Some(only) = page.summary.only() { " " (dated(&only)) }
                    @if page.summary.privacy != Privacy::Off { " " (HIDDEN) }
                }
            }
            div.split {
                div.stories {
                    @if incidents.is_empty() {
                        p.calm { "Nothing in these logs looks like abuse. How sure that is stands beside; what was refused, and why, below." }
                    } @else {
                        (incident::stories(page, incidents, told))
                    }
                    (allowed(page))
                }
                (quality::sure(page))
            }
        }
    }
}

/// Known senders that were not told of.
fn allowed(page: &Page<'_>) -> Markup {
    let silent: Vec<_> = page.summary.allowed.iter().filter(|(_, silenced)| *silenced > 0).collect();
    html! {
        @if !silent.is_empty() {
            details.quiet {
                summary { (many(silent.iter().map(|(_, silenced)| silenced).sum(), "finding")) " not told: known senders" }
                ul {
                    @for (entry, silenced) in silent.iter().take(100) {
                        li {
                            (words::log(entry.identity.as_bytes(), 120)) ", " (many(*silenced, "finding"))
                            @if let Some(until) = &entry.until { ", until " (until) }
                            ": " (words::log(entry.why.as_bytes(), 200))
                        }
                    }
                }
            }
        }
    }
}

/// All mail together.
fn traffic(page: &Page<'_>, axis: Axis) -> Markup {
    let mail = &page.summary.mail;
    let hours = page.around.overview.hours.in_order();
    let stack = chart::Stack::of_outcomes(&hours);
    html! {
        section #mail aria-labelledby="h-mail" {
            h2 #h-mail { "Mail" }
            dl.tiles {
                (chart::tile(mail.messages, &plural(mail.messages, "message"), ""))
                (chart::tile(mail.recipients, &plural(mail.recipients, "recipient"), ""))
                (chart::tile(mail.delivered, "delivered", "t-ok"))
                (chart::tile(mail.deferred, "deferred", "t-wait"))
                (chart::tile(mail.bounced + mail.expired, "bounced or expired", "t-lost"))
                (chart::tile(mail.rejected + mail.tempfailed, "refused by this host", ""))
                (chart::tile(mail.auth_failures, &plural(mail.auth_failures, "failed login"), ""))
            }
            h3 { "Recipients over time, by what became of them" }
            (chart::over_time(&stack, axis, None, "Recipients"))
            h3 { "By weekday and hour" }
            (chart::week(&hours.iter().map(|(hour, outcomes)| (*hour, outcomes.total())).collect::<Vec<_>>(), "Recipients"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::STYLE;

    /// The colours by name of one `{...}` of the style sheet.
    fn colours(block: &str) -> HashMap<&str, [f64; 3]> {
        let part = |hex: &str| f64::from(u8::from_str_radix(hex, 16).unwrap()) / 255.0;
        let of = |hex: &str| match hex.len() {
            3 => [0, 1, 2].map(|at| part(&hex[at..=at].repeat(2))),
            _ => [0, 2, 4].map(|at| part(&hex[at..at + 2])),
        };
        let named = block.split(';').filter_map(|one| one.trim().strip_prefix("--")?.split_once(":#"));
        named.map(|(name, hex)| (name, of(hex))).collect()
    }

    /// Contrast of two colours (WCAG 2.2, relative luminance).
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        let light = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (a, b) = (light(a) + 0.05, light(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn texts_can_be_read_on_their_grounds() {
        let block = |after: &str| STYLE.split_once(after).and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
        for scheme in [block(":root{"), block("(prefers-color-scheme:dark){:root{")] {
            let colours = colours(scheme);
            for (text, ground) in [
                ("ink", "paper"),
                ("ink", "card"),
                ("ink", "tint"),
                ("soft", "paper"),
                ("soft", "card"),
                ("accent", "paper"),
                ("accent", "card"),
                ("accent", "tint"),
                ("critical", "critical-bg"),
                ("high", "high-bg"),
                ("medium", "medium-bg"),
                ("medium", "card"),
                ("low", "low-bg"),
            ] {
                let found = contrast(colours[text], colours[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
    }
}
