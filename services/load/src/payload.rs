//! What the body of a SEND says: which run, room and client it comes from, which one and which copy it is, and when it was
//! due.

use std::io::Write as _;

/// The head of a body: one line of text, then dots up to the size asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Tells this run's messages from all others in the same room.
    pub run: u32,
    /// The room's number.
    pub room: u32,
    /// The how-manieth SEND of this run into this room, from 0.
    pub turn: u64,
    /// The sending connection's number.
    pub sender: u32,
    /// The how-manieth SEND of this connection, from 0.
    pub number: u64,
    /// When it should have been sent, as [`clock::now`](crate::clock::now) counts.
    pub due: u64,
    /// 1, and one more each time that it is sent again.
    pub attempt: u32,
}

const MARK: &str = "klatsch-load";

impl Payload {
    /// The longest head, in octets: no body is smaller.
    pub const MAX_HEAD: usize = MARK.len() + 1 + 8 + 1 + 10 + 1 + 20 + 1 + 10 + 1 + 20 + 1 + 20 + 1 + 10 + 1;

    /// The body: `size` octets, or as many as the head needs.
    pub fn write(&self, size: usize) -> Vec<u8> {
        let Payload { run, room, turn, sender, number, due, attempt } = self;
        let mut body = Vec::with_capacity(size.max(Self::MAX_HEAD));
        // Writing into a Vec cannot fail.
        let _ = write!(body, "{MARK} {run:08x} {room} {turn} {sender} {number} {due} {attempt} ");
        body.resize(size.max(body.len()), b'.');
        body
    }

    /// Reads a body; `None` if no load generator wrote it.
    pub fn read(body: &[u8]) -> Option<Payload> {
        let head = body.get(..body.len().min(Self::MAX_HEAD))?;
        // Only the head is looked at; dots behind it may be cut anywhere.
        let mut words = std::str::from_utf8(head).ok()?.split(' ');
        if words.next() != Some(MARK) {
            return None;
        }
        let payload = Payload {
            run: u32::from_str_radix(words.next()?, 16).ok()?,
            room: words.next()?.parse().ok()?,
            turn: words.next()?.parse().ok()?,
            sender: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            due: words.next()?.parse().ok()?,
            attempt: words.next()?.parse().ok()?,
        };
        // The blank behind the last number proves that it is whole.
        words.next().map(|_| payload)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_what_it_wrote_at_any_size() {
        let small = Payload { run: 0xab, room: 3, turn: 0, sender: 7, number: 1, due: 9, attempt: 1 };
        let large = Payload {
            run: u32::MAX,
            room: u32::MAX,
            turn: u64::MAX,
            sender: u32::MAX,
            number: u64::MAX,
            due: u64::MAX,
            attempt: u32::MAX,
        };
        for payload in [small, large] {
            for size in [0, Payload::MAX_HEAD, 200, 65_536] {
                let body = payload.write(size);
                assert_eq!(Payload::read(&body), Some(payload));
                assert!(body.len() == size || size < Payload::MAX_HEAD);
            }
        }
        assert_eq!(large.write(0).len(), Payload::MAX_HEAD);
    }

    #[test]
    fn takes_nobody_elses_body() {
        for body in ["", "hello", "klatsch-load", "klatsch-load x 1 2 3 4 5 6 ", "klatsch-load 0 1 2 3 4 5 6", "\u{fc}"]
        {
            assert_eq!(Payload::read(body.as_bytes()), None, "{body:?}");
        }
    }
}
