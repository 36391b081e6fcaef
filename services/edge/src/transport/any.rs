//! The transports there are, as one type: a connection owns one, and never asks which.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;

use super::{
    Echo, Engine, Fault, Framing, Input, Lines, Tcp, Transport, WebSocket,
    sockjs::{SockJs, Xhr},
};
use crate::spare::Spare;

/// What is spoken on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// No STOMP: a SockJS client over WebSocket that gets back what it sends.
    SockJsEcho,
    /// No STOMP: a WebSocket that gets back what it sends.
    Echo,
}

impl Kind {
    /// What a session of this kind is bound by.
    pub fn session(self, stomp: &Arc<stomp_proto::Config>) -> Arc<stomp_proto::Config> {
        match self {
            Self::WebSocket | Self::Tcp | Self::SockJs | Self::SockJsXhr | Self::Lines => Arc::clone(stomp),
            Self::Echo | Self::SockJsEcho => Echo::session(stomp),
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
            Kind::SockJsEcho => Self::SockJs(Box::new(SockJs::echo(limit))),
            Kind::Echo => Self::Echo(Box::new(Echo::new(limit))),
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

    fn frame(&self, stomp: Vec<u8>) -> Bytes {
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
