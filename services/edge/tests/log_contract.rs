//! One contract for the three logs (DESIGN §5): order, exact octets, offsets, end of partition, a full queue,
//! rewinding by offset, a gap when trimmed, looking back. Promises 2 and 3 stand on it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "log_contract/contract.rs"]
mod contract;
#[path = "log_contract/harness.rs"]
mod harness;
#[path = "log_contract/kafka_alone.rs"]
mod kafka_alone;
mod kit;
#[path = "log_contract/local_kafka.rs"]
mod local_kafka;
#[path = "log_contract/producer.rs"]
mod producer;

use std::sync::Arc;

use klatsch_edge::log::{Reports, embedded::EmbeddedLog, memory::MemoryLog};

use harness::{Twin, publish_bulk};
use local_kafka::LocalKafka;

struct Memory;

impl Twin for Memory {
    type Log = MemoryLog;
    const PLACED: bool = true;
    const TIMED: bool = true;

    fn open(&self, partitions: i32, reports: Arc<dyn Reports>) -> MemoryLog {
        MemoryLog::new(partitions, 20_000, reports)
    }

    fn open_with_queue(&self, bound: usize, reports: Arc<dyn Reports>) -> MemoryLog {
        let log = MemoryLog::new(1, bound, reports);
        log.hold();
        log
    }

    fn release(&self, log: &MemoryLog) {
        log.release();
    }

    fn trim(&self, log: &MemoryLog, _: &harness::Collected) -> i64 {
        log.trim(0, 5);
        5
    }
}

struct Embedded;

impl Twin for Embedded {
    type Log = EmbeddedLog;
    const PLACED: bool = false;
    const TIMED: bool = false;

    fn open(&self, partitions: i32, reports: Arc<dyn Reports>) -> EmbeddedLog {
        EmbeddedLog::open(partitions, reports).unwrap()
    }

    fn open_with_queue(&self, bound: usize, reports: Arc<dyn Reports>) -> EmbeddedLog {
        EmbeddedLog::open_with(1, harness::small_queue(bound), reports).unwrap()
    }

    /// The broker drops the oldest beyond 5 MiB by itself.
    fn trim(&self, log: &EmbeddedLog, reports: &harness::Collected) -> i64 {
        publish_bulk(log, reports, 120, 64 * 1024);
        let low = harness::low_watermark(log.bootstrap(), "chat.events.v1");
        assert!(low > 0, "the embedded broker has dropped nothing");
        low
    }
}

#[test]
fn memory_log_keeps_the_contract() {
    contract::keeps(&Memory);
}

#[test]
fn embedded_log_keeps_the_contract() {
    contract::keeps(&Embedded);
}

/// One broker for all of it, stopped at the end whatever happens.
#[test]
fn kafka_log_keeps_the_contract() {
    let Some(kafka) = LocalKafka::start() else { return };
    contract::keeps(&kafka);
    kafka_alone::keeps(&kafka);
}

/// Not a test of the contract: what a record costs to read. `cargo test --release --test log_contract -- --ignored`.
#[test]
#[ignore = "a measurement"]
fn cost_of_reading() {
    harness::measure(&Memory, "memory");
    harness::measure(&Embedded, "embedded");
    if let Some(kafka) = LocalKafka::start() {
        harness::measure(&kafka, "kafka");
    }
}
