//! Which pages may read an answer: those that may connect (`stomp.md` W22, J03–J05). One rule for all of HTTP.

use std::time::{Duration, SystemTime};

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    CACHE_CONTROL, EXPIRES, ORIGIN, VARY,
};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::reply::Response;

use crate::upgrade::{OriginCheck, Refusal, handshake};

const A_YEAR: Duration = Duration::from_secs(31_536_000);

/// A page that may read the answer, or a program that needs no permission.
pub(crate) struct Cors {
    origin: Option<HeaderValue>,
    /// What the page wants to send.
    headers: Option<HeaderValue>,
    /// Fields that it may read beside those that every page may.
    exposed: Option<&'static str>,
}

impl Cors {
    /// # Errors
    /// The page is not one of those that may connect. A browser leaves `Origin` out when a page of the same origin asks
    /// with GET, so that only other methods may need one.
    pub(crate) fn judge(method: &Method, headers: &HeaderMap, check: &OriginCheck) -> Result<Self, Refusal> {
        let origin = handshake::origin(headers)?;
        let is_harmless = origin.is_none() && matches!(*method, Method::GET | Method::HEAD);
        if !is_harmless && !check(origin, handshake::host(headers)) {
            return Err(Refusal::Origin);
        }
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| !asked.is_empty());
        Ok(Self { origin: headers.get(ORIGIN).cloned(), headers: asked.cloned(), exposed: None })
    }

    /// The page may read these fields too.
    pub(crate) fn exposing(self, fields: &'static str) -> Self {
        Self { exposed: Some(fields), ..self }
    }

    /// Allows that page, and no other, to read this.
    pub(crate) fn allow(&self, mut response: Response) -> Response {
        self.allow_in(response.headers_mut());
        response
    }

    /// The same as fields of an answer that is written elsewhere.
    pub(crate) fn allow_in(&self, fields: &mut HeaderMap) {
        match &self.origin {
            Some(origin) => {
                fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            None => drop(fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))),
        }
        fields.extend(self.headers.clone().map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked)));
        fields.extend(self.exposed.map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed))));
        fields.insert(VARY, HeaderValue::from_static("Origin"));
    }

    /// The answer to OPTIONS; browsers may keep it for a year.
    pub(crate) fn preflight(&self, methods: &'static str) -> Response {
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

/// An answer without a body or its type.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new("".into());
    *response.status_mut() = status;
    response
}
