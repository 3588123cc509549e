//! From entries to messages, refusals and failed logins, each with who is responsible. Here, and nowhere to the left,
//! borrowed bytes become owned ones. Nothing here knows why an answer was given.
//!
//! A message is known by its host and queue id. Its lines may come out of order within seconds, begin or end outside
//! the log, and the id may be used again. A message that leaves one queue and enters another keeps the identity of its
//! first hop.

mod answers;
mod hints;
mod hops;
mod queue;
mod recipients;
mod session;
#[cfg(test)]
mod tests;
mod twins;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::mail::address;
use crate::mail::identity::IdentityKind;
pub use crate::mail::octets::Octets;
use crate::mail::queue_id::QueueId;
use crate::mail::status::{Action, Direction, EnhancedCode, Mta, SmtpCode, Stage};
use crate::mail::time::Timestamp;
use crate::parse::{self, Entry};
use answers::Answers;
use hints::Hints;
pub use hops::is_of_site;
use queue::OpenMessage;
use session::Sessions;
use twins::Twins;

/// How long a message stays at hand after its end: lines of other processes, and the hop before it, come later.
const LINGER_S: i64 = 300;
/// A message of which nothing was heard for so long is given out as it stands. Postfix gives up after 5 days
/// (`maximal_queue_lifetime`), Exim after 4 by Debian's retry rules and 7 by common ones.
const FORGET_S: i64 = 10 * 86_400;
const SWEEP_EVERY_S: i64 = 3_600;

/// A host in the logs, by its number in [`Correlator::hosts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostId(pub u32);

/// Which of several Postfix instances on a host wrote a line, by the hash of its name. Each has a queue of its own, so that
/// an id may be in use twice. `NONE` where the tag does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance(u64);

impl Instance {
    pub const NONE: Self = Self(0);

    pub fn named(name: &[u8]) -> Self {
        if name.is_empty() { Self::NONE } else { Self(xxh3_64(name)) }
    }
}

/// Where a line stands: the number of its source, and the line's number in the decompressed text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub source: u32,
    pub line: u64,
}

/// What a line is about, beside the entry itself.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub at: Timestamp,
    pub host: HostId,
    pub mta: Mta,
    pub instance: Instance,
    pub pid: Option<u32>,
    /// How many equal lines it stands for.
    pub times: u32,
    /// It came by syslog, not in a log of the mail server's own.
    pub is_syslog: bool,
    /// What it says of a session counts there; false for a line that is read again for its message alone.
    pub is_of_session: bool,
    pub place: Place,
}

/// The client of a message or refusal, owned. Empty where unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientFacts {
    pub name: Octets,
    pub ip: Octets,
    pub helo: Octets,
}

impl From<parse::Client<'_>> for ClientFacts {
    fn from(client: parse::Client<'_>) -> Self {
        Self { name: client.name.into(), ip: client.ip.into(), helo: client.helo.into() }
    }
}

/// How a mail first came to this host: what its identity is found from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub host: HostId,
    pub sasl_username: Option<Octets>,
    pub local_user: Option<Octets>,
    pub client: Option<ClientFacts>,
    pub sender: Option<Octets>,
    /// The directory that a local user's program ran in (Exim `cwd=`).
    pub directory: Option<Octets>,
}

/// Who is responsible, and on which host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub kind: IdentityKind,
    pub name: Octets,
    pub host: HostId,
}

/// What became of one recipient of one queue entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientState {
    Open,
    Delivered,
    Deferred,
    Bounced,
    Expired,
    Discarded,
    HandedOn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub address: Octets,
    /// As it was before aliases; empty where it is the same.
    pub orig_address: Octets,
    pub state: RecipientState,
}

impl Recipient {
    /// The address that the sender wrote, as far as the log shows it.
    pub fn asked_for(&self) -> &Octets {
        if self.orig_address.is_empty() { &self.address } else { &self.orig_address }
    }
}

/// One delivery line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    /// Index into the message's recipients.
    pub recipient: usize,
    pub action: Action,
    pub direction: Direction,
    /// Not a new answer of the destination.
    pub is_secondary: bool,
    /// Went into another queue entry of this host: no delivery.
    pub is_handover: bool,
    pub service: Octets,
    pub is_remote: bool,
    pub relay_host: Octets,
    pub relay_ip: Octets,
    pub relay_port: Option<u16>,
    pub delay_s: Option<f64>,
    pub enhanced_code: Option<EnhancedCode>,
    #[serde(with = "shared")]
    pub response: Arc<[u8]>,
    /// What other servers had answered before, each as `mx.example[192.0.2.8]:25: 451 4.7.1 later`.
    pub earlier_answers: Box<[Octets]>,
    pub place: Place,
    pub times: u32,
}

/// Put on hold, once for each time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hold {
    pub at: Timestamp,
    pub sender: Option<Octets>,
    pub recipient: Option<Octets>,
    pub stage: Stage,
    pub direction: Direction,
    pub response: Octets,
    pub place: Place,
}

/// One queue entry with all that the log says of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    pub mta: Mta,
    pub queue_id: QueueId,
    pub host: HostId,
    pub identity: Identity,
    pub origin: Origin,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub sender: Option<Octets>,
    pub message_id: Option<Octets>,
    /// Where the log has it: Exim's `+subject`, Postfix's header checks.
    pub subject: Option<Octets>,
    pub size: Option<u64>,
    /// The line of its arrival; its first one where the log does not hold that.
    pub place: Place,
    pub recipients: Vec<Recipient>,
    /// Recipients asked for that no line names.
    pub unnamed_recipients: u64,
    pub unnamed_state: RecipientState,
    pub attempts: Vec<Attempt>,
    pub holds: Vec<Hold>,
    /// The message that this one is a notice about.
    pub parent_queue_id: Option<QueueId>,
    /// The entry of this host's queue that this one carries on.
    pub hop_of: Option<QueueId>,
    /// A later hop of a mail that is counted at its first one.
    pub is_continuation: bool,
    /// Its end is not in the log.
    pub is_open: bool,
    /// Its beginning is not in the log.
    pub is_orphan: bool,
}

/// One refusal by this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rejection {
    pub at: Timestamp,
    pub mta: Mta,
    pub host: HostId,
    pub identity: Identity,
    pub queue_id: Option<QueueId>,
    pub client: ClientFacts,
    pub sasl_username: Option<Octets>,
    pub local_user: Option<Octets>,
    pub sender: Option<Octets>,
    pub recipient: Option<Octets>,
    pub direction: Direction,
    pub action: Action,
    pub stage: Stage,
    pub service: Octets,
    pub smtp_code: Option<SmtpCode>,
    pub enhanced_code: Option<EnhancedCode>,
    pub response: Octets,
    /// The DNS list that named the client just before, for a refusal that does not say which it was.
    pub listed_by: Option<Octets>,
    /// The directory that a local user's program ran in.
    pub directory: Option<Octets>,
    pub place: Place,
    pub times: u32,
}

/// One failed login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthFailure {
    pub at: Timestamp,
    pub mta: Mta,
    pub host: HostId,
    pub client: ClientFacts,
    pub sasl_username: Option<Octets>,
    pub is_permanent: bool,
    pub service: Octets,
    pub smtp_code: Option<SmtpCode>,
    pub response: Octets,
    pub place: Place,
    pub times: u32,
}

/// A shared text as the archive holds it: each time anew.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Arc::from)
    }
}

/// Takes what the correlator finishes, in an order that depends on the log alone.
pub trait Sink {
    fn message(&mut self, message: Message);
    fn rejection(&mut self, rejection: Rejection);
    fn auth_failure(&mut self, failure: AuthFailure);
    /// A queue entry that was no mail: an address probe.
    fn probe(&mut self, host: HostId, queue_id: QueueId);
    /// A queue entry that was begun and never queued.
    fn aborted(&mut self, host: HostId, queue_id: QueueId);
}

/// What the last entry had to do with, beside the queue entry that it names.
#[derive(Debug, Default)]
pub struct Touched {
    /// Queue entries that it was linked with, or might have been.
    pub entries: Vec<(HostId, QueueId)>,
    /// Queue entries of the same host that it said will come.
    pub announced: Vec<QueueId>,
    /// Lines whose hints it took.
    pub hints: Vec<Place>,
    /// It is a refusal that waits for the end of its session.
    pub is_waiting: bool,
}

/// One host's state.
#[derive(Serialize, Deserialize)]
struct Host {
    name: Octets,
    /// The latest stamp seen.
    now: Timestamp,
    swept: Timestamp,
    /// A stamp far ahead that nothing has confirmed.
    ahead: Option<Timestamp>,
    /// Ended messages in the order of their ends.
    ended: VecDeque<(Timestamp, QueueId)>,
    /// Session and message state.
    sessions: Sessions,
    messages: HashMap<QueueId, Box<OpenMessage>>,
    /// The latest messages with a message id, by the id's hash: for hops that no line links.
    by_message_id: HashMap<u64, Vec<QueueId>>,
    links: HashMap<QueueId, hops::PendingLink>,
    /// Mails that a pipe or filter took, by message id: the entry that carries them on has not said its own yet.
    awaited: HashMap<u64, Vec<hops::Awaited>>,
    twins: Twins,
    /// Messages of other instances whose ids are in use a second time.
    set_aside: HashMap<(Instance, QueueId), Box<OpenMessage>>,
    answers: Answers,
    hints: Hints,
    /// When it began in this run.
    #[serde(skip)]
    began: Option<Timestamp>,
    /// See [`Touched`].
    #[serde(skip)]
    linked: Vec<QueueId>,
    #[serde(skip)]
    announced: Vec<QueueId>,
}

/// Entries in, messages and refusals out. Feed each host's entries in the order of its log. What is open can be stored, to
/// go on from there in another run.
#[derive(Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Correlator {
    hosts: Vec<Host>,
    #[serde(skip)]
    by_name: HashMap<Octets, HostId>,
    /// Queue entries of other hosts that the last entry was linked with.
    #[serde(skip)]
    linked: Vec<(HostId, QueueId)>,
}

/// What of it is stored.
#[derive(Deserialize)]
struct Stored {
    hosts: Vec<Host>,
}

impl From<Stored> for Correlator {
    fn from(stored: Stored) -> Self {
        let number = |at: usize| HostId(u32::try_from(at).unwrap_or(u32::MAX));
        let by_name = stored.hosts.iter().enumerate().map(|(at, host)| (host.name.clone(), number(at))).collect();
        Self { hosts: stored.hosts, by_name, linked: Vec::new() }
    }
}

impl Correlator {
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of a host name, case aside.
    pub fn host(&mut self, name: &[u8]) -> HostId {
        let name = &*name.to_ascii_lowercase();
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        self.hosts.push(Host::new(name));
        self.by_name.insert(name.into(), id);
        id
    }

    /// Takes from a host all that is known of it: its log goes on elsewhere. Nothing is given out.
    pub fn cut(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(id.0 as usize) {
            let name = std::mem::take(&mut host.name);
            *host = Host::new(&name);
            host.twins.forget();
        }
    }

    pub fn now_of(&self, id: HostId) -> Timestamp {
        self.hosts.get(id.0 as usize).map_or(Timestamp(i64::MIN), |host| host.now)
    }

    /// True while the entry is at hand: more lines of it may come.
    pub fn is_open(&self, id: HostId, queue_id: QueueId) -> bool {
        self.hosts.get(id.0 as usize).is_some_and(|host| {
            host.messages.contains_key(&queue_id)
                || (!host.set_aside.is_empty() && host.set_aside.keys().any(|(_, other)| *other == queue_id))
        })
    }

    /// What the last entry, one of this host, had to do with.
    pub fn touched(&mut self, id: HostId, touched: &mut Touched) {
        let Some(host) = self.hosts.get_mut(id.0 as usize) else { return };
        touched.entries.clear();
        touched.entries.extend(host.linked.drain(..).map(|queue_id| (id, queue_id)));
        touched.entries.append(&mut self.linked);
        touched.announced.clear();
        touched.announced.append(&mut host.announced);
        touched.hints.clear();
        touched.hints.append(&mut host.hints.taken);
        touched.is_waiting = host.sessions.has_waiting;
    }

    /// Evidence that this host's Exim writes refusals twice; `None` where it depends on what was before.
    pub fn evidence(&self, id: HostId) -> Option<i8> {
        self.hosts.get(id.0 as usize)?.twins.evidence()
    }

    pub fn set_evidence(&mut self, id: HostId, evidence: i8) {
        if let Some(host) = self.hosts.get_mut(id.0 as usize) {
            host.twins.set_evidence(evidence);
        }
    }

    /// The same as the last refusal or failed login found it, and for the next one.
    pub fn used_evidence(&self, id: HostId) -> Option<i8> {
        self.hosts.get(id.0 as usize)?.twins.used
    }

    pub fn give_evidence(&mut self, id: HostId, evidence: i8) {
        if let Some(host) = self.hosts.get_mut(id.0 as usize) {
            host.twins.given = Some(evidence);
        }
    }

    /// A line of a session names its client and login.
    pub fn login(&mut self, context: Context, client: parse::Client<'_>, login: Option<&[u8]>, sink: &mut dyn Sink) {
        if let Some(host) = self.hosts.get_mut(context.host.0 as usize) {
            host.advance(context, sink);
            host.sessions.login(context, client, login, sink);
        }
    }

    /// Moves a host's time on without an entry.
    pub fn advance(&mut self, id: HostId, now: Timestamp, sink: &mut dyn Sink) {
        if let Some(host) = self.hosts.get_mut(id.0 as usize).filter(|host| now > host.now) {
            host.move_to(now, sink);
        }
    }

    /// Nothing of what this process did before belongs to what it does now.
    pub fn forget_session(&mut self, context: Context, client: parse::Client<'_>, sink: &mut dyn Sink) {
        if let Some(host) = self.hosts.get_mut(context.host.0 as usize) {
            host.sessions.forget(context, client, sink);
        }
    }

    /// The number of a host that was named before.
    pub fn known_host(&self, name: &[u8]) -> Option<HostId> {
        self.by_name.get(name).or_else(|| self.by_name.get(&*name.to_ascii_lowercase())).copied()
    }

    /// The latest believed moment of a host's log; `None` before its first line.
    pub fn now(&self, name: &[u8]) -> Option<Timestamp> {
        let id = self.by_name.get(&*name.to_ascii_lowercase())?;
        self.hosts.get(id.0 as usize).map(|host| host.now).filter(|now| now.0 != i64::MIN)
    }

    /// Host names by number.
    pub fn host_names(&self) -> Vec<Octets> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Takes one entry.
    pub fn take(&mut self, context: Context, entry: &Entry<'_>, sink: &mut dyn Sink) {
        let Some(host) = self.hosts.get_mut(context.host.0 as usize) else { return };
        self.linked.clear();
        host.begin();
        host.advance(context, sink);
        if let Some(id) = entry.queue_id() {
            host.forget(id, sink);
        }
        if !host.set_aside.is_empty()
            && let Some(id) = entry.queue_id()
        {
            host.turn_to(context.instance, id);
        }
        match entry {
            Entry::Delivery(delivery) => {
                let recipient = host.delivery(context, delivery);
                if let (Some(recipient), Some(next)) = (recipient, delivery.next) {
                    self.link_delivery(context, delivery, recipient, next);
                }
            }
            Entry::Handover { child } => {
                if let Some(origin) = host.sessions.origin(context) {
                    host.link_origin(context, *child, origin);
                }
            }
            _ => host.take(context, entry, sink),
        }
    }

    /// Gives out everything that is still at hand.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        for host in &mut self.hosts {
            host.sessions.finish(sink);
            // Later hops before the ones that wait for them.
            let mut ids: Vec<_> =
                host.messages.iter().map(|(id, m)| (m.parent.is_none(), m.first_seen(), *id)).collect();
            ids.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| if a.0 { a.cmp(b) } else { b.cmp(a) }));
            for (_, _, id) in ids {
                host.give_out(id, sink);
            }
            host.give_out_aside(|_| true, sink);
        }
    }
}

impl Host {
    fn new(name: &[u8]) -> Self {
        let start = Timestamp(i64::MIN);
        Self {
            name: name.into(),
            now: start,
            swept: start,
            ahead: None,
            ended: VecDeque::new(),
            sessions: Sessions::default(),
            messages: HashMap::new(),
            by_message_id: HashMap::new(),
            links: HashMap::new(),
            awaited: HashMap::new(),
            twins: Twins::default(),
            set_aside: HashMap::new(),
            answers: Answers::default(),
            hints: Hints::default(),
            began: None,
            linked: Vec::new(),
            announced: Vec::new(),
        }
    }

    /// Nothing is touched by the entry that comes yet.
    fn begin(&mut self) {
        self.linked.clear();
        self.announced.clear();
        self.hints.taken.clear();
        self.sessions.has_waiting = false;
    }

    /// Gives out a message of which nothing was heard for so long that this must be another's line.
    fn forget(&mut self, id: QueueId, sink: &mut dyn Sink) {
        let began = *self.began.get_or_insert(self.now);
        if self.now.seconds_since(began) > FORGET_S
            && self.messages.get(&id).is_some_and(|m| self.now.seconds_since(m.last_seen()) > FORGET_S)
        {
            self.give_out(id, sink);
        }
    }

    /// Puts the message that an instance knows by this id in the place of another instance's.
    fn turn_to(&mut self, instance: Instance, id: QueueId) {
        let Some(message) = self.set_aside.remove(&(instance, id)) else { return };
        if let Some(other) = self.messages.insert(id, message) {
            self.set_aside.insert((other.instance, id), other);
        }
    }

    /// Gives out messages of other instances of which nothing more is to come.
    fn give_out_aside(&mut self, is_over: impl Fn(&OpenMessage) -> bool, sink: &mut dyn Sink) {
        let mut over: Vec<_> = self.set_aside.extract_if(|_, message| is_over(message)).collect();
        over.sort_unstable_by_key(|((instance, id), message)| (message.first_seen(), *id, *instance));
        for ((_, id), message) in over {
            message.give_out(id, &self.name, sink);
        }
    }

    /// Moves the host's time on and gives out what has been ended for long enough.
    fn advance(&mut self, context: Context, sink: &mut dyn Sink) {
        if context.at > self.now && self.is_believed(context.at) {
            self.move_to(context.at, sink);
        }
    }

    fn move_to(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        self.now = now;
        while let Some(&(ended, id)) = self.ended.front() {
            if now.seconds_since(ended) <= LINGER_S {
                break;
            }
            self.ended.pop_front();
            let Some(message) = self.messages.get_mut(&id).filter(|m| m.ended() == Some(ended)) else { continue };
            let waits = message.waits_for_next_hop();
            let children = std::mem::take(&mut message.children);
            if waits && children.iter().any(|child| self.messages.contains_key(child)) {
                if let Some(message) = self.messages.get_mut(&id) {
                    message.children = children;
                    message.end(now);
                    self.ended.push_back((now, id));
                }
                continue;
            }
            self.give_out(id, sink);
        }
        if now.seconds_since(self.swept) > SWEEP_EVERY_S {
            self.swept = now;
            self.sessions.sweep(now, sink);
            self.give_out_aside(
                |message| message.ended().is_some() || now.seconds_since(message.last_seen()) > FORGET_S,
                sink,
            );
            self.answers.sweep(now);
            self.links.retain(|_, link| now.seconds_since(link.at) <= SWEEP_EVERY_S);
            self.awaited.retain(|_, runs| {
                runs.retain(|run| now.seconds_since(run.at) <= SWEEP_EVERY_S);
                !runs.is_empty()
            });
            let mut forgotten: Vec<_> = self
                .messages
                .iter()
                .filter(|(_, m)| now.seconds_since(m.last_seen()) > FORGET_S)
                .map(|(id, m)| (m.first_seen(), *id))
                .collect();
            forgotten.sort_unstable();
            for (_, id) in forgotten {
                self.give_out(id, sink);
            }
        }
    }

    /// A stamp days ahead moves the host's time only when a second one agrees: one absurd line must not make everything
    /// that is open look forgotten.
    fn is_believed(&mut self, at: Timestamp) -> bool {
        const LEAP_S: i64 = 2 * 86_400;
        if self.now.0 == i64::MIN || at.seconds_since(self.now) <= LEAP_S {
            return true;
        }
        let agrees = self.ahead.is_some_and(|ahead| at.seconds_since(ahead).abs() <= LEAP_S);
        self.ahead = Some(at);
        agrees
    }

    fn give_out(&mut self, id: QueueId, sink: &mut dyn Sink) {
        let Some(mut message) = self.messages.remove(&id) else { return };
        let parent = message.parent.and_then(|parent| self.messages.get_mut(&parent));
        let is_relayed = message.settle_relayed(parent.as_ref().is_some_and(|p| p.is_relayed()));
        if let Some(parent) = parent {
            parent.settle_relayed(is_relayed);
        }
        if let Some(hash) = message.message_id_hash()
            && let Some(known) = self.by_message_id.get_mut(&hash)
        {
            known.retain(|other| *other != id);
            if known.is_empty() {
                self.by_message_id.remove(&hash);
            }
        }
        message.give_out(id, &self.name, sink);
    }

    fn take(&mut self, context: Context, entry: &Entry<'_>, sink: &mut dyn Sink) {
        match entry {
            Entry::Arrival(arrival) => self.arrival(context, arrival, sink),
            Entry::MessageId { queue_id, message_id } => {
                self.end_old_life(context, *queue_id, sink);
                self.message_id(context, *queue_id, message_id);
            }
            Entry::Subject { queue_id, subject } => {
                self.end_old_life(context, *queue_id, sink);
                self.message(context, *queue_id).set_subject(subject);
            }
            Entry::Queued { queue_id, sender, size, recipients } => {
                self.end_old_life(context, *queue_id, sink);
                self.message(context, *queue_id).queued(sender, *size, *recipients);
                self.verify_hop(*queue_id);
            }
            Entry::Interim(interim) => self.answers.add(context, interim),
            Entry::Held(hold) => match hold.queue_id {
                Some(id) => self.message(context, id).held(queue::hold(context, hold)),
                None => self.sessions.held(context, hold.client, queue::hold(context, hold), sink),
            },
            Entry::Released { queue_id } => self.message(context, *queue_id).released(),
            Entry::Blackholed { queue_id } => self.message(context, *queue_id).blackholed(),
            Entry::Expired { queue_id } => self.message(context, *queue_id).expired(context),
            Entry::GivenUp { queue_id } => self.message(context, *queue_id).given_up(),
            Entry::Closed { queue_id } => self.end(context, *queue_id),
            Entry::Deleted { queue_id } => {
                if let Some(message) = self.messages.get_mut(queue_id) {
                    message.deleted();
                    self.end(context, *queue_id);
                }
            }
            Entry::Removed { queue_id } => {
                if let Some(message) = self.messages.get_mut(queue_id)
                    && message.has_deferred()
                {
                    // The queue manager does not let go of a message that is still to be delivered.
                    message.deleted();
                }
                self.end(context, *queue_id);
            }
            Entry::Requeued { queue_id } => {
                if let Some(message) = self.messages.get_mut(queue_id) {
                    message.requeued();
                    self.end(context, *queue_id);
                }
            }
            Entry::Notice { parent, child } => {
                self.end_old_life(context, *child, sink);
                self.message(context, *child).notice_about(*parent);
            }
            Entry::Rejection(_) | Entry::AuthFailure(_) if self.twins.is_second(context, entry) => {}
            Entry::Rejection(rejection) => self.rejection(context, rejection, sink),
            Entry::AuthFailure(failure) => self.auth_failure(context, failure, sink),
            Entry::Connected { client } => self.sessions.connected(context, *client, sink),
            Entry::Disconnected { client, failed_logins } => {
                self.disconnected(context, *client, *failed_logins, sink);
            }
            Entry::Session { client, sasl_username } => {
                self.sessions.login(context, *client, *sasl_username, sink);
            }
            Entry::Invoked { directory } => self.hints.called(context, directory),
            Entry::Listed { ip, list } => self.hints.listed(context, ip, list),
            Entry::LoginRefused { ip, sasl_username } => self.hints.login_refused(context, ip, sasl_username),
            Entry::Delivery(_) | Entry::Handover { .. } => {}
        }
    }

    /// The message with this id, a new one where there is none.
    fn message(&mut self, context: Context, id: QueueId) -> &mut OpenMessage {
        let message = self.messages.entry(id).or_insert_with(|| Box::new(OpenMessage::new(context)));
        message.seen(context.at);
        message
    }

    /// A line that begins a message, after the end of one with the same id: the id is used again.
    fn end_old_life(&mut self, context: Context, id: QueueId, sink: &mut dyn Sink) {
        if self.messages.get(&id).is_some_and(|old| old.is_over(context)) {
            self.give_out(id, sink);
        }
    }

    fn auth_failure(&mut self, context: Context, failure: &parse::AuthFailure<'_>, sink: &mut dyn Sink) {
        let mut sasl_username = failure.sasl_username.map(login);
        if context.mta == Mta::Postfix {
            self.sessions.login_failed(context, failure.client, sink);
            sasl_username =
                sasl_username.or_else(|| self.hints.login_of(context, failure.client.ip).map(|name| login(&name)));
        }
        sink.auth_failure(AuthFailure {
            at: context.at,
            mta: context.mta,
            host: context.host,
            client: failure.client.into(),
            sasl_username,
            is_permanent: failure.is_permanent,
            service: failure.service.into(),
            smtp_code: failure.smtp_code,
            response: failure.response.into(),
            place: context.place,
            times: context.times,
        });
    }

    /// Logins that failed by the session's counters and that no line of it told of: the log says no more of them.
    fn disconnected(&mut self, context: Context, client: parse::Client<'_>, failed: u32, sink: &mut dyn Sink) {
        /// Sessions end long before: after 20 errors by default (`smtpd_hard_error_limit`).
        const MOST: u32 = 1_000;
        let Some(told) = self.sessions.disconnected(context, client, sink) else { return };
        let untold = failed.saturating_sub(told).min(MOST);
        if untold == 0 {
            return;
        }
        sink.auth_failure(AuthFailure {
            at: context.at,
            mta: context.mta,
            host: context.host,
            client: client.into(),
            sasl_username: None,
            is_permanent: true,
            service: b"smtpd"[..].into(),
            smtp_code: None,
            response: b"authentication failed (known from the session's counters only)"[..].into(),
            place: context.place,
            times: untold.saturating_mul(context.times),
        });
    }

    fn arrival(&mut self, context: Context, arrival: &parse::Arrival<'_>, sink: &mut dyn Sink) {
        let id = arrival.queue_id;
        if let Some(old) = self.messages.get(&id)
            && old.is_of_other_instance(context)
        {
            let instance = old.instance;
            self.set_aside.extend(self.messages.remove(&id).map(|old| ((instance, id), old)));
        } else if self.messages.get(&id).is_some_and(|old| old.is_another(context)) {
            self.give_out(id, sink);
        }
        self.message(context, id).arrived(context, arrival);
        if let Some(client) = arrival.client.filter(|_| context.is_of_session) {
            self.sessions.login(context, client, arrival.sasl_username, sink);
            if let Some(hold) = self.sessions.take_hold(context) {
                self.message(context, id).held(hold);
            }
        } else if let (Mta::Exim, None, Some(user), None) =
            (context.mta, arrival.client, arrival.local_user, arrival.parent)
        {
            let directory = self.hints.directory_of(context, user);
            self.message(context, id).called_from(directory);
        }
        if let Some(message_id) = arrival.message_id {
            self.message_id(context, id, message_id);
        }
        match arrival.parent {
            Some(parse::Parent::Hop(parent)) => self.link(parent, id),
            Some(parse::Parent::Bounced(parent)) => self.message(context, id).notice_about(parent),
            None => {}
        }
        self.take_pending_link(context, id);
    }

    fn message_id(&mut self, context: Context, id: QueueId, message_id: &[u8]) {
        let message = self.message(context, id);
        message.set_message_id(message_id);
        let Some(hash) = message.message_id_hash() else { return };
        let known = self.by_message_id.entry(hash).or_default();
        if !known.contains(&id) {
            // Whoever writes one message id a hundred times hides his own mail only.
            known.truncate(hops::OF_ONE_ID - 1);
            known.insert(0, id);
        }
        self.take_awaited(context, hash);
    }

    fn end(&mut self, context: Context, id: QueueId) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.seen(context.at);
            message.end(context.at);
            self.ended.push_back((context.at, id));
        }
    }

    /// The number of the recipient, `None` for an address probe.
    fn delivery(&mut self, context: Context, delivery: &parse::Delivery<'_>) -> Option<usize> {
        let earlier_answers = self.answers.before(context, delivery);
        let recipient = self.message(context, delivery.queue_id).delivery(context, delivery, earlier_answers)?;
        let went_through_a_filter = delivery.outcome == parse::Outcome::Delivered
            && delivery.next.is_none()
            && (is_pipe(delivery.service) || (is_loopback(delivery.relay_ip) && delivery.service != b"lmtp"));
        if went_through_a_filter {
            self.link_by_message_id(context, delivery.queue_id, recipient);
        }
        Some(recipient)
    }

    fn rejection(&mut self, context: Context, rejection: &parse::Rejection<'_>, sink: &mut dyn Sink) {
        let mut found = Rejection {
            at: context.at,
            mta: context.mta,
            host: context.host,
            identity: Identity { kind: IdentityKind::Unknown, name: Octets::default(), host: context.host },
            queue_id: rejection.queue_id,
            client: rejection.client.into(),
            sasl_username: rejection.sasl_username.map(login),
            local_user: rejection.local_user.map(Octets::from),
            sender: rejection.sender.map(|s| address::with_lower_domain(s).into()),
            recipient: rejection.recipient.map(|r| address::with_lower_domain(r).into()),
            direction: Direction::Inbound,
            action: match (rejection.is_discard, rejection.is_permanent) {
                (true, _) => Action::Discarded,
                (false, true) => Action::Rejected,
                (false, false) => Action::Tempfailed,
            },
            stage: rejection.stage,
            service: rejection.service.into(),
            smtp_code: rejection.smtp_code,
            enhanced_code: rejection.enhanced_code,
            response: rejection.response.into(),
            listed_by: None,
            directory: None,
            place: context.place,
            times: context.times,
        };
        if let Some(message) = rejection.queue_id.and_then(|id| self.messages.get_mut(&id)) {
            // smtpd says so too, and first.
            if rejection.service == b"cleanup" && rejection.is_too_big && message.is_refused() {
                return;
            }
            message.lend_origin(&mut found);
            if rejection.ends_message {
                message.refused();
            }
        }
        if rejection.service == b"postscreen" {
            found.listed_by = self.hints.list_of(context, rejection.client.ip);
        }
        if context.mta == Mta::Exim && rejection.client == parse::Client::default() {
            let user = rejection.local_user.unwrap_or_default();
            found.directory = self.hints.directory_of(context, user);
        }
        if rejection.service == b"smtpd" && rejection.stage == Stage::Auth {
            self.sessions.login_failed(context, rejection.client, sink);
        }
        // postscreen and cleanup have no sessions of their own.
        if context.mta == Mta::Exim || rejection.service == b"smtpd" {
            self.sessions.rejection(context, rejection.client, found, sink);
        } else {
            found.give_out(sink);
        }
    }
}

impl Rejection {
    /// Decides who is responsible, then gives the refusal out.
    fn give_out(mut self, sink: &mut dyn Sink) {
        let (kind, name) = match (&self.sasl_username, &self.local_user, &self.sender) {
            (Some(login), _, _) => (IdentityKind::Sasl, Octets::lowered(login)),
            (None, Some(user), _) => (IdentityKind::Uid, user.clone()),
            (None, None, Some(sender)) if !sender.is_empty() => (IdentityKind::Sender, sender.clone()),
            (None, None, Some(_)) => (IdentityKind::Null, self.client.ip.clone()),
            (None, None, None) => (IdentityKind::Client, self.client.ip.clone()),
        };
        let is_ours = matches!(kind, IdentityKind::Sasl | IdentityKind::Uid) || is_own_network(&self.client.ip);
        self.direction = if is_ours { Direction::Outbound } else { Direction::Inbound };
        self.identity = Identity { kind, name, host: self.host };
        sink.rejection(self);
    }
}

/// Postfix's pipe daemon, or an Exim transport that is one by its name.
fn is_pipe(service: &[u8]) -> bool {
    crate::parse::fields::contains(service, b"pipe")
}

/// A login as identities have it: the domain of one that is an address in lower case.
fn login(name: &[u8]) -> Octets {
    Octets::from(address::with_lower_domain(name).as_ref())
}

fn is_loopback(ip: &[u8]) -> bool {
    address::ip(ip).is_some_and(|ip| ip.is_loopback())
}

fn is_own_network(ip: &[u8]) -> bool {
    address::ip(ip).is_some_and(address::is_own_network)
}
