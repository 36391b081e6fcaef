//! What the page `/compare` asks of the edge beside the room itself: what the edge holds for each way into a room, and,
//! of a developer's edge alone, to cut every connection as a network does that breaks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::server::{only, text};
use crate::upgrade::{OriginCheck, Refusal, handshake};

/// What is told of the whole edge: the metric, and its name here.
const SUMS: [(&str, &str); 3] = [
    ("klatsch_connections", "connections"),
    ("klatsch_subscriptions", "subscriptions"),
    ("klatsch_outbound_queued_bytes", "queued_bytes"),
];
/// The same for each transport.
const BY_TRANSPORT: [(&str, &str); 2] =
    [("klatsch_transport_sessions", "sessions"), ("klatsch_connection_memory_bytes", "memory_bytes")];

/// What the page may ask for.
#[derive(Clone)]
pub struct Compare {
    /// What the edge holds now, out of its metrics: an object of numbers. Nothing about any single client or room.
    pub held: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Cuts every connection; `None`: nobody may ask for that.
    pub cut: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Compare {
    /// Whoever may cut cuts this, too.
    pub(crate) fn and_cut(self, more: impl Fn() + Send + Sync + 'static) -> Self {
        let cut = self.cut.map(|cut| {
            let both: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
                cut();
                more();
            });
            both
        });
        Self { cut, ..self }
    }
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
        return only("GET, HEAD", "GET, HEAD only\n");
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
        return Some(only("POST", "POST only\n"));
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

/// What an edge holds, out of the text of its metrics: the page is told what an operator is told. A way in that the edge
/// does not serve is not there.
pub fn held(metrics: &str) -> Value {
    let mut transports = BTreeMap::<&str, BTreeMap<&str, u64>>::new();
    let mut sums = BTreeMap::new();
    for line in metrics.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<u64>() else { continue };
        for (metric, fact) in SUMS {
            if name == metric {
                sums.insert(fact, value);
            }
        }
        for (metric, fact) in BY_TRANSPORT {
            let labels = name.strip_prefix(metric).and_then(|rest| rest.strip_prefix("{transport=\""));
            if let Some(transport) = labels.and_then(|rest| rest.strip_suffix("\"}")) {
                transports.entry(transport).or_default().insert(fact, value);
            }
        }
    }
    let mut held = json!(sums);
    held["transports"] = json!(transports);
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_metrics_say_of_each_way_in() {
        let text = "# TYPE klatsch_transport_sessions gauge\n\
                    klatsch_transport_sessions{transport=\"events\"} 3\n\
                    klatsch_transport_sessions{transport=\"poll\"} 0\n\
                    klatsch_connection_memory_bytes{transport=\"events\"} 4096\n\
                    klatsch_connections 4\nklatsch_connections_limit 9\nklatsch_subscriptions 5\n# EOF\n";
        let expected = json!({
            "connections": 4, "subscriptions": 5,
            "transports": {"events": {"sessions": 3, "memory_bytes": 4096}, "poll": {"sessions": 0}},
        });
        assert_eq!(held(text), expected);
    }

    /// The names are those of the registry.
    #[test]
    fn the_sums_are_there() {
        let held = held(&crate::metrics::Metrics::new().encode());
        for (_, fact) in SUMS {
            assert_eq!(held[fact], 0, "{fact}");
        }
    }
}
