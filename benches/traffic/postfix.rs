//! Writes what happens as Postfix 3.7 logs it.

use std::{fmt::Write as _, io};

use crate::{
    model::{Act, Answer, Counts, DAY, Fate, Job, Ledger, Mail, Pickup, Rcpt, Refusal, SECOND, Session, Stage, Who},
    rng::Rng,
    sink::{Sink, clock, date},
};

const MS: u64 = 1000;
/// `maximal_queue_lifetime`.
const LIFETIME: u64 = 5 * DAY;
/// `queue_run_delay` and `minimal_backoff_time`; `maximal_backoff_time`.
const QUEUE_RUN: u64 = 300 * SECOND;
const MAX_BACKOFF: u64 = 4000 * SECOND;

const SMTPD: [&str; 3] = ["smtpd", "submission/smtpd", "submissions/smtpd"];

pub struct Postfix {
    pub sink: Sink,
    pub ledger: Ledger,
    pub fqdn: String,
    long_ids: bool,
    hosted: std::collections::BTreeSet<String>,
    /// smtpd processes of each service, of ordinary traffic and of incidents apart: when each is free again, its pid,
    /// its uses.
    smtpd: [Vec<(u64, u64, u32)>; 6],
    next_pid: [u64; 6],
}

/// Who answers for a message, while it is written.
struct Owner<'a> {
    identity: Option<(&'static str, &'a str)>,
    incident: Option<usize>,
}

impl Postfix {
    pub fn new(sink: Sink, fqdn: &str, long_ids: bool, hosted: std::collections::BTreeSet<String>) -> Self {
        Postfix {
            sink,
            ledger: Ledger::default(),
            fqdn: fqdn.to_owned(),
            long_ids,
            hosted,
            smtpd: Default::default(),
            next_pid: std::array::from_fn(|pool| 2004 + pool as u64),
        }
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

    fn say(&mut self, at: u64, service: &str, pid: u64, text: std::fmt::Arguments) {
        // Whole milliseconds would look made up; all lines that have an order are further apart than this.
        let at = at / MS * MS + (at / MS * 7919 + pid * 104_729 + service.len() as u64 * 31) % 950;
        let mut line = self.sink.buffer();
        if write!(line, "postfix/{service}[{pid}]: {text}").is_ok() {
            self.sink.line(at, line);
        }
    }

    /// A free smtpd process until `until`.
    fn smtpd(&mut self, incident: bool, service: &str, from: u64, until: u64) -> u64 {
        let number = SMTPD.iter().position(|name| *name == service).unwrap_or(0);
        let pool = number * 2 + usize::from(incident);
        let busy = &mut self.smtpd[pool];
        let found = busy.iter_mut().find(|(free, _, uses)| *free < from && *uses < 100);
        if let Some(slot) = found {
            slot.0 = until;
            slot.2 += 1;
            return slot.1;
        }
        busy.retain(|(free, _, _)| *free >= from);
        self.next_pid[pool] += 6 + 6 * (self.next_pid[pool] % 5);
        if self.next_pid[pool] > 4_000_000 {
            self.next_pid[pool] = 2004 + pool as u64;
        }
        let pid = self.next_pid[pool];
        busy.push((until, pid, 1));
        pid
    }

    fn session(&mut self, job: &Job, session: &Session, rng: &mut Rng) {
        let client = &session.client;
        let peer = format!("{}[{}]", client.name.as_deref().unwrap_or("unknown"), client.ip);
        let (service, tls) = match &session.who {
            Who::Login { .. } => (["submission/smtpd", "submissions/smtpd"][usize::from(rng.chance(0.3))], true),
            Who::Relay => ("smtpd", false),
            Who::Stranger if session.mails.is_empty() && !session.failed.is_empty() => {
                let service = SMTPD[rng.index(3)];
                (service, service == "submissions/smtpd" || rng.chance(0.5))
            }
            Who::Stranger => ("smtpd", rng.chance(0.6)),
        };
        let start = job.at;
        let begin = start + 90 * MS + rng.below(200) * MS;
        let mut length = begin - start + session.failed.len() as u64 * 2 * SECOND;
        length += session.mails.iter().map(|mail| mail.gap + 400 * MS + mail.rcpts.len() as u64 * 3 * MS).sum::<u64>();
        let pid = self.smtpd(job.incident.is_some(), service, start, start + length + 3 * SECOND);
        if client.name.is_none() && client.ip.as_bytes().last().is_some_and(|d| d.is_multiple_of(3)) {
            let name = client.ip.replace('.', "-");
            self.say(
                start.saturating_sub(MS),
                service,
                pid,
                format_args!(
                    "warning: hostname {name}.rev.example does not resolve to address {}: Name or service not known",
                    client.ip
                ),
            );
        }
        self.say(start, service, pid, format_args!("connect from {peer}"));
        let mut at = begin;
        if tls {
            self.say(at, service, pid, format_args!("Anonymous TLS connection established from {peer}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"));
        }
        for login in &session.failed {
            at += 300 * MS + rng.below(1500) * MS;
            let method = if rng.chance(0.7) { "LOGIN" } else { "PLAIN" };
            self.say(
                at,
                service,
                pid,
                format_args!(
                    "warning: {peer}: SASL {method} authentication failed: (reason unavailable), sasl_username={login}"
                ),
            );
            if let (Some(incident), true) = (job.incident, at < self.sink.end) {
                let done = self.ledger.incidents.entry(incident).or_default();
                done.at(at);
                done.attempts += 1;
            }
        }
        let (mut taken, mut asked, mut refused) = (0u64, 0u64, 0u64);
        for mail in &session.mails {
            at += mail.gap + 40 * MS + rng.below(60) * MS;
            asked += mail.rcpts.len() as u64;
            let (accepted, denied) = split(&mail.rcpts);
            refused += denied.len() as u64;
            let identity = match &session.who {
                Who::Login { login, .. } => Some(("sasl", login.as_str())),
                Who::Relay => Some(("client", client.ip.as_str())),
                Who::Stranger => None,
            };
            let owner = Owner { identity, incident: job.incident };
            let qid = if accepted.is_empty() { "NOQUEUE".to_owned() } else { self.queue_id(at, rng) };
            if !accepted.is_empty() {
                taken += 1;
                match &session.who {
                    Who::Login { login, plain } => {
                        let method = if *plain { "PLAIN" } else { "LOGIN" };
                        self.say(
                            at,
                            service,
                            pid,
                            format_args!("{qid}: client={peer}, sasl_method={method}, sasl_username={login}"),
                        );
                    }
                    _ => self.say(at, service, pid, format_args!("{qid}: client={peer}")),
                }
            }
            for (rcpt, refusal) in &denied {
                at += 3 * MS;
                let temporary = self.refuse(at, service, pid, &qid, &peer, session, mail, rcpt, refusal);
                self.count(&owner, at, |counts| {
                    counts.tempfailed += u64::from(temporary);
                    counts.rejected += u64::from(!temporary);
                });
                if let (Some(incident), true) = (job.incident, at < self.sink.end) {
                    let done = self.ledger.incidents.entry(incident).or_default();
                    done.at(at);
                    done.attempts += 1;
                }
            }
            if !accepted.is_empty() {
                let message_id = format!("{}.{}@{}", rng.hex(8), rng.hex(6), client.helo.trim_matches(['[', ']']));
                self.queue(&owner, &qid, &message_id, at + 20 * MS, mail, &accepted, rng);
                at += 30 * MS;
            }
        }
        at += 60 * MS + rng.below(80) * MS;
        let mails = session.mails.len() as u64;
        if mails == 0 && session.failed.is_empty() {
            let (stage, stats) = [
                ("CONNECT", "commands=0/0"),
                ("EHLO", "ehlo=1 commands=1"),
                ("STARTTLS", "ehlo=1 starttls=0/1 commands=1/2"),
            ][if tls { 1 } else { rng.index(3) }];
            self.say(at, service, pid, format_args!("lost connection after {stage} from {peer}"));
            self.say(at + MS, service, pid, format_args!("disconnect from {peer} {stats}"));
            return;
        }
        let wrapped = service == "submissions/smtpd";
        let hello = 1 + u64::from(tls && !wrapped);
        let mut stats = format!("ehlo={hello}");
        let (mut good, mut all) = (hello, hello);
        if tls && !wrapped {
            stats.push_str(" starttls=1");
            good += 1;
            all += 1;
        }
        let hangs_up = mails == 0 && rng.chance(0.4);
        if hangs_up {
            self.say(at - MS, service, pid, format_args!("lost connection after AUTH from {peer}"));
        }
        let login = u64::from(matches!(session.who, Who::Login { .. }));
        let tries = login + session.failed.len() as u64;
        let mut part = |name: &str, ok: u64, of: u64| {
            if of > 0 {
                let written = if ok == of { write!(stats, " {name}={of}") } else { write!(stats, " {name}={ok}/{of}") };
                debug_assert!(written.is_ok());
                good += ok;
                all += of;
            }
        };
        part("auth", login, tries);
        part("mail", mails, mails);
        part("rcpt", asked - refused, asked);
        part("data", taken, taken);
        part("quit", u64::from(!hangs_up), u64::from(!hangs_up));
        let commands = if good == all { format!("{all}") } else { format!("{good}/{all}") };
        self.say(at, service, pid, format_args!("disconnect from {peer} {stats} commands={commands}"));
    }

    /// The line of a refused recipient; true if only for now.
    #[allow(clippy::too_many_arguments, reason = "all of it stands in the line")]
    fn refuse(
        &mut self,
        at: u64,
        service: &str,
        pid: u64,
        qid: &str,
        peer: &str,
        session: &Session,
        mail: &Mail,
        rcpt: &Rcpt,
        refusal: &Refusal,
    ) -> bool {
        let (to, ip, helo) = (&rcpt.to, &session.client.ip, &session.client.helo);
        let reason = match refusal {
            Refusal::UnknownHere => {
                format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table")
            }
            Refusal::Relay => format!("554 5.7.1 <{to}>: Relay access denied"),
            Refusal::Dnsbl(list) => format!(
                "554 5.7.1 Service unavailable; Client host [{ip}] blocked using {list}; {}",
                list_link(list, ip)
            ),
            Refusal::Greylisted => format!(
                "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{}.html",
                to.rsplit('@').next().unwrap_or("")
            ),
            Refusal::SenderDomain => format!("450 4.1.8 <{}>: Sender address rejected: Domain not found", mail.from),
            Refusal::Helo => format!("504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname"),
            Refusal::NoReverseName => format!("450 4.7.25 Client host rejected: cannot find your hostname, [{ip}]"),
        };
        let temporary = reason.starts_with('4');
        self.say(
            at,
            service,
            pid,
            format_args!(
                "{qid}: reject: RCPT from {peer}: {reason}; from=<{}> to=<{to}> proto=ESMTP helo=<{helo}>",
                mail.from
            ),
        );
        temporary
    }

    fn pickup(&mut self, job: &Job, pickup: &Pickup, rng: &mut Rng) {
        let at = job.at + rng.below(900) * MS;
        let qid = self.queue_id(at, rng);
        let uid = pickup.uid.to_string();
        let owner = Owner { identity: Some(("uid", &uid)), incident: job.incident };
        let pid = 1500 + at / (3000 * SECOND) % 900;
        self.say(at, "pickup", pid, format_args!("{qid}: uid={uid} from=<{}>", pickup.mail.from));
        let (accepted, _) = split(&pickup.mail.rcpts);
        let message_id = self.own_message_id(at, &qid);
        self.queue(&owner, &qid, &message_id, at + 2 * MS, &pickup.mail, &accepted, rng);
    }

    /// A message in the queue: from cleanup's line to its end.
    #[allow(clippy::too_many_arguments, reason = "one message")]
    fn queue(
        &mut self,
        owner: &Owner,
        qid: &str,
        message_id: &str,
        at: u64,
        mail: &Mail,
        rcpts: &[&Rcpt],
        rng: &mut Rng,
    ) {
        self.say(at, "cleanup", 800 + rng.below(6), format_args!("{qid}: message-id=<{message_id}>"));
        self.count(owner, at, |counts| counts.messages += 1);
        if let (Some(incident), true) = (owner.incident, at < self.sink.end) {
            let done = self.ledger.incidents.entry(incident).or_default();
            done.at(at);
            done.messages += 1;
            done.recipients += rcpts.len() as u64;
        }
        self.count(owner, at, |counts| counts.recipients += rcpts.len() as u64);
        let arrival = at;
        let mut open: Vec<&Rcpt> = rcpts.to_vec();
        let mut attempt = 0usize;
        let mut start = at + 3 * MS + rng.below(10) * MS;
        loop {
            if start >= self.sink.end {
                break;
            }
            self.say(
                start,
                "qmgr",
                612,
                format_args!("{qid}: from=<{}>, size={}, nrcpt={} (queue active)", mail.from, mail.size, rcpts.len()),
            );
            let mut now = start + 5 * MS;
            let mut next = Vec::new();
            let mut bounced = 0usize;
            let mut uses = 1u32;
            let mut last_host = "";
            let mut lag = 0;
            for rcpt in &open {
                let (outcome, host) =
                    self.attempt(qid, arrival, start, &mut now, &mut lag, rcpt, attempt, (&mut uses, last_host), rng);
                last_host = host;
                match outcome {
                    Outcome::Delivered => self.count(owner, now, |counts| counts.delivered += 1),
                    Outcome::Bounced => {
                        bounced += 1;
                        self.count(owner, now, |counts| counts.bounced += 1);
                    }
                    Outcome::Deferred => next.push(*rcpt),
                }
            }
            if attempt == 0 {
                self.count(owner, now, |counts| counts.deferred += next.len() as u64);
            } else if next.len() < open.len() {
                self.count(owner, now, |counts| counts.deferred -= (open.len() - next.len()) as u64);
            }
            let mut over = next.is_empty();
            if !over && now - arrival > LIFETIME {
                over = true;
                self.say(
                    now + MS,
                    "qmgr",
                    612,
                    format_args!("{qid}: from=<{}>, status=expired, returned to sender", mail.from),
                );
                self.count(owner, now, |counts| {
                    counts.deferred -= next.len() as u64;
                    counts.expired += next.len() as u64;
                });
                bounced += next.len();
            }
            if bounced > 0 && !mail.from.is_empty() {
                self.bounce(qid, now + 6 * MS, mail, rng);
            }
            if over {
                self.say(now + 14 * MS, "qmgr", 612, format_args!("{qid}: removed"));
                break;
            }
            open = next;
            attempt += 1;
            let wait = (now - arrival).clamp(QUEUE_RUN, MAX_BACKOFF);
            start = (now + wait).div_ceil(QUEUE_RUN) * QUEUE_RUN + 11 * SECOND + rng.below(900) * MS;
        }
    }

    /// One recipient's turn; `now` moves on. Gives the relay too, which the next recipient may share.
    #[allow(clippy::too_many_arguments, reason = "one delivery line")]
    fn attempt<'r>(
        &mut self,
        qid: &str,
        arrival: u64,
        start: u64,
        now: &mut u64,
        lag: &mut u64,
        rcpt: &'r Rcpt,
        attempt: usize,
        (uses, last): (&mut u32, &str),
        rng: &mut Rng,
    ) -> (Outcome, &'r str) {
        let before = start.saturating_sub(arrival);
        let orig = rcpt.orig.as_ref().map(|orig| format!(", orig_to=<{orig}>")).unwrap_or_default();
        let to = &rcpt.to;
        match &rcpt.fate {
            Fate::Mailbox | Fate::NoMailbox => {
                *now += 30 * MS + rng.below(50) * MS;
                let delay = delays(before, 10 * MS, 20 * MS, *now - start);
                let missing = matches!(rcpt.fate, Fate::NoMailbox);
                let (dsn, status) = if missing {
                    (
                        "5.1.1",
                        format!(
                            "bounced (host {}[private/dovecot-lmtp] said: 550 5.1.1 <{to}> User doesn't exist: {to} (in reply to RCPT TO command))",
                            self.fqdn
                        ),
                    )
                } else {
                    ("2.0.0", format!("sent (250 2.0.0 <{to}> {} Saved)", rng.base62(22)))
                };
                let pid = 900 + rng.below(8);
                let fqdn = self.fqdn.clone();
                self.say(*now, "lmtp", pid, format_args!("{qid}: to=<{to}>{orig}, relay={fqdn}[private/dovecot-lmtp], {delay}, dsn={dsn}, status={status}"));
                (if missing { Outcome::Bounced } else { Outcome::Delivered }, "")
            }
            Fate::Program => {
                *now += 200 * MS + rng.below(300) * MS;
                let delay = delays(before, 10 * MS, 10 * MS, *now - start);
                let list = to.split('@').next().unwrap_or("");
                self.say(*now, "local", 950 + rng.below(4), format_args!("{qid}: to=<{to}>{orig}, relay=local, {delay}, dsn=2.0.0, status=sent (delivered to command: /usr/lib/mailman/mail/mailman post {list})"));
                (Outcome::Delivered, "")
            }
            Fate::Refused(_) => (Outcome::Bounced, ""),
            Fate::Remote { host, ip, answers } => {
                let Some(answer) = answers.get(attempt.min(answers.len().saturating_sub(1))) else {
                    return (Outcome::Bounced, "");
                };
                let shared = last == host.as_str();
                if shared {
                    *uses += 1;
                    *now += MS;
                } else {
                    *uses = 1;
                    *lag = 60 * MS + rng.below(500) * MS;
                    *now += *lag + 150 * MS + rng.below(900) * MS;
                }
                let pid = 1000 + rng.below(24);
                let used =
                    if !shared && rng.chance(0.12) { format!("conn_use={}, ", rng.range(2, 4)) } else { String::new() };
                let relay = format!("{host}[{ip}]:25, {used}");
                let delay = delays(before, 20 * MS, *lag, *now - start);
                let (outcome, relay, dsn, status) = match answer {
                    Answer::Sent(text) => (Outcome::Delivered, relay, "2.0.0".to_owned(), format!("sent ({text})")),
                    Answer::Said(stage, text) => {
                        let flat = text.replace('\n', " ");
                        let temporary = text.starts_with('4') || *stage == Stage::Connect;
                        let reason = match stage {
                            Stage::Connect => format!("host {host}[{ip}] refused to talk to me: {flat}"),
                            Stage::Mail => format!("host {host}[{ip}] said: {flat} (in reply to MAIL FROM command)"),
                            Stage::Rcpt => format!("host {host}[{ip}] said: {flat} (in reply to RCPT TO command)"),
                            Stage::End => format!("host {host}[{ip}] said: {flat} (in reply to end of DATA command)"),
                        };
                        let mut dsn = enhanced(text);
                        if temporary {
                            dsn.replace_range(..1, "4");
                        }
                        if temporary
                            && !shared
                            && ["google.com", "yahoodns.net"].iter().any(|tail| host.ends_with(tail))
                        {
                            // Another mail exchanger of the same site was asked first.
                            let first = reason.replace(
                                &format!("{host}[{ip}]"),
                                &format!("alt2.{host}[108.177.{}.26]", 10 + host.len()),
                            );
                            self.say(*now - MS, "smtp", pid, format_args!("{qid}: {first}"));
                        }
                        let (outcome, word) =
                            if temporary { (Outcome::Deferred, "deferred") } else { (Outcome::Bounced, "bounced") };
                        (outcome, relay, dsn, format!("{word} ({reason})"))
                    }
                    Answer::ConnectionRefused | Answer::ConnectionTimeout => {
                        let text = if matches!(answer, Answer::ConnectionRefused) {
                            "Connection refused"
                        } else {
                            "Connection timed out"
                        };
                        if text.ends_with("out") && !shared {
                            *now += 30 * SECOND;
                        }
                        let delay = format!("connect to {host}[{ip}]:25: {text}");
                        self.say(*now, "smtp", pid, format_args!("{delay}"));
                        *now += MS;
                        (Outcome::Deferred, "none, ".to_owned(), "4.4.1".to_owned(), format!("deferred ({delay})"))
                    }
                    Answer::NoSuchDomain => (
                        Outcome::Bounced,
                        "none, ".to_owned(),
                        "5.4.4".to_owned(),
                        format!(
                            "bounced (Host or domain name not found. Name service error for name={} type=AAAA: Host not found)",
                            domain(to)
                        ),
                    ),
                    Answer::NullMx => (
                        Outcome::Bounced,
                        "none, ".to_owned(),
                        "5.1.0".to_owned(),
                        format!("bounced (Domain {} does not accept mail (nullMX))", domain(to)),
                    ),
                    Answer::LookupFailed => (
                        Outcome::Deferred,
                        "none, ".to_owned(),
                        "4.4.3".to_owned(),
                        format!(
                            "deferred (Host or domain name not found. Name service error for name={} type=MX: Host not found, try again)",
                            domain(to)
                        ),
                    ),
                };
                let delay = if matches!(answer, Answer::ConnectionTimeout) {
                    delays(before, 20 * MS, 30 * SECOND, *now - start)
                } else {
                    delay
                };
                self.say(
                    *now,
                    "smtp",
                    pid,
                    format_args!("{qid}: to=<{to}>{orig}, relay={relay}{delay}, dsn={dsn}, status={status}"),
                );
                (outcome, host)
            }
        }
    }

    /// The notice to the sender of a message that could not be delivered.
    fn bounce(&mut self, parent: &str, at: u64, mail: &Mail, rng: &mut Rng) {
        let qid = self.queue_id(at, rng);
        let message_id = self.own_message_id(at, &qid);
        self.say(at, "cleanup", 800 + rng.below(6), format_args!("{qid}: message-id=<{message_id}>"));
        self.say(
            at + MS,
            "bounce",
            700 + rng.below(5),
            format_args!("{parent}: sender non-delivery notification: {qid}"),
        );
        self.say(
            at + 2 * MS,
            "qmgr",
            612,
            format_args!("{qid}: from=<>, size={}, nrcpt=1 (queue active)", 2100 + rng.below(900)),
        );
        let from = &mail.from;
        let end = at + 40 * MS + rng.below(800) * MS;
        let host = domain(from);
        if self.hosted.contains(host) {
            let fqdn = self.fqdn.clone();
            self.say(end, "lmtp", 900 + rng.below(8), format_args!("{qid}: to=<{from}>, relay={fqdn}[private/dovecot-lmtp], {}, dsn=2.0.0, status=sent (250 2.0.0 <{from}> {} Saved)", delays(0, 10 * MS, 10 * MS, end - at), rng.base62(22)));
        } else if !host.contains('.')
            || ["local", "localdomain", "invalid", "lan"].iter().any(|tail| host.ends_with(tail))
        {
            self.say(end, "smtp", 1000 + rng.below(24), format_args!("{qid}: to=<{from}>, relay=none, {}, dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name={host} type=AAAA: Host not found)", delays(0, 10 * MS, 10 * MS, end - at)));
        } else {
            let n = rng.range(20, 240);
            if host.len().is_multiple_of(3) {
                self.say(end, "smtp", 1000 + rng.below(24), format_args!("{qid}: to=<{from}>, relay=mx.{host}[185.{}.{}.{n}]:25, {}, dsn=5.1.1, status=bounced (host mx.{host}[185.{}.{}.{n}] said: 550 5.1.1 <{from}>: Recipient address rejected: User unknown (in reply to RCPT TO command))", n / 2, n / 3, delays(0, 10 * MS, 90 * MS, end - at), n / 2, n / 3));
            } else {
                self.say(end, "smtp", 1000 + rng.below(24), format_args!("{qid}: to=<{from}>, relay=mx.{host}[185.{}.{}.{n}]:25, {}, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {})", n / 2, n / 3, delays(0, 10 * MS, 90 * MS, end - at), rng.text(b"0123456789ABCDEF", 10)));
            }
        }
        self.say(end + MS, "qmgr", 612, format_args!("{qid}: removed"));
    }

    fn count(&mut self, owner: &Owner, at: u64, change: impl FnOnce(&mut Counts)) {
        if let (Some((kind, identity)), true) = (owner.identity, at < self.sink.end) {
            change(self.ledger.sender(kind, identity));
        }
    }

    fn own_message_id(&self, at: u64, qid: &str) -> String {
        if self.long_ids {
            return format!("{qid}@{}", self.fqdn);
        }
        let ((y, mo, d), (h, mi, s)) = (date(at), clock(at));
        format!("{y:04}{mo:02}{d:02}{h:02}{mi:02}{s:02}.{qid}@{}", self.fqdn)
    }

    fn queue_id(&self, at: u64, rng: &mut Rng) -> String {
        if !self.long_ids {
            return format!("{:05X}{:X}", at % SECOND, 0x9A_0000 + rng.below(0x4_0000));
        }
        let safe = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
        let seconds = crate::model::EPOCH + at / SECOND;
        let digits = |mut n: u64, base: u64, width: usize| {
            let mut text = vec![b'0'; width];
            for place in text.iter_mut().rev() {
                *place = safe[(n % base) as usize];
                n /= base;
            }
            String::from_utf8(text).unwrap_or_default()
        };
        format!(
            "{}{}z{}",
            digits(seconds, 52, 6),
            digits(at % SECOND, 52, 4),
            digits(7_000_000 + rng.below(200_000), 51, 4)
        )
    }
}

enum Outcome {
    Delivered,
    Bounced,
    Deferred,
}

fn split(rcpts: &[Rcpt]) -> (Vec<&Rcpt>, Vec<(&Rcpt, &Refusal)>) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for rcpt in rcpts {
        match &rcpt.fate {
            Fate::Refused(refusal) => refused.push((rcpt, refusal)),
            _ => accepted.push(rcpt),
        }
    }
    (accepted, refused)
}

/// What a list says about an address.
pub fn list_link(list: &str, ip: &str) -> String {
    match list {
        "bl.spamcop.net" => format!("Blocked - see https://www.spamcop.net/bl.shtml?{ip}"),
        _ => format!("https://check.spamhaus.org/query/ip/{ip}"),
    }
}

pub fn domain(address: &str) -> &str {
    address.rsplit('@').next().unwrap_or("")
}

/// The enhanced status code of an answer; made from its first digit where it has none.
pub fn enhanced(text: &str) -> String {
    let last = text.rsplit('\n').next().unwrap_or(text);
    let word = last.get(4..).unwrap_or("").split([' ', ':', ',']).next().unwrap_or("");
    let mut parts = word.split('.');
    let numbers = (parts.next(), parts.next(), parts.next(), parts.next());
    let is_number =
        |part: Option<&str>| part.is_some_and(|p| (1..4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    match numbers {
        (Some("2" | "4" | "5"), b, c, None) if is_number(b) && is_number(c) => word.to_owned(),
        _ => format!("{}.0.0", &text[..1]),
    }
}

/// `delay=` and `delays=` with two digits that matter, as Postfix writes them.
fn delays(queued: u64, manager: u64, connect: u64, rest: u64) -> String {
    let (manager, connect) = (manager.min(rest), connect.min(rest));
    let send = rest.saturating_sub(manager + connect);
    format!(
        "delay={}, delays={}/{}/{}/{}",
        short(queued + rest),
        short(queued),
        short(manager),
        short(connect),
        short(send)
    )
}

fn short(time: u64) -> String {
    let s = time as f64 / SECOND as f64;
    if time >= 10 * SECOND {
        return format!("{}", s.round());
    }
    let digits = if s >= 1.0 { 10.0 } else { 100.0 };
    format!("{}", (s * digits).round() / digits)
}
