//! What the words mean.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::incident::kind_title;
use crate::detect::DETECTORS;
use crate::report::Incident;

/// Terms of the field and of this report, in the alphabet's order.
const TERMS: &[(&str, &str)] = &[
    ("backscatter", "Bounces sent to people who never wrote the mail: a spammer had forged their address."),
    ("bounced", "A delivery was given up because the other side refused it for good (5xx)."),
    ("client", "The host that talks to this one. As an identity: an address that may relay without a login."),
    ("deferred", "A delivery did not work for now (4xx); the queue tries again."),
    ("delivered", "The recipient's server or mailbox took the mail. It may still have been filed as spam there."),
    ("directory harvest", "Trying many addresses of a domain to learn which exist."),
    ("discarded", "Thrown away here on purpose."),
    ("DKIM", "A signature of the sending domain in the mail's header (RFC 6376)."),
    ("DMARC", "What a domain wants done with mail that neither SPF nor DKIM stands for (RFC 7489)."),
    ("DNS list", "A list of bad senders that servers ask by DNS (DNSBL, RBL)."),
    ("enhanced code", "Three numbers such as 5.1.1 that say the cause of an answer (RFC 3463)."),
    (
        "envelope sender",
        "The address in MAIL FROM, to which bounces go. The null sender <> is that of bounces themselves.",
    ),
    ("expired", "Given up because the mail had waited too long in the queue."),
    ("gap", "A time between two files of one log that no file covers."),
    ("greylisting", "Putting a stranger's first try off on purpose; an honest server comes again."),
    ("HELO", "The name by which a client introduces itself. It can say anything."),
    (
        "identity",
        "Who is responsible for a mail: the login; else the local user or script; else the client; else the envelope sender.",
    ),
    ("invalid recipient", "An address that the other side says does not exist."),
    ("message without a beginning", "The log begins after it was taken in, so nobody knows who sent it."),
    ("peak hour", "The hour, beginning at any minute, in which an identity wrote to most recipients."),
    ("provider", "The organisation that runs a recipient's mail servers."),
    ("queue id", "The name that this host's mail server gives a message while it has it."),
    ("rejected", "Refused by this host for good, in the dialogue, before it took the mail."),
    ("relay", "The host that this one hands mail to; to relay is to take mail for somewhere else."),
    ("reputation", "What receivers think of this host's address: lists, complaints, volume."),
    ("score", "How sure a finding is, 0 to 1."),
    ("severity", "Harm and certainty together: low and medium want a look this week, high today, critical now."),
    ("SPF", "The hosts that a domain lets send its mail, in DNS (RFC 7208)."),
    ("tempfailed", "Refused by this host for now (4xx), in the dialogue."),
];

/// Signs that a finding adds up, in the alphabet's order.
const SIGNS: &[(&str, &str)] = &[
    ("countries-at-once", "It was used out of two countries in one hour."),
    ("from-new-networks", "Half of the logins or more sent from networks that were new to them."),
    ("guessed-before", "Logins failed from a foreign network before it was used from there."),
    ("guessed-from-elsewhere", "Logins failed from three addresses or more before the first foreign use."),
    ("large-volume", "100 recipients a day or more."),
    ("many-countries", "Foreign networks of many countries."),
    ("many-networks", "Many client networks that are not its owner's."),
    ("many-senders", "More than three envelope senders for each foreign network."),
    ("more-than-ever", "Four times the most that its owner wrote to in an hour."),
    ("network-of-other-victims", "Other logins whose mail is refused came from the same network."),
    ("networks-all-over", "Networks from all over the address space."),
    ("networks-at-once", "Two foreign networks or more in one hour."),
    ("new-country", "A country that it was never used from."),
    ("nobody-answers", "None of the people written to ever wrote back."),
    ("nobody-twice", "Nobody was written to twice."),
    ("one-message-each", "One message for each recipient."),
    ("one-network", "Several of the logins sent from one network."),
    ("one-sender-domain", "Several of the logins wrote under one foreign domain."),
    ("one-size-beyond-chance", "So many messages of one size come together by chance less than once in 100 times."),
    ("one-size-hardly-by-chance", "So many messages of one size come together by chance less than once in 20 times."),
    ("refused-as-spam", "Some of it was refused as spam."),
    ("refused-more", "It was refused much more often than its owner's mail."),
    ("refused-much", "A fifth or more was refused as unknown or unwanted."),
    ("round-the-clock", "It was used in 18 hours of the day or more."),
    ("steady-for-hours", "It went on for three hours or more."),
    ("strangers-only", "Hardly anybody that its owner ever wrote to."),
    ("unknown-recipients", "An eighth or more of the recipients do not exist."),
];

/// Signs in the evidence of these incidents.
fn signs(incidents: &[Incident<'_>]) -> BTreeSet<String> {
    let findings = incidents.iter().flat_map(|incident| &incident.findings);
    let signs = findings.filter_map(|finding| finding.evidence.get("signs")?.as_array()).flatten();
    signs.filter_map(|sign| Some(sign.get("sign")?.as_str()?.to_string())).collect()
}

pub(super) fn section(incidents: &[Incident<'_>]) -> Markup {
    let found = |kind: &str| incidents.iter().any(|i| i.findings.iter().any(|finding| finding.kind == kind));
    html! {
        section #glossary aria-labelledby="h-glossary" {
            h2 #h-glossary { "Glossary" }
            @if !incidents.is_empty() {
                h3 { "What the findings ask" }
                dl.terms {
                    @for detector in DETECTORS.iter().filter(|detector| found(detector.kind)) {
                        div { dt { (kind_title(detector.kind)) } dd { (detector.question) } }
                    }
                }
                @let signs = signs(incidents);
                @if !signs.is_empty() {
                    h3 { "Signs that findings name" }
                    dl.terms { @for (sign, meaning) in SIGNS.iter().filter(|(sign, _)| signs.contains(*sign)) { div { dt { (sign) } dd { (meaning) } } } }
                }
                h3 { "Words" }
            }
            dl.terms { @for (term, meaning) in TERMS { div { dt { (term) } dd { (meaning) } } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_in_order() {
        assert!(TERMS.is_sorted_by_key(|(term, _)| term.to_lowercase()));
        assert!(SIGNS.is_sorted());
    }

    #[test]
    fn every_sign_is_explained() {
        let sources =
            [include_str!("../../detect/account_takeover.rs"), include_str!("../../detect/sender_rotation.rs")];
        let mut named = 0;
        for line in sources.iter().flat_map(|source| source.lines()).filter(|line| line.contains("signs.add(")) {
            let sign = line.rsplit('"').nth(1).unwrap();
            assert!(SIGNS.iter().any(|(one, _)| *one == sign), "{sign}");
            named += 1;
        }
        assert_eq!(named, SIGNS.len());
    }
}
