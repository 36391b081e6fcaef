//! CPU for each delivery and memory, against connections.

use std::time::Duration;

use crate::bench::{
    contest::{Contender, contest},
    crowd::{Load, Plan},
    meter::Kernel,
    row::Spread,
    server::Server,
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
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

/// All counts; edge and raw loop in turn.
pub(super) fn measure(stage: &Stage) -> Result<Vec<Point>, String> {
    COUNTS.into_iter().map(|connections| point(stage, connections)).collect()
}

fn point(stage: &Stage, connections: u32) -> Result<Point, String> {
    // A sweep looks at every socket, so more of them are looked at less often.
    let sweep = Duration::from_millis(u64::from(connections / 250).max(20));
    let plan = |server: &Server| Plan { sweep, ..Plan::new(&server.target, connections, connections / ROOM) };
    let failed = |error: std::io::Error| format!("memory: {error}");
    let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1"])?;
    let (own, kernel) = (edge.meter().memory().map_err(failed)?, Kernel::read().map_err(failed)?);
    let edge = Contender::new(edge, plan)?;
    let after = (edge.server.meter().memory().map_err(failed)?, Kernel::read().map_err(failed)?);
    let each = |octets: u64| octets as f64 / f64::from(connections);
    // The kernel counts both ends of a connection alike.
    let kernel = kernel.zip(after.1).map(|(before, after)| each(after.since(before)) / 2.0);
    let process = each(after.0.anonymous.saturating_sub(own.anonymous));
    let mut contenders = vec![edge, Contender::new(stage.baseline(BaselineKind::Raw)?, plan)?];
    let series = contest(stage, &mut contenders, &Load::steady(SENDS, stage.round()))?;
    let [edge, raw] = &series[..] else { return Err("a server is missing".to_owned()) };
    if let Some(why) = edge.broken().or(raw.broken()) {
        return Err(why);
    }
    Ok(Point { connections, edge: edge.cpu()?, raw: raw.cpu()?, ratio: edge.over(raw)?, process, kernel })
}
