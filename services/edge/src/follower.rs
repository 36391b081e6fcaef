//! The one reader of the log, and the only place that decides order: log → tail → the workers that want the room.
//!
//! Everything a worker is told passes through here in one sequence. A SUBSCRIBE is a message to the follower too, so
//! what a subscription gets from the tail and what it gets live join without a gap or a duplicate, by construction.
//! This file is plain state; [`crate::follower_thread`] gives it the log, a clock and the mailboxes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chat_proto::{RecordError, View};
use foldhash::fast::RandomState;

use crate::{
    message::{FromFollower, Message, Subscriber, ToFollower},
    metrics::Metrics,
    repeats::Repeats,
    tail::{After, Bounds, RoomId, Seq, Tail},
};

mod past;
pub(crate) mod records;
mod resume;
mod sends;

use past::Pasts;
use records::{Count, Known};
use sends::Wanted;

/// A subscription that catches up gets this much at a time, so that live messages of others are not delayed by it.
pub(crate) const SLICE_BYTES: usize = 32 * 1024;
/// A batch to a worker is closed at this many messages.
pub const BATCH_MESSAGES: usize = 512;
/// The follower's state.
pub struct Follower {
    tail: Tail,
    repeats: Vec<Repeats>,
    /// Of the records that come next, what is known of them.
    soon: VecDeque<Known>,
    /// Subscriptions that begin where the tail cannot tell.
    pasts: Pasts,
    /// For each partition: what lies below this offset is read for knowing repeats alone.
    preludes: Vec<i64>,
    /// The pinned partition count that decides the partition of a room.
    partitions: i32,
    /// For each partition of the topic: whether everything that was there at the start has been read.
    caught_up: Vec<bool>,
    outboxes: Vec<VecDeque<FromFollower>>,
    batches: Vec<Vec<Arc<Message>>>,
    /// SENDs whose records are waited for, by uuid.
    wanted: HashMap<[u8; 16], Wanted, RandomState>,
    /// What this machine's clock says, milliseconds since the Unix epoch; 0 while nobody has said.
    wall_ms: i64,
    /// Append time of the first record that was handled since somebody asked.
    first_ms: Option<i64>,
    count: Count,
    metrics: Arc<Metrics>,
}

impl Follower {
    /// A follower that serves `workers` workers.
    pub fn new(workers: usize, partitions: i32, bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        Self {
            tail: Tail::new(bounds),
            repeats: Vec::new(),
            soon: VecDeque::new(),
            pasts: Pasts::default(),
            preludes: Vec::new(),
            partitions,
            caught_up: Vec::new(),
            outboxes: (0..workers).map(|_| VecDeque::new()).collect(),
            batches: (0..workers).map(|_| Vec::new()).collect(),
            wanted: HashMap::default(),
            wall_ms: 0,
            first_ms: None,
            count: Count::default(),
            metrics,
        }
    }

    /// Takes what a worker asks.
    pub fn handle_command(&mut self, command: ToFollower, now: Duration) {
        match command {
            ToFollower::Subscribe { who, room, from } => self.subscribe(who, room, from, now),
            ToFollower::Leave { worker, room } => self.tail.leave(room, worker),
            ToFollower::Read { who, room, after } => self.read(who, room, after),
            ToFollower::Looked(answer) => self.looked(answer, now),
            ToFollower::Claim(claim) => self.claim(claim, now),
            ToFollower::Locate { ticket, room, uuid } => self.locate(ticket, &room, uuid, now),
        }
    }

    /// What this machine's clock says, milliseconds since the Unix epoch; to be told before the commands of a round.
    pub fn set_wall_clock(&mut self, wall_ms: i64) {
        self.wall_ms = wall_ms;
    }

    /// At the end of a round: whoever waits for this edge to catch up, or for the log.
    pub fn handle_round(&mut self, now: Duration) {
        if self.waiting() > 0 {
            self.look_at_waiting(now);
        }
    }

    /// What there is to tell `worker`, in order; whoever polls takes it out. To be polled after every round.
    pub fn poll_outbox(&mut self, worker: usize) -> Option<&mut VecDeque<FromFollower>> {
        self.count.report(&self.metrics);
        self.close_batch(worker);
        self.outboxes.get_mut(worker).filter(|outbox| !outbox.is_empty())
    }

    /// Whether some worker's batch should be handed over before more is read.
    pub fn batch_is_full(&self) -> bool {
        self.batches.iter().any(|batch| batch.len() >= BATCH_MESSAGES)
    }

    /// Whether everything that was in the log at the start has been read.
    pub fn is_caught_up(&self) -> bool {
        !self.caught_up.is_empty() && self.caught_up.iter().all(|done| *done)
    }

    /// The partitions of which something is still missing that was there at the start.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.caught_up.len()).filter(|&partition| !self.caught_up[partition]).collect()
    }

    /// Append time of the first record that was handled since the last call: how late the edge is, at most.
    pub fn take_first(&mut self) -> Option<i64> {
        self.first_ms.take()
    }

    /// A record waited this long between the broker and the workers, by the clocks of both.
    pub fn observe_age(&self, ms: i64) {
        self.metrics.log.observe_age(ms);
    }

    /// Once a second: forgets whom nobody waits for any more, and brings the gauges up to date.
    pub fn handle_tick(&mut self, now: Duration) {
        self.forget_wanted(now);
        self.metrics.tail_state(self.tail.bytes(), self.tail.records(), self.tail.age());
        self.metrics.stomp.waiting.set(i64::try_from(self.waiting()).unwrap_or(i64::MAX));
        self.metrics.stomp.rooms.set(i64::try_from(self.tail.wanted_rooms()).unwrap_or(i64::MAX));
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
                    if let Some(Ok(message)) = decode(&mut self.tail, next) {
                        bytes += message.cost();
                        messages.push(Arc::new(message));
                    }
                }
            }
        };
        let through = if end { self.tail.newest() } else { at };
        self.tell(who.worker, FromFollower::Slice { who, messages, end, through });
    }

    fn tell(&mut self, worker: usize, what: FromFollower) {
        self.close_batch(worker);
        if let Some(outbox) = self.outboxes.get_mut(worker) {
            outbox.push_back(what);
        }
    }

    /// Whatever is told after a message must arrive after it.
    fn close_batch(&mut self, worker: usize) {
        if let Some(batch) = self.batches.get_mut(worker).filter(|batch| !batch.is_empty()) {
            let what = match batch.pop() {
                Some(only) if batch.is_empty() => FromFollower::Message(only),
                last => FromFollower::Batch(batch.drain(..).chain(last).collect()),
            };
            self.outboxes[worker].push_back(what);
        }
    }
}

fn decode(tail: &mut Tail, seq: Seq) -> Option<Result<Message, RecordError>> {
    let value = tail.share(seq)?;
    let entry = tail.get(seq)?;
    let (room, id, timestamp_ms) = (entry.room, entry.id(), entry.timestamp_ms);
    Some(View::read(value, tail.name(room)).map(|content| Message {
        room,
        seq,
        id,
        timestamp_ms,
        content,
        trace: None,
    }))
}

#[cfg(test)]
mod past_tests;
#[cfg(test)]
mod tests;
