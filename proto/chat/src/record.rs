//! A record's value: `chat.v1.Message`, written by hand in one allocation, read by prost.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use sha2::{Digest, Sha256};

use crate::{Header, Message, RoomError, room_is_valid};

/// What an edge knows of a SEND when it writes the record.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// A UUIDv7, big-endian; the identity of this SEND.
    pub uuid: [u8; 16],
    /// The room: also the Kafka record's key.
    pub room: &'a str,
    /// Who sends, from the token alone.
    pub sender: &'a str,
    /// The sender's media type; empty if none.
    pub content_type: &'a str,
    /// The sender's own headers, name and value, in order.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, verbatim.
    pub body: &'a [u8],
    /// The sender's own key for this message; empty if none.
    pub idempotency_key: &'a str,
    /// The edge that writes.
    pub origin: &'a str,
}

/// The two leading fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peek {
    /// Identity of the SEND.
    pub uuid: [u8; 16],
    /// See [`idempotency_hash`]; 0 if the sender gave no key.
    pub idempotency_hash: u64,
}

/// Why a record cannot be shown to anybody. It is counted under [`reason`](Self::reason) and skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The value is not a `chat.v1.Message`.
    #[error("not a chat.v1.Message: {0}")]
    Decode(prost::DecodeError),
    /// The Kafka record has no key.
    #[error("the record has no key")]
    NoKey,
    /// `uuid` is not 16 octets long.
    #[error("uuid is not 16 octets long")]
    Uuid,
    /// `room` is not what the key says.
    #[error("room and record key differ")]
    RoomMismatch,
    /// The key cannot be a room.
    #[error(transparent)]
    BadRoom(#[from] RoomError),
    /// A header without a name, or a NUL in one.
    #[error("a header has no name, or holds a NUL")]
    Header,
    /// A NUL in the sender, the content type or the idempotency key: no STOMP header could carry it.
    #[error("sender, content_type or idempotency_key holds a NUL")]
    Nul,
}

impl RecordError {
    /// A label for counters; never changes.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Decode(_) => "decode",
            Self::NoKey => "no_key",
            Self::Uuid => "uuid",
            Self::RoomMismatch => "room_mismatch",
            Self::BadRoom(_) => "bad_room",
            Self::Header => "header",
            Self::Nul => "nul",
        }
    }
}

/// Encodes `message` as `chat.v1.Message`, fields in the order of their numbers, in one allocation. What the log reads
/// back is compared by octets (check, uuid), so the encoding is the canonical one: empty fields are left out.
pub fn encode(message: &Outgoing<'_>) -> Bytes {
    encode_in(&mut BytesMut::new(), message).0
}

/// [`encode`] into a block that many records share, so that most of them allocate nothing: the value, and the room as a
/// part of it. A full block is left to the records in it and replaced by one as large as it was made.
pub fn encode_in(block: &mut BytesMut, message: &Outgoing<'_>) -> (Bytes, Bytes) {
    let Outgoing { uuid, room, sender, content_type, headers, body, idempotency_key, origin } = *message;
    let hash = idempotency_hash(room, sender, idempotency_key);
    let len = field_len(&uuid)
        + if hash == 0 { 0 } else { 9 }
        + [room, sender, content_type, idempotency_key, origin].iter().map(|s| field_len(s.as_bytes())).sum::<usize>()
        + headers.iter().map(|h| nested_len(header_len(*h))).sum::<usize>()
        + field_len(body);

    let out = block;
    out.reserve(len);
    put_field(out, 1, &uuid);
    if hash != 0 {
        out.put_u8(2 << 3 | 1);
        out.put_u64_le(hash);
    }
    put_field(out, 3, room.as_bytes());
    let room_ends = out.len();
    put_field(out, 4, sender.as_bytes());
    put_field(out, 5, content_type.as_bytes());
    for header in headers {
        out.put_u8(6 << 3 | 2);
        put_varint(out, header_len(*header));
        put_field(out, 1, header.0.as_bytes());
        put_field(out, 2, header.1.as_bytes());
    }
    put_field(out, 7, body);
    put_field(out, 8, idempotency_key.as_bytes());
    put_field(out, 9, origin.as_bytes());
    debug_assert_eq!(out.len(), len);
    let value = out.split().freeze();
    let room = value.slice(room_ends - room.len()..room_ends);
    (value, room)
}

/// The hash by which repeats of a SEND are known: the first 8 octets of SHA-256 over the three, each preceded by its
/// length. 0 exactly when `key` is empty; a key that hashes to 0 counts as 1.
pub fn idempotency_hash(room: &str, sender: &str, key: &str) -> u64 {
    if key.is_empty() {
        return 0;
    }
    let mut sha = Sha256::new();
    for part in [room, sender, key] {
        sha.update((part.len() as u32).to_be_bytes());
        sha.update(part);
    }
    let digest: [u8; 32] = sha.finalize().into();
    digest.first_chunk().map_or(1, |first| u64::from_be_bytes(*first)).max(1)
}

/// Reads uuid and idempotency hash. Where they stand first, as every protobuf library writes them, nothing else is
/// looked at; otherwise the whole is decoded. `None` if there is no uuid of 16 octets.
pub fn peek(value: &[u8]) -> Option<Peek> {
    if let Some(([0x0a, 16], rest)) = value.split_first_chunk::<2>()
        && let Some((&uuid, rest)) = rest.split_first_chunk::<16>()
    {
        match rest {
            [0x11, hash @ ..] if hash.len() >= 8 => {
                let idempotency_hash = hash.first_chunk().map_or(0, |h| u64::from_le_bytes(*h));
                return Some(Peek { uuid, idempotency_hash });
            }
            // The room comes next: there is no hash.
            [0x1a, ..] => return Some(Peek { uuid, idempotency_hash: 0 }),
            _ => {}
        }
    }
    let message = Message::decode(value).ok()?;
    Some(Peek { uuid: message.uuid.as_ref().try_into().ok()?, idempotency_hash: message.idempotency_hash })
}

/// Decodes a record's value; `body` and `uuid` are slices of `value`, not copies. `key` is the Kafka record's key,
/// empty if it has none. Whoever wrote the record, an `Ok` can be put into a STOMP frame.
pub fn decode(value: Bytes, key: &[u8]) -> Result<Message, RecordError> {
    if key.is_empty() {
        return Err(RecordError::NoKey);
    }
    let message = Message::decode(value).map_err(RecordError::Decode)?;
    if message.uuid.len() != 16 {
        return Err(RecordError::Uuid);
    }
    if message.room.as_bytes() != key {
        return Err(RecordError::RoomMismatch);
    }
    room_is_valid(&message.room)?;
    if message.headers.iter().any(|Header { name, value }| name.is_empty() || has_nul(name) || has_nul(value)) {
        return Err(RecordError::Header);
    }
    if [&message.sender, &message.content_type, &message.idempotency_key].into_iter().any(|text| has_nul(text)) {
        return Err(RecordError::Nul);
    }
    Ok(message)
}

fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

fn varint_len(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// A length-delimited field whose number is below 16: one octet of tag.
fn nested_len(len: usize) -> usize {
    1 + varint_len(len) + len
}

/// proto3 leaves an empty field out.
fn field_len(content: &[u8]) -> usize {
    if content.is_empty() { 0 } else { nested_len(content.len()) }
}

fn header_len((name, value): (&str, &str)) -> usize {
    field_len(name.as_bytes()) + field_len(value.as_bytes())
}

fn put_varint(out: &mut BytesMut, mut n: usize) {
    while n >= 0x80 {
        out.put_u8(n as u8 | 0x80);
        n >>= 7;
    }
    out.put_u8(n as u8);
}

fn put_field(out: &mut BytesMut, number: u8, content: &[u8]) {
    if !content.is_empty() {
        out.put_u8(number << 3 | 2);
        put_varint(out, content.len());
        out.put_slice(content);
    }
}
