//! `GET /rooms/{room}/messages`: what was said before, what is new since, or what comes next, if the client waits for it.

use std::time::Duration;

use bytes::Bytes;
use chat_proto::MessageId;
use tokio::time::{Instant, timeout_at};
use warp::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use super::opening::{Opening, place};
use super::problem::Problem;
use super::query::Query;
use super::session::{Line, Session, id_of, refusal};
use super::{Entered, JSON, Service, octets};
use crate::upgrade::Request;

/// Messages of one answer: unless the client says otherwise, and at most.
const LIMIT: (u32, u32) = (100, 1_000);
/// How long a client may wait, in seconds.
const LONGEST_WAIT: u32 = 60;
/// An answer holds no more octets of messages, but one message in any case.
const ANSWER_BYTES: usize = 512 * 1024;

/// What an answer says.
struct Found {
    messages: Vec<Bytes>,
    /// Where the room's partition was when the subscription began.
    position: String,
    /// Whether all is there behind the place that was asked for; `None`: nobody asked for one.
    recovered: Option<bool>,
    /// There are messages behind these.
    more: bool,
}

/// What is asked for.
struct Wanted {
    limit: usize,
    /// Until when the first message is waited for.
    until: Option<Instant>,
}

impl Service {
    pub(super) async fn messages(&self, request: &Request, room: &str) -> Result<Response, Problem> {
        let query = Query::parse(request.query.as_deref())?;
        let after = query.only("after")?.map(place);
        let limit = query.number("limit", 1..=LIMIT.1, LIMIT.0)?;
        let wait = query.number("wait", 0..=LONGEST_WAIT, 0)?;
        let opening = match after {
            Some(after) => Opening::entering().subscribe(0, room, Some(after)),
            None => Opening::entering().last(room, limit),
        };
        let Entered { mut session, staying: _staying } = self.enter(request, opening).await?;
        let until = (wait > 0).then(|| Instant::now() + Duration::from_secs(wait.into()));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = find(&mut session, &Wanted { limit, until }).await?;
        Ok(found.answer(room, after, &request.headers))
    }
}

/// Reads until there is enough, or nothing more for now.
async fn find(session: &mut Session, wanted: &Wanted) -> Result<Found, Problem> {
    let (position, recovered) = match session.line().await {
        Some(Line::Subscribed { position, recovered }) => (position, recovered),
        instead => return Err(refusal(instead)),
    };
    let mut found = Found { messages: Vec::new(), position, recovered, more: false };
    if recovered == Some(false) {
        return Ok(found);
    }
    let mut size = 0;
    let mut live = false;
    while !found.more {
        let line = match wanted.until {
            // Those that came together are answered together.
            _ if live && !found.messages.is_empty() => session.line_now(),
            Some(until) if live => timeout_at(until, session.line()).await.unwrap_or_default(),
            None if live => None,
            _ => match session.line().await {
                None => return Err(refusal(None)),
                line => line,
            },
        };
        match line {
            Some(Line::Message(message)) => {
                let full = found.messages.len() == wanted.limit || size + message.len() > ANSWER_BYTES;
                found.more = full && !found.messages.is_empty();
                if !found.more {
                    size += message.len();
                    found.messages.push(message);
                }
            }
            Some(Line::Live) => live = true,
            // Who has waited is answered with what there is: here is where to go on.
            None | Some(Line::Close { .. }) if live => break,
            instead => return Err(refusal(instead)),
        }
    }
    Ok(found)
}

impl Found {
    fn answer(&self, room: &str, after: Option<&str>, headers: &HeaderMap) -> Response {
        let last = self.messages.last().map(|message| id_of(message));
        // A gap has to be heard of, whatever the client knows already.
        let known = last.or(after).filter(|_| self.recovered != Some(false));
        let etag = known.map(|known| format!("W/\"{known}\""));
        let unchanged = etag.as_deref().is_some_and(|etag| matches(headers, etag));
        let mut response = if unchanged {
            let mut response = octets(StatusCode::NOT_MODIFIED, JSON, Vec::new());
            response.headers_mut().remove(CONTENT_TYPE);
            response
        } else {
            octets(StatusCode::OK, JSON, self.json(room, last, after))
        };
        // Made of an id, or of what was asked for and is plain.
        let etag = etag.and_then(|etag| HeaderValue::try_from(etag).ok());
        response.headers_mut().extend(etag.map(|etag| (ETAG, etag)));
        response
    }

    fn json(&self, room: &str, last: Option<&str>, after: Option<&str>) -> Vec<u8> {
        let size: usize = self.messages.iter().map(|message| message.len() + 1).sum();
        let mut json = Vec::with_capacity(size + room.len() + 128);
        json.extend_from_slice(b"{\"room\":");
        // A vector takes everything.
        let _ = serde_json::to_writer(&mut json, room);
        json.extend_from_slice(b",\"messages\":[");
        for (at, message) in self.messages.iter().enumerate() {
            json.extend_from_slice(if at == 0 { b"" } else { b"," });
            json.extend_from_slice(message);
        }
        let rest = format!("],\"next\":\"{}\",\"more\":{}", self.next(last), self.more);
        json.extend_from_slice(rest.as_bytes());
        // Without a place it is said only if it is bad news.
        if let Some(recovered) = self.recovered.filter(|recovered| after.is_some() || !recovered) {
            json.extend_from_slice(format!(",\"recovered\":{recovered}").as_bytes());
        }
        json.push(b'}');
        json
    }

    /// Where to go on: behind what has been said, or, if that is all, where the room's partition was.
    fn next<'a>(&'a self, last: Option<&'a str>) -> &'a str {
        let offset = |token: &str| token.parse::<MessageId>().map_or(-1, |id| id.offset);
        match last {
            Some(last) if self.more || offset(last) > offset(&self.position) => last,
            _ => &self.position,
        }
    }
}

/// Whether the client knows this one already (RFC 9110, section 13.1.2: compared weakly).
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let known = lines.flat_map(|line| line.split(','));
    known.into_iter().any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}
