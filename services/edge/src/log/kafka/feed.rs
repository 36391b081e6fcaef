//! Reading: one consumer with all partitions assigned, never subscribed.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_util::Stream as _;

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError};

use super::{
    super::{AHEAD, Feed, FeedEvent, LogError},
    context::State,
    marks::Place,
    observer::number,
    reader::{FeedShared, News, Places, Reader, connect},
    rewind::Begin,
    settings::KafkaSettings,
};

mod told;

use told::{NOTHING, Polled, read};

/// The reader of a [`KafkaLog`](super::KafkaLog). Needs no tokio runtime of its own.
pub struct KafkaFeed {
    consumer: Arc<Reader>,
    topic: String,
    state: Arc<State>,
    shared: Arc<FeedShared>,
    places: Places,
    ends: Vec<End>,
    /// Events that stand before whatever the consumer has.
    pending: VecDeque<Pending>,
}

/// The end of a partition, told once wherever it is.
#[derive(Default, Clone, Copy)]
struct End {
    /// Where it was when reading began, until it has been reached.
    at_first: Option<i64>,
    told: Option<i64>,
}

enum Pending {
    Partitions(usize),
    End { partition: usize, offset: i64 },
    Gap { partition: usize, resumed_at: i64 },
    Prelude { partition: usize, until: i64 },
}

impl End {
    fn told(at: i64) -> Self {
        Self { at_first: None, told: Some(at) }
    }
}

impl KafkaFeed {
    /// Assigns every partition at an offset that exists: they were asked for before, on another client.
    pub(super) fn open(settings: &KafkaSettings, state: Arc<State>, begins: &[Begin]) -> Result<Self, KafkaError> {
        let consumer = connect(settings, 0, &state)?;
        let mut pending = VecDeque::from([Pending::Partitions(begins.len())]);
        let mut assignment = TopicPartitionList::new();
        let (mut places, mut ends) = (Vec::new(), Vec::new());
        for (partition, begin) in begins.iter().enumerate() {
            if begin.gap {
                pending.push_back(Pending::Gap { partition, resumed_at: begin.at });
            }
            if begin.prelude > begin.at {
                pending.push_back(Pending::Prelude { partition, until: begin.prelude });
            }
            // The broker would tell it after an empty fetch: for each start of an edge that is a pause for nothing.
            let nothing = begin.at >= begin.end;
            if nothing {
                pending.push_back(Pending::End { partition, offset: begin.at });
            }
            ends.push(if nothing { End::told(begin.at) } else { End { at_first: Some(begin.end), told: None } });
            assignment.add_partition_offset(&settings.topic, number(partition), Offset::Offset(begin.at))?;
            places.push(Place::new(begin.at));
        }
        consumer.assign(&assignment)?;

        let places = Arc::new(places);
        let shared = FeedShared::new(Arc::clone(&places));
        let (consumer, shared) = (Arc::new(consumer), Arc::new(shared));
        Ok(Self { consumer, topic: settings.topic.clone(), state, shared, places, ends, pending })
    }

    pub(super) fn shared(&self) -> &Arc<FeedShared> {
        &self.shared
    }

    fn next_pending(&mut self) -> Option<FeedEvent<'static>> {
        self.pending.pop_front().map(|pending| match pending {
            Pending::Partitions(n) => FeedEvent::Partitions(number(n)),
            Pending::End { partition, offset } => FeedEvent::EndOfPartition { partition: number(partition), offset },
            Pending::Gap { partition, resumed_at } => FeedEvent::Gap { partition: number(partition), resumed_at },
            Pending::Prelude { partition, until } => FeedEvent::Prelude { partition: number(partition), until },
        })
    }

    fn take_news(&mut self) -> Result<(), LogError> {
        let failed = |error: KafkaError| LogError(format!("cannot change the assignment: {error}"));
        // Looked for first and taken over last: it begins where the news that came before it say.
        let renewed = self.shared.take_renewed();
        let news = self.shared.take_news();
        news.into_iter().try_for_each(|item| self.act_on(item)).map_err(failed)?;
        renewed.map_or(Ok(()), |renewed| self.go_over(renewed)).map_err(failed)
    }

    /// Everything that the consumer has handed over counts as read, nothing else.
    fn go_over(&mut self, renewed: Reader) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        for (partition, place) in self.places.iter().enumerate() {
            assignment.add_partition_offset(&self.topic, number(partition), Offset::Offset(place.next()))?;
        }
        renewed.assign(&assignment)?;
        self.consumer.unassign()?;
        let before = std::mem::replace(&mut self.consumer, Arc::new(renewed));
        self.shared.retire(before);
        self.state.call(|calls| calls.look = true);
        Ok(())
    }

    fn act_on(&mut self, news: News) -> Result<(), KafkaError> {
        match news {
            News::Partitions(n) if n > self.places.len() => self.grow(n),
            // If the position has moved since, the offset was in range after all, or has been repaired already.
            News::OutOfRange { partition, seen, resume_at }
                if self.places.get(partition).is_some_and(|place| place.next() == seen) =>
            {
                tracing::warn!(
                    event = "records_gone",
                    partition,
                    from = seen,
                    to = resume_at,
                    "records are gone; reading on"
                );
                self.restart(partition, resume_at)
            }
            News::Replaced { partition, mark, resume_at }
                if self.places.get(partition).is_some_and(|place| place.has(mark)) =>
            {
                tracing::warn!(
                    event = "log_replaced",
                    partition,
                    ?mark,
                    to = resume_at,
                    "the log has been replaced; reading it anew"
                );
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
        self.ends.resize(partitions, End::default());
        self.shared.set_places(Arc::clone(&self.places));
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
        self.ends[partition] = End::default();
        self.pending.push_back(Pending::Gap { partition, resumed_at: at });
        Ok(())
    }
}

impl Feed for KafkaFeed {
    /// No wake-up is lost: rdkafka's stream polls the queue once more after it has stored the waker, and wakes itself
    /// when it has consumed something that is not a record. Only a ready poll takes a record, and it is handed over at
    /// once; so dropping this future loses nothing.
    async fn wait(&mut self, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        loop {
            if let Some(event) = self.next_pending() {
                sink(event);
                return Ok(());
            }
            let consumer = Arc::clone(&self.consumer);
            tokio::select! {
                biased;
                () = shared.notify.notified() => self.take_news()?,
                polled = consumer.recv() => {
                    let mut poll = Polled { state: &self.state, places: &self.places, ends: &mut self.ends };
                    if poll.hand_over(polled.as_ref().map(read).as_ref().map_err(|error| *error), sink)? {
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
        let Self { consumer, state, places, ends, .. } = self;
        let mut poll = Polled { state, places, ends };
        let mut stream = pin!(consumer.stream());
        let mut come = Vec::with_capacity(AHEAD);
        while handed < budget {
            let wanted = AHEAD.min(budget - handed);
            // Pending may also mean that a statistics event was in the way; `wait` polls before it sleeps.
            while come.len() < wanted
                && let Poll::Ready(Some(polled)) = stream.as_mut().poll_next(&mut Context::from_waker(Waker::noop()))
            {
                come.push(polled);
            }
            if come.is_empty() {
                break;
            }
            let mut records = [NOTHING; AHEAD];
            for (record, polled) in records.iter_mut().zip(&come) {
                *record = polled.as_ref().map_or(NOTHING, read);
            }
            if come.len() > 1 {
                sink(FeedEvent::Soon(&records[..come.len()]));
            }
            for (record, polled) in records.iter().zip(&come) {
                handed += usize::from(poll.hand_over(polled.as_ref().map(|_| record), sink)?);
            }
            come.clear();
        }
        Ok(handed)
    }
}

#[cfg(test)]
mod tests;
