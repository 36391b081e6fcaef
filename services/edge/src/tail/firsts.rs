//! Which shown message a repeated SEND repeats, as long as the tail holds it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Kept, Likely, Seq, Tail};
use crate::{
    log::ReadRecord,
    repeats::{DEPTH, WINDOW},
};

/// Nobody knows exactly how much time or how many records will lie between two SENDs once the second is stored.
const MARGIN_MS: i64 = 10_000;
const MARGIN_RECORDS: u64 = DEPTH as u64 / 8;
/// A wall clock that is this far behind the log's is not believed.
const CLOCK_BEHIND_MS: i64 = 5_000;

/// The shown record of a key, and when the key was used last.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The record that is shown.
    pub seq: Seq,
    /// Append time of the last record with this key, shown or not.
    used_ms: i64,
    /// That record's number among the partition's keyed records.
    number: u64,
}

/// All keys with a shown record in the tail, by their hash.
#[derive(Default)]
pub(super) struct Firsts {
    known: HashMap<u64, Known, RandomState>,
    /// How many keyed records of each partition have been read.
    counts: Vec<u64>,
}

impl Firsts {
    fn note(&mut self, hash: u64, seq: Seq, record: &ReadRecord<'_>, shown: bool) {
        let partition = super::index(record.partition);
        if self.counts.len() <= partition {
            self.counts.resize(partition + 1, 0);
        }
        self.counts[partition] += 1;
        let now = Known { seq, used_ms: record.timestamp_ms, number: self.counts[partition] };
        if shown {
            self.known.insert(hash, now);
        } else if let Some(known) = self.known.get_mut(&hash) {
            *known = Known { seq: known.seq, ..now };
        }
    }

    pub(super) fn forget(&mut self, seq: Seq, entry: Kept<'_>) {
        if self.known.is_empty() || entry.room == super::NO_ROOM {
            return;
        }
        let hash = chat_proto::peek(entry.value).map_or(0, |peek| peek.idempotency_hash);
        if self.known.get(&hash).is_some_and(|known| known.seq == seq) {
            self.known.remove(&hash);
        }
    }
}

impl Firsts {
    /// Forgets the keys whose records these are.
    pub(super) fn forget_where(&mut self, gone: impl Fn(Seq) -> bool) {
        self.known.retain(|_, known| !gone(known.seq));
    }
}

impl Tail {
    /// [`Tail::append`] of a record with this idempotency hash, 0 if it has no key, and of most likely this room.
    pub fn append_keyed(&mut self, record: &ReadRecord<'_>, shown: bool, hash: u64, likely: Likely) -> Seq {
        if hash == 0 {
            return self.append_likely(record, shown, likely);
        }
        let seq = self.newest() + 1;
        // First, so that appending may forget it again.
        self.firsts.note(hash, seq, record, shown);
        self.append_likely(record, shown, likely)
    }

    /// The shown record with this idempotency hash in a room.
    pub fn first_with(&self, hash: u64, room: &[u8]) -> Option<Known> {
        let known = *self.firsts.known.get(&hash)?;
        (self.name(self.get(known.seq)?.room) == room).then_some(known)
    }

    /// Whether a record that was appended now would certainly repeat it. The log's clock is not at hand: its newest
    /// record and `wall_ms`, this machine's clock, bound it.
    pub fn would_be_repeated(&self, known: &Known, partition: i32, wall_ms: i64) -> bool {
        let since = self.firsts.counts.get(super::index(partition)).map_or(0, |count| count - known.number);
        let age = wall_ms.max(self.newest_ms).saturating_sub(known.used_ms);
        wall_ms >= self.newest_ms - CLOCK_BEHIND_MS
            && age <= WINDOW.as_millis() as i64 - MARGIN_MS
            && since <= DEPTH as u64 - MARGIN_RECORDS
    }
}
