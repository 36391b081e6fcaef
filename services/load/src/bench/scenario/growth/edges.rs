//! S9: the same load on 1, 2 and 4 edges: what each of them spends on reading the cluster, and what on its own clients.

use std::time::Duration;

use crate::{
    bench::{
        crowd::{Load, Plan},
        fleet::{Fleet, ms},
        meter::Spent,
        row::{Spread, short},
        server::Server,
        stage::Stage,
    },
    outcome::complain,
};

const EDGES: [u32; 3] = [1, 2, 4];
/// S2 in all: 100 rooms of 50, 400 SENDs a second.
const MEMBERS: u32 = 5_000;
const ROOMS: u32 = 100;
const SENDS: f64 = 400.0;

/// So many edges under the same load. Shares of one core, of one edge.
pub(super) struct Point {
    pub(super) edges: u32,
    /// Follower and Kafka's consumer.
    pub(super) reading: Spread,
    /// Workers, and the producer's part.
    pub(super) serving: Spread,
    /// Microseconds of all edges for each delivery.
    pub(super) per_delivery: Spread,
    /// Broker CPU for each event, microseconds.
    pub(super) broker_us: Option<Spread>,
    /// From due to read.
    pub(super) p50_ms: Spread,
    /// The same.
    pub(super) p99_ms: Spread,
}

pub(super) fn measure(stage: &Stage) -> Result<Vec<Point>, String> {
    EDGES.into_iter().map(|edges| point(stage, edges)).filter_map(Result::transpose).collect()
}

fn point(stage: &Stage, edges: u32) -> Result<Option<Point>, String> {
    let kafka = stage.kafka()?;
    let plan = |edge: &Server| Plan::new(&edge.target, MEMBERS / edges, ROOMS / edges);
    let mut fleet = Fleet::open(stage, &kafka.log(), edges, &[], plan)?;
    let load = Load::steady(SENDS, stage.round().max(Duration::from_secs(4)));
    fleet.drive(None, &load)?;
    let mut costs = Vec::new();
    for _ in 0..stage.rounds() {
        let cost = fleet.drive(Some(kafka), &load)?;
        if let Some(why) = cost.broken {
            return Err(why);
        }
        costs.push(cost);
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let shares = |of: fn(&Spent) -> f64| {
        Spread::of(costs.iter().map(|cost| cost.edges.iter().map(of).sum::<f64>() / f64::from(edges)))
    };
    let all = (
        shares(reading),
        shares(|spent| spent.share() - reading(spent)),
        Spread::of(costs.iter().map(|cost| cost.edges_us() / (cost.deliveries as f64).max(1.0))),
        Spread::of(costs.iter().map(|cost| ms(&cost.delivery, 0.5))),
        Spread::of(costs.iter().map(|cost| ms(&cost.delivery, 0.99))),
    );
    let (Some(reading), Some(serving), Some(per_delivery), Some(p50_ms), Some(p99_ms)) = all else { return Ok(None) };
    let broker_us = Spread::of(costs.iter().filter_map(crate::bench::fleet::Cost::broker_us));
    let percent = |it: Spread| short(it.median * 100.0);
    complain(&format!("  {edges} edges: each {} % reading, {} % serving", percent(reading), percent(serving)));
    Ok(Some(Point { edges, reading, serving, per_delivery, broker_us, p50_ms, p99_ms }))
}

/// The follower's own part and librdkafka's, of which the producer has some too.
fn reading(spent: &Spent) -> f64 {
    (spent.of("follower") + spent.of("rdk:")) / 1e6 / spent.wall.as_secs_f64().max(1e-9)
}
