//! SockJS over XHR, as a worker sees it: a stream whose other end is the HTTP side's. What comes in are the octets that
//! the client's strings held; what goes out are SockJS's frames, a line each.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{array, capacity, close};
use crate::{
    spare::Spare,
    transport::{Engine, Fault, Framing, Input, Transport, end::End},
};

/// One client that polls.
#[derive(Debug, Default)]
pub struct Xhr {
    end: End,
}

impl Transport for Xhr {
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

    fn greeting(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"o\n"))
    }

    fn framing(&self) -> Framing {
        Framing::SockJsXhr
    }

    fn frame(&mut self, stomp: Vec<u8>) -> Bytes {
        message(0, |out| *out = stomp)
    }

    fn beat(&self) -> Bytes {
        Bytes::from_static(b"a[\"\\n\"]\n")
    }

    fn close(&mut self, code: u16, reason: &str) -> Bytes {
        if !self.end.close() {
            return Bytes::new();
        }
        let mut line = Vec::new();
        close(code, reason, &mut line);
        line.push(b'\n');
        line.into()
    }

    fn take_end(&mut self) -> bool {
        self.end.take()
    }

    /// Who goes away without DISCONNECT has stopped polling; the HTTP side ends the stream then.
    fn closes_by_ending(&self) -> bool {
        true
    }

    /// Whether somebody is there is seen by the HTTP side, which says `h` too.
    fn ping(&self) -> Option<Bytes> {
        None
    }

    fn limit(&mut self, _: usize) {}
}

/// A whole MESSAGE around what `write` appends.
pub(in crate::transport) fn message(capacity_of_stomp: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut stomp = Vec::with_capacity(capacity_of_stomp);
    write(&mut stomp);
    let mut line = Vec::with_capacity(capacity(stomp.len()));
    array(&stomp, &mut line);
    line.push(b'\n');
    line.into()
}
