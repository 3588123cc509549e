//! A sender's domain forgets to name this host: its mail is refused for SPF or DMARC, by several receivers.

use serde_json::json;

use super::signs::{SEVERAL_SAY_SO, UNAUTHORIZED_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many, named};
use crate::mail::address::printable;

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
            receivers.iter().take(3).map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
            many(worst.recipients.count(), "recipient"),
        ),
        evidence: json!({
            "sender_domain": name,
            "receiver_names": receivers,
            "receiver_count": worst.receivers.len(),
            "answers": worst.answers,
            "recipients": worst.recipients.count(),
            "example": printable(&worst.example),
        }),
        client_ips: None,
        next_step: format!(
            "Have the owner of {name} add this host to the domain's SPF record (TXT at {name}: `v=spf1 a:<name of this host> ... ~all`, one record only) and sign with DKIM; if the domain is not the user's, it must not be used."
        ),
    })
}
