//! A message on its way into a room: the SEND that says it, if there can be one.

use std::time::Duration;

use stomp_proto::frame::client::encode;
use stomp_proto::{Command, is_reserved};

use super::ndjson::Message;
use super::problem::Problem;
use crate::destination::TOPIC;
use crate::transport::json::VERSION;

/// What requests that publish are bound by: a SEND's bounds, since it becomes one.
#[derive(Debug, Clone)]
pub struct RequestBounds {
    /// Octets of a message's body.
    pub body_bytes: usize,
    /// Octets of everything before it.
    pub head_bytes: usize,
    /// Octets of one header.
    pub line_bytes: usize,
    /// How many headers.
    pub headers: usize,
    /// A request's body must be complete after this long, however slowly it comes.
    pub body_timeout: Duration,
}

impl Default for RequestBounds {
    fn default() -> Self {
        let stomp_proto::Limits { body_bytes, header_block_bytes, header_line_bytes, headers, .. } = Default::default();
        let body_timeout = Duration::from_secs(300);
        Self { body_bytes, head_bytes: header_block_bytes, line_bytes: header_line_bytes, headers, body_timeout }
    }
}

impl RequestBounds {
    /// The longest line of JSON that is a message: each octet of it can be six.
    pub(super) fn json_bytes(&self) -> usize {
        6 * (self.body_bytes + self.head_bytes) + 1024
    }

    /// The frame that says this, receipted if there is a receipt. What no session would take is refused here, since it
    /// would end the session, and with it what stands behind.
    pub(super) fn send(&self, room: &str, message: &Message, receipt: Option<&str>) -> Result<Vec<u8>, Problem> {
        if message.body.len() > self.body_bytes {
            return Err(Problem::too_large(format!("the body of a message has {} octets at most", self.body_bytes)));
        }
        let destination = format!("{TOPIC}{room}");
        let own = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut headers = vec![("destination", destination.as_str())];
        headers.extend(receipt.map(|receipt| ("receipt", receipt)));
        headers.extend(message.content_type.as_deref().map(|value| ("content-type", value)));
        headers.extend(message.idempotency_key.as_deref().map(|value| ("x-idempotency-key", value)));
        headers.extend(own.clone());
        if headers.iter().any(|(name, value)| name.is_empty() || name.contains('\0') || value.contains('\0')) {
            return Err(Problem::malformed("a header has a name, and NUL stands nowhere in it"));
        }
        let is_taken = |name: &str| is_reserved(name) || ["content-type", "x-idempotency-key"].contains(&name);
        if own.clone().any(|(name, _)| is_taken(name)) {
            return Err(Problem::malformed(
                "headers has a name that is the edge's own: destination, sender, timestamp, authorization, cookie, and \
                 others that mean something in STOMP; content_type and idempotency_key are members of the message",
            ));
        }
        let count = headers.len();
        let frame = encode(Command::Send, headers, &message.body, VERSION);
        // The body, and the NUL behind it.
        let head = &frame[..frame.len() - message.body.len() - 1];
        let longest = head.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::len).max().unwrap_or_default();
        if head.len() > self.head_bytes || longest > self.line_bytes || count >= self.headers {
            return Err(Problem::too_large("the headers of a message are too many or too long"));
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use stomp_proto::{Accept, Config, Event, Session};

    use super::*;

    fn message(headers: &[(&str, &str)], body: &[u8]) -> Message {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Message { body: body.into(), headers, ..Message::default() }
    }

    /// p6: whatever a client writes, it becomes one SEND to that room, with that body.
    #[test]
    fn p6_a_message_is_one_send() {
        let bounds = RequestBounds::default();
        let evil = Message {
            content_type: Some("a\r\n\r\nSEND\ndestination:/topic/x:\\c".into()),
            idempotency_key: Some("k\nsender:eve".into()),
            ..message(&[("h\n:\\", "v\n\n"), ("h2", "")], b"\0SEND\ndestination:/topic/other\n\n\0")
        };
        let frame = bounds.send("a:b\\c", &evil, Some("1\n2")).unwrap();
        let mut session = Session::new(std::sync::Arc::new(Config::default()), Duration::ZERO);
        session.handle_input(b"CONNECT\naccept-version:1.2\n\n\0", Duration::ZERO).unwrap();
        session.poll_event().unwrap();
        session.accept(Accept { session: "s", user: None, headers: &[] }, Duration::ZERO);
        session.handle_input(&frame, Duration::ZERO).unwrap();
        let Some(Event::Send(send)) = session.poll_event().unwrap() else { panic!("no SEND") };
        assert_eq!((&*send.destination, &*send.body), ("/topic/a:b\\c", &evil.body[..]));
        assert_eq!(send.content_type.as_deref(), evil.content_type.as_deref());
        assert_eq!(send.idempotency_key.as_deref(), evil.idempotency_key.as_deref());
        assert_eq!(send.receipt.as_deref(), Some("1\n2"));
        assert_eq!(send.headers.iter().collect::<Vec<_>>(), [("h\n:\\", "v\n\n"), ("h2", "")]);
        assert!(session.poll_event().unwrap().is_none(), "one frame");
    }

    #[test]
    fn p6_l01_what_a_session_would_end_for_is_refused() {
        let bounds =
            RequestBounds { body_bytes: 10, head_bytes: 300, line_bytes: 100, headers: 5, ..Default::default() };
        let refused = |message: Message| bounds.send("r", &message, Some("1")).unwrap_err().status;
        assert!(bounds.send("r", &message(&[("a", "1"), ("b", "2")], b"0123456789"), Some("1")).is_ok());
        assert_eq!(refused(message(&[], b"0123456789a")), 413);
        assert_eq!(refused(message(&[("a", &"x".repeat(100))], b"")), 413);
        assert_eq!(refused(message(&[("a", ":".repeat(60).as_str())], b"")), 413, "escaped it is longer");
        assert_eq!(refused(message(&[("a", ""), ("b", ""), ("c", "")], b"")), 413);
        for name in ["", "a\0b", "destination", "Sender", "receipt", "transaction", "content-length", "message-id"] {
            assert_eq!(refused(message(&[(name, "x")], b"")), 400, "{name}");
        }
        for name in ["Authorization", " cookie", "x-idempotency-key", "content-type", "timestamp", "subscription"] {
            assert_eq!(refused(message(&[(name, "x")], b"")), 400, "{name}");
        }
        assert_eq!(refused(message(&[("a", "x\0")], b"")), 400);
    }
}
