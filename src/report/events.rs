//! Rows of the `events` table: one delivery attempt, refusal or failed login.

use super::HostNames;
use super::schema::EVENTS;
use super::tables::{Cell, Format, LongTable};
use crate::classify::Verdict;
use crate::correlate::{Attempt, AuthFailure, Identity, Message, Octets, Place, Rejection};
use crate::mail::identity::IdentityKind;
use crate::mail::status::{Action, Direction, Stage};

/// The table while it grows, with the names that its numbers stand for.
pub struct Events {
    table: LongTable,
    sources: Vec<String>,
}

impl Events {
    /// Begins the table's files in `directory`.
    ///
    /// # Errors
    /// What creating the files gives.
    pub fn create(directory: &std::path::Path, formats: &[Format], sources: Vec<String>) -> std::io::Result<Self> {
        Ok(Self { table: LongTable::create(&EVENTS, directory, formats)?, sources })
    }

    pub fn finish(self) -> std::io::Result<u64> {
        self.table.finish()
    }

    fn source(&self, place: Place) -> Cell {
        self.sources.get(place.source as usize).map_or(Cell::None, |name| Cell::log(name.as_bytes()))
    }

    pub fn delivery(&mut self, hosts: &HostNames, message: &Message, attempt: &Attempt, verdict: Option<&Verdict<'_>>) {
        let recipient = message.recipients.get(attempt.recipient);
        let client = message.origin.client.as_ref();
        let codes = codes(verdict, None, attempt.enhanced_code);
        let row = [
            Cell::Time(attempt.at),
            Cell::log(hosts.name(message.host)),
            Cell::text(message.mta.word()),
            Cell::text("delivery"),
            Cell::text(message.queue_id.to_string()),
            optional(message.message_id.as_ref()),
            Cell::text(message.identity.kind.word()),
            Cell::log(&message.identity.name),
            optional(message.origin.sasl_username.as_ref()),
            optional(message.origin.local_user.as_ref()),
            optional(client.map(|c| &c.ip)),
            optional(client.map(|c| &c.name)),
            optional(client.map(|c| &c.helo)),
            sender(message.sender.as_ref()),
            optional(recipient.map(|r| &r.address)),
            optional(recipient.map(|r| &r.orig_address)),
            Cell::text(attempt.direction.word()),
            Cell::text(attempt.action.word()),
            Cell::text(verdict.and_then(|v| v.stage).unwrap_or(Stage::Queue).word()),
            Cell::log(&attempt.relay_host),
            Cell::log(&attempt.relay_ip),
            attempt.relay_port.map_or(Cell::None, Cell::count),
            Cell::text(verdict.and_then(|v| v.provider).unwrap_or_default()),
            codes.0,
            codes.1,
            Cell::text(verdict.map_or("", |v| v.category.id())),
            Cell::text(verdict.map_or("", |v| v.rule)),
            dnsbl(verdict),
            Cell::log(&attempt.response),
            attempt.delay_s.map_or(Cell::None, Cell::Real),
            message.size.map_or(Cell::None, Cell::Count),
            self.source(attempt.place),
            Cell::Count(attempt.place.line),
        ];
        for _ in 0..attempt.times {
            self.table.push(row.clone());
        }
    }

    pub fn rejection(&mut self, hosts: &HostNames, rejection: &Rejection, verdict: Option<&Verdict<'_>>) {
        let codes = codes(verdict, rejection.smtp_code, rejection.enhanced_code);
        let row = [
            Cell::Time(rejection.at),
            Cell::log(hosts.name(rejection.host)),
            Cell::text(rejection.mta.word()),
            Cell::text("rejection"),
            rejection.queue_id.map_or(Cell::None, |id| Cell::text(id.to_string())),
            Cell::None,
            Cell::text(rejection.identity.kind.word()),
            Cell::log(&rejection.identity.name),
            optional(rejection.sasl_username.as_ref()),
            optional(rejection.local_user.as_ref()),
            Cell::log(&rejection.client.ip),
            Cell::log(&rejection.client.name),
            Cell::log(&rejection.client.helo),
            sender(rejection.sender.as_ref()),
            optional(rejection.recipient.as_ref()),
            Cell::None,
            Cell::text(rejection.direction.word()),
            Cell::text(rejection.action.word()),
            Cell::text(rejection.stage.word()),
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::text(verdict.and_then(|v| v.provider).unwrap_or_default()),
            codes.0,
            codes.1,
            Cell::text(verdict.map_or("", |v| v.category.id())),
            Cell::text(verdict.map_or("", |v| v.rule)),
            dnsbl(verdict),
            Cell::log(&rejection.response),
            Cell::None,
            Cell::None,
            self.source(rejection.place),
            Cell::Count(rejection.place.line),
        ];
        for _ in 0..rejection.times {
            self.table.push(row.clone());
        }
    }

    pub fn auth_failure(&mut self, hosts: &HostNames, failure: &AuthFailure, verdict: &Verdict<'_>) {
        let identity = match &failure.sasl_username {
            Some(login) => Identity { kind: IdentityKind::Sasl, name: login.clone(), host: failure.host },
            None => Identity { kind: IdentityKind::Client, name: failure.client.ip.clone(), host: failure.host },
        };
        let codes = codes(Some(verdict), failure.smtp_code, None);
        let row = [
            Cell::Time(failure.at),
            Cell::log(hosts.name(failure.host)),
            Cell::text(failure.mta.word()),
            Cell::text("auth_failure"),
            Cell::None,
            Cell::None,
            Cell::text(identity.kind.word()),
            Cell::log(&identity.name),
            optional(failure.sasl_username.as_ref()),
            Cell::None,
            Cell::log(&failure.client.ip),
            Cell::log(&failure.client.name),
            Cell::log(&failure.client.helo),
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::text(Direction::Inbound.word()),
            Cell::text(if failure.is_permanent { Action::Rejected.word() } else { Action::Tempfailed.word() }),
            Cell::text(Stage::Auth.word()),
            Cell::None,
            Cell::None,
            Cell::None,
            Cell::None,
            codes.0,
            codes.1,
            Cell::text(verdict.category.id()),
            Cell::text(verdict.rule),
            Cell::None,
            Cell::log(&failure.response),
            Cell::None,
            Cell::None,
            self.source(failure.place),
            Cell::Count(failure.place.line),
        ];
        for _ in 0..failure.times {
            self.table.push(row.clone());
        }
    }
}

fn optional(bytes: Option<&Octets>) -> Cell {
    bytes.map_or(Cell::None, |bytes| Cell::log(bytes))
}

/// The null sender is `<>`: an empty cell is an unknown one.
fn sender(sender: Option<&Octets>) -> Cell {
    match sender {
        Some(sender) if sender.is_empty() => Cell::text("<>"),
        sender => optional(sender),
    }
}

fn dnsbl(verdict: Option<&Verdict<'_>>) -> Cell {
    verdict.and_then(|v| v.dnsbl.as_ref()).map_or(Cell::None, |list| Cell::log(list.as_bytes()))
}

/// Reply code and enhanced code: the innermost reply's where it was taken apart, else the line's.
fn codes(
    verdict: Option<&Verdict<'_>>,
    smtp: Option<crate::mail::status::SmtpCode>,
    enhanced: Option<crate::mail::status::EnhancedCode>,
) -> (Cell, Cell) {
    let smtp = verdict.and_then(|v| v.smtp_code).or(smtp);
    let enhanced = verdict.and_then(|v| v.enhanced_code).or(enhanced);
    (
        smtp.map_or(Cell::None, |code| Cell::count(code.get())),
        enhanced.map_or(Cell::None, |code| Cell::text(code.to_string())),
    )
}
