//! HTTP/1.1 on a plain blocking socket: requests octet by octet, whole answers, one behind the other on one connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::wire::{Listens, PATIENCE};

/// One connection.
pub struct Http {
    pub stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field that is there once at most.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The lines of a body of JSON lines.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.field("content-type"), Some("application/x-ndjson"));
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A problem object, which agrees with the answer's own status.
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &self.status.into()), "{problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["code"].is_string());
        let seconds = problem.get("retry_after").map(Value::to_string);
        assert_eq!(self.field("retry-after").map(str::to_owned), seconds, "{problem}");
        problem
    }
}

impl Http {
    #[track_caller]
    pub fn to(edge: &(impl Listens + ?Sized)) -> Self {
        let stream = TcpStream::connect(edge.listens()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, host: edge.listens().to_owned(), read: Vec::new() }
    }

    /// Writes a request; with a body it says how long that is.
    #[track_caller]
    pub fn say(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        fields.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        if method == "POST" && !fields.iter().any(|(name, _)| *name == "Transfer-Encoding") {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        // In one segment: the edge must not depend on it, and the test is faster.
        self.raw(&[format!("{request}\r\n").as_bytes(), body].concat());
    }

    /// A chunk of a chunked body; an empty one is its end.
    #[track_caller]
    pub fn chunk(&mut self, octets: &[u8]) {
        self.raw(&[format!("{:x}\r\n", octets.len()).as_bytes(), octets, b"\r\n"].concat());
    }

    #[track_caller]
    pub fn raw(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// The next answer.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The same; what follows HEAD has no body.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(self.read.drain(..at + 4).collect()).unwrap();
            }
            assert!(self.more(), "closed after {:?}", String::from_utf8_lossy(&self.read));
        };
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        if method != "HEAD" && !matches!(status, 100 | 204 | 304) {
            let length = answer.field("content-length").unwrap_or_else(|| panic!("{head}")).parse().unwrap();
            while self.read.len() < length {
                assert!(self.more(), "closed within a body");
            }
            answer.body = self.read.drain(..length).collect();
        }
        answer
    }

    /// A request and its answer.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.say(method, target, fields, body);
        self.answer_to(method)
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    /// A message into a room, stored; its id.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: impl AsRef<[u8]>) -> String {
        let answer = self.ask("POST", target, &[], body.as_ref());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Whether the edge has closed, and said nothing more before.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more()
    }

    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => {
                panic!("neither an answer nor the end: {error}; so far {:?}", String::from_utf8_lossy(&self.read))
            }
        }
    }
}

/// One request on a connection of its own.
#[track_caller]
pub fn ask(
    edge: &(impl Listens + ?Sized),
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    Http::to(edge).ask(method, target, fields, body.as_ref())
}

/// The bodies of an answer's messages, in order.
#[track_caller]
pub fn bodies(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let messages = answer["messages"].as_array().unwrap();
    messages.iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}
