//! A reader of server-sent events on a plain blocking socket, strict about every octet (HTML, section 9.2.5).

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::wire::{Listens, PATIENCE};

/// An event as it stands on the wire; comments are passed over.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub event: Option<String>,
    pub retry: Option<u64>,
    pub data: Value,
}

pub struct Events {
    reader: BufReader<TcpStream>,
    pub status: u16,
    pub head: String,
}

impl Events {
    /// Asks; the answer's head has come.
    #[track_caller]
    pub fn ask(edge: &(impl Listens + ?Sized), target: &str, fields: &[(&str, &str)]) -> Self {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self::say(edge, &format!("GET {target} HTTP/1.1\r\nHost: chat.example\r\n{fields}\r\n"))
    }

    #[track_caller]
    pub fn say(edge: &(impl Listens + ?Sized), request: &str) -> Self {
        let mut stream = TcpStream::connect(edge.listens()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        Self::read(BufReader::new(stream))
    }

    #[track_caller]
    pub fn read(mut reader: BufReader<TcpStream>) -> Self {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "closed within a head: {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { reader, status, head }
    }

    /// A stream that has begun: all that is said of its rooms.
    #[track_caller]
    pub fn open(edge: &(impl Listens + ?Sized), target: &str, fields: &[(&str, &str)]) -> (Self, Event) {
        let mut events = Self::ask(edge, target, fields);
        assert_eq!(events.status, 200, "{}", events.head);
        assert!(events.next().unwrap().retry.is_some());
        let subscribed = events.next().unwrap();
        assert_eq!(subscribed.event.as_deref(), Some("subscribed"));
        (events, subscribed)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// What follows the head: as long as that says, or to the end of the stream.
    pub fn body(&mut self) -> String {
        let mut body = Vec::new();
        match self.field("content-length").map(|length| length.parse().unwrap()) {
            Some(length) => {
                body.resize(length, 0);
                self.reader.read_exact(&mut body).unwrap();
            }
            None => drop(self.reader.read_to_end(&mut body).unwrap()),
        }
        String::from_utf8(body).unwrap()
    }

    /// Nothing more comes, and the stream is over.
    #[track_caller]
    pub fn is_over(&mut self) -> bool {
        self.reader.read(&mut [0]).unwrap() == 0
    }

    /// A whole problem.
    pub fn problem(&mut self) -> Value {
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        serde_json::from_str(&self.body()).unwrap()
    }

    /// The next event; `None` at the end of the stream. A broken stream is none of both.
    #[track_caller]
    pub fn next(&mut self) -> Option<Event> {
        self.read_event().expect("an event or the end in time")
    }

    /// The next event; `None` at the end of the stream, broken or not.
    #[track_caller]
    pub fn whole(&mut self) -> Option<Event> {
        self.read_event().ok().flatten()
    }

    #[track_caller]
    fn read_event(&mut self) -> std::io::Result<Option<Event>> {
        let (mut event, mut any) = (Event::default(), false);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return if any { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
            let line = line.strip_suffix('\n').expect("a whole line");
            assert!(!line.contains('\r'));
            let Some((name, value)) = line.split_once(": ") else {
                assert!(line.is_empty() || line == ":", "{line:?}");
                if line.is_empty() && std::mem::take(&mut any) {
                    return Ok(Some(event));
                }
                continue;
            };
            any = true;
            match name {
                "id" => event.id = Some(value.to_owned()),
                "event" => event.event = Some(value.to_owned()),
                "retry" => event.retry = Some(value.parse().unwrap()),
                "data" => event.data = serde_json::from_str(value).unwrap(),
                _ => panic!("{line:?}"),
            }
        }
    }

    /// The next message: its event.
    #[track_caller]
    pub fn message(&mut self) -> Event {
        let event = self.next().expect("a message, not the end");
        assert_eq!((event.event.as_deref(), event.data["type"].as_str()), (None, Some("message")), "{event:?}");
        event
    }

    /// The bodies of so many messages.
    #[track_caller]
    pub fn bodies(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.message().data["body"].as_str().unwrap().to_owned()).collect()
    }
}

/// For tests about the connection itself.
impl Events {
    #[track_caller]
    pub fn read_exact(&mut self, octets: &mut [u8]) {
        self.reader.read_exact(octets).unwrap();
    }

    #[track_caller]
    pub fn write(&mut self, octets: &[u8]) {
        self.reader.get_mut().write_all(octets).unwrap();
    }

    /// The next answer on the same connection.
    #[track_caller]
    pub fn again(self) -> Self {
        Self::read(self.reader)
    }
}
