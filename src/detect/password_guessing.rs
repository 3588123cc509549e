//! Somebody guesses logins: one client many, many clients one, in bursts or slowly; and whether it worked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;

use super::case::{CLIENTS, Guess, countries, patterns, places_json, with};
use super::own;
use super::signs::{GOT_IN, HUNDREDS_OF_FAILURES, MAIL_AFTERWARDS, MANY_FAILURES, MANY_LOGINS_TRIED};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named, network_text};
use crate::aggregate::{NetworkUse, QueueIds, SenderProfile, Tries as Times, share};
use crate::mail::address::{ip, network, printable};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "password-guessing",
    question: "is somebody guessing logins, and did it succeed?",
    limits: &[
        Limit {
            key: "failures",
            default: 15.0,
            unit: "failed logins of one client or network, or at one login from many",
            source: "a forgotten password in a program fails a few times, from where its owner is",
        },
        Limit {
            key: "logins",
            default: 5.0,
            unit: "distinct logins that one client or network tried",
            source: "nobody has five",
        },
        Limit {
            key: "clients",
            default: 5.0,
            unit: "client addresses that tried one login",
            source: "detectors.md: many to one, spread",
        },
        Limit {
            key: "domain_networks",
            default: 8.0,
            unit: "client networks that tried logins of one domain in vain, none of which its people ever sent from",
            source: "a domain's people fail from where they are; a botnet tries each name from anywhere, twice or so",
        },
        Limit {
            key: "hundreds",
            default: 200.0,
            unit: "failed logins",
            source: "harm: what is tried so often is meant",
        },
    ],
    signs: &[MANY_FAILURES, MANY_LOGINS_TRIED, HUNDREDS_OF_FAILURES, MAIL_AFTERWARDS, GOT_IN],
    check: Check::Many(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    match case.profile.kind {
        IdentityKind::Client => match by_network(case, limits) {
            Answer::Found(draft) => vec![*draft],
            Answer::Elsewhere => Vec::new(),
            Answer::No => at_domain(case, limits),
        },
        IdentityKind::Sasl => at_login(case, limits).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Logins of one network that are looked at: where there are more, it is a carrier's.
const USERS: usize = 1_000;

enum Answer {
    Found(Box<Draft>),
    /// It is told of the client of this network that was first.
    Elsewhere,
    No,
}

/// What one client, or the clients of one network together, failed to log in as.
struct Tries<'a> {
    failures: u64,
    logins: u64,
    samples: Vec<&'a [u8]>,
    clients: Vec<IpAddr>,
    first: Timestamp,
    last: Timestamp,
}

/// One client, or, where it takes several of one network, that network: told of at the one that was first.
fn by_network(case: &Case<'_>, limits: &Limits<'_>) -> Answer {
    let named = |login: &&[u8]| !login.is_empty();
    let is_enough = |tries: &Tries<'_>| {
        let is_many = tries.logins as f64 >= limits.get("logins");
        // Of several clients that alone are not worth a word some may have forgotten a password: not with many logins.
        tries.failures as f64 >= limits.get("failures") && (is_many || tries.clients.len() == 1)
            || is_many && tries.failures as f64 >= 2.0 * limits.get("logins")
    };
    let Some(alone) = case.profile.visits.as_deref().and_then(|visits| {
        let tries = visits.tries?;
        Some(Tries {
            failures: tries.failures,
            logins: visits.distinct_logins.count(),
            samples: visits.logins.keys().map(AsRef::as_ref).filter(named).take(10).collect(),
            clients: case.profile.client_ips.iter().copied().collect(),
            first: tries.first,
            last: tries.last,
        })
    }) else {
        return Answer::No;
    };
    match case.failing() {
        Some((all, is_lead)) if all.is_of_several() => {
            let together = Tries {
                failures: all.failures,
                logins: all.logins.len() as u64,
                samples: all.logins.iter().copied().take(10).collect(),
                clients: all.clients.iter().copied().collect(),
                first: all.first,
                last: all.last,
            };
            let is_found = is_enough(&together) || all.has_one(limits.get("failures"));
            match (is_found, is_lead) {
                (true, true) => of_tries(case, limits, &together).map_or(Answer::No, |draft| Answer::Found(Box::new(draft))),
                (true, false) => Answer::Elsewhere,
                (false, _) => Answer::No,
            }
        }
        _ if is_enough(&alone) => of_tries(case, limits, &alone).map_or(Answer::No, |draft| Answer::Found(Box::new(draft))),
        _ => Answer::No,
    }
}

fn of_tries(case: &Case<'_>, limits: &Limits<'_>, tries: &Tries<'_>) -> Option<Draft> {
    let Tries { failures, logins, first, last, .. } = *tries;
    let of = ip(&case.profile.name).map(network)?;
    let is_many = logins as f64 >= limits.get("logins");
    // Logins that work from the same network: its own people, whose programs may know an old password.
    let users: Vec<(&SenderProfile, &NetworkUse)> = case.others_in(of).take(USERS).collect();
    let tried: Vec<(&SenderProfile, bool)> = users
        .iter()
        .filter_map(|(other, used)| {
            let here = case.of(other);
            let tries = here.tried_from(of)?;
            let is_owners = own::networks(&here).are_owners_tries(&here, of, &tries);
            let is_afterwards = used.last >= tries.first && (tries.failures >= 3 || failures >= 15);
            (is_owners || is_afterwards).then_some((*other, is_owners))
        })
        .collect();
    let is_home = case.is_of_this_site(of) || tried.iter().any(|(_, is_owners)| *is_owners);
    let succeeded: BTreeSet<&[u8]> =
        tried.iter().filter(|(_, is_owners)| !is_owners).map(|(other, _)| &*other.name).collect();
    // Where several people send from, forgotten passwords add up.
    let is_shared = users.len() >= 3 && failures < 10 * users.len() as u64;
    if (is_home && !is_many) || is_shared {
        return None;
    }
    let signs = Signs::of(MANY_FAILURES)
        .and(is_many, MANY_LOGINS_TRIED)
        .and(failures as f64 >= limits.get("hundreds"), HUNDREDS_OF_FAILURES)
        .and(!succeeded.is_empty(), MAIL_AFTERWARDS);
    let names: Vec<_> = tries.samples.iter().map(|login| printable(login)).collect();
    let won: Vec<_> = succeeded.iter().map(|login| printable(login)).collect();
    let name = printable(&case.profile.name);
    let (who, whom) = match tries.clients.len() {
        0 | 1 => (format!("client {name}"), name.to_string()),
        count => (
            format!("client {name} and {} of its network {}", many(count as u64 - 1, "other"), network_text(of)),
            network_text(of),
        ),
    };
    Some(Draft {
        signs,
        first,
        last,
        messages: 0,
        recipients: 0,
        queue_ids: QueueIds::default(),
        explanation: format!(
            "{who} failed to log in {} between {first} and {last}, at {}{}.",
            many(failures, "time"),
            many(logins.max(1), "login"),
            if won.is_empty() { String::new() } else { format!("; afterwards {} sent mail from its network", won.join(", ")) },
        ),
        evidence: json!({ "failures": failures, "clients": tries.clients.len(), "login_count": logins, "samples": names, "succeeded": won }),
        client_ips: Some(tries.clients.iter().take(CLIENTS).copied().collect()),
        next_step: if won.is_empty() {
            format!("Block {whom} (fail2ban on the failed logins); nothing shows that it got in.")
        } else {
            format!("Suspend {} and reset the password now; then block {whom}.", won.join(", "))
        },
    })
}

/// A run of guesses at one domain ends where for so long nobody new tries.
const GAP_S: i64 = SECONDS_PER_DAY / 2;

/// Logins of one domain tried from many places, a few times from each: told of at the client that tried first.
fn at_domain(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let Some((domain, found)) = case.guessed_domain() else { return Vec::new() };
    let all = &found.guesses;
    // Of a large firm somebody always mistypes a password, somewhere.
    let least = limits.get("domain_networks").max(found.people as f64 / 2.0);
    let mut times: Vec<Timestamp> = all.iter().map(|one| one.first).collect();
    times.sort_unstable();
    let between = |first: Timestamp, last: Timestamp| {
        all.iter().filter(|one| (first..=last).contains(&one.first)).collect::<Vec<_>>()
    };
    let is_found = |piece: &[Timestamp]| {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return false };
        if (piece.len() as f64) < least {
            return false;
        }
        let run = between(*first, *last);
        let networks: BTreeSet<IpAddr> = run.iter().map(|one| network(one.client)).collect();
        let failures: u64 = run.iter().map(|one| one.failures).sum();
        failures as f64 >= limits.get("failures") && networks.len() as f64 >= least
    };
    let found = patterns(&times, &[GAP_S], is_found);
    found.iter().filter_map(|one| of_domain(case, limits, domain, &between(one.first, one.last))).collect()
}

fn of_domain(case: &Case<'_>, limits: &Limits<'_>, domain: &[u8], run: &[&Guess<'_>]) -> Option<Draft> {
    let failures: u64 = run.iter().map(|one| one.failures).sum();
    let networks: BTreeSet<IpAddr> = run.iter().map(|one| network(one.client)).collect();
    let first = run.iter().map(|one| one.first).min()?;
    let last = run.iter().map(|one| one.last).max()?;
    let clients: BTreeSet<IpAddr> = run.iter().map(|one| one.client).collect();
    let logins: BTreeSet<&[u8]> = run.iter().map(|one| one.login).collect();
    let (domain, name) = (printable(domain), printable(&case.profile.name));
    let places = case.places(clients.iter());
    let evidence = json!({
        "domain": domain,
        "failures": failures,
        "clients": clients.len(),
        "client_samples": clients.iter().take(20).map(ToString::to_string).collect::<Vec<_>>(),
        "network_count": networks.len(),
        "login_count": logins.len(),
        "samples": logins.iter().take(10).map(|login| printable(login)).collect::<Vec<_>>(),
    });
    Some(Draft {
        signs: Signs::of(MANY_FAILURES)
            .and(logins.len() > 1, MANY_LOGINS_TRIED)
            .and(failures as f64 >= limits.get("hundreds"), HUNDREDS_OF_FAILURES),
        first,
        last,
        messages: 0,
        recipients: 0,
        queue_ids: QueueIds::default(),
        explanation: format!(
            "client {name} and others, {} of {} networks, failed to log in at {domain} {failures} times between {first} and {last}, at {}, a few times each; none of its people ever sent from there.",
            clients.len(),
            networks.len(),
            many(logins.len() as u64, "login"),
        ),
        evidence: with(evidence, "guessed_from", places.and_then(|all| places_json(&all))),
        client_ips: Some(clients.iter().take(CLIENTS).copied().collect()),
        next_step: format!("See that the logins of {domain} have strong passwords; blocking single addresses (fail2ban) does not stop such guessing, a limit for each login does."),
    })
}

/// People that somebody who got in writes to, and the part of them that the owner may know.
const STRANGERS: u64 = 12;
const KNOWN_SHARE: f64 = 0.1;
/// So many tries of each of several networks are of one hand.
const ALIKE: u64 = 5;

fn at_login(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let guesses = case.guesses().filter(|guesses| guesses.failures as f64 >= limits.get("failures"))?;
    let places = own::networks(case);
    // Nobody guesses from where its owner is: programs that know the old password do, at home and on the way.
    let all: BTreeSet<IpAddr> = guesses.ips.iter().map(|address| network(*address)).collect();
    let networks: BTreeMap<IpAddr, Times> = all
        .into_iter()
        .filter_map(|of| Some((of, case.tried_from(of)?)))
        .filter(|(of, tries)| !places.are_owners_tries(case, *of, tries))
        .collect();
    let strangers: BTreeSet<_> = guesses.ips.iter().filter(|address| networks.contains_key(&network(**address))).collect();
    let known = own::recipients_of(places.own.iter().filter(|(of, _)| !networks.contains_key(*of)).map(|(_, used)| *used));
    let mut counts: Vec<u64> = networks.values().map(|tries| tries.failures).collect();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied().unwrap_or(0);
    // What failed and then sent may be its owner on a journey: who guesses tries others, too, or as often as the others who guess,
    // or writes to many strangers.
    let got_in = |of: &IpAddr, used: &NetworkUse| {
        let tries = networks.get(of).filter(|tries| used.last >= tries.first)?;
        let are_strangers = share(used.recipients.in_common(&known), used.recipients.count()) <= KNOWN_SHARE;
        let is_one_of_them = networks.len() >= 3
            && tries.failures >= ALIKE
            && 2 * tries.failures >= middle
            && tries.failures <= 2 * middle;
        let is_guesser = case.tries_others(*of) || (are_strangers && is_one_of_them);
        (is_guesser || (are_strangers && used.recipients.count() >= STRANGERS)).then_some(tries.failures)
    };
    let won = profile.networks.iter().find(|(of, used)| got_in(of, used).is_some());
    // From a few places that the login never was seen at, as many as from many.
    let nowhere = networks.iter().filter(|(of, _)| !profile.networks.contains_key(*of));
    let (far, failures) = nowhere.fold((0, 0), |sum, (_, tries)| (sum.0 + 1, sum.1 + tries.failures));
    let is_spread = strangers.len() as f64 >= limits.get("clients")
        || (far >= 2 && failures as f64 >= limits.get("failures"));
    // What tries many logins is told of itself, not of each of them, unless it got in here.
    let tried: u64 = networks.values().map(|tries| tries.failures).sum();
    let sprayed: u64 = networks.iter().filter(|(of, _)| case.is_sprayer(**of)).map(|(_, tries)| tries.failures).sum();
    let failures = if won.is_some() { tried } else { tried - sprayed };
    if (failures as f64) < limits.get("failures") || !is_spread {
        return None;
    }
    let first = networks.values().map(|tries| tries.first).min()?;
    let last_try = networks.values().map(|tries| tries.last).max()?;
    let last = last_try.max(won.map_or(first, |(_, used)| used.last));
    let places = case.places(strangers.iter().copied());
    let countries: Option<BTreeSet<&str>> = places.as_ref().map(|all| countries(all.iter().map(|(place, _)| place)));
    let (messages, recipients, ids) = match won {
        Some((_, used)) => {
            (u64::from(used.total.messages), u64::from(used.total.recipients), used.queue_ids.clone())
        }
        None => (0, 0, QueueIds::default()),
    };
    // The very address that tried before, if it is that.
    let won = won.and_then(|(_, used)| {
        let mut ips = used.ips.keys();
        let tried = ips.clone().find(|address| strangers.contains(address));
        Some((tried.or_else(|| ips.next())?, used))
    });
    let mut busiest: Vec<(IpAddr, u64)> = networks.iter().map(|(of, tries)| (*of, tries.failures)).collect();
    busiest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let shown: Vec<_> =
        busiest.iter().take(20).map(|(of, count)| json!({ "network": network_text(*of), "failures": count })).collect();
    let block = match busiest.as_slice() {
        few @ [_, ..] if few.len() <= 5 => few.iter().map(|(of, _)| network_text(*of)).collect::<Vec<_>>().join(", "),
        many => {
            let first: Vec<_> = many.iter().take(3).map(|(of, _)| network_text(*of)).collect();
            format!("the {} networks that try, {} before all", many.len(), first.join(", "))
        }
    };
    let evidence = json!({
        "failures": tried,
        "failures_of_the_owner": guesses.failures.saturating_sub(tried),
        "clients": strangers.len(),
        "network_count": networks.len(),
        "networks": shown,
        "succeeded_from": won.map(|(of, _)| of.to_string()),
    });
    Some(Draft {
        signs: Signs::of(MANY_FAILURES)
            .and(failures as f64 >= limits.get("hundreds"), HUNDREDS_OF_FAILURES)
            .and(won.is_some(), GOT_IN),
        first,
        last,
        messages,
        recipients,
        queue_ids: ids,
        explanation: format!(
            "{} was tried in vain {} from {}{} between {first} and {}{}.",
            named(profile),
            many(tried, "time"),
            if strangers.len() == 1 { "1 address".to_string() } else { format!("{} addresses", strangers.len()) },
            match countries.as_ref().map_or(0, BTreeSet::len) {
                0 | 1 => String::new(),
                count => format!(" in {count} countries"),
            },
            last_try,
            won.map_or(String::new(), |(of, used)| format!("; from {of} it then sent mail, {} between {} and {}", many(messages, "message"), used.first, used.last)),
        ),
        evidence: with(evidence, "guessed_from", places.and_then(|all| places_json(&all))),
        client_ips: Some(strangers.into_iter().take(CLIENTS).copied().collect()),
        next_step: if won.is_some() {
            format!("Suspend the login and reset its password now; block {block}.")
        } else {
            format!("Give the login a strong password and tell its owner; block {block} (fail2ban).")
        },
    })
}
