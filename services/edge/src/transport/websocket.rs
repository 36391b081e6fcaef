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

use super::{Fault, Framing, Input, Transport, boundary::Boundary};
use crate::spare::Spare;

pub(super) mod frame;
#[cfg(test)]
mod tests;

/// A payload above this is kept alive until the engine has read on, or its buffer would stay that large for good:
/// the engine takes its block back as soon as nobody shares it.
const HELD_BYTES: usize = 2 * 1024;
/// What the engine reads at a time. It clears so much before each read, and a borrowed one keeps it.
const READ_BYTES: usize = 1024;

/// One client's WebSocket.
pub struct WebSocket {
    /// In the middle of a message, or of closing.
    engine: Option<Box<Engine>>,
    limit: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// We have closed; the client's answer is awaited.
    Closing,
    /// Nobody knows any more where in the stream a frame begins: nothing more is read, and we have to close.
    Failed,
    /// The same, and we have closed. The client's answer could not be told from anything else, so the stream is to end
    /// as soon as all is written (RFC 6455, section 7.1.7).
    EndDue,
    Ended,
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

/// How far reading came.
enum Progress {
    All,
    Closed,
    /// By the client's fault, or because whoever is given the messages wants no more.
    Broken(Option<Fault>),
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

impl WebSocket {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(limit: usize) -> Self {
        let mut new = Self { engine: None, limit: 0, state: State::Open };
        new.limit(limit);
        new
    }

    /// Whether neither side has closed, and everything could be read.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether no message is incomplete, and none is the last.
    pub(super) fn is_between_messages(&self) -> bool {
        // An engine is there in the middle of a message.
        self.engine.is_none() && self.state == State::Open
    }

    /// Reads messages until the octets are used up, the client closes, or `take` says `Break`. `take` gets them in order,
    /// pings that are answered already among them, and may write frames of its own behind those answers.
    pub(super) fn read(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        mut take: impl FnMut(&Message, &mut Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        if !matches!(self.state, State::Open | State::Closing) {
            return Ok(());
        }
        let mut memory = Memory { input: octets, output: Vec::new() };
        let limit = self.limit as usize;
        let engine = self.engine.get_or_insert_with(|| {
            let mut engine = engines.take();
            engine.context.set_config(|config| *config = settings(limit));
            engine
        });
        engine.boundary.pass(octets);
        let mut held = None;
        let progress = loop {
            let message = match engine.context.read(&mut memory) {
                Ok(message) => message,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break Progress::All,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Message::Close(None),
                Err(Error::Capacity(_)) => break Progress::Broken(Some(Fault::TooLarge)),
                Err(Error::Utf8(_)) => break Progress::Broken(Some(Fault::NotUtf8)),
                Err(_) => break Progress::Broken(Some(Fault::Protocol)),
            };
            let flow = take(&message, &mut memory.output);
            if message.is_close() {
                break Progress::Closed;
            }
            if flow.is_break() {
                break Progress::Broken(None);
            }
            if message.len() > HELD_BYTES {
                held = Some(message);
            }
        };
        drop(held);
        let closing = self.state == State::Closing;
        if !closing {
            engine.context.flush(&mut memory).ok();
            if !memory.output.is_empty() {
                replies.push(memory.output.into());
            }
        }
        match progress {
            Progress::All if !closing && engine.boundary.is_between_messages() => {
                self.engine.take().into_iter().for_each(|engine| engines.give(engine));
            }
            Progress::All | Progress::Closed => {}
            Progress::Broken(fault) => {
                self.engine = None;
                self.state = if closing { State::EndDue } else { State::Failed };
                return fault.filter(|_| !closing).map_or(Ok(()), Err);
            }
        }
        Ok(())
    }
}

impl Transport for WebSocket {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.read(octets, engines, replies, |message, _| match message {
            Message::Text(text) => sink(Input::Stomp(text.as_bytes())),
            Message::Binary(bytes) => sink(Input::Stomp(bytes)),
            Message::Pong(_) => sink(Input::LifeSign),
            Message::Close(_) => sink(Input::Close),
            Message::Ping(_) | Message::Frame(_) => ControlFlow::Continue(()),
        })
    }

    fn is_beat(&self, octets: &[u8]) -> bool {
        let is_lf = matches!(*octets, [0x81 | 0x82, 0x81, mask, _, _, _, octet] if octet ^ mask == b'\n');
        // In the middle of a message such octets may be a part of it.
        is_lf && self.is_between_messages()
    }

    fn is_within_message(&self) -> bool {
        self.engine.is_some()
    }

    fn framing(&self) -> Framing {
        Framing::WebSocket
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        frame::wrap(stomp)
    }

    fn beat(&self) -> Bytes {
        Bytes::from_static(&[frame::TEXT, 1, b'\n'])
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        match self.state {
            State::Open => self.state = State::Closing,
            State::Failed => {
                self.state = State::EndDue;
                return frame::close(code, reason);
            }
            State::Closing | State::EndDue | State::Ended => return Bytes::new(),
        }
        let mut memory = Memory { input: &[], output: Vec::new() };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let limit = self.limit as usize;
        let engine = self.engine.get_or_insert_default();
        // What the client has sent before it hears of this is still read, and passed over.
        engine.context.set_config(|config| *config = settings(limit));
        // Fails only when the client has closed already; then nothing is left to say.
        engine.context.close(&mut memory, Some(frame)).ok();
        memory.output.into()
    }

    fn take_end(&mut self) -> bool {
        let due = self.state == State::EndDue;
        if due {
            self.state = State::Ended;
        }
        due
    }

    fn closes_by_ending(&self) -> bool {
        false
    }

    fn ping(&self) -> Option<Bytes> {
        Some(Bytes::from_static(&[0x89, 0]))
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
