//! Which Postfix daemon wrote a line whose tag does not say so. rsyslog's RFC 5424 format and templates with
//! `%programname%` cut the tag `postfix/smtpd` at its slash; what is left is `postfix`, and the message.

use super::fields::until;
use crate::mail::queue_id::take_postfix_id;

/// The daemon that writes such a message; `postfix` where several do, as `postfix` itself is the start script's tag.
pub fn of_message(body: &[u8]) -> &'static [u8] {
    let Some((_, rest)) = take_postfix_id(body) else { return without_queue_id(body) };
    match rest {
        _ if rest.starts_with(b"client=") => b"smtpd",
        _ if rest.starts_with(b"uid=") => b"pickup",
        _ if rest.starts_with(b"message-id=") || rest.starts_with(b"resent-message-id=") => b"cleanup",
        _ if rest.starts_with(b"from=") => b"qmgr",
        _ if rest == b"removed" => b"postfix",
        _ if rest.starts_with(b"to=") => of_delivery(rest),
        _ if rest.ends_with(b"notification") || until(rest, b"notification: ").is_some() => b"bounce",
        _ if rest == b"requeued" || rest.starts_with(b"placed on hold") || rest.starts_with(b"released from hold") => {
            b"postsuper"
        }
        _ if rest.starts_with(b"removed (") => b"cleanup",
        _ if rest.starts_with(b"host ") || rest.starts_with(b"lost connection with ") => b"smtp",
        _ if rest.starts_with(b"conversation with ") => b"smtp",
        _ => of_decision(rest),
    }
}

/// By the relay: a mailbox, a socket, a pipe's name, or another server.
fn of_delivery(rest: &[u8]) -> &'static [u8] {
    let Some((_, relay)) = until(rest, b", relay=") else { return b"smtp" };
    let relay = until(relay, b", ").map_or(relay, |(relay, _)| relay);
    match relay {
        b"local" => b"local",
        b"virtual" => b"virtual",
        b"none" => {
            let is_suspended = until(rest, b"(delivery temporarily suspended").is_some();
            if is_suspended { b"error" } else { b"smtp" }
        }
        _ if until(relay, b"[private/").is_some() || until(relay, b"[/").is_some() => b"lmtp",
        _ if relay.contains(&b'[') => b"smtp",
        _ => b"pipe",
    }
}

/// What was decided on a command is smtpd's word, on the message cleanup's; postscreen knows no client name.
fn of_decision(rest: &[u8]) -> &'static [u8] {
    let Some((_, what)) = until(rest, b": ") else { return b"smtpd" };
    const OF_MESSAGE: &[&[u8]] =
        &[b"header ", b"body ", b"mime-header ", b"nested-header ", b"mime-error ", b"content "];
    if OF_MESSAGE.iter().any(|word| what.starts_with(word)) || rest.starts_with(b"milter-") && is_after_data(what) {
        return b"cleanup";
    }
    match until(what, b" from [") {
        Some((command, _)) if command.iter().all(u8::is_ascii_uppercase) => b"postscreen",
        _ => b"smtpd",
    }
}

fn is_after_data(what: &[u8]) -> bool {
    what.starts_with(b"END-OF-MESSAGE")
}

fn without_queue_id(body: &[u8]) -> &'static [u8] {
    if let Some(rest) = body.strip_prefix(b"NOQUEUE: ") {
        return of_decision(rest);
    }
    const STARTS: &[(&[u8], &[u8])] = &[
        (b"connect from ", b"smtpd"),
        (b"disconnect from ", b"smtpd"),
        (b"lost connection after ", b"smtpd"),
        (b"timeout after ", b"smtpd"),
        (b"too many errors after ", b"smtpd"),
        (b"improper command pipelining ", b"smtpd"),
        (b"proxy-", b"smtpd"),
        (b"connect to ", b"smtp"),
        (b"CONNECT from [", b"postscreen"),
        (b"DISCONNECT [", b"postscreen"),
        (b"PASS ", b"postscreen"),
        (b"HANGUP after ", b"postscreen"),
        (b"PREGREET ", b"postscreen"),
        (b"DNSBL rank ", b"postscreen"),
        (b"addr ", b"dnsblog"),
        (b"statistics: ", b"anvil"),
        (b"daemon started", b"master"),
        (b"terminating on signal", b"master"),
        (b"reload ", b"master"),
    ];
    if let Some((_, service)) = STARTS.iter().find(|(start, _)| body.starts_with(start)) {
        return service;
    }
    let is_login = body.starts_with(b"warning: ") && until(body, b"]: SASL ").is_some();
    if is_login { b"smtpd" } else { b"postfix" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_the_daemon() {
        for (body, service) in [
            (&b"3F2A11C0: client=pc7[198.51.100.7]"[..], &b"smtpd"[..]),
            (b"3F2A11C0: uid=33 from=<www-data>", b"pickup"),
            (b"3F2A11C0: message-id=<k7@b.example>", b"cleanup"),
            (b"3F2A11C0: from=<al@b.example>, size=1, nrcpt=1 (queue active)", b"qmgr"),
            (b"3F2A11C0: removed", b"postfix"),
            (b"3F2A11C0: to=<bo@a.example>, relay=mx[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 Ok)", b"smtp"),
            (
                b"3F2A11C0: to=<bo@a.example>, relay=h[private/dovecot-lmtp], delay=1, dsn=2.0.0, status=sent (250 Ok)",
                b"lmtp",
            ),
            (b"3F2A11C0: to=<bo@a.example>, relay=local, delay=1, dsn=2.0.0, status=sent (delivered)", b"local"),
            (b"3F2A11C0: to=<bo@a.example>, relay=spamfilter, delay=1, dsn=2.0.0, status=sent (delivered)", b"pipe"),
            (b"3F2A11C0: sender non-delivery notification: 8E0B22", b"bounce"),
            (b"3F2A11C0: reject: RCPT from pc7[198.51.100.7]: 550 5.1.1 <x>: no", b"smtpd"),
            (b"3F2A11C0: reject: header Subject: x from pc7[198.51.100.7]; from=<a@b>: 5.7.1 no", b"cleanup"),
            (b"3F2A11C0: milter-reject: END-OF-MESSAGE from pc7[198.51.100.7]: 5.7.1 no", b"cleanup"),
            (b"NOQUEUE: reject: RCPT from [198.51.100.7]:40112: 550 5.7.1 no", b"postscreen"),
            (b"NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 550 5.7.1 no", b"smtpd"),
            (b"warning: pc7[198.51.100.7]: SASL LOGIN authentication failed: x", b"smtpd"),
            (b"starting the Postfix mail system", b"postfix"),
        ] {
            assert_eq!(of_message(body), service, "{}", String::from_utf8_lossy(body));
        }
    }
}
