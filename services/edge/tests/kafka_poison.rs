//! Records that no edge wrote: they are counted and skipped, the offset moves on, and nobody in a room notices.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::stomp::Crowd;
use kit::topic::MessageId;

const TOPIC: &str = "chat.events.v1";
const SOON: Duration = Duration::from_secs(20);

#[test]
fn poison_records_are_counted_and_skipped() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let edge = Edge::on(&kafka, "a", &["--create-topic"]);
    let crowd = Crowd::new();
    let client = crowd.client(&edge.url());
    client.subscribe(0, "lobby");
    client.receipt(&client.send("lobby", "before"), SOON);
    client.wait("the MESSAGE", SOON, |log| (log.messages.len() == 1).then_some(()));
    let good = kafka.dump(TOPIC).pop().unwrap();
    let (here, elsewhere) = (good.partition, (good.partition + 1) % 12);
    assert_eq!(edge.metric("klatsch_poison_records_total"), 0.0);

    // A message of its own as far as its uuid goes: not a repeat of the good one.
    let mut other_uuid = good.value.clone();
    other_uuid[2..18].reverse();
    let lobby = Some(&b"lobby"[..]);
    let value = Some(other_uuid.as_slice());
    let cut = Some(&good.value[..good.value.len() - 1]);
    let poison = [
        (here, lobby, Some(&b"\xff\xff\xff garbage"[..])),
        (here, lobby, cut),               // ends inside a field
        (here, lobby, Some(b"")),         // no message in it
        (here, lobby, None),              // a tombstone
        (here, Some(b""), value),         // an empty key
        (here, None, value),              // no key
        (here, Some(b"\xff\xfe"), value), // a key that is not UTF-8
        (elsewhere, lobby, value),        // a partition that is not the room's
    ];
    kafka.produce(TOPIC, &poison);
    // A whole record under a key that is not the room inside: in the key's own partition, where it would be believed.
    let guest = crowd.client(&edge.url());
    guest.subscribe(0, "attic");
    client.receipt(&client.send("attic", "first"), SOON);
    let attic = kafka.dump(TOPIC).into_iter().find(|record| record.key == b"attic").unwrap().partition;
    kafka.produce(TOPIC, &[(attic, Some(b"attic"), value)]);

    client.receipt(&client.send("lobby", "after"), SOON);
    client.receipt(&client.send("attic", "second"), SOON);
    guest.wait("the next good one", SOON, |log| (log.messages.len() >= 2).then_some(()));
    client.wait("the next good one", SOON, |log| (log.messages.len() >= 2).then_some(()));

    let bodies = |client: &kit::stomp::Client| -> Vec<_> {
        client.log().messages.iter().map(|m| String::from_utf8(m.body.to_vec()).unwrap()).collect()
    };
    assert_eq!(bodies(&client), ["before", "after"]);
    assert_eq!(bodies(&guest), ["first", "second"]);
    let offsets: Vec<_> = client.ids(0).iter().map(|MessageId { offset, .. }| *offset).collect();
    assert!(offsets[1] > offsets[0] + 6, "the poison lies between them: {offsets:?}");
    kit::eventually("each is counted", SOON, || (edge.metric("klatsch_poison_records_total") == 9.0).then_some(()));
    assert!(client.is_open() && guest.is_open());
    assert_eq!(edge.admin_get("/readyz").0, 200);

    // An edge that starts now reads the same log, and starts.
    let late = Edge::on(&kafka, "b", &[]);
    let other = crowd.client(&late.url());
    other.subscribe(0, "lobby");
    client.receipt(&client.send("lobby", "for both"), SOON);
    other.wait("the MESSAGE on the late edge", SOON, |log| (log.messages.len() == 1).then_some(()));
    assert_eq!(bodies(&other), ["for both"]);
}
