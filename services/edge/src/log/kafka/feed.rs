//! Reading: one consumer with all partitions assigned, never subscribed.

use std::{
    collections::VecDeque,
    future::{Future, Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
    util::AsyncRuntime,
};
use tokio::sync::Notify;

use super::{
    super::{Feed, FeedEvent, LogError, ReadRecord},
    context::{Context, Fault, Role, State, lock},
    observer::number,
    rewind::Begin,
    settings::KafkaSettings,
};

/// The reader of a [`KafkaLog`](super::KafkaLog). Needs no tokio runtime of its own.
pub struct KafkaFeed {
    consumer: Arc<StreamConsumer<Context, NoRuntime>>,
    topic: String,
    state: Arc<State>,
    shared: Arc<FeedShared>,
    positions: Positions,
    /// Events that stand before whatever the consumer has.
    pending: VecDeque<Pending>,
}

/// For each partition the offset that the next record will have at least.
type Positions = Arc<Vec<AtomicI64>>;

/// What a feed shares with the keeper.
pub(super) struct FeedShared {
    positions: Mutex<Positions>,
    news: Mutex<Vec<News>>,
    notify: Notify,
}

/// What the keeper found out about the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// There are so many partitions now.
    Partitions(usize),
    /// The offset `seen`, which is read next, does not exist any more (or not yet).
    OutOfRange { partition: usize, seen: i64, resume_at: i64 },
}

enum Pending {
    Partitions(usize),
    Gap { partition: usize, resumed_at: i64 },
    Prelude { partition: usize, until: i64 },
}

/// rdkafka would start a task that wakes its stream for `max.poll.interval.ms`; that binds members of a group only.
struct NoRuntime;

impl AsyncRuntime for NoRuntime {
    type Delay = Ready<()>;

    fn spawn<T: Future<Output = ()> + Send + 'static>(_: T) {}

    fn delay_for(_: Duration) -> Ready<()> {
        ready(())
    }
}

impl FeedShared {
    pub(super) fn positions(&self) -> Positions {
        Arc::clone(&lock(&self.positions))
    }

    pub(super) fn tell(&self, news: News) {
        lock(&self.news).push(news);
        self.notify.notify_one();
    }
}

impl KafkaFeed {
    /// Assigns every partition at an offset that exists: they were asked for before, on another client.
    pub(super) fn open(settings: &KafkaSettings, state: Arc<State>, begins: &[Begin]) -> Result<Self, KafkaError> {
        let context = Context { role: Role::Feed, state: Arc::clone(&state) };
        let consumer: StreamConsumer<Context, NoRuntime> = settings.consumer().create_with_context(context)?;
        // Assigning before the client knows the topic would cost half a second.
        consumer.fetch_metadata(Some(&settings.topic), Duration::from_secs(10))?;

        let mut pending = VecDeque::from([Pending::Partitions(begins.len())]);
        let mut assignment = TopicPartitionList::new();
        let mut positions = Vec::new();
        for (partition, begin) in begins.iter().enumerate() {
            if begin.gap {
                pending.push_back(Pending::Gap { partition, resumed_at: begin.at });
            }
            if begin.prelude > begin.at {
                pending.push_back(Pending::Prelude { partition, until: begin.prelude });
            }
            assignment.add_partition_offset(&settings.topic, number(partition), Offset::Offset(begin.at))?;
            positions.push(AtomicI64::new(begin.at));
        }
        consumer.assign(&assignment)?;

        let positions = Arc::new(positions);
        let shared =
            FeedShared { positions: Mutex::new(Arc::clone(&positions)), news: Mutex::default(), notify: Notify::new() };
        let (consumer, shared) = (Arc::new(consumer), Arc::new(shared));
        Ok(Self { consumer, topic: settings.topic.clone(), state, shared, positions, pending })
    }

    pub(super) fn shared(&self) -> &Arc<FeedShared> {
        &self.shared
    }

    fn next_pending(&mut self) -> Option<FeedEvent<'static>> {
        self.pending.pop_front().map(|pending| match pending {
            Pending::Partitions(n) => FeedEvent::Partitions(number(n)),
            Pending::Gap { partition, resumed_at } => FeedEvent::Gap { partition: number(partition), resumed_at },
            Pending::Prelude { partition, until } => FeedEvent::Prelude { partition: number(partition), until },
        })
    }

    fn take_news(&mut self) -> Result<(), LogError> {
        let news = std::mem::take(&mut *lock(&self.shared.news));
        for item in news {
            self.act_on(item).map_err(|e| LogError(format!("cannot change the assignment: {e}")))?;
        }
        Ok(())
    }

    fn act_on(&mut self, news: News) -> Result<(), KafkaError> {
        let mut change = TopicPartitionList::new();
        match news {
            News::Partitions(n) if n > self.positions.len() => {
                for partition in self.positions.len()..n {
                    // From the beginning: records written before the partition was noticed count as well.
                    change.add_partition_offset(&self.topic, number(partition), Offset::Beginning)?;
                }
                self.consumer.incremental_assign(&change)?;
                let mut positions: Vec<_> = self.positions.iter().map(|p| AtomicI64::new(p.load(Relaxed))).collect();
                positions.resize_with(n, AtomicI64::default);
                self.positions = Arc::new(positions);
                *lock(&self.shared.positions) = Arc::clone(&self.positions);
                self.pending.push_back(Pending::Partitions(n));
            }
            // If the position has moved since, the offset was in range after all, or has been repaired already.
            News::OutOfRange { partition, seen, resume_at }
                if self.positions.get(partition).is_some_and(|at| at.load(Relaxed) == seen) =>
            {
                tracing::warn!(partition, lost_at = seen, resumed_at = resume_at, "records are gone; reading on");
                // Not seek(): it fails on a partition that stopped with AutoOffsetReset.
                change.add_partition(&self.topic, number(partition));
                self.consumer.incremental_unassign(&change)?;
                change.set_partition_offset(&self.topic, number(partition), Offset::Offset(resume_at))?;
                self.consumer.incremental_assign(&change)?;
                self.positions[partition].store(resume_at, Relaxed);
                self.pending.push_back(Pending::Gap { partition, resumed_at: resume_at });
            }
            News::Partitions(_) | News::OutOfRange { .. } => {}
        }
        Ok(())
    }
}

/// What a poll of the consumer came to. Apart from [`KafkaFeed`] so that the record can borrow the consumer.
struct Reader<'a> {
    state: &'a State,
    positions: &'a [AtomicI64],
}

impl Reader<'_> {
    fn at(&self, partition: i32) -> Option<&AtomicI64> {
        usize::try_from(partition).ok().and_then(|p| self.positions.get(p))
    }

    /// Whether an event was handed over.
    fn hand_over(
        &self,
        polled: Result<BorrowedMessage<'_>, KafkaError>,
        sink: &mut (dyn FnMut(FeedEvent<'_>) + Send),
    ) -> Result<bool, LogError> {
        let event = match &polled {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                if let Some(at) = self.at(partition) {
                    at.store(offset + 1, Relaxed);
                }
                FeedEvent::Record(ReadRecord {
                    partition,
                    offset,
                    timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                    room: message.key().unwrap_or_default(),
                    value: message.payload().unwrap_or_default(),
                })
            }
            Err(KafkaError::PartitionEOF(partition)) => {
                let offset = self.at(*partition).map_or(0, |at| at.load(Relaxed));
                FeedEvent::EndOfPartition { partition: *partition, offset }
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => return Err(LogError(format!("reading failed: {code}"))),
            Err(error) => {
                self.note(error);
                return Ok(false);
            }
        };
        if self.state.reading_faulty.load(Relaxed) {
            self.state.set_fault(Fault::Reading, None);
        }
        sink(event);
        Ok(true)
    }

    fn note(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            // It does not say which partition; the keeper compares all of them with their watermarks.
            Some(Code::AutoOffsetReset) => self.state.call(|calls| calls.resets += 1),
            Some(
                Code::TopicAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition,
            ) => {
                self.state.set_fault(Fault::Reading, Some(format!("cannot read the topic: {error}")));
                self.state.call(|calls| calls.look = true);
            }
            // The error callback has noted it as well, with librdkafka's reason.
            code => self.state.note(Role::Feed, code, &error.to_string()),
        }
    }
}

impl Feed for KafkaFeed {
    /// No wake-up is lost: rdkafka's stream polls the queue once more after it has stored the waker, and wakes itself
    /// when it has consumed something that is not a record. Only a ready poll takes a record, and it is handed over at
    /// once; so dropping this future loses nothing.
    async fn wait(&mut self, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<(), LogError> {
        let (consumer, shared) = (Arc::clone(&self.consumer), Arc::clone(&self.shared));
        loop {
            if let Some(event) = self.next_pending() {
                sink(event);
                return Ok(());
            }
            tokio::select! {
                biased;
                () = shared.notify.notified() => self.take_news()?,
                polled = consumer.recv() => {
                    let reader = Reader { state: &self.state, positions: &self.positions };
                    if reader.hand_over(polled, sink)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn drain(&mut self, budget: usize, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<usize, LogError> {
        self.take_news()?;
        let mut handed = 0;
        while handed < budget {
            let Some(event) = self.next_pending() else { break };
            sink(event);
            handed += 1;
        }
        let reader = Reader { state: &self.state, positions: &self.positions };
        while handed < budget {
            // Pending may also mean that a statistics event was in the way; `wait` polls before it sleeps.
            let Poll::Ready(polled) = poll_once(self.consumer.recv()) else { break };
            handed += usize::from(reader.hand_over(polled, sink)?);
        }
        Ok(handed)
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    std::pin::pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop()))
}
