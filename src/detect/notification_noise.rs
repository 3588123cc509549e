//! The same mail again and again, that nobody reads: a panel, a monitor or a cron job that reports every minute.

use std::collections::BTreeMap;

use serde_json::json;

use super::case::{patterns, percent, queue_ids};
use super::signs::{DOES_NOT_ARRIVE, REGULAR_GAPS, SO_MANY_A_DAY, THOUSAND_A_DAY};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, many, named};
use crate::aggregate::window::busiest;
use crate::aggregate::{Pair, QueueIds, share};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "notification-noise",
    question: "does it send the same mail again and again, that nobody reads?",
    limits: &[
        Limit {
            key: "regular_messages",
            default: 20.0,
            unit: "messages of one sender to one recipient at regular gaps",
            source: "mxroute seed: one every minute; 20 minutes of it are no accident",
        },
        Limit {
            key: "regular_share",
            default: 0.8,
            unit: "of the gaps that are like the middle one",
            source: "a machine's timer; people and events keep no rhythm",
        },
        Limit {
            key: "gap_s",
            default: 300.0,
            unit: "seconds, the longest gap that is noise",
            source: "monitors that mail a team check every 5 minutes and mail on change only",
        },
        Limit {
            key: "slow_messages",
            default: 90.0,
            unit: "messages of one sender to one recipient at regular gaps of up to an hour",
            source: "half a day of them, quarter of an hour by quarter of an hour, is a job that nobody looks at",
        },
        Limit {
            key: "messages_per_day",
            default: 200.0,
            unit: "messages of one sender to one recipient in 24 hours, whatever the gaps",
            source: "mxroute seed: 600 notifications that nobody reads",
        },
        Limit {
            key: "lost_share",
            default: 0.5,
            unit: "of these messages that did not arrive",
            source: "detectors.md: worse when the recipient bounces",
        },
        Limit {
            key: "thousand_per_day",
            default: 1000.0,
            unit: "messages of one sender to one recipient in 24 hours",
            source: "harm: more than one every other minute",
        },
    ],
    signs: &[REGULAR_GAPS, SO_MANY_A_DAY, DOES_NOT_ARRIVE, THOUSAND_A_DAY],
    check: Check::One(check),
};

struct Noise<'a> {
    pair: &'a Pair,
    times: Vec<Timestamp>,
    /// Middle gap in seconds, and the share of gaps like it.
    gap_s: i64,
    regular: f64,
    per_day: u64,
    is_regular: bool,
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Option<Draft> {
    let profile = case.profile;
    if !profile.is_our_user() {
        return None;
    }
    let noisy: Vec<_> = profile.pairs().into_iter().filter_map(|pair| noise(pair, limits)).collect();
    let worst = noisy.first()?;
    let mails: u64 = noisy.iter().map(|n| n.times.len() as u64).sum();
    let undelivered: u64 = noisy.iter().map(Noise::undelivered).sum();
    let lost = share(undelivered, mails);
    let queue_ids = queue_ids_of(&noisy);
    let messages = queue_ids.count;
    let is_regular = noisy.iter().any(|n| n.is_regular);
    let does_not_arrive = lost >= limits.get("lost_share");
    let signs = Signs::of(if is_regular { REGULAR_GAPS } else { SO_MANY_A_DAY })
        .and(does_not_arrive, DOES_NOT_ARRIVE)
        .and(worst.per_day as f64 >= limits.get("thousand_per_day"), THOUSAND_A_DAY);
    let (sender, recipient) = (printable(&worst.pair.sender), printable(&worst.pair.recipient));
    let others = match noisy.len() {
        1 => String::new(),
        n => format!(", and {} like it", many(n as u64 - 1, "further pair")),
    };
    let explanation = format!(
        "{} sent {} messages from <{sender}> to <{recipient}>, {}, up to {} in 24 hours{others}; {}.",
        named(profile),
        worst.times.len(),
        match worst.regular {
            ..0.5 => format!("with no steady gap (the middle one is {} s)", worst.gap_s),
            regular => format!("mostly one every {} s (so are {} of the gaps)", worst.gap_s, percent(regular)),
        },
        worst.per_day,
        match undelivered {
            0 => "none of it failed".to_string(),
            _ => format!("{} of it did not arrive", percent(lost)),
        },
    );
    let first = noisy.iter().filter_map(|n| n.times.first()).min().copied()?;
    let last = noisy.iter().filter_map(|n| n.times.last()).max().copied()?;
    let pairs: Vec<_> = noisy
        .iter()
        .take(10)
        .map(|n| {
            json!({
                "envelope_sender": printable(&n.pair.sender),
                "recipient": printable(&n.pair.recipient),
                "messages": n.times.len(),
                "undelivered": n.undelivered(),
                "middle_gap_s": n.gap_s,
                "regular_share": n.regular,
                "most_in_24_hours": n.per_day,
            })
        })
        .collect();
    Some(Draft {
        signs,
        first,
        last,
        messages,
        recipients: mails,
        queue_ids,
        explanation,
        evidence: json!({ "pairs": pairs, "pair_count": noisy.len() }),
        client_ips: Some(clients::to_named(profile, noisy.iter().map(|n| &*n.pair.recipient), first, last)),
        next_step: format!(
            "Ask whoever runs this job whether anybody reads <{recipient}>; have it mail on change only, or send it to a log. {}",
            if does_not_arrive { "Refuse the recipient until then (Postfix: check_recipient_access; Exim: a deny in the RCPT ACL): its mails do not arrive." } else { "" }
        )
        .trim_end()
        .to_string(),
    })
}

impl Noise<'_> {
    /// At the most so many of these mails did not arrive.
    fn undelivered(&self) -> u64 {
        self.pair.undelivered.min(self.times.len() as u64)
    }
}

/// The messages of all of them, each once whomever it went to: their first queue ids, and how many there are.
fn queue_ids_of(noisy: &[Noise<'_>]) -> QueueIds {
    let spans = noisy.iter().filter_map(|n| Some((n, *n.times.first()?, n.times.last()?.plus_seconds(1))));
    let ids = queue_ids(spans.flat_map(|(n, first, last)| n.pair.queue_ids.between(first, last)));
    // Of one sender in one second, the most that went to one recipient.
    let mut most: BTreeMap<(&[u8], Timestamp), u64> = BTreeMap::new();
    for noise in noisy {
        for same in noise.times.chunk_by(|a, b| a == b) {
            let known = same.first().map(|at| most.entry((&noise.pair.sender, *at)).or_default());
            known.into_iter().for_each(|known| *known = same.len().max(*known as usize) as u64);
        }
    }
    let count = most.values().sum::<u64>().max(ids.count);
    ids.counted(count)
}

/// A pair's mails to which a longer gap leads belong to another piece.
const GAP_S: i64 = SECONDS_PER_DAY;

/// What makes a pair noise, `None` where nothing does.
fn noise<'a>(pair: &'a Pair, limits: &Limits<'_>) -> Option<Noise<'a>> {
    if (pair.times.len() as f64) < limits.get("regular_messages").min(limits.get("messages_per_day")) {
        return None;
    }
    let mut times: Vec<_> = pair.times.iter().copied().map(Timestamp::from_seconds).collect();
    times.sort_unstable();
    // A mail or two of the days before are none of it.
    let found = patterns(&times, &[GAP_S], |piece| rhythm(piece, limits).is_some_and(|one| one.is_noise));
    let (first, last) = (found.first()?.first, found.last()?.last);
    let pieces = found.iter().flat_map(|one| &one.pieces);
    let is_regular = pieces.into_iter().any(|(from, to)| rhythm(between(&times, *from, *to), limits).is_some_and(|one| one.is_regular));
    let times = between(&times, first, last).to_vec();
    let Rhythm { gap_s, regular, per_day, .. } = rhythm(&times, limits)?;
    Some(Noise { pair, times, gap_s, regular, per_day, is_regular })
}

fn between(times: &[Timestamp], first: Timestamp, last: Timestamp) -> &[Timestamp] {
    let (from, to) = (times.partition_point(|at| *at < first), times.partition_point(|at| *at <= last));
    times.get(from..to).unwrap_or_default()
}

/// How moments in order follow each other.
struct Rhythm {
    /// Middle gap in seconds, and the share of gaps like it.
    gap_s: i64,
    regular: f64,
    per_day: u64,
    is_regular: bool,
    is_noise: bool,
}

/// `None` of fewer than two.
fn rhythm(times: &[Timestamp], limits: &Limits<'_>) -> Option<Rhythm> {
    let (_, _, per_day) = busiest(times, SECONDS_PER_DAY)?;
    let mut gaps: Vec<_> = times.windows(2).filter_map(|w| Some(w.get(1)?.seconds_since(*w.first()?))).collect();
    gaps.sort_unstable();
    let gap_s = gaps.get(gaps.len() / 2).copied()?;
    // A tenth of the gap, and the two seconds that stamps and queues are off.
    let slack = gap_s / 10 + 2;
    let alike = gaps.iter().filter(|gap| (**gap - gap_s).abs() <= slack).count();
    let regular = share(alike as u64, gaps.len() as u64);
    let is_regular_for = |messages: &str, longest_s: f64| {
        times.len() as f64 >= limits.get(messages)
            && regular >= limits.get("regular_share")
            && gap_s > 0
            && gap_s as f64 <= longest_s
    };
    let is_regular = is_regular_for("regular_messages", limits.get("gap_s"))
        || is_regular_for("slow_messages", SECONDS_PER_HOUR as f64);
    let is_noise = is_regular || per_day as f64 >= limits.get("messages_per_day");
    Some(Rhythm { gap_s, regular, per_day, is_regular, is_noise })
}
