//! A room on a plain WebSocket, for those who want no STOMP: what they say is a message to the room, what they hear is JSON.
//! The edge says for them what a client of STOMP would.

use std::ops::ControlFlow;

use bytes::Bytes;
use serde::Serialize;
use stomp_proto::{Command, frame::client::encode};
use tungstenite::Message as WebSocketMessage;

use super::{
    Engine, Fault, Framing, Input, Transport, WebSocket,
    json::{self, Said},
    websocket::frame,
};
use crate::{destination::TOPIC, message::Message, problem::Problem, spare::Spare};

const TEXT: &str = "text/plain;charset=utf-8";
const OCTETS: &str = "application/octet-stream";

/// One client's WebSocket.
pub struct RoomSocket {
    websocket: WebSocket,
    destination: Box<str>,
    /// The client's messages so far; each one's number is its receipt.
    count: u64,
}

/// What a client is told of its own messages, by their numbers.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Told<'a> {
    Stored {
        n: u64,
        id: &'a str,
        timestamp: i64,
    },
    Problem {
        problem: &'a Problem,
        #[serde(skip_serializing_if = "Option::is_none")]
        n: Option<u64>,
    },
}

impl RoomSocket {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(room: &str, limit: usize) -> Self {
        let destination = format!("{TOPIC}{room}").into();
        Self { websocket: WebSocket::new(limit), destination, count: 0 }
    }
}

impl Transport for RoomSocket {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let Self { websocket, destination, count } = self;
        let mut send = |content_type: &str, body: &[u8]| {
            *count += 1;
            let receipt = count.to_string();
            let headers = [("destination", &**destination), ("receipt", &receipt), ("content-type", content_type)];
            encode(Command::Send, headers, body, json::VERSION)
        };
        websocket.read(octets, engines, replies, |message, _| match message {
            WebSocketMessage::Text(text) => sink(Input::Stomp(&send(TEXT, text.as_bytes()))),
            WebSocketMessage::Binary(octets) => sink(Input::Stomp(&send(OCTETS, octets))),
            WebSocketMessage::Pong(_) => sink(Input::LifeSign),
            WebSocketMessage::Close(_) => sink(Input::Close),
            WebSocketMessage::Ping(_) | WebSocketMessage::Frame(_) => ControlFlow::Continue(()),
        })
    }

    fn is_beat(&self, _: &[u8]) -> bool {
        false
    }

    fn is_within_message(&self) -> bool {
        self.websocket.is_within_message()
    }

    fn framing(&self) -> Framing {
        Framing::RoomSocket
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        said(&stomp)
    }

    /// Nobody asks for beats here.
    fn beat(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        self.websocket.close(code, reason)
    }

    fn take_end(&mut self) -> bool {
        self.websocket.take_end()
    }

    fn closes_by_ending(&self) -> bool {
        self.websocket.closes_by_ending()
    }

    fn ping(&self) -> Option<Bytes> {
        self.websocket.ping()
    }

    fn limit(&mut self, octets: usize) {
        self.websocket.limit(octets);
    }
}

/// What a frame of the session says.
pub(super) fn said(stomp: &[u8]) -> Bytes {
    match json::said(stomp) {
        Said::Stored { receipt, id, timestamp } => {
            text(&Told::Stored { n: receipt.parse().unwrap_or_default(), id: &id, timestamp })
        }
        // The receipt of a SUBSCRIBE is no number of a message.
        Said::Problem { receipt, problem } => {
            text(&Told::Problem { problem: &problem, n: receipt.and_then(|receipt| receipt.parse().ok()) })
        }
        said @ Said::Subscribed { .. } => frame::message(128, |out| said.write(out)),
        Said::Connected | Said::Done { .. } => Bytes::new(),
    }
}

/// A message of the room.
pub(super) fn message(message: &Message, replayed: bool) -> Bytes {
    frame::message(message.cost(), |out| json::message(message, replayed, out))
}

fn text(told: &Told<'_>) -> Bytes {
    frame::message(256, |out| {
        // Nothing here has keys that are no strings, and a vector takes everything.
        let _ = serde_json::to_writer(out, told);
    })
}
