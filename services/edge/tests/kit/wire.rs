//! One WebSocket on a plain blocking socket, octet by octet: for tests about what exactly goes over the wire, in which
//! pieces, and how a connection ends. Masks are zero, which RFC 6455 allows, so payloads stand in the clear.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::edge::Edge;
use super::frame::{self, Frame};
pub use super::websocket::{opcode, websocket};

/// Nothing on loopback takes this long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the edge sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Close code (1005 when there is none) and reason.
    Close(u16, String),
    /// The TCP connection ended: with FIN, or with a reset.
    End {
        reset: bool,
    },
}

/// Where to connect to: an edge, or its address in a thread of its own.
pub trait Listens {
    fn listens(&self) -> &str;
}

impl Listens for Edge {
    fn listens(&self) -> &str {
        &self.listen
    }
}

impl Listens for str {
    fn listens(&self) -> &str {
        self
    }
}

pub struct Wire {
    pub stream: TcpStream,
    /// The head of the answer to the upgrade.
    pub head: String,
    unread: Vec<u8>,
}

/// A STOMP frame in a text message.
pub fn message(command: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    websocket(opcode::TEXT, true, frame::write(command, headers, body).as_bytes())
}

impl Wire {
    /// Asks for the upgrade; `Err` is any status but 101, and 0 when there was no answer.
    pub fn ask(edge: &(impl Listens + ?Sized), target: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::ask_on(TcpStream::connect(edge.listens()).unwrap(), target, headers)
    }

    pub fn ask_on(stream: TcpStream, target: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut wire = Self { stream, head: String::new(), unread: Vec::new() };
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let sent = wire.try_raw(
            format!(
                "GET {target} HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
            )
            .as_bytes(),
        );
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(at) = wire.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !sent || wire.read_more(deadline).is_some() {
                return Err(0);
            }
        };
        wire.head = String::from_utf8(wire.unread.drain(..end).collect()).unwrap();
        match wire.head.split(' ').nth(1).unwrap().parse().unwrap() {
            101 => Ok(wire),
            status => Err(status),
        }
    }

    /// A WebSocket that has said nothing yet.
    #[track_caller]
    pub fn open(edge: &(impl Listens + ?Sized)) -> Self {
        Self::ask(edge, "/ws", &[]).unwrap()
    }

    /// A session at STOMP 1.2 without heart-beats.
    #[track_caller]
    pub fn connect(edge: &(impl Listens + ?Sized)) -> Self {
        Self::connect_with(edge, &[("accept-version", "1.2")])
    }

    /// A session with these CONNECT headers.
    #[track_caller]
    pub fn connect_with(edge: &(impl Listens + ?Sized), headers: &[(&str, &str)]) -> Self {
        let mut wire = Self::open(edge);
        wire.say("CONNECT", headers, "");
        wire.expect("CONNECTED");
        wire
    }

    /// Octets as they are.
    #[track_caller]
    pub fn raw(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// Octets as they are, until the edge has had enough; whether it took all.
    pub fn try_raw(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_ok()
    }

    /// A text message.
    #[track_caller]
    pub fn text(&mut self, payload: &[u8]) {
        self.raw(&websocket(opcode::TEXT, true, payload));
    }

    /// A STOMP frame, headers escaped as in 1.2, without content-length.
    #[track_caller]
    pub fn say(&mut self, command: &str, headers: &[(&str, &str)], body: &str) {
        self.raw(&message(command, headers, body));
    }

    /// SUBSCRIBE in auto mode, settled.
    #[track_caller]
    pub fn subscribe(&mut self, id: &str, destination: &str) {
        let receipt = format!("subscribe {id}");
        self.say("SUBSCRIBE", &[("id", id), ("destination", destination), ("receipt", &receipt)], "");
        self.receipt(&receipt);
    }

    /// SEND with a receipt, and the RECEIPT's message-id.
    #[track_caller]
    pub fn send(&mut self, destination: &str, body: &str) -> String {
        let receipt = format!("send {body}");
        self.say("SEND", &[("destination", destination), ("receipt", &receipt)], body);
        self.receipt(&receipt).header("message-id").unwrap().to_owned()
    }

    /// What comes next, pings and pongs included.
    #[track_caller]
    pub fn next(&mut self) -> Incoming {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// What comes within this time, if anything does.
    pub fn next_within(&mut self, patience: Duration) -> Option<Incoming> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(incoming) = self.take() {
                return Some(incoming);
            }
            match self.read_more(deadline) {
                None => {}
                Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Some(ErrorKind::UnexpectedEof) => return Some(Incoming::End { reset: false }),
                Some(_) => return Some(Incoming::End { reset: true }),
            }
        }
    }

    /// The next STOMP frame; heart-beats and WebSocket's own frames are passed over.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        loop {
            match self.next() {
                Incoming::Text(octets) | Incoming::Binary(octets) if octets != b"\n" => {
                    let mut rest = &octets[..];
                    let frame = frame::read(&mut rest).expect("a frame");
                    assert_eq!(rest, b"", "W13: one frame in one WebSocket message");
                    return frame;
                }
                Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong(_) => {}
                end => panic!("a frame expected, got {end:?}"),
            }
        }
    }

    /// The next STOMP frame, which must be this one.
    #[track_caller]
    pub fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.command, command, "{frame:?} {:?}", String::from_utf8_lossy(&frame.body));
        frame
    }

    /// The next STOMP frame, which must be this RECEIPT.
    #[track_caller]
    pub fn receipt(&mut self, id: &str) -> Frame {
        let frame = self.expect("RECEIPT");
        assert_eq!(frame.header("receipt-id"), Some(id));
        assert!(frame.body.is_empty(), "R01");
        frame
    }

    /// The next MESSAGE's body.
    #[track_caller]
    pub fn message(&mut self) -> String {
        String::from_utf8(self.expect("MESSAGE").body).unwrap()
    }

    /// ERROR with this code, the close frame with that one, then the end: nothing else, nothing in between.
    #[track_caller]
    pub fn refused(&mut self, code: &str, close: u16) -> Frame {
        let error = self.expect("ERROR");
        assert_eq!(error.header("x-error-code"), Some(code), "{error:?}");
        assert!(error.header("message").is_some_and(|text| !text.is_empty()), "E01");
        assert!(!error.body.is_empty(), "E01");
        self.closed(close);
        error
    }

    /// The close frame, confirmed, then the end of the connection.
    #[track_caller]
    pub fn closed(&mut self, code: u16) {
        match self.next() {
            Incoming::Close(got, reason) => assert_eq!(got, code, "{reason}"),
            other => panic!("close {code} expected, got {other:?}"),
        }
        self.try_raw(&websocket(opcode::CLOSE, true, &code.to_be_bytes()));
        assert!(matches!(self.next(), Incoming::End { .. }), "E06: the edge ends the connection");
    }

    /// DISCONNECT with a receipt: everything before it has been seen when this returns. Other frames may come first
    /// and are returned.
    #[track_caller]
    pub fn leave(mut self) -> Vec<Frame> {
        self.say("DISCONNECT", &[("receipt", "bye")], "");
        let mut before = Vec::new();
        loop {
            let frame = self.frame();
            assert_ne!(frame.command, "ERROR", "{frame:?}");
            if frame.header("receipt-id") == Some("bye") {
                break;
            }
            before.push(frame);
        }
        self.closed(1000);
        before
    }

    /// The bodies of the next MESSAGEs, so many and no more.
    #[track_caller]
    pub fn leave_after(mut self, count: usize) -> Vec<Vec<u8>> {
        let bodies = (0..count).map(|_| self.expect("MESSAGE").body).collect();
        assert_eq!(self.leave().len(), 0, "more than {count} messages");
        bodies
    }

    /// Reads once; None: there is more now.
    fn read_more(&mut self, deadline: Instant) -> Option<ErrorKind> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(ErrorKind::TimedOut);
        }
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(ErrorKind::UnexpectedEof),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => Some(error.kind()),
        }
    }

    /// A whole WebSocket frame off the front of what has been read. The edge neither masks nor fragments.
    fn take(&mut self) -> Option<Incoming> {
        let (first, second) = (*self.unread.first()?, *self.unread.get(1)?);
        assert!(first & 0x80 != 0 && first & 0x70 == 0 && second & 0x80 == 0, "unfragmented, unmasked, no extension");
        let (start, length) = match second {
            126 => (4, u16::from_be_bytes(self.unread.get(2..4)?.try_into().unwrap()).into()),
            127 => (10, u64::from_be_bytes(self.unread.get(2..10)?.try_into().unwrap()) as usize),
            short => (2, short.into()),
        };
        let payload = self.unread.get(start..start + length)?.to_vec();
        self.unread.drain(..start + length);
        Some(match first & 0x0f {
            opcode::TEXT => {
                assert!(std::str::from_utf8(&payload).is_ok(), "W05");
                Incoming::Text(payload)
            }
            opcode::BINARY => Incoming::Binary(payload),
            opcode::PING => Incoming::Ping(payload),
            opcode::PONG => Incoming::Pong(payload),
            opcode::CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                Incoming::Close(code, String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned())
            }
            other => panic!("opcode {other}"),
        })
    }
}
