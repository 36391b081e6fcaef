//! `POST /rooms/{room}/messages`: one message, or many on a line each ([`super::batch`]).

use futures_util::Stream;
use serde::Serialize;
use warp::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use warp::http::{HeaderMap, HeaderName, StatusCode};
use warp::reply::Response;

use super::body::Body;
use super::ndjson::Message;
use super::opening::Opening;
use super::problem::Problem;
use super::query::Query;
use super::session::{Line, refusal};
use super::{Entered, Service, json};
use crate::disconnect::Ending;
use crate::upgrade::Request;

/// Many messages.
pub(super) const NDJSON: &str = "application/x-ndjson";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The receipt of the only SEND, and of the frame behind one that has none.
const ONLY: &str = "1";

/// A message that is stored.
#[derive(Serialize)]
pub(super) struct Placed<'a> {
    pub(super) id: &'a str,
    pub(super) room: &'a str,
    pub(super) timestamp: i64,
}

/// A message that the edge has taken.
#[derive(Serialize)]
pub(super) struct Queued<'a> {
    pub(super) room: &'a str,
}

impl Service {
    pub(super) async fn publish<B: bytes::Buf>(
        &self,
        request: &Request,
        room: &str,
        body: &mut Body<'_, impl Stream<Item = Result<B, warp::Error>>>,
    ) -> Result<Response, Problem> {
        let query = Query::parse(request.query.as_deref())?;
        let waits = match query.only("receipt")? {
            None | Some("stored") => true,
            Some("queued") => false,
            Some(_) => return Err(Problem::malformed("receipt is stored or queued")),
        };
        if request.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Problem::unsupported("a message is stored as it comes: send it without Content-Encoding"));
        }
        let content_type = text(&request.headers, &CONTENT_TYPE)?;
        let idempotency_key = text(&request.headers, &IDEMPOTENCY_KEY)?;
        let entered = self.enter(request, Opening::entering()).await?;
        if content_type.is_some_and(is_ndjson) {
            return self.batch(entered, room, waits, body).await;
        }
        let Entered { mut session, staying: _staying } = entered;
        let message = Message {
            body: body.whole(self.bounds.body_bytes).await?,
            content_type: content_type.map(str::to_owned),
            idempotency_key: idempotency_key.map(str::to_owned),
            headers: Vec::new(),
        };
        let frame = self.bounds.send(room, &message, waits.then_some(ONLY))?;
        session.say(&frame).await;
        if !waits {
            session.say(&Opening::barrier(ONLY)).await;
        }
        match session.line().await {
            Some(Line::Stored { id, timestamp, .. }) => {
                Ok(json(StatusCode::CREATED, &Placed { id: &id, room, timestamp }))
            }
            Some(Line::Done { .. }) => Ok(json(StatusCode::ACCEPTED, &Queued { room })),
            // The session has ended before it knew.
            None | Some(Line::Close { .. }) => Err(Problem::of(Ending::SendUnknown, None)),
            refused => Err(refusal(refused)),
        }
    }
}

/// A field that may be there once; an empty one is not there.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        let more = headers.contains_key(name);
        return if more { Err(Problem::malformed(format!("{name} is there twice"))) } else { Ok(None) };
    };
    let text = str::from_utf8(line.as_bytes()).map_err(|_| Problem::malformed(format!("{name} has to be UTF-8")))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// By its type alone, whatever parameters follow.
fn is_ndjson(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(NDJSON))
}
