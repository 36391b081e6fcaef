//! Promise 1: what is stored is stored once, although records wait longer than they may. When records time out inside
//! librdkafka it takes a new epoch and sends all others again, which the brokers no longer recognise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use klatsch_edge::log::{
    Feed as _, FeedEvent, Log as _, NewRecord, Outcome, Reason, Reports, Start, Ticket,
    kafka::{KafkaLog, KafkaSettings},
};

use kit::kafka::Kafka;

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: i32 = 6;
const LONG: Duration = Duration::from_secs(60);

/// What became of each record, by its number.
#[derive(Default)]
struct Outcomes {
    of: Mutex<HashMap<u32, Outcome>>,
    settled: AtomicUsize,
}

impl Reports for Outcomes {
    fn settled(&self, ticket: Ticket, outcome: Outcome) {
        assert_eq!(self.of.lock().unwrap().insert(ticket.send, outcome), None, "settled twice");
        self.settled.fetch_add(1, SeqCst);
    }
}

/// Two of three brokers die; the survivor goes on appending what it cannot replicate, and the producer repeats it. Then the
/// oldest have waited for too long, and the two come back.
#[test]
fn p1_records_that_wait_while_others_time_out_are_stored_once() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(3);
    let outcomes = Arc::new(Outcomes::default());
    let properties = [("delivery.timeout.ms", "4000"), ("socket.timeout.ms", "1000")];
    let settings = KafkaSettings {
        brokers: kafka.bootstrap(),
        topic: TOPIC.into(),
        partitions: PARTITIONS,
        replication_factor: Some(3),
        min_isr: Some(2),
        max_message_bytes: 100_000,
        create_topic: true,
        instance: "twice".into(),
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
    };
    let log = KafkaLog::open(settings, Arc::clone(&outcomes) as Arc<dyn Reports>, &|| false).unwrap();
    kafka.wait_in_sync(TOPIC);

    let mut sent = 0;
    let mut publish = || {
        let (partition, ticket) = (sent as i32 % PARTITIONS, Ticket { send: sent, ..Ticket::default() });
        let value = sent.to_string().into();
        sent +=
            u32::from(log.publish(NewRecord { partition, room: "room".into(), value, trace: None }, ticket).is_ok());
        sent
    };
    (0..60).for_each(|_| _ = publish());
    kit::eventually("the first are stored", LONG, || (outcomes.settled.load(SeqCst) == 60).then_some(()));

    kafka.kill(2);
    kafka.kill(3);
    let dead = Instant::now();
    while dead.elapsed() < Duration::from_secs(6) {
        publish();
        std::thread::sleep(Duration::from_millis(20));
    }
    kafka.start_node(2);
    kafka.start_node(3);
    let stored = |n: u32| matches!(outcomes.of.lock().unwrap().get(&n), Some(Outcome::Stored { .. }));
    kit::eventually("writing goes on", LONG, || {
        let last = publish() - 1;
        std::thread::sleep(Duration::from_millis(100));
        stored(last).then_some(())
    });
    kit::eventually("everything is settled", LONG, || (log.health().in_flight == 0).then_some(()));

    let places = read_all(&log);
    let twice: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(twice.is_empty(), "{} of {} records lie in the log twice: {twice:?}", twice.len(), places.len());
    let mut unknown = 0;
    for (n, outcome) in outcomes.of.lock().unwrap().iter() {
        match outcome {
            Outcome::Stored { partition, offset, .. } => assert_eq!(places[n], [(*partition, *offset)], "record {n}"),
            Outcome::StoredUnplaced => assert_eq!(places[n].len(), 1, "record {n}"),
            Outcome::Unknown(reason) => {
                assert_eq!(*reason, Reason::TimedOut);
                unknown += 1;
            }
            Outcome::Refused(reason) => panic!("record {n} was refused: {reason:?}"),
        }
    }
    eprintln!("{} sent, {unknown} unknown, {} in the log", outcomes.settled.load(SeqCst), places.len());
    assert!(unknown > 0, "nothing has waited for too long");
}

/// Where each record lies.
fn read_all(log: &KafkaLog) -> HashMap<u32, Vec<(i32, i64)>> {
    let mut feed = log.feed(Start::At(0)).unwrap();
    let mut places: HashMap<u32, Vec<(i32, i64)>> = HashMap::new();
    let mut ends = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while ends < PARTITIONS {
        let mut sink = |event: FeedEvent<'_>| match event {
            FeedEvent::Record(record) => {
                let n = std::str::from_utf8(record.value).unwrap().parse().unwrap();
                places.entry(n).or_default().push((record.partition, record.offset));
            }
            FeedEvent::EndOfPartition { .. } => ends += 1,
            _ => {}
        };
        runtime.block_on(async { tokio::time::timeout(LONG, feed.wait(&mut sink)).await }).unwrap().unwrap();
    }
    places
}
