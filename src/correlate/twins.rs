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
    pub fn is_second(&mut self, context: Context, host: &[u8], entry: &Entry<'_>) -> bool {
        let (Mta::Exim, Some(pid), false) = (context.mta, context.pid, host.is_empty()) else { return false };
        self.close_rows(context.at);
        let hash = self.hash(entry);
        self.order.push_back((context.at, pid));
        let before = self.rows.get_mut(&pid).filter(|row| row.hash == hash);
        if let Some(row) = before {
            row.at = context.at;
            row.len = row.len.saturating_add(1);
            let is_second = row.is_open && self.evidence >= 0;
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
        let is_even = row.len.is_multiple_of(2);
        self.evidence = (self.evidence + if is_even { 1 } else { -1 }).clamp(-SURE, SURE);
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
