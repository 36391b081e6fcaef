//! Server-sent events (HTML, section 9.2): one way, in lines. Whoever asked for them speaks HTTP no further than its
//! request, so what it sends means nothing any more, and the end of its stream is its leaving.
//!
//! The status line waits for the session's word: who may not read hears it as HTTP says it. JSON has no line ends outside
//! of its strings and escapes those inside, so that nothing anybody wrote begins a line of its own here.

use std::ops::ControlFlow;

use bytes::Bytes;
use chat_proto::MessageId;
use serde::Serialize;

use super::{
    Engine, Fault, Framing, Input, Transport,
    end::End,
    json::{self, Said},
};
use crate::{disconnect::Ending, message::Message, problem::Problem, spare::Spare};

mod head;
mod places;

pub(crate) use places::BETWEEN;
use places::Places;

/// What a client has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The rooms, in the order in which they were named, and where each begins, as it was asked for.
    pub rooms: Box<[(Box<str>, Box<str>)]>,
    /// The fields that stand in any answer, a line each.
    pub fields: Box<str>,
    /// How long a client is to wait before it asks anew, in milliseconds: in general, and once this edge sends it away.
    pub retry_ms: (u32, u32),
    /// It wants to know only what the answer would be.
    pub head_only: bool,
}

/// One client's stream.
#[derive(Debug)]
pub struct Events {
    end: End,
    /// What the answer is made of, until its head is written.
    asked: Option<Box<Asked>>,
    /// Where each room of several is; of one, every event's own id says it.
    places: Option<Places>,
    return_ms: u32,
}

#[derive(Debug)]
struct Asked {
    fields: Box<str>,
    retry_ms: u32,
    head_only: bool,
}

/// The data of `subscribed`.
#[derive(Serialize)]
struct Subscribed<'a> {
    room: &'a str,
    position: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
}

impl Events {
    /// A stream that has not been answered yet.
    pub fn new(stream: Stream) -> Self {
        let Stream { rooms, fields, retry_ms, head_only } = stream;
        let asked = Asked { fields, retry_ms: retry_ms.0, head_only };
        let places = (rooms.len() > 1).then(|| Places::new(rooms));
        Self { end: End::default(), asked: Some(Box::new(asked)), places, return_ms: retry_ms.1 }
    }

    fn subscribed(&mut self, room: &str, position: &str, recovered: Option<bool>) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let asked = self.asked.take();
        if let Some(asked) = &asked {
            head::ok(&asked.fields, &mut out);
            line("retry", &asked.retry_ms.to_string(), &mut out);
            out.push(b'\n');
        }
        if asked.is_some_and(|asked| asked.head_only) {
            out.truncate(head::length(&out));
            return out;
        }
        line("event", "subscribed", &mut out);
        // What it began with stays valid until the first message, which is behind it.
        let stays = recovered == Some(true);
        match &mut self.places {
            Some(places) if stays => places.keep(room),
            Some(places) => {
                places.set(room, position);
                places.write(&mut out);
            }
            None if stays => {}
            None => line("id", position, &mut out),
        }
        data(&Subscribed { room, position, recovered }, &mut out);
        out
    }

    /// The answer itself as long as there is none, else the last event.
    fn problem(&mut self, problem: &Problem) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        match self.asked.take() {
            Some(asked) => head::problem(problem, &asked.fields, asked.head_only, &mut out),
            None => {
                line("event", "problem", &mut out);
                data(problem, &mut out);
            }
        }
        out
    }
}

impl Transport for Events {
    fn handle_input(
        &mut self,
        _: &[u8],
        _: &mut Spare<Engine>,
        _: &mut Vec<Bytes>,
        _: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn is_beat(&self, _: &[u8]) -> bool {
        false
    }

    fn is_within_message(&self) -> bool {
        false
    }

    fn framing(&self) -> Framing {
        if self.places.is_some() { Framing::EventsOfSeveral } else { Framing::Events }
    }

    fn has_places(&self) -> bool {
        self.places.is_some()
    }

    fn place(&mut self, subscription: u32, id: MessageId) -> Bytes {
        let mut out = Vec::new();
        if let Some(places) = &mut self.places {
            places.advance(subscription, id);
            places.write(&mut out);
        }
        out.into()
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        let out = match json::said(&stomp) {
            Said::Subscribed { room, position, recovered } => self.subscribed(&room, &position, recovered),
            Said::Problem { problem, .. } => self.problem(&problem),
            Said::Connected | Said::Stored { .. } | Said::Done { .. } => Vec::new(),
        };
        out.into()
    }

    /// A comment, so that neither client nor proxy takes the stream for dead.
    fn beat(&self) -> Bytes {
        if self.asked.is_some() { Bytes::new() } else { Bytes::from_static(b":\n\n") }
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        if !self.end.close() {
            return Bytes::new();
        }
        let is_this = |ending: &Ending| {
            let facts = ending.facts();
            facts.close == Some(code) && facts.reason == reason
        };
        let ending = Ending::all().find(is_this).unwrap_or(Ending::Internal);
        if self.asked.is_some() {
            return self.problem(&ending.into()).into();
        }
        let mut out = Vec::new();
        if ending.facts().may_retry {
            line("retry", &self.return_ms.to_string(), &mut out);
            out.push(b'\n');
        }
        out.into()
    }

    fn take_end(&mut self) -> bool {
        self.end.take()
    }

    fn closes_by_ending(&self) -> bool {
        true
    }

    /// Nothing obliges a client to answer; its system is asked by the keep-alive comments.
    fn ping(&self) -> Option<Bytes> {
        None
    }

    fn limit(&mut self, _: usize) {}
}

/// A message of a room, with its id where it is the only room.
pub(super) fn message(message: &Message, replayed: bool, only_room: bool) -> Bytes {
    let mut out = Vec::with_capacity(message.cost());
    if only_room {
        line("id", message.id.spelled(&mut [0; MessageId::MAX_LEN]), &mut out);
    }
    out.extend_from_slice(b"data: ");
    json::message(message, replayed, &mut out);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// Takes the first event off several: an empty line ends each.
pub fn take_event(events: &mut Bytes) -> Bytes {
    let end = events.windows(2).position(|two| two == b"\n\n").map_or(events.len(), |at| at + 2);
    events.split_to(end)
}

/// A field; `value` is the edge's own and has no line ends.
fn line(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The last field of an event: JSON, on one line.
fn data(object: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    // Nothing here has keys that are no strings, and a vector takes everything.
    let _ = serde_json::to_writer(&mut *out, object);
    out.extend_from_slice(b"\n\n");
}
