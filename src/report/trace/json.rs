//! A story as one JSON object: what the text says, whole.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::text::Hide;
use crate::aggregate::uses::{Use, Who};
use crate::mail::address::printable;
use crate::mail::time::Timestamp;
use crate::report::tables::SCHEMA_VERSION;
use crate::trace::story::Reach;
use crate::trace::{Roles, Story};

/// Names tried from one address that are told.
const NAMES: usize = 100;

/// The object's text, ending with a line end.
pub fn story(story: &Story<'_, '_>, hide: Option<&dyn Hide>) -> String {
    let shown = |text: &str| hide.map_or_else(|| text.to_string(), |hide| hide.sentence(text));
    let who = |who: &Who| json!({ "identity_kind": who.0.word(), "identity": shown(&printable(&who.1)) });
    let at = |at: Timestamp| at.to_string();
    let ip = |ip: &IpAddr| shown(&ip.to_string());
    let moments: Vec<_> = story
        .moments
        .iter()
        .map(|one| json!({ "at": at(one.at), "until": one.until.map(at), "what": shown(&one.what) }))
        .collect();
    let groups: Vec<_> = story
        .judgement
        .iter()
        .filter(|_| story.role == Roles::IDENTITY)
        .flat_map(|judgement| &judgement.groups)
        .map(|group| {
            json!({
                "source": shown(&group.source.name()),
                "fit": group.fit.word(),
                "why": group.why.iter().map(|why| shown(why)).collect::<Vec<_>>(),
                "messages": group.messages,
                "recipients": group.recipients,
                "refused": group.refused,
                "first": at(group.first),
                "last": at(group.last),
                "days": group.days,
                "ips": group.ips.keys().map(ip).collect::<Vec<_>>(),
            })
        })
        .collect();
    let bursts: Vec<_> = story
        .judgement
        .iter()
        .flat_map(|judgement| &judgement.bursts)
        .map(|burst| {
            json!({
                "source": shown(&burst.source.name()),
                "hour": at(Timestamp::from_seconds(burst.hour * 3_600)),
                "fit": burst.fit.word(),
                "why": shown(&burst.why),
                "recipients": burst.recipients,
            })
        })
        .collect();
    let pivots: Vec<_> = story
        .pivots
        .iter()
        .map(|pivot| {
            json!({
                "ip": ip(&pivot.ip),
                "mark": pivot.mark,
                "use": pivot.used.as_ref().map(used),
                "others": pivot.others.iter().map(|(other, by)| json!({ "who": who(other), "use": used(by) })).collect::<Vec<_>>(),
                "other_names_tried": pivot.tried.iter().take(NAMES).map(|(login, tries)| json!({
                    "login": shown(&printable(login)),
                    "failed_logins": tries,
                })).collect::<Vec<_>>(),
                "failed_logins_at_them": pivot.tried.iter().map(|(_, tries)| tries).sum::<u64>(),
            })
        })
        .collect();
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "target": shown(&story.found.target.name()),
        "about": story.role.word(),
        "who": story.who.as_ref().map(who),
        "hosts": story.hosts.iter().map(|host| shown(host)).collect::<Vec<_>>(),
        "searched": shown(&story.facts.searched),
        "first": story.facts.span.map(|(first, _)| at(first)),
        "last": story.facts.span.map(|(_, last)| at(last)),
        "found": {
            "messages": story.all.messages,
            "recipients": story.all.recipients,
            "refusals": story.rejections.iter().map(|one| u64::from(one.rejection.times)).sum::<u64>(),
            "failed_logins": story.failures.iter().map(|one| u64::from(one.failure.times)).sum::<u64>(),
        },
        "also": story.also.iter().map(|also| shown(also)).collect::<Vec<_>>(),
        "story": moments,
        "in_queue": story.in_queue().iter().map(|sent| sent.message.queue_id.to_string()).collect::<Vec<_>>(),
        "of": if story.run.is_some() { "messages that do not fit" } else { "all messages" },
        "blast_radius": reach(story.reach(), hide.is_some(), &shown),
        "unclear": story.unclear.as_ref().map(|unclear| reach(unclear, hide.is_some(), &shown)),
        "owner_or_intruder": { "sources": groups, "bursts": bursts },
        "pivots": pivots,
        "wrote_to_the_same": story.shared.iter().map(|(other, count)| json!({ "who": who(other), "recipients": count })).collect::<Vec<_>>(),
        "one_hop_on": story.further.iter().map(|line| shown(line)).collect::<Vec<_>>(),
        "cannot_be_seen": story.facts.unseen.iter().map(|one| shown(one)).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn used(used: &Use) -> Value {
    json!({
        "messages": used.messages,
        "recipients": used.recipients,
        "first": used.first.to_string(),
        "last": used.last.to_string(),
    })
}

fn reach(reach: &Reach, is_hiding: bool, shown: &impl Fn(&str) -> String) -> Value {
    let counts = |list: &[(String, u64)]| {
        let one = |(name, count): &(String, u64)| json!({ "name": shown(name), "messages": count });
        list.iter().map(one).collect::<Vec<_>>()
    };
    json!({
        "messages": reach.messages,
        "recipients": reach.recipients,
        "addresses": reach.addresses,
        "delivered": reach.delivered,
        "deferred": reach.deferred,
        "bounced": reach.bounced,
        "expired": reach.expired,
        "discarded": reach.discarded,
        "open": reach.open,
        "reached": reach.reached.iter().map(|address| shown(address)).collect::<Vec<_>>(),
        "domains": reach.domains.iter().map(|(name, all, delivered)| json!({ "domain": shown(name), "recipients": all, "delivered": delivered })).collect::<Vec<_>>(),
        "refused_by": reach.refusals.iter().map(|one| json!({
            "provider": shown(&one.provider),
            "category": one.category,
            "first": one.first.to_string(),
            "answers": one.answers,
        })).collect::<Vec<_>>(),
        "envelope_senders": counts(&reach.senders),
        // The sender's own words may name anybody.
        "subjects": if is_hiding { Vec::new() } else { counts(&reach.subjects) },
        "smallest_bytes": reach.sizes.map(|sizes| sizes.0),
        "largest_bytes": reach.sizes.map(|sizes| sizes.1),
        "ips": reach.ips.iter().map(|(ip, by)| json!({ "ip": shown(&ip.to_string()), "use": used(by) })).collect::<Vec<_>>(),
    })
}
