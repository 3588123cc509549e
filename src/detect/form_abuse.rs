//! A web form that sprays mail: a script, or one site's login, writes to unrelated people at the large providers, once
//! each, and much of it is refused.

use hashbrown::{HashMap, HashSet};
use serde_json::json;

use super::case::{bad_recipients, count_between, patterns, percent, total_between};
use super::signs::{FORM_MANY, FORM_REFUSED, LARGE_PROVIDERS, MAILED_ONCE};
use super::{Case, Check, Detector, Draft, Limit, Limits, Signs, clients, named};
use crate::aggregate::distinct::FirstTimes;
use crate::aggregate::{Pair, SenderProfile, share};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::time::{SECONDS_PER_DAY, Timestamp};

pub(super) const DETECTOR: Detector = Detector {
    kind: "form-abuse",
    question: "is a web form spraying mail?",
    limits: &[
        Limit {
            key: "recipients",
            default: 15.0,
            unit: "distinct recipients within one run",
            source: "a small site's form is used a few times a day, by people who wait for its mail",
        },
        Limit {
            key: "large_share",
            default: 0.5,
            unit: "of the recipients asked for at the large mailbox providers",
            source: "mxroute seed: a WordPress form to Gmail and Yahoo",
        },
        Limit {
            key: "bad_share",
            default: 0.08,
            unit: "of the recipients refused as unknown or unwanted",
            source: "people who fill in a form give addresses that exist",
        },
        Limit {
            key: "many",
            default: 100.0,
            unit: "distinct recipients within one run",
            source: "harm: no form of a small site is used so much",
        },
    ],
    signs: &[LARGE_PROVIDERS, MAILED_ONCE, FORM_REFUSED, FORM_MANY],
    check: Check::Many(check),
};

/// Where strangers have their mailboxes.
const LARGE: &[&str] = &[
    "gmail.", "googlemail.", "yahoo.", "ymail.", "hotmail.", "outlook.", "live.", "msn.", "aol.", "icloud.", "me.com", "mac.com",
    "gmx.", "web.de", "t-online.de", "freenet.de", "orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr", "mail.ru",
    "bk.ru", "list.ru", "inbox.ru", "yandex.", "rambler.ru", "qq.com", "163.com", "126.com", "naver.com", "libero.it",
    "virgilio.it", "alice.it", "wp.pl", "o2.pl", "onet.pl", "interia.pl", "seznam.cz", "comcast.net", "att.net", "sbcglobal.net",
    "verizon.net", "cox.net", "charter.net", "btinternet.com", "sky.com", "bigpond.com", "uol.com.br", "terra.com.br",
    "proton.me", "protonmail.com", "zoho.com", "bol.com.br", "ukr.net",
];

fn is_large(domain: &[u8]) -> bool {
    LARGE.iter().any(|start| domain.starts_with(start.as_bytes()))
}

/// A run ends where for so long nobody new is written to.
const GAP_S: i64 = SECONDS_PER_DAY / 2;

fn check(case: &Case<'_>, limits: &Limits<'_>) -> Vec<Draft> {
    let profile = case.profile;
    let is_many = |count: usize| count as f64 >= limits.get("recipients");
    let is_site = profile.kind == IdentityKind::Uid || is_site_login(case);
    if !is_site || !is_many(usize::try_from(profile.distinct_recipients.count()).unwrap_or(usize::MAX)) {
        return Vec::new();
    }
    // An absence's replies and other notices go out under the null sender, a form's mail never.
    let notices: u64 = profile.senders().iter().filter(|sender| sender.address.is_empty()).map(|sender| sender.messages).sum();
    if share(notices, profile.messages) >= 0.2 {
        return Vec::new();
    }
    let firsts = profile.distinct_recipients.times();
    let is_run = |piece: &[Timestamp]| match (piece.first(), piece.last()) {
        (Some(first), Some(last)) if is_many(piece.len()) => Run::of(case, *first, *last).is_abuse(limits),
        _ => false,
    };
    let found = patterns(&firsts, &[GAP_S], is_run);
    found.into_iter().map(|one| of_run(case, limits, one.first, one.last, &firsts)).collect()
}

/// Recipients that get copies of so much of a run, and of so many messages, are whom it belongs to, not whom it is sent to.
const COPIED_SHARE: f64 = 0.1;
const COPIED: u64 = 10;

/// Whoever gets a copy of what goes to others: the owner of a form.
pub(super) struct Copies {
    recipients: HashSet<u64>,
    pub mails: u64,
}

impl Copies {
    /// Those of a span.
    pub(super) fn of(profile: &SenderProfile, first: Timestamp, last: Timestamp) -> Self {
        let end = last.plus_seconds(1);
        let mut mails: HashMap<u64, u64> = HashMap::new();
        for (recipient, _) in profile.mails().filter(|(_, at)| (first..=end).contains(at)) {
            *mails.entry(recipient).or_default() += 1;
        }
        let all: u64 = mails.values().sum();
        mails.retain(|_, count| *count >= COPIED && share(*count, all) >= COPIED_SHARE);
        Self { mails: mails.values().sum(), recipients: mails.into_keys().collect() }
    }

    /// What share a part of the recipients asked for is of them, copies left out.
    pub(super) fn share_without(&self, part: u64, asked: u32) -> f64 {
        share(part, self.without(asked).max(part))
    }

    /// So many recipients asked for without the copies.
    pub(super) fn without(&self, asked: u32) -> u64 {
        u64::from(asked).saturating_sub(self.mails)
    }
}

/// What a script or login wrote in one run, in shares.
struct Run {
    large: f64,
    bad: f64,
    once: f64,
    replied: f64,
}

impl Run {
    fn of(case: &Case<'_>, first: Timestamp, last: Timestamp) -> Self {
        // A form that is abused goes on writing to its owner, too.
        let copies = Copies::of(case.profile, first, last);
        let is_of_run = |pair: &&&Pair| {
            pair.times.iter().min().is_some_and(|at| (first.seconds()..=last.seconds()).contains(at))
                && !copies.recipients.contains(&FirstTimes::hash_of(&pair.recipient))
        };
        let of_run = |is_one: fn(&[u8]) -> bool| case.profile.pairs_to(is_one).iter().filter(is_of_run).count() as u64;
        let (once, replied) = case.once_and_replied(first, last);
        let used = total_between(case.profile, first, last);
        Self {
            large: share(of_run(is_large), of_run(|_| true)),
            bad: copies.share_without(bad_recipients(used), used.recipients),
            once,
            replied,
        }
    }

    /// Replies, an absence's for one, go to those who wrote.
    fn is_abuse(&self, limits: &Limits<'_>) -> bool {
        let is_spray = self.once >= 0.6 && self.replied < 0.1;
        is_spray && self.large >= limits.get("large_share") && self.bad >= limits.get("bad_share")
    }
}

fn of_run(case: &Case<'_>, limits: &Limits<'_>, first: Timestamp, last: Timestamp, firsts: &[Timestamp]) -> Draft {
    let profile = case.profile;
    let run = count_between(firsts, first, last);
    let Run { large, bad, once, .. } = Run::of(case, first, last);
    let most = u64::from(total_between(profile, first, last).messages);
    let queue_ids = profile.queue_ids_between(first, last, most);
    let signs = Signs::of(LARGE_PROVIDERS)
        .and(true, MAILED_ONCE)
        .and(true, FORM_REFUSED)
        .and(run as f64 >= limits.get("many"), FORM_MANY);
    let directory = profile.directories.iter().max_by_key(|(_, count)| **count).map(|(name, _)| printable(name).into_owned());
    Draft {
        signs,
        first,
        last,
        messages: queue_ids.count,
        recipients: run,
        queue_ids,
        explanation: format!(
            "{} mailed {run} recipients between {first} and {last}, most of them once; {} are at the large mailbox providers and {} were refused as unknown or unwanted{}.",
            named(profile),
            percent(large),
            percent(bad),
            directory.as_ref().map_or(String::new(), |name| format!("; most of it came from a program in {name}")),
        ),
        evidence: json!({
            "recipients": run,
            "large_provider_share": large,
            "mailed_once_share": once,
            "refused_share": bad,
            "directory": directory,
        }),
        client_ips: Some(clients::to_new(profile, first, last)),
        next_step: "Find the form or script that writes these mails (Exim's cwd=, the web server's log of the same minutes), close it or put a captcha and a limit before it, and look for uploaded scripts.".into(),
    }
}

/// True for a login that only machines of this host or one other use, to write as one site.
fn is_site_login(case: &Case<'_>) -> bool {
    let profile = case.profile;
    const NAMES: &[&[u8]] = &[b"wordpress", b"wp", b"web", b"www", b"form", b"forms", b"contact", b"noreply", b"no-reply", b"site", b"website", b"kontakt", b"shop"];
    let local = crate::mail::address::split(&profile.name).0.to_ascii_lowercase();
    profile.kind == IdentityKind::Sasl
        && profile.networks.len() == 1
        && NAMES.iter().any(|name| local.starts_with(name))
}
