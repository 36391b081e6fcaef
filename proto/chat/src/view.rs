//! A record's value read where it lies: what [`decode`](crate::decode) reads, and what it refuses, without a copy.

use std::str;

use bytes::{Buf, Bytes};
use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field},
};

use crate::{RecordError, room_is_valid};

/// A `chat.v1.Message` as ranges into the record's value. As with any protobuf reader the last one of a repeated
/// singular field counts, and unknown fields are skipped.
#[derive(Debug, Clone, Default)]
pub struct View {
    value: Bytes,
    uuid: u32,
    room: Span,
    sender: Span,
    content_type: Span,
    idempotency_key: Span,
    body: Span,
    headers: Vec<(Span, Span)>,
}

/// A range of octets; a record is shorter than 4 GiB.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl View {
    /// Reads a record's value; `key` is the Kafka record's key, empty if it has none. It gives an error exactly where
    /// [`decode`](crate::decode) gives one, and the same.
    pub fn read(value: Bytes, key: &[u8]) -> Result<View, RecordError> {
        if key.is_empty() {
            return Err(RecordError::NoKey);
        }
        let mut view = View { value, ..View::default() };
        let uuid = view.parse().map_err(RecordError::Decode)?;
        if uuid.end - uuid.start != 16 {
            return Err(RecordError::Uuid);
        }
        view.uuid = uuid.start;
        if view.octets(view.room) != key {
            return Err(RecordError::RoomMismatch);
        }
        room_is_valid(view.room())?;
        let has_nul = |span: Span| view.octets(span).contains(&0);
        if view.headers.iter().any(|&(name, value)| name.start == name.end || has_nul(name) || has_nul(value)) {
            return Err(RecordError::Header);
        }
        if [view.sender, view.content_type, view.idempotency_key].into_iter().any(has_nul) {
            return Err(RecordError::Nul);
        }
        Ok(view)
    }

    /// The message's own id.
    pub fn uuid(&self) -> [u8; 16] {
        let start = self.uuid as usize;
        self.value.get(start..start + 16).and_then(|octets| octets.try_into().ok()).unwrap_or_default()
    }

    /// The room; the same octets as the record's key.
    pub fn room(&self) -> &str {
        self.text(self.room)
    }

    /// Who sent it; empty for producers that know no sender.
    pub fn sender(&self) -> &str {
        self.text(self.sender)
    }

    /// The sender's media type; empty if it gave none.
    pub fn content_type(&self) -> &str {
        self.text(self.content_type)
    }

    /// The sender's key for this message; empty if it gave none.
    pub fn idempotency_key(&self) -> &str {
        self.text(self.idempotency_key)
    }

    /// The sender's own headers, name and value, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|&(name, value)| (self.text(name), self.text(value)))
    }

    /// Opaque; delivered octet by octet.
    pub fn body(&self) -> &[u8] {
        self.octets(self.body)
    }

    /// Notes where each field lies; the place of the uuid.
    fn parse(&mut self) -> Result<Span, DecodeError> {
        let (value, mut uuid) = (self.value.clone(), Span::default());
        let mut rest = &value[..];
        while rest.has_remaining() {
            let (tag, wire_type) = decode_key(&mut rest)?;
            match tag {
                1 => uuid = blob(&value, &mut rest, wire_type)?,
                2 => {
                    check_wire_type(WireType::SixtyFourBit, wire_type)?;
                    skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
                }
                3 => self.room = string(&value, &mut rest, wire_type)?,
                4 => self.sender = string(&value, &mut rest, wire_type)?,
                5 => self.content_type = string(&value, &mut rest, wire_type)?,
                6 => {
                    let header = blob(&value, &mut rest, wire_type)?;
                    let header = nested(&value, header)?;
                    self.headers.push(header);
                }
                7 => self.body = blob(&value, &mut rest, wire_type)?,
                8 => self.idempotency_key = string(&value, &mut rest, wire_type)?,
                9 => drop(string(&value, &mut rest, wire_type)?),
                _ => skip_field(wire_type, tag, &mut rest, DecodeContext::default())?,
            }
        }
        Ok(uuid)
    }

    fn octets(&self, span: Span) -> &[u8] {
        self.value.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Every text was checked when it was read, so the empty fallback is never taken.
    fn text(&self, span: Span) -> &str {
        str::from_utf8(self.octets(span)).unwrap_or_default()
    }
}

/// Name and value of one header.
fn nested(value: &[u8], header: Span) -> Result<(Span, Span), DecodeError> {
    let whole = &value[..header.end as usize];
    let mut rest = &whole[header.start as usize..];
    let (mut name, mut text) = (Span::default(), Span::default());
    while rest.has_remaining() {
        let (tag, wire_type) = decode_key(&mut rest)?;
        match tag {
            1 => name = string(whole, &mut rest, wire_type)?,
            2 => text = string(whole, &mut rest, wire_type)?,
            _ => skip_field(wire_type, tag, &mut rest, DecodeContext::default())?,
        }
    }
    Ok((name, text))
}

/// A length-delimited field of `value`, which `rest` is the end of.
fn blob(value: &[u8], rest: &mut &[u8], wire_type: WireType) -> Result<Span, DecodeError> {
    check_wire_type(WireType::LengthDelimited, wire_type)?;
    let mut ahead = *rest;
    let length = decode_varint(&mut ahead)?;
    let start = value.len() - ahead.len();
    // Complains as prost does about what is longer than the rest.
    skip_field(wire_type, 1, rest, DecodeContext::default())?;
    Ok(Span { start: start as u32, end: (start as u64 + length) as u32 })
}

fn string(value: &[u8], rest: &mut &[u8], wire_type: WireType) -> Result<Span, DecodeError> {
    let mut before = *rest;
    let span = blob(value, rest, wire_type)?;
    if str::from_utf8(&value[span.start as usize..span.end as usize]).is_err() {
        // prost's own words for it.
        prost::encoding::string::merge(wire_type, &mut String::new(), &mut before, DecodeContext::default())?;
    }
    Ok(span)
}
