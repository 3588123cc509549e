//! Writes what happens as Exim (Debian's, 4.96 or 4.98) logs it.

use std::{collections::BTreeSet, fmt::Write as _, io};

use crate::{
    model::{
        Act, Answer, Counts, DAY, EPOCH, Fate, HOUR, Job, Ledger, MINUTE, Mail, Pickup, Rcpt, Refusal, SECOND, Session,
        Stage, Who,
    },
    postfix::{domain, list_link},
    rng::{BASE62, Rng},
    sink::Sink,
};

const MS: u64 = 1000;
const QUEUE_RUN: u64 = 30 * MINUTE;
const CIPHER: &str = "X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no";

pub struct Exim {
    pub sink: Sink,
    pub ledger: Ledger,
    /// Ids of 4.97 and later: 23 characters.
    long_ids: bool,
    /// `log_selector` of a hosting server: arguments, pid, subject, recipients, senders, ports. Else Debian's own.
    rich: bool,
    hosted: BTreeSet<String>,
}

struct Owner<'a> {
    identity: Option<(&'static str, &'a str)>,
    incident: Option<usize>,
}

impl Exim {
    pub fn new(sink: Sink, long_ids: bool, rich: bool, hosted: BTreeSet<String>) -> Self {
        Exim { sink, ledger: Ledger::default(), long_ids, rich, hosted }
    }

    pub fn run(&mut self, job: &Job) -> io::Result<()> {
        self.sink.flush_until(job.at)?;
        let mut rng = Rng::of(&[job.seed]);
        match &job.act {
            Act::Session(session) => self.session(job, session, &mut rng),
            Act::Pickup(pickup) => self.pickup(job, pickup, &mut rng),
        }
        Ok(())
    }

    /// The starts and ends of the queue runs of one day.
    pub fn queue_runs(&mut self, day: u64) {
        for run in 0..48 {
            let at = day * DAY + run * QUEUE_RUN;
            let pid = 3000 + (day * 48 + run) * 37 % 60_000;
            self.say(at, pid, format_args!("Start queue run: pid={pid}"));
            self.say(at + 7 * SECOND, pid, format_args!("End queue run: pid={pid}"));
        }
    }

    fn say(&mut self, at: u64, pid: u64, text: std::fmt::Arguments) {
        let mut line = self.sink.buffer();
        let written = if self.rich { write!(line, "[{pid}] {text}") } else { write!(line, "{text}") };
        if written.is_ok() {
            self.sink.line(at, line);
        }
    }

    fn session(&mut self, job: &Job, session: &Session, rng: &mut Rng) {
        let client = &session.client;
        let port = if self.rich { format!(":{}", rng.range(32_768, 60_999)) } else { String::new() };
        let name = match &client.name {
            Some(name) if *name == client.helo => name.clone(),
            Some(name) => format!("{name} ({})", client.helo),
            None => format!("({})", client.helo),
        };
        let peer = format!("{name} [{}]{port}", client.ip);
        let pid = rng.range(4000, 900_000);
        let mut at = job.at;
        if client.name.is_none() {
            self.say(at, pid, format_args!("no host name found for IP address {}", client.ip));
        }
        let (plain_name, login_name) =
            if self.rich { ("dovecot_plain", "dovecot_login") } else { ("plain_server", "login_server") };
        for login in &session.failed {
            at += 800 * MS + rng.below(2000) * MS;
            let method = if rng.chance(0.7) { login_name } else { plain_name };
            self.say(
                at,
                pid,
                format_args!(
                    "{method} authenticator failed for {peer}: 535 Incorrect authentication data (set_id={login})"
                ),
            );
            self.done(job.incident, at, |done| done.attempts += 1);
        }
        if session.mails.is_empty() && session.failed.is_empty() {
            self.say(at + 2 * SECOND, pid, format_args!("unexpected disconnection while reading SMTP command from {peer} (error: Connection reset by peer) D=2s"));
            return;
        }
        let tls = matches!(session.who, Who::Login { .. }) || (matches!(session.who, Who::Stranger) && rng.chance(0.6));
        for mail in &session.mails {
            at += mail.gap + 60 * MS + rng.below(60) * MS;
            let identity = match &session.who {
                Who::Login { login, .. } => Some(("sasl", login.as_str())),
                Who::Relay => Some(("client", client.ip.as_str())),
                Who::Stranger => None,
            };
            let owner = Owner { identity, incident: job.incident };
            let auth = match &session.who {
                Who::Login { login, plain } => format!(" A={}:{login}", if *plain { plain_name } else { login_name }),
                _ => String::new(),
            };
            let accepted: Vec<&Rcpt> =
                mail.rcpts.iter().filter(|rcpt| !matches!(rcpt.fate, Fate::Refused(_))).collect();
            for rcpt in &mail.rcpts {
                let Fate::Refused(refusal) = &rcpt.fate else { continue };
                at += 5 * MS;
                let (temporary, reason) = refusal_text(refusal, &client.ip, &client.helo);
                let tls_part = if tls { format!(" {CIPHER}") } else { String::new() };
                if matches!(refusal, Refusal::SenderDomain) {
                    self.say(
                        at,
                        pid,
                        format_args!(
                            "H={peer}{tls_part} sender verify defer for <{}>: host lookup did not complete",
                            mail.from
                        ),
                    );
                }
                let word = if temporary { "temporarily rejected" } else { "rejected" };
                self.say(
                    at,
                    pid,
                    format_args!("H={peer}{tls_part} F=<{}>{auth} {word} RCPT <{}>: {reason}", mail.from, rcpt.to),
                );
                self.count(&owner, at, |counts| {
                    counts.tempfailed += u64::from(temporary);
                    counts.rejected += u64::from(!temporary);
                });
                self.done(job.incident, at, |done| done.attempts += 1);
            }
            if accepted.is_empty() {
                continue;
            }
            at += 50 * MS;
            let qid = self.id(at, rng);
            let proto = match (&session.who, tls) {
                (Who::Login { .. }, _) => format!("P=esmtpsa {CIPHER}{auth}"),
                (_, true) => format!("P=esmtps {CIPHER}"),
                (_, false) => "P=esmtp".to_owned(),
            };
            let from = if mail.from.is_empty() { "<>" } else { &mail.from };
            let id = format!("{}.{}@{}", rng.hex(8), rng.hex(6), client.helo.trim_matches(['[', ']']));
            let tail = self.arrival_tail(mail, &accepted);
            self.say(at, pid, format_args!("{qid} <= {from} H={peer} {proto} S={} id={id}{tail}", mail.size));
            self.queue(&owner, &qid, at, mail, &accepted, rng);
        }
    }

    /// Subject and recipients, where they are logged.
    fn arrival_tail(&self, mail: &Mail, rcpts: &[&Rcpt]) -> String {
        if !self.rich {
            return String::new();
        }
        let mut tail = format!(" T=\"{}\" for", mail.subject);
        let mut last = "";
        for rcpt in rcpts {
            let asked = rcpt.orig.as_deref().unwrap_or(&rcpt.to);
            if asked != last {
                tail.push(' ');
                tail.push_str(asked);
            }
            last = asked;
        }
        tail
    }

    fn pickup(&mut self, job: &Job, pickup: &Pickup, rng: &mut Rng) {
        let at = job.at;
        let pid = rng.range(4000, 900_000);
        if self.rich {
            self.say(at, pid, format_args!("cwd={} 3 args: /usr/sbin/sendmail -t -i", pickup.cwd));
        }
        let at = at + 20 * MS;
        let qid = self.id(at, rng);
        let mail = &pickup.mail;
        let from = if mail.from.is_empty() { "<>" } else { &mail.from };
        let rcpts: Vec<&Rcpt> = mail.rcpts.iter().collect();
        let tail = self.arrival_tail(mail, &rcpts);
        let id = format!("E{qid}@{}", if mail.from.is_empty() { "mail.example" } else { domain(&mail.from) });
        self.say(at, pid, format_args!("{qid} <= {from} U={} P=local S={} id={id}{tail}", pickup.user, mail.size));
        let owner = Owner { identity: Some(("uid", &pickup.user)), incident: job.incident };
        self.queue(&owner, &qid, at, mail, &rcpts, rng);
    }

    fn queue(&mut self, owner: &Owner, qid: &str, arrival: u64, mail: &Mail, rcpts: &[&Rcpt], rng: &mut Rng) {
        let n = rcpts.len() as u64;
        self.count(owner, arrival, |counts| {
            counts.messages += 1;
            counts.recipients += n;
        });
        self.done(owner.incident, arrival, |done| {
            done.messages += 1;
            done.recipients += n;
        });
        let mut pid = rng.range(4000, 900_000);
        let mut start = arrival + 30 * MS + rng.below(40) * MS;
        if self.rich {
            self.say(start, pid, format_args!("cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc {qid}"));
        }
        let mut open: Vec<&Rcpt> = rcpts.to_vec();
        let mut attempt = 0usize;
        let mut gap = 0u64;
        loop {
            if start >= self.sink.end {
                break;
            }
            let mut now = start + 20 * MS;
            let mut next = Vec::new();
            let mut bounced = 0usize;
            let mut last = "";
            let over_age = now - arrival > 4 * DAY;
            for rcpt in &open {
                let temporary = answer_of(rcpt, attempt).is_some_and(Answer::is_temporary);
                let (outcome, host) = self.attempt(qid, pid, &mut now, mail, rcpt, attempt, last, rng);
                last = host;
                if temporary && over_age {
                    now += MS;
                    self.say(now, pid, format_args!("{qid} ** {}: retry timeout exceeded", rcpt.to));
                    bounced += 1;
                    self.count(owner, now, |counts| {
                        counts.deferred -= 1;
                        counts.expired += 1;
                    });
                    continue;
                }
                let was_deferred = attempt > 0;
                match outcome {
                    Outcome::Deferred => {
                        self.count(owner, now, |counts| counts.deferred += u64::from(!was_deferred));
                        next.push(*rcpt);
                    }
                    Outcome::Delivered => self.count(owner, now, |counts| {
                        counts.delivered += 1;
                        counts.deferred -= u64::from(was_deferred);
                    }),
                    Outcome::Bounced => {
                        bounced += 1;
                        self.count(owner, now, |counts| {
                            counts.bounced += 1;
                            counts.deferred -= u64::from(was_deferred);
                        });
                    }
                }
            }
            if bounced > 0 && !mail.from.is_empty() {
                self.bounce(qid, now + 30 * MS, mail, rng);
            }
            if next.is_empty() {
                self.say(now + 60 * MS, pid, format_args!("{qid} Completed"));
                break;
            }
            open = next;
            attempt += 1;
            let age = now - arrival;
            gap = match age {
                0..7_200_000_000 => 15 * MINUTE,
                7_200_000_000..57_600_000_000 => (gap * 3 / 2).max(HOUR),
                _ => 6 * HOUR,
            };
            let due = now + gap;
            let mut run = (now / QUEUE_RUN + 1) * QUEUE_RUN + rng.below(5000) * MS;
            while run < due && run < self.sink.end {
                let run_pid = rng.range(4000, 900_000);
                for rcpt in &open {
                    match answer_of(rcpt, attempt - 1) {
                        Some(Answer::Said(Stage::Rcpt, _) | Answer::LookupFailed) => self.say(run, run_pid, format_args!("{qid} == {} routing defer (-52): retry time not reached", rcpt.to)),
                        _ => self.say(run, run_pid, format_args!("{qid} == {} R=dnslookup T=remote_smtp defer (-54): retry time not reached for any host for '{}'", rcpt.to, domain(&rcpt.to))),
                    }
                }
                run += QUEUE_RUN;
            }
            start = run;
            pid = rng.range(4000, 900_000);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one delivery line")]
    fn attempt<'r>(
        &mut self,
        qid: &str,
        pid: u64,
        now: &mut u64,
        mail: &Mail,
        rcpt: &'r Rcpt,
        attempt: usize,
        last: &str,
        rng: &mut Rng,
    ) -> (Outcome, &'r str) {
        let to = &rcpt.to;
        let from = if self.rich { format!(" F=<{}>", mail.from) } else { String::new() };
        let asked = rcpt.orig.as_deref().unwrap_or(to);
        match &rcpt.fate {
            Fate::Mailbox => {
                *now += 20 * MS;
                let local = to.split('@').next().unwrap_or(to);
                self.say(*now, pid, format_args!("{qid} => {local} <{asked}>{from} R=virtual_user T=dovecot_lmtp C=\"250 2.0.0 <{to}> {} Saved\"", rng.base62(22)));
                (Outcome::Delivered, "")
            }
            Fate::NoMailbox => {
                *now += 20 * MS;
                self.say(*now, pid, format_args!("{qid} ** {to}{from} R=virtual_user T=dovecot_lmtp: LMTP error after RCPT TO:<{to}>: 550 5.1.1 <{to}> User doesn't exist: {to}"));
                (Outcome::Bounced, "")
            }
            Fate::Program => {
                *now += 200 * MS;
                let list = to.split('@').next().unwrap_or("");
                self.say(*now, pid, format_args!("{qid} => |/usr/lib/mailman/mail/mailman post {list} <{asked}>{from} R=system_aliases T=address_pipe"));
                (Outcome::Delivered, "")
            }
            Fate::Refused(_) => (Outcome::Bounced, ""),
            Fate::Remote { host, ip, .. } => {
                let Some(answer) = answer_of(rcpt, attempt) else { return (Outcome::Bounced, "") };
                let shared = last == host.as_str();
                *now += if shared { MS } else { 250 * MS + rng.below(1400) * MS };
                let final_address = if rcpt.orig.is_some() { format!("{to} <{asked}>") } else { to.clone() };
                let outcome = match answer {
                    Answer::Sent(text) => {
                        let arrow = if shared { "->" } else { "=>" };
                        let text = text.replace('\n', "\\\\n").replace('"', "\\\"");
                        self.say(*now, pid, format_args!("{qid} {arrow} {final_address}{from} R=dnslookup T=remote_smtp H={host} [{ip}] X=TLS1.3:ECDHE_SECP256R1__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes DN=\"CN={host}\" C=\"{text}\""));
                        Outcome::Delivered
                    }
                    Answer::Said(stage, text) => {
                        let flat = text.replace('\n', "\\n");
                        let after = match stage {
                            Stage::Connect => "initial connection".to_owned(),
                            Stage::Mail => format!("MAIL FROM:<{}>", mail.from),
                            Stage::Rcpt => format!("RCPT TO:<{to}>"),
                            Stage::End => "end of data".to_owned(),
                        };
                        let error =
                            format!("H={host} [{ip}]: SMTP error from remote mail server after {after}: {flat}");
                        if answer.is_temporary() {
                            let number = match stage {
                                Stage::Connect => 0,
                                Stage::Mail => -45,
                                Stage::Rcpt => -44,
                                Stage::End => -46,
                            };
                            if *stage != Stage::Rcpt && !shared {
                                self.say(*now, pid, format_args!("{qid} {error}"));
                            }
                            self.say(
                                *now,
                                pid,
                                format_args!(
                                    "{qid} == {final_address} R=dnslookup T=remote_smtp defer ({number}) {error}"
                                ),
                            );
                            Outcome::Deferred
                        } else {
                            self.say(
                                *now,
                                pid,
                                format_args!("{qid} ** {final_address}{from} R=dnslookup T=remote_smtp {error}"),
                            );
                            Outcome::Bounced
                        }
                    }
                    Answer::ConnectionRefused | Answer::ConnectionTimeout => {
                        let (number, text) = if matches!(answer, Answer::ConnectionRefused) {
                            (111, "Connection refused")
                        } else {
                            (110, "Connection timed out")
                        };
                        if number == 110 && !shared {
                            *now += 30 * SECOND;
                        }
                        if !shared {
                            self.say(*now, pid, format_args!("{qid} H={host} [{ip}] {text}"));
                        }
                        self.say(
                            *now,
                            pid,
                            format_args!("{qid} == {final_address} R=dnslookup T=remote_smtp defer ({number}): {text}"),
                        );
                        Outcome::Deferred
                    }
                    Answer::NoSuchDomain => {
                        self.say(*now, pid, format_args!("{qid} ** {final_address}{from}: Unrouteable address"));
                        Outcome::Bounced
                    }
                    Answer::NullMx => {
                        self.say(
                            *now,
                            pid,
                            format_args!(
                                "{qid} ** {final_address}{from}: an MX or SRV record indicated no SMTP service"
                            ),
                        );
                        Outcome::Bounced
                    }
                    Answer::LookupFailed => {
                        self.say(
                            *now,
                            pid,
                            format_args!(
                                "{qid} == {final_address} R=dnslookup defer (-1): host lookup did not complete"
                            ),
                        );
                        Outcome::Deferred
                    }
                };
                (outcome, host)
            }
        }
    }

    fn bounce(&mut self, parent: &str, at: u64, mail: &Mail, rng: &mut Rng) {
        let qid = self.id(at, rng);
        let (pid, delivery) = (rng.range(4000, 900_000), rng.range(4000, 900_000));
        let from = &mail.from;
        if self.rich {
            self.say(
                at,
                pid,
                format_args!("cwd=/var/spool/exim4 7 args: /usr/sbin/exim4 -t -oem -oi -f <> -E{parent}"),
            );
        }
        let tail = if self.rich {
            format!(" T=\"Mail delivery failed: returning message to sender\" for {from}")
        } else {
            String::new()
        };
        self.say(
            at,
            pid,
            format_args!("{qid} <= <> R={parent} U=Debian-exim P=local S={}{tail}", 1900 + rng.below(700)),
        );
        if self.rich {
            self.say(at + 5 * MS, delivery, format_args!("cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc {qid}"));
        }
        let end = at + 80 * MS;
        let null = if self.rich { " F=<>" } else { "" };
        let host = domain(from);
        if self.hosted.contains(host) {
            let local = from.split('@').next().unwrap_or(from);
            self.say(
                end,
                delivery,
                format_args!(
                    "{qid} => {local} <{from}>{null} R=virtual_user T=dovecot_lmtp C=\"250 2.0.0 <{from}> {} Saved\"",
                    rng.base62(22)
                ),
            );
        } else if !host.contains('.')
            || ["local", "localdomain", "invalid", "lan"].iter().any(|tail| host.ends_with(tail))
        {
            self.say(end, delivery, format_args!("{qid} ** {from}{null}: Unrouteable address"));
            self.say(end + MS, delivery, format_args!("{qid} Frozen (delivery error message)"));
            let mut run = (end / QUEUE_RUN + 1) * QUEUE_RUN + rng.below(4000) * MS;
            while run < self.sink.end.min(end + 7 * DAY) {
                self.say(run, rng.range(4000, 900_000), format_args!("{qid} Message is frozen"));
                run += QUEUE_RUN;
            }
            return;
        } else {
            let n = rng.range(20, 240);
            let ip = format!("185.{}.{}.{n}", n / 2, n / 3);
            if host.len().is_multiple_of(3) {
                self.say(end, delivery, format_args!("{qid} ** {from}{null} R=dnslookup T=remote_smtp H=mx.{host} [{ip}]: SMTP error from remote mail server after RCPT TO:<{from}>: 550 5.1.1 <{from}>: Recipient address rejected: User unknown"));
                self.say(end + MS, delivery, format_args!("{qid} Frozen (delivery error message)"));
                return;
            }
            self.say(end, delivery, format_args!("{qid} => {from}{null} R=dnslookup T=remote_smtp H=mx.{host} [{ip}] C=\"250 2.0.0 Ok: queued as {}\"", rng.text(b"0123456789ABCDEF", 10)));
        }
        self.say(end + 2 * MS, delivery, format_args!("{qid} Completed"));
    }

    fn count(&mut self, owner: &Owner, at: u64, change: impl FnOnce(&mut Counts)) {
        if let (Some((kind, identity)), true) = (owner.identity, at < self.sink.end) {
            change(self.ledger.sender(kind, identity));
        }
    }

    fn done(&mut self, incident: Option<usize>, at: u64, change: impl FnOnce(&mut crate::model::Done)) {
        if let (Some(incident), true) = (incident, at < self.sink.end) {
            let done = self.ledger.incidents.entry(incident).or_default();
            done.at(at);
            change(done);
        }
    }

    fn id(&self, at: u64, rng: &mut Rng) -> String {
        let digits = |mut n: u64, width: usize| {
            let mut text = vec![b'0'; width];
            for place in text.iter_mut().rev() {
                *place = BASE62[(n % 62) as usize];
                n /= 62;
            }
            String::from_utf8(text).unwrap_or_default()
        };
        let pid = rng.range(4000, 3_900_000);
        let seconds = digits(EPOCH + at / SECOND, 6);
        if self.long_ids {
            format!("{seconds}-{}-{}", digits(pid, 11), digits(at % SECOND, 4))
        } else {
            format!("{seconds}-{}-{}", digits(pid, 6), digits(at % SECOND / 500, 2))
        }
    }
}

enum Outcome {
    Delivered,
    Bounced,
    Deferred,
}

fn answer_of(rcpt: &Rcpt, attempt: usize) -> Option<&Answer> {
    match &rcpt.fate {
        Fate::Remote { answers, .. } => answers.get(attempt.min(answers.len().saturating_sub(1))),
        _ => None,
    }
}

fn refusal_text(refusal: &Refusal, ip: &str, helo: &str) -> (bool, String) {
    match refusal {
        Refusal::UnknownHere => (false, "Unrouteable address".to_owned()),
        Refusal::Relay => (false, "relay not permitted".to_owned()),
        Refusal::Dnsbl(list) => (false, format!("{ip} is listed at {list} (127.0.0.4: {})", list_link(list, ip))),
        Refusal::Greylisted => (true, "greylisted, please try again in 5 minutes".to_owned()),
        Refusal::SenderDomain => (true, "Could not complete sender verify".to_owned()),
        Refusal::Helo => (false, format!("HELO name {helo} is not a host name")),
        Refusal::NoReverseName => (true, "no reverse DNS record for your address".to_owned()),
    }
}
