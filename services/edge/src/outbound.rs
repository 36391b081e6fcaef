//! What one client still has to get: a bounded queue of shared frames, and its single vectored write.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Write},
    time::Duration,
};

use bytes::{Buf, Bytes};

use crate::spare::Spare;

/// Pieces handed to one `writev`.
const MAX_PIECES: usize = 64;
/// As much is copied together and written as one piece: for small frames that is cheaper than a vector of them.
const JOINED_BYTES: usize = 16 * 1024;

/// A queue that has grown beyond this many frames is not kept for the next connection.
const KEPT_FRAMES: usize = 64;

/// What waits for one client. Frames are references, so a frame that many clients wait for is there once.
#[derive(Debug, Default)]
pub struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Since when the client has taken no byte although something waits. `None` while nothing is stuck.
    stuck_since: Option<Duration>,
}

/// What all connections of a worker write with.
#[derive(Debug)]
pub struct Queues {
    spare: Spare<Queue>,
    joined: Vec<u8>,
}

impl Queues {
    /// Keeps at most `most` queues for who will need one.
    pub fn new(most: usize) -> Self {
        Self { spare: Spare::new(most), joined: Vec::new() }
    }
}

/// The outbound side of one connection. An idle one owns no queue.
#[derive(Debug, Default)]
pub struct Outbound {
    queue: Option<Box<Queue>>,
    blocked: bool,
    /// Nobody is there to read any more.
    abandoned: bool,
}

/// What a [`Outbound::flush`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// System calls.
    pub writes: u64,
    /// Octets that the socket took.
    pub bytes: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.writes += more.writes;
        self.bytes += more.bytes;
    }
}

impl Outbound {
    /// Adds a frame behind what waits already; one without octets is none.
    pub fn push(&mut self, frame: Bytes, queues: &mut Queues) {
        if self.abandoned || frame.is_empty() {
            return;
        }
        let queue = self.queue.get_or_insert_with(|| queues.spare.take());
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
    }

    /// Adds several.
    pub fn extend(&mut self, frames: impl Iterator<Item = Bytes>, queues: &mut Queues) {
        frames.for_each(|frame| self.push(frame, queues));
    }

    /// Writes all that the socket takes. After `WouldBlock` nothing is tried until [`Outbound::writable`].
    pub fn flush(&mut self, socket: &mut impl Write, now: Duration, queues: &mut Queues) -> io::Result<Written> {
        let mut written = Written::default();
        let Some(queue) = &mut self.queue else { return Ok(written) };
        while !self.blocked && !queue.frames.is_empty() {
            match queue.write_once(socket, &mut queues.joined) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    written.writes += 1;
                    written.bytes += taken as u64;
                    queue.consume(taken);
                    queue.stuck_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    written.writes += 1;
                    self.blocked = true;
                    queue.stuck_since = queue.stuck_since.or(Some(now));
                }
                Err(error) => return Err(error),
            }
        }
        if queue.frames.is_empty()
            && let Some(mut queue) = self.queue.take().filter(|queue| queue.frames.capacity() <= KEPT_FRAMES)
        {
            (queue.bytes, queue.stuck_since) = (0, None);
            queues.spare.give(queue);
        }
        Ok(written)
    }

    /// The socket is gone: what waits is dropped, and so is what comes.
    pub fn abandon(&mut self) {
        *self = Self { abandoned: true, ..Self::default() };
    }

    /// The socket can be written to again.
    pub fn writable(&mut self) {
        self.blocked = false;
    }

    /// Whether something waits and the socket may take it.
    pub fn is_writable(&self) -> bool {
        !self.blocked && !self.is_empty()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Octets that wait.
    pub fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Whether the client takes nothing and already has `cap` octets waiting. Judged only after a write came back
    /// with `WouldBlock`: before, nobody knows how much the socket takes.
    pub fn is_full(&self, cap: usize) -> bool {
        self.blocked && self.bytes() >= cap
    }

    /// Since when no octet has moved although some wait.
    pub fn stuck_since(&self) -> Option<Duration> {
        self.queue.as_ref()?.stuck_since
    }
}

impl Queue {
    fn write_once(&self, socket: &mut impl Write, joined: &mut Vec<u8>) -> io::Result<usize> {
        if let [only] = self.frames.as_slices().0
            && self.frames.len() == 1
        {
            return socket.write(only);
        }
        if self.bytes <= JOINED_BYTES {
            joined.clear();
            self.frames.iter().for_each(|frame| joined.extend_from_slice(frame));
            return socket.write(joined);
        }
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let mut count = 0;
        for (piece, frame) in pieces.iter_mut().zip(&self.frames) {
            *piece = IoSlice::new(frame);
            count += 1;
        }
        socket.write_vectored(&pieces[..count])
    }

    fn consume(&mut self, mut taken: usize) {
        self.bytes -= taken;
        while let Some(frame) = self.frames.front_mut() {
            if taken < frame.len() {
                frame.advance(taken);
                return;
            }
            taken -= frame.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Takes `room` octets, `step` at a time, then blocks.
    struct Socket {
        got: Vec<u8>,
        room: usize,
        step: usize,
        calls: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            let taken = all.len().min(self.step).min(self.room);
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= taken;
            self.got.extend(&all[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const NOW: Duration = Duration::from_secs(5);

    #[test]
    fn everything_pending_leaves_in_one_write() {
        let mut socket = Socket { got: Vec::new(), room: 1000, step: 1000, calls: 0 };
        let (mut queue, mut spare) = (Outbound::default(), Queues::new(1));
        for frame in ["one", "two", "three"] {
            queue.push(Bytes::from_static(frame.as_bytes()), &mut spare);
        }
        assert_eq!(queue.flush(&mut socket, NOW, &mut spare).unwrap(), Written { writes: 1, bytes: 11 });
        assert_eq!(socket.got, b"onetwothree");
        assert!(queue.is_empty() && queue.bytes() == 0);
        let kept = spare.spare.take();
        assert!(kept.frames.is_empty() && kept.frames.capacity() > 0, "an idle connection owns no queue");
    }

    #[test]
    fn l07_a_client_that_takes_nothing_is_full_only_after_the_socket_said_so() {
        let mut socket = Socket { got: Vec::new(), room: 7, step: 4, calls: 0 };
        let (mut queue, mut spare) = (Outbound::default(), Queues::new(1));
        queue.push(Bytes::from_static(b"0123456789"), &mut spare);
        queue.push(Bytes::from_static(b"abcdefghij"), &mut spare);
        assert!(!queue.is_full(5));
        queue.flush(&mut socket, NOW, &mut spare).unwrap();
        assert!(queue.is_full(5));
        assert_eq!((queue.bytes(), queue.stuck_since()), (13, Some(NOW)));
        let calls = socket.calls;
        queue.flush(&mut socket, NOW * 2, &mut spare).unwrap();
        assert_eq!(socket.calls, calls, "no attempt before the socket is writable again");
        socket.room = 100;
        queue.writable();
        queue.flush(&mut socket, NOW * 3, &mut spare).unwrap();
        assert_eq!(socket.got, b"0123456789abcdefghij");
        assert_eq!(queue.stuck_since(), None);
    }

    #[test]
    fn more_frames_than_one_call_takes_go_out_in_order() {
        let mut socket = Socket { got: Vec::new(), room: 100_000, step: 100_000, calls: 0 };
        let (mut queue, mut spare) = (Outbound::default(), Queues::new(1));
        let expected: Vec<u8> = (0..150u8).flat_map(|frame| [frame; 400]).collect();
        for frame in expected.chunks(400) {
            queue.push(Bytes::copy_from_slice(frame), &mut spare);
        }
        assert_eq!(queue.flush(&mut socket, NOW, &mut spare).unwrap().writes, 3);
        assert_eq!(socket.got, expected);
    }
}
