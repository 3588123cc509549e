//! Somebody else uses a login: mail from networks that are new to it, to people it never wrote to, more than it ever sent,
//! refused more than its own mail is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;

use super::campaign::domain;
use super::case::{bad_recipients, bad_share, countries, is_clearly_over, is_ordinary, is_spray, percent, pieces, total_between, with};
use super::own::{self, Foreign, Networks, recipients_of, sittings, wide};
use super::signs::{
    AT_ODD_HOURS, COUNTRIES_AT_ONCE, GUESSED_BEFORE, GUESSED_FROM_ELSEWHERE, MAILING_TO_STRANGERS, MANY_COUNTRIES,
    MANY_NETWORKS, MANY_SENDERS, MANY_STRANGERS, NETWORKS_ALL_OVER, NETWORKS_AT_ONCE, NETWORK_OF_OTHER_VICTIMS,
    NEW_COUNTRY, REFUSED_MORE, REFUSED_MORE_THAN_PEERS, REFUSED_MUCH, ROUND_THE_CLOCK, STRANGERS_ONLY,
    VICTIMS_REFUSED,
};
use super::{Case, Check, Detector, Draft, Limit, Limits, Sign, Signs, many, named, network_text};
use crate::aggregate::{HourUse, NetworkUse, QueueIds, SIZE_STEPS, SenderProfile, share};
use crate::mail::address::{is_own_network, network, printable};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};
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
        NETWORKS_ALL_OVER,
        NEW_COUNTRY,
        MANY_COUNTRIES,
        COUNTRIES_AT_ONCE,
        STRANGERS_ONLY,
        MAILING_TO_STRANGERS,
        REFUSED_MORE,
        REFUSED_MORE_THAN_PEERS,
        REFUSED_MUCH,
        GUESSED_BEFORE,
        GUESSED_FROM_ELSEWHERE,
        NETWORK_OF_OTHER_VICTIMS,
        VICTIMS_REFUSED,
        MANY_SENDERS,
        ROUND_THE_CLOCK,
        AT_ODD_HOURS,
        MANY_STRANGERS,
    ],
    check: Check::One(check),
};

/// What the signs must weigh beyond the limit where all of it came from one network, and no other login's mail with it.
const ONE_PLACE: f64 = 0.07;

/// The same where it was fewer messages than these, to several recipients each: an association's mailing from somebody's home.
const BY_HAND: f64 = 0.28;
const BY_HAND_MESSAGES: u32 = 20;
/// Or where half of the messages are at least of so many bytes: pictures and papers. Abuse is short.
const LARGE_BYTES: f64 = 262_144.0;

/// The part of strangers that the owner may have written to before.
const KNOWN_SHARE: f64 = 0.1;
/// Providers' networks, /16 or /32, that are all over the place.
const CROWDED: usize = 8;
/// Recipients of a day that are no journey's letters but a mailing.
const MAILING: u32 = 30;

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    if case.profile.kind != IdentityKind::Sasl {
        return None;
    }
    let networks = own::networks(case);
    if !networks.has_way {
        return all_of_it(case, limits);
    }
    if networks.foreign.is_empty() || was_always_so(case, &networks) {
        return None;
    }
    judged(case, limits, networks, false)
}

/// A login of which nothing but mail to strangers is known, hardly anybody twice, has no way of its own to be compared with: what
/// its peers do tells.
fn all_of_it(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    if case.past().is_some() {
        return None;
    }
    let networks = Networks::all_foreign(case);
    if networks.foreign.is_empty() || (networks.is_crowd && was_always_so(case, &networks)) {
        return None;
    }
    judged(case, limits, networks, true)
}

/// Weighs what came from foreign networks; `is_all` where it is all that the login ever sent.
fn judged(case: &Case<'_>, limits: &Limits<'_>, found: Networks<'_>, is_all: bool) -> Option<Draft> {
    let profile = case.profile;
    // Somebody who tried others, too, has sent mail with this login.
    let broken_into = profile.networks.iter().filter_map(|(of, used)| {
        let tries = case.tried_from(*of).filter(|tries| tries.first <= used.first && case.tries_others(*of))?;
        (!found.are_owners_tries(case, *of, &tries)).then_some((*of, tries.failures))
    });
    let broken_into: Vec<(IpAddr, u64)> = broken_into.collect();
    let uses = found.foreign_uses();
    let Networks { own, foreign, others, is_crowd, .. } = found;
    let own_networks: BTreeSet<IpAddr> = own.keys().copied().collect();
    let own: Vec<&NetworkUse> = own.into_values().collect();
    let total: HourUse = uses.iter().map(|used| used.total).sum();
    if f64::from(total.recipients) < limits.get("recipients") {
        return None;
    }
    let recipients = recipients_of(uses.iter().copied());
    let senders: u64 = uses.iter().map(|used| used.senders.count()).sum();
    let mut queue_ids = QueueIds::default();
    for used in &uses {
        queue_ids.merge(used.queue_ids.clone());
    }
    let in_common = recipients.in_common(&recipients_of(own.iter().copied()));
    let known = share(in_common, recipients.count());
    let first = uses.iter().map(|used| used.first).min()?;
    let last = uses.iter().map(|used| used.last).max()?;
    let past_peak = case.past().map_or(0, |past| u32::try_from(past.peak_hour_recipients).unwrap_or(u32::MAX));
    let own_peak = usual_peak(&own, first).max(past_peak);
    let foreign_peak = peak(&uses);
    let peers_bad = case.peers().bad_share;
    let own_bad = if is_all { peers_bad } else { bad_share(own.iter().map(|used| used.total).sum()) };
    let bad = bad_share(total);
    let spread = own::places(foreign.iter().map(|one| one.network));
    let networks = foreign.len() as u64 + others.map_or(0, |(_, count)| count);
    // Many people on one day, none of whom its owner knows: however large, regular and unanswered, that is one sign, and as well
    // that of a first newsletter.
    let are_strangers = known <= KNOWN_SHARE && recipients.count() >= own::STRANGERS;
    let is_mailing = are_strangers && peak_day(&uses) >= MAILING;
    let guessers = case.aimed_guesses();
    let guessers_before =
        guessers.iter().filter(|ip| case.tried_from(network(**ip)).is_some_and(|tries| tries.first <= first)).count();
    let before = |one: &Foreign<'_>| {
        let tries = case.tried_from(one.network).filter(|tries| tries.first <= one.used.first)?;
        Some((one.network, tries.failures))
    };
    let mut tried: Vec<(IpAddr, u64)> = foreign.iter().filter_map(before).collect();
    // Once or twice its owner mistypes a password, at a new place before all; a program tries by itself what it knows.
    tried.extend(broken_into.iter().filter(|(of, _)| foreign.iter().all(|one| one.network != *of)));
    let is_guess = is_mailing || is_crowd || guessers_before >= GUESSERS || tried.iter().any(|(of, _)| case.tries_others(*of));
    if tried.iter().map(|(_, failures)| failures).sum::<u64>() < GUESSES || !is_guess {
        tried.clear();
    }
    let victims = victims(case, &foreign);
    let odd_hours = odd_hours(case, &own, &uses);
    let own_places: Vec<Place> = own.iter().map(|used| own::place(case, used)).collect();
    let own_systems: BTreeSet<u32> = own_places.iter().filter_map(|place| place.system).collect();
    // What a phone gets of its carrier is many networks of one system.
    let elsewhere = foreign.iter().filter(|one| one.place.system.is_none_or(|system| !own_systems.contains(&system))).count();
    let own_countries = countries(own_places.iter());
    let foreign_countries = countries(foreign.iter().map(|one| &one.place));
    let new_countries: Vec<&str> = foreign_countries.difference(&own_countries).copied().collect();
    // A stale list has its unknown recipients; that mail is not wanted is said of it seldom.
    let distrusted = share(u64::from(total.distrusted), u64::from(total.recipients));
    let is_refused = bad_recipients(total) >= REFUSED && bad >= 0.05 && bad >= 2.0 * own_bad && (bad >= 0.12 || distrusted >= 0.01);
    let is_refused_for_peers = is_all
        && is_clearly_over(bad_recipients(total), u64::from(total.recipients), REFUSED_LEAST.max(3.0 * peers_bad));
    // What has no past and nothing against it but its hour and a stale list may be a mailing program that was set up.
    let is_doubtful = is_all && !is_refused && !is_crowd && tried.is_empty() && victims.logins.is_empty();
    // No place is foreign to it, but one person is in few of them.
    let is_anywhere = !is_all || is_crowd;
    let mut signs = Signs::default();
    signs.add(is_anywhere && elsewhere as f64 >= limits.get("networks"), MANY_NETWORKS);
    signs.add(is_anywhere && at_once(&uses) >= own::AT_ONCE as u32, NETWORKS_AT_ONCE);
    signs.add(is_anywhere && spread >= CROWDED && networks >= 10, NETWORKS_ALL_OVER);
    signs.add(!own_countries.is_empty() && !new_countries.is_empty(), NEW_COUNTRY);
    signs.add(is_anywhere && new_countries.len() as f64 >= limits.get("countries"), MANY_COUNTRIES);
    signs.add(is_anywhere && countries_at_once(&foreign) >= 2, COUNTRIES_AT_ONCE);
    signs.add(are_strangers, STRANGERS_ONLY);
    signs.add(is_mailing && !is_doubtful, MAILING_TO_STRANGERS);
    signs.add(is_refused, REFUSED_MORE);
    signs.add(is_refused_for_peers, REFUSED_MORE_THAN_PEERS);
    signs.add(bad_recipients(total) >= REFUSED && bad >= 0.2, REFUSED_MUCH);
    signs.add(!tried.is_empty(), GUESSED_BEFORE);
    signs.add(guessers_before >= GUESSERS, GUESSED_FROM_ELSEWHERE);
    signs.add(!victims.logins.is_empty(), NETWORK_OF_OTHER_VICTIMS);
    signs.add(victims.are_refused, VICTIMS_REFUSED);
    signs.add(!is_doubtful && senders > 3 * networks, MANY_SENDERS);
    signs.add(!is_doubtful && round_the_clock(&uses) >= 18 && recipients.count() >= 30, ROUND_THE_CLOCK);
    // Hours are odd for whoever has others.
    signs.add(odd_hours >= ODD_HOURS && !is_doubtful, AT_ODD_HOURS);
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
    let is_unlike_peers = odd_hours >= ODD_HOURS && is_refused_for_peers;
    let is_elsewhere = has_own_way
        || (is_all && (is_unlike_peers || is_crowd))
        || (!is_all && elsewhere as f64 >= limits.get("networks"))
        || !tried.is_empty();
    // One new place asks for more than several, and a few messages, each to many, or large ones, for yet more: so people write.
    let mut least = if is_doubtful { 0.0 } else { limits.get("score") };
    if networks == 1 && tried.is_empty() && !is_doubtful {
        let is_by_hand = total.messages < BY_HAND_MESSAGES && total.recipients > 2 * total.messages;
        if is_by_hand || are_large(profile, &uses) {
            least += BY_HAND;
        } else if victims.logins.is_empty() {
            least += ONE_PLACE;
        }
    }
    if weight < least || !is_elsewhere || !is_other {
        return None;
    }
    // Who has no way of his own may have written a letter or two beside it.
    let run = if is_all { run_of(profile) } else { None };
    let (first, last) = run.unwrap_or((first, last));
    let (total, strangers) = match run {
        Some(_) => (total_between(profile, first, last), profile.distinct_recipients.between(first, last).count() as u64),
        None => (total, recipients.count() - in_common),
    };
    let queue_ids = match run {
        Some(_) => profile.queue_ids_between(first, last, u64::from(total.messages)),
        None => queue_ids,
    };
    let messages = if run.is_some() { queue_ids.count } else { u64::from(total.messages) };
    let asked = match run {
        Some(_) => mails_between(profile, first, last),
        None => u64::from(total.recipients),
    };
    signs.add(asked as f64 >= limits.get("hundreds") && !is_doubtful, MANY_STRANGERS);
    let whence = many(networks, "client network");
    let used = if is_all {
        format!("of which nothing else is known was used from {whence}{}", in_countries(&foreign_countries))
    } else {
        format!("was used from {whence} foreign to it{}", in_countries(&foreign_countries))
    };
    let explanation = format!(
        "{} {used} for {} between {first} and {last}, {strangers} of them strangers to it; {} were refused as unknown or unwanted.",
        named(profile),
        many(asked, "recipient"),
        percent(bad_share(total)),
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
        "guessing_clients": case.guesses().into_iter().flat_map(|all| &all.ips).filter(|ip| !own_networks.contains(&network(**ip))).take(20).map(ToString::to_string).collect::<Vec<_>>(),
        "failed_logins_before": tried.iter().map(|(_, failures)| failures).sum::<u64>(),
        "networks": shown,
        "hours_at_odd_times": odd_hours,
        "logins_in_the_same_networks": victims.logins,
    });
    let countries_told = (!foreign_countries.is_empty())
        .then(|| json!({ "foreign": foreign_countries, "own": own_countries, "new": new_countries }));
    let next_step = if is_doubtful {
        "Ask the owner whether this mailing is theirs; if it is not, suspend the login and reset its password."
    } else {
        "Suspend the login, reset its password and end its sessions; hold what it still has in the queue (`mailsleuth trace LOGIN --print queue-ids`, into `postsuper -h -` or `xargs exim -Mf`), look whom it wrote to (`--print recipients`), and ask the owner where they sent from."
    };
    Some(Draft {
        signs,
        first,
        last,
        messages,
        recipients: asked,
        queue_ids,
        explanation,
        evidence: with(evidence, "countries", countries_told),
        client_ips: Some(uses.iter().flat_map(|used| used.ips.keys().copied()).collect()),
        next_step: next_step.into(),
    })
}

/// A run goes on while nobody new is written to for so long at the most.
const RUN_GAP_S: i64 = 6 * SECONDS_PER_HOUR;

/// First and last moment of the runs in which many were written to for the first time; `None` where there were none.
fn run_of(profile: &SenderProfile) -> Option<(Timestamp, Timestamp)> {
    let firsts = profile.distinct_recipients.times();
    let runs = pieces(&firsts, RUN_GAP_S);
    let ends = runs.iter().filter(|run| run.len() >= MAILING as usize).filter_map(|run| Some((*run.first()?, *run.last()?)));
    ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// Recipients of the mails of a span, its ends included.
fn mails_between(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> u64 {
    let span = first.seconds()..=last.seconds();
    profile.mails().filter(|(_, at)| span.contains(&at.seconds())).count() as u64
}

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
const ODD_HOURS: usize = 4;

/// Hours with foreign mail at times of the day at which neither the owner nor the peers write; 0 where less than three quarters
/// of that mail came in them.
fn odd_hours(case: &Case<'_>, own: &[&NetworkUse], foreign: &[&NetworkUse]) -> usize {
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
    for (hour, used) in foreign.iter().flat_map(|used| &used.hours) {
        all += u64::from(used.recipients);
        if is_odd(*hour) {
            recipients += u64::from(used.recipients);
            odd.insert(*hour);
        }
    }
    if 4 * recipients >= 3 * all { odd.len() } else { 0 }
}

/// True where half of the messages of the hours of foreign mail, or more, are large.
fn are_large(profile: &SenderProfile, foreign: &[&NetworkUse]) -> bool {
    let hours: BTreeSet<i64> = foreign.iter().flat_map(|used| used.hours.keys().copied()).collect();
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
/// So many addresses that tried one login, and hardly another, are no noise.
const GUESSERS: usize = 10;
/// Fewer refusals say nothing.
const REFUSED: u64 = 3;

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
fn was_always_so(case: &Case<'_>, networks: &Networks<'_>) -> bool {
    let foreign = &networks.foreign;
    if !networks.is_crowd && foreign.iter().all(|one| is_program(case, one)) {
        return true;
    }
    let has_place = networks.own.values().any(|used| sittings(used) >= 2 && !is_spray(used));
    if has_place && networks.is_crowd {
        return false;
    }
    let profile = case.profile;
    let mut by_day: BTreeMap<i64, u32> = BTreeMap::new();
    for (hour, used) in foreign.iter().flat_map(|one| &one.used.hours) {
        *by_day.entry(hour.div_euclid(24)).or_default() += used.recipients;
    }
    let hours = profile.network_uses().flat_map(|used| used.hours.keys());
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

/// Users of a network beyond which it is a carrier's, or a service's that many use.
const NETWORK_USERS: usize = 20;

/// Hours from the login's first mail on within which a program that was always there writes.
const AT_WORK_H: i64 = 12;

/// True for a network that was in use from the beginning on, every day, evenly: a program's, such as one that acknowledges tickets.
fn is_program(case: &Case<'_>, one: &Foreign<'_>) -> bool {
    let profile = case.profile;
    let all: BTreeSet<i64> =
        profile.network_uses().flat_map(|used| used.hours.keys()).map(|hour| hour.div_euclid(24)).collect();
    let mut by_day: BTreeMap<i64, u32> = BTreeMap::new();
    for (hour, used) in &one.used.hours {
        *by_day.entry(hour.div_euclid(24)).or_default() += used.recipients;
    }
    let mut counts: Vec<u32> = by_day.into_values().collect();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied().unwrap_or(0);
    one.used.first.hour() - profile.first_seen.hour() <= AT_WORK_H
        && counts.len() >= ITS_WAY_DAYS
        && counts.len() + 1 >= all.len()
        && counts.last().is_some_and(|most| *most <= ITS_WAY_EVEN * middle)
        && bad_share(one.used.total) < ITS_WAY_BAD_SHARE
        && case.tried_from(one.network).is_none()
}

/// UTC days on which a network was used.
fn days_of(used: &NetworkUse) -> usize {
    used.hours.keys().map(|hour| hour.div_euclid(24)).collect::<BTreeSet<_>>().len()
}

/// Logins that came to one network within so long of each other came together.
const TOGETHER_S: i64 = SECONDS_PER_DAY / 2;

/// Other logins that are misused out of the same networks.
#[derive(Default)]
struct Victims {
    logins: BTreeSet<String>,
    /// Of all that they sent there together more was refused than of a service's honest customers.
    are_refused: bool,
}

/// Other logins that are misused out of the networks of this one, or out of others of the same providers.
fn victims(case: &Case<'_>, foreign: &[Foreign<'_>]) -> Victims {
    let mut victims = Victims::default();
    // Whoever comes by the webmail comes out of its network.
    for one in foreign.iter().filter(|one| !is_own_network(one.network)) {
        in_one_network(case, one, &mut victims);
    }
    if victims.logins.is_empty() {
        let wides: BTreeSet<IpAddr> = foreign.iter().map(|one| wide(one.network)).collect();
        wides.into_iter().for_each(|of| side_by_side(case, foreign, of, &mut victims));
    }
    victims
}

/// True where a login that was long at work elsewhere came to a network when another did.
fn came_with(profile: &SenderProfile, used: &NetworkUse, other: &NetworkUse) -> bool {
    used.first.seconds_since(other.first).abs() <= TOGETHER_S && used.first.seconds_since(profile.first_seen) >= SECONDS_PER_DAY
}

/// Those of one network: with much refused; or that wrote to strangers, hardly anybody twice, as this one did, and of all that
/// together more was refused than of a service's honest customers, or three logins of two domains or more, each long at work
/// elsewhere, came to do so at one time.
fn in_one_network(case: &Case<'_>, one: &Foreign<'_>, victims: &mut Victims) {
    let name = |other: &SenderProfile| printable(&other.name).into_owned();
    victims.logins.extend(case.suspects_in(one.network).map(name));
    let users: Vec<_> = case.others_in(one.network).take(NETWORK_USERS).collect();
    // Where one is who sends ordinary mail from there it is a webmail's, or a provider's.
    let is_for_all = users.len() >= NETWORK_USERS || users.iter().any(|(_, used)| is_ordinary(used));
    if !is_spray(one.used) || is_for_all {
        return;
    }
    let others: Vec<_> = case.others_spraying_in(one.network).collect();
    let total: HourUse = others.iter().map(|(_, used)| used.total).chain([one.used.total]).sum();
    let together: Vec<&SenderProfile> =
        others.iter().filter(|(other, used)| came_with(other, used, one.used)).map(|(other, _)| *other).collect();
    let domains: BTreeSet<&[u8]> = together.iter().copied().chain([case.profile]).map(domain).collect();
    let came_together = came_with(case.profile, one.used, one.used) && together.len() >= 2 && domains.len() >= 2;
    if is_clearly_over(bad_recipients(total), u64::from(total.recipients), REFUSED_LEAST) {
        victims.logins.extend(others.iter().map(|(other, _)| name(other)));
    } else if came_together {
        victims.logins.extend(together.into_iter().map(name));
    }
}

/// So many logins of so many domains do not come to one provider at one time by chance.
const SIDE_BY_SIDE: usize = 4;

/// Those that one provider's neighbouring networks were new to, all at one time, to write to strangers, with more refused than of
/// honest customers.
fn side_by_side(case: &Case<'_>, foreign: &[Foreign<'_>], of: IpAddr, victims: &mut Victims) {
    let here = || foreign.iter().filter(|one| wide(one.network) == of && is_spray(one.used));
    let Some(one) = here().filter(|one| came_with(case.profile, one.used, one.used)).min_by_key(|one| one.used.first) else { return };
    let others: Vec<_> = case
        .others_spraying_near(of)
        .filter(|(other, used)| other.name != case.profile.name && came_with(other, used, one.used))
        .collect();
    let domains: BTreeSet<&[u8]> = others.iter().map(|(other, _)| domain(other)).chain([domain(case.profile)]).collect();
    let total: HourUse = others.iter().map(|(_, used)| used.total).chain(here().map(|one| one.used.total)).sum();
    if domains.len() >= SIDE_BY_SIDE && is_clearly_over(bad_recipients(total), u64::from(total.recipients), REFUSED_LEAST) {
        victims.logins.extend(others.iter().map(|(other, _)| printable(&other.name).into_owned()));
        victims.are_refused = true;
    }
}

/// The most recipients in one hour over all of these networks.
fn peak(foreign: &[&NetworkUse]) -> u32 {
    let mut hours = BTreeMap::new();
    for (hour, used) in foreign.iter().flat_map(|used| &used.hours) {
        *hours.entry(*hour).or_insert(0u32) += used.recipients;
    }
    hours.into_values().max().unwrap_or(0)
}

/// The most recipients of one UTC day over all of these networks.
fn peak_day(foreign: &[&NetworkUse]) -> u32 {
    let mut days = BTreeMap::new();
    for (hour, used) in foreign.iter().flat_map(|used| &used.hours) {
        *days.entry(hour.div_euclid(24)).or_insert(0u32) += used.recipients;
    }
    days.into_values().max().unwrap_or(0)
}

/// The most of these networks that were in use in one hour.
fn at_once(foreign: &[&NetworkUse]) -> u32 {
    let mut hours = BTreeMap::new();
    for hour in foreign.iter().flat_map(|used| used.hours.keys()) {
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
fn round_the_clock(foreign: &[&NetworkUse]) -> usize {
    foreign.iter().flat_map(|used| used.hours.keys()).map(|hour| hour.rem_euclid(24)).collect::<BTreeSet<_>>().len()
}
