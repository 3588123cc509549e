//! A log line in words: how it was framed, what entry it became, and why.

use crate::framing::{Program, RawLine};
use crate::mail::address::printable;
use crate::mail::queue_id::QueueId;
use crate::mail::time::Stamp;
use crate::parse::{Client, Entry, Outcome, Parent, Parsed};

/// What `mailsleuth classify` shows of a line. All text is harmless on a terminal.
pub struct Described {
    pub frame: Vec<(&'static str, String)>,
    pub kind: String,
    pub why: String,
    /// What the entry carries; absent parts are left out.
    pub fields: Vec<(&'static str, String)>,
}

/// Takes a framed line and what it was parsed to apart.
pub fn described(raw: &RawLine<'_>, parsed: &Parsed<'_>) -> Described {
    let mut fields = Fields(Vec::new());
    let program = match raw.program {
        Program::Postfix { service, .. } => format!("Postfix {}", printable(service)),
        Program::Exim => "Exim".to_string(),
        Program::Other(name) => format!("program {}", printable(name)),
    };
    let (kind, why) = match parsed {
        Parsed::Entry(entry) => {
            let (kind, why) = entry_kind(entry);
            fields.entry(entry);
            (kind.to_string(), format!("{program}: {why}"))
        }
        Parsed::Ignored(reason) => (
            format!("ignored ({reason})"),
            format!("{program}: a known kind of line that changes no message, refusal or login"),
        ),
        Parsed::Unknown => {
            ("unknown".to_string(), format!("{program}: no kind of line that is known begins like this"))
        }
    };
    Described { frame: frame(raw), kind, why, fields: fields.0 }
}

fn frame(raw: &RawLine<'_>) -> Vec<(&'static str, String)> {
    let mut frame = Fields(Vec::new());
    frame.add("stamp", stamp(&raw.stamp));
    frame.bytes("host", raw.host);
    match raw.program {
        Program::Postfix { service, is_relay, .. } => {
            frame.add("program", "postfix".to_string());
            frame.add(
                "service",
                if is_relay { format!("relay/{}", printable(service)) } else { printable(service).into() },
            );
        }
        Program::Exim => frame.add("program", "exim".to_string()),
        Program::Other(name) => frame.add("program", printable(name).into()),
    }
    frame.number("pid", raw.pid);
    frame.number("times", Some(raw.times).filter(|times| *times != 1));
    frame.0
}

/// The stamp as it was read: what the line does not say is named.
fn stamp(stamp: &Stamp) -> String {
    let year = stamp.year.map_or_else(|| "(no year)".to_string(), |year| format!("{year:04}"));
    let micros = if stamp.micros == 0 { String::new() } else { format!(".{:06}", stamp.micros) };
    let zone = match stamp.offset_s {
        None => " (no zone)".to_string(),
        Some(0) => "Z".to_string(),
        Some(offset) => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    let Stamp { month, day, hour, minute, second, .. } = stamp;
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{micros}{zone}")
}

/// A name for the entry, and what makes a line one.
const fn entry_kind(entry: &Entry<'_>) -> (&'static str, &'static str) {
    match entry {
        Entry::Arrival(_) => ("arrival", "a message enters the queue (client=, uid=, <=)"),
        Entry::MessageId { .. } => ("message-id", "cleanup names the message's header (message-id=)"),
        Entry::Subject { .. } => ("subject", "a header check logs the message's subject (header Subject:)"),
        Entry::Queued { .. } => {
            ("queued", "the queue manager takes the message up, at every try (from=, size=, nrcpt=)")
        }
        Entry::Delivery(_) => ("delivery", "one recipient's outcome (status=, =>, ->, **, ==)"),
        Entry::Interim(_) => ("interim", "one server's answer while others are still to be tried: the outcome follows"),
        Entry::Held(_) => ("held", "put on hold until somebody looks"),
        Entry::Released { .. } => ("released", "let go from hold"),
        Entry::Expired { .. } => ("expired", "given up for age (status=expired)"),
        Entry::Closed { .. } => ("closed", "the message left the queue (removed, Completed)"),
        Entry::Removed { .. } => {
            ("removed", "the message left the queue, or was thrown out of it: the tag does not say")
        }
        Entry::Deleted { .. } => ("deleted", "an administrator threw the message away"),
        Entry::GivenUp { .. } => ("given-up", "an administrator made what is left bounce"),
        Entry::Requeued { .. } => ("requeued", "the message goes on under another id"),
        Entry::Notice { .. } => ("notice", "a bounce or delay notice about another message"),
        Entry::Handover { .. } => ("handover", "a before-queue filter queued what this session brought (proxy-accept)"),
        Entry::Rejection(_) => ("rejection", "this host refused it (reject, rejected)"),
        Entry::AuthFailure(_) => ("auth-failure", "a login failed (authentication failed, authenticator failed)"),
        Entry::Connected { .. } => ("connected", "an SMTP session begins (connect from)"),
        Entry::Disconnected { .. } => ("disconnected", "an SMTP session ends (disconnect from)"),
        Entry::Session { .. } => ("session", "the login of a session without a queue id yet (NOQUEUE: client=)"),
        Entry::Invoked { .. } => {
            ("invoked", "a local program hands a message in (cwd=); the arrival that follows is its")
        }
        Entry::Listed { .. } => ("listed", "a DNS list has this client (addr ... listed by domain)"),
        Entry::LoginRefused { .. } => {
            ("login-refused", "the login service refused; the mail server's own line follows")
        }
        Entry::Blackholed { .. } => ("blackholed", "taken and thrown away at once"),
    }
}

struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn add(&mut self, name: &'static str, value: String) {
        self.0.push((name, value));
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.add(name, printable(value).into_owned());
        }
    }

    fn address(&mut self, name: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            // The null sender is an address, too.
            self.add(name, if value.is_empty() { "<>".to_string() } else { printable(value).into_owned() });
        }
    }

    fn number(&mut self, name: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(name, value.to_string());
        }
    }

    fn id(&mut self, name: &'static str, id: QueueId) {
        self.add(name, id.to_string());
    }

    fn client(&mut self, client: &Client<'_>) {
        self.bytes("client_name", client.name);
        self.bytes("client_ip", client.ip);
        self.number("client_port", client.port);
        self.bytes("helo", client.helo);
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        if let Some(id) = entry.queue_id() {
            // Handed over, the mail has its first id here.
            self.id(if matches!(entry, Entry::Handover { .. }) { "next_queue_id" } else { "queue_id" }, id);
        }
        match entry {
            Entry::Arrival(arrival) => {
                self.client(&arrival.client.unwrap_or_default());
                self.bytes("sasl_username", arrival.sasl_username.unwrap_or_default());
                self.bytes("uid", arrival.local_user.unwrap_or_default());
                self.address("envelope_sender", arrival.sender);
                self.bytes("message_id", arrival.message_id.unwrap_or_default());
                self.bytes("subject", arrival.subject.unwrap_or_default());
                self.number("size", arrival.size);
                match arrival.parent {
                    Some(Parent::Hop(id)) => self.id("continues", id),
                    Some(Parent::Bounced(id)) => self.id("bounce_of", id),
                    None => {}
                }
                self.number("recipients", arrival.recipients);
            }
            Entry::MessageId { message_id, .. } => self.bytes("message_id", message_id),
            Entry::Subject { subject, .. } => self.bytes("subject", subject),
            Entry::Queued { sender, size, recipients, .. } => {
                self.address("envelope_sender", Some(sender));
                self.number("size", *size);
                self.number("recipients", Some(recipients));
            }
            Entry::Delivery(delivery) => {
                self.address("recipient", Some(delivery.recipient));
                self.address("orig_recipient", Some(delivery.orig_recipient).filter(|a| !a.is_empty()));
                self.add("outcome", outcome(delivery.outcome).to_string());
                self.bytes("service", delivery.service);
                self.bytes("relay_host", delivery.relay_host);
                self.bytes("relay_ip", delivery.relay_ip);
                self.number("relay_port", delivery.relay_port);
                self.number("delay_s", delivery.delay_s);
                self.number("enhanced_code", delivery.enhanced_code);
                self.address("envelope_sender", delivery.sender);
                self.bytes("response", delivery.response);
                if let Some(next) = delivery.next {
                    self.id("next_queue_id", next);
                }
                if delivery.is_secondary {
                    self.add("secondary", "the destination was not tried again: no new answer".to_string());
                }
            }
            Entry::Interim(interim) => {
                self.address("recipient", interim.recipient);
                self.bytes("relay_host", interim.relay_host);
                self.bytes("relay_ip", interim.relay_ip);
                self.number("relay_port", interim.relay_port);
                self.bytes("response", interim.response);
            }
            Entry::Held(hold) => {
                self.add("stage", hold.stage.to_string());
                self.client(&hold.client);
                self.address("envelope_sender", hold.sender);
                self.address("recipient", hold.recipient);
                self.bytes("response", hold.response);
            }
            Entry::Expired { .. }
            | Entry::Released { .. }
            | Entry::Blackholed { .. }
            | Entry::Closed { .. }
            | Entry::Removed { .. }
            | Entry::Deleted { .. }
            | Entry::GivenUp { .. }
            | Entry::Requeued { .. }
            | Entry::Handover { .. } => {}
            Entry::Notice { parent, .. } => self.id("parent_queue_id", *parent),
            Entry::Rejection(rejection) => {
                let action = match (rejection.is_discard, rejection.is_permanent) {
                    (true, _) => "discarded",
                    (false, true) => "rejected",
                    (false, false) => "tempfailed",
                };
                self.add("action", action.to_string());
                self.add("stage", rejection.stage.to_string());
                self.client(&rejection.client);
                self.bytes("sasl_username", rejection.sasl_username.unwrap_or_default());
                self.bytes("uid", rejection.local_user.unwrap_or_default());
                self.address("envelope_sender", rejection.sender);
                self.address("recipient", rejection.recipient);
                self.number("smtp_code", rejection.smtp_code);
                self.number("enhanced_code", rejection.enhanced_code);
                self.bytes("response", rejection.response);
            }
            Entry::AuthFailure(failure) => {
                self.client(&failure.client);
                self.bytes("sasl_username", failure.sasl_username.unwrap_or_default());
                self.number("smtp_code", failure.smtp_code);
                self.bytes("response", failure.response);
            }
            Entry::Connected { client } => self.client(client),
            Entry::Disconnected { client, failed_logins } => {
                self.client(client);
                self.number("failed_logins", Some(failed_logins));
            }
            Entry::Session { client, sasl_username } => {
                self.client(client);
                self.bytes("sasl_username", sasl_username.unwrap_or_default());
            }
            Entry::Invoked { directory } => self.bytes("cwd", directory),
            Entry::Listed { ip, list } => {
                self.bytes("client_ip", ip);
                self.bytes("dnsbl", list);
            }
            Entry::LoginRefused { ip, sasl_username } => {
                self.bytes("client_ip", ip);
                self.bytes("sasl_username", sasl_username);
            }
        }
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Deferred => "deferred",
        Outcome::Bounced => "bounced",
        Outcome::Expired => "expired",
        Outcome::Discarded => "discarded",
        Outcome::Probed => "an address probe, no mail",
    }
}
