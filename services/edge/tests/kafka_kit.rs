//! The test kit against real brokers: what the other Kafka tests rely on, less the edge.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::collections::HashMap;
use std::time::Duration;

use kit::frame;
use kit::kafka::Kafka;
use kit::topic::MessageId;

#[test]
fn a_dump_is_what_was_written_and_a_leader_is_elsewhere_when_killed() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(3);
    kafka.create_topic("t", 2, &HashMap::from([("min.insync.replicas", "2")]));
    kafka.produce(
        "t",
        &[(0, Some(b"a"), Some(b"1")), (1, None, Some(b"")), (0, Some(b""), None), (0, Some(b"b"), Some(b"2"))],
    );

    let dump = kafka.dump("t");
    let places: Vec<_> = dump.iter().map(|r| (r.partition, r.offset, r.key.as_slice(), r.value.as_slice())).collect();
    assert_eq!(places, [(0, 0, &b"a"[..], &b"1"[..]), (0, 1, b"", b""), (0, 2, b"b", b"2"), (1, 0, b"", b"")]);
    let id = dump[0].message_id();
    assert_eq!(id.to_string(), "0-0-83dcefb7"); // CRC-32/ISO-HDLC of "1"
    assert_eq!(MessageId::parse("0-0-83dcefb7"), Some(id));
    assert_eq!(MessageId::parse("0-0-83DCEFB7"), None);

    kafka.wait_in_sync("t");
    let leader = kafka.leader_of("t", 0);
    kafka.kill(leader);
    kit::eventually("another leader", Duration::from_secs(30), || (kafka.leader_of("t", 0) != leader).then_some(()));
    assert_eq!(kafka.dump("t").len(), 4);
    kafka.start_node(leader);
    kafka.wait_in_sync("t");
}

#[test]
fn frames_read_as_written() {
    let text = frame::write("MESSAGE", &[("a:b", "c\\d\ne"), ("subscription", "7")], "body") + "\n" + "RECEIPT\n\n\0\n";
    let mut input = text.as_bytes();
    let first = frame::read(&mut input).unwrap();
    assert_eq!((first.header("a:b"), first.header("subscription")), (Some("c\\d\ne"), Some("7")));
    assert_eq!(first.body, b"body");
    assert_eq!(frame::read(&mut input).unwrap().command, "RECEIPT");
    assert!(frame::read(&mut input).is_none());
}
