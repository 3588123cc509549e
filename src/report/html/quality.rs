//! How far the report can be relied on: what was read, what is missing, what was not understood.

use maud::{Markup, html};

use super::chart::percent;
use super::words::{count, harmless, log, many, moment, shortened};
use super::{Page, fitting, room};
use crate::framing::year::YearSource;
use crate::report::summary::InputSummary;
use crate::tally::Shapes;

/// Templates, problems and files that are listed.
const LISTED: usize = 20;
const TEXT: usize = 240;

/// How good one thing is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Worth,
    Bad,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Worth => "note",
            Self::Bad => "look",
        }
    }
}

/// What is said of one thing.
struct Check {
    state: State,
    text: String,
}

/// Of a few in a thousand nobody needs to hear.
const fn grade(part: u64, whole: u64) -> State {
    match part {
        0 => State::Good,
        _ if part.saturating_mul(1_000) <= whole => State::Good,
        _ if part.saturating_mul(20) <= whole => State::Worth,
        _ => State::Bad,
    }
}

fn checks(page: &Page<'_>) -> Vec<Check> {
    let summary = page.summary;
    let (lines, mail) = (&summary.lines, &summary.mail);
    let inputs = summary.inputs.len() as u64;
    let problems = summary.problems.len() as u64;
    let gaps = summary.gaps().len() as u64;
    let answers: u64 = page.around.overview.families.values().sum();
    let unexplained = summary.unclassified.total();
    let mut checks = vec![
        match problems {
            0 => Check { state: State::Good, text: format!("{} read whole", many(inputs, "input")) },
            _ => Check { state: State::Bad, text: format!("{} damaged or not read", many(problems, "input")) },
        },
        match gaps {
            0 => Check { state: State::Good, text: "no gap between the files".into() },
            _ => Check { state: State::Bad, text: format!("{} between the files", many(gaps, "gap")) },
        },
        Check {
            state: grade(lines.unknown, lines.mail_lines),
            text: match lines.unknown {
                0 => format!("all {} of known kinds", many(lines.mail_lines, "mail server line")),
                n => format!("{} of {} of no known kind", count(n), many(lines.mail_lines, "mail server line")),
            },
        },
        Check {
            state: grade(mail.orphans, mail.messages),
            text: match mail.orphans {
                0 => "every message with its beginning".into(),
                n => format!("{} without a beginning, so without a sender", many(n, "message")),
            },
        },
        Check {
            state: grade(unexplained, answers),
            text: match (unexplained, answers) {
                (0, 0) => "no refusals to explain".into(),
                (0, _) => format!("all {} explained", many(answers, "refusal")),
                (n, _) => format!("{} of {} without an explanation", count(n), many(answers, "refusal")),
            },
        },
    ];
    if mail.open_messages > 0 {
        let text = format!("{} still in the queue when the log ends", many(mail.open_messages, "message"));
        checks.push(Check { state: State::Good, text });
    }
    if lines.unframed > 0 {
        let state = grade(lines.unframed, lines.lines);
        checks.push(Check { state, text: format!("{} of no known form", many(lines.unframed, "line")) });
    }
    if summary.has_zoneless {
        let zone = if summary.zone.is_empty() { "this machine's zone" } else { &summary.zone };
        checks
            .push(Check { state: State::Worth, text: format!("stamps have no zone: read as {}", shortened(zone, 60)) });
    }
    if summary.inputs.iter().any(|input| input.year_source == YearSource::Clock) {
        let text = "stamps have no year and nothing dates them: the newest past year was taken".to_string();
        checks.push(Check { state: State::Bad, text });
    }
    checks
}

/// The first screen's word on it.
pub(super) fn sure(page: &Page<'_>) -> Markup {
    let checks = checks(page);
    let worst = |state: State| checks.iter().filter(|check| check.state == state).count() as u64;
    let verdict = match (worst(State::Bad), worst(State::Worth)) {
        (0, 0) => "The logs were read whole and understood.".to_string(),
        (0, notes) => format!("The logs were read and understood, with {}.", many(notes, "remark")),
        (bad, _) => format!(
            "Look at the input first: {} below its usual quality.",
            if bad == 1 { "one thing is".into() } else { format!("{bad} things are") }
        ),
    };
    html! {
        aside.sure aria-labelledby="h-sure" {
            h2 #h-sure { "How sure" }
            p { (verdict) }
            ul.checks {
                @for check in &checks {
                    li class=(check.state.word()) { span.mark { (check.state.word()) } " " (check.text) }
                }
            }
            p { a href="#input" { "More on the input" } }
        }
    }
}

pub(super) fn section(page: &Page<'_>) -> Markup {
    let summary = page.summary;
    let lines = &summary.lines;
    let gaps = summary.gaps();
    html! {
        section #input aria-labelledby="h-input" {
            h2 #h-input { "Input" }
            (inputs(page))
            @if !summary.problems.is_empty() {
                h3 { "Damaged or not read" }
                ul { @for problem in summary.problems.iter().take(LISTED) { li { span.name { (log(problem.source.as_bytes(), TEXT)) } ": " (harmless(&shortened(&problem.what, TEXT))) } } }
                (more(summary.problems.len()))
            }
            @if !gaps.is_empty() {
                h3 { "Gaps" }
                ul { @for gap in gaps.iter().take(LISTED) { li { (harmless(&shortened(&gap.text(), 2 * TEXT))) } } }
                (more(gaps.len()))
            }
            @if !summary.passed_over.is_empty() {
                h3 { "Files passed over" }
                ul { @for (name, why) in summary.passed_over.iter().take(LISTED) { li { span.name { (log(name.as_bytes(), TEXT)) } ": " (log(why.as_bytes(), TEXT)) } } }
                (more(summary.passed_over.len()))
            }
            h3 { "What became of every line" }
            table.sums {
                caption.unseen { "Lines by what became of them" }
                thead.unseen { tr { th scope="col" { "lines" } th scope="col" { "count" } th scope="col" { "share" } } }
                tbody {
                    @for (what, n) in [
                        ("used: they tell of mail, clients and logins", lines.entries),
                        ("set aside: other programs, and lines that tell nothing of mail", lines.ignored_total()),
                        ("of a mail server, but of no known kind", lines.unknown),
                        ("of no known form", lines.unframed),
                    ] {
                        tr { th scope="row" { (what) } td.n { (count(n)) } td.n { (percent(n, lines.lines)) } }
                    }
                    tr.sum { th scope="row" { "all" } td.n { (count(lines.lines)) } td.n {} }
                }
            }
            (templates("Lines of no known kind", &lines.unknown_shapes))
            (templates("Lines of no known form", &lines.unframed_shapes))
            (templates("Answers that nothing explains", &summary.unclassified))
        }
    }
}

fn inputs(page: &Page<'_>) -> Markup {
    let all = &page.summary.inputs;
    let row = |input: &InputSummary| {
        html! {
            tr {
                th scope="row" { span.name { (log(input.name.as_bytes(), TEXT)) } }
                td.n { (count(input.lines)) }
                td.n { (count(input.mail_lines)) }
                td { @if let Some((first, _)) = input.span() { (moment(first)) } }
                td { @if let Some((_, last)) = input.span() { (moment(last)) } }
                td { (input.year_source.word()) }
                td.n { @if input.left_out > 0 { (count(input.left_out)) } }
            }
        }
    };
    let (rows, shown) = fitting(all.iter().map(row), room::INPUT);
    html! {
        div.wide tabindex="0" role="region" aria-label="Inputs" {
            table {
                caption { "Inputs" }
                thead { tr {
                    th scope="col" { "input" } th.n scope="col" { "lines" } th.n scope="col" { "of a mail server" } th scope="col" { "first" }
                    th scope="col" { "last" } th scope="col" { "year from" } th.n scope="col" { "lines in another input too" }
                } }
                tbody { (rows) }
            }
        }
        @if shown < all.len() { p.rest { (count(shown as u64)) " of " (many(all.len() as u64, "input")) " shown, the rest in " code { "summary.json" } "." } }
    }
}

fn more(all: usize) -> Markup {
    html! { @if all > LISTED { p.rest { (LISTED) " of " (count(all as u64)) " shown, the rest in " code { "summary.json" } "." } } }
}

fn templates(title: &str, shapes: &Shapes) -> Markup {
    let rows = shapes.by_count();
    html! {
        @if !rows.is_empty() {
            details {
                summary { (title) ": " (count(shapes.total())) }
                div.wide tabindex="0" role="region" aria-label=(title) {
                    table {
                        caption.unseen { (title) }
                        thead { tr { th.n scope="col" { "count" } th scope="col" { "a sample" } } }
                        tbody { @for (_, n, sample) in rows.iter().take(LISTED) { tr { td.n { (count(*n)) } td.words.quote { @if sample.is_empty() { "(no text)" } @else { (log(sample, TEXT)) } } } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_in_a_thousand_are_nothing_to_speak_of() {
        assert!(grade(0, 0) == State::Good && grade(1, 1_000) == State::Good);
        assert!(grade(1, 999) == State::Worth && grade(1, 19) == State::Bad);
    }
}
