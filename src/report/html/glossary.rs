//! What the words mean.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::incident::kind_title;
use crate::detect::{DETECTORS, Sign};
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
    (
        "score",
        "What a finding's signs weigh together, at most 1; of an identity, those of all its findings, each sign once.",
    ),
    (
        "severity",
        "What the score comes to: from 0.9 on critical (act now), from 0.6 high (today), from 0.4 medium (this week), else low.",
    ),
    ("SPF", "The hosts that a domain lets send its mail, in DNS (RFC 7208)."),
    ("tempfailed", "Refused by this host for now (4xx), in the dialogue."),
];

/// Signs of these incidents, by name.
fn signs<'a>(incidents: &[Incident<'a>]) -> BTreeMap<&'a str, &'a Sign> {
    let findings = incidents.iter().flat_map(|incident| &incident.findings);
    findings.flat_map(|finding| finding.signs.all()).map(|sign| (sign.name, *sign)).collect()
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
                    h3 { "Signs that findings name, and what each adds to the score" }
                    dl.terms { @for sign in signs.values() { div { dt { (sign.name) " " (sign.weight) } dd { (sign.means) } } } }
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
    use crate::detect::Severity;

    #[test]
    fn terms_are_in_order() {
        assert!(TERMS.is_sorted_by_key(|(term, _)| term.to_lowercase()));
        let severity = TERMS.iter().find(|(term, _)| *term == "severity").map(|(_, meaning)| *meaning).unwrap();
        for one in Severity::ALL.iter().filter(|one| **one != Severity::Low) {
            assert!(
                severity.contains(&format!(
                    "from {} {}{one}",
                    one.least_score(),
                    if *one == Severity::Critical { "on " } else { "" }
                )),
                "{one}"
            );
        }
    }
}
