//! Every kind of line that Postfix (2.x to 3.12) and Exim (4.8x to 4.99) write, in each of its forms, and what is read
//! from it. One test per kind; the lines are made up.

use super::{Client, Entry, Outcome, Parent, Parsed, exim, postfix};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn optional(name: &str, bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(" {name}={}", text(bytes)))
}

fn client(client: &Client<'_>) -> String {
    let port = client.port.map_or_else(String::new, |port| format!(":{port}"));
    let helo = if client.helo.is_empty() { String::new() } else { format!(" helo={}", text(client.helo)) };
    format!("{}[{}]{port}{helo}", text(client.name), text(client.ip))
}

/// What a line came to, in one line: the kind, then the fields that it has.
fn shown(parsed: &Parsed<'_>) -> String {
    let entry = match parsed {
        Parsed::Ignored(reason) => return format!("ignored {reason}"),
        Parsed::Unknown => return "unknown".into(),
        Parsed::Entry(entry) => entry,
    };
    match entry {
        Entry::Arrival(a) => {
            let parent = match a.parent {
                Some(Parent::Hop(id)) => format!(" hop={id}"),
                Some(Parent::Bounced(id)) => format!(" bounced={id}"),
                None => String::new(),
            };
            let orig = a.orig_client.as_ref().map_or_else(String::new, |c| format!(" orig={}", client(c)));
            format!(
                "arrival {}{}{}{}{}{}{}{parent}{orig}",
                a.client.as_ref().map_or_else(String::new, client),
                optional("sasl", a.sasl_username),
                optional("user", a.local_user),
                optional("from", a.sender),
                optional("id", a.message_id),
                a.size.map_or_else(String::new, |n| format!(" size={n}")),
                a.recipients.map_or_else(String::new, |n| format!(" recipients={n}")),
            )
        }
        Entry::MessageId { message_id, .. } => format!("message-id {}", text(message_id)),
        Entry::Subject { subject, .. } => format!("subject {}", text(subject)),
        Entry::Queued { sender, size, recipients, .. } => {
            format!("queued from={} size={} recipients={recipients}", text(sender), size.unwrap_or(0))
        }
        Entry::Delivery(d) => {
            let outcome = match d.outcome {
                Outcome::Delivered => "delivered",
                Outcome::Deferred => "deferred",
                Outcome::Bounced => "bounced",
                Outcome::Expired => "expired",
                Outcome::Discarded => "discarded",
                Outcome::Probed => "probed",
            };
            let relay = Client { name: d.relay_host, ip: d.relay_ip, helo: &[], port: d.relay_port };
            format!(
                "{outcome}{} to={}{}{} relay={} {}{}:: {}",
                if d.is_secondary { " secondary" } else { "" },
                text(d.recipient),
                optional("orig", Some(d.orig_recipient).filter(|o| !o.is_empty())),
                optional("from", d.sender),
                client(&relay),
                d.enhanced_code.map_or_else(String::new, |c| format!("{c} ")),
                d.next.map_or_else(String::new, |id| format!("next={id} ")),
                text(d.response),
            )
        }
        Entry::Interim(i) => {
            let relay = Client { name: i.relay_host, ip: i.relay_ip, helo: &[], port: i.relay_port };
            let id = if i.queue_id.is_some() { "" } else { " no id" };
            format!("interim{id} {}{} :: {}", client(&relay), optional("to", i.recipient), text(i.answer))
        }
        Entry::Held(h) => format!(
            "held {} {}{}{} :: {}",
            h.stage,
            client(&h.client),
            optional("from", h.sender),
            optional("to", h.recipient),
            text(h.response)
        ),
        Entry::Rejection(r) => format!(
            "{}{} {} {}{}{}{}{} {}{}:: {}",
            if r.is_discard {
                "discard"
            } else if r.is_permanent {
                "rejection"
            } else {
                "tempfail"
            },
            if r.ends_message { " of message" } else { "" },
            r.stage,
            client(&r.client),
            optional("from", r.sender),
            optional("to", r.recipient),
            optional("sasl", r.sasl_username),
            optional("user", r.local_user),
            r.smtp_code.map_or_else(String::new, |c| format!("{c} ")),
            r.enhanced_code.map_or_else(String::new, |c| format!("{c} ")),
            text(r.response),
        ),
        Entry::AuthFailure(f) => format!(
            "login {} {}{} :: {}",
            if f.is_permanent { "failed" } else { "not checked" },
            client(&f.client),
            optional("sasl", f.sasl_username),
            text(f.response)
        ),
        Entry::Expired { .. } => "expired".into(),
        Entry::Closed { .. } => "closed".into(),
        Entry::Removed { .. } => "removed".into(),
        Entry::Deleted { .. } => "deleted".into(),
        Entry::GivenUp { .. } => "given up".into(),
        Entry::Requeued { .. } => "requeued".into(),
        Entry::Released { .. } => "released".into(),
        Entry::Blackholed { .. } => "blackholed".into(),
        Entry::Notice { parent, child } => format!("notice {child} about {parent}"),
        Entry::Handover { child } => format!("handover {child}"),
        Entry::Connected { client: c } => format!("connected {}", client(c)),
        Entry::Disconnected { client: c, failed_logins } => {
            format!("disconnected {} failed={failed_logins}", client(c))
        }
        Entry::Session { client: c, sasl_username } => {
            format!("session {}{}", client(c), optional("sasl", *sasl_username))
        }
        Entry::Invoked { directory } => format!("called in {}", text(directory)),
        Entry::Listed { ip, list } => format!("listed {} by {}", text(ip), text(list)),
        Entry::LoginRefused { ip, sasl_username } => format!("refused {} {}", text(ip), text(sasl_username)),
    }
}

/// Checks each line of a Postfix service against what it says.
#[track_caller]
fn postfix(service: &str, lines: &[(&str, &str)]) {
    for (body, expected) in lines {
        assert_eq!(shown(&postfix::line(service.as_bytes(), false, body.as_bytes())), *expected, "{service}: {body}");
    }
}

/// Checks each Exim line against what it says.
#[track_caller]
fn exim(lines: &[(&str, &str)]) {
    for (body, expected) in lines {
        assert_eq!(shown(&exim::line(body.as_bytes())), *expected, "{body}");
    }
}

#[test]
fn smtpd_connect_and_disconnect() {
    postfix(
        "smtpd",
        &[
            ("connect from pc7[198.51.100.7]", "connected pc7[198.51.100.7]"),
            ("connect from unknown[2001:db8::7]:40112", "connected [2001:db8::7]:40112"),
            ("connect from unknown[unknown]", "connected []"),
            ("disconnect from pc7[198.51.100.7]", "disconnected pc7[198.51.100.7] failed=0"),
            (
                "disconnect from pc7[198.51.100.7] ehlo=1 auth=0/3 quit=1 commands=2/5",
                "disconnected pc7[198.51.100.7] failed=3",
            ),
            (
                "disconnect from pc7[198.51.100.7] ehlo=2 auth=1/3 mail=1 commands=4/6",
                "disconnected pc7[198.51.100.7] failed=2",
            ),
            (
                "disconnect from pc7[198.51.100.7] ehlo=1 auth=1 quit=1 commands=3",
                "disconnected pc7[198.51.100.7] failed=0",
            ),
        ],
    );
}

#[test]
fn smtpd_client() {
    postfix(
        "smtpd",
        &[
            ("3F2A11C0: client=pc7[198.51.100.7]", "arrival pc7[198.51.100.7]"),
            (
                "4gXh2K0T1dz9sWq: client=pc7[198.51.100.7]:40112, sasl_method=PLAIN, sasl_username=al@b.example, sasl_sender=x@b.example",
                "arrival pc7[198.51.100.7]:40112 sasl=al@b.example",
            ),
            (
                "9D1EA3: client=localhost[127.0.0.1], orig_queue_id=3F2A11C0, orig_client=pc7[198.51.100.7]",
                "arrival localhost[127.0.0.1] hop=3F2A11C0 orig=pc7[198.51.100.7]",
            ),
            (
                "NOQUEUE: client=pc7[198.51.100.7], sasl_method=LOGIN, sasl_username=al",
                "session pc7[198.51.100.7] sasl=al",
            ),
        ],
    );
}

#[test]
fn smtpd_reject_at_every_stage() {
    postfix(
        "smtpd",
        &[
            (
                "NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 <bo@a.example>: Relay access denied; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<pc7> sasl_method=PLAIN sasl_username=al@b.example",
                "rejection rcpt pc7[198.51.100.7] helo=pc7 from=al@b.example to=bo@a.example sasl=al@b.example 554 5.7.1 :: <bo@a.example>: Relay access denied",
            ),
            (
                "3F2A11C0: reject: RCPT from pc7[198.51.100.7]: 450 <bo@a.example>: Recipient address rejected: Greylisted; from=<al@b.example> to=<bo@a.example> proto=SMTP helo=<h>",
                "tempfail rcpt pc7[198.51.100.7] helo=h from=al@b.example to=bo@a.example 450 :: <bo@a.example>: Recipient address rejected: Greylisted",
            ),
            (
                "NOQUEUE: reject: MAIL from pc7[198.51.100.7]: 552 5.3.4 Message size exceeds fixed limit; proto=ESMTP helo=<pc7>",
                "rejection mail pc7[198.51.100.7] helo=pc7 552 5.3.4 :: Message size exceeds fixed limit",
            ),
            (
                "NOQUEUE: reject: VRFY from pc7[198.51.100.7]: 550 5.1.1 <q>: Recipient address rejected: User unknown; to=<q> proto=SMTP helo=<h>",
                "rejection rcpt pc7[198.51.100.7] helo=h to=q 550 5.1.1 :: <q>: Recipient address rejected: User unknown",
            ),
            (
                "NOQUEUE: reject: CONNECT from pc7[198.51.100.7]: 554 5.7.1 <pc7[198.51.100.7]>: Client host rejected: Access denied; proto=SMTP",
                "rejection connect pc7[198.51.100.7] 554 5.7.1 :: <pc7[198.51.100.7]>: Client host rejected: Access denied",
            ),
            (
                "NOQUEUE: reject: EHLO from pc7[198.51.100.7]: 504 5.5.2 <h>: Helo command rejected: need fully-qualified hostname; proto=SMTP helo=<h>",
                "rejection helo pc7[198.51.100.7] helo=h 504 5.5.2 :: <h>: Helo command rejected: need fully-qualified hostname",
            ),
            (
                "NOQUEUE: reject: ETRN from pc7[198.51.100.7]: 459 4.7.1 <a.example>: Etrn command rejected; proto=ESMTP helo=<h>",
                "tempfail rcpt pc7[198.51.100.7] helo=h 459 4.7.1 :: <a.example>: Etrn command rejected",
            ),
            (
                "NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using bl.example; listed; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "rejection rcpt pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 554 5.7.1 :: Service unavailable; Client host [198.51.100.7] blocked using bl.example; listed",
            ),
            (
                "3F2A11C0: reject: DATA from pc7[198.51.100.7]: 503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining; from=<a@b.example> proto=ESMTP helo=<h>",
                "rejection of message data pc7[198.51.100.7] helo=h from=a@b.example 503 5.5.0 :: <DATA>: Data command rejected: Improper use of SMTP command pipelining",
            ),
            (
                "3F2A11C0: reject: BDAT from pc7[198.51.100.7]: 521 5.5.2 <pc7>: Error: bare <LF> received; from=<a@b.example> proto=ESMTP helo=<h>",
                "rejection of message data pc7[198.51.100.7] helo=h from=a@b.example 521 5.5.2 :: <pc7>: Error: bare <LF> received",
            ),
            (
                "NOQUEUE: reject: DATA from pc7[198.51.100.7]: 521 5.5.2 Error: bare <LF> received; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "rejection data pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 521 5.5.2 :: Error: bare <LF> received",
            ),
            (
                "3F2A11C0: reject: END-OF-MESSAGE from pc7[198.51.100.7]: 550 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: no; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "rejection of message eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 550 5.7.1 :: <END-OF-MESSAGE>: End-of-data rejected: no",
            ),
            (
                "NOQUEUE: reject: AUTH from pc7[198.51.100.7]: 530 5.7.0 Must issue a STARTTLS command first; proto=ESMTP helo=<h>",
                "rejection auth pc7[198.51.100.7] helo=h 530 5.7.0 :: Must issue a STARTTLS command first",
            ),
            (
                "bare <LF> received after DATA (99 bytes) from pc7[198.51.100.7]",
                "rejection data pc7[198.51.100.7] 5.5.2 :: bare <LF> received",
            ),
            (
                "NOQUEUE: bare <LF> received after EHLO from pc7[198.51.100.7]",
                "rejection helo pc7[198.51.100.7] 5.5.2 :: bare <LF> received",
            ),
            (
                "3F2A11C0: bare <LF> received after BDAT from pc7[198.51.100.7]",
                "rejection of message data pc7[198.51.100.7] 5.5.2 :: bare <LF> received",
            ),
            ("reject: ETRN a.example... from pc7[198.51.100.7]", "rejection rcpt pc7[198.51.100.7] :: "),
            ("NOQUEUE: reject: RCPT from pc7[198.51", "unknown"),
        ],
    );
}

#[test]
fn smtpd_what_is_no_refusal() {
    postfix(
        "smtpd",
        &[
            (
                "NOQUEUE: reject_warning: RCPT from pc7[198.51.100.7]: 550 5.1.1 <c@d>: User unknown; from=<a@b> to=<c@d>",
                "ignored advice",
            ),
            (
                "NOQUEUE: filter: RCPT from pc7[198.51.100.7]: <c@d>: Recipient address triggers FILTER smtp:[127.0.0.1]:10025; from=<a@b> to=<c@d>",
                "ignored advice",
            ),
            (
                "NOQUEUE: redirect: RCPT from pc7[198.51.100.7]: <c@d>: Recipient address triggers REDIRECT x@d; from=<a@b> to=<c@d>",
                "ignored advice",
            ),
            ("NOQUEUE: warn: RCPT from pc7[198.51.100.7]: <c@d>: look; from=<a@b> to=<c@d>", "ignored advice"),
            (
                "NOQUEUE: bcc: RCPT from pc7[198.51.100.7]: <c@d>: triggers BCC x@d; from=<a@b> to=<c@d>",
                "ignored advice",
            ),
            ("NOQUEUE: prepend: RCPT from pc7[198.51.100.7]: <c@d>: X-A: b; from=<a@b> to=<c@d>", "ignored advice"),
            ("NOQUEUE: info: RCPT from pc7[198.51.100.7]: <c@d>: x; from=<a@b> to=<c@d>", "ignored advice"),
            ("NOQUEUE: hangup: RCPT from pc7[198.51.100.7]: <c@d>: x; from=<a@b> to=<c@d>", "ignored advice"),
            ("NOQUEUE: delay: RCPT from pc7[198.51.100.7]: <c@d>: x; from=<a@b> to=<c@d>", "ignored advice"),
        ],
    );
}

#[test]
fn smtpd_hold_and_discard() {
    postfix(
        "smtpd",
        &[
            (
                "NOQUEUE: hold: RCPT from pc7[198.51.100.7]: <c@d.example>: Recipient address triggers HOLD action; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "held rcpt pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example :: <c@d.example>: Recipient address triggers HOLD action",
            ),
            (
                "3F2A11C0: discard: RCPT from pc7[198.51.100.7]: <c@d.example>: Recipient address triggers DISCARD action; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "discard rcpt pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example :: <c@d.example>: Recipient address triggers DISCARD action",
            ),
        ],
    );
}

#[test]
fn smtpd_milters_and_proxies() {
    postfix(
        "smtpd",
        &[
            (
                "NOQUEUE: milter-reject: CONNECT from pc7[198.51.100.7]: 451 4.7.1 Service unavailable - try again later; proto=SMTP",
                "tempfail connect pc7[198.51.100.7] 451 4.7.1 :: Service unavailable - try again later",
            ),
            (
                "NOQUEUE: milter-reject: EHLO from pc7[198.51.100.7]: 550 5.7.1 no; proto=SMTP helo=<h>",
                "rejection helo pc7[198.51.100.7] helo=h 550 5.7.1 :: no",
            ),
            (
                "NOQUEUE: milter-reject: MAIL from pc7[198.51.100.7]: 550 5.7.1 no; from=<a@b.example> proto=ESMTP helo=<h>",
                "rejection mail pc7[198.51.100.7] helo=h from=a@b.example 550 5.7.1 :: no",
            ),
            (
                "NOQUEUE: milter-reject: RCPT from pc7[198.51.100.7]: 450 4.7.1 <c@d.example>: Try again later; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "tempfail rcpt pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 450 4.7.1 :: <c@d.example>: Try again later",
            ),
            (
                "proxy-reject: END-OF-MESSAGE: 554 5.7.0 no; from=<> to=<c@d.example> proto=SMTP helo=<h>",
                "rejection eod [] helo=h from= to=c@d.example 554 5.7.0 :: no",
            ),
            (
                "NOQUEUE: proxy-reject: END-OF-MESSAGE: 554 5.7.0 no; from=<> to=<c@d.example> proto=SMTP helo=<h>",
                "rejection eod [] helo=h from= to=c@d.example 554 5.7.0 :: no",
            ),
            (
                "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 9D1EA3; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "handover 9D1EA3",
            ),
            (
                "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "ignored filter",
            ),
        ],
    );
}

#[test]
fn smtpd_sessions_that_break_off() {
    for line in [
        "lost connection after DATA (4096 bytes) from unknown[198.51.100.7]",
        "lost connection after RCPT from pc7[198.51.100.7]",
        "timeout after END-OF-MESSAGE from pc7[198.51.100.7]",
        "too many errors after AUTH from pc7[198.51.100.7]",
        "NOQUEUE: lost connection after AUTH from pc7[198.51.100.7]",
        "3F2A11C0: lost connection after DATA (approximately 4096 bytes) from pc7[198.51.100.7]",
        "3F2A11C0: timeout after DATA from pc7[198.51.100.7]",
        "NOQUEUE: too many errors after UNKNOWN from pc7[198.51.100.7]",
        "improper command pipelining after DATA from pc7[198.51.100.7]: QUIT\\r\\n",
        "NOQUEUE: abort: TLS from pc7[198.51.100.7]: ",
        "abort: TLS from pc7[198.51.100.7]",
    ] {
        postfix("smtpd", &[(line, "ignored connection")]);
    }
    for line in [
        "pc7[198.51.100.7]: replacing command \"XHLO h\" with \"EHLO h\"",
        "discarding EHLO keywords: CHUNKING",
        "pc7[198.51.100.7]:40112: discarding EHLO keywords: CHUNKING",
    ] {
        postfix("smtpd", &[(line, "ignored workaround")]);
    }
}

#[test]
fn smtpd_failed_logins() {
    postfix(
        "smtpd",
        &[
            (
                "warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=al",
                "login failed pc7[198.51.100.7] sasl=al :: authentication failed: UGFzc3dvcmQ6",
            ),
            (
                "warning: pc7[198.51.100.7]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=(unavailable)",
                "login failed pc7[198.51.100.7] :: authentication failed: (reason unavailable)",
            ),
            (
                "warning: pc7[198.51.100.7]: SASL PLAIN authentication failed:",
                "login failed pc7[198.51.100.7] :: authentication failed:",
            ),
            (
                "warning: pc7[198.51.100.7]: SASL CRAM-MD5 authentication aborted",
                "login failed pc7[198.51.100.7] :: authentication aborted",
            ),
            (
                "warning: pc7[198.51.100.7]: SASL FOO authentication failed: Invalid authentication mechanism",
                "login failed pc7[198.51.100.7] :: authentication failed: Invalid authentication mechanism",
            ),
            (
                "warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: Connection lost to authentication server",
                "login not checked pc7[198.51.100.7] :: authentication failed: Connection lost to authentication server",
            ),
            ("warning: SASL authentication failure: Password verification failed", "ignored warning"),
        ],
    );
}

#[test]
fn smtpd_limits_of_anvil() {
    postfix(
        "smtpd",
        &[
            (
                "warning: Connection concurrency limit exceeded: 51 from pc7[198.51.100.7] for service smtp",
                "tempfail connect pc7[198.51.100.7] 421 :: Connection concurrency limit exceeded: 51 from pc7[198.51.100.7] for service smtp",
            ),
            (
                "warning: Connection rate limit exceeded: 31 from pc7[198.51.100.7] for service smtp",
                "tempfail connect pc7[198.51.100.7] 421 :: Connection rate limit exceeded: 31 from pc7[198.51.100.7] for service smtp",
            ),
            (
                "warning: Message delivery request rate limit exceeded: 41 from pc7[198.51.100.7] for service smtp",
                "tempfail mail pc7[198.51.100.7] 450 :: Message delivery request rate limit exceeded: 41 from pc7[198.51.100.7] for service smtp",
            ),
            (
                "warning: Recipient address rate limit exceeded: 91 from pc7[198.51.100.7] for service smtp",
                "tempfail rcpt pc7[198.51.100.7] 450 :: Recipient address rate limit exceeded: 91 from pc7[198.51.100.7] for service smtp",
            ),
            (
                "warning: AUTH command rate limit exceeded: 11 from pc7[198.51.100.7] for service smtp",
                "tempfail auth pc7[198.51.100.7] 450 :: AUTH command rate limit exceeded: 11 from pc7[198.51.100.7] for service smtp",
            ),
            (
                "warning: New TLS session rate limit exceeded: 11 from pc7[198.51.100.7] for service smtp",
                "tempfail helo pc7[198.51.100.7] 454 :: New TLS session rate limit exceeded: 11 from pc7[198.51.100.7] for service smtp",
            ),
        ],
    );
}

#[test]
fn smtpd_warnings() {
    for line in [
        "warning: hostname pc7.b.example does not resolve to address 198.51.100.7: Name or service not known",
        "warning: 198.51.100.7: hostname pc7 verification failed: Name or service not known",
        "warning: 198.51.100.7: address not listed for hostname pc7",
        "warning: numeric hostname: 198.51.100.7",
        "warning: Illegal address syntax from pc7[198.51.100.7] in RCPT command: <'bo'@a.example>",
        "warning: non-SMTP command from pc7[198.51.100.7]: GET / HTTP/1.1",
        "warning: problem talking to server 127.0.0.1:10023: Connection refused",
        "warning: hash:/etc/postfix/access lookup error for \"x\"",
        "warning: TLS library problem: error:0A000076:SSL routines::no suitable signature algorithm",
    ] {
        postfix("smtpd", &[(line, "ignored warning")]);
    }
    postfix(
        "smtpd",
        &[(
            "warning: 3F2A11C0: queue file size limit exceeded",
            "rejection of message eod [] 552 5.3.4 :: queue file size limit exceeded",
        )],
    );
}

#[test]
fn cleanup_message_id() {
    postfix(
        "cleanup",
        &[
            ("3F2A11C0: message-id=<k7@b.example>", "message-id k7@b.example"),
            ("3F2A11C0: message-id=", "message-id "),
            ("3F2A11C0: message-id=<>", "message-id "),
            ("3F2A11C0: message-id=2026-03-04 05:06", "message-id 2026-03-04 05:06"),
            ("3F2A11C0: resent-message-id=<k8@b.example>", "ignored header"),
        ],
    );
}

#[test]
fn cleanup_refusals() {
    postfix(
        "cleanup",
        &[
            (
                "3F2A11C0: milter-reject: END-OF-MESSAGE from pc7[198.51.100.7]: 5.7.1 no; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "rejection of message eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 5.7.1 :: no",
            ),
            (
                "3F2A11C0: milter-hold: END-OF-MESSAGE from pc7[198.51.100.7]: looks odd; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "held eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example :: looks odd",
            ),
            (
                "3F2A11C0: milter-header-reject: header Subject: x from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>: 5.7.1 no",
                "rejection of message eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 5.7.1 :: no",
            ),
            (
                "3F2A11C0: milter-header-warning: header X-A: b from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>",
                "ignored advice",
            ),
            (
                "3F2A11C0: reject: body x from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>: 5.7.1 no",
                "rejection of message eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example 5.7.1 :: no",
            ),
            (
                "3F2A11C0: hold: header Subject: x from local; from=<a@b.example> to=<c@d.example>: look",
                "held eod [] from=a@b.example to=c@d.example :: look",
            ),
            (
                "3F2A11C0: discard: header Subject: x from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>: away",
                "discard of message eod pc7[198.51.100.7] helo=h from=a@b.example to=c@d.example :: away",
            ),
            (
                "3F2A11C0: reject: mime-error improper use of 8-bit data in message header: Subject from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example>",
                "rejection of message eod pc7[198.51.100.7] from=a@b.example to=c@d.example :: ",
            ),
        ],
    );
    for word in ["warning", "info", "prepend", "replace", "strip", "filter", "redirect", "bcc"] {
        let line = format!(
            "3F2A11C0: {word}: header Subject: x from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>"
        );
        postfix("cleanup", &[(&line, "subject x")]);
        postfix("cleanup", &[(&line.replace("Subject", "X-Mailer"), "ignored advice")]);
    }
    // The subject is the sender's own text.
    let forged = "3F2A11C0: warning: header Subject: a from local; from=<x> from pc7[198.51.100.7]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>";
    postfix("cleanup", &[(forged, "subject a from local; from=<x>")]);
}

#[test]
fn cleanup_bounces_after_acceptance_and_cancels() {
    postfix(
        "cleanup",
        &[
            (
                "3F2A11C0: to=<c@d.example>, relay=none, delay=0.1, delays=0.1/0/0/0, dsn=5.7.1, status=bounced (5.7.1 no)",
                "bounced to=c@d.example relay=[] 5.7.1 :: 5.7.1 no",
            ),
            ("3F2A11C0: removed (canceled)", "closed"),
        ],
    );
}

#[test]
fn pickup_uid() {
    postfix(
        "pickup",
        &[
            ("3F2A11C0: uid=33 from=<www-data>", "arrival  user=33 from=www-data"),
            ("3F2A11C0: uid=33 from=<www-data> orig_id=9D1EA3", "arrival  user=33 from=www-data hop=9D1EA3"),
        ],
    );
}

#[test]
fn qmgr_lines() {
    postfix(
        "qmgr",
        &[
            (
                "3F2A11C0: from=<al@b.example>, size=2311, nrcpt=2 (queue active)",
                "queued from=al@b.example size=2311 recipients=2",
            ),
            ("3F2A11C0: from=<>, size=2311, nrcpt=1 (queue active)", "queued from= size=2311 recipients=1"),
            ("3F2A11C0: removed", "closed"),
            ("3F2A11C0: from=<al@b.example>, status=expired, returned to sender", "expired"),
            ("3F2A11C0: from=<al@b.example>, status=force-expired, returned to sender", "expired"),
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=3, delays=3/0/0/0, dsn=4.3.0, status=deferred (mail transport unavailable)",
                "deferred secondary to=bo@a.example relay=[] 4.3.0 :: mail transport unavailable",
            ),
            ("3F2A11C0: skipped, still being delivered", "ignored queue state"),
        ],
    );
}

#[test]
fn smtp_outcomes() {
    postfix(
        "smtp",
        &[
            (
                "3F2A11C0: to=<bo@a.example>, relay=mx.a.example[192.0.2.8]:25, conn_use=2, delay=1.2, delays=0.1/0.02/0.5/0.58, tls=verified, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9D1EA3)",
                "delivered to=bo@a.example relay=mx.a.example[192.0.2.8]:25 2.0.0 next=9D1EA3 :: 250 2.0.0 Ok: queued as 9D1EA3",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, orig_to=<team>, relay=mx.a.example[192.0.2.8]:25, delay=1, delays=0/0/1/0, tls=dane, requiretls=yes, dsn=5.1.1, status=bounced (host mx.a.example[192.0.2.8] said: 550 5.1.1 gone (in reply to RCPT TO command))",
                "bounced to=bo@a.example orig=team relay=mx.a.example[192.0.2.8]:25 5.1.1 :: host mx.a.example[192.0.2.8] said: 550 5.1.1 gone (in reply to RCPT TO command)",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=90, delays=60/0/30/0, dsn=4.4.1, status=deferred (connect to mx.a.example[192.0.2.8]:25: Connection timed out)",
                "deferred to=bo@a.example relay=mx.a.example[192.0.2.8]:25 4.4.1 :: connect to mx.a.example[192.0.2.8]:25: Connection timed out",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to mx.a.example[192.0.2.8]:25: Connection refused)",
                "deferred secondary to=bo@a.example relay=mx.a.example[192.0.2.8]:25 4.4.1 :: delivery temporarily suspended: connect to mx.a.example[192.0.2.8]:25: Connection refused",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=1, dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=a.example type=A: Host not found)",
                "bounced to=bo@a.example relay=[] 5.4.4 :: Host or domain name not found. Name service error for name=a.example type=A: Host not found",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=mx.a.example[192.0.2.8]:25, delay=1, dsn=2.1.5, status=deliverable (250 2.1.5 OK)",
                "probed to=bo@a.example relay=mx.a.example[192.0.2.8]:25 2.1.5 :: 250 2.1.5 OK",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=mx.a.example[192.0.2.8]:25, delay=1, dsn=5.1.1, status=undeliverable (550 5.1.1 gone)",
                "probed to=bo@a.example relay=mx.a.example[192.0.2.8]:25 5.1.1 :: 550 5.1.1 gone",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=mx.a.example[192.0.2.8]:25, delay=1, dsn=5.1.1, status=SOFTBOUNCE (550 5.1.1 gone)",
                "deferred to=bo@a.example relay=mx.a.example[192.0.2.8]:25 5.1.1 :: 550 5.1.1 gone",
            ),
        ],
    );
}

#[test]
fn smtp_interim_answers() {
    postfix(
        "smtp",
        &[
            (
                "3F2A11C0: host mx.a.example[192.0.2.8] said: 451 4.7.1 later (in reply to RCPT TO command)",
                "interim mx.a.example[192.0.2.8] :: 451 4.7.1 later (in reply to RCPT TO command)",
            ),
            (
                "3F2A11C0: host mx.a.example[192.0.2.8] refused to talk to me: 421 4.7.0 busy",
                "interim mx.a.example[192.0.2.8] :: refused to talk to me: 421 4.7.0 busy",
            ),
            (
                "3F2A11C0: lost connection with mx.a.example[2001:db8::8] while receiving the initial server greeting",
                "interim mx.a.example[2001:db8::8] :: lost connection with mx.a.example[2001:db8::8] while receiving the initial server greeting",
            ),
            (
                "3F2A11C0: conversation with mx.a.example[192.0.2.8] timed out while sending RCPT TO",
                "interim mx.a.example[192.0.2.8] :: conversation with mx.a.example[192.0.2.8] timed out while sending RCPT TO",
            ),
            ("connect to subsystem private/bounce", "ignored debug"),
            (
                "connect to mx.a.example[192.0.2.8]:25: Connection refused",
                "interim no id mx.a.example[192.0.2.8]:25 :: Connection refused",
            ),
            (
                "3F2A11C0: SASL authentication failed; server mx.a.example[192.0.2.8] said: 535 5.7.8 no",
                "interim mx.a.example[192.0.2.8] :: 535 5.7.8 no",
            ),
            (
                "3F2A11C0: TLS is required, but was not offered by host mx.a.example[192.0.2.8]",
                "interim mx.a.example[192.0.2.8] :: TLS is required, but was not offered by host mx.a.example[192.0.2.8]",
            ),
            ("3F2A11C0: Cannot start TLS: handshake failure", "interim [] :: Cannot start TLS: handshake failure"),
            (
                "3F2A11C0: message size 99 exceeds size limit 9 of server mx.a.example[192.0.2.8]",
                "interim mx.a.example[192.0.2.8] :: message size 99 exceeds size limit 9 of server mx.a.example[192.0.2.8]",
            ),
            ("3F2A11C0: Server certificate not trusted", "interim [] :: Server certificate not trusted"),
        ],
    );
    postfix(
        "lmtp",
        &[(
            "connect to x[private/dovecot-lmtp]: No such file or directory",
            "interim no id x[private/dovecot-lmtp] :: No such file or directory",
        )],
    );
}

#[test]
fn smtp_tls_and_workarounds() {
    for line in [
        "Untrusted TLS connection established to mx[192.0.2.8]:25: TLSv1.3 with cipher X (256/256 bits)",
        "Trusted TLS connection established to mx[192.0.2.8]:25: TLSv1.3",
        "Verified TLS connection reused to mx[192.0.2.8]:25: TLSv1.3",
        "Anonymous TLS connection established to mx[192.0.2.8]:25: TLSv1.3",
        "certificate verification failed for mx[192.0.2.8]:25: self-signed certificate",
        "SSL_connect error to mx[192.0.2.8]:25: -1",
        "Host offered STARTTLS: [mx]",
    ] {
        postfix("smtp", &[(line, "ignored tls")]);
    }
    for line in [
        "3F2A11C0: enabling PIX workarounds: disable_esmtp for mx[192.0.2.8]:25",
        "3F2A11C0: breaking line > 998 bytes with <CR><LF>SPACE",
        "mx[192.0.2.8]:25: replacing server reply \"x\" with \"y\"",
    ] {
        postfix("smtp", &[(line, "ignored workaround")]);
    }
}

#[test]
fn local_virtual_and_pipe() {
    postfix(
        "local",
        &[
            (
                "3F2A11C0: to=<bo@a.example>, relay=local, delay=0.1, delays=0.1/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)",
                "delivered to=bo@a.example relay=local[] 2.0.0 :: delivered to mailbox",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=local, delay=0.1, dsn=2.0.0, status=sent (forwarded as 9D1EA3)",
                "delivered to=bo@a.example relay=local[] 2.0.0 next=9D1EA3 :: forwarded as 9D1EA3",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=local, delay=0.1, dsn=5.3.0, status=bounced (Command died with status 1: \"/bin/x\")",
                "bounced to=bo@a.example relay=local[] 5.3.0 :: Command died with status 1: \"/bin/x\"",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=local, delay=0.1, dsn=4.3.0, status=deferred (temporary failure. Command output: x queued as 9D1EA3)",
                "deferred to=bo@a.example relay=local[] 4.3.0 :: temporary failure. Command output: x queued as 9D1EA3",
            ),
        ],
    );
    postfix(
        "virtual",
        &[(
            "3F2A11C0: to=<bo@a.example>, relay=virtual, delay=0.1, dsn=5.2.2, status=bounced (maildir delivery failed: over quota)",
            "bounced to=bo@a.example relay=virtual[] 5.2.2 :: maildir delivery failed: over quota",
        )],
    );
    postfix(
        "pipe",
        &[(
            "3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=0.1, dsn=2.0.0, status=sent (delivered via spamfilter service)",
            "delivered to=bo@a.example relay=spamfilter[] 2.0.0 :: delivered via spamfilter service",
        )],
    );
}

#[test]
fn error_discard_and_retry() {
    postfix(
        "error",
        &[
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=0, dsn=5.0.0, status=bounced (not here)",
                "bounced to=bo@a.example relay=[] 5.0.0 :: not here",
            ),
            (
                "3F2A11C0: to=<bo@a.example>, relay=none, delay=1, dsn=4.7.1, status=deferred (delivery temporarily suspended: host mx[192.0.2.8] said: 451 4.7.1 later (in reply to RCPT TO command))",
                "deferred secondary to=bo@a.example relay=mx[192.0.2.8] 4.7.1 :: delivery temporarily suspended: host mx[192.0.2.8] said: 451 4.7.1 later (in reply to RCPT TO command)",
            ),
        ],
    );
    postfix(
        "discard",
        &[(
            "3F2A11C0: to=<bo@a.example>, relay=none, delay=0, dsn=2.0.0, status=sent (away)",
            "discarded to=bo@a.example relay=[] 2.0.0 :: away",
        )],
    );
}

#[test]
fn bounce_notices() {
    postfix(
        "bounce",
        &[
            ("3F2A11C0: sender non-delivery notification: 8E0B22", "notice 8E0B22 about 3F2A11C0"),
            ("3F2A11C0: sender delay notification: 8E0B22", "notice 8E0B22 about 3F2A11C0"),
            ("3F2A11C0: sender delivery status notification: 8E0B22", "notice 8E0B22 about 3F2A11C0"),
            ("3F2A11C0: postmaster non-delivery notification: 8E0B22", "notice 8E0B22 about 3F2A11C0"),
            ("3F2A11C0: postmaster delay notification: 8E0B22", "notice 8E0B22 about 3F2A11C0"),
            ("3F2A11C0: undeliverable postmaster notification discarded", "ignored queue state"),
            ("3F2A11C0: sender notification failed: x", "ignored queue state"),
        ],
    );
}

#[test]
fn postscreen_refusals() {
    postfix(
        "postscreen",
        &[
            (
                "NOQUEUE: reject: RCPT from [198.51.100.7]:40112: 550 5.7.1 Service unavailable; client [198.51.100.7] blocked using bl.example; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<h>",
                "rejection rcpt [198.51.100.7]:40112 helo=h from=a@b.example to=c@d.example 550 5.7.1 :: Service unavailable; client [198.51.100.7] blocked using bl.example",
            ),
            (
                "NOQUEUE: reject: CONNECT from [198.51.100.7]:40112: too many connections",
                "tempfail connect [198.51.100.7]:40112 421 :: too many connections",
            ),
            (
                "NOQUEUE: reject: CONNECT from [198.51.100.7]:40112: all server ports busy",
                "tempfail connect [198.51.100.7]:40112 421 :: all server ports busy",
            ),
            (
                "reject: connect from [198.51.100.7]:40112: all screening ports busy",
                "tempfail connect [198.51.100.7]:40112 421 :: all screening ports busy",
            ),
        ],
    );
}

#[test]
fn postscreen_tests() {
    for line in [
        "PREGREET 14 after 0.08 from [198.51.100.7]:40112: EHLO h\\r\\n",
        "HANGUP after 3.2 from [198.51.100.7]:40112 in tests after SMTP handshake",
        "DNSBL rank 3 for [198.51.100.7]:40112",
        "COMMAND PIPELINING from [198.51.100.7]:40112 after EHLO: MAIL",
        "COMMAND TIME LIMIT from [198.51.100.7]:40112 after CONNECT",
        "COMMAND COUNT LIMIT from [198.51.100.7]:40112 after RCPT",
        "COMMAND LENGTH LIMIT from [198.51.100.7]:40112 after RCPT",
        "BARE NEWLINE from [198.51.100.7]:40112 after DATA",
        "NON-SMTP COMMAND from [198.51.100.7]:40112 after CONNECT: GET / HTTP/1.1",
        "DENYLISTED [198.51.100.7]:40112",
        "BLACKLISTED [198.51.100.7]:40112",
        "ALLOWLIST VETO [198.51.100.7]:40112",
        "WHITELIST VETO [198.51.100.7]:40112",
        "DATA without valid RCPT from [198.51.100.7]:40112",
        "BDAT without valid RCPT from [198.51.100.7]:40112",
    ] {
        postfix("postscreen", &[(line, "ignored client screening")]);
    }
    for line in [
        "CONNECT from [198.51.100.7]:40112 to [192.0.2.1]:25",
        "PASS NEW [198.51.100.7]:40112",
        "PASS OLD [198.51.100.7]:40112",
        "ALLOWLISTED [198.51.100.7]:40112",
        "WHITELISTED [198.51.100.7]:40112",
        "DISCONNECT [198.51.100.7]:40112",
    ] {
        postfix("postscreen", &[(line, "ignored connection")]);
    }
    postfix(
        "postscreen",
        &[(
            "cache btree:/var/lib/postfix/postscreen_cache full cleanup: retained=0 dropped=0 entries",
            "ignored statistics",
        )],
    );
}

#[test]
fn dnsblog_listings() {
    postfix(
        "dnsblog",
        &[
            ("addr 198.51.100.7 listed by domain bl.example as 127.0.0.2", "listed 198.51.100.7 by bl.example"),
            ("addr 2001:db8::7 listed by domain bl.example as 127.0.0.2", "listed 2001:db8::7 by bl.example"),
            ("warning: dnsblog_query: lookup error for DNS query 7.100.51.198.bl.example", "ignored warning"),
        ],
    );
}

#[test]
fn helpers_of_postfix() {
    postfix("tlsproxy", &[("CONNECT from [198.51.100.7]:40112", "ignored connection")]);
    postfix(
        "verify",
        &[(
            "cache btree:/var/lib/postfix/verify_cache full cleanup: retained=0 dropped=0 entries",
            "ignored statistics",
        )],
    );
    postfix("scache", &[("statistics: start interval Mar  4 05:00:00", "ignored statistics")]);
    postfix(
        "anvil",
        &[("statistics: max connection rate 2/60s for (smtp:198.51.100.7) at Mar  4 05:00:00", "ignored statistics")],
    );
    postfix(
        "master",
        &[
            ("reload -- version 3.7.11, configuration /etc/postfix", "ignored service"),
            ("warning: process /usr/lib/postfix/sbin/smtp pid 77 exit status 1", "ignored warning"),
            ("daemon started -- version 3.10.1, configuration /etc/postfix", "ignored service"),
        ],
    );
    postfix("postfix-script", &[("stopping the Postfix mail system", "ignored service")]);
    postfix(
        "trivial-rewrite",
        &[("table hash:/etc/postfix/transport(0,lock|fold_fix) has changed -- restarting", "ignored service")],
    );
    postfix("tlsmgr", &[("warning: request to update table btree:/x in non-postfix directory", "ignored warning")]);
    postfix("postdrop", &[("warning: mail_queue_enter: create file maildrop/x: Permission denied", "ignored warning")]);
    postfix("sendmail", &[("fatal: al(1000): unable to execute /usr/sbin/postdrop", "ignored warning")]);
    postfix("policyd-spf", &[("prepend Received-SPF: Pass (mailfrom) identity=mailfrom", "ignored policy daemon")]);
    postfix(
        "smtpd",
        &[
            ("panic: x", "ignored warning"),
            (">>> START Client host RESTRICTIONS <<<", "ignored debug"),
            ("generic_checks: name=permit_mynetworks", "ignored debug"),
        ],
    );
}

#[test]
fn postsuper_lines() {
    postfix(
        "postsuper",
        &[
            ("3F2A11C0: removed", "deleted"),
            ("3F2A11C0: requeued", "requeued"),
            ("3F2A11C0: placed on hold", "held queue [] :: placed on hold"),
            ("3F2A11C0: released from hold", "released"),
            ("3F2A11C0: expired", "ignored queue state"),
            ("Deleted: 1 message", "ignored service"),
            ("Requeued: 2 messages", "ignored service"),
            ("Placed on hold: 1 message", "ignored service"),
            ("Released from hold: 1 message", "ignored service"),
            ("Expired: 1 message", "ignored service"),
        ],
    );
}

const ID: &str = "1tXyZa-0001Ab-2c";

/// Checks lines about one message, in both forms of ids.
#[track_caller]
fn of_message(lines: &[(&str, &str)]) {
    for (body, expected) in lines {
        for id in [ID, "1tXyZa-00000001AbC-2cDe"] {
            let line = format!("{id} {body}");
            assert_eq!(shown(&exim::line(line.as_bytes())), *expected, "{line}");
        }
    }
}

#[test]
fn exim_arrival_by_smtp() {
    of_message(&[
        (
            "<= al@b.example H=pc7 (helo.b) [198.51.100.7]:40112 I=[192.0.2.1]:587 P=esmtpsa L. X=TLS1.3:A:256 CV=no DN=\"CN=x\" SNI=\"mx\" A=login:al@b.example PRDR PRX=10.0.0.1 K S=912 RT=0.1s M8S=0 RFC3030 id=k7@b.example T=\"Re: \\\"S=5 id=z\\\"\" from <al@b.example> for bo@a.example c@a.example",
            "arrival pc7[198.51.100.7]:40112 helo=helo.b sasl=al@b.example from=al@b.example id=k7@b.example size=912 recipients=2",
        ),
        ("<= al@b.example H=(h) [198.51.100.7] P=esmtp S=1", "arrival [198.51.100.7] helo=h from=al@b.example size=1"),
        (
            "<= al@b.example H=pc7 [2001:db8::7]:40112 P=esmtpa A=plain S=1",
            "arrival pc7[2001:db8::7]:40112 sasl=plain from=al@b.example size=1",
        ),
        ("(= al@b.example H=pc7 [198.51.100.7] P=esmtp S=1", "arrival pc7[198.51.100.7] from=al@b.example size=1"),
        ("<= <> H=pc7 [198.51.100.7] P=esmtp S=1", "arrival pc7[198.51.100.7] from= size=1"),
    ]);
}

#[test]
fn exim_arrival_from_here() {
    of_message(&[
        ("<= al@b.example U=al P=local S=300", "arrival  user=al from=al@b.example size=300"),
        ("<= al@b.example U=Al B P=local S=300 T=\"x\"", "arrival  user=Al B from=al@b.example size=300"),
        (
            "<= <> R=1tXyZb-0001Ab-2c U=mailnull P=local S=2100",
            "arrival  user=mailnull from= size=2100 bounced=1tXyZb-0001Ab-2c",
        ),
        (
            "<= <> R=1tXyZb-00000001AbC-2cDe U=mailnull P=local S=2100",
            "arrival  user=mailnull from= size=2100 bounced=1tXyZb-00000001AbC-2cDe",
        ),
    ]);
}

#[test]
fn exim_certificates_with_quotes_forge_no_login() {
    of_message(&[
        (
            "<= a@b.example H=pc7 [198.51.100.7] P=esmtps X=TLS1.3:A:256 CV=no DN=\"CN=x, O=\"A\" A=plain:victim\" S=912",
            "arrival pc7[198.51.100.7] from=a@b.example size=912",
        ),
        (
            "<= a@b.example H=pc7 [198.51.100.7] P=esmtpsa X=TLS1.3:A:256 CV=no DN=\"CN=x, O=\"A, B\"\" A=plain:al S=912",
            "arrival pc7[198.51.100.7] sasl=al from=a@b.example size=912",
        ),
    ]);
}

#[test]
fn exim_certificates_forge_no_login_of_a_refusal() {
    exim(&[(
        "H=pc7 [198.51.100.7] X=TLS1.3:A:256 CV=no DN=\"CN=x, O=\"A\" A=plain:victim \"B\"\" F=<a@b.example> rejected RCPT <bo@a.example>: no",
        "rejection rcpt pc7[198.51.100.7] from=a@b.example to=bo@a.example :: no",
    )]);
    of_message(&[(
        "U=Al B F=<al@b.example> rejected by non-SMTP ACL: no",
        "rejection of message eod [] from=al@b.example user=Al B :: no",
    )]);
}

#[test]
fn exim_helo_names_that_look_like_addresses() {
    of_message(&[
        (
            "<= a@b.example H=(x) [192.0.2.66) [198.51.100.7]:40112 P=esmtp S=1",
            "arrival [198.51.100.7]:40112 helo=x) [192.0.2.66 from=a@b.example size=1",
        ),
        (
            "<= a@b.example H=(x) [192.0.2.66] y) [198.51.100.7] P=esmtp S=1",
            "arrival [198.51.100.7] helo=x) [192.0.2.66] y from=a@b.example size=1",
        ),
    ]);
    exim(&[(
        "H=(x) [192.0.2.66] y) [198.51.100.7] F=<\"z) [192.0.2.67]\"@b.example> rejected RCPT <bo@a.example>: no",
        "rejection rcpt [198.51.100.7] helo=x) [192.0.2.66] y from=\"z) [192.0.2.67]\"@b.example to=bo@a.example :: no",
    )]);
}

#[test]
fn exim_deliveries() {
    of_message(&[
        (
            "=> bo <bo@a.example> F=<al@b.example> R=dnslookup T=remote_smtp H=mx.a.example [192.0.2.8]:25* X=TLS1.2:B:128 CV=yes DN=\"CN=mx\" K L PRDR C=\"250- 12 byte chunk\\n250 OK id=1tXyZc-0001Ab-2c\" QT=4s DT=1s",
            "delivered to=bo@a.example from=al@b.example relay=mx.a.example[192.0.2.8]:25 next=1tXyZc-0001Ab-2c :: 250- 12 byte chunk\\n250 OK id=1tXyZc-0001Ab-2c",
        ),
        (
            "-> cy@a.example R=dnslookup T=remote_smtp H=mx.a.example [192.0.2.8]",
            "delivered to=cy@a.example relay=mx.a.example[192.0.2.8] :: ",
        ),
        (
            ">> bo@a.example P=<al@b.example> R=r T=smtp H=mx.a.example [192.0.2.8] C=\"250 OK\"",
            "delivered to=bo@a.example relay=mx.a.example[192.0.2.8] :: 250 OK",
        ),
        ("*> bo@a.example R=r T=remote_smtp", "discarded to=bo@a.example relay=[] :: "),
        ("=> :blackhole: <bo@a.example> R=r", "discarded to=bo@a.example relay=[] :: "),
        ("=> /var/mail/bo <bo@a.example> R=r T=address_file", "delivered to=bo@a.example relay=[] :: "),
        ("=> >al@b.example <bo@a.example> R=r T=address_reply", "delivered to=bo@a.example relay=[] :: "),
        ("=> blackhole (RCPT ACL discarded recipients)", "blackholed"),
        ("=> blackhole (DATA ACL discarded recipients): matched drop rule", "blackholed"),
        ("=> discarded (system filter)", "blackholed"),
    ]);
}

#[test]
fn exim_failures() {
    of_message(&[
        (
            "** x@a.example <y@b.example> F=<s@b.example> R=dnslookup T=remote_smtp H=mx.a.example [192.0.2.8] X=TLS1.2:B:128 CV=yes: SMTP error from remote mail server after RCPT TO:<x@a.example>: 550 5.1.1 gone",
            "bounced to=x@a.example orig=y@b.example from=s@b.example relay=mx.a.example[192.0.2.8] :: SMTP error from remote mail server after RCPT TO:<x@a.example>: 550 5.1.1 gone",
        ),
        (
            "** x@a.example R=r T=remote_smtp: retry timeout exceeded",
            "expired to=x@a.example relay=[] :: retry timeout exceeded",
        ),
        ("** x@a.example: Unrouteable address", "bounced to=x@a.example relay=[] :: Unrouteable address"),
        ("** x@a.example : Unrouteable address QT=1s DT=0s", "bounced to=x@a.example relay=[] :: Unrouteable address"),
        (
            "** x@a.example R=r T=remote_smtp: SMTP error from remote mail server after RCPT TO:<x@a.example>: host mx.a.example [192.0.2.8]: 550 gone",
            "bounced to=x@a.example relay=[] :: SMTP error from remote mail server after RCPT TO:<x@a.example>: host mx.a.example [192.0.2.8]: 550 gone",
        ),
        (
            "** x@a.example R=enforce_mail_permissions : Domain b.example has exceeded the max emails per hour (150/150 (100%)) allowed. Message discarded.",
            "bounced to=x@a.example relay=[] :: Domain b.example has exceeded the max emails per hour (150/150 (100%)) allowed. Message discarded.",
        ),
    ]);
}

#[test]
fn exim_deferrals() {
    of_message(&[
        (
            "== bo@a.example R=r T=t defer (-44) H=mx [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later",
            "deferred to=bo@a.example relay=mx[192.0.2.8] :: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later",
        ),
        (
            "== bo@a.example R=r T=remote_smtp defer (-46) H=mx [192.0.2.8]: SMTP error from remote mail server after end of data: 451 later",
            "deferred to=bo@a.example relay=mx[192.0.2.8] :: SMTP error from remote mail server after end of data: 451 later",
        ),
        (
            "== bo@a.example routing defer (-51): retry time not reached",
            "deferred secondary to=bo@a.example relay=[] :: retry time not reached",
        ),
        (
            "== bo@a.example R=r T=remote_smtp defer (-52): retry time not reached",
            "deferred secondary to=bo@a.example relay=[] :: retry time not reached",
        ),
        (
            "== bo@a.example R=r T=remote_smtp defer (-53): retry time not reached for any host for 'a.example'",
            "deferred secondary to=bo@a.example relay=[] :: retry time not reached for any host for 'a.example'",
        ),
        (
            "== bo@a.example R=r T=remote_smtp defer (111): Connection refused",
            "deferred to=bo@a.example relay=[] :: Connection refused",
        ),
        (
            "== bo@a.example R=r T=remote_smtp defer (110): Connection timed out H=mx [192.0.2.8]: SMTP timeout after EHLO",
            "deferred to=bo@a.example relay=mx[192.0.2.8] :: SMTP timeout after EHLO",
        ),
        (
            "== bo@a.example R=r T=local_delivery defer (-22): mailbox is full",
            "deferred to=bo@a.example relay=[] :: mailbox is full",
        ),
        ("== bo@a.example R=r defer (-1)", "deferred to=bo@a.example relay=[] :: "),
        (
            "== bo@a.example R=r T=remote_smtp defer (-1): SMTP delivery explicitly queued",
            "deferred secondary to=bo@a.example relay=[] :: SMTP delivery explicitly queued",
        ),
    ]);
}

#[test]
fn exim_interim_answers() {
    of_message(&[
        ("H=mx.a.example [192.0.2.8] Connection refused", "interim mx.a.example[192.0.2.8] :: Connection refused"),
        (
            "H=mx.a.example [192.0.2.8]:25 Connection timed out",
            "interim mx.a.example[192.0.2.8]:25 :: Connection timed out",
        ),
        (
            "H=mx.a.example [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 451 later",
            "interim mx.a.example[192.0.2.8] to=bo@a.example :: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 451 later",
        ),
        (
            "SMTP error from remote mail server after RCPT TO:<bo@a.example>: host mx.a.example [192.0.2.8]: 451 later",
            "interim mx.a.example[192.0.2.8] to=bo@a.example :: SMTP error from remote mail server after RCPT TO:<bo@a.example>: host mx.a.example [192.0.2.8]: 451 later",
        ),
        (
            "Remote host mx.a.example [192.0.2.8] closed connection in response to initial connection",
            "interim mx.a.example[192.0.2.8] :: Remote host mx.a.example [192.0.2.8] closed connection in response to initial connection",
        ),
        (
            "SMTP timeout while connected to mx.a.example [192.0.2.8] after initial connection",
            "interim mx.a.example[192.0.2.8] :: SMTP timeout while connected to mx.a.example [192.0.2.8] after initial connection",
        ),
        ("mx.a.example [192.0.2.8] Connection refused", "interim mx.a.example[192.0.2.8] :: Connection refused"),
        ("mx.a.example [192.0.2.8]: Connection timed out", "interim mx.a.example[192.0.2.8] :: Connection timed out"),
        (
            "H=mx.a.example [192.0.2.8]: a TLS session is required, but the server did not offer TLS support",
            "interim mx.a.example[192.0.2.8] :: a TLS session is required, but the server did not offer TLS support",
        ),
        (
            "login authenticator failed H=mx.a.example [192.0.2.8] 535 no",
            "interim mx.a.example[192.0.2.8] :: login authenticator failed H=mx.a.example [192.0.2.8] 535 no",
        ),
    ]);
}

#[test]
fn exim_ends() {
    of_message(&[
        ("Completed", "closed"),
        ("Completed QT=9s", "closed"),
        ("removed by root", "deleted"),
        ("cancelled by root", "given up"),
        ("cancelled by timeout_frozen_after", "given up"),
    ]);
}

#[test]
fn exim_frozen_messages() {
    for line in [
        "Message is frozen",
        "Frozen",
        "Frozen (delivery error message)",
        "*** Frozen (message created with -f <>)",
        "frozen by root",
        "Unfrozen by forced delivery",
        "Unfrozen by auto-thaw",
        "Unfrozen by errmsg timer",
        "unfrozen or resumed by root",
        "al@b.example <bo@a.example>: error ignored",
        "Spool file is locked (another process is handling this message)",
        "no immediate delivery: more than 10 messages received in one connection",
        "retry time not reached for any host",
        "recipient <bo@a.example> added by root",
        "sender address changed to <al@b.example> by root",
        "original recipients ignored (system filter)",
        "Sender identification U=al D=b.example S=al@b.example",
    ] {
        of_message(&[(line, "ignored queue state")]);
    }
    let marked = "address <bo@a.example> marked delivered by root";
    of_message(&[(marked, "discarded to=bo@a.example relay=[] :: marked delivered by root")]);
}

#[test]
fn exim_refused_recipients() {
    exim(&[
        (
            "H=pc7 (helo.b) [198.51.100.7]:40112 I=[192.0.2.1]:587 X=TLS1.3:A:256 CV=no F=<al@b.example> A=login:al rejected RCPT <bo@a.example>: relay not permitted",
            "rejection rcpt pc7[198.51.100.7]:40112 helo=helo.b from=al@b.example to=bo@a.example sasl=al :: relay not permitted",
        ),
        (
            "H=(PC) [198.51.100.7]:40112 temporarily rejected RCPT <bo@a.example>: greylisted",
            "tempfail rcpt [198.51.100.7]:40112 helo=PC to=bo@a.example :: greylisted",
        ),
        (
            "H=pc7 [198.51.100.7] TFO* temporarily rejected MAIL <al@b.example>: later",
            "tempfail mail pc7[198.51.100.7] from=al@b.example :: later",
        ),
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> temporarily rejected DATA: later",
            "tempfail data pc7[198.51.100.7] from=al@b.example :: later",
        ),
        (
            "unqualified sender rejected: <al> H=pc7 (h) [198.51.100.7]",
            "rejection mail pc7[198.51.100.7] helo=h from=al 501 :: unqualified sender rejected: <al> H=pc7 (h) [198.51.100.7]",
        ),
        (
            "unqualified recipient rejected: <bo> H=pc7 [198.51.100.7]",
            "rejection rcpt pc7[198.51.100.7] to=bo 501 :: unqualified recipient rejected: <bo> H=pc7 [198.51.100.7]",
        ),
    ]);
}

#[test]
fn exim_refusals_before_recipients() {
    exim(&[
        (
            "H=pc7 [198.51.100.7] rejected MAIL <al@b.example>: no",
            "rejection mail pc7[198.51.100.7] from=al@b.example :: no",
        ),
        (
            "rejected EHLO from [198.51.100.7]: syntactically invalid argument(s): (no argument given)",
            "rejection helo [198.51.100.7] :: syntactically invalid argument(s): (no argument given)",
        ),
        ("H=pc7 (h) [198.51.100.7] rejected EHLO or HELO h: no", "rejection helo pc7[198.51.100.7] helo=h :: no"),
        ("H=pc7 [198.51.100.7] rejected VRFY <q>: no", "rejection rcpt pc7[198.51.100.7] to=q :: no"),
        ("H=pc7 [198.51.100.7] rejected EXPN q: no", "rejection rcpt pc7[198.51.100.7] :: no"),
        ("H=pc7 [198.51.100.7] rejected AUTH: no", "rejection auth pc7[198.51.100.7] :: no"),
        ("H=pc7 [198.51.100.7] rejected STARTTLS: no", "rejection helo pc7[198.51.100.7] :: no"),
    ]);
}

#[test]
fn exim_refused_connections() {
    exim(&[
        (
            "H=[198.51.100.7]:40112 rejected connection in \"connect\" ACL: too bad",
            "rejection connect [198.51.100.7]:40112 :: too bad",
        ),
        (
            "H=[198.51.100.7]:40112 temporarily rejected connection in \"connect\" ACL: later",
            "tempfail connect [198.51.100.7]:40112 :: later",
        ),
        (
            "refused connection from H=[198.51.100.7] (host_reject_connection)",
            "rejection connect [198.51.100.7] :: (host_reject_connection)",
        ),
        (
            "SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[198.51.100.7] input=\"QUIT\\r\\n\"",
            "rejection connect [198.51.100.7] :: SMTP protocol synchronization error (input sent without waiting for greeting)",
        ),
        (
            "SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"RCPT TO:<bo@a.example>\" H=pc7 [198.51.100.7] next input=\"x\"",
            "rejection connect pc7[198.51.100.7] :: SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised)",
        ),
        (
            "SMTP call from pc7 [198.51.100.7] dropped: too many nonmail commands (last was \"NOOP\")",
            "ignored connection dropped",
        ),
        (
            "SMTP call from [198.51.100.7] dropped: too many unrecognized commands (last was \"x\")",
            "ignored connection dropped",
        ),
        (
            "SMTP call from [198.51.100.7] dropped: too many syntax or protocol errors (last command was \"x\", NULL)",
            "ignored connection dropped",
        ),
    ]);
}

#[test]
fn exim_content_refusals() {
    of_message(&[
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> rejected after DATA: spam",
            "rejection of message eod pc7[198.51.100.7] from=al@b.example :: spam",
        ),
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> temporarily rejected after DATA: scanner down",
            "tempfail of message eod pc7[198.51.100.7] from=al@b.example :: scanner down",
        ),
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> rejected by local_scan(): no",
            "rejection of message eod pc7[198.51.100.7] from=al@b.example :: no",
        ),
        (
            "U=al F=<al@b.example> rejected by non-SMTP ACL: no",
            "rejection of message eod [] from=al@b.example user=al :: no",
        ),
        ("F=<al@b.example> rejected by non-SMTP ACL: no", "rejection of message eod [] from=al@b.example :: no"),
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> rejected during MIME ACL checks: no",
            "rejection of message eod pc7[198.51.100.7] from=al@b.example :: no",
        ),
        (
            "overlong message header line received from pc7 [198.51.100.7] (more than 998 characters): message abandoned",
            "rejection of message eod pc7[198.51.100.7] :: overlong message header line received from pc7 [198.51.100.7] (more than 998 characters): message abandoned",
        ),
        (
            "rejected from <al@b.example> H=pc7 [198.51.100.7]: message too big: read=2 max=1",
            "rejection of message eod pc7[198.51.100.7] from=al@b.example :: message too big: read=2 max=1",
        ),
        (
            "H=pc7 [198.51.100.7] F=<al@b.example> rejected PRDR <bo@a.example>: no",
            "rejection of message eod pc7[198.51.100.7] from=bo@a.example :: no",
        ),
    ]);
    exim(&[(
        "rejected MAIL FROM:<al@b.example> H=pc7 (h) [198.51.100.7]: message too big: size=2 max=1",
        "rejection mail pc7[198.51.100.7] helo=h from=al@b.example :: message too big: size=2 max=1",
    )]);
}

#[test]
fn exim_verification() {
    exim(&[
        ("H=pc7 [198.51.100.7] sender verify fail for <al@b.example>: Unrouteable address", "ignored verification"),
        (
            "H=pc7 [198.51.100.7] X=TLS1.3:A:256 CV=no sender verify defer for <al@b.example>: could not connect to mx [192.0.2.8]: Connection refused",
            "ignored verification",
        ),
    ]);
}

#[test]
fn exim_failed_logins() {
    exim(&[
        (
            "dovecot_login authenticator failed for pc7 (User) [198.51.100.7]:40112 I=[192.0.2.1]:465 Ci=9: 535 Incorrect authentication data (set_id=al)",
            "login failed pc7[198.51.100.7]:40112 helo=User sasl=al :: 535 Incorrect authentication data (set_id=al)",
        ),
        (
            "plain authenticator failed for ([192.0.2.66]) [198.51.100.7]: 535 Incorrect authentication data",
            "login failed [198.51.100.7] helo=[192.0.2.66] :: 535 Incorrect authentication data",
        ),
        (
            "plain authenticator failed for H=(h) [198.51.100.7]: 435 Unable to authenticate at present (set_id=al): x",
            "login not checked [198.51.100.7] helo=h sasl=al :: 435 Unable to authenticate at present (set_id=al): x",
        ),
    ]);
}

#[test]
fn exim_dictionary_attacks() {
    exim(&[
        (
            "SMTP protocol error in \"AUTH LOGIN\" H=(y) [198.51.100.7] AUTH command used when not advertised",
            "ignored protocol error",
        ),
        (
            "SMTP syntax error in \"RCPT TO:<x\" H=(y) [198.51.100.7] '>' missing at end of address",
            "ignored protocol error",
        ),
        ("no MAIL in SMTP connection from (y) [198.51.100.7] D=3s C=EHLO,QUIT", "ignored no mail in connection"),
        ("no MAIL in TLS SMTP connection from (y) [198.51.100.7] D=3s C=EHLO,QUIT", "ignored no mail in connection"),
        (
            "H=(y) [198.51.100.7] incomplete transaction (RSET) from <al@b.example> for bo@a.example",
            "ignored incomplete transaction",
        ),
        ("VRFY failed for <q> H=(y) [198.51.100.7]", "ignored connection"),
    ]);
}

#[test]
fn exim_too_many() {
    exim(&[
        (
            "temporarily refused connection from [198.51.100.7]: not in reserve list: connected=2 max=1 reserve=1",
            "tempfail connect [198.51.100.7] :: not in reserve list: connected=2 max=1 reserve=1",
        ),
        (
            "rejected MAIL command H=pc7 (h) [198.51.100.7]: too many messages in one connection",
            "tempfail mail pc7[198.51.100.7] helo=h 421 :: too many messages in one connection",
        ),
        (
            "rejected MAIL from pc7 [198.51.100.7]: no HELO/EHLO given",
            "rejection mail pc7[198.51.100.7] :: no HELO/EHLO given",
        ),
        (
            "too many recipients: message rejected: sender=<al@b.example> H=pc7 [198.51.100.7]",
            "rejection rcpt pc7[198.51.100.7] from=al@b.example :: too many recipients",
        ),
        (
            "Connection from [198.51.100.7] refused: too many connections",
            "tempfail connect [198.51.100.7] :: too many connections",
        ),
        (
            "Connection from [198.51.100.7] refused: too many connections from that IP address",
            "tempfail connect [198.51.100.7] :: too many connections from that IP address",
        ),
        (
            "Connection from [198.51.100.7]:40112 refused: load average = 5.20",
            "tempfail connect [198.51.100.7]:40112 :: load average = 5.20",
        ),
        (
            "too many recipients: excess temporarily rejected: sender=<al@b.example> H=pc7 [198.51.100.7]",
            "tempfail rcpt pc7[198.51.100.7] from=al@b.example :: too many recipients",
        ),
    ]);
}

#[test]
fn exim_connections() {
    for line in [
        "SMTP connection from [198.51.100.7]:40112 (TCP/IP connection count = 2)",
        "SMTP connection from pc7 [198.51.100.7] closed by QUIT",
        "SMTP connection from (pc) [198.51.100.7]:40112 lost D=14s",
        "SMTP connection from pc7 [198.51.100.7] closed by DROP in ACL",
        "SMTP connection outbound 1772600767 1tXyZa-0001Ab-2c b.example bo@a.example",
        "SMTP connection identification H=localhost A=127.0.0.1 P=40112 U=al ID=1001 S=al B=identify_local_connection",
        "SMTP command timeout on TLS connection from pc7 [198.51.100.7]",
        "SMTP data timeout (message abandoned) on connection from pc7 [198.51.100.7] F=<al@b.example>",
        "unexpected disconnection while reading SMTP command from pc7 [198.51.100.7] D=1s",
        "unexpected EOF while reading SMTP command from pc7 [198.51.100.7] D=1s",
    ] {
        exim(&[(line, "ignored connection")]);
        of_message(&[(line, "ignored connection")]);
    }
    exim(&[
        ("TLS error on connection from pc7 [198.51.100.7] (SSL_accept): error:0A000126", "ignored tls"),
        ("H=pc7 [198.51.100.7] TLS error on connection from pc7 [198.51.100.7] (recv): x", "ignored tls"),
    ]);
    of_message(&[("DANE attempt failed; TLS connection to mx [192.0.2.8]: x", "ignored tls")]);
}

#[test]
fn exim_names_and_results() {
    exim(&[
        ("no host name found for IP address 198.51.100.7", "ignored client name"),
        ("no IP address found for host pc7 (during SMTP connection from [198.51.100.7])", "ignored client name"),
    ]);
    for line in [
        "DKIM: d=b.example s=k c=relaxed/simple a=rsa-sha256 b=2048 [verification succeeded]",
        "DMARC results: spf_domain=b.example dmarc_domain=b.example spf_align=yes dkim_align=yes enforcement='Accept'",
        "SPF: 198.51.100.7 is not allowed to send mail from b.example",
        "ARC: verify: pass",
    ] {
        of_message(&[(line, "ignored authentication result")]);
    }
}

#[test]
fn exim_calls() {
    exim(&[
        ("cwd=/home/al/public_html 4 args: /usr/sbin/sendmail -t -i -fal@b.example", "called in /home/al/public_html"),
        ("cwd=/home/al/my site 3 args: /usr/sbin/sendmail -t -i", "called in /home/al/my site"),
        ("cwd=/home/al 2 args: /usr/sbin/exim4 -bs", "called in /home/al"),
        ("cwd=/home/al 5 args: /usr/sbin/sendmail -i -f -q -- bo@a.example", "called in /home/al"),
        ("cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc 1tXyZa-0001Ab-2c", "ignored arguments"),
        ("cwd=/var/spool/exim4 7 args: /usr/sbin/exim4 -t -oem -oi -f <> -E1tXyZa-0001Ab-2c", "ignored arguments"),
        ("cwd=/ 3 args: /usr/sbin/exim4 -bd -q30m", "ignored arguments"),
        ("cwd=/root 2 args: /usr/sbin/exim4 -bp", "ignored arguments"),
        ("cwd=/root 1 args: mailq", "ignored arguments"),
        ("cwd=/root 2 args: /usr/sbin/exim4 -qff", "ignored arguments"),
    ]);
}

#[test]
fn exim_queue_runs_and_daemon() {
    for line in [
        "Start queue run: pid=77 -qff",
        "End queue run: pid=77",
        "Start 'x' queue run: pid=77",
        "Abandon queue run: pid=77 (load 9.00, max 5.00)",
    ] {
        exim(&[(line, "ignored queue run")]);
    }
    for line in [
        "exim 4.98.2 daemon started: pid=77, -q30m, listening for SMTP on port 25 (IPv4)",
        "SIGHUP received: re-exec daemon",
        "pid 77: SIGHUP received: re-exec daemon",
        "2 SMTP accept processes now running",
    ] {
        exim(&[(line, "ignored service")]);
    }
}

#[test]
fn exim_panic_log() {
    exim(&[
        ("failed to expand ACL string \"x\": unknown variable", "ignored warning"),
        ("Failed to get write lock for /var/spool/exim4/db/retry.lockfile: timed out", "ignored warning"),
        ("spam acl condition: all spamd servers failed", "ignored content scan"),
    ]);
}

#[test]
fn what_an_acl_writes_is_unknown() {
    exim(&[
        ("lost in thought", "unknown"),
        ("failed to amuse", "unknown"),
        ("rcpt acl: x=y", "unknown"),
        ("host of mine", "unknown"),
        ("unexpected guest", "unknown"),
        ("H=pc7 [198.51.100.7] nice weather", "unknown"),
    ]);
    of_message(&[
        ("host of mine", "unknown"),
        ("SMTP is fun", "unknown"),
        ("Message in a bottle", "unknown"),
        ("process x=y", "unknown"),
        ("skipped lunch", "unknown"),
    ]);
    of_message(&[
        ("lowest numbered MX record points to local host: loop.example", "ignored routing"),
        ("process 77 crashed with signal 11 while delivering 1tXyZa-0001Ab-2c", "ignored warning"),
    ]);
}

/// Pieces of lines, over and over: whatever the kind, a line of the longest that is read takes no time to speak of.
#[test]
fn hostile_lines_neither_panic_nor_take_long() {
    let starts = [
        "3F2A11C0: host ",
        "3F2A11C0: to=<",
        "NOQUEUE: reject: RCPT from ",
        "disconnect from ",
        "connect to ",
        "warning: ",
        "1tXyZa-0001Ab-2c <= a H=(",
        "1tXyZa-0001Ab-2c => ",
        "1tXyZa-0001Ab-2c H=mx [192.0.2.8] ",
        "H=(",
        "cwd=/ 3 args: ",
        "1tXyZa-0001Ab-2c SMTP error from remote mail server after ",
        "unqualified sender rejected: <",
        "overlong message header",
        "auth: x(",
        "1tXyZa-0001Ab-2c <= a H=x [192.0.2.8] P=esmtps DN=\"",
    ];
    let units = [
        ") [192.0.2.7",
        ") [192.0.2.7]",
        "\" ",
        "\"",
        "<",
        "> ",
        ": ",
        " F=<",
        " args: ",
        "host x[192.0.2.8] ",
        " A=b",
        "),",
        "): ",
        "[",
        "]",
        " after RCPT TO:<",
        "\\",
        "\u{fffd}",
        "auth=0/9 ",
        " 3 args:",
    ];
    let began = std::time::Instant::now();
    for start in starts {
        for unit in units {
            let line = format!("{start}{}", unit.repeat(65_536 / unit.len()));
            for service in ["smtpd", "smtp", "cleanup", "postscreen", "dnsblog", "qmgr"] {
                let _ = postfix::line(service.as_bytes(), false, line.as_bytes());
            }
            let _ = exim::line(line.as_bytes());
            let _ = super::other::line(b"dovecot", line.as_bytes());
            let _ = exim::is_header_dump(line.as_bytes());
        }
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
