//! Several servers under the same load in turn, A-B-A-B: what each delivery cost each of them, round by round.

use std::borrow::Borrow;

use super::{
    crowd::{Crowd, Load, Plan, Tally},
    meter::Meter,
    row::{Row, Spread, short},
    server::Server,
    stage::Stage,
    targets::Goal,
};
use crate::outcome::complain;

/// A generator that is later than this with one SEND in a hundred.
const LATE_MS: f64 = 1.0;

/// Rounds that are done again at most.
const SPARE: usize = 2;

/// A server with its crowd.
pub(crate) struct Contender {
    /// As the report calls it.
    pub(crate) name: String,
    /// The server.
    pub(crate) server: Server,
    /// Its clients.
    pub(crate) crowd: Crowd,
}

/// One server under one load once.
pub(crate) struct Round {
    /// What the crowd saw.
    pub(crate) tally: Tally,
    /// The server's CPU, microseconds, all threads.
    pub(crate) cpu_us: f64,
    /// The generator's.
    pub(crate) own_us: f64,
    /// Writes per delivery, of a server that counts its writes.
    pub(crate) writes: Option<f64>,
}

/// All rounds of one server.
pub(crate) struct Series {
    /// As the report calls it.
    pub(crate) name: String,
    /// Its rounds.
    pub(crate) rounds: Vec<Round>,
    /// What broke in a round that does not count.
    aside: Option<String>,
}

impl Contender {
    /// A server, and these clients on it.
    ///
    /// # Errors
    /// They cannot join.
    pub(crate) fn new(server: Server, plan: impl FnOnce(&Server) -> Plan) -> Result<Contender, String> {
        let crowd =
            Crowd::open(&plan(&server)).map_err(|why| format!("{}: {why}\n  {}", server.name, server.said()))?;
        Ok(Contender { name: server.name.to_owned(), server, crowd })
    }

    /// One load.
    ///
    /// # Errors
    /// The server has ended.
    pub(crate) fn round(&mut self, load: &Load) -> Result<Round, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.name);
        let writes = |server: &Server| server.metrics().map(|metrics| metrics.sum("klatsch_writes_total", "")).ok();
        let (server, own) = (self.server.meter(), Meter::new(std::process::id()));
        let written = writes(&self.server);
        let before = (server.read().map_err(failed)?, own.read().map_err(failed)?);
        let tally = self.crowd.drive(load)?;
        let after = (server.read().map_err(failed)?, own.read().map_err(failed)?);
        let deliveries = tally.deliveries as f64;
        let writes = written.zip(writes(&self.server)).map(|(before, after)| (after - before) / deliveries.max(1.0));
        Ok(Round { tally, cpu_us: after.0.since(&before.0).cpu_us, own_us: after.1.since(&before.1).cpu_us, writes })
    }
}

impl Round {
    /// Microseconds of the server per MESSAGE that somebody got.
    pub(crate) fn cpu_per_delivery(&self) -> f64 {
        self.cpu_us / (self.tally.deliveries as f64).max(1.0)
    }
}

impl Series {
    /// Microseconds per delivery.
    ///
    /// # Errors
    /// There was no round.
    pub(crate) fn cpu(&self) -> Result<Spread, String> {
        Spread::of(self.rounds.iter().map(Round::cpu_per_delivery)).ok_or_else(|| format!("{}: no round", self.name))
    }

    /// This server's cost over the other's, round by round.
    ///
    /// # Errors
    /// There was no round.
    pub(crate) fn over(&self, baseline: &Series) -> Result<Spread, String> {
        let pairs = self.rounds.iter().zip(&baseline.rounds);
        let ratios = pairs.map(|(own, other)| own.cpu_per_delivery() / other.cpu_per_delivery().max(1e-9));
        Spread::of(ratios).ok_or_else(|| format!("{}: no round", self.name))
    }

    /// What broke in any round.
    pub(crate) fn broken(&self) -> Option<String> {
        let broken = self.aside.clone().or_else(|| self.rounds.iter().find_map(|round| round.tally.broken()));
        broken.map(|what| format!("{}: {what}", self.name))
    }

    /// p50 and p99 at the probes, all rounds together, in words.
    pub(crate) fn latency(&self) -> String {
        let all = Tally::latencies(self.rounds.iter().map(|round| &round.tally));
        let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
        format!("{} p50 {} p99 {} ms", self.name, short(ms(0.5)), short(ms(0.99)))
    }

    /// That most rounds had a late generator, so that latencies say nothing.
    pub(crate) fn late(&self) -> Option<String> {
        let late: Vec<f64> = self.rounds.iter().map(|round| round.tally.lateness_p99_ms()).collect();
        let median = Spread::of(late)?.median;
        (median > LATE_MS).then(|| format!("the generator was late (p99 {} ms)", short(median)))
    }
}

/// The row of one server's CPU per delivery over that of a baseline: the first two of these.
///
/// # Errors
/// There are not two, or no round.
pub(crate) fn costs<S: Borrow<Series>>(stage: &Stage, goal: &Goal, load: &str, series: &[S]) -> Result<Row, String> {
    let [edge, baseline, ..] = series else { return Err("a server is missing".to_owned()) };
    let (edge, baseline) = (edge.borrow(), baseline.borrow());
    let ratio = edge.over(baseline)?;
    let us = |series: &Series| series.cpu().map(|cost| format!("{} us", short(cost.median)));
    let mut row = Row::judged(goal, load, ratio.median).measured(us(edge)?, us(baseline)?).ratio(ratio).note(format!(
        "{}; {}",
        edge.latency(),
        baseline.latency()
    ));
    // What a delivery costs does not depend on when exactly it was asked for; the latencies do.
    if let Some(late) = edge.late().or(baseline.late()) {
        row = row.also(&late);
    }
    Ok(stage.lenient(row.unless(edge.broken()).unless(baseline.broken()), goal, ratio.median))
}

/// Rounds of all contenders in turn, after one that does not count. A round in which the generator was late is done again,
/// but for a machine that is always late not for ever.
///
/// # Errors
/// A server ended, or Ctrl-C.
pub(crate) fn contest(stage: &Stage, contenders: &mut [Contender], load: &Load) -> Result<Vec<Series>, String> {
    let mut series: Vec<Series> = contenders
        .iter()
        .map(|contender| Series { name: contender.name.clone(), rounds: Vec::new(), aside: None })
        .collect();
    let warm = Load { time: load.time / 2, ..*load };
    for (contender, series) in contenders.iter_mut().zip(&mut series) {
        series.aside = contender.round(&warm)?.tally.broken();
    }
    let mut spare = SPARE;
    while series.iter().any(|series| series.rounds.len() < stage.rounds()) {
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
        let round: Vec<Round> =
            contenders.iter_mut().map(|contender| contender.round(load)).collect::<Result<_, _>>()?;
        let late = round.iter().map(|round| round.tally.lateness_p99_ms()).fold(0.0, f64::max);
        tell(&series, &round);
        if late > LATE_MS && spare > 0 {
            spare -= 1;
            complain(&format!("  the generator was late (p99 {late:.1} ms): once more"));
            for (series, round) in series.iter_mut().zip(&round) {
                series.aside = series.aside.take().or_else(|| round.tally.broken());
            }
            continue;
        }
        for (series, round) in series.iter_mut().zip(round) {
            series.rounds.push(round);
        }
    }
    Ok(series)
}

fn tell(series: &[Series], round: &[Round]) {
    let costs: Vec<String> = series
        .iter()
        .zip(round)
        .map(|(series, round)| format!("{} {:.2} us", series.name, round.cpu_per_delivery()))
        .collect();
    let own: Vec<f64> = round.iter().map(|round| round.own_us / (round.tally.deliveries as f64).max(1.0)).collect();
    let own = Spread::of(own).map_or(0.0, |own| own.median);
    complain(&format!("  {}  (the generator {own:.2} us)", costs.join("  ")));
}
