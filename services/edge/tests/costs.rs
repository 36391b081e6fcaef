//! What a connection, a subscription, a room and an event cost in memory, counted exactly: a whole edge in one thread, from
//! the octets that a client sends to those that its neighbours get. performance.md rows 4, 5, 18 and 19.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "costs/edge.rs"]
mod edge;

use allocation_counter::measure;
use edge::Edge;
use std::time::Duration;

/// Sessions for an average; enough that a table's size just before it grows does not decide.
const CROWD: usize = 3_000;

/// Octets that a session of its own keeps allocated, in this thread's heap: sockets are the kernel's.
fn per_session(room_of: impl Fn(usize) -> usize) -> i64 {
    let mut edge = Edge::new();
    // Pools and tables have their first size.
    (0..64).for_each(|_| edge.open("warm"));
    let info = measure(|| {
        for at in 0..CROWD {
            edge.open(&format!("room-{}", room_of(at)));
        }
    });
    info.bytes_current / CROWD as i64
}

/// Row 4, and the same in a room of everybody's.
#[test]
fn row_4_an_idle_session_is_small() {
    let (own, shared) = (per_session(|at| at), per_session(|_| 0));
    println!("{own} octets for a session with a room of its own, {shared} in one room");
    assert!(own <= 1_024, "{own} octets with a room of its own, {shared} in one room");
    assert!(shared <= 896, "{own} octets with a room of its own, {shared} in one room");
}

/// Row 4, second half: a large SEND and a large MESSAGE leave nothing behind.
#[test]
fn row_4_large_messages_leave_nothing_behind() {
    let mut edge = Edge::new();
    (0..200).for_each(|_| edge.open("room"));
    let body = "x".repeat(60_000);
    // As many as the tail holds.
    (0..40).for_each(|_| edge.send(0, "room", &body));
    let kept = edge.log_bytes();
    let info = measure(|| {
        for at in 0..100 {
            edge.send(at, "room", &body);
        }
    });
    // What the log and the tail hold is theirs; a spare engine and a block of records are the worker's.
    let left = info.bytes_current - (edge.log_bytes() - kept) as i64;
    assert!(left < 300_000, "{left} octets are left, 3,000 for each of 100 that sent");
}

/// Row 5.
#[test]
fn row_5_subscriptions_and_rooms_are_small() {
    const EACH: usize = 40;
    let subscribe = |room_of: &dyn Fn(usize) -> usize| {
        let mut edge = Edge::new();
        (0..50).for_each(|_| edge.open("warm"));
        // The rooms of the others are there already.
        (0..EACH * 50).for_each(|at| edge.open(&format!("warm-{at}")));
        let info = measure(|| {
            for client in 0..50 {
                for at in 0..EACH {
                    edge.subscribe(client, at + 1, &format!("warm-{}", room_of(client * EACH + at)));
                }
            }
        });
        info.bytes_current / (50 * EACH) as i64
    };
    let further = subscribe(&|at| at);
    assert!(further <= 96, "{further} octets for a further subscription");
    let rooms = subscribe(&|at| 1_000_000 + at) - further;
    println!("{further} octets for a further subscription, {rooms} for a room");
    assert!(rooms <= 200, "{rooms} octets for a room");
}

/// Row 7: heart-beats take no memory, beside that of the timer's slots.
#[test]
fn row_7_beats_allocate_nothing() {
    let mut edge = Edge::new();
    // Beats lie where their sessions began.
    for _ in 0..5_000 {
        edge.open("room");
        edge.pass(Duration::from_millis(2));
    }
    edge.beat();
    let mut beats = 0;
    let info = measure(|| beats = edge.beat());
    let each = info.count_total as f64 / beats as f64;
    assert!(beats >= 30_000 && each < 0.25, "{beats} beats, {each} allocations for each");
}

/// Rows 18 and 19: what an event allocates with the SEND that caused it, and that its subscribers cost nothing.
#[test]
fn row_19_events_allocate_little_and_subscribers_nothing() {
    let per_event = |members: usize, receipt: bool| {
        let mut edge = Edge::new();
        (0..members).for_each(|_| edge.open("room"));
        let frame = edge::send_frame("room", &"x".repeat(200), receipt);
        (0..300).for_each(|_| edge.send_frame(0, &frame));
        let info = measure(|| (0..1_000).for_each(|_| edge.send_frame(0, &frame)));
        info.count_total as f64 / 1_000.0
    };
    let (few, many, large) = (per_event(1, false), per_event(100, false), per_event(1_000, false));
    assert!(few <= 8.0, "{few} allocations per event");
    assert!(many <= few + 0.2 && large <= few + 2.2, "{few}, {many}, {large} with 1, 100 and 1,000 subscribers");
    let receipts = per_event(1, true);
    println!("{few}, {many}, {large} allocations with 1, 100 and 1,000 subscribers, {receipts} with a receipt");
    assert!(receipts <= 12.0, "{receipts} allocations per event with a receipt");
}

/// Row 18: what waits for a client leaves in one write.
#[test]
fn row_18_everything_pending_leaves_in_one_write() {
    let mut edge = Edge::new();
    (0..10).for_each(|_| edge.open("room"));
    let before = edge.writes();
    let frames = edge::send_frame("room", "hello", false).repeat(40);
    edge.send_frame(0, &frames);
    assert_eq!(edge.writes() - before, 10, "one for each subscriber of 40 messages");
}
