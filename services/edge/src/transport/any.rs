//! The transports there are, as one type: a connection owns one, and never asks which.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use chat_proto::MessageId;

use super::{
    Echo, Engine, Events, Fault, Framing, Input, Lines, RoomSocket, Stream, Tcp, Transport, WebSocket,
    sockjs::{SockJs, Xhr},
};
use crate::{metrics::Spoken, spare::Spare};

/// What is spoken on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// STOMP over WebSocket.
    WebSocket,
    /// STOMP on the bare stream.
    Tcp,
    /// STOMP in SockJS's frames, over WebSocket.
    SockJs,
    /// The same over XHR; the stream is one to the HTTP side.
    SockJsXhr,
    /// A request's session: STOMP that the edge writes for it, answered in lines of JSON.
    Lines,
    /// Server-sent events: what was asked for. STOMP is written by the edge.
    Events(Box<Stream>),
    /// A room on a plain WebSocket: its name. STOMP is written by the edge.
    RoomSocket(Box<str>),
    /// No STOMP: a SockJS client over WebSocket that gets back what it sends.
    SockJsEcho,
    /// No STOMP: a WebSocket that gets back what it sends.
    Echo,
}

impl Kind {
    /// What a session of this kind is bound by.
    pub fn session(&self, stomp: &Arc<stomp_proto::Config>) -> Arc<stomp_proto::Config> {
        match self {
            Self::Echo | Self::SockJsEcho => Echo::session(stomp),
            _ => Arc::clone(stomp),
        }
    }
}

/// One client's transport. Every connection has one, so it is two words at most: what is larger stands in a box.
pub enum AnyTransport {
    /// STOMP over WebSocket.
    WebSocket(WebSocket),
    /// STOMP on the bare stream.
    Tcp(Tcp),
    /// STOMP in SockJS's frames, over WebSocket.
    SockJs(Box<SockJs>),
    /// The same over XHR.
    SockJsXhr(Xhr),
    /// A request's session.
    Lines(Lines),
    /// Server-sent events.
    Events(Box<Events>),
    /// A room on a plain WebSocket.
    RoomSocket(Box<RoomSocket>),
    /// A WebSocket that gets back what it sends.
    Echo(Box<Echo>),
}

impl AnyTransport {
    /// A server's side; incoming messages are limited to `limit` octets.
    pub fn new(kind: Kind, limit: usize) -> Self {
        match kind {
            Kind::WebSocket => Self::WebSocket(WebSocket::new(limit)),
            Kind::Tcp => Self::Tcp(Tcp::default()),
            Kind::SockJs => Self::SockJs(Box::new(SockJs::new(limit))),
            Kind::SockJsXhr => Self::SockJsXhr(Xhr::default()),
            Kind::Lines => Self::Lines(Lines::default()),
            Kind::Events(stream) => Self::Events(Box::new(Events::new(*stream))),
            Kind::RoomSocket(room) => Self::RoomSocket(Box::new(RoomSocket::new(&room, limit))),
            Kind::SockJsEcho => Self::SockJs(Box::new(SockJs::echo(limit))),
            Kind::Echo => Self::Echo(Box::new(Echo::new(limit))),
        }
    }
}

impl AnyTransport {
    /// What its sessions are counted as.
    pub fn spoken(&self) -> Spoken {
        match self {
            Self::WebSocket(_) | Self::Echo(_) => Spoken::WebSocket,
            Self::Tcp(_) => Spoken::Tcp,
            Self::SockJs(_) | Self::SockJsXhr(_) => Spoken::SockJs,
            Self::Lines(_) => Spoken::Poll,
            Self::Events(_) => Spoken::Events,
            Self::RoomSocket(_) => Spoken::Socket,
        }
    }
}

macro_rules! whichever {
    ($any:expr, $it:ident => $what:expr) => {
        match $any {
            AnyTransport::WebSocket($it) => $what,
            AnyTransport::Tcp($it) => $what,
            AnyTransport::SockJs($it) => $what,
            AnyTransport::SockJsXhr($it) => $what,
            AnyTransport::Lines($it) => $what,
            AnyTransport::Events($it) => $what,
            AnyTransport::RoomSocket($it) => $what,
            AnyTransport::Echo($it) => $what,
        }
    };
}

impl Transport for AnyTransport {
    fn handle_input(
        &mut self,
        octets: &[u8],
        engines: &mut Spare<Engine>,
        replies: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        whichever!(self, it => it.handle_input(octets, engines, replies, sink))
    }

    fn is_beat(&self, octets: &[u8]) -> bool {
        whichever!(self, it => it.is_beat(octets))
    }

    fn greeting(&self) -> Option<Bytes> {
        whichever!(self, it => it.greeting())
    }

    fn is_within_message(&self) -> bool {
        whichever!(self, it => it.is_within_message())
    }

    fn framing(&self) -> Framing {
        whichever!(self, it => it.framing())
    }

    fn caught_up(&self) -> Bytes {
        whichever!(self, it => it.caught_up())
    }

    fn has_places(&self) -> bool {
        whichever!(self, it => it.has_places())
    }

    fn place(&mut self, subscription: u32, id: MessageId) -> Bytes {
        whichever!(self, it => it.place(subscription, id))
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        whichever!(self, it => it.frame(stomp))
    }

    fn beat(&self) -> Bytes {
        whichever!(self, it => it.beat())
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        whichever!(self, it => it.close(code, reason))
    }

    fn take_end(&mut self) -> bool {
        whichever!(self, it => it.take_end())
    }

    fn closes_by_ending(&self) -> bool {
        whichever!(self, it => it.closes_by_ending())
    }

    fn ping(&self) -> Option<Bytes> {
        whichever!(self, it => it.ping())
    }

    fn limit(&mut self, octets: usize) {
        whichever!(self, it => it.limit(octets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_4_no_transport_makes_an_idle_websocket_larger() {
        assert!(size_of::<AnyTransport>() <= size_of::<WebSocket>().max(16));
    }
}
