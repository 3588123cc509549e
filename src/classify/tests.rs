use super::*;

/// The built-in rules, made once for all tests.
pub(super) fn classifier() -> &'static Classifier {
    static BUILT_IN: std::sync::LazyLock<Classifier> =
        std::sync::LazyLock::new(|| Classifier::built_in().unwrap_or_else(|error| panic!("{error}")));
    &BUILT_IN
}

/// An answer that a remote server gave to this host's Postfix.
fn told(response: &str) -> Refusal<'_> {
    Refusal::told(Mta::Postfix, b"smtp", !response.starts_with('4'), response.as_bytes())
}

fn verdict(refusal: &Refusal<'_>) -> Verdict<'static> {
    classifier().classify(&mut Scratch::default(), refusal)
}

#[test]
fn every_rule_wins_its_samples() {
    if let Err(problem) = classifier().check() {
        panic!("{problem}");
    }
}

#[test]
fn the_prefilter_never_says_no_wrongly() {
    let classifier = classifier();
    let (mut scratch, mut all) = (Scratch::default(), vec![u64::MAX; classifier.rules.len().div_ceil(64)]);
    for sample in
        classifier.rules().flat_map(|rule| rule.wins.iter().chain(rule.loses.iter().map(|(_, sample)| sample)))
    {
        let refusal = sample.refusal();
        let reply = reply(refusal.response);
        classifier.read(&mut scratch, &reply);
        classifier.scan(&mut scratch);
        let provider = classifier.explain(&mut Scratch::default(), &refusal).verdict.provider;
        let context = Context { provider, ..context(&refusal, &reply) };
        let filtered = classifier.first(&mut scratch, &context, 0..classifier.rules.len());
        std::mem::swap(&mut scratch.candidates, &mut all);
        let unfiltered = classifier.first(&mut scratch, &context, 0..classifier.rules.len());
        std::mem::swap(&mut scratch.candidates, &mut all);
        assert_eq!(filtered, unfiltered, "{}", sample.reply);
    }
}

/// Row of "The seeds, row by row" in the taxonomy, answer, category, provider, list.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

fn assert_rows(rows: &[Row], by_us: bool) {
    for &(row, response, category, provider, list) in rows {
        let refusal = Refusal { by_us, service: if by_us { b"smtpd" } else { b"smtp" }, ..told(response) };
        let verdict = verdict(&refusal);
        let got = (verdict.category.id(), verdict.provider, verdict.dnsbl.as_deref());
        assert_eq!(got, (category, provider, list), "{row}: {response} ({})", verdict.rule);
    }
}

#[test]
fn seed_mailchannels_rows() {
    let rows: &[Row] = &[
        ("1", "451 Not currently accepting mail from your ip – psmtp", "ip-blocked", Some("postini"), None),
        (
            "2",
            "421 STRING (STRING) Unfortunately, some messages from weren’t sent. Please try again. We have limits for how \
             many messages can be sent per hour and per day. You can also refer to",
            "rate-limited",
            Some("microsoft"),
            None,
        ),
        (
            "2, filled in",
            "421 RP-001 (SNT004-MC1F13) Unfortunately, some messages from 198.51.100.7 weren't sent. Please try again. We \
             have limits for how many messages can be sent per hour and per day. You can also refer to \
             http://mail.live.com/mail/troubleshooting.aspx#errors.",
            "rate-limited",
            Some("microsoft"),
            None,
        ),
        ("3", "421 Service unavailable – try again later", "remote-unavailable", None, None),
        ("4", "554 (RTR:BL)", "ip-blocked", Some("aol"), None),
        ("5", "475 access from your network is restricted, try later", "ip-blocked", None, None),
        ("6", "550 Rejected:, listed at for remediation.", "dnsbl-ip", None, None),
        (
            "6, filled in",
            "550 Rejected: 198.51.100.7, listed at http://www.abuseat.org/lookup.cgi?ip=198.51.100.7 for remediation.",
            "dnsbl-ip",
            None,
            Some("cbl"),
        ),
        (
            "6, a private list",
            "550 Rejected: 198.51.100.7, listed at http://bl.example/q?198.51.100.7 for remediation.",
            "dnsbl-ip",
            None,
            Some("bl.example"),
        ),
        (
            "7",
            "421 STRING cox blocked – Error Code: CDRBL – Refer to Error Codes section at for more information.",
            "ip-blocked",
            Some("cox"),
            Some("cox-cdrbl"),
        ),
        (
            "8",
            "571 Email from is currently blocked by Verizon Online’s STRING system. The email sender or Email Service \
             Provider may visit and request removal of the block. NUMBER",
            "ip-blocked",
            Some("verizon"),
            None,
        ),
        (
            "8, filled in",
            "571 Email from 198.51.100.7 is currently blocked by Verizon Online's anti-spam system. The email sender or \
             Email Service Provider may visit http://www.verizon.net/whitelist and request removal of the block. 140101",
            "ip-blocked",
            Some("verizon"),
            None,
        ),
        ("9", "554 5.7.1 – ERROR: Mail refused – <> – See", "ip-blocked", Some("roadrunner"), None),
        (
            "9, filled in",
            "554 5.7.1 - ERROR: Mail refused - <198.51.100.7> - See http://security.rr.com/mail_blocks.htm#security",
            "ip-blocked",
            Some("roadrunner"),
            None,
        ),
        ("10", "421 4.4.2 service timed out.", "session-lost", None, None),
    ];
    assert_rows(rows, false);
}

#[test]
fn seed_baruwa_rows() {
    let rows: &[Row] = &[
        ("ratelimit", "451 You can only send 100 msgs per 1h", "rate-limited", None, None),
        ("ratelimit, as printed", "451 You can only send xx msgs per xx", "rate-limited", None, None),
        ("sender IP banned", "550 The sender 198.51.100.7 is banned", "ip-blocked", None, None),
        ("sender IP banned, as printed", "550 The sender xxx.xxx.xxx.xxx is banned", "ip-blocked", None, None),
        ("domain banned", "550 The domain example.com is banned", "sender-blocked", None, None),
        ("dictionary attack", "550 Dictionary attack detected", "harvest-blocked", None, None),
        ("bounces", "550 Legitimate bounces are never sent to more than one recipient.", "bounce-refused", None, None),
        ("restricted characters", "550 Restricted characters in address", "recipient-address-invalid", None, None),
        ("sender verification", "550 Sender verification failed", "sender-unverified", None, None),
        ("recipient verification", "550 Recipient verification failed", "recipient-unverified", None, None),
        ("relay", "550 Relay not permitted", "relay-denied", None, None),
        ("no such address", "550 The email address does not exist", "recipient-unknown", None, None),
        ("baruwa list", "550 The sender is in a black list rbl.baruwa.net", "dnsbl-ip", None, Some("baruwa")),
        ("baruwa list, again", "550 The sender is in a black list rbl.baruwa.net", "dnsbl-ip", None, Some("baruwa")),
        (
            "hostkarma",
            "550 The sender is in a black list hostkarma.junkemailfilter.com",
            "dnsbl-ip",
            None,
            Some("hostkarma"),
        ),
        (
            "spameatingmonkey",
            "550 The sender is in a black list bl.spameatingmonkey.net",
            "dnsbl-ip",
            None,
            Some("spameatingmonkey"),
        ),
        ("spamhaus", "550 The sender is in a black list zen.spamhaus.org", "dnsbl-ip", None, Some("spamhaus-zen")),
        ("spamcop", "550 The sender is in a black list bl.spamcop.net", "dnsbl-ip", None, Some("spamcop")),
        ("cbl", "550 The sender is in a black list cbl.abuseat.org", "dnsbl-ip", None, Some("cbl")),
        ("SPF", "550 The message failed SPF checks", "spf-fail", None, None),
        ("PTR", "550 The sender 198.51.100.7 has no reverse DNS record", "no-reverse-dns", None, None),
        ("file extension", "550 Blacklisted file extension detected.", "attachment-prohibited", None, None),
        ("security policies", "550 The message was rejected due to security policies", "virus-detected", None, None),
        ("administrative", "550 This message is administratively prohibited", "content-prohibited", None, None),
        ("no HELO", "550 The sender did not present a HELO/EHLO greeting", "helo-rejected", None, None),
        ("HELO as an IP", "550 The sender presented HELO as an IP address", "helo-rejected", None, None),
        ("DKIM", "550 DKIM failure: xx", "dkim-fail", None, None),
        (
            "one AUTH",
            "503 Authentication is allowed only once per message in order to slow down brute force cracking",
            "auth-abuse",
            None,
            None,
        ),
        ("auth failures", "550 The sender is blacklisted due to repeated auth failures", "auth-abuse", None, None),
        ("TLS", "550 TLS is required", "tls-required", None, None),
        ("headers", "550 This message contains invalid headers", "message-malformed", None, None),
    ];
    assert_rows(rows, true);
    assert_rows(rows, false);
    let mail = Refusal { stage: Some(Stage::Mail), ..told("550 Restricted characters in address") };
    assert_eq!(verdict(&mail).category.id(), "sender-domain-invalid");
    let rule = |response| verdict(&told(response)).rule;
    assert_ne!(
        rule("550 The sender did not present a HELO/EHLO greeting"),
        rule("550 The sender presented HELO as an IP address")
    );
}

#[test]
fn seed_baruwa_resolutions() {
    let resolution = |response: &str| {
        let verdict = verdict(&told(response));
        classifier().resolution(verdict.category, verdict.dnsbl.as_deref())
    };
    for (list, advice) in [
        (
            "rbl.baruwa.net",
            "This list does not accept removal requests, the address will be removed automatically when the amount of \
             unsolicited email reduces.",
        ),
        ("hostkarma.junkemailfilter.com", "http://ipadmin.junkemailfilter.com/remove.php"),
        ("bl.spameatingmonkey.net", "http://spameatingmonkey.com/delist.html"),
        ("zen.spamhaus.org", "http://www.spamhaus.org/lookup/"),
        ("bl.spamcop.net", "https://www.spamcop.net/bl.shtml"),
        ("cbl.abuseat.org", "http://cbl.abuseat.org/lookup.cgi"),
    ] {
        let got = resolution(&format!("550 The sender is in a black list {list}"));
        assert!(got.contains(advice), "{list}: {got}");
    }
    for (response, words) in [
        ("You can only send 5 msgs per 1h", "Reduce the sending speed"),
        ("Dictionary attack detected", "existing addresses only"),
        ("Restricted characters in address", "Check the email address"),
        ("Sender verification failed", "does accept email"),
        ("Recipient verification failed", "Check the email address"),
        ("Relay not permitted", "add the sender to the relay settings"),
        ("The email address does not exist", "to a valid recipient"),
        ("The domain example.com is banned", "banned senders list"),
        ("The message failed SPF checks", "SPF record"),
        ("The sender 198.51.100.7 has no reverse DNS record", "Create a reverse DNS record"),
        ("Blacklisted file extension detected.", "Do not send executables"),
        ("The message was rejected due to security policies", "Check the computer and the message"),
        ("This message is administratively prohibited", "exemption list"),
        ("The sender presented HELO as an IP address", "not with an IP address"),
        ("DKIM failure: x", "Ensure that the DKIM policy"),
        ("The sender is blacklisted due to repeated auth failures", "SMTP authentication credentials are correct"),
        ("TLS is required", "connects using TLS encryption"),
        ("This message contains invalid headers", "using ASCII"),
    ] {
        let got = resolution(&format!("550 {response}"));
        assert!(got.contains(words), "{response}: {got}");
    }
}

#[test]
fn seed_591_page() {
    let rows: &[Row] = &[
        (
            "as printed",
            "< #5.5.0 smtp;591  your host is blacklisted by Send your questions to>",
            "dnsbl-ip",
            None,
            None,
        ),
        (
            "filled in",
            "< #5.5.0 smtp;591 <x@a.example> your host is blacklisted by relays.ordb.org Send your questions to \
             postmaster@a.example>",
            "dnsbl-ip",
            None,
            Some("ordb"),
        ),
        (
            "another list",
            "591 your host is blacklisted by bl.example. Send your questions to admin@a.example",
            "dnsbl-ip",
            None,
            Some("bl.example"),
        ),
    ];
    assert_rows(rows, false);
    assert_eq!(classifier().lists().get("ordb").map(List::kind), Some(ListKind::OpenRelay));
    let refusal = told("591 your host is blacklisted by bl.example. Send your questions to admin@a.example");
    let words = classifier().explain(&mut Scratch::default(), &refusal).words;
    assert!(memchr::memmem::find(&words, b"admin@a.example").is_some(), "the contact address is kept");
}

#[test]
fn seed_blocking_page_rows() {
    let rows: &[Row] = &[
        ("sender 7: own SPF not updated", "550 5.7.23 SPF validation failed", "spf-fail", None, None),
        (
            "sender 7, where DMARC decides",
            "550 5.7.1 Unauthenticated email from b.example is not accepted due to domain's DMARC policy",
            "dmarc-fail",
            None,
            None,
        ),
        (
            "sender 8: a domain you don't own",
            "550 You sent emails from a domain you don't own",
            "sender-not-allowed",
            None,
            None,
        ),
        ("sender 9: root@localhost", "550 Sender root@localhost is not allowed", "sender-domain-invalid", None, None),
        (
            "sender 9, Postfix",
            "504 5.5.2 <root@localhost>: Sender address rejected: need fully-qualified address",
            "sender-domain-invalid",
            None,
            None,
        ),
        ("recipient 1: SMS gateways", "550 SMS gateways are not allowed", "recipient-refused", None, None),
        ("recipient 4: does not exist", "550 5.1.1 The recipient does not exist", "recipient-unknown", None, None),
        ("recipient 4, the domain", "550 5.1.2 Recipient domain does not exist", "domain-not-found", None, None),
        (
            "recipient 5: cannot receive",
            "556 5.1.10 Domain a.example does not accept mail (nullMX)",
            "domain-no-mail",
            None,
            None,
        ),
        ("recipient 5, as on the page", "550 This address cannot receive email", "domain-no-mail", None, None),
        (
            "recipient 7: thinks we are listed",
            "550 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org; query refused, open \
             resolver, 127.255.255.254",
            "dnsbl-misfire",
            None,
            Some("spamhaus-zen"),
        ),
    ];
    assert_rows(rows, false);
}

#[test]
fn a_list_is_told_by_zone_name_and_part() {
    let rows: &[Row] = &[
        (
            "a part in the reason",
            "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org; \
             https://www.spamhaus.org/query/pbl/PBL1",
            "ip-dynamic",
            None,
            Some("spamhaus-pbl"),
        ),
        (
            "a keyed zone",
            "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using abcdefgh.zen.dq.spamhaus.net",
            "dnsbl-ip",
            None,
            Some("spamhaus-zen"),
        ),
        (
            "a country",
            "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using cn.countries.nerd.dk",
            "geo-blocked",
            None,
            Some("countries-nerd-dk"),
        ),
        ("a private zone", "550 5.7.1 rejected using RBL.Example.ORG", "dnsbl-ip", None, Some("rbl.example.org")),
        ("no zone", "550 5.7.1 Your IP is listed in one or more DNS blacklists", "dnsbl-ip", None, None),
        ("a name", "550 5.7.1 Client host [198.51.100.7] blocked using QBL 3; ask us", "dnsbl-ip", None, Some("qbl 3")),
        ("a common word", "550 5.7.1 198.51.100.7 rejected using blacklist", "dnsbl-ip", None, None),
        ("the first of two", "550 198.51.100.7 listed: spamcop.net, mailspike.net", "dnsbl-ip", None, Some("spamcop")),
        (
            "a private zone and a link",
            "550 blocked using bl.a.example; see http://cbl.abuseat.org/?ip=198.51.100.7",
            "dnsbl-ip",
            None,
            Some("bl.a.example"),
        ),
        ("a part's short name", "550 198.51.100.7 is in the PBL", "ip-dynamic", None, Some("spamhaus-pbl")),
        ("a label that is none", "550 rejected using pbl.a.example", "dnsbl-ip", None, Some("pbl.a.example")),
        ("any language", "550 198.51.100.7 \u{2192} uusi.rbl.example", "dnsbl-ip", None, Some("uusi.rbl.example")),
        ("part of a word", "550 5.1.1 mynotspamcop unknown user", "recipient-unknown", None, None),
    ];
    assert_rows(rows, false);
}

#[test]
fn a_sender_cannot_choose_the_category() {
    for (response, category) in [
        ("554 5.7.1 <User unknown@x.example>: Relay access denied", "relay-denied"),
        ("554 5.7.1 <blocked using zen.spamhaus.org>: Helo command rejected: Host not found", "helo-rejected"),
        ("554 5.7.1 <\"said: 550 5.1.1 mailbox full\"@x.example>: Relay access denied", "relay-denied"),
        ("450 4.1.8 <greylisted@nope.example>: Sender address rejected: Domain not found", "sender-domain-invalid"),
        (
            "550 5.1.1 <virus-spam-dmarc@a.example>: Recipient address rejected: User unknown in local recipient table",
            "recipient-unknown",
        ),
    ] {
        let refusal = Refusal { by_us: true, service: b"smtpd", ..told(response) };
        assert_eq!(verdict(&refusal).category.id(), category, "{response}");
    }
}

#[test]
fn who_acts_and_what_to_do() {
    let classifier = classifier();
    let category = |id| Category::from_id(id).unwrap();
    assert_eq!(classifier.who_acts(category("recipient-unknown"), false), Party::Sender);
    assert_eq!(classifier.who_acts(category("recipient-unknown"), true), Party::OtherSide);
    assert_eq!(classifier.who_acts(category("greylisted"), false), Party::Nobody);
    assert_eq!(classifier.resolution(category("dnsbl-ip"), Some("bl.example")), category("dnsbl-ip").resolution());
}

#[test]
fn a_user_rule_comes_first_and_may_replace_one() {
    let file = "[[rule]]\nid = 'mine'\ncategory = 'geo-blocked'\ntext = 'Relay access denied'\nwins = ['554 Relay access denied']\n";
    let classifier = Classifier::with_rules(&[("mine.toml", file)]).unwrap();
    let mut scratch = Scratch::default();
    let refusal = told("554 5.7.1 <bo@a.example>: Relay access denied");
    assert_eq!(classifier.classify(&mut scratch, &refusal).rule, "mine");
    // The same memory may go to another classifier.
    assert_eq!(self::classifier().classify(&mut scratch, &refusal).rule, "relay-access-denied");
    let explained = classifier.explain(&mut Scratch::default(), &refusal);
    let lost = explained.lost.iter().find(|(rule, _)| rule.id() == "relay-access-denied");
    assert_eq!(lost.map(|(_, why)| *why), Some(Lost::Step), "{explained:?}");
}

#[test]
fn codes_decide_where_no_words_do() {
    for (response, category, rule) in [
        ("550 5.1.1", "recipient-unknown", "enhanced-x.1.1"),
        ("452 4.2.2 -", "mailbox-full", "enhanced-x.2.2"),
        ("550 5.7.1", "policy-refused", "enhanced-x.7.1"),
        ("550 5.7.999 -", "policy-refused", "policy-5.7"),
        ("552", "message-too-large", "reply-552"),
        ("530", "auth-required", "reply-530"),
        ("421", "remote-unavailable", "reply-421"),
        ("gibberish qwertz", "unclassified", "none"),
        ("", "unclassified", "none"),
    ] {
        let verdict = verdict(&told(response));
        assert_eq!((verdict.category.id(), verdict.rule), (category, rule), "{response}");
    }
    let google = Refusal { relay_host: b"gmail-smtp-in.l.google.com", ..told("550 5.7.27 -") };
    assert_eq!(verdict(&google).rule, "google-x.7.27");
    assert_eq!(verdict(&told("550 5.7.27 -")).category.id(), "sender-domain-invalid");
}

#[test]
fn hostile_bytes_neither_panic_nor_take_long() {
    let mut scratch = Scratch::default();
    let everything: Vec<u8> =
        classifier().rules().flat_map(|rule| rule.wins().flatten().copied().collect::<Vec<_>>()).collect();
    for bytes in [everything.repeat(3), vec![b'<'; 65_536], vec![0xff; 65_536], b"550-5.1.1 \\n".repeat(6_000)] {
        let bytes = bytes.get(..65_536).unwrap_or(&bytes);
        let refusal = Refusal { response: bytes, ..told("") };
        let _ = classifier().classify(&mut scratch, &refusal);
        let _ = classifier().explain(&mut Scratch::default(), &refusal);
    }
}

/// Labelled answers of a file outside the program, one a line, with tabs: category, provider and list (`-` for none),
/// circumstances (`r=` relay host, `exim`, `us`, `st=` stage), answer. Prints the misses and the share that is right.
#[test]
#[ignore = "needs a file of labelled answers, named by ANSWERS"]
#[expect(clippy::print_stdout, reason = "its output is the score")]
fn score_labelled_answers() {
    let text = std::fs::read_to_string(std::env::var("ANSWERS").unwrap()).unwrap();
    let (mut all, mut named, mut right, mut providers, mut lists) = (0, 0, 0, 0, 0);
    for line in text.lines() {
        let [category, provider, list, circumstances, response] = line.splitn(5, '\t').collect::<Vec<_>>()[..] else {
            panic!("not five fields: {line}")
        };
        let mut refusal = told(response);
        for word in circumstances.split(' ') {
            match word.split_once('=') {
                Some(("r", host)) => refusal.relay_host = host.as_bytes(),
                Some(("st", stage)) => refusal.stage = Stage::from_word(stage),
                _ if word == "exim" => (refusal.mta, refusal.service) = (Mta::Exim, b"remote_smtp"),
                _ if word == "us" => (refusal.by_us, refusal.service) = (true, b"smtpd"),
                _ => {}
            }
        }
        let code = reply(refusal.response).smtp_code;
        refusal.permanent = code.map_or(refusal.permanent, SmtpCode::is_permanent);
        let verdict = verdict(&refusal);
        let (got_provider, got_list) = (verdict.provider.unwrap_or("-"), verdict.dnsbl.as_deref().unwrap_or("-"));
        let fits = category.split('|').any(|accepted| accepted == verdict.category.id());
        (all, named) = (all + 1, named + usize::from(!verdict.category.is_unclassified()));
        right += usize::from(fits);
        providers += usize::from(provider == got_provider);
        lists += usize::from(list == got_list);
        if !fits || provider != got_provider || list != got_list {
            println!(
                "{category} {provider} {list} <> {} {got_provider} {got_list} ({})\n    {response}",
                verdict.category, verdict.rule
            );
        }
    }
    println!("of {all}: classified {named}, right {right}, provider {providers}, list {lists}");
}

/// Every row of the four seed documents, and the categories of the answers it speaks of.
const SEED_ROWS: &[(&str, &[&str])] = &[
    ("MailChannels 1", &["ip-blocked"]),
    ("MailChannels 2", &["rate-limited"]),
    ("MailChannels 3", &["remote-unavailable"]),
    ("MailChannels 4", &["ip-blocked"]),
    ("MailChannels 5", &["ip-blocked"]),
    ("MailChannels 6", &["dnsbl-ip"]),
    ("MailChannels 7", &["ip-blocked"]),
    ("MailChannels 8", &["ip-blocked"]),
    ("MailChannels 9", &["ip-blocked"]),
    ("MailChannels 10", &["session-lost"]),
    ("Baruwa: only xx msgs per xx", &["rate-limited"]),
    ("Baruwa: sender IP banned", &["ip-blocked"]),
    ("Baruwa: domain banned", &["sender-blocked"]),
    ("Baruwa: dictionary attack", &["harvest-blocked"]),
    ("Baruwa: bounces to more than one recipient", &["bounce-refused"]),
    ("Baruwa: restricted characters", &["recipient-address-invalid", "sender-domain-invalid"]),
    ("Baruwa: sender verification", &["sender-unverified"]),
    ("Baruwa: recipient verification", &["recipient-unverified"]),
    ("Baruwa: relay not permitted", &["relay-denied"]),
    ("Baruwa: address does not exist", &["recipient-unknown"]),
    ("Baruwa: rbl.baruwa.net", &["dnsbl-ip"]),
    ("Baruwa: rbl.baruwa.net, again", &["dnsbl-ip"]),
    ("Baruwa: hostkarma", &["dnsbl-ip"]),
    ("Baruwa: spameatingmonkey", &["dnsbl-ip"]),
    ("Baruwa: zen.spamhaus.org", &["dnsbl-ip"]),
    ("Baruwa: spamcop", &["dnsbl-ip"]),
    ("Baruwa: cbl.abuseat.org", &["dnsbl-ip"]),
    ("Baruwa: SPF", &["spf-fail"]),
    ("Baruwa: no reverse DNS record", &["no-reverse-dns"]),
    ("Baruwa: file extension", &["attachment-prohibited"]),
    ("Baruwa: security policies", &["virus-detected"]),
    ("Baruwa: administratively prohibited", &["content-prohibited"]),
    ("Baruwa: no HELO/EHLO", &["helo-rejected"]),
    ("Baruwa: HELO as an IP address", &["helo-rejected"]),
    ("Baruwa: DKIM failure", &["dkim-fail"]),
    ("Baruwa: authentication once per message", &["auth-abuse"]),
    ("Baruwa: repeated auth failures", &["auth-abuse"]),
    ("Baruwa: TLS is required", &["tls-required"]),
    ("Baruwa: invalid headers", &["message-malformed"]),
    ("591 page", &["dnsbl-ip"]),
    ("sender 1: every minute, bad sender to bad recipient", &["sender-domain-invalid", "recipient-unknown"]),
    ("sender 2: a whole server's mail", &["recipient-unknown", "mailbox-full"]),
    ("sender 3: addresses that do not exist", &["recipient-unknown", "domain-not-found", "harvest-blocked"]),
    ("sender 4: form abuse", &["spam-content", "reputation-low"]),
    ("sender 5: sender1, sender2; 300 per hour", &["rate-limited"]),
    ("sender 6: marketing", &["spam-content"]),
    ("sender 7: own SPF not updated", &["spf-fail", "dmarc-fail"]),
    ("sender 8: a domain you don't own", &["sender-not-allowed"]),
    ("sender 9: root@localhost", &["sender-domain-invalid"]),
    ("sender 10: way over the line", &["rate-limited", "spam-content", "virus-detected", "dnsbl-url"]),
    ("recipient 1: we don't allow this", &["recipient-refused"]),
    ("recipient 2: kept sending anyway", &["recipient-refused", "policy-refused", "spam-content"]),
    ("recipient 3: notifications nobody reads", &["recipient-rate-limited"]),
    ("recipient 4: does not exist", &["recipient-unknown", "domain-not-found"]),
    ("recipient 5: cannot receive e-mail", &["domain-no-mail"]),
    ("recipient 6: filling an inbox", &["mailbox-full", "recipient-rate-limited"]),
    ("recipient 7: thinks we are listed", &["dnsbl-misfire"]),
];

#[test]
fn every_seed_row_has_categories_with_advice() {
    for (row, ids) in SEED_ROWS {
        for id in *ids {
            let category = Category::from_id(id).unwrap_or_else(|| panic!("{row}: {id}"));
            assert!(category.resolution().len() > 20 && category.description().len() > 20, "{row}: {id}");
        }
    }
}

#[test]
fn seed_rows_said_to_this_host_have_their_advice() {
    for (response, category, words) in [
        ("451 Not currently accepting mail from your ip – psmtp", "ip-blocked", "take the address off its list"),
        (
            "421 Some messages weren’t sent. We have limits for how many messages can be sent per hour and per day.",
            "rate-limited",
            "Reduce the sending speed",
        ),
        ("421 Service unavailable – try again later", "remote-unavailable", "the queue tries again"),
        ("554 (RTR:BL)", "ip-blocked", "take the address off its list"),
        ("475 access from your network is restricted, try later", "ip-blocked", "Stop the cause"),
        ("550 Rejected:, listed at for remediation.", "dnsbl-ip", "ask the list that is named for removal"),
        ("550 Rejected: 198.51.100.7, listed at bl.spamcop.net for remediation.", "dnsbl-ip", "spamcop.net"),
        ("571 Email from is currently blocked by Verizon Online’s STRING system.", "ip-blocked", "Stop the cause"),
        ("554 5.7.1 – ERROR: Mail refused – <> – See", "ip-blocked", "Stop the cause"),
        ("421 4.4.2 service timed out.", "session-lost", "The queue tries again"),
        ("550 5.7.23 SPF validation failed", "spf-fail", "SPF record"),
        ("550 You sent emails from a domain you don't own", "sender-not-allowed", "belongs to the account"),
        ("550 Sender root@localhost is not allowed", "sender-domain-invalid", "whose domain exists"),
        ("550 SMS gateways are not allowed", "recipient-refused", "Stop sending to this recipient"),
        ("550 This address cannot receive email", "domain-no-mail", "it cannot receive email"),
        ("591 your host is blacklisted by Send your questions to", "dnsbl-ip", "Stop the cause of the listing"),
    ] {
        let verdict = verdict(&told(response));
        let advice = classifier().resolution(verdict.category, verdict.dnsbl.as_deref());
        assert_eq!(verdict.category.id(), category, "{response} ({})", verdict.rule);
        assert!(advice.contains(words), "{response}: {advice}");
    }
}

/// The problems of a user's rule file, or why it does not load.
fn problems(file: &str) -> String {
    match Classifier::with_rules(&[("mine.toml", file)]).map(|classifier| classifier.check()) {
        Err(error) | Ok(Err(error)) => error.to_string(),
        Ok(Ok(())) => String::new(),
    }
}

#[test]
fn a_bad_rule_file_is_refused() {
    let rule = |id: &str, rest: &str| format!("[[rule]]\nid = '{id}'\ncategory = 'geo-blocked'\n{rest}\n");
    let good = rule("a", "text = 'qwertz'\nwins = ['550 qwertz']");
    assert_eq!(problems(&good), "");
    // A sample is tried under the circumstances of its rule's `when`; `line` is another word for `reply`.
    let own = rule("a", "when = { mta = 'exim' }\ntext = 'qwertz'\nwins = ['550 qwertz', { line = 'qwertz' }]");
    assert_eq!(problems(&own), "");
    for (what, file, parts) in [
        (
            "an unknown category",
            good.replace("geo-blocked", "geo-blockt"),
            &["mine.toml", "'a'", "no category 'geo-blockt'"][..],
        ),
        ("no sample", rule("a", "text = 'qwertz'"), &["mine.toml", "'a'", "no sample"]),
        ("an empty list of samples", rule("a", "text = 'qwertz'\nwins = []"), &["'a'", "no sample"]),
        ("a misspelt key", good.replace("text", "texts"), &["mine.toml", "'a'", "texts"]),
        (
            "a misspelt key under when",
            rule("a", "when = { stages = 'rcpt' }\ntext = 'qwertz'\nwins = ['550 qwertz']"),
            &["mine.toml", "'a'"],
        ),
        (
            "a stage that is none",
            rule("a", "when = { stage = 'rcptt' }\ntext = 'qwertz'\nwins = ['550 qwertz']"),
            &["mine.toml", "'a'", "rcptt"],
        ),
        (
            "a code that is none",
            rule("a", "when = { enhanced_code = '5.7' }\ntext = 'qwertz'\nwins = ['550 qwertz']"),
            &["mine.toml", "'a'", "'5.7' is no enhanced code"],
        ),
        (
            "a provider that is none",
            rule("a", "when = { provider = 'gogle' }\ntext = 'qwertz'\nwins = ['550 qwertz']"),
            &["mine.toml", "'a'", "no provider 'gogle'"],
        ),
        ("an id twice", good.clone() + &good, &["mine.toml", "'a'", "another id"]),
        (
            "a sample that does not match",
            rule("a", "text = 'qwertz'\nwins = ['550 qwerty']"),
            &["mine.toml", "'a'", "'550 qwerty' should be won by 'a', but"],
        ),
        (
            "a sample that another rule wins",
            good.clone() + &rule("b", "text = 'qwert'\nwins = ['550 qwertz qwert']"),
            &["'b'", "'550 qwertz qwert' should be won by 'b', but 'a' (geo-blocked) wins it"],
        ),
        (
            "a rule in the shadow of a broader one that comes first",
            rule("a", "text = 'qwertz|qwerty uiop'\nwins = ['550 qwertz']")
                + &rule("b", "text = 'qwerty'\nwins = ['550 qwerty uiop']"),
            &["'b'", "should be won by 'b', but 'a'"],
        ),
        (
            "a rule that its own unless makes unreachable",
            rule("a", "text = 'qwertz'\nunless = 'qwer'\nwins = ['550 qwertz']"),
            &["'a'", "should be won by 'a', but"],
        ),
        (
            "a rule that its own when makes unreachable",
            rule(
                "a",
                "when = { permanent = false }\ntext = 'qwertz'\nwins = [{ reply = '550 qwertz', permanent = true }]",
            ),
            &["'a'", "should be won by 'a', but"],
        ),
        (
            "a sample under loses that names no rule",
            rule(
                "a",
                "text = 'qwertz'\nwins = ['550 qwertz']\nloses = [{ to = 'nobody', reply = '550 5.1.1 User unknown' }]",
            ),
            &["'a'", "should be won by 'nobody', but there is no rule 'nobody'"],
        ),
        (
            "a sample that does not meet its own when",
            rule("a", "when = { smtp_code = 451 }\ntext = 'qwertz'\nwins = ['550 qwertz']"),
            &["mine.toml: rule 'a'", "its `when` asks for smtp_code = 451, which there is 550"],
        ),
        (
            "a rule with the text of another",
            rule("a", "text = 'qwertz uiop'\nwins = ['550 qwertz uiop']")
                + &rule("b", "text = 'qwertz uiop'\nwins = ['550 qwertz uiop now']"),
            &["'b' can never win"],
        ),
        ("a text for all answers", rule("a", "text = '[a-z]'\nwins = ['550 qwertz']"), &["'a'", "every kind"]),
        (
            "no cause",
            rule("a", "text = 'qwertz'\nwins = ['550 qwertz']").replace("'geo-blocked'", "'unclassified'"),
            &["no category"],
        ),
        (
            "a code of another type",
            rule("a", "when = { smtp_code = '450' }\ntext = 'qwertz'\nwins = ['450 qwertz']"),
            &["'a'", "'smtp_code' takes numbers"],
        ),
        (
            "a code without quotes",
            rule("a", "when = { enhanced_code = 4.7 }\ntext = 'qwertz'\nwins = ['450 qwertz']"),
            &["'a'", "'enhanced_code' takes texts in quotes"],
        ),
        ("one bracket", good.replace("[[rule]]", "[rule]"), &["write [[rule]] in two brackets"]),
        (
            "two mistakes",
            rule("a", "text = 'qwertz('\nwins = []") + &rule("b", "text = 'qwertz'\nwins = []"),
            &["'a'", "'b'"],
        ),
        ("a bad pattern", rule("a", "text = 'qwertz('\nwins = ['550 qwertz(']"), &["'a'", "bad pattern", "'text'"]),
        ("a step that is none", "step = 'lasst'\n".to_owned() + &good, &["mine.toml", "lasst"]),
    ] {
        let found = problems(&file);
        assert!(!found.is_empty(), "{what} passes");
        for part in parts {
            assert!(found.contains(part), "{what}: {found}");
        }
    }
}

/// What a sender may choose, his address, the HELO name, does not tell who speaks or which list is the cause.
#[test]
fn addresses_and_names_tell_nothing() {
    for (response, relay, category, provider, dnsbl) in [
        ("550 5.1.8 support@outlook.com: Sender address rejected", "mx.example.com", "sender-blocked", None, None),
        ("550 5.7.27 sender noc@gmail.com rejected", "", "sender-blocked", None, None),
        ("550 5.7.1 mail of abuse@web.de is refused by policy", "", "policy-refused", None, None),
        ("554 your IP address is blocked, write to postmaster@web.de", "", "ip-blocked", Some("webde"), None),
        ("550 5.2.2 zen.spamhaus.org@corp.example mailbox full", "", "mailbox-full", None, None),
        ("550 5.2.2 bob@zen.spamhaus.org.evil.example mailbox full", "", "mailbox-full", None, None),
        ("550 mail from x@spamcop.net rejected by policy", "", "sender-blocked", None, None),
        (
            "554 5.7.1 Sender address [user+zen.spamhaus.org@b.example] blocked using dbl.spamhaus.org",
            "",
            "dnsbl-domain",
            None,
            Some("spamhaus-dbl"),
        ),
        ("554 listed at zen.spamhaus.org.Please look it up", "", "dnsbl-ip", None, Some("spamhaus-zen")),
    ] {
        let verdict = verdict(&Refusal { relay_host: relay.as_bytes(), ..told(response) });
        let got = (verdict.category.id(), verdict.provider, verdict.dnsbl.as_deref());
        assert_eq!(got, (category, provider, dnsbl), "{response} ({})", verdict.rule);
    }
    let helo = "504 5.5.2 <x>: Client host blocked using zen.spamhaus.org>: Helo command rejected: need fully-qualified hostname";
    let verdict = verdict(&Refusal::said(Mta::Postfix, b"smtpd", true, helo.as_bytes()));
    assert_eq!((verdict.category.id(), verdict.dnsbl), ("helo-rejected", None), "{}", verdict.rule);
}

/// A letter of several bytes that may be missing is missing as a whole.
#[test]
fn a_letter_that_may_be_missing_is_one() {
    for (response, category) in [("550 地址无法系统解析", "domain-not-found"), ("500 未知命令", "protocol-error")]
    {
        let verdict = verdict(&told(response));
        assert_eq!(verdict.category.id(), category, "{response} ({})", verdict.rule);
        assert!(!verdict.rule.starts_with("reply-"), "{response} ({})", verdict.rule);
    }
    let rule = "[[rule]]\nid = 'a'\ncategory = 'rate-limited'\ntext = 'ü?ber Äzorb quota'\nwins = ['550 über äzorb quota', '550 ber ÄZORB quota']\n";
    let classifier = Classifier::with_rules(&[("mine.toml", rule)]).unwrap();
    assert!(classifier.problems().is_empty(), "{:?}", classifier.problems());
    assert_eq!(classifier.taken(|rule| rule.id() == "a"), BTreeMap::new());
}
