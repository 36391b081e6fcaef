//! `growth`: how cost grows with connections, rooms, cluster and edges; plots of it, the laws, and what follows for sizes.
//!
//! | file | what |
//! |---|---|
//! | `connections.rs` | 1 k to 18 k connections: CPU per delivery beside the raw loop, memory |
//! | `rooms.rs` | 1 k to 1 M rooms: CPU per event |
//! | `edges.rs` | the same load on 1, 2 and 4 edges (S9) |
//! | `plots.rs` | the pictures |
//! | `sizing.rs` | edges, cores and memory for so many users: computed |
//! | `report.rs` | tables between the markers of a file |

mod connections;
mod edges;
mod plots;
mod report;
mod rooms;
mod sizing;

use std::fs;

use super::{Scenario, cluster, law};
use crate::{
    bench::{row::Row, stage::Stage},
    outcome::complain,
};

pub(super) const GROWTH: Scenario = Scenario {
    name: "growth",
    what: "connections, rooms, cluster, edges, brokers: plots (--plots), laws and sizes (--report); half an hour",
    rows: &[],
    quick: false,
    kafka: true,
    run,
};

/// All that was measured.
struct Growth {
    connections: Vec<connections::Point>,
    rooms: Vec<rooms::Point>,
    cluster: Vec<cluster::Point>,
    edges: Vec<edges::Point>,
    grid: Vec<law::Share>,
    others: Vec<law::Share>,
}

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let told = |what: &str| complain(&format!("  -- {what}"));
    told("connections");
    let connections = connections::measure(stage)?;
    told("rooms");
    let rooms = rooms::measure(stage)?;
    told("cluster");
    let cluster = cluster::points(stage)?;
    told("edges");
    let edges = edges::measure(stage)?;
    told("brokers");
    let kafka = stage.kafka()?;
    let share = |setting: &law::Setting| law::measure(stage, kafka, setting);
    let others = median(stage, &law::others(), share)?;
    let grid = median(stage, &law::grid(), share)?;
    let growth = Growth { connections, rooms, cluster, edges, grid, others };
    if let Some(dir) = &stage.settings.plots {
        let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
        fs::create_dir_all(dir).map_err(failed)?;
        for (name, svg) in plots::all(&growth) {
            fs::write(dir.join(name), svg).map_err(failed)?;
        }
    }
    if let Some(file) = &stage.settings.report {
        report::write(file, &growth)?;
    }
    Ok(vec![cluster::judge(&growth.cluster)])
}

/// Every setting in each of up to three rounds; the round in the middle counts.
fn median(
    stage: &Stage,
    settings: &[law::Setting],
    measure: impl Fn(&law::Setting) -> Result<Option<law::Share>, String>,
) -> Result<Vec<law::Share>, String> {
    let mut rounds: Vec<Vec<law::Share>> = settings.iter().map(|_| Vec::new()).collect();
    for _ in 0..stage.rounds().min(3) {
        for (setting, into) in settings.iter().zip(&mut rounds) {
            into.extend(measure(setting)?);
            if stage.stop.asked() {
                return Err("ended before all settings were measured".to_owned());
            }
        }
    }
    let middle = |mut shares: Vec<law::Share>| {
        shares.sort_by(|a, b| a.broker_us.total_cmp(&b.broker_us));
        (!shares.is_empty()).then(|| shares.swap_remove((shares.len() - 1) / 2))
    };
    Ok(rounds.into_iter().filter_map(middle).collect())
}
