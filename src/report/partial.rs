//! The tables of a partial, for people and for other programs: what is certain of a piece of a log, whatever stood before
//! and behind it. `merge` reads none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use datasketches::hll::{HllSketch, HllType};
use rayon::prelude::*;

use super::HostNames;
use super::schema::{self, Schema};
use super::summary::InputSummary;
use super::tables::{Cell, LongTable};
use crate::aggregate::{Outcome, Outcomes, SenderProfile};
use crate::archive::partial::CutMessage;
use crate::correlate::{HostId, Octets};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

/// Up to so many different recipients of a day the count alone is told; more come with a sketch, too.
const EXACT: usize = 32;
/// Binary logarithm of the registers of a sketch: 3 % error at one standard deviation.
const SKETCH_LG_K: u8 = 10;
/// Items of one kind and identity that are told.
const TOP: usize = 5;

/// What the tables are made of.
pub struct Tables<'a> {
    pub profiles: Vec<&'a SenderProfile>,
    pub hosts: HostNames,
    pub cut: Vec<CutMessage>,
    pub inputs: Vec<&'a InputSummary>,
    /// Source and what is wrong with it.
    pub problems: Vec<(&'a str, &'a str)>,
    /// For the files' metadata.
    pub told: Vec<(&'static str, String)>,
}

/// Pushes a table's rows.
type Fill<'a> = dyn Fn(&mut LongTable) + Sync + 'a;

impl Tables<'_> {
    /// Writes all of them into a directory; gives their names.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, directory: &Path) -> io::Result<Vec<String>> {
        let all: [(&'static Schema, &Fill<'_>); 5] = [
            (&schema::IDENTITIES, &|table| self.identities(table)),
            (&schema::SESSIONS, &|table| self.sessions(table)),
            (&schema::TOP_ITEMS, &|table| self.top_items(table)),
            (&schema::CUT_MESSAGES, &|table| self.cut_messages(table)),
            (&schema::INPUTS, &|table| self.inputs(table)),
        ];
        let told: Vec<(&str, &str)> = self.told.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let write = |(schema, fill): &(&'static Schema, &Fill<'_>)| {
            let name = format!("{}.parquet", schema.name);
            let mut table = LongTable::create_told(schema, &directory.join(&name), &told)?;
            fill(&mut table);
            table.finish()?;
            Ok(name)
        };
        all.par_iter().map(write).collect()
    }

    fn host(&self, profile: &SenderProfile) -> Cell {
        Cell::text(self.hosts.first_of(profile))
    }

    fn identities(&self, table: &mut LongTable) {
        for profile in self.profiles.iter().filter(|profile| !profile.is_mute) {
            for (day, one) in days(profile) {
                // What is not kept by day is known of those who wrote on one day only.
                let is_only = profile.first_seen.day() == day && profile.last_seen.day() == day;
                let of =
                    |outcome: Outcome| one.outcomes.as_ref().map_or(Cell::None, |all| Cell::Count(all.of(outcome)));
                let whole = |count: u64| if is_only { Cell::Count(count) } else { Cell::None };
                let known = |outcome: Outcome, count: u64| if is_only { Cell::Count(count) } else { of(outcome) };
                let (minutes, counts): (Vec<u64>, Vec<u64>) = one.minutes.iter().copied().unzip();
                let distinct = match (is_only, one.recipients.len()) {
                    (true, _) => Cell::Count(profile.distinct_recipients.count()),
                    (false, 0) => Cell::None,
                    (false, count) => Cell::Count(count as u64),
                };
                table.push([
                    Cell::Count(profile.shard()),
                    Cell::Time(Timestamp::from_seconds(day.saturating_mul(SECONDS_PER_DAY))),
                    Cell::text(profile.kind.word()),
                    Cell::log(&profile.name),
                    self.host(profile),
                    if profile.first_seen.day() == day { second(profile.first_seen) } else { Cell::None },
                    if profile.last_seen.day() == day { second(profile.last_seen) } else { Cell::None },
                    match one.messages {
                        Some(messages) if !is_only => Cell::Count(messages),
                        _ => whole(profile.messages),
                    },
                    whole(profile.bytes),
                    Cell::Count(counts.iter().sum()),
                    known(Outcome::Delivered, profile.delivered),
                    known(Outcome::Deferred, profile.deferred),
                    known(Outcome::Bounced, profile.bounced),
                    known(Outcome::Expired, profile.expired),
                    known(Outcome::Discarded, profile.discarded),
                    known(Outcome::Rejected, profile.rejected),
                    known(Outcome::Tempfailed, profile.tempfailed),
                    distinct,
                    sketch(&one.recipients).map_or(Cell::None, Cell::Bytes),
                    Cell::Counts(minutes),
                    Cell::Counts(counts),
                ]);
            }
        }
    }

    fn sessions(&self, table: &mut LongTable) {
        for profile in &self.profiles {
            for (network, used) in &profile.networks {
                table.push([
                    Cell::Count(profile.shard()),
                    Cell::text(profile.kind.word()),
                    Cell::log(&profile.name),
                    self.host(profile),
                    Cell::text(if network.is_unspecified() { String::new() } else { network_text(*network) }),
                    second(used.first),
                    second(used.last),
                    Cell::count(used.total.messages),
                    Cell::count(used.total.recipients),
                    Cell::count(used.total.invalid),
                    Cell::count(used.total.distrusted),
                    Cell::Count(used.ips.len() as u64),
                    Cell::Count(used.hours.len() as u64),
                ]);
            }
        }
    }

    fn top_items(&self, table: &mut LongTable) {
        for profile in self.profiles.iter().filter(|profile| profile.is_our_user()) {
            let domains = profile.recipient_domains.iter().map(|(domain, count)| (text(domain), *count));
            let senders = profile.senders().into_iter().map(|sender| (text(&sender.address), sender.messages));
            let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
            for (key, reason) in &profile.reasons {
                *reasons.entry(key.category.id().to_string()).or_default() += reason.attempts;
            }
            let receivers = profile.receivers.by_count().into_iter();
            let receivers = receivers.map(|(name, outcomes)| (text(name), outcomes.total()));
            for (what, items) in [
                ("recipient-domain", top(domains)),
                ("envelope-sender", top(senders)),
                ("receiver", top(receivers)),
                ("category", top(reasons.into_iter())),
            ] {
                for (item, count) in items {
                    table.push([
                        Cell::Count(profile.shard()),
                        Cell::text(profile.kind.word()),
                        Cell::log(&profile.name),
                        self.host(profile),
                        Cell::text(what),
                        Cell::text(item),
                        Cell::Count(count),
                        Cell::Count(0),
                    ]);
                }
            }
        }
    }

    fn cut_messages(&self, table: &mut LongTable) {
        for one in &self.cut {
            table.push([
                Cell::log(self.hosts.name(HostId(one.host))),
                Cell::text(one.queue_id.to_string()),
                Cell::text(if one.has_beginning { "open" } else { "orphan" }),
                second(one.first),
                second(one.last),
                Cell::Count(one.lines),
            ]);
        }
    }

    fn inputs(&self, table: &mut LongTable) {
        for input in &self.inputs {
            let problems = self.problems.iter().filter(|(source, _)| *source == input.name);
            let problems: Vec<&str> = problems.map(|(_, what)| *what).collect();
            let span = input.span();
            table.push([
                Cell::text(printable(input.name.as_bytes())),
                Cell::text(printable(input.log.as_bytes())),
                Cell::text(input.year_source.word()),
                Cell::Count(input.lines),
                Cell::Count(input.framed),
                Cell::Count(input.mail_lines),
                Cell::Count(input.bytes),
                Cell::Count(input.left_out),
                span.map_or(Cell::None, |(first, _)| Cell::Time(first)),
                span.map_or(Cell::None, |(_, last)| Cell::Time(last)),
                Cell::text(problems.join("; ")),
            ]);
        }
    }
}

/// One UTC day of an identity.
#[derive(Default)]
struct Day {
    /// Recipients asked for, by minute since 1970.
    minutes: Vec<(u64, u64)>,
    /// Messages and outcomes, where they are kept by hour.
    messages: Option<u64>,
    outcomes: Option<Outcomes>,
    /// Hashes of whom the mails of the day went to; of identities of this site only.
    recipients: BTreeSet<u64>,
}

/// The days on which an identity asked for recipients or was refused them.
fn days(profile: &SenderProfile) -> BTreeMap<i64, Day> {
    const MINUTES: i64 = SECONDS_PER_DAY / 60;
    const HOURS: i64 = 24;
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    days.entry(profile.first_seen.day()).or_default();
    for (minute, count) in profile.attempted.in_order() {
        let minutes = &mut days.entry(minute.div_euclid(MINUTES)).or_default().minutes;
        minutes.push((u64::try_from(minute).unwrap_or(0), count));
    }
    for (hour, outcomes) in profile.hours.in_order() {
        let day = days.entry(hour.div_euclid(HOURS)).or_default();
        day.outcomes.get_or_insert_default().merge(outcomes);
    }
    for (hour, used) in profile.networks.values().flat_map(|network| &network.hours) {
        let day = days.entry(hour.div_euclid(HOURS)).or_default();
        *day.messages.get_or_insert(0) += u64::from(used.messages);
    }
    for (recipient, at) in profile.mails() {
        days.entry(at.day()).or_default().recipients.insert(recipient);
    }
    days
}

/// Apache DataSketches' HyperLogLog in its portable form, of the hashes as 64-bit numbers; `None` while the count is exact
/// and small.
fn sketch(recipients: &BTreeSet<u64>) -> Option<Vec<u8>> {
    if recipients.len() <= EXACT {
        return None;
    }
    let mut sketch = HllSketch::new(SKETCH_LG_K, HllType::Hll4).ok()?;
    recipients.iter().for_each(|hash| sketch.update(*hash));
    Some(sketch.serialize())
}

/// Whole seconds: the state has the fractions.
fn second(at: Timestamp) -> Cell {
    Cell::Time(Timestamp::from_seconds(at.seconds()))
}

fn text(name: &Octets) -> String {
    printable(name).into_owned()
}

/// The most frequent, of several the least.
fn top(items: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut items: Vec<_> = items.filter(|(item, count)| !item.is_empty() && *count > 0).collect();
    items.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    items.truncate(TOP);
    items
}

fn network_text(network: std::net::IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 24 } else { 48 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_recipients_come_with_a_sketch_that_others_read() {
        let few: BTreeSet<u64> = (0..EXACT as u64).collect();
        assert_eq!(sketch(&few), None);
        let many: BTreeSet<u64> = (0..5_000).collect();
        let bytes = sketch(&many).unwrap();
        let estimate = HllSketch::deserialize(&bytes).unwrap().estimate();
        assert!((4_600.0..5_400.0).contains(&estimate), "{estimate}");
        // Preamble of ten numbers, version 1, family 7 (HLL), as its specification has it.
        assert_eq!(bytes.get(..3), Some(&[10, 1, 7][..]));
    }

    #[test]
    fn the_top_is_the_most_frequent() {
        let items = [("b", 2), ("", 9), ("a", 2), ("c", 7), ("d", 1), ("e", 1), ("f", 1)];
        let found = top(items.iter().map(|(item, count)| ((*item).to_string(), *count)));
        assert_eq!(found.iter().map(|(item, _)| item.as_str()).collect::<Vec<_>>(), ["c", "a", "b", "d", "e"]);
    }
}
