//! Somebody guesses logins: one client many, many clients one, in bursts or slowly; and whether it worked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::case::{countries, places_json, run_around, with};
use super::signs::{GOT_IN, HUNDREDS_OF_FAILURES, MAIL_AFTERWARDS, MANY_FAILURES, MANY_LOGINS_TRIED};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named};
use crate::aggregate::{QueueIds, share};
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
            unit: "failed logins of one client, or at one login from many",
            source: "a forgotten password in a program fails a few times, from where its owner is",
        },
        Limit {
            key: "logins",
            default: 5.0,
            unit: "distinct logins that one client tried",
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
    check: Check::One(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    match case.profile.kind {
        IdentityKind::Client => by_client(case, limits).or_else(|| at_domain(case, limits)),
        IdentityKind::Sasl => at_login(case, limits),
        _ => None,
    }
}

/// Logins of one network that are looked at: where there are more, it is a carrier's.
const USERS: usize = 1_000;

fn by_client(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let visits = profile.visits.as_deref()?;
    let (failures, logins) = (visits.failures(), visits.distinct_logins.count());
    let of = ip(&profile.name).map(network)?;
    let (first, last) = visits.tries.map(|tries| (tries.first, tries.last))?;
    // Logins that work from the same network: its own people, if that was so before.
    let users: Vec<(&[u8], Timestamp)> =
        case.others_in(of).take(USERS).map(|(other, used)| (&*other.name, used.first)).collect();
    let is_home = case.is_of_this_site(of) || users.iter().any(|(login, at)| *at < first && visits.logins.contains_key(*login));
    let succeeded: BTreeSet<&[u8]> = users
        .iter()
        .filter(|(login, at)| {
            visits.logins.get(*login).is_some_and(|tries| *at >= tries.first && (tries.failures >= 3 || failures >= 15))
        })
        .map(|(login, _)| *login)
        .collect();
    let is_many = logins as f64 >= limits.get("logins");
    if !(failures as f64 >= limits.get("failures") || (is_many && failures as f64 >= 2.0 * limits.get("logins"))) {
        return None;
    }
    // Where several people send from, forgotten passwords add up.
    let is_shared = users.len() >= 3 && failures < 10 * users.len() as u64;
    if (is_home && !is_many) || is_shared {
        return None;
    }
    let signs = Signs::of(MANY_FAILURES)
        .and(is_many, MANY_LOGINS_TRIED)
        .and(failures as f64 >= limits.get("hundreds"), HUNDREDS_OF_FAILURES)
        .and(!succeeded.is_empty(), MAIL_AFTERWARDS);
    let names: Vec<_> = visits.logins.keys().filter(|l| !l.is_empty()).take(10).map(|login| printable(login)).collect();
    let won: Vec<_> = succeeded.iter().map(|login| printable(login)).collect();
    let name = printable(&profile.name);
    Some(Draft {
        signs,
        first,
        last,
        messages: 0,
        recipients: 0,
        queue_ids: QueueIds::default(),
        explanation: format!(
            "client {name} failed to log in {} between {first} and {last}, at {}{}.",
            many(failures, "time"),
            many(logins.max(1), "login"),
            if won.is_empty() { String::new() } else { format!("; afterwards {} sent mail from its network", won.join(", ")) },
        ),
        evidence: json!({ "failures": failures, "logins": logins, "samples": names, "succeeded": won }),
        client_ips: None,
        next_step: if won.is_empty() {
            format!("Block {name} (fail2ban on the failed logins); nothing shows that it got in.")
        } else {
            format!("Suspend {} and reset the password now; then block {name}.", won.join(", "))
        },
    })
}

/// Logins of one domain tried from many places, a few times from each: told of at the client that tried most.
fn at_domain(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let (domain, all) = case.guessed_domain()?;
    let mut times: Vec<Timestamp> = all.iter().map(|one| one.first).collect();
    times.sort_unstable();
    let (first, until, _) = run_around(&times, SECONDS_PER_DAY, SECONDS_PER_DAY / 2)?;
    let run: Vec<_> = all.iter().filter(|one| (first..=until).contains(&one.first)).collect();
    let failures: u64 = run.iter().map(|one| one.failures).sum();
    let networks: BTreeSet<IpAddr> = run.iter().map(|one| network(one.client)).collect();
    if (failures as f64) < limits.get("failures") || (networks.len() as f64) < limits.get("domain_networks") {
        return None;
    }
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
        "logins": logins.len(),
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
            "client {name} and {} of {} networks failed to log in at {domain} {failures} times between {first} and {last}, at {}, a few times each; none of its people ever sent from there.",
            many(clients.len() as u64 - 1, "other"),
            networks.len(),
            many(logins.len() as u64, "login"),
        ),
        evidence: with(evidence, "guessed_from", places.and_then(|all| places_json(&all))),
        client_ips: None,
        next_step: format!("See that the logins of {domain} have strong passwords; blocking single addresses (fail2ban) does not stop such guessing, a limit for each login does."),
    })
}

/// Where this part of the failures came from the login's own networks, they are its owner's.
const OWNERS_SHARE: f64 = 0.2;

fn at_login(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let guesses = case.guesses()?;
    let own = |address: &IpAddr| profile.networks.get(&network(*address)).is_some_and(|used| {
        Some(used.first) < guesses.first
    });
    let strangers: BTreeSet<_> = guesses.ips.iter().filter(|address| !own(address)).collect();
    // Nobody guesses from where its owner is: programs that know the old password do, at home and on the way.
    let home: BTreeSet<_> = guesses.ips.iter().filter(|address| own(address)).map(|address| network(*address)).collect();
    let at_home: u64 = home.iter().map(|of| case.tried_from(*of).map_or(0, |(failures, _)| failures)).sum();
    if share(at_home, guesses.failures) >= OWNERS_SHARE {
        return None;
    }
    // From a few places that the login never was seen at, as many as from many.
    let networks: BTreeSet<_> = strangers.iter().map(|address| network(**address)).collect();
    let tried = |of: &IpAddr| case.tried_from(*of).map_or(0, |(failures, _)| failures);
    let nowhere = networks.iter().filter(|of| !profile.networks.contains_key(*of));
    let (places, failures) = nowhere.fold((0, 0), |sum, of| (sum.0 + 1, sum.1 + tried(of)));
    let is_spread = strangers.len() as f64 >= limits.get("clients")
        || (places >= 2 && failures as f64 >= limits.get("failures"));
    if (guesses.failures as f64) < limits.get("failures") || !is_spread {
        return None;
    }
    let (first, last) = (guesses.first?, guesses.last?);
    let places = case.places(guesses.ips.iter());
    let countries: Option<BTreeSet<&str>> = places.as_ref().map(|all| countries(all.iter().map(|(place, _)| place)));
    let won = profile.networks.iter().find(|(of, used)| {
        used.first > first && strangers.iter().any(|address| network(**address) == **of)
    });
    // The very address that tried before, if it is that.
    let won = won.and_then(|(_, used)| {
        let mut ips = used.ips.keys();
        let tried = ips.clone().find(|address| strangers.contains(address));
        Some((tried.or_else(|| ips.next())?, used))
    });
    Some(Draft {
        signs: Signs::of(MANY_FAILURES)
            .and(guesses.failures as f64 >= limits.get("hundreds"), HUNDREDS_OF_FAILURES)
            .and(won.is_some(), GOT_IN),
        first,
        last,
        messages: 0,
        recipients: 0,
        queue_ids: QueueIds::default(),
        explanation: format!(
            "{} was tried in vain {} from {}{} between {first} and {last}{}.",
            named(profile),
            many(guesses.failures, "time"),
            if strangers.len() == 1 { "1 address".to_string() } else { format!("{} addresses", strangers.len()) },
            match countries.as_ref().map_or(0, BTreeSet::len) {
                0 | 1 => String::new(),
                count => format!(" in {count} countries"),
            },
            won.map_or(String::new(), |(of, used)| format!("; from {of} it then sent mail at {}", used.first)),
        ),
        evidence: with(json!({ "failures": guesses.failures, "clients": strangers.len(), "succeeded_from": won.map(|(of, _)| of.to_string()) }), "guessed_from", places.and_then(|all| places_json(&all))),
        client_ips: None,
        next_step: if won.is_some() {
            "Suspend the login and reset its password now.".into()
        } else {
            "Give the login a strong password and tell its owner; block the addresses that try (fail2ban).".into()
        },
    })
}
