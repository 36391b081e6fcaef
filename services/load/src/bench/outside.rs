//! `bench --url`: the same load on any STOMP server, and what it costs the processes that the caller names.

use std::{
    fmt::{self, Display, Formatter},
    io::{self, Write as _},
    time::Duration,
};

use serde::Serialize;

use super::{
    crowd::{Crowd, Load, Plan, Tally},
    meter::{Meter, Reading},
    place::{Ahead, Cores, Place},
    row::{Spread, short},
    settings::BenchSettings,
};
use crate::{
    latency::Figures,
    outcome::{Outcome, complain},
    stop::Stop,
    target::Target,
};

/// A round's length, unless --seconds says another one.
const ROUND: u64 = 10;

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    url: String,
    members: u32,
    rooms: u32,
    rate: f64,
    body: u32,
    rounds: usize,
    /// MESSAGEs that came.
    deliveries: u64,
    /// Most in a second of one round.
    deliveries_per_second: f64,
    /// CPU per delivery in microseconds, by role.
    roles: Vec<Role>,
    /// The same of all roles together.
    whole: Option<Spread>,
    /// From due until read by a probe.
    delivery: Option<Figures>,
    /// By which the generator itself was late, in milliseconds: 99 of 100.
    lateness_p99_ms: f64,
    /// The generator's share of its core.
    generator: f64,
    /// What should not have happened, once for each round in which it did.
    broken: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Role {
    name: String,
    pid: u32,
    us_per_delivery: Spread,
}

/// One round: what came, and what each process used, the generator last.
struct Round {
    tally: Tally,
    spent: Vec<f64>,
    own: f64,
}

/// Puts the load on the server, round by round.
pub(super) fn run(settings: &BenchSettings, target: &Target) -> Result<Outcome, String> {
    let stop = Stop::on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let cores = Cores::of_this_thread().map_err(|error| format!("the cores: {error}"))?;
    cores.pin(Place::Generator).map_err(|error| format!("the generator cannot be pinned: {error}"))?;
    let _ahead = Ahead::of_others();
    let plan = Plan {
        dialect: settings.dialect.clone(),
        body: settings.body as usize,
        ..Plan::new(target, settings.members, settings.rooms)
    };
    let mut crowd = Crowd::open(&plan)?;
    complain(&format!("{} clients in {} rooms have joined", settings.members, settings.rooms));
    let time = Duration::from_secs(settings.seconds.unwrap_or(ROUND));
    let load = Load::steady(settings.rate, time);
    let mut rounds = Vec::new();
    // What is compiled or allocated on the way is not measured.
    let warm = crowd.drive(&Load { time: time / 2, ..load })?;
    while rounds.len() < settings.rounds && !stop.asked() {
        let round = round(&mut crowd, &load, settings)?;
        complain(&format!("  {} us of CPU per delivery", short(round.spent.iter().sum::<f64>() / came(&round.tally))));
        rounds.push(round);
    }
    let mut report = report(settings, target, &rounds)?;
    report.broken.extend(warm.broken());
    let text = if settings.json {
        serde_json::to_string(&report).map_err(|error| format!("the result cannot be written: {error}"))?
    } else {
        report.to_string()
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("the result cannot be written: {error}"))?;
    Ok(if report.broken.is_empty() { Outcome::Held } else { Outcome::Broken })
}

fn round(crowd: &mut Crowd, load: &Load, settings: &BenchSettings) -> Result<Round, String> {
    let own = Meter::new(std::process::id());
    let read = || -> Result<Vec<Reading>, String> {
        let named = settings.pid.iter().map(|(role, pid)| (role.as_str(), Meter::new(*pid)));
        let all = named.chain([("the generator", own)]);
        all.map(|(role, meter)| meter.read().map_err(|error| format!("{role}, pid {}: {error}", meter.pid()))).collect()
    };
    let before = read()?;
    let tally = crowd.drive(load)?;
    let mut spent: Vec<f64> = read()?.iter().zip(&before).map(|(now, before)| now.since(before).cpu_us).collect();
    let own = spent.pop().unwrap_or_default();
    Ok(Round { tally, spent, own })
}

/// Never zero, so that it can divide.
fn came(tally: &Tally) -> f64 {
    (tally.deliveries as f64).max(1.0)
}

fn report(settings: &BenchSettings, target: &Target, rounds: &[Round]) -> Result<Report, String> {
    let nothing = || "ended before the first round was done".to_owned();
    let of = |cost: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(|round| cost(round) / came(&round.tally)));
    let role = |(index, (name, pid)): (usize, &(String, u32))| {
        let us_per_delivery = of(&|round| round.spent[index])?;
        Some(Role { name: name.clone(), pid: *pid, us_per_delivery })
    };
    let roles: Option<Vec<Role>> = settings.pid.iter().enumerate().map(role).collect();
    let seconds = |round: &Round| round.tally.wall.as_secs_f64().max(1e-9);
    let most = Spread::of(rounds.iter().map(|round| round.tally.deliveries as f64 / seconds(round)));
    let late = Spread::of(rounds.iter().map(|round| round.tally.lateness_p99_ms()));
    let own = Spread::of(rounds.iter().map(|round| round.own / 1e6 / seconds(round)));
    Ok(Report {
        url: target.url.clone(),
        members: settings.members,
        rooms: settings.rooms,
        rate: settings.rate,
        body: settings.body,
        rounds: rounds.len(),
        deliveries: rounds.iter().map(|round| round.tally.deliveries).sum(),
        deliveries_per_second: most.ok_or_else(nothing)?.max,
        roles: roles.ok_or_else(nothing)?,
        whole: if settings.pid.is_empty() { None } else { of(&|round| round.spent.iter().sum()) },
        delivery: Figures::of(&Tally::latencies(rounds.iter().map(|round| &round.tally))),
        lateness_p99_ms: late.ok_or_else(nothing)?.median,
        generator: own.ok_or_else(nothing)?.median,
        broken: rounds.iter().filter_map(|round| round.tally.broken()).collect(),
    })
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report { members, rooms, rate, body, rounds, .. } = self;
        writeln!(f, "{}: {members} members, {rooms} rooms, {rate} SENDs/s of {body} B, {rounds} rounds", self.url)?;
        writeln!(f, "deliveries     {} ({:.0}/s)", self.deliveries, self.deliveries_per_second)?;
        let cost = |f: &mut Formatter<'_>, name: &str, Spread { median, min, max }: Spread| {
            writeln!(f, "{name:<14} {median:.2} us of CPU per delivery ({min:.2}–{max:.2})")
        };
        for role in &self.roles {
            cost(f, &role.name, role.us_per_delivery)?;
        }
        if let (Some(whole), [_, _, ..]) = (self.whole, &self.roles[..]) {
            cost(f, "together", whole)?;
        }
        if let Some(Figures { p50_ms, p99_ms, max_ms, .. }) = self.delivery {
            writeln!(f, "delivery       p50 {p50_ms:.2}  p99 {p99_ms:.2}  max {max_ms:.2} ms")?;
        }
        let own = self.generator * 100.0;
        write!(f, "generator      {own:.0} % of a core, late by {:.2} ms (p99)", self.lateness_p99_ms)?;
        for broken in &self.broken {
            write!(f, "\nBROKEN         {broken}")?;
        }
        Ok(())
    }
}
