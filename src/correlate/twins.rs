//! Exim by syslog writes what goes into its reject log a second time, unless `syslog_duplication` is off. The twin follows
//! at once, from the same process. A client may also be refused twice in the same words: whether a host writes twice
//! shows in how often its processes say a thing an even number of times in a row.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::Context;
use crate::mail::status::Mta;
use crate::mail::time::Timestamp;
use crate::parse::Entry;

/// A twin is this much later at most.
const TWIN_S: i64 = 1;
/// How far the evidence counts: so many odd rows in a row turn a host that wrote twice into one that does not.
const SURE: i8 = 3;
/// Lines looked at together; a log whose clock stands still is not worth more memory.
const TOGETHER: usize = 10_000;

#[derive(Default, Serialize, Deserialize)]
pub struct Twins {
    /// Even rows less odd ones of late; twins are looked for while it is not negative.
    evidence: i8,
    /// The most that it may be, where what was before this log is not known; `evidence` is the least then.
    #[serde(skip)]
    at_most: Option<i8>,
    /// What it is known to be for the next entry, and what it was for the last one.
    #[serde(skip)]
    pub given: Option<i8>,
    #[serde(skip)]
    pub used: Option<i8>,
    /// The row of equal lines that each process writes now.
    rows: HashMap<u32, Row>,
    /// Processes in the order of their last lines.
    order: VecDeque<(Timestamp, u32)>,
    /// The same in every run: rows are carried over from one to the next.
    #[serde(skip)]
    hasher: Xxh3DefaultBuilder,
}

#[derive(Serialize, Deserialize)]
struct Row {
    at: Timestamp,
    hash: u64,
    len: u32,
    /// The line before was counted: an equal one may be its twin.
    is_open: bool,
}

impl Twins {
    /// True when `entry`, a refusal or failed login, is the second writing of the one before.
    pub fn is_second(&mut self, context: Context, entry: &Entry<'_>) -> bool {
        let (Mta::Exim, Some(pid), true) = (context.mta, context.pid, context.is_syslog) else { return false };
        self.close_rows(context.at);
        self.used = self.given.take().or(self.evidence());
        let evidence = self.used.unwrap_or(self.evidence);
        let hash = self.hash(entry);
        self.order.push_back((context.at, pid));
        let before = self.rows.get_mut(&pid).filter(|row| row.hash == hash);
        if let Some(row) = before {
            row.at = context.at;
            row.len = row.len.saturating_add(1);
            let is_second = row.is_open && evidence >= 0;
            row.is_open = !is_second;
            return is_second;
        }
        if let Some(old) = self.rows.insert(pid, Row { at: context.at, hash, len: 1, is_open: true }) {
            self.weigh(&old);
        }
        false
    }

    /// Ends the rows to which nothing can be added any more.
    fn close_rows(&mut self, now: Timestamp) {
        while let Some(&(at, pid)) = self.order.front() {
            if now.seconds_since(at) <= TWIN_S && self.order.len() <= TOGETHER {
                break;
            }
            self.order.pop_front();
            if self.rows.get(&pid).is_some_and(|row| row.at == at)
                && let Some(row) = self.rows.remove(&pid)
            {
                self.weigh(&row);
            }
        }
    }

    fn weigh(&mut self, row: &Row) {
        let more = if row.len.is_multiple_of(2) { 1 } else { -1 };
        self.evidence = (self.evidence + more).clamp(-SURE, SURE);
        let at_most = self.at_most.map(|most| (most + more).clamp(-SURE, SURE));
        self.at_most = at_most.filter(|most| *most != self.evidence);
    }

    /// The log begins here, and not the host: nothing is known of the evidence.
    pub const fn forget(&mut self) {
        (self.evidence, self.at_most) = (-SURE, Some(SURE));
    }

    /// The evidence, where it is known.
    pub fn evidence(&self) -> Option<i8> {
        self.at_most.is_none().then_some(self.evidence)
    }

    /// What it is known to be.
    pub const fn set_evidence(&mut self, evidence: i8) {
        (self.evidence, self.at_most) = (evidence, None);
    }

    fn hash(&self, entry: &Entry<'_>) -> u64 {
        match entry {
            Entry::Rejection(r) => self.hasher.hash_one((
                r.client.ip,
                r.client.helo,
                r.client.port,
                r.sender,
                r.recipient,
                r.response,
                r.queue_id,
                r.stage,
            )),
            Entry::AuthFailure(f) => {
                self.hasher.hash_one((f.client.ip, f.client.helo, f.client.port, f.sasl_username, f.response))
            }
            _ => 0,
        }
    }
}
