//! A story on one screen.

use std::fmt::Write as _;
use std::path::PathBuf;

pub use super::super::text::Hide;
use super::super::text::{Look, Out, many, shortened, wrapped, wrapped_as_is, written};
use crate::aggregate::uses::Use;
use crate::correlate::{Octets, Place};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::time::Timestamp;
use crate::trace::found::is_waiting;
use crate::trace::owner::times;
use crate::trace::story::{Moment, Pivot, Reach};
use crate::trace::{Fit, Roles, Sent, Story};

/// How many of each list are shown; the exports have all.
const SHOWN: usize = 5;
/// Messages that are told one by one.
const MESSAGES: usize = 8;
/// Lines of their lives.
const LIFE: usize = 40;

/// The text, ending with a line end.
pub fn story(story: &Story<'_, '_>, published: &[PathBuf], look: Look, hide: Option<&dyn Hide>) -> String {
    let mut out = Out::hiding(look, hide);
    // Writing into a String cannot fail.
    _ = write(&mut out, story, published);
    out.text
}

/// That nothing was found, and where it was looked for.
pub fn nothing(story: &Story<'_, '_>, meant: &str, look: Look, hide: Option<&dyn Hide>) -> String {
    let mut out = Out::hiding(look, hide);
    let facts = &story.facts;
    let name = story.found.target.name();
    let span = facts.span.map_or(String::new(), |(first, last)| format!(", {} to {}", second(first), second(last)));
    // Writing into a String cannot fail.
    _ = wrapped(&mut out, &format!("Nothing found of {}{meant}.", printable(name.as_bytes())), 0, 2);
    _ = wrapped(&mut out, &format!("Searched: {}{span}.", facts.searched), 0, 2);
    _ = unseen(&mut out, story);
    out.text
}

fn write(out: &mut Out, story: &Story<'_, '_>, published: &[PathBuf]) -> std::fmt::Result {
    head(out, story)?;
    if story.role == Roles::MESSAGE {
        lives(out, story)?;
    } else {
        section(out, "STORY")?;
        for one in &story.moments {
            moment(out, one)?;
        }
        queue(out, story)?;
    }
    reach(out, story)?;
    owner(out, story)?;
    pivots(out, story)?;
    unseen(out, story)?;
    written(out, published)
}

fn section(out: &mut Out, name: &str) -> std::fmt::Result {
    let heading = out.heading(name);
    writeln!(out, "\n{heading}")
}

fn head(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    let name = match (&story.who, story.role) {
        (Some((kind, name)), Roles::IDENTITY) => format!("{} {}", kind.word(), printable(name)),
        _ => printable(story.found.target.name().as_bytes()).into_owned(),
    };
    let on = if story.hosts.is_empty() { String::new() } else { format!(" on {}", story.hosts.join(", ")) };
    let heading = out.heading(&shortened(&format!("TRACE {name}{on}"), 200));
    writeln!(out, "{heading}")?;
    let facts = &story.facts;
    let span = facts.span.map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
    wrapped(out, &format!("Searched: {}{span}. All times are UTC.", facts.searched), 0, 2)?;
    let failures: u64 = story.failures.iter().map(|failed| u64::from(failed.failure.times)).sum();
    let refusals = story.rejections.iter().filter(|one| one.roles.has(story.role));
    let refusals: u64 = refusals.map(|one| u64::from(one.rejection.times)).sum();
    let what = format!(
        "Found: {}{} for {}, {} by this host, {}.",
        if story.found.beyond > 0 { "at least " } else { "" },
        many(story.all.messages, "message"),
        many(story.all.recipients, "recipient"),
        many(refusals, "refusal"),
        many(failures, "failed login"),
    );
    wrapped(out, &what, 0, 2)?;
    for also in &story.also {
        wrapped(out, &format!("Also: {also}."), 0, 2)?;
    }
    Ok(())
}

/// `2026-11-19T02:10:04Z` without its fraction.
fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_seconds(at.seconds())
}

fn moment(out: &mut Out, moment: &Moment) -> std::fmt::Result {
    let until = moment.until.map_or(String::new(), |until| format!(" to {}", second(until)));
    wrapped(out, &format!("{}{until}  {}", second(moment.at), moment.what), 2, 4)
}

/// Messages one by one: each line of its life, with where it stands.
fn lives(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    let mut left = LIFE;
    let related = story.others.iter().filter(|sent| sent.roles.has(Roles::RELATED));
    let all: Vec<_> = story.messages.iter().chain(related).copied().collect();
    for sent in all.iter().take(MESSAGES) {
        life(out, story, sent, &mut left)?;
    }
    if all.len() > MESSAGES {
        writeln!(out, "\n... {} more messages in the exports (--out)", all.len() - MESSAGES)?;
    }
    if let Some(around) = &story.facts.around {
        section(out, "AROUND IT")?;
        wrapped(out, around, 2, 4)?;
    }
    if left == 0 {
        writeln!(out, "  ... more of it in the exports (--out)")?;
    }
    Ok(())
}

/// ` [mail.log:43]`. Of a long path the end is shown: the number behind it matters most.
fn place(story: &Story<'_, '_>, place: Place) -> String {
    /// What a line has room for.
    const LETTERS: usize = 48;
    let Some(name) = story.facts.shown_sources().get(place.source as usize) else { return String::new() };
    let name = printable(name.as_bytes());
    let letters = name.chars().count();
    let end: String = name.chars().skip(letters.saturating_sub(LETTERS)).collect();
    let cut = if letters > LETTERS { ".." } else { "" };
    format!(" [{cut}{end}:{}]", place.line)
}

fn life(out: &mut Out, story: &Story<'_, '_>, sent: &Sent<'_>, left: &mut usize) -> std::fmt::Result {
    let message = &sent.message;
    let is_it = sent.roles.has(Roles::MESSAGE);
    let what = match (is_it, message.parent_queue_id, message.hop_of) {
        (true, ..) => String::new(),
        (false, Some(parent), _) => format!(", a notice about {parent}"),
        (false, None, Some(parent)) => format!(", carries on {parent}"),
        _ => String::new(),
    };
    section(out, &format!("MESSAGE {}{what}", message.queue_id))?;
    let text = |bytes: Option<&Octets>| bytes.map_or(String::new(), |bytes| printable(bytes).into_owned());
    let origin = &message.origin;
    let client = origin.client.as_ref();
    let who = || {
        [
            ("host", text(story.facts.hosts.get(message.host.0 as usize))),
            ("identity", text(Some(&message.identity.name))),
            ("sasl_username", text(origin.sasl_username.as_ref())),
            ("uid", text(origin.local_user.as_ref())),
            ("client_name", text(client.map(|client| &client.name))),
            ("envelope_sender", text(message.sender.as_ref())),
        ]
    };
    let recipients = message.recipients.iter().take(LIFE);
    let recipients =
        recipients.flat_map(|one| [&one.address, &one.orig_address].map(|to| ("recipient", text(Some(to)))));
    let [_, _, login, user, name, sender] = out.row(who(), Vec::new());
    let [ip, cwd, id] = out.row(
        [
            ("client_ip", text(client.map(|client| &client.ip))),
            ("cwd", text(origin.directory.as_ref())),
            ("message_id", text(message.message_id.as_ref())),
        ],
        recipients.chain(who()).collect(),
    );
    let from = submitted(sent, &login, &user, &cwd, &client_text(sent, &ip, &name));
    let sender = match &message.sender {
        None => "not logged",
        Some(sender) if sender.is_empty() => "<>",
        Some(_) => &sender,
    };
    let size = message.size.map_or(String::new(), |size| format!(", {size} bytes"));
    let id = message.message_id.as_ref().map_or(String::new(), |_| format!(", message-id {id}"));
    // The sender's own words may name anybody.
    let subject = message.subject.as_ref().filter(|_| !out.is_hiding());
    let subject = subject.map_or(String::new(), |text| format!(", subject \"{}\"", printable(text)));
    let line = format!(
        "{}  {from}: from {sender}{size}{id}{subject}{}",
        second(message.first_seen),
        place(story, message.place)
    );
    wrapped_as_is(out, &line, 2, 6)?;
    for hold in &message.holds {
        let [said, _] = out.row(
            [("response", printable(&hold.response).into_owned()), ("recipient", text(hold.recipient.as_ref()))],
            who().into(),
        );
        let line = format!("{}  put on hold: {said}{}", second(hold.at), place(story, hold.place));
        wrapped_as_is(out, &line, 2, 6)?;
    }
    for (attempt, verdict) in message.attempts.iter().zip(&sent.verdicts) {
        let Some(rest) = left.checked_sub(1) else { break };
        *left = rest;
        let recipient = message.recipients.get(attempt.recipient);
        let list = verdict.as_ref().and_then(|verdict| verdict.dnsbl.as_ref());
        let [to, orig, relay, ip, said, _] = out.row(
            [
                ("recipient", text(recipient.map(|one| &one.address))),
                ("orig_recipient", text(recipient.map(|one| &one.orig_address))),
                ("relay_host", text(Some(&attempt.relay_host))),
                ("relay_ip", text(Some(&attempt.relay_ip))),
                ("response", printable(&attempt.response).into_owned()),
                ("dnsbl", list.map_or(String::new(), |list| printable(list.as_bytes()).into_owned())),
            ],
            who().into(),
        );
        let orig = if orig.is_empty() { orig } else { format!(" (for {orig})") };
        let relay = match (relay.is_empty(), ip.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!(" at {relay}"),
            _ => format!(" at {relay}[{ip}]"),
        };
        let action = if attempt.is_handover { "handed on" } else { attempt.action.word() };
        let category = verdict.as_ref().map_or(String::new(), |verdict| format!(" ({})", verdict.category.id()));
        let response = shortened(&said, 160);
        let line = format!(
            "{}  {action}: {to}{orig}{relay}{category}: {response}{}",
            second(attempt.at),
            place(story, attempt.place)
        );
        wrapped_as_is(out, &line, 2, 6)?;
    }
    let end = match (message.is_open, is_waiting(sent)) {
        (false, _) => format!("{}  out of the queue", second(message.last_seen)),
        (true, true) => format!("{}  last sign: still in the queue as far as the log goes", second(message.last_seen)),
        (true, false) => format!("{}  last sign: no line tells its end", second(message.last_seen)),
    };
    wrapped(out, &end, 2, 6)
}

/// ` from 192.0.2.1 (mx.b.example)`, of a client whose address and name are shown so.
fn client_text(sent: &Sent<'_>, ip: &str, name: &str) -> String {
    let Some(client) = &sent.message.origin.client else { return String::new() };
    let has_name = !client.name.is_empty() && client.name != client.ip;
    if has_name { format!(" from {ip} ({name})") } else { format!(" from {ip}") }
}

/// Who handed a message in, from where; login, local user and directory as they are shown.
fn submitted(sent: &Sent<'_>, login: &str, user: &str, directory: &str, from: &str) -> String {
    let message = &sent.message;
    let origin = &message.origin;
    let directory = if origin.directory.is_some() { format!(" in {directory}") } else { String::new() };
    match (&origin.sasl_username, &origin.local_user, message.is_orphan) {
        (Some(_), ..) => format!("submitted by login {login}{from}"),
        (None, Some(_), _) => format!("handed in by local user {user}{directory}"),
        (None, None, true) => format!("no line tells where it came from{from}"),
        (None, None, false) if from.is_empty() => "made on this host".to_string(),
        _ => format!("taken{from}, without a login"),
    }
}

fn queue(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    let waiting = story.in_queue();
    if story.messages.is_empty() {
        return Ok(());
    }
    if waiting.is_empty() {
        return wrapped(out, "Still in the queue: none of it, as far as the log goes.", 2, 4);
    }
    let ids: Vec<_> = waiting.iter().take(SHOWN).map(|sent| sent.message.queue_id.to_string()).collect();
    let more = more(waiting.len());
    wrapped(
        out,
        &format!("Still in the queue: {} ({}{more})", many(waiting.len() as u64, "message"), ids.join(", ")),
        2,
        4,
    )
}

fn more(all: usize) -> String {
    if all > SHOWN { format!(", {} more", all - SHOWN) } else { String::new() }
}

fn reach(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    let reach = story.reach();
    if reach.messages == 0 && reach.recipients == 0 {
        return Ok(());
    }
    let of = if story.run.is_some() {
        format!("BLAST RADIUS (of the {} that do not fit)", many(reach.messages, "message"))
    } else {
        "BLAST RADIUS".to_string()
    };
    section(out, &of)?;
    outcomes(out, reach)?;
    if let Some(unclear) = &story.unclear {
        let beside = format!(
            "Beside it, of which nobody can tell: {} for {}, {} delivered, {} open or deferred.",
            many(unclear.messages, "message"),
            many(unclear.recipients, "recipient"),
            unclear.delivered,
            unclear.open + unclear.deferred
        );
        wrapped(out, &beside, 2, 4)?;
    }
    let domains: Vec<_> = reach
        .domains
        .iter()
        .take(SHOWN)
        .map(|(name, all, sent)| format!("{} {all} ({sent} delivered)", named(name)))
        .collect();
    list(out, "Domains", &domains, reach.domains.len())?;
    let refusals: Vec<_> = reach
        .refusals
        .iter()
        .take(SHOWN)
        .map(|one| {
            format!(
                "{} {} from {} ({})",
                named(&one.provider),
                one.category,
                second(one.first),
                times(one.answers, "answer")
            )
        })
        .collect();
    list(out, "Refused by", &refusals, reach.refusals.len())?;
    let senders: Vec<_> = reach.senders.iter().take(SHOWN).map(|(name, count)| format!("{name} {count}")).collect();
    list(out, "Envelope senders", &senders, reach.senders.len())?;
    if let Some((low, high)) = reach.sizes {
        wrapped(
            out,
            &if low == high { format!("Size: {low} bytes") } else { format!("Sizes: {low} to {high} bytes") },
            2,
            4,
        )?;
    }
    if out.is_hiding() {
        return Ok(());
    }
    let subjects: Vec<_> =
        reach.subjects.iter().take(SHOWN).map(|(text, count)| format!("\"{}\" {count}", shortened(text, 60))).collect();
    list(out, "Subjects", &subjects, reach.subjects.len())
}

fn named(name: &str) -> &str {
    if name.is_empty() { "(local)" } else { name }
}

fn outcomes(out: &mut Out, reach: &Reach) -> std::fmt::Result {
    let told = if reach.reached.is_empty() {
        String::new()
    } else {
        format!(
            " to {}, perhaps to be told",
            many(reach.reached.len() as u64, "address").replace("addresss", "addresses")
        )
    };
    let text = format!(
        "{} ({}): {} delivered{told}; {} deferred, {} bounced, {} expired, {} discarded, {} open.",
        many(reach.recipients, "recipient"),
        many(reach.addresses, "address").replace("addresss", "addresses"),
        reach.delivered,
        reach.deferred,
        reach.bounced,
        reach.expired,
        reach.discarded,
        reach.open,
    );
    wrapped(out, &text, 2, 4)
}

fn list(out: &mut Out, name: &str, shown: &[String], all: usize) -> std::fmt::Result {
    if shown.is_empty() {
        return Ok(());
    }
    wrapped(out, &format!("{name}: {}{}", shown.join(", "), more(all)), 2, 4)
}

fn owner(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    let Some(judgement) = &story.judgement else { return Ok(()) };
    if story.role != Roles::IDENTITY || judgement.groups.is_empty() {
        return Ok(());
    }
    section(out, "OWNER OR INTRUDER (what fits the ordinary use; who wrote it no log knows)")?;
    for fit in [Fit::Fits, Fit::Unclear, Fit::Not] {
        let groups: Vec<_> = judgement.groups.iter().filter(|group| group.fit == fit).collect();
        for group in groups.iter().take(SHOWN) {
            let text = format!(
                "{}: {}, {} for {}: {}",
                fit.word(),
                group.source.name(),
                many(group.messages, "message"),
                many(group.recipients, "recipient"),
                group.why.join("; "),
            );
            wrapped(out, &text, 2, 4)?;
        }
        if groups.len() > SHOWN {
            let rest = groups.get(SHOWN..).unwrap_or_default();
            let (messages, recipients) = rest.iter().fold((0, 0), |(messages, recipients), group| {
                (messages + group.messages, recipients + group.recipients)
            });
            let text = format!(
                "{}: {} more networks, {} for {}",
                fit.word(),
                rest.len(),
                many(messages, "message"),
                many(recipients, "recipient")
            );
            wrapped(out, &text, 2, 4)?;
        }
    }
    for burst in judgement.bursts.iter().take(SHOWN) {
        let hour = Timestamp::from_seconds(burst.hour * 3_600);
        wrapped(
            out,
            &format!("{}: the hour of {hour}, {}: {}", burst.fit.word(), burst.source.name(), burst.why),
            2,
            4,
        )?;
    }
    if story.run.is_none() {
        wrapped(out, "Nothing sets some of its mail apart from the rest.", 2, 4)?;
    }
    Ok(())
}

fn pivots(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    if story.pivots.is_empty() && story.shared.is_empty() {
        return Ok(());
    }
    let is_client = story.role == Roles::CLIENT;
    section(out, if is_client { "PIVOTS (who used these addresses)" } else { "PIVOTS (who else used its addresses)" })?;
    let telling = |pivot: &&Pivot| !pivot.others.is_empty() || !pivot.tried.is_empty() || pivot.mark.is_some();
    let (told, quiet): (Vec<_>, Vec<_>) = story.pivots.iter().partition(telling);
    for pivot in told.iter().take(SHOWN) {
        let used = pivot.used.map_or(String::new(), |used| format!(" ({})", used_text(&used)));
        let mark = pivot.mark.as_ref().map_or(String::new(), |mark| format!("; {mark}"));
        let others = match (pivot.mark.is_some(), pivot.others.len()) {
            (_, 0) => String::new(),
            (true, count) => {
                format!("; {} used it, too", many(count as u64, "other identity").replace("identitys", "identities"))
            }
            (false, _) => {
                let names: Vec<_> = pivot
                    .others
                    .iter()
                    .take(3)
                    .map(|(who, used)| format!("{} ({})", who_text(who), times(used.messages, "message")))
                    .collect();
                let more = pivot.others.len().saturating_sub(3);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("; {}used by {}{more}", if is_client { "" } else { "also " }, names.join(", "))
            }
        };
        let tried = tried(pivot);
        wrapped(out, &format!("{}{used}{others}{tried}{mark}", pivot.ip), 2, 4)?;
    }
    if told.len() > SHOWN {
        writeln!(out, "  ... {} more addresses that others used, too", told.len() - SHOWN)?;
    }
    if !quiet.is_empty() {
        let names: Vec<_> = quiet.iter().take(SHOWN).map(|pivot| pivot.ip.to_string()).collect();
        wrapped(out, &format!("Nobody else in these logs: {}{}", names.join(", "), more(quiet.len())), 2, 4)?;
    }
    let shared: Vec<_> =
        story.shared.iter().take(SHOWN).map(|(who, count)| format!("{} {count}", who_text(who))).collect();
    list(out, "Wrote to some of the same recipients", &shared, story.shared.len())?;
    for line in story.further.iter().take(2 * SHOWN) {
        wrapped(out, &format!("One hop on: {line}"), 2, 4)?;
    }
    if story.further.len() > 2 * SHOWN {
        writeln!(out, "  ... {} more, one hop on", story.further.len() - 2 * SHOWN)?;
    }
    Ok(())
}

/// Names that were tried in vain.
fn tried(pivot: &Pivot) -> String {
    const NAMES: usize = 4;
    if pivot.tried.is_empty() {
        return String::new();
    }
    let all: u64 = pivot.tried.iter().map(|(_, tries)| tries).sum();
    let names: Vec<_> = pivot
        .tried
        .iter()
        .filter(|(login, _)| !login.is_empty())
        .take(NAMES)
        .map(|(login, _)| printable(login))
        .collect();
    let more = if pivot.tried.len() > names.len() && !names.is_empty() { ", ..." } else { "" };
    let named = if names.is_empty() { String::new() } else { format!(" ({}{more})", names.join(", ")) };
    format!("; {} at {}{named}", times(all, "failed login"), times(pivot.tried.len() as u64, "other name"))
}

fn used_text(used: &Use) -> String {
    format!(
        "{} for {}, {} to {}",
        times(used.messages, "message"),
        times(used.recipients, "recipient"),
        second(used.first),
        second(used.last)
    )
}

fn who_text((kind, name): &(IdentityKind, Octets)) -> String {
    format!("{} {}", kind.word(), printable(name))
}

fn unseen(out: &mut Out, story: &Story<'_, '_>) -> std::fmt::Result {
    if story.facts.unseen.is_empty() {
        return Ok(());
    }
    section(out, "WHAT CANNOT BE SEEN")?;
    for one in &story.facts.unseen {
        wrapped(out, one, 2, 4)?;
    }
    Ok(())
}
