//! A story as tables: the timeline, its messages, their recipients. Every row says which line of which file it is from.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use super::super::privacy::Pseudonyms;
use super::super::schema::{MESSAGES, RECIPIENTS, Schema, TIMELINE};
use super::super::tables::{Cell, Table};
use crate::classify::Verdict;
use crate::correlate::{
    Attempt, ClientFacts, Hold, HostId, Identity, Message, Octets, Place, Recipient, RecipientState,
};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, EnhancedCode, Mta, SmtpCode};
use crate::mail::time::Timestamp;
use crate::trace::found::{Failed, Refused, is_waiting};
use crate::trace::{Fit, Roles, Sent, Story};

/// One thing that happened.
#[derive(Clone, Copy)]
enum Thing<'s, 'c> {
    Arrival(&'s Sent<'c>),
    Hold(&'s Sent<'c>, &'s Hold),
    Attempt(&'s Sent<'c>, &'s Attempt, Option<&'s Verdict<'c>>),
    Refusal(&'s Refused<'c>),
    Failure(&'s Failed),
}

/// A thing with what it is put in order by, and how its message fits.
type Placed<'s, 'c> = (Timestamp, Place, usize, Thing<'s, 'c>, Option<(Fit, &'s str)>);

/// The same with what its row says.
pub struct Event<'s> {
    pub at: Timestamp,
    /// `arrival`, `hold`, `delivery`, `rejection` or `auth_failure`.
    pub event: &'static str,
    /// What the moment is: Timesketch's `timestamp_desc`.
    pub moment: &'static str,
    pub host: HostId,
    pub mta: Mta,
    pub queue_id: Option<QueueId>,
    pub message_id: Option<&'s Octets>,
    pub identity: Identity,
    pub sasl_username: Option<&'s Octets>,
    pub local_user: Option<&'s Octets>,
    pub client: Option<&'s ClientFacts>,
    pub sender: Option<&'s Octets>,
    pub recipient: Option<&'s Octets>,
    pub direction: Option<Direction>,
    /// Empty for an arrival.
    pub action: &'static str,
    pub relay: Option<&'s Attempt>,
    pub verdict: Option<&'s Verdict<'s>>,
    pub smtp_code: Option<SmtpCode>,
    pub enhanced_code: Option<EnhancedCode>,
    pub response: &'s [u8],
    pub size: Option<u64>,
    pub subject: Option<&'s Octets>,
    pub directory: Option<&'s Octets>,
    pub fit: Option<(Fit, &'s str)>,
    pub roles: Roles,
    pub place: Place,
}

/// Gives every thing of a story to `take`, in the order of time.
///
/// # Errors
/// The first that `take` gives.
pub fn events(story: &Story<'_, '_>, mut take: impl FnMut(&Event<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut things: Vec<Placed<'_, '_>> = Vec::new();
    let mut add_message = |sent, fit| {
        let sent: &Sent<'_> = sent;
        let message = &sent.message;
        things.push((message.first_seen, message.place, 0, Thing::Arrival(sent), fit));
        for hold in &message.holds {
            things.push((hold.at, hold.place, 1, Thing::Hold(sent, hold), fit));
        }
        for (number, (attempt, verdict)) in message.attempts.iter().zip(&sent.verdicts).enumerate() {
            things.push((attempt.at, attempt.place, number + 2, Thing::Attempt(sent, attempt, verdict.as_ref()), fit));
        }
    };
    for (at, sent) in story.messages.iter().enumerate() {
        add_message(sent, story.fit(at));
    }
    for sent in &story.others {
        add_message(sent, None);
    }
    for refused in &story.rejections {
        things.push((refused.rejection.at, refused.rejection.place, 0, Thing::Refusal(refused), None));
    }
    for failed in &story.failures {
        things.push((failed.failure.at, failed.failure.place, 0, Thing::Failure(failed), None));
    }
    things.sort_by_key(|(at, place, number, ..)| (*at, *place, *number));
    things.into_iter().try_for_each(|(.., thing, fit)| take(&event(thing, fit)))
}

fn event<'s>(thing: Thing<'s, 's>, fit: Option<(Fit, &'s str)>) -> Event<'s> {
    match thing {
        Thing::Arrival(sent) => {
            let message = &sent.message;
            Event { place: message.place, ..of_message(sent, message.first_seen, "arrival", "message submitted", fit) }
        }
        Thing::Hold(sent, hold) => Event {
            recipient: hold.recipient.as_ref(),
            direction: Some(hold.direction),
            action: Action::Held.word(),
            response: &hold.response,
            place: hold.place,
            ..of_message(sent, hold.at, "hold", "message put on hold", fit)
        },
        Thing::Attempt(sent, attempt, verdict) => Event {
            recipient: sent.message.recipients.get(attempt.recipient).map(|one| &one.address),
            direction: Some(attempt.direction),
            action: if attempt.is_handover { "handed_on" } else { attempt.action.word() },
            relay: Some(attempt),
            verdict,
            smtp_code: SmtpCode::take(&attempt.response).map(|(code, _)| code),
            enhanced_code: attempt.enhanced_code,
            response: &attempt.response,
            place: attempt.place,
            ..of_message(sent, attempt.at, "delivery", "delivery attempt", fit)
        },
        Thing::Refusal(refused) => {
            let rejection = &refused.rejection;
            Event {
                at: rejection.at,
                event: "rejection",
                moment: "refused by this host",
                host: rejection.host,
                mta: rejection.mta,
                queue_id: rejection.queue_id,
                message_id: None,
                identity: rejection.identity.clone(),
                sasl_username: rejection.sasl_username.as_ref(),
                local_user: rejection.local_user.as_ref(),
                client: Some(&rejection.client),
                sender: rejection.sender.as_ref(),
                recipient: rejection.recipient.as_ref(),
                direction: Some(rejection.direction),
                action: rejection.action.word(),
                relay: None,
                verdict: refused.verdict.as_ref(),
                smtp_code: rejection.smtp_code,
                enhanced_code: rejection.enhanced_code,
                response: &rejection.response,
                size: None,
                subject: None,
                directory: rejection.directory.as_ref(),
                fit: None,
                roles: refused.roles,
                place: rejection.place,
            }
        }
        Thing::Failure(failed) => {
            let failure = &failed.failure;
            let identity = match &failure.sasl_username {
                Some(login) => Identity { kind: IdentityKind::Sasl, name: Octets::lowered(login), host: failure.host },
                None => Identity { kind: IdentityKind::Client, name: failure.client.ip.clone(), host: failure.host },
            };
            Event {
                at: failure.at,
                event: "auth_failure",
                moment: "login failed",
                host: failure.host,
                mta: failure.mta,
                queue_id: None,
                message_id: None,
                identity,
                sasl_username: failure.sasl_username.as_ref(),
                local_user: None,
                client: Some(&failure.client),
                sender: None,
                recipient: None,
                direction: None,
                action: if failure.is_permanent { Action::Rejected } else { Action::Tempfailed }.word(),
                relay: None,
                verdict: None,
                smtp_code: failure.smtp_code,
                enhanced_code: None,
                response: &failure.response,
                size: None,
                subject: None,
                directory: None,
                fit: None,
                roles: failed.roles,
                place: failure.place,
            }
        }
    }
}

fn of_message<'s>(
    sent: &'s Sent<'s>,
    at: Timestamp,
    event: &'static str,
    moment: &'static str,
    fit: Option<(Fit, &'s str)>,
) -> Event<'s> {
    let message = &sent.message;
    Event {
        at,
        event,
        moment,
        host: message.host,
        mta: message.mta,
        queue_id: Some(message.queue_id),
        message_id: message.message_id.as_ref(),
        identity: message.identity.clone(),
        sasl_username: message.origin.sasl_username.as_ref(),
        local_user: message.origin.local_user.as_ref(),
        client: message.origin.client.as_ref(),
        sender: message.sender.as_ref(),
        recipient: None,
        direction: None,
        action: "",
        relay: None,
        verdict: None,
        smtp_code: None,
        enhanced_code: None,
        response: &[],
        size: message.size,
        subject: message.subject.as_ref(),
        directory: message.origin.directory.as_ref(),
        fit,
        roles: sent.roles,
        place: message.place,
    }
}

impl Event<'_> {
    /// In one sentence, as a log would not say it: who, what, to whom, with which answer. The subject, which may name
    /// anybody, is left out where people are hidden.
    pub fn sentence(&self, is_hiding: bool) -> String {
        let text = |bytes: &Octets| printable(bytes).into_owned();
        let ip = self.client.map(|client| text(&client.ip)).filter(|ip| !ip.is_empty());
        let from = ip.map_or(String::new(), |ip| format!(" from {ip}"));
        let sender = self.sender.map_or("(sender not logged)".to_string(), |sender| {
            if sender.is_empty() { "<>".to_string() } else { text(sender) }
        });
        let to = self.recipient.map_or(String::new(), |to| format!(" to {}", text(to)));
        let id = self.queue_id.map_or(String::new(), |id| format!(" ({id})"));
        let answer = if self.response.is_empty() { String::new() } else { format!(": {}", printable(self.response)) };
        let who = match (self.sasl_username, self.local_user) {
            (Some(login), _) => format!("by login {}", text(login)),
            (None, Some(user)) => format!("by local user {}", text(user)),
            (None, None) => "without a login".to_string(),
        };
        match self.event {
            "arrival" => {
                let subject = self.subject.filter(|_| !is_hiding);
                let subject = subject.map_or(String::new(), |subject| format!(", subject \"{}\"", text(subject)));
                format!("Message submitted {who}{from}, envelope sender {sender}{subject}{id}")
            }
            "hold" => format!("Put on hold, envelope sender {sender}{to}{id}{answer}"),
            "delivery" => {
                let relay = self.relay.filter(|relay| !relay.relay_host.is_empty());
                let relay = relay.map_or(String::new(), |relay| format!(" at {}", text(&relay.relay_host)));
                let action = self.action.replace('_', " ");
                format!("{}{}{to}{relay}, submitted {who}{from}{id}{answer}", first_upper(&action), "")
            }
            "rejection" => format!("Refused{from} {who}: {sender}{to}{id}{answer}"),
            _ => {
                let login =
                    self.sasl_username.map_or("an unnamed login".to_string(), |login| format!("login {}", text(login)));
                format!("Failed attempt at {login}{from}{answer}")
            }
        }
    }
}

fn first_upper(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// ISO 8601 with its offset, as Timesketch's guide has it: `2015-07-24T19:01:01+00:00`.
pub fn iso(at: Timestamp) -> String {
    at.to_string().replace('Z', "+00:00")
}

/// The host's and the file's name of a row.
fn names(story: &Story<'_, '_>, host: HostId, place: Place) -> (Cell, Cell) {
    let host = story.facts.hosts.get(host.0 as usize).map_or(Cell::None, |name| Cell::log(name));
    let source = story.facts.sources.get(place.source as usize).map_or(Cell::None, |name| Cell::log(name.as_bytes()));
    (host, source)
}

/// Tables of a story, with people hidden where that is wanted.
pub struct Tables {
    pub timeline: Table,
    pub messages: Table,
    pub recipients: Table,
}

impl Tables {
    /// # Errors
    /// None but what the type demands.
    pub fn new(story: &Story<'_, '_>, pseudonyms: Option<&Arc<Pseudonyms>>) -> io::Result<Self> {
        let mut tables = Self {
            timeline: Table::new(&TIMELINE),
            messages: Table::new(&MESSAGES),
            recipients: Table::new(&RECIPIENTS),
        };
        let hide = |schema: &Schema, row: &mut [Cell]| hide(pseudonyms, schema, row);
        timeline(story, pseudonyms, |row| {
            tables.timeline.push(row);
            Ok(())
        })?;
        let main = story.messages.iter().enumerate().map(|(at, sent)| (*sent, story.fit(at)));
        let others = story.others.iter().map(|sent| (*sent, None));
        for (sent, fit) in main.chain(others) {
            let mut row = message_row(story, sent, fit);
            hide(&MESSAGES, &mut row);
            tables.messages.push(row);
            for (recipient, tries) in sent.message.recipients.iter().zip(tries(sent)) {
                let mut row = recipient_row(story, sent, recipient, tries, fit);
                hide(&RECIPIENTS, &mut row);
                tables.recipients.push(row);
            }
        }
        Ok(tables)
    }
}

fn hide(pseudonyms: Option<&Arc<Pseudonyms>>, schema: &Schema, row: &mut [Cell]) {
    if let Some(pseudonyms) = pseudonyms {
        pseudonyms.event(schema.columns, row);
    }
}

/// Rows of the timeline, in the order of time.
///
/// # Errors
/// The first that `take` gives.
pub fn timeline(
    story: &Story<'_, '_>,
    pseudonyms: Option<&Arc<Pseudonyms>>,
    mut take: impl FnMut([Cell; 35]) -> io::Result<()>,
) -> io::Result<()> {
    events(story, |event| {
        let mut row = timeline_row(story, event, pseudonyms.is_some());
        hide(pseudonyms, &TIMELINE, &mut row);
        take(row)
    })
}

fn timeline_row(story: &Story<'_, '_>, event: &Event<'_>, is_hiding: bool) -> [Cell; 35] {
    let (host, source) = names(story, event.host, event.place);
    let verdict = event.verdict;
    let relay = event.relay;
    [
        Cell::text(iso(event.at)),
        Cell::text(event.moment),
        Cell::text(event.sentence(is_hiding)),
        Cell::text(event.event),
        host,
        Cell::text(event.mta.word()),
        event.queue_id.map_or(Cell::None, |id| Cell::text(id.to_string())),
        Cell::optional(event.message_id),
        Cell::text(event.identity.kind.word()),
        Cell::log(&event.identity.name),
        Cell::optional(event.sasl_username),
        Cell::optional(event.local_user),
        Cell::optional(event.client.map(|client| &client.ip)),
        Cell::optional(event.client.map(|client| &client.name)),
        Cell::optional(event.client.map(|client| &client.helo)),
        Cell::sender(event.sender),
        Cell::optional(event.recipient),
        event.direction.map_or(Cell::None, |direction| Cell::text(direction.word())),
        Cell::text(event.action),
        Cell::optional(relay.map(|relay| &relay.relay_host)),
        Cell::optional(relay.map(|relay| &relay.relay_ip)),
        relay.and_then(|relay| relay.relay_port).map_or(Cell::None, Cell::count),
        Cell::text(verdict.and_then(|verdict| verdict.provider).unwrap_or_default()),
        Cell::text(verdict.map_or("", |verdict| verdict.category.id())),
        verdict.and_then(|v| v.smtp_code).or(event.smtp_code).map_or(Cell::None, |code| Cell::count(code.get())),
        event
            .enhanced_code
            .or(verdict.and_then(|verdict| verdict.enhanced_code))
            .map_or(Cell::None, |code| Cell::text(code.to_string())),
        Cell::log(event.response),
        event.size.map_or(Cell::None, Cell::Count),
        Cell::optional(event.subject),
        Cell::optional(event.directory),
        event.fit.map_or(Cell::None, |(fit, _)| Cell::text(fit.word())),
        event.fit.map_or(Cell::None, |(_, why)| Cell::text(why)),
        Cell::List(event.roles.words()),
        source,
        Cell::Count(event.place.line),
    ]
}

/// How many recipients of a message came to this.
fn count(message: &Message, state: RecipientState) -> Cell {
    let named = message.recipients.iter().filter(|one| one.state == state).count() as u64;
    Cell::Count(named + if message.unnamed_state == state { message.unnamed_recipients } else { 0 })
}

fn message_row(story: &Story<'_, '_>, sent: &Sent<'_>, fit: Option<(Fit, &str)>) -> [Cell; 33] {
    let message = &sent.message;
    let (host, source) = names(story, message.host, message.place);
    let client = message.origin.client.as_ref();
    [
        Cell::Time(message.first_seen),
        Cell::Time(message.last_seen),
        host,
        Cell::text(message.mta.word()),
        Cell::text(message.queue_id.to_string()),
        Cell::optional(message.message_id.as_ref()),
        Cell::text(message.identity.kind.word()),
        Cell::log(&message.identity.name),
        Cell::optional(message.origin.sasl_username.as_ref()),
        Cell::optional(message.origin.local_user.as_ref()),
        Cell::optional(message.origin.directory.as_ref()),
        Cell::optional(client.map(|client| &client.ip)),
        Cell::optional(client.map(|client| &client.name)),
        Cell::optional(client.map(|client| &client.helo)),
        Cell::sender(message.sender.as_ref()),
        Cell::optional(message.subject.as_ref()),
        message.size.map_or(Cell::None, Cell::Count),
        Cell::Count(message.recipients.len() as u64 + message.unnamed_recipients),
        count(message, RecipientState::Delivered),
        count(message, RecipientState::Deferred),
        count(message, RecipientState::Bounced),
        count(message, RecipientState::Expired),
        count(message, RecipientState::Discarded),
        count(message, RecipientState::HandedOn),
        count(message, RecipientState::Open),
        Cell::text(if is_waiting(sent) { "yes" } else { "no" }),
        fit.map_or(Cell::None, |(fit, _)| Cell::text(fit.word())),
        fit.map_or(Cell::None, |(_, why)| Cell::text(why)),
        Cell::List(sent.roles.words()),
        message.parent_queue_id.map_or(Cell::None, |id| Cell::text(id.to_string())),
        message.hop_of.map_or(Cell::None, |id| Cell::text(id.to_string())),
        source,
        Cell::Count(message.place.line),
    ]
}

const fn outcome(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Open => "open",
        RecipientState::Delivered => "delivered",
        RecipientState::Deferred => "deferred",
        RecipientState::Bounced => "bounced",
        RecipientState::Expired => "expired",
        RecipientState::Discarded => "discarded",
        RecipientState::HandedOn => "handed_on",
    }
}

/// Of each recipient: how often it was tried, and which attempt was the last.
fn tries(sent: &Sent<'_>) -> Vec<(u64, Option<usize>)> {
    let mut tries = vec![(0, None); sent.message.recipients.len()];
    for (at, attempt) in sent.message.attempts.iter().enumerate() {
        if let Some((count, last)) = tries.get_mut(attempt.recipient) {
            *count += u64::from(attempt.times);
            *last = Some(at);
        }
    }
    tries
}

fn recipient_row(
    story: &Story<'_, '_>,
    sent: &Sent<'_>,
    recipient: &Recipient,
    (tries, last): (u64, Option<usize>),
    fit: Option<(Fit, &str)>,
) -> [Cell; 22] {
    let message = &sent.message;
    let attempt = last.and_then(|at| message.attempts.get(at));
    let verdict = last.and_then(|at| sent.verdicts.get(at)).and_then(Option::as_ref);
    let place = attempt.map_or(message.place, |attempt| attempt.place);
    let (host, source) = names(story, message.host, place);
    let smtp_code = verdict
        .and_then(|verdict| verdict.smtp_code)
        .or_else(|| attempt.and_then(|attempt| SmtpCode::take(&attempt.response)).map(|(code, _)| code));
    [
        Cell::Time(message.first_seen),
        host,
        Cell::text(message.queue_id.to_string()),
        Cell::log(&recipient.address),
        Cell::log(&recipient.orig_address),
        Cell::text(outcome(recipient.state)),
        attempt.map_or(Cell::None, |attempt| Cell::Time(attempt.at)),
        Cell::Count(tries),
        Cell::optional(attempt.map(|attempt| &attempt.relay_host)),
        Cell::optional(attempt.map(|attempt| &attempt.relay_ip)),
        Cell::text(verdict.and_then(|verdict| verdict.provider).unwrap_or_default()),
        Cell::text(verdict.map_or("", |verdict| verdict.category.id())),
        smtp_code.map_or(Cell::None, |code| Cell::count(code.get())),
        attempt.and_then(|attempt| attempt.enhanced_code).map_or(Cell::None, |code| Cell::text(code.to_string())),
        attempt.map_or(Cell::None, |attempt| Cell::log(&attempt.response)),
        Cell::text(message.identity.kind.word()),
        Cell::log(&message.identity.name),
        Cell::optional(message.origin.client.as_ref().map(|client| &client.ip)),
        Cell::sender(message.sender.as_ref()),
        fit.map_or(Cell::None, |(fit, _)| Cell::text(fit.word())),
        source,
        Cell::Count(place.line),
    ]
}

/// Writes a table as one JSON object a line.
///
/// # Errors
/// What creating or writing the file gives.
pub fn write_lines(table: &Table, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    table.write_json_lines(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()
}
