//! A request's session, from the request's end: STOMP is said, lines of JSON are heard.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::opening::ENTERED;
use super::problem::Problem;
use crate::disconnect::Ending;
use crate::upgrade::Refusal;
use crate::worker::{Over, Pipe};

/// How every message of a room begins; [`crate::transport::json`] writes a message's id first.
const MESSAGE: &[u8] = br#"{"type":"message","id":""#;

/// What a session says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    /// A message of the room: the object as it stands.
    #[serde(skip)]
    Message(Bytes),
    Subscribed {
        position: String,
        recovered: Option<bool>,
    },
    Stored {
        receipt: String,
        id: String,
        timestamp: i64,
    },
    Done {
        receipt: String,
    },
    Problem {
        receipt: Option<String>,
        problem: Problem,
    },
    /// All that was there has been said; what comes now is new.
    Live,
    Close {
        code: u16,
    },
}

impl Line {
    fn read(line: Bytes) -> Self {
        if line.starts_with(MESSAGE) {
            return Self::Message(line);
        }
        // The edge has written it itself, so that it can be read; should that ever be wrong, nobody is left in the dark.
        serde_json::from_slice(&line)
            .unwrap_or_else(|_| Self::Problem { receipt: None, problem: Ending::Internal.into() })
    }
}

/// The id of a message.
pub(super) fn id_of(message: &[u8]) -> &str {
    let rest = message.strip_prefix(MESSAGE).unwrap_or_default();
    let end = rest.iter().position(|octet| *octet == b'"').unwrap_or_default();
    str::from_utf8(&rest[..end]).unwrap_or_default()
}

/// Why a session said this, or nothing more, instead of what was waited for.
pub(super) fn refusal(instead: Option<Line>) -> Problem {
    match instead {
        Some(Line::Problem { problem, .. }) => problem,
        Some(Line::Close { code: 1001 | 1012 }) => Problem::refusal(Refusal::Draining),
        Some(Line::Close { .. }) | None => Problem::later(),
        Some(_) => Problem::of(Ending::Internal, None),
    }
}

/// One request's session. When it is dropped its client has gone: what was said to it is still done.
pub(super) struct Session {
    pipe: Pipe,
    unread: BytesMut,
    /// So much of it holds no line end.
    scanned: usize,
    /// Said while something else was waited for.
    heard: VecDeque<Line>,
}

impl Session {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe, unread: BytesMut::new(), scanned: 0, heard: VecDeque::new() }
    }

    /// Waits until the client has been let in.
    pub(super) async fn enter(&mut self) -> Result<(), Problem> {
        match self.line().await {
            Some(Line::Done { receipt }) if receipt == ENTERED => Ok(()),
            instead => Err(refusal(instead)),
        }
    }

    /// The next line; `None`: the session is over. Nothing is lost when this is given up.
    pub(super) async fn line(&mut self) -> Option<Line> {
        match self.heard.pop_front() {
            Some(line) => Some(line),
            None => poll_fn(|cx| self.poll_line(cx)).await,
        }
    }

    /// The next line, if it is here already.
    pub(super) fn line_now(&mut self) -> Option<Line> {
        self.heard.pop_front().or_else(|| self.take_line())
    }

    /// Says a frame, and waits for room; what is heard meanwhile comes with the next lines, and so does the end of a
    /// session that takes nothing any more.
    pub(super) async fn say(&mut self, frame: &[u8]) {
        let mut rest = frame;
        poll_fn(|cx| {
            loop {
                match self.pipe.poll_write(cx, rest) {
                    Poll::Ready(Ok(taken)) => {
                        rest = &rest[taken..];
                        if rest.is_empty() {
                            return Poll::Ready(());
                        }
                        continue;
                    }
                    Poll::Ready(Err(Over)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
                // A session that cannot say anything does not listen either.
                match self.poll_line(cx) {
                    Poll::Ready(Some(line)) => self.heard.push_back(line),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    fn poll_line(&mut self, cx: &Context<'_>) -> Poll<Option<Line>> {
        loop {
            if let Some(line) = self.take_line() {
                return Poll::Ready(Some(line));
            }
            match self.pipe.poll_read(cx, &mut self.unread) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        match self.unread[self.scanned..].iter().position(|octet| *octet == b'\n') {
            Some(at) => {
                let mut line = self.unread.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                Some(Line::read(line.freeze()))
            }
            None => {
                self.scanned = self.unread.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_proto::{MessageId, Outgoing, View, encode};

    use super::*;
    use crate::{message::Message, transport::json};

    /// What the transport writes is what is read here.
    #[test]
    #[allow(clippy::unwrap_used)]
    fn every_line_is_read_as_what_it_is() {
        let outgoing = Outgoing {
            uuid: [7; 16],
            room: "r",
            sender: "ann",
            content_type: "",
            headers: &[("id", "x")],
            body: b"{\"type\":\"live\"}",
            idempotency_key: "",
            origin: "e",
        };
        let id = MessageId { partition: 3, offset: 17, check: 0x0a1b_2c3d };
        let content = View::read(encode(&outgoing), b"r").unwrap();
        let mut octets = Vec::new();
        json::message(&Message { room: 0, seq: 1, id, timestamp_ms: 1, content, trace: None }, false, &mut octets);
        assert_eq!(Line::read(octets.clone().into()), Line::Message(octets.clone().into()));
        assert_eq!(id_of(&octets), "3-17-0a1b2c3d");

        let read = |said: json::Said| {
            let mut octets = Vec::new();
            said.write(&mut octets);
            Line::read(octets.into())
        };
        let done = json::Said::Done { receipt: ENTERED.to_owned() };
        assert_eq!(read(done), Line::Done { receipt: ENTERED.to_owned() });
        let stored = json::Said::Stored { receipt: "1".into(), id: "0-1-0".into(), timestamp: 5 };
        assert_eq!(read(stored), Line::Stored { receipt: "1".into(), id: "0-1-0".into(), timestamp: 5 });
        let said = json::Said::Subscribed { room: "r".into(), position: "p".into(), recovered: None };
        assert_eq!(read(said), Line::Subscribed { position: "p".into(), recovered: None });
        for ending in Ending::all() {
            let problem = Problem::from(ending);
            let said = json::Said::Problem { receipt: Some("1".into()), problem: problem.clone() };
            assert_eq!(read(said), Line::Problem { receipt: Some("1".into()), problem }, "{ending:?}");
        }
        assert_eq!(Line::read(Bytes::from_static(br#"{"type":"live"}"#)), Line::Live);
        assert_eq!(Line::read(Bytes::from_static(br#"{"type":"close","code":1012}"#)), Line::Close { code: 1012 });
    }
}
