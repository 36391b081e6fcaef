//! Metrics of the log and of the way from it to the clients.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::readiness::Check;

use super::{Delivery, LogMetrics, State, labels::Label, parts::Registrar};

/// From the broker's append to the hand-over inside this edge.
const AGE_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

/// From a few records in memory to a look's whole time.
const SCAN_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

impl LogMetrics {
    pub(super) fn register(r: &mut Registrar<'_>) -> Self {
        LogMetrics {
            records: r.add("records_consumed", "Records read from the log"),
            bytes: r.bytes("consumed", "Keys and values read from the log"),
            unwanted: r.add("records_unwanted", "Records of rooms without a subscription here"),
            repeated: r.add("records_repeated", "Records that repeat an earlier one and are not shown"),
            poison: r.counters("poison_records", "Records that could not be read"),
            record_age: r.histogram("record_age", "From the broker's append to the hand-over to workers", &AGE_BUCKETS),
            gaps: r.add("log_gaps", "Times that records were lost before they were read"),
            partitions: r.add("kafka_topic_partitions", "Partitions of the topic"),
            lag: r.add("lag_records", "Records between this edge and the end of a partition"),
            lag_time: r.seconds("lag", "How late the records are that this edge reads"),
            read_age_ms: AtomicU64::new(0),
        }
    }

    /// How far behind the end of a partition this edge is, in records.
    pub fn set_lag(&self, partition: i32, records: i64) {
        self.lag.get_or_create(&[("partition", partition.to_string())]).set(records);
    }

    /// Records were handed over, the oldest of them so long after their append by the clocks of both.
    pub fn observe_age(&self, ms: i64) {
        let ms = ms.max(0);
        self.record_age.observe(ms as f64 / 1e3);
        self.read_age_ms.fetch_max(ms.unsigned_abs(), Relaxed);
    }

    /// The highest age since the last call.
    pub fn take_age(&self) -> Duration {
        Duration::from_millis(self.read_age_ms.swap(0, Relaxed))
    }
}

impl Delivery {
    pub(super) fn register(r: &mut Registrar<'_>) -> Self {
        Delivery {
            deliveries: r.add("deliveries", "MESSAGE frames queued for clients"),
            writes: r.add("writes", "Write calls on client sockets"),
            queued_bytes: r.bytes("outbound_queued", "Waiting in outbound queues"),
            discarded: r.byte_counters("outbound_discarded", "Thrown away with the connection that they waited for"),
            slow_closes: r.add("slow_consumer_closes", "Clients cut because they took nothing any more"),
            cursors: r.add("cursors_active", "Subscriptions that read from the tail"),
            tail_bytes: r.bytes("tail", "Held in the tail"),
            tail_records: r.add("tail_records", "Records in the tail"),
            tail_age: r.seconds("tail_age", "Age of the tail's oldest record"),
            scans: r.counters("scans", "Looks into the log for what the tail does not hold"),
            scan_time: r.histogram("scan", "How long a look into the log took", &SCAN_BUCKETS),
            scan_records: r.add("scan_records", "Records read by looks into the log"),
            replay_bytes: r.bytes("replay", "Read from the log and waiting to be given out"),
        }
    }
}

impl State {
    pub(super) fn register(r: &mut Registrar<'_>) -> Self {
        State {
            ready: r.split("ready", "1 while a check of readiness passes", Check::all()),
            draining: r.add("draining", "1 while draining"),
            drain_begun: r.add("drain_begun_connections", "Connections when the drain began"),
            drain_limit: r.seconds("drain_limit", "When a drain ends at the latest: --grace"),
            drain_remaining: r.add("drain_remaining_connections", "Connections still to be moved"),
            drain_time: r.seconds("drain", "How long the drain has lasted"),
        }
    }
}
