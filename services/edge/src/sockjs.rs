//! What lies under a base path, over HTTP: the native WebSocket at the path itself, and SockJS 0.3.3 below it
//! (`stomp.md` §4, P01, P20).
//!
//! | file | what |
//! |---|---|
//! | `path.rs` | what a path asks for |
//! | `headers.rs` | who may keep an answer |
//! | `sessions.rs` | the sessions over XHR, by id |
//! | `session.rs` | one of them: a stream to its worker, and who waits for its frames |
//! | `receiver.rs` | a request that waits for frames |
//! | `lines.rs` | frames on their way through it |
//!
//! What the frames hold is [`crate::transport::sockjs`]'s. There are no iframe, htmlfile, jsonp and eventsource: they exist
//! for browsers that are gone, and have been holes in other servers.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use warp::http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

use crate::auth::UpgradeCredentials;
use crate::cors::Cors;
use crate::readiness::Check;
use crate::server::text;
use crate::transport::Kind;
use crate::upgrade::{Refusal, Request, Upgrades, requests};
use headers::{answer, only, set_cookie};
use path::Asked;
use receiver::{Receiver, Streaming};
pub(crate) use sessions::Sessions;
pub use sessions::XhrSettings;
use sessions::{Found, Wanted};

mod headers;
mod lines;
mod path;
mod receiver;
mod session;
mod sessions;

/// What is read of a body that says nothing, and for how long it is waited for.
const IDLE_WORDS: (usize, Duration) = (4 * 1024, Duration::from_secs(1));
const GREETING: &str = "Welcome to SockJS!\n";
const PLAIN: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json; charset=UTF-8";
const SCRIPT: &str = "application/javascript; charset=UTF-8";

/// What is served under the base paths.
pub(crate) struct Service {
    paths: Vec<String>,
    /// The number of the base path whose clients get back what they send.
    echo: Option<usize>,
    upgrades: Arc<Upgrades>,
    /// Sessions over XHR; `None`: there are none.
    xhr: Option<Arc<Sessions>>,
    /// Where clients reach this edge and no other.
    public_url: Option<String>,
}

/// The base paths and what is below them as a route, inside of the runtime that serves it; other paths are rejected as
/// not found.
pub(crate) fn route(
    service: Arc<Service>,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    if let Some(sessions) = &service.xhr {
        tokio::spawn(sessions::forget(Arc::downgrade(sessions)));
    }
    let known = Arc::clone(&service);
    requests(move |path| path::parse(&known.paths, path).is_some()).and(warp::body::stream()).and_then(
        move |path: FullPath, request, body| {
            let service = Arc::clone(&service);
            async move { service.answer(path.as_str(), request, body).await.ok_or_else(warp::reject::not_found) }
        },
    )
}

impl Service {
    /// STOMP under `paths`, an echo under another one.
    pub(crate) fn new(
        mut paths: Vec<String>,
        echo: Option<String>,
        upgrades: Arc<Upgrades>,
        xhr: Option<Arc<Sessions>>,
        public_url: Option<String>,
    ) -> Self {
        let number = echo.is_some().then_some(paths.len());
        paths.extend(echo);
        Self { paths, echo: number, upgrades, xhr, public_url }
    }

    /// `None`: nothing is there.
    async fn answer<B: Buf>(
        &self,
        path: &str,
        request: Request,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Option<Response> {
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        let upgrades = [UPGRADE, SEC_WEBSOCKET_KEY].iter().any(|name| request.headers.contains_key(name));
        let (base, asked) = path::parse(&self.paths, path)?;
        let echo = self.echo == Some(base);
        let (plain, framed) = if echo { (Kind::Echo, Kind::SockJsEcho) } else { (Kind::WebSocket, Kind::SockJs) };
        match asked {
            Asked::Base if upgrades || !reads => Some(self.upgrade(request, plain, |refusal, _| refusal.response())),
            // A WebSocket at another path than it was meant for would only hide the mistake (P01).
            Asked::Greeting if upgrades => None,
            // Who takes nobody in welcomes nobody: what looks after an edge may ask here (DESIGN §9).
            Asked::Base | Asked::Greeting if reads => Some(match self.upgrades.admit() {
                Ok(()) => answer(StatusCode::OK, PLAIN, Response::new(GREETING.into())),
                Err(refusal) => refusal.response(),
            }),
            Asked::Base | Asked::Greeting => Some(only("GET")),
            Asked::Info => Some(self.info(base, &request).unwrap_or_else(Refusal::response)),
            Asked::Raw => Some(self.upgrade(request, plain, refused)),
            Asked::Session(_, path::Method::WebSocket) => Some(self.upgrade(request, framed, refused)),
            Asked::Session(id, method) => {
                let wanted = Wanted { key: (base, id.into()), echo, method };
                let mut answer =
                    self.xhr(self.xhr.as_ref()?, wanted, request, body).await.unwrap_or_else(Refusal::response);
                if self.upgrades.readiness.fails(Check::Drain) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Some(answer)
            }
        }
    }

    fn upgrade(&self, request: Request, kind: Kind, refused: fn(Refusal, &HeaderMap) -> Response) -> Response {
        let headers = request.headers.clone();
        self.upgrades.answer(request, kind, Bytes::new()).unwrap_or_else(|refusal| {
            self.upgrades.events.opened(refusal.name());
            refused(refusal, &headers)
        })
    }

    /// What the server can do (J02). An edge that takes nobody says so here, before the client tries one transport after
    /// the other.
    fn info(&self, base: usize, request: &Request) -> Result<Response, Refusal> {
        let cors = Cors::judge(&request.method, &request.headers, &self.upgrades.origin)?;
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok(cors.preflight("OPTIONS, GET")),
            _ => return Ok(cors.allow(only("OPTIONS, GET"))),
        }
        let entropy = getrandom::u32().map_err(|_| Refusal::Full);
        let entropy = match self.upgrades.admit().and(entropy) {
            Ok(entropy) => entropy,
            Err(refusal) => return Ok(cors.allow(refusal.response())),
        };
        let pinned = match (&self.public_url, &self.xhr) {
            (Some(url), Some(_)) => format!(r#","base_url":"{url}{}""#, self.paths[base]),
            _ => String::new(),
        };
        let cookie_needed = self.xhr.is_some();
        let info = format!(
            r#"{{"websocket":true,"origins":["*:*"],"cookie_needed":{cookie_needed},"entropy":{entropy}{pinned}}}"#
        );
        Ok(cors.allow(answer(StatusCode::OK, JSON, Response::new(info.into()))))
    }

    /// A request of a session that polls.
    async fn xhr<B: Buf>(
        &self,
        sessions: &Arc<Sessions>,
        Wanted { key, echo, method }: Wanted,
        request: Request,
        body: impl Stream<Item = Result<B, warp::Error>> + Send,
    ) -> Result<Response, Refusal> {
        let cors = Cors::judge(&request.method, &request.headers, &self.upgrades.origin)?;
        match request.method {
            Method::POST => {}
            Method::OPTIONS => return Ok(cors.preflight("OPTIONS, POST")),
            _ => return Ok(cors.allow(only("OPTIONS, POST"))),
        }
        let owner =
            UpgradeCredentials::from_request(&request.headers, request.query.as_deref(), &self.upgrades.credentials);
        let Some(peer) = &request.peer else { return Ok(no_such_session()) };
        let mut body = pin!(body);
        if !matches!(method, path::Method::XhrSend) {
            ignore(body.as_mut()).await;
        }
        let session = match (sessions.find(&key, &owner), method) {
            (Found::Session(session), _) => Ok(session),
            (Found::AnothersSession, _) | (Found::Nothing, path::Method::XhrSend) => {
                return Ok(cors.allow(no_such_session()));
            }
            (Found::Nothing, _) => sessions.open(key, echo, owner, peer, &self.upgrades),
        };
        let session = match session {
            Ok(session) => session,
            Err(refusal) => {
                self.upgrades.events.opened(refusal.name());
                return Ok(cors.allow(refusal.response()));
            }
        };
        let most = sessions.settings.response_bytes;
        let mut response = match method {
            path::Method::XhrSend => send(sessions, &session, body).await,
            path::Method::XhrStreaming => {
                let streaming = Streaming::new(Receiver::new(&session, &peer.stay), most);
                let mut response = answer(StatusCode::OK, SCRIPT, warp::reply::stream(streaming).into_response());
                // nginx would collect frames until it has a few KiB of them.
                response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
                response
            }
            _ => {
                let frame = match Receiver::new(&session, &peer.stay) {
                    Ok(mut receiver) => {
                        let frame = poll_fn(|cx| receiver.poll_frame(cx, most)).await;
                        receiver.finish();
                        frame
                    }
                    Err(instead) => instead,
                };
                answer(StatusCode::OK, SCRIPT, Response::new(frame.into()))
            }
        };
        set_cookie(&request.headers, &mut response);
        Ok(cors.allow(response))
    }
}

/// Reads a body that says nothing to its end, if that is near. Java's HTTP client sends such a body behind the head; octets
/// that nobody reads would turn the end of the connection into a reset, and what is under way to the client would be lost.
async fn ignore<B: Buf>(mut body: Pin<&mut impl Stream<Item = Result<B, warp::Error>>>) {
    let (most, time) = IDLE_WORDS;
    let read = async {
        let mut read = 0;
        while let Some(Ok(part)) = body.next().await {
            read += part.remaining();
            if read > most {
                break;
            }
        }
    };
    // Who is not done by then has the answer all the same.
    let _ = tokio::time::timeout(time, read).await;
}

/// `xhr_send`: strings for the worker (J16). A body is counted while it comes.
async fn send<B: Buf>(
    sessions: &Sessions,
    session: &session::Session,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Response {
    let failed = |status, why: &'static str| answer(status, PLAIN, Response::new(why.into()));
    // Before the body is read, so that a session has one in memory at most.
    let mut decoder = session.sending.lock().await;
    let (limit, mut message, mut body) = (sessions.body_limit(session), Vec::new(), pin!(body));
    while let Some(part) = body.next().await {
        let Ok(mut part) = part else { return failed(StatusCode::BAD_REQUEST, "The body broke off.") };
        if message.len() + part.remaining() > limit {
            return failed(StatusCode::PAYLOAD_TOO_LARGE, "Too large.");
        }
        while part.has_remaining() {
            let piece = part.chunk();
            message.extend_from_slice(piece);
            let length = piece.len();
            part.advance(length);
        }
    }
    if message.is_empty() {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "Payload expected.");
    }
    let broken = || failed(StatusCode::INTERNAL_SERVER_ERROR, "Broken JSON encoding.");
    let Ok(message) = std::str::from_utf8(&message) else { return broken() };
    let taken = match session.send_back(message) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) => return broken(),
        None => match decoder.strings(message) {
            Ok(stomp) => session.send(&stomp).await,
            Err(_) => return broken(),
        },
    };
    match taken {
        Ok(()) => answer(StatusCode::NO_CONTENT, PLAIN, Response::new("".into())),
        Err(()) => failed(StatusCode::SERVICE_UNAVAILABLE, "The session takes no more."),
    }
}

fn no_such_session() -> Response {
    answer(StatusCode::NOT_FOUND, PLAIN, Response::new("no such session\n".into()))
}

/// What is no opening handshake, as SockJS says it (J12).
fn refused(refusal: Refusal, headers: &HeaderMap) -> Response {
    let asks = headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    match refusal {
        Refusal::Method => only("GET"),
        Refusal::NotAnUpgrade if asks => text(StatusCode::BAD_REQUEST, "\"Connection\" must be \"Upgrade\".\n"),
        Refusal::NotAnUpgrade => text(StatusCode::BAD_REQUEST, "Can \"Upgrade\" only to \"WebSocket\".\n"),
        other => other.response(),
    }
}
