//! Reading a [`MemoryLog`](super::MemoryLog).

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    super::{Feed, FeedEvent, LogError, Start},
    Kept, Partition, Reader, Shared,
};

/// A reader of a [`MemoryLog`](super::MemoryLog).
pub struct MemoryFeed {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    announced: usize,
    cursors: Vec<Cursor>,
    /// Partitions that may have something, in turn, so that a busy one does not starve the others.
    busy: VecDeque<usize>,
    /// How often the log had changed when all of them were looked at.
    seen: u64,
}

struct Cursor {
    next: i64,
    end_told: bool,
    /// To be told before anything else.
    prelude: Option<i64>,
}

enum Found {
    Partitions(i32),
    Gap(i64),
    Prelude(i64),
    End(i64),
    Record(Kept, i64),
}

impl Cursor {
    fn new(partition: &Partition, start: Start) -> Self {
        let (low, high) = (partition.low, partition.high());
        let (next, kept) = match start {
            Start::Now => (high, high),
            Start::Rewind(n) => (high.saturating_sub(n.max(0)).max(low), low),
            Start::At(offset) => (offset, offset),
            Start::Recent(rewind) => {
                let first = partition.before(high - 1, rewind.age).max(high.saturating_sub(rewind.records.max(1)));
                let at = partition.before(first, rewind.window).max(first.saturating_sub(rewind.span));
                (at.clamp(low, high), first)
            }
        };
        let prelude = (low < next && next < kept).then_some(kept);
        Self { next, end_told: false, prelude }
    }

    fn look(&mut self, partition: &Partition) -> Option<Found> {
        if let Some(until) = self.prelude.take() {
            return Some(Found::Prelude(until));
        }
        if self.next < partition.low || self.next > partition.high() {
            (self.next, self.end_told) = (partition.low, false);
            return Some(Found::Gap(self.next));
        }
        if let Some(record) = partition.get(self.next) {
            (self.next, self.end_told) = (self.next + 1, false);
            return Some(Found::Record(record.clone(), self.next - 1));
        }
        (!std::mem::replace(&mut self.end_told, true)).then_some(Found::End(self.next))
    }
}

impl MemoryFeed {
    pub(super) fn new(shared: Arc<Shared>, reader: Arc<Reader>, start: Start) -> Self {
        let cursors: Vec<_> = shared.lock().partitions.iter().map(|p| Cursor::new(p, start)).collect();
        *reader.next() = cursors.iter().map(|cursor| cursor.next).collect();
        Self { shared, reader, announced: 0, cursors, busy: VecDeque::new(), seen: 0 }
    }

    /// Hands over one event if there is one.
    fn step(&mut self, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> bool {
        let Some((partition, found)) = self.look() else { return false };
        let event = match &found {
            Found::Partitions(n) => FeedEvent::Partitions(*n),
            Found::Gap(resumed_at) => FeedEvent::Gap { partition, resumed_at: *resumed_at },
            Found::Prelude(until) => FeedEvent::Prelude { partition, until: *until },
            Found::End(offset) => FeedEvent::EndOfPartition { partition, offset: *offset },
            Found::Record(record, offset) => {
                sink(FeedEvent::Record(&record.read(partition, *offset)));
                return true;
            }
        };
        sink(event);
        true
    }

    fn look(&mut self) -> Option<(i32, Found)> {
        if self.reader.held.load(Relaxed) {
            return None;
        }
        let state = self.shared.lock();
        let n = state.partitions.len();
        if n > self.announced {
            self.announced = n;
            self.cursors.resize_with(n, || Cursor { next: 0, end_told: false, prelude: None });
            self.reader.next().resize(n, 0);
            return Some((0, Found::Partitions(i32::try_from(n).unwrap_or(i32::MAX))));
        }
        while !self.busy.is_empty() || self.seen != state.changes {
            let Some(p) = self.busy.pop_front() else {
                self.seen = state.changes;
                self.busy.extend(0..n);
                continue;
            };
            if let Some(found) = self.cursors[p].look(&state.partitions[p]) {
                self.busy.push_back(p);
                if let Some(next) = self.reader.next().get_mut(p) {
                    *next = self.cursors[p].next;
                }
                return Some((i32::try_from(p).unwrap_or(i32::MAX), found));
            }
        }
        None
    }
}

impl Feed for MemoryFeed {
    async fn wait(&mut self, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<(), LogError> {
        loop {
            let shared = Arc::clone(&self.shared);
            // Registered before looking, so that nothing that comes in between is missed.
            let mut news = std::pin::pin!(shared.news.notified());
            news.as_mut().enable();
            if self.step(sink) {
                return Ok(());
            }
            news.await;
        }
    }

    fn drain(&mut self, budget: usize, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<usize, LogError> {
        Ok((0..budget).take_while(|_| self.step(sink)).count())
    }
}
