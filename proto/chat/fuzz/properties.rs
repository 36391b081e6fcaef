//! What must hold for any record. The fuzz target calls it with libFuzzer's data, `tests/fuzz_seeds.rs` with the seeds and
//! with chance, so that a stable compiler tests it too.

use bytes::Bytes;
use chat_proto::{MessageId, Outgoing, View, decode, encode, partition_of, peek, room_is_valid};

/// The first octet says how many of the next are the record's key; the rest is its value.
pub(crate) fn readers_agree(data: &[u8]) {
    let (length, rest) = data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest));
    let (key, value) = rest.split_at(length.min(rest.len()));
    assert!((0..12).contains(&partition_of(key, 12)));
    let value = Bytes::copy_from_slice(value);
    let (decoded, view, peeked) = (decode(value.clone(), key), View::read(value.clone(), key), peek(&value));
    let message = match (decoded, view) {
        (Err(one), Err(other)) => return assert_eq!(one.reason(), other.reason()),
        (Ok(message), Ok(view)) => {
            let headers: Vec<_> = message.headers.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
            assert_eq!(view.headers().collect::<Vec<_>>(), headers);
            assert_eq!((view.room(), view.sender()), (message.room.as_str(), message.sender.as_str()));
            assert_eq!(view.content_type(), message.content_type);
            assert_eq!((view.idempotency_key(), view.body()), (message.idempotency_key.as_str(), &message.body[..]));
            message
        }
        (decoded, view) => panic!("{decoded:?}, but in place {view:?}"),
    };
    assert!(room_is_valid(&message.room).is_ok() && message.room.as_bytes() == key);
    assert!(peeked.is_some(), "what can be shown has a uuid");
    let texts = [&message.sender, &message.content_type, &message.idempotency_key];
    assert!(texts.iter().all(|text| !text.contains('\0')), "no STOMP header could carry it");

    let headers: Vec<_> = message.headers.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
    let written = encode(&Outgoing {
        uuid: message.uuid[..].try_into().expect("16 octets"),
        room: &message.room,
        sender: &message.sender,
        content_type: &message.content_type,
        headers: &headers,
        body: &message.body,
        idempotency_key: &message.idempotency_key,
        origin: &message.origin,
    });
    let again = decode(written.clone(), key).expect("what is written reads");
    assert_eq!(again.headers, message.headers);
    assert_eq!((&again.uuid, &again.body, &again.sender), (&message.uuid, &message.body, &message.sender));

    let check = MessageId::check_of(&written);
    let id = MessageId { partition: partition_of(key, 12), offset: i64::from(check), check };
    let mut spelled = [0; MessageId::MAX_LEN];
    assert_eq!(id.spelled(&mut spelled).parse(), Ok(id));
}
