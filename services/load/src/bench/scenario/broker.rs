//! Row 22: what a broker spends on an event at 1,000 events a second, with fetches that wait at the broker and without.

use super::Scenario;
use crate::{
    bench::{
        crowd::{Load, Plan},
        fleet::{Cost, Fleet, ms},
        kafka::Kafka,
        row::{Row, Spread, short},
        server::Server,
        stage::Stage,
        targets,
    },
    outcome::complain,
};
use std::time::Duration;

pub(super) const BROKER: Scenario = Scenario {
    name: "broker",
    what: "broker CPU per event at 1,000 events/s, 12 partitions, against fetches that never wait",
    rows: &["22"],
    quick: false,
    kafka: true,
    run,
};

const RATE: f64 = 1_000.0;
/// What a user writes who wants no fetch to wait.
pub(crate) const AT_ONCE: [&str; 2] = ["--kafka-property", "fetch.min.bytes=1"];
/// An edge knows within this time how busy the cluster is.
pub(crate) const SETTLED: Duration = Duration::from_millis(1_500);

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let kafka = stage.kafka()?;
    let mut fleets =
        [Fleet::open(stage, &kafka.log(), 1, &[], one_each)?, Fleet::open(stage, &kafka.log(), 1, &AT_ONCE, one_each)?];
    let load = Load::steady(RATE, stage.round().max(Duration::from_secs(3)));
    let (mut costs, mut base) = (Vec::new(), Vec::new());
    for round in 0..stage.rounds() {
        for (fleet, into) in fleets.iter_mut().zip([&mut costs, &mut base]) {
            into.push(settled(fleet, kafka, &load)?);
        }
        complain(&format!("  round {}: {} and {} us", round + 1, last(&costs), last(&base)));
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let us = |costs: &[Cost]| Spread::of(costs.iter().filter_map(Cost::broker_us));
    let (Some(figure), Some(without)) = (us(&costs), us(&base)) else {
        return Ok(vec![Row::void(&targets::BROKER, "", "the broker is not ours: its process is not known")]);
    };
    let pairs = costs.iter().zip(&base).filter_map(|(own, other)| Some(own.broker_us()? / other.broker_us()?));
    let latency = |costs: &[Cost], quantile| Spread::of(costs.iter().map(|cost| ms(&cost.delivery, quantile)));
    let (p50, p99) = (latency(&costs, 0.5), latency(&costs, 0.99));
    let p50_ms = p50.map_or(f64::MAX, |p50| p50.median);
    let note = format!(
        "p50 {} p99 {} ms; without p50 {} p99 {} ms",
        word(p50),
        word(p99),
        word(latency(&base, 0.5)),
        word(latency(&base, 0.99))
    );
    let mut row = Row::judged(&targets::BROKER, "", figure.median)
        .measured(format!("{} us", short(figure.median)), format!("{} us without waiting", short(without.median)))
        .met(figure.median <= 330.0, figure.median <= 200.0 && p50_ms <= 3.0)
        .note(note);
    if let Some(ratio) = Spread::of(pairs) {
        row = row.ratio(ratio);
    }
    Ok(vec![row.unless(costs.iter().chain(&base).find_map(|cost| cost.broken.clone()))])
}

/// One member in each of 50 rooms, each a probe: an event is delivered once.
pub(crate) fn one_each(edge: &Server) -> Plan {
    Plan { probes: 50, ..Plan::new(&edge.target, 50, 50) }
}

/// Drives once for the edges to see the rate, and once that counts.
pub(crate) fn settled(fleet: &mut Fleet, kafka: &Kafka, load: &Load) -> Result<Cost, String> {
    fleet.drive(None, &Load { time: SETTLED, ..*load })?;
    fleet.drive(Some(kafka), load)
}

fn last(costs: &[Cost]) -> String {
    costs.last().and_then(Cost::broker_us).map_or_else(String::new, short)
}

fn word(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| short(spread.median))
}
