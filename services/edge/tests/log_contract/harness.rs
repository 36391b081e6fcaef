//! What the checks need: a sink for reports, a reader with a time limit, a way to open each log.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use klatsch_edge::log::{Budget, Feed, FeedEvent, Log, LogError, NewRecord, Outcome, Reports, Start, Ticket};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::runtime::Runtime;

/// The longest that anything here may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A check and its name.
pub(crate) type Check<T> = (&'static str, fn(&T));

/// How to open and to trouble one of the three.
pub(crate) trait Twin {
    type Log: Log;
    /// Whether acknowledgements say where the record is.
    const PLACED: bool;
    /// Whether it finds records by append time.
    const TIMED: bool;

    fn open(&self, partitions: i32, reports: Arc<dyn Reports>) -> Self::Log;
    /// One partition; `bound` records may wait, and do so for a moment.
    fn open_with_queue(&self, bound: usize, reports: Arc<dyn Reports>) -> Self::Log;
    /// Ends the wait of `open_with_queue`.
    fn release(&self, _: &Self::Log) {}
    /// Makes the log forget the oldest records of partition 0 (it has ten); returns the first that is left.
    fn trim(&self, log: &Self::Log, reports: &Collected) -> i64;
}

/// Keeps the reports, in the order of their coming.
#[derive(Default)]
pub(crate) struct Collected {
    reports: Mutex<Vec<(Ticket, Outcome)>>,
    more: Condvar,
}

impl Reports for Collected {
    fn settled(&self, ticket: Ticket, outcome: Outcome) {
        self.reports.lock().unwrap().push((ticket, outcome));
        self.more.notify_all();
    }
}

impl Collected {
    /// Waits for `n` reports in all.
    pub(crate) fn wait_for(&self, n: usize) -> Vec<(Ticket, Outcome)> {
        let reports = self.reports.lock().unwrap();
        let (reports, waited) = self.more.wait_timeout_while(reports, LIMIT, |r| r.len() < n).unwrap();
        assert!(!waited.timed_out(), "{} of {n} reports after {LIMIT:?}", reports.len());
        reports.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.reports.lock().unwrap().len()
    }
}

pub(crate) fn ticket(send: usize) -> Ticket {
    Ticket { worker: 1, connection: 2, generation: 3, send: u32::try_from(send).unwrap() }
}

pub(crate) fn record(partition: i32, room: &[u8], value: &[u8]) -> NewRecord {
    NewRecord { partition, room: Bytes::copy_from_slice(room), value: Bytes::copy_from_slice(value), trace: None }
}

/// What a feed said, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Record { partition: i32, offset: i64, timestamp_ms: i64, room: Vec<u8>, value: Vec<u8> },
    End { partition: i32, offset: i64 },
    Gap { partition: i32, resumed_at: i64 },
    Prelude { partition: i32, until: i64 },
    Partitions(i32),
}

impl Event {
    /// A hint is none: what it announces follows.
    fn of(event: FeedEvent<'_>) -> Option<Self> {
        Some(match event {
            FeedEvent::Record(r) => Self::Record {
                partition: r.partition,
                offset: r.offset,
                timestamp_ms: r.timestamp_ms,
                room: r.room.to_vec(),
                value: r.value.to_vec(),
            },
            FeedEvent::EndOfPartition { partition, offset } => Self::End { partition, offset },
            FeedEvent::Gap { partition, resumed_at } => Self::Gap { partition, resumed_at },
            FeedEvent::Prelude { partition, until } => Self::Prelude { partition, until },
            FeedEvent::Partitions(n) => Self::Partitions(n),
            FeedEvent::Soon(_) => return None,
        })
    }
}

impl Event {
    /// Partition, offset, value of a record.
    pub(crate) fn value(&self) -> Option<(i32, i64, &[u8])> {
        match self {
            Self::Record { partition, offset, value, .. } => Some((*partition, *offset, value)),
            _ => None,
        }
    }
}

/// A feed with everything it has said.
pub(crate) struct Reading<F> {
    pub(crate) feed: F,
    pub(crate) events: Vec<Event>,
    runtime: Runtime,
}

impl<F: Feed> Reading<F> {
    pub(crate) fn new(feed: Result<F, LogError>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { feed: feed.unwrap(), events: Vec::new(), runtime }
    }

    /// Reads until `done` says so; by `wait` and `drain` in turn.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&[Event]) -> bool) {
        let Self { feed, events, runtime } = self;
        let began = Instant::now();
        while !done(events) {
            let mut sink = |event: FeedEvent<'_>| events.extend(Event::of(event));
            let one = runtime.block_on(async { tokio::time::timeout(LIMIT, feed.wait(&mut sink)).await });
            match one {
                Ok(waited) => waited.unwrap(),
                Err(_) => panic!("{what}: nothing came for {LIMIT:?}; last {:?}", events.last()),
            }
            if !done(events) {
                feed.drain(100, &mut |event| events.extend(Event::of(event))).unwrap();
            }
            assert!(began.elapsed() < LIMIT, "{what}: not after {LIMIT:?}; {} events", events.len());
        }
    }

    /// `wait`, given up after `patience`, over and over until there are `n` records.
    pub(crate) fn impatiently(&mut self, patience: Duration, n: usize) {
        let Self { feed, events, runtime } = self;
        let began = Instant::now();
        while events.iter().filter(|e| e.value().is_some()).count() < n {
            let mut sink = |event: FeedEvent<'_>| events.extend(Event::of(event));
            if let Ok(waited) = runtime.block_on(async { tokio::time::timeout(patience, feed.wait(&mut sink)).await }) {
                waited.unwrap();
            }
            assert!(began.elapsed() < LIMIT, "{} events of {n} records after {LIMIT:?}", events.len());
        }
    }

    pub(crate) fn records(&self, partition: i32) -> Vec<(i64, Vec<u8>)> {
        let records = self.events.iter().filter_map(Event::value).filter(|(p, ..)| *p == partition);
        records.map(|(_, offset, value)| (offset, value.to_vec())).collect()
    }
}

/// Publishes `n` records of `len` octets into partition 0 and waits for their reports.
pub(crate) fn publish_bulk(log: &impl Log, reports: &Collected, n: usize, len: usize) {
    let (before, value) = (reports.count(), vec![b'x'; len]);
    for i in 0..n {
        // Not more than the queue takes.
        reports.wait_for((before + i).saturating_sub(200));
        log.publish(record(0, b"room", &value), ticket(i)).unwrap();
    }
    reports.wait_for(before + n);
}

/// Properties that let `bound` records wait in librdkafka's queue.
pub(crate) fn small_queue(bound: usize) -> Vec<(String, String)> {
    vec![
        ("queue.buffering.max.messages".into(), bound.to_string()),
        // So that they do wait.
        ("linger.ms".into(), "300".into()),
    ]
}

pub(crate) fn low_watermark(brokers: &str, topic: &str) -> i64 {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    client.fetch_watermarks(topic, 0, Duration::from_secs(10)).unwrap().0
}

/// Prints what 200,000 small records cost to read.
pub(crate) fn measure<T: Twin>(twin: &T, name: &str) {
    const N: usize = 200_000;
    let reports = Arc::new(Collected::default());
    // Spread, because the embedded broker keeps 5 MiB of a partition.
    let log = twin.open(8, Arc::clone(&reports) as Arc<dyn Reports>);
    for from in (0..N).step_by(10_000) {
        for i in from..from + 10_000 {
            log.publish(record((i % 8) as i32, b"room", &[b'x'; 16]), ticket(i)).unwrap();
        }
        reports.wait_for(from + 10_000);
    }
    let mut reading = Reading::new(log.feed(Start::At(0)));
    let (mut seen, began) = (0_usize, Instant::now());
    while seen < N {
        let mut count = |event: FeedEvent<'_>| seen += usize::from(matches!(event, FeedEvent::Record(_)));
        reading.runtime.block_on(reading.feed.wait(&mut count)).unwrap();
        while reading.feed.drain(4096, &mut count).unwrap() > 0 {}
    }
    let each = began.elapsed().as_nanos() / N as u128;
    println!("{name}: {N} records read in {:?}, {each} ns each", began.elapsed());
    for time in ["first", "second"] {
        let (mut found, began) = (0, Instant::now());
        let budget = Budget { records: 1000, bytes: 1 << 20, time: LIMIT };
        log.scan(3, 20_000..i64::MAX, budget, &mut |_| found += 1).unwrap();
        println!("{name}: {time} look back over {found} records in {:?}", began.elapsed());
    }
}
