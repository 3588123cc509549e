//! What is known to lead readers of logs astray, each as a short log with what must come out of it.

use super::*;
use crate::framing::{Program, RawLine};
use crate::mail::time::Stamp;

/// Everything that the correlator gave out.
#[derive(Default)]
struct Found {
    messages: Vec<Message>,
    rejections: Vec<Rejection>,
    auth_failures: Vec<AuthFailure>,
    probes: u32,
    aborted: u32,
}

impl Sink for Found {
    fn message(&mut self, message: Message) {
        self.messages.push(message);
    }
    fn rejection(&mut self, rejection: Rejection) {
        self.rejections.push(rejection);
    }
    fn auth_failure(&mut self, failure: AuthFailure) {
        self.auth_failures.push(failure);
    }
    fn probe(&mut self, _: HostId, _: QueueId) {
        self.probes += 1;
    }
    fn aborted(&mut self, _: HostId, _: QueueId) {
        self.aborted += 1;
    }
}

impl Found {
    /// The only message with this id.
    #[track_caller]
    fn message(&self, id: &str) -> &Message {
        let mut of_id = self.messages.iter().filter(|m| m.queue_id.to_string() == id);
        let found = of_id.next().unwrap_or_else(|| panic!("no message {id}"));
        assert!(of_id.next().is_none(), "several messages {id}");
        found
    }
}

impl Message {
    /// `sasl al`, as `senders` would name it.
    fn who(&self) -> String {
        format!("{} {}", self.identity.kind.word(), String::from_utf8_lossy(&self.identity.name))
    }

    /// Recipients with their states, and what no line names.
    fn outcome(&self) -> String {
        let mut text: String = self
            .recipients
            .iter()
            .map(|r| format!("{} {:?};", String::from_utf8_lossy(r.asked_for()), r.state))
            .collect();
        if self.unnamed_recipients > 0 {
            text += &format!("{} {:?};", self.unnamed_recipients, self.unnamed_state);
        }
        text
    }

    fn earlier(&self, attempt: usize) -> Vec<String> {
        self.attempts[attempt].earlier_answers.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect()
    }
}

fn optional(bytes: Option<&Octets>) -> String {
    bytes.map_or_else(|| "-".into(), |b| String::from_utf8_lossy(b).into_owned())
}

const DAY: i64 = 1_772_600_000;

/// A log of lines `second service[pid] body`; the service `exim` is Exim, `dovecot` is another program, and a pid of 0
/// stands for none.
fn log(lines: &str) -> Found {
    let mut correlator = Correlator::new();
    let mut found = Found::default();
    let host = correlator.host(b"mx1");
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut words = line.splitn(3, ' ');
        let (second, tag, body) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (service, pid) = tag.split_once('[').unwrap();
        let pid: u32 = pid.trim_end_matches(']').parse().unwrap();
        let program = match service {
            "exim" => Program::Exim,
            "dovecot" => Program::Other(b"dovecot"),
            service => Program::Postfix { instance: b"postfix", service: service.as_bytes(), is_relay: false },
        };
        let (times, body) = match body.strip_prefix("x").and_then(|t| t.split_once(": ")) {
            Some((times, inner)) if times.bytes().all(|b| b.is_ascii_digit()) => (times.parse().unwrap(), inner),
            _ => (1, body),
        };
        let raw = RawLine {
            stamp: Stamp { year: None, month: 1, day: 1, hour: 0, minute: 0, second: 0, micros: 0, offset_s: None },
            host: b"mx1",
            program,
            pid: (pid > 0).then_some(pid),
            body: body.as_bytes(),
            times,
        };
        let parse::Parsed::Entry(entry) = parse::line(&raw) else { continue };
        let context = Context {
            at: Timestamp((DAY + second.parse::<i64>().unwrap()) * 1_000_000),
            host,
            mta: raw.program.mta().unwrap_or(Mta::Postfix),
            instance: Instance::NONE,
            pid: raw.pid,
            times,
            is_syslog: true,
            is_of_session: true,
            place: Place { source: 0, line: number as u64 + 1 },
        };
        correlator.take(context, &entry, &mut found);
    }
    correlator.finish(&mut found);
    found
}

#[test]
fn a_refusal_before_the_queue_id_has_the_sessions_login() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 550 5.1.1 <x@a.example>: User unknown; from=<al@b.example> to=<x@a.example> proto=ESMTP helo=<h>
        1 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        2 smtpd[9] disconnect from pc7[198.51.100.7]");
    assert_eq!(optional(found.rejections[0].sasl_username.as_ref()), "al");
    assert_eq!(found.message("3F2A11C0").who(), "sasl al");
}

#[test]
fn several_messages_in_one_connection_stay_apart() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        2 smtpd[9] 3F2A11C1: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        2 qmgr[3] 3F2A11C1: from=<al2@b.example>, size=2, nrcpt=2 (queue active)
        3 smtpd[9] disconnect from pc7[198.51.100.7]");
    assert_eq!((found.message("3F2A11C0").size, found.message("3F2A11C1").size), (Some(1), Some(2)));
}

#[test]
fn a_forwarded_copy_logged_before_its_parent_keeps_the_first_identity() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 cleanup[5] 9D1EA300: message-id=<k7@b.example>
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtp[6] 9D1EA300: to=<far@c.example>, orig_to=<team@b.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        1 qmgr[3] 9D1EA300: removed
        1 local[7] 3F2A11C0: to=<team@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (forwarded as 9D1EA300)
        1 qmgr[3] 3F2A11C0: removed");
    let child = found.message("9D1EA300");
    assert!(child.is_continuation);
    assert_eq!(child.who(), "sasl al");
    assert_eq!(found.message("3F2A11C0").outcome(), "team@b.example HandedOn;");
}

#[test]
fn a_bounce_without_an_origin_line_is_the_hosts_own() {
    let found = log("
        0 cleanup[5] 8E0B2200: message-id=<n1@mx1>
        0 qmgr[3] 8E0B2200: from=<>, size=1, nrcpt=1 (queue active)
        1 local[7] 8E0B2200: to=<al@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered to mailbox)
        1 qmgr[3] 8E0B2200: removed");
    assert_eq!(found.message("8E0B2200").who(), "null mx1");
}

#[test]
fn what_the_client_takes_back_is_no_message() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7]
        2 smtpd[9] 3F2A11C1: client=pc7[198.51.100.7]
        2 smtpd[9] 3F2A11C1: reject: RCPT from pc7[198.51.100.7]: 550 5.1.1 <x@a.example>: User unknown; from=<al@b.example> to=<x@a.example> proto=ESMTP helo=<h>
        3 smtpd[9] lost connection after RCPT from pc7[198.51.100.7]
        3 smtpd[9] disconnect from pc7[198.51.100.7]
        4 smtpd[9] connect from pc8[198.51.100.8]
        5 smtpd[9] 3F2A11C2: client=pc8[198.51.100.8]
        305 smtpd[9] timeout after DATA from pc8[198.51.100.8]
        305 cleanup[5] 3F2A11C2: message-id=<late@b.example>
        305 smtpd[9] disconnect from pc8[198.51.100.8]");
    assert_eq!((found.messages.len(), found.aborted, found.rejections.len()), (0, 3, 1));
}

#[test]
fn a_pickup_line_behind_cleanup_still_names_the_user() {
    let found = log("
        0 cleanup[5] 3F2A11C0: message-id=<k7@b.example>
        1 pickup[4] 3F2A11C0: uid=33 from=<www-data>
        1 qmgr[3] 3F2A11C0: from=<www-data@b.example>, size=1, nrcpt=1 (queue active)");
    assert_eq!(found.message("3F2A11C0").who(), "uid 33");
}

#[test]
fn an_smtpd_that_stops_logging_gives_its_login_to_nobody_else() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        60 smtpd[9] connect from pc8[198.51.100.8]
        61 smtpd[9] NOQUEUE: reject: RCPT from pc8[198.51.100.8]: 554 5.7.1 <x@a.example>: Relay access denied; from=<cy@c.example> to=<x@a.example> proto=ESMTP helo=<h>
        62 smtpd[9] disconnect from pc8[198.51.100.8]");
    assert_eq!(optional(found.rejections[0].sasl_username.as_ref()), "-");
}

#[test]
fn a_delivery_line_after_removed_belongs_to_the_message() {
    let found = log("
        0 pickup[4] 3F2A11C0: uid=33 from=<www-data>
        0 qmgr[3] 3F2A11C0: from=<www-data@b.example>, size=1, nrcpt=1 (queue active)
        1 qmgr[3] 3F2A11C0: removed
        1 local[7] 3F2A11C0: to=<bo@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered to mailbox)
        900 qmgr[3] 3F2A11FF: removed");
    assert_eq!(found.message("3F2A11C0").outcome(), "bo@b.example Delivered;");
}

#[test]
fn mail_deleted_before_or_during_its_delivery_is_discarded() {
    let found = log("
        0 pickup[4] 3F2A11C0: uid=33 from=<www-data>
        0 qmgr[3] 3F2A11C0: from=<www-data@b.example>, size=1, nrcpt=2 (queue active)
        1 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=4.7.1, status=deferred (451 4.7.1 later)
        2 postsuper[8] 3F2A11C0: removed
        3 pickup[4] 3F2A11C1: uid=33 from=<www-data>
        3 qmgr[3] 3F2A11C1: from=<www-data@b.example>, size=1, nrcpt=3 (queue active)
        4 postsuper[8] 3F2A11C1: removed");
    assert_eq!(found.message("3F2A11C0").outcome(), "bo@a.example Discarded;1 Discarded;");
    assert_eq!(found.message("3F2A11C1").outcome(), "3 Discarded;");
}

#[test]
fn accepted_mail_that_never_appears_again_is_open() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=2 (queue active)");
    let message = found.message("3F2A11C0");
    assert!(message.is_open);
    assert_eq!(message.outcome(), "2 Open;");
}

#[test]
fn a_log_that_starts_in_mid_life_gives_an_orphan_with_its_outcome() {
    let found = log("
        0 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        0 qmgr[3] 3F2A11C0: removed
        0 exim[0] 1tXyZa-0001Ab-2c => bo@a.example R=r T=remote_smtp H=mx [192.0.2.8]
        0 exim[0] 1tXyZa-0001Ab-2c Completed");
    assert!(found.message("3F2A11C0").is_orphan && found.message("1tXyZa-0001Ab-2c").is_orphan);
    assert_eq!(found.message("1tXyZa-0001Ab-2c").outcome(), "bo@a.example Delivered;");
}

#[test]
fn a_queue_id_used_again_is_another_message() {
    for gap in [1, 100, 4_000] {
        let found = log(&format!(
            "
            0 pickup[4] 3F2A11C0: uid=33 from=<www-data>
            0 qmgr[3] 3F2A11C0: from=<www-data@b.example>, size=1, nrcpt=1 (queue active)
            1 local[7] 3F2A11C0: to=<bo@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered to mailbox)
            1 qmgr[3] 3F2A11C0: removed
            {} smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
            {0} qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)",
            1 + gap
        ));
        let who: Vec<_> = found.messages.iter().map(Message::who).collect();
        assert_eq!(who, ["uid 33", "sasl al"], "{gap}");
    }
}

#[test]
fn a_notice_that_uses_an_id_again_is_a_new_message() {
    let found = log("
        0 pickup[4] 8E0B2200: uid=33 from=<www-data>
        0 qmgr[3] 8E0B2200: from=<www-data@b.example>, size=1, nrcpt=1 (queue active)
        1 qmgr[3] 8E0B2200: removed
        60 bounce[5] 3F2A11C0: sender non-delivery notification: 8E0B2200
        60 cleanup[5] 8E0B2200: message-id=<n1@mx1>
        60 qmgr[3] 8E0B2200: from=<>, size=1, nrcpt=1 (queue active)");
    assert_eq!(found.messages.len(), 2);
    assert_eq!(found.messages[1].who(), "null mx1");
    assert_eq!(found.messages[1].parent_queue_id, QueueId::new(b"3F2A11C0"));
}

#[test]
fn a_notice_is_joined_to_its_parent_whichever_line_comes_first() {
    for lines in [
        "1 bounce[5] 3F2A11C0: sender non-delivery notification: 8E0B2200
        1 cleanup[6] 8E0B2200: message-id=<n1@mx1>
        1 qmgr[3] 8E0B2200: from=<>, size=1, nrcpt=1 (queue active)
        2 local[7] 8E0B2200: to=<al@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered to mailbox)",
        "1 cleanup[6] 8E0B2200: message-id=<n1@mx1>
        1 qmgr[3] 8E0B2200: from=<>, size=1, nrcpt=1 (queue active)
        2 local[7] 8E0B2200: to=<al@b.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered to mailbox)
        2 qmgr[3] 8E0B2200: removed
        2 bounce[5] 3F2A11C0: sender non-delivery notification: 8E0B2200",
    ] {
        let found = log(&format!(
            "
            0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
            0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
            {lines}"
        ));
        let notice = found.message("8E0B2200");
        assert_eq!((notice.who(), notice.parent_queue_id), ("null mx1".into(), QueueId::new(b"3F2A11C0")));
        assert!(!notice.is_orphan);
    }
    let found = log("
        0 exim[0] 1tXyZb-0001Ab-2c <= <> R=1tXyZa-0001Ab-2c U=mailnull P=local S=2100
        0 exim[0] 1tXyZb-0001Ab-2c => al@b.example R=r T=local_delivery");
    assert_eq!(found.messages[0].parent_queue_id, QueueId::new(b"1tXyZa-0001Ab-2c"));
    assert_eq!(found.messages[0].who(), "null mx1");
}

#[test]
fn the_hop_behind_a_filter_keeps_the_first_hops_identity() {
    let first = "
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 cleanup[5] 3F2A11C0: message-id=<k7@b.example>
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)";
    let outcome = "
        2 smtp[8] 9D1EA300: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        2 qmgr[3] 9D1EA300: removed";
    for (name, second) in [
        ("queued as", "
        1 smtpd[10] 9D1EA300: client=localhost[127.0.0.1]
        1 cleanup[5] 9D1EA300: message-id=<k7@b.example>
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 9D1EA300)"),
        ("orig_queue_id", "
        1 smtpd[10] 9D1EA300: client=localhost[127.0.0.1], orig_queue_id=3F2A11C0, orig_client=pc7[198.51.100.7]
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok)"),
        ("pipe", "
        1 pickup[4] 9D1EA300: uid=65 from=<al@b.example>
        1 cleanup[5] 9D1EA300: message-id=<k7@b.example>
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 pipe[6] 3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered via spamfilter service)"),
    ] {
        let found = log(&format!("{first}{second}{outcome}"));
        let child = found.message("9D1EA300");
        assert_eq!((child.who(), child.is_continuation), ("sasl al".into(), true), "{name}");
        assert_eq!(found.message("3F2A11C0").outcome(), "bo@a.example HandedOn;", "{name}");
    }
}

#[test]
fn the_message_behind_a_proxy_filter_keeps_the_sessions_login() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        0 smtpd[9] NOQUEUE: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 smtpd[10] 9D1EA300: client=localhost[127.0.0.1]
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtpd[9] proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 9D1EA300; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<h>
        2 smtpd[9] disconnect from pc7[198.51.100.7]");
    assert_eq!(found.message("9D1EA300").who(), "sasl al");
}

#[test]
fn a_local_user_is_not_taken_for_the_filter() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 cleanup[5] 3F2A11C0: message-id=<k7@b.example>
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 pickup[4] 9D1EA300: uid=65 from=<al@b.example>
        1 cleanup[5] 9D1EA300: message-id=<k7@b.example>
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 pipe[6] 3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered via spamfilter service)
        2 pickup[4] 9D1EA301: uid=1005 from=<eve@b.example>
        2 cleanup[5] 9D1EA301: message-id=<k7@b.example>
        2 qmgr[3] 9D1EA301: from=<eve@b.example>, size=1, nrcpt=9 (queue active)
        3 pipe[6] 3F2A11C2: to=<cy@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered via spamfilter service)");
    assert_eq!(found.message("9D1EA300").who(), "sasl al");
    assert_eq!(found.message("9D1EA301").who(), "uid 1005");
    // Quicker than the filter.
    let found = log(
        "
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 cleanup[5] 3F2A11C0: message-id=<k7@b.example>
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 pickup[4] 9D1EA301: uid=1005 from=<eve@b.example>
        1 cleanup[5] 9D1EA301: message-id=<k7@b.example>
        1 qmgr[3] 9D1EA301: from=<eve@b.example>, size=1, nrcpt=9 (queue active)
        1 pipe[6] 3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered via spamfilter service)
        2 pickup[4] 9D1EA300: uid=65 from=<al@b.example>
        2 cleanup[5] 9D1EA300: message-id=<k7@b.example>
        2 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)",
    );
    assert_eq!(
        (found.message("9D1EA300").who(), found.message("9D1EA301").who()),
        ("sasl al".into(), "uid 1005".into())
    );
}

#[test]
fn another_sender_by_smtp_is_not_taken_for_the_filter() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 cleanup[5] 3F2A11C0: message-id=<k7@b.example>
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtpd[11] 9D1EA301: client=localhost[127.0.0.1]
        1 cleanup[5] 9D1EA301: message-id=<k7@b.example>
        1 pipe[6] 3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered via spamfilter service)
        1 qmgr[3] 9D1EA301: from=<eve@b.example>, size=1, nrcpt=9 (queue active)");
    assert_eq!(found.message("3F2A11C0").outcome(), "bo@a.example Delivered;");
    assert_ne!(found.message("9D1EA301").who(), "sasl al");
}

#[test]
fn a_clients_address_survives_a_filter_on_another_host() {
    let found = log("
        1 smtpd[10] 9D1EA300: client=filter[10.0.0.9], orig_queue_id=77AABB00, orig_client=pc7[198.51.100.7]
        1 qmgr[3] 9D1EA300: from=<al@b.example>, size=1, nrcpt=1 (queue active)");
    assert_eq!(optional(found.message("9D1EA300").origin.client.as_ref().map(|c| &c.ip)), "198.51.100.7");
}

#[test]
fn a_requeued_message_is_one_message() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=4.7.1, status=deferred (451 4.7.1 later)
        2 postsuper[8] 3F2A11C0: requeued
        3 pickup[4] 3F2A11C1: uid=89 from=<al@b.example> orig_id=3F2A11C0
        3 qmgr[3] 3F2A11C1: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        4 smtp[6] 3F2A11C1: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        4 qmgr[3] 3F2A11C1: removed");
    assert_eq!(found.message("3F2A11C0").outcome(), "bo@a.example HandedOn;");
    let second = found.message("3F2A11C1");
    assert_eq!((second.who(), second.outcome()), ("sasl al".into(), "bo@a.example Delivered;".into()));
}

#[test]
fn each_time_on_hold_is_told_once() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        0 smtpd[9] NOQUEUE: hold: RCPT from pc7[198.51.100.7]: <bo@a.example>: Recipient address triggers HOLD action; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<h>
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 cleanup[5] 3F2A11C0: hold: header Subject: x from pc7[198.51.100.7]; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<h>: look
        5 postsuper[8] 3F2A11C0: placed on hold
        9 postsuper[8] 3F2A11C0: released from hold
        9 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        10 postsuper[8] 3F2A11C0: placed on hold");
    let message = found.message("3F2A11C0");
    let holds: Vec<_> = message.holds.iter().map(|h| (h.stage, optional(h.recipient.as_ref()))).collect();
    assert_eq!(holds, [(Stage::Rcpt, "bo@a.example".to_string()), (Stage::Queue, "-".to_string())]);
    assert_eq!((message.who(), message.outcome()), ("sasl al".into(), "1 Open;".into()));
}

#[test]
fn lists_and_aliases_count_by_the_address_that_was_written() {
    let found = log("
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        0 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=2 (queue active)
        1 smtp[6] 3F2A11C0: to=<cy@a.example>, orig_to=<team@b.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        1 smtp[6] 3F2A11C0: to=<di@a.example>, orig_to=<team@b.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=5.1.1, status=bounced (550 gone)
        1 qmgr[3] 3F2A11C0: removed");
    assert_eq!(found.message("3F2A11C0").outcome(), "team@b.example Delivered;team@b.example Bounced;");
}

#[test]
fn lines_out_of_order_within_seconds_make_one_message() {
    let found = log("
        3 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        2 qmgr[3] 3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)
        1 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        3 qmgr[3] 3F2A11C0: removed");
    let message = found.message("3F2A11C0");
    assert_eq!((message.who(), message.is_orphan, message.is_open), ("sasl al".into(), false, false));
}

#[test]
fn repeated_lines_count_as_often_as_they_say() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: no, sasl_username=al
        2 smtpd[9] x3: warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: no, sasl_username=al
        2 smtpd[9] x2: NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 <x@a.example>: Relay access denied; from=<cy@c.example> to=<x@a.example> proto=ESMTP helo=<h>
        3 smtpd[9] disconnect from pc7[198.51.100.7] ehlo=1 auth=0/4 rcpt=0/2 commands=1/7");
    assert_eq!(found.auth_failures.iter().map(|f| f.times).sum::<u32>(), 4);
    assert_eq!(found.rejections[0].times, 2);
}

#[test]
fn failed_logins_that_only_the_counters_know_are_counted_once() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        1 smtpd[9] warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: no, sasl_username=al
        2 smtpd[9] warning: AUTH command rate limit exceeded: 11 from pc7[198.51.100.7] for service smtp
        3 smtpd[9] disconnect from pc7[198.51.100.7] ehlo=1 auth=0/5 quit=1 commands=2/7
        4 smtpd[9] connect from pc7[198.51.100.7]
        5 smtpd[9] warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: no, sasl_username=al
        6 smtpd[9] disconnect from pc7[198.51.100.7] ehlo=1 auth=1/2 quit=1 commands=3/4
        7 smtpd[10] disconnect from pc7[198.51.100.7] ehlo=1 auth=0/5 quit=1 commands=2/7");
    let times: Vec<_> = found.auth_failures.iter().map(|f| (optional(f.sasl_username.as_ref()), f.times)).collect();
    assert_eq!(times, [("al".to_string(), 1), ("-".to_string(), 3), ("al".to_string(), 1)]);
}

#[test]
fn dovecot_names_the_login_that_postfix_leaves_out() {
    let found = log("
        0 dovecot[50] auth: passwd-file(al@b.example,198.51.100.7): Password mismatch
        0 dovecot[50] auth: passwd-file(eve@b.example,198.51.100.7,<abc>): Password mismatch
        2 smtpd[9] warning: pc7[198.51.100.7]: SASL PLAIN authentication failed: UGFzc3dvcmQ6
        3 smtpd[9] warning: pc7[198.51.100.7]: SASL PLAIN authentication failed: UGFzc3dvcmQ6
        4 dovecot[50] auth: passwd-file(bo@b.example,198.51.100.7): Password mismatch
        60 smtpd[9] warning: pc7[198.51.100.7]: SASL PLAIN authentication failed: UGFzc3dvcmQ6");
    let logins: Vec<_> = found.auth_failures.iter().map(|f| optional(f.sasl_username.as_ref())).collect();
    assert_eq!(logins, ["al@b.example", "-", "-"]);
}

#[test]
fn earlier_answers_stand_with_the_attempt_that_follows() {
    let found = log("
        0 pickup[4] 3F2A11C0: uid=33 from=<www-data>
        0 qmgr[3] 3F2A11C0: from=<www-data@b.example>, size=1, nrcpt=2 (queue active)
        1 smtp[6] connect to mx1.a.example[192.0.2.7]:25: Connection refused
        1 smtp[66] connect to mx9.z.example[192.0.2.99]:25: Connection refused
        2 smtp[6] 3F2A11C0: host mx2.a.example[192.0.2.8] said: 451 4.7.1 later (in reply to RCPT TO command)
        3 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx3.a.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        3 smtp[6] 3F2A11C0: to=<cy@a.example>, relay=mx3.a.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
        4 smtp[6] 3F2A11C1: to=<di@a.example>, relay=mx3.a.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)");
    let message = found.message("3F2A11C0");
    let expected = [
        "mx1.a.example[192.0.2.7]:25: Connection refused",
        "mx2.a.example[192.0.2.8]: 451 4.7.1 later (in reply to RCPT TO command)",
    ];
    assert_eq!(
        (message.earlier(0), message.earlier(1)),
        (expected.map(String::from).to_vec(), expected.map(String::from).to_vec())
    );
    assert_eq!((message.attempts.len(), found.message("3F2A11C1").earlier(0).len()), (2, 0));
}

#[test]
fn an_answer_that_the_outcome_repeats_is_not_told_twice() {
    let found = log("
        1 smtp[6] connect to mx1.a.example[192.0.2.7]:25: Connection refused
        1 smtp[6] connect to mx2.a.example[192.0.2.8]:25: Connection timed out
        2 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to mx2.a.example[192.0.2.8]:25: Connection timed out)
        3 exim[0] 1tXyZa-0001Ab-2c H=mx1.a.example [192.0.2.7] Connection refused
        3 exim[0] 1tXyZa-0001Ab-2c H=mx2.a.example [192.0.2.8] Connection refused
        3 exim[0] 1tXyZa-0001Ab-2c == bo@a.example R=r T=remote_smtp defer (111): Connection refused");
    assert_eq!(found.message("3F2A11C0").earlier(0), ["mx1.a.example[192.0.2.7]:25: Connection refused"]);
    assert_eq!(found.message("1tXyZa-0001Ab-2c").earlier(0), ["mx1.a.example[192.0.2.7]: Connection refused"]);
}

#[test]
fn exims_earlier_answers_stay_with_their_recipients() {
    let found = log("
        0 exim[0] 1tXyZa-0001Ab-2c <= al@b.example U=al P=local S=300
        1 exim[0] 1tXyZa-0001Ab-2c H=mx1.a.example [192.0.2.7]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 451 later
        1 exim[0] 1tXyZa-0001Ab-2c H=mx1.z.example [192.0.2.99] Connection refused
        2 exim[0] 1tXyZa-0001Ab-2c => bo@a.example R=r T=remote_smtp H=mx2.a.example [192.0.2.8]
        2 exim[0] 1tXyZa-0001Ab-2c -> cy@a.example R=r T=remote_smtp H=mx2.a.example [192.0.2.8]
        2 exim[0] 1tXyZa-0001Ab-2c => di <di@b.example> R=r T=local_delivery");
    let message = found.message("1tXyZa-0001Ab-2c");
    assert_eq!(
        message.earlier(0),
        ["mx1.a.example[192.0.2.7]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 451 later"]
    );
    assert!(message.earlier(1).is_empty() && message.earlier(2).is_empty());
}

#[test]
fn earlier_answers_belong_to_one_try() {
    let found = log("
        0 exim[0] 1tXyZa-0001Ab-2c H=mx1.a.example [192.0.2.7] Connection refused
        0 exim[0] 1tXyZa-0001Ab-2c == bo@a.example R=r T=remote_smtp defer (-44) H=mx2.a.example [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later
        900 exim[0] 1tXyZa-0001Ab-2c => bo@a.example R=r T=remote_smtp H=mx1.a.example [192.0.2.7]
        1000 smtp[6] connect to mx1.a.example[192.0.2.7]:25: Connection refused
        9000 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx3.a.example[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 ok)");
    let message = found.message("1tXyZa-0001Ab-2c");
    assert_eq!((message.earlier(0).len(), message.earlier(1).len()), (1, 0));
    assert!(found.message("3F2A11C0").earlier(0).is_empty());
}

#[test]
fn earlier_answers_are_bounded() {
    let mut lines = String::new();
    for n in 0..30 {
        lines += &format!(
            "1 smtp[6] 3F2A11C0: host mx{n}.a.example[192.0.2.{n}] said: 451 {} (in reply to x)\n",
            "long ".repeat(400)
        );
    }
    lines +=
        "2 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.99]:25, delay=1, dsn=2.0.0, status=sent (250 ok)\n";
    for n in 0..20_000 {
        lines += &format!("3 smtp[{}] connect to mx1.a.example[192.0.2.7]:25: Connection refused\n", n + 100);
    }
    let found = log(&lines);
    let earlier = found.message("3F2A11C0").earlier(0);
    assert_eq!((earlier.len(), earlier.iter().map(String::len).max()), (10, Some(500)));
}

#[test]
fn a_script_is_known_by_where_it_ran() {
    let found = log("
        0 exim[70] cwd=/home/al/public_html 3 args: /usr/sbin/sendmail -t -i
        0 exim[71] cwd=/home/bo/public_html 3 args: /usr/sbin/sendmail -t -i
        0 exim[71] 1tXyZb-0001Ab-2c <= bo@b.example U=bo P=local S=300
        9 exim[70] 1tXyZa-0001Ab-2c <= al@b.example U=al P=local S=300
        20 exim[0] cwd=/home/cy 3 args: /usr/sbin/sendmail -t -i
        20 exim[0] cwd=/home/di 3 args: /usr/sbin/sendmail -t -i
        20 exim[0] cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc 1tXyZa-0001Ab-2c
        21 exim[0] 1tXyZd-0001Ab-2c <= di@b.example U=di P=local S=300
        21 exim[0] 1tXyZc-0001Ab-2c <= cy@b.example U=cy P=local S=300
        30 exim[0] 1tXyZe-0001Ab-2c <= ed@b.example U=ed P=local S=300");
    for (id, directory) in [
        ("1tXyZa-0001Ab-2c", "/home/al/public_html"),
        ("1tXyZb-0001Ab-2c", "/home/bo/public_html"),
        ("1tXyZc-0001Ab-2c", "/home/cy"),
        ("1tXyZd-0001Ab-2c", "/home/di"),
        ("1tXyZe-0001Ab-2c", "-"),
    ] {
        assert_eq!(optional(found.message(id).origin.directory.as_ref()), directory, "{id}");
        assert!(found.message(id).who().starts_with("uid "));
    }
}

#[test]
fn exims_child_messages_keep_the_first_identity() {
    let found = log("
        0 exim[0] 1tXyZa-0001Ab-2c <= al@b.example H=pc7 [198.51.100.7] P=esmtpsa A=login:al S=1 id=k7@b.example
        1 exim[0] 1tXyZb-0001Ab-2c <= al@b.example H=localhost [127.0.0.1] P=esmtp S=1 id=k7@b.example
        1 exim[0] 1tXyZa-0001Ab-2c => bo@a.example R=r T=filter_smtp H=127.0.0.1 [127.0.0.1]:10024 C=\"250 OK id=1tXyZb-0001Ab-2c\"
        1 exim[0] 1tXyZa-0001Ab-2c Completed
        2 exim[0] 1tXyZb-0001Ab-2c => bo@a.example R=r T=remote_smtp H=mx [192.0.2.8]
        2 exim[0] 1tXyZb-0001Ab-2c Completed");
    let child = found.message("1tXyZb-0001Ab-2c");
    assert_eq!((child.who(), child.is_continuation), ("sasl al".into(), true));
}

#[test]
fn what_exim_throws_away_at_once_is_discarded() {
    let found = log("
        0 exim[0] 1tXyZa-0001Ab-2c <= al@b.example H=pc7 [198.51.100.7] P=esmtp S=1
        0 exim[0] 1tXyZa-0001Ab-2c => blackhole (DATA ACL discarded recipients): spam
        0 exim[0] 1tXyZa-0001Ab-2c Completed");
    assert_eq!(found.message("1tXyZa-0001Ab-2c").outcome(), "1 Discarded;");
}

#[test]
fn a_list_is_named_where_the_refusal_names_none() {
    let found = log("
        0 dnsblog[5] addr 198.51.100.7 listed by domain bl.example as 127.0.0.2
        6 postscreen[4] NOQUEUE: reject: RCPT from [198.51.100.7]:40112: 550 5.7.1 Service unavailable; client [198.51.100.7] blocked; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<h>
        6 postscreen[4] NOQUEUE: reject: RCPT from [198.51.100.8]:40112: 550 5.5.1 Protocol error; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<h>");
    let lists: Vec<_> = found.rejections.iter().map(|r| optional(r.listed_by.as_ref())).collect();
    assert_eq!(lists, ["bl.example", "-"]);
}

#[test]
fn what_goes_to_the_reject_log_too_counts_once() {
    let refusal = |second: u32, pid: u32, to: &str| {
        format!("{second} exim[{pid}] H=pc7 [198.51.100.7] F=<al@b.example> rejected RCPT <{to}@a.example>: no\n")
    };
    let mut twice = String::new();
    for n in 0..5 {
        // Two processes at a time, and a client that asks for the same recipient twice.
        twice += &refusal(n * 10, 100 + n, "bo");
        twice += &refusal(n * 10, 200 + n, "cy");
        twice += &refusal(n * 10, 100 + n, "bo");
        twice += &refusal(n * 10, 200 + n, "cy");
        twice += &refusal(n * 10, 200 + n, "cy");
        twice += &refusal(n * 10, 200 + n, "cy");
    }
    assert_eq!(log(&twice).rejections.len(), 15);
    let mut once = refusal(0, 99, "di");
    for n in 1..6 {
        once += &refusal(n * 10, 100 + n, "bo");
    }
    once += &(refusal(100, 300, "cy") + &refusal(100, 300, "cy"));
    assert_eq!(log(&once).rejections.len(), 8);
}

#[test]
fn a_process_id_used_again_is_another_session() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 smtpd[9] disconnect from pc7[198.51.100.7]
        9000 smtpd[9] connect from pc7[198.51.100.7]
        9000 smtpd[9] NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 <x@a.example>: Relay access denied; from=<cy@c.example> to=<x@a.example> proto=ESMTP helo=<h>
        9001 smtpd[9] disconnect from pc7[198.51.100.7]");
    assert_eq!(optional(found.rejections[0].sasl_username.as_ref()), "-");
}

#[test]
fn a_message_too_big_is_refused_once() {
    let found = log("
        0 smtpd[9] connect from pc7[198.51.100.7]
        0 smtpd[9] 3F2A11C0: client=pc7[198.51.100.7], sasl_method=PLAIN, sasl_username=al
        1 smtpd[9] warning: 3F2A11C0: queue file size limit exceeded
        1 cleanup[5] warning: 3F2A11C0: queue file size limit exceeded
        2 smtpd[9] disconnect from pc7[198.51.100.7]");
    assert_eq!((found.rejections.len(), found.aborted), (1, 1));
    assert_eq!(optional(found.rejections[0].sasl_username.as_ref()), "al");
}

#[test]
fn address_probes_are_no_mail() {
    let found = log("
        0 qmgr[3] 3F2A11C0: from=<double-bounce@mx1>, size=1, nrcpt=1 (queue active)
        1 smtp[6] 3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.1.5, status=deliverable (250 2.1.5 OK)
        1 qmgr[3] 3F2A11C0: removed");
    assert_eq!((found.messages.len(), found.probes), (0, 1));
}

#[test]
fn what_was_not_tried_again_is_no_answer() {
    let found = log("
        0 exim[0] 1tXyZa-0001Ab-2c == bo@a.example R=r T=remote_smtp defer (-44) H=mx [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later
        900 exim[0] 1tXyZa-0001Ab-2c == bo@a.example R=r T=remote_smtp defer (-53): retry time not reached for any host for 'a.example'
        901 error[6] 3F2A11C0: to=<bo@a.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to a.example[192.0.2.8]:25: Connection refused)");
    let secondary: Vec<_> = found.messages.iter().flat_map(|m| m.attempts.iter().map(|a| a.is_secondary)).collect();
    assert_eq!(secondary.iter().filter(|s| **s).count(), 2);
    assert_eq!(secondary.len(), 3);
}
