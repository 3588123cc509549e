//! Incidents: one identity each, with all that was found about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{self, Axis, OUTCOMES, Series, Stack};
use super::words::{count, dated, harmless, log, many, moment, shortened, together};
use super::{Page, fitting, room};
use crate::aggregate::{Outcomes, SenderProfile, Visits};
use crate::classify::Category;
use crate::detect::Finding;
use crate::mail::time::SECONDS_PER_HOUR;
use crate::report::{Incident, is_unnamed_host, kind_word};

/// Longest sentence, name and cell of evidence, in characters.
const SENTENCE: usize = 700;
const NAME: usize = 120;
const CELL: usize = 160;
/// A full stop before this is no end of a story.
const LEAST_STORY: usize = 40;
/// More stories than these scroll in a part of the screen.
const MANY: usize = 12;
/// Addresses that one can copy.
const IDS: usize = 50;
/// Rows of each small table of an incident.
const ROWS: usize = 12;

/// `account-takeover` as a heading.
pub(super) fn kind_title(kind: &str) -> String {
    let words = kind.replace('-', " ").replace("spf ", "SPF ").replace("sms ", "SMS ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn name(incident: &Incident<'_>) -> Markup {
    let profile = &incident.one.profile;
    html! { @if !is_unnamed_host(profile) { span.kind { (kind_word(profile)) } " " } span.name { (log(&profile.name, NAME)) } }
}

/// The part of the page that tells of the incident of this id: the same in every run over the same data.
fn anchor(id: &str) -> String {
    format!("i-{id}")
}

/// The link to where the page tells of it in full.
pub(super) fn link(page: &Page<'_>, incident: &Incident<'_>) -> Option<String> {
    incident.ids(page.hosts).first().map(|id| format!("#{}", anchor(id)))
}

/// One line for each incident, the worst first; `told` of them are told of in full further down.
pub(super) fn stories(page: &Page<'_>, incidents: &[Incident<'_>], told: usize) -> Markup {
    let items = incidents.iter().enumerate().filter_map(|(at, incident)| {
        let worst = incident.findings.first()?;
        let link = if at < told { link(page, incident) } else { None };
        Some(html! {
            li.story {
                (badge(worst))
                div {
                    h3 { @if let Some(link) = link { a href=(link) { (name(incident)) } } @else { (name(incident)) } (on_host(page, incident)) }
                    p { strong { (kind_title(worst.kind)) ". " } (story(worst)) }
                    @if incident.findings.len() > 1 { p.also { "Also: " (others(incident)) "." } }
                }
            }
        })
    });
    let (items, shown) = fitting(items, room::STORIES);
    html! {
        @if told < incidents.len() { p.rest { "The worst " (count(told as u64)) " are told of in full below." } }
        ol.stories.filterable.many[shown > MANY] tabindex=[(shown > MANY).then_some("0")] aria-label="Incidents, the worst first" data-what="incidents" { (items) }
        (page.rest(shown, incidents.len(), "incident", "findings"))
    }
}

fn badge(finding: &Finding) -> Markup {
    let word = finding.severity.word();
    html! { span class=(format!("badge b-{word}")) { (word) } }
}

fn on_host(page: &Page<'_>, incident: &Incident<'_>) -> Markup {
    let host = page.hosts.first_of(&incident.one.profile);
    let is_itself = incident.one.profile.is_host;
    html! { @if !host.is_empty() && !is_itself { span.on { " on " (shortened(&host, NAME)) } } }
}

/// The explanation with a capital letter: it stands after a heading.
fn sentence(finding: &Finding) -> String {
    let text = together(&dated(&harmless(&shortened(&finding.explanation, SENTENCE))));
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The first sentence of it.
fn story(finding: &Finding) -> String {
    let text = sentence(finding);
    let ends = text.match_indices(". ").map(|(at, _)| at + 1);
    let is_next_capital = |at: &usize| text.get(at + 1..).is_some_and(|rest| rest.starts_with(char::is_uppercase));
    let end = ends.filter(|at| *at > LEAST_STORY).find(is_next_capital);
    end.and_then(|end| text.get(..end)).unwrap_or(&text).to_string()
}

fn others(incident: &Incident<'_>) -> String {
    let mut kinds: Vec<_> = incident.findings.iter().skip(1).map(|finding| finding.kind.replace('-', " ")).collect();
    kinds.dedup();
    kinds.truncate(ROWS);
    kinds.join(", ")
}

/// The incidents in full, as many as there is room for, and how many that are.
pub(super) fn details(page: &Page<'_>, incidents: &[Incident<'_>], axis: Axis) -> (Markup, usize) {
    let articles = incidents.iter().map(|incident| article(page, incident, axis));
    let (articles, told) = fitting(articles, room::INCIDENTS);
    let rest = page.rest(told, incidents.len(), "incident", "findings");
    (html! { (articles) (rest) }, told)
}

fn article(page: &Page<'_>, incident: &Incident<'_>, axis: Axis) -> Markup {
    let profile = &incident.one.profile;
    let Some(worst) = incident.findings.first() else { return html! {} };
    let ids = incident.ids(page.hosts);
    let id = anchor(ids.first().map_or("", String::as_str));
    let heading = format!("h-{id}");
    let hours = profile.hours.in_order();
    let marked = Some((worst.first_seen.hour(), worst.last_seen.hour()));
    let first = incident.findings.iter().map(|finding| finding.first_seen).min().unwrap_or(worst.first_seen);
    let last = incident.findings.iter().map(|finding| finding.last_seen).max().unwrap_or(worst.last_seen);
    let told_ids = ids.join(", ");
    html! {
        article.incident id=(id) aria-labelledby=(heading) {
            @for other in ids.iter().skip(1) { span id=(anchor(other)) {} }
            header {
                (badge(worst))
                h3 id=(heading) { a href=(format!("#{id}")) { (name(incident)) } (on_host(page, incident)) }
                p.meta {
                    (moment(first)) " to " (moment(last)) " UTC"
                    // What several findings count overlaps.
                    @if incident.findings.len() == 1 && worst.messages > 0 { " · " (many(worst.messages, "message")) }
                    @if incident.findings.len() == 1 && worst.recipients > 0 { " · " (many(worst.recipients, "recipient")) }
                    " · incident " (told_ids)
                }
            }
            div.told data-copy="story and next steps" {
                span.unseen data-line { (kind_word(profile)) " " (log(&profile.name, NAME)) (on_host(page, incident)) ", " (moment(first)) " to " (moment(last)) " UTC, incident " (told_ids) }
                ul.findings {
                    @for finding in incident.findings.iter().take(ROWS) {
                        li data-line { strong { (kind_title(finding.kind)) } " " span.score { (finding.severity.word()) ", score " (finding.score) } " " br; (sentence(finding)) " " br; span.score { "Signs: " (finding.signs.text()) } }
                    }
                    @if incident.findings.len() > ROWS { li { (many((incident.findings.len() - ROWS) as u64, "more finding")) " of this identity in the tables." } }
                }
                div.do {
                    h4 data-line { "Next steps" }
                    ul { @for step in incident.steps(ROWS) { li data-line { (with_code(step)) } } }
                }
            }
            div.pictures {
                @if !hours.is_empty() {
                    div.picture.broad {
                        h4 { "Its recipients over time; the time of the finding is marked" }
                        (chart::over_time(&Stack::of_outcomes(&hours), axis, marked, "Recipients"))
                    }
                    div.picture {
                        h4 { "What became of them" }
                        (chart::outcomes(&sum(&hours)))
                    }
                    div.picture {
                        h4 { "By weekday and hour" }
                        (chart::week(&hours.iter().map(|(hour, outcomes)| (*hour, outcomes.total())).collect::<Vec<_>>(), "Recipients"))
                    }
                    (receivers(page, profile))
                }
                @if let Some(visits) = &profile.visits { (at_the_door(visits, axis, marked)) }
                @if profile.is_host { (seen_by_receivers(page, profile, axis, marked)) }
            }
            (reasons(profile))
            (evidence(incident))
        }
    }
}

fn sum(hours: &[(i64, Outcomes)]) -> Outcomes {
    let mut sum = Outcomes::default();
    hours.iter().for_each(|(_, outcomes)| sum.merge(*outcomes));
    sum
}

/// Who runs the recipients' servers, and what became of the mail there.
fn receivers(page: &Page<'_>, profile: &SenderProfile) -> Markup {
    let all = profile.receivers.by_count();
    html! {
        @if !all.is_empty() {
            div.picture.broad {
                h4 { "Its recipients' providers" }
                div.wide tabindex="0" role="region" aria-label="Its recipients' providers" {
                    table {
                        caption.unseen { "Recipients by the organisation that runs their mail servers" }
                        thead { tr { th scope="col" { "provider" } th.n scope="col" { "recipients" } th.bar scope="col" { "outcomes" } th.n scope="col" { "delivered" } } }
                        tbody {
                            @for (name, outcomes) in all.iter().take(ROWS) {
                                tr {
                                    th scope="row" { @if name.is_empty() { "this host" } @else { (page.organisation(name, NAME)) } }
                                    td.n { (count(outcomes.total())) }
                                    td.bar { (bar_of(outcomes)) }
                                    td.n { (chart::percent(delivered(outcomes), outcomes.total())) }
                                }
                            }
                        }
                    }
                }
                @if all.len() > ROWS { p.rest { (many((all.len() - ROWS) as u64, "more provider")) " with " (many(all.iter().skip(ROWS).map(|(_, o)| o.total()).sum(), "recipient")) "." } }
            }
        }
    }
}

fn delivered(outcomes: &Outcomes) -> u64 {
    outcomes.of(crate::aggregate::Outcome::Delivered)
}

fn bar_of(outcomes: &Outcomes) -> Markup {
    let parts: Vec<_> = OUTCOMES.iter().map(|(outcome, series)| (*series, outcomes.of(*outcome))).collect();
    let some = parts.iter().filter(|(_, n)| *n > 0);
    let words: Vec<_> = some.map(|(series, n)| format!("{} {}", count(*n), series.name)).collect();
    let words = words.join(", ");
    html! { (chart::shares(&parts, &words)) p.of aria-hidden="true" { (words) } }
}

/// What a client tried that never became a message.
fn at_the_door(visits: &Visits, axis: Axis, marked: Option<(i64, i64)>) -> Markup {
    let mut hours: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    let mut add = |hour: i64, series: usize, more: u64| {
        if let Some(known) = hours.entry(hour).or_insert_with(|| vec![0, 0]).get_mut(series) {
            *known += more;
        }
    };
    visits.failure_hours.iter().for_each(|(hour, failures)| add(*hour, 0, *failures));
    visits.unknown.times().iter().for_each(|at| add(at.hour(), 1, 1));
    let series = vec![
        Series { name: "failed logins", class: "c-no" },
        Series { name: "unknown recipients tried for the first time", class: "c-lost" },
    ];
    html! {
        @if !hours.is_empty() {
            div.picture.broad {
                h4 { "What it tried at the door; the time of the finding is marked" }
                (chart::over_time(&Stack { series, hours: hours.into_iter().collect() }, axis, marked, "Tries"))
            }
        }
    }
}

/// What the receivers of a host's mail did with it.
fn seen_by_receivers(page: &Page<'_>, profile: &SenderProfile, axis: Axis, marked: Option<(i64, i64)>) -> Markup {
    let mut hours: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for (_, receiver) in profile.hosts.iter().flat_map(|host| page.around.receivers_of(*host)) {
        for (hour, did) in &receiver.hours {
            let known = hours.entry(*hour).or_insert_with(|| vec![0, 0, 0]);
            let refused = (did.deferred + did.bounced).saturating_sub(did.reputation);
            known.iter_mut().zip([did.delivered, refused, did.reputation]).for_each(|(known, more)| *known += more);
        }
    }
    let series = vec![
        Series { name: "delivered", class: "c-ok" },
        Series { name: "refused for other reasons", class: "c-wait" },
        Series { name: "refused for this host's reputation", class: "c-lost" },
    ];
    html! {
        @if !hours.is_empty() {
            div.picture.broad {
                h4 { "What other servers answered this host; the time of the finding is marked" }
                (chart::over_time(&Stack { series, hours: hours.into_iter().collect() }, axis, marked, "Answers"))
            }
        }
    }
}

/// Why mail of this identity was refused, the most frequent first.
fn reasons(profile: &SenderProfile) -> Markup {
    let mut by_category: BTreeMap<Category, (u64, &[u8])> = BTreeMap::new();
    for (key, reason) in &profile.reasons {
        let known = by_category.entry(key.category).or_insert((0, &reason.example));
        known.0 += reason.attempts;
    }
    let mut rows: Vec<_> = by_category.into_iter().filter(|(_, (answers, _))| *answers > 0).collect();
    rows.sort_by_key(|(_, (answers, _))| std::cmp::Reverse(*answers));
    html! {
        @if !rows.is_empty() {
            h4 { "Why its mail was refused" }
            div.wide tabindex="0" role="region" aria-label="Its reasons" {
                table {
                    caption.unseen { "Reasons by answers" }
                    thead { tr { th scope="col" { "reason" } th.n scope="col" { "answers" } th scope="col" { "for example" } } }
                    tbody {
                        @for (category, (answers, example)) in rows.iter().take(ROWS / 2) {
                            tr { th scope="row" title=(category.description()) { (category.id()) } td.n { (count(*answers)) } td.words { (log(example, CELL)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What the findings rest on.
fn evidence(incident: &Incident<'_>) -> Markup {
    html! {
        details.evidence {
            summary { "Evidence" }
            @for finding in incident.findings.iter().take(ROWS) {
                h4 { (kind_title(finding.kind)) }
                p.meta {
                    (moment(finding.first_seen)) " to " (moment(finding.last_seen)) " UTC, "
                    (many(finding.messages, "message")) ", " (many(finding.recipients, "recipient")) ", lasted " (lasted(finding))
                }
                (value(&finding.evidence))
                @if !finding.queue_ids.is_empty() {
                    h5 { "Queue ids" @if finding.queue_id_count > finding.queue_ids.len() as u64 { " (the first " (finding.queue_ids.len()) " of " (count(finding.queue_id_count)) ")" } }
                    @if finding.queue_id_count > finding.queue_ids.len() as u64 { p.meta { "All of them are in the table of events (" code { "--events" } ")." } }
                    p.ids data-copy="queue ids" { @for id in &finding.queue_ids { (id) " " } }
                }
            }
            @let found = clients_of(incident);
            @let others: Vec<_> = incident.one.profile.client_ips.iter().filter(|ip| !found.contains(ip)).collect();
            @if !found.is_empty() {
                h5 { @if others.is_empty() { "Client addresses" } @else { "Client addresses that the findings are about" } (of_many(found.len())) }
                p.ids data-copy="addresses" { @for ip in found.iter().take(IDS) { (ip.to_string()) " " } }
            }
            @if !others.is_empty() {
                h5 { "Its other client addresses: look whose they are before you block them" (of_many(others.len())) }
                p.ids { @for ip in others.iter().take(IDS) { (ip.to_string()) " " } }
            }
        }
    }
}

fn lasted(finding: &Finding) -> String {
    duration(finding.last_seen.seconds_since(finding.first_seen).max(0))
}

/// A time in the units that it is of, rounded to the lesser of them.
fn duration(seconds: i64) -> String {
    let (minutes, hours) = ((seconds + 30) / 60, (seconds + 1_800) / SECONDS_PER_HOUR);
    let both = |many: i64, much: &str, few: i64, little: &str| match few {
        0 => format!("{many} {much}"),
        _ => format!("{many} {much} {few} {little}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        _ if minutes < 120 => format!("{minutes} min"),
        _ if hours < 48 => both(minutes / 60, "h", minutes % 60, "min"),
        _ => both(hours / 24, "days", hours % 24, "h"),
    }
}

/// A text of ours with what stands in backticks as code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (at, part) in together(&harmless(&shortened(text, SENTENCE))).split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The addresses that most is wrong with: where one finding tells an intruder's from the owner's, the intruder's.
fn clients_of(incident: &Incident<'_>) -> BTreeSet<IpAddr> {
    let least = incident.findings.iter().min_by_key(|finding| finding.client_ips.len());
    least.map(|finding| finding.client_ips.iter().copied().collect()).unwrap_or_default()
}

fn of_many(count: usize) -> String {
    if count > IDS { format!(" ({IDS} of {})", super::words::count(count as u64)) } else { String::new() }
}

/// An object as a list of its keys and values, a list of objects as a table.
fn value(evidence: &Value) -> Markup {
    let Value::Object(fields) = evidence else { return html! { p { (scalar("", evidence)) } } };
    html! {
        dl.evidence {
            @for (key, field) in fields.iter().take(3 * ROWS) {
                dt { (key.replace('_', " ")) }
                dd {
                    @match field {
                        Value::Array(list) if list.iter().any(Value::is_object) => { (rows(list)) },
                        other => { (scalar(key, other)) },
                    }
                }
            }
        }
    }
}

fn rows(list: &[Value]) -> Markup {
    let keys: Vec<&String> = list.first().and_then(Value::as_object).map(|o| o.keys().collect()).unwrap_or_default();
    html! {
        div.wide tabindex="0" role="region" aria-label="Evidence" {
            table {
                thead { tr { @for key in &keys { th scope="col" { (key.replace('_', " ")) } } } }
                tbody {
                    @for row in list.iter().take(ROWS) {
                        tr { @for key in &keys { td { (scalar(key, row.get(key.as_str()).unwrap_or(&Value::Null))) } } }
                    }
                }
            }
        }
        @if list.len() > ROWS { p.rest { (list.len() - ROWS) " more in the tables." } }
    }
}

fn scalar(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "unknown".into(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => count(whole),
            (None, Some(real)) if key.contains("share") => format!("{:.0} %", real * 100.0),
            (None, Some(real)) if real.fract() == 0.0 => format!("{real:.0}"),
            // As signs are told beside the story: they add up.
            (None, Some(real)) => format!("{real:.3}").trim_end_matches('0').trim_end_matches('.').to_string(),
            (None, None) => number.to_string(),
        },
        Value::String(text) => dated(&harmless(&shortened(text, CELL))),
        Value::Array(list) => {
            let shown: Vec<_> = list.iter().take(ROWS).map(|one| scalar(key, one)).collect();
            match (list.len().saturating_sub(ROWS), shown.is_empty()) {
                (_, true) => "none".into(),
                (0, _) => shown.join(", "),
                (more, _) => format!("{}, and {more} more", shown.join(", ")),
            }
        }
        Value::Object(_) => harmless(&shortened(&value.to_string(), CELL)).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_titles() {
        assert_eq!(kind_title("spf-not-authorized"), "SPF not authorized");
        assert_eq!(kind_title("account-takeover"), "Account takeover");
        let of = [90, 119 * 60 + 40, 3 * 3_600 - 5, 90 * 60, 47 * 3_600 + 59 * 60, 50 * 3_600].map(duration);
        assert_eq!(of, ["90 s", "2 h", "3 h", "90 min", "2 days", "2 days 2 h"]);
        assert_eq!(with_code("see `a <b>` x").into_string(), "see <code>a &lt;b&gt;</code> x");
    }

    #[test]
    fn evidence_of_any_form_is_shown_and_escaped() {
        let evidence = serde_json::json!({
            "refused_share": 0.744, "samples": ["<b>", "\u{202e}x"], "networks": [{"network": "<i>", "ips": ["192.0.2.1"]}],
            "nothing": [], "deep": {"a": [1]},
        });
        let html = value(&evidence).into_string();
        assert!(html.contains("<dd>74 %</dd>") && html.contains("&lt;b&gt;, \\xE2\\x80\\xAEx"), "{html}");
        assert!(html.contains("<td>&lt;i&gt;</td><td>192.0.2.1</td>") && html.contains("<dd>none</dd>"), "{html}");
    }
}
