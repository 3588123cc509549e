//! A message while its lines come in, and what it is once they have.

use std::sync::Arc;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::answers::may_concern;
use super::recipients::Recipients;
use super::{
    Attempt, ClientFacts, Context, Hold, Identity, Instance, Message, Octets, Origin, Place, Recipient, RecipientState,
    Rejection, Sink, is_own_network,
};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, Mta};
use crate::mail::time::Timestamp;
use crate::parse::{self, Arrival, Delivery, Outcome};

/// Lines of several processes about one message swap places by this much at most.
const SWAP_S: i64 = 5;
/// How often one message is seen to be put on hold.
const HOLDS: usize = 10;

/// A line that puts a message on hold, owned.
pub fn hold(context: Context, hold: &parse::Hold<'_>) -> Hold {
    Hold {
        at: context.at,
        sender: hold.sender.map(Octets::from),
        recipient: hold.recipient.map(|r| address::with_lower_domain(r).into()),
        stage: hold.stage,
        direction: Direction::Outbound,
        response: hold.response.into(),
        place: context.place,
    }
}

/// What one hop knows of a recipient and the next does not.
pub enum Known {
    /// Its address, and the one before aliases.
    Alias(Octets, Octets),
    /// All that the next hop has is sent on for this address: a list, an alias with an owner, a `.forward`.
    Forwarded(Octets),
}

/// A queue entry of which more lines may come.
#[derive(Serialize, Deserialize)]
pub struct OpenMessage {
    mta: Mta,
    pub instance: Instance,
    first_seen: Timestamp,
    last_seen: Timestamp,
    ended: Option<Timestamp>,
    has_arrival: bool,
    /// It was seen in the queue, so it is mail: a queue manager's or delivery's line, or Exim's arrival.
    is_queued: bool,
    /// A bounce or delay notice, and what about.
    is_notice: bool,
    notice_about: Option<QueueId>,
    is_refused: bool,
    is_deleted: bool,
    is_given_up: bool,
    is_continued: bool,
    is_requeued: bool,
    is_probe: bool,
    own: Origin,
    /// Of the mail's first hop, where this is a later one.
    pub inherited: Option<Origin>,
    /// The hop before, where it is on this host.
    pub parent: Option<QueueId>,
    /// Recipients of the hop before that went on here, as far as only the message id says so.
    pub guessed_from: Vec<usize>,
    /// Hops behind this one.
    pub children: Vec<QueueId>,
    /// Address and address before aliases, as the hop before knew them.
    aliases: Vec<(Octets, Octets)>,
    /// The address whose mail local(8) sent on as this entry, to whomever it stands for.
    forwarded_for: Option<Octets>,
    /// A copy left for elsewhere, here or behind a later hop.
    is_relayed: bool,
    sender: Option<Octets>,
    message_id: Option<Octets>,
    subject: Option<Octets>,
    size: Option<u64>,
    place: Place,
    /// Recipients asked for, as counted by the mail server.
    asked: u32,
    /// Their addresses, where the arrival lists them (Exim `+received_recipients`).
    listed: Octets,
    recipients: Recipients,
    attempts: Vec<Attempt>,
    /// How many of the attempts delivered.
    delivered: usize,
    holds: Vec<Hold>,
    is_held: bool,
    /// The client that an earlier hop saw, which may be in another host's log.
    orig_client: Option<ClientFacts>,
}

impl OpenMessage {
    pub fn new(context: Context) -> Self {
        Self {
            mta: context.mta,
            instance: context.instance,
            first_seen: context.at,
            last_seen: context.at,
            ended: None,
            has_arrival: false,
            is_queued: false,
            is_notice: false,
            notice_about: None,
            is_refused: false,
            is_deleted: false,
            is_given_up: false,
            is_continued: false,
            is_requeued: false,
            is_probe: false,
            own: Origin {
                host: context.host,
                sasl_username: None,
                local_user: None,
                client: None,
                sender: None,
                directory: None,
            },
            inherited: None,
            parent: None,
            guessed_from: Vec::new(),
            children: Vec::new(),
            aliases: Vec::new(),
            forwarded_for: None,
            is_relayed: false,
            sender: None,
            message_id: None,
            subject: None,
            size: None,
            place: context.place,
            asked: 0,
            listed: Octets::default(),
            recipients: Recipients::default(),
            attempts: Vec::new(),
            delivered: 0,
            holds: Vec::new(),
            is_held: false,
            orig_client: None,
        }
    }

    pub const fn first_seen(&self) -> Timestamp {
        self.first_seen
    }

    pub const fn sender(&self) -> Option<&Octets> {
        self.sender.as_ref()
    }

    /// How many deliveries may have gone through a filter: each comes back as one entry at most.
    pub const fn filter_runs(&self) -> usize {
        self.delivered
    }

    pub const fn last_seen(&self) -> Timestamp {
        self.last_seen
    }

    pub const fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    pub fn seen(&mut self, at: Timestamp) {
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
    }

    pub fn end(&mut self, at: Timestamp) {
        self.ended = Some(at);
    }

    /// True when an arrival now must be another message's: the id is used again.
    pub fn is_another(&self, context: Context) -> bool {
        self.has_arrival || self.ended.is_some() || context.at.seconds_since(self.first_seen) > SWAP_S
    }

    /// True when a line that begins a message must be another one's.
    pub fn is_over(&self, context: Context) -> bool {
        self.ended.is_some_and(|ended| context.at.seconds_since(ended) > SWAP_S)
    }

    pub fn notice_about(&mut self, parent: QueueId) {
        self.is_notice = true;
        self.notice_about = Some(parent);
    }

    /// Where the program ran that handed it in.
    pub fn called_from(&mut self, directory: Option<Octets>) {
        self.own.directory = directory;
    }

    /// True when another instance of Postfix has this message in its queue, and an arrival now is a message of its own.
    pub fn is_of_other_instance(&self, context: Context) -> bool {
        let is_named = self.instance != Instance::NONE && context.instance != Instance::NONE;
        is_named && self.instance != context.instance && self.has_arrival && self.ended.is_none()
    }

    pub fn arrived(&mut self, context: Context, arrival: &Arrival<'_>) {
        self.has_arrival = true;
        self.place = context.place;
        self.is_queued |= context.mta == Mta::Exim;
        if let Some(subject) = arrival.subject {
            self.set_subject(subject);
        }
        self.own.sasl_username = arrival.sasl_username.map(super::login);
        self.own.local_user = arrival.local_user.map(Octets::from);
        self.own.client = arrival.client.map(ClientFacts::from);
        self.orig_client = arrival.orig_client.as_deref().map(|client| ClientFacts::from(*client));
        // Behind the queue manager's line pickup's `root` is no news of `root@example.org`.
        if let (None, Some(sender)) = (&self.sender, arrival.sender) {
            self.set_sender(sender);
        }
        self.size = self.size.or(arrival.size);
        self.asked = self.asked.max(arrival.recipients.unwrap_or(0));
        self.listed = arrival.listed.into();
        // Over SMTP the local user of Exim is the daemon's own.
        if self.own.client.is_some() {
            self.own.local_user = None;
        }
    }

    fn set_sender(&mut self, sender: &[u8]) {
        let sender: Octets = address::with_lower_domain(sender).into();
        self.own.sender = Some(sender.clone());
        self.sender = Some(sender);
    }

    pub fn set_message_id(&mut self, message_id: &[u8]) {
        self.message_id = Some(message_id.into());
    }

    pub fn set_subject(&mut self, subject: &[u8]) {
        /// A subject is the sender's to choose.
        const BYTES: usize = 400;
        self.subject = Some(subject.get(..BYTES).unwrap_or(subject).into());
    }

    pub fn message_id_hash(&self) -> Option<u64> {
        self.message_id.as_ref().filter(|id| !id.is_empty()).map(|id| xxh3_64(id))
    }

    pub fn queued(&mut self, sender: &[u8], size: Option<u64>, recipients: u32) {
        self.is_queued = true;
        self.is_held = false;
        // Behind cleanup's rewriting: pickup's `www-data` is `www-data@host` here.
        self.set_sender(sender);
        self.size = self.size.or(size);
        self.asked = self.asked.max(recipients);
    }

    /// Takes a delivery line; gives the recipient's number, `None` for an address probe.
    pub fn delivery(
        &mut self,
        context: Context,
        delivery: &Delivery<'_>,
        earlier_answers: Box<[Octets]>,
    ) -> Option<usize> {
        if delivery.outcome == Outcome::Probed {
            self.is_probe = true;
            return None;
        }
        self.is_queued = true;
        if let (None, Some(sender)) = (&self.sender, delivery.sender) {
            self.set_sender(sender);
        }
        let state = match delivery.outcome {
            Outcome::Delivered => RecipientState::Delivered,
            Outcome::Deferred => RecipientState::Deferred,
            Outcome::Bounced => RecipientState::Bounced,
            Outcome::Expired => RecipientState::Expired,
            Outcome::Discarded | Outcome::Probed => RecipientState::Discarded,
        };
        self.delivered += usize::from(state == RecipientState::Delivered);
        let recipient = self.recipients.settle(delivery, state);
        let response = match self.recipients.last_attempt(recipient).and_then(|at| self.attempts.get(at)) {
            // Retries mostly get the same answer; it is kept once.
            Some(last) if *last.response == *delivery.response => Arc::clone(&last.response),
            _ => Arc::from(delivery.response),
        };
        self.attempts.push(Attempt {
            at: context.at,
            recipient,
            action: action(state),
            direction: Direction::Outbound,
            is_secondary: delivery.is_secondary,
            is_handover: false,
            service: delivery.service.into(),
            is_remote: delivery.is_remote,
            relay_host: Octets::lowered(delivery.relay_host),
            // A socket stands in the place of an address for local LMTP.
            relay_ip: address::ip(delivery.relay_ip).map_or_else(Octets::default, |_| delivery.relay_ip.into()),
            relay_port: delivery.relay_port,
            delay_s: delivery.delay_s,
            enhanced_code: delivery.enhanced_code,
            response,
            earlier_answers,
            place: context.place,
            times: context.times,
        });
        self.recipients.attempted(recipient, self.attempts.len() - 1);
        Some(recipient)
    }

    /// Given up for age: every recipient that was put off is lost now. What Postfix logs is one line for the message;
    /// the last answer of each recipient is the cause that is shown.
    pub fn expired(&mut self, context: Context) {
        for (state, last) in self.recipients.states() {
            if *state != RecipientState::Deferred {
                continue;
            }
            *state = RecipientState::Expired;
            let Some(last) = last.and_then(|at| self.attempts.get(at)) else { continue };
            let expiry = Attempt {
                at: context.at,
                action: Action::Expired,
                is_secondary: false,
                place: context.place,
                times: 1,
                delay_s: None,
                earlier_answers: Box::default(),
                ..last.clone()
            };
            self.attempts.push(expiry);
        }
    }

    /// In the hold queue: no line has counted its recipients yet, of which there is one at least.
    pub fn held(&mut self, hold: Hold) {
        if let (None, Some(sender)) = (&self.sender, &hold.sender) {
            self.set_sender(&sender.clone());
        }
        if !std::mem::replace(&mut self.is_held, true) && self.holds.len() < HOLDS {
            self.holds.push(hold);
        }
        self.is_queued = true;
        self.asked = self.asked.max(1);
    }

    pub fn released(&mut self) {
        self.is_held = false;
    }

    /// Thrown away as soon as it was taken. Its recipients are not all logged; there is one at least.
    pub fn blackholed(&mut self) {
        self.asked = self.asked.max(1);
        self.is_deleted = true;
    }

    /// Bounced by hand: every recipient that was put off is lost, and those that no line names.
    pub fn given_up(&mut self) {
        self.is_given_up = true;
        for (state, _) in self.recipients.states() {
            if *state == RecipientState::Deferred {
                *state = RecipientState::Bounced;
            }
        }
    }

    /// Thrown out of the queue by hand.
    pub fn deleted(&mut self) {
        self.is_deleted = true;
    }

    /// True while a recipient is to be tried again.
    pub fn has_deferred(&mut self) -> bool {
        self.recipients.states().any(|(state, _)| *state == RecipientState::Deferred)
    }

    /// The whole message was refused after its data: it is no mail of this host.
    pub fn refused(&mut self) {
        self.is_refused = true;
    }

    pub const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Fills a refusal's gaps with what the message's arrival told.
    pub fn lend_origin(&self, rejection: &mut Rejection) {
        let origin = self.origin();
        if rejection.sasl_username.is_none() {
            rejection.sasl_username.clone_from(&origin.sasl_username);
        }
        if rejection.local_user.is_none() {
            rejection.local_user.clone_from(&origin.local_user);
        }
        // The arrival's client is the surer one: in a header check's line it stands between the client's own words.
        if let Some(client) = &origin.client {
            let helo = std::mem::take(&mut rejection.client.helo);
            rejection.client = ClientFacts { helo, ..client.clone() };
        }
    }

    /// Takes the login and client of the session in front of a before-queue filter: it is the same, first hop.
    pub fn adopt(&mut self, origin: Origin) {
        self.own.sasl_username = self.own.sasl_username.take().or(origin.sasl_username);
        self.own.client = origin.client.or(self.own.client.take());
    }

    pub fn origin(&self) -> &Origin {
        self.inherited.as_ref().unwrap_or(&self.own)
    }

    /// Who handed it in here, over SMTP.
    pub const fn client(&self) -> Option<&ClientFacts> {
        self.own.client.as_ref()
    }

    /// True when this entry may be a later hop of another: it came from this host or its own network, without a login.
    pub fn may_continue(&self) -> bool {
        self.own.sasl_username.is_none()
            && self.inherited.is_none()
            && match &self.own.client {
                Some(client) => is_own_network(&client.ip),
                None => true,
            }
    }

    /// True for a message handed in on this host itself.
    pub fn is_local(&self) -> bool {
        match &self.own.client {
            Some(client) => super::is_loopback(&client.ip),
            None => self.own.local_user.is_some(),
        }
    }

    /// What the next hop should know of a recipient that it carries on.
    pub fn known_of(&self, recipient: usize) -> Option<Known> {
        let last = self.recipients.last_attempt(recipient).and_then(|at| self.attempts.get(at));
        let is_forward = last.is_some_and(|attempt| *attempt.service == *b"local");
        let known = self.recipients.get(recipient)?;
        match (is_forward, known.orig_address.is_empty()) {
            (true, _) => Some(Known::Forwarded(known.asked_for().clone())),
            (false, false) => Some(Known::Alias(known.address.clone(), known.orig_address.clone())),
            (false, true) => None,
        }
    }

    /// What the hop before knew: this one sees its own addresses only.
    pub fn learn(&mut self, known: Known) {
        match known {
            Known::Alias(address, orig_address) => self.aliases.push((address, orig_address)),
            Known::Forwarded(address) => self.forwarded_for = Some(address),
        }
    }

    /// The last delivery of this recipient went into another queue entry.
    pub fn handed_on(&mut self, recipient: usize) {
        let Some((state, last)) = self.recipients.state(recipient) else { return };
        if *state == RecipientState::Delivered
            && let Some(attempt) = last.and_then(|at| self.attempts.get_mut(at))
        {
            attempt.is_handover = true;
        }
        *state = RecipientState::HandedOn;
    }

    /// It did not: that was another mail.
    pub fn taken_back(&mut self, recipient: usize) {
        let Some((state, last)) = self.recipients.state(recipient) else { return };
        if *state == RecipientState::HandedOn
            && let Some(attempt) = last.and_then(|at| self.attempts.get_mut(at))
        {
            attempt.is_handover = false;
            *state = RecipientState::Delivered;
        }
    }

    /// Another queue entry says itself that it carries this mail on.
    pub fn continued(&mut self) {
        self.is_continued = true;
    }

    /// Put back to the start of the queue under a new id (`postsuper -r`).
    pub fn requeued(&mut self) {
        self.is_requeued = true;
    }

    /// What is not settled here is carried on by the entry that continues this one, or was thrown away by hand.
    fn settle_rest(&mut self) -> RecipientState {
        for at in 0..self.recipients.len() {
            let went_near = self.went_near(at);
            let Some((state, _)) = self.recipients.state(at) else { continue };
            match *state {
                // `postsuper -r` leaves alone what was delivered; a filter's entry continues what went to the filter.
                RecipientState::Delivered if self.is_continued && !self.is_requeued && went_near => {
                    self.handed_on(at);
                }
                RecipientState::Open | RecipientState::Deferred if self.is_continued && self.is_requeued => {
                    self.handed_on(at);
                }
                RecipientState::Open | RecipientState::Deferred if self.is_deleted => {
                    *state = RecipientState::Discarded;
                }
                _ => {}
            }
        }
        match (self.is_continued, self.is_given_up, self.is_deleted) {
            (true, ..) => RecipientState::HandedOn,
            (false, true, _) => RecipientState::Bounced,
            (false, false, true) => RecipientState::Discarded,
            (false, false, false) => RecipientState::Open,
        }
    }

    /// True for a recipient whose copy went to a program or server of this site, where a filter may be.
    fn went_near(&self, recipient: usize) -> bool {
        let last = self.recipients.last_attempt(recipient).and_then(|at| self.attempts.get(at));
        last.is_some_and(|attempt| {
            !attempt.is_remote || is_own_network(&attempt.relay_ip) || super::is_pipe(&attempt.service)
        })
    }

    /// What it came to, once no more lines are expected.
    pub fn give_out(mut self, queue_id: QueueId, host_name: &Octets, sink: &mut dyn Sink) {
        if self.is_probe && self.attempts.is_empty() {
            return sink.probe(self.own.host, queue_id);
        }
        if self.is_refused || !self.is_queued {
            return sink.aborted(self.own.host, queue_id);
        }
        if let (None, Some(client)) = (&self.inherited, self.orig_client.take()) {
            self.own.client = Some(client);
        }
        let unnamed_state = self.settle_rest();
        let mut unnamed = u64::from(self.asked).saturating_sub(self.recipients.len() as u64);
        let missing = if unnamed > 0 { self.missing() } else { Vec::new() };
        let named = missing.into_iter().take(usize::try_from(unnamed).unwrap_or(usize::MAX));
        let recipient = |address| Recipient { address, orig_address: Octets::default(), state: unnamed_state };
        let missing: Vec<_> = named.map(recipient).collect();
        unnamed -= missing.len() as u64;
        let identity = self.identity(host_name);
        let is_ours = identity.kind.is_our_user()
            || (identity.kind == IdentityKind::Null && self.origin().client.is_none())
            || self.origin().client.as_ref().is_some_and(|c| is_own_network(&c.ip));
        let is_one_domain = self.recipients.is_one_domain();
        for attempt in &mut self.attempts {
            attempt.direction = direction(attempt, is_ours);
            if self.mta == Mta::Exim
                && !attempt.earlier_answers.is_empty()
                && !is_one_domain
                && let Some(recipient) = self.recipients.get(attempt.recipient)
            {
                let mut answers = std::mem::take(&mut attempt.earlier_answers).into_vec();
                answers.retain(|answer| may_concern(answer, &recipient.address, &attempt.relay_host));
                attempt.earlier_answers = answers.into();
            }
        }
        for hold in &mut self.holds {
            hold.direction = if is_ours { Direction::Outbound } else { Direction::Inbound };
        }
        let is_ended = self.ended.is_some();
        sink.message(Message {
            mta: self.mta,
            queue_id,
            host: self.own.host,
            identity,
            origin: self.origin().clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            sender: self.sender,
            message_id: self.message_id,
            subject: self.subject,
            size: self.size,
            place: self.place,
            unnamed_recipients: unnamed,
            unnamed_state,
            is_continuation: self.inherited.is_some(),
            is_open: !is_ended,
            is_orphan: !self.has_arrival && !self.is_notice && self.inherited.is_none(),
            recipients: self.recipients.into_inner().into_iter().chain(missing).collect(),
            attempts: self.attempts,
            holds: self.holds,
            parent_queue_id: self.notice_about,
            hop_of: self.parent,
        });
    }

    /// Recipients that the arrival lists and no line since then tells of.
    fn missing(&self) -> Vec<Octets> {
        let known: HashSet<Vec<u8>> = (0..self.recipients.len())
            .filter_map(|at| self.recipients.get(at))
            .flat_map(|one| [one.address.to_ascii_lowercase(), one.orig_address.to_ascii_lowercase()])
            .collect();
        let listed = parse::exim::recipients_listed(&self.listed);
        let missing = listed.filter(|address| !known.contains(&address.to_ascii_lowercase()));
        missing.map(|address| address::with_lower_domain(address).into()).collect()
    }

    /// contract.md section 3, in its order.
    fn identity(&self, host_name: &Octets) -> Identity {
        let origin = self.origin();
        let sender = if self.inherited.is_some() {
            origin.sender.as_ref().or(self.sender.as_ref())
        } else {
            self.sender.as_ref()
        };
        let client_ip = origin.client.as_ref().map(|c| &c.ip).filter(|ip| !ip.is_empty());
        // Postfix's own notices and probes (`double_bounce_sender`).
        let is_own_notice =
            self.is_notice || (!self.has_arrival && sender.is_some_and(|s| s.starts_with(b"double-bounce@")));
        let own_name = || if host_name.is_empty() { Octets::from(&b"this host"[..]) } else { host_name.clone() };
        let (kind, name) = match (&origin.sasl_username, &origin.local_user, client_ip, sender) {
            // Servers look logins up in any letter case.
            (Some(login), ..) => (IdentityKind::Sasl, Octets::lowered(login)),
            // A bounce is handed in by the mail server's own user.
            (None, Some(_), _, Some(sender)) if is_own_notice && sender.is_empty() => (IdentityKind::Null, own_name()),
            (None, Some(user), ..) => (IdentityKind::Uid, user.clone()),
            (None, None, Some(ip), _) if self.is_relayed || is_neighbour(ip) => (IdentityKind::Client, ip.clone()),
            (None, None, Some(ip), Some(sender)) if sender.is_empty() => (IdentityKind::Null, ip.clone()),
            (None, None, None, Some(sender)) if sender.is_empty() || is_own_notice => (IdentityKind::Null, own_name()),
            (None, None, _, Some(sender)) => (IdentityKind::Sender, sender.clone()),
            (None, None, _, None) => (IdentityKind::Unknown, Octets::default()),
        };
        Identity { kind, name, host: origin.host }
    }

    /// Notes that a copy was relayed, for this entry and, through its answer, for the hop before it.
    pub fn settle_relayed(&mut self, by_next_hop: bool) -> bool {
        self.recipients.fill_aliases(std::mem::take(&mut self.aliases));
        if let Some(address) = self.forwarded_for.take() {
            self.recipients.fill_forwarded(&address);
        }
        self.is_relayed |= by_next_hop || self.was_relayed();
        self.is_relayed
    }

    pub const fn is_relayed(&self) -> bool {
        self.is_relayed
    }

    /// True while who is responsible depends on where later hops take the mail.
    pub fn waits_for_next_hop(&self) -> bool {
        let origin = self.origin();
        origin.sasl_username.is_none() && origin.local_user.is_none() && origin.client.is_some()
    }

    /// True when a copy left for elsewhere under the address that the client gave: the client may relay here. A
    /// forwarded copy, and one for a server in this site's own network, is inbound mail.
    fn was_relayed(&self) -> bool {
        self.attempts.iter().any(|attempt| {
            let forwarded = self.recipients.get(attempt.recipient).is_some_and(|r| {
                !r.orig_address.is_empty() && address::split(&r.orig_address).1 != address::split(&r.address).1
            });
            attempt.is_remote && !forwarded && !is_own_network(&attempt.relay_ip)
        })
    }
}

const fn action(state: RecipientState) -> Action {
    match state {
        RecipientState::Open | RecipientState::Deferred => Action::Deferred,
        RecipientState::Delivered | RecipientState::HandedOn => Action::Delivered,
        RecipientState::Bounced => Action::Bounced,
        RecipientState::Expired => Action::Expired,
        RecipientState::Discarded => Action::Discarded,
    }
}

/// True for a machine of the own network that is not this host: it may relay, and is answered for by its address. On
/// loopback filters hand mail back, whose first hop may be in no log.
fn is_neighbour(ip: &[u8]) -> bool {
    is_own_network(ip) && !super::is_loopback(ip)
}

/// Which way a copy went: to a server elsewhere is outbound; what stays here, or goes on to a server of this site, is
/// local when it began here and inbound when it came from elsewhere.
fn direction(attempt: &Attempt, is_ours: bool) -> Direction {
    let stays = matches!(&*attempt.service, b"local" | b"virtual" | b"lmtp" | b"pipe")
        || (!attempt.is_remote && attempt.action == Action::Delivered)
        || is_own_network(&attempt.relay_ip);
    match (stays, is_ours) {
        (true, true) => Direction::Local,
        (true, false) => Direction::Inbound,
        (false, _) if attempt.is_remote => Direction::Outbound,
        (false, true) => Direction::Outbound,
        (false, false) => Direction::Inbound,
    }
}
