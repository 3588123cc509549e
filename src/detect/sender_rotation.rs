//! One login or script, many envelope senders: sender1, sender2, ... to stay under a limit or a filter, random names, or
//! one name under many domains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::HashSet;
use serde_json::json;

use super::campaign::{Campaign, Run, domain};
use super::case::{Pattern, Senders, bad_share, domain_of, few, patterns, percent, queue_ids, total_between};
use super::signs::{
    FROM_NEW_NETWORKS, MANY_SENDER_DOMAINS, MOST_OF_ITS_MAIL, NEW_SENDERS_ALIKE, NUMBERED_SENDERS, ONE_MESSAGE_EACH, ONE_NETWORK,
    ONE_SENDER_DOMAIN, ONE_SIZE_BEYOND_CHANCE, ONE_SIZE_HARDLY_BY_CHANCE, RANDOM_SENDERS, REFUSED_AS_SPAM, SENDERS_BY_THE_DOZEN,
    SENDERS_USED_ONCE, STEADY_FOR_HOURS, UNKNOWN_EIGHTH,
};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named, stop_it};
use crate::aggregate::window::busiest;
use crate::aggregate::{HourUse, QueueIds, SenderProfile, SenderUse, share};
use crate::correlate::Octets;
use crate::mail::address::{is_own_network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "sender-rotation",
    question: "one login or script, many envelope senders?",
    limits: &[
        Limit {
            key: "numbered_senders",
            default: 5.0,
            unit: "envelope senders that differ by a running number only",
            source: "mxroute seed: sender1, sender2, ...; people do not number their addresses past a handful",
        },
        Limit {
            key: "random_senders",
            default: 6.0,
            unit: "envelope senders with a local part of random letters and digits",
            source: "generated names; fixtures/cases/first-look has none among its honest senders",
        },
        Limit {
            key: "new_senders_per_hour",
            default: 20.0,
            unit: "envelope senders used for the first time within one hour, each used hardly twice",
            source: "generated names that read like people's; the users of a shared login come back",
        },
        Limit {
            key: "new_senders_per_day",
            default: 8.0,
            unit: "envelope senders first used within one day after the first, none often, the messages of one size",
            source: "detectors.md: a CRM login has three to six",
        },
        Limit {
            key: "same_name_domains",
            default: 5.0,
            unit: "domains without a mailbox here under which one local part writes",
            source: "a firm has its few domains on its host",
        },
        Limit {
            key: "campaign_domains",
            default: 3.0,
            unit: "domains whose logins send messages of one size at the same time to people they never wrote to",
            source: "detectors.md: one campaign split over several logins to stay under the limit; one firm's logins are its own",
        },
        Limit {
            key: "campaign_score",
            default: 0.6,
            unit: "sum of the signs' weights",
            source: "one strong sign with two others: branches of an association mail one text at one hour, too",
        },
        Limit {
            key: "campaign_bad_share",
            default: 0.02,
            unit: "of the recipients of these logins then refused as unknown or unwanted",
            source: "detectors.md: month-end invoices of several firms go out in one hour, too",
        },
        Limit {
            key: "domains",
            default: 8.0,
            unit: "sender domains under which one login writes, none with half of its mail",
            source: "a person writes for one or a few domains",
        },
        Limit {
            key: "dozens",
            default: 20.0,
            unit: "envelope senders of one such pattern",
            source: "harm: that is no slip of a program",
        },
        Limit {
            key: "dozens_of_domains",
            default: 30.0,
            unit: "envelope senders under many domains",
            source: "as dozens; a web host's own login writes for its customers",
        },
    ],
    signs: &[
        NUMBERED_SENDERS,
        RANDOM_SENDERS,
        SENDERS_USED_ONCE,
        NEW_SENDERS_ALIKE,
        MANY_SENDER_DOMAINS,
        SENDERS_BY_THE_DOZEN,
        MOST_OF_ITS_MAIL,
        ONE_SIZE_BEYOND_CHANCE,
        ONE_SIZE_HARDLY_BY_CHANCE,
        REFUSED_AS_SPAM,
        UNKNOWN_EIGHTH,
        ONE_MESSAGE_EACH,
        STEADY_FOR_HOURS,
        FROM_NEW_NETWORKS,
        ONE_NETWORK,
        ONE_SENDER_DOMAIN,
    ],
    check: Check::Many(|case, limits| {
        let found = check(case, limits);
        if found.is_empty() { campaign(case, limits).into_iter().collect() } else { found }
    }),
};

/// Local parts that services number by design, one address per message: returns, lists, tickets.
const BY_DESIGN: &[&[u8]] = &[
    b"bounce", b"bounces", b"return", b"returns", b"rtn", b"verp", b"prvs", b"srs0", b"srs1", b"msprvs1", b"btv1",
    b"owner", b"request", b"ticket", b"case", b"reply", b"noreply", b"no-reply", b"mailer", b"errors", b"err",
];

/// Local parts under which machines write.
pub(super) const SYSTEM_NAMES: &[&[u8]] = &[
    b"root", b"cron", b"daemon", b"nobody", b"admin", b"postmaster", b"mailer-daemon", b"www-data", b"apache", b"nginx",
    b"backup", b"nagios", b"icinga", b"zabbix", b"monitoring", b"logwatch", b"fail2ban", b"postgres", b"mysql",
];

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return Vec::new();
    }
    let senders: Vec<_> = profile.senders().into_iter().filter(|s| !is_by_design(&s.address)).collect();
    let found = numbered(case, &senders, limits)
        .map(|found| ("numbered", found))
        .or_else(|| random(&senders, limits).map(|found| ("random", found)))
        .or_else(|| used_once(profile, &senders, limits).map(|found| ("once", found)))
        .or_else(|| new_in_a_day(profile, &senders, limits).map(|found| ("alike", found)))
        .or_else(|| one_name(case, &senders, limits).map(|found| ("domains", found)))
        .or_else(|| many_domains(profile, &senders, limits).map(|found| ("domains", found)));
    let Some((pattern, mut rotating)) = found else { return Vec::new() };
    rotating.sort_by_key(|sender| sender.first);
    // Senders of other days than the run's are the user's own.
    let firsts: Vec<_> = rotating.iter().map(|sender| sender.first).collect();
    let least = ["numbered_senders", "random_senders", "same_name_domains"].map(|key| limits.get(key));
    let least = least.into_iter().fold(f64::INFINITY, f64::min);
    let mut runs = patterns(&firsts, &[SECONDS_PER_DAY], |piece| piece.len() as f64 >= least);
    if runs.is_empty() && let (Some(first), Some(last)) = (firsts.first(), firsts.last()) {
        // A few a day, for days.
        runs.push(Pattern { first: *first, last: *last, pieces: vec![(*first, *last)] });
    }
    let of_run = |run: &Pattern| {
        let span = run.first..=run.last;
        let uses: Vec<_> = rotating.iter().copied().filter(|sender| span.contains(&sender.first)).collect();
        of_senders(case, limits, pattern, Senders::of(uses)?)
    };
    runs.iter().filter_map(of_run).collect()
}

fn of_senders(case: &Case<'_>, limits: &Limits<'_>, pattern: &str, rotating: Senders<'_>) -> Option<Draft> {
    let profile = case.profile;
    let Senders { messages, first, last, .. } = rotating;
    let count = rotating.uses.len() as u64;
    let part = share(messages, profile.messages);
    let (sign, dozens) = match pattern {
        "numbered" => (NUMBERED_SENDERS, "dozens"),
        "random" => (RANDOM_SENDERS, "dozens"),
        "once" => (SENDERS_USED_ONCE, "dozens"),
        "alike" => (NEW_SENDERS_ALIKE, "dozens"),
        _ => (MANY_SENDER_DOMAINS, "dozens_of_domains"),
    };
    let signs = Signs::of(sign)
        .and(count as f64 >= limits.get(dozens), SENDERS_BY_THE_DOZEN)
        .and(part >= 0.5, MOST_OF_ITS_MAIL);
    let samples = rotating.samples();
    let differ = match pattern {
        "numbered" => "that differ only by a number".to_string(),
        "random" => "with random names".to_string(),
        "once" => "hardly one of them twice".to_string(),
        "alike" => "all new, for messages of one size".to_string(),
        _ => format!("under {} domains", profile.envelope_sender_domains.count()),
    };
    let explanation = format!(
        "{} used {}{count} envelope senders {differ} ({}, ...) for {messages} of its {} messages.",
        named(profile),
        if profile.has_all_senders() { "" } else { "at least " },
        few(&samples),
        profile.messages,
    );
    Some(Draft {
        signs,
        first,
        last,
        messages,
        recipients: recipients_of(profile, &rotating),
        queue_ids: rotating.queue_ids(),
        explanation,
        evidence: json!({
            "pattern": pattern,
            "rotating_senders": count,
            "envelope_senders": profile.envelope_senders.count(),
            "share_of_messages": part,
            "samples": samples,
        }),
        client_ips: None,
        next_step: format!(
            "Compare with what this user is meant to send: if it is not their mail, {}; if it is, allow only the addresses that belong to them as senders.",
            stop_it(profile)
        ),
    })
}

/// Recipients that some senders wrote to, each mail counted.
fn recipients_of(profile: &SenderProfile, rotating: &Senders<'_>) -> u64 {
    let addresses: HashSet<&[u8]> = rotating.uses.iter().map(|sender| &*sender.address).collect();
    let pairs = profile.pairs_to(|_| true);
    let sent = pairs.iter().filter(|pair| addresses.contains(&*pair.sender)).map(|pair| pair.times.len() as u64).sum();
    rotating.messages.max(sent)
}

fn is_by_design(address: &[u8]) -> bool {
    let (local, _) = split(address);
    let lower = local.to_ascii_lowercase();
    let first_word: Vec<u8> = lower.iter().copied().take_while(|b| b.is_ascii_alphanumeric()).collect();
    // Another address inside, or a tag behind a plus: written per recipient.
    local.is_empty()
        || local.contains(&b'=')
        || local.contains(&b'+')
        || BY_DESIGN.contains(&first_word.as_slice())
        || lower.ends_with(b"-bounces")
        || lower.starts_with(b"no-reply")
}

/// Local part and domain of an address with a number taken out of one of them.
type Shape = (Vec<u8>, Vec<u8>);

/// The largest group of senders that are the same but for one number, the numbers close together.
fn numbered<'a>(case: &Case<'_>, senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
    let mut groups: BTreeMap<Shape, Vec<(u64, &SenderUse)>> = BTreeMap::new();
    for sender in senders {
        if let Some((shape, number)) = running_number(&sender.address) {
            groups.entry(shape).or_default().push((number, sender));
        }
    }
    let (_, largest) = groups.into_iter().max_by_key(|(_, group)| group.len())?;
    let numbers: BTreeSet<_> = largest.iter().map(|(number, _)| *number).collect();
    let span = numbers.last()? - numbers.first()? + 1;
    // Numbers of a series are dense; customer numbers and years of birth are not.
    let is_series = numbers.len() as f64 >= limits.get("numbered_senders") && span <= 4 * numbers.len() as u64;
    let largest: Vec<_> = largest.into_iter().map(|(_, sender)| sender).collect();
    (is_series && !come_back(case, &largest)).then_some(largest)
}

/// Days from the first to the last use of a sender that is somebody's own.
const OWN_SENDER_DAYS: i64 = 2;

/// True for senders of this host's domains most of which are used over days, as tills, branches and machines are.
fn come_back(case: &Case<'_>, senders: &[&SenderUse]) -> bool {
    let comes_back = |sender: &&&SenderUse| {
        sender.messages >= 3
            && sender.last.seconds_since(sender.first) >= OWN_SENDER_DAYS * SECONDS_PER_DAY
            && case.around().is_hosted(&domain_of(&sender.address))
    };
    senders.iter().filter(comes_back).count() * 4 >= senders.len() * 3
}

/// An address with its last number of at most five digits in the local part, or else in the domain's first label, taken
/// out.
fn running_number(address: &[u8]) -> Option<(Shape, u64)> {
    let (local, domain) = split(address);
    if let Some((shape, number)) = without_number(local) {
        return Some(((shape, domain.to_vec()), number));
    }
    // root@web1, root@web2, ...: machines have numbers.
    if SYSTEM_NAMES.iter().any(|name| local.eq_ignore_ascii_case(name)) {
        return None;
    }
    let (shape, number) = without_number(domain)?;
    Some(((local.to_ascii_lowercase(), shape), number))
}

fn without_number(text: &[u8]) -> Option<(Vec<u8>, u64)> {
    let end = text.iter().rposition(u8::is_ascii_digit)? + 1;
    let digits = text.get(..end)?.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if digits > 5 {
        return None;
    }
    let (front, tail) = (text.get(..end - digits)?, text.get(end..)?);
    let number = text.get(end - digits..end)?.iter().fold(0, |sum, d| sum * 10 + u64::from(d - b'0'));
    let mut shape = front.to_ascii_lowercase();
    shape.push(b'#');
    shape.extend(tail.to_ascii_lowercase());
    Some((shape, number))
}

/// Senders whose local part reads like chance.
fn random<'a>(senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
    let found: Vec<_> = senders.iter().copied().filter(|s| is_random(split(&s.address).0)).collect();
    // Half of what chance writes does not read like it; of names hardly one does.
    (found.len() as f64 >= limits.get("random_senders") && 3 * found.len() >= senders.len()).then_some(found)
}

/// True for a local part of at least six letters and digits that change places often, or with a run of consonants that
/// no name has.
fn is_random(local: &[u8]) -> bool {
    if local.len() < 6 || !local.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let digits = local.iter().filter(|b| b.is_ascii_digit()).count();
    let pairs = || local.iter().zip(local.iter().skip(1));
    let changes = pairs().filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit()).count();
    let is_vowel = |b: u8| matches!(b.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let longest_consonants = local
        .split(|b| b.is_ascii_digit() || is_vowel(*b))
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    (digits > 0 && changes >= 3) || longest_consonants >= 5
}

/// Many new senders in one hour, most of which never come again. A client that relays for others has them by its nature.
fn used_once<'a>(profile: &SenderProfile, senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
    let messages: u64 = senders.iter().map(|s| s.messages).sum();
    if profile.kind == IdentityKind::Client || 2 * messages > 3 * senders.len() as u64 {
        return None;
    }
    let mut firsts: Vec<_> = senders.iter().map(|s| s.first).collect();
    firsts.sort_unstable();
    let (_, _, most) = busiest(&firsts, SECONDS_PER_HOUR)?;
    (most as f64 >= limits.get("new_senders_per_hour")).then(|| senders.to_vec())
}

/// Senders that all came up within a day, for messages of one size.
fn new_in_a_day<'a>(
    profile: &SenderProfile,
    senders: &[&'a SenderUse],
    limits: &Limits<'_>,
) -> Option<Vec<&'a SenderUse>> {
    let main = senders.iter().max_by_key(|sender| sender.messages)?;
    let seldom: Vec<_> = senders.iter().copied().filter(|s| s.messages <= 10 && s.address != main.address).collect();
    let mut firsts: Vec<_> = seldom.iter().map(|sender| sender.first).collect();
    firsts.sort_unstable();
    let (from, to, most) = busiest(&firsts, SECONDS_PER_DAY)?;
    let total: u64 = profile.sizes.values().sum();
    let alike = profile.sizes.iter().map(|(step, n)| n + profile.sizes.get(&(step + 1)).unwrap_or(&0)).max()?;
    let is_found = profile.kind == IdentityKind::Sasl
        && most as f64 >= limits.get("new_senders_per_day")
        && share(alike, total) >= 0.5;
    is_found.then(|| seldom.into_iter().filter(|sender| (from..=to).contains(&sender.first)).collect())
}

/// One local part under many domains that nobody here has.
fn one_name<'a>(case: &Case<'_>, senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
    if case.profile.kind == IdentityKind::Client {
        return None;
    }
    let mut by_name: BTreeMap<Vec<u8>, Vec<&SenderUse>> = BTreeMap::new();
    for sender in senders {
        let (local, domain) = split(&sender.address);
        let is_system = SYSTEM_NAMES.iter().any(|name| local.eq_ignore_ascii_case(name));
        if !is_system && domain.contains(&b'.') && !case.around().is_hosted(&domain.to_ascii_lowercase()) {
            by_name.entry(local.to_ascii_lowercase()).or_default().push(sender);
        }
    }
    by_name.into_values().max_by_key(Vec::len).filter(|uses| uses.len() as f64 >= limits.get("same_name_domains"))
}

/// Logins of one campaign that are looked at.
const CAMPAIGN_LOGINS: usize = 100;
/// Users of a network beyond which it is a carrier's or a large office's.
const NETWORK_USERS: usize = 20;

/// One campaign split over several logins. That several mail at one time, at one size, to strangers, is no proof yet:
/// associations do.
fn campaign(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let all = case.campaigns();
    let closest = all.iter().min_by(|a, b| a.by_chance.total_cmp(&b.by_chance))?;
    // The same logins again in other windows.
    let others = |one: &Campaign<'_>| {
        one.runs.iter().filter(|run| closest.run_of(run.profile).is_some()).count() > CAMPAIGN_OTHERS
    };
    let windows: Vec<&Campaign<'_>> = all.iter().copied().filter(|one| others(one)).collect();
    let mut logins: BTreeMap<&[u8], &SenderProfile> = BTreeMap::new();
    for run in windows.iter().flat_map(|one| &one.runs) {
        if logins.len() < CAMPAIGN_LOGINS {
            logins.insert(&run.profile.name, run.profile);
        }
    }
    let domains: BTreeSet<&[u8]> = logins.values().map(|one| domain(one)).collect();
    if (domains.len() as f64) < limits.get("campaign_domains") {
        return None;
    }
    let runs = || windows.iter().filter_map(|one| one.run_of(profile));
    let hour = |hour: i64| Timestamp::from_seconds(hour * SECONDS_PER_HOUR);
    let from = hour(runs().map(|run| run.from).min()?);
    let to = hour(runs().map(|run| run.to).max()? + 1).plus_seconds(-1);
    let firsts = profile.distinct_recipients.times();
    let first = firsts.iter().copied().find(|at| *at >= from).unwrap_or(from);
    let last = firsts.iter().rev().copied().find(|at| *at <= to).unwrap_or(to);
    // Hours are disjoint; a day is looked at as a whole.
    let is_in_day = |run: &&Run<'_>| {
        let mut days = windows.iter().filter(|one| one.hours > 1).filter_map(|one| one.run_of(profile));
        !days.any(|day| !std::ptr::eq(day, *run) && (day.from..=day.to).contains(&run.from) && day.messages >= run.messages)
    };
    let messages: u64 = runs().filter(is_in_day).map(|run| run.messages).sum();
    let by_chance = |is_day: bool| -> f64 {
        windows.iter().filter(|one| (one.hours > 1) == is_day).map(|one| one.by_chance).product()
    };
    let by_chance = by_chance(true).min(by_chance(false));
    let used: HourUse = logins.values().map(|one| total_between(one, first, last)).sum();
    let bad = bad_share(used);
    let new_networks = logins.values().filter(|one| came_from_new_networks(one, from, to)).count();
    let shared = shared_networks(case, &logins, from, to);
    let senders = shared_senders(&logins, from, to);
    let mut signs = Signs::default();
    signs.add(by_chance <= 0.01, ONE_SIZE_BEYOND_CHANCE);
    signs.add(by_chance > 0.01 && by_chance <= 0.05, ONE_SIZE_HARDLY_BY_CHANCE);
    signs.add(used.distrusted >= 2 && share(u64::from(used.distrusted), u64::from(used.recipients)) >= 0.01, REFUSED_AS_SPAM);
    signs.add(share(u64::from(used.invalid), u64::from(used.recipients)) >= 0.12, UNKNOWN_EIGHTH);
    signs.add(u64::from(used.recipients) * 2 <= u64::from(used.messages) * 3, ONE_MESSAGE_EACH);
    signs.add(last.seconds_since(first) >= 3 * SECONDS_PER_HOUR, STEADY_FOR_HOURS);
    signs.add(2 * new_networks >= logins.len(), FROM_NEW_NETWORKS);
    signs.add(!shared.is_empty(), ONE_NETWORK);
    signs.add(!senders.is_empty(), ONE_SENDER_DOMAIN);
    if bad < limits.get("campaign_bad_share") {
        return None;
    }
    if signs.weight() < limits.get("campaign_score") {
        return None;
    }
    let names: Vec<_> = logins.keys().take(20).map(|name| printable(name)).collect();
    let others: Vec<_> =
        logins.keys().filter(|name| **name != &*profile.name).take(20).map(|name| printable(name)).collect();
    Some(Draft {
        first,
        last,
        messages,
        recipients: messages,
        queue_ids: to_strangers(profile, first, last),
        explanation: format!(
            "{} sent {messages} messages of one size to strangers between {first} and {last}, as {} did, of {} together ({}): one campaign split over them, {} of it refused as unknown or unwanted.",
            named(profile),
            many(logins.len() as u64 - 1, "other login"),
            many(domains.len() as u64, "domain"),
            few(&others),
            percent(bad),
        ),
        evidence: json!({
            "pattern": "campaign",
            "logins": names,
            "login_count": logins.len(),
            "domain_count": domains.len(),
            "groups_like_it_by_chance": by_chance,
            "refused_share": bad,
            "logins_from_new_networks": new_networks,
            "networks_in_common": shared.iter().take(10).map(ToString::to_string).collect::<Vec<_>>(),
            "sender_domains_in_common": senders.iter().take(10).map(|name| printable(name)).collect::<Vec<_>>(),
        }),
        client_ips: None,
        next_step: "Ask the owners of the logins named; where the mail is not theirs, suspend the logins and reset their passwords: they are in one hand.".into(),
        signs,
    })
}

/// The messages of a span to people who were written to once.
fn to_strangers(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> QueueIds {
    let pairs = profile.pairs_to(|_| true);
    let once = pairs.iter().filter(|pair| pair.times.len() == 1);
    queue_ids(once.flat_map(|pair| pair.queue_ids.between(first, last.plus_seconds(1))))
}

/// Other logins that two windows of one campaign have in common.
const CAMPAIGN_OTHERS: usize = 2;

/// True where a login wrote most of its mail of a span from networks that it had not used before, having been there before.
fn came_from_new_networks(profile: &SenderProfile, from: Timestamp, to: Timestamp) -> bool {
    let recipients = |is_new: bool| -> u32 {
        let networks = profile.networks.values().filter(|used| (used.first >= from) == is_new);
        networks.flat_map(|used| used.hours.range(from.hour()..=to.hour())).map(|(_, hour)| hour.recipients).sum()
    };
    profile.first_seen < from && recipients(true) > recipients(false)
}

/// Networks out of which logins of several domains wrote in a span, and few others ever.
fn shared_networks(
    case: &Case<'_>,
    logins: &BTreeMap<&[u8], &SenderProfile>,
    from: Timestamp,
    to: Timestamp,
) -> Vec<IpAddr> {
    let mut domains: BTreeMap<IpAddr, BTreeSet<&[u8]>> = BTreeMap::new();
    for one in logins.values() {
        for (network, used) in &one.networks {
            if !is_own_network(*network) && used.hours.range(from.hour()..=to.hour()).next().is_some() {
                domains.entry(*network).or_default().insert(domain(one));
            }
        }
    }
    domains.retain(|network, of| of.len() >= 2 && case.others_in(*network).take(NETWORK_USERS).count() < NETWORK_USERS);
    domains.into_keys().collect()
}

/// Sender domains first used in a span by logins of several domains, of none of which it is.
fn shared_senders(logins: &BTreeMap<&[u8], &SenderProfile>, from: Timestamp, to: Timestamp) -> Vec<Octets> {
    let mut domains: BTreeMap<Octets, BTreeSet<&[u8]>> = BTreeMap::new();
    for one in logins.values() {
        for sender in one.senders() {
            let of = domain_of(&sender.address);
            if (from..=to).contains(&sender.first) && !of.is_empty() && *of != *domain(one).to_ascii_lowercase() {
                domains.entry(of).or_default().insert(domain(one));
            }
        }
    }
    domains.retain(|_, of| of.len() >= 2);
    domains.into_keys().collect()
}

/// Senders under many domains, none of which is the login's main one.
fn many_domains<'a>(
    profile: &SenderProfile,
    senders: &[&'a SenderUse],
    limits: &Limits<'_>,
) -> Option<Vec<&'a SenderUse>> {
    // A client that relays for others has many domains by its nature.
    if profile.kind == IdentityKind::Client {
        return None;
    }
    let mut by_domain: BTreeMap<&[u8], u64> = BTreeMap::new();
    for sender in senders {
        *by_domain.entry(split(&sender.address).1).or_default() += sender.messages;
    }
    let total: u64 = by_domain.values().sum();
    let is_spread = by_domain.values().all(|messages| 2 * messages <= total);
    (by_domain.len() as f64 >= limits.get("domains") && is_spread).then(|| senders.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_number_is_found_in_local_part_or_domain() {
        let of = |address: &str| running_number(address.as_bytes()).map(|(_, number)| number);
        assert_eq!(of("sender12@b.example"), Some(12));
        assert_eq!(of("info@mail7.example"), Some(7));
        assert_eq!(of("a3b@x.example"), Some(3));
        assert_eq!(of("k20260304@x.example"), None);
        assert_eq!(of("al@b.example"), None);
    }

    #[test]
    fn names_of_people_are_not_random() {
        for name in ["christopher", "schmidtchen", "b.mueller", "anna1987", "info", "krzysztof", "office2024"] {
            assert!(!is_random(name.as_bytes()), "{name}");
        }
        for name in ["x7k2p9q", "qwrtzpx", "a1b2c3d4", "hjkdfgw8"] {
            assert!(is_random(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn addresses_written_per_message_are_no_rotation() {
        for address in ["bounce-12@x.example", "b+bo=a.example@x.example", "SRS0=x=y=a@x.example", "list-bounces@x.example"] {
            assert!(is_by_design(address.as_bytes()), "{address}");
        }
        assert!(!is_by_design(b"sender1@x.example"));
    }
}
