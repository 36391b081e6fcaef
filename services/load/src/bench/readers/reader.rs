//! One reader over HTTP.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;
use serde::Deserialize;

use crate::client::sse::{self, Item};

/// How a room is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `GET /rooms/{room}/events`
    Events,
    /// `GET /rooms/{room}/messages?wait=60`, again and again
    LongPoll,
}

impl Way {
    /// As `/metrics` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Events => "events",
            Way::LongPoll => "poll",
        }
    }
}

/// A connection that reads a room.
pub(super) struct Reader {
    socket: TcpStream,
    pub(super) way: Way,
    /// It hears everything that is sent from now on.
    pub(super) joined: bool,
    /// `GET /rooms/{room}/messages` without its query, and the request's fields.
    question: [String; 2],
    /// What came and is no whole answer, or no whole head.
    pending: Vec<u8>,
    stream: Option<sse::Reader>,
    /// The number of the room's next message.
    next: u64,
}

/// What is looked at of a message object.
#[derive(Deserialize)]
struct Message<'a> {
    body: &'a str,
}

/// What is looked at of a page of messages.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    next: &'a str,
    recovered: Option<bool>,
}

impl Reader {
    /// Asks for the room, in which `next` is the message that comes next.
    pub(super) fn begin(socket: TcpStream, way: Way, host: &str, room: &str, next: u64) -> io::Result<Reader> {
        let fields = format!(" HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (question, begin) = match way {
            Way::Events => (String::new(), format!("GET /rooms/{room}/events{fields}")),
            // The first answer says where the room is; from there on each is waited for.
            Way::LongPoll => {
                (format!("GET /rooms/{room}/messages"), format!("GET /rooms/{room}/messages?after=now{fields}"))
            }
        };
        let (pending, question) = (Vec::new(), [question, fields]);
        let mut reader = Reader { socket, way, joined: false, question, pending, stream: None, next };
        reader.say(&begin)?;
        Ok(reader)
    }

    /// As a complaint calls it.
    pub(super) fn name(&self) -> &'static str {
        self.way.name()
    }

    /// Reads all there is; `came` gets when each message was written.
    ///
    /// # Errors
    /// The server has ended it, or says something else than the next message.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut came: impl FnMut(u64)) -> Result<(), String> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err("the server has closed it".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            match &mut self.stream {
                Some(stream) => stream.push(&buffer[..count])?,
                None => self.pending.extend_from_slice(&buffer[..count]),
            }
            match self.way {
                Way::Events => self.events(&mut came)?,
                Way::LongPoll => self.answers(&mut came)?,
            }
            // A short read has emptied the socket.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn events(&mut self, came: &mut impl FnMut(u64)) -> Result<(), String> {
        if self.stream.is_none() {
            let Some((end, _)) = head(&self.pending)? else { return Ok(()) };
            let mut stream = sse::Reader::default();
            stream.push(&self.pending[end..])?;
            (self.stream, self.pending) = (Some(stream), Vec::new());
        }
        while let Some(item) = self.stream.as_mut().map_or(Ok(None), sse::Reader::next)? {
            let Item::Event(event) = item else { continue };
            match event.name.as_str() {
                "" => {
                    let message: Message<'_> = serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
                    came(self.message(message.body)?);
                }
                "subscribed" => self.joined = true,
                _ => return Err(event.data),
            }
        }
        Ok(())
    }

    fn answers(&mut self, came: &mut impl FnMut(u64)) -> Result<(), String> {
        let Some((end, length)) = head(&self.pending)? else { return Ok(()) };
        if self.pending.len() < end + length {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let unreadable = |error: serde_json::Error| format!("an answer that is no page of messages: {error}");
        let page: Page<'_> = serde_json::from_slice(&pending[end..end + length]).map_err(unreadable)?;
        if page.recovered == Some(false) {
            return Err("what comes behind its token is gone".to_owned());
        }
        page.messages.iter().try_for_each(|message| {
            came(self.message(message.body)?);
            Ok::<(), String>(())
        })?;
        self.joined = true;
        let [path, fields] = &self.question;
        let question = format!("{path}?after={}&wait=60{fields}", page.next);
        self.say(&question).map_err(|error| error.to_string())
    }

    /// When a message was written.
    fn message(&mut self, body: &str) -> Result<u64, String> {
        let mut words = body.split(' ').map(str::parse::<u64>);
        let (Some(Ok(number)), Some(Ok(written))) = (words.next(), words.next()) else {
            return Err(format!("somebody else's message: {body}"));
        };
        if number != self.next {
            return Err(format!("message {number} of its room instead of {}", self.next));
        }
        self.next += 1;
        Ok(written)
    }

    fn say(&mut self, request: &str) -> io::Result<()> {
        // The socket is empty: a question is written when the last one has been answered.
        self.socket.write_all(request.as_bytes())
    }
}

/// Where an answer's body begins, and how long it is; 0 for a stream's. `None` until the head is whole.
fn head(octets: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let text = String::from_utf8_lossy(&octets[..end]);
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(octets).into_owned());
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((end, length.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::net::TcpListener;

    use super::*;

    /// A reader whose server says this, in pieces.
    fn hears(way: Way, pieces: &[&str]) -> (Result<Vec<u64>, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        let mut reader = Reader::begin(TcpStream::from_std(ours), way, "a", "r", 7).unwrap();
        let (mut seen, mut buffer) = (Vec::new(), vec![0; 4096]);
        let mut read = Ok(());
        for piece in pieces {
            server.write_all(piece.as_bytes()).unwrap();
            read = read.and_then(|()| reader.read(&mut buffer, |written| seen.push(written)));
        }
        drop(reader);
        let mut said = String::new();
        let _ = server.read_to_string(&mut said);
        (read.map(|()| seen), said)
    }

    #[test]
    fn a_stream_is_read_and_its_messages_are_counted() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\n\nevent: subscr";
        let rest = "ibed\ndata: {}\n\nid: 1\ndata: {\"id\":\"1\",\"body\":\"7 11 ...\"}\n\n:\n\ndata: {\"body\":\"8 12 .\"}\n\n";
        let (seen, said) = hears(Way::Events, &[head, rest]);
        assert_eq!(seen, Ok(vec![11, 12]));
        assert!(said.starts_with("GET /rooms/r/events HTTP/1.1\r\nHost: a\r\n\r\n"), "{said}");
        let gap = "data: {\"body\":\"9 1 .\"}\n\n";
        assert_eq!(hears(Way::Events, &[head, rest, gap, gap]).0.unwrap_err(), "message 9 of its room instead of 10");
        assert!(hears(Way::Events, &["HTTP/1.1 503 No\r\n\r\nfull"]).0.unwrap_err().ends_with("full"));
    }

    #[test]
    fn a_poll_is_asked_again_with_its_answers_token() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let first = answer("{\"messages\":[],\"next\":\"3-1-a\",\"more\":false}");
        let second =
            answer("{\"messages\":[{\"body\":\"7 5 .\"},{\"body\":\"8 6 .\"}],\"next\":\"3-2-b\",\"recovered\":true}");
        let (half, rest) = second.split_at(50);
        let (seen, said) = hears(Way::LongPoll, &[&first, half, rest]);
        assert_eq!(seen, Ok(vec![5, 6]));
        let asked: Vec<&str> = said.lines().filter(|line| line.starts_with("GET")).collect();
        let wanted = ["?after=now", "?after=3-1-a&wait=60", "?after=3-2-b&wait=60"];
        assert_eq!(asked, wanted.map(|query| format!("GET /rooms/r/messages{query} HTTP/1.1")));
        assert!(hears(Way::LongPoll, &[&second, &second]).0.is_err(), "each comes once");
        let lost = answer("{\"messages\":[],\"next\":\"3-2-b\",\"recovered\":false}");
        assert!(hears(Way::LongPoll, &[&first, &lost]).0.is_err());
    }
}
