//! The background thread of a log: asks about the topic on a client of its own, so that nobody waits behind a fetch.
//!
//! Every ten seconds (every second while no broker answers, and at once when called): is a broker there, have
//! partitions been added, has the log been replaced under a reader. It also replaces a producer beyond repair.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    sync::{Arc, Mutex, Weak, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{IsError as _, KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    super::Reports,
    context::{Alarm, Context, Fault, State, lock},
    feed::{FeedShared, News, number},
    producer::Producer,
    scan::Scanners,
};

/// Bootstrap addresses that are tried when no broker answers.
const BROKERS_ASKED: usize = 6;
/// How often the client's log lines are served.
const SERVE: Duration = Duration::from_secs(1);
/// The longest wait for one answer of a broker.
const ANSWER: Duration = Duration::from_secs(3);

/// First offset and one past the last, for each partition.
pub(super) type Watermarks = Vec<(i64, i64)>;

/// Asks about the topic.
pub(super) struct Observer {
    pub(super) client: BaseConsumer<Context>,
    pub(super) topic: String,
    /// Bootstrap servers, `host:port[,host:port…]`.
    pub(super) brokers: String,
}

impl Observer {
    /// How many partitions the topic has. An error of the topic itself is told apart from a silent broker.
    pub(super) fn partitions(&self) -> Result<usize, KafkaError> {
        let metadata = self.client.fetch_metadata(Some(&self.topic), ANSWER)?;
        let topic = metadata.topics().first().ok_or(KafkaError::MetadataFetch(Code::UnknownTopic))?;
        match topic.error() {
            Some(error) if error.is_error() => Err(KafkaError::Global(error.into())),
            _ => Ok(topic.partitions().len()),
        }
    }

    pub(super) fn watermarks(&self, partition: i32, timeout: Duration) -> Result<(i64, i64), KafkaError> {
        self.client.fetch_watermarks(&self.topic, partition, timeout)
    }

    pub(super) fn all_watermarks(&self) -> Result<Watermarks, KafkaError> {
        (0..number(self.partitions()?)).map(|p| self.watermarks(p, ANSWER)).collect()
    }

    /// The first offset appended at `ms` or later; the end when there is none.
    pub(super) fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, KafkaError> {
        let until = Instant::now() + timeout;
        let mut question = TopicPartitionList::new();
        question.add_partition_offset(&self.topic, partition, Offset::Offset(ms))?;
        let answer = self.client.offsets_for_times(question, timeout)?;
        let found = answer.find_partition(&self.topic, partition);
        match found.map(|it| it.error().map(|()| it.offset())).transpose()? {
            Some(Offset::Offset(offset)) => Ok(offset),
            _ => Ok(self.watermarks(partition, until.saturating_duration_since(Instant::now()))?.1),
        }
    }

    /// Serves the client's log lines; it has no assignment and so never a record.
    fn serve(&self) {
        for _ in 0..100 {
            if self.client.poll(Duration::ZERO).is_none() {
                break;
            }
        }
    }
}

/// Whether any of these brokers (`host:port[,host:port…]`) takes a TCP connection, answering or not.
fn some_listens(brokers: &str) -> bool {
    let addresses = brokers.split(',').filter_map(|broker| broker.trim().to_socket_addrs().ok()).flatten();
    addresses.take(BROKERS_ASKED).any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

/// What the thread works on.
pub(super) struct Keeper {
    pub(super) state: Arc<State>,
    pub(super) observer: Arc<Observer>,
    pub(super) producer: Arc<Producer>,
    pub(super) scanners: Arc<Scanners>,
    pub(super) feeds: Arc<Mutex<Vec<Weak<FeedShared>>>>,
    pub(super) reports: Arc<dyn Reports>,
}

/// Stops and joins the thread when dropped.
pub(super) struct KeeperThread {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(self) -> std::io::Result<KeeperThread> {
        let state = Arc::clone(&self.state);
        let thread = std::thread::Builder::new().name("log-keeper".into()).spawn(move || self.run())?;
        Ok(KeeperThread { state, thread: Some(thread) })
    }

    fn run(self) {
        let _alarm = Alarm { reports: &*self.reports, name: "log-keeper" };
        let mut looked = Instant::now();
        let mut stopped = Stopped::default();
        loop {
            let healthy = stopped.missing == 0 && self.state.connected.load(Relaxed) && !self.state.fatal.load(Relaxed);
            let interval = Duration::from_secs(if healthy { 10 } else { 1 });
            let calls = self.state.await_call(interval.saturating_sub(looked.elapsed()).min(SERVE));
            if calls.stop {
                return;
            }
            if self.producer.is_condemned() {
                match self.producer.replace() {
                    Ok(()) => tracing::info!("the producer has been replaced"),
                    Err(error) => tracing::warn!(%error, "cannot replace the producer yet"),
                }
            }
            self.observer.serve();
            self.scanners.serve();
            // Errors come in bursts; brokers are not asked for each of them.
            let now = stopped.add(calls.resets) || calls.urgent;
            let soon = if calls.look { Duration::from_millis(500) } else { interval };
            if !now && looked.elapsed() < soon {
                continue;
            }
            self.look(&mut stopped);
            looked = Instant::now();
        }
    }

    fn look(&self, stopped: &mut Stopped) {
        let known = self.observer.partitions();
        match &known {
            Ok(_) => {
                self.state.connected.store(true, Relaxed);
                self.state.set_fault(Fault::Topic, None);
                self.state.set_fault(Fault::Authentication, None);
            }
            Err(KafkaError::Global(code)) => {
                self.state.connected.store(true, Relaxed);
                self.state.set_fault(Fault::Topic, Some(format!("topic {}: {code}", self.observer.topic)));
            }
            Err(error) => {
                // Frozen brokers answer nothing, but they are there: that is a stall, and nobody is refused for it yet.
                let listens = some_listens(&self.observer.brokers);
                self.state.connected.store(listens, Relaxed);
                tracing::debug!(%error, listens, "no broker answers");
            }
        }
        let Ok(partitions) = known else { return };
        let mut feeds = Vec::new();
        lock(&self.feeds).retain(|feed| feed.upgrade().map(|feed| feeds.push(feed)).is_some());
        for feed in feeds {
            self.compare(&feed, partitions, stopped);
        }
    }

    /// Compares a reader's positions with the partitions as they are.
    fn compare(&self, feed: &FeedShared, partitions: usize, stopped: &mut Stopped) {
        // Taken before the brokers are asked: a position below the high watermark cannot become one above it.
        let positions: Vec<i64> = feed.positions().iter().map(|at| at.load(Relaxed)).collect();
        if partitions > positions.len() {
            feed.tell(News::Partitions(partitions));
        }
        let (mut complete, mut found) = (true, 0);
        for (partition, &seen) in positions.iter().enumerate() {
            if self.state.is_stopping() {
                return;
            }
            let Ok((low, high)) = self.observer.watermarks(number(partition), ANSWER) else {
                complete = false;
                continue;
            };
            // Below the low watermark a reader that lags may still hold what it fetched before; only a partition
            // that stopped has lost it.
            if seen > high || (stopped.missing > 0 && seen < low) {
                found += 1;
                feed.tell(News::OutOfRange { partition, seen, resume_at: low });
            }
        }
        // A partition stopped, and all offsets are in range by now: a replaced log that has grown in the meantime.
        // Nobody can say which, so every partition that stands still is started again, and its gap is announced.
        if stopped.missing > 0 && found == 0 && complete {
            stopped.missing = 0;
            for (partition, seen) in positions.into_iter().enumerate() {
                feed.tell(News::OutOfRange { partition, seen, resume_at: seen });
            }
        }
        stopped.found(found);
    }
}

/// Partitions that have stopped with their offset out of range. Each says so once, not by name, and perhaps later
/// than a look at the watermarks has found it.
#[derive(Default)]
struct Stopped {
    missing: usize,
    /// Found before they have said so.
    early: usize,
    found_at: Option<Instant>,
}

impl Stopped {
    /// So many more have stopped. Whether any of them is still to be found.
    fn add(&mut self, resets: usize) -> bool {
        if self.found_at.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
            self.early = 0;
        }
        let known = self.early.min(resets);
        self.early -= known;
        self.missing += resets - known;
        resets > known
    }

    fn found(&mut self, found: usize) {
        if found > 0 {
            self.early += found.saturating_sub(self.missing);
            self.missing = self.missing.saturating_sub(found);
            self.found_at = Some(Instant::now());
        }
    }
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.state.call(|calls| calls.stop = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_found_early_is_not_looked_for_again() {
        let mut stopped = Stopped::default();
        assert!(stopped.add(1));
        stopped.found(3);
        assert!(!stopped.add(2));
        assert!(stopped.add(2));
        assert_eq!(stopped.missing, 2);
        stopped.found(1);
        assert!(!stopped.add(0));
        assert_eq!(stopped.missing, 1);
    }

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
