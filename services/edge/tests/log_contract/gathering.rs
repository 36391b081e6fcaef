//! Under load records wait for each other (`gather`): order, reports and `flush` are as if they did not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use klatsch_edge::log::{
    Log as _, Outcome, Reason, Reports, Start,
    kafka::{KafkaLog, KafkaSettings},
};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

use crate::harness::{Collected, LIMIT, Reading, record, ticket};

/// Records at a time: enough for a busy cluster even where the machine is slow.
const STEP: usize = 100;

/// A cluster that wakes nobody, so it is asked often.
fn opened(linger: Option<&str>) -> (MockCluster<'static, DefaultProducerContext>, KafkaLog, Arc<Collected>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let properties = [("fetch.wait.max.ms", Some("5")), ("linger.ms", linger)];
    let settings = KafkaSettings {
        brokers: cluster.bootstrap_servers(),
        topic: "t".into(),
        partitions: 2,
        replication_factor: None,
        min_isr: None,
        max_message_bytes: 100_000,
        create_topic: false,
        instance: "gathering".into(),
        properties: properties.iter().filter_map(|(k, v)| Some(((*k).to_owned(), (*v)?.to_owned()))).collect(),
    };
    let reports = Arc::new(Collected::default());
    let log = KafkaLog::open(settings, Arc::clone(&reports) as Arc<dyn Reports>, &|| false).unwrap();
    (cluster, log, reports)
}

/// Publishes ever more to both partitions and reads it, until `done`; returns how many records that were.
fn load(log: &KafkaLog, reading: &mut Reading<impl klatsch_edge::log::Feed>, done: impl Fn(usize) -> bool) -> usize {
    let (began, mut sent) = (Instant::now(), 0);
    while !done(sent) {
        assert!(began.elapsed() < LIMIT, "{sent} records, {:?}", log.gathered());
        for _ in 0..STEP {
            log.publish(record((sent % 2) as i32, b"room", sent.to_string().as_bytes()), ticket(sent)).unwrap();
            sent += 1;
        }
        reading.until("what was sent", |events| {
            events.iter().filter(|event| event.value().is_some()).count() + STEP >= sent
        });
    }
    sent
}

/// Promises 1 and 2: whether records wait changes while they come; each is stored once, in the order of its room.
#[test]
fn records_that_wait_keep_their_order() {
    let (_cluster, log, reports) = opened(None);
    let mut reading = Reading::new(log.feed(Start::Now));
    let sent = load(&log, &mut reading, |_| log.gathered().0 >= 500);
    reading.until("everything", |events| events.iter().filter(|event| event.value().is_some()).count() == sent);
    let outcomes = reports.wait_for(sent);
    assert!(outcomes.iter().all(|(_, o)| matches!(o, Outcome::Stored { .. })), "{outcomes:?}");
    for partition in 0..2 {
        let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
        let read: Vec<usize> = reading
            .events
            .iter()
            .filter_map(|event| event.value())
            .filter(|(p, ..)| *p == partition)
            .map(|(_, _, value)| number(value))
            .collect();
        assert_eq!(read, (0..sent).filter(|n| n % 2 == partition as usize).collect::<Vec<_>>());
    }

    // Quiet again, nothing waits.
    let began = Instant::now();
    while log.gathered().1 {
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = log.gathered().0;
    log.publish(record(0, b"room", b"last"), ticket(sent)).unwrap();
    reports.wait_for(sent + 1);
    assert_eq!(log.gathered().0, before);
}

/// Promise 5: `flush` and the end of the log report also what waits.
#[test]
fn what_waits_is_reported_by_flush() {
    let (cluster, log, reports) = opened(None);
    let mut reading = Reading::new(log.feed(Start::Now));
    let sent = load(&log, &mut reading, |_| log.gathered().1);
    reports.wait_for(sent);
    cluster.broker_down(-1).unwrap();
    for n in sent..sent + 20 {
        log.publish(record(0, b"room", b"v"), ticket(n)).unwrap();
    }
    assert_eq!(log.flush(Duration::from_millis(1)), 20);
    let outcomes = reports.wait_for(sent + 20).split_off(sent);
    assert!(outcomes.iter().all(|(_, o)| *o == Outcome::Unknown(Reason::Purged)), "{outcomes:?}");
    assert_eq!(log.health().in_flight, 0);

    cluster.broker_up(-1).unwrap();
    log.publish(record(0, b"room", b"v"), ticket(sent + 20)).unwrap();
    drop(reading);
    drop(log);
    assert_eq!(reports.wait_for(sent + 21).len(), sent + 21);
}

/// Whoever sets linger.ms has decided that alone.
#[test]
fn nothing_waits_where_linger_is_set() {
    let (_cluster, log, reports) = opened(Some("0"));
    let mut reading = Reading::new(log.feed(Start::Now));
    let began = Instant::now();
    let sent = load(&log, &mut reading, |sent| sent >= 2_000 && began.elapsed() > Duration::from_secs(1));
    reports.wait_for(sent);
    assert_eq!(log.gathered(), (0, false));
}
