//! One mail host: its domains, logins, web sites and relay clients, and what they all do on an ordinary day.

use std::collections::BTreeMap;

use crate::{
    model::{
        Act, Answer, Client, DAY, Fate, HOUR, Job, MINUTE, Mail, Pickup, Rcpt, Refusal, SECOND, Session, Stage, Who,
    },
    rng::Rng,
    world::{self, Kind, Why, World},
};

/// What a login is for. All of them are honest and must stay quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Ordinary,
    Newsletter,
    Tickets,
    Shop,
    Monitoring,
    Forwarding,
    Traveller,
    NewEmployee,
    Association,
    OutOfOffice,
    Invoices,
    SchoolChild,
    Copier,
    Crm,
    Department,
}

/// The roles that are dealt out, as many of each.
pub const SPECIAL: &[Role] = &[
    Role::Newsletter,
    Role::Tickets,
    Role::Shop,
    Role::Monitoring,
    Role::Forwarding,
    Role::Traveller,
    Role::NewEmployee,
    Role::Association,
    Role::OutOfOffice,
    Role::Invoices,
    Role::Copier,
    Role::Crm,
    Role::Department,
];

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Ordinary => "ordinary",
            Role::Newsletter => "newsletter",
            Role::Tickets => "tickets",
            Role::Shop => "shop",
            Role::Monitoring => "monitoring",
            Role::Forwarding => "forwarding",
            Role::Traveller => "traveller",
            Role::NewEmployee => "new-employee",
            Role::Association => "association",
            Role::OutOfOffice => "out-of-office",
            Role::Invoices => "month-end-invoices",
            Role::SchoolChild => "school-first-day",
            Role::Copier => "copier",
            Role::Crm => "crm-aliases",
            Role::Department => "department-login",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Contact {
    pub to: String,
    /// Where it is; here when `None`.
    pub site: Option<usize>,
}

pub struct Account {
    pub id: u64,
    pub login: String,
    pub role: Role,
    pub rate: f64,
    pub plain: bool,
    pub clients: Vec<Client>,
    pub book: Vec<Contact>,
    /// Day of the one-off that the role has (first day, mailing, invoices …).
    pub day: u64,
}

impl Account {
    pub fn domain(&self) -> &str {
        crate::postfix::domain(&self.login)
    }
}

/// A web site's own user on the host.
pub struct Web {
    pub id: u64,
    pub uid: u32,
    pub user: String,
    pub domain: String,
    pub cwd: String,
    pub rate: f64,
    pub shop: bool,
}

/// What a relay client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayUse {
    Cron,
    App,
    Lists,
}

impl RelayUse {
    pub fn name(self) -> &'static str {
        match self {
            RelayUse::Cron => "cron",
            RelayUse::App => "relay-client",
            RelayUse::Lists => "mailing-lists",
        }
    }
}

pub struct Relay {
    pub id: u64,
    pub client: Client,
    pub domain: String,
    pub usage: RelayUse,
    pub rate: f64,
    pub book: Vec<Contact>,
}

/// A time in which receivers refuse this host.
#[derive(Clone, Debug)]
pub struct Damage {
    pub from: u64,
    pub until: u64,
    pub share: f64,
    /// Providers that join in.
    pub kinds: Vec<Kind>,
    /// Or one site only, which claims a list.
    pub site: Option<usize>,
}

pub struct Place {
    pub index: u64,
    pub seed: u64,
    pub days: u64,
    pub name: String,
    pub fqdn: String,
    pub ip: String,
    /// Customers' domains, then those of mailing lists.
    pub domains: Vec<String>,
    pub customers: usize,
    pub accounts: Vec<Account>,
    pub webs: Vec<Web>,
    pub relays: Vec<Relay>,
    pub damage: Vec<Damage>,
    /// Addresses of outside machines with a role, for the truth.
    pub bystanders: Vec<(&'static str, String, &'static str)>,
    backup_mx: Vec<Client>,
    /// Mailboxes behind the alias `team@` of a domain.
    teams: BTreeMap<String, Vec<String>>,
    school_nat: Client,
    exim: bool,
}

pub const SUBJECTS: &[&str] = &[
    "Re: offer",
    "Invoice",
    "Meeting on Thursday",
    "Re: Re: documents",
    "Question",
    "Photos",
    "Lunch?",
    "Your order",
    "Appointment",
    "Minutes of the meeting",
    "Fwd: report",
    "Draft",
    "Thank you",
    "Re: delivery date",
];

impl Place {
    #[allow(clippy::too_many_lines, reason = "one list of what there is on a host")]
    pub fn new(world: &World, seed: u64, index: u64, hosts: u64, accounts: u64, days: u64, exim: bool) -> Self {
        let mut rng = Rng::of(&[seed, 1, index]);
        let name = if hosts == 1 { "mx1".to_owned() } else { format!("mx{}", index + 1) };
        let fqdn = format!("{name}.hosting.example");
        let count = (accounts / 14).max(5) as usize;
        let domains: Vec<String> = (0..count)
            .map(|i| {
                let n = 10_000 + index as usize * 1000 + i;
                match i % 9 {
                    3 => format!("{}-schule{n}.example", world::last_name(&mut rng)),
                    6 => format!("verein-{}{n}.example", world::last_name(&mut rng)),
                    _ => world::domain_name(&mut rng, n),
                }
            })
            .collect();
        let mut place = Place {
            index,
            seed,
            days,
            ip: format!("185.220.{}.{}", 10 + index, 10 + index),
            name,
            fqdn,
            customers: count,
            domains,
            accounts: Vec::new(),
            webs: Vec::new(),
            relays: Vec::new(),
            damage: Vec::new(),
            bystanders: Vec::new(),
            backup_mx: Vec::new(),
            teams: BTreeMap::new(),
            school_nat: world::access_client(&mut rng, "[172.16.4.20]"),
            exim,
        };
        // Two of each role per 1,000 accounts of all hosts, dealt out over the hosts.
        let total = accounts * hosts;
        let each = if total < 300 { 1 } else { (total * 2).div_ceil(1000).max(2) };
        let mut roles = Vec::new();
        for (i, role) in SPECIAL.iter().enumerate() {
            for n in 0..each {
                if (n + i as u64) % hosts == index {
                    roles.push(*role);
                }
            }
        }
        let schools = (0..each).filter(|n| n % hosts == index).count() as u64;
        let class = (total / 8).clamp(15, 250);
        let children = schools * class;
        for i in 0..accounts {
            let role = roles.get(i as usize).copied().unwrap_or(Role::Ordinary);
            place.add_account(world, i, role);
        }
        for i in 0..children {
            place.add_account(world, accounts + i, Role::SchoolChild);
        }
        for account in place.accounts.iter().filter(|account| account.role != Role::SchoolChild) {
            let team = place.teams.entry(account.domain().to_owned()).or_default();
            if team.len() < 4 {
                team.push(account.login.clone());
            }
        }
        if children > 0 {
            place.bystanders.push(("client", place.school_nat.ip.clone(), "school-nat"));
        }
        for i in 0..(accounts / 60).max(3) {
            let domain = place.domains[rng.index(count)].clone();
            let user = format!("web{}", i + 1);
            place.webs.push(Web {
                id: 50_000 + i,
                uid: 5001 + i as u32,
                cwd: format!("/home/{user}/public_html"),
                user,
                domain,
                rate: rng.lognormal(3.0, 0.8).min(40.0),
                shop: i.is_multiple_of(3),
            });
        }
        place.webs.push(Web {
            id: 49_999,
            uid: 0,
            user: "root".to_owned(),
            domain: place.fqdn.clone(),
            cwd: "/root".to_owned(),
            rate: 4.0,
            shop: false,
        });
        let crons = each.div_ceil(hosts) * 4;
        for i in 0..crons + (accounts / 250).max(2) + each.div_ceil(hosts) {
            let domain = place.domains[rng.index(count)].clone();
            let usage = match i {
                i if i < crons => RelayUse::Cron,
                i if i < crons + each.div_ceil(hosts) => RelayUse::Lists,
                _ => RelayUse::App,
            };
            let (host, rate) = match usage {
                RelayUse::Cron => (format!("srv{}.{domain}", i + 1), rng.between(2.0, 7.0)),
                RelayUse::App => (format!("app{}.{domain}", i + 1), rng.between(5.0, 60.0)),
                RelayUse::Lists => (format!("lists.{domain}"), rng.between(2.0, 6.0)),
            };
            let members = if usage == RelayUse::Lists { rng.range(80, 240) } else { 40 };
            let book = (0..members).map(|_| stranger(world, 0.55, &mut rng)).collect();
            if usage == RelayUse::Lists {
                place.domains.push(format!("lists.{domain}"));
            }
            place.relays.push(Relay {
                id: 60_000 + i,
                client: Client {
                    name: Some(host.clone()),
                    ip: format!("10.{}.{}.{}", 20 + index, 1 + i / 200, 10 + i % 200),
                    helo: host,
                },
                domain,
                usage,
                rate,
                book,
            });
        }
        for i in 0..each.div_ceil(hosts) {
            let name = format!("mx2.backup{i}.example");
            let client =
                Client { name: Some(name.clone()), ip: format!("188.40.{}.{}", 20 + index, 30 + i), helo: name };
            place.bystanders.push(("client", client.ip.clone(), "backup-mx"));
            place.backup_mx.push(client);
        }
        place
    }

    fn add_account(&mut self, world: &World, i: u64, role: Role) {
        let mut rng = Rng::of(&[self.seed, 2, self.index, i]);
        let domain = if role == Role::SchoolChild { 3 } else { (i as usize * 7 + rng.index(3)) % self.customers };
        let domain = self.domains[domain].clone();
        let local = match role {
            Role::Newsletter => "newsletter".to_owned(),
            Role::Tickets => "support".to_owned(),
            Role::Shop => "bestellung".to_owned(),
            Role::Monitoring => "monitoring".to_owned(),
            Role::Association => "vorstand".to_owned(),
            Role::Invoices => "buchhaltung".to_owned(),
            Role::Copier => "scan".to_owned(),
            Role::Crm => "crm".to_owned(),
            Role::Department => "vertrieb".to_owned(),
            _ => world::staff(&mut rng),
        };
        let mut login = format!("{local}@{domain}");
        if self.accounts.iter().any(|account| account.login == login) {
            login = format!("{local}{i}@{domain}");
        }
        // One office line per domain, so colleagues share it.
        let mut office_rng =
            Rng::of(&[self.seed, 3, self.index, domain.len() as u64, domain.bytes().map(u64::from).sum()]);
        let office = world::access_client(&mut office_rng, "");
        let pc = |rng: &mut Rng| format!("[192.168.{}.{}]", rng.below(3), rng.range(2, 250));
        let mut clients = match role {
            Role::SchoolChild => vec![self.school_nat.clone(), world::access_client(&mut rng, "")],
            Role::Department => {
                (0..rng.range(4, 6)).map(|_| world::access_client(&mut rng, "[192.168.178.20]")).collect()
            }
            Role::Copier
            | Role::Newsletter
            | Role::Tickets
            | Role::Shop
            | Role::Monitoring
            | Role::Invoices
            | Role::Crm => vec![office],
            _ => vec![office, world::access_client(&mut rng, ""), world::phone_client(&mut rng)],
        };
        for client in &mut clients {
            if client.helo.is_empty() {
                client.helo = pc(&mut rng);
            }
        }
        let contacts = match role {
            Role::Newsletter => rng.range(1500, 5000),
            Role::Association => rng.range(150, 280),
            Role::Copier => 6,
            Role::Monitoring => 4,
            Role::SchoolChild => 4,
            _ => rng.range(8, 60),
        };
        let mates: Vec<String> = self
            .accounts
            .iter()
            .rev()
            .take(400)
            .filter(|a| a.domain() == domain)
            .take(12)
            .map(|a| a.login.clone())
            .collect();
        let book = (0..contacts)
            .map(|_| {
                let local = match role {
                    Role::Newsletter | Role::Association => 0.0,
                    Role::Copier | Role::SchoolChild => 0.8,
                    _ => 0.25,
                };
                if !mates.is_empty() && rng.chance(local) {
                    Contact { to: mates[rng.index(mates.len())].clone(), site: None }
                } else {
                    stranger(world, if role == Role::Monitoring { 0.3 } else { 0.55 }, &mut rng)
                }
            })
            .collect();
        let rate = match role {
            Role::Ordinary => rng.lognormal(3.5, 1.15).min(180.0),
            Role::Tickets => rng.between(50.0, 140.0),
            Role::Shop => rng.between(40.0, 180.0),
            Role::Copier => rng.between(10.0, 35.0),
            Role::Crm => rng.between(30.0, 70.0),
            Role::Department => rng.between(60.0, 140.0),
            Role::SchoolChild => rng.between(0.4, 1.8),
            Role::Invoices | Role::NewEmployee | Role::Traveller => rng.between(6.0, 18.0),
            _ => rng.between(1.0, 6.0),
        };
        let weekday = |rng: &mut Rng| {
            let open: Vec<u64> = (0..self.days).filter(|day| day % 7 < 5).collect();
            if open.len() > 1 { open[1 + rng.index(open.len() - 1)] } else { 0 }
        };
        let day = match role {
            Role::SchoolChild => 1.min(self.days - 1) + 7 * u64::from(self.days > 10),
            Role::Newsletter => 1 + rng.below(3),
            _ => weekday(&mut rng),
        };
        self.accounts.push(Account { id: i, login, role, rate, plain: rng.chance(0.7), clients, book, day });
    }

    /// All that is ordinary on a day, in no order.
    pub fn ordinary_day(&self, world: &World, day: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for account in &self.accounts {
            self.account_day(world, account, day, &mut jobs);
            self.old_password(account, day, &mut jobs);
            self.inbound(world, account, day, &mut jobs);
        }
        for web in &self.webs {
            self.web_day(world, web, day, &mut jobs);
        }
        for relay in &self.relays {
            self.relay_day(world, relay, day, &mut jobs);
        }
        self.background(world, day, &mut jobs);
        jobs
    }

    pub fn is_exim(&self) -> bool {
        self.exim
    }

    fn stream(&self, id: u64, day: u64, what: u64) -> Rng {
        Rng::of(&[self.seed, 4, self.index, id, day, what])
    }

    fn account_day(&self, world: &World, account: &Account, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = self.stream(account.id, day, 0);
        let weekend = day % 7 > 4;
        let login = account.login.as_str();
        let factor = match (account.role, weekend) {
            (Role::Shop | Role::Tickets, true) => 0.6,
            (_, true) => 0.2,
            _ => 1.0,
        };
        let started = account.role != Role::NewEmployee && account.role != Role::SchoolChild || day >= account.day;
        let mut count = if started { rng.poisson(account.rate * factor) } else { 0 };
        match account.role {
            Role::Newsletter => {
                if day % 7 == account.day && day < self.days {
                    let start = day * DAY + 9 * HOUR + rng.below(2 * HOUR);
                    let size = rng.range(30_000, 70_000);
                    let mut at = start;
                    // Clean: a few addresses have died since last week.
                    for (n, contact) in account.book.iter().enumerate() {
                        at += rng.range(120, 420) * 1000;
                        let gone = Rng::of(&[self.seed, 5, account.id, n as u64]).below(1000) < 4;
                        let rcpt = if gone && day < 7 {
                            self.refused(world, at, login, contact, Why::Unknown, &mut rng)
                        } else {
                            self.rcpt(world, at, login, contact, true, &mut rng)
                        };
                        let mail = Mail {
                            gap: 0,
                            from: login.to_owned(),
                            rcpts: vec![rcpt],
                            size: size + rng.below(90),
                            subject: "Newsletter November",
                        };
                        jobs.push(self.login_job(account, account.clients[0].clone(), at, vec![mail], &mut rng));
                    }
                }
                count = rng.poisson(8.0);
            }
            Role::Monitoring => {
                count = 1;
                for _ in 0..u64::from(rng.chance(0.4)) + u64::from(rng.chance(0.15)) {
                    let mut at = day * DAY + rng.below(20 * HOUR);
                    let until = at + rng.range(40, 200) * MINUTE;
                    let every = rng.range(5, 15) * MINUTE;
                    let size = rng.range(1500, 2500);
                    while at < until {
                        let rcpts = account
                            .book
                            .iter()
                            .map(|contact| self.rcpt(world, at, login, contact, true, &mut rng))
                            .collect();
                        let mail = Mail {
                            gap: 0,
                            from: login.to_owned(),
                            rcpts,
                            size: size + rng.below(30),
                            subject: "PROBLEM: host down",
                        };
                        jobs.push(self.login_job(account, account.clients[0].clone(), at, vec![mail], &mut rng));
                        at += every + rng.below(4 * SECOND);
                    }
                }
            }
            Role::Association if day == account.day => {
                let at = day * DAY + 19 * HOUR + rng.below(HOUR);
                let stale = rng.between(0.03, 0.08);
                let chunk = rng.range(25, 48) as usize;
                let mut mails = Vec::new();
                for part in account.book.chunks(chunk) {
                    let rcpts = part
                        .iter()
                        .map(|contact| {
                            if rng.chance(stale) {
                                self.refused(world, at, login, contact, Why::Unknown, &mut rng)
                            } else {
                                self.rcpt(world, at, login, contact, true, &mut rng)
                            }
                        })
                        .collect();
                    mails.push(Mail {
                        gap: 20 * SECOND,
                        from: login.to_owned(),
                        rcpts,
                        size: 240_000 + rng.below(500),
                        subject: "Einladung zur Jahresversammlung",
                    });
                }
                jobs.push(self.login_job(
                    account,
                    account.clients[1 % account.clients.len()].clone(),
                    at,
                    mails,
                    &mut rng,
                ));
            }
            Role::Invoices if day == account.day => {
                let n = rng.range(220, 520);
                let start = day * DAY + rng.range(9, 15) * HOUR;
                for i in 0..n {
                    let at = start + i * (52 * MINUTE / n) + rng.below(2 * SECOND);
                    let contact = stranger(world, 0.3, &mut rng);
                    let rcpt = self.fresh(world, at, login, &contact, 0.012, &mut rng);
                    let mail = Mail {
                        gap: 0,
                        from: login.to_owned(),
                        rcpts: vec![rcpt],
                        size: rng.range(80_000, 300_000),
                        subject: "Rechnung November",
                    };
                    jobs.push(self.login_job(account, account.clients[0].clone(), at, vec![mail], &mut rng));
                }
            }
            Role::NewEmployee if day == account.day => count = rng.range(40, 70),
            Role::SchoolChild if day == account.day => count = count.max(1),
            Role::OutOfOffice => {
                // Away for all of the log: a reply to each who writes, with and without a sender.
                count = 0;
                for i in 0..rng.poisson(9.0) {
                    let at = day * DAY + work_time(&mut rng);
                    let contact = stranger(world, 0.5, &mut rng);
                    let null = i % 2 == 0;
                    let from = if null { String::new() } else { login.to_owned() };
                    let rcpt = self.fresh(world, at, &from, &contact, 0.08, &mut rng);
                    let mail = Mail {
                        gap: 0,
                        from,
                        rcpts: vec![rcpt],
                        size: rng.range(900, 1600),
                        subject: "Automatic reply",
                    };
                    let act = if null {
                        Act::Pickup(Pickup { uid: 5000, user: "vmail".to_owned(), cwd: "/var/vmail".to_owned(), mail })
                    } else {
                        Act::Session(self.login_session(account, account.clients[0].clone(), vec![mail]))
                    };
                    jobs.push(Job { at, seed: rng.next(), incident: None, act });
                }
            }
            _ => {}
        }
        let mut left = count;
        while left > 0 {
            let n = rng.range(1, 3).min(left);
            left -= n;
            let time = match account.role {
                Role::Shop => any_time(&mut rng),
                Role::SchoolChild if day == account.day => 8 * HOUR + rng.below(3 * HOUR),
                _ => work_time(&mut rng),
            };
            let at = day * DAY + time;
            let first_day = account.role == Role::SchoolChild && day == account.day;
            let client = if first_day { account.clients[0].clone() } else { pick_client(account, time, &mut rng) };
            let mut mails = Vec::new();
            for i in 0..n {
                let gap = if i == 0 { 0 } else { rng.range(1, 9) * SECOND };
                mails.push(self.compose(world, account, at, gap, &mut rng));
            }
            let mut job = self.login_job(account, client, at, mails, &mut rng);
            if rng.chance(0.006)
                && let Act::Session(session) = &mut job.act
            {
                session.failed = vec![login.to_owned(); rng.range(1, 2) as usize];
            }
            jobs.push(job);
        }
    }

    fn compose(&self, world: &World, account: &Account, at: u64, gap: u64, rng: &mut Rng) -> Mail {
        let login = account.login.as_str();
        let n = match rng.below(100) {
            0..82 => 1,
            82..97 => rng.range(2, 4),
            _ => rng.range(5, 14),
        };
        let strangers = match account.role {
            Role::Tickets | Role::Shop => 0.95,
            Role::Newsletter | Role::NewEmployee | Role::Crm | Role::Department => 0.5,
            Role::Copier | Role::Monitoring | Role::SchoolChild => 0.0,
            _ => 0.12,
        };
        let mut rcpts: Vec<Rcpt> = Vec::new();
        let single = matches!(account.role, Role::Tickets | Role::Shop | Role::Newsletter | Role::Copier);
        for _ in 0..if single { 1 } else { n } {
            let rcpt = if rng.chance(strangers) || account.book.is_empty() {
                let contact = stranger(world, if account.role == Role::Shop { 0.85 } else { 0.5 }, rng);
                self.fresh(world, at, login, &contact, 0.022, rng)
            } else {
                let contact = &account.book[rng.zipf(account.book.len())];
                if contact.site.is_none() && rng.chance(0.01) {
                    Rcpt {
                        to: contact.to.replacen('.', "", 1).replacen('e', "ee", 1),
                        orig: None,
                        fate: Fate::Refused(Refusal::UnknownHere),
                    }
                } else if rng.chance(0.006) {
                    let typo =
                        Contact { to: contact.to.replacen('e', "r", 1).replacen('@', "q@", 1), site: contact.site };
                    match typo.site {
                        Some(_) => self.refused(world, at, login, &typo, Why::Unknown, rng),
                        None => Rcpt { to: typo.to, orig: None, fate: Fate::Refused(Refusal::UnknownHere) },
                    }
                } else {
                    self.rcpt(world, at, login, contact, true, rng)
                }
            };
            if rcpts.iter().all(|other| other.to != rcpt.to) {
                rcpts.push(rcpt);
            }
        }
        if !single && rng.chance(0.02) {
            rcpts.extend(self.team(account.domain(), "team"));
        }
        // Postfix names nobody in the line of a refused first recipient: then it could be anyone's.
        if rcpts.iter().all(|rcpt| matches!(rcpt.fate, Fate::Refused(_))) {
            let contact = stranger(world, 0.5, rng);
            rcpts.push(self.rcpt(world, at, login, &contact, true, rng));
        }
        let from = match account.role {
            Role::Tickets => format!("support+{}@{}", rng.range(10_000, 99_999), account.domain()),
            Role::Crm => {
                let mut own = Rng::of(&[self.seed, 6, account.id]);
                let people: Vec<String> = (0..own.range(3, 6)).map(|_| world::staff(&mut own)).collect();
                format!("{}@{}", people[rng.index(people.len())], account.domain())
            }
            _ => login.to_owned(),
        };
        let size = match account.role {
            Role::Copier => rng.range(200_000, 3_000_000),
            Role::Shop | Role::Tickets => rng.range(9_000, 14_000),
            _ => rng.lognormal(9_000.0, 1.6).clamp(900.0, 12_000_000.0) as u64,
        };
        Mail { gap, from, rcpts, size, subject: rng.pick(SUBJECTS) }
    }

    /// The recipients behind an alias of the domain; none when it has too few mailboxes.
    fn team(&self, domain: &str, alias: &str) -> Vec<Rcpt> {
        let boxes = self.teams.get(domain).filter(|boxes| boxes.len() > 1);
        let rcpt = |to: &String| Rcpt { to: to.clone(), orig: Some(format!("{alias}@{domain}")), fate: Fate::Mailbox };
        boxes.map(|boxes| boxes.iter().map(rcpt).collect()).unwrap_or_default()
    }

    /// Now and then somebody has changed the password, and a device at home goes on with the old one for a while.
    fn old_password(&self, account: &Account, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = Rng::of(&[self.seed, 10, self.index, account.id]);
        if account.clients.len() < 3 || rng.below(150) > 0 || rng.below(self.days) != day {
            return;
        }
        let mut at = day * DAY + work_time(&mut rng);
        for _ in 0..rng.range(5, 12) {
            jobs.push(stranger_job(account.clients[1].clone(), at, vec![account.login.clone()], Vec::new(), &mut rng));
            at += rng.range(3, 15) * MINUTE;
        }
    }

    pub fn login_session(&self, account: &Account, client: Client, mails: Vec<Mail>) -> Session {
        Session {
            client,
            who: Who::Login { login: account.login.clone(), plain: account.plain },
            failed: Vec::new(),
            mails,
        }
    }

    pub fn login_job(&self, account: &Account, client: Client, at: u64, mails: Vec<Mail>, rng: &mut Rng) -> Job {
        Job { at, seed: rng.next(), incident: None, act: Act::Session(self.login_session(account, client, mails)) }
    }

    /// A recipient who exists; `known`: has had mail from here before, so no greylisting.
    pub fn rcpt(&self, world: &World, at: u64, from: &str, contact: &Contact, known: bool, rng: &mut Rng) -> Rcpt {
        let Some(index) = contact.site else {
            return Rcpt { to: contact.to.clone(), orig: None, fate: Fate::Mailbox };
        };
        let site = &world.sites[index];
        let ip = site.ip(rng);
        let to = contact.to.as_str();
        let again = |n: u64, why: Why, rng: &mut Rng| {
            let mut answers: Vec<Answer> = (0..n).map(|_| world::answer(site, why, to, from, &self.ip, rng)).collect();
            if answers.iter().all(Answer::is_temporary) {
                answers.push(world::accepted(site, rng));
            }
            answers
        };
        let answers = if let Some(answers) = self.damaged(world, at, index, to, from, rng) {
            answers
        } else {
            match rng.below(1000) {
                _ if site.greylists && !known && rng.chance(0.8) => again(1, Why::Grey, rng),
                0..4 => again(rng.range(1, 3), Why::Busy, rng),
                4..7 => again(rng.range(1, 14), Why::Full, rng),
                7..9 => {
                    let fault = if rng.chance(0.5) { Answer::ConnectionRefused } else { Answer::ConnectionTimeout };
                    let mut answers = vec![fault; rng.range(1, 6) as usize];
                    answers.push(world::accepted(site, rng));
                    answers
                }
                9 => again(1, Why::Spam, rng),
                _ => vec![world::accepted(site, rng)],
            }
        };
        Rcpt { to: contact.to.clone(), orig: None, fate: Fate::Remote { host: site.mx.clone(), ip, answers } }
    }

    /// An address that is written to for the first time; `dead`: how often it is wrong.
    pub fn fresh(&self, world: &World, at: u64, from: &str, contact: &Contact, dead: f64, rng: &mut Rng) -> Rcpt {
        if rng.chance(dead) && contact.site.is_some() {
            if rng.chance(0.12) {
                let to = format!(
                    "{}@{}",
                    world::person(rng),
                    world::domain_name(rng, 40_000).replace(".example", "-nosuch.example")
                );
                return Rcpt {
                    to,
                    orig: None,
                    fate: Fate::Remote { host: String::new(), ip: String::new(), answers: vec![Answer::NoSuchDomain] },
                };
            }
            let why = if rng.chance(0.08) { Why::Disabled } else { Why::Unknown };
            return self.refused(world, at, from, contact, why, rng);
        }
        self.rcpt(world, at, from, contact, false, rng)
    }

    /// A recipient whose site always answers so.
    pub fn refused(&self, world: &World, _at: u64, from: &str, contact: &Contact, why: Why, rng: &mut Rng) -> Rcpt {
        let Some(index) = contact.site else {
            return Rcpt { to: contact.to.clone(), orig: None, fate: Fate::Refused(Refusal::UnknownHere) };
        };
        let site = &world.sites[index];
        let answers = vec![world::answer(site, why, &contact.to, from, &self.ip, rng)];
        let ip = site.ip(rng);
        Rcpt { to: contact.to.clone(), orig: None, fate: Fate::Remote { host: site.mx.clone(), ip, answers } }
    }

    /// The answers of a site that refuses this host at the time.
    fn damaged(
        &self,
        world: &World,
        at: u64,
        index: usize,
        to: &str,
        from: &str,
        rng: &mut Rng,
    ) -> Option<Vec<Answer>> {
        let site = &world.sites[index];
        let damage = self.damage.iter().find(|damage| {
            (damage.from..damage.until).contains(&at)
                && damage.site.map_or_else(|| damage.kinds.contains(&site.kind), |only| only == index)
        })?;
        if !rng.chance(damage.share) {
            return None;
        }
        let why = if damage.site.is_some() || matches!(site.kind, Kind::Exim | Kind::Postfix | Kind::Exchange) {
            Why::Listed
        } else {
            Why::Standing
        };
        let answer = match world::answer(site, why, to, from, &self.ip, rng) {
            Answer::Said(_, text) if damage.site.is_some() => Answer::Said(Stage::Rcpt, text),
            answer => answer,
        };
        // Until the end of the time about so many attempts come.
        let tries = 1 + (damage.until - at) / (4000 * SECOND);
        let mut answers = vec![answer; tries.min(12) as usize];
        if answers[0].is_temporary() || matches!(answers[0], Answer::Said(Stage::Connect, _)) && !self.exim {
            answers.push(world::accepted(site, rng));
        }
        Some(answers)
    }

    /// Mail from outside to a mailbox.
    fn inbound(&self, world: &World, account: &Account, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = self.stream(account.id, day, 1);
        let mean = match account.role {
            Role::Forwarding => 18.0,
            Role::SchoolChild => 0.5,
            _ => (account.rate * 1.2).min(40.0),
        };
        for _ in 0..rng.poisson(mean * if day % 7 > 4 { 0.4 } else { 1.0 }) {
            let at = day * DAY + any_time(&mut rng);
            let known = !account.book.is_empty() && rng.chance(0.6);
            let contact =
                if known { account.book[rng.zipf(account.book.len())].clone() } else { stranger(world, 0.4, &mut rng) };
            let Some(site) = contact.site else { continue };
            let site = &world.sites[site];
            let ip = site.ip(&mut rng);
            let name =
                if site.is_big() { format!("mail-out{}.{}", rng.range(1, 40), site.name) } else { site.mx.clone() };
            let client = Client { name: Some(name.clone()), ip, helo: name };
            let mut to = Rcpt { to: account.login.clone(), orig: None, fate: Fate::Mailbox };
            let mut from = contact.to.clone();
            if account.role == Role::Forwarding {
                let onward =
                    Contact { to: format!("{}@gmail.com", account.login.replace(['@', '.'], "")), site: Some(0) };
                from = format!(
                    "SRS0={}={}={}={}@{}",
                    rng.base62(4),
                    rng.base62(2).to_uppercase(),
                    site.name,
                    contact.to.split('@').next().unwrap_or(""),
                    self.fqdn
                );
                to = self.rcpt(world, at, &from, &onward, true, &mut rng);
                to.orig = Some(account.login.clone());
            } else if !known && rng.chance(0.15) {
                to.fate = Fate::Refused(Refusal::Greylisted);
            }
            let mut mail = Mail {
                gap: 0,
                from,
                rcpts: vec![to.clone()],
                size: rng.lognormal(12_000.0, 1.4).clamp(1200.0, 9_000_000.0) as u64,
                subject: rng.pick(SUBJECTS),
            };
            if matches!(to.fate, Fate::Mailbox) {
                match rng.below(100) {
                    0..3 => mail.from.clear(),
                    3..8 => {
                        let team = self.team(account.domain(), "info");
                        if !team.is_empty() {
                            mail.rcpts = team;
                        }
                    }
                    _ => {}
                }
            }
            let session = |mail: Mail| {
                Act::Session(Session {
                    client: client.clone(),
                    who: Who::Stranger,
                    failed: Vec::new(),
                    mails: vec![mail],
                })
            };
            if matches!(to.fate, Fate::Refused(_)) {
                let mut again = mail.clone();
                again.rcpts[0].fate = Fate::Mailbox;
                let later = at + rng.range(6, 25) * MINUTE;
                jobs.push(Job { at: later, seed: rng.next(), incident: None, act: session(again) });
            }
            jobs.push(Job { at, seed: rng.next(), incident: None, act: session(mail) });
        }
    }

    fn web_day(&self, world: &World, web: &Web, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = self.stream(web.id, day, 2);
        for _ in 0..rng.poisson(web.rate) {
            let at = day * DAY + any_time(&mut rng);
            let owner = self.accounts.iter().find(|account| account.domain() == web.domain);
            let from = match web.uid {
                0 => format!("root@{}", self.fqdn),
                _ => format!("wordpress@{}", web.domain),
            };
            let to_owner = web.uid == 0 || !web.shop || rng.chance(0.4);
            let rcpt = match owner {
                Some(owner) if to_owner => Rcpt { to: owner.login.clone(), orig: None, fate: Fate::Mailbox },
                _ if web.uid == 0 => {
                    let admin = Contact { to: "admin.hosting@gmx.de".to_owned(), site: Some(8) };
                    self.rcpt(world, at, &from, &admin, true, &mut rng)
                }
                _ => {
                    let contact = stranger(world, 0.8, &mut rng);
                    self.fresh(world, at, &from, &contact, 0.015, &mut rng)
                }
            };
            let mail = Mail {
                gap: 0,
                from,
                rcpts: vec![rcpt],
                size: rng.range(1200, 6000),
                subject: "New message from your site",
            };
            let pickup = Pickup { uid: web.uid, user: web.user.clone(), cwd: web.cwd.clone(), mail };
            jobs.push(Job { at, seed: rng.next(), incident: None, act: Act::Pickup(pickup) });
        }
    }

    fn relay_day(&self, world: &World, relay: &Relay, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = self.stream(relay.id, day, 3);
        for _ in 0..rng.poisson(relay.rate) {
            match relay.usage {
                RelayUse::Cron => {
                    let at = day * DAY
                        + rng.pick(&[&2u64, &4, &6, &22]) * HOUR
                        + 25 * MINUTE
                        + relay.id % 30 * SECOND
                        + rng.below(40 * MINUTE);
                    let from = format!("root@{}", relay.client.helo);
                    let admin = &relay.book[0];
                    let rcpt = self.rcpt(world, at, &from, admin, true, &mut rng);
                    let mail = Mail {
                        gap: 0,
                        from,
                        rcpts: vec![rcpt],
                        size: rng.range(800, 9000),
                        subject: "Cron <root> run-parts",
                    };
                    jobs.push(self.relay_job(relay.client.clone(), at, vec![mail], &mut rng));
                }
                RelayUse::App => {
                    let at = day * DAY + any_time(&mut rng);
                    let from = format!("noreply@{}", relay.domain);
                    let contact = stranger(world, 0.6, &mut rng);
                    let rcpt = self.fresh(world, at, &from, &contact, 0.015, &mut rng);
                    let mail = Mail {
                        gap: 0,
                        from,
                        rcpts: vec![rcpt],
                        size: rng.range(3000, 12_000),
                        subject: "Your booking",
                    };
                    jobs.push(self.relay_job(relay.client.clone(), at, vec![mail], &mut rng));
                }
                RelayUse::Lists => {
                    let mut at = day * DAY + any_time(&mut rng);
                    let size = rng.range(4000, 30_000);
                    let verp = relay.id.is_multiple_of(2);
                    let list = format!("aktuell-bounces@lists.{}", relay.domain);
                    let dead = |n: usize| Rng::of(&[self.seed, 7, relay.id, n as u64]).below(1000) < 6;
                    let mut mails = Vec::new();
                    for (n, part) in relay.book.chunks(if verp { 1 } else { 40 }).enumerate() {
                        at += 250_000;
                        let from = if verp {
                            format!("aktuell-bounces+{}@lists.{}", part[0].to.replace('@', "="), relay.domain)
                        } else {
                            list.clone()
                        };
                        let rcpts = part
                            .iter()
                            .enumerate()
                            .map(|(i, contact)| {
                                if dead(n * 40 + i) && day < 2 {
                                    self.refused(world, at, &from, contact, Why::Unknown, &mut rng)
                                } else {
                                    self.rcpt(world, at, &from, contact, true, &mut rng)
                                }
                            })
                            .collect();
                        mails.push(Mail {
                            gap: 100_000,
                            from,
                            rcpts,
                            size: size + rng.below(60),
                            subject: "[aktuell] Termine",
                        });
                        if mails.len() == 20 {
                            jobs.push(self.relay_job(relay.client.clone(), at, std::mem::take(&mut mails), &mut rng));
                            at += 5 * SECOND;
                        }
                    }
                    if !mails.is_empty() {
                        jobs.push(self.relay_job(relay.client.clone(), at, mails, &mut rng));
                    }
                    // The post itself came in before.
                    let sender = &relay.book[rng.index(relay.book.len())];
                    let post = Rcpt { to: format!("aktuell@lists.{}", relay.domain), orig: None, fate: Fate::Program };
                    let mail = Mail { gap: 0, from: sender.to.clone(), rcpts: vec![post], size, subject: "Termine" };
                    let mut client = world::access_client(&mut rng, "mail.sender.example");
                    client.name = Some(client.helo.clone());
                    let session = Session { client, who: Who::Stranger, failed: Vec::new(), mails: vec![mail] };
                    jobs.push(Job {
                        at: at - 30 * SECOND,
                        seed: rng.next(),
                        incident: None,
                        act: Act::Session(session),
                    });
                }
            }
        }
    }

    pub fn relay_job(&self, client: Client, at: u64, mails: Vec<Mail>, rng: &mut Rng) -> Job {
        Job {
            at,
            seed: rng.next(),
            incident: None,
            act: Act::Session(Session { client, who: Who::Relay, failed: Vec::new(), mails }),
        }
    }

    /// Spam that is refused, guessing that leads nowhere, scanners, and the backup mail exchanger.
    fn background(&self, _world: &World, day: u64, jobs: &mut Vec<Job>) {
        let mut rng = self.stream(0, day, 4);
        let people: Vec<&Account> = self.accounts.iter().collect();
        let scale = self.accounts.len() as f64;
        for _ in 0..rng.poisson(scale * 1.5) {
            let at = day * DAY + rng.below(DAY - HOUR);
            let client = world::bot_client(&mut rng);
            let victim = &people[rng.index(people.len())].login;
            let (refusal, to) = match rng.below(10) {
                0..4 => (Refusal::Dnsbl("zen.spamhaus.org"), victim.clone()),
                4 => (Refusal::Dnsbl("bl.spamcop.net"), victim.clone()),
                5 => (
                    Refusal::UnknownHere,
                    format!("{}@{}", world::person(&mut rng), self.domains[rng.index(self.customers)]),
                ),
                6 => (Refusal::SenderDomain, victim.clone()),
                7 => (Refusal::NoReverseName, victim.clone()),
                8 => ([Refusal::Greylisted, Refusal::Helo][rng.index(2)].clone(), victim.clone()),
                _ => (Refusal::Relay, format!("{}@{}", world::person(&mut rng), "gmail.com")),
            };
            let from = format!("{}@{}", world::random_local(&mut rng), world::domain_name(&mut rng, 45_000));
            let mail = Mail {
                gap: 0,
                from,
                rcpts: vec![Rcpt { to, orig: None, fate: Fate::Refused(refusal) }],
                size: 4000,
                subject: "",
            };
            jobs.push(stranger_job(client, at, Vec::new(), vec![mail], &mut rng));
        }
        for _ in 0..rng.poisson(30.0 + scale * 0.1) {
            let at = day * DAY + rng.below(DAY - HOUR);
            let client = world::bot_client(&mut rng);
            let login = format!("{}@{}", world::guessed(&mut rng), self.domains[rng.index(self.customers)]);
            jobs.push(stranger_job(client, at, vec![login; rng.range(1, 2) as usize], Vec::new(), &mut rng));
        }
        for _ in 0..rng.poisson(40.0 + scale * 0.2) {
            let at = day * DAY + rng.below(DAY - HOUR);
            let client = world::bot_client(&mut rng);
            jobs.push(stranger_job(client, at, Vec::new(), Vec::new(), &mut rng));
        }
        for client in &self.backup_mx {
            for _ in 0..rng.poisson(25.0) {
                let at = day * DAY + any_time(&mut rng);
                let unknown = rng.chance(0.12);
                let to = if unknown {
                    format!("{}@{}", world::person(&mut rng), self.domains[0])
                } else {
                    people[rng.index(people.len())].login.clone()
                };
                let fate = if unknown { Fate::Refused(Refusal::UnknownHere) } else { Fate::Mailbox };
                let from = format!("{}@{}", world::person(&mut rng), world::domain_name(&mut rng, 300));
                let mail = Mail {
                    gap: 0,
                    from,
                    rcpts: vec![Rcpt { to, orig: None, fate }],
                    size: rng.range(3000, 40_000),
                    subject: rng.pick(SUBJECTS),
                };
                jobs.push(stranger_job(client.clone(), at, Vec::new(), vec![mail], &mut rng));
            }
        }
    }
}

pub fn stranger_job(client: Client, at: u64, failed: Vec<String>, mails: Vec<Mail>, rng: &mut Rng) -> Job {
    Job {
        at,
        seed: rng.next(),
        incident: None,
        act: Act::Session(Session { client, who: Who::Stranger, failed, mails }),
    }
}

/// Somebody outside; `big`: how often at a large provider.
pub fn stranger(world: &World, big: f64, rng: &mut Rng) -> Contact {
    let site = world.site(rng, big);
    Contact { to: format!("{}@{}", world::person(rng), world.sites[site].name), site: Some(site) }
}

fn pick_client(account: &Account, time: u64, rng: &mut Rng) -> Client {
    let n = account.clients.len();
    if n != 3 {
        return account.clients[rng.index(n)].clone();
    }
    let office = (8 * HOUR..18 * HOUR).contains(&time);
    let weights = match (account.role, office) {
        (Role::Traveller, _) => [30, 35, 35],
        (_, true) => [80, 5, 15],
        (_, false) => [5, 65, 30],
    };
    let roll = rng.below(100);
    let index = if roll < weights[0] {
        0
    } else if roll < weights[0] + weights[1] {
        1
    } else {
        2
    };
    account.clients[index].clone()
}

/// Time of day at which people work; a little in the evening.
pub fn work_time(rng: &mut Rng) -> u64 {
    let hour = match rng.below(100) {
        0..45 => rng.between(7.8, 12.3),
        45..85 => rng.between(12.8, 17.8),
        85..97 => rng.between(17.8, 22.5),
        _ => rng.between(5.5, 7.8),
    };
    (hour * HOUR as f64) as u64
}

/// Any time of day, the night less.
pub fn any_time(rng: &mut Rng) -> u64 {
    if rng.chance(0.2) { rng.below(DAY - HOUR) } else { 6 * HOUR + rng.below(16 * HOUR) }
}
