//! Where WebSocket messages end: enough of RFC 6455, section 5.2, to know when a stream is between two of them.

/// Follows the frames of a stream by their headers. What they hold, and whether they are right, is the engine's business.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    /// The frame's header as far as it has come.
    header: [u8; 10],
    have: u8,
    /// Octets of mask and payload that are still to come.
    left: u64,
    /// A message's last fragment is still to come.
    in_message: bool,
    /// Nothing is between messages any more.
    closed: bool,
}

impl Boundary {
    /// Goes on by what was read.
    pub(super) fn pass(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
                self.left -= skipped as u64;
                octets = &octets[skipped..];
                continue;
            }
            self.header[usize::from(self.have)] = octets[0];
            self.have += 1;
            octets = &octets[1..];
            if let Some(left) = self.header() {
                let (last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
                match opcode {
                    0..8 => self.in_message = !last,
                    8 => self.closed = true,
                    _ => {}
                }
                (self.have, self.left) = (0, left);
            }
        }
    }

    /// What follows the header, once that is complete.
    fn header(&self) -> Option<u64> {
        let length = self.header[1] & 0x7f;
        let (length, size) = match (self.have, length) {
            (2, 0..126) => (length.into(), 2),
            (4, 126) => (u16::from_be_bytes([self.header[2], self.header[3]]).into(), 4),
            (10, 127) => (self.header[2..].first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets)), 10),
            _ => (0, 0),
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        (size > 0).then(|| length.saturating_add(mask))
    }

    /// Whether the next octet begins a message, or a frame between messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.in_message && !self.closed
    }
}
