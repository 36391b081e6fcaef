//! Under load fetches wait a moment at the brokers, so that each answer carries many records: what a fetch costs, an edge
//! and a broker, it costs once for all of them. A client's properties are fixed, so the reader is made anew for it, which
//! nobody notices; in a cluster that is not busy a record sets off an answer at once.
//!
//! Records do not wait for each other on their way in: it spares a broker as much where there is one edge, nothing where
//! there are several, and each record waits twice.

use std::time::{Duration, Instant};

use super::rate::Rate;

/// One way of waiting: the broker answers when it has so much for a fetch, or when it has waited for so long.
pub(super) struct Level {
    /// Octets.
    pub(super) least: &'static str,
    /// Milliseconds.
    pub(super) most_ms: &'static str,
    /// Records of the whole cluster in a second: from here on it pays…
    busy: f64,
    /// …and when there have been fewer than this for [`PATIENCE`], it is over.
    quiet: f64,
}

/// The properties that a user may want to set alone.
pub(super) const PROPERTIES: [&str; 2] = ["fetch.min.bytes", "fetch.wait.max.ms"];

/// From the quiet cluster on. A median of 3 ms from SEND to client remains.
pub(super) const LEVELS: [Level; 3] = [
    // Nobody waits; the time is librdkafka's own.
    Level { least: "1", most_ms: "500", busy: 0.0, quiet: 0.0 },
    // Some four records: as many as come meanwhile.
    Level { least: "1000", most_ms: "3", busy: 700.0, quiet: 500.0 },
    // Up to 30 MB a second the time comes first.
    Level { least: "131072", most_ms: "4", busy: 5_000.0, quiet: 3_000.0 },
];

const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(1);

/// Which of [`LEVELS`] it is.
pub(super) struct Pace {
    rate: Rate,
    level: usize,
    quiet_since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: Rate::new(LOOK), level: 0, quiet_since: None }
    }
}

impl Pace {
    /// `position` is the reader's, all partitions together. The level from now on, where that changes.
    pub(super) fn look(&mut self, position: i64, now: Instant) -> Option<usize> {
        if !self.rate.is_due(now) {
            return None;
        }
        let rate = self.rate.look(position, now)?;
        let pays = LEVELS.iter().rposition(|level| rate >= level.busy).unwrap_or(0);
        let quiet_since = (rate < LEVELS[self.level].quiet).then(|| self.quiet_since.unwrap_or(now));
        self.quiet_since = quiet_since;
        let over = quiet_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        (pays > self.level || over).then_some(pays)
    }

    /// The reader has been made anew.
    pub(super) fn set(&mut self, level: usize) {
        self.level = level;
        self.quiet_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_wait_from_a_rate_on_and_until_it_has_been_lower_for_a_while() {
        let begun = Instant::now();
        let (mut pace, mut position, mut second) = (Pace::default(), 1, 0);
        let mut look = |records: i64, seconds: u64| {
            let mut changes = Vec::new();
            for _ in 0..seconds {
                (position, second) = (position + records, second + 1);
                if let Some(level) = pace.look(position, begun + Duration::from_secs(second)) {
                    pace.set(level);
                    changes.push((level, second));
                }
            }
            changes
        };
        assert_eq!(look(699, 5), []);
        assert_eq!(look(700, 5), [(1, 6)]);
        assert_eq!(look(5_000, 3), [(2, 11)]);
        assert_eq!(look(3_000, 20), []);
        assert_eq!(look(2_999, 9), []);
        assert_eq!(look(3_000, 1), [], "the ten seconds begin anew");
        assert_eq!(look(1_000, 12), [(1, 54)]);
        assert_eq!(look(500, 20), []);
        assert_eq!(look(499, 11), [(0, 86)]);
        assert_eq!(look(9_000, 1), [(2, 87)]);
        assert_eq!(look(10, 11), [(0, 98)]);
    }
}
