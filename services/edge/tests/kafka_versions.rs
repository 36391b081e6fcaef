//! Two versions side by side, as during a roll: records of a newer klatsch, with fields and Kafka headers that this one does
//! not know, are delivered; records of this one are read by an older and by a newer reader.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::ffi::OsString;
use std::time::Duration;

use kit::edge::Edge;
use kit::frame::Frame;
use kit::kafka::Kafka;
use kit::topic::Stored;
use kit::wire::Wire;
use prost::Message as _;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const TOPIC: &str = "chat.events.v1";
const ROOM: &str = "lobby";
const SOON: Duration = Duration::from_secs(20);

/// What every version writes first.
#[derive(Clone, PartialEq, prost::Message)]
struct Identity {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    idempotency_hash: u64,
}

/// `chat.v1.Message` as a later version may have it: everything that this one knows, and a field of every wire type.
#[derive(Clone, PartialEq, prost::Message)]
struct Newer {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(fixed64, tag = "2")]
    idempotency_hash: u64,
    #[prost(string, tag = "3")]
    room: String,
    #[prost(string, tag = "4")]
    sender: String,
    #[prost(string, tag = "5")]
    content_type: String,
    #[prost(message, repeated, tag = "6")]
    headers: Vec<NewerHeader>,
    #[prost(bytes = "vec", tag = "7")]
    body: Vec<u8>,
    #[prost(string, tag = "8")]
    idempotency_key: String,
    #[prost(string, tag = "9")]
    origin: String,
    #[prost(uint64, tag = "10")]
    expires: u64,
    #[prost(fixed32, tag = "11")]
    shard: u32,
    #[prost(double, tag = "12")]
    weight: f64,
    #[prost(string, tag = "15")]
    reply_to: String,
    #[prost(message, optional, boxed, tag = "16")]
    original: Option<Box<Newer>>,
    #[prost(sint32, repeated, tag = "2047")]
    marks: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NewerHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bool, tag = "3")]
    hidden: bool,
    #[prost(bytes = "vec", tag = "4")]
    signature: Vec<u8>,
}

/// And as an earlier one may have had it: no headers, no keys, no origin.
#[derive(Clone, PartialEq, prost::Message)]
struct Older {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(string, tag = "3")]
    room: String,
    #[prost(string, tag = "4")]
    sender: String,
    #[prost(string, tag = "5")]
    content_type: String,
    #[prost(bytes = "vec", tag = "7")]
    body: Vec<u8>,
}

fn newer(number: u8) -> Newer {
    let header = |name: &str, value: &str| NewerHeader {
        name: name.to_owned(),
        value: value.to_owned(),
        hidden: true,
        signature: vec![0, 1, 2, 255],
    };
    Newer {
        uuid: vec![number; 16],
        room: ROOM.to_owned(),
        sender: "zoë".to_owned(),
        content_type: "text/plain;charset=utf-8".to_owned(),
        headers: vec![header("x-color", "blue: \\ green"), header("x-empty", ""), header("x-color", "red")],
        body: format!("from the future {number} 👋").into_bytes(),
        origin: "edge-of-tomorrow".to_owned(),
        expires: u64::MAX,
        shard: 7,
        weight: -0.5,
        reply_to: "somebody".to_owned(),
        original: Some(Box::new(Newer { room: "elsewhere".to_owned(), body: vec![1; 300], ..Newer::default() })),
        marks: vec![-1, 0, 1_000_000],
        ..Newer::default()
    }
}

/// Identity first, as the contract says; then unknown fields of every wire type and a group; then the known ones.
fn unknown_first(message: &Newer) -> Vec<u8> {
    let identity = Identity { uuid: message.uuid.clone(), idempotency_hash: message.idempotency_hash };
    let added = Newer {
        uuid: Vec::new(),
        idempotency_hash: 0,
        room: String::new(),
        sender: String::new(),
        content_type: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        idempotency_key: String::new(),
        origin: String::new(),
        ..message.clone()
    };
    let known = Newer {
        expires: 0,
        shard: 0,
        weight: 0.0,
        reply_to: String::new(),
        original: None,
        marks: Vec::new(),
        ..message.clone()
    };
    let known = Newer { uuid: Vec::new(), idempotency_hash: 0, ..known };
    // Field 13 as a group with a varint in it.
    let group = [13 << 3 | 3, 1 << 3, 5, 13 << 3 | 4];
    [identity.encode_to_vec(), added.encode_to_vec(), group.to_vec(), known.encode_to_vec()].concat()
}

/// Writes records with Kafka headers that no version of today knows.
fn produce(kafka: &Kafka, values: &[Vec<u8>]) {
    let producer: BaseProducer = kafka.client().set("acks", "all").create().unwrap();
    let partition = chat_proto::partition_of(ROOM.as_bytes(), 12);
    for value in values {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "content-type", value: Some("application/x-chat-v2") })
            .insert(Header { key: "x-klatsch-next", value: Some(&[0_u8, 255][..]) })
            .insert(Header { key: "empty", value: None::<&[u8]> });
        let record = BaseRecord::to(TOPIC).partition(partition).key(ROOM).payload(value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(SOON).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn shown(frame: &Frame) -> (Option<&str>, Option<&str>, &[u8]) {
    (frame.header("sender"), frame.header("content-type"), &frame.body)
}

/// MESSAGE and RECEIPT of a client's own SEND, which come in either order.
fn both(client: &mut Wire) -> [Frame; 2] {
    let mut frames = [client.frame(), client.frame()];
    frames.sort_by(|one, other| one.command.cmp(&other.command));
    assert_eq!([frames[0].command.as_str(), frames[1].command.as_str()], ["MESSAGE", "RECEIPT"]);
    frames
}

fn place(record: &Stored) -> String {
    record.message_id().to_string()
}

/// Promises 1 to 4 between versions: what is known of a newer record arrives as it was written, at its place.
#[test]
fn a_newer_record_is_delivered_and_this_ones_is_read_by_others() {
    if !kit::require_kafka() {
        return;
    }
    let kafka = Kafka::start(1);
    let edge = Edge::on(&kafka, "a", &["--create-topic"]);
    let mut client = Wire::connect(&edge);
    client.subscribe("0", "/topic/lobby");

    // The same key twice: the hash stands second, and is all that is needed to know a repeat.
    let keyed = |number| Newer { idempotency_hash: 0xfeed, idempotency_key: "k".to_owned(), ..newer(number) };
    let values = [
        newer(1).encode_to_vec(),
        unknown_first(&newer(2)),
        unknown_first(&keyed(3)),
        unknown_first(&keyed(4)),
        newer(5).encode_to_vec(),
    ];
    produce(&kafka, &values);
    let records = kafka.dump(TOPIC);
    assert_eq!(records.len(), values.len());
    for number in [1, 2, 3, 5] {
        let (frame, wanted) = (client.expect("MESSAGE"), newer(number));
        assert_eq!(shown(&frame), (Some("zoë"), Some("text/plain;charset=utf-8"), &wanted.body[..]));
        assert_eq!(frame.header("message-id"), Some(&*place(&records[usize::from(number) - 1])), "record {number}");
        let own = |name: &str| ["x-color", "x-empty"].contains(&name);
        let headers: Vec<_> = frame.headers.iter().filter(|(name, _)| own(name)).collect();
        let told: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, [("x-color", "blue: \\ green"), ("x-empty", ""), ("x-color", "red")]);
        assert_eq!(frame.header("x-idempotency-key"), (number == 3).then_some("k"));
    }
    assert_eq!(edge.metric("klatsch_poison_records_total"), 0.0);

    // A newer record's place is one to go on from, on an edge that has read it from the log.
    let late = Edge::on(&kafka, "b", &[]);
    let mut other = Wire::connect(&late);
    let from = place(&records[1]);
    other.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/lobby"), ("receipt", "s"), ("x-from", &from)], "");
    assert_eq!(other.receipt("s").header("x-recovered"), Some("true"));
    let bodies = [other.expect("MESSAGE").body, other.expect("MESSAGE").body];
    assert_eq!(bodies, [newer(3).body, newer(5).body]);

    // And the other way: what this version writes.
    let headers = [
        ("destination", "/topic/lobby"),
        ("receipt", "r"),
        ("content-type", "text/plain"),
        ("x-mood", "good"),
        ("x-idempotency-key", "mine"),
    ];
    client.say("SEND", &headers, "hello, whoever you are");
    // Its own MESSAGE may come before it.
    assert_eq!(both(&mut client)[1].header("receipt-id"), Some("r"));
    let value = kafka.dump(TOPIC).pop().unwrap().value;
    let older = Older::decode(&value[..]).unwrap();
    assert_eq!((older.room.as_str(), older.content_type.as_str()), (ROOM, "text/plain"));
    assert_eq!((&older.body[..], older.uuid.len()), (&b"hello, whoever you are"[..], 16));
    let read = Newer::decode(&value[..]).unwrap();
    let Newer { uuid, sender, body, .. } = read.clone();
    assert_eq!((uuid, sender, body), (older.uuid, older.sender, older.body));
    assert_eq!((read.idempotency_key.as_str(), read.origin.as_str()), ("mine", "a"));
    assert_eq!((read.headers.len(), read.headers[0].name.as_str()), (1, "x-mood"));
    assert_eq!((read.expires, read.original, read.marks), (0, None, Vec::new()));
    // What stands first stands first: other versions peek at it.
    let identity = Identity { uuid: read.uuid, idempotency_hash: read.idempotency_hash }.encode_to_vec();
    assert!(read.idempotency_hash != 0 && value.starts_with(&identity));
}

/// Two builds on one topic deliver to each other: this one, and the one that `KLATSCH_EDGE_OTHER` names (by default this one).
#[test]
fn two_builds_deliver_to_each_other() {
    if !kit::require_kafka() {
        return;
    }
    let other = std::env::var_os("KLATSCH_EDGE_OTHER");
    let other = other.unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_klatsch-edge")));
    let kafka = Kafka::start(1);
    let this = Edge::on(&kafka, "this", &["--create-topic"]);
    let bootstrap = kafka.bootstrap();
    let mut that = Edge::spawn_program(&other, &["--kafka", &bootstrap, "--instance", "that"]);
    that.listening();
    that.ready();
    let mut clients = [Wire::connect(&this), Wire::connect(&that)];
    clients.iter_mut().for_each(|client| client.subscribe("0", "/topic/lobby"));
    let mut wanted = Vec::new();
    for number in 0..20 {
        let body = format!("number {number} grüß dich 👋");
        let receipt = number.to_string();
        let headers = [("destination", "/topic/lobby"), ("receipt", &*receipt), ("x-number", &*receipt)];
        clients[number % 2].say("SEND", &headers, &body);
        let frames = both(&mut clients[number % 2]);
        let elsewhere = clients[(number + 1) % 2].expect("MESSAGE");
        for message in [&frames[0], &elsewhere] {
            assert_eq!(message.header("message-id"), frames[1].header("message-id"), "promise 1");
            assert_eq!((message.header("x-number"), &message.body[..]), (Some(&*receipt), body.as_bytes()));
        }
        wanted.push(elsewhere.header("message-id").unwrap().to_owned());
    }
    // A client that goes from one build to the other misses nothing, either way.
    for edge in [&that, &this] {
        let mut moved = Wire::connect(edge);
        let headers = [("id", "0"), ("destination", "/topic/lobby"), ("receipt", "s"), ("x-from", wanted[4].as_str())];
        moved.say("SUBSCRIBE", &headers, "");
        assert_eq!(moved.receipt("s").header("x-recovered"), Some("true"));
        let ids: Vec<_> = (5..20).map(|_| moved.expect("MESSAGE").header("message-id").unwrap().to_owned()).collect();
        assert_eq!(ids, wanted[5..]);
    }
}
