//! Promise 4 across restarts: an edge that starts now judges repeats as one that has read everything (DESIGN §7).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use chat_proto::{Outgoing, partition_of};
use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::Wire;

const TOPIC: &str = "chat.events.v1";
const ROOM: &str = "lobby";

/// A record of [`ROOM`] as an edge would write it; `key` may be empty.
fn value(number: u128, key: &str, body: &str) -> Vec<u8> {
    let uuid = (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + number).to_be_bytes();
    let (room, sender, body) = (ROOM, "somebody", body.as_bytes());
    let out = Outgoing {
        uuid,
        room,
        sender,
        content_type: "",
        headers: &[],
        body,
        idempotency_key: key,
        origin: "elsewhere",
    };
    chat_proto::encode(&out).to_vec()
}

fn write(kafka: &Kafka, values: &[Vec<u8>]) {
    let partition = partition_of(ROOM.as_bytes(), 12);
    let records: Vec<_> = values.iter().map(|value| (partition, Some(ROOM.as_bytes()), Some(&value[..]))).collect();
    for some in records.chunks(50_000) {
        kafka.produce(TOPIC, some);
    }
}

/// The last messages of the room, as this edge tells them.
fn history(edge: &Edge, count: usize) -> Vec<(String, String)> {
    let mut wire = Wire::connect(edge);
    let (destination, asked) = (format!("/topic/{ROOM}"), count.to_string());
    let headers = [("id", "0"), ("destination", destination.as_str()), ("x-history", asked.as_str()), ("receipt", "h")];
    wire.say("SUBSCRIBE", &headers, "");
    let found = wire.receipt("h").header("x-history-count").unwrap().parse().unwrap();
    let told = (0..found).map(|_| wire.expect("MESSAGE"));
    told.map(|m| (m.header("message-id").unwrap().to_owned(), String::from_utf8(m.body).unwrap())).collect()
}

#[test]
fn p4_an_edge_that_starts_judges_repeats_as_one_that_was_there() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    // A tail of a hundred records or so: what an edge knows of repeats must reach further.
    let small = ["--tail-bytes", "400KiB"];
    let there = Edge::on(&kafka, "there", &[&["--create-topic"], &small[..]].concat());

    // "far" lies behind more records without a key than the last 65,536; "near" further back than the tail reaches.
    let unkeyed = |from: u128, count: u128| (from..from + count).map(|n| value(n, "", "nothing special"));
    write(&kafka, &[value(0, "far", "far"), value(1, "twice", "a uuid that is stored twice")]);
    write(&kafka, &unkeyed(1000, 70_000).collect::<Vec<_>>());
    write(&kafka, &[value(2, "near", "near"), value(3, "near", "near again, before the other edge starts")]);
    write(&kafka, &unkeyed(100_000, 1000).collect::<Vec<_>>());
    // In the tail of both: only one who has read further back knows that it is a repeat.
    write(&kafka, &[value(4, "far", "far again, before the other edge starts"), value(5, "", "last")]);
    let comes = Edge::on(&kafka, "comes", &small);

    let mut listeners = [Wire::connect(&there), Wire::connect(&comes)];
    listeners.iter_mut().for_each(|wire| wire.subscribe("0", &format!("/topic/{ROOM}")));
    write(&kafka, &[value(6, "far", "far again"), value(7, "near", "near again"), value(8, "new", "new")]);
    for wire in &mut listeners {
        assert_eq!(wire.message(), "new", "a repeat was shown");
    }
    let (before, after) = (history(&there, 60), history(&comes, 60));
    assert_eq!(before.len(), 60);
    assert_eq!(before, after, "both edges tell the same of the past");
    assert_eq!(
        before.iter().rev().take(3).map(|(_, body)| body.as_str()).collect::<Vec<_>>(),
        ["new", "last", "nothing special"]
    );
    for edge in [&there, &comes] {
        assert_eq!(edge.metric("klatsch_poison_records_total"), 0.0);
    }
}
