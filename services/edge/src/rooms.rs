//! Rooms over HTTP, for those who hold no STOMP session: the same rooms, the same rights and limits, the same tokens.
//!
//! | file | what |
//! |---|---|
//! | this one | who may ask, and which file answers |
//! | `path.rs`, `query.rs` | what is asked for, and of which room |
//! | `problem.rs` | what is answered instead |
//! | `opening.rs` | what is said for a client that speaks no STOMP |
//! | `events.rs`, `socket.rs` | streams: their connections leave HTTP |
//!
//! Each of them opens a session as a client of STOMP would, and says on its behalf what such a client says: what a request
//! may do is decided nowhere else.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use hyper::upgrade::OnUpgrade;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::cors::Cors;
use crate::server::Peer;
use crate::upgrade::{Request, Upgrades};
use path::{Asked, Part};
use problem::{Problem, only, refused};
use query::Query;

mod events;
mod opening;
mod path;
mod problem;
mod query;
mod socket;

/// Fields that pages of other origins may read beside those that every page may.
const EXPOSED: &str = "ETag, Retry-After";

/// What is served for rooms.
pub(crate) struct Service {
    upgrades: Arc<Upgrades>,
}

/// The rooms as a route, if they are served; other paths are rejected as not found.
pub(crate) fn route(
    service: Option<Arc<Service>>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let served = service.is_some();
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    warp::path::full()
        .and_then(move |path: FullPath| {
            let known = served && path::parse(path.as_str()).is_some();
            std::future::ready(if known { Ok(path) } else { Err(warp::reject::not_found()) })
        })
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .and_then(move |path: FullPath, method, headers: HeaderMap, query, on_upgrade, peer, body| {
            let service = service.clone();
            let request = Request { method, headers, query, on_upgrade, peer };
            async move {
                let Some(service) = service else { return Err(warp::reject::not_found()) };
                service.answer(path.as_str(), request, body).await.ok_or_else(warp::reject::not_found)
            }
        })
}

impl Service {
    /// Rooms for whoever gets past these gates.
    pub(crate) fn new(upgrades: Arc<Upgrades>) -> Self {
        Self { upgrades }
    }

    /// `None`: nothing is there.
    async fn answer<B: Buf>(
        &self,
        path: &str,
        request: Request,
        _body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Option<Response> {
        let asked = path::parse(path)?;
        let methods = match asked {
            // Its files come with the requests that are answered within HTTP.
            Asked::Room(_, Part::Messages) => return None,
            Asked::Room(_, Part::Events) | Asked::Events => "GET, HEAD, OPTIONS",
            Asked::Room(_, Part::Socket) => "GET, OPTIONS",
        };
        let cors = match Cors::judge(&request.method, &request.headers, &self.upgrades.origin) {
            Ok(cors) => cors.exposing(EXPOSED),
            Err(refusal) => {
                self.upgrades.events.opened(refusal.name());
                return Some(refused(refusal));
            }
        };
        if request.method == Method::OPTIONS {
            return Some(cors.preflight(methods));
        }
        if !methods.split(", ").any(|method| request.method == *method) {
            return Some(cors.allow(only(methods)));
        }
        let answer = match asked {
            Asked::Room(_, Part::Messages) => return None,
            Asked::Room(segment, part) => self.of_one(segment, part, request, &cors),
            Asked::Events => Query::parse(request.query.as_deref())
                .and_then(|query| self.events(&request, &cors, &query, Self::rooms_asked(&query)?)),
        };
        Some(cors.allow(answer.unwrap_or_else(|problem| problem.response())))
    }

    fn of_one(&self, segment: &str, part: Part, request: Request, cors: &Cors) -> Result<Response, Problem> {
        let (room, query) = (path::room(segment)?, Query::parse(request.query.as_deref())?);
        match part {
            Part::Socket => self.socket(request, &query, &room),
            _ => self.events(&request, cors, &query, vec![room]),
        }
    }
}
