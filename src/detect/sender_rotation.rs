//! One login or script, many envelope senders: sender1, sender2, ... to stay under a limit or a filter, random names, or
//! one name under many domains.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::case::{Senders, bad_share, few, run_around, total_between};
use super::{Case, Check, Detector, Draft, Limit, Limits, Severity, named, stop_it};
use crate::aggregate::window::busiest;
use crate::aggregate::{HourUse, SenderProfile, SenderUse, share};
use crate::mail::address::{printable, split};
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
            default: 8.0,
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
            key: "campaign_logins",
            default: 4.0,
            unit: "logins that send messages of one size at the same time to people they never wrote to",
            source: "detectors.md: one campaign split over several logins to stay under the limit",
        },
        Limit {
            key: "campaign_bad_share",
            default: 0.03,
            unit: "of the recipients of these logins then refused as unknown or unwanted",
            source: "detectors.md: month-end invoices of several firms go out in one hour, too",
        },
        Limit {
            key: "domains",
            default: 8.0,
            unit: "sender domains under which one login writes, none with half of its mail",
            source: "a person writes for one or a few domains",
        },
    ],
    check: Check::One(|case, limits| check(case, limits).or_else(|| campaign(case, limits))),
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

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let senders: Vec<_> = profile.senders().into_iter().filter(|s| !is_by_design(&s.address)).collect();
    let (pattern, mut rotating) = numbered(&senders, limits)
        .map(|found| ("numbered", found))
        .or_else(|| random(&senders, limits).map(|found| ("random", found)))
        .or_else(|| used_once(profile, &senders, limits).map(|found| ("once", found)))
        .or_else(|| new_in_a_day(profile, &senders, limits).map(|found| ("alike", found)))
        .or_else(|| one_name(case, &senders, limits).map(|found| ("domains", found)))
        .or_else(|| many_domains(profile, &senders, limits).map(|found| ("domains", found)))?;
    rotating.sort_by_key(|sender| sender.first);
    // Senders of other days than the run's are the user's own.
    let firsts: Vec<_> = rotating.iter().map(|sender| sender.first).collect();
    let (from, to, _) = run_around(&firsts, SECONDS_PER_HOUR, SECONDS_PER_DAY)?;
    rotating.retain(|sender| (from..=to).contains(&sender.first));
    let rotating = Senders::of(rotating)?;
    let Senders { messages, first, last, .. } = rotating;
    let count = rotating.uses.len() as u64;
    let part = share(messages, profile.messages);
    let severity = match (pattern, count) {
        ("numbered" | "random" | "once", 20..) | ("domains", 30..) => Severity::High,
        _ => Severity::Medium,
    };
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
        severity,
        score: (0.4 + 0.1 * (count as f64 / 5.0).min(3.0) + 0.2 * part).min(0.95),
        first,
        last,
        messages,
        recipients: profile.recipients,
        queue_ids: rotating.queue_ids(),
        explanation,
        evidence: json!({
            "pattern": pattern,
            "rotating_senders": count,
            "envelope_senders": profile.envelope_senders.count(),
            "share_of_messages": part,
            "samples": samples,
        }),
        next_step: format!(
            "Compare with what this user is meant to send: if it is not their mail, {}; if it is, allow only the addresses that belong to them as senders.",
            stop_it(profile)
        ),
    })
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
fn numbered<'a>(senders: &[&'a SenderUse], limits: &Limits<'_>) -> Option<Vec<&'a SenderUse>> {
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
    is_series.then(|| largest.into_iter().map(|(_, sender)| sender).collect())
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
    (found.len() as f64 >= limits.get("random_senders") && 2 * found.len() >= senders.len()).then_some(found)
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

/// One campaign split over several logins: the same size at the same time, to strangers.
fn campaign(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let (hours, logins) = case.alike();
    let (from, to) = (hours.first().copied()?, hours.last().copied()?);
    let once = |one: &SenderProfile| share(one.distinct_recipients.once(), one.distinct_recipients.count()) >= 0.3;
    let logins: Vec<_> = logins.into_iter().take(CAMPAIGN_LOGINS).filter(|one| once(one)).collect();
    if (logins.len() as f64) < limits.get("campaign_logins") || !once(profile) {
        return None;
    }
    let first = Timestamp::from_seconds(from * SECONDS_PER_HOUR);
    let last = Timestamp::from_seconds((to + 1) * SECONDS_PER_HOUR - 1).min(profile.last_seen);
    let used = total_between(profile, first, last);
    let all: HourUse = logins.iter().map(|one| total_between(one, first, last)).sum();
    if bad_share(all) < limits.get("campaign_bad_share") {
        return None;
    }
    let first = first.max(profile.first_seen);
    let names: Vec<_> = logins.iter().take(20).map(|one| printable(&one.name)).collect();
    Some(Draft {
        severity: Severity::High,
        score: 0.6,
        first,
        last,
        messages: u64::from(used.messages),
        recipients: u64::from(used.recipients),
        queue_ids: profile.queue_ids.clone(),
        explanation: format!(
            "{} sent messages of one size at the same time as {} other logins ({}), between {first} and {last}: one campaign split over them.",
            named(profile),
            logins.len().saturating_sub(1),
            few(&names),
        ),
        evidence: json!({ "pattern": "campaign", "logins": names, "login_count": logins.len(), "hours": hours.len() }),
        next_step: "Suspend all the logins named and reset their passwords; they are in one hand.".into(),
    })
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
