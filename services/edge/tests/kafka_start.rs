//! Starting against a Kafka that is not there, lacks the topic, or has another topic than the edge was told (DESIGN §9).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::collections::HashMap;
use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::Crowd;

const SOON: Duration = Duration::from_secs(30);
/// Exit code: the topic is refused.
const TOPIC_REFUSED: i32 = 69;

/// An edge that refuses to start: what it said.
#[track_caller]
fn refused(kafka: &Kafka, args: &[&str]) -> String {
    let bootstrap = kafka.bootstrap();
    let mut edge = Edge::spawn(&[&["--kafka", &bootstrap], args].concat());
    let status = edge.exit(SOON);
    assert_eq!(status.code(), Some(TOPIC_REFUSED), "{}", edge.log());
    edge.log()
}

#[test]
fn an_edge_waits_for_kafka_and_refuses_a_topic_that_does_not_fit() {
    if !kit::require_kafka() {
        return;
    }
    // Nobody listens on port 9 of loopback: it waits, says so, is alive and not ready; SIGTERM ends it.
    let mut lost = Edge::spawn(&["--kafka", "127.0.0.1:9"]);
    lost.listening();
    lost.logged("waiting for Kafka", SOON);
    assert_eq!(lost.admin_get("/livez").0, 200);
    let (status, why) = lost.admin_get("/readyz");
    assert_eq!(status, 503, "{why}");
    assert_eq!(kit::http_get(&lost.listen, "/ws").unwrap().0, 503, "before the first ready /ws refuses");
    assert!(lost.runs() && !lost.has_line(), "it must not say ready");
    assert_eq!(lost.terminate(SOON).code(), Some(0), "{}", lost.log());

    let kafka = Kafka::start(1);

    // A topic that is missing: refused, naming what would help.
    let said = refused(&kafka, &[]);
    assert!(said.contains("topic chat.events.v1 does not exist: klatsch-edge --kafka"), "{said}");
    assert!(said.contains("--create-topic creates it"), "{said}");

    // Fewer partitions than the edge pins rooms to: refused, with both numbers.
    kafka.create_topic("few", 4, &HashMap::from([("max.message.bytes", "262144")]));
    let said = refused(&kafka, &["--topic", "few"]);
    assert!(said.contains("topic few has 4 partitions, 12 are needed"), "{said}");
    // And so with --create-topic, which leaves a topic that exists alone.
    refused(&kafka, &["--topic", "few", "--create-topic"]);

    // Too small records: refused.
    kafka.create_topic("small", 12, &HashMap::from([("max.message.bytes", "50000")]));
    let said = refused(&kafka, &["--topic", "small"]);
    assert!(said.contains("max.message.bytes"), "{said}");

    // More partitions: a warning.
    kafka.create_topic("many", 13, &HashMap::from([("message.timestamp.type", "LogAppendTime")]));
    let edge = Edge::on(&kafka, "many", &["--topic", "many"]);
    edge.logged("more partitions than rooms are spread over", SOON);

    // --create-topic creates it, as its own settings say, and a second edge needs the flag no more.
    let first = Edge::on(&kafka, "first", &["--create-topic"]);
    let second = Edge::on(&kafka, "second", &[]);
    let crowd = Crowd::new();
    let (a, b) = (crowd.client(&first.url()), crowd.client(&second.url()));
    b.subscribe(0, "lobby");
    let receipt = a.receipt(&a.send("lobby", "hello"), SOON);
    b.wait("the MESSAGE", SOON, |log| (log.messages.len() == 1).then_some(()));
    assert_eq!(receipt.header("message-id"), Some(b.ids(0)[0].to_string().as_str()));
    let settings = kafka.topic_settings("chat.events.v1");
    for (name, value) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "86016"), // body + headers + 4 KiB
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "false"),
    ] {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}");
    }

    // Kafka that comes back while an edge waits for it: the edge becomes ready by itself.
    drop((edge, first, second));
    kafka.kill(1);
    let bootstrap = kafka.bootstrap();
    let mut patient = Edge::spawn(&["--kafka", &bootstrap]);
    patient.listening();
    patient.logged("waiting for Kafka", SOON);
    assert_eq!(patient.admin_get("/readyz").0, 503);
    kafka.start_node(1);
    patient.ready();
    assert_eq!(patient.admin_get("/readyz").0, 200);
}
