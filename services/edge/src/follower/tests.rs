//! What the follower promises to the workers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use chat_proto::{Outgoing, encode, partition_of};
use stomp_proto::SubscriptionHandle;

use super::*;
use crate::{
    log::{FeedEvent, ReadRecord, Ticket},
    message::{Begin, Claim},
    metrics::Poison,
};

const NOW: Duration = Duration::from_secs(1);

fn follower(workers: usize) -> Follower {
    let bounds = Bounds { bytes: 1 << 30, age: Duration::from_secs(1 << 30) };
    let mut follower = Follower::new(workers, 1, bounds, Arc::new(Metrics::new()));
    follower.handle_feed(FeedEvent::Partitions(1));
    follower
}

fn value(room: &str, number: u8, body: &[u8]) -> Bytes {
    let uuid = [number; 16];
    encode(&Outgoing { uuid, room, sender: "", content_type: "", headers: &[], body, idempotency_key: "", origin: "" })
}

fn append(follower: &mut Follower, room: &str, offset: i64, value: &[u8]) {
    let room = room.as_bytes();
    follower.handle_feed(FeedEvent::Record(&ReadRecord {
        partition: 0,
        offset,
        timestamp_ms: offset,
        room,
        value,
        trace: None,
    }));
}

fn who(worker: usize) -> Subscriber {
    let subscription = SubscriptionHandle { index: 0, generation: 0 };
    Subscriber { worker, connection: 0, generation: 0, subscription }
}

fn subscribe(follower: &mut Follower, worker: usize, room: &'static str) {
    let room = Bytes::from_static(room.as_bytes());
    follower.handle_command(ToFollower::Subscribe { who: who(worker), room, from: Begin::Now }, NOW);
}

/// Offsets, and where the subscription began, in the order in which a worker hears of them.
fn heard(follower: &mut Follower, worker: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for what in follower.poll_outbox(worker).map(std::mem::take).into_iter().flatten() {
        match what {
            FromFollower::Message(message) => heard.push(message.id.offset.to_string()),
            FromFollower::Batch(batch) => heard.extend(batch.iter().map(|message| message.id.offset.to_string())),
            FromFollower::Subscribed { after, .. } => heard.push(format!("subscribed after {after}")),
            FromFollower::Slice { messages, end, .. } => {
                heard.extend(messages.iter().map(|message| format!("old {}", message.id.offset)));
                heard.push(format!("end {end}"));
            }
            FromFollower::Forgotten { .. } => heard.push("forgotten".to_owned()),
            FromFollower::Lost(_) => heard.push("lost".to_owned()),
            FromFollower::Claimed { first, .. } => {
                heard.push(first.map_or("free".to_owned(), |first| format!("repeats {}", first.id.offset)));
            }
            FromFollower::Located { place, .. } => heard.push(format!("at {}", place.id.offset)),
        }
    }
    heard
}

#[test]
fn u07_a_subscription_begins_at_one_point_of_the_sequence() {
    let mut follower = follower(2);
    append(&mut follower, "a", 0, &value("a", 0, b""));
    subscribe(&mut follower, 0, "a");
    append(&mut follower, "a", 1, &value("a", 1, b""));
    append(&mut follower, "b", 2, &value("b", 2, b""));
    subscribe(&mut follower, 0, "b");
    append(&mut follower, "b", 3, &value("b", 3, b""));
    assert_eq!(heard(&mut follower, 0), ["subscribed after 1", "1", "subscribed after 3", "3"]);
    assert_eq!(heard(&mut follower, 1), [""; 0], "nobody there wants anything");
}

#[test]
fn l07_a_cursor_reads_on_in_slices_and_then_is_at_the_end() {
    let mut follower = follower(1);
    subscribe(&mut follower, 0, "a");
    heard(&mut follower, 0);
    let body = vec![b'x'; 20 * 1024];
    for number in 0..4 {
        append(&mut follower, "a", number.into(), &value("a", number, &body));
    }
    heard(&mut follower, 0);
    let room = follower.tail.find(b"a").unwrap();
    let read = |follower: &mut Follower, after| {
        follower.handle_command(ToFollower::Read { who: who(0), room, after }, NOW);
        heard(follower, 0)
    };
    assert_eq!(read(&mut follower, 0), ["old 0", "old 1", "end false"]);
    assert_eq!(read(&mut follower, 2), ["old 2", "old 3", "end true"]);
    assert_eq!(read(&mut follower, 4), ["end true"]);
    follower.handle_feed(FeedEvent::Gap { partition: 0, resumed_at: 100 });
    assert_eq!(heard(&mut follower, 0), ["lost"]);
    assert_eq!(read(&mut follower, 4), ["forgotten"], "p3: a gap is told, not skipped");
}

#[test]
fn p1_an_unplaced_send_is_found_before_or_after_it_was_read() {
    let mut follower = follower(1);
    let locate = |number: u8| ToFollower::Locate {
        ticket: Ticket::default(),
        room: Bytes::from_static(b"a"),
        uuid: [number; 16],
    };
    append(&mut follower, "a", 0, &value("a", 7, b""));
    append(&mut follower, "a", 1, &value("a", 8, b""));
    follower.handle_command(locate(7), NOW);
    follower.handle_command(locate(9), NOW);
    assert_eq!(heard(&mut follower, 0), ["at 0"]);
    append(&mut follower, "a", 2, &value("a", 9, b""));
    assert_eq!(heard(&mut follower, 0), ["at 2"]);
    assert!(follower.wanted.is_empty());
    // A repeat is shown to nobody, but its sender is owed an answer.
    append(&mut follower, "a", 3, &value("a", 9, b""));
    follower.handle_command(locate(9), NOW);
    assert_eq!(heard(&mut follower, 0), ["at 3"]);
}

fn keyed(room: &str, number: u8, key: &str) -> Bytes {
    let uuid = [number; 16];
    let (sender, idempotency_key) = ("ann", key);
    encode(&Outgoing { uuid, room, sender, content_type: "", headers: &[], body: b"", idempotency_key, origin: "" })
}

fn claim(follower: &mut Follower, number: u8, key: &str) -> Vec<String> {
    let hash = chat_proto::idempotency_hash("a", "ann", key);
    let (ticket, room, uuid) = (Ticket::default(), Bytes::from_static(b"a"), [number; 16]);
    follower.handle_command(ToFollower::Claim(Claim { ticket, room, uuid, hash, wait: true }), NOW);
    heard(follower, 0)
}

#[test]
fn p4_a_known_key_is_answered_with_the_first_place_and_an_unknown_one_is_waited_for() {
    let mut follower = follower(1);
    follower.set_wall_clock(1000);
    append(&mut follower, "a", 0, &keyed("a", 1, "k"));
    assert_eq!(claim(&mut follower, 2, "k"), ["repeats 0"]);
    assert_eq!(claim(&mut follower, 3, "l"), ["free"]);
    // Both edges asked before either had written: the record turns out to be a repeat when it is read back.
    append(&mut follower, "a", 1, &keyed("a", 4, "l"));
    append(&mut follower, "a", 2, &keyed("a", 3, "l"));
    assert_eq!(heard(&mut follower, 0), ["at 1"], "the first one's place");
    assert_eq!(claim(&mut follower, 5, "l"), ["repeats 1"]);
    assert_eq!(claim(&mut follower, 6, "m"), ["free"]);
    append(&mut follower, "a", 3, &keyed("a", 6, "m"));
    assert_eq!(heard(&mut follower, 0), ["at 3"]);
}

/// What would be shown must be written: of a key that is too old, or whose age nobody can tell, nothing is answered.
#[test]
fn p4_a_key_whose_time_is_over_or_unknown_is_written() {
    let mut follower = follower(1);
    append(&mut follower, "a", 0, &keyed("a", 1, "k"));
    follower.set_wall_clock(100_000);
    assert_eq!(claim(&mut follower, 2, "k"), ["repeats 0"]);
    append(&mut follower, "a", 90_000, &keyed("a", 3, "k"));
    follower.set_wall_clock(190_000);
    assert_eq!(claim(&mut follower, 4, "k"), ["repeats 0"], "each use counts, shown or not");
    follower.set_wall_clock(205_000);
    assert_eq!(claim(&mut follower, 5, "k"), ["free"], "it might be more than two minutes once it is stored");
    follower.set_wall_clock(1);
    assert_eq!(claim(&mut follower, 6, "k"), ["free"], "a clock that is behind the log's");
    follower.set_wall_clock(100_000);
    follower.handle_feed(FeedEvent::Gap { partition: 0, resumed_at: 0 });
    heard(&mut follower, 0);
    assert_eq!(claim(&mut follower, 7, "k"), ["free"], "another log");
    append(&mut follower, "a", 0, &keyed("a", 8, "k"));
    subscribe(&mut follower, 0, "a");
    append(&mut follower, "a", 1, &keyed("a", 9, "new"));
    assert_eq!(heard(&mut follower, 0).last().unwrap(), "1");
    assert_eq!(claim(&mut follower, 10, "k"), ["repeats 0"], "it repeats nothing of the log before");
}

#[test]
fn poison_is_counted_and_the_next_record_is_delivered() {
    let mut follower = follower(1);
    subscribe(&mut follower, 0, "a");
    append(&mut follower, "a", 0, b"\xff\xff not a message");
    append(&mut follower, "", 1, &value("a", 1, b""));
    append(&mut follower, "a", 2, &value("b", 2, b""));
    append(&mut follower, "a", 3, &value("a", 3, b""));
    assert_eq!(heard(&mut follower, 0), ["subscribed after 0", "3"]);
    let poison = &follower.metrics.log.poison;
    for reason in [Poison::Decode, Poison::NoKey, Poison::RoomMismatch] {
        assert_eq!(poison.of(reason).get(), 1, "{reason:?}");
    }
}

#[test]
fn a_record_in_another_partition_than_its_rooms_is_not_delivered() {
    let bounds = Bounds { bytes: 1 << 20, age: Duration::from_secs(1 << 30) };
    let mut follower = Follower::new(1, 12, bounds, Arc::new(Metrics::new()));
    subscribe(&mut follower, 0, "a");
    let right = partition_of(b"a", 12);
    for partition in 0..12 {
        let (room, value) = (&b"a"[..], value("a", 1, b""));
        let record = ReadRecord { partition, offset: 5, timestamp_ms: 0, room, value: &value, trace: None };
        follower.handle_feed(FeedEvent::Record(&record));
    }
    assert_eq!(heard(&mut follower, 0), ["subscribed after 0", "5"]);
    assert_eq!(follower.metrics.log.poison.of(Poison::WrongPartition).get(), 11, "all but {right}");
}

#[test]
fn p9_caught_up_means_every_partition() {
    let mut follower = follower(1);
    assert!(!follower.is_caught_up());
    follower.handle_feed(FeedEvent::Partitions(2));
    follower.handle_feed(FeedEvent::EndOfPartition { partition: 1, offset: 0 });
    assert!(!follower.is_caught_up());
    follower.handle_feed(FeedEvent::EndOfPartition { partition: 0, offset: 0 });
    assert!(follower.is_caught_up());
}

/// A hint changes nothing, whatever comes instead of what it announced.
#[test]
fn p4_what_was_announced_need_not_come() {
    let values = [1, 2, 1, 3].map(|number| value("a", number, b""));
    let record = |offset: i64, at: usize| ReadRecord {
        partition: 0,
        offset,
        timestamp_ms: offset,
        room: b"a",
        value: &values[at],
        trace: None,
    };
    let (one, two, again, three) = (record(0, 0), record(1, 1), record(2, 2), record(3, 3));
    let announced: [&[ReadRecord<'_>]; 5] =
        [&[], &[one, two, again, three], &[two, again], &[again, two, one], &[record(7, 0), one, two]];
    for announced in announced {
        let mut follower = follower(1);
        subscribe(&mut follower, 0, "a");
        follower.handle_feed(FeedEvent::Soon(announced));
        for record in [&one, &two, &again, &three] {
            follower.handle_feed(FeedEvent::Record(record));
        }
        assert_eq!(heard(&mut follower, 0), ["subscribed after 0", "0", "1", "3"], "after {announced:?}");
        assert_eq!(follower.metrics.log.repeated.get(), 1);

        // What was known before a gap is not known after it.
        follower.handle_feed(FeedEvent::Soon(&[three, one]));
        follower.handle_feed(FeedEvent::Gap { partition: 0, resumed_at: 9 });
        for offset in [9, 10] {
            follower.handle_feed(FeedEvent::Record(&record(offset, 3)));
        }
        assert_eq!(heard(&mut follower, 0), ["lost", "9"]);
    }
}
