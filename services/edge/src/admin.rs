//! The operator's listener: `/livez`, `/readyz`, `/startupz`, `/metrics`. No answer waits for anything outside this
//! process, and the port belongs on no public network.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use warp::Filter;
use warp::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, VARY};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;

use crate::metrics::Format;
use crate::readiness::Readiness;
use crate::server::text;

/// Writes all metrics in this format. It runs on the HTTP thread, so it must be quick.
pub type MetricsText = Arc<dyn Fn(Format) -> String + Send + Sync>;

/// The four paths; everything else is 404, everything but GET and HEAD 405.
pub fn route(
    readiness: Arc<Readiness>,
    metrics: MetricsText,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).map(
        move |method: Method, path: FullPath, headers: HeaderMap| {
            let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            answer(&method, path.as_str(), accept, &readiness, &metrics)
        },
    )
}

fn answer(method: &Method, path: &str, accept: &str, readiness: &Readiness, metrics: &MetricsText) -> Response {
    if !matches!(path, "/livez" | "/readyz" | "/startupz" | "/metrics") {
        return text(StatusCode::NOT_FOUND, "/livez /readyz /startupz /metrics\n");
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let now = Instant::now();
    match path {
        "/livez" => probe(readiness.silent(now).iter().map(|reason| format!("threads: {reason}\n")).collect()),
        "/startupz" if readiness.started() => probe(String::new()),
        "/readyz" | "/startupz" => {
            let failing = readiness.ready(now);
            let mut lines: String =
                failing.iter().map(|(check, reason)| format!("{}: {reason}\n", check.name())).collect();
            if lines.is_empty() && path == "/startupz" {
                // Every check passes, but the report that latches "started" is still to come.
                lines.push_str("start: not yet confirmed\n");
            }
            probe(lines)
        }
        _ => {
            let format = Format::asked_for(accept);
            let mut response = Response::new(metrics(format).into());
            let fields = response.headers_mut();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            fields.insert(VARY, HeaderValue::from_static("accept"));
            response
        }
    }
}

/// 200 "ok" if nothing fails, else 503 with one line per failing check.
fn probe(failing: String) -> Response {
    if failing.is_empty() { text(StatusCode::OK, "ok\n") } else { text(StatusCode::SERVICE_UNAVAILABLE, failing) }
}
