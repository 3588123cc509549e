//! Which lines of a piece of a log mean the same whatever stood before and behind it. `map` counts what these come to; the
//! others are the seam: they are kept as they are, and `merge` reads them with those of the pieces beside.
//!
//! Lines belong together where the correlator lets one decide about the other: those of a queue entry, of a session, of
//! the entries that one mail passes through. Such a group is whole where it began in the piece and ended in it. To find
//! too many lines dependent makes the seam larger; to find too few would make numbers wrong.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::{HashMap, HashSet};

use super::analyze::Given;
use crate::archive::partial::{FRESH_SESSION, Line, NO_SESSION, SETTLED, SYSLOG, What, Written};
use crate::correlate::{Context, Correlator, HostId, Instance, Octets, Place, Touched, is_of_site};
use crate::framing::RawLine;
use crate::mail::queue_id::{QueueId, is_exim_id};
use crate::mail::status::Mta;
use crate::mail::time::Timestamp;
use crate::parse::{Client, Entry, Parent};

/// Lines of several processes swap places, clocks are set a little, and what a line says is of use to another one for some
/// seconds: this close to a piece's beginning nothing is certain.
const START_S: i64 = 90;
/// A line this much behind the latest one came out of order.
const LATE_S: i64 = 60;
/// The correlator's memories (its modules say why they are so long), with room for lines out of order.
const SESSION_S: i64 = 3_600 + LATE_S;
const LOGIN_S: i64 = 10 + LATE_S;
const LISTING_S: i64 = 300 + LATE_S;
const CALL_S: i64 = 600 + LATE_S;
const ANNOUNCED_S: i64 = 60 + LATE_S;
/// Who wrote an entry is told within this time of its first line.
const TOLD_S: i64 = 5;
/// How often what is over by its time is looked for.
const SWEEP_S: i64 = 300;
/// Groups are not kept for longer than it takes to write so much; what has more goes into the seam.
const GROUP_BYTES: usize = 4 << 20;
/// A first stamp so far ahead of the next ones is a host's that did not know the time yet.
const BOOT_LINES: u64 = 3;
const BOOT_S: i64 = 3_600;

/// The lines of a run, told apart.
pub struct Seams {
    hosts: Vec<HostLines>,
    groups: Vec<Group>,
    free: Vec<usize>,
    /// Lines of the seam, each with its place in the run.
    pub seam: Written,
    lines: u64,
    /// The time of the host whose line is looked at.
    now: Timestamp,
    touched: Touched,
    /// Groups of which something ended with the line that is looked at.
    ended: Vec<usize>,
}

/// What one line was.
pub struct Seen<'a, 'l> {
    pub context: Context,
    pub entry: &'a Entry<'l>,
    pub raw: &'a RawLine<'l>,
    /// The latest moment of its input so far: lines of several inputs are put in order by it.
    pub key: Timestamp,
    /// Number of its input in this run.
    pub input: u32,
}

/// Lines that belong together, and what they came to.
#[derive(Default)]
struct Group {
    lines: Written,
    given: Vec<Given>,
    /// What holds it, among it things that are over.
    keys: Vec<(HostId, Key)>,
    /// Things of it that more lines may come for.
    open: u32,
    /// Entries of it of which it is not known yet that they began here.
    doubts: u32,
    /// Its lines are in the seam.
    is_cut: bool,
    is_used: bool,
}

impl Group {
    /// As new, but for its memory where that is little.
    fn reset(&mut self) {
        /// Most groups are smaller.
        const KEPT_BYTES: usize = 8 << 10;
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear(KEPT_BYTES);
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.shrink_to(8);
        *self = Self { lines, keys, ..Self::default() };
    }
}

/// What a line belongs to, as far as it was looked at.
struct Belongs {
    group: Option<usize>,
    is_cut: bool,
    /// Of [`Line`].
    flags: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Entry(QueueId),
    Session(Server),
    /// A hint that a line gave, or a refusal that waits.
    Line(Place),
}

/// What tells one session from another, as the correlator has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Server {
    Process(u32),
    Peer(Octets, u16),
}

#[derive(Default)]
struct HostLines {
    name: Octets,
    start: Option<Timestamp>,
    lines: u64,
    swept: Option<Timestamp>,
    entries: HashMap<QueueId, EntryIn>,
    sessions: HashMap<Server, SessionIn>,
    /// Sessions of which it is known that none is open from before.
    served: HashSet<Server>,
    kept_lines: HashMap<Place, usize>,
    over: BinaryHeap<Reverse<(Timestamp, Place, Option<QueueId>)>>,
    /// How far Exim's ids are ahead of the stamps of their first lines, seconds.
    ahead_s: Option<i64>,
}

struct EntryIn {
    group: usize,
    is_open: bool,
    instance: Instance,
    /// Since when it is in doubt that it began here.
    doubted: Option<Timestamp>,
}

struct SessionIn {
    group: usize,
    ip: Octets,
    port: Option<u16>,
    last: Timestamp,
}

/// What an entry has to do with a session.
pub enum Use<'a> {
    Begins(Client<'a>),
    Line(Client<'a>),
    Ends(Client<'a>),
    Looks,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            groups: Vec::new(),
            free: Vec::new(),
            seam: Written::default(),
            lines: 0,
            now: Timestamp(i64::MIN),
            touched: Touched::default(),
            ended: Vec::new(),
        }
    }
}

impl Seams {
    /// Takes a line that the correlator has taken, and what came of it; `out` gets what is certain.
    pub fn saw(
        &mut self,
        seen: &Seen<'_, '_>,
        correlator: &mut Correlator,
        given: &mut Vec<Given>,
        out: &mut Vec<Given>,
    ) {
        let (context, id) = (seen.context, seen.context.host);
        let at = id.0 as usize;
        if self.hosts.len() <= at {
            self.hosts.resize_with(at + 1, HostLines::default);
        }
        let mut touched = std::mem::take(&mut self.touched);
        correlator.touched(id, &mut touched);
        let now = correlator.now_of(id);
        self.now = now;
        let Some(host) = self.hosts.get_mut(at) else { return };
        let start = host.begin(seen);
        let since_s = now.seconds_since(start);
        let is_late = now.seconds_since(context.at) > LATE_S;
        let mut own = Vec::new();
        for one in given.drain(..) {
            self.route(one, context.place, correlator, &mut own, out);
        }
        if let Entry::Interim(_) = seen.entry {
            // It is shown with a single event, and counted nowhere.
            self.touched = touched;
            self.sweep(at, now);
            while let Some(number) = self.ended.pop() {
                self.close(number, out);
            }
            return;
        }
        // The host's time may depend on the last line before the piece.
        let is_settled = !is_late && self.hosts.get(at).is_some_and(|host| host.lines > 2);
        let mut line = Belongs { group: None, is_cut: since_s <= START_S || is_late, flags: 0 };
        line.flags |= if is_settled { SETTLED } else { 0 } | if context.is_syslog { SYSLOG } else { 0 };
        self.entry(&mut line, seen, start, correlator);
        self.links(&mut line, id, context.at, now, &touched);
        self.session(&mut line, seen, since_s, out);
        line.is_cut |= is_near_a_hint(seen, since_s) || may_be_of_two_hosts(seen, self.name(id));
        self.keep_hint(&mut line, seen, now);
        let mut evidence = None;
        if is_refusal_by_exim(seen) {
            evidence = correlator.used_evidence(id);
            line.is_cut |= evidence.is_none();
        }
        if touched.is_waiting && matches!(seen.entry, Entry::Rejection(_)) {
            self.hold(&mut line, id, Key::Line(context.place));
        }
        self.touched = touched;
        let number = self.put(&mut line, seen, What::of(seen.raw), evidence, &mut own);
        self.sweep(at, now);
        self.close(number, out);
        while let Some(number) = self.ended.pop() {
            self.close(number, out);
        }
    }

    /// Puts a line, and what came of it, to those that it belongs to; gives their group.
    fn put(
        &mut self,
        line: &mut Belongs,
        seen: &Seen<'_, '_>,
        what: What<'_>,
        evidence: Option<i8>,
        own: &mut Vec<Given>,
    ) -> usize {
        let number = self.group_of(line);
        let context = seen.context;
        self.lines += 1;
        // Exim's deliveries are known by their ids alone.
        let has_pid =
            context.mta == Mta::Postfix || use_of(context.mta, seen.entry).is_some() || is_of_call(seen.entry);
        let written = Line {
            input: seen.input,
            line: context.place.line,
            key: seen.key,
            at: context.at,
            now: self.now,
            flags: line.flags,
            evidence,
            host: context.host.0,
            times: context.times,
            pid: context.pid.filter(|_| has_pid),
            what,
        };
        if let Some(group) = self.groups.get_mut(number) {
            group.lines.push(self.lines, &written);
            group.given.append(own);
            if line.is_cut || group.is_cut || group.lines.len() > GROUP_BYTES {
                self.cut(number);
            }
        }
        number
    }

    /// Takes a line that cannot be read without the piece before.
    pub fn keep(&mut self, line: &Line<'_>) {
        self.lines += 1;
        self.seam.push(self.lines, line);
    }

    /// The piece ends here for these hosts: what is open is for the next one to go on with.
    pub fn end(&mut self, hosts: &[HostId]) {
        for id in hosts {
            let Some(host) = self.hosts.get_mut(id.0 as usize) else { continue };
            let host = std::mem::replace(host, HostLines { name: host.name.clone(), ..HostLines::default() });
            let groups = (host.entries.into_values().map(|one| one.group))
                .chain(host.sessions.into_values().map(|one| one.group))
                .chain(host.kept_lines.into_values());
            for number in groups.collect::<Vec<_>>() {
                self.cut(number);
                self.let_go(number);
            }
        }
        // All of them are in the seam: nothing is certain of what ends with a piece.
        while let Some(number) = self.ended.pop() {
            self.close(number, &mut Vec::new());
        }
    }

    fn name(&self, id: HostId) -> &[u8] {
        self.hosts.get(id.0 as usize).map_or(b"", |host| &host.name)
    }

    /// Gives what came out to the lines that it came from.
    fn route(&mut self, one: Given, place: Place, correlator: &Correlator, own: &mut Vec<Given>, out: &mut Vec<Given>) {
        let (host, key) = match &one {
            Given::Host(_) => return out.push(one),
            Given::Message(message) => (message.host, Key::Entry(message.queue_id)),
            Given::Probe(host, queue_id) | Given::Aborted(host, queue_id) => (*host, Key::Entry(*queue_id)),
            Given::Rejection(rejection) if rejection.place != place => (rejection.host, Key::Line(rejection.place)),
            Given::Rejection(_) | Given::AuthFailure(_) => return own.push(one),
        };
        let is_over = match &key {
            // Another entry of this id may be open by now: the two go together.
            Key::Entry(queue_id) => !correlator.is_open(host, *queue_id),
            _ => true,
        };
        let Some(number) = self.holder(host, &key) else { return };
        if let Some(group) = self.groups.get_mut(number).filter(|group| !group.is_cut) {
            group.given.push(one);
        }
        if is_over {
            self.release(host, &key);
        }
    }

    /// The group that has this.
    fn holder(&self, host: HostId, key: &Key) -> Option<usize> {
        let host = self.hosts.get(host.0 as usize)?;
        match key {
            Key::Entry(queue_id) => host.entries.get(queue_id).map(|one| one.group),
            Key::Session(server) => host.sessions.get(server).map(|one| one.group),
            Key::Line(place) => host.kept_lines.get(place).copied(),
        }
    }

    /// Nothing more is to come for this.
    fn release(&mut self, host: HostId, key: &Key) {
        let Some(host) = self.hosts.get_mut(host.0 as usize) else { return };
        let number = match key {
            Key::Entry(queue_id) => host.entries.remove(queue_id).map(|one| one.group),
            Key::Session(server) => host.sessions.remove(server).map(|one| one.group),
            Key::Line(place) => host.kept_lines.remove(place),
        };
        if let Some(number) = number {
            self.let_go(number);
        }
    }

    fn let_go(&mut self, number: usize) {
        if let Some(group) = self.groups.get_mut(number) {
            group.open = group.open.saturating_sub(1);
            if group.open == 0 {
                self.ended.push(number);
            }
        }
    }

    /// The group of a line, a new one where it has none.
    fn group_of(&mut self, line: &mut Belongs) -> usize {
        *line.group.get_or_insert_with(|| {
            let number = self.free.pop().unwrap_or(self.groups.len());
            match self.groups.get_mut(number) {
                Some(free) => free.is_used = true,
                None => self.groups.push(Group { is_used: true, ..Group::default() }),
            }
            number
        })
    }

    /// Notes that a line's group has something that lines may come for.
    fn hold(&mut self, line: &mut Belongs, host: HostId, key: Key) {
        let number = self.group_of(line);
        if let Key::Line(place) = &key
            && let Some(host) = self.hosts.get_mut(host.0 as usize)
        {
            host.kept_lines.insert(*place, number);
        }
        if let Some(group) = self.groups.get_mut(number) {
            group.keys.push((host, key));
            group.open += 1;
        }
    }

    /// The line belongs to this group, too.
    fn join(&mut self, line: &mut Belongs, other: usize) {
        let Some(mine) = line.group.filter(|mine| *mine != other) else {
            line.group = Some(other);
            return;
        };
        let keys = |number: usize| self.groups.get(number).map_or(0, |group| group.keys.len());
        let (many, few) = if keys(mine) < keys(other) { (other, mine) } else { (mine, other) };
        line.group = Some(many);
        let less = self.groups.get_mut(few).map(std::mem::take).unwrap_or_default();
        self.free.push(few);
        self.ended.retain(|number| *number != few);
        for (host, key) in &less.keys {
            let Some(host) = self.hosts.get_mut(host.0 as usize) else { continue };
            let held = match key {
                Key::Entry(queue_id) => host.entries.get_mut(queue_id).map(|one| &mut one.group),
                Key::Session(server) => host.sessions.get_mut(server).map(|one| &mut one.group),
                Key::Line(place) => host.kept_lines.get_mut(place),
            };
            if let Some(held) = held.filter(|held| **held == few) {
                *held = many;
            }
        }
        let is_cut = self.groups.get(many).is_some_and(|group| group.is_cut);
        let Some(group) = self.groups.get_mut(many) else { return };
        let mut less = less;
        group.lines.take_from(&mut less.lines);
        group.keys.extend(less.keys);
        group.open += less.open;
        group.doubts += less.doubts;
        if !is_cut && !less.is_cut {
            group.given.extend(less.given);
        } else {
            self.cut(many);
        }
    }

    /// The lines of this group are not certain.
    fn cut(&mut self, number: usize) {
        if let Some(group) = self.groups.get_mut(number) {
            group.is_cut = true;
            group.given.clear();
            self.seam.take_from(&mut group.lines);
        }
    }

    /// What a group came to is certain once nothing of it is open.
    fn close(&mut self, number: usize, out: &mut Vec<Given>) {
        let Some(group) = self.groups.get_mut(number).filter(|group| group.open == 0 && group.is_used) else { return };
        if group.doubts > 0 {
            self.cut(number);
        }
        if let Some(group) = self.groups.get_mut(number) {
            out.append(&mut group.given);
            // Its memory is for the next one.
            group.reset();
        }
        self.free.push(number);
    }

    /// The queue entry that the line names.
    fn entry(&mut self, line: &mut Belongs, seen: &Seen<'_, '_>, start: Timestamp, correlator: &Correlator) {
        let Some(queue_id) = seen.entry.queue_id() else { return };
        let id = seen.context.host;
        let Some(host) = self.hosts.get_mut(id.0 as usize) else { return };
        let begins = matches!(seen.entry, Entry::Arrival(_) | Entry::Notice { .. });
        // cleanup's line is the first of what this host writes itself: who wrote it is told at once.
        let may_begin = matches!(seen.entry, Entry::MessageId { .. });
        if let Entry::Arrival(_) = seen.entry {
            host.learn_ids(queue_id, seen.context.at);
        }
        let is_open = correlator.is_open(id, queue_id);
        let known = host.entries.get_mut(&queue_id).map(|known| {
            let is_other = is_other_instance(known.instance, seen.context.instance);
            known.is_open |= is_open;
            (known.group, is_other)
        });
        match known {
            Some((group, is_other)) => {
                // Two queues with the same id at one time: which of them was there before?
                line.is_cut |= is_other;
                self.join(line, group);
                if let Entry::Notice { .. } = seen.entry {
                    self.believe(id, queue_id, seen.context.at);
                }
            }
            None => {
                line.is_cut |= !begins && !may_begin && !host.is_younger(queue_id, start);
                if is_open {
                    self.hold_entry(line, id, queue_id, seen.context.instance, true);
                    if may_begin {
                        self.doubt(id, queue_id, seen.context.at);
                    }
                }
            }
        }
        if let Entry::Arrival(arrival) = seen.entry
            && let Some(Parent::Hop(parent)) = arrival.parent
            && let Some(host) = self.hosts.get(id.0 as usize)
        {
            match host.entries.get(&parent).map(|one| one.group) {
                Some(group) => self.join(line, group),
                None => line.is_cut |= !host.is_younger(parent, start),
            }
        }
    }

    fn hold_entry(&mut self, line: &mut Belongs, id: HostId, queue_id: QueueId, instance: Instance, is_open: bool) {
        self.hold(line, id, Key::Entry(queue_id));
        let group = self.group_of(line);
        if let Some(host) = self.hosts.get_mut(id.0 as usize) {
            host.entries.insert(queue_id, EntryIn { group, is_open, instance, doubted: None });
        }
    }

    /// It is not sure that the entry began with the line that is looked at.
    fn doubt(&mut self, id: HostId, queue_id: QueueId, at: Timestamp) {
        let host = self.hosts.get_mut(id.0 as usize);
        if let Some(entry) = host.and_then(|host| host.entries.get_mut(&queue_id))
            && let Some(group) = self.groups.get_mut(entry.group)
        {
            entry.doubted = Some(at);
            group.doubts += 1;
        }
    }

    /// A line says who wrote an entry: where it does so at once, the entry began here.
    fn believe(&mut self, id: HostId, queue_id: QueueId, at: Timestamp) {
        let host = self.hosts.get_mut(id.0 as usize);
        if let Some(entry) = host.and_then(|host| host.entries.get_mut(&queue_id))
            && let Some(group) = self.groups.get_mut(entry.group)
            && entry.doubted.is_some_and(|since| at.seconds_since(since) <= TOLD_S)
        {
            entry.doubted = None;
            group.doubts = group.doubts.saturating_sub(1);
        }
    }

    /// What the correlator says that the line had to do with.
    fn links(&mut self, line: &mut Belongs, id: HostId, at: Timestamp, now: Timestamp, touched: &Touched) {
        for (host, queue_id) in &touched.entries {
            self.believe(*host, *queue_id, at);
            if let Some(group) = self.holder(*host, &Key::Entry(*queue_id)) {
                self.join(line, group);
            }
        }
        for queue_id in &touched.announced {
            match self.holder(id, &Key::Entry(*queue_id)) {
                Some(group) => self.join(line, group),
                None => {
                    self.hold_entry(line, id, *queue_id, Instance::NONE, false);
                    self.until(id, now.plus_seconds(ANNOUNCED_S), Place::default(), Some(*queue_id));
                }
            }
        }
        for place in &touched.hints {
            match self.holder(id, &Key::Line(*place)) {
                Some(group) => self.join(line, group),
                None => line.is_cut = true,
            }
        }
    }

    fn until(&mut self, id: HostId, moment: Timestamp, place: Place, queue_id: Option<QueueId>) {
        if let Some(host) = self.hosts.get_mut(id.0 as usize) {
            host.over.push(Reverse((moment, place, queue_id)));
        }
    }

    fn session(&mut self, line: &mut Belongs, seen: &Seen<'_, '_>, since_s: i64, out: &mut Vec<Given>) {
        let Some(used) = use_of(seen.context.mta, seen.entry) else { return };
        match (seen.context.mta, seen.entry, used) {
            (Mta::Exim, Entry::Arrival(arrival), Use::Line(client)) => {
                // It takes nothing from the session: the two need not be known together.
                line.flags |= NO_SESSION;
                let mut apart = Belongs { group: None, ..*line };
                apart.is_cut = since_s <= START_S || line.flags & SETTLED == 0;
                self.session_with(&mut apart, seen, Use::Line(client), since_s);
                if apart.group.is_some() || apart.is_cut {
                    let login = What::Login { ip: client.ip, port: client.port, login: arrival.sasl_username };
                    let number = self.put(&mut apart, seen, login, None, &mut Vec::new());
                    self.close(number, out);
                }
            }
            (_, _, used) => self.session_with(line, seen, used, since_s),
        }
    }

    fn session_with(&mut self, line: &mut Belongs, seen: &Seen<'_, '_>, used: Use<'_>, since_s: i64) {
        let (id, context) = (seen.context.host, seen.context);
        let (Use::Begins(client) | Use::Line(client) | Use::Ends(client)) = used else {
            return self.session_of_process(line, seen, since_s);
        };
        let server = match (context.pid, client.port) {
            (Some(pid), _) => Server::Process(pid),
            (None, Some(port)) => Server::Peer(client.ip.into(), port),
            (None, None) => return,
        };
        let Some(host) = self.hosts.get_mut(id.0 as usize) else { return };
        let is_first_known = since_s > SESSION_S || host.served.contains(&server);
        if since_s <= SESSION_S && !matches!(used, Use::Line(_)) {
            host.served.insert(server.clone());
        }
        let is_over = |known: &SessionIn| {
            (!client.ip.is_empty() && *known.ip != *client.ip)
                || context.at.seconds_since(known.last) > SESSION_S - LATE_S
                || (known.port.is_some() && client.port.is_some() && known.port != client.port)
        };
        let known = host.sessions.get_mut(&server).map(|known| {
            let was_over = is_over(known);
            known.last = known.last.max(context.at);
            (known.group, was_over)
        });
        match (known, &used) {
            (Some((group, false)), Use::Line(_)) => self.join(line, group),
            // Also where another client's is meant: that line ends it.
            (Some((group, _)), Use::Ends(_)) => {
                self.join(line, group);
                self.release(id, &Key::Session(server));
            }
            (None, Use::Ends(_)) => line.is_cut |= !is_first_known,
            (known, _) => {
                match known {
                    Some(_) => self.release(id, &Key::Session(server.clone())),
                    None if matches!(used, Use::Line(_)) => line.is_cut |= !is_first_known,
                    None => {}
                }
                if known.is_some() || is_first_known {
                    line.flags |= FRESH_SESSION;
                }
                self.hold(line, id, Key::Session(server.clone()));
                let group = self.group_of(line);
                let session = SessionIn { group, ip: client.ip.into(), port: client.port, last: context.at };
                if let Some(host) = self.hosts.get_mut(id.0 as usize) {
                    host.sessions.insert(server, session);
                }
            }
        }
    }

    fn session_of_process(&mut self, line: &mut Belongs, seen: &Seen<'_, '_>, since_s: i64) {
        let Some(server) = seen.context.pid.map(Server::Process) else { return };
        let Some(host) = self.hosts.get(seen.context.host.0 as usize) else { return };
        match host.sessions.get(&server).map(|one| one.group) {
            Some(group) => self.join(line, group),
            None => line.is_cut |= since_s <= SESSION_S && !host.served.contains(&server),
        }
    }

    /// A line that says what a later one leaves out.
    fn keep_hint(&mut self, line: &mut Belongs, seen: &Seen<'_, '_>, now: Timestamp) {
        let keep_s = match seen.entry {
            Entry::LoginRefused { .. } => LOGIN_S,
            Entry::Listed { .. } => LISTING_S,
            Entry::Invoked { .. } => CALL_S,
            _ => return,
        };
        let (id, place) = (seen.context.host, seen.context.place);
        self.hold(line, id, Key::Line(place));
        self.until(id, now.plus_seconds(keep_s), place, None);
    }

    /// Lets go of what is over by its time.
    fn sweep(&mut self, at: usize, now: Timestamp) {
        let Some(host) = self.hosts.get_mut(at) else { return };
        while host.over.peek().is_some_and(|Reverse((moment, ..))| *moment < now) {
            let Some(Reverse((_, place, queue_id))) = host.over.pop() else { break };
            match queue_id {
                Some(queue_id) => {
                    if host.entries.get(&queue_id).is_some_and(|one| !one.is_open)
                        && let Some(one) = host.entries.remove(&queue_id)
                    {
                        over(&mut self.groups, &mut self.ended, one.group);
                    }
                }
                None => {
                    if let Some(group) = host.kept_lines.remove(&place) {
                        over(&mut self.groups, &mut self.ended, group);
                    }
                }
            }
        }
        if host.swept.is_some_and(|swept| now.seconds_since(swept) <= SWEEP_S) {
            return;
        }
        host.swept = Some(now);
        let stale_sessions: Vec<_> =
            host.sessions.extract_if(|_, session| now.seconds_since(session.last) > SESSION_S).collect();
        for (_, session) in stale_sessions {
            over(&mut self.groups, &mut self.ended, session.group);
        }
    }
}

impl HostLines {
    /// A line comes; gives the moment with which the piece begins.
    fn begin(&mut self, seen: &Seen<'_, '_>) -> Timestamp {
        let at = seen.context.at;
        if self.name.is_empty() && !seen.raw.host.is_empty() {
            self.name = Octets::lowered(seen.raw.host);
        }
        self.lines += 1;
        match self.start {
            Some(start) if self.lines > BOOT_LINES || at.seconds_since(start) <= BOOT_S => start,
            _ => *self.start.insert(at),
        }
    }

    /// Exim's ids say when they were made: how far that is ahead of the stamp of an arrival, which comes at once or later.
    fn learn_ids(&mut self, queue_id: QueueId, at: Timestamp) {
        if let Some(made_s) = made_s(queue_id) {
            let ahead_s = made_s - at.seconds();
            self.ahead_s = Some(self.ahead_s.map_or(ahead_s, |known| known.max(ahead_s)));
        }
    }

    /// True for an id that was made in the piece: nothing of it stood before.
    fn is_younger(&self, queue_id: QueueId, start: Timestamp) -> bool {
        let made = made_s(queue_id).zip(self.ahead_s).map(|(made_s, ahead_s)| made_s - ahead_s);
        made.is_some_and(|made_s| made_s > start.seconds() + START_S)
    }
}

/// When an Exim id was made, seconds since 1970 by the host's clock: its first six digits, to base 62 (Exim specification,
/// "Message identification").
fn made_s(queue_id: QueueId) -> Option<i64> {
    let text = queue_id.as_bytes();
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    if !is_exim_id(text) {
        return None;
    }
    text.get(..6)?.iter().try_fold(0, |sum: i64, byte| Some(sum * 62 + i64::from(digit(*byte)?)))
}

fn over(groups: &mut [Group], ended: &mut Vec<usize>, number: usize) {
    if let Some(group) = groups.get_mut(number) {
        group.open = group.open.saturating_sub(1);
        if group.open == 0 {
            ended.push(number);
        }
    }
}

fn is_other_instance(one: Instance, other: Instance) -> bool {
    one != Instance::NONE && other != Instance::NONE && one != other
}

/// What an entry has to do with a session.
pub fn use_of<'a>(mta: Mta, entry: &Entry<'a>) -> Option<Use<'a>> {
    Some(match entry {
        Entry::Connected { client } => Use::Begins(*client),
        Entry::Disconnected { client, .. } => Use::Ends(*client),
        Entry::Session { client, .. } => Use::Line(*client),
        Entry::Arrival(arrival) => Use::Line(arrival.client?),
        Entry::Held(hold) if hold.queue_id.is_none() => Use::Line(hold.client),
        Entry::AuthFailure(failure) if mta == Mta::Postfix => Use::Line(failure.client),
        Entry::Rejection(rejection) if mta == Mta::Exim || rejection.service == b"smtpd" => Use::Line(rejection.client),
        Entry::Handover { .. } => Use::Looks,
        _ => return None,
    })
}

/// True for a line that a hint from before the piece may be about.
fn is_near_a_hint(seen: &Seen<'_, '_>, since_s: i64) -> bool {
    match seen.entry {
        Entry::Rejection(rejection) if rejection.service == b"postscreen" => since_s <= LISTING_S,
        Entry::Rejection(rejection) if seen.context.mta == Mta::Exim && rejection.client == Client::default() => {
            since_s <= CALL_S
        }
        Entry::Arrival(arrival) if seen.context.mta == Mta::Exim && arrival.client.is_none() => since_s <= CALL_S,
        _ => false,
    }
}

/// True for a line of a mail that may go from one host of the site to another: the other one's log decides.
fn may_be_of_two_hosts(seen: &Seen<'_, '_>, own_name: &[u8]) -> bool {
    match seen.entry {
        Entry::Delivery(delivery) => {
            delivery.next.is_some() && is_of_site(own_name, delivery.relay_host, delivery.relay_ip)
        }
        Entry::Arrival(arrival) => {
            arrival.sasl_username.is_none()
                && arrival.client.is_some_and(|client| is_of_site(own_name, client.name, client.ip))
        }
        _ => false,
    }
}

/// True for what is found by the process that Exim was called as.
const fn is_of_call(entry: &Entry<'_>) -> bool {
    matches!(entry, Entry::Arrival(_) | Entry::Invoked { .. } | Entry::Rejection(_) | Entry::AuthFailure(_))
}

fn is_refusal_by_exim(seen: &Seen<'_, '_>) -> bool {
    seen.context.mta == Mta::Exim
        && seen.context.is_syslog
        && seen.context.pid.is_some()
        && matches!(seen.entry, Entry::Rejection(_) | Entry::AuthFailure(_))
}
