//! One login or script, many envelope senders: sender1, sender2, ... to stay under a limit or a filter, random names, or
//! one name under many domains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use serde_json::json;

use super::campaign::{Campaign, Run, domain};
use super::case::{Pattern, Senders, bad_share, domain_of, patterns, percent, queue_ids, total_between};
use super::signs::{
    FROM_NEW_NETWORKS, MANY_SENDER_DOMAINS, MOST_OF_ITS_MAIL, NEW_SENDERS_ALIKE, NUMBERED_SENDERS, ONE_MESSAGE_EACH, ONE_NETWORK,
    ONE_SENDER_DOMAIN, ONE_SIZE_BEYOND_CHANCE, ONE_SIZE_HARDLY_BY_CHANCE, RANDOM_SENDERS, REFUSED_AS_SPAM, SENDERS_BY_THE_DOZEN,
    SENDERS_USED_ONCE, STEADY_FOR_HOURS, UNKNOWN_EIGHTH,
};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, first_of, many, named, stop_it};
use crate::aggregate::distinct::{Distinct, FirstTimes};
use crate::aggregate::window::busiest;
use crate::aggregate::{HourUse, Pair, QueueIds, SenderProfile, SenderUse, share};
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
    let senders = profile.senders().into_iter().filter(|s| !is_by_design(&s.address)).collect();
    let senders = without_sites(case, without_counters(case, senders, limits));
    let found = numbered(case, &senders, limits)
        .map(|found| ("numbered", found))
        .or_else(|| random(&senders, limits).map(|found| ("random", found)))
        .or_else(|| used_once(profile, &senders, limits).map(|found| ("once", found)))
        .or_else(|| new_in_a_day(profile, &senders, limits).map(|found| ("alike", found)))
        .or_else(|| one_name(case, &senders, limits).map(|found| ("domains", found)))
        .or_else(|| many_domains(profile, &senders, limits).map(|found| ("domains", found)));
    let Some((pattern, mut rotating)) = found else { return Vec::new() };
    if come_back(case, &rotating) || is_to_the_same(profile, &rotating) {
        return Vec::new();
    }
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
        let alike = uses.len() as u64;
        let all = Senders::of(with_the_rest(case, pattern, uses, &senders))?;
        of_senders(case, limits, pattern, alike, all)
    };
    runs.iter().filter_map(of_run).collect()
}

/// Other new senders closer than this to those of a rotation are of it.
const BESIDE_S: i64 = SECONDS_PER_HOUR;

/// Senders that tell of a rotation, with the new ones beside them that do not by themselves: of ten random names three read
/// like names, and of ten numbered stems each needs its five. What is counted, and when it began, so stays while a rotation goes
/// on.
fn with_the_rest<'a>(
    case: &Case<'_>,
    pattern: &str,
    mut rotating: Vec<&'a SenderUse>,
    senders: &[&'a SenderUse],
) -> Vec<&'a SenderUse> {
    let known: HashSet<&[u8]> = rotating.iter().map(|sender| &*sender.address).collect();
    let domains: HashSet<Octets> = rotating.iter().map(|sender| domain_of(&sender.address)).collect();
    let is_numbered = |sender: &SenderUse| pattern == "numbered" && without_number(split(&sender.address).0).is_some();
    let is_new = |sender: &&SenderUse| {
        !known.contains(&*sender.address)
            && !sender.address.eq_ignore_ascii_case(&case.profile.name)
            && !comes_back(sender)
            && (domains.contains(&domain_of(&sender.address)) || is_numbered(sender))
    };
    let mut rest: Vec<_> = senders.iter().copied().filter(is_new).collect();
    rest.sort_by_key(|sender| sender.first);
    let firsts = || rotating.iter().map(|sender| sender.first);
    let (Some(mut from), Some(mut to)) = (firsts().min(), firsts().max()) else { return rotating };
    let gap_s = |sender: &SenderUse| if is_numbered(sender) { SECONDS_PER_DAY } else { BESIDE_S };
    for sender in rest.iter().rev() {
        if sender.first < from && from.seconds_since(sender.first) <= gap_s(sender) {
            from = sender.first;
        }
    }
    for sender in &rest {
        if sender.first > to && sender.first.seconds_since(to) <= gap_s(sender) {
            to = sender.first;
        }
    }
    rotating.extend(rest.into_iter().filter(|sender| (from..=to).contains(&sender.first)));
    rotating.sort_by_key(|sender| sender.first);
    rotating
}

fn of_senders(
    case: &Case<'_>,
    limits: &Limits<'_>,
    pattern: &str,
    alike: u64,
    rotating: Senders<'_>,
) -> Option<Draft> {
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
    let differ = if alike < count && matches!(pattern, "numbered" | "random") {
        format!("new within {}, {alike} of them {}", span_text(first, last), differ.trim_start_matches("that "))
    } else {
        differ
    };
    let explanation = format!(
        "{} used {}{count} envelope senders {differ} ({}), for {messages} of its {} messages.",
        named(profile),
        if profile.has_all_senders() { "" } else { "at least " },
        first_of(&samples, count),
        profile.messages,
    );
    let whose = match profile.kind {
        IdentityKind::Sasl => "this login",
        IdentityKind::Client => "this client",
        _ => "this user",
    };
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
            "alike_senders": alike,
            "envelope_senders": profile.envelope_senders.count(),
            "share_of_messages": part,
            "samples": samples,
        }),
        client_ips: Some(clients::of(profile, &rotating)),
        next_step: format!(
            "Compare it with what {whose} is meant to send: if this is other mail, {}; if it is that, allow only the addresses that belong to it as senders.",
            stop_it(profile)
        ),
    })
}

/// A span in words: `5 hours`, `3 days`.
fn span_text(first: Timestamp, last: Timestamp) -> String {
    let s = last.seconds_since(first).max(0).unsigned_abs();
    match s {
        0..7_200 => many((s / 60).max(1), "minute"),
        7_200..172_800 => many(s / 3_600, "hour"),
        _ => many(s / 86_400, "day"),
    }
}

/// Recipients that some senders wrote to, each mail counted.
fn recipients_of(profile: &SenderProfile, rotating: &Senders<'_>) -> u64 {
    rotating.messages.max(mails_of(profile, &rotating.uses).values().sum())
}

/// Mails of some senders by recipient.
fn mails_of<'a>(profile: &'a SenderProfile, senders: &[&SenderUse]) -> BTreeMap<&'a [u8], u64> {
    let addresses: HashSet<&[u8]> = senders.iter().map(|sender| &*sender.address).collect();
    let mut mails: BTreeMap<&[u8], u64> = BTreeMap::new();
    for pair in profile.pairs_to(|_| true) {
        if addresses.contains(&*pair.sender) {
            *mails.entry(&pair.recipient).or_default() += pair.times.len() as u64;
        }
    }
    mails
}

/// Recipients that get nearly all of what branches, orders and a mailbox that is moved elsewhere send.
const SAME_RECIPIENTS: usize = 3;
/// So much of it.
const SAME_SHARE: f64 = 0.9;

/// True where nearly all of it goes to one, two or three: senders rotate so that many strangers take their mail.
pub(super) fn is_to_the_same(profile: &SenderProfile, senders: &[&SenderUse]) -> bool {
    let mut mails: Vec<u64> = mails_of(profile, senders).into_values().collect();
    mails.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let most: u64 = mails.iter().take(SAME_RECIPIENTS).sum();
    share(most, mails.iter().sum()) >= SAME_SHARE
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

/// Senders that are the same but for one number, with their numbers.
fn by_number<'a>(senders: &[&'a SenderUse]) -> BTreeMap<Shape, Vec<(u64, &'a SenderUse)>> {
    let mut groups: BTreeMap<Shape, Vec<(u64, &SenderUse)>> = BTreeMap::new();
    for sender in senders {
        if let Some((shape, number)) = running_number(&sender.address) {
            groups.entry(shape).or_default().push((number, sender));
        }
    }
    groups
}

/// True for enough numbers close together: those of a series are dense; customer numbers and years of birth are not.
fn is_series(group: &[(u64, &SenderUse)], limits: &Limits<'_>) -> bool {
    let numbers: BTreeSet<_> = group.iter().map(|(number, _)| *number).collect();
    let (Some(least), Some(most)) = (numbers.first(), numbers.last()) else { return false };
    numbers.len() as f64 >= limits.get("numbered_senders") && most - least < 4 * numbers.len() as u64
}

/// Senders of groups that are the same but for one number, the numbers close together.
fn numbered<'a>(case: &Case<'_>, senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
    let groups = by_number(senders);
    let mut found = Vec::new();
    for group in groups.into_values().filter(|group| is_series(group, limits)) {
        let group: Vec<_> = group.into_iter().map(|(_, sender)| sender).collect();
        if !come_back(case, &group) {
            found.extend(group);
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Numbers of orders and tickets begin behind those that somebody makes up.
const COUNTER: u64 = 1_000;

/// Takes out senders of this host's domains that carry the number of an order or a ticket, so that answers find it: they are for
/// people who gave their addresses, and rise with time.
fn without_counters<'a>(case: &Case<'_>, senders: Vec<&'a SenderUse>, limits: &Limits<'_>) -> Vec<&'a SenderUse> {
    let mut counters: HashSet<&[u8]> = HashSet::new();
    for mut group in by_number(&senders).into_values().filter(|group| is_series(group, limits)) {
        let of_group: Vec<_> = group.iter().map(|(_, sender)| *sender).collect();
        let is_counter = group.iter().all(|(number, _)| *number >= COUNTER)
            && rises(&mut group)
            && of_group.iter().all(|sender| case.around().is_hosted(&domain_of(&sender.address)))
            && is_taken(case.profile, &of_group);
        if is_counter {
            counters.extend(of_group.iter().map(|sender| &*sender.address));
        }
    }
    senders.into_iter().filter(|sender| !counters.contains(&*sender.address)).collect()
}

/// True where the numbers of the later half are higher than those of the earlier one, on average by a quarter of all of them.
fn rises(group: &mut [(u64, &SenderUse)]) -> bool {
    group.sort_by_key(|(number, sender)| (sender.first, *number));
    let mean = |part: &[(u64, &SenderUse)]| {
        part.iter().map(|(number, _)| *number as f64).sum::<f64>() / (part.len() as f64).max(1.0)
    };
    let numbers = || group.iter().map(|(number, _)| *number);
    let span = numbers().max().zip(numbers().min()).map_or(0, |(most, least)| most - least) as f64;
    let (earlier, later) = group.split_at(group.len() / 2);
    mean(later) - mean(earlier) >= span / 4.0
}

/// Less than this was refused of what people asked for.
const TAKEN_BAD_SHARE: f64 = 0.1;

/// True where hardly anything is refused while these senders are used.
fn is_taken(profile: &SenderProfile, senders: &[&SenderUse]) -> bool {
    let first = senders.iter().map(|sender| sender.first).min();
    let last = senders.iter().map(|sender| sender.last).max();
    first.zip(last).is_some_and(|(first, last)| bad_share(total_between(profile, first, last)) < TAKEN_BAD_SHARE)
}

/// Days from the first to the last use of a sender that is somebody's own.
const OWN_SENDER_DAYS: i64 = 2;
/// Of a client's mail that is under one domain: it is the client's own.
const OWN_DOMAIN_SHARE: f64 = 0.9;

fn comes_back(sender: &SenderUse) -> bool {
    sender.messages >= 3 && sender.last.seconds_since(sender.first) >= OWN_SENDER_DAYS * SECONDS_PER_DAY
}

/// True for senders of its own domains most of which are used over days, as those of staff, tills, branches and machines are: of
/// this host's domains, or of the one under which a client always writes.
fn come_back(case: &Case<'_>, senders: &[&SenderUse]) -> bool {
    let profile = case.profile;
    let mut by_domain: BTreeMap<Octets, u64> = BTreeMap::new();
    if profile.kind == IdentityKind::Client {
        for sender in profile.senders() {
            *by_domain.entry(domain_of(&sender.address)).or_default() += sender.messages;
        }
    }
    let is_own = |domain: &Octets| {
        case.around().is_hosted(domain)
            || by_domain.get(domain).is_some_and(|count| share(*count, profile.messages) >= OWN_DOMAIN_SHARE)
    };
    let is_steady = |sender: &&&SenderUse| comes_back(sender) && is_own(&domain_of(&sender.address));
    senders.iter().filter(is_steady).count() * 4 >= senders.len() * 3 && is_taken(profile, senders)
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

/// Letters that stand for one sound: `schmidt` begins with two, as `smith` does.
const ONE_SOUND: &[&[u8]] = &[
    b"tsch", b"sch", b"ch", b"ck", b"sh", b"th", b"ph", b"gh", b"kh", b"zh", b"wh", b"tz", b"ts", b"dt", b"cz", b"sz", b"rz", b"dz",
    b"qu",
];

/// True for a local part of at least six letters and digits that change places often, or with a run of consonants that no
/// name has, with the initials of first names before it.
fn is_random(local: &[u8]) -> bool {
    if local.len() < 6 || !local.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let digits = local.iter().filter(|b| b.is_ascii_digit()).count();
    let pairs = || local.iter().zip(local.iter().skip(1));
    let changes = pairs().filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit()).count();
    let is_vowel = |b: u8| matches!(b, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let lower = local.to_ascii_lowercase();
    let runs = lower.split(|b| b.is_ascii_digit() || is_vowel(*b));
    (digits > 0 && changes >= 3) || runs.map(sounds).max().unwrap_or(0) >= 5
}

/// How many sounds some consonants are.
fn sounds(mut consonants: &[u8]) -> usize {
    let mut count = 0;
    while !consonants.is_empty() {
        let sound = ONE_SOUND.iter().find(|sound| consonants.starts_with(sound)).map_or(1, |sound| sound.len());
        consonants = consonants.get(sound..).unwrap_or_default();
        count += 1;
    }
    count
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
    let names: Vec<_> = logins.keys().map(|name| printable(name)).collect();
    let others: Vec<_> = logins.keys().filter(|name| **name != &*profile.name).map(|name| printable(name)).collect();
    let (queue_ids, strangers) = to_strangers(profile, first, last);
    let messages = if queue_ids.count > 0 { queue_ids.count } else { messages };
    Some(Draft {
        first,
        last,
        messages,
        recipients: strangers.count().max(messages),
        client_ips: Some(clients::to(profile, &strangers, first, last)),
        queue_ids,
        explanation: format!(
            "{} sent {messages} messages of one size to strangers between {first} and {last}, as {} did, of {} together ({}): one campaign split over them, {} of it refused as unknown or unwanted.",
            named(profile),
            many(logins.len() as u64 - 1, "other login"),
            many(domains.len() as u64, "domain"),
            first_of(&others, others.len() as u64),
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
        next_step: format!(
            "Ask the owners of all {} logins, which the evidence lists; where the mail is not theirs, suspend the logins and reset their passwords: they are in one hand.",
            logins.len()
        ),
        signs,
    })
}

/// The messages of a span to people who were written to once, out of the networks that wrote to such in the main; and these people.
fn to_strangers(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> (QueueIds, Distinct) {
    let end = last.plus_seconds(1);
    let pairs: Vec<_> = profile.pairs_to(|_| true).into_iter().filter(|pair| pair.times.len() == 1).collect();
    let of = |pair: &&Pair| FirstTimes::hash_of(&pair.recipient);
    let in_span: Vec<_> =
        pairs.into_iter().filter(|pair| pair.queue_ids.between(first, end).next().is_some()).collect();
    let all: Distinct = in_span.iter().map(of).collect();
    let networks = clients::networks_to(profile, &all, first, last);
    let strangers: Vec<_> =
        in_span.into_iter().filter(|pair| networks.iter().any(|used| used.recipients.has(of(pair)))).collect();
    let ids = queue_ids(strangers.iter().flat_map(|pair| pair.queue_ids.between(first, end)));
    (ids, strangers.iter().map(of).collect())
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

/// Takes out the only senders of this host's domains under which a program writes for its sites: to their own people, or for
/// days.
fn without_sites<'a>(case: &Case<'_>, mut senders: Vec<&'a SenderUse>) -> Vec<&'a SenderUse> {
    let mut by_domain: BTreeMap<Octets, u64> = BTreeMap::new();
    for sender in &senders {
        *by_domain.entry(domain_of(&sender.address)).or_default() += 1;
    }
    by_domain.retain(|domain, count| *count == 1 && case.around().is_hosted(domain));
    if by_domain.is_empty() {
        return senders;
    }
    let mut mails: HashMap<&[u8], (u64, u64)> = HashMap::new();
    for pair in case.profile.pairs_to(|_| true) {
        let known = mails.entry(&pair.sender).or_default();
        let count = pair.times.len() as u64;
        known.0 += count;
        known.1 += if case.around().is_hosted(&domain_of(&pair.recipient)) { count } else { 0 };
    }
    let stays = |sender: &SenderUse| mails.get(&*sender.address).is_some_and(|(all, here)| 2 * here >= *all);
    senders.retain(|sender| {
        !by_domain.contains_key(&domain_of(&sender.address)) || !(stays(sender) || comes_back(sender))
    });
    senders
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
        let german = ["mschmidt", "kschneider", "tschwarz", "hschroeder", "pschmitz", "jschwartz", "hgschmidt", "deutschmann"];
        let others = ["christopher", "schmidtchen", "b.mueller", "anna1987", "info", "krzysztof", "office2024", "jstrzelczyk"];
        for name in german.into_iter().chain(others) {
            assert!(!is_random(name.as_bytes()), "{name}");
        }
        for name in ["x7k2p9q", "qwrtzpx", "a1b2c3d4", "hjkdfgw8", "mxschkdr"] {
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
