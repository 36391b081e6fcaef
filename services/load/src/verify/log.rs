//! The topic as its dump tells it: every record at its place, which of them are shown, and which SEND each of them is.

mod load;
mod repeats;

use std::{collections::HashMap, ops::Range};

use chat_proto::{MessageId, idempotency_hash};

pub use load::{Loader, Row};

use crate::dump::Load;

/// Texts that are met again and again, as numbers.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Names {
    /// The number of a name.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        number
    }

    /// The name with this number.
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("?", |name| name)
    }
}

/// No session shows this record.
pub(super) const HIDDEN: u32 = u32::MAX;
/// Nobody's number.
pub(super) const NOBODY: u32 = u32::MAX;

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Kafka's offset.
    pub offset: i64,
    /// Of the message-id.
    pub check: u32,
    /// Append time, in milliseconds since 1970.
    pub ts: i64,
    /// The room's number.
    pub room: u32,
    /// The sender's number.
    pub sender: u32,
    /// As whom the client that sent it was connected, by number; the largest if no history has it.
    pub user: u32,
    /// Which SEND it is; `None` if no load generator sent it.
    pub load: Option<Load>,
    /// Its place among the shown records of its room; the largest number if no session shows it.
    pub rank: u32,
    /// Another record has the same uuid.
    pub twin: bool,
    /// It carries a header that must never reach a room.
    pub leaked: bool,
    /// When a client first heard that it is stored, in microseconds since 1970; 0: never.
    pub known: u64,
    /// It is not kept under the key that it was sent with.
    pub other_key: bool,
    uuid: u128,
    /// Of room, sender and key; 0: no key, or unreadable.
    hash: u64,
    readable: bool,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Which of the topics that bore the name, one after the other.
    pub generation: usize,
    /// Kafka's partition.
    pub partition: i32,
    index: usize,
}

/// What a message-id leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The record.
    Here(At),
    /// It lies before the first record of the dump: gone by retention, so nothing can be said.
    Trimmed(usize),
    /// The log does not hold it.
    Missing,
}

#[derive(Debug, Default)]
struct Partition {
    records: Vec<Record>,
}

/// One topic, from its creation to its deletion.
#[derive(Debug, Default)]
struct Generation {
    partitions: HashMap<i32, Partition>,
    /// By the room's number: its partition, and the indices of the records that are shown.
    rooms: HashMap<u32, (i32, Vec<u32>)>,
}

/// The whole log.
#[derive(Debug, Default)]
pub struct Log {
    generations: Vec<Generation>,
    /// Every record of a load generator, in order of SENDs.
    sends: Vec<(Load, At)>,
    /// Rooms.
    pub rooms: Names,
    /// Senders.
    pub users: Names,
}

impl Partition {
    fn find(&self, offset: i64) -> Option<usize> {
        let first = self.records.first()?.offset;
        // Without holes it is there at once.
        let guess = usize::try_from(offset.checked_sub(first)?).ok()?;
        if self.records.get(guess).is_some_and(|record| record.offset == offset) {
            return Some(guess);
        }
        self.records.binary_search_by_key(&offset, |record| record.offset).ok()
    }
}

impl Log {
    /// The record that a message-id names.
    pub fn find(&self, id: MessageId) -> Found {
        let mut found = Found::Missing;
        for (generation, topic) in self.generations.iter().enumerate() {
            let Some(partition) = topic.partitions.get(&id.partition) else { continue };
            match partition.find(id.offset) {
                Some(index) if partition.records[index].check == id.check => {
                    return Found::Here(At { generation, partition: id.partition, index });
                }
                None if partition.records.first().is_some_and(|first| id.offset < first.offset) => {
                    found = Found::Trimmed(generation);
                }
                _ => {}
            }
        }
        found
    }

    /// How many topics bore the name.
    pub fn generations(&self) -> usize {
        self.generations.len()
    }

    /// A record.
    pub fn record(&self, at: At) -> &Record {
        // Places are made by this file alone.
        &self.generations[at.generation].partitions[&at.partition].records[at.index]
    }

    fn record_mut(&mut self, at: At) -> Option<&mut Record> {
        self.generations.get_mut(at.generation)?.partitions.get_mut(&at.partition)?.records.get_mut(at.index)
    }

    /// A client has heard that this record is stored.
    pub fn heard_of(&mut self, at: At, t: u64) {
        if let Some(record) = self.record_mut(at)
            && record.known == 0
        {
            record.known = t;
        }
    }

    /// The records of a SEND, its copies from `try` to `try` included.
    pub fn of_send(&self, send: Load) -> &[(Load, At)] {
        let from = self.sends.partition_point(|(load, _)| *load < send);
        let to = from + self.sends[from..].partition_point(|(load, _)| *load == send);
        &self.sends[from..to]
    }

    /// A SEND was written by a client that is connected as `user`, with this key.
    pub fn sent_by(&mut self, send: Load, user: u32, key: Option<&str>) {
        let from = self.sends.partition_point(|(load, _)| *load < send);
        for at in from..self.sends.len() {
            let (load, place) = self.sends[at];
            if load != send {
                break;
            }
            let Record { room, sender, .. } = *self.record(place);
            let (room, sender) = (self.rooms.name(room), self.users.name(sender));
            let hash = key.map_or(0, |key| idempotency_hash(room, sender, key));
            if let Some(record) = self.record_mut(place) {
                record.user = user;
                record.other_key = record.hash != hash;
            }
        }
    }

    /// Every record of a load generator.
    pub fn sends(&self) -> impl Iterator<Item = (Load, At)> {
        self.sends.iter().copied()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.generations.iter().flat_map(|topic| topic.partitions.values()).map(|p| p.records.len()).sum()
    }

    /// Is the topic empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rank that the first shown record of a room behind `offset` has, or would have.
    pub fn rank_behind(&self, generation: usize, room: u32, offset: i64) -> u32 {
        let Some(topic) = self.generations.get(generation) else { return 0 };
        let Some((partition, shown)) = topic.rooms.get(&room) else { return 0 };
        let Some(partition) = topic.partitions.get(partition) else { return 0 };
        shown.partition_point(|index| partition.records[*index as usize].offset <= offset) as u32
    }

    /// The shown records of a room from one rank to another.
    pub fn shown(&self, generation: usize, room: u32, ranks: Range<u32>) -> impl Iterator<Item = At> {
        let room = self.generations.get(generation).and_then(|topic| topic.rooms.get(&room));
        room.into_iter().flat_map(move |(partition, shown)| {
            let ranks = (ranks.start as usize).min(shown.len())..(ranks.end as usize).min(shown.len());
            let partition = *partition;
            let at = move |index: &u32| At { generation, partition, index: *index as usize };
            shown.get(ranks).unwrap_or_default().iter().map(at)
        })
    }

    /// The message-id of a record.
    pub fn id(&self, at: At) -> MessageId {
        let record = self.record(at);
        MessageId { partition: at.partition, offset: record.offset, check: record.check }
    }

    /// A record in words, for a story.
    pub fn tell(&self, at: At) -> String {
        let record = self.record(at);
        let send = record.load.map_or_else(
            || "of no load generator".to_owned(),
            |Load { run, client, n, attempt }| format!("SEND {n} try {attempt} of client {client}, run {run}"),
        );
        let shown = if record.rank == HIDDEN { ", a repeat" } else { "" };
        let (room, sender) = (self.rooms.name(record.room), self.users.name(record.sender));
        format!("{} room {room} from {sender}: {send}{shown}", self.id(at))
    }

    /// The records of the same room around one, in words.
    pub fn around(&self, at: At) -> Vec<String> {
        let Some(partition) = self.generations.get(at.generation).and_then(|t| t.partitions.get(&at.partition)) else {
            return Vec::new();
        };
        let room = self.record(at).room;
        let same = |index: &usize| partition.records[*index].room == room;
        let mut around: Vec<_> = (0..at.index).rev().filter(same).take(2).collect();
        around.reverse();
        around.extend((at.index..partition.records.len()).filter(same).take(3));
        around.into_iter().map(|index| self.tell(At { index, ..at })).collect()
    }
}
