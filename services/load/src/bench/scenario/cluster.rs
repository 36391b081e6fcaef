//! Row 15: an edge's CPU is a × cluster events + b × its own deliveries, and nothing else.

use std::time::Duration;

use super::{
    Scenario,
    unwanted::{Listener, PARTITIONS},
};
use crate::{
    bench::{
        crowd::{Load, Plan},
        fit::{Fit, Sample},
        fleet::Fleet,
        foreign::Foreign,
        kafka::place_of,
        row::{Row, short},
        server::Server,
        stage::Stage,
        targets,
    },
    outcome::complain,
};

pub(super) const CLUSTER: Scenario = Scenario {
    name: "cluster",
    what: "an edge's CPU against cluster events and its own deliveries: a straight line through both",
    rows: &["15"],
    quick: false,
    kafka: true,
    run,
};

/// Events of other edges a second.
const FOREIGN: [f64; 3] = [0.0, 20_000.0, 100_000.0];
/// The same for a plot.
pub(super) const MORE_FOREIGN: [f64; 5] = [0.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0];
/// SENDs a second into 100 rooms of 50.
const SENDS: [f64; 3] = [0.0, 200.0, 400.0];
const MEMBERS: u32 = 5_000;
const ROOMS: u32 = 100;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Events a second in the cluster, the edge's own included.
    pub(super) events: f64,
    /// Deliveries a second at this edge.
    pub(super) deliveries: f64,
    /// Microseconds of the edge's CPU a second; what it uses when nothing happens is taken off.
    pub(super) cpu: f64,
}

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let points = points(stage, &FOREIGN)?;
    Ok(vec![judge(&points)])
}

/// The row of these measurements.
pub(super) fn judge(points: &[Point]) -> Row {
    let Some(fit) = law(points) else { return Row::void(&targets::CLUSTER, "", "the terms cannot be told apart") };
    let [a, b] = fit.constants;
    let range = format!("{} points, up to 100 k ev/s and 20 k del/s", points.len());
    let row = Row::judged(&targets::CLUSTER, &range, fit.error * 100.0);
    let mut note = format!("a = {a:.2} us, b = {b:.2} us; the worst point is off by {:.0} %", fit.worst * 100.0);
    if let Some(Fit { constants: [a, b, c], error, .. }) = law_with_constant(points) {
        let (share, error) = (c / 1e4, error * 100.0);
        note += &format!(
            "; with {share:.1} % of a core as soon as anything comes: {error:.0} %, a = {a:.2}, b = {b:.2} us"
        );
    }
    row.note(note)
}

/// a and b.
pub(super) fn law(points: &[Point]) -> Option<Fit<2>> {
    let sample = |point: &Point| Sample { terms: [point.events, point.deliveries], value: point.cpu };
    Fit::of(&points.iter().map(sample).collect::<Vec<_>>())
}

/// a, b, and what it costs to be asked at all: under load an edge fetches every four milliseconds, however little
/// comes.
fn law_with_constant(points: &[Point]) -> Option<Fit<3>> {
    let sample = |point: &Point| Sample { terms: [point.events, point.deliveries, 1.0], value: point.cpu };
    Fit::of(&points.iter().map(sample).collect::<Vec<_>>())
}

/// All combinations, each as the median of the rounds.
pub(super) fn points(stage: &Stage, foreign_rates: &[f64]) -> Result<Vec<Point>, String> {
    let kafka = stage.kafka()?;
    let log = kafka.log();
    let fleet = Fleet::open(stage, &log, 1, &[], |edge: &Server| Plan::new(&edge.target, MEMBERS, ROOMS))?;
    let (brokers, topic) = place_of(&log).ok_or("row 15 needs a Kafka")?;
    let foreign = Foreign {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rooms: 100_000,
        rate: 0.0,
        linger: 5,
    };
    let mut listener = Listener::of(fleet, &log, 100_000)?;
    listener.fill(stage)?;
    let mut points = Vec::new();
    for sends in SENDS {
        for &rate in foreign_rates {
            if sends + rate == 0.0 {
                continue;
            }
            let mut rounds: Vec<Point> = Vec::new();
            for _ in 0..stage.rounds().min(3) {
                rounds.push(listener.point(&foreign, rate, sends, stage.round().max(Duration::from_secs(2)))?);
                if stage.stop.asked() {
                    return Err("ended before all points were measured".to_owned());
                }
            }
            rounds.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
            let point = rounds[rounds.len() / 2];
            complain(&format!(
                "  {} events/s, {} deliveries/s: {} % of a core",
                short(point.events),
                short(point.deliveries),
                short(point.cpu / 1e4)
            ));
            points.push(point);
        }
    }
    Ok(points)
}

impl Listener {
    fn point(&mut self, foreign: &Foreign, rate: f64, sends: f64, time: Duration) -> Result<Point, String> {
        let writing = if rate > 0.0 { Some(Foreign { rate, ..foreign.clone() }.start()?) } else { None };
        self.settle(sends)?;
        let read = self.consumed()?;
        let cost = self.drive(&Load::steady(sends, time))?;
        let read = self.consumed()? - read;
        let seconds = cost.edges.iter().map(|spent| spent.wall.as_secs_f64()).fold(1e-9, f64::max);
        drop(writing);
        self.catch_up()?;
        if let Some(why) = cost.broken {
            return Err(why);
        }
        Ok(Point {
            events: read / seconds,
            deliveries: cost.deliveries as f64 / seconds,
            cpu: cost.edges.iter().map(|spent| spent.share() * 1e6).sum::<f64>() - self.idle(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::bench::row::Met;

    #[test]
    fn row_15_is_judged_by_how_far_the_points_lie_from_the_line() {
        let point = |events: f64, deliveries: f64, off: f64| Point {
            events,
            deliveries,
            cpu: (events + 8.0 * deliveries) * off,
        };
        let straight = [point(1e4, 0.0, 1.0), point(5e4, 1e4, 1.0), point(1e5, 2e4, 1.0), point(0.0, 2e4, 1.0)];
        assert_eq!(judge(&straight).met, Met::Aim);
        let bent = [point(1e4, 0.0, 2.0), point(5e4, 1e4, 1.0), point(1e5, 2e4, 0.7), point(0.0, 2e4, 1.0)];
        assert_eq!(judge(&bent).met, Met::No);
    }
}
