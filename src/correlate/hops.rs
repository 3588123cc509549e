//! One mail in several queue entries: content filters, forwards, requeued mail. The later entry gets the identity of
//! the first, and the earlier one's recipients are handed on, not delivered.
//!
//! Links, surest first: `orig_queue_id=` and `orig_id=`; the id that a response names (`queued as`, `forwarded as`,
//! `id=`); the same message id, for filters that are pipes or answer without an id.

use serde::{Deserialize, Serialize};

use super::queue::OpenMessage;
use super::{Context, Correlator, Host, HostId, Octets, Origin, is_own_network};
use crate::mail::address;
use crate::mail::queue_id::QueueId;
use crate::mail::time::Timestamp;
use crate::parse::Delivery;

/// The second hop's first line is at most this much older than the first hop's answer that names it.
const HOP_S: i64 = 3_600;

/// The second hop's first line comes at most this long after the answer that names it.
const AHEAD_S: i64 = 60;

/// A filter that names no next id hands the mail back within this time.
const FILTER_S: i64 = 30;

/// Entries and deliveries with one message id that are kept in mind at one time.
pub const OF_ONE_ID: usize = 32;

/// A delivery to a filter whose next entry has not been seen yet.
#[derive(Serialize, Deserialize)]
pub struct Awaited {
    pub at: Timestamp,
    /// The process that ran the filter.
    pub pid: Option<u32>,
    pub parent: QueueId,
    pub recipient: usize,
}

/// A hop whose second entry has not been seen yet.
#[derive(Serialize, Deserialize)]
pub struct PendingLink {
    pub at: Timestamp,
    origin: Origin,
    /// The entry before, and its recipient that went on; `None` for a before-queue filter.
    parent: Option<(QueueId, usize)>,
}

impl Correlator {
    /// `delivery` says that the copy is queued as `next`: on this host, or on another whose log is here too.
    pub(super) fn link_delivery(&mut self, context: Context, delivery: &Delivery<'_>, recipient: usize, next: QueueId) {
        let here = context.host;
        let child_host = if self.continues(here, context, delivery, next) {
            Some(here)
        } else {
            self.named_host(here, delivery)
                .filter(|host| *host != here && self.continues(*host, context, delivery, next))
        };
        let Some(parent) = self.hosts.get_mut(here.0 as usize) else { return };
        let Some(message) = parent.messages.get_mut(&delivery.queue_id) else { return };
        let origin = message.origin().clone();
        match child_host {
            Some(child_host) => {
                let known = message.known_of(recipient);
                message.handed_on(recipient);
                if child_host == here {
                    parent.adopt(delivery.queue_id, next, origin);
                    if let (Some(known), Some(child)) = (known, parent.messages.get_mut(&next)) {
                        child.learn(known);
                    }
                } else if let Some(child) =
                    self.hosts.get_mut(child_host.0 as usize).and_then(|h| h.messages.get_mut(&next))
                {
                    child.inherited = Some(origin);
                    self.linked.push((child_host, next));
                }
            }
            None if delivery.relay_ip.is_empty() || is_own_network(delivery.relay_ip) => {
                let parent_recipient = Some((delivery.queue_id, recipient));
                parent.announced.push(next);
                parent.links.insert(next, PendingLink { at: context.at, origin, parent: parent_recipient });
            }
            None => {}
        }
    }

    /// True when `next` on `host` is the same mail as `delivery`'s, one hop on; a child that has its origin already is
    /// the same mail for a further recipient. A remote server may answer with any id it likes: on this host only an
    /// answer from its own network counts.
    fn continues(&self, host: HostId, context: Context, delivery: &Delivery<'_>, next: QueueId) -> bool {
        let message = |host: HostId, id| self.hosts.get(host.0 as usize).and_then(|h: &Host| h.messages.get(&id));
        let (Some(parent), Some(child)) = (message(context.host, delivery.queue_id), message(host, next)) else {
            return false;
        };
        if next == delivery.queue_id || context.at.seconds_since(child.first_seen()) > HOP_S {
            return false;
        }
        let is_near = delivery.relay_ip.is_empty() || is_own_network(delivery.relay_ip);
        let is_same_id = parent.message_id_hash().is_some() && parent.message_id_hash() == child.message_id_hash();
        let is_known = child.inherited.as_ref() == Some(parent.origin());
        match host == context.host {
            true => is_near && (is_known || child.may_continue()),
            false => {
                let name = self.hosts.get(host.0 as usize).map_or(&b""[..], |h| &h.name);
                let is_near = child.client().is_some_and(|client| is_of_site(name, &client.name, &client.ip));
                is_same_id
                    && is_near
                    && (is_known || (child.inherited.is_none() && child.origin().sasl_username.is_none()))
            }
        }
    }

    /// The host of our logs that a delivery's relay is: by its whole name, or in our own network by the first label. A
    /// stranger's server may be called anything.
    fn named_host(&self, here: HostId, delivery: &Delivery<'_>) -> Option<HostId> {
        let relay = delivery.relay_host;
        let own_name = self.hosts.get(here.0 as usize).map(|host| &*host.name)?;
        if self.hosts.len() < 2 || !is_of_site(own_name, relay, delivery.relay_ip) {
            return None;
        }
        let label = relay.split(|b| *b == b'.').next().filter(|_| is_own_network(delivery.relay_ip));
        self.by_name.get(relay).or_else(|| self.by_name.get(label?)).copied()
    }
}

/// True for a machine that may be another host of the site that `own_name` belongs to: in the own network, and not this
/// machine itself, or of the same organisation by its name.
pub fn is_of_site(own_name: &[u8], name: &[u8], ip: &[u8]) -> bool {
    let is_neighbour = is_own_network(ip) && !super::is_loopback(ip);
    let has_name = |name: &[u8]| name.contains(&b'.') && address::ip(name).is_none();
    let organisation = |name| Octets::lowered(address::organisation(name));
    !name.is_empty()
        && (is_neighbour || (has_name(own_name) && has_name(name) && organisation(own_name) == organisation(name)))
}

impl Host {
    /// `child` says itself that it continues `parent`.
    pub(super) fn link(&mut self, parent: QueueId, child: QueueId) {
        if parent == child {
            return;
        }
        let Some(before) = self.messages.get_mut(&parent) else { return };
        let origin = before.origin().clone();
        before.continued();
        self.adopt(parent, child, origin);
    }

    /// Makes `child` a later hop of `parent`'s mail.
    fn adopt(&mut self, parent: QueueId, child: QueueId, origin: Origin) {
        self.linked.extend([parent, child]);
        let Some(message) = self.messages.get_mut(&child) else { return };
        let is_new = message.inherited.replace(origin).is_none();
        message.parent = Some(parent);
        if let Some(parent) = self.messages.get_mut(&parent).filter(|_| is_new) {
            parent.children.push(child);
        }
    }

    /// What came in over a session is queued as `child`, behind a before-queue filter.
    pub(super) fn link_origin(&mut self, context: Context, child: QueueId, origin: Origin) {
        match self.messages.get_mut(&child) {
            Some(message) => message.adopt(origin),
            None => {
                self.announced.push(child);
                self.links.insert(child, PendingLink { at: context.at, origin, parent: None });
            }
        }
    }

    /// A new entry may be the second hop that a line before it announced.
    pub(super) fn take_pending_link(&mut self, context: Context, id: QueueId) {
        let Some(link) = self.links.remove(&id) else { return };
        if context.at.seconds_since(link.at) > AHEAD_S {
            return;
        }
        let Some((parent, recipient)) = link.parent else {
            if let Some(message) = self.messages.get_mut(&id) {
                message.adopt(link.origin);
            }
            return;
        };
        if !self.messages.get(&id).is_some_and(|m| m.may_continue()) {
            return;
        }
        self.adopt(parent, id, link.origin);
        let known = self.messages.get_mut(&parent).and_then(|parent| {
            parent.handed_on(recipient);
            parent.known_of(recipient)
        });
        if let (Some(known), Some(child)) = (known, self.messages.get_mut(&id)) {
            child.learn(known);
        }
    }

    /// `parent` was delivered to a filter that names no next id: the latest local entry with the same message id and
    /// sender, that came in while the filter ran, is the next hop. Where there is none yet, one is awaited.
    ///
    /// A local user who knows the message id could hand in mail under it and be taken for the filter: so the envelope
    /// sender must be the same, the time must fit, and each delivery to the filter comes back once at most.
    pub(super) fn link_by_message_id(&mut self, context: Context, parent: QueueId, recipient: usize) {
        let Some(before) = self.messages.get(&parent) else { return };
        let Some(hash) = before.message_id_hash() else { return };
        let (origin, first_seen, sender) = (before.origin().clone(), before.first_seen(), before.sender().cloned());
        let has_come_back = before.children.len() >= before.filter_runs();
        // A filter hands the mail back while it runs; whoever uses the message id later is somebody else.
        let may_be_next = |child: &OpenMessage| {
            child.is_local()
                && child.may_continue()
                && !has_come_back
                && (child.sender().is_none() || sender.is_none() || child.sender() == sender.as_ref())
                && child.first_seen() >= first_seen
                && context.at.seconds_since(child.first_seen()).abs() <= FILTER_S
        };
        let is_known = |child: &OpenMessage| child.inherited.as_ref() == Some(&origin);
        let known = self.by_message_id.get(&hash).map_or(&[][..], |ids| ids);
        let find = |wanted: &dyn Fn(&OpenMessage) -> bool| {
            let is_wanted =
                |id: &&QueueId| **id != parent && self.messages.get(*id).is_some_and(|message| wanted(message));
            known.iter().rev().find(is_wanted).copied()
        };
        // One that nothing continues yet first: a filter that runs once per recipient hands back one entry for each.
        let Some(child) = find(&may_be_next).or_else(|| find(&is_known)) else {
            let runs = self.awaited.entry(hash).or_default();
            if runs.len() < OF_ONE_ID {
                runs.push(Awaited { at: context.at, pid: context.pid, parent, recipient });
            }
            return;
        };
        self.adopt(parent, child, origin);
        if let Some(child) = self.messages.get_mut(&child) {
            child.guessed_from.push(recipient);
        }
        if let Some(before) = self.messages.get_mut(&parent) {
            before.handed_on(recipient);
        }
    }

    /// An entry with a message id that deliveries to a filter wait for: it is what the first of their runs handed back, for
    /// all recipients of that run. The others wait on.
    pub(super) fn take_awaited(&mut self, context: Context, hash: u64) {
        let Some(runs) = self.awaited.remove(&hash) else { return };
        self.linked.extend(runs.iter().map(|run| run.parent));
        let Some(first) = runs.first().map(|run| (run.pid, run.at)) else { return };
        let (now, later): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| (run.pid, run.at.seconds()) == (first.0, first.1.seconds()));
        for Awaited { at, parent, recipient, .. } in now {
            self.link_by_message_id(Context { at, ..context }, parent, recipient);
        }
        if !later.is_empty() {
            self.awaited.entry(hash).or_default().extend(later);
        }
    }

    /// The sender of `child` is known now: where the message id alone made it a later hop, and its sender is another than
    /// that hop's, it is a mail of its own.
    pub(super) fn verify_hop(&mut self, child: QueueId) {
        let Some(message) = self.messages.get_mut(&child).filter(|m| !m.guessed_from.is_empty()) else { return };
        let recipients = std::mem::take(&mut message.guessed_from);
        let (sender, Some(parent)) = (message.sender().cloned(), message.parent) else { return };
        let Some(before) =
            self.messages.get_mut(&parent).filter(|p| p.sender().is_some() && p.sender() != sender.as_ref())
        else {
            return;
        };
        before.children.retain(|id| *id != child);
        for recipient in recipients {
            before.taken_back(recipient);
        }
        if let Some(message) = self.messages.get_mut(&child) {
            (message.inherited, message.parent) = (None, None);
        }
    }
}
