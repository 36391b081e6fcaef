//! Reading: one consumer with all partitions assigned, never subscribed.

use std::{
    collections::VecDeque,
    future::{Future, Ready, ready},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
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
    marks::{Mark, Place},
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
    places: Places,
    /// Events that stand before whatever the consumer has.
    pending: VecDeque<Pending>,
}

/// Where the reader stands, one for each partition.
type Places = Arc<Vec<Place>>;

/// What a feed shares with the keeper.
pub(super) struct FeedShared {
    places: Mutex<Places>,
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
    /// The log is another one: this record that was read is not in it.
    Replaced { partition: usize, mark: Mark, resume_at: i64 },
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
    pub(super) fn places(&self) -> Places {
        Arc::clone(&lock(&self.places))
    }

    /// For each partition the offset that the next record will have at least.
    pub(super) fn positions(&self) -> Vec<i64> {
        self.places().iter().map(Place::next).collect()
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
        let mut places = Vec::new();
        for (partition, begin) in begins.iter().enumerate() {
            if begin.gap {
                pending.push_back(Pending::Gap { partition, resumed_at: begin.at });
            }
            if begin.prelude > begin.at {
                pending.push_back(Pending::Prelude { partition, until: begin.prelude });
            }
            assignment.add_partition_offset(&settings.topic, number(partition), Offset::Offset(begin.at))?;
            places.push(Place::new(begin.at));
        }
        consumer.assign(&assignment)?;

        let places = Arc::new(places);
        let shared =
            FeedShared { places: Mutex::new(Arc::clone(&places)), news: Mutex::default(), notify: Notify::new() };
        let (consumer, shared) = (Arc::new(consumer), Arc::new(shared));
        Ok(Self { consumer, topic: settings.topic.clone(), state, shared, places, pending })
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
        match news {
            News::Partitions(n) if n > self.places.len() => self.grow(n),
            // If the position has moved since, the offset was in range after all, or has been repaired already.
            News::OutOfRange { partition, seen, resume_at }
                if self.places.get(partition).is_some_and(|place| place.next() == seen) =>
            {
                tracing::warn!(partition, lost_at = seen, resumed_at = resume_at, "records are gone; reading on");
                self.restart(partition, resume_at)
            }
            News::Replaced { partition, mark, resume_at }
                if self.places.get(partition).is_some_and(|place| place.has(mark)) =>
            {
                tracing::warn!(partition, ?mark, resumed_at = resume_at, "the log has been replaced; reading it anew");
                self.restart(partition, resume_at)
            }
            News::Partitions(_) | News::OutOfRange { .. } | News::Replaced { .. } => Ok(()),
        }
    }

    fn grow(&mut self, partitions: usize) -> Result<(), KafkaError> {
        let known = self.places.len();
        let mut change = TopicPartitionList::new();
        for partition in known..partitions {
            // From the beginning: records written before the partition was noticed count as well.
            change.add_partition_offset(&self.topic, number(partition), Offset::Beginning)?;
        }
        self.consumer.incremental_assign(&change)?;
        let fresh = std::iter::repeat_with(|| Place::new(0)).take(partitions - known);
        self.places = Arc::new(self.places.iter().map(Place::copy).chain(fresh).collect());
        *lock(&self.shared.places) = Arc::clone(&self.places);
        self.pending.push_back(Pending::Partitions(partitions));
        Ok(())
    }

    /// Reads a partition from `at` on, and says that what came before is lost.
    fn restart(&mut self, partition: usize, at: i64) -> Result<(), KafkaError> {
        // Not seek(): it fails on a partition that stopped with AutoOffsetReset.
        let mut change = TopicPartitionList::new();
        change.add_partition(&self.topic, number(partition));
        self.consumer.incremental_unassign(&change)?;
        change.set_partition_offset(&self.topic, number(partition), Offset::Offset(at))?;
        self.consumer.incremental_assign(&change)?;
        self.places[partition].restart(at);
        self.pending.push_back(Pending::Gap { partition, resumed_at: at });
        Ok(())
    }
}

/// What a poll of the consumer came to. Apart from [`KafkaFeed`] so that the record can borrow the consumer.
struct Reader<'a> {
    state: &'a State,
    places: &'a [Place],
}

impl Reader<'_> {
    fn place(&self, partition: i32) -> Option<&Place> {
        usize::try_from(partition).ok().and_then(|p| self.places.get(p))
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
                let value = message.payload().unwrap_or_default();
                if let Some(place) = self.place(partition) {
                    place.passed(offset, value);
                }
                FeedEvent::Record(ReadRecord {
                    partition,
                    offset,
                    timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                    room: message.key().unwrap_or_default(),
                    value,
                })
            }
            Err(KafkaError::PartitionEOF(partition)) => {
                let offset = self.place(*partition).map_or(0, Place::next);
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
                    let reader = Reader { state: &self.state, places: &self.places };
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
        let reader = Reader { state: &self.state, places: &self.places };
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
