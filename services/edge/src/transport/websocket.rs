//! WebSocket (RFC 6455): tungstenite's protocol engine fed from memory; our own, unmasked frames going out.

use std::{
    io::{self, ErrorKind, Read, Write},
    ops::ControlFlow,
};

use bytes::Bytes;
use tungstenite::{
    Error, Message,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext},
};

use super::{Fault, Input, Transport};

/// A payload above this is kept alive until the engine has read on, or its buffer would stay that large for good:
/// the engine takes its block back as soon as nobody shares it.
const HELD_BYTES: usize = 2 * 1024;
/// The longest header of a frame that a server sends: no mask, 64-bit length.
const MAX_HEADER: usize = 10;

/// One client's WebSocket.
pub struct WebSocket {
    engine: WebSocketContext,
    closing: bool,
}

/// The engine's view of the octets that one `read` of the socket gave.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl WebSocket {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self { engine: WebSocketContext::new(Role::Server, Some(settings(limit))), closing: false }
    }
}

fn settings(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        // The default allocates and zeroes 128 KiB per connection. With 0 the engine reads a frame's header and then
        // just its payload.
        .read_buffer_size(0)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
}

impl Transport for WebSocket {
    fn handle_input(
        &mut self,
        octets: &[u8],
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut memory = Memory { input: octets, output: Vec::new() };
        let mut held = None;
        let result = loop {
            let input = match self.engine.read(&mut memory) {
                Ok(Message::Text(text)) => Input::Stomp(text.into()),
                Ok(Message::Binary(bytes)) => Input::Stomp(bytes),
                Ok(Message::Pong(_)) => Input::LifeSign,
                Ok(Message::Close(_)) => Input::Close,
                Ok(Message::Ping(_) | Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
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
                break Ok(());
            }
        };
        drop(held);
        if !self.closing {
            self.engine.flush(&mut memory).ok();
            if !memory.output.is_empty() {
                replies.push(memory.output.into());
            }
        }
        result
    }

    fn frame(&self, stomp: &[u8]) -> Bytes {
        let mut frame = start_frame(stomp.len());
        frame.extend_from_slice(stomp);
        finish_frame(frame)
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        self.closing = true;
        let mut memory = Memory { input: &[], output: Vec::new() };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        // Fails only when a close is under way already; then nothing is left to say.
        self.engine.close(&mut memory, Some(frame)).ok();
        memory.output.into()
    }

    fn ping(&self) -> Bytes {
        Bytes::from_static(&[0x89, 0])
    }

    fn limit(&mut self, octets: usize) {
        self.engine.set_config(|config| *config = settings(octets));
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
