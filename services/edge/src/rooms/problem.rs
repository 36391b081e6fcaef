//! What is answered when something is not to be had: problem details (RFC 9457), in the words of the registry of endings.

use std::borrow::Cow;

use serde::Serialize;
use warp::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use crate::disconnect::Ending;
use crate::server::jitter;
use crate::transport::json;
use crate::upgrade::Refusal;

/// The media type of a problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

const DRAINING: &str = "this edge is closing down: another one takes over";

/// A problem object. `title`, `status` and `code` are the registry's, `detail` is about this request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(super) title: Cow<'static, str>,
    pub(super) status: u16,
    pub(super) detail: Cow<'static, str>,
    pub(super) code: Cow<'static, str>,
    /// Of a SEND: `refused` is not in the log, `unknown` may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u32>,
}

impl Problem {
    fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let (detail, code, title) = (detail.into(), code.into(), title.into());
        Self { kind: "about:blank", title, status, detail, code, outcome: None, retry_after: None }
    }

    /// What the registry says of an ending; one without an ERROR is a fault of the moment.
    pub(super) fn of(ending: Ending, detail: Option<&str>) -> Self {
        let facts = ending.facts();
        let (title, status) = facts.error.unwrap_or((facts.reason, 503));
        let detail = detail.map_or(Cow::Borrowed(title), |detail| Cow::Owned(detail.to_owned()));
        let problem = Self::new(status, facts.label, title, detail);
        Self { outcome: facts.outcome, retry_after: facts.retry_after, ..problem }
    }

    /// A request that cannot be understood.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "malformed", "malformed request", detail)
    }

    /// Why no one gets in.
    pub(super) fn refusal(refusal: Refusal) -> Self {
        told(refusal, &refusal.response()).0
    }

    /// The edge cannot do it now.
    pub(super) fn later() -> Self {
        Self { retry_after: Some(jitter(2, 10)), ..Self::of(Ending::TryLater, None) }
    }

    /// What is more than may be.
    pub(super) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..Self::of(Ending::TooLarge, None) }
    }

    /// A body in a form that is not read here.
    pub(super) fn unsupported(detail: &'static str) -> Self {
        Self::new(415, "unsupported", "unsupported media type", detail)
    }

    /// Of a message that was to be stored: unless something else is known of it, it is not in the log.
    pub(super) fn not_stored(self) -> Self {
        Self { outcome: self.outcome.or(Some("refused")), ..self }
    }

    /// What is no room, and can be none.
    pub(super) fn no_room(detail: &'static str) -> Self {
        Self::of(Ending::UnknownDestination, Some(detail))
    }

    /// What the media type [`PROBLEM_JSON`] stands for.
    pub(super) fn json(&self) -> Vec<u8> {
        // Texts and numbers are always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The answer; nobody keeps it.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(self.json().into());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        if self.status == 401 {
            // RFC 9110, section 15.5.2: how one shows who one is.
            fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A problem as a session has told it.
impl From<json::Problem> for Problem {
    fn from(told: json::Problem) -> Self {
        let json::Problem { title, status, detail, code, outcome, retry_after, .. } = told;
        Self {
            kind: "about:blank",
            title: title.into(),
            status,
            detail: detail.into(),
            code: code.into(),
            outcome,
            retry_after,
        }
    }
}

/// 405; these methods are there.
pub(super) fn only(methods: &'static str) -> Response {
    let problem = Problem::new(405, "method", "method not allowed", format!("{methods} only"));
    with(problem.response(), ALLOW, methods)
}

/// What no one gets in with, said as a problem; the fields that tell a client what to do stay.
pub(super) fn refused(refusal: Refusal) -> Response {
    told(refusal, &refusal.response()).1
}

fn told(refusal: Refusal, plain: &Response) -> (Problem, Response) {
    let (status, code) = (plain.status().as_u16(), refusal.name());
    let seconds = plain.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let (title, detail) = match refusal {
        Refusal::Method => ("method not allowed", "GET only"),
        Refusal::NotAnUpgrade => ("upgrade required", "this path speaks WebSocket only"),
        Refusal::Version => ("upgrade required", "WebSocket version 13 only"),
        Refusal::Malformed(why) => ("malformed request", why.trim_end()),
        Refusal::Origin => ("forbidden", "this origin is not allowed"),
        Refusal::Starting => ("starting", "this edge is not ready yet"),
        Refusal::Draining => ("draining", DRAINING),
        Refusal::Admission => ("busy", "too many come at once"),
        Refusal::Full => ("full", "this edge has no room for another connection"),
    };
    let problem = Problem { retry_after: seconds, ..Problem::new(status, code, title, detail) };
    let mut response = problem.response();
    let told = response.headers().clone();
    // Upgrade, Sec-WebSocket-Version, Connection, Allow: what stands in the way, as a client can read it.
    let more = plain.headers().iter().filter(|(name, _)| !told.contains_key(*name));
    let more: Vec<_> = more.map(|(name, value)| (name.clone(), value.clone())).collect();
    response.headers_mut().extend(more);
    (problem, response)
}

/// The head of an answer without a body, for a connection that has left HTTP.
pub(super) fn head_of(answer: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\ncontent-length: 0\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers().iter().filter(|(name, _)| **name != CONTENT_TYPE) {
        head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The connection does not outlive this answer.
pub(super) fn closing(response: Response) -> Response {
    with(response, CONNECTION, "close")
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_the_registry_says() {
        let problem = Problem::of(Ending::SendUnknown, None);
        let json = String::from_utf8_lossy(&problem.json()).into_owned();
        let title = "SEND outcome unknown, send again with the same x-idempotency-key";
        assert_eq!(
            json,
            format!(
                r#"{{"type":"about:blank","title":"{title}","status":503,"detail":"{title}","code":"send_unknown","outcome":"unknown","retry_after":2}}"#
            )
        );
        assert_eq!(problem.response().headers()[RETRY_AFTER], "2");
        let problem = Problem::of(Ending::BadCredentials, Some("the token's signature is not valid here"));
        let response = problem.response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[WWW_AUTHENTICATE]),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }

    #[test]
    fn refusals_keep_the_fields_that_say_what_to_do() {
        for (refusal, status, field) in [
            (Refusal::Method, 405, "allow"),
            (Refusal::NotAnUpgrade, 426, "upgrade"),
            (Refusal::Version, 426, "sec-websocket-version"),
            (Refusal::Malformed("no\n"), 400, "content-type"),
            (Refusal::Origin, 403, "content-type"),
            (Refusal::Starting, 503, "retry-after"),
            (Refusal::Draining, 503, "connection"),
            (Refusal::Full, 503, "retry-after"),
        ] {
            let response = refused(refusal);
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key(field), "{refusal:?}: {field}");
            assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        }
    }
}
