//! Several servers under the same load in turn, A-B-A-B: what each delivery cost each of them, round by round.

use super::{
    crowd::{Crowd, Load, Plan, Tally},
    meter::Meter,
    row::Spread,
    server::Server,
    stage::Stage,
};
use crate::outcome::complain;

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
    pub(crate) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(Round::cpu_per_delivery))
    }

    /// This server's cost over the other's, round by round.
    pub(crate) fn over(&self, baseline: &Series) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&baseline.rounds);
        Spread::of(pairs.map(|(own, other)| own.cpu_per_delivery() / other.cpu_per_delivery().max(1e-9)))
    }

    /// What broke in any round.
    pub(crate) fn broken(&self) -> Option<String> {
        self.rounds.iter().find_map(|round| Some(format!("{}: {}", self.name, round.tally.broken()?)))
    }

    /// p50 and p99 at the probes, all rounds together, in words.
    pub(crate) fn latency(&self) -> String {
        let all = Tally::latencies(self.rounds.iter().map(|round| &round.tally));
        let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
        format!("{} p50 {:.2} p99 {:.2} ms", self.name, ms(0.5), ms(0.99))
    }
}

/// Rounds of all contenders in turn, after one that does not count. A round in which the generator was late is done again,
/// as often as there are rounds.
///
/// # Errors
/// A server ended, or Ctrl-C.
pub(crate) fn contest(stage: &Stage, contenders: &mut [Contender], load: &Load) -> Result<Vec<Series>, String> {
    let mut series: Vec<Series> = contenders
        .iter()
        .map(|contender| Series { name: contender.name.clone(), rounds: Vec::with_capacity(stage.rounds()) })
        .collect();
    let warm = Load { time: load.time / 2, ..*load };
    for contender in contenders.iter_mut() {
        contender.round(&warm)?;
    }
    let mut spare = stage.rounds();
    while series.iter().any(|series| series.rounds.len() < stage.rounds()) {
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
        let round: Vec<Round> =
            contenders.iter_mut().map(|contender| contender.round(load)).collect::<Result<_, _>>()?;
        let late = round.iter().map(|round| round.tally.lateness_p99_ms()).fold(0.0, f64::max);
        tell(&series, &round);
        if late > 1.0 && spare > 0 {
            spare -= 1;
            complain(&format!("  the generator was late (p99 {late:.1} ms): once more"));
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
    complain(&format!("  {}", costs.join("  ")));
}
