//! What the page `/compare` asks of the edge beside the room itself: what the edge holds for each way into a room, and,
//! of a developer's edge alone, to cut every connection as a network does that breaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::metrics::Metrics;
use crate::server::text;
use crate::upgrade::{OriginCheck, Refusal, handshake};

/// What the page may ask for.
#[derive(Clone)]
pub struct Compare {
    /// What the edge holds now, out of its metrics: an object of numbers. Nothing about any single client or room.
    pub held: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Cuts every connection; `None`: nobody may ask for that.
    pub cut: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// `/compare/state` and `/compare/cut` as a route; other paths are rejected as not found.
pub(crate) fn route(
    compare: Compare,
    origin: OriginCheck,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).and_then(
        move |method: Method, path: FullPath, headers: HeaderMap| {
            let answer = match path.as_str() {
                "/compare/state" => Some(state(&compare, &method, &headers)),
                "/compare/cut" => cut(&compare, &origin, &method, &headers),
                _ => None,
            };
            std::future::ready(answer.ok_or_else(warp::reject::not_found))
        },
    )
}

fn state(compare: &Compare, method: &Method, headers: &HeaderMap) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return only("GET, HEAD");
    }
    let mut state = (compare.held)();
    if let Some(state) = state.as_object_mut() {
        state.insert("cut".to_owned(), json!(compare.cut.is_some()));
        state.insert("request".to_owned(), json!(field_octets(headers)));
    }
    let mut response = Response::new(state.to_string().into());
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `None` where nobody may ask: as if there were no such path. Another page must not do it through its reader's browser.
fn cut(compare: &Compare, origin: &OriginCheck, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let cut = compare.cut.as_ref()?;
    if *method != Method::POST {
        return Some(only("POST"));
    }
    match handshake::origin(headers) {
        Ok(from) if origin(from, handshake::host(headers)) => {}
        _ => return Some(Refusal::Origin.response()),
    }
    cut();
    Some(text(StatusCode::OK, "cut\n"))
}

/// How long each header field of the request was in HTTP/1.1, by name: a page is not shown what its browser adds.
fn field_octets(headers: &HeaderMap) -> BTreeMap<&str, usize> {
    let mut octets = BTreeMap::new();
    for (name, value) in headers {
        *octets.entry(name.as_str()).or_default() += name.as_str().len() + ": ".len() + value.len() + "\r\n".len();
    }
    octets
}

fn only(methods: &'static str) -> Response {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("{methods} only\n"));
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refusal
}

/// What an edge with these metrics holds.
pub fn held(metrics: &Metrics) -> Value {
    json!({
        "connections": metrics.connections.open.get(),
        "subscriptions": metrics.stomp.subscriptions.get(),
        "queued_bytes": metrics.delivery.queued_bytes.get(),
    })
}
