//! What librdkafka measures of itself, every 15 s (`statistics.interval.ms`).

use std::{collections::BTreeSet, sync::Mutex, sync::PoisonError, sync::atomic::Ordering::Relaxed};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{KafkaClient, Seconds, Split, parts::Registrar};
use crate::log::{ClientMeasured, Measured};

type OneBroker = [(&'static str, String); 1];

/// The producer's queue, the two clients that last, and the brokers as they see them.
#[derive(Debug)]
pub struct KafkaMetrics {
    queue_messages: Gauge,
    queue_bytes: Gauge,
    queue_limit: Gauge,
    assigned: Gauge,
    request_timeouts: Split<KafkaClient, Counter>,
    retries: Split<KafkaClient, Counter>,
    connects: Split<KafkaClient, Counter>,
    disconnects: Split<KafkaClient, Counter>,
    throttle: Split<KafkaClient, Seconds>,
    reply_queue: Split<KafkaClient, Gauge>,
    broker_up: Family<OneBroker, Gauge>,
    broker_rtt: Family<OneBroker, Seconds>,
    brokers: Mutex<BTreeSet<i32>>,
}

impl KafkaMetrics {
    pub(super) fn register(r: &mut Registrar<'_>) -> Self {
        KafkaMetrics {
            queue_messages: r.add("producer_queue_messages", "Records that wait in the producer or for their answer"),
            queue_bytes: r.bytes("producer_queue", "The same in octets"),
            queue_limit: r.add("producer_queue_limit_messages", "Most records that the producer takes"),
            assigned: r.add("kafka_assigned_partitions", "Partitions that the reader reads"),
            request_timeouts: r.counters("kafka_request_timeouts", "Requests to brokers that timed out"),
            retries: r.counters("kafka_tx_retries", "Requests to brokers sent again"),
            connects: r.counters("kafka_connects", "Attempts to connect to a broker"),
            disconnects: r.counters("kafka_disconnects", "Connections to brokers that ended"),
            throttle: r.seconds_of("kafka_throttle_p99", "How long brokers hold this client back: quotas"),
            reply_queue: r.split("kafka_reply_queue", "Answers of librdkafka that wait to be taken", labels()),
            broker_up: r.add("kafka_broker_up", "1 while a client that lasts is connected to the broker"),
            broker_rtt: r.seconds("kafka_broker_rtt_p99", "99th percentile of a broker's answers"),
            brokers: Mutex::default(),
        }
    }

    /// Shows what a log has measured; one that is not Kafka has nothing to show.
    pub fn show(&self, measured: &Measured) {
        self.assigned.set(measured.assigned);
        self.queue_messages.set(measured.queued_records);
        self.queue_bytes.set(measured.queued_bytes);
        self.queue_limit.set(measured.queue_limit);
        self.client(KafkaClient::Producer, &measured.producer);
        self.client(KafkaClient::Reader, &measured.reader);
        let mut known = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        for broker in &measured.brokers {
            let label = [("broker", broker.id.to_string())];
            self.broker_up.get_or_create(&label).set(broker.up.into());
            self.broker_rtt.get_or_create(&label).set(broker.rtt_p99.as_secs_f64());
        }
        let now: BTreeSet<i32> = measured.brokers.iter().map(|broker| broker.id).collect();
        // One that has left the cluster is not down.
        for gone in known.difference(&now) {
            let label = [("broker", gone.to_string())];
            self.broker_up.remove(&label);
            self.broker_rtt.remove(&label);
        }
        *known = now;
    }

    /// librdkafka counts from the start of a client, and a client that is made anew begins at 0, as a counter may.
    fn client(&self, which: KafkaClient, measured: &ClientMeasured) {
        self.request_timeouts.of(which).inner().store(measured.request_timeouts, Relaxed);
        self.retries.of(which).inner().store(measured.retries, Relaxed);
        self.connects.of(which).inner().store(measured.connects, Relaxed);
        self.disconnects.of(which).inner().store(measured.disconnects, Relaxed);
        self.throttle.of(which).set(measured.throttle_p99.as_secs_f64());
        self.reply_queue.of(which).set(measured.reply_queue);
    }
}

fn labels() -> Vec<KafkaClient> {
    vec![KafkaClient::Producer, KafkaClient::Reader]
}
