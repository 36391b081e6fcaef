//! S7: all clients of an edge lose their connections at once, under load, and come back with `x-from`: how fast that goes,
//! what it costs, and whether anybody has missed anything.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::Scenario;
use crate::bench::{
    row::{Met, Row, short},
    sessions::{Frame, Sessions, put},
    stage::{EdgeLog, Stage},
};
use crate::target::Target;

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    what: "S7: 5000 sessions are cut under load and resume: how fast, at what cost, without a gap",
    rows: &["17"],
    quick: false,
    kafka: false,
    run: rows,
};

const SESSIONS: usize = 5_000;
const ROOMS: usize = 100;
/// SENDs a second, the rooms in turn.
const RATE: usize = 400;
/// Sessions under way at the same time.
const AT_ONCE: usize = 512;
/// From the first SEND to the storm.
const BEFORE: Duration = Duration::from_secs(2);
/// Longest time from the first SEND to the last.
const LONGEST: Duration = Duration::from_secs(60);

/// What one client has seen of its room.
#[derive(Debug, Clone, Default)]
struct Seen {
    id: String,
    /// The message that comes next; they are counted from 0 in each room.
    next: usize,
    replayed: usize,
}

/// The row of S7; it has no number in the table of targets, but what it must keep is promise 3.
///
/// # Errors
/// The edge does not start, or ends a session.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let mut sessions = Sessions::new(&edge.target)?;
    sessions.at_once = AT_ONCE;
    sessions.open(SESSIONS, 0, room)?;
    let mut seen = vec![Seen::default(); SESSIONS];
    let (target, stop) = (edge.target.clone(), std::sync::mpsc::channel::<()>());
    let writer = thread::Builder::new().name("writer".to_owned()).spawn(move || write(&target, &stop.1));
    let writer = writer.map_err(|error| format!("a thread: {error}"))?;
    thread::sleep(BEFORE);
    // Everybody has read something; what is on its way to them when they go is lost with the connection.
    sessions
        .await_all(0..SESSIONS, |session, frame| see(&mut seen[session], frame).map(|()| seen[session].next >= 3))?;
    let read = || edge.meter().read().map_err(|error| format!("the edge's CPU: {error}"));
    let (before, begin) = (read()?, Instant::now());
    sessions.drop_all();
    let came_back = come_back(&mut sessions, &mut seen);
    let (time, spent) = (begin.elapsed(), read()?.since(&before));
    // A writer that has ended by itself says why.
    let _ = stop.0.send(());
    let written = writer.join().map_err(|_| "the writer panicked".to_owned())??;
    came_back?;
    for (session, seen) in seen.iter_mut().enumerate() {
        let all = written / ROOMS + usize::from(session % ROOMS < written % ROOMS);
        if seen.next < all {
            let one = session..session + 1;
            sessions.await_all(one, |_, frame| see(seen, frame).map(|()| seen.next == all))?;
        }
    }
    let replayed: usize = seen.iter().map(|seen| seen.replayed).sum();
    let per_core = SESSIONS as f64 / (spent.cpu_us / 1e6);
    let figure = format!(
        "{} sessions/s, {} per core and second, the last after {} s",
        short(SESSIONS as f64 / time.as_secs_f64()),
        short(per_core),
        short(time.as_secs_f64())
    );
    let note = format!(
        "{} us of CPU per session, {RATE} events/s to all who are there included; {replayed} messages replayed",
        short(spent.cpu_us / SESSIONS as f64)
    );
    Ok(vec![Row {
        number: "S7",
        goal: format!("storm: {SESSIONS} sessions in {ROOMS} rooms are cut and resume"),
        figure,
        baseline: String::new(),
        ratio: None,
        spread: None,
        must: "no gap, nothing twice".to_owned(),
        aim: String::new(),
        // A gap or a repetition would have ended this function.
        met: Met::Aim,
        note,
    }])
}

fn room(session: usize) -> String {
    format!("storm-{}", session % ROOMS)
}

/// Every client subscribes again behind the last message that it has.
fn come_back(sessions: &mut Sessions, seen: &mut [Seen]) -> Result<(), String> {
    while sessions.len() < SESSIONS {
        let window = sessions.connect(AT_ONCE.min(SESSIONS - sessions.len()))?;
        sessions.upgrade(window.clone())?;
        sessions.hello(window.clone(), 0)?;
        let from: Vec<String> = seen[window.clone()].iter().map(|seen| seen.id.clone()).collect();
        let write = |session: usize, out: &mut Vec<u8>| {
            let (room, from) = (room(session), &from[session - window.start]);
            let frame = format!("SUBSCRIBE\nid:sub-0\ndestination:/topic/{room}\nx-from:{from}\nreceipt:s\n\n\0");
            put(out, frame.as_bytes());
        };
        sessions.ask(window.clone(), write, |session, frame| {
            if frame.is("RECEIPT") {
                let recovered = frame.header("x-recovered") == Some("true");
                return if recovered { Ok(true) } else { Err("what it missed is gone".to_owned()) };
            }
            see(&mut seen[session], frame).map(|()| false)
        })?;
    }
    Ok(())
}

/// Checks that a message is the next one of its room.
fn see(seen: &mut Seen, frame: Frame<'_>) -> Result<(), String> {
    let number = frame.body().split(|octet| *octet == b' ').next().and_then(|number| std::str::from_utf8(number).ok());
    let (Some(number), Some(id)) = (number.and_then(|number| number.parse::<usize>().ok()), frame.header("message-id"))
    else {
        return Err("something else than a numbered MESSAGE".to_owned());
    };
    if number != seen.next {
        return Err(format!("message {number} of the room instead of {}: {}", seen.next, seen.id));
    }
    seen.next += 1;
    seen.replayed += usize::from(frame.header("x-replayed") == Some("true"));
    seen.id.clear();
    seen.id.push_str(id);
    Ok(())
}

/// Sends by a timetable until told to stop; how many.
fn write(target: &Target, stop: &std::sync::mpsc::Receiver<()>) -> Result<usize, String> {
    let mut sessions = Sessions::new(target)?;
    let writer = sessions.open(1, 0, |_| "writer".to_owned())?;
    let (begin, padding) = (Instant::now(), "x".repeat(190));
    let (mut out, mut written) = (Vec::new(), 0);
    while begin.elapsed() < LONGEST && stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
        let due = (begin.elapsed().as_secs_f64() * RATE as f64) as usize;
        while written < due {
            out.clear();
            let (room, number) = (room(written), written / ROOMS);
            put(&mut out, format!("SEND\ndestination:/topic/{room}\nreceipt:r\n\n{number} {padding}\0").as_bytes());
            sessions.tell(writer.start, &out)?;
            written += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let mut receipts = 0;
    sessions.await_all(writer, |_, answer| {
        receipts += usize::from(answer.is("RECEIPT"));
        Ok(receipts == written)
    })?;
    Ok(written)
}
