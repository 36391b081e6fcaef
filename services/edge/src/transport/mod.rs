//! How STOMP frames travel on a socket. Nothing outside this folder knows which transport a client uses.
//!
//! A transport turns octets from the socket into octets of STOMP, and a STOMP frame into octets for the socket. It
//! does no I/O: the worker owns the sockets.
//!
//! | to add a transport | what |
//! |---|---|
//! | `<name>.rs` | a type with [`Transport`] |
//! | `any.rs` | a variant of [`AnyTransport`], no larger than two words, and of [`Kind`] |
//! | [`Framing`] | a variant, if its MESSAGE frames are octets of their own |
//! | `server.rs`, `upgrade.rs` | where its sockets come from |

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use chat_proto::MessageId;

use crate::{message::Message, spare::Spare};

mod any;
mod boundary;
mod echo;
mod end;
mod events;
pub mod json;
mod lines;
mod room_socket;
pub mod sockjs;
mod tcp;
mod websocket;

pub use any::{AnyTransport, Kind};
pub use echo::Echo;
pub(crate) use events::BETWEEN;
pub use events::{Events, Stream, take_event};
pub use lines::Lines;
pub use room_socket::RoomSocket;
pub use tcp::Tcp;
pub use websocket::{Engine, WebSocket};

/// What came in.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets of the STOMP stream.
    Stomp(&'a [u8]),
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
    /// A message that is not strings in JSON.
    NotSockJs,
}

/// How a STOMP frame stands on the socket. Clients that differ in it cannot share octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A text or binary message of WebSocket.
    WebSocket,
    /// As it is, and an LF behind it (`stomp.md` F26).
    Tcp,
    /// SockJS's frame in a text message of WebSocket.
    SockJs,
    /// SockJS's frame and an LF.
    SockJsXhr,
    /// No STOMP: JSON and an LF.
    Lines,
    /// No STOMP: an event with the message's id.
    Events,
    /// The same without an id, which is each client's own.
    EventsOfSeveral,
    /// No STOMP: JSON in a text message of WebSocket.
    RoomSocket,
}

impl Framing {
    /// A whole MESSAGE around what `write` appends: one allocation, to be shared by everybody who gets it.
    pub fn message(self, capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        match self {
            Self::WebSocket => websocket::frame::message(capacity, write),
            Self::Tcp => tcp::message(capacity, write),
            Self::SockJs => sockjs::message(capacity, write),
            Self::SockJsXhr => sockjs::line_message(capacity, write),
            Self::Lines => {
                let mut stomp = Vec::with_capacity(capacity);
                write(&mut stomp);
                lines::said(&stomp)
            }
            Self::RoomSocket => {
                let mut stomp = Vec::with_capacity(capacity);
                write(&mut stomp);
                room_socket::said(&stomp)
            }
            // Nobody here has asked for soft errors, and nothing else is said so.
            Self::Events | Self::EventsOfSeveral => Bytes::new(),
        }
    }

    /// A message of a room, for clients that speak no STOMP; to be shared by everybody who gets it.
    pub fn object(self, message: &Message, replayed: bool) -> Option<Bytes> {
        match self {
            Self::WebSocket | Self::Tcp | Self::SockJs | Self::SockJsXhr => None,
            Self::Lines => Some(lines::message(message, replayed)),
            Self::Events => Some(events::message(message, replayed, true)),
            Self::EventsOfSeveral => Some(events::message(message, replayed, false)),
            Self::RoomSocket => Some(room_socket::message(message, replayed)),
        }
    }

    /// Whether STOMP's frames are said, and not objects.
    pub fn is_stomp(self) -> bool {
        matches!(self, Self::WebSocket | Self::Tcp | Self::SockJs | Self::SockJsXhr)
    }

    /// A body as it can be said in this framing.
    pub fn body(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::SockJs | Self::SockJsXhr => sockjs::text_body(body),
            _ => Cow::Borrowed(body),
        }
    }
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
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault>;

    /// Whether these octets, read from the socket, are one LF of the STOMP stream and nothing else.
    fn is_beat(&self, octets: &[u8]) -> bool;

    /// What the server says first, before it knows anything of the client.
    fn greeting(&self) -> Option<Bytes> {
        None
    }

    /// Whether the client is in the middle of something that will be octets of STOMP only when it is complete.
    fn is_within_message(&self) -> bool;

    /// How the MESSAGEs that it shares with others stand on the socket.
    fn framing(&self) -> Framing;

    /// What a client is told when a subscription has everything that is there; what follows comes live.
    fn caught_up(&self) -> Bytes {
        Bytes::new()
    }

    /// Whether each message is said together with where this client is in all of its rooms: see [`Transport::place`].
    fn has_places(&self) -> bool {
        false
    }

    /// What stands before a message of this subscription, and is this client's own.
    fn place(&mut self, _subscription: u32, _id: MessageId) -> Bytes {
        Bytes::new()
    }

    /// Wraps one whole STOMP frame.
    fn frame(&mut self, stomp: Vec<u8>) -> Bytes;

    /// One beat, wrapped.
    fn beat(&self) -> Bytes;

    /// What ends the stream in the transport's own terms, and nothing if only the end of the stream does.
    fn close(&mut self, code: u16, reason: &str) -> Bytes;

    /// After [`Transport::close`], and once all is written: whether the stream is to be ended now, without waiting for the
    /// client to confirm. Says so once.
    fn take_end(&mut self) -> bool;

    /// Whether the end of the client's stream is how it closes; else it has broken off.
    fn closes_by_ending(&self) -> bool;

    /// A sign of life for clients that asked for no heart-beats, if it obliges them to answer.
    fn ping(&self) -> Option<Bytes>;

    /// The largest incoming message from now on.
    fn limit(&mut self, octets: usize);
}
