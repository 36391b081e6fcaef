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

/// What has been measured so far.
#[derive(Default)]
struct Growth {
    connections: Vec<connections::Point>,
    rooms: Vec<rooms::Point>,
    cluster: Vec<cluster::Point>,
    edges: Vec<edges::Point>,
    others: Vec<law::Share>,
    grid: Vec<law::Share>,
}

/// What is told last is told of all, but a part that fails leaves the others' plots behind.
fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let mut growth = Growth::default();
    for (name, part) in PARTS {
        complain(&format!("  -- {name}"));
        part(stage, &mut growth)?;
        draw(stage, &growth)?;
    }
    if let Some(file) = &stage.settings.report {
        report::write(file, &growth)?;
    }
    Ok(vec![cluster::judge(&growth.cluster)])
}

type Part = fn(&Stage, &mut Growth) -> Result<(), String>;

const PARTS: [(&str, Part); 6] = [
    ("connections", |stage, growth| connections::measure(stage).map(|points| growth.connections = points)),
    ("rooms", |stage, growth| rooms::measure(stage).map(|points| growth.rooms = points)),
    ("cluster", |stage, growth| cluster::points(stage, &cluster::MORE_FOREIGN).map(|points| growth.cluster = points)),
    ("edges", |stage, growth| edges::measure(stage).map(|points| growth.edges = points)),
    ("settings of producers and consumers", |stage, growth| {
        shares(stage, &law::others()).map(|shares| growth.others = shares)
    }),
    ("brokers", |stage, growth| shares(stage, &law::grid()).map(|shares| growth.grid = shares)),
];

fn draw(stage: &Stage, growth: &Growth) -> Result<(), String> {
    let Some(dir) = &stage.settings.plots else { return Ok(()) };
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    plots::all(growth).into_iter().try_for_each(|(name, svg)| fs::write(dir.join(name), svg)).map_err(failed)
}

/// Every setting in each of up to three rounds; the round in the middle counts.
fn shares(stage: &Stage, settings: &[law::Setting]) -> Result<Vec<law::Share>, String> {
    let kafka = stage.kafka()?;
    let mut rounds: Vec<Vec<law::Share>> = settings.iter().map(|_| Vec::new()).collect();
    for _ in 0..stage.rounds().min(3) {
        for (setting, into) in settings.iter().zip(&mut rounds) {
            into.extend(law::measure(stage, kafka, setting)?);
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
