//! The head of the answer: it is written where the session's word is known, long after HTTP was left.

use hyper::StatusCode;

use crate::problem::Problem;

/// 200 and what follows it; events come next, until the stream ends.
pub(super) fn ok(fields: &str, out: &mut Vec<u8>) {
    begin(StatusCode::OK, "text/event-stream", fields, out);
    out.extend_from_slice(b"\r\n");
}

/// A whole answer: why there are no events.
pub(super) fn problem(problem: &Problem, fields: &str, head_only: bool, out: &mut Vec<u8>) {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = Vec::new();
    // Texts and numbers are always JSON.
    let _ = serde_json::to_writer(&mut body, problem);
    begin(status, "application/problem+json", fields, out);
    field("content-length", &body.len().to_string(), out);
    if let Some(seconds) = problem.retry_after {
        field("retry-after", &seconds.to_string(), out);
    }
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2: how one shows who one is.
        field("www-authenticate", "Bearer", out);
    }
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(&body);
    }
}

/// How long the head is that these octets begin with.
pub(super) fn length(answer: &[u8]) -> usize {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4)
}

fn begin(status: StatusCode, content_type: &str, fields: &str, out: &mut Vec<u8>) {
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    field("content-type", content_type, out);
    out.extend_from_slice(fields.as_bytes());
}

fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
