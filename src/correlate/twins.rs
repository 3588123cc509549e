//! Exim by syslog writes what goes into its reject log a second time, unless `syslog_duplication` is off. Whether a host
//! does so shows at its first refusal: its twin follows at once, from the same process, or it does not.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::Context;
use crate::mail::status::Mta;
use crate::parse::Entry;

#[derive(Default)]
pub struct Twins {
    /// `None` until the first refusal is followed by something.
    writes_twice: Option<bool>,
    /// Process and hash of the refusal before.
    last: Option<(u32, u64)>,
    hasher: DefaultHashBuilder,
}

impl Twins {
    /// True when `entry`, a refusal or failed login, is the second writing of the one before.
    pub fn is_second(&mut self, context: Context, host: &[u8], entry: &Entry<'_>) -> bool {
        let (Mta::Exim, Some(pid), false) = (context.mta, context.pid, host.is_empty()) else { return false };
        let this = (pid, self.hash(entry));
        let is_twin = self.last == Some(this);
        if self.last.is_some() {
            self.writes_twice.get_or_insert(is_twin);
        }
        let is_second = is_twin && self.writes_twice == Some(true);
        self.last = (!is_second).then_some(this);
        is_second
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
