//! A sender's domain forgets to name this host: its mail is refused for SPF or DMARC, by several receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;

use super::signs::{SEVERAL_SAY_SO, UNAUTHORIZED_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, first_of, many, named};
use crate::aggregate::Unauthorized;
use crate::mail::address::{is_own_network, printable, split};

pub(super) const DETECTOR: Detector = Detector {
    kind: "spf-not-authorized",
    question: "does this sender's domain forget to name us?",
    limits: &[
        Limit {
            key: "receivers",
            default: 2.0,
            unit: "organisations that refuse one sender domain for SPF, DKIM or DMARC",
            source: "one alone may be wrong itself",
        },
        Limit { key: "recipients", default: 3.0, unit: "recipients so refused", source: "mxroute seed: own SPF not updated" },
        Limit {
            key: "often",
            default: 20.0,
            unit: "recipients so refused",
            source: "harm: that much mail does not arrive",
        },
    ],
    signs: &[SEVERAL_SAY_SO, UNAUTHORIZED_OFTEN],
    check: Check::One(check),
};

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    let (domain, worst) = profile
        .unauthorized
        .iter()
        .filter(|(_, one)| {
            one.receivers.len() as f64 >= limits.get("receivers") && one.recipients.count() as f64 >= limits.get("recipients")
        })
        .max_by_key(|(_, one)| one.answers)?;
    let name = printable(domain);
    let senders = profile.senders().into_iter().filter(|sender| split(&sender.address).1.eq_ignore_ascii_case(domain));
    let clients = clients::under(profile, senders.map(|sender| &*sender.address), worst.first, worst.last);
    let addresses = own_addresses(case, worst);
    let mechanisms: Vec<_> =
        addresses.iter().map(|ip| format!("ip{}:{ip}", if ip.is_ipv4() { 4 } else { 6 })).collect();
    let record = match mechanisms.as_slice() {
        [] => "`v=spf1 a:<name of this host> ... ~all`; no answer names this host's address".to_string(),
        some => format!(
            "`v=spf1 {} ... ~all`, if that is this host's address, as the answers have it; a: with this host's name does the same",
            some.join(" ")
        ),
    };
    let receivers: Vec<_> = worst.receivers.iter().take(10).map(|receiver| printable(receiver)).collect();
    let is_often = worst.recipients.count() as f64 >= limits.get("often");
    Some(Draft {
        signs: Signs::of(SEVERAL_SAY_SO).and(is_often, UNAUTHORIZED_OFTEN),
        first: worst.first,
        last: worst.last,
        messages: worst.queue_ids.count,
        recipients: worst.recipients.count(),
        queue_ids: worst.queue_ids.clone(),
        explanation: format!(
            "{} writes as {name}, whose SPF or DMARC does not stand for this host: {} ({}) refused {}.",
            named(profile),
            many(worst.receivers.len() as u64, "receiver"),
            first_of(&receivers, worst.receivers.len() as u64),
            many(worst.recipients.count(), "recipient"),
        ),
        evidence: json!({
            "sender_domain": name,
            "receiver_names": receivers,
            "receiver_count": worst.receivers.len(),
            "answers": worst.answers,
            "recipients": worst.recipients.count(),
            "addresses_named": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "example": printable(&worst.example),
        }),
        client_ips: Some(clients),
        next_step: format!(
            "Have the owner of {name} add this host to the domain's one SPF record (TXT at {name}: {record}; ... is what it has already) and sign with DKIM; if the domain is not the user's, it must not be used."
        ),
    })
}

/// Addresses of one record.
const ADDRESSES: usize = 4;

/// This host's addresses, as the answers about this domain name them: those that at least half as many answers name as the one
/// most often named. Where none does, as answers about this host's reputation do.
fn own_addresses(case: &Case<'_>, refused: &Unauthorized) -> Vec<IpAddr> {
    const CATEGORIES: &[&str] = &["spf-fail", "dmarc-fail", "sender-unauthenticated"];
    let profile = case.profile;
    let reasons = profile.reasons.iter().filter(|(key, reason)| !reason.by_us && CATEGORIES.contains(&key.category.id()));
    let answers: BTreeSet<&[u8]> =
        reasons.map(|(_, reason)| &*reason.example).chain([&*refused.example]).collect();
    let named = most_named(answers.into_iter());
    if !named.is_empty() {
        return named;
    }
    let receivers = profile.hosts.iter().flat_map(|host| case.around().receivers_of(*host));
    let examples = receivers.flat_map(|(_, one)| [&one.example, &one.listed_example]);
    most_named(examples.flatten().map(|(_, answer)| &**answer))
}

fn most_named<'a>(answers: impl Iterator<Item = &'a [u8]>) -> Vec<IpAddr> {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    answers.flat_map(addresses_in).for_each(|ip| *counts.entry(ip).or_default() += 1);
    let most = counts.values().max().copied().unwrap_or(0);
    counts.into_iter().filter(|(_, count)| 2 * count >= most).map(|(ip, _)| ip).take(ADDRESSES).collect()
}

/// Public addresses in what a receiver said; the MTA's own words before it name the receiver's.
fn addresses_in(answer: &[u8]) -> BTreeSet<IpAddr> {
    let said = memchr::memmem::find(answer, b" said: ").and_then(|at| answer.get(at..)).unwrap_or(answer);
    let is_of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':');
    let words = said.split(|b| !is_of_address(b)).filter_map(|word| std::str::from_utf8(word).ok());
    let address = |word: &str| word.trim_matches(['.', ':']).parse::<IpAddr>().ok().or_else(|| word.parse().ok());
    let is_public = |ip: &IpAddr| !is_own_network(*ip) && !ip.is_loopback() && !ip.is_unspecified();
    words.filter_map(address).filter(is_public).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_receivers_name_is_this_hosts() {
        let google = "host mx.example[198.51.100.1] said: 550-5.7.26 SPF [b.example] with ip: [203.0.114.80] = did not pass 550 5.7.26 (in reply to end of DATA command)";
        let postfix = "host mx.example[198.51.100.2] said: 550 5.7.23 Please see http://www.openspf.net/Why?s=mfrom;id=a@b.example;ip=203.0.114.80 (in reply to RCPT TO command)";
        let exim = "SMTP error from remote mail server after RCPT TO:<x@y.example>: 550 5.7.1 2a01:4f8::80 is not allowed to send for b.example. 12:34:56";
        let of = |answers: &[&str]| {
            most_named(answers.iter().map(|text| text.as_bytes())).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(&[google, postfix]), ["203.0.114.80"]);
        assert_eq!(of(&[exim]), ["2a01:4f8::80"]);
        // One answer that names another address is not believed beside three that agree.
        let wrong = "550 5.7.1 203.0.114.66 may not send";
        assert_eq!(of(&[google, postfix, "550 5.7.1 [203.0.114.80] may not send", wrong]), ["203.0.114.80"]);
        assert!(of(&["550 5.7.1 SPF failed for 10.0.0.1, version 5.7.1.2.3"]).is_empty());
    }
}
