//! SockJS's transport `websocket`: an `o` at once, then strings both ways, `c` before the WebSocket's own close.

use std::ops::ControlFlow;

use bytes::Bytes;
use tungstenite::Message;

use super::{
    array, capacity, close,
    json::{self, Decoder},
    message_limit,
};
use crate::{
    spare::Spare,
    transport::{Engine, Fault, Framing, Input, Transport, WebSocket, websocket::frame},
};

/// One client's SockJS on a WebSocket.
pub struct SockJs {
    websocket: WebSocket,
    decoder: Decoder,
    /// What the strings hold goes back to the client, not to STOMP.
    echo: bool,
    /// The client does not speak SockJS: it is not told why in SockJS's terms either (J11).
    broken: bool,
}

impl SockJs {
    /// A server's side; STOMP frames are limited to `limit` octets.
    pub fn new(limit: usize) -> Self {
        let websocket = WebSocket::new(message_limit(limit));
        Self { websocket, decoder: Decoder::default(), echo: false, broken: false }
    }

    /// One whose client gets back what it sends, for conformance suites.
    pub fn echo(limit: usize) -> Self {
        Self { echo: true, ..Self::new(limit) }
    }
}

impl Transport for SockJs {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let is_open = self.websocket.is_open();
        let Self { websocket, decoder, echo, broken } = self;
        let result = websocket.read(octets, engines, replies, |message, out| match message {
            Message::Text(text) if *echo => match json::each(text) {
                Ok(strings) => {
                    strings.iter().for_each(|string| send_back(string, out));
                    ControlFlow::Continue(())
                }
                Err(_) => {
                    *broken = true;
                    ControlFlow::Break(())
                }
            },
            Message::Text(text) => match decoder.strings(text) {
                Ok(stomp) if stomp.is_empty() => ControlFlow::Continue(()),
                Ok(stomp) => sink(Input::Stomp(&stomp)),
                Err(_) => {
                    *broken = true;
                    ControlFlow::Break(())
                }
            },
            Message::Binary(_) => {
                *broken = true;
                ControlFlow::Break(())
            }
            Message::Pong(_) => sink(Input::LifeSign),
            Message::Close(_) => sink(Input::Close),
            Message::Ping(_) | Message::Frame(_) => ControlFlow::Continue(()),
        });
        // Told once, like every fault: what comes behind it, or behind a close of ours, is passed over.
        if self.broken && is_open { Err(Fault::NotSockJs) } else { result }
    }

    /// `["\n"]`, masked.
    fn is_beat(&self, octets: &[u8]) -> bool {
        let Some((&[0x81, 0x86, a, b, c, d], payload)) = octets.split_first_chunk() else { return false };
        let unmasked = payload.iter().zip([a, b, c, d, a, b]).map(|(octet, mask)| octet ^ mask);
        !self.echo && self.websocket.is_between_messages() && payload.len() == 6 && unmasked.eq(*br#"["\n"]"#)
    }

    fn is_within_message(&self) -> bool {
        self.websocket.is_within_message()
    }

    fn greeting(&self) -> Option<Bytes> {
        Some(Bytes::from_static(&[frame::TEXT, 1, b'o']))
    }

    fn framing(&self) -> Framing {
        Framing::SockJs
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        message(0, |out| *out = stomp)
    }

    fn beat(&self) -> Bytes {
        Bytes::from_static(b"\x81\x07a[\"\\n\"]")
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        let end = self.websocket.close(code, reason);
        if end.is_empty() || self.broken {
            return end;
        }
        let (mut text, mut out) = (Vec::new(), Vec::new());
        close(code, reason, &mut text);
        frame::append(&mut out, frame::TEXT, &text);
        out.extend_from_slice(&end);
        out.into()
    }

    fn take_end(&mut self) -> bool {
        self.websocket.take_end()
    }

    fn closes_by_ending(&self) -> bool {
        self.websocket.closes_by_ending()
    }

    /// `h` obliges nobody to answer, so that a ping goes with it.
    fn ping(&self) -> Option<Bytes> {
        Some(Bytes::from_static(&[frame::TEXT, 1, b'h', 0x89, 0]))
    }

    fn limit(&mut self, octets: usize) {
        self.websocket.limit(message_limit(octets));
    }
}

fn send_back(string: &str, out: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(capacity(string.len()));
    array(string.as_bytes(), &mut text);
    frame::append(out, frame::TEXT, &text);
}

/// A whole MESSAGE around what `write` appends.
pub(in crate::transport) fn message(capacity_of_stomp: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut stomp = Vec::with_capacity(capacity_of_stomp);
    write(&mut stomp);
    frame::message(capacity(stomp.len()), |out| array(&stomp, out))
}
