//! What servers send: the arguments of the encoder, and a decoder for load generators and tests.

use crate::{
    Headers, ProtocolError, Version,
    decode::{Decoder, Syntax},
    frame::Command,
};
use bytes::Bytes;

/// The owner's answer to CONNECT. Values are not escaped on CONNECTED (H06): line ends and NUL become spaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    /// The connection's id, not guessable.
    pub session: &'a str,
    /// `user-name`, when authenticated.
    pub user: Option<&'a str>,
    /// Further headers, such as `x-errors`.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The parts of an ERROR frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorFrame<'a> {
    /// A few words.
    pub message: &'a str,
    /// `x-error-code`.
    pub code: u16,
    /// The body, `text/plain`.
    pub detail: &'a str,
    /// The receipt of the frame that failed (E02).
    pub receipt_id: Option<&'a str>,
    /// Further headers, such as `retry-after`.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The parts of a MESSAGE frame that the server answers for; the sender's own headers are handed to
/// [`encode::message`](crate::encode::message) beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageFrame<'a> {
    /// The destination as this subscriber named it (M02).
    pub destination: &'a str,
    /// As the sender gave it (S04).
    pub content_type: Option<&'a str>,
    /// The SUBSCRIBE's id (M01).
    pub subscription: Option<&'a str>,
    /// The same for every receiver (M03).
    pub message_id: &'a str,
    /// What [`Session::delivered`](crate::Session::delivered) returned (M04).
    pub ack: Option<&'a str>,
    /// The server's own headers: sender, timestamp, …
    pub headers: &'a [(&'a str, &'a str)],
    /// Octet for octet.
    pub body: &'a [u8],
}

/// One frame of a server, as a client reads it.
#[derive(Clone, Debug)]
pub struct ServerFrame {
    /// CONNECTED, MESSAGE, RECEIPT or ERROR.
    pub command: Command,
    /// Its headers, decoded.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

/// Reads a server's frames from bytes in any pieces. Learns the version from CONNECTED.
#[derive(Default)]
pub struct ServerDecoder {
    decoder: Decoder,
    version: Option<Version>,
}

impl ServerDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> ServerDecoder {
        ServerDecoder::default()
    }

    /// A decoder behind CONNECTED, on a connection of this version.
    pub fn of_version(version: Version) -> ServerDecoder {
        ServerDecoder { decoder: Decoder::default(), version: Some(version) }
    }

    /// Appends input; beats between frames are skipped.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// What arrived is no server frame, or larger than 16 MiB.
    pub fn poll(&mut self) -> Result<Option<ServerFrame>, ProtocolError> {
        const MOST: usize = 16 << 20;
        let syntax = Syntax {
            version: self.version,
            frame_bytes: MOST,
            head_bytes: MOST,
            line_bytes: MOST,
            command_bytes: 32,
            headers: 10_000,
            body_bytes: MOST,
        };
        if !self.decoder.scan(&syntax)? {
            return Ok(None);
        }
        let Some(mut frame) = self.decoder.take() else { return Ok(None) };
        match frame.command {
            Command::Connected => {
                let version = frame.headers.get("version").and_then(Version::parse).unwrap_or(Version::V1_0);
                if version == Version::V1_0 {
                    frame.headers.trim_values();
                }
                self.version = Some(version);
            }
            Command::Message | Command::Receipt | Command::Error => {}
            _ => return Err(ProtocolError::malformed("a server does not send this command")),
        }
        Ok(Some(ServerFrame { command: frame.command, headers: frame.headers, body: frame.body }))
    }
}
