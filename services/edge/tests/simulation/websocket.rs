//! The client's side of RFC 6455: masked frames out, in pieces now and then; plain frames in.

use crate::rng::Rng;

/// What a server says.
pub enum Heard {
    /// Octets of STOMP.
    Stomp(Vec<u8>),
    Ping(Vec<u8>),
    /// The close code, if there is one.
    Close(Option<u16>),
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

/// One WebSocket message around octets of STOMP, sometimes as several fragments.
pub fn message(payload: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut opcode) = (payload, TEXT);
    while rest.len() > 1 && rng.one_in(12) {
        let (piece, more) = rest.split_at(1 + rng.below(rest.len() - 1));
        frame(&mut out, opcode, piece, rng);
        (rest, opcode) = (more, 0);
    }
    frame(&mut out, 0x80 | opcode, rest, rng);
    out
}

pub fn pong(payload: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, 0x80 | PONG, payload, rng);
    out
}

pub fn close(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, 0x80 | CLOSE, &1000u16.to_be_bytes(), rng);
    out
}

fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8], rng: &mut Rng) {
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    let mask = (rng.next() as u32).to_be_bytes();
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
}

/// Takes the next whole frame off the front of what has come.
pub fn next(raw: &mut Vec<u8>) -> Result<Option<Heard>, String> {
    let [first, second, ..] = raw[..] else { return Ok(None) };
    let (start, length) = match second {
        126 if raw.len() < 4 => return Ok(None),
        126 => (4, usize::from(u16::from_be_bytes([raw[2], raw[3]]))),
        127 if raw.len() < 10 => return Ok(None),
        127 => (10, u64::from_be_bytes(raw[2..10].try_into().unwrap()) as usize),
        length => (2, usize::from(length)),
    };
    if raw.len() < start + length {
        return Ok(None);
    }
    let payload: Vec<u8> = raw.drain(..start + length).skip(start).collect();
    match first {
        0x81 | 0x82 => Ok(Some(Heard::Stomp(payload))),
        0x88 => Ok(Some(Heard::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))))),
        0x89 => Ok(Some(Heard::Ping(payload))),
        other => Err(format!("a server's WebSocket frame that begins with {other:#x}")),
    }
}
