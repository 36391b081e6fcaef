//! What a connection owns only while it is busy, kept by the worker for the next one that is: an idle connection has
//! none of it, and a busy worker allocates none of it.

use bytes::BytesMut;

use crate::{connection::UnderWay, outbound::Queues, transport::Engine};

/// Busy connections at the same time for whom something is kept; a turn writes to fewer than twice a slice.
const KEPT: usize = 256;
/// Records share blocks of this size. One that waits for its receipt keeps no more than that in memory.
const RECORD_BLOCK: usize = 16 * 1024;

/// A few boxes that nobody uses just now.
#[derive(Debug)]
pub struct Spare<T> {
    kept: Vec<Box<T>>,
    most: usize,
}

impl<T: Default> Spare<T> {
    /// A place for at most `most`.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most }
    }

    /// A spare one, or a new one.
    pub fn take(&mut self) -> Box<T> {
        self.kept.pop().unwrap_or_default()
    }

    /// Keeps one that is empty again.
    pub fn give(&mut self, it: Box<T>) {
        if self.kept.len() < self.most {
            self.kept.push(it);
        }
    }
}

/// All that a worker keeps.
#[derive(Debug)]
pub struct Spares {
    /// Outbound queues.
    pub queues: Queues,
    /// SENDs under way.
    pub sends: Spare<UnderWay>,
    /// WebSocket engines; between two whole messages one is as good as another.
    pub engines: Spare<Engine>,
    /// Where the next record is written.
    pub records: BytesMut,
}

impl Default for Spares {
    fn default() -> Self {
        Self {
            queues: Queues::new(KEPT),
            sends: Spare::new(KEPT),
            // More than one only because connections come back from the middle of a message.
            engines: Spare::new(2),
            records: BytesMut::with_capacity(RECORD_BLOCK),
        }
    }
}
