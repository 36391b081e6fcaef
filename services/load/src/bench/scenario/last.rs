//! Row 10: when the last member of a room has its message.

use super::Scenario;
use crate::bench::{
    contest::Contender,
    crowd::{Plan, Tally},
    row::{Row, Spread, short},
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};
use std::time::Duration;

pub(super) const LAST: Scenario = Scenario {
    name: "last",
    what: "the last member of a room of 1000, against 1000 raw writes",
    rows: &["10"],
    quick: false,
    kafka: false,
    run,
};

const MEMBERS: u32 = 1000;
/// Long enough for the slowest server, so that no message waits for the one before.
const EVERY: Duration = Duration::from_millis(50);

/// One server in one round, in milliseconds.
struct Round {
    /// From due until the last member has it, median of the messages.
    last: f64,
    /// What all writes of a message cost.
    writes: f64,
    tally: Tally,
}

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let plan = |server: &crate::bench::server::Server| Plan { probes: 0, ..Plan::new(&server.target, MEMBERS, 1) };
    let mut edge = Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?;
    let mut raw = Contender::new(stage.baseline(BaselineKind::Raw)?, plan)?;
    let (mut of_edge, mut of_raw) = (Vec::new(), Vec::new());
    for number in 0..=stage.rounds() {
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
        let rounds = (round(stage, &mut edge)?, round(stage, &mut raw)?);
        // The first one warms up.
        if number > 0 {
            of_edge.push(rounds.0);
            of_raw.push(rounds.1);
        }
    }
    let over = |spare: f64| {
        let pairs = of_edge.iter().zip(&of_raw);
        Spread::of(pairs.map(|(edge, raw)| (edge.last - spare) / raw.writes)).ok_or("no round")
    };
    let (must, aim) = (over(0.5)?, over(0.2)?);
    let median = |values: &mut dyn Iterator<Item = f64>| Spread::of(values).map_or(0.0, |spread| spread.median);
    let writes = median(&mut of_raw.iter().map(|round| round.writes));
    let raw_last = median(&mut of_raw.iter().map(|round| round.last));
    let broken = of_edge.iter().chain(&of_raw).find_map(|round| round.tally.broken());
    let late = of_edge.iter().filter(|round| round.tally.late()).count() * 2 > of_edge.len();
    let row = Row::judged(&targets::LAST, "n = 1000", must.median)
        .met(must.median <= 1.2, aim.median <= 1.08)
        .measured(
            format!("{} ms", short(median(&mut of_edge.iter().map(|round| round.last)))),
            format!("{} ms = 1000 raw writes", short(writes)),
        )
        .ratio(must)
        .note(format!("ratio after 0.5 ms; after 0.2 ms {:.2}; raw's own last {} ms", aim.median, short(raw_last)))
        .unless(late.then(|| "the generator was late".to_owned()))
        .unless(broken);
    Ok(vec![row])
}

fn round(stage: &Stage, contender: &mut Contender) -> Result<Round, String> {
    let count = (stage.round().as_secs_f64() / EVERY.as_secs_f64()) as u32;
    let failed = |error: std::io::Error| format!("{}: {error}", contender.name);
    let meter = contender.server.meter();
    let before = meter.read().map_err(failed)?;
    let tally = contender.crowd.last(count, EVERY)?;
    let spent = meter.read().map_err(failed)?.since(&before);
    let last = tally.latency.delivery.value_at_quantile(0.5) as f64 / 1e3;
    Ok(Round { last, writes: spent.cpu_us / f64::from(count.max(1)) / 1e3, tally })
}
