//! Failures of the producer, against librdkafka's mock broker: a real one cannot be made to fail so on command.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use klatsch_edge::log::{
    Log, Outcome, Reason, Reports, Start, Ticket,
    embedded::EmbeddedLog,
    kafka::{KafkaLog, KafkaSettings, Renewals, Renewed},
};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr as Error},
};

use crate::harness::{Collected, LIMIT, Reading, record, ticket};

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

/// What `renew_from` is given: the same properties again, each time the number is raised.
fn renewals(cluster: &MockCluster<'static, DefaultProducerContext>, wanted: &Arc<AtomicUsize>) -> Renewals {
    let (brokers, wanted, mut told) = (cluster.bootstrap_servers(), Arc::clone(wanted), 0);
    Box::new(move || {
        let more = wanted.load(SeqCst) > told;
        told += usize::from(more);
        more.then(|| Ok(Renewed { brokers: brokers.clone(), properties: Vec::new() }))
    })
}

fn renewed(log: &KafkaLog, times: usize) {
    let began = Instant::now();
    while log.renewals() < times {
        assert!(began.elapsed() < LIMIT, "{} of {times} renewals: {:?}", log.renewals(), log.health());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Promise 2 while credentials are renewed: everything is stored, once, and in the order of the calls. The broker is slow,
/// so that each producer has records of every partition in flight when the next one comes.
#[test]
fn p2_order_holds_from_one_producer_to_the_next() {
    let (cluster, log, reports) = opened(&[]);
    cluster.broker_round_trip_time(1, Duration::from_millis(40)).unwrap();
    let wanted = Arc::new(AtomicUsize::new(0));
    log.renew_from(renewals(&cluster, &wanted));
    let mut reading = Reading::new(log.feed(Start::Now));
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0_usize;
            while !over.load(SeqCst) || sent < 1000 {
                if log.publish(record(0, b"room", &sent.to_be_bytes()), ticket(sent)).is_ok() {
                    sent += 1;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        for times in 1..=3 {
            wanted.store(times, SeqCst);
            renewed(&log, times);
        }
        over.store(true, SeqCst);
        sender.join().unwrap()
    });
    let outcomes = reports.wait_for(sent);
    assert!(outcomes.iter().all(|(_, o)| matches!(o, Outcome::Stored { .. })), "something was not stored");
    reading.until("all", |events| events.iter().filter(|e| e.value().is_some()).count() >= sent);
    let read: Vec<_> = reading.records(0).into_iter().map(|(_, value)| value).collect();
    assert_eq!(read, (0..sent).map(|n| n.to_be_bytes().to_vec()).collect::<Vec<_>>());
    let offsets: Vec<_> = reading.records(0).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, (0..sent as i64).collect::<Vec<_>>(), "each was read once");
    assert_eq!((log.health().in_flight, log.health().fault), (0, None));
}

/// Promise 5: a producer that cannot settle what it has is given up, and what has waited for it is sent.
#[test]
fn p5_a_producer_that_settles_nothing_is_given_up() {
    let (cluster, log, reports) = opened(&[]);
    let wanted = Arc::new(AtomicUsize::new(0));
    log.renew_from(renewals(&cluster, &wanted));
    log.publish(record(0, b"room", b"stored"), ticket(0)).unwrap();
    reports.wait_for(1);
    cluster.request_errors(RDKafkaApiKey::Produce, &[Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1000]);
    wanted.store(1, SeqCst);
    let (mut sent, began) = (1, Instant::now());
    while reports.count() < 2 {
        assert!(began.elapsed() < LIMIT, "nothing is given up: {:?}", log.health());
        log.publish(record(0, b"room", &[sent as u8]), ticket(sent)).unwrap();
        sent += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    renewed(&log, 1);
    let outcomes: Vec<_> = reports.wait_for(sent).into_iter().skip(1).collect();
    let given_up = outcomes.iter().take_while(|(_, o)| *o == Outcome::Unknown(Reason::Purged)).count();
    // Ten seconds of waiting, a record every tenth of one.
    assert!(given_up > 0 && outcomes.len() - given_up > 50, "{given_up} of {} are given up", outcomes.len());
    for (n, (told, outcome)) in outcomes.iter().enumerate().skip(given_up) {
        let Outcome::Stored { offset, .. } = outcome else { panic!("{outcome:?} of {told:?}") };
        assert_eq!((*told, *offset), (ticket(n + 1), (n - given_up) as i64 + 1), "in the order of the calls");
    }
}
