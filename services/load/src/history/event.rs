//! The lines of a history. Each is one JSON object: when and who ([`Head`]), then what ([`Event`]).

use std::{borrow::Cow, io};

use serde::{Deserialize, Serialize};

/// The format's version, in the first line.
pub const VERSION: u32 = 1;

/// When, and who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Microseconds since 1970, never running backwards inside a file.
    pub t: u64,
    /// The client's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c: Option<u32>,
    /// Its session's number, from 1. Attempts that fail bear the number of the session that they did not become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s: Option<u32>,
}

/// What an ERROR says about its SEND.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not in the log.
    Refused,
    /// May be in the log.
    Unknown,
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The client: DISCONNECT, confirmed.
    Asked,
    /// The server, with a close frame.
    Server,
    /// Nobody said why: the connection broke, or fell silent.
    Cut,
    /// The server, after ERROR.
    Error,
}

/// What happened. Strings are borrowed from the line that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The first line.
    Run {
        /// Tells this run's messages from others; every body carries it.
        run: u32,
        /// The process.
        pid: u32,
        /// [`VERSION`].
        version: u32,
        /// Within this time and two seconds more every SEND ends (promise 5).
        send_timeout_ms: u64,
        /// Where the clients connect.
        urls: Vec<String>,
        /// Clients.
        connections: u32,
        /// Rooms.
        rooms: u32,
        /// SENDs a second.
        rate: f64,
        /// Do SENDs ask for a RECEIPT?
        receipts: bool,
    },
    /// A client connects.
    Opening {
        /// Where.
        #[serde(borrow)]
        url: Cow<'a, str>,
    },
    /// CONNECTED.
    Connected {
        /// `user-name`
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        user: Option<Cow<'a, str>>,
        /// `server`
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        server: Option<Cow<'a, str>>,
        /// The server, as a balancer in front of it calls it.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        edge: Option<Cow<'a, str>>,
    },
    /// An attempt to connect failed.
    Refused {
        /// The upgrade's HTTP status.
        status: Option<u16>,
        /// In words.
        #[serde(borrow)]
        why: Cow<'a, str>,
        /// When the server wants to be asked again, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// SUBSCRIBE is written.
    Subscribe {
        /// The room.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `x-from`
        #[serde(borrow)]
        from: Option<Cow<'a, str>>,
        /// `x-history`
        history: Option<u32>,
    },
    /// RECEIPT of SUBSCRIBE.
    Joined {
        /// The room.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `x-position`
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        position: Option<Cow<'a, str>>,
        /// `x-recovered`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        /// `x-history-count`
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
    },
    /// SEND is written.
    Send {
        /// The client's SEND number, from 0; the same when it is sent again.
        n: u64,
        /// From 1.
        #[serde(rename = "try")]
        attempt: u32,
        /// The room.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `x-idempotency-key`
        #[serde(borrow)]
        key: Option<Cow<'a, str>>,
        /// Octets of the body.
        size: usize,
    },
    /// RECEIPT of a SEND.
    Receipt {
        /// Which SEND.
        n: u64,
        /// Which copy of it.
        #[serde(rename = "try")]
        attempt: u32,
        /// `message-id`
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
        /// `timestamp`, in milliseconds since 1970.
        ts: Option<i64>,
    },
    /// ERROR, or a MESSAGE on `/user/queue/errors`, that answers a SEND.
    Failed {
        /// Which SEND.
        n: u64,
        /// Which copy of it.
        #[serde(rename = "try")]
        attempt: u32,
        /// `x-error-code`
        code: Option<u16>,
        /// Is it in the log?
        outcome: Outcome,
        /// The session goes on.
        soft: bool,
        /// In words.
        #[serde(borrow)]
        why: Cow<'a, str>,
    },
    /// The server drains: a MESSAGE on `/session/notices`.
    Notice {
        /// When the client should make another connection, in milliseconds from now.
        after_ms: u64,
        /// When it is closed if it has not.
        deadline_ms: u64,
    },
    /// MESSAGE that a load generator sent.
    Message {
        /// The room of the subscription.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `message-id`
        #[serde(borrow)]
        id: Cow<'a, str>,
        /// `timestamp`, in milliseconds since 1970.
        ts: Option<i64>,
        /// `sender`
        #[serde(borrow)]
        sender: Option<Cow<'a, str>>,
        /// The sending client, as the body says.
        from: u32,
        /// The SEND's number, as the body says.
        n: u64,
        /// Which copy of it, as the body says.
        #[serde(rename = "try")]
        attempt: u32,
        /// The run that sent it, if it is not this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<u32>,
        /// `x-replayed`
        #[serde(default, skip_serializing_if = "is_false")]
        replayed: bool,
        /// Octets of the body.
        size: usize,
        /// The body is not as it was sent.
        #[serde(default, skip_serializing_if = "is_false")]
        damaged: bool,
        /// A header that must never reach a room.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        leaked: Option<Cow<'a, str>>,
        /// The client knows it from its other session, of which this one takes over, or which takes over from this one.
        #[serde(default, skip_serializing_if = "is_false")]
        discarded: bool,
    },
    /// MESSAGE that no load generator sent.
    Foreign {
        /// The room of the subscription.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `message-id`
        #[serde(borrow)]
        id: Cow<'a, str>,
        /// As with a MESSAGE that a load generator sent.
        #[serde(default, skip_serializing_if = "is_false")]
        discarded: bool,
    },
    /// ERROR 410: messages were missed.
    Gap {
        /// The room.
        #[serde(borrow)]
        room: Cow<'a, str>,
        /// `x-error-code`
        code: u16,
    },
    /// ERROR that answers no SEND.
    Error {
        /// `x-error-code`
        code: Option<u16>,
        /// In words.
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    /// The session is over.
    Close {
        /// The WebSocket close code; 1006 if there was none.
        code: u16,
        /// Who ended it.
        why: Why,
        /// In words.
        #[serde(borrow, default)]
        text: Cow<'a, str>,
        /// Where the client would go on: a message-id or an `x-position`.
        #[serde(borrow)]
        last: Option<Cow<'a, str>>,
    },
    /// The last line: the run ended as it should.
    End {},
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Appends a line.
///
/// # Errors
/// None that a vector could have.
pub fn write(out: &mut Vec<u8>, head: Head, event: &Event<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &head)?;
    // The two objects become one.
    out.pop();
    let joint = out.len();
    serde_json::to_writer(&mut *out, event)?;
    out[joint] = b',';
    out.push(b'\n');
    Ok(())
}

/// Reads a line.
///
/// # Errors
/// It is none of a history.
pub fn read(line: &[u8]) -> serde_json::Result<(Head, Event<'_>)> {
    Ok((serde_json::from_slice(line)?, serde_json::from_slice(line)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let head = Head { t: 1_700_000_000_000_001, c: Some(7), s: Some(2) };
        let events = [
            Event::Send { n: 3, attempt: 2, room: "tea \"hot\"".into(), key: Some("k".into()), size: 200 },
            Event::Receipt { n: 3, attempt: 2, id: Some("1-2-0000abcd".into()), ts: Some(5) },
            Event::Joined { room: "tea".into(), position: None, recovered: Some(false), count: None },
            Event::Close { code: 4003, why: Why::Error, text: "gap".into(), last: None },
            Event::End {},
        ];
        let mut out = Vec::new();
        events.iter().for_each(|event| write(&mut out, head, event).unwrap());
        let lines: Vec<_> = out.split_inclusive(|octet| *octet == b'\n').map(|line| read(line).unwrap()).collect();
        assert_eq!(lines, events.map(|event| (head, event)));
    }

    #[test]
    fn a_line_is_one_flat_object() {
        let mut out = Vec::new();
        let event = Event::Send { n: 0, attempt: 1, room: "r".into(), key: None, size: 9 };
        write(&mut out, Head { t: 1, c: Some(0), s: Some(1) }, &event).unwrap();
        write(&mut out, Head { t: 2, c: None, s: None }, &Event::End {}).unwrap();
        let wanted = "{\"t\":1,\"c\":0,\"s\":1,\"e\":\"send\",\"n\":0,\"try\":1,\"room\":\"r\",\"key\":null,\"size\":9}\n\
                      {\"t\":2,\"e\":\"end\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
