//! Lines of other programs that tell what a mail server's own line leaves out: whose login failed. The first bytes of a
//! tag decide; everything else is passed over.

use super::fields::{until, until_last};
use super::{Entry, Parsed};
use crate::mail::address;

/// What a line of another program says, by its syslog tag.
pub fn line<'a>(tag: &[u8], body: &'a [u8]) -> Parsed<'a> {
    match tag.first() {
        Some(b'd') if tag.starts_with(b"dovecot") => dovecot(body),
        Some(b'a') if tag == b"auth" || tag == b"auth-worker" => {
            auth(body).map_or(Parsed::Ignored("login daemon"), Parsed::Entry)
        }
        Some(b'c' | b'g' | b'm' | b'p' | b's') if is_policy_daemon(tag) => Parsed::Ignored("policy daemon"),
        _ => Parsed::Ignored("other program"),
    }
}

/// True for the name of a greylisting, SPF or policy server: what it decides Postfix says too, in its own line.
pub fn is_policy_daemon(name: &[u8]) -> bool {
    const NAMES: &[&[u8]] = &[
        b"cbpolicyd",
        b"greylist",
        b"milter-greylist",
        b"policy",
        b"postfwd",
        b"postgrey",
        b"pypolicyd",
        b"spf",
        b"sqlgrey",
    ];
    NAMES.iter().any(|start| name.starts_with(start))
}

/// `auth: ...`, `auth-worker(77): ...`, `imap-login: ...` (Dovecot's syslog lines, "Logging" in its documentation).
fn dovecot(body: &[u8]) -> Parsed<'_> {
    let found = match until(body, b": ") {
        Some((b"auth", rest)) => auth(rest),
        Some((process, rest)) if process.starts_with(b"auth-worker") => {
            // `auth-worker(77): conn unix:auth-worker (pid=9,uid=8): auth-worker<3>: sql(...)`, since 2.3.
            auth(until(rest, b"auth-worker<").and_then(|(_, rest)| until(rest, b">: ")).map_or(rest, |(_, rest)| rest))
        }
        Some((process, _)) if process.ends_with(b"-login") => None,
        _ => return Parsed::Ignored("other program"),
    };
    found.map_or(Parsed::Ignored("login daemon"), Parsed::Entry)
}

/// `passwd-file(al@b.example,198.51.100.7): Password mismatch`, `... unknown user`. With a third part, the session's, it
/// was tried at one of Dovecot's own services: Postfix gives it none.
fn auth(text: &[u8]) -> Option<Entry<'_>> {
    let text = text.strip_prefix(b"Info: ").unwrap_or(text);
    let (front, rest) = until_last(text, b"): ").or_else(|| until_last(text, b") "))?;
    let is_refusal =
        REFUSALS.iter().any(|words| rest.get(..words.len()).is_some_and(|r| r.eq_ignore_ascii_case(words)));
    let (_, inner) = until(front, b"(").filter(|_| is_refusal)?;
    // The login may hold commas.
    let (login, ip) = until_last(inner, b",")?;
    address::ip(ip)?;
    (!login.is_empty()).then_some(Entry::LoginRefused { ip, sasl_username: login })
}

const REFUSALS: &[&[u8]] = &[
    b"Password mismatch",
    b"unknown user",
    b"pam_authenticate() failed",
    b"Plaintext authentication disabled",
    b"invalid credentials",
    b"user disabled",
    b"Login disabled",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dovecot_names_the_login_that_failed() {
        for (tag, body, login) in [
            (&b"dovecot"[..], &b"auth: passwd-file(al@b.example,198.51.100.7): Password mismatch"[..], &b"al@b.example"[..]),
            (b"dovecot", b"auth: passwd-file(al@b.example,198.51.100.7): unknown user", b"al@b.example"),
            (b"dovecot", b"auth: passwd-file(al,x,198.51.100.7): unknown user", b"al,x"),
            (b"dovecot", b"auth-worker(77): sql(al@b.example,198.51.100.7): Password mismatch (given password: x)", b"al@b.example"),
            (b"dovecot", b"auth-worker(77): conn unix:auth-worker (pid=9,uid=8): auth-worker<3>: pam(al,198.51.100.7): pam_authenticate() failed: Authentication failure", b"al"),
            (b"auth", b"passwd-file(al,198.51.100.7): unknown user", b"al"),
        ] {
            let expected = Entry::LoginRefused { ip: b"198.51.100.7", sasl_username: login };
            assert_eq!(line(tag, body), Parsed::Entry(expected), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_login_at_another_service_is_no_hint() {
        for body in [
            &b"auth: passwd-file(al@b.example,198.51.100.7,<x7Y+/w>): Password mismatch"[..],
            b"imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<al>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1, TLS, session=<x>",
            b"submission-login: Login aborted: Connection closed (auth failed, 3 attempts in 9 secs) (auth_failed): user=<al>, method=LOGIN, rip=198.51.100.7, lip=192.0.2.1",
            b"managesieve-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<al>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1",
        ] {
            assert_eq!(line(b"dovecot", body), Parsed::Ignored("login daemon"), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn other_programs_are_passed_over_by_their_kind() {
        for (tag, body, reason) in [
            (
                &b"dovecot"[..],
                &b"imap-login: Login: user=<al>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.1"[..],
                "login daemon",
            ),
            (b"dovecot", b"auth: Debug: client in: AUTH 1 PLAIN", "login daemon"),
            (b"dovecot", b"lmtp(77): Connect from local", "other program"),
            (b"dovecot", b"auth: passwd-file(al@b.example,nonsense): unknown user", "login daemon"),
            (
                b"postgrey",
                b"action=greylist, reason=new, client_address=198.51.100.7, sender=a@b.example, recipient=c@d.example",
                "policy daemon",
            ),
            (b"policyd-spf", b"550 5.7.23 Message rejected due to: SPF fail - not authorized.", "policy daemon"),
            (b"postfwd2", b"[RULES] rule=7, client=x[198.51.100.7], action=REJECT", "policy daemon"),
            (b"kernel", b"postfix", "other program"),
        ] {
            assert_eq!(line(tag, body), Parsed::Ignored(reason), "{}", String::from_utf8_lossy(body));
        }
    }
}
