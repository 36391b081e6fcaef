//! How STOMP frames travel on a socket. Nothing outside this folder knows which transport a client uses.
//!
//! A transport turns octets from the socket into octets of STOMP, and a STOMP frame into octets for the socket. It
//! does no I/O: the worker owns the sockets.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::spare::Spare;

mod boundary;
mod websocket;

pub use websocket::{Engine, WebSocket, message_frame};

/// What came in.
#[derive(Debug)]
pub enum Input {
    /// Octets of the STOMP stream.
    Stomp(Bytes),
    /// The client is alive, nothing more (a pong).
    LifeSign,
    /// The client closes, or confirms that we do.
    Close,
}

/// Why a transport cannot go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client broke the transport's own protocol (WebSocket: 1002).
    Protocol,
    /// Text that is not UTF-8 (WebSocket: 1007).
    NotUtf8,
    /// A message above the limit (WebSocket: 1009).
    TooLarge,
}

/// What every transport offers.
pub trait Transport {
    /// Feeds octets read from the socket; calls `sink` for everything they complete, in order, until it says `Break`.
    /// What reading takes beside the octets is borrowed from `engines` for as long as a message is incomplete.
    /// Answers that the transport itself owes (a pong, a close) are appended to `replies`.
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input) -> ControlFlow<()>,
    ) -> Result<(), Fault>;

    /// Whether these octets, read from the socket, are one LF of the STOMP stream and nothing else.
    fn is_beat(&self, octets: &[u8]) -> bool;

    /// Wraps one whole STOMP frame.
    fn frame(&self, stomp: Vec<u8>) -> Bytes;

    /// One beat, wrapped.
    fn beat(&self) -> Bytes;

    /// What ends the stream in the transport's own terms.
    fn close(&mut self, code: u16, reason: &str) -> Bytes;

    /// A sign of life for clients that asked for no heart-beats.
    fn ping(&self) -> Bytes;

    /// The largest incoming message from now on.
    fn limit(&mut self, octets: usize);
}
