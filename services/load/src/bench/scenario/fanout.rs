//! Rows 1 and 3: what one delivery costs, one message per write, against the raw loop and tungstenite.

use super::Scenario;
use crate::bench::{
    contest::{Contender, contest},
    crowd::{Load, Plan},
    row::{Row, short},
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const FANOUT: Scenario = Scenario {
    name: "fanout",
    what: "one message per write: rooms of 200, 1000 and 100 x 50, against raw and natural tungstenite",
    rows: &["1", "3"],
    quick: true,
    kafka: false,
    run,
};

/// Members, rooms, SENDs a second.
const SHAPES: [(u32, u32, f64); 3] = [(200, 1, 120.0), (1000, 1, 24.0), (5000, 100, 400.0)];

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (members, rooms, rate) in SHAPES {
        rows.extend(shape(stage, members, rooms, rate)?);
    }
    Ok(rows)
}

fn shape(stage: &Stage, members: u32, rooms: u32, rate: f64) -> Result<Vec<Row>, String> {
    let load = format!("{rooms} x {}", members / rooms);
    let plan = |server: &crate::bench::server::Server| Plan::new(&server.target, members, rooms);
    let mut contenders = vec![
        Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?,
        Contender::new(stage.baseline(BaselineKind::Raw)?, plan)?,
    ];
    let series = contest(stage, &mut contenders, &Load::steady(rate, stage.round()))?;
    let [edge, raw] = &series[..] else { return Ok(Vec::new()) };
    let (Some(ratio), Some(cost), Some(base)) = (edge.over(raw), edge.cpu(), raw.cpu()) else { return Ok(Vec::new()) };
    let row = Row::judged(&targets::CPU, &load, ratio.median)
        .measured(format!("{} us", short(cost.median)), format!("{} us", short(base.median)))
        .ratio(ratio)
        .note(format!("{}; {}", edge.latency(), raw.latency()))
        .unless(edge.broken().or(raw.broken()));
    Ok(vec![row])
}
