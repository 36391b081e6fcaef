//! What the log tells: each record is judged once, kept, and handed to whoever wants its room.

use std::{hint, sync::Arc};

use chat_proto::{Peek, View, partition_of};

use super::{Follower, decode};
use crate::{
    log::{FeedEvent, ReadRecord},
    message::{FromFollower, Message},
    metrics::{Label as _, Metrics, Poison},
    repeats::Repeats,
    tail::{Likely, RoomId, Seq},
    traces,
};

/// Whether a record may belong to a room at all. What may not is counted and takes no part in anything: it is in no
/// room, and it repeats nothing. Judged from the record and the pinned partition count alone, so alike on every edge.
pub(crate) fn belongs(record: &ReadRecord<'_>, partitions: i32) -> Result<(), Poison> {
    if record.room.is_empty() {
        return Err(Poison::NoKey);
    }
    // Delivered from there, it would have no order with the rest of its room.
    if partition_of(record.room, partitions) != record.partition {
        return Err(Poison::WrongPartition);
    }
    Ok(())
}

/// Whether a record repeats an earlier one. Only the leading uuid and hash are looked at: a record whose rest cannot be
/// read counts like any other, on every edge alike, since most of them never decode it.
pub(crate) fn is_repeat(repeats: &mut Repeats, peek: Option<&Peek>, record: &ReadRecord<'_>) -> bool {
    peek.is_some_and(|peek| repeats.note(peek, record.offset, record.timestamp_ms))
}

/// What a record's own octets say of where it belongs.
#[derive(Clone, Copy)]
pub(super) struct Known {
    partition: i32,
    offset: i64,
    peek: Option<Peek>,
    /// Where its partition's [`Repeats`] have it; 0 without a peek.
    hash: u64,
    room: Likely,
}

/// What a round came to: one addition to each counter, not one for each record.
#[derive(Default)]
pub(super) struct Count {
    records: u64,
    bytes: u64,
    unwanted: u64,
}

impl Count {
    pub(super) fn report(&mut self, metrics: &Metrics) {
        let Self { records, bytes, unwanted } = std::mem::take(self);
        if records > 0 {
            metrics.log.records.inc_by(records);
            metrics.log.bytes.inc_by(bytes);
            metrics.log.unwanted.inc_by(unwanted);
        }
    }
}

impl Follower {
    /// Takes what the log tells.
    pub fn handle_feed(&mut self, event: FeedEvent<'_>) {
        match event {
            FeedEvent::Record(record) => self.handle_record(record),
            FeedEvent::EndOfPartition { partition, offset } => {
                self.tail.ends_at(partition, offset);
                if let Some(done) = usize::try_from(partition).ok().and_then(|at| self.caught_up.get_mut(at)) {
                    *done = true;
                }
            }
            FeedEvent::Partitions(count) => {
                self.metrics.log.partitions.set(count.into());
                let count = usize::try_from(count).unwrap_or(0);
                self.caught_up.resize(count, false);
                self.preludes.resize(count, 0);
            }
            FeedEvent::Prelude { partition, until } => {
                if let Some(known) = usize::try_from(partition).ok().and_then(|at| self.preludes.get_mut(at)) {
                    *known = until;
                }
            }
            FeedEvent::Gap { partition, resumed_at } => self.handle_gap(partition, resumed_at),
            FeedEvent::Soon(records) => self.look_ahead(records),
        }
    }

    /// Fetches from memory what records will need that come soon: what does not depend on each other one behind the other,
    /// so that the processor waits once for all of it. What is found out on the way is kept for them.
    fn look_ahead(&mut self, records: &[ReadRecord<'_>]) {
        self.soon.clear();
        for record in records {
            let known = self.know(record, Likely::UNKNOWN);
            self.soon.push_back(known);
        }
        let repeats = |partition| self.repeats.get(usize::try_from(partition).ok()?);
        // As if all were of one partition: mostly they are.
        let each = self.soon.iter().enumerate();
        let buckets = each.filter_map(|(later, known)| Some(repeats(known.partition)?.fetch(known.hash, later)));
        hint::black_box(buckets.fold(0, |sum, bucket| sum ^ bucket));
        let rooms = self.tail.look_ahead(records);
        self.soon.iter_mut().zip(rooms).for_each(|(known, room)| known.room = room);
    }

    fn know(&mut self, record: &ReadRecord<'_>, room: Likely) -> Known {
        let ReadRecord { partition, offset, value, .. } = *record;
        let peek = chat_proto::peek(value);
        let hash = peek.map_or(0, |peek| self.repeats_of(partition).hash_of(&peek));
        Known { partition, offset, peek, hash, room }
    }

    /// What a look ahead found out of a record; found out now, if there was none.
    fn known(&mut self, record: &ReadRecord<'_>) -> Known {
        let place = (record.partition, record.offset);
        let expected = self.soon.pop_front().filter(|known| (known.partition, known.offset) == place);
        expected.unwrap_or_else(|| {
            self.soon.clear();
            self.know(record, self.tail.likely(record.room))
        })
    }

    fn handle_record(&mut self, record: &ReadRecord<'_>) {
        self.count.records += 1;
        self.count.bytes += (record.room.len() + record.value.len()) as u64;
        let Known { peek, hash, room, .. } = self.known(record);
        // Whether one of these repeats something is not certain, and the tail answers for what it holds.
        let prelude = usize::try_from(record.partition).is_ok_and(|at| self.preludes.get(at) > Some(&record.offset));
        if let Err(reason) = belongs(record, self.partitions) {
            self.poison(reason, record.partition, record.offset);
            if !prelude {
                self.tail.skip(record);
            }
            return;
        }
        self.first_ms = self.first_ms.or(Some(record.timestamp_ms));
        let repeats = self.repeats_of(record.partition);
        let repeated = peek.is_some_and(|peek| repeats.note_hashed(&peek, hash, record.offset, record.timestamp_ms));
        if prelude {
            return;
        }
        let seq = self.tail.append_keyed(record, !repeated, peek.map_or(0, |peek| peek.idempotency_hash), room);
        if let Some(peek) = &peek {
            self.place(peek, seq, record.room);
        }
        if repeated {
            return self.count_repeat(seq, record);
        }
        // What is read while the edge catches up was on its way long before.
        let processing = record.trace.filter(|_| self.is_caught_up()).and_then(|headers| {
            traces::get().and_then(|traces| traces.process(headers, record.partition, record.offset))
        });
        if !self.tail.is_wanted(seq) {
            self.count.unwanted += 1;
            return;
        }
        match decode(&mut self.tail, seq) {
            Some(Ok(message)) => {
                let message = Arc::new(Message { trace: processing, ..message });
                for worker in self.tail.interested(message.room) {
                    self.batches[worker].push(message.clone());
                }
            }
            Some(Err(error)) => self.poison(Poison::from(&error), record.partition, record.offset),
            None => {}
        }
    }

    /// A record that is not shown is one of two things: a repeat, or one that could not be shown anyway.
    fn count_repeat(&mut self, seq: Seq, record: &ReadRecord<'_>) {
        let value = self.tail.share(seq).unwrap_or_default();
        match View::read(value, record.room) {
            Ok(_) => drop(self.metrics.log.repeated.inc()),
            Err(error) => self.poison(Poison::from(&error), record.partition, record.offset),
        }
    }

    /// A record that cannot be shown; where it lies is for whoever looks for its producer.
    fn poison(&self, reason: Poison, partition: i32, offset: i64) {
        self.metrics.log.poison.of(reason).inc();
        let reason = reason.value();
        tracing::warn!(event = "poison_record", partition, offset, reason, "a record cannot be shown");
    }

    fn repeats_of(&mut self, partition: i32) -> &mut Repeats {
        let at = usize::try_from(partition).unwrap_or(0);
        if self.repeats.len() <= at {
            self.repeats.resize_with(at + 1, Repeats::default);
        }
        &mut self.repeats[at]
    }

    /// Records of a partition are lost: nothing that was kept of it can be continued from.
    fn handle_gap(&mut self, partition: i32, resumed_at: i64) {
        self.metrics.log.gaps.inc();
        // What the log does not hold is repeated by nothing, on any edge.
        *self.repeats_of(partition) = Repeats::default();
        self.soon.clear();
        if let Some(prelude) = usize::try_from(partition).ok().and_then(|at| self.preludes.get_mut(at)) {
            *prelude = 0;
        }
        let partitions = self.partitions;
        let lost =
            self.tail.forget_partition(partition, resumed_at, |room| partition_of(room, partitions) == partition);
        for worker in 0..self.outboxes.len() {
            let rooms: Vec<RoomId> =
                lost.iter().copied().filter(|room| self.tail.interested(*room).any(|at| at == worker)).collect();
            if !rooms.is_empty() {
                self.tell(worker, FromFollower::Lost(rooms));
            }
        }
    }
}
