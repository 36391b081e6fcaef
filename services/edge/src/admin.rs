//! The operator's listener: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/drain`. No answer waits for anything outside
//! this process, and the port belongs on no public network.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use warp::Filter;
use warp::http::header::{ACCEPT, CONTENT_TYPE, ORIGIN, VARY};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;

use crate::metrics::Format;
use crate::readiness::{Check, Readiness};
use crate::server::{only, text};
use crate::shutdown::Shutdown;

/// Writes all metrics in this format. It runs on the HTTP thread, so it must be quick.
pub type MetricsText = Arc<dyn Fn(Format) -> String + Send + Sync>;

/// What browsers say of a request's origin.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What the operator asks about.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: MetricsText,
    pub(crate) shutdown: Shutdown,
    /// How long a drain may take.
    pub(crate) grace: Duration,
    /// Open public connections.
    pub(crate) connections: Arc<dyn Fn() -> usize + Send + Sync>,
}

/// What goes on, as `/drain` says it.
#[derive(Debug, Serialize)]
struct Going {
    draining: bool,
    connections: usize,
    /// Since it began.
    seconds: f64,
    grace_seconds: f64,
}

/// The five paths; everything else is 404, every method that a path does not have 405.
pub(crate) fn route(
    admin: Admin,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).map(
        move |method: Method, path: FullPath, headers: HeaderMap| match path.as_str() {
            "/livez" | "/readyz" | "/startupz" | "/metrics" => admin.looked_at(&method, path.as_str(), &headers),
            "/drain" => admin.drain(&method, &headers),
            _ => text(StatusCode::NOT_FOUND, "/livez /readyz /startupz /metrics /drain\n"),
        },
    )
}

impl Admin {
    fn looked_at(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return only("GET, HEAD", "GET and HEAD only\n");
        }
        let now = Instant::now();
        match path {
            "/livez" => probe(self.readiness.silent(now).iter().map(|reason| format!("threads: {reason}\n")).collect()),
            "/startupz" if self.readiness.started() => probe(String::new()),
            "/readyz" | "/startupz" => {
                let failing = self.readiness.ready(now);
                let mut lines: String =
                    failing.iter().map(|(check, reason)| format!("{}: {reason}\n", check.name())).collect();
                if lines.is_empty() && path == "/startupz" {
                    // Every check passes, but the report that latches "started" is still to come.
                    lines.push_str("start: not yet confirmed\n");
                }
                probe(lines)
            }
            _ => {
                let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
                let format = Format::asked_for(accept);
                let mut response = typed(text(StatusCode::OK, (self.metrics)(format)), format.content_type());
                response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                response
            }
        }
    }

    /// POST is what SIGTERM is; a second one changes nothing, and the process ends by itself. GET looks.
    fn drain(&self, method: &Method, headers: &HeaderMap) -> Response {
        match *method {
            Method::GET | Method::HEAD => self.going(StatusCode::OK),
            // No page is served here, so whatever a browser sends was written elsewhere, under whatever name it came.
            Method::POST if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) => {
                text(StatusCode::FORBIDDEN, "not from a browser\n")
            }
            Method::POST => {
                if !self.shutdown.is_draining() {
                    tracing::info!(event = "drain_asked", "the admin listener was asked to drain");
                    self.readiness.set(Check::Drain, Err("draining".to_owned()));
                    // Behind this answer, which an edge without clients would not live to give.
                    let shutdown = self.shutdown.clone();
                    tokio::spawn(async move { shutdown.drain() });
                }
                self.going(StatusCode::ACCEPTED)
            }
            _ => only("GET, HEAD, POST", "GET, HEAD and POST only\n"),
        }
    }

    fn going(&self, status: StatusCode) -> Response {
        let going = Going {
            draining: self.readiness.fails(Check::Drain),
            connections: (self.connections)(),
            seconds: self.shutdown.drained_for().unwrap_or_default().as_secs_f64(),
            grace_seconds: self.grace.as_secs_f64(),
        };
        // Numbers are always JSON.
        let mut line = serde_json::to_string(&going).unwrap_or_default();
        line.push('\n');
        typed(text(status, line), "application/json")
    }
}

/// 200 "ok" if nothing fails, else 503 with one line per failing check.
fn probe(failing: String) -> Response {
    if failing.is_empty() { text(StatusCode::OK, "ok\n") } else { text(StatusCode::SERVICE_UNAVAILABLE, failing) }
}

fn typed(mut response: Response, of: &'static str) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(of));
    response
}
