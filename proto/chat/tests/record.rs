//! The record, against prost's own encoder and against poison.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Bytes;
use chat_proto::{
    Header, Message, Outgoing, Peek, RecordError, View, decode, encode, encode_in, idempotency_hash, peek,
};
use proptest::prelude::*;
use prost::Message as _;

fn sample() -> Message {
    Message {
        uuid: Bytes::from_static(&[7; 16]),
        idempotency_hash: idempotency_hash("Küche", "ann", "k1"),
        room: "Küche".into(),
        sender: "ann".into(),
        content_type: "text/plain".into(),
        headers: vec![Header { name: "x-a".into(), value: String::new() }],
        body: Bytes::from_static(b"hi\0there"),
        idempotency_key: "k1".into(),
        origin: "edge-1".into(),
    }
}

fn reason(message: Message, key: &[u8]) -> &'static str {
    read_both_ways(&message.encode_to_vec(), key).unwrap_err().reason()
}

fn any_message() -> impl Strategy<Value = Message> {
    let text = || prop_oneof![Just(String::new()), "[^\0]{1,40}", "[a-z]{120,140}"];
    let headers = prop::collection::vec(("[^\0]{1,20}", text()), 0..5);
    let room = "[^\\p{Cc}\\s]{1,50}";
    let body = prop::collection::vec(any::<u8>(), 0..400);
    (any::<[u8; 16]>(), room, text(), text(), headers, body, text(), text()).prop_map(
        |(uuid, room, sender, content_type, headers, body, idempotency_key, origin)| Message {
            uuid: Bytes::copy_from_slice(&uuid),
            idempotency_hash: idempotency_hash(&room, &sender, &idempotency_key),
            headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
            body: body.into(),
            room,
            sender,
            content_type,
            idempotency_key,
            origin,
        },
    )
}

/// [`View`] reads what [`decode`] reads, and refuses what it refuses, with the same words.
fn read_both_ways(value: &[u8], key: &[u8]) -> Result<Message, RecordError> {
    let value = Bytes::copy_from_slice(value);
    let decoded = decode(value.clone(), key);
    match (View::read(value, key), &decoded) {
        (Ok(view), Ok(message)) => {
            let headers: Vec<_> = message.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
            assert_eq!(view.headers().collect::<Vec<_>>(), headers);
            assert_eq!((view.room(), view.sender()), (message.room.as_str(), message.sender.as_str()));
            assert_eq!(view.content_type(), message.content_type);
            assert_eq!(view.idempotency_key(), message.idempotency_key);
            assert_eq!(view.body(), message.body);
        }
        (Err(error), Err(expected)) => assert_eq!(error.reason(), expected.reason()),
        (view, _) => panic!("{view:?}, but {decoded:?}"),
    }
    decoded
}

fn encode_by_hand(message: &Message) -> Bytes {
    let headers: Vec<_> = message.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
    encode(&Outgoing {
        uuid: message.uuid.as_ref().try_into().unwrap(),
        room: &message.room,
        sender: &message.sender,
        content_type: &message.content_type,
        headers: &headers,
        body: &message.body,
        idempotency_key: &message.idempotency_key,
        origin: &message.origin,
    })
}

/// The contract names SHA-256 over length-prefixed parts; this value was computed with Python's hashlib.
#[test]
fn idempotency_hash_is_as_documented() {
    assert_eq!(idempotency_hash("room", "ann", "key-1"), 0x591d_53c9_8d49_16d7);
    assert_eq!(idempotency_hash("room", "ann", ""), 0);
    assert_ne!(idempotency_hash("ab", "c", "k"), idempotency_hash("a", "bc", "k"));
}

/// Written by `examples/produce.py` for the room "Küche", the uuid aside; it found partition 6 of 12.
#[test]
fn a_foreign_producers_record_is_read() {
    const VALUE: &str = "0a10000102030405060708090a0b0c0d0e0f1149670143881ebfc81a064bc3bc6368652205726f626f742a18746578\
        742f706c61696e3b636861727365743d7574662d3832080a03782d611201313a0c477574656e204d6f7267656e42026b314a0a70726f64\
        7563652e7079";
    let value: Vec<u8> =
        (0..VALUE.len()).step_by(2).map(|i| u8::from_str_radix(&VALUE[i..i + 2], 16).unwrap()).collect();
    let message = decode(value.clone().into(), "Küche".as_bytes()).unwrap();
    assert_eq!(message.body, "Guten Morgen");
    assert_eq!((message.sender.as_str(), message.idempotency_key.as_str()), ("robot", "k1"));
    assert_eq!(message.idempotency_hash, idempotency_hash("Küche", "robot", "k1"));
    assert_eq!(encode_by_hand(&message), value);
    assert_eq!(chat_proto::partition_of("Küche".as_bytes(), 12), 6);
}

#[test]
fn the_body_is_a_slice_of_the_record() {
    let value = Bytes::from(sample().encode_to_vec());
    let message = decode(value.clone(), "Küche".as_bytes()).unwrap();
    let whole = value.as_ptr_range();
    assert!(whole.contains(&message.body.as_ptr()));
    assert!(whole.contains(&message.uuid.as_ptr()));
}

#[test]
fn every_poison_has_its_reason() {
    let key = "Küche".as_bytes();
    assert!(read_both_ways(&sample().encode_to_vec(), key).is_ok());
    assert_eq!(read_both_ways(b"\xff\xff", key).unwrap_err().reason(), "decode");
    assert_eq!(read_both_ways(b"", key).unwrap_err().reason(), "uuid");
    assert_eq!(reason(sample(), b""), "no_key");
    assert_eq!(reason(sample(), b"kitchen"), "room_mismatch");
    assert_eq!(reason(Message { uuid: Bytes::from_static(&[7; 15]), ..sample() }, key), "uuid");
    assert_eq!(reason(Message { room: "a\nb".into(), ..sample() }, b"a\nb"), "bad_room");
    assert_eq!(reason(Message { room: " a".into(), ..sample() }, b" a"), "bad_room");
    assert_eq!(reason(Message { sender: "a\0".into(), ..sample() }, key), "nul");
    assert_eq!(reason(Message { content_type: "a\0".into(), ..sample() }, key), "nul");
    assert_eq!(reason(Message { idempotency_key: "a\0".into(), ..sample() }, key), "nul");
    for (name, value) in [("", "v"), ("a\0", "v"), ("a", "\0")] {
        let headers = vec![Header { name: name.into(), value: value.into() }];
        assert_eq!(reason(Message { headers, ..sample() }, key), "header");
    }
    // A room that is not UTF-8 is no protobuf string.
    assert_eq!(read_both_ways(b"\x1a\x01\xff", b"\xff").unwrap_err().reason(), "decode");
}

/// Another order of fields is legal protobuf: slower, not different.
#[test]
fn peek_reads_any_order_of_fields() {
    let uuid = [9; 16];
    let mut late = b"\x1a\x01r".to_vec();
    late.extend_from_slice(&[0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x0a, 16]);
    late.extend_from_slice(&uuid);
    assert_eq!(peek(&late), Some(Peek { uuid, idempotency_hash: 1 }));
    assert_eq!(peek(&late[12..]), Some(Peek { uuid, idempotency_hash: 0 }));
    for poison in [&b""[..], b"\x0a", b"\x0a\x10short", b"\x0a\x03abc", b"\x1a\x01r"] {
        assert_eq!(peek(poison), None, "{poison:?}");
    }
}

proptest! {
    #[test]
    fn encodes_exactly_as_prost_does(message in any_message()) {
        let value = encode_by_hand(&message);
        prop_assert_eq!(&value[..], &message.encode_to_vec()[..]);
        let uuid = message.uuid.as_ref().try_into().unwrap();
        prop_assert_eq!(peek(&value), Some(Peek { uuid, idempotency_hash: message.idempotency_hash }));
        let key = message.room.clone();
        prop_assert_eq!(read_both_ways(&value, key.as_bytes()).unwrap(), message);
    }

    #[test]
    fn random_octets_never_panic(value in prop::collection::vec(any::<u8>(), 0..200), key in prop::collection::vec(any::<u8>(), 0..8)) {
        let _ = peek(&value);
        let _ = read_both_ways(&value, &key);
    }

    /// Fields twice, out of order, unknown ones and groups in between: all of it is legal.
    #[test]
    fn a_view_reads_what_others_write(first in any_message(), second in any_message(), other in 10u8..15, group: bool) {
        let mut value = first.encode_to_vec();
        value.extend_from_slice(&if group { [other << 3 | 3, other << 3 | 4] } else { [other << 3, 7] });
        value.extend_from_slice(&second.encode_to_vec());
        // A header with a field of its own that nobody knows, and its parts the wrong way round.
        value.extend_from_slice(&[6 << 3 | 2, 9, 3 << 3, 1, 2 << 3 | 2, 1, b'v', 1 << 3 | 2, 2, b'n', b'n']);
        let read = read_both_ways(&value, second.room.as_bytes());
        prop_assert!(read.is_ok(), "{:?}", read);
    }

    /// Records that share a block are what they are alone, and name their rooms.
    #[test]
    fn records_in_a_block(messages in prop::collection::vec(any_message(), 1..20)) {
        let mut block = bytes::BytesMut::with_capacity(512);
        let mut encode_one = |message: &Message| {
            let headers: Vec<_> = message.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
            encode_in(&mut block, &Outgoing {
                uuid: message.uuid.as_ref().try_into().unwrap(),
                room: &message.room,
                sender: &message.sender,
                content_type: &message.content_type,
                headers: &headers,
                body: &message.body,
                idempotency_key: &message.idempotency_key,
                origin: &message.origin,
            })
        };
        let encoded: Vec<_> = messages.iter().map(&mut encode_one).collect();
        for (message, (value, room)) in messages.iter().zip(encoded) {
            prop_assert_eq!(&value, &encode_by_hand(message));
            prop_assert_eq!(&room[..], message.room.as_bytes());
        }
    }

    /// Damage to a good record: cut anywhere, one octet changed.
    #[test]
    fn damaged_records_never_panic(message in any_message(), at: prop::sample::Index, octet: u8, cut: bool) {
        let mut value = message.encode_to_vec();
        let at = at.index(value.len());
        if cut { value.truncate(at) } else { value[at] = octet }
        let _ = peek(&value);
        let _ = read_both_ways(&value, message.room.as_bytes());
    }
}
