//! From tokens, moments and counts to places in the tail.

use chat_proto::MessageId;

use super::{Entry, Partition, Place, RoomId, Seq, Tail, index};

impl Tail {
    /// Nothing more is there yet in a partition below `offset`.
    pub fn ends_at(&mut self, partition: i32, offset: i64) {
        self.partition(partition).ends_at(offset);
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

    /// Right before the newest `count` entries of a room, and how many there are.
    pub fn place_of_last(&self, room: RoomId, count: u32) -> (Seq, u32) {
        let (mut at, mut found) = (self.rooms[room].last, 0);
        let mut behind = self.newest();
        while found < count {
            let Some(entry) = self.get(at) else { break };
            (behind, found) = (at - 1, found + 1);
            at = entry.previous;
        }
        (behind, found)
    }

    /// The kept records of a partition, shown or not, newest first.
    pub fn newest_of(&self, partition: i32) -> impl Iterator<Item = (Seq, &Entry)> {
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
