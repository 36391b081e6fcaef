//! The log in Apache Kafka, through librdkafka.
//!
//! | file | what |
//! |---|---|
//! | `settings` | what librdkafka is told, and why; what the user may add |
//! | `topic` | waits for Kafka at start; creates or checks the topic |
//! | `producer`, `delivery`, `in_flight` | writing, delivery reports, how old the oldest unsettled record is |
//! | `pace`, `rate` | under load many records are read at once; never when quiet |
//! | `renewal`, `handover` | renewed credentials; from one producer to the next |
//! | `headers` | which trace a record belongs to |
//! | `feed`, `rewind`, `marks` | reading everything, in order; where that begins; where it stands |
//! | `scan`, `observer` | looking back; questions about the topic |
//! | `keeper`, `standstill` | the background thread: growth, replaced logs, a reader or a producer beyond repair |
//! | `context`, `statistics` | what librdkafka tells about itself |

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, Weak, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rdkafka::error::KafkaError;

use super::{Budget, Health, Log, LogError, Measured, NewRecord, ReadRecord, Reason, Reports, ScanEnd, Start, Ticket};

mod context;
mod delivery;
mod feed;
mod handover;
mod headers;
mod in_flight;
mod keeper;
mod marks;
mod observer;
mod pace;
mod producer;
mod rate;
mod reader;
mod renewal;
mod rewind;
mod scan;
mod served;
mod settings;
mod standstill;
mod statistics;
mod topic;

pub use feed::KafkaFeed;
pub use settings::{KafkaSettings, Renewals, Renewed, property_faults};
pub use statistics::{KafkaStatistics, PartitionStatistics};

use context::{State, lock};
use keeper::{Keeper, KeeperThread};
use observer::Observer;
use producer::Producer;
use rate::Feeds;
use renewal::Renewal;
use scan::Scanners;

/// How long a feed waits for brokers that have just answered.
const FEED_PATIENCE: Duration = Duration::from_secs(5);

/// A topic in Kafka: one producer, one feed, clients for looking back and for questions.
pub struct KafkaLog {
    // First, so that the thread has ended before what it works on goes.
    _keeper: KeeperThread,
    settings: Arc<Mutex<KafkaSettings>>,
    renewal: Arc<Renewal>,
    state: Arc<State>,
    observer: Arc<Observer>,
    producer: Arc<Producer>,
    scanners: Arc<Scanners>,
    feeds: Feeds,
}

/// Why a log cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The settings are wrong; each line is one fault.
    Settings(String),
    /// The topic is not as it must be; each line is one fault and names the command that would help.
    Refused(String),
    /// The wait for Kafka was ended.
    Cancelled,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(text) | Self::Refused(text) => f.write_str(text),
            Self::Cancelled => f.write_str("ended while waiting for Kafka"),
        }
    }
}

impl std::error::Error for OpenError {}

fn cannot_look_back(error: KafkaError) -> LogError {
    LogError(format!("cannot look back: {error}"))
}

fn unusable(error: KafkaError) -> OpenError {
    OpenError::Settings(format!("Kafka client: {error}"))
}

fn no_thread(error: std::io::Error) -> OpenError {
    OpenError::Settings(format!("cannot start a thread: {error}"))
}

impl KafkaLog {
    /// Waits for Kafka as long as it takes (until `cancelled` returns true), checks or creates the topic, and warms
    /// the producer. Blocks; `cancelled` is asked at least every few seconds.
    pub fn open(
        settings: KafkaSettings,
        reports: Arc<dyn Reports>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, OpenError> {
        Self::open_with(settings, reports, Checks::Topic(cancelled))
    }

    /// The embedded log's way in: its broker is there, its topic is as it should be, its reports name no true place.
    pub(super) fn open_embedded(settings: KafkaSettings, reports: Arc<dyn Reports>) -> Result<Self, OpenError> {
        Self::open_with(settings, reports, Checks::Embedded)
    }

    fn open_with(settings: KafkaSettings, reports: Arc<dyn Reports>, checks: Checks<'_>) -> Result<Self, OpenError> {
        let faults = property_faults(&settings.properties);
        if !faults.is_empty() {
            return Err(OpenError::Settings(faults.join("\n")));
        }
        let state = Arc::new(State::default());
        let observer = Arc::new(Observer::new(&settings, &state).map_err(unusable)?);
        let embedded = matches!(checks, Checks::Embedded);
        if let Checks::Topic(cancelled) = checks {
            topic::prepare(&settings, &state, &observer.client(), cancelled)?;
        }
        state.connected.store(true, Relaxed);

        let producer =
            Producer::open(&settings, Arc::clone(&state), Arc::clone(&reports), embedded).map_err(unusable)?;
        match producer.warm(&settings.topic) {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(event = "no_producer_id", "no producer id yet; the first SENDs will wait for it")
            }
            // An idempotent producer that may not write fails so, at once.
            Err(error) => return Err(OpenError::Refused(format!("{error}: {}", topic::not_authorized(&settings)))),
        }
        let producer = Arc::new(producer);
        let scanners = Arc::new(Scanners::new(&settings, Arc::clone(&state)));
        let (feeds, renewal): (Feeds, _) = (Arc::default(), Arc::default());
        let settings = Arc::new(Mutex::new(settings));
        let keeper = Keeper {
            state: Arc::clone(&state),
            settings: Arc::clone(&settings),
            renewal: Arc::clone(&renewal),
            observer: Arc::clone(&observer),
            producer: Arc::clone(&producer),
            scanners: Arc::clone(&scanners),
            feeds: Arc::clone(&feeds),
            reports,
        };
        let _keeper = keeper.start().map_err(no_thread)?;
        Ok(Self { _keeper, settings, renewal, state, observer, producer, scanners, feeds })
    }

    /// What librdkafka last measured, with the positions of the feed as they are now.
    pub fn statistics(&self) -> KafkaStatistics {
        let feed = lock(&self.feeds).iter().find_map(Weak::upgrade);
        let positions = feed.map(|feed| feed.positions()).unwrap_or_default();
        KafkaStatistics::parse(&lock(&self.state.statistics), &self.observer.topic, &positions)
    }

    /// How often the producer was beyond repair and has been replaced.
    pub fn producer_replacements(&self) -> usize {
        self.producer.replacements()
    }

    /// Asks `renewals` about once a second; what it tells is tried out, then every client is made anew. Properties that
    /// no broker takes are tried again, and the clients stay as they are.
    pub fn renew_from(&self, renewals: Renewals) {
        *lock(&self.renewal.source) = Some(renewals);
    }

    /// How often all clients have been made anew with renewed properties.
    pub fn renewals(&self) -> usize {
        self.renewal.done.load(Relaxed)
    }

    /// Looks for new partitions and replaced logs now instead of within ten seconds.
    pub fn look_now(&self) {
        self.state.call(|calls| (calls.look, calls.urgent) = (true, true));
    }
}

enum Checks<'a> {
    Topic(&'a dyn Fn() -> bool),
    Embedded,
}

impl Log for KafkaLog {
    type Feed = KafkaFeed;

    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        self.producer.publish(&record, ticket)
    }

    fn feed(&self, start: Start) -> Result<KafkaFeed, LogError> {
        let until = Instant::now() + FEED_PATIENCE;
        loop {
            let feed = rewind::begin(&self.observer, start)
                .and_then(|begins| KafkaFeed::open(&lock(&self.settings).clone(), Arc::clone(&self.state), &begins));
            match feed {
                Ok(feed) => {
                    lock(&self.feeds).push(Arc::downgrade(feed.shared()));
                    return Ok(feed);
                }
                Err(error) if Instant::now() >= until => {
                    return Err(LogError(format!("cannot begin to read: {error}")));
                }
                Err(error) => tracing::debug!(event = "reader_not_begun", %error, "cannot begin to read yet"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn retained(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, LogError> {
        self.observer.range(partition, timeout).map_err(cannot_look_back)
    }

    fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, LogError> {
        self.observer.offset_at(partition, ms, timeout).map_err(cannot_look_back)
    }

    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        self.scanners.scan(partition, range, budget, sink)
    }

    fn flush(&self, timeout: Duration) -> usize {
        self.producer.flush(timeout)
    }

    fn measured(&self) -> Measured {
        self.statistics().measured()
    }

    fn health(&self) -> Health {
        let in_flight = self.producer.in_flight();
        Health {
            connected: self.state.connected.load(Relaxed),
            unanswered: self.state.unanswered(),
            in_flight: in_flight.count(),
            oldest_in_flight: in_flight.stalled(),
            fault: self.state.fault(),
        }
    }
}
