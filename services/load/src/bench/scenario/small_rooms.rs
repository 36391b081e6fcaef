//! Row 1b: rooms so small that what an event costs is more than what its deliveries cost.

use super::Scenario;
use crate::bench::{
    contest::{Contender, contest, costs},
    crowd::{Load, Plan},
    row::Row,
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const SMALL_ROOMS: Scenario = Scenario {
    name: "small-rooms",
    what: "1000 rooms of 5 at 1,000 and 4,000 SENDs a second, against raw",
    rows: &["1b"],
    quick: false,
    kafka: false,
    run,
};

const ROOMS: u32 = 1000;
const MEMBERS: u32 = 5 * ROOMS;
const RATES: [f64; 2] = [1_000.0, 4_000.0];

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let mut contenders = [
        Contender::new(stage.edge(&EdgeLog::Memory, &[])?, |server| Plan::new(&server.target, MEMBERS, ROOMS))?,
        Contender::new(stage.baseline(BaselineKind::Raw)?, |server| Plan::new(&server.target, MEMBERS, ROOMS))?,
    ];
    let mut rows = Vec::new();
    for rate in RATES {
        let series = contest(stage, &mut contenders, &Load::steady(rate, stage.round()))?;
        rows.push(costs(stage, &targets::CPU_SMALL, &format!("{rate} msg/s"), &series)?);
    }
    Ok(rows)
}
