//! Row 13: whether ten times the connections make a delivery dearer than they make a raw write.

use super::Scenario;
use crate::bench::{
    contest::{Contender, Series, contest},
    crowd::{self, Load, Plan},
    row::{Row, Spread, short},
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const CONNECTIONS: Scenario = Scenario {
    name: "connections",
    what: "rooms of 500, 1 k and 10 k connections: the growth of the ratio to raw",
    rows: &["13"],
    quick: false,
    kafka: false,
    run,
};

const ROOM: u32 = 500;
const FEW: u32 = 1_000;
const MANY: u32 = 10_000;
/// SENDs a second, at either size.
const RATE: f64 = 48.0;

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let few = measure(stage, FEW)?;
    // Both crowds are open at a time, in this process.
    let most = u32::try_from(crowd::spare_files() / 2).unwrap_or(u32::MAX) / ROOM * ROOM;
    let many_connections = MANY.min(most);
    let many = measure(stage, many_connections)?;
    let (before, after) = (few[0].over(&few[1])?, many[0].over(&many[1])?);
    let growth = after.median - before.median;
    let cost = |series: &Series| series.cpu().map(|cost| short(cost.median));
    let row = Row::judged(&targets::MORE_CONNECTIONS, &format!("{many_connections} connections"), growth)
        .measured(format!("{growth:+.2}"), format!("raw itself x {:.2}", raw_growth(&few[1], &many[1])?))
        .note(format!(
            "{:.2} ({:.2}–{:.2}) at {FEW}, {:.2} ({:.2}–{:.2}) at {many_connections}; edge {} and {} us",
            before.median,
            before.min,
            before.max,
            after.median,
            after.min,
            after.max,
            cost(&few[0])?,
            cost(&many[0])?
        ))
        .unless(few.iter().chain(&many).find_map(Series::broken));
    Ok(vec![row])
}

fn measure(stage: &Stage, members: u32) -> Result<Vec<Series>, String> {
    let plan = |server: &crate::bench::server::Server| Plan::new(&server.target, members, members / ROOM);
    let mut contenders = [
        Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?,
        Contender::new(stage.baseline(BaselineKind::Raw)?, plan)?,
    ];
    contest(stage, &mut contenders, &Load::steady(RATE, stage.round()))
}

fn raw_growth(few: &Series, many: &Series) -> Result<f64, String> {
    let Spread { median, .. } = few.cpu()?;
    Ok(many.cpu()?.median / median)
}
