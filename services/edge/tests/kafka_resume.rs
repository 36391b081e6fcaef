//! DESIGN §7 on a real Kafka: sessions that come back to an edge that remembers much and to one that remembers little,
//! while the room is busy. Promises 3, 4 and 7: nothing lost, nothing twice, the same from both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::frame::Frame;
use kit::kafka::Kafka;
use kit::topic::Stored;
use kit::users::Users;
use kit::wire::{Wire, message};

const TOPIC: &str = "chat.events.v1";
const PER_SECOND: u32 = 200;
/// Long enough to leave the small tail behind several times.
const BEFORE: u32 = 3_000;
const ROUNDS: usize = 40;

/// SUBSCRIBE behind `token`, on a connection of its own.
fn from(edge: &Edge, token: &str) -> (Frame, Wire) {
    let mut wire = Users::connect(edge, "reader");
    let headers = [("id", "0"), ("destination", "/topic/busy"), ("x-from", token), ("receipt", "s")];
    wire.say("SUBSCRIBE", &headers, "");
    (wire.receipt("s"), wire)
}

/// SENDs of one session: two of three with a key, each tenth of those twice.
fn send(wire: &mut Wire, number: u32) {
    let body = number.to_string();
    let plain = message("SEND", &[("destination", "/topic/busy"), ("receipt", "r")], &body);
    let headers = [("destination", "/topic/busy"), ("x-idempotency-key", &body), ("receipt", "r")];
    let keyed = message("SEND", &headers, &body);
    match (number % 3, number % 10) {
        (0, _) => wire.raw(&plain),
        (_, 0) => wire.raw(&[&keyed[..], &keyed].concat()),
        _ => wire.raw(&keyed),
    }
}

fn receipts(number: u32) -> u32 {
    if number % 3 > 0 && number % 10 == 0 { 2 } else { 1 }
}

#[test]
fn p3_p4_both_edges_go_on_behind_any_message_while_the_room_is_busy() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let users = Users::new();
    let common = [&["--partitions", "2", "--max-body", "4KiB", "--max-headers", "1KiB"], &users.args()[..]].concat();
    let large = Edge::on(&kafka, "large", &[&common[..], &["--create-topic"]].concat());
    let small = Edge::on(&kafka, "small", &[&common[..], &["--tail-bytes", "256KiB"]].concat());
    let edges = [&large, &small];

    let mut sender = Users::connect(&large, "ann");
    let mut tokens: Vec<String> = Vec::new();
    let mut watcher = Users::connect(&small, "watcher");
    watcher.subscribe("0", "/topic/busy");
    for number in 0..BEFORE {
        send(&mut sender, number);
        (0..receipts(number)).for_each(|_| drop(sender.receipt("r")));
        tokens.push(watcher.expect("MESSAGE").header("message-id").unwrap().to_owned());
    }
    watcher.leave();

    // Busy from here on. Each session begins beyond the small tail, and reads until it is live.
    let over = AtomicBool::new(false);
    let (runs, sent) = std::thread::scope(|scope| {
        let over = &over;
        let sender = scope.spawn(move || {
            let (from, mut number) = (Instant::now(), BEFORE);
            while !over.load(Ordering::Relaxed) && number < BEFORE + 60 * PER_SECOND {
                let due = from + Duration::from_secs(1) * (number - BEFORE) / PER_SECOND;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                send(&mut sender, number);
                (0..receipts(number)).for_each(|_| drop(sender.receipt("r")));
                number += 1;
            }
            number
        });
        let mut runs: Vec<(usize, Vec<String>)> = Vec::new();
        for round in 0..ROUNDS {
            let first = round * 7 % 500;
            let (receipt, mut wire) = from(edges[round % 2], &tokens[first]);
            assert_eq!(receipt.header("x-recovered"), Some("true"), "round {round}");
            let mut ids = Vec::new();
            loop {
                let message = wire.expect("MESSAGE");
                ids.push(message.header("message-id").unwrap().to_owned());
                if message.header("x-replayed").is_none() {
                    break;
                }
            }
            // And from where it was cut off, at the other edge.
            let cut = ids.len() - 5;
            let (receipt, mut wire) = from(edges[(round + 1) % 2], &ids[cut - 1]);
            assert_eq!(receipt.header("x-recovered"), Some("true"), "round {round}");
            ids.truncate(cut);
            (0..20).for_each(|_| ids.push(wire.expect("MESSAGE").header("message-id").unwrap().to_owned()));
            runs.push((first, ids));
        }
        over.store(true, Ordering::Relaxed);
        (runs, sender.join().unwrap())
    });

    // What each saw is exactly what the log holds behind its token: each body once, at the first place it has there.
    let dump = kafka.dump(TOPIC);
    let mut bodies = std::collections::HashSet::new();
    let records: Vec<&Stored> = dump.iter().filter(|record| record.key == b"busy").collect();
    let shown: Vec<String> =
        records.iter().filter(|it| bodies.insert(key_of(it))).map(|it| it.message_id().to_string()).collect();
    assert_eq!(shown.len(), sent as usize, "every body once");
    assert!(records.len() > shown.len(), "some were written twice");
    eprintln!("{} records, {} shown, {} runs", records.len(), shown.len(), runs.len());
    for (first, ids) in &runs {
        assert_eq!(ids[..], shown[first + 1..first + 1 + ids.len()], "behind {first}");
    }

    // Now that the room is quiet, both answers are the same octet for octet.
    let mut beginnings = vec![("first", shown.len()), ("@0", shown.len()), ("now", 0)];
    for at in [0, 1, 2, 1000, 1001, 1002, shown.len() - 3, shown.len() - 2, shown.len() - 1] {
        beginnings.push((&shown[at], shown.len() - at - 1));
    }
    for (begin, count) in beginnings {
        let answers = edges.map(|edge| {
            let (receipt, mut wire) = from(edge, begin);
            let told =
                (receipt.header("x-recovered").map(str::to_owned), receipt.header("x-position").map(str::to_owned));
            let replayed: Vec<Frame> = (0..count).map(|_| wire.expect("MESSAGE")).collect();
            assert_eq!(wire.leave().len(), 0, "{begin}");
            (told, replayed)
        });
        assert!(answers[0] == answers[1], "{begin}");
        assert_eq!(answers[0].0.0.as_deref(), Some("true"));
    }
    let resumed = |edge: &Edge, source: &str| edge.metric(&format!("klatsch_resume_total{{result=\"{source}\"}}"));
    for edge in edges {
        eprintln!("memory {}, kafka {}", resumed(edge, "memory"), resumed(edge, "kafka"));
        assert_eq!(resumed(edge, "not_recovered"), 0.0);
    }
    assert_eq!(resumed(&large, "kafka"), 0.0, "all of it was in memory");
    assert!(resumed(&small, "kafka") >= ROUNDS as f64 / 2.0);
}

/// The body of a record of this test, which no two SENDs share: field 7 of `chat.v1.Message`.
fn key_of(record: &Stored) -> Vec<u8> {
    let message = chat_proto::decode(record.value.clone().into(), &record.key).unwrap();
    message.body.to_vec()
}
