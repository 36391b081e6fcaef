//! STOMP over WebSocket: CONNECT, SUBSCRIBE, SEND, and what the server's frames say.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use stomp_proto::{Command, ServerDecoder, ServerFrame, Version, frame::client::encode};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{
    Connection, Heard, Joined, Link, Message, Opening, Problem, Say,
    websocket::{Input, WebSocket},
};
use crate::client::{
    failure::{Failure, Reason},
    is_secret,
};

const JOIN: &str = "join";
const BYE: &str = "bye";
/// The subscription on which soft errors come.
const ERRORS: &str = "errors";
/// The one on which the server says that it drains.
const NOTICES: &str = "notices";

/// Labels of ERRORs after which a SEND is certainly not stored; those with `send_refused_` are, too.
const REFUSALS: [&str; 6] = ["log_away", "forbidden", "unknown_destination", "too_large", "rate_limited", "too_many"];

struct Stomp<'a> {
    opening: Opening<'a>,
    socket: WebSocket,
    decoder: ServerDecoder,
    version: Version,
    /// The server says when it drains, and we want to hear it.
    notices: bool,
}

pub(super) async fn open(opening: Opening<'_>) -> Result<Connection<'_>, Failure> {
    let (target, dialect) = (opening.target(), &opening.run.settings.dialect);
    let (socket, edge) = WebSocket::open(target, &target.url, &dialect.subprotocols, None).await?;
    let mut stomp = Stomp { opening, socket, decoder: ServerDecoder::new(), version: Version::V1_2, notices: false };
    let dead = |text| Failure::new(Reason::Stomp, text);
    stomp.connect().map_err(dead)?;
    loop {
        match poll_fn(|cx| stomp.poll_frame(cx)).await {
            Ok(frame) if frame.command == Command::Connected => {
                stomp.version = frame.headers.get("version").and_then(Version::parse).unwrap_or(Version::V1_0);
                let (beat, pulse) = agreed(dialect.heart_beat, &frame);
                let text = |name| frame.headers.get(name).map(str::to_owned);
                let (user, server) = (text("user-name"), text("server"));
                stomp.notices = frame.headers.get("drain-notice") == Some("1") && stomp.opening.run.settings.notices();
                let (link, keys, repeats) = (Box::new(stomp), true, true);
                return Ok(Connection { link, beat, pulse, user, server, edge, keys, repeats });
            }
            Ok(frame) if frame.command == Command::Error => {
                let Problem { code, text, retry_after, .. } = problem(&frame);
                let hopeless = matches!(code, Some(401 | 403 | 404 | 426));
                return Err(Failure { retry_after, hopeless, ..dead(text) });
            }
            Ok(frame) => return Err(dead(format!("{} instead of CONNECTED", frame.command.as_str()))),
            Err(Heard::Closed(Ok(code))) => {
                return Err(Failure { hopeless: code >= 4500, ..dead(format!("closed with {code} before CONNECTED")) });
            }
            Err(Heard::Closed(Err(why))) => return Err(dead(format!("{why} before CONNECTED"))),
            Err(_) => {}
        }
    }
}

impl Stomp<'_> {
    fn connect(&mut self) -> Result<(), String> {
        let settings = &self.opening.run.settings;
        let (send, receive) = settings.dialect.heart_beat;
        let heart_beat = format!("{send},{receive}");
        let bearer = self.opening.token().map(|token| format!("Bearer {token}"));
        let optional = [
            ("login", settings.dialect.login.as_deref()),
            ("passcode", settings.dialect.passcode.as_deref()),
            ("Authorization", bearer.as_deref()),
            ("x-errors", settings.soft_errors.then_some("soft")),
        ];
        let headers = [
            ("accept-version", "1.2,1.1"),
            ("host", settings.dialect.stomp_host.as_deref().unwrap_or(&self.opening.target().host)),
            ("heart-beat", &heart_beat),
        ];
        self.write(Command::Connect, &headers, &optional, b"")
    }

    fn write(
        &mut self,
        command: Command,
        headers: &[(&str, &str)],
        optional: &[(&str, Option<&str>)],
        body: &[u8],
    ) -> Result<(), String> {
        let optional = optional.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        self.write_text(encode(command, headers.iter().copied().chain(optional), body, self.version))
    }

    fn write_text(&mut self, frame: Vec<u8>) -> Result<(), String> {
        let text = String::from_utf8(frame).map_err(|error| error.to_string())?;
        self.socket.send(Frame::text(text))
    }

    /// The next frame, or what is none.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<ServerFrame, Heard>> {
        loop {
            match self.decoder.poll() {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(error) => {
                    let why = format!("unreadable frame: {}", error.message());
                    return Poll::Ready(Err(Heard::Closed(Err(why))));
                }
            }
            match ready!(self.socket.poll_next(cx)) {
                Input::Data(message) => {
                    let octets = message.into_data();
                    self.decoder.push(&octets);
                    // A beat, or a part of a frame.
                    if !octets.ends_with(b"\0") {
                        return Poll::Ready(Err(Heard::Life));
                    }
                }
                Input::Life => return Poll::Ready(Err(Heard::Life)),
                Input::Drained => return Poll::Ready(Err(Heard::Drained)),
                Input::Closed(end) => return Poll::Ready(Err(Heard::Closed(end))),
            }
        }
    }
}

impl Link for Stomp<'_> {
    fn join(&mut self) -> Result<(), String> {
        let settings = &self.opening.run.settings;
        if settings.soft_errors {
            let headers = [("id", ERRORS), ("destination", "/user/queue/errors")];
            self.write(Command::Subscribe, &headers, &[], b"")?;
        }
        if self.notices {
            self.write(Command::Subscribe, &[("id", NOTICES), ("destination", "/session/notices")], &[], b"")?;
        }
        let destination = format!("{}{}", settings.dialect.destination_prefix, self.opening.room);
        let from = self.opening.from.clone();
        let optional = [("receipt", (!settings.dialect.no_barrier).then_some(JOIN)), ("x-from", from.as_deref())];
        self.write(Command::Subscribe, &[("id", "0"), ("destination", &destination)], &optional, b"")
    }

    fn say(&mut self, say: Say) -> Result<(), String> {
        let settings = &self.opening.run.settings;
        let prefix = settings.dialect.send_prefix.as_ref().unwrap_or(&settings.dialect.destination_prefix);
        let destination = format!("{prefix}{}", self.opening.room);
        let receipt = say.receipt.map(|receipt| receipt.to_string());
        let secret = settings.authorization_on_send.then_some("Bearer must-not-reach-a-room");
        let optional =
            [("receipt", receipt.as_deref()), ("x-idempotency-key", say.key.as_deref()), ("Authorization", secret)];
        let headers = [("destination", destination.as_str()), ("content-type", "text/plain")];
        self.write(Command::Send, &headers, &optional, &say.body)
    }

    fn is_full(&self) -> bool {
        self.socket.is_blocked()
    }

    fn beat(&mut self) -> Result<(), String> {
        self.write_text(b"\n".to_vec())
    }

    /// Whatever is on its way comes before the RECEIPT of DISCONNECT.
    fn leave(&mut self) -> Result<(), String> {
        self.write(Command::Disconnect, &[("receipt", BYE)], &[], b"")
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        Poll::Ready(match ready!(self.poll_frame(cx)) {
            Ok(frame) => heard(frame),
            Err(heard) => heard,
        })
    }
}

fn heard(frame: ServerFrame) -> Heard {
    let get = |name| frame.headers.get(name);
    match frame.command {
        Command::Message if get("subscription") == Some(ERRORS) => failed(&frame),
        Command::Message if get("subscription") == Some(NOTICES) => notice(&frame),
        Command::Message => Heard::Message(Message {
            id: get("message-id").unwrap_or_default().to_owned(),
            ts: get("timestamp").and_then(|ts| ts.parse().ok()),
            sender: get("sender").map(str::to_owned),
            replayed: get("x-replayed") == Some("true"),
            leaked: frame.headers.iter().map(|(name, _)| name).find(|name| is_secret(name)).map(str::to_owned),
            body: frame.body.to_vec(),
        }),
        Command::Receipt => match get("receipt-id").unwrap_or_default() {
            JOIN => Heard::Joined(Joined {
                position: get("x-position").map(str::to_owned),
                recovered: get("x-recovered").map(|recovered| recovered == "true"),
                count: get("x-history-count").and_then(|count| count.parse().ok()),
            }),
            BYE => Heard::Goodbye,
            receipt => Heard::Stored {
                // Of a RECEIPT that names nothing of ours it is said that nobody waits for it.
                receipt: receipt.parse().unwrap_or(u64::MAX),
                id: get("message-id").map(str::to_owned),
                ts: get("timestamp").and_then(|ts| ts.parse().ok()),
            },
        },
        Command::Error => failed(&frame),
        _ => Heard::Life,
    }
}

/// What is no drain is for clients that are newer.
fn notice(frame: &ServerFrame) -> Heard {
    let ms = |name| frame.headers.get(name).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    match (frame.headers.get("type"), ms("reconnect-after-ms")) {
        (Some("drain"), Some(after)) => Heard::Notice { after, deadline: ms("deadline-ms").unwrap_or(after) },
        _ => Heard::Life,
    }
}

/// ERROR, or a soft one: what it answers, if anything.
fn failed(frame: &ServerFrame) -> Heard {
    let problem = problem(frame);
    match frame.headers.get("receipt-id").and_then(|receipt| receipt.parse().ok()) {
        Some(receipt) => Heard::Failed(receipt, problem),
        None => Heard::Problem(problem),
    }
}

fn problem(frame: &ServerFrame) -> Problem {
    let get = |name| frame.headers.get(name);
    let label = get("x-error").unwrap_or_default();
    // A soft one has its words in the body.
    let message = get("message").map_or_else(|| String::from_utf8_lossy(&frame.body), Into::into);
    let text = match get("x-error").or(get("x-error-code")) {
        Some(label) => format!("ERROR {label}: {message}"),
        None => format!("ERROR: {message}"),
    };
    Problem {
        code: get("x-error-code").and_then(|code| code.parse().ok()),
        text,
        refused: label.starts_with("send_refused_") || REFUSALS.contains(&label),
        soft: frame.command == Command::Message,
        joining: get("receipt-id") == Some(JOIN),
        retry_after: get("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
    }
}

/// How often we and the server send, from what both offered and want.
fn agreed((send, receive): (u32, u32), connected: &ServerFrame) -> (Option<Duration>, Option<Duration>) {
    let pair = connected.headers.get("heart-beat").and_then(|pair| pair.split_once(','));
    let number = |text: &str| text.trim().parse::<u32>().unwrap_or(0);
    let (theirs, wanted) = pair.map_or((0, 0), |(send, receive)| (number(send), number(receive)));
    let every =
        |can: u32, wants: u32| (can != 0 && wants != 0).then(|| Duration::from_millis(u64::from(can.max(wants))));
    (every(send, wanted), every(theirs, receive))
}
