//! What a feed and the keeper share: the consumer, where it stands, and what the keeper has found out.

use std::{
    future::{Future, Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
    util::AsyncRuntime,
};
use tokio::sync::Notify;

use super::{
    context::{Context, Role, State, lock},
    marks::{Mark, Place},
    settings::KafkaSettings,
    standstill::Standstill,
};

/// Where the reader stands, one for each partition.
pub(super) type Places = Arc<Vec<Place>>;

pub(super) type Reader = StreamConsumer<Context, NoRuntime>;

/// What a feed shares with the keeper.
pub(super) struct FeedShared {
    places: Mutex<Places>,
    news: Mutex<Vec<News>>,
    /// Takes the place of the consumer that there is.
    renewed: Mutex<Option<Reader>>,
    /// The consumer before: closing it takes too long for the feed's thread.
    retired: Mutex<Option<Arc<Reader>>>,
    standstill: Mutex<Standstill>,
    /// How its fetches wait at the brokers; see [`super::pace`].
    level: AtomicUsize,
    pub(super) notify: Notify,
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

/// rdkafka would start a task that wakes its stream for `max.poll.interval.ms`; that binds members of a group only.
pub(super) struct NoRuntime;

impl AsyncRuntime for NoRuntime {
    type Delay = Ready<()>;

    fn spawn<T: Future<Output = ()> + Send + 'static>(_: T) {}

    fn delay_for(_: Duration) -> Ready<()> {
        ready(())
    }
}

impl FeedShared {
    pub(super) fn new(places: Places) -> Self {
        Self {
            places: Mutex::new(places),
            standstill: Mutex::default(),
            news: Mutex::default(),
            renewed: Mutex::default(),
            retired: Mutex::default(),
            level: AtomicUsize::new(0),
            notify: Notify::new(),
        }
    }

    pub(super) fn places(&self) -> Places {
        Arc::clone(&lock(&self.places))
    }

    /// For each partition the offset that the next record will have at least, and one past the last that is known of.
    pub(super) fn positions(&self) -> Vec<(i64, i64)> {
        self.places().iter().map(|place| (place.next(), place.high())).collect()
    }

    /// Reads on with another consumer, from where the one before stood.
    pub(super) fn renew(&self, settings: &KafkaSettings, state: &Arc<State>) -> Result<(), KafkaError> {
        let renewed = connect(settings, self.level.load(Relaxed), state)?;
        *lock(&self.renewed) = Some(renewed);
        self.notify.notify_one();
        Ok(())
    }

    /// From now on fetches wait at the brokers as this level says.
    pub(super) fn set_level(
        &self,
        level: usize,
        settings: &KafkaSettings,
        state: &Arc<State>,
    ) -> Result<(), KafkaError> {
        let before = self.level.swap(level, Relaxed);
        self.renew(settings, state).inspect_err(|_| self.level.store(before, Relaxed))
    }

    /// A partition that stands still although there is more of it; see [`Standstill::look`].
    pub(super) fn stuck(&self, positions: &[i64], ends: &[Option<i64>]) -> Option<usize> {
        let stuck = lock(&self.standstill).look(positions, ends, Instant::now())?;
        // Another consumer is there already: it is the feed's thread that stands still.
        lock(&self.renewed).is_none().then_some(stuck)
    }

    /// Closes the consumer that another has taken the place of.
    pub(super) fn close_retired(&self) {
        let retired = lock(&self.retired).take();
        drop(retired);
    }

    pub(super) fn set_places(&self, places: Places) {
        *lock(&self.places) = places;
    }

    pub(super) fn take_renewed(&self) -> Option<Reader> {
        lock(&self.renewed).take()
    }

    pub(super) fn retire(&self, before: Arc<Reader>) {
        *lock(&self.retired) = Some(before);
    }

    pub(super) fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut *lock(&self.news))
    }

    pub(super) fn tell(&self, news: News) {
        lock(&self.news).push(news);
        self.notify.notify_one();
    }
}

/// A consumer that knows the topic: assigning before that would cost half a second.
pub(super) fn connect(settings: &KafkaSettings, level: usize, state: &Arc<State>) -> Result<Reader, KafkaError> {
    let context = Context { role: Role::Feed, state: Arc::clone(state) };
    let consumer: Reader = settings.reader(level).create_with_context(context)?;
    consumer.fetch_metadata(Some(&settings.topic), Duration::from_secs(10))?;
    Ok(consumer)
}
