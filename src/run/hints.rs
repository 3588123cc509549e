//! Which settings of the mail server would make its log say more.

use crate::correlate::Context;
use crate::mail::status::Mta;
use crate::parse::Entry;

/// What was seen of a log that tells how it is set up.
#[derive(Debug, Default)]
pub struct LogHints {
    /// Arrivals in Postfix's queue, and those with a short id.
    postfix: u64,
    short_ids: u64,
    /// Lines of Exim, and those without a process id.
    exim: u64,
    without_pid: u64,
    /// Exim's lines with a client, and those without the client's port.
    clients: u64,
    without_port: u64,
    /// Messages that local users handed to Exim, and calls with their directory.
    local: u64,
    calls: u64,
}

impl LogHints {
    pub fn saw(&mut self, context: &Context, entry: &Entry<'_>) {
        let is_exim = context.mta == Mta::Exim;
        if is_exim {
            self.exim += 1;
            self.without_pid += u64::from(context.pid.is_none());
        }
        match entry {
            Entry::Arrival(arrival) if is_exim => {
                if let Some(client) = arrival.client {
                    self.clients += 1;
                    self.without_port += u64::from(client.port.is_none());
                } else {
                    self.local += u64::from(arrival.local_user.is_some());
                }
            }
            Entry::Arrival(arrival) => {
                self.postfix += 1;
                // Short ids are all hexadecimal (`mail_queue.h`).
                let is_hex = arrival.queue_id.as_bytes().iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
                self.short_ids += u64::from(is_hex);
            }
            Entry::Invoked { .. } => self.calls += 1,
            _ => {}
        }
    }

    /// What to set, and what for.
    pub fn advice(&self) -> Vec<&'static str> {
        let mut advice = Vec::new();
        if self.short_ids > 0 && self.short_ids * 2 > self.postfix {
            advice.push(
                "Postfix: enable_long_queue_ids = yes, or a queue id may be used again within hours (postconf -e, postfix reload).",
            );
        }
        if self.without_pid > 0 && self.without_pid * 2 > self.exim {
            advice.push("Exim: log_selector = +pid, or refusals in one session cannot be told from another's.");
        }
        if self.without_port > 0 && self.without_port * 2 > self.clients {
            advice.push("Exim: log_selector = +incoming_port, to tell the clients behind one address apart.");
        }
        if self.local > 0 && self.calls == 0 {
            advice.push("Exim: log_selector = +arguments, to know the directory of the script that handed mail in.");
        }
        advice
    }
}
