//! A WebSocket that gets back what it sends, text as text and binary as binary: for suites that judge how RFC 6455 is
//! kept. Nothing of it reaches the session, and the session's words do not reach it; everything else (the engine, the
//! queue with its bound, the endings) is what STOMP has.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use stomp_proto::{Config, Limits};
use tungstenite::Message;

use super::{
    Engine, Fault, Framing, Input, Transport,
    websocket::{WebSocket, frame},
};
use crate::spare::Spare;

/// The largest message of such a suite.
const MOST: usize = 16 << 20;
/// No CONNECT will come: this is how long a connection may last.
const LIFETIME: Duration = Duration::from_secs(3600);

/// One client's WebSocket.
pub struct Echo(WebSocket);

impl Echo {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self(WebSocket::new(limit))
    }

    /// What the session that hears nothing is bound by.
    pub(super) fn session(stomp: &Config) -> Arc<Config> {
        let limits = Limits { connect_frame_bytes: MOST, ..stomp.limits.clone() };
        Arc::new(Config { limits, connect_timeout: LIFETIME, ..stomp.clone() })
    }
}

impl Transport for Echo {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.0.read(octets, engines, replies, |message, out| match message {
            Message::Text(text) => {
                frame::append(out, frame::TEXT, text.as_bytes());
                ControlFlow::Continue(())
            }
            Message::Binary(octets) => {
                frame::append(out, frame::BINARY, octets);
                ControlFlow::Continue(())
            }
            Message::Pong(_) => sink(Input::LifeSign),
            Message::Close(_) => sink(Input::Close),
            Message::Ping(_) | Message::Frame(_) => ControlFlow::Continue(()),
        })
    }

    fn is_beat(&self, _: &[u8]) -> bool {
        false
    }

    fn is_within_message(&self) -> bool {
        self.0.is_within_message()
    }

    fn framing(&self) -> Framing {
        self.0.framing()
    }

    fn frame(&mut self, _: Vec<u8>) -> Bytes {
        Bytes::new()
    }

    fn beat(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        self.0.close(code, reason)
    }

    fn take_end(&mut self) -> bool {
        self.0.take_end()
    }

    fn closes_by_ending(&self) -> bool {
        self.0.closes_by_ending()
    }

    fn ping(&self) -> Option<Bytes> {
        self.0.ping()
    }

    fn limit(&mut self, octets: usize) {
        self.0.limit(octets);
    }
}
