//! What is really in the log, read by the simulation itself, and which of it is to be shown: the rules of DESIGN §6 and
//! §7 a second time, as plain as can be.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use chat_proto::{MessageId, partition_of};
use klatsch_edge::log::{Feed, FeedEvent, Log, ReadRecord, Start, memory::MemoryFeed, memory::MemoryLog};

/// Two records with the same key are one message if they lie no further apart (DESIGN §2, promise 4).
const REPEAT_MS: i64 = 120_000;

/// A record of the log.
pub struct Stored {
    pub room: String,
    pub timestamp_ms: i64,
    pub check: u32,
    pub sender: String,
    pub key: String,
    /// The header by which a client tells its SENDs apart.
    pub attempt: String,
    pub body: Bytes,
    uuid: Option<[u8; 16]>,
    hash: u64,
    /// It is a message of its room, shown or not.
    pub readable: bool,
    pub shown: bool,
}

/// The whole log, trimmed or not.
pub struct Truth {
    feed: MemoryFeed,
    partitions: Vec<Vec<Stored>>,
    /// Offsets of what is to be shown.
    shown: BTreeMap<String, Vec<i64>>,
    /// Where each attempt was stored.
    pub attempts: BTreeMap<String, Vec<(i32, i64)>>,
    pinned: i32,
    /// Counts changes, so that followers know that there is something to read.
    pub version: u64,
}

impl Truth {
    pub fn new(log: &MemoryLog, pinned: i32) -> Self {
        let feed = log.feed(Start::At(0)).unwrap();
        let (partitions, shown, attempts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { feed, partitions, shown, attempts, pinned, version: 0 }
    }

    /// Reads what is new. To be called after every change of the log.
    pub fn look(&mut self) {
        self.version += 1;
        let Self { feed, partitions, shown, attempts, pinned, .. } = self;
        let mut take = |event: FeedEvent<'_>| match event {
            FeedEvent::Partitions(count) => partitions.resize_with(count as usize, Vec::new),
            FeedEvent::Record(record) => {
                let before = &mut partitions[record.partition as usize];
                assert_eq!(record.offset, before.len() as i64, "the simulation reads everything");
                let stored = judge(record, before, *pinned);
                if stored.shown {
                    shown.entry(stored.room.clone()).or_default().push(record.offset);
                }
                if !stored.attempt.is_empty() {
                    attempts.entry(stored.attempt.clone()).or_default().push((record.partition, record.offset));
                }
                before.push(stored);
            }
            _ => {}
        };
        while feed.drain(64, &mut take).unwrap() == 64 {}
    }

    pub fn get(&self, partition: i32, offset: i64) -> Option<&Stored> {
        self.partitions.get(usize::try_from(partition).ok()?)?.get(usize::try_from(offset).ok()?)
    }

    pub fn partition_of(&self, room: &str) -> i32 {
        partition_of(room.as_bytes(), self.pinned)
    }

    pub fn partitions(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// One past the last offset.
    pub fn end(&self, partition: i32) -> i64 {
        self.partitions.get(partition as usize).map_or(0, |p| p.len() as i64)
    }

    /// Offsets of what is to be shown in a room.
    pub fn shown(&self, room: &str) -> &[i64] {
        self.shown.get(room).map_or(&[], Vec::as_slice)
    }

    /// What is to be shown in a room, behind `after` up to and with `through`.
    pub fn shown_between(&self, room: &str, after: i64, through: i64) -> &[i64] {
        let shown = self.shown(room);
        let Range { start, end } = shown.partition_point(|at| *at <= after)..shown.partition_point(|at| *at <= through);
        &shown[start..end.max(start)]
    }

    /// The first that is to be shown behind an offset.
    pub fn next_shown(&self, room: &str, after: i64) -> Option<i64> {
        let shown = self.shown(room);
        shown.get(shown.partition_point(|at| *at <= after)).copied()
    }

    /// The token of a place: the id of the record that lies there.
    pub fn id(&self, partition: i32, offset: i64) -> MessageId {
        MessageId { partition, offset, check: self.get(partition, offset).map_or(0, |stored| stored.check) }
    }
}

fn judge(record: &ReadRecord<'_>, before: &[Stored], pinned: i32) -> Stored {
    let lies_right = !record.room.is_empty() && partition_of(record.room, pinned) == record.partition;
    let content = chat_proto::decode(Bytes::copy_from_slice(record.value), record.room);
    let peek = chat_proto::peek(record.value).filter(|_| lies_right);
    let (uuid, hash) = (peek.map(|peek| peek.uuid), peek.map_or(0, |peek| peek.idempotency_hash));
    let repeats = |earlier: &&Stored| {
        let same = (earlier.uuid.is_some() && earlier.uuid == uuid) || (hash != 0 && earlier.hash == hash);
        same && record.timestamp_ms - earlier.timestamp_ms <= REPEAT_MS
    };
    let repeated = before.iter().rev().find(repeats).is_some();
    let readable = lies_right && content.is_ok();
    let shown = readable && !repeated;
    let content = content.unwrap_or_default();
    let attempt = content.headers.iter().find(|header| header.name == "attempt").map(|header| header.value.clone());
    Stored {
        room: String::from_utf8_lossy(record.room).into_owned(),
        timestamp_ms: record.timestamp_ms,
        check: MessageId::check_of(record.value),
        sender: content.sender,
        key: content.idempotency_key,
        attempt: attempt.unwrap_or_default(),
        body: content.body,
        uuid,
        hash,
        readable,
        shown,
    }
}
