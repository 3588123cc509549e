//! Lines of Postfix daemons, one function per kind of line. Forms follow the logging calls in Postfix's source
//! (2.x to 3.12); `service` is the last component of the syslog tag.

use super::fields::{
    self, HostIp, address, host_ip_port, named_id, next_queue_id, number, seconds, unquoted_end, until, until_last,
};
use super::other::is_policy_daemon;
use super::{
    Arrival, AuthFailure, Client, Delivery, Entry, Hold, Interim, Outcome, Parent, Parsed, Rejection, service,
};
use crate::mail::address::{ip, unbracketed};
use crate::mail::queue_id::{QueueId, take_postfix_id};
use crate::mail::status::{EnhancedCode, SmtpCode, Stage};

/// What a Postfix line says. `is_relay` is true for the `relay` transport (master.cf), which carries mail on to this
/// site's own servers.
pub fn line<'a>(service: &'a [u8], is_relay: bool, body: &'a [u8]) -> Parsed<'a> {
    let service = if service == b"postfix" { service::of_message(body) } else { service };
    let entry = match take_postfix_id(body) {
        Some((queue_id, rest)) => with_queue_id(service, is_relay, queue_id, rest),
        None => match body.strip_prefix(b"NOQUEUE: ") {
            Some(rest) => noqueue(service, rest),
            None => without_queue_id(service, body),
        },
    };
    match entry {
        Some(parsed) => parsed,
        None => kind_without_effect(service, body).map_or(Parsed::Unknown, Parsed::Ignored),
    }
}

fn with_queue_id<'a>(service: &'a [u8], is_relay: bool, queue_id: QueueId, rest: &'a [u8]) -> Option<Parsed<'a>> {
    let entry = match rest.first()? {
        b'c' if rest.starts_with(b"client=") => client(queue_id, rest)?,
        b'u' if rest.starts_with(b"uid=") => pickup(queue_id, rest)?,
        b'm' if rest.starts_with(b"message-id=") => message_id(queue_id, rest)?,
        b'f' if rest.starts_with(b"from=") => queue_manager(queue_id, rest)?,
        b't' if rest.starts_with(b"to=") => delivery(service, is_relay, queue_id, rest)?,
        b'r' if rest == b"removed" && service == b"postsuper" => Entry::Deleted { queue_id },
        b'r' if rest == b"removed" && service == b"postfix" => Entry::Removed { queue_id },
        b'r' if rest == b"removed" || rest.starts_with(b"removed (") => Entry::Closed { queue_id },
        b'r' if rest == b"requeued" => Entry::Requeued { queue_id },
        b'r' if rest == b"released from hold" => Entry::Released { queue_id },
        b'p' if rest == b"placed on hold" => Entry::Held(Hold {
            queue_id: Some(queue_id),
            client: Client::default(),
            sender: None,
            recipient: None,
            stage: Stage::Queue,
            response: rest,
        }),
        b's' | b'p' if rest.ends_with(b"notification") || until(rest, b"notification: ").is_some() => {
            notice(queue_id, rest)?
        }
        b'b' if rest.starts_with(BARE_LF) => return bare_line_feed(service, Some(queue_id), rest),
        _ if matches!(service, b"smtp" | b"lmtp") => Entry::Interim(interim(Some(queue_id), rest)?),
        _ => return refusal(service, Some(queue_id), rest),
    };
    Some(Parsed::Entry(entry))
}

/// What one server said, or that it could not be reached, before the next one is tried: `host mx[192.0.2.8] said: 451
/// 4.7.1 later (in reply to RCPT TO command)`, `connect to mx[192.0.2.8]:25: Connection refused` (`smtp_trouble.c`,
/// `smtp_connect.c`).
fn interim(queue_id: Option<QueueId>, text: &[u8]) -> Option<Interim<'_>> {
    let named = INTERIM.iter().find_map(|start| text.strip_prefix(*start))?;
    let (host, rest) = match named_host(named) {
        Some((host, rest)) => (host, rest),
        None => (HostIp::default(), &b""[..]),
    };
    let answer = match rest.strip_prefix(b" said: ") {
        Some(said) => said,
        None if text.starts_with(b"connect to ") => rest.strip_prefix(b": ").unwrap_or(text),
        None if text.starts_with(b"host ") => rest.trim_ascii_start(),
        None => text,
    };
    Some(Interim {
        queue_id,
        relay_host: host.name,
        relay_ip: host.ip,
        relay_port: host.port,
        recipient: None,
        response: text,
        answer: if answer.is_empty() { text } else { answer },
    })
}

/// The server behind the first words, or behind `host ` or `server ` in them.
fn named_host(text: &[u8]) -> Option<(HostIp<'_>, &[u8])> {
    let at_front = |text| {
        host_ip_port(text).filter(|(host, _)| {
            !host.name.contains(&b' ') && (ip(host.ip).is_some() || host.ip.starts_with(b"private/"))
        })
    };
    at_front(text).or_else(|| at_front(until(text, b"host ")?.1)).or_else(|| at_front(until(text, b"server ")?.1))
}

/// How the reasons begin that put a server off (`smtp_trouble.c` and its callers).
const INTERIM: &[&[u8]] = &[
    b"host ",
    b"connect to ",
    b"lost connection with ",
    b"conversation with ",
    b"SASL authentication failed",
    b"SASL [CACHED] authentication failed",
    b"TLS is required",
    b"Cannot start TLS",
    b"Server certificate not ",
    b"SMTPUTF8 is required",
    b"REQUIRETLS is required",
    b"Protocol error",
    b"message size ",
    b"server ",
    b"unable to look up host ",
    b"Host or domain name not found",
];

fn noqueue<'a>(service: &'a [u8], rest: &'a [u8]) -> Option<Parsed<'a>> {
    if let Some(text) = rest.strip_prefix(b"client=") {
        let (client, tail) = peer(text)?;
        return Some(Parsed::Entry(Entry::Session { client, sasl_username: sasl_username(tail) }));
    }
    if rest.starts_with(BARE_LF) {
        return bare_line_feed(service, None, rest);
    }
    refusal(service, None, rest)
}

fn without_queue_id<'a>(service: &'a [u8], body: &'a [u8]) -> Option<Parsed<'a>> {
    match service {
        b"smtpd" if body.starts_with(b"proxy-") || body.starts_with(b"reject: ") => {
            return refusal(service, None, body);
        }
        b"smtpd" if body.starts_with(BARE_LF) => return bare_line_feed(service, None, body),
        b"smtpd" => {}
        b"smtp" | b"lmtp" if body.starts_with(b"connect to ") => {
            let found = interim(None, body).filter(|found| !found.relay_ip.is_empty());
            return found.map(|found| Parsed::Entry(Entry::Interim(found)));
        }
        b"dnsblog" => return listed(body).map(Parsed::Entry),
        b"postscreen" if body.starts_with(b"reject: ") => return refusal(service, None, body),
        b"cleanup" => return too_big(service, body).map(Parsed::Entry),
        _ => return None,
    }
    let entry = match body.first()? {
        b'c' => Entry::Connected { client: peer(body.strip_prefix(b"connect from ")?)?.0 },
        b'd' => disconnected(body.strip_prefix(b"disconnect from ")?)?,
        b'w' => {
            let warning = body.strip_prefix(b"warning: ")?;
            auth_failure(service, warning).or_else(|| throttled(service, warning)).or_else(|| too_big(service, body))?
        }
        _ => return None,
    };
    Some(Parsed::Entry(entry))
}

/// `pc7[198.51.100.7] ehlo=1 auth=0/3 quit=1 commands=2/5`: of a pair the first number is what went well (`smtpd.c`).
fn disconnected(text: &[u8]) -> Option<Entry<'_>> {
    let (client, counters) = peer(text)?;
    let failed = until(counters, b" auth=").and_then(|(_, value)| {
        let (well, rest) = number(value)?;
        let (all, _) = number(rest.strip_prefix(b"/")?)?;
        u32::try_from(all.saturating_sub(well)).ok()
    });
    Some(Entry::Disconnected { client, failed_logins: failed.unwrap_or(0) })
}

/// `addr 198.51.100.7 listed by domain bl.example as 127.0.0.2` (`dnsblog.c`).
fn listed(body: &[u8]) -> Option<Entry<'_>> {
    let (ip, rest) = until(body.strip_prefix(b"addr ")?, b" listed by domain ")?;
    let (list, _) = until(rest, b" as ")?;
    Some(Entry::Listed { ip, list })
}

/// `Message delivery request rate limit exceeded: 41 from pc7[198.51.100.7] for service smtpd`: the client was put off,
/// and no other line says so (`smtpd.c`, anvil(8)).
fn throttled<'a>(service: &'a [u8], warning: &'a [u8]) -> Option<Entry<'a>> {
    let (what, rest) = until(warning, b" limit exceeded: ")?;
    let (stage, code) = match what {
        b"Connection concurrency" | b"Connection rate" => (Stage::Connect, 421),
        b"New TLS session rate" => (Stage::Helo, 454),
        b"AUTH command rate" => (Stage::Auth, 450),
        b"Message delivery request rate" => (Stage::Mail, 450),
        b"Recipient address rate" => (Stage::Rcpt, 450),
        _ => return None,
    };
    let (_, from) = until(rest, b" from ")?;
    Some(Entry::Rejection(Rejection {
        client: peer(from)?.0,
        is_permanent: false,
        smtp_code: SmtpCode::new(code),
        response: warning,
        ..Rejection::new(None, service, stage)
    }))
}

const BARE_LF: &[u8] = b"bare <LF> received after ";

/// `bare <LF> received after DATA (99 bytes) from pc7[198.51.100.7]`: refused and hung up on, with no other line
/// (`smtpd_forbid_bare_newline`, `smtpd.c`).
fn bare_line_feed<'a>(service: &'a [u8], queue_id: Option<QueueId>, text: &'a [u8]) -> Option<Parsed<'a>> {
    let (command, rest) = until(text.strip_prefix(BARE_LF)?, b" ")?;
    let (_, from) = until_last(rest, b"from ")?;
    let mut found = Rejection::new(queue_id, service, stage(command).unwrap_or(Stage::Data));
    found.client = peer(from)?.0;
    found.enhanced_code = EnhancedCode::take(b"5.5.2").map(|(code, _)| code);
    found.response = text.get(..b"bare <LF> received".len())?;
    Some(Parsed::Entry(Entry::Rejection(found)))
}

/// `warning: 3F2A11C0: queue file size limit exceeded`: the message was refused for its size, and no other line says so
/// (`cleanup_out.c`, `smtpd.c`).
fn too_big<'a>(service: &'a [u8], body: &'a [u8]) -> Option<Entry<'a>> {
    let (queue_id, response) = take_postfix_id(body.strip_prefix(b"warning: ")?)?;
    (response == b"queue file size limit exceeded").then(|| {
        Entry::Rejection(Rejection {
            smtp_code: SmtpCode::new(552),
            enhanced_code: EnhancedCode::take(b"5.3.4").map(|(code, _)| code),
            is_too_big: true,
            response,
            ..Rejection::new(Some(queue_id), service, Stage::Eod)
        })
    })
}

/// `host[ip]:port` of a client, and what follows.
fn peer(text: &[u8]) -> Option<(Client<'_>, &[u8])> {
    let (host, rest) = host_ip_port(text)?;
    Some((Client { name: host.name, ip: host.ip, helo: &[], port: host.port }, rest))
}

/// `client=host[ip], sasl_method=PLAIN, sasl_username=al@b.example, orig_queue_id=77AA, orig_client=x[192.0.2.3]`
/// (`smtpd.c`).
fn client(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let (client, tail) = peer(rest.strip_prefix(b"client=")?)?;
    let parent = until(tail, b", orig_queue_id=").and_then(|(_, id)| {
        let end = id.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(id.len());
        QueueId::new(id.get(..end)?).map(Parent::Hop)
    });
    let orig_client =
        until(tail, b", orig_client=").and_then(|(_, named)| peer(named)).map(|(client, _)| Box::new(client));
    Some(Entry::Arrival(Arrival {
        client: Some(client),
        orig_client,
        sasl_username: sasl_username(tail),
        parent,
        ..Arrival::new(queue_id)
    }))
}

/// The login in a tail of `, key=value` pairs. Blanks and commas may be part of it.
fn sasl_username(tail: &[u8]) -> Option<&[u8]> {
    let (_, value) = until(tail, b"sasl_username=")?;
    let (login, _) = address(value, SASL_ENDS)?;
    (!login.is_empty()).then_some(login)
}

const SASL_ENDS: &[&[u8]] = &[
    b", sasl_sender=",
    b", orig_queue_id=",
    b", orig_client=",
    b" sasl_sender=",
    b", sasl_method=",
    b", sasl_username=",
];

/// `uid=33 from=<www-data>`, since 3.x with `orig_id=` (`pickup.c`).
fn pickup(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let (uid, tail) = until(rest.strip_prefix(b"uid=")?, b" ")?;
    let (sender, tail) = address(tail.strip_prefix(b"from=")?, &[b" orig_id="])?;
    let parent = tail.strip_prefix(b" orig_id=").and_then(QueueId::new).map(Parent::Hop);
    Some(Entry::Arrival(Arrival { local_user: Some(uid), sender: Some(sender), parent, ..Arrival::new(queue_id) }))
}

/// `message-id=<k7@b.example>`, as the sender wrote it: empty, without brackets, or cut off.
fn message_id(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let text = rest.strip_prefix(b"message-id=")?.trim_ascii();
    Some(Entry::MessageId { queue_id, message_id: unbracketed(text) })
}

/// `from=<>, size=2311, nrcpt=2 (queue active)` or `from=<al@b.example>, status=expired, returned to sender`
/// (`qmgr_active.c`).
fn queue_manager(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let (sender, tail) = address(rest.strip_prefix(b"from=")?, &[b", size=", b", status="])?;
    if let Some(status) = tail.strip_prefix(b", status=") {
        let is_expired = status.starts_with(b"expired") || status.starts_with(b"force-expired");
        return is_expired.then_some(Entry::Expired { queue_id });
    }
    let (size, tail) = number(tail.strip_prefix(b", size=")?)?;
    let (recipients, _) = number(tail.strip_prefix(b", nrcpt=")?)?;
    Some(Entry::Queued { queue_id, sender, size: Some(size), recipients: u32::try_from(recipients).ok()? })
}

/// `sender non-delivery notification: 8E0B22`, also `sender delay`, `sender delivery status`, `postmaster ...`
/// (`bounce_notify_service.c` and its siblings).
fn notice(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let (_, id) = until_last(rest, b"notification: ")?;
    Some(Entry::Notice { parent: queue_id, child: QueueId::new(id)? })
}

const AFTER_RECIPIENT: &[&[u8]] = &[b", relay=", b", orig_to=", b", delay=", b", conn_use=", b", status=", b", dsn="];

/// `to=<x@a.example>, orig_to=<y>, relay=mx[192.0.2.8]:25, conn_use=2, delay=1.2, delays=0.1/0.02/0.5/0.58, dsn=2.0.0,
/// status=sent (250 2.0.0 Ok)`, every key but `to` and `status` optional (`log_adhoc.c`, `bounce.c`, `defer.c`, `sent.c`).
fn delivery<'a>(service: &'a [u8], is_relay: bool, queue_id: QueueId, rest: &'a [u8]) -> Option<Entry<'a>> {
    let (recipient, mut tail) = address(rest.strip_prefix(b"to=")?, AFTER_RECIPIENT)?;
    let mut found = Delivery {
        service,
        is_remote: service == b"smtp" && !is_relay,
        ..Delivery::new(queue_id, recipient, Outcome::Deferred)
    };
    loop {
        tail = tail.strip_prefix(b", ")?;
        let (key, value) = until(tail, b"=")?;
        if key == b"status" {
            return status(found, value).map(Entry::Delivery);
        }
        if key == b"orig_to" {
            (found.orig_recipient, tail) = address(value, AFTER_RECIPIENT)?;
            continue;
        }
        let end = fields::find(value, b", ")?;
        let (value, after) = value.split_at_checked(end)?;
        tail = after;
        match key {
            b"relay" if value.contains(&b'[') => {
                let (relay, _) = host_ip_port(value)?;
                (found.relay_host, found.relay_ip, found.relay_port) = (relay.name, relay.ip, relay.port);
            }
            b"relay" if value != b"none" => found.relay_host = value,
            b"delay" => found.delay_s = seconds(value),
            b"dsn" => found.enhanced_code = EnhancedCode::take(value).map(|(code, _)| code),
            _ => {}
        }
    }
}

/// The word behind `status=`, and the response in its parentheses; a line cut off inside them keeps what is there.
fn status<'a>(mut found: Delivery<'a>, text: &'a [u8]) -> Option<Delivery<'a>> {
    let (word, tail) = until(text, b" (").unwrap_or((text, &[]));
    found.response = tail.strip_suffix(b")").unwrap_or(tail);
    found.outcome = match word.to_ascii_lowercase().as_slice() {
        b"sent" if found.service == b"discard" || is_discarded_by_filter(found.response) => Outcome::Discarded,
        b"sent" => Outcome::Delivered,
        // Postfix, soft_bounce: a bounce turned into a deferral.
        b"deferred" | b"softbounce" => Outcome::Deferred,
        b"bounced" | b"failed" => Outcome::Bounced,
        b"expired" => Outcome::Expired,
        word if word.starts_with(b"deliverable") || word.starts_with(b"undeliverable") => Outcome::Probed,
        _ => match found.enhanced_code?.class {
            2 => Outcome::Delivered,
            4 => Outcome::Deferred,
            _ => Outcome::Bounced,
        },
    };
    if found.relay_ip.is_empty() && found.outcome != Outcome::Delivered {
        fill_relay(&mut found);
    }
    if found.outcome == Outcome::Delivered {
        found.next = match found.service {
            // local(8) shows a command's output as it is: only its own words count.
            b"local" => found
                .response
                .starts_with(b"forwarded as ")
                .then(|| named_id(found.response, b"forwarded as "))
                .flatten(),
            b"smtp" | b"lmtp" => next_queue_id(found.response),
            _ => None,
        };
    } else if found.response.starts_with(b"delivery temporarily suspended") {
        found.is_secondary = true;
        found.is_remote |= found.service != b"lmtp";
    } else if found.outcome == Outcome::Deferred && matches!(found.service, b"qmgr" | b"oqmgr" | b"nqmgr") {
        // No delivery agent saw it: what keeps the transport from running is logged elsewhere.
        found.is_secondary = true;
    }
    Some(found)
}

/// amavis says yes and throws away: `250 2.7.0 Ok, discarded, id=00169-01 - SPAM`.
fn is_discarded_by_filter(response: &[u8]) -> bool {
    fields::contains(response, b" Ok, discarded, id=")
}

/// `relay=none` with a response that names the host which was not reached: `connect to a.example[192.0.2.8]:25:
/// Connection refused`, `delivery temporarily suspended: lost connection with ...` (`smtp_connect.c`, `smtp_trouble.c`).
fn fill_relay(found: &mut Delivery<'_>) {
    let text = found.response.strip_prefix(b"delivery temporarily suspended: ").unwrap_or(found.response);
    let named = [&b"connect to "[..], b"lost connection with ", b"conversation with ", b"host "]
        .iter()
        .find_map(|start| text.strip_prefix(*start));
    if let Some((relay, _)) = named.and_then(host_ip_port)
        && ip(relay.ip).is_some()
    {
        (found.relay_host, found.relay_ip, found.relay_port) = (relay.name, relay.ip, relay.port);
    }
}

/// The words that begin a decision on a client's command or a message's content, and what they do.
#[derive(Clone, Copy, PartialEq)]
enum Decision {
    Reject,
    Discard,
    Hold,
    /// The mail goes on, or was only looked at.
    Advice,
}

const DECISIONS: &[(&[u8], Decision)] = &[
    (b"reject: ", Decision::Reject),
    (b"milter-reject: ", Decision::Reject),
    (b"proxy-reject: ", Decision::Reject),
    (b"discard: ", Decision::Discard),
    (b"milter-discard: ", Decision::Discard),
    (b"reject_warning: ", Decision::Advice),
    (b"filter: ", Decision::Advice),
    (b"hold: ", Decision::Hold),
    (b"milter-hold: ", Decision::Hold),
    (b"redirect: ", Decision::Advice),
    (b"prepend: ", Decision::Advice),
    (b"replace: ", Decision::Advice),
    (b"strip: ", Decision::Advice),
    (b"warn: ", Decision::Advice),
    (b"warning: ", Decision::Advice),
    (b"info: ", Decision::Advice),
    (b"bcc: ", Decision::Advice),
    (b"delay: ", Decision::Advice),
    (b"permit: ", Decision::Advice),
    (b"dunno: ", Decision::Advice),
    (b"hangup: ", Decision::Advice),
];

/// `reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 <bo@a.example>: Relay access denied; from=<> to=<> proto= helo=<>`
/// and its kin of milters, filters and header checks (`smtpd_check.c` log_whatsup, `cleanup_milter.c`, `cleanup_message.c`).
fn refusal<'a>(service: &'a [u8], queue_id: Option<QueueId>, rest: &'a [u8]) -> Option<Parsed<'a>> {
    if let Some(text) = rest.strip_prefix(b"proxy-accept: ") {
        let (_, child) = until(text, b": ")?;
        let reason = split_tail(child).0;
        return Some(match next_queue_id(reason) {
            Some(child) => Parsed::Entry(Entry::Handover { child }),
            None => Parsed::Ignored("filter"),
        });
    }
    // milter_header_checks(5): `milter-header-reject: header Subject: ...`.
    let rest = rest.strip_prefix(b"milter-header-").or_else(|| rest.strip_prefix(b"milter-body-")).unwrap_or(rest);
    let (decision, rest) =
        DECISIONS.iter().find_map(|(word, decision)| Some((*decision, rest.strip_prefix(*word)?)))?;
    if decision == Decision::Advice {
        return Some(match queue_id.zip(subject(rest)) {
            Some((queue_id, subject)) => Parsed::Entry(Entry::Subject { queue_id, subject }),
            None => Parsed::Ignored("advice"),
        });
    }
    let mut found =
        Rejection { is_discard: decision == Decision::Discard, ..Rejection::new(queue_id, service, Stage::Eod) };
    let (word, after) = until(rest, b" ").unwrap_or((rest, &[]));
    if matches!(word, b"header" | b"body" | b"mime-header" | b"nested-header" | b"mime-error" | b"content") {
        content_refusal(&mut found, rest)?;
    } else {
        command_refusal(&mut found, word, after)?;
    }
    Some(Parsed::Entry(match decision {
        Decision::Hold => Entry::Held(Hold {
            queue_id,
            client: found.client,
            sender: found.sender,
            recipient: found.recipient,
            stage: found.stage,
            response: found.response,
        }),
        _ => Entry::Rejection(found),
    }))
}

/// The subject in `header Subject: x from pc7[198.51.100.7]; from=<a>...`, which ends at the last ` from `.
fn subject(rest: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"header Subject:";
    let (name, text) = rest.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let (head, _) = until_last(text, b"; from=<")?;
    until_last(head, b" from ").map(|(subject, _)| subject.trim_ascii())
}

/// `header Subject: x from pc7[198.51.100.7]; from=<a> to=<b> proto=ESMTP helo=<h>: 5.7.1 text`. The header is the
/// sender's own text, so the fixed part is looked for from the right.
fn content_refusal<'a>(found: &mut Rejection<'a>, rest: &'a [u8]) -> Option<()> {
    let (head, tail) = until_last(rest, b"; from=<")?;
    if let Some((_, from)) = until_last(head, b" from ")
        && let Some((client, _)) = peer(from)
    {
        found.client = client;
    }
    let tail = tail_from(rest, tail.len(), b"; from=<")?;
    let mut helo_end = &b""[..];
    pairs(found, tail, &mut helo_end);
    // Without helo (local submission) the text follows the last pair.
    let text = match helo_end.strip_prefix(b": ") {
        Some(text) => text,
        None => until(tail, b">: ").map_or(&b""[..], |(_, text)| text),
    };
    codes(found, text);
    Some(())
}

/// The slice of `whole` whose last `len` octets follow `mark`, beginning at the mark.
fn tail_from<'a>(whole: &'a [u8], len: usize, mark: &[u8]) -> Option<&'a [u8]> {
    whole.get(whole.len().checked_sub(len + mark.len())?..)
}

fn command_refusal<'a>(found: &mut Rejection<'a>, command: &[u8], after: &'a [u8]) -> Option<()> {
    let command = command.strip_suffix(b":").unwrap_or(command);
    found.stage = stage(command)?;
    // A refused recipient leaves the message alone; so do MAIL and earlier commands, which come before it.
    found.ends_message &= matches!(found.stage, Stage::Eod | Stage::Data);
    let text = match after.strip_prefix(b"from ") {
        Some(from) => {
            let (client, rest) = peer(from)?;
            found.client = client;
            rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b" ")).unwrap_or(rest)
        }
        // `reject: ETRN a.example... from pc7[198.51.100.7]`
        None => match until_last(after, b"... from ").and_then(|(_, from)| peer(from)) {
            Some((client, rest)) => {
                found.client = client;
                rest
            }
            None => after,
        },
    };
    let (reason, tail) = split_tail(text);
    codes(found, reason);
    pairs(found, tail, &mut &b""[..]);
    // postscreen logs its 421 for want of room without the code (`postscreen.c`).
    if found.service == b"postscreen" && found.smtp_code.is_none() {
        (found.smtp_code, found.is_permanent) = (SmtpCode::new(421), false);
    }
    // reject_sender_login_mismatch says whose session it is (`smtpd_check.c`).
    if found.sasl_username.is_none()
        && let Some((_, login)) = until_last(found.response, b">: Sender address rejected: not owned by user ")
    {
        found.sasl_username = Some(login);
    }
    Some(())
}

/// The stage of an SMTP command as smtpd and postscreen name it.
pub fn stage(command: &[u8]) -> Option<Stage> {
    Some(match command {
        b"CONNECT" | b"connect" => Stage::Connect,
        b"HELO" | b"EHLO" | b"STARTTLS" | b"UNKNOWN" => Stage::Helo,
        b"AUTH" => Stage::Auth,
        b"MAIL" | b"XFORWARD" | b"XCLIENT" => Stage::Mail,
        b"RCPT" | b"VRFY" | b"ETRN" | b"EXPN" => Stage::Rcpt,
        b"DATA" | b"BDAT" | b"DATA-COMMAND" => Stage::Data,
        b"END-OF-MESSAGE" | b"END-OF-DATA" => Stage::Eod,
        _ if command.iter().all(|b| b.is_ascii_uppercase() || *b == b'-') && !command.is_empty() => Stage::Helo,
        _ => return None,
    })
}

/// Reason and `; key=value` tail of a refusal. The reason may begin with the client's own words in `<...>: `, which may
/// look like a tail: the search begins behind them.
fn split_tail(text: &[u8]) -> (&[u8], &[u8]) {
    let codes_end = text.iter().position(|b| *b == b'<').filter(|at| *at <= 12);
    let start = codes_end
        .and_then(|at| {
            let named = text.get(at..)?;
            let ends = |n: usize, byte: u8| byte == b'>' && named.get(n..).is_some_and(|t| t.starts_with(b">: "));
            let end = helo_named(named).or_else(|| unquoted_end(named, ends))?;
            Some(at + end)
        })
        .unwrap_or(0);
    let searched = text.get(start..).unwrap_or_default();
    [&b"; from=<"[..], b"; to=<", b"; proto=", b"; helo=<", b"; client="]
        .iter()
        .find_map(|mark| fields::find(searched, mark))
        .and_then(|at| text.split_at_checked(start + at))
        .unwrap_or((text, &[]))
}

/// Length of `<HELO` in a reason that begins with the HELO name, which stands again in the tail's `helo=<HELO>`: so a
/// name that looks like the reason's end cannot end it.
fn helo_named(text: &[u8]) -> Option<usize> {
    const MARK: &[u8] = b" helo=<";
    // A name may hold the mark itself; one that holds it more often than this is on its own.
    const TRIED: usize = 8;
    memchr::memmem::find_iter(text, MARK).take(TRIED).find_map(|at| {
        let tail = text.get(at + MARK.len()..)?;
        let ends = match tail.strip_suffix(b">") {
            Some(helo) => helo.len(),
            None => fields::rfind(tail, b"> sasl_")?,
        };
        let named = text.get(1..)?;
        let helo = tail.get(..ends).filter(|helo| !helo.is_empty() && named.starts_with(helo))?;
        named.get(helo.len()..)?.starts_with(b">: ").then_some(helo.len() + 1)
    })
}

/// Reply code and enhanced code in front of the text; each may be absent.
fn codes<'a>(found: &mut Rejection<'a>, text: &'a [u8]) {
    let mut text = text;
    if let Some((code, rest)) = SmtpCode::take(text) {
        found.smtp_code = Some(code);
        text = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    if let Some((code, rest)) = EnhancedCode::take(text) {
        found.enhanced_code = Some(code);
        text = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    found.response = text;
    found.is_permanent = match (found.smtp_code, found.enhanced_code) {
        (Some(code), _) => code.is_permanent(),
        (None, Some(code)) => code.is_permanent(),
        (None, None) => true,
    };
}

const AFTER_TAIL_VALUE: &[&[u8]] = &[
    b" to=<",
    b" proto=",
    b" helo=<",
    b" sasl_method=",
    b" sasl_username=",
    b" sasl_sender=",
    b", to=<",
    b", proto=",
    b", helo=<",
    b", sasl_method=",
    b", sasl_username=",
    b", sasl_sender=",
    b": ",
];

/// The HELO name behind `helo=`, and what follows it. It is the last pair in `<>`: of smtpd's the login's pairs may follow,
/// without `<>`, and of cleanup's the reason. So a name that looks like other pairs stays whole, and gives nobody's login.
fn helo<'a>(service: &[u8], text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let inner = text.strip_prefix(b"<")?;
    let end = match inner.strip_suffix(b">") {
        Some(helo) => helo.len(),
        None if service == b"smtpd" => {
            fields::rfind(inner, b"> sasl_").or_else(|| fields::rfind(inner, b">, sasl_"))?
        }
        None => fields::find(inner, b">: ")?,
    };
    Some((inner.get(..end)?, inner.get(end + 1..)?))
}

/// The pairs behind a refusal, separated by blanks (smtpd) or commas (postscreen). `rest` is what follows them.
fn pairs<'a>(found: &mut Rejection<'a>, tail: &'a [u8], rest: &mut &'a [u8]) {
    let mut tail = tail;
    while let Some(pair) =
        tail.strip_prefix(b"; ").or_else(|| tail.strip_prefix(b", ")).or_else(|| tail.strip_prefix(b" "))
    {
        let Some((key, value)) = until(pair, b"=") else { break };
        let value = match key {
            b"helo" => helo(found.service, value),
            _ => address(value, AFTER_TAIL_VALUE),
        };
        let Some((value, after)) = value else { break };
        // An address that the end of the line cuts is another address.
        if after.is_empty() && pair.contains(&b'<') && !pair.ends_with(b">") {
            break;
        }
        match key {
            b"from" => found.sender = Some(value),
            b"to" => found.recipient = Some(value),
            b"helo" => found.client.helo = value,
            b"sasl_username" => found.sasl_username = Some(value).filter(|v| !v.is_empty()),
            _ => {}
        }
        tail = after;
    }
    *rest = tail;
}

/// `pc7[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=al` (`smtpd_sasl_glue.c`).
fn auth_failure<'a>(service: &'a [u8], warning: &'a [u8]) -> Option<Entry<'a>> {
    let (client, rest) = peer(warning)?;
    let (_method, rest) = until(rest.strip_prefix(b": SASL ")?, b" ")?;
    if !rest.starts_with(b"authentication failed") && !rest.starts_with(b"authentication aborted") {
        return None;
    }
    let (response, login) = match until_last(rest, b", sasl_username=") {
        Some((response, login)) => (response, Some(login).filter(|l| !l.is_empty() && *l != b"(unavailable)")),
        None => (rest, None),
    };
    Some(Entry::AuthFailure(AuthFailure {
        client,
        sasl_username: login,
        smtp_code: None,
        // A temporary fault of the login service is said so in the text (`Temporary authentication failure`).
        is_permanent: [&b"emporary"[..], b"Connection lost to"].iter().all(|fault| !fields::contains(response, fault)),
        response,
        service,
    }))
}

/// What the remaining lines are about: known, and without effect on a message or its outcome. The first word decides,
/// so that nothing a client wrote can pass for another kind.
fn kind_without_effect(service: &[u8], body: &[u8]) -> Option<&'static str> {
    let body = take_postfix_id(body).map_or(body, |(_, rest)| rest);
    let body = body.strip_prefix(b"NOQUEUE: ").unwrap_or(body);
    if let Some((_, kind)) = WITHOUT_EFFECT.iter().find(|(start, _)| body.starts_with(start)) {
        return Some(kind);
    }
    // `pc7[198.51.100.7]: replacing command ...`, `[198.51.100.7]:40112: discarding EHLO keywords: ...`
    if let Some((_, rest)) = host_ip_port(body)
        && WORKAROUNDS.iter().any(|words| rest.starts_with(words))
    {
        return Some("workaround");
    }
    match service {
        b"postscreen" | b"dnsblog" | b"tlsproxy" | b"anvil" | b"scache" | b"verify" | b"tlsmgr" | b"proxymap"
        | b"flush" | b"showq" => Some("connection"),
        b"master"
        | b"postfix-script"
        | b"postlog"
        | b"postlogd"
        | b"postsuper"
        | b"postqueue"
        | b"postmap"
        | b"postalias"
        | b"sendmail"
        | b"postdrop"
        | b"postmulti"
        | b"spawn"
        | b"trivial-rewrite"
        | b"postfix-tls-script"
        | b"postfix"
        | b"postcat"
        | b"postconf" => Some("service"),
        // Run by spawn(8) under a tag of Postfix's.
        service if is_policy_daemon(service) => Some("policy daemon"),
        _ => debug_output(body).then_some("debug"),
    }
}

/// `-v` output: the SMTP dialogue behind `<` or `>`, or a C function's name with its colon.
fn debug_output(body: &[u8]) -> bool {
    if DIALOGUE.iter().any(|start| body.starts_with(start)) || until(body, b": wanted attribute: ").is_some() {
        return true;
    }
    let name = body.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    name > 3
        && body.get(name) == Some(&b':')
        && body.get(..name).is_some_and(|n| n.contains(&b'_') && !n.iter().any(u8::is_ascii_uppercase))
}

const WORKAROUNDS: &[&[u8]] = &[b": replacing ", b": discarding EHLO keywords"];

const DIALOGUE: &[&[u8]] = &[b"< ", b"> ", b">>> ", b"+++ ", b"--- "];

const WITHOUT_EFFECT: &[(&[u8], &str)] = &[
    (b"warning: ", "warning"),
    (b"fatal: ", "warning"),
    (b"error: ", "warning"),
    (b"panic: ", "warning"),
    (b"CONNECT from ", "connection"),
    (b"DISCONNECT ", "connection"),
    (b"PASS ", "connection"),
    (b"ALLOWLISTED ", "connection"),
    (b"WHITELISTED ", "connection"),
    (b"DNSBL rank ", "client screening"),
    (b"PREGREET ", "client screening"),
    (b"HANGUP ", "client screening"),
    (b"COMMAND ", "client screening"),
    (b"NON-SMTP COMMAND ", "client screening"),
    (b"BARE NEWLINE ", "client screening"),
    (b"DENYLISTED ", "client screening"),
    (b"BLACKLISTED ", "client screening"),
    (b"ALLOWLIST VETO ", "client screening"),
    (b"WHITELIST VETO ", "client screening"),
    (b"DATA without valid RCPT ", "client screening"),
    (b"BDAT without valid RCPT ", "client screening"),
    (b"connect from ", "connection"),
    (b"disconnect from ", "connection"),
    (b"lost connection after ", "connection"),
    (b"timeout after ", "connection"),
    (b"too many errors after ", "connection"),
    (b"improper command pipelining ", "connection"),
    (b"abort: ", "connection"),
    (b"discarding EHLO keywords", "workaround"),
    (b"replacing ", "workaround"),
    (b"statistics: ", "statistics"),
    (b"cache ", "statistics"),
    (b"connect to subsystem ", "debug"),
    (b"connect to ", "interim answer"),
    (b"host ", "interim answer"),
    (b"lost connection with ", "interim answer"),
    (b"conversation with ", "interim answer"),
    (b"SASL authentication failed", "interim answer"),
    (b"enabling PIX workarounds", "workaround"),
    (b"breaking line ", "workaround"),
    (b"Cannot start TLS", "tls"),
    (b"TLS ", "tls"),
    (b"SSL_", "tls"),
    (b"setting up TLS", "tls"),
    (b"initializing the ", "tls"),
    (b"Anonymous TLS", "tls"),
    (b"Trusted TLS", "tls"),
    (b"Untrusted TLS", "tls"),
    (b"Verified TLS", "tls"),
    (b"certificate ", "tls"),
    (b"server certificate ", "tls"),
    (b"Server certificate ", "tls"),
    (b"client certificate ", "tls"),
    (b"CA certificate ", "tls"),
    (b"subject_CN=", "tls"),
    (b"issuer", "tls"),
    (b"fingerprint", "tls"),
    (b"Host offered STARTTLS", "tls"),
    (b"resent-message-id=", "header"),
    (b"skipped, still being delivered", "queue state"),
    (b"undeliverable postmaster notification discarded", "queue state"),
    (b"not sending ", "queue state"),
    (b"expired", "queue state"),
    (b"message ", "queue state"),
    (b"sender notification failed", "queue state"),
    (b"Deferred: ", "queue state"),
    (b"reload ", "service"),
    (b"terminating on signal", "service"),
    (b"daemon started", "service"),
    (b"refreshing the Postfix mail system", "service"),
    (b"starting the Postfix mail system", "service"),
    (b"stopping the Postfix mail system", "service"),
    (b"table ", "service"),
    (b"using backwards-compatible default", "service"),
    (b"name_mask", "debug"),
    (b"input attribute ", "debug"),
    (b"private/", "debug"),
    (b"public/", "debug"),
    (b"send attr ", "debug"),
    (b"before input_transp_cleanup", "debug"),
    (b"after input_transp_cleanup", "debug"),
    (b"fsspace: ", "debug"),
    (b"lookup ", "debug"),
    (b"connection established", "debug"),
    (b"watchdog", "debug"),
    (b"trigger_", "debug"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(service: &'a [u8], body: &'a [u8]) -> Entry<'a> {
        match line(service, false, body) {
            Parsed::Entry(entry) => entry,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(body)),
        }
    }

    fn rejection<'a>(service: &'a [u8], body: &'a [u8]) -> Rejection<'a> {
        match entry(service, body) {
            Entry::Rejection(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_login_and_its_filter_hop_are_read_from_the_client_line() {
        let body = b"3F2A11C0: client=pc7[198.51.100.7]:40112, sasl_method=PLAIN, sasl_username=al b@b.example, sasl_sender=x, orig_queue_id=77AABB, orig_client=x[192.0.2.3]";
        let Entry::Arrival(arrival) = entry(b"smtpd", body) else { panic!() };
        assert_eq!(arrival.sasl_username, Some(&b"al b@b.example"[..]));
        assert_eq!(arrival.parent, Some(Parent::Hop(QueueId::new(b"77AABB").unwrap())));
        assert_eq!(arrival.client.unwrap().ip, b"198.51.100.7");
    }

    #[test]
    fn a_delivery_is_read_key_by_key() {
        let body = b"3F2A11C0: to=<x@a.example>, orig_to=<y>, relay=mx.a.example[2001:db8::8]:25, conn_use=2, delay=0.87, delays=0.68/0.01/0/0.18, tls=x, dsn=5.1.1, status=bounced (host mx.a.example[2001:db8::8] said: 550-5.1.1 No such 550 5.1.1 user (in reply to RCPT TO command))";
        let Entry::Delivery(found) = entry(b"smtp", body) else { panic!() };
        assert_eq!((found.recipient, found.orig_recipient), (&b"x@a.example"[..], &b"y"[..]));
        assert_eq!((found.relay_host, found.relay_ip), (&b"mx.a.example"[..], &b"2001:db8::8"[..]));
        assert_eq!((found.outcome, found.relay_port, found.delay_s), (Outcome::Bounced, Some(25), Some(0.87)));
        assert!(found.response.ends_with(b"RCPT TO command)"));
        let old = b"3F2A11C0: to=<x@a.example>, relay=none, delay=3, status=deferred (connect to a[192.0.2.8]: Connection refused)";
        let Entry::Delivery(found) = entry(b"smtp", old) else { panic!() };
        assert_eq!((found.outcome, found.relay_host, found.enhanced_code), (Outcome::Deferred, &b"a"[..], None));
    }

    #[test]
    fn a_cut_off_response_and_a_suspended_delivery_are_kept_as_what_they_are() {
        let cut =
            b"3F2A11C0: to=<x@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 OK 9a";
        let Entry::Delivery(found) = entry(b"smtp", cut) else { panic!() };
        assert_eq!((found.outcome, found.response), (Outcome::Delivered, &b"250 2.0.0 OK 9a"[..]));
        let suspended = b"3F2A11C0: to=<x@a.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to a.example[192.0.2.8]:25: Connection refused)";
        let Entry::Delivery(found) = entry(b"error", suspended) else { panic!() };
        assert!(found.is_secondary && found.is_remote);
    }

    #[test]
    fn refusals_are_read_at_every_stage_and_in_both_tail_forms() {
        let found = rejection(b"smtpd", b"NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 554 5.7.1 <bo@a.example>: Relay access denied; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<pc7> sasl_method=PLAIN sasl_username=al@b.example");
        assert_eq!(found.response, b"<bo@a.example>: Relay access denied");
        assert_eq!((found.sender, found.recipient), (Some(&b"al@b.example"[..]), Some(&b"bo@a.example"[..])));
        assert_eq!((found.client.helo, found.sasl_username), (&b"pc7"[..], Some(&b"al@b.example"[..])));
        assert_eq!((found.stage, found.is_permanent, found.ends_message), (Stage::Rcpt, true, false));
        let found = rejection(b"postscreen", b"NOQUEUE: reject: RCPT from [198.51.100.7]:40112: 550 5.7.1 Service unavailable; client [198.51.100.7] blocked using bl.example; from=<a@b>, to=<c@d>, proto=ESMTP, helo=<h>");
        assert_eq!(found.response, b"Service unavailable; client [198.51.100.7] blocked using bl.example");
        assert_eq!((found.recipient, found.client.ip), (Some(&b"c@d"[..]), &b"198.51.100.7"[..]));
        let found = rejection(b"cleanup", b"3F2A11C0: milter-reject: END-OF-MESSAGE from pc7[198.51.100.7]: 4.7.1 Try later; from=<a@b> to=<c@d> proto=ESMTP helo=<h>");
        assert_eq!((found.stage, found.is_permanent, found.ends_message), (Stage::Eod, false, true));
        let found = rejection(b"smtpd", b"NOQUEUE: reject: CONNECT from u[198.51.100.7]: 450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]; proto=SMTP");
        assert_eq!(
            (found.stage, found.response),
            (Stage::Connect, &b"Client host rejected: cannot find your hostname, [198.51.100.7]"[..])
        );
        let found = rejection(
            b"smtpd",
            b"NOQUEUE: proxy-reject: END-OF-MESSAGE: 554 5.7.0 no; from=<> to=<bo@a.example> proto=SMTP helo=<h>",
        );
        assert_eq!((found.sender, found.response), (Some(&b""[..]), &b"no"[..]));
    }

    #[test]
    fn a_refused_sender_tells_whose_session_it_is() {
        let found = rejection(b"smtpd", b"NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 553 5.7.1 <ceo@b.example>: Sender address rejected: not owned by user al@b.example; from=<ceo@b.example> to=<bo@a.example> proto=ESMTP helo=<pc7>");
        assert_eq!(found.sasl_username, Some(&b"al@b.example"[..]));
    }

    #[test]
    fn a_helo_that_looks_like_a_tail_stays_a_helo() {
        let found = rejection(b"smtpd", b"NOQUEUE: reject: RCPT from pc7[198.51.100.7]: 450 4.7.1 <x; from=<v@y> to=<z@w> proto=ESMTP helo=<y>: Helo command rejected: Host not found; from=<real@b.example> to=<bo@a.example> proto=ESMTP helo=<x; from=<v@y> to=<z@w> proto=ESMTP helo=<y>");
        assert_eq!(found.sender, Some(&b"real@b.example"[..]));
        assert_eq!(found.recipient, Some(&b"bo@a.example"[..]));
    }

    #[test]
    fn a_header_check_is_read_from_the_right() {
        let found = rejection(b"cleanup", b"3F2A11C0: reject: header Subject: x from y; from=<fake@b> to=<z> from pc7[198.51.100.7]; from=<al@b.example> to=<bo@a.example> proto=ESMTP helo=<pc7>: 5.7.1 no spam");
        assert_eq!((found.sender, found.response), (Some(&b"al@b.example"[..]), &b"no spam"[..]));
        assert_eq!(found.client.ip, b"198.51.100.7");
        let found = rejection(
            b"cleanup",
            b"3F2A11C0: reject: header Subject: x from local; from=<al@b.example> to=<bo@a.example>: 5.7.1 no",
        );
        assert_eq!((found.recipient, found.response), (Some(&b"bo@a.example"[..]), &b"no"[..]));
    }

    #[test]
    fn what_is_no_refusal_is_none() {
        for body in [
            &b"NOQUEUE: filter: RCPT from pc7[198.51.100.7]: <pc7[198.51.100.7]>: Client host triggers FILTER smtp:[127.0.0.1]:10025; from=<a@b> to=<c@d>"[..],
            b"NOQUEUE: reject_warning: RCPT from pc7[198.51.100.7]: 550 5.1.1 <c@d>: User unknown; from=<a@b> to=<c@d>",
            b"3F2A11C0: info: header Comments: reject: x from pc7[198.51.100.7]; from=<a@b> to=<c@d>",
            b"> pc7[198.51.100.7]: 250 2.1.0 Ok",
            b"smtpd_check_addr: addr=x",
            b"warning: hostname pc7.b.example does not resolve to address 198.51.100.7",
        ] {
            assert!(matches!(line(b"smtpd", false, body), Parsed::Ignored(_)), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(line(b"smtpd", false, b"some new kind of line"), Parsed::Unknown);
    }

    #[test]
    fn a_failed_login_names_client_and_login() {
        let Entry::AuthFailure(found) = entry(
            b"smtpd",
            b"warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=al",
        ) else {
            panic!()
        };
        assert_eq!((found.sasl_username, found.client.ip), (Some(&b"al"[..]), &b"198.51.100.7"[..]));
    }
}
