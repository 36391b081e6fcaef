//! Rows 1 and 3: what one delivery costs, one message per write, against the raw loop and tungstenite; and that no promise
//! was sold for it.

use super::Scenario;
use crate::bench::{
    contest::{Contender, contest, costs},
    crowd::{Load, Plan},
    promises,
    row::Row,
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const FANOUT: Scenario = Scenario {
    name: "fanout",
    what: "one message per write in rooms of 200, 1000 and 50, against raw and natural tungstenite",
    rows: &["1", "3"],
    quick: true,
    kafka: false,
    run,
};

/// Members and rooms, SENDs a second: 20,000 to 24,000 deliveries a second each.
const ROOM_OF_200: (u32, u32, f64) = (200, 1, 120.0);
pub(super) const ROOM_OF_1000: (u32, u32, f64) = (1000, 1, 24.0);
/// Smaller than row 1 speaks of: told, not judged.
pub(super) const TEAMS: (u32, u32, f64) = (5000, 100, 400.0);

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let mut rows = vec![against_raw(stage, &EdgeLog::Memory, ROOM_OF_200)?];
    if !stage.quick {
        rows.extend(against_all(stage)?);
        rows.push(against_raw(stage, &EdgeLog::Memory, TEAMS)?.beside());
    }
    Ok(rows)
}

/// The edge on this log against the raw loop; then the same load once more beside clients whose every promise is checked.
pub(super) fn against_raw(
    stage: &Stage,
    log: &EdgeLog,
    (members, rooms, rate): (u32, u32, f64),
) -> Result<Row, String> {
    let load = Load::steady(rate, stage.round());
    let mut contenders = [
        Contender::new(stage.edge(log, &[])?, |server| Plan::new(&server.target, members, rooms))?,
        Contender::new(stage.baseline(BaselineKind::Raw)?, |server| Plan::new(&server.target, members, rooms))?,
    ];
    let series = contest(stage, &mut contenders, &load)?;
    let [edge, ..] = &mut contenders;
    let kept = promises::beside(stage, &edge.server, log, || edge.crowd.drive(&load))?;
    let kafka = if *log == EdgeLog::Memory { "" } else { ", Kafka's log" };
    let row = costs(stage, &targets::CPU, &format!("{rooms} x {}{kafka}", members / rooms), &series)?;
    Ok(row.unless(kept.tally.broken()).unless(kept.broken).also(&kept.checked))
}

/// The room of 1000, and what tungstenite makes of it.
fn against_all(stage: &Stage) -> Result<Vec<Row>, String> {
    let (members, rooms, rate) = ROOM_OF_1000;
    let baselines = [BaselineKind::Raw, BaselineKind::Natural, BaselineKind::Best];
    let plan = |server: &crate::bench::server::Server| Plan::new(&server.target, members, rooms);
    let mut contenders = vec![Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?];
    for kind in baselines {
        contenders.push(Contender::new(stage.baseline(kind)?, plan)?);
    }
    let series = contest(stage, &mut contenders, &Load::steady(rate, stage.round()))?;
    let [edge, raw, natural, best] = &series[..] else { return Err("a server is missing".to_owned()) };
    let cost = costs(stage, &targets::CPU, "1 x 1000", &[edge, raw])?;
    let cost = cost.also(&format!("tungstenite at its best {:.2} x raw", best.over(raw)?.median));
    Ok(vec![cost, super::per_core(stage, &targets::PER_CORE, "1 x 1000", edge, natural)?])
}
