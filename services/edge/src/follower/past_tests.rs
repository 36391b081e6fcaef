//! Where a subscription begins in the past must not depend on the edge: several edges that hold different parts of one
//! log are asked the same, and compared with what the whole log says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use chat_proto::{MessageId, Outgoing, encode, partition_of};
use proptest::prelude::*;
use stomp_proto::SubscriptionHandle;

use super::{records::belongs, *};
use crate::{
    log::{
        Budget, Feed, Log, NewRecord, Outcome, ReadRecord, Reports, Rewind, ScanEnd, Start, Ticket, memory::MemoryLog,
    },
    looker::{Allowance, Looking},
    message::{Begin, Resumed},
    repeats,
};

const PARTITIONS: i32 = 2;
const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
const AMPLE: Budget = Budget { records: 100_000, bytes: 1 << 30, time: Duration::from_secs(20) };

struct Nobody;

impl Reports for Nobody {
    fn settled(&self, _: Ticket, _: Outcome) {}
}

/// A record of a test's log.
#[derive(Debug, Clone)]
struct Put {
    room: usize,
    /// Milliseconds since the one before.
    after_ms: i64,
    /// 0: none.
    key: u8,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Good,
    /// The same uuid as a record before.
    Twice,
    /// uuid and hash can be read, the rest cannot.
    Broken,
    NoKey,
    ElseWhere,
}

fn value(number: usize, put: &Put) -> Bytes {
    let number = if put.kind == Kind::Twice { number / 2 } else { number };
    let key = if put.key == 0 { String::new() } else { format!("key {}", put.key) };
    let uuid = (number as u128 + 1).to_be_bytes();
    let (room, body) = (ROOMS[put.room], number.to_string());
    let good = encode(&Outgoing {
        uuid,
        room,
        sender: "ann",
        content_type: "",
        headers: &[],
        body: body.as_bytes(),
        idempotency_key: &key,
        origin: "",
    });
    if put.kind == Kind::Broken { [&good[..good.len() - 1], b"\xff\xff"].concat().into() } else { good }
}

fn log_of(puts: &[Put]) -> MemoryLog {
    let log = MemoryLog::new(PARTITIONS, 1 << 20, Arc::new(Nobody));
    let mut now = 1_000_000;
    for (number, put) in puts.iter().enumerate() {
        now += put.after_ms;
        log.set_clock(Some(now));
        let room = if put.kind == Kind::NoKey { Bytes::new() } else { Bytes::from_static(ROOMS[put.room].as_bytes()) };
        let own = partition_of(ROOMS[put.room].as_bytes(), PARTITIONS);
        let partition = if put.kind == Kind::ElseWhere { 1 - own } else { own };
        log.publish(NewRecord { partition, room, value: value(number, put) }, Ticket::default()).unwrap();
    }
    log
}

struct Edge {
    follower: Follower,
    looking: Looking,
    log: MemoryLog,
    feed: <MemoryLog as Log>::Feed,
}

impl Edge {
    fn new(log: &MemoryLog, tail_bytes: usize, start: Start, budget: Budget) -> Self {
        let metrics = Arc::new(Metrics::new());
        let bounds = Bounds { bytes: tail_bytes, age: Duration::from_secs(1 << 30) };
        let looking = Looking {
            budget,
            partitions: PARTITIONS,
            allowance: Allowance::new(1 << 30, 1 << 30, metrics.clone()),
            metrics: metrics.clone(),
        };
        let follower = Follower::new(1, PARTITIONS, bounds, metrics);
        let mut edge = Self { follower, looking, log: log.clone(), feed: log.feed(start).unwrap() };
        edge.catch_up();
        edge
    }

    fn catch_up(&mut self) {
        let follower = &mut self.follower;
        self.feed.drain(usize::MAX, &mut |event| follower.handle_feed(event)).unwrap();
    }

    /// SUBSCRIBE: position, and the messages that are replayed; `None` if it was not recovered. `meanwhile` happens
    /// while the log is asked.
    fn from(&mut self, room: &'static str, from: Begin, meanwhile: impl FnOnce(&mut Self)) -> Option<Vec<Seen>> {
        let subscription = SubscriptionHandle { index: 0, generation: 0 };
        let who = Subscriber { worker: 0, connection: 0, generation: 0, subscription };
        let command = ToFollower::Subscribe { who, room: Bytes::from_static(room.as_bytes()), from };
        let now = Duration::from_secs(1);
        self.follower.handle_command(command, now);
        let mut meanwhile = Some(meanwhile);
        for _ in 0..100 {
            self.follower.handle_round(now);
            let Some(question) = self.follower.poll_question() else { break };
            let answer = self.looking.answer(&self.log, &question);
            meanwhile.take().into_iter().for_each(|happens| happens(self));
            self.follower.handle_command(ToFollower::Looked(answer), now);
        }
        let told = self.follower.poll_outbox(0).unwrap_or_default();
        let subscribed = told.into_iter().find_map(|what| match what {
            FromFollower::Subscribed { room, after, resumed, .. } => Some((room, after, resumed)),
            _ => None,
        });
        let (room, after, resumed) = subscribed.expect("every SUBSCRIBE is answered");
        let Resumed::Replay(replay) = resumed else { return None };
        let mut seen: Vec<Seen> = Vec::new();
        let mut past = replay.past;
        while let Some(message) = past.as_mut().and_then(|past| past.take()) {
            seen.push(Seen::of(&message));
        }
        let (mut at, mut end) = (replay.behind.min(after), false);
        while !end {
            self.follower.handle_command(ToFollower::Read { who, room, after: at }, now);
            for what in self.follower.poll_outbox(0).unwrap_or_default() {
                let FromFollower::Slice { messages, end: last, through, .. } = what else { panic!("{what:?}") };
                seen.extend(messages.iter().map(|message| Seen::of(message)));
                (at, end) = (through, last);
            }
        }
        self.follower.handle_command(ToFollower::Leave { worker: 0, room }, now);
        Some(seen)
    }
}

/// What a client sees of a message.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    id: MessageId,
    timestamp_ms: i64,
    body: Bytes,
    key: String,
}

impl Seen {
    fn of(message: &Message) -> Self {
        let content = &message.content;
        let (body, key) = (content.body.clone(), content.idempotency_key.clone());
        Self { id: message.id, timestamp_ms: message.timestamp_ms, body, key }
    }
}

/// A record's place, and its append time.
type Placed = (MessageId, i64);

/// Every record of a partition, and what is shown of it, judged from the log's beginning.
fn whole(log: &MemoryLog, partition: i32) -> (Vec<Placed>, Vec<(Vec<u8>, Seen)>) {
    let (mut records, mut shown, mut repeats) = (Vec::new(), Vec::new(), repeats::Repeats::default());
    let mut read = |record: ReadRecord<'_>| {
        let id = MessageId { partition, offset: record.offset, check: MessageId::check_of(record.value) };
        records.push((id, record.timestamp_ms));
        if belongs(&record, PARTITIONS).is_err() {
            return;
        }
        let peek = chat_proto::peek(record.value);
        let repeat = records::is_repeat(&mut repeats, peek.as_ref(), &record);
        if let (false, Ok(content)) = (repeat, chat_proto::decode(Bytes::copy_from_slice(record.value), record.room)) {
            let message = Message { room: 0, seq: 0, id, timestamp_ms: record.timestamp_ms, content };
            shown.push((record.room.to_vec(), Seen::of(&message)));
        }
    };
    let end = log.scan(partition, 0..i64::MAX, AMPLE, &mut read).unwrap();
    assert_eq!(end, ScanEnd::Complete);
    (records, shown)
}

fn recent(records: i64) -> Start {
    let age = Duration::from_secs(1 << 30);
    Start::Recent(Rewind { records, age, window: repeats::WINDOW, span: repeats::SPAN })
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let kind = prop_oneof![
        12 => Just(Kind::Good), 2 => Just(Kind::Twice), 1 => Just(Kind::Broken), 1 => Just(Kind::NoKey),
        1 => Just(Kind::ElseWhere),
    ];
    let put = (0..ROOMS.len(), prop_oneof![5 => 0..2_000i64, 1 => 0..100_000i64], 0..6u8, kind);
    prop::collection::vec(put.prop_map(|(room, after_ms, key, kind)| Put { room, after_ms, key, kind }), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever an edge holds in memory, however it began: every beginning gives what the whole log says.
    #[test]
    fn p3_p4_every_edge_replays_alike(puts in puts(), room in 0..ROOMS.len(), at in any::<prop::sample::Index>(),
                                      small in 1usize..3_000, rewound in 1i64..40) {
        let log = log_of(&puts);
        let partition = partition_of(ROOMS[room].as_bytes(), PARTITIONS);
        let (records, shown) = whole(&log, partition);
        let of_room: Vec<Seen> = shown.iter().filter(|(name, _)| name == ROOMS[room].as_bytes())
            .map(|(_, seen)| seen.clone()).collect();
        let begins = |offset: i64| Some(of_room.iter().filter(|seen| seen.id.offset >= offset).cloned().collect::<Vec<_>>());
        let mut edges = [
            Edge::new(&log, usize::MAX, Start::At(0), AMPLE),
            Edge::new(&log, small, Start::At(0), AMPLE),
            Edge::new(&log, usize::MAX, recent(rewound), AMPLE),
            Edge::new(&log, small, recent(rewound), AMPLE),
        ];
        let empty = MessageId { partition, offset: -1, check: 0 };
        let mut beginnings = vec![(Begin::First, begins(0)), (Begin::After(empty), begins(0)), (Begin::Since(0), begins(0))];
        if !records.is_empty() {
            let (id, ms) = records[at.index(records.len())];
            let since = records.iter().find(|(_, at)| *at >= ms).map_or(0, |(id, _)| id.offset);
            let wrong = MessageId { check: id.check ^ 1, ..id };
            beginnings.extend([
                (Begin::After(id), begins(id.offset + 1)),
                (Begin::Since(ms), begins(since)),
                (Begin::Since(ms + 1), begins(records.iter().find(|(_, at)| *at > ms).map_or(i64::MAX, |(id, _)| id.offset))),
                (Begin::After(wrong), None),
                (Begin::After(MessageId { partition: 1 - partition, ..id }), None),
                (Begin::After(MessageId { offset: records.len() as i64, ..id }), None),
            ]);
        }
        for (begin, expected) in beginnings {
            for (number, edge) in edges.iter_mut().enumerate() {
                let seen = edge.from(ROOMS[room], begin, |_| ());
                prop_assert_eq!(&seen, &expected, "edge {}, {:?}", number, begin);
            }
        }
        // Its own position leads any edge to the same end.
        for edge in &mut edges {
            let position = edge.follower.tail.position(partition);
            for other in 0..4 {
                let mut other = Edge::new(&log, [usize::MAX, small][other % 2], [Start::At(0), recent(rewound)][other / 2], AMPLE);
                prop_assert_eq!(other.from(ROOMS[room], Begin::After(position), |_| ()), Some(Vec::new()), "{}", position);
            }
        }
        // History: the last ones there are, at most so many; a suffix of what the whole log says, the same everywhere as
        // long as the first two minutes of the log, of which nobody knows what they repeat, are not among them.
        for most in [0u32, 1, 5, 1000] {
            let expected = of_room[of_room.len().saturating_sub(most as usize)..].to_vec();
            for (number, edge) in edges.iter_mut().enumerate() {
                let seen = edge.from(ROOMS[room], Begin::Last(most), |_| ());
                prop_assert_eq!(seen, Some(expected.clone()), "edge {}, the last {}", number, most);
            }
        }
    }
}

fn plain(count: usize) -> Vec<Put> {
    (0..count).map(|_| Put { room: 0, after_ms: 1_000, key: 0, kind: Kind::Good }).collect()
}

/// While the log is asked, the tail moves on: a little is no matter, and what it has lost by then is asked for again.
#[test]
fn p3_the_tail_moves_on_while_the_log_is_asked() {
    for more in [1, 3, 20] {
        let log = log_of(&plain(50));
        let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
        let partition = partition_of(b"a", PARTITIONS);
        let (records, _) = whole(&log, partition);
        assert!(edge.follower.tail.kept_from(partition).unwrap() > 30, "a small tail");
        let seen = edge.from("a", Begin::After(records[10].0), |edge| {
            for (number, put) in plain(more).iter().enumerate() {
                let (room, value) = (Bytes::from_static(b"a"), value(1000 + number, put));
                edge.log.publish(NewRecord { partition, room, value }, Ticket::default()).unwrap();
            }
            edge.catch_up();
        });
        let offsets: Vec<i64> = seen.expect("recovered").iter().map(|seen| seen.id.offset).collect();
        assert_eq!(offsets, (11..50 + more as i64).collect::<Vec<_>>(), "{more} more");
    }
}

/// All that wait for one partition are asked for at once, and at most so many partitions.
#[test]
fn waiting_subscriptions_share_a_look() {
    let log = log_of(&plain(50));
    let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    for (connection, token) in records[..20].iter().enumerate() {
        let subscription = SubscriptionHandle { index: 0, generation: 0 };
        let who = Subscriber { worker: 0, connection, generation: 0, subscription };
        let (room, from) = (Bytes::from_static(b"a"), Begin::After(token.0));
        edge.follower.handle_command(ToFollower::Subscribe { who, room, from }, Duration::ZERO);
    }
    edge.follower.handle_round(Duration::ZERO);
    let question = edge.follower.poll_question().expect("a question");
    assert!(edge.follower.poll_question().is_none());
    let answer = edge.looking.answer(&log, &question);
    edge.follower.handle_command(ToFollower::Looked(answer), Duration::ZERO);
    let told = edge.follower.poll_outbox(0).unwrap();
    let recovered = told.iter().filter(|what| {
        matches!(what, FromFollower::Subscribed { resumed: Resumed::Replay(replay), .. } if replay.past.is_some())
    });
    assert_eq!(recovered.count(), 20);
    let held = edge.looking.metrics.delivery.replay_bytes.get();
    assert!(held > 0);
    drop(told);
    assert_eq!(edge.looking.metrics.delivery.replay_bytes.get(), 0, "given back when it has been given out");
}

/// Whoever wants more than a look may cost is told no, and the others are served; nobody is kept waiting for ever.
#[test]
fn p3_a_look_has_a_budget() {
    let log = log_of(&plain(500));
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    // A second apart, so two minutes before the token are 120 records.
    let mut edge = Edge::new(&log, 1_500, Start::At(0), Budget { records: 200, ..AMPLE });
    assert_eq!(edge.from("a", Begin::After(records[200].0), |_| ()), None);
    assert_eq!(edge.from("a", Begin::First, |_| ()), None);
    assert_eq!(edge.from("a", Begin::Since(records[10].1), |_| ()), None);
    assert_eq!(edge.from("a", Begin::After(records[450].0), |_| ()).expect("within it").len(), 49);
    let seen = edge.from("a", Begin::Last(1000), |_| ()).expect("history is what there is");
    assert!((60..200).contains(&seen.len()), "{}", seen.len());
    let mut edge = Edge::new(&log, 1_500, Start::At(0), Budget { bytes: 2_000, ..AMPLE });
    assert_eq!(edge.from("a", Begin::After(records[300].0), |_| ()), None);
    edge.follower.handle_tick(Duration::from_secs(2));
    assert_eq!(edge.follower.waiting(), 0);
    // Nobody answers: five seconds.
    let subscription = SubscriptionHandle { index: 0, generation: 0 };
    let who = Subscriber { worker: 0, connection: 0, generation: 0, subscription };
    let (room, from) = (Bytes::from_static(b"a"), Begin::First);
    edge.follower.handle_command(ToFollower::Subscribe { who, room, from }, Duration::ZERO);
    edge.follower.handle_round(Duration::ZERO);
    assert!(edge.follower.poll_question().is_some() && edge.follower.poll_outbox(0).is_none());
    edge.follower.handle_round(Duration::from_secs(5));
    let told = edge.follower.poll_outbox(0).unwrap();
    assert!(matches!(told[..], [FromFollower::Subscribed { resumed: Resumed::NotRecovered, .. }]), "{told:?}");
}

/// A token that is ahead is held if the log holds something there, and answered at once if not.
#[test]
fn p3_a_token_ahead_of_this_edge() {
    let log = log_of(&plain(10));
    let partition = partition_of(b"a", PARTITIONS);
    let mut edge = Edge::new(&log, usize::MAX, Start::At(0), AMPLE);
    for (number, put) in plain(3).iter().enumerate() {
        let (room, value) = (Bytes::from_static(b"a"), value(1000 + number, put));
        log.publish(NewRecord { partition, room, value }, Ticket::default()).unwrap();
    }
    let (records, _) = whole(&log, partition);
    // The log has it: waits until it is read here.
    let seen = edge.from("a", Begin::After(records[11].0), Edge::catch_up);
    assert_eq!(seen.expect("recovered").len(), 1);
    // It never comes.
    let nowhere = MessageId { offset: 99, ..records[11].0 };
    assert_eq!(edge.from("a", Begin::After(nowhere), |_| ()), None);
    // It comes, and is another one.
    let other = MessageId { offset: 13, ..records[11].0 };
    log.publish(
        NewRecord { partition, room: Bytes::from_static(b"a"), value: value(2000, &plain(1)[0]) },
        Ticket::default(),
    )
    .unwrap();
    assert_eq!(edge.from("a", Begin::After(other), Edge::catch_up), None);
}

/// Another log stands in this one's place, and this edge has not noticed yet: nothing of both is joined.
#[test]
fn p3_a_replaced_log_is_not_joined_with_what_was_there() {
    let mut edge = Edge::new(&log_of(&plain(50)), 1_500, Start::At(0), AMPLE);
    let other = MemoryLog::new(PARTITIONS, 1 << 20, Arc::new(Nobody));
    for (number, put) in plain(60).iter().enumerate() {
        let (room, value) = (Bytes::from_static(b"a"), value(5000 + number, put));
        other.publish(NewRecord { partition: partition_of(b"a", PARTITIONS), room, value }, Ticket::default()).unwrap();
    }
    let (records, _) = whole(&other, partition_of(b"a", PARTITIONS));
    edge.log = other;
    assert_eq!(edge.from("a", Begin::After(records[5].0), |_| ()), None);
}

/// What retention has taken: no token leads there, `first` is what is left, and a moment before it is a gap.
#[test]
fn p3_what_the_log_has_lost() {
    let log = log_of(&plain(300));
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
    log.trim(partition, 150);
    assert_eq!(edge.from("a", Begin::After(records[140].0), |_| ()), None);
    assert_eq!(edge.from("a", Begin::After(records[149].0), |_| ()), None, "not to be verified any more");
    assert_eq!(edge.from("a", Begin::After(records[150].0), |_| ()).expect("it is there").len(), 149);
    assert_eq!(edge.from("a", Begin::First, |_| ()).expect("what is left").len(), 150);
    assert_eq!(edge.from("a", Begin::Since(records[100].1), |_| ()), None);
    assert_eq!(edge.from("a", Begin::Since(records[200].1), |_| ()).expect("all of it").len(), 100);
    let empty = MessageId { partition, offset: 149, check: 0 };
    assert_eq!(edge.from("a", Begin::After(empty), |_| ()).expect("the end of an empty partition").len(), 150);
}
