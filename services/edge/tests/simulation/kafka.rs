//! Kafka as an edge meets it: a queue that delays, answers that lie, records stored twice. What is stored lies in one
//! [`MemoryLog`] that all edges share.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use klatsch_edge::log::{
    Budget, Health, Log, LogError, NewRecord, Outcome, ReadRecord, Reason, Reports, ScanEnd, Start, Ticket,
    memory::{Answer, MemoryFeed, MemoryLog},
};

use crate::{plan::Plan, rng::Rng, truth::Truth};

/// The milliseconds since the epoch at which simulated time begins.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// The cluster: one log, and what is true of it.
pub struct Cluster {
    pub log: MemoryLog,
    pub truth: Truth,
    answers: Arc<Answers>,
    pub stalled_until: Duration,
}

#[derive(Default)]
struct Answers(Mutex<Vec<Outcome>>);

impl Reports for Answers {
    fn settled(&self, _: Ticket, outcome: Outcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

impl Cluster {
    pub fn new(partitions: i32) -> Self {
        let answers = Arc::new(Answers::default());
        let log = MemoryLog::new(partitions, usize::MAX, answers.clone());
        let truth = Truth::new(&log, partitions);
        let mut cluster = Self { log, truth, answers, stalled_until: Duration::ZERO };
        cluster.truth.look();
        cluster
    }

    /// The log's clock, for whoever asks for a place in time.
    pub fn clock_ms(now: Duration) -> i64 {
        EPOCH_MS + i64::try_from(now.as_millis()).unwrap()
    }

    /// A record reaches the brokers; what its producer will hear.
    pub fn take(&mut self, record: NewRecord, plan: &Plan, rng: &mut Rng, now: Duration) -> Outcome {
        let lies = rng.percent(plan.faults.lies);
        let twice = rng.percent(plan.faults.doubles).then(|| record.clone());
        if lies {
            self.log.answer_next(match rng.below(6) {
                0 => Answer::Lost(Outcome::Refused(*rng.pick(&[Reason::Purged, Reason::TooLarge, Reason::TimedOut]))),
                1 => Answer::Lost(Outcome::Unknown(Reason::TimedOut)),
                2 => Answer::StoredBut(Outcome::Unknown(Reason::Unavailable)),
                _ => Answer::StoredBut(Outcome::StoredUnplaced),
            });
        }
        let outcome = self.append(record, now);
        match twice {
            // A retry that Kafka did not recognise: the producer hears of either.
            Some(record) if !lies => {
                let second = self.append(record, now);
                if rng.one_in(2) { second } else { outcome }
            }
            _ => outcome,
        }
    }

    fn append(&mut self, record: NewRecord, now: Duration) -> Outcome {
        self.log.set_clock(Some(Self::clock_ms(now)));
        let refused = self.log.publish(record, Ticket::default()).err();
        self.truth.look();
        let answer = self.answers.0.lock().unwrap().pop();
        answer.unwrap_or(Outcome::Refused(refused.unwrap_or(Reason::Fatal)))
    }

    /// A record that no edge has written.
    pub fn append_foreign(&mut self, record: NewRecord, now: Duration) {
        self.append(record, now);
    }

    pub fn trim(&mut self, partition: i32, offset: i64) {
        self.log.trim(partition, offset);
        self.truth.look();
    }

    pub fn partitions(&self) -> i32 {
        self.truth.partitions()
    }

    pub fn grow(&mut self, partitions: i32) {
        self.log.grow(partitions);
        self.truth.look();
    }
}

/// An edge's producer: its queue, first come first served, emptied by the scheduler.
pub struct Producer {
    log: MemoryLog,
    queue: Mutex<VecDeque<(NewRecord, Ticket)>>,
    capacity: usize,
}

impl Producer {
    pub fn new(cluster: &Cluster, capacity: usize) -> Arc<Self> {
        Arc::new(Self { log: cluster.log.clone(), queue: Mutex::default(), capacity })
    }

    pub fn next(&self) -> Option<(NewRecord, Ticket)> {
        self.queue.lock().unwrap().pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.lock().unwrap().is_empty()
    }
}

impl Log for Producer {
    type Feed = MemoryFeed;

    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        let mut queue = self.queue.lock().unwrap();
        if queue.len() >= self.capacity {
            return Err(Reason::QueueFull);
        }
        queue.push_back((record, ticket));
        Ok(())
    }

    fn feed(&self, start: Start) -> Result<MemoryFeed, LogError> {
        self.log.feed(start)
    }

    fn retained(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, LogError> {
        self.log.retained(partition, timeout)
    }

    fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, LogError> {
        self.log.offset_at(partition, ms, timeout)
    }

    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        self.log.scan(partition, range, budget, sink)
    }

    fn flush(&self, _: Duration) -> usize {
        self.queue.lock().unwrap().len()
    }

    fn health(&self) -> Health {
        Health { connected: true, in_flight: self.flush(Duration::ZERO), ..Health::default() }
    }
}
