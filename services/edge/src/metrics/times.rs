//! How long things take. Each histogram is told once for a batch, a turn or a session, never for a delivery.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::{Handshake, Split, Ticker, parts::Registrar};

/// From a request on loopback to a client that takes its time.
const HANDSHAKE_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// From a few clients to a large room.
const FANOUT_BUCKETS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
const ROOM_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
/// From an edge beside its broker to an hour's outage.
const DELIVERY_BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 3_600.0];
/// A thread that ran when it wanted, up to one that a quota held back.
const TICK_BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// Handshakes, fan-out, delivery, lateness.
#[derive(Debug)]
pub struct Times {
    /// The steps to a session.
    pub handshake: Split<Handshake, Histogram>,
    /// From a batch's hand-over to a worker until its clients have been written to. Once for a turn.
    pub fanout: Histogram,
    /// A record's subscriptions on one worker.
    pub recipients: Histogram,
    /// From the SEND at its edge until clients of this edge have been written to, for the oldest message of a turn: both
    /// edges' clocks count.
    pub delivery: Histogram,
    /// How late a thread wakes up.
    pub tick: Split<Ticker, Histogram>,
}

impl Times {
    pub(super) fn register(r: &mut Registrar<'_>) -> Self {
        Times {
            handshake: r.histograms("handshake", "Steps on the way to a session", &HANDSHAKE_BUCKETS),
            fanout: r.histogram(
                "fanout",
                "From a batch's hand-over until its clients were written to",
                &FANOUT_BUCKETS,
            ),
            recipients: r.sizes("fanout_recipients", "Subscriptions on one worker that a record is for", &ROOM_BUCKETS),
            delivery: r.histogram("delivery", "From a SEND at any edge until it was written here", &DELIVERY_BUCKETS),
            tick: r.histograms("runtime_tick_delay", "How late a thread wakes up", &TICK_BUCKETS),
        }
    }

    /// A turn has delivered messages: it took so long, and the oldest of them was sent at `sent_ms`.
    pub fn delivered(&self, took: Duration, sent_ms: i64, wall_ms: i64) {
        self.fanout.observe(took.as_secs_f64());
        // The other edge's clock may be ahead.
        self.delivery.observe((wall_ms - sent_ms).max(0) as f64 / 1e3);
    }
}
