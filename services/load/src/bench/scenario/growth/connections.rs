//! CPU for each delivery and memory, against connections.

use std::time::Duration;

use crate::{
    bench::{
        contest::Contender,
        crowd::{Load, Plan},
        meter::Kernel,
        row::{Spread, short},
        server::Server,
        settings::BaselineKind,
        stage::{EdgeLog, Stage},
    },
    outcome::complain,
};

/// Connections; one loopback address has ports for 28 k.
const COUNTS: [u32; 5] = [1_000, 2_000, 5_000, 10_000, 18_000];
/// Members of a room.
const ROOM: u32 = 50;
/// SENDs a second: 20 k deliveries, whatever the number of connections.
const SENDS: f64 = 400.0;

/// What so many connections cost.
pub(super) struct Point {
    pub(super) connections: u32,
    /// Microseconds for each delivery.
    pub(super) edge: Spread,
    /// The same of the raw loop.
    pub(super) raw: Spread,
    /// Of both in the same round.
    pub(super) ratio: Spread,
    /// Octets of the process for each connection.
    pub(super) process: f64,
    /// Octets of the kernel for each connection, our end; where it may be read.
    pub(super) kernel: Option<f64>,
}

/// All counts; edge and raw loop in turn, each started anew, as one process may not have the connections of both.
pub(super) fn measure(stage: &Stage) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    for connections in COUNTS {
        match point(stage, connections) {
            Ok(point) => points.extend(point),
            // A machine may have fewer ports or files to give; what was measured below that holds.
            Err(why) if !points.is_empty() && !stage.stop.asked() => {
                complain(&format!("  {connections}: left out: {why}"))
            }
            Err(why) => return Err(why),
        }
    }
    Ok(points)
}

/// A round of one server.
struct Round {
    cpu: f64,
    process: f64,
    kernel: Option<f64>,
    late: bool,
}

fn point(stage: &Stage, connections: u32) -> Result<Option<Point>, String> {
    let (mut edges, mut raws) = (Vec::new(), Vec::new());
    let mut spare = stage.rounds();
    while edges.len() < stage.rounds() {
        let edge = round(stage, stage.edge(&EdgeLog::Memory, &["--workers", "1"])?, connections)?;
        let raw = round(stage, stage.baseline(BaselineKind::Raw)?, connections)?;
        let late = edge.late || raw.late;
        let again = if late && spare > 0 { ": the generator was late, once more" } else { "" };
        complain(&format!("  {connections}: edge {} us raw {} us{again}", short(edge.cpu), short(raw.cpu)));
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
        if late && spare > 0 {
            spare -= 1;
            continue;
        }
        edges.push(edge);
        raws.push(raw);
    }
    let of = |rounds: &[Round], figure: fn(&Round) -> Option<f64>| Spread::of(rounds.iter().filter_map(figure));
    let ratio = Spread::of(edges.iter().zip(&raws).map(|(edge, raw)| edge.cpu / raw.cpu.max(1e-9)));
    let (edge, raw, process) = (
        of(&edges, |round| Some(round.cpu)),
        of(&raws, |round| Some(round.cpu)),
        of(&edges, |round| Some(round.process)),
    );
    let (Some(edge), Some(raw), Some(ratio), Some(process)) = (edge, raw, ratio, process) else { return Ok(None) };
    let kernel = of(&edges, |round| round.kernel).map(|kernel| kernel.median);
    Ok(Some(Point { connections, edge, raw, ratio, process: process.median, kernel }))
}

fn round(stage: &Stage, server: Server, connections: u32) -> Result<Round, String> {
    let failed = |error: std::io::Error| format!("memory: {error}");
    // A sweep looks at every socket, so more of them are looked at less often.
    let sweep = Duration::from_millis(u64::from(connections / 250).max(20));
    let plan = |server: &Server| Plan { sweep, ..Plan::new(&server.target, connections, connections / ROOM) };
    let before = (server.meter().memory().map_err(failed)?, Kernel::read().map_err(failed)?);
    let mut contender = Contender::new(server, plan)?;
    let after = (contender.server.meter().memory().map_err(failed)?, Kernel::read().map_err(failed)?);
    let each = |octets: u64| octets as f64 / f64::from(connections);
    let load = Load::steady(SENDS, stage.round());
    contender.round(&Load { time: load.time / 2, ..load })?;
    let round = contender.round(&load)?;
    if let Some(why) = round.tally.broken() {
        return Err(format!("{}: {why}", contender.name));
    }
    Ok(Round {
        cpu: round.cpu_per_delivery(),
        process: each(after.0.anonymous.saturating_sub(before.0.anonymous)),
        // The kernel counts both ends of a connection alike.
        kernel: before.1.zip(after.1).map(|(before, after)| each(after.since(before)) / 2.0),
        late: round.tally.late(),
    })
}
