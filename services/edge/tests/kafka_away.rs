//! Promise 10: Kafka is away. Who does not send stays; a SEND is refused with a clear word, softly where that was asked
//! for; readiness says why; and all is well by itself afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::{Incoming, Wire};

const LONG: Duration = Duration::from_secs(40);

/// What a SEND is answered with, if it is answered at once.
fn answer(wire: &mut Wire) -> Option<String> {
    match wire.next_within(Duration::from_millis(500))? {
        Incoming::Text(octets) => Some(String::from_utf8(octets).unwrap()),
        other => panic!("an answer expected, got {other:?}"),
    }
}

#[test]
fn p10_kafka_away_and_back() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let mut edge = Edge::on(&kafka, "a", &["--create-topic"]);
    let mut listener = Wire::connect(&edge);
    listener.subscribe("0", "/topic/r");
    let mut soft = Wire::connect_with(&edge, &[("accept-version", "1.2"), ("x-errors", "soft")]);
    soft.subscribe("errors", "/user/queue/errors");
    Wire::connect(&edge).send("/topic/r", "before");
    assert_eq!(listener.message(), "before");

    kafka.kill(1);
    kit::eventually("/readyz names the log", LONG, || {
        let (status, text) = edge.admin_get("/readyz");
        (status == 503 && text.contains("log: no broker takes a connection")).then_some(())
    });
    assert_eq!(edge.admin_get("/livez").0, 200, "liveness never asks Kafka");

    // One SEND a second is let through to find out; the others are refused at once, and their session with them.
    let refused = kit::eventually("a SEND is refused at once", LONG, || {
        let mut senders = [Wire::connect(&edge), Wire::connect(&edge)];
        for sender in &mut senders {
            sender.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "lost");
        }
        senders.iter_mut().find_map(|sender| {
            let error = answer(sender)?;
            sender.closed(4004);
            Some(error)
        })
    });
    for header in ["ERROR\n", "x-error-code:503\n", "x-error:log_away\n", "receipt-id:r\n", "retry-after:"] {
        assert!(refused.contains(header), "{header:?} in {refused}");
    }
    let error = kit::eventually("a soft refusal", LONG, || {
        soft.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "lost");
        answer(&mut soft)
    });
    assert!(error.starts_with("MESSAGE\ndestination:/user/queue/errors\n") && error.contains("x-error-code:503\n"));

    kafka.start_node(1);
    kit::eventually("/readyz is well again", LONG, || (edge.admin_get("/readyz").0 == 200).then_some(()));
    let id = Wire::connect(&edge).send("/topic/r", "after");
    let message = loop {
        let message = listener.expect("MESSAGE");
        // What was let through while nobody listened may have been stored after all: unknown is unknown.
        if message.body == b"after" {
            break message;
        }
        assert_eq!(message.body, b"lost");
    };
    assert_eq!(message.header("message-id"), Some(id.as_str()));
    assert!(edge.runs());
}
