//! What a client says, octet for octet, and what has to come back.

use crate::kit::edge::Edge;
use crate::kit::wire::{Incoming, Wire};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// The last frame of a message.
pub(crate) const FIN: u8 = 0x80;

/// A client's frame: FIN, reserved bits and opcode as they are, masked, the length in its shortest form.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = header(first, payload.len() as u64);
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    out
}

/// Its first octets, up to where the mask begins.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    match length {
        0..126 => vec![first, 0x80 | length as u8],
        126..65_536 => [&[first, 0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, 0x80 | 127][..], &length.to_be_bytes()].concat(),
    }
}

pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A message in fragments of so many octets.
pub(crate) fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let pieces: Vec<&[u8]> = payload.chunks(size).collect();
    let piece = |(at, piece): (usize, &&[u8])| {
        let opcode = if at == 0 { opcode } else { 0 };
        frame(if at + 1 == pieces.len() { FIN | opcode } else { opcode }, piece)
    };
    pieces.iter().enumerate().flat_map(piece).collect()
}

/// How a connection ends after what is expected has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// It is alive: a close is answered.
    Alive,
    /// The edge closes with this code, and ends the connection in order.
    With(u16),
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) says: Vec<u8>,
    pub(crate) hears: Vec<Incoming>,
    pub(crate) ends: Ends,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, says: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), says: says.into(), hears: Vec::new(), ends: Ends::Alive }
    }

    pub(crate) fn hears(mut self, what: impl IntoIterator<Item = Incoming>) -> Self {
        self.hears.extend(what);
        self
    }

    pub(crate) fn ends(mut self, code: u16) -> Self {
        self.ends = Ends::With(code);
        self
    }

    /// Whether STOMP in its place would answer the same: nothing is echoed, and nothing is larger than what may come
    /// before CONNECT.
    pub(crate) fn fits_stomp(&self) -> bool {
        self.says.len() < 4096 && self.hears.iter().all(|what| matches!(what, Incoming::Pong(_)))
    }

    /// Plays it on a connection of its own, in pieces of so many octets.
    #[track_caller]
    pub(crate) fn play(&self, edge: &Edge, path: &str, pieces: usize) {
        let name = format!("{} at {path} in pieces of {pieces}", self.name);
        let mut wire = Wire::ask(edge, path, &[]).unwrap();
        // After a fault the edge may have gone before it has heard all.
        let _ = self.says.chunks(pieces).all(|piece| wire.try_raw(piece));
        for expected in &self.hears {
            let heard = wire.next();
            assert!(heard == *expected, "{name}: {} instead of {}", short(&heard), short(expected));
        }
        let code = match self.ends {
            Ends::Alive => {
                wire.raw(&close(1000, b"bye"));
                1000
            }
            Ends::With(code) => code,
        };
        match wire.next() {
            Incoming::Close(heard, _) => assert_eq!(heard, code, "{name}"),
            heard => panic!("{name}: {} instead of close {code}", short(&heard)),
        }
        assert_eq!(wire.next(), Incoming::End { reset: false }, "{name}");
    }
}

fn short(what: &Incoming) -> String {
    let text = format!("{what:?}");
    text.chars().take(200).collect()
}
