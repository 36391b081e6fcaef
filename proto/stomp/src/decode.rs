//! From bytes to frames, in any pieces (F20). The decoder knows grammar and limits; which frame is allowed when is
//! the session's business.

use crate::{
    Headers, ProtocolError, Text, Version,
    escape::unescape,
    frame::{Command, Frame},
    head::{self, Head},
};
use alloc::{boxed::Box, vec::Vec};
use bytes::{Buf, Bytes, BytesMut};
use core::mem;

/// What the next frame may look like. `version` is `None` until one is agreed.
#[derive(Clone, Copy)]
pub(crate) struct Syntax {
    pub(crate) version: Option<Version>,
    pub(crate) frame_bytes: usize,
    pub(crate) head_bytes: usize,
    pub(crate) line_bytes: usize,
    pub(crate) command_bytes: usize,
    pub(crate) headers: usize,
    pub(crate) body_bytes: usize,
}

/// Holds the bytes of at most one unfinished frame plus whatever its owner has not asked for yet.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    stage: Stage,
    /// Frames that were taken out share the buffer's storage.
    shared: bool,
}

/// Places are relative to the frame's first octet, which is the buffer's first; `scanned` is never looked at again.
enum Stage {
    Head { line: usize, lines: usize, scanned: usize },
    Body { head: Head, start: usize, length: Option<usize>, scanned: usize },
    Ready { head: Head, start: usize, end: usize },
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::Head { line: 0, lines: 0, scanned: 0 }
    }
}

/// A decoder that exists only while there is something in it: most sessions are idle, and it is their largest part.
#[derive(Default)]
pub(crate) struct IdleDecoder(Option<Box<Decoder>>);

impl IdleDecoder {
    /// Appends input. A beat between frames leaves nothing behind.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let skipped = if self.0.is_none() { separators(bytes) } else { 0 };
        if skipped < bytes.len() {
            self.0.get_or_insert_default().push(&bytes[skipped..]);
        }
    }

    pub(crate) fn buffered(&self) -> usize {
        self.0.as_ref().map_or(0, |decoder| decoder.buffered())
    }

    /// Throws everything away.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// As [`Decoder::scan`].
    pub(crate) fn scan(&mut self, syntax: &Syntax) -> Result<bool, ProtocolError> {
        let Some(decoder) = &mut self.0 else { return Ok(false) };
        let complete = decoder.scan(syntax)?;
        self.release();
        Ok(complete)
    }

    /// The frame that `scan` has found complete.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        let frame = self.0.as_mut()?.take();
        self.release();
        frame
    }

    fn release(&mut self) {
        if self.buffered() == 0 {
            self.0 = None;
        }
    }
}

impl Decoder {
    /// Appends input. A beat between frames leaves nothing behind.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        if self.buffer.is_empty() {
            bytes = &bytes[separators(bytes)..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Looks on until the frame in front is complete (true) or more input is needed (false).
    pub(crate) fn scan(&mut self, syntax: &Syntax) -> Result<bool, ProtocolError> {
        if let Stage::Head { scanned: 0, .. } = self.stage {
            self.buffer.advance(separators(&self.buffer));
            if matches!(*self.buffer, [] | [b'\r']) {
                self.settle();
                return Ok(false);
            }
        }
        let complete = match self.stage {
            Stage::Head { .. } => self.scan_head(syntax)? && self.scan_body(syntax)?,
            Stage::Body { .. } => self.scan_body(syntax)?,
            Stage::Ready { .. } => true,
        };
        if !complete {
            self.settle();
        }
        Ok(complete)
    }

    /// The frame that `scan` has found complete.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        let (head, start, end) = match mem::take(&mut self.stage) {
            Stage::Ready { head, start, end } => (head, start, end),
            unfinished => {
                self.stage = unfinished;
                return None;
            }
        };
        let bytes = if end + 1 == self.buffer.len() {
            self.shared = false;
            mem::take(&mut self.buffer).freeze()
        } else {
            self.shared = true;
            self.buffer.split_to(end + 1).freeze()
        };
        Some(head.into_frame(bytes, start, end))
    }

    /// An empty buffer is given back; an unfinished frame does not keep the frames before it in memory.
    fn settle(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        } else if self.shared {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.shared = false;
    }

    fn scan_head(&mut self, syntax: &Syntax) -> Result<bool, ProtocolError> {
        let Stage::Head { line, lines, scanned } = &mut self.stage else { return Ok(true) };
        let block = syntax.head_bytes.min(syntax.frame_bytes);
        loop {
            // Room for CRLF behind the longest command.
            let longest = if *lines == 0 { syntax.command_bytes + 2 } else { syntax.line_bytes };
            let cap = block.min(*line + longest);
            let window = &self.buffer[(*scanned).min(cap)..self.buffer.len().min(cap)];
            let Some(at) = window.iter().position(|&octet| octet == b'\n' || octet == 0) else {
                if self.buffer.len() < cap {
                    *scanned = self.buffer.len();
                    return Ok(false);
                }
                let what = match *lines {
                    _ if cap == block => "command and headers are longer than allowed",
                    0 => "the command is longer than allowed",
                    _ => "a header line is longer than allowed",
                };
                return Err(fault(&self.buffer[..cap], syntax, ProtocolError::size(what)));
            };
            let end = *scanned + at;
            if self.buffer[end] == 0 {
                let error = ProtocolError::malformed("NUL inside the command or headers, or no empty line after them");
                return Err(fault(&self.buffer[..end], syntax, error));
            }
            let text = head::without_cr(&self.buffer[*line..end]);
            if text.is_empty() {
                let start = end + 1;
                let head = head::parse(&self.buffer[..start], *lines - 1, syntax.version).and_then(|head| {
                    head::content_length(&head, &self.buffer[..start], syntax).map(|length| (head, length))
                });
                let (head, length) = head.map_err(|error| fault(&self.buffer[..start], syntax, error))?;
                self.stage = Stage::Body { head, start, length, scanned: start };
                return Ok(true);
            }
            if *lines == 0 && text.len() > syntax.command_bytes {
                return Err(ProtocolError::size("the command is longer than allowed"));
            }
            if *lines > syntax.headers {
                return Err(fault(&self.buffer[..end], syntax, ProtocolError::size("more headers than allowed")));
            }
            *lines += 1;
            *line = end + 1;
            *scanned = *line;
        }
    }

    fn scan_body(&mut self, syntax: &Syntax) -> Result<bool, ProtocolError> {
        let Stage::Body { start, length, scanned, .. } = &mut self.stage else { return Ok(true) };
        let start = *start;
        let end = match *length {
            Some(length) => match self.buffer.get(start + length) {
                None => return Ok(false),
                Some(0) => start + length,
                Some(_) => {
                    let error = ProtocolError::malformed("the octet after content-length octets of body is not NUL");
                    return Err(fault(&self.buffer[..start], syntax, error));
                }
            },
            None => {
                let most = start + syntax.body_room(start);
                match find_nul(&self.buffer[*scanned..self.buffer.len().min(most + 1)]) {
                    Some(at) => *scanned + at,
                    None if self.buffer.len() > most => {
                        return Err(fault(&self.buffer[..start], syntax, too_long_a_body()));
                    }
                    None => {
                        *scanned = self.buffer.len();
                        return Ok(false);
                    }
                }
            }
        };
        if let Stage::Body { head, .. } = mem::take(&mut self.stage) {
            self.stage = Stage::Ready { head, start, end };
        }
        Ok(true)
    }
}

impl Syntax {
    /// The longest body of a frame whose head has `head` octets.
    pub(crate) fn body_room(&self, head: usize) -> usize {
        self.body_bytes.min(self.frame_bytes.saturating_sub(head + 1))
    }
}

pub(crate) fn too_long_a_body() -> ProtocolError {
    ProtocolError::size("the body is longer than allowed")
}

/// How many octets of line ends and stray NULs stand in front of a frame (F04, F05). A CR counts with its LF only.
fn separators(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..) {
            Some([b'\n' | 0, ..]) => at += 1,
            Some([b'\r', b'\n', ..]) => at += 2,
            _ => return at,
        }
    }
}

/// `position` in steps that the compiler can vectorise.
fn find_nul(bytes: &[u8]) -> Option<usize> {
    const STEP: usize = 64;
    let whole =
        bytes.chunks_exact(STEP).take_while(|chunk| !chunk.iter().fold(false, |found, &octet| found | (octet == 0)));
    let skipped = whole.count() * STEP;
    bytes[skipped..].iter().position(|&octet| octet == 0).map(|at| skipped + at)
}

/// Adds the frame's `receipt`, as far as it has arrived in whole lines (E02). CONNECT has none (V12).
fn fault(head: &[u8], syntax: &Syntax, error: ProtocolError) -> ProtocolError {
    let mut lines = head.split_inclusive(|&octet| octet == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let command = lines.next().map(head::without_cr).and_then(Command::parse);
    if command.is_none_or(Command::is_unescaped) {
        return error;
    }
    let Some(raw) = lines.find_map(|line| head::without_cr(line).strip_prefix(b"receipt:")) else { return error };
    let mut value = Vec::new();
    let readable = match syntax.version {
        Some(version) if version > Version::V1_0 => unescape(version, raw, &mut value),
        _ => {
            value.extend_from_slice(raw.trim_ascii());
            true
        }
    };
    error.with_receipt(Text::from_utf8(Bytes::from(value)).ok().filter(|_| readable))
}

impl Head {
    fn into_frame(self, bytes: Bytes, start: usize, end: usize) -> Frame {
        let body = bytes.slice(start..end);
        Frame { command: self.command, headers: Headers::new(bytes, self.decoded, start as u32, self.fields), body }
    }
}
