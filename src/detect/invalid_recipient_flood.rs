//! Mail to addresses that do not exist: an old or bought list, a guessed one, or a stolen account that works one off.

use hashbrown::HashSet;
use serde_json::json;

use super::case::{Pattern, count_between, patterns, percent, queue_ids};
use super::signs::{UNKNOWN_HALF, UNKNOWN_HUNDRED, UNKNOWN_MANY, UNKNOWN_RECIPIENTS, UNKNOWN_THIRD};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, named, stop_it};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::{SenderProfile, TroubleKind, share};
use crate::mail::address::printable;
use crate::mail::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "invalid-recipient-flood",
    question: "does it mail addresses that don't exist?",
    limits: &[
        Limit {
            key: "recipients",
            default: 15.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "detectors.md: a flood fires within 50 messages; three in ten of those is what lists of honest senders do not reach",
        },
        Limit {
            key: "share",
            default: 0.3,
            unit: "of the recipients asked for in the window",
            source: "honest lists bounce below 0.1; fixtures/cases/first-look holds one at 0.08",
        },
        Limit {
            key: "few_recipients",
            default: 8.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "as recipients, where nearly all mail goes nowhere",
        },
        Limit {
            key: "list_recipients",
            default: 12.0,
            unit: "distinct recipients that do not exist, in the window",
            source: "a bought or very old list among other mail",
        },
        Limit {
            key: "list_share",
            default: 0.12,
            unit: "of the recipients asked for in the window",
            source: "detectors.md: an association's slightly stale list has a twelfth",
        },
        Limit { key: "few_share", default: 0.7, unit: "of the recipients asked for in the window", source: "as above" },
        Limit {
            key: "half_share",
            default: 0.5,
            unit: "of the recipients asked for in the window",
            source: "no list of anybody's own is half dead",
        },
        Limit {
            key: "dozens",
            default: 25.0,
            unit: "distinct recipients that do not exist",
            source: "harm: receivers count them",
        },
        Limit {
            key: "hundreds",
            default: 100.0,
            unit: "distinct recipients that do not exist",
            source: "harm: receivers block hosts for it",
        },
    ],
    signs: &[UNKNOWN_RECIPIENTS, UNKNOWN_THIRD, UNKNOWN_HALF, UNKNOWN_MANY, UNKNOWN_HUNDRED],
    check: Check::Many(check),
};

/// Longest gaps within a pattern: of a burst, of working days, of a slow run over weeks.
const GAPS_S: [i64; 3] = [6 * SECONDS_PER_HOUR, SECONDS_PER_DAY, 7 * SECONDS_PER_DAY];

/// Distinct recipients that do not exist, and all asked for, from the first of those to the last.
struct Window {
    first: Timestamp,
    last: Timestamp,
    invalid: u64,
    asked: u64,
}

impl Window {
    fn of(profile: &SenderProfile, times: &[Timestamp], first: Timestamp, last: Timestamp) -> Self {
        let invalid = count_between(times, first, last);
        let asked = profile.attempted.between(first, last.plus_seconds(60)).max(invalid);
        Self { first, last, invalid, asked }
    }

    fn share(&self) -> f64 {
        share(self.invalid, self.asked)
    }

    fn is_flood(&self, limits: &Limits<'_>) -> bool {
        let reaches =
            |count: &str, part: &str| self.invalid as f64 >= limits.get(count) && self.share() >= limits.get(part);
        reaches("recipients", "share") || reaches("few_recipients", "few_share") || reaches("list_recipients", "list_share")
    }
}

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let profile = case.profile;
    let least = limits.get("few_recipients").min(limits.get("recipients")).min(limits.get("list_recipients"));
    if !profile.is_our_user() || (profile.invalid_recipients.count() as f64) < least {
        return Vec::new();
    }
    let nowhere = at_no_domain(profile);
    let times = profile.invalid_recipients.times_without(&nowhere);
    let is_flood = |piece: &[Timestamp]| match piece {
        [first, .., last] => Window::of(profile, &times, *first, *last).is_flood(limits),
        _ => false,
    };
    let found = patterns(&times, &GAPS_S, is_flood);
    found.iter().filter_map(|pattern| of_pattern(case, limits, pattern, &times, nowhere.is_empty())).collect()
}

/// Recipients under domains that take no mail at all, where they are most of those that do not exist: mistyped domains are
/// `cannot-receive`; a few dead ones are in every old list.
fn at_no_domain(profile: &SenderProfile) -> HashSet<u64> {
    let domains: HashSet<&[u8]> =
        profile.troubles(TroubleKind::NoDomain).into_iter().map(|trouble| &*trouble.name).collect();
    if domains.is_empty() {
        return HashSet::new();
    }
    let pairs = profile.pairs_to(|domain| domains.contains(domain));
    let hashes: HashSet<u64> = pairs.into_iter().map(|pair| FirstTimes::hash_of(&pair.recipient)).collect();
    if 2 * hashes.len() as u64 >= profile.invalid_recipients.count() { hashes } else { HashSet::new() }
}

fn of_pattern(
    case: &Case<'_>,
    limits: &Limits<'_>,
    pattern: &Pattern,
    times: &[Timestamp],
    with_domains: bool,
) -> Option<Draft> {
    let profile = case.profile;
    let whole = Window::of(profile, times, pattern.first, pattern.last);
    let windows = pattern.pieces.iter().map(|(first, last)| Window::of(profile, times, *first, *last));
    let worst = windows.max_by(|a, b| a.share().total_cmp(&b.share()).then(a.invalid.cmp(&b.invalid)))?;
    let signs = Signs::of(UNKNOWN_RECIPIENTS)
        .and(worst.share() >= limits.get("share"), UNKNOWN_THIRD)
        .and(worst.share() >= limits.get("half_share"), UNKNOWN_HALF)
        .and(whole.invalid as f64 >= limits.get("dozens"), UNKNOWN_MANY)
        .and(whole.invalid as f64 >= limits.get("hundreds"), UNKNOWN_HUNDRED);
    let samples: Vec<_> = profile.invalid_samples().map(|r| printable(r)).collect();
    // The last new one may not be the last mail to them.
    let until = profile.last_invalid.filter(|at| times.last() == Some(&pattern.last) && at.seconds_since(pattern.last) <= SECONDS_PER_DAY);
    let (first, last) = (pattern.first, until.map_or(pattern.last, |at| at.max(pattern.last)));
    let kinds = if with_domains { &[TroubleKind::Dead, TroubleKind::NoDomain][..] } else { &[TroubleKind::Dead] };
    let troubles: Vec<_> = kinds.iter().flat_map(|kind| profile.troubles(*kind)).collect();
    // To the second, as recipients' first moments are.
    let end = last.plus_seconds(1);
    let ids = troubles.iter().flat_map(|trouble| trouble.queue_ids.between(first, end));
    let unknown = profile.invalid_recipients.between(first, last).map(|(hash, _)| hash).collect();
    let ids = queue_ids(ids.chain(profile.invalid_queue_ids.between(first, end).filter(|_| with_domains)));
    Some(Draft {
        signs,
        first,
        last,
        messages: ids.count,
        recipients: whole.invalid,
        queue_ids: ids,
        explanation: format!(
            "{} mailed {} distinct recipients that do not exist between {first} and {last}, {} of the {} that it asked for then.",
            named(profile),
            whole.invalid,
            percent(whole.share()),
            whole.asked,
        ),
        evidence: json!({
            "invalid_recipients": whole.invalid,
            "asked_recipients": whole.asked,
            "share": whole.share(),
            "invalid_recipients_in_all": profile.invalid_recipients.count(),
            "share_in_all": profile.invalid_share(),
            "window_first": worst.first.to_string(),
            "window_last": worst.last.to_string(),
            "window_invalid": worst.invalid,
            "window_recipients": worst.asked,
            "samples": samples,
        }),
        client_ips: Some(clients::to(profile, &unknown, first, last)),
        next_step: format!(
            "Look at the recipients: guessed names or a foreign list mean a stolen account, then {}; an own, stale list must be cleaned before the next mailing.",
            stop_it(profile)
        ),
    })
}
