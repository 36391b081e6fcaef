//! Rows 9 and 11: what klatsch adds to Kafka's own latency, and the whole path from a SEND to the client.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Scenario, unwanted::PARTITIONS};
use crate::{
    bench::{
        crowd::{Load, Plan},
        fleet::{Cost, Fleet, ms},
        foreign::{Control, Foreign, Purpose},
        kafka::place_of,
        row::{Row, Spread, short},
        server::Server,
        stage::Stage,
        targets,
    },
    latency::Latency,
    outcome::complain,
};

pub(super) const LATENCY: Scenario = Scenario {
    name: "latency",
    what: "from SEND to client with a Kafka: beside a bare produce and consume, and S2 at half of a core's load",
    rows: &["9", "11"],
    quick: false,
    kafka: true,
    run,
};

/// Bare records a second beside the SENDs.
const BARE: f64 = 100.0;

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let mut rows = added(stage)?;
    // S2 as it stands, and at half of what a core bears.
    for rate in [400.0, 1_000.0] {
        rows.push(whole(stage, rate)?);
    }
    Ok(rows)
}

fn time(stage: &Stage) -> Duration {
    stage.round().max(Duration::from_secs(3))
}

/// Row 9: 20 rooms of 50, 200 SENDs a second, beside a producer and a consumer that know nothing of klatsch.
fn added(stage: &Stage) -> Result<Vec<Row>, String> {
    let kafka = stage.kafka()?;
    let log = kafka.log();
    let mut fleet = Fleet::open(stage, &log, 1, &[], |edge: &Server| Plan::new(&edge.target, 1_000, 20))?;
    let (brokers, topic) = place_of(&log).ok_or("row 9 needs a Kafka")?;
    let control = Control::start(brokers, topic, PARTITIONS, Purpose::Latency)?;
    let foreign = Foreign {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        rooms: 1_000,
        rate: BARE,
        linger: 0,
    };
    let writing = foreign.start()?;
    let load = Load::steady(200.0, time(stage));
    fleet.drive(None, &load)?;
    let (mut costs, mut bare) = (Vec::new(), Vec::new());
    for round in 0..stage.rounds() {
        control.take();
        costs.push(fleet.drive(None, &load)?);
        bare.push(control.take());
        let (own, kafka) = (&costs[round].delivery, &bare[round]);
        let figures = [ms(own, 0.5), ms(kafka, 0.5), ms(own, 0.99), ms(kafka, 0.99)].map(short);
        complain(&format!(
            "  round {}: p50 {} bare {}, p99 {} bare {} ms",
            round + 1,
            figures[0],
            figures[1],
            figures[2],
            figures[3]
        ));
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    drop(writing);
    let broken = void(&costs);
    let all = merged(bare.iter());
    let row = |goal, quantile| {
        let more =
            Spread::of(costs.iter().zip(&bare).map(|(own, bare)| ms(&own.delivery, quantile) - ms(bare, quantile)))?;
        let whole = merged(costs.iter().map(|cost| &cost.delivery));
        let baseline = format!("{} ms, bare {} ms", short(ms(&whole, quantile)), short(ms(&all, quantile)));
        let row = Row::judged(goal, "20 x 50, 200/s", more.median);
        let figure = row.figure.clone();
        Some(
            row.measured(figure, baseline)
                .note(format!("{}–{} ms", short(more.min), short(more.max)))
                .unless(broken.clone()),
        )
    };
    Ok([row(&targets::ADDED_P50, 0.5), row(&targets::ADDED_P99, 0.99)].into_iter().flatten().collect())
}

/// Row 11: 100 rooms of 50.
fn whole(stage: &Stage, rate: f64) -> Result<Row, String> {
    let kafka = stage.kafka()?;
    let mut fleet = Fleet::open(stage, &kafka.log(), 1, &[], |edge: &Server| Plan::new(&edge.target, 5_000, 100))?;
    let load = Load::steady(rate, time(stage));
    fleet.drive(None, &load)?;
    let mut costs = Vec::new();
    for _ in 0..stage.rounds() {
        costs.push(fleet.drive(None, &load)?);
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let quantile = |quantile| Spread::of(costs.iter().map(|cost| ms(&cost.delivery, quantile)));
    let cpu = Spread::of(costs.iter().flat_map(|cost| &cost.edges).map(|spent| spent.share() * 100.0));
    let (Some(p50), Some(p99), Some(cpu)) = (quantile(0.5), quantile(0.99), cpu) else {
        return Ok(Row::void(&targets::WHOLE_PATH, "", "no probe"));
    };
    let load = format!("{rate:.0} ev/s, {:.0} k del/s", rate / 20.0);
    complain(&format!("  {load}: p50 {} p99 {} ms", short(p50.median), short(p99.median)));
    Ok(Row::judged(&targets::WHOLE_PATH, &load, p99.median)
        .measured(format!("p50 {} p99 {} ms", short(p50.median), short(p99.median)), "")
        .met(p99.median <= 15.0, p50.median <= 3.0 && p99.median <= 8.0)
        .note(format!("p99 {}–{} ms; the edge used {:.0} % of a core", short(p99.min), short(p99.max), cpu.median))
        .unless(void(&costs)))
}

/// What broke, or that the generator was late in most rounds.
fn void(costs: &[Cost]) -> Option<String> {
    let late = Spread::of(costs.iter().map(|cost| cost.lateness_ms)).filter(|late| late.median > 1.0);
    let late = late.map(|late| format!("the generator was late (p99 {} ms)", short(late.median)));
    costs.iter().find_map(|cost| cost.broken.clone()).or(late)
}

fn merged<'a>(histograms: impl Iterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    let mut all = Latency::new().delivery;
    for histogram in histograms {
        // All have the same bounds, so every value fits.
        let _ = all.add(histogram);
    }
    all
}
