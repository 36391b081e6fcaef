//! A real Kafka of our own, on loopback.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use klatsch_edge::log::{
    Reports,
    kafka::{KafkaLog, KafkaSettings},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::harness::{self, Collected, Twin};

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/local/kafka-local");

/// One broker; stopped when dropped, so also when a check panics.
pub(crate) struct LocalKafka {
    tool: PathBuf,
    state: tempfile::TempDir,
    pub(crate) brokers: String,
    topics: AtomicUsize,
}

impl LocalKafka {
    /// `None`, and a line that says so, where Java or Maven is missing; with CI=true that is a failure.
    pub(crate) fn start() -> Option<Self> {
        let tool = std::env::var_os("KLATSCH_KAFKA_LOCAL").map_or_else(|| TOOL.into(), PathBuf::from);
        let state = tempfile::tempdir().unwrap();
        let mut kafka = Self { tool, state, brokers: String::new(), topics: AtomicUsize::new(0) };
        if let Err(why) = kafka.run(&["jars"]) {
            assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "no local Kafka: {why}");
            println!("SKIPPED: the contract of the Kafka log, and all that Kafka alone must show: {why}");
            return None;
        }
        kafka.run(&["up", "1"]).unwrap();
        kafka.brokers = kafka.run(&["boot"]).unwrap().trim().to_owned();
        Some(kafka)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.tool);
        command.env("KLATSCH_KAFKA_STATE", self.state.path().join("kafka")).env("KLATSCH_KAFKA_PORT", "21092");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        if !Path::new(&self.tool).exists() {
            return Err(format!("{} does not exist", self.tool.display()));
        }
        let output = self.command().args(arguments).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// Settings for a topic that nobody else uses.
    pub(crate) fn settings(&self, partitions: i32) -> KafkaSettings {
        KafkaSettings {
            brokers: self.brokers.clone(),
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

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap()
    }
}

impl Drop for LocalKafka {
    fn drop(&mut self) {
        if let Err(why) = self.run(&["down"]) {
            println!("cannot stop the local Kafka: {why}");
        }
    }
}

impl Twin for LocalKafka {
    type Log = KafkaLog;
    const PLACED: bool = true;

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

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
