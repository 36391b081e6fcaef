//! Frames that a server sends: unmasked, unfragmented, without extensions (RFC 6455, section 5.2).

use bytes::Bytes;

/// The longest header: no mask, 64-bit length.
const MAX_HEADER: usize = 10;
/// The whole of a text message.
pub(in crate::transport) const TEXT: u8 = 0x81;
/// The whole of a binary one.
pub(in crate::transport) const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
/// A control frame's longest payload, without the close code.
const MAX_REASON: usize = 123;

/// A whole message around what `write` appends: one allocation, to be shared by everybody who gets it.
pub(in crate::transport) fn message(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    // Room for the longest header, which is known only when the payload is there.
    let mut frame = Vec::with_capacity(MAX_HEADER + capacity);
    frame.resize(MAX_HEADER, 0);
    write(&mut frame);
    finish(frame)
}

/// A whole message of this payload.
pub(super) fn wrap(mut payload: Vec<u8>) -> Bytes {
    // Moving a short frame up is cheaper than a second allocation.
    payload.splice(0..0, [0; MAX_HEADER]);
    finish(payload)
}

/// Appends a frame: [`TEXT`], [`BINARY`].
pub(in crate::transport) fn append(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let (header, length) = header(first, payload.len());
    out.extend_from_slice(&header[..length]);
    out.extend_from_slice(payload);
}

/// A close frame; a reason that does not fit is left out.
pub(super) fn close(code: u16, reason: &str) -> Bytes {
    let reason = if reason.len() <= MAX_REASON { reason } else { "" };
    let mut out = Vec::with_capacity(4 + reason.len());
    append(&mut out, CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
    out.into()
}

/// Writes the header right in front of the payload and cuts off what it does not need. Text when the whole frame is
/// UTF-8, else binary (`stomp.md` W05, W15).
fn finish(mut frame: Vec<u8>) -> Bytes {
    let payload = &frame[MAX_HEADER..];
    let first = if std::str::from_utf8(payload).is_ok() { TEXT } else { BINARY };
    let (header, length) = header(first, payload.len());
    let start = MAX_HEADER - length;
    frame[start..MAX_HEADER].copy_from_slice(&header[..length]);
    Bytes::from(frame).slice(start..)
}

/// A header and how long it is.
fn header(first: u8, payload: usize) -> ([u8; MAX_HEADER], usize) {
    let mut header = [0; MAX_HEADER];
    header[0] = first;
    let length = match payload {
        0..126 => {
            header[1] = payload as u8;
            2
        }
        126..65_536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
            10
        }
    };
    (header, length)
}
