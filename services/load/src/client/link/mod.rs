//! How a client speaks to a server: say, join a room from a token, hear. One implementation for each transport; nothing
//! else of a client knows which one it has.
//!
//! | file | what |
//! |---|---|
//! | `stomp.rs` | STOMP over WebSocket |
//! | `socket.rs` | JSON over a room's own WebSocket |
//! | `events.rs`, `sse.rs` | a stream of server-sent events |
//! | `poll.rs` | polling, and long polling |
//! | `post.rs` | `POST /rooms/{room}/messages`, for those who only read otherwise |
//! | `websocket.rs`, `http.rs`, `json.rs` | what they are made of |

mod events;
mod http;
mod json;
mod poll;
mod post;
mod socket;
pub(crate) mod sse;
mod stomp;
mod websocket;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use clap::ValueEnum;
use tokio::time::timeout;

use super::{
    Run,
    failure::{Failure, Reason},
};
use crate::target::Target;

/// For TCP, upgrade and CONNECT, or for TCP, request and the first answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How clients speak to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Transport {
    /// STOMP over WebSocket
    Stomp,
    /// /rooms/{room}/socket: a WebSocket without STOMP
    Socket,
    /// /rooms/{room}/events: server-sent events; SENDs are POSTs
    Events,
    /// /rooms/{room}/messages once a second; SENDs are POSTs
    Poll,
    /// /rooms/{room}/messages?wait=25; SENDs are POSTs
    LongPoll,
}

impl Transport {
    /// That of a client, where these are handed round the members of each of so many rooms.
    pub fn of(all: &[Transport], client: u32, rooms: u32) -> Transport {
        // The members of a room, and the rooms of a seat, have all of them in turn.
        let turn = (client % rooms.max(1)) as usize + (client / rooms.max(1)) as usize;
        all.get(turn % all.len().max(1)).copied().unwrap_or(Transport::Stomp)
    }

    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Who goes where, into which room, and where it was there.
#[derive(Clone)]
pub(super) struct Opening<'a> {
    pub(super) run: &'a Run,
    /// The client.
    pub(super) number: u32,
    /// Which of the settings' URLs.
    pub(super) url: usize,
    pub(super) room: Arc<str>,
    /// The token to go on from.
    pub(super) from: Option<String>,
}

impl<'a> Opening<'a> {
    fn target(&self) -> &'a Target {
        &self.run.settings.url[self.url]
    }

    fn token(&self) -> Option<&'a str> {
        let tokens = &self.run.tokens;
        tokens.get(self.number as usize % tokens.len().max(1)).map(String::as_str)
    }
}

/// A connection on which can be spoken.
pub(super) struct Connection<'a> {
    pub(super) link: Box<dyn Link + 'a>,
    /// We have to show this often that we live.
    pub(super) beat: Option<Duration>,
    /// The server shows it this often.
    pub(super) pulse: Option<Duration>,
    /// As the server calls us.
    pub(super) user: Option<String>,
    /// What it calls itself.
    pub(super) server: Option<String>,
    /// What a balancer in front of it calls it.
    pub(super) edge: Option<String>,
    /// Messages can carry keys.
    pub(super) keys: bool,
    /// A message that is sent again with its key comes from the same sender, so that it is known again.
    pub(super) repeats: bool,
}

/// A message to the room.
pub(super) struct Say {
    /// What its answer is called; `None`: none is wanted.
    pub(super) receipt: Option<u64>,
    pub(super) key: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What is heard.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A sign of life.
    Life,
    /// There is room to say more.
    Drained,
    /// The room is joined.
    Joined(Joined),
    /// A message of the room.
    Message(Message),
    /// A client could go on from this token as well as from the last message's.
    Place(String),
    /// A message to the room is stored.
    Stored { receipt: u64, id: Option<String>, ts: Option<i64> },
    /// The server drains: another connection should take over after this time.
    Notice { after: Duration, deadline: Duration },
    /// A message to the room was not taken, or nobody knows.
    Failed(u64, Problem),
    /// Something else is wrong.
    Problem(Problem),
    /// The end that we asked for.
    Goodbye,
    /// Any other: the WebSocket close code, or what went wrong.
    Closed(Result<u16, String>),
}

/// What is said when the room is joined.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Joined {
    pub(super) position: Option<String>,
    /// Is all there behind the token? `None`: it had none.
    pub(super) recovered: Option<bool>,
    pub(super) count: Option<u32>,
}

/// A message of the room.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) ts: Option<i64>,
    pub(super) sender: Option<String>,
    pub(super) replayed: bool,
    /// A header that must never reach a room.
    pub(super) leaked: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What the server does not do, and what follows from that.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Problem {
    /// As HTTP counts.
    pub(super) code: Option<u16>,
    /// In words.
    pub(super) text: String,
    /// A message is certainly not stored.
    pub(super) refused: bool,
    /// The session goes on.
    pub(super) soft: bool,
    /// The room cannot be joined.
    pub(super) joining: bool,
    pub(super) retry_after: Option<Duration>,
}

/// A transport's connection. What is said is on its way when `poll_next` was called, unless the link is full.
pub(super) trait Link: Send {
    /// Asks for the room, where opening the connection has not done so.
    fn join(&mut self) -> Result<(), String> {
        Ok(())
    }
    /// Takes a message to the room.
    fn say(&mut self, say: Say) -> Result<(), String>;
    /// Nothing more should be said now.
    fn is_full(&self) -> bool;
    /// Shows that we live.
    fn beat(&mut self) -> Result<(), String> {
        Ok(())
    }
    /// Asks for the end, before which comes whatever is on its way: [`Heard::Goodbye`].
    fn leave(&mut self) -> Result<(), String>;
    /// What comes next. Nothing is lost when nobody waits for it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard>;
}

/// A connection that is being made. Boxed: it is much larger than what a client needs later.
pub(super) type Opened<'a> = Pin<Box<dyn Future<Output = Result<Connection<'a>, Failure>> + Send + 'a>>;

/// From a URL to a connection, and into the room where the transport has no two steps.
pub(super) async fn open(opening: Opening<'_>) -> Result<Connection<'_>, Failure> {
    let opened: Opened<'_> = match opening.run.settings.transport_of(opening.number) {
        Transport::Stomp => Box::pin(stomp::open(opening)),
        Transport::Socket => Box::pin(socket::open(opening)),
        Transport::Events => Box::pin(events::open(opening)),
        Transport::Poll => Box::pin(poll::open(opening, false)),
        Transport::LongPoll => Box::pin(poll::open(opening, true)),
    };
    let late = |_| Failure::new(Reason::Silent, format!("no answer within {PATIENCE:?}"));
    timeout(PATIENCE, opened).await.map_err(late)?
}
