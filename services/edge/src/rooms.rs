//! Rooms over HTTP, for those who hold no STOMP session: the same rooms, the same rights and limits, the same tokens.
//!
//! | file | what |
//! |---|---|
//! | this one | who may ask, and which file answers |
//! | `path.rs`, `query.rs` | what is asked for, and of which room |
//! | `problem.rs` | what is answered instead |
//! | `opening.rs` | what is said for a client that speaks no STOMP |
//! | `publish.rs`, `batch.rs` | messages on their way in: one, or many on a line each (`send.rs`, `body.rs`, `ndjson.rs`) |
//! | `messages.rs` | messages that are there, and the next one (`session.rs`: the session of a request) |
//! | `events.rs`, `socket.rs` | streams: their connections leave HTTP |
//! | `openapi.yaml` | all of it, as OpenAPI describes it |
//!
//! Each of them opens a session as a client of STOMP would, and says on its behalf what such a client says: what a request
//! may do is decided nowhere else.

use std::pin::pin;
use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use serde::Serialize;
use warp::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPECT, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth::UpgradeCredentials;
use crate::cors::Cors;
use crate::readiness::Check;
use crate::server::Staying;
use crate::transport::Kind;
use crate::upgrade::{Refusal, Request, Upgrades, requests};
use crate::worker::Pipes;
use body::Body;
use opening::Opening;
use path::{Asked, Part};
use problem::{Problem, only, refused};
use query::Query;
pub use send::RequestBounds;
use session::Session;

mod batch;
mod body;
mod events;
mod messages;
pub mod ndjson;
mod opening;
mod path;
mod problem;
mod publish;
mod query;
mod send;
mod session;
mod socket;

/// Fields that pages of other origins may read beside those that every page may.
const EXPOSED: &str = "ETag, Retry-After";

const JSON: &str = "application/json";
const DESCRIPTION: &str = include_str!("rooms/openapi.yaml");

/// What is served for rooms.
pub(crate) struct Service {
    upgrades: Arc<Upgrades>,
    /// Sessions of requests that are answered within HTTP.
    pipes: Arc<Pipes>,
    bounds: RequestBounds,
}

/// A request whose client has been let in.
struct Entered {
    session: Session,
    /// Its connection is not one that dawdles over a request.
    staying: Staying,
}

/// The rooms as a route, if they are served; other paths are rejected as not found.
pub(crate) fn route(
    service: Option<Arc<Service>>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let served = service.is_some();
    requests(move |path| served && path::parse(path).is_some()).and(warp::body::stream()).and_then(
        move |path: FullPath, request, body| {
            let service = service.clone();
            async move {
                let Some(service) = service else { return Err(warp::reject::not_found()) };
                service.answer(path.as_str(), request, body).await.ok_or_else(warp::reject::not_found)
            }
        },
    )
}

impl Service {
    /// Rooms for whoever gets past these gates.
    pub(crate) fn new(upgrades: Arc<Upgrades>, pipes: Arc<Pipes>, bounds: RequestBounds) -> Self {
        Self { upgrades, pipes, bounds }
    }

    /// `None`: nothing is there.
    async fn answer<B: Buf>(
        &self,
        path: &str,
        request: Request,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Option<Response> {
        let asked = path::parse(path)?;
        let methods = match asked {
            Asked::Room(_, Part::Messages) => "GET, HEAD, POST, OPTIONS",
            Asked::Room(_, Part::Socket) => "GET, OPTIONS",
            Asked::Room(_, Part::Events) | Asked::Events | Asked::Description => "GET, HEAD, OPTIONS",
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
            Asked::Room(segment, Part::Messages) => Ok(self.of_messages(segment, &request, body).await),
            Asked::Room(segment, part) => self.of_one(segment, part, request, &cors),
            Asked::Events => Query::parse(request.query.as_deref())
                .and_then(|query| self.events(&request, &cors, &query, Self::rooms_asked(&query)?)),
            Asked::Description => Ok(octets(StatusCode::OK, "application/yaml", DESCRIPTION.into())),
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

    async fn of_messages<B: Buf>(
        &self,
        segment: &str,
        request: &Request,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Response {
        let mut body = pin!(body);
        let mut body = Body::new(body.as_mut(), self.bounds.body_timeout);
        let publishes = request.method == Method::POST;
        let answer = match (self.upgrades.admit(), path::room(segment)) {
            (Err(refusal), _) => {
                self.upgrades.events.opened(refusal.name());
                Ok(refused(refusal))
            }
            (Ok(()), Err(problem)) => Err(problem),
            (Ok(()), Ok(room)) if publishes => self.publish(request, &room, &mut body).await,
            (Ok(()), Ok(room)) => self.messages(request, &room).await,
        };
        // Who asked before sending is told in time.
        if !request.headers.contains_key(EXPECT) {
            body.ignore().await;
        }
        let problem = |problem: Problem| if publishes { problem.not_stored() } else { problem };
        let mut answer = answer.unwrap_or_else(|it| problem(it).response());
        if self.upgrades.readiness.fails(Check::Drain) {
            // The next request may reach another edge.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// Opens the request's session, which is told `opening`, and waits until it has let the client in.
    async fn enter(&self, request: &Request, opening: Opening) -> Result<Entered, Problem> {
        let full = || Problem::refusal(Refusal::Full);
        let peer = request.peer.as_ref().ok_or_else(full)?;
        // Who has been let in asks again at no more than a request's price.
        if !peer.stay.is_let_in()
            && let Err(refusal) = self.upgrades.take_in()
        {
            self.upgrades.events.opened(refusal.name());
            return Err(Problem::refusal(refusal));
        }
        let query = request.query.as_deref();
        let credentials = UpgradeCredentials::from_request(&request.headers, query, &self.upgrades.credentials);
        let pipe = self.pipes.open(Kind::Lines, credentials.passing(), peer.guard.clone(), opening.octets());
        let mut session = Session::new(pipe.ok_or_else(full)?);
        session.enter().await?;
        Ok(Entered { session, staying: peer.stay.let_in() })
    }
}

/// An answer that nobody keeps.
fn octets(status: StatusCode, content_type: &'static str, octets: Vec<u8>) -> Response {
    let mut response = Response::new(octets.into());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The same for an object.
fn json(status: StatusCode, object: &impl Serialize) -> Response {
    // Texts and numbers are always JSON.
    octets(status, JSON, serde_json::to_vec(object).unwrap_or_default())
}
