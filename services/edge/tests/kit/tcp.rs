//! STOMP on a plain blocking socket, octet by octet: for tests about what exactly goes over a bare stream.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::edge::Edge;
use super::frame::{self, Frame};
use super::wire::PATIENCE;

/// What the edge sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Frame(Frame),
    Beat,
    /// The connection ended: with FIN, or with a reset.
    End {
        reset: bool,
    },
}

pub struct Tcp {
    pub stream: TcpStream,
    unread: Vec<u8>,
    /// Frames that came before the one that was waited for.
    early: VecDeque<Frame>,
}

impl Tcp {
    /// A connection that has said nothing yet.
    #[track_caller]
    pub fn open(edge: &Edge) -> Self {
        let stream = TcpStream::connect(&edge.stomp).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new(), early: VecDeque::new() }
    }

    /// A session at STOMP 1.2 without heart-beats.
    #[track_caller]
    pub fn connect(edge: &Edge) -> Self {
        Self::connect_with(edge, &[("accept-version", "1.2"), ("host", "chat.example")])
    }

    /// A session with these CONNECT headers.
    #[track_caller]
    pub fn connect_with(edge: &Edge, headers: &[(&str, &str)]) -> Self {
        let mut tcp = Self::open(edge);
        tcp.say("CONNECT", headers, "");
        tcp.expect("CONNECTED");
        tcp
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

    /// A frame, headers escaped as in 1.2, without content-length.
    #[track_caller]
    pub fn say(&mut self, command: &str, headers: &[(&str, &str)], body: &str) {
        self.raw(frame::write(command, headers, body).as_bytes());
    }

    /// SUBSCRIBE in auto mode, settled.
    #[track_caller]
    pub fn subscribe(&mut self, id: &str, destination: &str) {
        let receipt = format!("subscribe {id}");
        self.say("SUBSCRIBE", &[("id", id), ("destination", destination), ("receipt", &receipt)], "");
        self.receipt(&receipt);
    }

    /// SEND with a receipt, and the RECEIPT's message-id. A MESSAGE may come before it, and is kept.
    #[track_caller]
    pub fn send(&mut self, destination: &str, body: &str) -> String {
        self.say("SEND", &[("destination", destination), ("receipt", "sent")], body);
        let mut early = VecDeque::new();
        loop {
            let frame = self.frame();
            if frame.command == "RECEIPT" {
                assert_eq!(frame.header("receipt-id"), Some("sent"));
                self.early = early;
                return frame.header("message-id").unwrap().to_owned();
            }
            assert_eq!(frame.command, "MESSAGE", "{frame:?}");
            early.push_back(frame);
        }
    }

    /// What comes within this time, if anything does.
    pub fn next_within(&mut self, patience: Duration) -> Option<Heard> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(heard) = self.take() {
                return Some(heard);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    assert!(self.unread.is_empty(), "ended within {:?}", String::from_utf8_lossy(&self.unread));
                    return Some(Heard::End { reset: false });
                }
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => return Some(Heard::End { reset: true }),
            }
        }
    }

    #[track_caller]
    pub fn next(&mut self) -> Heard {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// The next frame; beats are passed over.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        if let Some(frame) = self.early.pop_front() {
            return frame;
        }
        loop {
            match self.next() {
                Heard::Frame(frame) => return frame,
                Heard::Beat => {}
                end => panic!("a frame expected, got {end:?}"),
            }
        }
    }

    #[track_caller]
    pub fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame();
        assert_eq!(frame.command, command, "{frame:?} {:?}", String::from_utf8_lossy(&frame.body));
        frame
    }

    #[track_caller]
    pub fn receipt(&mut self, id: &str) -> Frame {
        let frame = self.expect("RECEIPT");
        assert_eq!(frame.header("receipt-id"), Some(id));
        frame
    }

    /// ERROR with this code, then FIN: no reset, nothing in between.
    #[track_caller]
    pub fn refused(&mut self, code: &str) -> Frame {
        let error = self.expect("ERROR");
        assert_eq!(error.header("x-error-code"), Some(code), "{error:?}");
        assert!(error.header("message").is_some_and(|text| !text.is_empty()) && !error.body.is_empty(), "E01");
        self.ended();
        error
    }

    /// The edge ends the stream, in order.
    #[track_caller]
    pub fn ended(&mut self) {
        assert_eq!(self.next(), Heard::End { reset: false }, "E06");
    }

    /// A whole frame, or a beat, off the front of what has been read.
    fn take(&mut self) -> Option<Heard> {
        if *self.unread.first()? == b'\n' {
            self.unread.remove(0);
            return Some(Heard::Beat);
        }
        let head = self.unread.windows(2).position(|two| two == b"\n\n")? + 2;
        let text = std::str::from_utf8(&self.unread[..head]).expect("UTF-8");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let body = match length {
            Some(length) => length.parse().unwrap(),
            None => self.unread[head..].iter().position(|octet| *octet == 0)?,
        };
        let nul = head + body;
        let lf = *self.unread.get(nul + 1)?;
        assert_eq!((self.unread[nul], lf), (0, b'\n'), "F26: NUL and LF end a frame");
        let octets: Vec<u8> = self.unread.drain(..nul + 2).collect();
        Some(Heard::Frame(frame::read(&mut &octets[..]).expect("a frame")))
    }
}
