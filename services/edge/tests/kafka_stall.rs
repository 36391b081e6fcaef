//! Promises 3 and 10 while a broker stands still: SIGSTOP for 10 s under 200 SENDs a second into one room of 300.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::{Client, Crowd};
use kit::topic::{MessageId, Stored};

const TOPIC: &str = "chat.events.v1";
const ROOM: &str = "arena";
const SUBSCRIBERS: usize = 300;
const PER_SECOND: u32 = 200;
const STALL: u32 = 10;

/// Sends at [`PER_SECOND`] for this long; the receipts' ids.
fn send(senders: &[Client], seconds: u32) -> Vec<(usize, String)> {
    let from = Instant::now();
    let sends = (0..seconds * PER_SECOND).map(|n| {
        let due = from + Duration::from_secs(1) * n / PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sender = n as usize % senders.len();
        (sender, senders[sender].send(ROOM, &format!("{n}")))
    });
    sends.collect()
}

#[test]
fn a_room_of_300_loses_nobody_and_nothing_when_a_broker_stands_still_for_10_s() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(3);
    let edge = Edge::on(&kafka, "a", &["--create-topic"]);
    kafka.wait_in_sync(TOPIC);
    let crowd = Crowd::new();
    let subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| crowd.client(&edge.url())).collect();
    subscribers.iter().for_each(|client| client.subscribe(0, ROOM));
    let senders: Vec<_> = (0..4).map(|_| crowd.client(&edge.url())).collect();

    let mut sent = send(&senders, 2);
    let partition =
        subscribers[0].wait("a message", Duration::from_secs(10), |log| Some(log.messages.first()?.id.partition));
    let leader = kafka.leader_of(TOPIC, partition);
    kafka.pause(leader);
    sent.extend(send(&senders, STALL));
    kafka.resume(leader);
    sent.extend(send(&senders, 2));

    // 10 s is less than the send time-out: every SEND ends with a RECEIPT.
    let from = Instant::now();
    let receipts: Vec<_> = sent
        .iter()
        .map(|(sender, id)| {
            let left = Duration::from_secs(17).saturating_sub(from.elapsed()).max(Duration::from_millis(1));
            let receipt = senders[*sender].receipt(id, left);
            receipt.header("message-id").and_then(MessageId::parse).expect("a message-id")
        })
        .collect();
    let log: Vec<_> = kafka.dump(TOPIC).iter().map(Stored::message_id).collect();
    assert!(receipts.iter().all(|id| log.contains(id)), "a receipted message is not in the log");
    assert_eq!(receipts.len(), sent.len());

    for (n, client) in subscribers.iter().enumerate() {
        client.wait(&format!("everything on session {n}"), Duration::from_secs(30), |seen| {
            (seen.messages.len() >= log.len()).then_some(())
        });
        assert_eq!(client.ids(0), log, "session {n} saw the log, all of it, in its order");
    }
    for (n, client) in subscribers.iter().chain(&senders).enumerate() {
        let seen = client.log();
        assert_eq!((seen.closed.clone(), seen.others.len()), (None, 1), "session {n}: {:?}", seen.others);
    }
    eprintln!("{} sent, {} × {} delivered", sent.len(), subscribers.len(), log.len());
}
