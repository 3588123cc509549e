//! This host takes mail, finds that it cannot deliver it, and tells a stranger whose address was forged.

use std::collections::BTreeSet;

use serde_json::json;

use super::case::{percent, together};
use super::signs::{BOUNCES_TO_STRANGERS, BOUNCES_UNDELIVERABLE, STRANGERS_BY_THE_DOZEN, STRANGERS_BY_THE_HUNDRED};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, many};
use crate::aggregate::{Notice, QueueIds, share};
use crate::mail::address::printable;
use crate::mail::time::SECONDS_PER_HOUR;

pub(super) const DETECTOR: Detector = Detector {
    kind: "backscatter",
    question: "does this host bounce mail that it should have refused?",
    limits: &[
        Limit {
            key: "recipients",
            default: 10.0,
            unit: "distinct strangers told of mail that came from outside",
            source: "baruwa seed: legitimate bounces; a few come of full mailboxes and forwards",
        },
        Limit {
            key: "dozens",
            default: 40.0,
            unit: "distinct strangers: more than a bad day of forwards",
            source: "harm: each may report this host",
        },
        Limit {
            key: "hundreds",
            default: 200.0,
            unit: "distinct strangers",
            source: "harm: receivers list hosts for it",
        },
        Limit {
            key: "undeliverable_share",
            default: 0.3,
            unit: "of these bounces that could not be delivered",
            source: "the senders of honest mail exist",
        },
    ],
    signs: &[BOUNCES_TO_STRANGERS, BOUNCES_UNDELIVERABLE, STRANGERS_BY_THE_DOZEN, STRANGERS_BY_THE_HUNDRED],
    check: Check::Many(check),
};

/// A run ends where for so long no such bounce is written.
const GAP_S: i64 = 6 * SECONDS_PER_HOUR;

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let Some(host) = case.host() else { return Vec::new() };
    let around = case.around();
    let is_of_stranger = |notice: &&Notice| {
        notice.parent.is_some_and(|parent| around.bounced_inbound.contains(&(host, parent)))
            && !around.is_hosted(&super::case::domain_of(&notice.recipient))
    };
    let mut notices: Vec<&Notice> = around.notices.get(&host).into_iter().flatten().filter(is_of_stranger).collect();
    notices.sort_unstable();
    let runs = notices.chunk_by(|a, b| b.at.seconds_since(a.at) <= GAP_S);
    runs.filter_map(|run| {
        let times: Vec<_> = run.iter().map(|notice| (notice.at, 1)).collect();
        of_run(run.get(together(&times))?, limits)
    })
    .collect()
}

fn of_run(notices: &[&Notice], limits: &Limits<'_>) -> Option<Draft> {
    let strangers: BTreeSet<_> = notices.iter().map(|notice| &notice.recipient).collect();
    let reaches = |limit: &str| strangers.len() as f64 >= limits.get(limit);
    if !reaches("recipients") {
        return None;
    }
    let undeliverable = notices.iter().filter(|notice| notice.is_undeliverable).count() as u64;
    let count = notices.len() as u64;
    let lost = share(undeliverable, count);
    let signs = Signs::of(BOUNCES_TO_STRANGERS)
        .and(lost >= limits.get("undeliverable_share"), BOUNCES_UNDELIVERABLE)
        .and(reaches("dozens"), STRANGERS_BY_THE_DOZEN)
        .and(reaches("hundreds"), STRANGERS_BY_THE_HUNDRED);
    let mut queue_ids = QueueIds::default();
    for notice in notices {
        queue_ids.add(notice.at, notice.queue_id);
    }
    let samples: Vec<_> = strangers.iter().take(10).map(|address| printable(address)).collect();
    Some(Draft {
        signs,
        first: notices.first()?.at,
        last: notices.last()?.at,
        messages: count,
        recipients: count,
        queue_ids,
        explanation: format!(
            "this host took mail from outside and bounced it {} to {}; {} of these bounces could not be delivered, as forged senders' cannot.",
            many(count, "time"),
            many(strangers.len() as u64, "stranger"),
            percent(lost),
        ),
        evidence: json!({ "bounces": count, "strangers": strangers.len(), "undeliverable": undeliverable, "samples": samples }),
        client_ips: None,
        next_step: "Refuse unknown recipients and spam while the client is still connected (Postfix: virtual_mailbox_maps and virtual_alias_maps for virtual domains, local_recipient_maps, relay_recipient_maps; Exim: verify = recipient in the RCPT ACL), instead of bouncing afterwards.".into(),
    })
}
