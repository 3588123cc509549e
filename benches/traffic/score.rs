//! `traffic score`: what a report found of the truth, and what it cried over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    incident::{INTENSITIES, KINDS},
    model::{Counts, Identity},
    truth::{TrueIncident, Truth},
};

#[derive(Args, Debug)]
pub struct Score {
    /// truth.json; with several, the reports in the same order.
    #[arg(long, required = true)]
    truth: Vec<PathBuf>,
    /// Directory of the report, with findings.json and senders.json.
    #[arg(long, required = true)]
    report: Vec<PathBuf>,
    /// The figures as JSON too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Without the lists of what was missed and wrongly flagged.
    #[arg(long)]
    brief: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Finding {
    kind: String,
    severity: String,
    identity_kind: String,
    identity: String,
    #[serde(default)]
    host: Option<String>,
    first_seen: String,
    last_seen: String,
    #[serde(default)]
    explanation: String,
}

#[derive(Debug, Deserialize)]
struct SenderRow {
    identity_kind: String,
    identity: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Default)]
struct Cell {
    incidents: u64,
    found: u64,
    found_by_any: u64,
}

#[derive(Default)]
struct Sums {
    cells: BTreeMap<(usize, usize), Cell>,
    missed: Vec<String>,
    false_alarms: Vec<String>,
    false_by_kind: BTreeMap<String, u64>,
    /// Findings below medium on innocent identities.
    false_low: u64,
    /// Findings on an incident's identity whose kind is neither its own nor one that goes with it.
    beside: BTreeMap<String, u64>,
    account_days: f64,
    rows: u64,
    exact: u64,
    different: Vec<String>,
    /// By kind: seconds that the beginning and the end of the nearest finding are off.
    errors: BTreeMap<usize, (Vec<f64>, Vec<f64>)>,
}

pub fn run(score: &Score) -> io::Result<()> {
    if score.truth.len() != score.report.len() {
        return Err(io::Error::other("as many --report as --truth are needed"));
    }
    let mut sums = Sums::default();
    for (truth, report) in score.truth.iter().zip(&score.report) {
        let truth: Truth = serde_json::from_slice(&read(truth)?)?;
        let findings: Vec<Finding> = rows(&report.join("findings.json"))?;
        let senders: Vec<SenderRow> = rows(&report.join("senders.json"))?;
        add(&mut sums, &truth, &findings, &senders);
    }
    print(&mut sums, score.brief);
    if let Some(path) = &score.json {
        fs::write(path, serde_json::to_vec_pretty(&figures(&sums))?)?;
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// Rows of an array, of `{"rows": […]}`, or one a line.
fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Vec<T>> {
    let bytes = read(path)?;
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
        match value? {
            Value::Array(rows) => values.extend(rows),
            Value::Object(mut object) => match object.remove("rows") {
                Some(Value::Array(rows)) => values.extend(rows),
                _ => values.push(Value::Object(object)),
            },
            _ => {}
        }
    }
    values.into_iter().map(|row| serde_json::from_value(row).map_err(io::Error::from)).collect()
}

/// Seconds since 2000 of an RFC 3339 stamp with `Z`; close enough to compare.
fn seconds(stamp: &str) -> f64 {
    let number = |from: usize, to: usize| stamp.get(from..to).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let (y, m, d) = (number(0, 4), number(5, 7), number(8, 10));
    let (y, m) = if m <= 2 { (y - 1, m + 12) } else { (y, m) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d;
    let clock = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    let fraction = stamp.get(19..).and_then(|rest| rest.trim_end_matches('Z').parse::<f64>().ok()).unwrap_or(0.0);
    (days * 86_400 + clock) as f64 + fraction
}

/// Whether the finding is about this identity; a network holds its addresses.
fn is_about(finding: &Finding, identity: &Identity) -> bool {
    let host = finding.host.as_deref().unwrap_or("");
    if !host.is_empty() && host != identity.host {
        return false;
    }
    if finding.identity == identity.identity {
        return finding.identity_kind == identity.identity_kind || identity.identity_kind == "null";
    }
    finding.identity.strip_suffix(".0/24").is_some_and(|net| {
        identity.identity_kind == "client" && identity.identity.rsplit_once('.').is_some_and(|(own, _)| own == net)
    })
}

fn on(finding: &Finding, incident: &TrueIncident) -> bool {
    incident.identities.iter().chain(&incident.alternatives).any(|identity| is_about(finding, identity))
}

fn overlaps(finding: &Finding, incident: &TrueIncident) -> bool {
    let slack = 600.0;
    seconds(&finding.first_seen) <= seconds(&incident.last) + slack
        && seconds(&finding.last_seen) >= seconds(&incident.first) - slack
}

fn add(sums: &mut Sums, truth: &Truth, findings: &[Finding], senders: &[SenderRow]) {
    for incident in &truth.incidents {
        let kind = KINDS.iter().position(|kind| *kind == incident.kind).unwrap_or(0);
        let level = INTENSITIES.iter().position(|level| *level == incident.intensity).unwrap_or(0);
        let here: Vec<&Finding> =
            findings.iter().filter(|finding| on(finding, incident) && overlaps(finding, incident)).collect();
        let right: Vec<&&Finding> = here.iter().filter(|finding| finding.kind == incident.kind).collect();
        let cell = sums.cells.entry((kind, level)).or_default();
        cell.incidents += 1;
        cell.found += u64::from(!right.is_empty());
        cell.found_by_any += u64::from(!here.is_empty());
        if right.is_empty() {
            let by: BTreeSet<&str> = here.iter().map(|finding| finding.kind.as_str()).collect();
            let who: Vec<String> = incident.identities.iter().take(3).map(name).collect();
            sums.missed.push(format!(
                "{} seed {} {} {} [{}] {} messages, {} attempts, {} to {}: {}{}",
                incident.id,
                truth.seed,
                incident.kind,
                incident.intensity,
                incident.form,
                incident.messages,
                incident.attempts,
                incident.first.get(..16).unwrap_or(""),
                incident.last.get(..16).unwrap_or(""),
                who.join(", "),
                if by.is_empty() { String::new() } else { format!(" (found as {by:?})") }
            ));
        } else {
            // Of several (a host has more than one bad day) the nearest counts.
            let errors = right.iter().map(|finding| {
                (
                    seconds(&finding.first_seen) - seconds(&incident.first),
                    seconds(&finding.last_seen) - seconds(&incident.last),
                )
            });
            if let Some((first, last)) =
                errors.min_by(|a, b| (a.0.abs() + a.1.abs()).total_cmp(&(b.0.abs() + b.1.abs())))
            {
                let errors = sums.errors.entry(kind).or_default();
                errors.0.push(first);
                errors.1.push(last);
            }
        }
    }
    let roles: BTreeMap<(&str, &str), &str> = truth
        .identities
        .iter()
        .map(|sender| (&sender.identity, sender.role.as_str()))
        .chain(truth.bystanders.iter().map(|bystander| (&bystander.identity, bystander.role.as_str())))
        .map(|(identity, role)| ((identity.identity_kind.as_str(), identity.identity.as_str()), role))
        .collect();
    for finding in findings {
        let own: Vec<&TrueIncident> = truth
            .incidents
            .iter()
            .filter(|incident| incident.identities.iter().any(|identity| is_about(finding, identity)))
            .collect();
        let meant = truth.incidents.iter().any(|incident| {
            on(finding, incident) && (finding.kind == incident.kind || incident.also.contains(&finding.kind))
        });
        if meant {
            continue;
        }
        if !own.is_empty() {
            *sums.beside.entry(finding.kind.clone()).or_default() += 1;
            continue;
        }
        if finding.severity == "low" {
            sums.false_low += 1;
            continue;
        }
        *sums.false_by_kind.entry(finding.kind.clone()).or_default() += 1;
        let role =
            roles.get(&(finding.identity_kind.as_str(), finding.identity.as_str())).copied().unwrap_or("outside");
        sums.false_alarms.push(format!(
            "seed {} {} {} ({role}) {} {}: {}",
            truth.seed, finding.identity_kind, finding.identity, finding.kind, finding.severity, finding.explanation
        ));
    }
    let innocent = truth.identities.iter().filter(|sender| sender.innocent).count();
    sums.account_days += innocent as f64 * truth.days.len() as f64 / 1000.0;
    counts(sums, truth, senders);
}

fn counts(sums: &mut Sums, truth: &Truth, senders: &[SenderRow]) {
    let mut by_name: BTreeMap<(&str, &str), Vec<&SenderRow>> = BTreeMap::new();
    for row in senders {
        by_name.entry((&row.identity_kind, &row.identity)).or_default().push(row);
    }
    for sender in &truth.identities {
        sums.rows += 1;
        let found = by_name.get(&(sender.identity.identity_kind.as_str(), sender.identity.identity.as_str()));
        let row = found
            .and_then(|rows| rows.iter().find(|row| row.hosts.is_empty() || row.hosts.contains(&sender.identity.host)));
        match row {
            Some(row) if row.counts == sender.counts => sums.exact += 1,
            Some(row) => sums.different.push(format!(
                "seed {} {}: truth {}; report {}",
                truth.seed,
                name(&sender.identity),
                show(&sender.counts),
                show(&row.counts)
            )),
            None => sums.different.push(format!(
                "seed {} {}: truth {}; no row",
                truth.seed,
                name(&sender.identity),
                show(&sender.counts)
            )),
        }
    }
}

fn name(identity: &Identity) -> String {
    format!("{} {} on {}", identity.identity_kind, identity.identity, identity.host)
}

fn show(c: &Counts) -> String {
    format!(
        "messages {} recipients {} delivered {} bounced {} deferred {} expired {} rejected {} tempfailed {}",
        c.messages, c.recipients, c.delivered, c.bounced, c.deferred, c.expired, c.rejected, c.tempfailed
    )
}

/// The middle one of errors in seconds by size, the one that nine in ten are within, and the worst.
fn spread(errors: &mut [f64]) -> (f64, f64, f64) {
    errors.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let at = |part: usize| {
        errors.get((errors.len() * part / 10).min(errors.len().saturating_sub(1))).copied().unwrap_or(0.0)
    };
    (at(5), at(9), at(10))
}

fn print(sums: &mut Sums, brief: bool) {
    println!("{:<26} {:>17} {:>17} {:>17}", "found / any / incidents", "low", "medium", "high");
    let mut total = [Cell::default(), Cell::default(), Cell::default()];
    for (k, kind) in KINDS.iter().enumerate() {
        print!("{kind:<26}");
        for (level, total) in total.iter_mut().enumerate() {
            match sums.cells.get(&(k, level)) {
                Some(cell) => {
                    print!(" {:>17}", format!("{} / {} / {}", cell.found, cell.found_by_any, cell.incidents));
                    total.incidents += cell.incidents;
                    total.found += cell.found;
                    total.found_by_any += cell.found_by_any;
                }
                None => print!(" {:>17}", "-"),
            }
        }
        println!();
    }
    print!("{:<26}", "all");
    for cell in &total {
        print!(" {:>17}", format!("{} / {} / {}", cell.found, cell.found_by_any, cell.incidents));
    }
    println!("\n");
    let alarms: u64 = sums.false_by_kind.values().sum();
    println!(
        "false alarms, medium or worse: {alarms} = {:.3} per 1,000 innocent identities and day ({} low ones not counted)",
        alarms as f64 / sums.account_days.max(1e-9),
        sums.false_low
    );
    for (kind, n) in &sums.false_by_kind {
        println!("  {kind:<26} {n}");
    }
    if !sums.beside.is_empty() {
        println!("of another kind, on identities of incidents:");
        for (kind, n) in &sums.beside {
            println!("  {kind:<26} {n}");
        }
    }
    println!("sender rows with all counts exact: {} of {}", sums.exact, sums.rows);
    println!("first_seen and last_seen off by so many seconds (middle / nine in ten within / worst):");
    for (kind, (first, last)) in &mut sums.errors {
        let shown = |(middle, most, worst): (f64, f64, f64)| format!("{middle:.0} / {most:.0} / {worst:.0}");
        println!("  {:<26} {:>26} {:>26}", KINDS[*kind], shown(spread(first)), shown(spread(last)));
    }
    for line in sums.different.iter().take(20) {
        println!("  differs: {line}");
    }
    if brief {
        return;
    }
    println!("\nmissed ({}):", sums.missed.len());
    for line in &sums.missed {
        println!("  {line}");
    }
    println!("\nfalse alarms ({alarms}):");
    for line in &sums.false_alarms {
        println!("  {line}");
    }
}

fn figures(sums: &Sums) -> Value {
    let cells: Vec<Value> = sums
        .cells
        .iter()
        .map(|((kind, level), cell)| json!({"kind": KINDS[*kind], "intensity": INTENSITIES[*level], "incidents": cell.incidents, "found": cell.found, "found_by_any": cell.found_by_any}))
        .collect();
    let alarms: u64 = sums.false_by_kind.values().sum();
    json!({
        "incidents": cells,
        "false_alarms": alarms,
        "false_alarms_per_1000_innocent_and_day": alarms as f64 / sums.account_days.max(1e-9),
        "false_alarms_by_kind": sums.false_by_kind,
        "low_findings_on_innocent": sums.false_low,
        "of_another_kind_on_incident_identities": sums.beside,
        "sender_rows": sums.rows,
        "sender_rows_exact": sums.exact,
        "differing_rows": sums.different,
        "missed": sums.missed,
        "false_alarm_list": sums.false_alarms,
    })
}
