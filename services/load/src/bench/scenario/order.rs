//! Row 23: whether a room keeps its order while the server has more to do than it can.

use std::time::Duration;

use super::Scenario;
use crate::bench::{
    contest::Contender,
    crowd::{Load, Plan},
    row::Row,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const ORDER: Scenario = Scenario {
    name: "order",
    what: "eight publishers send more into a room of 1000 than one core can write one by one",
    rows: &["23"],
    quick: false,
    kafka: false,
    run,
};

const MEMBERS: u32 = 1000;
/// 400,000 deliveries a second: about three times what a core writes one by one.
const RATE: f64 = 400.0;

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let plan = |server: &crate::bench::server::Server| Plan {
        probes: 100,
        publishers: 8,
        sweep: Duration::from_millis(5),
        ..Plan::new(&server.target, MEMBERS, 1)
    };
    let mut edge = Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?;
    let round = edge.round(&Load::steady(RATE, stage.round() * 2))?;
    let tally = &round.tally;
    let wrong = tally.disordered + tally.orders;
    // Those are what is judged; anything else that broke leaves nothing proven.
    let broken = if wrong > 0 { None } else { tally.broken() };
    let rate = tally.deliveries as f64 / tally.wall.as_secs_f64().max(1e-9);
    let row = Row::judged(&targets::ORDER, "1 x 1000", wrong as f64)
        .measured(format!("{wrong} of {}", tally.deliveries), "")
        .note(format!(
            "{:.0} k deliveries/s, {:.0} % of a core, {:.1} messages per write",
            rate / 1e3,
            round.cpu_us / tally.wall.as_micros().max(1) as f64 * 100.0,
            round.writes.map_or(0.0, |writes| 1.0 / writes)
        ))
        .unless(broken);
    Ok(vec![row])
}
