//! S6 and row 16: clients that stop reading. What each of them costs, what the others in the room notice of it, and how
//! soon it sees that it was cut.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Scenario, check};
use crate::bench::{
    crowd::{Crowd, Load, Plan, Tally},
    meter::socket_buffers,
    row::{Row, Spread, short},
    server::Server,
    sessions::Sessions,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const STALLED_CLIENTS: Scenario = Scenario {
    name: "stalled",
    what: "S6: clients that stop reading: memory, the others' p99, how soon they see their cut",
    rows: &["16"],
    quick: false,
    kafka: false,
    run: rows,
};

/// Members of the room who read.
const READING: u32 = 50;
/// Those who do not.
const STALLED: usize = 200;
/// Messages a second.
const RATE: f64 = 100.0;
const BODY: usize = 2_000;
/// Octets of a client's receive buffer: a phone's, not a server's. Its own kernel's memory is not the edge's.
const RECEIVE: usize = 16 * 1024;
/// Messages until a client that does not read takes nothing any more.
const FILLING: Duration = Duration::from_millis(1_500);
/// An edge gives a client that takes nothing ten seconds.
const CUT_BY: Duration = Duration::from_secs(20);
/// How often it is looked who was cut.
const LOOK: Duration = Duration::from_millis(5);

/// All goals of row 16.
///
/// # Errors
/// The edge does not start, or ends a session that reads.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let plan = Plan { body: BODY, probes: READING / 2, ..Plan::new(&edge.target, READING, 1) };
    let room = format!("{}0", plan.dialect.room_prefix);
    let mut crowd = Crowd::open(&plan)?;
    let (filling, load) = (Load::steady(RATE, FILLING), Load::steady(RATE, stage.round()));
    let (mut alone, mut beside, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    crowd.drive(&filling)?;
    for _ in 0..stage.rounds() {
        check(stage)?;
        let at_first = resident(&edge)?;
        crowd.drive(&filling)?;
        // What the log in the edge's own memory has grown by: it does so with each of the loads.
        let log = resident(&edge)? - at_first;
        alone.push(crowd.drive(&load)?);
        let stalled = stall(&edge, &room)?;
        let before = (resident(&edge)?, buffers()?);
        crowd.drive(&filling)?;
        let own = (resident(&edge)? - before.0 - log).max(0.0);
        let kernel = (buffers()? - before.1).max(0.0);
        bytes.push(((own + kernel) / STALLED as f64 / 1024.0, kernel / STALLED as f64 / 1024.0));
        beside.push(crowd.drive(&load)?);
        drop(stalled);
    }
    let broken = alone.iter().chain(&beside).find_map(Tally::broken);
    let p99 = |tally: &Tally| tally.latency.delivery.value_at_quantile(0.99) as f64;
    let more = alone.iter().zip(&beside).map(|(alone, beside)| (p99(beside) / p99(alone).max(1.0) - 1.0) * 100.0);
    let (Some(cost), Some(kernel), Some(more)) = (
        Spread::of(bytes.iter().map(|(all, _)| *all)),
        Spread::of(bytes.iter().map(|(_, kernel)| *kernel)),
        Spread::of(more),
    ) else {
        return Err("no round".to_owned());
    };
    let late = alone.iter().chain(&beside).any(Tally::late).then(|| "the generator was late: ".to_owned());
    let ms = |tallies: &[Tally]| Tally::latencies(tallies).value_at_quantile(0.99) as f64 / 1e3;
    let (others, beside_ms) = (short(ms(&alone)), short(ms(&beside)));
    let (seen, after) = cut(stage, &edge, &mut crowd, &room)?;
    Ok(vec![
        Row::judged(
            &targets::STALLED_BYTES,
            &format!("{STALLED} beside {READING}, {BODY} octets, {RATE}/s"),
            cost.median,
        )
        .note(format!("both ends' kernel {} KiB, receive buffer {} KiB", short(kernel.median), RECEIVE / 1024))
        .unless(broken.clone()),
        Row::judged(&targets::STALLED_OTHERS, &format!("{READING} others"), more.median)
            .measured(
                format!("{} % ({}–{}): {beside_ms} ms", short(more.median), short(more.min), short(more.max)),
                format!("{others} ms"),
            )
            .note(late.unwrap_or_default())
            .unless(broken),
        Row::judged(&targets::STALLED_CUT, &format!("{STALLED} at once"), seen)
            .note(format!("cut {} s after the first message it did not read", short(after))),
    ])
}

/// Clients that never read behind their RECEIPT.
fn stall(edge: &Server, room: &str) -> Result<Sessions, String> {
    let mut stalled = Sessions::new(&edge.target)?;
    stalled.receive_buffer = Some(RECEIVE);
    stalled.open(STALLED, 0, |_| room.to_owned())?;
    Ok(stalled)
}

/// The longest time from when the edge counts a client as cut until the client's socket says so; and how long after the
/// first message that nobody read that was, both in seconds.
fn cut(stage: &Stage, edge: &Server, crowd: &mut Crowd, room: &str) -> Result<(f64, f64), String> {
    let counted = || edge.metrics().map(|metrics| metrics.sum("klatsch_slow_consumer_closes_total", "") as usize);
    let (stalled, already) = (stall(edge, room)?, counted()?);
    let begin = Instant::now();
    crowd.drive(&Load::steady(RATE, FILLING))?;
    // When the edge had cut so many, and when so many saw it.
    let (mut cut, mut seen): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    let mut open: Vec<usize> = (0..STALLED).collect();
    while (cut.len() < STALLED || !open.is_empty()) && begin.elapsed() < CUT_BY {
        check(stage)?;
        cut.resize((counted()? - already).max(cut.len()), begin.elapsed());
        open.retain(|number| !stalled.has_ended(*number));
        seen.resize(STALLED - open.len(), begin.elapsed());
        thread::sleep(LOOK);
    }
    if !open.is_empty() || cut.len() < STALLED {
        return Err(format!("{} of {STALLED} clients that do not read were cut, {} know it", cut.len(), seen.len()));
    }
    let late = cut.iter().zip(&seen).map(|(cut, seen)| seen.saturating_sub(*cut).as_secs_f64());
    Ok((late.fold(0.0, f64::max), seen.first().map_or(0.0, Duration::as_secs_f64)))
}

fn resident(edge: &Server) -> Result<f64, String> {
    edge.meter().memory().map(|memory| memory.resident as f64).map_err(|error| format!("the edge's memory: {error}"))
}

fn buffers() -> Result<f64, String> {
    socket_buffers().map(|octets| octets as f64).map_err(|error| error.to_string())
}
