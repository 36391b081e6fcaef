//! The third twin: a topic of its own, for each check, in a real Kafka.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use klatsch_edge::log::{
    Reports,
    kafka::{KafkaLog, KafkaSettings},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{
    harness::{self, Collected, LIMIT, Twin},
    kit::{self, kafka::Kafka},
};

/// One broker; stopped when dropped, so also when a check panics.
pub(crate) struct LocalKafka {
    kafka: Kafka,
    topics: AtomicUsize,
}

impl LocalKafka {
    /// `None`, and a line that says so, where Java or Kafka's jars cannot be had; with CI=true that is a failure.
    pub(crate) fn start() -> Option<Self> {
        kit::require_kafka().then(|| Self { kafka: Kafka::start(1), topics: AtomicUsize::new(0) })
    }

    /// Settings for a topic that nobody else uses.
    pub(crate) fn settings(&self, partitions: i32) -> KafkaSettings {
        KafkaSettings {
            brokers: self.kafka.bootstrap(),
            topic: format!("contract-{}", self.topics.fetch_add(1, Relaxed)),
            partitions,
            replication_factor: None,
            min_isr: None,
            max_message_bytes: 100_000,
            create_topic: true,
            instance: "contract".into(),
            properties: Vec::new(),
        }
    }

    pub(crate) fn log(&self, settings: KafkaSettings, reports: Arc<dyn Reports>) -> KafkaLog {
        KafkaLog::open(settings, reports, &|| false).unwrap()
    }

    /// A topic that no edge has made.
    pub(crate) fn create(&self, topic: &str, partitions: i32, configuration: &[(&str, &str)]) {
        self.kafka.create_topic(topic, partitions, &HashMap::from_iter(configuration.iter().copied()));
    }

    pub(crate) fn configuration(&self, topic: &str) -> HashMap<String, String> {
        self.kafka.topic_settings(topic)
    }

    pub(crate) fn configure(&self, topic: &str, configuration: &[(&str, &str)]) {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in configuration {
            change = change.set(key, value);
        }
        block_on(self.admin().alter_configs([&change], &AdminOptions::new())).unwrap().remove(0).unwrap();
    }

    pub(crate) fn grow(&self, topic: &str, partitions: usize) {
        let more = NewPartitions::new(topic, partitions);
        block_on(self.admin().create_partitions([&more], &AdminOptions::new())).unwrap().remove(0).unwrap();
    }

    /// Returns when the broker knows the topic no more.
    pub(crate) fn delete(&self, topic: &str) {
        block_on(self.admin().delete_topics(&[topic], &AdminOptions::new())).unwrap().remove(0).unwrap();
        let client: BaseConsumer = self.kafka.client().create().unwrap();
        kit::eventually("the topic goes", LIMIT, || {
            let metadata = client.fetch_metadata(None, Duration::from_secs(5)).ok()?;
            metadata.topics().iter().all(|known| known.name() != topic).then_some(())
        });
    }

    /// Partitions and replicas of the first.
    pub(crate) fn shape(&self, topic: &str) -> (usize, usize) {
        let client: BaseConsumer = self.kafka.client().create().unwrap();
        let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5)).unwrap();
        let partitions = metadata.topics()[0].partitions();
        (partitions.len(), partitions[0].replicas().len())
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.kafka.client().create().unwrap()
    }
}

impl Twin for LocalKafka {
    type Log = KafkaLog;
    const PLACED: bool = true;
    const TIMED: bool = true;

    fn open(&self, partitions: i32, reports: Arc<dyn Reports>) -> KafkaLog {
        self.log(self.settings(partitions), reports)
    }

    fn open_with_queue(&self, bound: usize, reports: Arc<dyn Reports>) -> KafkaLog {
        self.log(KafkaSettings { properties: harness::small_queue(bound), ..self.settings(1) }, reports)
    }

    /// DeleteRecords in the topic that was opened last.
    fn trim(&self, _: &KafkaLog, _: &Collected) -> i64 {
        let topic = format!("contract-{}", self.topics.load(Relaxed) - 1);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(5)).unwrap();
        block_on(self.admin().delete_records(&offsets, &AdminOptions::new())).unwrap();
        5
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
