//! What a worker keeps for the next connection that is busy.

use bytes::BytesMut;

use crate::{connection::UnderWay, outbound::Queues, spare::Spare, transport::Engine};

/// Busy connections at the same time for whom something is kept; a turn writes to fewer than twice a slice.
const KEPT: usize = 256;
/// Records share blocks of this size. One that waits for its receipt keeps no more than that in memory.
const RECORD_BLOCK: usize = 16 * 1024;

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
