//! `traffic make`: logs and truth for one set of arguments.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use clap::{Args, ValueEnum};

use crate::{
    exim::Exim,
    incident::{self, Incident},
    model::{DAY, Done, Identity, Job, Ledger, MINUTE},
    place::Place,
    postfix::Postfix,
    sink::{Sink, Stamps, day_text, rfc3339},
    truth::{Bystander, Sender, TrueIncident, Truth},
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mta {
    Postfix,
    Exim,
}

#[derive(Args, Debug)]
pub struct Make {
    #[arg(long)]
    seed: u64,
    /// Logins of all hosts together, school classes not counted.
    #[arg(long, value_parser = clap::value_parser!(u64).range(20..))]
    accounts: u64,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    days: u64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=16))]
    hosts: u64,
    #[arg(long)]
    mta: Mta,
    /// Form of the stamps of Postfix.
    #[arg(long, default_value = "rfc3339")]
    stamps: Stamps,
    /// No incidents.
    #[arg(long)]
    innocent_only: bool,
    /// Every incident ends after so many messages, as if somebody had stopped it.
    #[arg(long)]
    stop_after: Option<usize>,
    #[arg(long)]
    out: PathBuf,
}

/// The last minutes of the log bring nothing new, so that no message is cut off in the middle of its first attempt.
const QUIET_END: u64 = 10 * MINUTE;

pub fn run(make: &Make) -> io::Result<(u64, u64)> {
    let world = World::new(make.seed, (make.accounts / 2).clamp(400, 4000) as usize);
    let each = (make.accounts / make.hosts).max(14);
    let mut places: Vec<Place> = (0..make.hosts)
        .map(|index| Place::new(&world, make.seed, index, make.hosts, each, make.days, make.mta == Mta::Exim))
        .collect();
    let mut incidents = incident::plan(&world, &mut places, make.seed, make.accounts, !make.innocent_only);
    if make.innocent_only {
        incidents.clear();
    }
    let mut hot: Vec<Vec<Job>> = places.iter().map(|_| Vec::new()).collect();
    for incident in &mut incidents {
        let mut jobs = std::mem::take(&mut incident.jobs);
        if let Some(units) = make.stop_after {
            incident::stop_after(&mut jobs, units);
        }
        hot[incident.host].extend(jobs);
    }
    let results: Vec<io::Result<Ledger>> = thread::scope(|scope| {
        let running: Vec<_> = places
            .iter()
            .zip(hot)
            .map(|(place, hot)| {
                let world = &world;
                scope.spawn(move || write_host(make, world, place, hot))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a host's writer broke off"))))
            .collect()
    });
    let mut ledgers = Vec::new();
    for result in results {
        ledgers.push(result?);
    }
    let truth = truth_of(make, &places, &incidents, &ledgers);
    let file = io::BufWriter::new(fs::File::create(make.out.join("truth.json"))?);
    serde_json::to_writer_pretty(file, &truth)?;
    Ok((truth.lines, truth.bytes))
}

enum Writer {
    Postfix(Box<Postfix>),
    Exim(Box<Exim>),
}

fn write_host(make: &Make, world: &World, place: &Place, mut hot: Vec<Job>) -> io::Result<Ledger> {
    let dir = make.out.join("logs").join(&place.name);
    fs::create_dir_all(&dir)?;
    let end = make.days * DAY;
    let hosted: BTreeSet<String> = place.domains.iter().cloned().chain([place.fqdn.clone()]).collect();
    let mixed = make.seed + place.index;
    let mut writer = match make.mta {
        Mta::Postfix => {
            let sink = create(&dir.join("mail.log"), make.stamps, place, end)?;
            Writer::Postfix(Box::new(Postfix::new(sink, &place.fqdn, mixed % 3 == 1, hosted)))
        }
        Mta::Exim => {
            let sink = create(&dir.join("mainlog"), Stamps::Exim, place, end)?;
            Writer::Exim(Box::new(Exim::new(sink, mixed.is_multiple_of(2), mixed % 3 != 2, hosted)))
        }
    };
    hot.sort_by_key(|job| job.at);
    let mut hot = hot.into_iter().peekable();
    let mut over: Vec<Job> = Vec::new();
    for day in 0..make.days {
        let mut jobs = std::mem::take(&mut over);
        jobs.extend(place.ordinary_day(world, day));
        while let Some(job) = hot.next_if(|job| job.at < (day + 1) * DAY) {
            jobs.push(job);
        }
        for job in &mut jobs {
            job.at = job.at.max(day * DAY);
            job.unique();
        }
        jobs.sort_by_key(|job| job.at);
        let today = jobs.partition_point(|job| job.at < (day + 1) * DAY);
        over = jobs.split_off(today);
        if let Writer::Exim(exim) = &mut writer {
            exim.queue_runs(day);
        }
        for job in jobs.iter().filter(|job| job.at < end - QUIET_END) {
            match &mut writer {
                Writer::Postfix(postfix) => postfix.run(job)?,
                Writer::Exim(exim) => exim.run(job)?,
            }
        }
    }
    let (mut sink, mut ledger) = match writer {
        Writer::Postfix(postfix) => (postfix.sink, postfix.ledger),
        Writer::Exim(exim) => (exim.sink, exim.ledger),
    };
    sink.finish()?;
    ledger.lines = sink.lines;
    ledger.bytes = sink.bytes;
    Ok(ledger)
}

fn create(path: &Path, stamps: Stamps, place: &Place, end: u64) -> io::Result<Sink> {
    Sink::create(path, stamps, &place.name, end)
}

fn truth_of(make: &Make, places: &[Place], incidents: &[Incident], ledgers: &[Ledger]) -> Truth {
    let guilty: BTreeSet<&Identity> = incidents.iter().flat_map(|incident| &incident.identities).collect();
    let mut identities = Vec::new();
    let mut bystanders = Vec::new();
    for (place, ledger) in places.iter().zip(ledgers) {
        let roles = roles_of(place);
        for ((kind, name), counts) in &ledger.senders {
            let identity = Identity::new(&place.name, kind, name);
            let role = roles.get(&(*kind, name.clone())).copied().unwrap_or("unknown");
            identities.push(Sender {
                innocent: !guilty.contains(&identity),
                role: role.to_owned(),
                identity,
                counts: *counts,
            });
        }
        for (kind, name, role) in &place.bystanders {
            bystanders.push(Bystander { identity: Identity::new(&place.name, kind, name), role: (*role).to_owned() });
        }
    }
    let mut done: BTreeMap<usize, Done> = BTreeMap::new();
    for ledger in ledgers {
        done.extend(&ledger.incidents);
    }
    let incidents = incidents
        .iter()
        .enumerate()
        .filter_map(|(number, incident)| {
            let done = done.get(&number)?;
            Some(TrueIncident {
                id: format!("i{number:04}"),
                kind: incident.kind.to_owned(),
                intensity: incident.intensity.to_owned(),
                also: incident.also.iter().map(|kind| (*kind).to_owned()).collect(),
                form: incident.form.clone(),
                identities: incident.identities.clone(),
                alternatives: incident.or.clone(),
                first: rfc3339(done.first?),
                last: rfc3339(done.last.max(incident.until.unwrap_or(0))),
                messages: done.messages,
                recipients: done.recipients,
                attempts: done.attempts,
            })
        })
        .collect();
    Truth {
        seed: make.seed,
        mta: format!("{:?}", make.mta).to_lowercase(),
        days: (0..make.days).map(|day| day_text(day * DAY)).collect(),
        hosts: places.iter().map(|place| place.name.clone()).collect(),
        lines: ledgers.iter().map(|ledger| ledger.lines).sum(),
        bytes: ledgers.iter().map(|ledger| ledger.bytes).sum(),
        identities,
        bystanders,
        incidents,
    }
}

fn roles_of(place: &Place) -> BTreeMap<(&'static str, String), &'static str> {
    let mut roles = BTreeMap::new();
    for account in &place.accounts {
        roles.insert(("sasl", account.login.clone()), account.role.name());
    }
    for web in &place.webs {
        let name = if place.is_exim() { web.user.clone() } else { web.uid.to_string() };
        roles.insert(("uid", name), if web.uid == 0 { "cron" } else { "web-site" });
    }
    roles
        .insert(("uid", if place.is_exim() { "vmail".to_owned() } else { "5000".to_owned() }), "out-of-office-replies");
    for relay in &place.relays {
        roles.insert(("client", relay.client.ip.clone()), relay.usage.name());
    }
    roles
}
