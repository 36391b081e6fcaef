//! SockJS 0.3.3 (`stomp.md` §4): strings of JSON in frames of one letter. Over WebSocket each message is one frame; over
//! XHR each line is.
//!
//! | file | what |
//! |---|---|
//! | `json.rs` | the strings |
//! | `websocket.rs` | the transport `websocket` |
//! | `xhr.rs` | the worker's side of the transports that poll; [`crate::sockjs`] is the other side |
//!
//! One STOMP frame is one string (J21), and it is quoted once for all who get it. What is not UTF-8 cannot be said in
//! JSON: such a body is given with U+FFFD in the place of what is wrong (`text_body`), so that its length stays right.

use std::borrow::Cow;

pub mod json;
mod websocket;
mod xhr;

pub use websocket::SockJs;
pub(super) use websocket::message;
pub use xhr::Xhr;
pub(super) use xhr::message as line_message;

/// As many octets of JSON may stand for one octet of STOMP: `\u0000` for a NUL.
const LONGEST_ESCAPE: usize = 6;

/// The largest message that a frame of `octets` can come in.
pub fn message_limit(octets: usize) -> usize {
    octets.saturating_mul(LONGEST_ESCAPE).saturating_add(4)
}

/// A body as it can be said in JSON.
pub(super) fn text_body(body: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// One string as a client that polls gets it.
pub(crate) fn line(string: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(capacity(string.len()));
    array(string.as_bytes(), &mut line);
    line.push(b'\n');
    line
}

/// Appends the frame that carries these octets of STOMP.
fn array(stomp: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"a[");
    json::quote(&String::from_utf8_lossy(stomp), out);
    out.push(b']');
}

/// Appends the frame that ends the session.
fn close(code: u16, reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("c[{code},").as_bytes());
    json::quote(reason, out);
    out.push(b']');
}

/// What a quoted frame needs, most of the time: one octet in eight is escaped.
fn capacity(stomp: usize) -> usize {
    stomp + stomp / 8 + 16
}
