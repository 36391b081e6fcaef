//! Frames, by who sends them: [`client`] and [`server`].

pub mod client;
pub mod server;

use crate::Headers;
use bytes::Bytes;

/// The fifteen commands of STOMP 1.0 to 1.2; case-sensitive (F06).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Command {
    Connect,
    Stomp,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Connected,
    Message,
    Receipt,
    Error,
}

impl Command {
    /// Reads the first line of a frame.
    pub fn parse(name: &[u8]) -> Option<Command> {
        Some(match name {
            b"SEND" => Command::Send,
            b"SUBSCRIBE" => Command::Subscribe,
            b"UNSUBSCRIBE" => Command::Unsubscribe,
            b"ACK" => Command::Ack,
            b"NACK" => Command::Nack,
            b"BEGIN" => Command::Begin,
            b"COMMIT" => Command::Commit,
            b"ABORT" => Command::Abort,
            b"DISCONNECT" => Command::Disconnect,
            b"CONNECT" => Command::Connect,
            b"STOMP" => Command::Stomp,
            b"MESSAGE" => Command::Message,
            b"RECEIPT" => Command::Receipt,
            b"CONNECTED" => Command::Connected,
            b"ERROR" => Command::Error,
            _ => return None,
        })
    }

    /// The first line of a frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Command::Connect => "CONNECT",
            Command::Stomp => "STOMP",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Connected => "CONNECTED",
            Command::Message => "MESSAGE",
            Command::Receipt => "RECEIPT",
            Command::Error => "ERROR",
        }
    }

    /// CONNECT, STOMP and CONNECTED are written as they are, whatever version is agreed (H06).
    pub(crate) const fn is_unescaped(self) -> bool {
        matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }
}

/// One frame as read, of either side.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) command: Command,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}
