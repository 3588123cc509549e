//! Pictures drawn as SVG, each with its numbers in a table. Shapes stretch to the room there is; words stand in HTML
//! beside them, so that they stay readable on a phone. Colours are classes of `page.css`.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::words::{count, hour};
use crate::aggregate::{Outcome, Outcomes};

/// The most bars that one picture has.
const BARS: i64 = 96;
/// Height of a picture in its own units; its width is [`BAR`] for each bar.
const HEIGHT: u64 = 1_000;
const BAR: i64 = 10;
/// Widths of a bar in hours, from which the least that fits is taken.
const WIDTHS: &[i64] = &[1, 2, 3, 6, 12, 24, 48, 7 * 24, 14 * 24, 28 * 24];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const SHADES: u64 = 8;

/// The bars that all pictures of a report share: hours since 1970, UTC.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    first: i64,
    width: i64,
    bars: i64,
}

impl Axis {
    /// From one hour to another, both included.
    pub fn new(first: i64, last: i64) -> Self {
        let hours = (last - first).max(0) + 1;
        let fits = |width: &&i64| hours <= BARS * **width;
        let width = WIDTHS.iter().find(fits).copied().unwrap_or_else(|| hours.div_euclid(BARS) + 1);
        // Bars of days begin at midnight, those of six hours at 0, 6, 12 and 18.
        let first = first.div_euclid(width.min(24)) * width.min(24);
        Self { first, width, bars: (last.max(first) - first).div_euclid(width) + 1 }
    }

    /// The bar that an hour falls in; the last for what comes after all.
    fn bar(&self, hour: i64) -> i64 {
        (hour - self.first).div_euclid(self.width).clamp(0, self.bars - 1)
    }

    fn start(&self, bar: i64) -> i64 {
        self.first + bar * self.width
    }

    /// What one bar stands for.
    pub fn step(&self) -> String {
        match self.width {
            1 => "hour".into(),
            24 => "day".into(),
            hours if hours % 24 == 0 => format!("{} days", hours / 24),
            hours => format!("{hours} hours"),
        }
    }
}

/// One colour of a stacked picture: what it is called, and its class.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    pub name: &'static str,
    pub class: &'static str,
}

/// The outcomes in the order in which they are stacked.
pub const OUTCOMES: &[(Outcome, Series)] = &[
    (Outcome::Delivered, Series { name: "delivered", class: "c-ok" }),
    (Outcome::Deferred, Series { name: "deferred", class: "c-wait" }),
    (Outcome::Bounced, Series { name: "bounced", class: "c-lost" }),
    (Outcome::Expired, Series { name: "expired", class: "c-old" }),
    (Outcome::Rejected, Series { name: "rejected by this host", class: "c-no" }),
    (Outcome::Tempfailed, Series { name: "put off by this host", class: "c-later" }),
    (Outcome::Discarded, Series { name: "discarded", class: "c-gone" }),
    (Outcome::Open, Series { name: "still open", class: "c-open" }),
];

/// Counts over time: a row for each hour that has any, a column for each series.
pub struct Stack {
    pub series: Vec<Series>,
    pub hours: Vec<(i64, Vec<u64>)>,
}

impl Stack {
    /// The outcomes that occur.
    pub fn of_outcomes(hours: &[(i64, Outcomes)]) -> Self {
        let occurs = |outcome: Outcome| hours.iter().any(|(_, outcomes)| outcomes.of(outcome) > 0);
        let shown: Vec<_> = OUTCOMES.iter().filter(|(outcome, _)| occurs(*outcome)).collect();
        Self {
            series: shown.iter().map(|(_, series)| *series).collect(),
            hours: hours
                .iter()
                .map(|(hour, outcomes)| (*hour, shown.iter().map(|(outcome, _)| outcomes.of(*outcome)).collect()))
                .collect(),
        }
    }

    fn bars(&self, axis: Axis) -> Vec<(i64, Vec<u64>)> {
        let mut bars: Vec<(i64, Vec<u64>)> = Vec::new();
        for (hour, counts) in &self.hours {
            let at = axis.bar(*hour);
            match bars.last_mut() {
                Some((last, sums)) if *last == at => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
                _ => bars.push((at, counts.clone())),
            }
        }
        bars
    }
}

/// Counts over time as stacked bars. `marked` is the time that the text speaks of; `what` is counted, in the plural.
pub fn over_time(stack: &Stack, axis: Axis, marked: Option<(i64, i64)>, what: &str) -> Markup {
    let bars = stack.bars(axis);
    let total = |counts: &[u64]| counts.iter().sum::<u64>();
    let Some((at, most)) = bars.iter().map(|(at, counts)| (*at, total(counts))).rev().max_by_key(|(_, sum)| *sum)
    else {
        return html! { p.quiet { "Nothing to draw." } };
    };
    let most = most.max(1);
    let mut paths = vec![String::new(); stack.series.len()];
    let mut bases = Vec::with_capacity(bars.len());
    for (bar, counts) in &bars {
        let mut base = 0;
        for (path, count) in paths.iter_mut().zip(counts).filter(|(_, count)| **count > 0) {
            // What is there is seen, however little it is.
            let top = base + (count * HEIGHT).div_ceil(most).max(HEIGHT / 60);
            // Writing into a String cannot fail.
            _ = write!(path, "M{} {}v-{}h8v{}z", bar * BAR + 1, HEIGHT.saturating_sub(base), top - base, top - base);
            base = top;
        }
        bases.push(base);
    }
    // Little that is made visible may lift a bar over the top.
    let height = bases.iter().copied().max().unwrap_or(HEIGHT).max(HEIGHT);
    // A mark is seen above the highest bar, too.
    let height = if marked.is_some() { height + HEIGHT / 8 } else { height };
    let span = |(from, to): (i64, i64)| (axis.bar(from) * BAR, (axis.bar(to) - axis.bar(from) + 1) * BAR);
    let words = format!(
        "{what} by {}, {} to {} UTC. Most in one: {} at {}.",
        axis.step(),
        hour(axis.first),
        hour(axis.start(axis.bars - 1)),
        count(most),
        hour(axis.start(at))
    );
    let viewbox = format!(
        "0 {} {} {height}",
        i64::try_from(HEIGHT).unwrap_or(0) - i64::try_from(height).unwrap_or(0),
        axis.bars * BAR
    );
    html! {
        figure.chart {
            div.plot {
                span.top { (count(most)) }
                svg viewBox=(viewbox) preserveAspectRatio="none" role="img" aria-label=(words) {
                    @if let Some((x, width)) = marked.map(span) {
                        rect.marked x=(x) y="-9000" width=(width) height="10000" {}
                    }
                    @for (series, path) in stack.series.iter().zip(&paths).filter(|(_, path)| !path.is_empty()) {
                        path class=(series.class) d=(path) {}
                    }
                    g.hover {
                        @for (bar, counts) in &bars {
                            rect x=(bar * BAR) y="-9e3" width=(BAR) height="1e4" {
                                title { (hour(axis.start(*bar))) ": " (told(&stack.series, counts)) }
                            }
                        }
                    }
                }
                div.axis aria-hidden="true" { @for label in labels(axis) { span { (label) } } }
            }
            (legend(&stack.series))
            (numbers(&html! {
                table {
                    caption { (what) " by " (axis.step()) ", UTC; those without any are left out" }
                    thead { tr { th scope="col" { "from" } @for series in &stack.series { th.n scope="col" { (series.name) } } } }
                    tbody {
                        @for (bar, counts) in &bars {
                            tr { th scope="row" { (hour(axis.start(*bar))) } @for one in counts { td { @if *one > 0 { (count(*one)) } } } }
                        }
                    }
                }
            }))
        }
    }
}

/// The counts of one bar in words.
fn told(series: &[Series], counts: &[u64]) -> String {
    let some = series.iter().zip(counts).filter(|(_, count)| **count > 0);
    some.map(|(series, one)| format!("{} {}", count(*one), series.name)).collect::<Vec<_>>().join(", ")
}

/// Words under the picture: its first hour, one or two between, its last.
fn labels(axis: Axis) -> Vec<String> {
    let last = axis.bars - 1;
    let mut bars = vec![0, last / 3, last * 2 / 3, last];
    bars.dedup();
    let shown = |bar: i64| {
        if axis.width < 24 {
            hour(axis.start(bar))
        } else {
            hour(axis.start(bar)).split(' ').next().unwrap_or_default().to_string()
        }
    };
    bars.into_iter().map(shown).collect()
}

pub fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend { @for one in series { li { span.swatch { svg viewBox="0 0 1 1" aria-hidden="true" { rect class=(one.class) width="1" height="1" {} } } (one.name) } } }
    }
}

/// The numbers behind a picture, shown when asked for.
fn numbers(table: &Markup) -> Markup {
    html! { details.numbers { summary { "Numbers" } div.wide tabindex="0" role="region" aria-label="Numbers" { (table) } } }
}

/// One bar with the shares of a whole.
pub fn shares(parts: &[(Series, u64)], label: &str) -> Markup {
    let total: u64 = parts.iter().map(|(_, count)| count).sum();
    let mut x = 0;
    let mut drawn = String::new();
    for (series, count) in parts.iter().filter(|(_, count)| *count > 0) {
        let width = (count * HEIGHT / total.max(1)).max(3);
        _ = write!(drawn, r#"<rect class="{}" x="{x}" width="{width}" height="10"/>"#, series.class);
        x += width;
    }
    html! {
        svg.shares viewBox=(format!("0 0 {} 10", x.max(HEIGHT))) preserveAspectRatio="none" role="img" aria-label=(label) { (PreEscaped(drawn)) }
    }
}

/// What became of all recipients: one bar, and its numbers beside it.
pub fn outcomes(outcomes: &Outcomes) -> Markup {
    let parts: Vec<_> =
        OUTCOMES.iter().map(|(outcome, series)| (*series, outcomes.of(*outcome))).filter(|(_, n)| *n > 0).collect();
    let words: Vec<_> = parts.iter().map(|(series, n)| format!("{} {}", count(*n), series.name)).collect();
    let total = outcomes.total().max(1);
    html! {
        figure.chart {
            (shares(&parts, &words.join(", ")))
            table.outcomes {
                caption.unseen { "What became of the recipients" }
                thead.unseen { tr { th scope="col" { "outcome" } th scope="col" { "recipients" } th scope="col" { "share" } } }
                tbody {
                    @for (series, n) in &parts {
                        tr {
                            th scope="row" { span.swatch { svg viewBox="0 0 1 1" aria-hidden="true" { rect class=(series.class) width="1" height="1" {} } } (series.name) }
                            td.n { (count(*n)) }
                            td.n { (percent(*n, total)) }
                        }
                    }
                }
            }
        }
    }
}

/// A share in words: whole percents, but never 0 or 100 for what is not.
pub fn percent(part: u64, whole: u64) -> String {
    let whole = whole.max(1);
    match (part * 100 + whole / 2) / whole {
        0 if part > 0 => "<1\u{a0}%".into(),
        100.. if part < whole => ">99\u{a0}%".into(),
        share => format!("{share}\u{a0}%"),
    }
}

/// Counts by weekday and hour of the day, UTC, over all weeks: the darker the more.
pub fn week(hours: &[(i64, u64)], what: &str) -> Markup {
    let mut cells = [[0u64; 24]; 7];
    for (hour, count) in hours {
        // 1970 began with a Thursday.
        let day = (hour.div_euclid(24) + 3).rem_euclid(7);
        let cell = cells.get_mut(usize::try_from(day).unwrap_or(0));
        if let Some(cell) = cell.and_then(|row| row.get_mut(usize::try_from(hour.rem_euclid(24)).unwrap_or(0))) {
            *cell += count;
        }
    }
    let mut all = Vec::with_capacity(cells.len() * 24);
    for (y, (day, row)) in DAYS.iter().zip(&cells).enumerate() {
        all.extend(row.iter().enumerate().map(|(x, n)| (y, *day, x, *n)));
    }
    let Some((_, day, at, most)) = all.iter().copied().min_by_key(|(.., n)| std::cmp::Reverse(*n)) else {
        return html! {};
    };
    if most == 0 {
        return html! {};
    }
    let words = format!("{what} by weekday and hour, UTC. Most: {} on {day} at {at:02}:00.", count(most));
    html! {
        figure.chart {
            div.week {
                div.days aria-hidden="true" { @for day in DAYS { span { (day) } } }
                svg viewBox="0 0 240 70" preserveAspectRatio="none" role="img" aria-label=(words) {
                    rect.ground width="240" height="70" {}
                    @for (y, day, x, n) in all.iter().copied().filter(|(.., n)| *n > 0) {
                        rect class=(format!("s{}", shade(n, most))) x=(x * 10) y=(y * 10) width="9.4" height="9" {
                            title { (day) " " (format!("{x:02}:00")) " UTC: " (count(n)) }
                        }
                    }
                }
                div.axis aria-hidden="true" { @for hour in ["00", "06", "12", "18", "24"] { span { (hour) } } }
            }
            (numbers(&html! {
                table {
                    caption { (what) " by weekday and hour, UTC" }
                    thead { tr { th scope="col" { "day" } @for hour in 0..24 { th.n scope="col" { (format!("{hour:02}")) } } } }
                    tbody {
                        @for (day, row) in DAYS.iter().zip(&cells) {
                            tr { th scope="row" { (day) } @for n in row { td { @if *n > 0 { (count(*n)) } } } }
                        }
                    }
                }
            }))
        }
    }
}

/// 1 to [`SHADES`], by the square root, so that little is seen beside much.
fn shade(count: u64, most: u64) -> u64 {
    ((SHADES * SHADES * count).div_ceil(most)).isqrt().clamp(1, SHADES)
}

/// One number with what it counts.
pub fn tile(number: u64, what: &str, class: &str) -> Markup {
    html! { div.tile { dt { (what) } dd class=(class) { (count(number)) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_has_few_bars() {
        for (hours, width) in [(1, 1), (96, 1), (97, 2), (24 * 30, 12), (24 * 400, 7 * 24), (24 * 365 * 130, 0)] {
            let axis = Axis::new(500_007, 500_007 + hours - 1);
            assert!(axis.bars <= BARS + 1, "{hours}: {axis:?}");
            assert!(width == 0 || axis.width == width, "{hours}: {axis:?}");
            assert_eq!(axis.bar(500_007), 0);
            assert_eq!(axis.bar(500_007 + hours - 1), axis.bars - 1);
        }
    }

    #[test]
    fn a_mark_is_as_wide_as_what_it_marks() {
        let series = vec![Series { name: "messages", class: "c-ok" }];
        let picture = |marked| {
            let stack = Stack { series: series.clone(), hours: vec![(100, vec![1]), (110, vec![2])] };
            over_time(&stack, Axis::new(100, 110), Some(marked), "Messages").into_string()
        };
        let rect =
            |bar: i64, bars: i64| format!(r#"class="marked" x="{}" y="-9000" width="{}""#, bar * BAR, bars * BAR);
        assert!(picture((103, 103)).contains(&rect(3, 1)), "{}", picture((103, 103)));
        assert!(picture((103, 104)).contains(&rect(3, 2)), "{}", picture((103, 104)));
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!(percent(1, 1_000_000), "<1\u{a0}%");
        assert_eq!(percent(999_999, 1_000_000), ">99\u{a0}%");
        assert_eq!(
            (percent(0, 10), percent(10, 10), percent(5, 10)),
            ("0\u{a0}%".into(), "100\u{a0}%".into(), "50\u{a0}%".into())
        );
        assert_eq!((shade(1, 1_000_000), shade(1_000_000, 1_000_000)), (1, SHADES));
    }
}
