//! Promises 1 and 2 as a page meets them: two edges, three real brokers, `@stomp/stompjs` on both sides.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::node::Node;
use kit::topic::MessageId;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const EACH: usize = 40;

/// What a client saw of its room, in order: (message-id, body).
fn seen(node: &Node, client: &str) -> Vec<(String, String)> {
    let messages = node.seen.iter().filter(|e| e["event"] == "message" && e["client"] == client);
    messages.map(|e| (text(&e["headers"]["message-id"]), text(&e["body"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

#[test]
fn a_send_on_one_edge_is_the_message_on_the_other_and_the_receipt_names_it() {
    if !kit::require_kafka() || !kit::require_node() {
        return;
    }
    let kafka = Kafka::start(3);
    let edges = [Edge::on(&kafka, "a", &["--create-topic"]), Edge::on(&kafka, "b", &[])];
    let mut node = Node::start("stomp.mjs", &[]);

    for (client, edge) in ["a", "b"].iter().zip(&edges) {
        node.tell(&json!({"do": "connect", "client": client, "url": edge.url()}));
        node.wait_for("CONNECTED", SOON, |e| e["event"] == "connected" && e["client"] == *client);
        let subscribe =
            json!({"do": "subscribe", "client": client, "destination": "/topic/lobby", "headers": {"receipt": "sub"}});
        node.tell(&subscribe);
        node.wait_for("RECEIPT of SUBSCRIBE", SOON, |e| e["event"] == "receipt" && e["client"] == *client);
    }

    // One alone first: SEND on A, MESSAGE on B.
    let send = |client: &str, n: usize| {
        let receipt = format!("{client}{n}");
        json!({"do": "send", "client": client, "destination": "/topic/lobby", "body": format!("{client} {n} grüß dich 👋"),
               "headers": {"receipt": receipt, "x-color": "blue: \\ green"}})
    };
    node.tell(&send("a", 0));
    let message = node.wait_for("MESSAGE on B", SOON, |e| e["event"] == "message" && e["client"] == "b");
    assert_eq!(message["body"], "a 0 grüß dich 👋");
    assert_eq!(message["headers"]["destination"], "/topic/lobby");
    assert_eq!(message["headers"]["x-color"], "blue: \\ green");
    assert!(MessageId::parse(&text(&message["headers"]["message-id"])).is_some(), "{message}");

    // Then both talk at once.
    for n in 1..EACH {
        node.tell(&send("a", n));
        node.tell(&send("b", n));
    }
    node.tell(&send("b", 0));
    // 2 × EACH messages for each of the two, a RECEIPT for each SEND and each SUBSCRIBE.
    let wanted = |e: &Value| e["event"] == "message" || e["event"] == "receipt";
    let mut left = 6 * EACH + 2 - node.seen.iter().filter(|e| wanted(e)).count();
    node.wait_for("every MESSAGE and RECEIPT", SOON, |e| {
        left -= usize::from(wanted(e));
        left == 0
    });

    let (on_a, on_b) = (seen(&node, "a"), seen(&node, "b"));
    assert_eq!(on_a.len(), 2 * EACH);
    assert_eq!(on_a, on_b, "promise 2: one order");
    for client in ["a", "b"] {
        let own: Vec<_> =
            on_b.iter().filter(|(_, body)| body.starts_with(client)).map(|(_, body)| body.clone()).collect();
        let number = |n: usize| format!("{client} {n} grüß dich 👋");
        // b's number 0 was its last.
        let sent: Vec<_> =
            if client == "a" { (0..EACH).map(number).collect() } else { (1..EACH).chain([0]).map(number).collect() };
        assert_eq!(own, sent, "promise 2: a session's own SENDs keep theirs");
    }
    // Promise 1: the RECEIPT names the very message that everybody sees, and Kafka holds it.
    let stored: Vec<_> = kafka.dump("chat.events.v1").iter().map(|record| record.message_id().to_string()).collect();
    for receipt in node.seen.iter().filter(|e| e["event"] == "receipt" && e["headers"]["receipt-id"] != "sub") {
        let name = text(&receipt["headers"]["receipt-id"]);
        let (client, n) = name.split_at(1);
        let id = text(&receipt["headers"]["message-id"]);
        assert!(on_b.contains(&(id.clone(), format!("{client} {n} grüß dich 👋"))), "{receipt}");
        assert!(stored.contains(&id), "{id} is not in the topic");
    }
    assert_eq!(stored.len(), 2 * EACH);
    assert!(node.seen.iter().all(|e| e["event"] != "closed" && e["event"] != "error"), "{:#?}", node.seen);
}
