//! WebSocket (RFC 6455): tungstenite's protocol engine fed from memory; our own, unmasked frames going out.
//!
//! Between two whole messages an engine holds nothing that matters, so a connection borrows one only from the first
//! octet of a message to its last ([`Boundary`] knows where that is): an idle connection owns no engine and no buffer.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    ops::ControlFlow,
};

use bytes::Bytes;
use tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext},
};

use super::{Fault, Input, Transport, boundary::Boundary};
use crate::spare::Spare;

/// A payload above this is kept alive until the engine has read on, or its buffer would stay that large for good:
/// the engine takes its block back as soon as nobody shares it.
const HELD_BYTES: usize = 2 * 1024;
/// What the engine reads at a time. It clears so much before each read, and a borrowed one keeps it.
const READ_BYTES: usize = 1024;
/// The longest header of a frame that a server sends: no mask, 64-bit length.
const MAX_HEADER: usize = 10;

/// One client's WebSocket.
pub struct WebSocket {
    /// In the middle of a message, or of closing.
    engine: Option<Box<Engine>>,
    limit: u32,
    closing: bool,
}

/// What a WebSocket is read with.
pub struct Engine {
    context: WebSocketContext,
    boundary: Boundary,
}

impl Default for Engine {
    fn default() -> Self {
        Self { context: WebSocketContext::new(Role::Server, Some(settings(0))), boundary: Boundary::default() }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("boundary", &self.boundary).finish_non_exhaustive()
    }
}

/// The engine's view of the octets that one `read` of the socket gave.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl WebSocket {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(limit: usize) -> Self {
        let mut new = Self { engine: None, limit: 0, closing: false };
        new.limit(limit);
        new
    }
}

fn settings(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        // The default allocates and zeroes 128 KiB.
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
}

impl Transport for WebSocket {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut memory = Memory { input: octets, output: Vec::new() };
        let limit = self.limit as usize;
        let engine = self.engine.get_or_insert_with(|| {
            let mut engine = engines.take();
            engine.context.set_config(|config| *config = settings(limit));
            engine
        });
        engine.boundary.pass(octets);
        let mut held = None;
        let result = loop {
            let input = match engine.context.read(&mut memory) {
                Ok(Message::Text(text)) => Input::Stomp(text.into()),
                Ok(Message::Binary(bytes)) => Input::Stomp(bytes),
                Ok(Message::Pong(_)) => Input::LifeSign,
                Ok(Message::Close(_)) => Input::Close,
                Ok(Message::Ping(_) | Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break Ok(true),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Input::Close,
                // The client confirmed a close of ours, or broke off inside a frame because of it.
                Err(_) if self.closing => Input::Close,
                Err(Error::Capacity(_)) => break Err(Fault::TooLarge),
                Err(Error::Utf8(_)) => break Err(Fault::NotUtf8),
                Err(_) => break Err(Fault::Protocol),
            };
            if let Input::Stomp(payload) = &input
                && payload.len() > HELD_BYTES
            {
                held = Some(payload.clone());
            }
            let closed = matches!(input, Input::Close);
            if sink(input).is_break() || closed {
                break Ok(false);
            }
        };
        drop(held);
        if !self.closing {
            engine.context.flush(&mut memory).ok();
            if !memory.output.is_empty() {
                replies.push(memory.output.into());
            }
        }
        // All of it was read, and no message is incomplete.
        if matches!(result, Ok(true)) && !self.closing && engine.boundary.is_between_messages() {
            self.engine.take().into_iter().for_each(|engine| engines.give(engine));
        }
        result.map(|_| ())
    }

    fn is_beat(&self, octets: &[u8]) -> bool {
        let is_lf = matches!(*octets, [0x81 | 0x82, 0x81, mask, _, _, _, octet] if octet ^ mask == b'\n');
        // An engine is there in the middle of a message, which such octets may be a part of.
        is_lf && self.engine.is_none() && !self.closing
    }

    fn frame(&self, mut stomp: Vec<u8>) -> Bytes {
        // Moving a short frame up is cheaper than a second allocation.
        stomp.splice(0..0, [0; MAX_HEADER]);
        finish_frame(stomp)
    }

    fn beat(&self) -> Bytes {
        Bytes::from_static(&[0x81, 1, b'\n'])
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        self.closing = true;
        let mut memory = Memory { input: &[], output: Vec::new() };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // Fails only when a close is under way already; then nothing is left to say.
        self.engine.get_or_insert_default().context.close(&mut memory, Some(frame)).ok();
        memory.output.into()
    }

    fn ping(&self) -> Bytes {
        Bytes::from_static(&[0x89, 0])
    }

    fn limit(&mut self, octets: usize) {
        self.limit = u32::try_from(octets).unwrap_or(u32::MAX);
        if let Some(engine) = &mut self.engine {
            engine.context.set_config(|config| *config = settings(octets));
        }
    }
}

impl Read for Memory<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.output.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole WebSocket message around what `write` appends: one allocation, to be shared by everybody who gets it.
pub fn message_frame(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = start_frame(capacity);
    write(&mut frame);
    finish_frame(frame)
}

/// Room for the longest header, which is known only when the payload is there.
fn start_frame(payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(MAX_HEADER + payload);
    frame.resize(MAX_HEADER, 0);
    frame
}

/// Writes the header right in front of the payload and cuts off what it does not need. Text when the whole frame is
/// UTF-8, else binary (`stomp.md` W05, W15).
fn finish_frame(mut frame: Vec<u8>) -> Bytes {
    let payload = &frame[MAX_HEADER..];
    let length = payload.len();
    let first = if std::str::from_utf8(payload).is_ok() { 0x81 } else { 0x82 };
    let start = match length {
        0..126 => {
            frame[8..10].copy_from_slice(&[first, length as u8]);
            8
        }
        126..65_536 => {
            frame[6..8].copy_from_slice(&[first, 126]);
            frame[8..10].copy_from_slice(&(length as u16).to_be_bytes());
            6
        }
        _ => {
            frame[0..2].copy_from_slice(&[first, 127]);
            frame[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            0
        }
    };
    Bytes::from(frame).slice(start..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's frame, masked with zeros.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    #[derive(Debug, Clone)]
    enum Sent {
        Whole(Vec<u8>),
        Fragments(Vec<Vec<u8>>),
        Ping,
        Pong,
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let payload =
            || prop_oneof![prop::collection::vec(0u8..128, 0..60), prop::collection::vec(0u8..128, 100..3000)];
        prop_oneof![
            4 => payload().prop_map(Sent::Whole),
            2 => prop::collection::vec(payload(), 2..4).prop_map(Sent::Fragments),
            1 => Just(Sent::Ping),
            1 => Just(Sent::Pong),
        ]
    }

    fn written(all: &[Sent]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut octets, mut payloads) = (Vec::new(), Vec::new());
        for sent in all {
            match sent {
                Sent::Whole(payload) => {
                    octets.extend(frame(0x82, payload));
                    payloads.push(payload.clone());
                }
                Sent::Fragments(parts) => {
                    for (at, part) in parts.iter().enumerate() {
                        let fin = if at + 1 == parts.len() { 0x80 } else { 0 };
                        octets.extend(frame(fin | if at == 0 { 2 } else { 0 }, part));
                        // A control frame may stand between fragments.
                        octets.extend(frame(0x8a, b"!"));
                    }
                    payloads.push(parts.concat());
                }
                Sent::Ping => octets.extend(frame(0x89, b"?")),
                Sent::Pong => octets.extend(frame(0x8a, b"")),
            }
        }
        (octets, payloads)
    }

    proptest! {
        /// Two clients whose reads alternate share engines, and neither sees anything of the other.
        #[test]
        fn row_4_engines_are_shared_between_messages(
            all in [prop::collection::vec(sent(), 1..8), prop::collection::vec(sent(), 1..8)],
            steps in prop::collection::vec(1usize..900, 1..40),
        ) {
            let mut spare = Spare::new(1);
            let mut sockets = [WebSocket::new(1 << 20), WebSocket::new(1 << 20)];
            let written = [written(&all[0]), written(&all[1])];
            let (mut read, mut got, mut pongs) = ([0; 2], [vec![], vec![]], [0; 2]);
            for turn in 0.. {
                let who = turn % 2;
                let octets = &written[who].0;
                let until = (read[who] + steps[(turn / 2) % steps.len()]).min(octets.len());
                let mut replies = Vec::new();
                let result = sockets[who].handle_input(&octets[read[who]..until], &mut spare, &mut replies, &mut |input| {
                    if let Input::Stomp(payload) = input {
                        got[who].push(payload.to_vec());
                    }
                    ControlFlow::Continue(())
                });
                prop_assert_eq!(result, Ok(()));
                pongs[who] += replies.iter().map(|reply| reply.len() / 3).sum::<usize>();
                read[who] = until;
                if read[0] == written[0].0.len() && read[1] == written[1].0.len() {
                    break;
                }
            }
            for who in 0..2 {
                prop_assert_eq!(&got[who], &written[who].1);
                prop_assert_eq!(pongs[who], all[who].iter().filter(|sent| matches!(sent, Sent::Ping)).count());
                prop_assert!(sockets[who].engine.is_none(), "idle, and still with an engine");
            }
        }
    }

    #[test]
    fn row_7_b05_a_beat_is_known_between_messages_only() {
        let mut socket = WebSocket::new(1 << 20);
        assert!(socket.is_beat(&frame(0x81, b"\n")) && socket.is_beat(&[0x82, 0x81, 7, 1, 2, 3, b'\n' ^ 7]));
        for other in [frame(0x81, b"\0"), frame(0x01, b"\n"), frame(0x89, b"\n"), frame(0x81, b"\n\n"), vec![0x81]] {
            assert!(!socket.is_beat(&other), "{other:?}");
        }
        // The first eight octets of a message of eleven.
        let mut begun = frame(0x82, b"SEND\n.....\n");
        begun.truncate(14);
        socket.handle_input(&begun, &mut Spare::new(1), &mut Vec::new(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(!socket.is_beat(&frame(0x81, b"\n")));
    }

    #[test]
    fn row_4_a_websocket_is_small() {
        assert!(size_of::<WebSocket>() <= 16);
    }
}
