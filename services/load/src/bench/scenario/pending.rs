//! Rows 2, 3 and 18: sixteen messages for everybody at once. Who writes them together pays one write for all.

use std::time::Duration;

use super::Scenario;
use crate::bench::{
    contest::{Contender, Series, contest, costs},
    crowd::{Crowd, Load, Plan},
    row::{Row, Spread, short},
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const PENDING: Scenario = Scenario {
    name: "pending",
    what: "16 messages pending for each of 1000 members, against raw that writes them together, and natural tungstenite",
    rows: &["2", "3", "18"],
    quick: true,
    kafka: false,
    run,
};

const MEMBERS: u32 = 1000;
const BURST: u32 = 16;
/// Bursts a second: a quarter of a core for who writes together.
const OFTEN: f64 = 25.0;
/// Half of a core for who writes each message for itself.
const SELDOM: f64 = 6.0;
/// Members of the room in which some do not read, and the messages that they miss: more than the sockets hold.
const BEHIND: u32 = 100;
const MANY: f64 = 3000.0;

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let kinds = [BaselineKind::Natural, BaselineKind::Best];
    let plan = |server: &crate::bench::server::Server| Plan::new(&server.target, MEMBERS, 1);
    let mut contenders = vec![
        Contender::new(stage.baseline(BaselineKind::Coalesced)?, plan)?,
        Contender::new(stage.edge(&EdgeLog::Memory, &[])?, plan)?,
    ];
    let each = f64::from(BURST);
    let series = contest(stage, &mut contenders, &Load::bursts(OFTEN * each, BURST, stage.round()))?;
    let [coalesced, edge] = &series[..] else { return Err("a server is missing".to_owned()) };
    let cost = costs(stage, &targets::CPU_PENDING, "1 x 1000", &[edge, coalesced])?.also(&together(edge)?);
    let mut rows = vec![cost, behind(stage)?];
    if !stage.quick {
        contenders.remove(0);
        for kind in kinds {
            contenders.push(Contender::new(stage.baseline(kind)?, plan)?);
        }
        let series = contest(stage, &mut contenders, &Load::bursts(SELDOM * each, BURST, stage.round()))?;
        let [edge, natural, best] = &series[..] else { return Err("a server is missing".to_owned()) };
        let best = format!("tungstenite at its best {:.1} x the edge", best.over(edge)?.median);
        rows.push(super::per_core(stage, &targets::PER_CORE_PENDING, "1 x 1000", edge, natural)?.also(&best));
    }
    Ok(rows)
}

/// Half of the members read nothing for a while; then how much each write carries while they catch up.
fn behind(stage: &Stage) -> Result<Row, String> {
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let mut crowd = Crowd::open(&Plan { publishers: 8, ..Plan::new(&edge.target, BEHIND, 1) })?;
    let stalled =
        (0..BEHIND as usize).filter(|member| member % 2 == 1).filter(|member| crowd.stall(*member, true)).count();
    let load = crowd.drive(&Load::steady(MANY, Duration::from_secs(1)))?;
    let counted = || {
        edge.metrics()
            .map(|metrics| ["writes_total", "sent_bytes_total"].map(|name| metrics.sum(&format!("klatsch_{name}"), "")))
    };
    let before = counted()?;
    let late = crowd.catch_up()?;
    let after = counted()?;
    let [writes, octets] = [after[0] - before[0], after[1] - before[1]];
    // What the sockets held already is no work of these writes.
    let each = late.octets as f64 / (late.deliveries as f64).max(1.0);
    let per_write = octets / writes.max(1.0) / each;
    let figure = format!("{} messages, {} KiB", short(per_write), short(octets / writes.max(1.0) / 1024.0));
    let row = Row::judged(&targets::PER_WRITE, &format!("{stalled} of {BEHIND} behind by {MANY}"), per_write)
        .measured(figure, "")
        .note(format!("{writes:.0} writes for {:.0} messages", octets / each));
    let row = row.unless(load.broken()).unless(late.broken());
    let nothing = (writes < 1.0).then(|| "nobody was behind".to_owned());
    Ok(stage.lenient(row.unless(nothing), &targets::PER_WRITE, per_write))
}

/// How many of the sixteen went out in one write, as the edge counts its writes.
fn together(edge: &Series) -> Result<String, String> {
    let writes = edge.rounds.iter().filter_map(|round| round.writes).map(|writes| 1.0 / writes);
    let each = Spread::of(writes).ok_or("the edge does not count its writes")?;
    Ok(format!("{} messages per write", short(each.median)))
}
