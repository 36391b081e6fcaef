//! CPU for each event against the rooms that events are drawn from, all rooms alike: the worst that can be.

use super::super::unwanted::{Listener, RATE};
use crate::{
    bench::{
        row::{Spread, short},
        stage::Stage,
    },
    outcome::complain,
};

const COUNTS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What an event of so many rooms costs.
pub(super) struct Point {
    pub(super) rooms: u32,
    /// Microseconds of the whole edge for each event.
    pub(super) cost: Spread,
}

/// All counts in turn, each on an edge and a topic of its own.
pub(super) fn measure(stage: &Stage) -> Result<Vec<Point>, String> {
    let kafka = stage.kafka()?;
    let mut listeners: Vec<Listener> =
        COUNTS.iter().map(|rooms| Listener::open(stage, kafka, *rooms)).collect::<Result<_, _>>()?;
    listeners.iter().try_for_each(|listener| listener.fill(stage))?;
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); COUNTS.len()];
    for _ in 0..stage.rounds() {
        for (listener, into) in listeners.iter_mut().zip(&mut costs) {
            into.push(listener.measure(RATE, stage.round())?.whole_us);
        }
        let last: Vec<String> = costs.iter().filter_map(|costs| costs.last().copied().map(short)).collect();
        complain(&format!("  {} us", last.join(" ")));
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let point = |(rooms, costs)| Some(Point { rooms, cost: Spread::of(costs)? });
    Ok(COUNTS.into_iter().zip(costs).filter_map(point).collect())
}
