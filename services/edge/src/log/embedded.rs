//! The log of `--dev`: librdkafka's mock broker inside this process, through the same code as Kafka.
//!
//! Nothing is kept: it ends with the process, and the broker drops the oldest beyond 5 MiB a partition. Its delivery
//! reports carry a false append time, so every acknowledgement is [`Outcome::StoredUnplaced`](super::Outcome).

use std::{
    ops::Range,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::mocking::MockCluster;

use super::{
    Budget, Health, Log, LogError, Measured, NewRecord, ReadRecord, Reason, Reports, ScanEnd, Start, Ticket,
    kafka::{KafkaFeed, KafkaLog, KafkaSettings},
};

const TOPIC: &str = "chat.events.v1";

/// A log that lives and dies with the process.
pub struct EmbeddedLog {
    // Before the broker that it talks to.
    kafka: KafkaLog,
    broker: Broker,
}

/// The mock cluster on a thread of its own for life: its handle may not change threads.
struct Broker {
    bootstrap: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedLog {
    /// Starts the broker and opens the log.
    pub fn open(partitions: i32, reports: Arc<dyn Reports>) -> Result<Self, LogError> {
        Self::open_with(partitions, Vec::new(), reports)
    }

    /// The same, with librdkafka properties over ours.
    pub fn open_with(
        partitions: i32,
        properties: Vec<(String, String)>,
        reports: Arc<dyn Reports>,
    ) -> Result<Self, LogError> {
        let broker = Broker::start(partitions)?;
        // The mock does not wake long polls, and serves one batch at a time: small waits, batches of some size.
        let ours = [("linger.ms", "1"), ("fetch.wait.max.ms", "5"), ("statistics.interval.ms", "5000")];
        let mut settings: Vec<(String, String)> = ours.map(|(name, value)| (name.into(), value.into())).into();
        settings.extend(properties);
        let settings = KafkaSettings {
            brokers: broker.bootstrap.clone(),
            topic: TOPIC.into(),
            partitions,
            replication_factor: None,
            min_isr: None,
            max_message_bytes: 262_144,
            create_topic: false,
            instance: "embedded".into(),
            properties: settings,
        };
        let kafka = KafkaLog::open_embedded(settings, reports).map_err(|e| LogError(e.to_string()))?;
        Ok(Self { kafka, broker })
    }

    /// Where the broker listens, on loopback: other processes of this host may join.
    pub fn bootstrap(&self) -> &str {
        &self.broker.bootstrap
    }

    /// The log behind it.
    pub fn kafka(&self) -> &KafkaLog {
        &self.kafka
    }
}

impl Broker {
    fn start(partitions: i32) -> Result<Self, LogError> {
        let (ready, started) = mpsc::sync_channel(1);
        let (stop, stopped) = mpsc::channel::<()>();
        let serve = move || {
            let cluster = MockCluster::new(1).and_then(|cluster| {
                cluster.create_topic(TOPIC, partitions, 1)?;
                Ok(cluster)
            });
            match cluster {
                Ok(cluster) => {
                    let _ = ready.send(Ok(cluster.bootstrap_servers()));
                    // Ends when the sender is dropped.
                    let _ = stopped.recv();
                }
                Err(error) => {
                    let _ = ready.send(Err(LogError(format!("cannot start the embedded broker: {error}"))));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("embedded-log".into())
            .spawn(serve)
            .map_err(|e| LogError(format!("cannot start a thread: {e}")))?;
        let bootstrap = started.recv().map_err(|_| LogError("the embedded broker died".into()))??;
        Ok(Self { bootstrap, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Log for EmbeddedLog {
    type Feed = KafkaFeed;

    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        self.kafka.publish(record, ticket)
    }

    fn feed(&self, start: Start) -> Result<KafkaFeed, LogError> {
        self.kafka.feed(start)
    }

    fn retained(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, LogError> {
        self.kafka.retained(partition, timeout)
    }

    /// The broker knows no times: the beginning is all that can be said.
    fn offset_at(&self, partition: i32, _: i64, timeout: Duration) -> Result<i64, LogError> {
        Ok(self.kafka.retained(partition, timeout)?.start)
    }

    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        self.kafka.scan(partition, range, budget, sink)
    }

    fn flush(&self, timeout: Duration) -> usize {
        self.kafka.flush(timeout)
    }

    fn health(&self) -> Health {
        self.kafka.health()
    }

    fn measured(&self) -> Measured {
        self.kafka.measured()
    }
}
