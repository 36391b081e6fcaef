//! Where a subscription begins in the past must not depend on the edge: several edges that hold different parts of one
//! log are asked the same, and compared with what the whole log says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use chat_proto::{MessageId, Outgoing, View, encode, partition_of};
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

mod alike;
mod looks;

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
        log.publish(NewRecord { partition, room, value: value(number, put), trace: None }, Ticket::default()).unwrap();
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
        let told = self.follower.poll_outbox(0).map(std::mem::take).unwrap_or_default();
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
            for what in self.follower.poll_outbox(0).map(std::mem::take).unwrap_or_default() {
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
        let (body, key) = (Bytes::copy_from_slice(content.body()), content.idempotency_key().to_owned());
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
        if let (false, Ok(content)) = (repeat, View::read(Bytes::copy_from_slice(record.value), record.room)) {
            let message = Message { room: 0, seq: 0, id, timestamp_ms: record.timestamp_ms, content, trace: None };
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

fn plain(count: usize) -> Vec<Put> {
    (0..count).map(|_| Put { room: 0, after_ms: 1_000, key: 0, kind: Kind::Good }).collect()
}
