//! What a crowd saw of a load.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::latency::Latency;

/// The result of driving a crowd once.
pub(crate) struct Tally {
    /// SENDs.
    pub(crate) events: u64,
    /// MESSAGEs that came, to all members.
    pub(crate) deliveries: u64,
    /// MESSAGEs that had to come.
    pub(crate) expected: u64,
    /// Of those, the ones that did not.
    pub(crate) lost: u64,
    /// MESSAGEs that came again, or of nobody's.
    pub(crate) repeated: u64,
    /// MESSAGEs at probes that came behind a later one of their sender.
    pub(crate) disordered: u64,
    /// Rooms whose probes saw different orders.
    pub(crate) orders: u64,
    /// RECEIPTs that did not come; 0 where none was asked for.
    pub(crate) unanswered: u64,
    /// Connections that ended.
    pub(crate) closed: u64,
    /// The first ERROR.
    pub(crate) error: Option<String>,
    /// Octets read.
    pub(crate) octets: u64,
    /// From the first SEND until the last MESSAGE had come, or nothing came any more.
    pub(crate) wall: Duration,
    /// Microseconds from due until read by a probe; `lateness` is the generator's own.
    pub(crate) latency: Latency,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            events: 0,
            deliveries: 0,
            expected: 0,
            lost: 0,
            repeated: 0,
            disordered: 0,
            orders: 0,
            unanswered: 0,
            closed: 0,
            error: None,
            octets: 0,
            wall: Duration::ZERO,
            latency: Latency::new(),
        }
    }

    /// What should not have happened: it makes a row void.
    pub(crate) fn broken(&self) -> Option<String> {
        let counts = [
            (self.lost, "lost"),
            (self.repeated, "repeated"),
            (self.disordered, "out of order"),
            (self.orders, "rooms with two orders"),
            (self.unanswered, "SENDs without RECEIPT"),
            (self.closed, "connections ended"),
        ];
        let mut words: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        words.extend(self.error.clone());
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The generator's own lateness, 99 of 100, in milliseconds.
    pub(crate) fn lateness_p99_ms(&self) -> f64 {
        self.latency.lateness.value_at_quantile(0.99) as f64 / 1e3
    }

    /// Whether the generator was too late for latencies to mean anything.
    pub(crate) fn late(&self) -> bool {
        self.lateness_p99_ms() > 1.0
    }

    /// The latencies of several rounds in one.
    pub(crate) fn latencies<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Histogram<u64> {
        let mut all = Latency::new().delivery;
        for tally in tallies {
            // All have the same bounds, so every value fits.
            let _ = all.add(&tally.latency.delivery);
        }
        all
    }
}
