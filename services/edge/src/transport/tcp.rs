//! STOMP straight on TCP, as clients outside of browsers speak it. There is nothing to unwrap, so every limit is the
//! session's; an LF follows each frame (`stomp.md` F26), and the end of the stream is the close.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Engine, Fault, Framing, Input, Transport, end::End};
use crate::spare::Spare;

/// One client's bare stream.
#[derive(Debug, Default)]
pub struct Tcp {
    end: End,
}

impl Transport for Tcp {
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
        Framing::Tcp
    }

    fn frame(&mut self, mut stomp: Vec<u8>) -> Bytes {
        stomp.push(b'\n');
        stomp.into()
    }

    fn beat(&self) -> Bytes {
        Bytes::from_static(b"\n")
    }

    fn close(&mut self, _: u16, _: &str) -> Bytes {
        self.end.close();
        Bytes::new()
    }

    fn take_end(&mut self) -> bool {
        self.end.take()
    }

    fn closes_by_ending(&self) -> bool {
        true
    }

    /// An LF would be a sign of life to the client, but it owes none in return: its system is asked instead, by the
    /// keep-alive of the socket.
    fn ping(&self) -> Option<Bytes> {
        None
    }

    fn limit(&mut self, _: usize) {}
}

/// A whole MESSAGE around what `write` appends.
pub(super) fn message(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(capacity + 1);
    write(&mut frame);
    frame.push(b'\n');
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F26: an LF behind the NUL of every frame, whether it is one client's own or shared.
    #[test]
    fn f26_frames_end_with_nul_and_lf() {
        let mut tcp = Tcp::default();
        assert_eq!(tcp.frame(b"RECEIPT\nreceipt-id:1\n\n\0".to_vec()), &b"RECEIPT\nreceipt-id:1\n\n\0\n"[..]);
        assert_eq!(message(3, |out| out.extend(b"MESSAGE\n\n\0")), &b"MESSAGE\n\n\0\n"[..]);
        assert_eq!(tcp.beat(), &b"\n"[..]);
    }

    #[test]
    fn the_end_is_told_once_and_nothing_is_read_after_the_close() {
        let mut tcp = Tcp::default();
        assert!(!tcp.take_end() && tcp.is_beat(b"\n"));
        assert!(tcp.close(1000, "").is_empty());
        assert!(tcp.take_end() && !tcp.take_end() && !tcp.is_beat(b"\n"));
        let mut seen = 0;
        let mut count = |_: Input<'_>| {
            seen += 1;
            ControlFlow::Continue(())
        };
        assert_eq!(tcp.handle_input(b"SEND\n", &mut Spare::new(1), &mut Vec::new(), &mut count), Ok(()));
        assert_eq!(seen, 0);
    }
}
