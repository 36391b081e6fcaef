//! Row 12 (S3): small rooms while a big one is served.

use std::{thread, time::Duration};

use hdrhistogram::Histogram;

use super::Scenario;
use crate::{
    bench::{
        crowd::{Crowd, Load, Plan, Tally},
        fleet::ms,
        row::{Row, Spread, short},
        stage::{EdgeLog, Stage},
        targets,
    },
    outcome::complain,
};

pub(super) const NEIGHBOURS: Scenario = Scenario {
    name: "neighbours",
    what: "p99 of 100 rooms of 5 beside a room of 15,000 that gets 2 events/s, against the same without it",
    rows: &["12"],
    quick: false,
    kafka: false,
    run,
};

/// As many as one loopback address has ports for, with room to spare.
const BIG: u32 = 15_000;
const BIG_RATE: f64 = 2.0;
const SMALL_RATE: f64 = 200.0;
/// The lowest priority there is: the big room's own reader must not be what its neighbours wait for.
const LOWEST: i32 = 19;

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1"])?;
    let mut small = Plan { probes: 500, ..Plan::new(&edge.target, 500, 100) };
    small.dialect.room_prefix = "small-".to_owned();
    let mut big =
        Plan { probes: 1, publishers: 1, sweep: Duration::from_millis(200), ..Plan::new(&edge.target, BIG, 1) };
    big.dialect.room_prefix = "big-".to_owned();
    let (mut small, mut big) = (Crowd::open(&small)?, Crowd::open(&big)?);
    let time = stage.round().max(Duration::from_secs(3));
    let (load, big_load) = (Load::steady(SMALL_RATE, time), Load::steady(BIG_RATE, time));
    small.drive(&load)?;
    let (mut quiet, mut beside, mut broken) = (Vec::new(), Vec::new(), None);
    for round in 0..stage.rounds() {
        let alone = small.drive(&load)?;
        let (loud, own) = both(&mut big, &big_load, &mut small, &load)?;
        broken = broken.or_else(|| [&alone, &own, &loud].into_iter().find_map(Tally::broken));
        let p99 = |tally: &Tally| ms(&tally.latency.delivery, 0.99);
        complain(&format!("  round {}: alone {} beside {} ms", round + 1, short(p99(&alone)), short(p99(&own))));
        quiet.push(alone.latency.delivery);
        beside.push(own.latency.delivery);
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let at = |set: &[Histogram<u64>], quantile| Spread::of(set.iter().map(|it| ms(it, quantile)));
    let more = Spread::of(beside.iter().zip(&quiet).map(|(beside, quiet)| ms(beside, 0.99) - ms(quiet, 0.99)));
    let (Some(more), Some(with), Some(without), Some(p50)) =
        (more, at(&beside, 0.99), at(&quiet, 0.99), at(&beside, 0.5))
    else {
        return Ok(Vec::new());
    };
    let load = format!("{} k members, {BIG_RATE:.0}/s", BIG / 1_000);
    let row = Row::judged(&targets::NEIGHBOURS, &load, more.median);
    let figure = row.figure.clone();
    Ok(vec![
        row.measured(figure, format!("{} ms beside, {} ms alone", short(with.median), short(without.median)))
            .note(format!("p50 beside {} ms; {}–{} ms", short(p50.median), short(more.min), short(more.max)))
            .unless(broken),
    ])
}

/// Both loads at once, the big room's reader at the lowest priority.
fn both(big: &mut Crowd, big_load: &Load, small: &mut Crowd, load: &Load) -> Result<(Tally, Tally), String> {
    thread::scope(|scope| {
        let loud = scope.spawn(|| {
            // Where it is not allowed, the neighbours only look worse than they are.
            let _ = rustix::process::nice(LOWEST);
            big.drive(big_load)
        });
        let own = small.drive(load);
        let loud = loud.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((loud?, own?))
    })
}
