//! A request's session, as the core that runs it sees it: STOMP comes in, written by the edge itself for the request;
//! what goes out is JSON, a line each. The other end is the HTTP side's ([`crate::rooms`]).

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Engine, Fault, Framing, Input, Transport, end::End, json};
use crate::{message::Message, spare::Spare};

/// One request's session.
#[derive(Debug, Default)]
pub struct Lines {
    end: End,
}

impl Transport for Lines {
    fn handle_input(
        &mut self,
        octets: &[u8],
        _: &mut Spare<Engine>,
        _: &mut Vec<Bytes>,
        sink: &mut dyn FnMut(Input<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        if self.end.is_open() {
            let _ = sink(Input::Stomp(octets));
        }
        Ok(())
    }

    fn is_beat(&self, octets: &[u8]) -> bool {
        octets == b"\n" && self.end.is_open()
    }

    fn is_within_message(&self) -> bool {
        false
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        said(&stomp)
    }

    /// Nobody asks for beats here.
    fn beat(&self) -> Bytes {
        Bytes::new()
    }

    /// Where the messages that were there already end: a request that asks for those has all of them.
    fn caught_up(&self) -> Bytes {
        Bytes::from_static(b"{\"type\":\"live\"}\n")
    }

    fn close(&mut self, code: u16, _: &str) -> Bytes {
        if self.end.close() { format!("{{\"type\":\"close\",\"code\":{code}}}\n").into() } else { Bytes::new() }
    }

    fn take_end(&mut self) -> bool {
        self.end.take()
    }

    fn closes_by_ending(&self) -> bool {
        true
    }

    fn ping(&self) -> Option<Bytes> {
        None
    }

    fn limit(&mut self, _: usize) {}
}

/// A MESSAGE of a room.
pub(super) fn message(message: &Message, replayed: bool) -> Bytes {
    let mut line = Vec::with_capacity(message.cost());
    json::message(message, replayed, &mut line);
    line.push(b'\n');
    line.into()
}

/// What a frame of the session says.
pub(super) fn said(stomp: &[u8]) -> Bytes {
    let said = json::said(stomp);
    if said == json::Said::Connected {
        return Bytes::new();
    }
    let mut line = Vec::with_capacity(256);
    said.write(&mut line);
    line.push(b'\n');
    line.into()
}
