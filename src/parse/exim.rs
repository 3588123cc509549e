//! Lines of Exim's main log (4.8x to 4.99), by the flags and words of the Exim specification, "Log files".
//! Fields are read from the left, one by one, quotes honoured: what a client wrote cannot pass for a field.

use super::fields::{self, address, next_queue_id, number, unquoted_end, until, until_last, word};
use super::{Arrival, AuthFailure, Client, Delivery, Entry, Interim, Outcome, Parent, Parsed, Rejection};
use crate::mail::address::{ip, split, unbracketed};
use crate::mail::queue_id::{QueueId, take_exim_id};
use crate::mail::status::{EnhancedCode, SmtpCode, Stage};

/// What an Exim line says, behind its stamp, zone and pid.
pub fn line(body: &[u8]) -> Parsed<'_> {
    let (queue_id, rest) = match take_exim_id(body) {
        Some((id, rest)) => (Some(id), rest),
        None => (None, body),
    };
    if let Some(id) = queue_id
        && let Some(entry) = of_message(id, rest)
    {
        return Parsed::Entry(entry);
    }
    if let Some(entry) = auth_failure(rest) {
        return Parsed::Entry(entry);
    }
    if let Some(entry) = refusal(queue_id, rest) {
        return Parsed::Entry(Entry::Rejection(entry));
    }
    if let Some(found) = queue_id.and_then(|id| interim(id, rest)) {
        return Parsed::Entry(Entry::Interim(found));
    }
    if let Some(entry) = rest.strip_prefix(b"cwd=").and_then(invoked) {
        return Parsed::Entry(entry);
    }
    kind_without_effect(queue_id.is_some(), rest).map_or(Parsed::Unknown, Parsed::Ignored)
}

fn of_message(queue_id: QueueId, rest: &[u8]) -> Option<Entry<'_>> {
    let (flag, text) = word(rest);
    match flag {
        b"<=" | b"(=" => arrival(queue_id, text),
        b"=>" | b"->" | b">>" => delivered(queue_id, text),
        b"*>" => suppressed(queue_id, text),
        b"**" => bounced(queue_id, text),
        b"==" => deferred(queue_id, text),
        b"Completed" => Some(Entry::Closed { queue_id }),
        b"removed" if text.starts_with(b"by ") => Some(Entry::Deleted { queue_id }),
        b"cancelled" if text.starts_with(b"by ") => Some(Entry::GivenUp { queue_id }),
        b"address" if text.starts_with(b"<") => marked(queue_id, text),
        _ => None,
    }
}

/// `address <bo@a.example> marked delivered by root` (`exim -Mmd`, `-Mmad`): it is not delivered, and not tried again.
fn marked(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    let (recipient, rest) = address(text, &[b" marked delivered by "])?;
    let response = rest.strip_prefix(b" ")?;
    Some(Entry::Delivery(Delivery { response, ..Delivery::new(queue_id, recipient, Outcome::Discarded) }))
}

/// True for a line of the dump below a refusal in the reject log: `Envelope-from: <al@b.example>`, and the message's header
/// behind a letter for its kind, `F From: Al <al@b.example>` (`log.c`, `header_line`'s types in `structs.h`).
pub fn is_header_dump(line: &[u8]) -> bool {
    if line.starts_with(b"Envelope-from: <") || line.starts_with(b"Envelope-to: <") {
        return true;
    }
    // What parts one dump from the next.
    if line.len() >= 40 && line.iter().all(|b| *b == b'-') {
        return true;
    }
    let [b'P' | b'F' | b'T' | b'S' | b'R' | b'I' | b'B' | b'C' | b'*', b' ', header @ ..] = line else { return false };
    let name = header.iter().take_while(|b| b.is_ascii_graphic() && **b != b':').count();
    name > 0 && header.get(name) == Some(&b':')
}

/// One `K=value` of a line, a flag without a value, or `H=`'s several parts.
enum Field<'a> {
    Pair { key: &'a [u8], value: &'a [u8] },
    Host(Host<'a>),
    Flag(&'a [u8]),
}

/// `name (helo) [ip]:port`, each part but the address optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Host<'a> {
    name: &'a [u8],
    helo: &'a [u8],
    ip: &'a [u8],
    port: Option<u16>,
}

impl<'a> Host<'a> {
    const fn client(self) -> Client<'a> {
        Client { name: self.name, ip: self.ip, helo: self.helo, port: self.port }
    }
}

/// A peer at the start of `text`, and what follows its address and port. The HELO name in parentheses is the client's
/// word and may itself look like an address: it ends where a bracket with the real address follows.
fn host(text: &[u8]) -> Option<(Host<'_>, &[u8])> {
    let mut found = Host::default();
    let mut rest = text;
    if !rest.starts_with(b"(") && !rest.starts_with(b"[") {
        (found.name, rest) = word(rest);
    }
    if let Some(inner) = rest.strip_prefix(b"(") {
        let (helo, after) = inner.split_at_checked(helo_len(inner)?)?;
        found.helo = helo;
        rest = after.strip_prefix(b") ")?;
    }
    let (ip, after) = until(rest.strip_prefix(b"[")?, b"]")?;
    if ip.contains(&b' ') {
        return None;
    }
    found.ip = ip;
    rest = after;
    if let Some(tail) = rest.strip_prefix(b":")
        && let Some((port, tail)) = number(tail)
    {
        found.port = u16::try_from(port).ok();
        rest = tail;
    }
    Some((found, rest.strip_prefix(b"*").unwrap_or(rest)))
}

/// Length of a HELO name in parentheses. Where any name is let pass (`helo_accept_junk_hosts`) it may itself hold `) [`:
/// it ends at the last address before the fields that follow a host.
fn helo_len(text: &[u8]) -> Option<usize> {
    const CANDIDATES: usize = 8;
    const NEXT: &[&[u8]] = &[b" F=<", b" P=", b" U=", b" I=[", b" X=", b" A=", b" rejected ", b": ", b" D="];
    let has_address = |at: usize| {
        let inner = text.get(at + 3..).unwrap_or_default();
        let inner = inner.get(..48).unwrap_or(inner);
        until(inner, b"]").is_some_and(|(address, _)| ip(address).is_some())
    };
    let mut found = None;
    for at in memchr::memmem::find_iter(text, b") [").take(CANDIDATES) {
        if let Some(last) = found
            && let Some(between) = text.get(last..at)
            && NEXT.iter().any(|mark| fields::contains(between, mark))
        {
            break;
        }
        if has_address(at) {
            found = Some(at);
        }
    }
    found.or_else(|| fields::find(text, b") ["))
}

/// The next field at the start of `text`, and what follows it (from the blank or colon behind it on).
fn field(text: &[u8]) -> Option<(Field<'_>, &[u8])> {
    if let Some(tail) = text.strip_prefix(b"H=")
        && let Some((host, rest)) = host(tail)
    {
        return Some((Field::Host(host), rest));
    }
    let key_len = text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let (key, tail) = text.split_at_checked(key_len)?;
    let Some(value) = tail.strip_prefix(b"=").filter(|_| key_len > 0) else {
        let end = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
        let (flag, rest) = text.split_at_checked(end)?;
        return (end > 0).then_some((Field::Flag(flag), rest));
    };
    let end = match value.first() {
        // A name out of a certificate, or asked for in a handshake, is printed as it is: with its quotes.
        Some(b'"') if matches!(key, b"DN" | b"SNI") => name_end(value),
        Some(b'"') => quoted_end(value),
        Some(b'<') => unquoted_end(value, |_, byte| byte == b'>').map_or(value.len(), |end| end + 1),
        _ => value.iter().position(|b| *b == b' ').unwrap_or(value.len()),
    };
    let (value, rest) = value.split_at_checked(end)?;
    // `T=remote_smtp:` and `CV=yes:` close the fields; the colon belongs to what follows.
    match value.strip_suffix(b":") {
        Some(stripped) if !value.starts_with(b"\"") => {
            let rest = text.get(text.len() - rest.len() - 1..)?;
            Some((Field::Pair { key, value: stripped }, rest))
        }
        _ => Some((Field::Pair { key, value }, rest)),
    }
}

/// What follows the ` K=value` pairs at the start of `text`.
fn behind_pairs(mut text: &[u8]) -> &[u8] {
    while let Some((Field::Pair { .. }, after)) = text.strip_prefix(b" ").and_then(field) {
        text = after;
    }
    text
}

/// Length of a quoted value with its quotes, `\"` inside skipped; all of `text` when it has no end.
fn quoted_end(text: &[u8]) -> usize {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a quoted value whose inner quotes are not marked: up to a quote with a blank, a colon or nothing behind it.
fn name_end(text: &[u8]) -> usize {
    memchr::memchr_iter(b'"', text)
        .skip(1)
        .find(|at| matches!(text.get(at + 1), None | Some(b' ' | b':')))
        .map_or(text.len(), |at| at + 1)
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").map_or(value, |v| v.strip_suffix(b"\"").unwrap_or(v))
}

/// `al@b.example H=pc7 (helo.b) [198.51.100.7]:40112 P=esmtpsa A=login:al S=912 id=k7@b.example T="Re" for bo@a.example`;
/// a bounce has `<> R=parent`; local mail `U=al P=local`.
fn arrival(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    let end = unquoted_end(text, |_, byte| byte == b' ').unwrap_or(text.len());
    let (sender, mut rest) = text.split_at_checked(end)?;
    let mut found = Arrival { sender: Some(unbracketed(sender)), ..Arrival::new(queue_id) };
    let mut is_sealed = false;
    let mut has_login = true;
    while let Some(tail) = rest.strip_prefix(b" ") {
        if !is_sealed && let Some(user) = tail.strip_prefix(b"U=") {
            let end = local_user_len(user);
            (found.local_user, rest) = (user.get(..end), user.get(end..).unwrap_or_default());
            continue;
        }
        let Some((field, after)) = field(tail) else { break };
        match field {
            Field::Host(host) if !is_sealed => found.client = Some(host.client()),
            // An `a` in the protocol's name is Exim's word for AUTH: what looks like a login elsewhere is a peer's.
            Field::Pair { key: b"P", value } if !is_sealed => {
                has_login = value.ends_with(b"a") || value.starts_with(b"a");
            }
            Field::Pair { key: b"A", value } if !is_sealed && has_login => found.sasl_username = login(value),
            Field::Pair { key: b"R", value } if !is_sealed => found.parent = QueueId::new(value).map(Parent::Bounced),
            Field::Pair { key: b"S", value } if !is_sealed => {
                found.size = number(value).map(|(n, _)| n);
                // Exim's own fields stand in front of the size; what follows are the sender's words.
                is_sealed = true;
            }
            Field::Pair { key: b"id", value } if found.message_id.is_none() => found.message_id = Some(value),
            Field::Pair { key: b"T", value } if is_sealed && found.subject.is_none() => {
                found.subject = Some(unquoted(value));
            }
            Field::Flag(b"from") if after.starts_with(b" <") => {
                let (_, after) = address(after.get(1..)?, &[b" for "])?;
                rest = after;
                continue;
            }
            Field::Flag(b"for") => {
                found.recipients = u32::try_from(recipients_listed(after).count()).ok();
                found.listed = after;
                break;
            }
            _ => {}
        }
        rest = after;
    }
    if found.sender != Some(b"") && matches!(found.parent, Some(Parent::Bounced(_))) {
        found.parent = None;
    }
    Some(Entry::Arrival(found))
}

/// How far the value of `U=` reaches: the name may hold blanks, so it ends where a blank and `key=` follow.
fn local_user_len(text: &[u8]) -> usize {
    let is_key = |rest: &[u8]| {
        let key = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        key > 0 && rest.get(key) == Some(&b'=')
    };
    memchr::memchr_iter(b' ', text).find(|at| text.get(at + 1..).is_some_and(is_key)).unwrap_or(text.len())
}

/// The login in `A=driver:id`; the id is there only when the authenticator sets one (`server_set_id`), else the driver
/// stands for it.
fn login(value: &[u8]) -> Option<&[u8]> {
    let login = until(value, b":").map_or(value, |(_, id)| id);
    (!login.is_empty()).then_some(login)
}

/// The addresses behind `for`, which blanks part.
pub fn recipients_listed(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.trim_ascii_start();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let quoted = if rest.starts_with(b"\"") { quoted_end(rest) } else { 0 };
        let end = rest.get(quoted..).and_then(|t| t.iter().position(|b| *b == b' ')).map_or(rest.len(), |n| n + quoted);
        let (address, after) = rest.split_at_checked(end)?;
        rest = after.trim_ascii_start();
        Some(address)
    })
}

/// Recipient and address before aliases, out of `final (parent) <original>`. The final address is the recipient where
/// it is an address, or the name of another local user than the original's; for a file, pipe or `:blackhole:` the
/// original is.
fn recipients(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii();
    let Some((front, original)) = until_last(text, b" <").filter(|_| text.ends_with(b">")) else {
        return (unbracketed(text), &[]);
    };
    let original = original.strip_suffix(b">").unwrap_or(original);
    let last = until(front, b" (").map_or(front, |(f, _)| f);
    let is_mailbox = !matches!(last.first(), None | Some(b'/' | b'|' | b'>' | b':'));
    let local_part = split(original).0;
    let is_original = last.eq_ignore_ascii_case(original)
        || last.eq_ignore_ascii_case(local_part)
        // Exim prints the final address without the quotes of its local part.
        || (local_part.starts_with(b"\"") && !last.starts_with(b"\""));
    if is_mailbox && !is_original { (last, original) } else { (original, &[]) }
}

/// The address part of a delivery line and what follows it, from the blank or colon on.
fn recipient_part<'a>(text: &'a [u8], ends: &[&[u8]]) -> (&'a [u8], &'a [u8]) {
    let is_end = |at: usize, _| text.get(at..).is_some_and(|rest| ends.iter().any(|end| rest.starts_with(end)));
    text.split_at_checked(unquoted_end(text, is_end).unwrap_or(text.len())).unwrap_or((text, &[]))
}

const AFTER_ADDRESS: &[&[u8]] = &[b" F=<", b" P=<", b" R=", b" T=", b" SRS=<"];

fn delivery<'a>(queue_id: QueueId, address_part: &'a [u8], outcome: Outcome) -> Delivery<'a> {
    let (recipient, orig_recipient) = recipients(address_part);
    Delivery { orig_recipient, ..Delivery::new(queue_id, recipient, outcome) }
}

/// Reads the fields of a delivery line into `found`; gives what stands behind their closing colon.
fn delivery_fields<'a>(found: &mut Delivery<'a>, text: &'a [u8]) -> &'a [u8] {
    let mut rest = text;
    loop {
        if let Some(response) = rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b" : ")) {
            return response;
        }
        let Some((field, after)) = rest.strip_prefix(b" ").and_then(field) else {
            return rest.strip_prefix(b":").unwrap_or(rest).trim_ascii();
        };
        match field {
            Field::Host(host) => {
                (found.relay_host, found.relay_ip, found.relay_port) = (host.name, host.ip, host.port);
                found.is_remote = true;
            }
            Field::Pair { key: b"F", value } => found.sender = Some(unbracketed(value)),
            Field::Pair { key: b"R", value } if found.service.is_empty() => found.service = value,
            Field::Pair { key: b"T", value } => {
                found.service = value;
                found.is_remote |= is_smtp_transport(value);
            }
            Field::Pair { key: b"C", value } => found.response = unquoted(value),
            Field::Pair { key: b"QT", value } => found.delay_s = duration_s(value),
            Field::Flag(b"defer") => return rest.get(1..).unwrap_or_default(),
            Field::Flag(_) | Field::Pair { .. } => {}
        }
        rest = after;
    }
}

/// A transport's name is the administrator's choice; `remote_smtp` and its variants are what configurations use.
fn is_smtp_transport(name: &[u8]) -> bool {
    fields::contains(name, b"smtp") && !fields::contains(name, b"lmtp")
}

/// `bo <bo@a.example> F=<al@b.example> R=dnslookup T=remote_smtp H=mx [192.0.2.8]:25 C="250 OK id=1tX..." QT=4s`
fn delivered(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    if text.starts_with(b"blackhole (") || text.starts_with(b"discarded (") || text == b"blackhole" {
        return Some(Entry::Blackholed { queue_id });
    }
    let (address_part, rest) = recipient_part(text, AFTER_ADDRESS);
    let mut found = delivery(queue_id, address_part, Outcome::Delivered);
    delivery_fields(&mut found, rest);
    // A filter's `save /dev/null` runs no transport (`deliver.c`).
    if address_part.starts_with(b":blackhole:") || found.service == b"**bypassed**" {
        found.outcome = Outcome::Discarded;
    }
    found.next = next_queue_id(found.response).filter(|id| *id != queue_id);
    Some(Entry::Delivery(found))
}

/// `*>`: a delivery only pretended, by `exim -N`.
fn suppressed(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    match delivered(queue_id, text)? {
        Entry::Delivery(found) => Some(Entry::Delivery(Delivery { outcome: Outcome::Discarded, next: None, ..found })),
        other => Some(other),
    }
}

/// `x@a.example <y@b.example> R=dnslookup T=remote_smtp H=mx [192.0.2.8]: SMTP error from remote mail server ...`
fn bounced(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    let text = without_times(text);
    let (address_part, rest) = recipient_part(text, &[b" F=<", b" P=<", b" R=", b" T=", b": ", b" : "]);
    let mut found = delivery(queue_id, address_part, Outcome::Bounced);
    found.response = delivery_fields(&mut found, rest);
    if found.response.starts_with(b"retry timeout exceeded")
        || found.response.ends_with(b": retry timeout exceeded")
        || fields::contains(found.response, b"have been failing for a long time")
    {
        found.outcome = Outcome::Expired;
    }
    Some(Entry::Delivery(found))
}

/// `bo@a.example R=r T=t defer (-44) H=mx [192.0.2.8]: SMTP error ... : 450 later`,
/// `bo@a.example routing defer (-51): retry time not reached`, `... defer (110): Connection timed out H=mx [192.0.2.8]: ...`
fn deferred(queue_id: QueueId, text: &[u8]) -> Option<Entry<'_>> {
    let text = without_times(text);
    let (address_part, rest) =
        recipient_part(text, &[b" F=<", b" P=<", b" R=", b" T=", b" routing defer (", b" defer ("]);
    let mut found = delivery(queue_id, address_part, Outcome::Deferred);
    let behind = delivery_fields(&mut found, rest);
    let behind = behind.strip_prefix(b"defer ").unwrap_or(behind);
    let (error_number, mut tail) = match behind.strip_prefix(b"(").and_then(|t| until(t, b")")) {
        Some((number, tail)) => (number, tail),
        None => (&b""[..], behind),
    };
    if let Some(named) = tail.strip_prefix(b" H=")
        && let Some((host, after)) = host(named)
    {
        (found.relay_host, found.relay_ip, found.relay_port) = (host.name, host.ip, host.port);
        found.is_remote = true;
        tail = after;
    }
    let tail = behind_pairs(tail);
    found.response = tail.strip_prefix(b":").unwrap_or(tail).trim_ascii();
    if found.relay_ip.is_empty()
        && let Some((_, named)) = until(found.response, b" H=")
        && let Some((host, after)) = host(named)
    {
        (found.relay_host, found.relay_ip, found.relay_port) = (host.name, host.ip, host.port);
        found.is_remote = true;
        // What stands behind the host says at which command the time ran out; the error in front does not.
        if let Some(reason) = behind_pairs(after).strip_prefix(b": ") {
            found.response = reason;
        }
    }
    // Exim src/macros.h: ERRNO_RRETRY, ERRNO_LRETRY, ERRNO_HRETRY: no host was tried again.
    found.is_secondary = matches!(error_number, b"-51" | b"-52" | b"-53")
        || found.response.starts_with(b"retry time not reached")
        || found.response == b"SMTP delivery explicitly queued";
    Some(Entry::Delivery(found))
}

/// The text without the times that `+deliver_time` and `+queue_time` put behind an answer: ` QT=4s DT=0.000s`.
fn without_times(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let Some((front, last)) = until_last(text, b" ")
        && let Some(time) = last.strip_prefix(b"DT=").or_else(|| last.strip_prefix(b"QT="))
        && duration_s(time).is_some()
    {
        text = front;
    }
    text
}

/// `3m12s`, `0.123s`, `1d2h` in seconds (Exim's `readconf_printtime`).
fn duration_s(text: &[u8]) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let (digits, tail) = rest.split_at_checked(len)?;
        let unit = match tail.first()? {
            b'w' => 604_800.0,
            b'd' => 86_400.0,
            b'h' => 3_600.0,
            b'm' => 60.0,
            b's' => 1.0,
            _ => return None,
        };
        total += std::str::from_utf8(digits).ok()?.parse::<f64>().ok()? * unit;
        rest = tail.get(1..)?;
    }
    Some(total)
}

/// `H=pc7 (helo) [198.51.100.7]:40112 F=<al@b.example> A=login:al rejected RCPT <bo@a.example>: relay not permitted`
/// and the forms without `H=`: `rejected EHLO from [198.51.100.7]: ...`, `SMTP protocol synchronization error (...):
/// rejected connection from H=[198.51.100.7] input="..."`.
fn refusal(queue_id: Option<QueueId>, text: &[u8]) -> Option<Rejection<'_>> {
    let mut found = Rejection::new(queue_id, &[], Stage::Connect);
    if text.starts_with(b"SMTP protocol synchronization error") {
        let (reason, from) = until(text, b": rejected connection from ").or_else(|| until(text, b": rejected \""))?;
        if let Some((host, _)) = until(from, b"H=").and_then(|(_, h)| host(h)) {
            found.client = host.client();
        }
        found.response = reason;
        return Some(found);
    }
    if let Some(from) = text.strip_prefix(b"too many recipients: excess ") {
        return excess_recipients(found, from);
    }
    if let Some(from) = text.strip_prefix(b"too many recipients: message ") {
        return excess_recipients(found, from);
    }
    if text.starts_with(b"unqualified ") {
        return unqualified(found, text);
    }
    if let Some(from) = text.strip_prefix(b"temporarily refused connection from ") {
        let (host, rest) = host(from.strip_prefix(b"H=").unwrap_or(from))?;
        (found.client, found.is_permanent) = (host.client(), false);
        found.response = rest.strip_prefix(b": ").unwrap_or(rest);
        return Some(found);
    }
    // `overlong message header line received from pc7 [198.51.100.7] (more than 998 characters): message abandoned`
    if let Some((_, from)) =
        until(text, b" received from ").filter(|_| LONG_HEADERS.iter().any(|s| text.starts_with(s)))
    {
        found.stage = Stage::Eod;
        found.response = text;
        found.client = host(from).map_or_else(Client::default, |(host, _)| host.client());
        return Some(found);
    }
    if let Some(refused) =
        text.strip_prefix(b"refused connection from ").or_else(|| text.strip_prefix(b"Connection from "))
    {
        let (host, rest) = host(refused.strip_prefix(b"H=").unwrap_or(refused))?;
        found.client = host.client();
        if text.starts_with(b"refused") {
            found.response = rest.trim_ascii();
            return Some(found);
        }
        found.response = until(rest, b" refused: ")?.1;
        // Too many at one time, and load: the client may come again.
        found.is_permanent = false;
        return Some(found);
    }
    let mut rest = text;
    loop {
        if let Some(what) = rest.strip_prefix(b"temporarily rejected ") {
            found.is_permanent = false;
            return rejected(found, what);
        }
        if let Some(what) = rest.strip_prefix(b"rejected ") {
            return rejected(found, what);
        }
        if let Some(user) = rest.strip_prefix(b"U=") {
            let end = [&b" rejected "[..], b" temporarily rejected "]
                .iter()
                .filter_map(|words| fields::find(user, words))
                .fold(local_user_len(user), usize::min);
            (found.local_user, rest) = (user.get(..end), user.get(end + 1..)?);
            continue;
        }
        let (field, mut after) = field(rest)?;
        match field {
            Field::Host(host) => found.client = host.client(),
            // The login follows the sender: what looks like one before it is part of a name in a certificate.
            Field::Pair { key: b"DN" | b"SNI", .. } => {
                if let Some(sender) = fields::find(after, b" F=<")
                    && let Some(end) = after.get(..=sender).and_then(|names| fields::rfind(names, b"\" "))
                {
                    after = after.get(end + 1..)?;
                }
            }
            Field::Pair { key: b"F", value } => found.sender = Some(unbracketed(value)),
            Field::Pair { key: b"A", value } => found.sasl_username = login(value),
            Field::Pair { .. } => {}
            // Flags such as K, L, PRDR, TFO*; any other word begins another kind of line.
            Field::Flag(flag) if flag.len() <= 8 && flag.iter().all(|b| b.is_ascii_uppercase() || *b == b'*') => {}
            Field::Flag(_) => return None,
        }
        rest = after.strip_prefix(b" ")?;
    }
}

/// `receive.c`: the message is given up in its header.
const LONG_HEADERS: &[&[u8]] = &[b"overlong message header", b"ridiculously long message header"];

/// `too many recipients: excess temporarily rejected: sender=<al@example.org> H=pc7 [198.51.100.7]` (`smtp_in.c`): one
/// line for all that were too many.
fn excess_recipients<'a>(mut found: Rejection<'a>, text: &'a [u8]) -> Option<Rejection<'a>> {
    let (how, from) = until(text, b"rejected: sender=")?;
    found.is_permanent = !how.starts_with(b"temporarily");
    found.stage = Stage::Rcpt;
    found.response = b"too many recipients";
    let (sender, rest) = address(from, &[b" "])?;
    found.sender = Some(sender);
    if let Some((host, _)) = rest.strip_prefix(b" H=").and_then(host) {
        found.client = host.client();
    }
    Some(found)
}

/// `unqualified sender rejected: <al> H=pc7 (helo) [198.51.100.7]` (`smtp_in.c`): an address without a domain.
fn unqualified<'a>(mut found: Rejection<'a>, text: &'a [u8]) -> Option<Rejection<'a>> {
    let (whose, rest) = until(text.strip_prefix(b"unqualified ")?, b" rejected: ")?;
    let (address, rest) = address(rest, &[b" "])?;
    match whose {
        b"sender" => (found.stage, found.sender) = (Stage::Mail, Some(address)),
        b"recipient" => (found.stage, found.recipient) = (Stage::Rcpt, Some(address)),
        _ => return None,
    }
    found.smtp_code = SmtpCode::new(501);
    found.response = text;
    found.ends_message = false;
    found.client = rest.strip_prefix(b" H=").and_then(host)?.0.client();
    Some(found)
}

/// What follows `rejected `: the stage, its argument, and the reason behind the colon.
fn rejected<'a>(mut found: Rejection<'a>, what: &'a [u8]) -> Option<Rejection<'a>> {
    let (stage, after) = STAGES.iter().find_map(|(words, stage)| Some((*stage, what.strip_prefix(*words)?)))?;
    found.stage = stage;
    found.ends_message &= matches!(stage, Stage::Eod | Stage::Data);
    let mut argument = after.strip_prefix(b" ").unwrap_or(after);
    // `rejected MAIL command H=pc7 [198.51.100.7]: too many messages in one connection`: the answer is 421 (`smtp_in.c`).
    if let Some(named) = argument.strip_prefix(b"command H=") {
        (found.smtp_code, found.is_permanent) = (SmtpCode::new(421), false);
        argument = named;
        if let Some((host, rest)) = host(named) {
            found.client = host.client();
            argument = rest;
        }
    }
    let mut rest = argument.strip_prefix(b"FROM:").or_else(|| argument.strip_prefix(b"TO:")).unwrap_or(argument);
    if let Some((address, after)) = refused_address(rest) {
        if stage == Stage::Rcpt {
            found.recipient = address;
        } else {
            found.sender = address;
        }
        rest = after;
    }
    let named = rest.strip_prefix(b"from ").or_else(|| rest.strip_prefix(b" H=")).or_else(|| rest.strip_prefix(b" "));
    if let Some((host, after)) = named.and_then(host) {
        found.client = host.client();
        rest = after;
    }
    let reason = match rest.strip_prefix(b":") {
        Some(reason) => reason,
        None => until(rest, b": ").map_or(&b""[..], |(_, reason)| reason),
    };
    let mut reason = reason.trim_ascii();
    if let Some((code, rest)) = SmtpCode::take(reason) {
        found.smtp_code = Some(code);
        reason = rest.trim_ascii_start();
    }
    if let Some((code, rest)) = EnhancedCode::take(reason) {
        found.enhanced_code = Some(code);
        reason = rest.trim_ascii_start();
    }
    found.response = reason;
    Some(found)
}

/// The address that was refused, as the client gave it: mostly in `<>`. Exim cuts a command's argument after 100 bytes: of
/// such an address nothing is known. `None` where there is none.
fn refused_address(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if !text.starts_with(b"<") {
        let (address, _) =
            until(text, b": ").filter(|(address, _)| address.contains(&b'@') && !address.contains(&b' '))?;
        return Some((Some(address), text.get(address.len()..)?));
    }
    let (found, after) = address(text, &[b": ", b" ", b":"])?;
    match after {
        [] if !text.ends_with(b">") => {
            let end = fields::find(text, b": ").unwrap_or(text.len());
            Some((None, text.get(end..)?))
        }
        _ => Some((Some(found), after)),
    }
}

/// How Exim names the stage behind `rejected` (`acl_wherenames` in `src/globals.c`, and its own texts); longest first
/// where one begins another.
const STAGES: &[(&[u8], Stage)] = &[
    (b"RCPT", Stage::Rcpt),
    (b"VRFY", Stage::Rcpt),
    (b"EXPN", Stage::Rcpt),
    (b"ETRN", Stage::Rcpt),
    (b"ATRN", Stage::Rcpt),
    (b"MAIL", Stage::Mail),
    (b"EHLO or HELO", Stage::Helo),
    (b"EHLO", Stage::Helo),
    (b"HELO", Stage::Helo),
    (b"STARTTLS", Stage::Helo),
    (b"AUTH", Stage::Auth),
    (b"connection", Stage::Connect),
    (b"after DATA", Stage::Eod),
    (b"during MIME ACL checks", Stage::Eod),
    (b"by local_scan()", Stage::Eod),
    (b"by non-SMTP ACL", Stage::Eod),
    (b"by not-SMTP ACL", Stage::Eod),
    (b"PRDR", Stage::Eod),
    (b"DKIM", Stage::Eod),
    (b"MIME", Stage::Eod),
    (b"PREDATA", Stage::Data),
    (b"DATA", Stage::Data),
    (b"from", Stage::Eod),
    (b"because", Stage::Eod),
    (b"message", Stage::Eod),
];

/// `dovecot_login authenticator failed for pc7 (User) [198.51.100.7]:40112 I=[192.0.2.1]:465: 535 Incorrect
/// authentication data (set_id=al)` (Exim `src/smtp_in.c`).
fn auth_failure(text: &[u8]) -> Option<Entry<'_>> {
    let (driver, rest) = word(text);
    let rest = rest.strip_prefix(b"authenticator failed for ")?;
    let (host, rest) = host(rest.strip_prefix(b"H=").unwrap_or(rest))?;
    let (_, response) = until(rest, b": ")?;
    let sasl_username = until_last(response, b"(set_id=").map(|(_, id)| match until_last(id, b")") {
        Some((id, _)) => id,
        None => id,
    });
    let smtp_code = SmtpCode::take(response).map(|(code, _)| code);
    Some(Entry::AuthFailure(AuthFailure {
        client: host.client(),
        sasl_username: sasl_username.filter(|id| !id.is_empty()),
        smtp_code,
        is_permanent: smtp_code.is_none_or(SmtpCode::is_permanent),
        response,
        service: driver,
    }))
}

/// What one server said, or that it could not be reached, before the next one is tried: `H=mx [192.0.2.8] Connection
/// refused`, `H=mx [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 451 later`; before 4.85
/// without `H=` (`transports/smtp.c`).
fn interim(queue_id: QueueId, text: &[u8]) -> Option<Interim<'_>> {
    let (host, answer) = match text.strip_prefix(b"H=") {
        Some(named) => {
            let (host, rest) = host(named).filter(|(host, _)| host.helo.is_empty())?;
            let rest = behind_pairs(rest);
            let answer = rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b" "))?;
            let is_inbound = OF_CLIENT.iter().any(|(mark, _)| fields::contains(rest, mark));
            (host, Some(answer).filter(|a| !is_inbound && !a.is_empty())?)
        }
        None => of_named_host(text)?,
    };
    let recipient =
        until(answer, b" after RCPT TO:<").and_then(|(_, rest)| until(rest, b">")).map(|(address, _)| address);
    Some(Interim {
        queue_id: Some(queue_id),
        relay_host: host.name,
        relay_ip: host.ip,
        relay_port: host.port,
        recipient,
        response: answer,
        answer,
    })
}

/// The older forms: `SMTP error from remote mail server after DATA: host mx [192.0.2.8]: 451 later`, `Remote host mx
/// [192.0.2.8] closed connection in response to RCPT TO:<bo@a.example>`, `mx.a.example [192.0.2.8] Connection refused`.
fn of_named_host(text: &[u8]) -> Option<(Host<'_>, &[u8])> {
    let with_ip = |named| host(named).filter(|(host, _)| host.helo.is_empty() && ip(host.ip).is_some());
    for (start, mark) in [
        (&b"SMTP error from remote "[..], &b": host "[..]),
        (b"LMTP error ", b": host "),
        (b"SMTP timeout while connected to ", b"SMTP timeout while connected to "),
        (b"Remote host ", b"Remote host "),
        (b"Malformed SMTP reply from ", b"Malformed SMTP reply from "),
    ] {
        if text.starts_with(start) {
            let (_, named) = until(text, mark)?;
            return Some((with_ip(named)?.0, text));
        }
    }
    let (driver, rest) = word(text);
    if let Some(named) = rest.strip_prefix(b"authenticator failed H=") {
        return Some((with_ip(named)?.0, text));
    }
    if let Some(named) = rest.strip_prefix(b"authenticator cancelled authentication H=") {
        return Some((with_ip(named)?.0, text));
    }
    let is_name = driver.contains(&b'.') && driver.iter().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(b));
    let (host, rest) = with_ip(text).filter(|_| is_name)?;
    Some((host, rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b" "))?))
}

/// `/home/al/public_html 4 args: /usr/sbin/sendmail -t -i` (`exim.c`, selector `arguments`): where Exim was called from
/// to take a message in. `None` for calls of other purposes: queue runs, deliveries, lists.
fn invoked(text: &[u8]) -> Option<Entry<'_>> {
    let (front, arguments) = until(text, b" args: ")?;
    let (directory, count) = until_last(front, b" ")?;
    if !count.iter().all(u8::is_ascii_digit) || directory.is_empty() {
        return None;
    }
    let mut words = arguments.split(|b| *b == b' ');
    let program = words.next()?;
    let name = program.rsplit(|b| *b == b'/').next()?;
    if matches!(name, b"mailq" | b"runq" | b"newaliases") {
        return None;
    }
    let mut takes_value = false;
    for word in words {
        if word == b"--" {
            break;
        }
        if std::mem::take(&mut takes_value) {
            continue;
        }
        takes_value = matches!(word, b"-f" | b"-F" | b"-r" | b"-C");
        // exim(8): queue runs, actions on messages, Exim's own calls for notices, daemons, tests and lists.
        let is_other = [&b"-q"[..], b"-M", b"-E", b"-R", b"-S"].iter().any(|start| word.starts_with(start))
            || (word.starts_with(b"-b") && !matches!(word, b"-bs" | b"-bS" | b"-bm"));
        if is_other {
            return None;
        }
    }
    Some(Entry::Invoked { directory })
}

/// Marks of lines about a client in which its host stands first, and what they are about.
const OF_CLIENT: &[(&[u8], &str)] = &[
    (b" sender verify ", "verification"),
    (b" recipient verify ", "verification"),
    (b" Warning: ", "advice"),
    (b": discarded by ", "advice"),
    (b" incomplete transaction", "incomplete transaction"),
    (b" TLS error on connection from", "tls"),
    (b" lost input connection", "connection"),
    (b" closed connection", "connection"),
    (b" ignoring AUTH=", "connection"),
    (b" F=<", "connection"),
];

/// What the remaining lines are about: known, and without effect on a message or its outcome.
fn kind_without_effect(of_message: bool, text: &[u8]) -> Option<&'static str> {
    let known = |table: &[(&[u8], &'static str)]| {
        table.iter().find(|(start, _)| text.starts_with(start)).map(|(_, kind)| *kind)
    };
    if let Some(kind) = known(ALWAYS_WITHOUT_EFFECT) {
        return Some(kind);
    }
    // `process 77 crashed with signal 11 while delivering 1tX...`
    if text.starts_with(b"process ") && fields::contains(text, b" crashed with signal ") {
        return Some("warning");
    }
    if text.starts_with(b"H=") || text.starts_with(b"U=") {
        return OF_CLIENT.iter().find(|(mark, _)| fields::contains(text, mark)).map(|(_, kind)| *kind);
    }
    if of_message {
        return known(OF_MESSAGE).or_else(|| {
            // `al@b.example <bo@a.example>: error ignored`: the bounce of a bounce (`deliver.c`).
            fields::contains(text, b": error ignored").then_some("queue state")
        });
    }
    let starts_with_digit = text.first().is_some_and(u8::is_ascii_digit);
    if starts_with_digit && fields::contains(text, b" SMTP accept process") {
        return Some("service");
    }
    if fields::find(text, b" authenticator ")
        .is_some_and(|at| at < 64 && !text.get(..at).is_some_and(|t| t.contains(&b' ')))
    {
        return Some("connection");
    }
    known(WITHOUT_EFFECT)
}

/// Lines with and without a message's id.
const ALWAYS_WITHOUT_EFFECT: &[(&[u8], &str)] = &[
    (b"SMTP connection ", "connection"),
    (b"SMTP command timeout", "connection"),
    (b"SMTP data timeout", "connection"),
    (b"SMTP syntax error", "protocol error"),
    (b"SMTP protocol error", "protocol error"),
    (b"SMTP protocol violation", "protocol error"),
    (b"SMTP call from", "connection dropped"),
    (b"no host name found", "client name"),
    (b"no IP address found", "client name"),
    (b"host name alias list truncated", "client name"),
    (b"unexpected disconnection while ", "connection"),
    (b"unexpected EOF while ", "connection"),
    (b"TLS ", "tls"),
    (b"TLS: ", "tls"),
    (b"A TLS ", "tls"),
    (b"a TLS session is required", "tls"),
    (b"DANE ", "tls"),
    (b"tls_", "tls"),
    (b"GnuTLS", "tls"),
    (b"SSL_", "tls"),
    (b"DKIM", "authentication result"),
    (b"DMARC", "authentication result"),
    (b"SPF", "authentication result"),
    (b"ARC: ", "authentication result"),
    (b"PDKIM", "authentication result"),
    (b"SA: ", "content scan"),
    (b"spamassassin ", "content scan"),
    (b"spam acl condition", "content scan"),
    (b"malware ", "content scan"),
    (b"mime acl condition", "content scan"),
    (b"regex acl condition", "content scan"),
    (b"demime ", "content scan"),
    (b"Warning: ", "warning"),
    (b"warning: ", "warning"),
    (b"ALERT: ", "warning"),
    (b"panic", "warning"),
    (b"Failed to ", "warning"),
    (b"failed to expand ", "warning"),
    (b"failed to open ", "warning"),
    (b"failed to read ", "warning"),
    (b"failed to write ", "warning"),
    (b"failed to create ", "warning"),
    (b"failed to find ", "warning"),
    (b"failed to lock ", "warning"),
    (b"failed to set ", "warning"),
    (b"failed to get ", "warning"),
    (b"failed to stat ", "warning"),
    (b"failed to fstat ", "warning"),
    (b"failed to unlink ", "warning"),
    (b"failed to rename ", "warning"),
    (b"failed to move ", "warning"),
    (b"failed to fork ", "warning"),
    (b"failed to connect ", "warning"),
    (b"failed to bind ", "warning"),
    (b"failed to initiate ", "warning"),
    (b"failed to initialize ", "warning"),
    (b"failed to update ", "warning"),
    (b"failed to parse ", "warning"),
    (b"failed to chdir ", "warning"),
    (b"failed to dup ", "warning"),
    (b"failed to fsync ", "warning"),
    (b"failed to interpret ", "warning"),
    (b"Cannot ", "warning"),
    (b"cannot ", "warning"),
    (b"Couldn't ", "warning"),
    (b"Unable to ", "warning"),
    (b"unable to ", "warning"),
    (b"LOG: ", "warning"),
    (b"Tainted ", "warning"),
    (b"Taint mismatch", "warning"),
    (b"attempt to use tainted ", "warning"),
    (b"expansion of ", "warning"),
    (b"Expansion of ", "warning"),
    (b"error in ", "warning"),
    (b"Error in ", "warning"),
    (b"Error while ", "warning"),
    (b"qualify/rewrite: ", "warning"),
    (b"local_scan() ", "warning"),
    (b"queue run: ", "warning"),
    (b"fork failed ", "warning"),
    (b"fork of ", "warning"),
    (b"fork() ", "warning"),
    (b"listen() ", "warning"),
    (b"setsockopt(", "warning"),
    (b"getsockname() ", "warning"),
    (b"spool directory space check failed", "warning"),
    (b"log directory space check failed", "warning"),
    (b"spool file ", "warning"),
    (b"internal problem in ", "warning"),
    (b"internal scanner error", "warning"),
    (b"spf: ", "warning"),
    (b"verify defer overridden by ", "verification"),
    (b"DNS list lookup defer", "warning"),
    (b"dnslists ", "warning"),
    (b"callout ", "verification"),
    (b"exim: ", "service"),
    (b"exim ", "service"),
    (b"Exim", "service"),
];

/// Lines about a message.
const OF_MESSAGE: &[(&[u8], &str)] = &[
    (b"Message is frozen", "queue state"),
    (b"Message removed because ", "queue state"),
    (b"Frozen", "queue state"),
    (b"frozen by ", "queue state"),
    (b"*** Frozen", "queue state"),
    (b"*** delivery by ", "queue state"),
    (b"Unfrozen by ", "queue state"),
    (b"unfrozen ", "queue state"),
    (b"Spool ", "queue state"),
    (b"no immediate delivery", "queue state"),
    (b"no recipients found", "queue state"),
    (b"retry time not reached", "queue state"),
    (b"error ignored", "queue state"),
    (b"Delivery status for ", "queue state"),
    (b"delivery deferred", "queue state"),
    (b"delivery re-exec ", "queue state"),
    (b"recipient <", "queue state"),
    (b"sender address changed to ", "queue state"),
    (b"Sender identification ", "queue state"),
    (b"original recipients ignored", "queue state"),
    (b"message too big", "queue state"),
    (b"moved from ", "queue state"),
    (b"marked all delivered", "queue state"),
    (b"re-used SMTP", "interim answer"),
    (b"SMTP error from ", "interim answer"),
    (b"SMTP timeout ", "interim answer"),
    (b"LMTP error ", "interim answer"),
    (b"LMTP timeout ", "interim answer"),
    (b"Remote host ", "interim answer"),
    (b"Malformed SMTP reply ", "interim answer"),
    (b"all host", "routing"),
    (b"all relevant MX", "routing"),
    (b"lowest numbered MX record", "routing"),
    (b"remote host address is the local host", "routing"),
];

/// Lines about no message.
const WITHOUT_EFFECT: &[(&[u8], &str)] = &[
    (b"no MAIL in ", "no mail in connection"),
    (b"Connection from", "connection"),
    (b"ident connection", "connection"),
    (b"ignoring AUTH=", "connection"),
    (b"could not connect", "connection"),
    (b"ETRN ", "connection"),
    (b"VRFY failed for ", "connection"),
    (b"EXPN ", "connection"),
    (b"unqualified ", "protocol error"),
    (b"incomplete transaction", "incomplete transaction"),
    (b"cwd=", "arguments"),
    (b"...", "arguments"),
    (b"Start queue run", "queue run"),
    (b"Start '", "queue run"),
    (b"End queue run", "queue run"),
    (b"End '", "queue run"),
    (b"Abandon queue run", "queue run"),
    (b"Queue run ", "queue run"),
    (b"Single queue run", "queue run"),
    (b"pid ", "service"),
    (b"daemon", "service"),
    (b"SIG", "service"),
    (b"socket bind()", "service"),
    (b"inetd wait timeout", "service"),
    (b"listening ", "service"),
    (b"configured ", "service"),
    (b"timed out while reading local message", "connection"),
    (b"Spool ", "queue state"),
    (b"Sender identification", "queue state"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &[u8]) -> Entry<'_> {
        match line(body) {
            Parsed::Entry(entry) => entry,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(body)),
        }
    }

    fn delivery_of(body: &[u8]) -> Delivery<'_> {
        match entry(body) {
            Entry::Delivery(found) => found,
            other => panic!("{other:?}"),
        }
    }

    fn rejection(body: &[u8]) -> Rejection<'_> {
        match entry(body) {
            Entry::Rejection(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_arrival_gives_client_login_and_recipients() {
        let Entry::Arrival(found) = entry(br#"1tXyZa-0001Ab-2c <= al@b.example H=pc7 (helo.b) [198.51.100.7]:40112 I=[192.0.2.1]:587 P=esmtpsa X=TLS1.3:A:256 CV=no A=dovecot_login:al@b.example S=912 DKIM=b.example id=k7@b.example T="Re: \"S=5 id=z\" for x" from <al@b.example> for bo@a.example "c d"@a.example"#) else { panic!() };
        assert_eq!((found.sender, found.sasl_username), (Some(&b"al@b.example"[..]), Some(&b"al@b.example"[..])));
        assert_eq!((found.size, found.message_id, found.recipients), (Some(912), Some(&b"k7@b.example"[..]), Some(2)));
        assert_eq!(
            found.client,
            Some(Client { name: b"pc7", ip: b"198.51.100.7", helo: b"helo.b", port: Some(40112) })
        );
        let Entry::Arrival(found) = entry(b"1tXyZa-00000001AbC-2cDe <= al@b.example U=Al B P=local S=300") else {
            panic!()
        };
        assert_eq!((found.local_user, found.size), (Some(&b"Al B"[..]), Some(300)));
        let Entry::Arrival(found) = entry(b"1tXyZb-0001Ab-2c <= <> R=1tXyZa-0001Ab-2c U=mailnull P=local S=2100")
        else {
            panic!()
        };
        assert_eq!(
            (found.sender, found.parent),
            (Some(&b""[..]), QueueId::new(b"1tXyZa-0001Ab-2c").map(Parent::Bounced))
        );
        let Entry::Arrival(found) = entry(b"1tXyZb-0001Ab-2c <= a@b H=([192.0.2.66]) [198.51.100.7] P=smtp S=1") else {
            panic!()
        };
        assert_eq!(found.client.unwrap().ip, b"198.51.100.7");
    }

    #[test]
    fn a_delivery_gives_recipient_relay_and_confirmation() {
        let found = delivery_of(br#"1tXyZa-0001Ab-2c => bo <bo@a.example> F=<al@b.example> R=dnslookup T=remote_smtp H=mx.a.example [192.0.2.8]:25* X=TLS1.2:B:128 CV=yes DN="CN=mx, T=x" K C="250- 12 byte chunk\\n250 OK id=1tXyZc-0001Ab-2c" QT=3m12s DT=1s"#);
        assert_eq!(
            (found.recipient, found.relay_host, found.relay_port),
            (&b"bo@a.example"[..], &b"mx.a.example"[..], Some(25))
        );
        assert_eq!((found.delay_s, found.service), (Some(192.0), &b"remote_smtp"[..]));
        assert_eq!(found.next, QueueId::new(b"1tXyZc-0001Ab-2c"));
        for (body, recipient, orig) in [
            (
                &b"1tXyZa-0001Ab-2c => /var/mail/bo <bo@a.example> R=r T=address_file"[..],
                &b"bo@a.example"[..],
                &b""[..],
            ),
            (b"1tXyZa-0001Ab-2c => |/bin/x \"a b\" <bo@a.example> R=r T=address_pipe", b"bo@a.example", b""),
            (
                b"1tXyZa-0001Ab-2c -> far@c.example <bo@a.example> R=dnslookup T=remote_smtp H=m [192.0.2.8]",
                b"far@c.example",
                b"bo@a.example",
            ),
            (b"1tXyZa-0001Ab-2c => /dev/null (al@b.example) <bo@a.example> R=r T=t", b"bo@a.example", b""),
            (b"1tXyZa-0001Ab-2c => cy <team@a.example> R=r T=t", b"cy", b"team@a.example"),
            (b"1tXyZa-0001Ab-2c => BO <bo@a.example> R=r T=t", b"bo@a.example", b""),
        ] {
            let found = delivery_of(body);
            assert_eq!((found.recipient, found.orig_recipient), (recipient, orig), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(delivery_of(b"1tXyZa-0001Ab-2c => :blackhole: <bo@a.example> R=r").outcome, Outcome::Discarded);
    }

    #[test]
    fn a_bounce_gives_its_text_in_every_form() {
        for (body, recipient, response) in [
            (&b"1tXyZa-0001Ab-2c ** x@a.example <y@b.example> R=dnslookup T=remote_smtp H=mx.a.example [192.0.2.8] X=TLS1.2:B:128 CV=yes: SMTP error from remote mail server after RCPT TO:<x@a.example>: 550 5.1.1 gone"[..],
                &b"x@a.example"[..], &b"SMTP error from remote mail server after RCPT TO:<x@a.example>: 550 5.1.1 gone"[..]),
            (b"1tXyZa-0001Ab-2c ** bo@a.example: Unrouteable address", b"bo@a.example", b"Unrouteable address"),
            (b"1tXyZa-0001Ab-2c ** bo@a.example : Unrouteable address", b"bo@a.example", b"Unrouteable address"),
            (b"1tXyZa-0001Ab-2c ** bo@a.example R=r T=remote_smtp: retry timeout exceeded", b"bo@a.example", b"retry timeout exceeded"),
            (b"1tXyZa-0001Ab-2c ** bo@a.example F=<s@b.example> R=r T=remote_smtp H=mx [192.0.2.8] DN=\"/C=DE: x\": SMTP error", b"bo@a.example", b"SMTP error"),
        ] {
            let found = delivery_of(body);
            assert_eq!((found.recipient, found.response), (recipient, response), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(delivery_of(b"1tXyZa-0001Ab-2c ** bo@a.example: retry timeout exceeded").outcome, Outcome::Expired);
    }

    #[test]
    fn a_deferral_gives_host_and_text_wherever_they_stand() {
        for (body, relay, response, is_secondary) in [
            (&b"1tXyZa-0001Ab-2c == bo@a.example R=r T=remote_smtp defer (-44) H=mx [192.0.2.8]: SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later"[..],
                &b"mx"[..], &b"SMTP error from remote mail server after RCPT TO:<bo@a.example>: 450 later"[..], false),
            (b"1tXyZa-0001Ab-2c == bo@a.example routing defer (-51): retry time not reached", b"", b"retry time not reached", true),
            (b"1tXyZa-0001Ab-2c == bo@a.example R=r T=t defer (110): Connection timed out H=mx [192.0.2.8]: SMTP timeout after EHLO", b"mx", b"SMTP timeout after EHLO", false),
            (b"1tXyZa-0001Ab-2c == bo@a.example R=r defer (-1)", b"", b"", false),
            (b"1tXyZa-0001Ab-2c == bo@a.example R=r T=t defer (-53): retry time not reached for any host for 'a.example'", b"", b"retry time not reached for any host for 'a.example'", true),
        ] {
            let found = delivery_of(body);
            assert_eq!((found.relay_host, found.response, found.is_secondary), (relay, response, is_secondary), "{}", String::from_utf8_lossy(body));
            assert_eq!((found.recipient, found.outcome), (&b"bo@a.example"[..], Outcome::Deferred));
        }
    }

    #[test]
    fn refusals_name_client_sender_and_recipient() {
        let found = rejection(b"H=pc7 (helo.b) [198.51.100.7]:40112 X=TLS1.3:A:256 CV=no F=<al@b.example> A=login:al rejected RCPT <bo@a.example>: relay not permitted");
        assert_eq!((found.recipient, found.sender), (Some(&b"bo@a.example"[..]), Some(&b"al@b.example"[..])));
        assert_eq!((found.sasl_username, found.response), (Some(&b"al"[..]), &b"relay not permitted"[..]));
        let found = rejection(b"H=(PC) [198.51.100.7]:40112 temporarily rejected RCPT <bo@a.example>: greylisted");
        assert_eq!((found.is_permanent, found.client.helo), (false, &b"PC"[..]));
        let found = rejection(
            b"1tXyZa-0001Ab-2c H=m [192.0.2.8] F=<a@b.example> rejected after DATA: spam rejected RCPT <x>: y",
        );
        assert_eq!((found.stage, found.ends_message), (Stage::Eod, true));
        assert_eq!(found.response, b"spam rejected RCPT <x>: y");
        let found =
            rejection(b"rejected EHLO from [198.51.100.7]: syntactically invalid argument(s): (no argument given)");
        assert_eq!((found.stage, found.client.ip), (Stage::Helo, &b"198.51.100.7"[..]));
        let found = rejection(b"H=[198.51.100.7]:40112 rejected connection in \"connect\" ACL: too bad");
        assert_eq!((found.stage, found.response), (Stage::Connect, &b"too bad"[..]));
        let found = rejection(b"SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[198.51.100.7] input=\"QUIT\\r\\n\"");
        assert_eq!(found.client.ip, b"198.51.100.7");
        let found = rejection(b"H=pc7 [198.51.100.7]:40112 rejected MAIL <al@b.example>: no");
        assert_eq!(found.sender, Some(&b"al@b.example"[..]));
        let found = rejection(
            b"rejected MAIL FROM:<al@b.example> H=pc7 (h) [198.51.100.7]: message too big: size=999999 max=102400",
        );
        assert_eq!((found.sender, found.client.ip), (Some(&b"al@b.example"[..]), &b"198.51.100.7"[..]));
        assert_eq!(found.response, b"message too big: size=999999 max=102400");
        let found = rejection(
            b"1tXyZa-0001Ab-2c rejected from <al@b.example> H=pc7 [198.51.100.7]: message too big: read=1 max=1",
        );
        assert_eq!(
            (found.stage, found.sender, found.client.ip),
            (Stage::Eod, Some(&b"al@b.example"[..]), &b"198.51.100.7"[..])
        );
        let found =
            rejection(b"too many recipients: excess temporarily rejected: sender=<al@b.example> H=pc7 [198.51.100.7]");
        assert_eq!((found.is_permanent, found.client.ip), (false, &b"198.51.100.7"[..]));
    }

    #[test]
    fn what_a_sender_quotes_is_no_field() {
        for body in [
            &br#"1tXyZa-0001Ab-2c <= mallory@b.example H=pc7 [198.51.100.7] P=esmtpsa A=plain:mallory S=912 id=x."y A=plain:victim z"@b for bo@a.example"#[..],
            br#"1tXyZa-0001Ab-2c <= a."b A=plain:victim c"@e.example H=pc7 [198.51.100.7] P=esmtpsa A=plain:mallory S=912"#,
        ] {
            let Entry::Arrival(found) = entry(body) else { panic!() };
            assert_eq!(found.sasl_username, Some(&b"mallory"[..]), "{}", String::from_utf8_lossy(body));
        }
        let found = rejection(br#"H=e [203.0.113.5] F=<x."> A=plain:victim rejected RCPT <q@b.example>: Unknown user y"@e.example> rejected RCPT <real@b.example>: relay not permitted"#);
        assert_eq!((found.sasl_username, found.recipient), (None, Some(&b"real@b.example"[..])));
    }

    #[test]
    fn a_quoted_command_is_no_client() {
        let body = b"SMTP protocol error in \"AUTH LOGIN\" H=(x) [192.0.2.66]\" H=(y) [198.51.100.7] AUTH command used when not advertised";
        assert_eq!(line(body), Parsed::Ignored("protocol error"));
        assert_eq!(line(b"H=pc7 [198.51.100.7] Warning: rejected RCPT <x>: no"), Parsed::Ignored("advice"));
        assert_eq!(line(b"something that an ACL wrote"), Parsed::Unknown);
    }

    #[test]
    fn the_reject_logs_header_dump_is_known() {
        for line in [
            &b"Envelope-from: <al@b.example>"[..],
            b"Envelope-to: <bo@a.example>",
            b"P Received: from pc7 ([198.51.100.7])",
            b"F From: Al <al@b.example>",
            b"T To: bo@a.example",
            b"I Message-Id: <k7@b.example>",
            b"* X-Gone: 1",
        ] {
            assert!(is_header_dump(line), "{}", String::from_utf8_lossy(line));
        }
        for line in [&b"2026-03-04 05:06:07 x"[..], b"F is a letter: yes", b"", b"P ", b"Z From: x", b"F : x"] {
            assert!(!is_header_dump(line), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_failed_login_is_read_with_every_sort_of_host() {
        for body in [
            &b"dovecot_login authenticator failed for pc7 (User) [198.51.100.7]:40112 I=[192.0.2.1]:465 Ci=9: 535 Incorrect authentication data (set_id=al)"[..],
            b"plain authenticator failed for ([192.0.2.66]) [198.51.100.7]: 535 Incorrect authentication data (set_id=al)",
            b"plain authenticator failed for H=[198.51.100.7]: 535 Incorrect authentication data (set_id=al)",
        ] {
            let Entry::AuthFailure(found) = entry(body) else { panic!() };
            assert_eq!((found.client.ip, found.sasl_username), (&b"198.51.100.7"[..], Some(&b"al"[..])));
        }
    }
}
