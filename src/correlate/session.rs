//! SMTP sessions: which login a refusal belongs to when its own line does not say. A refusal waits for the end of its
//! session, for the login may be told only later, with the first accepted message.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{ClientFacts, Context, Hold, Octets, Origin, Rejection, Sink};
use crate::mail::time::Timestamp;
use crate::parse::Client;

/// A session of which nothing was heard for so long is over: smtpd times out after 5 minutes (`smtpd_timeout`).
const FORGET_S: i64 = 3_600;
/// How many refusals wait; a session with more is not worth its memory.
const WAITING: usize = 1_000;

/// What tells one session from another: the process that serves it, one client at a time, or where the log has no pids
/// the client's port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Process(u32),
    Peer(Octets, u16),
}

impl Key {
    fn new(context: Context, client: Client<'_>) -> Option<Self> {
        match (context.pid, client.port) {
            (Some(pid), _) => Some(Self::Process(pid)),
            (None, Some(port)) => Some(Self::Peer(client.ip.into(), port)),
            (None, None) => None,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct Sessions {
    by_key: HashMap<Key, Session>,
    /// The last refusal waits for the end of its session.
    #[serde(skip)]
    pub has_waiting: bool,
}

#[derive(Serialize, Deserialize)]
struct Session {
    client: ClientFacts,
    port: Option<u16>,
    sasl_username: Option<Octets>,
    waiting: Vec<Rejection>,
    /// Failed logins that a line told of.
    failed_logins: u32,
    /// Its beginning is in the log.
    is_whole: bool,
    /// What the message that comes next is put on hold for.
    hold: Option<Hold>,
    last_seen: Timestamp,
}

impl Session {
    fn new(context: Context, client: Client<'_>) -> Self {
        Self {
            client: client.into(),
            port: client.port,
            sasl_username: None,
            waiting: Vec::new(),
            failed_logins: 0,
            is_whole: false,
            hold: None,
            last_seen: context.at,
        }
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        now.seconds_since(self.last_seen) > FORGET_S
    }

    fn end(self, sink: &mut dyn Sink) {
        for rejection in self.waiting {
            with_login(rejection, self.sasl_username.as_ref()).give_out(sink);
        }
    }
}

fn with_login(mut rejection: Rejection, login: Option<&Octets>) -> Rejection {
    if rejection.sasl_username.is_none() {
        rejection.sasl_username = login.cloned();
    }
    rejection
}

impl Sessions {
    pub fn connected(&mut self, context: Context, client: Client<'_>, sink: &mut dyn Sink) {
        let Some(key) = Key::new(context, client) else { return };
        let session = Session { is_whole: true, ..Session::new(context, client) };
        if let Some(old) = self.by_key.insert(key, session) {
            old.end(sink);
        }
    }

    /// Ends the session. Gives how many failed logins its lines told of; `None` where they are not all in the log.
    pub fn disconnected(&mut self, context: Context, client: Client<'_>, sink: &mut dyn Sink) -> Option<u32> {
        let session = Key::new(context, client).and_then(|key| self.by_key.remove(&key))?;
        let is_it = session.is_whole && *session.client.ip == *client.ip && !session.is_forgotten(context.at);
        let told = is_it.then_some(session.failed_logins);
        session.end(sink);
        told
    }

    /// A line told of a failed login.
    pub fn login_failed(&mut self, context: Context, client: Client<'_>, sink: &mut dyn Sink) {
        if let Some(session) = self.session(context, client, sink) {
            session.failed_logins = session.failed_logins.saturating_add(context.times);
        }
    }

    /// The message that comes next in this session goes on hold.
    pub fn held(&mut self, context: Context, client: Client<'_>, hold: Hold, sink: &mut dyn Sink) {
        if let Some(session) = self.session(context, client, sink) {
            session.hold.get_or_insert(hold);
        }
    }

    /// Whatever this process served before is over.
    pub fn forget(&mut self, context: Context, client: Client<'_>, sink: &mut dyn Sink) {
        if let Some(old) = Key::new(context, client).and_then(|key| self.by_key.remove(&key)) {
            old.end(sink);
        }
    }

    pub fn take_hold(&mut self, context: Context) -> Option<Hold> {
        let session = self.by_key.get_mut(&Key::Process(context.pid?))?;
        if session.is_forgotten(context.at) { None } else { session.hold.take() }
    }

    /// A line names the session's client, and its login where it has one.
    pub fn login(&mut self, context: Context, client: Client<'_>, login: Option<&[u8]>, sink: &mut dyn Sink) {
        let Some(session) = self.session(context, client, sink) else { return };
        if let Some(login) = login {
            session.sasl_username = Some(super::login(login));
        }
    }

    /// A refusal in a session: given out at once where nothing tells which session it was.
    pub fn rejection(&mut self, context: Context, client: Client<'_>, mut rejection: Rejection, sink: &mut dyn Sink) {
        let session = self.session(context, client, sink);
        if let (true, Some(session)) = (rejection.client.ip.is_empty(), &session) {
            let helo = std::mem::take(&mut rejection.client.helo);
            rejection.client = ClientFacts { helo, ..session.client.clone() };
        }
        match session {
            Some(session) if session.waiting.len() < WAITING => {
                session.waiting.push(rejection);
                self.has_waiting = true;
            }
            Some(session) => with_login(rejection, session.sasl_username.as_ref()).give_out(sink),
            None => rejection.give_out(sink),
        }
    }

    /// What is known of the client that this process serves.
    pub fn origin(&self, context: Context) -> Option<Origin> {
        let session = self.by_key.get(&Key::Process(context.pid?)).filter(|s| !s.is_forgotten(context.at))?;
        Some(Origin {
            host: context.host,
            sasl_username: session.sasl_username.clone(),
            local_user: None,
            client: Some(session.client.clone()),
            sender: None,
            directory: None,
        })
    }

    /// The session of this process with this client; another client means that the end of the old one was not logged.
    fn session(&mut self, context: Context, client: Client<'_>, sink: &mut dyn Sink) -> Option<&mut Session> {
        let key = Key::new(context, client)?;
        let is_over = |known: &Session| {
            // A line may name no client: a before-queue filter's answer.
            (!client.ip.is_empty() && *known.client.ip != *client.ip)
                || known.is_forgotten(context.at)
                || (known.port.is_some() && client.port.is_some() && known.port != client.port)
        };
        if self.by_key.get(&key).is_some_and(is_over)
            && let Some(old) = self.by_key.remove(&key)
        {
            old.end(sink);
        }
        let session = self.by_key.entry(key).or_insert_with(|| Session::new(context, client));
        session.last_seen = context.at;
        Some(session)
    }

    pub fn sweep(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        self.end_where(|session| session.is_forgotten(now), sink);
    }

    pub fn finish(&mut self, sink: &mut dyn Sink) {
        self.end_where(|_| true, sink);
    }

    fn end_where(&mut self, ends: impl Fn(&Session) -> bool, sink: &mut dyn Sink) {
        let mut ended: Vec<_> = self.by_key.extract_if(|_, session| ends(session)).collect();
        ended.sort_unstable_by(|(a, x), (b, y)| x.last_seen.cmp(&y.last_seen).then_with(|| a.cmp(b)));
        for (_, session) in ended {
            session.end(sink);
        }
    }
}
