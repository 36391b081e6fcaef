//! The worker's frames on their way to a client that polls: lines, taken off a stream whole.

use bytes::{Bytes, BytesMut};

/// What has been read of the stream and not been given out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    octets: BytesMut,
    /// No line ends within so many octets.
    searched: usize,
}

impl Lines {
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether there is a whole line.
    pub(super) fn has_one(&mut self) -> bool {
        self.end().is_some()
    }

    /// The first frame. Messages that stand behind each other become one frame of up to `most` octets: a client that
    /// polls gets them all for one request.
    pub(super) fn take(&mut self, most: usize) -> Option<Bytes> {
        let first = self.line()?;
        if !first.starts_with(b"a[") {
            return Some(first);
        }
        let mut joined: Option<BytesMut> = None;
        let mut length = first.len();
        while self.octets.starts_with(b"a[")
            && let Some(end) = self.end()
            && length + end <= most
            && let Some(next) = self.line()
        {
            // `a[…]` LF and `a[…]` LF become `a[…,…]` LF.
            let joined = joined.get_or_insert_with(|| BytesMut::from(&first[..]));
            joined.truncate(joined.len() - 2);
            joined.extend_from_slice(b",");
            joined.extend_from_slice(&next[2..]);
            length = joined.len();
        }
        Some(joined.map_or(first, BytesMut::freeze))
    }

    fn line(&mut self) -> Option<Bytes> {
        let end = self.end()?;
        self.searched = 0;
        let line = self.octets.split_to(end + 1).freeze();
        if self.octets.is_empty() {
            // Its block goes with the line; a session that waits holds nothing.
            self.octets = BytesMut::new();
        }
        Some(line)
    }

    /// Where the first line ends.
    fn end(&mut self) -> Option<usize> {
        let found = self.octets[self.searched..].iter().position(|octet| *octet == b'\n');
        match found {
            Some(at) => {
                self.searched += at;
                Some(self.searched)
            }
            None => {
                self.searched = self.octets.len();
                None
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn j14_messages_are_joined_and_nothing_else_is() {
        let mut lines = Lines::default();
        for piece in ["o\na[\"1\"", "]\n", "a[\"2\"]\na[\"3\"]\nc[1000,\"\"]\na[\"", "4\"]"] {
            lines.push(piece.as_bytes());
        }
        for expected in ["o\n", "a[\"1\",\"2\",\"3\"]\n", "c[1000,\"\"]\n"] {
            assert_eq!(lines.take(100).unwrap(), expected);
        }
        assert!(!lines.has_one());
        assert_eq!(lines.take(100), None);
        lines.push(b"\na[\"5\"]\n");
        assert!(lines.has_one());
        assert_eq!(lines.take(12).unwrap(), "a[\"4\"]\n", "no more than was asked for");
        assert_eq!(lines.take(1).unwrap(), "a[\"5\"]\n", "but one at least");
        assert_eq!((lines.len(), lines.take(1)), (0, None));
    }
}
