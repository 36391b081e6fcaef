//! The recent end of the log, kept in memory by room: what a subscription that fell behind reads from.
//!
//! Raw record values lie one after the other in large blocks, so that keeping a record allocates nothing. Each room's
//! entries form a chain, oldest to newest. Bounded in bytes and in age; what leaves is forgotten oldest first,
//! and a room remembers up to where it has forgotten, so that a gap is never mistaken for silence.

use std::{ops::Deref, time::Duration};

use crate::{log::ReadRecord, ring::Ring};
use bytes::Bytes;
use chat_proto::MessageId;

mod ahead;
mod firsts;
mod partition;
mod places;
mod room;
mod rooms;
mod values;

use firsts::Firsts;
pub use firsts::Known;
use partition::Partition;
pub use partition::Place;
pub use rooms::Likely;
use rooms::Rooms;
use values::Values;

/// A record's number in this tail, from 1, in the order of arrival. 0 stands for "none".
pub type Seq = u64;
/// A room's slot in this tail. Stays the room's as long as somebody is interested in it or an entry of it is kept.
pub type RoomId = u32;

/// No entry of a room is kept.
const NONE_KEPT: Seq = 0;
/// The room of a record that is kept for its place alone, since it is never shown.
const NO_ROOM: RoomId = RoomId::MAX;
/// What an entry costs beside its value, counted against the bound.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// The bounds of a tail.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Values and their entries together.
    pub bytes: usize,
    /// Append time of the oldest entry, counted back from the newest record.
    pub age: Duration,
}

/// One kept record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    /// Kafka partition.
    pub partition: i32,
    /// Offset inside the partition.
    pub offset: i64,
    /// Append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The record's room.
    pub room: RoomId,
    value: values::Place,
    /// The room's entry before this one, also when it has been forgotten since.
    pub previous: Seq,
    next: Seq,
}

/// A kept record with its value.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    entry: &'a Entry,
    /// The record's value.
    pub value: &'a [u8],
}

impl Deref for Kept<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl Kept<'_> {
    /// Its place in the log.
    pub fn id(&self) -> MessageId {
        MessageId { partition: self.partition, offset: self.offset, check: MessageId::check_of(self.value) }
    }
}

/// What a reader finds behind its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The room's next entry.
    Entry(Seq),
    /// Nothing newer: the reader is at the end.
    End,
    /// Entries behind the reader's place have been forgotten.
    Forgotten,
}

/// The recent end of the log.
pub struct Tail {
    bounds: Bounds,
    /// By number.
    entries: Ring<Entry>,
    bytes: usize,
    values: Values,
    partitions: Vec<Partition>,
    rooms: Rooms,
    firsts: Firsts,
    newest_ms: i64,
}

impl Tail {
    /// An empty tail.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: Ring::new(1),
            bytes: 0,
            values: Values::default(),
            partitions: Vec::new(),
            rooms: Rooms::default(),
            firsts: Firsts::default(),
            newest_ms: 0,
        }
    }

    /// Keeps a record and returns its number. One that is not to be shown is kept for its place in the log alone.
    pub fn append(&mut self, record: &ReadRecord<'_>, shown: bool) -> Seq {
        self.append_likely(record, shown, self.rooms.likely(record.room))
    }

    fn append_likely(&mut self, record: &ReadRecord<'_>, shown: bool, likely: Likely) -> Seq {
        let seq = self.entries.next();
        let value = self.values.put(record.value);
        let room = if shown { self.rooms.find_likely_or_add(record.room, likely) } else { NO_ROOM };
        let previous = if shown { self.link(room, seq) } else { 0 };
        self.bytes += record.value.len() + ENTRY_BYTES;
        let ReadRecord { partition, offset, timestamp_ms, .. } = *record;
        self.entries.push(Entry { partition, offset, timestamp_ms, room, value, previous, next: 0 });
        self.partition(partition).add(seq, offset);
        self.newest_ms = self.newest_ms.max(timestamp_ms);
        self.forget_old();
        seq
    }

    /// Makes `seq` the room's newest entry; the one before it.
    fn link(&mut self, room: RoomId, seq: Seq) -> Seq {
        let front = self.entries.first();
        let slot = &mut self.rooms[room];
        let newest = std::mem::replace(&mut slot.last, seq);
        if newest == NONE_KEPT {
            // After `forget_partition` that is the number of the gap, which is kept.
            return slot.forgotten.min(front - 1);
        }
        if let Some(before) = self.entries.get_mut(newest) {
            before.next = seq;
        }
        newest
    }

    fn partition(&mut self, number: i32) -> &mut Partition {
        let at = index(number);
        if self.partitions.len() <= at {
            self.partitions.resize_with(at + 1, Partition::default);
        }
        &mut self.partitions[at]
    }

    /// The entry with this number, if it is still kept.
    pub fn get(&self, seq: Seq) -> Option<Kept<'_>> {
        let entry = self.entry(seq)?;
        Some(Kept { entry, value: self.values.get(entry.value) })
    }

    /// The value of a kept entry, to stay when that is forgotten.
    pub fn share(&mut self, seq: Seq) -> Option<Bytes> {
        let place = self.entry(seq)?.value;
        Some(self.values.share(place))
    }

    fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(seq)
    }

    /// What follows `seq` in `room`. `seq` need not be kept any more, nor belong to the room.
    pub fn after(&self, room: RoomId, seq: Seq) -> After {
        let slot = &self.rooms[room];
        if slot.forgotten > seq {
            return After::Forgotten;
        }
        if slot.last <= seq {
            return After::End;
        }
        match self.entry(seq) {
            Some(entry) if entry.room == room => After::Entry(entry.next),
            // Not an entry of this room: the first one behind it, found from the room's newest back.
            _ => {
                let mut at = slot.last;
                loop {
                    match self.entry(at) {
                        Some(entry) if entry.previous > seq => at = entry.previous,
                        Some(_) => return After::Entry(at),
                        None => return After::Forgotten,
                    }
                }
            }
        }
    }

    /// The newest number given out; 0 when nothing was ever kept.
    pub fn newest(&self) -> Seq {
        self.entries.next() - 1
    }

    /// The room's slot, if the tail knows the room.
    pub fn find(&self, name: &[u8]) -> Option<RoomId> {
        self.rooms.find(name)
    }

    /// The room's name.
    pub fn name(&self, room: RoomId) -> &[u8] {
        self.rooms[room].name.as_slice()
    }

    /// Notes one more subscription of `worker` in a room.
    pub fn join(&mut self, name: &[u8], worker: usize) -> RoomId {
        self.rooms.join(name, worker)
    }

    /// Takes one subscription of `worker` back.
    pub fn leave(&mut self, room: RoomId, worker: usize) {
        self.rooms.leave(room, worker);
    }

    /// The workers that hold a subscription in a room.
    pub fn interested(&self, room: RoomId) -> impl Iterator<Item = usize> + '_ {
        self.rooms.interested(room)
    }

    /// Whether anybody wants the room of a kept entry.
    pub fn is_wanted(&self, seq: Seq) -> bool {
        self.entry(seq).is_some_and(|entry| entry.room != NO_ROOM && self.rooms[entry.room].is_wanted())
    }

    /// How many rooms have a subscription on this edge.
    pub fn wanted_rooms(&self) -> usize {
        self.rooms.wanted_rooms()
    }

    /// Forgets everything of a partition, so that every reader in it finds a gap. Used when records were lost and
    /// reading goes on at `offset`. Returns the rooms of the partition that somebody is interested in.
    pub fn forget_partition(
        &mut self,
        partition: i32,
        offset: i64,
        in_partition: impl Fn(&[u8]) -> bool,
    ) -> Vec<RoomId> {
        self.partition(partition).restart(offset);
        let entries = &self.entries;
        self.firsts.forget_where(|seq| entries.get(seq).is_none_or(|it| it.partition == partition));
        // They belong to nobody's chain any more, and their rooms' slots may be given to others.
        self.entries.for_each_mut(|it| {
            if it.partition == partition {
                it.room = NO_ROOM;
            }
        });
        // The gap has a number of its own: what comes behind it differs from it, and who joins behind it misses nothing.
        let end = self.newest() + 1;
        let (timestamp_ms, value) = (self.newest_ms, self.values.put(&[]));
        let gap = Entry { partition, offset: offset - 1, timestamp_ms, room: NO_ROOM, value, previous: 0, next: 0 };
        self.bytes += ENTRY_BYTES;
        self.entries.push(gap);
        self.rooms.forget(end, in_partition)
    }

    /// Values and entries, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many records are kept.
    pub fn records(&self) -> usize {
        self.entries.len()
    }

    /// Append time between the oldest and the newest record.
    pub fn age(&self) -> Duration {
        let oldest = self.entries.front().map_or(self.newest_ms, |entry| entry.timestamp_ms);
        Duration::from_millis(u64::try_from(self.newest_ms.saturating_sub(oldest)).unwrap_or(0))
    }

    fn forget_old(&mut self) {
        let oldest_ms = self.newest_ms.saturating_sub(i64::try_from(self.bounds.age.as_millis()).unwrap_or(i64::MAX));
        while let Some(oldest) = self.entries.front() {
            // The newest record always stays, however small the bound.
            let over = self.bytes > self.bounds.bytes || oldest.timestamp_ms < oldest_ms;
            if !over || self.entries.len() == 1 {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let seq = self.entries.first();
        let Some(entry) = self.entries.pop() else { return };
        self.bytes -= entry.value.length() + ENTRY_BYTES;
        let kept = Kept { entry: &entry, value: self.values.get(entry.value) };
        self.firsts.forget(seq, kept);
        if let Some(partition) = self.partitions.get_mut(index(entry.partition)) {
            partition.forget(seq, kept);
        }
        if let Some(oldest) = self.entries.front() {
            self.values.forget_before(oldest.value.segment());
        }
        if entry.room == NO_ROOM {
            return;
        }
        let slot = &mut self.rooms[entry.room];
        // After `forget_partition` the chain starts anew behind this entry.
        if slot.forgotten < seq {
            slot.forgotten = seq;
            if slot.last == seq {
                slot.last = NONE_KEPT;
            }
        }
        self.rooms.free_if_unused(entry.room);
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or(0)
}

#[cfg(test)]
mod tests;
