//! The head of a frame: command and header lines, once they are complete.

use crate::{
    ErrorKind, ProtocolError, Version,
    decode::{Syntax, too_long_a_body},
    escape::unescape,
    frame::Command,
    header::{Field, Span, trim},
};
use alloc::{format, vec::Vec};
use core::str;

/// A parsed head: ranges into the bytes it was read from, and copies of what had to be decoded.
pub(crate) struct Head {
    pub(crate) command: Command,
    pub(crate) fields: Vec<Field>,
    pub(crate) decoded: Vec<u8>,
}

/// Drops the CR of a CRLF line end: 1.2 demands it, older clients do it too (F02, F03).
pub(crate) fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What there is to know of a header line before it is taken apart, from one pass over it.
struct Marks {
    colon: Option<usize>,
    backslash: bool,
    cr: bool,
}

impl Marks {
    fn of(line: &[u8]) -> Marks {
        let mut marks = Marks { colon: None, backslash: false, cr: false };
        for (at, &octet) in line.iter().enumerate() {
            match octet {
                b':' if marks.colon.is_none() => marks.colon = Some(at),
                b'\\' => marks.backslash = true,
                b'\r' => marks.cr = true,
                _ => {}
            }
        }
        marks
    }
}

/// Parses `head`, which ends with its empty line and has `headers` header lines.
pub(crate) fn parse(head: &[u8], headers: usize, version: Option<Version>) -> Result<Head, ProtocolError> {
    if str::from_utf8(head).is_err() {
        return Err(ProtocolError::malformed("the command or a header is not UTF-8"));
    }
    let first = head.iter().position(|&octet| octet == b'\n').unwrap_or(head.len());
    let command = command(without_cr(&head[..first]))?;
    // H06: these frames are never decoded, whatever is agreed.
    let escaped = version.filter(|&version| version > Version::V1_0 && !command.is_unescaped());
    let mut fields = Vec::with_capacity(headers);
    let mut decoded = Vec::new();
    let mut start = first + 1;
    for line in head[start.min(head.len())..].split_inclusive(|&octet| octet == b'\n').take(headers) {
        let text = without_cr(line.strip_suffix(b"\n").unwrap_or(line));
        let Marks { colon, backslash, cr } = Marks::of(text);
        let Some(colon) = colon else {
            return Err(ProtocolError::malformed("a header line has no colon"));
        };
        if colon == 0 {
            return Err(ProtocolError::malformed("a header has an empty name"));
        }
        if version == Some(Version::V1_2) && cr {
            return Err(ProtocolError::malformed("a header has a CR that is neither escaped nor part of a line end"));
        }
        let mut half = |from: usize, to: usize| -> Result<Span, ProtocolError> {
            let raw = &text[from..to];
            match escaped {
                Some(version) if backslash && raw.contains(&b'\\') => {
                    let at = head.len() + decoded.len();
                    if !unescape(version, raw, &mut decoded) {
                        return Err(ProtocolError::malformed(format!(
                            "a header has an escape that STOMP {version} lacks"
                        )));
                    }
                    Ok(Span { start: at as u32, end: (head.len() + decoded.len()) as u32 })
                }
                _ => Ok(Span { start: (start + from) as u32, end: (start + to) as u32 }),
            }
        };
        let name = half(0, colon)?;
        let mut value = half(colon + 1, text.len())?;
        if version == Some(Version::V1_0) {
            value = trim(value, &text[colon + 1..]);
        }
        fields.push(Field { name, value });
        start += line.len();
    }
    Ok(Head { command, fields, decoded })
}

/// The number of body octets, checked against the limit before any of them is kept (F14).
pub(crate) fn content_length(head: &Head, bytes: &[u8], syntax: &Syntax) -> Result<Option<usize>, ProtocolError> {
    let octets = |span: Span| bytes.get(span.start as usize..span.end as usize).unwrap_or_default();
    let Some(field) = head.fields.iter().find(|field| octets(field.name) == b"content-length") else { return Ok(None) };
    let mut digits = octets(field.value);
    if syntax.version.is_none() {
        digits = digits.trim_ascii();
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ProtocolError::malformed("content-length is not a decimal number"));
    }
    let length = digits.iter().try_fold(0usize, |sum, digit| sum.checked_mul(10)?.checked_add((digit - b'0').into()));
    match length {
        Some(length) if length <= syntax.body_room(bytes.len()) => Ok(Some(length)),
        _ => Err(too_long_a_body()),
    }
}

fn command(name: &[u8]) -> Result<Command, ProtocolError> {
    if let Some(command) = Command::parse(name) {
        return Ok(command);
    }
    // The line itself is not repeated: it may be anything (E05).
    let detail = match Command::parse(&name.to_ascii_uppercase()) {
        Some(_) => "commands are written in upper case",
        None => "the first line is not a STOMP command",
    };
    Err(ProtocolError::new(ErrorKind::Malformed, "unknown command", detail))
}
