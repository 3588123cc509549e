//! Mail to phones by the carriers' gateways: what they refuse or charge for comes back to this host.

use serde_json::json;

use super::case::queue_ids;
use super::signs::{TO_PHONES, TO_PHONES_OFTEN};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, many, named};
use crate::mail::address::printable;

pub(super) const DETECTOR: Detector = Detector {
    kind: "sms-gateway",
    question: "does it mail phone gateways?",
    limits: &[
        Limit {
            key: "recipients",
            default: 5.0,
            unit: "recipients asked for at phone gateways",
            source: "mxroute, blocking page: \"it's a long story\"; one's own phone is one",
        },
        Limit {
            key: "often",
            default: 100.0,
            unit: "recipients asked for at phone gateways",
            source: "harm: carriers block hosts for it",
        },
    ],
    signs: &[TO_PHONES, TO_PHONES_OFTEN],
    check: Check::One(check),
};

/// Domains of the gateways from mail to text messages (carriers' support pages).
const GATEWAYS: &[&str] = &[
    "txt.att.net", "mms.att.net", "vtext.com", "vzwpix.com", "tmomail.net", "messaging.sprintpcs.com", "pm.sprint.com",
    "email.uscc.net", "mms.uscc.net", "msg.fi.google.com", "mymetropcs.com", "sms.myboostmobile.com", "myboostmobile.com",
    "sms.cricketwireless.net", "mms.cricketwireless.net", "text.republicwireless.com", "mailmymobile.net", "vmobl.com",
    "vmpix.com", "message.alltel.com", "mms.alltel.net", "cwemail.com", "cspire1.com", "page.nextel.com", "sms.rogers.com",
    "pcs.rogers.com", "txt.bell.ca", "txt.bellmobility.ca", "msg.telus.com", "mms.telusmobility.com", "fido.ca",
    "msg.koodomobile.com", "vmobile.ca", "txt.freedommobile.ca", "sms.sasktel.com", "mmail.co.uk", "o2.co.uk",
    "orange.net", "t-mobile.uk.net", "vodafone.net", "sms.o2online.de", "o2online.de", "t-mobile-sms.de", "vodafone-sms.de",
    "smsmail.eplus.de", "sms.orange.pl", "text.plusgsm.pl", "sms.t-mobile.at", "sms.luxgsm.lu", "gsm.sunrise.ch",
    "sms.telekom.hu", "optusmobile.com.au", "sms.tim.telecomitalia.it",
];

fn is_gateway(domain: &[u8]) -> bool {
    GATEWAYS.iter().any(|gateway| domain == gateway.as_bytes()) || domain.starts_with(b"sms.") || domain.starts_with(b"mms.")
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let gateways: Vec<_> = profile.recipient_domains.iter().filter(|(domain, _)| is_gateway(domain)).collect();
    let recipients: u64 = gateways.iter().map(|(_, count)| **count).sum();
    if (recipients as f64) < limits.get("recipients") {
        return None;
    }
    let mut pairs: Vec<_> = profile.pairs_to(is_gateway);
    pairs.sort_by(|a, b| (&a.sender, &a.recipient).cmp(&(&b.sender, &b.recipient)));
    let times = || pairs.iter().flat_map(|pair| &pair.times).copied();
    let at = crate::mail::time::Timestamp::from_seconds;
    let (first, last) = (times().min().map(at)?, times().max().map(at)?);
    let queue_ids = queue_ids(pairs.iter().flat_map(|pair| pair.queue_ids.between(first, last.plus_seconds(1))));
    let phones = pairs.iter().map(|pair| &pair.recipient).collect::<std::collections::BTreeSet<_>>().len();
    let names: Vec<_> = gateways.iter().map(|(domain, _)| printable(domain)).collect();
    Some(Draft {
        signs: Signs::of(TO_PHONES).and(recipients as f64 >= limits.get("often"), TO_PHONES_OFTEN),
        first,
        last,
        messages: queue_ids.count,
        recipients,
        queue_ids,
        explanation: format!(
            "{} wrote to {} by mail, {}, through {}.",
            named(profile),
            many(phones as u64, "phone"),
            many(recipients, "time"),
            names.iter().take(5).map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
        ),
        evidence: json!({ "phones": phones, "recipients": recipients, "gateways": names }),
        client_ips: Some(clients::to_named(profile, pairs.iter().map(|pair| &*pair.recipient), first, last)),
        next_step: "Have the sender use a text message service; carriers block hosts that send such mail, for everybody on them.".into(),
    })
}
