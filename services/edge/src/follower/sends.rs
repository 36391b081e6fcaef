//! What SENDs want to know of the log: whether one with this key is there already, and where one has been stored.

use std::time::Duration;

use bytes::Bytes;
use chat_proto::{Peek, partition_of};

use super::Follower;
use crate::{
    log::Ticket,
    message::{Claim, FromFollower, Stored},
    tail::{Kept, Seq},
};

/// How far back an acknowledged SEND without a place is looked for before it is waited for.
const LOCATE_DEPTH: usize = 4096;
/// A SEND that is waited for longer than this has been answered by its time-out.
const PATIENCE: Duration = Duration::from_secs(60);

/// A SEND whose record is waited for.
pub(super) struct Wanted {
    ticket: Ticket,
    since: Duration,
}

impl Follower {
    /// A keyed SEND is about to be written. If the tail knows what it would repeat, it need not be; else its record is
    /// waited for, where somebody wants to hear of it: it may turn out to be a repeat when it is read back.
    pub(super) fn claim(&mut self, Claim { ticket, room, uuid, hash, wait }: Claim, now: Duration) {
        let partition = partition_of(&room, self.partitions);
        let known = self.tail.first_with(hash, &room);
        let known = known.filter(|known| self.tail.would_be_repeated(known, partition, self.wall_ms));
        let first = known.and_then(|known| self.stored_at(known.seq));
        if first.is_none() && wait {
            self.wanted.insert(uuid, Wanted { ticket, since: now });
        }
        self.tell(ticket.worker as usize, FromFollower::Claimed { ticket, first });
    }

    /// A SEND was acknowledged, but not where.
    pub(super) fn locate(&mut self, ticket: Ticket, room: &Bytes, uuid: [u8; 16], now: Duration) {
        // Among all records of the partition: a repeat is kept in no room.
        let peek_of = |entry: Kept<'_>| chat_proto::peek(entry.value).filter(|peek| peek.uuid == uuid);
        let found = {
            let mut recent = self.tail.newest_of(partition_of(room, self.partitions)).take(LOCATE_DEPTH);
            recent.find_map(|(seq, entry)| Some((seq, peek_of(entry)?)))
        };
        self.wanted.insert(uuid, Wanted { ticket, since: now });
        if let Some((seq, peek)) = found {
            self.place(&peek, seq, room);
        }
    }

    /// A record has been read: somebody may wait for it. Of a repeat the place of the first is told, if it is kept.
    pub(super) fn place(&mut self, peek: &Peek, seq: Seq, room: &[u8]) {
        if self.wanted.is_empty() {
            return;
        }
        let Some(wanted) = self.wanted.remove(&peek.uuid) else { return };
        let first = self.tail.first_with(peek.idempotency_hash, room).map_or(seq, |known| known.seq);
        if let Some(place) = self.stored_at(first) {
            self.tell(wanted.ticket.worker as usize, FromFollower::Located { ticket: wanted.ticket, place });
        }
    }

    fn stored_at(&self, seq: Seq) -> Option<Stored> {
        let entry = self.tail.get(seq)?;
        Some(Stored { id: entry.id(), timestamp_ms: entry.timestamp_ms })
    }

    pub(super) fn forget_wanted(&mut self, now: Duration) {
        self.wanted.retain(|_, wanted| now.saturating_sub(wanted.since) < PATIENCE);
    }
}
