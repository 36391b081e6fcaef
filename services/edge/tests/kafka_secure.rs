//! A Kafka that asks who you are: SASL_SSL with the Java client's own properties file, and no right beyond DESIGN §9's.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::Crowd;

const SOON: Duration = Duration::from_secs(30);
const TOPIC: &str = "chat.events.v1";

#[test]
fn an_edge_needs_read_and_write_on_the_topic_and_describe_on_its_groups() {
    if !kit::require_kafka() || !kit::require_tool("openssl") {
        return;
    }
    let kafka = Kafka::start_secure();
    let (admin, edge) = (kafka.properties_of("admin"), kafka.properties_of("edge"));
    drop(Edge::on(&kafka, "operator", &["--create-topic", "--kafka-properties", &admin]));

    // Who may not see the topic is told so, by its name, and refused.
    let bootstrap = kafka.bootstrap();
    let mut refused = Edge::spawn(&["--kafka", &bootstrap, "--kafka-properties", &edge]);
    assert_eq!(refused.exit(SOON).code(), Some(69), "{}", refused.log());
    assert!(refused.log().contains(TOPIC), "{}", refused.log());

    // A wrong password: a flag wins over the file; it waits, says what is wrong, and never what the password is.
    let wrong = ["--kafka-properties", &edge, "--kafka-property", "sasl.password=not-the-password"];
    let mut wrong = Edge::spawn(&[&["--kafka", &bootstrap], &wrong[..]].concat());
    wrong.listening();
    wrong.logged("uthentication", SOON);
    assert_eq!(wrong.admin_get("/readyz").0, 503);
    assert!(!wrong.log().contains("not-the-password"), "{}", wrong.log());
    drop(wrong);

    // Exactly the rights of the documentation are enough.
    kafka.grant_edge(TOPIC);
    let first = Edge::on(&kafka, "first", &["--kafka-properties", &edge]);
    let second = Edge::on(&kafka, "second", &["--kafka-properties", &edge]);
    let crowd = Crowd::new();
    let (a, b) = (crowd.client(&first.url()), crowd.client(&second.url()));
    b.subscribe(0, "lobby");
    let receipt = a.receipt(&a.send("lobby", "hello"), SOON);
    b.wait("the MESSAGE", SOON, |log| (log.messages.len() == 1).then_some(()));
    assert_eq!(receipt.header("message-id"), Some(b.ids(0)[0].to_string().as_str()));
    assert_eq!(kafka.dump(TOPIC).len(), 1);
    for edge in [&first, &second] {
        assert!(!edge.log().contains("edge-secret"), "a password in the log");
    }
}
