//! Rights that are taken from a running edge and given back: every SEND is told the truth, readiness says why, and all is
//! well by itself afterwards (promises 5 and 10).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::Wire;

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "chat.events.v1";

/// `/readyz` fails with this.
#[track_caller]
fn unready(edge: &Edge, why: &str) {
    kit::eventually(&format!("/readyz says `{why}`"), LONG, || {
        let (status, text) = edge.admin_get("/readyz");
        (status == 503 && text.contains(why)).then_some(())
    });
}

#[track_caller]
fn ready(edge: &Edge) {
    kit::eventually("/readyz is well", LONG, || (edge.admin_get("/readyz").0 == 200).then_some(()));
}

#[test]
fn p5_p10_rights_are_taken_and_given_back() {
    if !kit::require_kafka() || !kit::require_tool("openssl") {
        return;
    }
    let kafka = Kafka::start_secure();
    drop(Edge::on(&kafka, "operator", &["--create-topic", "--kafka-properties", &kafka.properties_of("admin")]));
    kafka.grant_edge(TOPIC);
    let mut edge = Edge::on(&kafka, "a", &["--kafka-properties", &kafka.properties_of("edge")]);
    let mut listener = Wire::connect(&edge);
    listener.subscribe("0", "/topic/r");
    Wire::connect(&edge).send("/topic/r", "before");
    assert_eq!(listener.message(), "before");

    // Writing: refused, which is certain; the log does not hold it.
    kafka.acl("--remove", "Write", TOPIC);
    let mut sender = Wire::connect(&edge);
    sender.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "refused");
    let error = sender.refused("503", 4004);
    assert_eq!(error.header("x-error"), Some("send_refused_not_authorized"), "{error:?}");
    assert_eq!(error.header("receipt-id"), Some("r"), "{error:?}");
    unready(&edge, "log: the edge may not write to the topic");
    kafka.acl("--add", "Write", TOPIC);
    let id = kit::eventually("a SEND is stored again", LONG, || {
        let mut sender = Wire::connect(&edge);
        sender.say("SEND", &[("destination", "/topic/r"), ("receipt", "r")], "again");
        let frame = sender.frame();
        (frame.command == "RECEIPT").then(|| frame.header("message-id").unwrap().to_owned())
    });
    let message = listener.expect("MESSAGE");
    assert_eq!((message.body.as_slice(), message.header("message-id")), (&b"again"[..], Some(id.as_str())));
    ready(&edge);
    assert_eq!(kafka.dump(TOPIC).len(), 2, "what was refused is not in the log");

    // Reading: whoever listens stays, and misses nothing. Nobody sends, and it heals all the same.
    kafka.acl("--remove", "Read", TOPIC);
    unready(&edge, "log: cannot read the topic");
    kafka.acl("--add", "Read", TOPIC);
    ready(&edge);
    let id = Wire::connect(&edge).send("/topic/r", "after");
    let message = listener.expect("MESSAGE");
    assert_eq!((message.body.as_slice(), message.header("message-id")), (&b"after"[..], Some(id.as_str())));
    assert!(edge.runs());
}
