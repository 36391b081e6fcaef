//! Who may keep an answer, and which edge is to be asked again (`stomp.md` J06, J12, J20).

use warp::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::cors::empty;

const NOBODY_KEEPS_IT: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");
const COOKIE_NAME: &str = "JSESSIONID";

/// An answer that nobody keeps.
pub(super) fn answer(status: StatusCode, content_type: &'static str, mut response: Response) -> Response {
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, NOBODY_KEEPS_IT);
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 405, without a body or its type (J12).
pub(super) fn only(methods: &'static str) -> Response {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Gives a balancer that is told by `JSESSIONID` where a client belongs what it looks for (J20): the client's own, or one.
/// Scripts have no business with it, and must not get at it because it is said again.
pub(super) fn set_cookie(request: &HeaderMap, response: &mut Response) {
    let lines = request.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let value = pairs.find_map(|(name, value)| (name.trim() == COOKIE_NAME).then_some(value.trim()));
    let is_plain = |value: &&str| value.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b));
    let value = value.filter(|value| !value.is_empty()).filter(is_plain).unwrap_or("dummy");
    let cookie = HeaderValue::try_from(format!("{COOKIE_NAME}={value}; Path=/; HttpOnly"));
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
}
