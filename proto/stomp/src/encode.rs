//! Server frames in the one form that every client reads: LF only (F19), `content-length` wherever there can be a body
//! (F18), headers escaped for the receiver (H08), so that none can break out of its line.

use crate::{
    Version,
    escape::{Half, escape},
    frame::{
        Command,
        server::{Accept, ErrorFrame, MessageFrame},
    },
    header::is_reserved,
    heart_beat::Pair,
};
use alloc::vec::Vec;

pub(crate) use crate::escape::Escaping;

/// Appends a MESSAGE for a receiver of `version`. `user` are the sender's headers; reserved names among them are left
/// out, wherever they came from (M07). The order: destination, content-type, subscription, message-id, ack, the
/// server's, the user's, content-length.
pub fn message<'a>(
    version: Version,
    frame: &MessageFrame<'_>,
    user: impl IntoIterator<Item = (&'a str, &'a str)>,
    out: &mut Vec<u8>,
) {
    let escaping = version.into();
    command(out, Command::Message);
    known(out, escaping, "destination", frame.destination);
    let optional = [("content-type", frame.content_type), ("subscription", frame.subscription)];
    for (name, value) in optional {
        if let Some(value) = value {
            known(out, escaping, name, value);
        }
    }
    known(out, escaping, "message-id", frame.message_id);
    if let Some(ack) = frame.ack {
        known(out, escaping, "ack", ack);
    }
    headers(out, escaping, frame.headers);
    for (name, value) in user {
        if !name.is_empty() && !is_reserved(name) {
            header(out, escaping, name, value);
        }
    }
    content_length(out, frame.body.len());
    end(out, frame.body);
}

/// CONNECTED: version, heart-beat (always, V10), session, server, user-name, then the owner's.
pub(crate) fn connected(version: Version, beats: Pair, server: &str, accept: &Accept<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let how = Escaping::None;
    command(&mut out, Command::Connected);
    known(&mut out, how, "version", version.as_str());
    out.extend_from_slice(b"heart-beat:");
    number(&mut out, beats.send_ms.into());
    out.push(b',');
    number(&mut out, beats.receive_ms.into());
    out.push(b'\n');
    known(&mut out, how, "session", accept.session);
    known(&mut out, how, "server", server);
    if let Some(user) = accept.user {
        known(&mut out, how, "user-name", user);
    }
    headers(&mut out, how, accept.headers);
    end(&mut out, b"");
    out
}

/// RECEIPT, with an empty body (R01).
pub(crate) fn receipt(version: Version, receipt_id: &str, further: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + receipt_id.len() + further.len() * 48);
    command(&mut out, Command::Receipt);
    known(&mut out, version.into(), "receipt-id", receipt_id);
    headers(&mut out, version.into(), further);
    end(&mut out, b"");
    out
}

/// ERROR. `escaping` is [`Escaping::Avoid`] until the client knows the version (H12).
pub(crate) fn error(escaping: Escaping, error: &ErrorFrame<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + error.detail.len());
    command(&mut out, Command::Error);
    known(&mut out, escaping, "message", error.message);
    out.extend_from_slice(b"x-error-code:");
    number(&mut out, error.code.into());
    out.push(b'\n');
    // A receipt-id that cannot be said truly is left unsaid.
    let sayable = |id: &&str| escaping != Escaping::Avoid || !id.bytes().any(crate::escape::is_special);
    if let Some(id) = error.receipt_id.filter(sayable) {
        known(&mut out, escaping, "receipt-id", id);
    }
    headers(&mut out, escaping, error.headers);
    known(&mut out, escaping, "content-type", "text/plain");
    content_length(&mut out, error.detail.len());
    end(&mut out, error.detail.as_bytes());
    out
}

pub(crate) fn command(out: &mut Vec<u8>, command: Command) {
    out.extend_from_slice(command.as_str().as_bytes());
    out.push(b'\n');
}

pub(crate) fn header(out: &mut Vec<u8>, escaping: Escaping, name: &str, value: &str) {
    escape(escaping, Half::Name, name, out);
    value_of(out, escaping, value);
}

/// A header whose name is the specification's: nothing in it has to be escaped.
fn known(out: &mut Vec<u8>, escaping: Escaping, name: &'static str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    value_of(out, escaping, value);
}

fn value_of(out: &mut Vec<u8>, escaping: Escaping, value: &str) {
    out.push(b':');
    escape(escaping, Half::Value, value, out);
    out.push(b'\n');
}

fn headers(out: &mut Vec<u8>, escaping: Escaping, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        header(out, escaping, name, value);
    }
}

pub(crate) fn content_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(b"content-length:");
    number(out, length as u64);
    out.push(b'\n');
}

/// The empty line, the body, NUL.
pub(crate) fn end(out: &mut Vec<u8>, body: &[u8]) {
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
