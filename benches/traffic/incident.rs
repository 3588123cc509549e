//! The incidents: every kind of detectors.md at three intensities.
//!
//! What an abuse desk would call a weak, a clear and a blatant case. Each incident draws its numbers inside the band;
//! `--days` that are fewer than wanted shorten what lasts for days.
//!
//! | kind | low | medium | high |
//! |---|---|---|---|
//! | account-takeover | 20–30 an hour for 2 nights from 1–2 new networks, or 40–90 mails in 6–10 h from 2 | 150–400 mails in 2–5 h from 3–8 networks, or 25–40 an hour for 3–5 nights | 600–1,800 mails in 1–4 h from 5–15, or 500–1,500 from 50–80 bots in 4–10 h |
//! | invalid-recipient-flood | 25–45 unknown, 25–40 % of the mails, 6–20 h | 60–150, 40–60 %, 1–4 h | 250–900, 60–90 %, 1–3 h |
//! | sender-rotation | 8–12 senders, 40–80 mails, 8–20 h | 20–40, 120–250, 3–8 h | 60–200, 400–900, 2–6 h (split: 3, 5, 10 logins) |
//! | notification-noise | every 10–14 min for 2 days | every 2–4 min for 2 days | every minute for 2–3 days |
//! | hourly-limit | 360–480 recipients in an hour | 600–1,200 | 1,500–3,000 |
//! | bulk-campaign | 120–220 recipients in 4–8 h | 300–800 in 3–8 h | 1,500–3,500 in 6–12 h |
//! | foreign-sender-domain | 8–15 mails, one foreign domain, 2 days | 40–100, 1–3 domains, a day | 200–500, 5–20 domains, 12 h |
//! | unreplyable-sender | 8–15 a day for 2 days | 40–100 a day | 200–500 a day |
//! | whole-server-relay | 30–50 a day, 4–5 system senders, 2 days | 80–200, 5–7 | 400–800, 6–9 |
//! | dead-recipient-retries | 2–3 dead, 10–16 mails over 3 days | 5–15 dead, 50–110 | 20–50 dead, 220–500 |
//! | full-mailbox-hammering | 14–25 mails in 1–2 days | 50–120 | 200–600 |
//! | cannot-receive | 7–11 domains, 14–25 mails, 2 days | 20–50 domains, 60–120 | 80–200 domains, 250–500 |
//! | sms-gateway | 12–20 mails to 3–8 phones, 2 days | 50–120 to 10–40 | 200–600 to 60–200 |
//! | unwanted-recipient | 1 recipient, 9–14 refusals over 3 days | 2–4 recipients, 30–60 | 4–8 recipients, 100–250 |
//! | form-abuse | 30–55 mails in 10–20 h, 15–25 % refused | 100–250 in 5–12 h, 20–35 % | 500–1,200 in 4–10 h, 30–50 % |
//! | spf-not-authorized | 5–8 refusals by 3+ receivers in 2 days | 18–35 | 70–150 |
//! | false-listing | 5–9 refusals by one receiver in 2 days | 16–40 | 60–150 |
//! | reputation-damage | 250–400 spams, then 2 providers refuse a third to a half for 3–5 h | 500–900, 3 refuse half to three quarters for 6–9 h | 1,200–2,500, 5 and the users of a list refuse most for 12–18 h |
//! | backscatter | 18–35 bounces to strangers in 6–20 h | 80–200 in 4–12 h | 400–1,200 in 3–10 h |
//! | directory-harvest | 30–55 unknown in 2–6 h | 100–250 in 1–5 h | 500–2,000 in 1–8 h |
//! | password-guessing | 25–45 failures in 2–12 h | 100–300 in 1–10 h | 800–2,200 in 3–24 h |

use std::collections::BTreeSet;

use crate::{
    model::{Act, Answer, Client, DAY, Fate, HOUR, Identity, Job, MINUTE, Mail, Pickup, Rcpt, Refusal, SECOND},
    place::{Account, Contact, Damage, Place, Relay, RelayUse, Role, Web, stranger, stranger_job, work_time},
    postfix::domain,
    rng::Rng,
    world::{self, Kind, Why, World},
};

pub const KINDS: &[&str] = &[
    "account-takeover",
    "invalid-recipient-flood",
    "sender-rotation",
    "notification-noise",
    "hourly-limit",
    "bulk-campaign",
    "foreign-sender-domain",
    "unreplyable-sender",
    "whole-server-relay",
    "dead-recipient-retries",
    "full-mailbox-hammering",
    "cannot-receive",
    "sms-gateway",
    "unwanted-recipient",
    "form-abuse",
    "spf-not-authorized",
    "false-listing",
    "reputation-damage",
    "backscatter",
    "directory-harvest",
    "password-guessing",
];

pub const INTENSITIES: [&str; 3] = ["low", "medium", "high"];

pub struct Incident {
    pub kind: &'static str,
    pub intensity: &'static str,
    pub form: String,
    pub also: Vec<&'static str>,
    pub host: usize,
    pub identities: Vec<Identity>,
    pub or: Vec<Identity>,
    pub jobs: Vec<Job>,
    /// How long receivers go on refusing, where that is part of it.
    pub until: Option<u64>,
}

/// All incidents of the run, spread over the hosts. Adds what they need (web sites, relay clients, times of refusal).
pub fn plan(world: &World, places: &mut [Place], seed: u64, accounts: u64, with_damage: bool) -> Vec<Incident> {
    let each = (accounts * 2).div_ceil(1500).max(1);
    let mut incidents = Vec::new();
    let mut used: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); places.len()];
    let mut turn = 0usize;
    for n in 0..each {
        for (k, kind) in KINDS.iter().enumerate() {
            for (level, intensity) in INTENSITIES.iter().enumerate() {
                let host = turn % places.len();
                turn += 1;
                let mut make = Make {
                    world,
                    rng: Rng::of(&[seed, 8, k as u64, level as u64, n]),
                    place: &mut places[host],
                    used: &mut used[host],
                    level,
                    number: incidents.len() as u64,
                    with_damage,
                };
                let mut made = make.kind(k);
                let number = incidents.len();
                made.jobs.sort_by_key(|job| job.at);
                for job in &mut made.jobs {
                    job.incident = Some(number);
                }
                incidents.push(Incident {
                    kind,
                    intensity,
                    form: made.form,
                    also: made.also,
                    host,
                    identities: made.identities,
                    or: made.or,
                    jobs: made.jobs,
                    until: made.until,
                });
            }
        }
    }
    incidents
}

#[derive(Default)]
struct Made {
    form: String,
    also: Vec<&'static str>,
    identities: Vec<Identity>,
    or: Vec<Identity>,
    jobs: Vec<Job>,
    until: Option<u64>,
}

struct Make<'a> {
    world: &'a World,
    rng: Rng,
    place: &'a mut Place,
    used: &'a mut BTreeSet<u64>,
    level: usize,
    number: u64,
    with_damage: bool,
}

/// What a spray of mail is like.
struct Spray {
    start: u64,
    length: u64,
    mails: u64,
    /// Share of recipients that do not exist, and of those whose site takes it for spam.
    unknown: f64,
    spam: f64,
    big: f64,
    size: u64,
}

/// Who sends it.
#[derive(Clone)]
enum Hand {
    Login { account: usize, clients: Vec<Client> },
    Web { web: usize },
    Relay { client: Client },
}

impl Make<'_> {
    fn kind(&mut self, k: usize) -> Made {
        match k {
            0 => self.takeover(),
            1 => self.invalid_flood(),
            2 => self.rotation(),
            3 => self.noise(),
            4 => self.hourly(),
            5 => self.bulk(),
            6 => self.foreign(),
            7 => self.unreplyable(),
            8 => self.whole_server(),
            9 => self.dead_retries(),
            10 => self.full_mailbox(),
            11 => self.cannot_receive(),
            12 => self.sms(),
            13 => self.unwanted(),
            14 => self.form_abuse(),
            15 => self.spf(),
            16 => self.false_listing(),
            17 => self.reputation(),
            18 => self.backscatter(),
            19 => self.harvest(),
            _ => self.guessing(),
        }
    }

    /// A number from the band of this intensity.
    fn band(&mut self, bands: [(u64, u64); 3]) -> u64 {
        let (low, high) = bands[self.level];
        self.rng.range(low, high)
    }

    fn share(&mut self, bands: [(f64, f64); 3]) -> f64 {
        let (low, high) = bands[self.level];
        self.rng.between(low, high)
    }

    /// A start such that all of `length` fits; gives the length that does fit. Not on the first day, where there are others.
    fn when(&mut self, length: u64) -> (u64, u64) {
        let end = self.place.days * DAY - HOUR;
        let first = if self.place.days > 2 { DAY } else { 2 * HOUR };
        let length = length.min(end - first);
        (first + self.rng.below(end - first - length + 1), length)
    }

    /// As `when`, but begun in office hours: what people do themselves.
    fn when_at_work(&mut self, length: u64) -> (u64, u64) {
        let (start, length) = self.when(length);
        let day = start / DAY * DAY;
        let at = day + 8 * HOUR + self.rng.below(4 * HOUR);
        if at + length + HOUR < self.place.days * DAY { (at, length) } else { (start, length) }
    }

    /// When somebody at a desk would have done what happened at `at`; scripts keep their time.
    fn human(&mut self, hand: &Hand, at: u64) -> u64 {
        let at_work = at / DAY * DAY + work_time(&mut self.rng);
        let end = self.place.days * DAY - HOUR;
        if matches!(hand, Hand::Login { .. }) && at_work < end { at_work } else { at }
    }

    /// An ordinary login that no other incident has.
    fn account(&mut self) -> usize {
        let n = self.place.accounts.len();
        let start = self.rng.index(n);
        let free = |account: &Account| account.role == Role::Ordinary && !self.used.contains(&account.id);
        let turn =
            |fits: &dyn Fn(&Account) -> bool| (0..n).map(|i| (start + i) % n).find(|i| fits(&self.place.accounts[*i]));
        // With too few accounts one has to serve twice.
        let found = turn(&|account| free(account) && account.rate > 1.5)
            .or_else(|| turn(&|account| free(account)))
            .or_else(|| turn(&|account| account.role == Role::Ordinary));
        let index = found.unwrap_or(start);
        self.used.insert(self.place.accounts[index].id);
        index
    }

    fn web(&mut self) -> usize {
        let domain = self.place.domains[self.rng.index(self.place.customers)].clone();
        let user = format!("site{}", self.number);
        self.place.webs.push(Web {
            id: 51_000 + self.number,
            uid: 7001 + self.number as u32,
            cwd: format!("/home/{user}/public_html/wp-content/plugins/contact-form"),
            user,
            domain,
            rate: self.rng.between(2.0, 6.0),
            shop: self.number.is_multiple_of(2),
        });
        self.place.webs.len() - 1
    }

    fn relay(&mut self) -> (Client, String) {
        let domain = self.place.domains[self.rng.index(self.place.customers)].clone();
        let host = format!("srv{}.{domain}", self.number);
        let client = Client {
            name: Some(host.clone()),
            ip: format!("10.{}.{}.{}", 120 + self.place.index, self.number / 200, 10 + self.number % 200),
            helo: host,
        };
        let book = (0..20).map(|_| stranger(self.world, 0.5, &mut self.rng)).collect();
        self.place.relays.push(Relay {
            id: 70_000 + self.number,
            client: client.clone(),
            domain: domain.clone(),
            usage: RelayUse::App,
            rate: 4.0,
            book,
        });
        (client, domain)
    }

    fn own_client(&self, account: usize) -> Client {
        self.place.accounts[account].clients[0].clone()
    }

    fn identity(&self, kind: &str, identity: &str) -> Identity {
        Identity::new(&self.place.name, kind, identity)
    }

    fn of(&self, hand: &Hand) -> Identity {
        match hand {
            Hand::Login { account, .. } => self.identity("sasl", &self.place.accounts[*account].login),
            Hand::Web { web } => {
                let web = &self.place.webs[*web];
                self.identity("uid", &if self.place.is_exim() { web.user.clone() } else { web.uid.to_string() })
            }
            Hand::Relay { client } => self.identity("client", &client.ip),
        }
    }

    fn send(&mut self, hand: &Hand, at: u64, mail: Mail) -> Job {
        let seed = self.rng.next();
        let act = match hand {
            Hand::Login { account, clients } => {
                let client = clients[self.rng.index(clients.len())].clone();
                Act::Session(self.place.login_session(&self.place.accounts[*account], client, vec![mail]))
            }
            Hand::Web { web } => {
                let web = &self.place.webs[*web];
                Act::Pickup(Pickup { uid: web.uid, user: web.user.clone(), cwd: web.cwd.clone(), mail })
            }
            Hand::Relay { client } => return self.place.relay_job(client.clone(), at, vec![mail], &mut self.rng),
        };
        Job { at, seed, incident: None, act }
    }

    /// Sends one mail each to strangers, from senders that `from` names.
    fn spray(&mut self, hand: &Hand, spray: &Spray, mut from: impl FnMut(&mut Rng, u64) -> String) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(spray.mails as usize);
        for i in 0..spray.mails {
            let step = spray.length / spray.mails.max(1);
            let at = spray.start + i * step + self.rng.below(step.max(1));
            let sender = from(&mut self.rng, i);
            let contact = stranger(self.world, spray.big, &mut self.rng);
            let roll = self.rng.unit();
            let rcpt = if roll < spray.unknown {
                self.place.refused(self.world, at, &sender, &contact, Why::Unknown, &mut self.rng)
            } else if roll < spray.unknown + spray.spam {
                self.place.refused(self.world, at, &sender, &contact, Why::Spam, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, &sender, &contact, false, &mut self.rng)
            };
            let size = spray.size + self.rng.below(40);
            let job = self.send(hand, at, mail(sender, vec![rcpt], size));
            jobs.push(job);
        }
        jobs
    }

    fn bots(&mut self, n: u64) -> Vec<Client> {
        (0..n).map(|_| world::bot_client(&mut self.rng)).collect()
    }

    fn failures(&mut self, client: &Client, at: u64, logins: Vec<String>) -> Job {
        stranger_job(client.clone(), at, logins, Vec::new(), &mut self.rng)
    }

    fn takeover(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let form = match (self.level, self.rng.below(2)) {
            (0, 0) | (1, 0) => "quiet-nights",
            (0, _) => "a-few-from-two-networks",
            (2, 0) => "botnet",
            _ => "burst",
        };
        let networks = match (self.level, form) {
            (0, "quiet-nights") => self.rng.range(1, 2),
            (0, _) => 2,
            (1, _) => self.rng.range(3, 8),
            (_, "botnet") => self.rng.range(50, 80),
            _ => self.rng.range(5, 15),
        };
        let clients = self.bots(networks);
        let hand = Hand::Login { account, clients: clients.clone() };
        let unknown = if self.rng.chance(0.3) { self.rng.between(0.2, 0.4) } else { self.rng.between(0.02, 0.07) };
        let size = self.rng.range(1800, 9000);
        let mut made = Made {
            form: form.to_owned(),
            also: vec!["bulk-campaign", "hourly-limit", "reputation-damage", "invalid-recipient-flood"],
            ..Made::default()
        };
        if unknown > 0.15 {
            made.form.push_str("+dead-list");
        }
        let mut sprays = Vec::new();
        if form == "quiet-nights" {
            let nights = self.band([(2, 2), (3, 5), (3, 5)]);
            let (start, _) = self.when(nights * DAY);
            let first_night = start / DAY * DAY;
            for night in 0..nights {
                let from =
                    (first_night + night * DAY).max(start / DAY * DAY) + 5 * MINUTE + self.rng.below(40 * MINUTE);
                let length = self.rng.range(4, 5) * HOUR;
                if from + length + HOUR > self.place.days * DAY {
                    break;
                }
                let rate = if self.level == 0 { self.rng.range(20, 30) } else { self.rng.range(25, 40) };
                sprays.push((from, length, rate * (length / HOUR)));
            }
        } else {
            let (mails, hours) = match (self.level, form) {
                (0, _) => (self.rng.range(40, 90), self.rng.range(6, 10)),
                (1, _) => (self.rng.range(150, 400), self.rng.range(2, 5)),
                (_, "botnet") => (self.rng.range(500, 1500), self.rng.range(4, 10)),
                _ => (self.rng.range(600, 1800), self.rng.range(1, 4)),
            };
            let (start, length) = self.when(hours * HOUR + HOUR);
            sprays.push((start + HOUR.min(length / 2), length.saturating_sub(HOUR), mails));
        }
        let begin = sprays.first().map_or(HOUR, |spray| spray.0);
        let start = begin.saturating_sub(45 * MINUTE);
        if self.rng.chance(0.5) {
            made.form.push_str("+failures-first");
            made.also.push("password-guessing");
            for i in 0..self.rng.range(5, 30) {
                let client = clients[self.rng.index(clients.len().min(3))].clone();
                let job = self.failures(&client, start + i * 20 * SECOND, vec![login.clone()]);
                made.jobs.push(job);
            }
        }
        if self.rng.chance(0.6) {
            made.form.push_str("+test-mail");
            let drop = Contact { to: format!("{}@gmail.com", world::random_local(&mut self.rng)), site: Some(0) };
            let at = start + 20 * MINUTE;
            let rcpt = self.place.rcpt(self.world, at, &login, &drop, true, &mut self.rng);
            let job = self.send(&hand, at, mail(login.clone(), vec![rcpt], 700));
            made.jobs.push(job);
        }
        for (start, length, mails) in sprays {
            let spray = Spray { start, length, mails, unknown, spam: 0.06, big: 0.75, size };
            let from = login.clone();
            made.jobs.extend(self.spray(&hand, &spray, |_, _| from.clone()));
        }
        made.identities.push(self.of(&hand));
        made.or = clients.iter().map(|client| self.identity("client", &client.ip)).collect();
        made
    }

    fn invalid_flood(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let unknown = self.band([(25, 45), (60, 150), (250, 900)]);
        let share = self.share([(0.25, 0.4), (0.4, 0.6), (0.6, 0.9)]);
        let hours = self.band([(6, 20), (1, 4), (1, 3)]);
        let mails = (unknown as f64 / share) as u64;
        let stolen = self.rng.chance(0.5);
        let (start, length) = if stolen { self.when(hours * HOUR) } else { self.when_at_work(hours * HOUR) };
        let clients = if stolen { self.bots(1 + self.level as u64) } else { vec![self.own_client(account)] };
        let hand = Hand::Login { account, clients };
        let mut made = Made { also: vec!["bulk-campaign", "hourly-limit", "reputation-damage"], ..Made::default() };
        if stolen {
            made.also.push("account-takeover");
        }
        let size = self.rng.range(2000, 12_000);
        match self.rng.below(3) {
            0 => {
                made.form = "guessed-names-at-one-provider".to_owned();
                let site = self.rng.index(16);
                made.jobs = self.flood_at(&hand, &login, (start, length, mails), share, |_| Some(site), size);
            }
            1 => {
                made.form = "refused-by-this-host".to_owned();
                let domains = self.place.domains[..self.place.customers].to_vec();
                let taken = ((unknown as f64 * (1.0 - share) / share) as u64).max(4);
                let step = length / taken;
                for i in 0..taken {
                    let at = start + i * step + self.rng.below(step);
                    let good = stranger(self.world, 0.5, &mut self.rng);
                    let known = self.place.rcpt(self.world, at, &login, &good, true, &mut self.rng);
                    let mut rcpts = vec![known];
                    // So many that are refused for each that is taken.
                    let mut refused = share / (1.0 - share);
                    while self.rng.unit() < refused {
                        refused -= 1.0;
                        let to =
                            format!("{}@{}", world::guessed(&mut self.rng), domains[self.rng.index(domains.len())]);
                        rcpts.push(Rcpt {
                            to: format!("x{}{to}", self.rng.below(900)),
                            orig: None,
                            fate: Fate::Refused(Refusal::UnknownHere),
                        });
                    }
                    let job = self.send(&hand, at, mail(login.clone(), rcpts, size));
                    made.jobs.push(job);
                }
            }
            _ => {
                made.form = "mixed-providers".to_owned();
                made.jobs = self.flood_at(&hand, &login, (start, length, mails), share, |_| None, size);
            }
        }
        if !stolen {
            made.form.push_str("+own-old-list");
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn flood_at(
        &mut self,
        hand: &Hand,
        login: &str,
        (start, length, mails): (u64, u64, u64),
        share: f64,
        site: impl Fn(u64) -> Option<usize>,
        size: u64,
    ) -> Vec<Job> {
        let step = length / mails.max(1);
        let mut jobs = Vec::new();
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step.max(1));
            let mut contact = stranger(self.world, 0.6, &mut self.rng);
            if let Some(site) = site(i) {
                contact = Contact {
                    to: format!("{}@{}", world::person(&mut self.rng), self.world.sites[site].name),
                    site: Some(site),
                };
            }
            let rcpt = if self.rng.chance(share) {
                self.place.refused(self.world, at, login, &contact, Why::Unknown, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, login, &contact, false, &mut self.rng)
            };
            let size = size + self.rng.below(30);
            let job = self.send(hand, at, mail(login.to_owned(), vec![rcpt], size));
            jobs.push(job);
        }
        jobs
    }

    fn rotation(&mut self) -> Made {
        let senders = self.band([(8, 12), (20, 40), (60, 200)]);
        let mails = self.band([(40, 80), (120, 250), (400, 900)]);
        let hours = self.band([(8, 20), (3, 8), (2, 6)]);
        let (start, length) = self.when_at_work(hours * HOUR);
        let size = self.rng.range(2000, 9000);
        let spray = |mails: u64| Spray { start, length, mails, unknown: 0.05, spam: 0.03, big: 0.7, size };
        let mut made = Made {
            also: vec!["bulk-campaign", "hourly-limit", "form-abuse", "reputation-damage", "invalid-recipient-flood"],
            ..Made::default()
        };
        let form = self.rng.below(4);
        if form == 3 {
            let logins = [3, 5, 10][self.level];
            made.form = format!("campaign-split-over-{logins}-logins");
            for _ in 0..logins {
                let account = self.account();
                let login = self.place.accounts[account].login.clone();
                let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
                made.jobs.extend(self.spray(&hand, &spray(mails / logins), |_, _| login.clone()));
                made.identities.push(self.of(&hand));
            }
            made.also.push("account-takeover");
            return made;
        }
        let hand = if self.rng.chance(0.4) {
            Hand::Web { web: self.web() }
        } else {
            let account = self.account();
            Hand::Login { account, clients: vec![self.own_client(account)] }
        };
        let own = match &hand {
            Hand::Login { account, .. } => self.place.accounts[*account].domain().to_owned(),
            Hand::Web { web } => self.place.webs[*web].domain.clone(),
            Hand::Relay { .. } => String::new(),
        };
        let mut draw = Rng::of(&[self.rng.next()]);
        let names: Vec<String> = (0..senders)
            .map(|n| match form {
                0 => format!("sender{}@{own}", n + 1),
                1 => format!("{}@{own}", world::random_local(&mut draw)),
                _ => format!("info@{}", world::domain_name(&mut draw, 60_000 + n as usize)),
            })
            .collect();
        made.form = ["numbered", "random-text", "by-domain"][form as usize].to_owned();
        if form == 2 {
            made.also.extend(["foreign-sender-domain", "spf-not-authorized"]);
        }
        made.jobs = self.spray(&hand, &spray(mails), |_, i| names[i as usize % names.len()].clone());
        made.identities.push(self.of(&hand));
        made
    }

    fn noise(&mut self) -> Made {
        let every = match self.level {
            0 => self.rng.range(10, 14) * MINUTE,
            1 => self.rng.range(2, 4) * MINUTE,
            _ => MINUTE,
        };
        let days = if self.level == 2 { self.rng.range(2, 3) } else { 2 };
        let (start, length) = self.when(days * DAY);
        let hand = if self.rng.chance(0.4) {
            Hand::Web { web: self.web() }
        } else {
            let account = self.account();
            Hand::Login { account, clients: vec![self.own_client(account)] }
        };
        let from = match &hand {
            Hand::Login { account, .. } => format!("panel@{}", self.place.accounts[*account].domain()),
            Hand::Web { web } => format!("cron@{}", self.place.webs[*web].domain),
            Hand::Relay { .. } => String::new(),
        };
        let contact = stranger(self.world, 0.6, &mut self.rng);
        let mut made = Made {
            also: vec![
                "dead-recipient-retries",
                "full-mailbox-hammering",
                "invalid-recipient-flood",
                "unwanted-recipient",
            ],
            ..Made::default()
        };
        let outcome = self.rng.below(3);
        made.form = format!(
            "every-{}-min-{}",
            every / MINUTE,
            ["delivered", "unknown-recipient", "mailbox-full"][outcome as usize]
        );
        let size = self.rng.range(900, 2400);
        let mut at = start;
        while at < start + length {
            let rcpt = match outcome {
                0 => self.place.rcpt(self.world, at, &from, &contact, true, &mut self.rng),
                1 => self.place.refused(self.world, at, &from, &contact, Why::Unknown, &mut self.rng),
                _ => self.place.refused(
                    self.world,
                    at,
                    &from,
                    &full_permanent(self.world, &contact),
                    Why::Full,
                    &mut self.rng,
                ),
            };
            let job = self.send(&hand, at, mail(from.clone(), vec![rcpt], size));
            made.jobs.push(job);
            at += every - SECOND + self.rng.below(2 * SECOND);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn hourly(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let recipients = self.band([(360, 480), (600, 1200), (1500, 3000)]);
        let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
        let (start, _) = self.when_at_work(HOUR);
        let many = self.rng.chance(0.5);
        let each = if many { self.rng.range(15, 45) } else { 1 };
        let mails = recipients.div_ceil(each);
        let mut made = Made {
            form: if many { "many-recipients-each" } else { "single-mails" }.to_owned(),
            also: vec!["bulk-campaign", "account-takeover", "reputation-damage"],
            ..Made::default()
        };
        let size = self.rng.range(5000, 60_000);
        for i in 0..mails {
            let at = start + i * (50 * MINUTE / mails);
            let rcpts = (0..each)
                .map(|_| {
                    let contact = stranger(self.world, 0.6, &mut self.rng);
                    self.place.fresh(self.world, at, &login, &contact, 0.02, &mut self.rng)
                })
                .collect();
            let size = size + self.rng.below(50);
            let job = self.send(&hand, at, mail(login.clone(), rcpts, size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn bulk(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let mails = self.band([(120, 220), (300, 800), (1500, 3500)]);
        let hours = self.band([(4, 8), (3, 8), (6, 12)]);
        let (start, length) = self.when_at_work(hours * HOUR);
        let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
        let unknown = self.rng.between(0.02, 0.07);
        let size = self.rng.range(15_000, 80_000);
        let spray = Spray { start, length, mails, unknown, spam: 0.02, big: 0.4, size };
        let jobs = self.spray(&hand, &spray, |_, _| login.clone());
        Made {
            form: "marketing-from-own-mailbox".to_owned(),
            also: vec![
                "hourly-limit",
                "account-takeover",
                "invalid-recipient-flood",
                "unwanted-recipient",
                "reputation-damage",
            ],
            identities: vec![self.of(&hand)],
            jobs,
            ..Made::default()
        }
    }

    fn foreign(&mut self) -> Made {
        let account = self.account();
        let mails = self.band([(8, 15), (40, 100), (200, 500)]);
        let domains = self.band([(1, 1), (1, 3), (5, 20)]);
        let hours = self.band([(40, 48), (12, 24), (8, 12)]);
        let (start, length) = self.when(hours * HOUR);
        let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
        let mut draw = Rng::of(&[self.rng.next()]);
        let private = self.level == 0 && self.rng.chance(0.5);
        let senders: Vec<String> = (0..domains)
            .map(|n| {
                if private {
                    format!("{}@gmail.com", world::person(&mut draw))
                } else {
                    format!(
                        "{}@{}",
                        world::staff(&mut draw),
                        self.world.sites[(16 + draw.index(300) + n as usize).min(self.world.sites.len() - 10)].name
                    )
                }
            })
            .collect();
        let mut made = Made {
            form: if private { "own-gmail-address" } else { "other-companies" }.to_owned(),
            also: vec!["spf-not-authorized", "sender-rotation", "bulk-campaign", "account-takeover"],
            ..Made::default()
        };
        let step = length / mails;
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let at = self.human(&hand, at);
            let from = senders[i as usize % senders.len()].clone();
            let contact = stranger(self.world, 0.6, &mut self.rng);
            let checks = contact.site.is_some_and(|site| checks_spf(self.world.sites[site].kind));
            let rcpt = if checks && self.rng.chance(0.4) {
                self.place.refused(self.world, at, &from, &contact, Why::Spf, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, &from, &contact, false, &mut self.rng)
            };
            let size = self.rng.range(2000, 30_000);
            let job = self.send(&hand, at, mail(from, vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn unreplyable(&mut self) -> Made {
        let per_day = self.band([(8, 15), (40, 100), (200, 500)]);
        let (start, length) = self.when(2 * DAY);
        let (hand, form) = match self.rng.below(3) {
            0 => (Hand::Relay { client: self.relay().0 }, "relay-client"),
            1 => (Hand::Web { web: self.web() }, "script"),
            _ => {
                let account = self.account();
                (Hand::Login { account, clients: vec![self.own_client(account)] }, "login")
            }
        };
        let from = self
            .rng
            .pick(&[
                "root@localhost.localdomain",
                "root@localhost",
                "www-data@web01.local",
                "nagios@monitor.lan",
                "app@backend.invalid",
                "scanner@printer",
                "noreply@[10.0.0.5]",
            ])
            .to_owned();
        let book: Vec<Contact> = (0..self.rng.range(3, 12)).map(|_| stranger(self.world, 0.5, &mut self.rng)).collect();
        let mails = (per_day * length / DAY).max(4);
        let step = length / mails;
        let mut made = Made {
            form: format!("{form}-{from}"),
            also: vec!["notification-noise", "whole-server-relay", "dead-recipient-retries", "foreign-sender-domain"],
            ..Made::default()
        };
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let contact = book[self.rng.index(book.len())].clone();
            let rcpt = if self.rng.chance(0.04) {
                self.place.refused(self.world, at, &from, &contact, Why::Unknown, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, &from, &contact, true, &mut self.rng)
            };
            let size = self.rng.range(700, 4000);
            let job = self.send(&hand, at, mail(from.clone(), vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn whole_server(&mut self) -> Made {
        let per_day = self.band([(30, 50), (80, 200), (400, 800)]);
        let system = self.band([(4, 5), (5, 7), (6, 9)]) as usize;
        let (start, length) = self.when(2 * DAY);
        let by_login = self.rng.chance(0.35);
        let (hand, host) = if by_login {
            let account = self.account();
            (
                Hand::Login { account, clients: vec![self.own_client(account)] },
                format!("srv.{}", self.place.accounts[account].domain()),
            )
        } else {
            let (client, _) = self.relay();
            let host = client.helo.clone();
            (Hand::Relay { client }, host)
        };
        let users: Vec<&str> =
            ["root", "www-data", "cron", "mailer-daemon", "logcheck", "mysql", "nagios", "smartd", "backup"]
                .into_iter()
                .take(system)
                .collect();
        let book: Vec<Contact> = (0..2).map(|_| stranger(self.world, 0.6, &mut self.rng)).collect();
        let mails = per_day * length / DAY;
        let step = length / mails.max(1);
        let mut made = Made {
            form: if by_login { "by-login" } else { "relay-client" }.to_owned(),
            also: vec![
                "notification-noise",
                "sender-rotation",
                "unreplyable-sender",
                "foreign-sender-domain",
                "hourly-limit",
            ],
            ..Made::default()
        };
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let from = format!("{}@{host}", users[self.rng.zipf(users.len())]);
            let contact = book[self.rng.zipf(book.len())].clone();
            let rcpt = self.place.rcpt(self.world, at, &from, &contact, true, &mut self.rng);
            let size = self.rng.range(600, 3500);
            let job = self.send(&hand, at, mail(from, vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    /// Mail to the same few recipients, again and again over days.
    fn again(&mut self, hand: &Hand, from: &str, rcpts: &[(Contact, Why)], mails: u64, days: u64) -> Vec<Job> {
        let (start, length) = self.when(days * DAY);
        let step = length / mails.max(1);
        (0..mails)
            .map(|i| {
                let at = start + i * step + self.rng.below(step.max(1));
                let at = self.human(hand, at);
                let (contact, why) = &rcpts[i as usize % rcpts.len()];
                let rcpt = self.place.refused(self.world, at, from, contact, *why, &mut self.rng);
                let size = self.rng.range(2000, 40_000);
                self.send(hand, at, mail(from.to_owned(), vec![rcpt], size))
            })
            .collect()
    }

    fn hand_and_sender(&mut self, script: f64) -> (Hand, String) {
        if self.rng.chance(script) {
            let web = self.web();
            let from = format!("noreply@{}", self.place.webs[web].domain);
            (Hand::Web { web }, from)
        } else {
            let account = self.account();
            let login = self.place.accounts[account].login.clone();
            (Hand::Login { account, clients: vec![self.own_client(account)] }, login)
        }
    }

    fn dead_retries(&mut self) -> Made {
        let (hand, from) = self.hand_and_sender(0.4);
        let dead = self.band([(2, 3), (5, 15), (20, 50)]);
        let mails = self.band([(10, 16), (50, 110), (220, 500)]);
        let rcpts: Vec<(Contact, Why)> =
            (0..dead).map(|_| (stranger(self.world, 0.5, &mut self.rng), Why::Unknown)).collect();
        let jobs = self.again(&hand, &from, &rcpts, mails, 4);
        Made {
            form: "fresh-mail-to-dead-addresses".to_owned(),
            also: vec!["invalid-recipient-flood", "notification-noise"],
            identities: vec![self.of(&hand)],
            jobs,
            ..Made::default()
        }
    }

    fn full_mailbox(&mut self) -> Made {
        let (hand, from) = self.hand_and_sender(0.4);
        let mails = self.band([(14, 25), (50, 120), (200, 600)]);
        let contact = stranger(self.world, 0.5, &mut self.rng);
        let permanent = self.rng.chance(0.5);
        let contact = if permanent { full_permanent(self.world, &contact) } else { contact };
        let days = self.rng.range(1, 2);
        let jobs = self.again(&hand, &from, &[(contact, Why::Full)], mails, days);
        Made {
            form: if permanent { "refused" } else { "as-the-provider-words-it" }.to_owned(),
            also: vec!["notification-noise", "dead-recipient-retries"],
            identities: vec![self.of(&hand)],
            jobs,
            ..Made::default()
        }
    }

    fn cannot_receive(&mut self) -> Made {
        let (hand, from) = self.hand_and_sender(0.3);
        let domains = self.band([(7, 11), (20, 50), (80, 200)]);
        let mails = self.band([(14, 25), (60, 120), (250, 500)]).max(domains);
        let (start, length) = self.when(2 * DAY);
        let mut targets = Vec::new();
        for n in 0..domains {
            let name = world::domain_name(&mut self.rng, 70_000 + n as usize);
            let answer = match self.rng.below(10) {
                0..7 => Answer::NoSuchDomain,
                7..9 => Answer::NullMx,
                _ => Answer::LookupFailed,
            };
            targets.push((format!("{}@{name}", world::person(&mut self.rng)), answer));
        }
        let step = length / mails;
        let mut made = Made {
            form: "dead-domains".to_owned(),
            also: vec!["dead-recipient-retries", "invalid-recipient-flood", "bulk-campaign"],
            ..Made::default()
        };
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let at = self.human(&hand, at);
            let (to, answer) = targets[i as usize % targets.len()].clone();
            let rcpt = Rcpt {
                to,
                orig: None,
                fate: Fate::Remote { host: String::new(), ip: String::new(), answers: vec![answer] },
            };
            let size = self.rng.range(2000, 20_000);
            let job = self.send(&hand, at, mail(from.clone(), vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn sms(&mut self) -> Made {
        let (hand, from) = self.hand_and_sender(0.4);
        let mails = self.band([(12, 20), (50, 120), (200, 600)]);
        let phones = self.band([(3, 8), (10, 40), (60, 200)]);
        let (start, length) = self.when(2 * DAY);
        let book: Vec<Contact> = (0..phones)
            .map(|_| {
                let site = self.world.gateway(&mut self.rng);
                Contact {
                    to: format!("{}@{}", self.rng.range(2_012_000_000, 9_899_999_999), self.world.sites[site].name),
                    site: Some(site),
                }
            })
            .collect();
        let step = length / mails;
        let mut made = Made {
            form: "phones".to_owned(),
            also: vec!["bulk-campaign", "notification-noise", "invalid-recipient-flood", "form-abuse"],
            ..Made::default()
        };
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let at = self.human(&hand, at);
            let contact = book[i as usize % book.len()].clone();
            let rcpt = if self.rng.chance(0.08) {
                self.place.refused(self.world, at, &from, &contact, Why::Unknown, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, &from, &contact, true, &mut self.rng)
            };
            let size = self.rng.range(600, 1100);
            let job = self.send(&hand, at, mail(from.clone(), vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn unwanted(&mut self) -> Made {
        let (hand, from) = self.hand_and_sender(0.3);
        let count = self.band([(1, 1), (2, 4), (4, 8)]);
        let mails = self.band([(9, 14), (30, 60), (100, 250)]);
        let one_domain = self.rng.chance(0.4);
        let first = self.world.company_of(&mut self.rng, &[Kind::Postfix, Kind::Exim, Kind::Exchange365]);
        let rcpts: Vec<(Contact, Why)> = (0..count)
            .map(|_| {
                let site = if one_domain {
                    first
                } else {
                    self.world.company_of(&mut self.rng, &[Kind::Postfix, Kind::Exim, Kind::Exchange365, Kind::Google])
                };
                let why = if self.rng.chance(0.3) { Why::Spam } else { Why::Unwanted };
                (
                    Contact {
                        to: format!("{}@{}", world::person(&mut self.rng), self.world.sites[site].name),
                        site: Some(site),
                    },
                    why,
                )
            })
            .collect();
        let jobs = self.again(&hand, &from, &rcpts, mails, 4);
        Made {
            form: if one_domain { "one-domain" } else { "several" }.to_owned(),
            also: vec!["notification-noise", "dead-recipient-retries"],
            identities: vec![self.of(&hand)],
            jobs,
            ..Made::default()
        }
    }

    fn form_abuse(&mut self) -> Made {
        let web = self.web();
        let hand = Hand::Web { web };
        let mails = self.band([(30, 55), (100, 250), (500, 1200)]);
        let hours = self.band([(10, 20), (5, 12), (4, 10)]);
        let refused = self.share([(0.15, 0.25), (0.2, 0.35), (0.3, 0.5)]);
        let (start, length) = self.when(hours * HOUR);
        let size = self.rng.range(1200, 3000);
        let from = format!("wordpress@{}", self.place.webs[web].domain);
        let spray = Spray { start, length, mails, unknown: refused * 0.7, spam: refused * 0.3, big: 1.0, size };
        let jobs = self.spray(&hand, &spray, |_, _| from.clone());
        Made {
            form: "contact-form".to_owned(),
            also: vec!["bulk-campaign", "invalid-recipient-flood", "hourly-limit", "reputation-damage"],
            identities: vec![self.of(&hand)],
            jobs,
            ..Made::default()
        }
    }

    fn spf(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let refusals = self.band([(5, 8), (18, 35), (70, 150)]);
        let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
        let (start, length) = self.when(2 * DAY);
        let step = length / (refusals * 2);
        let mut made =
            Made { form: "record-without-this-host".to_owned(), also: vec!["unwanted-recipient"], ..Made::default() };
        let checkers = [0, 2, 5, 8];
        let mut left = refusals;
        for i in 0..refusals * 2 {
            let at = start + i * step + self.rng.below(step);
            let at = self.human(&hand, at);
            let mut contact = stranger(self.world, 0.6, &mut self.rng);
            let rcpt = if i % 2 == 0 && left > 0 {
                left -= 1;
                let site = if self.rng.chance(0.6) {
                    checkers[(i as usize / 2) % checkers.len()]
                } else {
                    self.world.company_of(&mut self.rng, &[Kind::Postfix, Kind::Exchange365])
                };
                contact = Contact {
                    to: format!("{}@{}", world::person(&mut self.rng), self.world.sites[site].name),
                    site: Some(site),
                };
                self.place.refused(self.world, at, &login, &contact, Why::Spf, &mut self.rng)
            } else {
                self.place.rcpt(self.world, at, &login, &contact, true, &mut self.rng)
            };
            let size = self.rng.range(2000, 60_000);
            let job = self.send(&hand, at, mail(login.clone(), vec![rcpt], size));
            made.jobs.push(job);
        }
        made.identities.push(self.of(&hand));
        made
    }

    fn false_listing(&mut self) -> Made {
        let refusals = self.band([(5, 9), (16, 40), (60, 150)]);
        let site = self.world.company_of(&mut self.rng, &[Kind::Postfix, Kind::Exim]);
        let (start, length) = self.when(2 * DAY);
        let senders: Vec<usize> =
            (0..self.band([(2, 3), (3, 6), (5, 12)])).map(|_| self.rng.index(self.place.accounts.len())).collect();
        if self.with_damage {
            self.place.damage.push(Damage {
                from: start,
                until: start + length,
                share: 1.0,
                kinds: Vec::new(),
                site: Some(site),
            });
        }
        let ordinary = |index: &usize| self.place.accounts[*index].role == Role::Ordinary;
        let mut senders: Vec<usize> = senders.into_iter().filter(ordinary).collect();
        if senders.is_empty() {
            senders.push(self.account());
        }
        let step = length / refusals;
        let mut made = Made {
            form: "one-receiver-claims-a-list".to_owned(),
            also: vec!["reputation-damage", "unwanted-recipient"],
            until: Some(start + length),
            ..Made::default()
        };
        let mut logins = BTreeSet::new();
        for i in 0..refusals {
            let at = start + i * step + self.rng.below(step);
            let at = at / DAY * DAY + work_time(&mut self.rng);
            let at = at.clamp(start, start + length - 1);
            let account = senders[i as usize % senders.len()];
            let login = self.place.accounts[account].login.clone();
            let contact = Contact {
                to: format!("{}@{}", world::staff(&mut self.rng), self.world.sites[site].name),
                site: Some(site),
            };
            let rcpt = self.place.rcpt(self.world, at, &login, &contact, true, &mut self.rng);
            let hand = Hand::Login { account, clients: vec![self.own_client(account)] };
            let size = self.rng.range(2000, 60_000);
            let job = self.send(&hand, at, mail(login.clone(), vec![rcpt], size));
            made.jobs.push(job);
            logins.insert(login);
        }
        made.identities = self.this_host();
        made.or = logins.iter().map(|login| self.identity("sasl", login)).collect();
        made
    }

    /// The host itself, in the words that a report may use for it.
    fn this_host(&self) -> Vec<Identity> {
        // A log whose lines name no host leaves it to the report what to call it.
        [self.place.name.as_str(), &self.place.fqdn, &self.place.ip, "this host"]
            .into_iter()
            .map(|name| self.identity("null", name))
            .collect()
    }

    fn reputation(&mut self) -> Made {
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let mails = self.band([(250, 400), (500, 900), (1200, 2500)]);
        let hours = self.band([(3, 5), (6, 9), (12, 18)]);
        let (start, length) = self.when((hours + 3) * HOUR);
        let run = 2 * HOUR;
        let networks = self.band([(1, 2), (2, 6), (6, 20)]);
        let clients = self.bots(networks);
        let hand = Hand::Login { account, clients };
        let onset = start + HOUR + self.rng.below(HOUR / 2);
        let until = start + length;
        let kinds: Vec<Kind> = match self.level {
            0 => [[Kind::Yahoo, Kind::Outlook], [Kind::Google, Kind::Yahoo], [Kind::Outlook, Kind::Gmx]]
                [self.rng.index(3)]
            .to_vec(),
            1 => vec![Kind::Yahoo, Kind::Outlook, [Kind::Gmx, Kind::Google, Kind::Orange][self.rng.index(3)]],
            _ => {
                vec![Kind::Yahoo, Kind::Outlook, Kind::Gmx, Kind::Tonline, Kind::Google, Kind::Postfix, Kind::Exchange]
            }
        };
        let form = format!("{kinds:?}");
        if self.with_damage {
            let share = self.share([(0.3, 0.5), (0.5, 0.75), (0.75, 0.95)]);
            self.place.damage.push(Damage { from: onset, until, share, kinds, site: None });
        }
        let size = self.rng.range(1800, 7000);
        let spray = Spray { start, length: run, mails, unknown: 0.08, spam: 0.12, big: 0.8, size };
        let jobs = self.spray(&hand, &spray, |_, _| login.clone());
        let mut identities = self.this_host();
        identities.insert(0, self.of(&hand));
        Made {
            form,
            also: vec![
                "account-takeover",
                "bulk-campaign",
                "hourly-limit",
                "invalid-recipient-flood",
                "unwanted-recipient",
            ],
            identities,
            jobs,
            until: Some(until),
            ..Made::default()
        }
    }

    fn backscatter(&mut self) -> Made {
        let mails = self.band([(18, 35), (80, 200), (400, 1200)]);
        let hours = self.band([(6, 20), (4, 12), (3, 10)]);
        let (start, length) = self.when(hours * HOUR);
        let single = self.rng.chance(0.4);
        let n = if single { 1 } else { mails / 4 + 2 };
        let clients = self.bots(n);
        let target = self.place.domains[self.rng.index(self.place.customers)].clone();
        let step = length / mails;
        let mut made = Made {
            form: if single { "one-client" } else { "many-clients" }.to_owned(),
            also: vec!["directory-harvest"],
            ..Made::default()
        };
        for i in 0..mails {
            let at = start + i * step + self.rng.below(step);
            let client = clients[self.rng.index(clients.len())].clone();
            let from = format!(
                "{}@{}",
                world::person(&mut self.rng),
                self.world.sites[self.world.company(&mut self.rng)].name
            );
            let to = Rcpt {
                to: format!("{}{}@{target}", world::random_local(&mut self.rng), self.rng.below(99)),
                orig: None,
                fate: Fate::NoMailbox,
            };
            let mail = mail(from, vec![to], 3000 + self.rng.below(9000));
            made.jobs.push(stranger_job(client, at, Vec::new(), vec![mail], &mut self.rng));
        }
        made.identities = self.this_host();
        for client in &clients {
            made.or.push(self.identity("client", &client.ip));
            made.or.push(self.identity("null", &client.ip));
        }
        made.or.push(self.identity("domain", &target));
        made
    }

    fn harvest(&mut self) -> Made {
        let unknown = self.band([(30, 55), (100, 250), (500, 2000)]);
        let hours = self.band([(2, 6), (1, 5), (1, 8)]);
        let (start, length) = self.when(hours * HOUR);
        let spread = self.rng.chance(0.4);
        let base = world::bot_client(&mut self.rng);
        let prefix = base.ip.rsplit_once('.').map_or_else(String::new, |(net, _)| net.to_owned());
        let n = if spread { self.rng.range(6, 20) } else { 1 };
        let clients: Vec<Client> = (0..n)
            .map(|i| Client {
                ip: if spread { format!("{prefix}.{}", 20 + i * 7) } else { base.ip.clone() },
                name: None,
                helo: base.helo.clone(),
            })
            .collect();
        let domains: Vec<String> = (0..1 + self.level)
            .map(|i| self.place.domains[(self.number as usize + i) % self.place.customers].clone())
            .collect();
        let mut made = Made {
            form: if spread { "one-network" } else { "one-client" }.to_owned(),
            also: vec!["password-guessing"],
            ..Made::default()
        };
        let sessions = unknown.div_ceil(6);
        let step = length / sessions;
        let mut left = unknown;
        for i in 0..sessions {
            let at = start + i * step + self.rng.below(step);
            let mut rcpts = Vec::new();
            for _ in 0..left.min(6) {
                left -= 1;
                let to = format!(
                    "{}{}@{}",
                    world::guessed(&mut self.rng),
                    self.rng.below(300),
                    domains[self.rng.index(domains.len())]
                );
                rcpts.push(Rcpt { to, orig: None, fate: Fate::Refused(Refusal::UnknownHere) });
            }
            let from = format!("{}@{}", world::random_local(&mut self.rng), self.world.sites[20].name);
            let client = clients[i as usize % clients.len()].clone();
            let mail = mail(from, rcpts, 1000);
            made.jobs.push(stranger_job(client, at, Vec::new(), vec![mail], &mut self.rng));
        }
        made.identities = clients.iter().map(|client| self.identity("client", &client.ip)).collect();
        made.or.push(self.identity("client", &format!("{prefix}.0/24")));
        made.or.push(self.identity("network", &format!("{prefix}.0/24")));
        made
    }

    fn guessing(&mut self) -> Made {
        let failures = self.band([(25, 45), (100, 300), (800, 2200)]);
        let form = self.rng.below(3);
        let hours = match form {
            2 => self.band([(10, 12), (8, 10), (16, 24)]),
            _ => self.band([(2, 6), (1, 4), (3, 8)]),
        };
        let (start, length) = self.when(hours * HOUR);
        let account = self.account();
        let login = self.place.accounts[account].login.clone();
        let target = domain(&login).to_owned();
        let n = match form {
            0 => 1,
            1 => self.band([(1, 2), (3, 8), (10, 30)]),
            _ => self.band([(12, 16), (20, 40), (50, 120)]),
        };
        let clients = self.bots(n);
        let logins: Vec<String> = match form {
            1 => vec![login.clone()],
            _ => {
                let mut names: Vec<String> = self
                    .place
                    .accounts
                    .iter()
                    .filter(|other| other.domain() == target)
                    .map(|other| other.login.clone())
                    .take(if form == 0 { 20 } else { 6 })
                    .collect();
                for _ in 0..if form == 0 { failures / 3 } else { 2 } {
                    names.push(format!("{}@{target}", world::guessed(&mut self.rng)));
                }
                names
            }
        };
        let mut made = Made {
            form: ["one-client-many-logins", "many-tries-at-one-login", "slow-and-spread"][form as usize].to_owned(),
            ..Made::default()
        };
        let step = length / failures;
        for i in 0..failures {
            let at = start + i * step + self.rng.below(step);
            let client = clients[self.rng.index(clients.len())].clone();
            let name = logins[self.rng.index(logins.len())].clone();
            let job = self.failures(&client, at, vec![name]);
            made.jobs.push(job);
        }
        made.identities = match form {
            1 => vec![self.identity("sasl", &login)],
            _ => clients.iter().map(|client| self.identity("client", &client.ip)).collect(),
        };
        made.or = match form {
            1 => clients.iter().map(|client| self.identity("client", &client.ip)).collect(),
            _ => logins.iter().map(|login| self.identity("sasl", login)).collect(),
        };
        for client in &clients {
            if let Some((net, _)) = client.ip.rsplit_once('.') {
                made.or.push(self.identity("client", &format!("{net}.0/24")));
                made.or.push(self.identity("network", &format!("{net}.0/24")));
            }
        }
        if form == 2 {
            made.or.push(self.identity("null", &target));
        }
        if self.level > 0 && self.rng.chance(0.4) {
            made.form.push_str("+success");
            made.also.push("account-takeover");
            let hand = Hand::Login { account, clients: vec![clients[0].clone()] };
            let at = start + length + 2 * MINUTE;
            for i in 0..self.rng.range(1, 4) {
                let drop = Contact { to: format!("{}@gmail.com", world::random_local(&mut self.rng)), site: Some(0) };
                let at = at + i * 5 * MINUTE;
                let rcpt = self.place.rcpt(self.world, at, &login, &drop, true, &mut self.rng);
                let job = self.send(&hand, at, mail(login.clone(), vec![rcpt], 900));
                made.jobs.push(job);
            }
            let victim = self.of(&hand);
            if !made.identities.contains(&victim) {
                made.or.push(victim);
            }
        }
        made
    }
}

fn mail(from: String, rcpts: Vec<Rcpt>, size: u64) -> Mail {
    Mail { gap: 0, from, rcpts, size, subject: "Important information" }
}

fn checks_spf(kind: Kind) -> bool {
    matches!(kind, Kind::Google | Kind::Outlook | Kind::Yahoo | Kind::Gmx | Kind::Postfix | Kind::Exchange365)
}

/// A mailbox at a provider that refuses for good when it is full.
fn full_permanent(world: &World, contact: &Contact) -> Contact {
    let site = 8;
    let local = contact.to.split('@').next().unwrap_or("box");
    Contact { to: format!("{local}@{}", world.sites[site].name), site: Some(site) }
}

/// Keeps only the first `units` of an incident.
pub fn stop_after(jobs: &mut Vec<Job>, units: usize) {
    let mut left = units;
    jobs.retain_mut(|job| {
        if left == 0 {
            return false;
        }
        job.cut(left);
        left = left.saturating_sub(job.units());
        true
    });
}
