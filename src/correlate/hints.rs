//! Short memories of one host: what a line says that a later line, of another process or program, leaves out. Each is
//! bounded in time and number.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Context, Octets, Place};
use crate::mail::time::Timestamp;

/// Hints of one kind that are kept at one time.
const KEPT: usize = 1_000;
/// Dovecot answers a wrong password 2 seconds after it has logged it (`auth_failure_delay`).
const LOGIN_S: i64 = 10;
/// postscreen waits for its lists (`postscreen_greet_wait`), then for the client's RCPT.
const LISTING_S: i64 = 300;
/// Exim's arrival follows its call at once where the log has no process ids.
const CALL_S: i64 = 2;
/// A call that takes mail in for longer is known by its process.
const SESSION_S: i64 = 600;
/// Longest text kept: a path's (`PATH_MAX`).
const TEXT_BYTES: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct Hint {
    at: Timestamp,
    pid: Option<u32>,
    /// What a later line is compared with: a client's address.
    about: Octets,
    says: Octets,
    /// The line that gave it, in this run.
    #[serde(skip)]
    place: Place,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Hints {
    /// Logins that Dovecot refused, by client address.
    logins: VecDeque<Hint>,
    /// DNS lists that dnsblog found, by client address.
    listings: VecDeque<Hint>,
    /// Directories that Exim was called from.
    calls: VecDeque<Hint>,
    /// Lines whose hints were taken since this was emptied.
    #[serde(skip)]
    pub taken: Vec<Place>,
}

impl Hints {
    pub fn login_refused(&mut self, context: Context, ip: &[u8], login: &[u8]) {
        push(&mut self.logins, context, LOGIN_S, ip, login);
    }

    /// The login that this client tried just now. Each is told once.
    pub fn login_of(&mut self, context: Context, ip: &[u8]) -> Option<Octets> {
        let is_of = |hint: &Hint| *hint.about == *ip && context.at.seconds_since(hint.at).abs() <= LOGIN_S;
        let at = self.logins.iter().position(is_of)?;
        let hint = self.logins.remove(at)?;
        self.taken.push(hint.place);
        Some(hint.says)
    }

    pub fn listed(&mut self, context: Context, ip: &[u8], list: &[u8]) {
        push(&mut self.listings, context, LISTING_S, ip, list);
    }

    /// The first list that named this client lately.
    pub fn list_of(&mut self, context: Context, ip: &[u8]) -> Option<Octets> {
        let is_of = |hint: &&Hint| *hint.about == *ip && context.at.seconds_since(hint.at).abs() <= LISTING_S;
        let hint = self.listings.iter().find(is_of)?;
        self.taken.push(hint.place);
        Some(hint.says.clone())
    }

    pub fn called(&mut self, context: Context, directory: &[u8]) {
        push(&mut self.calls, context, SESSION_S, b"", directory);
    }

    /// Where Exim was called from to take in what `user` hands in now: by the same process where the log has process
    /// ids, else by the oldest call of the last moments, one from the user's own home first.
    pub fn directory_of(&mut self, context: Context, user: &[u8]) -> Option<Octets> {
        let calls = &mut self.calls;
        if let Some(pid) = context.pid
            && let Some(known) =
                calls.iter().rev().find(|call| call.pid == Some(pid) && context.at.seconds_since(call.at) <= SESSION_S)
        {
            self.taken.push(known.place);
            return Some(known.says.clone());
        }
        let is_near = |call: &Hint| (0..=CALL_S).contains(&context.at.seconds_since(call.at));
        let is_users = |call: &Hint| call.says.split(|b| *b == b'/').any(|name| name == user);
        let at =
            calls.iter().position(|call| is_near(call) && is_users(call)).or_else(|| calls.iter().position(is_near))?;
        let call = calls.remove(at)?;
        self.taken.push(call.place);
        Some(call.says)
    }
}

fn push(hints: &mut VecDeque<Hint>, context: Context, keep_s: i64, about: &[u8], says: &[u8]) {
    while hints.front().is_some_and(|old| hints.len() >= KEPT || context.at.seconds_since(old.at) > keep_s) {
        hints.pop_front();
    }
    let cut = |text: &[u8]| Octets::from(text.get(..TEXT_BYTES).unwrap_or(text));
    hints.push_back(Hint {
        at: context.at,
        pid: context.pid,
        about: cut(about),
        says: cut(says),
        place: context.place,
    });
}
