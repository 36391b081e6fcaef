//! Who may read an answer, and who may keep it (`stomp.md` J03–J06, J20, P20).

use std::time::{Duration, SystemTime};

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, COOKIE, EXPIRES, ORIGIN, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::reply::Response;

use crate::upgrade::{OriginCheck, Refusal, handshake};

const NOBODY_KEEPS_IT: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");
const A_YEAR: Duration = Duration::from_secs(31_536_000);
const COOKIE_NAME: &str = "JSESSIONID";

/// A page that may read the answer, or a program that needs no permission.
pub(super) struct Cors {
    origin: Option<HeaderValue>,
    /// What the page wants to send.
    headers: Option<HeaderValue>,
}

impl Cors {
    /// # Errors
    /// The page is not one of those that may connect. A browser leaves `Origin` out when a page of the same origin asks
    /// with GET, so that only other methods may need one.
    pub(super) fn judge(method: &Method, headers: &HeaderMap, check: &OriginCheck) -> Result<Self, Refusal> {
        let origin = handshake::origin(headers)?;
        let is_harmless = origin.is_none() && matches!(*method, Method::GET | Method::HEAD);
        if !is_harmless && !check(origin, handshake::host(headers)) {
            return Err(Refusal::Origin);
        }
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| !asked.is_empty());
        Ok(Self { origin: headers.get(ORIGIN).cloned(), headers: asked.cloned() })
    }

    /// Allows that page, and no other, to read this.
    pub(super) fn allow(&self, mut response: Response) -> Response {
        let fields = response.headers_mut();
        match &self.origin {
            Some(origin) => {
                fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            None => drop(fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))),
        }
        fields.extend(self.headers.clone().map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked)));
        fields.insert(VARY, HeaderValue::from_static("Origin"));
        response
    }

    /// The answer to OPTIONS; browsers may keep it for a year.
    pub(super) fn preflight(&self, methods: &'static str) -> Response {
        let mut response = self.allow(empty(StatusCode::NO_CONTENT));
        let fields = response.headers_mut();
        let expires = httpdate::fmt_http_date(SystemTime::now() + A_YEAR);
        // A date is made of letters, digits and blanks, so it always is a header value.
        fields.extend(HeaderValue::try_from(expires).map(|expires| (EXPIRES, expires)));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000"));
        fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(A_YEAR.as_secs()));
        fields.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        fields.insert(VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers"));
        response
    }
}

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

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new("".into());
    *response.status_mut() = status;
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
