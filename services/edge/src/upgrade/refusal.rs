//! Why an upgrade was refused, and how the client hears of it.

use warp::http::header::{ALLOW, CONNECTION, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use crate::server::{jitter, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Method,
    /// A plain request, HTTP/1.0, or an upgrade to something else.
    NotAnUpgrade,
    Version,
    /// With the sentence for the client.
    Malformed(&'static str),
    Origin,
    Starting,
    Draining,
    Full,
    /// Too many come at once.
    Admission,
}

impl Refusal {
    /// What is counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::NotAnUpgrade | Self::Malformed(_) => "malformed",
            Self::Version => "version",
            Self::Origin => "origin",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::Admission => "admission",
        }
    }

    /// What is answered. Times to retry differ at random, so that those refused together do not come back together.
    pub(crate) fn response(self) -> Response {
        match self {
            Self::Method => with(text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"), ALLOW, "GET"),
            Self::NotAnUpgrade => upgrade_required("this path speaks WebSocket only\n"),
            Self::Version => upgrade_required("WebSocket version 13 only\n"),
            Self::Malformed(why) => text(StatusCode::BAD_REQUEST, why),
            Self::Origin => text(StatusCode::FORBIDDEN, "this origin is not allowed\n"),
            Self::Starting => unavailable("starting\n", 1),
            // Closed, so that the next attempt may reach another edge.
            Self::Draining => with(unavailable("draining\n", jitter(1, 5)), CONNECTION, "close"),
            Self::Full => unavailable("full\n", jitter(2, 10)),
            Self::Admission => with(unavailable("too many come at once\n", jitter(1, 10)), CONNECTION, "close"),
        }
    }
}

/// 426 with everything that a client needs to do it right (RFC 9110, 15.5.22; RFC 6455, 4.4).
fn upgrade_required(why: &'static str) -> Response {
    let response = with(text(StatusCode::UPGRADE_REQUIRED, why), UPGRADE, "websocket");
    with(with(response, CONNECTION, "Upgrade"), SEC_WEBSOCKET_VERSION, "13")
}

/// 503 with `Retry-After`, in seconds.
fn unavailable(why: &'static str, retry_after: u32) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
