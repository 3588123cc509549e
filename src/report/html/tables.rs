//! The large tables of the page: their top rows, as many as there is room for. They can be sorted and filtered where
//! scripting is allowed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::chart::{self, Axis, Series, Stack};
use super::incident::{kind_title, link};
use super::words::{count, log, moment};
use super::{Page, fitting, room};
use crate::aggregate::{Receiver, ReceiverHour};
use crate::classify::{Category, Party};
use crate::correlate::Octets;
use crate::detect::score;
use crate::mail::status::{Action, Direction};
use crate::mail::time::Timestamp;
use crate::report::{Incident, Judged, kind_word, kinds};

const NAME: usize = 80;
const EXAMPLE: usize = 160;
/// Findings of a sender that its row names.
const TAGS: usize = 2;

/// A column's head: its words, whether it holds numbers, and what it means.
struct Head(&'static str, bool, &'static str);

/// A table with the rows that fit into `room` bytes, and how many these are.
fn table(id: &str, caption: &str, heads: &[Head], room: usize, rows: impl Iterator<Item = Markup>) -> (Markup, usize) {
    let (body, shown) = fitting(rows, room);
    let markup = html! {
        div.wide.tall tabindex="0" role="region" aria-label=(caption) {
            table.sortable.filterable id=(id) data-what="rows" {
                caption { (caption) }
                thead { tr { @for Head(name, is_number, meaning) in heads { th.n[*is_number] scope="col" title=(meaning) { (name) } } } }
                tbody { (body) }
            }
        }
    };
    (markup, shown)
}

/// A cell with a number that the script can sort by.
fn number(n: u64) -> Markup {
    html! { td.n data-v=(n) { @if n > 0 { (count(n)) } @else { span.zero { "0" } } } }
}

/// All identities; `told` are the incidents that the page tells of in full.
pub(super) fn senders(page: &Page<'_>, told: &[Incident<'_>]) -> Markup {
    let mut order: Vec<(f64, bool, u64, &Judged)> = page
        .judged
        .iter()
        .map(|one| (score(&one.findings), one.profile.is_our_user(), one.profile.recipients, one))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (b.1, b.2).cmp(&(a.1, a.2))));
    let heads = [
        Head("identity", false, "who is responsible: login, local user, client, sender"),
        Head("findings", false, "what was found about it"),
        Head("recipients", true, "recipient deliveries asked for"),
        Head("delivered", true, "taken by the recipient's server or mailbox"),
        Head("deferred", true, "recipients whose last known state is deferred"),
        Head("lost", true, "bounced or expired"),
        Head("refused", true, "refused by this host, for good or for now"),
        Head("dead", true, "share of distinct recipients that do not exist"),
        Head("peak/h", true, "most recipients in an hour"),
        Head("networks", true, "distinct client networks, /24 or /48"),
        Head("failed logins", true, "authentication failures"),
        Head("last seen", false, "UTC"),
        Head("main reason", false, "the reason that answers gave most often"),
    ];
    let rows = order.iter().map(|(_, _, _, one)| {
        let incident = told.iter().find(|incident| std::ptr::eq(incident.one, *one));
        sender(page, one, incident.and_then(|incident| link(page, incident)))
    });
    let caption = "Senders: those with findings first, then by recipients";
    let (markup, shown) = table("t-senders", caption, &heads, room::SENDERS, rows);
    html! {
        section #senders aria-labelledby="h-senders" {
            h2 #h-senders { "Senders" }
            (markup)
            (page.rest(shown, page.judged.len(), "sender", "senders"))
        }
    }
}

fn sender(page: &Page<'_>, Judged { profile, findings }: &Judged, link: Option<String>) -> Markup {
    let host = page.hosts.first_of(profile);
    let dead = profile.invalid_share();
    let found = kinds(findings.iter());
    html! {
        tr {
            th scope="row" { span.kind { (kind_word(profile)) } " " span.name { @if let Some(link) = link { a href=(link) { (log(&profile.name, NAME)) } } @else { (log(&profile.name, NAME)) } } @if !host.is_empty() && !profile.is_host { span.on { " on " (log(host.as_bytes(), NAME)) } } }
            td.tags data-v=(format!("{:.4}", score(findings))) {
                @for kind in found.iter().take(TAGS) { span.tag { (kind_title(kind)) } " " }
                @if found.len() > TAGS { span.more title=(found.iter().skip(TAGS).map(|kind| kind_title(kind)).collect::<Vec<_>>().join(", ")) { "and " (found.len() - TAGS) " more" } }
            }
            (number(profile.recipients))
            (number(profile.delivered))
            (number(profile.deferred))
            (number(profile.bounced + profile.expired))
            (number(profile.rejected + profile.tempfailed))
            td.n data-v=(format!("{dead:.4}")) { @if profile.invalid_recipients.count() > 0 { (chart::percent(profile.invalid_recipients.count(), profile.distinct_recipients.count())) } @else { span.zero { "0" } } }
            (number(profile.asked.peak(60).map_or(0, |peak| peak.count)))
            (number(profile.client_networks()))
            (number(profile.auth_failures))
            td data-v=(profile.last_seen.seconds()) { (moment(profile.last_seen)) }
            td { (profile.top_category().map_or("", Category::id)) }
        }
    }
}

/// What a row of the table of reasons sums up.
type ReasonGroup<'a> = (Direction, Action, Category, &'a [u8]);

/// Sums over all identities.
struct ReasonSum<'a> {
    answers: u64,
    senders: u64,
    parties: BTreeSet<Party>,
    example: &'a [u8],
    most: u64,
}

pub(super) fn reasons(page: &Page<'_>, axis: Axis) -> Markup {
    let mut groups: BTreeMap<ReasonGroup<'_>, ReasonSum<'_>> = BTreeMap::new();
    for (key, reason) in page.judged.iter().flat_map(|one| &one.profile.reasons) {
        let group = (key.direction, key.action, key.category, &*key.provider);
        let sum = groups.entry(group).or_insert_with(|| ReasonSum {
            answers: 0,
            senders: 0,
            parties: BTreeSet::new(),
            example: &reason.example,
            most: 0,
        });
        sum.answers += reason.attempts;
        sum.senders += 1;
        sum.parties.insert(page.classifier.who_acts(key.category, reason.by_us));
        if reason.attempts > sum.most {
            (sum.most, sum.example) = (reason.attempts, &reason.example);
        }
    }
    let mut order: Vec<_> = groups.iter().filter(|(_, sum)| sum.answers > 0).collect();
    order.sort_by_key(|(_, sum)| Reverse(sum.answers));
    let heads = [
        Head("reason", false, "the category of the answer"),
        Head("family", false, "the group of reasons it belongs to"),
        Head("action", false, "what was done with the mail"),
        Head("direction", false, "whose mail it was"),
        Head("provider", false, "who said it"),
        Head("answers", true, "how often"),
        Head("senders", true, "how many identities it hit"),
        Head("who acts", false, "who can change it"),
        Head("what to do", false, "for the one who acts"),
        Head("for example", false, "an answer as written"),
    ];
    let rows = order.iter().map(|((direction, action, category, provider), sum)| {
        html! {
            tr {
                th scope="row" title=(category.description()) { (category.id()) }
                td { (category.family()) }
                td { (action.word()) }
                td { (direction.word()) }
                td { (log(provider, NAME)) }
                (number(sum.answers))
                (number(sum.senders))
                td { (sum.parties.iter().map(|party| party.word()).collect::<Vec<_>>().join(", ")) }
                td.words { (category.resolution()) }
                td.words.quote { (log(sum.example, EXAMPLE)) }
            }
        }
    });
    let (markup, shown) = table("t-reasons", "Reasons, the most frequent first", &heads, room::REASONS, rows);
    html! {
        section #reasons aria-labelledby="h-reasons" {
            h2 #h-reasons { "Reasons" }
            h3 { "What others answered this host, by family of reasons" }
            (chart::over_time(&families(page, false), axis, None, "Answers"))
            h3 { "What this host refused its clients, by family of reasons" }
            (chart::over_time(&families(page, true), axis, None, "Refusals"))
            @if order.is_empty() {
                p.calm { "No mail was deferred, bounced or refused." }
            } @else {
                (markup)
                (page.rest(shown, order.len(), "reason", "reasons"))
            }
        }
    }
}

/// Colours of the families; what is in none of them, last.
const FAMILIES: &[(&str, Series)] = &[
    ("recipient", Series { name: "recipient", class: "f-1" }),
    ("routing", Series { name: "routing", class: "f-2" }),
    ("connection", Series { name: "connection", class: "f-3" }),
    ("system", Series { name: "system", class: "f-4" }),
    ("rate", Series { name: "rate", class: "f-5" }),
    ("reputation", Series { name: "reputation", class: "f-6" }),
    ("sender-auth", Series { name: "sender-auth", class: "f-7" }),
    ("access", Series { name: "access", class: "f-8" }),
    ("content", Series { name: "content", class: "f-9" }),
    ("protocol", Series { name: "protocol", class: "f-10" }),
    ("policy", Series { name: "policy", class: "f-11" }),
    ("", Series { name: "unclassified", class: "f-0" }),
];

fn families(page: &Page<'_>, by_us: bool) -> Stack {
    let said =
        || page.around.overview.families.iter().filter(move |((_, by, _), answers)| *by == by_us && **answers > 0);
    let occur: BTreeSet<&str> = said().map(|((.., family), _)| *family).collect();
    let shown: Vec<_> = FAMILIES.iter().filter(|(family, _)| occur.contains(family)).collect();
    let mut hours: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for ((hour, _, family), answers) in said() {
        let counts = hours.entry(*hour).or_insert_with(|| vec![0; shown.len()]);
        let at = shown.iter().position(|(name, _)| name == family);
        if let Some(known) = at.and_then(|at| counts.get_mut(at)) {
            *known += answers;
        }
    }
    Stack { series: shown.iter().map(|(_, series)| *series).collect(), hours: hours.into_iter().collect() }
}

/// One receiving organisation, over all hosts.
#[derive(Default)]
struct View<'a> {
    did: ReceiverHour,
    reasons: BTreeMap<Category, u64>,
    lists: BTreeSet<&'a str>,
    example: Option<&'a [u8]>,
    last: Option<Timestamp>,
}

impl<'a> View<'a> {
    fn add(&mut self, receiver: &'a Receiver) {
        self.did.add(receiver.total());
        for (category, answers) in &receiver.reasons {
            *self.reasons.entry(*category).or_default() += answers;
        }
        self.lists.extend(receiver.lists.keys().map(AsRef::as_ref));
        self.example = self.example.or(receiver.example.as_ref().map(|(_, text)| &**text));
        self.last = self.last.max(receiver.last_reputation);
    }

    fn answers(&self) -> u64 {
        self.did.delivered + self.did.deferred + self.did.bounced
    }
}

pub(super) fn receivers(page: &Page<'_>) -> Markup {
    let mut views: BTreeMap<&Octets, View<'_>> = BTreeMap::new();
    for ((_, name), receiver) in &page.around.receivers {
        views.entry(name).or_default().add(receiver);
    }
    let mut order: Vec<_> = views.iter().filter(|(_, view)| view.answers() > 0).collect();
    order.sort_by_key(|(_, view)| Reverse((view.did.reputation, view.answers())));
    let heads = [
        Head("provider", false, "the organisation that runs the mail servers"),
        Head("answers", true, "delivery attempts that it answered"),
        Head("outcomes", false, "delivered, deferred, bounced"),
        Head("delivered", true, "taken"),
        Head("deferred", true, "put off"),
        Head("bounced", true, "refused for good, or given up"),
        Head("for reputation", true, "refused because of this host's address, list entries or rate"),
        Head("last such answer", false, "UTC"),
        Head("lists named", false, "DNS lists of bad senders that it named"),
        Head("main reason", false, "the reason that it gave most often"),
        Head("what it said", false, "the first answer about this host's reputation"),
    ];
    let parts = |did: &ReceiverHour| {
        [
            (Series { name: "delivered", class: "c-ok" }, did.delivered),
            (Series { name: "deferred", class: "c-wait" }, did.deferred),
            (Series { name: "bounced", class: "c-lost" }, did.bounced),
        ]
    };
    let rows = order.iter().map(|(name, view)| {
        let main = view.reasons.iter().rev().max_by_key(|(_, answers)| **answers);
        let did = &view.did;
        let words = format!(
            "{} delivered, {} deferred, {} bounced",
            count(did.delivered),
            count(did.deferred),
            count(did.bounced)
        );
        html! {
            tr {
                th scope="row" { (page.organisation(name, NAME)) }
                (number(view.answers()))
                td.bar data-v=(did.delivered * 10_000 / view.answers()) { (chart::shares(&parts(did), &words)) }
                (number(did.delivered))
                (number(did.deferred))
                (number(did.bounced))
                (number(did.reputation))
                td data-v=(view.last.map_or(0, |at| at.seconds())) { @if let Some(at) = view.last { (moment(at)) } }
                td { (log(view.lists.iter().copied().collect::<Vec<_>>().join(", ").as_bytes(), NAME)) }
                td { (main.map_or("", |(category, _)| category.id())) }
                td.words.quote { (log(view.example.unwrap_or_default(), EXAMPLE)) }
            }
        }
    });
    let caption = "Providers: those that distrust this host first, then by answers";
    let (markup, shown) = table("t-receivers", caption, &heads, room::RECEIVERS, rows);
    html! {
        section #receivers aria-labelledby="h-receivers" {
            h2 #h-receivers { "How providers see this host" }
            @if order.is_empty() {
                p.calm { "No mail of these logs went to other servers." }
            } @else {
                (markup)
                @if shown < order.len() { p.rest { (count(shown as u64)) " of " (count(order.len() as u64)) " providers shown; the others had fewer answers." } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Taxonomy;

    #[test]
    fn every_family_has_a_colour() {
        for category in Taxonomy::built_in().unwrap().categories() {
            assert!(FAMILIES.iter().any(|(family, _)| *family == category.family()), "{category}");
        }
    }
}
