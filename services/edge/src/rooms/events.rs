//! Streams of events: what was asked for, and the way out of HTTP. [`crate::transport::Events`] writes the answer.

use std::time::SystemTime;

use warp::http::header::{CACHE_CONTROL, CONNECTION, DATE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, HeaderValue, Method};
use warp::reply::Response;

use super::Service;
use super::opening::{Opening, places};
use super::problem::{Problem, closing, head_of, refused};
use super::query::Query;
use crate::cors::Cors;
use crate::disconnect::Ending;
use crate::server::jitter;
use crate::transport::{Kind, Stream};
use crate::upgrade::Request;

/// Rooms of one stream at most.
const MOST_ROOMS: usize = 32;
/// How long a stream is silent at most.
const KEEP_ALIVE_MS: u32 = 15_000;
/// How long a client waits before it asks anew: after whatever has happened, and when this edge goes. Different ones wait
/// differently long, so that those cut off together do not come back together.
const RETRY_MS: (u32, u32) = (1_000, 3_000);
const RETURN_MS: (u32, u32) = (500, 5_000);
/// What a browser's `EventSource` sends when it comes back.
const LAST_EVENT_ID: &str = "last-event-id";

impl Service {
    /// The rooms of `/events`.
    pub(super) fn rooms_asked(query: &Query) -> Result<Vec<String>, Problem> {
        let rooms = query.all("room").map(|room| super::path::checked(room.to_owned()));
        let rooms = rooms.take(MOST_ROOMS + 1).collect::<Result<Vec<_>, _>>()?;
        if rooms.is_empty() || rooms.len() > MOST_ROOMS {
            return Err(Problem::malformed(format!("name 1 to {MOST_ROOMS} rooms: /events?room=a&room=b")));
        }
        match rooms.iter().enumerate().find(|(at, room)| rooms[..*at].contains(room)) {
            Some(_) => Err(Problem::malformed("a room is named twice")),
            None => Ok(rooms),
        }
    }

    pub(super) fn events(
        &self,
        request: &Request,
        cors: &Cors,
        query: &Query,
        rooms: Vec<String>,
    ) -> Result<Response, Problem> {
        if let Err(refusal) = self.upgrades.admit() {
            self.upgrades.events.opened(refusal.name());
            return Ok(refused(refusal));
        }
        let after = after(&request.headers, query)?;
        let count = rooms.len();
        // `now` is another moment each time it is said: as a place to come back to it would pass over what was missed.
        let begin = |place| (place != "now").then_some(place);
        let begins = after.map_or(vec![None; count], |after| places(after, count).into_iter().map(begin).collect());
        let mut opening = Opening::connect(KEEP_ALIVE_MS, false);
        for (at, (room, begin)) in rooms.iter().zip(&begins).enumerate() {
            opening = opening.subscribe(at, room, *begin);
        }
        let begun =
            rooms.iter().zip(&begins).map(|(room, begin)| (room.as_str().into(), begin.unwrap_or("now").into()));
        let fields = fields(cors);
        let stream = Stream {
            rooms: begun.collect(),
            fields: lines(&fields).into(),
            retry_ms: (jitter(RETRY_MS.0, RETRY_MS.1), jitter(RETURN_MS.0, RETURN_MS.1)),
            head_only: request.method == Method::HEAD,
        };
        let mut refusal = closing(cors.allow(Problem::of(Ending::TryLater, None).response()));
        refusal.headers_mut().extend(fields);
        let kind = Kind::Events(Box::new(stream));
        self.upgrades.leave(request, kind, opening.octets(), head_of(&refusal)).or_else(|refusal| {
            self.upgrades.events.opened(refusal.name());
            Ok(refused(refusal))
        })
    }
}

/// Where the stream is to begin: what a browser comes back with is newer than the URL that it was given once.
fn after<'a>(headers: &'a HeaderMap, query: &'a Query) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(LAST_EVENT_ID).iter().filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (None, _) => query.only("after"),
        // What cannot be read is no token.
        (Some(line), None) => Ok(Some(line.to_str().unwrap_or_default())),
        _ => Err(Problem::malformed("Last-Event-ID is there twice")),
    }
}

/// The fields of whatever the answer will be. Proxies are asked neither to keep it nor to hold it back.
fn fields(cors: &Cors) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let date = httpdate::fmt_http_date(SystemTime::now());
    // A date is made of letters, digits and blanks, so it always is a header value.
    fields.extend(HeaderValue::try_from(date).map(|date| (DATE, date)));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
    cors.allow_in(&mut fields);
    fields
}

/// A field on each line. A value that is no text is somebody's nonsense, and left out.
fn lines(fields: &HeaderMap) -> String {
    let readable = fields.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
    readable.map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}
