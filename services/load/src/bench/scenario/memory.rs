//! Rows 4, 5 and 6: what an idle session costs in memory, in the process and in the kernel; before and after large
//! messages have gone both ways; and what one more subscription, and one more room, adds.

use super::Scenario;
use crate::bench::{
    meter::{Kernel, Meter},
    row::{Row, short},
    server::Server,
    sessions::{Frame, Sessions, put},
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const MEMORY: Scenario = Scenario {
    name: "memory",
    what: "bytes of an idle session, before and after 60 KB both ways; of a subscription, of a room",
    rows: &["4", "5", "6"],
    quick: true,
    kafka: false,
    run: rows,
};

/// Opened before the first reading, so that what the first few make a server allocate once is not divided among the rest.
const FIRST: usize = 256;
/// Members of a room that is shared.
const SHARED: usize = 50;
/// Octets of a large body: just under what an edge takes by default.
const LARGE: usize = 60_000;
/// Large messages that go through the edge before the tail counts as full.
const FILLING: usize = 100;
/// SUBSCRIBE frames in one write.
const AT_ONCE: usize = 20;

/// Memory per session, in octets.
#[derive(Debug, Clone, Copy)]
struct Idle {
    process: f64,
    /// Half of what both ends of a loopback connection take; `None` where the kernel does not say.
    kernel: Option<f64>,
}

/// Rows 4 and 6, and 5.
///
/// # Errors
/// The edge does not start, or ends a session.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let sessions = if stage.quick { 2_000 } else { 10_000 };
    let own = idle(stage, sessions, |session| format!("own-{session}"))?;
    let shared = idle(stage, sessions, |session| format!("shared-{}", session / SHARED))?;
    let (before, after) = after_large(stage, if stage.quick { 1_000 } else { 3_000 })?;
    let load = format!("{sessions} sessions, a room each");
    let judged = |goal, load: &str, value| stage.lenient(Row::judged(goal, load, value), goal, value);
    let mut rows = vec![
        judged(&targets::IDLE_BYTES, &load, own.process),
        judged(&targets::IDLE_BYTES, &format!("{sessions} sessions, rooms of {SHARED}"), shared.process),
        judged(&targets::IDLE_BYTES_AFTER, "a room each", after).note(format!("{} B before", short(before))),
    ];
    let (subscription, room) = further(stage, if stage.quick { 300 } else { 1_000 })?;
    rows.push(judged(&targets::SUBSCRIPTION_BYTES, "rooms that exist", subscription));
    rows.push(judged(&targets::ROOM_BYTES, "with its first subscription, less that", room));
    rows.push(match own.kernel {
        Some(kernel) => judged(&targets::NODE_BYTES, &load, own.process + kernel)
            .note(format!("kernel {} B: half of both ends", short(kernel))),
        None => Row::void(&targets::NODE_BYTES, &load, "/proc/slabinfo is for root only"),
    });
    Ok(rows)
}

fn edge(stage: &Stage) -> Result<Server, String> {
    // A small tail is full before the first reading.
    stage.edge(&EdgeLog::Memory, &["--tail-bytes", "1MiB", "--max-subscriptions", "1000"])
}

fn resident(meter: Meter) -> Result<f64, String> {
    meter.memory().map(|memory| memory.resident as f64).map_err(|error| format!("the edge's memory: {error}"))
}

fn kernel() -> Result<Option<Kernel>, String> {
    Kernel::read().map_err(|error| error.to_string())
}

fn idle(stage: &Stage, count: usize, room: impl Fn(usize) -> String) -> Result<Idle, String> {
    let edge = edge(stage)?;
    let mut sessions = Sessions::new(&edge.target)?;
    sessions.open(FIRST, 0, &room)?;
    let (process_before, kernel_before) = (resident(edge.meter())?, kernel()?);
    sessions.open(count, 0, &room)?;
    let process = (resident(edge.meter())? - process_before) / count as f64;
    let kernel = kernel()?.zip(kernel_before).map(|(now, before)| now.since(before) as f64 / (2 * count) as f64);
    Ok(Idle { process, kernel })
}

/// The log of the edge is in its memory too, and its tail: so first as many octets as the sessions will send go where
/// nobody reads them, and what that adds is what the log has kept. Octets of a session before and after.
fn after_large(stage: &Stage, count: usize) -> Result<(f64, f64), String> {
    let edge = edge(stage)?;
    let mut sessions = Sessions::new(&edge.target)?;
    let writer = sessions.open(1, 0, |_| "writer".to_owned())?.start;
    sessions.open(FIRST, 0, |session| format!("own-{session}"))?;
    let text = "x".repeat(LARGE);
    let large = |out: &mut Vec<u8>, room: &str| {
        put(out, format!("SEND\ndestination:/topic/{room}\nreceipt:r\n\n{text}\0").as_bytes());
    };
    for _ in 0..FILLING {
        exchange(&mut sessions, writer, &|out| large(out, "writer"), 2)?;
    }
    let at_first = resident(edge.meter())?;
    let members = sessions.open(count, 0, |session| format!("own-{session}"))?;
    let idle = resident(edge.meter())?;
    for _ in 0..count {
        exchange(&mut sessions, writer, &|out| large(out, "nobody"), 1)?;
    }
    let kept = resident(edge.meter())?;
    for member in members {
        exchange(&mut sessions, member, &|out| large(out, &format!("own-{member}")), 2)?;
    }
    let end = resident(edge.meter())?;
    let (before, log) = ((idle - at_first) / count as f64, kept - idle);
    Ok((before, before + (end - kept - log) / count as f64))
}

/// One SEND, and so many answers: its RECEIPT, and its MESSAGE where the session is in that room.
fn exchange(
    sessions: &mut Sessions,
    session: usize,
    write: &dyn Fn(&mut Vec<u8>),
    mut answers: usize,
) -> Result<(), String> {
    let answered = |_, frame: Frame<'_>| {
        if frame.is("MESSAGE") && frame.body().len() != LARGE {
            return Err(format!("a MESSAGE of {} octets", frame.body().len()));
        }
        answers -= 1;
        Ok(answers == 0)
    };
    sessions.ask(session..session + 1, |_, out| write(out), answered)
}

/// Octets of a further subscription to a room that others are in, and of a room beside the subscription that makes it.
fn further(stage: &Stage, count: usize) -> Result<(f64, f64), String> {
    const EACH: usize = 80;
    let edge = edge(stage)?;
    let mut sessions = Sessions::new(&edge.target)?;
    let shared = |number: usize| format!("shared-{number}");
    // One session is in all of the shared rooms first.
    sessions.open(FIRST + count, 0, |_| "all".to_owned())?;
    subscribe(&mut sessions, 0..1, 0..EACH, |_, number| shared(number))?;
    let members = FIRST..FIRST + count;
    let at_first = resident(edge.meter())?;
    subscribe(&mut sessions, members.clone(), 0..EACH, |_, number| shared(number))?;
    let subscribed = resident(edge.meter())?;
    subscribe(&mut sessions, members, EACH..2 * EACH, |session, number| format!("own-{session}-{number}"))?;
    let with_rooms = resident(edge.meter())?;
    let all = (count * EACH) as f64;
    let subscription = (subscribed - at_first) / all;
    Ok((subscription, (with_rooms - subscribed) / all - subscription))
}

/// Each session subscribes so often, several SUBSCRIBEs in one write.
fn subscribe(
    sessions: &mut Sessions,
    which: std::ops::Range<usize>,
    numbers: std::ops::Range<usize>,
    room: impl Fn(usize, usize) -> String,
) -> Result<(), String> {
    for first in numbers.step_by(AT_ONCE) {
        let mut left = vec![AT_ONCE; sessions.len()];
        let write = |session, out: &mut Vec<u8>| {
            for number in first..first + AT_ONCE {
                let room = room(session, number);
                put(out, format!("SUBSCRIBE\nid:sub-{number}x\ndestination:/topic/{room}\nreceipt:s\n\n\0").as_bytes());
            }
        };
        sessions.ask(which.clone(), write, |session, _| {
            left[session] -= 1;
            Ok(left[session] == 0)
        })?;
    }
    Ok(())
}
