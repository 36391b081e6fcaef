//! Rows 24 to 27: thousands of readers over HTTP on an edge. What each takes of its memory, held against what the edge
//! states; what readers who speak STOMP notice of them; what a delivery costs each way (`cost.rs`); and what becomes of those
//! who stop reading (`stopped.rs`).

mod cost;
mod stopped;

use std::{thread, time::Duration};

use hdrhistogram::Histogram;

use super::{Scenario, check};
use crate::{
    bench::{
        crowd::{Crowd, Load, Plan, Tally},
        fleet::ms,
        readers::{Readers, Seen, Way, Writer},
        row::{Row, Spread, short},
        server::Server,
        stage::{EdgeLog, Stage},
        targets,
    },
    outcome::complain,
    stop::Stop,
};

pub(super) const READERS: Scenario = Scenario {
    name: "readers",
    what: "thousands of event streams and long polls on one edge: memory against what it states, p99 of STOMP beside them, \
           CPU, and who stops reading",
    rows: &["24", "25", "26", "27"],
    quick: true,
    kafka: false,
    run: rows,
};

/// Opened before the first reading, so that what the first few make a server allocate once is not divided among the rest.
const FIRST: usize = 256;
/// Messages a second into the readers' rooms, a room for each number: so a few for each reader in a minute.
const RATE: f64 = 300.0;
/// The same to those who speak STOMP.
const STOMP_RATE: f64 = 200.0;
/// For the first of them.
const WARM: Duration = Duration::from_secs(1);
/// How readers' rooms begin.
const ROOMS: &str = "read-";
/// The lowest priority there is: readers must not be what their neighbours' own generator waits for.
const LOWEST: i32 = 19;
/// Until thousands of polls wait.
const JOINING: Duration = Duration::from_secs(30);
/// Until an edge has noticed that thousands have left.
const LEAVING: Duration = Duration::from_secs(30);

/// All of them; a quick run looks at memory alone.
///
/// # Errors
/// The edge does not start, ends a connection, or loses a message.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let count = stage.settings.readers.unwrap_or(if stage.quick { 500 } else { 6_000 }) as usize;
    let mut rows = memory(stage, count)?;
    if !stage.quick {
        check(stage)?;
        rows.push(beside(stage, count)?);
        check(stage)?;
        rows.extend(cost::rows(stage)?);
        check(stage)?;
        rows.extend(stopped::rows(stage)?);
    }
    Ok(rows)
}

/// An edge with readers over HTTP.
struct Site {
    edge: Server,
    readers: Readers,
    writer: Writer,
}

/// A fresh edge, so that nothing is taken that others have left.
fn memory(stage: &Stage, count: usize) -> Result<Vec<Row>, String> {
    let mut site = Site::new(stage, FIRST + count)?;
    site.open(FIRST)?;
    site.readers.drive(&mut site.writer, RATE, WARM)?;
    let before = resident(&site.edge)?;
    let (events, poll) = site.open(count)?;
    site.readers.drive(&mut site.writer, RATE, stage.round())?;
    let read = (resident(&site.edge)? - before) / (2 * count) as f64;

    let metrics = site.edge.metrics()?;
    let stated = |way: Way| metrics.sum("klatsch_connection_memory_bytes", &format!("\"{}\"", way.name()));
    let (a_stream, a_poll) = (stated(Way::Events), stated(Way::LongPoll));
    let row = |load: &str, each: f64, stated: f64| {
        let row = Row::judged(&targets::READER_BYTES, &format!("{count} {load}"), each / stated);
        row.measured(format!("{} B", short(each)), format!("{stated:.0} B stated"))
    };
    Ok(vec![
        row("event streams", events, a_stream),
        row("long polls that wait", poll, a_poll),
        row("of each, having read", read, f64::midpoint(a_stream, a_poll)),
    ])
}

fn beside(stage: &Stage, count: usize) -> Result<Row, String> {
    let mut site = Site::new(stage, count)?;
    let mut small = Plan { probes: 500, ..Plan::new(&site.edge.target, 500, 100) };
    small.dialect.room_prefix = "small-".to_owned();
    let mut small = Crowd::open(&small)?;
    let load = Load::steady(STOMP_RATE, stage.round().max(Duration::from_secs(3)));
    small.drive(&load)?;
    let (mut alone, mut with, mut heard, mut broken) = (Vec::new(), Vec::new(), None, None);
    for round in 0..stage.rounds() {
        check(stage)?;
        let quiet = small.drive(&load)?;
        site.open(count)?;
        let (seen, own) = both(&mut site, &mut small, &load)?;
        site.close(stage)?;
        broken = broken.or_else(|| [&quiet, &own].into_iter().find_map(Tally::broken));
        let p99 = |tally: &Tally| short(ms(&tally.latency.delivery, 0.99));
        complain(&format!("  round {}: alone {} with readers {} ms", round + 1, p99(&quiet), p99(&own)));
        alone.push(quiet.latency.delivery);
        with.push(own.latency.delivery);
        heard = Some(merged(heard, seen));
    }
    unmoved(count, &alone, &with, &heard.ok_or("no round")?, broken)
}

impl Site {
    fn new(stage: &Stage, rooms: usize) -> Result<Site, String> {
        let edge = stage.edge(&EdgeLog::Memory, &["--workers", "1"])?;
        let writer = Writer::new(&edge.target, ROOMS, rooms)?;
        Ok(Site { readers: Readers::new(&edge.target, ROOMS)?, writer, edge })
    }

    /// So many of each way; what a stream, and what a poll, has taken of the edge's memory, in octets.
    fn open(&mut self, count: usize) -> Result<(f64, f64), String> {
        let before = resident(&self.edge)?;
        self.readers.open(Way::Events, count, &self.writer)?;
        let streams = resident(&self.edge)?;
        self.readers.open(Way::LongPoll, count, &self.writer)?;
        let all = self.readers.count(Way::LongPoll);
        // A poll has joined when its first question is answered; the second one waits.
        let waiting = || {
            let waiting = sessions(&self.edge, Way::LongPoll)?;
            Ok::<_, String>((waiting >= all as f64).then_some(()))
        };
        Stop::default().until(JOINING, waiting)?.ok_or("not all polls wait")?;
        let each = |octets: f64| octets / count as f64;
        Ok((each(streams - before), each(resident(&self.edge)? - streams)))
    }

    /// All leave, and the edge has noticed.
    fn close(&mut self, stage: &Stage) -> Result<(), String> {
        self.readers.close();
        let gone = || {
            let left = sessions(&self.edge, Way::Events)? + sessions(&self.edge, Way::LongPoll)?;
            Ok::<_, String>((left == 0.0).then_some(()))
        };
        stage.stop.until(LEAVING, gone)?.ok_or_else(|| "readers who have left are still held".to_owned())
    }
}

/// Both loads at once, the readers' own at the lowest priority.
fn both(site: &mut Site, small: &mut Crowd, load: &Load) -> Result<(Seen, Tally), String> {
    let Site { readers, writer, .. } = site;
    thread::scope(|scope| {
        let readers = scope.spawn(|| {
            // Where it is not allowed, the others only look worse than they are.
            let _ = rustix::process::nice(LOWEST);
            readers.drive(writer, RATE, load.time)
        });
        let own = small.drive(load);
        let seen = readers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((seen?, own?))
    })
}

fn merged(before: Option<Seen>, mut seen: Seen) -> Seen {
    if let Some(before) = before {
        (seen.sent, seen.deliveries) = (seen.sent + before.sent, seen.deliveries + before.deliveries);
        for (all, more) in seen.latency.iter_mut().zip(&before.latency) {
            // All have the same bounds, so every value fits.
            let _ = all.add(more);
        }
    }
    seen
}

fn unmoved(
    count: usize,
    alone: &[Histogram<u64>],
    with: &[Histogram<u64>],
    heard: &Seen,
    broken: Option<String>,
) -> Result<Row, String> {
    let at = |set: &[Histogram<u64>]| Spread::of(set.iter().map(|it| ms(it, 0.99)));
    let more = Spread::of(with.iter().zip(alone).map(|(with, alone)| ms(with, 0.99) - ms(alone, 0.99)));
    let (Some(more), Some(with), Some(alone)) = (more, at(with), at(alone)) else { return Err("no round".to_owned()) };
    let row =
        Row::judged(&targets::READERS_BESIDE, &format!("{count} event streams and {count} long polls"), more.median);
    let figure = row.figure.clone();
    let [events, poll] = &heard.latency;
    let note = format!(
        "{}–{} ms; readers got {} messages: events p50 {} p99 {} ms, long polls p50 {} p99 {} ms",
        short(more.min),
        short(more.max),
        heard.deliveries,
        short(ms(events, 0.5)),
        short(ms(events, 0.99)),
        short(ms(poll, 0.5)),
        short(ms(poll, 0.99))
    );
    let compared = format!("{} ms with them, {} ms without", short(with.median), short(alone.median));
    Ok(row.measured(figure, compared).note(note).unless(broken))
}

/// Sessions of a way, as the edge counts them.
fn sessions(edge: &Server, way: Way) -> Result<f64, String> {
    Ok(edge.metrics()?.sum("klatsch_transport_sessions", &format!("\"{}\"", way.name())))
}

fn resident(edge: &Server) -> Result<f64, String> {
    edge.meter().memory().map(|memory| memory.resident as f64).map_err(|error| format!("the edge's memory: {error}"))
}
