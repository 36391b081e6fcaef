//! HTTP said and heard octet by octet: heads, whole bodies, single chunks. And what a session over XHR does again and
//! again.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::kit::edge::Edge;
use crate::kit::frame::{self, Frame};
use crate::kit::wire::PATIENCE;

/// Any page may use it, and sessions poll: an edge with a log of its own.
pub(crate) fn edge(args: &[&str]) -> Edge {
    Edge::start(&[&["--dev", "--allow-origin", "*"], args].concat())
}

/// One connection that speaks HTTP.
pub(crate) struct Http {
    pub(crate) stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header field that is there once; "" if it is absent.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut values = self.fields.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
        let value = values.next().unwrap_or_default();
        assert_eq!(values.next(), None, "{name} twice");
        value
    }
}

impl Http {
    pub(crate) fn to(edge: &Edge) -> Self {
        let stream = TcpStream::connect(&edge.listen).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, host: edge.listen.clone(), read: Vec::new() }
    }

    /// Writes a request; a POST always says how long its body is.
    pub(crate) fn say(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        fields.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        if method == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(format!("{request}\r\n{body}").as_bytes());
    }

    pub(crate) fn raw(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// The head of the next response.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, fields, body: String::new() }
    }

    /// The next response, body included.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if answer.field("transfer-encoding") == "chunked" {
            loop {
                match self.chunk() {
                    chunk if chunk.is_empty() => break,
                    chunk => answer.body += &chunk,
                }
            }
        } else if !matches!(answer.status, 101 | 204 | 304) {
            let length = answer.field("content-length").parse().expect("Content-Length");
            answer.body = self.exactly(length);
        }
        answer
    }

    /// The next chunk of a chunked body; "" is its end.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> String {
        let size = self.until(b"\r\n");
        let length = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("{size:?} is no chunk's size"));
        let chunk = self.exactly(length);
        assert_eq!(self.exactly(2), "\r\n");
        chunk
    }

    #[track_caller]
    fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                let text = String::from_utf8(self.read.drain(..at).collect()).unwrap();
                self.read.drain(..end.len());
                return text;
            }
            assert!(self.more(), "closed after {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    #[track_caller]
    pub(crate) fn exactly(&mut self, length: usize) -> String {
        while self.read.len() < length {
            assert!(self.more(), "closed after {:?}", String::from_utf8_lossy(&self.read));
        }
        String::from_utf8(self.read.drain(..length).collect()).unwrap()
    }

    /// Whether the edge has closed, and said nothing more before.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more()
    }

    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("neither an answer nor the end: {error}; so far {:?}", self.read),
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn ask(edge: &Edge, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let mut http = Http::to(edge);
    http.say(method, path, fields, body);
    http.answer()
}

#[track_caller]
pub(crate) fn get(edge: &Edge, path: &str) -> Answer {
    ask(edge, "GET", path, &[], "")
}

#[track_caller]
pub(crate) fn post(edge: &Edge, path: &str, body: &str) -> Answer {
    ask(edge, "POST", path, &[], body)
}

/// A session's URL that no other test uses.
pub(crate) fn session_url() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/ws/000/session-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A session over XHR, as a client that polls sees it.
pub(crate) struct Polling<'a> {
    pub(crate) edge: &'a Edge,
    pub(crate) url: String,
}

impl<'a> Polling<'a> {
    #[track_caller]
    pub(crate) fn open(edge: &'a Edge) -> Self {
        let polling = Self { edge, url: session_url() };
        assert_eq!(polling.poll(), "o\n");
        polling
    }

    /// A session at STOMP 1.2 without heart-beats.
    #[track_caller]
    pub(crate) fn connect(edge: &'a Edge) -> Self {
        let polling = Self::open(edge);
        polling.say("CONNECT", &[("accept-version", "1.2")], "");
        assert_eq!(polling.frames()[0].command, "CONNECTED");
        polling
    }

    /// The answer to one `xhr`.
    #[track_caller]
    pub(crate) fn poll(&self) -> String {
        let answer = post(self.edge, &format!("{}/xhr", self.url), "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The STOMP frames in the answer to one `xhr`.
    #[track_caller]
    pub(crate) fn frames(&self) -> Vec<Frame> {
        frames(&self.poll())
    }

    /// `xhr_send`.
    #[track_caller]
    pub(crate) fn send(&self, body: &str) -> Answer {
        post(self.edge, &format!("{}/xhr_send", self.url), body)
    }

    /// One STOMP frame in one string.
    #[track_caller]
    pub(crate) fn say(&self, command: &str, headers: &[(&str, &str)], body: &str) {
        let answer = self.send(&serde_json::json!([frame::write(command, headers, body)]).to_string());
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
}

/// The strings of an `a` frame.
#[track_caller]
pub(crate) fn strings(frame: &str) -> Vec<String> {
    let array = frame.strip_prefix('a').unwrap_or_else(|| panic!("messages expected, got {frame:?}"));
    serde_json::from_str(array).unwrap()
}

/// The STOMP frames of an `a` frame: one in each string (J21).
#[track_caller]
pub(crate) fn frames(frame: &str) -> Vec<Frame> {
    let whole = |text: String| {
        let mut rest = text.as_bytes();
        let frame = frame::read(&mut rest).expect("a frame");
        assert_eq!(rest, b"", "J21: one frame in one string");
        frame
    };
    strings(frame).into_iter().map(whole).collect()
}
