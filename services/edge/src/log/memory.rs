//! The log as plain vectors: for tests and for simulations of many edges in one thread.
//!
//! No thread and no clock of its own: a report is delivered inside the call that settles the record (never under a
//! lock, always in the order of settling), and time stands still if a test wants it to.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Notify;

use super::{
    Budget, Health, Log, LogError, Measured, NewRecord, Outcome, ReadRecord, Reason, Reports, ScanEnd, Start, Ticket,
};

mod feed;
mod partition;

pub use feed::MemoryFeed;
use partition::{Kept, Partition};

/// A log in memory. Clones share it, so several edges of one test can read and write the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    reports: Arc<dyn Reports>,
    reader: Arc<Reader>,
}

/// What the log knows of its last reader.
#[derive(Default)]
struct Reader {
    /// The offset that it reads next, for each partition.
    next: Mutex<Vec<i64>>,
    held: AtomicBool,
}

impl Reader {
    fn next(&self) -> MutexGuard<'_, Vec<i64>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the log does with one record, instead of storing and acknowledging it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The record is not stored; this is reported.
    Lost(Outcome),
    /// The record is stored; this is reported.
    StoredBut(Outcome),
}

struct Shared {
    state: Mutex<State>,
    /// Something was appended, trimmed or added.
    news: Notify,
    /// Everything is settled.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    partitions: Vec<Partition>,
    /// Grows with each change of the partitions.
    changes: u64,
    /// Records taken and not yet stored; not empty only while `held`.
    queue: VecDeque<(NewRecord, Pending)>,
    /// Outcomes not yet reported; in the order of settling.
    outcomes: VecDeque<(Pending, Outcome)>,
    answers: VecDeque<Answer>,
    held: bool,
    acknowledgements_held: bool,
    delivering: bool,
    /// Somebody waits, or has waited, for everything to be settled.
    flushing: bool,
    away: bool,
    clock_ms: Option<i64>,
    capacity: usize,
}

struct Pending {
    ticket: Ticket,
    reports: Arc<dyn Reports>,
    since: Instant,
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}

impl MemoryLog {
    /// An empty log. `capacity` bounds the records that are taken and not settled; beyond it, publishing is refused
    /// with [`Reason::QueueFull`].
    pub fn new(partitions: i32, capacity: usize, reports: Arc<dyn Reports>) -> Self {
        let state = State { capacity, ..State::default() };
        let shared = Shared { state: Mutex::new(state), news: Notify::new(), settled: Condvar::new() };
        let log = Self { shared: Arc::new(shared), reports, reader: Arc::default() };
        log.grow(partitions);
        log
    }

    /// The same log for another edge: its records are reported to `reports`.
    pub fn for_edge(&self, reports: Arc<dyn Reports>) -> Self {
        Self { shared: Arc::clone(&self.shared), reports, reader: Arc::default() }
    }

    /// Adds partitions until there are `partitions`.
    pub fn grow(&self, partitions: i32) {
        let mut state = self.shared.lock();
        let wanted = usize::try_from(partitions).unwrap_or(0).max(state.partitions.len());
        state.partitions.resize_with(wanted, Partition::default);
        state.changes += 1;
        drop(state);
        self.shared.news.notify_waiters();
    }

    /// Forgets what lies below `offset`, as retention does.
    pub fn trim(&self, partition: i32, offset: i64) {
        let mut state = self.shared.lock();
        state.changes += 1;
        if let Some(p) = state.partitions.get_mut(index(partition)) {
            while p.low < offset && p.records.pop_front().is_some() {
                p.low += 1;
            }
        }
        drop(state);
        self.shared.news.notify_waiters();
    }

    /// From now on records wait in the queue, neither stored nor reported, until [`release`](Self::release).
    pub fn hold(&self) {
        self.shared.lock().held = true;
    }

    /// From now on records are stored, and read, at once, but reported only at [`release`](Self::release).
    pub fn hold_acknowledgements(&self) {
        self.shared.lock().acknowledgements_held = true;
    }

    /// Ends both kinds of holding: what waits is stored and reported, in order.
    pub fn release(&self) {
        let mut state = self.shared.lock();
        (state.held, state.acknowledgements_held) = (false, false);
        while let Some((record, pending)) = state.queue.pop_front() {
            state.settle(record, pending);
        }
        drop(state);
        self.shared.news.notify_waiters();
        self.shared.deliver();
    }

    /// Treats the next record that is not yet settled, and has no answer yet, as `answer` says.
    pub fn answer_next(&self, answer: Answer) {
        self.shared.lock().answers.push_back(answer);
    }

    /// Whether this log's reader is told nothing from now on, however much there is: it stands still.
    pub fn hold_reading(&self, held: bool) {
        self.reader.held.store(held, Relaxed);
        self.shared.news.notify_waiters();
    }

    /// What [`Health::connected`] says from now on. Publishing goes on either way.
    pub fn set_connected(&self, connected: bool) {
        self.shared.lock().away = !connected;
    }

    /// Append times from now on, in milliseconds since the Unix epoch; `None` for the system's clock.
    pub fn set_clock(&self, clock_ms: Option<i64>) {
        self.shared.lock().clock_ms = clock_ms;
    }

    /// The offsets that a partition holds: first, and one past the last.
    pub fn offsets(&self, partition: i32) -> Range<i64> {
        self.shared.lock().partitions.get(index(partition)).map_or(0..0, |p| p.low..p.high())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports what is settled. One thread at a time, so that the order holds; a call from inside a report leaves
    /// the work to the outer one.
    fn deliver(&self) {
        let mut state = self.lock();
        if state.delivering {
            return;
        }
        while !state.acknowledgements_held
            && let Some((Pending { ticket, reports, .. }, outcome)) = state.outcomes.pop_front()
        {
            state.delivering = true;
            drop(state);
            reports.settled(ticket, outcome);
            state = self.lock();
            state.delivering = false;
        }
        if state.flushing && state.in_flight() == 0 {
            self.settled.notify_all();
        }
    }
}

impl State {
    fn partition(&self, number: i32) -> Result<&Partition, LogError> {
        self.partitions.get(index(number)).ok_or_else(|| LogError(format!("no partition {number}")))
    }

    fn in_flight(&self) -> usize {
        self.queue.len() + self.outcomes.len()
    }

    fn settle(&mut self, record: NewRecord, pending: Pending) {
        let outcome = match self.answers.pop_front() {
            Some(Answer::Lost(outcome)) => outcome,
            Some(Answer::StoredBut(outcome)) => {
                self.append(record);
                outcome
            }
            None => self.append(record),
        };
        self.outcomes.push_back((pending, outcome));
    }

    fn append(&mut self, NewRecord { partition, room, value, .. }: NewRecord) -> Outcome {
        let now = self.clock_ms.unwrap_or_else(|| {
            SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        });
        let Some(p) = self.partitions.get_mut(index(partition)) else {
            return Outcome::Refused(Reason::Unavailable);
        };
        self.changes += 1;
        // Append time never runs backwards inside a partition.
        let timestamp_ms = p.records.back().map_or(now, |last| now.max(last.timestamp_ms));
        let offset = p.high();
        p.records.push_back(Kept { room, value, timestamp_ms });
        Outcome::Stored { partition, offset, timestamp_ms }
    }
}

impl Log for MemoryLog {
    type Feed = MemoryFeed;

    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        let pending = Pending { ticket, reports: Arc::clone(&self.reports), since: Instant::now() };
        let mut state = self.shared.lock();
        if index(record.partition) >= state.partitions.len() {
            return Err(Reason::Unavailable);
        }
        if state.in_flight() >= state.capacity {
            return Err(Reason::QueueFull);
        }
        if state.held {
            state.queue.push_back((record, pending));
            return Ok(());
        }
        state.settle(record, pending);
        drop(state);
        self.shared.news.notify_waiters();
        self.shared.deliver();
        Ok(())
    }

    fn feed(&self, start: Start) -> Result<MemoryFeed, LogError> {
        Ok(MemoryFeed::new(Arc::clone(&self.shared), Arc::clone(&self.reader), start))
    }

    fn retained(&self, partition: i32, _: Duration) -> Result<Range<i64>, LogError> {
        self.shared.lock().partition(partition).map(|p| p.low..p.high())
    }

    fn offset_at(&self, partition: i32, ms: i64, _: Duration) -> Result<i64, LogError> {
        self.shared.lock().partition(partition).map(|p| p.offset_at(ms))
    }

    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        let began = Instant::now();
        let found: Vec<Kept> = {
            let state = self.shared.lock();
            let p = state.partition(partition)?;
            if range.start < p.low {
                return Ok(ScanEnd::Incomplete);
            }
            range.clone().map_while(|offset| p.get(offset).cloned()).collect()
        };
        let mut bytes = 0;
        for (i, (record, offset)) in found.iter().zip(range).enumerate() {
            bytes += record.room.len() + record.value.len();
            if i >= budget.records || bytes > budget.bytes || began.elapsed() >= budget.time {
                return Ok(ScanEnd::Incomplete);
            }
            sink(record.read(partition, offset));
        }
        Ok(ScanEnd::Complete)
    }

    fn flush(&self, timeout: Duration) -> usize {
        let mut state = self.shared.lock();
        state.flushing = true;
        let waited = self.shared.settled.wait_timeout_while(state, timeout, |s| s.in_flight() > 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let left = state.in_flight();
        state.acknowledgements_held = false;
        for (_, outcome) in &mut state.outcomes {
            *outcome = Outcome::Unknown(Reason::Purged);
        }
        while let Some((_, pending)) = state.queue.pop_front() {
            state.outcomes.push_back((pending, Outcome::Refused(Reason::Purged)));
        }
        drop(state);
        self.shared.deliver();
        left
    }

    fn measured(&self) -> Measured {
        let next = self.reader.next();
        let state = self.shared.lock();
        let lags = (0..).zip(state.partitions.iter().zip(&*next));
        let lags = lags.map(|(partition, (p, next))| (partition, (p.high() - next).max(0))).collect();
        Measured { lags, ..Measured::default() }
    }

    fn health(&self) -> Health {
        let state = self.shared.lock();
        let pending = state.queue.iter().map(|(_, p)| p).chain(state.outcomes.iter().map(|(p, _)| p));
        Health {
            connected: !state.away,
            unanswered: Duration::ZERO,
            in_flight: state.in_flight(),
            oldest_in_flight: pending.map(|p| p.since.elapsed()).max(),
            fault: None,
        }
    }
}
