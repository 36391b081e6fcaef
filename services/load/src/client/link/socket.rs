//! `GET /rooms/{room}/socket`: a WebSocket on which every message is one to the room, and the server speaks JSON. It has no
//! keys, so what is unknown stays so.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio_tungstenite::tungstenite::{Message as Frame, protocol::CloseFrame, protocol::frame::coding::CloseCode};

use super::{
    Connection, Heard, Link, Opening, Say,
    http::path,
    json::{self, MessageObject, Text},
    websocket::{Input, WebSocket},
};
use crate::client::failure::Failure;

/// A server shows this often that it lives.
const PULSE: Duration = Duration::from_secs(25);

struct Socket {
    socket: WebSocket,
    /// SENDs want an answer; each is answered.
    receipts: bool,
    leaving: bool,
}

pub(super) async fn open(opening: Opening<'_>) -> Result<Connection<'_>, Failure> {
    let (target, path) = (opening.target(), path(&opening, "socket"));
    let after = opening.from.as_ref().map(|from| format!("?after={from}")).unwrap_or_default();
    let authority = target.url.split('/').nth(2).unwrap_or_default();
    let url = format!("ws://{authority}{path}{after}");
    let opened = WebSocket::open(target, &url, "", opening.token()).await;
    let (socket, edge) = opened.map_err(|failure| {
        let hopeless = matches!(failure.status, Some(400 | 401 | 403 | 404));
        Failure { hopeless, ..failure }
    })?;
    let receipts = !opening.run.settings.dialect.no_receipts;
    let user = opening.token().and_then(json::subject);
    let link = Box::new(Socket { socket, receipts, leaving: false });
    let (keys, repeats) = (false, false);
    Ok(Connection { link, beat: None, pulse: Some(PULSE), user, server: None, edge, keys, repeats })
}

impl Socket {
    fn heard(&self, octets: &[u8]) -> Heard {
        let told = |error: serde_json::Error| Heard::Closed(Err(format!("a message that is none of a room: {error}")));
        // It counts from 1, and so do receipts from 0, where there are any.
        let receipt = |n: u64| n.checked_sub(1).filter(|_| self.receipts);
        match serde_json::from_slice(octets) {
            Err(error) => told(error),
            Ok(Text::Subscribed(subscribed)) => Heard::Joined(subscribed.into()),
            Ok(Text::Message) => match serde_json::from_slice::<MessageObject<'_>>(octets) {
                Ok(message) => Heard::Message(message.into()),
                Err(error) => told(error),
            },
            Ok(Text::Stored { n, stored }) => receipt(n).map_or(Heard::Life, |receipt| Heard::Stored {
                receipt,
                id: Some(stored.id),
                ts: Some(stored.timestamp),
            }),
            Ok(Text::Problem { n, problem }) => match n.and_then(receipt) {
                // Whether the session goes on is seen from what follows.
                Some(receipt) => Heard::Failed(receipt, problem.read(true)),
                None => Heard::Problem(problem.read(false)),
            },
        }
    }
}

impl Link for Socket {
    fn say(&mut self, say: Say) -> Result<(), String> {
        let message = match String::from_utf8(say.body) {
            Ok(text) => Frame::text(text),
            Err(octets) => Frame::binary(octets.into_bytes()),
        };
        self.socket.send(message)
    }

    fn is_full(&self) -> bool {
        self.socket.is_blocked()
    }

    fn leave(&mut self) -> Result<(), String> {
        self.leaving = true;
        self.socket.send(Frame::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        Poll::Ready(match ready!(self.socket.poll_next(cx)) {
            Input::Data(message) => self.heard(&message.into_data()),
            Input::Life => Heard::Life,
            Input::Drained => Heard::Drained,
            Input::Closed(Ok(_)) if self.leaving => Heard::Goodbye,
            Input::Closed(end) => Heard::Closed(end),
        })
    }
}
