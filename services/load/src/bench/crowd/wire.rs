//! WebSocket as a client that wants to be cheap: frames out with a mask of zeros, frames in counted or read whole.

use stomp_proto::{ServerDecoder, ServerFrame};

use crate::target::Target;

/// The upgrade request.
pub(super) fn upgrade(target: &Target, subprotocols: &str) -> Vec<u8> {
    let rest = target.url.strip_prefix("ws://").unwrap_or(&target.url);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let offer =
        if subprotocols.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {subprotocols}\r\n") };
    // The key only has to look like one: nobody between us and a server on this machine caches.
    format!(
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2xhdHNjaC1sb2FkIGJlbg==\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// The octets behind the head of an answer to [`upgrade`]; `None` until it is whole.
///
/// # Errors
/// It is not 101: its first line.
pub(super) fn upgraded(answer: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let line = answer.split(|octet| *octet == b'\r').next().unwrap_or_default();
    if line.starts_with(b"HTTP/1.1 101") { Ok(Some(end + 4)) } else { Err(String::from_utf8_lossy(line).into_owned()) }
}

/// A text frame of a client.
pub(super) fn text(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, 0x81, payload);
}

/// The answer to a ping.
pub(super) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, 0x8A, payload);
}

fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    // A mask of zeros leaves the payload as it is; a server unmasks all the same.
    out.extend([0; 4]);
    out.extend(payload);
}

/// What a frame is, as far as its first octets tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Receipt,
    Error,
    Ping,
    Close,
    /// A beat, a pong, a part of a frame.
    Other,
}

/// Counts the frames of a stream without keeping them: a frame's head and the first octet of its payload.
#[derive(Debug, Default)]
pub(super) struct Walk {
    skip: u64,
    head: [u8; 11],
    have: u8,
}

impl Walk {
    /// Goes over what was read; `seen` gets each frame that begins, and as much of its payload as is there.
    pub(super) fn over(&mut self, mut octets: &[u8], mut seen: impl FnMut(Kind, &[u8])) {
        while !octets.is_empty() {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(octets.len());
                self.skip -= step as u64;
                octets = &octets[step..];
                continue;
            }
            self.head[usize::from(self.have)] = octets[0];
            self.have += 1;
            octets = &octets[1..];
            let Some((head, len)) = sizes(&self.head[..usize::from(self.have)]) else { continue };
            if len > 0 && usize::from(self.have) == head {
                // The first octet of the payload tells STOMP's commands apart.
                continue;
            }
            let first = self.head[head];
            self.skip = len.saturating_sub(1);
            let rest = usize::try_from(self.skip).unwrap_or(usize::MAX).min(octets.len());
            seen(kind(self.head[0], if len == 0 { 0 } else { first }), &octets[..rest]);
            self.have = 0;
        }
    }
}

/// Octets of a frame's head, and of its payload; `None` until the head is whole.
fn sizes(octets: &[u8]) -> Option<(usize, u64)> {
    let short = octets.get(1)? & 0x7F;
    match short {
        126 => Some((4, u64::from(u16::from_be_bytes([*octets.get(2)?, *octets.get(3)?])))),
        127 => Some((10, u64::from_be_bytes(octets.get(2..10)?.try_into().ok()?))),
        len => Some((2, u64::from(len))),
    }
}

fn kind(opcode: u8, first: u8) -> Kind {
    match (opcode & 0x0F, first) {
        (1 | 2, b'M') => Kind::Message,
        (1 | 2, b'R') => Kind::Receipt,
        (1 | 2, b'E') => Kind::Error,
        (8, _) => Kind::Close,
        (9, _) => Kind::Ping,
        _ => Kind::Other,
    }
}

/// What came, read whole.
#[derive(Debug)]
pub(super) enum Item {
    Frame(Box<ServerFrame>),
    Ping(Vec<u8>),
    Close,
    /// A beat, or a part of a frame.
    Life,
}

/// Reads the frames of a stream whole.
#[derive(Default)]
pub(super) struct Inbox {
    octets: Vec<u8>,
    at: usize,
    decoder: ServerDecoder,
}

impl Inbox {
    /// Takes what was read.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..std::mem::take(&mut self.at));
        self.octets.extend(octets);
    }

    /// What comes next; `None` until there is more.
    ///
    /// # Errors
    /// It is no STOMP.
    pub(super) fn next(&mut self) -> Result<Option<Item>, String> {
        let unreadable = |error: stomp_proto::ProtocolError| format!("unreadable frame: {}", error.message());
        if let Some(frame) = self.decoder.poll().map_err(unreadable)? {
            return Ok(Some(Item::Frame(Box::new(frame))));
        }
        let octets = &self.octets[self.at..];
        let Some((head, len)) = sizes(octets) else { return Ok(None) };
        let end = head + usize::try_from(len).map_err(|error| error.to_string())?;
        let Some(payload) = octets.get(head..end) else { return Ok(None) };
        let item = match octets[0] & 0x0F {
            0..=2 => {
                self.decoder.push(payload);
                self.decoder.poll().map_err(unreadable)?.map_or(Item::Life, |frame| Item::Frame(Box::new(frame)))
            }
            8 => Item::Close,
            9 => Item::Ping(payload.to_vec()),
            _ => Item::Life,
        };
        self.at += end;
        Ok(Some(item))
    }

    /// What was read and is no whole frame yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.at..]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, first, payload);
        let head = sizes(&out).unwrap().0;
        out[1] &= 0x7F;
        out.drain(head..head + 4);
        out
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut stream = Vec::new();
        let mut wanted = Vec::new();
        for (kind, first, payload) in [
            (Kind::Message, 0x81, [b"MESSAGE\n".as_slice(), &[b'.'; 300]].concat()),
            (Kind::Other, 0x81, b"\n".to_vec()),
            (Kind::Receipt, 0x81, b"RECEIPT\n\n\0".to_vec()),
            (Kind::Ping, 0x89, Vec::new()),
            (Kind::Message, 0x82, [b"MESSAGE\n".as_slice(), &vec![b'.'; 70_000]].concat()),
            (Kind::Error, 0x81, b"ERROR\n".to_vec()),
            (Kind::Close, 0x88, vec![3, 232]),
        ] {
            stream.extend(unmasked(first, &payload));
            wanted.push(kind);
        }
        for step in [1, 2, 3, 7, 100, stream.len()] {
            let (mut walk, mut seen) = (Walk::default(), Vec::new());
            stream.chunks(step).for_each(|chunk| walk.over(chunk, |kind, _| seen.push(kind)));
            assert_eq!(seen, wanted, "in steps of {step}");
        }
    }

    #[test]
    fn an_answer_is_read_whole_and_a_refusal_is_quoted() {
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching"), Ok(None));
        assert_eq!(upgraded(b"HTTP/1.1 101 X\r\nA: b\r\n\r\nmore"), Ok(Some(24)));
        assert_eq!(upgraded(b"HTTP/1.1 503 Full\r\n\r\n"), Err("HTTP/1.1 503 Full".to_owned()));
        let mut inbox = Inbox::default();
        for octet in unmasked(0x81, b"RECEIPT\nreceipt-id:7\n\n\0") {
            assert!(inbox.next().unwrap().is_none());
            inbox.push(&[octet]);
        }
        let Some(Item::Frame(frame)) = inbox.next().unwrap() else { panic!("no frame") };
        assert_eq!(frame.headers.get("receipt-id"), Some("7"));
        assert!(inbox.next().unwrap().is_none() && inbox.rest().is_empty());
    }
}
