//! Somebody else uses a login: mail from networks that are new to it, to people it never wrote to, more than it ever sent,
//! refused more than its own mail is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;

use super::campaign::domain;
use super::case::{bad_recipients, bad_share, countries, is_clearly_over, is_ordinary, is_spray, percent, together, with};
use super::signs::{
    AT_ODD_HOURS, COUNTRIES_AT_ONCE, GUESSED_BEFORE, GUESSED_FROM_ELSEWHERE, LARGE_VOLUME, MANY_COUNTRIES,
    MANY_NETWORKS, MANY_SENDERS, MANY_STRANGERS, MORE_THAN_EVER, NETWORKS_ALL_OVER, NETWORKS_AT_ONCE,
    NETWORK_OF_OTHER_VICTIMS, NEW_COUNTRY, NOBODY_ANSWERS, NOBODY_TWICE, REFUSED_MORE, REFUSED_MORE_THAN_PEERS,
    REFUSED_MUCH, ROUND_THE_CLOCK, STRANGERS_ONLY,
};
use super::{Case, Check, Detector, Draft, Limit, Limits, Sign, Signs, many, named, network_text};
use crate::aggregate::distinct::Distinct;
use crate::aggregate::network::NETWORKS;
use crate::aggregate::{HourUse, NetworkUse, QueueIds, SIZE_STEPS, SenderProfile, share};
use crate::mail::address::{network, printable, split};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};
use crate::places::Place;

pub(super) const DETECTOR: Detector = Detector {
    kind: "account-takeover",
    question: "is somebody else using this login?",
    limits: &[
        Limit {
            key: "score",
            default: 0.63,
            unit: "sum of the weights of the signs that tell who it was",
            source: "one strong sign with a weak one, or three of middle weight; one alone never is enough",
        },
        Limit {
            key: "recipients",
            default: 12.0,
            unit: "recipients asked for from foreign networks",
            source: "a precursor mail alone is no finding; a run shows within 50 messages",
        },
        Limit {
            key: "networks",
            default: 4.0,
            unit: "client networks that are foreign to the login, those of its carrier and provider left out (--mmdb)",
            source: "detectors.md: a travelling user has three and a phone",
        },
        Limit {
            key: "countries",
            default: 3.0,
            unit: "countries of foreign networks that are new to the login (--mmdb)",
            source: "a journey leads through one or two",
        },
        Limit {
            key: "hundreds",
            default: 200.0,
            unit: "recipients asked for from foreign networks",
            source: "harm: the host's reputation is at stake",
        },
    ],
    signs: &[
        MANY_NETWORKS,
        NETWORKS_AT_ONCE,
        NOBODY_TWICE,
        NETWORKS_ALL_OVER,
        NEW_COUNTRY,
        MANY_COUNTRIES,
        COUNTRIES_AT_ONCE,
        STRANGERS_ONLY,
        REFUSED_MORE,
        REFUSED_MORE_THAN_PEERS,
        REFUSED_MUCH,
        MORE_THAN_EVER,
        LARGE_VOLUME,
        GUESSED_BEFORE,
        GUESSED_FROM_ELSEWHERE,
        NETWORK_OF_OTHER_VICTIMS,
        MANY_SENDERS,
        ROUND_THE_CLOCK,
        AT_ODD_HOURS,
        NOBODY_ANSWERS,
        MANY_STRANGERS,
    ],
    check: Check::One(check),
};

/// What the signs must weigh beyond the limit where all of it came from one network.
const ONE_PLACE: f64 = 0.07;

/// The same where it was fewer messages than these, to several recipients each: an association's mailing from somebody's home.
const BY_HAND: f64 = 0.28;
const BY_HAND_MESSAGES: u32 = 20;
/// Or where half of the messages are at least of so many bytes: pictures and papers. Abuse is short.
const LARGE_BYTES: f64 = 262_144.0;

/// A network that is not the owner's.
struct Foreign<'a> {
    network: IpAddr,
    used: &'a NetworkUse,
    place: Place,
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    if case.profile.kind != IdentityKind::Sasl {
        return None;
    }
    let (own, foreign) = apart(case);
    if foreign.is_empty() {
        return all_of_it(case, limits);
    }
    if was_always_so(case, &own, &foreign) {
        return None;
    }
    judged(case, limits, own, foreign, false)
}

/// A login of which nothing but mail to strangers is known, nobody twice, has no way of its own to be compared with: what its
/// peers do tells.
fn all_of_it(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let used: Vec<_> = case.profile.networks.iter().filter(|(_, used)| used.total.recipients > 0).collect();
    let is_known = |network: IpAddr| {
        case.past().is_some() || is_office(case, network) || case.is_of_this_site(network)
    };
    if used.is_empty() || used.iter().any(|(network, used)| !is_spray(used) || is_known(**network)) {
        return None;
    }
    let foreign = used.into_iter().map(|(network, used)| Foreign { network: *network, used, place: place(case, used) });
    judged(case, limits, Vec::new(), foreign.collect(), true)
}

/// Weighs what came from foreign networks; `is_all` where it is all that the login ever sent.
fn judged(
    case: &Case<'_>,
    limits: &Limits<'_>,
    own: Vec<&NetworkUse>,
    foreign: Vec<Foreign<'_>>,
    is_all: bool,
) -> Option<Draft> {
    let profile = case.profile;
    let total: HourUse = foreign.iter().map(|one| one.used.total).sum();
    if f64::from(total.recipients) < limits.get("recipients") {
        return None;
    }
    let recipients = recipients_of(foreign.iter().map(|one| one.used));
    let senders: u64 = foreign.iter().map(|one| one.used.senders.count()).sum();
    let mut queue_ids = QueueIds::default();
    for one in &foreign {
        queue_ids.merge(one.used.queue_ids.clone());
    }
    let in_common = recipients.in_common(&recipients_of(own.iter().copied()));
    let known = share(in_common, recipients.count());
    let first = foreign.iter().map(|one| one.used.first).min()?;
    let last = foreign.iter().map(|one| one.used.last).max()?;
    let past_peak = case.past().map_or(0, |past| u32::try_from(past.peak_hour_recipients).unwrap_or(u32::MAX));
    let own_peak = usual_peak(&own, first).max(past_peak);
    let foreign_peak = peak(&foreign);
    let peers_bad = case.peers().bad_share;
    let own_bad = if is_all { peers_bad } else { bad_share(own.iter().map(|used| used.total).sum()) };
    let bad = bad_share(total);
    let spread = foreign.iter().map(|one| wide(one.network)).collect::<BTreeSet<_>>().len();
    let mut tried: Vec<(u64, Timestamp)> =
        foreign.iter().filter_map(|one| case.tried_from(one.network).filter(|(_, at)| *at <= one.used.first)).collect();
    // Once or twice its owner mistypes a password, at a new place before all.
    if tried.iter().map(|(failures, _)| failures).sum::<u64>() < GUESSES {
        tried.clear();
    }
    let guessers = case.aimed_guesses();
    let guessers_before =
        guessers.iter().filter(|ip| case.tried_from(network(**ip)).is_some_and(|(_, at)| at <= first)).count();
    let shared: BTreeSet<String> = foreign.iter().flat_map(|one| victims(case, one)).collect();
    let odd_hours = odd_hours(case, &own, &foreign);
    let days = (last.seconds_since(first) / SECONDS_PER_DAY + 1).max(1);
    let networks = foreign.len();
    let own_places: Vec<Place> = own.iter().map(|used| place(case, used)).collect();
    let own_systems: BTreeSet<u32> = own_places.iter().filter_map(|place| place.system).collect();
    // What a phone gets of its carrier is many networks of one system.
    let elsewhere = foreign.iter().filter(|one| one.place.system.is_none_or(|system| !own_systems.contains(&system))).count();
    let own_countries = countries(own_places.iter());
    let foreign_countries = countries(foreign.iter().map(|one| &one.place));
    let new_countries: Vec<&str> = foreign_countries.difference(&own_countries).copied().collect();
    let mut signs = Signs::default();
    signs.add(elsewhere as f64 >= limits.get("networks"), MANY_NETWORKS);
    signs.add(at_once(&foreign) >= 2, NETWORKS_AT_ONCE);
    let sprayed: u64 =
        foreign.iter().filter(|one| is_spray(one.used)).map(|one| u64::from(one.used.total.recipients)).sum();
    signs.add(share(sprayed, u64::from(total.recipients)) >= 0.9, NOBODY_TWICE);
    signs.add(spread >= 8 && networks >= 10, NETWORKS_ALL_OVER);
    signs.add(!own_countries.is_empty() && !new_countries.is_empty(), NEW_COUNTRY);
    signs.add(new_countries.len() as f64 >= limits.get("countries"), MANY_COUNTRIES);
    signs.add(countries_at_once(&foreign) >= 2, COUNTRIES_AT_ONCE);
    signs.add(known <= 0.05 && recipients.count() >= 12, STRANGERS_ONLY);
    // A stale list has its unknown recipients; that mail is not wanted is said of it seldom.
    let distrusted = share(u64::from(total.distrusted), u64::from(total.recipients));
    signs.add(bad >= 0.05 && bad >= 2.0 * own_bad && (bad >= 0.12 || distrusted >= 0.01), REFUSED_MORE);
    signs.add(
        is_clearly_over(bad_recipients(total), u64::from(total.recipients), REFUSED_LEAST.max(3.0 * peers_bad)) && is_all,
        REFUSED_MORE_THAN_PEERS,
    );
    signs.add(bad >= 0.2, REFUSED_MUCH);
    signs.add(foreign_peak >= 20 && f64::from(foreign_peak) >= 4.0 * f64::from(own_peak.max(2)), MORE_THAN_EVER);
    signs.add(f64::from(total.recipients) / days as f64 >= 100.0, LARGE_VOLUME);
    signs.add(!tried.is_empty(), GUESSED_BEFORE);
    signs.add(guessers_before >= 3, GUESSED_FROM_ELSEWHERE);
    signs.add(!shared.is_empty(), NETWORK_OF_OTHER_VICTIMS);
    signs.add(senders > 3 * networks as u64, MANY_SENDERS);
    signs.add(round_the_clock(&foreign) >= 18 && recipients.count() >= 30, ROUND_THE_CLOCK);
    signs.add(odd_hours >= ODD_HOURS, AT_ODD_HOURS);
    signs.add(recipients.count() >= 30 && case.once_and_replied(first, last).1 == 0.0, NOBODY_ANSWERS);
    let weight = signs.weight();
    // What is only much, and much refused, may be the owner's: somebody else shows by where and to whom.
    const ELSE: &[&Sign] = &[
        MANY_NETWORKS,
        NETWORKS_AT_ONCE,
        MANY_COUNTRIES,
        COUNTRIES_AT_ONCE,
        STRANGERS_ONLY,
        GUESSED_BEFORE,
        GUESSED_FROM_ELSEWHERE,
        NETWORK_OF_OTHER_VICTIMS,
        MANY_SENDERS,
        ROUND_THE_CLOCK,
    ];
    let is_other = signs.has_any(ELSE);
    // Networks are what the question is about; a new place alone is a journey.
    // A login of which nothing but such mail is known has no other way to be compared with: a mailing program that was set up
    // begins like that, but not at night, with more refused than its peers'.
    let has_own_way = own.iter().any(|used| !is_spray(used));
    let is_unlike_peers = signs.has_all(&[AT_ODD_HOURS, REFUSED_MORE_THAN_PEERS]);
    let is_elsewhere = has_own_way
        || (is_all && is_unlike_peers)
        || (!is_all && elsewhere as f64 >= limits.get("networks"))
        || !tried.is_empty();
    // One new place asks for more than several, and a few messages, each to many, or large ones, for yet more: so people write.
    let mut least = limits.get("score");
    if networks == 1 && tried.is_empty() {
        let is_by_hand = total.messages < BY_HAND_MESSAGES && total.recipients > 2 * total.messages;
        least += if is_by_hand || are_large(profile, &foreign) { BY_HAND } else { ONE_PLACE };
    }
    if weight < least || !is_elsewhere || !is_other {
        return None;
    }
    signs.add(f64::from(total.recipients) >= limits.get("hundreds"), MANY_STRANGERS);
    let strangers = recipients.count() - in_common;
    let explanation = format!(
        "{} was used from {}{} foreign to it{} for {} between {first} and {last}, {strangers} of them strangers to it; {} were refused as unknown or unwanted.",
        named(profile),
        if profile.networks.len() >= NETWORKS { "at least " } else { "" },
        many(networks as u64, "client network"),
        in_countries(&foreign_countries),
        many(u64::from(total.recipients), "recipient"),
        percent(bad),
    );
    let shown: Vec<_> = foreign
        .iter()
        .take(20)
        .map(|one| {
            let shown = json!({
                "network": network_text(one.network),
                "ips": one.used.ips.keys().take(5).map(ToString::to_string).collect::<Vec<_>>(),
                "first": one.used.first.to_string(),
                "last": one.used.last.to_string(),
                "recipients": one.used.total.recipients,
            });
            with(shown, "place", one.place.is_known().then(|| one.place.to_json()))
        })
        .collect();
    let evidence = json!({
        "foreign_networks": networks,
        "own_networks": own.len(),
        "recipients_known_to_the_owner_share": known,
        "refused_share": bad,
        "peak_hour_recipients": foreign_peak,
        "peak_hour_recipients_before": own_peak,
        "guessing_clients": guessers.iter().take(20).map(ToString::to_string).collect::<Vec<_>>(),
        "failed_logins_before": tried.iter().map(|(failures, _)| failures).sum::<u64>(),
        "networks": shown,
        "hours_at_odd_times": odd_hours,
        "logins_in_the_same_networks": shared,
    });
    let countries_told = (!foreign_countries.is_empty())
        .then(|| json!({ "foreign": foreign_countries, "own": own_countries, "new": new_countries }));
    Some(Draft {
        signs,
        first,
        last,
        messages: u64::from(total.messages),
        recipients: u64::from(total.recipients),
        queue_ids,
        explanation,
        evidence: with(evidence, "countries", countries_told),
        client_ips: Some(foreign.iter().flat_map(|one| one.used.ips.keys().copied()).collect()),
        next_step: "Suspend the login, reset its password and end its sessions; hold what it still has in the queue (`mailsleuth trace LOGIN --print queue-ids`, into `postsuper -h -` or `xargs exim -Mf`), look whom it wrote to (`--print recipients`), and ask the owner where they sent from.".into(),
    })
}

/// The recipients of several networks together.
fn recipients_of<'a>(networks: impl Iterator<Item = &'a NetworkUse>) -> Distinct {
    networks.fold(Distinct::default(), |mut all, used| {
        all.merge(used.recipients.clone());
        all
    })
}

/// The login's own networks, and those that are foreign to it.
fn apart<'a>(case: &Case<'a>) -> (Vec<&'a NetworkUse>, Vec<Foreign<'a>>) {
    let profile = case.profile;
    let all = profile.networks.iter().filter(|(_, used)| used.total.recipients > 0);
    let home = home(case);
    let home_recipients = recipients_of(home.iter().filter_map(|network| profile.networks.get(network)));
    let (mut own, mut own_networks, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for (network, used) in all {
        let common = used.recipients.in_common(&home_recipients);
        let known = share(common, used.recipients.count());
        let is_office = is_office(case, *network);
        let is_old = case.past().is_some_and(|past| past.is_own(*network));
        if home.contains(network) || is_old || is_office || case.is_of_this_site(*network) || known >= 0.3 || (common >= 3 && known >= 0.02) {
            own.push(used);
            own_networks.push(*network);
        } else {
            foreign.push(Foreign { network: *network, used, place: place(case, used) });
        }
    }
    // A carrier gives its phones addresses of many networks.
    let carriers: BTreeSet<IpAddr> = own_networks.iter().map(|network| wide(*network)).collect();
    foreign.retain(|one| {
        let is_phone = one.used.total.recipients <= FEW_RECIPIENTS && carriers.contains(&wide(one.network));
        if is_phone {
            own.push(one.used);
        }
        !is_phone
    });
    // A trip or a phone that wrote a mail or two says nothing where a real stranger is there beside it.
    let most = foreign.iter().map(|one| one.used.total.recipients).max().unwrap_or(0);
    let is_few = |one: &Foreign<'_>| one.used.total.recipients <= FEW_RECIPIENTS.max(most / 50);
    if most >= 10 && foreign.iter().filter(|one| !is_few(one)).count() < 4 {
        foreign.retain(|one| {
            let is_few = is_few(one);
            if is_few {
                own.push(one.used);
            }
            !is_few
        });
    }
    // Nor do a few that stand apart from the rest in time.
    foreign.sort_by_key(|one| (one.used.first, one.network));
    let times: Vec<_> = foreign.iter().map(|one| (one.used.first, u64::from(one.used.total.recipients))).collect();
    let run = together(&times);
    own.extend(foreign.iter().enumerate().filter(|(at, _)| !run.contains(at)).map(|(_, one)| one.used));
    foreign.truncate(run.end);
    foreign.drain(..run.start.min(foreign.len()));
    foreign.sort_by_key(|one| one.network);
    (own, foreign)
}

/// What a phone or a short stop on a journey sends from one network.
const FEW_RECIPIENTS: u32 = 3;

/// The most recipients of an hour that are usual for the owner: of the hours before `first`, where they are of two days or more;
/// else of the day in the middle, as what came since may be somebody else's, or an answer to it.
fn usual_peak(own: &[&NetworkUse], first: Timestamp) -> u32 {
    let mut hours: BTreeMap<i64, u32> = BTreeMap::new();
    for (hour, used) in own.iter().flat_map(|used| &used.hours) {
        *hours.entry(*hour).or_default() += used.recipients;
    }
    let mut days: BTreeMap<i64, u32> = BTreeMap::new();
    for (hour, recipients) in hours.iter().filter(|(hour, _)| **hour < first.hour()) {
        let most = days.entry(hour.div_euclid(24)).or_default();
        *most = (*most).max(*recipients);
    }
    if days.len() >= 2 {
        return days.into_values().max().unwrap_or(0);
    }
    for (hour, recipients) in hours {
        let most = days.entry(hour.div_euclid(24)).or_default();
        *most = (*most).max(recipients);
    }
    let mut peaks: Vec<u32> = days.into_values().collect();
    peaks.sort_unstable();
    peaks.get(peaks.len() / 2).copied().unwrap_or(0)
}

/// At odd times of the day so many hours are no late evening.
const ODD_HOURS: usize = 5;

/// Hours with foreign mail at times of the day at which neither the owner nor the peers write; 0 where less than three quarters
/// of that mail came in them.
fn odd_hours(case: &Case<'_>, own: &[&NetworkUse], foreign: &[Foreign<'_>]) -> usize {
    // A habit shows on two days, where there are so many to compare.
    let mut of_owner: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for hour in own.iter().flat_map(|used| used.hours.keys()) {
        of_owner.entry(hour.rem_euclid(24)).or_default().insert(hour.div_euclid(24));
    }
    let days = of_owner.values().flatten().collect::<BTreeSet<_>>().len();
    let habit = if days >= 3 { 2 } else { 1 };
    let is_habit = |hour: i64| of_owner.get(&hour.rem_euclid(24)).is_some_and(|days| days.len() >= habit);
    let is_odd = |hour: i64| !is_habit(hour) && case.peers().is_odd(hour);
    let (mut odd, mut recipients, mut all) = (BTreeSet::new(), 0_u64, 0_u64);
    for (hour, used) in foreign.iter().flat_map(|one| &one.used.hours) {
        all += u64::from(used.recipients);
        if is_odd(*hour) {
            recipients += u64::from(used.recipients);
            odd.insert(*hour);
        }
    }
    if 4 * recipients >= 3 * all { odd.len() } else { 0 }
}

/// True where half of the messages of the hours of foreign mail, or more, are large.
fn are_large(profile: &SenderProfile, foreign: &[Foreign<'_>]) -> bool {
    let hours: BTreeSet<i64> = foreign.iter().flat_map(|one| one.used.hours.keys().copied()).collect();
    let step = (LARGE_BYTES.log2() * SIZE_STEPS) as u16;
    let (mut large, mut all) = (0_u64, 0_u64);
    for hour in hours {
        for ((_, size), count) in profile.size_hours.range((hour, 0)..=(hour, u16::MAX)) {
            all += u64::from(*count);
            large += if *size >= step { u64::from(*count) } else { 0 };
        }
    }
    all > 0 && 2 * large >= all
}

/// So many failed logins are no slip.
const GUESSES: u64 = 3;

/// What honest mailings of a login without a past do not reach.
const REFUSED_LEAST: f64 = 0.02;

/// So many foreign networks, two of them on a day, are no second place of somebody else.
const ITS_WAY_NETWORKS: usize = 4;
/// Days on which a login has used ever new networks before that is its way.
const ITS_WAY_DAYS: usize = 3;
/// No day of it has so many times the recipients of the middle one.
const ITS_WAY_EVEN: u32 = 4;
/// Nor is so much refused.
const ITS_WAY_BAD_SHARE: f64 = 0.08;

/// True where ever new networks are the login's way and nothing began: a phone on carrier networks, a program in a cloud, a
/// mail provider that hands in for its user. It was so before, or from the first day on, and evenly on most days. Who has
/// places of his own does not use networks from all over beside them, several at once.
fn was_always_so(case: &Case<'_>, own: &[&NetworkUse], foreign: &[Foreign<'_>]) -> bool {
    let has_place = own.iter().any(|used| days_of(used) >= 2 && !is_spray(used));
    if has_place && are_all_over_at_once(foreign) {
        return false;
    }
    let profile = case.profile;
    let mut by_day: BTreeMap<i64, u32> = BTreeMap::new();
    for (hour, used) in foreign.iter().flat_map(|one| &one.used.hours) {
        *by_day.entry(hour.div_euclid(24)).or_default() += used.recipients;
    }
    let hours = profile.networks.values().flat_map(|used| used.hours.keys());
    let days: BTreeSet<i64> = hours.map(|hour| hour.div_euclid(24)).collect();
    let total: HourUse = foreign.iter().map(|one| one.used.total).sum();
    let from_the_start = by_day.keys().next().zip(days.first()).is_some_and(|(foreign, first)| foreign - first <= 1);
    let was_before = case.past().map_or(from_the_start, |past| 2 * past.networks() >= foreign.len());
    let mut counts: Vec<u32> = by_day.values().copied().collect();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied().unwrap_or(0);
    let is_even = counts.last().is_some_and(|most| *most <= ITS_WAY_EVEN * middle);
    let daily: usize = foreign.iter().map(|one| days_of(one.used)).sum();
    let is_ever_another = foreign.len() >= ITS_WAY_NETWORKS && daily >= 2 * by_day.len();
    let is_tried = foreign.iter().any(|one| case.tried_from(one.network).is_some());
    was_before
        && by_day.len() >= ITS_WAY_DAYS
        && 4 * by_day.len() >= 3 * days.len()
        && is_ever_another
        && is_even
        && !is_tried
        && bad_share(total) < ITS_WAY_BAD_SHARE
}

/// Providers' networks, /16 or /32, that no journey and no phone comes to.
const ALL_OVER: usize = 24;
/// In an hour one person is in two of them at the most.
const AT_ONCE: usize = 3;

/// True for networks of very many providers, in a good part of the hours in several at once.
fn are_all_over_at_once(foreign: &[Foreign<'_>]) -> bool {
    let mut hours: BTreeMap<i64, BTreeSet<IpAddr>> = BTreeMap::new();
    for one in foreign {
        one.used.hours.keys().for_each(|hour| _ = hours.entry(*hour).or_default().insert(wide(one.network)));
    }
    let all: BTreeSet<IpAddr> = foreign.iter().map(|one| wide(one.network)).collect();
    let several = hours.values().filter(|networks| networks.len() >= AT_ONCE).count();
    all.len() >= ALL_OVER && 4 * several >= hours.len()
}

/// Networks of the owner: the first one, those from which people are written to again, and those of several days; unless
/// they are spray beside calmer ones.
fn home(case: &Case<'_>) -> BTreeSet<IpAddr> {
    let profile = case.profile;
    let networks = || profile.networks.iter().filter(|(_, used)| used.total.messages > 0);
    let is_all_spray = networks().all(|(_, used)| is_spray(used));
    let is_own = |used: &NetworkUse| {
        let again = u64::from(used.total.recipients) * 5 >= used.recipients.count() * 6 && used.recipients.count() >= 2;
        used.first == profile.first_seen || again || days_of(used) >= 2
    };
    networks()
        .filter(|(_, used)| if is_all_spray { used.first == profile.first_seen } else { !is_spray(used) && is_own(used) })
        .map(|(network, _)| *network)
        .collect()
}

/// UTC days on which a network was used.
fn days_of(used: &NetworkUse) -> usize {
    used.hours.keys().map(|hour| hour.div_euclid(24)).collect::<BTreeSet<_>>().len()
}

/// True for a network from which other logins of the same domain send ordinary mail: an office, a school.
fn is_office(case: &Case<'_>, network: IpAddr) -> bool {
    !split(&case.profile.name).1.is_empty() && case.colleagues_in(network) >= 2
}

/// Users of a network beyond which it is a carrier's, or a service's that many use.
const NETWORK_USERS: usize = 20;

/// Logins that came to one network within so long of each other came together.
const TOGETHER_S: i64 = SECONDS_PER_DAY / 2;

/// Other logins that are misused out of the same network: with much refused; or that wrote to strangers, nobody twice, as this
/// one did, and of all that together more was refused than of a service's honest customers, or three logins of two domains or
/// more, each long at work elsewhere, came to do so at one time.
fn victims(case: &Case<'_>, one: &Foreign<'_>) -> Vec<String> {
    let name = |other: &SenderProfile| printable(&other.name).into_owned();
    let mut names: Vec<String> = case.suspects_in(one.network).map(name).collect();
    let users: Vec<_> = case.others_in(one.network).take(NETWORK_USERS).collect();
    // Where one is who sends ordinary mail from there it is a webmail's, or a provider's.
    let is_for_all = users.len() >= NETWORK_USERS || users.iter().any(|(_, used)| is_ordinary(used));
    if is_spray(one.used) && !is_for_all {
        let others: Vec<_> = case.others_spraying_in(one.network).collect();
        let total: HourUse = others.iter().map(|(_, used)| used.total).chain([one.used.total]).sum();
        let came = |profile: &SenderProfile, used: &NetworkUse| {
            used.first.seconds_since(one.used.first).abs() <= TOGETHER_S
                && used.first.seconds_since(profile.first_seen) >= SECONDS_PER_DAY
        };
        let together: Vec<&SenderProfile> =
            others.iter().filter(|(other, used)| came(other, used)).map(|(other, _)| *other).collect();
        let domains: BTreeSet<&[u8]> = together.iter().copied().chain([case.profile]).map(domain).collect();
        let came_together = came(case.profile, one.used) && together.len() >= 2 && domains.len() >= 2;
        if is_clearly_over(bad_recipients(total), u64::from(total.recipients), REFUSED_LEAST) {
            names.extend(others.iter().map(|(other, _)| name(other)));
        } else if came_together {
            names.extend(together.into_iter().map(name));
        }
    }
    names
}

/// The most recipients in one hour over all of these networks.
fn peak(foreign: &[Foreign<'_>]) -> u32 {
    let mut hours = BTreeMap::new();
    for (hour, used) in foreign.iter().flat_map(|one| &one.used.hours) {
        *hours.entry(*hour).or_insert(0u32) += used.recipients;
    }
    hours.into_values().max().unwrap_or(0)
}

/// The most of these networks that were in use in one hour.
fn at_once(foreign: &[Foreign<'_>]) -> u32 {
    let mut hours = BTreeMap::new();
    for hour in foreign.iter().flat_map(|one| one.used.hours.keys()) {
        *hours.entry(*hour).or_insert(0u32) += 1;
    }
    hours.into_values().max().unwrap_or(0)
}

/// The most countries of these networks out of which mail came in one hour.
fn countries_at_once(foreign: &[Foreign<'_>]) -> usize {
    let mut hours: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    for one in foreign {
        if let Some(country) = &one.place.country {
            one.used.hours.keys().for_each(|hour| _ = hours.entry(*hour).or_default().insert(country));
        }
    }
    hours.into_values().map(|countries| countries.len()).max().unwrap_or(0)
}

/// Where a network is: its address with the lowest number tells.
fn place(case: &Case<'_>, used: &NetworkUse) -> Place {
    used.ips.keys().next().map(|ip| case.place(*ip)).unwrap_or_default()
}

/// ` in 3 countries (BR, CN, VN)`; nothing where no database tells.
fn in_countries(countries: &BTreeSet<&str>) -> String {
    /// Countries that a sentence has room for.
    const NAMED: usize = 6;
    let names: Vec<_> = countries.iter().take(NAMED).map(|code| printable(code.as_bytes())).collect();
    match countries.len() {
        0 => String::new(),
        1 => format!(" in {}", names.join("")),
        count if count <= NAMED => format!(" in {count} countries ({})", names.join(", ")),
        count => format!(" in {count} countries ({}, ...)", names.join(", ")),
    }
}

/// Different hours of the day in which there was mail.
fn round_the_clock(foreign: &[Foreign<'_>]) -> usize {
    foreign.iter().flat_map(|one| one.used.hours.keys()).map(|hour| hour.rem_euclid(24)).collect::<BTreeSet<_>>().len()
}

/// The /16 or /32 that a network is in: what one provider gives out at a place.
fn wide(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            IpAddr::from([a, b, 0, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            IpAddr::from([a, b, 0, 0, 0, 0, 0, 0])
        }
    }
}
