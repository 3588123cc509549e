//! What one line says. A line becomes an [`Entry`], is ignored for a named reason, or is unknown; there is no error.
//! Everything is borrowed from the line; nothing here remembers another line.

pub mod exim;
pub mod fields;
pub mod other;
pub mod postfix;
pub mod reply;
#[cfg(test)]
mod rows;
mod service;

use crate::framing::{Program, RawLine};
use crate::mail::queue_id::QueueId;
use crate::mail::status::{EnhancedCode, Mta, SmtpCode, Stage};

/// The three things a framed line can be.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most lines are entries, and a box would cost each an allocation")]
pub enum Parsed<'a> {
    Entry(Entry<'a>),
    /// Understood, and of no use here; the reason is a word for `summary.json`.
    Ignored(&'static str),
    /// Written by a mail server in a form that nothing here knows.
    Unknown,
}

/// One line of a mail server, as far as it bears on a message, a refusal or a login.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A message enters the queue: Postfix `client=` and `pickup`, Exim `<=`.
    Arrival(Arrival<'a>),
    /// Postfix cleanup: `message-id=<...>`.
    MessageId { queue_id: QueueId, message_id: &'a [u8] },
    /// Postfix cleanup, where a header check logs it: `warning: header Subject: x from ...`, `info: header Subject: ...`.
    Subject { queue_id: QueueId, subject: &'a [u8] },
    /// Postfix qmgr: `from=<...>, size=..., nrcpt=... (queue active)`; repeats at every retry.
    Queued { queue_id: QueueId, sender: &'a [u8], size: Option<u64>, recipients: u32 },
    /// One recipient's outcome, for now or for good.
    Delivery(Delivery<'a>),
    /// One server's answer, or the failure to reach it, while others are still to be tried: the outcome follows.
    Interim(Interim<'a>),
    /// Put on hold: it stays in the queue until somebody looks.
    Held(Hold<'a>),
    /// Let go again: `postsuper -H`.
    Released { queue_id: QueueId },
    /// Given up for age by Postfix qmgr: `status=expired`, `status=force-expired`.
    Expired { queue_id: QueueId },
    /// The message left the queue: Postfix `removed`, Exim `Completed`.
    Closed { queue_id: QueueId },
    /// An administrator threw the message away: `postsuper -d`, `exim -Mrm`.
    Deleted { queue_id: QueueId },
    /// `removed` under a tag that does not tell the queue manager from `postsuper`.
    Removed { queue_id: QueueId },
    /// An administrator made the mail server bounce what is not delivered yet: `exim -Mg`. No line per recipient follows.
    GivenUp { queue_id: QueueId },
    /// `postsuper -r` or a reroute gave the message a new life under another id.
    Requeued { queue_id: QueueId },
    /// `child` is a bounce or delay notice about `parent`.
    Notice { parent: QueueId, child: QueueId },
    /// `child` carries on what came in over this session (Postfix before-queue filter, `proxy-accept`).
    Handover { child: QueueId },
    /// Refused by this host, for good or for now.
    Rejection(Rejection<'a>),
    /// A login that failed.
    AuthFailure(AuthFailure<'a>),
    /// A Postfix smtpd session begins.
    Connected { client: Client<'a> },
    /// A Postfix smtpd session ends. `failed_logins` is what its counters say (`auth=1/3`: two), 0 before Postfix 3.0.
    Disconnected { client: Client<'a>, failed_logins: u32 },
    /// Postfix smtpd tells the login of a session before there is a queue id: `NOQUEUE: client=..., sasl_username=...`.
    Session { client: Client<'a>, sasl_username: Option<&'a [u8]> },
    /// Exim was called to hand a message in: `cwd=/home/al/public_html 4 args: /usr/sbin/sendmail -t -i`.
    Invoked { directory: &'a [u8] },
    /// Postfix dnsblog: `addr 198.51.100.7 listed by domain bl.example as 127.0.0.2`.
    Listed { ip: &'a [u8], list: &'a [u8] },
    /// Dovecot, which answers for Postfix's SASL, refused a login; Postfix's own line may not name it.
    LoginRefused { ip: &'a [u8], sasl_username: &'a [u8] },
    /// Exim took a message and threw it away at once: `=> blackhole (RCPT ACL discarded recipients)`.
    Blackholed { queue_id: QueueId },
}

impl Entry<'_> {
    /// The queue entry that it is about; of a notice the notice itself.
    pub const fn queue_id(&self) -> Option<QueueId> {
        match self {
            Self::Arrival(arrival) => Some(arrival.queue_id),
            Self::Delivery(delivery) => Some(delivery.queue_id),
            Self::Interim(interim) => interim.queue_id,
            Self::Held(hold) => hold.queue_id,
            Self::Rejection(rejection) => rejection.queue_id,
            Self::MessageId { queue_id, .. }
            | Self::Subject { queue_id, .. }
            | Self::Queued { queue_id, .. }
            | Self::Released { queue_id }
            | Self::Expired { queue_id }
            | Self::Closed { queue_id }
            | Self::Deleted { queue_id }
            | Self::Removed { queue_id }
            | Self::GivenUp { queue_id }
            | Self::Requeued { queue_id }
            | Self::Blackholed { queue_id } => Some(*queue_id),
            Self::Notice { child, .. } | Self::Handover { child } => Some(*child),
            Self::AuthFailure(_)
            | Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::Session { .. }
            | Self::Invoked { .. }
            | Self::Listed { .. }
            | Self::LoginRefused { .. } => None,
        }
    }
}

/// What one server answered before a delivery's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Interim<'a> {
    /// `None` where the line has none: Postfix `connect to mx[192.0.2.8]:25: Connection refused`.
    pub queue_id: Option<QueueId>,
    pub relay_host: &'a [u8],
    pub relay_ip: &'a [u8],
    pub relay_port: Option<u16>,
    /// The recipient that it concerns, where the line names one.
    pub recipient: Option<&'a [u8]>,
    /// The whole text, as the outcome's response would repeat it.
    pub response: &'a [u8],
    /// The text without the host that it names in front.
    pub answer: &'a [u8],
}

/// What put a message on hold: an access table, header check or milter, or an administrator (`postsuper -h`).
#[derive(Debug, Clone, PartialEq)]
pub struct Hold<'a> {
    /// `None` before the first recipient is accepted.
    pub queue_id: Option<QueueId>,
    pub client: Client<'a>,
    pub sender: Option<&'a [u8]>,
    pub recipient: Option<&'a [u8]>,
    pub stage: Stage,
    pub response: &'a [u8],
}

/// The host that talks to us. Name and HELO are claims; only `ip` is seen by the server. Empty where unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client<'a> {
    pub name: &'a [u8],
    pub ip: &'a [u8],
    pub helo: &'a [u8],
    /// The client's own port: with the address it tells one connection from another.
    pub port: Option<u16>,
}

/// How a message came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival<'a> {
    pub queue_id: QueueId,
    pub client: Option<Client<'a>>,
    /// The client that an earlier hop saw (Postfix XFORWARD: `orig_client`).
    pub orig_client: Option<Box<Client<'a>>>,
    pub sasl_username: Option<&'a [u8]>,
    /// The local user that handed it in: a number (Postfix) or a name (Exim).
    pub local_user: Option<&'a [u8]>,
    /// Known at arrival by Exim and pickup; Postfix smtpd leaves it to qmgr.
    pub sender: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    /// Exim's `T=`, as it is logged.
    pub subject: Option<&'a [u8]>,
    pub size: Option<u64>,
    /// The queue entry this one continues (Postfix `orig_queue_id`) or is a bounce of (Exim `R=`).
    pub parent: Option<Parent>,
    /// Recipients asked for, where the line lists them (Exim `received_recipients`).
    pub recipients: Option<u32>,
    /// These, between blanks.
    pub listed: &'a [u8],
}

impl Arrival<'_> {
    /// An arrival of which nothing but the id is known yet.
    const fn new(queue_id: QueueId) -> Self {
        Self {
            queue_id,
            client: None,
            orig_client: None,
            sasl_username: None,
            local_user: None,
            sender: None,
            message_id: None,
            subject: None,
            size: None,
            parent: None,
            recipients: None,
            listed: &[],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The same mail in an earlier queue entry.
    Hop(QueueId),
    /// The message that this one is a notice about.
    Bounced(QueueId),
}

/// What one delivery line says of one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery<'a> {
    pub queue_id: QueueId,
    pub recipient: &'a [u8],
    /// The address before aliases, where it differs.
    pub orig_recipient: &'a [u8],
    pub outcome: Outcome,
    /// Postfix delivery agent, or Exim transport (router where no transport ran).
    pub service: &'a [u8],
    /// True where the copy goes, or would go, to another server over SMTP.
    pub is_remote: bool,
    pub relay_host: &'a [u8],
    pub relay_ip: &'a [u8],
    pub relay_port: Option<u16>,
    /// Seconds from arrival to this outcome.
    pub delay_s: Option<f64>,
    pub enhanced_code: Option<EnhancedCode>,
    pub response: &'a [u8],
    /// Envelope sender, where the line has it (Exim `F=`, Postfix's bounce of a missing queue file).
    pub sender: Option<&'a [u8]>,
    /// The queue entry on this host that carries the copy on, where the response names one.
    pub next: Option<QueueId>,
    /// Not a new answer: the destination was not tried again (`delivery temporarily suspended`, `retry time not
    /// reached`).
    pub is_secondary: bool,
}

impl<'a> Delivery<'a> {
    /// A delivery of which nothing else is known yet.
    const fn new(queue_id: QueueId, recipient: &'a [u8], outcome: Outcome) -> Self {
        Self {
            queue_id,
            recipient,
            orig_recipient: &[],
            outcome,
            service: &[],
            is_remote: false,
            relay_host: &[],
            relay_ip: &[],
            relay_port: None,
            delay_s: None,
            enhanced_code: None,
            response: &[],
            sender: None,
            next: None,
            is_secondary: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Deferred,
    Bounced,
    Expired,
    /// Thrown away on purpose: `:blackhole:`, the discard transport.
    Discarded,
    /// An address probe, not mail: `status=deliverable`, `status=undeliverable`.
    Probed,
}

/// One refusal by this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection<'a> {
    /// Where a queue entry already existed.
    pub queue_id: Option<QueueId>,
    /// True where the whole message dies with it, not just one recipient.
    pub ends_message: bool,
    pub client: Client<'a>,
    pub service: &'a [u8],
    pub stage: Stage,
    /// True for 5xx.
    pub is_permanent: bool,
    /// Accepted to the client's face, then thrown away (`discard:`).
    pub is_discard: bool,
    /// For its size, which several processes notice (`queue file size limit exceeded`).
    pub is_too_big: bool,
    pub smtp_code: Option<SmtpCode>,
    pub enhanced_code: Option<EnhancedCode>,
    /// The refusal's text behind its codes.
    pub response: &'a [u8],
    pub sender: Option<&'a [u8]>,
    pub recipient: Option<&'a [u8]>,
    pub sasl_username: Option<&'a [u8]>,
    /// The local user, for what the sendmail command handed in.
    pub local_user: Option<&'a [u8]>,
}

impl<'a> Rejection<'a> {
    /// A permanent refusal of which nothing else is known yet.
    fn new(queue_id: Option<QueueId>, service: &'a [u8], stage: Stage) -> Self {
        Self {
            queue_id,
            ends_message: queue_id.is_some(),
            client: Client::default(),
            service,
            stage,
            is_permanent: true,
            is_discard: false,
            is_too_big: false,
            smtp_code: None,
            enhanced_code: None,
            response: &[],
            sender: None,
            recipient: None,
            sasl_username: None,
            local_user: None,
        }
    }
}

/// One failed login.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthFailure<'a> {
    pub client: Client<'a>,
    /// The login that was tried, where the line names it.
    pub sasl_username: Option<&'a [u8]>,
    pub smtp_code: Option<SmtpCode>,
    pub is_permanent: bool,
    pub response: &'a [u8],
    pub service: &'a [u8],
}

/// What a framed line says.
pub fn line<'a>(raw: &RawLine<'a>) -> Parsed<'a> {
    match raw.program {
        Program::Postfix { service, is_relay, .. } => postfix::line(service, is_relay, raw.body),
        Program::Exim => exim::line(raw.body),
        Program::Other(tag) => other::line(tag, raw.body),
    }
}

impl Program<'_> {
    /// The mail server that wrote the line, `None` for other programs.
    pub const fn mta(&self) -> Option<Mta> {
        match self {
            Self::Postfix { .. } => Some(Mta::Postfix),
            Self::Exim => Some(Mta::Exim),
            Self::Other(_) => None,
        }
    }
}
