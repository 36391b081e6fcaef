//! What the tail promises to its readers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn record<'a>(room: &'a str, offset: i64, value: &'a [u8]) -> ReadRecord<'a> {
    ReadRecord { partition: 0, offset, timestamp_ms: offset * 1000, room: room.as_bytes(), value, trace: None }
}

fn roomy() -> Tail {
    Tail::new(Bounds { bytes: usize::MAX, age: Duration::from_secs(1 << 40) })
}

#[test]
fn a_reader_gets_its_room_in_order_and_then_the_end() {
    let mut tail = roomy();
    let room = tail.join(b"a", 0);
    for offset in 0..10 {
        tail.append(&record(if offset % 2 == 0 { "a" } else { "b" }, offset, b"x"), true);
    }
    let mut seen = Vec::new();
    let mut at = 0;
    while let After::Entry(next) = tail.after(room, at) {
        seen.push(tail.get(next).unwrap().offset);
        at = next;
    }
    assert_eq!(seen, [0, 2, 4, 6, 8]);
    assert_eq!(tail.after(room, at), After::End);
    assert_eq!(tail.after(room, tail.newest()), After::End);
    assert_eq!(tail.after(room, 2), After::Entry(3), "a place in another room counts too");
}

#[test]
fn p3_what_was_forgotten_is_never_silence() {
    let mut tail = Tail::new(Bounds { bytes: 4 * (ENTRY_BYTES + 1), age: Duration::from_secs(1 << 40) });
    let room = tail.join(b"a", 0);
    for offset in 0..10 {
        tail.append(&record("a", offset, b"x"), true);
    }
    assert_eq!(tail.records(), 4);
    assert_eq!(tail.after(room, 3), After::Forgotten);
    assert_eq!(tail.after(room, 6), After::Entry(7));
    for offset in 10..20 {
        tail.append(&record("b", offset, b"x"), true);
    }
    assert_eq!(tail.after(room, 9), After::Forgotten, "the room's last entries are gone as well");
    assert_eq!(tail.after(room, 10), After::End, "a reader that had them all misses nothing");
}

#[test]
fn p3_behind_a_gap_a_room_begins_anew() {
    let mut tail = roomy();
    let room = tail.join(b"a", 0);
    tail.append(&record("a", 0, b"x"), true);
    let before = tail.newest();
    assert_eq!(tail.forget_partition(0, 10, |_| true), [room]);
    let joined = tail.newest();
    assert_eq!(tail.after(room, before), After::Forgotten, "who had everything before it has missed something");
    assert_eq!(tail.after(room, joined), After::End, "who joins behind it has not");
    // The first one cannot be read: looking for the last messages must not stop at it for ever.
    tail.append(&record("a", 10, b"broken"), true);
    assert_eq!(tail.place_of_last(room, 5, 0), (tail.newest(), 0));
    assert_eq!(tail.after(room, joined), After::Entry(tail.newest()));
    assert_eq!(tail.after(room, before), After::Forgotten);
}

#[test]
fn age_bounds_it_and_unused_rooms_leave_no_trace() {
    let mut tail = Tail::new(Bounds { bytes: usize::MAX, age: Duration::from_secs(5) });
    for offset in 0..100 {
        tail.append(&record(&format!("room-{offset}"), offset, b"x"), true);
    }
    assert_eq!(tail.records(), 6);
    assert_eq!(tail.rooms.known(), 6);
    assert!(tail.rooms.slots() <= 8, "slots are used again: {}", tail.rooms.slots());
    assert_eq!(tail.age(), Duration::from_secs(5));
}

#[test]
fn interest_is_counted_per_worker() {
    let mut tail = roomy();
    let room = tail.join(b"a", 1);
    assert_eq!(tail.join(b"a", 3), room);
    assert_eq!(tail.join(b"a", 3), room);
    assert_eq!(tail.interested(room).collect::<Vec<_>>(), [1, 3]);
    tail.leave(room, 3);
    assert_eq!(tail.interested(room).collect::<Vec<_>>(), [1, 3]);
    tail.leave(room, 3);
    tail.leave(room, 3);
    assert_eq!(tail.interested(room).collect::<Vec<_>>(), [1]);
    tail.leave(room, 1);
    assert_eq!(tail.find(b"a"), None);
}

#[test]
fn p3_a_lost_partition_is_a_gap_for_all_its_rooms() {
    let mut tail = roomy();
    let (a, b) = (tail.join(b"a", 0), tail.join(b"b", 0));
    let first = tail.append(&record("a", 0, b"x"), true);
    tail.append(&record("b", 1, b"x"), true);
    assert_eq!(tail.forget_partition(0, 7, |room| room == b"a"), [a]);
    assert_eq!(tail.after(a, first), After::Forgotten);
    assert_eq!(tail.after(b, 0), After::Entry(2));
    let next = tail.append(&record("a", 7, b"y"), true);
    assert_eq!(tail.after(a, first), After::Forgotten);
    assert_eq!(tail.after(a, next), After::End);
}

#[test]
fn p3_history_behind_a_gap_is_what_came_after_it() {
    let mut tail = roomy();
    let room = tail.join(b"a", 0);
    let value = chat_proto::encode(&chat_proto::Outgoing {
        uuid: [1; 16],
        room: "a",
        sender: "ann",
        content_type: "",
        headers: &[],
        body: b"",
        idempotency_key: "",
        origin: "",
    });
    tail.append(&record("a", 0, &value), true);
    tail.forget_partition(0, 7, |_| true);
    let first = tail.append(&record("a", 7, &value), true);
    assert_eq!(tail.place_of_last(room, 5, 0), (first - 1, 1), "the one record, once");
    tail.forget_partition(0, 9, |_| true);
    tail.append(&record("b", 9, &value), true);
    let last = tail.append(&record("a", 10, &value), true);
    assert_eq!(tail.place_of_last(room, 5, 0), (last - 1, 1), "and none of another room");
}

proptest! {
    /// Whatever is appended and forgotten, a reader sees all of its room behind its place, or is told of the gap.
    #[test]
    fn p3_all_or_forgotten(rooms in prop::collection::vec(0u8..4, 1..200), bound in 1usize..40, start in 0usize..200) {
        let mut tail = Tail::new(Bounds { bytes: bound * (ENTRY_BYTES + 1), age: Duration::from_secs(1 << 40) });
        let names = ["a", "b", "c", "d"];
        let ids = names.map(|name| tail.join(name.as_bytes(), 0));
        for (offset, room) in rooms.iter().enumerate() {
            tail.append(&record(names[*room as usize], offset as i64, b"x"), true);
        }
        prop_assert!(tail.bytes() <= bound.max(1) * (ENTRY_BYTES + 1));
        for (name, id) in ids.iter().enumerate() {
            let expected: Vec<i64> =
                (start..rooms.len()).filter(|at| rooms[*at] as usize == name).map(|at| at as i64).collect();
            let (mut seen, mut at) = (Vec::new(), start as Seq);
            let end = loop {
                match tail.after(*id, at) {
                    After::Entry(next) => { seen.push(tail.get(next).unwrap().offset); at = next; }
                    end => break end,
                }
            };
            let kept = rooms.len() - tail.records();
            let lost = expected.iter().any(|offset| (*offset as usize) < kept);
            prop_assert_eq!(end == After::Forgotten, lost);
            if !lost { prop_assert_eq!(seen, expected); }
        }
    }
}
