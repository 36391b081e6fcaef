//! Failures of the producer, against librdkafka's mock broker: a real one cannot be made to fail so on command.

use std::{sync::Arc, time::Instant};

use klatsch_edge::log::{
    Log, Outcome, Reason, Reports, Ticket,
    embedded::EmbeddedLog,
    kafka::{KafkaLog, KafkaSettings},
};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Error},
};

use crate::harness::{Collected, LIMIT, record, ticket};

fn opened(properties: &[(&str, &str)]) -> (MockCluster<'static, DefaultProducerContext>, KafkaLog, Arc<Collected>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let settings = KafkaSettings {
        brokers: cluster.bootstrap_servers(),
        topic: "t".into(),
        partitions: 1,
        replication_factor: None,
        min_isr: None,
        max_message_bytes: 100_000,
        create_topic: false,
        instance: "failing".into(),
        properties: properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let reports = Arc::new(Collected::default());
    let log = KafkaLog::open(settings, Arc::clone(&reports) as Arc<dyn Reports>, &|| false).unwrap();
    (cluster, log, reports)
}

/// A producer beyond repair: its records are unknown, a new one takes over, and nothing is sent meanwhile.
#[test]
fn a_fatal_producer_is_replaced() {
    let (cluster, log, reports) = opened(&[]);
    log.publish(record(0, b"room", b"good"), ticket(0)).unwrap();
    reports.wait_for(1);
    cluster.request_errors(RDKafkaApiKey::Produce, &[Error::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    log.publish(record(0, b"room", b"bad"), ticket(1)).unwrap();
    let outcome = reports.wait_for(2).remove(1).1;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");

    let began = Instant::now();
    let mut sent = log.publish(record(0, b"room", b"again"), ticket(2));
    while let Err(reason) = sent {
        assert_eq!(reason, Reason::Fatal);
        assert!(began.elapsed() < LIMIT, "no new producer: {:?}", log.health());
        sent = log.publish(record(0, b"room", b"again"), ticket(2));
    }
    let outcome = reports.wait_for(3).remove(2).1;
    assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
    assert_eq!(log.producer_replacements(), 1);
    assert_eq!(log.health().fault, None);
}

/// No broker: SENDs wait, and are unknown when the delivery time-out has passed; the oldest one's age shows.
#[test]
fn without_a_broker_records_time_out() {
    let (cluster, log, reports) = opened(&[("delivery.timeout.ms", "1500")]);
    cluster.broker_down(-1).unwrap();
    log.publish(record(0, b"room", b"v"), ticket(0)).unwrap();
    let began = Instant::now();
    while log.health().oldest_in_flight.is_none_or(|age| age.as_millis() < 1000) {
        assert!(began.elapsed() < LIMIT && reports.count() == 0, "{:?}", log.health());
    }
    assert_eq!(reports.wait_for(1).remove(0).1, Outcome::Unknown(Reason::TimedOut));
    cluster.broker_up(-1).unwrap();
    log.publish(record(0, b"room", b"v"), ticket(1)).unwrap();
    assert!(matches!(reports.wait_for(2).remove(1).1, Outcome::Stored { .. }));
    assert!(log.health().connected);
}

/// A panic in a report must not leave an edge that waits for reports for ever.
#[test]
fn a_dead_producer_thread_is_told() {
    #[derive(Default)]
    struct Panics(std::sync::atomic::AtomicBool);
    impl Reports for Panics {
        fn settled(&self, _: Ticket, _: Outcome) {
            panic!("a report that panics, as the test wants it");
        }
        fn thread_died(&self, name: &'static str) {
            self.0.store(name == "producer", std::sync::atomic::Ordering::SeqCst);
        }
    }
    let reports = Arc::new(Panics::default());
    let log = EmbeddedLog::open(1, Arc::clone(&reports) as Arc<dyn Reports>).unwrap();
    log.publish(record(0, b"room", b"v"), ticket(0)).unwrap();
    let began = Instant::now();
    while !reports.0.load(std::sync::atomic::Ordering::SeqCst) {
        assert!(began.elapsed() < LIMIT);
    }
}

/// Promise 5: what does not settle within the time given to `flush` is purged, and every record is reported.
#[test]
fn flush_is_bounded() {
    let (cluster, log, reports) = opened(&[]);
    cluster.broker_down(-1).unwrap();
    for i in 0..100 {
        log.publish(record(0, b"room", b"v"), ticket(i)).unwrap();
    }
    assert_eq!(log.flush(std::time::Duration::from_millis(300)), 100);
    let outcomes = reports.wait_for(100);
    assert!(outcomes.iter().all(|(_, o)| *o == Outcome::Unknown(Reason::Purged)), "{outcomes:?}");
    assert_eq!(log.health().in_flight, 0);
}
