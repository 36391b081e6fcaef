//! What only Kafka can show: append time, the checks at start, growth, a replaced topic.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use klatsch_edge::log::{
    Feed, Log, Outcome, Reason, Reports, Start,
    kafka::{KafkaLog, KafkaSettings, OpenError},
};

use crate::{
    harness::{Check, Collected, Event, Reading, publish_bulk, record, ticket},
    local_kafka::LocalKafka,
};

pub(crate) fn keeps(kafka: &LocalKafka) {
    let checks: [Check<LocalKafka>; 8] = [
        ("append time", append_time),
        ("sizes", sizes),
        ("the topic is created as wanted", created_as_wanted),
        ("a topic that will not do is refused", refusals),
        ("partitions are added", growth),
        ("the topic is replaced", replaced),
        ("the topic is replaced by a longer one", replaced_and_outgrown),
        ("statistics", statistics),
    ];
    for (name, check) in checks {
        println!("kafka alone: {name}");
        check(kafka);
    }
}

fn opened(kafka: &LocalKafka, settings: KafkaSettings) -> (KafkaLog, Arc<Collected>) {
    let reports = Arc::new(Collected::default());
    (kafka.log(settings, Arc::clone(&reports) as Arc<dyn Reports>), reports)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn append_time(kafka: &LocalKafka) {
    let (log, reports) = opened(kafka, kafka.settings(1));
    let before = now_ms();
    log.publish(record(0, b"room", b"v"), ticket(0)).unwrap();
    let outcome = reports.wait_for(1).remove(0).1;
    let Outcome::Stored { timestamp_ms, .. } = outcome else { panic!("{outcome:?}") };
    assert!((before..=now_ms()).contains(&timestamp_ms), "{timestamp_ms} is not between {before} and now");
}

/// Nothing that is too large is taken; what is as large as allowed goes through, many in a row too.
fn sizes(kafka: &LocalKafka) {
    let (log, reports) = opened(kafka, kafka.settings(1));
    assert_eq!(log.publish(record(0, b"room", &[0; 100_001]), ticket(0)), Err(Reason::TooLarge));
    publish_bulk(&log, &reports, 300, 96_000);
    let outcomes = reports.wait_for(300);
    assert!(outcomes.iter().all(|(_, o)| matches!(o, Outcome::Stored { .. })), "{outcomes:?}");
}

fn created_as_wanted(kafka: &LocalKafka) {
    let settings = kafka.settings(5);
    let (_log, _) = opened(kafka, settings.clone());
    // Opened again, checked this time, by an edge that may not create.
    let (_log, _) = opened(kafka, KafkaSettings { create_topic: false, ..settings.clone() });
    assert_eq!(kafka.shape(&settings.topic), (5, 1));
    let found = kafka.configuration(&settings.topic);
    for (key, wanted) in [
        ("min.insync.replicas", "1"),
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "100000"),
        ("retention.ms", "604800000"),
        ("segment.ms", "3600000"),
        ("unclean.leader.election.enable", "false"),
    ] {
        assert_eq!(found[key], wanted, "{key}");
    }
}

fn refused(settings: KafkaSettings) -> String {
    match KafkaLog::open(settings, Arc::new(Collected::default()), &|| false) {
        Err(OpenError::Refused(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

fn refusals(kafka: &LocalKafka) {
    let closed = |partitions| KafkaSettings { create_topic: false, ..kafka.settings(partitions) };
    let text = refused(closed(3));
    assert!(text.contains("does not exist") && text.contains("--create-topic"), "{text}");

    // Everything wrong at once: one line each.
    let settings = closed(3);
    let bad = [("max.message.bytes", "50000"), ("message.timestamp.type", "CreateTime"), ("cleanup.policy", "compact")];
    kafka.create(&settings.topic, 2, &bad);
    let text = refused(KafkaSettings { replication_factor: Some(3), min_isr: Some(2), ..settings.clone() });
    for (line, wanted) in text.lines().zip([
        "--alter --topic",
        "kafka-reassign-partitions.sh",
        "--add-config max.message.bytes=100000",
        "--add-config message.timestamp.type=LogAppendTime",
        "--add-config min.insync.replicas=2",
        "--add-config cleanup.policy=delete",
    ]) {
        assert!(line.contains(wanted) && line.contains(&settings.topic), "{wanted}: {line}");
    }
    assert_eq!(text.lines().count(), 6, "{text}");

    // What the lines ask for is enough.
    let good =
        [("max.message.bytes", "100000"), ("message.timestamp.type", "LogAppendTime"), ("cleanup.policy", "delete")];
    kafka.configure(&settings.topic, &good);
    kafka.grow(&settings.topic, 3);
    let (_log, _) = opened(kafka, settings);

    let settings = KafkaSettings { properties: vec![("acks".into(), "1".into())], ..kafka.settings(1) };
    let opened = KafkaLog::open(settings, Arc::new(Collected::default()), &|| false);
    assert!(matches!(opened, Err(OpenError::Settings(text)) if text.contains("acks")));

    // A port where nobody listens: waits until it is told not to.
    let (began, settings) = (Instant::now(), KafkaSettings { brokers: "127.0.0.1:1".into(), ..kafka.settings(1) });
    let patience = || began.elapsed() > Duration::from_millis(500);
    let opened = KafkaLog::open(settings, Arc::new(Collected::default()), &patience);
    assert!(matches!(opened, Err(OpenError::Cancelled)) && patience());
}

/// Partitions added under a reader are read from their beginning: nothing that was written before it noticed is lost.
fn growth(kafka: &LocalKafka) {
    let settings = kafka.settings(2);
    let (log, _) = opened(kafka, settings.clone());
    let mut reading = Reading::new(log.feed(Start::Now));
    reading.until("the ends", |events| events.len() == 3);

    kafka.grow(&settings.topic, 3);
    // Another edge, which knows the third partition from the start, writes before this one has noticed it.
    let (other, reports) = opened(kafka, KafkaSettings { partitions: 3, ..settings });
    for i in 0..10 {
        other.publish(record(2, b"room", &[i as u8]), ticket(i)).unwrap();
    }
    reports.wait_for(10);
    log.look_now();
    reading.until("the new records", |events| events.iter().filter(|e| e.value().is_some()).count() == 10);
    let told = reading.events.iter().position(|e| *e == Event::Partitions(3)).expect("growth was not told");
    assert!(reading.events[..told].iter().all(|e| e.value().is_none()));
    assert_eq!(reading.records(2), (0..10).map(|i| (i, vec![i as u8])).collect::<Vec<_>>());
}

/// DESIGN §6, "A replaced log": the reader stands beyond the end of the new one.
fn replaced(kafka: &LocalKafka) {
    let settings = kafka.settings(1);
    let (log, reports) = opened(kafka, settings.clone());
    publish_bulk(&log, &reports, 20, 10);
    let mut reading = Reading::new(log.feed(Start::Now));
    reading.until("the end", |events| events.contains(&Event::End { partition: 0, offset: 20 }));

    kafka.delete(&settings.topic);
    let (other, reports) = opened(kafka, settings);
    other.publish(record(0, b"room", b"new"), ticket(0)).unwrap();
    reports.wait_for(1);
    reading.until("the new topic's record", |events| {
        log.look_now();
        events.iter().any(|e| e.value().is_some())
    });
    let gap = reading.events.iter().position(|e| *e == Event::Gap { partition: 0, resumed_at: 0 });
    assert!(gap.is_some() && gap < reading.events.iter().position(|e| e.value().is_some()), "{:?}", reading.events);
    assert_eq!(reading.records(0), [(0, b"new".to_vec())]);
}

/// The same, and the new log has grown past the reader: no offset tells it, only the records themselves (promise 3).
fn replaced_and_outgrown(kafka: &LocalKafka) {
    let settings = kafka.settings(2);
    let (log, reports) = opened(kafka, settings.clone());
    publish_bulk(&log, &reports, 20, 10);
    let mut reading = Reading::new(log.feed(Start::At(0)));
    let end = Event::End { partition: 0, offset: 20 };
    reading.until("the end", |events| events.contains(&end));
    for _ in 0..3 {
        log.look_now();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(reading.feed.drain(100, &mut |event| panic!("{event:?}")).unwrap(), 0, "nothing is amiss");

    kafka.delete(&settings.topic);
    let (other, reports) = opened(kafka, settings);
    publish_bulk(&other, &reports, 50, 12);
    reading.until("a gap, and all of the new log", |events| {
        log.look_now();
        let gap = events.iter().position(|e| *e == Event::Gap { partition: 0, resumed_at: 0 });
        gap.is_some_and(|gap| events[gap..].contains(&Event::End { partition: 0, offset: 50 }))
    });
    let gap = reading.events.iter().rposition(|e| matches!(e, Event::Gap { partition: 0, .. })).unwrap();
    let offsets: Vec<_> = reading.events[gap..].iter().filter_map(Event::value).map(|(_, offset, _)| offset).collect();
    assert_eq!(offsets, (0..50).collect::<Vec<_>>(), "read anew, from its beginning");
}

fn statistics(kafka: &LocalKafka) {
    let properties = vec![("statistics.interval.ms".into(), "100".into())];
    let (log, reports) = opened(kafka, KafkaSettings { properties, ..kafka.settings(2) });
    publish_bulk(&log, &reports, 50, 10);
    let mut reading = Reading::new(log.feed(Start::At(0)));
    let caught_up = |events: &[Event]| events.iter().filter(|e| e.value().is_some()).count() == 50;
    reading
        .until("all", |events| caught_up(events) && log.statistics().partitions.first().is_some_and(|p| p.high == 50));
    let statistics = log.statistics();
    assert_eq!(statistics.partitions.len(), 2);
    assert_eq!((statistics.partitions[0].position, statistics.partitions[0].lag), (50, 0));
    assert_eq!((statistics.queued_records, statistics.partitions[1].lag), (0, 0));
}
