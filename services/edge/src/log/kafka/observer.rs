//! A client that only asks about the topic: nothing it asks waits behind a fetch.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    ops::Range,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{IsError as _, KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};

use super::{
    context::{Context, Role, State, lock},
    settings::KafkaSettings,
};

/// Bootstrap addresses that are tried when no broker answers.
const BROKERS_ASKED: usize = 6;
/// The longest wait for one answer of a broker.
pub(super) const ANSWER: Duration = Duration::from_secs(3);

/// Kafka's partition number of an index.
pub(super) fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Asks about the topic.
pub(super) struct Observer {
    client: RwLock<Arc<BaseConsumer<Context>>>,
    pub(super) topic: String,
    /// Bootstrap servers, `host:port[,host:port…]`.
    brokers: Mutex<String>,
    /// Held by whoever has partitions assigned to the client, or polls it.
    reading: Mutex<()>,
}

/// What lies at an offset or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// A record.
    Record(T),
    /// Nothing: it is the end.
    End,
    /// Not asked, or no answer.
    Nothing,
}

impl Observer {
    pub(super) fn new(settings: &KafkaSettings, state: &Arc<State>) -> Result<Self, KafkaError> {
        let client = RwLock::new(Arc::new(make(settings, state)?));
        let (topic, brokers) = (settings.topic.clone(), Mutex::new(settings.brokers.clone()));
        Ok(Self { client, topic, brokers, reading: Mutex::default() })
    }

    /// Asks with another client from now on.
    pub(super) fn renew(&self, settings: &KafkaSettings, state: &Arc<State>) -> Result<(), KafkaError> {
        let client = Arc::new(make(settings, state)?);
        *lock(&self.brokers) = settings.brokers.clone();
        let _reading = lock(&self.reading);
        let before = std::mem::replace(&mut *self.client.write().unwrap_or_else(PoisonError::into_inner), client);
        drop(before);
        Ok(())
    }

    pub(super) fn client(&self) -> Arc<BaseConsumer<Context>> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether any of the brokers takes a TCP connection, answering or not.
    pub(super) fn some_broker_listens(&self) -> bool {
        some_listens(&lock(&self.brokers).clone())
    }

    /// How many partitions the topic has. An error of the topic itself is told apart from a silent broker.
    pub(super) fn partitions(&self) -> Result<usize, KafkaError> {
        let metadata = self.client().fetch_metadata(Some(&self.topic), ANSWER)?;
        let topic = metadata.topics().first().ok_or(KafkaError::MetadataFetch(Code::UnknownTopic))?;
        match topic.error() {
            Some(error) if error.is_error() => Err(KafkaError::Global(error.into())),
            _ => Ok(topic.partitions().len()),
        }
    }

    /// The offsets that a partition retains: the first, and one past the last.
    pub(super) fn range(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, KafkaError> {
        let (low, high) = self.client().fetch_watermarks(&self.topic, partition, timeout)?;
        Ok(low..high)
    }

    /// The same of every partition, in two questions to each leader.
    pub(super) fn ranges(&self) -> Result<Vec<Range<i64>>, KafkaError> {
        let all = 0..self.partitions()?;
        let ask = |what: Offset| self.ask(all.clone().map(|p| (number(p), what)), ANSWER);
        let (low, high) = (ask(Offset::Beginning)?, ask(Offset::End)?);
        let range = |(low, high): (Option<i64>, Option<i64>)| Some(low?..high?);
        let found: Option<Vec<_>> = low.into_iter().zip(high).map(range).collect();
        found.ok_or(KafkaError::OffsetFetch(Code::NoOffset))
    }

    /// For each of these partitions the first offset appended at this time (in ms) or later; `None` where there is none.
    pub(super) fn offsets_at(
        &self,
        times: impl Iterator<Item = (i32, i64)>,
        timeout: Duration,
    ) -> Result<Vec<Option<i64>>, KafkaError> {
        self.ask(times.map(|(partition, ms)| (partition, Offset::Offset(ms.max(0)))), timeout)
    }

    /// The first offset of a partition appended at `ms` or later; the end when there is none.
    pub(super) fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, KafkaError> {
        let until = Instant::now() + timeout;
        match self.offsets_at(std::iter::once((partition, ms)), timeout)?.first() {
            Some(Some(offset)) => Ok(*offset),
            _ => Ok(self.range(partition, until.saturating_duration_since(Instant::now()))?.end),
        }
    }

    /// ListOffsets, for many partitions at once: `Offset::Offset` is a time, the logical ones are what they are.
    fn ask(
        &self,
        questions: impl Iterator<Item = (i32, Offset)>,
        timeout: Duration,
    ) -> Result<Vec<Option<i64>>, KafkaError> {
        let (mut list, mut partitions) = (TopicPartitionList::new(), Vec::new());
        for (partition, what) in questions {
            list.add_partition_offset(&self.topic, partition, what)?;
            partitions.push(partition);
        }
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.client().offsets_for_times(list, timeout)?;
        let answer = |partition| {
            let missing = KafkaError::OffsetFetch(Code::UnknownPartition);
            let found = answers.find_partition(&self.topic, partition).ok_or(missing)?;
            found.error()?;
            Ok(if let Offset::Offset(offset) = found.offset() { Some(offset) } else { None })
        };
        partitions.into_iter().map(answer).collect()
    }

    /// For each partition what `take` makes of the first record at `offsets[partition]` or later. Waits for the slowest
    /// partition, at most `timeout`.
    pub(super) fn first_at<T>(
        &self,
        offsets: &[Option<i64>],
        timeout: Duration,
        take: impl Fn(&BorrowedMessage<'_>) -> T,
    ) -> Result<Vec<Found<T>>, KafkaError> {
        let until = Instant::now() + timeout;
        let mut found: Vec<_> = offsets.iter().map(|_| Found::Nothing).collect();
        let mut assignment = TopicPartitionList::new();
        for (partition, offset) in offsets.iter().enumerate().filter_map(|(p, offset)| Some((p, (*offset)?))) {
            assignment.add_partition_offset(&self.topic, number(partition), Offset::Offset(offset))?;
        }
        let mut left = assignment.count();
        if left == 0 {
            return Ok(found);
        }
        let _reading = lock(&self.reading);
        let client = self.client();
        client.assign(&assignment)?;
        while left > 0
            && let Some(polled) = client.poll(until.saturating_duration_since(Instant::now()))
        {
            let (partition, answer) = match polled {
                Ok(message) => (message.partition(), Found::Record(take(&message))),
                Err(KafkaError::PartitionEOF(partition)) => (partition, Found::End),
                // Of a partition that stays silent then, or of a broker that may come back in time.
                Err(error) => {
                    tracing::debug!(event = "not_asked", %error, "asking for a record");
                    continue;
                }
            };
            let place = usize::try_from(partition).ok().and_then(|p| found.get_mut(p));
            if let Some(place @ Found::Nothing) = place {
                (*place, left) = (answer, left - 1);
            }
        }
        client.unassign()?;
        Ok(found)
    }

    /// Serves the client's log lines; it has no assignment then, and so never a record.
    pub(super) fn serve(&self) {
        let Ok(_reading) = self.reading.try_lock() else { return };
        let client = self.client();
        for _ in 0..100 {
            if client.poll(Duration::ZERO).is_none() {
                break;
            }
        }
    }
}

fn make(settings: &KafkaSettings, state: &Arc<State>) -> Result<BaseConsumer<Context>, KafkaError> {
    settings.observer().create_with_context(Context { role: Role::Observer, state: Arc::clone(state) })
}

fn some_listens(brokers: &str) -> bool {
    let addresses = brokers.split(',').filter_map(|broker| broker.trim().to_socket_addrs().ok()).flatten();
    addresses.take(BROKERS_ASKED).any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Promise 10: a frozen broker is a stall, a dead one is away.
    #[test]
    fn p10_who_takes_a_connection_is_there() {
        let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = frozen.local_addr().unwrap().to_string();
        assert!(some_listens(&format!("127.0.0.1:1, {there}")));
        drop(frozen);
        assert!(!some_listens(&there));
    }
}
