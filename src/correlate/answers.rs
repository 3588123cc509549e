//! What servers answered before a delivery's outcome: an earlier MX put the mail off, the next one decided. Such answers
//! are no attempts of their own; they are shown with the attempt that follows.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Octets};
use crate::mail::address;
use crate::mail::queue_id::QueueId;
use crate::mail::status::Mta;
use crate::mail::time::Timestamp;
use crate::parse::{Delivery, Interim, Outcome};

/// Answers shown with one attempt, and the longest text of one, in bytes.
const ANSWERS: usize = 10;
const ANSWER_BYTES: usize = 500;
/// An outcome follows within this time: Postfix's longest single wait is 10 minutes (`smtp_data_done_timeout`).
const FRESH_S: i64 = 1_200;
/// Outcomes of one delivery's recipients are logged within this time; what comes later is the next try.
const TOGETHER_S: i64 = 60;
/// Deliveries whose outcome is awaited at one time; more means that outcomes are not in this log.
const AWAITED: usize = 4_096;

/// Postfix's smtp works on one delivery at a time, so its process tells whose answers these are. Exim's answers name the
/// message, and so do Postfix's where the log has no process ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Key {
    Process(u32),
    Entry(QueueId),
}

#[derive(Serialize, Deserialize)]
struct Pending {
    at: Timestamp,
    answers: Vec<Answer>,
    /// The message whose outcome has taken them, and when: further recipients of the same delivery take them too.
    taken_by: Option<(QueueId, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    queue_id: Option<QueueId>,
    ip: Octets,
    recipient: Option<Octets>,
    /// As the outcome would repeat it.
    response: Octets,
    /// `mx.example[192.0.2.8]:25: 451 4.7.1 later`.
    shown: Octets,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Answers {
    pending: HashMap<Key, Pending>,
}

impl Answers {
    pub fn add(&mut self, context: Context, interim: &Interim<'_>) {
        let key = match (context.mta, context.pid, interim.queue_id) {
            (Mta::Postfix, Some(pid), _) => Key::Process(pid),
            (_, _, Some(id)) => Key::Entry(id),
            _ => return,
        };
        if self.pending.len() >= AWAITED && !self.pending.contains_key(&key) {
            self.pending.retain(|_, pending| context.at.seconds_since(pending.at) <= FRESH_S / 4);
            if self.pending.len() >= AWAITED {
                self.pending.clear();
            }
        }
        let new = || Pending { at: context.at, answers: Vec::new(), taken_by: None };
        let pending = self.pending.entry(key).or_insert_with(new);
        if pending.taken_by.is_some() || context.at.seconds_since(pending.at) > FRESH_S {
            *pending = new();
        }
        pending.at = context.at;
        if pending.answers.len() < ANSWERS {
            pending.answers.push(Answer {
                queue_id: interim.queue_id,
                ip: interim.relay_ip.into(),
                recipient: interim.recipient.map(Octets::from),
                response: cut(interim.response).into(),
                shown: shown(interim),
            });
        }
    }

    /// The answers in front of this outcome; not those that it repeats itself.
    pub fn before(&mut self, context: Context, delivery: &Delivery<'_>) -> Box<[Octets]> {
        if self.pending.is_empty()
            || (delivery.outcome == Outcome::Delivered && !delivery.is_remote && !is_smtp(delivery))
        {
            return Box::default();
        }
        let key = match (context.mta, context.pid) {
            (Mta::Postfix, Some(pid)) => Key::Process(pid),
            _ => Key::Entry(delivery.queue_id),
        };
        let Some(pending) = self.pending.get_mut(&key) else { return Box::default() };
        let is_other = pending
            .taken_by
            .is_some_and(|(id, at)| id != delivery.queue_id || context.at.seconds_since(at) > TOGETHER_S);
        if is_other || context.at.seconds_since(pending.at) > FRESH_S {
            self.pending.remove(&key);
            return Box::default();
        }
        pending.taken_by.get_or_insert((delivery.queue_id, context.at));
        let is_of = |answer: &&Answer| {
            answer.queue_id.is_none_or(|id| id == delivery.queue_id)
                && answer.recipient.as_ref().is_none_or(|recipient| {
                    recipient.eq_ignore_ascii_case(delivery.recipient)
                        || recipient.eq_ignore_ascii_case(delivery.orig_recipient)
                })
        };
        let mut answers: Vec<_> = pending.answers.iter().filter(is_of).collect();
        if delivery.relay_ip.is_empty() {
            // The outcome names no server: it repeats what the last one said.
            _ = answers.pop_if(|answer| is_repeated(answer, delivery));
        } else {
            answers.retain(|answer| *answer.ip != *delivery.relay_ip || !is_repeated(answer, delivery));
        }
        answers.into_iter().map(|answer| answer.shown.clone()).collect()
    }

    pub fn sweep(&mut self, now: Timestamp) {
        self.pending.retain(|_, pending| now.seconds_since(pending.at) <= FRESH_S);
    }
}

fn is_repeated(answer: &Answer, delivery: &Delivery<'_>) -> bool {
    !delivery.response.is_empty()
        && (memchr::memmem::find(delivery.response, &answer.response).is_some()
            || answer.response.starts_with(delivery.response))
}

/// True where a server's answer can be about this recipient, in a log that does not say about whom it is (Exim): its name
/// ends like the recipient's domain, or like the server's that took the mail.
pub fn may_concern(shown: &[u8], recipient: &[u8], relay_host: &[u8]) -> bool {
    let end = shown.iter().position(|b| matches!(b, b'[' | b':')).unwrap_or(shown.len());
    let host = last_labels(shown.get(..end).unwrap_or_default());
    host == last_labels(address::split(recipient).1) || host == last_labels(relay_host)
}

/// The last two labels of a name.
fn last_labels(name: &[u8]) -> &[u8] {
    let Some(last) = memchr::memrchr(b'.', name) else { return name };
    let before = name.get(..last).and_then(|front| memchr::memrchr(b'.', front));
    before.and_then(|at| name.get(at + 1..)).unwrap_or(name)
}

fn is_smtp(delivery: &Delivery<'_>) -> bool {
    matches!(delivery.service, b"smtp" | b"lmtp")
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..ANSWER_BYTES).unwrap_or(text)
}

fn shown(interim: &Interim<'_>) -> Octets {
    let mut text = Vec::with_capacity(interim.relay_host.len() + interim.answer.len() + 60);
    text.extend_from_slice(&interim.relay_host.to_ascii_lowercase());
    if !interim.relay_ip.is_empty() {
        text.push(b'[');
        text.extend_from_slice(interim.relay_ip);
        text.push(b']');
    }
    if let Some(port) = interim.relay_port {
        text.extend_from_slice(format!(":{port}").as_bytes());
    }
    if !text.is_empty() {
        text.extend_from_slice(b": ");
    }
    text.extend_from_slice(interim.answer);
    cut(&text).into()
}
