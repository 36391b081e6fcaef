//! From tokens, moments and counts to places in the tail.

use bytes::Bytes;
use chat_proto::{MessageId, View};

use super::{After, Kept, Partition, Place, RoomId, Seq, Tail, index};
use crate::log::ReadRecord;

/// A look into the log covers so many records, at least and at most, that the tail holds as well.
const OVERLAP: (usize, usize) = (4_096, 16_384);

impl Tail {
    /// Nothing more is there yet in a partition below `offset`.
    pub fn ends_at(&mut self, partition: i32, offset: i64) {
        self.partition(partition).ends_at(offset);
    }

    /// A record that takes no part in anything has its place in the log all the same.
    pub fn skip(&mut self, record: &ReadRecord<'_>) {
        let check = MessageId::check_of(record.value);
        self.partition(record.partition).skip(record.offset, check);
    }

    /// The offset that the next record of a partition will have at least; 0 before anything is known.
    pub fn end_of(&self, partition: i32) -> i64 {
        self.partitions.get(index(partition)).map_or(0, Partition::end)
    }

    /// Everything of a partition from this offset on is kept; `None` before anything is known.
    pub fn kept_from(&self, partition: i32) -> Option<i64> {
        self.partitions.get(index(partition))?.kept_from()
    }

    /// Up to which offset (exclusive) a look into the log should reach: far enough into what is kept that the tail can
    /// still go on from there when the answer is there and has been given out.
    pub fn past_ends(&self, partition: i32) -> i64 {
        let known = self.partitions.get(index(partition));
        known.map_or(0, |known| known.offset_of((known.kept() / 2).clamp(OVERLAP.0, OVERLAP.1), |seq| self.get(seq)))
    }

    /// The check of a kept record.
    pub fn check_at(&self, partition: i32, offset: i64) -> Option<u32> {
        let entry = self.get(self.partitions.get(index(partition))?.kept_at(offset, |seq| self.get(seq))?)?;
        (entry.offset == offset).then(|| MessageId::check_of(entry.value))
    }

    /// Right before the first kept record of a partition at this offset or behind it.
    pub fn place_at(&self, partition: i32, offset: i64) -> Option<Seq> {
        let next = self.partitions.get(index(partition))?.kept_at(offset, |seq| self.get(seq));
        Some(next.map_or(self.newest(), |seq| seq - 1))
    }

    /// Whether nothing of a room behind this place has been forgotten.
    pub fn holds_all_after(&self, room: RoomId, behind: Seq) -> bool {
        !matches!(self.after(room, behind), After::Forgotten)
    }

    /// The end of a partition as a token: the id of its last record, whatever the room.
    pub fn position(&mut self, partition: i32) -> MessageId {
        self.partition(partition);
        self.partitions[index(partition)].position(partition, |seq| self.get(seq))
    }

    /// Where a token points to.
    pub fn place_of(&mut self, id: &MessageId) -> Place {
        self.partition(id.partition);
        self.bounded(self.partitions[index(id.partition)].find(id, |seq| self.get(seq)))
    }

    /// Right before the first record of a partition that was appended at `ms` or later.
    pub fn place_since(&mut self, partition: i32, ms: i64) -> Place {
        self.partition(partition);
        self.bounded(self.partitions[index(partition)].since(ms, |seq| self.get(seq)))
    }

    /// Right before the first record of a partition.
    pub fn place_first(&mut self, partition: i32) -> Place {
        self.partition(partition);
        self.bounded(self.partitions[index(partition)].first())
    }

    /// Right before the newest `count` messages of a room behind `floor`, and how many there are. What cannot be read is
    /// none.
    pub fn place_of_last(&self, room: RoomId, count: u32, floor: Seq) -> (Seq, u32) {
        let (mut at, mut found) = (self.rooms[room].last, 0);
        let mut behind = self.newest();
        while found < count {
            let Some(entry) = self.get(at).filter(|_| at > floor) else { break };
            if View::read(Bytes::copy_from_slice(entry.value), self.name(room)).is_ok() {
                (behind, found) = (at - 1, found + 1);
            }
            at = entry.previous;
        }
        (behind, found)
    }

    /// The kept records of a partition, shown or not, newest first.
    pub fn newest_of(&self, partition: i32) -> impl Iterator<Item = (Seq, Kept<'_>)> {
        let kept = self.partitions.get(index(partition)).into_iter().flat_map(Partition::newest_first);
        kept.filter_map(|seq| Some((seq, self.get(seq)?)))
    }

    fn bounded(&self, place: Place) -> Place {
        match place {
            Place::After(seq) => Place::After(seq.min(self.newest())),
            other => other,
        }
    }
}
