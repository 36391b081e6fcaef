//! Row 19: how often the heap is asked for something, per event with the SEND that caused it, and per subscriber of it.

use super::Scenario;
use crate::bench::{
    heap::{Calls, Heap},
    place::Place,
    row::{Row, short},
    server::Server,
    sessions::{Sessions, put},
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const COUNTED: Scenario = Scenario {
    name: "allocations",
    what: "calls of malloc and its kin, per event and per subscriber",
    rows: &["19"],
    quick: true,
    kafka: false,
    run: rows,
};

/// Rooms of these sizes are compared.
const FEW: usize = 8;
const MANY: usize = 408;
/// Events before the first reading: what grows with the first ones has grown then.
const FIRST: usize = 200;

/// Both goals of row 19.
///
/// # Errors
/// The edge does not start, or ends a session.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let heap = match Heap::new(stage.edge_program()?, &stage.settings.scripts, stage.dir()) {
        Ok(heap) => heap,
        Err(why) => {
            let goals = [&targets::ALLOCATIONS, &targets::ALLOCATIONS_EACH];
            return Ok(goals.map(|goal| Row::void(goal, "", why.clone())).into());
        }
    };
    let edge = stage.at(Place::Server, || Server::edge(&heap.program, &EdgeLog::Memory, &[], stage.dir()))?;
    let events = if stage.quick { 500 } else { 2_000 };
    let few = measure(&heap, &edge, FEW, events, true)?;
    let without = measure(&heap, &edge, FEW, events, false)?;
    let many = measure(&heap, &edge, MANY, events, true)?;
    let each = (many.calls - few.calls) / (MANY - FEW) as f64;
    // What the few subscribers added is not the event's.
    let event = |load: &str, of: &PerEvent| {
        let calls = of.calls - each * FEW as f64;
        let note = format!("with {FEW} subscribers: {}", of.by_thread);
        Row::judged(&targets::ALLOCATIONS, load, calls).measured(short(calls), "").note(note)
    };
    Ok(vec![
        event("SEND without RECEIPT, memory log", &without),
        event("SEND with RECEIPT, memory log", &few),
        Row::judged(&targets::ALLOCATIONS_EACH, &format!("rooms of {FEW} and of {MANY}"), each.max(0.0))
            .measured(format!("{each:.4}"), ""),
    ])
}

struct PerEvent {
    calls: f64,
    by_thread: String,
}

/// One SEND after another into a room of `members`, each when all have had the one before.
fn measure(heap: &Heap, edge: &Server, members: usize, events: usize, receipt: bool) -> Result<PerEvent, String> {
    let mut sessions = Sessions::new(&edge.target)?;
    let room = format!("room-of-{members}-{receipt}");
    let writer = sessions.open(1, 0, |_| "writer".to_owned())?;
    let readers = sessions.open(members, 0, |_| room.clone())?;
    let (body, wish) = ("x".repeat(200), if receipt { "receipt:r\n" } else { "" });
    let mut send = Vec::new();
    put(&mut send, format!("SEND\ndestination:/topic/{room}\n{wish}\n{body}\0").as_bytes());
    let mut play = |events: usize| -> Result<Calls, String> {
        for _ in 0..events {
            sessions.tell(writer.start, &send)?;
            if receipt {
                sessions.await_all(writer.clone(), |_, answer| Ok(answer.is("RECEIPT")))?;
            }
            sessions.await_all(readers.clone(), |_, answer| Ok(answer.is("MESSAGE")))?;
        }
        heap.read()
    };
    let before = play(FIRST)?;
    let after = play(events)?;
    let names = after.by_name(&before, edge.pid());
    let by_thread = names.iter().filter(|(_, calls)| **calls as f64 / events as f64 >= 0.05);
    let by_thread: Vec<_> =
        by_thread.map(|(name, calls)| format!("{name} {}", short(*calls as f64 / events as f64))).collect();
    Ok(PerEvent { calls: after.since(&before) as f64 / events as f64, by_thread: by_thread.join(", ") })
}
