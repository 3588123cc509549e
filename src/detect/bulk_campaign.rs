//! A marketing run from a mailbox: many strangers over many domains in a steady stream, one size, hardly any answers.

use std::collections::BTreeMap;

use serde_json::json;

use super::case::{bad_recipients, count_between, is_clearly_over, patterns, percent, total_between};
use super::form_abuse::Copies;
use super::signs::{MANY_NEW_RECIPIENTS, NEW_BY_THE_HUNDRED, ONE_SIZE, REFUSED_AS_SPAM, UNCLEAN_LIST};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, named};
use crate::aggregate::{SIZE_STEPS, share};
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "bulk-campaign",
    question: "is it a marketing run from a mailbox?",
    limits: &[
        Limit {
            key: "recipients",
            default: 100.0,
            unit: "recipients mailed for the first time within one run",
            source: "a busy person writes to dozens of new people in a day, not to a hundred",
        },
        Limit {
            key: "domains",
            default: 20.0,
            unit: "distinct recipient domains; with fewer the run must reach `hundreds`",
            source: "invoices and schools write to many people of few domains, and to their own",
        },
        Limit {
            key: "alike_share",
            default: 0.5,
            unit: "of the messages within a fifth of one size",
            source: "a campaign is one text",
        },
        Limit {
            key: "bad_share",
            default: 0.1,
            unit: "of its recipients refused as unknown or unwanted: clearly over it (one standard deviation) the list is no honest one",
            source: "detectors.md: an association's slightly stale list has up to a twelfth",
        },
        Limit {
            key: "distrusted_share",
            default: 0.02,
            unit: "of its recipients refused as spam: clearly over it (one standard deviation) it is not asked for",
            source: "members and customers who get a mailing hardly ever have it refused",
        },
        Limit {
            key: "hundreds",
            default: 500.0,
            unit: "recipients mailed for the first time within one run",
            source: "harm: that many complaints are felt",
        },
    ],
    signs: &[MANY_NEW_RECIPIENTS, ONE_SIZE, UNCLEAN_LIST, REFUSED_AS_SPAM, NEW_BY_THE_HUNDRED],
    check: Check::Many(check),
};

/// A run of one day ends where for so long nobody new is written to.
const GAP_S: i64 = 6 * SECONDS_PER_HOUR;

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let profile = case.profile;
    let is_many = |count: u64| count as f64 >= limits.get("recipients");
    if !matches!(profile.kind, IdentityKind::Sasl | IdentityKind::Uid) || !is_many(profile.distinct_recipients.count()) {
        return Vec::new();
    }
    // The large mailbox providers alone have people enough for the largest of such runs.
    let is_wide = profile.distinct_recipient_domains.count() as f64 >= limits.get("domains");
    let least = if is_wide { limits.get("recipients") } else { limits.get("hundreds").max(limits.get("recipients")) };
    let firsts = profile.distinct_recipients.times();
    let is_run = |piece: &[Timestamp]| {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return false };
        if (piece.len() as f64) < least || alike_share(case, *first, *last) < limits.get("alike_share") {
            return false;
        }
        let (once, replied) = case.once_and_replied(*first, *last);
        once >= 0.6 && replied <= 0.05
    };
    let found = patterns(&firsts, &[GAP_S], is_run);
    found.into_iter().map(|one| of_run(case, limits, one.first, one.last, &firsts)).collect()
}

fn of_run(case: &Case<'_>, limits: &Limits<'_>, first: Timestamp, last: Timestamp, firsts: &[Timestamp]) -> Draft {
    let profile = case.profile;
    let run = count_between(firsts, first, last);
    let domains = profile.distinct_recipient_domains.count();
    let alike = alike_share(case, first, last);
    let (once, replied) = case.once_and_replied(first, last);
    let used = total_between(profile, first, last);
    let copies = Copies::of(profile, first, last);
    let bad = copies.share_without(bad_recipients(used), used.recipients);
    let is_over = |part, limit: &str| is_clearly_over(part, copies.without(used.recipients), limits.get(limit));
    let signs = Signs::of(MANY_NEW_RECIPIENTS)
        .and(true, ONE_SIZE)
        .and(is_over(bad_recipients(used), "bad_share"), UNCLEAN_LIST)
        .and(is_over(u64::from(used.distrusted), "distrusted_share"), REFUSED_AS_SPAM)
        .and(run as f64 >= limits.get("hundreds"), NEW_BY_THE_HUNDRED);
    let queue_ids = profile.queue_ids_between(first, last, u64::from(used.messages));
    Draft {
        signs,
        first,
        last,
        messages: queue_ids.count,
        recipients: run,
        queue_ids,
        explanation: format!(
            "{} mailed {run} recipients for the first time between {first} and {last}, under {domains} domains; {} of its messages are of one size, {} of the recipients were refused as unknown or unwanted, and {} ever wrote back.",
            named(profile),
            percent(alike),
            percent(bad),
            percent(replied),
        ),
        evidence: json!({
            "new_recipients": run,
            "recipient_domains": domains,
            "mailed_once_share": once,
            "one_size_share": alike,
            "refused_share": bad,
            "replied_share": replied,
        }),
        client_ips: Some(clients::to_new(profile, first, last)),
        next_step: "Ask the owner whether this mailing is theirs and where the addresses are from; a mailing to strangers belongs to a service made for it, or nowhere.".into(),
    }
}

/// The largest share of the messages of a span that steps of size beside each other hold, a fifth wide; of a script, of
/// all its messages.
fn alike_share(case: &Case<'_>, first: Timestamp, last: Timestamp) -> f64 {
    let mut sizes: BTreeMap<u16, u64> = BTreeMap::new();
    let mut wide = 2;
    for ((_, step), count) in case.profile.size_hours.range((first.hour(), 0)..=(last.hour(), u16::MAX)) {
        *sizes.entry(*step).or_default() += u64::from(*count);
        wide = (SIZE_STEPS / 4.0) as u16;
    }
    if sizes.is_empty() {
        sizes = case.profile.sizes.iter().map(|(step, count)| (*step, *count)).collect();
    }
    let total: u64 = sizes.values().sum();
    let from = |step: &u16| sizes.range(*step..step.saturating_add(wide)).map(|(_, count)| count).sum::<u64>();
    share(sizes.keys().map(from).max().unwrap_or(0), total)
}
