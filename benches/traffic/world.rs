//! The rest of the net: receiving sites and how each words its answers, people's names, network addresses.

use crate::{
    model::{Answer, Client, Stage},
    rng::{BASE62, Rng},
};

/// Whose software answers, and so in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Google,
    Outlook,
    Exchange365,
    Yahoo,
    Gmx,
    Tonline,
    Orange,
    MailRu,
    Icloud,
    Postfix,
    Exim,
    Exchange,
    Sms,
}

/// A receiving mail domain.
#[derive(Clone, Debug)]
pub struct Site {
    pub name: String,
    pub kind: Kind,
    pub mx: String,
    pub net: [u8; 3],
    /// First mail from a new sender is put off.
    pub greylists: bool,
}

impl Site {
    pub fn ip(&self, rng: &mut Rng) -> String {
        if self.kind == Kind::Google && rng.chance(0.35) {
            return format!("2a00:1450:40{}:c{:02x}::{:x}", 10 + self.net[2] % 20, self.net[2], 0x1a + rng.below(2));
        }
        let last = match self.kind {
            Kind::Postfix | Kind::Exim | Kind::Exchange => u64::from(self.net[2]) % 200 + 10,
            _ => 20 + rng.below(6),
        };
        format!("{}.{}.{}.{last}", self.net[0], self.net[1], self.net[2])
    }

    /// A big mailbox provider, whose users are people everywhere.
    pub fn is_big(&self) -> bool {
        !matches!(self.kind, Kind::Postfix | Kind::Exim | Kind::Exchange | Kind::Exchange365 | Kind::Sms)
    }
}

/// Name, kind, mail exchanger, network, weight.
const PROVIDERS: &[(&str, Kind, &str, [u8; 3], u64)] = &[
    ("gmail.com", Kind::Google, "gmail-smtp-in.l.google.com", [142, 250, 27], 30),
    ("googlemail.com", Kind::Google, "gmail-smtp-in.l.google.com", [142, 251, 9], 2),
    ("outlook.com", Kind::Outlook, "outlook-com.olc.protection.outlook.com", [52, 101, 73], 6),
    ("hotmail.com", Kind::Outlook, "hotmail-com.olc.protection.outlook.com", [52, 101, 8], 7),
    ("live.com", Kind::Outlook, "live-com.olc.protection.outlook.com", [52, 101, 42], 2),
    ("yahoo.com", Kind::Yahoo, "mta5.am0.yahoodns.net", [67, 195, 204], 6),
    ("yahoo.de", Kind::Yahoo, "mx-eu.mail.am0.yahoodns.net", [188, 125, 72], 2),
    ("aol.com", Kind::Yahoo, "mx-aol.mail.gm0.yahoodns.net", [67, 195, 228], 2),
    ("gmx.de", Kind::Gmx, "mx00.emig.gmx.net", [212, 227, 15], 5),
    ("gmx.net", Kind::Gmx, "mx01.emig.gmx.net", [212, 227, 17], 2),
    ("web.de", Kind::Gmx, "mx-ha03.web.de", [212, 227, 15], 5),
    ("t-online.de", Kind::Tonline, "mx01.t-online.de", [194, 25, 134], 4),
    ("orange.fr", Kind::Orange, "smtp-in.orange.fr", [80, 12, 26], 3),
    ("wanadoo.fr", Kind::Orange, "smtp-in.orange.fr", [80, 12, 24], 2),
    ("mail.ru", Kind::MailRu, "mxs.mail.ru", [94, 100, 180], 1),
    ("icloud.com", Kind::Icloud, "mx01.mail.icloud.com", [17, 57, 155], 4),
];

/// Mail-to-phone gateways: domain and mail exchanger.
const GATEWAYS: &[(&str, &str)] = &[
    ("vtext.com", "smtpin01.vzw.com"),
    ("vzwpix.com", "smtpin02.vzw.com"),
    ("txt.att.net", "ff-ip4-mx-vip1.prodigy.net"),
    ("mms.att.net", "ff-ip4-mx-vip2.prodigy.net"),
    ("tmomail.net", "mx1.tmomail.net"),
    ("email.uscc.net", "mx.email.uscc.net"),
    ("pcs.rogers.com", "mx.pcs.rogers.com"),
    ("txt.bell.ca", "mx.txt.bell.ca"),
];

const FIRST: &[&str] = &[
    "anna",
    "ben",
    "carla",
    "david",
    "elena",
    "felix",
    "greta",
    "hans",
    "ines",
    "jan",
    "karin",
    "lars",
    "maria",
    "nico",
    "olga",
    "paul",
    "petra",
    "ralf",
    "sara",
    "tim",
    "ute",
    "vera",
    "walter",
    "yara",
    "marc",
    "lucie",
    "pierre",
    "sophie",
    "hugo",
    "chloe",
    "john",
    "emma",
    "oliver",
    "amelia",
    "george",
    "isla",
    "peter",
    "julia",
    "thomas",
    "claudia",
    "stefan",
    "monika",
    "andreas",
    "sabine",
    "michael",
    "birgit",
    "frank",
    "heike",
    "luca",
    "giulia",
    "piotr",
    "agnieszka",
    "ivan",
    "natalia",
    "erik",
    "astrid",
    "miguel",
    "lucia",
    "ahmed",
    "leila",
];

const LAST: &[&str] = &[
    "becker",
    "braun",
    "conrad",
    "dietrich",
    "engel",
    "fischer",
    "graf",
    "hahn",
    "jung",
    "keller",
    "lange",
    "meyer",
    "neumann",
    "otto",
    "peters",
    "richter",
    "schulz",
    "thiel",
    "ulrich",
    "vogel",
    "weber",
    "ziegler",
    "martin",
    "bernard",
    "dubois",
    "laurent",
    "moreau",
    "simon",
    "lefevre",
    "roux",
    "smith",
    "jones",
    "taylor",
    "brown",
    "wilson",
    "evans",
    "walker",
    "wright",
    "hall",
    "green",
    "rossi",
    "russo",
    "bianchi",
    "ricci",
    "kowalski",
    "nowak",
    "wisniewski",
    "garcia",
    "lopez",
    "sanchez",
    "romero",
    "silva",
    "santos",
    "jansen",
    "visser",
    "bakker",
    "larsen",
    "hansen",
    "nilsson",
    "berg",
    "horvat",
    "novak",
    "popescu",
    "ivanov",
    "petrov",
    "yilmaz",
    "demir",
    "kaya",
    "haddad",
    "nguyen",
    "tran",
    "chen",
    "wang",
    "kim",
    "sato",
    "tanaka",
    "singh",
    "patel",
];

const WORDS: &[&str] = &[
    "nord", "sued", "alpen", "rhein", "stern", "blau", "grün", "licht", "holz", "stein", "metall", "wasser", "wind",
    "solar", "garten", "haus", "bau", "dach", "auto", "rad", "druck", "papier", "buch", "foto", "musik", "sport",
    "tanz", "kino", "reise", "hafen", "markt", "back", "kaffee", "wein", "obst", "mode", "textil", "leder", "glas",
    "uhren", "zahn", "praxis", "apotheke", "pflege", "recht", "steuer", "bank", "daten", "netz", "soft", "logik",
    "mess", "labor", "chemie", "kran", "fracht", "logis", "trans", "agrar", "forst", "tier", "pferd", "kunst",
    "design", "werbe",
];

const TAILS: &[&str] = &[
    "technik", "service", "team", "werk", "partner", "group", "online", "shop", "studio", "systems", "plus", "center",
];

pub struct World {
    pub sites: Vec<Site>,
    /// Index of the first company behind the providers.
    companies: usize,
    gateways: usize,
    weight: u64,
}

impl World {
    pub fn new(seed: u64, companies: usize) -> Self {
        let mut rng = Rng::of(&[seed, 0x0057_0041]);
        let mut sites: Vec<Site> = PROVIDERS
            .iter()
            .map(|(name, kind, mx, net, _)| Site {
                name: (*name).to_owned(),
                kind: *kind,
                mx: (*mx).to_owned(),
                net: *net,
                greylists: false,
            })
            .collect();
        let first_company = sites.len();
        for i in 0..companies {
            let name = domain_name(&mut rng, i);
            let kind = match rng.below(100) {
                0..15 => Kind::Google,
                15..47 => Kind::Exchange365,
                47..72 => Kind::Postfix,
                72..88 => Kind::Exim,
                _ => Kind::Exchange,
            };
            let mx = match kind {
                Kind::Google => ["aspmx.l.google.com", "alt1.aspmx.l.google.com"][rng.index(2)].to_owned(),
                Kind::Exchange365 => format!("{}.mail.protection.outlook.com", name.replace('.', "-")),
                Kind::Exchange => format!("exchange.{name}"),
                _ => format!("{}.{name}", rng.pick(&["mx", "mail", "mx1", "mx01", "smtp"])),
            };
            let net = match kind {
                Kind::Google => [142, 251, 16],
                Kind::Exchange365 => [52, 101, 100 + (i % 100) as u8],
                _ => [rng.range(176, 188) as u8, rng.below(250) as u8, rng.below(250) as u8],
            };
            let greylists = matches!(kind, Kind::Postfix | Kind::Exim) && rng.chance(0.3);
            sites.push(Site { name, kind, mx, net, greylists });
        }
        let gateways = sites.len();
        for (i, (name, mx)) in GATEWAYS.iter().enumerate() {
            sites.push(Site {
                name: (*name).to_owned(),
                kind: Kind::Sms,
                mx: (*mx).to_owned(),
                net: [69, 78, 80 + i as u8],
                greylists: false,
            });
        }
        World { sites, companies: first_company, gateways, weight: PROVIDERS.iter().map(|p| p.4).sum() }
    }

    pub fn provider(&self, rng: &mut Rng) -> usize {
        let mut left = rng.below(self.weight);
        for (i, provider) in PROVIDERS.iter().enumerate() {
            if left < provider.4 {
                return i;
            }
            left -= provider.4;
        }
        0
    }

    pub fn company(&self, rng: &mut Rng) -> usize {
        self.companies + rng.index(self.gateways - self.companies)
    }

    pub fn company_of(&self, rng: &mut Rng, wanted: &[Kind]) -> usize {
        let start = self.company(rng);
        let n = self.gateways - self.companies;
        (0..n)
            .map(|i| self.companies + (start - self.companies + i) % n)
            .find(|i| wanted.contains(&self.sites[*i].kind))
            .unwrap_or(start)
    }

    pub fn gateway(&self, rng: &mut Rng) -> usize {
        self.gateways + rng.index(self.sites.len() - self.gateways)
    }

    /// Somewhere that people write to: `big`: share of the large providers.
    pub fn site(&self, rng: &mut Rng, big: f64) -> usize {
        if rng.chance(big) { self.provider(rng) } else { self.company(rng) }
    }
}

pub fn domain_name(rng: &mut Rng, i: usize) -> String {
    let a = WORDS[i % WORDS.len()].replace('ü', "ue");
    let b = WORDS[(i / WORDS.len() + rng.index(7) * 9) % WORDS.len()].replace('ü', "ue");
    match rng.below(4) {
        0 => format!("{a}-{b}{i}.example"),
        1 => format!("{a}{b}{i}.example"),
        2 => format!("{a}{}-{}.example", i, rng.pick(TAILS)),
        _ => format!("{}-{a}{i}.example", rng.pick(LAST)),
    }
}

/// The part in front of the `@` of a person.
pub fn person(rng: &mut Rng) -> String {
    let (first, last) = (rng.pick(FIRST), rng.pick(LAST));
    match rng.below(7) {
        0..3 => format!("{first}.{last}"),
        3 => format!("{}.{last}{}", &first[..1], rng.range(1, 99)),
        4 => format!("{first}{last}{}", rng.range(1, 2010)),
        5 => format!("{first}_{last}"),
        _ => format!("{last}.{first}{}", rng.range(60, 99)),
    }
}

/// A colleague's mailbox: plainer than what people choose themselves.
pub fn staff(rng: &mut Rng) -> String {
    let (first, last) = (rng.pick(FIRST), rng.pick(LAST));
    match rng.below(3) {
        0 => format!("{}.{last}", &first[..1]),
        1 => first.to_owned(),
        _ => format!("{first}.{last}"),
    }
}

pub fn last_name(rng: &mut Rng) -> &'static str {
    rng.pick(LAST)
}

const NETS: &[u8] = &[
    23, 31, 37, 41, 45, 46, 58, 61, 77, 78, 79, 81, 83, 85, 87, 88, 89, 91, 93, 95, 101, 103, 109, 113, 117, 122, 125,
    138, 141, 151, 171, 189, 190, 193, 195, 197, 200, 201, 202, 203, 210, 212, 217, 218, 220,
];

/// Any public address.
pub fn any_ip(rng: &mut Rng) -> String {
    format!("{}.{}.{}.{}", NETS[rng.index(NETS.len())], rng.below(250), rng.below(256), rng.range(1, 254))
}

/// The four access providers of the region: most honest users sit in their networks.
const ACCESS: &[([u8; 2], &str)] = &[
    ([84, 130], "dip.telko.example"),
    ([92, 72], "dsl.kabel.example"),
    ([78, 34], "cust.stadtnetz.example"),
    ([90, 12], "abo.fibre.example"),
];

pub fn access_client(rng: &mut Rng, helo: &str) -> Client {
    let ([a, b], zone) = ACCESS[rng.index(ACCESS.len())];
    let (b, c, d) = (u64::from(b) + rng.below(8), rng.below(256), rng.range(1, 254));
    if rng.chance(0.15) {
        let ip = format!("2001:db8:{a:x}{b:02x}:{:x}::{c:x}:{d:x}", 0x100 + rng.below(0xe00));
        return Client { name: Some(format!("v6-{a:02x}{b:02x}{c:02x}{d:02x}.{zone}")), ip, helo: helo.to_owned() };
    }
    let ip = format!("{a}.{b}.{c}.{d}");
    Client { name: Some(format!("p{a:02x}{b:02x}{c:02x}{d:02x}.{zone}")), ip, helo: helo.to_owned() }
}

/// A phone behind carrier NAT: few addresses, many people.
pub fn phone_client(rng: &mut Rng) -> Client {
    let (c, d) = (rng.below(2), rng.range(1, 24));
    let ip = format!("80.187.{}.{d}", 80 + c);
    Client {
        name: Some(format!("tmo-{}-{d}.mobil.example", 80 + c)),
        ip,
        helo: format!("[10.{}.{}.{}]", rng.below(200), rng.below(250), rng.range(1, 250)),
    }
}

/// A machine that somebody else has broken into, or rented.
pub fn bot_client(rng: &mut Rng) -> Client {
    let ip = any_ip(rng);
    let name = rng.chance(0.35).then(|| {
        format!(
            "{}.{}.example",
            ip.replace('.', "-"),
            rng.pick(&["static.hoster", "pool.isp", "vps.cloud", "adsl.tele"])
        )
    });
    let helo = match rng.below(5) {
        0 => "User".to_owned(),
        1 => format!("[{ip}]"),
        2 => format!("WIN-{}", rng.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 11)),
        3 => "ylmf-pc".to_owned(),
        _ => format!("[192.168.{}.{}]", rng.below(3), rng.range(2, 250)),
    };
    Client { name, ip, helo }
}

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Unknown,
    Disabled,
    Full,
    Grey,
    Busy,
    Spam,
    /// The recipient or its site does not want this sender.
    Unwanted,
    Spf,
    /// This host is on a public list.
    Listed,
    /// This host's own standing is bad at this receiver.
    Standing,
}

/// The answer of `site` for `to`, where `host_ip` is the address that we come from.
pub fn answer(site: &Site, why: Why, to: &str, from: &str, host_ip: &str, rng: &mut Rng) -> Answer {
    let said = Answer::Said;
    let eop = |rng: &mut Rng| {
        let region = rng.pick(&["DB5PEPF00014B9", "AM4PEPF00025F9", "VI1EUR05FT0", "HE1EUR04FT0", "AM0EUR02FT0"]);
        format!("{region}{}.eop-eur0{}.prod.protection.outlook.com", rng.range(1, 9), rng.range(1, 5))
    };
    let gid = |rng: &mut Rng| {
        format!(
            "{}-{}si{}{}.{} - gsmtp",
            rng.hex(12),
            rng.hex(12),
            rng.range(1_000_000, 9_999_999),
            rng.pick(&["ejc", "wrb", "edq", "lfb"]),
            rng.range(10, 999)
        )
    };
    match (site.kind, why) {
        (Kind::Google, Why::Unknown) => said(Stage::Rcpt, format!("550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550-5.1.1 unnecessary spaces. For more information, go to\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {}", gid(rng))),
        (Kind::Google, Why::Disabled) => said(Stage::Rcpt, format!("550-5.2.1 The email account that you tried to reach is inactive. For more\n550-5.2.1 information, go to\n550 5.2.1  https://support.google.com/mail/?p=DisabledUser {}", gid(rng))),
        (Kind::Google, Why::Full) => said(Stage::Rcpt, format!("452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452-4.2.2 recipient to\n452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp {}", gid(rng))),
        (Kind::Google, Why::Busy | Why::Grey) => said(Stage::Rcpt, format!("450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450-4.2.1 prevents additional messages from being delivered. Please resend your\n450-4.2.1 message at a later time. If the user is able to receive mail at that\n450-4.2.1 time, your message will be delivered. For more information, go to\n450 4.2.1  https://support.google.com/mail/?p=ReceivingRate {}", gid(rng))),
        (Kind::Google, Why::Spam) => said(Stage::End, format!("550-5.7.1 [{host_ip}      19] Gmail has detected that this message is likely\n550-5.7.1 suspicious due to the very low reputation of the sending domain. To\n550-5.7.1 best protect our users from spam, the message has been blocked. For\n550 5.7.1 more information, go to https://support.google.com/mail/answer/188131 {}", gid(rng))),
        (Kind::Google, Why::Unwanted) => said(Stage::End, format!("550-5.7.1 [{host_ip}      12] Our system has detected that this message is\n550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,\n550-5.7.1 this message has been blocked. For more information, go to\n550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError {}", gid(rng))),
        (Kind::Google, Why::Spf) => {
            let domain = from.rsplit('@').next().unwrap_or("");
            said(Stage::End, format!("550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550-5.7.26  Authentication results:\n550-5.7.26  DKIM = did not pass\n550-5.7.26  SPF [{domain}] with ip: [{host_ip}] = did not pass\n550-5.7.26  For instructions on setting up authentication, go to\n550 5.7.26  https://support.google.com/mail/answer/81126#authentication {}", gid(rng)))
        }
        (Kind::Google, Why::Listed | Why::Standing) => said(Stage::End, format!("421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n421-4.7.28 from your IP address [{host_ip}      15]. To protect our users from\n421-4.7.28 spam, mail sent from your IP address has been temporarily rate limited.\n421-4.7.28  For more information, go to\n421 4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError {}", gid(rng))),
        (Kind::Outlook, Why::Unknown) => said(Stage::Rcpt, format!("550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [{} {}]", eop(rng), stamp(rng))),
        (Kind::Outlook, Why::Full) => said(Stage::Rcpt, format!("452 4.2.2 Mailbox full (S2017062303). [{} {}]", eop(rng), stamp(rng))),
        (Kind::Outlook | Kind::Exchange365, Why::Busy | Why::Grey) => said(Stage::Rcpt, format!("451 4.7.500 Server busy. Please try again later from [{host_ip}]. (S77719) [{} {}]", eop(rng), stamp(rng))),
        (Kind::Outlook, Why::Standing) => said(Stage::Mail, format!("550 5.7.1 Unfortunately, messages from [{host_ip}] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [{} {}]", eop(rng), stamp(rng))),
        (Kind::Exchange365, Why::Unknown) => match rng.below(2) {
            0 => said(Stage::Rcpt, format!("550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors [{} {}]", eop(rng), stamp(rng))),
            _ => said(Stage::Rcpt, format!("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {to} not found by SMTP address lookup")),
        },
        (Kind::Exchange365, Why::Full) => said(Stage::End, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception with message Cannot open mailbox".to_owned()),
        (Kind::Exchange365 | Kind::Outlook, Why::Listed) => said(Stage::Rcpt, format!("550 5.7.1 Service unavailable, Client host [{host_ip}] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/{host_ip} AS(1450) [{}]", eop(rng))),
        (Kind::Exchange365, Why::Standing) => said(Stage::Mail, format!("451 4.7.650 The mail server [{host_ip}] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://aka.ms/postmaster (S775) [{} {}]", eop(rng), stamp(rng))),
        (Kind::Exchange365, Why::Unwanted) if to.len().is_multiple_of(2) => said(Stage::End, "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy".to_owned()),
        (Kind::Exchange365, Why::Unwanted) => said(Stage::End, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group".to_owned()),
        (Kind::Exchange365 | Kind::Outlook, Why::Spam) => said(Stage::End, format!("550 5.7.520 Message blocked because it contains content identified as spam. AS(4810) [{} {}]", eop(rng), stamp(rng))),
        (Kind::Exchange365, Why::Spf) => said(Stage::End, format!("550 5.7.23 The message was rejected because of Sender Policy Framework violation [{} {}]", eop(rng), stamp(rng))),
        (Kind::Outlook, Why::Spf) => {
            let domain = from.rsplit('@').next().unwrap_or("");
            said(Stage::End, format!("550 5.7.515 Access denied, sending domain {domain} does not meet the required authentication level. The sender's domain in the 5322.From address doesn't meet the authentication requirements defined for the sender. Spf= Fail , Dkim= Fail , DMARC= Fail [{} {}]", eop(rng), stamp(rng)))
        }
        (Kind::Outlook, Why::Disabled) => said(Stage::Rcpt, format!("550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [{} {}]", eop(rng), stamp(rng))),
        (Kind::Exchange365, Why::Disabled) => said(Stage::Rcpt, format!("550 5.2.1 Mailbox cannot be accessed [{} {}]", eop(rng), stamp(rng))),
        (Kind::Outlook, Why::Unwanted) => said(Stage::End, "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy".to_owned()),
        (Kind::Yahoo, Why::Unknown | Why::Disabled) => said(Stage::End, yahoo_unknown(to, rng)),
        (Kind::Yahoo, Why::Full) => said(Stage::End, format!("552 5.2.2 {to} mailbox over quota - mta{}.mail.bf1.yahoo.com", rng.range(4001, 4400))),
        (Kind::Yahoo, Why::Spf) => said(Stage::End, "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to authenticate with either SPF or DKIM. See https://senders.yahooinc.com/smtp-error-codes/#authentication-failures".to_owned()),
        (Kind::Yahoo, Why::Spam | Why::Unwanted) => said(Stage::End, "554 Message not allowed - [PH01] Email not accepted for policy reasons. Please visit https://postmaster.yahooinc.com/error-codes [120]".to_owned()),
        (Kind::Yahoo, _) => said(Stage::Mail, format!("421 4.7.0 [TSS04] Messages from {host_ip} temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes")),
        (Kind::Gmx, Why::Unknown | Why::Disabled) => said(Stage::Rcpt, gmx_unknown(rng)),
        (Kind::Gmx, Why::Full) => said(Stage::Rcpt, "552-Requested mail action aborted: exceeded storage allocation\n552-Quota exceeded. The recipient mailbox is full.\n552 For explanation visit https://postmaster.gmx.net/en/error-messages".to_owned()),
        (Kind::Gmx, Why::Listed | Why::Standing) => said(Stage::Connect, format!("554-gmx.net (mxgmx{:03}) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v={host_ip}&r=1Md{}", rng.range(1, 117), rng.base62(16))),
        (Kind::Gmx, Why::Spf) => said(Stage::Mail, format!("550-Requested action not taken: mailbox unavailable\n550-Sender Policy Framework (SPF) check failed\n550 For explanation visit https://postmaster.gmx.net/en/case?c=hi&i=spf&v={host_ip}")),
        (Kind::Gmx, Why::Spam | Why::Unwanted) => said(Stage::End, format!("554-Transaction failed\n554-Reject due to policy restrictions.\n554 For explanation visit https://postmaster.gmx.net/en/case?c=hi&i=ip&v={host_ip}")),
        (Kind::Gmx, _) => said(Stage::Rcpt, "450-Requested mail action not taken: mailbox unavailable\n450-Mail server is busy, try again later\n450 For explanation visit https://postmaster.gmx.net/en/error-messages".to_owned()),
        (Kind::Tonline, Why::Unknown | Why::Disabled) => said(Stage::Rcpt, format!("550-5.1.1 User unknown (Benutzer unbekannt)\n550 5.1.1 <{to}>: Recipient address rejected")),
        (Kind::Tonline, Why::Full) => said(Stage::Rcpt, format!("552 5.2.2 <{to}>: Mailbox full (Postfach voll)")),
        (Kind::Tonline, Why::Listed | Why::Standing) => said(Stage::Connect, format!("554 IP={host_ip} - A problem occurred. Ask your postmaster for help or to contact tobr@rx.t-online.de to clarify. (BL)")),
        (Kind::Orange, Why::Unknown | Why::Disabled) => said(Stage::Rcpt, format!("550 5.1.1 <{to}> Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]")),
        (Kind::Orange, Why::Full) => said(Stage::Rcpt, format!("552 5.2.2 <{to}> Boite du destinataire pleine. Recipient overquota. OFR_417 [417]")),
        (Kind::Orange, Why::Listed | Why::Standing) => said(Stage::Connect, format!("550 5.7.1 {host_ip} Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR006_106 [106]")),
        (Kind::Orange, Why::Busy | Why::Grey) => said(Stage::Mail, format!("421 4.7.0 {host_ip} Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR004_104 [104]")),
        (Kind::Orange, Why::Spam | Why::Unwanted) => said(Stage::End, "550 5.7.1 Mail refuse, contenu considere comme spam. Message rejected as spam. OFR_506 [506]".to_owned()),
        (Kind::MailRu, Why::Unknown) => said(Stage::Rcpt, "550 Message was not accepted -- invalid mailbox.  Local mailbox ".to_owned() + to + " is unavailable: user not found"),
        (Kind::MailRu, Why::Full) => said(Stage::Rcpt, "550 Message was not accepted -- invalid mailbox.  Local mailbox ".to_owned() + to + " is unavailable: mailbox is full"),
        (Kind::MailRu, Why::Spam | Why::Unwanted | Why::Standing | Why::Listed) => said(Stage::End, format!("550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c={} or  report details to abuse@corp.mail.ru. Error code: {}. ID: {}.", rng.base62(44), rng.hex(40).to_uppercase(), rng.hex(32).to_uppercase())),
        (Kind::Icloud, Why::Unknown | Why::Disabled) => said(Stage::Rcpt, format!("550 5.1.1 <{to}>: user does not exist")),
        (Kind::Icloud, Why::Full) => said(Stage::Rcpt, format!("552 5.2.2 <{to}>: user is over quota")),
        (Kind::Icloud, Why::Listed | Why::Standing) => said(Stage::Mail, format!("554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137 ({host_ip})")),
        (Kind::Sms, Why::Unknown | Why::Disabled) => said(Stage::Rcpt, format!("550 5.1.1 <{to}>: Recipient address rejected: not a valid subscriber number")),
        (Kind::Exim, Why::Unknown) => match rng.below(3) {
            0 => said(Stage::Rcpt, "550 Unrouteable address".to_owned()),
            1 => said(Stage::Rcpt, "550 No Such User Here".to_owned()),
            _ => said(Stage::Rcpt, format!("550-Verification failed for <{to}>\n550 Unknown user")),
        },
        (Kind::Exim, Why::Full) => said(Stage::Rcpt, "552 Mailbox quota exceeded / Postfach ist voll".to_owned()),
        (Kind::Exim, Why::Grey) => said(Stage::Rcpt, "451 Greylisted. Please try again in 5 minutes".to_owned()),
        (Kind::Exim, Why::Unwanted | Why::Disabled) => said(Stage::Rcpt, "550 Administrative prohibition".to_owned()),
        (Kind::Exim, Why::Spam) => said(Stage::End, format!("550 This message scored {}.{} spam points. Rejected.", rng.range(8, 24), rng.below(10))),
        (Kind::Exim, Why::Listed) => said(Stage::Rcpt, format!("550 JunkMail rejected - ({host_ip}) is in an RBL on zen.spamhaus.org, see https://www.spamhaus.org/query/ip/{host_ip}")),
        (Kind::Exchange, Why::Unknown) => said(Stage::Rcpt, match rng.below(2) {
            0 => "550 5.1.1 User unknown".to_owned(),
            _ => "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup".to_owned(),
        }),
        (Kind::Exchange, Why::Full) => said(Stage::End, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded".to_owned()),
        (_, Why::Unknown) => said(Stage::Rcpt, match rng.below(4) {
            0 => format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table"),
            1 => format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in local recipient table"),
            2 => format!("550 5.1.1 <{to}> User doesn't exist: {to}"),
            _ => format!("550 5.1.1 <{to}>: Recipient address rejected: undeliverable address: host mail.{}[10.1.1.5] said: 550 5.1.1 <{to}> User unknown (in reply to RCPT TO command)", site.name),
        }),
        (_, Why::Disabled) => said(Stage::Rcpt, format!("550 5.2.1 <{to}>: Recipient address rejected: Mailbox disabled, not accepting messages")),
        (_, Why::Full) => said(Stage::Rcpt, format!("452 4.2.2 <{to}>: Recipient address rejected: Mailbox is full / Blocks limit exceeded / Inode limit exceeded")),
        (_, Why::Grey) => said(Stage::Rcpt, format!("450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{}.html", site.name)),
        (_, Why::Busy) => said(Stage::Rcpt, "451 4.3.0 Temporary lookup failure, please try again later".to_owned()),
        (_, Why::Spam) => said(Stage::End, format!("550 5.7.1 Message content rejected, id={}-{:02} - SPAM (score {}.{})", rng.range(1000, 32_000), rng.range(1, 20), rng.range(8, 30), rng.below(10))),
        (_, Why::Unwanted) => said(Stage::Rcpt, format!("554 5.7.1 <{from}>: Sender address rejected: we do not want mail from you, remove us from your list")),
        (_, Why::Spf) => said(Stage::Rcpt, format!("550 5.7.23 <{to}>: Recipient address rejected: Message rejected due to: SPF fail - not authorized. Please see http://www.open-spf.org/Why?s=mfrom;id={};ip={host_ip};r=<UNKNOWN>", from.replace('@', "%40"))),
        (_, Why::Listed | Why::Standing) => said(Stage::Rcpt, format!("554 5.7.1 Service unavailable; Client host [{host_ip}] blocked using zen.spamhaus.org; Listed by CSS, see https://check.spamhaus.org/query/ip/{host_ip}")),
    }
}

/// Yahoo has two wordings for a mailbox that is not there.
fn yahoo_unknown(to: &str, rng: &mut Rng) -> String {
    let domain = to.rsplit('@').next().unwrap_or("");
    match rng.below(2) {
        0 => format!(
            "554 delivery error: dd This user doesn't have a {domain} account ({to}) [0] - mta{}.mail.ir2.yahoo.com",
            rng.range(1000, 1300)
        ),
        _ => format!("552 1 Requested mail action aborted, mailbox not found ({to})"),
    }
}

/// GMX and Web.de say it in one of two ways.
fn gmx_unknown(rng: &mut Rng) -> String {
    match rng.below(2) {
        0 => "550-Requested action not taken: mailbox unavailable\n550 For explanation visit https://postmaster.gmx.net/en/error-messages".to_owned(),
        _ => format!("550 Requested action not taken: mailbox unavailable. For explanation visit https://postmaster.gmx.net/en/case?c=nu&r=1M{}", rng.base62(14)),
    }
}

fn stamp(rng: &mut Rng) -> String {
    format!(
        "2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z 08DE{}",
        rng.range(16, 30),
        rng.below(24),
        rng.below(60),
        rng.below(60),
        rng.below(1000),
        rng.hex(12).to_uppercase()
    )
}

/// How `site` says that it has taken a message.
pub fn accepted(site: &Site, rng: &mut Rng) -> Answer {
    Answer::Sent(match site.kind {
        Kind::Google => format!(
            "250 2.0.0 OK  {} {}-{}si{}ejc.{} - gsmtp",
            1_794_787_200 + rng.below(2_000_000),
            rng.hex(12),
            rng.hex(12),
            rng.range(1_000_000, 9_999_999),
            rng.range(10, 999)
        ),
        Kind::Outlook | Kind::Exchange365 => format!(
            "250 2.6.0 <{}@mail.example> [InternalId={}, Hostname=AM0PR0{}MB{}.eurprd0{}.prod.outlook.com] {} bytes in 0.{:03}, {}.{:03} KB/sec Queued mail for delivery",
            rng.hex(16),
            rng.range(10_000_000_000, 99_999_999_999_999),
            rng.range(1, 9),
            rng.range(1000, 9999),
            rng.range(1, 9),
            rng.range(8_000, 90_000),
            rng.range(90, 900),
            rng.range(20, 400),
            rng.below(1000)
        ),
        Kind::Yahoo => "250 ok dirdel".to_owned(),
        Kind::Gmx => format!(
            "250 Requested mail action okay, completed: id=1M{}-{}-00{}",
            rng.base62(5),
            rng.base62(14),
            rng.base62(4)
        ),
        Kind::Tonline => "250 2.0.0 Message accepted.".to_owned(),
        Kind::Orange => format!("250 2.0.0 {} mail accepted for delivery", rng.base62(12)),
        Kind::MailRu | Kind::Exim => {
            format!("250 OK id=1x{}-0000000{}-{}", rng.base62(4), rng.base62(4), rng.base62(4))
        }
        Kind::Exchange => format!(
            "250 2.6.0 <{}@mail.example> [InternalId={}, Hostname=EX0{}.corp.local] Queued mail for delivery",
            rng.hex(16),
            rng.range(1_000_000, 9_999_999_999),
            rng.range(1, 4)
        ),
        Kind::Icloud | Kind::Postfix | Kind::Sms => {
            format!("250 2.0.0 Ok: queued as {}", rng.text(b"0123456789ABCDEF", 11))
        }
    })
}

/// A login or recipient name as guessers try it.
pub fn guessed(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => rng
            .pick(&[
                "admin",
                "info",
                "test",
                "office",
                "support",
                "sales",
                "contact",
                "webmaster",
                "scan",
                "backup",
                "postmaster",
                "service",
                "account",
                "user",
                "mail",
                "demo",
                "guest",
                "root",
                "marketing",
                "hr",
            ])
            .to_owned(),
        1 => format!("{}{}", rng.pick(FIRST), rng.below(100)),
        2 => rng.pick(FIRST).to_owned(),
        _ => format!("{}.{}", rng.pick(FIRST), rng.pick(LAST)),
    }
}

/// Letters without sense.
pub fn random_local(rng: &mut Rng) -> String {
    let n = rng.range(7, 14) as usize;
    rng.text(&BASE62[36..62], n)
}
