//! The opening handshake as a question about header fields: RFC 6455, section 4.2.1, and the choice of a subprotocol.

use tungstenite::handshake::derive_accept_key;
use warp::http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use warp::http::{HeaderMap, HeaderValue};

use super::refusal::Refusal;

/// The registered names, the one we like best first (stomp.md W02).
const PROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

/// What the 101 needs.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) accept: HeaderValue,
    pub(super) protocol: Option<&'static str>,
}

/// Judges the header fields of a GET.
pub(super) fn check(headers: &HeaderMap, strict: bool) -> Result<Handshake, Refusal> {
    if !names(headers, UPGRADE, "websocket") || !names(headers, CONNECTION, "upgrade") {
        return Err(Refusal::NotAnUpgrade);
    }
    if only(headers, SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::Version);
    }
    if host(headers).is_none() {
        return Err(Refusal::Malformed("exactly one Host is needed\n"));
    }
    // A body in front of the WebSocket bytes is what request smuggling is made of.
    let empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length == "0");
    if !empty || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::Malformed("an upgrade has no body\n"));
    }
    let key = only(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let accept = accept.ok_or(Refusal::Malformed("Sec-WebSocket-Key must be 16 bytes in base64\n"))?;
    let protocol = protocol(headers);
    // A client that is told of none goes on, or fails by itself; in the strict profile it hears why.
    if strict && protocol.is_none() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(Refusal::Malformed("of the subprotocols only v12.stomp, v11.stomp and v10.stomp are known\n"));
    }
    Ok(Handshake { accept, protocol })
}

/// The best subprotocol that was offered, never one that was not (stomp.md W01, W02).
fn protocol(headers: &HeaderMap) -> Option<&'static str> {
    PROTOCOLS.into_iter().find(|name| list(headers, SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == *name))
}

/// `None` if a program without an origin asks. A browser sends exactly one, so two or an unreadable one are foreign.
pub(crate) fn origin(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    match only(headers, ORIGIN) {
        None if headers.contains_key(ORIGIN) => Err(Refusal::Origin),
        origin => Ok(origin),
    }
}

/// The one `Host`.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    only(headers, HOST).filter(|host| !host.is_empty())
}

/// Whether one of the field's comma-separated elements is this word, in any case.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(word))
}

/// The elements of all lines of a list field; unreadable lines have none.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The field's value if it is there once and readable.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    if lines.next().is_some() { None } else { first.to_str().ok().map(str::trim) }
}

/// 16 bytes in base64 are 22 letters and two signs of padding.
fn is_key(key: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix("==").is_some_and(|letters| letters.bytes().all(letter))
}
