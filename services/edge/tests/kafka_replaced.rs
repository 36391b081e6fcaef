//! DESIGN §6, "A replaced log": the topic is deleted and made again while an edge does not look, and the new log grows past
//! where the edge had read to. No offset tells that; promise 3 wants it announced.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::collections::HashMap;
use std::time::Duration;

use chat_proto::{Outgoing, partition_of};
use kit::edge::Edge;
use kit::frame;
use kit::kafka::Kafka;
use kit::topic::MessageId;
use kit::wire::{Incoming, Wire};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rustix::process::Signal;

const TOPIC: &str = "chat.events.v1";
const LONG: Duration = Duration::from_secs(40);

fn replace_topic(kafka: &Kafka) {
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_topics(&[TOPIC], &AdminOptions::new())).unwrap().remove(0).unwrap();
    let client: BaseConsumer = kafka.client().create().unwrap();
    kit::eventually("the topic goes", LONG, || {
        let metadata = client.fetch_metadata(None, Duration::from_secs(5)).ok()?;
        metadata.topics().iter().all(|known| known.name() != TOPIC).then_some(())
    });
    let settings = HashMap::from([("message.timestamp.type", "LogAppendTime"), ("max.message.bytes", "86016")]);
    kafka.create_topic(TOPIC, 12, &settings);
}

fn value(number: u128) -> Vec<u8> {
    let body = format!("new {number}");
    let out = Outgoing {
        uuid: (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + number).to_be_bytes(),
        room: "r",
        sender: "somebody",
        content_type: "",
        headers: &[],
        body: body.as_bytes(),
        idempotency_key: "",
        origin: "elsewhere",
    };
    chat_proto::encode(&out).to_vec()
}

#[test]
fn p3_a_replaced_log_that_has_grown_past_the_reader_is_announced() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let mut edge = Edge::on(&kafka, "a", &["--create-topic"]);
    let (mut listener, mut sender) = (Wire::connect(&edge), Wire::connect(&edge));
    listener.subscribe("0", "/topic/r");
    let ids: Vec<_> = (0..5).map(|n| sender.send("/topic/r", &format!("old {n}"))).collect();
    for id in &ids {
        assert_eq!(listener.expect("MESSAGE").header("message-id"), Some(id.as_str()));
    }

    edge.signal(Signal::STOP);
    replace_topic(&kafka);
    let partition = partition_of(b"r", 12);
    let values: Vec<_> = (0..50).map(value).collect();
    kafka.produce(TOPIC, &values.iter().map(|v| (partition, Some(&b"r"[..]), Some(&v[..]))).collect::<Vec<_>>());
    edge.signal(Signal::CONT);

    // What is read on at the old place may come first; then the gap.
    let error = loop {
        match listener.next_within(LONG) {
            Some(Incoming::Text(octets)) => match frame::read(&mut &octets[..]) {
                Some(frame) if frame.command == "ERROR" => break frame,
                frame => assert!(frame.is_some_and(|frame| frame.command == "MESSAGE")),
            },
            other => panic!("ERROR expected, got {other:?}"),
        }
    };
    assert_eq!(error.header("x-error-code"), Some("410"), "{error:?}");
    listener.closed(4003);

    // By its records: it never stood beyond the end.
    edge.logged("the log has been replaced", LONG);
    // The old log's tokens are worth nothing; new records flow, and the whole new log is there.
    let mut back = Wire::connect(&edge);
    for (n, id) in ids.iter().enumerate() {
        let (subscription, receipt) = (format!("old-{n}"), format!("receipt-{n}"));
        let headers =
            [("id", subscription.as_str()), ("destination", "/topic/r"), ("x-from", id), ("receipt", &receipt)];
        back.say("SUBSCRIBE", &headers, "");
        assert_eq!(back.receipt(&receipt).header("x-recovered"), Some("false"));
        back.say("UNSUBSCRIBE", &[("id", subscription.as_str()), ("receipt", "u")], "");
        back.receipt("u");
    }
    back.subscribe("0", "/topic/r");
    let id = Wire::connect(&edge).send("/topic/r", "after");
    let message = back.expect("MESSAGE");
    assert_eq!((message.body.as_slice(), message.header("message-id")), (&b"after"[..], Some(id.as_str())));
    assert_eq!(MessageId::parse(&id).unwrap().offset, 50);
    assert_eq!(edge.metric("klatsch_log_gaps_total"), 1.0, "one partition had records");
    assert!(edge.runs());
}
