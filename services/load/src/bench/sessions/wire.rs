//! What sessions say and hear: WebSocket messages with one STOMP frame each.

use std::ops::Range;

/// A STOMP frame of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a>(pub(super) &'a [u8]);

impl<'a> Frame<'a> {
    /// Whether it is one of these.
    pub(crate) fn is(self, command: &str) -> bool {
        self.0.strip_prefix(command.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'\n'))
    }

    /// A header's first value, as it was written.
    pub(crate) fn header(self, name: &str) -> Option<&'a str> {
        let end = self.0.windows(2).position(|two| two == b"\n\n")?;
        let head = std::str::from_utf8(&self.0[..end]).ok()?;
        head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    /// What stands behind the headers, without the octet that ends the frame.
    pub(crate) fn body(self) -> &'a [u8] {
        let start = self.0.windows(2).position(|two| two == b"\n\n").map_or(self.0.len(), |at| at + 2);
        let body = &self.0[start..];
        body.strip_suffix(b"\0").unwrap_or(body)
    }
}

/// The first WebSocket message of what a server sent: where its STOMP frame lies, nothing for what is none, and its end.
pub(super) fn message(pending: &[u8]) -> Result<Option<(Range<usize>, usize)>, String> {
    let (start, length) = match *pending {
        [_, length @ 0..126, ..] => (2, usize::from(length)),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [_, 127, _, _, _, _, a, b, c, d, ..] => (10, u32::from_be_bytes([a, b, c, d]) as usize),
        [_, 128..=255, ..] => return Err("a server's frame is masked".to_owned()),
        _ => return Ok(None),
    };
    let end = start + length;
    if pending.len() < end {
        return Ok(None);
    }
    match pending[0] & 0x0f {
        1 | 2 if pending[start..end] != *b"\n" => Ok(Some((start..end, end))),
        8 => Err(format!("closed: {}", String::from_utf8_lossy(&pending[(start + 2).min(end)..end]))),
        _ => Ok(Some((start..start, end))),
    }
}

/// Appends a STOMP frame as a client's WebSocket message. Its mask is zero: unmasking costs the server the same.
pub(crate) fn put(out: &mut Vec<u8>, stomp: &[u8]) {
    out.push(0x81);
    match stomp.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(stomp);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_servers_messages_are_found_one_after_another() {
        let mut octets = vec![0x81, 1, b'\n', 0x89, 0];
        octets.extend([0x81, 126, 0, 200]);
        octets.extend([b'x'; 200]);
        assert_eq!(message(&octets), Ok(Some((2..2, 3))));
        assert_eq!(message(&octets[3..]), Ok(Some((2..2, 2))));
        assert_eq!(message(&octets[5..]), Ok(Some((4..204, 204))));
        assert_eq!(message(&octets[5..100]), Ok(None));
        assert_eq!(message(b"\x88\x05\x0f\xa2slo"), Err("closed: slo".to_owned()));
        assert_eq!(message(b"\x82\x7f\0\0\0\0\0\0\0\x01z"), Ok(Some((10..11, 11))));
        for length in [1, 200, 70_000] {
            let mut own = Vec::new();
            put(&mut own, &vec![b'y'; length]);
            assert!(message(&own).is_err(), "ours are masked");
        }
    }

    #[test]
    fn a_frame_shows_its_parts() {
        let frame = Frame(b"MESSAGE\nmessage-id:1-2-3\nsubscription:s\n\nbody\n\n!\0");
        assert!(frame.is("MESSAGE") && !frame.is("MESS"));
        assert_eq!((frame.header("subscription"), frame.header("body")), (Some("s"), None));
        assert_eq!(frame.body(), b"body\n\n!");
    }
}
