//! The one reader of the log, and the only place that decides order: log → tail → the workers that want the room.
//!
//! Everything a worker is told passes through here in one sequence. A SUBSCRIBE is a message to the follower too, so
//! what a subscription gets from the tail and what it gets live join without a gap or a duplicate, by construction.
//! This file is plain state; [`crate::follower_thread`] gives it the log, a clock and the mailboxes.

use std::{sync::Arc, time::Duration};

use chat_proto::{MessageId, RecordError, partition_of};

use crate::{
    log::{FeedEvent, Outcome, ReadRecord, Ticket},
    message::{FromFollower, Message, Subscriber, ToFollower},
    metrics::{Metrics, Poison},
    repeats::Repeats,
    tail::{After, Bounds, Entry, RoomId, Seq, Tail},
};

mod resume;

use resume::Held;

/// A subscription that catches up gets this much at a time, so that live messages of others are not delayed by it.
const SLICE_BYTES: usize = 32 * 1024;
/// A batch to a worker is closed at this many messages.
pub const BATCH_MESSAGES: usize = 512;
/// How far back an acknowledged SEND without a place is looked for before it is waited for.
const LOCATE_DEPTH: usize = 4096;
/// A SEND that is waited for longer than this has been answered by its time-out.
const LOCATE_PATIENCE: Duration = Duration::from_secs(60);

struct Wanted {
    ticket: Ticket,
    uuid: [u8; 16],
    since: Duration,
}

/// The follower's state.
pub struct Follower {
    tail: Tail,
    repeats: Vec<Repeats>,
    held: Vec<Held>,
    /// For each partition: what lies below this offset is read for knowing repeats alone.
    preludes: Vec<i64>,
    /// The pinned partition count that decides the partition of a room.
    partitions: i32,
    /// For each partition of the topic: whether everything that was there at the start has been read.
    caught_up: Vec<bool>,
    /// For each partition: whether everything that was there a moment ago has been read.
    at_end: Vec<bool>,
    outboxes: Vec<Vec<FromFollower>>,
    batches: Vec<Vec<Arc<Message>>>,
    unplaced: Vec<Wanted>,
    /// Append time of the first record that was handled since somebody asked.
    first_ms: Option<i64>,
    metrics: Arc<Metrics>,
}

impl Follower {
    /// A follower that serves `workers` workers.
    pub fn new(workers: usize, partitions: i32, bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self {
            tail: Tail::new(bounds),
            repeats: Vec::new(),
            held: Vec::new(),
            preludes: Vec::new(),
            partitions,
            caught_up: Vec::new(),
            at_end: Vec::new(),
            outboxes: (0..workers).map(|_| Vec::new()).collect(),
            batches: (0..workers).map(|_| Vec::new()).collect(),
            unplaced: Vec::new(),
            first_ms: None,
            metrics,
        }
    }

    /// Takes what the log tells.
    pub fn handle_feed(&mut self, event: FeedEvent<'_>) {
        match event {
            FeedEvent::Record(record) => self.handle_record(&record),
            FeedEvent::EndOfPartition { partition, offset } => {
                self.tail.ends_at(partition, offset);
                if let Some(done) = usize::try_from(partition).ok().and_then(|at| self.caught_up.get_mut(at)) {
                    *done = true;
                }
                self.set_at_end(partition, true);
            }
            FeedEvent::Partitions(count) => {
                self.metrics.log.partitions.set(count.into());
                let count = usize::try_from(count).unwrap_or(0);
                self.caught_up.resize(count, false);
                self.preludes.resize(count, 0);
                self.repeats.resize_with(count, Repeats::default);
                self.at_end.resize(count, false);
            }
            FeedEvent::Prelude { partition, until } => {
                if let Some(known) = usize::try_from(partition).ok().and_then(|at| self.preludes.get_mut(at)) {
                    *known = until;
                }
            }
            FeedEvent::Gap { partition, resumed_at } => self.handle_gap(partition, resumed_at),
        }
    }

    /// Takes what a worker asks.
    pub fn handle_command(&mut self, command: ToFollower, now: Duration) {
        match command {
            ToFollower::Subscribe { who, room, from } => self.subscribe(who, room, from, now),
            ToFollower::Leave { worker, room } => self.tail.leave(room, worker),
            ToFollower::Read { who, room, after } => self.read(who, room, after),
            ToFollower::Locate { ticket, room, uuid } => self.locate(ticket, &room, uuid, now),
        }
    }

    /// At the end of a round: whoever waited for this edge to catch up with the one before.
    pub fn handle_round(&mut self, now: Duration) {
        if !self.held.is_empty() {
            self.look_at_held(now);
        }
    }

    /// The next thing to tell `worker`, in order. To be polled until `None` after every round.
    pub fn poll_outbox(&mut self, worker: usize) -> Option<Vec<FromFollower>> {
        self.close_batch(worker);
        let outbox = self.outboxes.get_mut(worker)?;
        (!outbox.is_empty()).then(|| std::mem::take(outbox))
    }

    /// Whether some worker's batch should be handed over before more is read.
    pub fn batch_is_full(&self) -> bool {
        self.batches.iter().any(|batch| batch.len() >= BATCH_MESSAGES)
    }

    /// Whether everything that was in the log at the start has been read.
    pub fn is_caught_up(&self) -> bool {
        !self.caught_up.is_empty() && self.caught_up.iter().all(|done| *done)
    }

    /// Append time of the first record that was handled since the last call: how late the edge is, at most.
    pub fn take_first(&mut self) -> Option<i64> {
        self.first_ms.take()
    }

    /// A record waited this long between the broker and the workers, by the clocks of both.
    pub fn observe_age(&self, ms: i64) {
        self.metrics.log.record_age.observe(ms.max(0) as f64 / 1000.0);
    }

    /// Once a second: forgets whom nobody waits for any more, and brings the gauges up to date.
    pub fn handle_tick(&mut self, now: Duration) {
        self.unplaced.retain(|wanted| now.saturating_sub(wanted.since) < LOCATE_PATIENCE);
        self.metrics.tail_state(self.tail.bytes(), self.tail.records(), self.tail.age());
        self.metrics.stomp.rooms.set(i64::try_from(self.tail.wanted_rooms()).unwrap_or(i64::MAX));
    }

    fn handle_record(&mut self, record: &ReadRecord<'_>) {
        self.metrics.log.records.inc();
        self.metrics.log.bytes.inc_by((record.room.len() + record.value.len()) as u64);
        if record.room.is_empty() {
            self.metrics.log.poison.of(Poison::NoKey).inc();
            return;
        }
        // Delivered from there, it would have no order with the rest of its room.
        if partition_of(record.room, self.partitions) != record.partition {
            self.metrics.log.poison.of(Poison::WrongPartition).inc();
            return;
        }
        self.first_ms = self.first_ms.or(Some(record.timestamp_ms));
        self.set_at_end(record.partition, false);
        let repeated = self.repeats(record);
        // Whether it repeats something is not certain, and the tail answers for what it holds.
        if usize::try_from(record.partition).is_ok_and(|at| self.preludes.get(at) > Some(&record.offset)) {
            return;
        }
        let seq = self.tail.append(record, !repeated);
        if !self.unplaced.is_empty() {
            self.place(seq);
        }
        if repeated {
            return self.count_repeat(seq, record.room);
        }
        let Some(entry) = self.tail.get(seq) else { return };
        let mut interested = self.tail.interested(entry.room).peekable();
        if interested.peek().is_none() {
            self.metrics.log.unwanted.inc();
            return;
        }
        match decode(&self.tail, entry, seq) {
            Ok(message) => {
                let message = Arc::new(message);
                for worker in interested {
                    self.batches[worker].push(message.clone());
                }
            }
            Err(error) => {
                self.metrics.log.poison.of(Poison::from(&error)).inc();
            }
        }
    }

    fn set_at_end(&mut self, partition: i32, at_end: bool) {
        if let Some(known) = usize::try_from(partition).ok().and_then(|at| self.at_end.get_mut(at)) {
            *known = at_end;
        }
    }

    /// A record that is not shown is one of two things: a repeat, or one that could not be shown anyway.
    fn count_repeat(&self, seq: Seq, room: &[u8]) {
        let value = self.tail.get(seq).map(|entry| entry.value.clone()).unwrap_or_default();
        match chat_proto::decode(value, room) {
            Ok(_) => self.metrics.log.repeated.inc(),
            Err(error) => self.metrics.log.poison.of(Poison::from(&error)).inc(),
        };
    }

    /// Whether the record repeats an earlier one. What cannot be read repeats nothing.
    fn repeats(&mut self, record: &ReadRecord<'_>) -> bool {
        let Some(peek) = chat_proto::peek(record.value) else { return false };
        let known = usize::try_from(record.partition).ok().and_then(|at| self.repeats.get_mut(at));
        known.is_some_and(|known| known.note(&peek, record.offset, record.timestamp_ms))
    }

    /// Records of a partition are lost: nothing that was kept of it can be continued from.
    fn handle_gap(&mut self, partition: i32, resumed_at: i64) {
        self.metrics.log.gaps.inc();
        // What the log does not hold is repeated by nothing, on any edge.
        if let Some(repeats) = usize::try_from(partition).ok().and_then(|at| self.repeats.get_mut(at)) {
            *repeats = Repeats::default();
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

    fn read(&mut self, who: Subscriber, room: RoomId, after: Seq) {
        let (mut messages, mut bytes, mut at) = (Vec::new(), 0, after);
        let end = loop {
            match self.tail.after(room, at) {
                After::Forgotten => return self.tell(who.worker, FromFollower::Forgotten { who }),
                After::End => break true,
                After::Entry(_) if bytes >= SLICE_BYTES => break false,
                After::Entry(next) => {
                    at = next;
                    // What cannot be read was counted when it arrived.
                    let Some(entry) = self.tail.get(next) else { continue };
                    if let Ok(message) = decode(&self.tail, entry, next) {
                        bytes += message.content.body.len() + 256;
                        messages.push(Arc::new(message));
                    }
                }
            }
        };
        let through = if end { self.tail.newest() } else { at };
        self.tell(who.worker, FromFollower::Slice { who, messages, end, through });
    }

    fn locate(&mut self, ticket: Ticket, room: &[u8], uuid: [u8; 16], now: Duration) {
        // Among all records of the partition: a repeat is kept in no room.
        let uuid_of = |entry: &Entry| chat_proto::peek(&entry.value).map(|peek| peek.uuid);
        let found = {
            let mut recent = self.tail.newest_of(partition_of(room, self.partitions)).take(LOCATE_DEPTH);
            recent.find(|(_, entry)| uuid_of(entry) == Some(uuid)).map(|(seq, _)| seq)
        };
        if let Some(seq) = found {
            return self.tell_place(ticket, seq);
        }
        self.unplaced.push(Wanted { ticket, uuid, since: now });
    }

    fn place(&mut self, seq: Seq) {
        let Some(uuid) = self.tail.get(seq).and_then(|entry| chat_proto::peek(&entry.value)).map(|peek| peek.uuid)
        else {
            return;
        };
        if let Some(at) = self.unplaced.iter().position(|wanted| wanted.uuid == uuid) {
            let wanted = self.unplaced.swap_remove(at);
            self.tell_place(wanted.ticket, seq);
        }
    }

    fn tell_place(&mut self, ticket: Ticket, seq: Seq) {
        let Some(entry) = self.tail.get(seq) else { return };
        let (partition, offset, timestamp_ms) = (entry.partition, entry.offset, entry.timestamp_ms);
        let outcome = Outcome::Stored { partition, offset, timestamp_ms };
        self.tell(ticket.worker as usize, FromFollower::Located { ticket, outcome });
    }

    fn tell(&mut self, worker: usize, what: FromFollower) {
        self.close_batch(worker);
        if let Some(outbox) = self.outboxes.get_mut(worker) {
            outbox.push(what);
        }
    }

    /// Whatever is told after a message must arrive after it.
    fn close_batch(&mut self, worker: usize) {
        if let Some(batch) = self.batches.get_mut(worker).filter(|batch| !batch.is_empty()) {
            self.outboxes[worker].push(FromFollower::Batch(std::mem::take(batch)));
        }
    }
}

fn decode(tail: &Tail, entry: &Entry, seq: Seq) -> Result<Message, RecordError> {
    let content = chat_proto::decode(entry.value.clone(), tail.name(entry.room))?;
    let check = MessageId::check_of(&entry.value);
    let id = MessageId { partition: entry.partition, offset: entry.offset, check };
    Ok(Message { room: entry.room, seq, id, timestamp_ms: entry.timestamp_ms, content })
}

#[cfg(test)]
mod tests;
