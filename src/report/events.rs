//! Rows of the `events` table: one delivery attempt, refusal or failed login.

use std::sync::Arc;

use super::HostNames;
use super::parted::{PartFile, Parted};
use super::privacy::Pseudonyms;
use super::schema::EVENTS;
use super::tables::{Cell, Format, LongTable};
use crate::classify::Verdict;
use crate::correlate::{Attempt, AuthFailure, ClientFacts, Hold, HostId, Identity, Message, Octets, Place, Rejection};
use crate::mail::address::printable;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, EnhancedCode, Mta, SmtpCode, Stage};
use crate::mail::time::Timestamp;

/// The table while it grows, with the names that its numbers stand for.
pub struct Events {
    table: Out,
    sources: Vec<String>,
    pseudonyms: Option<Arc<Pseudonyms>>,
    only: Option<Only>,
}

/// Which rows are written.
pub type Only = Box<dyn Fn(&Row<'_>) -> bool + Send>;

/// What a choice of rows goes by.
pub struct Row<'a> {
    pub host: &'a [u8],
    pub identity: &'a Identity,
    pub action: Action,
    pub direction: Direction,
    pub category: &'a str,
    pub provider: &'a str,
}

enum Out {
    One(Box<LongTable>),
    /// A table for each day and host.
    Parted(Parted),
}

impl Events {
    /// Begins the table's files in `directory`.
    ///
    /// # Errors
    /// What creating the files gives.
    pub fn create(
        directory: &std::path::Path,
        formats: &[Format],
        sources: Vec<String>,
        pseudonyms: Option<Arc<Pseudonyms>>,
    ) -> std::io::Result<Self> {
        let table = Out::One(Box::new(LongTable::create(&EVENTS, directory, formats)?));
        Ok(Self { table, sources, pseudonyms, only: None })
    }

    /// The same for the archive: a Parquet file for each day and host.
    pub const fn parted(parted: Parted, sources: Vec<String>) -> Self {
        Self { table: Out::Parted(parted), sources, pseudonyms: None, only: None }
    }

    /// Writes only the rows that `only` takes.
    pub fn only(self, only: Only) -> Self {
        Self { only: Some(only), ..self }
    }

    /// Writes the rest; gives the number of rows.
    ///
    /// # Errors
    /// The first that any row met.
    pub fn finish(self) -> std::io::Result<u64> {
        match self.table {
            Out::One(table) => table.finish(),
            Out::Parted(parted) => parted.finish().map(|files| files.iter().map(|file| file.rows).sum()),
        }
    }

    /// Writes the rest of an archive's events; gives their files.
    ///
    /// # Errors
    /// The first that any row met.
    pub fn finish_parted(self) -> std::io::Result<Vec<PartFile>> {
        match self.table {
            Out::One(table) => table.finish().map(|_| Vec::new()),
            Out::Parted(parted) => parted.finish(),
        }
    }

    pub fn delivery(&mut self, hosts: &HostNames, message: &Message, attempt: &Attempt, verdict: Option<&Verdict<'_>>) {
        let recipient = message.recipients.get(attempt.recipient);
        let stage = verdict.and_then(|v| v.stage).unwrap_or(Stage::Queue);
        self.push(
            hosts,
            &Event {
                recipient: recipient.map(|r| &r.address),
                orig_recipient: recipient.map(|r| &r.orig_address),
                relay: Some(attempt),
                verdict,
                smtp_code: SmtpCode::take(&attempt.response).map(|(code, _)| code),
                enhanced_code: attempt.enhanced_code,
                response: &attempt.response,
                place: attempt.place,
                times: attempt.times,
                earlier_answers: &attempt.earlier_answers,
                ..Event::of_message(message, attempt.at, attempt.direction, attempt.action, stage)
            },
        );
    }

    /// Put on hold: a row of its own, for nobody refused it and it did not go on.
    pub fn held(&mut self, hosts: &HostNames, message: &Message, hold: &Hold) {
        self.push(
            hosts,
            &Event {
                recipient: hold.recipient.as_ref(),
                response: &hold.response,
                place: hold.place,
                ..Event::of_message(message, hold.at, hold.direction, Action::Held, hold.stage)
            },
        );
    }

    pub fn rejection(&mut self, hosts: &HostNames, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        self.push(
            hosts,
            &Event {
                at: rejection.at,
                kind: "rejection",
                mta: rejection.mta,
                host: rejection.host,
                queue_id: rejection.queue_id,
                message_id: None,
                identity: &rejection.identity,
                sasl_username: rejection.sasl_username.as_ref(),
                local_user: rejection.local_user.as_ref(),
                client: Some(&rejection.client),
                sender: rejection.sender.as_ref(),
                recipient: rejection.recipient.as_ref(),
                orig_recipient: None,
                direction: rejection.direction,
                action: rejection.action,
                stage: rejection.stage,
                relay: None,
                verdict,
                smtp_code: rejection.smtp_code,
                enhanced_code: rejection.enhanced_code,
                response: &rejection.response,
                size: None,
                place: rejection.place,
                times: rejection.times,
                earlier_answers: &[],
                directory: rejection.directory.as_ref(),
                parent_queue_id: None,
            },
        );
    }

    pub fn auth_failure(&mut self, hosts: &HostNames, failure: &AuthFailure, verdict: &Verdict<'_>) {
        let identity = match &failure.sasl_username {
            Some(login) => Identity { kind: IdentityKind::Sasl, name: Octets::lowered(login), host: failure.host },
            None => Identity { kind: IdentityKind::Client, name: failure.client.ip.clone(), host: failure.host },
        };
        self.push(
            hosts,
            &Event {
                at: failure.at,
                kind: "auth_failure",
                mta: failure.mta,
                host: failure.host,
                queue_id: None,
                message_id: None,
                identity: &identity,
                sasl_username: failure.sasl_username.as_ref(),
                local_user: None,
                client: Some(&failure.client),
                sender: None,
                recipient: None,
                orig_recipient: None,
                direction: Direction::Inbound,
                action: if failure.is_permanent { Action::Rejected } else { Action::Tempfailed },
                stage: Stage::Auth,
                relay: None,
                verdict: Some(verdict),
                smtp_code: failure.smtp_code,
                enhanced_code: None,
                response: &failure.response,
                size: None,
                place: failure.place,
                times: failure.times,
                earlier_answers: &[],
                directory: None,
                parent_queue_id: None,
            },
        );
    }

    fn push(&mut self, hosts: &HostNames, event: &Event<'_>) {
        let verdict = event.verdict;
        let relay = event.relay;
        let seen = Row {
            host: hosts.name(event.host),
            identity: event.identity,
            action: event.action,
            direction: event.direction,
            category: verdict.map_or("", |v| v.category.id()),
            provider: verdict.and_then(|v| v.provider).unwrap_or_default(),
        };
        if self.only.as_ref().is_some_and(|only| !only(&seen)) {
            return;
        }
        // The innermost reply's codes where it was taken apart, else the line's.
        let smtp_code = verdict.and_then(|v| v.smtp_code).or(event.smtp_code);
        // The record's own code; a code in the text may be another server's.
        let enhanced_code = event.enhanced_code.or(verdict.and_then(|v| v.enhanced_code));
        let source = self.sources.get(event.place.source as usize);
        let mut row = [
            Cell::Time(event.at),
            Cell::log(hosts.name(event.host)),
            Cell::text(event.mta.word()),
            Cell::text(event.kind),
            event.queue_id.map_or(Cell::None, |id| Cell::text(id.to_string())),
            Cell::optional(event.message_id),
            Cell::text(event.identity.kind.word()),
            Cell::log(&event.identity.name),
            Cell::optional(event.sasl_username),
            Cell::optional(event.local_user),
            Cell::optional(event.client.map(|c| &c.ip)),
            Cell::optional(event.client.map(|c| &c.name)),
            Cell::optional(event.client.map(|c| &c.helo)),
            Cell::sender(event.sender),
            Cell::optional(event.recipient),
            Cell::optional(event.orig_recipient),
            Cell::text(event.direction.word()),
            Cell::text(event.action.word()),
            Cell::text(event.stage.word()),
            Cell::optional(relay.map(|r| &r.relay_host)),
            Cell::optional(relay.map(|r| &r.relay_ip)),
            relay.and_then(|r| r.relay_port).map_or(Cell::None, Cell::count),
            Cell::text(verdict.and_then(|v| v.provider).unwrap_or_default()),
            smtp_code.map_or(Cell::None, |code| Cell::count(code.get())),
            enhanced_code.map_or(Cell::None, |code| Cell::text(code.to_string())),
            Cell::text(verdict.map_or("", |v| v.category.id())),
            Cell::text(verdict.map_or("", |v| v.rule)),
            verdict.and_then(|v| v.dnsbl.as_ref()).map_or(Cell::None, |list| Cell::log(list.as_bytes())),
            Cell::log(event.response),
            relay.and_then(|r| r.delay_s).map_or(Cell::None, Cell::Real),
            event.size.map_or(Cell::None, Cell::Count),
            source.map_or(Cell::None, |name| Cell::log(name.as_bytes())),
            Cell::Count(event.place.line),
            Cell::List(event.earlier_answers.iter().map(|answer| printable(answer).into_owned()).collect()),
            Cell::optional(event.directory),
            event.parent_queue_id.map_or(Cell::None, |id| Cell::text(id.to_string())),
            verdict.and_then(|v| v.provider_code.as_ref()).map_or(Cell::None, |code| Cell::log(code.as_bytes())),
            verdict.and_then(|v| v.retry_after_s).map_or(Cell::None, Cell::count),
        ];
        if let Some(pseudonyms) = &self.pseudonyms {
            pseudonyms.event(EVENTS.columns, &mut row);
        }
        for _ in 1..event.times {
            self.put(hosts, event, row.clone());
        }
        if event.times > 0 {
            self.put(hosts, event, row);
        }
    }

    fn put<const N: usize>(&mut self, hosts: &HostNames, event: &Event<'_>, row: [Cell; N]) {
        match &mut self.table {
            Out::One(table) => table.push(row),
            Out::Parted(parted) => parted.push(event.at.day(), Some(hosts.name(event.host)), row),
        }
    }
}

/// What a row says, whichever of the three it is.
struct Event<'a> {
    at: Timestamp,
    kind: &'static str,
    mta: Mta,
    host: HostId,
    queue_id: Option<QueueId>,
    message_id: Option<&'a Octets>,
    identity: &'a Identity,
    sasl_username: Option<&'a Octets>,
    local_user: Option<&'a Octets>,
    client: Option<&'a ClientFacts>,
    sender: Option<&'a Octets>,
    recipient: Option<&'a Octets>,
    orig_recipient: Option<&'a Octets>,
    direction: Direction,
    action: Action,
    stage: Stage,
    relay: Option<&'a Attempt>,
    verdict: Option<&'a Verdict<'a>>,
    smtp_code: Option<SmtpCode>,
    enhanced_code: Option<EnhancedCode>,
    response: &'a [u8],
    size: Option<u64>,
    place: Place,
    times: u32,
    earlier_answers: &'a [Octets],
    directory: Option<&'a Octets>,
    parent_queue_id: Option<QueueId>,
}

impl<'a> Event<'a> {
    /// Something that happened to a message, with all that the message itself tells.
    fn of_message(message: &'a Message, at: Timestamp, direction: Direction, action: Action, stage: Stage) -> Self {
        Self {
            at,
            kind: "delivery",
            mta: message.mta,
            host: message.host,
            queue_id: Some(message.queue_id),
            message_id: message.message_id.as_ref(),
            identity: &message.identity,
            sasl_username: message.origin.sasl_username.as_ref(),
            local_user: message.origin.local_user.as_ref(),
            client: message.origin.client.as_ref(),
            sender: message.sender.as_ref(),
            recipient: None,
            orig_recipient: None,
            direction,
            action,
            stage,
            relay: None,
            verdict: None,
            smtp_code: None,
            enhanced_code: None,
            response: &[],
            size: message.size,
            place: Place::default(),
            times: 1,
            earlier_answers: &[],
            directory: message.origin.directory.as_ref(),
            parent_queue_id: message.parent_queue_id,
        }
    }
}
