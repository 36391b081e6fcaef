//! The pages, the chat at `/` and the ways into a room at `/compare`: a few files inside the binary, answered with headers that allow this origin and nothing else.

use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::server::only;

/// Scripts, styles and connections of this origin only; `'self'` covers `ws:` to the same host.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// Every file that the pages consist of: path, content type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/", "text/html; charset=utf-8", include_bytes!("../page/index.html")),
    ("/compare", "text/html; charset=utf-8", include_bytes!("../page/compare.html")),
    ("/klatsch.js", "text/javascript; charset=utf-8", include_bytes!("../page/klatsch.js")),
    ("/frame.js", "text/javascript; charset=utf-8", include_bytes!("../page/frame.js")),
    ("/outbox.js", "text/javascript; charset=utf-8", include_bytes!("../page/outbox.js")),
    ("/timeline.js", "text/javascript; charset=utf-8", include_bytes!("../page/timeline.js")),
    ("/link.js", "text/javascript; charset=utf-8", include_bytes!("../page/link.js")),
    ("/stomp.js", "text/javascript; charset=utf-8", include_bytes!("../page/stomp.js")),
    ("/compare.js", "text/javascript; charset=utf-8", include_bytes!("../page/compare.js")),
    ("/octets.js", "text/javascript; charset=utf-8", include_bytes!("../page/octets.js")),
    ("/strip.js", "text/javascript; charset=utf-8", include_bytes!("../page/strip.js")),
    ("/tally.js", "text/javascript; charset=utf-8", include_bytes!("../page/tally.js")),
    ("/ways.js", "text/javascript; charset=utf-8", include_bytes!("../page/ways.js")),
    ("/style.css", "text/css; charset=utf-8", include_bytes!("../page/style.css")),
    ("/compare.css", "text/css; charset=utf-8", include_bytes!("../page/compare.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../page/icon.svg")),
];

/// The page's files as a route; other paths are rejected as not found.
pub fn route() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).and_then(
        |method: Method, path: warp::path::FullPath, headers: HeaderMap| {
            std::future::ready(answer(&method, path.as_str(), &headers).ok_or_else(warp::reject::not_found))
        },
    )
}

/// `None` if no file has that path.
fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let (_, content_type, content) = FILES.iter().find(|(of, _, _)| *of == path)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(only("GET, HEAD", "GET and HEAD only\n"));
    }
    let etag = format!("\"{:08x}-{:x}\"", crc32fast::hash(content), content.len());
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| matches(value, &etag));
    let mut response = if known {
        let mut response = Response::new("".into());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new((*content).into())
    };
    let fields = response.headers_mut();
    // The tag is made of hexadecimal digits, a dash and quotes, so it always is a header value.
    fields.extend(HeaderValue::from_str(&etag).map(|etag| (ETAG, etag)));
    for (name, value) in [
        (CONTENT_TYPE.as_str(), *content_type),
        (CACHE_CONTROL.as_str(), "no-cache"),
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Some(response)
}

/// Weak comparison (RFC 9110, 13.1.2): a proxy that compresses marks our tag as weak.
fn matches(value: &HeaderValue, etag: &str) -> bool {
    let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.into_iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
