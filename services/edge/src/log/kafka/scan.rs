//! Looking back into one partition, with clients that do nothing else.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    super::{Budget, LogError, ReadRecord, ScanEnd},
    context::{Context, Role, State, lock},
    observer::number,
    settings::KafkaSettings,
};

/// Idle clients that are kept; how many scans run at once is the caller's business.
const KEPT: usize = 2;

pub(super) struct Scanners {
    settings: KafkaSettings,
    state: Arc<State>,
    idle: Mutex<Vec<BaseConsumer<Context>>>,
}

impl Scanners {
    pub(super) fn new(settings: &KafkaSettings, state: Arc<State>) -> Self {
        Self { settings: settings.clone(), state, idle: Mutex::default() }
    }

    pub(super) fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        let until = Instant::now() + budget.time;
        match self.with_client(|client| self.scan_with(client, partition, range, budget, until, sink)) {
            Err(error) if Instant::now() < until => Err(LogError(format!("cannot look back: {error}"))),
            Err(_) => Ok(ScanEnd::Incomplete),
            Ok(end) => Ok(end),
        }
    }

    /// For each partition the append time of the first record at `offsets[partition]` or later; `None` where none is
    /// asked for, or there is none. Told at the same cost for all of them.
    pub(super) fn times_at(&self, offsets: &[Option<i64>], timeout: Duration) -> Result<Vec<Option<i64>>, KafkaError> {
        let until = Instant::now() + timeout;
        self.with_client(|client| {
            // Assigning before the client knows the topic would cost half a second.
            client.fetch_metadata(Some(&self.settings.topic), timeout)?;
            let mut assignment = TopicPartitionList::new();
            let topic = self.settings.topic.as_str();
            for (partition, offset) in offsets.iter().enumerate().filter_map(|(p, offset)| Some((p, (*offset)?))) {
                assignment.add_partition_offset(topic, number(partition), Offset::Offset(offset))?;
            }
            let mut left = assignment.count();
            if left > 0 {
                client.assign(&assignment)?;
            }
            let (mut times, mut waiting) = (vec![None; offsets.len()], vec![true; offsets.len()]);
            while left > 0 {
                let (partition, ms) = match client.poll(until.saturating_duration_since(Instant::now())) {
                    None => return Err(KafkaError::MessageConsumption(Code::OperationTimedOut)),
                    Some(Ok(message)) => (message.partition(), message.timestamp().to_millis()),
                    Some(Err(KafkaError::PartitionEOF(partition))) => (partition, None),
                    Some(Err(error)) if error.rdkafka_error_code() == Some(Code::AutoOffsetReset) => return Err(error),
                    Some(Err(error)) => {
                        self.state.note(Role::Scan, error.rdkafka_error_code(), &error.to_string());
                        continue;
                    }
                };
                let at = usize::try_from(partition).unwrap_or(usize::MAX);
                if waiting.get_mut(at).is_some_and(std::mem::take) {
                    (times[at], left) = (ms, left - 1);
                }
            }
            Ok(times)
        })
    }

    /// Lends an idle client, or a new one; it has no assignment before and after.
    fn with_client<T>(
        &self,
        work: impl FnOnce(&BaseConsumer<Context>) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let idle = lock(&self.idle).pop();
        let client = idle.map_or_else(|| self.make(), Ok)?;
        let result = work(&client);
        client.unassign()?;
        let mut idle = lock(&self.idle);
        if idle.len() < KEPT {
            idle.push(client);
        }
        result
    }

    fn make(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        let context = Context { role: Role::Scan, state: Arc::clone(&self.state) };
        self.settings.scanner().create_with_context(context)
    }

    fn scan_with(
        &self,
        client: &BaseConsumer<Context>,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        until: Instant,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, KafkaError> {
        let left = || until.saturating_duration_since(Instant::now());
        let topic = self.settings.topic.as_str();
        let (low, high) = client.fetch_watermarks(topic, partition, left())?;
        if range.start < low {
            return Ok(ScanEnd::Incomplete);
        }
        let end = range.end.min(high);
        if range.start >= end {
            return Ok(ScanEnd::Complete);
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(range.start))?;
        client.assign(&assignment)?;

        let (mut records, mut bytes) = (0, 0);
        while !left().is_zero() {
            let message = match client.poll(left()) {
                None => break,
                Some(Ok(message)) if message.offset() >= end => return Ok(ScanEnd::Complete),
                Some(Ok(message)) => message,
                // Only of this assignment: unassigning has made all earlier events stale.
                Some(Err(KafkaError::PartitionEOF(p))) if p == partition => return Ok(ScanEnd::Complete),
                // Trimmed in between, or a broker is lost; the time limit ends the wait for another.
                Some(Err(error)) => {
                    if error.rdkafka_error_code() == Some(Code::AutoOffsetReset) {
                        return Ok(ScanEnd::Incomplete);
                    }
                    self.state.note(Role::Scan, error.rdkafka_error_code(), &error.to_string());
                    continue;
                }
            };
            let (room, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            records += 1;
            bytes += room.len() + value.len();
            if records > budget.records || bytes > budget.bytes {
                return Ok(ScanEnd::Incomplete);
            }
            let (offset, timestamp_ms) = (message.offset(), message.timestamp().to_millis().unwrap_or(0));
            sink(ReadRecord { partition, offset, timestamp_ms, room, value });
            if offset + 1 >= end {
                return Ok(ScanEnd::Complete);
            }
        }
        Ok(ScanEnd::Incomplete)
    }

    /// Serves the log lines of idle clients.
    pub(super) fn serve(&self) {
        for client in lock(&self.idle).iter() {
            for _ in 0..100 {
                if client.poll(Duration::ZERO).is_none() {
                    break;
                }
            }
        }
    }
}
