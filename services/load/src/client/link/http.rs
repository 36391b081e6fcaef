//! HTTP/1.1 on one connection: a request and its answer, or an answer that goes on. hyper's client, driven by whoever
//! waits: no task, nothing beside the connection's own buffers.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{AUTHORIZATION, HOST},
    http::request,
};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

use super::{Opening, Problem, json::ProblemObject};
use crate::client::failure::{Failure, Reason};

/// Octets of a connection's buffers: the least that hyper takes.
const BUFFER: usize = 8 * 1024;
/// Octets of a whole answer, a page of a thousand large messages.
const MOST: usize = 256 * 1024 * 1024;
/// What RFC 3986 leaves as it is in a path's segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type Wire = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection.
pub(super) struct Http {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None`: it is over.
    wire: Option<Pin<Box<Wire>>>,
    /// An answer has come on it.
    pub(super) used: bool,
}

/// An answer in one piece.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) body: Bytes,
    retry_after: Option<u64>,
}

/// No answer.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) text: String,
    /// The request was not written either.
    pub(super) unsent: bool,
}

impl Lost {
    fn of(error: &hyper::Error) -> Lost {
        // hyper says why in the error beneath.
        let why = std::error::Error::source(error).map_or_else(|| error.to_string(), |why| format!("{error}: {why}"));
        Lost { text: why, unsent: error.is_canceled() }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Failure {
        Failure::new(Reason::Unreachable, lost.text)
    }
}

impl Http {
    /// Connects.
    pub(super) async fn connect(opening: &Opening<'_>) -> Result<Http, Lost> {
        let target = opening.target();
        let failed = |error: std::io::Error| Lost { text: error.to_string(), unsent: true };
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await;
        let (sender, wire) = handshake.map_err(|error| Lost::of(&error))?;
        Ok(Http { sender, wire: Some(Box::pin(wire)), used: false })
    }

    /// Moves what can be moved; false: the connection is over.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.wire.as_mut().is_some_and(|wire| wire.as_mut().poll(cx).is_ready()) {
            self.wire = None;
        }
        self.wire.is_some()
    }

    /// A request, up to its answer's head.
    pub(super) async fn head(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        let mut answer = Box::pin(self.sender.send_request(request));
        let wire = &mut self.wire;
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if wire.as_mut().is_some_and(|wire| wire.as_mut().poll(cx).is_ready()) {
                *wire = None;
            }
            answer.as_mut().poll(cx)
        });
        let answer = answer.await.map_err(|error| Lost::of(&error))?;
        self.used = true;
        Ok(answer)
    }

    /// The rest of an answer.
    pub(super) async fn whole(&mut self, answer: Response<Incoming>) -> Result<Answer, Lost> {
        let (head, body) = answer.into_parts();
        let mut body = Box::pin(Limited::new(body, MOST).collect());
        let body = poll_fn(|cx| {
            if let Poll::Ready(body) = body.as_mut().poll(cx) {
                return Poll::Ready(body);
            }
            self.drive(cx);
            body.as_mut().poll(cx)
        });
        let body = body.await.map_err(|error| Lost { text: error.to_string(), unsent: false })?.to_bytes();
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status.as_u16(),
            etag: text("etag").map(str::to_owned),
            retry_after: text("retry-after").and_then(|seconds| seconds.parse().ok()),
            body,
        })
    }

    /// A request and its answer.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let answer = self.head(request).await?;
        self.whole(answer).await
    }

    /// Can another request be written?
    pub(super) fn is_open(&self) -> bool {
        self.wire.is_some() && !self.sender.is_closed()
    }
}

impl Answer {
    /// What a refusal says; of a balancer that is the status alone.
    pub(super) fn problem(&self) -> (Problem, u16) {
        let known = serde_json::from_slice::<ProblemObject>(&self.body).ok();
        let (mut problem, close) = match known {
            Some(object) => {
                let close = object.close();
                (object.read(true), close)
            }
            None => {
                let words = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).trim().to_owned();
                (Problem { text: format!("HTTP {}: {words}", self.status), soft: true, ..Problem::default() }, 1006)
            }
        };
        problem.code = problem.code.or(Some(self.status));
        problem.retry_after = problem.retry_after.or(self.retry_after.map(Duration::from_secs));
        (problem, close)
    }

    /// A refusal of the first request.
    pub(super) fn failure(&self) -> Failure {
        let (Problem { text, retry_after, .. }, _) = self.problem();
        let hopeless = matches!(self.status, 400 | 401 | 403 | 404 | 405);
        Failure { status: Some(self.status), retry_after, hopeless, ..Failure::new(Reason::Refused, text) }
    }
}

/// An answer that goes on.
pub(super) struct Stream {
    http: Http,
    body: Incoming,
}

impl Stream {
    pub(super) fn new(http: Http, answer: Response<Incoming>) -> Stream {
        Stream { http, body: answer.into_body() }
    }

    /// What comes next; `None`: the end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        loop {
            self.http.drive(cx);
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(Lost::of(&error).text))),
                Some(Ok(frame)) => frame,
            };
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

/// The path of the room.
pub(super) fn path(opening: &Opening<'_>, what: &str) -> String {
    format!("/rooms/{}/{what}", utf8_percent_encode(&opening.room, SEGMENT))
}

/// A request with who we are.
pub(super) fn request(opening: &Opening<'_>, method: &str, path: &str) -> request::Builder {
    let target = opening.target();
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let request = Request::builder().method(method).uri(path).header(HOST, format!("{host}:{}", target.port));
    match opening.token() {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

/// A request that cannot be written: a token or a key has characters that no field may have.
pub(super) fn finish(builder: request::Builder, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Lost> {
    builder.body(Full::from(body)).map_err(|error| Lost { text: error.to_string(), unsent: true })
}
