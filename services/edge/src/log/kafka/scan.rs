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
    settings::KafkaSettings,
};

/// Idle clients that are kept; how many scans run at once is the caller's business.
const KEPT: usize = 2;

pub(super) struct Scanners {
    topic: String,
    state: Arc<State>,
    pool: Mutex<Pool>,
}

struct Pool {
    settings: KafkaSettings,
    idle: Vec<BaseConsumer<Context>>,
    /// How often the settings have changed: a client of before is not kept.
    renewed: u32,
}

impl Scanners {
    pub(super) fn new(settings: &KafkaSettings, state: Arc<State>) -> Self {
        let topic = settings.topic.clone();
        Self { topic, state, pool: Mutex::new(Pool { settings: settings.clone(), idle: Vec::new(), renewed: 0 }) }
    }

    /// Looks back with other clients from now on.
    pub(super) fn renew(&self, settings: &KafkaSettings) {
        let mut pool = lock(&self.pool);
        pool.settings = settings.clone();
        pool.renewed += 1;
        let before = std::mem::take(&mut pool.idle);
        drop((pool, before));
    }

    pub(super) fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        let until = Instant::now() + budget.time;
        let mut pool = lock(&self.pool);
        let (idle, settings, renewed) = (pool.idle.pop(), pool.settings.clone(), pool.renewed);
        drop(pool);
        let result = idle.map_or_else(|| self.make(&settings), Ok).and_then(|client| {
            let end = self.scan_with(&client, partition, range, budget, until, sink);
            client.unassign()?;
            let mut pool = lock(&self.pool);
            if pool.idle.len() < KEPT && pool.renewed == renewed {
                pool.idle.push(client);
            }
            end
        });
        match result {
            Err(error) if Instant::now() < until => Err(LogError(format!("cannot look back: {error}"))),
            Err(_) => Ok(ScanEnd::Incomplete),
            Ok(end) => Ok(end),
        }
    }

    fn make(&self, settings: &KafkaSettings) -> Result<BaseConsumer<Context>, KafkaError> {
        let context = Context { role: Role::Scan, state: Arc::clone(&self.state) };
        settings.scanner().create_with_context(context)
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
        let topic = self.topic.as_str();
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
            sink(ReadRecord { partition, offset, timestamp_ms, room, value, trace: None });
            if offset + 1 >= end {
                return Ok(ScanEnd::Complete);
            }
        }
        Ok(ScanEnd::Incomplete)
    }

    /// Serves the log lines of idle clients.
    pub(super) fn serve(&self) {
        for client in &lock(&self.pool).idle {
            for _ in 0..100 {
                if client.poll(Duration::ZERO).is_none() {
                    break;
                }
            }
        }
    }
}
